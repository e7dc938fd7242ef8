"""Parameters of scaled columns, in which methods descend, and Gram matrices in them."""

from functools import cached_property

import numpy as np
from scipy import sparse

from fastgd.problem import passes
from fastgd.problem.layout import pack, unpack
from fastgd.problem.metric import MAX_PENALTY


class KernelCoordinates:
    """Parameters of scaled columns as the kernels of stochastic methods read them: a flat vector of
    weights v = scale * w and of the margins at the centre.

    Penalties are those of w. The weights of constant columns stay those of `coef`, or 0 if there is
    a penalty. Columns whose penalty is beyond `MAX_PENALTY` have weights 0. `arrays` is (center,
    inverse, l1, l2).
    """

    def __init__(self, problem, metric, coef):
        objective, inverse = problem.objective, metric.inverse
        l1, l2 = objective.penalties(inverse)
        free = (l1 < MAX_PENALTY) & (l2 < MAX_PENALTY)
        if not free.all():
            inverse, l1, l2 = (np.where(free, part, 0.0) for part in (inverse, l1, l2))
        self.metric, self._inverse, self._by_column = metric, inverse, problem.by_column
        self._fixed = np.zeros_like(coef) if objective.l1 or objective.l2 else coef
        self.arrays = metric.center, inverse, l1, l2
        self.objective = objective

    def to_scaled(self, coef, offset):
        """The flat vector of scaled weights, and of the margins at the centre."""
        return pack(coef * self.metric.scale, offset, np.float64, self._by_column)

    def from_scaled(self, v):
        """(coef, offset) of a flat vector."""
        weights, offset = unpack(v, self.objective.outputs, self._by_column)
        return np.where(self._inverse > 0, weights * self._inverse, self._fixed), offset

    def from_user(self, coef, intercept):
        """The flat vector of a model in the user's units."""
        return self.to_scaled(coef, intercept + coef @ self.metric.center)

    def to_user(self, v):
        """(coef, intercept) of a flat vector."""
        coef, offset = self.from_scaled(v)
        return coef, offset - coef @ self.metric.center


class Coordinates:
    """Parameters (outputs, p + 1) of centred columns of scale 1, the intercept last, and the
    conversion to and from the user's units.
    """

    def __init__(self, problem, metric):
        self.problem, self.outputs = problem, problem.objective.outputs
        self.metric, self.center, self.inverse = metric, metric.center, metric.inverse
        self._is_centered = bool(self.center.any())
        self.l1, self.l2 = np.zeros(len(self.inverse) + 1), np.zeros(self.shape)
        self.l1[:-1], self.l2[:, :-1] = problem.objective.penalties(self.inverse)

    @property
    def shape(self):
        """The shape of parameters."""
        return self.outputs, len(self.inverse) + 1

    @cached_property
    def intercepts(self):
        """1 at the place of the intercept, else 0."""
        return np.append(np.zeros_like(self.center), 1.0)

    def to_user(self, v):
        """The flat vector of the kernels, in the user's units."""
        parts = self.metric.to_user(v[:, :-1], v[:, -1])
        return pack(*parts, self.problem.rows.dtype, self.problem.by_column)

    def products(self, h, columns=None, last=None):
        """X' diag(h) Y / n in these coordinates, over the rows to train on. X has the given
        columns, Y the `last` ones of them; h is a row vector.

        columns=None means all, the intercept's at the end. last=None means that Y is X, and only
        the lower triangle is filled.
        """
        problem, place = self.problem, None
        size = len(self.inverse) + 1 if columns is None else len(columns)
        if problem.rows.sparse:
            place = np.full(len(self.inverse) + 1, -1)
            place[slice(None) if columns is None else columns] = np.arange(size)
        out = np.zeros((size, size if last is None else last), order="F")
        if out.size:
            metric, ones = (self.center, self.inverse), problem.objective.intercept
            h = np.ascontiguousarray(h) if isinstance(h, np.ndarray) else h
            passes.gram(problem.data_term, h, columns, place, last or 0, metric, ones, out)
        return out

    def columns(self):
        """The dense columns (n, p + 1) themselves, of the rows to train on."""
        X = self.problem.training_X
        X = X.toarray() if sparse.issparse(X) else X
        A = np.empty((len(X), len(self.inverse) + 1))
        A[:, :-1] = (X - self.center) * self.inverse
        A[:, -1] = self.problem.objective.intercept
        return A

    def squares(self, h):
        """(X * X)' h / n in these coordinates, of the rows to train on; a pass over X."""
        problem = self.problem
        of_row = np.zeros(problem.rows.shape[0])
        of_row[problem.visits] = h
        first, second, largest = np.zeros((3, len(self.inverse)))
        term, shift = problem.weighted(of_row), self.center * self.inverse
        passes.moments(term, self.inverse, shift, first, second, largest)
        return second / len(problem.visits)

    def symmetric_products(self, h, columns=None):
        """`products` of the columns with themselves, both triangles filled."""
        lower = np.tril(self.products(h, columns))
        return lower + np.tril(lower, -1).T

    def from_user(self, theta):
        """The parameters of a flat vector in the user's units."""
        parts = unpack(theta.astype(float, copy=False), self.outputs, self.problem.by_column)
        v = np.empty(self.shape)
        v[:, :-1], v[:, -1] = self.metric.from_user(*parts)
        return v

    def gradient(self, flat):
        """The gradient in these coordinates, given that of the kernels."""
        W, b = unpack(flat.astype(float, copy=False), self.outputs, self.problem.by_column)
        if self._is_centered:
            W -= b[:, None] * self.center
        g = np.empty(self.shape)
        np.multiply(W, self.inverse, out=g[:, :-1])
        g[:, -1] = b
        return g
