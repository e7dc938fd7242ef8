"""Proximal Newton for a smooth loss with an L1 part, or weights >= 0: a quadratic model of the
loss, plus the penalty, on a working set of columns.

With `dense_metric` the model's matrix is built for the working set, and the model is minimised by
coordinate descent and Newton steps on the support. Without it, conjugate gradients move the free
coordinates, at a pass over X per iteration. Either way the full step is tried first, so that zeros
are exact. If the objective does not fall enough, a line search in the margins shortens it. Sources:
Lee, Sun and Saunders, "Proximal Newton-type methods", SIAM J. Optim. 24 (2014); Andrew and Gao,
"Scalable training of L1-regularized log-linear models", ICML 2007.
"""

from dataclasses import replace
from enum import Enum

import numpy as np

from fastgd.kernels import coordinate
from fastgd.methods.cholesky import solve
from fastgd.methods.conjugate_gradients import ConjugateGradients
from fastgd.methods.full_batch import FullBatch
from fastgd.methods.method import Epoch
from fastgd.methods.preconditioner import STALE_CURVATURE_SHARE
from fastgd.methods.working_set import WorkingSet, minimise
from fastgd.problem.nonsmooth_penalty import NonsmoothPenalty
from fastgd.problem.records import Record

# Columns of a working set's matrix, at most: 72 MB.
MAX_MATRIX_COLUMNS = 3000
# Accept a full step if the objective falls by this share of the decrease that the slope predicts
# (Armijo condition).
SUFFICIENT_DECREASE = 1e-3
# The next step uses the same matrix if the subgradient norm has fallen to at most this share.
MATRIX_REUSE_RATIO = 0.1
# Curvature that is added to piecewise quadratic losses, which have pieces without any.
CURVATURE_DAMPING = 1e-3
# The largest relative tolerance of a model's minimisation (forcing term).
MAX_FORCING = 0.1
# The same if the model is the whole objective: then its minimum is the result.
EXACT_MODEL_TOLERANCE = 1e-9
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
# The same for the columns of dense least squares, which have no other steps; and their least
# tolerance: a pass for another gradient takes less time than a smaller one.
COLUMN_SWEEPS = 100
COLUMN_TOLERANCE = 0.01


class Step(Enum):
    """The kinds of steps."""

    COORDINATES = "coordinate descent to the minimum of the model on a working set"
    CONJUGATE_GRADIENTS = "conjugate gradients of the free coordinates"
    GRADIENT = "a proximal gradient step"


class Plan(Record):
    """Which kind of step is next.

    `coordinates` says that the model is built for a working set. If it is made of a subsample, or
    rough, `coordinate_steps` of them come before each step of conjugate gradients; after one that
    was shortened, because the signs have not settled, twice as many. Without such a model, proximal
    gradient steps follow a shortened step until the zeros have settled; `reach` is their length in
    units of the inverse curvature.
    """

    coordinates: bool
    coordinate_steps: int = 1
    steps_left: int = 1
    is_unsettled: bool = False
    reach: float = 1.0

    def takes_coordinates(self, working_set):
        """Whether the next step is one of coordinate descent."""
        return self.coordinates and (self.steps_left > 0 or not working_set.is_rough)

    def after(self, kind, length, have_zeros_changed):
        """The plan after a step, with its length if it was shortened, else None."""
        shortened, steps, reach = length is not None, self.coordinate_steps, self.reach
        if kind is Step.GRADIENT:
            reach *= float(np.clip(length, 0.1, 0.7)) if shortened else 1.5
        left = self.steps_left - 1
        if kind is not Step.COORDINATES:
            left = steps = 2 * steps if shortened else 1
        is_unsettled = shortened or (kind is Step.GRADIENT and have_zeros_changed)
        return Plan(self.coordinates, steps, left, is_unsettled and not self.coordinates, reach)


