"""What is to be minimised, on which data: all that a method of descent knows."""

from functools import cached_property

import numpy as np

from fastgd.kernels import batch
from fastgd.kernels.rows import Rows
from fastgd.problem.layout import unpack
from fastgd.problem.objective import Objective
from fastgd.problem.records import Record


class Problem(Record):
    """What is to be minimised, on which data: all that a method of descent is told.

    `visits` are the numbers of the rows to train on; `weights` (None: all 1) are relative to the
    mean of theirs; `full_batch` says that a batch is all of them; `threads` never changes a result;
    `rows` is `X` as the kernels see it. `resumable`: a later training may go on exactly from any
    epoch's end, so no epoch may spoil what another one has left of the rows. `metric` is that of
    the rows to train on, where it has been made already.
    """

    rows: Rows
    y: np.ndarray
    weights: np.ndarray | None
    objective: Objective
    visits: np.ndarray
    full_batch: bool
    threads: int
    X: object = None
    resumable: bool = False
    random_state: object = None
    metric: object = None

    @property
    def by_column(self):
        """Whether the weights lie column by column, as sparse rows want them."""
        return self.rows.sparse

    @cached_property
    def total_weight(self):
        """The sum of the weights of the rows to train on."""
        return len(self.visits) if self.weights is None else float(self.weights[self.visits].sum())

    def value(self, theta, gradient, margins=None):
        """The objective at theta, in a pass over X.

        `gradient` receives that of the mean loss, without the penalty; `margins` the rows' margins.
        """
        objective = self.objective
        total = batch.gradient(
            self.rows,
            self.y,
            self.weights,
            self.visits,
            theta,
            gradient,
            objective.codes,
            self.threads,
            margins,
        )
        W, b = unpack(theta, objective.outputs, self.by_column)
        return total / self.total_weight + objective.penalty(W, b)

    @property
    def targets(self):
        """The targets of the rows to train on, a row each."""
        return self.y.reshape(self.rows.shape[0], -1)[self.visits]

    @property
    def output_targets(self):
        """The same with a column an output: +1 and -1 where y holds class numbers."""
        outputs = self.objective.outputs
        return (
            np.where(self.targets == np.arange(outputs), 1.0, -1.0)
            if self.objective.by_class
            else self.targets
        )


class HeldOut(Record):
    """Rows by which models are judged: `labels` as `score` takes them, `y` as the kernels do;
    `weights` (None: all 1).
    """

    X: object
    labels: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None

    @classmethod
    def of(cls, X, y, labels, weights, rows):
        """These rows of the data."""
        return cls(
            X[rows],
            labels[rows],
            y.reshape(X.shape[0], -1)[rows].ravel(),
            None if weights is None else weights[rows],
        )
