"""Weighted sums over the columns of X: what their means and spreads are made of."""
from cython cimport floating

from .rows cimport Row, Rows, column, row_at, row_work, start_of
from .signals cimport Watch, watch_end, watch_start, watch_work


cdef inline void dense_moments(double weight, const floating *restrict x,
                               const double *restrict factor, const double *restrict shift,
                               double *restrict first, double *restrict second,
                               double *restrict largest, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d, square
    for j in range(n):
        d = x[j] * factor[j] - shift[j]
        square = weight * d * d
        first[j] += weight * d
        second[j] += square
        largest[j] = square if square > largest[j] else largest[j]


cdef inline void sparse_moments(double weight, const Row *row, const double *factor, double *first,
                                double *second, double *largest,
                                const floating *tag) noexcept nogil:
    cdef const floating *x = <const floating *> row.values
    cdef Py_ssize_t t, j
    cdef double d, square
    for t in range(row.size):
        j = column(row, t)
        d = x[t] * factor[j]
        square = weight * d * d
        first[j] += weight * d
        second[j] += square
        largest[j] = square if square > largest[j] else largest[j]


def moments(Rows rows not None, const double[::1] weights, const Py_ssize_t[::1] order not None,
            const double[::1] factor not None, const double[::1] shift not None,
            double[::1] first not None, double[::1] second not None, double[::1] largest not None,
            const floating[::1] tag not None):
    """first += sum_i s_i d_i and second += sum_i s_i d_i^2 with d_i = factor x_i - shift (CSR:
    factor x_i), in the order given.

    `largest` becomes the largest s_i d_i^2, if it was less.
    No column may repeat within a sparse row; `tag` tells the dtype.
    """
    cdef const double *s = start_of(weights)
    cdef Py_ssize_t v, i, p = rows.table.p
    cdef double weight, work = row_work(&rows.table) + 1
    cdef Row row
    cdef Watch watch
    rows.check(sizeof(floating), p + 1, 1, rows.table.n, weights, order)
    if not (factor.shape[0] == shift.shape[0] == p
            and first.shape[0] == second.shape[0] == largest.shape[0] == p):
        raise ValueError("factor, shift, first, second and largest must have an entry for each "
                         f"of the {p} columns")
    if p == 0:
        return
    watch_start(&watch)
    with nogil:
        for v in range(order.shape[0]):
            if watch_work(&watch, <long long> work):
                break
            i = order[v]
            row = row_at(&rows.table, i)
            weight = s[i] if s != NULL else 1.0
            if row.indices == NULL:
                dense_moments(weight, <const floating *> row.values, &factor[0], &shift[0],
                              &first[0], &second[0], &largest[0], p)
            else:
                sparse_moments(weight, &row, &factor[0], &first[0], &second[0], &largest[0],
                               &tag[0])
    watch_end(&watch)
