"""X' diag(h) Y of standardised columns: Hessians of linear models, or parts of them. A few dense
columns go tile by tile through the cache, others to BLAS, some hundred rows at a time.

The rows are distributed over a number of sums that depends on sizes alone, and the sums are added
in order, so the bits are the same for any number of threads.
"""
from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.math cimport sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from scipy.linalg.cython_blas cimport dgemm, dsyrk

from .data_term cimport Data, DataTerm
from .metric cimport center_and_scale
from .panels cimport (FEWEST_PARTS, MAX_NARROW, NARROW_ROWS, PANEL, gram_tile, in_panels,
                      load_panels, partial_sums, whole_panels)
from .rows cimport Row, column, row_at, start_of
from .signals cimport Watch, watch_end, watch_is_over, watch_start, watch_work
from .threads cimport region_threads

cdef enum:
    BLOCK_ROWS = 64             # consecutive rows of one partial sum
    CHUNK_ROWS = 256            # rows passed to BLAS at a time
    PARALLEL_PRODUCTS = 4000000     # multiplications worth several threads

cdef struct GramProduct:
    Data data
    const double *h             # (visits,)
    const Py_ssize_t *columns   # (size,): column p is that of the intercept; NULL: all, in order
    const Py_ssize_t *place     # (p + 1,): the place of a column in `columns`, or -1; if sparse
    const double *center        # (p,)
    const double *inverse       # (p,)
    Py_ssize_t size             # columns of X
    Py_ssize_t last             # columns of Y, the last of X; 0: Y is X, and the result symmetric
    Py_ssize_t parts            # partial sums
    double ones                 # the entries of the intercept's column
    Watch watch


cdef inline void standardise(const GramProduct *at, const Row *row, const floating *restrict x,
                             double root, double *a) noexcept nogil:
    """a <- root times the columns of a row with values x, standardised."""
    cdef Py_ssize_t p = at.data.X.p, t, j
    if row.indices != NULL:
        memset(a, 0, at.size * sizeof(double))
        for t in range(row.size):
            j = at.place[column(row, t)]
            if j >= 0:
                a[j] += root * (x[t] * at.inverse[column(row, t)])
        j = at.place[p]
        if j >= 0:
            a[j] = root * at.ones
    elif at.columns == NULL:
        center_and_scale(x, at.center, at.inverse, a, p)
        for j in range(p):
            a[j] *= root
        a[p] = root * at.ones
    else:
        for t in range(at.size):
            j = at.columns[t]
            a[t] = root * ((x[j] - at.center[j]) * at.inverse[j] if j < p else at.ones)


cdef inline void standardise_row(const GramProduct *at, Py_ssize_t i, double root,
                                 double *a) noexcept nogil:
    cdef Row row = row_at(at.data.X, i)
    if at.data.X.itemsize == sizeof(float):
        standardise(at, &row, <const float *> row.values, root, a)
    else:
        standardise(at, &row, <const double *> row.values, root, a)


cdef void partial_sum(GramProduct *at, Py_ssize_t number, double *buffer, double *sums,
                      bint leads) noexcept nogil:
    """sums (size, width), column-major <- one partial sum. `buffer` holds CHUNK_ROWS rows; the
    leading thread listens for Ctrl-C.
    """
    cdef int size = <int> at.size, last = <int> at.last, width = last if last else size
    cdef int filled = 0
    cdef double scale = 1.0 / at.data.visits, one = 1.0
    cdef Py_ssize_t begin, end, v
    cdef bint over
    memset(sums, 0, at.size * width * sizeof(double))
    begin = number * BLOCK_ROWS
    while begin < at.data.visits and not watch_is_over(&at.watch):
        end = min(begin + BLOCK_ROWS, at.data.visits)
        for v in range(begin, end):
            if at.h[v] != 0:
                standardise_row(at, at.data.order[v], sqrt(at.h[v]), buffer + filled * at.size)
                filled += 1
        begin += at.parts * BLOCK_ROWS
        over = begin >= at.data.visits
        if filled > CHUNK_ROWS - BLOCK_ROWS or (over and filled):
            if last:
                dgemm("N", "T", &size, &last, &filled, &scale, buffer, &size, buffer + size - last,
                      &size, &one, sums, &size)
            else:
                dsyrk("L", "N", &size, &filled, &scale, buffer, &size, &one, sums, &size)
            if leads:
                watch_work(&at.watch, <long long> filled * size * width)
            filled = 0


cdef void narrow_sum(GramProduct *at, Py_ssize_t number, double *tile, double *sums,
                     bint leads) noexcept nogil:
    """sums (q, q), of which the lower triangle counts <- one partial sum of all columns, dense.
    `tile` holds NARROW_ROWS rows in panels; the leading thread listens for Ctrl-C.
    """
    cdef Py_ssize_t p = at.data.X.p, q = whole_panels(p + 1), begin = number * NARROW_ROWS, i, v
    cdef Py_ssize_t rows
    cdef double root
    memset(sums, 0, q * q * sizeof(double))
    memset(tile, 0, NARROW_ROWS * q * sizeof(double))
    while begin < at.data.visits and not watch_is_over(&at.watch):
        rows = 0
        for v in range(begin, min(begin + NARROW_ROWS, at.data.visits)):
            if at.h[v] != 0:
                i, root = at.data.order[v], sqrt(at.h[v])
                if at.data.X.itemsize == sizeof(float):
                    load_panels(<const float *> at.data.X.values + i * p, p, at.center, at.inverse,
                                root, NARROW_ROWS, tile + rows * PANEL)
                else:
                    load_panels(<const double *> at.data.X.values + i * p, p, at.center,
                                at.inverse, root, NARROW_ROWS, tile + rows * PANEL)
                in_panels(tile + rows * PANEL, NARROW_ROWS, p)[0] = root * at.ones
                rows += 1
        gram_tile(tile, NARROW_ROWS, rows, q, sums)
        begin += at.parts * NARROW_ROWS
        if leads:
            watch_work(&at.watch, <long long> rows * q * q)


