"""Moments and products of the columns of X and y, of which direct solutions of least squares are
made: one pass over X.

Rows are dealt to parts by sizes alone and the parts' sums added in order: the bits are the same for
any number of threads. All sums are in float64.
"""
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from scipy.linalg.cython_blas cimport dsyrk

from .data_term cimport Data, DataTerm, weight_at
from .rows cimport Row, Table, column, row_at
from .signals cimport Watch, watch_end, watch_is_over, watch_start, watch_work
from .threads cimport can_share

cdef extern from "gram_tile.h" nogil:
    void gram_tile(const double *panels, Py_ssize_t apart, Py_ssize_t rows, Py_ssize_t q,
                   double *G)

cdef enum:
    PANEL = 8                   # columns that lie together
    NARROW_ROWS = 64            # of a tile, for the kernel of gram_tile.h
    WIDE_ROWS = 256             # for BLAS
    MAX_NARROW = 256            # columns; with more, BLAS is the faster one
    MOST_PARTS = 16
    PART_WORK = 1000000         # products that are worth a part, and a thread, of their own

cdef struct Run:
    Data data
    const double *shift         # (q,)
    Py_ssize_t q                # columns, ones and targets, a multiple of PANEL
    Py_ssize_t parts
    Py_ssize_t rows             # of a tile
    Watch watch


