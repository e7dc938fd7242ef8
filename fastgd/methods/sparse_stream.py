"""The state of a stream of sparse rows: a call touches only the columns of its rows."""

from dataclasses import replace

import numpy as np

from fastgd.kernels import implicit
from fastgd.methods.stream import Stream, StreamState, average_weight
from fastgd.problem.layout import pack
from fastgd.problem.metric import MAX_COLUMNS_PER_ROW, MAX_PENALTY, Metric

# Bins for the columns' counts of entries: 33 exact ones, and 16 per octave up to 2^62.
COUNT_BINS = 1000
# Newton steps for the damping, at most. A guard: the equation is convex, and from the value of the
# last call two or three steps are enough.
MAX_NEWTON_STEPS = 100
# Arrays with an entry per column.
COLUMN_ARRAYS = "inverse", "l1", "l2", "paid", "norm", "count"


class SparseStream(StreamState):
    """Weights, their average, and statistics of the columns; untouched columns need no update.

    `v` and the weighted sum `average` of the iterates are [W, b], each column in the scale of its
    last update: its weights are v * inverse. The penalty and the averaging that are due since then
    are a difference between `sums` and `paid` (see docs/lazy.md). Arrays change in place. Between
    `open` and `close` a call can be rolled back. Copies and pickles share no arrays.
    """

    # Of the open call: (attributes, list of (array, index, values)) before it.
    _undo = None

    def __init__(self, coef, intercept, **progress):
        super().__init__(**progress)
        self.outputs, p = coef.shape
        self.drift = self.drift.copy()
        self.v = pack(coef, intercept, np.float64, True)
        self.average = np.zeros(coef.size + self.outputs)
        self.inverse, self.l1, self.l2 = np.ones(p), np.zeros(p), np.zeros(p)
        self.paid, self.sums = np.zeros((p, 2)), np.array([0.0, 0.0, 1.0])
        self.norm, self.count = np.zeros(p), np.zeros(p, np.int64)
        self.bins = np.zeros(COUNT_BINS, np.int64)
        self.bins[0] = p
        self.damping, self.squared_norm = 0.0, 0.0
        self.penalty, self.inverse_curvature = None, np.ones(self.outputs)
        # The sums of |w| and of w^2.
        self.sizes = np.array([np.abs(coef).sum(), (coef * coef).sum()])

    def __getstate__(self):
        public = {name: value for name, value in vars(self).items() if name[0] != "_"}
        arrays = {name: part for name, part in public.items() if isinstance(part, np.ndarray)}
        return public | {name: part.copy() for name, part in arrays.items()}

    # ---- a call ----

    def open(self, problem):
        """Begin a call: add its rows to the statistics, and bring their columns up to date."""
        objective = problem.objective
        penalty = objective.l1, objective.l2, objective.positive
        columns = columns_of(problem.rows, problem.visits)
        # A new penalty: apply what is due of the old one to all columns.
        if self.penalty not in (None, penalty):
            columns = np.arange(len(self.norm))
        self._columns, self._undo = columns, (dict(vars(self)), [])
        self._save(columns)
        self.add_rows(problem)
        implicit.add_rows(problem.data_term, self.norm, self.count, self.bins)
        self.damping, self.squared_norm = damping(self.bins, self.rows, self.damping)
        self._other_sizes = self.sizes - self._sizes(columns)
        statistics = self.norm, self.count, self.weight
        state = self.v, self.average, self.scaling, self.lazy
        implicit.rescale(columns, *state, objective.codes, statistics, self.damping)
        self.penalty, self.sums[2] = penalty, self.weight
        self.inverse_curvature = objective.loss.inverse_curvature(self.targets)

    def begin(self, problem):
        """The state that an epoch changes: itself."""
        return self

    @property
    def scaling(self):
        """The scaling as the kernels take it; they ignore the centre of sparse columns, which is
        0.
        """
        return self.norm, self.inverse, self.l1, self.l2, self.inverse_curvature

    @property
    def lazy(self):
        """The arrays by which the kernels bring columns up to date."""
        return self.paid, self.sums

    def restart(self):
        """Restart the average of the iterates."""
        self._save(slice(None))
        self.averaged, self.sums[1] = 0, 0.0
        self.average[:], self.paid[:, 1] = 0, 0

    @np.errstate(over="ignore")
    def end(self):
        """Add up the sizes of the weights after the steps of an epoch."""
        self.sizes = np.maximum(self._other_sizes + self._sizes(self._columns), 0.0)

    def close(self):
        """End a call, which can no longer be rolled back."""
        self._undo = None

    def roll_back(self):
        """Restore the state before the open call, if there is one."""
        if self._undo:
            attributes, arrays = self._undo
            for array, at, values in reversed(arrays):
                array[at] = values
            vars(self).update(attributes, _undo=None)

    def _save(self, columns):
        """Save these columns, and arrays without columns, for `roll_back`."""
        tail = slice(len(self.v) - self.outputs, None)
        parts = [(self._block(flat), columns) for flat in (self.v, self.average)]
        parts += [(getattr(self, name), columns) for name in COLUMN_ARRAYS]
        parts += [(flat, tail) for flat in (self.v, self.average)]
        parts += [(array, slice(None)) for array in (self.bins, self.sums, self.drift)]
        self._undo[1].extend((array, at, array[at].copy()) for array, at in parts)

    def _block(self, flat):
        """(p, outputs): the weights of a flat vector."""
        return flat[: len(flat) - self.outputs].reshape(-1, self.outputs)

    def _sizes(self, columns):
        """The sums of |w| and w^2 over these columns; weights with a penalty beyond `MAX_PENALTY`
        are 0.
        """
        held = np.maximum(self.l1[columns], self.l2[columns]) >= MAX_PENALTY
        weights = self._block(self.v)[columns] * np.where(held, 0.0, self.inverse[columns])[:, None]
        # Clip sums that overflow, since differences of infinities are nan.
        sums = np.abs(weights).sum(), (weights * weights).sum()
        return np.minimum(sums, np.finfo(float).max)

    # ---- results ----

    @np.errstate(over="ignore", invalid="ignore")
    def penalty_at(self, objective):
        """The penalty; untouched columns count with the weights of their last update."""
        sizes = objective.l1 * self.sizes[0] + objective.l2 / 2 * self.sizes[1]
        return float(sizes + objective.tilt * self.intercept().sum())

    def is_finite(self):
        """Whether the columns of the last call and the intercepts are finite."""
        v, tail = self._block(self.v)[self._columns], self.v[len(self.v) - self.outputs :]
        return all(np.isfinite(part).all() for part in (v, tail, self.intercept()))

    def intercept(self):
        """(outputs,) the intercepts of the averaged iterates."""
        tail = slice(len(self.v) - self.outputs, None)
        return self.average[tail] / self.sums[1] if self.averaged else self.v[tail].copy()

    def iterate(self):
        """(coef, intercept) of the iterate, every column up to date."""
        coef = self._settled(slice(None)) * self.inverse[:, None]
        return np.ascontiguousarray(coef.T), self.v[len(self.v) - self.outputs :].copy()

    def solution(self, columns=slice(None)):
        """(coef, intercept) of the averaged iterates, with these columns up to date."""
        mean = self._settled(columns)
        if self.averaged:
            late = (self.sums[1] - self.paid[columns, 1])[:, None]
            mean = (self._block(self.average)[columns] + late * mean) / self.sums[1]
        coef = mean * self.inverse[columns, None]
        return np.ascontiguousarray(coef.T), self.intercept()

    def _settled(self, columns):
        """v of these columns, (columns, outputs), up to date."""
        v = self._block(self.v)[columns]
        if self.penalty and any(self.penalty):
            owed = (self.sums[0] - self.paid[columns, 0])[:, None] * self.inverse_curvature
            limit = owed * self.l1[columns, None]
            v = v - np.clip(v, -limit, limit)
            v = v / (1 + owed * self.l2[columns, None])
            if self.penalty[2]:
                v = np.maximum(v, 0)
        return v


