"""Implicit stochastic gradient descent on scaled columns: each row's slope is taken where its step
ends, so no step overshoots.

    v <- prox(v - rate / size * sum of s_i g_i x_i),    g_i = dL/dz at x_i v - rate s_i |x_i|^2 g_i

over the rows of a batch. The penalty's prox is taken column by column. The average weights the
t-th iterate by t (t + 1) (t + 2) (polynomial decay; Shamir, Zhang, ICML 2013). A sparse row changes
its own columns only: what the others owe to the penalty and to the average is a difference of
running sums, see docs/lazy.md. A stream keeps these sums from call to call, so that a call changes
no other columns either.
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

cdef struct Memory:             # of each row's last visit, for SAGA; NULL: none
    double *margins             # (n, outputs)
    double *slopes              # (n, outputs): weight * dL/dz there
    double *squared_norms       # (n,): |x|^2, with the intercept's 1
    double *total               # sum of slope x', in the layout of v

cdef struct PageTest:           # of the losses of average and iterate on rows before their steps
    double excess               # sum of their differences; it restarts at 0 when it is negative
    double squares              # sum of the squared differences
    double recent, recent_weight    # sums of the average's losses and weights since that restart
    double loss, weight         # the same since the average began

DRIFT_SUMS = sizeof(PageTest) // sizeof(double)

cdef struct Run:
    Data data
    const double *inverse_curvature     # (outputs,): factors of the rates
    double *v                   # [W, b] in scaled columns
    double *average             # sum of t (t + 1) (t + 2) v; NULL: none
    double *scratch             # a row in scaled columns
    double *step                # (batch, outputs): slopes, then steps along the rows
    double *slope               # (outputs,): slopes of the current row at its margins
    double *paid                # (p, 2): `rate_sum` and `mass` at a sparse column's last visit
    double rate_sum             # sum of the rates, times `growth`
    double growth
    double mass                 # sum of the weights of the average
    double t                    # updates
    PageTest *tests             # (outputs,); NULL: average and iterate are not compared
    bint has_drifted            # the result of the tests
    Memory memory
    Metric metric
    bint penalised
    double loss                 # sum of weight * loss
    Watch watch


cdef inline void settle_column(Run *run, Py_ssize_t j) noexcept nogil:
    """Bring a sparse column up to date."""
    cdef Py_ssize_t k, K = run.data.objective.outputs
    cdef double owed = run.rate_sum - run.paid[2 * j], mass = run.mass - run.paid[2 * j + 1], rate
    cdef double *v = run.v + j * K
    run.paid[2 * j] = run.rate_sum
    run.paid[2 * j + 1] = run.mass
    for k in range(K):
        rate = owed * run.inverse_curvature[k]
        v[k] = soft(v[k], rate * run.metric.l1[j]) / (1.0 + rate * run.metric.l2[j])
        if run.data.objective.positive:
            keep_positive(v + k, 1)
        if run.average != NULL:
            run.average[j * K + k] += mass * v[k]


cdef inline void prox(double *restrict v, double rate, const double *restrict l1,
                      const double *restrict l2, Py_ssize_t n) noexcept nogil:
    """The prox of rate * penalty."""
    cdef Py_ssize_t j
    for j in range(n):
        v[j] = soft(v[j], rate * l1[j]) / (1.0 + rate * l2[j])


cdef inline void add(double weight, const double *restrict v, double *restrict average,
                     Py_ssize_t n) noexcept nogil:
    """average += weight v"""
    cdef Py_ssize_t j
    for j in range(n):
        average[j] += weight * v[j]


cdef inline void store_slopes(Run *run, Py_ssize_t i, const Row *row,
                              double norm_squared) noexcept nogil:
    """Store the slopes of row i, and its squared norm, in the memory."""
    cdef Py_ssize_t k, p = run.data.X.p, K = run.data.objective.outputs
    cdef double slope
    run.memory.squared_norms[i] = norm_squared
    for k in range(K):
        slope = run.slope[k]
        run.slope[k] -= run.memory.slopes[i * K + k]
        run.memory.slopes[i * K + k] = slope
        run.memory.total[p * K + k] += run.slope[k]
    accumulate(row, 1.0, run.slope, run.memory.total, p, K)


cdef inline void implicit_slopes(Run *run, Py_ssize_t i, const Row *row, double rate,
                                 double *step) noexcept nogil:
    """Compute in `step` the slopes where row i's step ends; add its loss, and update the memory.
    """
    cdef const Objective *objective = &run.data.objective
    cdef Py_ssize_t k, t, p = run.data.X.p, K = objective.outputs
    cdef double weight = weight_at(&run.data, i)
    cdef double norm_squared = squared_norm(row, run.v) + objective.intercept
    cdef double h = rate * weight * norm_squared, y
    cdef Point at
    for t in range(row.size if row.indices != NULL else 0):
        settle_column(run, column(row, t))
    margins(row, run.v, p, K, step)
    for k in range(K):
        step[k] += run.v[p * K + k]
        if run.memory.margins != NULL:
            run.memory.margins[i * K + k] = step[k]
    if run.tests != NULL and run.t > 0:
        compare(run, i, row, step, weight)
    if objective.loss == SOFTMAX:
        run.loss += weight * softmax(step, step, K, <Py_ssize_t> run.data.y[i])
        for k in range(K):  # no closed form: the curvature is at most 1/2
            run.slope[k] = weight * step[k]
            step[k] = run.slope[k] / (1.0 + 0.5 * h * run.inverse_curvature[k])
    else:
        for k in range(K):
            y = target(objective, run.data.y, i, k)
            at = point(objective.loss, objective.delta, objective.slope_limit, step[k], y)
            run.loss += weight * at.value
            run.slope[k] = weight * at.slope
            step[k] = weight * implicit(objective.loss, objective.delta, step[k], y,
                                        h * run.inverse_curvature[k])
    if run.memory.margins != NULL:
        store_slopes(run, i, row, norm_squared)


cdef inline void compare(Run *run, Py_ssize_t i, const Row *row, const double *z,
                         double weight) noexcept nogil:
    """Compare the losses of the average and of the iterate, whose margins are z, on row i."""
    cdef Py_ssize_t k, p = run.data.X.p, K = run.data.objective.outputs
    cdef double *at = run.slope                 # margins of the average; no slopes are known yet
    cdef double total = run.t * (run.t + 1) * (run.t + 2) * (run.t + 3) / 4, loss, other, y
    margins(row, run.average, p, K, at)
    for k in range(K):
        at[k] = (at[k] + run.average[p * K + k]) / total
    if run.data.objective.loss == SOFTMAX:
        loss = softmax(at, at, K, <Py_ssize_t> run.data.y[i])
        other = softmax(z, at, K, <Py_ssize_t> run.data.y[i])
        add_losses(run.tests, weight, loss, other)
        return
    for k in range(K):
        y = target(&run.data.objective, run.data.y, i, k)
        loss = point(run.data.objective.loss, run.data.objective.delta, INFINITY, at[k], y).value
        other = point(run.data.objective.loss, run.data.objective.delta, INFINITY, z[k], y).value
        loss += run.data.objective.intercept_cost * run.average[p * K + k] / total
        other += run.data.objective.intercept_cost * run.v[p * K + k]
        add_losses(run.tests + k, weight, loss, other)


cdef inline void add_losses(PageTest *test, double weight, double loss,
                            double other) noexcept nogil:
    """Add a row on which the average has this loss, and the iterate the other one."""
    cdef double change = weight * (loss - other)
    if not (isfinite(change) and isfinite(change * change)):
        return
    test.loss += weight * loss
    test.weight += weight
    test.recent += weight * loss
    test.recent_weight += weight
    test.excess += change
    test.squares += change * change
    if test.excess <= 0:
        test.excess = test.squares = test.recent = test.recent_weight = 0


cdef inline bint has_drifted(const PageTest *test, double threshold) noexcept nogil:
    """Whether the average is worse than the iterates by more than `threshold` standard errors, and
    either worse than earlier or over twice as bad as the iterates.

    An average that is worse but still improves is on its way, and the iterates are ahead of it.
    """
    return (test.excess > threshold * sqrt(test.squares)
            and (test.recent * test.weight > test.loss * test.recent_weight
                 or 2 * test.excess > test.recent > 0))


cdef inline void end_update(Run *run, double rate) noexcept nogil:
    """Count an update; the prox and the averaging of dense weights follow at once, those of sparse
    ones at the next visit of their column.
    """
    cdef Py_ssize_t k, p = run.data.X.p, K = run.data.objective.outputs
    cdef double weight
    run.t += 1
    weight = run.t * (run.t + 1) * (run.t + 2)
    run.rate_sum += rate * run.growth
    run.mass += weight
    for k in range(K if run.data.objective.intercept else 0):
        run.v[p * K + k] -= rate * run.inverse_curvature[k] * run.data.objective.intercept_cost
    if run.data.X.indices == NULL:
        for k in range(K if run.penalised and rate > 0 else 0):
            prox(run.v + k * p, rate * run.inverse_curvature[k], run.metric.l1, run.metric.l2, p)
        if run.data.objective.positive:
            keep_positive(run.v, p * K)
        if run.average != NULL:
            add(weight, run.v, run.average, p * K)
    if run.average != NULL:
        add(weight, run.v + p * K, run.average + p * K, K)


cdef Py_ssize_t sweep(Run *run, Py_ssize_t batch_size, const double *rates,
                      double threshold) noexcept nogil:
    """Make updates until the data have drifted; return the number of visits."""
    cdef const Py_ssize_t *order = run.data.order
    cdef Py_ssize_t begin = 0, size = 0, i, k, u = 0, visits = run.data.visits
    cdef Py_ssize_t p = run.data.X.p, K = run.data.objective.outputs
    cdef double scale, work = row_work(run.data.X) * K + 1
    cdef Row row
    while (begin < visits and not run.has_drifted
           and not watch_work(&run.watch, <long long> (size * work))):
        size = min(batch_size, visits - begin)
        for i in range(size):
            prefetch_row(&run.data, order, begin + i, visits)
            row = standardised(run.data.X, order[begin + i], &run.metric, run.scratch)
            implicit_slopes(run, order[begin + i], &row, rates[u], run.step + i * K)
        scale = -rates[u] / size
        for i in range(size if rates[u] > 0 else 0):
            if size > 1:
                row = standardised(run.data.X, order[begin + i], &run.metric, run.scratch)
            for k in range(K):
                run.step[i * K + k] *= scale * run.inverse_curvature[k]
                run.v[p * K + k] += run.step[i * K + k] if run.data.objective.intercept else 0.0
            accumulate(&row, 1.0, run.step + i * K, run.v, p, K)
        end_update(run, rates[u])
        begin += size
        u += 1
        for k in range(K if run.tests != NULL else 0):
            run.has_drifted |= has_drifted(run.tests + k, threshold)
    return begin


cdef int set_scaling(Run *run, scaling) except -1:
    """Fill in the scaling, (center, inverse, l1, l2, inverse curvature) as in `epoch`."""
    cdef const double[::1] center = scaling[0], inverse = scaling[1], l1 = scaling[2]
    cdef const double[::1] l2 = scaling[3], inverse_curvature = scaling[4]
    cdef Py_ssize_t p = run.data.X.p
    if not center.shape[0] == inverse.shape[0] == l1.shape[0] == l2.shape[0] == p:
        raise ValueError(f"the scaling must have an entry for each of the {p} columns")
    if inverse_curvature.shape[0] != run.data.objective.outputs:
        raise ValueError("the scaling must have an inverse curvature for each output")
    run.metric = Metric(start_of(center), start_of(inverse), start_of(l1), start_of(l2))
    run.inverse_curvature = start_of(inverse_curvature)
    return 0


cdef int set_memory(Run *run, memory, Py_ssize_t parameters) except -1:
    """Fill in the memory, (margins, slopes, squared norms, total, ...) or None."""
    cdef double[::1] z, slopes, squared_norms, total
    cdef Py_ssize_t n = run.data.X.n, K = run.data.objective.outputs
    run.memory = Memory(NULL, NULL, NULL, NULL)
    if memory is None:
        return 0
    z, slopes, squared_norms, total = memory[:4]
    if (z.shape[0] != n * K or slopes.shape[0] != n * K or squared_norms.shape[0] != n
            or total.shape[0] != parameters):
        raise ValueError("the memory does not fit the rows")
    if n:
        run.memory = Memory(&z[0], &slopes[0], &squared_norms[0], &total[0])
    return 0


def epoch(DataTerm term not None, double[::1] v not None, scaling,
          const double[::1] rates not None, Py_ssize_t batch_size, average=None, memory=None,
          lazy=None, drift=None):
    """Visit the rows, one update a batch; return the sum of weight * loss at the margins before
    the updates.

    Parameters
    ----------
    v : ndarray
        [W, b] in scaled columns; changed in place, as all that follows.
    scaling : tuple of ndarray
        (center, inverse, l1, l2), (p,) each: columns are (x - center) * inverse, the penalties are
        those of v; and (outputs,) factors of the rates, the inverse curvatures.
    rates : ndarray
        One rate for each update; 0 changes no weights.
    average : tuple, optional
        (weighted sum of the iterates or None, number of updates so far).
    memory : tuple of ndarray, optional
        (margins, slopes, squared norms, total) of SAGA, updated at each visit.
    lazy : tuple of ndarray, optional
        For CSR: (paid, sums). `sums` are those of the rates and of the average's weights, and the
        factor of the rates in the first one; `paid` (p, 2) holds the first two at a column's last
        update. None: every column is up to date before and after.
    drift : tuple of ndarray, optional
        (sums, report): `sums` (outputs, DRIFT_SUMS) are those of a `PageTest` for each output.
        Where an average is worse than the iterates by report[0] standard errors, and worse than
        earlier or twice as bad as the iterates, the update is the last. report[1] receives whether
        that happened, report[2] the number of visits.
    """
    cdef Run run
    cdef Py_ssize_t visits = term.data.visits, p = term.data.X.p, K = term.data.objective.outputs, j
    cdef bint is_sparse = term.data.X.indices != NULL, settles = lazy is None
    cdef double[::1] scratch = np.empty(max(p, 1)), total = None, paid, sums, tests, report
    cdef double[::1] step = np.empty((min(batch_size, max(visits, 1)) + 1) * K)
    cdef double threshold = 0
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
    set_scaling(&run, scaling)
    set_memory(&run, memory, v.shape[0])
    if settles:
        paid, sums = np.zeros(2 * p + 1 if is_sparse else 1), np.array([0.0, 0.0, 1.0])
    else:
        paid, sums = lazy[0].reshape(-1), lazy[1]
        if not is_sparse or paid.shape[0] != 2 * p or sums.shape[0] != 3:
            raise ValueError("lazy sums are those of sparse columns: (p, 2), and 3 numbers")
    run.tests, run.has_drifted = NULL, False
    if drift is not None:
        tests, report = drift[0].reshape(-1), drift[1]
        if tests.shape[0] != DRIFT_SUMS * K or report.shape[0] != 3 or total is None:
            raise ValueError("a test for drift needs six sums for each output, and an average")
        run.tests, threshold = <PageTest *> &tests[0], report[0]
    run.v = &v[0]
    run.average = <double *> start_of(total)
    run.scratch, run.step, run.slope, run.paid = &scratch[0], &step[K], &step[0], start_of(paid)
    run.penalised = run.data.objective.l1 > 0 or run.data.objective.l2 > 0
    run.rate_sum, run.mass, run.growth, run.loss = sums[0], sums[1], sums[2], 0
    watch_start(&run.watch)
    if visits:
        with nogil:
            visits = sweep(&run, batch_size, &rates[0], threshold)
            for j in range(p if settles and is_sparse else 0):
                settle_column(&run, j)
    sums[0], sums[1] = run.rate_sum, run.mass
    if drift is not None:
        report[1], report[2] = run.has_drifted, visits
    watch_end(&run.watch)
    return run.loss


# A penalty that keeps a weight at 0; finite, so that its product with 0 is 0.
cdef double LARGE = 1e300


cdef enum:
    EXACT = 32                  # counts up to this one have a bin each
    PER_OCTAVE = 16             # bins of each octave of larger counts: steps of 4 %


cdef inline Py_ssize_t bin_of(long long count) noexcept nogil:
    """The bin of a column with this number of entries."""
    if count <= EXACT:
        return count
    return EXACT + 1 + <Py_ssize_t> (PER_OCTAVE * log2(<double> count / EXACT))


def bin_counts(Py_ssize_t bins):
    """The count that each bin stands for."""
    at = np.arange(bins)
    return np.where(at <= EXACT, at, EXACT * 2.0 ** ((at - EXACT - 0.5) / PER_OCTAVE))


def bins_of(const long long[::1] count not None):
    """The bin of each count."""
    bins = np.empty(count.shape[0], np.intp)
    cdef Py_ssize_t[::1] out = bins
    cdef Py_ssize_t j
    for j in range(count.shape[0]):
        out[j] = bin_of(count[j])
    return bins


cdef void add_row(const Row *row, const floating *x, double root, double[::1] norm,
                  long long[::1] count, long long[::1] bins) noexcept nogil:
    """Add a row of values x to the statistics; `root` is the square root of its weight."""
    cdef Py_ssize_t t, j
    for t in range(row.size):
        if x[t] != 0:
            j = column(row, t)
            norm[j] = hypot(norm[j], root * x[t])
            bins[bin_of(count[j])] -= 1
            count[j] += 1
            bins[bin_of(count[j])] += 1


def add_rows(DataTerm term not None, double[::1] norm not None, long long[::1] count not None,
             long long[::1] bins not None):
    """Add sparse rows to the statistics of their columns.

    `norm` is the root of the sum of weight * x^2 of each column, `count` the number of its nonzero
    entries, `bins` the number of columns in each bin of counts, see `bin_counts`.
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
                add_row(&row, <const float *> row.values, root, norm, count, bins)
            else:
                add_row(&row, <const double *> row.values, root, norm, count, bins)


