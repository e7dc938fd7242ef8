"""Newton's method with the Hessian on little dense data of one output: a gradient and a step, in
one call each.
"""
from libc.math cimport INFINITY, sqrt
from libc.stdlib cimport free, malloc
from scipy.linalg.cython_blas cimport ddot, dgemv, dsyrk
from scipy.linalg.cython_lapack cimport dpotrf, dpotrs

from .losses cimport Point, curvature, point


def gradient(data, loss_and_targets, at_point):
    """z <- A v, h <- weight * L''(z, y), g <- the gradient of the objective, which is returned:
    sum weight * L(z, y) / total + sum l2 v^2 / 2.

    `data` is (A, weights, total, l2), `loss_and_targets` (code, delta, y), `at_point` (v, z, h, g).
    """
    cdef const double[:, ::1] A = data[0]
    cdef const double[::1] weights = data[1], l2 = data[3], y = loss_and_targets[2], v = at_point[0]
    cdef double[::1] z = at_point[1], h = at_point[2], g = at_point[3]
    cdef double total = data[2], delta = loss_and_targets[1]
    cdef int loss = loss_and_targets[0]
    cdef int n = <int> A.shape[0], m = <int> A.shape[1], one = 1, i
    cdef double unit = 1, zero = 0, value = 0
    cdef double *slopes
    cdef Point at
    if not (n > 0 and m > 0 and weights.shape[0] == y.shape[0] == z.shape[0] == h.shape[0] == n
            and l2.shape[0] == v.shape[0] == g.shape[0] == m):
        raise ValueError("the arrays do not fit")
    slopes = <double *> malloc(n * sizeof(double))
    if slopes == NULL:
        raise MemoryError()
    with nogil:
        dgemv(b"T", &m, &n, &unit, <double *> &A[0, 0], &m, <double *> &v[0], &one, &zero, &z[0],
              &one)
        for i in range(n):
            at = point(loss, delta, INFINITY, z[i], y[i])
            value += weights[i] * at.value
            slopes[i] = weights[i] * at.slope / total
            h[i] = weights[i] * curvature(loss, delta, z[i], y[i], 0.0)
        value /= total
        for i in range(m):
            g[i] = l2[i] * v[i]
            value += g[i] * v[i] / 2
        dgemv(b"N", &m, &n, &unit, <double *> &A[0, 0], &m, slopes, &one, &unit, &g[0], &one)
    free(slopes)
    return value


def step(const double[:, ::1] A not None, const double[::1] h not None, double total,
         const double[::1] l2 not None, const double[::1] g not None, double ridge,
         double[::1] x not None, double[::1] u not None):
    """x <- -H^-1 g and u <- A x, with H = A' diag(h) A / total + diag(l2); returns (decrement
    -g'x / 2, r'H^-1 r of the residual r), which is (0, infinity) where H has no Cholesky factor.

    `ridge`, relative to the mean of h, is added to the diagonal for the factor alone.
    """
    cdef int n = <int> A.shape[0], m = <int> A.shape[1], one = 1, fault = 0, i, j
    cdef double unit = 1, minus = -1, zero = 0, root, mean = 0, decrement = 0, remainder = INFINITY
    cdef double *room
    cdef double *H
    cdef double *r
    if not (n > 0 and m > 0 and h.shape[0] == u.shape[0] == n
            and l2.shape[0] == g.shape[0] == x.shape[0] == m):
        raise ValueError("the arrays do not fit")
    room = <double *> malloc((n * <Py_ssize_t> m + m * <Py_ssize_t> m + 2 * m) * sizeof(double))
    if room == NULL:
        raise MemoryError()
    H = room + n * <Py_ssize_t> m
    r = H + m * <Py_ssize_t> m
    with nogil:
        for i in range(n):
            mean += h[i] / n
            root = sqrt(h[i] / total)
            for j in range(m):
                room[i * m + j] = root * A[i, j]
        dsyrk(b"L", b"N", &m, &n, &unit, room, &m, &zero, H, &m)
        for i in range(m):
            H[i * (m + 1)] += l2[i] + ridge * (mean if mean > 0 else 1.0)
            x[i] = -g[i]
        dpotrf(b"L", &m, H, &m, &fault)
        if fault == 0:
            dpotrs(b"L", &m, &one, H, &m, &x[0], &m, &fault)
            decrement = -ddot(&m, <double *> &g[0], &one, &x[0], &one) / 2
            dgemv(b"T", &m, &n, &unit, <double *> &A[0, 0], &m, &x[0], &one, &zero, &u[0], &one)
            for i in range(n):
                room[i] = h[i] / total * u[i]
            for i in range(m):
                r[i] = -g[i] - l2[i] * x[i]
            dgemv(b"N", &m, &n, &minus, <double *> &A[0, 0], &m, room, &one, &unit, r, &one)
            for i in range(m):
                r[m + i] = r[i]
            dpotrs(b"L", &m, &one, H, &m, r, &m, &fault)
            remainder = ddot(&m, r, &one, r + m, &one)
    free(room)
    return decrement, remainder
