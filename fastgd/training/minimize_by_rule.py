"""Runs of the update rules on a cost function."""

from dataclasses import replace
from itertools import takewhile
from math import isnan
from numbers import Real

import numpy as np

from fastgd.kernels.cost import Status
from fastgd.kernels.rule_descent import RuleDescent
from fastgd.methods import optimizers as rules
from fastgd.methods.schedules import Adaptive, Constant, CosineDecay, Lipschitz
from fastgd.training import outcomes
from fastgd.training.minimization import Best, Task
from fastgd.training.minimize_run import Run
from fastgd.training.minimum import Progress

# The update rules by the names of methods.
METHODS = {"gd" if name == "sgd" else name: rule for name, rule in rules.RULES.items()}
METHODS["prodigy"] = rules.Adam
# The first rates that are tried, for rules whose rate is about the change of a parameter per step.
FIRST_RATES = {rules.AdaGrad: 1.0, rules.RMSProp: 0.1, rules.Adam: 0.1, rules.AdamW: 0.1}
# They are divided by this for mini-batches.
BATCH_RATE_REDUCTION = 10
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
# An automatic rate is reduced down to this share of the first one.
LEAST_RATE_RATIO = 1e-12
# The gradient is stored with the best point for up to this number of parameters; beyond, it is
# evaluated again when it is needed.
MAX_STORED_GRADIENT = 65536
# The statuses of an iterate that enters the history.
NOTED = Status.MOVED, Status.SMALL, Status.STALLED
# Looking it up in the enum takes as long as an addition of small vectors.
MOVED = Status.MOVED


