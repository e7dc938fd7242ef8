"""Newton's method for many binary logistic regressions on the same rows X, side by side.

Each column of weights has row weights, a penalty and a stopping decision of its own: folds times
penalties of a cross-validation are columns of one problem. Directions are found by conjugate
gradients (CG) with the preconditioners of `column_preconditioners`, and an exact line search in the
margins. Products with X are products of matrices, by BLAS, and only of columns that still move.

Rows are read in blocks whose sums are added in a fixed order: the number of threads does not
change a bit. Sources: Nocedal and Wright, Numerical Optimization, chapter 7; Lin, Weng and Keerthi,
"Trust region Newton method for large-scale logistic regression", JMLR 9 (2008).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import sparse

from fastgd.kernels.logistic_columns import derivatives, line
from fastgd.methods.column_preconditioners import (
    MAX_CG_PASSES,
    Preconditioners,
    Reference,
    dense_steps,
    sampled_rows,
)
from fastgd.methods.conjugate_gradients import (
    MIN_CURVATURE,
    RELIABLE_CG_STEPS,
    SMALL_RITZ_VALUE,
    TYPICAL_EIGENVALUE,
    UNSEEN_EIGENVALUE_RATIO,
)
from fastgd.methods.full_batch import (
    LINE_SLOPE_RATIO,
    MAX_LINE_EVALUATIONS,
    extrapolated,
    within,
)
from fastgd.methods.newton import (
    CG_DECREMENT_TOLERANCE,
    CG_RESIDUAL_FLOOR,
    DECREMENT_UNCERTAINTY,
    MAX_SLOPE_LEFT,
    RELATIVE_RIDGE,
    STALLED_DECREMENT_RATIO,
    Newton,
)
from fastgd.methods.preconditioner import MAX_FACTOR_NUMBERS, RIDGE_FEW_ROWS
from fastgd.problem.duality import rounding_of
from fastgd.problem.linearization import subsample_rows
from fastgd.problem.losses import MIN_FREQUENCY
from fastgd.problem.records import Record

# Numbers of a block of rows: 2 MB, which stay in the cache between the two products with them.
BLOCK_NUMBERS = 2**18
# Rows of a block: fewer take longer to call BLAS for, more leave too few blocks for threads.
MIN_BLOCK_ROWS, MAX_BLOCK_ROWS = 64, 8192
# Margins (rows x columns) of the columns that are trained at a time, at most: 32 MB for each of
# five arrays. At least MIN_COLUMNS, because a product with one column takes as long as with 8.
MAX_MARGINS = 2**22
MIN_COLUMNS = 8
# Rows, at most, on which curvatures are compared with those of a preconditioner.
COMPARED_ROWS = 2000
# A column of X with a row of more than this share of its squared deviations is one of few rows. Its
# curvature may vanish while the total hardly changes, and CG needs many steps to notice that.
RARE_SHARE = 0.02
# The number of CG steps up to which Ritz values are computed after each step, then every fifth.
FREQUENT_RITZ_PASSES = 20
# An actual decrease of more than this multiple of the estimated distance refutes the estimate.
REFUTED_RATIO = 2.0


class Columns(Record):
    """Independent problems: columns k with row weights `weights[:, group[k]]` and strength `C[k]`.

    The objective of column k is sum_i s_i log(1 + exp(-y_i z_i)) / S + |w|^2 / (2 C S), with row
    weights s of sum S.
    """

    weights: np.ndarray
    group: np.ndarray
    C: np.ndarray


class Start(Record):
    """Where columns begin: at `v` (p + 1, columns), after `passes` over X, with the references of
    an earlier training.

    A column ends within `tol_share` of `tol`, and where it has at most `distance_share` of its
    decrease since the start still before it.
    """

    v: np.ndarray
    passes: np.ndarray
    references: list
    tol_share: np.ndarray
    distance_share: np.ndarray


class Solution(Record):
    """What was found for each column: `v` (p + 1, columns) in the coordinates of the solver; the
    objective, its distance from the minimum relative to the best constant model's, passes over X,
    and why the column stopped.
    """

    v: np.ndarray
    loss: np.ndarray
    optimality: np.ndarray
    passes: np.ndarray
    reason: np.ndarray


class NewtonColumns:
    """Train columns on dense or CSR rows X, labels y = +1 or -1, in the scaled columns of `metric`.

    X has to have at most `MAX_DENSE_COLUMNS` columns. Its blocks of rows are converted to float64.
    """

    solver = "newton-cg"

    def __init__(self, X, y, metric, intercept, tol, max_iter, threads):
        self._X, self.y, self.tol, self.max_iter = X, y, tol, max_iter
        self._center, self.inverse, self.intercept = metric.center, metric.inverse, intercept
        self._uses_all_rows = bool(metric.stands_out.any())
        peak = np.zeros(len(metric.scale)) if metric.peak is None else metric.peak
        self.rare = np.flatnonzero((peak > RARE_SHARE) & (metric.scale > 0))
        self._threads = threads
        # The CG steps of a column with a diagonal preconditioner, at most, before a dense one.
        steps = dense_steps(X)
        self.diagonal_steps = steps if steps > MAX_CG_PASSES else 0
        n, p = X.shape
        stored = X.nnz // n if sparse.issparse(X) else p
        size = int(np.clip(BLOCK_NUMBERS // max(stored, 1), MIN_BLOCK_ROWS, MAX_BLOCK_ROWS))
        self._blocks = [slice(start, min(start + size, n)) for start in range(0, n, size)]
        # The blocks of sparse rows, whose slices are copies.
        self._slices = {}
        if sparse.issparse(X):
            self._slices = {rows.start: X[rows] for rows in self._blocks}
        self.compared = np.arange(0, n, -(-n // COMPARED_ROWS))
        self._pool = None

    def __enter__(self):
        if self._threads > 1 and len(self._blocks) > 1:
            self._pool = ThreadPoolExecutor(min(self._threads, len(self._blocks)))
        return self

    def __exit__(self, *_):
        if self._pool:
            self._pool.shutdown()

    @property
    def most_columns(self):
        """The number of columns to train at a time, at most."""
        return max(MIN_COLUMNS, MAX_MARGINS // self._X.shape[0])

    @property
    def most_penalties(self):
        """The number of different C to train at a time, at most: each has a factor."""
        return max(1, MAX_FACTOR_NUMBERS // (len(self.inverse) + 1) ** 2)

    def to_user(self, v):
        """(coef (columns, p), intercept (columns,)) of columns v."""
        coef = (v[:-1] * self.inverse[:, None]).T
        return coef, v[-1] - coef @ self._center

    def train(self, columns, start=None):
        """The `Solution` of each column, from a `Start` or the best constant models, and the
        `Reference`s at the end.
        """
        return _Training(self, columns, start).run()

    # ---- passes over the rows ----

    def map(self, function, tasks):
        """The results of a function of each task, in their order."""
        return self._pool.map(function, tasks) if self._pool else map(function, tasks)

    def sums(self, function):
        """The sums of the arrays that a function of a slice of rows returns, over all slices."""
        total = None
        for parts in self.map(function, self._blocks):
            total = [a + b for a, b in zip(total, parts, strict=True)] if total else parts
        return total

    def _rows(self, rows):
        """A slice of X, float64."""
        part = self._slices[rows.start] if self._slices else self._X[rows]
        return part.astype(np.float64, copy=False)

    def margins_of(self, rows, v):
        """The margins (rows, columns) of v on a slice of rows."""
        w = v[:-1] * self.inverse[:, None]
        z = self._rows(rows) @ w
        z += v[-1] - self._center @ w
        return z

    def products(self, rows, s):
        """X' s in the user's columns, the sums of s as the last row."""
        return np.vstack([self._rows(rows).T @ s, s.sum(axis=0)])

    def rare_squares(self, rows):
        """The squares of the `rare` columns, scaled, on a slice of rows."""
        X = self._rows(rows)[:, self.rare]
        if sparse.issparse(X):  # its center is 0
            return X.multiply(self.inverse[self.rare]).tocsr().power(2)
        return ((X - self._center[self.rare]) * self.inverse[self.rare]) ** 2

    def to_scaled(self, products):
        """The same sums in scaled columns; 0 for a missing intercept."""
        total = products[-1:]
        g = np.empty_like(products)
        g[:-1] = (products[:-1] - self._center[:, None] * total) * self.inverse[:, None]
        g[-1] = total * self.intercept
        return g

    def reference(self, weights, curvature, is_exact):
        """A `Reference` at row weights (of sum 1) and curvatures."""
        h = weights * curvature
        n, p = self._X.shape
        most = n if is_exact or self._uses_all_rows else sampled_rows(self._X)
        sampled = subsample_rows(h, most)
        rows = np.flatnonzero(sampled)
        matrix = np.zeros((p + 1, p + 1))
        size = max(BLOCK_NUMBERS // max(p, 1), MIN_BLOCK_ROWS)  # of dense copies
        for start in range(0, len(rows), size):
            block = rows[start : start + size]
            A = self._X[block]
            A = (A.toarray() if sparse.issparse(A) else A).astype(np.float64, copy=False)
            root = np.sqrt(sampled[block])
            A -= self._center
            A *= root[:, None]
            matrix[:-1, :-1] += A.T @ A
            matrix[-1, :-1] += root @ A
        if self.intercept:
            matrix[-1, -1] = sampled.sum()
        matrix[-1, :-1] *= self.intercept
        matrix[:-1, -1] = matrix[-1, :-1]
        scale = np.append(self.inverse, 1.0)
        matrix *= scale
        matrix *= scale[:, None]
        ridge = RIDGE_FEW_ROWS if len(rows) <= p and most < n else RELATIVE_RIDGE
        ridge *= max(float(h.sum()), 1e-300)
        return Reference(curvature[self.compared], matrix, ridge)


class _Training:
    """One call of `NewtonColumns.train`."""

    def __init__(self, solver, columns, start):
        self._solver, self._columns = solver, columns
        self._y = solver.y
        self._weights, self._group = np.ascontiguousarray(columns.weights), columns.group
        totals = columns.weights.sum(axis=0)
        S = totals[columns.group]
        self._S, inverse = S, np.append(solver.inverse, 0.0)
        self._l2 = (inverse * inverse)[:, None] / (columns.C * S)
        references = list(start.references) if start else []
        self._preconditioners = Preconditioners(solver, columns, self._l2, references)
        frequency = (self._y > 0) @ columns.weights / totals
        f = np.clip(frequency, MIN_FREQUENCY, 1 - 1e-16)[columns.group]
        n, size = len(self._y), len(columns.C)
        if solver.intercept:
            self._constant, f0 = np.log(f / (1 - f)), frequency[columns.group]
            self._constant_loss = f0 * np.logaddexp(0, -self._constant)
            self._constant_loss += (1 - f0) * np.logaddexp(0, self._constant)
        else:
            self._constant, self._constant_loss = np.zeros(size), np.full(size, np.log(2))
        self._tol, self._passes = np.full(size, solver.tol), np.zeros(size, int)
        self._distance_share = np.full(size, np.inf)
        if start:
            self._v, self._passes = start.v.copy(), start.passes.copy()
            self._tol *= start.tol_share
            self._distance_share = start.distance_share
        else:
            self._v = np.zeros((len(inverse), size))
            self._v[-1] = self._constant
        self._z, self._h = np.empty((n, size)), np.empty((n, size))
        self._u = np.empty((n, size))
        self._g, self._loss, self._start_loss = np.zeros_like(self._v), np.zeros(size), None
        # The extreme Ritz values of each column's earlier directions.
        self._least, self._most = np.full(size, np.inf), np.zeros(size)
        self._decrement, self._stalled = np.full(size, np.inf), np.zeros(size, int)
        self._optimality = np.full(size, np.inf)
        self._reason = np.full(size, "max_iter", dtype=object)
        # Whether the last full step of a column left little of the slope.
        self._is_model_true = np.zeros(size, bool)

    def run(self):
        """(`Solution`, references)"""
        self._set_margins()
        moving = np.arange(len(self._S))
        while len(moving):
            self._gradient(moving)
            if self._start_loss is None:
                self._start_loss = self._loss.copy()
            self._passes[moving] += 1
            changed = self._preconditioners.choose(moving, self._z, self._h)
            # What earlier directions have shown of another preconditioner says nothing of this.
            self._least[changed], self._most[changed] = np.inf, 0.0
            squared = self._squared_norms(moving)
            is_over = self._end_by_earlier(moving, squared)
            moving = moving[~is_over]
            if not len(moving):
                break
            x, found = self._direction(moving)
            before = self._loss[moving]
            self._search(moving, x)
            # An estimate that the step refutes does not count.
            limit = REFUTED_RATIO * found[0] + self._rounding(moving)
            is_true = self._is_model_true[moving] & (before - self._loss[moving] <= limit)
            ends = (found[1] <= self._limits(moving)) & is_true
            self._end(moving[ends], found[1][ends], "tol")
            stalls = ~ends & (self._stalled[moving] > 1)
            self._end(moving[stalls], found[1][stalls], "rounding")
            late = ~ends & ~stalls & (self._passes[moving] >= self._solver.max_iter)
            self._optimality[moving[late]] = found[1][late]
            moving = moving[~(ends | stalls | late)]
        solution = Solution(self._v, self._loss, self._optimality, self._passes, self._reason)
        return solution, self._preconditioners.references

    def _end(self, columns, optimality, reason):
        self._optimality[columns], self._reason[columns] = optimality, reason

    def _rounding(self, columns):
        """The rounding error of the objectives of columns."""
        worst = np.maximum(np.abs(self._loss[columns]), self._constant_loss[columns])
        return rounding_of(1.0, 1.0) * worst

    # ---- passes ----

    def _set_margins(self):
        def function(rows):
            self._z[rows] = self._solver.margins_of(rows, self._v)
            return ()

        self._solver.sums(function)

    def _gradient(self, columns):
        """Compute objectives, gradients and curvatures of columns at their margins."""
        group = self._group[columns]
        every = len(columns) == len(self._S)

        def function(rows):
            z, h = self._z[rows], self._h[rows]
            if not every:
                z = z.take(columns, axis=1)
                h = np.empty_like(z)
            loss, slope = derivatives(self._y[rows], z, self._weights[rows], group, h)
            if not every:
                self._h[rows, columns] = h
            return loss, self._solver.products(rows, slope)

        loss, products = self._solver.sums(function)
        S, v, l2 = self._S[columns], self._v[:, columns], self._l2[:, columns]
        self._loss[columns] = loss / S + (l2 * v * v).sum(axis=0) / 2
        self._g[:, columns] = self._solver.to_scaled(products) / S + l2 * v

    def _hessian_products(self, columns, d):
        """(Hessians of columns times directions d, margins of d)"""
        u = np.empty((len(self._y), len(columns)))
        every = len(columns) == len(self._S)

        def function(rows):
            u[rows] = self._solver.margins_of(rows, d)
            h = self._h[rows] if every else self._h[rows][:, columns]
            return (self._solver.products(rows, h * u[rows]),)

        (products,) = self._solver.sums(function)
        self._passes[columns] += 1
        return self._solver.to_scaled(products) / self._S[columns] + self._l2[:, columns] * d, u

    # ---- distances ----

    def _squared_norms(self, columns):
        """g' M^-1 g of each column."""
        g = self._g[:, columns]
        return np.maximum((g * self._preconditioners.solve(columns, g)).sum(axis=0), 0.0)

    def _total(self, columns, gained):
        """What the best constant models leave to gain, at least the rounding error."""
        gain = self._constant_loss[columns] - self._loss[columns] + gained
        return np.maximum(gain, self._rounding(columns))

    def _limits(self, columns, gained=0.0):
        """The distance within which each column ends, relative like `tol`, after a step that gains
        this much.
        """
        decrease = np.maximum(self._start_loss[columns] - self._loss[columns] + gained, 0.0)
        limit = self._distance_share[columns] * np.maximum(decrease, self._rounding(columns))
        return np.minimum(self._tol[columns], limit / self._total(columns, gained))

    def _lowest(self, columns, least, passes):
        """A lower bound of the preconditioned Hessian's eigenvalues, by those of CG."""
        lower = np.minimum(np.minimum(least, self._least[columns]), TYPICAL_EIGENVALUE)
        lower = np.minimum(lower, self._preconditioners.rare_least[columns])
        is_short = passes < min(len(self._v), RELIABLE_CG_STEPS)
        hidden = np.where((lower <= SMALL_RITZ_VALUE) & is_short, UNSEEN_EIGENVALUE_RATIO, 1.0)
        return lower, np.maximum(lower * hidden, 1e-16)

    def _end_by_earlier(self, columns, squared):
        """End the columns that are within `tol` by the eigenvalues of an earlier direction; return
        which.
        """
        _, least = self._lowest(columns, np.inf, 0)
        upper = squared / 2 / least
        share = upper / self._total(columns, squared / 2)
        is_known = (self._most[columns] > 0) & self._is_model_true[columns]
        is_nothing = (upper <= self._rounding(columns)) & is_known
        ends = (share <= self._limits(columns)) & is_known | (squared == 0)
        stalled = is_nothing & ~ends & (self._stalled[columns] > 0)
        self._end(columns[ends], share[ends], "tol")
        self._end(columns[stalled], share[stalled], "rounding")
        return ends | stalled

    def _direction(self, columns):
        """(directions x, (distances of the points before, the same relative)) by CG on H x = -g;
        the margins of x are in `_u`.
        """
        size = len(columns)
        g = self._g[:, columns]
        x, r = np.zeros_like(g), -g
        d = self._preconditioners.solve(columns, r)
        rs = first = np.maximum((r * d).sum(axis=0), 0.0)
        self._u[:, columns] = 0.0
        live, share, distance = np.arange(size), np.full(size, np.inf), np.full(size, np.inf)
        gained = np.zeros(size)
        least, most = np.full(size, np.inf), np.zeros(size)
        alphas, betas = [], []
        forcing = np.minimum(Newton.forcing, np.sqrt(rs / 2 / self._total(columns, rs / 2)))
        most_steps = self._preconditioners.most_steps(columns)
        steps, is_slow = np.zeros(size, int), np.zeros(size, bool)
        for passes in range(1, most_steps.max() + 1):
            at = columns[live]
            product, u = self._hessian_products(at, d[:, live])
            curvature = (d[:, live] * product).sum(axis=0)
            curved = curvature > MIN_CURVATURE * rs[live]
            alpha = np.where(curved, rs[live] / np.where(curved, curvature, 1), float(passes == 1))
            x[:, live] += alpha * d[:, live]
            r[:, live] -= alpha * product
            self._add_margins(at, alpha, u)
            s = self._preconditioners.solve(at, r[:, live])
            before = rs[live]
            now = np.where(curved, np.maximum((r[:, live] * s).sum(axis=0), 0.0), 0.0)
            beta = np.divide(now, before, where=before > 0, out=np.zeros_like(now))
            d[:, live] = s + beta * d[:, live]
            rs = rs.copy()
            rs[live] = now
            alphas.append(np.zeros(size))
            betas.append(np.zeros(size))
            alphas[-1][live], betas[-1][live] = alpha * curved, beta
            if passes <= FREQUENT_RITZ_PASSES or passes % 5 == 0:
                least[live], most[live] = _ritz_values(alphas, betas, live)
            gained[live] = -(g[:, live] * x[:, live]).sum(axis=0) / 2
            low, bound = self._lowest(at, least[live], passes)
            upper, lower = now / 2 / bound, now / 2 / np.maximum(most[live], low)
            total = self._total(at, gained[live])
            is_accurate = upper <= DECREMENT_UNCERTAINTY * gained[live]
            estimate = np.where(is_accurate, gained[live] + (upper + lower) / 2, np.inf)
            distance[live], share[live] = estimate, estimate / total
            limit = self._limits(at, gained[live])
            enough = Newton.cg_tol_share * limit * total
            small = enough / np.maximum(gained[live], 1e-300)
            remainder = now / np.maximum(first[live], 1e-300)
            settled = remainder <= np.maximum(forcing[live] ** 2, small)
            # Only a direction that may be the last one needs an accurate distance.
            is_far = gained[live] > limit * total
            settled &= is_far | (upper <= CG_DECREMENT_TOLERANCE * gained[live])
            settled |= (remainder <= CG_RESIDUAL_FLOOR) | (share[live] <= limit)
            settled |= self._passes[at] >= self._solver.max_iter
            steps[live] = passes
            is_slow[live] = ~settled & (passes >= most_steps[live])
            live = live[~settled & ~is_slow[live]]
            if not len(live):
                break
        self._preconditioners.count_steps(columns, steps, is_slow)
        self._least[columns] = np.minimum(2 * self._least[columns], least)
        self._most[columns] = most
        rounding = self._rounding(columns)
        stalls = (gained <= rounding) & (
            gained > STALLED_DECREMENT_RATIO * self._decrement[columns]
        )
        self._stalled[columns] = np.where(stalls, self._stalled[columns] + 1, 0)
        self._decrement[columns] = gained
        return x, (distance, share)

    def _add_margins(self, columns, alpha, u):
        every = len(columns) == len(self._S)

        def function(rows):
            if every:
                self._u[rows] += alpha * u[rows]
            else:
                self._u[rows, columns] += alpha * u[rows]
            return ()

        self._solver.sums(function)

    # ---- the line search ----

    def _search(self, columns, x):
        """Move columns along x to where the slopes are at most `LINE_SLOPE_RATIO` of the first."""
        size, v, l2 = len(columns), self._v[:, columns], self._l2[:, columns]
        start, value0 = (self._g[:, columns] * x).sum(axis=0), self._loss[columns]
        penalties = [(l2 * a * b).sum(axis=0) for a, b in ((v, v), (v, x), (x, x))]
        limit = value0 + self._rounding(columns)
        low, high = np.zeros(size), np.full(size, np.inf)
        below, above = start.copy(), np.full(size, np.inf)
        t, last, last_slope = np.ones(size), np.zeros(size), start
        value, slope = np.empty(size), np.empty(size)
        left = np.arange(size)
        for _ in range(MAX_LINE_EVALUATIONS):
            value[left], slope[left] = self._line(columns[left], t[left], penalties, left)
            if len(left) == size and (t == 1).all():
                share = np.abs(slope) / np.maximum(np.abs(start), 1e-300)
                self._is_model_true[columns] = share <= MAX_SLOPE_LEFT
            good = (np.abs(slope) <= LINE_SLOPE_RATIO * np.abs(start)) & (value <= limit)
            left = np.flatnonzero(~good)
            if not len(left):
                break
            up = (slope > 0) | ~np.isfinite(value)
            # Beyond a slope within rounding the objective may rise: halve.
            up |= (value > limit) & ~good
            high, above = np.where(up & ~good, t, high), np.where(up & ~good, slope, above)
            low, below = np.where(~up & ~good, t, low), np.where(~up & ~good, slope, below)
            with np.errstate(all="ignore"):
                further = extrapolated(last, last_slope, t, slope)
                trial = within(low, high, below, above, otherwise=further)
            last, last_slope = t.copy(), slope.copy()
            t = np.where(good, t, trial)
        if len(left):
            bad = left[~(value[left] <= limit[left])]
            t[bad] = low[bad]
            value[bad], _ = self._line(columns[bad], t[bad], penalties, bad)
        self._v[:, columns] = v + t * x
        self._loss[columns] = value

        def function(rows):
            self._z[rows, columns] += t * self._u[rows][:, columns]
            return ()

        self._solver.sums(function)

    def _line(self, columns, t, penalties, places):
        """(values, slopes) of the objectives of columns at steps t."""
        group = self._group[columns]
        every = len(columns) == len(self._S)

        def function(rows):
            z, u = self._z[rows], self._u[rows]
            if not every:
                z, u = z.take(columns, axis=1), u.take(columns, axis=1)
            return line(self._y[rows], z, u, t, self._weights[rows], group)

        value, slope = self._solver.sums(function)
        own, mixed, square = (part[places] for part in penalties)
        value = value / self._S[columns] + own / 2 + t * mixed + t * t * square / 2
        return value, slope / self._S[columns] + mixed + t * square


def _ritz_values(alphas, betas, columns):
    """The extreme eigenvalues of the tridiagonal matrices of CG runs, for some columns."""
    a, b = np.array(alphas)[:, columns].T, np.array(betas)[:, columns].T
    size = a.shape[1]
    matrices, steps = np.zeros((len(columns), size, size)), np.arange(size)
    is_step = a > 0
    safe = np.where(is_step, a, 1.0)
    # A step without curvature has no eigenvalue: the largest of the others takes its place.
    matrices[:, steps, steps] = 1 / safe
    matrices[:, steps[1:], steps[1:]] += b[:, :-1] / safe[:, :-1]
    beside = np.sqrt(b[:, :-1]) / safe[:, :-1]
    matrices[:, steps[1:], steps[:-1]] = beside
    values = np.linalg.eigvalsh(matrices)
    return values[:, 0], values[:, -1]
