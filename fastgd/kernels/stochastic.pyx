"""One epoch of stochastic gradient descent: theta <- theta - rate * (gradient at one row, or a few, + penalty), row after row.

Dense rows go one at a time, and one pass over the weights applies a row's step while it takes the next row's margin.
Sparse rows go in batches of any size, and a step touches the batch's own columns only (`Lazy` in penalty.pxd).
"""
from cython cimport floating
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from .losses cimport SOFTMAX, VALUES, Objective, Point, clipped, point, points, softmax, target
from .penalty cimport Lazy, catch_up, decay, pass_step, penalty, settle
from .rows cimport Row, Rows, Table, accumulate, column, lanes_advance, margins, row_at, squared_norm

cdef enum:
    BLOCK = 256                 # margins kept back, so that their loss values are taken in one vectorised loop

cpdef enum PassiveAggressive:   # the step's length comes from the row itself: loss / |x|^2, bounded by the rate
    OFF
    PA1                         # min(rate, loss / |x|^2)
    PA2                         # loss / (|x|^2 + 1 / (2 rate))

cdef struct Course:             # where the epoch stands in the training, and how its steps are taken
    Py_ssize_t batch_size
    Py_ssize_t skip             # updates before averaging starts; negative: it has started
    int passive_aggressive

cdef struct Sums:               # over the epoch's visits
    double loss                 # of weight * loss
    double penalty              # of (l2 / 2) |W|^2 at the weights each row met; 0 where there is an L1 part
    Py_ssize_t updates


cdef struct Tally:              # margins kept back, and the sum of those already valued
    double sum
    Py_ssize_t size
    double z[BLOCK]
    double y[BLOCK]
    double weight[BLOCK]


cdef void value_tally(const Objective *objective, Tally *tally) noexcept nogil:
    cdef double value[BLOCK]
    cdef double slope[BLOCK]
    cdef Py_ssize_t i
    points(objective, tally.z, tally.y, value, slope, tally.size)
    for i in range(tally.size):
        tally.sum += tally.weight[i] * value[i]
    tally.size = 0


cdef inline void slopes(const Objective *objective, const double *y, Py_ssize_t i, double weight, double *z, Tally *tally) noexcept nogil:
    """Replace a row's margins z by weight * dL/dz and note its loss."""
    cdef Py_ssize_t k
    cdef double t
    if objective.loss == SOFTMAX:
        tally.sum += weight * softmax(z, z, objective.outputs, <Py_ssize_t> y[i])
        for k in range(objective.outputs):
            z[k] *= weight
        return
    for k in range(objective.outputs):
        if tally.size == BLOCK:
            value_tally(objective, tally)
        t = target(objective, y, i, k)
        tally.z[tally.size], tally.y[tally.size], tally.weight[tally.size] = z[k], t, weight
        tally.size += 1
        z[k] = weight * clipped(point(objective.loss, objective.delta, z[k], t).slope)


cdef inline bint passive_aggressive_slopes(const Objective *objective, int kind, double rate, const double *y, Py_ssize_t i, double weight,
                                           double length, double *z, Tally *tally) noexcept nogil:
    """As `slopes`, scaled so that `rate` times it is the passive-aggressive step. False: the row is empty and PA1 passes it over."""
    cdef Py_ssize_t k
    cdef double t, size
    cdef Point at
    for k in range(objective.outputs):
        t = target(objective, y, i, k)
        at = point(objective.loss, objective.delta, z[k], t)
        tally.sum += weight * at.value
        if kind == PA1:
            size = at.value / length if at.value < rate * length else rate
        else:
            size = at.value / (length + 0.5 / rate)
        z[k] = weight * (size / rate) * (1.0 if at.slope > 0 else -1.0 if at.slope < 0 else 0.0)
    return kind != PA1 or length > 0


