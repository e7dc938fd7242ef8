"""Paths of L1-penalised least squares by coordinate descent: for one strength of the penalty after
the other, from the last solution, minimise

    |y - X W|^2 / 2 + l1 sum_j |w_j| + l2 / 2 |W|^2

where |w_j| is the norm of the weights of column j, one per target. Columns enter a working set by
the strong rule. With one target descent needs the products of the columns in it only, with more it
updates the residuals. A duality gap over all columns ends it.

Sources: Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear models via
coordinate descent", J. Stat. Softw. 33 (2010); Tibshirani et al., "Strong rules for discarding
predictors in lasso-type problems", J. R. Stat. Soc. B 74 (2012); Fercoq, Gramfort and Salmon, "Mind
the duality gap: safer rules for the lasso", ICML 2015.
"""
from libc.math cimport INFINITY, fabs, sqrt
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from scipy.linalg.cython_lapack cimport dgesv, dpotrf, dpotrs

from .rows cimport check_order, dense_add, lanes_dot, start_of
from .signals cimport Watch, watch_end, watch_is_over, watch_start, watch_work

cdef enum:
    MAX_SET = 3000              # columns whose products are stored: 72 MB
    MIN_GROWTH = 64             # columns that may enter a working set at once, at least
    BISECTIONS = 30             # for the threshold that lets no more columns enter
    # Rounds in which the gap of all columns is above `tol`, that of the working set is not, and no
    # column is missing. A guard: only rounding makes one.
    MAX_ROUNDING_ROUNDS = 20
    # A stored factor is used if at most 1 / BORDER_SHARE of its columns are missing or superfluous:
    # solving for each takes 2 s^2 multiplications, a new factor s^3 / 6.
    BORDER_SHARE = 16
    MAX_NEWTON_STEPS = 50       # in a row; each but the last one makes a weight 0

# A Newton step takes s^3 / 6 multiplications for s nonzero weights, in LAPACK about this number of
# times as fast as those of sweeps. It is due when sweeps have taken as long.
cdef double FACTOR_SPEED = 4.0
# The factor by which the working set is to be solved more accurately after such a round.
cdef double TIGHTER = 0.3
# Relative to the diagonal. With more nonzero weights than rows a step is then one along which the
# fit does not change, up to the first weight that becomes 0.
cdef double RIDGE = 1e-10

cdef struct Path:
    Py_ssize_t p, n, targets
    # The columns: by their products (p, p), or as vectors (p, n) times the roots of the rows'
    # shares in the weight, or those of them that sparse rows store; others are NULL.
    const double *H
    const double *A
    const double *values
    const Py_ssize_t *indices
    const Py_ssize_t *indptr
    const double *mean          # (p,): what the stored sparse columns are to be shifted by
    const double *root          # (n,): the roots of the rows' shares
    const double *y             # (targets, n), times these roots
    const double *q             # (p, targets): X'y
    const double *squares       # (p,): the diagonal of H; columns with 0 have no weight
    double yy                   # |y|^2
    double rows                 # of X, for the stand-in of the gap without a penalty
    bint positive
    Py_ssize_t max_support      # with more nonzero weights the path ends
    bint is_over
    double l1, l2
    double *w                   # (p, targets)
    double *c                   # (p, targets): X'(y - X W), as of the last check of all columns
    double *r                   # (targets, n): y - X W
    double *step                # (targets,)
    double *column              # (n,): room for a sparse column
    double fit, residual        # y'(y - X W) and |y - X W|^2, as of the last check
    double objective            # as of the last `full_gap`
    Py_ssize_t m                # the working set
    Py_ssize_t *columns         # (p,)
    char *is_in                 # (p,)
    bint has_products           # of the working set, in G; otherwise sweeps update r
    double *G                   # (m, m) with rows of `capacity` numbers
    Py_ssize_t capacity
    double *v                   # (m,), as the following: w, c and q of the working set
    double *d
    double *of_y
    double *F                   # the factor of a Newton step: of `factored` columns, plus
    Py_ssize_t factored         # `factored_l2`
    Py_ssize_t factor_room
    double factored_l2
    Py_ssize_t *at              # (p,): the place of each column in the factor; -1: none
    Py_ssize_t *border          # (p,): places of the columns that it lacks, -1 for superfluous ones
    Py_ssize_t *places          # (p,): in the working set
    double *newton              # (p,): the step
    double largest, size        # of the last sweep: the largest change, the largest weight
    const int *stop
    Watch watch


