"""Exact line searches along the displacement of the iterates, for steps that crawl along ravines.

Margins are linear in the parameters, so a search costs no pass over X. The second direction, the
last displacement, plays the part of the last direction in conjugate gradients.
Source: Narkiss and Zibulevsky, "Sequential subspace optimization method for large-scale
unconstrained problems", Technion, 2005.
"""

import numpy as np

from fastgd.kernels import newton
from fastgd.methods.line_search import minimize_convex
from fastgd.problem.duality import rounding_of
from fastgd.problem.layout import pack, unpack
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

    def search(self, problem, term, l2, v, margins, loss):
        """Search from v, the current model; return (the next `Extrapolation`, the `Line` at its
        end).

        `margins` and `loss` are exact. `term` is the data term with the weights of the method, `l2`
        the penalty of each column, in the units of v.
        """
        displacement = v - self.v, margins - self.margins
        line = Line(problem, term, l2, v, margins, loss)
        for direction in (
            (displacement, self.displacement, displacement)
            if self.displacement
            else (displacement,)
        ):
            line.move(*direction)
        gained = loss - line.loss
        # Otherwise the displacement since the last search is noise.
        is_real = gained > rounding_of(loss, loss)
        pays = is_real and gained >= WORTHWHILE_GAIN * (self.loss - loss)
        interval = (
            max(self.interval // 2, MIN_INTERVAL) if pays else min(2 * self.interval, MAX_INTERVAL)
        )
        if not is_real:
            line = Line(problem, term, l2, v, margins, loss)
        return Extrapolation(
            v, margins, line.loss, displacement if is_real else None, interval
        ), line


class Line:
    """A model, its margins and its objective, which move along lines."""

    def __init__(self, problem, term, l2, v, margins, loss):
        self._problem, self._term, self._l2 = problem, term, l2
        self.v, self.margins, self.loss = v, margins, loss
        self._joint = problem.objective.loss.is_joint

    def move(self, step, change):
        """Move along a step of the parameters, and the change of margins that it makes, to where F
        is least.

        Each output has its own step length; the outputs of softmax share one.
        """
        problem, K = self._problem, self._problem.objective.outputs
        count = 1 if self._joint else K
        (W, _), (D, _) = (unpack(flat, K, problem.by_column) for flat in (self.v, step))
        shape = (count, -1)
        step_square, cross, square = (
            self._penalty(a * b).reshape(shape).sum(axis=1) for a, b in ((D, D), (W, D), (W, W))
        )
        n, sums = len(self.margins), np.empty((2, K))
        z, u = self.margins.ravel(), np.ascontiguousarray(change).ravel()

        def function(t):
            steps = np.broadcast_to(t, K).astype(float)
            newton.along(self._term, z, u, steps, sums)
            value = sums[0, :count] / n + square / 2 + t * cross + t * t * step_square / 2
            return value, sums[1, :count] / n + cross + t * step_square

        t, gains = minimize_convex(function, count, highest=MAX_EXTRAPOLATION_STEP)
        lengths = np.broadcast_to(t, K)
        self.v = self.v + _scale_by_output(lengths, step, K, problem.by_column)
        self.margins = self.margins + lengths * change
        self.loss -= float(gains.sum())

    def _penalty(self, products):
        """The terms of the penalty; a weight with an infinite one stays at 0."""
        return np.where(products != 0, self._l2 * products, 0.0)


def _scale_by_output(lengths, step, outputs, by_column):
    """A step with each output's part multiplied by its length."""
    W, b = unpack(step, outputs, by_column)
    return pack(W * lengths[:, None], b * lengths, np.float64, by_column)
