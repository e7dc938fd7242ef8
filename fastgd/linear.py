"""Linear models with scikit-learn's parameters and objectives: each names its loss and its penalty.

A fit chooses its solver (`batch_size="auto"`). The parameters by which users of scikit-learn choose
one (`solver`, `dual`, `selection`, `precompute`, `copy_X`, `random_state`) are validated and do not
change the result.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, field
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from scipy import sparse
from sklearn import linear_model
from sklearn.utils._param_validation import Hidden, Interval, StrOptions
from sklearn.utils._sparse import _align_api_if_sparse

from fastgd.estimators import types
from fastgd.estimators.diagnostics import warn
from fastgd.estimators.parameters import parameters, trains
from fastgd.estimators.supervised import Classifier, Regressor
from fastgd.problem.dual_gap import dual_gaps

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike
    from scipy.sparse import sparray, spmatrix

    from fastgd.problem.array_types import Matrix, Rows

# The names that scikit-learn's models allow.
RidgeSolver = Literal["auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga", "lbfgs"]
LogisticSolver = Literal["lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"]
Deprecated = Annotated[str, Hidden(StrOptions({"deprecated"}))]


def _penalty_of_mean(alpha, C, total, l1_ratio=0.0):
    """(l1, l2, e) of the penalty 2^e (l1 |w|_1 + (l2 / 2) |w|^2) of a mean loss, equivalent to a
    strength alpha / C for the sum of the losses, of total weight `total`.

    e is 0 unless the strength overflows or underflows.
    """
    if np.isinf(C) or not alpha:
        return 0.0, 0.0, 0
    strength, exponent = float(alpha) / float(C) / float(total), 0
    if not np.finfo(float).tiny <= strength < np.inf:
        (a, i), (c, j), (t, k) = map(np.frexp, (alpha, C, total))
        strength, exponent = float(a / c / t), int(i - j - k)
    return strength * l1_ratio, strength * (1 - l1_ratio), exponent


def _penalty_of_squares(strength, outputs, total, name):
    """The same for the strength of |w|^2 beside a sum of squares: one number, or one for each
    output; `name` is that of the estimator.
    """
    try:
        alpha = np.ravel(strength).astype(float)
    except (TypeError, ValueError):
        alpha = np.array([np.nan])
    if len(alpha) not in (1, outputs):
        raise ValueError(
            f"Number of targets and number of penalties do not correspond: {len(alpha)} != "
            f"{outputs}. The 'alpha' parameter of {name} is one number, or one for each target."
        )
    if not (np.isfinite(alpha) & (alpha >= 0)).all():
        raise ValueError(f"alpha must be finite and >= 0, got {strength}")
    if len(set(alpha)) == 1:
        return _penalty_of_mean(float(alpha[0]), 1.0, total)
    largest = np.finfo(float).max
    return 0.0, tuple(min(float(a) / total, largest) for a in alpha), 0


class Automatic:
    """A linear model whose fit chooses the solver, and draws nothing at random."""

    intercept_: Any  # as in `LinearModel`
    optimality_: float
    optimality_kind_: str

    draws_nothing = True

    @trains
    def fit(
        self,
        X: Rows,
        y: Matrix | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Rows | None = None,
        y_val: Matrix | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
            `Chunks` hold y and the weights too.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets; for classifiers, labels of shape (n_samples,), of at least two classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. Rows of weight 0 are ignored.
        X_val : {array-like, sparse matrix, Chunks}, shape (n_validation, n_features), default=None
            Validation rows. Their loss and score are added to `history_` after every pass.
        y_val : array-like of shape (n_validation,) or (n_validation, n_targets), default=None
            Targets or labels of the validation rows; labels must also be in `y`.
        sample_weight_val : array-like of shape (n_validation,), default=None
            Weights of the validation rows, >= 0.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An argument is invalid. An earlier fit is kept.
        KeyboardInterrupt
            Ctrl-C. The model of the last complete pass is stored.
        """
        return self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))

    def _store(self, coef, intercept):
        super()._store(coef, intercept)
        if not self.fit_intercept:
            self.intercept_ = 0.0


