"""Rows of X, dense or CSR, and the operations of a linear model on them: dot products and scaled
additions.
"""
from cython cimport floating
from libc.stdint cimport int32_t, int64_t

cdef extern from "lanes.h" nogil:  # generic in the pointers' type, float or double
    double lanes_dot(...)       # (x, w, n): x w
    # (x, w, stride, n, z, K, prefetched, outputs): z (4, K) += x w for 4 rows and 1 or 2 outputs
    void lanes_dot4(...)
    void lanes_add4(...)        # (s, K, x, w, stride, n, prefetched, outputs): w += x' s, s (4, K)
    void PREFETCH(const void *)
    void PREFETCH_L2(const void *)
    ctypedef struct PairMargins:
        double first, second, product
    # (behind, ahead, prefetched, w, average, n, factor, first, second, threshold, below, paired)
    PairMargins lanes_advance(...)
    ctypedef struct Products:
        double product, first, second
    Products lanes_products(...)    # (x, w, v, n, paired): x d, |x|^2, |d|^2, d = w or w - v

ctypedef fused index:
    int32_t
    int64_t

cdef struct Table:              # X; its dtype is that of the parameters in each call
    const char *values          # dense: (n, p); CSR: the stored entries
    const char *indices         # NULL: dense
    const char *indptr
    Py_ssize_t itemsize
    Py_ssize_t index_size       # 4 or 8 bytes
    Py_ssize_t n, p

cdef struct Row:
    const void *values
    const void *indices         # NULL: dense
    bint has_int64              # indices are int64, not int32
    Py_ssize_t size             # stored entries


cdef class Rows:
    cdef Table table
    cdef readonly object values, shape, dtype, stored, sparse, bytes
    cdef readonly object owners  # the other arrays behind the pointers: (indices, indptr)


cdef int check_order(const Py_ssize_t[::1] order, Py_ssize_t n) except -1


cdef inline const double *start_of(const double[::1] values) noexcept:
    """The address of the first number; NULL if there is none."""
    return &values[0] if values is not None and values.shape[0] else NULL


cdef inline double row_work(const Table *X) noexcept nogil:
    """The mean number of stored entries of a row."""
    if X.indices == NULL:
        return X.p
    return <double> ((<const int64_t *> X.indptr)[X.n] if X.index_size == 8
                     else (<const int32_t *> X.indptr)[X.n]) / max(X.n, 1)


cdef inline Row row_at(const Table *X, Py_ssize_t i) noexcept nogil:
    cdef Row row
    cdef Py_ssize_t begin
    row.has_int64 = X.index_size == 8
    if X.indices == NULL:
        begin, row.size, row.indices = i * X.p, X.p, NULL
    else:
        if row.has_int64:
            begin, row.size = (<const int64_t *> X.indptr)[i], (<const int64_t *> X.indptr)[i + 1]
        else:
            begin, row.size = (<const int32_t *> X.indptr)[i], (<const int32_t *> X.indptr)[i + 1]
        row.size -= begin
        row.indices = X.indices + begin * X.index_size
    row.values = X.values + begin * X.itemsize
    return row


cdef inline Py_ssize_t column(const Row *row, Py_ssize_t t) noexcept nogil:
    """The column of the t-th stored entry of a sparse row."""
    if row.has_int64:
        return (<const int64_t *> row.indices)[t]
    return (<const int32_t *> row.indices)[t]


cdef inline void dense_add(floating scale, const floating *restrict x, floating *restrict w,
                           Py_ssize_t n) noexcept nogil:
    """w += scale x"""
    cdef Py_ssize_t j
    for j in range(n):
        w[j] += scale * x[j]


cdef inline floating gather(const floating *restrict x, const index *restrict columns,
                            const floating *restrict w, Py_ssize_t size) noexcept nogil:
    """x w of a sparse row, in four sums: a single one would wait for every addition."""
    cdef floating s0 = 0, s1 = 0, s2 = 0, s3 = 0
    cdef Py_ssize_t t = 0
    while t + 4 <= size:
        s0 += x[t] * w[columns[t]]
        s1 += x[t + 1] * w[columns[t + 1]]
        s2 += x[t + 2] * w[columns[t + 2]]
        s3 += x[t + 3] * w[columns[t + 3]]
        t += 4
    while t < size:
        s0 += x[t] * w[columns[t]]
        t += 1
    return (s0 + s1) + (s2 + s3)


