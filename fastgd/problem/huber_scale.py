"""Huber's loss with a scale sigma that is estimated too, as sums over the rows of a problem.

    F(w, b, sigma) = sigma / 2 + sum_i s_i sigma H(r_i / sigma) / sum_i s_i + (l2 / 2) |w|^2

with residuals r and Huber's loss H, which is quadratic up to epsilon. It is convex in all variables
(Owen, "A robust hybrid of lasso and ridge regression", 2006). Given the residuals, the best sigma
is where the weighted mean of min((r / sigma)^2, epsilon^2) is 1. That mean is concave and
increasing in 1 / sigma^2, with finitely many linear pieces, so Newton's method finds its root in a
few steps.
"""

from dataclasses import replace

import numpy as np

from fastgd.kernels import huber_scale as kernel
from fastgd.problem import passes
from fastgd.problem.losses import Huber

# The least scale during the descent, in units of the root mean square of the residuals of the best
# constant model, and in machine epsilons of that: smaller residuals are rounding. A model that
# interpolates has no scale, and its objective changes by this share.
LEAST_SCALE_RATIO, LEAST_SCALE_EPSILONS = 1e-7, 64
# The least scale of a model: scikit-learn's bound or, if all targets are below 1, this share of the
# largest one.
LEAST_SCALE = 10 * float(np.finfo(float).eps)
# Steps to a scale, at most. A guard: each step that does not end leaves a linear piece.
MAX_SCALE_STEPS = 100
# Steps to the best constant, at most. A guard: 10 are usual.
MAX_LOCATION_STEPS = 100


# ---- functions of a problem, that of all rows or of those of a chunk ----


def _targets(problem):
    return np.ascontiguousarray(problem.targets[:, 0])


def _weights(problem):
    """The weights of the rows; None if all are equal."""
    weights, visits = problem.weights, problem.visits
    return weights if weights is None or len(visits) == len(weights) else weights[visits]


def _weighted(problem, values):
    weights = _weights(problem)
    return values if weights is None else weights * values


def scale_sums(problem, threshold, t, margins, direction=None):
    """(sum of the squared residuals up to the threshold, weight of the others)"""
    rows = margins, _targets(problem), direction, _weights(problem)
    return kernel.scale_sums(*rows, t, threshold, problem.threads)


def _along(problem, threshold, t, margins, direction):
    """(sum of Huber's losses with this threshold, sum of their slopes along the direction)"""
    rows = margins, _targets(problem), direction, _weights(problem)
    return kernel.along(*rows, t, threshold, problem.threads)


def inlier_residuals(problem, threshold, margins):
    """The weighted residuals up to the threshold, 0 for the others."""
    r = margins - _targets(problem)
    return _weighted(problem, np.where(np.abs(r) <= threshold, r, 0.0))


def secant_curvatures(problem, threshold, margins):
    """The weighted curvatures of parabolas above the losses that touch them at the residuals."""
    size = np.abs(margins - _targets(problem))
    return _weighted(problem, threshold / np.maximum(size, threshold))


# ---- the scale ----


def _best_scale(sums, total, epsilon, start, least):
    """The scale, given ``sums(threshold)`` and the total weight."""
    scale, falls = max(start, least), False
    for _ in range(MAX_SCALE_STEPS):
        squares, outside = sums(epsilon * scale)
        slack = total - epsilon * epsilon * outside
        if slack <= 1e-12 * total:  # on this piece the mean is above 1
            if falls:
                return scale
            scale *= 2
            continue
        found = max(float(np.sqrt(squares / slack)), least)
        # The first step leads to a scale that is too large, or right; then scales fall.
        if falls and not found < scale * (1 - 1e-14):
            return scale
        if found == scale:
            return scale
        scale, falls = found, True
    return scale


def least_scale(y):
    """The least scale of a model of these targets."""
    largest = float(np.abs(y).max(initial=0.0))
    return LEAST_SCALE * (largest if 0 < largest < 1 else 1.0)


