"""What a Newton method knows of its Hessian: coordinates, what conjugate gradients tell of its
spectrum, approximate inverses.
"""

import numpy as np
from scipy.linalg import cho_solve, eigh, eigvalsh_tridiagonal, lstsq

from fastgd.kernels import columns as columns_kernel
from fastgd.kernels import gram
from fastgd.problem.layout import pack, unpack
from fastgd.problem.records import Record

# Times the ridge and the largest squared pivot of a Cholesky factor: a smaller one may come from
# columns that depend on one another, of which the ridge leaves as much as itself and more.
SMALL_PIVOT = 100
# Machine epsilons times columns, of the largest eigenvalue: what rounding leaves of one that is 0.
NULL_TOLERANCE, FEWEST_COLUMNS = 16, 50
# Of a column's mean square: a variance below is left alone, as sums of squares do not tell it well.
TELLING_VARIANCE = 1e-6
STALE = 0.5  # of the curvatures, that may have changed since a metric was made


def centred(a, joint):
    """a, for softmax less what all outputs have in common: the loss does not see it, and the
    penalty wants it to be 0.
    """
    return a - a.mean(axis=0) if joint else a


class Inverse(Record):
    """An approximate inverse of the Hessian: of its diagonal, or by Cholesky factors, one an
    output.
    """

    joint: bool
    diagonal: np.ndarray
    factors: list | None

    def is_nearly_singular(self, ridge):
        """Whether columns may depend on one another, as far as the factors tell."""
        squares = [np.diagonal(factor[0]) ** 2 for factor in self.factors or ()]
        small = SMALL_PIVOT * ridge
        return any(square.min() <= small * square.max() for square in squares if len(square))

    def __call__(self, r):
        r = centred(r, self.joint)
        if self.factors is None:
            return centred(r / self.diagonal, self.joint)
        return centred(
            np.stack(
                [
                    cho_solve(factor, row, check_finite=False)
                    for factor, row in zip(self.factors, r, strict=True)
                ]
            ),
            self.joint,
        )


def shortest(at, null, coef, intercept):
    """(coef, intercept) of the least |coef| with the same margins; `null` is `at.null_space()`."""
    directions, center = null
    basis = at.inverse[:, None] * directions
    coef, before = coef.astype(float), coef
    coef = coef - (basis @ lstsq(basis, coef.T, check_finite=False)[0]).T
    return coef, intercept + (before - coef) @ center * at.problem.objective.intercept


class Path:
    """The lengths and turns of conjugate gradients, an output each, and what they tell of the
    Hessian in their metric.

    Lengths a and ratios b make a tridiagonal matrix (Lanczos), whose extreme eigenvalues are near
    those of the Hessian once the directions of these matter.
    """

    def __init__(self, rs):
        self.rs, self.passes, self.least, self.largest = rs, 0, np.inf, 0.0
        self._curved, self._steps = np.full(rs.shape, True), []

    def length(self, curvature):
        """How far to go along a direction p, of p'Hp; of the first without curvature the line
        search finds it.
        """
        self._curved &= curvature > 1e-12 * self.rs
        a = np.where(
            self._curved, self.rs / np.where(self._curved, curvature, 1), float(self.passes == 0)
        )
        self._a, self.passes = a * self._curved, self.passes + 1
        return a

    def turn(self, rs):
        """What the next direction has of the last one, of the squared length of the residual."""
        before, self.rs = self.rs, np.maximum(np.where(self._curved, rs, 0.0), 0.0)
        b = np.divide(self.rs, before, where=before > 0, out=np.zeros_like(before))
        self._steps.append((self._a, b))
        for k in np.flatnonzero(before > 0):
            self._look(k)
        return b

    def _look(self, k):
        """The extreme eigenvalues of an output's tridiagonal matrix."""
        a, b = (
            np.array([(a[k, 0], b[k, 0]) for a, b in self._steps if a[k, 0] > 0]).reshape(-1, 2).T
        )
        if len(a):
            found = eigvalsh_tridiagonal(
                1 / a + np.append(0.0, b[:-1] / a[:-1]),
                np.sqrt(b[:-1]) / a[:-1],
                check_finite=False,
            )
            self.least, self.largest = min(self.least, found[0]), max(self.largest, found[-1])


