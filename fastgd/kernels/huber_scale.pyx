"""Sums over residuals for Huber's loss with a scale: see ``fastgd/problem/huber_scale.py``.

The rows are cut into blocks by their number alone and the sums of the blocks are added in order, so
the bits are the same for any number of threads.
"""
from cython.parallel cimport prange
from libc.math cimport fabs
from libc.stdlib cimport free, malloc

from .threads cimport region_threads

cdef enum:
    BLOCK_ROWS = 8192           # rows that a thread takes at a time
    PARALLEL_ROWS = 32768       # rows worth several threads
    TILE_ROWS = 512             # of two numbers each: 8 KiB, which stay in cache


cdef struct Residuals:
    # r = z - y + t u; y, u and weights may be NULL: 0, 0 and 1.
    const double *z
    const double *y
    const double *u
    const double *weights
    double t


cdef void residuals(const Residuals *rows, Py_ssize_t begin, Py_ssize_t size,
                    double *out) noexcept nogil:
    """out <- the residuals of the rows from begin on"""
    cdef const double *part = rows.z + begin
    cdef double t = rows.t
    cdef Py_ssize_t i
    for i in range(size):
        out[i] = part[i]
    if rows.y != NULL:
        part = rows.y + begin
        for i in range(size):
            out[i] -= part[i]
    if rows.u != NULL:
        part = rows.u + begin
        for i in range(size):
            out[i] += t * part[i]


cdef void block_sums(const Residuals *rows, Py_ssize_t begin, Py_ssize_t end, double threshold,
                     double *sums) noexcept nogil:
    """sums <- (squares of the residuals up to the threshold, weight of the others)"""
    cdef double r[TILE_ROWS]
    cdef double outside[TILE_ROWS]
    cdef Py_ssize_t i, size
    cdef double inside
    sums[0] = sums[1] = 0.0
    while begin < end:
        size = min(TILE_ROWS, end - begin)
        residuals(rows, begin, size, r)
        for i in range(size):
            inside = 1.0 if fabs(r[i]) <= threshold else 0.0
            r[i] = r[i] * r[i] if fabs(r[i]) <= threshold else 0.0
            outside[i] = 1.0 - inside
        add_weighted(rows, begin, size, r, outside, sums)
        begin += size


cdef void block_along(const Residuals *rows, Py_ssize_t begin, Py_ssize_t end, double threshold,
                      double *sums) noexcept nogil:
    """sums <- (Huber's losses with this threshold, their slopes in t)"""
    cdef double r[TILE_ROWS]
    cdef double slopes[TILE_ROWS]
    cdef const double *u
    cdef Py_ssize_t i, size
    cdef double slope
    sums[0] = sums[1] = 0.0
    while begin < end:
        size = min(TILE_ROWS, end - begin)
        residuals(rows, begin, size, r)
        u = rows.u + begin
        for i in range(size):
            slope = r[i] if r[i] < threshold else threshold
            slope = slope if slope > -threshold else -threshold
            r[i] = slope * (r[i] - slope / 2)
            slopes[i] = slope * u[i]
        add_weighted(rows, begin, size, r, slopes, sums)
        begin += size


cdef void add_weighted(const Residuals *rows, Py_ssize_t begin, Py_ssize_t size,
                       const double *first, const double *second, double *sums) noexcept nogil:
    """Add the weighted sums of two numbers of each row."""
    if rows.weights != NULL:
        sums[0] += dot(rows.weights + begin, first, size)
        sums[1] += dot(rows.weights + begin, second, size)
    else:
        sums[0] += dot(NULL, first, size)
        sums[1] += dot(NULL, second, size)


cdef double dot(const double *weights, const double *x, Py_ssize_t n) noexcept nogil:
    """The sum of x, times the weights unless they are NULL."""
    cdef double a = 0.0, b = 0.0, c = 0.0, d = 0.0
    cdef Py_ssize_t i, whole = n - n % 4
    for i in range(0, whole, 4):
        if weights == NULL:
            a += x[i]
            b += x[i + 1]
            c += x[i + 2]
            d += x[i + 3]
        else:
            a += weights[i] * x[i]
            b += weights[i + 1] * x[i + 1]
            c += weights[i + 2] * x[i + 2]
            d += weights[i + 3] * x[i + 3]
    for i in range(whole, n):
        a += x[i] if weights == NULL else weights[i] * x[i]
    return (a + b) + (c + d)


cdef tuple total(const double[::1] z, const double[::1] y, const double[::1] u,
                 const double[::1] weights, double t, double threshold, bint is_along,
                 int threads):
    cdef Py_ssize_t n = z.shape[0], blocks = (n + BLOCK_ROWS - 1) // BLOCK_ROWS, i
    cdef Residuals rows
    cdef double *sums
    cdef double first = 0.0, second = 0.0
    if (y is not None and y.shape[0] != n or u is not None and u.shape[0] != n
            or weights is not None and weights.shape[0] != n):
        raise ValueError("y, u or weights do not fit z")
    if n == 0:
        return 0.0, 0.0
    rows.z, rows.t = &z[0], t
    rows.y = rows.u = rows.weights = NULL
    if y is not None:
        rows.y = &y[0]
    if u is not None:
        rows.u = &u[0]
    if weights is not None:
        rows.weights = &weights[0]
    sums = <double *> malloc(2 * blocks * sizeof(double))
    if sums == NULL:
        raise MemoryError()
    threads = 1 if n < PARALLEL_ROWS else region_threads(threads)
    with nogil:
        for i in prange(blocks, schedule="static", num_threads=threads, use_threads_if=threads > 1):
            if is_along:
                block_along(&rows, i * BLOCK_ROWS, min((i + 1) * BLOCK_ROWS, n), threshold,
                            sums + 2 * i)
            else:
                block_sums(&rows, i * BLOCK_ROWS, min((i + 1) * BLOCK_ROWS, n), threshold,
                           sums + 2 * i)
        for i in range(blocks):
            first += sums[2 * i]
            second += sums[2 * i + 1]
    free(sums)
    return first, second


def scale_sums(const double[::1] z not None, const double[::1] y, const double[::1] u,
               const double[::1] weights, double t, double threshold, int threads):
    """(sum of weight * squared residual up to the threshold, weight of the others) of the residuals
    z - y + t u; y, u and weights may be None: 0, 0 and 1.
    """
    return total(z, y, u, weights, t, threshold, False, threads)


def along(const double[::1] z not None, const double[::1] y, const double[::1] u not None,
          const double[::1] weights, double t, double threshold, int threads):
    """(sum of weight * Huber's loss with this threshold, its derivative in t) of the residuals
    z - y + t u.
    """
    return total(z, y, u, weights, t, threshold, True, threads)
