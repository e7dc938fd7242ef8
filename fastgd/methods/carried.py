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

    def __init__(self, at, metric):
        problem, self._at = at.problem, at
        suspects = np.flatnonzero(metric.stands_out)
        values = problem.X[:, suspects][problem.visits]
        values = values.toarray() if sparse.issparse(values) else np.asarray(values)
        weights = (
            np.ones(len(values)) if problem.weights is None else problem.weights[problem.visits]
        )
        values, weights = values.astype(float), (weights / weights.sum())[:, None]
        squares = weights * (values - metric.center[suspects]) ** 2
        others = (squares <= OUTSTANDING * squares.sum(axis=0)) * weights
        mean = np.zeros(len(suspects))
        if problem.objective.intercept:
            mean = (others * values).sum(axis=0) / others.sum(axis=0)
        deviations = np.where(others > 0, values - mean, 0.0)
        carried = (weights * deviations**2).sum(axis=0) <= MAX_OTHERS_SHARE * squares.sum(axis=0)
        self.columns = suspects[carried]
        inverse = at.inverse[self.columns]
        self._deviations = deviations[:, carried] * inverse
        self._shift = (at.center[self.columns] - mean[carried]) * inverse

    def gain(self, g, curvatures):
        """A lower bound of what the other rows would gain, given the gradient and the weighted
        curvatures, shape (n, outputs).
        """
        slopes = g[:, self.columns] + g[:, -1:] * self._shift
        curvature = curvatures.T @ self._deviations**2 / self._at.problem.total_weight
        curvature += self._at.l2[:, self.columns]
        gains = np.divide(
            slopes**2, 2 * curvature, out=np.zeros_like(curvature), where=curvature > 0
        )
        return gains.max(axis=1, initial=0.0).sum()
