"""Mini-batch and full gradients, and an epoch of descent by them, on a team of threads.

The rows of a batch are cut into blocks (blocks.pxd), and each block into tiles that stay in cache
(tiles.pxd), so X is read from memory once.
"""
import numpy as np

from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from .blocks cimport SharedGradient, batch_gradient, block_count, worker
from .data_term cimport DataTerm, EpochSums
from .losses cimport Objective
from .penalty cimport keep_positive, penalty
from .rows cimport Row, Rows, Table, margins as row_margins, row_at, row_work, start_of
from .rules cimport SGD, Rule, add_noise, check_buffers, gradient_norms, update
from .signals cimport watch_end, watch_is_over, watch_start
from .threads cimport PARALLEL_WORK, region_threads, team_end, team_start
from .tiles cimport MAX_TILE_ROWS, Tile, tile_columns, tile_margins, tile_rows


cdef double gradient_norm(const floating *w, const floating *g, Py_ssize_t weights,
                          Py_ssize_t parameters, double l2) noexcept nogil:
    """|g + l2 w|, where the first `weights` entries are penalised."""
    cdef double total = 0, slope
    cdef Py_ssize_t j
    for j in range(parameters):
        slope = g[j] + (l2 * w[j] if j < weights else 0.0)
        total += slope * slope
    return sqrt(total)


cdef char *prepare(SharedGradient *shared, DataTerm term, Py_ssize_t itemsize,
                   Py_ssize_t parameters, Py_ssize_t batch_size) except NULL:
    """Check the parameters and fill `shared`; returns memory for the gradients of a batch's blocks,
    to be freed.
    """
    cdef Py_ssize_t outputs = term.data.objective.outputs, blocks, gradients
    cdef char *memory
    term.check(itemsize, parameters)
    shared.data = term.data
    shared.margins, shared.curvatures = NULL, NULL
    shared.parameters = parameters
    shared.tile_rows = tile_rows(shared.data.X, outputs)
    shared.tile_columns = tile_columns(shared.data.X, outputs)
    shared.stride = 4 * shared.tile_rows * outputs + 1
    blocks = block_count(shared.data.X, min(batch_size, shared.data.visits), outputs)
    gradients = (blocks * parameters * itemsize + 63) // 64 * 64
    memory = <char *> malloc(gradients + blocks * shared.stride * sizeof(double))
    if memory == NULL:
        raise MemoryError()
    shared.buffers = <double *> (memory + gradients)
    team_start(&shared.team)
    watch_start(&shared.watch)
    return memory


cdef inline int team_size(const SharedGradient *shared, Py_ssize_t batch_size) noexcept nogil:
    """The number of threads for which there is enough work. It does not change the result."""
    cdef Py_ssize_t outputs = shared.data.objective.outputs
    if shared.data.visits * row_work(shared.data.X) * outputs < PARALLEL_WORK:
        return 1
    return region_threads(min(shared.data.threads,
                              <int> block_count(shared.data.X, batch_size, outputs)))


def gradient(DataTerm term not None, const floating[::1] theta not None,
             floating[::1] out not None, double[::1] margins=None,
             const double[::1] curvatures=None):
    """out <- the mean gradient of the data term; returns the sum of weight * loss.

    `margins` receives X W' + b. With `curvatures` (those of newton.pyx, weights included) out
    receives the product of the Hessian and theta instead.
    """
    cdef Py_ssize_t size = term.data.visits, parameters = theta.shape[0], i, team
    cdef Py_ssize_t outputs = term.data.objective.outputs
    cdef double loss = 0
    cdef floating *gradients
    cdef SharedGradient shared
    if size == 0 or out.shape[0] != parameters:
        raise ValueError(f"there are no rows, or out has {out.shape[0]} entries and theta "
                         f"{parameters}")
    if ((margins is not None and margins.shape[0] != size * outputs)
            or (curvatures is not None and curvatures.shape[0] != size * outputs)):
        raise ValueError("margins or curvatures do not fit the rows")
    gradients = <floating *> prepare(&shared, term, sizeof(floating), parameters, size)
    shared.margins = <double *> start_of(margins)
    shared.curvatures = <const double *> start_of(curvatures)
    team = shared.members = team_size(&shared, size)
    with nogil:
        for i in prange(team, schedule="static", chunksize=1, num_threads=team,
                        use_threads_if=team > 1):
            if i == 0:
                loss += batch_gradient(&shared, shared.data.order, size, size, &theta[0], gradients)
                team_end(&shared.team)
            else:
                worker(&shared, &theta[0], gradients)
        memcpy(&out[0], gradients, parameters * sizeof(floating))
        if not shared.data.objective.intercept:
            memset(&out[parameters - outputs], 0, outputs * sizeof(floating))
    free(gradients)
    watch_end(&shared.watch)
    return loss


