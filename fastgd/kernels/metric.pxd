"""Rows in the metric, x -> (x - center) * inverse, computed one at a time without a copy of X."""
from cython cimport floating

from .rows cimport Row, Table, column, row_at

cdef struct Metric:
    const double *center        # (p,); not read for CSR
    const double *inverse       # (p,): 1 / scale; 0: the column is ignored
    const double *l1            # (p,): the penalties in the metric, l1 * inverse
    const double *l2            # (p,): and l2 * inverse^2


cdef inline void center_and_scale(const floating *restrict x, const double *restrict center,
                                  const double *restrict inverse, double *restrict out,
                                  Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        out[j] = (x[j] - center[j]) * inverse[j]


cdef inline void standardise(const Row *row, const floating *x, const Metric *metric,
                             double *out) noexcept nogil:
    """out <- a row with values x, in the metric."""
    cdef Py_ssize_t t
    if row.indices == NULL:
        center_and_scale(x, metric.center, metric.inverse, out, row.size)
    else:
        for t in range(row.size):
            out[t] = x[t] * metric.inverse[column(row, t)]


cdef inline Row standardised(const Table *X, Py_ssize_t i, const Metric *metric,
                             double *out) noexcept nogil:
    """Row i in the metric, with its values in `out`."""
    cdef Row row = row_at(X, i)
    if X.itemsize == sizeof(float):
        standardise(&row, <const float *> row.values, metric, out)
    else:
        standardise(&row, <const double *> row.values, metric, out)
    row.values = out
    return row
