"""Coordinate descent on a quadratic model with an L1 part, of which the matrix is at hand, or
sparse columns of X.

Coordinates may have a least value, 0 or -infinity.
"""
from cython cimport floating
from libc.math cimport INFINITY, fabs
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free

from .rows cimport Rows, Table, check_order, index, start_of
from .signals cimport Watch, watch_end, watch_is_over, watch_start, watch_work

# g'd + d'(X' diag(h) X / n + diag(l2)) d / 2 + sum_j l1_j |w_j|, of m of the p columns of X
cdef struct Model:
    Py_ssize_t n, p, m
    const Py_ssize_t *columns   # p: a column of ones
    const double *scale         # of the columns, (p + 1,)
    const double *h
    const double *g             # at the first w
    const double *l1
    const double *l2
    const double *first
    const double *least         # NULL: none has
    double *w
    double *r                   # (n,) h X d / n
    double *curvatures          # (m,) diagonal of the matrix
    Watch watch


cdef inline double shrunk(double a, double by, double least) noexcept nogil:
    """The minimiser of (w - a)^2 / 2 + by |w| where w >= least, 0 or -infinity."""
    return a - by if a > by else (max(a + by, least) if a < -by else 0.0)


cdef double sweep(const double *H, Py_ssize_t p, double *w, double *g, const double *l1,
                  const double *least, bint nonzeros) noexcept nogil:
    """w_j <- argmin of the model in w_j, one after the other; returns the largest |H_jj * change of
    w_j|.
    """
    cdef Py_ssize_t j, k
    cdef double curvature, new, change, largest = 0
    cdef const double *row
    for j in range(p):
        row = H + j * p
        curvature = row[j]
        if curvature <= 0 or (nonzeros and w[j] == 0):
            continue
        if w[j] == 0 and fabs(g[j]) <= l1[j]:
            continue
        new = shrunk(w[j] - g[j] / curvature, l1[j] / curvature, least[j] if least != NULL
                     else -INFINITY)
        change = new - w[j]
        if change == 0:
            continue
        w[j] = new
        for k in range(p):
            g[k] += change * row[k]
        largest = max(largest, fabs(change) * curvature)
    return largest


def descend(const double[:, ::1] H not None, double[::1] w not None, double[::1] g not None,
            const double[::1] l1 not None, double enough, Py_ssize_t sweeps,
            const double[::1] least=None):
    """Lower g'd + d'Hd / 2 + sum_j l1_j |w_j| over w = (w at first) + d, at most `sweeps` sweeps.

    g is the model's gradient at w and stays so; `least` (None: none) holds the least values, 0 or
    -infinity. Sweeps over the coordinates that are not 0 follow each over all of them, until no
    slope was larger than `enough`.
    """
    cdef Py_ssize_t p = H.shape[0], done = 0
    cdef const double *bound
    if (H.shape[1] != p or w.shape[0] != p or g.shape[0] != p or l1.shape[0] != p
            or (least is not None and least.shape[0] != p)):
        raise ValueError("H, w, g, l1 and least do not fit one another")
    if p == 0:
        return
    cdef Watch watch
    watch_start(&watch)
    bound = start_of(least)
    with nogil:
        while done < sweeps and not watch_work(&watch, p * p):
            done += 1
            if sweep(&H[0, 0], p, &w[0], &g[0], &l1[0], bound, False) <= enough:
                break
            while done < sweeps:
                done += 1
                if watch_work(&watch, p * p) or sweep(&H[0, 0], p, &w[0], &g[0], &l1[0], bound,
                                                      True) <= enough:
                    break
    watch_end(&watch)


cdef inline double column_dot(const Model *model, const floating *values, const index *rows,
                              const index *starts, Py_ssize_t j, const double *r) noexcept nogil:
    """x_j r of a scaled column."""
    cdef Py_ssize_t i
    cdef double total = 0
    if j == model.p:
        for i in range(model.n):
            total += r[i]
        return total * model.scale[j]
    for i in range(starts[j], starts[j + 1]):
        total += values[i] * r[rows[i]]
    return total * model.scale[j]


cdef inline void column_add(const Model *model, const floating *values, const index *rows,
                            const index *starts, Py_ssize_t j, double change) noexcept nogil:
    """r += h x_j change / n of a scaled column."""
    cdef Py_ssize_t i
    cdef double by = change * model.scale[j] / model.n
    if j == model.p:
        for i in range(model.n):
            model.r[i] += by * model.h[i]
        return
    for i in range(starts[j], starts[j + 1]):
        model.r[rows[i]] += by * model.h[rows[i]] * values[i]


