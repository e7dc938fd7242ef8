"""The contract that feed-forward networks share: scikit-learn's, with one way from parameters and data to a training run."""
import warnings
from contextlib import nullcontext
from copy import copy
from numbers import Integral, Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from fastgd.kernels import network

from .data import Order, Problem, as_rows, distinct_columns, is_surely_finite, seed_of
from .estimator import Model
from .history import History
from .methods.network import (
    ACTIVATIONS,
    Architecture,
    Automatic,
    Backpropagation,
    Lines,
    PerEpoch,
    pack,
)
from .methods.newton import one_blas_thread
from .objective import Objective
from .optimizers import SGD, Adam, AdamW, Momentum, Nesterov
from .schedules import Adaptive, Constant, Schedule
from .training import Stopping, train

BATCH = 200         # rows of batch_size="auto"
FEW_ROWS = 256      # for a call whose products BLAS would not share among threads anyway

POSITIVE = Interval(Real, 0, None, closed="neither")
NETWORK = {  # constraints of the parameters
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "solver": [StrOptions({"auto", "lbfgs", "sgd", "adam", "adamw"})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto", "full"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), Schedule],
    "learning_rate_init": [POSITIVE],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left"), None],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="left")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [POSITIVE],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left")],
}


class Stalling(Stopping):
    """A stalled validation, or (`losses` not None) a stalled loss, or a method that would change nothing any more."""

    def __init__(self, method, losses, *arguments):
        super().__init__(*arguments)
        self._method, self._losses = method, losses

    def has_stalled(self, value):
        if self._losses is not None:
            value = self._losses[-1] / self._method.unit
        return super().has_stalled(value) or self._method.exhausted


