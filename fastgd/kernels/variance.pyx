"""SAGA on scaled columns, with importance sampling of the rows: the stored slope of a row corrects
the step along it.

    v <- prox(v - rate (sum over the batch of q_i (g_i' - g_i) x_i / size + total / n))
    total += (g_i' - g_i) x_i

with g_i = s_i dL/dz at row i's last margin, and the importance weight q_i = 1 / (n probability of
row i) (Defazio, Bach, Lacoste-Julien, NIPS 2014; Schmidt et al., AISTATS 2015). If the step could
overshoot the row's own minimum, which at kinks it always could, g_i' is the slope where the step
ends, as in Point-SAGA (Defazio, NIPS 2016). On sparse rows, `total` and the penalty are applied to
a column only when a row stores it, times the inverse frequency of the column (Pedregosa, Leblond,
Lacoste-Julien, NIPS 2017): a step costs no more than its row.
"""
import numpy as np

from libc.math cimport fabs

from .data_term cimport Data, DataTerm, prefetch_row, weight_at
from .implicit_steps cimport implicit
from .losses cimport (SOFTMAX, Objective, curvature, point, softmax, softmax_curvature,
                      target)
from .metric cimport Metric, standardised
from .penalty cimport keep_positive, soft
from .rows cimport Row, Rows, check_order, column, margins, row_at, row_work, start_of
from .signals cimport Watch, watch_end, watch_start, watch_work

cdef struct Run:
    Data data
    const double *importance    # (n,): importance weights, 1 / (n probability)
    const double *inverse_frequency     # (p,): 1 / probability of a column, for CSR
    double *v
    double *total               # sum of slope x'
    double *margins             # (n, outputs): at the last visit
    double *slopes              # (n, outputs): weight * dL/dz there
    const double *squared_norms     # (n,): |x|^2, with the intercept's 1
    double *radius              # (n,): how far the margins moved between visits
    double *scratch             # a row in scaled columns
    double *fresh               # (batch, outputs): slopes at the current margins
    double *change              # (batch, outputs): `fresh` minus the stored slopes
    # (outputs, p), dense: the prox of a step subtracts the threshold, then multiplies by the factor
    const double *threshold
    const double *factor
    const double *rates         # (outputs,)
    double n
    Metric metric
    Watch watch


cdef inline void update_row(Run *run, Py_ssize_t i, const Row *row, double *fresh,
                            double *change) noexcept nogil:
    """Compute row i's slopes and their change since its last visit; store its margins."""
    cdef const Objective *objective = &run.data.objective
    cdef Py_ssize_t k, p = run.data.X.p, K = objective.outputs
    cdef double weight = weight_at(&run.data, i), moved = 0, h, y
    cdef double *z = run.margins + i * K
    margins(row, run.v, p, K, fresh)
    for k in range(K):
        fresh[k] += run.v[p * K + k]
        moved = max(moved, fabs(fresh[k] - z[k]))
        z[k] = fresh[k]
    run.radius[i] = max(moved, 0.5 * run.radius[i])
    if objective.loss == SOFTMAX:
        softmax(z, fresh, K, <Py_ssize_t> run.data.y[i])
    else:
        for k in range(K):
            y = target(objective, run.data.y, i, k)
            h = run.rates[k] * run.importance[i] * run.squared_norms[i]
            if h * weight * objective.max_curvature <= 1:
                fresh[k] = point(objective.loss, objective.delta, objective.slope_limit,
                                 z[k], y).slope
            else:
                fresh[k] = implicit(objective.loss, objective.delta, z[k] + h
                                    * run.slopes[i * K + k], y, h * weight)
    for k in range(K):
        fresh[k] *= weight
        change[k] = fresh[k] - run.slopes[i * K + k]


cdef inline void dense_add(double *restrict v, double *restrict total, const double *restrict x,
                           double step, double drift, double change, Py_ssize_t p) noexcept nogil:
    """v += step x + drift total, total += change x"""
    cdef Py_ssize_t j
    for j in range(p):
        v[j] += step * x[j] + drift * total[j]
        total[j] += change * x[j]


cdef inline void dense_step(double *restrict v, double *restrict total, const double *restrict x,
                            double step, double drift, double change,
                            const double *restrict threshold, const double *restrict factor,
                            Py_ssize_t p) noexcept nogil:
    """The same, followed by the prox."""
    cdef Py_ssize_t j
    for j in range(p):
        v[j] = soft(v[j] + (step * x[j] + drift * total[j]), threshold[j]) * factor[j]
        total[j] += change * x[j]


