"""Mini-batch and full gradients, accumulated by OpenMP threads over fixed blocks of rows, and one epoch of descent by them.

Each block is walked in tiles that stay in cache: margins, slopes, scatter, so X comes from memory once. Blocks depend on sizes
alone and their sums are added in order: the bits are the same for any number of threads.
"""
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from .losses cimport SOFTMAX, VALUES, Objective, points, softmax, target
from .penalty cimport penalty
from .rows cimport Row, Rows, Table, accumulate, dense_add4, lanes_dot4, margins as row_margins, row_at, start_of
from .rules cimport SGD, Rule, update

cdef enum:
    MOST_BLOCKS = 64
    BLOCK_WORK = 32768          # multiplications that are worth a block of their own
    TILE_BYTES = 49152          # of X, to be read twice
    MOST_TILE = 128             # rows

cdef struct Sums:               # over the epoch's visits
    double loss                 # of weight * loss
    double penalty              # of the penalty at the weights each row met
    double gradient_norm        # sum of |gradient| over the updates (0 for plain SGD: its steps tell)
    Py_ssize_t updates

cdef struct Scratch:            # of one block
    double *z
    double *y
    double *value
    double *slope


cdef inline double row_work(const Table *X) noexcept nogil:
    """Mean number of stored entries a row."""
    if X.indices == NULL:
        return X.p
    return <double> ((<const int64_t *> X.indptr)[X.n] if X.index_size == 8 else (<const int32_t *> X.indptr)[X.n]) / max(X.n, 1)


cdef inline Py_ssize_t blocks_of(const Table *X, Py_ssize_t rows, Py_ssize_t outputs) noexcept nogil:
    """How many blocks a batch is cut into: a power of two, so small that adding the blocks up stays cheap."""
    cdef double work = rows * row_work(X) * outputs
    cdef Py_ssize_t blocks = 1
    while (blocks < MOST_BLOCKS and 2 * blocks * BLOCK_WORK <= work and 64 * blocks <= rows
           and 16.0 * blocks * outputs * X.p <= work):
        blocks *= 2
    return blocks


cdef inline Py_ssize_t tile_of(const Table *X) noexcept nogil:
    """Rows a tile, a multiple of 4."""
    cdef Py_ssize_t rows = <Py_ssize_t> (TILE_BYTES / (X.itemsize * (row_work(X) + 1))) // 4 * 4
    return max(4, min(rows, MOST_TILE))


cdef void tile_margins(const Table *X, const Py_ssize_t *order, Py_ssize_t rows, const floating *theta, Py_ssize_t outputs,
                       double *z) noexcept nogil:
    """z (rows, outputs) = X W' + b; four dense rows at a time, so that W is loaded once for four."""
    cdef Py_ssize_t i, k, r = 0, p = X.p, K = outputs
    cdef const floating *b = theta + p * K
    cdef floating four[4]
    cdef Row row
    cdef const floating *x[4]
    while r < rows:
        if X.indices == NULL and r + 4 <= rows:
            for i in range(4):
                row = row_at(X, order[r + i])
                x[i] = <const floating *> row.values
            for k in range(K):
                lanes_dot4(x[0], x[1], x[2], x[3], theta + k * p, p, four)
                for i in range(4):
                    z[(r + i) * K + k] = four[i] + b[k]
            r += 4
        else:
            row = row_at(X, order[r])
            row_margins(&row, theta, p, K, z + r * K)
            for k in range(K):
                z[r * K + k] += b[k]
            r += 1


cdef double tile_slopes(const Objective *objective, const double *y, const double *weights, const Py_ssize_t *order,
                        Py_ssize_t rows, const Scratch *at) noexcept nogil:
    """slope (rows, outputs) = weight * dL/dz; returns the sum of weight * loss."""
    cdef Py_ssize_t r, k, K = objective.outputs
    cdef double loss = 0, weight = 1
    if objective.loss == SOFTMAX:
        for r in range(rows):
            at.value[r] = softmax(at.z + r * K, at.slope + r * K, K, <Py_ssize_t> y[order[r]])
    else:
        for r in range(rows):
            for k in range(K):
                at.y[r * K + k] = target(objective, y, order[r], k)
        points(objective, at.z, at.y, at.value, at.slope, rows * K)
        for r in range(rows if K > 1 else 0):
            at.value[r] = at.value[r * K]
            for k in range(1, K):
                at.value[r] += at.value[r * K + k]
    for r in range(rows):
        if weights != NULL:
            weight = weights[order[r]]
            for k in range(K):
                at.slope[r * K + k] *= weight
        loss += weight * at.value[r]
    return loss


