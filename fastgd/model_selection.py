"""Choosing a model: paths of penalties and their cross-validation, trained together."""

from __future__ import annotations

from dataclasses import KW_ONLY, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from sklearn import linear_model, model_selection
from sklearn.metrics import get_scorer_names
from sklearn.utils import metadata_routing
from sklearn.utils._param_validation import Hidden, StrOptions

from fastgd.estimators import types
from fastgd.estimators.chunked_data import SELECTION_OF_CHUNKS, check_in_memory
from fastgd.estimators.grid_search import Search, plan_of
from fastgd.estimators.logistic_cv import CrossValidation
from fastgd.estimators.logistic_path import (
    Rows,
    check_Cs,
    fit_paths,
    warn_separable,
    warn_unconverged,
)
from fastgd.estimators.parameters import checked, parameters
from fastgd.linear import Deprecated, LogisticRegression, LogisticSolver

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike

    from fastgd.problem.array_types import Array, Matrix

Warn = Annotated[str, Hidden(StrOptions({"warn"}))]
Scoring = Annotated[str, StrOptions(set(get_scorer_names()))] | types.Callable | None


def logistic_path(
    X: Matrix,
    y: Matrix,
    *,
    Cs: int | ArrayLike = 10,
    l1_ratio: float = 0.0,
    fit_intercept: bool = True,
    class_weight: Literal["balanced"] | dict[Any, float] | None = None,
    sample_weight: ArrayLike | None = None,
    tol: float = 1e-4,
    max_iter: int = 1000,
    n_jobs: int | None = None,
    return_intercept: bool = False,
) -> tuple[Array, ...]:
    """Logistic regressions with several penalties, trained together.

    Penalties without an L1 part on two classes are columns of one problem, which share the passes
    over X; others are trained from the strongest penalty to the weakest, each from the solution of
    the one before.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows.

    y : array-like of shape (n_samples,)
        Labels of at least two classes.

    Cs : int or array-like of shape (n_Cs,), default=10
        Inverse strengths of the penalty, in (0, inf], in any order; an int: that number of them,
        from 1e-4 to 1e4.

    l1_ratio : float, default=0.0
        Share of L1 in the penalty, in [0, 1].

    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.

    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, >= 0.

    tol : float, default=1e-4
        Each training stops when its objective F is within `tol` of its minimum F*, relative to the
        best constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``.

    max_iter : int, default=1000
        Maximum number of passes over X of each training.

    n_jobs : int, default=None
        Number of threads, at most. None: all that OpenMP allows; -1: all processors. It does not
        change the result.

    return_intercept : bool, default=False
        Whether to return the intercepts too.

    Returns
    -------
    Cs : ndarray of shape (n_Cs,)
        The inverse strengths.

    coefs : ndarray of shape (n_features, n_Cs) or (n_classes, n_features, n_Cs)
        The coefficients; the second shape for more than two classes.

    n_iters : ndarray of shape (n_Cs,)
        Numbers of passes over X.

    intercepts : ndarray of shape (n_Cs,) or (n_classes, n_Cs)
        The intercepts, with ``return_intercept=True``.

    See Also
    --------
    LogisticRegression : One penalty.
    LogisticRegressionCV : The penalty chosen by cross-validation.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastgd import logistic_path
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> Cs, coefs, n_iters = logistic_path(X, y, Cs=[0.01, 1, 100])
    >>> coefs.shape
    (30, 3)
    """
    Cs = check_Cs(Cs)
    options = {"l1_ratio": l1_ratio, "fit_intercept": fit_intercept, "tol": tol, "n_jobs": n_jobs}
    model = LogisticRegression(class_weight=class_weight, max_iter=max_iter, **options)
    rows = _checked_rows(model, X, y, sample_weight)
    (path,) = fit_paths(model, rows, Cs, l1_ratio)
    warn_unconverged([path.optimality], tol, max_iter)
    warn_separable(path.reason)
    coefs, intercepts = np.moveaxis(path.coef, 0, -1), path.intercept.T
    if rows.outputs == 1:
        coefs, intercepts = coefs[0], intercepts[0]
    return (Cs, coefs, path.n_iter, *([intercepts] if return_intercept else []))