class NeuralNetwork(Model):
    """Feed-forward networks trained by gradient descent.

    A subclass turns y into the kernels' targets, names loss and output activation, and tells predictions from margins (`_told`).
    """

    _objective_delta = 0.0

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ---- training ----

    def _hidden(self):
        """The units of the hidden layers."""
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        whole = all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes)
        if not whole or any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, and whole numbers; got {sizes}.")
        return tuple(int(size) for size in sizes)

    def _architecture(self):
        return Architecture(self._hidden(), self.activation, float(self.dropout))

    def _method(self, problem, go_on):
        n, architecture, seed = len(problem.visits), self._architecture(), seed_of(self.random_state)
        size = n if self.batch_size == "full" else BATCH if self.batch_size == "auto" else self.batch_size
        if self.solver == "lbfgs":
            if self.dropout:
                raise ValueError(f"dropout={self.dropout} asks for another network in every step: solver='lbfgs' cannot follow")
            return Lines(architecture, seed, self.max_fun)
        if self.batch_size not in ("auto", "full") and size > n and not go_on:
            warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=6)
        if self.solver == "auto":
            return Automatic(architecture, size, seed)
        return Backpropagation(architecture, self._schedule(n), self._optimizer(), size, seed)

    def _schedule(self, n):
        eta0 = float(self.learning_rate_init)
        if isinstance(self.learning_rate, Schedule):
            return self.learning_rate
        if self.solver != "sgd" or self.learning_rate == "constant":
            return Constant(eta0)
        return Adaptive(eta0) if self.learning_rate == "adaptive" else PerEpoch(eta0, float(self.power_t), n)

    def _optimizer(self):
        if self.solver == "sgd":
            rule = Nesterov if self.nesterovs_momentum else Momentum
            return rule(self.momentum) if self.momentum else SGD()
        return (Adam if self.solver == "adam" else AdamW)(self.beta_1, self.beta_2, self.epsilon)

    def _train(self, X, y, labels, weights, loss, outputs, go_on=False, validation=None):
        """Train on checked data and store the model. `go_on`: one epoch more (partial_fit).

        `y` holds the kernels' targets, `labels` what the caller gave, `validation` (X, targets, labels, weights) of the user's own.
        """
        again = (go_on or self.warm_start) and hasattr(self, "coefs_")
        X = distinct_columns(X)
        visits = self._rows_that_count(weights, X.shape[0])
        if validation is None:
            visits, held_out = self._split(visits, labels)
            if len(held_out):
                validation = (X[held_out], y.reshape(X.shape[0], -1)[held_out].ravel(), labels[held_out],
                              None if weights is None else weights[held_out])
        mean = 1.0 if weights is None else float(weights[visits].mean())
        objective = Objective(loss, self._objective_delta, 0.0, self.alpha / mean, outputs)
        if weights is not None:
            weights = weights / mean
        full = self.solver == "lbfgs" or self.batch_size == "full"
        problem = Problem(as_rows(X), y, weights, objective, visits, full, 1, X)
        method = self._method(problem, go_on)
        history = History(self.history_ if again else None)
        with one_blas_thread():
            method.start(problem, *self._start(problem, again, go_on))
            stopping = self._stopping(method, history, go_on)
            validate = Validation(copy(self), objective, *validation) if validation is not None else None
            order = Order(problem, X, not full and self.shuffle, seed_of(self.random_state) + len(history.record["loss"]))
            origin = method.state.theta.copy()
            self.n_iter_, self.stop_reason_ = train(method, order, stopping, history, lambda: method.loss_at(origin), validate,
                                                    self.verbose)
        self._store(*(validate.best if self.early_stopping and validate and validate.best else method.solution()))
        self._publish(method, history, validate, again)
        if self.stop_reason_ == "max_iter" and not go_on and self.tol is not None:
            warnings.warn(f"{'lbfgs' if self.solver == 'lbfgs' else 'Stochastic Optimizer'}: Maximum iterations ({self.max_iter}) "
                          "reached and the optimization hasn't converged yet.", ConvergenceWarning, stacklevel=5)
        return self

    def _start(self, problem, again, go_on):
        """(flat vector to start from, earlier state to go on with); None: anew, or the state's own."""
        if not again:
            return None, None
        theta, widths = self._packed(np.float64)
        wanted = self._architecture().widths(problem.rows.shape[1], problem.objective.outputs)
        if not np.array_equal(widths, wanted):
            raise ValueError(f"the model has layers of {widths.tolist()} units, {wanted.tolist()} are asked for now")
        return (None, self._state) if go_on else (theta, None)

    def _stopping(self, method, history, go_on):
        """scikit-learn's: the loss may stall for `n_iter_no_change` epochs; L-BFGS looks at the gradient instead.
"""
        patience = np.inf if self.solver == "lbfgs" and not self.early_stopping else self.n_iter_no_change + 1
        losses, tol = (None if self.early_stopping else history.record["loss"]), (None if go_on else self.tol)
        return Stalling(method, losses, 1 if go_on else self.max_iter, tol, patience)

    def _validation(self, X_val, y_val, sample_weight_val, dtype):
        """(X, targets, labels, weights) of the user's own validation rows; None where there are none."""
        given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        if X_val is None or y_val is None:
            for name in (name for name, value in given.items() if value is not None):
                raise ValueError(f"{name} is provided, but {'X_val' if X_val is None else 'y_val'} was not provided.")
            return None
        X_val = distinct_columns(self._check_X(X_val, reset=False)).astype(dtype, copy=False)
        labels = self._check_y_val(y_val)
        check_consistent_length(X_val, labels)
        return X_val, self._targets(labels), labels, self._sample_weight(sample_weight_val, X_val)

    def _store(self, coefs, intercepts):
        self.coefs_, self.intercepts_ = coefs, intercepts

    def _publish(self, method, history, validate, again):
        """What training leaves beside the weights."""
        self.history_, self._state = history.record, method.state
        self.loss_ = history.record["loss"][-1]
        self.t_ = (self.t_ if again else 0) + self.n_iter_ * len(method.problem.visits)
        self.n_layers_, self.n_outputs_ = len(self.coefs_) + 1, self.coefs_[-1].shape[1]
        earlier = (self.validation_scores_ if again else None) or []
        self.validation_scores_ = earlier + validate.scores if validate else None
        self.best_validation_score_ = max(self.validation_scores_) if validate else None
        self.best_loss_ = None if self.early_stopping else min(history.record["loss"])

    # ---- the model at work ----

    def _packed(self, dtype):
        """(flat vector, widths) of the fitted layers."""
        widths = np.array([W.shape[0] for W in self.coefs_] + [self.coefs_[-1].shape[1]])
        return pack(self.coefs_, self.intercepts_, dtype), widths

    def _forward(self, X):
        """The last layer's Z for the rows of a checked X, (n, outputs)."""
        rows = as_rows(X)
        theta, widths = self._packed(rows.dtype)
        out = np.empty(rows.shape[0] * widths[-1], rows.dtype)
        with one_blas_thread() if rows.shape[0] > FEW_ROWS else nullcontext():
            network.margins(rows, np.arange(rows.shape[0]), theta, None, None, out, widths, self._architecture().codes())
        return out.reshape(-1, widths[-1])

    def _margins(self, X):
        check_is_fitted(self)
        return self._forward(distinct_columns(self._check_X(X, reset=False)))


class Validation:
    """Score and loss of models on held-out rows, and the best of them: the highest score, the first of equals."""

    def __init__(self, model: NeuralNetwork, objective, X, targets, labels, weights):
        self._model, self._objective, self._X, self._y, self._labels = model, objective, X, targets, labels
        self._weights = None if weights is None else weights / weights.mean()
        self.scores, self.best_score, self.best = [], -np.inf, None

    def __call__(self, coefs, intercepts):
        model, rows = self._model, as_rows(self._X)
        model._store(coefs, intercepts)
        theta, widths = model._packed(rows.dtype)
        visits = np.arange(rows.shape[0])
        loss = network.gradient(rows, self._y, self._weights, visits, theta, None, None, None, widths, self._objective.codes,
                                model._architecture().codes())
        told = model._told(model._forward(self._X))
        score = float(model._metric(self._labels, told, sample_weight=self._weights)) if is_surely_finite(theta) else np.nan
        self.scores.append(score)
        if score > self.best_score:
            self.best_score, self.best = score, (coefs, intercepts)
        return score, loss / len(visits)