cdef void tile_scatter(const Table *X, const Py_ssize_t *order, Py_ssize_t rows, double scale, const double *slope,
                       Py_ssize_t outputs, floating *gradient) noexcept nogil:
    """gradient += scale * slope' X, and its intercept part."""
    cdef Py_ssize_t i, k, r = 0, p = X.p, K = outputs
    cdef floating *b = gradient + p * K
    cdef floating four[4]
    cdef Row row
    cdef const floating *x[4]
    while r < rows:
        if X.indices == NULL and r + 4 <= rows:
            for i in range(4):
                row = row_at(X, order[r + i])
                x[i] = <const floating *> row.values
            for k in range(K):
                for i in range(4):
                    four[i] = <floating> (scale * slope[(r + i) * K + k])
                dense_add4(four, x[0], x[1], x[2], x[3], gradient + k * p, p)
                b[k] += (four[0] + four[1]) + (four[2] + four[3])
            r += 4
        else:
            row = row_at(X, order[r])
            accumulate(&row, scale, slope + r * K, gradient, p, K)
            for k in range(K):
                b[k] += <floating> (scale * slope[r * K + k])
            r += 1


cdef double block_gradient(const Table *X, const double *y, const double *weights, const Py_ssize_t *order, Py_ssize_t rows,
                           const floating *theta, const Objective *objective, double scale, floating *gradient,
                           double *memory) noexcept nogil:
    """gradient = scale * sum over the rows, tile after tile; returns the sum of weight * loss."""
    cdef Py_ssize_t begin = 0, size, K = objective.outputs, tile = tile_of(X)
    cdef double loss = 0
    cdef Scratch at = Scratch(memory, memory + tile * K, memory + 2 * tile * K, memory + 3 * tile * K)
    memset(gradient, 0, K * (X.p + 1) * sizeof(floating))
    while begin < rows:
        size = min(tile, rows - begin)
        tile_margins(X, order + begin, size, theta, K, at.z)
        loss += tile_slopes(objective, y, weights, order + begin, size, &at)
        tile_scatter(X, order + begin, size, scale, at.slope, K, gradient)
        begin += size
    return loss


