"""The penalty of ridge regression by cross-validation: all folds and penalties from sums that one
pass over X brings.
"""

from copy import copy
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
from fastgd.estimators.folds import row_numbers
from fastgd.estimators.linear_fit import LinearFit
from fastgd.estimators.margin_scores import scores_of_margins
from fastgd.estimators.ridge_folds import RidgeFolds, problem_of
from fastgd.methods.leave_one_out import LeaveOneOut
from fastgd.problem.products import products_of
from fastgd.training.blas import one_blas_thread

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


class RidgeSearch(RidgeFolds):
    """The choice of a penalty among `alphas` for a model, and its refit.

    `given` are the user's X and y, `score_params` the scorer's arguments of all rows,
    `split_params` the splitter's.
    """

    row_gram = None

    def __init__(self, model, data, outputs, alphas, given, score_params, split_params):
        super().__init__(model, data, outputs, alphas)
        self.given, self.score_params, self.split_params = given, score_params, split_params

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
        rows = self.training_rows([train for train, _ in folds])
        for number, (_, test) in enumerate(folds):
            if not len(test):
                raise ValueError(f"Found array with 0 sample(s): fold {number} of cv tests no row.")
        solve = self.solver(rows) or self.by_fits
        scores = np.empty((len(folds), len(self.alphas)))
        for number, (train, test) in enumerate(folds):
            classes, columns = self._classes(train)
            result = solve(number, rows[number], test, columns)
            result.complete(test)
            scores[number] = self._fold_scores(result, test, classes, X, y)
        means = np.average(scores, axis=0)
        if not np.isfinite(means).all():
            warn(f"One or more of the test scores are non-finite: {means}", UserWarning)
        comparable = means
        if not np.isnan(means).all():
            comparable = np.nan_to_num(means, nan=np.nanmin(means) - 1)
        best = 0 if np.isnan(means).all() else int(comparable.argmax())
        model.alpha_, model.best_score_ = float(self.alphas[best]), np.float64(means[best])

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

    @np.errstate(over="ignore", invalid="ignore")  # scores that are not finite give a warning
    def _fold_scores(self, result, test, classes, X, y):
        """The scores of all penalties."""
        model, params = self.model, _check_method_params(X, self.score_params, test)
        if set(params) <= {"sample_weight"} and (classes is not None or not is_classifier(model)):
            judge, labels = model, self.targets[test]
            if classes is not None:
                judge, labels = copy(model), self.data.labels[test]
                judge.classes_ = classes
            margins = result.margins.astype(self.data.X.dtype, copy=False)
            scores = scores_of_margins(model.scoring, judge, margins, labels, **params)
            if scores is not None:
                return scores
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
                judge._known_margins = X_test, margins
            yield judge


def alphas_of_path(model, data, outputs, alphas, eps):
    """The penalties of a path in descending order, from the user's or from their number."""
    if isinstance(alphas, Integral) and not isinstance(alphas, bool):
        check_scalar(alphas, "alphas", Integral, min_val=1)
        check_scalar(eps, "eps", Real, min_val=0, max_val=1, include_boundaries="neither")
        floats = np.finfo(float)
        largest = 10 * _largest_eigenvalue(problem_of(model, data, outputs), data.weights)
        largest = min(max(largest, floats.tiny), floats.max / 2)
        least = max(largest * eps, floats.tiny)
        return np.geomspace(largest, least, alphas) if alphas > 1 else np.array([largest])
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
