"""Paths of L1-penalised least squares: from rows, or the products of their columns, to the solution
for each strength of the penalty.

The kernel `paths` has the algorithm and its sources.
"""

import numpy as np
from scipy import sparse

from fastgd.kernels.paths import descend_path
from fastgd.problem.duality import rounding_of
from fastgd.problem.metric import MIN_RELATIVE_SCALE
from fastgd.problem.records import Record, Settings

# The variance of a sparse column, relative to its squared mean, that may be rounding: the
# difference of two sums of squares.
SPARSE_ROUNDING = 1e-13
# The first words are scikit-learn's.
NOT_FINITE = (
    "Coordinate descent iterations resulted in non-finite parameter values: squares or products of "
    "the columns of X and of y overflow. Divide large columns of X, or y, by their sizes."
)


class PathSettings(Settings):
    """How a path is computed: `tol` bounds the duality gap relative to |y|^2 or, with
    `relative_to_gain`, to F0 - F*, where F0 is the objective of weights 0; `max_iter` bounds the
    sweeps of a point. A path ends where there are more than `max_support` nonzero weights.
    """

    tol: float = 1e-4
    max_iter: int = 1000
    positive: bool = False
    relative_to_gain: bool = False
    max_support: int = 2**31


class PathPoints(Record):
    """Solutions for penalties l1 and l2: weights (points, p, targets), their duality gaps,
    objectives and numbers of sweeps. `tolerances` are the gaps that were asked for. Where the path
    has ended before, gaps are infinite and `iterations` -1.
    """

    weights: np.ndarray
    gaps: np.ndarray
    objectives: np.ndarray
    iterations: np.ndarray
    tolerances: np.ndarray

    @property
    def coefs(self):
        """The weights (points, p) of one target."""
        return self.weights[:, :, 0]

    @property
    def unfinished(self):
        """Pairs of a gap that is larger than asked for, and the gap that was asked for."""
        late = ~(self.gaps <= self.tolerances)
        return list(zip(self.gaps[late], self.tolerances[late], strict=True))


