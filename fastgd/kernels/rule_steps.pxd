"""Steps of an update rule on a cost function.

One pass over the parameters, a range at a time, computes the size of the gradient, moves the
parameters and clips them to their bounds. The iterate of least cost is kept without a copy: a step
from it leads to the other one of two buffers or, where memory bandwidth limits the speed, can be
undone. The ranges depend on the number of parameters alone, so the bits are the same for any number
of threads.
"""
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport INFINITY, fabs, isfinite, isnan, pow, sqrt
from libc.string cimport memcpy

from .cost cimport (MOVED, ROSE, SMALL, STALLED, UNBOUNDED, UNDEFINED, Goal, L1AndBounds, Status,
                    clip, gradient_size, is_small, l1_penalty)
from .prodigy cimport Distance, correction, estimate_distance, prodigy
from .rules cimport ADAM, ADAMW, MOMENTUM, NESTEROV, Rule, root, update
from .threads cimport region_threads

cdef enum:
    RANGE_PARAMETERS = 2048     # processed at a time, so that they stay in cache
    PARALLEL_PARAMETERS = 65536     # worth several threads

cdef struct RuleState:
    Py_ssize_t n, ranges
    Py_ssize_t t                # the number of the next update, from 1
    bint is_float32
    int threads
    Rule rule
    double decay                # of AdamW
    L1AndBounds terms
    char *current               # the iterate, in one of the two buffers
    char *other                 # the other buffer
    char *best                  # the iterate of least cost; NULL: not in a buffer
    bint undoable               # the best is the last iterate, and the step from it can be undone
    Py_ssize_t undo_t           # t and rate of that step
    double undo_rate
    char *first                 # the rule's buffers
    char *second
    # (ranges, 3): the gradient's size, and for Prodigy g'(start - x) and |weighted|_1
    double *sums
    Distance distance
    bint forbids_rise           # a cost above the limit, or NaN, is answered by ROSE
    bint monotone               # the limit is the least cost so far, otherwise `ceiling`
    double ceiling
    Goal goal
    double value                # cost and gradient's size at the last iterate evaluated
    double norm
    double least_value
    Py_ssize_t stalled          # iterations since the least cost


cdef inline double step_range(RuleState *at, Py_ssize_t i, floating *x, floating *target,
                              const floating *g, const floating *h, floating *first,
                              floating *second, double rate) noexcept nogil:
    """target <- x after the rule's step with gradient h, for one range; returns the size of the
    gradient g.
    """
    cdef Py_ssize_t j, begin = i * RANGE_PARAMETERS, size = min(RANGE_PARAMETERS, at.n - begin)
    cdef L1AndBounds terms = at.terms
    cdef double norm, correct, d = at.distance.now
    cdef floating inside
    if terms.lower != NULL:
        terms.lower, terms.upper = terms.lower + begin, terms.upper + begin
    x, target, h = x + begin, target + begin, h + begin
    norm = gradient_size(x, g + begin, size, &terms)
    if target != x:
        memcpy(target, x, size * sizeof(floating))
    if not isfinite(norm):
        return norm
    if at.distance.first > 0:
        correct = correction(&at.rule, at.t)
        prodigy(target, h, first + begin, second + begin, <floating *> at.distance.weighted + begin,
                <floating *> at.distance.start + begin, size, &at.rule, d, rate * d * correct,
                d / at.distance.first * d * correct, <floating> terms.l1, at.sums + 3 * i + 1)
    else:
        update(&at.rule, target, h, first + begin if first != NULL else first,
               second + begin if second != NULL else second, size, rate, at.t, terms.l1, at.decay)
    for j in range(size if terms.lower != NULL else 0):
        inside = <floating> clip(target[j], terms.lower[j], terms.upper[j])
        # a bound stops the velocity
        if inside != target[j] and at.rule.kind in (MOMENTUM, NESTEROV):
            first[begin + j] = 0
        target[j] = inside
    return norm


cdef inline void step_all(RuleState *at, const floating *g, const floating *h, char *next_x,
                          double rate) noexcept nogil:
    """The rule's step in all ranges, from the current iterate to `next_x`."""
    cdef Py_ssize_t i
    cdef int threads = region_threads(at.threads)
    cdef floating *x = <floating *> at.current
    cdef floating *target = <floating *> next_x
    cdef floating *first = <floating *> at.first
    cdef floating *second = <floating *> at.second
    for i in prange(at.ranges, schedule="static", num_threads=threads,
                    use_threads_if=threads > 1):
        at.sums[3 * i] = step_range(at, i, x, target, g, h, first, second, rate)
    at.norm = 0
    for i in range(at.ranges):
        at.norm = at.norm if at.sums[3 * i] <= at.norm else at.sums[3 * i]
        if isnan(at.norm):
            return
    if at.distance.first > 0:
        estimate_distance(&at.distance, &at.rule, at.t, at.sums, at.ranges)


