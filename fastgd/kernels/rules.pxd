"""Update rules: one loop each over a flat vector of parameters, its gradient and the rule's own
buffers.

In the equations g stands for the gradient with l2 w added. Every rule ends in the prox of the L1
part, at the rate that the parameter itself had; AdamW's L2 decay is decoupled.
"""
from cython cimport floating
from libc.math cimport pow, sqrt, sqrtf
from libc.stdint cimport uint64_t

from .penalty cimport decay, soft
from .random cimport draw, normal_pair

cpdef enum Kind:
    SGD
    MOMENTUM
    NESTEROV
    ADAGRAD
    RMSPROP
    ADAM
    ADAMW
    SCHEDULE_FREE

cdef struct Rule:
    int kind
    double first        # the factor of the first buffer: momentum, beta1
    double second       # of the second: rho, beta2
    double eps
    double noise        # the variance of what is added to the first gradient; 0: nothing
    double fading       # the power of t by which it is divided
    uint64_t seed


cdef inline bint keeps_first(int kind) noexcept nogil:
    """Whether a rule writes to the first buffer."""
    return kind not in (SGD, ADAGRAD, RMSPROP)


cdef inline bint keeps_second(int kind) noexcept nogil:
    """Whether a rule writes to the second buffer."""
    return kind not in (SGD, MOMENTUM, NESTEROV)


cdef inline int check_buffers(int kind, bint first, bint second) except -1:
    """Refuse a rule without the buffers that it writes to."""
    if (keeps_first(kind) and not first) or (keeps_second(kind) and not second):
        raise ValueError(f"rule {Kind(kind).name} needs a buffer that is None")
    return 0


cdef inline floating root(floating a) noexcept nogil:
    if floating is float:
        return sqrtf(a)
    else:
        return sqrt(a)


cdef inline void sgd(floating *restrict w, const floating *restrict g, Py_ssize_t n, floating rate,
                     floating factor, floating l1) noexcept nogil:
    """w <- soft(factor w - rate g, rate l1)"""
    cdef Py_ssize_t j
    for j in range(n):
        w[j] = soft(factor * w[j] - rate * g[j], rate * l1)


cdef inline double gradient_norms(const floating *before, const floating *after, Py_ssize_t n,
                                  const double *rates, Py_ssize_t updates) noexcept nogil:
    """What plain steps tell of the gradients that made them: `updates` times |before - after| / sum
    of the rates.
    """
    cdef double squares = 0, way = 0, step
    cdef Py_ssize_t j
    for j in range(n):
        step = <double> before[j] - <double> after[j]
        squares += step * step
    for j in range(updates):
        way += rates[j]
    return updates * sqrt(squares) / (way if way != 0 else 1.0)


cdef inline void momentum(floating *restrict w, const floating *restrict g, floating *restrict v,
                          Py_ssize_t n, floating rate, floating mu, floating ahead, floating l1,
                          floating l2) noexcept nogil:
    """v <- mu v - rate g; w <- soft(w + v, rate l1), or with `ahead` (Nesterov) soft(w - rate g,
    rate l1) + mu v.

    What the prox cuts off, v loses too: else it would push on against it, by 1 / (1 - mu) times the
    gradient.
    """
    cdef Py_ssize_t j
    cdef floating step, full, kept
    for j in range(n):
        step = rate * (g[j] + l2 * w[j])
        v[j] = mu * v[j] - step
        full = w[j] + (-step if ahead else v[j])
        kept = soft(full, rate * l1)
        v[j] = 0 if kept == 0 and full != 0 else v[j] - (full - kept)
        w[j] = kept + mu * v[j] if ahead else kept


cdef inline void adaptive(floating *restrict w, const floating *restrict g, floating *restrict a,
                          Py_ssize_t n, floating rate, floating keep, floating take, floating eps,
                          floating l1, floating l2) noexcept nogil:
    """a <- keep a + take g^2; r = rate / (sqrt(a) + eps); w <- soft(w - r g, r l1): AdaGrad and
    RMSProp.
    """
    cdef Py_ssize_t j
    cdef floating slope, r
    for j in range(n):
        slope = g[j] + l2 * w[j]
        a[j] = keep * a[j] + take * slope * slope
        r = rate / (root(a[j]) + eps)
        w[j] = soft(w[j] - r * slope, r * l1)


