"""Runs of L-BFGS on a cost function."""

import numpy as np

from fastgd.kernels.cost import Status
from fastgd.methods.lbfgs import LineSearches
from fastgd.training import outcomes
from fastgd.training.minimization import Best
from fastgd.training.minimize_run import Run
from fastgd.training.minimum import is_rounded, rounding_error

# Pairs of vectors that L-BFGS stores, at least and at most: more pairs save evaluations.
MEMORY = 10, 60
# Numbers that the pairs beyond the least may hold.
MEMORY_NUMBERS = 200_000
# Iterations without a lower cost but for rounding, after which `is_rounded` is asked: its at most
# five evaluations are few beside theirs.
ITERATIONS_BEFORE_CHECK = 100


class LineSearchRun(Run):
    """L-BFGS with line searches."""

    def __init__(self, task):
        super().__init__(task)
        # The statuses of an iteration after which the run goes on.
        self._going = (Status.MOVED,) if task.goal.ends else (Status.MOVED, Status.STUCK)
        # The least cost but for rounding, and the iteration after which `is_rounded` is asked next.
        self._low, self._next_check = np.inf, 0

    def go(self):
        task, cost = self.task, self.task.cost
        value, gradient = self._evaluate_start(task.x0)
        # In float32 a trial has to be what the cost is given.
        single = task.x0.dtype == np.float32 and cost.compiled is None
        pairs, (lower, upper) = np.clip(MEMORY_NUMBERS // len(task.x0), *MEMORY), task.bounds
        lines = self._lines = LineSearches(
            task.x0, pairs, task.precision, lower=lower, upper=upper, l1=task.l1, single=single
        )
        lines.set_goal(task.goal.tol, task.goal.ftol, task.goal.absolute)
        lines.tell(value, np.asarray(gradient, np.float64))
        try:
            status = self._descend()
        finally:
            self.best = Best(*lines.best)
        return outcomes.MAX_ITER if status in self._going else self._ended(status)

    def _descend(self):
        """Search along lines; return the last status of the kernel."""
        lines, cost = self._lines, self.task.cost
        self.trace.add(lines.value, lines.norm, 0.0, cost.nfev, lines.x)
        iterate = self._iterate if cost.compiled is None else self._iterate_compiled
        for size in self._slices(self.task.max_iter):
            status = iterate(size)
            if status not in self._going:
                return status
            if self.task.goal.ends and self._goes_on_at_rounding():
                self.message = outcomes.ROUNDING_MESSAGE
                return Status.CONVERGED
        return Status.CONVERGED if lines.propose() == Status.CONVERGED else Status.MOVED

    def _goes_on_at_rounding(self):
        """Whether lines still find steps, but only among rounding errors.

        The cost has not fallen for long, and a step along the gradient gains no more than rounding,
        or the gradient itself is rounding.
        """
        _, value, _ = self._lines.best
        if value < self._low - rounding_error(self.task, value):
            self._low, self._next_check = value, self.nit + ITERATIONS_BEFORE_CHECK
        if self.nit < self._next_check:
            return False
        self._next_check = self.nit + ITERATIONS_BEFORE_CHECK
        self.best = Best(*self._lines.best)
        return is_rounded(self, 0.0)  # the last lines gained nothing, whatever their model told

    def _iterate(self, _):
        """One iteration; returns the status of the kernel."""
        lines = self._lines
        status = lines.iterate(self.task.cost)
        if status in self._going:
            self.nit += 1
            self.trace.add(lines.value, lines.norm, lines.step, self.task.cost.nfev, lines.x)
        return status

    def _iterate_compiled(self, size):
        """The same for a number of iterations."""
        cost = self.task.cost
        cost.budget.check(cost.nfev, 1)
        most = int(min(cost.budget.max_fun - cost.nfev, np.iinfo(np.intp).max))
        _, status, _ = self._run_compiled(self._lines, size, [most], self.task.is_watched)
        if status == Status.SEARCHING:
            cost.budget.check(cost.nfev, 1)
        return status

    def _ended(self, status):
        """The status of a run after a line search without descent, or at a minimum."""
        if status == Status.CONVERGED:
            self.trace.record["nfev"][-1] = self.task.cost.nfev
            return outcomes.CONVERGED
        if status == Status.UNBOUNDED:
            return self._falls_without_end()
        status = outcomes.UNDEFINED if status == Status.UNDEFINED else outcomes.NO_DESCENT
        return self._ends_at_rounding(status, self._lines.decrement)