cdef inline void scatter(floating scale, const floating *restrict x, const index *restrict columns,
                         floating *w, Py_ssize_t size) noexcept nogil:
    """w += scale x of a sparse row; columns may repeat."""
    cdef Py_ssize_t t
    for t in range(size):
        w[columns[t]] += scale * x[t]


cdef inline void margins(const Row *row, const floating *W, Py_ssize_t p, Py_ssize_t outputs,
                         double *z) noexcept nogil:
    """z <- W x. W is (outputs, p) for a dense row and (p, outputs) for a sparse one, whose entries
    then access adjacent weights.
    """
    cdef const floating *x = <const floating *> row.values
    cdef Py_ssize_t k, t, j
    if row.indices == NULL:
        for k in range(outputs):
            z[k] = lanes_dot(x, W + k * p, p)
    elif outputs == 1:
        if row.has_int64:
            z[0] = gather(x, <const int64_t *> row.indices, W, row.size)
        else:
            z[0] = gather(x, <const int32_t *> row.indices, W, row.size)
    else:
        for k in range(outputs):
            z[k] = 0
        for t in range(row.size):
            j = column(row, t) * outputs
            for k in range(outputs):
                z[k] += x[t] * W[j + k]


cdef inline void accumulate(const Row *row, double scale, const double *slope, floating *W,
                            Py_ssize_t p, Py_ssize_t outputs) noexcept nogil:
    """W += scale * slope x'. With scale = 1 / size and a buffer for W this is the gradient, with
    -rate / size a step in place.
    """
    cdef const floating *x = <const floating *> row.values
    cdef Py_ssize_t k, t, j
    if row.indices == NULL:
        for k in range(outputs):
            if slope[k] != 0:
                dense_add(<floating> (scale * slope[k]), x, W + k * p, p)
    elif outputs == 1:
        if slope[0] == 0:
            return
        if row.has_int64:
            scatter(<floating> (scale * slope[0]), x, <const int64_t *> row.indices, W, row.size)
        else:
            scatter(<floating> (scale * slope[0]), x, <const int32_t *> row.indices, W, row.size)
    else:
        for t in range(row.size):
            j = column(row, t) * outputs
            for k in range(outputs):
                W[j + k] += <floating> (scale * slope[k]) * x[t]


cdef inline void summed_scatter(double scale, const double *slope, const floating *restrict x,
                                const index *restrict columns, Py_ssize_t size,
                                floating *restrict W, Py_ssize_t outputs, double *restrict sums,
                                double mass) noexcept nogil:
    cdef floating new
    cdef Py_ssize_t k, t, at
    for t in range(size):
        for k in range(outputs):
            at = columns[t] * outputs + k
            new = W[at] + <floating> (scale * slope[k]) * x[t]
            sums[at] -= mass * (<double> new - W[at])
            W[at] = new


cdef inline void summed_accumulate(const Row *row, double scale, const double *slope, floating *W,
                                   Py_ssize_t outputs, double *sums, double mass) noexcept nogil:
    """W += scale * slope x' for a sparse row, and sums -= mass * change of W: see docs/lazy.md."""
    cdef const floating *x = <const floating *> row.values
    cdef const int32_t *columns = <const int32_t *> row.indices
    if outputs == 1 and slope[0] == 0:
        return
    if row.has_int64:
        summed_scatter(scale, slope, x, <const int64_t *> row.indices, row.size, W, outputs, sums,
                       mass)
    elif outputs == 1:  # a constant number of outputs makes a faster loop
        summed_scatter(scale, slope, x, columns, row.size, W, 1, sums, mass)
    else:
        summed_scatter(scale, slope, x, columns, row.size, W, outputs, sums, mass)


cdef inline double squared_norm(const Row *row, const floating *tag) noexcept nogil:
    """|x|^2; `tag` selects the dtype. Columns must not repeat in a sparse row."""
    cdef const floating *x = <const floating *> row.values
    return lanes_dot(x, x, row.size)
