"""The parameters of a network as one vector, and the units in which it is trained."""

from dataclasses import replace
from itertools import pairwise
from math import isfinite, sqrt

import numpy as np

from fastgd.problem.constant_model import constant_model
from fastgd.problem.losses import MIN_FREQUENCY, Huber, Loss
from fastgd.problem.metric import Metric, merged, metric_of
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
# The trained weights may have this size without overflow in the user's units.
HEADROOM = 1e4
# delta / scale of the Huber loss is clipped to this value and its inverse. Beyond, the loss equals
# the squared (absolute) loss up to rounding.
MAX_SCALED_DELTA = 1e100


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
    targets: Metric
    weight: float

    @classmethod
    def of(cls, problem: Problem):
        """Those of a problem's rows."""
        outputs, weights = problem.objective.outputs, problem.row_weights
        targets = Metric(np.zeros(outputs), np.ones(outputs))
        if not problem.objective.loss.is_of_labels:
            targets = _statistics(problem.targets, weights)
        return cls(problem.objective.loss, _columns(problem), targets, float(weights.sum()))

    def merge(self, new):
        """Those of all rows, `new` ones among them."""
        weight = self.weight + new.weight
        part = new.weight / weight
        targets = merged(self.targets, new.targets, part, CONSTANT_TARGET_TOLERANCE)
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
        spread = self.targets.scale
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
    center = targets[0] + size * mean
    varies = spread > CONSTANT_TARGET_TOLERANCE * np.abs(center)
    return Metric(center, np.where(varies, spread, 0.0))


class ScaledProblem(Record):
    """The problem that a network is trained on, in its units.

    The reported objective is `factor` times its objective, plus `offset`: in the units of y for one
    target, in units of the spreads for several targets of a residual loss. `scales` are the factors
    of the outputs' margins and targets, and of their losses (None: 1). `metric` is (center, 1 /
    scale) of the columns. `validation` is (objective, scales) for margins and targets in the user's
    units. `is_constant` says that all targets are: then there is nothing to train.
    """

    problem: Problem
    validation: tuple
    scales: np.ndarray | None = None
    factor: float = 1.0
    offset: float = 0.0
    metric: tuple | None = None
    is_constant: bool = False

    @classmethod
    def of(cls, problem, units):
        """The problem in these units; None: the user's."""
        scaled, loss = cls(problem, (problem.objective, None)), problem.objective.loss
        if units is None:
            _check_size(problem)
            return scaled
        if loss.is_of_residuals:
            scaled = _standardised(problem, units)
        elif loss.has_log_link:
            scaled = _relative_to_mean(problem, units)
        dtype = problem.rows.dtype
        scaled.metric = units.inputs.center.astype(dtype), units.inputs.inverse.astype(dtype)
        scaled.is_constant = not (loss.is_of_labels or units.unit.any())
        return scaled

    def constant_loss(self):
        """The objective of the best constant model of targets."""
        problem, outputs = self.problem, self.problem.objective.outputs
        factors, shares = np.ones((2, outputs)) if self.scales is None else self.scales
        total, objective = self.offset, replace(problem.objective, outputs=1)
        for k in np.flatnonzero(shares):
            y = problem.y.reshape(-1, outputs)[:, k] * factors[k]
            _, loss = constant_model(replace(problem, y=y, objective=objective))
            total += self.factor * shares[k] * float(loss)
        return total


def _check_size(problem):
    """Refuse targets whose squares overflow."""
    if problem.objective.loss.is_quadratic:
        largest = float(np.abs(problem.targets).max())
        if not isfinite(largest * largest):
            raise ValueError(
                "y is too large: training would have diverged, since squares of its largest "
                f"value {largest:g} overflow"
            )


def _standardised(problem, units):
    """Targets with a residual loss, each divided by its own spread."""
    objective, unit, outputs = problem.objective, units.unit, len(units.unit)
    limits, varied = np.finfo(problem.rows.dtype), np.where(unit > 0, unit, 1.0)
    size = np.maximum(HEADROOM * unit, np.abs(units.center))
    if size.max() > float(limits.max):
        largest = np.abs(problem.targets).max()
        raise ValueError(
            f"y is too large: its largest value is {largest:g}, and weights in {limits.dtype} "
            "overflow"
        )
    if ((0 < unit) & (unit < HEADROOM * float(limits.smallest_subnormal))).any():
        least = unit[unit > 0].min()
        raise ValueError(
            f"y is too small: its spread is {least:g}, and weights in {limits.dtype} underflow"
        )
    factors, shares = np.ones(outputs), (unit > 0).astype(float)
    factor = np.ones(outputs) if objective.loss.degree == 1 else varied
    scales = None if unit.all() else np.array([factors, shares])
    # Rows that do not count may overflow.
    with np.errstate(over="ignore"):
        y = ((problem.y.reshape(-1, outputs) - units.center) / varied).ravel()
        # The loss is divided by its largest slope where that is below 1: alpha means the same for
        # any delta.
        if isinstance(objective.loss, Huber):
            delta = objective.loss.delta / varied
            delta = np.clip(delta, 1 / MAX_SCALED_DELTA, MAX_SCALED_DELTA)
            factors, shares = 1 / delta, shares * delta * np.maximum(delta, 1.0)
            scales, objective = np.array([factors, shares]), replace(objective, loss=Huber(1.0))
            factor = varied * np.minimum(delta, 1.0)
        factor = float(varied[0] * factor[0]) if outputs == 1 else 1.0
    if not isfinite(factor):
        name = problem.objective.loss.name
        raise ValueError(f"y is too large: its spread is {varied[0]:g}, and {name} overflows")
    validation = problem.objective, None
    if outputs > 1:
        validation = objective, np.array([factors / varied, shares])
    return ScaledProblem(replace(problem, y=y, objective=objective), validation, scales, factor)


def _relative_to_mean(problem, units):
    """Counts divided by their mean m: exp(z) - y z = m (exp(z') - (y / m) z') - y log m."""
    objective, means, outputs = problem.objective, units.targets.center, len(units.unit)
    weights = None if problem.weights is None else problem.row_weights
    mean_targets = np.average(problem.targets, axis=0, weights=weights)
    y = (problem.y.reshape(-1, outputs) / np.where(means > 0, means, 1.0)).ravel()
    factor, varied = max(1.0, float(means.max())), units.unit > 0
    offset = float((np.where(varied, 0.0, means) - mean_targets * units.center).sum())
    shares = np.where(varied, means, 0.0) / factor
    scales = np.array([np.ones(outputs), shares]) if (shares != 1.0).any() else None
    scaled = replace(problem, y=y, objective=replace(objective, l2=objective.l2 / factor))
    return ScaledProblem(scaled, (objective, None), scales, factor, offset)
