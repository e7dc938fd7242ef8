"""Longer steps for iterates that crawl along ravines: exact line searches along the way they came.

Margins are linear in the parameters, so that a search costs no pass over X. The second direction,
the step before, makes of the searches what conjugate gradients make of gradients.
Source: Narkiss and Zibulevsky, "Sequential subspace optimization method for large-scale
unconstrained problems", Technion, 2005.
"""

import numpy as np

from fastgd.kernels import newton
from fastgd.methods.line_search import minimize_convex
from fastgd.problem.duality import rounding_of
from fastgd.problem.layout import pack, unpack
from fastgd.problem.records import Record

# Epochs between two searches: at least so many, each of which costs a pass.
FEWEST, MOST = 4, 64
# Double the interval after a search that gains less than this share of what the epochs since the
# last one have gained.
WORTH = 0.25
# Times the way since the last search that a step may add to it.
HIGHEST = 16.0


class Extrapolation(Record):
    """Where the last search began, and the way that led there, with margins of shape (rows,
    outputs).

    All margins are exact: those of the end of a search carry its rounding, which the next one would
    multiply. `loss` is that of the end; `interval` is the number of epochs until the next search.
    """

    v: np.ndarray
    margins: np.ndarray
    loss: float
    way: tuple | None = None
    interval: int = FEWEST

    def search(self, problem, weights, l2, v, margins, loss):
        """Search from v, the model of now; returns (the next `Extrapolation`, the `Line` at its
        end).

        `margins` and `loss` are exact. `weights` are those of all rows, or None; `l2` is that of
        each column, in the units of v.
        """
        way = v - self.v, margins - self.margins
        line = Line(problem, weights, l2, v, margins, loss)
        for direction in (way, self.way, way) if self.way else (way,):
            line.move(*direction)
        gained = loss - line.loss
        is_real = gained > rounding_of(loss, loss)  # else the way since the last search is noise
        pays = is_real and gained >= WORTH * (self.loss - loss)
        interval = max(self.interval // 2, FEWEST) if pays else min(2 * self.interval, MOST)
        if not is_real:
            line = Line(problem, weights, l2, v, margins, loss)
        return Extrapolation(v, margins, line.loss, way if is_real else None, interval), line


class Line:
    """A model, its margins and its objective, which move along lines."""

    def __init__(self, problem, weights, l2, v, margins, loss):
        self._problem, self._weights, self._l2 = problem, weights, l2
        self.v, self.margins, self.loss = v, margins, loss
        self._joint = problem.objective.loss.is_joint

    def move(self, step, change):
        """Move along a step of the parameters, by which margins change so, to where F is least.

        Each output goes its own length; those of softmax, which share a loss, the same.
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
            newton.along(
                problem.y,
                self._weights,
                problem.visits,
                z,
                u,
                steps,
                sums,
                problem.objective.codes,
                problem.threads,
            )
            value = sums[0, :count] / n + square / 2 + t * cross + t * t * step_square / 2
            return value, sums[1, :count] / n + cross + t * step_square

        t, gains = minimize_convex(function, count, highest=HIGHEST)
        lengths = np.broadcast_to(t, K)
        self.v = self.v + _by_output(lengths, step, K, problem.by_column)
        self.margins = self.margins + lengths * change
        self.loss -= float(gains.sum())

    def _penalty(self, products):
        """The penalty's terms; an infinite one keeps its weight at 0."""
        return np.where(products != 0, self._l2 * products, 0.0)


def _by_output(lengths, step, outputs, by_column):
    """A step, each output's part so many times as long."""
    W, b = unpack(step, outputs, by_column)
    return pack(W * lengths[:, None], b * lengths, np.float64, by_column)
