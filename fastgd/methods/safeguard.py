"""The safeguard of SAGA against steps that are too long."""

import numpy as np

from fastgd.problem.records import Record


class Safeguard(Record):
    """The last good model, to which SAGA returns if its steps were too long.

    After an epoch only the loss at stale margins is known (`watch`). If it has risen by more than
    the share `relative_rise` of the gain so far, the model is suspect. Then exact losses decide
    (`judge`): that of the suspect model and, unless it is known, that of the last good one. If the
    suspect model is worse, SAGA continues from the good one with steps of half the length.

    `initial_loss` is that of the best constant model, or of a worse start; `best` is the lowest
    loss so far; `good_loss` is the exact loss of `good`, infinite if unknown; `suspect` is the
    (exact loss, weights) of the suspect model, once known.
    """

    good: np.ndarray
    initial_loss: float
    relative_rise: float
    best: float = np.inf
    good_loss: float = np.inf
    is_suspect: bool = False
    suspect: tuple | None = None
    step_divisor: float = 1.0
    backtracked: bool = False

    @property
    def gained(self):
        """How much lower the loss has become."""
        return max(self.initial_loss - self.best, 0.0)

    def accept(self, loss, v):
        """Take weights of this exact loss as good ones."""
        self.best, self.good, self.good_loss = loss, v.copy(), loss

    def watch(self, loss, v):
        """Compare weights by their loss at stale margins; a loss that is not finite is a
        divergence, after which the good model is the one to continue from.
        """
        if not np.isfinite(loss):
            self.is_suspect, self.suspect, self.backtracked = True, (np.inf, self.good), True
        elif loss <= self.best:
            self.best, self.good, self.good_loss = loss, v.copy(), np.inf
        else:
            self.is_suspect = loss > self.best + self._allowed_rise()

    def judge(self, loss, v):
        """Compare weights of this exact loss; return those to continue from."""
        if self.suspect is not None:
            self.good_loss = loss
            return self._better()
        self.suspect = loss, v.copy()
        # If the loss of the good model is unknown, the next epoch computes it.
        return self._better() if np.isfinite(self.good_loss) else self.good

    def _better(self):
        """The suspect weights, now the good ones, unless the good ones are better."""
        (loss, v), self.suspect, self.is_suspect = self.suspect, None, False
        self.best = self.good_loss
        if loss <= self.good_loss + self._allowed_rise():
            self.best, self.good, self.good_loss = min(loss, self.good_loss), v, loss
        else:
            self.step_divisor, self.backtracked = 2 * self.step_divisor, True
        return self.good

    def _allowed_rise(self):
        """The rise of the loss that is not yet suspect."""
        if not np.isfinite(self.best) or np.isinf(self.relative_rise):
            return np.inf
        return self.relative_rise * self.gained + 1e-12 * abs(self.best)