class _LeastSquares(Automatic, Regressor):
    """sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + l1 |w|_1 + (l2 / 2) |w|^2"""

    loss = "squared_error"

    def _store(self, coef, intercept):
        super()._store(coef, intercept)
        if self.fit_intercept and self._one_target:
            self.intercept_ = intercept[0]


@parameters
class LinearRegression(_LeastSquares):
    """Least squares.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2`` over w and b. Several targets share the passes over
    X. If columns are linearly dependent (as they must be with fewer rows than columns), many w
    reach the minimum. With ``batch_size="auto"`` this is the shortest one, as in scikit-learn, if X
    has at most 2000 columns, or at most 1500 rows and more columns than rows.

    Parameters
    ----------
    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    copy_X : bool, default=True
        No effect: X is never changed, and rarely copied.

    tol : float, default=1e-6
        Training stops when the objective F is within `tol` of its minimum F*, relative to the best
        constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn, it is the
        precision of the solver for sparse X.

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    positive : bool, default=False
        Whether all weights must be >= 0.

    max_iter : int, default=None
        Maximum number of passes over X; None: 1000. scikit-learn has no such parameter.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' uses the fastest solver, which may store a matrix of n_features^2 numbers; 'full'
        uses only passes over X.

    max_seconds : float, default=None
        Time limit in seconds, after which no pass begins. None: no limit.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Weights w; float32 if X is.

    intercept_ : float or ndarray of shape (n_targets,)
        Intercept b; 0.0 if `fit_intercept` is False.

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
    Nocedal and Wright, Numerical Optimization, 2nd edition (2006), chapter 5: conjugate gradients.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import LinearRegression
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LinearRegression().fit(X, y)
    >>> round(model.score(X, y), 3), model.converged_
    (0.518, True)
    """

    _: KW_ONLY
    fit_intercept: bool = True
    copy_X: bool = True
    tol: types.NonNegative = 1e-6
    n_jobs: int | None = None
    positive: bool = False
    max_iter: types.AtLeast1 | None = None
    batch_size: Literal["auto", "full"] = "auto"
    max_seconds: types.Positive | None = None

    def _penalty(self, outputs, total):
        return 0.0, 0.0, 0


# RANSACRegressor uses isinstance to recognise least squares, whose minimal number of rows it knows.
# A virtual subclass inherits nothing.
linear_model.LinearRegression.register(LinearRegression)


class _Penalised(_LeastSquares):
    """Least squares with a penalty, where `coef_` of y of shape (n, 1) is a vector."""

    def _store(self, coef, intercept):
        super()._store(coef, intercept)
        if len(coef) == 1:
            self.coef_ = coef[0]


@parameters
class Ridge(_Penalised):
    """Least squares with an L2 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 + alpha |w|^2`` over w and b. Several targets share
    the passes over X.

    Parameters
    ----------
    alpha : float or array-like of shape (n_targets,), default=1.0
        Strength of the penalty, in [0, inf). An array has one for each target.

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
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Weights w; float32 if X is.

    intercept_ : float or ndarray of shape (n_targets,)
        Intercept b; 0.0 if `fit_intercept` is False.

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
    Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal problems",
    Technometrics 12 (1970).

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import Ridge
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = Ridge(alpha=0.1).fit(X, y)
    >>> round(model.score(X, y), 3), model.stop_reason_
    (0.513, 'tol')
    """

    alpha: types.NonNegative | types.ArrayLike = 1.0
    _: KW_ONLY
    fit_intercept: bool = True
    copy_X: bool = True
    max_iter: types.AtLeast1 | None = None
    tol: types.NonNegative = 1e-4
    solver: RidgeSolver = "auto"
    positive: bool = False
    random_state: types.Seed = None
    batch_size: Literal["auto", "full"] = "auto"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None

    def _penalty(self, outputs, total):
        return _penalty_of_squares(self.alpha, outputs, total, type(self).__name__)


