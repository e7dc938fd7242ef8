"""One epoch of stochastic gradient descent: theta <- theta - rate * (gradient of a batch + that of
the penalty).

Batches of dense rows have one row. One pass over the weights applies the step of a row and computes
the margin of the next one. Batches of sparse rows have any size, and a step changes the columns of
its own rows only (`Lazy` in penalty.pxd).
"""
from cython cimport floating
from libc.math cimport INFINITY
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from .data_term cimport Data, DataTerm, EpochSums, prefetch_row, weight_at
from .losses cimport SOFTMAX, VALUES, Objective, Point, point_of, points, slope_at, softmax, target
from .penalty cimport Lazy, catch_up, change, decay, is_late, pass_step, penalty, settle, takes_off
from .rows cimport (PREFETCH, PairMargins, Row, accumulate, column, lanes_advance, margins, row_at,
                    row_work, squared_norm, start_of, summed_accumulate)
from .rules cimport gradient_norms
from .signals cimport Watch, watch_end, watch_start, watch_work

cdef enum:
    # margins in the buffer whose loss values one vectorised loop computes
    BLOCK = 256
    # Dense rows of at most this number of bytes are processed in pairs.
    PAIR_BYTES = 4096
    # bytes of the next dense rows that are prefetched
    PREFETCH_BYTES = 2048

# Passive-aggressive steps: the step length follows from the row's loss and |x|^2.
cpdef enum PassiveAggressive:
    OFF
    PA1                         # min(rate, loss / |x|^2)
    PA2                         # loss / (|x|^2 + 1 / (2 rate))

cdef struct Course:             # settings of an epoch
    Py_ssize_t batch_size
    Py_ssize_t skip             # updates before averaging starts
    int passive_aggressive

cdef struct Simple:             # one output, no sample weights, no L1, no average
    bint _

cdef struct General:            # all other cases
    bint _

# Tags of two versions of a dense sweep, compiled apart: `Simple` without the branches of `General`.
ctypedef fused case:
    Simple
    General

cdef struct Visit:              # to a dense row
    Py_ssize_t i
    double rate
    double step                 # the rate; 0: no update
    double factor               # the factor of the weights in the update
    double squared_norm         # |x|^2, for passive-aggressive steps
    bint averaged               # whether the update enters the average

cdef struct LossBuffer:         # margins whose losses are not computed yet
    Py_ssize_t size
    double z[BLOCK]
    double y[BLOCK]
    double weight[BLOCK]

cdef struct Run:
    Data data
    const double *rates         # one an update
    double *average             # sum of the iterates; NULL: none
    # (2, outputs) or (batch size, outputs): margins, then slopes or steps
    double *z
    void *start                 # theta before the epoch
    Course course
    Lazy lazy
    LossBuffer buffer
    EpochSums sums
    Watch watch
    double work                 # multiplications a row


cdef void flush_losses(Run *run) noexcept nogil:
    """Add the losses of the buffered margins."""
    cdef double value[BLOCK]
    cdef double slope[BLOCK]
    cdef Py_ssize_t i
    points(&run.data.objective, run.buffer.z, run.buffer.y, value, slope, run.buffer.size)
    for i in range(run.buffer.size):
        run.sums.loss += run.buffer.weight[i] * value[i]
    run.buffer.size = 0


cdef inline void buffer_loss(Run *run, double z, double y, double weight) noexcept nogil:
    """Buffer a margin, whose loss is computed later."""
    cdef Py_ssize_t size = run.buffer.size
    run.buffer.z[size], run.buffer.y[size], run.buffer.weight[size] = z, y, weight
    run.buffer.size = size + 1
    if size + 1 == BLOCK:
        flush_losses(run)


cdef inline double passive_aggressive(Run *run, double z, double t, double weight, double rate,
                                      double norm_squared) noexcept nogil:
    """The slope that, times `rate`, is the passive-aggressive step of a row."""
    cdef Point at = point_of(&run.data.objective, z, t)
    cdef double size
    run.sums.loss += weight * at.value
    if run.course.passive_aggressive == PA1:
        size = at.value / norm_squared if at.value < rate * norm_squared else rate
    else:
        size = at.value / (norm_squared + 0.5 / rate)
    return weight * (size / rate) * (1.0 if at.slope > 0 else -1.0 if at.slope < 0 else 0.0)


