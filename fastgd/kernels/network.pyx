"""Feed-forward networks: the gradient with respect to one flat vector of parameters, an epoch of
descent, and predictions.

Matrix products are those of BLAS. A batch is processed in tiles of rows, which bound the memory.
One thread does all the work, so the bits are always the same.
"""
from cython cimport floating
from libc.math cimport sqrt
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from .backpropagation cimport NetworkPass, batch_gradient, forward
from .data_term cimport Data, DataTerm, EpochSums
from .losses cimport SOFTMAX
from .rows cimport Products, Rows, Table, check_order, lanes_products
from .rules cimport ADAMW, Rule, check_buffers, update
from .signals cimport watch_end, watch_is_over, watch_start, watch_work

cdef enum:
    TILE_ROWS = 1024
    # Parameters that are read for their norm and updated while they are in the first-level cache:
    # with gradient and two buffers, 64 KiB of float32.
    UPDATE_BLOCK = 4096


cdef inline const floating *start(const floating[::1] values) noexcept:
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
        The `Activation` of the hidden layers.
    dropout : float
        The share of the hidden units that a step sets to 0, drawn from `seed`.
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

    cdef int check_parameters(self, Py_ssize_t columns, Py_ssize_t parameters,
                              Py_ssize_t outputs) except -1:
        """Raise an error if layers, parameters and outputs do not fit together."""
        cdef Py_ssize_t number, needed = 0, last = self.widths.shape[0] - 1
        for number in range(1, last + 1):
            needed += (self.widths[number - 1] + 1) * self.widths[number]
        if self.widths[0] != columns or self.widths[last] != outputs or parameters != needed:
            raise ValueError(f"layers of {list(self.widths)} units need {needed} parameters and "
                             f"end in the outputs; X has {columns} columns, theta {parameters} "
                             f"entries, and there are {outputs} outputs")
        return 0

    cdef int check(self, const Table *X, Py_ssize_t itemsize, Py_ssize_t parameters, metric,
                   Py_ssize_t outputs) except -1:
        """Raise an error if layers, parameters, scales and metric do not fit together."""
        self.check_parameters(X.p, parameters, outputs)
        if itemsize != X.itemsize:
            raise TypeError(f"theta has {itemsize} bytes a number, X has {X.itemsize}")
        if metric is not None and not len(metric[0]) == len(metric[1]) == X.p:
            raise ValueError(f"X has {X.p} columns, center {len(metric[0])} and inverse "
                             f"{len(metric[1])} entries")
        if self.scales is not None and (self.scales.shape[0] != 2
                                        or self.scales.shape[1] != outputs):
            raise ValueError("scales must be a factor and a share of the loss for each of the "
                             f"{outputs} outputs")
        return 0


cdef char *prepare(NetworkPass *at, Network network, Py_ssize_t itemsize,
                   Py_ssize_t parameters, metric, Py_ssize_t batch_size) except NULL:
    """Check the network and fill `at`, whose data are set; returns memory for a tile's layers and a
    gradient, to be freed.
    """
    cdef Py_ssize_t number, floats, outputs = at.data.objective.outputs
    cdef char *memory
    network.check(at.data.X, itemsize, parameters, metric, outputs)
    if network.scales is not None and at.data.objective.loss == SOFTMAX:
        raise ValueError("scales are for outputs that have losses of their own")
    at.widths, at.layers = &network.widths[0], network.widths.shape[0] - 1
    at.activation, at.dropout, at.seed = network.activation, network.dropout, network.seed
    at.output_scales = at.loss_weights = NULL
    if network.scales is not None:
        at.output_scales, at.loss_weights = &network.scales[0, 0], &network.scales[1, 0]
    at.parameters, at.standardised = parameters, metric is not None
    at.tile_rows, at.buffer_width = min(batch_size, <Py_ssize_t> TILE_ROWS), 0
    for number in range(0 if at.data.X.indices == NULL else 1, at.layers + 1):
        at.buffer_width += at.widths[number]
    floats = (2 * at.buffer_width * at.tile_rows + parameters) * itemsize
    floats = (floats + 63) // 64 * 64
    memory = <char *> malloc(floats + 4 * at.tile_rows * outputs * sizeof(double))
    if memory == NULL:
        raise MemoryError()
    at.z = <double *> (memory + floats)
    at.y = at.z + at.tile_rows * outputs
    at.value = at.y + at.tile_rows * outputs
    at.slope = at.value + at.tile_rows * outputs
    watch_start(&at.watch)
    return memory


