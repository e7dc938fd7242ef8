"""`Rows`, the view of X that all kernels take: dense or CSR, float32 or float64, without a copy."""
import numpy as np

from libc.stdint cimport uint8_t

from .signals cimport Watch, watch_end, watch_start, watch_work


def _address(array):
    """The address of a contiguous array's first entry (0 when it is empty)."""
    return array.ctypes.data if array.size else 0


cdef class Rows:
    """A view of X for the kernels.

    Parameters
    ----------
    values : ndarray
        float32 or float64. Dense: (n, p) in C-order. CSR: (nnz,), with `indices`, `indptr` and
        `shape`.
    indices, indptr : ndarray of int32 or int64, both of one type
        CSR column numbers and row bounds. They are not checked.
    shape : (n, p)
    """

    def __init__(self, values, indices=None, indptr=None, shape=None):
        if values.dtype not in (np.float32, np.float64) or not values.flags.c_contiguous:
            raise TypeError(f"values must be C-contiguous float32 or float64, got {values.dtype} "
                            f"with strides {values.strides}")
        if indptr is None and (values.ndim != 2 or shape is not None):
            raise TypeError("dense rows have two dimensions and no other shape than that of their "
                            "values")
        self.shape = tuple(values.shape if shape is None else shape)
        self.values, self.dtype = values, values.dtype
        self.sparse = indptr is not None
        self.stored = values.size if indptr is None else int(indptr[len(indptr) - 1])
        self.bytes = self.stored * (values.itemsize + (indices.itemsize if self.sparse else 0))
        self.owners = (indices, indptr)
        self.table.n, self.table.p = self.shape
        self.table.itemsize = values.itemsize
        self.table.values = <const char *> <size_t> _address(values)
        self.table.indices = self.table.indptr = NULL
        self.table.index_size = 0
        if indptr is not None:
            if indices.dtype != indptr.dtype or indptr.dtype not in (np.int32, np.int64):
                raise TypeError("indices and indptr must both be int32 or int64, got "
                                f"{indices.dtype} and {indptr.dtype}")
            if not (indices.flags.c_contiguous
                    and indptr.flags.c_contiguous) or len(indptr) != self.table.n + 1:
                raise TypeError("indices and indptr must be contiguous, and indptr as long as "
                                f"{self.table.n} + 1")
            self.table.index_size = indptr.itemsize
            # indices must not be NULL, which means dense; an empty array is never read
            self.table.indices = <const char *> <size_t> (_address(indices) or _address(indptr))
            self.table.indptr = <const char *> <size_t> _address(indptr)


cdef int check_order(const Py_ssize_t[::1] order, Py_ssize_t n) except -1:
    """Raise an IndexError unless all entries are numbers of rows."""
    cdef Py_ssize_t v
    for v in range(order.shape[0]):
        if not 0 <= order[v] < n:
            raise IndexError(f"order[{v}] = {order[v]} is not one of the {n} rows")
    return 0


def squared_norms(Rows rows not None, const Py_ssize_t[::1] order not None):
    """|x_i|^2 of the rows in `order`, float64. No column may repeat within a row."""
    norms = np.empty(order.shape[0])
    cdef double[::1] out = norms
    cdef Py_ssize_t v
    cdef Row row
    check_order(order, rows.table.n)
    with nogil:
        for v in range(order.shape[0]):
            row = row_at(&rows.table, order[v])
            if rows.table.itemsize == sizeof(float):
                out[v] = squared_norm(&row, <const float *> NULL)
            else:
                out[v] = squared_norm(&row, <const double *> NULL)
    return norms


cdef inline bint is_sorted(const Row *row) noexcept nogil:
    """Whether the columns of a sparse row are strictly increasing."""
    cdef Py_ssize_t t
    for t in range(1, row.size):
        if column(row, t) <= column(row, t - 1):
            return False
    return True


def has_repeats(Rows rows not None):
    """Whether a sparse row stores a column twice. Only unsorted rows need an array of columns."""
    cdef Py_ssize_t[::1] last = None
    cdef Py_ssize_t i, t, j
    cdef Row row
    cdef Watch watch
    if rows.table.indices == NULL:
        return False
    watch_start(&watch)
    with nogil:
        for i in range(rows.table.n):
            row = row_at(&rows.table, i)
            if watch_work(&watch, row.size):
                break
            if is_sorted(&row):
                continue
            if last is None:
                with gil:
                    last = np.full(rows.table.p, -1)
            for t in range(row.size):
                j = column(&row, t)
                if last[j] == i:
                    with gil:
                        return True
                last[j] = i
    watch_end(&watch)
    return False


def rank_columns(const index[::1] columns not None, Py_ssize_t p, Py_ssize_t most):
    """(the distinct numbers among `columns` in ascending order, the rank among them of each one).

    (None, None) if there are more than `most` of them. The numbers must be 0 to p - 1.
    """
    cdef uint8_t[::1] is_stored = np.zeros(p, np.uint8)
    # One more than there can be: a number that is no column's is overwritten, or left at the end.
    table = np.empty(min(p, columns.shape[0]) + 1, np.asarray(columns).dtype)
    cdef index[::1] numbers = table
    cdef index[::1] rank = np.empty(p, table.dtype)
    ranks = np.empty(columns.shape[0], table.dtype)
    cdef index[::1] out = ranks
    cdef Py_ssize_t t, j, count = 0
    for t in range(columns.shape[0]):
        if not 0 <= columns[t] < p:
            raise IndexError(f"columns[{t}] = {columns[t]} is not one of the {p} columns")
        is_stored[columns[t]] = 1
    with nogil:
        for j in range(p):  # without a branch, which would be mispredicted often
            numbers[count] = j
            rank[j] = count
            count += is_stored[j]
    if count > most:
        return None, None
    with nogil:
        for t in range(columns.shape[0]):
            out[t] = rank[columns[t]]
    return table[:count].astype(np.intp), ranks
