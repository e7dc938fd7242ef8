"""One epoch of stochastic gradient descent: theta <- theta - rate * (gradient at one row, or a few, + penalty), row after row.

Dense rows go one at a time, and one pass over the weights applies a row's step while it takes the next row's margin.
Sparse rows go in batches of any size, and a step touches the batch's own columns only (`Lazy` in penalty.pxd).
"""
from cython cimport floating
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from .losses cimport SOFTMAX, VALUES, Objective, Point, point, points, softmax, target
from .penalty cimport Lazy, catch_up, decay, is_late, pass_step, settle, squared_sum
from .rows cimport Row, Rows, Table, accumulate, column, fetch, lanes_advance, margins, row_at, squared_norm, start_of

cdef enum:
    BLOCK = 256                 # margins kept back, so that their loss values are taken in one vectorised loop
    FETCH_BYTES = 1024          # of dense rows to come that are on their way from memory
    AHEAD = 4                   # sparse rows to come that are on their way

cpdef enum PassiveAggressive:   # the step's length comes from the row itself: loss / |x|^2, bounded by the rate
    OFF
    PA1                         # min(rate, loss / |x|^2)
    PA2                         # loss / (|x|^2 + 1 / (2 rate))

cdef struct Course:             # how the steps of the epoch are taken
    Py_ssize_t batch_size
    Py_ssize_t skip             # updates before averaging starts
    int passive_aggressive

cdef struct Sums:               # over the epoch's visits
    double loss                 # of weight * loss
    double penalty              # of (l2 / 2) |W|^2 at the weights each row met; 0 where there is an L1 part
    Py_ssize_t updates

cdef struct Tally:              # margins kept back
    Py_ssize_t size
    double z[BLOCK]
    double y[BLOCK]
    double weight[BLOCK]

cdef struct Run:
    const Table *X
    const double *y
    const double *weights       # NULL: all 1
    const double *rates         # one an update
    double *average             # sum of the iterates; NULL: none
    double *z                   # (2, batch size, outputs): margins, then slopes or steps; for sparse rows also dot products
    Objective objective
    Course course
    Lazy lazy
    Tally tally
    Sums sums


cdef void value_tally(Run *run) noexcept nogil:
    """Add the loss of the margins kept back."""
    cdef double value[BLOCK]
    cdef double slope[BLOCK]
    cdef Py_ssize_t i
    points(&run.objective, run.tally.z, run.tally.y, value, slope, run.tally.size)
    for i in range(run.tally.size):
        run.sums.loss += run.tally.weight[i] * value[i]
    run.tally.size = 0


cdef inline void keep_back(Run *run, double z, double y, double weight) noexcept nogil:
    """Note a margin, whose loss is taken later."""
    cdef Py_ssize_t size = run.tally.size
    run.tally.z[size], run.tally.y[size], run.tally.weight[size] = z, y, weight
    run.tally.size = size + 1
    if size + 1 == BLOCK:
        value_tally(run)


cdef inline double passive_aggressive(Run *run, double z, double t, double weight, double rate, double length) noexcept nogil:
    """The slope that, times `rate`, is the passive-aggressive step of a row of squared length `length`."""
    cdef Point at = point(run.objective.loss, run.objective.delta, z, t)
    cdef double size
    run.sums.loss += weight * at.value
    if run.course.passive_aggressive == PA1:
        size = at.value / length if at.value < rate * length else rate
    else:
        size = at.value / (length + 0.5 / rate)
    return weight * (size / rate) * (1.0 if at.slope > 0 else -1.0 if at.slope < 0 else 0.0)


cdef inline double slope_of(Run *run, Py_ssize_t i, Py_ssize_t k, double z, double rate, double length) noexcept nogil:
    """weight * dL/dz of row i's k-th output at margin z; its loss is noted."""
    cdef double t = target(&run.objective, run.y, i, k), weight = run.weights[i] if run.weights != NULL else 1.0, slope
    if run.course.passive_aggressive != OFF:
        return passive_aggressive(run, z, t, weight, rate, length)
    keep_back(run, z, t, weight)
    slope = point(run.objective.loss, run.objective.delta, z, t).slope
    return slope if run.weights == NULL else weight * slope


cdef inline void softmax_slopes(Run *run, Py_ssize_t i, double *z) noexcept nogil:
    """Replace row i's margins by weight * dL/dz; its loss is noted."""
    cdef double weight = run.weights[i] if run.weights != NULL else 1.0
    cdef Py_ssize_t k
    run.sums.loss += weight * softmax(z, z, run.objective.outputs, <Py_ssize_t> run.y[i])
    for k in range(run.objective.outputs):
        z[k] *= weight


cdef inline double length_of(const Run *run, const Row *row, const floating *theta) noexcept nogil:
    """|x|^2 where passive-aggressive steps ask for it."""
    return squared_norm(row, theta) if run.course.passive_aggressive != OFF else 0.0


cdef inline bint is_passed_over(const Run *run, double length) noexcept nogil:
    """Whether the row is empty and PA1 makes no update of it."""
    return run.course.passive_aggressive == PA1 and length == 0


