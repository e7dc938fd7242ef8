"""Without a rate to choose, what trains losses of which nothing is known but value and slope (no
curvature, no conjugate): L-BFGS on full batches, Adam on others.
"""

from dataclasses import replace

import numpy as np

from fastgd.kernels import batch
from fastgd.kernels.quasi_newton import QuasiNewton, Status
from fastgd.methods.curvature import Coordinates
from fastgd.methods.method import Epoch
from fastgd.methods.newton import State
from fastgd.methods.optimizers import Adam
from fastgd.methods.schedules import Lipschitz
from fastgd.methods.sgd import FirstOrder
from fastgd.problem.layout import pack, unpack
from fastgd.problem.metric import metric_of
from fastgd.problem.problem import Problem

MEMORY = 30  # pairs
ROUNDING = 1e3  # of a mean loss, in units of the precision
RATE = 1.0  # Adam's, the first tried
HALVINGS = 40


class LBFGS:
    """Searched lines in the metric of the columns; an epoch is a pass over the rows, that is one
    evaluation.

    Of the minimum nothing is known: a loss that need not be convex may have several.
    """

    backtracked = False  # no step needs it

    def start(self, problem: Problem, theta, earlier: State | None):
        """Begin at theta, or where `earlier` stands."""
        self.problem, objective = problem, problem.objective
        if theta is None:
            coef, intercept = unpack(earlier.theta, objective.outputs, earlier.by_column)
            theta = pack(coef, intercept, problem.rows.dtype, problem.by_column)
        self.state = State(
            theta,
            problem.by_column,
            t=getattr(earlier, "t", 1),
            epochs=getattr(earlier, "epochs", 0),
        )
        self._origin, self._done = theta, 0
        self._weight = problem.total_weight
        self._at = Coordinates(problem, metric_of(problem))
        share = np.tile(np.append(self._at.inverse, 0.0), objective.outputs)
        lower = upper = None
        if objective.positive:
            upper = np.full(share.shape, np.inf)
            lower = np.where(
                np.arange(len(share)) % (len(self._at.inverse) + 1) < len(self._at.inverse),
                0.0,
                -np.inf,
            )
        noise = ROUNDING * float(np.finfo(problem.rows.dtype).eps)
        start = self._at.from_user(theta).ravel()
        start = start if lower is None else np.maximum(start, lower)
        self._lines = QuasiNewton(start, lower, upper, objective.l1, MEMORY, noise, False, share)
        self._is_stuck = False

    def resume_point(self):
        """What `resume` needs."""
        return self._origin, self._done, self.state

    def resume(self, problem: Problem, resume_point):
        """Begin where an earlier run on the same data was at `resume_point`: its evaluations, once
        more, teach the same.
        """
        origin, done, state = resume_point
        self.start(problem, origin, None)
        for _ in range(done):
            self.epoch(None)
        self.state = state

    def epoch(self, order):
        """One evaluation, and what follows from it; returns an `Epoch` of the last iterate."""
        lines, theta = self._lines, self.state.theta
        if not self._is_stuck:
            loss, gradient = self._evaluate(lines.trial)
            # a loss that is no number may be an interrupted one, which a line must not take for the
            # end of the domain
            status = Status.UNDEFINED if np.isnan(loss) else lines.tell(loss, gradient)
            if status in (Status.UNDEFINED, Status.UNBOUNDED):
                return Epoch(np.nan, np.nan, lines.step)
            if status == Status.MOVED:
                theta = self._at.to_user(lines.x.reshape(self.problem.objective.outputs, -1))
                status = lines.propose()
            self._is_stuck = status == Status.STUCK
        self._done += 1
        self.state = replace(
            self.state, theta=theta, t=self.state.t + 1, epochs=self.state.epochs + 1
        )
        return Epoch(lines.value, lines.norm, lines.step)

    def _evaluate(self, flat):
        """(smooth part of the objective, its gradient) at a point in the metric."""
        problem = self.problem
        v = flat.reshape(problem.objective.outputs, -1)
        theta = self._at.to_user(v)
        gradient = np.empty_like(theta)
        loss = self._loss(theta, gradient) + 0.5 * float((self._at.l2 * v * v).sum())
        gradient = self._at.gradient(gradient) + self._at.l2 * v
        if not problem.objective.intercept:
            gradient[:, -1] = 0
        return loss, gradient.ravel()

    def _loss(self, theta, gradient):
        problem = self.problem
        return (
            batch.gradient(
                problem.rows,
                problem.y,
                problem.weights,
                problem.visits,
                theta,
                gradient,
                problem.objective.codes,
                problem.threads,
            )
            / self._weight
        )

    def loss_at(self, theta):
        """The objective at theta."""
        outputs = self.problem.objective.outputs
        return self._loss(theta, np.empty_like(theta)) + self.problem.objective.penalty(
            theta[: len(theta) - outputs]
        )

    def optimality(self):
        """Nothing is known of how far the minimum is."""
        return None

    def is_finite(self):
        return bool(np.isfinite(self.state.theta).all())

    def finish(self, certify=True):
        """Training ends."""

    def react(self):
        """A stalled loss calls for nothing: there is no rate."""
        return False

    def solution(self):
        """(coef, intercept)"""
        return unpack(self.state.theta, self.problem.objective.outputs, self.problem.by_column)


class FirstStep(FirstOrder):
    """Adam at rates that fall as 1 / sqrt(1 + epochs), the first so small that a step down all
    slopes at once, equally long in each parameter, lowers the objective of all rows.
    """

    def __init__(self, batch_size):
        super().__init__(Lipschitz(RATE), Adam(), batch_size)

    def start(self, problem, theta, earlier):
        super().start(problem, theta, earlier)
        rate = getattr(earlier, "rate", None) or self._first_rate()
        self.schedule, self.state.rate = replace(self.schedule, eta0=rate), rate

    def epoch(self, order):
        epoch = super().epoch(order)
        self.state.rate = self.schedule.eta0  # for whoever goes on from here
        return epoch

    def _first_rate(self):
        theta, problem = self.state.theta, self.problem
        gradient = np.empty_like(theta)
        before = self._gradient_at(theta, gradient)
        down, rate = np.sign(gradient), RATE
        if not problem.objective.intercept:
            down[len(theta) - problem.objective.outputs :] = 0
        for _ in range(HALVINGS):
            if self._gradient_at(theta - (rate * down).astype(theta.dtype), gradient) < before:
                break
            rate /= 2
        return rate

    def _gradient_at(self, theta, gradient):
        """The objective; `gradient` receives that of its data term."""
        problem = self.problem
        loss = batch.gradient(
            problem.rows,
            problem.y,
            problem.weights,
            problem.visits,
            theta,
            gradient,
            problem.objective.codes,
            problem.threads,
        )
        return loss / self._weight + problem.objective.penalty(*self._parts(theta))
