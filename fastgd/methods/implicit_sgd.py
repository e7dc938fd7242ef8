"""Averaged implicit stochastic gradient descent for streams, on columns scaled by the rows so
far.
"""

from dataclasses import replace

import numpy as np

from fastgd.kernels import implicit
from fastgd.methods.method import Epoch, Method
from fastgd.methods.sparse_stream import SparseStream
from fastgd.problem.constant_model import constant_model
from fastgd.problem.layout import pack, unpack
from fastgd.problem.metric import (
    MIN_RELATIVE_SCALE,
    Metric,
    Space,
    column_density,
    damp_rare_columns,
    metric_of,
)
from fastgd.problem.problem import Problem
from fastgd.problem.records import Record

# The initial rate, in units of the inverse mean curvature.
IMPLICIT_RATE = 2.0
# After this number of rows the rates fall as 1 / sqrt(rows).
RATE_HORIZON = 1000
# Restart the average once the iterates predict better than it by this number of standard errors,
# which takes 16 rows at least. At 3, a drift is noticed some 15 rows earlier, but one of the
# stationary sets of `python -m bench auto` restarts by chance, which costs 5 % of the possible
# gain.
DRIFT_THRESHOLD = 4.0


def average_weight(t):
    """The sum of the first t weights i (i + 1) (i + 2) of the averaged iterates."""
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
        far = np.abs(problem.targets - center)
        most = far.max(axis=0)
        # Squares of the scaled deviations neither overflow nor underflow.
        far /= np.where(most > 0, most, 1.0)
        return cls(center, most * np.sqrt(np.average(far * far, axis=0, weights=weights)))


