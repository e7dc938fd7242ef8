"""Coordinate descent on a quadratic model with an L1 part, given by its matrix, by the columns of
sparse X, or by a factor of the matrix.

Each coordinate may have a lower bound, which is 0 or -infinity.
"""
from cython cimport floating
from libc.math cimport INFINITY, fabs
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from scipy.linalg.cython_lapack cimport dposv

from .rows cimport Rows, Table, check_order, index, lanes_dot, start_of
from .signals cimport Watch, watch_end, watch_is_over, watch_start, watch_work

cdef extern from "add_dot.h" nogil:
    # r += a u, then x r
    double add_dot(double a, const double *u, double *r, const double *x, Py_ssize_t n)

cdef enum:
    PAST = 5                    # sweeps from which one extrapolates
    CACHE_LINE = 8              # numbers

cdef double MIXTURE_RIDGE = 1e-10   # relative to the trace: the changes are nearly dependent

# g'd + d'(X' diag(h) X / n + diag(l2)) d / 2 + sum_j l1_j |w_j| with d = w - start, for m of the
# p + 1 columns of sparse X, of which the last is a column of ones; or with A A' instead of
# X' diag(h) X / n, for m of the rows of a dense A
cdef struct QuadraticModel:
    Py_ssize_t n, p, m
    const Py_ssize_t *columns   # (m,)
    const double *scale         # (p + 1,): multiplies the columns of X
    const double *h             # (n,); NULL: A is given
    const double *g             # (m,), as the following: the gradient at `start`
    const double *l1
    const double *l2
    const double *start
    const double *lower         # NULL: no bounds
    double *w
    double *r                   # (n,): diag(h) X d / n, or A' d
    double *curvatures          # (m,): the diagonal of the matrix, and its inverse
    double *inverse
    double *past                # (PAST + 1, m + n): w and r after each of the last sweeps
    Py_ssize_t stored           # how many of them
    long long work              # multiplications for a column
    Watch watch


cdef inline double prox(double a, double l1, double lower) noexcept nogil:
    """argmin of (w - a)^2 / 2 + l1 |w| over w >= lower, which is 0 or -infinity."""
    return a - l1 if a > l1 else (max(a + l1, lower) if a < -l1 else 0.0)


cdef double sweep(const double *H, Py_ssize_t p, double *w, double *g, const double *l1,
                  const double *lower, bint nonzeros) noexcept nogil:
    """w_j <- argmin of the model in w_j, for one coordinate after the other; returns the largest
    |H_jj * change of w_j|. With `nonzeros`, coordinates that are 0 stay so.
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
        new = prox(w[j] - g[j] / curvature, l1[j] / curvature,
                   lower[j] if lower != NULL else -INFINITY)
        change = new - w[j]
        if change == 0:
            continue
        w[j] = new
        for k in range(p):
            g[k] += change * row[k]
        largest = max(largest, fabs(change) * curvature)
    return largest


def descend(const double[:, ::1] H not None, double[::1] w not None, double[::1] g not None,
            const double[::1] l1 not None, double tolerance, Py_ssize_t sweeps,
            const double[::1] lower=None):
    """Minimise g'd + d'Hd / 2 + sum_j l1_j |w_j| over w = (initial w) + d, in at most `sweeps`
    sweeps.

    g is the model's gradient at w, and is updated. `lower` (None: no bounds) holds 0 or -infinity
    for each coordinate. After each sweep over all coordinates come sweeps over the nonzero ones,
    until |H_jj * change of w_j| is at most `tolerance`.
    """
    cdef Py_ssize_t p = H.shape[0], done = 0
    cdef const double *bound
    if (H.shape[1] != p or w.shape[0] != p or g.shape[0] != p or l1.shape[0] != p
            or (lower is not None and lower.shape[0] != p)):
        raise ValueError("H, w, g, l1 and lower do not fit one another")
    if p == 0:
        return
    cdef Watch watch
    watch_start(&watch)
    bound = start_of(lower)
    with nogil:
        while done < sweeps and not watch_work(&watch, p * p):
            done += 1
            if sweep(&H[0, 0], p, &w[0], &g[0], &l1[0], bound, False) <= tolerance:
                break
            while done < sweeps:
                done += 1
                if watch_work(&watch, p * p) or sweep(&H[0, 0], p, &w[0], &g[0], &l1[0], bound,
                                                      True) <= tolerance:
                    break
    watch_end(&watch)


cdef inline double column_dot(const QuadraticModel *model, const floating *values,
                              const index *rows, const index *starts, Py_ssize_t j,
                              const double *r) noexcept nogil:
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


cdef inline void column_add(const QuadraticModel *model, const floating *values, const index *rows,
                            const index *starts, Py_ssize_t j, double change) noexcept nogil:
    """r += diag(h) x_j change / n of a scaled column."""
    cdef Py_ssize_t i
    cdef double by = change * model.scale[j] / model.n
    if j == model.p:
        for i in range(model.n):
            model.r[i] += by * model.h[i]
        return
    for i in range(starts[j], starts[j + 1]):
        model.r[rows[i]] += by * model.h[rows[i]] * values[i]


cdef void column_curvatures(const QuadraticModel *model, const floating *values, const index *rows,
                            const index *starts) noexcept nogil:
    """Compute the diagonal of the model's matrix."""
    cdef Py_ssize_t k, j, i
    cdef double total, x
    for k in range(model.m):
        j, total = model.columns[k], 0
        if model.h == NULL:
            total = lanes_dot(values + j * model.n, values + j * model.n, model.n) * model.n
        elif j == model.p:
            for i in range(model.n):
                total += model.h[i] * (model.scale[j] * model.scale[j])
        else:
            for i in range(starts[j], starts[j + 1]):
                x = values[i] * model.scale[j]
                total += model.h[rows[i]] * x * x
        model.curvatures[k] = total / model.n + model.l2[k]
        if model.curvatures[k] > 0:
            model.inverse[k] = 1 / model.curvatures[k]


