"""Dual coordinate descent on short sparse rows of many columns: a step sets one row's slope.

The slopes a_i make the weights, w = -sum_i s_i a_i x_i / (n l2). The margins met on the way tell
about how far the objective is above the dual, so the bound that costs passes is asked for when it
is likely to be enough. An intercept, which is not penalised, demands sum_i s_i a_i = 0: it is the
multiplier of that (augmented Lagrangian), moved after each pass. Rows at rest sit passes out.
Sources: Hsieh, Chang, Lin, Keerthi, Sundararajan, "A dual coordinate descent method for large-scale
linear SVM", ICML 2008; Bertsekas, Constrained Optimization and Lagrange Multiplier Methods, 1982.
"""

from dataclasses import replace
from math import sqrt

import numpy as np

from fastgd.kernels import batch, dual
from fastgd.kernels.order import shuffle
from fastgd.kernels.rows import squared_norms
from fastgd.methods.method import Epoch
from fastgd.methods.newton import Newton
from fastgd.methods.smoothing import SmoothedNewton
from fastgd.problem.duality import gap, relative, weighted

LIMIT = 1e6  # mean of |x|^2 / (n l2) up to which there is hope,
LONGEST = 10.0  # and up to which few passes are enough
HASTE = 100  # passes that it may be likely to take in all, or another method takes over
CHANCES = 20  # bounds that were not enough, until then
TRIAL = 10  # passes after which that is asked
# of the mean of |x|^2, that the intercept's column counts for: more couples all rows, with less it
# comes late
PULL = 0.1
TELLING = 4096  # rows that tell how far the dual is about, of those that were visited


def _is_kept(passes):
    """Whether the parameters after so many passes are kept: 1, 2, 3, 4, 6, 8, 12, 16, ..."""
    while passes > 4 and passes % 2 == 0:
        passes //= 2
    return passes <= 4