cdef inline void put(double *panels, Py_ssize_t apart, Py_ssize_t r, Py_ssize_t j,
                     double value) noexcept nogil:
    panels[(j // PANEL * apart + r) * PANEL + j % PANEL] = value


cdef inline void narrow_row(const Run *run, const Row *row, const floating *restrict x, double root,
                            Py_ssize_t r, double *panels) noexcept nogil:
    """The columns of a row, whose values are x, times root, as row r of the panels."""
    cdef Py_ssize_t j, k, p = run.data.X.p, whole = p // PANEL * PANEL
    cdef double *to
    if row.indices != NULL:
        for j in range((p + PANEL - 1) // PANEL):
            memset(panels + (j * run.rows + r) * PANEL, 0, PANEL * sizeof(double))
        for j in range(row.size):
            k = column(row, j)
            panels[(k // PANEL * run.rows + r) * PANEL + k % PANEL] += root * x[j]
        return
    for j in range(whole // PANEL):
        to = panels + (j * run.rows + r) * PANEL
        for k in range(PANEL):
            to[k] = root * (x[j * PANEL + k] - run.shift[j * PANEL + k])
    for j in range(whole, p):
        put(panels, run.rows, r, j, root * (x[j] - run.shift[j]))


cdef inline void wide_row(const Run *run, const Row *row, const floating *restrict x, double root,
                          double *a) noexcept nogil:
    """The same as a row of a C-order tile."""
    cdef Py_ssize_t j, p = run.data.X.p
    if row.indices != NULL:
        memset(a, 0, p * sizeof(double))
        for j in range(row.size):
            a[column(row, j)] += root * x[j]
        return
    for j in range(p):
        a[j] = root * (x[j] - run.shift[j])


cdef void add_row(const Run *run, Py_ssize_t i, Py_ssize_t r, double *tile) noexcept nogil:
    """Row i of X, 1 and its targets, times the root of its weight, as row r of the tile."""
    cdef Row row = row_at(run.data.X, i)
    cdef double root = sqrt(weight_at(&run.data, i)), value
    cdef Py_ssize_t k, p = run.data.X.p, targets = run.data.targets
    cdef bint is_narrow = run.q <= MAX_NARROW, is_single = run.data.X.itemsize == sizeof(float)
    if is_narrow and is_single:
        narrow_row(run, &row, <const float *> row.values, root, r, tile)
    elif is_narrow:
        narrow_row(run, &row, <const double *> row.values, root, r, tile)
    elif is_single:
        wide_row(run, &row, <const float *> row.values, root, tile + r * run.q)
    else:
        wide_row(run, &row, <const double *> row.values, root, tile + r * run.q)
    for k in range(p, run.q):
        value = 0
        if k == p:
            value = root
        elif k <= p + targets:
            value = root * (run.data.y[i * targets + k - p - 1] - run.shift[k])
        if is_narrow:
            put(tile, run.rows, r, k, value)
        else:
            tile[r * run.q + k] = value


cdef void part(Run *run, Py_ssize_t number, double *tile, double *sums) noexcept nogil:
    """sums (q, q), lower triangle = the products over this part of the rows."""
    cdef Py_ssize_t begin = run.data.visits * number // run.parts, r
    cdef Py_ssize_t end = run.data.visits * (number + 1) // run.parts
    cdef int q = <int> run.q, rows
    cdef double one = 1.0
    memset(sums, 0, run.q * run.q * sizeof(double))
    while begin < end and not watch_is_over(&run.watch):
        rows = <int> min(run.rows, end - begin)
        for r in range(rows):
            add_row(run, run.data.order[begin + r], r, tile)
        if run.q <= MAX_NARROW:
            gram_tile(tile, run.rows, rows, run.q, sums)
        else:  # by columns, the upper triangle
            dsyrk("U", "N", &q, &rows, &one, tile, &q, &one, sums, &q)
        begin += rows
        if number == 0:
            watch_work(&run.watch, <long long> rows * run.q * run.q)


def products(DataTerm term not None, const double[::1] shift not None, double[:, ::1] out not None):
    """out <- sum_i s_i a_i a_i' over the rows, with a_i = (x_i, 1, y_i) - shift, (p + 1 + targets,)
    numbers and zeros up to a multiple of 8; the lower triangle.

    Sparse rows are not shifted. BLAS has to be kept to one thread.
    """
    cdef Py_ssize_t q = out.shape[0], p = term.data.X.p, used = p + 1 + term.data.targets, i, j
    cdef int threads = term.data.threads
    cdef double *room
    cdef double work
    cdef Run run
    if q != (used + PANEL - 1) // PANEL * PANEL or out.shape[1] != q or shift.shape[0] != q:
        raise ValueError(f"out and shift must have room for {used} columns, and for a multiple of "
                         f"{PANEL}")
    run.data, run.shift, run.q = term.data, &shift[0], q
    run.rows = NARROW_ROWS if q <= MAX_NARROW else WIDE_ROWS
    work = <double> run.data.visits * q * q / 2
    run.parts = max(1, min(<Py_ssize_t> (work / PART_WORK), <Py_ssize_t> MOST_PARTS))
    if q > MAX_NARROW:
        run.parts = min(run.parts, 4)
    threads = min(threads, <int> run.parts) if can_share() else 1
    room = <double *> malloc((run.parts * run.rows * q + (run.parts - 1) * q * q) * sizeof(double))
    if room == NULL:
        raise MemoryError()
    watch_start(&run.watch)
    with nogil:
        for i in prange(run.parts, schedule="static", num_threads=threads,
                        use_threads_if=threads > 1):
            part(&run, i, room + i * run.rows * q,
                 &out[0, 0] if i == 0 else room + run.parts * run.rows * q + (i - 1) * q * q)
        for i in range(run.parts - 1):
            for j in range(q * q):
                (&out[0, 0])[j] += room[run.parts * run.rows * q + i * q * q + j]
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
    cdef double *room
    cdef Watch watch
    if X.indices != NULL or out.shape[0] != n or out.shape[1] != n or center.shape[0] != p:
        raise ValueError("dense rows, a center of each column and (n, n) products are needed")
    if n == 0:
        return
    parts = max(1, min(<Py_ssize_t> (<double> n * n * p / 2 / PART_WORK), <Py_ssize_t> 4))
    parts = min(parts, (p + WIDE_ROWS - 1) // WIDE_ROWS)
    threads = min(term.data.threads, <int> parts) if can_share() else 1
    room = <double *> malloc((parts * n * WIDE_ROWS + (parts - 1) * n * n) * sizeof(double))
    if room == NULL:
        raise MemoryError()
    watch_start(&watch)
    with nogil:
        for i in prange(parts, schedule="static", num_threads=threads, use_threads_if=threads > 1):
            row_part(X, term.data.order, &center[0], n, p * i // parts, p * (i + 1) // parts,
                     room + i * n * WIDE_ROWS, &out[0, 0] if i == 0
                     else room + parts * n * WIDE_ROWS + (i - 1) * n * n, &watch)
        for i in range(parts - 1):
            for j in range(n * n):
                (&out[0, 0])[j] += room[parts * n * WIDE_ROWS + i * n * n + j]
    free(room)
    watch_end(&watch)
