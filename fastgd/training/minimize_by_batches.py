"""Runs of the update rules on batches of a stochastic cost function."""

from math import inf
from numbers import Integral

import numpy as np

from fastgd.kernels.cost import Status
from fastgd.training import outcomes
from fastgd.training.minimization import Best
from fastgd.training.minimize_by_rule import RuleRun


def are_sizes(batches):
    """Whether batches are given as (n, batch_size)."""
    is_pair = isinstance(batches, tuple) and len(batches) == 2
    return is_pair and all(isinstance(number, Integral) for number in batches)


class BatchRun(RuleRun):
    """Descent by an update rule on fun(x, batch), with one update per batch; an iteration is a pass
    over the batches.

    Cost and gradient of an iteration, which decide when to stop, are means over its batches.
    """

    def __init__(self, task):
        super().__init__(task)
        self._updates, self._last_rate = 0, 0.0
        # Batches of the last pass.
        self._count = 1
        # The best pass, and the passes since then.
        self._lowest, self._since = self.best, 0

    def go(self):
        task, costs, progress = self.task, self.trace.record["fun"], self._progress
        self.trace.note_x(task.x0)
        while self.nit < task.max_iter:
            begin = self._state.x.copy()
            status, value, gradient = self._pass()
            if status is not None:
                return status
            self.nit += 1
            x = self._state.x
            norm = float(np.abs(task.slopes(x, gradient)).max())
            self.trace.add(value, norm, self._last_rate, task.cost.nfev)
            self._take_pass(Best(x.copy(), value, gradient.astype(x.dtype)))
            self.trace.tell(x, value)
            if self.nit - 1 == progress.next_anchor:
                progress.set_anchor(self.nit - 1, begin)
            is_small = task.goal.is_small(norm, value, costs[-2] if self.nit > 1 else inf)
            if not is_small or value > costs[0]:
                progress.pass_by(begin, gradient)
            elif progress.is_minimum(begin, gradient, verifies=False):
                return outcomes.CONVERGED
            if task.patience and self._since >= task.patience:
                self._since = 0
                if not self._react() and task.goal.ends:
                    return outcomes.STALLED
        return outcomes.MAX_ITER

    def _take_pass(self, latest):
        """The best point is that of the latest pass, unless the cost has risen above the first."""
        self._since += 1
        if self.nit == 1 or latest.value < self._lowest.value:
            self._lowest, self._since = latest, 0
        has_risen = latest.value > self.trace.record["fun"][0]
        self.best = self._lowest if has_risen else latest

    def _react(self):
        """Lower the user's rate after a stalled cost; an automatic rate falls anyway."""
        return self._is_rate_automatic or super()._react()

    def _pass(self):
        """One pass: (the status that ends the run or None, mean cost, mean gradient)."""
        task, state = self.task, self._state
        total, gradients, count = 0.0, np.zeros(len(task.x0)), 0
        for batch in self._each_batch():
            x = state.x
            evaluate = task.cost if self._updates else self._evaluate_start
            value, gradient = evaluate(x, batch)
            if not self._updates and not self._begin_at(batch, value, gradient):
                return self._without_rate(), total, gradients
            count, self._last_rate = count + 1, self._rate(count)
            noisy = self._noisy(gradient) if task.noise else None
            status = state.tell(value, gradient, self._last_rate, 0.0, 0, noisy)
            if status == Status.UNBOUNDED:
                return self._falls_without_end(), total, gradients
            if status in (Status.UNDEFINED, Status.ROSE):
                self.best = self._lowest
                status = outcomes.UNDEFINED if status == Status.UNDEFINED else outcomes.DIVERGED
                return status, total, gradients
            self.trace.note_x(state.x)
            total, gradients = total + state.value, gradients + gradient
            self._updates += 1
        if count == 0:
            if not self.nit:
                raise ValueError("batches is empty")
            raise ValueError(
                "batches has nothing for a second pass: pass a list, or an object whose __iter__ "
                "starts anew"
            )
        self._count = count
        return None, total / count, gradients / count

    def _each_batch(self):
        """The batches of one pass."""
        if not are_sizes(self.task.batches):
            return iter(self.task.batches)
        n, size = self.task.batches
        order = self.task.random.permutation(n)
        return (order[begin : begin + size] for begin in range(0, n, size))

    def _begin_at(self, batch, value, gradient):
        """`_begin` at the first batch."""
        self.first_batch = (batch,)
        goes_on = self._begin(value, gradient)
        self._lowest = self.best
        return goes_on

    def _rate(self, number):
        """The rate of an update, by its number in this pass."""
        count = max(self._count, number + 1)
        return float(self._schedule.rates(self._updates + 1, count, self.nit)[number])
