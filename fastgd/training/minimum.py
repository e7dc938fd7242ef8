"""Tests of whether a run of `minimize` has reached a minimum."""

from collections import deque
from math import inf, isfinite, sqrt

import numpy as np

from fastgd.problem.cost import EPS

# Pairs of vectors of `Progress`, at most; also the iterations between two verifications, at least.
MAX_PAIRS = 10
# Pairs that `Progress` needs, if there are as many parameters.
MIN_PAIRS = 3
# What is expected to be gained is negligible beside this share of the progress, times the tolerance
# (at most MAX_TOLERANCE: a coarse one bounds the gradient alone).
NEGLIGIBLE_SHARE = 0.01
MAX_TOLERANCE = 1e-4
# A step of at most this share of a parameter is negligible: the square root of the precision of
# float64.
NEGLIGIBLE_STEP = 1.5e-8
# A difference of costs of this many relative errors of a cost may be 0, as in the quasi-Newton
# kernel.
COST_ROUNDING = 4
# The verifying step changes a parameter by this share of its size, as in the quasi-Newton kernel.
PROBE_STEP = 1e-4
# The size of a parameter near 0 is this share of its movement, as in that kernel.
MIN_SIZE_SHARE = 1e-3
# A verified minimum has at most this share of the gain that is worth another step.
VERIFIED_SHARE = 0.01
# Units in the last place by which the parameters are changed to see the rounding error of the
# gradient. The first change is about rounding error: the gradient changes by its own.
ROUNDING_ULPS = 64
# From this change to LONG_ULPS the change of the gradient grows in proportion where the cost is
# smooth, and does not at a kink.
SHORT_ULPS = 2**10
LONG_ULPS = 2**16
# A gradient of finite differences is 0 up to this number of its errors.
GRADIENT_ERRORS = 4