@parameters
class ElasticNet(_Penalised):
    """Least squares with L1 and L2 penalties.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha l1_ratio |w|_1 + alpha (1 -
    l1_ratio) |w|^2 / 2`` over w and b. Several targets are independent and share the passes over X.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, in [0, inf).

    l1_ratio : float, default=0.5
        Share of L1, in [0, 1]: 0 is ridge regression, 1 the lasso.

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    precompute : bool or array-like, default=False
        No effect: an option of scikit-learn's solver.

    max_iter : int, default=1000
        Maximum number of passes over X. In scikit-learn, passes over the columns, which cost as
        much.

    copy_X : bool, default=True
        No effect: X is never changed, and rarely copied.

    tol : float, default=1e-4
        Training stops when the objective F is within `tol` of its minimum F*, relative to the best
        constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn, it is a
        duality gap relative to ``|y|^2``.

    warm_start : bool, default=False
        Whether to start from the coefficients of the last fit. If nothing has changed since, except
        `max_iter`, `max_seconds`, `tol`, `verbose`, `n_jobs` and the callbacks, training continues
        as if that fit had not ended. It changes the number of passes, not the minimum.

    positive : bool, default=False
        Whether all weights must be >= 0.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of a value that was given to
        the constructor.

    selection : {'cyclic', 'random'}, default='cyclic'
        No effect: an option of scikit-learn's solver.

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
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Weights w; float32 if X is.

    intercept_ : float or ndarray of shape (n_targets,)
        Intercept b; 0.0 if `fit_intercept` is False.

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float
        Estimate, or with an L1 penalty upper bound, of ``(F - F*) / (F0 - F*)``, where F* is the
        minimum and F0 the objective of the best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' (an estimate) or a 'duality gap' (a bound).

    dual_gap_ : float or ndarray of shape (n_targets,)
        scikit-learn's duality gap: an upper bound of the difference between each target's objective
        and its minimum. (With alpha=0: the squared norm of X' times the residuals, divided by
        n_samples.)

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
    Zou and Hastie, "Regularization and variable selection via the elastic net", Journal of the
    Royal Statistical Society B 67 (2005).

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import ElasticNet
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = ElasticNet(alpha=0.001, l1_ratio=0.1).fit(X, y)
    >>> model.score(X, y) > 0.45
    True
    """

    penalty = "elasticnet"

    alpha: types.NonNegative = 1.0
    _: KW_ONLY
    l1_ratio: types.Ratio = 0.5
    fit_intercept: bool = True
    precompute: bool | types.ArrayLike = False
    max_iter: types.AtLeast1 | None = 1000
    copy_X: bool = True
    tol: types.NonNegative = 1e-4
    warm_start: bool = False
    positive: bool = False
    random_state: types.Seed = None
    selection: Literal["cyclic", "random"] = "cyclic"
    batch_size: Literal["auto", "full"] = "auto"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None

    @trains
    def fit(
        self,
        X: Rows,
        y: Matrix | None = None,
        sample_weight: ArrayLike | None = None,
        check_input: bool = True,
        *,
        X_val: Rows | None = None,
        y_val: Matrix | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
            `Chunks` hold y and the weights too.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. Rows of weight 0 are ignored.
        check_input : bool, default=True
            No effect: the input is always checked, which costs next to nothing.
        X_val : {array-like, sparse matrix, Chunks}, shape (n_validation, n_features), default=None
            Validation rows. Their loss and score are added to `history_` after every pass.
        y_val : array-like of shape (n_validation,) or (n_validation, n_targets), default=None
            Targets of the validation rows.
        sample_weight_val : array-like of shape (n_validation,), default=None
            Weights of the validation rows, >= 0.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An argument is invalid. An earlier fit is kept.
        KeyboardInterrupt
            Ctrl-C. The model of the last complete pass is stored.
        """
        return self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))

    @property
    def sparse_coef_(self) -> spmatrix | sparray:
        """`coef_` as a sparse matrix with a row per target."""
        return _align_api_if_sparse(sparse.csr_array(np.atleast_2d(self.coef_)))

    def _certify(self, problem, coef, intercept, method):
        gaps = method and method.gaps()
        if gaps is None:
            known = method and method.slopes_and_gradient()
            gaps = dual_gaps(problem, coef, intercept, known)
        self.dual_gap_: Any = gaps[0] if len(gaps) == 1 else gaps


@parameters
class Lasso(ElasticNet):
    """Least squares with an L1 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha |w|_1`` over w and b. Several
    targets are independent and share the passes over X.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, in [0, inf).

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    precompute : bool or array-like, default=False
        No effect: an option of scikit-learn's solver.

    copy_X : bool, default=True
        No effect: X is never changed, and rarely copied.

    max_iter : int, default=1000
        Maximum number of passes over X. In scikit-learn, passes over the columns, which cost as
        much.

    tol : float, default=1e-4
        Training stops when the objective F is within `tol` of its minimum F*, relative to the best
        constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn, it is a
        duality gap relative to ``|y|^2``.

    warm_start : bool, default=False
        Whether to start from the coefficients of the last fit. If nothing has changed since, except
        `max_iter`, `max_seconds`, `tol`, `verbose`, `n_jobs` and the callbacks, training continues
        as if that fit had not ended. It changes the number of passes, not the minimum.

    positive : bool, default=False
        Whether all weights must be >= 0.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of a value that was given to
        the constructor.

    selection : {'cyclic', 'random'}, default='cyclic'
        No effect: an option of scikit-learn's solver.

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
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Weights w; float32 if X is.

    intercept_ : float or ndarray of shape (n_targets,)
        Intercept b; 0.0 if `fit_intercept` is False.

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float
        Estimate, or with an L1 penalty upper bound, of ``(F - F*) / (F0 - F*)``, where F* is the
        minimum and F0 the objective of the best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' (an estimate) or a 'duality gap' (a bound).

    dual_gap_ : float or ndarray of shape (n_targets,)
        scikit-learn's duality gap: an upper bound of the difference between each target's objective
        and its minimum. (With alpha=0: the squared norm of X' times the residuals, divided by
        n_samples.)

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
    Tibshirani, "Regression shrinkage and selection via the lasso", Journal of the Royal Statistical
    Society B 58 (1996).

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import Lasso
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = Lasso(alpha=0.1).fit(X, y)
    >>> model.score(X, y) > 0.5
    True
    """

    alpha: types.NonNegative = 1.0
    _: KW_ONLY
    l1_ratio: float = field(default=1.0, init=False)
    fit_intercept: bool = True
    precompute: bool | types.ArrayLike = False
    copy_X: bool = True
    max_iter: types.AtLeast1 | None = 1000
    tol: types.NonNegative = 1e-4
    warm_start: bool = False
    positive: bool = False
    random_state: types.Seed = None
    selection: Literal["cyclic", "random"] = "cyclic"
    batch_size: Literal["auto", "full"] = "auto"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None


@parameters
class LogisticRegression(Automatic, Classifier):
    """Logistic regression; more than two classes jointly (softmax).

    Minimises ``C sum_i s_i L_i + l1_ratio |W|_1 + (1 - l1_ratio) |W|^2 / 2`` over W and b, where
    L_i is ``log(1 + exp(-y z))``, y = +-1, for two classes, and ``log sum_k exp(z_k) - z_y`` for
    more.

    Parameters
    ----------
    penalty : {'l1', 'l2', 'elasticnet', None}, default='l2'
        Deprecated, as in scikit-learn 1.8. Use `l1_ratio` (1, 0 or between), and ``C=np.inf`` for
        None.

    C : float, default=1.0
        Inverse strength of the penalty, in (0, inf]; ``np.inf``: no penalty.

    l1_ratio : float, default=0.0
        Share of L1 in the penalty, in [0, 1]. None is deprecated.

    dual : bool, default=False
        No effect: the primal and the dual problem have the same solution.

    tol : float, default=1e-4
        Training stops when the objective F is within `tol` of its minimum F*, relative to the best
        constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn, it is a
        bound of the gradient or of the steps, depending on the solver.

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    intercept_scaling : float, default=1
        No effect: in scikit-learn it weakens the penalty of the intercept, which has none here.

    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`. 'balanced': inversely proportional
        to the total weights of the classes in y.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of a value that was given to
        the constructor.

    solver : str, default='lbfgs'
        No effect: all solvers have the same minimum (in scikit-learn, 'liblinear' penalises the
        intercept). scikit-learn's names are allowed.

    max_iter : int, default=1000
        Maximum number of passes over X. In scikit-learn, iterations (100), which are several passes
        for some solvers.

    verbose : int, default=0
        If positive, `fit` shows a progress bar with loss, rate and remaining time, which needs rich
        (``pip install 'fastgd[progress]'``). Without a terminal, and inside other estimators, it
        prints one line at its end.

    warm_start : bool, default=False
        Whether to start from the coefficients of the last fit. If nothing has changed since, except
        `max_iter`, `max_seconds`, `tol`, `verbose`, `n_jobs` and the callbacks, training continues
        as if that fit had not ended. It changes the number of passes, not the minimum.

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' uses the fastest solver, which may store a matrix of n_features^2 numbers; 'full'
        uses only passes over X.

    max_seconds : float, default=None
        Time limit in seconds, after which no pass begins. None: no limit.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) for two classes, else (n_classes, n_features)
        Weights W; float32 if X is.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts b. Those of more than two classes, which are determined up to a constant, sum to
        zero.

    classes_ : ndarray of shape (n_classes,)
        The labels.

    converged_ : bool
        Whether `optimality_` is at most `tol` and there is a minimum.

    optimality_ : float
        Estimate, or with an L1 penalty upper bound, of ``(F - F*) / (F0 - F*)``, where F* is the
        minimum and F0 the objective of the best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' or 'half the duality gap' (estimates), or a
        'duality gap' (a bound).

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' (rounding errors prevent further
        progress before `tol` is reached), 'separable' (nothing is penalised, and the classes are
        separable or some columns separate some rows of a class from the others, so that there is no
        minimum; the warning names the columns) or 'interrupted' (Ctrl-C).

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
    Cox, "The regression analysis of binary sequences", Journal of the Royal Statistical Society B
    20 (1958). McCullagh and Nelder, Generalized Linear Models, 2nd edition (1989).

    Lin, Weng and Keerthi, "Trust region Newton method for large-scale logistic regression", Journal
    of Machine Learning Research 9 (2008): Newton's method with conjugate gradients.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastgd import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression().fit(X, y)
    >>> round(model.score(X, y), 2), model.predict_proba(X[:2]).shape
    (0.97, (2, 3))
    """

    loss = "softmax"

    penalty: Literal["l1", "l2", "elasticnet"] | None | Deprecated = "deprecated"
    _: KW_ONLY
    C: Annotated[float, Interval(Real, 0, None, closed="right")] = 1.0
    l1_ratio: types.Ratio | None = 0.0
    dual: bool = False
    tol: types.NonNegative = 1e-4
    fit_intercept: bool = True
    intercept_scaling: types.Positive = 1
    class_weight: Literal["balanced"] | dict[Any, float] | None = None
    random_state: types.Seed = None
    solver: LogisticSolver = "lbfgs"
    max_iter: types.AtLeast1 | None = 1000
    verbose: types.Verbosity = 0
    warm_start: bool = False
    n_jobs: int | None = None
    batch_size: Literal["auto", "full"] = "auto"
    max_seconds: types.Positive | None = None

    _store = Classifier._store  # without an intercept, `intercept_` is an array of zeros

    def _penalty(self, outputs, total):
        C = np.inf if self.penalty is None else self.C
        return _penalty_of_mean(1.0, C, total, self._l1_share())

    def _l1_share(self):
        """The share of L1 in the penalty; warns of deprecated parameters as scikit-learn does."""
        penalty, ratio = self.penalty, self.l1_ratio
        deprecated = "was deprecated in scikit-learn 1.8: use"
        unused = "l1_ratio parameter is only used when penalty is 'elasticnet'. Got"
        if penalty == "deprecated":
            if ratio is None:
                warn(f"'l1_ratio=None' {deprecated} 0<=l1_ratio<=1 instead.", FutureWarning)
            if np.isinf(self.C) and ratio not in (None, 0, 1):
                warn(f"{unused} (penalty=None): C=np.inf penalises nothing", UserWarning)
            return ratio or 0.0
        warn(
            f"'penalty' {deprecated} l1_ratio=0 instead of penalty='l2', l1_ratio=1 instead of "
            "penalty='l1', l1_ratio between them instead of penalty='elasticnet', and C=np.inf "
            "instead of penalty=None.",
            FutureWarning,
        )
        if penalty == "elasticnet":
            if ratio is None:
                raise ValueError("l1_ratio must be specified when penalty is elasticnet.")
            return ratio
        if penalty is None and self.C != 1.0:
            warn("Setting penalty=None will ignore the C and l1_ratio parameters", UserWarning)
        if ratio is not None and 0 < ratio < 1:
            warn(f"{unused} (penalty={penalty})", UserWarning)
        if ratio != {"l1": 1, "l2": 0}.get(penalty, ratio):
            values = f"penalty={penalty} with l1_ratio={ratio}"
            warn(f"Inconsistent values: {values}. Please use l1_ratio only.", UserWarning)
        return float(penalty == "l1")


@parameters
class LinearSVC(Automatic, Classifier):
    """Linear support vector machines, one class against the rest.

    Minimises ``C sum_i s_i max(0, 1 - y_i z_i)^2 + |w|^2 / 2`` over w and b for each class, or with
    loss='hinge' the same without the square. All classes share the passes over X.

    The intercept is not penalised, as in scikit-learn's `SVC`. scikit-learn's `LinearSVC` penalises
    it like a weight, so that its solution differs (less with a large `intercept_scaling`).

    Parameters
    ----------
    penalty : {'l2', 'l1'}, default='l2'
        ``|w|^2 / 2`` or ``|w|_1``.

    loss : {'squared_hinge', 'hinge'}, default='squared_hinge'
        The losses above.

    dual : bool or 'auto', default='auto'
        No effect: the primal and the dual problem have the same solution.

    tol : float, default=1e-4
        Training stops when the objective F is within `tol` of its minimum F*, relative to the best
        constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn, it is a
        bound of the gradient.

    C : float, default=1.0
        Inverse strength of the penalty, in (0, inf).

    multi_class : {'ovr'}, default='ovr'
        Only one class against the rest is supported.

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    intercept_scaling : float, default=1
        No effect: in scikit-learn it weakens the penalty of the intercept, which has none here.

    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`. 'balanced': inversely proportional
        to the total weights of the classes in y.

    verbose : int, default=0
        If positive, `fit` shows a progress bar with loss, rate and remaining time, which needs rich
        (``pip install 'fastgd[progress]'``). Without a terminal, and inside other estimators, it
        prints one line at its end.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of a value that was given to
        the constructor.

    max_iter : int, default=1000
        Maximum number of passes over X. In scikit-learn, passes over the rows, which cost as much.

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
    coef_ : ndarray of shape (1, n_features) for two classes, else (n_classes, n_features)
        Weights W; float32 if X is.

    intercept_ : ndarray of shape (1,) or (n_classes,), or float
        Intercept b; 0.0 if `fit_intercept` is False.

    classes_ : ndarray of shape (n_classes,)
        The labels.

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float
        Estimate (smooth losses) or upper bound (other losses) of ``(F - F*) / (F0 - F*)``, where F*
        is the minimum and F0 the objective of the best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' or 'half the duality gap' (estimates), or a
        'duality gap' (a bound).

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' (rounding errors prevent further
        progress before `tol` is reached) or 'interrupted' (Ctrl-C).

    solver_ : str
        The method that has trained the model, such as 'cholesky' or 'newton-cg'.

    n_iter_ : int
        Number of passes over X.

    history_ : dict of lists
        One entry per pass: ``loss``, the objective (repeated by passes that only improve the
        direction; it may rise while a non-smooth loss is smoothed); ``gradient_norm``, for columns
        of standard deviation 1; ``learning_rate``, the last step size, 1 for a Newton step;
        ``seconds`` since the start of the fit; with validation rows ``validation_loss`` and
        ``validation_score``. `pandas.DataFrame` accepts it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    References
    ----------
    Cortes and Vapnik, "Support-vector networks", Machine Learning 20 (1995).

    Lin, Weng and Keerthi, "Trust region Newton method for large-scale logistic regression", Journal
    of Machine Learning Research 9 (2008): Newton's method with conjugate gradients.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastgd import LinearSVC
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = LinearSVC().fit(X, y)  # raw columns: their scales do not matter
    >>> model.score(X, y) > 0.95
    True
    """

    penalty: Literal["l1", "l2"] = "l2"
    loss: Literal["hinge", "squared_hinge"] = "squared_hinge"
    _: KW_ONLY
    dual: bool | Literal["auto"] = "auto"
    tol: types.NonNegative = 1e-4
    C: types.Positive = 1.0
    multi_class: Literal["ovr"] = "ovr"
    fit_intercept: bool = True
    intercept_scaling: types.Positive = 1
    class_weight: Literal["balanced"] | dict[Any, float] | None = None
    verbose: types.Verbosity = 0
    random_state: types.Seed = None
    max_iter: types.AtLeast1 | None = 1000
    batch_size: Literal["auto", "full"] = "auto"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None

    def _penalty(self, outputs, total):
        return _penalty_of_mean(1.0, self.C, total, float(self.penalty == "l1"))


@parameters
class LinearSVR(Automatic, Regressor):
    """Linear support vector regression.

    Minimises ``C sum_i s_i max(0, |y_i - x_i w - b| - epsilon) + |w|^2 / 2`` over w and b, or with
    loss='squared_epsilon_insensitive' the same with the square of that maximum. Several targets
    share the passes over X.

    The intercept is not penalised, as in scikit-learn's `SVR`. scikit-learn's `LinearSVR` penalises
    it like a weight, so that its solution differs (less with a large `intercept_scaling`).

    Parameters
    ----------
    epsilon : float, default=0.0
        The largest difference that has no loss, >= 0.

    tol : float, default=1e-4
        Training stops when the objective F is within `tol` of its minimum F*, relative to the best
        constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn, it is a
        bound of the gradient.

    C : float, default=1.0
        Inverse strength of the penalty, in (0, inf).

    loss : {'epsilon_insensitive', 'squared_epsilon_insensitive'}, default='epsilon_insensitive'
        The losses above.

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    intercept_scaling : float, default=1.0
        No effect: in scikit-learn it weakens the penalty of the intercept, which has none here.

    dual : bool or 'auto', default='auto'
        No effect: the primal and the dual problem have the same solution.

    verbose : int, default=0
        If positive, `fit` shows a progress bar with loss, rate and remaining time, which needs rich
        (``pip install 'fastgd[progress]'``). Without a terminal, and inside other estimators, it
        prints one line at its end.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of a value that was given to
        the constructor.

    max_iter : int, default=1000
        Maximum number of passes over X. In scikit-learn, passes over the rows, which cost as much.

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
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Weights w; float32 if X is.

    intercept_ : ndarray of shape (1,) or (n_targets,), or float
        Intercept b; 0.0 if `fit_intercept` is False.

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float
        Estimate (smooth losses) or upper bound (other losses) of ``(F - F*) / (F0 - F*)``, where F*
        is the minimum and F0 the objective of the best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' (an estimate) or a 'duality gap' (a bound).

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' (rounding errors prevent further
        progress before `tol` is reached) or 'interrupted' (Ctrl-C).

    solver_ : str
        The method that has trained the model, such as 'cholesky' or 'newton-cg'.

    n_iter_ : int
        Number of passes over X.

    history_ : dict of lists
        One entry per pass: ``loss``, the objective (repeated by passes that only improve the
        direction; it may rise while a non-smooth loss is smoothed); ``gradient_norm``, for columns
        of standard deviation 1; ``learning_rate``, the last step size, 1 for a Newton step;
        ``seconds`` since the start of the fit; with validation rows ``validation_loss`` and
        ``validation_score``. `pandas.DataFrame` accepts it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    References
    ----------
    Drucker, Burges, Kaufman, Smola and Vapnik, "Support vector regression machines", Advances in
    Neural Information Processing Systems 9 (1996).

    Lin, Weng and Keerthi, "Trust region Newton method for large-scale logistic regression", Journal
    of Machine Learning Research 9 (2008): Newton's method with conjugate gradients.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import LinearSVR
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LinearSVR(C=100.0).fit(X, y)
    >>> model.score(X, y) > 0.45
    True
    """

    _: KW_ONLY
    epsilon: types.NonNegative = 0.0
    tol: types.NonNegative = 1e-4
    C: types.Positive = 1.0
    loss: Literal["epsilon_insensitive", "squared_epsilon_insensitive"] = "epsilon_insensitive"
    fit_intercept: bool = True
    intercept_scaling: types.Positive = 1.0
    dual: bool | Literal["auto"] = "auto"
    verbose: types.Verbosity = 0
    random_state: types.Seed = None
    max_iter: types.AtLeast1 | None = 1000
    batch_size: Literal["auto", "full"] = "auto"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None

    def _penalty(self, outputs, total):
        return _penalty_of_mean(1.0, self.C, total)
