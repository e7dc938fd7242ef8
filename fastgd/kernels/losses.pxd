"""Losses L(z, y) of a margin z: value and slope dL/dz of each, written once; loops over them
vectorise.

Comparisons are so turned that a NaN margin gives a NaN value: a training that has gone astray must
show.
"""
from libc.math cimport NAN, fabs, log
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
    CUSTOM              # a function of the user's

ctypedef void (*custom_loss)(double z, double y, double *value, double *slope,
                             void *data) noexcept nogil
ctypedef void (*custom_losses)(const double *z, const double *y, double *value, double *slope,
                               intptr_t n, void *data) noexcept nogil

cdef struct CustomFunction:
    custom_loss one             # NULL: there is `many`
    custom_losses many
    void *data

cdef class CustomLoss:
    cdef CustomFunction function

cpdef enum Targets:
    VALUES              # y holds `outputs` numbers a row
    # y holds a class number a row: +1 for the output of that number, -1 for the others
    CLASSES

# sum_i s_i L(W x_i + b, y_i) / sum_i s_i + l1 |W|_1 + (l2 / 2) |W|^2 + tilt sum b
cdef struct Objective:
    int loss
    double delta        # the parameter of huber, epsilon-insensitive, quantile
    # the largest slope of losses whose slopes have no bound of their own; may be infinite
    double steepest
    double max_curvature    # the largest curvature of the loss; infinite at kinks
    # over which the kinks of piecewise linear losses are rounded off; 0: not at all
    double width
    double l1, l2
    double tilt         # what a unit of each intercept costs
    Py_ssize_t outputs
    int targets
    bint intercept
    bint positive       # W >= 0 is asked for
    size_t custom       # the address of a CustomFunction; 0 for the losses that have a name

cdef struct Point:
    double value, slope

cdef struct Curve:
    double value, slope, curvature


cdef inline double clipped(double slope, double steepest) noexcept nogil:
    """Slopes without a bound of their own stay within +-steepest: one wild row does not overflow
    the weights.
    """
    slope = steepest if slope > steepest else slope
    return -steepest if slope < -steepest else slope


cdef inline Point squared_error(double z, double y, double steepest) noexcept nogil:
    cdef double r = z - y
    return Point(0.5 * r * r, clipped(r, steepest))


cdef inline Point huber(double z, double y, double delta) noexcept nogil:
    cdef double r = z - y, a = fabs(r), inner = delta if a > delta else a
    return Point(inner * (a - 0.5 * inner), delta if r > delta else (-delta if r < -delta else r))


cdef inline Point epsilon_insensitive(double z, double y, double delta) noexcept nogil:
    cdef double r = z - y, excess = fabs(r) - delta
    return Point(0.0 if excess < 0 else excess, 1.0 if r > delta else (-1.0 if r < -delta else 0.0))


cdef inline Point squared_epsilon_insensitive(double z, double y, double delta,
                                              double steepest) noexcept nogil:
    cdef double r = z - y, excess = fabs(r) - delta
    excess = 0.0 if excess < 0 else excess
    return Point(excess * excess, clipped(2.0 * excess if r > 0 else -2.0 * excess, steepest))


cdef inline Point quantile(double z, double y, double delta) noexcept nogil:
    cdef double u = y - z
    return Point(delta * u if u > 0 else (delta - 1.0) * u, -delta if u > 0
                 else (1.0 - delta if u < 0 else 0.0))


cdef inline Point poisson(double z, double y, double steepest) noexcept nogil:
    cdef double mean = exp(z)
    return Point(mean - y * z, clipped(mean - y, steepest))


cdef inline Point log_loss(double z, double y, double delta) noexcept nogil:
    """With e = exp(-|yz|) <= 1 nothing overflows; who wants value and slope has both from the one
    exp.
    """
    cdef double m = y * z, e = exp(-fabs(m)), probability = (e if m > 0 else 1.0) / (1.0 + e)
    return Point(log1p(e) + (0.0 if m > 0 else -m), -y * probability)


cdef inline Point modified_huber(double z, double y, double delta) noexcept nogil:
    cdef double m = y * z, gap = 0.0 if m > 1.0 else 1.0 - m
    return Point(-4.0 * m if m < -1.0 else gap * gap, -4.0 * y if m < -1.0 else -2.0 * y * gap)


cdef inline Point hinge(double z, double y, double delta) noexcept nogil:
    cdef double gap = 1.0 - y * z
    return Point(0.0 if gap < 0 else gap, 0.0 if gap < 0 else -y)


cdef inline Point squared_hinge(double z, double y, double steepest) noexcept nogil:
    cdef double gap = 1.0 - y * z
    gap = 0.0 if gap < 0 else gap
    return Point(gap * gap, clipped(-2.0 * y * gap, steepest))


cdef inline Point perceptron(double z, double y, double delta) noexcept nogil:
    cdef double m = y * z
    return Point(0.0 if m > 0 else -m, 0.0 if m > 0 else -y)


