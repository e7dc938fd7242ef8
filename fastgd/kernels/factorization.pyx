"""Matrix factorization: one sweep of gradient descent over ratings that lie in the cells of a grid,
users by items.

A user's row is [p, b, 1] and an item's is [q, 1, c], zeros behind them to a whole vector, so that
their product is p q + b + c. Cells that have no user and no item in common are swept side by side:
the bits are the same for any number of threads.
"""
import numpy as np

from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, uint64_t

from .losses cimport LOG_LOSS, implicit, point
from .random cimport draw, permute
from .rows cimport PREFETCH, Products, lanes_products
from .signals cimport Watch, watch_end, watch_is_over, watch_start, watch_work
from .threads cimport (Team, can_share, steps_have_reached, steps_reach, team_claim, team_post,
                       team_rest, team_start)

cdef extern from "lanes.h" nogil:  # generic in the pointers' type, float or double
    # (x, w, v, n, a, b, keep_x, keep_w, paired): x <- keep_x (x + a d), w <- keep_w (w +- b x)
    void lanes_couple(...)

cdef enum:
    AHEAD = 3                   # ratings to come whose rows are on their way
    DRAWS = 64                  # tries to find an item that a user has not met
    MOST_BLOCKS = 1000          # of users: a team numbers less than 2^20 cells
    TEAM_WORK = 524288          # multiplications that are worth a team: a tenth of a millisecond

cdef struct Course:             # what a sweep minimises, and how
    int loss                    # L of an interaction: SQUARED_ERROR of its rating, or LOG_LOSS
    bint pairwise               # L of its score less that of an item not met (BPR)
    Py_ssize_t negatives        # other items drawn for each interaction
    Py_ssize_t factors          # behind which a row has its bias
    bint biased, positive
    bint damped                 # slopes are taken where the step leads to
    double alpha                # (alpha / 2) (|p|^2 + |q|^2 + b^2 + c^2) at each visit

cdef struct Run:                # what the members of a team share
    Team team
    Watch watch
    Course course
    const int32_t *users
    const int32_t *items
    const Py_ssize_t *cells
    const int32_t *bounds       # of the blocks of items
    # where each user's items begin among those met; NULL: nothing is drawn
    const Py_ssize_t *starts
    const int32_t *met
    const int32_t *pairs        # the blocks of items, in the order in which two make a cell
    Py_ssize_t blocks           # of users; of items twice as many
    Py_ssize_t width            # of a row
    Py_ssize_t room             # entries of `order` for a member of the team
    Py_ssize_t *order
    double *losses              # one a block of users
    long long *done             # strata that each block of users has behind it
    uint64_t seed


