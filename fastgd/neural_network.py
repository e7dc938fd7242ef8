"""Feed-forward neural networks: a classifier and a regressor."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from sklearn.utils import column_or_1d, compute_class_weight, compute_sample_weight, multiclass
from sklearn.utils._param_validation import Options, StrOptions
from sklearn.utils.validation import _check_y, check_is_fitted

from fastgd.estimators import types
from fastgd.estimators.base import Model
from fastgd.estimators.chunked_data import NO_ROWS, TakesChunks, by_chunks, follow, opened
from fastgd.estimators.network_fit import NetworkFit
from fastgd.estimators.parameters import available_if, checked, parameters, trains
from fastgd.estimators.targets import Labels, Values
from fastgd.methods.mlp import ACTIVATIONS, Architecture
from fastgd.methods.network_units import pack
from fastgd.methods.schedules import Schedule
from fastgd.problem import passes
from fastgd.problem.chunks import Chunks
from fastgd.problem.data import distinct_columns
from fastgd.problem.losses import KINDS, EpsilonInsensitive, Huber, LogLoss, Softmax
from fastgd.problem.problem import Samples
from fastgd.training.blas import one_blas_thread

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike

    from fastgd.problem.array_types import Array, Matrix, Rows

# Predictions of at most this number of rows have products too short for several BLAS threads.
MAX_ROWS_OF_SHORT_PRODUCTS = 256


class _FittedNetwork(Model):
    """The attributes of a fitted network."""

    coefs_: list[Array]
    intercepts_: list[Array]
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    alpha_: float
    loss_: float
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    converged_: bool
    optimality_: float | None
    optimality_kind_: str | None
    solver_: str
    t_: int


@dataclass(eq=False, repr=False, kw_only=True)
class NeuralNetwork(_FittedNetwork):
    """Feed-forward networks trained by gradient descent.

    A subclass converts y to the kernels' targets, defines loss and output activation, and predicts.
    """

    solver: Literal["auto", "lbfgs", "sgd", "adam", "adamw"] = "auto"
    alpha: types.NonNegative | Literal["auto"] = "auto"
    batch_size: Literal["auto", "full"] | types.AtLeast1 = "auto"
    learning_rate: Literal["constant", "invscaling", "adaptive"] | Schedule = "constant"
    learning_rate_init: types.Positive = 0.001
    power_t: types.NonNegative = 0.5
    max_iter: types.AtLeast1 = 200
    shuffle: bool = True
    random_state: types.Seed = None
    tol: types.NonNegative | None = 1e-4
    verbose: types.Verbosity = False
    warm_start: bool = False
    momentum: types.Decay = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: types.Fraction = 0.1
    beta_1: types.Decay = 0.9
    beta_2: types.Decay = 0.999
    epsilon: types.Positive = 1e-8
    n_iter_no_change: types.AtLeast1 | Annotated[float, Options(Real, {np.inf})] = 10
    max_fun: types.AtLeast1 = 15000
    dropout: types.Decay = 0.0
    max_seconds: types.Positive | None = None

    # ---- training ----

    @property
    def _needs_moments(self):
        """Whether columns are scaled by their sums of squares."""
        return self.solver == "auto" and getattr(self, "class_weight", None) is None

    def _architecture(self):
        """The hidden layers."""
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        whole = all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes)
        if not whole or any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, and whole numbers; got {sizes}.")
        hidden = tuple(int(size) for size in sizes)
        return Architecture(hidden, self.activation, float(self.dropout))

    def _train(self, *data, **others):
        """Train on checked data and store the model; the arguments are those of a `NetworkFit`."""
        return NetworkFit(self, *data, **others).run()

    def _store(self, coefs, intercepts):
        self.coefs_, self.intercepts_ = coefs, intercepts

    def _learnt(self):
        """The learnt parameters."""
        return *self.coefs_, *self.intercepts_

    # ---- prediction ----

    def _packed(self, dtype):
        """(flat vector, widths) of the fitted layers."""
        widths = np.array([W.shape[0] for W in self.coefs_] + [self.coefs_[-1].shape[1]])
        return pack(self.coefs_, self.intercepts_, dtype), widths

    def _margins(self, X):
        """The last layer's Z for the rows of X, (n, outputs)."""
        check_is_fitted(self)
        rows = passes.rows_of(distinct_columns(self._check_X(X, reset=False)))
        theta, widths = self._packed(rows.dtype)
        with one_blas_thread() if rows.shape[0] > MAX_ROWS_OF_SHORT_PRODUCTS else nullcontext():
            layers = self._architecture().network(widths)
            out = passes.network_margins(rows, theta, widths[-1], layers)
        return out.reshape(-1, widths[-1])


