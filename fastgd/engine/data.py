"""From what users hold to what kernels read: rows, targets, weights, the flat parameter vector, the
order of the visits.
"""

from functools import cached_property
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state

from fastgd.kernels import batch
from fastgd.kernels.order import shuffle, shuffle_blocks
from fastgd.kernels.rows import Rows, has_repeats, squared_norms

from .objective import Objective
from .records import Record


def check_compressed(X):
    """Refuse a malformed CSR, CSC or BSR matrix before SciPy touches it: its own conversions would
    read outside the buffers.
    """
    if not (sparse.issparse(X) and X.format in ("csr", "csc", "bsr")):
        return
    blocks = X.blocksize if X.format == "bsr" else (1, 1)
    major, minor = (
        (X.shape[1], X.shape[0])
        if X.format == "csc"
        else (X.shape[0] // blocks[0], X.shape[1] // blocks[1])
    )
    indices, indptr = np.asarray(X.indices), np.asarray(X.indptr)
    fault = None
    if indptr.shape != (major + 1,):
        fault = f"indptr has shape {indptr.shape}, ({major + 1},) is needed"
    elif indices.dtype.kind != "i" or indptr.dtype.kind != "i":
        fault = f"indices are {indices.dtype} and indptr {indptr.dtype}, not integers"
    elif indptr[0] != 0:
        fault = f"indptr starts with {indptr[0]}, not 0"
    elif (indptr[1:] < indptr[:-1]).any():
        fault = "indptr descends"
    elif indptr[-1] > min(len(indices), len(X.data)):
        fault = (
            f"indptr ends with {indptr[-1]}, but there are {len(indices)} indices and "
            f"{len(X.data)} values"
        )
    elif indptr[-1] and not (
        0 <= indices[: indptr[-1]].min() and indices[: indptr[-1]].max() < minor
    ):
        low, high = indices[: indptr[-1]].min(), indices[: indptr[-1]].max()
        fault = f"indices run from {low} to {high}, 0 to {minor - 1} is allowed"
    if fault:
        raise ValueError(f"X is a malformed {X.format.upper()} matrix: {fault}")


@np.errstate(over="ignore", invalid="ignore")
def is_surely_finite(array):
    """True: every number is finite. False: one is not, or their sum overflows."""
    return np.isfinite(array.sum())


def is_plain(X, ensure_finite=True):
    """Whether X is an array that needs no conversion at all: two dimensions, C-order, float32 or
    float64, finite.
    """
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.size
        and X.dtype in (np.float64, np.float32)
        and X.flags.c_contiguous
        and X.flags.aligned
        and (not ensure_finite or is_surely_finite(X))
    )


def is_plain_target(y, n):
    """The same of y: one finite number for each of the n rows."""
    return (
        type(y) is np.ndarray
        and y.shape == (n,)
        and (y.dtype.kind in "iub" or (y.dtype.kind == "f" and is_surely_finite(y)))
    )


def as_rows(X):
    """The kernels' view of a validated X: C-order array or CSR matrix, float32 or float64. Copies
    nothing.
    """
    if not sparse.issparse(X):
        return Rows(np.require(X, requirements="CA"))
    wide = np.int64 if np.int64 in (X.indices.dtype, X.indptr.dtype) else np.int32
    return Rows(
        np.require(X.data, requirements="CA"),
        np.require(X.indices, wide, "CA"),
        np.require(X.indptr, wide, "CA"),
        X.shape,
    )


def distinct_columns(X):
    """X itself, or a copy in which columns that repeat within a CSR row are added up: lengths of
    rows need it.
    """
    if sparse.issparse(X) and has_repeats(as_rows(X)):
        X = X.copy()
        X.sum_duplicates()
    return X


def pack(coef, intercept, dtype, by_column):
    """The flat vector [W, b] that the kernels descend on; W (outputs, p), for CSR rows its
    transpose (`by_column`).
    """
    coef = np.atleast_2d(coef)
    return np.concatenate([(coef.T if by_column else coef).ravel(), np.ravel(intercept)]).astype(
        dtype
    )


