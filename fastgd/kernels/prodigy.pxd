"""Prodigy (Mishchenko, Defazio, ICML 2024): Adam whose rate multiplies a growing lower bound of the
distance to the minimum.
"""
from cython cimport floating
from libc.math cimport fabs, pow, sqrt
from libc.string cimport memset

from .penalty cimport soft
from .rules cimport Rule, root

cdef struct Distance:
    double first, now           # its first guess (0: none), and the greatest lower bound so far
    double gain                 # weighted sum of g'(start - x)
    char *start
    char *weighted              # weighted sum of the gradients


cdef inline void prodigy(floating *restrict w, const floating *restrict g, floating *restrict m,
                         floating *restrict a, floating *restrict s, const floating *restrict start,
                         Py_ssize_t n, const Rule *rule, double d, double rate, double share,
                         floating l1, double *sums) noexcept nogil:
    """Adam on d g, with r = rate d / (sqrt(a) + d eps); s <- sqrt(keep2) s + share g; sums <-
    g'(start - w), |s|_1.
    """
    cdef Py_ssize_t j, k
    cdef floating keep1 = rule.first, keep2 = rule.second, keep3 = sqrt(rule.second)
    cdef floating take1 = d * (1 - rule.first)
    cdef floating take2 = d * d * (1 - rule.second)
    cdef floating eps = d * rule.eps, part = share, scale = rate, r
    cdef double[8] gain
    cdef double[8] size
    memset(gain, 0, sizeof(gain))
    memset(size, 0, sizeof(size))
    for j in range(n):
        k = j % 8
        gain[k] += g[j] * (start[j] - w[j])
        m[j] = keep1 * m[j] + take1 * g[j]
        a[j] = keep2 * a[j] + take2 * g[j] * g[j]
        s[j] = keep3 * s[j] + part * g[j]
        size[k] += fabs(s[j])
        r = scale / (root(a[j]) + eps)
        w[j] = soft(w[j] - r * m[j], r * <floating> d * l1)
    sums[0] = sums[1] = 0
    for k in range(8):
        sums[0] += gain[k]
        sums[1] += size[k]


cdef inline double correction(const Rule *rule, Py_ssize_t t) noexcept nogil:
    """Of the start of Adam's running means."""
    return sqrt(1 - pow(rule.second, t)) / (1 - pow(rule.first, t))


cdef inline void estimate_distance(Distance *at, const Rule *rule, Py_ssize_t t, const double *sums,
                                   Py_ssize_t ranges) noexcept nogil:
    """Take in the `sums` of a step, (ranges, 3), whose last two columns are those of `prodigy`."""
    cdef double gain = 0, size = 0
    cdef double share = at.now / at.first * at.now * correction(rule, t)
    cdef Py_ssize_t i
    for i in range(ranges):
        gain += sums[3 * i + 1]
        size += sums[3 * i + 2]
    at.gain = sqrt(rule.second) * at.gain + share * gain
    if size > 0 and at.gain / size > at.now:
        at.now = at.gain / size
