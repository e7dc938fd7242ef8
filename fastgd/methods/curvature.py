"""The Hessian of a Newton method: scaled coordinates, eigenvalue estimates from CG,
preconditioners.
"""

import numpy as np
from scipy.linalg import cho_solve, eigh, eigvalsh_tridiagonal, lstsq

from fastgd.kernels import gram
from fastgd.kernels.columns import moments
from fastgd.problem.layout import pack, unpack
from fastgd.problem.records import Record

# A squared pivot of a Cholesky factor may come from linearly dependent columns if it is at most
# this many ridges, relative to the largest one: the ridge alone leaves such a pivot one ridge or a
# little more.
SMALL_PIVOT = 100
# An eigenvalue counts as 0 if it is at most this many machine epsilons per column, relative to
# the largest one: 16 times the usual rank tolerance.
NULL_TOLERANCE = 16
# The tolerance counts at least this number of columns.
MIN_TOLERANCE_COLUMNS = 50
# Variances below this share of the column's mean square are ignored: a sum of squares is rounded
# relative to the mean square, so the cancellation loses 6 of its 16 digits, and more below.
MIN_RELATIVE_VARIANCE = 1e-6
# A preconditioner is made again once more than this share of the total curvature has changed.
STALE_CURVATURE_SHARE = 0.5


def center_outputs(a, joint):
    """a, for a joint loss (softmax) minus its mean over the outputs: the loss does not depend on
    the mean, and the penalty is least where it is 0.
    """
    return a - a.mean(axis=0) if joint else a


class Preconditioner(Record):
    """An approximate inverse of the Hessian: that of its diagonal, or one Cholesky factor per
    output.
    """

    joint: bool
    diagonal: np.ndarray
    factors: list | None

    def is_nearly_singular(self, ridge):
        """Whether the factors show that columns may be linearly dependent."""
        squares = [np.diagonal(factor[0]) ** 2 for factor in self.factors or ()]
        small = SMALL_PIVOT * ridge
        return any(square.min() <= small * square.max() for square in squares if len(square))

    def __call__(self, r):
        r = center_outputs(r, self.joint)
        if self.factors is None:
            return center_outputs(r / self.diagonal, self.joint)
        return center_outputs(
            np.stack(
                [
                    cho_solve(factor, row, check_finite=False)
                    for factor, row in zip(self.factors, r, strict=True)
                ]
            ),
            self.joint,
        )


def minimum_norm(at, null, coef, intercept):
    """(coef, intercept) of minimum norm with the same margins; `null` is `at.null_space()`."""
    directions, center = null
    basis = at.inverse[:, None] * directions
    coef, before = coef.astype(float), coef
    coef = coef - (basis @ lstsq(basis, coef.T, check_finite=False)[0]).T
    return coef, intercept + (before - coef) @ center * at.problem.objective.intercept


class CGSpectrum:
    """The coefficients alpha and beta of CG, per output, and the extreme Ritz values of the
    preconditioned Hessian.

    alpha and beta define the Lanczos tridiagonal matrix. Its eigenvalues, the Ritz values,
    approximate the extreme eigenvalues. `rs` is r' M^-1 r.
    """

    def __init__(self, rs):
        self.rs, self.passes, self.min_ritz, self.max_ritz = rs, 0, np.inf, 0.0
        self._curved, self._steps = np.full(rs.shape, True), []

    def alpha(self, curvature):
        """The step along a direction p, given p'Hp; 1 along a first direction without curvature,
        where the line search finds the step.
        """
        self._curved &= curvature > 1e-12 * self.rs
        a = np.where(
            self._curved, self.rs / np.where(self._curved, curvature, 1), float(self.passes == 0)
        )
        self._a, self.passes = a * self._curved, self.passes + 1
        return a

    def beta(self, rs):
        """The share of the last direction in the next one, given the new r' M^-1 r."""
        before, self.rs = self.rs, np.maximum(np.where(self._curved, rs, 0.0), 0.0)
        b = np.divide(self.rs, before, where=before > 0, out=np.zeros_like(before))
        self._steps.append((self._a, b))
        for k in np.flatnonzero(before > 0):
            self._update_ritz_values(k)
        return b

    def _update_ritz_values(self, k):
        """Update the extreme Ritz values with those of an output's tridiagonal matrix."""
        a, b = (
            np.array([(a[k, 0], b[k, 0]) for a, b in self._steps if a[k, 0] > 0]).reshape(-1, 2).T
        )
        if len(a):
            ritz = eigvalsh_tridiagonal(
                1 / a + np.append(0.0, b[:-1] / a[:-1]),
                np.sqrt(b[:-1]) / a[:-1],
                check_finite=False,
            )
            self.min_ritz, self.max_ritz = min(self.min_ritz, ritz[0]), max(self.max_ritz, ritz[-1])


