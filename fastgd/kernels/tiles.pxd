"""Margins, slopes and gradient of a tile: rows that stay in cache while they are read twice, once
for the margins and once for the gradient.
"""
from cython cimport floating

from .data_term cimport Data, weight_at
from .losses cimport SOFTMAX, Objective, points, softmax, target
from .rows cimport (Row, Table, accumulate, lanes_add4, lanes_dot4, margins as row_margins,
                    row_at, row_work)

cdef enum:
    # Bytes of X in a tile: well below a second-level cache of 256 KiB. With several outputs a tile
    # is larger, so that their weights are loaded less often.
    TILE_BYTES = 49152
    WIDE_TILE_BYTES = 196608
    MAX_TILE_ROWS = 128
    # Bytes of the weights of all outputs that are processed at a time: half of a first-level cache
    # of 32 KiB, which also holds the rows.
    WEIGHT_BYTES = 16384

cdef struct Tile:
    const Py_ssize_t *order     # the numbers of its rows
    Py_ssize_t rows
    const Py_ssize_t *next      # the rows that are likely to follow, to be prefetched
    Py_ssize_t next_rows
    Py_ssize_t columns          # of dense rows, processed at a time

cdef struct TileBuffers:        # (rows, outputs) each
    double *z                   # margins
    double *y                   # targets
    double *value               # losses
    double *slope


