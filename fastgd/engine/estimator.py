"""The contract that all linear estimators share: scikit-learn's, with one way from parameters and data to a training run."""
import os
import sys
import warnings
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import wraps
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import SparseCoefMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted, validate_data

from fastgd.kernels import batch, threads
from fastgd.kernels.rows import squared_norms

from .data import (
    HeldOut,
    Order,
    Problem,
    as_rows,
    check_compressed,
    distinct_columns,
    is_plain,
    is_plain_target,
    is_surely_finite,
    pack,
    seed_of,
    unpack,
)
from .history import History, copy_of
from .methods.descent import Descent, check_compatible
from .methods.dual import Dual, suits
from .methods.implicit import AveragedImplicit, Stream
from .methods.newton import Newton, Rounded
from .methods.proximal import Proximal
from .methods.quasi_newton import FirstStep, QuasiNewtonLines
from .methods.variance import VarianceReduced
from .metric import long_tails, uneven_columns
from .objective import EPSILON, KINKED, PENALTIES, Objective, penalty_parts
from .optimizers import RULES, SGD, AdaGrad, Adam, GradientNoise, Optimizer, RMSProp, as_optimizer
from .own import OwnLoss, own_errors
from .progress import Progress
from .resumption import Resumption, fingerprint
from .schedules import NAMES, Lipschitz, Schedule, as_schedule
from .training import DivergedError, Stopping, Tasks, Training

RATE = 0.01            # "auto" for rules that set their own scale
PASSES = 1000          # at most, where max_iter is None
STEEPEST = 1e12        # slope at rates that somebody chose, as scikit-learn's: one wild row does not overflow the weights
INITIAL_SPREAD = 0.01  # standard deviation of init="normal": small against the weights of standardised columns
INSIDE = tuple(f"{Path(home).parent}{os.sep}" for home in (Path(__file__).parent, sys.modules["sklearn.callback"].__file__))


def thread_count(n_jobs):
    """Threads inside one fit: None all that OpenMP allows, -1 all processors, -2 all but one, ..."""
    if n_jobs is not None and n_jobs > 0:
        return n_jobs
    if n_jobs == 0:
        raise ValueError("n_jobs == 0 has no meaning: use None for all threads, or a number of threads")
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if n_jobs is None:
        return threads.maximum() if "OMP_NUM_THREADS" in os.environ else min(threads.maximum(), processors)
    return max(1, processors + 1 + n_jobs)


def _is_not_numeric(array):
    """Whether an array cannot be read as numbers."""
    try:
        np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        return True
    return False


_VALID = set()  # combinations of parameters that have been validated


def checked(method):
    """Validate the constructor's parameters, as scikit-learn's estimators do; each combination of values once."""

    @wraps(method)
    def run(self, *arguments, **keywords):
        values = (type(self), *((type(value), value) for value in map(vars(self).get, self._parameter_constraints)))
        try:
            known = values in _VALID
        except TypeError:  # a value without a hash
            known, values = False, None
        if not (known or get_config()["skip_parameter_validation"]):
            self._validate_params()
            if len(_VALID) >= 1000:
                _VALID.clear()
            if values is not None:
                _VALID.add(values)
        return method(self, *arguments, **keywords)

    return run


@contextmanager
def unchanged_on_error(estimator):
    """Give an estimator back what it knew, if what is done with it fails: but an interrupted one may have learnt something."""
    known = dict(vars(estimator))
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and vars(estimator).get("history_") is not known.get("history_"):
            raise
        vars(estimator).clear()
        vars(estimator).update(known)
        raise


@contextmanager
def about(name):
    """Have errors say which argument they are about."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error


def warn(text, category):
    """Warn whoever called the public method."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INSIDE):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)


DESCENT = {  # constraints of the parameters with which users choose the descent themselves
    "penalty": [StrOptions(set(PENALTIES)), None],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
    "fit_intercept": ["boolean"],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
    "tol": [Interval(Real, 0, None, closed="left"), None],
    "shuffle": ["boolean", StrOptions({"full"})],
    "verbose": ["verbose"],
    "epsilon": [Interval(Real, 0, None, closed="left")],
    "quantile": [Interval(Real, 0, 1, closed="neither")],
    "n_jobs": [Integral, None],
    "random_state": ["random_state"],
    "learning_rate": [StrOptions(set(NAMES)), Schedule],
    "eta0": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, None, None, closed="neither")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "warm_start": ["boolean"],
    "average": [Interval(Integral, 0, None, closed="neither"), "boolean"],
    "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"full"})],
    "optimizer": [StrOptions(set(RULES)), Optimizer],
    "init": [StrOptions({"zeros", "normal"})],
    "n_restarts": [Interval(Integral, 0, None, closed="left")],
    "positive": ["boolean"],
}


