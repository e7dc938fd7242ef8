"""The directions of limited-memory BFGS (Nocedal, Math. Comp. 1980): pairs of steps and changes of
the gradient, and the inverse Hessian that they make.
"""
from libc.math cimport sqrt

from .rows cimport dense_add, lanes_dot

cdef struct Pairs:
    Py_ssize_t n, capacity, count, next         # pairs held, and the place of the next
    double *s                   # (capacity, n) steps
    double *y                   # (capacity, n) changes of the gradient
    double *scale               # (capacity,) 1 / s'y; 0: the pair is passed over
    double *share               # (capacity,)
    double gamma                # s'y / y'y of the newest pair


cdef inline void project(double *v, const double *free, Py_ssize_t n) noexcept nogil:
    """v <- free v"""
    cdef Py_ssize_t j
    for j in range(n):
        v[j] *= free[j]


cdef inline double masked_dot(const double *a, const double *b, const double *free,
                              Py_ssize_t n) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(n):
        total += free[j] * a[j] * b[j]
    return total


cdef inline bint add_pair(Pairs *at, const double *x, const double *gradient, const double *next_x,
                          const double *next_gradient, double rounding,
                          double *length) noexcept nogil:
    """Add the pair of the step from x to the next iterate, and return True, unless s'y is not above
    its rounding error, of at least `rounding`: the function is not convex along the step. `length`
    receives that of the step.
    """
    cdef Py_ssize_t j, n = at.n
    cdef double *s = at.s + at.next * n
    cdef double *y = at.y + at.next * n
    cdef double sy, yy
    for j in range(n):
        s[j] = next_x[j] - x[j]
        y[j] = next_gradient[j] - gradient[j]
    sy, yy = lanes_dot(s, y, n), lanes_dot(y, y, n)
    length[0] = sqrt(lanes_dot(s, s, n))
    if not (sy > 2.2e-16 * length[0] * sqrt(yy) and sy > rounding):
        return False
    at.scale[at.next], at.gamma = 1 / sy, sy / yy
    at.next = (at.next + 1) % at.capacity
    at.count = min(at.count + 1, at.capacity)
    return True


cdef inline void restrict_pairs(Pairs *at, const double *free) noexcept nogil:
    """The pairs' scales, and gamma, in the space of the free parameters. A pair whose angle there
    is too wide is passed over.
    """
    cdef Py_ssize_t i, k, n = at.n
    cdef double ss, sy, yy
    cdef double *s
    cdef double *y
    cdef bint is_convex
    at.gamma = 0
    for i in range(at.count):
        k = (at.next - 1 - i + at.capacity) % at.capacity
        s, y = at.s + k * n, at.y + k * n
        ss = masked_dot(s, s, free, n)
        sy = masked_dot(s, y, free, n)
        yy = masked_dot(y, y, free, n)
        is_convex = sy > 1e-10 * sqrt(ss) * sqrt(yy)
        at.scale[k] = 1 / sy if is_convex else 0.0
        if at.gamma == 0 and is_convex:
            at.gamma = sy / yy


cdef inline void two_loops(Pairs *at, double *d, const double *free) noexcept nogil:
    """d <- H d, H the inverse Hessian that the pairs make of gamma I, in the space of the free
    parameters (NULL: of all).
    """
    cdef Py_ssize_t i, j, k, n = at.n
    cdef double back
    for i in range(at.count):
        k = (at.next - 1 - i + at.capacity) % at.capacity
        at.share[k] = at.scale[k] * lanes_dot(at.s + k * n, d, n)
        dense_add(-at.share[k], at.y + k * n, d, n)
        if free != NULL:
            project(d, free, n)
    for j in range(n):
        d[j] *= at.gamma
    for i in range(at.count):
        k = (at.next - at.count + i + at.capacity) % at.capacity
        back = at.scale[k] * lanes_dot(at.y + k * n, d, n)
        dense_add(at.share[k] - back, at.s + k * n, d, n)
        if free != NULL:
            project(d, free, n)
