"""Runs of the update rules on a cost function."""

from dataclasses import replace
from numbers import Real

import numpy as np

from fastgd.kernels.quasi_newton import unwritten
from fastgd.kernels.rule_descent import RuleDescent, Status
from fastgd.methods.optimizers import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    Momentum,
    Nesterov,
    Optimizer,
    RMSProp,
)
from fastgd.methods.schedules import Adaptive, Constant, CosineDecay, Lipschitz, Schedule
from fastgd.training.minimization import (
    CONVERGED,
    DIVERGED,
    MAX_ITER,
    NO_DESCENT,
    STALLED,
    UNDEFINED,
    Best,
    Progress,
    Run,
    Task,
    slices,
)

# The update rules by the names of methods.
METHODS = {
    "gd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
    "prodigy": Adam,
}
# The first rates that are tried, for rules whose rate is about the change of a parameter per step.
FIRST_RATES = {
    AdaGrad: 1.0,
    RMSProp: 0.1,
    Adam: 0.1,
    AdamW: 0.1,
}
# The same for mini-batches.
FIRST_BATCH_RATES = {AdaGrad: 0.1, RMSProp: 0.01, Adam: 0.01, AdamW: 0.01}
# Prodigy's first estimate of the distance to the minimum, a lower bound that grows: the paper's.
PRODIGY_DISTANCE = 1e-6
# AdamW's weight decay: the default of PyTorch.
ADAMW_DECAY = 0.01
# Factor on the automatic rate of plain gradient descent after each iteration that lowers the cost.
RATE_GROWTH = 1.1
# The standard deviation of gradient noise falls as t**-0.275 (Neelakantan et al., 2015).
NOISE_DECAY = 0.275
# Halvings, or doublings, of an automatic rate, at most. A guard: 2^60 = 1e18.
MAX_HALVINGS = 60
# The gradient is stored with the best point for up to this number of parameters; beyond, it is
# evaluated again when it is needed.
MAX_STORED_GRADIENT = 65536