cdef inline double updated(const QuadraticModel *model, Py_ssize_t k, double g) noexcept nogil:
    """argmin of the model in w_k, given the gradient without the part of l2."""
    g += model.l2[k] * (model.w[k] - model.start[k])
    return prox(model.w[k] - g * model.inverse[k], model.l1[k] * model.inverse[k],
                model.lower[k] if model.lower != NULL else -INFINITY)


cdef inline bint rests(const QuadraticModel *model, Py_ssize_t k, bint nonzeros) noexcept nogil:
    """Whether a sweep leaves w_k as it is."""
    return model.curvatures[k] <= 0 or (nonzeros and model.w[k] == 0)


cdef double dense_sweep(QuadraticModel *model, const double *A, bint nonzeros) noexcept nogil:
    """As `sweep`, on the rows of A instead of the model's matrix.

    The change of r by one coordinate waits for the next one, whose product with r is computed in
    the same loop.
    """
    cdef Py_ssize_t k, n = model.n
    cdef double g, new, change = 0, largest = 0
    cdef const double *row
    cdef const double *changed = NULL
    for k in range(model.m):
        if watch_work(&model.watch, model.work):
            return 0
        if rests(model, k, nonzeros):
            continue
        row = A + model.columns[k] * n
        g = (lanes_dot(row, model.r, n) if changed == NULL
             else add_dot(change, changed, model.r, row, n))
        changed = NULL
        new = updated(model, k, model.g[k] + g)
        change = new - model.w[k]
        if change == 0:
            continue
        model.w[k], changed = new, row
        largest = max(largest, fabs(change) * model.curvatures[k])
    if changed != NULL:
        add_dot(change, changed, model.r, changed, n)
    return largest


cdef double column_sweep(QuadraticModel *model, const floating *values, const index *rows,
                         const index *starts, bint nonzeros) noexcept nogil:
    """As `sweep`, on the columns of X instead of the model's matrix."""
    cdef Py_ssize_t k, j
    cdef double new, change, largest = 0
    if model.h == NULL:
        return dense_sweep(model, <const double *> values, nonzeros)
    for k in range(model.m):
        if watch_work(&model.watch, model.work):
            return 0
        if rests(model, k, nonzeros):
            continue
        j = model.columns[k]
        new = updated(model, k,
                      model.g[k] + column_dot(model, values, rows, starts, j, model.r))
        change = new - model.w[k]
        if change == 0:
            continue
        model.w[k] = new
        column_add(model, values, rows, starts, j, change)
        largest = max(largest, fabs(change) * model.curvatures[k])
    return largest


