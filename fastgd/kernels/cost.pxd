"""Cost functions f that are compiled, and what is added to them: l1 |x|_1, and bounds lower <= x <=
upper.
"""
from libc.math cimport fabs, fmax
from libc.stdint cimport intptr_t, uint64_t
from libc.string cimport memcpy, memset

from cython cimport floating

cpdef enum Status:
    SEARCHING                   # evaluate the cost at `trial`, and tell it
    MOVED                       # a step was taken
    CONVERGED                   # x is a minimum as far as gradients tell
    STUCK                       # no step along the steepest descent lowers the cost
    # a step of a rule was taken from a point of small gradient, whose cost is the least but for
    # rounding
    SMALL
    # a step of a rule was taken, and the cost has not reached a new low for `patience` iterations
    STALLED
    ROSE                        # the cost is above what is allowed, or infinite: no step
    # the cost, or a component of its gradient, is not a number, at x or at all trials
    UNDEFINED
    UNBOUNDED                   # the cost is minus infinity
    UNWRITTEN                   # a compiled cost has not written its whole gradient
    FAILED                      # a compiled cost has raised an exception

ctypedef double (*cost_function)(const double *x, double *gradient, intptr_t n,
                                 void *data) noexcept nogil

cdef struct Cost:
    cost_function function
    void *data

cdef struct Feasible:
    double l1
    const double *share         # (n,) what part of l1 each parameter has; NULL: all
    const double *lower         # NULL: no bounds
    const double *upper


cdef struct Goal:
    double tol                  # of the gradient's largest component; 0: nothing ends a run
    # of a fall of the cost, relative to max(1, |cost|); 0: falls do not count
    double ftol
    bint absolute               # tol is not relative to max(1, |cost|)


cdef inline double share_of(const Goal *goal) noexcept nogil:
    """What share of a run's progress is not worth another step."""
    cdef double share = goal.tol if goal.tol > 0 else goal.ftol
    return 0.1 * (share if share < 1e-4 else 1e-4)  # a coarse tol bounds the gradient alone


cdef inline bint is_small(const Goal *goal, double norm, double value,
                          double previous) noexcept nogil:
    """Whether the gradient or the last fall of the cost is small. It says nothing of the distance
    to a minimum.
    """
    cdef double size = fmax(1.0, fabs(value))
    if goal.tol > 0 and norm <= goal.tol * (1.0 if goal.absolute else size):
        return True
    return goal.ftol > 0 and fabs(previous - value) <= goal.ftol * size


cdef inline uint64_t unwritten_bits() noexcept nogil:
    """A quiet NaN that no arithmetic makes: what a gradient holds until the cost function writes
    it.
    """
    return <uint64_t> 0x7FF8F45D6D1A15D5


cdef inline void blank(double *gradient, Py_ssize_t n) noexcept nogil:
    """Fill a gradient with `unwritten_bits`."""
    cdef uint64_t bits = unwritten_bits()
    cdef double mark
    cdef Py_ssize_t j
    memcpy(&mark, &bits, sizeof(double))
    for j in range(n):
        gradient[j] = mark


cdef inline Py_ssize_t first_unwritten(const double *gradient, Py_ssize_t n) noexcept nogil:
    """The first entry that still holds `unwritten_bits`; -1: none."""
    cdef uint64_t bits, expected = unwritten_bits()
    cdef Py_ssize_t j
    for j in range(n):
        memcpy(&bits, &gradient[j], sizeof(double))
        if bits == expected:
            return j
    return -1


cdef inline Cost cost_at(size_t function, size_t data) noexcept nogil:
    """A cost from the addresses of its C function and of the data that is passed on to it."""
    return Cost(<cost_function> function, <void *> data)


cdef inline double l1_at(const Feasible *feasible, Py_ssize_t j) noexcept nogil:
    return feasible.l1 if feasible.share == NULL else feasible.l1 * feasible.share[j]


cdef inline double slope_at(double x, double g, const Feasible *feasible,
                            Py_ssize_t j) noexcept nogil:
    """The least of the subgradients of f + l1 |x|_1, and 0 where it pushes against a bound."""
    cdef double v = g, l1 = l1_at(feasible, j)
    if l1 > 0:
        v = g + l1 if x > 0 or (x == 0 and g < -l1) else (g - l1 if x < 0 or g > l1 else 0.0 * g)
    if feasible.lower != NULL and ((v > 0 and x <= feasible.lower[j])
                                   or (v < 0 and x >= feasible.upper[j])):
        v = 0
    return v


cdef inline double excess(const floating *x, Py_ssize_t n, const Feasible *feasible) noexcept nogil:
    """l1 |x|_1"""
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(n if feasible.l1 > 0 else 0):
        total += l1_at(feasible, j) * fabs(x[j])
    return total


cdef inline double gradient_size(const floating *x, const floating *g, Py_ssize_t n,
                                 const Feasible *feasible) noexcept nogil:
    """max_j |slope_j|; NaN where a component of g is not finite."""
    cdef floating[32] high
    cdef floating[32] low
    cdef floating[32] odd       # stays 0 while all is finite
    cdef double size = 0, total = 0, v
    cdef Py_ssize_t j = 0, k
    memset(high, 0, sizeof(high))
    memset(low, 0, sizeof(low))
    memset(odd, 0, sizeof(odd))
    if feasible.l1 == 0 and feasible.lower == NULL:
        while j + 32 <= n:
            for k in range(32):
                high[k] = g[j + k] if g[j + k] > high[k] else high[k]
                low[k] = g[j + k] if g[j + k] < low[k] else low[k]
                odd[k] += g[j + k] - g[j + k]
            j += 32
    while j < n:
        v = fabs(slope_at(x[j], g[j], feasible, j))
        size = v if v > size else size
        total += g[j] - g[j]
        j += 1
    for k in range(32):
        size = high[k] if high[k] > size else size
        size = -low[k] if -low[k] > size else size
        total += odd[k]
    return size + total


cdef inline double clip(double x, double lower, double upper) noexcept nogil:
    x = upper if x > upper else x
    return lower if x < lower else x