def _takes_streams(model):
    if model.solver == "lbfgs":
        raise AttributeError("partial_fit needs a stochastic solver, and solver='lbfgs' is not")
    return True


@parameters
class MLPClassifier(TakesChunks, Labels, NeuralNetwork):
    """Feed-forward neural networks for two or more classes, or for multilabel classification.

    Minimises ``sum_i s_i L(Z_L(x_i), y_i) / sum_i s_i + alpha / (2 rows) |W|^2`` over the weights
    and intercepts of the layers ``Z_l = A_(l-1) W_l + b_l``, ``A_l = f(Z_l)``, ``A_0 = x``. L is
    ``log sum_k exp(z_k) - z_y`` (softmax) for more than two classes, and ``log(1 + exp(-y z))`` for
    two classes and for each label of multilabel targets.

    Takes scikit-learn's `MLPClassifier` parameters with their meanings, and adds ``solver='auto'``
    and ``'adamw'``, activations, schedules, ``batch_size='full'``, `class_weight`, `dropout`, and
    validation data.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Number of units of each hidden layer, > 0.

    activation : str, default='relu'
        The function f of the hidden layers: 'relu' ``max(0, z)``; 'leaky_relu' the same with slope
        0.01 below 0; 'gelu' ``z Phi(z)`` with the normal distribution function Phi; 'silu' ``z / (1
        + exp(-z))``; 'softplus' ``log(1 + exp(z))``; 'tanh' ``tanh(z)``; 'logistic' ``1 / (1 +
        exp(-z))``; 'identity' ``z``.

    solver : {'auto', 'lbfgs', 'sgd', 'adam', 'adamw'}, default='auto'
        - 'auto': neither a learning rate nor scaled columns are needed. Training uses columns of
          standard deviation 1, without a copy of X (their scaling is moved into the first layer at
          the end), and schedule-free Adam at a rate that depends on the number of layers and of
          updates per epoch. `alpha` penalises the weights of the scaled columns. `learning_rate`,
          `learning_rate_init`, `power_t`, `momentum`, `nesterovs_momentum`, `beta_1`, `beta_2`,
          `epsilon` and `max_fun` have no effect.
        - 'lbfgs': L-BFGS on full batches, one iteration per epoch; stops when no component of the
          gradient is larger than `tol`
        - 'sgd': gradient descent, with momentum
        - 'adam'
        - 'adamw': Adam with decoupled weight decay: each update subtracts ``rate * alpha * W``

    alpha : float or 'auto', default='auto'
        Strength of the L2 penalty ``alpha / (2 rows) |W|^2`` of a batch's mean loss, in [0, inf).
        Intercepts are not penalised. 'auto': 0.0001, as in scikit-learn; with ``solver='auto'`` the
        size of a batch divided by the number of rows (in `partial_fit`, of all rows so far), so
        that the penalty over all rows is ``|W|^2 / 2``, that of a standard normal prior of the
        weights.

    batch_size : int, 'auto' or 'full', default='auto'
        Rows per update: 1 is stochastic, n mini-batch, 'full' batch gradient descent. 'auto' is
        ``min(200, n_samples)``.

    learning_rate : {'constant', 'invscaling', 'adaptive'} or schedule, default='constant'
        For ``solver='sgd'``: the rate is ``learning_rate_init`` ('constant'), divided by ``(1 +
        rows visited)**power_t`` once per epoch ('invscaling'), or divided by 5 whenever the loss
        has stalled ('adaptive'). A configured schedule, such as `CosineDecay`, also applies to Adam
        and AdamW.

    learning_rate_init : float, default=0.001
        Initial rate of 'sgd', 'adam' and 'adamw'.

    power_t : float, default=0.5
        Exponent of 'invscaling'.

    max_iter : int, default=200
        Maximum number of epochs.

    shuffle : bool, default=True
        Whether to visit the rows in a new random order in each epoch.

    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the shuffling, dropout and the validation split. The same seed
        gives the same bits, whatever the number of threads: training uses one.

    tol : float or None, default=1e-4
        Training stops when the loss (with `early_stopping`, the validation score) has not improved
        by `tol` for more than `n_iter_no_change` epochs in a row. In regression with
        ``solver="auto"``, `tol` is relative to the loss of the best constant model. None: all
        `max_iter` epochs.

    verbose : bool or int, default=False
        Whether to show the progress of the epochs.

    warm_start : bool, default=False
        Whether to continue the last fit. If nothing has changed since, except `max_iter`,
        `max_seconds`, `tol`, `verbose` and the callbacks, training takes exactly the steps of one
        longer `fit`, and `history_` and `t_` continue. Otherwise it starts from the weights of the
        last fit.

    momentum : float, default=0.9
        Momentum of 'sgd', in [0, 1).

    nesterovs_momentum : bool, default=True
        Whether to use Nesterov's momentum.

    early_stopping : bool, default=False
        Whether to stop when the score on validation rows has stalled, and to restore the best
        epoch. The rows are `X_val` of `fit`, or `validation_fraction` of the training rows.

    validation_fraction : float, default=0.1
        Share of the rows to hold out, in (0, 1).

    beta_1, beta_2 : float, default=0.9 and 0.999
        Decay rates of Adam's running means, in [0, 1).

    epsilon : float, default=1e-8
        Added to the square roots in Adam's denominators.

    n_iter_no_change : int, default=10
        Number of epochs without improvement before training stops.

    max_fun : int, default=15000
        Maximum number of evaluations of the loss by 'lbfgs'.

    dropout : float, default=0.0
        Share of the hidden units that are dropped in each step, in [0, 1). The others are scaled
        up.

    max_seconds : float or None, default=None
        Time limit of `fit` in seconds, after which no epoch begins. None: no limit.

    class_weight : dict, list of dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`. 'balanced': inversely proportional
        to the total weights of the classes in y. Multilabel targets have a dict per label.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.

    coefs_ : list of ndarray of shape (inputs, units)
        Weights of the layers; float32 if X is.

    intercepts_ : list of ndarray of shape (units,)
        Intercepts of the layers.

    alpha_ : float
        The `alpha` used in the last fit.

    n_iter_ : int
        Number of epochs of the last fit.

    n_layers_ : int
        Number of layers, including input and output.

    n_outputs_ : int
        Number of units of the last layer.

    out_activation_ : str
        'softmax' for more than two classes, otherwise 'logistic'.

    loss_ : float
        Loss of the last epoch.

    loss_curve_ : list
        ``history_["loss"]``

    best_loss_ : float or None
        The smallest loss of an epoch; None with `early_stopping`.

    validation_scores_ : list or None
        The score on the validation rows after each epoch.

    best_validation_score_ : float or None
        The largest of these scores.

    history_ : dict of lists
        One entry per epoch: ``loss``, the mean loss of the rows, each at the weights of its update,
        plus the penalty; ``gradient_norm``, the mean norm of the batches' gradients;
        ``learning_rate``, the last one; ``seconds`` since the start of the fit; with validation
        rows ``validation_loss`` and ``validation_score``. `pandas.DataFrame` accepts it.

    best_epoch_ : int
        With `early_stopping`, the epoch (from 1) whose model was kept. Its index in `history_` is
        ``best_epoch_ - 1``.

    stop_reason_ : str
        'tol', 'plateau', 'validation', 'max_iter', 'max_fun', 'max_seconds', 'callback' or
        'interrupted' (Ctrl-C).

    t_ : int
        Number of rows visited.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    References
    ----------
    Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 1986;
    Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015; Defazio et al., "The road
    less scheduled", NeurIPS 2024; He et al., "Delving deep into rectifiers", ICCV 2015; Glorot,
    Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS
    2010; Srivastava et al., "Dropout", JMLR 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from fastgd import MLPClassifier
    >>> X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    >>> model = MLPClassifier(random_state=0).fit(X, y)
    >>> model.score(X_test, y_test) > 0.96
    True
    """

    hidden_layer_sizes: types.ArrayLike | types.AtLeast1 = (100,)
    activation: Annotated[str, StrOptions(set(ACTIVATIONS))] = "relu"
    _: KW_ONLY
    class_weight: Literal["balanced"] | dict[Any, float] | list[Any] | None = None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

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
        """Train from the start, or with `warm_start` continue.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
            `Chunks` hold y and the weights too; batches are drawn from the mixed rows of their
            `shuffle` chunks at a time.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Labels, of at least two classes; or a column of 0 and 1 for each of several labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. Rows of weight 0 are ignored.
        X_val, y_val, sample_weight_val : like X, y and sample_weight, default=None
            Validation rows. Their loss and score are added to `history_` after every epoch. With
            `early_stopping`, the best epoch is kept. Of `Chunks` X_val holds the others too.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An argument is invalid, or training diverged. An earlier fit is kept.
        """
        fit_callbacks = self._fit_callbacks(X, y, sample_weight)
        first = not (self.warm_start and hasattr(self, "classes_"))
        X, y, sample_weight = opened(self, X, y, sample_weight, reset=first)
        X, y = self._check_X(X, reset=first, y=y, multi_output=True)
        y = self._check_labels(y)
        self._set_classes(multiclass.unique_labels(y), y.ndim == 2, goes_on=not first)
        others = {"validation": (X_val, y_val, sample_weight_val), "fit_callbacks": fit_callbacks}
        return self._fit_labels(X, y, sample_weight, **others)

    @available_if(_takes_streams)
    @checked
    def partial_fit(
        self,
        X: Rows,
        y: Matrix | None = None,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on these rows, from where the last call ended.

        With ``solver='auto'``, columns are standardised by the rows of all calls, so that the first
        call may have a single row, in any units. When means and standard deviations change, the
        weights are adjusted so that predictions stay the same, except in the first ten updates,
        when weights are still nearly random. A call with more rows than all calls before it resets
        the running means of the update rule.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Training rows. Of `Chunks`, which hold y and the weights too, the mixed rows of
            `shuffle` chunks are the rows of one call.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0.
        classes : array-like of shape (n_classes,), default=None
            All labels that can occur. Required in the first call.

        Returns
        -------
        self
        """
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit: use "
                "compute_class_weight('balanced', classes=classes, y=y) on a sample and pass the "
                "resulting weights as class_weight."
            )
        if isinstance(X, Chunks):
            return follow(self, X, y, sample_weight, classes=classes)
        X, y = self._check_X(X, reset=not hasattr(self, "classes_"), y=y, multi_output=True)
        y = self._check_labels(y)
        if multiclass._check_partial_fit_first_call(self, classes):
            classes = multiclass.unique_labels(y) if y.ndim == 2 else self.classes_
            self._set_classes(classes, y.ndim == 2)
        self._check_fitting(y)
        return self._fit_labels(X, y, sample_weight, partial=True)

    def _check_labels(self, y):
        """y as labels, (n,), or 0 and 1, (n, labels)."""
        y = y.toarray() if hasattr(y, "toarray") else y
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        # Whole numbers are labels, whatever else they may be.
        if y.ndim == 1 and y.dtype.kind in "iub":
            return y
        multiclass.check_classification_targets(y)
        if y.ndim == 2 and multiclass.type_of_target(y) != "multilabel-indicator":
            raise ValueError(
                "Multioutput target data is not supported: y must hold one label a row, or 0 and 1 "
                "for each label"
            )
        return y

    def _set_classes(self, classes, several, goes_on=False):
        if goes_on or not several:
            self._check_classes(classes, goes_on)
        self.classes_, self._several_labels = classes, several
        self.out_activation_ = "logistic" if several or len(classes) == 2 else "softmax"

    def _check_fitting(self, y):
        """Refuse labels of another shape, or of no known class."""
        expected = (len(self.classes_),) if self._several_labels else ()
        if y.shape[1:] != expected:
            raise ValueError(f"y has shape {y.shape}, which is not that of the first call")
        known = f"`self.classes_` has {self.classes_}. 'y' has"
        message = f"`y` has classes not in `self.classes_`. {known}"
        self._check_known(multiclass.unique_labels(y), message)

    def _targets(self, y):
        """The kernels' targets: +1 and -1, or the number of the class."""
        if self._several_labels:
            return (2.0 * (y > 0) - 1.0).ravel()
        return super()._targets(self._number(y))

    def _number(self, y):
        """The numbers of the rows' classes."""
        return np.searchsorted(self.classes_, y)

    def _check_y_val(self, y):
        """(labels, targets) of validation data."""
        y = self._check_labels(_check_y(y, multi_output=True))
        self._check_fitting(y)
        return y, self._targets(y)

    def _fit_labels(self, X, y, sample_weight, validation=NO_ROWS, **others):
        others["held_out"] = self._held_out(X.dtype, *opened(self, *validation, reset=False))
        weights = self._sample_weight(sample_weight, X)
        if self.class_weight is not None:
            factors = self._class_factors(y, weights)
            if not (np.isfinite(factors) & (factors >= 0)).all():
                raise ValueError(f"class_weight must be finite and >= 0, got {self.class_weight}")
            weights = factors if weights is None else weights * factors
        outputs = len(self.classes_) if self._several_labels or self._loss.is_joint else 1
        data = Samples(X, y, self._targets(y), weights)
        return self._train(data, self._loss, outputs, **others)

    @property
    def _loss(self):
        return Softmax() if self.out_activation_ == "softmax" else LogLoss()

    def _class_factors(self, y, weights):
        """The weight of each row's class."""
        if self._several_labels:
            return compute_sample_weight(self.class_weight, y)
        options = {"classes": self.classes_, "y": y, "sample_weight": weights}
        return compute_class_weight(self.class_weight, **options)[self._number(y)]

    @by_chunks
    def predict(self, X: Matrix) -> Array:
        """The most probable label of each row, shape (n_samples,); for multilabel targets 0 or 1,
        shape (n_samples, n_labels).
        """
        margins = self._margins(X)
        return (margins > 0).astype(int) if self._several_labels else self._label(margins)

    @by_chunks
    def predict_proba(self, X: Matrix) -> Array:
        """Probabilities of the classes, shape (n_samples, n_classes); for multilabel targets those
        of the labels, shape (n_samples, n_labels).
        """
        margins = self._margins(X)
        positive = self._loss.probability(margins)
        is_whole = self._several_labels or self._loss.is_joint
        return positive if is_whole else np.hstack([1 - positive, positive])


@parameters
class MLPRegressor(TakesChunks, Values, NeuralNetwork):
    """Feed-forward neural networks for regression of one or several targets.

    Minimises ``sum_i s_i L(Z_L(x_i), y_i) / sum_i s_i + alpha / (2 rows) |W|^2`` over the weights
    and intercepts of the layers ``Z_l = A_(l-1) W_l + b_l``, ``A_l = f(Z_l)``, ``A_0 = x``. The
    losses of several targets are added. ``solver='auto'`` first divides each of several targets by
    its standard deviation (except for 'poisson', whose counts have no unit), so that its weight
    does not depend on its unit. The other solvers minimise the unscaled sum, as in scikit-learn.

    Takes scikit-learn's `MLPRegressor` parameters with their meanings, and adds ``solver='auto'``
    and ``'adamw'``, activations, schedules, losses, ``batch_size='full'``, `delta`, `dropout`, and
    validation data.

    Parameters
    ----------
    loss : {'squared_error', 'absolute_error', 'huber', 'poisson'}, default='squared_error'
        L, with r = z - y:

        - 'squared_error' ``r^2 / 2``
        - 'absolute_error' ``|r|``
        - 'huber' ``r^2 / 2``, linear beyond ``|r| = delta``
        - 'poisson' ``exp(z) - y z``, for counts y >= 0; `predict` returns exp(z)

    hidden_layer_sizes : int or sequence of int, default=(100,)
        Number of units of each hidden layer, > 0.

    activation : str, default='relu'
        The function f of the hidden layers: 'relu' ``max(0, z)``; 'leaky_relu' the same with slope
        0.01 below 0; 'gelu' ``z Phi(z)`` with the normal distribution function Phi; 'silu' ``z / (1
        + exp(-z))``; 'softplus' ``log(1 + exp(z))``; 'tanh' ``tanh(z)``; 'logistic' ``1 / (1 +
        exp(-z))``; 'identity' ``z``.

    solver : {'auto', 'lbfgs', 'sgd', 'adam', 'adamw'}, default='auto'
        - 'auto': neither a learning rate nor scaled columns and targets are needed. Training uses
          columns of standard deviation 1, without a copy of X, and targets of mean 0 and standard
          deviation 1 (for 'poisson', margins minus the logarithm of the mean); the scaling is moved
          into the first and the last layer at the end. The method is schedule-free Adam at a rate
          that depends on the number of layers and of updates per epoch. `alpha` penalises the
          weights of the scaled columns and targets. Constant targets are predicted exactly, after
          one epoch. `learning_rate`, `learning_rate_init`, `power_t`, `momentum`,
          `nesterovs_momentum`, `beta_1`, `beta_2`, `epsilon` and `max_fun` have no effect.
        - 'lbfgs': L-BFGS on full batches, one iteration per epoch; stops when no component of the
          gradient is larger than `tol`
        - 'sgd': gradient descent, with momentum
        - 'adam'
        - 'adamw': Adam with decoupled weight decay: each update subtracts ``rate * alpha * W``

    alpha : float or 'auto', default='auto'
        Strength of the L2 penalty ``alpha / (2 rows) |W|^2`` of a batch's mean loss, in [0, inf).
        Intercepts are not penalised. 'auto': 0.0001, as in scikit-learn; with ``solver='auto'`` the
        size of a batch divided by the number of rows (in `partial_fit`, of all rows so far), so
        that the penalty over all rows is ``|W|^2 / 2``, that of a standard normal prior of the
        weights.

    batch_size : int, 'auto' or 'full', default='auto'
        Rows per update: 1 is stochastic, n mini-batch, 'full' batch gradient descent. 'auto' is
        ``min(200, n_samples)``.

    learning_rate : {'constant', 'invscaling', 'adaptive'} or schedule, default='constant'
        For ``solver='sgd'``: the rate is ``learning_rate_init`` ('constant'), divided by ``(1 +
        rows visited)**power_t`` once per epoch ('invscaling'), or divided by 5 whenever the loss
        has stalled ('adaptive'). A configured schedule, such as `CosineDecay`, also applies to Adam
        and AdamW.

    learning_rate_init : float, default=0.001
        Initial rate of 'sgd', 'adam' and 'adamw'.

    power_t : float, default=0.5
        Exponent of 'invscaling'.

    max_iter : int, default=200
        Maximum number of epochs.

    shuffle : bool, default=True
        Whether to visit the rows in a new random order in each epoch.

    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the shuffling, dropout and the validation split. The same seed
        gives the same bits, whatever the number of threads: training uses one.

    tol : float or None, default=1e-4
        Training stops when the loss (with `early_stopping`, the validation score) has not improved
        by `tol` for more than `n_iter_no_change` epochs in a row. In regression with
        ``solver="auto"``, `tol` is relative to the loss of the best constant model. None: all
        `max_iter` epochs.

    verbose : bool or int, default=False
        Whether to show the progress of the epochs.

    warm_start : bool, default=False
        Whether to continue the last fit. If nothing has changed since, except `max_iter`,
        `max_seconds`, `tol`, `verbose` and the callbacks, training takes exactly the steps of one
        longer `fit`, and `history_` and `t_` continue. Otherwise it starts from the weights of the
        last fit.

    momentum : float, default=0.9
        Momentum of 'sgd', in [0, 1).

    nesterovs_momentum : bool, default=True
        Whether to use Nesterov's momentum.

    early_stopping : bool, default=False
        Whether to stop when the score on validation rows has stalled, and to restore the best
        epoch. The rows are `X_val` of `fit`, or `validation_fraction` of the training rows.

    validation_fraction : float, default=0.1
        Share of the rows to hold out, in (0, 1).

    beta_1, beta_2 : float, default=0.9 and 0.999
        Decay rates of Adam's running means, in [0, 1).

    epsilon : float, default=1e-8
        Added to the square roots in Adam's denominators.

    n_iter_no_change : int, default=10
        Number of epochs without improvement before training stops.

    max_fun : int, default=15000
        Maximum number of evaluations of the loss by 'lbfgs'.

    dropout : float, default=0.0
        Share of the hidden units that are dropped in each step, in [0, 1). The others are scaled
        up.

    max_seconds : float or None, default=None
        Time limit of `fit` in seconds, after which no epoch begins. None: no limit.

    delta : float, default=1.0
        Threshold of 'huber', > 0, in the units of the targets. ``solver='auto'`` divides the loss
        by the standard deviation s of the targets and by min(s, `delta`), so that the meaning of
        `alpha` does not depend on the unit.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (inputs, units)
        Weights of the layers; float32 if X is.

    intercepts_ : list of ndarray of shape (units,)
        Intercepts of the layers.

    alpha_ : float
        The `alpha` used in the last fit.

    n_iter_ : int
        Number of epochs of the last fit.

    n_layers_ : int
        Number of layers, including input and output.

    n_outputs_ : int
        Number of units of the last layer.

    out_activation_ : str
        'exp' for 'poisson', otherwise 'identity'.

    loss_ : float
        Loss of the last epoch.

    loss_curve_ : list
        ``history_["loss"]``

    best_loss_ : float or None
        The smallest loss of an epoch; None with `early_stopping`.

    validation_scores_ : list or None
        The score on the validation rows after each epoch.

    best_validation_score_ : float or None
        The largest of these scores.

    history_ : dict of lists
        One entry per epoch: ``loss``, the mean loss of the rows, each at the weights of its update,
        plus the penalty; ``gradient_norm``, the mean norm of the batches' gradients;
        ``learning_rate``, the last one; ``seconds`` since the start of the fit; with validation
        rows ``validation_loss``, without the penalty, and ``validation_score``. `pandas.DataFrame`
        accepts it. Losses have the units of y, except those of several targets with
        ``solver='auto'``, which are sums over targets divided by their standard deviations.

    best_epoch_ : int
        With `early_stopping`, the epoch (from 1) whose model was kept. Its index in `history_` is
        ``best_epoch_ - 1``.

    stop_reason_ : str
        'tol', 'plateau', 'validation', 'max_iter', 'max_fun', 'max_seconds', 'callback' or
        'interrupted' (Ctrl-C).

    t_ : int
        Number of rows visited.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    References
    ----------
    Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 1986;
    Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015; Defazio et al., "The road
    less scheduled", NeurIPS 2024; He et al., "Delving deep into rectifiers", ICCV 2015; Glorot,
    Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS
    2010; Srivastava et al., "Dropout", JMLR 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MLPRegressor(hidden_layer_sizes=(20,), max_iter=20, tol=None, random_state=0)
    >>> model = model.fit(X, y)
    >>> model.score(X, y) > 0.5
    True
    """

    loss: Literal["squared_error", "absolute_error", "huber", "poisson"] = "squared_error"
    hidden_layer_sizes: types.ArrayLike | types.AtLeast1 = (100,)
    activation: Annotated[str, StrOptions(set(ACTIVATIONS))] = "relu"
    _: KW_ONLY
    delta: types.Positive = 1.0

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
        """Train from the start, or with `warm_start` continue.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
            `Chunks` hold y and the weights too; batches are drawn from the mixed rows of their
            `shuffle` chunks at a time.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. Rows of weight 0 are ignored.
        X_val, y_val, sample_weight_val : like X, y and sample_weight, default=None
            Validation rows. Their loss and score are added to `history_` after every epoch. With
            `early_stopping`, the best epoch is kept. Of `Chunks` X_val holds the others too.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An argument is invalid, or training diverged. An earlier fit is kept.
        """
        fit_callbacks = self._fit_callbacks(X, y, sample_weight)
        others = {"validation": (X_val, y_val, sample_weight_val), "fit_callbacks": fit_callbacks}
        return self._fit_targets(X, y, sample_weight, **others)

    @available_if(_takes_streams)
    @checked
    def partial_fit(
        self, X: Rows, y: Matrix | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on these rows, from where the last call ended.

        With ``solver='auto'``, columns and targets are standardised by the rows of all calls, so
        that the first call may have a single row, in any units. When means and standard deviations
        change, the weights are adjusted so that predictions stay the same, except for targets that
        vary for the first time, and in the first ten updates, when weights are still nearly random.
        A call with more rows than all calls before it resets the running means of the update rule.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Training rows. Of `Chunks`, which hold y and the weights too, the mixed rows of
            `shuffle` chunks are the rows of one call.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0.

        Returns
        -------
        self
        """
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if isinstance(X, Chunks):
            return follow(self, X, y, sample_weight)
        return self._fit_targets(X, y, sample_weight, partial=True)

    def _check_known(self, y):
        count = 1 if y.ndim == 1 else y.shape[1]
        if count != self._count:
            raise ValueError(f"y has {count} targets, {self._count} are expected")

    def _check_y_val(self, y):
        """(targets as given, as the kernels read them) of validation data."""
        y = _check_y(y, multi_output=True, y_numeric=True)
        self._check_known(y)
        return (y.ravel() if self._count == 1 else y), self._targets(y)

    @property
    def _kind(self):
        """The class of the loss."""
        # The absolute error is a tube of width 0.
        return EpsilonInsensitive if self.loss == "absolute_error" else KINDS[self.loss]

    def _fit_targets(self, X, y, sample_weight, validation=NO_ROWS, partial=False, **others):
        goes_on = (partial or self.warm_start) and hasattr(self, "coefs_")
        X, y, sample_weight = opened(self, X, y, sample_weight, reset=not goes_on)
        X, y = self._check_X(X, reset=not goes_on, y=y, y_numeric=True, multi_output=True)
        if partial and goes_on:
            self._check_known(y)
        else:
            self._count = 1 if y.ndim == 1 else y.shape[1]
            self.out_activation_ = "exp" if self._kind.has_log_link else "identity"
        held_out = self._held_out(X.dtype, *opened(self, *validation, reset=False))
        others |= {"held_out": held_out, "partial": partial}
        loss = Huber(float(self.delta)) if self._kind is Huber else self._kind()
        labels = y.ravel() if self._count == 1 else y
        weights = self._sample_weight(sample_weight, X)
        data = Samples(X, labels, self._targets(y), weights)
        return self._train(data, loss, self._count, **others)

    @by_chunks
    def predict(self, X: Matrix) -> Array:
        """Predicted targets, shape (n_samples,) or (n_samples, n_targets)."""
        margins = self._margins(X)
        predicted = np.exp(margins) if self.out_activation_ == "exp" else margins
        return predicted[:, 0] if self._count == 1 else predicted