class Stream(Record):
    """The state of a stream of dense rows; an epoch works on a copy.

    Weights and their average are in the user's units; the offsets are the margins at the columns'
    centre. The statistics of columns and targets are those of `rows` rows of total weight `weight`.
    The average is that of the last `averaged` of `updates`, which began after `begun` rows. `race`
    compares the predictions of iterate and average, see `implicit.epoch`.
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
    averaged: int = 0
    begun: int = 0
    race: np.ndarray | None = None

    @property
    def t(self):
        return self.updates + 1

    def merge(self, metric, density, targets, weight, rows):
        """Add new rows to the statistics; the predictions of the model stay the same."""
        if self.metric is not None:
            part = weight / (self.weight + weight)
            metric = merged(self.metric, metric, part)
            density = (1 - part) * self.density + part * density
        before = 0.0 if self.metric is None else self.metric.center
        self.offset = self.offset + self.coef @ (metric.center - before)
        self.mean_offset = self.mean_offset + self.mean_coef @ (metric.center - before)
        self.metric, self.density, self.targets = metric, density, targets
        self.weight, self.rows = self.weight + weight, self.rows + rows


def pooled(center, spread, other, other_spread, part):
    """Mean and standard deviation of the union of two sets, of which the other one has the share
    `part` of the weight; nothing is squared.
    """
    between = np.sqrt(part * (1 - part)) * np.abs(other - center)
    within = np.hypot(np.sqrt(1 - part) * spread, np.sqrt(part) * other_spread)
    return center + part * (other - center), np.hypot(within, between)


def merged(old, new, part):
    center, scale = pooled(old.center, old.scale, new.center, new.scale, part)
    return Metric(center, np.where(scale > MIN_RELATIVE_SCALE * np.abs(center), scale, 0.0))


def merged_targets(old, new, part):
    return TargetStatistics(*pooled(old.center, old.spread, new.center, new.spread, part))


class AveragedImplicitSGD(Method):
    """One pass over a stream: implicit steps at rates ~ 1 / sqrt(rows); the model is the average of
    the iterates.

    Where the iterates predict new rows significantly better than their average does, the data have
    drifted: the average restarts at the iterate, and so do the rates. A call copies the state of
    dense rows and changes that of sparse ones in place.

    References
    ----------
    Kulis, Bartlett, "Implicit online learning", ICML 2010; Toulis, Airoldi, "Asymptotic and
    finite-sample properties of estimators based on stochastic gradients", Annals of Statistics
    2017; Shamir, Zhang, "Stochastic gradient descent for non-smooth optimization", ICML 2013;
    Dawid, "Present position and potential developments: the prequential approach", JRSS A 1984;
    Page, "Continuous inspection schemes", Biometrika 1954.
    """

    # Whether a large loss means divergence. Here it comes from large targets, or from weights that
    # the penalty has not shrunk yet.
    runs_away = False

    def __init__(self, batch_size: int):
        self.batch_size = batch_size

    def start(self, problem: Problem, theta, earlier):
        """Begin at theta or, with theta=None, continue an earlier stream; the rows enter the
        statistics at once.
        """
        self.problem, objective, visits = problem, problem.objective, problem.visits
        targets = TargetStatistics.of(problem)
        weight = float(len(visits) if problem.weights is None else problem.weights[visits].sum())
        if theta is not None:
            coef, intercept = unpack(theta.astype(np.float64), objective.outputs, problem.by_column)
            if not (objective.loss.is_of_labels or theta.any()):
                intercept = constant_model(problem)[0]
            if problem.by_column:
                state = SparseStream(coef, intercept)
            else:
                state = Stream(coef, intercept, coef, intercept)
        else:
            state = as_sparse(earlier) if problem.by_column else replace(as_dense(earlier))
            if state.targets is not None:
                targets = merged_targets(state.targets, targets, weight / (state.weight + weight))
        self.state = state
        if problem.by_column:
            state.open(problem, targets, weight)
        else:
            state.merge(metric_of(problem), column_density(problem), targets, weight, len(visits))

    def epoch(self, order):
        """Take a step along each row in `order`; return an `Epoch`."""
        if self.problem.by_column:
            try:
                return self._sparse_epoch(order)
            except BaseException:
                self.state.roll_back()
                raise
        return self._dense_epoch(order)

    def _dense_epoch(self, order):
        state = self.state = replace(self.state)
        problem, objective = self.problem, self.problem.objective
        state.race = np.zeros((objective.outputs, 6)) if state.race is None else state.race.copy()
        metric, length = damp_rare_columns(
            state.metric, state.density, state.rows, problem.by_column
        )
        space, before = Space(problem, metric, state.coef), objective.penalty(*self.solution())
        v = space.to_scaled(state.coef, state.offset)
        average = space.to_scaled(state.mean_coef, state.mean_offset) * average_weight(
            state.averaged
        )

        def visit(term, rates, gains, size, race):
            metric, mean = (*space.arrays, gains), (average, state.averaged)
            return implicit.epoch(term, v, metric, rates, size, mean, race=race)

        def restart():
            state.averaged, average[:] = 0, 0

        loss, rate = self._visit(order, length, visit, restart)
        state.coef, state.offset = space.from_scaled(v)
        mean = average / average_weight(state.averaged) if state.averaged else v
        state.mean_coef, state.mean_offset = Space(problem, metric, state.mean_coef).from_scaled(
            mean
        )
        return Epoch(loss + (before + objective.penalty(*self.solution())) / 2, 0.0, rate)

    def _sparse_epoch(self, order):
        state, objective = self.state, self.problem.objective
        before = state.penalty_at(objective)
        loss, rate = self._visit(order, state.length, state.visit, state.restart)
        return Epoch(loss + (before + state.penalty_at(objective)) / 2, 0.0, rate)

    def _visit(self, order, length, visit, restart):
        """(mean loss, last rate) of the rows in `order`; the average may restart on the way."""
        state, problem, objective = self.state, self.problem, self.problem.objective
        size, weights, term = min(self.batch_size, len(order)), problem.weights, problem.data_term
        end = np.array([DRIFT_THRESHOLD, 0.0, 0.0])
        if weights is not None:
            weights = weights / (state.weight / state.rows)
            term = problem.weighted(weights)
        gain = objective.loss.inverse_curvature(state.targets.center, state.targets.spread)
        highest = (
            (1 if objective.tilt else size) * IMPLICIT_RATE / (length + objective.intercept or 1.0)
        )
        loss, done = 0.0, 0
        while done < len(order):
            rest, seen = order[done:], state.rows - len(order) + done
            rows = seen - state.begun + size * np.arange(-(-len(rest) // size))
            rates = highest / np.sqrt(1 + rows / RATE_HORIZON)
            loss += visit(term.over(rest), rates, gain, size, (state.race, end))
            visits = int(end[2])
            done, updates = done + visits, -(-visits // size)
            state.updates, state.averaged = state.updates + updates, state.averaged + updates
            if not visits:
                break
            if end[1]:
                restart()
                state.begun = seen + visits
                state.race[:] = 0
        total = len(order) if weights is None else float(weights[order].sum())
        return loss / total, float(rates[updates - 1])

    def loss_at(self, theta):
        """The objective on the current rows, at a flat vector in the user's units."""
        problem, outputs = self.problem, self.problem.objective.outputs
        coef, intercept = unpack(theta.astype(np.float64), outputs, problem.by_column)
        p, metric = problem.rows.shape[1], self.state.metric
        space = Space(
            problem, Metric(np.zeros(p), np.ones(p)) if problem.by_column else metric, coef
        )
        v = space.to_scaled(coef, space.offset(coef, intercept))
        rates, metric = np.zeros(len(problem.visits)), (*space.arrays, np.ones(outputs))
        loss = implicit.epoch(problem.data_term, v, metric, rates, 1) / problem.total_weight
        return float(loss + problem.objective.penalty(coef, intercept))

    def is_finite(self):
        if self.problem.by_column:
            return self.state.is_finite()
        return bool(
            np.isfinite(self.state.mean_coef).all() and np.isfinite(self.state.mean_offset).all()
        )

    def solution(self):
        """(coef, intercept) of the averaged iterates."""
        state = self.state
        if self.problem.by_column:
            return state.solution()
        return state.mean_coef.copy(), state.mean_offset - state.mean_coef @ state.metric.center


def as_sparse(state):
    """The state of any stream, converted for sparse rows, whose columns have no centre."""
    if isinstance(state, SparseStream):
        return state
    center = state.metric.center
    stream = SparseStream(state.coef, state.offset - state.coef @ center)
    stream.set_statistics(
        np.hypot(state.metric.scale, center), state.density, state.rows, state.weight
    )
    mean_intercept, total = (
        state.mean_offset - state.mean_coef @ center,
        average_weight(state.averaged),
    )
    stream.average[:] = pack(state.mean_coef, mean_intercept, np.float64, True) * total
    stream.sums[1], stream.paid[:, 1] = total, total
    for name in ("targets", "updates", "averaged", "begun"):
        setattr(stream, name, getattr(state, name))
    if state.race is not None:
        stream.race[:] = state.race
    return stream


def as_dense(state):
    """The state of any stream, converted for dense rows."""
    if isinstance(state, Stream):
        return state
    scale, density = state.norm / np.sqrt(state.weight or 1.0), state.count / max(state.rows, 1)
    metric = Metric(np.zeros(len(scale)), np.where(state.count > 0, scale, 0.0))
    return Stream(
        *state.iterate(),
        *state.solution(),
        metric,
        density,
        state.targets,
        state.weight,
        state.rows,
        state.updates,
        state.averaged,
        state.begun,
        state.race,
    )