cdef inline Curve ramp(double a, double width) noexcept nogil:
    """max(0, a) with its kink replaced by a parabola of curvature 1 / width on [-width / 2, width /
    2].
    """
    cdef double inner = a + 0.5 * width, s = inner / width
    s = 0.0 if s < 0 else (1.0 if s > 1 else s)
    return Curve(s * (inner - 0.5 * s * width), s, 1.0 / width if 0 < s < 1 else 0.0)


cdef inline Curve rounded(int loss, double delta, double width, double z, double y) noexcept nogil:
    """A piecewise linear loss as a sum of rounded ramps; 'huber' is quadratic over no less than
    `width`.

    The slopes stay within those of the loss itself, as its dual asks for.
    """
    cdef Curve up, down
    cdef double tau, r, inner, bend
    if loss == HUBER:
        r, tau = z - y, delta if delta > width else width
        bend = delta / tau
        inner = tau if r > tau else (-tau if r < -tau else r)
        return Curve(bend * inner * (r - 0.5 * inner), delta if r > tau
                     else (-delta if r < -tau else bend * r), bend if inner == r else 0.0)
    if loss == HINGE or loss == PERCEPTRON:
        up = ramp((1.0 if loss == HINGE else 0.0) - y * z, width)
        return Curve(up.value, -y * up.slope, y * y * up.curvature)
    if loss == QUANTILE:
        up, down, tau = ramp(z - y, width), ramp(y - z, width), delta
        return Curve((1 - tau) * up.value + tau * down.value, (1 - tau) * up.slope - tau
                     * down.slope, (1 - tau) * up.curvature + tau * down.curvature)
    if loss != EPSILON_INSENSITIVE:
        return Curve(NAN, NAN, NAN)
    up, down = ramp(z - y - delta, width), ramp(y - z - delta, width)
    return Curve(up.value + down.value, up.slope - down.slope, up.curvature + down.curvature)


cdef inline Point point(int loss, double delta, double steepest, double z, double y) noexcept nogil:
    """Value and slope of any loss of one margin."""
    if loss == LOG_LOSS:
        return log_loss(z, y, delta)
    if loss == SQUARED_ERROR:
        return squared_error(z, y, steepest)
    if loss == HINGE:
        return hinge(z, y, delta)
    if loss == HUBER:
        return huber(z, y, delta)
    if loss == EPSILON_INSENSITIVE:
        return epsilon_insensitive(z, y, delta)
    if loss == SQUARED_EPSILON_INSENSITIVE:
        return squared_epsilon_insensitive(z, y, delta, steepest)
    if loss == QUANTILE:
        return quantile(z, y, delta)
    if loss == POISSON:
        return poisson(z, y, steepest)
    if loss == MODIFIED_HUBER:
        return modified_huber(z, y, delta)
    if loss == SQUARED_HINGE:
        return squared_hinge(z, y, steepest)
    if loss == PERCEPTRON:
        return perceptron(z, y, delta)
    return Point(NAN, NAN)


cdef inline Point point_of(const Objective *objective, double z, double y) noexcept nogil:
    """The same for a user's loss too."""
    cdef const CustomFunction *custom = <const CustomFunction *> objective.custom
    cdef Point at
    if objective.loss != CUSTOM:
        return point(objective.loss, objective.delta, objective.steepest, z, y)
    if custom.one != NULL:
        custom.one(z, y, &at.value, &at.slope, custom.data)
    else:
        custom.many(&z, &y, &at.value, &at.slope, 1, custom.data)
    return at


cdef inline double slope_at(const Objective *objective, double z, double y) noexcept nogil:
    """dL/dz without the value: the next row waits for it, and the logistic one has a shorter way.
    """
    if objective.loss == LOG_LOSS:
        return -y / (1.0 + exp(y * z))
    if objective.loss == SQUARED_ERROR:
        return squared_error(z, y, objective.steepest).slope
    if objective.loss == HINGE:
        return hinge(z, y, objective.delta).slope
    return point_of(objective, z, y).slope


cdef inline double softmax(const double *z, double *slope, Py_ssize_t outputs,
                           Py_ssize_t label) noexcept nogil:
    """log sum_k exp(z_k) - z_label; slope_k = p_k - [k = label]. `slope` may be z itself."""
    cdef double largest = z[0], total = 0, own = z[label]
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
    return log(total) + largest - own


cdef inline double target(const Objective *objective, const double *y, Py_ssize_t i,
                          Py_ssize_t k) noexcept nogil:
    """The target of row i's k-th output."""
    if objective.targets == VALUES:
        return y[i * objective.outputs + k]
    return 1.0 if <Py_ssize_t> y[i] == k else -1.0


cdef void points(const Objective *objective, const double *z, const double *y, double *value,
                 double *slope, Py_ssize_t size) noexcept nogil


# ---- implicit steps: the slope g of L at the margin z - h g that the step itself leads to,
# whatever h >= 0 ----

cdef inline double within(double a, double low, double high) noexcept nogil:
    a = high if a > high else a
    return low if a < low else a