@checked
def _checked_rows(model, X, y, sample_weight):
    """The checked rows of a model with valid parameters."""
    return Rows.of(model, X, y, sample_weight)


class _ChosenPenalty:
    """The attributes of a fitted LogisticRegressionCV. With `use_legacy_attributes` some of them
    have other shapes, or are dicts.
    """

    Cs_: Array
    l1_ratios_: Array
    C_: Any
    l1_ratio_: Any
    scores_: Any
    coefs_paths_: Any
    n_iter_: Any


@parameters
class LogisticRegressionCV(_ChosenPenalty, LogisticRegression):
    """Logistic regression whose penalty is chosen by cross-validation.

    The objective is that of `LogisticRegression`. For every `C` in `Cs`, and every share of L1 in
    `l1_ratios`, a model is trained on each fold. The penalty with the highest mean score is chosen.
    Without an L1 part, the models of two classes are columns of one problem: a pass over X serves
    all folds and penalties, and the model of all rows is one of them.

    Parameters
    ----------
    Cs : int or list of floats, default=10
        Inverse strengths of the penalty, in (0, inf]; an int: that number of them, from 1e-4 to
        1e4.

    l1_ratios : array-like of shape (n_l1_ratios,), default=None
        Shares of L1 in the penalty, in [0, 1]. None, the default, is deprecated, as in
        scikit-learn 1.8: use ``(0,)``.

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    cv : int, splitter or iterable, default=None
        The folds, as in scikit-learn: None or a number of stratified folds, a splitter, or an
        iterable (a generator too) of pairs of training and test indices.

    dual : bool, default=False
        No effect: the primal and the dual problem have the same solution.

    penalty : {'l1', 'l2', 'elasticnet'}, default='l2'
        Deprecated, as in scikit-learn 1.8. Use `l1_ratios`.

    scoring : str or callable, default=None
        The score of a model on the test rows of a fold: one of scikit-learn's names, or
        ``scorer(estimator, X, y)``. None: the accuracy; scikit-learn 1.11 will change that to
        'neg_log_loss'.

    solver : str, default='lbfgs'
        No effect: all solvers have the same minimum (in scikit-learn, 'liblinear' penalises the
        intercept). scikit-learn's names are allowed.

    tol : float, default=1e-4
        Each training stops when its objective F is within `tol` of its minimum F*, relative to the
        best constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``.

    max_iter : int, default=1000
        Maximum number of passes over X of each training. In scikit-learn, iterations (100), which
        are several passes for some solvers.

    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`. 'balanced': inversely proportional
        to the total weights of the classes in y, the same for all folds.

    n_jobs : int, default=None
        Number of threads, at most. None: all that OpenMP allows; -1: all processors. It does not
        change the result.

    verbose : int, default=0
        No effect: there is no single training to report.

    refit : bool, default=True
        Whether to train the chosen model on all rows. False: the coefficients, and the penalties,
        are the means of those with the best score on each fold.

    intercept_scaling : float, default=1.0
        No effect: in scikit-learn it weakens the penalty of the intercept, which has none here.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random.

    use_legacy_attributes : bool, default=True
        Whether `C_`, `l1_ratio_`, `coefs_paths_`, `scores_` and `n_iter_` have the shapes of
        scikit-learn before 1.10 (in brackets below).

    batch_size : {'auto', 'full'}, default='auto'
        'auto' uses the fastest solver, which may store matrices of n_features^2 numbers; 'full'
        uses only passes over X, of one model at a time.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) for two classes, else (n_classes, n_features)
        Weights of the chosen model.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts of the chosen model.

    classes_ : ndarray of shape (n_classes,)
        The labels.

    C_ : float
        The chosen `C` (an array that repeats it for each class, or once for two).

    l1_ratio_ : float
        The chosen share of L1 (an array that repeats it).

    Cs_ : ndarray of shape (n_Cs,)
        All `C`.

    l1_ratios_ : ndarray of shape (n_l1_ratios,)
        All shares of L1; ``[None]`` if `l1_ratios` is None.

    scores_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        The scores (a dict of arrays of shape (n_folds, n_Cs), or (n_folds, n_Cs, n_l1_ratios) with
        `l1_ratios`, by class).

    coefs_paths_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs, n_classes, n_features + 1)
        The coefficients of each fold, the intercept last if there is one; `n_classes` is 1 for two
        classes (a dict of arrays by class).

    n_iter_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        Numbers of passes over X (with a first axis of length 1, and the last two exchanged).

    converged_ : bool
        Whether the chosen model is within `tol` of its minimum; without `refit`, whether those of
        all folds are.

    optimality_ : float
        Estimate, or with an L1 penalty upper bound, of ``(F - F*) / (F0 - F*)`` of the chosen
        model; None without `refit`.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' (an estimate) or a 'duality gap' (a bound).

    stop_reason_ : str
        Why the training of the chosen model stopped; only with `refit`.

    solver_ : str
        The method that has trained the chosen model; only with `refit`.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    See Also
    --------
    LogisticRegression : One penalty.
    logistic_path : All penalties, without cross-validation.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastgd import LogisticRegressionCV
    >>> X, y = load_iris(return_X_y=True)
    >>> options = {"l1_ratios": (0,), "use_legacy_attributes": False}
    >>> model = LogisticRegressionCV(cv=5, scoring="neg_log_loss", **options).fit(X, y)
    >>> model.scores_.shape, round(model.score(X, y), 2)
    ((5, 1, 10), -0.04)
    """

    __metadata_request__score = {"sample_weight": metadata_routing.UNUSED}

    _: KW_ONLY
    C: float = field(init=False)
    l1_ratio: float | None = field(init=False)
    warm_start: bool = field(init=False)
    max_seconds: float | None = field(init=False)
    Cs: types.AtLeast1 | types.ArrayLike = 10
    l1_ratios: types.ArrayLike | None | Warn = "warn"
    fit_intercept: bool = True
    cv: Annotated[object, "cv_object"] = None
    dual: bool = False
    penalty: Literal["l1", "l2", "elasticnet"] | Deprecated = "deprecated"
    scoring: Scoring | Warn = "warn"
    solver: LogisticSolver = "lbfgs"
    tol: types.NonNegative = 1e-4
    max_iter: types.AtLeast1 = 1000
    class_weight: Literal["balanced"] | dict[Any, float] | None = None
    n_jobs: int | None = None
    verbose: types.Verbosity = 0
    refit: bool = True
    intercept_scaling: types.Positive = 1.0
    random_state: types.Seed = None
    use_legacy_attributes: bool | Warn = "warn"
    batch_size: Literal["auto", "full"] = "auto"

    # what scikit-learn's class does with a scorer
    score = linear_model.LogisticRegressionCV.score
    get_metadata_routing = linear_model.LogisticRegressionCV.get_metadata_routing
    _get_scorer = linear_model.LogisticRegressionCV._get_scorer

    @checked
    def fit(
        self, X: Matrix, y: Matrix, sample_weight: ArrayLike | None = None, **params: Any
    ) -> Self:
        """Train on each fold with each penalty, choose the penalty, and train on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,)
            Labels of at least two classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. Rows of weight 0 are ignored.
        **params : dict
            Parameters of the splitter and of the scorer, such as `groups`, by metadata routing.

        Returns
        -------
        self
        """
        names = "fit_intercept", "tol", "max_iter", "n_jobs", "batch_size"
        prototype = LogisticRegression(**{name: getattr(self, name) for name in names})
        return CrossValidation(self, prototype).run(X, y, sample_weight, params)


