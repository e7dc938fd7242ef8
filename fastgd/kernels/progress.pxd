"""The progress of a descent, and whether little of it is left: a test for a minimum that knows no
units.
"""
from libc.math cimport INFINITY, fabs, fmax, sqrt
from libc.string cimport memcpy

from .cost cimport Goal, share_of

cdef struct Progress:
    Py_ssize_t n, iterations
    # two iterations, powers of two: the first is between a quarter and half of `iterations`
    Py_ssize_t[2] anchored
    double[2] anchor_values
    double *anchor              # (2, n) the iterates of `anchored`
    double[10] recent           # costs of the last iterates but the newest


cdef inline void add_iterate(Progress *at, const double *x, double value, double previous,
                             bint is_first) noexcept nogil:
    """Add an iterate, its cost, and that of the one before; keep those of iteration 0 and of the
    powers of two.
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
        at.anchored[0] = at.anchored[1] = 0
        at.anchor_values[0] = at.anchor_values[1] = value
    elif at.iterations == max(<Py_ssize_t> 1, 2 * at.anchored[1]):
        memcpy(at.anchor, at.anchor + n, n * sizeof(double))
        memcpy(at.anchor + n, x, n * sizeof(double))
        at.anchored[0], at.anchor_values[0] = at.anchored[1], at.anchor_values[1]
        at.anchored[1], at.anchor_values[1] = at.iterations, value


cdef inline double rounding_error(double precision, double value) noexcept nogil:
    """Differences of costs up to this, four rounding errors of a cost, may be 0."""
    return 4.0 * precision * fabs(value)


cdef inline double small_gain(const Progress *at, const Goal *goal, double value) noexcept nogil:
    """What is not worth going on for: a share of the fall of about the later half of the
    iterations.
    """
    cdef Py_ssize_t half = (at.iterations + 1) // 2
    cdef bint is_recent = 1 <= half <= 10
    return share_of(goal) * ((at.recent[half - 1] if is_recent else at.anchor_values[0]) - value)


cdef inline bint is_little_left(const Progress *at, const Goal *goal, const double *x, double value,
                                const double *direction, double decrement,
                                double precision) noexcept nogil:
    """Whether x is a minimum as far as a quasi-Newton model tells, whose step is `direction` and
    which expects to gain half the decrement.

    A small gradient or a small fall of the cost, which the user's units decide, is not enough. What
    the model expects to gain, and what the last two iterations have gained, must be small beside
    the fall of the later half of the iterations (not beside that of all: the first ones may have
    come from far away), and its step beside their movement, parameter by parameter. The one holds
    for every scale and offset of the cost, the other for every unit of the parameters, and neither
    holds while the cost falls without end. Where the cost's digits no longer show a fall, the gain
    must be below them.
    """
    cdef Py_ssize_t j
    cdef double share, digits = rounding_error(precision, value)
    if decrement <= digits and fabs(at.recent[2] - value) <= digits:
        return True
    if not fmax(decrement, fabs(at.recent[1] - value)) <= small_gain(at, goal, value):
        return False
    share = sqrt(share_of(goal))
    for j in range(at.n):
        # The square root of double precision: a change of x that is smaller, relative to x, changes
        # the cost at a minimum by less than its rounding error.
        if (fabs(direction[j]) > share * fabs(x[j] - at.anchor[j])
                and fabs(direction[j]) > 1.5e-8 * fabs(x[j])):
            return False
    return True


cdef inline double size_of(const Progress *at, const double *x, Py_ssize_t j) noexcept nogil:
    """The size of a parameter: its own or, if it ends near 0, a thousandth of its movement, which
    may have begun far away.
    """
    return fmax(fabs(x[j]), 1e-3 * fabs(x[j] - at.anchor[j]))
