"""The gradient of a batch, summed over blocks of rows by a team of threads.

The number of blocks depends on sizes alone, and the sums of the blocks are added in their order.
So the bits are the same for any number of threads.
"""
from cython cimport floating
from libc.string cimport memcpy, memset

from .data_term cimport Data
from .rows cimport Table, row_work
from .signals cimport Watch, watch_is_over, watch_work
from .threads cimport (Team, team_claim, team_finish_block, team_is_done, team_is_over, team_pause,
                       team_post)
from .tiles cimport (Tile, TileBuffers, tile_curvature_products, tile_gradient, tile_margins,
                     tile_slopes)

cdef enum:
    MAX_BLOCKS = 64
    BLOCK_WORK = 32768          # multiplications of a block: some microseconds
    RANGE = 8192                # parameters of which one thread adds up the blocks' gradients
    PAUSE_WORK = 200            # multiplications that take as long as a pause of a waiting thread

cdef struct SharedGradient:     # what the threads of a team share
    Team team
    Watch watch                 # used by the leader
    Data data
    const Py_ssize_t *order     # the rows of the current batch
    Py_ssize_t rows             # their number
    Py_ssize_t visits           # rows from the current batch to the end of the epoch
    Py_ssize_t blocks           # of the current batch
    int members                 # threads of the team
    Py_ssize_t parameters
    Py_ssize_t tile_rows
    Py_ssize_t tile_columns
    Py_ssize_t stride           # doubles for each block: the four buffers of a tile, and its loss
    double *buffers             # (blocks, stride)
    double *margins             # of all rows, an output; NULL: not asked for
    # (rows, outputs): replaces the loss by its quadratic model, whose gradient is linear in theta;
    # NULL: the loss
    const double *curvatures
    bint adding                 # the current job adds up the gradients of the blocks


cdef inline Py_ssize_t block_count(const Table *X, Py_ssize_t rows,
                                   Py_ssize_t outputs) noexcept nogil:
    """The number of blocks of a batch: a power of two, small enough that adding up their gradients
    takes little of the time.
    """
    cdef double work = rows * row_work(X) * outputs
    cdef Py_ssize_t blocks = 1
    while (blocks < MAX_BLOCKS and 2 * blocks * BLOCK_WORK <= work and 64 * blocks <= rows
           and 16.0 * blocks * outputs * X.p <= work):
        blocks *= 2
    return blocks


cdef inline Py_ssize_t block_begin(const SharedGradient *shared, Py_ssize_t number) noexcept nogil:
    return shared.rows * number // shared.blocks


cdef inline double block_gradient(SharedGradient *shared, Py_ssize_t number, const floating *theta,
                                  floating *gradient, bint is_leader) noexcept nogil:
    """gradient <- the block's part of the batch's mean gradient; returns the sum of weight * loss.

    The rows prefetched during the last tile are those of the block that this thread is likely to
    take next, which may be in the next batch.
    """
    cdef const Table *X = shared.data.X
    cdef Py_ssize_t K = shared.data.objective.outputs, most = shared.tile_rows
    cdef Py_ssize_t begin = block_begin(shared, number), end = block_begin(shared, number + 1)
    cdef Py_ssize_t first, next, next_end
    cdef double work = row_work(X) * K
    cdef double *memory = shared.buffers + number * shared.stride
    cdef TileBuffers at = TileBuffers(memory, memory + most * K, memory + 2 * most * K,
                                      memory + 3 * most * K)
    cdef double loss = 0
    cdef Tile tile
    tile.columns = shared.tile_columns
    memset(gradient, 0, shared.parameters * sizeof(floating))
    while begin < end and not watch_is_over(&shared.watch):
        first = begin
        tile.order, tile.rows = shared.order + begin, min(most, end - begin)
        begin += tile.rows
        next = begin if begin < end else block_begin(shared, number + shared.members)
        next_end = end if begin < end else shared.visits
        tile.next, tile.next_rows = shared.order + next, min(most, next_end - next)
        tile_margins(X, &tile, theta, K, at.z)
        if shared.margins != NULL:
            memcpy(shared.margins + first * K, at.z, tile.rows * K * sizeof(double))
        if shared.curvatures != NULL:
            tile_curvature_products(&shared.data, &tile, shared.curvatures + first * K,
                                    1.0 / shared.rows, &at)
        else:
            loss += tile_slopes(&shared.data, &tile, 1.0 / shared.rows, &at)
        tile_gradient(X, &tile, at.slope, K, gradient)
        if is_leader:
            watch_work(&shared.watch, <long long> (tile.rows * work))
    memory[shared.stride - 1] = loss
    return loss


cdef inline void add_blocks(const SharedGradient *shared, Py_ssize_t number,
                            floating *gradients) noexcept nogil:
    """gradients[0] += gradients[1] + ..., in this order, for one range of the parameters."""
    cdef Py_ssize_t i, j, begin = number * RANGE, end = min(begin + RANGE, shared.parameters)
    for i in range(1, shared.blocks):
        for j in range(begin, end):
            gradients[j] += gradients[i * shared.parameters + j]


cdef inline void do_blocks(SharedGradient *shared, const floating *theta, floating *gradients,
                           bint is_leader) noexcept nogil:
    """Claim and do blocks of the current job until none is left."""
    cdef Py_ssize_t number = team_claim(&shared.team)
    while number >= 0:
        if shared.adding:
            add_blocks(shared, number, gradients)
        else:
            block_gradient(shared, number, theta, gradients + number * shared.parameters, is_leader)
        team_finish_block(&shared.team)
        number = team_claim(&shared.team)


cdef inline void parallel_for(SharedGradient *shared, bint adding, Py_ssize_t count,
                              const floating *theta, floating *gradients) noexcept nogil:
    """The leader's part: post a job of `count` blocks, take part in it and wait until it is done.
    """
    cdef int pauses = 0
    shared.adding = adding
    team_post(&shared.team, count)
    do_blocks(shared, theta, gradients, True)
    while not team_is_done(&shared.team):
        team_pause(&pauses)
        watch_work(&shared.watch, PAUSE_WORK)


cdef inline void worker(SharedGradient *shared, const floating *theta,
                        floating *gradients) noexcept nogil:
    """What all threads but the leader do until the epoch is over."""
    cdef int pauses = 0
    while not team_is_over(&shared.team):
        do_blocks(shared, theta, gradients, False)
        team_pause(&pauses)


cdef inline double batch_gradient(SharedGradient *shared, const Py_ssize_t *order, Py_ssize_t rows,
                                  Py_ssize_t visits, const floating *theta,
                                  floating *gradients) noexcept nogil:
    """gradients[0] <- the mean gradient of the data term over a batch; returns the sum of weight *
    loss.
    """
    cdef Py_ssize_t i
    cdef double loss = 0
    shared.order = order
    shared.rows = rows
    shared.visits = visits
    shared.blocks = block_count(shared.data.X, rows, shared.data.objective.outputs)
    if shared.blocks == 1:
        return block_gradient(shared, 0, theta, gradients, True)
    parallel_for(shared, False, shared.blocks, theta, gradients)
    parallel_for(shared, True, (shared.parameters + RANGE - 1) // RANGE, theta, gradients)
    for i in range(shared.blocks):
        loss += shared.buffers[(i + 1) * shared.stride - 1]
    return loss