cdef void take_step(const Objective *objective, const Rule *rule, floating *theta, floating *g,
                    floating *first, floating *second, double *average, Py_ssize_t parameters,
                    Py_ssize_t size, double rate, Py_ssize_t t, Py_ssize_t skip,
                    EpochSums *sums) noexcept nogil:
    """Update theta by the rule, given the mean gradient g of a batch of `size` rows."""
    cdef Py_ssize_t K = objective.outputs, w = parameters - K, j
    cdef double l1 = objective.l1, l2 = objective.l2, intercept_cost = objective.intercept_cost
    sums.penalty += size * penalty(theta, w, K, l1, l2, intercept_cost)
    for j in range(K if intercept_cost != 0 else 0):
        g[w + j] += <floating> intercept_cost
    if rule.noise > 0:
        add_noise(rule, g, parameters, t + sums.updates)
    if not objective.intercept:
        memset(g + w, 0, K * sizeof(floating))
    if rule.kind != SGD:
        sums.gradient_norm += gradient_norm(theta, g, w, parameters, l2)
    update(rule, theta, g, first, second, w, rate, t + sums.updates, l1, l2)
    update(rule, theta + w, g + w, first + w if first != NULL else first,
           second + w if second != NULL else second, K, rate, t + sums.updates, 0.0, 0.0)
    if objective.positive:
        keep_positive(theta, w)
    sums.updates += 1
    if average != NULL and sums.updates > skip:
        for j in range(parameters):
            average[j] += theta[j]


cdef void descend(SharedGradient *shared, EpochSums *sums, floating *theta, floating *g,
                  floating *first, floating *second, double *average, const double *rates,
                  const Rule *rule, Py_ssize_t batch_size, Py_ssize_t t,
                  Py_ssize_t skip) noexcept nogil:
    """The leader's part of an epoch: the gradient of a batch and an update, batch after batch. The
    gradients of the blocks begin at g.
    """
    cdef Py_ssize_t begin = 0, size, visits = shared.data.visits
    cdef double rate
    while begin < visits:
        size, rate = min(batch_size, visits - begin), rates[sums.updates]
        sums.loss += batch_gradient(shared, shared.data.order + begin, size, visits - begin, theta,
                                    g)
        if watch_is_over(&shared.watch):
            return
        take_step(&shared.data.objective, rule, theta, g, first, second, average,
                  shared.parameters, size, rate, t, skip, sums)
        begin += size


def epoch(DataTerm term not None, floating[::1] theta not None, buffers, double[::1] average,
          const double[::1] rates not None, Rule rule, Py_ssize_t batch_size, Py_ssize_t t,
          Py_ssize_t skip):
    """Visit the rows, `batch_size` at a time, and leave the new weights in theta.

    `buffers` are the rule's two, None where it has none. The first update is the t-th. `average`
    (None: none) receives the sum of the iterates after the first `skip` updates. Returns the
    `EpochSums`.
    """
    cdef Py_ssize_t visits = term.data.visits, parameters = theta.shape[0], i, team
    cdef floating[::1] first = buffers[0], second = buffers[1]
    cdef EpochSums sums = EpochSums(0, 0, 0, 0)
    cdef double *mean = <double *> start_of(average)
    cdef floating *m = NULL if first is None else &first[0]
    cdef floating *a = NULL if second is None else &second[0]
    cdef floating *gradients
    cdef floating *start = NULL
    cdef SharedGradient shared
    if visits == 0:
        return sums
    if rates.shape[0] * batch_size < visits or (average is not None
                                                and average.shape[0] != parameters):
        raise ValueError("rates or average are too short")
    if (first is not None and first.shape[0] != parameters) or (second is not None
                                                                and second.shape[0] != parameters):
        raise ValueError(f"theta has {parameters} entries, the buffers must have as many")
    check_buffers(rule.kind, first is not None, second is not None)
    gradients = <floating *> prepare(&shared, term, sizeof(floating), parameters, batch_size)
    team = shared.members = team_size(&shared, min(batch_size, visits))
    if rule.kind == SGD:  # its steps determine the gradient norms
        start = <floating *> malloc(parameters * sizeof(floating))
        if start == NULL:
            free(gradients)
            raise MemoryError()
        memcpy(start, &theta[0], parameters * sizeof(floating))
    with nogil:
        for i in prange(team, schedule="static", chunksize=1, num_threads=team,
                        use_threads_if=team > 1):
            if i == 0:
                descend(&shared, &sums, &theta[0], gradients, m, a, mean, &rates[0], &rule,
                        batch_size, t, skip)
                team_end(&shared.team)
            else:
                worker(&shared, &theta[0], gradients)
    if start != NULL:
        sums.gradient_norm = gradient_norms(start, &theta[0], parameters, &rates[0], sums.updates)
    free(start)
    free(gradients)
    watch_end(&shared.watch)
    return sums


