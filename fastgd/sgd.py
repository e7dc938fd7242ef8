"""Linear models whose loss, penalty, learning rate and batch size the user chooses."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call

from fastgd.estimators import types
from fastgd.estimators.chunked_data import check_in_memory, follow
from fastgd.estimators.linear_model import LinearModel
from fastgd.estimators.parameters import checked, parameters, trains
from fastgd.estimators.select_solver import is_automatic
from fastgd.estimators.supervised import Classifier, Regressor
from fastgd.methods.schedules import SCHEDULE_NAMES, Schedule
from fastgd.problem.chunks import Chunks
from fastgd.problem.losses import FOR_SGD, OF_VALUES
from fastgd.problem.objective import PENALTIES, Objective
from fastgd.problem.problem import Samples

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike

    from fastgd.problem.array_types import Array, Matrix, Rows

# The schedules, without the passive-aggressive ones.
OneClassRate = Annotated[str, StrOptions(set(SCHEDULE_NAMES) - {"pa1", "pa2"})] | Schedule


class _StartsAnywhere:
    """A linear model that can start from given coefficients."""

    intercept_: Array

    @trains
    def fit(
        self,
        X: Rows,
        y: Matrix | None = None,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Rows | None = None,
        y_val: Matrix | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train from the start, or with `warm_start` continue.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
            `Chunks` hold y and the weights too.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets; for classifiers, labels of shape (n_samples,), of at least two classes.
        coef_init : array-like of the shape of `coef_`, default=None
            Initial weights.
        intercept_init : array-like of the shape of `intercept_`, default=None
            Initial intercepts.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. Rows of weight 0 are ignored.
        X_val : {array-like, sparse matrix, Chunks}, shape (n_validation, n_features), default=None
            Validation rows. Their loss and score are added to `history_` after every epoch. With
            `early_stopping`, no other rows are held out.
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
            An argument is invalid, or training diverged. An earlier fit is kept.
        KeyboardInterrupt
            Ctrl-C. The model of the last complete epoch is stored.
        """
        init, validation = (coef_init, intercept_init), (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, init=init, validation=validation)