cdef void dense_sweep(const Table *X, const double *y, const double *weights, const Py_ssize_t[::1] order, floating *theta,
                      double *average, const double *rates, const Objective *objective, const Course *course,
                      double *z, Tally *tally, Sums *sums) noexcept nogil:
    """Row by row. `step[k]`, `factor`, `threshold` are the step of the row behind, which the next pass applies."""
    cdef Py_ssize_t v, k, p = X.p, outputs = objective.outputs
    cdef double *step = z + outputs
    cdef floating *b = theta + p * outputs
    cdef double factor = 1, threshold = 0, square, weight = 1
    cdef bint averaged = False
    cdef Row row, behind = row_at(X, order[0])
    for k in range(outputs):
        step[k] = 0
    for v in range(order.shape[0]):
        row = row_at(X, order[v])
        square = 0
        for k in range(outputs):
            z[k] = b[k] + lanes_advance(<const floating *> behind.values, <const floating *> row.values, theta + k * p,
                                        average + k * p if averaged else <double *> NULL, p,
                                        <floating> factor, <floating> step[k], <floating> threshold, &square)
        sums.penalty += square
        behind, factor, threshold, averaged = row, 1, 0, False
        if weights != NULL:
            weight = weights[order[v]]
        if course.passive_aggressive == OFF:
            slopes(objective, y, order[v], weight, z, tally)
        elif not passive_aggressive_slopes(objective, course.passive_aggressive, rates[v], y, order[v], weight,
                                           squared_norm(&row, theta), z, tally):
            for k in range(outputs):
                step[k] = 0
            continue
        factor, threshold = decay(rates[v], objective.l2), rates[v] * objective.l1
        averaged = average != NULL and sums.updates >= course.skip
        sums.updates += 1
        for k in range(outputs):
            step[k] = -rates[v] * z[k]
            if objective.intercept:
                b[k] += <floating> step[k]
            if averaged:
                average[p * outputs + k] += b[k]
    for k in range(outputs):  # the last row's step; the margins and the square are not needed
        lanes_advance(<const floating *> behind.values, <const floating *> behind.values, theta + k * p,
                      average + k * p if averaged else <double *> NULL, p,
                      <floating> factor, <floating> step[k], <floating> threshold, &square)


cdef inline double squared_sum(const floating *w, Py_ssize_t n) noexcept nogil:
    return 2 * penalty(w, n, 0.0, 1.0)


cdef void sparse_sweep(const Table *X, const double *y, const double *weights, const Py_ssize_t[::1] order, floating *theta,
                       double *average, const double *rates, const Objective *objective, const Course *course, Lazy *lazy,
                       double *z, Tally *tally, Sums *sums) noexcept nogil:
    """Batch by batch: catch up with the batch's columns, take all margins, then add the rows. W is scale * stored."""
    cdef Py_ssize_t v, begin, start, end, i, k, t, p = X.p, outputs = objective.outputs, visits = order.shape[0]
    cdef floating *stored = theta
    cdef floating *b = theta + p * outputs
    cdef double factor, rate, scale, weight = 1, square = squared_sum(stored, p * outputs)
    cdef bint averaged, moved
    cdef Row row
    begin = 0
    while begin < visits:
        start, end = begin, min(begin + course.batch_size, visits)
        begin = end
        rate = rates[sums.updates]
        if lazy.last != NULL:
            for v in range(start, end):
                row = row_at(X, order[v])
                for t in range(row.size):
                    catch_up(lazy, stored, average, column(&row, t), outputs)
        moved = True
        for v in range(start, end):
            row = row_at(X, order[v])
            i = (v - start) * outputs
            margins(&row, stored, p, outputs, z + i)
            for k in range(outputs):
                z[i + k] = lazy.scale * z[i + k] + b[k]
            if weights != NULL:
                weight = weights[order[v]]
            if course.passive_aggressive == OFF:
                slopes(objective, y, order[v], weight, z + i, tally)
            else:
                moved = passive_aggressive_slopes(objective, course.passive_aggressive, rate, y, order[v], weight,
                                                  squared_norm(&row, theta), z + i, tally)
        sums.penalty += (end - start) * lazy.scale * lazy.scale * square
        if not moved:
            continue
        averaged = average != NULL and sums.updates >= course.skip
        sums.updates += 1
        factor = decay(rate, objective.l2)
        if lazy.scale * factor < 1e-9 or (lazy.last != NULL and lazy.now == lazy.capacity):
            settle(lazy, stored, average, p, outputs)
            if factor == 0:
                memset(stored, 0, p * outputs * sizeof(floating))
                factor = 1
            square = squared_sum(stored, p * outputs)
        lazy.scale *= factor
        scale = -rate / (end - start)
        for v in range(start, end):
            row = row_at(X, order[v])
            i = (v - start) * outputs
            square += accumulate(&row, scale / lazy.scale, z + i, stored, p, outputs)
            for k in range(outputs):
                if objective.intercept:
                    b[k] += <floating> (scale * z[i + k])
        pass_step(lazy, rate * objective.l1, averaged)
        for k in range(outputs):
            if averaged:
                average[p * outputs + k] += b[k]
    settle(lazy, stored, average, p, outputs)


