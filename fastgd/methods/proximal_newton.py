"""Proximal Newton for a smooth loss with an L1 part, or weights >= 0: a quadratic model of the
loss, plus the penalty, on a working set of columns.

With `dense_metric` the model's matrix is built for the columns in question, and minimised by
coordinate descent and steps on the support. Without, conjugate gradients move the coordinates that
are free to move, a pass over X each. Either way the step is tried whole, so that zeros are exact,
and shortened by a line search along the margins where the objective has not fallen enough. Sources:
Lee, Sun and Saunders, "Proximal Newton-type methods", SIAM J. Optim. 24 (2014); Friedman, Hastie
and Tibshirani, "Regularization paths via coordinate descent", J. Stat. Softw. 33 (2010); Lee et
al., "Efficient sparse coding algorithms", NIPS 2006; Andrew and Gao, "Scalable training of
L1-regularized log-linear models", ICML 2007.
"""

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from fastgd.kernels import coordinate
from fastgd.methods.curvature import STALE
from fastgd.methods.method import Epoch
from fastgd.methods.newton import RIDGE_OF_FEW, WHOLE, Newton
from fastgd.problem.duality import gap, relative, rounding_of
from fastgd.problem.linearization import subsample_rows
from fastgd.problem.records import Record

LARGEST = 3000  # columns of a matrix
PASSES = (
    30  # squared columns a column of X that a matrix may cost: about as much as four passes over X
)
PRODUCTS = 1500  # a stored entry of X that a matrix of few columns and of all rows may cost
ENOUGH = 1e-3  # of the decrease that the slope foretells, for a whole step
ROWS = 10  # a column, that a matrix is made of where there are more than twice as many
FRESH = 0.1  # of the subgradient that a step may leave for the next to go by the same matrix
DAMPING = 1e-3  # curvature, given to pieces of losses that have none
FORCING = 0.1  # the most that is left of a model's slopes by its minimisation
EXACTLY = 1e-9  # ... if the model is all there is to it
ROUNDS = 50  # of coordinate descent and a step on the support
SWEEPS = 20  # of coordinate descent a round
STALLED = 5  # steps in a row that gain nothing: those of all kinds have been tried
EPSILON = 4 * float(np.finfo(float).eps)  # of the objective: a decrease that is rounding
NO_LESS = 0.99  # of the smallest subgradient: one that has not shrunk
# over the columns of sparse rows, which find the zeros; conjugate gradients are sooner at the
# values
FEW_SWEEPS = 4


class Corner(Record):
    """What a weight meets at 0, (p,) numbers each: the slopes of its penalty above and, with the
    sign changed, below.

    Below 0 it is infinite for weights that have to be >= 0. Where both are 0 there is no corner.
    """

    above: np.ndarray
    below: np.ndarray

    def __getitem__(self, columns):
        return Corner(self.above[columns], self.below[columns])

    @property
    def exists(self):
        return self.below > 0

    @property
    def least(self):
        """The least weights, 0 or -infinity; None where there are none."""
        return np.where(np.isinf(self.below), 0.0, -np.inf) if np.isinf(self.below).any() else None

    def subgradient(self, v, g):
        """The least subgradient, of the gradient g of the rest of the objective."""
        return np.where(
            v != 0, g + self.above * np.sign(v), g - np.clip(g, -self.above, self.below)
        )

    def norm(self, v, g):
        """Its length."""
        return float(np.sqrt((self.subgradient(v, g) ** 2).sum()))

    def signs(self, v, g):
        """The sign by which |v_j| varies as one goes down from v: that of v_j, or where it is 0 of
        -g_j; 0 where 0 is best.
        """
        return np.where(
            v != 0, np.sign(v), np.where(g < -self.above, 1.0, np.where(g > self.below, -1.0, 0.0))
        )

    def prox(self, v, rates):
        """argmin of |w - v|^2 / (2 rates) + the penalty."""
        with np.errstate(invalid="ignore"):  # an infinite slope times a rate of 0
            return v - np.clip(
                v, np.nan_to_num(-rates * self.below, neginf=-np.inf), rates * self.above
            )


def minimise(H, w, g, corner, reduction):
    """Minimise g'd + d'Hd / 2 + P(w) over w = (w at first) + d, until its slopes are `reduction`
    times what they were.
    """
    enough = reduction * np.abs(corner.subgradient(w, g)).max(initial=0.0)
    for _ in range(ROUNDS):
        coordinate.descend(H, w, g, corner.above, enough, SWEEPS, corner.least)
        done = np.abs(corner.subgradient(w, g)).max(initial=0.0) <= enough
        if not _step_on_support(H, w, g, corner) or done:
            return


