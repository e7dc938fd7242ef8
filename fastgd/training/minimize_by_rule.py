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
RATES = {
    AdaGrad: 1.0,
    RMSProp: 0.1,
    Adam: 0.1,
    AdamW: 0.1,
}  # the first tried: what such a rule moves a parameter by
BATCH_RATES = {AdaGrad: 0.1, RMSProp: 0.01, Adam: 0.01, AdamW: 0.01}
FIRST_DISTANCE = 1e-6  # Prodigy's first guess of how far the minimum is
DECAY = 0.01  # AdamW's
GROWTH = 1.1  # of plain gradient descent's default rate, while the cost falls
NOISE_DECAY = (
    0.275  # of gradient noise: its deviation falls as t**-0.275 (Neelakantan et al., 2015)
)
HALVINGS = 60
# parameters whose gradient is kept with the best point; of more it is evaluated again when it is
# asked for
KEPT = 65536


class RuleRun(Run):
    """Descent by an update rule, whose rate is the user's schedule, or found (None)."""

    def __init__(self, task: Task, method: str | Optimizer, learning_rate: Real | Schedule | None):
        super().__init__(task)
        self._prodigy = method == "prodigy"
        self._optimizer = method if isinstance(method, Optimizer) else METHODS[method]()
        self._schedule = (
            learning_rate
            if isinstance(learning_rate, (Schedule, type(None)))
            else Constant(float(learning_rate))
        )
        self._found = learning_rate is None
        self._scale = 1.0
        self._tried = 0.0  # the cost where a rate was tried last
        self._least_trial = Best(None)  # of those that were tried
        self._progress = Progress(task)
        self._state = RuleDescent(
            task.x0.astype(np.float64) if task.cost.compiled else task.x0,
            self._optimizer.codes,
            DECAY if isinstance(self._optimizer, AdamW) else 0.0,
            FIRST_DISTANCE if self._prodigy else 0.0,
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
        """Whether the rate is found and the cost must fall in every iteration."""
        return self._found and isinstance(self._optimizer, SGD)

    def _rates(self, done, count):
        """The rates of `count` iterations after `done`; each is an epoch to a schedule."""
        if self._is_plain:
            return self._schedule.eta0 * GROWTH ** np.arange(count)
        if isinstance(self._schedule, (Constant, Adaptive)):
            return self._schedule.rates(done + 1, count, done)
        return self._scale * np.array(
            [self._schedule.rates(t + 1, 1, t)[0] for t in range(done, done + count)]
        )

    def _reduce(self):
        """Halve the rate that was found."""
        if self._prodigy:
            self._scale /= 2
        else:
            self._schedule = replace(self._schedule, eta0=self._schedule.eta0 / 2)

    def _choose_rate(self, value, gradient, batch=()):
        """The schedule where the user gave none; False: no step lowers the cost."""
        task = self.task
        if self._prodigy:
            self._schedule = CosineDecay(1.0, task.max_iter or 1)
            return True
        rates = BATCH_RATES if batch else RATES
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
        """`rate`, halved until a first step lowers the cost; of rules that do not scale themselves
        doubled too, while the cost falls by half of what the gradient promises: then it is the
        inverse of the curvature along the gradient.
        """
        task, x = self.task, self.task.x0.astype(np.float64)
        slopes = task.slopes(x, gradient).astype(np.float64)
        if not slopes.any():
            return rate
        direction = np.sign(slopes) if adaptive else slopes
        start = task.total(x, value)

        def is_good(rate):
            trial = task.feasible(x - rate * direction)
            if task.l1:  # no parameter crosses zero
                trial = np.where(trial * x < 0, 0, trial)
            self._tried = after = task.total(trial, task.cost.value(trial, *batch))
            if after < self._least_trial.value:
                self._least_trial = Best(trial.astype(task.x0.dtype), after)
            return after < start and (
                adaptive or after <= start - 0.5 * float(slopes @ (x - trial))
            )

        if not is_good(rate):
            for _ in range(HALVINGS):
                rate /= 2
                if is_good(rate):
                    return rate
            return None
        for _ in range(0 if adaptive else HALVINGS):
            if not is_good(2 * rate):
                break
            rate *= 2
        return rate

    def _why_no_rate(self):
        """The status of a run for which no rate was found."""
        return self._ends_at_rounding(
            UNDEFINED if np.isnan(self._tried) else NO_DESCENT, self._progress.decrement
        )

    # ---- the run ----

    def go(self):
        status = self._descend()
        if (
            self._least_trial.value < self.best.value
        ):  # a point that was tried lies lower than the rule's
            self.best = self._least_trial
        return status

    def _descend(self):
        task, cost = self.task, self.task.cost
        x = self._state.x
        value, gradient = cost(x)
        self._check_start(value, gradient)
        self.best, self._best_cost = Best(task.x0, task.total(x, value), gradient.copy()), value
        if self._found:
            if not self._choose_rate(value, gradient) and task.ends:
                slopes = task.slopes(x, gradient)
                self.trace.note_x(x)
                self.trace.add(
                    self.best.value, float(np.abs(slopes).max()), self._schedule.eta0, cost.nfev
                )
                return self._why_no_rate()
            self._state.forbid_rise(self.best.value, self._is_plain)
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
            elif status == Status.ROSE and self._found:
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
                self._schedule = replace(self._schedule, eta0=rate * GROWTH)
            value, gradient = cost(state.x)

    def _failed(self, status, value, gradient):
        """The status of a run whose cost or gradient at the iterate cannot be gone on from."""
        if status == Status.UNBOUNDED:
            return self._falls_without_end()
        if status == Status.ROSE:
            return DIVERGED
        self._take_best(value, gradient)
        return UNDEFINED

    def _is_minimum(self, x, gradient):
        """Whether an iterate of small gradient (x None: it is the first such one, and the best) is
        a minimum.
        """
        if x is None:
            x = self.best_x()
        is_minimum = self._progress.is_minimum(x, gradient, self.trace.record["fun"])
        self.trace.record["nfev"][-1] = self.task.cost.nfev
        if self._progress.trial.value < self._least_trial.value:
            self._least_trial = self._progress.trial
        return is_minimum

    def _without_descent(self, status):
        """`status`, or CONVERGED where rounding errors end the descent."""
        return self._ends_at_rounding(status, self._progress.decrement)

    def _note(self, x, rate, value, gradient):
        """Take the iterate that was left into the history."""
        state = self._state
        self._take_best(value, gradient)
        self.trace.add(state.value, state.norm, rate, self.task.cost.nfev)
        if x is not None:
            self.trace.note_x(x)
            self.trace.tell(x, state.value)

    def _take_best(self, value, gradient):
        """See whether the point that was left is the best, with its cost (without L1) and
        gradient.
        """
        state = self._state
        if state.least <= self.best.value:
            self.best.x, self.best.value = None, state.least  # of the state, when somebody asks
            if state.value == state.least:
                self.best.gradient = gradient.copy() if len(gradient) <= KEPT else None
                self._best_cost = value

    def _go_back(self):
        """Return to the best point, at half the rate."""
        self._state.go_back()
        self._reduce()

    def _is_exhausted(self):
        return (
            self._scale < 2.0**-HALVINGS
            if self._prodigy
            else self._schedule.eta0 < self._schedule.least
        )

    def _react(self):
        """Answer a stalled cost; False: there is nothing more to try."""
        self._state.reset_stall()
        if self._prodigy and self._found:
            return True
        if self._found:
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
        """The same without Python between the iterations."""
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
                cost.budget.check(cost.nfev, 2)  # the result's gradient is evaluated in the end
                now = int(min(now, cost.budget.max_fun - cost.nfev - 1))
                keeps = watched or progress.is_watching
                record, path = np.empty((now, 2)), np.empty((now, n)) if keeps else None
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
                        self._schedule, eta0=self._schedule.eta0 * GROWTH**done
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
                    if not self._found:
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
