"""Columns of which few rows have nearly all the spread, as where one entry is mistyped.

Such a row has nearly all the curvature in its column's direction, too, as long as its loss is
curved. It hides from the Hessian what the other rows would gain once its loss is flat, however far
away that is.
"""

import numpy as np
from scipy import sparse

from fastgd.problem.metric import OUTSTANDING

# Of the squared deviations of a column, what the rows have at most that do not carry it.
OTHERS = 0.1


class CarriedColumns:
    """The columns of a problem that few rows carry, and what the other rows would gain along
    them.
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
        amid = np.zeros(len(suspects))
        if problem.objective.intercept:
            amid = (others * values).sum(axis=0) / others.sum(axis=0)
        deviations = np.where(others > 0, values - amid, 0.0)
        carried = (weights * deviations**2).sum(axis=0) <= OTHERS * squares.sum(axis=0)
        self.columns = suspects[carried]
        inverse = at.inverse[self.columns]
        self._deviations = deviations[:, carried] * inverse
        self._shift = (at.center[self.columns] - amid[carried]) * inverse

    def gain(self, g, curvatures):
        """What the other rows would gain at least, given the gradient and (n, outputs) weighted
        curvatures.
        """
        slopes = g[:, self.columns] + g[:, -1:] * self._shift
        own = curvatures.T @ self._deviations**2 / self._at.problem.total_weight
        own += self._at.l2[:, self.columns]
        gains = np.divide(slopes**2, 2 * own, out=np.zeros_like(own), where=own > 0)
        return gains.max(axis=1, initial=0.0).sum()
