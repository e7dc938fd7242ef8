"""Feed-forward networks: forward and backward passes over one flat vector of parameters, and one
epoch of descent by them.

    forward    Z_l = A_(l-1) W_l + b_l,  A_l = f(Z_l)
    backward   dW_l = A_(l-1)' D_l,  db_l = sum_i D_l,  D_(l-1) = (D_l W_l') f'(Z_(l-1))

A_0 holds the rows of a batch, Z_L the margins and D_L the slopes of the loss.

theta = [W_1, b_1, ..., W_L, b_L], W_l (inputs, units) in C-order. Products are BLAS's; a batch is
worked on in tiles of rows, which bound the memory. All is done by one thread, so the bits are
always the same.
"""
from cython cimport floating
from libc.math cimport erfc, fabs, sqrt
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from scipy.linalg.cython_blas cimport dgemm, sgemm

from .elementary cimport exp, log1p
from .data_term cimport Data, DataTerm, weight_at
from .losses cimport SOFTMAX, points, softmax, target
from .random cimport draw
from .rows cimport (Products, Row, Rows, Table, check_order, column, dense_add, lanes_products,
                    row_at)
from .rules cimport ADAMW, Rule, check_buffers, update
from .signals cimport Watch, watch_end, watch_is_over, watch_start, watch_work

cpdef enum Activation:
    IDENTITY
    LOGISTIC
    TANH
    RELU
    LEAKY_RELU
    GELU
    SILU
    SOFTPLUS

cdef enum:
    TILE = 1024                 # rows that are worked on together
    # parameters that are looked at and updated while they are in the first-level cache
    BLOCK = 4096

cdef struct Sums:               # over the epoch's visits
    double loss                 # of weight * loss
    double penalty              # of the penalty at the weights each row met
    double gradient_norm        # sum of |gradient| over the updates
    Py_ssize_t updates

cdef struct Neuron:
    double value, slope

cdef struct Run:                # what is the same for all batches
    Watch watch
    Data data
    const Py_ssize_t *widths    # of the layers, inputs first
    Py_ssize_t layers           # of weights
    Py_ssize_t parameters
    Py_ssize_t tile             # rows
    Py_ssize_t activations      # numbers a row of all layers that are kept
    bint scaled                 # the inputs are (x - center) * inverse
    int activation
    double dropout              # share of the hidden units that a step does without
    uint64_t seed               # of which they are
    double *z                   # margins, targets, losses and slopes of a tile
    double *y_tile
    double *value
    double *slope
    const double *factors       # of each output's margins and targets; NULL: all scales are 1
    const double *shares        # of each output's loss


cdef inline Neuron neuron(int activation, double z) noexcept nogil:
    """f(z) and f'(z), from one exp. Comparisons are so turned that a NaN margin gives a NaN value.
    """
    cdef double e, p, q
    if activation == RELU:
        return Neuron(0.0 if z < 0 else z, 1.0 if z > 0 else 0.0)
    if activation == LEAKY_RELU:
        return Neuron(0.01 * z if z < 0 else z, 1.0 if z > 0 else 0.01)
    if activation == IDENTITY:
        return Neuron(z, 1.0)
    if activation == TANH:
        e = exp(-2.0 * fabs(z))
        p = (1.0 - e) / (1.0 + e)
        return Neuron(-p if z < 0 else p, 4.0 * e / ((1.0 + e) * (1.0 + e)))
    if activation == GELU:
        p = 0.5 * erfc(-0.70710678118654752440 * z)
        return Neuron(z * p, p + z * 0.39894228040143267794 * exp(-0.5 * z * z))
    e = exp(-fabs(z))
    p = 1.0 / (1.0 + e)
    q = e * p
    p, q = (q, p) if z < 0 else (p, q)
    if activation == LOGISTIC:
        return Neuron(p, p * q)
    if activation == SILU:
        return Neuron(z * p, p + z * p * q)
    return Neuron(log1p(e) + (0.0 if z < 0 else z), p)  # softplus


