"""Feed-forward networks: a classifier and a regressor."""

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.callback import with_callbacks
from sklearn.utils import column_or_1d, compute_class_weight, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import _check_y

from fastgd.estimators.base import unchanged_on_error
from fastgd.estimators.networks import NETWORK_CONSTRAINTS, POSITIVE, NeuralNetwork
from fastgd.estimators.parameters import checked
from fastgd.problem.losses import KINDS, EpsilonInsensitive, Huber, LogLoss, Softmax
from fastgd.problem.problem import Samples


def _takes_streams(model):
    if model.solver == "lbfgs":
        raise AttributeError("partial_fit needs a stochastic solver, and solver='lbfgs' is not")
    return True


class MLPClassifier(ClassifierMixin, NeuralNetwork):
    """Feed-forward networks for two classes, several, or several labels at a time.

    Minimises ``sum_i s_i L(Z_L(x_i), y_i) / sum_i s_i + alpha / (2 rows) |W|^2`` over the weights
    and intercepts of the layers ``Z_l = A_(l-1) W_l + b_l``, ``A_l = f(Z_l)``, ``A_0 = x``; L is
    ``log sum_k exp(z_k) - z_y`` for several classes (softmax), and ``log(1 + exp(-y z))`` for two,
    and for each label of several at a time.

    Takes scikit-learn's `MLPClassifier` parameters with their meanings, and adds ``solver='auto'``
    and ``'adamw'``, activations, schedules, ``batch_size='full'``, `class_weight`, `dropout`, and
    validation data of the user's own.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer, each above 0.

    activation : {'relu', 'leaky_relu', 'gelu', 'silu', 'softplus', 'tanh', 'logistic', 'identity'},
    default='relu'
        f of the hidden layers: ``max(0, z)``; the same with slope 0.01 below 0; ``z Phi(z)``, Phi
        the normal distribution; ``z / (1 + exp(-z))``; ``log(1 + exp(z))``; ``tanh(z)``; ``1 / (1 +
        exp(-z))``; ``z``.

    solver : {'auto', 'lbfgs', 'sgd', 'adam', 'adamw'}, default='auto'
        - 'auto': no learning rate to choose, and no columns to scale. Works on columns of spread 1
          without a copy of X, which are folded into the first layer at the end, by schedule-free
          Adam at a rate that follows from the number of layers and of an epoch's updates. `alpha`
          penalises the weights in these units. `learning_rate`, `learning_rate_init`, `power_t`,
          `momentum`, `nesterovs_momentum`, `beta_1`, `beta_2`, `epsilon` and `max_fun` are not
          read.
        - 'lbfgs': L-BFGS on full batches, an epoch being an iteration; stops when no component of
          the gradient is above `tol`
        - 'sgd': gradient descent, with momentum
        - 'adam'
        - 'adamw': Adam whose decay does not pass through the running means: each update takes off
          ``rate * alpha * W``

    alpha : float or 'auto', default='auto'
        Strength of the L2 penalty ``alpha / (2 rows) |W|^2`` of a batch's mean loss, in [0, inf).
        Intercepts are not penalised. 'auto': 0.0001, as in scikit-learn; with ``solver='auto'`` a
        batch's share of all rows (in `partial_fit` of those that have come so far), so that the
        penalty of all of them together is ``|W|^2 / 2``, that of weights which are standard normal
        before any row has been seen.

    batch_size : int, 'auto' or 'full', default='auto'
        Rows an update: 1 stochastic, n mini-batch, 'full' batch gradient descent; 'auto' is
        ``min(200, n_samples)``.

    learning_rate : {'constant', 'invscaling', 'adaptive'} or schedule, default='constant'
        For ``solver='sgd'``: the rate is ``learning_rate_init``; that over ``(1 + rows
        visited)**power_t``, set once an epoch; or divided by 5 each time the loss has stalled. A
        configured schedule (`CosineDecay` ...) serves Adam and AdamW too.

    learning_rate_init : float, default=0.001
        The first rate of 'sgd', 'adam' and 'adamw'.

    power_t : float, default=0.5
        The exponent of 'invscaling'.

    max_iter : int, default=200
        Most epochs.

    max_seconds : float or None, default=None
        After so many seconds no further epoch begins.

    shuffle : bool, default=True
        Visit the rows in a new random order each epoch.

    random_state : int, RandomState instance or None, default=None
        Seed of the first weights, the shuffling, the dropping and the validation split. Same seed,
        same bits, whatever the number of threads: training uses one.

    tol : float or None, default=1e-4
        Training stops when the loss has not fallen by `tol` below its best for more than
        `n_iter_no_change` epochs in a row (with `early_stopping`: the score has not risen by it).
        ``solver="auto"`` counts, in regression, in losses of the best constant model. None: all
        `max_iter` epochs.

    verbose : bool or int, default=False
        Show the epochs' progress.

    warm_start : bool, default=False
        Go on from the last fit. Where nothing has changed since but `max_iter`, `max_seconds`,
        `tol`, `verbose` or the callbacks, training takes the very steps that it would have taken in
        the same `fit`, and `history_` and `t_` go on; else it starts from the last fit's weights.

    momentum : float, default=0.9
        Of 'sgd', in [0, 1).

    nesterovs_momentum : bool, default=True
        Whether it is Nesterov's.

    early_stopping : bool, default=False
        Stop when the score on held-out rows has stalled, and restore the best epoch. The rows are
        those of `fit`'s `X_val`, else `validation_fraction` of the training rows.

    validation_fraction : float, default=0.1
        Share of the rows that is held out, in (0, 1).

    beta_1, beta_2 : float, default=0.9 and 0.999
        Shares of Adam's running means that are kept, in [0, 1).

    epsilon : float, default=1e-8
        Added to Adam's roots.

    n_iter_no_change : int, default=10
        Patience, in epochs.

    max_fun : int, default=15000
        Most evaluations of the loss by 'lbfgs'.

    class_weight : dict, list of dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`; 'balanced': inversely proportional
        to the classes' weights in y. For several labels at a time a dict each.

    dropout : float, default=0.0
        Share of the hidden units that each step does without, in [0, 1); the others speak the
        louder.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.

    coefs_ : list of ndarray of shape (inputs, units)
        The layers' weights; float32 where X is.

    intercepts_ : list of ndarray of shape (units,)
        The layers' intercepts.

    alpha_ : float
        The `alpha` of the last fit.

    n_iter_ : int
        Epochs of the last fit.

    n_layers_ : int
        Layers, those of the inputs and the outputs among them.

    n_outputs_ : int
        Units of the last layer.

    out_activation_ : str
        'softmax' for several classes, else 'logistic'.

    loss_ : float
        The loss of the last epoch.

    loss_curve_ : list
        ``history_["loss"]``

    best_loss_ : float or None
        The lowest of them; None with `early_stopping`.

    validation_scores_ : list or None
        The score on held-out rows after each epoch.

    best_validation_score_ : float or None
        The highest of them.

    history_ : dict of lists
        One entry an epoch: ``loss``, penalty included, the mean over the epoch's visits at the
        weights that each row met; ``gradient_norm``, the mean of the batches'; ``learning_rate``,
        the last one; ``seconds`` since the fit began; with held-out rows ``validation_loss`` and
        ``validation_score``. `pandas.DataFrame` takes it.

    best_epoch_ : int
        The epoch (from 1) that was restored, with `early_stopping`.

    stop_reason_ : str
        'tol', 'plateau', 'validation', 'max_iter', 'max_fun', 'max_seconds', 'callback' or
        'interrupted'.

    t_ : int
        Rows visited.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has them.

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

    _parameter_constraints: dict = {
        **NETWORK_CONSTRAINTS,
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="auto",
        alpha="auto",
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        class_weight=None,
        dropout=0.0,
        max_seconds=None,
    ):
        self._assign(locals())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @checked
    @with_callbacks
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Train from the start (with `warm_start` from the last weights).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels, of two classes at least; or 0 and 1 for each of several labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. A row of weight 0 counts as absent.
        X_val, y_val, sample_weight_val : like X, y and sample_weight, default=None
            Held-out rows: each epoch is judged by them, and with `early_stopping` the best one is
            kept.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Something in the arguments is not allowed, or training diverged; an earlier fit is kept.
        """
        fit_callbacks = self._fit_callbacks(X, y, sample_weight)
        with unchanged_on_error(self):
            first = not (self.warm_start and hasattr(self, "classes_"))
            X, y = self._check_X(X, reset=first, y=y, multi_output=True)
            y = self._check_labels(y)
            classes = unique_labels(y)
            if not first and not np.array_equal(classes, self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
            self._set_classes(classes, y.ndim == 2)
            held_out = self._held_out(X_val, y_val, sample_weight_val, X.dtype)
            return self._fit_labels(
                X, y, sample_weight, held_out=held_out, fit_callbacks=fit_callbacks
            )

    @available_if(_takes_streams)
    @checked
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """One epoch on these rows, from where the last call ended.

        With ``solver='auto'`` columns are standardised by the rows of all calls, so the first one
        may hold a single row, in any units. When means and spreads change, the weights follow,
        so that predictions stay the same, except within the first ten updates, when weights are
        still nearly random. A call with more rows than all before it begins the running means of
        the update rule anew.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.

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
        with unchanged_on_error(self):
            X, y = self._check_X(X, reset=not hasattr(self, "classes_"), y=y, multi_output=True)
            y = self._check_labels(y)
            if _check_partial_fit_first_call(self, classes):
                self._set_classes(unique_labels(y) if y.ndim == 2 else self.classes_, y.ndim == 2)
            self._check_known(y)
            return self._fit_labels(X, y, sample_weight, partial=True)

    def _check_labels(self, y):
        """y as labels, (n,), or 0 and 1, (n, labels)."""
        y = y.toarray() if hasattr(y, "toarray") else y
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        # Whole numbers are labels, whatever else they may be.
        if y.ndim == 1 and y.dtype.kind in "iub":
            return y
        check_classification_targets(y)
        if y.ndim == 2 and type_of_target(y) != "multilabel-indicator":
            raise ValueError(
                "Multioutput target data is not supported: y must hold one label a row, or 0 and 1 "
                "for each label"
            )
        return y

    def _set_classes(self, classes, several):
        if len(classes) < 2 and not several:
            raise ValueError(
                f"The number of classes has to be greater than one; got {len(classes)} class"
            )
        self.classes_, self._several_labels = classes, several
        self.out_activation_ = "logistic" if several or len(classes) == 2 else "softmax"

    def _check_known(self, y):
        expected = (len(self.classes_),) if self._several_labels else ()
        if y.shape[1:] != expected:
            raise ValueError(f"y has shape {y.shape}, which is not that of the first call")
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {unknown}."
            )

    def _targets(self, y):
        """The kernels' targets: +1 and -1, or the number of the class."""
        if self._several_labels:
            return (2.0 * (y > 0) - 1.0).ravel()
        number = self._number(y)
        return 2.0 * number - 1.0 if len(self.classes_) == 2 else number.astype(np.float64)

    def _number(self, y):
        """The numbers of the rows' classes."""
        return np.searchsorted(self.classes_, y)

    def _check_y_val(self, y):
        """(labels, targets) of validation data."""
        y = self._check_labels(_check_y(y, multi_output=True))
        self._check_known(y)
        return y, self._targets(y)

    def _fit_labels(self, X, y, sample_weight, **others):
        weights = self._sample_weight(sample_weight, X)
        if self.class_weight is not None:
            factors = self._class_factors(y, weights)
            if not (np.isfinite(factors) & (factors >= 0)).all():
                raise ValueError(f"class_weight must be finite and >= 0, got {self.class_weight}")
            weights = factors if weights is None else weights * factors
        loss = Softmax() if self.out_activation_ == "softmax" else LogLoss()
        outputs = len(self.classes_) if self._several_labels or loss.is_joint else 1
        return self._train(Samples(X, y, self._targets(y), weights), loss, outputs, **others)

    def _class_factors(self, y, weights):
        """The weight of each row's class."""
        if self._several_labels:
            return compute_sample_weight(self.class_weight, y)
        options = {"classes": self.classes_, "y": y, "sample_weight": weights}
        return compute_class_weight(self.class_weight, **options)[self._number(y)]

    def _predict_from(self, margins):
        if self._several_labels:
            return (margins > 0).astype(int)
        is_binary = margins.shape[1] == 1
        return self.classes_[(margins[:, 0] > 0).astype(int) if is_binary else margins.argmax(1)]

    def predict(self, X):
        """The most probable label of each row, shape (n_samples,); of several labels at a time 0 or
        1, (n_samples, n_labels).
        """
        return self._predict_from(self._margins(X))

    def predict_proba(self, X):
        """Probabilities of the classes, shape (n_samples, n_classes), or of each of several labels,
        (n_samples, n_labels).
        """
        margins = self._margins(X)
        if self.out_activation_ == "softmax":
            return softmax(margins, axis=1)
        positive = expit(margins)
        return positive if self._several_labels else np.hstack([1 - positive, positive])

    def predict_log_proba(self, X):
        """Logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


class MLPRegressor(MultiOutputMixin, RegressorMixin, NeuralNetwork):
    """Feed-forward networks for one target or several.

    Minimises ``sum_i s_i L(Z_L(x_i), y_i) / sum_i s_i + alpha / (2 rows) |W|^2`` over the weights
    and intercepts of the layers ``Z_l = A_(l-1) W_l + b_l``, ``A_l = f(Z_l)``, ``A_0 = x``. Several
    targets add their losses. ``solver='auto'`` first divides each of several targets by its own
    spread (but for 'poisson', whose counts have no unit), so that none counts for more than another
    because of its unit; the other solvers minimise the sum as it stands, as scikit-learn's do.

    Takes scikit-learn's `MLPRegressor` parameters with their meanings, and adds ``solver='auto'``
    and ``'adamw'``, activations, schedules, losses, ``batch_size='full'``, `delta`, `dropout`, and
    validation data of the user's own.

    Parameters
    ----------
    loss : {'squared_error', 'absolute_error', 'huber', 'poisson'}, default='squared_error'
        L, with r = z - y:

        - 'squared_error' ``r^2 / 2``
        - 'absolute_error' ``|r|``
        - 'huber' ``r^2 / 2``, linear beyond ``|r| = delta``
        - 'poisson' ``exp(z) - y z``, for counts y >= 0; `predict` returns exp(z)

    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer, each above 0.

    activation : {'relu', 'leaky_relu', 'gelu', 'silu', 'softplus', 'tanh', 'logistic', 'identity'},
    default='relu'
        f of the hidden layers: ``max(0, z)``; the same with slope 0.01 below 0; ``z Phi(z)``, Phi
        the normal distribution; ``z / (1 + exp(-z))``; ``log(1 + exp(z))``; ``tanh(z)``; ``1 / (1 +
        exp(-z))``; ``z``.

    solver : {'auto', 'lbfgs', 'sgd', 'adam', 'adamw'}, default='auto'
        - 'auto': no learning rate to choose, and no columns or targets to scale. Works on columns
          of spread 1 without a copy of X, and on targets of mean 0 and spread 1 (for 'poisson' on
          margins less the logarithm of the mean), which are folded into the first and the last
          layer at the end, by schedule-free Adam at a rate that follows from the number of layers
          and of an epoch's updates. `alpha` penalises the weights in these units. Equal targets
          are predicted exactly, after one epoch. `learning_rate`, `learning_rate_init`, `power_t`,
          `momentum`, `nesterovs_momentum`, `beta_1`, `beta_2`, `epsilon` and `max_fun` are not
          read.
        - 'lbfgs': L-BFGS on full batches, an epoch being an iteration; stops when no component of
          the gradient is above `tol`
        - 'sgd': gradient descent, with momentum
        - 'adam'
        - 'adamw': Adam whose decay does not pass through the running means: each update takes off
          ``rate * alpha * W``

    alpha : float or 'auto', default='auto'
        Strength of the L2 penalty ``alpha / (2 rows) |W|^2`` of a batch's mean loss, in [0, inf).
        Intercepts are not penalised. 'auto': 0.0001, as in scikit-learn; with ``solver='auto'`` a
        batch's share of all rows (in `partial_fit` of those that have come so far), so that the
        penalty of all of them together is ``|W|^2 / 2``, that of weights which are standard normal
        before any row has been seen.

    batch_size : int, 'auto' or 'full', default='auto'
        Rows an update: 1 stochastic, n mini-batch, 'full' batch gradient descent; 'auto' is
        ``min(200, n_samples)``.

    learning_rate : {'constant', 'invscaling', 'adaptive'} or schedule, default='constant'
        For ``solver='sgd'``: the rate is ``learning_rate_init``; that over ``(1 + rows
        visited)**power_t``, set once an epoch; or divided by 5 each time the loss has stalled. A
        configured schedule (`CosineDecay` ...) serves Adam and AdamW too.

    learning_rate_init : float, default=0.001
        The first rate of 'sgd', 'adam' and 'adamw'.

    power_t : float, default=0.5
        The exponent of 'invscaling'.

    max_iter : int, default=200
        Most epochs.

    max_seconds : float or None, default=None
        After so many seconds no further epoch begins.

    shuffle : bool, default=True
        Visit the rows in a new random order each epoch.

    random_state : int, RandomState instance or None, default=None
        Seed of the first weights, the shuffling, the dropping and the validation split. Same seed,
        same bits, whatever the number of threads: training uses one.

    tol : float or None, default=1e-4
        Training stops when the loss has not fallen by `tol` below its best for more than
        `n_iter_no_change` epochs in a row (with `early_stopping`: the score has not risen by it).
        ``solver="auto"`` counts, in regression, in losses of the best constant model. None: all
        `max_iter` epochs.

    verbose : bool or int, default=False
        Show the epochs' progress.

    warm_start : bool, default=False
        Go on from the last fit. Where nothing has changed since but `max_iter`, `max_seconds`,
        `tol`, `verbose` or the callbacks, training takes the very steps that it would have taken in
        the same `fit`, and `history_` and `t_` go on; else it starts from the last fit's weights.

    momentum : float, default=0.9
        Of 'sgd', in [0, 1).

    nesterovs_momentum : bool, default=True
        Whether it is Nesterov's.

    early_stopping : bool, default=False
        Stop when the score on held-out rows has stalled, and restore the best epoch. The rows are
        those of `fit`'s `X_val`, else `validation_fraction` of the training rows.

    validation_fraction : float, default=0.1
        Share of the rows that is held out, in (0, 1).

    beta_1, beta_2 : float, default=0.9 and 0.999
        Shares of Adam's running means that are kept, in [0, 1).

    epsilon : float, default=1e-8
        Added to Adam's roots.

    n_iter_no_change : int, default=10
        Patience, in epochs.

    max_fun : int, default=15000
        Most evaluations of the loss by 'lbfgs'.

    delta : float, default=1.0
        The threshold of 'huber', above 0, in the targets' units. ``solver='auto'`` divides the loss
        by the spread s of the targets times the smaller of s and `delta`, so that `alpha` means the
        same whatever the unit.

    dropout : float, default=0.0
        Share of the hidden units that each step does without, in [0, 1); the others speak the
        louder.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (inputs, units)
        The layers' weights; float32 where X is.

    intercepts_ : list of ndarray of shape (units,)
        The layers' intercepts.

    alpha_ : float
        The `alpha` of the last fit.

    n_iter_ : int
        Epochs of the last fit.

    n_layers_ : int
        Layers, those of the inputs and the outputs among them.

    n_outputs_ : int
        Units of the last layer.

    out_activation_ : str
        'exp' for 'poisson', else 'identity'.

    loss_ : float
        The loss of the last epoch.

    loss_curve_ : list
        ``history_["loss"]``

    best_loss_ : float or None
        The lowest of them; None with `early_stopping`.

    validation_scores_ : list or None
        The score on held-out rows after each epoch.

    best_validation_score_ : float or None
        The highest of them.

    history_ : dict of lists
        One entry an epoch: ``loss``, penalty included, the mean over the epoch's visits at the
        weights that each row met; ``gradient_norm``, the mean of the batches'; ``learning_rate``,
        the last one; ``seconds`` since the fit began; with held-out rows ``validation_loss``,
        without the penalty, and ``validation_score``. `pandas.DataFrame` takes it. Losses are in
        units of y, but for several targets with ``solver='auto'``: theirs are sums over targets
        divided by their spreads.

    best_epoch_ : int
        The epoch (from 1) that was restored, with `early_stopping`.

    stop_reason_ : str
        'tol', 'plateau', 'validation', 'max_iter', 'max_fun', 'max_seconds', 'callback' or
        'interrupted'.

    t_ : int
        Rows visited.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has them.

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

    _parameter_constraints: dict = {
        **NETWORK_CONSTRAINTS,
        "loss": [StrOptions({"squared_error", "absolute_error", "huber", "poisson"})],
        "delta": [POSITIVE],
    }

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="auto",
        alpha="auto",
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        delta=1.0,
        dropout=0.0,
        max_seconds=None,
    ):
        self._assign(locals())

    @checked
    @with_callbacks
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Train from the start (with `warm_start` from the last weights).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. A row of weight 0 counts as absent.
        X_val, y_val, sample_weight_val : like X, y and sample_weight, default=None
            Held-out rows: each epoch is judged by them, and with `early_stopping` the best one is
            kept.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Something in the arguments is not allowed, or training diverged; an earlier fit is kept.
        """
        fit_callbacks = self._fit_callbacks(X, y, sample_weight)
        with unchanged_on_error(self):
            X, y = self._check_X(
                X,
                reset=not (self.warm_start and hasattr(self, "coefs_")),
                y=y,
                y_numeric=True,
                multi_output=True,
            )
            self._set_targets(y)
            held_out = self._held_out(X_val, y_val, sample_weight_val, X.dtype)
            return self._fit_targets(
                X, y, sample_weight, held_out=held_out, fit_callbacks=fit_callbacks
            )

    @available_if(_takes_streams)
    @checked
    def partial_fit(self, X, y, sample_weight=None):
        """One epoch on these rows, from where the last call ended.

        With ``solver='auto'`` columns and targets are standardised by the rows of all calls, so the
        first one may hold a single row, in any units. When means and spreads change, the weights
        follow, so that predictions stay the same, except for targets that vary for the first time,
        and within the first ten updates, when weights are still nearly random. A call with more
        rows than all before it begins the running means of the update rule anew.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0.

        Returns
        -------
        self
        """
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        with unchanged_on_error(self):
            X, y = self._check_X(
                X, reset=not hasattr(self, "coefs_"), y=y, y_numeric=True, multi_output=True
            )
            if hasattr(self, "coefs_"):
                self._check_known(y)
            else:
                self._set_targets(y)
            return self._fit_targets(X, y, sample_weight, partial=True)

    def _set_targets(self, y):
        self._count = 1 if y.ndim == 1 else y.shape[1]
        self.out_activation_ = "exp" if self._kind.has_log_link else "identity"

    def _check_known(self, y):
        count = 1 if y.ndim == 1 else y.shape[1]
        if count != self._count:
            raise ValueError(f"y has {count} targets, {self._count} are expected")

    def _targets(self, y):
        """y as the kernels read it."""
        if y.dtype.kind not in "fiub":
            raise ValueError(f"y must hold numbers, got {y.dtype}")
        if (y < self._kind.least_target).any():
            raise ValueError(f"y must be >= 0 for loss={self.loss!r}, its least value is {y.min()}")
        return np.ascontiguousarray(y, dtype=np.float64).ravel()

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

    def _fit_targets(self, X, y, sample_weight, **others):
        loss = Huber(float(self.delta)) if self._kind is Huber else self._kind()
        labels = y.ravel() if self._count == 1 else y
        weights = self._sample_weight(sample_weight, X)
        data = Samples(X, labels, self._targets(y), weights)
        return self._train(data, loss, self._count, **others)

    def _predict_from(self, margins):
        predicted = np.exp(margins) if self.out_activation_ == "exp" else margins
        return predicted[:, 0] if self._count == 1 else predicted

    def predict(self, X):
        """Predicted targets, shape (n_samples,) or (n_samples, n_targets)."""
        return self._predict_from(self._margins(X))