class PathData(Record):
    """The data of a path: means of the columns and targets, which have been subtracted, and what
    the kernel takes: `columns`, X'y (p, targets), the columns' squares (0: no weight), |y|^2 and
    the number of rows.
    """

    mean_x: np.ndarray
    mean_y: np.ndarray
    columns: tuple
    y_products: np.ndarray
    squares: np.ndarray
    yy: float
    rows: int

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")
    def of_products(cls, products, rows):
        """From the `Products` of the columns."""
        squares = np.diagonal(products.XX).copy()
        squares[products.scale == 0] = 0
        if products.is_sparse:
            squares[squares <= SPARSE_ROUNDING * products.mean_x**2] = 0
        columns = np.ascontiguousarray(products.XX), None
        XY, YY = np.ascontiguousarray(products.XY), float(products.YY.sum())
        return cls(products.mean_x, products.mean_y, columns, XY, squares, YY, rows)._finite()

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")
    def of_dense(cls, X, Y, shares, intercept):
        """From rows X (n, p), targets Y (n, targets) and the rows' shares in the weight."""
        root = np.sqrt(shares)
        A, Y = np.array(X, dtype=np.float64), np.array(Y, dtype=np.float64)
        mean_x, mean_y = np.zeros(A.shape[1]), np.zeros(Y.shape[1])
        for _ in range(2 if intercept else 0):  # the second time for the rounding of the first
            more_x, more_y = shares @ A, shares @ Y
            A -= more_x
            Y -= more_y
            mean_x, mean_y = mean_x + more_x, mean_y + more_y
        A, Y = (
            np.ascontiguousarray((root[:, None] * A).T),
            np.ascontiguousarray((root[:, None] * Y).T),
        )
        squares = np.einsum("ji,ji->j", A, A)
        squares[np.sqrt(squares) <= MIN_RELATIVE_SCALE * np.abs(mean_x)] = 0
        XY, yy = np.ascontiguousarray(A @ Y.T), float((Y * Y).sum())
        return cls(mean_x, mean_y, (A, Y), XY, squares, yy, len(X))._finite()

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")
    def of_sparse(cls, X, Y, shares, intercept, mean_x=None):
        """The same of CSR rows; `mean_x` are means that are not those of the rows."""
        root, rows = np.sqrt(shares), X.shape[0]
        columns = sparse.csc_array(X, dtype=np.float64)
        columns.sum_duplicates()
        values = columns.data * root[columns.indices]
        indices, indptr = (part.astype(np.intp) for part in (columns.indices, columns.indptr))
        scaled = sparse.csc_array((values, indices, indptr), shape=columns.shape)
        Y, mean_y = np.array(Y, dtype=np.float64), np.zeros(Y.shape[1])
        if mean_x is None:
            mean_x = root @ scaled if intercept else np.zeros(columns.shape[1])
        if intercept:
            mean_y = shares @ Y
            Y -= mean_y
        Y = np.ascontiguousarray((root[:, None] * Y).T)
        raw, total = np.asarray((scaled * scaled).sum(axis=0)), float(shares.sum())
        squares = raw - mean_x * (2 * (root @ scaled) - total * mean_x)
        squares[squares <= SPARSE_ROUNDING * np.minimum(mean_x**2, np.finfo(float).max)] = 0
        XY = np.ascontiguousarray((Y @ scaled).T - np.outer(mean_x, Y @ root))
        columns, yy = (values, indices, indptr, mean_x, root, Y), float((Y * Y).sum())
        return cls(mean_x, mean_y, columns, XY, squares, yy, rows)._finite()

    def _finite(self):
        """These data, whose squares and products have to be finite."""
        sizes = self.y_products, self.squares, [self.yy]
        if not all(np.isfinite(part).all() for part in sizes):
            raise ValueError(NOT_FINITE)
        return self

    @property
    def has_rows(self):
        """Whether the kernel is given the columns themselves, not their products."""
        return self.columns[1] is not None

    @property
    def strongest(self):
        """The norms of the rows of X'y."""
        sizes = np.abs(self.y_products).max(axis=1, initial=0.0)  # whose squares may overflow
        shares = self.y_products / np.where(sizes > 0, sizes, 1.0)[:, None]
        return sizes * np.sqrt((shares * shares).sum(axis=1))

    def largest_l1(self, positive):
        """The smallest L1 penalty without nonzero weights."""
        sizes = self.y_products[:, 0] if positive else self.strongest
        return float(np.where(self.squares > 0, sizes, 0.0).max(initial=0.0))

    def _least_gains(self, l1, l2, positive):
        """Lower bounds of F0 - F* for each penalty: what the best single column gains."""
        sizes = self.y_products[:, 0] if positive else self.strongest
        varies = self.squares > 0
        excess = np.maximum(sizes[varies] - l1[:, None], 0)
        best = (excess / np.sqrt(self.squares[varies] + l2[:, None])).max(axis=1, initial=0.0)
        return best * best / 2

    def _tolerances(self, l1, l2, settings):
        """The duality gaps that are asked for."""
        if not settings.relative_to_gain:
            return np.full(len(l1), settings.tol * self.yy)
        gains = self._least_gains(l1, l2, settings.positive)
        return np.maximum(settings.tol * gains, rounding_of(self.yy / 2, self.yy / 2))

    def descend(self, l1, l2, settings, start=None, stop=None):
        """The `PathPoints` for penalties l1 and l2, one after the other, from weights `start`."""
        l1, l2 = (np.ascontiguousarray(part, dtype=np.float64) for part in (l1, l2))
        tolerances = self._tolerances(l1, l2, settings)
        out = (
            np.zeros((len(l1), *self.y_products.shape)),
            np.zeros(len(l1)),
            np.zeros(len(l1)),
            np.zeros(len(l1), np.intp),
        )
        if start is not None:
            start = np.ascontiguousarray(start, dtype=np.float64)
        stop = np.zeros(1, np.int32) if stop is None else stop
        values = settings.tol, settings.max_iter, settings.positive, settings.max_support
        totals = self.yy, self.rows
        data = self.columns, self.y_products, self.squares
        descend_path(*data, totals, (l1, l2, tolerances), values, start, out, stop)
        if not (np.isfinite(out[0]).all() and np.isfinite(out[1][out[3] >= 0]).all()):
            raise ValueError(NOT_FINITE)
        return PathPoints(*out, tolerances)