def gradient(DataTerm term not None, const floating[::1] theta not None, metric,
             floating[::1] out, Network network not None):
    """out <- the mean gradient of the data term; returns the sum of weight * loss.

    Inputs are (x - center) * inverse with `metric` (center, inverse), and x with None; sparse rows
    are not centered. With out=None only the loss is computed, without dropout.
    """
    cdef const floating[::1] center, inverse
    cdef floating *g = NULL
    cdef floating *buffer
    cdef double loss
    cdef NetworkPass at
    if metric is not None:
        center, inverse = metric
    if term.data.visits == 0 or (out is not None and out.shape[0] != theta.shape[0]):
        raise ValueError("there are no rows, or out and theta differ in length")
    if out is not None:
        g = &out[0]
    at.data = term.data
    buffer = <floating *> prepare(&at, network, sizeof(floating), theta.shape[0], metric,
                                  at.data.visits)
    cdef const floating *shift = start(center)
    cdef const floating *factor = start(inverse)
    with nogil:
        loss = batch_gradient(&at, at.data.order, at.data.visits, shift, factor, &theta[0], buffer,
                              g)
    free(buffer)
    watch_end(&at.watch)
    return loss


cdef inline floating *offset(floating *buffer, Py_ssize_t place) noexcept nogil:
    """The address of an entry of a rule's buffer; NULL if there is none."""
    return NULL if buffer == NULL else buffer + place


cdef Products update_blocks(const Rule *rule, floating *w, const floating *g, floating *first,
                            floating *second, Py_ssize_t n, double rate, Py_ssize_t t,
                            double l2) noexcept nogil:
    """The t-th update of n parameters w, in blocks that stay in the cache; returns g w, |g|^2 and
    |w|^2 before it.
    """
    cdef Products sums = Products(0, 0, 0), part
    cdef Py_ssize_t at = 0, size
    while at < n:
        size = min(<Py_ssize_t> UPDATE_BLOCK, n - at)
        part = lanes_products(g + at, w + at, w + at, size, 0)
        sums = Products(sums.product + part.product, sums.first + part.first,
                        sums.second + part.second)
        update(rule, w + at, g + at, offset(first, at), offset(second, at), size, rate, t, 0.0, l2)
        at += size
    return sums


cdef void take_step(const NetworkPass *at, EpochSums *sums, floating *theta, const floating *g,
                    floating *first, floating *second, double rate, const Rule *rule,
                    Py_ssize_t size, Py_ssize_t t) noexcept nogil:
    """The t-th update, layer by layer, by the mean gradient g of `size` rows. AdamW's penalty is a
    decay of the weights and no part of the loss.
    """
    cdef Py_ssize_t number, place = 0, weights, units
    cdef double l2 = at.data.objective.l2 if rule.kind == ADAMW else at.data.objective.l2 / size
    cdef double penalty = 0.0 if rule.kind == ADAMW else l2, squares = 0
    cdef Products products
    for number in range(1, at.layers + 1):
        units, weights = at.widths[number], at.widths[number - 1] * at.widths[number]
        products = update_blocks(rule, theta + place, g + place, offset(first, place),
                                 offset(second, place), weights, rate, t, l2)
        squares += products.first
        if penalty > 0:
            sums.penalty += size * 0.5 * penalty * products.second
            squares += penalty * (2 * products.product + penalty * products.second)
        place += weights
        products = update_blocks(rule, theta + place, g + place, offset(first, place),
                                 offset(second, place), units, rate, t, 0.0)
        squares += products.first
        place += units
    sums.gradient_norm += sqrt(squares if squares > 0 else 0 * squares)
    sums.updates += 1


cdef void descend(NetworkPass *at, EpochSums *sums, const floating *center,
                  const floating *inverse, floating *theta, floating *buffer, floating *first,
                  floating *second, const double *rates, const Rule *rule, Py_ssize_t batch_size,
                  Py_ssize_t t) noexcept nogil:
    """Batch after batch: the gradient, and an update."""
    cdef Py_ssize_t begin = 0, size, visits = at.data.visits
    cdef floating *g = buffer + 2 * at.buffer_width * at.tile_rows
    while begin < visits and not watch_is_over(&at.watch):
        size = min(batch_size, visits - begin)
        sums.loss += batch_gradient(at, at.data.order + begin, size, center, inverse, theta, buffer,
                                    g)
        take_step(at, sums, theta, g, first, second, rates[sums.updates], rule, size,
                  t + sums.updates)
        begin += size


