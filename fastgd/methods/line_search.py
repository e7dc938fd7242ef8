"""Line searches of all outputs at once; margins and penalty along a line need no pass over X."""

import numpy as np

from fastgd.kernels import newton
from fastgd.problem.duality import weighted
from fastgd.problem.layout import pack, unpack

# The smallest step, in units of a model's distance from the constant one. -1 would lead to the
# constant model, and lose the direction from which a later fit continues.
MIN_STEP = -1.0 + 1e-6
# The largest step: three times the distance.
MAX_STEP = 2.0
# The final width of a bracket. The excess of a smooth objective is of the order of its square, 1e-6
# of what the whole distance has gained.
STEP_TOLERANCE = 1e-3
# A search also ends if another step promises at most this share of the objective.
VALUE_TOLERANCE = 1e-8
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

    Secants of the last two slopes find the roots of the slopes, with bisection where they leave the
    bracket, or where two evaluations have not halved it.
    """
    lowest = Lowest(function, outputs)
    start = lowest.slope(np.zeros(outputs))
    before = lowest.values
    # Whether the function falls to the right.
    falls = start < 0
    at = np.where(falls, highest, MIN_STEP)
    slope = lowest.slope(at)
    low, high = np.where(falls, 0.0, MIN_STEP), np.where(falls, highest, 0.0)
    inside = np.where(falls, slope > 0, slope < 0) & (start != 0)
    width = older = np.where(inside, high - low, 0.0)
    last, last_slope, at, slope = at, slope, np.zeros(outputs), start
    for _ in range(MAX_EVALUATIONS):
        with np.errstate(invalid="ignore", divide="ignore"):
            secant = at - slope * (at - last) / (slope - last_slope)
        # What a step to the root of the secant would gain.
        is_over = np.abs(slope * (secant - at)) <= VALUE_TOLERANCE * np.abs(before)
        width = np.where(is_over, 0.0, width)
        if not (width > STEP_TOLERANCE).any():
            break
        # If the root is next to an end, a step beyond it closes the bracket.
        secant = np.clip(secant, low + STEP_TOLERANCE / 2, high - STEP_TOLERANCE / 2)
        is_good = (secant > low) & (secant < high) & (2 * width <= older)
        last, last_slope = at, slope
        at = np.where(width > 0, np.where(is_good, secant, (low + high) / 2), at)
        slope = np.where(width > 0, lowest.slope(at), slope)
        # Both hold at the minimum itself.
        low, high = np.where(slope <= 0, at, low), np.where(slope >= 0, at, high)
        older, width = width, np.where(width > 0, high - low, 0.0)
    with np.errstate(invalid="ignore"):
        return lowest.steps, np.where(lowest.values < before, before - lowest.values, 0.0)


class Line:
    """A model, its margins and its objective, which move along lines without a pass over X.

    `v` is [W, b] in scaled columns, `margins` (rows, outputs) are those of the rows to train on,
    `loss` is the objective. `term` is the data term with the weights of the method, of mean 1;
    `penalties` are those of v, (l1, l2) of each column. Each output has its own step length; the
    outputs of softmax share one.
    """

    def __init__(self, problem, term, penalties, v, margins, loss):
        self._problem, self._term, self._penalties = problem, term, penalties
        self.v, self.margins, self.loss = v, margins, loss
        self._outputs = problem.objective.outputs
        self._steps = 1 if problem.objective.loss.is_joint else self._outputs

    def away_from(self, constant):
        """Move away from, or towards, a constant model v; return the decrease of the objective."""
        margins = constant[len(constant) - self._outputs :]
        return self.move(self.v - constant, self.margins - margins)

    def shift(self, sizes):
        """Move the intercepts, in units of `sizes`; return the decrease of the objective."""
        if self._problem.objective.loss.is_joint:
            sizes = np.clip(self._iterative_scaling(), MIN_STEP * sizes, MAX_STEP * sizes)
        step = np.zeros_like(self.v)
        step[len(step) - self._outputs :] = sizes
        return self.move(step, np.broadcast_to(sizes, self.margins.shape))

    @np.errstate(invalid="ignore", over="ignore")
    def move(self, step, change, highest=MAX_STEP):
        """Move along a step of v, which changes the margins by `change`, to where the objective is
        least; return its decrease.

        An L1 penalty is linear along the step only if no weight changes its sign: along W itself,
        and along intercepts.
        """
        n, sums = len(self.margins), np.empty((2, self._outputs))
        z, u = self.margins.ravel(), np.ascontiguousarray(change).ravel()
        constant, linear, quadratic = self._penalty_along(step)

        def function(t):
            steps = np.broadcast_to(t, self._outputs).astype(float)
            newton.along(self._term, z, u, steps, sums)
            value, slope = sums[:, : self._steps] / n
            value = value + constant + t * linear + t * t * quadratic / 2
            return value, slope + linear + t * quadratic

        t, gains = minimize_convex(function, self._steps, highest)
        lengths, decrease = np.broadcast_to(t, self._outputs), float(gains.sum())
        (W, b), (D, d) = self._unpacked(self.v), self._unpacked(step)
        v = W + lengths[:, None] * D, b + lengths * d
        self.v = pack(*v, np.float64, self._problem.by_column)
        self.margins, self.loss = self.margins + lengths * change, self.loss - decrease
        return decrease

    def _penalty_along(self, step):
        """(3, steps) coefficients of 1, t and t^2 / 2 of the penalty at v + t step."""
        (W, b), (D, d) = self._unpacked(self.v), self._unpacked(step)
        l1, l2 = self._penalties
        constant, linear = l1 * np.abs(W) + l2 * (W * W) / 2, l1 * np.sign(W) * D + l2 * (W * D)
        weights, intercepts = np.array([constant, linear, l2 * (D * D)]), np.array([b, d, 0 * d])
        tilt, shape = self._problem.objective.tilt, (3, self._steps, -1)
        return weights.reshape(shape).sum(axis=2) + tilt * intercepts.reshape(shape).sum(axis=2)

    def _unpacked(self, flat):
        return unpack(flat, self._outputs, self._problem.by_column)

    def _iterative_scaling(self):
        """The change of softmax's intercepts by iterative scaling: the log of each class's
        frequency over its mean probability.
        """
        problem, weights = self._problem, self._problem.row_weights
        y, weights = problem.targets[:, 0], weights / weights.sum()
        _, slopes = problem.objective.loss.evaluate(self.margins, y)
        frequency = np.bincount(y.astype(np.intp), weights, self._outputs)
        probability = np.maximum(weighted(weights, slopes) + frequency, 0)
        with np.errstate(divide="ignore"):
            return np.nan_to_num(np.log(frequency) - np.log(probability))
