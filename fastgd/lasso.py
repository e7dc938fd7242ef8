"""The lasso and the elastic net along a path of penalties: the path itself, and models that choose
the penalty by cross-validation.
"""

from __future__ import annotations

import time
from dataclasses import KW_ONLY
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import sparse
from sklearn.utils._param_validation import Hidden, Interval, StrOptions
from sklearn.utils._sparse import _align_api_if_sparse

from fastgd.estimators import types
from fastgd.estimators.parameters import parameters, trains, validate_arguments
from fastgd.estimators.penalty_selection import PenaltySelection
from fastgd.estimators.regularization_path import checked_data, compute_path, grid_of, report

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike
    from scipy.sparse import sparray, spmatrix

    from fastgd.problem.array_types import Matrix

# The constraints of the functions' parameters.
_OF_PATHS = {
    "X": ["array-like", "sparse matrix"],
    "y": ["array-like"],
    "l1_ratio": [Interval(Real, 0.0, 1.0, closed="both")],
    "eps": [Interval(Real, 0.0, None, closed="neither")],
    "n_alphas": [Interval(Integral, 1, None, closed="left"), Hidden(StrOptions({"deprecated"}))],
    "alphas": [
        Interval(Integral, 1, None, closed="left"),
        "array-like",
        None,
        Hidden(StrOptions({"warn"})),
    ],
    "precompute": [StrOptions({"auto"}), "boolean", "array-like"],
    "Xy": ["array-like", None],
    "copy_X": ["boolean"],
    "coef_init": ["array-like", None],
    "verbose": ["verbose"],
    "return_n_iter": ["boolean"],
    "positive": ["boolean"],
    "check_input": ["boolean"],
}
_OF_LASSO = {name: _OF_PATHS[name] for name in _OF_PATHS if name not in ("l1_ratio", "check_input")}


@validate_arguments(_OF_PATHS)
def enet_path(
    X: Matrix,
    y: ArrayLike,
    *,
    l1_ratio: float = 0.5,
    eps: float = 1e-3,
    n_alphas: int | str = "deprecated",
    alphas: int | ArrayLike | None = "warn",
    precompute: Literal["auto"] | bool | ArrayLike = "auto",
    Xy: ArrayLike | None = None,
    copy_X: bool = True,
    coef_init: ArrayLike | None = None,
    verbose: bool | int = False,
    return_n_iter: bool = False,
    positive: bool = False,
    check_input: bool = True,
    **params: Any,
) -> tuple[Any, ...]:
    """Compute the elastic net for a path of penalties, without an intercept.

    Minimises ``|y - X w|^2 / (2 n_samples) + alpha l1_ratio |w|_1 + alpha (1 - l1_ratio) |w|^2 /
    2`` over w for each alpha. Of several targets, the weights of a column share a penalty: its L1
    part is the sum of the columns' norms.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    l1_ratio : float, default=0.5
        Share of L1, in [0, 1].
    eps : float, default=1e-3
        The smallest strength relative to the largest one, if `alphas` is a number.
    n_alphas : int, default='deprecated'
        The number of strengths; deprecated in scikit-learn 1.9, use `alphas`.
    alphas : int or array-like, default=100
        The strengths of the penalty, >= 0, or their number: then the largest one is the smallest
        without nonzero weights.
    precompute : 'auto', bool or array-like of shape (n_features, n_features), default='auto'
        Whether the path of one target is computed from the products X'X of the columns, or these
        products themselves.
    Xy : array-like of shape (n_features,), default=None
        X'y, used if `precompute` is a matrix.
    copy_X : bool, default=True
        No effect: X is never changed.
    coef_init : array-like of shape (n_features,) or (n_targets, n_features), default=None
        The weights from which descent begins; None: 0.
    verbose : bool or int, default=False
        Whether to print the number of sweeps and the time.
    return_n_iter : bool, default=False
        Whether to return the number of sweeps.
    positive : bool, default=False
        Whether all weights must be >= 0; for one target.
    check_input : bool, default=True
        Whether to check X and y.
    **params : dict
        `tol` (default 1e-4) and `max_iter` (1000): each point has a duality gap of at most `tol`
        times the mean square of y, unless it takes more than `max_iter` sweeps over the columns.
        `sample_weight`: weights of the rows; the sum of their losses is divided by `n_samples`.
        `X_offset` and `X_scale`: the first divided by the second is what is subtracted from each
        column of sparse X. `selection`, `random_state` and `do_screening` have no effect.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        The strengths, from the largest to the smallest.
    coefs : ndarray of shape (n_features, n_alphas) or (n_targets, n_features, n_alphas)
        The weights at each of them; float32 if X is.
    dual_gaps : ndarray of shape (n_alphas,)
        The duality gaps: upper bounds of the differences between the objectives and their minima.
    n_iters : list of int
        The number of sweeps over the columns for each strength, if `return_n_iter`.

    See Also
    --------
    ElasticNetCV : Chooses the penalty by cross-validation.
    CoefficientPathDisplay.from_path : Draws a path.

    References
    ----------
    Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear models via
    coordinate descent", Journal of Statistical Software 33 (2010).

    Tibshirani, Bien, Friedman, Hastie, Simon, Taylor and Tibshirani, "Strong rules for discarding
    predictors in lasso-type problems", Journal of the Royal Statistical Society B 74 (2012).

    Fercoq, Gramfort and Salmon, "Mind the duality gap: safer rules for the lasso", ICML 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import enet_path
    >>> X, y = load_diabetes(return_X_y=True)
    >>> alphas, coefs, gaps = enet_path(X, y - y.mean(), l1_ratio=0.8, alphas=5)
    >>> coefs.shape, (coefs != 0).sum(axis=0)
    ((10, 5), array([ 0,  9,  9, 10, 10]))
    """
    begin, alphas = time.perf_counter(), grid_of(alphas, n_alphas)
    if check_input:
        X, y = checked_data(X, y)
    options = (precompute, Xy, coef_init, positive, params)
    alphas, weights, gaps, sweeps = compute_path(X, y, l1_ratio, eps, alphas, *options)
    report(verbose, len(alphas), sweeps, begin)
    coefs = weights.transpose(2, 1, 0) if y.ndim > 1 else weights[:, :, 0].T
    coefs = np.ascontiguousarray(coefs, dtype=X.dtype)
    return (alphas, coefs, gaps, sweeps.tolist()) if return_n_iter else (alphas, coefs, gaps)