cdef void add_blocks(floating *blocks, Py_ssize_t count, Py_ssize_t stride, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """blocks[0] += blocks[1] + ..., in this order, for the entries begin to end."""
    cdef Py_ssize_t i, j
    for i in range(1, count):
        for j in range(begin, end):
            blocks[j] += blocks[i * stride + j]


cdef double batch_gradient(const Table *X, const double *y, const double *weights, const Py_ssize_t *order, Py_ssize_t rows,
                           const floating *theta, const Objective *objective, floating *blocks, double *memory,
                           int threads) noexcept nogil:
    """Mean gradient of the data term over `rows` rows, left in blocks[0]; returns the sum of weight * loss."""
    cdef Py_ssize_t count = blocks_of(X, rows, objective.outputs), parameters = objective.outputs * (X.p + 1)
    cdef Py_ssize_t stride = 4 * tile_of(X) * objective.outputs
    cdef Py_ssize_t i, chunk = 8192, chunks = (parameters + 8191) // 8192
    cdef double *losses = memory + count * stride
    cdef double scale = 1.0 / rows, loss = 0
    if count == 1:
        return block_gradient(X, y, weights, order, rows, theta, objective, scale, blocks, memory)
    for i in prange(count, schedule="dynamic", num_threads=threads):
        losses[i] = block_gradient(X, y, weights, order + rows * i // count, rows * (i + 1) // count - rows * i // count,
                                   theta, objective, scale, blocks + i * parameters, memory + i * stride)
    if chunks == 1:
        add_blocks(blocks, count, parameters, 0, parameters)
    else:
        for i in prange(chunks, schedule="static", num_threads=threads):
            add_blocks(blocks, count, parameters, i * chunk, min((i + 1) * chunk, parameters))
    for i in range(count):
        loss += losses[i]
    return loss


cdef double gradient_norm(const floating *w, const floating *g, Py_ssize_t weights, Py_ssize_t parameters,
                          double l2) noexcept nogil:
    """|g + l2 w|, of which the first `weights` entries are penalised."""
    cdef double total = 0, slope
    cdef Py_ssize_t j
    for j in range(parameters):
        slope = g[j] + (l2 * w[j] if j < weights else 0.0)
        total += slope * slope
    return sqrt(total)


cdef int check(Rows rows, Py_ssize_t itemsize, Py_ssize_t parameters, const double[::1] y, const double[::1] weights,
               const Py_ssize_t[::1] order, const Objective *objective) except -1:
    cdef Py_ssize_t targets = y.shape[0] // (objective.outputs if objective.targets == VALUES else 1)
    return rows.fit(itemsize, parameters, objective.outputs, targets, weights, order)


cdef char *workspace(const Table *X, Py_ssize_t rows, Py_ssize_t outputs, double **memory) except NULL:
    """Room for the blocks' gradients of a batch of `rows` rows, and behind it for their `memory`; to be freed."""
    cdef Py_ssize_t blocks = blocks_of(X, rows, outputs)
    cdef Py_ssize_t gradients = (blocks * outputs * (X.p + 1) * X.itemsize + 63) // 64 * 64
    cdef char *room = <char *> malloc(gradients + blocks * (4 * tile_of(X) * outputs + 1) * sizeof(double))
    if room == NULL:
        raise MemoryError()
    memory[0] = <double *> (room + gradients)
    return room


def gradient(Rows rows not None, const double[::1] y not None, const double[::1] weights, const Py_ssize_t[::1] order not None,
             const floating[::1] theta not None, floating[::1] out not None, Objective objective, int threads):
    """out <- mean gradient of the data term over the rows in `order`; returns the sum of weight * loss."""
    cdef Py_ssize_t size = order.shape[0], parameters = theta.shape[0]
    cdef const double *s = start_of(weights)
    cdef double loss
    cdef double *memory
    cdef floating *blocks
    check(rows, sizeof(floating), parameters, y, weights, order, &objective)
    if size == 0 or out.shape[0] != parameters:
        raise ValueError(f"order is empty, or out has {out.shape[0]} entries and theta {parameters}")
    blocks = <floating *> workspace(&rows.table, size, objective.outputs, &memory)
    with nogil:
        loss = batch_gradient(&rows.table, &y[0], s, &order[0], size, &theta[0], &objective, blocks, memory, threads)
        memcpy(&out[0], blocks, parameters * sizeof(floating))
        if not objective.intercept:
            memset(&out[parameters - objective.outputs], 0, objective.outputs * sizeof(floating))
    free(blocks)
    return loss


def epoch(Rows rows not None, const double[::1] y not None, const double[::1] weights, const Py_ssize_t[::1] order not None,
          floating[::1] theta not None, floating[::1] first, floating[::1] second, double[::1] average,
          const double[::1] rates not None, Objective objective, Rule rule, Py_ssize_t batch_size, Py_ssize_t t,
          Py_ssize_t skip, int threads):
    """Visit the rows in `order`, `batch_size` at a time, and leave the new weights in theta.

    `first`, `second` are the rule's buffers (None where it has none); the first update is the t-th; averaging starts after `skip`
    updates and `average` receives the sum of the iterates. Returns the `Sums` over the visits.
    """
    cdef Py_ssize_t outputs = objective.outputs, visits = order.shape[0], parameters = theta.shape[0], w = parameters - outputs
    cdef Py_ssize_t begin = 0, size, j
    cdef Sums sums = Sums(0, 0, 0, 0)
    cdef const double *s = start_of(weights)
    cdef floating *current = &theta[0]
    cdef floating *m = NULL if first is None else &first[0]
    cdef floating *a = NULL if second is None else &second[0]
    cdef double *memory
    cdef floating *g
    cdef double rate
    check(rows, sizeof(floating), parameters, y, weights, order, &objective)
    if rates.shape[0] * batch_size < visits or (average is not None and average.shape[0] != parameters):
        raise ValueError("rates or average are too short")
    if (first is not None and first.shape[0] != parameters) or (second is not None and second.shape[0] != parameters):
        raise ValueError(f"theta has {parameters} entries, the buffers must have as many")
    g = <floating *> workspace(&rows.table, min(batch_size, visits), outputs, &memory)
    with nogil:
        while begin < visits:
            size, rate = min(batch_size, visits - begin), rates[sums.updates]
            sums.loss += batch_gradient(&rows.table, &y[0], s, &order[begin], size, current, &objective, g, memory, threads)
            sums.penalty += size * penalty(current, w, objective.l1, objective.l2)
            if not objective.intercept:
                memset(g + w, 0, outputs * sizeof(floating))
            if rule.kind != SGD:
                sums.gradient_norm += gradient_norm(current, g, w, parameters, objective.l2)
            update(&rule, current, g, m, a, w, rate, t + sums.updates, objective.l1, objective.l2)
            update(&rule, current + w, g + w, m + w, a + w, outputs, rate, t + sums.updates, 0.0, 0.0)
            sums.updates += 1
            if average is not None and sums.updates > skip:
                for j in range(parameters):
                    average[j] += current[j]
            begin += size
    free(g)
    return sums


cdef void range_margins(const Table *X, Py_ssize_t begin, Py_ssize_t rows, const floating *theta, Py_ssize_t outputs,
                        double *z) noexcept nogil:
    cdef Py_ssize_t order[MOST_TILE]
    cdef Py_ssize_t r
    for r in range(rows):
        order[r] = begin + r
    tile_margins(X, order, rows, theta, outputs, z)


def margins(Rows rows not None, const floating[::1] theta not None, Py_ssize_t outputs, double[::1] out not None, int threads):
    """out (n * outputs,) <- X W' + b."""
    cdef Table *X = &rows.table
    cdef Py_ssize_t i, n = X.n, tile = tile_of(X), tiles = (n + tile - 1) // tile
    if theta.shape[0] != outputs * (X.p + 1) or out.shape[0] != n * outputs or X.itemsize != sizeof(floating):
        raise ValueError("theta or out do not fit X")
    if n * row_work(X) * outputs < 2 * BLOCK_WORK:
        threads = 1
    with nogil:
        for i in prange(tiles, schedule="static", num_threads=threads, use_threads_if=threads > 1):
            range_margins(X, i * tile, min(tile, n - i * tile), &theta[0], outputs, &out[i * tile * outputs])
