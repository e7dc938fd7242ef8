"""Piecewise linear losses with their kinks smoothed over an interval of a given width, as Newton's
method needs them.
"""
from libc.math cimport NAN, fabs

from .losses cimport EPSILON_INSENSITIVE, HINGE, HUBER, PERCEPTRON, QUANTILE

cdef struct Derivatives:
    double value, slope, curvature


cdef inline Derivatives ramp(double a, double width) noexcept nogil:
    """max(0, a), with a parabola of curvature 1 / width on [-width / 2, width / 2] for the kink."""
    cdef double inner = a + 0.5 * width, s = inner / width
    s = 0.0 if s < 0 else (1.0 if s > 1 else s)
    return Derivatives(s * (inner - 0.5 * s * width), s, 1.0 / width if 0 < s < 1 else 0.0)


cdef inline Derivatives smoothed(int loss, double delta, double width, double z,
                                 double y) noexcept nogil:
    """A piecewise linear loss as a sum of smoothed ramps. Huber's loss is quadratic on at least
    [-width, width].

    The slopes stay within those of the loss itself, so they remain dual feasible. NaN for other
    losses.
    """
    cdef Derivatives up, down
    cdef double tau, r, inner, curvature, slope
    if loss == HUBER:
        r, tau = z - y, delta if delta > width else width
        curvature = delta / tau
        inner = tau if r > tau else (-tau if r < -tau else r)
        slope = delta if r > tau else (-delta if r < -tau else curvature * r)
        return Derivatives(curvature * inner * (r - 0.5 * inner), slope,
                           curvature if inner == r else 0.0)
    if loss == HINGE or loss == PERCEPTRON:
        up = ramp((1.0 if loss == HINGE else 0.0) - y * z, width)
        return Derivatives(up.value, -y * up.slope, y * y * up.curvature)
    if loss == QUANTILE:
        up, down, tau = ramp(z - y, width), ramp(y - z, width), delta
        return Derivatives((1 - tau) * up.value + tau * down.value,
                           (1 - tau) * up.slope - tau * down.slope,
                           (1 - tau) * up.curvature + tau * down.curvature)
    if loss != EPSILON_INSENSITIVE:
        return Derivatives(NAN, NAN, NAN)
    up, down = ramp(z - y - delta, width), ramp(y - z - delta, width)
    return Derivatives(up.value + down.value, up.slope - down.slope, up.curvature + down.curvature)
