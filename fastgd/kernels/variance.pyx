"""SAGA in the metric, rows drawn by their own curvature: the step along a row is corrected by what
the row said when last met.

    v <- prox(v - rate (sum over the batch of share_i (g_i' - g_i) x_i / size + total / n))
    total += (g_i' - g_i) x_i

with g_i = s_i dL/dz at row i's stale margin and share_i = 1 / (n probability of row i) (Defazio,
Bach, Lacoste-Julien, NIPS 2014; Schmidt et al., AISTATS 2015). Where the step could overshoot the
row's own minimum, g_i' is the slope that the step leads to, as in Point-SAGA (Defazio, NIPS 2016):
always at kinks. On sparse rows, total and penalty come with a column's own visits, so much the
stronger as they are rarer (Pedregosa, Leblond, Lacoste-Julien, NIPS 2017): no step costs more than
its row.
"""
import numpy as np

from cython cimport floating
from libc.math cimport fabs

from .losses cimport (SOFTMAX, VALUES, Objective, Point, curvature, implicit, point, softmax,
                      softmax_curvature, target)
from .metric cimport Metric, standardised
from .penalty cimport keep_positive, soft
from .rows cimport Row, Rows, Table, column, look_ahead, margins, row_at, row_work, start_of
from .signals cimport Watch, watch_end, watch_start, watch_work

cdef struct Run:
    const Table *X
    const double *y
    const double *weights       # NULL: all 1
    const double *share         # (n,): 1 / (n probability)
    const double *rarity        # (p,): 1 / probability of a column, for CSR
    double *v
    double *total               # sum of slope x'
    double *z                   # (n, outputs): stale margins
    double *slope               # (n, outputs): weight * dL/dz there
    const double *length        # (n,): |x|^2, the intercept's 1 included
    double *radius              # (n,): how far the margins moved between visits
    double *scratch
    double *fresh               # (batch, outputs): slopes at the margins of now
    double *change              # (batch, outputs): those minus the memory's
    # (outputs, p), dense: of a step's prox: what is taken off, and what is then multiplied by
    const double *threshold
    const double *factor
    const double *rates         # (outputs,)
    double n
    double bend                 # the largest curvature of the loss; infinite at kinks
    Metric metric
    Objective objective
    Watch watch


cdef inline void look(Run *run, Py_ssize_t i, const Row *row, double *fresh,
                      double *change) noexcept nogil:
    """Row i's slopes at its margins of now, and by how much they differ from the memory's."""
    cdef Py_ssize_t k, p = run.X.p, K = run.objective.outputs
    cdef double weight = run.weights[i] if run.weights != NULL else 1.0, moved = 0, h, y
    cdef double *z = run.z + i * K
    margins(row, run.v, p, K, fresh)
    for k in range(K):
        fresh[k] += run.v[p * K + k]
        moved = max(moved, fabs(fresh[k] - z[k]))
        z[k] = fresh[k]
    run.radius[i] = max(moved, 0.5 * run.radius[i])
    if run.objective.loss == SOFTMAX:
        softmax(z, fresh, K, <Py_ssize_t> run.y[i])
    else:
        for k in range(K):
            y = target(&run.objective, run.y, i, k)
            h = run.rates[k] * run.share[i] * run.length[i]
            if h * weight * run.bend <= 1:
                fresh[k] = point(run.objective.loss, run.objective.delta, run.objective.steepest,
                                 z[k], y).slope
            else:
                fresh[k] = implicit(run.objective.loss, run.objective.delta, z[k] + h
                                    * run.slope[i * K + k], y, h * weight)
    for k in range(K):
        fresh[k] *= weight
        change[k] = fresh[k] - run.slope[i * K + k]


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
    """The same with the prox."""
    cdef Py_ssize_t j
    for j in range(p):
        v[j] = soft(v[j] + (step * x[j] + drift * total[j]), threshold[j]) * factor[j]
        total[j] += change * x[j]


cdef inline void sparse_step(Run *run, const Row *row, const double *step, const double *change,
                             double part) noexcept nogil:
    """v += step x on the row's own columns, with `part` of what the drift and the penalty do there.
    """
    cdef const double *x = <const double *> row.values
    cdef Py_ssize_t t, j, k, K = run.objective.outputs
    cdef double *v
    cdef double *total
    cdef double rate
    for t in range(row.size):
        j = column(row, t)
        v, total = run.v + j * K, run.total + j * K
        for k in range(K):
            rate = run.rates[k] * part * run.rarity[j]
            v[k] = soft(v[k] + step[k] * x[t] - rate / run.n * total[k], rate * run.metric.l1[j])
            v[k] /= 1.0 + rate * run.metric.l2[j]
            total[k] += change[k] * x[t]
        if run.objective.positive:
            keep_positive(v, K)


