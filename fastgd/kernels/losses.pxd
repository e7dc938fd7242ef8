"""Losses L(z, y) of a margin z: value, slope dL/dz and curvature of each.

Each formula is written once, so that loops over it vectorise. Comparisons are written so that a NaN
margin gives a NaN value: a training that diverged shows in its loss.
"""
from libc.math cimport INFINITY, NAN, fabs, log, pow
from libc.stdint cimport intptr_t

from .elementary cimport exp, log1p

cpdef enum Loss:
    SQUARED_ERROR
    HUBER
    EPSILON_INSENSITIVE
    SQUARED_EPSILON_INSENSITIVE
    QUANTILE
    POISSON
    LOG_LOSS
    MODIFIED_HUBER
    HINGE
    SQUARED_HINGE
    PERCEPTRON
    SOFTMAX
    CUSTOM                      # a user's function
    GAMMA
    TWEEDIE                     # with the log link, of any power but 1 and 2
    TWEEDIE_IDENTITY            # with the identity link, of any power but 0

ctypedef void (*custom_loss)(double z, double y, double *value, double *slope,
                             void *data) noexcept nogil
ctypedef void (*custom_losses)(const double *z, const double *y, double *value, double *slope,
                               intptr_t n, void *data) noexcept nogil

cdef struct CustomFunction:
    custom_loss one             # for one margin; NULL: use `many`
    custom_losses many
    void *data

cdef class CustomLoss:
    cdef CustomFunction function

cpdef enum Targets:
    VALUES                      # y holds `outputs` numbers for each row
    CLASSES                     # y holds a class number: +1 for the output of that class, else -1

# sum_i s_i L(W x_i + b, y_i) / sum_i s_i + l1 |W|_1 + (l2 / 2) |W|^2 + intercept_cost sum b
cdef struct Objective:
    int loss
    double delta                # the parameter of the loss, e.g. epsilon, quantile or power
    double slope_limit          # clips slopes of losses whose slopes are unbounded; may be infinite
    double max_curvature        # the largest curvature of the loss; infinite at kinks
    double smoothing            # the width over which kinks are smoothed; 0: not at all
    double l1, l2
    double intercept_cost       # the cost of each intercept, linear in it
    Py_ssize_t outputs
    int targets
    bint intercept
    bint positive               # W >= 0
    size_t custom               # the address of a CustomFunction; 0 for the losses with a name

cdef struct Point:
    double value, slope


cdef inline double clipped(double slope, double limit) noexcept nogil:
    """slope within +-limit, so that one extreme row does not overflow the weights."""
    slope = limit if slope > limit else slope
    return -limit if slope < -limit else slope


cdef inline double within(double a, double low, double high) noexcept nogil:
    """a clipped to [low, high]."""
    a = high if a > high else a
    return low if a < low else a


cdef inline Point squared_error(double z, double y, double limit) noexcept nogil:
    cdef double r = z - y
    return Point(0.5 * r * r, clipped(r, limit))


cdef inline Point huber(double z, double y, double delta) noexcept nogil:
    cdef double r = z - y, a = fabs(r), inner = delta if a > delta else a
    return Point(inner * (a - 0.5 * inner), delta if r > delta else (-delta if r < -delta else r))


cdef inline Point epsilon_insensitive(double z, double y, double delta) noexcept nogil:
    cdef double r = z - y, excess = fabs(r) - delta
    return Point(0.0 if excess < 0 else excess, 1.0 if r > delta else (-1.0 if r < -delta else 0.0))


cdef inline Point squared_epsilon_insensitive(double z, double y, double delta,
                                              double limit) noexcept nogil:
    cdef double r = z - y, excess = fabs(r) - delta
    excess = 0.0 if excess < 0 else excess
    return Point(excess * excess, clipped(2.0 * excess if r > 0 else -2.0 * excess, limit))


cdef inline Point quantile(double z, double y, double delta) noexcept nogil:
    cdef double u = y - z
    return Point(delta * u if u > 0 else (delta - 1.0) * u, -delta if u > 0
                 else (1.0 - delta if u < 0 else 0.0))


cdef inline Point poisson(double z, double y, double limit) noexcept nogil:
    cdef double mean = exp(z)
    return Point(mean - y * z, clipped(mean - y, limit))


cdef inline Point gamma(double z, double y, double limit) noexcept nogil:
    cdef double ratio = y * exp(-z)
    return Point(z + ratio, clipped(1.0 - ratio, limit))


