"""The named linear models: each names its loss, its penalty and its convention, and little more.

They take scikit-learn's parameters with scikit-learn's objectives. Their descent chooses its own way (`batch_size="auto"`), so the
parameters by which scikit-learn's users choose one (`solver`, `dual`, `selection`, `precompute`, `copy_X`, `random_state`) are
checked and have no effect on the result.
"""
import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Hidden, Interval, StrOptions

from .engine.estimator import checked, unchanged_on_error
from .engine.objective import Objective
from .engine.supervised import Classifier, Regressor

POSITIVE, NOT_NEGATIVE = Interval(Real, 0, None, closed="neither"), Interval(Real, 0, None, closed="left")
COMMON = {
    "fit_intercept": ["boolean"],
    "tol": [NOT_NEGATIVE],
    "max_iter": [Interval(Integral, 1, None, closed="left"), None],
    "batch_size": [StrOptions({"auto", "full"})],
    "n_jobs": [Integral, None],
}


class _Squared(Regressor):
    """sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + l1 |w|_1 + (l2 / 2) |w|^2"""

    loss = "squared_error"
    positive = False

    @checked
    def fit(self, X, y, sample_weight=None):
        """Train.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. A row of weight 0 counts as absent.

        Returns
        -------
        self
        """
        if self.positive:
            raise ValueError("positive=True is not supported: the weights are not bounded")
        with unchanged_on_error(self):
            return self._fit_targets(X, y, sample_weight, reset=True)

    def _store(self, coef, intercept):
        super()._store(coef, intercept)
        if self._one_target:
            self.intercept_ = float(intercept[0])


class LinearRegression(_Squared):
    """Least squares.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2`` over w and b.

    Parameters
    ----------
    fit_intercept : bool, default=True
        Whether there is a b.
    copy_X : bool, default=True
        No effect: X is never changed.
    tol : float, default=1e-6
        Training stops when the objective is within `tol` of its minimum, relative to what the best constant model leaves to gain:
        ``(F - F*) / (F0 - F*) <= tol``.
    n_jobs : int, default=None
        Threads inside the fit; None: all. Their number never changes a result.
    positive : bool, default=False
        Only False is supported.
    max_iter : int, default=None
        The most passes over X; None: 1000.
    batch_size : {'auto', 'full'}, default='auto'
        'auto' may precondition by a matrix of n_features^2 numbers, 'full' keeps to passes over X.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        w
    intercept_ : float or ndarray of shape (n_targets,)
        b
    converged_ : bool
        Whether `optimality_` has reached `tol`.
    optimality_ : float
        Estimate of ``(F - F*) / (F0 - F*)``.
    optimality_kind_ : str
        What the estimate is made of.
    stop_reason_ : str
        'tol' or 'max_iter'.
    n_iter_ : int
        Passes over X.
    history_ : dict of lists
        An entry a pass: 'loss', 'gradient_norm', 'learning_rate', 'seconds'.

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

    def __init__(self, *, fit_intercept=True, copy_X=True, tol=1e-6, n_jobs=None, positive=False, max_iter=None,
                 batch_size="auto"):
        self._assign(locals())

    def _objective(self, outputs, one_vs_rest, total):
        return Objective(self.loss, outputs=outputs, intercept=self.fit_intercept)


class Ridge(_Squared):
    """Least squares with an L2 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 + alpha |w|^2`` over w and b.
    """

    _parameter_constraints: dict = {
        **COMMON,
        "alpha": [NOT_NEGATIVE],
        "copy_X": ["boolean"],
        "solver": [StrOptions({"auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga", "lbfgs"})],
        "positive": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(self, alpha=1.0, *, fit_intercept=True, copy_X=True, max_iter=None, tol=1e-4, solver="auto", positive=False,
                 random_state=None, batch_size="auto", n_jobs=None):
        self._assign(locals())

    def _objective(self, outputs, one_vs_rest, total):
        return Objective(self.loss, l2=self.alpha / total, outputs=outputs, intercept=self.fit_intercept)


class ElasticNet(_Squared):
    """Least squares with L1 and L2 penalties.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha l1_ratio |w|_1 + alpha (1 - l1_ratio) |w|^2 / 2`` over w and b.
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

    def __init__(self, alpha=1.0, *, l1_ratio=0.5, fit_intercept=True, precompute=False, max_iter=1000, copy_X=True, tol=1e-4,
                 warm_start=False, positive=False, random_state=None, selection="cyclic", batch_size="auto", n_jobs=None):
        self._assign(locals())

    def _objective(self, outputs, one_vs_rest, total):
        return Objective(self.loss, l1=float(self.alpha * self.l1_ratio), l2=float(self.alpha * (1 - self.l1_ratio)),
                         outputs=outputs, intercept=self.fit_intercept)


class Lasso(ElasticNet):
    """Least squares with an L1 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha |w|_1`` over w and b.
    """

    _parameter_constraints: dict = {k: v for k, v in ElasticNet._parameter_constraints.items() if k != "l1_ratio"}
    l1_ratio = 1.0

    def __init__(self, alpha=1.0, *, fit_intercept=True, precompute=False, copy_X=True, max_iter=1000, tol=1e-4, warm_start=False,
                 positive=False, random_state=None, selection="cyclic", batch_size="auto", n_jobs=None):
        self._assign(locals())


