"""The state of a stream of sparse rows: a call touches only the columns of its rows."""

import numpy as np

from fastgd.kernels import implicit
from fastgd.problem.layout import pack
from fastgd.problem.metric import MAX_COLUMNS_PER_ROW, MAX_PENALTY

# Bins for the columns' counts of entries: 33 exact ones, and 16 per octave up to 2^62.
COUNT_BINS = 1000
# Newton steps for the damping, at most. A guard: the equation is convex, and from the value of the
# last call two or three steps are enough.
MAX_NEWTON_STEPS = 100
# Arrays with an entry per column.
COLUMN_ARRAYS = "inverse", "l1", "l2", "paid", "norm", "count"
# Arrays whose size does not depend on the number of columns.
FIXED_SIZE_ARRAYS = "bins", "sums", "race", "gains"


class SparseStream:
    """Weights, their average, and statistics of the columns; untouched columns need no update.

    `v` and the weighted sum `average` of the iterates are [W, b], each column in the scale of its
    last update: its weights are v * inverse. The penalty and the averaging that are due since then
    are a difference between `sums` and `paid` (see docs/lazy.md). Arrays change in place. Between
    `open` and `close` a call can be rolled back. Copies and pickles share no arrays.
    """

    def __init__(self, coef, intercept):
        self.outputs, p = coef.shape
        self.v = pack(coef, intercept, np.float64, True)
        self.average = np.zeros(coef.size + self.outputs)
        self.inverse, self.l1, self.l2 = np.ones(p), np.zeros(p), np.zeros(p)
        self.paid, self.sums = np.zeros((p, 2)), np.array([0.0, 0.0, 1.0])
        self.norm = np.zeros(p)
        self.count = np.zeros(p, np.int64)
        self.bins = np.zeros(COUNT_BINS, np.int64)
        self.bins[0] = p
        self.damping = 0.0
        self.rows = 0
        self.weight = 0.0
        self.updates = 0
        self.averaged = 0
        self.begun = 0
        self.targets, self.gains, self.penalty = None, np.ones(self.outputs), None
        self.race = np.zeros((self.outputs, 6))
        self.absolute, self.squared = float(np.abs(coef).sum()), float((coef * coef).sum())
        self._undo = None

    @property
    def t(self):
        """The number of the next update, from 1."""
        return self.updates + 1

    def __getstate__(self):
        copies = {
            name: value.copy()
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        state = vars(self) | copies | {"_undo": None}
        return {name: value for name, value in state.items() if name not in ("_columns", "_absent")}

    def set_statistics(self, scale, density, rows, weight):
        """Set the statistics of earlier rows: the columns' root mean squares, and the shares of
        rows that store them.
        """
        self.count[:] = np.where(scale > 0, np.maximum(np.rint(density * rows), 1), 0)
        self.norm[:] = scale * np.sqrt(weight)
        self.bins[:] = np.bincount(implicit.bins_of(self.count), minlength=COUNT_BINS)
        self.rows, self.weight = rows, weight

    # ---- a call ----

    def open(self, problem, targets, weight):
        """Begin a call: add its rows to the statistics, and bring their columns up to date."""
        rows, visits, objective = problem.rows, problem.visits, problem.objective
        self._columns, self._undo = columns_of(rows, visits), None
        self._save(self._columns)
        implicit.meet(problem.data_term, self.norm, self.count, self.bins)
        self.rows = self.rows + len(visits)
        self.weight = self.weight + weight
        self.targets = targets
        self.damping, self.length = damping(self.bins, self.rows, self.damping)
        penalty = objective.l1, objective.l2, objective.positive
        columns = self._columns
        # A new penalty: apply what is due of the old one to all columns.
        if self.penalty not in (None, penalty):
            columns = np.arange(len(self.norm))
            self._save(columns)
        absolute, squared = self._sizes(columns)
        self._absent = self.absolute - absolute, self.squared - squared
        statistics = self.norm, self.count, self.weight
        state = self.v, self.average, self.metric, self.lazy
        implicit.rescale(columns, *state, objective.codes, statistics, self.damping)
        self.penalty, self.sums[2] = penalty, self.weight

    def visit(self, term, rates, gains, size, race):
        """Take implicit steps on the rows of a data term; return the sum of their losses."""
        self.gains, average = gains, (self.average, self.averaged)
        total = implicit.epoch(
            term, self.v, self.metric, rates, size, average, lazy=self.lazy, race=race
        )
        absolute, squared = self._sizes(self._columns)
        self.absolute = max(self._absent[0] + absolute, 0.0)
        self.squared = max(self._absent[1] + squared, 0.0)
        return total

    def restart(self):
        """Restart the average of the iterates."""
        self._save(np.arange(len(self.norm)))
        self.averaged, self.sums[1] = 0, 0.0
        self.average[:], self.paid[:, 1] = 0, 0

    def close(self):
        """End a call, which can no longer be rolled back."""
        self._undo = None

    def roll_back(self):
        """Restore the state before the open call, if there is one."""
        for columns, saved in reversed(self._undo or []):
            for name, value in saved.items():
                part = getattr(self, name)
                if name in ("v", "average"):
                    self._block(part)[columns], part[len(part) - self.outputs :] = value
                elif isinstance(part, np.ndarray):
                    part[columns if name in COLUMN_ARRAYS else slice(None)] = value
                else:
                    setattr(self, name, value)
        self._undo = None

    def _save(self, columns):
        """Save these columns, and all attributes without columns, for `roll_back`."""
        saved = {
            name: (self._block(part)[columns], part[len(part) - self.outputs :].copy())
            for name, part in (("v", self.v), ("average", self.average))
        }
        saved |= {name: getattr(self, name)[columns] for name in COLUMN_ARRAYS}
        saved |= {name: getattr(self, name).copy() for name in FIXED_SIZE_ARRAYS}
        short = {name: value for name, value in vars(self).items() if name[0] != "_"}
        saved |= {name: value for name, value in short.items() if not isinstance(value, np.ndarray)}
        self._undo = [*(self._undo or []), (columns, saved)]

    def _block(self, flat):
        """(p, outputs): the weights of a flat vector."""
        return flat[: len(flat) - self.outputs].reshape(-1, self.outputs)

    def _sizes(self, columns):
        """The sums of |w| and w^2 over these columns; weights with a penalty beyond `MAX_PENALTY`
        are 0.
        """
        held = (self.l1[columns] >= MAX_PENALTY) | (self.l2[columns] >= MAX_PENALTY)
        weights = self._block(self.v)[columns] * np.where(held, 0.0, self.inverse[columns])[:, None]
        # Clip sums that overflow, since differences of infinities are nan.
        most = np.finfo(float).max
        return (
            float(min(np.abs(weights).sum(), most)),
            float(min((weights * weights).sum(), most)),
        )

    @property
    def metric(self):
        """The scaling as the kernels take it; they ignore the centre of sparse columns, which is
        0.
        """
        return self.norm, self.inverse, self.l1, self.l2, self.gains

    @property
    def lazy(self):
        """The arrays by which the kernels bring columns up to date."""
        return self.paid, self.sums

    # ---- results ----

    def penalty_at(self, objective):
        """The penalty; untouched columns count with the weights of their last update."""
        sizes = objective.l1 * self.absolute + objective.l2 / 2 * self.squared
        return sizes + objective.tilt * float(self.intercept().sum())

    def is_finite(self):
        """Whether the columns of the last call and the intercepts are finite."""
        v, tail = self._block(self.v)[self._columns], self.v[len(self.v) - self.outputs :]
        return bool(
            np.isfinite(v).all() and np.isfinite(tail).all() and np.isfinite(self.intercept()).all()
        )

    def intercept(self):
        """(outputs,) the intercepts of the averaged iterates."""
        tail = slice(len(self.v) - self.outputs, None)
        return self.average[tail] / self.sums[1] if self.averaged else self.v[tail].copy()

    def iterate(self):
        """(coef, intercept) of the iterate, every column up to date."""
        every = slice(None)
        coef = self._settled(every) * self.inverse[:, None]
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
            owed = (self.sums[0] - self.paid[columns, 0])[:, None] * self.gains
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
        indices = np.concatenate(
            [indices[:0], *(indices[indptr[i] : indptr[i + 1]] for i in visits)]
        )
    else:
        indices = indices[: indptr[-1]]
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
    columns, count, goal = (
        bins[filled].astype(float),
        implicit.bin_counts(COUNT_BINS)[filled],
        MAX_COLUMNS_PER_ROW * rows,
    )
    if columns.sum() <= goal:
        return 0.0, float(columns.sum())
    # Beyond the root a Newton step may be too long.
    if (columns * (count / (count + start))).sum() < goal:
        start = 0.0
    for _ in range(MAX_NEWTON_STEPS):
        share = count / (count + start)
        excess = (columns * share).sum() - goal
        step = excess / (columns * share / (count + start)).sum()
        start += step
        if not step > 1e-12 * start:
            break
    return float(start), float((columns * (count / (count + start))).sum())
