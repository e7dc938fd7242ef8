"""The fit of a linear model."""

from dataclasses import replace

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state

from fastgd.estimators.diagnostics import diagnose, warn_of
from fastgd.estimators.fit import RowsFit
from fastgd.estimators.parameters import thread_count
from fastgd.estimators.select_solver import is_automatic, needs_products, select_method
from fastgd.estimators.separation import explain_separation
from fastgd.methods.implicit_sgd import AveragedImplicitSGD, Stream
from fastgd.methods.sgd import FirstOrder
from fastgd.methods.sparse_stream import SparseStream
from fastgd.problem.chunked_rows import ChunkedRows
from fastgd.problem.layout import pack, unpack
from fastgd.problem.metric import metric_of
from fastgd.problem.order import Order
from fastgd.problem.products import products_of
from fastgd.problem.scaling import beyond, has_targets_beyond, lost_columns, scaled, without
from fastgd.problem.seed import seed_of
from fastgd.problem.stored_columns import StoredColumns
from fastgd.training.blas import one_blas_thread
from fastgd.training.history import History
from fastgd.training.loop import INTERRUPTED, DivergedError

# Slopes are clipped to this size at chosen rates, as in scikit-learn, so that a single outlying row
# does not overflow the weights.
MAX_SLOPE = 1e12
# Standard deviation of init="normal": small beside the weights of standardised columns.
INITIAL_SCALE = 0.01
# Columns whose weights no float holds are dropped if the objective without them is at most this
# multiple of that with them: for squares, if they explain at most a third of the remaining
# variance. Otherwise the fit is an error.
MAX_LOSS_RATIO_WITHOUT = 1.5