cdef inline double soft(double u, double l1, bint positive) noexcept nogil:
    """argmin of w^2 / 2 - u w + l1 |w|, over w >= 0 if `positive`."""
    return u - l1 if u > l1 else (u + l1 if u < -l1 and not positive else 0.0)


cdef inline double strength(const Path *path, const double *u) noexcept nogil:
    """The size of a column's correlations: it moves from 0 where this is above l1."""
    cdef Py_ssize_t t
    cdef double total = 0
    if path.targets == 1:
        return u[0] if path.positive else fabs(u[0])
    for t in range(path.targets):
        total += u[t] * u[t]
    return sqrt(total)


# ---- columns ----


cdef inline double column_dot(const Path *path, Py_ssize_t j, const double *r,
                              double total) noexcept nogil:
    """x_j r, given the product of `root` and r."""
    cdef Py_ssize_t i
    cdef double dot = 0
    if path.A != NULL:
        return lanes_dot(path.A + j * path.n, r, path.n)
    for i in range(path.indptr[j], path.indptr[j + 1]):
        dot += path.values[i] * r[path.indices[i]]
    return dot - path.mean[j] * total


cdef inline void column_add(const Path *path, Py_ssize_t j, double by, double *r) noexcept nogil:
    """r += by x_j"""
    cdef Py_ssize_t i
    if path.A != NULL:
        dense_add(by, path.A + j * path.n, r, path.n)
        return
    for i in range(path.indptr[j], path.indptr[j + 1]):
        r[path.indices[i]] += by * path.values[i]
    if path.mean[j] != 0:
        dense_add(-by * path.mean[j], path.root, r, path.n)


cdef inline double root_dot(const Path *path, const double *r) noexcept nogil:
    """The product of `root` and r; dense columns are centred already and do not need it."""
    return lanes_dot(path.root, r, path.n) if path.A == NULL else 0.0


# ---- the duality gap ----


cdef double gap_of(const Path *path, double fit, double residual, double norm, double lengths,
                   double largest, double squares) noexcept nogil:
    """The duality gap, given sum |w_j|, |W|^2, and the largest strength of X'r - l2 W or, for
    l1 = 0, the sum of squares of X'r. See `dual_gap.dual_gaps`.
    """
    cdef double c = 1, l1 = path.l1, l2 = path.l2
    if l1 > 0:
        if largest > l1:
            c = l1 / largest
        return ((1 + c * c) / 2 * (residual + l2 * lengths) + l1 * norm - c * fit)
    if l2 > 0:
        return residual + l2 / 2 * lengths - fit + squares / (2 * l2)
    return path.rows * squares


cdef double set_gap(const Path *path) noexcept nogil:
    """The gap as if there were no other columns than those with products."""
    cdef Py_ssize_t k
    cdef double v, d, norm = 0, lengths = 0, largest = 0, squares = 0, inner = 0, left = 0
    for k in range(path.m):
        v, d = path.v[k], path.d[k]
        inner += v * path.of_y[k]
        left += v * d
        norm += fabs(v)
        lengths += v * v
        if not path.positive or d > 0:
            squares += d * d
        d -= path.l2 * v
        largest = max(largest, strength(path, &d))
    return gap_of(path, path.yy - inner, path.yy - inner - left, norm, lengths, largest, squares)


cdef double full_gap(Path *path) noexcept nogil:
    """The gap of the last check, at the present l1 and l2; sets the objective."""
    cdef Py_ssize_t j, t, at
    cdef double norm = 0, lengths = 0, largest = 0, squares = 0, length
    for j in range(path.p):
        length = 0
        for t in range(path.targets):
            at = j * path.targets + t
            length += path.w[at] * path.w[at]
            path.step[t] = path.c[at] - path.l2 * path.w[at]
            if not path.positive or path.c[at] > 0:
                squares += path.c[at] * path.c[at]
        # Squares of small weights may underflow.
        norm += fabs(path.w[j]) if path.targets == 1 else sqrt(length)
        lengths += length
        if path.squares[j] > 0:
            largest = max(largest, strength(path, path.step))
    path.objective = path.residual / 2 + path.l1 * norm + path.l2 / 2 * lengths
    return gap_of(path, path.fit, path.residual, norm, lengths, largest, squares)