cdef inline void sparse_step(Run *run, const Row *row, const double *step, const double *change,
                             double part) noexcept nogil:
    """v += step x on the row's own columns, followed by `part` of the step along `total` and of the
    prox there.
    """
    cdef const double *x = <const double *> row.values
    cdef Py_ssize_t t, j, k, K = run.data.objective.outputs
    cdef double *v
    cdef double *total
    cdef double rate
    for t in range(row.size):
        j = column(row, t)
        v, total = run.v + j * K, run.total + j * K
        for k in range(K):
            rate = run.rates[k] * part * run.inverse_frequency[j]
            v[k] = soft(v[k] + step[k] * x[t] - rate / run.n * total[k], rate * run.metric.l1[j])
            v[k] /= 1.0 + rate * run.metric.l2[j]
            total[k] += change[k] * x[t]
        if run.data.objective.positive:
            keep_positive(v, K)


cdef void update(Run *run, const Py_ssize_t *order, Py_ssize_t size) noexcept nogil:
    """Take one step along the rows of a batch."""
    cdef Py_ssize_t i, r, k, p = run.data.X.p, K = run.data.objective.outputs
    cdef double drift
    cdef double *b = run.v + p * K
    cdef double *step
    cdef double *change
    cdef Row row
    for i in range(size):
        row = standardised(run.data.X, order[i], &run.metric, run.scratch)
        update_row(run, order[i], &row, run.fresh + i * K, run.change + i * K)
    for i in range(size):
        r, step, change = order[i], run.change + i * K, run.fresh + i * K
        if size > 1:
            row = standardised(run.data.X, r, &run.metric, run.scratch)
        for k in range(K):
            drift = -run.rates[k] / run.n if i == 0 else 0.0
            step[k] *= -run.rates[k] * run.importance[r] / size
            change[k] -= run.slopes[r * K + k]  # 0 if the batch has the row twice
            run.slopes[r * K + k] += change[k]
            if run.data.objective.intercept:
                b[k] += step[k] + drift * (run.total[p * K + k]
                                           + run.n * run.data.objective.intercept_cost)
            run.total[p * K + k] += change[k]
        if row.indices != NULL:
            sparse_step(run, &row, step, change, 1.0 / size)
            continue
        for k in range(K):
            drift = -run.rates[k] / run.n if i == 0 else 0.0
            if i < size - 1:
                dense_add(run.v + k * p, run.total + k * p, run.scratch, step[k], drift, change[k],
                          p)
            else:
                dense_step(run.v + k * p, run.total + k * p, run.scratch, step[k], drift, change[k],
                           run.threshold + k * p, run.factor + k * p, p)
                if run.data.objective.positive:
                    keep_positive(run.v + k * p, p)


cdef void sweep(Run *run, Py_ssize_t batch_size) noexcept nogil:
    cdef Py_ssize_t begin = 0, size = 0, i, visits = run.data.visits
    cdef double work = row_work(run.data.X) * run.data.objective.outputs + 1
    while begin < visits and not watch_work(&run.watch, <long long> (size * work)):
        size = min(batch_size, visits - begin)
        for i in range(begin, begin + size):
            prefetch_row(&run.data, run.data.order, i, visits)
        update(run, run.data.order + begin, size)
        begin += size


