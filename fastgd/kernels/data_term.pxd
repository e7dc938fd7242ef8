"""The data term of an objective, sum_i s_i L(x_i W + b, y_i) over some rows of X, as all kernels
take it.
"""
from .losses cimport Objective
from .rows cimport PREFETCH, PREFETCH_L2, Row, Rows, Table, row_at

cdef enum:
    AHEAD = 4                   # visits by which a row is asked for before it is needed
    EARLY = 12                  # and what it takes to ask for it

cdef struct Data:
    const Table *X
    const double *y             # (n, targets)
    const double *weights       # NULL: all 1
    const Py_ssize_t *order     # the rows to visit
    Py_ssize_t visits           # their number
    Py_ssize_t targets          # numbers of y a row
    Objective objective
    int threads                 # at most; no result depends on them

cdef class DataTerm:
    cdef Data data
    cdef readonly Rows rows
    cdef const double[::1] y, weights
    cdef const Py_ssize_t[::1] order
    cdef int check(self, Py_ssize_t itemsize, Py_ssize_t parameters) except -1


cdef inline double weight_at(const Data *data, Py_ssize_t i) noexcept nogil:
    """The weight of row i."""
    return data.weights[i] if data.weights != NULL else 1.0


cdef inline void look_ahead(const Data *data, const Py_ssize_t *order, Py_ssize_t v,
                            Py_ssize_t visits) noexcept nogil:
    """At visit v: ask for the row of a visit to come and, earlier still, for its targets and where
    it begins if it is sparse.
    """
    cdef const Table *X = data.X
    cdef Py_ssize_t at
    cdef Row row
    if v + EARLY < visits:
        at = order[v + EARLY]
        PREFETCH(data.y + at * data.targets)
        if X.indices != NULL:
            PREFETCH(X.indptr + at * X.index_size)
    if v + AHEAD < visits:
        row = row_at(X, order[v + AHEAD])
        for at in range(0, row.size * X.itemsize, 64):
            PREFETCH_L2(<const char *> row.values + at)
        for at in range(0, row.size * X.index_size if X.indices != NULL else 0, 64):
            PREFETCH_L2(<const char *> row.indices + at)
