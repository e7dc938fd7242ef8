"""The order of the rows in an epoch."""

import numpy as np

from fastgd.kernels.order import shuffle, shuffle_blocks
from fastgd.kernels.rows import squared_norms
from fastgd.problem.seed import seed_of


class Order:
    """The order of the rows in an epoch.

    shuffle="full" means a new random permutation each epoch, False the given order. True means a
    permutation if X fits the cache; else `POOL_BLOCKS` random blocks of neighbouring rows are mixed
    at a time, since random access to the memory is slow. If neighbours have similar gradients
    (sorted or grouped data), blocks would be noisy, so True means a permutation there. An epoch's
    order depends only on its number and the seed; `epochs` are over.
    """

    # Bytes of rows that count as cached: the size of a processor's last-level cache.
    CACHE_BYTES = 16 * 2**20
    # Blocks that are mixed at a time.
    POOL_BLOCKS = 256
    # Blocks from which the correlation of neighbours is estimated.
    SAMPLED_BLOCKS = 128
    # Use a permutation if the mean gradient of a block has more than this multiple of the variance
    # that it would have for independent rows.
    MAX_VARIANCE_RATIO = 1.5

    def __init__(self, problem, X, shuffle, random_state, epochs=0):
        self._rows, n = problem.visits, len(problem.visits)
        self._seed = (seed_of(random_state) << 32) + epochs if shuffle else None
        width = problem.rows.bytes / max(problem.rows.shape[0], 1)
        self._block = 8 if width >= 1024 else 32
        small = n * width <= self.CACHE_BYTES or n < 2 * self._block * self.POOL_BLOCKS
        if not shuffle:
            self._visits = self._rows
        elif shuffle == "full" or small or self._inflation(problem, X) > self.MAX_VARIANCE_RATIO:
            self._visits, self._count = self._rows.copy(), None
        else:
            self._visits, self._count = np.empty_like(self._rows), -(-n // self._block)

    @np.errstate(over="ignore", invalid="ignore")
    def _inflation(self, problem, X):
        """The variance of the mean gradient of a block, relative to that of independent rows:
        1 + (block - 1) correlation.

        The gradients g_i = (y_i - mean y) [x_i, 1] are those of least squares at the constant
        model.
        """
        y = problem.targets[:, 0] - problem.targets[:, 0].mean()
        squares, between, mean = 0.0, 0.0, 0.0
        blocks = np.linspace(0, len(y) // self._block - 1, self.SAMPLED_BLOCKS).astype(int)
        for start in blocks * self._block:
            rows, r = self._rows[start : start + self._block], y[start : start + self._block]
            g = np.append(X[rows].T @ r, r.sum()) / self._block
            lengths = squared_norms(problem.rows, rows) + 1
            squares = squares + (r * r * lengths).mean()
            between = between + g @ g
            mean = mean + g / self.SAMPLED_BLOCKS
        noise = squares / self.SAMPLED_BLOCKS - mean @ mean
        variance = between / self.SAMPLED_BLOCKS - mean @ mean
        return self._block * variance / noise if noise > 0 else 1.0

    def next(self):
        """The row numbers in the order of the next epoch; the array is reused."""
        if self._seed is None:
            return self._visits
        self._seed += 1
        if self._count is None:
            self._visits[:] = self._rows
            shuffle(self._visits, self._seed)
        else:
            blocks, sizes = np.arange(self._count), (self._block, self.POOL_BLOCKS)
            shuffle_blocks(self._rows, self._visits, blocks, *sizes, self._seed)
        return self._visits