cdef void check(Path *path) noexcept nogil:
    """Compute c, and the sums that the gap needs, of all columns."""
    cdef Py_ssize_t p = path.p, n = path.n, targets = path.targets, j, k, t
    cdef double total
    if path.has_products:
        for k in range(path.m):
            path.w[path.columns[k]] = path.v[k]
    if path.H != NULL:
        memcpy(path.c, path.q, p * sizeof(double))
        path.fit = path.residual = path.yy
        for j in range(p):
            if path.w[j] != 0:
                dense_add(-path.w[j], path.H + j * p, path.c, p)
                path.fit -= path.w[j] * path.q[j]
        path.residual = path.fit
        for j in range(p):
            path.residual -= path.w[j] * path.c[j]
        path.residual = max(path.residual, 0.0)
    else:
        memcpy(path.r, path.y, targets * n * sizeof(double))
        path.fit = path.residual = 0
        for t in range(targets):
            for j in range(p):
                if path.w[j * targets + t] != 0:
                    column_add(path, j, -path.w[j * targets + t], path.r + t * n)
            total = root_dot(path, path.r + t * n)
            for j in range(p):
                path.c[j * targets + t] = column_dot(path, j, path.r + t * n, total)
            if watch_work(&path.watch, p * n):
                return
            path.fit += lanes_dot(path.y + t * n, path.r + t * n, n)
            path.residual += lanes_dot(path.r + t * n, path.r + t * n, n)
    if path.has_products:
        for k in range(path.m):
            path.d[k] = path.c[path.columns[k]]


# ---- the working set ----


cdef bint reserve(Path *path, Py_ssize_t wanted) noexcept nogil:
    """Make room for the products of so many columns; return whether there is memory for them."""
    cdef Py_ssize_t capacity = path.capacity, k
    cdef double *G
    if wanted <= capacity:
        return True
    capacity = min(max(wanted, 2 * capacity), max(path.p, 1))
    G = <double *> malloc(capacity * capacity * sizeof(double))
    if G == NULL:
        return False
    for k in range(path.m):
        memcpy(G + k * capacity, path.G + k * path.capacity, path.m * sizeof(double))
    free(path.G)
    path.G, path.capacity = G, capacity
    return True


cdef void add_products(Path *path, Py_ssize_t j) noexcept nogil:
    """Append column j, and its products with the others, to the working set."""
    cdef Py_ssize_t m = path.m, k, i, other
    cdef double *row = path.G + m * path.capacity
    cdef double dot
    if path.values != NULL:
        memset(path.column, 0, path.n * sizeof(double))
        for i in range(path.indptr[j], path.indptr[j + 1]):
            path.column[path.indices[i]] += path.values[i]
    for k in range(m):
        other = path.columns[k]
        if path.H != NULL:
            dot = path.H[j * path.p + other]
        elif path.A != NULL:
            dot = lanes_dot(path.A + j * path.n, path.A + other * path.n, path.n)
        else:
            dot = -path.mean[j] * path.mean[other]
            for i in range(path.indptr[other], path.indptr[other + 1]):
                dot += path.values[i] * path.column[path.indices[i]]
        row[k] = dot
        path.G[k * path.capacity + m] = dot
    row[m] = path.squares[j]
    path.v[m], path.d[m], path.of_y[m] = path.w[j], path.c[j], path.q[j]


cdef void enter(Path *path, Py_ssize_t j) noexcept nogil:
    """Append column j to the working set, for which there is room."""
    if path.has_products:
        add_products(path, j)
    path.is_in[j] = 1
    path.columns[path.m] = j
    path.m += 1


cdef bint enter_support(Path *path) noexcept nogil:
    """Make the columns of nonzero weights the working set; return False if there is no memory."""
    cdef Py_ssize_t j, t, targets = path.targets, used = 0, k
    cdef bint is_zero
    for k in range(2):
        for j in range(path.p):
            is_zero = True
            for t in range(targets):
                if path.squares[j] <= 0 or (path.positive and path.w[j * targets + t] < 0):
                    path.w[j * targets + t] = 0
                is_zero = is_zero and path.w[j * targets + t] == 0
            if not is_zero and k == 0:
                used += 1
            elif not is_zero:
                enter(path, j)
        if k == 0:
            if used > MAX_SET and path.H == NULL:
                path.has_products = False
            if path.has_products and not reserve(path, used):
                return False
    return True


