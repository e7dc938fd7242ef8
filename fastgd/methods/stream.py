"""The state of a stream of dense rows, and what it shares with that of sparse rows."""

from dataclasses import KW_ONLY, fields, replace

import numpy as np

from fastgd.problem.coordinates import KernelCoordinates
from fastgd.problem.metric import Metric, merged, metric_of
from fastgd.problem.records import Record


def average_weight(t):
    """The sum of the first t weights i (i + 1) (i + 2) of the averaged iterates."""
    return t * (t + 1) * (t + 2) * (t + 3) / 4


def metric_of_targets(problem):
    """The `Metric` of the outputs' targets: their weighted means and standard deviations."""
    if problem.objective.by_class:
        return Metric(np.zeros(problem.objective.outputs), np.ones(problem.objective.outputs))
    weights = None if problem.weights is None else problem.weights[problem.visits]
    center = np.average(problem.targets, axis=0, weights=weights)
    far = np.abs(problem.targets - center)
    most = far.max(axis=0)
    # Squares of the scaled deviations neither overflow nor underflow.
    far /= np.where(most > 0, most, 1.0)
    return Metric(center, most * np.sqrt(np.average(far * far, axis=0, weights=weights)))


class StreamState(Record):
    """What the states of all streams share.

    `targets` is the metric of the targets of `rows` rows of total weight `weight`. The average is
    that of the last `averaged` of `updates`, which began after `begun` rows. `drift` holds the sums
    of Page's test, which compares the predictions of iterate and average, see `implicit.epoch`.
    """

    _: KW_ONLY
    drift: np.ndarray
    targets: Metric | None = None
    weight: float = 0.0
    rows: int = 0
    updates: int = 0
    averaged: int = 0
    begun: int = 0

    @property
    def t(self):
        """The number of the next update, from 1."""
        return self.updates + 1

    @property
    def progress(self):
        """All this, as arguments for a state of the other kind."""
        return {field.name: getattr(self, field.name) for field in fields(StreamState)}

    def add_rows(self, problem):
        """Add the rows of a problem to the statistics; return their share of the weight."""
        part = problem.total_weight / (self.weight + problem.total_weight)
        targets = metric_of_targets(problem)
        self.targets = merged(self.targets, targets, part, 0.0) if self.targets else targets
        self.weight, self.rows = self.weight + problem.total_weight, self.rows + len(problem.visits)
        return part


class Stream(StreamState):
    """The state of a stream of dense rows.

    Weights and their average are in the user's units; the offsets are the margins at the columns'
    centre. During an epoch, between `begin` and `end`, the state is in scaled columns too, as the
    kernels take it: `v` is [W, b], `average` the weighted sum of its iterates, `squared_norm` the
    mean of |x|^2.
    """

    lazy = None

    coef: np.ndarray
    offset: np.ndarray
    mean_coef: np.ndarray
    mean_offset: np.ndarray
    metric: Metric | None = None
    # The share of the rows that store each column, after sparse rows; those of dense rows all do.
    density: np.ndarray | float = 1.0

    def open(self, problem):
        """Begin a call: add its rows to the statistics; the predictions of the model stay the
        same.
        """
        part, metric, center = self.add_rows(problem), metric_of(problem), 0.0
        if self.metric is not None:
            metric, center = merged(self.metric, metric, part), self.metric.center
        self.offset = self.offset + self.coef @ (metric.center - center)
        self.mean_offset = self.mean_offset + self.mean_coef @ (metric.center - center)
        self.metric, self.density = metric, (1 - part) * self.density + part

    def begin(self, problem):
        """The state that an epoch changes: a copy."""
        state = replace(self, drift=self.drift.copy())
        state._enter(problem)
        return state

    def _enter(self, problem):
        """Convert weights and average to scaled columns."""
        iterate = KernelCoordinates(problem, self.metric, self.coef)
        mean = KernelCoordinates(problem, self.metric, self.mean_coef)
        self.squared_norm = float((self.metric.scale > 0).sum())
        self.scaling = *iterate.arrays, problem.objective.loss.inverse_curvature(self.targets)
        self.v = iterate.to_scaled(self.coef, self.offset)
        self.average = mean.to_scaled(self.mean_coef, self.mean_offset)
        self.average = self.average * average_weight(self.averaged)
        self._coordinates = iterate, mean

    def restart(self):
        """Restart the average of the iterates."""
        self.averaged, self.average[:] = 0, 0

    def end(self):
        """Convert weights and average to the user's units."""
        average = self.average / average_weight(self.averaged) if self.averaged else self.v
        iterate, mean = self._coordinates
        self.coef, self.offset = iterate.from_scaled(self.v)
        self.mean_coef, self.mean_offset = mean.from_scaled(average)
        del self.v, self.average, self.scaling, self._coordinates

    def roll_back(self):
        """Do nothing, since an epoch changes a copy."""

    def penalty_at(self, objective):
        """The penalty of the model."""
        return objective.penalty(*self.solution())

    def is_finite(self):
        return bool(np.isfinite(self.mean_coef).all() and np.isfinite(self.mean_offset).all())

    def iterate(self):
        """(coef, intercept) of the iterate."""
        return self.coef, self.offset - self.coef @ self.metric.center

    def solution(self):
        """(coef, intercept) of the averaged iterates."""
        return self.mean_coef.copy(), self.mean_offset - self.mean_coef @ self.metric.center
