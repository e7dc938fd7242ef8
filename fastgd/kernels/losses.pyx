"""Losses over whole blocks of margins."""
import numpy as np

from libc.math cimport INFINITY, fabs


cdef inline void block(int loss, double delta, double steepest, const double *restrict z,
                       const double *restrict y, double *restrict value, double *restrict slope,
                       Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef Point at
    for i in range(size):
        at = point(loss, delta, steepest, z[i], y[i])
        value[i] = at.value
        slope[i] = at.slope


cdef inline void rounded_block(int loss, double delta, double width, const double *restrict z,
                               const double *restrict y, double *restrict value,
                               double *restrict slope, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef Curve at
    for i in range(size):
        at = rounded(loss, delta, width, z[i], y[i])
        value[i] = at.value
        slope[i] = at.slope


cdef void points(const Objective *objective, const double *z, const double *y, double *value,
                 double *slope, Py_ssize_t size) noexcept nogil:
    """value_i, slope_i of L(z_i, y_i) for one margin a row; the loss is a constant in each call, so
    each loop vectorises.
    """
    cdef double d = objective.delta, most = objective.steepest
    if objective.width > 0:
        rounded_block(objective.loss, d, objective.width, z, y, value, slope, size)
    elif objective.loss == SQUARED_ERROR:
        block(SQUARED_ERROR, d, most, z, y, value, slope, size)
    elif objective.loss == HUBER:
        block(HUBER, d, most, z, y, value, slope, size)
    elif objective.loss == EPSILON_INSENSITIVE:
        block(EPSILON_INSENSITIVE, d, most, z, y, value, slope, size)
    elif objective.loss == SQUARED_EPSILON_INSENSITIVE:
        block(SQUARED_EPSILON_INSENSITIVE, d, most, z, y, value, slope, size)
    elif objective.loss == QUANTILE:
        block(QUANTILE, d, most, z, y, value, slope, size)
    elif objective.loss == POISSON:
        block(POISSON, d, most, z, y, value, slope, size)
    elif objective.loss == LOG_LOSS:
        block(LOG_LOSS, d, most, z, y, value, slope, size)
    elif objective.loss == MODIFIED_HUBER:
        block(MODIFIED_HUBER, d, most, z, y, value, slope, size)
    elif objective.loss == HINGE:
        block(HINGE, d, most, z, y, value, slope, size)
    elif objective.loss == SQUARED_HINGE:
        block(SQUARED_HINGE, d, most, z, y, value, slope, size)
    elif objective.loss == PERCEPTRON:
        block(PERCEPTRON, d, most, z, y, value, slope, size)
    elif objective.loss == CUSTOM:
        custom_block(<const CustomFunction *> objective.custom, z, y, value, slope, size)
    else:  # a loss without a loop of its own here, or no loss: NaN
        block(objective.loss, d, most, z, y, value, slope, size)


cdef void custom_block(const CustomFunction *custom, const double *z, const double *y,
                       double *value, double *slope, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    if custom.one == NULL:
        custom.many(z, y, value, slope, size, custom.data)
    else:
        for i in range(size):
            custom.one(z[i], y[i], value + i, slope + i, custom.data)


cdef double implicit_by_newton(int loss, double delta, double z, double y, double h) noexcept nogil:
    """dL/dz at the root a of a - z + h dL/dz(a), of a loss without a shorter way: Newton's method
    in a bracket. NaN if there is no such loss.

    The slope of a convex loss never falls, so the root lies between z and z - h dL/dz(z).
    """
    cdef double slope = point(loss, delta, INFINITY, z, y).slope, end = z - h * slope
    cdef double margin = 1e-10 * (1.0 + fabs(end)), low, high, a = z, miss, bend, tried
    cdef int _
    low, high = (end, z) if end < z else (z, end)
    low, high = low - margin, high + margin  # a step that ends on an end is kept
    for _ in range(100):
        miss = a - z + h * slope
        if miss > 0:
            high = a
        else:
            low = a
        bend = curvature(loss, delta, a, y, 0.0)
        tried = a - miss / (1.0 + h * bend)
        if fabs(tried - a) <= 1e-10 * (1.0 + fabs(a)):
            return slope + bend * (tried - a)
        if not low < tried < high:
            tried = 0.5 * (low + high)
        a = tried
        slope = point(loss, delta, INFINITY, a, y).slope
    return slope


cdef class CustomLoss:
    """A user's loss: a C function of one margin, or (`many`) of n margins, with the data that
    is passed on to it.
    """

    def __init__(self, size_t function, size_t data, bint many):
        self.function.data = <void *> data
        if many:
            self.function.many = <custom_losses> function
        else:
            self.function.one = <custom_loss> function

    @property
    def address(self):
        """For the kernels; good as long as this object lives."""
        return <size_t> &self.function


def evaluate(loss, double delta, z, y, double width=0, double steepest=INFINITY, size_t custom=0):
    """Value and slope of a loss, its kinks rounded off over `width`, slopes without a bound of
    their own clipped to `steepest`.

    `custom` is the address of a `CustomLoss`.

    `z` holds margins, shape (n,); for softmax (n, outputs). `y` holds targets, shape (n,); for
    softmax class numbers. Returns float64 arrays: value of shape (n,), slope of the shape of z.
    """
    margin = np.array(z, dtype=np.float64, order="C", copy=None)
    slope, value = np.empty_like(margin), np.empty(len(margin))
    cdef Objective objective = dict(loss=Loss(loss), delta=delta, steepest=steepest,
                                    max_curvature=INFINITY, width=width, l1=0, l2=0, tilt=0,
                                    outputs=margin.size // max(len(margin), 1), targets=VALUES,
                                    intercept=True, positive=False, custom=custom)
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