def step(DataTerm term not None, floating[::1] theta not None, floating[::1] gradient not None,
         buffers, double[::1] average, double rate, Rule rule, Py_ssize_t t, Py_ssize_t skip):
    """As an epoch with one batch of all rows, whose mean gradient is known; `gradient` is changed.
    Of the term only the objective and the number of visits are used.
    """
    cdef Py_ssize_t parameters = theta.shape[0]
    cdef floating[::1] first = buffers[0], second = buffers[1]
    cdef EpochSums sums = EpochSums(0, 0, 0, 0)
    cdef floating *m = NULL if first is None else &first[0]
    cdef floating *a = NULL if second is None else &second[0]
    cdef floating[::1] start = np.array(theta)
    if gradient.shape[0] != parameters or parameters < term.data.objective.outputs:
        raise ValueError(f"theta has {parameters} entries, the gradient {gradient.shape[0]}")
    if ((first is not None and first.shape[0] != parameters)
            or (second is not None and second.shape[0] != parameters)
            or (average is not None and average.shape[0] != parameters)):
        raise ValueError(f"theta has {parameters} entries, the buffers must have as many")
    check_buffers(rule.kind, first is not None, second is not None)
    take_step(&term.data.objective, &rule, &theta[0], &gradient[0], m, a,
              <double *> start_of(average), parameters, term.data.visits, rate, t, skip, &sums)
    if rule.kind == SGD:
        sums.gradient_norm = gradient_norms(&start[0], &theta[0], parameters, &rate, sums.updates)
    return sums


cdef void margins_of_tile(const Table *X, Py_ssize_t begin, Py_ssize_t most, const floating *theta,
                          Py_ssize_t outputs, double *z) noexcept nogil:
    """The margins of the tile that begins at row `begin`. One output is computed row by row, which
    reads memory in one stream.
    """
    cdef Py_ssize_t order[2 * MAX_TILE_ROWS]
    cdef Py_ssize_t r, rows = min(most, X.n - begin), next_rows = min(most, X.n - begin - rows)
    cdef Tile tile
    cdef Row row
    for r in range(rows if outputs == 1 else 0):
        row = row_at(X, begin + r)
        row_margins(&row, theta, X.p, outputs, z + r)
        z[r] += theta[X.p]
    if outputs == 1:
        return
    tile.order = &order[0]
    tile.rows = rows
    tile.next = &order[rows]
    tile.next_rows = next_rows
    tile.columns = tile_columns(X, outputs)
    for r in range(rows + next_rows):
        order[r] = begin + r
    tile_margins(X, &tile, theta, outputs, z)


def margins(Rows rows not None, const floating[::1] theta not None, Py_ssize_t outputs,
            double[::1] out not None, int threads):
    """out (n * outputs,) <- X W' + b"""
    cdef Table *X = &rows.table
    cdef Py_ssize_t i, n = X.n, tile = tile_rows(X, outputs), tiles = (n + tile - 1) // tile
    if (theta.shape[0] != outputs * (X.p + 1) or out.shape[0] != n * outputs
            or X.itemsize != sizeof(floating)):
        raise ValueError("theta or out do not fit X")
    threads = 1 if n * row_work(X) * outputs < PARALLEL_WORK else region_threads(threads)
    with nogil:
        for i in prange(tiles, schedule="static", num_threads=threads, use_threads_if=threads > 1):
            margins_of_tile(X, i * tile, tile, &theta[0], outputs, &out[i * tile * outputs])