cdef inline void activate_all(int activation, floating *restrict z, floating *restrict slope,
                              Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef Neuron unit
    for i in range(n):
        unit = neuron(activation, z[i])
        z[i] = <floating> unit.value
        slope[i] = <floating> unit.slope


cdef void activate(int activation, floating *z, floating *slope, Py_ssize_t n) noexcept nogil:
    """z, slope <- f(z), f'(z); the function is a constant in each call, so each loop vectorises."""
    if activation == IDENTITY:
        activate_all(IDENTITY, z, slope, n)
    elif activation == LOGISTIC:
        activate_all(LOGISTIC, z, slope, n)
    elif activation == TANH:
        activate_all(TANH, z, slope, n)
    elif activation == RELU:
        activate_all(RELU, z, slope, n)
    elif activation == LEAKY_RELU:
        activate_all(LEAKY_RELU, z, slope, n)
    elif activation == GELU:
        activate_all(GELU, z, slope, n)
    elif activation == SILU:
        activate_all(SILU, z, slope, n)
    else:
        activate_all(SOFTPLUS, z, slope, n)


cdef void drop(double share, floating *value, floating *slope, Py_ssize_t n,
               uint64_t *state) noexcept nogil:
    """Silence a random share of the units, and let the others speak so much louder."""
    cdef uint64_t bound = <uint64_t> (share * 4294967296.0)
    cdef floating louder = <floating> (1 / (1 - share))
    cdef floating factor
    cdef Py_ssize_t i
    for i in range(n):
        factor = 0 if draw(state) >> 32 < bound else louder
        value[i] *= factor
        slope[i] *= factor


cdef void multiply(bint a_transposed, bint b_transposed, Py_ssize_t rows, Py_ssize_t columns,
                   Py_ssize_t inner, const floating *a, const floating *b, floating beta,
                   floating *c) noexcept nogil:
    """c <- a b + beta c, c (rows, columns); a (rows, inner) and b (inner, columns) or their
    transposes; all in C-order.
    """
    cdef char a_form = b'T' if a_transposed else b'N', b_form = b'T' if b_transposed else b'N'
    cdef int m = <int> columns, n = <int> rows, k = <int> inner
    cdef int a_lead = n if a_transposed else k, b_lead = k if b_transposed else m
    cdef floating one = 1
    if floating is float:  # BLAS's matrices lie by column: c' <- b' a' + beta c'
        sgemm(&b_form, &a_form, &m, &n, &k, &one, <float *> b, &b_lead, <float *> a, &a_lead, &beta,
              c, &m)
    else:
        dgemm(&b_form, &a_form, &m, &n, &k, &one, <double *> b, &b_lead, <double *> a, &a_lead,
              &beta, c, &m)


cdef inline floating *layer(const Run *run, Py_ssize_t number, floating *room) noexcept nogil:
    """The outputs (rows, units) of a layer for a tile; of sparse rows the inputs have no room."""
    cdef Py_ssize_t before = 0, below
    for below in range(0 if run.data.X.indices == NULL else 1, number):
        before += run.widths[below]
    return room + before * run.tile


cdef inline floating *slopes(const Run *run, Py_ssize_t number, floating *room) noexcept nogil:
    """The slopes of a hidden layer's activations."""
    cdef Py_ssize_t inputs = run.widths[0] if run.data.X.indices == NULL else 0
    return layer(run, number, room) + (run.activations - inputs) * run.tile


cdef void gather(const Run *run, const Py_ssize_t *order, Py_ssize_t rows, const floating *center,
                 const floating *inverse, floating *out) noexcept nogil:
    """out <- the rows of X in `order`, standardised."""
    cdef Py_ssize_t i, j, p = run.data.X.p
    cdef const floating *x
    for i in range(rows):
        x = <const floating *> run.data.X.values + order[i] * p
        if run.scaled:
            for j in range(p):
                out[i * p + j] = (x[j] - center[j]) * inverse[j]
        else:
            memcpy(out + i * p, x, p * sizeof(floating))


cdef void sparse_margins(const Run *run, const Py_ssize_t *order, Py_ssize_t rows,
                         const floating *inverse, const floating *W, floating *z) noexcept nogil:
    """Z += X W"""
    cdef Py_ssize_t i, j, t, units = run.widths[1]
    cdef Row row
    for i in range(rows):
        row = row_at(run.data.X, order[i])
        for t in range(row.size):
            j = column(&row, t)
            dense_add((<const floating *> row.values)[t] * (inverse[j] if run.scaled else 1),
                      W + j * units, z + i * units, units)


cdef void sparse_scatter(const Run *run, const Py_ssize_t *order, Py_ssize_t rows,
                         const floating *inverse, const floating *d, floating *g) noexcept nogil:
    """dW += X' D"""
    cdef Py_ssize_t i, j, t, units = run.widths[1]
    cdef Row row
    for i in range(rows):
        row = row_at(run.data.X, order[i])
        for t in range(row.size):
            j = column(&row, t)
            dense_add((<const floating *> row.values)[t] * (inverse[j] if run.scaled else 1),
                      d + i * units, g + j * units, units)


cdef floating *forward(Run *run, const Py_ssize_t *order, Py_ssize_t rows, const floating *center,
                       const floating *inverse, const floating *theta, floating *room,
                       bint training) noexcept nogil:
    """The margins Z_L of the rows; what the backward pass needs is left in `room`."""
    cdef Py_ssize_t number, i, inputs, units
    cdef const floating *W = theta
    cdef floating *z = room
    if run.data.X.indices == NULL:
        gather(run, order, rows, center, inverse, room)
    for number in range(1, run.layers + 1):
        inputs, units, z = run.widths[number - 1], run.widths[number], layer(run, number, room)
        for i in range(rows):
            memcpy(z + i * units, W + inputs * units, units * sizeof(floating))
        if number == 1 and run.data.X.indices != NULL:
            sparse_margins(run, order, rows, inverse, W, z)
        else:
            multiply(False, False, rows, units, inputs, layer(run, number - 1, room), W,
                     <floating> 1, z)
        if number < run.layers:
            activate(run.activation, z, slopes(run, number, room), rows * units)
            if training and run.dropout > 0:
                drop(run.dropout, z, slopes(run, number, room), rows * units,
                     &run.seed)
        W += (inputs + 1) * units
    return z


cdef void scaled_points(Run *run, Py_ssize_t rows, Py_ssize_t K) noexcept nogil:
    """Losses c L(a z, a y) and slopes in z, with a = factors[k] and c = shares[k] for output k."""
    cdef Py_ssize_t i, k
    for i in range(rows):
        for k in range(K):
            run.z[i * K + k] *= run.factors[k]
            run.y_tile[i * K + k] *= run.factors[k]
    points(&run.data.objective, run.z, run.y_tile, run.value, run.slope, rows * K)
    for i in range(rows):
        for k in range(K):
            run.value[i * K + k] *= run.shares[k]
            run.slope[i * K + k] *= run.factors[k] * run.shares[k]


cdef double output(Run *run, const Py_ssize_t *order, Py_ssize_t rows, double scale,
                   floating *z) noexcept nogil:
    """z <- scale times the slopes of the losses at the margins z; returns the sum of weight * loss.
    """
    cdef Py_ssize_t i, k, K = run.data.objective.outputs
    cdef double total = 0, loss, weight
    for i in range(rows * K):
        run.z[i] = z[i]
    if run.data.objective.loss == SOFTMAX:
        for i in range(rows):
            run.value[i * K] = softmax(run.z + i * K, run.slope + i * K, K,
                                       <Py_ssize_t> run.data.y[order[i]])
    else:
        for i in range(rows):
            for k in range(K):
                run.y_tile[i * K + k] = target(&run.data.objective, run.data.y, order[i], k)
        if run.factors == NULL:
            points(&run.data.objective, run.z, run.y_tile, run.value, run.slope, rows * K)
        else:
            scaled_points(run, rows, K)
    for i in range(rows):
        weight, loss = weight_at(&run.data, order[i]), 0
        for k in range(1 if run.data.objective.loss == SOFTMAX else K):
            loss += run.value[i * K + k]
        total += weight * loss
        for k in range(K):
            z[i * K + k] = <floating> (scale * weight * run.slope[i * K + k])
    return total


cdef void backward(Run *run, const Py_ssize_t *order, Py_ssize_t rows, const floating *inverse,
                   const floating *theta, floating *room, floating *g, bint first) noexcept nogil:
    """g <- the gradient, or (not `first`) g += it; a layer's outputs give way to their gradient
    once they are not needed.
    """
    cdef Py_ssize_t number, i, inputs, units, at = run.parameters
    cdef floating *d
    cdef floating *a
    cdef floating *slope
    for number in range(run.layers, 0, -1):
        inputs, units, d = run.widths[number - 1], run.widths[number], layer(run, number, room)
        at -= (inputs + 1) * units
        if first:
            memset(g + at + inputs * units, 0, units * sizeof(floating))
        for i in range(rows):
            dense_add(<floating> 1, d + i * units, g + at + inputs * units, units)
        if number == 1 and run.data.X.indices != NULL:
            if first:
                memset(g, 0, inputs * units * sizeof(floating))
            sparse_scatter(run, order, rows, inverse, d, g)
            return
        a = layer(run, number - 1, room)
        multiply(True, False, inputs, units, rows, a, d, <floating> (0 if first else 1), g + at)
        if number > 1:
            multiply(False, True, rows, inputs, units, d, theta + at, <floating> 0, a)
            slope = slopes(run, number - 1, room)
            for i in range(rows * inputs):
                a[i] *= slope[i]


cdef double batch_gradient(Run *run, const Py_ssize_t *order, Py_ssize_t size,
                           const floating *center, const floating *inverse, const floating *theta,
                           floating *room, floating *g) noexcept nogil:
    """g <- the mean gradient of the data term over the rows in `order`; returns the sum of weight *
    loss. NULL: no gradient.
    """
    cdef Py_ssize_t begin = 0, rows
    cdef double loss = 0
    cdef floating *z
    while begin < size:
        rows = min(run.tile, size - begin)
        z = forward(run, order + begin, rows, center, inverse, theta, room, g != NULL)
        loss += output(run, order + begin, rows, 1.0 / size, z)
        if g != NULL:
            backward(run, order + begin, rows, inverse, theta, room, g, begin == 0)
        begin += rows
        if watch_work(&run.watch, rows * run.parameters):
            break
    return loss


cdef inline const floating *numbers_of(const floating[::1] values) noexcept:
    """The address of the first number; NULL for None."""
    if values is None:
        return NULL
    return &values[0]


cdef class Network:
    """The layers of a network.

    Parameters
    ----------
    widths : ndarray of intp
        The number of units of each layer, inputs first.
    activation : int
        Of the hidden layers; see `Activation`.
    dropout : float
        The share of the hidden units that a step does without; `seed` says of which.
    scales : ndarray of float64, shape (2, outputs), or None
        The loss of output k is ``scales[1, k] L(scales[0, k] z, scales[0, k] y)``; None:
        ``L(z, y)``.
    """
    cdef const Py_ssize_t[::1] widths
    cdef const double[:, ::1] scales
    cdef int activation
    cdef double dropout
    cdef uint64_t seed

    def __init__(self, const Py_ssize_t[::1] widths not None, int activation, double dropout=0,
                 uint64_t seed=0, const double[:, ::1] scales=None):
        cdef Py_ssize_t number
        if widths.shape[0] < 2:
            raise ValueError(f"a network has two layers at least, got {widths.shape[0]}")
        for number in range(widths.shape[0]):
            if not 1 <= widths[number] < 2**31:
                raise ValueError(f"layer {number} has {widths[number]} units")
        self.widths, self.activation, self.scales = widths, activation, scales
        self.dropout, self.seed = dropout, seed

    cdef int check(self, const Table *X, Py_ssize_t itemsize, Py_ssize_t parameters, metric,
                   Py_ssize_t outputs) except -1:
        """Refuse layers, parameters, scales and metric that do not fit together."""
        cdef Py_ssize_t number, needed = 0, last = self.widths.shape[0] - 1
        for number in range(1, last + 1):
            needed += (self.widths[number - 1] + 1) * self.widths[number]
        if self.widths[0] != X.p or self.widths[last] != outputs or parameters != needed:
            raise ValueError(f"layers of {list(self.widths)} units need {needed} parameters and "
                             f"end in the outputs; X has {X.p} columns, theta {parameters} "
                             f"entries, and there are {outputs} outputs")
        if itemsize != X.itemsize:
            raise TypeError(f"theta has {itemsize} bytes a number, X has {X.itemsize}")
        if metric is not None and not len(metric[0]) == len(metric[1]) == X.p:
            raise ValueError(f"X has {X.p} columns, center {len(metric[0])} and inverse "
                             f"{len(metric[1])} entries")
        if self.scales is not None and (self.scales.shape[0] != 2
                                        or self.scales.shape[1] != outputs):
            raise ValueError(f"scales must be a factor and a share for each of {outputs} outputs")
        return 0


cdef char *prepare(Run *run, Network network, Py_ssize_t itemsize, Py_ssize_t parameters, metric,
                   Py_ssize_t batch_size) except NULL:
    """Check and fill a run, whose data are set; returns room for a tile's layers and a gradient, to
    be freed.
    """
    cdef Py_ssize_t number, floats, outputs = run.data.objective.outputs
    cdef char *room
    network.check(run.data.X, itemsize, parameters, metric, outputs)
    if network.scales is not None and run.data.objective.loss == SOFTMAX:
        raise ValueError("scales are for outputs that have losses of their own")
    run.widths, run.layers = &network.widths[0], network.widths.shape[0] - 1
    run.activation, run.dropout, run.seed = network.activation, network.dropout, network.seed
    run.factors = run.shares = NULL
    if network.scales is not None:
        run.factors, run.shares = &network.scales[0, 0], &network.scales[1, 0]
    run.parameters, run.scaled = parameters, metric is not None
    run.tile, run.activations = min(batch_size, <Py_ssize_t> TILE), 0
    for number in range(0 if run.data.X.indices == NULL else 1, run.layers + 1):
        run.activations += run.widths[number]
    floats = (2 * run.activations * run.tile + parameters) * itemsize
    floats = (floats + 63) // 64 * 64
    room = <char *> malloc(floats + 4 * run.tile * outputs * sizeof(double))
    if room == NULL:
        raise MemoryError()
    run.z = <double *> (room + floats)
    run.y_tile = run.z + run.tile * outputs
    run.value = run.y_tile + run.tile * outputs
    run.slope = run.value + run.tile * outputs
    watch_start(&run.watch)
    return room


def gradient(DataTerm term not None, const floating[::1] theta not None, metric,
             floating[::1] out, Network network not None):
    """out <- mean gradient of the data term; returns the sum of weight * loss.

    Inputs are (x - center) * inverse with `metric` (center, inverse); None: x itself; of sparse
    rows only the factor counts. out=None: the loss alone, no unit dropped.
    """
    cdef const floating[::1] center, inverse
    cdef floating *g = NULL
    cdef floating *room
    cdef double loss
    cdef Run run
    if metric is not None:
        center, inverse = metric
    if term.data.visits == 0 or (out is not None and out.shape[0] != theta.shape[0]):
        raise ValueError("there are no rows, or out and theta differ in length")
    if out is not None:
        g = &out[0]
    run.data = term.data
    room = <floating *> prepare(&run, network, sizeof(floating), theta.shape[0], metric,
                                run.data.visits)
    cdef const floating *mid = numbers_of(center)
    cdef const floating *factor = numbers_of(inverse)
    with nogil:
        loss = batch_gradient(&run, run.data.order, run.data.visits, mid, factor, &theta[0], room,
                              g)
    free(room)
    watch_end(&run.watch)
    return loss


cdef inline floating *beyond(floating *buffer, Py_ssize_t at) noexcept nogil:
    """A rule's buffer from there on; NULL for none."""
    return NULL if buffer == NULL else buffer + at


cdef Products move(const Rule *rule, floating *w, const floating *g, floating *first,
                   floating *second, Py_ssize_t n, double rate, Py_ssize_t t,
                   double l2) noexcept nogil:
    """The t-th update of n parameters w, in blocks that stay in the cache; returns the products of
    g and w as they were.
    """
    cdef Products sums = Products(0, 0, 0), part
    cdef Py_ssize_t at = 0, size
    while at < n:
        size = min(<Py_ssize_t> BLOCK, n - at)
        part = lanes_products(g + at, w + at, w + at, size, 0)
        sums = Products(sums.product + part.product, sums.first + part.first, sums.second
                        + part.second)
        update(rule, w + at, g + at, beyond(first, at), beyond(second, at), size, rate, t, 0.0, l2)
        at += size
    return sums


cdef void descend(Run *run, Sums *sums, const floating *center, const floating *inverse,
                  floating *theta, floating *room, floating *first, floating *second,
                  const double *rates, const Rule *rule, Py_ssize_t batch_size,
                  Py_ssize_t t) noexcept nogil:
    """Batch after batch: gradient, and update layer by layer. Of AdamW the penalty is a decay, and
    no part of the loss.
    """
    cdef Py_ssize_t begin = 0, size, number, at, weights, units, visits = run.data.visits
    cdef double l2, penalty, squares, rate
    cdef floating *g = room + 2 * run.activations * run.tile
    cdef Products found
    while begin < visits and not watch_is_over(&run.watch):
        size, rate, at = min(batch_size, visits - begin), rates[sums.updates], 0
        sums.loss += batch_gradient(run, run.data.order + begin, size, center, inverse, theta, room,
                                    g)
        l2 = run.data.objective.l2 if rule.kind == ADAMW else run.data.objective.l2 / size
        penalty = 0.0 if rule.kind == ADAMW else l2
        squares = 0
        for number in range(1, run.layers + 1):
            units, weights = run.widths[number], run.widths[number - 1] * run.widths[number]
            found = move(rule, theta + at, g + at, beyond(first, at), beyond(second, at), weights,
                         rate, t + sums.updates, l2)
            squares += found.first
            if penalty > 0:
                sums.penalty += size * 0.5 * penalty * found.second
                squares += penalty * (2 * found.product + penalty * found.second)
            at += weights
            found = move(rule, theta + at, g + at, beyond(first, at), beyond(second, at), units,
                         rate, t + sums.updates, 0.0)
            squares += found.first
            at += units
        sums.gradient_norm += sqrt(squares if squares > 0 else 0 * squares)
        sums.updates += 1
        begin += size


def epoch(DataTerm term not None, floating[::1] theta not None, metric, buffers,
          const double[::1] rates not None, Network network not None, Rule rule,
          Py_ssize_t batch_size, Py_ssize_t t):
    """Visit the rows, `batch_size` at a time, and leave the new parameters in theta.

    A batch's penalty is (l2 / 2) |W|^2 / rows. `metric` is as in `gradient`; `buffers` are the
    rule's two (None where it has none); the first update is the t-th. Returns the `Sums` over the
    visits.
    """
    cdef Sums sums = Sums(0, 0, 0, 0)
    cdef floating[::1] first = buffers[0], second = buffers[1]
    cdef const floating[::1] center, inverse
    cdef floating *m = NULL if first is None else &first[0]
    cdef floating *a = NULL if second is None else &second[0]
    cdef floating *room
    cdef Run run
    if metric is not None:
        center, inverse = metric
    check_buffers(rule.kind, first is not None, second is not None)
    if ((first is not None and first.shape[0] != theta.shape[0])
            or (second is not None and second.shape[0] != theta.shape[0])):
        raise ValueError(f"theta has {theta.shape[0]} entries, the buffers must have as many")
    if batch_size < 1 or rates.shape[0] * batch_size < term.data.visits:
        raise ValueError("batch_size is below 1, or rates are too short")
    if term.data.visits == 0:
        return sums
    run.data = term.data
    room = <floating *> prepare(&run, network, sizeof(floating), theta.shape[0], metric,
                                min(batch_size, run.data.visits))
    cdef const floating *mid = numbers_of(center)
    cdef const floating *factor = numbers_of(inverse)
    with nogil:
        descend(&run, &sums, mid, factor, &theta[0], room, m, a, &rates[0], &rule, batch_size, t)
    free(room)
    watch_end(&run.watch)
    return sums


def margins(Rows rows not None, const Py_ssize_t[::1] order not None,
            const floating[::1] theta not None, metric, floating[::1] out not None,
            Network network not None):
    """out (rows, outputs) <- Z_L of the rows in `order`; `metric` is as in `gradient`."""
    cdef const floating[::1] center, inverse
    cdef Py_ssize_t begin = 0, size, K = network.widths[network.widths.shape[0] - 1]
    cdef Py_ssize_t visits = order.shape[0]
    cdef floating *room
    cdef floating *z
    cdef Run run
    if metric is not None:
        center, inverse = metric
    check_order(order, rows.table.n)
    if out.shape[0] != visits * K:
        raise ValueError(f"{visits} rows of {K} outputs do not fit out, of {out.shape[0]} entries")
    if visits == 0:
        return
    memset(&run.data, 0, sizeof(Data))
    run.data.X, run.data.objective.outputs = &rows.table, K
    room = <floating *> prepare(&run, network, sizeof(floating), theta.shape[0], metric, visits)
    cdef const floating *mid = numbers_of(center)
    cdef const floating *factor = numbers_of(inverse)
    with nogil:
        while begin < visits and not watch_work(&run.watch, run.tile * run.parameters):
            size = min(run.tile, visits - begin)
            z = forward(&run, &order[begin], size, mid, factor, &theta[0], room, False)
            memcpy(&out[begin * K], z, size * K * sizeof(floating))
            begin += size
    free(room)
    watch_end(&run.watch)
