"""Proximal Newton for a smooth loss with an L1 part, or weights >= 0: a quadratic model of the
loss, plus the penalty, on a working set of columns.

With `dense_metric` the model's matrix is built for the working set, and the model is minimised by
coordinate descent and Newton steps on the support. Without it, conjugate gradients move the free
coordinates, at a pass over X per iteration. Either way the full step is tried first, so that zeros
are exact. If the objective does not fall enough, a line search in the margins shortens it. Sources:
Lee, Sun and Saunders, "Proximal Newton-type methods", SIAM J. Optim. 24 (2014); Friedman, Hastie
and Tibshirani, "Regularization paths via coordinate descent", J. Stat. Softw. 33 (2010); Lee et
al., "Efficient sparse coding algorithms", NIPS 2006; Andrew and Gao, "Scalable training of
L1-regularized log-linear models", ICML 2007.
"""

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from fastgd.kernels import coordinate
from fastgd.methods.conjugate_gradients import ConjugateGradients
from fastgd.methods.full_batch import FullBatch
from fastgd.methods.method import Epoch
from fastgd.methods.newton import RIDGE_FEW_ROWS
from fastgd.methods.preconditioner import MAX_ALL_ROWS_COLUMNS, STALE_CURVATURE_SHARE
from fastgd.problem.data import as_rows
from fastgd.problem.linearization import subsample_rows
from fastgd.problem.records import Record

# Columns of a working set's matrix, at most: 72 MB.
MAX_MATRIX_COLUMNS = 3000
# The working set gets sqrt(MATRIX_WORK_PER_COLUMN * p) columns beyond twice the nonzero weights.
# Its matrix then takes MATRIX_WORK_PER_COLUMN multiplications per number of dense X, about as long
# as one pass or, with the symmetric copy, a few.
MATRIX_WORK_PER_COLUMN = 30
# Multiplications per stored number of X that a matrix of all rows and columns may cost.
MATRIX_PRODUCTS_PER_ENTRY = 1500
# Accept a full step if the objective falls by this share of the decrease that the slope predicts
# (Armijo condition).
SUFFICIENT_DECREASE = 1e-3
# Rows per column of a matrix, where there are more than twice as many.
ROWS_PER_MATRIX_COLUMN = 10
# The next step uses the same matrix if the subgradient norm has fallen to at most this share.
MATRIX_REUSE_RATIO = 0.1
# Curvature that is added to piecewise quadratic losses, which have pieces without any.
CURVATURE_DAMPING = 1e-3
# The largest relative tolerance of a model's minimisation (forcing term).
MAX_FORCING = 0.1
# The same if the model is the whole objective: then its minimum is the result.
EXACT_MODEL_TOLERANCE = 1e-9
# Rounds of coordinate descent and a Newton step on the support, at most. A guard: the tolerance
# ends them before.
MAX_ROUNDS = 50
# Sweeps of coordinate descent per round, at most.
SWEEPS_PER_ROUND = 20
# Training ends after this number of steps in a row without gain: steps of all kinds have then been
# tried.
MAX_STALLED_STEPS = 5
# A decrease of the objective by at most this share of it is rounding.
DECREASE_ROUNDING = 4 * float(np.finfo(float).eps)
# A subgradient norm has not shrunk if it is at least this share of the smallest one so far.
SHRUNK_RATIO = 0.99
# Passes of CG that a direction takes, at most; its squared residual norm ends at this share of the
# first one.
MAX_CG_PASSES = 50
CG_TOLERANCE = 0.01
# Sweeps of coordinate descent over the columns of sparse rows. They find the zeros; CG finds the
# values faster.
SPARSE_COLUMN_SWEEPS = 4