@validate_arguments(_OF_LASSO)
def lasso_path(
    X: Matrix,
    y: ArrayLike,
    *,
    eps: float = 1e-3,
    n_alphas: int | str = "deprecated",
    alphas: int | ArrayLike | None = "warn",
    precompute: Literal["auto"] | bool | ArrayLike = "auto",
    Xy: ArrayLike | None = None,
    copy_X: bool = True,
    coef_init: ArrayLike | None = None,
    verbose: bool | int = False,
    return_n_iter: bool = False,
    positive: bool = False,
    **params: Any,
) -> tuple[Any, ...]:
    """Compute the lasso for a path of penalties, without an intercept.

    Minimises ``|y - X w|^2 / (2 n_samples) + alpha |w|_1`` over w for each alpha. Of several
    targets, the weights of a column share a penalty: ``|w|_1`` is the sum of the columns' norms.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    eps : float, default=1e-3
        The smallest strength relative to the largest one, if `alphas` is a number.
    n_alphas : int, default='deprecated'
        The number of strengths; deprecated in scikit-learn 1.9, use `alphas`.
    alphas : int or array-like, default=100
        The strengths of the penalty, >= 0, or their number: then the largest one is the smallest
        without nonzero weights.
    precompute : 'auto', bool or array-like of shape (n_features, n_features), default='auto'
        Whether the path of one target is computed from the products X'X of the columns, or these
        products themselves.
    Xy : array-like of shape (n_features,), default=None
        X'y, used if `precompute` is a matrix.
    copy_X : bool, default=True
        No effect: X is never changed.
    coef_init : array-like of shape (n_features,) or (n_targets, n_features), default=None
        The weights from which descent begins; None: 0.
    verbose : bool or int, default=False
        Whether to print the number of sweeps and the time.
    return_n_iter : bool, default=False
        Whether to return the number of sweeps.
    positive : bool, default=False
        Whether all weights must be >= 0; for one target.
    **params : dict
        `tol` (default 1e-4) and `max_iter` (1000): each point has a duality gap of at most `tol`
        times the mean square of y, unless it takes more than `max_iter` sweeps over the columns.
        `sample_weight`: weights of the rows; the sum of their losses is divided by `n_samples`.
        `X_offset` and `X_scale`: the first divided by the second is what is subtracted from each
        column of sparse X. `selection`, `random_state` and `do_screening` have no effect.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        The strengths, from the largest to the smallest.
    coefs : ndarray of shape (n_features, n_alphas) or (n_targets, n_features, n_alphas)
        The weights at each of them; float32 if X is.
    dual_gaps : ndarray of shape (n_alphas,)
        The duality gaps: upper bounds of the differences between the objectives and their minima.
    n_iters : list of int
        The number of sweeps over the columns for each strength, if `return_n_iter`.

    See Also
    --------
    LassoCV : Chooses the penalty by cross-validation.
    CoefficientPathDisplay.from_path : Draws a path.

    References
    ----------
    Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear models via
    coordinate descent", Journal of Statistical Software 33 (2010).

    Tibshirani, Bien, Friedman, Hastie, Simon, Taylor and Tibshirani, "Strong rules for discarding
    predictors in lasso-type problems", Journal of the Royal Statistical Society B 74 (2012).

    Fercoq, Gramfort and Salmon, "Mind the duality gap: safer rules for the lasso", ICML 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import lasso_path
    >>> X, y = load_diabetes(return_X_y=True)
    >>> alphas, coefs, gaps = lasso_path(X, y - y.mean(), alphas=5)
    >>> coefs.shape, (coefs != 0).sum(axis=0)
    ((10, 5), array([ 0,  4,  7,  9, 10]))
    """
    return enet_path(
        X,
        y,
        l1_ratio=1.0,
        eps=eps,
        n_alphas=n_alphas,
        alphas=alphas,
        precompute=precompute,
        Xy=Xy,
        copy_X=copy_X,
        coef_init=coef_init,
        verbose=verbose,
        return_n_iter=return_n_iter,
        positive=positive,
        **params,
    )


