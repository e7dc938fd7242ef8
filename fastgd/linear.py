"""The named linear models: each names its loss, its penalty and its convention, and little more.

They take scikit-learn's parameters with scikit-learn's objectives. Their descent chooses its own
way (`batch_size="auto"`), so the parameters by which scikit-learn's users choose one (`solver`,
`dual`, `selection`, `precompute`, `copy_X`, `random_state`) are checked and have no effect on the
result.
"""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn import linear_model
from sklearn.callback import with_callbacks
from sklearn.utils._param_validation import Hidden, Interval, StrOptions
from sklearn.utils._sparse import _align_api_if_sparse

from fastgd.estimators.diagnostics import warn
from fastgd.estimators.parameters import checked
from fastgd.estimators.supervised import Classifier, Regressor
from fastgd.problem.dual_gap import dual_gaps
from fastgd.problem.objective import Objective

POSITIVE = Interval(Real, 0, None, closed="neither")
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
COMMON = {
    "fit_intercept": ["boolean"],
    "tol": [NOT_NEGATIVE],
    "max_iter": [Interval(Integral, 1, None, closed="left"), None],
    "max_seconds": [POSITIVE, None],
    "batch_size": [StrOptions({"auto", "full"})],
    "n_jobs": [Integral, None],
}


def _strength(alpha, C, total):
    """(m, e): the strength alpha / (C total) = m 2^e of the penalty of a mean loss.

    e is 0 unless the strength overflows or underflows.
    """
    if np.isinf(C) or not alpha:
        return 0.0, 0
    strength = alpha / C / total
    if np.finfo(float).tiny <= strength < np.inf:
        return strength, 0
    parts = [np.frexp(value) for value in (alpha, C, total)]
    mantissa = parts[0][0] / parts[1][0] / parts[2][0]
    return float(mantissa), int(parts[0][1] - parts[1][1] - parts[2][1])


class _Squared(Regressor):
    """sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + l1 |w|_1 + (l2 / 2) |w|^2"""

    loss = "squared_error"
    draws_nothing = True

    @checked
    @with_callbacks
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Train.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. A row of weight 0 counts as absent.
        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
            Validation rows: their loss and score enter `history_` after every pass.
        y_val : array-like of the shape of `y`, but for its length, default=None
            Their targets.
        sample_weight_val : array-like of shape (n_validation,), default=None
            Their weights, >= 0.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Something in the arguments is not allowed; an earlier fit is kept.
        KeyboardInterrupt
            Ctrl-C: the model of the last complete pass is stored.
        """
        return self._fit_values(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))

    def _store(self, coef, intercept):
        super()._store(coef, intercept)
        if not self.fit_intercept:
            self.intercept_ = 0.0
        elif self._one_target:
            self.intercept_ = intercept[0]


class LinearRegression(_Squared):
    """Least squares.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2`` over w and b. Several targets share the passes over
    X. Where columns depend on each other linearly (as they must if there are fewer rows than
    columns) many w reach the minimum; with ``batch_size="auto"`` this is the shortest, as
    scikit-learn's, if X has at most 2000 columns, or at most 1500 rows and fewer than columns.

    Parameters
    ----------
    fit_intercept : bool, default=True
        Whether there is a b. It is never penalised.

    copy_X : bool, default=True
        No effect: X is never changed, and seldom copied.

    tol : float, default=1e-6
        Training stops when the objective is within `tol` of its minimum, relative to what the best
        constant model leaves to gain: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn the same
        name means the precision of its solver for sparse X.

    n_jobs : int, default=None
        Threads inside the fit. None: all that OpenMP allows; -1: all processors. Never changes the
        result.

    positive : bool, default=False
        Whether no weight may be negative.

    max_iter : int, default=None
        The most passes over X; None: 1000. scikit-learn's has no such parameter.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' takes the fastest way to `tol`, be it by a matrix of n_features^2 numbers; 'full'
        keeps to passes over X.

    max_seconds : float, default=None
        No pass begins later than that. None: no matter how long it takes.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        w; float32 where X is.

    intercept_ : float or ndarray of shape (n_targets,)
        b; 0.0 without one.

    converged_ : bool
        Whether `optimality_` has reached `tol`.

    optimality_ : float
        Estimate of ``(F - F*) / (F0 - F*)``, F* being the minimum and F0 the objective of the best
        constant model.

    optimality_kind_ : str
        What it is made of: 'Newton decrement', an estimate.

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' where no step gains more than
        rounding and `tol` is not reached, or, after Ctrl-C, 'interrupted'.

    n_iter_ : int
        Passes over X.

    history_ : dict of lists
        An entry a pass: ``loss``, the objective (a pass that only turns the direction repeats it);
        ``gradient_norm``, in coordinates in which columns have spread 1; ``learning_rate``, the
        length of the last step, of which 1 is Newton's; ``seconds`` since the fit began; with
        validation rows ``validation_loss`` and ``validation_score``. `pandas.DataFrame` takes it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has them.

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

    _parameter_constraints: dict = {**COMMON, "copy_X": ["boolean"], "positive": ["boolean"]}

    def __init__(
        self,
        *,
        fit_intercept=True,
        copy_X=True,
        tol=1e-6,
        n_jobs=None,
        positive=False,
        max_iter=None,
        batch_size="auto",
        max_seconds=None,
    ):
        self._assign(locals())

    def _objective(self, outputs, one_vs_rest, total):
        return Objective(
            self._loss(outputs),
            outputs=outputs,
            intercept=self.fit_intercept,
            positive=self.positive,
        )


