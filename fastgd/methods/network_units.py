"""The parameters of a network as one vector, and the units in which it is trained."""

from itertools import pairwise
from math import sqrt

import numpy as np

from fastgd.methods.implicit_sgd import TargetStatistics, merged, merged_targets
from fastgd.problem.losses import MIN_FREQUENCY, Loss
from fastgd.problem.metric import Metric, metric_of
from fastgd.problem.problem import Problem
from fastgd.problem.records import Record

RECTIFIERS = ("relu", "leaky_relu", "gelu", "silu", "softplus")
# A column's weights are rescaled with its scale up to this ratio per call. Beyond, the column has
# no learnt weights that far out.
MAX_SCALE_RATIO = 4.0
# Columns or targets that vary for the first time reset the buffers of the update rule if the new
# rows are more than this share of all.
NEW_COLUMN_SHARE = 0.1
# Targets are constant if their standard deviation is at most this share of their mean: rounding.
CONSTANT_TARGET_TOLERANCE = 4 * np.finfo(float).eps


def layers(theta, widths):
    """(W (inputs, units), b (units,)) of each layer of the flat vector, as views."""
    at = 0
    for inputs, units in pairwise(widths):
        W = theta[at : at + inputs * units].reshape(inputs, units)
        at += (inputs + 1) * units
        yield W, theta[at - units : at]


def unpack(theta, widths):
    """(coefs, intercepts): a list each, one entry a layer."""
    coefs, intercepts = zip(*layers(theta, widths), strict=True)
    return [W.copy() for W in coefs], [b.copy() for b in intercepts]


def pack(coefs, intercepts, dtype):
    """The flat vector [W_1, b_1, W_2, b_2, ...] that the kernels descend on."""
    pairs = zip(coefs, intercepts, strict=True)
    return np.concatenate([np.ravel(part) for pair in pairs for part in pair]).astype(dtype)


def ends(theta, widths):
    """The first layer and the last one; they may be the same."""
    parts = [*layers(theta, widths)]
    return parts[0], parts[-1]


def initial(widths, activation, random):
    """Random weights that preserve the scale of the activations, and zero intercepts.

    Uniform in +-sqrt(6 / inputs) before rectifiers (He et al., ICCV 2015), +-sqrt(6 / (inputs +
    units)) before other layers and +-sqrt(2 / (inputs + units)) before logistic units, as
    scikit-learn has it (Glorot, Bengio, AISTATS 2010).
    """
    theta = np.zeros(sum((inputs + 1) * units for inputs, units in pairwise(widths)))
    for number, (W, _) in enumerate(layers(theta, widths), 1):
        inputs, units = W.shape
        bound = sqrt((2 if activation == "logistic" else 6) / (inputs + units))
        if number < len(widths) - 1 and activation in RECTIFIERS:
            bound = sqrt(6 / inputs)
        W[:] = random.uniform(-bound, bound, W.shape)
    return theta


