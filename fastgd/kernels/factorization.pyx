"""Matrix factorization: a sweep of gradient descent over the ratings in the cells of a grid, blocks
of users by blocks of items.

A user's row is [p, b, 1] and an item's [q, 1, c], padded with zeros to whole vectors, so that their
product is p q + b + c. Cells without a common user or item are swept in parallel. The bits are the
same for any number of threads.
"""
import numpy as np

from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, uint64_t

from .implicit_steps cimport implicit
from .losses cimport LOG_LOSS, point
from .random cimport draw, permute
from .rows cimport PREFETCH, Products, lanes_products
from .signals cimport Watch, watch_end, watch_is_over, watch_start, watch_work
from .threads cimport (PARALLEL_WORK, Team, region_threads, steps_have_reached, steps_reach,
                       team_claim, team_pause, team_post, team_start)

cdef extern from "lanes.h" nogil:  # generic in the pointers' type, float or double
    # (x, w, v, n, a, b, shrink_x, shrink_w, paired): x <- shrink_x (x + a d), d = w or w - v;
    # w <- shrink_w (w + b x), v <- shrink_w (v - b x)
    void lanes_update_factors(...)

cdef enum:
    PREFETCH_DISTANCE = 3       # ratings by which rows are prefetched before they are needed
    MAX_DRAWS = 64              # attempts to draw an item that a user has not met
    MAX_BLOCKS = 1000           # of users: a job of a team has fewer than 2^20 cells

cdef struct FactorizationOptions:
    int loss                    # L of an interaction: SQUARED_ERROR of its rating, or LOG_LOSS
    bint pairwise               # L of the score minus that of an item not met (BPR)
    Py_ssize_t negatives        # items not met that are drawn for each interaction
    Py_ssize_t factors          # the bias follows them in a row
    bint biased, positive
    bint implicit               # implicit steps: the slope is taken at the new parameters
    double alpha                # (alpha / 2) (|p|^2 + |q|^2 + b^2 + c^2) at each visit

cdef struct FactorizationSweep:     # what the threads of a team share
    Team team
    Watch watch
    FactorizationOptions options
    const int32_t *users
    const int32_t *items
    const Py_ssize_t *cells
    const int32_t *bounds       # of the blocks of items
    # (users + 1,): where the items of each user begin in `met`; NULL: nothing is drawn
    const Py_ssize_t *starts
    const int32_t *met
    const int32_t *pairs        # the blocks of items; two neighbours are swept together
    Py_ssize_t blocks           # of users; there are twice as many of items
    Py_ssize_t width            # entries of a row
    Py_ssize_t capacity         # entries of `order` for each thread
    Py_ssize_t *order
    double *losses              # (blocks,)
    long long *done             # (blocks,): strata that each block of users has finished
    uint64_t seed


cdef class Grid:
    """Ratings sorted by their cells.

    Parameters
    ----------
    users, items : ndarray of int32
        User and item of each rating, sorted by block of users, then by block of items.
    values : ndarray of float32 or float64
        The ratings, or the weights of interactions.
    cells : ndarray of intp
        The first rating of each cell, and the end. The cells are those of a table of blocks of
        users by twice as many blocks of items.
    user_bounds, item_bounds : ndarray of int32
        The first user (item) of each block, and the end.
    starts, met : ndarray of intp and int32, or None
        The items that user u has met, ascending: ``met[starts[u]:starts[u + 1]]``. Needed if items
        not met are drawn.
    """

    cdef readonly object users, items, values, cells, user_bounds, item_bounds, starts, met
    cdef readonly Py_ssize_t blocks, largest

    def __init__(self, users, items, values, cells, user_bounds, item_bounds, starts=None,
                 met=None):
        self.users, self.items, self.values, self.cells = users, items, values, cells
        self.user_bounds = user_bounds
        self.item_bounds = item_bounds
        self.starts = starts
        self.met = met
        self.blocks = len(user_bounds) - 1
        if (len(item_bounds) != 2 * self.blocks + 1 or len(cells) != 2 * self.blocks**2 + 1
                or self.blocks < 1):
            raise ValueError(f"{self.blocks} blocks of users need twice as many of items, and a "
                             "cell for each two")
        if self.blocks > MAX_BLOCKS:
            raise ValueError(f"{self.blocks} blocks of users are more than {MAX_BLOCKS}")
        for bounds in (cells, user_bounds, item_bounds, *([] if starts is None else [starts])):
            if (np.diff(bounds) < 0).any() or bounds[0] != 0:
                raise ValueError("bounds must ascend from 0")
        if not len(users) == len(items) == len(values) == cells[len(cells) - 1]:
            raise ValueError("users, items and values must be as many as the cells hold")
        self.largest = 2 * np.diff(cells).max()
        if starts is not None and not (len(starts) == user_bounds[self.blocks] + 1
                                       and len(met) == starts[len(starts) - 1]):
            raise ValueError("starts must bound the items met by each user")
        self.check()

    cdef int check(self) except -1:
        """Raise an error if a rating is not in the blocks of its cell."""
        cdef const int32_t[::1] users = self.users, items = self.items
        cdef const int32_t[::1] user_bounds = self.user_bounds, item_bounds = self.item_bounds
        cdef const Py_ssize_t[::1] cells = self.cells
        cdef Py_ssize_t row, column, cell, t
        for cell in range(cells.shape[0] - 1):
            row, column = cell // (2 * self.blocks), cell % (2 * self.blocks)
            for t in range(cells[cell], cells[cell + 1]):
                if not (user_bounds[row] <= users[t] < user_bounds[row + 1]
                        and item_bounds[column] <= items[t] < item_bounds[column + 1]):
                    raise ValueError(f"rating {t} lies outside its cell")
        return 0


