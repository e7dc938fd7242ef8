"""Columns of which few rows have nearly all the variance, such as a column with a mistyped entry.

Such a row also has nearly all the curvature along its column, as long as its loss is curved. So the
Hessian does not show what the other rows would gain once that loss is flat, however far away that
is.
"""

import numpy as np
from scipy import sparse

from fastgd.problem.metric import OUTSTANDING

# The other rows of a carried column have at most this share of its squared deviations. With more,
# and equal curvatures, the Hessian shows what they gain to within a factor of 10.
MAX_OTHERS_SHARE = 0.1


class CarriedColumns:
    """The columns that few rows carry, and the decrease of the objective that the other rows would
    gain along them.
    """

    def __init__(self, at):
        problem = at.problem
        suspects = np.flatnonzero(at.metric.stands_out)
        values, shares = problem.columns(suspects), problem.row_shares
        of_columns = _of_sparse if sparse.issparse(values) else _of_dense
        squares, total, mean = of_columns(values, shares, at.center[suspects], problem)
        own = squares.T @ shares
        # Of a column that one row alone stores, the others gain nothing.
        carried = (own > 0) & (own <= MAX_OTHERS_SHARE * total)
        self.columns = suspects[carried]
        inverse = at.inverse[self.columns]
        self._squares, self._scale = squares[:, carried], inverse * inverse
        self._shift = (at.center[self.columns] - mean[carried]) * inverse

    def gain(self, at, g, curvatures):
        """A lower bound of what the other rows would gain, given the gradient in the coordinates
        `at` and the weighted curvatures, shape (n, outputs).
        """
        slopes = g[:, self.columns] + g[:, -1:] * self._shift
        curvature = (self._squares.T @ curvatures).T * self._scale / at.problem.total_weight
        curvature += at.l2[:, self.columns]
        gains = np.divide(
            slopes**2, 2 * curvature, out=np.zeros_like(curvature), where=curvature > 0
        )
        return gains.max(axis=1, initial=0.0).sum()


def _of_dense(values, shares, center, problem):
    """(squared deviations (n, columns) of the rows that do not carry a column, mean squares of all
    rows, means of those rows); `shares` are the rows' weights, of sum 1.
    """
    values, shares = np.asarray(values, dtype=float), shares[:, None]
    squares = shares * (values - center) ** 2
    total = squares.sum(axis=0)
    others = (squares <= OUTSTANDING * total) * shares
    mean = np.zeros(values.shape[1])
    if problem.objective.intercept:
        mean = (others * values).sum(axis=0) / others.sum(axis=0)
    return np.where(others > 0, values - mean, 0.0) ** 2, total, mean


def _of_sparse(values, shares, center, problem):
    """The same of sparse rows, whose columns are not centred."""
    squares = sparse.csc_array(values, dtype=float)
    squares.data **= 2
    weighted = squares.data * shares[squares.indices]
    column = np.repeat(np.arange(squares.shape[1]), np.diff(squares.indptr))
    total = np.bincount(column, weighted, minlength=squares.shape[1])
    squares.data[weighted > OUTSTANDING * total[column]] = 0
    return squares, total, np.zeros(squares.shape[1])
