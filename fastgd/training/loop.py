"""The loop that every training runs: order the rows, ask the method for one epoch, record, check,
tell the callbacks, stop.
"""

from math import isfinite, isnan
from time import perf_counter

import numpy as np

from fastgd.problem.layout import pack
from fastgd.problem.records import Record

INTERRUPTED = "interrupted"  # what is to be said of a training that ends there
# Epochs of a fit whose max_iter is None.
DEFAULT_MAX_EPOCHS = 1000
MAX_LOSS_RATIO = 1e10  # times the loss before training: clipped slopes can keep a runaway finite


class DivergedError(ValueError):
    """The loss or the weights are no longer finite, or no longer of this world."""


class Stopping:
    """When enough is enough.

    The loss (or the negative score of a validation) has stalled when it has not fallen below its
    best by `tol` for `patience` epochs in a row; a full gradient is small when its norm is at most
    `tol` times the first one. tol=None: neither is asked. After `max_seconds` (None: no matter how
    many) no further epoch begins.
    """

    def __init__(self, max_iter, tol, patience, full_gradient=False, max_seconds=None):
        self.max_iter = max_iter
        self.tol = tol
        self.patience = patience
        self.full_gradient = full_gradient
        self.best, self.stalled = np.inf, 0
        self._end = np.inf if max_seconds is None else perf_counter() + max_seconds

    def has_stalled(self, value):
        self.stalled = self.stalled + 1 if value > self.best - self.tol else 0
        self.best = min(self.best, value)
        return self.stalled >= self.patience

    def is_small(self, norms):
        return self.full_gradient and norms[-1] <= self.tol * norms[0]

    def is_late(self):
        return self._end < np.inf and perf_counter() >= self._end


class Best(Record):
    """The epoch (from 1, of the whole history) of the best validation, and its model: the highest
    score, then the lowest loss.
    """

    epoch: int
    score: float
    loss: float
    coef: np.ndarray
    intercept: np.ndarray

    def is_beaten_by(self, score, loss):
        return (score, -loss) > (self.score, -self.loss)


class ResumePoint(Record):
    """Where a training stands after a complete epoch: all that another one, of the same data, needs
    to go on exactly.

    `stopping` is (best, stalled).
    """

    method: object
    stopping: tuple
    best: Best | None


