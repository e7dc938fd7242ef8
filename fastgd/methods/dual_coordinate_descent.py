"""Dual coordinate descent on short sparse rows of many columns: a step sets the slope of one row.

The slopes a_i determine the weights, w = -sum_i s_i a_i x_i / (n l2). The margins computed on the
way estimate the duality gap, so the exact gap, which costs passes, is computed only when it is
likely to be small enough. An unpenalised intercept adds the constraint sum_i s_i a_i = 0: it is the
constraint's multiplier (augmented Lagrangian), updated after each pass. Rows whose slope has
settled are skipped (shrinking).
Sources: Hsieh, Chang, Lin, Keerthi, Sundararajan, "A dual coordinate descent method for large-scale
linear SVM", ICML 2008; Bertsekas, Constrained Optimization and Lagrange Multiplier Methods, 1982.
"""

from dataclasses import replace
from math import sqrt

import numpy as np

from fastgd.kernels import batch, dual
from fastgd.kernels.order import shuffle
from fastgd.kernels.rows import squared_norms
from fastgd.methods.active_set import newton_for
from fastgd.methods.full_batch import FullBatch
from fastgd.methods.interior_point import method_for
from fastgd.methods.method import Epoch
from fastgd.methods.preconditioner import dense_rows
from fastgd.problem.duality import relative, weighted

# The mean of |x|^2 / (n l2) up to which the dual is tried where Newton's methods have no dense
# preconditioner. The number of passes grows with it.
MAX_ROW_NORM = 1e6
# The same where they have one, so that the dual has to need few passes.
SMALL_ROW_NORM = 10.0
# Newton's methods take over if the dual is predicted to need more than this number of passes in
# all.
MAX_PREDICTED_PASSES = 100
# They also take over after this number of duality gaps that were too large.
MAX_FAILED_CHECKS = 20
# Passes before the first prediction.
MIN_PASSES = 10
# The squared entry of the intercept's column, in units of the mean of |x|^2. A larger one couples
# all rows, whose steps then undo one another; with a smaller one the intercept converges late.
INTERCEPT_SHARE = 0.1


def _is_candidate(passes):
    """Whether the parameters after this number of passes are stored: 1, 2, 3, 4, 6, 8, 12, 16,
    ...
    """
    while passes > 4 and passes % 2 == 0:
        passes //= 2
    return passes <= 4


