"""Ridge regression whose penalty is chosen by cross-validation, and as a classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import StrOptions

from fastgd.estimators import types
from fastgd.estimators.parameters import parameters, trains
from fastgd.estimators.ridge_classifier import SignClassifier
from fastgd.estimators.ridge_folds import coefficient_path
from fastgd.estimators.ridge_search import alphas_of_path
from fastgd.estimators.ridge_selection import SelectsAlpha
from fastgd.linear import Automatic, RidgeSolver, _Penalised, _penalty_of_squares
from fastgd.problem.problem import Samples

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike

    from fastgd.problem.array_types import Array, Matrix, Rows

Scoring = Annotated[str, StrOptions(set(get_scorer_names()))] | Callable[..., Any] | None
Folds = Annotated[object, "cv_object"]


class _SignClassifier(Automatic, SignClassifier):
    """sum_i s_i |y_i - x_i W - b|^2 / (2 sum_i s_i) + (l2 / 2) |W|^2, with y_ik = +1 for the class
    k of row i and -1 for the others.
    """

    loss = "squared_error"

    def _store(self, coef, intercept):
        super()._store(coef[0] if len(coef) == 1 else coef, intercept)


@parameters
class RidgeClassifier(_SignClassifier):
    """Ridge regression of +1 for the class of a row and -1 for the others.

    Minimises ``sum_i s_i |y_i - x_i W - b|^2 + alpha |W|^2`` over W and b, with a column of y for
    each class, or one column for two classes. It predicts the class of the largest margin. y may
    hold several labels, in columns of 0 and 1.

    Parameters
    ----------
    alpha : float or array-like of shape (n_outputs,), default=1.0
        Strength of the penalty, in [0, inf). An array has one for each column of y.

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    copy_X : bool, default=True
        No effect: X is never changed, and rarely copied.

    max_iter : int, default=None
        Maximum number of passes over X; None: 1000. In scikit-learn, iterations of the solver.

    tol : float, default=1e-4
        Training stops when the objective F is within `tol` of its minimum F*, relative to the best
        constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn, it is the
        precision of the iterative solvers.

    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`. 'balanced': inversely proportional
        to the numbers of rows of the classes in y.

    solver : str, default='auto'
        No effect: all solvers have the same minimum. scikit-learn's names are allowed.

    positive : bool, default=False
        Whether all weights must be >= 0.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of a value that was given to
        the constructor.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' uses the fastest solver, which may store a matrix of n_features^2 numbers; 'full'
        uses only passes over X.

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    max_seconds : float, default=None
        Time limit in seconds, after which no pass begins. None: no limit.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) for two classes, else (n_classes, n_features)
        Weights W; float32 if X is.

    intercept_ : ndarray of shape (1,) or (n_classes,), or float
        Intercept b; 0.0 if `fit_intercept` is False.

    classes_ : ndarray of shape (n_classes,)
        The labels.

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float
        Estimate of ``(F - F*) / (F0 - F*)``, where F* is the minimum and F0 the objective of the
        best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' (an estimate).

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' (rounding errors prevent further
        progress before `tol` is reached) or 'interrupted' (Ctrl-C).

    solver_ : str
        The method that has trained the model, such as 'cholesky' or 'newton-cg'.

    n_iter_ : int
        Number of passes over X.

    history_ : dict of lists
        One entry per pass: ``loss``, the objective (repeated by passes that only improve the
        direction); ``gradient_norm``, for columns of standard deviation 1; ``learning_rate``, the
        last step size, 1 for a Newton step; ``seconds`` since the start of the fit; with validation
        rows ``validation_loss`` and ``validation_score``. `pandas.DataFrame` accepts it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    References
    ----------
    Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd edition (2009),
    section 4.2: linear regression of an indicator matrix.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastgd import RidgeClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = RidgeClassifier().fit(X, y)
    >>> round(model.score(X, y), 2), model.stop_reason_
    (0.96, 'tol')
    """

    alpha: types.NonNegative | types.ArrayLike = 1.0
    _: KW_ONLY
    fit_intercept: bool = True
    copy_X: bool = True
    max_iter: types.AtLeast1 | None = None
    tol: types.NonNegative = 1e-4
    class_weight: Literal["balanced"] | dict[Any, float] | None = None
    solver: RidgeSolver = "auto"
    positive: bool = False
    random_state: types.Seed = None
    batch_size: Literal["auto", "full"] = "auto"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None

    def _penalty(self, outputs, total):
        return _penalty_of_squares(self.alpha, outputs, total, type(self).__name__)


class _ChosenAlpha(SelectsAlpha):
    """A model with the penalty `alpha_`."""

    def _penalty(self, outputs, total):
        return _penalty_of_squares(self.alpha_, outputs, total, type(self).__name__)


@parameters
class RidgeCV(_ChosenAlpha, _Penalised):
    """Ridge regression whose penalty is chosen by cross-validation.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 + alpha |w|^2`` over w and b, with the alpha of the
    best score. X is read once for all folds and penalties, where products of its columns, or of its
    rows, solve the problem.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,) or float, default=(0.1, 1.0, 10.0)
        Strengths of the penalty to choose from, > 0; with `cv` also 0. Of equal scores the first
        one wins.

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    scoring : str, callable or None, default=None
        A name of scikit-learn's scorers, or a function (estimator, X, y) whose result is better the
        larger it is. None: R^2, or with ``cv=None`` the negative mean squared error.

    cv : int, splitter, iterable of (train, test) or None, default=None
        The folds, as scikit-learn's `check_cv` takes them; None: leave one out, in closed form.

    gcv_mode : {'auto', 'svd', 'eigen'}, default=None
        No effect: an option of scikit-learn's solver.

    store_cv_results : bool, default=False
        Whether to keep `cv_results_`; only with ``cv=None``.

    alpha_per_target : bool, default=False
        Whether each target has a penalty of its own; only with ``cv=None``.

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    Attributes
    ----------
    alpha_ : float or ndarray of shape (n_targets,)
        The chosen penalty, with `alpha_per_target` of each target.

    best_score_ : float or ndarray of shape (n_targets,)
        Its score: with folds the mean of their scores.

    cv_results_ : ndarray of shape (n_samples, n_alphas) or (n_samples, n_targets, n_alphas)
        With `store_cv_results`: the squared errors, times the weights, that each row has in the
        model without it; with `scoring` the predictions instead.

    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Weights w; float32 if X is.

    intercept_ : float or ndarray of shape (n_targets,)
        Intercept b; 0.0 if `fit_intercept` is False.

    converged_ : bool
        Whether the fit of all rows has found its minimum.

    optimality_ : float
        Estimate of ``(F - F*) / (F0 - F*)`` of that fit, where F* is the minimum and F0 the
        objective of the best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' (an estimate) or a 'duality gap' (a bound).

    stop_reason_ : str
        Why that fit stopped: 'tol', 'max_iter', 'callback', 'rounding' (rounding errors prevent
        further progress) or 'interrupted' (Ctrl-C).

    solver_ : str
        The method of that fit, such as 'cholesky'.

    n_iter_ : int
        Number of passes over X of that fit.

    history_ : dict of lists
        One entry per pass of that fit, as of `Ridge`.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    References
    ----------
    Rifkin and Lippert, "Notes on regularized least squares", MIT-CSAIL-TR-2007-025 (2007):
    leave-one-out errors in closed form.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import RidgeCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = RidgeCV(alphas=[1e-3, 1e-2, 1e-1, 1], cv=5).fit(X, y)
    >>> model.alpha_, round(model.score(X, y), 3)
    (0.001, 0.518)
    """

    alphas: types.ArrayLike | types.Positive = (0.1, 1.0, 10.0)
    _: KW_ONLY
    fit_intercept: bool = True
    scoring: Scoring = None
    cv: Folds = None
    gcv_mode: Literal["auto", "svd", "eigen"] | None = None
    store_cv_results: bool = False
    alpha_per_target: bool = False
    n_jobs: int | None = None

    @trains
    def fit(
        self,
        X: Rows,
        y: Matrix | None = None,
        sample_weight: ArrayLike | None = None,
        **params: Any,
    ) -> Self:
        """Choose the penalty, and train on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0, in the fits and, if the scorer takes weights, in the scores.
        **params : dict
            With metadata routing: arguments of the splitter, such as ``groups``, and of the scorer.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An argument is invalid. An earlier fit is kept.
        """
        return self._select(X, y, sample_weight, params)


@parameters
class RidgeClassifierCV(_ChosenAlpha, _SignClassifier):
    """Ridge classification whose penalty is chosen by cross-validation.

    As `RidgeClassifier`, with the alpha of the best score. X is read once for all folds and
    penalties, where products of its columns, or of its rows, solve the problem.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,) or float, default=(0.1, 1.0, 10.0)
        Strengths of the penalty to choose from, > 0; with `cv` also 0. Of equal scores the first
        one wins.

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    scoring : str, callable or None, default=None
        A name of scikit-learn's scorers, or a function (estimator, X, y) whose result is better the
        larger it is. None: the accuracy, or with ``cv=None`` the negative mean squared error.

    cv : int, splitter, iterable of (train, test) or None, default=None
        The folds, as scikit-learn's `check_cv` takes them; None: leave one out, in closed form.

    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`. 'balanced': inversely proportional
        to the numbers of rows of the classes in y.

    store_cv_results : bool, default=False
        Whether to keep `cv_results_`; only with ``cv=None``.

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    Attributes
    ----------
    alpha_ : float
        The chosen penalty.

    best_score_ : float
        Its score: with folds the mean of their scores.

    cv_results_ : ndarray of shape (n_samples, n_outputs, n_alphas)
        With `store_cv_results`: the squared errors, times the weights, that each row has in the
        model without it; with `scoring` the margins instead.

    coef_ : ndarray of shape (n_features,) for two classes, else (n_classes, n_features)
        Weights W; float32 if X is.

    intercept_ : ndarray of shape (1,) or (n_classes,), or float
        Intercept b; 0.0 if `fit_intercept` is False.

    classes_ : ndarray of shape (n_classes,)
        The labels.

    converged_ : bool
        Whether the fit of all rows has found its minimum.

    optimality_ : float
        Estimate of ``(F - F*) / (F0 - F*)`` of that fit, where F* is the minimum and F0 the
        objective of the best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' (an estimate) or a 'duality gap' (a bound).

    stop_reason_ : str
        Why that fit stopped: 'tol', 'max_iter', 'callback', 'rounding' (rounding errors prevent
        further progress) or 'interrupted' (Ctrl-C).

    solver_ : str
        The method of that fit, such as 'cholesky'.

    n_iter_ : int
        Number of passes over X of that fit.

    history_ : dict of lists
        One entry per pass of that fit, as of `Ridge`.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    References
    ----------
    Rifkin and Lippert, "Notes on regularized least squares", MIT-CSAIL-TR-2007-025 (2007):
    leave-one-out errors in closed form.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastgd import RidgeClassifierCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = RidgeClassifierCV(alphas=[1e-3, 1e-2, 1e-1, 1]).fit(X, y)
    >>> model.alpha_, round(model.score(X, y), 2)
    (0.01, 0.96)
    """

    alphas: types.ArrayLike | types.Positive = (0.1, 1.0, 10.0)
    _: KW_ONLY
    fit_intercept: bool = True
    scoring: Scoring = None
    cv: Folds = None
    class_weight: Literal["balanced"] | dict[Any, float] | None = None
    store_cv_results: bool = False
    n_jobs: int | None = None

    alpha_per_target = False

    @trains
    def fit(
        self,
        X: Rows,
        y: Matrix | None = None,
        sample_weight: ArrayLike | None = None,
        **params: Any,
    ) -> Self:
        """Choose the penalty, and train on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels, or columns of 0 and 1.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0, in the fits and, if the scorer takes weights, in the scores.
        **params : dict
            With metadata routing: arguments of the splitter, such as ``groups``, and of the scorer.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An argument is invalid. An earlier fit is kept.
        """
        return self._select(X, y, sample_weight, params)

    def _checked(self, X, y, sample_weight):
        """(`Samples`, number of outputs)"""
        X, y, signs, weights = self._signs(X, y, sample_weight)
        return Samples(X, y, signs.ravel(), weights), signs.shape[1]


def ridge_path(
    X: Matrix,
    y: Matrix,
    *,
    alphas: int | ArrayLike = 100,
    eps: float = 1e-7,
    fit_intercept: bool = True,
    sample_weight: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> tuple[Array, Array]:
    """The coefficients of ridge regression for many penalties.

    Each minimises ``sum_i s_i (y_i - x_i w - b)^2 + alpha |w|^2`` over w and b. One factorisation
    serves all penalties.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    alphas : int or array-like of shape (n_alphas,), default=100
        The penalties, >= 0, or their number. A number n makes n of them in a geometric sequence;
        the largest one is ten times the largest eigenvalue of the (centred) X'X, so that no
        coefficient is more than an eleventh of that of least squares in any direction.
    eps : float, default=1e-7
        The smallest penalty of such a sequence, relative to the largest one.
    fit_intercept : bool, default=True
        Whether there is an intercept b, which is never penalised.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, >= 0.
    n_jobs : int, default=None
        Number of threads, at most. None: all that OpenMP allows; -1: all processors. It does not
        change the result.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        The penalties in descending order.
    coefs : ndarray of shape (n_features, n_alphas) or (n_targets, n_features, n_alphas)
        The coefficients of each penalty; float32 if X is.

    Raises
    ------
    ValueError
        An argument is invalid.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import Ridge, ridge_path
    >>> X, y = load_diabetes(return_X_y=True)
    >>> alphas, coefs = ridge_path(X, y, alphas=[0.1, 1.0, 10.0])
    >>> alphas, coefs.shape
    (array([10. ,  1. ,  0.1]), (10, 3))
    >>> bool(abs(coefs[:, 1] - Ridge(alpha=1.0).fit(X, y).coef_).max() < 1e-6)
    True
    """
    model = RidgeCV(fit_intercept=fit_intercept, n_jobs=n_jobs)
    model._validate_params()
    data, outputs = model._checked(X, y, sample_weight)
    alphas = alphas_of_path(model, data, outputs, alphas, eps)
    coefs = np.moveaxis(coefficient_path(model, data, outputs, alphas), 0, -1)
    coefs = coefs.astype(data.X.dtype, copy=False)
    return alphas, np.ascontiguousarray(coefs[0] if model._one_target else coefs)