class NonsmoothPenalty(Record):
    """The nonsmooth part of the penalty, l1 |w| or w >= 0, by its subdifferential [-below, above]
    at a weight of 0, (p,) numbers each.

    `below` is infinite for weights that have to be >= 0. Both are 0 where the penalty is smooth.
    """

    above: np.ndarray
    below: np.ndarray

    def __getitem__(self, columns):
        return NonsmoothPenalty(self.above[columns], self.below[columns])

    @property
    def is_nonsmooth(self):
        return self.below > 0

    @property
    def lower_bounds(self):
        """The lower bounds of the weights, 0 or -infinity; None if all are -infinity."""
        return np.where(np.isinf(self.below), 0.0, -np.inf) if np.isinf(self.below).any() else None

    def subgradient(self, v, g):
        """The minimum-norm subgradient, given the gradient g of the smooth part."""
        return np.where(
            v != 0, g + self.above * np.sign(v), g - np.clip(g, -self.above, self.below)
        )

    def norm(self, v, g):
        """The norm of the minimum-norm subgradient."""
        return float(np.sqrt((self.subgradient(v, g) ** 2).sum()))

    def signs(self, v, g):
        """The sign of each v_j just after a descent step from v: that of v_j or, at 0, of -g_j; 0
        where 0 is optimal.
        """
        return np.where(
            v != 0, np.sign(v), np.where(g < -self.above, 1.0, np.where(g > self.below, -1.0, 0.0))
        )

    def prox(self, v, rates):
        """argmin of |w - v|^2 / (2 rates) + the penalty."""
        # An infinite slope times a rate of 0 is invalid.
        with np.errstate(invalid="ignore"):
            return v - np.clip(
                v, np.nan_to_num(-rates * self.below, neginf=-np.inf), rates * self.above
            )


def minimise(H, w, g, penalty, reduction):
    """Minimise g'd + d'Hd / 2 + P(w) over w = (initial w) + d, until its largest subgradient is at
    most `reduction` times the first one.
    """
    enough = reduction * np.abs(penalty.subgradient(w, g)).max(initial=0.0)
    for _ in range(MAX_ROUNDS):
        coordinate.descend(H, w, g, penalty.above, enough, SWEEPS_PER_ROUND, penalty.lower_bounds)
        done = np.abs(penalty.subgradient(w, g)).max(initial=0.0) <= enough
        if not step_on_support(H, w, g, penalty) or done:
            return


def step_on_support(H, w, g, penalty):
    """Take a Newton step of the nonzero coordinates, up to the first sign change; return whether
    there was a step.
    """
    support = np.flatnonzero((w != 0) | ~penalty.is_nonsmooth)
    down = -(g + penalty.above * np.sign(w))[support]
    part = H[np.ix_(support, support)]
    part[np.diag_indices(len(support))] *= 1 + 1e-12
    try:
        d = cho_solve(
            cho_factor(part, lower=True, overwrite_a=True, check_finite=False),
            down,
            check_finite=False,
        )
    except LinAlgError:
        return False
    change = H[:, support] @ d
    slope, curvature = down @ d, d @ change[support]
    crossing = (w[support] * d < 0) & penalty.is_nonsmooth[support]
    limits = np.divide(-w[support], d, where=crossing, out=np.full(len(d), np.inf))
    # Along flat directions rounding may make the curvature 0 or negative.
    t = min(slope / curvature if curvature > 0 else np.inf, limits.min(initial=np.inf))
    if not (slope > 0 and np.isfinite(t)):
        return False
    w[support] += t * d
    w[support[limits <= t]] = 0
    g += t * change
    return True


