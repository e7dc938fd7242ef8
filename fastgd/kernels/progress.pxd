"""The progress of a descent, and a test for a minimum that does not depend on the units of the cost
and of the parameters.
"""
from libc.math cimport INFINITY, fabs, fmax, sqrt
from libc.string cimport memcpy

from .cost cimport Goal, progress_tolerance

cdef struct Progress:
    Py_ssize_t n, iterations
    # two earlier iterations, the last powers of two: the first is between a quarter and half of
    # `iterations`
    Py_ssize_t[2] anchors
    double[2] anchor_values     # their costs
    double *anchor              # (2, n): their iterates
    double[10] recent           # costs of the last iterates, without the newest


cdef inline void add_iterate(Progress *at, const double *x, double value, double previous,
                             bint is_first) noexcept nogil:
    """Record an iterate, its cost, and the cost of the previous one. The anchors are iterations 0
    and powers of two.
    """
    cdef Py_ssize_t n = at.n
    cdef int i
    at.iterations = 0 if is_first else at.iterations + 1
    for i in range(9, 0, -1):
        at.recent[i] = at.recent[i - 1]
    at.recent[0] = INFINITY if is_first else previous
    if is_first:
        memcpy(at.anchor, x, n * sizeof(double))
        memcpy(at.anchor + n, x, n * sizeof(double))
        at.anchors[0] = at.anchors[1] = 0
        at.anchor_values[0] = at.anchor_values[1] = value
    elif at.iterations == max(<Py_ssize_t> 1, 2 * at.anchors[1]):
        memcpy(at.anchor, at.anchor + n, n * sizeof(double))
        memcpy(at.anchor + n, x, n * sizeof(double))
        at.anchors[0], at.anchor_values[0] = at.anchors[1], at.anchor_values[1]
        at.anchors[1], at.anchor_values[1] = at.iterations, value


cdef inline double rounding_error(double precision, double value) noexcept nogil:
    """Differences of costs up to this, four rounding errors of a cost, may be noise."""
    return 4.0 * precision * fabs(value)


cdef inline double small_gain(const Progress *at, const Goal *goal, double value) noexcept nogil:
    """The gain that is not worth another step: a share of the decrease in about the later half of
    the iterations.
    """
    cdef Py_ssize_t half = (at.iterations + 1) // 2
    cdef bint is_recent = 1 <= half <= 10
    cdef double earlier = at.recent[half - 1] if is_recent else at.anchor_values[0]
    return progress_tolerance(goal) * (earlier - value)


cdef inline bint is_minimum(const Progress *at, const Goal *goal, const double *x, double value,
                            const double *direction, double decrement,
                            double precision) noexcept nogil:
    """Whether x is a minimum as far as a quasi-Newton model tells. `direction` is its step, and it
    predicts a decrease of half the decrement.

    A small gradient or a small decrease of the cost, which depend on the user's units, are not
    enough. The predicted decrease and that of the last two iterations must be small relative to the
    decrease in the later half of the iterations. (The first half may have come from far away.) The
    step must be small relative to the movement of each parameter. The first condition does not
    depend on the scale and the offset of the cost, the second not on the units of the parameters,
    and neither holds while the cost decreases without end. Where rounding hides a decrease of the
    cost, the predicted decrease must be below rounding.
    """
    cdef Py_ssize_t j
    cdef double share, rounding = rounding_error(precision, value)
    if decrement <= rounding and fabs(at.recent[2] - value) <= rounding:
        return True
    if not fmax(decrement, fabs(at.recent[1] - value)) <= small_gain(at, goal, value):
        return False
    share = sqrt(progress_tolerance(goal))
    for j in range(at.n):
        # 1.5e-8 is the square root of the machine precision: a smaller relative change of x changes
        # the cost near a minimum by less than rounding.
        if (fabs(direction[j]) > share * fabs(x[j] - at.anchor[j])
                and fabs(direction[j]) > 1.5e-8 * fabs(x[j])):
            return False
    return True


cdef inline double parameter_size(const Progress *at, const double *x, Py_ssize_t j) noexcept nogil:
    """The size of a parameter: |x_j| or, if that is larger, a thousandth of its movement. (The
    start may have been far away.)
    """
    return fmax(fabs(x[j]), 1e-3 * fabs(x[j] - at.anchor[j]))