cdef class Grid:
    """Ratings in the order of their cells.

    Parameters
    ----------
    users, items : ndarray of int32
        Who rated what, sorted by block of users, then by block of items.
    values : ndarray of float32 or float64
        Ratings; for the other losses the interactions' weights.
    cells : ndarray of intp
        Where each cell begins, and the end: blocks of users x blocks of items, of which there are
        twice as many.
    user_bounds, item_bounds : ndarray of int32
        The first user (item) of each block, and the end.
    starts, met : ndarray of intp and int32, or None
        All items that each user has met, ascending: ``met[starts[u]:starts[u + 1]]``. Needed where
        other items are drawn.
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
        if self.blocks > MOST_BLOCKS:
            raise ValueError(f"{self.blocks} blocks of users are more than {MOST_BLOCKS}")
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
        """Refuse numbers outside the blocks that their cells say."""
        cdef const int32_t[::1] users = self.users, items = self.items
        cdef const int32_t[::1] user_bounds = self.user_bounds, item_bounds = self.item_bounds
        cdef const Py_ssize_t[::1] cells = self.cells
        cdef Py_ssize_t line, column, cell, t
        for cell in range(cells.shape[0] - 1):
            line, column = cell // (2 * self.blocks), cell % (2 * self.blocks)
            for t in range(cells[cell], cells[cell + 1]):
                if not (user_bounds[line] <= users[t] < user_bounds[line + 1]
                        and item_bounds[column] <= items[t] < item_bounds[column + 1]):
                    raise ValueError(f"rating {t} lies outside its cell")
        return 0


cdef inline bint has_met(const Run *run, Py_ssize_t u, int32_t item) noexcept nogil:
    """Whether a user has met an item: a binary search."""
    cdef Py_ssize_t low = run.starts[u], high = run.starts[u + 1], middle
    while low < high:
        middle = (low + high) // 2
        if run.met[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < run.starts[u + 1] and run.met[low] == item


cdef inline Py_ssize_t draw_other(const Run *run, Py_ssize_t u, const int32_t *own,
                                  const int32_t *partner, uint64_t *state) noexcept nogil:
    """An item that u has not met: of its own block as often as if all items were as likely, else of
    the partner; -1: none found.

    Since partners change from epoch to epoch, all items are as likely in the long run.
    """
    cdef uint64_t total = run.bounds[2 * run.blocks], low = 0xFFFFFFFF, number
    cdef const int32_t *block
    cdef int32_t j
    cdef int _
    for _ in range(DRAWS):
        number = draw(state)
        block = (own if <Py_ssize_t> ((number >> 32) * total >> 32) < own[1] - own[0]
                 or partner[0] == partner[1] else partner)
        j = block[0] + <int32_t> ((number & low) * <uint64_t> (block[1] - block[0]) >> 32)
        if not has_met(run, u, j):
            return j
    return -1


cdef inline double step(const Run *run, floating *p, floating *q, floating *other, double y,
                        double weight, double user_rate, double item_rate,
                        int paired) noexcept nogil:
    """One step on the rows of a user and an item, or of a user and two (`paired`); returns weight *
    loss before it.
    """
    cdef Products at = lanes_products(p, q, other, run.width, paired)
    cdef Py_ssize_t k = run.course.factors
    cdef double length, slope, loss = weight * point(run.course.loss, 0.0, INFINITY, at.product,
                                                     y).value
    cdef floating one = 1.0 if run.course.biased else 0.0
    cdef floating keep_user = <floating> (1.0 / (1.0 + user_rate * run.course.alpha))
    cdef floating keep_item = <floating> (1.0 / (1.0 + item_rate * run.course.alpha)), a, b
    if run.course.damped:
        length = user_rate * at.second + item_rate * at.first * (2.0 if paired else 1.0)
        slope = weight * implicit(run.course.loss, 0.0, at.product, y, weight * length)
    else:
        slope = weight * point(run.course.loss, 0.0, INFINITY, at.product, y).slope
    a, b = <floating> (-user_rate * slope), <floating> (-item_rate * slope)
    lanes_couple(p, q, other, run.width, a, b, keep_user, keep_item, paired)
    p[k + 1] = q[k] = one
    if paired:
        other[k] = one
    return loss


cdef inline void keep_positive(floating *restrict row, Py_ssize_t factors) noexcept nogil:
    """Factors below zero become zero; the bias may be of either sign."""
    cdef Py_ssize_t k
    for k in range(factors):
        row[k] = row[k] if row[k] > 0 else 0


cdef inline void ask_for_row(const floating *row, Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t at
    for at in range(0, width * <Py_ssize_t> sizeof(floating), 64):
        PREFETCH(<const char *> row + at)


cdef inline double visit(const Run *run, Py_ssize_t t, const floating *values, floating *P,
                         floating *Q, const floating *user_rates, const floating *item_rates,
                         const int32_t *own, const int32_t *partner,
                         uint64_t *state) noexcept nogil:
    """The steps of one rating or interaction; returns weight * loss, summed over them."""
    cdef Py_ssize_t u = run.users[t], i = run.items[t], n = run.width, factors = run.course.factors
    cdef Py_ssize_t j, _
    cdef floating *p = P + u * n
    cdef floating *q = Q + i * n
    cdef double loss = 0, value = values[t]
    if run.starts != NULL and value == 0:
        return 0.0
    if not run.course.pairwise:
        loss = step(run, p, q, q, value if run.starts == NULL else 1.0, 1.0 if run.starts == NULL
                    else value, user_rates[u], item_rates[i], 0)
        if run.course.positive:
            keep_positive(p, factors)
            keep_positive(q, factors)
    for _ in range(run.course.negatives):
        j = draw_other(run, u, own, partner, state)
        if j < 0:
            continue
        if run.course.pairwise:
            loss += step(run, p, q, Q + j * n, 1.0, value, user_rates[u], item_rates[i], 1)
        else:
            loss += step(run, p, Q + j * n, q, -1.0, value, user_rates[u], item_rates[j], 0)
        if run.course.positive:
            keep_positive(p, factors)
            keep_positive(q, factors)
            keep_positive(Q + j * n, factors)
    return loss


cdef double sweep_cell(const Run *run, Py_ssize_t block, Py_ssize_t stratum, int member,
                       const floating *values, floating *P, floating *Q, const floating *user_rates,
                       const floating *item_rates) noexcept nogil:
    """Visit a block of users' ratings of two blocks of items in random order; returns the sum of
    weight * loss.
    """
    cdef Py_ssize_t B = run.blocks, pair = (block + stratum) % B, size = 0, half, t, r
    cdef Py_ssize_t *order = run.order + member * run.room
    cdef int32_t columns[2]
    cdef const int32_t *own
    cdef uint64_t state = run.seed + <uint64_t> (block * B + stratum)
    cdef double loss = 0
    state = draw(&state)
    for half in range(2):
        columns[half] = run.pairs[2 * pair + half]
        for t in range(run.cells[2 * block * B + columns[half]],
                       run.cells[2 * block * B + columns[half] + 1]):
            order[size] = t
            size += 1
    permute(order, size, &state)
    for r in range(size):
        if r + AHEAD < size:
            ask_for_row(P + run.users[order[r + AHEAD]] * run.width, run.width)
            ask_for_row(Q + run.items[order[r + AHEAD]] * run.width, run.width)
        t = order[r]
        own = run.bounds + columns[0]
        half = run.items[t] < own[0] or run.items[t] >= own[1]
        loss += visit(run, t, values, P, Q, user_rates, item_rates, run.bounds + columns[half],
                      run.bounds + columns[1 - half], &state)
    return loss


cdef void work(Run *run, int member, const floating *values, floating *P, floating *Q,
               const floating *user_rates, const floating *item_rates) noexcept nogil:
    """Sweep unclaimed cells, stratum by stratum, each after the one before it in its users and the
    one before it in its items.
    """
    cdef Py_ssize_t B = run.blocks, block, stratum
    cdef long long cell = team_claim(&run.team)
    cdef int pauses
    while cell >= 0:
        block, stratum, pauses = cell % B, cell // B, 0
        while not (steps_have_reached(run.done + block, stratum)
                   and steps_have_reached(run.done + (block + 1) % B, stratum)):
            if watch_is_over(&run.watch):
                return
            team_rest(&pauses)
        if watch_is_over(&run.watch):
            return
        run.losses[block] += sweep_cell(run, block, stratum, member, values, P, Q, user_rates,
                                        item_rates)
        steps_reach(run.done + block, stratum + 1)
        if member == 0:
            watch_work(&run.watch, run.room * run.width)
        cell = team_claim(&run.team)


def epoch(Grid grid not None, floating[:, ::1] P not None, floating[:, ::1] Q not None,
          const floating[::1] user_rates not None, const floating[::1] item_rates not None,
          const int32_t[::1] pairs not None, Course course, uint64_t seed, int threads):
    """Sweep all cells, in as many strata as there are blocks of users; returns the sum of weight *
    loss met.

    P and Q hold the rows of users and items, changed in place; rows have rates of their own. In
    stratum s the b-th block of users meets the blocks of items ``pairs[2 m]`` and ``pairs[2 m +
    1]``, m = b + s modulo the blocks. `seed` gives the order of the visits and the items drawn.
    """
    cdef const int32_t[::1] users = grid.users, items = grid.items, bounds = grid.item_bounds, met
    cdef const Py_ssize_t[::1] cells = grid.cells, starts
    cdef const floating[::1] values = grid.values
    cdef Py_ssize_t B = grid.blocks, team, i
    cdef Py_ssize_t[::1] order
    cdef double[::1] losses = np.zeros(B)
    cdef long long[::1] done = np.zeros(B, np.longlong)
    cdef Run run
    if P.shape[1] != Q.shape[1] or P.shape[1] < course.factors + 2 or course.factors < 1:
        raise ValueError(f"rows of {P.shape[1]} and {Q.shape[1]} entries cannot hold "
                         f"{course.factors} factors and two more")
    if P.shape[0] != grid.user_bounds[B] or Q.shape[0] != bounds[2 * B]:
        raise ValueError(f"{P.shape[0]} users and {Q.shape[0]} items do not fit the grid")
    if user_rates.shape[0] != P.shape[0] or item_rates.shape[0] != Q.shape[0]:
        raise ValueError("rates must be as many as users and items")
    if sorted(pairs) != list(range(2 * B)):
        raise ValueError(f"pairs must be a permutation of {2 * B} blocks")
    if grid.starts is None and (course.pairwise or course.negatives or course.loss == LOG_LOSS):
        raise ValueError("items cannot be drawn without knowing those that users have met")
    if users.shape[0] == 0:
        return 0.0
    run.starts, run.met = NULL, NULL
    if grid.starts is not None:
        starts, met = grid.starts, grid.met
        run.starts, run.met = &starts[0], &met[0]
    team = 1
    if can_share() and users.shape[0] * P.shape[1] * (1 + course.negatives) >= TEAM_WORK:
        team = min(<Py_ssize_t> threads, B)
    order = np.empty(team * max(<Py_ssize_t> grid.largest, 1), np.intp)
    run.course, run.users, run.items = course, &users[0], &items[0]
    run.cells = &cells[0]
    run.bounds = &bounds[0]
    run.pairs = &pairs[0]
    run.blocks = B
    run.width = P.shape[1]
    run.room, run.order, run.losses, run.seed = grid.largest, &order[0], &losses[0], seed
    run.done = &done[0]
    team_start(&run.team)
    team_post(&run.team, B * B)
    watch_start(&run.watch)
    with nogil:
        for i in prange(team, schedule="static", chunksize=1, num_threads=team,
                        use_threads_if=team > 1):
            work(&run, <int> i, &values[0], &P[0, 0], &Q[0, 0], &user_rates[0], &item_rates[0])
    watch_end(&run.watch)
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
    for t in prange(n, nogil=True, schedule="static", num_threads=threads, use_threads_if=n
                    * width > TEAM_WORK):
        out[t] = <floating> lanes_products(&P[users[t], 0], &Q[items[t], 0], &Q[items[t], 0], width,
                                           0).product