cdef inline double slope_of(Run *run, Py_ssize_t i, Py_ssize_t k, double z, double rate,
                            double norm_squared, const case *tag) noexcept nogil:
    """weight * dL/dz of row i's k-th output at margin z; adds its loss."""
    cdef double t, weight
    if case is Simple:
        t, weight = run.data.y[i], 1.0
    else:
        t, weight = target(&run.data.objective, run.data.y, i, k), weight_at(&run.data, i)
        if run.course.passive_aggressive != OFF:
            return passive_aggressive(run, z, t, weight, rate, norm_squared)
    buffer_loss(run, z, t, weight)
    return weight * slope_at(&run.data.objective, z, t)


cdef inline void softmax_slopes(Run *run, Py_ssize_t i, double *z) noexcept nogil:
    """Replace row i's margins by weight * dL/dz; add its loss."""
    cdef double weight = weight_at(&run.data, i)
    cdef Py_ssize_t k
    run.sums.loss += weight * softmax(z, z, run.data.objective.outputs, <Py_ssize_t> run.data.y[i])
    for k in range(run.data.objective.outputs):
        z[k] *= weight


cdef inline double norm_for_step(const Run *run, const Row *row,
                                 const floating *theta) noexcept nogil:
    """|x|^2 for passive-aggressive steps, else 0."""
    return squared_norm(row, theta) if run.course.passive_aggressive != OFF else 0.0


cdef inline bint is_skipped(const Run *run, double norm_squared) noexcept nogil:
    """Whether the row is empty, so that PA1 makes no update."""
    return run.course.passive_aggressive == PA1 and norm_squared == 0


cdef inline bint count_update(Run *run) noexcept nogil:
    """Count an update; return whether it enters the average."""
    run.sums.updates += 1
    return run.average != NULL and run.sums.updates > run.course.skip


cdef inline Visit begin_visit(Run *run, Py_ssize_t i, const floating *x,
                              const case *tag) noexcept nogil:
    """The part of a visit to dense row i that needs no margin; count its update."""
    cdef Row row = Row(x, NULL, False, run.data.X.p)
    cdef double rate = run.rates[run.sums.updates]
    cdef Visit visit = Visit(i, rate, rate, decay(rate, run.data.objective.l2), 0.0, False)
    if case is Simple:
        run.sums.updates += 1
        return visit
    visit.squared_norm = norm_for_step(run, &row, x)
    if is_skipped(run, visit.squared_norm):
        visit.step, visit.factor = 0, 1
    else:
        visit.averaged = count_update(run)
    return visit


cdef inline double step_of(Run *run, const Visit *visit, Py_ssize_t k, double z,
                           floating *intercept, const case *tag) noexcept nogil:
    """The step along the row of its k-th output, where W x = z; apply it to the intercept."""
    cdef double step = -visit.step * slope_of(run, visit.i, k, z + intercept[0], visit.rate,
                                              visit.squared_norm, tag)
    if run.data.objective.intercept:
        intercept[0] += <floating> (step - visit.step * run.data.objective.intercept_cost)
    return step


cdef void softmax_steps(Run *run, const Visit *visit, double *z, floating *b) noexcept nogil:
    """Replace a row's products W x by its steps; apply them to the intercepts."""
    cdef Py_ssize_t k
    for k in range(run.data.objective.outputs):
        z[k] += b[k]
    softmax_slopes(run, visit.i, z)
    for k in range(run.data.objective.outputs):
        z[k] *= -visit.step
        if run.data.objective.intercept:
            b[k] += <floating> (z[k] - visit.step * run.data.objective.intercept_cost)


cdef inline bint goes_in_pairs(const Run *run) noexcept nogil:
    """Whether rows are narrow, and need no soft threshold, bound or average."""
    return (run.data.objective.l1 == 0 and not run.data.objective.positive and run.average == NULL
            and run.data.X.p * run.data.X.itemsize <= PAIR_BYTES)