cdef inline bint count_update(Run *run) noexcept nogil:
    """One update more; whether it enters the average."""
    run.sums.updates += 1
    return run.average != NULL and run.sums.updates > run.course.skip


cdef void dense_sweep(Run *run, const Py_ssize_t *order, Py_ssize_t visits, floating *theta) noexcept nogil:
    """Row by row. `step`, `factor`, `threshold` and `average` are the step of the row behind, which the next pass applies."""
    cdef Py_ssize_t v, k, p = run.X.p, outputs = run.objective.outputs, distance = 1 + FETCH_BYTES // (run.X.itemsize * p)
    cdef const floating *X = <const floating *> run.X.values
    cdef const floating *ahead
    cdef const floating *later
    cdef const floating *behind = X + order[0] * p
    cdef floating *b = theta + p * outputs
    cdef double *step = run.z
    cdef double *average = NULL
    cdef double rate, factor = 1, threshold = 0, square, z, length
    cdef bint joint = run.objective.loss == SOFTMAX, intercept = run.objective.intercept
    cdef Row row = Row(behind, NULL, False, p)
    memset(step, 0, outputs * sizeof(double))
    for v in range(visits + 1):  # one time more, for the last row's step
        ahead = X + order[v] * p if v < visits else behind
        later = X + order[v + distance] * p if v + distance < visits else ahead
        rate = run.rates[run.sums.updates] if v < visits else 0
        row.values, square = ahead, 0
        length = length_of(run, &row, theta)
        for k in range(outputs):
            z = b[k] + lanes_advance(behind, ahead, later, theta + k * p, average + k * p if average != NULL else average, p,
                                     <floating> factor, <floating> step[k], <floating> threshold, &square)
            step[k] = z
            if not joint and v < visits:
                step[k] = -rate * slope_of(run, order[v], k, z, rate, length)
        if v == visits:
            break
        run.sums.penalty += square
        behind = ahead
        if is_passed_over(run, length):
            factor, threshold, average = 1, 0, NULL
            memset(step, 0, outputs * sizeof(double))
            continue
        factor, threshold = decay(rate, run.objective.l2), rate * run.objective.l1
        average = run.average if count_update(run) else <double *> NULL
        if joint:
            softmax_slopes(run, order[v], step)
            for k in range(outputs):
                step[k] *= -rate
        for k in range(outputs):
            if intercept:
                b[k] += <floating> step[k]
            if average != NULL:
                average[p * outputs + k] += b[k]


cdef inline bint sparse_slopes(Run *run, const Py_ssize_t *order, Py_ssize_t size, floating *theta) noexcept nogil:
    """Catch up with the batch's columns and leave its slopes in run.z; False: nothing to do. W is lazy.scale * theta."""
    cdef Py_ssize_t v, k, t, p = run.X.p, outputs = run.objective.outputs
    cdef floating *b = theta + p * outputs
    cdef double *z = run.z
    cdef double length, rate = run.rates[run.sums.updates]
    cdef bint moved = True
    cdef Row row
    if is_late(&run.lazy):
        for v in range(size):
            row = row_at(run.X, order[v])
            for t in range(row.size):
                catch_up(&run.lazy, theta, run.average, column(&row, t), outputs)
    for v in range(size):
        row = row_at(run.X, order[v])
        margins(&row, theta, p, outputs, z)
        for k in range(outputs):
            z[run.course.batch_size * outputs + k] = z[k]
            z[k] = run.lazy.scale * z[k] + b[k]
        length = length_of(run, &row, theta)
        if run.objective.loss == SOFTMAX:
            softmax_slopes(run, order[v], z)
        else:
            for k in range(outputs):
                z[k] = slope_of(run, order[v], k, z[k], rate, length)
        moved = not is_passed_over(run, length)
        z += outputs
    return moved


cdef inline void sparse_step(Run *run, const Py_ssize_t *order, Py_ssize_t size, floating *theta, double *square) noexcept nogil:
    """Add the batch's rows to the weights. `square` follows |theta's weights|^2 by |v + d x|^2 = |v|^2 + 2 d (v x) + d^2 |x|^2."""
    cdef Py_ssize_t v, k, p = run.X.p, outputs = run.objective.outputs
    cdef floating *b = theta + p * outputs
    cdef double rate = run.rates[run.sums.updates], scale = -rate / size, factor = decay(rate, run.objective.l2), length, d
    cdef double *z = run.z
    cdef double *dot = run.z + run.course.batch_size * outputs
    cdef Lazy *lazy = &run.lazy
    cdef bint averaged = count_update(run)
    cdef Row row
    if lazy.scale * factor < 1e-9 or (lazy.last != NULL and lazy.now == lazy.capacity):
        for v in range(size * outputs):
            dot[v] *= lazy.scale
        settle(lazy, theta, run.average, p, outputs)
        if factor == 0:
            memset(theta, 0, p * outputs * sizeof(floating))
            memset(dot, 0, size * outputs * sizeof(double))
            factor = 1
        square[0] = squared_sum(theta, p * outputs)
    lazy.scale *= factor
    for v in range(size):
        row = row_at(run.X, order[v])
        if run.objective.l1 == 0 and run.objective.l2 > 0:  # else nobody asks for the square
            length = squared_norm(&row, theta)
            if v > 0:
                margins(&row, theta, p, outputs, dot)  # the weights have changed since
            for k in range(outputs):
                d = scale / lazy.scale * z[k]
                square[0] += d * (2 * dot[k] + d * length)
        accumulate(&row, scale / lazy.scale, z, theta, p, outputs)
        for k in range(outputs if run.objective.intercept else 0):
            b[k] += <floating> (scale * z[k])
        z, dot = z + outputs, dot + outputs
    pass_step(lazy, rate * run.objective.l1, averaged)
    for k in range(outputs if averaged else 0):
        run.average[p * outputs + k] += b[k]