cdef Py_ssize_t count_above(const Path *path, double threshold) noexcept nogil:
    """The number of columns outside of the working set whose strength is above the threshold."""
    cdef Py_ssize_t j, count = 0
    for j in range(path.p):
        count += (not path.is_in[j] and path.squares[j] > 0
                  and strength(path, path.c + j * path.targets) > threshold)
    return count


cdef Py_ssize_t grow(Path *path, double threshold) noexcept nogil:
    """Add the columns whose strength is above the threshold, or the strongest of them if they are
    many; return their number, or -1 if there is no memory for them.
    """
    cdef Py_ssize_t j, t, targets = path.targets, added = count_above(path, threshold), k
    cdef Py_ssize_t used = 0, most, _
    cdef double low = threshold, high = 0, middle
    if added == 0:
        return 0
    for k in range(path.m):
        for t in range(targets):
            if path.w[path.columns[k] * targets + t] != 0:
                used += 1
                break
    most = max(<Py_ssize_t> MIN_GROWTH, 2 * used)
    if path.H == NULL and path.l1 > 0 and added > most:
        for j in range(path.p):
            high = max(high, strength(path, path.c + j * targets))
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            added = count_above(path, middle)
            if added > most:
                low = middle
            else:
                high = middle
                if 2 * added > most:
                    break
        added = count_above(path, high)
        # Equal strengths cannot be separated.
        threshold = high if added else low
        added = added if added else count_above(path, low)
    if path.has_products and path.H == NULL and (used > 2 * path.n
                                                 or path.m + added > MAX_SET):
        path.has_products = False
        free(path.G)
        path.G, path.capacity = NULL, 0
    if path.has_products and not reserve(path, path.m + added):
        return -1
    for j in range(path.p):
        if (not path.is_in[j] and path.squares[j] > 0
                and strength(path, path.c + j * targets) > threshold):
            enter(path, j)
    return added


cdef void prune(Path *path, double threshold) noexcept nogil:
    """Drop columns without a weight from the working set whose strength is at most the threshold,
    if they are most of it.
    """
    cdef Py_ssize_t m = path.m, k, i, j, kept = 0
    cdef Py_ssize_t *old
    if path.targets > 1 or m < MIN_GROWTH:
        return
    for k in range(m):
        j = path.columns[k]
        kept += path.w[j] != 0 or strength(path, path.c + j) > threshold
    if 2 * kept > m:
        return
    old = <Py_ssize_t *> malloc(m * sizeof(Py_ssize_t))
    if old == NULL:
        return
    kept = 0
    for k in range(m):
        j = path.columns[k]
        if path.w[j] != 0 or strength(path, path.c + j) > threshold:
            old[kept], path.columns[kept] = k, j
            kept += 1
        else:
            path.is_in[j] = 0
    if path.has_products:
        for k in range(kept):
            for i in range(kept):
                path.G[k * path.capacity + i] = path.G[old[k] * path.capacity + old[i]]
            path.v[k], path.d[k], path.of_y[k] = path.v[old[k]], path.d[old[k]], path.of_y[old[k]]
    path.m = kept
    free(old)


# ---- descent on the working set ----


cdef Py_ssize_t sweep_products(Path *path) noexcept nogil:
    """Minimise over one weight after the other, by products; return how many are not 0."""
    cdef Py_ssize_t m = path.m, k, used = 0
    cdef double curvature, new, change, scale
    cdef double *v = path.v
    cdef double *d = path.d
    path.largest = path.size = 0
    for k in range(m):
        if v[k] == 0 and strength(path, d + k) <= path.l1:
            continue
        curvature = path.G[k * path.capacity + k]
        new = soft(d[k] + curvature * v[k], path.l1, path.positive) / (curvature + path.l2)
        change, scale = new - v[k], sqrt(curvature)
        used += new != 0
        path.size = max(path.size, fabs(new) * scale)
        if change != 0:
            v[k] = new
            dense_add(-change, path.G + k * path.capacity, d, m)
            path.largest = max(path.largest, fabs(change) * scale)
    return used