def _step_on_support(H, w, g, corner):
    """Newton's step of the coordinates that are not 0, to where the first of them would change its
    sign; False: there is none.
    """
    support = np.flatnonzero((w != 0) | ~corner.exists)
    down = -(g + corner.above * np.sign(w))[support]
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
    crossing = (w[support] * d < 0) & corner.exists[support]
    limits = np.divide(-w[support], d, where=crossing, out=np.full(len(d), np.inf))
    t = min(
        slope / curvature if curvature > 0 else np.inf, limits.min(initial=np.inf)
    )  # rounding hides the curvature of flat ways
    if not (slope > 0 and np.isfinite(t)):
        return False
    w[support] += t * d
    w[support[limits <= t]] = 0
    g += t * change
    return True


class ProximalNewton(Newton):
    """Minimise a smooth loss + l1 |w|_1 + (l2/2) |w|^2; `dense_metric` allows matrices of some
    columns by some columns.
    """

    kept = (
        *Newton.kept,
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

    data_gradient = None  # (parameters, the mean loss's gradient there in scaled columns)

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands; zeros are taken for the best constant
        model.
        """
        super().start(problem, theta, earlier)
        self._l1 = self._at.l1
        below = (
            np.append(np.full(len(self._at.inverse), np.inf), 0.0)
            if problem.objective.positive
            else self._l1
        )
        self._corner = Corner(self._l1, below)
        self._is_free = not (
            problem.objective.l1 or np.all(problem.objective.l2)
        )  # no slopes would do for a bound
        self._scale = np.append(self._at.inverse, 1.0)
        self._lower, self._matrices, self._norm, self._columns = -np.inf, {}, np.inf, None
        self._shortened, self._unsettled, self._reach = False, False, 1.0
        self._whole = self.dense_metric
        p, stored = len(self._at.inverse), problem.rows.stored / problem.rows.shape[0]
        self._few = p <= WHOLE and p * p <= PRODUCTS * stored
        self._by_columns = problem.rows.sparse and not self._few
        self._some_rows = False  # whether matrices are of some rows only
        # steps by coordinates until it is conjugate gradients' turn: now, and after that turn
        self._turn = 1
        self._rounds = 1
        self._least_norm = np.inf
        self._stalled = 0  # steps in a row that rounding has made worthless
        self._first, self._fell = 0.0, 0.0  # the largest norm; by how much the last step lowered F
        self._mark()

    # ---- the descent ----

    def _descend(self):
        """Yields an `Epoch` after each pass."""
        loss, g = self._gradient()
        while True:
            self._mark()
            bound = self._lower
            yield from self._bound(loss, g)
            in_pieces = self.problem.objective.loss.is_piecewise_quadratic
            self._rows.compute_curvatures(DAMPING if in_pieces else 0.0)
            by_coordinates = self._whole and (
                self._turn > 0 or not (self._some_rows or self._by_columns)
            )
            x, by_gradient = self._by_coordinates(g) if by_coordinates else None, self._unsettled
            if x is None:
                x = (
                    self._by_gradient(g)
                    if by_gradient
                    else (yield from self._by_conjugate_gradients(loss, g))
                )
            if self._is_free and not by_gradient:
                self._estimate(loss, g, x)
            zeros, before = self._v == 0, loss
            loss, g = yield from self._move(loss, g, x)
            if by_gradient:
                self._reach *= (
                    float(np.clip(self._step.mean(), 0.1, 0.7)) if self._shortened else 1.5
                )
            if not by_coordinates:  # signs that have not settled cut its step short
                self._rounds = 2 * self._rounds if self._shortened else 1
            self._turn = self._turn - 1 if by_coordinates else self._rounds
            self._unsettled = not self._whole and (
                self._shortened or (by_gradient and ((self._v == 0) != zeros).any())
            )
            self._fell = before - loss
            stands = self._fell <= EPSILON * abs(loss) and not self._lower > bound + EPSILON * abs(
                loss
            )
            stands = stands and self._norm >= NO_LESS * self._least_norm
            self._least_norm = min(self._least_norm, self._norm)
            self._stalled = self._stalled + 1 if stands else 0

    @property
    def exhausted(self):
        """Whether several steps in a row have lowered neither the objective nor its subgradient."""
        return self._stalled >= STALLED

    def _bound(self, loss, g):
        """Bound the distance to the minimum; where that needs a pass of its own, only when the
        minimum may be near.
        """
        last, self._norm = self._norm, self._corner.norm(self._v, g)
        self._first = max(self._first, self._norm)
        self.data_gradient = self._theta, g - self._at.l2 * self._v
        if self._norm > FRESH * last and not self._is_quadratic() and not self._some_rows:
            self._matrices = {}
        if not self._is_free and self._fell <= max(
            0.1 * (self._worst - loss), rounding_of(loss, self._worst)
        ):
            _, slopes = self.losses()
            self._lower = max(
                self._lower,
                loss - gap(self.problem, self._at, loss, slopes, g - self._at.l2 * self._v),
            )
            if self._lower > -np.inf:
                self._found = (
                    relative(loss - self._lower, loss, self._worst, self._floor),
                    "duality gap",
                )
        yield Epoch(loss, self._norm, float(self._step.max()))

    def _estimate(self, loss, g, x):
        """Take a model's decrease for the distance to the minimum: at its own minimum it is at most
        the slope times the step.
        """
        if self._complete:
            decrement = max(-float((g * x).sum()), 0.0)
            self.here = loss, decrement
            self._found = relative(decrement, loss, self._worst, self._floor), "Newton decrement"

    def _move(self, loss, g, x):
        """(F, gradient) after a step along x: all of it, or as far as a line search says. Never
        does F rise.
        """
        theta, v, margins = self._theta, self._v, self._rows.margins.copy()
        kinked = self._l1 * np.where(v != 0, np.sign(v), np.sign(x))
        foretold = float((g * x).sum() + (self._l1 * (np.abs(v + x) - np.abs(v))).sum())
        self._v, self._step = v + x, np.ones_like(self._step)
        after, slopes = self._gradient()
        self._shortened = not (
            after <= loss + ENOUGH * foretold
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
        """Whether F cannot tell, for its rounding, and the subgradient has shrunk."""
        rounding = 16 * np.finfo(float).eps * abs(loss)
        return (
            rise <= rounding
            and -foretold <= 1000 * rounding
            and self._corner.norm(self._v, g) < 0.5 * self._norm
        )

    def _line(self, t, penalties):
        """The objective along x with the L1 part, and its right derivative."""
        value, slope = super()._line(t, penalties)
        there = self._v + t[:, None] * self._x
        if self.problem.objective.positive:
            value[(there[:, :-1] < 0).any(axis=1).reshape(len(t), -1).any(axis=1)] = np.inf
        return (
            value + self._dot(self._l1, np.abs(there)).ravel(),
            slope
            + self._dot(
                self._l1 * self._x, np.where(there != 0, np.sign(there), np.sign(self._x))
            ).ravel(),
        )

    # ---- the model on a working set ----

    def _by_coordinates(self, g):
        """The step to the model's minimum on the most promising columns; None: there are too
        many.
        """
        h = self._rows.own_curvatures()
        if self._matrices and self._rows.have_curvatures_changed(STALE, own=True):
            self._matrices = {}
        if not self._matrices:
            self._some_rows = False
            self._rows.mark_curvatures()
        x, forcing, self._complete = np.zeros_like(g), self._forcing(), True
        for k in range(len(g)):
            columns = self._working_set(self._v[k], g[k])
            w = self._v[k, columns]
            slopes = g[k, columns]
            corner = self._corner[columns]
            l2 = self._at.l2[k, columns]
            if self._by_columns:
                coordinate.descend_columns(
                    *self._by_column(),
                    columns,
                    self._scale,
                    h[:, k].copy(),
                    w,
                    slopes,
                    corner.above,
                    l2,
                    FORCING,
                    FEW_SWEEPS,
                    corner.least,
                )
            elif len(columns) > LARGEST:
                self._whole = False
                return None
            else:
                H = self._matrix(columns, h, k)
                H[np.diag_indices(len(columns))] += l2
                minimise(
                    H,
                    w,
                    slopes,
                    corner,
                    EXACTLY if self._is_quadratic() and not self._some_rows else forcing,
                )
            x[k, columns] = w - self._v[k, columns]
        return x

    def _forcing(self):
        """What a model's minimisation may leave of its slopes: the less, the nearer the minimum
        is.
        """
        return min(FORCING, max(self._norm / max(self._first, 1e-300), 1e-4))

    def _working_set(self, v, g):
        """Columns in use, and those of the steepest slopes beyond the kink."""
        excess = np.where(
            (v != 0) | ~self._corner.exists, np.inf, np.abs(self._corner.subgradient(v, g))
        )
        excess[:-1][self._at.inverse == 0] = 0
        if not self.problem.objective.intercept:
            excess[-1] = 0
        used, able = np.count_nonzero(np.isinf(excess)), np.count_nonzero(excess > 0)
        size = min(able, 2 * used + int(np.sqrt(PASSES * len(self._at.inverse))))
        self._complete &= size == able
        return np.sort(np.argpartition(-excess, size - 1)[:size]) if size else np.empty(0, np.intp)

    def _matrix(self, columns, h, k):
        """X' diag(h_k) X / n of these columns in these coordinates; it is kept, with its h, and
        grows.
        """
        k = 0 if self._is_quadratic() else k
        known, drawn, _ = self._matrices.get(k, (columns, h, None))
        few = np.count_nonzero(drawn) if self._some_rows else np.inf
        if k not in self._matrices or 2 * few < ROWS * len(np.union1d(columns, known)):
            h, some = self._drawn(h[:, k], ROWS * len(columns))
            self._some_rows |= some
            self._matrices = self._matrices | {
                k: (columns, h, self._at.symmetric_products(h, columns))
            }
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
        """(curvatures of the rows that a matrix is made of, whether they are not all)"""
        if (
            self._is_free or self._few or (2 if self._is_quadratic() else 1) * most >= len(h)
        ):  # a quadratic's is made once
            return h.copy(), False
        return subsample_rows(h, most), True

    def _by_column(self):
        """X in CSC form: values, rows, starts."""
        if self._columns is None:
            X, visits = self.problem.X, self.problem.visits
            X = sparse.csc_array(X if len(visits) == X.shape[0] else X[visits])
            self._columns = X.data, X.indices, X.indptr
        return self._columns

    # ---- the model by passes over X ----

    def _by_conjugate_gradients(self, loss, g):
        """A step of the coordinates that are free to move; those that would change their sign stop
        at 0.
        """
        v, l1, corner = self._v, self._l1, self._corner
        sign = corner.signs(v, g)
        free = (sign != 0) | ~corner.exists
        free[:, :-1] &= self._at.inverse > 0
        metric = self._metric_of_passes(free)
        x, r = np.zeros_like(g), np.where(free, -(g + l1 * sign), 0.0)
        s = metric(r)
        p, first = s, self._dot(r, s)
        rs = first
        for _ in range(50):
            if not rs.any():
                break
            Hp = np.where(free, self._hessian_product(p), 0.0)
            yield Epoch(loss, self._norm, float(self._step.max()))
            pHp = self._dot(p, Hp)
            a = np.divide(rs, pHp, where=pHp > 1e-12 * rs, out=np.zeros_like(rs))
            x += a * p
            r -= a * Hp
            s = metric(r)
            before, rs = rs, self._dot(r, s)
            if rs.sum() <= 0.01 * first.sum():
                break
            p = s + np.divide(rs, before, where=before > 0, out=np.zeros_like(rs)) * p
        w = v + x
        stopped = (w * sign < 0) & corner.exists
        self._complete, w[stopped] = not stopped.any(), 0
        return w - v

    def _by_gradient(self, g):
        """A proximal gradient step: sure to lead down, and taken until the zeros have settled where
        others had to be shortened.
        """
        metric = self._reach * self._diagonal()
        x = self._corner.prox(self._v - metric * g, metric) - self._v
        x[:, :-1] *= self._at.inverse > 0
        if not self.problem.objective.intercept:
            x[:, -1] = 0
        return x

    def _metric_of_passes(self, free):
        """The approximate inverse of the Hessian of free coordinates: of the matrices where there
        are some, or of its diagonal.
        """
        diagonal, solvers = self._diagonal(), {}
        for k, (known, _, H) in (self._matrices if self._whole else {}).items():
            for output in range(len(free)) if self._is_quadratic() else (k,):
                inside = np.flatnonzero(free[output, known])
                part = H[np.ix_(inside, inside)]
                part[np.diag_indices(len(inside))] += (
                    self._at.l2[output, known[inside]] + RIDGE_OF_FEW * diagonal[output].min()
                )
                try:
                    solvers[output] = (
                        known[inside],
                        cho_factor(part, lower=True, overwrite_a=True, check_finite=False),
                    )
                except LinAlgError:
                    continue

        def solve(r):
            s = diagonal * r
            for k, (columns, factor) in solvers.items():
                s[k, columns] = cho_solve(factor, r[k, columns], check_finite=False)
            return s

        return solve

    def _diagonal(self):
        """The inverse of the Hessian's diagonal, of columns of spread 1."""
        h = self._rows.own_curvatures()
        mean = np.maximum(h.mean(axis=0), 1e-3 * max(h.mean(), 1e-300))[:, None]
        return 1 / (mean + self._at.l2)