def epoch(DataTerm term not None, double[::1] v not None, scaling,
          const double[::1] rates not None, const double[::1] importance not None,
          const double[::1] inverse_frequency not None, Py_ssize_t batch_size, Py_ssize_t n,
          memory):
    """Visit the rows, drawn from `n`, one update a batch; v becomes the new weights.

    `scaling` is (center, inverse, l1, l2, ...) as in `implicit.epoch`. `memory` is (margins,
    slopes, squared norms, total) as there, and the radius of each row: how far its margins moved
    between visits. `importance` has an importance weight for each row of X, `inverse_frequency` a
    factor for each column (not read for dense rows).
    """
    cdef Run run
    cdef Py_ssize_t N = term.data.X.n, p = term.data.X.p, K = term.data.objective.outputs
    cdef double[::1] scratch = np.empty(max(p, 1)), fresh = np.empty(max(batch_size, 1) * K)
    cdef double[::1] change = np.empty_like(fresh)
    cdef const double[::1] center = scaling[0], inverse = scaling[1], l1 = scaling[2]
    cdef const double[::1] l2 = scaling[3]
    cdef double[::1] z = memory[0], slopes = memory[1], squared_norms = memory[2]
    cdef double[::1] total = memory[3], radius = memory[4]
    cdef const double[::1] threshold, factor
    cdef bint is_sparse = term.data.X.indices != NULL
    if not is_sparse:
        threshold, factor = np.outer(rates, l1).ravel(), (1 / (1 + np.outer(rates, l2))).ravel()
    if v.shape[0] != K * (p + 1):
        raise ValueError(f"v has {v.shape[0]} entries, {K} x ({p} + 1) are needed")
    if not center.shape[0] == inverse.shape[0] == l1.shape[0] == l2.shape[0] == p:
        raise ValueError(f"the scaling must have an entry for each of the {p} columns")
    if not (z.shape[0] == slopes.shape[0] == N * K
            and importance.shape[0] == radius.shape[0] == squared_norms.shape[0] == N
            and total.shape[0] == v.shape[0]):
        raise ValueError("the memory does not fit the rows")
    if (batch_size < 1 or n < 1 or rates.shape[0] != K
            or (is_sparse and inverse_frequency.shape[0] != p)):
        raise ValueError("batch_size and n must be at least 1, rates as many as outputs, and "
                         "inverse frequencies as many as columns")
    if term.data.visits == 0:
        return
    run.data = term.data
    run.importance, run.inverse_frequency = &importance[0], start_of(inverse_frequency)
    run.v, run.total, run.radius = &v[0], &total[0], &radius[0]
    run.margins, run.slopes, run.squared_norms = &z[0], &slopes[0], &squared_norms[0]
    run.scratch = &scratch[0]
    run.fresh = &fresh[0]
    run.change = &change[0]
    run.rates = &rates[0]
    run.n = n
    if not is_sparse:
        run.threshold, run.factor = start_of(threshold), start_of(factor)
    run.metric = Metric(start_of(center), start_of(inverse), start_of(l1), start_of(l2))
    watch_start(&run.watch)
    with nogil:
        sweep(&run, batch_size)
    watch_end(&run.watch)


def survey(DataTerm term not None, memory, double min_radius, double[::1] smoothness not None):
    """The sum of weight * loss at the stored margins; `smoothness` receives weight * curvature *
    |x|^2 of each visited row.

    `memory` is that of `epoch`. The curvature is the largest within the row's radius of the stored
    margins, or within `min_radius` if that is larger.
    """
    cdef Data data = term.data
    cdef Objective objective = data.objective
    cdef const double[::1] z = memory[0], squared_norms = memory[2], radius = memory[4]
    cdef double[::1] slope = np.empty(objective.outputs)
    cdef Py_ssize_t v, i, k, K = objective.outputs
    cdef double loss = 0, largest, weight, t, reach
    if (z.shape[0] != data.X.n * K
            or not squared_norms.shape[0] == radius.shape[0] == smoothness.shape[0] == data.X.n):
        raise ValueError("the memory does not fit the rows")
    with nogil:
        for v in range(data.visits):
            i, largest = data.order[v], 0
            weight, reach = weight_at(&data, i), max(radius[i], min_radius)
            if objective.loss == SOFTMAX:
                loss += weight * softmax(&z[i * K], &slope[0], K, <Py_ssize_t> data.y[i])
                largest = softmax_curvature(&slope[0], K, <Py_ssize_t> data.y[i], reach)
            else:
                for k in range(K):
                    t = target(&objective, data.y, i, k)
                    loss += weight * point(objective.loss, objective.delta, objective.slope_limit,
                                           z[i * K + k], t).value
                    largest = max(largest, curvature(objective.loss, objective.delta,
                                                     z[i * K + k], t, reach))
            smoothness[i] = weight * largest * squared_norms[i]
    return loss


def column_probability(Rows rows not None, const Py_ssize_t[::1] order not None,
                       const double[::1] probability not None, double[::1] out not None):
    """out_j += the probability of a row in `order` that stores column j."""
    cdef Py_ssize_t v, t
    cdef Row row
    check_order(order, rows.table.n)
    if (out.shape[0] != rows.table.p or probability.shape[0] != rows.table.n
            or rows.table.indices == NULL):
        raise ValueError("sparse rows, a probability a row and a number a column are needed")
    with nogil:
        for v in range(order.shape[0]):
            row = row_at(&rows.table, order[v])
            for t in range(row.size):
                out[column(&row, t)] += probability[order[v]]
