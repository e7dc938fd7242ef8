"""Fewer rows than columns: the same problem in the span of the rows.

Only the part of the weights in the span of the rows of X changes a margin, and an L2 penalty is
least if the other part is 0. With an orthonormal basis Q of that span, w = Q u and X Q = R,
so that F(w, b) on X is F(u, b) on R: the same objective, minimum and bounds, of n x n numbers.
Without a penalty the minimum with the least |u| is the one with the least |w|.
Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, section 18.3.5.
"""

from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.linalg import eigh, qr
from scipy.linalg.lapack import dgeqrf, dormqr

from fastgd.methods.delegating import Delegating
from fastgd.problem.data import as_rows
from fastgd.problem.layout import pack, unpack

# Rows, at most. The factorisation of dense X takes as long as about n / 10 = 150 passes over it; a
# fit without it often takes more than 100 passes.
MAX_ROWS = 1500
# Numbers of a dense copy of X, at most: 256 MB.
MAX_NUMBERS = 2**25
# Ratio of the widest to the narrowest column, at most. Rounding is relative to the widest column,
# so the narrowest one keeps 10 of 16 digits.
MAX_WIDTH_RATIO = 1e6
# Singular values below this many machine epsilons times n, relative to the largest, are rounding.
SINGULAR_VALUE_TOLERANCE = 8
# The eigenvectors of X X' take about n^3 operations: per stored number of sparse X, at most this
# many. Beyond, passes are faster: Ridge on 600 rows of 60 entries takes 6 ms instead of 85.
MAX_WORK_PER_NUMBER = 20
# Rows whose eigenvectors take less than a millisecond, and are always computed.
CHEAP_ROWS = 64


def is_worthwhile(problem):
    """Whether there are fewer rows than columns, and the minimum lies in the span of the rows.

    An intercept counts as a column.
    """
    objective, n, p = problem.objective, len(problem.visits), problem.rows.shape[1]
    if not n < p + objective.intercept or n > MAX_ROWS or problem.X is None:
        return False
    if (
        objective.has_nonsmooth_penalty
        or objective.tilt
        or objective.loss.function
        or objective.by_column
    ):
        return False
    if not objective.loss.is_quadratic and not np.all(objective.l2):
        # There is no minimum, or a whole plane of them.
        return False
    if not problem.rows.sparse:
        return n * p <= MAX_NUMBERS and have_similar_widths(problem.X)
    is_short = n <= CHEAP_ROWS or n**3 <= MAX_WORK_PER_NUMBER * problem.rows.stored
    return (is_short or not np.all(objective.l2)) and have_similar_widths(problem.X)


@np.errstate(over="ignore", invalid="ignore")
def have_similar_widths(X):
    """Whether the widths of the columns (sparse ones: their largest values) have a ratio of at most
    `MAX_WIDTH_RATIO`; constant columns do not count.
    """
    if sparse.issparse(X):
        widths = np.zeros(X.shape[1])
        np.maximum.at(widths, X.indices, np.abs(X.data))
    else:
        widths = X.max(axis=0).astype(float) - X.min(axis=0)
    widths = widths[widths > 0]
    return not len(widths) or widths.max() <= MAX_WIDTH_RATIO * widths.min()