# RANSACRegressor asks isinstance to tell least squares, of which it knows how many rows they need.
# A virtual subclass inherits nothing.
linear_model.LinearRegression.register(LinearRegression)


class _Penalised(_Squared):
    def _store(self, coef, intercept):
        super()._store(coef, intercept)
        if len(coef) == 1:
            self.coef_ = coef[0]


class Ridge(_Penalised):
    """Least squares with an L2 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 + alpha |w|^2`` over w and b. Several targets share
    the passes over X.

    Parameters
    ----------
    alpha : float or array-like of shape (n_targets,), default=1.0
        Strength of the penalty, in [0, inf); an array: one for each target.

    fit_intercept : bool, default=True
        Whether there is a b. It is never penalised.

    copy_X : bool, default=True
        No effect: X is never changed, and seldom copied.

    max_iter : int, default=None
        The most passes over X; None: 1000. In scikit-learn the iterations of its solver.

    tol : float, default=1e-4
        Training stops when the objective is within `tol` of its minimum, relative to what the best
        constant model leaves to gain: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn the same
        name means the precision of the iterative ones among its solvers.

    solver : str, default='auto'
        No effect: a way to the minimum, which is the same for all of them. scikit-learn's names are
        allowed.

    positive : bool, default=False
        Whether no weight may be negative.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of one that the constructor was
        given.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' takes the fastest way to `tol`, be it by a matrix of n_features^2 numbers; 'full'
        keeps to passes over X.

    n_jobs : int, default=None
        Threads inside the fit. None: all that OpenMP allows; -1: all processors. Never changes the
        result.

    max_seconds : float, default=None
        No pass begins later than that. None: no matter how long it takes.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        w; float32 where X is.

    intercept_ : float or ndarray of shape (n_targets,)
        b; 0.0 without one.

    converged_ : bool
        Whether `optimality_` has reached `tol`.

    optimality_ : float
        Estimate of ``(F - F*) / (F0 - F*)``, F* being the minimum and F0 the objective of the best
        constant model.

    optimality_kind_ : str
        What it is made of: 'Newton decrement', an estimate.

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' where no step gains more than
        rounding and `tol` is not reached, or, after Ctrl-C, 'interrupted'.

    n_iter_ : int
        Passes over X.

    history_ : dict of lists
        An entry a pass: ``loss``, the objective (a pass that only turns the direction repeats it);
        ``gradient_norm``, in coordinates in which columns have spread 1; ``learning_rate``, the
        length of the last step, of which 1 is Newton's; ``seconds`` since the fit began; with
        validation rows ``validation_loss`` and ``validation_score``. `pandas.DataFrame` takes it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has them.

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

    _parameter_constraints: dict = {
        **COMMON,
        "alpha": [NOT_NEGATIVE, "array-like"],
        "copy_X": ["boolean"],
        "solver": [
            StrOptions({"auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga", "lbfgs"})
        ],
        "positive": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        alpha=1.0,
        *,
        fit_intercept=True,
        copy_X=True,
        max_iter=None,
        tol=1e-4,
        solver="auto",
        positive=False,
        random_state=None,
        batch_size="auto",
        n_jobs=None,
        max_seconds=None,
    ):
        self._assign(locals())

    def _objective(self, outputs, one_vs_rest, total):
        try:
            alpha = np.ravel(self.alpha).astype(float)
        except (TypeError, ValueError):
            alpha = np.array([np.nan])
        if len(alpha) not in (1, outputs):
            raise ValueError(
                f"Number of targets and number of penalties do not correspond: {len(alpha)} != "
                f"{outputs}. "
                "The 'alpha' parameter of Ridge is one number, or one for each target."
            )
        if not (np.isfinite(alpha) & (alpha >= 0)).all():
            raise ValueError(f"alpha must be finite and >= 0, got {self.alpha}")
        l2, exponent = _strength(float(alpha[0]), 1.0, total)
        if len(set(alpha)) > 1:
            most = np.finfo(float).max
            l2, exponent = tuple(min(float(a) / total, most) for a in alpha), 0
        return Objective(
            self._loss(outputs),
            l2=l2,
            exponent=exponent,
            outputs=outputs,
            intercept=self.fit_intercept,
            positive=self.positive,
        )


class ElasticNet(_Penalised):
    """Least squares with L1 and L2 penalties.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha l1_ratio |w|_1 + alpha (1 -
    l1_ratio) |w|^2 / 2`` over w and b; several targets each by itself, all in the same passes over
    X.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, in [0, inf).

    l1_ratio : float, default=0.5
        Share of L1, in [0, 1]: 0 is ridge regression, 1 the lasso.

    fit_intercept : bool, default=True
        Whether there is a b. It is never penalised.

    precompute : bool or array-like, default=False
        No effect: a matter of scikit-learn's solver.

    max_iter : int, default=1000
        The most passes over X. In scikit-learn sweeps over the columns, which cost as much.

    copy_X : bool, default=True
        No effect: X is never changed, and seldom copied.

    tol : float, default=1e-4
        Training stops when the objective is within `tol` of its minimum, relative to what the best
        constant model leaves to gain: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn the same
        name means a duality gap relative to ``|y|^2``.

    warm_start : bool, default=False
        Start from the last fit's coefficients, or where nothing has changed since but `max_iter`,
        `max_seconds`, `tol`, `verbose`, `n_jobs` or the callbacks, go on exactly as if that fit had
        not ended. Changes how many passes it takes, not the minimum.

    positive : bool, default=False
        Whether no weight may be negative.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of one that the constructor was
        given.

    selection : {'cyclic', 'random'}, default='cyclic'
        No effect: a matter of scikit-learn's solver.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' takes the fastest way to `tol`, be it by a matrix of n_features^2 numbers; 'full'
        keeps to passes over X.

    n_jobs : int, default=None
        Threads inside the fit. None: all that OpenMP allows; -1: all processors. Never changes the
        result.

    max_seconds : float, default=None
        No pass begins later than that. None: no matter how long it takes.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        w; float32 where X is.

    intercept_ : float or ndarray of shape (n_targets,)
        b; 0.0 without one.

    converged_ : bool
        Whether `optimality_` has reached `tol`.

    optimality_ : float
        Estimate, or with L1 an upper bound, of ``(F - F*) / (F0 - F*)``, F* being the minimum and
        F0 the objective of the best constant model.

    optimality_kind_ : str
        What it is made of: 'Newton decrement', an estimate, or 'duality gap', a bound.

    dual_gap_ : float or ndarray of shape (n_targets,)
        scikit-learn's duality gap: how far each target's objective is above its minimum at most.
        (With alpha=0: the squared norm of X' times the residuals, divided by n_samples.)

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' where no step gains more than
        rounding and `tol` is not reached, or, after Ctrl-C, 'interrupted'.

    n_iter_ : int
        Passes over X.

    history_ : dict of lists
        An entry a pass: ``loss``, the objective (a pass that only turns the direction repeats it);
        ``gradient_norm``, in coordinates in which columns have spread 1; ``learning_rate``, the
        length of the last step, of which 1 is Newton's; ``seconds`` since the fit began; with
        validation rows ``validation_loss`` and ``validation_score``. `pandas.DataFrame` takes it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has them.

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

    _parameter_constraints: dict = {
        **COMMON,
        "alpha": [NOT_NEGATIVE],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "precompute": ["boolean", "array-like"],
        "copy_X": ["boolean"],
        "warm_start": ["boolean"],
        "positive": ["boolean"],
        "random_state": ["random_state"],
        "selection": [StrOptions({"cyclic", "random"})],
    }

    def __init__(
        self,
        alpha=1.0,
        *,
        l1_ratio=0.5,
        fit_intercept=True,
        precompute=False,
        max_iter=1000,
        copy_X=True,
        tol=1e-4,
        warm_start=False,
        positive=False,
        random_state=None,
        selection="cyclic",
        batch_size="auto",
        n_jobs=None,
        max_seconds=None,
    ):
        self._assign(locals())

    @checked
    @with_callbacks
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        check_input=True,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
        """Train.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. A row of weight 0 counts as absent.
        check_input : bool, default=True
            No effect: the input is always checked, which costs next to nothing.
        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
            Validation rows: their loss and score enter `history_` after every pass.
        y_val : array-like of the shape of `y`, but for its length, default=None
            Their targets.
        sample_weight_val : array-like of shape (n_validation,), default=None
            Their weights, >= 0.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Something in the arguments is not allowed; an earlier fit is kept.
        KeyboardInterrupt
            Ctrl-C: the model of the last complete pass is stored.
        """
        return self._fit_values(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))

    @property
    def sparse_coef_(self):
        """`coef_` as a sparse matrix, of one row a target."""
        return _align_api_if_sparse(sparse.csr_array(np.atleast_2d(self.coef_)))

    def _certify(self, problem, coef, intercept, method):
        gaps = dual_gaps(problem, coef, intercept, method)
        self.dual_gap_ = gaps[0] if len(gaps) == 1 else gaps

    def _objective(self, outputs, one_vs_rest, total):
        return Objective(
            self._loss(outputs),
            l1=float(self.alpha * self.l1_ratio),
            l2=float(self.alpha * (1 - self.l1_ratio)),
            outputs=outputs,
            intercept=self.fit_intercept,
            positive=self.positive,
        )