cdef inline void adam(floating *restrict w, const floating *restrict g, floating *restrict m,
                      floating *restrict a, Py_ssize_t n, floating rate, floating keep1,
                      floating take1, floating keep2, floating take2, floating eps,
                      floating correct1, floating correct2, floating decoupled, floating l1,
                      floating l2) noexcept nogil:
    """m <- keep1 m + take1 g; a <- keep2 a + take2 g^2; r = rate / (correct2 sqrt(a) + eps);
    w <- soft(w - r correct1 m - decoupled w, r l1)"""
    cdef Py_ssize_t j
    cdef floating slope, r, full
    for j in range(n):
        slope = g[j] + l2 * w[j]
        m[j] = keep1 * m[j] + take1 * slope
        a[j] = keep2 * a[j] + take2 * slope * slope
        r = rate / (correct2 * root(a[j]) + eps)
        full = w[j] - r * correct1 * m[j] - decoupled * w[j]
        w[j] = soft(full, r * l1) if l1 > 0 else full


cdef inline void schedule_free(floating *restrict w, const floating *restrict g,
                               floating *restrict ahead, floating *restrict a, Py_ssize_t n,
                               floating rate, floating beta, floating share, floating keep2,
                               floating take2, floating eps, floating correct2,
                               floating l2) noexcept nogil:
    """a <- keep2 a + take2 g^2; d = rate g / (correct2 sqrt(a) + eps); z = w + ahead;
    z <- z - d; x <- (1 - share) x + share z; w <- (1 - beta) z + beta x; ahead = z - w. L1 parts
    have no prox here.
    """
    cdef Py_ssize_t j
    cdef floating slope, d, keep = 1 - share
    for j in range(n):
        slope = g[j] + l2 * w[j]
        a[j] = keep2 * a[j] + take2 * slope * slope
        d = rate * slope / (correct2 * root(a[j]) + eps)
        w[j] += share * ahead[j] - (1 - beta * keep) * d
        ahead[j] = keep * (ahead[j] - beta * d)


cdef inline void add_noise(const Rule *rule, floating *g, Py_ssize_t n,
                           Py_ssize_t t) noexcept nogil:
    """g <- g + N(0, noise / t^fading), each entry on its own."""
    cdef double scale = sqrt(rule.noise / pow(<double> t, rule.fading)), first, second
    cdef uint64_t state = rule.seed
    cdef Py_ssize_t j
    state = draw(&state) + <uint64_t> t
    state = draw(&state)
    for j in range(0, n, 2):
        normal_pair(&state, &first, &second)
        g[j] += <floating> (scale * first)
        if j + 1 < n:
            g[j + 1] += <floating> (scale * second)


cdef inline void update(const Rule *rule, floating *w, const floating *g, floating *first,
                        floating *second, Py_ssize_t n, double rate, Py_ssize_t t, double l1,
                        double l2) noexcept nogil:
    """The t-th update (from 1) of n parameters w with gradient g."""
    cdef double correct1, correct2
    if rule.kind == SGD:
        sgd(w, g, n, <floating> rate, <floating> decay(rate, l2), <floating> l1)
    elif rule.kind == MOMENTUM:
        momentum(w, g, first, n, <floating> rate, <floating> rule.first, 0, <floating> l1,
                 <floating> l2)
    elif rule.kind == NESTEROV:
        momentum(w, g, first, n, <floating> rate, <floating> rule.first, 1, <floating> l1,
                 <floating> l2)
    elif rule.kind == ADAGRAD:
        adaptive(w, g, second, n, <floating> rate, 1, 1, <floating> rule.eps, <floating> l1,
                 <floating> l2)
    elif rule.kind == RMSPROP:
        adaptive(w, g, second, n, <floating> rate, <floating> rule.second,
                 <floating> (1 - rule.second), <floating> rule.eps, <floating> l1, <floating> l2)
    elif rule.kind == SCHEDULE_FREE:
        schedule_free(w, g, first, second, n, <floating> rate, <floating> rule.first,
                      <floating> (1.0 / t), <floating> rule.second, <floating> (1 - rule.second),
                      <floating> rule.eps, <floating> (1 / sqrt(1 - pow(rule.second, t))),
                      <floating> l2)
    else:
        correct1, correct2 = 1 / (1 - pow(rule.first, t)), 1 / sqrt(1 - pow(rule.second, t))
        adam(w, g, first, second, n, <floating> rate, <floating> rule.first,
             <floating> (1 - rule.first), <floating> rule.second, <floating> (1 - rule.second),
             <floating> rule.eps, <floating> correct1, <floating> correct2,
             <floating> (rate * l2 if rule.kind == ADAMW else 0.0), <floating> l1,
             <floating> (0.0 if rule.kind == ADAMW else l2))