class Span:
    """An orthonormal basis Q of the span of the centered rows, and their coordinates in it.

    `coordinates` is R, shape (n, rank); `to_columns(u)` is Q u for each row of u, `to_rank(w)` is
    Q' w. Rows are centred if the objective has an intercept, which absorbs the difference.
    """

    def __init__(self, problem):
        X, weights = problem.training_X, problem.row_shares
        self.center = np.zeros(X.shape[1])
        if problem.objective.intercept:
            self.center += weights @ X
        # A power of two, so that squares neither overflow nor underflow; in float64, as its inverse
        # may be too large for float32.
        largest = float(abs(X).max()) if X.shape[1] else 0.0
        self._unit = 2.0 ** np.floor(np.log2(largest)) if largest > 0 else 1.0
        if sparse.issparse(X):
            self._factor_gram(X.astype(float), weights, problem.objective.intercept)
        else:
            self._factor_rows(X)
        if not np.all(problem.objective.l2):
            self._drop_null_space()

    def _factor_rows(self, X):
        """X - center = R Q', by Householder reflections of its transpose."""
        centered = np.subtract(X, self.center, dtype=float)
        centered /= self._unit
        # With the smallest workspace, LAPACK's default, this takes three times as long.
        *_, room, _ = dgeqrf(centered.T, lwork=-1)
        self._reflectors, self._tau, *_ = dgeqrf(centered.T, lwork=int(room[0]), overwrite_a=True)
        n = len(centered)
        self.coordinates = np.ascontiguousarray(np.triu(self._reflectors[:n]).T) * self._unit
        self._rotation = np.eye(n)
        self._sparse = None

    def _factor_gram(self, X, weights, centered):
        """The same for sparse rows, from the eigenvectors of X X'."""
        gram = ((X / self._unit) @ (X / self._unit).T).toarray()
        if centered:
            mean = gram @ weights
            gram += weights @ mean - mean[:, None] - mean
        values, vectors = eigh(gram)
        kept = values > SINGULAR_VALUE_TOLERANCE * len(gram) * np.finfo(float).eps * values[-1]
        lengths = np.sqrt(values[kept])
        self.coordinates = np.ascontiguousarray(vectors[:, kept] * lengths) * self._unit
        self._sparse = X, vectors[:, kept] / (lengths * self._unit), centered
        self._rotation = np.eye(len(lengths))

    def _drop_null_space(self):
        """Drop the coordinates in which the rows do not vary, so that margins determine u."""
        if not self.coordinates.size:  # SciPy 1.13 refuses empty matrices
            return
        q, r, order = qr(self.coordinates.T, mode="economic", pivoting=True)
        sizes = np.abs(np.diagonal(r))
        limit = SINGULAR_VALUE_TOLERANCE * max(self.coordinates.shape) * np.finfo(float).eps
        rank = np.count_nonzero(sizes > limit * sizes.max(initial=0.0))
        self._rotation = q[:, :rank]
        self.coordinates = np.empty((len(order), rank))
        self.coordinates[order] = r[:rank].T

    def to_columns(self, u):
        """The weights in the columns of X, one row per output."""
        turned = u @ self._rotation.T
        if self._sparse:
            X, basis, centered = self._sparse
            a = basis @ turned.T
            W = (X.T @ a).T
            return W - np.outer(a.sum(axis=0), self.center) if centered else W
        wide = np.zeros((len(self._reflectors), len(u)), order="F")
        wide[: turned.shape[1]] = turned.T
        return self._apply("N", wide).T

    def to_rank(self, W):
        """The coordinates of the part of the weights that lies in the span."""
        if self._sparse:
            X, basis, centered = self._sparse
            margins = X @ W.T
            return ((margins - centered * (self.center @ W.T)).T @ basis) @ self._rotation
        wide = np.array(W.T, dtype=float, order="F")
        return self._apply("T", wide)[: len(self._rotation)].T @ self._rotation

    def _apply(self, trans, wide):
        """Q or its transpose times the columns of `wide`."""
        _, room, _ = dormqr("L", trans, self._reflectors, self._tau, wide, -1)
        return dormqr("L", trans, self._reflectors, self._tau, wide, int(room[0]), True)[0]


class RowSpace(Delegating):
    """Train by another method in the span of the rows, where a problem has as many columns as rows.

    `select(problem)` returns the method for the smaller problem.
    """

    def __init__(self, select):
        self._select = select

    def start(self, problem, theta, earlier):
        """Begin at the part of theta in the span."""
        reduced = self._reduce(problem)
        coef, intercept = unpack(theta.astype(float), problem.objective.outputs, problem.by_column)
        offset = intercept + coef @ self._span.center
        self._method.start(reduced, pack(self._span.to_rank(coef), offset, float, False), None)

    def _reduce(self, problem):
        """The problem in the span of the rows, for which a method is selected."""
        self.problem, self._span = problem, Span(problem)
        weights = None if problem.weights is None else problem.weights[problem.visits]
        X = self._span.coordinates
        reduced = replace(
            problem,
            rows=as_rows(X),
            y=np.ascontiguousarray(problem.targets).ravel(),
            weights=weights,
            visits=np.arange(len(X)),
            X=X,
            metric=None,
        )
        self._method = self._select(reduced)
        self._method.is_factored = True
        return reduced

    def resume(self, problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`."""
        reduced = self._reduce(problem)
        self._method.resume(reduced, resume_point)

    def epoch(self, order):
        """One pass over the rows of the smaller problem."""
        return self._method.epoch(self._method.problem.visits)

    def solution(self):
        """(coef, intercept)"""
        u, offset = self._method.solution()
        coef = self._span.to_columns(u.astype(float))
        return coef, offset - coef @ self._span.center

    def loss_at(self, theta):
        """The objective at theta."""
        return self.problem.value(theta, np.empty_like(theta))