cdef inline Point tweedie(double z, double y, double power, double limit) noexcept nogil:
    """With the mean m = exp(z): m^(2-p) / (2-p) - y m^(1-p) / (1-p)."""
    cdef double a = exp((2.0 - power) * z), b = y * exp((1.0 - power) * z)
    return Point(a / (2.0 - power) - b / (1.0 - power), clipped(a - b, limit))


cdef inline Point tweedie_identity(double z, double y, double power, double limit) noexcept nogil:
    """The same with the mean z, which has to be positive."""
    cdef double a, value
    if z <= 0:
        return Point(INFINITY, NAN)
    a = pow(z, 1.0 - power)
    if power == 1.0:
        value = z - y * log(z)
    elif power == 2.0:
        value = log(z) + y / z
    else:
        value = z * a / (2.0 - power) - y * a / (1.0 - power)
    return Point(value, clipped(a - y * a / z, limit))


cdef inline Point log_loss_of(double m, double y, double e) noexcept nogil:
    """Value and slope, given m = y z and e = exp(-|m|) <= 1, which does not overflow."""
    cdef double probability = (e if m > 0 else 1.0) / (1.0 + e)
    return Point(log1p(e) + (0.0 if m > 0 else -m), -y * probability)


cdef inline double log_loss_curvature(double e) noexcept nogil:
    return e / ((1.0 + e) * (1.0 + e))


cdef inline Point log_loss(double z, double y, double delta) noexcept nogil:
    return log_loss_of(y * z, y, exp(-fabs(y * z)))


cdef inline Point modified_huber(double z, double y, double delta) noexcept nogil:
    cdef double m = y * z, gap = 0.0 if m > 1.0 else 1.0 - m
    return Point(-4.0 * m if m < -1.0 else gap * gap, -4.0 * y if m < -1.0 else -2.0 * y * gap)


cdef inline Point hinge(double z, double y, double delta) noexcept nogil:
    cdef double gap = 1.0 - y * z
    return Point(0.0 if gap < 0 else gap, 0.0 if gap < 0 else -y)


cdef inline Point squared_hinge(double z, double y, double limit) noexcept nogil:
    cdef double gap = 1.0 - y * z
    gap = 0.0 if gap < 0 else gap
    return Point(gap * gap, clipped(-2.0 * y * gap, limit))


cdef inline Point perceptron(double z, double y, double delta) noexcept nogil:
    cdef double m = y * z
    return Point(0.0 if m > 0 else -m, 0.0 if m > 0 else -y)


cdef inline Point point(int loss, double delta, double limit, double z, double y) noexcept nogil:
    """Value and slope of any named loss of one margin; NaN for an unknown loss."""
    if loss == LOG_LOSS:
        return log_loss(z, y, delta)
    if loss == SQUARED_ERROR:
        return squared_error(z, y, limit)
    if loss == HINGE:
        return hinge(z, y, delta)
    if loss == HUBER:
        return huber(z, y, delta)
    if loss == EPSILON_INSENSITIVE:
        return epsilon_insensitive(z, y, delta)
    if loss == SQUARED_EPSILON_INSENSITIVE:
        return squared_epsilon_insensitive(z, y, delta, limit)
    if loss == QUANTILE:
        return quantile(z, y, delta)
    if loss == POISSON:
        return poisson(z, y, limit)
    if loss == GAMMA:
        return gamma(z, y, limit)
    if loss == TWEEDIE:
        return tweedie(z, y, delta, limit)
    if loss == TWEEDIE_IDENTITY:
        return tweedie_identity(z, y, delta, limit)
    if loss == MODIFIED_HUBER:
        return modified_huber(z, y, delta)
    if loss == SQUARED_HINGE:
        return squared_hinge(z, y, limit)
    if loss == PERCEPTRON:
        return perceptron(z, y, delta)
    return Point(NAN, NAN)


cdef inline Point point_of(const Objective *objective, double z, double y) noexcept nogil:
    """Value and slope of any loss of one margin, a custom one included."""
    cdef const CustomFunction *custom = <const CustomFunction *> objective.custom
    cdef Point at
    if objective.loss != CUSTOM:
        return point(objective.loss, objective.delta, objective.slope_limit, z, y)
    if custom.one != NULL:
        custom.one(z, y, &at.value, &at.slope, custom.data)
    else:
        custom.many(&z, &y, &at.value, &at.slope, 1, custom.data)
    return at


