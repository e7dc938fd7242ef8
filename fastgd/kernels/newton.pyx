"""What Newton's method computes from the margins alone, without a pass over X: curvatures, and the
objective along a line.

The rows are cut into blocks by their number alone and the sums of the blocks are added in order, so
the bits are the same for any number of threads.
"""
from cython.parallel cimport prange
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from .data_term cimport Data, DataTerm, weight_at
from .losses cimport SOFTMAX, Objective, curvature, points, softmax, target
from .smoothing cimport smoothed
from .threads cimport region_threads

cdef enum:
    BLOCK_MARGINS = 8192        # margins that a thread takes at a time
    TILE_MARGINS = 512          # with targets, losses and slopes 16 KiB, which stay in cache
    PARALLEL_MARGINS = 32768    # margins worth several threads


cdef void line_block(const Data *data, Py_ssize_t begin, Py_ssize_t end, const double *z,
                     const double *u, const double *t, double *buffer, double *sums) noexcept nogil:
    """sums (2, K) <- the sums of weight * loss at z + t u and of its derivative in t, over the rows
    from begin to end.
    """
    cdef const Objective *objective = &data.objective
    cdef Py_ssize_t K = objective.outputs, tile = max(TILE_MARGINS // K, 1), size, r, k, i, at
    cdef bint joint = objective.loss == SOFTMAX
    cdef double *margin = buffer
    cdef double *targets = buffer + tile * K
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
                    targets[i] = target(objective, data.y, data.order[begin + r], k)
            if joint:
                value[r * K] = softmax(margin + r * K, slope + r * K, K,
                                       <Py_ssize_t> data.y[data.order[begin + r]])
        if not joint:
            points(objective, margin, targets, value, slope, size * K)
        for r in range(size):
            weight = weight_at(data, data.order[begin + r])
            if joint:
                sums[0] += weight * value[r * K]
            for k in range(K):
                i = r * K + k
                if not joint:
                    sums[k] += weight * value[i]
                sums[K + (0 if joint else k)] += weight * slope[i] * u[at + i]
        begin += size


def along(DataTerm term not None, const double[::1] z not None, const double[::1] u not None,
          const double[::1] t not None, double[:, ::1] sums not None):
    """sums[0] <- the sum of weight * loss at the margins z + t u, sums[1] <- its derivative in t;
    for each output.

    z and u hold `outputs` numbers for each visit, t one for each output. The sums of softmax, whose
    outputs share one loss, are in column 0.
    """
    cdef Data data = term.data
    cdef Py_ssize_t n = data.visits, K = data.objective.outputs, rows = max(BLOCK_MARGINS // K, 1)
    cdef Py_ssize_t blocks = (n + rows - 1) // rows, i, k
    cdef Py_ssize_t stride = 4 * max(TILE_MARGINS // K, 1) * K + 2 * K
    cdef int threads = data.threads
    cdef double *buffer
    if (z.shape[0] != n * K or u.shape[0] != n * K or t.shape[0] != K or sums.shape[0] != 2
            or sums.shape[1] != K):
        raise ValueError("z, u, t or sums do not fit the rows")
    sums[:] = 0
    if n == 0:
        return
    buffer = <double *> malloc(blocks * stride * sizeof(double))
    if buffer == NULL:
        raise MemoryError()
    threads = 1 if n * K < PARALLEL_MARGINS else region_threads(threads)
    with nogil:
        for i in prange(blocks, schedule="static", num_threads=threads, use_threads_if=threads > 1):
            line_block(&data, i * rows, min((i + 1) * rows, n), &z[0], &u[0], &t[0],
                       buffer + i * stride + 2 * K, buffer + i * stride)
        for i in range(blocks):
            for k in range(K):
                sums[0, k] += buffer[i * stride + k]
                sums[1, k] += buffer[i * stride + K + k]
    free(buffer)


cdef void block_curvatures(const Data *data, Py_ssize_t begin, Py_ssize_t end, const double *z,
                           double *out) noexcept nogil:
    cdef const Objective *objective = &data.objective
    cdef Py_ssize_t K = objective.outputs, r, k, i
    cdef double weight, y
    for r in range(begin, end):
        if objective.loss == SOFTMAX:
            i = <Py_ssize_t> data.y[data.order[r]]
            softmax(&z[r * K], &out[r * K], K, i)
            out[r * K + i] += 1.0
            continue
        weight = weight_at(data, data.order[r])
        for k in range(K):
            i = r * K + k
            y = target(objective, data.y, data.order[r], k)
            if objective.smoothing > 0:
                out[i] = weight * smoothed(objective.loss, objective.delta, objective.smoothing,
                                           z[i], y).curvature
            else:
                out[i] = weight * curvature(objective.loss, objective.delta, z[i], y, 0.0)


def curvatures(DataTerm term not None, const double[::1] z not None, double[::1] out not None):
    """out <- weight * d2L/dz2 of each margin; for softmax the probabilities, which determine its
    second derivatives.
    """
    cdef Data data = term.data
    cdef Py_ssize_t n = data.visits, K = data.objective.outputs, rows = max(BLOCK_MARGINS // K, 1)
    cdef Py_ssize_t blocks = (n + rows - 1) // rows, i
    cdef int threads
    if z.shape[0] != n * K or out.shape[0] != n * K:
        raise ValueError("z or out do not fit the rows")
    if n == 0:
        return
    threads = 1 if n * K < PARALLEL_MARGINS else region_threads(data.threads)
    with nogil:
        for i in prange(blocks, schedule="static", num_threads=threads, use_threads_if=threads > 1):
            block_curvatures(&data, i * rows, min((i + 1) * rows, n), &z[0], &out[0])
