"""Dense columns in principal axes: the same problem in orthogonal coordinates.

With the orthonormal eigenvectors V of the covariance matrix, w = V u and A = (X - center) V, so
that F(w, b) on X is F(u, b') on A with the same L2 penalty: |w| = |u|. The columns of A are
uncorrelated. Where all rows have the same curvature, the Hessian is therefore diagonal.
"""

import numpy as np
from scipy import sparse
from scipy.linalg import eigh

from fastgd.methods.column_preconditioners import MAX_CG_PASSES, dense_steps
from fastgd.methods.row_space import MAX_NUMBERS


def suits(X):
    """Whether X is dense, and columns begin with a diagonal preconditioner because a dense one
    takes longer than the CG steps of a direction: the diagonal serves best in principal axes.
    """
    return not sparse.issparse(X) and X.size <= MAX_NUMBERS and dense_steps(X) > MAX_CG_PASSES


class PrincipalAxes:
    """The principal axes of dense rows X with weights; `coordinates` are those of the rows, minus
    the weighted mean if `is_centered`. `to_columns(u)` is V u for each row of u.
    """

    def __init__(self, X, weights, is_centered):
        self.center = weights @ X / weights.sum() if is_centered else np.zeros(X.shape[1])
        A = np.subtract(X, self.center, dtype=float)
        weighted = np.sqrt(weights)[:, None] * A
        _, self._axes = eigh(weighted.T @ weighted)
        self.coordinates = A @ self._axes

    def to_columns(self, u):
        """The weights in the columns of X, one row per output."""
        return u @ self._axes.T