def columns_of(rows, visits):
    """The numbers of the columns that these sparse rows store, each once, ascending."""
    indices, indptr = rows.owners
    if len(visits) < rows.shape[0]:
        parts = [indices[indptr[i] : indptr[i + 1]] for i in visits]
        indices = np.concatenate([indices[:0], *parts])
    else:
        indices = indices[: indptr[-1]]
    # `np.unique` takes up to 30 times as long.
    indices = np.sort(indices)
    first = np.ones(len(indices), bool)
    np.not_equal(indices[1:], indices[:-1], out=first[1:])
    return indices[first].astype(np.intp)


def damping(bins, rows, start):
    """(damping, mean squared norm of a row) such that the columns count for `rows` / 10.

    A column with `count` entries counts for count / (count + damping). The damping is the root of a
    convex equation, found by Newton's method on binned counts.
    """
    filled = np.flatnonzero(bins[1:]) + 1
    columns, goal = bins[filled].astype(float), MAX_COLUMNS_PER_ROW * rows
    count = implicit.bin_counts(COUNT_BINS)[filled]
    if columns.sum() <= goal:
        return 0.0, float(columns.sum())
    # Beyond the root a Newton step may be too long.
    if (columns * (count / (count + start))).sum() < goal:
        start = 0.0
    for _ in range(MAX_NEWTON_STEPS):
        weights = columns * (count / (count + start))
        step = (weights.sum() - goal) / (weights / (count + start)).sum()
        start += step
        if not step > 1e-12 * start:
            break
    return float(start), float((columns * (count / (count + start))).sum())


def as_sparse(state):
    """The state of any stream, converted for sparse rows, whose columns have no centre."""
    if isinstance(state, SparseStream):
        return state
    stream, metric = SparseStream(*state.iterate(), **state.progress), state.metric
    scale = np.hypot(metric.scale, metric.center)
    count = np.maximum(np.rint(state.density * state.rows), 1)
    stream.count[:] = np.where(scale > 0, count, 0)
    stream.norm[:] = scale * np.sqrt(state.weight)
    stream.bins[:] = np.bincount(implicit.bins_of(stream.count), minlength=COUNT_BINS)
    total = average_weight(state.averaged)
    stream.average[:] = pack(*state.solution(), np.float64, True) * total
    stream.sums[1], stream.paid[:, 1] = total, total
    return stream


def as_dense(state):
    """The state of any stream, converted for dense rows; a copy."""
    if isinstance(state, Stream):
        return replace(state)
    scale, density = state.norm / np.sqrt(state.weight or 1.0), state.count / max(state.rows, 1)
    metric = Metric(np.zeros(len(scale)), np.where(state.count > 0, scale, 0.0))
    return Stream(*state.iterate(), *state.solution(), metric, density, **state.progress)