def rescale(const Py_ssize_t[::1] columns not None, double[::1] v not None,
            double[::1] average not None, scaling, lazy, Objective objective, statistics,
            double damping):
    """Bring `columns` up to date, and convert them to the scaling of all rows so far.

    `statistics` are (norm, count) of `add_rows` and the total weight. The scale of a column is
    norm sqrt((1 + damping / count) / weight). Its penalties are divided by the weight: while a
    column is not visited, the square of its inverse scale grows in proportion to the weight.
    """
    cdef Run run
    cdef double[::1] inverse = scaling[1], l1 = scaling[2], l2 = scaling[3]
    cdef const double[::1] inverse_curvature = scaling[4], norm = statistics[0]
    cdef const long long[::1] count = statistics[1]
    cdef double weight = statistics[2]
    cdef double[::1] paid = lazy[0].reshape(-1), sums = lazy[1]
    cdef Py_ssize_t i, j, k, p = norm.shape[0], K = objective.outputs
    cdef double fresh, ratio
    if not (v.shape[0] == average.shape[0] == K * (p + 1) and paid.shape[0] == 2 * p
            and inverse_curvature.shape[0] == K
            and inverse.shape[0] == l1.shape[0] == l2.shape[0] == count.shape[0] == p):
        raise ValueError("the arrays of a stream do not fit each other")
    for i in range(columns.shape[0]):
        if not 0 <= columns[i] < p:
            raise IndexError(f"there is no column {columns[i]}")
    run.v, run.average, run.paid = start_of(v), start_of(average), start_of(paid)
    run.inverse_curvature = &inverse_curvature[0]
    run.metric = Metric(NULL, start_of(inverse), start_of(l1), start_of(l2))
    run.rate_sum, run.mass, run.data.objective = sums[0], sums[1], objective
    with nogil:
        for i in range(columns.shape[0]):
            j = columns[i]
            settle_column(&run, j)
            if count[j] == 0:
                continue
            fresh = sqrt(weight) / (norm[j] * sqrt(1 + damping / count[j]))
            if not isfinite(fresh) or fresh == 0:
                continue  # out of range: the column keeps its scale
            ratio = inverse[j] / fresh
            for k in range(j * K, (j + 1) * K):
                v[k] *= ratio if v[k] != 0 else 1.0
                average[k] *= ratio if average[k] != 0 else 1.0
            inverse[j] = fresh
            l1[j] = min(objective.l1 * fresh / weight, LARGE)
            l2[j] = min(objective.l2 * fresh * fresh / weight, LARGE)
