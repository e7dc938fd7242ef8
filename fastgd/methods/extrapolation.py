"""Exact line searches along the displacement of the iterates, for steps that crawl along ravines.

Margins are linear in the parameters, so a search costs no pass over X. The second direction, the
last displacement, plays the part of the last direction in conjugate gradients.
Source: Narkiss and Zibulevsky, "Sequential subspace optimization method for large-scale
unconstrained problems", Technion, 2005.
"""

from copy import copy

import numpy as np

from fastgd.problem.duality import rounding_of
from fastgd.problem.records import Record

# Epochs between two searches, at least: a search costs a pass, so a fifth of all passes.
MIN_INTERVAL = 4
# Epochs between two searches, at most.
MAX_INTERVAL = 64
# The interval doubles after a search that gains less than this share of the gain of the epochs
# since the last search: with 4 epochs, one pass then gains less than an average epoch.
WORTHWHILE_GAIN = 0.25
# The longest step, in units of the displacement since the last search.
MAX_EXTRAPOLATION_STEP = 16.0


class Extrapolation(Record):
    """The start of the last search, and the displacement before it, with margins of shape (rows,
    outputs).

    All margins are exact. Those at the end of a search contain its rounding error, which the next
    search would multiply. `loss` is that of the end; `interval` is the number of epochs until the
    next search.
    """

    v: np.ndarray
    margins: np.ndarray
    loss: float
    displacement: tuple | None = None
    interval: int = MIN_INTERVAL

    def search(self, line):
        """Search from a `Line` at the current model, whose margins and loss are exact; return (the
        next `Extrapolation`, the line at its end).
        """
        start, loss, end = (line.v, line.margins), line.loss, copy(line)
        displacement = line.v - self.v, line.margins - self.margins
        directions = [displacement]
        if self.displacement:
            directions += [self.displacement, displacement]
        for direction in directions:
            end.move(*direction, MAX_EXTRAPOLATION_STEP)
        gained = loss - end.loss
        # Otherwise the displacement since the last search is noise.
        is_real = gained > rounding_of(loss, loss)
        if is_real and gained >= WORTHWHILE_GAIN * (self.loss - loss):
            interval = max(self.interval // 2, MIN_INTERVAL)
        else:
            interval = min(2 * self.interval, MAX_INTERVAL)
        if not is_real:
            displacement, end = None, line
        return Extrapolation(*start, end.loss, displacement, interval), end