class Training:
    """One run of epochs by a method that has been started, or resumed: then `resume` is to follow.

    `known_loss()` is what a model had before, to tell a runaway by; `validate(coef, intercept)`
    returns (score, loss) on held-out rows, by which it is stopped, and the best epoch kept, if
    `early_stopping`. If it is `resumable`, a `ResumePoint` is stored after every epoch. `reason`
    is why it has ended. `scaling` holds the units that the method works in (None: the user's).
    """

    def __init__(
        self,
        method,
        order,
        stopping,
        history,
        known_loss,
        *,
        validate=None,
        early_stopping=False,
        resumable=False,
        scaling=None,
    ):
        self.method, self._order, self._stopping, self.history = method, order, stopping, history
        self._known_loss = known_loss
        self._validate = validate
        self._early_stopping = early_stopping
        self._is_resumable, self._best, self._scaling, self.reason = (
            resumable,
            None,
            scaling,
            INTERRUPTED,
        )
        self._begun = len(history)
        self._note()

    def resume(self, resume_point):
        """Stop by what was noted before."""
        self._stopping.best, self._stopping.stalled = resume_point.stopping
        self._best = resume_point.best
        self._note()

    def _note(self):
        """The last complete epoch, in one assignment: an interrupt comes before or after it."""
        resume_point = None
        if self._is_resumable:
            stopping = self._stopping.best, self._stopping.stalled
            resume_point = ResumePoint(self.method.resume_point(), stopping, self._best)
        self._complete = (
            len(self.history.record["loss"]),
            self.method.state,
            resume_point,
            self._best,
        )

    @property
    def epochs(self):
        """Complete epochs of this run."""
        return self._complete[0] - self._begun

    @property
    def resume_point(self):
        """Where the last complete epoch ended; None unless the method keeps it."""
        return self._complete[2]

    @property
    def best(self):
        """The `Best` epoch, with early stopping."""
        return self._complete[3]

    def solution(self):
        """(coef, intercept) of the best epoch, with early stopping, else of the last."""
        return (self.best.coef, self.best.intercept) if self.best else self._last()

    def scaled_solution(self):
        """The same in the method's units."""
        if self._scaling and self.best:
            return self._scaling.to_scaled(*self.solution())
        return self.method.solution() if self._scaling else self.solution()

    def objective(self):
        """The objective at the solution, in the method's units."""
        problem, solution = self.method.problem, self.scaled_solution()
        return self.method.loss_at(pack(*solution, problem.rows.dtype, problem.by_column))

    def _last(self):
        """(coef, intercept) of the last epoch."""
        solution = self.method.solution()
        return self._scaling.to_user(*solution) if self._scaling else solution

    def is_late(self):
        return self._stopping.is_late()

    def advance(self):
        """Run one epoch; returns why it should be the last, or None."""
        method, stopping = self.method, self._stopping
        epoch, number = method.epoch(self._order.next()), self.epochs + 1
        if not (
            epoch.loss <= MAX_LOSS_RATIO and isfinite(epoch.gradient_norm) and method.is_finite()
        ):
            self._check(number, epoch)
        if self._early_stopping and stopping.tol is not None:
            # it may take the best constant model, which is then the one to judge
            method.optimality()
        score, loss = self._validate(*method.solution()) if self._validate else (None, None)
        users = self._scaling.epoch_to_user(epoch) if self._scaling else epoch
        self.history.add(users, score, loss)
        if self._early_stopping and (self._best is None or self._best.is_beaten_by(score, loss)):
            self._best = Best(len(self.history), score, loss, *self._last())
        reason = (
            None
            if stopping.tol is None
            else self._reason(-score if self._early_stopping else epoch.loss)
        )
        self._note()
        return reason or ("max_iter" if number == stopping.max_iter else None)

    def end(self, reason):
        """No epoch is to follow: let the method finish."""
        # what is known of the minimum is known of the model as it is, and the best epoch's is not
        # touched
        if reason != "tol" and not self.best:
            self.method.finish(reason not in ("max_seconds", "callback"))
            found = (
                self.method.optimality()
                if reason == "max_iter" and self._stopping.tol is not None
                else None
            )
            if found and found[0] <= self._stopping.tol:
                reason = "tol"
        self.reason = reason

    def restore(self):
        """Forget what has come after the last complete epoch."""
        epochs, self.method.state, *_ = self._complete
        self.history.forget(epochs)

    def _check(self, number, epoch):
        """Refuse to go on where there is no way back: a loss beyond all that was known, or what is
        no number.
        """
        finite = isfinite(epoch.gradient_norm) and self.method.is_finite()
        if finite and not self.method.runs_away and not isnan(epoch.loss):
            return
        runaway = epoch.loss > MAX_LOSS_RATIO and epoch.loss > MAX_LOSS_RATIO * (
            1 + self._known_loss()
        )
        if runaway or not (isfinite(epoch.loss) and finite):
            rate = ""
            if self.method.has_rate:
                rate = f" So does a learning rate smaller than {epoch.learning_rate:g}."
            raise DivergedError(
                f"Training diverged. Floating-point under-/overflow occurred at epoch #{number}, "
                f"the loss is {epoch.loss:g}. "
                f"Scaling input data with StandardScaler or MinMaxScaler might help.{rate}"
            )

    def _reason(self, value):
        """Why training should stop; None: no reason. `value` is what must not stall."""
        stopping = self._stopping
        found = self.method.optimality()
        if found and found[0] <= stopping.tol:
            return "tol"
        if self.method.exhausted:  # rounding leaves nothing to gain
            return "rounding"
        if stopping.is_small(self.history.record["gradient_norm"]):
            return "gradient"
        if stopping.patience and stopping.has_stalled(value):
            if not self.method.react():
                return "validation" if self._early_stopping else "plateau"
            stopping.stalled = 0
        return None
