"""Cross-validation of the penalties of L1-penalised least squares: a path for each fold and
`l1_ratio`, and the errors along it on the fold's other rows.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property

import numpy as np
from scipy import sparse

from fastgd.methods.lasso_path import PathData
from fastgd.problem.data import as_rows
from fastgd.problem.fold_products import FoldProducts
from fastgd.problem.losses import SquaredError
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem
from fastgd.problem.records import Record
from fastgd.training.blas import one_blas_thread

# Columns of dense X, at most, whose products are computed: a fold's take 32 MB. Of sparse X, whose
# rows are then taken for dense ones, fewer.
MAX_COLUMNS = 2000
MAX_SPARSE_COLUMNS = 500
# So many columns are worth their products even if the rows are fewer.
FEW_COLUMNS = 200
# Mean squared errors are computed from the products of the test rows where the rounding of its
# terms is at most this share of them; otherwise from the rows.
MAX_ROUNDING = 1e-9
# Numbers of the block of rows of which errors are computed at a time: 8 MB.
BLOCK_NUMBERS = 2**20
# The products of all folds are held while paths are computed if they have at most this number of
# entries: 512 MB. Otherwise each path has its own computed.
MAX_HELD_NUMBERS = 2**26
# scikit-learn's words.
NO_WEIGHT = "Weights sum to zero, can't be normalized"


class Samples(Record):
    """Checked rows: X, targets y (n,), weights (None: all 1) and whether there is an intercept."""

    X: object
    y: np.ndarray
    weights: np.ndarray | None
    intercept: bool

    def shares(self, rows):
        """(rows of positive weight among some, their shares in the weight)."""
        if not len(rows):
            raise ValueError("cv gives a fold without rows to train on, or without rows to test on")
        if self.weights is None:
            return rows, np.full(len(rows), 1 / len(rows))
        weights = self.weights[rows]
        if not weights.sum() > 0:
            raise ZeroDivisionError(NO_WEIGHT)
        rows, weights = rows[weights > 0], weights[weights > 0]
        return rows, weights / weights.max() / (weights / weights.max()).sum()

    def path_data(self, rows):
        """The `PathData` of some rows, by their columns."""
        rows, shares = self.shares(rows)
        X, Y = self.X[rows], self.y[rows][:, None]
        make = PathData.of_sparse if sparse.issparse(X) else PathData.of_dense
        with np.errstate(all="ignore"):
            return make(X, Y, shares, self.intercept)

    def problem(self, threads):
        """The problem of least squares, for passes over X."""
        n = self.X.shape[0]
        weights, objective = self.weights, Objective(SquaredError(), intercept=self.intercept)
        y = np.ascontiguousarray(self.y, dtype=np.float64)
        everything = np.arange(n)
        return Problem(as_rows(self.X), y, weights, objective, everything, True, threads, X=self.X)


class Fold(Record):
    """The training data of a fold and a function that returns its errors of given models."""

    data: PathData
    errors: object


class PathSearch:
    """Mean squared errors of all folds along paths.

    `precompute` says whether the products of the columns are computed: True, False or 'auto'.
    """

    def __init__(self, samples, folds, settings, precompute, threads):
        self.samples, self.folds, self.settings = samples, folds, settings
        self.threads, self._precompute = threads, precompute
        for train, test in folds:
            samples.shares(train)
            samples.shares(test)

    @cached_property
    def products(self):
        """The `FoldProducts`; None if the columns themselves are the faster way, or if squares
        overflow or underflow.
        """
        X, rows = self.samples.X, min(len(train) for train, _ in self.folds)
        p, is_sparse = X.shape[1], sparse.issparse(X)
        has_few = p <= (MAX_SPARSE_COLUMNS if is_sparse else MAX_COLUMNS)
        suits = has_few and (p <= FEW_COLUMNS or p <= rows)
        if not (self._precompute is True and not is_sparse or self._precompute == "auto" and suits):
            return None
        problem = self.samples.problem(self.threads)
        products = FoldProducts(problem, *zip(*self.folds, strict=True))
        return products if products.whole else None

    @cached_property
    def whole(self):
        """The `PathData` of all rows."""
        n = self.samples.X.shape[0]
        if self.products:
            return PathData.of_products(self.products.whole, n)
        return self.samples.path_data(np.arange(n))

    def run(self, grids):
        """(errors, gaps): mean squared errors for each of the `grids`, pairs (l1, l2) of arrays of
        the same length, of shape (grids, folds, alphas); and the duality gaps that are larger than
        asked for, with those asked for.
        """
        done = self.paths(
            grids, lambda fold, points: (fold.errors(points.coefs), points.unfinished)
        )
        errors = np.array([errors for errors, _ in done])
        gaps = [pair for _, pairs in done for pair in pairs]
        return errors.reshape(len(grids), len(self.folds), -1), gaps

    def paths(self, grids, result_of):
        """[result_of(fold, points)] of the `Fold` and `PathPoints` of each fold, for one of the
        `grids` after the other.
        """
        with one_blas_thread():
            folds, p = [None] * len(self.folds), self.samples.X.shape[1]
            if self.products and 3 * len(folds) * p * p <= MAX_HELD_NUMBERS:
                numbers = [(k,) for k in range(len(folds))]
                folds = run_in_threads(lambda _, k: self._prepared(k), numbers, self.threads)
            jobs = [(fold, k, *grid) for grid in grids for k, fold in enumerate(folds)]

            def run_fold(stop, fold, k, l1, l2):
                fold = fold or self._prepared(k)
                return result_of(fold, fold.data.descend(l1, l2, self.settings, stop=stop))

            return run_in_threads(run_fold, jobs, self.threads)

    def _prepared(self, k):
        train, n = self.folds[k][0], self.samples.X.shape[0]
        if len(train) == n and (np.bincount(train, minlength=n) == 1).all():
            return self._tested(k, self.whole)
        return self._from_products(k) if self.products else self._from_columns(k)

    def _from_columns(self, k):
        return self._tested(k, self.samples.path_data(self.folds[k][0]))

    def _tested(self, k, data):
        """The `Fold` of some training data, whose errors are computed from the test rows."""
        return Fold(data, lambda coefs: self._errors_on(self.folds[k][1], data, coefs))

    def _from_products(self, k):
        train, test = self.folds[k]
        sums = self.products.of_test(k)
        products = self.products.of_training(k, sums)
        if products is None:
            return self._from_columns(k)
        data, tested = PathData.of_products(products, len(train)), sums.products()
        # Rounding is proportional to the squares about the shift.
        squares, p = np.diagonal(sums.G) / sums.weight, sums.p
        roots, square_y = np.sqrt(squares[:p]), squares[p + 1]

        def errors(coefs):
            products = coefs @ tested.XX
            explained = (products * coefs).sum(axis=1)
            shift = tested.mean_y[0] - data.mean_y[0] - coefs @ (tested.mean_x - data.mean_x)
            of_y, total = coefs @ tested.XY[:, 0], tested.YY[0]
            found = explained - 2 * of_y + total + shift * shift
            rounding = np.finfo(float).eps * ((np.abs(coefs) @ roots) ** 2 + square_y)
            unsafe = np.flatnonzero(~(rounding <= MAX_ROUNDING * found))
            if len(unsafe):
                found[unsafe] = self._errors_on(test, data, coefs[unsafe])
            return found

        return Fold(data, errors)

    @np.errstate(over="ignore", invalid="ignore")  # the caller looks for a finite mean
    def _errors_on(self, test, data, coefs):
        """The mean squared errors of models (models, p) on the test rows, by their residuals."""
        rows, shares = self.samples.shares(test)
        X, y = self.samples.X, self.samples.y
        errors, step = np.zeros(len(coefs)), max(1, BLOCK_NUMBERS // max(X.shape[1], len(coefs)))
        offsets = data.mean_y[0] - coefs @ data.mean_x
        used = np.flatnonzero((coefs != 0).any(axis=0))
        for begin in range(0, len(rows), step):
            part = rows[begin : begin + step]
            block = X[part]
            if not sparse.issparse(X):
                # Subtracting the means keeps the digits of columns far from 0.
                block = block[:, used].astype(np.float64) - data.mean_x[used]
                residuals = block @ coefs[:, used].T + data.mean_y[0]
            else:
                residuals = block.astype(np.float64) @ coefs.T + offsets
            residuals -= y[part][:, None]
            errors += shares[begin : begin + step] @ (residuals * residuals)
        return errors


def run_in_threads(function, jobs, threads):
    """[function(stop, *job) for job in jobs], each in one of so many threads. `stop` is an array
    that becomes 1 when the jobs are to end.
    """
    stop = np.zeros(1, np.int32)
    if min(threads, len(jobs)) < 2:
        return [function(stop, *job) for job in jobs]
    with ThreadPoolExecutor(min(threads, len(jobs))) as pool, _stopping(stop, pool):
        return [future.result() for future in [pool.submit(function, stop, *job) for job in jobs]]


@contextmanager
def _stopping(stop, pool):
    """End the jobs of a pool where one has failed, or upon Ctrl-C."""
    try:
        yield
    except BaseException:
        stop[0] = 1
        pool.shutdown(wait=False, cancel_futures=True)
        raise