class Units(Record):
    """The units in which a network is trained.

    Columns are centred and have spread 1. The user's margins are ``center + unit * z`` for margins
    z of the trained network. `targets` holds means and standard deviations of the targets, 0 for
    constant ones; `weight` is the total weight of the rows seen.
    """

    loss: Loss
    inputs: Metric
    targets: TargetStatistics
    weight: float

    @classmethod
    def of(cls, problem: Problem):
        """Those of a problem's rows."""
        outputs, weights = problem.objective.outputs, problem.row_weights
        targets = TargetStatistics(np.zeros(outputs), np.ones(outputs))
        if not problem.objective.loss.is_of_labels:
            targets = _statistics(problem.targets, weights)
        return cls(problem.objective.loss, _columns(problem), targets, float(weights.sum()))

    def merge(self, new):
        """Those of all rows, `new` ones among them."""
        weight = self.weight + new.weight
        part = new.weight / weight
        targets = _rounded(merged_targets(self.targets, new.targets, part))
        return Units(self.loss, merged(self.inputs, new.inputs, part), targets, weight)

    def part(self, before):
        """The share of the rows that have come after `before`."""
        return 1 - before.weight / self.weight

    def outdates(self, before):
        """Whether to reset the running means of the update rule.

        This is so if a call has more rows than all calls before, or if it has a share of
        `NEW_COLUMN_SHARE` and columns or targets vary for the first time.
        """
        fresh = (before.inputs.scale == 0) & (self.inputs.scale > 0)
        fresh = fresh.any() or ((before.unit == 0) & (self.unit > 0)).any()
        return self.part(before) > (NEW_COLUMN_SHARE if fresh else 0.5)

    @property
    def center(self):
        """The user's margins where z is 0."""
        if self.loss.has_log_link:
            return np.log(np.where(self.targets.center > 0, self.targets.center, MIN_FREQUENCY))
        center = self.targets.center
        return center if self.loss.is_of_residuals else np.zeros(len(center))

    @property
    def unit(self):
        """The scale of each output's margins: the targets' standard deviation for residual losses;
        0 for constant targets.
        """
        spread = self.targets.spread
        return spread if self.loss.is_of_residuals else (spread > 0).astype(float)

    def to_user(self, theta, widths):
        """The same network on the user's columns and targets, in float64."""
        theta = theta.astype(np.float64)
        (W, b), (V, c) = ends(theta, widths)
        W *= self.inputs.inverse[:, None]
        b -= self.inputs.center @ W
        V *= self.unit
        c *= self.unit
        c += self.center
        return theta

    def from_user(self, theta, widths):
        """The inverse of `to_user`; the weights of constant targets stay as they are."""
        theta = theta.astype(np.float64)
        (W, b), (V, c) = ends(theta, widths)
        unit = np.where(self.unit > 0, self.unit, 1.0)
        c -= self.center
        c /= unit
        V /= unit
        b += self.inputs.center @ W
        W *= self.inputs.scale[:, None]
        return theta

    def follow(self, theta, widths, before, shift=True):
        """Convert theta from the units `before`; shift=False: theta is a difference of two vectors.

        Predictions stay the same, with two exceptions. If a column's scale has grown by more than
        `MAX_SCALE_RATIO`, its weights fade, since nothing has been learnt that far out. Columns and
        targets that were constant keep their weights, except for columns that vary in few rows.
        """
        theta = theta.astype(np.float64)
        (W, b), (V, c) = ends(theta, widths)
        if before.inputs.scale.any():
            W *= _scale_ratio(before.inputs.scale, self.inputs.scale, self.part(before))[:, None]
        b += ((self.inputs.center - before.inputs.center) * self.inputs.inverse) @ W
        known = (before.unit > 0) & (self.unit > 0)
        ratio = np.divide(before.unit, self.unit, where=known, out=np.ones(len(known)))
        V *= ratio
        c *= ratio
        if shift:
            away = before.center - self.center
            c += np.divide(away, self.unit, where=known, out=np.zeros(len(known)))
        return theta


def _scale_ratio(before, after, part):
    """The factors of columns' weights when their spreads change, by `part` of the rows.

    Rows in which a column varies for the first time are 1 / sqrt(part) spreads away.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(after > 0, after / before, 1.0)
    fresh = sqrt(part) if part >= NEW_COLUMN_SHARE else 0.0
    faded = np.where(before > 0, MAX_SCALE_RATIO**2 / ratio, fresh)
    return np.where(ratio <= MAX_SCALE_RATIO, ratio, faded)


def _columns(problem):
    """The metric of the columns."""
    inputs, limit = metric_of(problem), float(np.finfo(problem.rows.dtype).max)
    large = np.flatnonzero(~(np.maximum(inputs.scale, np.abs(inputs.center)) < limit / 4))
    if len(large):
        raise ValueError(
            f"Column {large[0]} of X is too large: differences of its entries overflow"
        )
    return inputs


@np.errstate(over="ignore", invalid="ignore")
def _statistics(targets, weights):
    """Mean and spread of each target, without squares that overflow or underflow."""
    away = targets - targets[0]
    size = np.abs(away).max(axis=0)
    if not np.isfinite(size).all():
        raise ValueError("y is too large: its differences overflow")
    away /= np.where(size > 0, size, 1.0)
    mean = np.average(away, axis=0, weights=weights)
    spread = size * np.sqrt(np.average((away - mean) ** 2, axis=0, weights=weights))
    return _rounded(TargetStatistics(targets[0] + size * mean, spread))


def _rounded(targets):
    """Targets whose spread is no more than rounding are constant."""
    varies = targets.spread > CONSTANT_TARGET_TOLERANCE * np.abs(targets.center)
    return TargetStatistics(targets.center, np.where(varies, targets.spread, 0.0))
