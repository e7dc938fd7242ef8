"""Products of the columns of X and y, and of the rows of X, of which direct solutions of least
squares are made: one pass over X.

Rows are dealt to parts by sizes alone and the parts' sums added in order: the bits are the same for
any number of threads. All sums are in float64.
"""
from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.math cimport sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from scipy.linalg.cython_blas cimport dsyrk

from .data_term cimport Data, DataTerm
from .panels cimport (MAX_NARROW, NARROW_ROWS, PANEL, gram_tile, in_panels, load_panels,
                      partial_sums, whole_panels)
from .rows cimport Row, Table, column, row_at
from .signals cimport Watch, watch_end, watch_is_over, watch_start, watch_work
from .threads cimport region_threads

cdef enum:
    WIDE_ROWS = 256             # of a tile for BLAS
    PART_WORK = 1000000         # products that are worth a part of their own
    THREAD_WORK = 8000000       # and threads, of which the first may have to wake up: a millisecond

cdef struct Run:
    Data data
    const double *shift         # (q,)
    Py_ssize_t q                # columns, ones and targets, a multiple of PANEL
    Py_ssize_t parts
    Py_ssize_t rows             # of a tile
    Watch watch


cdef inline void columns_of(const Run *run, const Row *row, const floating *restrict x,
                            double *restrict a) noexcept nogil:
    """a = the columns of a row, whose values are x."""
    cdef Py_ssize_t j, p = run.data.X.p
    if row.indices != NULL:
        memset(a, 0, p * sizeof(double))
        for j in range(row.size):
            a[column(row, j)] += x[j]
        return
    for j in range(p):
        a[j] = x[j] - run.shift[j]


cdef inline double root_weight(const Run *run, Py_ssize_t i) noexcept nogil:
    return sqrt(run.data.weights[i]) if run.data.weights != NULL else 1.0


cdef inline void load_row(const Run *run, Py_ssize_t i, double *a) noexcept nogil:
    """a (q,) = row i of X, 1 and its targets, times the root of its weight; zeros follow already.
    """
    cdef Row row = row_at(run.data.X, i)
    cdef Py_ssize_t k, p = run.data.X.p, targets = run.data.targets
    cdef double root
    if run.data.X.itemsize == sizeof(float):
        columns_of(run, &row, <const float *> row.values, a)
    else:
        columns_of(run, &row, <const double *> row.values, a)
    a[p] = 1
    for k in range(targets):
        a[p + 1 + k] = run.data.y[i * targets + k] - run.shift[p + 1 + k]
    if run.data.weights != NULL:
        root = root_weight(run, i)
        for k in range(p + 1 + targets):
            a[k] *= root


cdef inline void load_dense(const Run *run, Py_ssize_t i, const floating *x,
                            double *tile) noexcept nogil:
    """The same of a dense row with values x, in panels; `tile` is the place of the row in the first
    one.
    """
    cdef Py_ssize_t p = run.data.X.p, targets = run.data.targets, k
    cdef double root = root_weight(run, i)
    load_panels(x, p, run.shift, <const double *> NULL, root, run.rows, tile)
    in_panels(tile, run.rows, p)[0] = root
    for k in range(p + 1, p + 1 + targets):
        in_panels(tile, run.rows, k)[0] = root * (run.data.y[i * targets + k - p - 1]
                                                  - run.shift[k])