class DualCoordinateDescent(Newton):
    """Minimise an objective with L2 part, one row's slope at a time; where that goes slowly, as
    `SmoothedNewton` or `Newton` do.

    The models that come here are not warm started, so nothing is kept to go on from.
    """

    def start(self, problem, theta, earlier):
        """Begin at theta; only from zero does the dual know the slopes."""
        super().start(problem, theta, earlier)
        size = problem.rows.shape[0] * problem.objective.outputs
        self._lower, self._other, self._is_cold = -np.inf, None, not self.state.theta.any()
        nothing = np.zeros_like(self._v)
        nothing[:, -1] = self._constant
        self._theta = self._at.to_user(nothing)
        self._best = self._constant_loss, self._theta.copy()
        # The objective does not fall with every pass. Where training ends early, the best of some
        # parameters is the result: those of the lowest objective, as far as the margins met on the
        # way tell, and those after some passes.
        self._lowest, self._candidates = (np.inf, self._theta.copy()), []
        self._margins, self._slopes = np.zeros(size), np.zeros(size)
        self._order = problem.visits.copy()
        self._active = len(problem.visits)
        self._rest_of_pass = np.inf
        self._estimates, self._checked, self._failures = [], np.inf, 0

    def _successor(self):
        """The method that takes over."""
        return (SmoothedNewton if self.problem.objective.loss.needs_smoothing else Newton)(
            self.dense_metric, self.tol
        )

    def _descend(self):
        """Yields an `Epoch` after each pass."""
        kinked = self.problem.objective.loss.needs_smoothing
        self._share, self._kind = (1.0, "duality gap") if kinked else (0.5, "half the duality gap")
        self._is_patient = (
            not self._dense_at_once
        )  # the others crawl without a dense metric; with one they do better on long rows
        lengths = squared_norms(
            self.problem.rows, self.problem.visits, np.empty(1, self.problem.rows.dtype)
        )
        mean = lengths.mean() / (self._weight * self.problem.objective.l2)
        if self._is_cold and mean <= (LIMIT if self._is_patient else LONGEST):
            yield from self._by_rows(lengths)
        self._other = self._successor()
        self._other.start(self.problem, self._best[1], None)
        while True:
            epoch = self._other.epoch(None)
            self._optimality = self._other.optimality()
            yield epoch

    def _by_rows(self, squares):
        """Sweeps, until they seem to be the longer way; `squares` are |x|^2 of the rows to train
        on.
        """
        problem, objective, visits = self.problem, self.problem.objective, self.problem.visits
        N, outputs, strength = problem.rows.shape[0], objective.outputs, objective.l2 * self._weight
        lengths = np.zeros(N)
        lengths[visits] = squares
        bias = PULL * float(squares.mean()) if objective.intercept else 0.0
        weights = np.ones(len(visits)) if problem.weights is None else problem.weights[visits]
        self._row_weights = weights / self._weight
        self._targets = np.zeros((N, outputs))
        self._targets[visits] = problem.output_targets
        while True:
            theta = self._theta
            if self._rest_of_pass == np.inf:
                self._active = len(self._order)
            active, before = self._order[: self._active], theta.copy()
            shuffle(
                active, len(self._estimates)
            )  # whole: neighbours that stay together take several times as many passes
            some = active[:: max(len(active) // TELLING, 1)].copy()
            slopes = self._by_row(self._slopes)[some]
            self._rest_of_pass, self._active = dual.sweep(
                problem.rows,
                problem.y,
                problem.weights,
                active,
                lengths,
                theta,
                self._margins,
                self._slopes,
                objective.codes,
                strength,
                bias,
                self._rest_of_pass,
            )
            if objective.intercept:
                theta[len(theta) - outputs :] -= bias / objective.l2 * self._imbalance()
            value = self._value(theta)
            distance = relative(
                self._share * self._distance(some, slopes, len(active)), value, self._constant_loss
            )
            last = self._estimates[-1] if self._estimates else np.inf
            self._estimates.append(distance)
            if _is_kept(len(self._estimates)):
                self._candidates.append(theta.copy())
            elif value < self._lowest[0]:
                self._lowest = value, theta.copy()
            if distance < last < np.inf:  # when the last rows were met, it was already less
                distance *= sqrt(distance / last)
            moved = self._at.gradient(objective.l2 * (theta - before))
            norm = sqrt(float((moved * moved).sum()))
            yield Epoch(value, norm, 1.0)
            if distance <= min(self.tol, self._checked):
                yield Epoch(self._check(theta), norm, 1.0)
                self._rest_of_pass = np.inf
                self._checked = 0.5 * distance
                self._failures = self._failures + 1
            elif self._active == 0:
                self._rest_of_pass = np.inf
            if self._failures > CHANCES or self._is_slow(self._estimates):
                self._check(theta)
                return

    def _is_slow(self, estimates):
        """Whether so many passes more are likely to be needed that another way is shorter."""
        done = len(estimates)
        if done < TRIAL or self._is_patient:
            return False
        half = done // 2
        fall = np.log(max(estimates[half], 1e-300) / max(estimates[-1], 1e-300)) / (done - 1 - half)
        left = np.log(max(estimates[-1], 1e-300) / max(self.tol, 1e-14))
        return left > 0 and left > (HASTE - done) * fall

    def _by_row(self, values):
        return values.reshape(-1, self.problem.objective.outputs)

    def _imbalance(self):
        """The mean slope of each output."""
        return weighted(self._row_weights, self._by_row(self._slopes)[self.problem.visits])

    def _value(self, theta):
        """The objective at theta, of the margins last met."""
        problem, objective = self.problem, self.problem.objective
        self._rows.margins = self._by_row(self._margins)[problem.visits].ravel()
        penalty = objective.penalty(theta[: len(theta) - objective.outputs])
        return float(weighted(self._row_weights, self.losses()[0]).sum() + penalty)

    def _distance(self, rows, slopes, visited):
        """About what the objective was above the dual, sum_i s_i (L(z_i) + L*(a_i) - a_i z_i) / n,
        when these rows were met.

        They are some of so many that were visited. Rows that sat out have a share of nothing,
        however their margins have moved: they are far from their kinks.
        """
        problem, objective = self.problem, self.problem.objective
        z, targets = self._by_row(self._margins)[rows], self._targets[rows]
        value, _ = objective.loss.evaluate(z.ravel(), targets.ravel())
        each = value.reshape(z.shape) + objective.loss.conjugate(slopes, targets) - slopes * z
        weights = 1.0 if problem.weights is None else problem.weights[rows, None]
        return max(float((weights * each).sum()) * visited / max(len(rows), 1) / self._weight, 0.0)

    def _note(self, theta):
        """The objective at theta, whose parameters are kept if they are the best known."""
        problem, objective = self.problem, self.problem.objective
        batch.margins(problem.rows, theta, objective.outputs, self._margins, problem.threads)
        value = self._value(theta)
        if value <= self._best[0]:
            self._best = value, theta.copy()
        return value

    def _check(self, theta):
        """The objective at theta; it and the bound enter what is known.

        It lies between the minimum and the gap above it; where the loss is smooth, about half-way.
        """
        problem, value = self.problem, self._note(theta)
        self._lower = max(
            self._lower,
            value - gap(problem, self._at, value, self._by_row(self._slopes)[problem.visits]),
        )
        self._tell_gap()
        return value

    @property
    def exhausted(self):
        """Whether the method that has taken over has nothing left to gain."""
        return self._other is not None and self._other.exhausted

    def _tell_gap(self):
        """Note how far the best parameters are from the minimum at most, or of smooth losses
        about.
        """
        self._optimality = (
            relative(
                self._share * (self._best[0] - self._lower),
                self._best[0],
                self._constant_loss,
                self._floor,
            ),
            self._kind,
        )

    def _result(self):
        """The best parameters that are known; before the first bound, as far as the margins met
        tell.
        """
        if self._other is not None:
            return self._other.state.theta
        return self._best[1] if self._lower > -np.inf else self._lowest[1]

    def finish(self, certify=True):
        """Training ends: what has been reached is weighed."""
        if self._other is not None:
            self._other.finish(certify)
        elif self._estimates:
            self._check(self._theta)
            for theta in (self._lowest[1], *self._candidates):
                self._note(theta)
            self._tell_gap()
        self.state = replace(self.state, theta=self._result())