class CallsBack(CallbackSupportMixin):
    """Estimators that tell scikit-learn's callbacks of their epochs."""

    n_restarts = 0  # of those that have none

    def _tasks(self, X, y, sample_weight):
        """What tells scikit-learn's callbacks of a fit on these data; None: nobody wants to know.

        To be called before anything can fail, since callbacks are set up here, and `with_callbacks` sees them off.
        """
        given = vars(self).get("_skl_callbacks", [])
        if not (given or self.verbose or hasattr(self, "_parent_callback_ctx")):
            return None
        if self.verbose:
            self._skl_callbacks = [*given, Progress()]
        try:
            context = self._init_callback_context(max_subtasks=(self.max_iter or PASSES) * (1 + self.n_restarts))
        finally:
            if self.verbose:
                self.set_callbacks(*given)
        return Tasks(self, context, X, y, sample_weight, with_epochs=bool(given or self.verbose))


class Model(CallsBack, BaseEstimator):
    """What all estimators do with users' parameters and data, before anything is trained and around it."""

    # what a model has no parameter for
    early_stopping, warm_start, verbose, max_seconds = False, False, 0, None

    def _assign(self, values):
        """Store the constructor's arguments, as scikit-learn's contract has it: each under its name, untouched."""
        for name in self._get_param_names():
            setattr(self, name, values[name])

    @property
    def loss_curve_(self):
        """The loss of each epoch: ``history_["loss"]``."""
        check_is_fitted(self)
        return self.history_["loss"]

    def __getstate__(self):
        state = super().__getstate__()
        if not self.warm_start:
            state.pop("_resumption", None)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ---- from users' data to a problem ----

    def _check_X(self, X, reset, ensure_finite=True, **others):
        """X, or with y=... (X, y), as scikit-learn's `validate_data` has them, which plain arrays need not pass through.

        ensure_finite=False: the caller finds out whether a plain X is finite.
        """
        if is_plain(X, ensure_finite) and all(name != "y" or is_plain_target(y, len(X)) for name, y in others.items()):
            if reset:
                self.n_features_in_ = X.shape[1]
                vars(self).pop("feature_names_in_", None)
            if X.shape[1] == self.n_features_in_ and not hasattr(self, "feature_names_in_"):
                return (X, others["y"]) if "y" in others else X
        check_compressed(X)
        try:
            with np.errstate(invalid="ignore"):  # its sum of infinities of both signs
                return validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], order="C",
                                     accept_large_sparse=True, reset=reset, **others)
        except (TypeError, ValueError) as error:  # scikit-learn's, told which argument it is about where NumPy could not
            if "could not convert" not in str(error) and "argument must be" not in str(error):
                raise
            raise type(error)(f"{'X' if _is_not_numeric(X) else 'y'} must hold numbers: {error}") from error

    def _sample_weight(self, sample_weight, X, name="sample_weight"):
        if sample_weight is None:
            return None
        with about(name):
            return _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True, allow_all_zero_weights=True)

    def _held_out(self, X_val, y_val, sample_weight_val, dtype):
        """Validation data as users give them, checked like `X` and `y`; None where there are none."""
        if X_val is y_val is sample_weight_val is None:
            return None
        if X_val is None or y_val is None:
            given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
            for name in (name for name, value in given.items() if value is not None):
                raise ValueError(f"{name} is provided, but {'X_val' if X_val is None else 'y_val'} was not provided.")
        with about("X_val"):
            X_val = distinct_columns(self._check_X(X_val, reset=False)).astype(dtype, copy=False)
        with about("y_val"):
            labels, targets = self._check_y_val(y_val)
            check_consistent_length(X_val, labels)
        weights = self._sample_weight(sample_weight_val, X_val, "sample_weight_val")
        with about("sample_weight_val"):
            self._rows_that_count(weights, X_val.shape[0])
        return HeldOut(X_val, labels, targets, weights)

    def _rows_that_count(self, weights, n):
        """The numbers of the rows of positive weight."""
        rows = np.arange(n) if weights is None else np.flatnonzero(weights > 0)
        if not len(rows):
            raise ValueError("Sample weights must contain at least one non-zero number: sample_weight (times class_weight) is 0 "
                             "for every row.")
        return rows

    def _split(self, kept, labels, held_out, random_state):
        """(training rows, validation rows) of the rows that count."""
        if not self.early_stopping or held_out is not None:
            return kept, kept[:0]
        from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit  # slow to load, seldom needed

        splitter = StratifiedShuffleSplit if is_classifier(self) and labels.ndim == 1 else ShuffleSplit
        split = splitter(test_size=self.validation_fraction, random_state=random_state)
        try:
            train_rows, held_out = next(split.split(np.zeros((len(kept), 1)), labels[kept]))
        except ValueError as error:
            raise ValueError(f"early_stopping with validation_fraction={self.validation_fraction} cannot split {len(kept)} rows: "
                             f"{error}") from error
        return kept[np.sort(train_rows)], kept[held_out]



