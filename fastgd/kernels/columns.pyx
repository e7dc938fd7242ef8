"""Weighted sums over the columns of X, for their means and standard deviations, and copies of
columns.

The number of partial sums depends on sizes alone, and they are added in order, so the bits are the
same for any number of threads.
"""
from cython cimport floating
from cython.parallel cimport prange, threadid
from libc.stdlib cimport calloc, free

from .data_term cimport Data, DataTerm, weight_at
from .rows cimport Row, check_order, column, row_at, row_work, start_of
from .signals cimport Watch, watch_end, watch_is_over, watch_start, watch_work
from .threads cimport PARALLEL_WORK, region_threads

cdef enum:
    MOST_PARTS = 16             # partial sums
    PART_NUMBERS = 262144       # of X, worth a partial sum of their own: a tenth of a millisecond
    TAKEN_ROWS = 8              # whose numbers of a column are written at a time: a cache line

cdef struct Sums:               # (p,) each
    const double *factor
    const double *shift
    double *first
    double *second
    double *largest


cdef struct Taken:              # the arguments of `take`
    const Py_ssize_t *columns
    const Py_ssize_t *places
    Py_ssize_t m
    const double *center
    const double *scale
    const double *factor
    double *out
    Py_ssize_t width            # numbers of a row of `out`


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
                             const Sums *sums) noexcept nogil:
    """Add a row with values x."""
    cdef Py_ssize_t t, j
    cdef double d, square
    if row.indices == NULL:
        dense_moments(weight, x, sums.factor, sums.shift, sums.first, sums.second, sums.largest,
                      row.size)
        return
    for t in range(row.size):
        j = column(row, t)
        d = x[t] * sums.factor[j]
        square = weight * d * d
        sums.first[j] += weight * d
        sums.second[j] += square
        sums.largest[j] = square if square > sums.largest[j] else sums.largest[j]


cdef void part_moments(const Data *data, Py_ssize_t begin, Py_ssize_t end, const Sums *sums,
                       Watch *watch, bint leads) noexcept nogil:
    """Add the rows from `begin` to `end`; the leading thread listens for Ctrl-C."""
    cdef long long work = <long long> (row_work(data.X) + 1)
    cdef Py_ssize_t v
    cdef Row row
    cdef double weight
    for v in range(begin, end):
        if watch_work(watch, work) if leads else watch_is_over(watch):
            break
        row = row_at(data.X, data.order[v])
        weight = weight_at(data, data.order[v])
        if data.X.itemsize == sizeof(float):
            row_moments(weight, &row, <const float *> row.values, sums)
        else:
            row_moments(weight, &row, <const double *> row.values, sums)


cdef inline Sums part_of(const Sums *whole, double *room, Py_ssize_t number,
                         Py_ssize_t p) noexcept nogil:
    """The sums of a part, of which the first are the whole ones."""
    cdef double *own = room + (number - 1) * 3 * p
    if number == 0:
        return whole[0]
    return Sums(whole.factor, whole.shift, own, own + p, own + 2 * p)


cdef void add_part(const Sums *whole, const Sums *part, Py_ssize_t p) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(p):
        whole.first[j] += part.first[j]
        whole.second[j] += part.second[j]
        # a NaN counts as the largest
        if not part.largest[j] <= whole.largest[j]:
            whole.largest[j] = part.largest[j]


