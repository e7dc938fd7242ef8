"""The penalty of ridge regression by cross-validation: all folds and penalties from sums that one
pass over X brings.
"""

from copy import copy
from dataclasses import replace
from functools import partial
from numbers import Integral, Real

import numpy as np
from scipy import linalg
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.model_selection import check_cv
from sklearn.model_selection._validation import _score
from sklearn.utils import _safe_indexing, check_scalar, indexable
from sklearn.utils.validation import _check_method_params

from fastgd.estimators.diagnostics import warn
from fastgd.estimators.fit import relative
from fastgd.estimators.folds import row_numbers
from fastgd.estimators.linear_fit import LinearFit
from fastgd.estimators.parameters import thread_count
from fastgd.methods.leave_one_out import LeaveOneOut
from fastgd.methods.normal_equations import MAX_WORK_PER_NUMBER
from fastgd.methods.ridge_path import PathMargins, Tridiagonal, refined, solve_all
from fastgd.problem.data import as_rows, distinct_columns
from fastgd.problem.fold_products import FoldProducts, RowProducts
from fastgd.problem.losses import SquaredError
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem, Samples
from fastgd.problem.products import products_of
from fastgd.training.blas import one_blas_thread

# Scores of regression that are computed from the squares of residuals.
OF_SQUARES = (None, "r2", "neg_mean_squared_error", "neg_root_mean_squared_error")
# Columns, or rows, at most, whose products are solved for all penalties at once: 288 MB. On 4000 x
# 3500, three penalties on three folds take 23 s so, and 37 s by separate fits.
MAX_SIZE = 6000
# Of the products of the rows: beyond, margins would be off by more than about 1e-6 of their size,
# and models are trained apart, with refined solutions.
MAX_CONDITION = 5e9
# Up to so many rows a column, leave-one-out uses the products of the rows, as it has to with fewer
# rows than columns: where models nearly interpolate, 1 - leverage of the columns loses digits.
NEARLY_SQUARE = 1.25
# Steps of the power method for the largest penalty of a path: its value need not be exact.
POWER_STEPS = 10
BEYOND = (
    "the squares of numbers in X or y overflow or underflow, which leave-one-out cross-validation "
    "needs: scale the columns, for example by StandardScaler, or choose folds (cv)"
)


def checked_alphas(alphas, allows_zero):
    """The penalties as an array; errors in scikit-learn's words where it has them."""
    check = partial(
        check_scalar,
        target_type=Real,
        min_val=0.0,
        include_boundaries="left" if allows_zero else "neither",
    )
    if np.ndim(alphas) == 0:
        alphas = [check(alphas, "alphas")]
    else:
        several = list(alphas)
        for index, alpha in enumerate(several):
            check(alpha, f"alphas[{index}]" if len(several) > 1 else "alphas")
    found = np.array(alphas, dtype=float)
    if not len(found):
        raise ValueError(
            "Parameter grid for parameter 'alpha' need to be a non-empty sequence, got: "
            f"{np.asarray(alphas)!r}"
        )
    if not np.isfinite(found).all():
        index = int(np.flatnonzero(~np.isfinite(found))[0])
        least = ">= 0" if allows_zero else "> 0"
        raise ValueError(f"alphas[{index}] == {found[index]}, must be finite and {least}.")
    return found


class Predicted(RegressorMixin, BaseEstimator):
    """What a scorer gets in place of a model where the predictions are known: X holds them."""

    def predict(self, X):
        """The predictions."""
        return X


class PredictedClasses(ClassifierMixin, BaseEstimator):
    """The same of a classifier `model`: X holds the margins."""

    def __init__(self, model):
        self.model = model
        self.classes_ = model.classes_

    def decision_function(self, X):
        """The margins."""
        return X[:, 0] if X.shape[1] == 1 else X

    def predict(self, X):
        """The labels."""
        return self.model._label(X)


class KnownMargins:
    """Margins of one X that are known already, for models that scorers are given."""

    known_margins = None, None

    def _margins(self, X):
        rows, margins = self.known_margins
        return margins if rows is X else super()._margins(X)


