"""What Newton's method asks of the margins alone, without a pass over X: curvatures, and the
objective along a line.

Rows are cut into blocks by their number alone and the blocks' sums are added in order: the bits are
the same for any number of threads.
"""
from cython.parallel cimport prange
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from .losses cimport SOFTMAX, VALUES, Objective, curvature, points, rounded, softmax, target
from .rows cimport start_of
from .threads cimport can_share

cdef enum:
    BLOCK = 8192                # margins of one thread's share
    TILE = 512                  # margins that stay in cache
    SHARED = 32768              # margins that are worth more than one thread


cdef inline double weight_of(const double *weights, Py_ssize_t i) noexcept nogil:
    return weights[i] if weights != NULL else 1.0


cdef void line_block(const Objective *objective, const double *y, const double *weights,
                     const Py_ssize_t *order, Py_ssize_t begin, Py_ssize_t end, const double *z,
                     const double *u, const double *t, double *room, double *sums) noexcept nogil:
    """sums (2, K) = sum over rows begin to end of weight * loss and of its derivative along u, at z
    + t u.
    """
    cdef Py_ssize_t K = objective.outputs, tile = max(TILE // K, 1), size, r, k, i, at
    cdef bint joint = objective.loss == SOFTMAX
    cdef double *margin = room
    cdef double *targets = room + tile * K
    cdef double *value = targets + tile * K
    cdef double *slope = value + tile * K
    cdef double weight
    memset(sums, 0, 2 * K * sizeof(double))
    while begin < end:
        size = min(tile, end - begin)
        at = begin * K
        for r in range(size):
            for k in range(K):
                i = r * K + k
                margin[i] = z[at + i] + t[k] * u[at + i]
                if not joint:
                    targets[i] = target(objective, y, order[begin + r], k)
            if joint:
                value[r * K] = softmax(margin + r * K, slope + r * K, K,
                                       <Py_ssize_t> y[order[begin + r]])
        if not joint:
            points(objective, margin, targets, value, slope, size * K)
        for r in range(size):
            weight = weight_of(weights, order[begin + r])
            if joint:
                sums[0] += weight * value[r * K]
            for k in range(K):
                i = r * K + k
                if not joint:
                    sums[k] += weight * value[i]
                sums[K + (0 if joint else k)] += weight * slope[i] * u[at + i]
        begin += size


def along(const double[::1] y not None, const double[::1] weights,
          const Py_ssize_t[::1] order not None, const double[::1] z not None,
          const double[::1] u not None, const double[::1] t not None, double[:, ::1] sums not None,
          Objective objective, int threads):
    """sums[0] <- sum over the rows in `order` of weight * loss at margins z + t u, sums[1] <- its
    derivative in t; an output each.

    z and u hold `outputs` numbers a row of `order`, t one an output. Softmax, whose outputs share
    one loss, has its sums in the first place.
    """
    cdef Py_ssize_t n = order.shape[0], K = objective.outputs, rows = max(BLOCK // K, 1)
    cdef Py_ssize_t blocks = (n + rows - 1) // rows, i, k
    cdef Py_ssize_t stride = 4 * max(TILE // K, 1) * K + 2 * K
    cdef double *room
    if (z.shape[0] != n * K or u.shape[0] != n * K or t.shape[0] != K or sums.shape[0] != 2
            or sums.shape[1] != K):
        raise ValueError("z, u, t or sums do not fit the rows")
    check_rows(y, weights, order, &objective)
    sums[:] = 0
    if n == 0:
        return
    room = <double *> malloc(blocks * stride * sizeof(double))
    if room == NULL:
        raise MemoryError()
    if n * K < SHARED or not can_share():
        threads = 1
    cdef const double *targets = start_of(y)
    cdef const double *scale = start_of(weights)
    with nogil:
        for i in prange(blocks, schedule="static", num_threads=threads, use_threads_if=threads > 1):
            line_block(&objective, targets, scale, &order[0], i * rows, min((i + 1) * rows, n),
                       &z[0], &u[0], &t[0], room + i * stride + 2 * K, room + i * stride)
        for i in range(blocks):
            for k in range(K):
                sums[0, k] += room[i * stride + k]
                sums[1, k] += room[i * stride + K + k]
    free(room)


def curvatures(const double[::1] y not None, const double[::1] weights,
               const Py_ssize_t[::1] order not None, const double[::1] z not None,
               double[::1] out not None, Objective objective):
    """out <- weight * d2L/dz2 of each margin; for softmax the probabilities, of which its second
    derivatives are made.
    """
    cdef Py_ssize_t n = order.shape[0], K = objective.outputs, r, k, i
    cdef double weight
    if z.shape[0] != n * K or out.shape[0] != n * K:
        raise ValueError("z or out do not fit the rows")
    check_rows(y, weights, order, &objective)
    if n == 0:
        return
    cdef const double *targets = start_of(y)
    cdef const double *scale = start_of(weights)
    with nogil:
        for r in range(n):
            if objective.loss == SOFTMAX:
                i = <Py_ssize_t> targets[order[r]]
                softmax(&z[r * K], &out[r * K], K, i)
                out[r * K + i] += 1.0
                continue
            weight = weight_of(scale, order[r])
            for k in range(K):
                i = r * K + k
                if objective.width > 0:
                    out[i] = weight * rounded(objective.loss, objective.delta, objective.width,
                                              z[i], target(&objective, targets, order[r],
                                                           k)).curvature
                else:
                    out[i] = weight * curvature(objective.loss, objective.delta, z[i],
                                                target(&objective, targets, order[r], k), 0.0)


cdef int check_rows(const double[::1] y, const double[::1] weights, const Py_ssize_t[::1] order,
                    const Objective *objective) except -1:
    """Refuse row numbers outside y, and classes outside the outputs."""
    cdef Py_ssize_t n = y.shape[0] // (objective.outputs if objective.targets == VALUES else 1), r
    for r in range(order.shape[0]):
        if not 0 <= order[r] < n:
            raise ValueError(f"row {order[r]} is not one of the {n}")
    if weights is not None and weights.shape[0] != n:
        raise ValueError(f"there are {weights.shape[0]} weights for {n} rows")
    return 0
