"""A step of Mehrotra's predictor-corrector method for a piecewise linear loss: see
``fastgd/methods/interior_point.py``, which has the symbols.
"""
from libc.math cimport INFINITY, fabs, isfinite, sqrt
from libc.stdlib cimport free, malloc
from scipy.linalg.cython_blas cimport dgemv, dsyrk
from scipy.linalg.cython_lapack cimport dpotrf, dpotrs

from .losses cimport point

cdef struct Interior:           # (kinks, n) unless said otherwise
    int n, m
    Py_ssize_t kinks, pairs     # pairs = kinks * n
    const double *A             # (n, m)
    const double *shares        # (n,)
    const double *places
    const double *z             # (n,)
    const double *gradient      # (m,)
    double *a
    double *b
    double *right
    double *left
    # What follows is room for a step.
    double *D                   # 1 / (right / a + left / b)
    double *e                   # the residual of q - p = z - t, once p and q are eliminated
    double *of_right            # the changes that a p and b q are to have
    double *of_left
    double *da
    double *to_right
    double *to_left
    double *of_row              # (n,)
    double *scaled              # (n, m)
    double *H                   # (m, m), then its factor
    double *dv                  # (m,)


cdef int factor(Interior *at, const double *l2, double ridge) noexcept nogil:
    """Make the matrix of the weights and factor it; 0 where it has a factor."""
    cdef int i, j, fault = 0
    cdef double one = 1, zero = 0, root, largest = 0
    for i in range(at.n):
        root = sqrt(at.of_row[i])
        for j in range(at.m):
            at.scaled[i * at.m + j] = root * at.A[i * at.m + j]
    dsyrk(b"L", b"N", &at.m, &at.n, &one, at.scaled, &at.m, &zero, at.H, &at.m)
    for j in range(at.m):
        largest = max(largest, at.H[j * (at.m + 1)])
    for j in range(at.m):
        at.H[j * (at.m + 1)] += l2[j] + ridge * largest
    dpotrf(b"L", &at.m, at.H, &at.m, &fault)
    return fault


cdef double direct(Interior *at) noexcept nogil:
    """Set the step at which a p and b q change by `of_right` and `of_left`, to first order; return
    the longest multiple of it up to 1 that keeps all numbers >= 0.
    """
    cdef Py_ssize_t k, r
    cdef int i, one = 1, fault = 0
    cdef double unit = 1, minus = -1, zero = 0, largest = 1
    for i in range(at.n):
        at.of_row[i] = 0
    for k in range(at.kinks):
        for i in range(at.n):
            r = k * at.n + i
            at.e[r] = (at.z[i] - at.places[r] - at.left[r] + at.right[r]
                       + at.of_right[r] / at.a[r] - at.of_left[r] / at.b[r])
            at.of_row[i] += at.shares[i] * at.D[r] * at.e[r]
    for i in range(at.m):
        at.dv[i] = -at.gradient[i]
    dgemv(b"N", &at.m, &at.n, &minus, at.A, &at.m, at.of_row, &one, &unit, at.dv, &one)
    dpotrs(b"L", &at.m, &one, at.H, &at.m, at.dv, &at.m, &fault)
    dgemv(b"T", &at.m, &at.n, &unit, at.A, &at.m, at.dv, &one, &zero, at.of_row, &one)
    for k in range(at.kinks):
        for i in range(at.n):
            r = k * at.n + i
            at.da[r] = at.D[r] * (at.of_row[i] + at.e[r])
            at.to_right[r] = (at.of_right[r] - at.right[r] * at.da[r]) / at.a[r]
            at.to_left[r] = (at.of_left[r] + at.left[r] * at.da[r]) / at.b[r]
            largest = max(largest, fabs(at.da[r]) / (at.a[r] if at.da[r] < 0 else at.b[r]))
            largest = max(largest, -at.to_right[r] / at.right[r])
            largest = max(largest, -at.to_left[r] / at.left[r])
    return 1 / largest


cdef double products(const Interior *at, double t) noexcept nogil:
    """The weighted sum of a p + b q after t times the step."""
    cdef double total = 0
    cdef Py_ssize_t k, r
    cdef int i
    for k in range(at.kinks):
        for i in range(at.n):
            r = k * at.n + i
            total += at.shares[i] * (
                (at.a[r] + t * at.da[r]) * (at.right[r] + t * at.to_right[r])
                + (at.b[r] - t * at.da[r]) * (at.left[r] + t * at.to_left[r]))
    return total