def unpack(theta, outputs, by_column):
    """(coef (outputs, p), intercept (outputs,)) of the flat vector."""
    weights = theta[: len(theta) - outputs]
    coef = weights.reshape(-1, outputs).T if by_column else weights.reshape(outputs, -1)
    return coef.copy(), theta[len(theta) - outputs :].copy()


class Problem(Record):
    """What is to be minimised, on which data: all that a method of descent is told.

    `visits` are the numbers of the rows to train on; `weights` (None: all 1) are relative to the
    mean of theirs; `full_batch` says that a batch is all of them; `threads` never changes a result;
    `rows` is `X` as the kernels see it. `keeps`: a later training may go on exactly from any
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
    keeps: bool = False
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


def seed_of(random_state):
    """A whole number below 2^32 from what scikit-learn takes for `random_state`; an int is its own,
    without a generator's start.
    """
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


class Order:
    """The order of an epoch's visits.

    shuffle="full": a new random permutation each epoch; False: as given; True: a permutation where
    X fits the cache, else one that mixes `POOL` random blocks of neighbouring rows at a time,
    because rows drawn from all over the memory keep the processor waiting. Where neighbours pull
    the weights the same way (sorted or grouped data), a permutation after all: blocks would be
    noisy. An epoch's order depends on its number and the seed alone; `epochs` of them are over.
    """

    CACHE = 16 * 2**20  # bytes
    POOL = 256  # blocks
    SAMPLE = 128  # blocks looked at
    ALIKE = 1.5  # times the variance that blocks of independent rows would have

    def __init__(self, problem, X, shuffle, random_state, epochs=0):
        self._rows, n = problem.visits, len(problem.visits)
        self._seed = (seed_of(random_state) << 32) + epochs if shuffle else None
        width = problem.rows.bytes / max(problem.rows.shape[0], 1)
        self._block = 8 if width >= 1024 else 32
        small = n * width <= self.CACHE or n < 2 * self._block * self.POOL
        if not shuffle:
            self._visits = self._rows
        elif shuffle == "full" or small or self._inflation(problem, X) > self.ALIKE:
            self._visits, self._count = self._rows.copy(), None
        else:
            self._visits, self._count = np.empty_like(self._rows), -(-n // self._block)

    @np.errstate(over="ignore", invalid="ignore")
    def _inflation(self, problem, X):
        """How much more the mean of a block's gradients varies than that of as many independent
        rows: 1 + (block - 1) correlation.

        The gradients are g_i = (y_i - mean y) [x_i, 1], those of least squares at its constant
        model.
        """
        y = problem.targets[:, 0] - problem.targets[:, 0].mean()
        squares, between, mean = 0.0, 0.0, 0.0
        for start in (
            np.linspace(0, len(y) // self._block - 1, self.SAMPLE).astype(int) * self._block
        ):
            rows, r = self._rows[start : start + self._block], y[start : start + self._block]
            g = np.append(X[rows].T @ r, r.sum()) / self._block
            lengths = squared_norms(problem.rows, rows, np.empty(1, problem.rows.dtype)) + 1
            squares, between, mean = (
                squares + (r * r * lengths).mean(),
                between + g @ g,
                mean + g / self.SAMPLE,
            )
        noise = squares / self.SAMPLE - mean @ mean
        return self._block * (between / self.SAMPLE - mean @ mean) / noise if noise > 0 else 1.0

    def next(self):
        """The row numbers in the order of the next epoch; the array is reused."""
        if self._seed is not None:
            self._seed += 1
            if self._count is None:
                self._visits[:] = self._rows
                shuffle(self._visits, self._seed)
            else:
                shuffle_blocks(
                    self._rows,
                    self._visits,
                    np.arange(self._count),
                    self._block,
                    self.POOL,
                    self._seed,
                )
        return self._visits