class GridSearchCV(model_selection.GridSearchCV):
    """scikit-learn's grid search, which trains penalties of a linear model together.

    Candidates that differ in the penalty (`C`, `alpha`, `l1_ratio`, `class_weight`) of a linear
    model of fastgd are trained together on each fold:

    - those of `LogisticRegression` as columns of one problem, where there are two classes and no L1
      part;
    - those of `Ridge` from the products of the columns, or of the rows, as in `RidgeCV`: one pass
      over X serves all folds, one factorisation a fold all penalties;
    - those of `Lasso` and `ElasticNet` along a path for each `l1_ratio`, as in `LassoCV`, from the
      products of the columns where there are few;
    - others from the strongest penalty to the weakest, each from the solution of the one before:
      `LinearSVC`, `LinearSVR`, ``batch_size="full"``, several targets with an L1 penalty, alphas
      of 0 and, where products are not the faster way, more than 256 nonzero weights.

    The model may also be the last step of a pipeline whose other steps the grid leaves alone; these
    are then fitted once a fold. Everything else goes scikit-learn's way: other estimators, a search
    or a model with callbacks, ``verbose=2``, models that are invalid or that fail, and folds that
    lack a class.

    Scores are those of separate fits within their `tol`, and `cv_results_` has the same keys. Its
    fit and score times are shares of the time that all candidates took. Accuracy, 'neg_log_loss',
    R^2 and (root) mean squared errors are computed for all candidates together. Training together,
    `n_jobs` is the number of threads of a model that does not say it itself.

    Parameters, attributes and methods are those of `sklearn.model_selection.GridSearchCV`.

    See Also
    --------
    LogisticRegressionCV : The same for one model, whose scores know all classes.
    RidgeCV, LassoCV, ElasticNetCV : The same for least squares.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastgd import GridSearchCV, LogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> search = GridSearchCV(LogisticRegression(), {"C": [0.01, 1, 100]}, scoring="neg_log_loss")
    >>> search.fit(X, y).best_params_
    {'C': 100}
    """

    # The signature, in scikit-learn's words.
    if not TYPE_CHECKING:
        __init__ = model_selection.GridSearchCV.__init__

    def fit(self, X: Matrix, y: Matrix | None = None, **params: Any) -> Self:
        """Train all candidates on all folds, and the best one on all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets, or labels.
        **params : dict
            Parameters of the estimator's `fit`, the scorer and the splitter.

        Returns
        -------
        self
        """
        check_in_memory(self, X, SELECTION_OF_CHUNKS)
        self._validate_params()
        plan = plan_of(self, X, params)
        if plan is None:
            return super().fit(X, y, **params)
        return Search(self, plan, X, y, params).run()

    def score(self, X: Matrix, y: Matrix | None = None, **params: Any) -> float:
        """The score of the best model, by `scoring` or the model's own.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets, or labels.
        **params : dict
            Parameters of the scorer.

        Returns
        -------
        score : float
        """
        return super().score(X, y, **params)

    def to_sklearn(self) -> model_selection.GridSearchCV:
        """scikit-learn's fitted search with the same results and predictions.

        Twins take the place of all models of fastgd in it: `estimator`, `best_estimator_`, steps of
        pipelines, models inside of other estimators or in the grid. The grid keeps its names and
        values, so that another fit of the twin fails if scikit-learn's model does not know them.
        Without `scoring`, `score` is that of the twin of `best_estimator_`.

        Returns
        -------
        twin : sklearn.model_selection.GridSearchCV
            A fitted search, which needs no fastgd. Its arrays are copies; functions are shared.

        Raises
        ------
        NotFittedError
            The search has not been fitted.
        TypeError, ValueError
            ``refit=False`` keeps no model, or scikit-learn has none like it.

        See Also
        --------
        fastgd.from_sklearn : The way back, of the model.
        """
        # Slow to import, and rarely needed.
        from fastgd.estimators import twins

        return twins.search_to_sklearn(self)
