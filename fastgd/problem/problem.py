"""The problem of a method: an objective and the data."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.rows import Rows
from fastgd.problem import huber_scale, passes
from fastgd.problem.chunked_rows import ChunkedRows
from fastgd.problem.chunked_term import ChunkedTerm
from fastgd.problem.layout import unpack
from fastgd.problem.objective import Objective
from fastgd.problem.records import Record


class Problem(Record):
    """An objective and the data that it is minimised on.

    `visits` are the indices of the rows to train on; `weights` (None: all 1) are relative to the
    mean of theirs. `full_batch` says that a batch has all of these rows. `threads` never changes a
    result. `rows` is `X` as the kernels see it; X is None if the rows are in chunks. `resumable`
    says that a later training may continue from the end of any epoch, so each epoch copies the
    per-row memory. `metric` is that of the rows to train on, `row_gram` their `RowGram`, if known.
    """

    rows: Rows | ChunkedRows
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
    row_gram: object = None

    @property
    def by_column(self):
        """Whether the weights are stored column by column, as for sparse rows."""
        return self.rows.sparse

    @cached_property
    def data_term(self):
        """The data term over the rows to train on, as the kernels take it."""
        return self.weighted(self.weights)

    def weighted(self, weights):
        """The data term with other weights of the rows."""
        if isinstance(self.rows, ChunkedRows):
            return ChunkedTerm(self, weights)
        codes = self.objective.codes
        return DataTerm(self.rows, self.y, weights, self.visits, codes, self.threads)

    def of_chunk(self, rows, part, threads):
        """The problem of the rows of a chunk, given its `Part`."""
        return replace(
            self, rows=rows, y=part.y, weights=part.weights, visits=part.visits, threads=threads
        )

    @cached_property
    def total_weight(self):
        """The sum of the weights of the rows to train on."""
        return len(self.visits) if self.weights is None else float(self.weights[self.visits].sum())

    def value(self, theta, gradient, margins=None):
        """The objective at theta, in a pass over X; `gradient` and `margins` as in `mean_loss`."""
        return self.mean_loss(theta, gradient, margins) + self.penalty(theta)

    def penalty(self, theta):
        """The penalty at theta."""
        return self.objective.penalty(*unpack(theta, self.objective.outputs, self.by_column))

    def mean_loss(self, theta, gradient, margins=None):
        """The mean loss at theta, in a pass over X; `gradient` receives its derivatives, `margins`
        the rows' margins.
        """
        if self.objective.loss.has_scale:
            return huber_scale.mean_loss(self, theta, gradient, margins)
        return passes.gradient(self.data_term, theta, gradient, margins) / self.total_weight

    @property
    def training_X(self):
        """The rows of X to train on: X itself if these are all, in its order."""
        return self.X if len(self.visits) == self.X.shape[0] else self.X[self.visits]

    @property
    def any_X(self):
        """X, also if it is in chunks."""
        return self.rows if self.X is None else self.X

    def on(self, X, **others):
        """The problem on another X, and with `others` replaced."""
        is_chunked = isinstance(X, ChunkedRows)
        return replace(self, X=None if is_chunked else X, rows=passes.rows_of(X), **others)

    def columns(self, numbers):
        """These columns of the rows to train on."""
        X = self.rows.columns(numbers) if self.X is None else self.X[:, numbers]
        return X[self.visits]

    def some_rows(self, most):
        """At most so many of the rows to train on, evenly spaced; of chunks those of the first."""
        if self.X is None:
            first, places = next(iter(self.rows.places(self.visits).items()))
            X, visits = self.rows.block(first), self.visits[places] - self.rows.bounds[first]
        else:
            X, visits = self.X, self.visits
        return X[visits[:: -(-len(visits) // most)]]

    @property
    def row_weights(self):
        """The weights of the rows to train on, shape (n,)."""
        return np.ones(len(self.visits)) if self.weights is None else self.weights[self.visits]

    @property
    def row_shares(self):
        """The same, divided by their sum."""
        weights = self.row_weights
        return weights / weights.sum()

    @property
    def targets(self):
        """The targets of the rows to train on, shape (n, targets)."""
        of_rows = self.y.reshape(self.rows.shape[0], -1)
        return of_rows if len(self.visits) == len(of_rows) else of_rows[self.visits]

    @property
    def output_targets(self):
        """The same with one column per output: +1 and -1 where y holds class numbers."""
        outputs = self.objective.outputs
        return (
            np.where(self.targets == np.arange(outputs), 1.0, -1.0)
            if self.objective.by_class
            else self.targets
        )

    @property
    def loss_targets(self):
        """The targets as the loss takes them: class numbers (n,) for a joint loss, else those of
        each output.
        """
        return self.targets[:, 0] if self.objective.loss.is_joint else self.output_targets


class Samples(Record):
    """Checked rows: `labels` for `score`, `y` for the kernels, `weights` (None: all 1)."""

    X: object
    labels: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None = None

    @property
    def arrays(self):
        """What a training depends on."""
        return self.X, self.y, self.weights

    def take(self, rows):
        """These rows."""
        y = self.y.reshape(self.X.shape[0], -1)[rows].ravel()
        weights = None if self.weights is None else self.weights[rows]
        X = self.X.take(rows) if isinstance(self.X, ChunkedRows) else self.X[rows]
        return Samples(X, self.labels[rows], y, weights)