cdef void column_curvatures(const Model *model, const floating *values, const index *rows,
                            const index *starts) noexcept nogil:
    """The diagonal of the model's matrix."""
    cdef Py_ssize_t k, j, i
    cdef double total, x
    for k in range(model.m):
        j, total = model.columns[k], 0
        if j == model.p:
            for i in range(model.n):
                total += model.h[i] * (model.scale[j] * model.scale[j])
        else:
            for i in range(starts[j], starts[j + 1]):
                x = values[i] * model.scale[j]
                total += model.h[rows[i]] * x * x
        model.curvatures[k] = total / model.n + model.l2[k]


cdef double column_sweep(Model *model, const floating *values, const index *rows,
                         const index *starts, bint nonzeros) noexcept nogil:
    """As `sweep`, of a model whose matrix is not at hand; returns the largest |H_jj * change of
    w_j|.
    """
    cdef Py_ssize_t k, j
    cdef double g, new, change, largest = 0
    for k in range(model.m):
        if watch_work(&model.watch, starts[model.p] // model.p + 1):
            return 0
        if model.curvatures[k] <= 0 or (nonzeros and model.w[k] == 0):
            continue
        j = model.columns[k]
        g = model.g[k] + model.l2[k] * (model.w[k] - model.first[k])
        g += column_dot(model, values, rows, starts, j, model.r)
        new = shrunk(model.w[k] - g / model.curvatures[k], model.l1[k] / model.curvatures[k],
                     model.least[k] if model.least != NULL else -INFINITY)
        change = new - model.w[k]
        if change == 0:
            continue
        model.w[k] = new
        column_add(model, values, rows, starts, j, change)
        largest = max(largest, fabs(change) * model.curvatures[k])
    return largest


cdef void lower(Model *model, const floating *values, const index *rows, const index *starts,
                double reduction, Py_ssize_t sweeps) noexcept nogil:
    """Sweeps over the coordinates that are not 0 follow each over all of them, until no slope was
    larger than `reduction` times the largest at first.
    """
    cdef Py_ssize_t done = 0
    cdef double largest, enough = -1
    column_curvatures(model, values, rows, starts)
    while done < sweeps and not watch_is_over(&model.watch):
        done += 1
        largest = column_sweep(model, values, rows, starts, False)
        if enough < 0:
            enough = reduction * largest
        if largest <= enough:
            break
        while done < sweeps:
            done += 1
            if column_sweep(model, values, rows, starts, True) <= enough:
                break


cdef void lower_in(Model *model, const Table *X, const floating *values, double reduction,
                   Py_ssize_t sweeps) noexcept nogil:
    """The same of the columns of X, whose values these are."""
    if X.index_size == 8:
        lower(model, values, <const int64_t *> X.indices, <const int64_t *> X.indptr, reduction,
              sweeps)
    else:
        lower(model, values, <const int32_t *> X.indices, <const int32_t *> X.indptr, reduction,
              sweeps)


def descend_columns(Rows transposed not None, const Py_ssize_t[::1] columns not None,
                    const double[::1] scale not None, const double[::1] h not None,
                    double[::1] w not None, const double[::1] g not None, penalty,
                    double reduction, Py_ssize_t sweeps):
    """Lower g'd + d'(X' diag(h) X / n + diag(l2)) d / 2 + sum_j l1_j |w_j| over w = (w at first) +
    d, at most `sweeps` sweeps.

    `transposed` holds the columns of a sparse X as rows; `columns` picks some of the p and may have
    p, a column of ones; `scale` multiplies them; `penalty` is (l1, l2, least), with `least` as in
    `descend`. Sweeps end once no slope was larger than `reduction` times the largest at first.
    """
    cdef const double[::1] l1 = penalty[0], l2 = penalty[1], least = penalty[2]
    cdef const Table *X = &transposed.table
    cdef Py_ssize_t n = X.p, p = X.n, m = columns.shape[0], k
    cdef Model model
    if (X.indices == NULL or h.shape[0] != n or scale.shape[0] != p + 1
            or not w.shape[0] == g.shape[0] == l1.shape[0] == l2.shape[0] == m
            or (least is not None and least.shape[0] != m)):
        raise ValueError("scale, h, w, g, l1 or l2 do not fit the columns")
    check_order(columns, p + 1)
    if m == 0 or n == 0 or transposed.stored == 0:
        return
    cdef double *room = <double *> calloc(n + 2 * m, sizeof(double))
    if room == NULL:
        raise MemoryError()
    model.n = n
    model.p = p
    model.m = m
    model.columns = &columns[0]
    model.scale = &scale[0]
    model.h = &h[0]
    model.w = &w[0]
    model.g = &g[0]
    model.l1 = &l1[0]
    model.l2 = &l2[0]
    model.first = room + n
    model.r = room
    model.curvatures = room + n + m
    model.least = start_of(least)
    watch_start(&model.watch)
    with nogil:
        for k in range(m):
            room[n + k] = w[k]
        if X.itemsize == sizeof(float):
            lower_in(&model, X, <const float *> X.values, reduction, sweeps)
        else:
            lower_in(&model, X, <const double *> X.values, reduction, sweeps)
    free(room)
    watch_end(&model.watch)
