"""The training loop: order the rows, run one epoch of the method, record it, check it, and decide
whether to stop.
"""

from math import isfinite, isnan
from time import perf_counter

import numpy as np

from fastgd.problem.layout import pack
from fastgd.problem.records import Record

# The `stop_reason_` of an interrupted fit, and the state of a training that has not ended.
INTERRUPTED = "interrupted"
# Epochs of a fit with max_iter=None, at most.
DEFAULT_MAX_EPOCHS = 1000
# A training has diverged once the loss exceeds this multiple of the initial loss, and this number.
# Clipped slopes can keep the loss of a diverging training finite.
MAX_LOSS_RATIO = 1e10


class DivergedError(ValueError):
    """The loss or the weights are not finite, or exceed `MAX_LOSS_RATIO` times the initial loss."""


class Stopping:
    """The stopping criteria.

    The loss (or the negative validation score) has stalled if it has not fallen below its best by
    `tol` for `patience` epochs in a row. A full gradient is small if its norm is at most `tol`
    times the first one. tol=None means neither. After `max_seconds` (None: no limit) no further
    epoch begins.
    """

    def __init__(self, max_iter, tol, patience=0, full_gradient=False, max_seconds=None):
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


class Training:
    """One run of epochs by a method that has been started, or resumed; then call `resume` too.

    `known_loss()` is the initial loss, to detect divergence. `validate(coef, intercept)` returns
    (score, loss) on held-out rows; with `early_stopping` it decides when to stop, and the best
    epoch is the result. If it is `resumable`, a `ResumePoint` is stored after every epoch. `reason`
    is why it has ended. `scaling` holds the units of the method (None: the user's).
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
        """Restore the stopping criteria of a resume point."""
        self._stopping.best, self._stopping.stalled = resume_point.stopping
        self._best = resume_point.best
        self._note()

    def _note(self):
        """Store the last complete epoch, in one assignment because of interrupts."""
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
        """Run one epoch; return the reason why it is the last, or None."""
        method, stopping = self.method, self._stopping
        epoch, number = method.epoch(self._order.next()), self.epochs + 1
        if not (
            epoch.loss <= MAX_LOSS_RATIO and isfinite(epoch.gradient_norm) and method.is_finite()
        ):
            self._check(number, epoch)
        if self._early_stopping and stopping.tol is not None:
            # `optimality` may replace the model by the best constant one, which is then validated.
            method.optimality()
        score, loss = self._validate(*method.solution()) if self._validate else (None, None)
        users = self._scaling.epoch_to_user(epoch) if self._scaling else epoch
        self.history.add(users, score, loss)
        if self._early_stopping and (self._best is None or self._best.is_beaten_by(score, loss)):
            self._best = Best(len(self.history), score, loss, *self._last())
        reason = (
            None
            if stopping.tol is None
            else self._reason(-score if self._early_stopping else epoch.loss / method.unit)
        )
        self._note()
        return reason or ("max_iter" if number == stopping.max_iter else None)

    def end(self, reason):
        """End the training: let the method finish."""
        # With "tol" the estimate holds for the model as it is; the model of a best epoch is final.
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
        """Return to the last complete epoch."""
        epochs, self.method.state, *_ = self._complete
        self.history.forget(epochs)

    def _check(self, number, epoch):
        """Raise an error if the training has diverged, unless the method can take steps back."""
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
        """The reason to stop, or None. `value` is the loss in the method's `unit`, or the negative
        validation score.
        """
        stopping = self._stopping
        found = self.method.optimality()
        if found and found[0] <= stopping.tol:
            return "tol"
        # The method can gain no more than rounding.
        if self.method.exhausted:
            return "rounding"
        if stopping.is_small(self.history.record["gradient_norm"]):
            return "gradient"
        if stopping.patience and (stopping.has_stalled(value) or self.method.settled):
            if not self.method.react():
                return "validation" if self._early_stopping else "plateau"
            stopping.stalled = 0
        return None
