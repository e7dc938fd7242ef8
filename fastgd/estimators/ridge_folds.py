"""Ridge regression on the folds of a cross-validation: all penalties from products of the columns,
or of the rows, which one pass over X brings.
"""

from copy import copy
from dataclasses import replace

import numpy as np

from fastgd.estimators.fit import relative
from fastgd.estimators.linear_fit import LinearFit
from fastgd.estimators.parameters import thread_count
from fastgd.methods.normal_equations import MAX_WORK_PER_NUMBER
from fastgd.methods.ridge_path import PathMargins, Tridiagonal, refined, solve_all
from fastgd.problem.data import as_rows, distinct_columns
from fastgd.problem.fold_products import FoldProducts, RowProducts
from fastgd.problem.losses import SquaredError
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem, Samples
from fastgd.training.blas import one_blas_thread

# Columns, or rows, at most, whose products are solved for all penalties at once: 288 MB. On 4000 x
# 3500, three penalties on three folds take 23 s so, and 37 s by separate fits.
MAX_SIZE = 6000
# Of the products of the rows: beyond, margins would be off by more than about 1e-6 of their size,
# and models are trained apart, with refined solutions.
MAX_CONDITION = 5e9


class RidgeFolds:
    """Ridge regressions for all penalties `alphas` on subsets of rows.

    `model` has the other parameters; `data` are checked rows whose targets have a column per
    output.
    """

    def __init__(self, model, data, outputs, alphas):
        self.model, self.outputs, self.alphas = model, outputs, alphas
        self.data = data = replace(data, X=distinct_columns(data.X))
        self.weights = data.weights
        self.problem = problem_of(model, data, outputs)
        self.products = None
        self.targets = data.y.reshape(data.X.shape[0], -1)

    def _l2(self, rows):
        """The penalties beside mean losses of these rows."""
        total = len(rows) if self.weights is None else self.weights[rows].sum()
        with np.errstate(over="ignore"):
            return np.minimum(self.alphas / total, np.finfo(float).max)

    def training_rows(self, folds):
        """The rows of each fold that have a weight; `folds` holds the rows that each trains on."""
        counts = np.zeros(self.data.X.shape[0], bool)
        counts[self.problem.visits] = True
        rows = [train[counts[train]] for train in folds]
        for number, own in enumerate(rows):
            if not len(own):
                raise ValueError(
                    "Sample weights must contain at least one non-zero number: all rows that fold "
                    f"{number} of cv trains on have weight 0."
                )
        return rows

    def solver(self, rows):
        """The function that trains on a fold for all penalties from products; None where separate
        fits are faster.
        """
        problem = self.problem
        n, p = problem.rows.shape
        fits, small = len(rows) * len(self.alphas), min(n, p)
        work = len(rows) * float(small) ** 3 + (n * float(p) ** 2 if p < n else float(n) ** 3)
        is_long = problem.rows.sparse and (
            work > MAX_WORK_PER_NUMBER * float(problem.rows.stored) * fits
        )
        if small > MAX_SIZE or is_long:
            return None
        if n <= p:
            self._of_rows = RowProducts(problem)
            return self._by_rows
        self._of_columns = FoldProducts(problem, rows)
        self.products = self._of_columns.whole
        return self._by_columns

    def _by_columns(self, number, rows, test, columns):
        """A `FoldResult` from the products of the columns."""
        products = self._of_columns.of_training(number)
        if products is None:
            return self.by_fits(number, rows, test, columns)
        b = products.XY.T[columns]
        W = solve_all(products.XX, b, self._l2(rows), products.scale)
        offset = products.mean_y[columns] - W @ products.mean_x
        result = FoldResult(self, rows, columns, W, offset)
        margins = np.empty((len(test), *W.shape[:2]))
        done, path = 0, PathMargins(self.data.X, products.mean_x, products.mean_y[columns], W)
        for own, block in path.blocks(test):
            margins[done : done + len(own)] = block
            done += len(own)
        result.margins = margins
        return result

    def _by_rows(self, number, rows, test, columns):
        """The same from the products of the rows."""
        gram = self._of_rows.of(rows, test)
        if gram is None:
            return self.by_fits(number, rows, test, columns)
        H, b, root = gram.gram, gram.targets.T[columns], gram.root
        if self.problem.objective.intercept:
            # The centred rows add up to 0: their sum gets a curvature of its own.
            H = H + np.outer(root, root) * np.diagonal(H).mean()
        factor, l2 = Tridiagonal(H), self._l2(rows)
        U = solve_all(H, b, l2, factor=factor)
        U[~(factor.condition(l2) <= MAX_CONDITION)] = np.nan
        result = FoldResult(self, rows, columns, None, None)
        result.duals, result.known = U * root, np.isfinite(U).all(axis=(1, 2))
        margins = (result.duals @ gram.cross.T).transpose(2, 0, 1) + gram.mean_y[columns]
        result.margins = margins
        return result

    def by_fits(self, number, rows, test, columns):
        """The same without products: `FoldResult.complete` fits each penalty."""
        shape = len(self.alphas), len(columns)
        W = np.full((*shape, self.data.X.shape[1]), np.nan)
        result = FoldResult(self, rows, columns, W, np.full(shape, np.nan))
        result.margins = np.empty((len(test), *shape))
        return result

    def fitted(self, rows, columns, alpha):
        """(coef, intercept) of a fit on some rows."""
        model = copy(self.model)
        vars(model).pop("feature_names_in_", None)
        model.alpha_ = model.alpha = alpha
        model._one_target, model.warm_start = False, False
        weights = None if self.weights is None else self.weights[rows]
        X, y = self.data.X[rows], np.ascontiguousarray(self.targets[rows][:, columns])
        LinearFit(model, Samples(X, y, y.ravel(), weights), len(columns), False).run()
        coef = np.atleast_2d(model.coef_).astype(float)
        return coef, np.zeros(len(columns)) + model.intercept_


