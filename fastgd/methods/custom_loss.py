"""Methods without a rate to choose for custom losses, which provide value and slope but neither
curvature nor conjugate: L-BFGS on full batches, Adam otherwise.
"""

from dataclasses import replace

import numpy as np

from fastgd.kernels.cost import Status
from fastgd.methods.full_batch import State
from fastgd.methods.lbfgs import LineSearches, Repeatable
from fastgd.methods.method import Epoch
from fastgd.methods.optimizers import Adam
from fastgd.methods.schedules import Lipschitz
from fastgd.methods.sgd import FirstOrder
from fastgd.problem.coordinates import Coordinates
from fastgd.problem.metric import metric_of
from fastgd.problem.problem import Problem

# Pairs of vectors that L-BFGS stores.
LBFGS_MEMORY = 30
# The first rate that is tried for Adam.
MAX_FIRST_RATE = 1.0
# Halvings of that rate, at most. A guard: 2^-40 = 1e-12.
MAX_HALVINGS = 40


class LBFGS(Repeatable):
    """L-BFGS on scaled columns; an epoch is a pass over the rows, that is one evaluation.

    There is no estimate of the distance to the minimum: a loss that need not be convex may have
    several.
    """

    solver = "lbfgs"

    def start(self, problem: Problem, theta, earlier: State | None):
        """Begin at theta, or where `earlier` stands."""
        self.problem, objective = problem, problem.objective
        self.state = self._origin = State.begin(problem, theta, earlier)
        self._at = Coordinates(problem, metric_of(problem))
        start, lower, upper = self._at.from_user(self.state.theta).ravel(), None, None
        if objective.positive:
            bounds = np.append(np.zeros(len(self._at.inverse)), -np.inf)
            lower, upper = np.tile(bounds, objective.outputs), np.full(len(start), np.inf)
            start = np.maximum(start, lower)
        share = np.tile(np.append(self._at.inverse, 0.0), objective.outputs)
        eps, l1 = float(np.finfo(problem.rows.dtype).eps), objective.l1
        self._lines = LineSearches(
            start, LBFGS_MEMORY, eps, lower=lower, upper=upper, l1=l1, share=share
        )
        self._is_stuck = False

    def epoch(self, order):
        """Evaluate the trial point, and let the line search proceed; return the `Epoch` of the last
        iterate.
        """
        lines, theta = self._lines, self.state.theta
        if not self._is_stuck:
            status = lines.evaluate(self._evaluate)
            # A nan may come from an interrupted evaluation: it is not the end of the domain.
            if np.isnan(lines.told) or status in (Status.UNDEFINED, Status.UNBOUNDED):
                return Epoch(np.nan, np.nan, lines.step)
            if status == Status.MOVED:
                theta = self._at.to_user(lines.x.reshape(self.problem.objective.outputs, -1))
                status = lines.propose()
            self._is_stuck = status == Status.STUCK
        state = self.state
        self.state = replace(state, theta=theta, t=state.t + 1, epochs=state.epochs + 1)
        return Epoch(lines.value, lines.norm, lines.step)

    def _evaluate(self, flat):
        """(smooth part of the objective, its gradient) at a point in scaled columns."""
        problem = self.problem
        v = flat.reshape(problem.objective.outputs, -1)
        theta = self._at.to_user(v)
        gradient = np.empty_like(theta)
        loss = problem.mean_loss(theta, gradient) + 0.5 * float((self._at.l2 * v * v).sum())
        gradient = self._at.gradient(gradient) + self._at.l2 * v
        if not problem.objective.intercept:
            gradient[:, -1] = 0
        return loss, gradient.ravel()


class AutoRateAdam(FirstOrder):
    """Adam at rates that fall as 1 / sqrt(1 + epochs). The first rate is so small that a step of
    that length in each parameter, against the signs of the gradient, lowers the objective.
    """

    def __init__(self, batch_size):
        super().__init__(Lipschitz(MAX_FIRST_RATE), Adam(), batch_size)

    def start(self, problem, theta, earlier):
        super().start(problem, theta, earlier)
        rate = getattr(earlier, "rate", None) or self._first_rate()
        self.schedule, self.state.rate = replace(self.schedule, eta0=rate), rate

    def _first_rate(self):
        theta, problem = self.state.theta, self.problem
        gradient = np.empty_like(theta)
        before = problem.value(theta, gradient)
        down, rate = np.sign(gradient), MAX_FIRST_RATE
        if not problem.objective.intercept:
            down[len(theta) - problem.objective.outputs :] = 0
        for _ in range(MAX_HALVINGS):
            if problem.value(theta - (rate * down).astype(theta.dtype), gradient) < before:
                break
            rate /= 2
        return rate