cdef void part(Run *run, Py_ssize_t number, double *room, double *sums, bint leads) noexcept nogil:
    """sums (q, q), lower triangle = the products over this part of the rows. `room` holds a tile
    and a row; the leading thread listens for Ctrl-C.
    """
    cdef Py_ssize_t begin = run.data.visits * number // run.parts, r, j, i
    cdef Py_ssize_t end = run.data.visits * (number + 1) // run.parts
    cdef int q = <int> run.q, rows
    cdef double one = 1.0
    cdef double *tile = room + run.q
    memset(sums, 0, run.q * run.q * sizeof(double))
    memset(room, 0, (run.rows + 1) * run.q * sizeof(double))
    while begin < end and not watch_is_over(&run.watch):
        rows = <int> min(run.rows, end - begin)
        for r in range(rows):
            if run.q > MAX_NARROW:
                load_row(run, run.data.order[begin + r], tile + r * run.q)
                continue
            i = run.data.order[begin + r]
            if run.data.X.indices == NULL:
                if run.data.X.itemsize == sizeof(float):
                    load_dense(run, i, <const float *> run.data.X.values + i * run.data.X.p,
                               tile + r * PANEL)
                else:
                    load_dense(run, i, <const double *> run.data.X.values + i * run.data.X.p,
                               tile + r * PANEL)
                continue
            load_row(run, i, room)
            for j in range(run.q // PANEL):
                memcpy(tile + (j * run.rows + r) * PANEL, room + j * PANEL, PANEL * sizeof(double))
        if run.q <= MAX_NARROW:
            gram_tile(tile, run.rows, rows, run.q, sums)
        else:  # by columns, the upper triangle
            dsyrk("U", "N", &q, &rows, &one, tile, &q, &one, sums, &q)
        begin += rows
        if leads:
            watch_work(&run.watch, <long long> rows * run.q * run.q)


def column_products(DataTerm term not None, const double[::1] shift not None,
                    double[:, ::1] out not None):
    """out <- sum_i s_i a_i a_i' over the rows, with a_i = (x_i, 1, y_i) - shift, (p + 1 + targets,)
    numbers and zeros up to a multiple of 8; the lower triangle.

    Sparse rows are not shifted. BLAS has to be kept to one thread.
    """
    cdef Py_ssize_t q = out.shape[0], p = term.data.X.p, used = p + 1 + term.data.targets, i, j
    cdef Py_ssize_t tiles
    cdef int threads = term.data.threads
    cdef double *room
    cdef double work
    cdef Run run
    if q != whole_panels(used) or out.shape[1] != q or shift.shape[0] != q:
        raise ValueError(f"out and shift must have room for {used} columns, and for a multiple of "
                         f"{PANEL}")
    run.data, run.shift, run.q = term.data, &shift[0], q
    run.rows = NARROW_ROWS if q <= MAX_NARROW else WIDE_ROWS
    work = <double> run.data.visits * q * q / 2
    run.parts = max(1, min(partial_sums(run.data.visits, q), <Py_ssize_t> (work / PART_WORK)))
    threads = region_threads(min(threads, <int> run.parts)) if work >= THREAD_WORK else 1
    tiles = run.parts * (run.rows + 1) * q
    room = <double *> malloc((tiles + (run.parts - 1) * q * q) * sizeof(double))
    if room == NULL:
        raise MemoryError()
    watch_start(&run.watch)
    with nogil:
        for i in prange(run.parts, schedule="dynamic", chunksize=1, num_threads=threads,
                        use_threads_if=threads > 1):
            part(&run, i, room + i * (run.rows + 1) * q,
                 &out[0, 0] if i == 0 else room + tiles + (i - 1) * q * q, threadid() == 0)
        for i in range(run.parts - 1):
            for j in range(q * q):
                (&out[0, 0])[j] += room[tiles + i * q * q + j]
    free(room)
    watch_end(&run.watch)


cdef inline void copy_columns(const Table *X, const floating *values, const Py_ssize_t *order,
                              const double *center, Py_ssize_t n, Py_ssize_t begin,
                              Py_ssize_t size, double *a) noexcept nogil:
    """a (n, size) = these columns of the rows in `order`, centred."""
    cdef Py_ssize_t i, j
    cdef const floating *x
    for i in range(n):
        x = values + order[i] * X.p + begin
        for j in range(size):
            a[i * size + j] = x[j] - center[begin + j]


cdef void row_part(const Table *X, const Py_ssize_t *order, const double *center, Py_ssize_t n,
                   Py_ssize_t begin, Py_ssize_t end, double *room, double *sums,
                   const Watch *watch) noexcept nogil:
    """sums (n, n), lower triangle = the products of the rows over columns `begin` to `end`."""
    cdef int rows = <int> n, size
    cdef double one = 1.0
    memset(sums, 0, n * n * sizeof(double))
    while begin < end and not watch_is_over(watch):
        size = <int> min(<Py_ssize_t> WIDE_ROWS, end - begin)
        if X.itemsize == sizeof(float):
            copy_columns(X, <const float *> X.values, order, center, n, begin, size, room)
        else:
            copy_columns(X, <const double *> X.values, order, center, n, begin, size, room)
        dsyrk("U", "T", &rows, &size, &one, room, &size, &one, sums, &rows)
        begin += size


def row_products(DataTerm term not None, const double[::1] center not None,
                 double[:, ::1] out not None):
    """out <- (x_i - center) (x_j - center)' of dense rows i and j, (n, n), the lower triangle. BLAS
    has to be kept to one thread.
    """
    cdef const Table *X = term.data.X
    cdef Py_ssize_t n = term.data.visits, p = X.p, parts, i, j
    cdef int threads
    cdef double work
    cdef double *room
    cdef Watch watch
    if X.indices != NULL or out.shape[0] != n or out.shape[1] != n or center.shape[0] != p:
        raise ValueError("dense rows, a center of each column and (n, n) products are needed")
    if n == 0:
        return
    work = <double> n * n * p / 2
    parts = max(1, min(<Py_ssize_t> (work / PART_WORK), <Py_ssize_t> 4))
    parts = min(parts, (p + WIDE_ROWS - 1) // WIDE_ROWS)
    threads = region_threads(min(term.data.threads, <int> parts)) if work >= THREAD_WORK else 1
    room = <double *> malloc((parts * n * WIDE_ROWS + (parts - 1) * n * n) * sizeof(double))
    if room == NULL:
        raise MemoryError()
    watch_start(&watch)
    with nogil:
        for i in prange(parts, schedule="dynamic", chunksize=1, num_threads=threads,
                        use_threads_if=threads > 1):
            row_part(X, term.data.order, &center[0], n, p * i // parts, p * (i + 1) // parts,
                     room + i * n * WIDE_ROWS, &out[0, 0] if i == 0
                     else room + parts * n * WIDE_ROWS + (i - 1) * n * n, &watch)
        for i in range(parts - 1):
            for j in range(n * n):
                (&out[0, 0])[j] += room[parts * n * WIDE_ROWS + i * n * n + j]
    free(room)
    watch_end(&watch)
