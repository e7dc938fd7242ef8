"""The contract that feed-forward networks share: scikit-learn's, with one way from parameters and
data to a training run.
"""

from contextlib import nullcontext
from copy import copy
from numbers import Integral, Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from fastgd.estimators.base import Model
from fastgd.estimators.diagnostics import warn
from fastgd.estimators.resumption import Resumption
from fastgd.kernels import network
from fastgd.kernels.data_term import DataTerm
from fastgd.methods.mlp import (
    ACTIVATIONS,
    LBFGS,
    Architecture,
    AutoScheduleFree,
    Backpropagation,
    PerEpoch,
    pack,
)
from fastgd.methods.optimizers import SGD, Adam, AdamW, Momentum, Nesterov
from fastgd.methods.schedules import Adaptive, Constant, Schedule
from fastgd.problem.data import as_rows, distinct_columns, is_surely_finite
from fastgd.problem.objective import Objective
from fastgd.problem.order import Order, seed_of
from fastgd.problem.problem import HeldOut, Problem
from fastgd.training.blas import one_blas_thread
from fastgd.training.history import History, copy_of
from fastgd.training.loop import DivergedError, Stopping, Training
from fastgd.training.multi_start import MultiStart

# Rows of batch_size="auto": scikit-learn's default.
DEFAULT_BATCH_SIZE = 200
# The value of alpha="auto", except for solver="auto": scikit-learn's default.
DEFAULT_ALPHA = 1e-4
# The error of a divergence names columns of X, and y, of at least this size.
LARGE_SIZE = 1e3
# Predictions of at most this number of rows have products too short for several BLAS threads.
MAX_ROWS_OF_SHORT_PRODUCTS = 256