class Coordinates:
    """Parameters (outputs, p + 1) of centred columns of spread 1, the intercept last, and what they
    are to the user.
    """

    def __init__(self, problem, metric):
        self.problem, self.outputs = problem, problem.objective.outputs
        self.center, self.inverse, self.peak = metric.center, metric.inverse, metric.peak
        self.intercepts = np.append(np.zeros_like(self.center), 1.0)
        l1, l2 = problem.objective.penalties(self.inverse)
        self.l1, self.l2 = np.append(l1, 0.0), np.zeros((self.outputs, len(self.inverse) + 1))
        self.l2[:, :-1] = l2

    def to_user(self, v):
        """The kernels' flat vector."""
        W = v[:, :-1] * self.inverse
        return pack(W, v[:, -1] - W @ self.center, self.problem.rows.dtype, self.problem.by_column)

    def products(self, h, columns=None, last=None):
        """X' diag(h) Y / n in these coordinates, of the rows to train on: X of these columns, Y of
        the `last` of them.

        Without `columns` all, the intercept's at the end; without `last` Y is X, and only the lower
        triangle is filled.
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
            gram.products(
                problem.rows,
                problem.visits,
                np.ascontiguousarray(h),
                columns,
                place,
                last or 0,
                self.center,
                self.inverse,
                problem.objective.intercept,
                out,
                problem.threads,
                np.empty(1, problem.rows.dtype),
            )
        return out

    def squares(self, h):
        """(X * X)' h / n in these coordinates, of the rows to train on; a pass over X."""
        problem = self.problem
        of_row = np.zeros(problem.rows.shape[0])
        of_row[problem.visits] = h
        first, second, largest = np.zeros((3, len(self.inverse)))
        columns_kernel.moments(
            problem.rows,
            of_row,
            problem.visits,
            self.inverse,
            self.center * self.inverse,
            first,
            second,
            largest,
            np.empty(1, problem.rows.dtype),
        )
        return second / len(problem.visits)

    def symmetric_products(self, h, columns=None):
        """`products` of columns with themselves, both triangles filled."""
        lower = np.tril(self.products(h, columns))
        return lower + np.tril(lower, -1).T

    def null_space(self):
        """(directions of the weights, (p, directions), that change all margins alike or not at all,
        means of the columns).

        Without an intercept, that would make up for it, the first kind does not count.
        """
        problem, n, p = self.problem, len(self.problem.visits), len(self.inverse)
        h = np.ones(n) if problem.weights is None else problem.weights[problem.visits]
        columns, mean = np.flatnonzero(self.inverse > 0), np.zeros(p)
        with_ones = np.append(columns, p) if problem.objective.intercept else columns
        gram = self.symmetric_products(h / h.mean(), with_ones)
        if problem.objective.intercept:
            mean[columns] = gram[-1, :-1] / gram[-1, -1]
            gram = gram[:-1, :-1] - np.outer(mean[columns], gram[-1, :-1])
        # Of sparse columns with a large mean hardly anything is left: what is, is rounding, unless
        # the column is constant.
        squares, epsilon = np.diagonal(gram).copy(), float(np.finfo(float).eps)
        varies, constant = squares >= TELLING_VARIANCE, columns[squares <= NULL_TOLERANCE * epsilon]
        size = np.sqrt(squares[varies])
        gram = gram[np.ix_(varies, varies)] / np.outer(size, size)
        values, vectors = eigh(gram, check_finite=False)
        limit = NULL_TOLERANCE * max(p, FEWEST_COLUMNS) * epsilon
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
        """The gradient in these coordinates, of the kernels' one."""
        W, b = unpack(flat.astype(float), self.outputs, self.problem.by_column)
        return np.column_stack([(W - np.outer(b, self.center)) * self.inverse, b])
