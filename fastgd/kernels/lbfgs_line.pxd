"""The state of L-BFGS, and the lines along which it searches.

With L1 or bounds a line is projected to an arc: the step keeps to the orthant and the box, and
parameters at an edge stay there while the gradient holds them.
"""
from libc.math cimport frexp, ldexp

from .cost cimport Goal, L1AndBounds, l1_at, projected_slope
from .lbfgs cimport Pairs
from .more_thuente cimport Search
from .progress cimport Progress
from .rows cimport lanes_dot

cdef struct LBFGSState:
    Py_ssize_t n
    bint started                # x has been evaluated
    bint arcs                   # with L1 or bounds: lines are projected
    bint is_float32             # trials are rounded to float32
    bint has_new_pair           # the last step made a pair
    bint verifying              # the trial tests whether x is a minimum
    double *x
    double *gradient
    double *trial
    double *trial_gradient
    double *direction
    double *free                # (n,): 1 where the step may go, else 0
    double *best_x              # the best point evaluated, unless that is x
    double *best_gradient
    double value                # the cost at x
    double norm                 # the largest component of the gradient at x, in size
    double precision            # relative error of the cost
    double noise                # relative differences of the cost up to this may be errors
    double best_value           # the least cost evaluated
    bint x_is_best
    double decrement            # -g'd of the quasi-Newton direction at x; INFINITY: not known
    double step_length          # of the last step
    Pairs pairs
    Progress progress
    L1AndBounds terms
    Goal goal
    Search search


cdef inline bint is_at_edge(const LBFGSState *at, Py_ssize_t j) noexcept nogil:
    """Whether x_j is at a kink of L1 or at a bound."""
    cdef const L1AndBounds *terms = &at.terms
    return ((l1_at(terms, j) > 0 and at.x[j] == 0)
            or (terms.lower != NULL and not terms.lower[j] < at.x[j] < terms.upper[j]))


cdef inline void set_gradient_direction(LBFGSState *at) noexcept nogil:
    """direction <- -(sub)gradient. Parameters that it holds at an edge are not free."""
    cdef Py_ssize_t j
    for j in range(at.n):
        at.direction[j] = (-projected_slope(at.x[j], at.gradient[j], &at.terms, j) if at.arcs
                           else -at.gradient[j])
    for j in range(at.n if at.arcs else 0):
        at.free[j] = 0.0 if at.direction[j] == 0 and is_at_edge(at, j) else 1.0


cdef inline double set_scaled_gradient_direction(LBFGSState *at) noexcept nogil:
    """direction <- -(sub)gradient / a power of two, so that no square overflows or underflows;
    returns the slope along it.
    """
    cdef int exponent
    cdef double unit
    cdef Py_ssize_t j
    set_gradient_direction(at)
    frexp(at.norm, &exponent)
    unit = ldexp(1.0, exponent)
    for j in range(at.n):
        at.direction[j] /= unit
    return -unit * lanes_dot(at.direction, at.direction, at.n)


cdef inline double project_direction(LBFGSState *at) noexcept nogil:
    """Set the direction to 0 where it leaves an edge against the slope; returns the slope along it.
    """
    cdef Py_ssize_t j
    cdef double v, slope = 0
    for j in range(at.n):
        v = projected_slope(at.x[j], at.gradient[j], &at.terms, j)
        if v * at.direction[j] >= 0 and is_at_edge(at, j):
            at.direction[j] = 0
        slope += v * at.direction[j]
    return slope


cdef inline double arc_point(const LBFGSState *at, double step, Py_ssize_t j) noexcept nogil:
    """x + step direction, stopped at 0, where L1 has a kink, and at the bounds."""
    cdef double a = at.x[j] + step * at.direction[j]
    if l1_at(&at.terms, j) > 0 and a * at.x[j] < 0:
        a = 0
    if at.terms.lower != NULL:
        a = at.terms.upper[j] if a > at.terms.upper[j] else a
        a = at.terms.lower[j] if a < at.terms.lower[j] else a
    return a


cdef inline bint set_trial(LBFGSState *at) noexcept nogil:
    """trial <- the point at the search's step; returns whether it differs from x."""
    cdef Py_ssize_t j
    cdef double step = at.search.step
    if at.arcs:
        for j in range(at.n):
            at.trial[j] = arc_point(at, step, j)
    else:
        for j in range(at.n):
            at.trial[j] = at.x[j] + step * at.direction[j]
    if at.is_float32:
        for j in range(at.n):
            at.trial[j] = <float> at.trial[j]
    for j in range(at.n):
        if at.trial[j] != at.x[j]:
            return True
    return False


cdef inline double path_slope(const LBFGSState *at) noexcept nogil:
    """The slope of the cost along the arc at trial, without the parameters stopped at an edge."""
    cdef const L1AndBounds *terms = &at.terms
    cdef double total = 0, a, l1
    cdef Py_ssize_t j
    for j in range(at.n):
        a = at.x[j] + at.search.step * at.direction[j]
        l1 = l1_at(terms, j)
        if l1 > 0 and (a * at.x[j] < 0 or a == 0):
            continue
        if terms.lower != NULL and not terms.lower[j] < a < terms.upper[j]:
            continue
        total += (at.trial_gradient[j] + (l1 if a > 0 else -l1)) * at.direction[j]
    return total


cdef inline double predicted_change(const LBFGSState *at) noexcept nogil:
    """The change of the cost in the step to trial by the slopes at x."""
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(at.n):
        total += projected_slope(at.x[j], at.gradient[j], &at.terms, j) * (at.trial[j] - at.x[j])
    return total