class DualCoordinateDescent(FullBatch):
    """Minimise an objective with L2 part, one row's slope at a time; switch to a method of full
    batches if that is slow or, with `gives_up`, raise StopIteration.

    Its models are not warm started, so there is no state to resume from.
    """

    def __init__(self, dense_metric=False, tol=0.0, gives_up=False):
        super().__init__(dense_metric, tol)
        self._gives_up = gives_up

    def start(self, problem, theta, earlier):
        """Begin at theta; the dual needs a theta of 0, where all slopes are 0."""
        super().start(problem, theta, earlier)
        size = problem.rows.shape[0] * problem.objective.outputs
        self._other, self._is_cold = None, not self.state.theta.any()
        self._begin_with_constant()
        # Each pass makes a new array of parameters: those of earlier ones stay as they are.
        self._theta = self._best[1]
        # The objective does not fall with every pass. If training ends early, the result is the
        # best of some candidates: the parameters of the lowest estimated objective, and those after
        # some passes.
        self._lowest, self._candidates = (np.inf, self._theta), []
        self._margins, self._slopes = np.zeros(size), np.zeros(size)
        self._order = problem.visits.copy()
        self._active = len(problem.visits)
        self._rest_of_pass = np.inf
        self._estimates, self._checked, self._failures = [], np.inf, 0

    @property
    def solver(self):
        """The name of the method at hand."""
        return self._other.solver if self._other else "dual-coordinate-descent"

    def _successor(self):
        """The method to switch to."""
        needs_smoothing = self.problem.objective.loss.needs_smoothing
        choose = method_for if needs_smoothing else newton_for
        return choose(self.problem, self.dense_metric, self.tol)

    def _descend(self):
        """Yield an `Epoch` after each pass."""
        kinked = self.problem.objective.loss.needs_smoothing
        self._share, self._kind = (1.0, "duality gap") if kinked else (0.5, "half the duality gap")
        # Newton's methods are slow without a dense preconditioner; with one they are faster on long
        # rows.
        has_dense_metric = self.dense_metric and dense_rows(self.problem)
        self._is_only_choice = not (has_dense_metric or self._gives_up)
        lengths = squared_norms(self.problem.rows, self.problem.visits)
        mean = lengths.mean() / (self._weight * self.problem.objective.l2)
        if self._is_cold and mean <= (SMALL_ROW_NORM if has_dense_metric else MAX_ROW_NORM):
            yield from self._by_rows(lengths)
        if self._gives_up:
            return
        self._other = self._successor()
        self._other.start(self.problem, self._best[1], None)
        while True:
            epoch = self._other.epoch(None)
            self._optimality = self._other.optimality()
            yield epoch

    def _by_rows(self, squares):
        """Sweep over the rows until another method seems to be faster; `squares` are |x|^2 of the
        rows to train on.
        """
        self._prepare(squares)
        while True:
            value, norm, distance = self._sweep()
            last = self._estimates[-1] if self._estimates else np.inf
            self._estimates.append(distance)
            self._store(value, self._theta)
            # The estimate is an average over the pass, at whose end the gap is smaller.
            if distance < last < np.inf:
                distance *= sqrt(distance / last)
            yield Epoch(value, norm, 1.0)
            if distance <= min(self.tol, self._checked):
                yield Epoch(self._check(self._theta), norm, 1.0)
                self._rest_of_pass = np.inf
                self._checked = 0.5 * distance
                self._failures = self._failures + 1
            elif self._active == 0:
                self._rest_of_pass = np.inf
            if self._failures > MAX_FAILED_CHECKS or self._is_slow(self._estimates):
                self._check(self._theta)
                return

    def _prepare(self, squares):
        """Compute what the kernel needs of each row, given |x|^2 of the rows to train on."""
        problem, objective, visits = self.problem, self.problem.objective, self.problem.visits
        lengths = np.zeros(problem.rows.shape[0])
        lengths[visits] = squares
        self._bias = INTERCEPT_SHARE * float(squares.mean()) if objective.intercept else 0.0
        self._row_weights = problem.row_weights / self._weight
        targets = problem.output_targets
        conjugates = np.zeros((len(lengths), objective.outputs))
        conjugates[visits] = objective.loss.conjugate(np.zeros(targets.shape), targets)
        self._of_rows = lengths, self._margins, self._slopes, conjugates.ravel()

    def _sweep(self):
        """Visit the active rows; return (the objective, the norm of the gradient, the relative
        distance from the minimum), which are estimates from the margins met.
        """
        problem, objective, outputs = self.problem, self.problem.objective, self._at.outputs
        before, theta = self._theta, self._theta.copy()
        if self._rest_of_pass == np.inf:
            # `_skipped` is the sum of the losses of the rows that are skipped.
            self._active, self._skipped = len(self._order), 0.0
        active = self._order[: self._active]
        # Shuffle all rows, not blocks: neighbours that stay together take several times as many
        # passes.
        shuffle(active, len(self._estimates))
        limits = objective.l2 * self._weight, self._bias, self._rest_of_pass
        self._rest_of_pass, self._active, met, left, gap = dual.sweep(
            problem.data_term, active, self._of_rows, theta, *limits
        )
        if objective.intercept:
            theta[len(theta) - outputs :] -= self._bias / objective.l2 * self._imbalance()
        self._theta, at = theta, self._at
        units = at.center, at.inverse, outputs, problem.by_column
        squares, change = dual.progress(theta, before, *units)
        value = (met + self._skipped) / self._weight + objective.l2 / 2 * squares
        self._skipped += left
        # Skipped rows contribute 0 even if their margins have moved, since they are far from their
        # kinks.
        distance = self._share * max(gap, 0.0) / self._weight
        distance = relative(distance, value, self._constant_loss)
        return value, objective.l2 * sqrt(change), distance

    def _store(self, value, theta):
        """Store the parameters after a pass, if they are a candidate for the result."""
        if _is_candidate(len(self._estimates)):
            self._candidates.append(theta)
        elif value < self._lowest[0]:
            self._lowest = value, theta

    def _is_slow(self, estimates):
        """Whether the predicted number of passes exceeds `MAX_PREDICTED_PASSES`."""
        done = len(estimates)
        if done < MIN_PASSES or self._is_only_choice:
            return False
        half = done // 2
        fall = np.log(max(estimates[half], 1e-300) / max(estimates[-1], 1e-300)) / (done - 1 - half)
        left = np.log(max(estimates[-1], 1e-300) / max(self.tol, 1e-14))
        return left > 0 and left > (MAX_PREDICTED_PASSES - done) * fall

    def _by_row(self, values):
        return values.reshape(-1, self.problem.objective.outputs)

    def _imbalance(self):
        """The mean slope of each output."""
        return weighted(self._row_weights, self._by_row(self._slopes)[self.problem.visits])

    def _evaluate(self, theta):
        """The objective at theta, which becomes the best model if it is the lowest so far."""
        problem, objective = self.problem, self.problem.objective
        batch.margins(problem.rows, theta, objective.outputs, self._margins, problem.threads)
        self._rows.margins = self._by_row(self._margins)[problem.visits].ravel()
        penalty = objective.penalty(theta[: len(theta) - objective.outputs])
        value = float(weighted(self._row_weights, self._rows.losses()[0]).sum() + penalty)
        self._offer(value, theta, or_equal=True)
        return value

    def _check(self, theta):
        """The objective at theta; it and its duality gap update the bounds.

        The minimum lies between the objective and the objective minus the gap; for smooth losses
        about half-way.
        """
        value, slopes = self._evaluate(theta), self._by_row(self._slopes)[self.problem.visits]
        self._lower_bound = max(self._lower_bound, value - self.gap(value, slopes=slopes))
        self._update_optimality()
        return value

    @property
    def exhausted(self):
        """Whether the successor can gain no more than rounding."""
        return self._other is not None and self._other.exhausted

    def _update_optimality(self):
        """Update the relative distance of the best parameters: a bound, or an estimate for smooth
        losses.
        """
        distance = self._share * (self._best[0] - self._lower_bound)
        self._optimality = self.relative(distance, self._best[0]), self._kind

    def close(self):
        """Drop the generators."""
        super().close()
        if self._other is not None:
            self._other.close()

    def is_finite(self):
        """Whether all parameters are finite; if a pass changes them to infinity, its gradient norm
        says so.
        """
        return self._other is None or super().is_finite()

    def _model(self):
        """The best parameters so far; before the first duality gap, those of the lowest estimated
        objective.
        """
        if self._other is not None:
            return self._other.state.theta
        return self._best[1] if self._lower_bound > -np.inf else self._lowest[1]

    def finish(self, certify=True):
        """Evaluate the candidates, and publish the best."""
        if self._other is not None:
            self._other.finish(certify)
        elif self._estimates:
            self._check(self._theta)
            for theta in (self._lowest[1], *self._candidates):
                self._evaluate(theta)
            self._update_optimality()
        self.state = replace(self.state, theta=self._model())