class Coordinates:
    """Parameters (outputs, p + 1) of centred columns of scale 1, the intercept last, and the
    conversion to and from the user's units.
    """

    def __init__(self, problem, metric):
        self.problem, self.outputs = problem, problem.objective.outputs
        self.metric, self.center, self.inverse = metric, metric.center, metric.inverse
        self.intercepts = np.append(np.zeros_like(self.center), 1.0)
        l1, l2 = problem.objective.penalties(self.inverse)
        self.l1, self.l2 = np.append(l1, 0.0), np.zeros((self.outputs, len(self.inverse) + 1))
        self.l2[:, :-1] = l2

    def to_user(self, v):
        """The flat vector of the kernels, in the user's units."""
        W = v[:, :-1] * self.inverse
        return pack(W, v[:, -1] - W @ self.center, self.problem.rows.dtype, self.problem.by_column)

    def products(self, h, columns=None, last=None):
        """X' diag(h) Y / n in these coordinates, over the rows to train on. X has the given
        columns, Y the `last` ones of them.

        columns=None means all, the intercept's at the end. last=None means that Y is X, and only
        the lower triangle is filled.
        """
        problem, place = self.problem, None
        if problem.rows.sparse:
            place = np.full(len(self.inverse) + 1, -1)
            place[slice(None) if columns is None else columns] = np.arange(
                len(place) if columns is None else len(columns)
            )
        size = len(self.inverse) + 1 if columns is None else len(columns)
        out = np.zeros((size, size if last is None else last), order="F")
        if out.size:
            h, metric = np.ascontiguousarray(h), (self.center, self.inverse)
            ones = problem.objective.intercept
            gram.products(problem.data_term, h, columns, place, last or 0, metric, ones, out)
        return out

    def squares(self, h):
        """(X * X)' h / n in these coordinates, of the rows to train on; a pass over X."""
        problem = self.problem
        of_row = np.zeros(problem.rows.shape[0])
        of_row[problem.visits] = h
        first, second, largest = np.zeros((3, len(self.inverse)))
        term, shift = problem.weighted(of_row), self.center * self.inverse
        moments(term, self.inverse, shift, first, second, largest)
        return second / len(problem.visits)

    def symmetric_products(self, h, columns=None):
        """`products` of the columns with themselves, both triangles filled."""
        lower = np.tril(self.products(h, columns))
        return lower + np.tril(lower, -1).T

    def null_space(self):
        """(directions, means of the columns): the directions of the weights, shape (p, count), that
        change no margin, or with an intercept all margins by the same amount.
        """
        problem, n, p = self.problem, len(self.problem.visits), len(self.inverse)
        h = problem.row_weights
        columns, mean = np.flatnonzero(self.inverse > 0), np.zeros(p)
        with_ones = np.append(columns, p) if problem.objective.intercept else columns
        gram = self.symmetric_products(h / h.mean(), with_ones)
        if problem.objective.intercept:
            mean[columns] = gram[-1, :-1] / gram[-1, -1]
            gram = gram[:-1, :-1] - np.outer(mean[columns], gram[-1, :-1])
        # Centring a sparse column with a large mean cancels nearly all of its square. The rest is
        # rounding, unless the column varies.
        squares, epsilon = np.diagonal(gram).copy(), float(np.finfo(float).eps)
        varies, constant = (
            squares >= MIN_RELATIVE_VARIANCE,
            columns[squares <= NULL_TOLERANCE * epsilon],
        )
        size = np.sqrt(squares[varies])
        gram = gram[np.ix_(varies, varies)] / np.outer(size, size)
        values, vectors = eigh(gram, check_finite=False)
        limit = NULL_TOLERANCE * max(p, MIN_TOLERANCE_COLUMNS) * epsilon
        if problem.rows.dtype == np.float32:
            limit = max(limit, (max(n, p) * float(np.finfo(np.float32).eps)) ** 2)
        count = np.count_nonzero(values <= limit * max(values.max(initial=0.0), 0.0))
        found = np.zeros((p, count + len(constant)))
        found[columns[varies], :count] = vectors[:, :count] / size[:, None]
        found[constant, count + np.arange(len(constant))] = 1.0
        scale = np.divide(1.0, self.inverse, where=self.inverse > 0, out=np.zeros(p))
        return found, self.center + mean * scale

    def from_user(self, theta):
        W, b = unpack(theta.astype(float), self.outputs, self.problem.by_column)
        scaled = np.divide(W, self.inverse, where=self.inverse > 0, out=np.zeros_like(W))
        return np.column_stack([scaled, b + W @ self.center])

    def gradient(self, flat):
        """The gradient in these coordinates, given that of the kernels."""
        W, b = unpack(flat.astype(float), self.outputs, self.problem.by_column)
        return np.column_stack([(W - np.outer(b, self.center)) * self.inverse, b])
