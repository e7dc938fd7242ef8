"""Mini-batch and full gradients, accumulated by OpenMP threads over fixed blocks of rows, and one
epoch of descent by them.

Each block is walked in tiles that stay in cache: margins, slopes, scatter, so X comes from memory
once. Blocks depend on sizes alone and their sums are added in order: the bits are the same for any
number of threads.
"""
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from .data_term cimport Data, DataTerm, weight_at
from .losses cimport SOFTMAX, Objective, points, softmax, target
from .penalty cimport keep_positive, penalty
from .rows cimport (Row, Rows, Table, accumulate, lanes_add4, lanes_dot4, margins as row_margins,
                    row_at, row_work, start_of)
from .rules cimport SGD, Rule, add_noise, check_buffers, gradient_norms, update
from .signals cimport Watch, watch_end, watch_is_over, watch_start, watch_work
from .threads cimport (Team, can_share, team_claim, team_end, team_finish_block, team_is_done,
                       team_is_over, team_post, team_rest, team_start)

cdef enum:
    MOST_BLOCKS = 64
    BLOCK_WORK = 32768          # multiplications that are worth a block of their own
    TEAM_WORK = 524288          # multiplications that are worth a team: a tenth of a millisecond
    TILE_BYTES = 49152          # of X, to be read twice
    # of X, to be read twice for several outputs, whose weights are then loaded seldom
    WIDE_TILE_BYTES = 196608
    MOST_TILE = 128             # rows
    # of all outputs' weights, to stay in the first-level cache with the rows they meet
    NEAR_BYTES = 16384
    RANGE = 8192                # parameters that are added up at a time
    PAUSE_WORK = 200            # multiplications that a pause of the waiting leader's is as long as

cdef struct Sums:               # over the epoch's visits
    double loss                 # of weight * loss
    double penalty              # of the penalty at the weights each row met
    double gradient_norm        # over the updates, of |gradient|
    Py_ssize_t updates

cdef struct Scratch:            # of one block
    double *z
    double *y
    double *value
    double *slope

cdef struct Tile:               # rows that are worked on together
    const Py_ssize_t *order
    Py_ssize_t rows
    const Py_ssize_t *next      # the rows likely to follow, to be fetched on the way, and how many
    Py_ssize_t later
    Py_ssize_t columns          # of dense rows that are worked on together

cdef struct Run:                # what the members of a team share
    Team team
    Watch watch                 # the leader's
    Data data
    const Py_ssize_t *order     # the rows of the batch at hand, and how many
    Py_ssize_t rows
    Py_ssize_t visits           # from the batch at hand to the end of the epoch
    Py_ssize_t blocks           # that the batch is cut into
    int members                 # of the team
    Py_ssize_t parameters
    Py_ssize_t tile             # rows a tile
    Py_ssize_t columns          # of dense rows that are worked on together
    # doubles of scratch a block: the four arrays of a tile, and the block's loss
    Py_ssize_t stride
    double *memory              # the blocks' scratch and losses
    double *margins             # of all rows, to be kept; NULL: nobody asks
    # of all margins: the slopes are those of the quadratic model, linear in theta; NULL: of the
    # loss
    const double *curvatures
    # the job at hand: adding the blocks' gradients up, a range of parameters each
    bint adding


cdef inline Py_ssize_t blocks_of(const Table *X, Py_ssize_t rows,
                                 Py_ssize_t outputs) noexcept nogil:
    """How many blocks a batch is cut into: a power of two, so small that adding the blocks up stays
    cheap.
    """
    cdef double work = rows * row_work(X) * outputs
    cdef Py_ssize_t blocks = 1
    while (blocks < MOST_BLOCKS and 2 * blocks * BLOCK_WORK <= work and 64 * blocks <= rows
           and 16.0 * blocks * outputs * X.p <= work):
        blocks *= 2
    return blocks