cdef inline double implicit_log_loss(double m, double h) noexcept nogil:
    """sigma(-a) at the root a of a - m = h sigma(-a), which lies in [m, m + h]: Newton's method
    from m, kept in the bracket.
    """
    cdef double low = m, high = m + h, probability = 1.0 / (1.0 + exp(m)), a = m + h * probability
    cdef double e, steepness, miss, tried
    cdef int _
    if a > 3.0 and a > m + 3.0:  # far from m the root is near log h
        a = (m if m > 0 else 0.0) + log1p(h if h < 1 else 1.0) + (log(h) if h > 1 else 0.0)
        a = within(a, low, high)
    else:
        a = m + h * probability / (1.0 + h * probability * (1.0 - probability))
    for _ in range(50):
        e = exp(-fabs(a))
        probability = (e if a > 0 else 1.0) / (1.0 + e)
        steepness = e / ((1.0 + e) * (1.0 + e))
        miss = a - m - h * probability
        if miss > 0:
            high = a
        else:
            low = a
        tried = a - miss / (1.0 + h * steepness)
        if fabs(tried - a) <= 1e-5 + 1e-10 * fabs(a):  # the step's square is lost
            return probability - steepness * (tried - a)
        if not low < tried < high:
            tried = 0.5 * (low + high)
        a = tried
    return probability


cdef inline double implicit_poisson(double z, double y, double h) noexcept nogil:
    """exp(a) - y at the root a of a + h exp(a) = z + h y, which lies between z and log y: Newton's
    method in a bracket.
    """
    cdef double aim = z + h * y, low, high, a, mean, tried
    cdef int _
    high = log(y) if y > 0 else -700.0
    low, high = (high, z) if high < z else (z, high)
    a = high = 700.0 if high > 700.0 else high
    for _ in range(100):
        mean = exp(a)
        if a + h * mean > aim:
            high = a
        else:
            low = a
        tried = a - (a + h * mean - aim) / (1.0 + h * mean)
        if fabs(tried - a) <= 1e-10 * (1.0 + fabs(a)):
            a = tried
            break
        if not low < tried < high:
            tried = 0.5 * (low + high)
        a = tried
    return exp(a) - y


cdef double implicit_by_newton(int loss, double delta, double z, double y, double h) noexcept nogil


cdef inline double implicit(int loss, double delta, double z, double y, double h) noexcept nogil:
    """The g with g = dL/dz at z - h g (Kulis, Bartlett, ICML 2010): it never overshoots the row's
    own minimum.
    """
    cdef double r = z - y, gap = 1.0 - y * z, wide = h if h > 1e-300 else 1e-300
    if loss == LOG_LOSS:
        return -y * implicit_log_loss(y * z, h)
    if loss == SQUARED_ERROR:
        return r / (1.0 + h)
    if loss == HINGE:
        return -y * within(gap / wide, 0.0, 1.0)
    if loss == HUBER:
        return within(r / (1.0 + h), -delta, delta)
    if loss == EPSILON_INSENSITIVE:
        return within((fabs(r) - delta) / wide, 0.0, 1.0) * (1.0 if r > 0 else -1.0)
    if loss == SQUARED_EPSILON_INSENSITIVE:
        return ((2.0 * (fabs(r) - delta) / (1.0 + 2.0 * h) if fabs(r) > delta else 0.0)
                * (1.0 if r > 0 else -1.0))
    if loss == QUANTILE:
        return within(r / wide, -delta, 1.0 - delta)
    if loss == POISSON:
        return implicit_poisson(z, y, h)
    if loss == MODIFIED_HUBER:
        return -y * within(2.0 * gap / (1.0 + 2.0 * h), 0.0, 4.0)
    if loss == SQUARED_HINGE:
        return -y * (2.0 * gap / (1.0 + 2.0 * h) if gap > 0 else 0.0)
    if loss == PERCEPTRON:
        return -y * within(-y * z / wide, 0.0, 1.0)
    return implicit_by_newton(loss, delta, z, y, h)


cdef inline double curvature(int loss, double delta, double z, double y,
                             double radius) noexcept nogil:
    """The largest second derivative of L within `radius` of z; of a kink 1, which falls to 0 at
    twice the radius from z.
    """
    cdef double m = y * z, a, e
    if loss == LOG_LOSS:
        a = fabs(m) - radius
        e = exp(-a if a > 0 else 0.0)
        return e / ((1.0 + e) * (1.0 + e))
    if loss == SQUARED_ERROR:
        return 1.0
    if loss == HUBER:
        return 1.0 if fabs(z - y) - radius <= delta else 0.0
    if loss == SQUARED_EPSILON_INSENSITIVE:
        return 2.0 if fabs(z - y) + radius >= delta else 0.0
    if loss == POISSON:
        return exp(z + radius)
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
    """A bound of softmax's largest second derivative within `radius` of the margins that have these
    slopes (Gershgorin).
    """
    cdef double largest = 0, p, e = exp(2.0 * (radius if radius < 300.0 else 300.0))
    cdef Py_ssize_t k
    for k in range(outputs):
        p = slope[k] + (1.0 if k == label else 0.0)
        largest = p * (1.0 - p) if p * (1.0 - p) > largest else largest
    return 0.5 if 2.0 * largest * e > 0.5 else 2.0 * largest * e
