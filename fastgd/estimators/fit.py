"""One fit of a linear model: from checked data to trainings, and back to what the estimator
knows.
"""

from contextlib import nullcontext
from copy import copy
from dataclasses import replace

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state

from fastgd.estimators.diagnostics import diagnose, warn_of
from fastgd.estimators.parameters import thread_count
from fastgd.estimators.resumption import Resumption
from fastgd.estimators.select_solver import is_automatic, select_method
from fastgd.kernels import batch
from fastgd.kernels.data_term import DataTerm
from fastgd.methods.implicit_sgd import AveragedImplicitSGD, Stream
from fastgd.methods.normal_equations import solve_by_columns, solver_for
from fastgd.methods.sgd import FirstOrder
from fastgd.methods.sparse_stream import SparseStream
from fastgd.problem.data import as_rows, distinct_columns
from fastgd.problem.layout import pack, unpack
from fastgd.problem.metric import metric_of
from fastgd.problem.order import Order, seed_of
from fastgd.problem.problem import HeldOut, Problem
from fastgd.problem.products import products_of
from fastgd.problem.scaling import beyond, has_targets_beyond, lost_columns, scaled, without
from fastgd.training.blas import one_blas_thread
from fastgd.training.history import History, copy_of
from fastgd.training.loop import DEFAULT_MAX_EPOCHS, INTERRUPTED, DivergedError, Stopping, Training
from fastgd.training.multi_start import MultiStart

# Slopes are clipped to this size at chosen rates, as in scikit-learn, so that a single outlying row
# does not overflow the weights.
MAX_SLOPE = 1e12
# Standard deviation of init="normal": small beside the weights of standardised columns.
INITIAL_SCALE = 0.01
# The smallest normal number of float64.
SMALLEST_NORMAL = np.finfo(float).tiny
# Columns whose weights no float holds are dropped if the objective without them is at most this
# multiple of that with them: for squares, if they explain at most a third of the remaining
# variance. Otherwise the fit is an error.
MAX_LOSS_RATIO_WITHOUT = 1.5