cdef inline Py_ssize_t tile_of(const Table *X, Py_ssize_t outputs) noexcept nogil:
    """Rows a tile, a multiple of 4."""
    cdef Py_ssize_t size = TILE_BYTES if outputs == 1 else WIDE_TILE_BYTES
    return max(4, min(<Py_ssize_t> (size / (X.itemsize * (row_work(X) + 1))) // 4 * 4, MOST_TILE))


cdef inline Py_ssize_t columns_of(const Table *X, Py_ssize_t outputs) noexcept nogil:
    """Columns of dense rows that are worked on together, a multiple of 16: all, or equal parts
    where the weights are many.
    """
    cdef Py_ssize_t parts = X.p * outputs * X.itemsize // NEAR_BYTES + 1
    return (X.p // parts // 16 + 1) * 16


cdef inline Py_ssize_t fours_of(const Table *X, const Tile *tile) noexcept nogil:
    """The rows of a tile that are worked on four at a time: W and the gradient are then loaded once
    for four.
    """
    return tile.rows // 4 * 4 if X.indices == NULL else 0


cdef inline void four_rows(const Table *X, const Tile *tile, Py_ssize_t r, Py_ssize_t column,
                           const floating **x, const floating **later) noexcept nogil:
    """The tile's rows from the r-th on, and those to be fetched (themselves, where none is known),
    each from `column` on.
    """
    cdef const floating *values = <const floating *> X.values + column
    cdef Py_ssize_t i
    for i in range(4):
        x[i] = values + tile.order[r + i] * X.p
        later[i] = values + tile.next[r + i] * X.p if r + i < tile.later else x[i]


cdef void dense_margins(const Table *X, const Tile *tile, const floating *theta, Py_ssize_t outputs,
                        double *z) noexcept nogil:
    """z += X W' for the rows that come in fours."""
    cdef Py_ssize_t k, r, size, begin = 0, p = X.p, K = outputs, fours = fours_of(X, tile)
    cdef const floating *x[4]
    cdef const floating *later[4]
    while begin < p:
        size = min(tile.columns, p - begin)
        for r in range(0, fours, 4):
            four_rows(X, tile, r, begin, x, later)
            for k in range(0, K, 2):
                lanes_dot4(x, theta + k * p + begin, p, size, z + r * K + k, K,
                           <const floating **> (later if k == 0 else NULL), <int> min(2, K - k))
        begin += size


cdef void tile_margins(const Table *X, const Tile *tile, const floating *theta, Py_ssize_t outputs,
                       double *z) noexcept nogil:
    """z (rows, outputs) = X W' + b"""
    cdef Py_ssize_t k, r, p = X.p, K = outputs, fours = fours_of(X, tile)
    cdef const floating *b = theta + p * K
    cdef Row row
    for r in range(fours, tile.rows):
        row = row_at(X, tile.order[r])
        row_margins(&row, theta, p, K, z + r * K)
    for r in range(tile.rows):
        for k in range(K):
            z[r * K + k] = (0.0 if r < fours else z[r * K + k]) + b[k]
    dense_margins(X, tile, theta, K, z)


cdef double tile_slopes(const Data *data, const Tile *tile, double scale,
                        const Scratch *at) noexcept nogil:
    """slope (rows, outputs) = scale * weight * dL/dz; returns the sum of weight * loss."""
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


cdef void tile_curves(const Run *run, Py_ssize_t begin, Py_ssize_t rows, double scale,
                      const Scratch *at) noexcept nogil:
    """slope (rows, outputs) = scale * d2L/dz2 z: for softmax scale * weight * (p z - p (p z)), p
    its probabilities.
    """
    cdef Py_ssize_t r, k, K = run.data.objective.outputs
    cdef const double *c = run.curvatures + begin * K
    cdef double mean, weight
    if run.data.objective.loss != SOFTMAX:
        for r in range(rows * K):
            at.slope[r] = scale * c[r] * at.z[r]
        return
    for r in range(rows):
        mean = 0
        for k in range(K):
            mean += c[r * K + k] * at.z[r * K + k]
        weight = weight_at(&run.data, run.order[begin + r])
        for k in range(K):
            at.slope[r * K + k] = scale * weight * c[r * K + k] * (at.z[r * K + k] - mean)


cdef void dense_scatter(const Table *X, const Tile *tile, const double *slope, Py_ssize_t outputs,
                        floating *gradient) noexcept nogil:
    """gradient += slope' X for the rows that come in fours."""
    cdef Py_ssize_t k, r, size, begin = 0, p = X.p, K = outputs, fours = fours_of(X, tile)
    cdef const floating *x[4]
    cdef const floating *later[4]
    while begin < p:
        size = min(tile.columns, p - begin)
        for r in range(0, fours, 4):
            four_rows(X, tile, r, begin, x, later)
            for k in range(0, K, 2):
                lanes_add4(slope + r * K + k, K, x, gradient + k * p + begin, p, size,
                           <const floating *> (later[3] if k == 0 else NULL), <int> min(2, K - k))
        begin += size


cdef void tile_scatter(const Table *X, const Tile *tile, const double *slope, Py_ssize_t outputs,
                       floating *gradient) noexcept nogil:
    """gradient += slope' X, and its intercept part."""
    cdef Py_ssize_t k, r, p = X.p, K = outputs
    cdef floating *b = gradient + p * K
    cdef floating total
    cdef Row row
    dense_scatter(X, tile, slope, K, gradient)
    for r in range(fours_of(X, tile), tile.rows):
        row = row_at(X, tile.order[r])
        accumulate(&row, 1.0, slope + r * K, gradient, p, K)
    for k in range(K):
        total = b[k]  # in a register: the next row waits for it
        for r in range(tile.rows):
            total += <floating> slope[r * K + k]
        b[k] = total


cdef inline Py_ssize_t block_begin(const Run *run, Py_ssize_t number) noexcept nogil:
    return run.rows * number // run.blocks


cdef double block_gradient(Run *run, Py_ssize_t number, const floating *theta, floating *gradient,
                           bint leads) noexcept nogil:
    """gradient = sum over the block's rows / rows of the batch, tile after tile; returns the sum of
    weight * loss.

    After the last tile its thread is likely to meet the block as many blocks on as there are
    threads, be it of the next batch.
    """
    cdef const Table *X = run.data.X
    cdef Py_ssize_t K = run.data.objective.outputs, most = run.tile
    cdef Py_ssize_t begin = block_begin(run, number), end = block_begin(run, number + 1)
    cdef Py_ssize_t this, next
    cdef double work = row_work(X) * K
    cdef double *memory = run.memory + number * run.stride
    cdef Scratch at = Scratch(memory, memory + most * K, memory + 2 * most * K, memory + 3 * most
                              * K)
    cdef double loss = 0
    cdef Tile tile
    tile.columns = run.columns
    memset(gradient, 0, run.parameters * sizeof(floating))
    while begin < end and not watch_is_over(&run.watch):
        tile.order, tile.rows = run.order + begin, min(most, end - begin)
        this = begin
        begin += tile.rows
        next = begin if begin < end else block_begin(run, number + run.members)
        tile.next, tile.later = run.order + next, min(most, (end if begin < end else run.visits)
                                                      - next)
        tile_margins(X, &tile, theta, K, at.z)
        if run.margins != NULL:
            memcpy(run.margins + this * K, at.z, tile.rows * K * sizeof(double))
        if run.curvatures != NULL:
            tile_curves(run, this, tile.rows, 1.0 / run.rows, &at)
        else:
            loss += tile_slopes(&run.data, &tile, 1.0 / run.rows, &at)
        tile_scatter(X, &tile, at.slope, K, gradient)
        if leads:
            watch_work(&run.watch, <long long> (tile.rows * work))
    memory[run.stride - 1] = loss
    return loss


cdef void add_blocks(const Run *run, Py_ssize_t number, floating *blocks) noexcept nogil:
    """blocks[0] += blocks[1] + ..., in this order, for one range of the parameters."""
    cdef Py_ssize_t i, j, begin = number * RANGE, end = min(begin + RANGE, run.parameters)
    for i in range(1, run.blocks):
        for j in range(begin, end):
            blocks[j] += blocks[i * run.parameters + j]


cdef void do_blocks(Run *run, const floating *theta, floating *blocks, bint leads) noexcept nogil:
    """Do blocks of the job at hand until none is left."""
    cdef Py_ssize_t number = team_claim(&run.team)
    while number >= 0:
        if run.adding:
            add_blocks(run, number, blocks)
        else:
            block_gradient(run, number, theta, blocks + number * run.parameters, leads)
        team_finish_block(&run.team)
        number = team_claim(&run.team)


cdef void share_out(Run *run, bint adding, Py_ssize_t count, const floating *theta,
                    floating *blocks) noexcept nogil:
    """Post a job, lend a hand, and see it done."""
    cdef int pauses = 0
    run.adding = adding
    team_post(&run.team, count)
    do_blocks(run, theta, blocks, True)
    while not team_is_done(&run.team):
        team_rest(&pauses)
        watch_work(&run.watch, PAUSE_WORK)


cdef double batch_gradient(Run *run, const Py_ssize_t *order, Py_ssize_t rows, Py_ssize_t visits,
                           const floating *theta, floating *blocks) noexcept nogil:
    """Mean gradient of the data term over a batch, left in blocks[0]; returns the sum of weight *
    loss.
    """
    cdef Py_ssize_t i
    cdef double loss = 0
    run.order = order
    run.rows = rows
    run.visits = visits
    run.blocks = blocks_of(run.data.X, rows, run.data.objective.outputs)
    if run.blocks == 1:
        return block_gradient(run, 0, theta, blocks, True)
    share_out(run, False, run.blocks, theta, blocks)
    share_out(run, True, (run.parameters + RANGE - 1) // RANGE, theta, blocks)
    for i in range(run.blocks):
        loss += run.memory[(i + 1) * run.stride - 1]
    return loss


cdef void assist(Run *run, const floating *theta, floating *blocks) noexcept nogil:
    """What all members of a team but the leader do until it is over."""
    cdef int pauses = 0
    while not team_is_over(&run.team):
        do_blocks(run, theta, blocks, False)
        team_rest(&pauses)


cdef double gradient_norm(const floating *w, const floating *g, Py_ssize_t weights,
                          Py_ssize_t parameters, double l2) noexcept nogil:
    """|g + l2 w|, of which the first `weights` entries are penalised."""
    cdef double total = 0, slope
    cdef Py_ssize_t j
    for j in range(parameters):
        slope = g[j] + (l2 * w[j] if j < weights else 0.0)
        total += slope * slope
    return sqrt(total)


cdef char *prepare(Run *run, DataTerm term, Py_ssize_t itemsize, Py_ssize_t parameters,
                   Py_ssize_t batch_size) except NULL:
    """Check and fill a run; returns room for the gradients of a batch's blocks, to be freed."""
    cdef Py_ssize_t outputs = term.data.objective.outputs, blocks, gradients
    cdef char *room
    term.check(itemsize, parameters)
    run.data = term.data
    run.margins, run.curvatures = NULL, NULL
    run.parameters = parameters
    run.tile, run.columns = tile_of(run.data.X, outputs), columns_of(run.data.X, outputs)
    run.stride = 4 * run.tile * outputs + 1
    blocks = blocks_of(run.data.X, min(batch_size, run.data.visits), outputs)
    gradients = (blocks * parameters * itemsize + 63) // 64 * 64
    room = <char *> malloc(gradients + blocks * run.stride * sizeof(double))
    if room == NULL:
        raise MemoryError()
    run.memory = <double *> (room + gradients)
    team_start(&run.team)
    watch_start(&run.watch)
    return room


cdef inline int members(const Run *run, Py_ssize_t batch_size) noexcept nogil:
    """Threads that find enough to do to be called together. (How many never changes a result.)"""
    cdef Py_ssize_t outputs = run.data.objective.outputs
    if not can_share() or run.data.visits * row_work(run.data.X) * outputs < TEAM_WORK:
        return 1
    return min(run.data.threads, <int> blocks_of(run.data.X, batch_size, outputs))


def gradient(DataTerm term not None, const floating[::1] theta not None,
             floating[::1] out not None, double[::1] margins=None,
             const double[::1] curvatures=None):
    """out <- mean gradient of the data term; returns the sum of weight * loss.

    `margins` receives X W' + b. With `curvatures` (see newton.pyx; they hold the weights) out <-
    the Hessian times theta instead.
    """
    cdef Py_ssize_t size = term.data.visits, parameters = theta.shape[0], i, team
    cdef Py_ssize_t outputs = term.data.objective.outputs
    cdef double loss = 0
    cdef floating *blocks
    cdef Run run
    if size == 0 or out.shape[0] != parameters:
        raise ValueError(f"there are no rows, or out has {out.shape[0]} entries and theta "
                         f"{parameters}")
    if ((margins is not None and margins.shape[0] != size * outputs)
            or (curvatures is not None and curvatures.shape[0] != size * outputs)):
        raise ValueError("margins or curvatures do not fit the rows")
    blocks = <floating *> prepare(&run, term, sizeof(floating), parameters, size)
    run.margins = <double *> start_of(margins)
    run.curvatures = <const double *> start_of(curvatures)
    team = run.members = members(&run, size)
    with nogil:
        for i in prange(team, schedule="static", chunksize=1, num_threads=team,
                        use_threads_if=team > 1):
            if i == 0:
                loss += batch_gradient(&run, run.data.order, size, size, &theta[0], blocks)
                team_end(&run.team)
            else:
                assist(&run, &theta[0], blocks)
        memcpy(&out[0], blocks, parameters * sizeof(floating))
        if not run.data.objective.intercept:
            memset(&out[parameters - outputs], 0, outputs * sizeof(floating))
    free(blocks)
    watch_end(&run.watch)
    return loss


cdef void descend(Run *run, Sums *sums, floating *theta, floating *g, floating *first,
                  floating *second, double *average, const double *rates, const Rule *rule,
                  Py_ssize_t batch_size, Py_ssize_t t, Py_ssize_t skip) noexcept nogil:
    """What the leader does: batch after batch, gradient and update. g is the first of the blocks'
    gradients.
    """
    cdef Py_ssize_t begin = 0, size, j, K = run.data.objective.outputs, w = run.parameters - K
    cdef Py_ssize_t visits = run.data.visits
    cdef double l1 = run.data.objective.l1, l2 = run.data.objective.l2, rate
    while begin < visits:
        size, rate = min(batch_size, visits - begin), rates[sums.updates]
        sums.loss += batch_gradient(run, run.data.order + begin, size, visits - begin, theta, g)
        if watch_is_over(&run.watch):
            return
        sums.penalty += size * penalty(theta, w, K, l1, l2, run.data.objective.tilt)
        for j in range(K if run.data.objective.tilt != 0 else 0):
            g[w + j] += <floating> run.data.objective.tilt
        if rule.noise > 0:
            add_noise(rule, g, run.parameters, t + sums.updates)
        if not run.data.objective.intercept:
            memset(g + w, 0, K * sizeof(floating))
        if rule.kind != SGD:
            sums.gradient_norm += gradient_norm(theta, g, w, run.parameters, l2)
        update(rule, theta, g, first, second, w, rate, t + sums.updates, l1, l2)
        update(rule, theta + w, g + w, first + w if first != NULL else first, second + w
               if second != NULL else second, K, rate, t + sums.updates, 0.0, 0.0)
        if run.data.objective.positive:
            keep_positive(theta, w)
        sums.updates += 1
        if average != NULL and sums.updates > skip:
            for j in range(run.parameters):
                average[j] += theta[j]
        begin += size


def epoch(DataTerm term not None, floating[::1] theta not None, buffers, double[::1] average,
          const double[::1] rates not None, Rule rule, Py_ssize_t batch_size, Py_ssize_t t,
          Py_ssize_t skip):
    """Visit the rows, `batch_size` at a time, and leave the new weights in theta.

    `buffers` are the rule's two (None where it has none); the first update is the t-th; averaging
    starts after `skip` updates and `average` receives the sum of the iterates. Returns the `Sums`
    over the visits.
    """
    cdef Py_ssize_t visits = term.data.visits, parameters = theta.shape[0], i, team
    cdef floating[::1] first = buffers[0], second = buffers[1]
    cdef Sums sums = Sums(0, 0, 0, 0)
    cdef double *mean = <double *> start_of(average)
    cdef floating *m = NULL if first is None else &first[0]
    cdef floating *a = NULL if second is None else &second[0]
    cdef floating *blocks
    cdef floating *start = NULL
    cdef Run run
    if visits == 0:
        return sums
    if rates.shape[0] * batch_size < visits or (average is not None
                                                and average.shape[0] != parameters):
        raise ValueError("rates or average are too short")
    if (first is not None and first.shape[0] != parameters) or (second is not None
                                                                and second.shape[0] != parameters):
        raise ValueError(f"theta has {parameters} entries, the buffers must have as many")
    check_buffers(rule.kind, first is not None, second is not None)
    blocks = <floating *> prepare(&run, term, sizeof(floating), parameters, batch_size)
    team = run.members = members(&run, min(batch_size, visits))
    if rule.kind == SGD:  # whose steps tell of the gradients
        start = <floating *> malloc(parameters * sizeof(floating))
        if start == NULL:
            free(blocks)
            raise MemoryError()
        memcpy(start, &theta[0], parameters * sizeof(floating))
    with nogil:
        for i in prange(team, schedule="static", chunksize=1, num_threads=team,
                        use_threads_if=team > 1):
            if i == 0:
                descend(&run, &sums, &theta[0], blocks, m, a, mean, &rates[0], &rule, batch_size, t,
                        skip)
                team_end(&run.team)
            else:
                assist(&run, &theta[0], blocks)
    if start != NULL:
        sums.gradient_norm = gradient_norms(start, &theta[0], parameters, &rates[0], sums.updates)
    free(start)
    free(blocks)
    watch_end(&run.watch)
    return sums


cdef void range_margins(const Table *X, Py_ssize_t begin, Py_ssize_t most, const floating *theta,
                        Py_ssize_t outputs, double *z) noexcept nogil:
    """The margins of the tile that begins at row `begin`: of one output row by row, so that memory
    is read in one stream.
    """
    cdef Py_ssize_t order[2 * MOST_TILE]
    cdef Py_ssize_t r, rows = min(most, X.n - begin), later = min(most, X.n - begin - rows)
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
    tile.later = later
    tile.columns = columns_of(X, outputs)
    for r in range(rows + later):
        order[r] = begin + r
    tile_margins(X, &tile, theta, outputs, z)


def margins(Rows rows not None, const floating[::1] theta not None, Py_ssize_t outputs,
            double[::1] out not None, int threads):
    """out (n * outputs,) <- X W' + b."""
    cdef Table *X = &rows.table
    cdef Py_ssize_t i, n = X.n, tile = tile_of(X, outputs), tiles = (n + tile - 1) // tile
    if (theta.shape[0] != outputs * (X.p + 1) or out.shape[0] != n * outputs
            or X.itemsize != sizeof(floating)):
        raise ValueError("theta or out do not fit X")
    if n * row_work(X) * outputs < TEAM_WORK:
        threads = 1
    with nogil:
        for i in prange(tiles, schedule="static", num_threads=threads, use_threads_if=threads > 1):
            range_margins(X, i * tile, tile, &theta[0], outputs, &out[i * tile * outputs])
