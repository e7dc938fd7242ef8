"""Quadratic models of a loss on a working set of columns, and their minimisation with a nonsmooth
penalty.

Sources: Friedman, Hastie and Tibshirani, "Regularization paths via coordinate descent", J. Stat.
Softw. 33 (2010); Lee et al., "Efficient sparse coding algorithms", NIPS 2006.
"""

from functools import cached_property

import numpy as np
from scipy import sparse

from fastgd.kernels import coordinate
from fastgd.kernels.columns import take
from fastgd.methods.cholesky import cholesky, solve
from fastgd.methods.preconditioner import MAX_ALL_ROWS_COLUMNS, RIDGE_FEW_ROWS
from fastgd.problem.data import as_rows
from fastgd.problem.linearization import subsample_rows

# The working set gets sqrt(MATRIX_WORK_PER_COLUMN * p) columns beyond the nonzero weights. The
# first matrix then takes MATRIX_WORK_PER_COLUMN multiplications per number of dense X, about as
# long as one pass or, with the symmetric copy, a few; the k-th one k times as many.
MATRIX_WORK_PER_COLUMN = 30
# Multiplications per stored number of X that a matrix of all rows and columns may cost.
MATRIX_PRODUCTS_PER_ENTRY = 1500
# Rows per column of a matrix, where there are more than twice as many.
ROWS_PER_MATRIX_COLUMN = 10
# Rows per column of dense least squares, at most, for coordinate descent without a matrix; and
# numbers of the copy of a working set's columns: 256 MB.
MAX_ROWS_PER_COLUMN = 4
MAX_NUMBERS = 2**25
# Numbers in a cache line. Vectors that lie in one are loaded faster.
CACHE_LINE = 8
# Rounds of coordinate descent and a Newton step on the support, at most. A guard: the tolerance
# ends them before.
MAX_ROUNDS = 50
# Sweeps of coordinate descent per round, at most.
SWEEPS_PER_ROUND = 20


def minimise(H, w, g, penalty, reduction):
    """Minimise g'd + d'Hd / 2 + P(w) over w = (initial w) + d, until its largest subgradient is at
    most `reduction` times the first one.
    """
    enough = reduction * np.abs(penalty.subgradient(w, g)).max(initial=0.0)
    for _ in range(MAX_ROUNDS):
        coordinate.descend(H, w, g, penalty.above, enough, SWEEPS_PER_ROUND, penalty.lower_bounds)
        done = np.abs(penalty.subgradient(w, g)).max(initial=0.0) <= enough
        if done or not step_on_support(H, w, g, penalty):
            return


def step_on_support(H, w, g, penalty):
    """Take a Newton step of the nonzero coordinates, up to the first sign change; return whether
    there was a step.
    """
    support = np.flatnonzero((w != 0) | ~penalty.is_nonsmooth)
    down = -(g + penalty.above * np.sign(w))[support]
    part = H[np.ix_(support, support)]
    part[np.diag_indices(len(support))] *= 1 + 1e-12
    factor = cholesky(part)
    if factor is None:
        return False
    d = solve(factor, down)
    change = H[:, support] @ d
    slope, curvature = down @ d, d @ change[support]
    crossing = (w[support] * d < 0) & penalty.is_nonsmooth[support]
    limits = np.divide(-w[support], d, where=crossing, out=np.full(len(d), np.inf))
    # Along flat directions rounding may make the curvature 0 or negative.
    t = min(slope / curvature if curvature > 0 else np.inf, limits.min(initial=np.inf))
    if not (slope > 0 and np.isfinite(t)):
        return False
    w[support] += t * d
    w[support[limits <= t]] = 0
    g += t * change
    return True


