"""Implicit stochastic gradient descent in the metric: each row's slope is taken where the step
leads to, so no step overshoots.

    v <- prox(v - rate / size * sum of s_i g_i x_i),    g_i = dL/dz at x_i v - rate s_i |x_i|^2 g_i

over the rows of a batch; the penalty's prox is taken column by column, and the iterates' mean
weighs the t-th one by t (t + 1) (t + 2) (polynomial decay; Shamir, Zhang, ICML 2013). Sparse rows
touch their own columns only: what the others owe to the penalty and to the mean is a difference of
running sums. A stream keeps these sums from call to call, so that a call touches no other columns
either.
"""
import numpy as np

from cython cimport floating
from libc.math cimport INFINITY, hypot, isfinite, log2, sqrt

from .data_term cimport Data, DataTerm, prefetch_row, weight_at
from .implicit_steps cimport implicit
from .losses cimport SOFTMAX, Objective, Point, point, softmax, target
from .metric cimport Metric, standardised
from .penalty cimport keep_positive, soft
from .rows cimport (Row, accumulate, column, margins, row_at, row_work,
                    squared_norm, start_of)
from .signals cimport Watch, watch_end, watch_start, watch_work

# what is kept of the visits, for methods that reduce the variance; NULL: nothing
cdef struct Memory:
    double *z                   # (n, outputs) margins
    double *slope               # (n, outputs) weight * dL/dz there
    double *length              # (n,) |x|^2, the intercept's 1 included
    double *total               # the sum of slope x', as v lies

cdef struct Race:               # of the iterates and their mean, on rows that neither has seen
    double lead                 # how much worse the mean does: a sum that begins anew below 0
    double squares              # of its terms
    double recent, recent_weight    # the mean's losses since then, and the weight of their rows
    double loss, weight         # the same since the mean began

cdef struct Run:
    Data data
    const double *gains         # (outputs,): what the rates are multiplied by
    double *v                   # [W, b] in the metric
    double *average             # sum of t (t + 1) (t + 2) v; NULL: none
    double *scratch             # rows of the batch in the metric
    double *step                # (batch, outputs): slopes, then steps along the rows
    double *slope               # (outputs,): of the row at hand, at its margins
    double *paid                # (p, 2): the sums below at a sparse column's last visit
    double moved                # sum of the rates, times `growth`
    double growth
    double mass                 # sum of the mean's weights
    double t                    # updates
    Race *race                  # (outputs,); NULL: iterates and mean are not compared
    bint has_moved              # whether what is to be learnt has, as the race tells
    Memory memory
    Metric metric
    bint penalised
    double loss                 # sum of weight * loss
    Watch watch


cdef inline void settle_column(Run *run, Py_ssize_t j) noexcept nogil:
    """Bring a sparse column up to date."""
    cdef Py_ssize_t k, K = run.data.objective.outputs
    cdef double moved = run.moved - run.paid[2 * j], mass = run.mass - run.paid[2 * j + 1], e
    cdef double *v = run.v + j * K
    run.paid[2 * j], run.paid[2 * j + 1] = run.moved, run.mass
    for k in range(K):
        e = moved * run.gains[k]
        v[k] = soft(v[k], e * run.metric.l1[j]) / (1.0 + e * run.metric.l2[j])
        if run.data.objective.positive:
            keep_positive(v + k, 1)
        if run.average != NULL:
            run.average[j * K + k] += mass * v[k]


cdef inline void shrink(double *restrict v, double e, const double *restrict l1,
                        const double *restrict l2, Py_ssize_t n) noexcept nogil:
    """The prox of e times the penalty."""
    cdef Py_ssize_t j
    for j in range(n):
        v[j] = soft(v[j], e * l1[j]) / (1.0 + e * l2[j])