cdef double model_value(const QuadraticModel *model, const double *w,
                        const double *r) noexcept nogil:
    """The model at w, with its r; infinite below a bound."""
    cdef Py_ssize_t i, k
    cdef double total = 0, squares = 0, d
    for k in range(model.m):
        if model.lower != NULL and w[k] < model.lower[k]:
            return INFINITY
        d = w[k] - model.start[k]
        total += d * (model.g[k] + model.l2[k] * d / 2) + model.l1[k] * fabs(w[k])
    if model.h == NULL:
        return total + lanes_dot(r, r, model.n) / 2
    for i in range(model.n):
        if model.h[i] > 0:
            squares += r[i] * r[i] / model.h[i]
    return total + squares * model.n / 2


cdef bint mixture(const QuadraticModel *model, double *c) noexcept nogil:
    """c (PAST,) <- the weights of the past iterates at which their changes cancel best; False if
    there are none.
    """
    cdef double G[PAST * PAST]
    cdef Py_ssize_t a, b, k, size = model.m + model.n
    cdef double total, trace = 0
    cdef const double *w = model.past
    cdef int n = PAST, one = 1, fault
    for a in range(PAST):
        for b in range(a + 1):
            total = 0
            for k in range(model.m):
                total += ((w[(a + 1) * size + k] - w[a * size + k])
                          * (w[(b + 1) * size + k] - w[b * size + k]))
            G[a * PAST + b] = G[b * PAST + a] = total
        trace += G[a * PAST + a]
    for a in range(PAST):
        G[a * PAST + a] += MIXTURE_RIDGE * trace
        c[a] = 1
    dposv("U", &n, &one, G, &n, c, &n, &fault)
    if fault != 0:
        return False
    total = 0
    for a in range(PAST):
        total += c[a]
    for a in range(PAST):
        c[a] /= total
    return True


cdef void extrapolate(QuadraticModel *model) noexcept nogil:
    """Store the iterate of a sweep and, once there are enough, move to a mixture of them if it is
    better (Anderson's acceleration).
    """
    cdef double c[PAST]
    cdef Py_ssize_t a, k, size = model.m + model.n
    cdef double *new = model.past + model.stored * size
    memcpy(new, model.w, model.m * sizeof(double))
    memcpy(new + model.m, model.r, model.n * sizeof(double))
    model.stored += 1
    if model.stored <= PAST:
        return
    model.stored = 0
    if not mixture(model, c):
        return
    new = model.past
    for k in range(size):
        new[k] = c[0] * new[size + k]
        for a in range(1, PAST):
            new[k] += c[a] * new[(a + 1) * size + k]
    if model_value(model, new, new + model.m) < model_value(model, model.w, model.r):
        memcpy(model.w, new, model.m * sizeof(double))
        memcpy(model.r, new + model.m, model.n * sizeof(double))


cdef void minimise(QuadraticModel *model, const floating *values, const index *rows,
                   const index *starts, double reduction, Py_ssize_t sweeps) noexcept nogil:
    """Sweeps as in `descend`, until |H_jj * change of w_j| is at most `reduction` times its largest
    value in the first sweep.
    """
    cdef Py_ssize_t done = 0
    cdef double largest, tolerance = -1
    column_curvatures(model, values, rows, starts)
    while done < sweeps and not watch_is_over(&model.watch):
        done += 1
        largest = column_sweep(model, values, rows, starts, False)
        if tolerance < 0:
            tolerance = reduction * largest
        if largest <= tolerance:
            break
        model.stored = 0
        while done < sweeps:
            done += 1
            if column_sweep(model, values, rows, starts, True) <= tolerance:
                break
            if sweeps > PAST:
                extrapolate(model)


cdef void minimise_table(QuadraticModel *model, const Table *X, const floating *values,
                         double reduction, Py_ssize_t sweeps) noexcept nogil:
    """The same, with the columns of X of any index type."""
    if X.index_size == 8:
        minimise(model, values, <const int64_t *> X.indices, <const int64_t *> X.indptr, reduction,
                 sweeps)
    else:
        minimise(model, values, <const int32_t *> X.indices, <const int32_t *> X.indptr, reduction,
                 sweeps)


