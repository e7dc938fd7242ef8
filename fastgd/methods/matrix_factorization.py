"""Stochastic gradient descent for matrix factorization: an epoch is a sweep over the ratings."""

from collections.abc import Callable
from math import sqrt

import numpy as np

from fastgd.kernels import factorization
from fastgd.kernels.order import shuffle
from fastgd.methods.method import Epoch, Method
from fastgd.problem.records import Record

# Epochs have seeds that follow each other; those of the grids of an epoch are so many bits apart.
GRID_SEED_BITS = 24
# Bytes of a vector register (AVX2). Rows of factors are padded to whole vectors.
VECTOR_BYTES = 32


def width_of(factors, dtype):
    """Entries of a row: factors, bias, one, and zeros up to a whole vector."""
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    return -(-(factors + 2) // lanes) * lanes


class State(Record):
    """The state of a run: the rows of users, then of items, in one vector, and the number of epochs
    that each row has seen.
    """

    theta: np.ndarray
    ages: np.ndarray
    t: int = 1
    penalty: float = 0.0  # at theta


class Grids(Record):
    """So many ratings (`size`) on grids: ``make(number)`` yields those of the pass `number`, one
    after the other.
    """

    make: Callable
    size: int


class Factors(Record):
    """The problem: ratings on grids, the kernel's `FactorizationOptions`, threads.

    `visits` are the expected updates in an epoch of the row of each user, then of each item; the
    first `users` are those of users. `constant` says that all ratings are equal: the model is their
    mean.
    """

    grids: Grids
    visits: np.ndarray
    users: int
    options: dict
    width: int
    threads: int
    constant: bool = False
    random_state: int = 0


class Seeds:
    """The seeds that determine the order of the ratings in each epoch, after `epochs` epochs."""

    def __init__(self, seed, epochs=0):
        self._seed = (seed << 32) + epochs

    def next(self):
        """The seed of the next epoch."""
        self._seed += 1
        return self._seed


class Factorization(Method):
    """Sweeps over the ratings; a rating updates the rows of its user and its item.

    Without a schedule, a row that has seen `a` epochs has the rate ``RATE / (1 + a / AGE)``, and
    steps are implicit, so that none overshoots.
    """

    # The first rate without a schedule.
    RATE = 0.1
    # Epochs after which that rate has halved.
    AGE = 5.0

    def __init__(self, schedule=None):
        self.schedule, self.has_rate = schedule, schedule is not None

    def start(self, problem: Factors, theta, earlier):
        """Begin at theta; `earlier` is (epochs that its rows have seen, number of the next one)."""
        (ages, t), self.problem = earlier, problem
        self.state = State(theta, ages, t, self._penalty(theta))

    def resume_point(self):
        """What `resume` needs."""
        return self.state, self.schedule

    def resume(self, problem: Factors, resume_point):
        """Continue an earlier run on the same grid from `resume_point`, by the same steps."""
        state, self.schedule = resume_point
        self.start(problem, state.theta, (state.ages, state.t))

    def epoch(self, order):
        """Sweep over all ratings, in the order of the seed `order`; return an `Epoch`."""
        before, ratings, rates = self.state, self.problem.grids.size, self._rates()
        if self.problem.constant:
            self.state = State(before.theta, before.ages, before.t + 1, 0.0)
            return Epoch(0.0, 0.0, float(rates.max()))
        theta = before.theta.copy()
        loss = self._sweep(theta, rates, order, self.problem.grids, before.t - 1) / ratings
        self.state = State(theta, before.ages + 1, before.t + 1, self._penalty(theta))
        squares = self._squares(before.theta - theta) / rates.astype(np.float64) ** 2
        loss += (before.penalty + self.state.penalty) / 2
        return Epoch(loss, sqrt(squares.sum()) / ratings, float(rates.max()))

    def loss_at(self, theta):
        """The objective at theta; negative items are drawn with one seed."""
        if self.problem.constant:
            return 0.0
        return self._data_loss(theta, self.problem.grids) + self._penalty(theta)

    def data_loss(self, grids):
        """The mean loss of the ratings on other grids of the same users and items, the penalty left
        out.
        """
        return 0.0 if self.problem.constant else self._data_loss(self.state.theta, grids)

    def _data_loss(self, theta, grids):
        """The mean loss at theta: a sweep at rates of zero."""
        rates = np.zeros(len(self.problem.visits), theta.dtype)
        return self._sweep(theta.copy(), rates, 0, grids) / grids.size

    def optimality(self):
        """(distance to the minimum, its kind): 0 for equal ratings, else None."""
        return (0.0, "equal ratings") if self.problem.constant else None

    def is_finite(self):
        """True: the loop checks the gradient norm, which includes all rows."""
        return True

    def solution(self):
        """The rows (users, items)."""
        users, items = self._sides(self._rows(self.state.theta))
        return users.copy(), items.copy()

    def _rates(self):
        """A rate for each row."""
        state = self.state
        if self.schedule is None:
            return (self.RATE / (1 + state.ages / self.AGE)).astype(state.theta.dtype)
        rate = self.schedule.rates(state.t, 1, state.t - 1)[0]
        return np.full(len(state.ages), rate, state.theta.dtype)

    def _rows(self, theta):
        return theta.reshape(-1, self.problem.width)

    def _sides(self, rows):
        """(those of the users, those of the items)"""
        return rows[: self.problem.users], rows[self.problem.users :]

    def _squares(self, theta):
        """The squared norm of each row."""
        rows = self._rows(theta)
        return np.einsum("ij,ij->i", rows, rows).astype(np.float64)

    def _penalty(self, theta):
        """The penalty per rating, given the updates of an epoch."""
        options = self.problem.options
        lengths = self._squares(theta) - options["biased"]
        return options["alpha"] / 2 * float(self.problem.visits @ lengths) / self.problem.grids.size

    def _sweep(self, theta, rates, seed, grids, number=0):
        """The sum of the losses of a sweep in the order of pass `number`, which updates theta in
        place.
        """
        loss, count, problem = 0.0, 0, self.problem
        for grid in grids.make(number):
            own = (seed + (count << GRID_SEED_BITS)) % 2**64
            pairs = np.arange(2 * grid.blocks)
            shuffle(pairs, own)
            sides = *self._sides(self._rows(theta)), *self._sides(rates), pairs.astype(np.int32)
            loss += factorization.epoch(grid, *sides, problem.options, own, problem.threads)
            count += 1
            del grid  # before the next one is read
        return loss