cdef inline void add(double weight, const double *restrict v, double *restrict average,
                     Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        average[j] += weight * v[j]


cdef inline void remember(Run *run, Py_ssize_t i, const Row *row, double length) noexcept nogil:
    """Put the slopes at row i's margins into the memory."""
    cdef Py_ssize_t k, p = run.data.X.p, K = run.data.objective.outputs
    cdef double slope
    run.memory.length[i] = length
    for k in range(K):
        slope = run.slope[k]
        run.slope[k] -= run.memory.slope[i * K + k]
        run.memory.slope[i * K + k] = slope
        run.memory.total[p * K + k] += run.slope[k]
    accumulate(row, 1.0, run.slope, run.memory.total, p, K)


cdef inline void visit(Run *run, Py_ssize_t i, const Row *row, double rate,
                       double *step) noexcept nogil:
    """Leave in `step` the slopes that row i's step leads to; its loss and, where there is one, the
    memory are noted.
    """
    cdef const Objective *objective = &run.data.objective
    cdef Py_ssize_t k, t, p = run.data.X.p, K = objective.outputs
    cdef double weight = weight_at(&run.data, i)
    cdef double length = squared_norm(row, run.v) + objective.intercept
    cdef double h = rate * weight * length, y
    cdef Point at
    for t in range(row.size if row.indices != NULL else 0):
        settle_column(run, column(row, t))
    margins(row, run.v, p, K, step)
    for k in range(K):
        step[k] += run.v[p * K + k]
        if run.memory.z != NULL:
            run.memory.z[i * K + k] = step[k]
    if run.race != NULL and run.t > 0:
        compare(run, i, row, step, weight)
    if objective.loss == SOFTMAX:
        run.loss += weight * softmax(step, step, K, <Py_ssize_t> run.data.y[i])
        for k in range(K):  # no closed form: the curvature is at most 1/2
            run.slope[k] = weight * step[k]
            step[k] = run.slope[k] / (1.0 + 0.5 * h * run.gains[k])
    else:
        for k in range(K):
            y = target(objective, run.data.y, i, k)
            at = point(objective.loss, objective.delta, objective.slope_limit, step[k], y)
            run.loss += weight * at.value
            run.slope[k] = weight * at.slope
            step[k] = weight * implicit(objective.loss, objective.delta, step[k], y,
                                        h * run.gains[k])
    if run.memory.z != NULL:
        remember(run, i, row, length)


cdef inline void compare(Run *run, Py_ssize_t i, const Row *row, const double *z,
                         double weight) noexcept nogil:
    """Have the mean of the iterates and the iterate, whose margins are z, race on row i."""
    cdef Py_ssize_t k, p = run.data.X.p, K = run.data.objective.outputs
    cdef double *at = run.slope                 # free until the row's slopes are known
    cdef double total = run.t * (run.t + 1) * (run.t + 2) * (run.t + 3) / 4, loss, other, y
    margins(row, run.average, p, K, at)
    for k in range(K):
        at[k] = (at[k] + run.average[p * K + k]) / total
    if run.data.objective.loss == SOFTMAX:
        loss = softmax(at, at, K, <Py_ssize_t> run.data.y[i])
        other = softmax(z, at, K, <Py_ssize_t> run.data.y[i])
        follow(run.race, weight, loss, other)
        return
    for k in range(K):
        y = target(&run.data.objective, run.data.y, i, k)
        loss = point(run.data.objective.loss, run.data.objective.delta, INFINITY, at[k], y).value
        other = point(run.data.objective.loss, run.data.objective.delta, INFINITY, z[k], y).value
        loss += run.data.objective.intercept_cost * run.average[p * K + k] / total
        other += run.data.objective.intercept_cost * run.v[p * K + k]
        follow(run.race + k, weight, loss, other)


cdef inline void follow(Race *race, double weight, double loss, double other) noexcept nogil:
    """Note a row on which the mean has this loss, and the iterate the other."""
    cdef double change = weight * (loss - other)
    if not (isfinite(change) and isfinite(change * change)):
        return
    race.loss += weight * loss
    race.weight += weight
    race.recent += weight * loss
    race.recent_weight += weight
    race.lead += change
    race.squares += change * change
    if race.lead <= 0:
        race.lead = race.squares = race.recent = race.recent_weight = 0


cdef inline bint has_moved(const Race *race, double significant) noexcept nogil:
    """Whether the mean lags significantly, and is worse than before or over twice as bad as the
    iterates.

    A mean that lags though it gets better is still on its way, and the iterates are ahead.
    """
    return (race.lead > significant * sqrt(race.squares)
            and (race.recent * race.weight > race.loss * race.recent_weight
                 or 2 * race.lead > race.recent > 0))


cdef inline void end_update(Run *run, double rate) noexcept nogil:
    """Count an update; dense weights are shrunk and enter the mean at once, sparse ones when their
    column is next met.
    """
    cdef Py_ssize_t k, p = run.data.X.p, K = run.data.objective.outputs
    cdef double weight
    run.t += 1
    weight = run.t * (run.t + 1) * (run.t + 2)
    run.moved += rate * run.growth
    run.mass += weight
    for k in range(K if run.data.objective.intercept else 0):
        run.v[p * K + k] -= rate * run.gains[k] * run.data.objective.intercept_cost
    if run.data.X.indices == NULL:
        for k in range(K if run.penalised and rate > 0 else 0):
            shrink(run.v + k * p, rate * run.gains[k], run.metric.l1, run.metric.l2, p)
        if run.data.objective.positive:
            keep_positive(run.v, p * K)
        if run.average != NULL:
            add(weight, run.v, run.average, p * K)
    if run.average != NULL:
        add(weight, run.v + p * K, run.average + p * K, K)


cdef Py_ssize_t sweep(Run *run, Py_ssize_t batch_size, const double *rates,
                      double significant) noexcept nogil:
    """Updates, until what is to be learnt has moved; returns the number of visits."""
    cdef const Py_ssize_t *order = run.data.order
    cdef Py_ssize_t begin = 0, size = 0, i, k, u = 0, visits = run.data.visits
    cdef Py_ssize_t p = run.data.X.p, K = run.data.objective.outputs
    cdef double scale, work = row_work(run.data.X) * K + 1
    cdef Row row
    while (begin < visits and not run.has_moved
           and not watch_work(&run.watch, <long long> (size * work))):
        size = min(batch_size, visits - begin)
        for i in range(size):
            prefetch_row(&run.data, order, begin + i, visits)
            row = standardised(run.data.X, order[begin + i], &run.metric, run.scratch)
            visit(run, order[begin + i], &row, rates[u], run.step + i * K)
        scale = -rates[u] / size
        for i in range(size if rates[u] > 0 else 0):
            if size > 1:
                row = standardised(run.data.X, order[begin + i], &run.metric, run.scratch)
            for k in range(K):
                run.step[i * K + k] *= scale * run.gains[k]
                run.v[p * K + k] += run.step[i * K + k] if run.data.objective.intercept else 0.0
            accumulate(&row, 1.0, run.step + i * K, run.v, p, K)
        end_update(run, rates[u])
        begin += size
        u += 1
        for k in range(K if run.race != NULL else 0):
            run.has_moved |= has_moved(run.race + k, significant)
    return begin


cdef int set_metric(Run *run, metric) except -1:
    """Fill the metric, (center, inverse, l1, l2, gains) as in `epoch`."""
    cdef const double[::1] center = metric[0], inverse = metric[1], l1 = metric[2], l2 = metric[3]
    cdef const double[::1] gains = metric[4]
    cdef Py_ssize_t p = run.data.X.p
    if not center.shape[0] == inverse.shape[0] == l1.shape[0] == l2.shape[0] == p:
        raise ValueError(f"the metric must have an entry for each of the {p} columns")
    if gains.shape[0] != run.data.objective.outputs:
        raise ValueError("the metric must have a gain for each output")
    run.metric = Metric(start_of(center), start_of(inverse), start_of(l1), start_of(l2))
    run.gains = start_of(gains)
    return 0


cdef int set_memory(Run *run, memory, Py_ssize_t parameters) except -1:
    """Fill the memory, (z, slope, length, total) or None."""
    cdef double[::1] z, slope, length, total
    cdef Py_ssize_t n = run.data.X.n, K = run.data.objective.outputs
    run.memory = Memory(NULL, NULL, NULL, NULL)
    if memory is None:
        return 0
    z, slope, length, total = memory
    if (z.shape[0] != n * K or slope.shape[0] != n * K or length.shape[0] != n
            or total.shape[0] != parameters):
        raise ValueError("the memory does not fit the rows")
    if n:
        run.memory = Memory(&z[0], &slope[0], &length[0], &total[0])
    return 0


def epoch(DataTerm term not None, double[::1] v not None, metric, const double[::1] rates not None,
          Py_ssize_t batch_size, average=None, memory=None, lazy=None, race=None):
    """Visit the rows, one update a batch; returns the sum of weight * loss at the margins met.

    `metric` is (center, inverse, l1, l2, gains): (p,) each, in which v and the average lie, and the
    number of each output by which its rates are multiplied. `rates` holds one rate an update: with
    0 nothing moves. `average` (None: none) is (the weighted sum of the iterates or None, the number
    of updates so far). `memory` (None: none) is (z, slope, length, total), brought up to date at
    each visit.

    `lazy` (CSR; None: every column is up to date before and after) is (paid, sums): `paid` (p, 2)
    holds what `sums`, (moved, mass), were when a column was last up to date, and rates are
    multiplied by sums[2] where they add up to what columns owe to the penalty. `race` (None: none)
    is (standing, end): `standing` (outputs, 6) holds how the iterates and their mean do on rows
    before these are learnt, see `Race`. Where the mean lags by end[0] standard errors, and is worse
    than before or twice as bad as the iterates, the update is the last, and end[1] is 1; end[2]
    takes the number of visits.
    """
    cdef Run run
    cdef Py_ssize_t visits = term.data.visits, p = term.data.X.p, K = term.data.objective.outputs, j
    cdef bint is_sparse = term.data.X.indices != NULL, settles = lazy is None
    cdef double[::1] scratch = np.empty(max(p, 1)), total = None, paid, sums, standing, end
    cdef double[::1] step = np.empty((min(batch_size, max(visits, 1)) + 1) * K)
    cdef double significant = 0
    run.t = 0
    if average is not None:
        total, run.t = average
    if v.shape[0] != K * (p + 1):
        raise ValueError(f"v has {v.shape[0]} entries, {K} x ({p} + 1) are needed")
    if batch_size < 1 or rates.shape[0] * batch_size < visits:
        raise ValueError("batch_size is below 1, or rates are too short")
    if total is not None and total.shape[0] != v.shape[0]:
        raise ValueError("average is too short")
    run.data = term.data
    set_metric(&run, metric)
    set_memory(&run, memory, v.shape[0])
    if settles:
        paid, sums = np.zeros(2 * p + 1 if is_sparse else 1), np.array([0.0, 0.0, 1.0])
    else:
        paid, sums = lazy[0].reshape(-1), lazy[1]
        if not is_sparse or paid.shape[0] != 2 * p or sums.shape[0] != 3:
            raise ValueError("lazy sums are those of sparse columns: (p, 2), and 3 numbers")
    run.race, run.has_moved = NULL, False
    if race is not None:
        standing, end = race[0].reshape(-1), race[1]
        if standing.shape[0] != 6 * K or end.shape[0] != 3 or total is None:
            raise ValueError("a race needs six sums for each output, and a mean")
        run.race, significant = <Race *> &standing[0], end[0]
    run.v = &v[0]
    run.average = <double *> start_of(total)
    run.scratch, run.step, run.slope, run.paid = &scratch[0], &step[K], &step[0], start_of(paid)
    run.penalised = run.data.objective.l1 > 0 or run.data.objective.l2 > 0
    run.moved, run.mass, run.growth, run.loss = sums[0], sums[1], sums[2], 0
    watch_start(&run.watch)
    if visits:
        with nogil:
            visits = sweep(&run, batch_size, &rates[0], significant)
            for j in range(p if settles and is_sparse else 0):
                settle_column(&run, j)
    sums[0], sums[1] = run.moved, run.mass
    if race is not None:
        end[1], end[2] = run.has_moved, visits
    watch_end(&run.watch)
    return run.loss


cdef double LARGE = 1e300       # a penalty that keeps a weight at 0, and whose product with 0 is 0


cdef enum:
    EXACT = 32                  # counts up to here have a bin each,
    FINE = 16                   # and each octave beyond so many


cdef inline Py_ssize_t bin_of(long long count) noexcept nogil:
    if count <= EXACT:
        return count
    return EXACT + 1 + <Py_ssize_t> (FINE * log2(<double> count / EXACT))


def bin_counts(Py_ssize_t bins):
    """The count that each bin stands for."""
    at = np.arange(bins)
    return np.where(at <= EXACT, at, EXACT * 2.0 ** ((at - EXACT - 0.5) / FINE))


def bins_of(const long long[::1] count not None):
    """The bin of each count."""
    bins = np.empty(count.shape[0], np.intp)
    cdef Py_ssize_t[::1] out = bins
    cdef Py_ssize_t j
    for j in range(count.shape[0]):
        out[j] = bin_of(count[j])
    return bins


cdef void meet_row(const Row *row, const floating *x, double root, double[::1] norm,
                   long long[::1] count, long long[::1] bins) noexcept nogil:
    """Take a row, whose values are x, into the statistics; root: of its weight."""
    cdef Py_ssize_t t, j
    for t in range(row.size):
        if x[t] != 0:
            j = column(row, t)
            norm[j] = hypot(norm[j], root * x[t])
            bins[bin_of(count[j])] -= 1
            count[j] += 1
            bins[bin_of(count[j])] += 1


def meet(DataTerm term not None, double[::1] norm not None, long long[::1] count not None,
         long long[::1] bins not None):
    """Take sparse rows into the statistics of their columns.

    `norm` holds each column's root of the sum of weight * x^2, `count` the number of its entries
    that are not 0, `bins` the number of columns by such a count, see `bin_counts`.
    """
    cdef Data data = term.data
    cdef double root
    cdef Py_ssize_t v
    cdef Row row
    if (data.X.indices == NULL or not norm.shape[0] == count.shape[0] == data.X.p
            or bins.shape[0] <= bin_of(2**62)):
        raise ValueError("sparse rows, two numbers a column and a bin for each count are needed")
    with nogil:
        for v in range(data.visits):
            row = row_at(data.X, data.order[v])
            root = sqrt(weight_at(&data, data.order[v]))
            if data.X.itemsize == sizeof(float):
                meet_row(&row, <const float *> row.values, root, norm, count, bins)
            else:
                meet_row(&row, <const double *> row.values, root, norm, count, bins)


def rescale(const Py_ssize_t[::1] columns not None, double[::1] v not None,
            double[::1] average not None, metric, lazy, Objective objective, statistics,
            double damping):
    """Bring `columns` up to date, and into the metric of rows that have these
    statistics: (norm, count) as in `meet`, and the total weight.

    The scale of a column is norm sqrt((1 + damping / count) / weight). Its penalties are divided by
    the weight: for a column that is not met its inverse square grows as that does.
    """
    cdef Run run
    cdef double[::1] inverse = metric[1], l1 = metric[2], l2 = metric[3]
    cdef const double[::1] gains = metric[4], norm = statistics[0]
    cdef const long long[::1] count = statistics[1]
    cdef double weight = statistics[2]
    cdef double[::1] paid = lazy[0].reshape(-1), sums = lazy[1]
    cdef Py_ssize_t i, j, k, p = norm.shape[0], K = objective.outputs
    cdef double fresh, ratio
    if not (v.shape[0] == average.shape[0] == K * (p + 1) and paid.shape[0] == 2 * p
            and gains.shape[0] == K
            and inverse.shape[0] == l1.shape[0] == l2.shape[0] == count.shape[0] == p):
        raise ValueError("the arrays of a stream do not fit each other")
    for i in range(columns.shape[0]):
        if not 0 <= columns[i] < p:
            raise IndexError(f"there is no column {columns[i]}")
    run.v, run.average, run.paid = start_of(v), start_of(average), start_of(paid)
    run.gains = &gains[0]
    run.metric = Metric(NULL, start_of(inverse), start_of(l1), start_of(l2))
    run.moved, run.mass, run.data.objective = sums[0], sums[1], objective
    with nogil:
        for i in range(columns.shape[0]):
            j = columns[i]
            settle_column(&run, j)
            if count[j] == 0:
                continue
            fresh = sqrt(weight) / (norm[j] * sqrt(1 + damping / count[j]))
            if not isfinite(fresh) or fresh == 0:
                continue  # beyond what numbers can tell: it keeps the scale that it has
            ratio = inverse[j] / fresh
            for k in range(j * K, (j + 1) * K):
                v[k] *= ratio if v[k] != 0 else 1.0
                average[k] *= ratio if average[k] != 0 else 1.0
            inverse[j] = fresh
            l1[j] = min(objective.l1 * fresh / weight, LARGE)
            l2[j] = min(objective.l2 * fresh * fresh / weight, LARGE)