cdef void update(Run *run, const Py_ssize_t *order, Py_ssize_t size,
                 const floating *tag) noexcept nogil:
    """One step by the batch's rows."""
    cdef Py_ssize_t i, r, k, p = run.X.p, K = run.objective.outputs
    cdef double drift
    cdef double *b = run.v + p * K
    cdef double *step
    cdef double *change
    cdef Row row
    for i in range(size):
        row = standardised(run.X, order[i], &run.metric, run.scratch, tag)
        look(run, order[i], &row, run.fresh + i * K, run.change + i * K)
    for i in range(size):
        r, step, change = order[i], run.change + i * K, run.fresh + i * K
        if size > 1:
            row = standardised(run.X, r, &run.metric, run.scratch, tag)
        for k in range(K):
            drift = -run.rates[k] / run.n if i == 0 else 0.0
            step[k] *= -run.rates[k] * run.share[r] / size
            change[k] -= run.slope[r * K + k]  # 0 if the batch has the row twice
            run.slope[r * K + k] += change[k]
            if run.objective.intercept:
                b[k] += step[k] + drift * (run.total[p * K + k] + run.n * run.objective.tilt)
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
                if run.objective.positive:
                    keep_positive(run.v + k * p, p)


cdef void sweep(Run *run, const Py_ssize_t *order, Py_ssize_t visits, Py_ssize_t batch_size,
                const floating *tag) noexcept nogil:
    cdef Py_ssize_t begin = 0, size = 0, i
    cdef Py_ssize_t targets = run.objective.outputs if run.objective.targets == VALUES else 1
    cdef double work = row_work(run.X) * run.objective.outputs + 1
    while begin < visits and not watch_work(&run.watch, <long long> (size * work)):
        size = min(batch_size, visits - begin)
        for i in range(begin, begin + size):
            look_ahead(run.X, run.y, targets, order, i, visits)
        update(run, order + begin, size, tag)
        begin += size


def epoch(Rows rows not None, const double[::1] y not None, const double[::1] weights,
          const Py_ssize_t[::1] order not None, double[::1] v not None, metric,
          const double[::1] rates not None, const double[::1] share not None,
          const double[::1] rarity not None, Objective objective, Py_ssize_t batch_size,
          Py_ssize_t n, memory, double[::1] radius not None, double bend,
          const floating[::1] tag not None):
    """Visit the rows in `order`, drawn from `n`, one update a batch, and leave the new weights in
    v.

    `metric` is (center, inverse, l1, l2), (p,) each, in which v lies; `memory` is (z, slope,
    length, total) as in `implicit.epoch`; `share` has one number a row of X, `rarity` one a column
    (not read for dense rows); `bend` is the largest curvature of the loss, infinite at kinks. `tag`
    tells the dtype.
    """
    cdef Run run
    cdef Py_ssize_t visits = order.shape[0], p = rows.table.p, K = objective.outputs
    cdef Py_ssize_t N = rows.table.n
    cdef double[::1] scratch = np.empty(max(p, 1)), fresh = np.empty(max(batch_size, 1) * K)
    cdef double[::1] change = np.empty_like(fresh)
    cdef const double[::1] center = metric[0], inverse = metric[1], l1 = metric[2], l2 = metric[3]
    cdef double[::1] z = memory[0], slope = memory[1], length = memory[2], total = memory[3]
    cdef const double[::1] threshold, factor
    if rows.table.indices == NULL:
        threshold, factor = np.outer(rates, l1).ravel(), (1 / (1 + np.outer(rates, l2))).ravel()
    rows.check(sizeof(floating), v.shape[0], K, y.shape[0] // (K if objective.targets == VALUES
                                                               else 1), weights, order)
    if not center.shape[0] == inverse.shape[0] == l1.shape[0] == l2.shape[0] == p:
        raise ValueError(f"the metric must have an entry for each of the {p} columns")
    if not (z.shape[0] == slope.shape[0] == N * K
            and share.shape[0] == radius.shape[0] == length.shape[0] == N
            and total.shape[0] == v.shape[0]):
        raise ValueError("the memory does not fit the rows")
    if batch_size < 1 or n < 1 or rates.shape[0] != K or (rows.table.indices != NULL
                                                          and rarity.shape[0] != p):
        raise ValueError("batch_size and n must be at least 1, rates as many as outputs, and "
                         "rarity as many as columns")
    if visits == 0:
        return
    run.X, run.y, run.weights = &rows.table, start_of(y), start_of(weights)
    run.share, run.rarity = &share[0], start_of(rarity)
    run.v, run.total, run.z, run.slope, run.radius = &v[0], &total[0], &z[0], &slope[0], &radius[0]
    run.scratch = &scratch[0]
    run.fresh = &fresh[0]
    run.change = &change[0]
    run.rates = &rates[0]
    run.n = n
    if rows.table.indices == NULL:
        run.threshold, run.factor = start_of(threshold), start_of(factor)
    run.metric = Metric(start_of(center), start_of(inverse), start_of(l1), start_of(l2))
    run.objective, run.length, run.bend = objective, &length[0], bend
    watch_start(&run.watch)
    with nogil:
        sweep(&run, &order[0], visits, batch_size, &tag[0])
    watch_end(&run.watch)