class ProximalNewton(FullBatch):
    """Minimise a smooth loss + l1 |w|_1 + (l2/2) |w|^2; `dense_metric` allows dense matrices of a
    working set.
    """

    checkpointed = (
        *FullBatch.checkpointed,
        "_lower",
        "_matrices",
        "_norm",
        "_first",
        "_fell",
        "_shortened",
        "_unsettled",
        "_reach",
        "_whole",
        "_some_rows",
        "_turn",
        "_rounds",
        "_stalled",
        "_least_norm",
    )

    # (parameters, gradient of the mean loss there in scaled columns)
    data_gradient = None

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands; a theta of zeros stands for the best constant
        model.
        """
        super().start(problem, theta, earlier)
        self._l1 = self._at.l1
        below = (
            np.append(np.full(len(self._at.inverse), np.inf), 0.0)
            if problem.objective.positive
            else self._l1
        )
        self._penalty = NonsmoothPenalty(self._l1, below)
        # Without a penalty on every weight the duality gap is infinite.
        self.is_free = not (problem.objective.l1 or np.all(problem.objective.l2))
        self._scale = np.append(self._at.inverse, 1.0)
        self._lower, self._matrices, self._norm, self._columns = -np.inf, {}, np.inf, None
        self._shortened, self._unsettled, self._reach = False, False, 1.0
        self._whole = self.dense_metric
        p, stored = len(self._at.inverse), problem.rows.stored / problem.rows.shape[0]
        self._few = p <= MAX_ALL_ROWS_COLUMNS and p * p <= MATRIX_PRODUCTS_PER_ENTRY * stored
        self._by_columns = problem.rows.sparse and not self._few
        # Whether the matrices are made of a subsample of the rows.
        self._some_rows = False
        # The number of coordinate descent steps until the next CG step, now and after that step.
        self._turn = 1
        self._rounds = 1
        self._least_norm = np.inf
        # The number of steps in a row that gained no more than rounding.
        self._stalled = 0
        # The largest norm of a subgradient; the decrease of F by the last step.
        self._first, self._fell = 0.0, 0.0
        self._save_checkpoint()

    # ---- the descent ----

    def _descend(self):
        """Yields an `Epoch` after each pass."""
        loss, g = self._gradient()
        while True:
            self._save_checkpoint()
            bound = self._lower
            yield from self._bound(loss, g)
            in_pieces = self.problem.objective.loss.is_piecewise_quadratic
            self._rows.compute_curvatures(CURVATURE_DAMPING if in_pieces else 0.0)
            by_coordinates = self._whole and (
                self._turn > 0 or not (self._some_rows or self._by_columns)
            )
            x, by_gradient = self._by_coordinates(g) if by_coordinates else None, self._unsettled
            if x is None and by_gradient:
                x = self._by_gradient(g)
            elif x is None:
                x = yield from self._by_conjugate_gradients(loss, g)
            if self.is_free and not by_gradient:
                self._estimate_from_model(loss, g, x)
            zeros, before = self._v == 0, loss
            loss, g = yield from self._move(loss, g, x)
            if by_gradient:
                shorter = float(np.clip(self._step.mean(), 0.1, 0.7))
                self._reach *= shorter if self._shortened else 1.5
            # A short CG step means that the signs have not settled.
            if not by_coordinates:
                self._rounds = 2 * self._rounds if self._shortened else 1
            self._turn = self._turn - 1 if by_coordinates else self._rounds
            self._unsettled = not self._whole and (
                self._shortened or (by_gradient and ((self._v == 0) != zeros).any())
            )
            self._fell = before - loss
            rounding = DECREASE_ROUNDING * abs(loss)
            stands = self._fell <= rounding and not self._lower > bound + rounding
            stands = stands and self._norm >= SHRUNK_RATIO * self._least_norm
            self._least_norm = min(self._least_norm, self._norm)
            self._stalled = self._stalled + 1 if stands else 0

    @property
    def exhausted(self):
        """Whether several steps in a row have lowered neither the objective nor its subgradient."""
        return self._stalled >= MAX_STALLED_STEPS

    def _bound(self, loss, g):
        """Bound the distance to the minimum by a duality gap, once the decrease of a step suggests
        that the minimum is near.
        """
        last, self._norm = self._norm, self._penalty.norm(self._v, g)
        self._first = max(self._first, self._norm)
        self.data_gradient = self._theta, g - self._at.l2 * self._v
        is_stale = self._norm > MATRIX_REUSE_RATIO * last and not self._some_rows
        if is_stale and not self._is_quadratic():
            self._matrices = {}
        is_near = self._fell <= max(0.1 * (self._constant_loss - loss), self._rounding(loss))
        if is_near and not self.is_free:
            self._lower = max(self._lower, loss - self.gap(loss, g))
            if self._lower > -np.inf:
                self._optimality = self.relative(loss - self._lower, loss), "duality gap"
        yield Epoch(loss, self._norm, float(self._step.max()))

    def _estimate_from_model(self, loss, g, x):
        """Estimate the distance to the minimum by the decrease of the quadratic model: at the
        model's minimum it is at most the slope times the step.
        """
        if self._complete:
            decrement = max(-float((g * x).sum()), 0.0)
            self.value_and_distance = loss, decrement
            self._optimality = self.relative(decrement, loss), "Newton decrement"

    def _move(self, loss, g, x):
        """(F, gradient) after the full step x or, if F does not fall enough, after a line search. F
        never rises.
        """
        theta, v, margins = self._theta, self._v, self._rows.margins.copy()
        kinked = self._l1 * np.where(v != 0, np.sign(v), np.sign(x))
        foretold = float((g * x).sum() + (self._l1 * (np.abs(v + x) - np.abs(v))).sum())
        self._v, self._step = v + x, np.ones_like(self._step)
        after, slopes = self._gradient()
        self._shortened = not (
            after <= loss + SUFFICIENT_DECREASE * foretold
            or self._is_nearer(after - loss, foretold, loss, slopes)
        )
        if not self._shortened:
            return after, slopes
        self._theta, self._v = theta, v
        self._rows.set_direction(margins)
        self._x, self._g = x, g + kinked
        yield Epoch(loss, self._norm, 0.0)
        self._search()
        after, slopes = self._gradient()
        if after <= loss:
            return after, slopes
        self._theta, self._v, self._rows.margins = theta, v, margins
        return loss, g

    def _is_nearer(self, rise, foretold, loss, g):
        """Whether the change of F is within rounding, and the subgradient has shrunk."""
        rounding = 16 * np.finfo(float).eps * abs(loss)
        return (
            rise <= rounding
            and -foretold <= 1000 * rounding
            and self._penalty.norm(self._v, g) < 0.5 * self._norm
        )

    def _line(self, t, penalties):
        """The objective along x with the L1 part, and its right derivative."""
        value, slope = super()._line(t, penalties)
        there = self._v + t[:, None] * self._x
        if self.problem.objective.positive:
            value[(there[:, :-1] < 0).any(axis=1).reshape(len(t), -1).any(axis=1)] = np.inf
        signs = np.where(there != 0, np.sign(there), np.sign(self._x))
        value = value + self._dot(self._l1, np.abs(there)).ravel()
        return value, slope + self._dot(self._l1 * self._x, signs).ravel()

    # ---- the model on a working set ----

    def _by_coordinates(self, g):
        """The step to the model's minimum on the working set; None if that is too large."""
        h = self._rows.own_curvatures()
        if self._matrices and self._rows.have_curvatures_changed(STALE_CURVATURE_SHARE, own=True):
            self._matrices = {}
        if not self._matrices:
            self._some_rows = False
            self._rows.mark_curvatures()
        x, forcing, self._complete = np.zeros_like(g), self._forcing(), True
        for k in range(len(g)):
            columns = self._working_set(self._v[k], g[k])
            w = self._v[k, columns]
            slopes = g[k, columns]
            penalty = self._penalty[columns]
            l2 = self._at.l2[k, columns]
            if self._by_columns:
                model = columns, self._scale, h[:, k].copy(), w, slopes
                of_weights = penalty.above, l2, penalty.lower_bounds
                coordinate.descend_columns(
                    self._transposed_rows(), *model, of_weights, MAX_FORCING, SPARSE_COLUMN_SWEEPS
                )
            elif len(columns) > MAX_MATRIX_COLUMNS:
                self._whole = False
                return None
            else:
                H = self._matrix(columns, h, k)
                H[np.diag_indices(len(columns))] += l2
                is_exact = self._is_quadratic() and not self._some_rows
                minimise(H, w, slopes, penalty, EXACT_MODEL_TOLERANCE if is_exact else forcing)
            x[k, columns] = w - self._v[k, columns]
        return x

    def _forcing(self):
        """The relative tolerance of a model's minimisation, which falls as the minimum comes
        near.
        """
        return min(MAX_FORCING, max(self._norm / max(self._first, 1e-300), 1e-4))

    def _working_set(self, v, g):
        """The columns of nonzero weights, and the columns of the largest subgradients."""
        is_used = (v != 0) | ~self._penalty.is_nonsmooth
        excess = np.where(is_used, np.inf, np.abs(self._penalty.subgradient(v, g)))
        excess[:-1][self._at.inverse == 0] = 0
        if not self.problem.objective.intercept:
            excess[-1] = 0
        used, able = np.count_nonzero(np.isinf(excess)), np.count_nonzero(excess > 0)
        size = min(able, 2 * used + int(np.sqrt(MATRIX_WORK_PER_COLUMN * len(self._at.inverse))))
        self._complete &= size == able
        return np.sort(np.argpartition(-excess, size - 1)[:size]) if size else np.empty(0, np.intp)

    def _matrix(self, columns, h, k):
        """X' diag(h_k) X / n of these columns in scaled coordinates; it is stored with its h, and
        grows with the working set.
        """
        k = 0 if self._is_quadratic() else k
        known, drawn, _ = self._matrices.get(k, (columns, h, None))
        few = np.count_nonzero(drawn) if self._some_rows else np.inf
        is_thin = 2 * few < ROWS_PER_MATRIX_COLUMN * len(np.union1d(columns, known))
        if k not in self._matrices or is_thin:
            h, some = self._drawn(h[:, k], ROWS_PER_MATRIX_COLUMN * len(columns))
            self._some_rows |= some
            H = self._at.symmetric_products(h, columns)
            self._matrices = self._matrices | {k: (columns, h, H)}
        known, h, H = self._matrices[k]
        new = np.setdiff1d(columns, known)
        if len(new):
            old, known = len(known), np.concatenate([known, new])
            cross = self._at.products(h, known, len(new))
            H = np.block([[H, cross[:old]], [cross[:old].T, cross[old:]]])
            self._matrices = self._matrices | {k: (known, h, H)}
        order = np.argsort(known)
        at = order[np.searchsorted(known, columns, sorter=order)]
        return H[np.ix_(at, at)]

    def _drawn(self, h, most):
        """(curvatures of the rows that a matrix is made of, whether they are a subsample)"""
        # The matrix of a quadratic is made once, so it may take twice as many rows.
        if self.is_free or self._few or (2 if self._is_quadratic() else 1) * most >= len(h):
            return h.copy(), False
        return subsample_rows(h, most), True

    def _transposed_rows(self):
        """The columns of X as rows."""
        if self._columns is None:
            X, visits = self.problem.X, self.problem.visits
            X = sparse.csc_array(X if len(visits) == X.shape[0] else X[visits])
            self._columns = as_rows(X.T)
        return self._columns

    # ---- the model by passes over X ----

    def _by_conjugate_gradients(self, loss, g):
        """A CG step of the free coordinates; those that would change their sign stop at 0."""
        v, l1, penalty = self._v, self._l1, self._penalty
        sign = penalty.signs(v, g)
        free = (sign != 0) | ~penalty.is_nonsmooth
        free[:, :-1] &= self._at.inverse > 0
        down, precondition = np.where(free, -(g + l1 * sign), 0.0), self._cg_preconditioner(free)
        cg = ConjugateGradients(down, precondition, self._dot, flat_step=0.0)
        while cg.rs.any() and cg.passes < MAX_CG_PASSES:
            product = np.where(free, self._hessian_product(cg.direction), 0.0)
            yield Epoch(loss, self._norm, float(self._step.max()))
            cg.step(product)
            if cg.rs.sum() <= CG_TOLERANCE * cg.first.sum():
                break
        w = v + cg.x
        stopped = (w * sign < 0) & penalty.is_nonsmooth
        self._complete, w[stopped] = not stopped.any(), 0
        return w - v

    def _by_gradient(self, g):
        """A proximal gradient step, which is a descent direction. It is taken after a shortened
        step, until the zeros have settled.
        """
        metric = self._reach * self._diagonal()
        x = self._penalty.prox(self._v - metric * g, metric) - self._v
        x[:, :-1] *= self._at.inverse > 0
        if not self.problem.objective.intercept:
            x[:, -1] = 0
        return x

    def _cg_preconditioner(self, free):
        """The preconditioner of the free coordinates: from the stored matrices where there are any,
        else the diagonal.
        """
        diagonal, solvers = self._diagonal(), {}
        for k, (known, _, H) in (self._matrices if self._whole else {}).items():
            for output in range(len(free)) if self._is_quadratic() else (k,):
                inside = np.flatnonzero(free[output, known])
                part = H[np.ix_(inside, inside)]
                ridge = RIDGE_FEW_ROWS * diagonal[output].min()
                part[np.diag_indices(len(inside))] += self._at.l2[output, known[inside]] + ridge
                try:
                    factor = cho_factor(part, lower=True, overwrite_a=True, check_finite=False)
                except LinAlgError:
                    continue
                solvers[output] = known[inside], factor

        def solve(r):
            s = diagonal * r
            for k, (columns, factor) in solvers.items():
                s[k, columns] = cho_solve(factor, r[k, columns], check_finite=False)
            return s

        return solve

    def _diagonal(self):
        """The inverse of the Hessian's diagonal in scaled columns."""
        h = self._rows.own_curvatures()
        mean = np.maximum(h.mean(axis=0), 1e-3 * max(h.mean(), 1e-300))[:, None]
        return 1 / (mean + self._at.l2)
