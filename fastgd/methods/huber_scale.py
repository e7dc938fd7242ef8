"""Newton's method for Huber's loss with a scale that is estimated too.

The scale is the best one at every point, so that the objective is a convex function of the weights
alone. Its Hessian is that of the rows within the threshold, less the part of rank 1 that the scale
takes: the Schur complement of the joint Hessian. A line search in the margins needs no pass over X.
"""

from math import sqrt

import numpy as np

from fastgd.methods.cholesky import cholesky, solve
from fastgd.methods.conjugate_gradients import ConjugateGradients
from fastgd.methods.full_batch import FullBatch
from fastgd.methods.newton import MAX_CURVATURE_CHANGE, STALLED_DECREMENT_RATIO
from fastgd.methods.preconditioner import MAX_DENSE_COLUMNS
from fastgd.problem import huber_scale, passes
from fastgd.problem.layout import pack

# Multiplications of a Hessian per number of X, at most; with more, CG takes the place of a direct
# solution. About 20 passes over X, which CG needs at least.
MAX_PRODUCTS = 500
# The ridge of a Hessian, in units of the mean curvature: 8 machine epsilons, at least this.
RELATIVE_RIDGE, RIDGE_EPSILONS = 1e-12, 8
# A line search that ends below this step has met the rows beyond the threshold, whose curvature is
# 0: the next Hessian has that of parabolas above their losses, whose step always fits.
SHORT_STEP = 0.1
# The share of the curvature along a direction that the scale must leave. Without any, the residuals
# are a combination of the columns.
MIN_CURVATURE_SHARE = 1e-8
# CG ends at this relative residual, squared, or after this number of passes.
CG_RESIDUAL, MAX_CG_PASSES = 1e-6, 200


