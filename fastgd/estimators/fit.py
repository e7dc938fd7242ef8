"""One fit, from checked data to a stored model: what all families of models share."""

from contextlib import nullcontext
from copy import copy
from dataclasses import replace

import numpy as np

from fastgd.estimators.resumption import Resumption, fingerprint
from fastgd.problem import passes
from fastgd.problem.chunked_rows import ChunkedRows
from fastgd.problem.data import distinct_columns
from fastgd.problem.problem import Problem
from fastgd.problem.seed import seed_of
from fastgd.training.blas import one_blas_thread
from fastgd.training.fit_callbacks import most_epochs
from fastgd.training.history import History, copy_of
from fastgd.training.loop import INTERRUPTED, DivergedError, Stopping, Training
from fastgd.training.multi_start import MultiStart


class Fit:
    """One fit of a model on the checked `arrays`.

    `partial` means one more epoch from the stored state (partial_fit). A subclass, one for each
    family of models, sets `problem` and defines the hooks `method`, `start`, `order`,
    `held_out_loss` and `store`; the others have defaults.
    """

    # Whether training sums over all rows by BLAS, whose threads would change the bits.
    uses_blas = True
    # The units of the method (None: the user's).
    scaling = None
    # The rows for validation, in the units of the method; None: there are none.
    held_out = None
    # The function of a custom loss, which may raise errors.
    custom_function = None

    def __init__(self, model, arrays, partial=False, fit_callbacks=None):
        self.model, self.partial, self.fit_callbacks = model, partial, fit_callbacks
        self.is_resumable = model.warm_start and not partial
        self.fingerprint = self.earlier = self.runs = None
        if self.is_resumable:
            self.fingerprint = fingerprint(*arrays)
            earlier = vars(model).get("_resumption")
            self.earlier = earlier if earlier and earlier.fits(model, self.fingerprint) else None
        if partial:
            self.stopping = Stopping(1, None)
        else:
            self.stopping = Stopping(most_epochs(model), model.tol, max_seconds=model.max_seconds)

    # ---- what a family of models defines ----

    def method(self, last):
        """A new method; `last` is the number of the last epoch, for a schedule."""

    def start(self, method, *start):
        """Start a method; return a copy of its first parameters, None if they are those of the
        stored state.
        """

    def order(self, epochs):
        """The order of the rows after so many epochs."""

    def held_out_loss(self, method):
        """A function of the parameters that returns the loss of the held-out rows."""

    def store(self, model, training):
        """Store the parameters, and what only this family has, in an estimator."""

    def explained(self, error):
        """The error to raise for a `DivergedError`."""
        return error

    def conclude(self, training):
        """The model has been stored: warn if it has not converged."""

    # ---- the fit ----

    def run(self):
        """Train and store the model; return it."""
        try:
            return self._run()
        finally:
            for training in self.runs.trainings if self.runs else ():
                training.method.close()

    def _run(self):
        try:
            # Overflows show in the results.
            with (
                one_blas_thread() if self.uses_blas else nullcontext(),
                np.errstate(all="ignore"),
            ):
                if self.fit_callbacks:
                    self.fit_callbacks.begin(self.attributes)
                training = self.train()
                self.publish(self.model, training)
        except KeyboardInterrupt:
            self.publish_interrupted()
            raise
        except DivergedError as error:
            raise self.explained(error) from None
        self.conclude(training)
        if self.fit_callbacks:
            self.fit_callbacks.end(training)
        return self.model

    def train(self):
        """Run all trainings; return the best one."""
        self.runs = MultiStart(self.trainings(), self.fit_callbacks, self.custom_function)
        self.runs.run()
        return self.runs.best()

    def trainings(self):
        """The runs: those of the earlier fit, or new ones."""
        if self.earlier:
            return [self.resumed(number) for number in range(len(self.earlier.runs))]
        return [self.started(*start) for start in self.starts()]

    def starts(self):
        """The arguments of `start` for each new run."""
        return [()]

    def started(self, *start):
        """A new run."""
        earlier = getattr(self.model, "history_", None) if self.partial else None
        history = History(earlier, adds=self.partial)
        method = self.method(most_epochs(self.model))
        origin = self.start(method, *start)
        return self.training(method, origin, history, self.stopping.max_iter)

    def resumed(self, number):
        """A resumed run, up to the epoch of the earlier fit's best run plus `max_iter`.

        A run that had converged rests, unless all runs had, or `tol` has changed.
        """
        earlier, run, history = self.earlier, self.earlier.runs[number], self.model.history_
        last = len(history["loss"]) + self.stopping.max_iter
        history = History(history if number == earlier.best else run.record)
        method = self.method(last)
        method.resume(self.problem, run.resume_point.method)
        training = self.training(method, None, history, last - len(history))
        training.resume(run.resume_point)
        if len(history) >= last or not earlier.goes_on(run, self.model.tol):
            training.end("max_iter" if run.reason == INTERRUPTED else run.reason)
        return training

    def training(self, method, origin, history, max_iter):
        """The run, of at most `max_iter` epochs, of a method that has been started at `origin`, or
        resumed (None).
        """
        stopping = copy(self.stopping)
        stopping.max_iter = max_iter
        # These functions do not hold `self`, which holds the trainings: the rows of a fit are freed
        # at its end.
        to_scaled = self.scaling.loss_to_scaled if self.scaling else float

        def initial_loss():
            if origin is None:
                return to_scaled(history.record["loss"][-1])
            return method.loss_at(origin)

        return Training(
            method,
            self.order(len(history)),
            stopping,
            history,
            initial_loss,
            validate=None if self.held_out is None else self.validator(method),
            early_stopping=self.model.early_stopping and not self.partial,
            resumable=self.is_resumable,
            scaling=self.scaling,
        )

    def validator(self, method):
        """A function of the parameters that returns (score, loss) of the held-out rows.

        The model is in the method's units, the loss in the user's. A model whose loss overflows has
        the lowest score.
        """
        judge, rows, loss_of = copy(self.model), self.held_out, self.held_out_loss(method)
        vars(judge).pop("feature_names_in_", None)  # the rows have none
        to_user = self.scaling.loss_to_user if self.scaling else float

        def validate(*parameters):
            loss = loss_of(*parameters)
            if not np.isfinite(loss):
                return -np.inf, np.inf
            judge._store(*parameters)
            return float(judge.score(rows.X, rows.labels, rows.weights)), to_user(loss)

        return validate

    def drawn_seed(self):
        """The seed of the earlier fit, or one of `random_state`."""
        return self.earlier.random_state if self.earlier else seed_of(self.model.random_state)

    # ---- attributes of the estimator ----

    def publish(self, model, training, reason=None):
        """Store the model and the state of a training in an estimator; `history_` comes last, since
        it says that there is a new model.
        """
        for name in ("best_epoch_", "_resumption"):
            vars(model).pop(name, None)
        model.n_iter_, model.stop_reason_ = training.epochs, reason or training.reason
        self.store(model, training)
        if training.best:
            model.best_epoch_ = training.best.epoch
        if self.is_resumable:
            model._resumption = Resumption.of(
                model, self.fingerprint, self.problem.random_state, self.runs.trainings, training
            )
        model.history_ = training.history.record

    def publish_interrupted(self):
        """Store the model of the last complete epoch, if there is one."""
        training = self.runs and self.runs.best()
        if training and training.epochs:
            self.publish(self.model, training, INTERRUPTED)

    def attributes(self, training):
        """The attributes of the estimator if the training stopped now."""
        model = copy(self.model)
        self.publish(model, training)
        model.history_ = copy_of(model.history_)
        return vars(model)