class Lasso(ElasticNet):
    """Least squares with an L1 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha |w|_1`` over w and b; several
    targets each by itself, all in the same passes over X.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, in [0, inf).

    fit_intercept : bool, default=True
        Whether there is a b. It is never penalised.

    precompute : bool or array-like, default=False
        No effect: a matter of scikit-learn's solver.

    copy_X : bool, default=True
        No effect: X is never changed, and seldom copied.

    max_iter : int, default=1000
        The most passes over X. In scikit-learn sweeps over the columns, which cost as much.

    tol : float, default=1e-4
        Training stops when the objective is within `tol` of its minimum, relative to what the best
        constant model leaves to gain: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn the same
        name means a duality gap relative to ``|y|^2``.

    warm_start : bool, default=False
        Start from the last fit's coefficients, or where nothing has changed since but `max_iter`,
        `max_seconds`, `tol`, `verbose`, `n_jobs` or the callbacks, go on exactly as if that fit had
        not ended. Changes how many passes it takes, not the minimum.

    positive : bool, default=False
        Whether no weight may be negative.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of one that the constructor was
        given.

    selection : {'cyclic', 'random'}, default='cyclic'
        No effect: a matter of scikit-learn's solver.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' takes the fastest way to `tol`, be it by a matrix of n_features^2 numbers; 'full'
        keeps to passes over X.

    n_jobs : int, default=None
        Threads inside the fit. None: all that OpenMP allows; -1: all processors. Never changes the
        result.

    max_seconds : float, default=None
        No pass begins later than that. None: no matter how long it takes.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        w; float32 where X is.

    intercept_ : float or ndarray of shape (n_targets,)
        b; 0.0 without one.

    converged_ : bool
        Whether `optimality_` has reached `tol`.

    optimality_ : float
        Estimate, or with L1 an upper bound, of ``(F - F*) / (F0 - F*)``, F* being the minimum and
        F0 the objective of the best constant model.

    optimality_kind_ : str
        What it is made of: 'Newton decrement', an estimate, or 'duality gap', a bound.

    dual_gap_ : float or ndarray of shape (n_targets,)
        scikit-learn's duality gap: how far each target's objective is above its minimum at most.
        (With alpha=0: the squared norm of X' times the residuals, divided by n_samples.)

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' where no step gains more than
        rounding and `tol` is not reached, or, after Ctrl-C, 'interrupted'.

    n_iter_ : int
        Passes over X.

    history_ : dict of lists
        An entry a pass: ``loss``, the objective (a pass that only turns the direction repeats it);
        ``gradient_norm``, in coordinates in which columns have spread 1; ``learning_rate``, the
        length of the last step, of which 1 is Newton's; ``seconds`` since the fit began; with
        validation rows ``validation_loss`` and ``validation_score``. `pandas.DataFrame` takes it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has them.

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

    _parameter_constraints: dict = {
        k: v for k, v in ElasticNet._parameter_constraints.items() if k != "l1_ratio"
    }
    l1_ratio = 1.0

    def __init__(
        self,
        alpha=1.0,
        *,
        fit_intercept=True,
        precompute=False,
        copy_X=True,
        max_iter=1000,
        tol=1e-4,
        warm_start=False,
        positive=False,
        random_state=None,
        selection="cyclic",
        batch_size="auto",
        n_jobs=None,
        max_seconds=None,
    ):
        self._assign(locals())


CLASSES = {
    **COMMON,
    "C": [POSITIVE],
    "intercept_scaling": [POSITIVE],
    "class_weight": [StrOptions({"balanced"}), dict, None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


class _Named(Classifier):
    draws_nothing = True

    @checked
    @with_callbacks
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Train.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : array-like of shape (n_samples,)
            Labels, of two classes at least.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. A row of weight 0 counts as absent.
        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
            Validation rows: their loss and score enter `history_` after every pass.
        y_val : array-like of the shape of `y`, but for its length, default=None
            Their labels, all of which `y` must have too.
        sample_weight_val : array-like of shape (n_validation,), default=None
            Their weights, >= 0.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Something in the arguments is not allowed; an earlier fit is kept.
        KeyboardInterrupt
            Ctrl-C: the model of the last complete pass is stored.
        """
        return self._fit_classes(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))


