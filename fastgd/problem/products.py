"""Products of the columns of X and y, and of the rows of X, of which least squares are made."""

from dataclasses import replace
from functools import cached_property

import numpy as np
from scipy import sparse

from fastgd.kernels import products as kernel
from fastgd.problem import passes
from fastgd.problem.metric import MAX_SQUARES, MIN_RELATIVE_SCALE, Metric, is_far, rough_center
from fastgd.problem.records import Record

# The kernel takes a multiple of this number of columns.
PANEL = 8


class Products(Record):
    """Weighted means, and products of the deviations from them, over the rows to train on.

    With columns x_j and targets y_k, both centred if the objective has an intercept:
    `XX` is sum s x x' / sum s, (p, p); `XY` the same with y, (p, targets); `YY` (targets,). `scale`
    holds the columns' standard deviations, 0 for constant columns.
    """

    mean_x: np.ndarray
    mean_y: np.ndarray
    XX: np.ndarray
    XY: np.ndarray
    YY: np.ndarray
    is_sparse: bool

    @cached_property
    def scale(self):
        scale = np.sqrt(np.maximum(np.diagonal(self.XX), 0))
        return np.where(scale > MIN_RELATIVE_SCALE * np.abs(self.mean_x), scale, 0.0)

    @property
    def metric(self):
        """The column scaling that other methods use: sparse columns are not centred."""
        if self.is_sparse:
            root = np.sqrt(np.diagonal(self.XX) + self.mean_x**2)
            return Metric(np.zeros(len(root)), root, products=self)
        return Metric(self.mean_x, self.scale, products=self)


class ProductSums(Record):
    """Sums s a a' over some rows, where a = (x, 1, y) - shift: `G`, (p + 1 + targets, ...), of
    which the lower triangle is meant.
    """

    G: np.ndarray
    shift: np.ndarray
    p: int
    is_centered: bool
    is_sparse: bool

    @property
    def weight(self):
        """The sum of the rows' weights."""
        return float(self.G[self.p, self.p])

    @property
    def means(self):
        """The weighted means of a, 0 for the 1, and without centring."""
        means = np.zeros(len(self.G))
        if self.is_centered:
            means[: self.p] = self.G[self.p, : self.p]
            means[self.p + 1 :] = self.G[self.p + 1 :, self.p]
        return means / self.weight

    @property
    def deviations(self):
        """The sums of squared deviations from the means; of the 1 the weight."""
        return np.diagonal(self.G) - self.weight * self.means**2

    @property
    def is_shifted(self):
        """Which of x, 1 and y may have a shift: targets and dense columns, with an intercept."""
        is_shifted = np.full(len(self.G), self.is_centered)
        is_shifted[: self.p] &= not self.is_sparse
        is_shifted[self.p] = False
        return is_shifted

    def without(self, others):
        """The sums over the rows that are not among others, with the same shift."""
        return replace(self, G=self.G - others.G)

    @property
    def is_far(self):
        """Whether the shift of a dense column is so far from its mean that digits are lost."""
        if not self.is_centered or self.is_sparse or not np.isfinite(self.G).all():
            return False
        means = self.G[self.p, : self.p] / self.weight
        return is_far(means, np.diagonal(self.G)[: self.p] / self.weight)

    def products(self):
        """The `Products` of these rows."""
        p, G = self.p, self.G / self.weight
        np.copyto(G, G.T, where=~np.tri(len(G), dtype=bool))
        offset = G[p].copy() if self.is_centered else np.zeros(len(G))
        G -= np.outer(offset, offset)
        mean = offset + self.shift
        XX, XY, YY = G[:p, :p], G[:p, p + 1 :], np.diagonal(G)[p + 1 :]
        return Products(mean[:p], mean[p + 1 :], XX, XY, YY, self.is_sparse)


def shift_of(problem):
    """A guess of the means of (x, 1, y) from a few rows; 0 for the 1, and without an intercept."""
    p, targets = problem.rows.shape[1], problem.targets
    shift = np.zeros(p + 1 + targets.shape[1])
    if problem.objective.intercept:
        shift[:p] = rough_center(problem.rows, problem.visits, problem.weights)
        shift[p + 1 :] = targets.mean(axis=0)
    return shift