class ProximalNewton(FullBatch):
    """Minimise a smooth loss + l1 |w|_1 + (l2/2) |w|^2; `dense_metric` allows dense matrices of a
    working set.
    """

    solver = "proximal-newton"
    checkpointed = (
        *FullBatch.checkpointed,
        "_working_set.stored",
        "_working_set.of_some_rows",
        "_plan",
        "_norm",
        "_max_norm",
        "_min_norm",
        "_decrease",
        "_stalled",
    )

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands; a theta of zeros stands for the best constant
        model.
        """
        super().start(problem, theta, earlier)
        objective, self._l1 = problem.objective, self._at.l1
        self._penalty = NonsmoothPenalty.of(self._l1, objective.positive)
        if objective.positive:
            # The intercept has no bound.
            self._penalty.below[-1] = 0.0
        # Without a penalty on every weight the duality gap is infinite.
        self.is_free = not (objective.l1 or np.all(objective.l2))
        self._working_set = WorkingSet(self._at, self._penalty, takes_all_rows=self.is_free)
        # The matrices of a joint loss lack the curvature between outputs: the decrease of such a
        # model says nothing of the distance to the minimum.
        has_estimate = not (self.is_free and objective.loss.is_joint)
        self._plan = Plan(self.dense_metric and has_estimate)
        # The norm of the subgradient, its largest and smallest one; the decrease of F by the last
        # step; the number of steps in a row that gained no more than rounding.
        self._norm, self._max_norm, self._min_norm = np.inf, 0.0, np.inf
        self._decrease, self._stalled = 0.0, 0
        self._data_gradient = None, None

    def slopes_and_gradient(self):
        """(slopes of the losses, gradient of the mean loss) at the model, from the last pass."""
        theta, gradient = self._data_gradient
        if theta is None or theta is not self.state.theta:
            return None
        scaled, inverse = gradient[:, :-1], self._at.inverse
        gradient = np.divide(scaled, inverse, where=inverse > 0, out=np.zeros_like(scaled))
        return self._rows.losses()[1], gradient

    # ---- the descent ----

    def _descend(self):
        """Yield an `Epoch` after each pass."""
        loss, g = self._gradient()
        while True:
            self._save_checkpoint()
            bound = self._lower_bound
            self._bound(loss, g)
            yield self._report(loss)
            in_pieces = self.problem.objective.loss.is_piecewise_quadratic
            self._rows.compute_curvatures(CURVATURE_DAMPING if in_pieces else 0.0)
            kind = self._kind_of_step(g)
            if kind is Step.COORDINATES:
                x = self._by_coordinates(g)
            elif kind is Step.GRADIENT:
                x = self._by_gradient(g)
            else:
                x = yield from self._by_conjugate_gradients(loss, g)
            if self.is_free and kind is not Step.GRADIENT:
                self._estimate_from_model(loss, g, x)
            zeros, before = self._v == 0, loss
            loss, g = yield from self._move(loss, g, x)
            have_zeros_changed = ((self._v == 0) != zeros).any()
            length = float(self._step.mean()) if self._shortened else None
            self._plan = self._plan.after(kind, length, have_zeros_changed)
            self._decrease = before - loss
            self._count_stalled(loss, self._lower_bound > bound + DECREASE_ROUNDING * abs(loss))

    def _count_stalled(self, loss, has_bound_risen):
        """Count the steps in a row without gain: in the objective, its lower bound or the
        subgradient.
        """
        has_gained = self._decrease > DECREASE_ROUNDING * abs(loss) or has_bound_risen
        has_shrunk = self._norm < SHRUNK_RATIO * self._min_norm
        self._min_norm = min(self._min_norm, self._norm)
        self._stalled = 0 if has_gained or has_shrunk else self._stalled + 1

    @property
    def exhausted(self):
        """Whether several steps in a row have lowered neither the objective nor its subgradient."""
        return self._stalled >= MAX_STALLED_STEPS

    def _kind_of_step(self, g):
        """The kind of the next step: coordinate descent only on a working set that is not too
        large.
        """
        working_set = self._working_set
        if self._plan.takes_coordinates(working_set):
            sets = [working_set.select(*of_output) for of_output in zip(self._v, g, strict=True)]
            self._columns, complete = zip(*sets, strict=True)
            self._is_complete = all(complete)
            if working_set.has_no_matrix or max(map(len, self._columns)) <= MAX_MATRIX_COLUMNS:
                return Step.COORDINATES
            self._plan = replace(self._plan, coordinates=False)
        return Step.GRADIENT if self._plan.is_unsettled else Step.CONJUGATE_GRADIENTS

    def _bound(self, loss, g):
        """Bound the distance to the minimum by a duality gap, once the decrease of a step suggests
        that the minimum is near.
        """
        last, self._norm = self._norm, self._penalty.norm(self._v, g)
        self._max_norm = max(self._max_norm, self._norm)
        # (parameters, gradient of the mean loss there in scaled columns)
        self._data_gradient = self._theta, g - self._at.l2 * self._v
        is_stale = self._norm > MATRIX_REUSE_RATIO * last and not self._working_set.of_some_rows
        if is_stale and not self._is_quadratic():
            self._working_set.clear()
        is_near = self._decrease <= max(0.1 * (self._constant_loss - loss), self._rounding(loss))
        if is_near and not self.is_free:
            self._lower_bound = max(self._lower_bound, loss - self.gap(loss, g))
            if self._lower_bound > -np.inf:
                self._optimality = self.relative(loss - self._lower_bound, loss), "duality gap"

    def _estimate_from_model(self, loss, g, x):
        """Estimate the distance to the minimum by the decrease of the quadratic model: at the
        model's minimum it is at most the slope times the step.
        """
        if self._is_complete:
            decrement = max(-float((g * x).sum()), 0.0)
            self.value_and_distance = loss, decrement
            self._optimality = self.relative(decrement, loss), "Newton decrement"

    def _move(self, loss, g, x):
        """(F, gradient) after the full step x or, if F does not fall enough, after a line search. F
        never rises.
        """
        theta, v, margins = self._theta, self._v, self._rows.margins
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

    # ---- the kinds of steps ----

    def _by_coordinates(self, g):
        """The step to the model's minimum on the working set."""
        working_set, h = self._working_set, self._rows.own_curvatures()
        if working_set.stored and self._rows.have_curvatures_changed(
            STALE_CURVATURE_SHARE, own=True
        ):
            working_set.clear()
        if not working_set.stored:
            self._rows.mark_curvatures()
        x, scale = np.zeros_like(g), np.append(self._at.inverse, 1.0)
        # The tolerance falls as the minimum comes near.
        forcing = min(MAX_FORCING, max(self._norm / max(self._max_norm, 1e-300), 1e-4))
        for k, columns in enumerate(self._columns):
            w, slopes, l2 = self._v[k, columns], g[k, columns], self._at.l2[k, columns]
            penalty = self._penalty[columns]
            if working_set.has_no_matrix:
                others = w, slopes, (penalty.above, l2, penalty.lower_bounds)
                limits = self._column_limits(forcing)
                if self.problem.rows.sparse:
                    X = working_set.sparse_columns
                    coordinate.descend_columns(X, columns, scale, h[:, k].copy(), *others, *limits)
                else:
                    dense = working_set.dense_columns
                    rows = dense.rows(columns, h[:, k])
                    coordinate.descend_rows(dense.values, rows, *others, *limits)
            else:
                H = working_set.matrix(columns, h, k)
                H[np.diag_indices(len(columns))] += l2
                is_last = working_set.is_exact and self._is_complete
                tolerance = EXACT_MODEL_TOLERANCE if is_last else forcing
                minimise(H, w, slopes, penalty, tolerance)
            x[k, columns] = w - self._v[k, columns]
        return x

    def _column_limits(self, forcing):
        """(tolerance, sweeps) of coordinate descent over columns, at most. In float32 the gradient
        is too rough for another step.
        """
        if self._working_set.is_rough:
            return MAX_FORCING, SPARSE_COLUMN_SWEEPS
        is_double = self.problem.rows.dtype == np.float64
        return max(forcing, COLUMN_TOLERANCE) if is_double else EXACT_MODEL_TOLERANCE, COLUMN_SWEEPS

    def _by_conjugate_gradients(self, loss, g):
        """A CG step of the free coordinates; those that would change their sign stop at 0."""
        v, l1, penalty = self._v, self._l1, self._penalty
        sign = penalty.signs(v, g)
        free = (sign != 0) | ~penalty.is_nonsmooth
        free[:, :-1] &= self._at.inverse > 0
        down, precondition = np.where(free, -(g + l1 * sign), 0.0), self._cg_preconditioner(free)
        no_search = {"flat_step": 0.0, "has_bounds": False}
        cg = ConjugateGradients(down, precondition, self._dot, **no_search)
        while cg.rs.any() and cg.passes < MAX_CG_PASSES:
            product = np.where(free, self._hessian_product(cg.direction), 0.0)
            yield self._report(loss)
            cg.step(product)
            if cg.rs.sum() <= CG_TOLERANCE * cg.first.sum():
                break
        w = v + cg.x
        stopped = (w * sign < 0) & penalty.is_nonsmooth
        self._is_complete, w[stopped] = not stopped.any(), 0
        return w - v

    def _by_gradient(self, g):
        """A proximal gradient step, which is a descent direction. It is taken after a shortened
        step, until the zeros have settled.
        """
        metric = self._plan.reach * self._diagonal()
        x = self._penalty.prox(self._v - metric * g, metric) - self._v
        x[:, :-1] *= self._at.inverse > 0
        if not self.problem.objective.intercept:
            x[:, -1] = 0
        return x

    def _cg_preconditioner(self, free):
        """The preconditioner of the free coordinates: from the stored matrices where there are any,
        else the diagonal.
        """
        diagonal = self._diagonal()
        factors = self._working_set.factors(free, diagonal) if self._plan.coordinates else {}

        def precondition(r):
            s = diagonal * r
            for k, (columns, factor) in factors.items():
                s[k, columns] = solve(factor, r[k, columns])
            return s

        return precondition

    def _diagonal(self):
        """The inverse of the Hessian's diagonal in scaled columns."""
        h = self._rows.own_curvatures()
        mean = np.maximum(h.mean(axis=0), 1e-3 * max(h.mean(), 1e-300))[:, None]
        return 1 / (mean + self._at.l2)