class RidgeSearch:
    """The choice of a penalty among `alphas` for a model, and its refit.

    `data` are checked rows whose targets have a column per output; `given` are the user's X and y.
    `score_params` are the scorer's arguments of all rows, `split_params` the splitter's.
    """

    def __init__(self, model, data, outputs, alphas, given, score_params, split_params):
        self.model, self.outputs, self.alphas, self.given = model, outputs, alphas, given
        self.score_params, self.split_params = score_params, split_params
        self.data = data = replace(data, X=distinct_columns(data.X))
        self.weights = data.weights
        self.problem = problem_of(model, data, outputs)
        self.products = self.row_gram = None
        self.targets = data.y.reshape(data.X.shape[0], -1)

    def run(self, fit_callbacks):
        """Choose, and train the model on all rows."""
        model = self.model
        with one_blas_thread():
            if model.cv is None:
                self._leave_one_out()
            else:
                self._cross_validate()
            metric = self.products and self.products.metric
            others = {"metric": metric, "row_gram": self.row_gram, "fit_callbacks": fit_callbacks}
            LinearFit(model, self.data, self.outputs, False, **others).run()
        return model

    def _l2(self, rows):
        """The penalties beside mean losses of these rows."""
        total = len(rows) if self.weights is None else self.weights[rows].sum()
        with np.errstate(over="ignore"):
            return np.minimum(self.alphas / total, np.finfo(float).max)

    # ---- leave one out ----

    def _leave_one_out(self):
        model, problem, alphas = self.model, self.problem, self.alphas
        n, p = self.data.X.shape
        if n < 2:
            raise ValueError(
                f"Found array with {n} sample(s) (shape={self.data.X.shape}) while a minimum of 2 "
                "is required by leave-one-out cross-validation."
            )
        if len(problem.visits) > NEARLY_SQUARE * p:
            self.products = products_of(problem)
            if self.products is None:
                raise ValueError(BEYOND)
        loo = LeaveOneOut(problem, self.products, self._l2(problem.visits))
        self.row_gram = loo.row_gram
        shape = n, len(alphas), self.outputs
        needs_all = model.scoring is not None or model.store_cv_results
        kept, total = np.empty(shape) if needs_all else None, np.zeros(shape[1:])
        with np.errstate(all="ignore"):
            for own, left in loo.blocks(problem.threads):
                weights = 1.0 if self.weights is None else self.weights[own][:, None, None]
                squares = weights * left * left
                total += squares.sum(axis=0)
                if needs_all:
                    of_errors = model.scoring is None
                    kept[own] = squares if of_errors else self.targets[own][:, None, :] - left
        if not np.isfinite(total).any():
            raise ValueError(BEYOND)
        is_flat = not is_classifier(model) and model._one_target
        per_target = model.alpha_per_target and not is_flat
        if model.scoring is None:
            scores = -total / n if per_target else -total.sum(axis=1) / (n * self.outputs)
        else:
            scores = self._loo_scores(kept, per_target)
        self._choose(scores)
        if model.store_cv_results:
            kept = np.swapaxes(kept, 1, 2).astype(self.data.X.dtype, copy=False)
            model.cv_results_ = np.ascontiguousarray(kept[:, 0] if is_flat else kept)

    def _loo_scores(self, predictions, per_target):
        """The scores of each penalty, and target, of predictions (n, penalties, outputs)."""
        model, y = self.model, self.data.labels
        score, params = model._get_scorer(), self.score_params
        judge = PredictedClasses(model) if is_classifier(model) else Predicted()
        if per_target:
            return np.array(
                [
                    [score(judge, one[:, k], y[:, k], **params) for k in range(self.outputs)]
                    for one in np.moveaxis(predictions, 1, 0)
                ]
            )
        is_flat = not is_classifier(model) and model._one_target
        return np.array(
            [
                score(judge, np.ascontiguousarray(one[:, 0] if is_flat else one), y, **params)
                for one in np.moveaxis(predictions, 1, 0)
            ]
        )

    def _choose(self, scores):
        """Store the first of the best penalties, of each target if there are scores of each."""
        best = scores[0].copy() if scores.ndim > 1 else scores[0]
        chosen = np.zeros(scores.shape[1:], int)
        for number, score in enumerate(scores):  # a score that is NaN is no improvement
            better = score > best
            best, chosen = np.where(better, score, best), np.where(better, number, chosen)
        model, alpha = self.model, self.alphas[chosen]
        model.alpha_ = alpha if np.size(alpha) > 1 else float(np.ravel(alpha)[0])
        model.best_score_ = best if np.ndim(best) else np.float64(best)

    # ---- folds ----

    def _cross_validate(self):
        model, (X, y) = self.model, self.given
        for name in ("store_cv_results", "alpha_per_target"):
            if getattr(model, name):
                raise ValueError(f"cv!=None and {name}=True are incompatible")
        X, y = indexable(X, y)
        cv = check_cv(model.cv, y, classifier=is_classifier(model))
        folds = [
            tuple(row_numbers(rows, self.data.X.shape[0]) for rows in fold)
            for fold in cv.split(X, y, **self.split_params)
        ]
        if not folds:
            raise ValueError(
                "No fits were performed. Was the CV iterator empty? Were there no candidates?"
            )
        rows = self._training_rows(folds)
        solve = self._solver(rows)
        scores = np.empty((len(folds), len(self.alphas)))
        for number, (train, test) in enumerate(folds):
            classes, columns = self._classes(train)
            result = solve(number, rows[number], test, columns)
            scores[number] = self._fold_scores(result, test, classes, X, y)
        means = np.average(scores, axis=0)
        if not np.isfinite(means).all():
            warn(f"One or more of the test scores are non-finite: {means}", UserWarning)
        comparable = means
        if not np.isnan(means).all():
            comparable = np.nan_to_num(means, nan=np.nanmin(means) - 1)
        best = 0 if np.isnan(means).all() else int(comparable.argmax())
        model.alpha_, model.best_score_ = float(self.alphas[best]), np.float64(means[best])

    def _training_rows(self, folds):
        """The rows of each fold that have a weight."""
        counts = np.zeros(self.data.X.shape[0], bool)
        counts[self.problem.visits] = True
        rows = [train[counts[train]] for train, _ in folds]
        for number, (own, (_, test)) in enumerate(zip(rows, folds, strict=True)):
            if not len(own):
                raise ValueError(
                    "Sample weights must contain at least one non-zero number: all rows that fold "
                    f"{number} of cv trains on have weight 0."
                )
            if not len(test):
                raise ValueError(f"Found array with 0 sample(s): fold {number} of cv tests no row.")
        return rows

    def _solver(self, rows):
        """The function that trains on a fold for all penalties."""
        problem = self.problem
        n, p = problem.rows.shape
        fits, small = len(rows) * len(self.alphas), min(n, p)
        work = len(rows) * float(small) ** 3 + (n * float(p) ** 2 if p < n else float(n) ** 3)
        is_long = problem.rows.sparse and (
            work > MAX_WORK_PER_NUMBER * float(problem.rows.stored) * fits
        )
        if small > MAX_SIZE or is_long:
            return self._by_fits
        if n <= p:
            self._of_rows = RowProducts(problem)
            return self._by_rows
        self._of_columns = FoldProducts(problem, rows)
        self.products = self._of_columns.of_all()
        return self._by_columns

    def _classes(self, train):
        """(classes that a fold trains on, outputs that tell them apart); None for regression and
        for several labels.
        """
        if not is_classifier(self.model) or self.model._has_many_labels:
            return None, np.arange(self.outputs)
        classes = self.model.classes_
        present = np.unique(np.searchsorted(classes, self.data.labels[train]))
        if len(present) == len(classes):
            return classes, np.arange(self.outputs)
        # One output for two classes, as if there were no others.
        return classes[present], present if len(present) > 2 else present[1:]

    def _by_columns(self, number, rows, test, columns):
        """A `FoldResult` from the products of the columns."""
        products = self._of_columns.of_fold(number)
        if products is None:
            return self._by_fits(number, rows, test, columns)
        b = products.XY.T[columns]
        W = solve_all(products.XX, b, self._l2(rows), products.scale)
        offset = products.mean_y[columns] - W @ products.mean_x
        result = FoldResult(self, rows, columns, W, offset)
        result.complete()
        margins = np.empty((len(test), *W.shape[:2]))
        done, path = 0, PathMargins(self.data.X, products.mean_x, products.mean_y[columns], W)
        for own, block in path.blocks(test):
            margins[done : done + len(own)] = block
            done += len(own)
        result.margins = margins
        result.replace_margins(test)
        return result

    def _by_rows(self, number, rows, test, columns):
        """The same from the products of the rows."""
        gram = self._of_rows.of(rows, test)
        if gram is None:
            return self._by_fits(number, rows, test, columns)
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
        result.replace_margins(test)
        return result

    def _by_fits(self, number, rows, test, columns):
        """The same from a fit for each penalty."""
        shape = len(self.alphas), len(columns)
        W = np.full((*shape, self.data.X.shape[1]), np.nan)
        result = FoldResult(self, rows, columns, W, np.full(shape, np.nan))
        result.margins = np.empty((len(test), *shape))
        result.complete()
        result.replace_margins(test)
        return result

    def fitted(self, rows, columns, alpha):
        """(coef, intercept) of a fit on some rows."""
        model = copy(self.model)
        vars(model).pop("feature_names_in_", None)
        model.alpha_, model._one_target, model.warm_start = alpha, False, False
        weights = None if self.weights is None else self.weights[rows]
        X, y = self.data.X[rows], np.ascontiguousarray(self.targets[rows][:, columns])
        LinearFit(model, Samples(X, y, y.ravel(), weights), len(columns), False).run()
        coef = np.atleast_2d(model.coef_).astype(float)
        return coef, np.zeros(len(columns)) + model.intercept_

    def _fold_scores(self, result, test, classes, X, y):
        """The scores of all penalties."""
        model, params = self.model, _check_method_params(X, self.score_params, test)
        margins, weights = result.margins, params.get("sample_weight")
        is_plain = set(params) <= {"sample_weight"} and (weights is None or weights.sum() > 0)
        if is_classifier(model):
            if is_plain and classes is not None and model.scoring in (None, "accuracy"):
                return accuracies(margins, classes, self.data.labels[test], weights)
        elif is_plain and model.scoring in OF_SQUARES and len(test) > 1:
            margins = margins.astype(self.data.X.dtype, copy=False)
            return scores_of_squares(margins, self.targets[test], model.scoring, weights)
        X_test, y_test = _safe_indexing(X, test), _safe_indexing(y, test)
        score = model._get_scorer()
        return [
            _score(judge, X_test, y_test, score, params, error_score=np.nan)
            for judge in self._judges(result, classes, X_test)
        ]

    def _judges(self, result, classes, X_test):
        """Yields the trained model of each penalty."""
        dtype = self.data.X.dtype
        for number, alpha in enumerate(self.alphas):
            judge = copy(self.model)
            # A fold's model has its own penalty.
            judge.alpha_ = judge.alpha = float(alpha)
            coef, intercept = (part.astype(dtype) for part in result.model(number))
            if classes is not None:
                judge.classes_ = classes
                if len(classes) == 1:  # it predicts its only class
                    coef, intercept = np.zeros((1, coef.shape[1]), dtype), np.full(1, -1.0, dtype)
            judge._store(coef, intercept)
            if classes is None or len(classes) > 1:
                margins = np.ascontiguousarray(result.margins[:, number], dtype=dtype)
                judge.known_margins = X_test, margins
            yield judge


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

    def complete(self):
        """Train apart where the products are too close to singular."""
        for number in np.flatnonzero(~self.known):
            self._fit(number)
            self.W[number], self.offset[number] = self.fits[number]

    def _fit(self, number):
        if number not in self.fits:
            alpha = float(self.search.alphas[number])
            self.fits[number] = self.search.fitted(self.rows, self.columns, alpha)

    def replace_margins(self, test):
        """The margins of the models that have been trained apart."""
        X = self.search.data.X[test]
        for number in np.flatnonzero(~self.known):
            self._fit(number)
            coef, intercept = self.fits[number]
            self.margins[:, number] = np.asarray(X @ coef.T) + intercept

    def model(self, number):
        """(coef, intercept) of a penalty."""
        if number in self.fits:
            return self.fits[number]
        if self.W is None:
            self._combine()
        return self.W[number], self.offset[number]

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


