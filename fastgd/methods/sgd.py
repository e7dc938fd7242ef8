"""First-order methods with a chosen learning rate: theta <- theta - rate * mean gradient of a
batch, or another update rule.
"""

import numpy as np

from fastgd.kernels import batch, stochastic
from fastgd.kernels.stochastic import PassiveAggressive
from fastgd.methods.method import Epoch, Method
from fastgd.methods.optimizers import SGD, Optimizer
from fastgd.methods.schedules import Schedule
from fastgd.problem import passes
from fastgd.problem.layout import pack, unpack
from fastgd.problem.problem import Problem
from fastgd.problem.records import Record, copied


class State(Record):
    """The state of a run: parameters, the rule's buffers, and the sum of `averaged` iterates.

    An epoch works on a copy, so that an interrupted one leaves the last state unchanged.
    """

    theta: np.ndarray
    first: np.ndarray | None
    second: np.ndarray | None
    average: np.ndarray | None = None
    by_column: bool = False
    averaged: int = 0
    t: int = 1
    epochs: int = 0
    # The first rate, where the method chooses it.
    rate: float | None = None


class FirstOrder(Method):
    """Batch, mini-batch and stochastic gradient descent, which differ in `batch_size`, the number
    of rows per update.

    `average_from` is the first update whose result enters the average of the iterates; None means
    no averaging. `seed` is that of the gradient noise. `shuffles` mixes the rows of chunks; those
    in memory come in the order that is given.
    """

    has_rate = True
    resumed = "state", "_reacted"

    def __init__(
        self,
        schedule: Schedule,
        optimizer: Optimizer,
        batch_size: int,
        average_from=None,
        seed=0,
        shuffles=True,
    ):
        self.schedule = schedule
        self.optimizer = optimizer
        self.batch_size = batch_size
        self.average_from = average_from
        self.seed = seed
        self.shuffles = shuffles

    @property
    def solver(self):
        """The name of the update rule."""
        return type(self.optimizer).__name__.lower()

    def start(self, problem: Problem, theta, earlier: State | None):
        """Begin at theta, with the buffers of the state `earlier`; with theta=None at its
        parameters too.
        """
        # The perceptron's loss has the size of the steps, whatever it was at the start.
        self.runs_away = not problem.objective.is_degenerate
        self._set_problem(problem)
        outputs, dtype = problem.objective.outputs, problem.rows.dtype

        def vector(name, is_needed, dtype=dtype):
            """That of the earlier state, in the layout of these rows; zeros without one."""
            old = getattr(earlier, name, None)
            if not is_needed:
                return None
            if old is None:
                return np.zeros(outputs * (problem.rows.shape[1] + 1), dtype)
            return pack(*unpack(old, outputs, earlier.by_column), dtype, problem.by_column)

        theta = vector("theta", True) if theta is None else theta
        first, second = map(vector, ("first", "second"), self.optimizer.buffers)
        average = vector("average", self.average_from is not None, np.float64)
        self.state = State(theta, first, second, average, problem.by_column)
        if earlier:
            self.state.t, self.state.epochs = earlier.t, earlier.epochs
            self.state.averaged = 0 if average is None else earlier.averaged
        entries = max(problem.rows.stored / max(problem.rows.shape[0], 1), 1)
        work = self._size * outputs * entries
        # Update the weights in place for single dense rows, and for sparse batches that touch few
        # columns.
        few = work < 4 * len(self.state.theta) if problem.by_column else self._size == 1
        self._in_place = isinstance(self.optimizer, SGD) and not problem.full_batch and few

    def _set_problem(self, problem):
        """Set the problem, and the rows per update and updates per epoch that follow from it."""
        self.problem = problem
        self._size = min(self.batch_size, len(problem.visits))
        self._updates = -(-len(problem.visits) // self._size)

    def resume(self, problem: Problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`, by the same steps."""
        super().resume(problem, resume_point)
        self.schedule = self._reacted or self.schedule

    def epoch(self, order):
        """Pass once over the rows in `order`; return an `Epoch`."""
        state = self.state = copied(self.state)
        rates = self.schedule.rates(state.t, self._updates, state.epochs)
        sums = self._visit(order, rates)
        state.epochs += 1
        loss = sums["loss"] / self.problem.total_weight + sums["penalty"] / len(order)
        return Epoch(loss, sums["gradient_norm"] / self._updates, float(rates[-1]))

    def loss_at(self, theta):
        """The objective at theta; at zero it needs no pass over X."""
        if not theta.any():
            return self.problem.objective.loss_at_zero(self.problem.targets)
        return super().loss_at(theta)

    def is_finite(self):
        """Whether all parameters are finite; for plain SGD the loop checks its gradient norm, which
        includes every step.
        """
        return isinstance(self.optimizer, SGD) or super().is_finite()

    def solution(self):
        """(coef, intercept): the last iterate or, once averaging has begun, the average of the
        iterates.
        """
        state, outputs = self.state, self.problem.objective.outputs
        theta = state.theta
        if state.averaged:
            theta = (state.average / state.averaged).astype(theta.dtype)
        return unpack(theta, outputs, self.problem.by_column)

    @property
    def _term(self):
        """The data term that is minimised."""
        return self.problem.data_term

    def _visit(self, order, rates):
        """An epoch over the rows in `order`, those of chunks pool by pool; returns its sums."""
        term, problem, total = self._term, self.problem, {}
        if problem.X is not None:
            return self._visit_rows(term.over(order), rates, 0)
        if problem.full_batch:
            return self._visit_all(term, rates)
        given, number = (self.state.epochs, self._size, problem.random_state, self.shuffles), 0
        for pool in term.pools(*given):
            sums = self._visit_rows(pool, rates[total.get("updates", 0) :], number)
            total = {name: total.get(name, 0) + value for name, value in sums.items()}
            number += 1
            del pool  # before the next one is read
        return total

    def _visit_rows(self, term, rates, number):
        """Visit rows in memory, those of the epoch's pool `number`; returns their sums."""
        state, size, skip = self.state, self._size, self._skip()
        theta, average = state.theta, state.average
        if self._in_place:
            variant = self.schedule.passive_aggressive
            course = {"batch_size": size, "skip": skip, "passive_aggressive": variant}
            sums = stochastic.epoch(term, theta, average, rates, course)
        else:
            rule, buffers = self._rule()
            sums = batch.epoch(term, theta, buffers, average, rates, rule, size, state.t, skip)
        return self._count(sums, skip)

    def _visit_all(self, term, rates):
        """An update by the gradient of all rows in chunks; returns the sums of an epoch."""
        state, (rule, buffers), skip = self.state, self._rule(), self._skip()
        gradient = np.empty_like(state.theta)
        loss = passes.gradient(term, state.theta, gradient)
        known = state.theta, gradient, buffers, state.average, float(rates[0]), rule, state.t, skip
        sums = batch.step(term.of_rows, *known)
        return self._count(sums | {"loss": loss}, skip)

    def _rule(self):
        """(codes of the update rule, its buffers)"""
        return self.optimizer.codes | {"seed": self.seed}, (self.state.first, self.state.second)

    def _skip(self):
        """The updates before averaging begins."""
        return 0 if self.average_from is None else max(0, self.average_from - self.state.t)

    def _count(self, sums, skip):
        """Count the updates of an epoch; return its sums."""
        self.state.t += sums["updates"]
        if self.state.average is not None:
            self.state.averaged += max(0, sums["updates"] - skip)
        return sums


def check_compatible(schedule, optimizer, batch_size, loss):
    """Raise an error if a passive-aggressive step is not defined for these settings."""
    if schedule.passive_aggressive == PassiveAggressive.OFF:
        return
    name = schedule.passive_aggressive.name.lower()
    losses, is_plain = "loss='hinge' or 'epsilon_insensitive'", isinstance(optimizer, SGD)
    demands = (
        (loss.has_passive_aggressive_step, f"works with {losses} only, got loss={loss.name!r}"),
        (batch_size == 1, f"takes one row at a time: batch_size must be 1, got {batch_size!r}"),
        (is_plain, f"is a step of its own: optimizer must be 'sgd', got {optimizer!r}"),
    )
    for is_met, demand in demands:
        if not is_met:
            raise ValueError(f"learning_rate={name!r} {demand}")