cdef int start_lazy(Lazy *lazy, Py_ssize_t p, Py_ssize_t updates, bint needed) except -1:
    """Room for the running sums of as many steps as there are columns (at least 65 536), so that settling costs O(1) a step."""
    lazy.scale, lazy.now, lazy.capacity = 1, 0, min(max(p, 65536), updates)
    lazy.last, lazy.shrunk = NULL, NULL
    if not needed:
        return 0
    lazy.last = <Py_ssize_t *> calloc(p, sizeof(Py_ssize_t))
    lazy.shrunk = <double *> calloc(3 * (lazy.capacity + 1), sizeof(double))
    if lazy.last == NULL or lazy.shrunk == NULL:
        free(lazy.last)
        free(lazy.shrunk)
        raise MemoryError()
    lazy.mass = lazy.shrunk + lazy.capacity + 1
    lazy.moment = lazy.mass + lazy.capacity + 1
    return 0


def epoch(Rows rows not None, const double[::1] y not None, const double[::1] weights, const Py_ssize_t[::1] order not None,
          floating[::1] theta not None, double[::1] average, const double[::1] rates not None, Objective objective, Course course):
    """Visit the rows in `order`, one update a batch, and leave the new weights in theta.

    `weights` (None: all 1) are relative to the mean weight; `rates` holds one rate an update; `average` (None: none)
    receives the sum of the iterates. Returns the `Sums` over the visits.
    """
    cdef Table *X = &rows.table
    cdef Py_ssize_t outputs = objective.outputs, visits = order.shape[0]
    cdef Sums sums = Sums(0, 0, 0)
    cdef Tally tally
    cdef Lazy lazy
    cdef double *z
    cdef const double *s = NULL
    cdef double *mean = NULL if average is None else &average[0]
    if visits == 0:
        return sums
    if weights is not None:
        s = &weights[0]
    rows.fit(sizeof(floating), theta.shape[0], outputs, y.shape[0] // (outputs if objective.targets == VALUES else 1), weights, order)
    if X.indices == NULL and course.batch_size != 1:
        raise ValueError("dense rows are visited one at a time here")
    if rates.shape[0] * course.batch_size < visits or (average is not None and average.shape[0] != theta.shape[0]):
        raise ValueError("rates or average are too short")
    tally.sum, tally.size = 0, 0
    start_lazy(&lazy, X.p, rates.shape[0], X.indices != NULL and (objective.l1 > 0 or mean != NULL))
    z = <double *> malloc(2 * outputs * min(course.batch_size, visits) * sizeof(double))
    try:
        if z == NULL:
            raise MemoryError()
        with nogil:
            if X.indices == NULL:
                dense_sweep(X, &y[0], s, order, &theta[0], mean, &rates[0], &objective, &course, z, &tally, &sums)
            else:
                sparse_sweep(X, &y[0], s, order, &theta[0], mean, &rates[0], &objective, &course, &lazy, z, &tally, &sums)
            value_tally(&objective, &tally)
    finally:
        free(z)
        free(lazy.last)
        free(lazy.shrunk)
    sums.loss = tally.sum
    sums.penalty *= 0.5 * objective.l2 if objective.l1 == 0 else 0.0
    return sums
