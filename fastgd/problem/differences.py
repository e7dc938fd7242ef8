"""Gradients by finite differences, with steps that suit the precision of the cost."""

from math import factorial, inf, isfinite, sqrt

import numpy as np

# Accept a forward difference if the cost changes by at least this multiple of its rounding error:
# the derivative is then accurate to about 0.2 %.
FORWARD_DIFFERENCE_SIGNAL = 1e3
# Accept a central difference if the cost changes by at least this multiple of its rounding error:
# the derivative is then accurate to about 2 %.
CENTRAL_DIFFERENCE_SIGNAL = 100
# Otherwise repeat it with a step that is longer by this factor.
STEP_GROWTH = 30
# Spacings, relative to the parameters, at which the noise of the cost is measured: the next one is
# used where fewer than half of the differences are nonzero.
NOISE_SPACINGS = 1e-12, 1e-9, 1e-6
# Points at each spacing: six differences, as in the paper of Moré and Wild.
NOISE_POINTS = 7
# The orders of those differences that measure the noise: the lower ones contain the trend of the
# cost.
NOISE_ORDERS = 3, 4, 5
# A relative noise above this is taken for a trend of the cost.
MAX_NOISE = 1e-2


class Differences:
    """Gradients of a `Cost` by finite differences, within its bounds and in its precision.

    The precision is estimated once, from differences of costs along a line (More, Wild, "Estimating
    computational noise", SIAM J. Sci. Comput. 2011). If a forward difference is not well above the
    rounding error, the parameter switches to central differences with a longer step. Parameters
    whose bounds are equal have the gradient 0.
    """

    def __init__(self, cost, n, bounds):
        self.cost, self.error = cost, 0.0
        is_bounded = bounds[0] is not None
        self.lower, self.upper = bounds if is_bounded else np.full((2, n), [[-inf], [inf]])
        self.free = np.flatnonzero(self.lower < self.upper)
        # Evaluations of a gradient, at least.
        self.count = 1 + len(self.free)
        # |x_j|, or its last value if x_j is 0.
        self.sizes = np.ones(n)
        # The parameters that need central differences.
        self.central = np.zeros(n, dtype=bool)
        self._is_measured = False

    def __call__(self, x, value, batch):
        """The gradient at x, a float64 vector, where the cost is `value`."""
        gradient, cost = np.zeros(len(x), self.cost.dtype), self.cost
        if not isfinite(value):
            return gradient
        self.sizes = np.where(x != 0, np.abs(x), self.sizes)
        if not self._is_measured:
            self._is_measured = True
            noise, eps = self._noise(x, value, batch), float(np.finfo(cost.dtype).eps)
            cost.precision = max(cost.precision, eps, noise)
        self.error = 0.0
        for j in self.free:
            gradient[j] = self._component(x, value, batch, j)
        return gradient

    def _at(self, x, batch):
        cost = self.cost
        cost.nfev += 1
        return cost._number(cost.fun(x.astype(cost.dtype).reshape(cost.shape), *batch, *cost.args))

    def _shifted(self, x, j, step):
        moved = x.copy()
        moved[j] = min(max(x[j] + step, self.lower[j]), self.upper[j])
        moved[j] = float(self.cost.dtype.type(moved[j]))
        return moved

    def _component(self, x, value, batch, j):
        precision, size = self.cost.precision, self.sizes[j]
        rounding = precision * abs(value)
        if not self.central[j]:
            step = sqrt(precision) * size
            if x[j] + step > self.upper[j]:
                step = -step
            ahead = self._shifted(x, j, step)
            taken, rise = ahead[j] - x[j], self._at(ahead, batch) - value
            if taken and isfinite(rise) and abs(rise) >= FORWARD_DIFFERENCE_SIGNAL * rounding:
                self.error = max(self.error, 2 * rounding / abs(taken))
                return rise / taken
            self.central[j] = True
        step = np.cbrt(precision) * size
        while True:
            slope, rise, width = self._central(x, value, batch, j, step)
            # A difference of mere rounding errors needs a longer step; the size of a parameter near
            # 0 may not be known yet, so a step of up to 1 is tried.
            if rise >= CENTRAL_DIFFERENCE_SIGNAL * rounding or STEP_GROWTH * step > max(1.0, size):
                break
            step *= STEP_GROWTH
        self.error = max(self.error, 2 * rounding / width if width else 0.0)
        return slope

    def _central(self, x, value, batch, j, step):
        """(slope, larger of the two changes of the cost, width of the difference); one-sided at the
        edge of the domain.
        """
        ends = []
        for moved in (self._shifted(x, j, -step), self._shifted(x, j, step)):
            cost = self._at(moved, batch) if moved[j] != x[j] else value
            ends.append((moved[j], cost) if isfinite(cost) else (x[j], value))
        (low, before), (high, after) = ends
        if high == low:
            return 0.0, inf, 0.0
        back, ahead = x[j] - low, high - x[j]
        slope = (after - before) / (high - low)
        # Exact for parabolas, also if a bound has shortened one side.
        if back and ahead:
            parts = back / ahead * (after - value) + ahead / back * (value - before)
            slope = parts / (back + ahead)
        return slope, max(abs(after - value), abs(value - before)), high - low

    def _noise(self, x, value, batch):
        """The relative noise of the cost near x; 0 if none is found."""
        inward = np.where(x - self.lower > self.upper - x, -1.0, 1.0) * (self.lower < self.upper)
        for spacing in NOISE_SPACINGS:
            costs = [value]
            for i in range(1, NOISE_POINTS):
                point = x + i * spacing * inward * self.sizes
                costs.append(self._at(np.clip(point, self.lower, self.upper), batch))
            if not np.isfinite(costs).all():
                return 0.0
            # Otherwise the points are too close to one another.
            if np.count_nonzero(np.diff(costs)) >= NOISE_POINTS // 2:
                level = min(_difference_noise(costs, order) for order in NOISE_ORDERS)
                return min(level / abs(value), MAX_NOISE) if value else 0.0
        return 0.0


def _difference_noise(costs, order):
    """The noise of costs on a line according to their differences of an order."""
    variance = float(np.mean(np.diff(costs, order) ** 2))
    return sqrt(factorial(order) ** 2 / factorial(2 * order) * variance)