def empty_rows(rows, numbers):
    """An array of rows that begin at cache lines, with room for so many numbers and then zeros."""
    width = -(-numbers // CACHE_LINE) * CACHE_LINE
    flat = np.empty(rows * width + CACHE_LINE)
    begin = -(flat.ctypes.data // flat.itemsize) % CACHE_LINE
    array = flat[begin : begin + rows * width].reshape(rows, width)
    array[:, numbers:] = 0
    return array


class WorkingSet:
    """X' diag(h) X / n of working sets of columns, in scaled coordinates: a matrix per output, or
    one for all outputs of a quadratic loss.

    The matrices grow with the working sets. `stored`, (columns, h, matrix) of each output, and
    `of_some_rows`, whether h is that of a subsample of the rows, are enough to continue; their
    values are never changed in place. `takes_all_rows` forbids subsamples.
    """

    def __init__(self, at, penalty, takes_all_rows):
        self._at, self._penalty, problem = at, penalty, at.problem
        p, stored = len(at.inverse), problem.rows.stored / problem.rows.shape[0]
        is_small = p <= MAX_ALL_ROWS_COLUMNS and p * p <= MATRIX_PRODUCTS_PER_ENTRY * stored
        self._takes_all_rows = takes_all_rows or is_small
        self._is_quadratic = problem.objective.loss.is_quadratic
        # Whether coordinate descent goes over the columns of X, without a matrix: sparse ones, or
        # those of least squares with few rows.
        n, is_sparse = len(problem.visits), problem.rows.sparse
        is_wide = (
            self._is_quadratic and n < MAX_ROWS_PER_COLUMN * p and n * min(n, p) <= MAX_NUMBERS
        )
        is_in_memory = problem.X is not None
        self.has_no_matrix = is_in_memory and not is_small and (is_sparse or is_wide)
        self.clear()

    def clear(self):
        """Drop the matrices, whose curvatures are no longer those of the rows."""
        self.stored, self.of_some_rows = {}, False

    @property
    def is_exact(self):
        """Whether the model is the objective itself."""
        return self._is_quadratic and not self.of_some_rows

    @property
    def is_rough(self):
        """Whether the model or its minimum is rough: conjugate gradients find the values faster."""
        return self.of_some_rows or (self.has_no_matrix and self._at.problem.rows.sparse)

    def select(self, v, g):
        """(columns of nonzero weights and of the largest subgradients, whether these are all whose
        weights should move).
        """
        is_used = (v != 0) | ~self._penalty.is_nonsmooth
        excess = np.where(is_used, np.inf, np.abs(self._penalty.subgradient(v, g)))
        excess[:-1][self._at.inverse == 0] = 0
        if not self._at.problem.objective.intercept:
            excess[-1] = 0
        used, able = np.count_nonzero(np.isinf(excess)), np.count_nonzero(excess > 0)
        problem = self._at.problem
        if self.has_no_matrix and not problem.rows.sparse:
            # A minimum has at most as many nonzero weights as rows, if there is no L2 penalty.
            size = min(able, max(len(problem.visits), 2 * used))
        else:
            size = min(able, used + int(np.sqrt(MATRIX_WORK_PER_COLUMN * len(self._at.inverse))))
        columns = np.argpartition(-excess, size - 1)[:size] if size else np.empty(0, np.intp)
        return np.sort(columns), size == able

    def matrix(self, columns, curvatures, output):
        """The matrix of these columns, given the curvatures (n, outputs)."""
        k = 0 if self._is_quadratic else output
        if k not in self.stored or self._has_few_rows(k, columns):
            h = self._subsample(curvatures[:, k], ROWS_PER_MATRIX_COLUMN * len(columns))
            self._store(k, columns, h, self._at.symmetric_products(h, columns))
        known, h, H = self.stored[k]
        new = columns[np.isin(columns, known, invert=True)]
        if len(new):
            old, known = len(known), np.concatenate([known, new])
            cross = self._at.products(h, known, len(new))
            H = np.block([[H, cross[:old]], [cross[:old].T, cross[old:]]])
            self._store(k, known, h, H)
        order = np.argsort(known)
        at = order[np.searchsorted(known, columns, sorter=order)]
        return H[np.ix_(at, at)]

    def _store(self, k, columns, h, H):
        self.stored = self.stored | {k: (columns, h, H)}

    def _has_few_rows(self, k, columns):
        """Whether the subsample is too small for a matrix with these columns."""
        known, h, _ = self.stored[k]
        size = len(known) + np.isin(columns, known, invert=True).sum()
        return self.of_some_rows and 2 * np.count_nonzero(h) < ROWS_PER_MATRIX_COLUMN * size

    def _subsample(self, h, most):
        """The curvatures that a matrix is made of: of at most this number of rows."""
        # The matrix of a quadratic is made once, so it may take twice as many rows.
        if self._takes_all_rows or (2 if self._is_quadratic else 1) * most >= len(h):
            return h.copy()
        self.of_some_rows = True
        return subsample_rows(h, most)

    def factors(self, free, diagonal):
        """{output: (columns, Cholesky factor)} of the stored matrices' part of the free
        coordinates; `diagonal` is the inverse of the Hessian's diagonal.
        """
        factors, l2 = {}, self._at.l2
        for k, (known, _, H) in self.stored.items():
            for output in range(len(free)) if self._is_quadratic else (k,):
                inside = np.flatnonzero(free[output, known])
                part = H[np.ix_(inside, inside)]
                ridge = RIDGE_FEW_ROWS * diagonal[output].min()
                part[np.diag_indices(len(inside))] += l2[output, known[inside]] + ridge
                factor = cholesky(part)
                if factor is not None:
                    factors[output] = known[inside], factor
        return factors

    @cached_property
    def sparse_columns(self):
        """The columns of sparse X as rows."""
        return as_rows(sparse.csc_array(self._at.problem.training_X).T)

    @cached_property
    def dense_columns(self):
        """The `DenseColumns` of a quadratic loss."""
        return DenseColumns(self._at)


class DenseColumns:
    """A copy of some columns of dense X: the rows of `values` are the scaled columns, times the
    square roots of h / n, and zeros. So values values' is a part of X' diag(h) X / n.
    """

    def __init__(self, at):
        self._at, self.values = at, np.empty((0, len(at.problem.visits)))
        # The row of each column (-1: none), and the column of each row.
        self._row, self._column = np.full(len(at.inverse) + 1, -1), np.empty(0, np.intp)

    def rows(self, columns, h):
        """The rows of these columns. Those that are missing replace others."""
        rows = self._row[columns]
        missing = columns[rows < 0]
        if len(columns) > len(self.values):
            missing = self._column = columns.copy()
            self._row[:], self.values = -1, empty_rows(len(columns), len(h))
            rows = rows[:0]
        if len(missing):
            is_free = np.full(len(self.values), True)
            is_free[rows[rows >= 0]] = False
            free = np.flatnonzero(is_free)[: len(missing)]
            self._row[self._column[free]] = -1
            self._row[missing], self._column[free] = free, missing
            at, roots = self._at, np.sqrt(h / len(h))
            take(at.problem.data_term, missing, at.center, at.inverse, roots, free, self.values)
        return self._row[columns]