cdef void sweep_residuals(Path *path) noexcept nogil:
    """Minimise over the weights of one column after the other, by residuals."""
    cdef Py_ssize_t n = path.n, targets = path.targets, k, t, j
    cdef double curvature, factor, change, scale, by, length, total
    cdef double *w
    path.largest = path.size = 0
    for k in range(path.m):
        if watch_work(&path.watch, 2 * n * targets):
            return
        j = path.columns[k]
        w, curvature = path.w + j * targets, path.squares[j]
        for t in range(targets):
            # The residuals of centred columns have no part along `root`.
            total = 0.0
            path.step[t] = column_dot(path, j, path.r + t * n, total) + curvature * w[t]
        length = strength(path, path.step)
        factor = (1 - path.l1 / length if length > path.l1 else 0.0) / (curvature + path.l2)
        scale, change, length = sqrt(curvature), 0, 0
        for t in range(targets):
            by = factor * path.step[t] - w[t]
            if by != 0:
                column_add(path, j, -by, path.r + t * n)
            w[t] = factor * path.step[t]
            change = max(change, fabs(by))
            length = max(length, fabs(w[t]))
        path.largest = max(path.largest, change * scale)
        path.size = max(path.size, length * scale)


cdef Py_ssize_t border_size(const Path *path, Py_ssize_t used) noexcept nogil:
    """The number of columns by which the nonzero weights differ from those of the stored factor; -1
    if it is of no use.
    """
    cdef Py_ssize_t k, common = 0, present = 0, size
    if path.factored == 0 or path.factored_l2 != path.l2:
        return -1
    for k in range(path.m):
        if path.at[path.columns[k]] >= 0:
            present += 1
            common += path.v[k] != 0
    size = used + path.factored - 2 * common
    # A column that has left the working set has no products.
    return size if present == path.factored and size * BORDER_SHARE <= path.factored else -1


cdef bint make_factor(Path *path, Py_ssize_t used) noexcept nogil:
    """Store the factor of the products of the nonzero weights, plus l2; return whether it exists.
    """
    cdef Py_ssize_t a, b, k, size = 0
    cdef int n = <int> used, fault = 0
    cdef const double *row
    path.factored = 0
    for k in range(path.p):
        path.at[k] = -1
    if used > path.factor_room:
        free(path.F)
        path.factor_room = min(2 * used, path.p)
        path.F = <double *> malloc(path.factor_room * path.factor_room * sizeof(double))
    if path.F == NULL:
        path.factor_room = 0
        return False
    for k in range(path.m):
        if path.v[k] != 0:
            path.places[size] = k
            path.at[path.columns[k]] = size
            size += 1
    for a in range(used):
        row = path.G + path.places[a] * path.capacity
        for b in range(a + 1):
            path.F[a * used + b] = row[path.places[b]]
        path.F[a * used + a] += RIDGE * path.F[a * used + a] + path.l2
    dpotrf("U", &n, path.F, &n, &fault)  # by columns: the upper triangle
    if fault == 0:
        path.factored, path.factored_l2 = used, path.l2
    return fault == 0


