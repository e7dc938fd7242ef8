"""The data term of an objective, sum_i s_i L(x_i W + b, y_i) over some rows of X: the argument of
all kernels.
"""
from .losses cimport Objective
from .rows cimport PREFETCH, PREFETCH_L2, Row, Rows, Table, row_at

cdef enum:
    # The number of visits by which a row is prefetched before it is needed, and by which its target
    # and its bounds are, which must arrive before the row can be prefetched.
    ROW_DISTANCE = 4
    BOUNDS_DISTANCE = 12

cdef struct Data:
    const Table *X
    const double *y             # (n, targets)
    const double *weights       # NULL: all 1
    const Py_ssize_t *order     # (visits,): the numbers of the rows to visit
    Py_ssize_t visits
    Py_ssize_t targets          # numbers of y for each row
    Objective objective
    int threads                 # the largest number; it changes no result

cdef struct EpochSums:          # what an epoch of descent returns
    double loss                 # the sum of weight * loss over the visits, at the weights met
    double penalty              # the sum of the penalty over the visits
    double gradient_norm        # the sum of the gradients' norms over the updates
    Py_ssize_t updates

cdef class DataTerm:
    cdef Data data
    cdef readonly Rows rows
    cdef const double[::1] y, weights
    cdef const Py_ssize_t[::1] order
    cdef int check(self, Py_ssize_t itemsize, Py_ssize_t parameters) except -1


cdef inline double weight_at(const Data *data, Py_ssize_t i) noexcept nogil:
    """The weight of row i."""
    return data.weights[i] if data.weights != NULL else 1.0


cdef inline void prefetch_row(const Data *data, const Py_ssize_t *order, Py_ssize_t v,
                              Py_ssize_t visits) noexcept nogil:
    """At visit v, prefetch the row of visit v + ROW_DISTANCE, and the target and the bounds of the
    row of visit v + BOUNDS_DISTANCE.
    """
    cdef const Table *X = data.X
    cdef Py_ssize_t at
    cdef Row row
    if v + BOUNDS_DISTANCE < visits:
        at = order[v + BOUNDS_DISTANCE]
        PREFETCH(data.y + at * data.targets)
        if X.indices != NULL:
            PREFETCH(X.indptr + at * X.index_size)
    if v + ROW_DISTANCE < visits:
        row = row_at(X, order[v + ROW_DISTANCE])
        for at in range(0, row.size * X.itemsize, 64):
            PREFETCH_L2(<const char *> row.values + at)
        for at in range(0, row.size * X.index_size if X.indices != NULL else 0, 64):
            PREFETCH_L2(<const char *> row.indices + at)