class FoldResult:
    """What has been trained on a fold: weights W (penalties, targets, p) and intercepts, or
    `duals` (penalties, targets, rows) that combine the rows; and the margins of the other rows.
    """

    duals = margins = None

    def __init__(self, search, rows, columns, W, offset):
        self.search, self.rows, self.columns = search, rows, columns
        self.W, self.offset = W, offset
        self.known = None if W is None else np.isfinite(W).all(axis=(1, 2))
        self.fits = {}

    def complete(self, test=()):
        """Train apart where the products are too close to singular; the test rows have margins."""
        X = self.search.data.X[test] if len(test) else None
        for number in np.flatnonzero(~self.known):
            alpha = float(self.search.alphas[number])
            coef, intercept = self.search.fitted(self.rows, self.columns, alpha)
            self.fits[number] = coef, intercept
            if self.W is not None:
                self.W[number], self.offset[number] = coef, intercept
            if X is not None:
                self.margins[:, number] = np.asarray(X @ coef.T) + intercept

    def of_products(self):
        """(W, offset), not finite where models have to be trained apart."""
        if self.W is None:
            self._combine()
        return self.W, self.offset

    def model(self, number):
        """(coef, intercept) of a penalty."""
        if number in self.fits:
            return self.fits[number]
        W, offset = self.of_products()
        return W[number], offset[number]

    def _combine(self):
        problem = replace(self.search.problem, visits=self.rows)
        shares, X, is_centered = problem.row_shares, problem.X[self.rows], self.search.model
        center, mean_y = np.zeros(X.shape[1]), np.zeros(len(self.columns))
        if is_centered.fit_intercept:
            center, mean_y = np.asarray(shares @ X), shares @ problem.targets[:, self.columns]
        flat = self.duals.reshape(-1, len(self.rows))
        W = np.asarray(flat @ X) - np.outer(flat.sum(axis=1), center)
        self.W = W.reshape(*self.duals.shape[:2], -1)
        self.offset = mean_y - self.W @ center


def problem_of(model, data, outputs):
    """The problem of least squares on the rows that count."""
    visits = model._rows_that_count(data.weights, data.X.shape[0])
    weights = None if data.weights is None else relative(data.weights, visits)
    # The penalties are relative to the sum of the given weights.
    objective = Objective(SquaredError(), outputs=outputs, intercept=model.fit_intercept)
    threads = thread_count(model.n_jobs)
    rows = as_rows(data.X)
    return Problem(rows, data.y, weights, objective, visits, True, threads, data.X)


def coefficient_path(model, data, outputs, alphas):
    """coef (penalties, outputs, p) of all penalties."""
    search = RidgeFolds(model, data, outputs, alphas)
    problem, rows = search.problem, search.problem.visits
    columns, l2 = np.arange(outputs), search._l2(rows)
    with one_blas_thread():
        solve = search.solver([rows]) or search.by_fits
        if solve == search._by_columns:
            products = search.products
            if products is not None:
                W = solve_all(products.XX, products.XY.T, l2, products.scale)
                W = refined(problem, products, W, l2)
                result = FoldResult(search, rows, columns, W, np.zeros(W.shape[:2]))
                result.complete()
                return result.W
            solve = search.by_fits
        result = solve(0, rows, rows[:0], columns)
        result.complete()
        return np.array([result.model(number)[0] for number in range(len(alphas))])