cdef int check_rule(Rule rule, Py_ssize_t parameters, buffers) except -1:
    """Raise an error if the buffers are not those of a rule for so many parameters."""
    check_buffers(rule.kind, buffers[0] is not None, buffers[1] is not None)
    for part in buffers:
        if part is not None and len(part) != parameters:
            raise ValueError(f"theta has {parameters} entries, the buffers must have as many")
    return 0


def step(DataTerm term not None, floating[::1] theta not None,
         const floating[::1] gradient not None, buffers, double rate, Network network not None,
         Rule rule, Py_ssize_t t):
    """As an epoch with one batch of all rows, whose mean gradient is known. Of the term only the
    objective, the number of columns and the number of visits are used.
    """
    cdef EpochSums sums = EpochSums(0, 0, 0, 0)
    cdef floating[::1] first = buffers[0], second = buffers[1]
    cdef floating *m = NULL if first is None else &first[0]
    cdef floating *a = NULL if second is None else &second[0]
    cdef NetworkPass at
    check_rule(rule, theta.shape[0], buffers)
    if gradient.shape[0] != theta.shape[0] or term.data.visits == 0:
        raise ValueError("there are no rows, or gradient and theta differ in length")
    network.check_parameters(network.widths[0], theta.shape[0], term.data.objective.outputs)
    at.data = term.data
    at.widths, at.layers = &network.widths[0], network.widths.shape[0] - 1
    take_step(&at, &sums, &theta[0], &gradient[0], m, a, rate, &rule, term.data.visits, t)
    return sums


def epoch(DataTerm term not None, floating[::1] theta not None, metric, buffers,
          const double[::1] rates not None, Network network not None, Rule rule,
          Py_ssize_t batch_size, Py_ssize_t t):
    """Visit the rows, `batch_size` at a time, and leave the new parameters in theta.

    The penalty of a batch is (l2 / 2) |W|^2 / rows. `metric` is as in `gradient`. `buffers` are the
    rule's two, None where it has none. The first update is the t-th. Returns the `EpochSums`.
    """
    cdef EpochSums sums = EpochSums(0, 0, 0, 0)
    cdef floating[::1] first = buffers[0], second = buffers[1]
    cdef const floating[::1] center, inverse
    cdef floating *m = NULL if first is None else &first[0]
    cdef floating *a = NULL if second is None else &second[0]
    cdef floating *buffer
    cdef NetworkPass at
    if metric is not None:
        center, inverse = metric
    check_rule(rule, theta.shape[0], buffers)
    if batch_size < 1 or rates.shape[0] * batch_size < term.data.visits:
        raise ValueError("batch_size is below 1, or rates are too short")
    if term.data.visits == 0:
        return sums
    at.data = term.data
    buffer = <floating *> prepare(&at, network, sizeof(floating), theta.shape[0], metric,
                                  min(batch_size, at.data.visits))
    cdef const floating *shift = start(center)
    cdef const floating *factor = start(inverse)
    with nogil:
        descend(&at, &sums, shift, factor, &theta[0], buffer, m, a, &rates[0], &rule, batch_size, t)
    free(buffer)
    watch_end(&at.watch)
    return sums


def margins(Rows rows not None, const Py_ssize_t[::1] order not None,
            const floating[::1] theta not None, metric, floating[::1] out not None,
            Network network not None):
    """out (rows, outputs) <- the margins of the rows in `order`; `metric` is as in `gradient`."""
    cdef const floating[::1] center, inverse
    cdef Py_ssize_t begin = 0, size, K = network.widths[network.widths.shape[0] - 1]
    cdef Py_ssize_t visits = order.shape[0]
    cdef floating *buffer
    cdef floating *z
    cdef NetworkPass at
    if metric is not None:
        center, inverse = metric
    check_order(order, rows.table.n)
    if out.shape[0] != visits * K:
        raise ValueError(f"{visits} rows of {K} outputs do not fit out, of {out.shape[0]} entries")
    if visits == 0:
        return
    memset(&at.data, 0, sizeof(Data))
    at.data.X, at.data.objective.outputs = &rows.table, K
    buffer = <floating *> prepare(&at, network, sizeof(floating), theta.shape[0], metric, visits)
    cdef const floating *shift = start(center)
    cdef const floating *factor = start(inverse)
    with nogil:
        while begin < visits and not watch_work(&at.watch, at.tile_rows * at.parameters):
            size = min(at.tile_rows, visits - begin)
            z = forward(&at, &order[begin], size, shift, factor, &theta[0], buffer, False)
            memcpy(&out[begin * K], z, size * K * sizeof(floating))
            begin += size
    free(buffer)
    watch_end(&at.watch)