CLASSES = {
    **COMMON,
    "C": [Interval(Real, 0, None, closed="right")],
    "intercept_scaling": [POSITIVE],
    "class_weight": [StrOptions({"balanced"}), dict, None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


class _Named(Classifier):
    @checked
    def fit(self, X, y, sample_weight=None):
        """Train.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : array-like of shape (n_samples,)
            Labels, of two classes at least.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. A row of weight 0 counts as absent.

        Returns
        -------
        self
        """
        return self._fit_classes(X, y, sample_weight)


class LogisticRegression(_Named):
    """Logistic regression; of more than two classes jointly (softmax).

    Minimises ``C sum_i s_i L_i + l1_ratio |W|_1 + (1 - l1_ratio) |W|^2 / 2`` over W and b, L_i being ``log(1 + exp(-y z))`` for two
    classes and ``log sum_k exp(z_k) - z_y`` for more.
    """

    loss = "softmax"
    _parameter_constraints: dict = {
        **CLASSES,
        "penalty": [StrOptions({"l1", "l2", "elasticnet"}), None, Hidden(StrOptions({"deprecated"}))],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "dual": ["boolean"],
        "solver": [StrOptions({"lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"})],
        "warm_start": ["boolean"],
    }

    def __init__(self, penalty="deprecated", *, C=1.0, l1_ratio=0.0, dual=False, tol=1e-4, fit_intercept=True, intercept_scaling=1,
                 class_weight=None, random_state=None, solver="lbfgs", max_iter=1000, verbose=0, warm_start=False, n_jobs=None,
                 batch_size="auto"):
        self._assign(locals())

    def _objective(self, outputs, one_vs_rest, total):
        strength, mix = (0.0 if np.isinf(self.C) else 1 / (self.C * total)), self.l1_ratio or 0.0
        if self.penalty != "deprecated":
            warnings.warn("'penalty' is deprecated, as in scikit-learn: use l1_ratio=0 for 'l2', 1 for 'l1', between for 'elasticnet', "
                          "and C=np.inf for None", FutureWarning, stacklevel=6)
            strength, mix = (0.0 if self.penalty is None else strength), {"l1": 1.0, "l2": 0.0}.get(self.penalty, mix)
        return Objective("log_loss" if outputs == 1 else "softmax", l1=strength * mix, l2=strength * (1 - mix), outputs=outputs,
                         one_vs_rest=one_vs_rest, intercept=self.fit_intercept)


class LinearSVC(_Named):
    """Linear support vector machines, one class against the rest.

    Minimises ``C sum_i s_i max(0, 1 - y_i z_i)^2 + |w|^2 / 2`` over w and b for each class, or with loss='hinge' the same without
    the square.
    """

    _parameter_constraints: dict = {
        **CLASSES,
        "penalty": [StrOptions({"l1", "l2"})],
        "loss": [StrOptions({"hinge", "squared_hinge"})],
        "dual": ["boolean", StrOptions({"auto"})],
        "multi_class": [StrOptions({"ovr"})],
    }

    def __init__(self, penalty="l2", loss="squared_hinge", *, dual="auto", tol=1e-4, C=1.0, multi_class="ovr", fit_intercept=True,
                 intercept_scaling=1, class_weight=None, verbose=0, random_state=None, max_iter=1000, batch_size="auto", n_jobs=None):
        self._assign(locals())

    def _objective(self, outputs, one_vs_rest, total):
        strength, mix = (0.0 if np.isinf(self.C) else 1 / (self.C * total)), float(self.penalty == "l1")
        return Objective(self.loss, l1=strength * mix, l2=strength * (1 - mix), outputs=outputs, one_vs_rest=one_vs_rest,
                         intercept=self.fit_intercept)


class LinearSVR(Regressor):
    """Linear support vector regression.

    Minimises ``C sum_i s_i max(0, |y_i - x_i w - b| - epsilon) + |w|^2 / 2`` over w and b, or the same with squares.
    """

    _parameter_constraints: dict = {
        **COMMON,
        "epsilon": [NOT_NEGATIVE],
        "C": [Interval(Real, 0, None, closed="right")],
        "loss": [StrOptions({"epsilon_insensitive", "squared_epsilon_insensitive"})],
        "intercept_scaling": [POSITIVE],
        "dual": ["boolean", StrOptions({"auto"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(self, *, epsilon=0.0, tol=1e-4, C=1.0, loss="epsilon_insensitive", fit_intercept=True, intercept_scaling=1.0,
                 dual="auto", verbose=0, random_state=None, max_iter=1000, batch_size="auto", n_jobs=None):
        self._assign(locals())

    fit = _Squared.fit
    positive = False

    def _objective(self, outputs, one_vs_rest, total):
        return Objective(self.loss, float(self.epsilon), l2=0.0 if np.isinf(self.C) else 1 / (self.C * total), outputs=outputs,
                         intercept=self.fit_intercept)
