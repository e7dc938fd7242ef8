"""Compiled cost functions f, with l1 |x|_1 and bounds lower <= x <= upper added, and what a descent
reports.
"""
from libc.math cimport fabs, fmax
from libc.stdint cimport intptr_t, uint64_t
from libc.string cimport memcpy, memset

from cython cimport floating

cpdef enum Status:
    SEARCHING                   # evaluate the cost at `trial` and call `tell`
    MOVED                       # a step was taken
    CONVERGED                   # x is a minimum as far as gradients tell
    STUCK                       # no step along the steepest descent lowers the cost
    # a rule took a step from a point of small gradient, with the least cost but for rounding
    SMALL
    STALLED                     # a rule took a step; no new least cost in `patience` iterations
    ROSE                        # the cost is infinite or above its limit: no step was taken
    # the cost or a component of its gradient is NaN, at x or at all trials
    UNDEFINED
    UNBOUNDED                   # the cost is minus infinity
    UNWRITTEN                   # a compiled cost has not written its whole gradient
    FAILED                      # a compiled cost has raised an exception

ctypedef double (*cost_function)(const double *x, double *gradient, intptr_t n,
                                 void *data) noexcept nogil

cdef struct Cost:
    cost_function function
    void *data

cdef struct L1AndBounds:
    double l1
    const double *l1_weights    # (n,): factors of l1; NULL: all 1
    const double *lower         # (n,); NULL: no bounds
    const double *upper         # (n,)

cdef struct Goal:
    double tol                  # for the gradient's largest component; 0: no test
    double ftol                 # for the cost's decrease, relative to max(1, |cost|); 0: no test
    bint absolute               # tol is absolute, not relative to max(1, |cost|)


cdef inline double progress_tolerance(const Goal *goal) noexcept nogil:
    """The share of the recent progress that is not worth another step."""
    cdef double tol = goal.tol if goal.tol > 0 else goal.ftol
    return 0.1 * (tol if tol < 1e-4 else 1e-4)  # a larger tol applies to the gradient alone


cdef inline bint is_small(const Goal *goal, double norm, double value,
                          double previous) noexcept nogil:
    """Whether the gradient or the last decrease of the cost is small. This does not bound the
    distance to a minimum.
    """
    cdef double size = fmax(1.0, fabs(value))
    if goal.tol > 0 and norm <= goal.tol * (1.0 if goal.absolute else size):
        return True
    return goal.ftol > 0 and fabs(previous - value) <= goal.ftol * size


cdef inline uint64_t unwritten_bits() noexcept nogil:
    """A quiet NaN that arithmetic does not produce. It marks entries of a gradient that the cost
    function has not written.
    """
    return <uint64_t> 0x7FF8F45D6D1A15D5


cdef inline void mark_unwritten(double *gradient, Py_ssize_t n) noexcept nogil:
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
    """A cost from the addresses of its C function and of the data passed to it."""
    return Cost(<cost_function> function, <void *> data)


cdef inline double l1_at(const L1AndBounds *terms, Py_ssize_t j) noexcept nogil:
    return terms.l1 if terms.l1_weights == NULL else terms.l1 * terms.l1_weights[j]


cdef inline double projected_slope(double x, double g, const L1AndBounds *terms,
                                   Py_ssize_t j) noexcept nogil:
    """The smallest subgradient of f + l1 |x|_1, and 0 where a bound stops the descent."""
    cdef double v = g, l1 = l1_at(terms, j)
    if l1 > 0:
        v = g + l1 if x > 0 or (x == 0 and g < -l1) else (g - l1 if x < 0 or g > l1 else 0.0 * g)
    if terms.lower != NULL and ((v > 0 and x <= terms.lower[j])
                                or (v < 0 and x >= terms.upper[j])):
        v = 0
    return v


cdef inline double l1_penalty(const floating *x, Py_ssize_t n,
                              const L1AndBounds *terms) noexcept nogil:
    """l1 |x|_1"""
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(n if terms.l1 > 0 else 0):
        total += l1_at(terms, j) * fabs(x[j])
    return total


cdef inline double gradient_size(const floating *x, const floating *g, Py_ssize_t n,
                                 const L1AndBounds *terms) noexcept nogil:
    """max_j |projected_slope_j|; NaN if a component of g is not finite."""
    cdef floating[32] high
    cdef floating[32] low
    cdef floating[32] not_finite    # 0 as long as g is finite
    cdef double size = 0, total = 0, v
    cdef Py_ssize_t j = 0, k
    memset(high, 0, sizeof(high))
    memset(low, 0, sizeof(low))
    memset(not_finite, 0, sizeof(not_finite))
    if terms.l1 == 0 and terms.lower == NULL:
        while j + 32 <= n:
            for k in range(32):
                high[k] = g[j + k] if g[j + k] > high[k] else high[k]
                low[k] = g[j + k] if g[j + k] < low[k] else low[k]
                not_finite[k] += g[j + k] - g[j + k]
            j += 32
    while j < n:
        v = fabs(projected_slope(x[j], g[j], terms, j))
        size = v if v > size else size
        total += g[j] - g[j]
        j += 1
    for k in range(32):
        size = high[k] if high[k] > size else size
        size = -low[k] if -low[k] > size else size
        total += not_finite[k]
    return size + total


cdef inline double clip(double x, double lower, double upper) noexcept nogil:
    x = upper if x > upper else x
    return lower if x < lower else x