def accuracies(margins, classes, labels, sample_weight=None):
    """The accuracy of each penalty of margins (rows, penalties, outputs)."""
    if len(classes) == 1:
        return np.full(margins.shape[1], np.average(labels == classes[0], weights=sample_weight))
    if margins.shape[2] == 1:
        found = (margins[..., 0] > 0).astype(int)
    else:
        found = margins.argmax(axis=2)
    return np.average(classes[found] == labels[:, None], axis=0, weights=sample_weight)


def scores_of_squares(margins, y, name, sample_weight=None):
    """scikit-learn's score of this name for each penalty of margins (rows, penalties, targets)."""
    left = y[:, None, :] - margins
    squares = left * left
    mean = np.average(squares, axis=0, weights=sample_weight)
    if name == "neg_mean_squared_error":
        return -mean.mean(axis=1)
    if name == "neg_root_mean_squared_error":
        return -np.sqrt(mean).mean(axis=1)
    center = np.average(y, axis=0, weights=sample_weight)
    spread = np.average((y - center) ** 2, axis=0, weights=sample_weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(spread > 0, 1 - mean / spread, np.where(mean > 0, 0.0, 1.0))
    return scores.mean(axis=1)


def coefficient_path(model, data, outputs, alphas):
    """coef (penalties, outputs, p) of all penalties."""
    search = RidgeSearch(model, data, outputs, alphas, (data.X, data.labels), {}, {})
    problem, rows = search.problem, search.problem.visits
    columns, l2 = np.arange(outputs), search._l2(rows)
    with one_blas_thread():
        solve = search._solver([rows])
        if solve == search._by_columns:
            products = search.products
            if products is not None:
                W = solve_all(products.XX, products.XY.T, l2, products.scale)
                W = refined(problem, products, W, l2)
                result = FoldResult(search, rows, columns, W, np.zeros(W.shape[:2]))
                result.complete()
                return result.W
            solve = search._by_fits
        result = solve(0, rows, rows, columns)
        return np.array([result.model(number)[0] for number in range(len(alphas))])


def alphas_of_path(model, data, outputs, alphas, eps):
    """The penalties of a path in descending order, from the user's or from their number."""
    if isinstance(alphas, Integral) and not isinstance(alphas, bool):
        check_scalar(alphas, "alphas", Integral, min_val=1)
        check_scalar(eps, "eps", Real, min_val=0, max_val=1, include_boundaries="neither")
        largest = 10 * _largest_eigenvalue(problem_of(model, data, outputs), data.weights)
        return np.geomspace(largest, largest * eps, alphas) if alphas > 1 else np.array([largest])
    return np.sort(checked_alphas(alphas, True))[::-1].copy()


@np.errstate(over="ignore", invalid="ignore")
def _largest_eigenvalue(problem, weights):
    """That of the weighted X'X, by the power method, to a few digits; 1 if X does not vary.

    SciPy's norm does not square numbers that are too large or too small for it.
    """
    visits, X = problem.visits, problem.training_X
    shares, p = problem.row_shares, problem.rows.shape[1]
    total = len(visits) if weights is None else weights[visits].sum()
    center = np.asarray(shares @ X, float) if problem.objective.intercept else np.zeros(p)
    vector, value = np.random.default_rng(0).standard_normal(p), 0.0
    for _ in range(POWER_STEPS):
        norm = linalg.norm(vector, check_finite=False)
        if not norm > 0:
            return 1.0
        vector, value = vector / norm, norm
        margins = shares * (np.asarray(X @ vector) - center @ vector)
        vector = np.asarray(margins @ X) - margins.sum() * center
    value = linalg.norm(vector, check_finite=False)
    return float(value * total) if np.isfinite(value) and value > 0 else 1.0
