"""The order in which an epoch visits the rows."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

from fastgd.kernels.order import shuffle, shuffle_blocks
from fastgd.kernels.rows import squared_norms


def seed_of(random_state):
    """A whole number below 2^32 from what scikit-learn takes for `random_state`; an int is its own,
    without a generator's start.
    """
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


class Order:
    """The order of an epoch's visits.

    shuffle="full": a new random permutation each epoch; False: as given; True: a permutation where
    X fits the cache, else one that mixes `POOL` random blocks of neighbouring rows at a time,
    because rows drawn from all over the memory keep the processor waiting. Where neighbours pull
    the weights the same way (sorted or grouped data), a permutation after all: blocks would be
    noisy. An epoch's order depends on its number and the seed alone; `epochs` of them are over.
    """

    CACHE = 16 * 2**20  # bytes
    POOL = 256  # blocks
    SAMPLE = 128  # blocks looked at
    ALIKE = 1.5  # times the variance that blocks of independent rows would have

    def __init__(self, problem, X, shuffle, random_state, epochs=0):
        self._rows, n = problem.visits, len(problem.visits)
        self._seed = (seed_of(random_state) << 32) + epochs if shuffle else None
        width = problem.rows.bytes / max(problem.rows.shape[0], 1)
        self._block = 8 if width >= 1024 else 32
        small = n * width <= self.CACHE or n < 2 * self._block * self.POOL
        if not shuffle:
            self._visits = self._rows
        elif shuffle == "full" or small or self._inflation(problem, X) > self.ALIKE:
            self._visits, self._count = self._rows.copy(), None
        else:
            self._visits, self._count = np.empty_like(self._rows), -(-n // self._block)

    @np.errstate(over="ignore", invalid="ignore")
    def _inflation(self, problem, X):
        """How much more the mean of a block's gradients varies than that of as many independent
        rows: 1 + (block - 1) correlation.

        The gradients are g_i = (y_i - mean y) [x_i, 1], those of least squares at its constant
        model.
        """
        y = problem.targets[:, 0] - problem.targets[:, 0].mean()
        squares, between, mean = 0.0, 0.0, 0.0
        for start in (
            np.linspace(0, len(y) // self._block - 1, self.SAMPLE).astype(int) * self._block
        ):
            rows, r = self._rows[start : start + self._block], y[start : start + self._block]
            g = np.append(X[rows].T @ r, r.sum()) / self._block
            lengths = squared_norms(problem.rows, rows, np.empty(1, problem.rows.dtype)) + 1
            squares = squares + (r * r * lengths).mean()
            between = between + g @ g
            mean = mean + g / self.SAMPLE
        noise = squares / self.SAMPLE - mean @ mean
        return self._block * (between / self.SAMPLE - mean @ mean) / noise if noise > 0 else 1.0

    def next(self):
        """The row numbers in the order of the next epoch; the array is reused."""
        if self._seed is not None:
            self._seed += 1
            if self._count is None:
                self._visits[:] = self._rows
                shuffle(self._visits, self._seed)
            else:
                shuffle_blocks(
                    self._rows,
                    self._visits,
                    np.arange(self._count),
                    self._block,
                    self.POOL,
                    self._seed,
                )
        return self._visits