class LogisticRegression(_Named):
    """Logistic regression; of more than two classes jointly (softmax).

    Minimises ``C sum_i s_i L_i + l1_ratio |W|_1 + (1 - l1_ratio) |W|^2 / 2`` over W and b, L_i
    being ``log(1 + exp(-y z))`` for two classes, y = +-1, and ``log sum_k exp(z_k) - z_y`` for
    more.

    Parameters
    ----------
    penalty : {'l1', 'l2', 'elasticnet', None}, default='l2'
        Deprecated, as in scikit-learn 1.8: `l1_ratio` 1, 0, or between, and ``C=np.inf`` say the
        same.

    C : float, default=1.0
        Inverse strength of the penalty, in (0, inf]; ``np.inf``: no penalty.

    l1_ratio : float, default=0.0
        Share of L1 in the penalty, in [0, 1]. None is deprecated.

    dual : bool, default=False
        No effect: both problems have the same solution.

    tol : float, default=1e-4
        Training stops when the objective is within `tol` of its minimum, relative to what the best
        constant model leaves to gain: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn the same
        name means a bound of the gradient or of the steps, by solver.

    fit_intercept : bool, default=True
        Whether there is a b. It is never penalised.

    intercept_scaling : float, default=1
        No effect: it softens the penalty of an intercept, and this one has none.

    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`; 'balanced': inversely proportional
        to the classes' weights in y.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of one that the constructor was
        given.

    solver : str, default='lbfgs'
        No effect: a way to the minimum, which is the same for all of them ('liblinear' penalises
        the intercept, which none does here). scikit-learn's names are allowed.

    max_iter : int, default=1000
        The most passes over X. In scikit-learn iterations (100), of which some solvers take several
        passes each.

    verbose : int, default=0
        1 or more: `fit` shows a progress bar with loss, rate and time left, which needs rich (``pip
        install 'fastgd[progress]'``); where there is no terminal, and inside of other estimators,
        one line when it ends.

    warm_start : bool, default=False
        Start from the last fit's coefficients, or where nothing has changed since but `max_iter`,
        `max_seconds`, `tol`, `verbose`, `n_jobs` or the callbacks, go on exactly as if that fit had
        not ended. Changes how many passes it takes, not the minimum.

    n_jobs : int, default=None
        Threads inside the fit. None: all that OpenMP allows; -1: all processors. Never changes the
        result.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' takes the fastest way to `tol`, be it by a matrix of n_features^2 numbers; 'full'
        keeps to passes over X.

    max_seconds : float, default=None
        No pass begins later than that. None: no matter how long it takes.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) for two classes, else (n_classes, n_features)
        W; float32 where X is.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        b; those of several classes, which are known up to a common number, sum to zero.

    classes_ : ndarray of shape (n_classes,)
        The labels.

    converged_ : bool
        Whether `optimality_` has reached `tol` and there is a minimum.

    optimality_ : float
        Estimate, or with L1 an upper bound, of ``(F - F*) / (F0 - F*)``, F* being the minimum and
        F0 the objective of the best constant model.

    optimality_kind_ : str
        What it is made of: 'Newton decrement' or 'half the duality gap', estimates, or
        'duality gap', a bound.

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' where no step gains more than
        rounding and `tol` is not reached, after Ctrl-C 'interrupted', or 'separable': nothing is
        penalised and the classes are separable, so that there is no minimum.

    n_iter_ : int
        Passes over X.

    history_ : dict of lists
        An entry a pass: ``loss``, the objective (a pass that only turns the direction repeats it);
        ``gradient_norm``, in coordinates in which columns have spread 1; ``learning_rate``, the
        length of the last step, of which 1 is Newton's; ``seconds`` since the fit began; with
        validation rows ``validation_loss`` and ``validation_score``. `pandas.DataFrame` takes it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has them.

    References
    ----------
    Cox, "The regression analysis of binary sequences", Journal of the Royal Statistical Society B
    20 (1958). McCullagh and Nelder, Generalized Linear Models, 2nd edition (1989).

    Lin, Weng and Keerthi, "Trust region Newton method for large-scale logistic regression", Journal
    of Machine Learning Research 9 (2008): the descent, by conjugate gradients.

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
    _parameter_constraints: dict = {
        **CLASSES,
        "C": [Interval(Real, 0, None, closed="right")],
        "penalty": [
            StrOptions({"l1", "l2", "elasticnet"}),
            None,
            Hidden(StrOptions({"deprecated"})),
        ],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "dual": ["boolean"],
        "solver": [
            StrOptions({"lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"})
        ],
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        penalty="deprecated",
        *,
        C=1.0,
        l1_ratio=0.0,
        dual=False,
        tol=1e-4,
        fit_intercept=True,
        intercept_scaling=1,
        class_weight=None,
        random_state=None,
        solver="lbfgs",
        max_iter=1000,
        verbose=0,
        warm_start=False,
        n_jobs=None,
        batch_size="auto",
        max_seconds=None,
    ):
        self._assign(locals())

    def _objective(self, outputs, one_vs_rest, total):
        strength, exponent = (0.0, 0) if self.penalty is None else _strength(1.0, self.C, total)
        mix = self._mix()
        return Objective(
            self._loss(outputs),
            exponent=exponent,
            l1=strength * mix,
            l2=strength * (1 - mix),
            outputs=outputs,
            one_vs_rest=one_vs_rest,
            intercept=self.fit_intercept,
        )

    def _mix(self):
        """The share of L1, and scikit-learn's warnings of the ways to name it that are on their way
        out.
        """
        penalty, ratio = self.penalty, self.l1_ratio
        if penalty == "deprecated":
            if ratio is None:
                warn(
                    "'l1_ratio=None' was deprecated in scikit-learn 1.8. Use 0<=l1_ratio<=1 "
                    "instead.",
                    FutureWarning,
                )
            if np.isinf(self.C) and ratio not in (None, 0, 1):
                warn(
                    "l1_ratio parameter is only used when penalty is 'elasticnet'. Got "
                    "(penalty=None): nothing is penalised with "
                    "C=np.inf",
                    UserWarning,
                )
            return ratio or 0.0
        warn(
            "'penalty' was deprecated in scikit-learn 1.8: use l1_ratio=0 instead of "
            "penalty='l2', l1_ratio=1 instead of "
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
            warn(
                "l1_ratio parameter is only used when penalty is 'elasticnet'. Got "
                f"(penalty={penalty})",
                UserWarning,
            )
        if ratio != {"l1": 1, "l2": 0}.get(penalty, ratio):
            warn(
                f"Inconsistent values: penalty={penalty} with l1_ratio={ratio}. penalty is "
                "deprecated. Please use l1_ratio only.",
                UserWarning,
            )
        return float(penalty == "l1")


class LinearSVC(_Named):
    """Linear support vector machines, one class against the rest.

    Minimises ``C sum_i s_i max(0, 1 - y_i z_i)^2 + |w|^2 / 2`` over w and b for each class, or with
    loss='hinge' the same without the square. All classes share the passes over X.

    On one point scikit-learn's `LinearSVC` is not followed: there the intercept is penalised like a
    weight, which moves the solution (less so with a large `intercept_scaling`); here it is not, as
    in its `SVC`.

    Parameters
    ----------
    penalty : {'l2', 'l1'}, default='l2'
        ``|w|^2 / 2`` or ``|w|_1``.

    loss : {'squared_hinge', 'hinge'}, default='squared_hinge'
        The losses above.

    dual : bool or 'auto', default='auto'
        No effect: both problems have the same solution.

    tol : float, default=1e-4
        Training stops when the objective is within `tol` of its minimum, relative to what the best
        constant model leaves to gain: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn the same
        name means a bound of the gradient.

    C : float, default=1.0
        Inverse strength of the penalty, in (0, inf).

    multi_class : {'ovr'}, default='ovr'
        Only one class against the rest is supported.

    fit_intercept : bool, default=True
        Whether there is a b. It is never penalised.

    intercept_scaling : float, default=1
        No effect: it softens the penalty of an intercept, and this one has none.

    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`; 'balanced': inversely proportional
        to the classes' weights in y.

    verbose : int, default=0
        1 or more: `fit` shows a progress bar with loss, rate and time left, which needs rich (``pip
        install 'fastgd[progress]'``); where there is no terminal, and inside of other estimators,
        one line when it ends.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of one that the constructor was
        given.

    max_iter : int, default=1000
        The most passes over X. In scikit-learn sweeps over the rows, which cost as much.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' takes the fastest way to `tol`, be it by a matrix of n_features^2 numbers; 'full'
        keeps to passes over X.

    n_jobs : int, default=None
        Threads inside the fit. None: all that OpenMP allows; -1: all processors. Never changes the
        result.

    max_seconds : float, default=None
        No pass begins later than that. None: no matter how long it takes.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) for two classes, else (n_classes, n_features)
        W; float32 where X is.

    intercept_ : ndarray of shape (1,) or (n_classes,), or float
        b; 0.0 without one.

    classes_ : ndarray of shape (n_classes,)
        The labels.

    converged_ : bool
        Whether `optimality_` has reached `tol`.

    optimality_ : float
        Estimate of the smooth losses', upper bound of the others', of ``(F - F*) / (F0 - F*)``, F*
        being the minimum and F0 the objective of the best constant model.

    optimality_kind_ : str
        What it is made of: 'Newton decrement' or 'half the duality gap', estimates, or
        'duality gap', a bound.

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' where no step gains more than
        rounding and `tol` is not reached, or, after Ctrl-C, 'interrupted'.

    n_iter_ : int
        Passes over X.

    history_ : dict of lists
        An entry a pass: ``loss``, the objective (a pass that only turns the direction repeats it;
        that of a loss with kinks may rise while they are rounded off); ``gradient_norm``, in
        coordinates in which columns have spread 1; ``learning_rate``, the length of the last step,
        of which 1 is Newton's; ``seconds`` since the fit began; with validation rows
        ``validation_loss`` and ``validation_score``. `pandas.DataFrame` takes it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has them.

    References
    ----------
    Cortes and Vapnik, "Support-vector networks", Machine Learning 20 (1995).

    Lin, Weng and Keerthi, "Trust region Newton method for large-scale logistic regression", Journal
    of Machine Learning Research 9 (2008): the descent, by conjugate gradients.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastgd import LinearSVC
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = LinearSVC().fit(X, y)  # raw columns: their scales do not matter
    >>> model.score(X, y) > 0.95
    True
    """

    _parameter_constraints: dict = {
        **CLASSES,
        "penalty": [StrOptions({"l1", "l2"})],
        "loss": [StrOptions({"hinge", "squared_hinge"})],
        "dual": ["boolean", StrOptions({"auto"})],
        "multi_class": [StrOptions({"ovr"})],
    }

    def __init__(
        self,
        penalty="l2",
        loss="squared_hinge",
        *,
        dual="auto",
        tol=1e-4,
        C=1.0,
        multi_class="ovr",
        fit_intercept=True,
        intercept_scaling=1,
        class_weight=None,
        verbose=0,
        random_state=None,
        max_iter=1000,
        batch_size="auto",
        n_jobs=None,
        max_seconds=None,
    ):
        self._assign(locals())

    def _objective(self, outputs, one_vs_rest, total):
        strength, exponent = _strength(1.0, self.C, total)
        mix = float(self.penalty == "l1")
        return Objective(
            self._loss(outputs),
            exponent=exponent,
            l1=strength * mix,
            l2=strength * (1 - mix),
            outputs=outputs,
            one_vs_rest=one_vs_rest,
            intercept=self.fit_intercept,
        )

    def _store(self, coef, intercept):
        self.coef_, self.intercept_ = coef, intercept if self.fit_intercept else 0.0


class LinearSVR(Regressor):
    """Linear support vector regression.

    Minimises ``C sum_i s_i max(0, |y_i - x_i w - b| - epsilon) + |w|^2 / 2`` over w and b, or with
    loss='squared_epsilon_insensitive' the same with the square of that maximum. Several targets
    share the passes over X.

    On one point scikit-learn's `LinearSVR` is not followed: there the intercept is penalised like a
    weight, which moves the solution (less so with a large `intercept_scaling`); here it is not, as
    in its `SVR`.

    Parameters
    ----------
    epsilon : float, default=0.0
        The difference that costs nothing, >= 0.

    tol : float, default=1e-4
        Training stops when the objective is within `tol` of its minimum, relative to what the best
        constant model leaves to gain: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn the same
        name means a bound of the gradient.

    C : float, default=1.0
        Inverse strength of the penalty, in (0, inf).

    loss : {'epsilon_insensitive', 'squared_epsilon_insensitive'}, default='epsilon_insensitive'
        The losses above.

    fit_intercept : bool, default=True
        Whether there is a b. It is never penalised.

    intercept_scaling : float, default=1.0
        No effect: it softens the penalty of an intercept, and this one has none.

    dual : bool or 'auto', default='auto'
        No effect: both problems have the same solution.

    verbose : int, default=0
        1 or more: `fit` shows a progress bar with loss, rate and time left, which needs rich (``pip
        install 'fastgd[progress]'``); where there is no terminal, and inside of other estimators,
        one line when it ends.

    random_state : int, RandomState instance or None, default=None
        No effect: nothing is drawn at random. The first `fit` warns of one that the constructor was
        given.

    max_iter : int, default=1000
        The most passes over X. In scikit-learn sweeps over the rows, which cost as much.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' takes the fastest way to `tol`, be it by a matrix of n_features^2 numbers; 'full'
        keeps to passes over X.

    n_jobs : int, default=None
        Threads inside the fit. None: all that OpenMP allows; -1: all processors. Never changes the
        result.

    max_seconds : float, default=None
        No pass begins later than that. None: no matter how long it takes.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        w; float32 where X is.

    intercept_ : ndarray of shape (1,) or (n_targets,), or float
        b; 0.0 without one.

    converged_ : bool
        Whether `optimality_` has reached `tol`.

    optimality_ : float
        Estimate of the smooth losses', upper bound of the others', of ``(F - F*) / (F0 - F*)``, F*
        being the minimum and F0 the objective of the best constant model.

    optimality_kind_ : str
        What it is made of: 'Newton decrement', an estimate, or 'duality gap', a bound.

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' where no step gains more than
        rounding and `tol` is not reached, or, after Ctrl-C, 'interrupted'.

    n_iter_ : int
        Passes over X.

    history_ : dict of lists
        An entry a pass: ``loss``, the objective (a pass that only turns the direction repeats it;
        that of a loss with kinks may rise while they are rounded off); ``gradient_norm``, in
        coordinates in which columns have spread 1; ``learning_rate``, the length of the last step,
        of which 1 is Newton's; ``seconds`` since the fit began; with validation rows
        ``validation_loss`` and ``validation_score``. `pandas.DataFrame` takes it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has them.

    References
    ----------
    Drucker, Burges, Kaufman, Smola and Vapnik, "Support vector regression machines", Advances in
    Neural Information Processing Systems 9 (1996).

    Lin, Weng and Keerthi, "Trust region Newton method for large-scale logistic regression", Journal
    of Machine Learning Research 9 (2008): the descent, by conjugate gradients.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import LinearSVR
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LinearSVR(C=100.0).fit(X, y)
    >>> model.score(X, y) > 0.45
    True
    """

    _parameter_constraints: dict = {
        **COMMON,
        "epsilon": [NOT_NEGATIVE],
        "C": [POSITIVE],
        "loss": [StrOptions({"epsilon_insensitive", "squared_epsilon_insensitive"})],
        "intercept_scaling": [POSITIVE],
        "dual": ["boolean", StrOptions({"auto"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        epsilon=0.0,
        tol=1e-4,
        C=1.0,
        loss="epsilon_insensitive",
        fit_intercept=True,
        intercept_scaling=1.0,
        dual="auto",
        verbose=0,
        random_state=None,
        max_iter=1000,
        batch_size="auto",
        n_jobs=None,
        max_seconds=None,
    ):
        self._assign(locals())

    fit, draws_nothing = _Squared.fit, True

    def _store(self, coef, intercept):
        super()._store(coef, intercept)
        if not self.fit_intercept:
            self.intercept_ = 0.0

    def _objective(self, outputs, one_vs_rest, total):
        l2, exponent = _strength(1.0, self.C, total)
        return Objective(
            self._loss(outputs),
            l2=l2,
            exponent=exponent,
            outputs=outputs,
            intercept=self.fit_intercept,
        )