cdef inline bint is_simple(const Run *run) noexcept nogil:
    """Whether such rows also have one output and no sample weights."""
    cdef const Objective *objective = &run.data.objective
    return (goes_in_pairs(run) and objective.outputs == 1 and objective.targets == VALUES
            and run.data.weights == NULL and objective.loss != SOFTMAX
            and run.course.passive_aggressive == OFF)


cdef void dense_sweep(Run *run, const Py_ssize_t *order, Py_ssize_t visits, floating *theta,
                      const case *tag) noexcept nogil:
    """Row by row, or two rows at a time: a pass over the weights applies the steps of the last rows
    and computes the products with the next rows.
    """
    cdef Py_ssize_t v = 0, k, i, size = 1, p = run.data.X.p
    cdef Py_ssize_t outputs = 1 if case is Simple else run.data.objective.outputs
    cdef bint joint = case is General and run.data.objective.loss == SOFTMAX
    cdef bint paired = case is Simple or goes_in_pairs(run)
    cdef Py_ssize_t stride = 2 if paired else 1
    cdef Py_ssize_t distance = stride * (1 + PREFETCH_BYTES // (run.data.X.itemsize * p * stride))
    cdef const floating *X = <const floating *> run.data.X.values
    cdef (const floating *)[2] behind, ahead, later
    cdef floating *b = theta + p * outputs
    cdef double[2] alone
    # steps of the rows behind, then those of the rows ahead
    cdef double *first = &alone[0] if case is Simple else run.z
    cdef double *second = first + outputs
    cdef double *average
    cdef double factor, carry, threshold, below
    cdef Visit nobody = Visit(0, 0.0, 0.0, 1.0, 0.0, False)
    cdef Visit[2] visit
    cdef PairMargins products
    cdef floating intercept
    memset(first, 0, 2 * outputs * sizeof(double))
    visit[0] = visit[1] = nobody
    ahead[0] = ahead[1] = X + order[0] * p
    while size > 0 and not watch_work(&run.watch, <long long> run.work):
        size = min(stride, visits - v)     # 0: one more pass, for the steps of the last rows
        factor = visit[0].factor * visit[1].factor
        carry = visit[1].factor
        threshold = visit[0].step * run.data.objective.l1
        below = INFINITY if run.data.objective.positive else threshold
        average = run.average if case is General and visit[0].averaged else <double *> NULL
        for i in range(2):
            behind[i] = ahead[i]
            ahead[i] = X + order[min(v + i, visits - 1)] * p
            later[i] = X + order[min(v + i + distance, visits - 1)] * p
            PREFETCH(&run.data.y[order[min(v + i + distance, visits - 1)]])
        visit[0] = begin_visit(run, order[v], ahead[0], tag) if size > 0 else nobody
        visit[1] = begin_visit(run, order[v + 1], ahead[1], tag) if size > 1 else nobody
        for k in range(outputs):
            products = lanes_advance(behind, ahead, later, theta + k * p, average + k * p
                                     if average != NULL else average, p, <floating> factor,
                                     <floating> (carry * first[k]), <floating> second[k],
                                     <floating> threshold, <floating> below, paired)
            if not joint and size > 0:
                intercept = b[k]  # in a register: the second step waits for it
                products.first = step_of(run, &visit[0], k, products.first, &intercept, tag)
                products.second *= visit[0].factor
                products.second += products.first * products.product
                products.second = step_of(run, &visit[1], k, products.second, &intercept,
                                          tag) if size > 1 else 0.0
                b[k] = intercept
            first[k], second[k] = products.first, products.second
        if joint and size > 0:
            softmax_steps(run, &visit[0], first, b)
            for k in range(outputs):
                second[k] = visit[0].factor * second[k] + first[k] * products.product
        if joint and size > 1:
            softmax_steps(run, &visit[1], second, b)
        elif joint or size < 2:
            memset(second, 0, outputs * sizeof(double))
        for k in range(outputs if case is General and visit[0].averaged else 0):
            run.average[p * outputs + k] += b[k]
        v += size


cdef inline bint sparse_slopes(Run *run, const Py_ssize_t *order, Py_ssize_t size,
                               floating *theta) noexcept nogil:
    """Bring the columns of a batch up to date, and compute its slopes in run.z, where W is
    lazy.scale * theta; return whether there is an update.
    """
    cdef Py_ssize_t v, k, t, p = run.data.X.p, outputs = run.data.objective.outputs
    cdef floating *b = theta + p * outputs
    cdef double *z = run.z
    cdef double norm_squared, rate = run.rates[run.sums.updates]
    cdef bint updates = True
    cdef Row row
    if is_late(&run.lazy):
        for v in range(size):
            row = row_at(run.data.X, order[v])
            for t in range(row.size):
                catch_up(&run.lazy, theta, run.average, column(&row, t), outputs)
    for v in range(size):
        row = row_at(run.data.X, order[v])
        margins(&row, theta, p, outputs, z)
        for k in range(outputs):
            z[k] = run.lazy.scale * z[k] + b[k]
        norm_squared = norm_for_step(run, &row, theta)
        if run.data.objective.loss == SOFTMAX:
            softmax_slopes(run, order[v], z)
        else:
            for k in range(outputs):
                z[k] = slope_of(run, order[v], k, z[k], rate, norm_squared,
                                <const General *> NULL)
        updates = not is_skipped(run, norm_squared)
        z += outputs
    return updates


cdef inline void sparse_step(Run *run, const Py_ssize_t *order, Py_ssize_t size,
                             floating *theta) noexcept nogil:
    """Take the step of a batch, whose slopes are in run.z."""
    cdef Py_ssize_t v, k, t, at, p = run.data.X.p, outputs = run.data.objective.outputs
    cdef floating *b = theta + p * outputs
    cdef double rate = run.rates[run.sums.updates], scale = -rate / size
    cdef double factor = decay(rate, run.data.objective.l2)
    cdef double *z = run.z
    cdef Lazy *lazy = &run.lazy
    cdef bint averaged = count_update(run)
    cdef Row row
    if lazy.scale * factor < lazy.least or (lazy.last != NULL and lazy.now == lazy.capacity):
        settle(lazy, theta, run.average, p, outputs)
        if factor == 0:
            memset(theta, 0, p * outputs * sizeof(floating))
            factor = 1
    lazy.scale *= factor
    for v in range(size):
        row = row_at(run.data.X, order[v])
        if takes_off(lazy):
            summed_accumulate(&row, scale / lazy.scale, z, theta, outputs, run.average, lazy.mass)
        else:
            accumulate(&row, scale / lazy.scale, z, theta, p, outputs)
        for k in range(outputs if run.data.objective.intercept else 0):
            b[k] += <floating> (scale * z[k])
        z += outputs
    for k in range(outputs if run.data.objective.intercept else 0):
        b[k] -= <floating> (rate * run.data.objective.intercept_cost)
    for v in range(size if run.data.objective.positive else 0):
        row = row_at(run.data.X, order[v])
        for t in range(row.size):
            for at in range(column(&row, t) * outputs, (column(&row, t) + 1) * outputs):
                if theta[at] < 0:
                    change(lazy, theta + at, run.average + at, <floating> 0)
    pass_step(lazy, rate * run.data.objective.l1, averaged)
    for k in range(outputs if averaged else 0):
        run.average[p * outputs + k] += b[k]


cdef void sparse_sweep(Run *run, const Py_ssize_t *order, Py_ssize_t visits,
                       floating *theta) noexcept nogil:
    """Batch by batch."""
    cdef Py_ssize_t begin = 0, size = 0, v
    while begin < visits and not watch_work(&run.watch, <long long> (size * run.work)):
        size = min(run.course.batch_size, visits - begin)
        for v in range(begin, begin + size):
            prefetch_row(&run.data, order, v, visits)
        if sparse_slopes(run, order + begin, size, theta):
            sparse_step(run, order + begin, size, theta)
        begin += size
    settle(&run.lazy, theta, run.average, run.data.X.p, run.data.objective.outputs)


cdef double penalty_at(const Run *run, const floating *theta) noexcept nogil:
    """The penalty at theta."""
    cdef const Objective *objective = &run.data.objective
    return penalty(theta, run.data.X.p * objective.outputs, objective.outputs, objective.l1,
                   objective.l2, objective.intercept_cost)


cdef int allocate(Run *run, Py_ssize_t updates) except -1:
    """Allocate scratch memory and the arrays of lazy steps. The history has as many steps as there
    are columns, or 65 536, so that settling costs O(1) a step.
    """
    cdef Lazy *lazy = &run.lazy
    cdef bint lasso = run.data.X.indices != NULL and run.data.objective.l1 > 0
    cdef bint averaged = run.data.X.indices != NULL and run.average != NULL
    lazy.scale = 1
    lazy.shrunk = 0
    lazy.mass = 0
    lazy.now = 0
    lazy.capacity = min(max(run.data.X.p, 65536), updates)
    # As the difference of sums of all later steps, the average would lose nine digits at 1e-9.
    lazy.least = 1e-4 if averaged and not lasso else 1e-9
    lazy.paid, lazy.last, lazy.history = NULL, NULL, NULL
    run.z = <double *> malloc(run.data.objective.outputs * max(run.course.batch_size, 2)
                              * sizeof(double))
    run.start = malloc(run.data.objective.outputs * (run.data.X.p + 1) * run.data.X.itemsize)
    if lasso and averaged:
        lazy.last = <Py_ssize_t *> calloc(run.data.X.p, sizeof(Py_ssize_t))
        lazy.history = <double *> calloc(3 * (lazy.capacity + 1), sizeof(double))
    elif lasso:
        lazy.paid = <double *> calloc(run.data.X.p, sizeof(double))
    if (run.z == NULL or run.start == NULL or (lasso and not is_late(lazy))
            or (lazy.last != NULL and lazy.history == NULL)):
        release(run)
        raise MemoryError()
    return 0


cdef void release(Run *run) noexcept:
    free(run.z)
    free(run.start)
    free(run.lazy.paid)
    free(run.lazy.last)
    free(run.lazy.history)


def epoch(DataTerm term not None, floating[::1] theta not None, double[::1] average,
          const double[::1] rates not None, Course course):
    """Visit the rows, one update a batch, which changes theta; return the `EpochSums`.

    The rows' weights are relative to their mean. `rates` has a rate for each update. `average`, if
    not None, receives the sum of the iterates.
    """
    cdef Run run
    cdef const Py_ssize_t *order = term.data.order
    cdef Py_ssize_t visits = term.data.visits, parameters = theta.shape[0]
    term.check(sizeof(floating), parameters)
    course.batch_size = min(course.batch_size, max(visits, 1))
    if course.batch_size != 1 and (term.data.X.indices == NULL
                                   or course.passive_aggressive != OFF):
        raise ValueError("dense rows, and passive-aggressive steps, come one at a time here")
    if rates.shape[0] * course.batch_size < visits or (average is not None
                                                       and average.shape[0] != parameters):
        raise ValueError("rates or average are too short")
    run.data = term.data
    run.course = course
    run.buffer.size = 0
    run.sums = EpochSums(0, 0, 0, 0)
    if visits == 0:
        return run.sums
    run.rates = start_of(rates)
    run.average = <double *> start_of(average)
    run.work = row_work(run.data.X) * run.data.objective.outputs + 1
    allocate(&run, rates.shape[0])
    watch_start(&run.watch)
    with nogil:
        memcpy(run.start, &theta[0], parameters * sizeof(floating))
        if run.data.X.indices == NULL and is_simple(&run):
            dense_sweep(&run, order, visits, &theta[0], <const Simple *> NULL)
        elif run.data.X.indices == NULL:
            dense_sweep(&run, order, visits, &theta[0], <const General *> NULL)
        else:
            sparse_sweep(&run, order, visits, &theta[0])
        flush_losses(&run)
        run.sums.penalty = penalty_at(&run, <const floating *> run.start)
        run.sums.penalty = (run.sums.penalty + penalty_at(&run, &theta[0])) / 2 * visits
        run.sums.gradient_norm = gradient_norms(<const floating *> run.start, &theta[0], parameters,
                                                run.rates, run.sums.updates)
    release(&run)
    watch_end(&run.watch)
    return run.sums
