"""Averaged implicit stochastic gradient descent in the metric of the rows seen so far: for streams."""
from dataclasses import replace

import numpy as np

from fastgd.engine.data import Problem, unpack
from fastgd.engine.metric import CONSTANT, Metric, Space, column_density, constant_model, damped, metric_of
from fastgd.engine.objective import REGRESSION
from fastgd.engine.records import Record
from fastgd.kernels import implicit

from .descent import Epoch

CURVATURE = {"log_loss": 0.25, "softmax": 0.5, "modified_huber": 2.0, "squared_hinge": 2.0, "squared_epsilon_insensitive": 2.0}
RATE = 2.0         # times the inverse of the mean curvature
HORIZON = 1000     # rows after which the rates fall as 1 / sqrt(rows)


def gains(objective, targets):
    """(outputs,) what a step of rate 1 changes a margin by, per unit of slope: 1 / curvature, or as far as the targets ask for."""
    center, spread = targets.center, targets.spread
    if objective.loss in ("epsilon_insensitive", "quantile"):
        return np.where(spread > 0, spread, 1.0)
    if objective.loss == "huber":
        return np.maximum(1.0, spread / max(objective.delta, 1e-3 * spread.max(), 1e-300))
    if objective.loss == "poisson":
        return 1 / np.maximum(center, 1.0)
    return np.full(objective.outputs, 1 / CURVATURE.get(objective.loss, 1.0))


def mass(t):
    """The sum of the first t weights i (i + 1) (i + 2) of the mean of the iterates."""
    return t * (t + 1) * (t + 2) * (t + 3) / 4


class TargetStatistics(Record):
    """Weighted mean and standard deviation of each output's targets."""

    center: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, problem):
        if problem.objective.by_class:
            return cls(np.zeros(problem.objective.outputs), np.ones(problem.objective.outputs))
        weights = None if problem.weights is None else problem.weights[problem.visits]
        center = np.average(problem.targets, axis=0, weights=weights)
        return cls(center, np.sqrt(np.average((problem.targets - center) ** 2, axis=0, weights=weights)))


class Stream(Record):
    """What a stream has taught so far: weights and their mean in the user's units, with margins at the columns' centre for
    intercepts; the columns' and the targets' statistics, of `rows` rows of total weight `weight`; the number of updates.
    """

    coef: np.ndarray
    offset: np.ndarray
    mean_coef: np.ndarray
    mean_offset: np.ndarray
    metric: Metric | None = None
    density: np.ndarray | None = None
    targets: TargetStatistics | None = None
    weight: float = 0.0
    rows: int = 0
    updates: int = 0

    @property
    def t(self):
        return self.updates + 1

    def merge(self, metric, density, targets, weight, rows):
        """Take new rows into the statistics; what the model says stays the same."""
        if self.metric is not None:
            part = weight / (self.weight + weight)
            metric, targets = merged(self.metric, metric, part), merged_targets(self.targets, targets, part)
            density = (1 - part) * self.density + part * density
        before = 0.0 if self.metric is None else self.metric.center
        self.offset = self.offset + self.coef @ (metric.center - before)
        self.mean_offset = self.mean_offset + self.mean_coef @ (metric.center - before)
        self.metric, self.density, self.targets = metric, density, targets
        self.weight, self.rows = self.weight + weight, self.rows + rows


def pooled(center, spread, other, other_spread, part):
    """Mean and standard deviation of two sets of numbers, `part` of the weight being in the other one; nothing is squared."""
    between = np.sqrt(part * (1 - part)) * np.abs(other - center)
    within = np.hypot(np.sqrt(1 - part) * spread, np.sqrt(part) * other_spread)
    return center + part * (other - center), np.hypot(within, between)


def merged(old, new, part):
    center, scale = pooled(old.center, old.scale, new.center, new.scale, part)
    return Metric(center, np.where(scale > CONSTANT * np.abs(center), scale, 0.0))


def merged_targets(old, new, part):
    return TargetStatistics(*pooled(old.center, old.spread, new.center, new.spread, part))