class RuleRun(Run):
    """Descent by an update rule at the rates of the user's schedule, or automatic ones (None)."""

    def __init__(self, task: Task, method: str | Optimizer, learning_rate: Real | Schedule | None):
        super().__init__(task)
        self._prodigy = method == "prodigy"
        self._optimizer = method if isinstance(method, Optimizer) else METHODS[method]()
        self._schedule = (
            learning_rate
            if isinstance(learning_rate, (Schedule, type(None)))
            else Constant(float(learning_rate))
        )
        self._is_rate_automatic = learning_rate is None
        self._scale = 1.0
        # The cost of the last trial of a rate.
        self._trial_cost = 0.0
        # The best trial.
        self._least_trial = Best(None)
        self._progress = Progress(task)
        self._state = RuleDescent(
            task.x0.astype(np.float64) if task.cost.compiled else task.x0,
            self._optimizer.codes,
            ADAMW_DECAY if isinstance(self._optimizer, AdamW) else 0.0,
            PRODIGY_DISTANCE if self._prodigy else 0.0,
            task.lower,
            task.upper,
            task.l1,
            task.threads,
        )
        self._state.set_goal(task.ftol, task.absolute)

    def best_x(self):
        return self._state.best if self.best.x is None else self.best.x

    # ---- rates ----

    @property
    def _is_plain(self):
        """Whether the rate is automatic, and the cost has to fall in every iteration."""
        return self._is_rate_automatic and isinstance(self._optimizer, SGD)

    def _rates(self, done, count):
        """The rates of `count` iterations after `done`; each counts as an epoch for a schedule."""
        if self._is_plain:
            return self._schedule.eta0 * RATE_GROWTH ** np.arange(count)
        if isinstance(self._schedule, (Constant, Adaptive)):
            return self._schedule.rates(done + 1, count, done)
        return self._scale * np.array(
            [self._schedule.rates(t + 1, 1, t)[0] for t in range(done, done + count)]
        )

    def _reduce(self):
        """Halve the automatic rate."""
        if self._prodigy:
            self._scale /= 2
        else:
            self._schedule = replace(self._schedule, eta0=self._schedule.eta0 / 2)

    def _choose_rate(self, value, gradient, batch=()):
        """Choose an automatic schedule; False if no step lowers the cost."""
        task = self.task
        if self._prodigy:
            self._schedule = CosineDecay(1.0, task.max_iter or 1)
            return True
        rates = FIRST_BATCH_RATES if batch else FIRST_RATES
        adaptive = type(self._optimizer) in rates
        size = float(np.abs(gradient).max())
        start = rates[type(self._optimizer)] if adaptive else 1 / (size or 1.0)
        found = self._largest_rate(value, gradient, start, adaptive, batch)
        rate = found or start
        self._schedule = (
            Lipschitz(rate) if batch else Adaptive(rate, factor=2.0, least=1e-12 * rate)
        )
        return found is not None

    def _largest_rate(self, value, gradient, rate, adaptive, batch):
        """`rate`, halved until a first step lowers the cost.

        For plain rules it is also doubled while the cost falls by at least half of the linear
        prediction: it is then about the inverse of the curvature along the gradient.
        """
        task, x = self.task, self.task.x0.astype(np.float64)
        slopes = task.slopes(x, gradient).astype(np.float64)
        if not slopes.any():
            return rate
        direction = np.sign(slopes) if adaptive else slopes
        start = task.total(x, value)

        def is_good(rate):
            trial = task.feasible(x - rate * direction)
            # With L1 no parameter crosses zero.
            if task.l1:
                trial = np.where(trial * x < 0, 0, trial)
            self._trial_cost = after = task.total(trial, task.cost.value(trial, *batch))
            if after < self._least_trial.value:
                self._least_trial = Best(trial.astype(task.x0.dtype), after)
            return after < start and (
                adaptive or after <= start - 0.5 * float(slopes @ (x - trial))
            )

        if not is_good(rate):
            for _ in range(MAX_HALVINGS):
                rate /= 2
                if is_good(rate):
                    return rate
            return None
        for _ in range(0 if adaptive else MAX_HALVINGS):
            if not is_good(2 * rate):
                break
            rate *= 2
        return rate

    def _why_no_rate(self):
        """The status of a run without a rate that lowers the cost."""
        return self._ends_at_rounding(
            UNDEFINED if np.isnan(self._trial_cost) else NO_DESCENT, self._progress.decrement
        )

    # ---- the run ----

    def go(self):
        status = self._descend()
        # The best trial may be better than all iterates.
        if self._least_trial.value < self.best.value:
            self.best = self._least_trial
        return status

    def _descend(self):
        task, cost = self.task, self.task.cost
        x = self._state.x
        value, gradient = cost(x)
        self._check_start(value, gradient)
        self.best, self._best_cost = Best(task.x0, task.total(x, value), gradient.copy()), value
        if self._is_rate_automatic:
            if not self._choose_rate(value, gradient) and task.ends:
                slopes = task.slopes(x, gradient)
                self.trace.note_x(x)
                self.trace.add(
                    self.best.value, float(np.abs(slopes).max()), self._schedule.eta0, cost.nfev
                )
                return self._why_no_rate()
            self._state.forbid_rise(self._is_plain)
        return (
            self._go_compiled() if cost.compiled and not task.noise else self._go(value, gradient)
        )

    def _go(self, value, gradient):
        state, task, cost = self._state, self.task, self.task.cost
        watched, progress = task.record_path or task.callback is not None, self._progress
        moved, next_anchor = int(Status.MOVED), progress.next_anchor
        while True:
            if self.nit == next_anchor:
                progress.set_anchor(self.nit, state.x)
                next_anchor = progress.next_anchor
            x = state.x.copy() if watched or progress.is_watching else None
            rate = float(self._rates(self.nit, 1)[0])
            status = state.tell(
                value, gradient, rate, task.tol, task.patience, self._noisy(gradient)
            )
            if status == moved:
                self._note(x if watched else None, rate, value, gradient)
                if x is not None:
                    progress.pass_by(x, gradient)
            elif status in (Status.SMALL, Status.STALLED):
                self._note(x if watched else None, rate, value, gradient)
                if status == Status.SMALL and self._is_minimum(x, gradient):
                    return CONVERGED
                if status == Status.STALLED and not self._react() and task.ends:
                    return self._without_descent(STALLED)
            elif status == Status.ROSE and self._is_rate_automatic:
                was_undefined = np.isnan(state.value)
                self._go_back()
                if self.best.gradient is None:
                    value, gradient = cost(state.x)
                else:
                    value, gradient = self._best_cost, self.best.gradient
                if self._is_exhausted() and (was_undefined or task.ends):
                    return UNDEFINED if was_undefined else self._without_descent(NO_DESCENT)
                continue
            else:
                return self._failed(status, value, gradient)
            if self.nit == task.max_iter:
                return MAX_ITER
            self.nit += 1
            if self._is_plain:
                self._schedule = replace(self._schedule, eta0=rate * RATE_GROWTH)
            value, gradient = cost(state.x)

    def _failed(self, status, value, gradient):
        """The status of a run that cannot continue from the cost or gradient of its iterate."""
        if status == Status.UNBOUNDED:
            return self._falls_without_end()
        if status == Status.ROSE:
            return DIVERGED
        self._take_best(value, gradient)
        return UNDEFINED

    def _is_minimum(self, x, gradient):
        """Whether an iterate with a small gradient is a minimum; x=None means the first such
        iterate, which is the best point.
        """
        if x is None:
            x = self.best_x()
        is_minimum = self._progress.is_minimum(x, gradient, self.trace.record["fun"])
        self.trace.record["nfev"][-1] = self.task.cost.nfev
        if self._progress.trial.value < self._least_trial.value:
            self._least_trial = self._progress.trial
        return is_minimum

    def _without_descent(self, status):
        """`status`, or CONVERGED if rounding errors end the descent."""
        return self._ends_at_rounding(status, self._progress.decrement)

    def _note(self, x, rate, value, gradient):
        """Add the last iterate to the history."""
        state = self._state
        self._take_best(value, gradient)
        self.trace.add(state.value, state.norm, rate, self.task.cost.nfev)
        if x is not None:
            self.trace.note_x(x)
            self.trace.tell(x, state.value)

    def _take_best(self, value, gradient):
        """Update the best point with the last iterate, its cost (without L1) and its gradient."""
        state = self._state
        if state.least <= self.best.value:
            self.best.x, self.best.value = None, state.least
            if state.value == state.least:
                self.best.gradient = (
                    gradient.copy() if len(gradient) <= MAX_STORED_GRADIENT else None
                )
                self._best_cost = value

    def _go_back(self):
        """Return to the best point, at half the rate."""
        self._state.go_back()
        self._reduce()

    def _is_exhausted(self):
        return (
            self._scale < 2.0**-MAX_HALVINGS
            if self._prodigy
            else self._schedule.eta0 < self._schedule.least
        )

    def _react(self):
        """Lower the rate after a stalled cost; False if there is no lower rate."""
        self._state.reset_stall()
        if self._prodigy and self._is_rate_automatic:
            return True
        if self._is_rate_automatic:
            self._go_back()
            return not self._is_exhausted()
        schedule = self._schedule.react()
        if schedule is None:
            return not isinstance(self._schedule, Adaptive)
        self._schedule = schedule
        return True

    def _noisy(self, gradient):
        """The gradient with noise, if there is any."""
        if not self.task.noise:
            return None
        deviation = self.task.noise / (1 + self.nit) ** NOISE_DECAY
        return gradient + (deviation * self.task.random.standard_normal(len(gradient))).astype(
            gradient.dtype
        )

    def _go_compiled(self):
        """Iterate in compiled code."""
        state = self._state
        task = self.task
        cost = self.task.cost
        function = self.task.cost.compiled
        progress, failed = self._progress, cost.watched.failed
        n, recorded, watched = len(task.x0), 0, task.record_path or task.callback is not None
        gradient = np.empty(n)
        for size in (
            slices(task.max_iter + 1) if task.callback is None else [1] * (task.max_iter + 1)
        ):
            while size > 0:
                if recorded == progress.next_anchor:
                    progress.set_anchor(recorded, state.x)
                now = 1 if progress.is_watching else min(size, progress.next_anchor - recorded)
                # Two: the gradient of the result is evaluated at the end.
                cost.budget.check(cost.nfev, 2)
                now = int(min(now, cost.budget.max_fun - cost.nfev - 1))
                stores_path = watched or progress.is_watching
                record, path = np.empty((now, 2)), np.empty((now, n)) if stores_path else None
                rates = self._rates(recorded, now)
                done, status = state.run(
                    function.address,
                    function.data,
                    failed,
                    rates,
                    task.tol,
                    task.patience,
                    gradient,
                    record,
                    path,
                )
                recorded, size = recorded + done, size - done
                self.nit = max(recorded - 1, 0)
                if done:
                    self.best = Best(None, state.least)
                for i in range(done):
                    cost.nfev += 1
                    cost.njev += 1
                    self.trace.add(*record[i].tolist(), float(rates[i]), cost.nfev)
                    if watched:
                        self.trace.note_x(path[i])
                        self.trace.tell(path[i], record[i, 0])
                if self._is_plain:
                    self._schedule = replace(
                        self._schedule, eta0=self._schedule.eta0 * RATE_GROWTH**done
                    )
                if status not in (Status.MOVED, Status.SMALL, Status.STALLED):
                    cost.nfev += 1
                    cost.njev += 1
                if status == Status.FAILED:
                    cost.watched.raise_error()
                if status == Status.UNWRITTEN:
                    cost.check_written(unwritten(gradient))
                if status == Status.UNDEFINED:
                    return UNDEFINED
                if status == Status.UNBOUNDED:
                    return self._falls_without_end()
                if status == Status.ROSE:
                    if not self._is_rate_automatic:
                        return DIVERGED
                    was_undefined = np.isnan(state.value)
                    self._go_back()
                    if self._is_exhausted() and (was_undefined or task.ends):
                        return UNDEFINED if was_undefined else self._without_descent(NO_DESCENT)
                if status == Status.SMALL and self._is_minimum(
                    path[done - 1] if progress.is_watching else None, gradient
                ):
                    return CONVERGED
                if status == Status.MOVED and progress.is_watching:
                    progress.pass_by(path[done - 1], gradient)
                if status == Status.STALLED and not self._react() and task.ends:
                    return self._without_descent(STALLED)
        return MAX_ITER
