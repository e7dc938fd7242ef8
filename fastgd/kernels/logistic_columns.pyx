"""The logistic losses of several models side by side, and their derivatives, weighted.

A model is a column of margins z; `weights[i, group[j]]` weights row i in column j, and labels y are
+1 or -1. Sums over rows are added in the rows' order.
"""
import numpy as np

from libc.math cimport fabs

from .elementary cimport exp
from .losses cimport Point, log_loss_curvature, log_loss_of


cdef inline void evaluate(double y, const double *restrict z, double *restrict loss,
                          double *restrict slope, double *restrict curvature,
                          Py_ssize_t k) noexcept nogil:
    """The losses of one row, and their first and second derivatives by z, from one exp each."""
    cdef Py_ssize_t j
    cdef double m, e
    cdef Point at
    for j in range(k):
        m = y * z[j]
        e = exp(-fabs(m))
        at = log_loss_of(m, y, e)
        loss[j] = at.value
        slope[j] = at.slope
        curvature[j] = log_loss_curvature(e)


def derivatives(const double[::1] y not None, const double[:, ::1] z not None,
                const double[:, ::1] weights not None, const Py_ssize_t[::1] group not None,
                double[:, ::1] curvature not None):
    """(sums of the losses (k,), slopes (rows, k)); the curvatures go to `curvature`."""
    cdef Py_ssize_t i, j, n = z.shape[0], k = z.shape[1]
    cdef double weight
    sums, slopes = np.zeros(k), np.empty((n, k))
    cdef double[::1] total = sums, loss = np.empty(k)
    cdef double[:, ::1] slope = slopes
    if (y.shape[0] != n or weights.shape[0] != n or group.shape[0] != k
            or curvature.shape[0] != n or curvature.shape[1] != k):
        raise ValueError("y, weights, group and curvature do not fit z")
    if n == 0 or k == 0:
        return sums, slopes
    with nogil:
        for i in range(n):
            evaluate(y[i], &z[i, 0], &loss[0], &slope[i, 0], &curvature[i, 0], k)
            for j in range(k):
                weight = weights[i, group[j]]
                total[j] += weight * loss[j]
                slope[i, j] *= weight
                curvature[i, j] *= weight
    return sums, slopes


def line(const double[::1] y not None, const double[:, ::1] z not None,
         const double[:, ::1] u not None, const double[::1] t not None,
         const double[:, ::1] weights not None, const Py_ssize_t[::1] group not None):
    """(sums of the losses (k,), their derivatives by t (k,)) at the margins z + t u."""
    cdef Py_ssize_t i, j, n = z.shape[0], k = z.shape[1]
    cdef double weight
    sums, slopes = np.zeros(k), np.zeros(k)
    cdef double[::1] total = sums, total_slope = slopes
    cdef double[:, ::1] room = np.empty((4, k))
    if (y.shape[0] != n or u.shape[0] != n or u.shape[1] != k or t.shape[0] != k
            or weights.shape[0] != n or group.shape[0] != k):
        raise ValueError("y, u, t, weights and group do not fit z")
    if n == 0 or k == 0:
        return sums, slopes
    with nogil:
        for i in range(n):
            for j in range(k):
                room[0, j] = z[i, j] + t[j] * u[i, j]
            evaluate(y[i], &room[0, 0], &room[1, 0], &room[2, 0], &room[3, 0], k)
            for j in range(k):
                weight = weights[i, group[j]]
                total[j] += weight * room[1, j]
                total_slope[j] += weight * room[2, j] * u[i, j]
    return sums, slopes