def moments(DataTerm term not None, const double[::1] factor not None,
            const double[::1] shift not None, double[::1] first not None,
            double[::1] second not None, double[::1] largest not None):
    """first += sum_i s_i d_i, second += sum_i s_i d_i^2 and largest <- max(largest, s_i d_i^2) over
    the rows of the term.

    d_i is factor x_i - shift, and factor x_i for sparse rows. No column may repeat within a sparse
    row.
    """
    cdef Data data = term.data
    cdef Py_ssize_t i, p = data.X.p, n = data.visits
    cdef Py_ssize_t parts = <Py_ssize_t> (n * <double> (row_work(data.X) + 1) / PART_NUMBERS)
    cdef int threads
    cdef double *room
    cdef Sums whole, sums
    cdef Watch watch
    if not (factor.shape[0] == shift.shape[0] == p
            and first.shape[0] == second.shape[0] == largest.shape[0] == p):
        raise ValueError("factor, shift, first, second and largest must have an entry for each "
                         f"of the {p} columns")
    if p == 0:
        return
    # Adding them up is to take a small share of the work.
    parts = max(1, min(parts, <Py_ssize_t> MOST_PARTS, parts * PART_NUMBERS // (16 * p)))
    threads = region_threads(min(data.threads, <int> parts)) if parts > 1 else 1
    room = <double *> calloc(3 * p * parts, sizeof(double))
    if room == NULL:
        raise MemoryError()
    whole = Sums(&factor[0], &shift[0], &first[0], &second[0], &largest[0])
    watch_start(&watch)
    with nogil:
        for i in prange(parts, schedule="dynamic", chunksize=1, num_threads=threads,
                        use_threads_if=threads > 1):
            sums = part_of(&whole, room, i, p)
            part_moments(&data, n * i // parts, n * (i + 1) // parts, &sums, &watch,
                         threadid() == 0)
        for i in range(1, parts):
            sums = part_of(&whole, room, i, p)
            add_part(&whole, &sums, p)
    free(room)
    watch_end(&watch)


cdef void take_block(const Data *data, const Taken *taken, Py_ssize_t begin, Py_ssize_t end,
                     const floating *tag) noexcept nogil:
    """The part of `take` of the rows from `begin` to `end`; `tag` selects the dtype."""
    cdef Py_ssize_t k, v, j, p = data.X.p
    cdef const floating *x[TAKEN_ROWS]
    cdef double *out
    for v in range(begin, end):
        x[v - begin] = <const floating *> data.X.values + data.order[v] * p
    for k in range(taken.m):
        j, out = taken.columns[k], taken.out + taken.places[k] * taken.width
        for v in range(begin, end):
            out[v] = taken.factor[v] * (
                (x[v - begin][j] - taken.center[j]) * taken.scale[j] if j < p else 1.0)


def take(DataTerm term not None, const Py_ssize_t[::1] columns not None,
         const double[::1] center not None, const double[::1] scale not None,
         const double[::1] factor not None, const Py_ssize_t[::1] places not None,
         double[:, ::1] out not None):
    """out[places[k], v] <- factor_v * (x_vj - center_j) * scale_j over the term's rows v, for j the
    k-th of these columns of dense X. Column p is a column of ones, and is neither centred nor
    scaled.
    """
    cdef Data data = term.data
    cdef Py_ssize_t i, m = columns.shape[0], n = data.visits, p = data.X.p
    cdef Py_ssize_t blocks = (n + TAKEN_ROWS - 1) // TAKEN_ROWS
    cdef int threads
    cdef Taken taken
    cdef Watch watch
    if (data.X.indices != NULL or places.shape[0] != m or out.shape[1] < n
            or factor.shape[0] != n or not center.shape[0] == scale.shape[0] == p):
        raise ValueError("columns, center, scale, factor, places or out do not fit the dense rows")
    check_order(columns, p + 1)
    check_order(places, out.shape[0])
    if m == 0 or n == 0:
        return
    taken = Taken(&columns[0], &places[0], m, start_of(center), start_of(scale), &factor[0],
                  &out[0, 0], out.shape[1])
    threads = region_threads(data.threads) if n * m >= PARALLEL_WORK else 1
    watch_start(&watch)
    with nogil:
        for i in prange(blocks, schedule="static", num_threads=threads,
                        use_threads_if=threads > 1):
            if watch_work(&watch, TAKEN_ROWS * m) if threadid() == 0 else watch_is_over(&watch):
                continue
            if data.X.itemsize == sizeof(float):
                take_block(&data, &taken, i * TAKEN_ROWS, min(n, (i + 1) * TAKEN_ROWS),
                           <const float *> NULL)
            else:
                take_block(&data, &taken, i * TAKEN_ROWS, min(n, (i + 1) * TAKEN_ROWS),
                           <const double *> NULL)
    watch_end(&watch)