cdef bint solve_bordered(Path *path, Py_ssize_t used, Py_ssize_t border) noexcept nogil:
    """Replace path.newton, by nonzero weight, by the product with the inverse of their products
    plus l2. `border` weights are not among those of the stored factor, or are but have become 0:
    these add rows to the system, and their unknowns are solved for first.
    """
    cdef Py_ssize_t f = path.factored, q = border, i, j, k, at, a = 0, added = 0, column
    cdef int n = <int> f, columns = <int> (q + 1), small = <int> q, one = 1, fault = 0
    cdef double *Z = <double *> calloc(f * (2 * q + 1) + q * q + q, sizeof(double))
    cdef double *B = Z + f * (q + 1)        # (q, f)
    cdef double *M = B + f * q              # (q, q), symmetric
    cdef double *u = M + q * q              # (q,)
    cdef int *pivots = <int *> malloc((q + 1) * sizeof(int))
    cdef const double *row
    if Z == NULL or pivots == NULL:
        free(Z)
        free(pivots)
        return False
    # The last column of Z is that of the right-hand side.
    for k in range(path.m):
        column = path.columns[k]
        at = path.at[column]
        if path.v[k] != 0:
            if at >= 0:
                Z[q * f + at] = path.newton[a]
            else:
                row = path.G + k * path.capacity
                for j in range(path.m):
                    i = path.at[path.columns[j]]
                    if i >= 0:
                        B[added * f + i] = row[j]
                M[added * q + added] = row[k] * (1 + RIDGE) + path.l2
                u[added] = path.newton[a]
                path.border[added] = k
                added += 1
            a += 1
        elif at >= 0:
            B[added * f + at] = 1
            path.border[added] = -1
            added += 1
    for i in range(q):
        if path.border[i] < 0:
            continue
        row = path.G + path.border[i] * path.capacity
        for j in range(q):
            if j != i and path.border[j] >= 0:
                M[i * q + j] = row[path.border[j]]
    memcpy(Z, B, f * q * sizeof(double))
    dpotrs("U", &n, &columns, path.F, &n, Z, &n, &fault)
    for i in range(q):
        for j in range(q):
            M[i * q + j] -= lanes_dot(B + i * f, Z + j * f, f)
        u[i] -= lanes_dot(B + i * f, Z + q * f, f)
    if q > 0 and fault == 0:
        dgesv(&small, &one, M, &small, pivots, u, &small, &fault)
    for j in range(q if fault == 0 else 0):
        dense_add(-u[j], Z + j * f, Z + q * f, f)
    a = added = 0
    for k in range(path.m):
        at = path.at[path.columns[k]]
        if path.v[k] != 0:
            path.newton[a] = Z[q * f + at] if at >= 0 else u[added]
            added += at < 0
            a += 1
        elif at >= 0:
            added += 1
    free(Z)
    free(pivots)
    return fault == 0


cdef double newton_step(Path *path, Py_ssize_t used) noexcept nogil:
    """Take a Newton step of the nonzero weights, up to the first sign change; return how much of it
    was taken, 1 for all, -1 if there was none.
    """
    cdef Py_ssize_t a = 0, k, border = border_size(path, used)
    cdef double t = 1, v, by
    cdef double *step = path.newton
    if border < 0:
        border = 0
        if not make_factor(path, used):
            return -1
    for k in range(path.m):
        v = path.v[k]
        if v != 0:
            path.places[a] = k
            step[a] = path.d[k] - path.l2 * v - (path.l1 if v > 0 else -path.l1)
            a += 1
    if not solve_bordered(path, used, border):
        return -1
    for a in range(used):
        v = path.v[path.places[a]]
        if (path.l1 > 0 or path.positive) and v * (v + t * step[a]) < 0:
            t = -v / step[a]
    for a in range(used):
        k = path.places[a]
        v = path.v[k]
        by = t * step[a]
        if (path.l1 > 0 or path.positive) and t < 1 and fabs(v + by) <= 1e-15 * fabs(v):
            by = -v
        path.v[k] = v + by
        dense_add(-by, path.G + k * path.capacity, path.d, path.m)
    return t


