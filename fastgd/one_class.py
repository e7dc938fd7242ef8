"""Novelty detection: the linear one-class support vector machine."""

from numbers import Real
from typing import Annotated, Literal

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.callback import with_callbacks
from sklearn.utils._param_validation import Interval, StrOptions

from fastgd.estimators import types
from fastgd.estimators.base import unchanged_on_error
from fastgd.estimators.linear_model import LinearModel
from fastgd.estimators.parameters import checked, parameters
from fastgd.estimators.select_solver import is_automatic
from fastgd.methods.schedules import SCHEDULE_NAMES, Schedule
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Samples

# The schedules, without the passive-aggressive ones.
Rate = Annotated[str, StrOptions(set(SCHEDULE_NAMES) - {"pa1", "pa2"})] | Schedule


@parameters
class SGDOneClassSVM(OutlierMixin, LinearModel):
    """The linear one-class support vector machine by batch, mini-batch or stochastic gradient
    descent.

    Minimises ``sum_i s_i max(0, offset - w x_i) / sum_i s_i - nu offset + nu |w|^2 / 2`` over w and
    the offset: the hinge loss of the margins ``w x_i + b``, where ``b = 1 - offset`` has the linear
    cost ``nu b``. For a kernel machine, put a kernel map such as
    `sklearn.kernel_approximation.Nystroem` in front.

    Takes scikit-learn's `SGDOneClassSVM` parameters with their meanings, and adds `batch_size`,
    `optimizer`, `n_jobs` and `max_seconds`.

    Parameters
    ----------
    nu : float, default=0.5
        Upper bound of the share of outliers among the training rows, and lower bound of the share
        of support vectors, in (0, 1].

    fit_intercept : bool, default=True
        Whether to fit an offset. Otherwise it is 0.

    max_iter : int, default=1000
        Maximum number of epochs (passes over the training rows).

    tol : float or None, default=1e-3
        With ``learning_rate="auto"``, training stops when the objective F is within `tol` of its
        minimum F*, relative to the objective F0 at w = 0: ``(F - F*) / (F0 - F*) <= tol``. With
        other rates, it stops when F has not improved by `tol` for 5 epochs in a row. None: all
        `max_iter` epochs.

    shuffle : bool or 'full', default=True
        True: visit the rows in an order as good as a new random permutation each epoch; 'full':
        always use a full permutation; False: keep the given order. A full batch has no order.

    verbose : int, default=0
        If positive, `fit` shows a progress bar with loss, rate and remaining time, which needs rich
        (``pip install 'fastgd[progress]'``). Without a terminal, and inside other estimators, it
        prints one line at its end.

    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling. The same seed gives the same bits.

    learning_rate : str or schedule, default='auto'
        The rate of the t-th update, as in `SGDClassifier`; 'auto' needs no tuning and no scaling.
        'optimal' is scikit-learn's default.

    eta0 : float, default=0.01
        Initial rate of the schedules that use it.

    power_t : float, default=0.5
        Exponent of 'invscaling', >= 0. Negative values are deprecated.

    warm_start : bool, default=False
        Whether to continue the last fit, as in `SGDClassifier`.

    average : bool or int, default=False
        Whether to use the Polyak average of the iterates; an int n > 1 starts averaging after n
        samples.

    batch_size : int or 'full', default=1
        Rows per update: 1 is stochastic, n mini-batch, 'full' batch gradient descent. The last
        batch of an epoch may be smaller.

    optimizer : str or rule, default='sgd'
        The update rule, as in `SGDClassifier`.

    n_jobs : int, default=None
        Number of threads. None: all that OpenMP allows; -1: all processors. It does not change the
        result.

    max_seconds : float, default=None
        Time limit of `fit` in seconds, after which no epoch begins. None: no limit.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights w; float32 if X is.

    offset_ : ndarray of shape (1,)
        The offset.

    n_iter_ : int
        Number of epochs of the last fit.

    t_ : int
        Number of updates, plus one.

    history_ : dict of lists
        One entry per epoch: ``loss``, ``gradient_norm``, ``learning_rate`` and ``seconds``, as in
        `SGDClassifier`.

    loss_curve_ : list
        ``history_["loss"]``

    stop_reason_ : str
        'tol', 'plateau', 'gradient', 'max_iter', 'max_seconds', 'callback', 'rounding' (rounding
        errors prevent further progress before `tol` is reached) or 'interrupted' (Ctrl-C).

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float or None
        Upper bound of ``(F - F*) / (F0 - F*)``, where F* is the minimum and F0 the objective at w =
        0. None if it is unknown: with other rates than 'auto', after `partial_fit`, and with
        ``tol=None``.

    optimality_kind_ : str or None
        What `optimality_` is: a 'duality gap' (a bound).

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    References
    ----------
    Schölkopf, Platt, Shawe-Taylor, Smola and Williamson, "Estimating the support of a
    high-dimensional distribution", Neural Computation 13 (2001).

    Examples
    --------
    >>> from fastgd import SGDOneClassSVM
    >>> X = [[1.0, 1.2], [1.1, 0.9], [0.9, 1.0], [1.2, 1.1], [-1.0, -1.0]]
    >>> model = SGDOneClassSVM(nu=0.5, random_state=0).fit(X)
    >>> model.predict([[1.3, 1.2], [-1.0, 0.5]])
    array([ 1, -1], dtype=int32)
    """

    n_iter_no_change = 5  # as in scikit-learn

    nu: Annotated[float, Interval(Real, 0, 1, closed="right")] = 0.5
    fit_intercept: bool = True
    max_iter: types.AtLeast1 = 1000
    tol: types.NonNegative | None = 1e-3
    shuffle: bool | Literal["full"] = True
    verbose: types.Verbosity = 0
    random_state: types.Seed = None
    learning_rate: Rate = "auto"
    eta0: types.Positive = 0.01
    power_t: types.Finite = 0.5
    warm_start: bool = False
    average: types.AtLeast1 | bool = False
    batch_size: types.AtLeast1 | Literal["full"] = 1
    optimizer: types.Rule = "sgd"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None

    @property
    def loss(self):
        """Without an offset b is 1, and the hinge loss of w x + 1 is the perceptron loss of w x."""
        return "hinge" if self.fit_intercept else "perceptron"

    @property
    def alpha(self):
        """The strength of the penalty, which some schedules use."""
        return self.nu

    @property
    def intercept_(self):
        """b, as `offset_` determines it."""
        return 1 - self.offset_ if self.fit_intercept else -self.offset_

    @checked
    @with_callbacks
    def fit(self, X, y=None, coef_init=None, offset_init=None, sample_weight=None):
        """Train from the start, or with `warm_start` continue.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : ignored
            Here for scikit-learn's contract.
        coef_init : array-like of the shape of `coef_`, default=None
            Initial weights.
        offset_init : array-like of the shape of `offset_`, default=None
            Initial offset.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. Rows of weight 0 are ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An argument is invalid, or training diverged. An earlier fit is kept.
        KeyboardInterrupt
            Ctrl-C. The model of the last complete epoch is stored.
        """
        fit_callbacks = self._fit_callbacks(X, y, sample_weight)
        init = {"coef_init": coef_init, "offset_init": offset_init}
        with unchanged_on_error(self):
            return self._fit_rows(X, sample_weight, fit_callbacks=fit_callbacks, **init)

    @checked
    def partial_fit(self, X, y=None, sample_weight=None):
        """Train for one epoch on these rows, from where the last call ended.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : ignored
            Here for scikit-learn's contract.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0, on an absolute scale: the usual weight of a row is 1.

        Returns
        -------
        self
        """
        with unchanged_on_error(self):
            return self._fit_rows(X, sample_weight, partial=True)

    def _fit_rows(
        self, X, sample_weight, partial=False, coef_init=None, offset_init=None, **others
    ):
        X = self._check_X(X, reset=not (partial and self._is_trained))
        weights, ones = self._sample_weight(sample_weight, X), np.ones(X.shape[0])
        continues = (partial or self.warm_start) and self._is_trained
        has_init = partial or coef_init is not None
        intercept_init = None
        if offset_init is not None:
            intercept_init = 1 - np.asarray(offset_init, dtype=np.float64)
        elif self.fit_intercept and not continues and (has_init or not is_automatic(self)):
            intercept_init = np.ones(1)  # an offset of 0, as in scikit-learn
        others |= {"init": (coef_init, intercept_init), "partial": partial}
        return self._train(Samples(X, ones, ones, weights), 1, False, **others)

    def _objective(self, outputs, one_vs_rest, total):
        loss, tilt = self._loss(outputs), self.nu if self.fit_intercept else 0.0
        return Objective(loss, l2=float(self.nu), intercept=self.fit_intercept, tilt=tilt)

    def _store(self, coef, intercept):
        self.coef_, self.offset_ = coef[0], int(self.fit_intercept) - intercept

    def decision_function(self, X):
        """Signed distances ``w x - offset``, shape (n_samples,): negative for outliers."""
        return self._margins(X)[:, 0] - int(self.fit_intercept)

    def score_samples(self, X):
        """``w x``, shape (n_samples,)"""
        return self.decision_function(X) + self.offset_

    def predict(self, X):
        """1 for inliers, -1 for outliers, shape (n_samples,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1).astype(np.int32)
