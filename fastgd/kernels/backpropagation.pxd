"""Forward and backward pass of a network over a tile of rows.

    forward    Z_l = A_(l-1) W_l + b_l,  A_l = f(Z_l)
    backward   dW_l = A_(l-1)' D_l,  db_l = sum_i D_l,  D_(l-1) = (D_l W_l') f'(Z_(l-1))

A_0 holds the rows, Z_L the margins and D_L the slopes of the loss. theta = [W_1, b_1, ..., W_L,
b_L], with W_l (inputs, units) in C-order.
"""
from cython cimport floating
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset
from scipy.linalg.cython_blas cimport dgemm, sgemm

from .activations cimport activate, dropout
from .data_term cimport Data, weight_at
from .losses cimport SOFTMAX, points, softmax, target
from .rows cimport Row, column, dense_add, row_at
from .signals cimport Watch, watch_work

cdef struct NetworkPass:        # the same for all tiles
    Watch watch
    Data data
    const Py_ssize_t *widths    # units of the layers, inputs first
    Py_ssize_t layers           # of weights
    Py_ssize_t parameters
    Py_ssize_t tile_rows
    Py_ssize_t buffer_width     # units of all layers whose outputs are in the buffer
    bint standardised           # the inputs are (x - center) * inverse
    int activation
    double dropout              # the share of the hidden units that a step sets to 0
    uint64_t seed               # of dropout
    # (tile_rows, outputs) each: margins, targets, losses and slopes
    double *z
    double *y
    double *value
    double *slope
    # (outputs,) each, see `scaled_points`; NULL: all 1
    const double *output_scales
    const double *loss_weights


cdef inline void multiply(bint a_transposed, bint b_transposed, Py_ssize_t rows,
                          Py_ssize_t columns, Py_ssize_t inner, const floating *a,
                          const floating *b, floating beta, floating *c) noexcept nogil:
    """c <- a b + beta c, where c is (rows, columns), and a (rows, inner) and b (inner, columns) or
    their transposes. All are in C-order.
    """
    cdef char a_form = b'T' if a_transposed else b'N', b_form = b'T' if b_transposed else b'N'
    cdef int m = <int> columns, n = <int> rows, k = <int> inner
    cdef int a_lead = n if a_transposed else k, b_lead = k if b_transposed else m
    cdef floating one = 1
    if floating is float:  # BLAS is column-major: c' <- b' a' + beta c'
        sgemm(&b_form, &a_form, &m, &n, &k, &one, <float *> b, &b_lead, <float *> a, &a_lead, &beta,
              c, &m)
    else:
        dgemm(&b_form, &a_form, &m, &n, &k, &one, <double *> b, &b_lead, <double *> a, &a_lead,
              &beta, c, &m)


cdef inline floating *layer(const NetworkPass *at, Py_ssize_t number,
                            floating *buffer) noexcept nogil:
    """The outputs (rows, units) of a layer for a tile. Sparse inputs are not in the buffer."""
    cdef Py_ssize_t offset = 0, below
    for below in range(0 if at.data.X.indices == NULL else 1, number):
        offset += at.widths[below]
    return buffer + offset * at.tile_rows


cdef inline floating *layer_slopes(const NetworkPass *at, Py_ssize_t number,
                                   floating *buffer) noexcept nogil:
    """The slopes of a hidden layer's activations."""
    cdef Py_ssize_t inputs = at.widths[0] if at.data.X.indices == NULL else 0
    return layer(at, number, buffer) + (at.buffer_width - inputs) * at.tile_rows


cdef inline void gather(const NetworkPass *at, const Py_ssize_t *order, Py_ssize_t rows,
                        const floating *center, const floating *inverse,
                        floating *out) noexcept nogil:
    """out <- the dense rows of X in `order`, the inputs of the network."""
    cdef Py_ssize_t i, j, p = at.data.X.p
    cdef const floating *x
    for i in range(rows):
        x = <const floating *> at.data.X.values + order[i] * p
        if at.standardised:
            for j in range(p):
                out[i * p + j] = (x[j] - center[j]) * inverse[j]
        else:
            memcpy(out + i * p, x, p * sizeof(floating))


cdef inline void sparse_margins(const NetworkPass *at, const Py_ssize_t *order, Py_ssize_t rows,
                                const floating *inverse, const floating *W,
                                floating *z) noexcept nogil:
    """Z += X W"""
    cdef Py_ssize_t i, j, t, units = at.widths[1]
    cdef Row row
    for i in range(rows):
        row = row_at(at.data.X, order[i])
        for t in range(row.size):
            j = column(&row, t)
            dense_add((<const floating *> row.values)[t] * (inverse[j] if at.standardised else 1),
                      W + j * units, z + i * units, units)


cdef inline void sparse_scatter(const NetworkPass *at, const Py_ssize_t *order, Py_ssize_t rows,
                                const floating *inverse, const floating *d,
                                floating *g) noexcept nogil:
    """dW += X' D"""
    cdef Py_ssize_t i, j, t, units = at.widths[1]
    cdef Row row
    for i in range(rows):
        row = row_at(at.data.X, order[i])
        for t in range(row.size):
            j = column(&row, t)
            dense_add((<const floating *> row.values)[t] * (inverse[j] if at.standardised else 1),
                      d + i * units, g + j * units, units)