class AveragedImplicit:
    """One pass over a stream: implicit steps of rate ~ 1 / sqrt(rows), and the mean of the iterates for a model.

    References
    ----------
    Kulis, Bartlett, "Implicit online learning", ICML 2010; Toulis, Airoldi, "Asymptotic and finite-sample properties of estimators
    based on stochastic gradients", Annals of Statistics 2017; Shamir, Zhang, "Stochastic gradient descent for non-smooth
    optimization", ICML 2013.
    """

    repaired = False  # no step overshoots

    def __init__(self, batch_size: int):
        self.batch_size = batch_size

    def start(self, problem: Problem, theta, earlier: Stream | None):
        """Begin at theta, or (theta=None) go on with an earlier stream; the rows enter the statistics at once."""
        self.problem = problem
        if theta is None:
            self.state = replace(earlier)
        else:
            coef, intercept = unpack(theta.astype(np.float64), problem.objective.outputs, problem.by_column)
            self.state = Stream(coef, intercept, coef, intercept)
        state, visits = self.state, problem.visits
        first = state.metric is None
        state.merge(metric_of(problem), column_density(problem), TargetStatistics.of(problem),
                    float(len(visits) if problem.weights is None else problem.weights[visits].sum()), len(visits))
        if first and problem.objective.loss in REGRESSION and not theta.any():
            state.offset = constant_model(problem)[0]
            state.mean_offset = state.offset

    def epoch(self, order):
        """Visit the rows in `order` once; returns an `Epoch`."""
        state = self.state = replace(self.state)
        problem, objective = self.problem, self.problem.objective
        metric, lengths = damped(state.metric, state.density, state.rows, problem.by_column)
        space, size = Space(problem, metric, state.coef), min(self.batch_size, len(order))
        updates = -(-len(order) // size)
        v, average = space.enter(state.coef, state.offset), space.enter(state.mean_coef, state.mean_offset) * mass(state.updates)
        rows = state.rows - len(order) + size * np.arange(updates)
        rates = (1 if objective.tilt else size) * RATE / (lengths + objective.intercept or 1.0) / np.sqrt(1 + rows / HORIZON)
        weights = problem.weights
        if weights is not None:
            weights = weights * (state.rows / state.weight)
        loss = implicit.epoch(problem.rows, problem.y, weights, order, v, average, space.arrays, rates,
                              gains(objective, state.targets), objective.codes, size,
                              float(state.updates), None, np.empty(1, problem.rows.dtype))
        before = objective.penalty(*self.solution())
        state.updates += updates
        state.coef, state.offset = space.leave(v)
        state.mean_coef, state.mean_offset = Space(problem, metric, state.mean_coef).leave(average / mass(state.updates))
        loss /= len(order) if weights is None else float(weights[order].sum())
        penalty = (before + objective.penalty(*self.solution())) / 2
        return Epoch(loss + penalty, 0.0, float(rates[-1]))

    def loss_at(self, theta):
        """The objective on the rows at hand, at a flat vector in the user's units."""
        problem, outputs = self.problem, self.problem.objective.outputs
        coef, intercept = unpack(theta.astype(np.float64), outputs, problem.by_column)
        space = Space(problem, self.state.metric, coef)
        v = space.enter(coef, space.offset(coef, intercept))
        loss = implicit.epoch(problem.rows, problem.y, problem.weights, problem.visits, v, None, space.arrays,
                              np.zeros(len(problem.visits)), np.ones(outputs), problem.objective.codes, 1, 0.0, None,
                              np.empty(1, problem.rows.dtype))
        weight = len(problem.visits) if problem.weights is None else problem.weights[problem.visits].sum()
        return float(loss / weight + problem.objective.penalty(coef, intercept))

    def is_finite(self):
        return bool(np.isfinite(self.state.mean_coef).all() and np.isfinite(self.state.mean_offset).all())

    def position(self):
        """A stream goes on from its state."""
        return None

    def finish(self, certify=True):
        """A stream has no end."""

    def react(self):
        return False

    def optimality(self):
        return None

    def solution(self):
        """(coef, intercept) of the mean of the iterates."""
        state = self.state
        return state.mean_coef.copy(), state.mean_offset - state.mean_coef @ state.metric.center
