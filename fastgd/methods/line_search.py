"""Line searches of all outputs at once; margins and penalty along a line need no pass over X."""

import numpy as np

from fastgd.kernels import variance

# The smallest step, in units of a model's distance from the constant one. -1 would lead to the
# constant model, and lose the direction from which a later fit continues.
MIN_STEP = -1.0 + 1e-6
# The largest step: three times the distance.
MAX_STEP = 2.0
# The final width of a bracket. The excess of a smooth objective is of the order of its square, 1e-6
# of what the whole distance has gained.
STEP_TOLERANCE = 1e-3
# Evaluations of a search, at most. A guard: bisection alone needs 12, and at least every third
# evaluation bisects.
MAX_EVALUATIONS = 40


class Lowest:
    """Evaluates convex functions of one step each, and stores the step of the lowest value of each.

    `function` takes (outputs,) steps and returns (outputs,) values and slopes.
    """

    def __init__(self, function, outputs):
        self._function = function
        self.steps, self.values = np.zeros(outputs), np.full(outputs, np.inf)

    def slope(self, steps):
        """The slopes; a nan lies beyond the minimum, seen from 0."""
        values, slopes = self._function(steps)
        lower = values < self.values
        self.steps = np.where(lower, steps, self.steps)
        self.values = np.where(lower, values, self.values)
        return np.where(np.isnan(slopes), np.copysign(np.inf, steps), slopes)


@np.errstate(invalid="ignore", over="ignore")
def minimize_convex(function, outputs, highest=MAX_STEP):
    """(steps from MIN_STEP to `highest` that minimise convex functions, decreases from step 0).

    Regula falsi (Illinois) finds the roots of the slopes, with bisection where two evaluations have
    not halved the bracket.
    """
    lowest = Lowest(function, outputs)
    start = lowest.slope(np.zeros(outputs))
    before = lowest.values
    # Whether the function falls to the right.
    falls = start < 0
    ends = lowest.slope(np.where(falls, highest, MIN_STEP))
    low, high = np.where(falls, 0.0, MIN_STEP), np.where(falls, highest, 0.0)
    below, above = np.where(falls, start, ends), np.where(falls, ends, start)
    inside = (below < 0) & (above > 0)
    width = older = np.where(inside, high - low, 0.0)
    for _ in range(MAX_EVALUATIONS):
        if not (width > STEP_TOLERANCE).any():
            break
        at = high - above * (width / (above - below))
        # If the root is next to an end, a step beyond it closes the bracket.
        at = np.clip(at, low + STEP_TOLERANCE / 2, high - STEP_TOLERANCE / 2)
        at = np.where((at > low) & (at < high) & (2 * width <= older), at, (low + high) / 2)
        slope = lowest.slope(at)
        # Both hold at the minimum itself.
        left, right = slope <= 0, slope >= 0
        # Illinois: halve the slope at the end that stays.
        below, above = np.where(left, slope, below / 2), np.where(right, slope, above / 2)
        low, high = np.where(left, at, low), np.where(right, at, high)
        older, width = width, np.where(inside, high - low, 0.0)
    with np.errstate(invalid="ignore"):
        return lowest.steps, np.where(lowest.values < before, before - lowest.values, 0.0)


class LineSearch:
    """Searches from a model of weights `coef` (outputs, p), offsets `b`, margins `z` (n, outputs).

    Each output has its own step; the outputs of softmax share one. The results are each output's
    `factor`, by which its weights are multiplied, and its offset `b`.
    """

    def __init__(self, problem, weights, coef, b, z):
        self._problem, self._weights, self._z = problem, weights, z
        self._term = problem.weighted(weights)
        objective = self._objective = problem.objective
        self._joint = objective.loss.is_joint
        self.factor, self.b = np.ones(objective.outputs), b
        l1, l2 = objective.penalties(np.ones(coef.shape[1]))
        with np.errstate(over="ignore"):
            self._l1 = (l1 * np.abs(coef)).sum(axis=1)
            self._l2 = (l2 * coef * coef).sum(axis=1)

    def away_from(self, constant):
        """Move away from, or towards, a constant model; return the decrease of the objective."""
        return self._search(constant, np.ones(len(constant)), np.zeros(len(constant)))

    def shift(self, sizes):
        """Move the offsets, in units of `sizes`; return the decrease of the objective."""
        nothing = np.zeros(len(sizes))
        if self._joint:
            # Iterative scaling: the log of each class's frequency over its mean probability.
            slope, frequency = self._evaluate(nothing, nothing, nothing)[2], self._frequency()
            with np.errstate(divide="ignore"):
                towards = np.log(frequency) - np.log(np.maximum(slope + frequency, 0))
            sizes = np.clip(np.nan_to_num(towards), MIN_STEP * sizes, MAX_STEP * sizes)
        return self._search(nothing, nothing, sizes)

    @np.errstate(invalid="ignore", over="ignore")
    def _search(self, origin, stretch, shift):
        """Minimise over the step; a step of 1 stretches the margins from `origin` by `stretch`, and
        adds `shift`.
        """

        def along(steps):
            value, by_stretch, by_shift = self._evaluate(origin, steps * stretch, steps * shift)
            slope = stretch * by_stretch + shift * by_shift
            return (
                np.full(len(steps), part.sum()) if self._joint else part for part in (value, slope)
            )

        steps, gains = minimize_convex(along, len(origin))
        stretch, shift = steps * stretch, steps * shift
        self._z = self._z + stretch * (self._z - origin) + shift
        self.b = self.b + stretch * (self.b - origin) + shift
        self.factor = self.factor * (1 + stretch)
        return float(gains[0] if self._joint else gains.sum())

    def _evaluate(self, origin, stretch, shift):
        """(outputs,) values of the objective, and their derivatives by `stretch` and `shift`."""
        n, objective = len(self._problem.visits), self._objective
        sums = np.empty((3, objective.outputs))
        variance.along(self._term, self._z.ravel(), origin, stretch, shift, sums)
        value, by_stretch, by_shift = sums
        factor, away = self.factor * (1 + stretch), self.b - origin
        value = value / n + factor * (self._l1 + self._l2 * factor / 2)
        by_stretch = by_stretch / n + self.factor * (self._l1 + self._l2 * factor)
        by_shift = by_shift / n
        if objective.tilt:
            value = value + objective.tilt * (self.b + stretch * away + shift)
            by_stretch = by_stretch + objective.tilt * away
            by_shift = by_shift + objective.tilt
        return value, by_stretch, by_shift

    def _frequency(self):
        """(outputs,) each class's share of the weight."""
        visits = self._problem.visits
        weights = None if self._weights is None else self._weights[visits]
        return np.bincount(
            self._problem.y[visits].astype(np.intp), weights, self._objective.outputs
        ) / len(visits)
