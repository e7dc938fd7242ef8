"""X' diag(h) Y of standardised columns: Hessians of linear models, and parts of them, by BLAS on
some rows at a time.

Rows are dealt to PARTS sums whatever the number of threads, and the sums added in order: the bits
are the same.
"""
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from scipy.linalg.cython_blas cimport dgemm, dsyrk

from .data_term cimport Data, DataTerm
from .metric cimport center_and_scale
from .rows cimport Row, column, row_at, start_of
from .signals cimport Watch, watch_end, watch_is_over, watch_start, watch_work
from .threads cimport can_share

cdef enum:
    PARTS = 4                   # sums
    BLOCK = 64                  # rows that are dealt together
    CHUNK = 256                 # rows that BLAS takes at a time
    SHARED = 4000000            # products that are worth more than one thread

cdef struct Run:
    Data data
    const double *h             # (visits,)
    const Py_ssize_t *columns   # (size,): column p is the intercept's; NULL: all, in order
    const Py_ssize_t *place     # (p,): of a column among these, or -1; of sparse rows
    const double *center        # (p,)
    const double *inverse
    Py_ssize_t size, last       # 0: all, and symmetric
    double ones
    Watch watch


cdef inline void standardise(const Run *run, const Row *row, const floating *restrict x,
                             double root, double *a) noexcept nogil:
    """a = root times these columns of a row, whose values are x."""
    cdef Py_ssize_t p = run.data.X.p, t, j
    if row.indices != NULL:
        memset(a, 0, run.size * sizeof(double))
        for t in range(row.size):
            j = run.place[column(row, t)]
            if j >= 0:
                a[j] += root * (x[t] * run.inverse[column(row, t)])
        j = run.place[p]
        if j >= 0:
            a[j] = root * run.ones
    elif run.columns == NULL:
        center_and_scale(x, run.center, run.inverse, a, p)
        for j in range(p):
            a[j] *= root
        a[p] = root * run.ones
    else:
        for t in range(run.size):
            j = run.columns[t]
            a[t] = root * ((x[j] - run.center[j]) * run.inverse[j] if j < p else run.ones)


cdef inline void standardise_row(const Run *run, Py_ssize_t i, double root,
                                 double *a) noexcept nogil:
    cdef Row row = row_at(run.data.X, i)
    if run.data.X.itemsize == sizeof(float):
        standardise(run, &row, <const float *> row.values, root, a)
    else:
        standardise(run, &row, <const double *> row.values, root, a)


cdef void part(Run *run, Py_ssize_t number, double *room, double *sums) noexcept nogil:
    """sums (size, width), column by column = this part of the products; `room` holds CHUNK rows."""
    cdef int size = <int> run.size, last = <int> run.last, width = last if last else size
    cdef int filled = 0
    cdef double scale = 1.0 / run.data.visits, one = 1.0
    cdef Py_ssize_t begin, end, v
    cdef bint over
    memset(sums, 0, run.size * width * sizeof(double))
    begin = number * BLOCK
    while begin < run.data.visits and not watch_is_over(&run.watch):
        end = min(begin + BLOCK, run.data.visits)
        for v in range(begin, end):
            if run.h[v] != 0:
                standardise_row(run, run.data.order[v], sqrt(run.h[v]), room + filled * run.size)
                filled += 1
        begin += PARTS * BLOCK
        over = begin >= run.data.visits
        if filled > CHUNK - BLOCK or (over and filled):
            if last:
                dgemm("N", "T", &size, &last, &filled, &scale, room, &size, room + size - last,
                      &size, &one, sums, &size)
            else:
                dsyrk("L", "N", &size, &filled, &scale, room, &size, &one, sums, &size)
            if number == 0:
                watch_work(&run.watch, <long long> filled * size * width)
            filled = 0


def products(DataTerm term not None, const double[::1] h not None, const Py_ssize_t[::1] columns,
             const Py_ssize_t[::1] place, Py_ssize_t last, metric, bint intercept,
             double[::1, :] out not None):
    """out <- X' diag(h) Y / n over the rows, X = (x - center) * inverse of these columns, Y the
    `last` of them.

    `metric` is (center, inverse). `columns` None: all, column p of ones (with `intercept`; else of
    zeros) at the end. Of sparse rows, whose center is 0, `place` tells where each of the p + 1
    columns is among them, or -1. With `last` 0 Y is X, and the lower triangle of `out` is filled.
    BLAS has to be kept to one thread.
    """
    cdef const double[::1] center = metric[0], inverse = metric[1]
    cdef Py_ssize_t n = term.data.visits, p = term.data.X.p, size = out.shape[0]
    cdef Py_ssize_t width = out.shape[1], parts, i, j
    cdef int threads = term.data.threads
    cdef double *room
    cdef Run run
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
    run.data, run.size, run.last, run.ones = term.data, size, last, intercept
    run.h, run.center, run.inverse = start_of(h), start_of(center), start_of(inverse)
    run.columns = run.place = NULL
    if columns is not None:
        run.columns = &columns[0]
    if place is not None:
        run.place = &place[0]
    parts = max(min(PARTS, (n + BLOCK - 1) // BLOCK), 1)
    if <double> n * size * width < SHARED or not can_share():
        threads = 1
    threads = min(threads, <int> parts)
    room = <double *> malloc(((parts - 1) * size * width + parts * CHUNK * size) * sizeof(double))
    if room == NULL:
        raise MemoryError()
    watch_start(&run.watch)
    with nogil:
        for i in prange(parts, schedule="static", num_threads=threads, use_threads_if=threads > 1):
            part(&run, i, room + (parts - 1) * size * width + i * CHUNK * size,
                 &out[0, 0] if i == 0 else room + (i - 1) * size * width)
        for i in range(parts - 1):
            for j in range(size * width):
                (&out[0, 0])[j] += room[i * size * width + j]
    free(room)
    watch_end(&run.watch)