class _CrossValidated(PenaltySelection):
    """A model that chooses its penalty in `fit`."""

    @trains
    def fit(
        self, X: Matrix, y: ArrayLike, sample_weight: ArrayLike | None = None, **params: Any
    ) -> Self:
        """Choose the penalty by cross-validation, and train with it on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied,
            except for the rows of a fold whose columns are too many for their products.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0, in training and in the mean squared error of each fold. The
            mean over the folds is unweighted.
        **params : dict
            What the splitter `cv` takes, such as groups, with scikit-learn's metadata routing.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An argument is invalid. An earlier fit is kept.
        KeyboardInterrupt
            Ctrl-C. An earlier fit is kept, unless the fit on all rows has begun: then the model of
            its last complete pass is stored.
        """
        return self._select(X, y, sample_weight, params)

    @property
    def sparse_coef_(self) -> spmatrix | sparray:
        """`coef_` as a sparse matrix with one row."""
        return _align_api_if_sparse(sparse.csr_array(np.atleast_2d(self.coef_)))


@parameters
class LassoCV(_CrossValidated):
    """Lasso whose penalty is chosen by cross-validation.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha |w|_1`` over w and b, with the
    alpha of the least mean squared error on the rows that are left out.

    Parameters
    ----------
    eps : float, default=1e-3
        The smallest strength relative to the largest one, if `alphas` is a number.

    alphas : int or array-like, default=100
        The strengths to choose from, >= 0, or their number: then the largest one is the smallest
        without nonzero weights.

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    precompute : 'auto', bool or array-like of shape (n_features, n_features), default='auto'
        Whether paths are computed from the products X'X of the columns, whatever the shape of dense
        X. It changes the time, not the solution. A matrix is checked, and not used: that of each
        fold is needed.

    max_iter : int, default=1000
        Maximum number of sweeps over the columns for each strength, and of passes over X of the fit
        on all rows.

    tol : float, default=1e-4
        Each point of a path has a duality gap of at most `tol` times the mean square of y, less its
        mean if there is an intercept. For the fit on all rows as of `Lasso`.

    copy_X : bool, default=True
        No effect: X is never changed, and rarely copied.

    cv : int, splitter or iterable, default=None
        The folds: their number (None: 5), a splitter of scikit-learn, or pairs of arrays of row
        numbers, to train on and to test on.

    verbose : bool or int, default=False
        If positive, `fit` shows a progress bar of the fit on all rows, as of `Lasso`.

    n_jobs : int, default=None
        Number of threads, at most; folds are computed in parallel. None: all that OpenMP allows;
        -1: all processors. It does not change the result.

    positive : bool, default=False
        Whether all weights must be >= 0.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of a value that was given to
        the constructor.

    selection : {'cyclic', 'random'}, default='cyclic'
        No effect: an option of scikit-learn's solver.

    Attributes
    ----------
    alpha_ : float
        The chosen strength.

    coef_ : ndarray of shape (n_features,)
        Weights w of the model of all rows; float32 if X is.

    intercept_ : float
        Intercept b; 0.0 if `fit_intercept` is False.

    mse_path_ : ndarray of shape (n_alphas, n_folds)
        Mean squared error of each fold at each strength.

    alphas_ : ndarray of shape (n_alphas,)
        The strengths, from the largest to the smallest.

    dual_gap_ : float
        scikit-learn's duality gap of the model of all rows: an upper bound of the difference
        between its objective and the minimum.

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float
        Upper bound of ``(F - F*) / (F0 - F*)`` of the model of all rows, where F* is the minimum
        and F0 the objective of the best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'duality gap' (a bound), or a 'Newton decrement' with alpha=0.

    stop_reason_ : str
        Of the fit on all rows: 'tol', 'max_iter', 'callback', 'rounding' (rounding errors prevent
        further progress before `tol` is reached) or 'interrupted' (Ctrl-C).

    solver_ : str
        The method that has trained the model of all rows, such as 'coordinate-descent'.

    n_iter_ : int
        Number of passes over X of the fit on all rows.

    history_ : dict of lists
        One entry per pass of the fit on all rows, as of `Lasso`.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    See Also
    --------
    lasso_path : The path without cross-validation.
    CoefficientPathDisplay.from_estimator : Draws paths beside the errors of the folds.

    References
    ----------
    Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear models via
    coordinate descent", Journal of Statistical Software 33 (2010).

    Tibshirani, Bien, Friedman, Hastie, Simon, Taylor and Tibshirani, "Strong rules for discarding
    predictors in lasso-type problems", Journal of the Royal Statistical Society B 74 (2012).

    Fercoq, Gramfort and Salmon, "Mind the duality gap: safer rules for the lasso", ICML 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import LassoCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LassoCV(cv=5).fit(X, y)
    >>> round(model.alpha_, 4), model.mse_path_.shape
    (0.0038, (100, 5))
    """

    _: KW_ONLY
    eps: types.Positive = 1e-3
    alphas: types.AtLeast1 | types.ArrayLike = 100
    fit_intercept: bool = True
    precompute: Literal["auto"] | types.ArrayLike | bool = "auto"
    max_iter: types.AtLeast1 = 1000
    tol: types.NonNegative = 1e-4
    copy_X: bool = True
    cv: types.Splitter = None
    verbose: types.Verbosity = False
    n_jobs: int | None = None
    positive: bool = False
    random_state: types.Seed = None
    selection: Literal["cyclic", "random"] = "cyclic"

    path = staticmethod(lasso_path)