# The constraint of a number above 0.
POSITIVE = Interval(Real, 0, None, closed="neither")
# The constraints of the parameters.
NETWORK_CONSTRAINTS = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "solver": [StrOptions({"auto", "lbfgs", "sgd", "adam", "adamw"})],
    "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
    "batch_size": [StrOptions({"auto", "full"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), Schedule],
    "learning_rate_init": [POSITIVE],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "max_seconds": [POSITIVE, None],
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
    """Stopping criteria of networks: a stalled loss (in the method's unit) or validation, or a
    method that has finished.
    """

    def __init__(self, method, unit, *arguments):
        super().__init__(*arguments)
        self._method, self._unit = method, unit

    def has_stalled(self, value):
        return super().has_stalled(value / self._unit) or self._method.settled


class NeuralNetwork(Model):
    """Feed-forward networks trained by gradient descent.

    A subclass converts y to the kernels' targets, defines loss and output activation, and computes
    predictions from margins (`_predict_from`).
    """

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

    def _batch_size(self, n):
        """Rows per update, out of n; more than n means all."""
        return (
            n
            if self.batch_size == "full"
            else DEFAULT_BATCH_SIZE
            if self.batch_size == "auto"
            else self.batch_size
        )

    def _alpha(self, n, before):
        """The strength of the penalty on n rows, after `before` rows of earlier calls.

        The default of solver="auto" is a standard normal prior of the weights: the penalty of all
        rows together is |W|^2 / 2.
        """
        if self.alpha != "auto":
            return float(self.alpha)
        return (
            min(self._batch_size(n), n) / (before + n) if self.solver == "auto" else DEFAULT_ALPHA
        )

    def _method(self, problem, partial):
        n, architecture, seed = len(problem.visits), self._architecture(), problem.random_state
        size = self._batch_size(n)
        if self.solver == "lbfgs":
            if self.dropout:
                raise ValueError(
                    f"dropout={self.dropout} asks for another network in every step: "
                    "solver='lbfgs' cannot follow"
                )
            return LBFGS(architecture, seed, self.max_fun)
        if self.batch_size not in ("auto", "full") and size > n and not partial:
            warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                UserWarning,
            )
        if self.solver == "auto":
            return AutoScheduleFree(architecture, size, seed)
        return Backpropagation(architecture, self._schedule(n), self._optimizer(), size, seed)

    def _schedule(self, n):
        eta0 = float(self.learning_rate_init)
        if isinstance(self.learning_rate, Schedule):
            return self.learning_rate
        if self.solver != "sgd" or self.learning_rate == "constant":
            return Constant(eta0)
        return (
            Adaptive(eta0)
            if self.learning_rate == "adaptive"
            else PerEpoch(eta0, float(self.power_t), n)
        )

    def _optimizer(self):
        if self.solver == "sgd":
            rule = Nesterov if self.nesterovs_momentum else Momentum
            return rule(self.momentum) if self.momentum else SGD()
        return (Adam if self.solver == "adam" else AdamW)(self.beta_1, self.beta_2, self.epsilon)

    def _train(
        self,
        X,
        y,
        labels,
        weights,
        loss,
        outputs,
        *,
        partial=False,
        held_out=None,
        fit_callbacks=None,
    ):
        """Train on checked data and store the model. `partial`: one epoch more (partial_fit).

        `y` holds the kernels' targets, `labels` what the caller gave.
        """
        data, earlier = (
            self._resumable(X, y, weights, held_out)
            if self.warm_start and not partial
            else (None, None)
        )
        again = earlier is not None or (
            partial and hasattr(self, "coefs_")
        )  # whether the history goes on
        X = distinct_columns(X)
        seed = earlier.random_state if earlier else seed_of(self.random_state)
        visits, left_out = self._split(
            self._rows_that_count(weights, X.shape[0]), labels, held_out, seed
        )
        mean = 1.0 if weights is None else float(weights[visits].mean())
        weights = None if weights is None else weights / mean
        self.alpha_ = self._alpha(len(visits), self.t_ if again and partial else 0)
        objective = Objective(loss, 0.0, self.alpha_ / mean, outputs)
        full = self.solver == "lbfgs" or self.batch_size == "full"
        problem = Problem(
            as_rows(X), y, weights, objective, visits, full, 1, X, data is not None, seed
        )
        if len(left_out):
            held_out = HeldOut.of(X, y, labels, weights, left_out)
        method, training = self._method(problem, partial), None
        known = data, self.t_ if again else 0
        try:
            with one_blas_thread():
                training = self._begun(
                    method,
                    problem,
                    History(self.history_ if again else None),
                    held_out,
                    partial,
                    earlier,
                )
                if fit_callbacks:
                    fit_callbacks.begin(lambda training: self._attributes(training, *known))
                MultiStart([training], fit_callbacks).run()
        except KeyboardInterrupt:
            if training is not None and training.epochs:
                self._publish(training, *known)
            raise
        except DivergedError as error:
            raise DivergedError(f"{error} {self._largest(problem)}".strip()) from None
        self._publish(training, *known)
        if fit_callbacks:
            fit_callbacks.end(training)
        if (
            self.stop_reason_ in ("max_iter", "max_seconds", "max_fun")
            and not partial
            and self.tol is not None
        ):
            warn(
                f"Training stopped after {self.n_iter_} epochs, at "
                f"{self.stop_reason_}={getattr(self, self.stop_reason_)}, and "
                "the optimization hasn't converged yet.",
                ConvergenceWarning,
            )
        return self

    def _largest(self, problem):
        """Name the column of X, and y, if their size may be why training diverged; else empty."""
        names = getattr(self, "feature_names_in_", np.arange(problem.rows.shape[1]))
        sizes = abs(problem.X).max(axis=0)
        sizes = np.asarray(sizes.todense()).ravel() if problem.rows.sparse else sizes
        found = [(f"column {names[sizes.argmax()]!s} of X", sizes.max())]
        if not problem.objective.loss.is_of_labels:
            found.append(("y", np.abs(problem.targets).max()))
        found = [(name, size) for name, size in found if size > LARGE_SIZE]
        return " ".join(f"The largest value of {name} is {size:.2g}." for name, size in found)

    def _begun(self, method, problem, history, held_out, partial, earlier):
        """A new run, or one that continues from the end of an earlier one."""
        if earlier is None:
            method.start(problem, *self._start(problem, partial))
            return self._training(method, history, held_out, partial)
        resume_point = earlier.runs[0].resume_point
        method.resume(problem, resume_point.method)
        training = self._training(method, history, held_out, partial)
        training.resume(resume_point)
        return training

    def _training(self, method, history, held_out, partial):
        """The run of a method that has been started.

        scikit-learn's patience: the loss may stall for `n_iter_no_change` epochs; L-BFGS looks at
        the gradient instead.
        """
        problem, origin = method.problem, method.state.theta.copy()
        patience = (
            np.inf
            if self.solver == "lbfgs" and not self.early_stopping
            else self.n_iter_no_change + 1
        )
        stopping = Stalling(
            method,
            1.0 if self.early_stopping else method.unit,
            1 if partial else self.max_iter,
            None if partial else self.tol,
            patience,
            False,
            None if partial else self.max_seconds,
        )
        shuffle = (
            "full" if self.shuffle and not problem.full_batch else False
        )  # fetching a row is little beside its products
        order = Order(problem, problem.X, shuffle, problem.random_state, len(history))
        validate = None if held_out is None else self._validator(held_out, *method.validation)
        return Training(
            method,
            order,
            stopping,
            history,
            lambda: method.loss_at(origin),
            validate=validate,
            early_stopping=self.early_stopping,
            resumable=problem.resumable,
        )

    def _start(self, problem, partial):
        """(flat vector to start from, earlier state to go on with); None: anew, or the state's
        own.
        """
        if not (partial or self.warm_start) or not hasattr(self, "coefs_"):
            return None, None
        theta, widths = self._packed(np.float64)
        wanted = self._architecture().widths(problem.rows.shape[1], problem.objective.outputs)
        if not np.array_equal(widths, wanted):
            raise ValueError(
                f"the model has layers of {widths.tolist()} units, {wanted.tolist()} are asked "
                "for now"
            )
        return (None, self._state) if partial else (theta, None)

    def _store(self, coefs, intercepts):
        self.coefs_, self.intercepts_ = coefs, intercepts

    def _learnt(self):
        return *self.coefs_, *self.intercepts_

    def _publish(self, training, data, visited):
        """Store the model that training has come to, and what it leaves beside the weights.

        `data`: the fingerprint of what it was trained on, if it may go on; `visited`: rows before.
        """
        history, method = training.history.record, training.method
        self._store(*training.solution())
        self.n_iter_, self.history_, self._state = training.epochs, history, method.state
        self.stop_reason_ = (
            "max_fun" if method.spent and training.reason == "plateau" else training.reason
        )
        self.t_ = visited + self.n_iter_ * len(method.problem.visits)
        self.loss_ = history["loss"][-1] if history["loss"] else None
        self.n_layers_, self.n_outputs_ = len(self.coefs_) + 1, self.coefs_[-1].shape[1]
        self.best_loss_ = min(history["loss"], default=None) if not self.early_stopping else None
        self.validation_scores_ = history.get("validation_score")
        self.best_validation_score_ = (
            np.nanmax(self.validation_scores_) if self.validation_scores_ else None
        )
        vars(self).pop("best_epoch_", None)
        vars(self).pop("_resumption", None)
        if training.best:
            self.best_epoch_ = training.best.epoch
        if data is not None:
            self._resumption = Resumption.of(
                self, data, method.problem.random_state, [training], training
            )

    def _attributes(self, training, data, visited):
        """The attributes of the estimator if the training stopped now."""
        model = copy(self)
        model._publish(training, data, visited)
        model.history_ = copy_of(model.history_)
        return vars(model)

    def _validator(self, held_out, objective, scales):
        """A function (coefs, intercepts) -> (score, loss) on the rows held out; a model that is not
        finite has the lowest score.

        `scales` are those of the outputs' losses, for the kernel.
        """
        model, rows, weights = copy(self), as_rows(held_out.X), held_out.weights
        visits = np.arange(rows.shape[0])
        term = DataTerm(rows, held_out.y, weights, visits, objective.codes)
        total = float(rows.shape[0] if weights is None else weights.sum())

        def validate(coefs, intercepts):
            model._store(coefs, intercepts)
            theta, widths = model._packed(rows.dtype)
            if not is_surely_finite(theta):
                return -np.inf, np.inf
            layers = model._architecture().network(widths, scales=scales)
            loss = network.gradient(term, theta, None, None, layers)
            predicted = model._predict_from(model._forward(held_out.X))
            return float(
                model._metric(held_out.labels, predicted, sample_weight=weights)
            ), loss / total

        return validate

    # ---- prediction ----

    def _packed(self, dtype):
        """(flat vector, widths) of the fitted layers."""
        widths = np.array([W.shape[0] for W in self.coefs_] + [self.coefs_[-1].shape[1]])
        return pack(self.coefs_, self.intercepts_, dtype), widths

    def _forward(self, X):
        """The last layer's Z for the rows of a checked X, (n, outputs)."""
        rows = as_rows(X)
        theta, widths = self._packed(rows.dtype)
        out = np.empty(rows.shape[0] * widths[-1], rows.dtype)
        with one_blas_thread() if rows.shape[0] > MAX_ROWS_OF_SHORT_PRODUCTS else nullcontext():
            layers = self._architecture().network(widths)
            network.margins(rows, np.arange(rows.shape[0]), theta, None, out, layers)
        return out.reshape(-1, widths[-1])

    def _margins(self, X):
        check_is_fitted(self)
        return self._forward(distinct_columns(self._check_X(X, reset=False)))