def product_sums(problem, shift):
    """The `ProductSums` of the rows to train on, from a pass over X in float64."""
    p, used = problem.rows.shape[1], len(shift)
    size = -(-used // PANEL) * PANEL
    padded, out = np.zeros(size), np.empty((size, size))
    padded[:used] = shift
    passes.column_products(problem.data_term, padded, out)
    centered, is_sparse = problem.objective.intercept, problem.rows.sparse
    return ProductSums(out[:used, :used], shift, p, centered, is_sparse)


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def sums_of(problem):
    """The `ProductSums` of a problem; None if numbers are so large or small that squares overflow
    or underflow.
    """
    p, shift = problem.rows.shape[1], shift_of(problem)
    sums = product_sums(problem, shift)
    if sums.is_far:
        # The rows of which the centre was guessed are not like the others.
        shift[:p] += sums.G[p, :p] / sums.weight
        sums = product_sums(problem, shift)
    return sums if are_safe(problem, sums) else None


def are_safe(problem, sums):
    """Whether no squares overflow or underflow in the `ProductSums` of a problem."""
    squares, shift = np.diagonal(sums.G), sums.shift
    is_safe = (squares < MAX_SQUARES) & ((squares > 1 / MAX_SQUARES) | (squares == 0))
    return is_safe.all() and np.isfinite(shift).all() and not _underflow(problem, squares, shift)


def products_of(problem):
    """The `Products` of a problem, or None, as of `sums_of`."""
    sums = sums_of(problem)
    return None if sums is None else sums.products()


def _underflow(problem, squares, shift):
    """Whether a column or a target has sums of squares of 0, although it varies."""
    p = problem.rows.shape[1]
    none = np.flatnonzero(squares[:p] == 0)
    X = problem.columns(none) if len(none) else np.zeros((0, 0))
    varies = X.count_nonzero() if sparse.issparse(X) else (X != shift[none]).any()
    none = squares[p + 1 :] == 0
    return varies or (
        none.any() and (problem.targets != shift[p + 1 : len(squares)])[:, none].any()
    )


class ScaledProducts(Record):
    """`Products` of columns (x - mean) * inverse, of variance 1: XX (p, p), XY (targets, p).

    `inverse` is 0 for columns whose weights have to be 0.
    """

    products: Products
    inverse: np.ndarray
    XX: np.ndarray
    XY: np.ndarray

    @classmethod
    def of(cls, problem):
        """Those of a problem, None if it has no `Products`."""
        metric = problem.metric
        products = (metric and metric.products) or products_of(problem)
        if products is None:
            return None
        varies = products.scale > 0
        if metric:
            varies &= metric.scale > 0
        inverse = np.divide(1.0, products.scale, where=varies, out=np.zeros(len(varies)))
        XX = products.XX * inverse * inverse[:, None]
        return cls(products, inverse, XX, inverse * products.XY.T)

    def regularised(self, l2):
        """XX + diag(l2); columns whose weights are 0 have a curvature of 1."""
        return self.XX + np.diag(l2 + (self.inverse == 0))

    def to_user(self, V):
        """(coef, intercept) of weights V (targets, p) of the scaled columns."""
        coef = V * self.inverse
        return coef, self.products.mean_y - coef @ self.products.mean_x


class RowGram(Record):
    """`row_products` that are known, and of what they are."""

    X: object
    visits: np.ndarray
    center: np.ndarray
    values: np.ndarray

    def is_of(self, problem, center):
        """Whether they are those of a problem."""
        same = self.X is problem.X and np.array_equal(self.visits, problem.visits)
        return same and np.array_equal(self.center, center)


@np.errstate(over="ignore", invalid="ignore")
def row_products(problem, center):
    """(x_i - center)'(x_j - center) of the rows to train on, (n, n); not finite where they are too
    large.
    """
    if problem.row_gram is not None and problem.row_gram.is_of(problem, center):
        return problem.row_gram.values
    if problem.rows.sparse:
        X = sparse.csr_array(problem.training_X, dtype=float)
        K = (X @ X.T).toarray()
        mean = X @ center
        return K + center @ center - mean[:, None] - mean
    n = len(problem.visits)
    K = np.empty((n, n))
    kernel.row_products(problem.data_term, center, K)
    return np.tril(K) + np.tril(K, -1).T