cdef inline bint can_undo(const RuleState *at) noexcept nogil:
    """Whether a step can be undone: Adam's alone, and only where the parameters are so many that a
    second buffer would cost more time.
    """
    return (at.n >= PARALLEL_PARAMETERS and at.rule.kind in (ADAM, ADAMW) and at.distance.first == 0
            and at.terms.l1 == 0 and at.terms.lower == NULL)


cdef inline void undo_range(const RuleState *at, Py_ssize_t i, const floating *x,
                            floating *target) noexcept nogil:
    """target <- the parameters of a range before the last step, which led to x, up to the last bit
    or two. (No step was taken if the gradient was not finite.)
    """
    cdef Py_ssize_t j, begin = i * RANGE_PARAMETERS, end = min(begin + RANGE_PARAMETERS, at.n)
    cdef floating *m = <floating *> at.first
    cdef floating *a = <floating *> at.second
    cdef floating correction2 = 1 / sqrt(1 - pow(at.rule.second, at.undo_t)), eps = at.rule.eps
    cdef floating scale = at.undo_rate / (1 - pow(at.rule.first, at.undo_t))
    cdef floating kept = 1 - (at.undo_rate * at.decay if at.rule.kind == ADAMW else 0.0)
    if isfinite(at.sums[3 * i]):
        for j in range(begin, end):
            target[j] = (x[j] + scale * m[j] / (correction2 * root(a[j]) + eps)) / kept
    else:
        memcpy(target + begin, x + begin, (end - begin) * sizeof(floating))


cdef inline void recover_best(RuleState *at) noexcept nogil:
    """Make sure that the best point is in a buffer."""
    cdef Py_ssize_t i
    cdef int threads
    if not at.undoable:
        return
    threads = region_threads(at.threads)
    for i in prange(at.ranges, schedule="static", num_threads=threads,
                    use_threads_if=threads > 1):
        if at.is_float32:
            undo_range(at, i, <float *> at.current, <float *> at.other)
        else:
            undo_range(at, i, <double *> at.current, <double *> at.other)
    at.best, at.undoable = at.other, False


cdef inline Status take_step(RuleState *at, double value, const floating *g, const floating *h,
                             double rate, Py_ssize_t patience) noexcept nogil:
    """Process the cost and its gradient at the current iterate, and take a step."""
    cdef char *previous = at.current
    cdef char *next_x
    cdef double before = at.value
    cdef bint best, undoable, is_first = at.best == NULL and not at.undoable
    value += l1_penalty(<floating *> at.current, at.n, &at.terms)
    at.value = value
    if value == -INFINITY:
        return UNBOUNDED
    if isnan(value):
        return ROSE if at.forbids_rise else UNDEFINED
    if is_first and at.forbids_rise:
        at.ceiling = value
    if value == INFINITY or value > (at.least_value if at.monotone else at.ceiling):
        return ROSE
    best = value < at.least_value or at.best == at.current or is_first
    if not best:
        recover_best(at)
    undoable = best and can_undo(at)
    next_x = at.other if best and not undoable else at.current
    step_all(at, g, h, next_x, rate)
    if best:  # the step may have overwritten the previous best
        at.best, at.least_value, at.stalled = NULL if undoable else previous, value, 0
        at.undoable, at.undo_t, at.undo_rate = undoable, at.t, rate
        if not undoable:
            at.current, at.other = next_x, previous
    if not isfinite(at.norm):
        return UNDEFINED
    at.t += 1
    at.stalled += not best
    if patience and at.stalled >= patience:
        return STALLED
    # up to rounding, 10 times the machine precision
    if (value <= at.least_value + 10 * 2.2e-16 * fabs(at.least_value)
            and (at.norm == 0 or is_small(&at.goal, at.norm, value, before))):
        return SMALL if at.goal.tol > 0 or at.goal.ftol > 0 else MOVED
    return MOVED


cdef inline Status take_typed_step(RuleState *at, double value, const void *g, const void *h,
                                   double rate, Py_ssize_t patience) noexcept nogil:
    """`take_step` in the precision of the parameters."""
    if at.is_float32:
        return take_step(at, value, <const float *> g, <const float *> h, rate, patience)
    return take_step(at, value, <const double *> g, <const double *> h, rate, patience)
