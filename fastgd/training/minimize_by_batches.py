"""Runs of the update rules on batches of a stochastic cost function."""

import numpy as np

from fastgd.kernels.rule_descent import Status
from fastgd.training.minimization import CONVERGED, DIVERGED, MAX_ITER, STALLED, UNDEFINED, Best
from fastgd.training.minimize_by_rule import RuleRun


class BatchRun(RuleRun):
    """Descent by an update rule on fun(x, batch), with one update per batch; an iteration is a pass
    over the batches.

    Cost and gradient of an iteration, which decide when to stop, are means over its batches.
    """

    def __init__(self, task, method, learning_rate, batches):
        super().__init__(task, method, learning_rate)
        self._batches, self._count = batches, 1
        self._updates = 0

    def _pass(self):
        """The batches of one pass."""
        if isinstance(self._batches, tuple):
            n, size = self._batches
            order = self.task.random.permutation(n)
            yield from (order[begin : begin + size] for begin in range(0, n, size))
        else:
            yield from self._batches

    def go(self):
        task = self.task
        self.trace.note_x(task.x0)
        while self.nit < task.max_iter:
            begin = self._state.x.copy()
            value, gradient, status = self._epoch()
            if status is not None:
                return status
            self.nit += 1
            x = self._state.x
            norm = float(np.abs(task.slopes(x, gradient)).max())
            self.trace.add(value, norm, self._last_rate, task.cost.nfev)
            latest = Best(x.copy(), value, gradient.astype(x.dtype))
            has_risen = value > self.trace.record["fun"][0]
            if self.nit == 1 or value < self._lowest.value:
                self._lowest, self._since = latest, 0
            else:
                self._since += 1
            self.best = self._lowest if has_risen else latest
            self.trace.tell(x, value)
            costs, progress = self.trace.record["fun"], self._progress
            if len(costs) - 1 == progress.next_anchor:
                progress.set_anchor(len(costs) - 1, begin)
            if (
                task.is_small(norm, value, costs[-2] if len(costs) > 1 else np.inf)
                and not has_risen
            ):
                if progress.is_minimum(begin, gradient, costs, verifies=False):
                    return CONVERGED
            else:
                progress.pass_by(begin, gradient)
            if task.patience and self._since >= task.patience:
                self._since = 0
                if not self._react() and task.ends:
                    return STALLED
        return MAX_ITER

    _lowest, _since, _last_rate = Best(np.empty(0)), 0, 0.0

    def _react(self):
        """Lower the user's rate after a stalled cost; an automatic rate falls anyway."""
        return self._is_rate_automatic or super()._react()

    def _epoch(self):
        """One pass: (mean cost, mean gradient, the status that ends the run or None)."""
        task, state = self.task, self._state
        total, gradients, count = 0.0, np.zeros(len(task.x0)), 0
        for batch in self._pass():
            x = state.x
            value, gradient = task.cost(x, batch)
            if self._updates == 0:
                self._check_start(value, gradient)
                self.best = self._lowest = Best(task.x0, task.total(x, value), gradient.copy())
                self.first_batch = (batch,)
                if (
                    self._is_rate_automatic
                    and not self._choose_rate(value, gradient, self.first_batch)
                    and task.ends
                ):
                    return 0.0, gradients, self._why_no_rate()
            rates = self._scale * self._schedule.rates(
                self._updates + 1, max(self._count, count + 1), self.nit
            )
            self._last_rate = float(rates[count])
            status = state.tell(value, gradient, self._last_rate, 0.0, 0, self._noisy(gradient))
            if status == Status.UNBOUNDED:
                return 0.0, gradients, self._falls_without_end()
            if status in (Status.UNDEFINED, Status.ROSE):
                self.best = self._lowest
                return 0.0, gradients, UNDEFINED if status == Status.UNDEFINED else DIVERGED
            self.trace.note_x(state.x)
            total, gradients, count = total + state.value, gradients + gradient, count + 1
            self._updates += 1
        if count == 0:
            raise ValueError(
                "batches is empty"
                if self.nit == 0
                else "batches has nothing for a second pass: pass a list, or an "
                "object whose __iter__ starts anew"
            )
        self._count = count
        return total / count, gradients / count, None