class _LearnsLabels(_StartsAnywhere, Classifier):
    """A linear classifier of streams."""

    @checked
    def partial_fit(
        self,
        X: Rows,
        y: Matrix | None = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on these rows, from where the last call ended. Callbacks and
        `verbose` have no effect.

        With ``learning_rate="auto"``, a drift of the data is detected: if the model predicts new
        rows significantly worse than the latest iterate does, averaging restarts from there. The
        cost of sparse rows is proportional to their stored values. `history_` grows in place.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Training rows. `Chunks` hold y and the weights too.
        y : array-like of shape (n_samples,), default=None
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that can occur. Required in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0, on an absolute scale: the usual weight of a row is 1.

        Returns
        -------
        self
        """
        if self.early_stopping:
            raise ValueError("early_stopping should be False with partial_fit")
        if isinstance(X, Chunks):
            return follow(self, X, y, sample_weight, classes=classes)
        X, y = self._check_X(X, reset=not hasattr(self, "classes_"), y=y)
        _check_partial_fit_first_call(self, classes)
        self._check_classes(self.classes_, goes_on=False)
        self._check_known(y, "classes should include all valid labels that can be in y, also")
        return self._fit_labels(X, y, sample_weight, partial=True)


@dataclass(eq=False, repr=False, kw_only=True)
class _SGD(_StartsAnywhere):
    """A linear model whose loss, penalty, learning rate and batch size the user chooses."""

    penalty: Annotated[str, StrOptions(set(PENALTIES))] | None = "l2"
    alpha: types.NonNegative = 0.0001
    l1_ratio: types.Ratio | None = 0.15
    fit_intercept: bool = True
    max_iter: types.AtLeast1 = 1000
    tol: types.NonNegative | None = 1e-3
    shuffle: bool | Literal["full"] = True
    verbose: types.Verbosity = 0
    epsilon: types.NonNegative = 0.1
    quantile: types.Fraction = 0.5
    n_jobs: int | None = None
    random_state: types.Seed = None
    learning_rate: Annotated[str, StrOptions(set(SCHEDULE_NAMES))] | Schedule = "auto"
    eta0: types.Positive = 0.01
    power_t: types.Finite = 0.5
    early_stopping: bool = False
    validation_fraction: types.Fraction = 0.1
    n_iter_no_change: types.AtLeast1 = 5
    class_weight: Literal["balanced"] | dict[Any, float] | None = None
    warm_start: bool = False
    average: types.AtLeast1 | bool = False
    batch_size: types.AtLeast1 | Literal["full"] = 1
    optimizer: types.Rule = "sgd"
    init: Literal["zeros", "normal"] = "zeros"
    positive: bool = False
    max_seconds: types.Positive | None = None
    n_restarts: types.Natural = 0


@parameters
class SGDClassifier(_SGD, _LearnsLabels):
    """Linear classifiers by batch, mini-batch or stochastic gradient descent.

    Minimises ``sum_i s_i L(W x_i + b, y_i) / sum_i s_i + alpha P(W)`` over W and b by the steps
    ``theta <- theta - eta_t (mean gradient of a batch + alpha dP)``.

    Takes scikit-learn's `SGDClassifier` parameters with their meanings, and adds `batch_size`,
    `optimizer`, `init`, `quantile` and `positive`.

    Parameters
    ----------
    loss : str, callable or compiled function, default='hinge'
        L, with y = +-1. Two classes have one row of W; more classes have one row each, against the
        rest:

        - 'hinge' ``max(0, 1 - y z)``, a linear support vector machine; 'squared_hinge' its square
        - 'log_loss' ``log(1 + exp(-y z))``, logistic regression
        - 'softmax' ``log sum_k exp(z_k) - z_y``, logistic regression of all classes jointly (of two
          classes: 'log_loss')
        - 'modified_huber' ``max(0, 1 - y z)^2``, linear below y z = -1; robust and with
          probabilities
        - 'perceptron' ``max(0, -y z)``
        - the losses of `SGDRegressor`, on +-1
        - a custom loss: a function ``loss(z, y) -> (values, slopes)`` of arrays, or a compiled
          function (see Notes)

    penalty : {'l2', 'l1', 'elasticnet', None}, default='l2'
        The penalty P: ``|W|^2 / 2``, ``|W|_1``, or ``l1_ratio |W|_1 + (1 - l1_ratio) |W|^2 / 2``.
        The intercept is never penalised. L1 is applied by its exact proximal operator, so that
        coefficients become exactly zero.

    alpha : float, default=0.0001
        Strength of the penalty, in [0, inf).

    l1_ratio : float, default=0.15
        Share of L1 in the elastic net, in [0, 1]. None is allowed with the other penalties.

    fit_intercept : bool, default=True
        Whether to fit an intercept b. It has the same learning rate on dense and sparse X.

    max_iter : int, default=1000
        Maximum number of epochs (passes over the training rows).

    tol : float or None, default=1e-3
        With ``learning_rate="auto"``, training stops when the objective F is within `tol` of its
        minimum F*, relative to the best constant model's objective F0: ``(F - F*) / (F0 - F*) <=
        tol``. With other rates, it stops when the loss has not improved by `tol` for
        `n_iter_no_change` epochs in a row, and with ``batch_size="full"`` also when the norm of the
        gradient is at most `tol` times its first value. None: all `max_iter` epochs.

    shuffle : bool or 'full', default=True
        True: visit the rows in an order as good as a new random permutation each epoch; 'full':
        always use a full permutation; False: keep the given order. A full batch has no order.

    verbose : int, default=0
        If positive, `fit` shows a progress bar with loss, rate and remaining time, which needs rich
        (``pip install 'fastgd[progress]'``). Without a terminal, and inside other estimators, it
        prints one line at its end.

    epsilon : float, default=0.1
        Threshold of 'huber' and of the epsilon-insensitive losses.

    quantile : float, default=0.5
        The quantile that ``loss="quantile"`` estimates, in (0, 1).

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling, the validation split and the random initial weights. The same seed
        gives the same bits.

    learning_rate : str or schedule, default='auto'
        The rate eta_t of the t-th update:

        - 'auto': no rate has to be chosen or tuned. Steps are taken on columns of standard
          deviation 1 (centred, if X is dense) without a copy of X; penalties remain those of the
          weights in the user's units. Single rows and mini-batches are trained by SAGA with
          importance sampling, after one or two passes of implicit SGD, unless full batches find the
          minimum sooner (little data, few columns; not with tol=None, `early_stopping` or
          `warm_start`); full batches by Newton's method with conjugate gradients and exact line
          search, and others (see `solver_`); streams (`partial_fit`) by averaged implicit SGD. With
          another `optimizer`, or with `average`, it is 'lipschitz' with a rate of 0.01. `eta0` and
          `power_t` have no effect; a warning says so if they differ from their defaults.
        - 'lipschitz': ``1 / (L sqrt(1 + epochs done))``, where L bounds the Lipschitz constant of
          the gradient by the longest row (full batches: 1 / L; 'poisson', which has no L: a guess
          from the largest y). Standardise the columns for speed. Adaptive rules (AdaGrad, RMSProp,
          Adam, AdamW) use `eta0` instead of 1 / L.
        - 'constant': ``eta0``
        - 'invscaling': ``eta0 / t**power_t``
        - 'optimal': ``1 / (alpha (t0 + t - 1))``, with t0 by Bottou's heuristic for rows of length
          1
        - 'adaptive': ``eta0``, divided by 5 whenever the loss has stalled
        - 'step': ``eta0``, halved every 10 epochs
        - 'cosine': from ``eta0`` to 0 along a cosine over `max_iter` epochs
        - 'one_cycle': up to ``eta0`` over three tenths of `max_iter` epochs, then down to 0 along a
          cosine
        - 'pa1', 'pa2': passive-aggressive steps, ``min(eta0, L / |x|^2)`` and ``L / (|x|^2 + 1 / (2
          eta0))``; for loss 'hinge' and ``batch_size=1``
        - a configured schedule: `Constant`, `InverseScaling`, `Optimal`, `Adaptive`, `StepDecay`,
          `CosineDecay`, `OneCycle`

    eta0 : float, default=0.01
        Initial rate of the schedules that use it.

    power_t : float, default=0.5
        Exponent of 'invscaling', >= 0. Negative values are deprecated.

    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows (none if `fit` is given validation
        rows) and to stop when their score has not improved by `tol` for `n_iter_no_change` epochs
        in a row. The model is that of the best epoch: the highest score, then the lowest loss.

    validation_fraction : float, default=0.1
        Share of the rows to hold out, in (0, 1).

    n_iter_no_change : int, default=5
        Number of epochs without improvement before training stops.

    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`. 'balanced': inversely proportional
        to the total weights of the classes in y; in `partial_fit`, in all rows so far.

    warm_start : bool, default=False
        Whether to continue the last fit. If nothing has changed since, except `max_iter`,
        `max_seconds`, `tol`, `verbose`, `n_jobs` and the callbacks, training takes exactly the
        steps of one longer `fit`: random stream, buffers of the update rule, averages, `t_` and
        `history_` continue, and 'cosine' or 'one_cycle' end after `max_iter` further epochs.
        Otherwise, or if initial coefficients are given, training starts from the coefficients
        alone.

    average : bool or int, default=False
        Whether to use the Polyak average of the iterates; an int n > 1 starts averaging after n
        samples.

    batch_size : int or 'full', default=1
        Rows per update: 1 is stochastic, n mini-batch, 'full' batch gradient descent. The last
        batch of an epoch may be smaller.

    optimizer : str or rule, default='sgd'
        The update rule: 'sgd', 'momentum', 'nesterov', 'adagrad', 'rmsprop', 'adam', 'adamw', or a
        configured `SGD`, `Momentum`, `Nesterov`, `AdaGrad`, `RMSProp`, `Adam`, `AdamW`, or
        `GradientNoise` around one of them.

    init : {'zeros', 'normal'}, default='zeros'
        Initial weights: zero, or normal with standard deviation 0.01.

    positive : bool, default=False
        Whether all weights must be >= 0. Intercepts may be negative.

    max_seconds : float, default=None
        Time limit of `fit` in seconds, after which no epoch begins. None: no limit.

    n_restarts : int, default=0
        Number of additional trainings from random initial weights as with ``init="normal"``. The
        model with the lowest objective is kept.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) for two classes, else (n_classes, n_features)
        Weights W; float32 if X is. After `partial_fit` on sparse rows it is computed on first
        access; later calls do not change an array that was returned before.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts b.

    classes_ : ndarray of shape (n_classes,)
        The labels.

    solver_ : str
        The method that has trained the model: 'saga', or the one of full batches, such as
        'newton-cholesky', where that finds the minimum in the time of a few epochs; at chosen
        rates the update rule.

    n_iter_ : int
        Number of epochs of the last fit.

    t_ : int
        Number of updates, plus one.

    history_ : dict of lists
        One entry per epoch: ``loss``, the mean loss of the rows, each at the weights of its update,
        plus the penalty (an L1 penalty that is applied row by row: the mean of its values at the
        start and the end of the epoch); ``gradient_norm``, for plain SGD the distance moved over
        the sum of the rates (the norm of the gradient for full batches), for other rules the mean
        norm of the batches' gradients; ``learning_rate``, the last one; ``seconds`` since the start
        of the fit; with validation rows ``validation_loss`` and ``validation_score``. A `fit` that
        continues the last one appends to it. `pandas.DataFrame` accepts it.

    loss_curve_ : list
        ``history_["loss"]``

    stop_reason_ : str
        'tol', 'plateau', 'gradient', 'validation', 'max_iter', 'max_seconds', 'callback',
        'rounding' (rounding errors prevent further progress before `tol` is reached) or
        'interrupted' (Ctrl-C).

    best_epoch_ : int
        With `early_stopping`, the epoch (from 1) whose model was kept. Its index in `history_` is
        ``best_epoch_ - 1``.

    converged_ : bool
        Whether `optimality_` is at most `tol`. A plateau, a small step or rounding is no
        convergence, nor is a small objective of separable classes, which has no minimum.

    optimality_ : float or None
        Estimate or upper bound of ``(F - F*) / (F0 - F*)``, where F* is the minimum and F0 the
        objective of the best constant model. None if it is unknown: with other rates than 'auto',
        after `partial_fit`, and with ``tol=None``.

    optimality_kind_ : str or None
        What `optimality_` is: a 'Newton decrement' (an estimate for smooth objectives) or a
        'duality gap' (a bound). None for the loss 'perceptron', whose minimum, all weights zero, is
        of no use.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    Notes
    -----
    A compiled custom loss (a `numba.cfunc`, a function pointer of ctypes with ``argtypes``, or a
    `scipy.LowLevelCallable`) has one of the signatures ``void (double z, double y, double *value,
    double *slope, void *data)`` and ``void (const double *z, const double *y, double *value, double
    *slope, intptr_t n, void *data)``, and is called inside the kernels by all threads. Only value
    and slope of a custom loss are known. ``learning_rate="auto"`` is L-BFGS on full batches, and
    otherwise Adam with decreasing rates, from one at which a first step decreases the objective.
    Training stops on a plateau or a small gradient, and `optimality_` is None.

    References
    ----------
    Bottou, "Large-scale machine learning with stochastic gradient descent", COMPSTAT 2010.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from fastgd import SGDClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = SGDClassifier("log_loss", batch_size=32, random_state=0)
    >>> model = make_pipeline(StandardScaler(), model)
    >>> model.fit(X, y).score(X, y) > 0.95
    True
    """

    loss: Annotated[str, StrOptions(set(FOR_SGD))] | types.Function = "hinge"


@parameters
class Perceptron(_LearnsLabels):
    """The perceptron: linear classifiers that learn from their errors.

    `fit` takes the steps of ``SGDClassifier(loss="perceptron", learning_rate="constant", eta0=1,
    penalty=None)``: a row with ``y (w x + b) <= 0`` adds ``eta0 y x`` to w and ``eta0 y`` to b,
    other rows change nothing. More than two classes have one row of W each, against the rest.

    Parameters
    ----------
    penalty : {'l2', 'l1', 'elasticnet', None}, default=None
        The penalty P: ``|W|^2 / 2``, ``|W|_1``, or ``l1_ratio |W|_1 + (1 - l1_ratio) |W|^2 / 2``.

    alpha : float, default=0.0001
        Strength of the penalty, in [0, inf), if there is one.

    l1_ratio : float, default=0.15
        Share of L1 in the elastic net, in [0, 1]. None is allowed with the other penalties.

    fit_intercept : bool, default=True
        Whether to fit an intercept b.

    max_iter : int, default=1000
        Maximum number of epochs (passes over the training rows).

    tol : float or None, default=1e-3
        Training stops when the loss has not improved by `tol` for `n_iter_no_change` epochs in a
        row. None: all `max_iter` epochs.

    shuffle : bool or 'full', default=True
        True: visit the rows in an order as good as a new random permutation each epoch; 'full':
        always use a full permutation; False: keep the given order. A full batch has no order.

    verbose : int, default=0
        If positive, `fit` shows a progress bar with loss, rate and remaining time, which needs rich
        (``pip install 'fastgd[progress]'``). Without a terminal, and inside other estimators, it
        prints one line at its end.

    eta0 : float, default=1.0
        The length of the steps, in (0, inf). Without a penalty it is a unit of the weights.

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    random_state : int, RandomState instance or None, default=0
        Seed of the shuffling and of the validation split. The same seed gives the same bits.

    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows (none if `fit` is given validation
        rows) and to stop when their score has not improved by `tol` for `n_iter_no_change` epochs
        in a row. The model is that of the best epoch: the highest score, then the lowest loss.

    validation_fraction : float, default=0.1
        Share of the rows to hold out, in (0, 1).

    n_iter_no_change : int, default=5
        Number of epochs without improvement before training stops.

    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`. 'balanced': inversely proportional
        to the total weights of the classes in y; in `partial_fit`, in all rows so far.

    warm_start : bool, default=False
        Whether to continue the last fit. If nothing has changed since, except `max_iter`,
        `max_seconds`, `tol`, `verbose`, `n_jobs` and the callbacks, training takes exactly the
        steps of one longer `fit`: random stream, buffers of the update rule, averages, `t_` and
        `history_` continue, and 'cosine' or 'one_cycle' end after `max_iter` further epochs.
        Otherwise, or if initial coefficients are given, training starts from the coefficients
        alone.

    batch_size : int or 'full', default=1
        Rows per update. The perceptron has 1; with more, a step is the mean of theirs.

    max_seconds : float, default=None
        Time limit of `fit` in seconds, after which no epoch begins. None: no limit.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) for two classes, else (n_classes, n_features)
        Weights W; float32 if X is.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts b.

    classes_ : ndarray of shape (n_classes,)
        The labels.

    solver_ : str
        'sgd'

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
        'plateau', 'validation', 'max_iter', 'max_seconds', 'callback' or 'interrupted' (Ctrl-C).

    best_epoch_ : int
        With `early_stopping`, the epoch (from 1) whose model was kept. Its index in `history_` is
        ``best_epoch_ - 1``.

    converged_ : bool
        False: no distance to a minimum is known. Without a penalty the minimum, all weights 0, is
        of no use.

    optimality_ : None
        Unknown, see `converged_`.

    optimality_kind_ : None
        Unknown, see `converged_`.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    References
    ----------
    Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in
    the brain", Psychological Review 65 (1958).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastgd import Perceptron
    >>> X, y = load_iris(return_X_y=True)
    >>> Perceptron().fit(X, y == 0).score(X, y == 0)
    1.0
    """

    loss, learning_rate = "perceptron", "constant"

    _: KW_ONLY
    penalty: Annotated[str, StrOptions(set(PENALTIES))] | None = None
    alpha: types.NonNegative = 0.0001
    l1_ratio: types.Ratio = 0.15
    fit_intercept: bool = True
    max_iter: types.AtLeast1 = 1000
    tol: types.NonNegative | None = 1e-3
    shuffle: bool | Literal["full"] = True
    verbose: types.Verbosity = 0
    eta0: types.Positive = 1.0
    n_jobs: int | None = None
    random_state: types.Seed = 0
    early_stopping: bool = False
    validation_fraction: types.Fraction = 0.1
    n_iter_no_change: types.AtLeast1 = 5
    class_weight: Literal["balanced"] | dict[Any, float] | None = None
    warm_start: bool = False
    batch_size: types.AtLeast1 | Literal["full"] = 1
    max_seconds: types.Positive | None = None

    # What a schedule may ask for.
    power_t = 0.5


@parameters
class SGDRegressor(_SGD, Regressor):
    """Linear regression by batch, mini-batch or stochastic gradient descent, of one target or
    several.

    Minimises ``sum_i s_i L(W x_i + b, y_i) / sum_i s_i + alpha P(W)`` over W and b by the steps
    ``theta <- theta - eta_t (mean gradient of a batch + alpha dP)``. The losses of several targets
    are added; they share the pass over X.

    Takes scikit-learn's `SGDRegressor` parameters with their meanings, and adds `batch_size`,
    `optimizer`, `init`, `n_jobs`, `quantile` and `positive`.

    Parameters
    ----------
    loss : str, callable or compiled function, default='squared_error'
        L, with r = z - y:

        - 'squared_error' ``r^2 / 2``
        - 'huber' the same, linear beyond ``|r| = epsilon``
        - 'epsilon_insensitive' ``max(0, |r| - epsilon)``; 'squared_epsilon_insensitive' its square
        - 'quantile' ``quantile |r|`` where y > z, ``(1 - quantile) |r|`` elsewhere
        - 'poisson' ``exp(z) - y z``, for counts y >= 0; `predict` returns exp(z)
        - a custom loss: a function ``loss(z, y) -> (values, slopes)`` of arrays, or a compiled
          function (see Notes)

    penalty : {'l2', 'l1', 'elasticnet', None}, default='l2'
        The penalty P: ``|W|^2 / 2``, ``|W|_1``, or ``l1_ratio |W|_1 + (1 - l1_ratio) |W|^2 / 2``.
        The intercept is never penalised. L1 is applied by its exact proximal operator, so that
        coefficients become exactly zero.

    alpha : float, default=0.0001
        Strength of the penalty, in [0, inf).

    l1_ratio : float, default=0.15
        Share of L1 in the elastic net, in [0, 1]. None is allowed with the other penalties.

    fit_intercept : bool, default=True
        Whether to fit an intercept b. It has the same learning rate on dense and sparse X.

    max_iter : int, default=1000
        Maximum number of epochs (passes over the training rows).

    tol : float or None, default=1e-3
        With ``learning_rate="auto"``, training stops when the objective F is within `tol` of its
        minimum F*, relative to the best constant model's objective F0: ``(F - F*) / (F0 - F*) <=
        tol``. With other rates, it stops when the loss has not improved by `tol` for
        `n_iter_no_change` epochs in a row, and with ``batch_size="full"`` also when the norm of the
        gradient is at most `tol` times its first value. None: all `max_iter` epochs.

    shuffle : bool or 'full', default=True
        True: visit the rows in an order as good as a new random permutation each epoch; 'full':
        always use a full permutation; False: keep the given order. A full batch has no order.

    verbose : int, default=0
        If positive, `fit` shows a progress bar with loss, rate and remaining time, which needs rich
        (``pip install 'fastgd[progress]'``). Without a terminal, and inside other estimators, it
        prints one line at its end.

    epsilon : float, default=0.1
        Threshold of 'huber' and of the epsilon-insensitive losses.

    quantile : float, default=0.5
        The quantile that ``loss="quantile"`` estimates, in (0, 1).

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling, the validation split and the random initial weights. The same seed
        gives the same bits.

    learning_rate : str or schedule, default='auto'
        The rate eta_t of the t-th update:

        - 'auto': no rate has to be chosen or tuned. Steps are taken on columns of standard
          deviation 1 (centred, if X is dense) without a copy of X; penalties remain those of the
          weights in the user's units. Single rows and mini-batches are trained by SAGA with
          importance sampling, after one or two passes of implicit SGD, unless full batches find the
          minimum sooner (little data, few columns; not with tol=None, `early_stopping` or
          `warm_start`); full batches by Newton's method with conjugate gradients and exact line
          search, and others (see `solver_`); streams (`partial_fit`) by averaged implicit SGD. With
          another `optimizer`, or with `average`, it is 'lipschitz' with a rate of 0.01. `eta0` and
          `power_t` have no effect; a warning says so if they differ from their defaults.
        - 'lipschitz': ``1 / (L sqrt(1 + epochs done))``, where L bounds the Lipschitz constant of
          the gradient by the longest row (full batches: 1 / L; 'poisson', which has no L: a guess
          from the largest y). Standardise the columns for speed. Adaptive rules (AdaGrad, RMSProp,
          Adam, AdamW) use `eta0` instead of 1 / L.
        - 'constant': ``eta0``
        - 'invscaling': ``eta0 / t**power_t``
        - 'optimal': ``1 / (alpha (t0 + t - 1))``, with t0 by Bottou's heuristic for rows of length
          1
        - 'adaptive': ``eta0``, divided by 5 whenever the loss has stalled
        - 'step': ``eta0``, halved every 10 epochs
        - 'cosine': from ``eta0`` to 0 along a cosine over `max_iter` epochs
        - 'one_cycle': up to ``eta0`` over three tenths of `max_iter` epochs, then down to 0 along a
          cosine
        - 'pa1', 'pa2': passive-aggressive steps, ``min(eta0, L / |x|^2)`` and ``L / (|x|^2 + 1 / (2
          eta0))``; for loss 'epsilon_insensitive' and ``batch_size=1``
        - a configured schedule: `Constant`, `InverseScaling`, `Optimal`, `Adaptive`, `StepDecay`,
          `CosineDecay`, `OneCycle`

    eta0 : float, default=0.01
        Initial rate of the schedules that use it.

    power_t : float, default=0.25
        Exponent of 'invscaling', >= 0. Negative values are deprecated.

    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows (none if `fit` is given validation
        rows) and to stop when their score has not improved by `tol` for `n_iter_no_change` epochs
        in a row. The model is that of the best epoch: the highest score, then the lowest loss.

    validation_fraction : float, default=0.1
        Share of the rows to hold out, in (0, 1).

    n_iter_no_change : int, default=5
        Number of epochs without improvement before training stops.

    warm_start : bool, default=False
        Whether to continue the last fit. If nothing has changed since, except `max_iter`,
        `max_seconds`, `tol`, `verbose`, `n_jobs` and the callbacks, training takes exactly the
        steps of one longer `fit`: random stream, buffers of the update rule, averages, `t_` and
        `history_` continue, and 'cosine' or 'one_cycle' end after `max_iter` further epochs.
        Otherwise, or if initial coefficients are given, training starts from the coefficients
        alone.

    average : bool or int, default=False
        Whether to use the Polyak average of the iterates; an int n > 1 starts averaging after n
        samples.

    batch_size : int or 'full', default=1
        Rows per update: 1 is stochastic, n mini-batch, 'full' batch gradient descent. The last
        batch of an epoch may be smaller.

    optimizer : str or rule, default='sgd'
        The update rule: 'sgd', 'momentum', 'nesterov', 'adagrad', 'rmsprop', 'adam', 'adamw', or a
        configured `SGD`, `Momentum`, `Nesterov`, `AdaGrad`, `RMSProp`, `Adam`, `AdamW`, or
        `GradientNoise` around one of them.

    init : {'zeros', 'normal'}, default='zeros'
        Initial weights: zero, or normal with standard deviation 0.01.

    positive : bool, default=False
        Whether all weights must be >= 0. Intercepts may be negative.

    max_seconds : float, default=None
        Time limit of `fit` in seconds, after which no epoch begins. None: no limit.

    n_restarts : int, default=0
        Number of additional trainings from random initial weights as with ``init="normal"``. The
        model with the lowest objective is kept.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Weights W; float32 if X is. After `partial_fit` on sparse rows it is computed on first
        access; later calls do not change an array that was returned before.

    intercept_ : ndarray of shape (1,) or (n_targets,)
        Intercepts b.

    solver_ : str
        The method that has trained the model: 'saga', or the one of full batches, such as
        'newton-cholesky', where that finds the minimum in the time of a few epochs; at chosen
        rates the update rule.

    n_iter_ : int
        Number of epochs of the last fit.

    t_ : int
        Number of updates, plus one.

    history_ : dict of lists
        One entry per epoch: ``loss``, the mean loss of the rows, each at the weights of its update,
        plus the penalty (an L1 penalty that is applied row by row: the mean of its values at the
        start and the end of the epoch); ``gradient_norm``, for plain SGD the distance moved over
        the sum of the rates (the norm of the gradient for full batches), for other rules the mean
        norm of the batches' gradients; ``learning_rate``, the last one; ``seconds`` since the start
        of the fit; with validation rows ``validation_loss`` and ``validation_score``. A `fit` that
        continues the last one appends to it. `pandas.DataFrame` accepts it.

    loss_curve_ : list
        ``history_["loss"]``

    stop_reason_ : str
        'tol', 'plateau', 'gradient', 'validation', 'max_iter', 'max_seconds', 'callback',
        'rounding' (rounding errors prevent further progress before `tol` is reached) or
        'interrupted' (Ctrl-C).

    best_epoch_ : int
        With `early_stopping`, the epoch (from 1) whose model was kept. Its index in `history_` is
        ``best_epoch_ - 1``.

    converged_ : bool
        Whether `optimality_` is at most `tol`. A plateau, a small step or rounding is no
        convergence, nor is a small objective of separable classes, which has no minimum.

    optimality_ : float or None
        Estimate or upper bound of ``(F - F*) / (F0 - F*)``, where F* is the minimum and F0 the
        objective of the best constant model. None if it is unknown: with other rates than 'auto',
        after `partial_fit`, and with ``tol=None``.

    optimality_kind_ : str or None
        What `optimality_` is: a 'Newton decrement' (an estimate for smooth objectives) or a
        'duality gap' (a bound). None for the loss 'perceptron', whose minimum, all weights zero, is
        of no use.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    Notes
    -----
    A compiled custom loss (a `numba.cfunc`, a function pointer of ctypes with ``argtypes``, or a
    `scipy.LowLevelCallable`) has one of the signatures ``void (double z, double y, double *value,
    double *slope, void *data)`` and ``void (const double *z, const double *y, double *value, double
    *slope, intptr_t n, void *data)``, and is called inside the kernels by all threads. Only value
    and slope of a custom loss are known. ``learning_rate="auto"`` is L-BFGS on full batches, and
    otherwise Adam with decreasing rates, from one at which a first step decreases the objective.
    Training stops on a plateau or a small gradient, and `optimality_` is None.

    References
    ----------
    Bottou, "Large-scale machine learning with stochastic gradient descent", COMPSTAT 2010.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import SGDRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = SGDRegressor(
    ...     batch_size="full", optimizer="adam", learning_rate="constant", eta0=5.0, penalty=None)
    >>> model.fit(X, y).score(X, y) > 0.5
    True
    """

    loss: Annotated[str, StrOptions(set(OF_VALUES))] | types.Function = "squared_error"
    _: KW_ONLY
    power_t: types.Finite = 0.25
    class_weight: None = field(default=None, init=False)  # a parameter of classifiers only

    @checked
    def partial_fit(
        self, X: Rows, y: Matrix | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on these rows, from where the last call ended. Callbacks and
        `verbose` have no effect.

        With ``learning_rate="auto"``, a drift of the data is detected: if the model predicts new
        rows significantly worse than the latest iterate does, averaging restarts from there. The
        cost of sparse rows is proportional to their stored values. `history_` grows in place.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Training rows. `Chunks` hold y and the weights too.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0, on an absolute scale: the usual weight of a row is 1.

        Returns
        -------
        self
        """
        if self.early_stopping:
            raise ValueError("early_stopping should be False with partial_fit")
        if isinstance(X, Chunks):
            return follow(self, X, y, sample_weight)
        return self._fit_targets(X, y, sample_weight, reset=not self._is_trained, partial=True)


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
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    max_seconds : float, default=None
        Time limit of `fit` in seconds, after which no epoch begins. None: no limit.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights w; float32 if X is.

    offset_ : ndarray of shape (1,)
        The offset.

    solver_ : str
        The method that has trained the model: 'saga', or the one of full batches, such as
        'newton-cholesky', where that finds the minimum in the time of a few epochs; at chosen
        rates the update rule.

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
    learning_rate: OneClassRate = "auto"
    eta0: types.Positive = 0.01
    power_t: types.Finite = 0.5
    warm_start: bool = False
    average: types.AtLeast1 | bool = False
    batch_size: types.AtLeast1 | Literal["full"] = 1
    optimizer: types.Rule = "sgd"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None

    @property
    def loss(self) -> str:
        """Without an offset b is 1, and the hinge loss of w x + 1 is the perceptron loss of w x."""
        return "hinge" if self.fit_intercept else "perceptron"

    @property
    def alpha(self) -> float:
        """The strength of the penalty, which some schedules use."""
        return self.nu

    @property
    def intercept_(self) -> Array:
        """b, as `offset_` determines it."""
        return 1 - self.offset_ if self.fit_intercept else -self.offset_

    @trains
    def fit(
        self,
        X: Matrix,
        y: object = None,
        coef_init: ArrayLike | None = None,
        offset_init: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
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
        check_in_memory(self, X, "give the chunks to partial_fit, one after the other")
        fit_callbacks = self._fit_callbacks(X, y, sample_weight)
        init = {"coef_init": coef_init, "offset_init": offset_init}
        return self._fit_rows(X, sample_weight, fit_callbacks=fit_callbacks, **init)

    @checked
    def partial_fit(
        self, X: Matrix, y: object = None, sample_weight: ArrayLike | None = None
    ) -> Self:
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
        self.coef_ = coef[0]
        self.offset_: Array = int(self.fit_intercept) - intercept

    def decision_function(self, X: Matrix) -> Array:
        """Signed distances ``w x - offset``, shape (n_samples,): negative for outliers."""
        return self._margins(X)[:, 0] - int(self.fit_intercept)

    def score_samples(self, X: Matrix) -> Array:
        """``w x``, shape (n_samples,)"""
        return self.decision_function(X) + self.offset_

    def predict(self, X: Matrix) -> Array:
        """1 for inliers, -1 for outliers, shape (n_samples,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1).astype(np.int32)