class LinearFit(RowsFit):
    """One fit of a linear model on the rows `data`; `init` is (coef_init, intercept_init).

    `metric` is the column scaling of these rows, and `row_gram` their `RowGram`, if it is known.
    """

    first_theta = None
    # The `StoredColumns` that are trained on; None: all columns.
    stored_columns = None

    def __init__(
        self,
        model,
        data,
        outputs,
        one_vs_rest,
        *,
        init=(None, None),
        metric=None,
        row_gram=None,
        **others,
    ):
        super().__init__(model, data, **others)
        self.init, self.data = init, data
        if any(part is not None for part in init):
            self.earlier = None
        self.outputs, self.one_vs_rest = outputs, one_vs_rest
        self.automatic = is_automatic(model)
        self.uses_blas = self.automatic and not self.partial
        self.has_relative_weights = not self.partial
        self.threads = thread_count(model.n_jobs)
        # The problem in the user's units and in those of the method.
        seed = self.drawn_seed() if self.is_resumable else model.random_state
        if self.automatic and not self.partial and self._starts_at_zero():
            self.stored_columns = StoredColumns.find(data.X)
        if self.stored_columns:
            data = replace(data, X=self.stored_columns.take(data.X))
        self.unscaled = self.problem = self.pose(data, seed)
        if not self.stored_columns:
            self.problem.metric, self.problem.row_gram = metric, row_gram
        objective = self.problem.objective
        self.custom_function = objective.loss.function
        # Without an estimate of the distance to the minimum, a stalled loss ends training.
        if not self.automatic or model.early_stopping or objective.is_degenerate:
            self.stopping.patience = model.n_iter_no_change
        self.stopping.full_gradient = self.problem.full_batch and not self.automatic

    def _starts_at_zero(self):
        """Whether columns that no row stores have weights 0 throughout, and no other rows are to be
        judged by these weights.
        """
        model = self.model
        is_new = not self.is_resumable and all(part is None for part in self.init)
        is_judged = self.held_out is not None or model.early_stopping
        return is_new and not is_judged and model.init == "zeros" and not model.n_restarts

    @property
    def names(self):
        """The names, or numbers, of the columns of the problem."""
        names = np.arange(self.data.X.shape[1])
        names = getattr(self.model, "feature_names_in_", names)
        return names[self.stored_columns.numbers] if self.stored_columns else names

    def objective(self, n, total):
        objective = self.model._objective(self.outputs, self.one_vs_rest, total)
        return objective if self.automatic else replace(objective, steepest=MAX_SLOPE)

    def is_full_batch(self, n):
        size = self.model.batch_size
        if self.automatic and isinstance(self.data.X, ChunkedRows):
            return True
        return size in ("full", "auto") or (not self.partial and size >= n)

    # ---- training ----

    def train(self):
        """Run all trainings; return the best one whose weights a float of the user's can hold."""
        unscaled = self.unscaled
        if self.automatic and not self.partial:
            unscaled.metric = self._metric(unscaled)
            self.scaling, self.problem = scaled(unscaled)
            if self.scaling and self.held_out:
                self.held_out = self.scaling.held_out(self.held_out)
        narrow = self.automatic and unscaled.rows.dtype == np.float32
        if narrow and has_targets_beyond(unscaled):
            raise ValueError(self.beyond(False))
        training = self.best_run()
        if self.scaling:
            return self.representable(training)
        # A `SparseStream` does not compute all columns.
        if narrow and not isinstance(training.method.state, SparseStream):
            if not all(np.isfinite(part.astype(np.float32)).all() for part in training.solution()):
                raise ValueError(self.beyond(True))
        return training

    def _metric(self, problem):
        """The column scaling; with the products of the columns where these are the solution."""
        if problem.metric is None and self.model.batch_size == "auto" and needs_products(problem):
            made = products_of(problem)
            if made:
                return made.metric
        metric = metric_of(problem)
        if not (np.isfinite(metric.center).all() and np.isfinite(metric.scale).all()):
            # X may have numbers that are not finite, for which nobody has looked yet.
            self.model._check_X(self.data.X, reset=False)
        return metric

    def best_run(self):
        """Train, from 0 if the objective overflows at the start; return the best training."""
        try:
            return super().train()
        except DivergedError:
            goes_on = self.partial and hasattr(self.model, "coef_")
            if not self.automatic or goes_on or not np.any(self.first_theta):
                raise
            start = np.zeros((self.outputs, self.problem.rows.shape[1])), np.zeros(self.outputs)
            self.earlier, self.init = None, start
            return super().train()

    def representable(self, training):
        """The training, or one without the columns whose weights no float holds, if it is about
        as good.
        """
        metric, dtype = self.problem.metric, self.problem.rows.dtype
        solution = training.scaled_solution()
        columns, intercepts = lost_columns(self.scaling, metric, *solution, dtype)
        if columns.any():
            loss = training.objective()
            self.problem = without(self.problem, columns)
            self.scaling.held = self.scaling.held | columns
            self.earlier, self.is_resumable = None, False
            training = self.best_run()
            solution = training.scaled_solution()
            more, intercepts = lost_columns(self.scaling, metric, *solution, dtype)
            if more.any() or not training.objective() <= MAX_LOSS_RATIO_WITHOUT * loss:
                raise ValueError(self.beyond(columns))
        if intercepts:
            raise ValueError(self.beyond(False))
        return training

    def beyond(self, columns):
        """The message of an error about these columns, True for all, False for y."""
        names = self.names
        columns = np.broadcast_to(columns, len(names))
        return beyond(self.unscaled, names, columns, self.unscaled.rows.dtype)

    def explained(self, error):
        if self.automatic:
            return ValueError(self.beyond(True))
        advice = diagnose(self, self.runs.trainings[0].method)
        return DivergedError(f"{error} {advice}".strip())

    def conclude(self, training):
        model = self.model
        if self.partial:
            return
        found = self.automatic and self.no_minimum(training)
        if found:
            model.stop_reason_, model.converged_ = "separable", False
            if model.optimality_ is not None:
                model.optimality_ = found.optimality
        warn_of(model, self.automatic, diagnose(self, training.method), found and found.reason)

    def no_minimum(self, training):
        """Why the objective has no minimum; None if it has one."""
        if not self.problem.objective.may_have_no_minimum:
            return None
        with one_blas_thread(), np.errstate(all="ignore"):
            return explain_separation(self, training)

    def method(self, last):
        return select_method(self.model, self.problem, self.partial, last)

    def order(self, epochs):
        model, problem = self.model, self.problem
        shuffle = not (problem.full_batch or problem.X is None) and model.shuffle
        done = epochs if problem.resumable else 0
        return Order(problem, problem.X, shuffle, problem.random_state, done)

    def held_out_loss(self, method):
        problem = self.problem
        held_out = self.held_out_problem(problem.objective)

        def loss_of(coef, intercept):
            theta = pack(coef, intercept, problem.rows.dtype, held_out.by_column)
            loss = held_out.mean_loss(theta, np.empty_like(theta))
            return loss + problem.objective.penalty(coef, intercept)

        return loss_of

    # ---- the start ----

    def starts(self):
        """The given start and `n_restarts` random ones."""
        wanted = 0 if self.partial else self.model.n_restarts
        seed = seed_of(self.problem.random_state) if wanted else 0
        outputs, p = self.outputs, self.problem.rows.shape[1]
        generators = [np.random.default_rng([seed, number]) for number in range(wanted)]
        random = [draw.normal(scale=INITIAL_SCALE, size=(outputs, p)) for draw in generators]
        return [self.init, *((coef, np.zeros(outputs)) for coef in random)]

    def start(self, method, coef_init, intercept_init):
        problem, state = self.problem, self.earlier_state()
        theta = None
        # Streams and averages go on from their own parameters.
        if state is None or not (isinstance(state, (Stream, SparseStream)) or state.averaged):
            theta = self.initial(coef_init, intercept_init)
        if self.first_theta is None:
            self.first_theta = theta
        if self.scaling:
            parts = unpack(theta, self.outputs, problem.by_column)
            theta = pack(*self.scaling.start(*parts), problem.rows.dtype, problem.by_column)
        method.start(problem, theta, state)
        return None if theta is None else theta.copy()

    def earlier_state(self):
        """The state of the last partial_fit; None for that of another method or objective."""
        state = getattr(self.model, "_state", None) if self.partial else None
        if state is None or isinstance(state, (Stream, SparseStream)) != self.automatic:
            return None
        if self.problem.objective.positive:
            # A sparse stream with a positive penalty has no negative weights.
            is_sparse = isinstance(state, SparseStream)
            is_positive = is_sparse and state.penalty is not None and state.penalty[2]
            if not is_positive and self.model.coef_.min() < 0:
                return None
        return state

    def initial(self, coef_init, intercept_init):
        """The flat vector to start from, in the user's units."""
        model, problem = self.model, self.unscaled
        outputs, p = self.outputs, problem.rows.shape[1]
        if (self.partial or model.warm_start) and hasattr(model, "coef_"):
            known = np.atleast_2d(model.coef_)
            if coef_init is None:
                coef_init = model.coef_
                if known.shape[1] != p:
                    raise ValueError(
                        f"X has {p} features, but {type(model).__name__} is expecting "
                        f"{known.shape[1]} features as input: warm_start goes on from the previous "
                        "call to fit"
                    )
            if intercept_init is None and model.fit_intercept:
                intercept_init = np.broadcast_to(model.intercept_, known.shape[:1])
        coef, intercept = np.zeros((outputs, p)), np.zeros(outputs)
        if model.init == "normal":
            random = check_random_state(problem.random_state)
            coef = random.normal(scale=INITIAL_SCALE, size=(outputs, p))
        if coef_init is not None:
            coef = checked_init("coef_init", coef_init, (outputs, p))
        if intercept_init is not None:
            intercept = checked_init("intercept_init", intercept_init, (outputs,))
        if problem.objective.positive:
            coef = np.maximum(coef, 0)
        return pack(coef, intercept, problem.rows.dtype, problem.by_column)

    # ---- attributes of the estimator ----

    def store(self, model, training):
        method, state, best = training.method, training.method.state, training.best
        is_last = best is None or best.epoch == len(training.history)
        found = method.optimality() if is_last and model.stop_reason_ != INTERRUPTED else None
        if isinstance(state, SparseStream):
            model._follow(state, method.problem.rows.dtype)
            state.close()
        else:
            # In scaled units it knows nothing of the user's objective.
            self.store_parameters(model, *training.solution(), None if self.scaling else method)
        goes_on = isinstance(method, (FirstOrder, AveragedImplicitSGD))
        model.solver_ = method.solver
        model.t_, model._state = state.t, state if goes_on else None
        model.optimality_, model.optimality_kind_ = found or (None, None)
        model.converged_ = bool(found and model.tol is not None and found[0] <= model.tol)

    def store_parameters(self, model, coef, intercept, method=None):
        """Store coefficients, and the estimates of their quality, in an estimator."""
        dtype = self.unscaled.rows.dtype
        coef, intercept = coef.astype(dtype, copy=False), intercept.astype(dtype, copy=False)
        model._store(self.stored_columns.expand(coef) if self.stored_columns else coef, intercept)
        model._certify(self.unscaled, coef, intercept, method)

    def publish_interrupted(self):
        """Store the model of the last complete epoch; without one, and without an earlier model,
        the initial model.
        """
        super().publish_interrupted()
        model, theta, problem = self.model, self.first_theta, self.unscaled
        if theta is not None and not model._is_trained:
            self.store_parameters(model, *unpack(theta, self.outputs, problem.by_column))
            model.n_iter_, model.t_, model.stop_reason_, model.converged_ = 0, 1, INTERRUPTED, False
            model.optimality_, model.optimality_kind_, model._state = None, None, None
            model.history_ = History().record


def checked_init(name, value, shape):
    """A user's initial values, checked for their shape."""
    value = np.asarray(value.toarray() if sparse.issparse(value) else value, dtype=np.float64)
    allowed = {shape, shape[1:]} if shape[0] == 1 else {shape}
    if value.shape not in allowed:
        raise ValueError(
            f"Provided {name} does not match dataset: it has shape {value.shape}, {shape} is "
            "needed."
        )
    if not np.isfinite(value).all():
        raise ValueError(f"Provided {name} contains NaN or infinity.")
    return value.reshape(shape)
