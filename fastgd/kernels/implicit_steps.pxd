"""Implicit steps: the slope g of a loss at the margin z - h g to which the step itself leads, for
any h >= 0 (Kulis, Bartlett, "Implicit online learning", ICML 2010).
"""
from libc.math cimport INFINITY, fabs, log

from .elementary cimport exp, log1p
from .losses cimport (EPSILON_INSENSITIVE, HINGE, HUBER, LOG_LOSS, MODIFIED_HUBER, PERCEPTRON,
                      POISSON, QUANTILE, SQUARED_EPSILON_INSENSITIVE, SQUARED_ERROR, SQUARED_HINGE,
                      curvature, point, within)


cdef inline double implicit_log_loss(double m, double h) noexcept nogil:
    """sigma(-a) at the root a of a - m = h sigma(-a), between m and m + h: Newton's method in a
    bracket.
    """
    cdef double low = m, high = m + h, probability = 1.0 / (1.0 + exp(m)), a = m + h * probability
    cdef double e, second, residual, trial
    cdef int _
    if a > 3.0 and a > m + 3.0:  # a large step: the root is near log h
        a = (m if m > 0 else 0.0) + log1p(h if h < 1 else 1.0) + (log(h) if h > 1 else 0.0)
        a = within(a, low, high)
    else:
        a = m + h * probability / (1.0 + h * probability * (1.0 - probability))
    for _ in range(50):
        e = exp(-fabs(a))
        probability = (e if a > 0 else 1.0) / (1.0 + e)
        second = e / ((1.0 + e) * (1.0 + e))
        residual = a - m - h * probability
        if residual > 0:
            high = a
        else:
            low = a
        trial = a - residual / (1.0 + h * second)
        # the error of the next step would be about the square of this one
        if fabs(trial - a) <= 1e-5 + 1e-10 * fabs(a):
            return probability - second * (trial - a)
        if not low < trial < high:
            trial = 0.5 * (low + high)
        a = trial
    return probability


cdef inline double implicit_poisson(double z, double y, double h) noexcept nogil:
    """exp(a) - y at the root a of a + h exp(a) = z + h y, between z and log y: Newton's method in a
    bracket.
    """
    cdef double sum_at_root = z + h * y, low, high, a, mean, trial
    cdef int _
    high = log(y) if y > 0 else -700.0
    low, high = (high, z) if high < z else (z, high)
    a = high = 700.0 if high > 700.0 else high
    for _ in range(100):
        mean = exp(a)
        if a + h * mean > sum_at_root:
            high = a
        else:
            low = a
        trial = a - (a + h * mean - sum_at_root) / (1.0 + h * mean)
        if fabs(trial - a) <= 1e-10 * (1.0 + fabs(a)):
            a = trial
            break
        if not low < trial < high:
            trial = 0.5 * (low + high)
        a = trial
    return exp(a) - y


cdef inline double implicit_by_newton(int loss, double delta, double z, double y,
                                      double h) noexcept nogil:
    """dL/dz at the root a of a - z + h dL/dz(a), for a loss without a formula in `implicit`, by
    Newton's method in a bracket. NaN for an unknown loss.

    The slope of a convex loss never falls, so the root lies between z and z - h dL/dz(z).
    """
    cdef double slope = point(loss, delta, INFINITY, z, y).slope, end = z - h * slope
    cdef double margin = 1e-10 * (1.0 + fabs(end)), low, high, a = z, residual, second, trial
    cdef int _
    low, high = (end, z) if end < z else (z, end)
    low, high = low - margin, high + margin  # a trial on an end of the bracket is accepted
    for _ in range(100):
        residual = a - z + h * slope
        if residual > 0:
            high = a
        else:
            low = a
        second = curvature(loss, delta, a, y, 0.0)
        trial = a - residual / (1.0 + h * second)
        if fabs(trial - a) <= 1e-10 * (1.0 + fabs(a)):
            return slope + second * (trial - a)
        if not low < trial < high:
            trial = 0.5 * (low + high)
        a = trial
        slope = point(loss, delta, INFINITY, a, y).slope
    return slope


cdef inline double implicit(int loss, double delta, double z, double y, double h) noexcept nogil:
    """The implicit slope: the g with g = dL/dz at z - h g. The step never passes the minimum of the
    row's own loss.
    """
    cdef double r = z - y, gap = 1.0 - y * z, step = h if h > 1e-300 else 1e-300
    if loss == LOG_LOSS:
        return -y * implicit_log_loss(y * z, h)
    if loss == SQUARED_ERROR:
        return r / (1.0 + h)
    if loss == HINGE:
        return -y * within(gap / step, 0.0, 1.0)
    if loss == HUBER:
        return within(r / (1.0 + h), -delta, delta)
    if loss == EPSILON_INSENSITIVE:
        return within((fabs(r) - delta) / step, 0.0, 1.0) * (1.0 if r > 0 else -1.0)
    if loss == SQUARED_EPSILON_INSENSITIVE:
        return ((2.0 * (fabs(r) - delta) / (1.0 + 2.0 * h) if fabs(r) > delta else 0.0)
                * (1.0 if r > 0 else -1.0))
    if loss == QUANTILE:
        return within(r / step, -delta, 1.0 - delta)
    if loss == POISSON:
        return implicit_poisson(z, y, h)
    if loss == MODIFIED_HUBER:
        return -y * within(2.0 * gap / (1.0 + 2.0 * h), 0.0, 4.0)
    if loss == SQUARED_HINGE:
        return -y * (2.0 * gap / (1.0 + 2.0 * h) if gap > 0 else 0.0)
    if loss == PERCEPTRON:
        return -y * within(-y * z / step, 0.0, 1.0)
    return implicit_by_newton(loss, delta, z, y, h)
