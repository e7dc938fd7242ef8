"""The fit of a feed-forward network."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastgd.estimators.diagnostics import warn
from fastgd.estimators.fit import RowsFit
from fastgd.methods.mlp import LBFGS, AutoScheduleFree, Backpropagation, PerEpoch
from fastgd.methods.network_units import pack
from fastgd.methods.optimizers import SGD, Adam, AdamW, Momentum, Nesterov
from fastgd.methods.schedules import Adaptive, Constant, Schedule
from fastgd.problem import passes
from fastgd.problem.data import largest
from fastgd.problem.objective import Objective
from fastgd.problem.order import Order
from fastgd.training.loop import DivergedError

# Rows of batch_size="auto": scikit-learn's default.
DEFAULT_BATCH_SIZE = 200
# The value of alpha="auto", except for solver="auto": scikit-learn's default.
DEFAULT_ALPHA = 1e-4
# The error of a divergence names columns of X, and y, of at least this size.
LARGE_SIZE = 1e3


class NetworkFit(RowsFit):
    """One fit of a network with so many outputs on the rows `data`."""

    def __init__(self, model, data, loss, outputs, **others):
        super().__init__(model, data, **others)
        self.loss, self.outputs = loss, outputs
        goes_on = self.earlier or (self.partial and hasattr(model, "coefs_"))
        self.rows_before = model.t_ if goes_on else 0
        self.problem = self.pose(data, self.drawn_seed())
        # As in scikit-learn, the loss may stall for `n_iter_no_change` epochs; L-BFGS looks at the
        # gradient instead.
        waits = model.solver == "lbfgs" and not model.early_stopping
        self.stopping.patience = np.inf if waits else model.n_iter_no_change + 1

    def objective(self, n, total):
        """The objective; alpha="auto" of solver="auto" is a standard normal prior of the weights:
        the penalty of all rows together, those of earlier calls among them, is |W|^2 / 2.
        """
        model = self.model
        model.alpha_ = DEFAULT_ALPHA if model.alpha == "auto" else float(model.alpha)
        if model.alpha == "auto" and model.solver == "auto":
            before = self.rows_before if self.partial else 0
            model.alpha_ = min(self.batch_size(n), n) / (before + n)
        return Objective(self.loss, 0.0, model.alpha_ / (total / n), self.outputs)

    def is_full_batch(self, n):
        return self.model.solver == "lbfgs" or self.model.batch_size == "full"

    def batch_size(self, n):
        """Rows per update, out of n; more than n means all."""
        sizes = {"auto": DEFAULT_BATCH_SIZE, "full": n}
        return sizes.get(self.model.batch_size, self.model.batch_size)

    def method(self, last):
        model, n, seed = self.model, len(self.problem.visits), self.problem.random_state
        architecture, size = model._architecture(), self.batch_size(n)
        if model.solver == "lbfgs":
            if model.dropout:
                raise ValueError(
                    f"dropout={model.dropout} asks for another network in every step: "
                    "solver='lbfgs' cannot follow"
                )
            return LBFGS(architecture, seed, model.max_fun)
        is_given = model.batch_size not in ("auto", "full")
        if is_given and size > n and not self.partial:
            clipped = "It is going to be clipped"
            warn(f"Got `batch_size` less than 1 or larger than sample size. {clipped}", UserWarning)
        shuffles = {"shuffles": model.shuffle}
        if model.solver == "auto":
            return AutoScheduleFree(architecture, size, seed, **shuffles)
        rule = self.schedule(), self.optimizer()
        return Backpropagation(architecture, *rule, size, seed, **shuffles)

    def schedule(self):
        model, eta0 = self.model, float(self.model.learning_rate_init)
        if isinstance(model.learning_rate, Schedule):
            return model.learning_rate
        if model.solver != "sgd" or model.learning_rate == "constant":
            return Constant(eta0)
        if model.learning_rate == "adaptive":
            return Adaptive(eta0)
        return PerEpoch(eta0, float(model.power_t), len(self.problem.visits))

    def optimizer(self):
        model = self.model
        if model.solver == "sgd":
            rule = Nesterov if model.nesterovs_momentum else Momentum
            return rule(model.momentum) if model.momentum else SGD()
        rule = Adam if model.solver == "adam" else AdamW
        return rule(model.beta_1, model.beta_2, model.epsilon)

    def start(self, method):
        model, problem, theta, state = self.model, self.problem, None, None
        if (self.partial or model.warm_start) and hasattr(model, "coefs_"):
            theta, widths = model._packed(np.float64)
            wanted = model._architecture().widths(problem.rows.shape[1], self.outputs)
            if not np.array_equal(widths, wanted):
                raise ValueError(
                    f"the model has layers of {widths.tolist()} units, {wanted.tolist()} are asked "
                    "for now"
                )
            # A model from elsewhere has weights, but no state.
            if self.partial and hasattr(model, "_state"):
                theta, state = None, model._state
        method.start(problem, theta, state)
        return method.state.theta.copy()

    def order(self, epochs):
        problem = self.problem
        # Fetching a row costs little beside its products. Chunks are mixed pool by pool.
        is_mixed = self.model.shuffle and not (problem.full_batch or problem.X is None)
        shuffle = "full" if is_mixed else False
        return Order(problem, problem.X, shuffle, problem.random_state, epochs)

    def held_out_loss(self, method):
        objective, scales = method.scaled.validation
        held_out = self.held_out_problem(objective)
        layers = self.model._architecture().network(method.widths, scales=scales)

        def loss_of(coefs, intercepts):
            theta = pack(coefs, intercepts, held_out.rows.dtype)
            given = theta, None, None, lambda _: layers
            return passes.network_gradient(held_out.data_term, *given) / held_out.total_weight

        return loss_of

    def explained(self, error):
        """The error names the column of X, and y, if their size may be why training diverged."""
        problem = self.problem
        names = getattr(self.model, "feature_names_in_", np.arange(problem.rows.shape[1]))
        sizes = problem.rows.largest() if problem.X is None else largest(problem.X)
        found = [(f"column {names[sizes.argmax()]!s} of X", sizes.max())]
        if not problem.objective.loss.is_of_labels:
            found.append(("y", np.abs(problem.targets).max()))
        large = [(name, size) for name, size in found if size > LARGE_SIZE]
        advice = [f"The largest value of {name} is {size:.2g}." for name, size in large]
        return DivergedError(" ".join([str(error), *advice]))

    def conclude(self, training):
        model, reason = self.model, self.model.stop_reason_
        ended = reason in ("max_iter", "max_seconds", "max_fun")
        if ended and model.tol is not None and not self.partial:
            warn(
                f"Training stopped after {model.n_iter_} epochs, at "
                f"{reason}={getattr(model, reason)}, and the optimization hasn't converged yet.",
                ConvergenceWarning,
            )

    def store(self, model, training):
        method, history = training.method, training.history.record
        losses, scores = history["loss"], history.get("validation_score")
        model._store(*training.solution())
        model._state = method.state
        if method.spent and model.stop_reason_ == "plateau":
            model.stop_reason_ = "max_fun"
        model.t_ = self.rows_before + model.n_iter_ * len(self.problem.visits)
        model.n_layers_, model.n_outputs_ = len(model.coefs_) + 1, model.coefs_[-1].shape[1]
        model.loss_ = losses[-1] if losses else None
        model.best_loss_ = None if model.early_stopping else min(losses, default=None)
        model.validation_scores_ = scores
        model.best_validation_score_ = np.nanmax(scores) if scores else None