class Progress:
    """A test whether the iterates of an update rule have reached a minimum: `may_be_minimum` of the
    quasi-Newton kernel. The curvature is that of the last iterates with small gradients.
    """

    def __init__(self, run):
        self._run, self._anchors = run, [(0, run.task.x0), (0, run.task.x0)]
        # The iteration whose iterate is to be passed to `set_anchor`.
        self.next_anchor = 1
        self._points = deque(maxlen=MAX_PAIRS + 1)
        self._missed = self._next_check = 0
        # Twice what the quasi-Newton model expects to gain.
        self.decrement = inf

    def set_anchor(self, iteration, x):
        self._anchors = [self._anchors[1], (iteration, x.copy())]
        self.next_anchor = 2 * iteration

    @property
    def is_watching(self):
        """Whether a recent gradient was small."""
        return bool(self._points)

    def pass_by(self, x, gradient):
        """Add an iterate whose gradient is not small."""
        if self.is_watching:
            self._add(x, gradient)
            self._missed += 1
            if self._missed > MAX_PAIRS:
                self._points.clear()

    def _add(self, x, gradient):
        if not self._points or (x != self._points[-1][0]).any():
            self._points.append((x.astype(np.float64), gradient.astype(np.float64)))

    def is_minimum(self, x, gradient, verifies=True):
        """Add the last iterate of the run, whose gradient is small; return whether it is a minimum.

        With `verifies` one more evaluation has to confirm a minimum.
        """
        task, costs = self._run.task, self._run.trace.record["fun"]
        slopes = task.slopes(x, gradient).astype(np.float64)
        if not slopes.any():
            return True
        self._add(x, gradient)
        self._missed = 0
        self.decrement, direction = inf, self._direction(slopes)
        if direction is None:
            return False
        value, self.decrement, done = costs[-1], -float(slopes @ direction), len(costs) - 1
        digits = rounding_error(task, value)
        iteration, anchor = self._anchors[0]
        share = NEGLIGIBLE_SHARE * min(task.goal.tol or task.goal.ftol, MAX_TOLERANCE)
        enough, moved = share * (costs[iteration] - value), np.abs(x - anchor)
        if self.decrement > digits or done < 3 or abs(costs[-4] - value) > digits:
            negligible = np.maximum(sqrt(share) * moved, NEGLIGIBLE_STEP * np.abs(x))
            lately = abs(costs[max(done - 2, 0)] - value)
            is_little = 0 <= max(self.decrement, lately) <= enough
            if not is_little or (np.abs(direction) > negligible).any():
                return False
        if not verifies:
            return True
        if done < self._next_check:
            return False
        self._next_check = done + max(MAX_PAIRS, done // 4)
        sizes = np.maximum(np.abs(x), MIN_SIZE_SHARE * moved)
        gain = scaled_gain(self._run, x.astype(np.float64), slopes, sizes)
        return gain <= max(VERIFIED_SHARE * enough, digits)

    def _direction(self, slopes):
        """The direction of L-BFGS at the newest point; None if there are too few pairs."""
        points, free = self._points, slopes != 0
        pairs = []
        for (x, g), (later, h) in zip(points, list(points)[1:], strict=False):
            s, y = (later - x) * free, (h - g) * free
            sy = float(s @ y)
            pairs.append((s, y, sy) if sy > EPS * sqrt(float(s @ s)) * sqrt(float(y @ y)) else None)
        if not pairs or pairs[-1] is None or len(pairs) < min(MIN_PAIRS, np.count_nonzero(free)):
            return None
        pairs, shares, d = [pair for pair in pairs if pair], [], -slopes
        for s, y, sy in reversed(pairs):
            shares.append(float(s @ d) / sy)
            d -= shares[-1] * y
        s, _, sy = pairs[-1]
        # The smallest curvature that the last step allows: unknown directions count as flat.
        d *= float(s @ s) / sy
        for (s, y, sy), share in zip(pairs, reversed(shares), strict=True):
            d += (share - float(y @ d) / sy) * s
        return d


def rounding_error(task, value):
    """Differences of costs of that value are 0 up to this."""
    return COST_ROUNDING * task.precision * abs(value)


def scaled_gain(run, x, slopes, sizes):
    """The gain of the best step along the negative slopes, in parameters scaled by their sizes.

    See `verify` of the quasi-Newton kernel.
    """
    task, longest = run.task, float((sizes * np.abs(slopes)).max())
    if slopes[sizes == 0].any():
        return inf
    step = PROBE_STEP / longest if longest > 0 else 0.0
    while step > 0:
        trial = task.moved(x, -step * sizes**2 * slopes).astype(task.x0.dtype)
        moved = trial - x
        if not moved.any():
            break
        value, gradient = run.evaluate_probe(trial)
        if isfinite(value) and np.isfinite(gradient).all():
            before = float(slopes @ moved)
            rise = float((gradient + task.l1 * np.sign(trial)) @ moved) - before
            return 0.5 * before**2 / rise if rise > 0 else inf
        step /= 10
    return 0.0


def is_rounded(run, decrement):
    """Whether the (sub)gradient at the best point of a run is 0 to its precision.

    This is so if rounding of x changes it by its own size, in scaled parameters, or if the possible
    gain is within the rounding error of the costs.
    """
    task, cost, value, gradient = run.task, run.task.cost, run.best.value, run.best.gradient
    x = run.best_x()
    if gradient is None:
        gradient = cost(x, *run.first_batch)[1]
    x, gradient = x.astype(np.float64), gradient.astype(np.float64)
    slopes, digits = task.slopes(x, gradient), rounding_error(task, value)
    norm = float(np.abs(slopes).max())
    if cost.gradient_error and norm <= GRADIENT_ERRORS * cost.gradient_error:
        return True
    if decrement <= digits or (decrement == inf and task.goal.is_small(norm, value)):
        if scaled_gain(run, x, slopes, np.abs(x)) <= digits:
            return True
    return not cost.gradient_error and _is_rounding(run, x, gradient, slopes)


def _is_rounding(run, x, gradient, slopes):
    """Whether the slopes at x are rounding errors of the gradient of a smooth cost."""
    task, sizes = run.task, np.abs(x)
    eps = float(np.finfo(task.x0.dtype).eps)
    away = eps * sizes * np.random.default_rng(0).uniform(-1, 1, len(x))

    def change(ulps):
        """The change of the gradient along `away`, where the parameters are free."""
        trial = task.feasible(x + ulps * away).astype(task.x0.dtype)
        value, there = run.evaluate_probe(trial)
        if not isfinite(value):
            return np.full(len(x), np.nan)
        return np.abs(there - gradient) * (slopes != 0)

    rounding, slopes_size = change(ROUNDING_ULPS), np.abs(slopes)
    if (slopes_size > rounding)[sizes == 0].any():
        return False
    is_small = (slopes_size * sizes).max() <= (rounding * sizes).max()
    return bool(is_small and change(LONG_ULPS).max() >= 8 * change(SHORT_ULPS).max())