cdef inline Py_ssize_t tile_rows(const Table *X, Py_ssize_t outputs) noexcept nogil:
    """The number of rows of a tile, a multiple of 4."""
    cdef Py_ssize_t size = TILE_BYTES if outputs == 1 else WIDE_TILE_BYTES
    size = <Py_ssize_t> (size / (X.itemsize * (row_work(X) + 1)))
    return max(4, min(size // 4 * 4, MAX_TILE_ROWS))


cdef inline Py_ssize_t tile_columns(const Table *X, Py_ssize_t outputs) noexcept nogil:
    """The number of columns of dense rows that are processed at a time, a multiple of 16: all, or
    equal parts of at most WEIGHT_BYTES of weights.
    """
    cdef Py_ssize_t parts = X.p * outputs * X.itemsize // WEIGHT_BYTES + 1
    return (X.p // parts // 16 + 1) * 16


cdef inline Py_ssize_t grouped_rows(const Table *X, const Tile *tile) noexcept nogil:
    """The number of rows processed in fours, which share the loads of the weights and gradient."""
    return tile.rows // 4 * 4 if X.indices == NULL else 0


cdef inline void four_rows(const Table *X, const Tile *tile, Py_ssize_t r, Py_ssize_t column,
                           const floating **x, const floating **next) noexcept nogil:
    """The addresses of four dense rows from the r-th on, and of the four to prefetch (the same rows
    if there are none), from `column` on.
    """
    cdef const floating *values = <const floating *> X.values + column
    cdef Py_ssize_t i
    for i in range(4):
        x[i] = values + tile.order[r + i] * X.p
        next[i] = values + tile.next[r + i] * X.p if r + i < tile.next_rows else x[i]


cdef inline void add_grouped_margins(const Table *X, const Tile *tile, const floating *theta,
                                     Py_ssize_t outputs, double *z) noexcept nogil:
    """z += X W' for the grouped rows."""
    cdef Py_ssize_t k, r, size, begin = 0, p = X.p, K = outputs, rows = grouped_rows(X, tile)
    cdef const floating *x[4]
    cdef const floating *next[4]
    while begin < p:
        size = min(tile.columns, p - begin)
        for r in range(0, rows, 4):
            four_rows(X, tile, r, begin, x, next)
            for k in range(0, K, 2):
                lanes_dot4(x, theta + k * p + begin, p, size, z + r * K + k, K,
                           <const floating **> (next if k == 0 else NULL), <int> min(2, K - k))
        begin += size


cdef inline void tile_margins(const Table *X, const Tile *tile, const floating *theta,
                              Py_ssize_t outputs, double *z) noexcept nogil:
    """z (rows, outputs) <- X W' + b"""
    cdef Py_ssize_t k, r, p = X.p, K = outputs, grouped = grouped_rows(X, tile)
    cdef const floating *b = theta + p * K
    cdef Row row
    for r in range(grouped, tile.rows):
        row = row_at(X, tile.order[r])
        row_margins(&row, theta, p, K, z + r * K)
    for r in range(tile.rows):
        for k in range(K):
            z[r * K + k] = (0.0 if r < grouped else z[r * K + k]) + b[k]
    add_grouped_margins(X, tile, theta, K, z)


cdef inline double tile_slopes(const Data *data, const Tile *tile, double scale,
                               const TileBuffers *at) noexcept nogil:
    """slope (rows, outputs) <- scale * weight * dL/dz; returns the sum of weight * loss."""
    cdef const Objective *objective = &data.objective
    cdef Py_ssize_t r, k, rows = tile.rows, K = objective.outputs
    cdef double loss = 0, weight
    if objective.loss == SOFTMAX:
        for r in range(rows):
            at.value[r] = softmax(at.z + r * K, at.slope + r * K, K,
                                  <Py_ssize_t> data.y[tile.order[r]])
    else:
        for r in range(rows):
            for k in range(K):
                at.y[r * K + k] = target(objective, data.y, tile.order[r], k)
        points(objective, at.z, at.y, at.value, at.slope, rows * K)
        for r in range(rows if K > 1 else 0):
            at.value[r] = at.value[r * K]
            for k in range(1, K):
                at.value[r] += at.value[r * K + k]
    for r in range(rows):
        weight = weight_at(data, tile.order[r])
        for k in range(K):
            at.slope[r * K + k] *= scale * weight
        loss += weight * at.value[r]
    return loss


cdef inline void tile_curvature_products(const Data *data, const Tile *tile,
                                         const double *curvatures, double scale,
                                         const TileBuffers *at) noexcept nogil:
    """slope (rows, outputs) <- scale * weight * d2L/dz2 z.

    `curvatures` (rows, outputs) holds weight * d2L/dz2; for softmax the probabilities p, of which
    the product p z - p (p z) is made.
    """
    cdef Py_ssize_t r, k, K = data.objective.outputs
    cdef const double *c = curvatures
    cdef double mean, weight
    if data.objective.loss != SOFTMAX:
        for r in range(tile.rows * K):
            at.slope[r] = scale * c[r] * at.z[r]
        return
    for r in range(tile.rows):
        mean = 0
        for k in range(K):
            mean += c[r * K + k] * at.z[r * K + k]
        weight = weight_at(data, tile.order[r])
        for k in range(K):
            at.slope[r * K + k] = scale * weight * c[r * K + k] * (at.z[r * K + k] - mean)


cdef inline void add_grouped_rows(const Table *X, const Tile *tile, const double *slope,
                                  Py_ssize_t outputs, floating *gradient) noexcept nogil:
    """gradient += slope' X for the grouped rows."""
    cdef Py_ssize_t k, r, size, begin = 0, p = X.p, K = outputs, rows = grouped_rows(X, tile)
    cdef const floating *x[4]
    cdef const floating *next[4]
    while begin < p:
        size = min(tile.columns, p - begin)
        for r in range(0, rows, 4):
            four_rows(X, tile, r, begin, x, next)
            for k in range(0, K, 2):
                lanes_add4(slope + r * K + k, K, x, gradient + k * p + begin, p, size,
                           <const floating *> (next[3] if k == 0 else NULL), <int> min(2, K - k))
        begin += size


cdef inline void tile_gradient(const Table *X, const Tile *tile, const double *slope,
                               Py_ssize_t outputs, floating *gradient) noexcept nogil:
    """gradient += [slope' X, sum of slope], the parts of the weights and of the intercepts."""
    cdef Py_ssize_t k, r, p = X.p, K = outputs
    cdef floating *b = gradient + p * K
    cdef floating total
    cdef Row row
    add_grouped_rows(X, tile, slope, K, gradient)
    for r in range(grouped_rows(X, tile), tile.rows):
        row = row_at(X, tile.order[r])
        accumulate(&row, 1.0, slope + r * K, gradient, p, K)
    for k in range(K):
        total = b[k]  # a local variable, which stays in a register
        for r in range(tile.rows):
            total += <floating> slope[r * K + k]
        b[k] = total
