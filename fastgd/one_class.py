"""What is usual and what is not: the linear one-class support vector machine."""

from numbers import Real

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.callback import with_callbacks
from sklearn.utils._param_validation import Interval, StrOptions

from fastgd.estimators.base import unchanged_on_error
from fastgd.estimators.linear_model import LinearModel
from fastgd.estimators.parameters import SGD_CONSTRAINTS, checked
from fastgd.estimators.select_solver import is_automatic
from fastgd.methods.schedules import SCHEDULE_NAMES, Schedule
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Samples


class SGDOneClassSVM(OutlierMixin, LinearModel):
    """The linear one-class support vector machine by batch, mini-batch or stochastic gradient
    descent.

    Minimises ``sum_i s_i max(0, offset - w x_i) / sum_i s_i - nu offset + nu |w|^2 / 2`` over w and
    the offset: that is a hinge of the margins ``w x_i + b``, with ``b = 1 - offset``, of which b
    costs nu. Of the kernel machine it makes one with a map of the kernel before it, such as
    `sklearn.kernel_approximation.Nystroem`.

    Takes scikit-learn's `SGDOneClassSVM` parameters with their meanings, and adds `batch_size`,
    `optimizer`, `n_jobs` and `max_seconds`.

    Parameters
    ----------
    nu : float, default=0.5
        An upper bound of the share of the training rows that are outliers, and a lower bound of the
        share of support vectors, in (0, 1].

    fit_intercept : bool, default=True
        Whether there is an offset; without one it is 0.

    max_iter : int, default=1000
        Most epochs: passes over the training rows.

    tol : float or None, default=1e-3
        With ``learning_rate="auto"`` training stops when the objective F is known to be within
        `tol` of its minimum, relative to what w = 0 leaves to gain: ``(F - F*) / (F0 - F*) <=
        tol``. With other rates it stops when F has not fallen by `tol` below its best for 5 epochs
        in a row. None: all `max_iter` epochs.

    shuffle : bool or 'full', default=True
        True: visit the rows in an order as good as a new random permutation each epoch; 'full':
        always a full permutation; False: in the order given. A full batch has no order.

    verbose : int, default=0
        1 or more: show how training goes.

    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling. Same seed, same bits.

    learning_rate : str or schedule, default='auto'
        The rate of the t-th update, as in `SGDClassifier`; 'auto' needs no tuning and no scaling.
        'optimal' is scikit-learn's default.

    eta0 : float, default=0.01
        The first rate of the schedules that use it.

    power_t : float, default=0.5
        The exponent of 'invscaling', >= 0 (a negative one is deprecated).

    warm_start : bool, default=False
        Go on from the last fit, as in `SGDClassifier`.

    average : bool or int, default=False
        Publish the mean of the iterates; an int above 1: of those after that many visits.

    batch_size : int or 'full', default=1
        Rows an update: 1 stochastic, n mini-batch, 'full' batch gradient descent.

    optimizer : str or rule, default='sgd'
        What a step does with the gradient, as in `SGDClassifier`.

    n_jobs : int, default=None
        Threads inside one fit. None: all that OpenMP allows; -1: all processors. Never changes the
        result.

    max_seconds : float, default=None
        No epoch begins in `fit` later than that. None: no matter how long it takes.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        w; float32 where X is.

    offset_ : ndarray of shape (1,)
        The offset.

    n_iter_ : int
        Epochs of the last fit.

    t_ : int
        Number of updates, plus one.

    history_ : dict of lists
        One entry an epoch: ``loss``, ``gradient_norm``, ``learning_rate`` and ``seconds``, as in
        `SGDClassifier`.

    loss_curve_ : list
        ``history_["loss"]``

    stop_reason_ : str
        'tol', 'plateau', 'gradient', 'max_iter', 'max_seconds', 'callback', 'rounding' where no
        step gains more than rounding and `tol` is not reached, or, after Ctrl-C, 'interrupted'.

    converged_ : bool
        Whether `optimality_` has reached `tol`.

    optimality_ : float or None
        Upper bound of ``(F - F*) / (F0 - F*)``; None where nothing is known of the minimum: at
        rates chosen by hand, after `partial_fit`, and with ``tol=None``.

    optimality_kind_ : str or None
        'duality gap'

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has them.

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

    _CHOICES = (
        "fit_intercept",
        "max_iter",
        "tol",
        "shuffle",
        "verbose",
        "random_state",
        "learning_rate",
        "eta0",
        "power_t",
        "warm_start",
        "average",
        "batch_size",
        "optimizer",
        "n_jobs",
        "max_seconds",
    )
    _parameter_constraints: dict = {"nu": [Interval(Real, 0, 1, closed="right")]} | {
        **{name: SGD_CONSTRAINTS[name] for name in _CHOICES},
        "learning_rate": [StrOptions(set(SCHEDULE_NAMES) - {"pa1", "pa2"}), Schedule],
    }
    n_iter_no_change = 5

    def __init__(
        self,
        nu=0.5,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-3,
        shuffle=True,
        verbose=0,
        random_state=None,
        learning_rate="auto",
        eta0=0.01,
        power_t=0.5,
        warm_start=False,
        average=False,
        batch_size=1,
        optimizer="sgd",
        n_jobs=None,
        max_seconds=None,
    ):
        self._assign(locals())

    @property
    def loss(self):
        """Without an offset b is 1 for good, and the hinge of w x + 1 is the perceptron's loss of w
        x.
        """
        return "hinge" if self.fit_intercept else "perceptron"

    @property
    def alpha(self):
        """The strength of the penalty, by which some schedules go."""
        return self.nu

    @property
    def intercept_(self):
        """b, which `offset_` stands for."""
        return 1 - self.offset_ if self.fit_intercept else -self.offset_

    @checked
    @with_callbacks
    def fit(self, X, y=None, coef_init=None, offset_init=None, sample_weight=None):
        """Train from the start, or with `warm_start` go on.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : ignored
            Here for scikit-learn's contract.
        coef_init : array-like of the shape of `coef_`, default=None
            Coefficients to start from.
        offset_init : array-like of the shape of `offset_`, default=None
            The offset to start from.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. A row of weight 0 counts as absent.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Something in the arguments is not allowed, or training diverged; an earlier fit is kept.
        KeyboardInterrupt
            Ctrl-C: the model of the last complete epoch is stored.
        """
        fit_callbacks = self._fit_callbacks(X, y, sample_weight)
        with unchanged_on_error(self):
            return self._fit_rows(
                X,
                sample_weight,
                reset=True,
                fit_callbacks=fit_callbacks,
                coef_init=coef_init,
                offset_init=offset_init,
            )

    @checked
    def partial_fit(self, X, y=None, sample_weight=None):
        """One epoch on these rows, from where the last call ended.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : ignored
            Here for scikit-learn's contract.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0, in absolute terms: 1 is a row's usual weight.

        Returns
        -------
        self
        """
        with unchanged_on_error(self):
            return self._fit_rows(X, sample_weight, reset=not self._is_trained, partial=True)

    def _fit_rows(self, X, sample_weight, reset, coef_init=None, offset_init=None, **others):
        X = self._check_X(X, reset=reset)
        weights, ones = self._sample_weight(sample_weight, X), np.ones(X.shape[0])
        partial = others.get("partial", False)
        known = (partial or self.warm_start) and self._is_trained
        intercept_init = (
            None if offset_init is None else 1 - np.asarray(offset_init, dtype=np.float64)
        )
        if (
            self.fit_intercept
            and not known
            and (partial or coef_init is not None or not is_automatic(self))
        ):
            intercept_init = (
                np.ones(1) if intercept_init is None else intercept_init
            )  # scikit-learn's: an offset of 0
        init = coef_init, intercept_init
        return self._train(Samples(X, ones, ones, weights), 1, False, init=init, **others)

    def _objective(self, outputs, one_vs_rest, total):
        return Objective(
            self._loss(outputs),
            l2=float(self.nu),
            intercept=self.fit_intercept,
            tilt=self.nu if self.fit_intercept else 0.0,
        )

    def _store(self, coef, intercept):
        self.coef_, self.offset_ = coef[0], (1 if self.fit_intercept else 0) - intercept

    def decision_function(self, X):
        """Signed distances ``w x - offset``, shape (n_samples,): negative for outliers."""
        return self._margins(X)[:, 0] - (1 if self.fit_intercept else 0)

    def score_samples(self, X):
        """``w x``, shape (n_samples,)"""
        return self.decision_function(X) + self.offset_

    def predict(self, X):
        """1 for what is usual, -1 for outliers, shape (n_samples,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1).astype(np.int32)
