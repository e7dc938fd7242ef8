"""The two models that leave every choice to the user: any loss, penalty, rate and batch size."""

import numpy as np
from scipy import LowLevelCallable
from sklearn.callback import with_callbacks
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call

from fastgd.estimators.base import unchanged_on_error
from fastgd.estimators.parameters import SGD_CONSTRAINTS, checked
from fastgd.estimators.supervised import Classifier, Regressor
from fastgd.problem.losses import KINDS, OF_VALUES


class SGDClassifier(Classifier):
    """Linear classifiers by batch, mini-batch or stochastic gradient descent.

    Minimises ``sum_i s_i L(W x_i + b, y_i) / sum_i s_i + alpha P(W)`` over W and b by the steps
    ``theta <- theta - eta_t (mean gradient of a batch + alpha dP)``.

    Takes scikit-learn's `SGDClassifier` parameters with their meanings, and adds `batch_size`,
    `optimizer`, `init`, `quantile` and `positive`.

    Parameters
    ----------
    loss : str, callable or compiled function, default='hinge'
        L, with y = +-1 and one row of W for two classes; one row a class, each against the rest,
        for more:

        - 'hinge' ``max(0, 1 - y z)``, a linear support vector machine; 'squared_hinge' its square
        - 'log_loss' ``log(1 + exp(-y z))``, logistic regression
        - 'softmax' ``log sum_k exp(z_k) - z_y``, logistic regression of all classes jointly (of two
          classes: 'log_loss')
        - 'modified_huber' ``max(0, 1 - y z)^2``, linear below y z = -1; robust and with
          probabilities
        - 'perceptron' ``max(0, -y z)``
        - the losses of `SGDRegressor`, on +-1
        - a function of your own, ``loss(z, y) -> (values, slopes)`` of arrays, or a compiled one
          (see below)

    penalty : {'l2', 'l1', 'elasticnet', None}, default='l2'
        The penalty P: ``|W|^2 / 2``, ``|W|_1``, or ``l1_ratio |W|_1 + (1 - l1_ratio) |W|^2 / 2``.
        The intercept is never penalised. L1 is applied by its exact prox, so coefficients are
        exactly zero.

    alpha : float, default=0.0001
        Strength of the penalty, in [0, inf).

    l1_ratio : float, default=0.15
        Share of L1 in the elastic net, in [0, 1]; None is allowed with the other penalties.

    fit_intercept : bool, default=True
        Whether there is an intercept b. It has the same learning rate on dense and sparse X.

    max_iter : int, default=1000
        Most epochs: passes over the training rows.

    tol : float or None, default=1e-3
        With ``learning_rate="auto"`` training stops when the objective F is known to be within
        `tol` of its minimum, relative to what the best constant model leaves to gain: ``(F - F*) /
        (F0 - F*) <= tol``. With other rates it stops when the loss has not fallen by `tol` below
        its best for `n_iter_no_change` epochs in a row, and, with ``batch_size="full"``, when the
        gradient's norm is at most `tol` times the first one. None: all `max_iter` epochs.

    shuffle : bool or 'full', default=True
        True: visit the rows in an order as good as a new random permutation each epoch; 'full':
        always a full permutation; False: in the order given. A full batch has no order.

    verbose : int, default=0
        1 or more: `fit` shows a progress bar with loss, rate and time left, which needs rich (``pip
        install 'fastgd[progress]'``); where there is no terminal, and inside of other estimators,
        one line when it ends.

    epsilon : float, default=0.1
        The threshold of 'huber' and of the epsilon-insensitive losses.

    quantile : float, default=0.5
        The quantile that ``loss="quantile"`` estimates, in (0, 1).

    n_jobs : int, default=None
        Threads inside one fit. None: all that OpenMP allows; -1: all processors. Never changes the
        result.

    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling, the validation split and the random start. Same seed, same bits.

    learning_rate : str or schedule, default='auto'
        The rate eta_t of the t-th update:

        - 'auto': none to choose, and none to go wrong with. Steps are taken on columns of spread 1
          (centred, if X is dense) without a copy of X, while penalties stay those of the user's own
          weights: single rows and mini-batches by SAGA with importance sampling after a pass or two
          of implicit steps, full batches by Newton's method with conjugate gradients and exact line
          search, streams (`partial_fit`) by averaged implicit steps. With another `optimizer`, or
          with `average`, it is 'lipschitz' with a rate of 0.01. `eta0` and `power_t` have no
          effect, of which a warning tells if they differ from their defaults.
        - 'lipschitz': ``1 / (L sqrt(1 + epochs done))``, L a bound of the gradient's Lipschitz
          constant from the longest row (full batches: 1 / L; 'poisson', which has none: a guess
          from the largest y). Standardise the columns for speed. Rules that scale themselves
          (AdaGrad, RMSProp, Adam, AdamW) take `eta0` in place of 1 / L.
        - 'constant': ``eta0``
        - 'invscaling': ``eta0 / t**power_t``
        - 'optimal': ``1 / (alpha (t0 + t - 1))``, t0 by Bottou's heuristic for rows of length 1
        - 'adaptive': ``eta0``, divided by 5 each time the loss has stalled
        - 'step': ``eta0``, halved every 10 epochs
        - 'cosine': from ``eta0`` to 0 along a cosine over `max_iter` epochs
        - 'one_cycle': up to ``eta0`` over three tenths of `max_iter` epochs, then down to 0 along a
          cosine
        - 'pa1', 'pa2': passive-aggressive steps, ``min(eta0, L / |x|^2)`` and ``L / (|x|^2 + 1 / (2
          eta0))``; for loss 'hinge' and ``batch_size=1``
        - a configured schedule: `Constant`, `InverseScaling`, `Optimal`, `Adaptive`, `StepDecay`,
          `CosineDecay`, `OneCycle`

    eta0 : float, default=0.01
        The first rate of the schedules that use it.

    power_t : float, default=0.5
        The exponent of 'invscaling', >= 0 (a negative one is deprecated).

    early_stopping : bool, default=False
        Hold out `validation_fraction` of the rows (none if `fit` is given validation rows); stop
        when their score has not risen by `tol` for `n_iter_no_change` epochs in a row. The model is
        that of the best epoch: the highest score, then the lowest loss.

    validation_fraction : float, default=0.1
        Share of the rows that is held out, in (0, 1).

    n_iter_no_change : int, default=5
        Patience, in epochs.

    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight`; 'balanced': inversely proportional
        to the classes' weights in y, in `partial_fit` to those in all rows so far.

    warm_start : bool, default=False
        Go on from the last fit. Where nothing has changed since but `max_iter`, `max_seconds`,
        `tol`, `verbose`, `n_jobs` or the callbacks, training takes the very steps that it would
        have taken in the same `fit` (the random stream, the update rule's buffers, averages, `t_`
        and `history_` go on); a 'cosine' or 'one_cycle' then ends `max_iter` epochs from here. If
        anything else has changed, the data included, or coefficients are given, it starts from the
        coefficients alone.

    average : bool or int, default=False
        Publish the mean of the iterates; an int above 1: of those after that many visits.

    batch_size : int or 'full', default=1
        Rows an update: 1 stochastic, n mini-batch, 'full' batch gradient descent. The last batch of
        an epoch may be short.

    optimizer : str or rule, default='sgd'
        What a step does with the gradient: 'sgd', 'momentum', 'nesterov', 'adagrad', 'rmsprop',
        'adam', 'adamw', or a configured `SGD`, `Momentum`, `Nesterov`, `AdaGrad`, `RMSProp`,
        `Adam`, `AdamW`, or `GradientNoise` around one of them.

    init : {'zeros', 'normal'}, default='zeros'
        The start: zero, or normal numbers of standard deviation 0.01.

    positive : bool, default=False
        Whether no weight (of no class) may be negative. Intercepts may.

    max_seconds : float, default=None
        No epoch begins in `fit` later than that. None: no matter how long it takes.

    n_restarts : int, default=0
        Train so many times more, each from a random start like that of ``init="normal"``, and keep
        the model whose objective is the lowest.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) for two classes, else (n_classes, n_features)
        W; float32 where X is. After `partial_fit` on sparse rows it is made when it is asked for;
        no call changes an array that was made before.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        b

    classes_ : ndarray of shape (n_classes,)
        The labels.

    n_iter_ : int
        Epochs of the last fit.

    t_ : int
        Number of updates, plus one.

    history_ : dict of lists
        One entry an epoch: ``loss``, the mean over the epoch's visits at the weights that each row
        met, plus the penalty (an L1 part that is applied row by row: the mean of its values at the
        epoch's two ends); ``gradient_norm``, for plain SGD the distance gone over the sum of the
        rates (a full batch's very gradient), for other rules the mean of the batches' norms;
        ``learning_rate``, the last one; ``seconds`` since the fit began; with validation rows
        ``validation_loss`` and ``validation_score``. A `fit` that goes on exactly adds to it.
        `pandas.DataFrame` takes it.

    loss_curve_ : list
        ``history_["loss"]``

    stop_reason_ : str
        'tol', 'plateau', 'gradient', 'validation', 'max_iter', 'max_seconds', 'callback',
        'rounding' where no step gains more than rounding and `tol` is not reached, or, after
        Ctrl-C, 'interrupted'.

    best_epoch_ : int
        With `early_stopping`: the epoch, from 1, whose model this is; its entries in `history_`
        have index ``best_epoch_ - 1``.

    converged_ : bool
        Whether `optimality_` has reached `tol`. A plateau, a small step or rounding is no
        convergence, nor is a small objective of separable classes, which has no minimum.

    optimality_ : float or None
        Estimate or bound of ``(F - F*) / (F0 - F*)``; None where nothing is known of the minimum:
        at rates chosen by hand, after `partial_fit`, and with ``tol=None``.

    optimality_kind_ : str or None
        'Newton decrement', an estimate for smooth objectives, or 'duality gap', a bound. None for
        the loss 'perceptron', whose minimum without weights says nothing of a useful model.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has them.

    Notes
    -----
    A loss of your own that is compiled (a `numba.cfunc`, a function pointer of ctypes with
    ``argtypes``, or a `scipy.LowLevelCallable`) has one of the signatures ``void (double z, double
    y, double *value, double *slope, void *data)`` and ``void (const double *z, const double *y,
    double *value, double *slope, intptr_t n, void *data)``, and runs inside the kernels on all
    threads. Nothing but value and slope is known of it: ``learning_rate="auto"`` is L-BFGS on full
    batches, else Adam at rates that fall from one at which a first step lowers the objective;
    training stops on a plateau or a small gradient, and `optimality_` is None.

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

    _parameter_constraints: dict = {
        **SGD_CONSTRAINTS,
        "loss": [StrOptions(set(KINDS)), callable, LowLevelCallable],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        loss="hinge",
        *,
        penalty="l2",
        alpha=0.0001,
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-3,
        shuffle=True,
        verbose=0,
        epsilon=0.1,
        quantile=0.5,
        n_jobs=None,
        random_state=None,
        learning_rate="auto",
        eta0=0.01,
        power_t=0.5,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        class_weight=None,
        warm_start=False,
        average=False,
        batch_size=1,
        optimizer="sgd",
        init="zeros",
        positive=False,
        max_seconds=None,
        n_restarts=0,
    ):
        self._assign(locals())

    @checked
    @with_callbacks
    def fit(
        self,
        X,
        y,
        coef_init=None,
        intercept_init=None,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
        """Train from the start, or with `warm_start` go on.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : array-like of shape (n_samples,)
            Labels, of two classes at least.
        coef_init : array-like of the shape of `coef_`, default=None
            Coefficients to start from.
        intercept_init : array-like of the shape of `intercept_`, default=None
            Intercepts to start from.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. A row of weight 0 counts as absent.
        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
            Validation rows: their loss and score enter `history_` after every epoch; with
            `early_stopping` no others are held out.
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
            Something in the arguments is not allowed, or training diverged; an earlier fit is kept.
        KeyboardInterrupt
            Ctrl-C: the model of the last complete epoch is stored.
        """
        return self._fit(
            X,
            y,
            sample_weight,
            coef_init=coef_init,
            intercept_init=intercept_init,
            validation=(X_val, y_val, sample_weight_val),
        )

    @checked
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """One epoch on these rows, from where the last call ended. Callbacks and `verbose` have no
        part in it.

        With ``learning_rate="auto"`` a drift is noticed and followed: where the model predicts new
        rows significantly worse than the latest iterate does, it begins anew from there. Sparse
        rows cost in proportion to what they store. `history_` grows in place.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0, in absolute terms: 1 is a row's usual weight.

        Returns
        -------
        self
        """
        first = not hasattr(self, "classes_")
        if self.early_stopping:
            raise ValueError("early_stopping should be False with partial_fit")
        with unchanged_on_error(self):
            X, y = self._check_X(X, reset=first, y=y)
            _check_partial_fit_first_call(self, classes)
            unknown = np.setdiff1d(y, self.classes_)
            if len(unknown):
                raise ValueError(
                    "classes should include all valid labels that can be in y, which has "
                    f"{unknown} besides"
                )
            return self._fit_labels(X, y, sample_weight, partial=True)


class SGDRegressor(Regressor):
    """Linear regression by batch, mini-batch or stochastic gradient descent, of one target or
    several.

    Minimises ``sum_i s_i L(W x_i + b, y_i) / sum_i s_i + alpha P(W)`` over W and b by the steps
    ``theta <- theta - eta_t (mean gradient of a batch + alpha dP)``. Several targets add their
    losses and share the pass over X.

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
        - a function of your own, ``loss(z, y) -> (values, slopes)`` of arrays, or a compiled one
          (see below)

    penalty : {'l2', 'l1', 'elasticnet', None}, default='l2'
        The penalty P: ``|W|^2 / 2``, ``|W|_1``, or ``l1_ratio |W|_1 + (1 - l1_ratio) |W|^2 / 2``.
        The intercept is never penalised. L1 is applied by its exact prox, so coefficients are
        exactly zero.

    alpha : float, default=0.0001
        Strength of the penalty, in [0, inf).

    l1_ratio : float, default=0.15
        Share of L1 in the elastic net, in [0, 1]; None is allowed with the other penalties.

    fit_intercept : bool, default=True
        Whether there is an intercept b. It has the same learning rate on dense and sparse X.

    max_iter : int, default=1000
        Most epochs: passes over the training rows.

    tol : float or None, default=1e-3
        With ``learning_rate="auto"`` training stops when the objective F is known to be within
        `tol` of its minimum, relative to what the best constant model leaves to gain: ``(F - F*) /
        (F0 - F*) <= tol``. With other rates it stops when the loss has not fallen by `tol` below
        its best for `n_iter_no_change` epochs in a row, and, with ``batch_size="full"``, when the
        gradient's norm is at most `tol` times the first one. None: all `max_iter` epochs.

    shuffle : bool or 'full', default=True
        True: visit the rows in an order as good as a new random permutation each epoch; 'full':
        always a full permutation; False: in the order given. A full batch has no order.

    verbose : int, default=0
        1 or more: `fit` shows a progress bar with loss, rate and time left, which needs rich (``pip
        install 'fastgd[progress]'``); where there is no terminal, and inside of other estimators,
        one line when it ends.

    epsilon : float, default=0.1
        The threshold of 'huber' and of the epsilon-insensitive losses.

    quantile : float, default=0.5
        The quantile that ``loss="quantile"`` estimates, in (0, 1).

    n_jobs : int, default=None
        Threads inside one fit. None: all that OpenMP allows; -1: all processors. Never changes the
        result.

    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling, the validation split and the random start. Same seed, same bits.

    learning_rate : str or schedule, default='auto'
        The rate eta_t of the t-th update:

        - 'auto': none to choose, and none to go wrong with. Steps are taken on columns of spread 1
          (centred, if X is dense) without a copy of X, while penalties stay those of the user's own
          weights: single rows and mini-batches by SAGA with importance sampling after a pass or two
          of implicit steps, full batches by Newton's method with conjugate gradients and exact line
          search, streams (`partial_fit`) by averaged implicit steps. With another `optimizer`, or
          with `average`, it is 'lipschitz' with a rate of 0.01. `eta0` and `power_t` have no
          effect, of which a warning tells if they differ from their defaults.
        - 'lipschitz': ``1 / (L sqrt(1 + epochs done))``, L a bound of the gradient's Lipschitz
          constant from the longest row (full batches: 1 / L; 'poisson', which has none: a guess
          from the largest y). Standardise the columns for speed. Rules that scale themselves
          (AdaGrad, RMSProp, Adam, AdamW) take `eta0` in place of 1 / L.
        - 'constant': ``eta0``
        - 'invscaling': ``eta0 / t**power_t``
        - 'optimal': ``1 / (alpha (t0 + t - 1))``, t0 by Bottou's heuristic for rows of length 1
        - 'adaptive': ``eta0``, divided by 5 each time the loss has stalled
        - 'step': ``eta0``, halved every 10 epochs
        - 'cosine': from ``eta0`` to 0 along a cosine over `max_iter` epochs
        - 'one_cycle': up to ``eta0`` over three tenths of `max_iter` epochs, then down to 0 along a
          cosine
        - 'pa1', 'pa2': passive-aggressive steps, ``min(eta0, L / |x|^2)`` and ``L / (|x|^2 + 1 / (2
          eta0))``; for loss 'epsilon_insensitive' and ``batch_size=1``
        - a configured schedule: `Constant`, `InverseScaling`, `Optimal`, `Adaptive`, `StepDecay`,
          `CosineDecay`, `OneCycle`

    eta0 : float, default=0.01
        The first rate of the schedules that use it.

    power_t : float, default=0.25
        The exponent of 'invscaling', >= 0 (a negative one is deprecated).

    early_stopping : bool, default=False
        Hold out `validation_fraction` of the rows (none if `fit` is given validation rows); stop
        when their score has not risen by `tol` for `n_iter_no_change` epochs in a row. The model is
        that of the best epoch: the highest score, then the lowest loss.

    validation_fraction : float, default=0.1
        Share of the rows that is held out, in (0, 1).

    n_iter_no_change : int, default=5
        Patience, in epochs.

    warm_start : bool, default=False
        Go on from the last fit. Where nothing has changed since but `max_iter`, `max_seconds`,
        `tol`, `verbose`, `n_jobs` or the callbacks, training takes the very steps that it would
        have taken in the same `fit` (the random stream, the update rule's buffers, averages, `t_`
        and `history_` go on); a 'cosine' or 'one_cycle' then ends `max_iter` epochs from here. If
        anything else has changed, the data included, or coefficients are given, it starts from the
        coefficients alone.

    average : bool or int, default=False
        Publish the mean of the iterates; an int above 1: of those after that many visits.

    batch_size : int or 'full', default=1
        Rows an update: 1 stochastic, n mini-batch, 'full' batch gradient descent. The last batch of
        an epoch may be short.

    optimizer : str or rule, default='sgd'
        What a step does with the gradient: 'sgd', 'momentum', 'nesterov', 'adagrad', 'rmsprop',
        'adam', 'adamw', or a configured `SGD`, `Momentum`, `Nesterov`, `AdaGrad`, `RMSProp`,
        `Adam`, `AdamW`, or `GradientNoise` around one of them.

    init : {'zeros', 'normal'}, default='zeros'
        The start: zero, or normal numbers of standard deviation 0.01.

    positive : bool, default=False
        Whether no weight (of no class) may be negative. Intercepts may.

    max_seconds : float, default=None
        No epoch begins in `fit` later than that. None: no matter how long it takes.

    n_restarts : int, default=0
        Train so many times more, each from a random start like that of ``init="normal"``, and keep
        the model whose objective is the lowest.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        W; float32 where X is. After `partial_fit` on sparse rows it is made when it is asked for;
        no call changes an array that was made before.

    intercept_ : ndarray of shape (1,) or (n_targets,)
        b

    n_iter_ : int
        Epochs of the last fit.

    t_ : int
        Number of updates, plus one.

    history_ : dict of lists
        One entry an epoch: ``loss``, the mean over the epoch's visits at the weights that each row
        met, plus the penalty (an L1 part that is applied row by row: the mean of its values at the
        epoch's two ends); ``gradient_norm``, for plain SGD the distance gone over the sum of the
        rates (a full batch's very gradient), for other rules the mean of the batches' norms;
        ``learning_rate``, the last one; ``seconds`` since the fit began; with validation rows
        ``validation_loss`` and ``validation_score``. A `fit` that goes on exactly adds to it.
        `pandas.DataFrame` takes it.

    loss_curve_ : list
        ``history_["loss"]``

    stop_reason_ : str
        'tol', 'plateau', 'gradient', 'validation', 'max_iter', 'max_seconds', 'callback',
        'rounding' where no step gains more than rounding and `tol` is not reached, or, after
        Ctrl-C, 'interrupted'.

    best_epoch_ : int
        With `early_stopping`: the epoch, from 1, whose model this is; its entries in `history_`
        have index ``best_epoch_ - 1``.

    converged_ : bool
        Whether `optimality_` has reached `tol`. A plateau, a small step or rounding is no
        convergence, nor is a small objective of separable classes, which has no minimum.

    optimality_ : float or None
        Estimate or bound of ``(F - F*) / (F0 - F*)``; None where nothing is known of the minimum:
        at rates chosen by hand, after `partial_fit`, and with ``tol=None``.

    optimality_kind_ : str or None
        'Newton decrement', an estimate for smooth objectives, or 'duality gap', a bound. None for
        the loss 'perceptron', whose minimum without weights says nothing of a useful model.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has them.

    Notes
    -----
    A loss of your own that is compiled (a `numba.cfunc`, a function pointer of ctypes with
    ``argtypes``, or a `scipy.LowLevelCallable`) has one of the signatures ``void (double z, double
    y, double *value, double *slope, void *data)`` and ``void (const double *z, const double *y,
    double *value, double *slope, intptr_t n, void *data)``, and runs inside the kernels on all
    threads. Nothing but value and slope is known of it: ``learning_rate="auto"`` is L-BFGS on full
    batches, else Adam at rates that fall from one at which a first step lowers the objective;
    training stops on a plateau or a small gradient, and `optimality_` is None.

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

    _parameter_constraints: dict = {
        **SGD_CONSTRAINTS,
        "loss": [StrOptions(set(OF_VALUES)), callable, LowLevelCallable],
    }

    def __init__(
        self,
        loss="squared_error",
        *,
        penalty="l2",
        alpha=0.0001,
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-3,
        shuffle=True,
        verbose=0,
        epsilon=0.1,
        quantile=0.5,
        n_jobs=None,
        random_state=None,
        learning_rate="auto",
        eta0=0.01,
        power_t=0.25,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        warm_start=False,
        average=False,
        batch_size=1,
        optimizer="sgd",
        init="zeros",
        positive=False,
        max_seconds=None,
        n_restarts=0,
    ):
        self._assign(locals())

    @checked
    @with_callbacks
    def fit(
        self,
        X,
        y,
        coef_init=None,
        intercept_init=None,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
        """Train from the start, or with `warm_start` go on.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        coef_init : array-like of the shape of `coef_`, default=None
            Coefficients to start from.
        intercept_init : array-like of the shape of `intercept_`, default=None
            Intercepts to start from.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. A row of weight 0 counts as absent.
        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
            Validation rows: their loss and score enter `history_` after every epoch; with
            `early_stopping` no others are held out.
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
            Something in the arguments is not allowed, or training diverged; an earlier fit is kept.
        KeyboardInterrupt
            Ctrl-C: the model of the last complete epoch is stored.
        """
        return self._fit(
            X,
            y,
            sample_weight,
            coef_init=coef_init,
            intercept_init=intercept_init,
            validation=(X_val, y_val, sample_weight_val),
        )

    @checked
    def partial_fit(self, X, y, sample_weight=None):
        """One epoch on these rows, from where the last call ended. Callbacks and `verbose` have no
        part in it.

        With ``learning_rate="auto"`` a drift is noticed and followed: where the model predicts new
        rows significantly worse than the latest iterate does, it begins anew from there. Sparse
        rows cost in proportion to what they store. `history_` grows in place.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0, in absolute terms: 1 is a row's usual weight.

        Returns
        -------
        self
        """
        if self.early_stopping:
            raise ValueError("early_stopping should be False with partial_fit")
        with unchanged_on_error(self):
            return self._fit_targets(X, y, sample_weight, reset=not self._is_trained, partial=True)