cdef double *set_up(QuadraticModel *model, const Py_ssize_t[::1] columns, double[::1] w,
                    const double[::1] g, penalty, Py_ssize_t sweeps) except NULL:
    """Fill in all of the model but its matrix; returns memory, to be freed."""
    cdef const double[::1] l1 = penalty[0], l2 = penalty[1], lower = penalty[2]
    cdef Py_ssize_t m = columns.shape[0], n = model.n
    cdef Py_ssize_t past = (PAST + 1) * (n + m) if sweeps > PAST else 0
    cdef double *memory
    cdef double *begin
    if (not w.shape[0] == g.shape[0] == l1.shape[0] == l2.shape[0] == m
            or (lower is not None and lower.shape[0] != m)):
        raise ValueError("w, g, l1, l2 or lower do not fit the columns")
    memory = <double *> calloc(CACHE_LINE + n + 3 * m + past, sizeof(double))
    if memory == NULL:
        raise MemoryError()
    # Vectors of r that lie in one cache line are loaded faster.
    begin = memory + CACHE_LINE - <size_t> memory // sizeof(double) % CACHE_LINE
    model.m = m
    model.columns = &columns[0]
    model.w = &w[0]
    model.g = &g[0]
    model.l1 = &l1[0]
    model.l2 = &l2[0]
    model.r = begin
    model.start = begin + n
    model.curvatures = begin + n + m
    model.inverse = begin + n + 2 * m
    model.past = begin + n + 3 * m
    model.lower = start_of(lower)
    memcpy(begin + n, model.w, m * sizeof(double))
    watch_start(&model.watch)
    return memory


def descend_rows(const double[:, ::1] A not None, const Py_ssize_t[::1] rows not None,
                 double[::1] w not None, const double[::1] g not None, penalty,
                 double reduction, Py_ssize_t sweeps):
    """Minimise g'd + d'(A A' + diag(l2)) d / 2 + sum_j l1_j |w_j| over w = (initial w) + d, in at
    most `sweeps` sweeps. `rows` selects rows of A; the others are as in `descend_columns`.
    """
    cdef QuadraticModel model
    cdef double *memory
    check_order(rows, A.shape[0])
    if rows.shape[0] == 0 or A.shape[1] == 0:
        return
    model.n = model.work = A.shape[1]
    model.p = A.shape[0]
    model.h = model.scale = NULL
    memory = set_up(&model, rows, w, g, penalty, sweeps)
    with nogil:
        minimise(&model, &A[0, 0], <const int32_t *> NULL, <const int32_t *> NULL, reduction,
                 sweeps)
    free(memory)
    watch_end(&model.watch)


def descend_columns(Rows transposed not None, const Py_ssize_t[::1] columns not None,
                    const double[::1] scale not None, const double[::1] h not None,
                    double[::1] w not None, const double[::1] g not None, penalty,
                    double reduction, Py_ssize_t sweeps):
    """Minimise g'd + d'(X' diag(h) X / n + diag(l2)) d / 2 + sum_j l1_j |w_j| over
    w = (initial w) + d, in at most `sweeps` sweeps.

    `transposed` holds the columns of sparse X as its rows. `columns` selects some of them, and
    column p is a column of ones. `scale` multiplies the columns. `penalty` is (l1, l2, lower), with
    `lower` as in `descend`. Sweeps over the nonzero coordinates are accelerated (Bertrand and
    Massias, "Anderson acceleration of coordinate descent", AISTATS 2021). They end when
    |H_jj * change of w_j| is at most `reduction` times its largest value in the first one.
    """
    cdef const Table *X = &transposed.table
    cdef Py_ssize_t n = X.p, p = X.n
    cdef QuadraticModel model
    cdef double *memory
    if X.indices == NULL or h.shape[0] != n or scale.shape[0] != p + 1:
        raise ValueError("scale or h do not fit the columns, or these are not sparse")
    check_order(columns, p + 1)
    if columns.shape[0] == 0 or n == 0 or transposed.stored == 0:
        return
    model.n = n
    model.p = p
    model.scale = &scale[0]
    model.h = &h[0]
    model.work = <long long> transposed.stored // p + 1
    memory = set_up(&model, columns, w, g, penalty, sweeps)
    with nogil:
        if X.itemsize == sizeof(float):
            minimise_table(&model, X, <const float *> X.values, reduction, sweeps)
        else:
            minimise_table(&model, X, <const double *> X.values, reduction, sweeps)
    free(memory)
    watch_end(&model.watch)
