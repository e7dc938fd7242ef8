"""Losses over whole blocks of margins."""
import numpy as np

from libc.math cimport INFINITY

from .smoothing cimport Derivatives, smoothed


cdef inline void block(int loss, double delta, double limit, const double *restrict z,
                       const double *restrict y, double *restrict value, double *restrict slope,
                       Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef Point at
    for i in range(size):
        at = point(loss, delta, limit, z[i], y[i])
        value[i] = at.value
        slope[i] = at.slope


cdef inline void smoothed_block(int loss, double delta, double width, const double *restrict z,
                                const double *restrict y, double *restrict value,
                                double *restrict slope, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef Derivatives at
    for i in range(size):
        at = smoothed(loss, delta, width, z[i], y[i])
        value[i] = at.value
        slope[i] = at.slope


cdef void points(const Objective *objective, const double *z, const double *y, double *value,
                 double *slope, Py_ssize_t size) noexcept nogil:
    """value_i and slope_i of L(z_i, y_i) for each margin. The loss is a constant in each call, so
    each loop vectorises.
    """
    cdef double d = objective.delta, limit = objective.slope_limit
    if objective.smoothing > 0:
        smoothed_block(objective.loss, d, objective.smoothing, z, y, value, slope, size)
    elif objective.loss == SQUARED_ERROR:
        block(SQUARED_ERROR, d, limit, z, y, value, slope, size)
    elif objective.loss == HUBER:
        block(HUBER, d, limit, z, y, value, slope, size)
    elif objective.loss == EPSILON_INSENSITIVE:
        block(EPSILON_INSENSITIVE, d, limit, z, y, value, slope, size)
    elif objective.loss == SQUARED_EPSILON_INSENSITIVE:
        block(SQUARED_EPSILON_INSENSITIVE, d, limit, z, y, value, slope, size)
    elif objective.loss == QUANTILE:
        block(QUANTILE, d, limit, z, y, value, slope, size)
    elif objective.loss == POISSON:
        block(POISSON, d, limit, z, y, value, slope, size)
    elif objective.loss == GAMMA:
        block(GAMMA, d, limit, z, y, value, slope, size)
    elif objective.loss == TWEEDIE:
        block(TWEEDIE, d, limit, z, y, value, slope, size)
    elif objective.loss == LOG_LOSS:
        block(LOG_LOSS, d, limit, z, y, value, slope, size)
    elif objective.loss == MODIFIED_HUBER:
        block(MODIFIED_HUBER, d, limit, z, y, value, slope, size)
    elif objective.loss == HINGE:
        block(HINGE, d, limit, z, y, value, slope, size)
    elif objective.loss == SQUARED_HINGE:
        block(SQUARED_HINGE, d, limit, z, y, value, slope, size)
    elif objective.loss == PERCEPTRON:
        block(PERCEPTRON, d, limit, z, y, value, slope, size)
    elif objective.loss == CUSTOM:
        custom_block(<const CustomFunction *> objective.custom, z, y, value, slope, size)
    else:  # a loss without a loop of its own; NaN for an unknown loss
        block(objective.loss, d, limit, z, y, value, slope, size)


cdef void custom_block(const CustomFunction *custom, const double *z, const double *y,
                       double *value, double *slope, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    if custom.one == NULL:
        custom.many(z, y, value, slope, size, custom.data)
    else:
        for i in range(size):
            custom.one(z[i], y[i], value + i, slope + i, custom.data)


cdef class CustomLoss:
    """A user's loss: a C function of one margin or, with `many`, of n margins, and the data
    passed to it.
    """

    def __init__(self, size_t function, size_t data, bint many):
        self.function.data = <void *> data
        if many:
            self.function.many = <custom_losses> function
        else:
            self.function.one = <custom_loss> function

    @property
    def address(self):
        """The `custom` of an objective; valid as long as this object lives."""
        return <size_t> &self.function


def evaluate(loss, double delta, z, y, double smoothing=0, double slope_limit=INFINITY,
             size_t custom=0):
    """Value and slope of a loss. Kinks are smoothed over the width `smoothing`, unbounded slopes
    clipped to +-`slope_limit`.

    `z` holds margins, shape (n,); for softmax (n, outputs). `y` holds targets, shape (n,); for
    softmax class numbers. `custom` is the address of a `CustomLoss`. Returns float64 arrays: value
    of shape (n,), slope of the shape of z.
    """
    margin = np.array(z, dtype=np.float64, order="C", copy=None)
    slope, value = np.empty_like(margin), np.empty(len(margin))
    cdef Objective objective = dict(loss=Loss(loss), delta=delta, slope_limit=slope_limit,
                                    max_curvature=INFINITY, smoothing=smoothing, l1=0, l2=0,
                                    intercept_cost=0, outputs=margin.size // max(len(margin), 1),
                                    targets=VALUES, intercept=True, positive=False, custom=custom)
    cdef const double[::1] flat = margin.reshape(-1)
    cdef const double[::1] targets = np.array(y, dtype=np.float64, order="C", copy=None)
    cdef double[::1] slopes = slope.reshape(-1), values = value
    cdef Py_ssize_t i, n = values.shape[0], k = objective.outputs
    if targets.shape[0] != n or (objective.loss != SOFTMAX and flat.shape[0] != n):
        raise ValueError(f"z of shape {margin.shape} does not fit y of length {targets.shape[0]}")
    if n and objective.loss == SOFTMAX:
        for i in range(n):
            if not 0 <= targets[i] < k:
                raise ValueError(f"y[{i}] = {targets[i]} is not one of the {k} classes")
            values[i] = softmax(&flat[i * k], &slopes[i * k], k, <Py_ssize_t> targets[i])
    elif n:
        points(&objective, &flat[0], &targets[0], &values[0], &slopes[0], n)
    return value, slope