def survey(const double[::1] y not None, const double[::1] weights,
           const Py_ssize_t[::1] order not None, memory, const double[::1] radius not None,
           double least, Objective objective, double[::1] smoothness not None):
    """The sum of weight * loss at the stale margins; `smoothness` takes weight * curvature * |x|^2
    of each row in `order`.

    The curvature is the largest within `radius`, or `least`, of the stale margins.
    """
    cdef const double[::1] z = memory[0], length = memory[2]
    cdef double[::1] slope = np.empty(objective.outputs)
    cdef const double *s = start_of(weights)
    cdef Py_ssize_t v, i, k, K = objective.outputs
    cdef double loss = 0, bend, weight, t, reach
    with nogil:
        for v in range(order.shape[0]):
            i, bend = order[v], 0
            weight, reach = s[i] if s != NULL else 1.0, max(radius[i], least)
            if objective.loss == SOFTMAX:
                loss += weight * softmax(&z[i * K], &slope[0], K, <Py_ssize_t> y[i])
                bend = softmax_curvature(&slope[0], K, <Py_ssize_t> y[i], reach)
            else:
                for k in range(K):
                    t = target(&objective, &y[0], i, k)
                    loss += weight * point(objective.loss, objective.delta, objective.steepest,
                                           z[i * K + k], t).value
                    bend = max(bend, curvature(objective.loss, objective.delta, z[i * K + k], t,
                                               reach))
            smoothness[i] = weight * bend * length[i]
    return loss


def along(const double[::1] y not None, const double[::1] weights,
          const Py_ssize_t[::1] order not None, const double[::1] z not None,
          const double[::1] origin not None, const double[::1] stretch not None,
          const double[::1] shift not None, Objective objective, double[::1] value not None,
          double[::1] by_stretch not None, double[::1] by_shift not None):
    """Sums of weight * loss, and their derivatives, at z_ik + stretch_k (z_ik - origin_k) +
    shift_k.

    `z` is (n, outputs); the rest has one number an output. The losses of 'softmax', which all
    outputs share, add up in value[0], and the other values are 0.
    """
    cdef const double *s = start_of(weights)
    cdef double[::1] margin = np.empty(objective.outputs), slope = np.empty(objective.outputs)
    cdef Py_ssize_t v, i, k, K = objective.outputs, n = z.shape[0] // max(objective.outputs, 1)
    cdef double weight
    cdef Point at
    if not (origin.shape[0] == stretch.shape[0] == shift.shape[0] == value.shape[0]
            == by_stretch.shape[0] == by_shift.shape[0] == K):
        raise ValueError(f"a number for each of the {K} outputs is needed")
    if z.shape[0] != n * K or y.shape[0] != n * (K if objective.targets == VALUES else 1):
        raise ValueError("z and y do not fit each other")
    if weights is not None and weights.shape[0] != n:
        raise ValueError(f"there are {n} rows, but {weights.shape[0]} weights")
    for v in range(order.shape[0]):
        if not 0 <= order[v] < n:
            raise IndexError(f"order[{v}] = {order[v]} is not one of the {n} rows")
    value[:] = 0
    by_stretch[:] = 0
    by_shift[:] = 0
    with nogil:
        for v in range(order.shape[0]):
            i = order[v]
            weight = s[i] if s != NULL else 1.0
            for k in range(K):
                margin[k] = z[i * K + k] + stretch[k] * (z[i * K + k] - origin[k]) + shift[k]
            if objective.loss == SOFTMAX:
                value[0] += weight * softmax(&margin[0], &slope[0], K, <Py_ssize_t> y[i])
            else:
                for k in range(K):
                    at = point(objective.loss, objective.delta, objective.steepest, margin[k],
                               target(&objective, &y[0], i, k))
                    value[k] += weight * at.value
                    slope[k] = at.slope
            for k in range(K):
                by_stretch[k] += weight * slope[k] * (z[i * K + k] - origin[k])
                by_shift[k] += weight * slope[k]


def column_probability(Rows rows not None, const Py_ssize_t[::1] order not None,
                       const double[::1] probability not None, double[::1] out not None,
                       const floating[::1] tag not None):
    """out_j += the probability of a row in `order` that stores column j."""
    cdef Py_ssize_t v, t
    cdef Row row
    rows.check(sizeof(floating), rows.table.p + 1, 1, rows.table.n, None, order)
    if (out.shape[0] != rows.table.p or probability.shape[0] != rows.table.n
            or rows.table.indices == NULL):
        raise ValueError("sparse rows, a probability a row and a number a column are needed")
    with nogil:
        for v in range(order.shape[0]):
            row = row_at(&rows.table, order[v])
            for t in range(row.size):
                out[column(&row, t)] += probability[order[v]]