@parameters
class ElasticNetCV(_CrossValidated):
    """Elastic net whose penalties are chosen by cross-validation.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha l1_ratio |w|_1 + alpha (1 -
    l1_ratio) |w|^2 / 2`` over w and b, with the alpha and l1_ratio of the least mean squared error
    on the rows that are left out.

    Parameters
    ----------
    l1_ratio : float or array-like, default=0.5
        Share of L1, in [0, 1], or several to choose from. 0 needs an array of `alphas`.

    eps : float, default=1e-3
        The smallest strength relative to the largest one, if `alphas` is a number.

    alphas : int or array-like, default=100
        The strengths to choose from, >= 0, or their number: then the largest one is the smallest
        without nonzero weights.

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    precompute : 'auto', bool or array-like of shape (n_features, n_features), default='auto'
        Whether paths are computed from the products X'X of the columns, whatever the shape of dense
        X. It changes the time, not the solution. A matrix is checked, and not used: that of each
        fold is needed.

    max_iter : int, default=1000
        Maximum number of sweeps over the columns for each strength, and of passes over X of the fit
        on all rows.

    tol : float, default=1e-4
        Each point of a path has a duality gap of at most `tol` times the mean square of y, less its
        mean if there is an intercept. For the fit on all rows as of `ElasticNet`.

    cv : int, splitter or iterable, default=None
        The folds: their number (None: 5), a splitter of scikit-learn, or pairs of arrays of row
        numbers, to train on and to test on.

    copy_X : bool, default=True
        No effect: X is never changed, and rarely copied.

    verbose : bool or int, default=0
        If positive, `fit` shows a progress bar of the fit on all rows, as of `ElasticNet`.

    n_jobs : int, default=None
        Number of threads, at most; folds are computed in parallel. None: all that OpenMP allows;
        -1: all processors. It does not change the result.

    positive : bool, default=False
        Whether all weights must be >= 0.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of a value that was given to
        the constructor.

    selection : {'cyclic', 'random'}, default='cyclic'
        No effect: an option of scikit-learn's solver.

    Attributes
    ----------
    alpha_ : float
        The chosen strength.

    l1_ratio_ : float
        The chosen share of L1.

    coef_ : ndarray of shape (n_features,)
        Weights w of the model of all rows; float32 if X is.

    intercept_ : float
        Intercept b; 0.0 if `fit_intercept` is False.

    mse_path_ : ndarray of shape (n_l1_ratios, n_alphas, n_folds)
        Mean squared error of each fold at each strength.

    alphas_ : ndarray of shape (n_alphas,) or (n_l1_ratios, n_alphas)
        The strengths, from the largest to the smallest.

    dual_gap_ : float
        scikit-learn's duality gap of the model of all rows: an upper bound of the difference
        between its objective and the minimum.

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float
        Upper bound of ``(F - F*) / (F0 - F*)`` of the model of all rows, where F* is the minimum
        and F0 the objective of the best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'duality gap' (a bound) or, without L1, a 'Newton
        decrement' (an estimate).

    stop_reason_ : str
        Of the fit on all rows: 'tol', 'max_iter', 'callback', 'rounding' (rounding errors prevent
        further progress before `tol` is reached) or 'interrupted' (Ctrl-C).

    solver_ : str
        The method that has trained the model of all rows, such as 'coordinate-descent'.

    n_iter_ : int
        Number of passes over X of the fit on all rows.

    history_ : dict of lists
        One entry per pass of the fit on all rows, as of `ElasticNet`.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    See Also
    --------
    enet_path : The path without cross-validation.
    CoefficientPathDisplay.from_estimator : Draws paths beside the errors of the folds.

    References
    ----------
    Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear models via
    coordinate descent", Journal of Statistical Software 33 (2010).

    Tibshirani, Bien, Friedman, Hastie, Simon, Taylor and Tibshirani, "Strong rules for discarding
    predictors in lasso-type problems", Journal of the Royal Statistical Society B 74 (2012).

    Fercoq, Gramfort and Salmon, "Mind the duality gap: safer rules for the lasso", ICML 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import ElasticNetCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = ElasticNetCV(l1_ratio=[0.5, 0.9, 1.0], cv=5).fit(X, y)
    >>> round(model.alpha_, 4), model.l1_ratio_, model.mse_path_.shape
    (0.0038, 1.0, (3, 100, 5))
    """

    _: KW_ONLY
    l1_ratio: types.Ratio | types.ArrayLike = 0.5
    eps: types.Positive = 1e-3
    alphas: types.AtLeast1 | types.ArrayLike = 100
    fit_intercept: bool = True
    precompute: Literal["auto"] | types.ArrayLike | bool = "auto"
    max_iter: types.AtLeast1 = 1000
    tol: types.NonNegative = 1e-4
    cv: types.Splitter = None
    copy_X: bool = True
    verbose: types.Verbosity = 0
    n_jobs: int | None = None
    positive: bool = False
    random_state: types.Seed = None
    selection: Literal["cyclic", "random"] = "cyclic"

    path = staticmethod(enet_path)

    def _ratios(self):
        ratios = np.atleast_1d(np.asarray(self.l1_ratio, dtype=float))
        if not (len(ratios) and ((ratios >= 0) & (ratios <= 1)).all()):
            raise ValueError(
                "The 'l1_ratio' parameter of ElasticNetCV must hold numbers in the range [0, 1], "
                f"got {self.l1_ratio}"
            )
        return ratios

    def _keep_ratio(self, ratio):
        self.l1_ratio_: float = float(ratio)