class RowsFit(Fit):
    """One fit of a model on the rows `data`; with early stopping some of them are held out, unless
    the user has given others.
    """

    # Whether weights are divided by their mean.
    has_relative_weights = True
    threads = 1

    def __init__(self, model, data, held_out=None, **others):
        super().__init__(model, (*data.arrays, *(held_out.arrays if held_out else ())), **others)
        self.held_out = held_out

    def pose(self, data, random_state):
        """The problem on the rows to train on; the other rows are held out."""
        data = replace(data, X=distinct_columns(data.X))
        visits, left_out = self.model._split(data, self.held_out, random_state)
        weights, total = data.weights, float(len(visits))
        if weights is not None:
            total = float(weights[visits].sum())
            if self.has_relative_weights:
                data = replace(data, weights=relative(weights, visits))
        if len(left_out):
            self.held_out = data.take(left_out)
        X = data.X
        return Problem(
            passes.rows_of(X),
            data.y,
            data.weights,
            self.objective(len(visits), total),
            visits,
            self.is_full_batch(len(visits)),
            self.threads,
            None if isinstance(X, ChunkedRows) else X,
            self.is_resumable,
            random_state,
        )

    def held_out_problem(self, objective):
        """The problem on the held-out rows."""
        rows = self.held_out
        parts = {"rows": passes.rows_of(rows.X), "y": rows.y, "weights": rows.weights}
        visits = np.arange(rows.X.shape[0])
        return replace(self.problem, **parts, visits=visits, objective=objective)

    def objective(self, n, total):
        """The objective on n rows of this total weight."""

    def is_full_batch(self, n):
        """Whether a batch has all of the n rows."""


def relative(weights, visits):
    """The weights divided by the mean of those of the rows `visits`."""
    mean = weights[visits].mean()
    if not np.finfo(float).tiny <= mean < np.inf:
        weights = weights / weights[visits].max()
        mean = weights[visits].mean()
    return weights / mean