cdef inline bint has_met(const FactorizationSweep *sweep, Py_ssize_t u,
                         int32_t item) noexcept nogil:
    """Whether a user has met an item, by binary search."""
    cdef Py_ssize_t low = sweep.starts[u], high = sweep.starts[u + 1], middle
    while low < high:
        middle = (low + high) // 2
        if sweep.met[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < sweep.starts[u + 1] and sweep.met[low] == item


cdef inline Py_ssize_t draw_negative(const FactorizationSweep *sweep, Py_ssize_t u,
                                     const int32_t *own, const int32_t *partner,
                                     uint64_t *state) noexcept nogil:
    """An item that u has not met; -1 if none was found. It is of the block `own` as often as if all
    items were equally likely, and otherwise of the block `partner`.

    Partners change from epoch to epoch, so in the long run all items are equally likely.
    """
    cdef uint64_t total = sweep.bounds[2 * sweep.blocks], low = 0xFFFFFFFF, number
    cdef const int32_t *block
    cdef int32_t j
    cdef int _
    for _ in range(MAX_DRAWS):
        number = draw(state)
        block = (own if <Py_ssize_t> ((number >> 32) * total >> 32) < own[1] - own[0]
                 or partner[0] == partner[1] else partner)
        j = block[0] + <int32_t> ((number & low) * <uint64_t> (block[1] - block[0]) >> 32)
        if not has_met(sweep, u, j):
            return j
    return -1


cdef inline double step(const FactorizationSweep *sweep, floating *p, floating *q, floating *other,
                        double y, double weight, double user_rate, double item_rate,
                        int paired) noexcept nogil:
    """One step on the rows of a user and an item or, if `paired`, of a user and two items; returns
    weight * loss before it.
    """
    cdef Products at = lanes_products(p, q, other, sweep.width, paired)
    cdef Py_ssize_t k = sweep.options.factors
    cdef double squared_norm, slope, loss
    cdef floating one = 1.0 if sweep.options.biased else 0.0
    cdef floating shrink_user = <floating> (1.0 / (1.0 + user_rate * sweep.options.alpha))
    cdef floating shrink_item = <floating> (1.0 / (1.0 + item_rate * sweep.options.alpha)), a, b
    loss = weight * point(sweep.options.loss, 0.0, INFINITY, at.product, y).value
    if sweep.options.implicit:
        squared_norm = user_rate * at.second + item_rate * at.first * (2.0 if paired else 1.0)
        slope = weight * implicit(sweep.options.loss, 0.0, at.product, y, weight * squared_norm)
    else:
        slope = weight * point(sweep.options.loss, 0.0, INFINITY, at.product, y).slope
    a, b = <floating> (-user_rate * slope), <floating> (-item_rate * slope)
    lanes_update_factors(p, q, other, sweep.width, a, b, shrink_user, shrink_item, paired)
    p[k + 1] = q[k] = one
    if paired:
        other[k] = one
    return loss


cdef inline void keep_positive(floating *restrict row, Py_ssize_t factors) noexcept nogil:
    """Set negative factors to 0. The bias keeps its sign."""
    cdef Py_ssize_t k
    for k in range(factors):
        row[k] = row[k] if row[k] > 0 else 0


cdef inline void prefetch_factors(const floating *row, Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t at
    for at in range(0, width * <Py_ssize_t> sizeof(floating), 64):
        PREFETCH(<const char *> row + at)


cdef inline double visit(const FactorizationSweep *sweep, Py_ssize_t t, const floating *values,
                         floating *P, floating *Q, const floating *user_rates,
                         const floating *item_rates, const int32_t *own, const int32_t *partner,
                         uint64_t *state) noexcept nogil:
    """The steps of one rating or interaction; returns their sum of weight * loss."""
    cdef Py_ssize_t u = sweep.users[t], i = sweep.items[t], n = sweep.width
    cdef Py_ssize_t factors = sweep.options.factors, j, _
    cdef floating *p = P + u * n
    cdef floating *q = Q + i * n
    cdef double loss = 0, value = values[t]
    if sweep.starts != NULL and value == 0:
        return 0.0
    if not sweep.options.pairwise:
        loss = step(sweep, p, q, q, value if sweep.starts == NULL else 1.0,
                    1.0 if sweep.starts == NULL else value, user_rates[u], item_rates[i], 0)
        if sweep.options.positive:
            keep_positive(p, factors)
            keep_positive(q, factors)
    for _ in range(sweep.options.negatives):
        j = draw_negative(sweep, u, own, partner, state)
        if j < 0:
            continue
        if sweep.options.pairwise:
            loss += step(sweep, p, q, Q + j * n, 1.0, value, user_rates[u], item_rates[i], 1)
        else:
            loss += step(sweep, p, Q + j * n, q, -1.0, value, user_rates[u], item_rates[j], 0)
        if sweep.options.positive:
            keep_positive(p, factors)
            keep_positive(q, factors)
            keep_positive(Q + j * n, factors)
    return loss


cdef double sweep_cell(const FactorizationSweep *sweep, Py_ssize_t block, Py_ssize_t stratum,
                       int member, const floating *values, floating *P, floating *Q,
                       const floating *user_rates, const floating *item_rates) noexcept nogil:
    """Visit the ratings of a block of users and two blocks of items in random order; returns their
    sum of weight * loss.
    """
    cdef Py_ssize_t B = sweep.blocks, pair = (block + stratum) % B, size = 0, half, t, r
    cdef Py_ssize_t *order = sweep.order + member * sweep.capacity
    cdef int32_t columns[2]
    cdef const int32_t *own
    cdef uint64_t state = sweep.seed + <uint64_t> (block * B + stratum)
    cdef double loss = 0
    state = draw(&state)
    for half in range(2):
        columns[half] = sweep.pairs[2 * pair + half]
        for t in range(sweep.cells[2 * block * B + columns[half]],
                       sweep.cells[2 * block * B + columns[half] + 1]):
            order[size] = t
            size += 1
    permute(order, size, &state)
    for r in range(size):
        if r + PREFETCH_DISTANCE < size:
            t = order[r + PREFETCH_DISTANCE]
            prefetch_factors(P + sweep.users[t] * sweep.width, sweep.width)
            prefetch_factors(Q + sweep.items[t] * sweep.width, sweep.width)
        t = order[r]
        own = sweep.bounds + columns[0]
        half = sweep.items[t] < own[0] or sweep.items[t] >= own[1]
        loss += visit(sweep, t, values, P, Q, user_rates, item_rates,
                      sweep.bounds + columns[half], sweep.bounds + columns[1 - half], &state)
    return loss


cdef void worker(FactorizationSweep *sweep, int member, const floating *values, floating *P,
                 floating *Q, const floating *user_rates,
                 const floating *item_rates) noexcept nogil:
    """Claim and sweep cells, stratum by stratum. A cell waits for the cells of the previous stratum
    with which it shares users or items.
    """
    cdef Py_ssize_t B = sweep.blocks, block, stratum
    cdef long long cell = team_claim(&sweep.team)
    cdef int pauses
    while cell >= 0:
        block, stratum, pauses = cell % B, cell // B, 0
        while not (steps_have_reached(sweep.done + block, stratum)
                   and steps_have_reached(sweep.done + (block + 1) % B, stratum)):
            if watch_is_over(&sweep.watch):
                return
            team_pause(&pauses)
        if watch_is_over(&sweep.watch):
            return
        sweep.losses[block] += sweep_cell(sweep, block, stratum, member, values, P, Q, user_rates,
                                          item_rates)
        steps_reach(sweep.done + block, stratum + 1)
        if member == 0:
            watch_work(&sweep.watch, sweep.capacity * sweep.width)
        cell = team_claim(&sweep.team)


def epoch(Grid grid not None, floating[:, ::1] P not None, floating[:, ::1] Q not None,
          const floating[::1] user_rates not None, const floating[::1] item_rates not None,
          const int32_t[::1] pairs not None, FactorizationOptions options, uint64_t seed,
          int threads):
    """Sweep all cells, in as many strata as there are blocks of users; returns the sum of weight *
    loss.

    P and Q hold the rows of users and items and are updated in place. Each row has a rate. In
    stratum s, block b of the users is combined with the blocks of items ``pairs[2 m]`` and
    ``pairs[2 m + 1]``, where m = b + s modulo the number of blocks. `seed` determines the order of
    the visits and the items drawn.
    """
    cdef const int32_t[::1] users = grid.users, items = grid.items, bounds = grid.item_bounds, met
    cdef const Py_ssize_t[::1] cells = grid.cells, starts
    cdef const floating[::1] values = grid.values
    cdef Py_ssize_t B = grid.blocks, team, i
    cdef Py_ssize_t[::1] order
    cdef double[::1] losses = np.zeros(B)
    cdef long long[::1] done = np.zeros(B, np.longlong)
    cdef FactorizationSweep sweep
    if P.shape[1] != Q.shape[1] or P.shape[1] < options.factors + 2 or options.factors < 1:
        raise ValueError(f"rows of {P.shape[1]} and {Q.shape[1]} entries cannot hold "
                         f"{options.factors} factors and two more")
    if P.shape[0] != grid.user_bounds[B] or Q.shape[0] != bounds[2 * B]:
        raise ValueError(f"{P.shape[0]} users and {Q.shape[0]} items do not fit the grid")
    if user_rates.shape[0] != P.shape[0] or item_rates.shape[0] != Q.shape[0]:
        raise ValueError("rates must be as many as users and items")
    if sorted(pairs) != list(range(2 * B)):
        raise ValueError(f"pairs must be a permutation of {2 * B} blocks")
    if grid.starts is None and (options.pairwise or options.negatives or options.loss == LOG_LOSS):
        raise ValueError("items cannot be drawn without knowing those that users have met")
    if users.shape[0] == 0:
        return 0.0
    sweep.starts, sweep.met = NULL, NULL
    if grid.starts is not None:
        starts, met = grid.starts, grid.met
        sweep.starts, sweep.met = &starts[0], &met[0]
    team = 1
    if users.shape[0] * P.shape[1] * (1 + options.negatives) >= PARALLEL_WORK:
        team = region_threads(<int> min(<Py_ssize_t> threads, B))
    order = np.empty(team * max(<Py_ssize_t> grid.largest, 1), np.intp)
    sweep.options, sweep.users, sweep.items = options, &users[0], &items[0]
    sweep.cells = &cells[0]
    sweep.bounds = &bounds[0]
    sweep.pairs = &pairs[0]
    sweep.blocks = B
    sweep.width = P.shape[1]
    sweep.capacity, sweep.order, sweep.seed = grid.largest, &order[0], seed
    sweep.losses = &losses[0]
    sweep.done = &done[0]
    team_start(&sweep.team)
    team_post(&sweep.team, B * B)
    watch_start(&sweep.watch)
    with nogil:
        for i in prange(team, schedule="static", chunksize=1, num_threads=team,
                        use_threads_if=team > 1):
            worker(&sweep, <int> i, &values[0], &P[0, 0], &Q[0, 0], &user_rates[0], &item_rates[0])
    watch_end(&sweep.watch)
    return float(np.asarray(losses).sum())


def scores(const int32_t[::1] users not None, const int32_t[::1] items not None,
           const floating[:, ::1] P not None, const floating[:, ::1] Q not None,
           floating[::1] out not None, int threads):
    """out <- the products of the rows of users and items, pair by pair."""
    cdef Py_ssize_t n = users.shape[0], width = P.shape[1], t
    if items.shape[0] != n or out.shape[0] != n or Q.shape[1] != width:
        raise ValueError(f"{n} users, {items.shape[0]} items, room for {out.shape[0]}; rows of "
                         f"{width} and {Q.shape[1]} entries")
    for t in range(n):
        if not (0 <= users[t] < P.shape[0] and 0 <= items[t] < Q.shape[0]):
            raise ValueError(f"pair {t} is ({users[t]}, {items[t]}), there are {P.shape[0]} users "
                             f"and {Q.shape[0]} items")
    threads = region_threads(threads) if n * width > PARALLEL_WORK else 1
    for t in prange(n, nogil=True, schedule="static", num_threads=threads,
                    use_threads_if=threads > 1):
        out[t] = <floating> lanes_products(&P[users[t], 0], &Q[items[t], 0], &Q[items[t], 0],
                                           width, 0).product