cdef inline floating *forward(NetworkPass *at, const Py_ssize_t *order, Py_ssize_t rows,
                              const floating *center, const floating *inverse,
                              const floating *theta, floating *buffer,
                              bint training) noexcept nogil:
    """Returns the margins Z_L of the rows. `buffer` holds what the backward pass needs."""
    cdef Py_ssize_t number, i, inputs, units
    cdef const floating *W = theta
    cdef floating *z = buffer
    if at.data.X.indices == NULL:
        gather(at, order, rows, center, inverse, buffer)
    for number in range(1, at.layers + 1):
        inputs, units, z = at.widths[number - 1], at.widths[number], layer(at, number, buffer)
        for i in range(rows):
            memcpy(z + i * units, W + inputs * units, units * sizeof(floating))
        if number == 1 and at.data.X.indices != NULL:
            sparse_margins(at, order, rows, inverse, W, z)
        else:
            multiply(False, False, rows, units, inputs, layer(at, number - 1, buffer), W,
                     <floating> 1, z)
        if number < at.layers:
            activate(at.activation, z, layer_slopes(at, number, buffer), rows * units)
            if training and at.dropout > 0:
                dropout(at.dropout, z, layer_slopes(at, number, buffer), rows * units, &at.seed)
        W += (inputs + 1) * units
    return z


cdef inline void scaled_points(NetworkPass *at, Py_ssize_t rows, Py_ssize_t K) noexcept nogil:
    """Losses c L(a z, a y) and their slopes in z, with a = output_scales[k] and c = loss_weights[k]
    for output k.
    """
    cdef Py_ssize_t i, k
    for i in range(rows):
        for k in range(K):
            at.z[i * K + k] *= at.output_scales[k]
            at.y[i * K + k] *= at.output_scales[k]
    points(&at.data.objective, at.z, at.y, at.value, at.slope, rows * K)
    for i in range(rows):
        for k in range(K):
            at.value[i * K + k] *= at.loss_weights[k]
            at.slope[i * K + k] *= at.output_scales[k] * at.loss_weights[k]


cdef inline double loss_slopes(NetworkPass *at, const Py_ssize_t *order, Py_ssize_t rows,
                               double scale, floating *z) noexcept nogil:
    """z <- scale * weight * dL/dz at the margins z; returns the sum of weight * loss."""
    cdef Py_ssize_t i, k, K = at.data.objective.outputs
    cdef double total = 0, loss, weight
    for i in range(rows * K):
        at.z[i] = z[i]
    if at.data.objective.loss == SOFTMAX:
        for i in range(rows):
            at.value[i * K] = softmax(at.z + i * K, at.slope + i * K, K,
                                      <Py_ssize_t> at.data.y[order[i]])
    else:
        for i in range(rows):
            for k in range(K):
                at.y[i * K + k] = target(&at.data.objective, at.data.y, order[i], k)
        if at.output_scales == NULL:
            points(&at.data.objective, at.z, at.y, at.value, at.slope, rows * K)
        else:
            scaled_points(at, rows, K)
    for i in range(rows):
        weight, loss = weight_at(&at.data, order[i]), 0
        for k in range(1 if at.data.objective.loss == SOFTMAX else K):
            loss += at.value[i * K + k]
        total += weight * loss
        for k in range(K):
            z[i * K + k] = <floating> (scale * weight * at.slope[i * K + k])
    return total


cdef inline void backward(NetworkPass *at, const Py_ssize_t *order, Py_ssize_t rows,
                          const floating *inverse, const floating *theta, floating *buffer,
                          floating *g, bint is_first) noexcept nogil:
    """g <- the gradient, or g += the gradient if not `is_first`. The gradient of a layer's outputs
    overwrites the outputs.
    """
    cdef Py_ssize_t number, i, inputs, units, place = at.parameters
    cdef floating *d
    cdef floating *a
    cdef floating *slope
    for number in range(at.layers, 0, -1):
        inputs, units, d = at.widths[number - 1], at.widths[number], layer(at, number, buffer)
        place -= (inputs + 1) * units
        if is_first:
            memset(g + place + inputs * units, 0, units * sizeof(floating))
        for i in range(rows):
            dense_add(<floating> 1, d + i * units, g + place + inputs * units, units)
        if number == 1 and at.data.X.indices != NULL:
            if is_first:
                memset(g, 0, inputs * units * sizeof(floating))
            sparse_scatter(at, order, rows, inverse, d, g)
            return
        a = layer(at, number - 1, buffer)
        multiply(True, False, inputs, units, rows, a, d, <floating> (0 if is_first else 1),
                 g + place)
        if number > 1:
            multiply(False, True, rows, inputs, units, d, theta + place, <floating> 0, a)
            slope = layer_slopes(at, number - 1, buffer)
            for i in range(rows * inputs):
                a[i] *= slope[i]


cdef inline double batch_gradient(NetworkPass *at, const Py_ssize_t *order, Py_ssize_t size,
                                  const floating *center, const floating *inverse,
                                  const floating *theta, floating *buffer,
                                  floating *g) noexcept nogil:
    """g <- the mean gradient of the data term over the rows in `order`, unless g is NULL; returns
    the sum of weight * loss.
    """
    cdef Py_ssize_t begin = 0, rows
    cdef double loss = 0
    cdef floating *z
    while begin < size:
        rows = min(at.tile_rows, size - begin)
        z = forward(at, order + begin, rows, center, inverse, theta, buffer, g != NULL)
        loss += loss_slopes(at, order + begin, rows, 1.0 / size, z)
        if g != NULL:
            backward(at, order + begin, rows, inverse, theta, buffer, g, begin == 0)
        begin += rows
        if watch_work(&at.watch, rows * at.parameters):
            break
    return loss