cdef inline double slope_at(const Objective *objective, double z, double y) noexcept nogil:
    """dL/dz without the value: row-by-row SGD waits for it, and the log loss has a shorter formula.
    """
    if objective.loss == LOG_LOSS:
        return -y / (1.0 + exp(y * z))
    if objective.loss == SQUARED_ERROR:
        return squared_error(z, y, objective.slope_limit).slope
    if objective.loss == HINGE:
        return hinge(z, y, objective.delta).slope
    return point_of(objective, z, y).slope


cdef inline double softmax(const double *z, double *slope, Py_ssize_t outputs,
                           Py_ssize_t label) noexcept nogil:
    """log sum_k exp(z_k) - z_label; slope_k = p_k - [k = label]. `slope` may be z itself."""
    cdef double largest = z[0], total = 0, label_margin = z[label]
    cdef Py_ssize_t k
    for k in range(1, outputs):
        largest = z[k] if z[k] > largest else largest
    for k in range(outputs):
        slope[k] = exp(z[k] - largest)
    for k in range(outputs):
        total += slope[k]
    for k in range(outputs):
        slope[k] /= total
    slope[label] -= 1.0
    return log(total) + largest - label_margin


cdef inline double target(const Objective *objective, const double *y, Py_ssize_t i,
                          Py_ssize_t k) noexcept nogil:
    """The target of row i's k-th output."""
    if objective.targets == VALUES:
        return y[i * objective.outputs + k]
    return 1.0 if <Py_ssize_t> y[i] == k else -1.0


cdef void points(const Objective *objective, const double *z, const double *y, double *value,
                 double *slope, Py_ssize_t size) noexcept nogil


cdef inline double curvature(int loss, double delta, double z, double y,
                             double radius) noexcept nogil:
    """The largest second derivative of L within `radius` of z. A kink within the radius counts as
    1, falling linearly to 0 at twice the radius. For Tweedie losses that are not convex it is the
    expected second derivative, which is positive.
    """
    cdef double m = y * z, a
    if loss == LOG_LOSS:
        a = fabs(m) - radius
        return log_loss_curvature(exp(-a if a > 0 else 0.0))
    if loss == SQUARED_ERROR:
        return 1.0
    if loss == HUBER:
        return 1.0 if fabs(z - y) - radius <= delta else 0.0
    if loss == SQUARED_EPSILON_INSENSITIVE:
        return 2.0 if fabs(z - y) + radius >= delta else 0.0
    if loss == POISSON:
        return exp(z + radius)
    if loss == GAMMA:
        return y * exp(radius - z)
    if loss == TWEEDIE:
        if delta < 1.0 or delta > 2.0:
            return exp((2.0 - delta) * z + fabs(2.0 - delta) * radius)
        return ((2.0 - delta) * exp((2.0 - delta) * (z + radius))
                + (delta - 1.0) * y * exp((1.0 - delta) * (z - radius)))
    if loss == TWEEDIE_IDENTITY:
        a = z - radius if delta > 0 else z + radius
        return (y / a if delta == 1.0 else 1.0) * pow(a, -delta) if a > 0 else INFINITY
    if loss == MODIFIED_HUBER:
        return 2.0 if m - radius <= 1.0 and m + radius >= -1.0 else 0.0
    if loss == SQUARED_HINGE:
        return 2.0 if m - radius <= 1.0 else 0.0
    if loss == HINGE or loss == PERCEPTRON:
        a = fabs((1.0 if loss == HINGE else 0.0) - m)
    elif loss == EPSILON_INSENSITIVE or loss == QUANTILE:
        a = fabs(fabs(z - y) - (delta if loss == EPSILON_INSENSITIVE else 0.0))
    else:
        return NAN
    return within(2.0 - a / (radius if radius > 1e-300 else 1e-300), 0.0, 1.0)


cdef inline double softmax_curvature(const double *slope, Py_ssize_t outputs, Py_ssize_t label,
                                     double radius) noexcept nogil:
    """An upper bound (Gershgorin) of the largest eigenvalue of softmax's Hessian within `radius` of
    the margins with these slopes.
    """
    cdef double largest = 0, p, e = exp(2.0 * (radius if radius < 300.0 else 300.0))
    cdef Py_ssize_t k
    for k in range(outputs):
        p = slope[k] + (1.0 if k == label else 0.0)
        largest = p * (1.0 - p) if p * (1.0 - p) > largest else largest
    return 0.5 if 2.0 * largest * e > 0.5 else 2.0 * largest * e
