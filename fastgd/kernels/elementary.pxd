"""exp and log1p without branches or tables, so that loops over them vectorise. The error is one or
two ulp.
"""
from libc.stdint cimport uint64_t


cdef union Bits:
    double value
    uint64_t word


cdef inline double exp(double x) noexcept nogil:
    """e^x = 2^k e^r with k = round(x / ln 2), |r| <= ln(2) / 2; x is clamped to +-708, and NaN
    stays NaN.
    """
    cdef Bits shifted, power
    cdef double r, r2, r4, k, mantissa
    x = 708.0 if x > 708.0 else x
    x = -708.0 if x < -708.0 else x
    # adding 1.5 * 2^52 rounds to an integer in the low bits
    shifted.value = x * 1.4426950408889634 + 6755399441055744.0
    k = shifted.value - 6755399441055744.0
    r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
    r2 = r * r
    r4 = r2 * r2
    # minimax polynomial of degree 11, error 3e-18; even and odd terms are paired (Estrin) to
    # shorten the dependency chain
    mantissa = ((1.0 + r) + r2 * (0.50000000000000183855 + r * 0.16666666666666680806) + r4
                * ((0.041666666666488095495 + r * 0.0083333333333196006109) + r2
                   * (0.0013888888952314774652 + r * 0.00019841269890047113707) + r4
                   * ((2.4801485482328492419e-05 + r * 2.7557240918578969823e-06) + r2
                      * (2.7632639639041029749e-07 + r * 2.5110037605963777712e-08))))
    power.word = (shifted.word + 1023) << 52  # 2^k
    return mantissa * power.value


cdef inline double log1p(double e) noexcept nogil:
    """log(1 + e) for 0 <= e <= 1 as 2 atanh(s), s = e / (2 + e) <= 1/3, with full relative accuracy
    down to e = 0.
    """
    cdef double s = e / (2.0 + e), q = s * s, q2 = q * q, q4 = q2 * q2
    # minimax polynomial of 2 atanh(s) / s in q = s^2, error 3e-18
    return s * ((2.0 + q * 0.66666666666666149594) + q2 * (0.40000000000185747468 + q
                                                           * 0.28571428545454114534) + q4
                * ((0.22222224080747673173 + q * 0.1818174083250480451) + q2
                   * (0.15386614042304007762 + q * 0.13300374032674624337) + q4
                   * ((0.12110168728069217655 + q * 0.083245065118608205757) + q2
                      * 0.17044163562781398129)))