class NewtonWithScale(FullBatch):
    """Minimise Huber's loss with the best scale, and an L2 penalty."""

    solver = "newton-cholesky"
    checkpointed = (
        *FullBatch.checkpointed,
        "_scale",
        "_decrement",
        "_stalled_directions",
        "_has_secants",
    )

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands."""
        super().start(problem, theta, earlier)
        self._exact, self._epsilon = problem, problem.objective.loss.delta
        y, shares = problem.targets[:, 0], problem.row_shares
        if problem.objective.intercept:
            constant, scale, _ = huber_scale.best_constant(y, shares, self._epsilon)
        else:
            constant, scale = 0.0, None
        self._constant = np.array([constant])
        is_constant = not theta.any() if theta is not None else False
        if is_constant:
            self._v = self._constant_v()
        eps = float(np.finfo(problem.rows.dtype).eps)
        ratio = max(huber_scale.LEAST_SCALE_RATIO, huber_scale.LEAST_SCALE_EPSILONS * eps)
        size = sqrt(float(shares @ (y - constant) ** 2))
        least = max(huber_scale.least_scale(y), ratio * size)
        scale, value = huber_scale.profile(y - constant, shares, self._epsilon, scale, least)
        self._constant_loss = value
        # None: not known at v.
        self._scale = scale if is_constant else None
        self._scales = huber_scale.Scale(problem, least, scale)
        self._decrement, self._stalled_directions, self._has_secants = np.inf, 0, False
        n, p = len(problem.visits), problem.rows.shape[1] + 1
        stored = problem.rows.stored * n / max(problem.rows.shape[0], 1)
        is_cheap = n * p * p + p**3 / 3 <= MAX_PRODUCTS * max(stored, 1)
        self._is_dense = self.dense_metric and p <= MAX_DENSE_COLUMNS and is_cheap
        if not self._is_dense:
            self.solver = "newton-cg"

    @property
    def exhausted(self):
        """Whether two directions in a row had a decrement within rounding that hardly fell."""
        return self._stalled_directions > 1

    def _descend(self):
        """Yield an `Epoch` after each gradient."""
        while True:
            self._save_checkpoint()
            loss, self._g = self._gradient()
            self._norm = sqrt(float((self._g * self._g).sum()))
            self._compute_curvatures()
            x = self._x = self._direction()
            decrement = max(float(-(self._g * x).sum()) / 2, 0.0)
            self._optimality = None
            self._rows.begin_direction()
            self._rows.hessian_product(self._at.to_user(x))
            self._rows.extend_direction(1.0)
            rounding = self.rounding(loss, self._exact.rows.dtype)
            self._note_decrement(decrement, rounding)
            is_known = self._is_model_true() or (self.exhausted and not self._has_secants)
            if is_known or not self._norm:
                self._bounds = loss - decrement, loss
                self._optimality = self.relative(decrement, loss), "Newton decrement"
            yield self._report(loss)
            self._search()
            # Two steps in a row with secants would make slow progress.
            self._has_secants = self._step.min() < SHORT_STEP and not self._has_secants
            self._scale = self._scales.at(0.0, self._rows.margins)

    def _note_decrement(self, decrement, rounding):
        has_stalled = STALLED_DECREMENT_RATIO * self._decrement < decrement <= rounding
        self._stalled_directions = self._stalled_directions + 1 if has_stalled else 0
        self._decrement = decrement

    def _is_model_true(self):
        """Whether few rows pass the threshold along the direction."""
        if self._has_secants:
            return False
        changed, total = self._rows.curvature_along(), self._rows.total_curvature()
        return changed <= MAX_CURVATURE_CHANGE * total

    # ---- the objective ----

    def _gradient(self):
        """(F, gradient) at v with the best scale, which becomes the model."""
        theta = self._theta = self._at.to_user(self._v)
        if self._scale is None:  # a pass for the margins
            self._use_threshold(self._epsilon * self._scales.last)
            self._rows.value_and_gradient(theta)
            self._scale = self._scales.at(0.0, self._rows.margins)
        self._use_threshold(self._epsilon * self._scale)
        value, gradient = self._rows.value_and_gradient(theta)
        penalty, scale = self._exact.penalty(theta), self._scale
        loss = scale / 2 + (value - penalty) / scale + penalty
        return loss, self._at.gradient(gradient) / scale + self._at.l2 * self._v

    def _use_threshold(self, threshold):
        self._threshold = threshold
        self.problem = self._rows.problem = huber_scale.with_threshold(self._exact, threshold)

    def loss_at(self, theta):
        """The objective at theta, a flat vector in the user's units."""
        return self._exact.value(theta, np.empty_like(theta))

    def _line(self, t, penalties):
        """(values, slopes) of the objective at v + t x."""
        vectors = self._rows.margins, self._rows.direction
        value, slope = self._scales.along(float(t[0]), *vectors)
        own, mixed, square = penalties
        return value + (own / 2 + t * mixed + t * t * square / 2), slope + mixed + t * square

    # ---- the direction ----

    def _compute_curvatures(self):
        """Compute the curvatures of the rows and what the scale takes of them."""
        rows, margins = self._rows, self._rows.margins
        rows.compute_curvatures()
        # A few rows, and fewer than parameters, make no Hessian.
        few = min(self.problem.rows.shape[1], len(self.problem.visits) // 4)
        if self._has_secants or rows.curved_rows()[0] <= few:
            self._has_secants = True
            h = passes.made(
                self.problem, huber_scale.secant_curvatures, (self._threshold,), margins
            )
            rows.set_point(margins, h)
            self._taken = None
            return
        r = passes.made(self.problem, huber_scale.inlier_residuals, (self._threshold,), margins)
        ones = pack(
            np.zeros((1, self.problem.rows.shape[1])),
            np.ones(1),
            self.problem.rows.dtype,
            self.problem.by_column,
        )
        out = np.empty_like(ones)
        passes.gradient(self.problem.data_term, ones, out, None, r)
        # The mean of the visits; that of the weights is 1.
        n = len(self.problem.visits)
        squares, _ = passes.summed(
            self.problem, huber_scale.scale_sums, (self._threshold, 0.0), margins
        )
        root = sqrt(squares / n * self._scale)
        self._taken = self._at.gradient(out) / root if root > 0 else None

    def _direction(self):
        """Minus the inverse of the Hessian times the gradient."""
        if not self._is_dense:
            return self._by_conjugate_gradients()
        matrix, _ = self._rows.hessian(self._at, 0, len(self.problem.visits))
        matrix /= self._scale
        mean = float(self._rows.mean_curvatures()[0]) / self._scale
        eps = float(np.finfo(self.problem.rows.dtype).eps)
        ridge = max(RELATIVE_RIDGE, RIDGE_EPSILONS * eps)
        factor, diagonal = None, np.diag_indices(len(matrix))
        while factor is None and ridge < 1:
            trial = matrix.copy(order="F")
            trial[diagonal] += self._at.l2[0] + ridge * mean
            factor, ridge = cholesky(trial), 100 * ridge
        if factor is None:
            return -self._g * self._scale
        x = solve(factor, -self._g[0])
        if self._taken is not None:
            u = self._taken[0]
            inverse = solve(factor, u)
            left = max(1 - float(u @ inverse), MIN_CURVATURE_SHARE)
            x = x + inverse * (float(u @ x) / left)
        return x[None]

    def _by_conjugate_gradients(self):
        l2 = self._at.l2
        mean = max(float(self._rows.mean_curvatures()[0]), 1e-3) / self._scale
        cg = ConjugateGradients(-self._g, lambda r: r / (mean + l2), self._dot, has_bounds=False)
        while cg.passes < MAX_CG_PASSES and cg.remainder > CG_RESIDUAL:
            cg.step(self._hessian_product(cg.direction))
        return cg.x

    def _hessian_product(self, d):
        product = self._at.gradient(self._rows.hessian_product(self._at.to_user(d))) / self._scale
        if self._taken is not None:
            share = (1 - MIN_CURVATURE_SHARE) * self._dot(self._taken, d)
            product -= share * self._taken
        return product + self._at.l2 * d