cdef void sparse_sweep(Run *run, const Py_ssize_t *order, Py_ssize_t visits, floating *theta) noexcept nogil:
    """Batch by batch."""
    cdef Py_ssize_t begin = 0, size, v, parameters = run.X.p * run.objective.outputs
    cdef double square = squared_sum(theta, parameters)
    while begin < visits:
        size = min(run.course.batch_size, visits - begin)
        for v in range(min(begin + AHEAD, visits), min(begin + AHEAD + size, visits)):
            fetch(run.X, order[v])
        run.sums.penalty += size * run.lazy.scale * run.lazy.scale * square
        if sparse_slopes(run, order + begin, size, theta):
            sparse_step(run, order + begin, size, theta, &square)
        begin += size
    settle(&run.lazy, theta, run.average, run.X.p, run.objective.outputs)


cdef int allocate(Run *run, Py_ssize_t updates) except -1:
    """Scratch, and what lazy steps need: a history as long as there are columns (or 65 536), so that settling costs O(1) a step."""
    cdef Lazy *lazy = &run.lazy
    cdef bint lasso = run.X.indices != NULL and run.objective.l1 > 0, averaged = run.X.indices != NULL and run.average != NULL
    lazy.scale, lazy.shrunk, lazy.mass, lazy.now, lazy.capacity = 1, 0, 0, 0, min(max(run.X.p, 65536), updates)
    lazy.paid, lazy.last, lazy.history = NULL, NULL, NULL
    run.z = <double *> malloc(2 * run.objective.outputs * run.course.batch_size * sizeof(double))
    if lasso and averaged:
        lazy.last = <Py_ssize_t *> calloc(run.X.p, sizeof(Py_ssize_t))
        lazy.history = <double *> calloc(3 * (lazy.capacity + 1), sizeof(double))
    elif lasso or averaged:
        lazy.paid = <double *> calloc(run.X.p, sizeof(double))
    if run.z == NULL or ((lasso or averaged) and not is_late(lazy)) or (lazy.last != NULL and lazy.history == NULL):
        release(run)
        raise MemoryError()
    return 0


cdef void release(Run *run) noexcept:
    free(run.z)
    free(run.lazy.paid)
    free(run.lazy.last)
    free(run.lazy.history)


def epoch(Rows rows not None, const double[::1] y not None, const double[::1] weights, const Py_ssize_t[::1] order not None,
          floating[::1] theta not None, double[::1] average, const double[::1] rates not None, Objective objective, Course course):
    """Visit the rows in `order`, one update a batch, and leave the new weights in theta.

    `weights` (None: all 1) are relative to the mean weight; `rates` holds one rate an update; `average` (None: none)
    receives the sum of the iterates. Returns the `Sums` over the visits.
    """
    cdef Run run
    cdef Py_ssize_t visits = order.shape[0]
    course.batch_size = min(course.batch_size, max(visits, 1))
    rows.check(sizeof(floating), theta.shape[0], objective.outputs,
               y.shape[0] // (objective.outputs if objective.targets == VALUES else 1), weights, order)
    if course.batch_size != 1 and (rows.table.indices == NULL or course.passive_aggressive != OFF):
        raise ValueError("dense rows, and passive-aggressive steps, come one at a time here")
    if rates.shape[0] * course.batch_size < visits or (average is not None and average.shape[0] != theta.shape[0]):
        raise ValueError("rates or average are too short")
    run.X, run.objective, run.course, run.tally.size, run.sums = &rows.table, objective, course, 0, Sums(0, 0, 0)
    if visits == 0:
        return run.sums
    run.y, run.rates, run.weights = start_of(y), start_of(rates), start_of(weights)
    run.average = <double *> start_of(average)
    allocate(&run, rates.shape[0])
    with nogil:
        if run.X.indices == NULL:
            dense_sweep(&run, &order[0], visits, &theta[0])
        else:
            sparse_sweep(&run, &order[0], visits, &theta[0])
        value_tally(&run)
    release(&run)
    run.sums.penalty *= 0.5 * objective.l2 if objective.l1 == 0 else 0.0
    return run.sums