class Fit:
    """One fit of a linear model on checked data.

    `y` holds the kernels' targets, `labels` the caller's. `partial` means one more epoch from the
    stored state (partial_fit).
    """

    def __init__(
        self,
        model,
        X,
        y,
        labels,
        weights,
        outputs,
        one_vs_rest,
        *,
        coef_init=None,
        intercept_init=None,
        partial=False,
        held_out=None,
        fit_callbacks=None,
    ):
        self._model = model
        self._labels = labels
        self._held_out = held_out
        self._fit_callbacks = fit_callbacks
        self._partial = partial
        self._init, self._theta, self._runs = (coef_init, intercept_init), None, None
        self._automatic, self._is_resumable = is_automatic(model), model.warm_start and not partial
        self._data, self._earlier = (
            model._resumable(X, y, weights, held_out) if self._is_resumable else (None, None)
        )
        if coef_init is not None or intercept_init is not None:
            self._earlier = None
        self._problem = self._scaled = self._make_problem(X, y, weights, outputs, one_vs_rest)
        self._scaling = None  # `_scaled` is the problem in these units
        self._stopping = Stopping(
            1 if partial else model.max_iter or DEFAULT_MAX_EPOCHS,
            None if partial else model.tol,
            model.n_iter_no_change if self._stops_at_plateaus() else 0,
            max_seconds=None if partial else model.max_seconds,
        )
        self._stopping.full_gradient = self._problem.full_batch and not self._automatic

    def _stops_at_plateaus(self):
        """Whether a loss that no longer falls ends training: where no distance to the minimum is
        known.
        """
        model = self._model
        return not self._automatic or model.early_stopping or self._problem.objective.is_degenerate

    def _make_problem(self, X, y, weights, outputs, one_vs_rest):
        """The problem on the rows to train on; the other rows are held out."""
        model, earlier, partial, X = self._model, self._earlier, self._partial, distinct_columns(X)
        random_state = model.random_state
        if self._is_resumable:
            random_state = earlier.random_state if earlier else seed_of(random_state)
        visits, left_out = model._split(
            model._rows_that_count(weights, X.shape[0]), self._labels, self._held_out, random_state
        )
        objective = model._objective(
            outputs, one_vs_rest, len(visits) if weights is None else float(weights[visits].sum())
        )
        if not self._automatic:
            objective = replace(objective, steepest=MAX_SLOPE)
        if weights is not None and not partial:
            weights = relative(weights, visits)
        if len(left_out):
            self._held_out = HeldOut.of(X, y, self._labels, weights, left_out)
        full = model.batch_size in ("full", "auto") or (
            not partial and model.batch_size >= len(visits)
        )
        return Problem(
            as_rows(X),
            y,
            weights,
            objective,
            visits,
            full,
            thread_count(model.n_jobs),
            X,
            self._is_resumable,
            random_state,
        )

    # ---- training ----

    def run(self):
        """Train, and store the model."""
        model, problem = self._model, self._problem
        try:
            # Sums over all rows, which several BLAS threads would share.
            uses_blas = self._automatic and not self._partial
            with one_blas_thread() if uses_blas else nullcontext():
                training = self._train()
        except KeyboardInterrupt:
            self._publish_interrupted()
            raise
        except DivergedError as error:
            if self._automatic:
                raise ValueError(self._beyond(np.full(problem.rows.shape[1], True))) from None
            raise DivergedError(
                f"{error} {diagnose(model, self._runs.trainings[0].method)}".strip()
            ) from None
        if (
            not self._partial
            and self._automatic
            and model._is_unbounded(problem.objective, problem.X, self._labels, problem.visits)
        ):
            model.stop_reason_, model.converged_ = "separable", False
        if self._fit_callbacks:
            self._fit_callbacks.end(training)
        if not self._partial:
            warn_of(model, self._automatic, diagnose(model, training.method))

    # Overflows show in the results.
    @np.errstate(all="ignore")
    def _train(self):
        """Train and store a model; return its training."""
        if self._fit_callbacks:
            self._fit_callbacks.begin(self._attributes)
        if self._automatic and not self._partial:
            self._problem.metric = self._metric()
            self._scaling, self._scaled = scaled(self._problem)
        narrow = self._automatic and self._problem.rows.dtype == np.float32
        if narrow and has_targets_beyond(self._problem):
            raise ValueError(self._beyond(np.zeros(self._problem.rows.shape[1], bool)))
        training = self._best_run()
        if self._scaling:
            training = self._representable(training)
        # A `SparseStream` does not compute all columns.
        elif narrow and not isinstance(training.method.state, SparseStream):
            parts = training.solution()
            if not all(np.isfinite(part.astype(np.float32)).all() for part in parts):
                raise ValueError(self._beyond(np.full(self._problem.rows.shape[1], True)))
        self._publish(self._model, training)
        return training

    def _metric(self):
        """The column scaling; with the products of the columns where these are the solution."""
        is_direct = self._model.batch_size == "auto" and (
            solver_for(self._problem) is solve_by_columns
        )
        made = products_of(self._problem) if is_direct else None
        return made.metric if made else metric_of(self._problem)

    def _best_run(self):
        """Train, from 0 if the objective overflows at the start; return the best training."""
        try:
            self._runs = MultiStart(
                self._trainings(), self._fit_callbacks, self._problem.objective.loss.function
            )
            self._runs.run()
        except DivergedError:
            goes_on = self._partial and hasattr(self._model, "coef_")
            if not self._automatic or goes_on or self._theta is None or not self._theta.any():
                raise
            outputs, p = self._problem.objective.outputs, self._problem.rows.shape[1]
            self._init = np.zeros((outputs, p)), np.zeros(outputs)
            self._runs = MultiStart([self._started(*self._init)], self._fit_callbacks)
            self._runs.run()
        return self._runs.best()

    def _representable(self, training):
        """The training, or one without the columns whose weights no float holds, if it is about
        as good.
        """
        metric, dtype = self._scaled.metric, self._scaled.rows.dtype
        solution = training.scaled_solution()
        columns, intercepts = lost_columns(self._scaling, metric, *solution, dtype)
        if columns.any():
            loss = training.objective()
            self._scaled = without(self._scaled, columns)
            self._scaling.held = self._scaling.held | columns
            self._earlier, self._is_resumable = None, False
            training = self._best_run()
            solution = training.scaled_solution()
            more, intercepts = lost_columns(self._scaling, metric, *solution, dtype)
            if more.any() or not training.objective() <= MAX_LOSS_RATIO_WITHOUT * loss:
                raise ValueError(self._beyond(columns))
        if intercepts:
            raise ValueError(self._beyond(np.zeros(len(columns), bool)))
        return training

    def _beyond(self, columns):
        names = getattr(self._model, "feature_names_in_", np.arange(len(columns)))
        return beyond(self._problem, names, columns, self._problem.rows.dtype)

    def _trainings(self):
        """The runs: those of the earlier fit, or one from the given start and `n_restarts` from
        random ones.
        """
        if self._earlier:
            return [self._resumed(number) for number in range(len(self._earlier.runs))]
        wanted = 0 if self._partial else self._model.n_restarts
        seed = seed_of(self._problem.random_state) if wanted else 0
        shape = self._problem.objective.outputs, self._problem.rows.shape[1]
        random = [
            (
                np.random.default_rng([seed, number]).normal(scale=INITIAL_SCALE, size=shape),
                np.zeros(shape[0]),
            )
            for number in range(wanted)
        ]
        return [self._started(*start) for start in (self._init, *random)]

    def _started(self, coef_init, intercept_init):
        """A new run."""
        problem, partial = self._scaled, self._partial
        earlier = self._model.history_ if partial and hasattr(self._model, "history_") else None
        history = History(earlier, adds=partial and self._automatic)
        method = select_method(
            self._model, problem, partial, self._model.max_iter or DEFAULT_MAX_EPOCHS
        )
        theta, state = self._start(coef_init, intercept_init)
        if self._theta is None:
            self._theta = theta
        if self._scaling:
            parts = unpack(theta, problem.objective.outputs, problem.by_column)
            theta = pack(*self._scaling.start(*parts), problem.rows.dtype, problem.by_column)
        method.start(problem, theta, state)
        return self._training(method, theta, history, self._stopping.max_iter)

    def _resumed(self, number):
        """A resumed run, up to the epoch of the earlier fit's best run plus `max_iter`.

        A run that had converged rests, unless all runs had, or `tol` has changed.
        """
        earlier, run = self._earlier, self._earlier.runs[number]
        history = History(self._model.history_ if number == earlier.best else run.record)
        last = len(self._model.history_["loss"]) + self._stopping.max_iter
        method = select_method(self._model, self._scaled, False, last)
        method.resume(self._scaled, run.resume_point.method)
        training = self._training(method, None, history, last - len(history))
        training.resume(run.resume_point)
        if len(history) >= last or not earlier.goes_on(run, self._model.tol):
            training.end("max_iter" if run.reason == INTERRUPTED else run.reason)
        return training

    def _training(self, method, theta, history, max_iter):
        """The run, of at most `max_iter` epochs, of a method that has been started at theta, or
        resumed (theta=None).
        """
        model, problem, stopping = self._model, self._scaled, copy(self._stopping)
        stopping.max_iter = max_iter
        last = history.record["loss"][-1:]
        origin = None if last or theta is None else theta.copy()
        scale = self._scaling.loss_to_scaled if self._scaling else float
        known_loss = lambda: scale(last[0]) if last else method.loss_at(origin)  # noqa: E731
        order = Order(
            problem,
            problem.X,
            not problem.full_batch and model.shuffle,
            problem.random_state,
            len(history) if problem.resumable else 0,
        )
        validate = self._validator() if self._held_out is not None else None
        return Training(
            method,
            order,
            stopping,
            history,
            known_loss,
            validate=validate,
            early_stopping=model.early_stopping,
            resumable=problem.resumable,
            scaling=self._scaling,
        )

    def _validator(self):
        """A function (coef, intercept) -> (score, objective) on the held-out rows.

        The model is in the method's units, the objective in the user's.
        """
        model, problem, held_out = copy(self._model), self._scaled, self._held_out
        to_user = self._scaling.loss_to_user if self._scaling else float
        if self._scaling:
            held_out = self._scaling.held_out(held_out)
        rows, weights = as_rows(held_out.X), held_out.weights
        term = DataTerm(
            rows,
            held_out.y,
            weights,
            np.arange(rows.shape[0]),
            problem.objective.codes,
            problem.threads,
        )
        total = float(rows.shape[0] if weights is None else weights.sum())

        def validate(coef, intercept):
            model._store(coef, intercept)
            theta = pack(coef, intercept, problem.rows.dtype, rows.sparse)
            loss = batch.gradient(term, theta, np.empty_like(theta)) / total
            loss = loss + problem.objective.penalty(coef, intercept)
            score = float(model.score(held_out.X, held_out.labels, weights))
            return score, to_user(loss if np.isfinite(loss) else np.inf)

        return validate

    # ---- the start ----

    def _start(self, coef_init, intercept_init):
        """(flat vector to start from, earlier state to continue); a vector of None means that of
        the state.
        """
        model, problem, partial = self._model, self._problem, self._partial
        state = getattr(model, "_state", None) if partial else None
        # The state of another method.
        if isinstance(state, (Stream, SparseStream)) != self._automatic:
            state = None
        # The state of another objective.
        if state is not None and problem.objective.positive and self._has_negative(state):
            state = None
        if isinstance(state, (Stream, SparseStream)) or (state is not None and state.averaged):
            return None, state
        if (partial or model.warm_start) and hasattr(model, "coef_"):
            if coef_init is None:
                coef_init, columns = model.coef_, np.atleast_2d(model.coef_).shape[1]
                if columns != problem.rows.shape[1]:
                    raise ValueError(
                        f"X has {problem.rows.shape[1]} features, but {type(model).__name__} is "
                        f"expecting {columns} features as input: warm_start goes on from the "
                        "previous call to fit"
                    )
            if intercept_init is None and model.fit_intercept:
                intercept_init = np.broadcast_to(
                    model.intercept_, np.atleast_2d(model.coef_).shape[:1]
                )
        outputs, p = problem.objective.outputs, problem.rows.shape[1]
        coef, intercept = np.zeros((outputs, p)), np.zeros(outputs)
        if model.init == "normal":
            coef = check_random_state(problem.random_state).normal(
                scale=INITIAL_SCALE, size=(outputs, p)
            )
        if coef_init is not None:
            coef = checked_init("coef_init", coef_init, (outputs, p))
        if intercept_init is not None:
            intercept = checked_init("intercept_init", intercept_init, (outputs,))
        if problem.objective.positive:
            coef = np.maximum(coef, 0)
        return pack(coef, intercept, problem.rows.dtype, problem.by_column), state

    def _has_negative(self, state):
        """Whether the model has negative weights; sparse streams with a positive penalty have
        none.
        """
        kept = isinstance(state, SparseStream) and state.penalty is not None and state.penalty[2]
        return not kept and self._model.coef_.min() < 0

    # ---- attributes of the estimator ----

    def _publish(self, model, training, reason=None):
        """Store the model and the state of a training in an estimator."""
        method, best, history = training.method, training.best, training.history.record
        reason = reason or training.reason
        is_last = best is None or best.epoch == len(training.history)
        found = method.optimality() if is_last and reason != INTERRUPTED else None
        if isinstance(method.state, SparseStream):
            model._follow(method.state, method.problem.rows.dtype)
        else:
            self._store(model, *training.solution(), method)
        model.n_iter_, model.stop_reason_, model.history_ = training.epochs, reason, history
        model.t_ = method.state.t
        model._state = (
            method.state if isinstance(method, (FirstOrder, AveragedImplicitSGD)) else None
        )
        if isinstance(method.state, SparseStream):
            method.state.close()
        model.optimality_, model.optimality_kind_ = found or (None, None)
        model.converged_ = bool(found and model.tol is not None and found[0] <= model.tol)
        vars(model).pop("best_epoch_", None)
        vars(model).pop("_resumption", None)
        if best:
            model.best_epoch_ = best.epoch
        if self._is_resumable:
            model._resumption = Resumption.of(
                model, self._data, self._problem.random_state, self._runs.trainings, training
            )

    def _store(self, model, coef, intercept, method=None):
        """Store coefficients, and the estimates of their quality, in an estimator."""
        dtype = self._problem.rows.dtype
        coef, intercept = coef.astype(dtype, copy=False), intercept.astype(dtype, copy=False)
        model._store(coef, intercept)
        model._certify(self._problem, coef, intercept, method)

    def _publish_interrupted(self):
        """Store the model of the last complete epoch; without one, and without an earlier model,
        the initial model.
        """
        model, runs = self._model, self._runs
        if runs is not None:
            training = runs.best()
            if training.epochs or not model._is_trained:
                if not training.epochs and isinstance(training.method.state, SparseStream):
                    training.method.state.roll_back()
                self._publish(model, training, INTERRUPTED)
        elif self._theta is not None and not model._is_trained:
            theta, problem = self._theta, self._problem
            self._store(model, *unpack(theta, problem.objective.outputs, problem.by_column))
            model.n_iter_, model.t_, model.stop_reason_, model.converged_ = 0, 1, INTERRUPTED, False
            model.history_ = History().record
            model.optimality_, model.optimality_kind_, model._state = None, None, None

    def _attributes(self, training):
        """The attributes of the estimator if the training stopped now."""
        model = copy(self._model)
        self._publish(model, training)
        model.history_ = copy_of(model.history_)
        return vars(model)


def relative(weights, visits):
    """The weights divided by the mean of those of the rows `visits`."""
    mean = weights[visits].mean()
    if not SMALLEST_NORMAL <= mean < np.inf:
        weights = weights / weights[visits].max()
        mean = weights[visits].mean()
    return weights / mean


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
