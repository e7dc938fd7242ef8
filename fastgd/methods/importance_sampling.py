"""The sampling probabilities and the rates of SAGA, from the curvature of the loss near each row's
last margins."""

import numpy as np

from fastgd.kernels import implicit, variance
from fastgd.kernels.data_term import DataTerm
from fastgd.methods.row_memory import RowMemory
from fastgd.problem.layout import unpack
from fastgd.problem.losses import SquaredError
from fastgd.problem.objective import Objective

# The share of the sampling probability that is uniform; the rest follows the curvature. It bounds
# the importance weight of a row by 1 / 0.2 = 5.
UNIFORM_SHARE = 0.2
# The same for losses with kinks, where the rest follows the distance from a kink.
UNIFORM_SHARE_NONSMOOTH = 0.5
# A row's curvature is the largest within the recent movement of its margin, and at least within
# this radius.
MIN_RADIUS = 0.5
# Steps are 1 / (STEP_DIVISORS L): the first divisor while the memory is young, the second from
# epoch EARLY_EPOCHS on. 1 / (3 L) is the step of the SAGA paper.
STEP_DIVISORS = 3.0, 2.0
EARLY_EPOCHS = 8
# A rate is at most this multiple of the last one.
MAX_RATE_GROWTH = 4.0
# Rate for losses with kinks, in units of the rate that minimises the bound of Point-SAGA.
RATE_NONSMOOTH = 1.2
# Lower bound of the norm of the slopes in that rate. A guard: if no row has a slope, the rate would
# be infinite.
MIN_SLOPE_NORM = 0.03
# The curvature of a batch is estimated from this number of rows.
POWER_ITERATION_ROWS = 500
# Power iterations for that estimate, which is a lower bound.
POWER_ITERATIONS = 3
# Factor on that estimate.
POWER_ITERATION_MARGIN = 1.5


class ImportanceSampling:
    """Sampling in proportion to the smoothness of each row's loss, and the steps that it allows.

    `term` is the data term, `scaling` that of columns and rates as the kernels take it, `size` the
    number of rows of a batch, `squared_norm` the mean of |x|^2.
    """

    def __init__(self, problem, term, scaling, size, squared_norm):
        self._problem, self._term, self._scaling = problem, term, scaling
        self._size, self._squared_norm = size, squared_norm
        self._is_nonsmooth = not problem.objective.loss.is_smooth

    def smoothness(self, memory):
        """(weight * curvature * |x|^2 of each row, mean loss at the stale margins)

        With kinks the curvature is the nearness to one.
        """
        rows = self._problem.visits
        radius = memory.radius[rows].mean() if self._is_nonsmooth else MIN_RADIUS
        smoothness = np.zeros(len(memory.radius))
        loss = variance.survey(self._term, memory.arrays, radius, smoothness)
        return smoothness, loss / len(rows)

    def probabilities(self, memory, order):
        """(sampling probability of each row, largest curvature of an importance-weighted step)"""
        n, (smoothness, _) = len(order), self.smoothness(memory)
        # With kinks the slopes are bounded, so it has to be in proportion to |x|.
        if self._is_nonsmooth:
            smoothness /= np.sqrt(memory.divisors)
        share = np.full(n, 1 / n)
        total = smoothness[order].sum()
        if total > 0:
            uniform = UNIFORM_SHARE_NONSMOOTH if self._is_nonsmooth else UNIFORM_SHARE
            share = uniform / n + (1 - uniform) * smoothness[order] / total
        largest = (smoothness[order] / (n * share)).max()
        if self._size > 1 and not self._is_nonsmooth:
            # The expected smoothness of a batch lies between that of a row and that of all rows.
            curvatures = smoothness / memory.divisors
            joint = self._largest_eigenvalue(order[:POWER_ITERATION_ROWS], curvatures)
            joint = min(joint, total / n)
            largest = largest / self._size + (1 - 1 / self._size) * joint
        probability = np.full(len(smoothness), 1 / n)
        probability[order] = share
        return probability, largest

    def _largest_eigenvalue(self, order, curvatures):
        """The largest eigenvalue of the mean of curvature_i x_i x_i', by power iterations."""
        rows = self._problem.rows
        n, p = rows.shape
        least_squares = Objective(SquaredError(), intercept=self._problem.objective.intercept)
        term = DataTerm(rows, np.zeros(n), curvatures, order, least_squares.codes)
        scaling = (*self._scaling[:-1], np.ones(1))
        u, value = np.random.default_rng(0).standard_normal(p + 1), 0.0
        for _ in range(POWER_ITERATIONS):
            memory = RowMemory.empty(n, 1, p + 1)
            v, rates = u / np.linalg.norm(u), np.zeros(len(order))
            implicit.epoch(term, v, scaling, rates, 1, memory=memory.arrays)
            u, value = memory.total, np.linalg.norm(memory.total) / len(order)
            if not value > 0:
                break
        return POWER_ITERATION_MARGIN * value

    # ---- rates ----

    def rates(self, largest, epochs, divisor, last):
        """(outputs,) 1 / (3 L), later 1 / (2 L), with L the `largest` curvature; `divisor` divides
        all rates, `last` are those of the epoch before.
        """
        divisor = STEP_DIVISORS[epochs >= EARLY_EPOCHS] * divisor
        rate = 1 / (divisor * largest) if largest > 0 else np.inf
        return np.full(len(last), min(rate, MAX_RATE_GROWTH * last.max()))

    def point_saga_rates(self, memory, model, divisor):
        """(outputs,) the rates that minimise Point-SAGA's bound: distance to the minimum / (norm of
        the slope changes * sqrt(mean |x|^2)).

        The distance from 0 stands for the distance to the minimum, and the slopes in the memory for
        their changes.
        """
        problem, norm = self._problem, self._squared_norm**0.5
        W, _ = unpack(model, problem.objective.outputs, problem.by_column)
        slopes = memory.slopes_of(problem.visits)
        slopes = np.maximum(np.sqrt((slopes * slopes).sum(axis=0)), MIN_SLOPE_NORM)
        distance = np.sqrt((W * W).sum(axis=1))
        distance = np.maximum(distance, self._margin_units(memory) / norm)
        return self._size**0.5 * RATE_NONSMOOTH / divisor * (distance / (slopes * norm))

    def _margin_units(self, memory):
        """(outputs,) the scale of the margins; for residuals their mean absolute value."""
        problem, units = self._problem, self._scaling[-1]
        if problem.objective.loss.is_of_labels:
            return units
        residuals = memory.margins_of(problem.visits) - problem.targets
        return np.clip(np.abs(residuals).mean(axis=0), 1e-12 * units, units)
