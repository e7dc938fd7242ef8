"""Limited-memory BFGS (Nocedal, Math. Comp. 1980): pairs of steps and changes of the gradient, and
the product with the inverse Hessian that they define.
"""
from libc.math cimport sqrt

from .rows cimport dense_add, lanes_dot

cdef struct Pairs:
    Py_ssize_t n, capacity
    Py_ssize_t count            # pairs held
    Py_ssize_t next             # the place of the next pair
    double *s                   # (capacity, n): steps
    double *y                   # (capacity, n): changes of the gradient
    double *rho                 # (capacity,): 1 / s'y; 0: the pair is left out
    double *alpha               # (capacity,): of the two-loop recursion
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
    """Add the pair of the step from x to the next iterate; returns whether it was added. It is not
    if s'y is below its rounding error or `rounding`, as where the function is not convex. `length`
    receives the length of the step.
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
    at.rho[at.next], at.gamma = 1 / sy, sy / yy
    at.next = (at.next + 1) % at.capacity
    at.count = min(at.count + 1, at.capacity)
    return True


cdef inline void restrict_pairs(Pairs *at, const double *free) noexcept nogil:
    """Compute rho and gamma in the space of the free parameters. A pair whose s and y are nearly
    orthogonal there is left out.
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
        at.rho[k] = 1 / sy if is_convex else 0.0
        if at.gamma == 0 and is_convex:
            at.gamma = sy / yy


cdef inline void two_loops(Pairs *at, double *d, const double *free) noexcept nogil:
    """The two-loop recursion: d <- H d, where H is the inverse Hessian that the pairs make of gamma
    I, in the space of the free parameters (NULL: all).
    """
    cdef Py_ssize_t i, j, k, n = at.n
    cdef double beta
    for i in range(at.count):
        k = (at.next - 1 - i + at.capacity) % at.capacity
        at.alpha[k] = at.rho[k] * lanes_dot(at.s + k * n, d, n)
        dense_add(-at.alpha[k], at.y + k * n, d, n)
        if free != NULL:
            project(d, free, n)
    for j in range(n):
        d[j] *= at.gamma
    for i in range(at.count):
        k = (at.next - at.count + i + at.capacity) % at.capacity
        beta = at.rho[k] * lanes_dot(at.y + k * n, d, n)
        dense_add(at.alpha[k] - beta, at.s + k * n, d, n)
        if free != NULL:
            project(d, free, n)