cdef bint newton_steps(Path *path, Py_ssize_t used) noexcept nogil:
    """Newton steps until one changes no sign; return whether there was one."""
    cdef Py_ssize_t k, _, left = used
    cdef double taken = 0
    for _ in range(MAX_NEWTON_STEPS):
        taken = newton_step(path, left)
        if taken < 0 or taken == 1 or watch_work(&path.watch, left * left * left // 6):
            break
        left = 0
        for k in range(path.m):
            left += path.v[k] != 0
        if left == 0:
            break
    return taken >= 0


cdef bint solve_set(Path *path, double tolerance, double change, Py_ssize_t *iterations,
                    Py_ssize_t max_iter) noexcept nogil:
    """Sweeps over the working set until the changes of its weights, relative to the largest, are at
    most `change` and its gap is at most `tolerance`; return False if nothing moves any more.
    """
    cdef Py_ssize_t used = 0, border
    cdef double work = 0, patience = 1, factor_work
    while iterations[0] < max_iter and not path.stop[0]:
        iterations[0] += 1
        if path.has_products:
            used = sweep_products(path)
        else:
            sweep_residuals(path)
        if watch_work(&path.watch, used * path.m) or watch_is_over(&path.watch):
            return True
        if used > path.max_support:
            path.is_over = True
            return True
        if path.largest <= change * path.size:
            if not path.has_products or set_gap(path) <= tolerance:
                return True
            if path.largest == 0:
                return False
        work += <double> used * path.m
        border = border_size(path, used)
        factor_work = (2 * border if border >= 0 else used / 6.0) / FACTOR_SPEED
        if (path.has_products and used > 1
                and work >= patience * used * used * (factor_work + 2)):
            if not newton_steps(path, used):
                patience *= 2
            work = 0
    return True


cdef int descend(Path *path, const double *l1s, const double *l2s, const double *tolerances,
                 Py_ssize_t size, double tol, Py_ssize_t max_iter, double *weights, double *gaps,
                 double *objectives, Py_ssize_t *iterations) noexcept nogil:
    """The path; returns 1 if there was no memory."""
    cdef Py_ssize_t a, k, added, length = path.p * path.targets, rounds
    cdef double tolerance, gap, inner, change, before, threshold
    cdef bint moves
    if not enter_support(path):
        return 1
    check(path)
    before = 0
    for a in range(path.p):
        if path.squares[a] > 0:
            before = max(before, strength(path, path.c + a * path.targets))
    for a in range(size):
        path.l1, path.l2, tolerance = l1s[a], l2s[a], tolerances[a]
        iterations[a], rounds, inner, change = 0, 0, tolerance, tol
        gap = full_gap(path)
        if not 0 <= gap <= tolerance:
            threshold = 2 * path.l1 - before if path.l1 > 0 else -1.0
            prune(path, threshold)
            if grow(path, threshold) < 0:
                return 1
            while not path.stop[0]:
                moves = solve_set(path, inner, change, &iterations[a], max_iter)
                if path.is_over:
                    for k in range(a, size):
                        gaps[k], objectives[k], iterations[k] = INFINITY, INFINITY, -1
                    return 0
                check(path)
                if watch_is_over(&path.watch):
                    return 0
                gap = full_gap(path)
                if gap <= tolerance:
                    break
                added = grow(path, path.l1)
                if added < 0:
                    return 1
                if iterations[a] >= max_iter:
                    break
                if added == 0:
                    rounds += 1
                    inner *= TIGHTER
                    change *= TIGHTER
                    if not moves or rounds > MAX_ROUNDING_ROUNDS:
                        break
        gaps[a], objectives[a] = gap, path.objective
        before = path.l1
        memcpy(weights + a * length, path.w, length * sizeof(double))
    return 0


def descend_path(columns, y_products, const double[::1] squares not None, totals, penalties,
                 settings, const double[:, ::1] start, out, const int[::1] stop not None):
    """Compute a path of `size` points.

    Parameters
    ----------
    columns : (H, None), (A, Y) or (values, indices, indptr, mean, root, Y)
        H (p, p) are the products of the columns. The rows of A (p, n) are the columns, those of
        Y (targets, n) the targets, both times the roots of the rows' shares in the weight. Sparse
        columns are stored one after the other; column j is ``values - mean[j] * root``.
    y_products : ndarray of shape (p, targets)
        X'y.
    squares : ndarray of shape (p,)
        |x_j|^2; a column with 0 has no weight.
    totals : (float, float)
        |y|^2, and the number of rows.
    penalties : (ndarray, ndarray, ndarray), of shape (size,) each
        l1 and l2 of the points, and the duality gaps at which they are done.
    settings : (tol, max_iter, positive, max_support)
        Sweeps go on until the weights change by at most `tol` of the largest one. With one target,
        the path ends at a point with more than `max_support` nonzero weights.
    start : ndarray of shape (p, targets), or None
        The weights to start from.
    out : (weights, gaps, objectives, iterations)
        What is computed: an array of shape (size, p, targets), and three of shape (size,). Where
        the path has ended, `gaps` are infinite and `iterations` -1.
    stop : ndarray of int32, shape (1,)
        Another thread may set it to 1 to end the descent.
    """
    cdef Path path
    cdef const double[:, ::1] H, A, Y, q = y_products
    cdef const double[::1] values, mean, root, l1 = penalties[0], l2 = penalties[1]
    cdef const double[::1] tolerances = penalties[2]
    cdef const Py_ssize_t[::1] indices, indptr
    cdef double[:, :, ::1] weights = out[0]
    cdef double[::1] gaps = out[1], objectives = out[2]
    cdef Py_ssize_t[::1] iterations = out[3]
    cdef Py_ssize_t p = q.shape[0], targets = q.shape[1], size = l1.shape[0], n = 0, room, j
    cdef double tol = settings[0]
    cdef Py_ssize_t max_iter = settings[1]
    cdef double *memory
    cdef int fault
    if (squares.shape[0] != p or l2.shape[0] != size or tolerances.shape[0] != size
            or gaps.shape[0] != size or objectives.shape[0] != size
            or iterations.shape[0] != size or stop.shape[0] != 1
            or not (weights.shape[0] == size and weights.shape[1] == p
                    and weights.shape[2] == targets)
            or (start is not None and not (start.shape[0] == p and start.shape[1] == targets))):
        raise ValueError("the arrays do not fit one another")
    if p == 0 or size == 0 or targets == 0:
        return
    memset(&path, 0, sizeof(Path))
    path.p, path.targets = p, targets
    if len(columns) == 6:
        values, indices, indptr, mean, root, Y = columns
        n = Y.shape[1]
        if (indptr.shape[0] != p + 1 or mean.shape[0] != p or root.shape[0] != n
                or Y.shape[0] != targets or indptr[0] != 0
                or indptr[p] != min(values.shape[0], indices.shape[0])):
            raise ValueError("the sparse columns do not fit one another")
        for j in range(p):
            if indptr[j + 1] < indptr[j]:
                raise ValueError("indptr descends")
        check_order(indices, n)
        path.values, path.indptr = start_of(values), &indptr[0]
        path.indices = &indices[0] if indices.shape[0] else &indptr[0]
        path.values = path.values if path.values != NULL else &mean[0]
        path.mean, path.root, path.y = &mean[0], start_of(root), &Y[0, 0]
    elif columns[1] is not None:
        A, Y = columns
        n = Y.shape[1]
        if A.shape[0] != p or A.shape[1] != n or Y.shape[0] != targets or n == 0:
            raise ValueError("the columns do not fit one another")
        path.A, path.y = &A[0, 0], &Y[0, 0]
    else:
        H = columns[0]
        if H.shape[0] != p or H.shape[1] != p or targets != 1:
            raise ValueError("H must have a row and a column of each weight, and one target")
        path.H = &H[0, 0]
    path.n, path.q, path.squares = n, &q[0, 0], &squares[0]
    path.yy, path.rows = totals
    path.positive, path.has_products, path.max_support = settings[2], targets == 1, settings[3]
    path.stop = &stop[0]
    room = 2 * p * targets + targets * n + targets + n + 4 * p
    memory = <double *> calloc(room, sizeof(double))
    path.columns = <Py_ssize_t *> calloc(4 * p, sizeof(Py_ssize_t))
    path.is_in = <char *> calloc(p, sizeof(char))
    if memory == NULL or path.columns == NULL or path.is_in == NULL:
        free(memory)
        free(path.columns)
        free(path.is_in)
        raise MemoryError()
    path.w, path.c = memory, memory + p * targets
    path.r = path.c + p * targets
    path.step = path.r + targets * n
    path.column = path.step + targets
    path.v = path.column + n
    path.d, path.of_y, path.newton = path.v + p, path.v + 2 * p, path.v + 3 * p
    path.at, path.places, path.border = path.columns + p, path.columns + 2 * p, path.columns + 3 * p
    if start is not None:
        memcpy(path.w, &start[0, 0], p * targets * sizeof(double))
    watch_start(&path.watch)
    with nogil:
        fault = descend(&path, &l1[0], &l2[0], &tolerances[0], size, tol, max_iter,
                        &weights[0, 0, 0], &gaps[0], &objectives[0], &iterations[0])
    free(memory)
    free(path.columns)
    free(path.is_in)
    free(path.G)
    free(path.F)
    watch_end(&path.watch)
    if fault:
        raise MemoryError("no memory for the products of the columns of a working set")