cdef void narrow_products(GramProduct *at, int threads, double *room, double *out) noexcept nogil:
    """out (p + 1, p + 1), column-major, the lower triangle <- the products of a few dense columns.
    """
    cdef Py_ssize_t p = at.data.X.p, q = whole_panels(p + 1), stride = (q + NARROW_ROWS) * q
    cdef Py_ssize_t i, j, k
    cdef double total
    for i in prange(at.parts, schedule="static", num_threads=threads, use_threads_if=threads > 1):
        narrow_sum(at, i, room + i * stride, room + i * stride + NARROW_ROWS * q, threadid() == 0)
    for i in range(p + 1):
        for j in range(i + 1):
            total = 0
            for k in range(at.parts):
                total += room[k * stride + (NARROW_ROWS + i) * q + j]
            out[j * (p + 1) + i] = total / at.data.visits


cdef void wide_products(GramProduct *at, int threads, double *room, double *out) noexcept nogil:
    """out (size, width), column-major <- the products by BLAS."""
    cdef Py_ssize_t numbers = at.size * (at.last or at.size), i, j
    cdef double *tiles = room + (at.parts - 1) * numbers
    for i in prange(at.parts, schedule="static", num_threads=threads, use_threads_if=threads > 1):
        partial_sum(at, i, tiles + i * CHUNK_ROWS * at.size, out if i == 0
                    else room + (i - 1) * numbers, threadid() == 0)
    for i in range(at.parts - 1):
        for j in range(numbers):
            out[j] += room[i * numbers + j]


def products(DataTerm term not None, const double[::1] h not None, const Py_ssize_t[::1] columns,
             const Py_ssize_t[::1] place, Py_ssize_t last, metric, bint intercept,
             double[::1, :] out not None):
    """out <- X' diag(h) Y / n over the rows. X holds the `columns` of (x - center) * inverse, and Y
    the `last` ones of them.

    `metric` is (center, inverse). Column p is that of the intercept: ones with `intercept`, else
    zeros. `columns` None means all p + 1. Sparse rows, whose center is 0, need `place`, the place
    of each of the p + 1 columns in `columns`, or -1. With `last` 0 Y is X, and the lower triangle
    of `out` is filled. BLAS must be limited to one thread.
    """
    cdef const double[::1] center = metric[0], inverse = metric[1]
    cdef Py_ssize_t n = term.data.visits, p = term.data.X.p, size = out.shape[0]
    cdef Py_ssize_t width = out.shape[1], i, q, numbers
    cdef int threads = term.data.threads
    cdef bint is_narrow
    cdef double *buffer
    cdef GramProduct at
    if h.shape[0] != n or size != (p + 1 if columns is None
                                   else columns.shape[0]) or width != (last or size):
        raise ValueError("h, columns or out do not fit the rows")
    if not 0 <= last <= size or center.shape[0] != p or inverse.shape[0] != p:
        raise ValueError(f"there are {p} columns, of which {size} are asked for, and the last "
                         f"{last}")
    if term.data.X.indices != NULL and (place is None or place.shape[0] != p + 1):
        raise ValueError("sparse rows need the place of each column")
    for i in range(size if columns is not None else 0):
        if not 0 <= columns[i] <= p:
            raise IndexError(f"column {columns[i]} is not one of {p} and the intercept's")
    for i in range(p + 1 if place is not None else 0):
        if not -1 <= place[i] < size:
            raise IndexError(f"place {place[i]} is not one of {size}")
    if size == 0 or width == 0:
        return
    at.data, at.size, at.last, at.ones = term.data, size, last, intercept
    at.h, at.center, at.inverse = start_of(h), start_of(center), start_of(inverse)
    at.columns = at.place = NULL
    if columns is not None:
        at.columns = &columns[0]
    if place is not None:
        at.place = &place[0]
    is_narrow = columns is None and not last and at.data.X.indices == NULL and size <= MAX_NARROW
    at.parts = partial_sums(n, size) if is_narrow else FEWEST_PARTS
    at.parts = max(min(at.parts, (n + BLOCK_ROWS - 1) // BLOCK_ROWS), 1)
    if <double> n * size * width < PARALLEL_PRODUCTS:
        threads = 1
    threads = region_threads(min(threads, <int> at.parts))
    q = whole_panels(size)
    numbers = (at.parts * (NARROW_ROWS + q) * q if is_narrow
               else (at.parts - 1) * size * width + at.parts * CHUNK_ROWS * size)
    buffer = <double *> malloc(numbers * sizeof(double))
    if buffer == NULL:
        raise MemoryError()
    watch_start(&at.watch)
    with nogil:
        if is_narrow:
            narrow_products(&at, threads, buffer, &out[0, 0])
        else:
            wide_products(&at, threads, buffer, &out[0, 0])
    free(buffer)
    watch_end(&at.watch)