class LinearModel(SparseCoefMixin, Model):
    """Linear models trained by gradient descent.

    A subclass turns y into the kernels' targets, says how many outputs there are, and shapes `coef_` (`_store`).
    """

    # what a model has no parameter for
    learning_rate, optimizer, batch_size, init = "auto", "sgd", "auto", "zeros"
    shuffle, average = True, False
    n_jobs, random_state, positive = None, None, False

    def __sklearn_clone__(self):
        """A compiled loss cannot be copied: the clone has the same."""
        if isinstance(self.loss, str):
            return super().__sklearn_clone__()
        plain = copy(self)
        plain.loss = "squared_error"
        twin = clone(plain)
        twin.loss = self.loss
        return twin

    def _objective(self, outputs, one_vs_rest, total):
        """What is minimised; `total` is the sum of the rows' weights."""
        l1, l2 = penalty_parts(self.penalty, self.alpha, self.l1_ratio)
        if not isinstance(self.loss, str):
            return Objective("own", 0.0, l1, l2, outputs, one_vs_rest, self.fit_intercept, positive=self.positive,
                             own=OwnLoss(self.loss))
        delta = self.epsilon if self.loss in EPSILON else self.quantile if self.loss == "quantile" else 0.0
        loss = "log_loss" if self.loss == "softmax" and outputs == 1 else self.loss
        return Objective(loss, float(delta), l1, l2, outputs, one_vs_rest, self.fit_intercept, positive=self.positive)

    def _method(self, problem, go_on, epochs=0):
        """What trains, and how; a schedule ends `max_iter` epochs after the first `epochs`."""
        if self._is_automatic():
            return self._automatic(problem, go_on)
        optimizer, full = as_optimizer(self.optimizer), problem.full_batch
        if problem.objective.own and self.learning_rate == "auto" and optimizer == SGD() and not self.average:
            return QuasiNewtonLines() if full and not go_on else FirstStep(len(problem.visits) if full else self.batch_size)
        schedule = as_schedule(self.learning_rate, eta0=self.eta0, power_t=self.power_t, alpha=self.alpha,
                               max_iter=epochs + self.max_iter,
                               lipschitz=lambda: Lipschitz(self._inverse_lipschitz(problem, optimizer), decays=not full))
        check_compatible(schedule, optimizer, self.batch_size, self.loss)
        size = len(problem.visits) if full else self.batch_size
        seed = seed_of(problem.random_state) if isinstance(optimizer, GradientNoise) else 0
        return Descent(schedule, optimizer, size, average_from=-(-self.average // size) if self.average else None, seed=seed)

    def _is_automatic(self):
        """Whether a method without rates trains; a named rule, averaging and an own loss have "auto" choose the rate."""
        named = isinstance(self.loss, str)
        return self.learning_rate == "auto" and named and not self.average and as_optimizer(self.optimizer) == SGD()

    def _automatic(self, problem, go_on):
        """The method that needs no rate."""
        if go_on:
            return AveragedImplicit(len(problem.visits) if problem.full_batch else self.batch_size)
        if not problem.full_batch:
            return VarianceReduced(self.batch_size, seed_of(problem.random_state), self.tol)
        kinked = problem.objective.loss in KINKED and problem.objective.loss != "huber"
        if kinked and problem.objective.has_corners:
            return VarianceReduced(len(problem.visits), seed_of(problem.random_state), self.tol)
        if self.batch_size == "auto" and suits(problem):
            return Dual(True, self.tol or 0.0)
        method = Proximal if problem.objective.has_corners else Rounded if problem.objective.loss in KINKED else Newton
        return method(self.batch_size == "auto", self.tol or 0.0)

    def _inverse_lipschitz(self, problem, optimizer):
        """1 / L, L bounding the curvature of any batch (a full one by the trace); rules that set their own scale keep eta0."""
        if isinstance(optimizer, GradientNoise):
            optimizer = as_optimizer(optimizer.rule)
        if isinstance(optimizer, (AdaGrad, RMSProp, Adam)):
            return RATE if self.learning_rate == "auto" else self.eta0
        if problem.objective.own:
            raise ValueError(f"learning_rate={self.learning_rate!r} with average={self.average} and optimizer={self.optimizer!r} "
                             "needs a bound of the loss's curvature, which of an own loss is not known: choose another "
                             "learning_rate, or a rule that scales itself, such as 'adam'")
        lengths = squared_norms(problem.rows, problem.visits, np.empty(1, problem.rows.dtype)) + self.fit_intercept
        if problem.weights is not None:
            lengths *= problem.weights[problem.visits]
        longest = lengths.mean() if problem.full_batch else lengths.max()
        if not np.isfinite(longest):
            raise ValueError("X is too large for learning_rate='lipschitz': the squared length of a row overflows. Scale X, or "
                             "choose another learning_rate.")
        return 1 / (problem.objective.curvature(problem.targets) * longest + problem.objective.l2 or 1.0)

    def _start(self, problem, coef_init, intercept_init, go_on):
        """(flat vector to start from, earlier state to go on with); without a vector the state's own."""
        state = getattr(self, "_state", None) if go_on else None
        if isinstance(state, Stream) != self._is_automatic():  # another method's
            state = None
        if state is not None and problem.objective.positive and self.coef_.min() < 0:  # another objective's
            state = None
        if isinstance(state, Stream) or (state is not None and state.averaged):
            return None, state
        if (go_on or self.warm_start) and hasattr(self, "coef_"):
            coef_init = self.coef_ if coef_init is None else coef_init
            if intercept_init is None and self.fit_intercept:
                intercept_init = np.broadcast_to(self.intercept_, np.atleast_2d(self.coef_).shape[:1])
        outputs, p = problem.objective.outputs, problem.rows.shape[1]
        coef, intercept = np.zeros((outputs, p)), np.zeros(outputs)
        if self.init == "normal":
            coef = check_random_state(problem.random_state).normal(scale=INITIAL_SPREAD, size=(outputs, p))
        if coef_init is not None:
            coef = self._check_init("coef_init", coef_init, (outputs, p))
        if intercept_init is not None:
            intercept = self._check_init("intercept_init", intercept_init, (outputs,))
        if problem.objective.positive:
            coef = np.maximum(coef, 0)
        return pack(coef, intercept, problem.rows.dtype, problem.by_column), state

    def _check_init(self, name, value, shape):
        value = np.asarray(value.toarray() if sparse.issparse(value) else value, dtype=np.float64)
        allowed = {shape, shape[1:]} if shape[0] == 1 else {shape}
        if value.shape not in allowed:
            raise ValueError(f"Provided {name} does not match dataset: it has shape {value.shape}, {shape} is needed.")
        if not np.isfinite(value).all():
            raise ValueError(f"Provided {name} contains NaN or infinity.")
        return value.reshape(shape)

    # ---- training ----

    def _train(self, X, y, labels, weights, outputs, one_vs_rest, *, coef_init=None, intercept_init=None, go_on=False,
               held_out=None, tasks=None):
        """Train on checked data and store the model. `go_on`: one epoch more from the stored state (partial_fit).

        `y` holds the kernels' targets, `labels` what the caller gave.
        """
        stopping = Stopping(1 if go_on else self.max_iter or PASSES, None if go_on else self.tol,
                            self.n_iter_no_change if not self._is_automatic() or self.early_stopping else 0,
                            max_seconds=None if go_on else self.max_seconds)
        keeps = self.warm_start and not go_on
        judged = (held_out.X, held_out.y, held_out.weights) if held_out else ()
        data = fingerprint(X, y, weights, *judged) if keeps else None
        earlier = vars(self).get("_resumption") if keeps and coef_init is None and intercept_init is None else None
        if earlier and not earlier.fits(self, data):
            earlier = None
        random_state = self.random_state if not keeps else earlier.random_state if earlier else seed_of(self.random_state)

        X = distinct_columns(X)
        visits, left_out = self._split(self._rows_that_count(weights, X.shape[0]), labels, held_out, random_state)
        objective = self._objective(outputs, one_vs_rest, len(visits) if weights is None else float(weights[visits].sum()))
        by_hand = not self._is_automatic()
        if by_hand:
            objective = replace(objective, steepest=STEEPEST)
        if weights is not None and not go_on:
            weights = weights / weights[visits].mean()
        full = self.batch_size in ("full", "auto") or (not go_on and self.batch_size >= len(visits))
        problem = Problem(as_rows(X), y, weights, objective, visits, full, thread_count(self.n_jobs), X, keeps, random_state)
        if len(left_out):
            own = y.reshape(X.shape[0], -1)[left_out].ravel()
            held_out = HeldOut(X[left_out], labels[left_out], own, None if weights is None else weights[left_out])
        stopping.full_gradient = full and by_hand

        starts = [(coef_init, intercept_init)] + ([] if go_on or earlier else self._random_starts(problem))
        training, theta, ended, failure = None, None, [], None
        try:
            if tasks:
                tasks.begin(lambda training: self._attributes(training, data))
            for start in starts:
                history = History(self.history_ if (go_on or earlier) and hasattr(self, "history_") else None)
                method, training = self._method(problem, go_on, len(history) if earlier else 0), None
                theta, state = (None, None) if earlier else self._start(problem, *start, go_on)
                if earlier:
                    method.resume(problem, earlier.position.method)
                else:
                    method.start(problem, theta, state)
                training = self._training(method, theta, copy(stopping), history, held_out, tasks)
                if earlier:
                    training.resume(earlier.position)
                try:
                    with own_errors(objective.own):
                        training.run()
                    ended.append(training)
                except DivergedError as error:
                    failure = error
                if training.reason in ("callback", "max_seconds"):
                    break
            if ended:
                training = self._best_of(ended)
                self._publish(training, data)
        except KeyboardInterrupt:
            if ended:
                training = self._best_of(ended)
                training.reason = "interrupted"
            if training is not None and (training.epochs or not hasattr(self, "coef_")):
                self._publish(training, data)
            elif training is None and theta is not None and not hasattr(self, "coef_"):
                self._publish_start(problem, theta, history)
            raise
        if not ended:
            raise DivergedError(f"{failure} {self._trouble(method)}".strip()) from None
        if not go_on and not by_hand and self._is_unbounded(objective, X, labels, visits):
            self.stop_reason_, self.converged_ = "separable", False
        if tasks:
            tasks.end(training)
        if not go_on:
            self._warn(self._trouble(training.method))
        return self

    def _random_starts(self, problem):
        """(coef, intercept) of as many random starts as are wanted."""
        seed = seed_of(problem.random_state) if self.n_restarts else 0
        shape = problem.objective.outputs, problem.rows.shape[1]
        return [(np.random.default_rng([seed, number]).normal(scale=INITIAL_SPREAD, size=shape), np.zeros(shape[0]))
                for number in range(self.n_restarts)]

    def _best_of(self, trainings):
        """The training that ended at the lowest objective."""
        if len(trainings) == 1:
            return trainings[0]

        def end(training):
            problem = training.method.problem
            return training.method.loss_at(pack(*training.solution(), problem.rows.dtype, problem.by_column))

        return min(trainings, key=end)

    def _training(self, method, theta, stopping, history, held_out, tasks):
        """The run of a method that has been started at theta (None: elsewhere)."""
        problem = method.problem
        last = history.record["loss"][-1:]
        origin = None if last or theta is None else theta.copy()
        known_loss = lambda: last[0] if last else method.loss_at(origin)  # noqa: E731
        order = Order(problem, problem.X, not problem.full_batch and self.shuffle, problem.random_state,
                      len(history) if problem.keeps else 0)
        validate = self._validator(held_out, problem) if held_out is not None else None
        return Training(method, order, stopping, history, known_loss, validate=validate, early_stopping=self.early_stopping,
                        tasks=tasks if tasks and tasks.with_epochs else None, keeps=problem.keeps)

    def _publish(self, training, data):
        """Store the model that training has come to, and where it stands; `data`: the fingerprint of what it was trained on."""
        method, best, history = training.method, training.best, training.history.record
        is_last = best is None or best.epoch == len(training.history)
        found = method.optimality() if is_last and training.reason != "interrupted" else None
        self._store(*(part.astype(method.problem.rows.dtype, copy=False) for part in training.solution()))
        self.n_iter_, self.stop_reason_, self.history_ = training.epochs, training.reason, history
        self.t_, self._state = method.state.t, method.state if isinstance(method, (Descent, AveragedImplicit)) else None
        self.optimality_, self.optimality_kind_ = found or (None, None)
        self.converged_ = self.stop_reason_ == "tol" and is_last
        vars(self).pop("best_epoch_", None)
        vars(self).pop("_resumption", None)
        if best:
            self.best_epoch_ = best.epoch
        if training.position:
            self._resumption = Resumption.of(self, data, method.problem.random_state, training.position)

    def _publish_start(self, problem, theta, history):
        """Store the model that training would have begun with."""
        self._store(*(part.astype(theta.dtype, copy=False) for part in unpack(theta, problem.objective.outputs, problem.by_column)))
        self.n_iter_, self.t_, self.stop_reason_, self.converged_, self.history_ = 0, 1, "interrupted", False, history.record
        self.optimality_, self.optimality_kind_, self._state = None, None, None

    def _attributes(self, training, data):
        """What the estimator would know if training stopped here."""
        model = copy(self)
        model._publish(training, data)
        model.history_ = copy_of(model.history_)
        return vars(model)

    def _is_unbounded(self, objective, X, labels, visits):
        """Whether the objective falls for ever as the weights grow."""
        return False

    def _trouble(self, method):
        """What is the matter with the columns of X, and what helps; empty if nothing is."""
        problem = method.problem
        names = getattr(self, "feature_names_in_", np.arange(problem.rows.shape[1]))
        if isinstance(method, Descent) and not isinstance(method.optimizer, (AdaGrad, RMSProp, Adam)):
            return uneven_columns(problem, names)
        return long_tails(problem, names) if method.repaired else ""

    def _warn(self, trouble):
        """Say what is wrong, in numbers, and what helps."""
        said, late = "", self.stop_reason_ == "max_seconds"
        if self.stop_reason_ == "separable":
            said = ("The classes are separable and nothing is penalised: the larger the weights, the smaller the objective, so "
                    f"there is no minimum. Training stopped at optimality_={self.optimality_:.2g} (tol={self.tol:g}); penalise the "
                    "weights.")
        elif self.stop_reason_ not in ("max_iter", "max_seconds") or self.tol is None:
            pass
        elif late and not self._is_automatic():
            said = (f"Training stopped at max_seconds={self.max_seconds:g}, after {self.n_iter_} epochs, before convergence. "
                    "Consider increasing max_seconds to improve the fit.")
        elif not self._is_automatic():
            said = ("Maximum number of iteration reached before convergence. Consider increasing max_iter to improve the fit.")
        else:
            known = "unknown" if self.optimality_ is None else f"{self.optimality_:.2g} ({self.optimality_kind_})"
            said = (f"Training stopped after {self.n_iter_} passes over X{' and max_seconds' * late}, before it converged: "
                    f"optimality_, the distance to the minimum relative to the best constant model's, is {known}; "
                    f"tol={self.tol:g}. Increase {self.stop_reason_} or tol.")
        if said or trouble:
            warn(f"{said} {trouble}".strip(), ConvergenceWarning)

    def _validator(self, held_out, problem):
        """A function (coef, intercept) -> (score, objective) on the rows held out."""
        model, rows, weights = copy(self), as_rows(held_out.X), held_out.weights
        visits, total = np.arange(rows.shape[0]), float(rows.shape[0] if weights is None else weights.sum())

        def validate(coef, intercept):
            model._store(coef, intercept)
            theta = pack(coef, intercept, problem.rows.dtype, rows.sparse)
            loss = batch.gradient(rows, held_out.y, weights, visits, theta, np.empty_like(theta),
                                  problem.objective.codes, problem.threads)
            loss = loss / total + problem.objective.penalty(coef, intercept)
            return float(model.score(held_out.X, held_out.labels, weights)), float(loss if np.isfinite(loss) else np.inf)

        return validate

    # ---- the model at work ----

    def _margins(self, X):
        """W x + b for the rows of X, shape (n, outputs)."""
        check_is_fitted(self)
        X = self._check_X(X, reset=False, ensure_finite=False)
        coef = self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_
        outputs = len(np.atleast_2d(coef))
        theta = pack(coef, np.broadcast_to(self.intercept_, outputs), X.dtype, sparse.issparse(X))
        out = np.empty(X.shape[0] * outputs)
        batch.margins(as_rows(X), theta, outputs, out, thread_count(self.n_jobs))
        if not is_surely_finite(out):  # as it is where X is not: looking here saves a pass over X
            self._check_X(X, reset=False)
        return out.reshape(-1, outputs).astype(X.dtype, copy=False)