class RuleRun(Run):
    """Descent by an update rule at the rates of the user's schedule, or automatic ones (None).

    Python costs take one iteration per call of `_iterate`, compiled ones many; all else is the
    same.
    """

    def __init__(self, task: Task):
        super().__init__(task)
        rate, rule = task.learning_rate, task.method
        self._is_prodigy = rule == "prodigy" or (rule == "auto" and task.batches is not None)
        if isinstance(rule, str):
            rule = METHODS["prodigy" if self._is_prodigy else rule]()
        self._optimizer, self._is_rate_automatic = rule, rate is None
        self._schedule = Constant(float(rate)) if isinstance(rate, Real) else rate
        # Whether the rate is automatic, and the cost has to fall in every iteration.
        self._is_plain = self._is_rate_automatic and isinstance(rule, rules.SGD)
        self._progress = Progress(self)
        # (cost, gradient) at the iterate, if they are known already.
        self._known = None
        # The cost of the last trial of a rate.
        self._trial_cost = 0.0
        x0 = task.x0.astype(np.float64) if task.cost.compiled else task.x0
        decay = ADAMW_DECAY if isinstance(rule, rules.AdamW) else 0.0
        distance = PRODIGY_DISTANCE if self._is_prodigy else 0.0
        self._state = RuleDescent(
            x0, rule.codes, decay, distance, *task.bounds, task.l1, task.threads
        )
        self._state.set_goal(task.goal.ftol, task.goal.absolute)

    def best_x(self):
        return self._state.best if self.best.x is None else self.best.x

    # ---- rates ----

    def _rates(self, done, count):
        """The rates of `count` iterations after `done`; each counts as an epoch for a schedule."""
        schedule = self._schedule
        if self._is_plain:
            # One product after the other, so that rates do not depend on how a run is cut.
            return np.cumprod([schedule.eta0, *[RATE_GROWTH] * (count - 1)])
        if isinstance(schedule, (Constant, Adaptive)):
            return schedule.rates(done + 1, count, done)
        iterations = range(done, done + count)
        return np.array([schedule.rates(t + 1, 1, t)[0] for t in iterations])

    def _scale_rate(self, factor):
        """Multiply the automatic rate."""
        self._schedule = replace(self._schedule, eta0=self._schedule.eta0 * factor)

    def _is_exhausted(self):
        """Whether there is no lower rate."""
        return self._schedule.eta0 < self._least_rate

    def _begin(self, value, gradient):
        """Begin with the cost and the gradient at x0; False if no rate lowers the cost, and that
        ends the run.
        """
        task = self.task
        self.best = Best(task.x0, task.total(task.x0, value), gradient.copy())
        is_found = not self._is_rate_automatic or self._choose_rate(value, gradient)
        return is_found or not task.goal.ends

    def _choose_rate(self, value, gradient):
        """Choose an automatic schedule; False if no step lowers the cost."""
        if self._is_prodigy:
            self._schedule = CosineDecay(1.0, self.task.max_iter or 1)
            self._least_rate = 2.0**-MAX_HALVINGS
            return True
        first = FIRST_RATES.get(type(self._optimizer))
        if first is None:
            start = 1 / (float(np.abs(gradient).max()) or 1.0)
        else:
            start = first / BATCH_RATE_REDUCTION if self.first_batch else first
        found = self._largest_rate(value, gradient, start, first is not None)
        rate = found or start
        self._schedule = Lipschitz(rate) if self.first_batch else Constant(rate)
        self._least_rate = LEAST_RATE_RATIO * rate
        return found is not None

    def _largest_rate(self, value, gradient, rate, is_adaptive):
        """`rate`, halved until a first step lowers the cost; None if none does.

        For plain rules it is also doubled while the cost falls by at least half of the linear
        prediction: it is then about the inverse of the curvature along the gradient.
        """
        task, x, batch = self.task, self.task.x0.astype(np.float64), self.first_batch
        slopes = task.slopes(x, gradient).astype(np.float64)
        if not slopes.any():
            return rate
        direction = np.sign(slopes) if is_adaptive else slopes
        before = task.total(x, value)

        def lowers(rate):
            trial = task.moved(x, -rate * direction)
            self._trial_cost = after = task.total(trial, task.cost.value(trial, *batch))
            # The cost of the first batch is not that of a pass.
            if not batch:
                self.add_probe(Best(trial.astype(task.x0.dtype), after))
            promised = 0.0 if is_adaptive else 0.5 * float(slopes @ (x - trial))
            return after < before and (is_adaptive or after <= before - promised)

        powers = 2.0 ** np.arange(MAX_HALVINGS + 1)
        found = next(filter(lowers, (rate / powers).tolist()), None)
        if found == rate and not is_adaptive:
            doubled = list(takewhile(lowers, (rate * powers[1:]).tolist()))
            found = doubled[-1] if doubled else rate
        return found

    def _without_rate(self):
        """The status of a run without a rate that lowers the cost."""
        return self._ends(outcomes.UNDEFINED if isnan(self._trial_cost) else outcomes.NO_DESCENT)

    # ---- the run ----

    def go(self):
        task, cost = self.task, self.task.cost
        x = self._state.x
        value, gradient = self._known = self._evaluate_start(x)
        self._best_cost = value
        if not self._begin(value, gradient):
            norm = float(np.abs(task.slopes(x, gradient)).max())
            self.trace.add(self.best.value, norm, self._schedule.eta0, cost.nfev)
            self.trace.note_x(x)
            return self._without_rate()
        if self._is_rate_automatic:
            self._state.forbid_rise(self._is_plain)
        is_compiled = cost.compiled is not None and not task.noise
        return self._descend(self._iterate_compiled if is_compiled else self._iterate)

    def _descend(self, iterate):
        progress, noted = self._progress, 0
        for size in self._slices(self.task.max_iter + 1):
            end = noted + size
            while noted < end:
                if noted == progress.next_anchor:
                    progress.set_anchor(noted, self._state.x)
                status, x, gradient = iterate(noted, end - noted)
                noted = len(self.trace)
                # The most frequent case needs no reaction.
                if status is MOVED and x is None:
                    continue
                reaction = self._react_to(status, x, gradient)
                if reaction is not None:
                    return reaction
        return outcomes.MAX_ITER

    def _iterate(self, done, _):
        """One iteration after `done` ones: (the status of the kernel, x, the gradient); x is None
        if nobody needs it.
        """
        state, task = self._state, self.task
        self.nit = done
        value, gradient = self._known or task.cost(state.x)
        self._known = None
        is_needed = task.is_watched or self._progress.is_watching
        x = state.x.copy() if is_needed else None
        rate = float(self._rates(done, 1)[0])
        noisy = self._noisy(gradient) if task.noise else None
        status = state.tell(value, gradient, rate, task.goal.tol, task.patience, noisy)
        if status not in NOTED:
            if status == Status.UNDEFINED:
                self._take_best(value, gradient)
            return status, x, gradient
        self._take_best(value, gradient)
        self.trace.add(state.value, state.norm, rate, task.cost.nfev, x)
        if self._is_plain:
            self._scale_rate(RATE_GROWTH)
        return status, x, gradient

    def _iterate_compiled(self, done, most):
        """The same for `most` iterations, or until the kernel answers something else than MOVED."""
        state, task, progress = self._state, self.task, self._progress
        budget, evaluated = task.cost.budget, task.cost.nfev
        # Two: the gradient of the result is evaluated at the end.
        budget.check(evaluated, 2)
        size = 1 if progress.is_watching else min(most, progress.next_anchor - done)
        rates = self._rates(done, int(min(size, budget.max_fun - evaluated - 1)))
        limits = rates, task.goal.tol, task.patience
        keeps_path = task.is_watched or progress.is_watching
        count, status, path = self._run_compiled(state, len(rates), limits, keeps_path)
        if self._is_plain and count:
            self._schedule = replace(self._schedule, eta0=float(rates[count - 1]) * RATE_GROWTH)
        return status, path[count - 1] if progress.is_watching and count else None, state.gradient

    def _take_compiled_best(self, done):
        if done:
            self.best = Best(None, self._state.least)

    def _take_best(self, value, gradient):
        """Update the best point with the last iterate, its cost (without L1) and its gradient."""
        state, best = self._state, self.best
        if state.least <= best.value:
            best.x, best.value = None, state.least
            if state.value == state.least:
                is_stored = len(gradient) <= MAX_STORED_GRADIENT
                best.gradient, self._best_cost = gradient.copy() if is_stored else None, value

    def _noisy(self, gradient):
        """The gradient with noise."""
        deviation = self.task.noise / (1 + self.nit) ** NOISE_DECAY
        noise = deviation * self.task.random.standard_normal(len(gradient))
        return gradient + noise.astype(gradient.dtype)

    # ---- what follows from a status of the kernel ----

    def _react_to(self, status, x, gradient):
        """React to a status of the kernel; return the status that ends the run, or None."""
        if status == Status.MOVED:
            self._progress.pass_by(x, gradient)
            return None
        if status == Status.SMALL:
            return outcomes.CONVERGED if self._is_minimum(x, gradient) else None
        if status == Status.STALLED:
            goes_on = self._react() or not self.task.goal.ends
            return None if goes_on else self._ends(outcomes.STALLED)
        if status == Status.UNBOUNDED:
            return self._falls_without_end()
        if status == Status.ROSE:
            return self._step_back() if self._is_rate_automatic else outcomes.DIVERGED
        return outcomes.UNDEFINED

    def _is_minimum(self, x, gradient):
        """Whether an iterate with a small gradient is a minimum; x=None means the first such
        iterate, which is the best point.
        """
        is_minimum = self._progress.is_minimum(self.best_x() if x is None else x, gradient)
        self.trace.record["nfev"][-1] = self.task.cost.nfev
        return is_minimum

    def _react(self):
        """Lower the rate after a stalled cost; False if there is no lower rate."""
        self._state.reset_stall()
        if self._is_rate_automatic:
            if self._is_prodigy:
                return True
            self._state.go_back()
            # The rate of plain descent depends on rises alone.
            if not self._is_plain:
                self._scale_rate(0.5)
            return not self._is_exhausted()
        schedule = self._schedule.react()
        if schedule is None:
            return not isinstance(self._schedule, Adaptive)
        self._schedule = schedule
        return True

    def _step_back(self):
        """Return to the best point, at half the rate, after a cost that has risen."""
        was_undefined = isnan(self._state.value)
        self._state.go_back()
        self._scale_rate(0.5)
        if self.best.gradient is not None:
            self._known = self._best_cost, self.best.gradient
        if not self._is_exhausted() or not (was_undefined or self.task.goal.ends):
            return None
        return outcomes.UNDEFINED if was_undefined else self._ends(outcomes.NO_DESCENT)

    def _ends(self, status):
        """`status`, or outcomes.CONVERGED if rounding errors end the descent."""
        return self._ends_at_rounding(status, self._progress.decrement)
