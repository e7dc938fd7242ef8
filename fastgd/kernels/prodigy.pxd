"""Prodigy (Mishchenko, Defazio, ICML 2024): Adam at a rate times a growing lower bound of the
distance to the minimum.
"""
from cython cimport floating
from libc.math cimport fabs, pow, sqrt
from libc.string cimport memset

from .penalty cimport soft
from .rules cimport Rule, root

cdef struct Distance:
    double first                # the first estimate; 0: no Prodigy
    double now                  # the largest lower bound so far
    double gain                 # the weighted sum of g'(start - x)
    char *start
    char *weighted              # the weighted sum of the gradients


cdef inline void prodigy(floating *restrict w, const floating *restrict g, floating *restrict m,
                         floating *restrict a, floating *restrict s, const floating *restrict start,
                         Py_ssize_t n, const Rule *rule, double d, double rate,
                         double s_weight, floating l1, double *sums) noexcept nogil:
    """Adam on d g, with r = rate / (sqrt(a) + d eps); s <- sqrt(beta2) s + s_weight g;
    sums <- g'(start - w), |s|_1.
    """
    cdef Py_ssize_t j, k
    cdef floating beta1 = rule.first, beta2 = rule.second, root_beta2 = sqrt(rule.second)
    cdef floating m_weight = d * (1 - rule.first)
    cdef floating a_weight = d * d * (1 - rule.second)
    cdef floating eps = d * rule.eps, weight = s_weight, scale = rate, r
    cdef double[8] gain
    cdef double[8] size
    memset(gain, 0, sizeof(gain))
    memset(size, 0, sizeof(size))
    for j in range(n):
        k = j % 8
        gain[k] += g[j] * (start[j] - w[j])
        m[j] = beta1 * m[j] + m_weight * g[j]
        a[j] = beta2 * a[j] + a_weight * g[j] * g[j]
        s[j] = root_beta2 * s[j] + weight * g[j]
        size[k] += fabs(s[j])
        r = scale / (root(a[j]) + eps)
        w[j] = soft(w[j] - r * m[j], r * <floating> d * l1)
    sums[0] = sums[1] = 0
    for k in range(8):
        sums[0] += gain[k]
        sums[1] += size[k]


cdef inline double correction(const Rule *rule, Py_ssize_t t) noexcept nogil:
    """The bias correction of Adam's running means."""
    return sqrt(1 - pow(rule.second, t)) / (1 - pow(rule.first, t))


cdef inline void estimate_distance(Distance *at, const Rule *rule, Py_ssize_t t, const double *sums,
                                   Py_ssize_t ranges) noexcept nogil:
    """Update the estimate by the `sums` of a step, (ranges, 3), with those of `prodigy` last."""
    cdef double gain = 0, size = 0
    cdef double s_weight = at.now / at.first * at.now * correction(rule, t)
    cdef Py_ssize_t i
    for i in range(ranges):
        gain += sums[3 * i + 1]
        size += sums[3 * i + 2]
    at.gain = sqrt(rule.second) * at.gain + s_weight * gain
    if size > 0 and at.gain / size > at.now:
        at.now = at.gain / size