cdef double move(Interior *at, double share, double *product) noexcept nogil:
    """Take a step of at most this share of the way to the boundary; return its length. `product` is
    the weighted sum of a p + b q, before and after.
    """
    cdef double t, mu, after, total = 0
    cdef Py_ssize_t r
    cdef int i
    for r in range(at.pairs):
        at.of_right[r] = -at.a[r] * at.right[r]
        at.of_left[r] = -at.b[r] * at.left[r]
    t = direct(at)
    for i in range(at.n):
        total += at.shares[i] * at.kinks
    mu = (products(at, t) / product[0]) ** 3 * product[0] / (2 * total)
    for r in range(at.pairs):
        at.of_right[r] = mu - at.a[r] * at.right[r] - at.da[r] * at.to_right[r]
        at.of_left[r] = mu - at.b[r] * at.left[r] + at.da[r] * at.to_left[r]
    t = share * direct(at)
    for i in range(at.m):
        if not isfinite(at.dv[i]):
            return 0
    after = products(at, t)
    if not isfinite(after):
        return 0
    product[0] = after
    for r in range(at.pairs):
        at.a[r] += t * at.da[r]
        at.b[r] -= t * at.da[r]
        at.right[r] += t * at.to_right[r]
        at.left[r] += t * at.to_left[r]
    return t


def step(data, at_point, double product, double ridge, double share):
    """Move v, the margins z and `iterate`, which holds a, b, right and left, in place; `gradient`
    receives the gradient before. Returns (length of the step, product); length 0: there is none.

    `data` is (A, shares, l2, low, places), `at_point` (iterate, v, z, gradient). `product` is the
    weighted sum of a p + b q, `ridge` is relative to the largest diagonal entry.
    """
    cdef const double[:, ::1] A = data[0], places = data[4]
    cdef const double[::1] shares = data[1], l2 = data[2], low = data[3]
    cdef double[:, :, ::1] iterate = at_point[0]
    cdef double[::1] v = at_point[1], z = at_point[2], gradient = at_point[3]
    cdef int n = <int> A.shape[0], m = <int> A.shape[1], i, one = 1
    cdef Py_ssize_t kinks = places.shape[0], pairs = kinks * n, k, r
    cdef double t = 0, unit = 1, zero = 0
    cdef double *room
    cdef Interior at
    if not (n > 0 and m > 0 and kinks > 0 and iterate.shape[0] == 4
            and iterate.shape[1] == kinks and iterate.shape[2] == places.shape[1] == n
            and shares.shape[0] == low.shape[0] == z.shape[0] == n
            and l2.shape[0] == v.shape[0] == gradient.shape[0] == m):
        raise ValueError("the arrays do not fit")
    room = <double *> malloc((7 * pairs + n + n * <Py_ssize_t> m + m * <Py_ssize_t> m + m)
                             * sizeof(double))
    if room == NULL:
        raise MemoryError()
    at = Interior(n, m, kinks, pairs, &A[0, 0], &shares[0], &places[0, 0], &z[0], &gradient[0],
                  &iterate[0, 0, 0], &iterate[1, 0, 0], &iterate[2, 0, 0], &iterate[3, 0, 0],
                  room, room + pairs, room + 2 * pairs, room + 3 * pairs, room + 4 * pairs,
                  room + 5 * pairs, room + 6 * pairs, room + 7 * pairs, room + 7 * pairs + n)
    at.H = at.scaled + n * <Py_ssize_t> m
    at.dv = at.H + m * <Py_ssize_t> m
    with nogil:
        for i in range(n):
            at.of_row[i] = shares[i] * low[i]
        for k in range(kinks):
            for i in range(n):
                at.of_row[i] += shares[i] * at.a[k * n + i]
        for i in range(m):
            gradient[i] = l2[i] * v[i]
        dgemv(b"N", &m, &n, &unit, at.A, &m, at.of_row, &one, &unit, &gradient[0], &one)
        for i in range(n):
            at.of_row[i] = 0
        for k in range(kinks):
            for i in range(n):
                r = k * n + i
                at.D[r] = 1 / (at.right[r] / at.a[r] + at.left[r] / at.b[r])
                at.of_row[i] += shares[i] * at.D[r]
        if factor(&at, &l2[0], ridge) == 0:
            t = move(&at, share, &product)
        if t > 0:
            for i in range(m):
                v[i] += t * at.dv[i]
            dgemv(b"T", &m, &n, &unit, at.A, &m, &v[0], &one, &zero, &z[0], &one)
    free(room)
    return t, product


def mean_loss(int loss, double delta, const double[::1] shares not None,
              const double[::1] z not None, const double[::1] y not None):
    """The sum of share * L(z, y) over the rows."""
    cdef double total = 0
    cdef Py_ssize_t i
    if not z.shape[0] == y.shape[0] == shares.shape[0]:
        raise ValueError("shares, z and y must have the same length")
    for i in range(z.shape[0]):
        total += shares[i] * point(loss, delta, INFINITY, z[i], y[i]).value
    return total
