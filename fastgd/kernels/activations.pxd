"""Activation functions of networks, and dropout."""
from cython cimport floating
from libc.math cimport erfc, fabs
from libc.stdint cimport uint64_t

from .elementary cimport exp, log1p
from .random cimport draw

cpdef enum Activation:
    IDENTITY
    LOGISTIC
    TANH
    RELU
    LEAKY_RELU
    GELU
    SILU
    SOFTPLUS

cdef struct UnitOutput:
    double value, slope


cdef inline UnitOutput unit_output(int activation, double z) noexcept nogil:
    """f(z) and f'(z), from one exp. Comparisons are written so that a NaN gives a NaN value."""
    cdef double e, p, q
    if activation == RELU:
        return UnitOutput(0.0 if z < 0 else z, 1.0 if z > 0 else 0.0)
    if activation == LEAKY_RELU:
        return UnitOutput(0.01 * z if z < 0 else z, 1.0 if z > 0 else 0.01)
    if activation == IDENTITY:
        return UnitOutput(z, 1.0)
    if activation == TANH:
        e = exp(-2.0 * fabs(z))
        p = (1.0 - e) / (1.0 + e)
        return UnitOutput(-p if z < 0 else p, 4.0 * e / ((1.0 + e) * (1.0 + e)))
    if activation == GELU:
        p = 0.5 * erfc(-0.70710678118654752440 * z)
        return UnitOutput(z * p, p + z * 0.39894228040143267794 * exp(-0.5 * z * z))
    e = exp(-fabs(z))
    p = 1.0 / (1.0 + e)
    q = e * p
    p, q = (q, p) if z < 0 else (p, q)
    if activation == LOGISTIC:
        return UnitOutput(p, p * q)
    if activation == SILU:
        return UnitOutput(z * p, p + z * p * q)
    return UnitOutput(log1p(e) + (0.0 if z < 0 else z), p)  # softplus


cdef inline void activate_all(int activation, floating *restrict z, floating *restrict slope,
                              Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef UnitOutput unit
    for i in range(n):
        unit = unit_output(activation, z[i])
        z[i] = <floating> unit.value
        slope[i] = <floating> unit.slope


cdef inline void activate(int activation, floating *z, floating *slope,
                          Py_ssize_t n) noexcept nogil:
    """z, slope <- f(z), f'(z). The function is constant in each call, so each loop vectorises."""
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


cdef inline void dropout(double rate, floating *value, floating *slope, Py_ssize_t n,
                         uint64_t *state) noexcept nogil:
    """Set a random share `rate` of the units to 0, and divide the others by 1 - rate."""
    cdef uint64_t bound = <uint64_t> (rate * 4294967296.0)
    cdef floating scale = <floating> (1 / (1 - rate))
    cdef floating factor
    cdef Py_ssize_t i
    for i in range(n):
        factor = 0 if draw(state) >> 32 < bound else scale
        value[i] *= factor
        slope[i] *= factor
