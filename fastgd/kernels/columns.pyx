"""Weighted sums over the columns of X, for their means and standard deviations."""
from cython cimport floating

from .data_term cimport Data, DataTerm, weight_at
from .rows cimport Row, column, row_at, row_work
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


cdef inline void row_moments(double weight, const Row *row, const floating *x,
                             const double *factor, const double *shift, double *first,
                             double *second, double *largest) noexcept nogil:
    """Add a row with values x."""
    cdef Py_ssize_t t, j
    cdef double d, square
    if row.indices == NULL:
        dense_moments(weight, x, factor, shift, first, second, largest, row.size)
        return
    for t in range(row.size):
        j = column(row, t)
        d = x[t] * factor[j]
        square = weight * d * d
        first[j] += weight * d
        second[j] += square
        largest[j] = square if square > largest[j] else largest[j]


def moments(DataTerm term not None, const double[::1] factor not None,
            const double[::1] shift not None, double[::1] first not None,
            double[::1] second not None, double[::1] largest not None):
    """first += sum_i s_i d_i, second += sum_i s_i d_i^2 and largest <- max(largest, s_i d_i^2) over
    the rows of the term.

    d_i is factor x_i - shift, and factor x_i for sparse rows. No column may repeat within a sparse
    row.
    """
    cdef Data data = term.data
    cdef Py_ssize_t v, p = data.X.p
    cdef long long work = <long long> (row_work(data.X) + 1)
    cdef Row row
    cdef double weight
    cdef Watch watch
    if not (factor.shape[0] == shift.shape[0] == p
            and first.shape[0] == second.shape[0] == largest.shape[0] == p):
        raise ValueError("factor, shift, first, second and largest must have an entry for each "
                         f"of the {p} columns")
    if p == 0:
        return
    watch_start(&watch)
    with nogil:
        for v in range(data.visits):
            if watch_work(&watch, work):
                break
            row = row_at(data.X, data.order[v])
            weight = weight_at(&data, data.order[v])
            if data.X.itemsize == sizeof(float):
                row_moments(weight, &row, <const float *> row.values, &factor[0], &shift[0],
                            &first[0], &second[0], &largest[0])
            else:
                row_moments(weight, &row, <const double *> row.values, &factor[0], &shift[0],
                            &first[0], &second[0], &largest[0])
    watch_end(&watch)