class Scale:
    """The best scale at margins of a problem, and the objective along a direction from there.

    A search for a scale begins at `last`, the scale of the search before.
    """

    def __init__(self, problem, least, last):
        self._problem, self._total, self.last = problem, problem.total_weight, last
        self._epsilon, self._least = problem.objective.loss.delta, least

    def at(self, t, *vectors):
        """The scale at ``margins + t direction``."""

        def sums(threshold):
            return passes.summed(self._problem, scale_sums, (threshold, t), *vectors)

        self.last = _best_scale(sums, self._total, self._epsilon, self.last, self._least)
        return self.last

    def along(self, t, margins, direction):
        """(mean loss, slope along the direction) at the best scale."""
        scale = self.at(t, margins, direction)
        common = self._epsilon * scale, t
        loss, slope = passes.summed(self._problem, _along, common, margins, direction)
        return scale / 2 + loss / scale / self._total, slope / scale / self._total


def scale_of(r, weights, epsilon, start=None, least=LEAST_SCALE):
    """The best scale of residuals."""
    total = float(len(r) if weights is None else weights.sum())

    def sums(threshold):
        return kernel.scale_sums(r, None, None, weights, 0.0, threshold, 1)

    if start is None:
        start = float(np.sqrt(sums(np.inf)[0] / total))
    return _best_scale(sums, total, epsilon, start, least)


def mean_loss(problem, theta, gradient, margins=None):
    """As `Problem.mean_loss`, with the best scale: two passes over X."""
    loss = problem.objective.loss
    if margins is None:
        margins = np.empty(len(problem.visits))
    passes.gradient(problem.data_term, theta, gradient, margins)
    r = margins - problem.targets[:, 0]
    least = least_scale(problem.targets)
    scale = scale_of(r, problem.row_weights, loss.delta, least=least)
    exact = with_threshold(problem, loss.delta * scale)
    value = passes.gradient(exact.data_term, theta, gradient) / problem.total_weight
    gradient /= scale
    return scale / 2 + value / scale


def with_threshold(problem, threshold):
    """The problem with Huber's loss of this threshold, in units of y."""
    return replace(problem, objective=replace(problem.objective, loss=Huber(threshold)))


def best_constant(y, shares, epsilon):
    """(b, scale, objective) of the best constant model; the shares sum to 1.

    Newton's method in b, where steps that do not lower the objective are replaced by those of
    parabolas above the losses, which do.
    """
    order = np.argsort(y, kind="stable")
    middle = np.searchsorted(np.cumsum(shares[order]), 0.5 * (1 - 1e-15))
    b = float(y[order[min(middle, len(y) - 1)]])
    least = least_scale(y)
    scale, value = profile(y - b, shares, epsilon, None, least)
    for _ in range(MAX_LOCATION_STEPS):
        r, threshold = y - b, epsilon * scale
        slope = float(shares @ np.clip(r, -threshold, threshold))
        inside = np.abs(r) <= threshold
        of_inside, squares = shares @ (r * inside), shares @ (r * r * inside)
        curvature = shares @ inside - (of_inside**2 / squares if squares else 0.0)
        bound = shares @ (threshold / np.maximum(np.abs(r), threshold))
        for divisor in (curvature, bound):
            if not divisor > 1e-8 * bound:
                continue
            trial = b + slope / divisor
            of_trial = profile(y - trial, shares, epsilon, scale, least)
            if of_trial[1] < value:
                break
        else:
            return b, scale, value
        gained, (b, (scale, value)) = value - of_trial[1], (trial, of_trial)
        if gained <= 1e-14 * abs(value):
            return b, scale, value
    return b, scale, value


def profile(r, shares, epsilon, start=None, least=LEAST_SCALE):
    """(scale, objective) of residuals."""
    scale = scale_of(r, shares, epsilon, start, least)
    slopes = np.clip(r, -epsilon * scale, epsilon * scale)
    return scale, scale / 2 + float(shares @ (slopes * (r - slopes / 2))) / scale
