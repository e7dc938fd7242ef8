"""Update rules: each is one loop over a flat vector of parameters, its gradient and the rule's
buffers.

In the equations g is the gradient with l2 w added. Every rule ends with the prox of the L1 part, at
the rate of the parameter. The L2 decay of AdamW is decoupled.
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
    double first                # the factor of the first buffer: momentum, beta1
    double second               # the factor of the second buffer: rho, beta2
    double eps
    double noise                # the variance of the noise at the first gradient; 0: none
    double fading               # the variance is divided by t^fading
    uint64_t seed               # of the noise


cdef inline bint keeps_first(int kind) noexcept nogil:
    """Whether a rule writes to the first buffer."""
    return kind not in (SGD, ADAGRAD, RMSPROP)


cdef inline bint keeps_second(int kind) noexcept nogil:
    """Whether a rule writes to the second buffer."""
    return kind not in (SGD, MOMENTUM, NESTEROV)


cdef inline int check_buffers(int kind, bint first, bint second) except -1:
    """Raise an error if a buffer to which the rule writes is missing."""
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
    """An estimate of the sum of the gradients' norms over plain steps: `updates` times
    |before - after| / sum of the rates.
    """
    cdef double squares = 0, rate_sum = 0, step
    cdef Py_ssize_t j
    for j in range(n):
        step = <double> before[j] - <double> after[j]
        squares += step * step
    for j in range(updates):
        rate_sum += rates[j]
    return updates * sqrt(squares) / (rate_sum if rate_sum != 0 else 1.0)


cdef inline void momentum(floating *restrict w, const floating *restrict g, floating *restrict v,
                          Py_ssize_t n, floating rate, floating mu, floating nesterov,
                          floating l1, floating l2) noexcept nogil:
    """v <- mu v - rate g; w <- soft(w + v, rate l1), or with `nesterov` w <- soft(w - rate g,
    rate l1) + mu v.

    What the prox removes is removed from v too. Otherwise v would grow against the prox, up to
    1 / (1 - mu) steps.
    """
    cdef Py_ssize_t j
    cdef floating step, full, shrunk
    for j in range(n):
        step = rate * (g[j] + l2 * w[j])
        v[j] = mu * v[j] - step
        full = w[j] + (-step if nesterov else v[j])
        shrunk = soft(full, rate * l1)
        v[j] = 0 if shrunk == 0 and full != 0 else v[j] - (full - shrunk)
        w[j] = shrunk + mu * v[j] if nesterov else shrunk


cdef inline void adagrad(floating *restrict w, const floating *restrict g, floating *restrict a,
                         Py_ssize_t n, floating rate, floating eps, floating l1,
                         floating l2) noexcept nogil:
    """a <- a + g^2; r = rate / (sqrt(a) + eps); w <- soft(w - r g, r l1)"""
    cdef Py_ssize_t j
    cdef floating slope, r
    for j in range(n):
        slope = g[j] + l2 * w[j]
        a[j] += slope * slope
        r = rate / (root(a[j]) + eps)
        w[j] = soft(w[j] - r * slope, r * l1)


cdef inline void rmsprop(floating *restrict w, const floating *restrict g, floating *restrict a,
                         Py_ssize_t n, floating rate, floating rho, floating weight, floating eps,
                         floating l1, floating l2) noexcept nogil:
    """a <- rho a + weight g^2; r = rate / (sqrt(a) + eps); w <- soft(w - r g, r l1)"""
    cdef Py_ssize_t j
    cdef floating slope, r
    for j in range(n):
        slope = g[j] + l2 * w[j]
        a[j] = rho * a[j] + weight * slope * slope
        r = rate / (root(a[j]) + eps)
        w[j] = soft(w[j] - r * slope, r * l1)


cdef inline void adam(floating *restrict w, const floating *restrict g, floating *restrict m,
                      floating *restrict a, Py_ssize_t n, floating rate, floating beta1,
                      floating weight1, floating beta2, floating weight2, floating eps,
                      floating correction1, floating correction2, floating decay_step,
                      floating l1, floating l2) noexcept nogil:
    """Adam and AdamW: m <- beta1 m + weight1 g; a <- beta2 a + weight2 g^2;
    r = rate / (correction2 sqrt(a) + eps); w <- soft(w - r correction1 m - decay_step w, r l1)
    """
    cdef Py_ssize_t j
    cdef floating slope, r, full
    for j in range(n):
        slope = g[j] + l2 * w[j]
        m[j] = beta1 * m[j] + weight1 * slope
        a[j] = beta2 * a[j] + weight2 * slope * slope
        r = rate / (correction2 * root(a[j]) + eps)
        full = w[j] - r * correction1 * m[j] - decay_step * w[j]
        w[j] = soft(full, r * l1) if l1 > 0 else full


cdef inline void schedule_free(floating *restrict w, const floating *restrict g,
                               floating *restrict v, floating *restrict a, Py_ssize_t n,
                               floating rate, floating beta1, floating average_weight,
                               floating beta2, floating weight2, floating eps,
                               floating correction2, floating l2) noexcept nogil:
    """a <- beta2 a + weight2 g^2; d = rate g / (correction2 sqrt(a) + eps); z = w + v; z <- z - d;
    x <- (1 - c) x + c z, c = average_weight; w <- (1 - beta1) z + beta1 x; v = z - w. There is no
    prox of an L1 part.
    """
    cdef Py_ssize_t j
    cdef floating slope, d, keep = 1 - average_weight
    for j in range(n):
        slope = g[j] + l2 * w[j]
        a[j] = beta2 * a[j] + weight2 * slope * slope
        d = rate * slope / (correction2 * root(a[j]) + eps)
        w[j] += average_weight * v[j] - (1 - beta1 * keep) * d
        v[j] = keep * (v[j] - beta1 * d)


cdef inline void add_noise(const Rule *rule, floating *g, Py_ssize_t n,
                           Py_ssize_t t) noexcept nogil:
    """g <- g + N(0, noise / t^fading), independently for each entry."""
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
    cdef double correction1, correction2
    if rule.kind == SGD:
        sgd(w, g, n, <floating> rate, <floating> decay(rate, l2), <floating> l1)
    elif rule.kind == MOMENTUM:
        momentum(w, g, first, n, <floating> rate, <floating> rule.first, 0, <floating> l1,
                 <floating> l2)
    elif rule.kind == NESTEROV:
        momentum(w, g, first, n, <floating> rate, <floating> rule.first, 1, <floating> l1,
                 <floating> l2)
    elif rule.kind == ADAGRAD:
        adagrad(w, g, second, n, <floating> rate, <floating> rule.eps, <floating> l1,
                <floating> l2)
    elif rule.kind == RMSPROP:
        rmsprop(w, g, second, n, <floating> rate, <floating> rule.second,
                <floating> (1 - rule.second), <floating> rule.eps, <floating> l1, <floating> l2)
    elif rule.kind == SCHEDULE_FREE:
        schedule_free(w, g, first, second, n, <floating> rate, <floating> rule.first,
                      <floating> (1.0 / t), <floating> rule.second, <floating> (1 - rule.second),
                      <floating> rule.eps, <floating> (1 / sqrt(1 - pow(rule.second, t))),
                      <floating> l2)
    else:
        correction1 = 1 / (1 - pow(rule.first, t))
        correction2 = 1 / sqrt(1 - pow(rule.second, t))
        adam(w, g, first, second, n, <floating> rate, <floating> rule.first,
             <floating> (1 - rule.first), <floating> rule.second, <floating> (1 - rule.second),
             <floating> rule.eps, <floating> correction1, <floating> correction2,
             <floating> (rate * l2 if rule.kind == ADAMW else 0.0), <floating> l1,
             <floating> (0.0 if rule.kind == ADAMW else l2))
