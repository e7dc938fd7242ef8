"""The training loop: order the rows, run one epoch of the method, record it, check it, and decide
whether to stop.
"""

from collections.abc import Callable
from math import isfinite, isnan
from time import perf_counter

import numpy as np

from fastgd.methods.method import Method
from fastgd.problem.layout import pack
from fastgd.problem.records import Record
from fastgd.training.history import History

# The `stop_reason_` of an interrupted fit, and the state of a training that has not ended.
INTERRUPTED = "interrupted"
# Epochs of a fit with max_iter=None, at most.
DEFAULT_MAX_EPOCHS = 1000
# A training has diverged once the loss exceeds this multiple of the initial loss, and this number.
# Clipped slopes can keep the loss of a diverging training finite.
MAX_LOSS_RATIO = 1e10


class DivergedError(ValueError):
    """The loss or the weights are not finite, or exceed `MAX_LOSS_RATIO` times the initial loss."""


class Stopping(Record):
    """The stopping criteria.

    The loss (or the negative validation score) has stalled if it has not fallen below its best by
    `tol` for `patience` epochs in a row. A full gradient is small if its norm is at most `tol`
    times the first one. tol=None means neither. After `max_seconds` (None: no limit) no further
    epoch begins.
    """

    max_iter: int
    tol: float | None
    patience: float = 0
    full_gradient: bool = False
    max_seconds: float | None = None
    best: float = np.inf
    stalled: int = 0

    def __post_init__(self):
        self._end = np.inf if self.max_seconds is None else perf_counter() + self.max_seconds

    def has_stalled(self, value):
        self.stalled = self.stalled + 1 if value > self.best - self.tol else 0
        self.best = min(self.best, value)
        return self.stalled >= self.patience

    def is_small(self, norms):
        return self.full_gradient and norms[-1] <= self.tol * norms[0]

    def is_late(self):
        return self._end < np.inf and perf_counter() >= self._end


class Best(Record):
    """The epoch (from 1, of the whole history) of the best validation, and its model. Best is the
    highest score, then the lowest loss.
    """

    epoch: int
    score: float
    loss: float
    coef: np.ndarray
    intercept: np.ndarray

    def is_beaten_by(self, score, loss):
        return (score, -loss) > (self.score, -self.loss)


class ResumePoint(Record):
    """The state after a complete epoch: all that a later training on the same data needs to
    continue with the same bits.

    `stopping` is (best, stalled).
    """

    method: object
    stopping: tuple
    best: Best | None


class Training(Record):
    """One run of epochs by a method that has been started, or resumed; then call `resume` too.

    `initial_loss()` is for detecting divergence. `validate(*solution)` returns (score, loss) on
    held-out rows; with `early_stopping` it decides when to stop, and the best epoch is the result.
    If it is `resumable`, a `ResumePoint` is stored after every epoch. `reason` is why it has ended.
    `scaling` holds the units of the method (None: the user's).
    """

    method: Method
    order: object
    stopping: Stopping
    history: History
    initial_loss: Callable
    validate: Callable | None = None
    early_stopping: bool = False
    resumable: bool = False
    scaling: object = None
    reason: str = INTERRUPTED

    def __post_init__(self):
        self._best, self._begun = None, len(self.history)
        self._note()

    def resume(self, resume_point):
        """Restore the stopping criteria of a resume point."""
        self.stopping.best, self.stopping.stalled = resume_point.stopping
        self._best = resume_point.best
        self._note()

    def _note(self):
        """Store the last complete epoch, in one assignment because of interrupts."""
        resume_point = None
        if self.resumable:
            stopping = self.stopping.best, self.stopping.stalled
            resume_point = ResumePoint(self.method.resume_point(), stopping, self._best)
        self._complete = len(self.history), self.method.state, resume_point, self._best

    @property
    def epochs(self):
        """Complete epochs of this run."""
        return self._complete[0] - self._begun

    @property
    def resume_point(self):
        """The `ResumePoint` of the last complete epoch; None unless `resumable`."""
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
        if self.scaling and self.best:
            return self.scaling.to_scaled(*self.solution())
        return self.method.solution() if self.scaling else self.solution()

    def objective(self):
        """The objective at the solution, in the method's units."""
        problem, solution = self.method.problem, self.scaled_solution()
        return self.method.loss_at(pack(*solution, problem.rows.dtype, problem.by_column))

    def _last(self):
        """(coef, intercept) of the last epoch."""
        solution = self.method.solution()
        return self.scaling.to_user(*solution) if self.scaling else solution

    def is_late(self):
        return self.stopping.is_late()

    def advance(self):
        """Run one epoch; return the reason why it is the last, or None."""
        method, stopping = self.method, self.stopping
        epoch, number = method.epoch(self.order.next()), self.epochs + 1
        self._check(number, epoch)
        if self.early_stopping and stopping.tol is not None:
            # `optimality` may replace the model by the best constant one, which is then validated.
            method.optimality()
        score, loss = self.validate(*method.solution()) if self.validate else (None, None)
        users = self.scaling.epoch_to_user(epoch) if self.scaling else epoch
        self.history.add(users, score, loss)
        if self.early_stopping and (self._best is None or self._best.is_beaten_by(score, loss)):
            self._best = Best(len(self.history), score, loss, *self._last())
        reason = None
        if stopping.tol is not None:
            reason = self._reason(-score if self.early_stopping else epoch.loss / method.unit)
        self._note()
        return reason or ("max_iter" if number == stopping.max_iter else None)

    def end(self, reason):
        """End the training: let the method finish."""
        # With "tol" the estimate holds for the model as it is; the model of a best epoch is final.
        if reason != "tol" and not self.best:
            self.method.finish(reason not in ("max_seconds", "callback"))
            if reason == "max_iter" and self.stopping.tol is not None and self._is_optimal():
                reason = "tol"
        self.method.close()
        self.reason = reason

    def _is_optimal(self):
        """Whether the method knows that the distance to the minimum is at most `tol`."""
        found = self.method.optimality()
        return bool(found and found[0] <= self.stopping.tol)

    def restore(self):
        """Return to the last complete epoch."""
        epochs, self.method.state, *_ = self._complete
        self.history.forget(epochs)

    def _check(self, number, epoch):
        """Raise an error if the training has diverged, unless the method can take steps back."""
        finite = isfinite(epoch.gradient_norm) and self.method.is_finite()
        is_low = epoch.loss <= MAX_LOSS_RATIO or not (self.method.runs_away or isnan(epoch.loss))
        if finite and is_low:
            return
        if finite and isfinite(epoch.loss):
            if not epoch.loss > MAX_LOSS_RATIO * (1 + self.initial_loss()):
                return
        rate = ""
        if self.method.has_rate:
            rate = f" So does a learning rate smaller than {epoch.learning_rate:g}."
        raise DivergedError(
            f"Training diverged. Floating-point under-/overflow occurred at epoch #{number}, the "
            f"loss is {epoch.loss:g}. Scaling input data with StandardScaler or MinMaxScaler might "
            f"help.{rate}"
        )

    def _reason(self, value):
        """The reason to stop, or None. `value` is the loss in the method's `unit`, or the negative
        validation score.
        """
        stopping = self.stopping
        if self._is_optimal():
            return "tol"
        # The method can gain no more than rounding.
        if self.method.exhausted:
            return "rounding"
        if stopping.is_small(self.history.record["gradient_norm"]):
            return "gradient"
        if stopping.patience and (stopping.has_stalled(value) or self.method.settled):
            if not self.method.react():
                return "validation" if self.early_stopping else "plateau"
            stopping.stalled = 0
        return None
