"""Losses L(z, y) of a margin z and a target y, with all properties of each in one place.

A loss of values compares z with a number y. A loss of labels takes y = +1 or -1 and depends on the
product y z. The softmax loss takes all margins of a row and the number of its class. Values and
slopes are computed by the kernels (``fastgd/kernels/losses.pxd``), which know a loss by its code.

Everything that treats kinks (smoothing, distances to a kink, the importance of rows) is generic
over `kinks`, everything dual over `conjugate` and `domain`. To add a loss see ``docs/adding.md``.
"""

from typing import ClassVar

import numpy as np
from scipy.special import expit, softmax, xlogy

from fastgd.kernels import losses as kernel
from fastgd.problem.records import Settings

# The losses by their names: the class of a loss enters itself.
KINDS = {}

# Lower bound of a class's frequency, and a mean in place of 0, so that constant models stay finite.
MIN_FREQUENCY = 1e-16
# Of the interval in which the best constant is sought: a loss that falls for ever has none.
MAX_DOUBLINGS = 10
# Steps to the mean of a slope, at most. A guard: each step divides a mean by 10 or doubles its
# digits.
MAX_NEWTON_STEPS = 60


class Loss(Settings):
    """A loss with its parameter `delta`: frozen, and equal to another of the same kind and `delta`.

    The class attributes below are those of a smooth loss of values, such as the squared one. Such a
    loss has to define `name` and `conjugate`.
    """

    delta: float = 0.0

    name: ClassVar[str]
    # The estimator's parameter that is `delta`: "epsilon" in units of y, "quantile" or "power".
    parameter: ClassVar[str | None] = None
    # Whether the loss is one of those that `SGDRegressor` and `SGDClassifier` offer.
    is_for_sgd: ClassVar[bool] = True
    # Whether the slope never falls. Otherwise there is no duality gap, and the curvatures of the
    # kernels are the expected ones.
    is_convex: ClassVar[bool] = True
    is_of_labels: ClassVar[bool] = False
    # Whether a row has one loss of all outputs, whose target is the number of a class.
    is_joint: ClassVar[bool] = False
    # The largest second derivative in z; infinite where there is a kink, or no bound.
    max_curvature: ClassVar[float] = 1.0
    # A bound of the absolute slope.
    max_slope: ClassVar[float] = np.inf
    # ((place, jump of the slope), ...) in z - y or, of labels, in y z.
    kinks: ClassVar[tuple] = ()
    is_quadratic: ClassVar[bool] = False
    # Whether the loss has quadratic pieces, between which the second derivative jumps.
    is_piecewise_quadratic: ClassVar[bool] = False
    # Whether Newton's method needs the loss smoothed, since it is linear over long intervals.
    needs_smoothing: ClassVar[bool] = False
    # Whether for some targets the loss falls to 0 far out, and never reaches it. An objective
    # without a penalty may then have no minimum.
    vanishes_far_out: ClassVar[bool] = False
    # Whether W = 0 is a minimum whatever the data.
    has_trivial_minimum: ClassVar[bool] = False
    # L(t z, t y) = t^degree L(z, y), with `delta` scaled too if it is in units of y; 0 if not.
    degree: ClassVar[int] = 0
    # Whether L depends on z - y alone, and has its minimum where that is 0.
    is_of_residuals: ClassVar[bool] = False
    # Whether dual coordinate descent has a step for the loss.
    has_dual_step: ClassVar[bool] = False
    # Whether passive-aggressive steps are defined.
    has_passive_aggressive_step: ClassVar[bool] = False
    # Whether `probability(z)` is defined: that of the label +1 or, for the softmax loss, of each
    # class (n, outputs).
    has_probabilities: ClassVar[bool] = False
    least_target: ClassVar[float] = -np.inf
    # Whether the mean of y is exp(z).
    has_log_link: ClassVar[bool] = False
    # Whether a scale is estimated too: see ``fastgd/problem/huber_scale.py``.
    has_scale: ClassVar[bool] = False
    # The user's function, of a custom loss.
    function: ClassVar[object] = None

    # The kernels' number of the loss, which `name` in capitals finds.
    code: ClassVar[kernel.Loss]

    def __init_subclass__(cls):
        super().__init_subclass__()
        if "name" in vars(cls):
            cls.code = kernel.Loss[cls.name.upper()]
            KINDS[cls.name] = cls

    # ---- values ----

    @property
    def address(self):
        """Of a custom function, for the kernels; 0 if there is none."""
        return self.function.kernel.address if self.function else 0

    def evaluate(self, z, y, width=0.0):
        """(values, slopes dL/dz), its kinks smoothed over `width`; float64.

        `z` and `y` have shape (n,); for the softmax loss `z` is (n, outputs), and so are the
        slopes.
        """
        return kernel.evaluate(self.code, self.delta, z, y, width, custom=self.address)

    # ---- shape ----

    @property
    def is_smooth(self):
        """Whether the slope never jumps."""
        return not self.kinks

    @property
    def smoothing_points(self):
        """The points that smoothing acts on, as `kinks`; Huber's are the ends of its parabola."""
        return self.kinks

    def distance(self, z, y):
        """The distance of each margin from the nearest smoothing point; infinite without one."""
        at = y * z if self.is_of_labels else z - y
        far = np.full_like(at, np.inf)
        for place, _ in self.smoothing_points:
            np.minimum(far, np.abs(at - place), out=far)
        return far

    @property
    def largest_jump(self):
        """The largest jump of the slope at a smoothing point; 0 without one."""
        return max((jump for _, jump in self.smoothing_points), default=0.0)

    def is_exact_at(self, width):
        """Whether smoothing over `width` changes nothing."""
        return not self.smoothing_points

    def smoothed_width(self, width):
        """The distance from a kink within which the smoothed loss is curved."""
        return width

    def smoothing_cost(self, width, curvature, n):
        """An upper bound of the smoothing error of the mean loss of `n` rows, if their smoothed
        losses have this total `curvature`.

        A row on a kink has curvature 1 / width, and an error of at most width / 8.
        """
        return max(width * curvature, 1.0) * width / (8 * n)

    def typical_curvature(self, y):
        """A bound of the second derivative or, where there is none, a guess from the targets."""
        return self.max_curvature if np.isfinite(self.max_curvature) else 1.0

    def curvature_of_constant(self, y):
        """About the mean second derivative at the best constant model."""
        return self.typical_curvature(y)

    def inverse_curvature(self, targets):
        """(outputs,) the change of a margin per unit of slope in a step of rate 1.

        It is 1 / curvature or, at kinks and for values whose slopes are bounded, as far as targets
        with the means `targets.center` and standard deviations `targets.scale` ask for.
        """
        gain = np.full(len(targets.center), 1 / self.typical_curvature(targets.center))
        return gain if self.is_of_labels else np.maximum(gain, targets.scale / self.max_slope)

    # ---- duality ----

    def domain(self, y):
        """(lowest, highest) slope that L(z, y) can have, each of the shape of y; None for the
        softmax loss.
        """
        return np.full_like(y, -self.max_slope), np.full_like(y, self.max_slope)

    def conjugate(self, s, y):
        """L*(s, y) = max_z (s z - L(z, y)) of slopes within the domain."""
        raise NotImplementedError

    def mobility(self, s, low, high):
        """The curvature at slopes s, up to a factor: how much they change with the margin."""
        return ((low < s) & (s < high) & (s != 0)).astype(float)

    # ---- models ----

    def best_constant(self, y, weights):
        """The b that minimises sum_i weights_i L(b, y_i); the weights sum to 1."""

        def slope(b):
            return weights @ self.evaluate(np.full(len(y), b), y)[1]

        return _root(slope, y.min(), y.max())

    @classmethod
    def mean(cls, z):
        """The mean of y that a model with margins z predicts."""
        return np.exp(z) if cls.has_log_link else z


class SquaredError(Loss):
    """(z - y)^2 / 2"""

    name = "squared_error"
    is_quadratic = is_of_residuals = True
    degree = 2

    def conjugate(self, s, y):
        return s * (y + s / 2)

    def mobility(self, s, low, high):
        return np.ones_like(s)

    def best_constant(self, y, weights):
        return weights @ y


class Huber(Loss):
    """(z - y)^2 / 2 within delta of y, delta (|z - y| - delta / 2) beyond."""

    name = "huber"
    parameter = "epsilon"
    is_piecewise_quadratic = needs_smoothing = is_of_residuals = True
    degree = 2

    @property
    def max_slope(self):
        return self.delta

    @property
    def smoothing_points(self):
        return (-self.delta, self.delta), (self.delta, self.delta)

    def is_exact_at(self, width):
        """Whether the width is within `delta`, up to which the loss itself is quadratic."""
        return width <= self.delta

    def smoothed_width(self, width):
        return max(width, self.delta)

    def smoothing_cost(self, width, curvature, n):
        """A row within `width` has curvature delta / width, and costs delta (width - delta) / 2 at
        most.
        """
        width = self.smoothed_width(width)
        return max(width * curvature, self.delta) * (width - self.delta) / (2 * n)

    def inverse_curvature(self, targets):
        spread = targets.scale
        return np.maximum(1.0, spread / max(self.delta, 1e-3 * spread.max(), 1e-300))

    def conjugate(self, s, y):
        return s * (y + s / 2)


class HuberWithScale(Huber):
    """sigma / 2 + sigma H(r / sigma) with Huber's loss H of the threshold `delta`, where sigma is
    the best one of all rows; a row alone has the loss H.
    """

    has_scale = True
    parameter = None  # it has no unit
    degree = 1

    def best_constant(self, y, weights):
        """The mean; the best constant needs the scale: the method has it."""
        return weights @ y


class _Tube(Loss):
    """Losses of values with kinks: straight, or 0, between them."""

    needs_smoothing = True
    max_curvature = np.inf
    max_slope = 1.0
    degree = 1

    def inverse_curvature(self, targets):
        return np.where(targets.scale > 0, targets.scale, 1.0)


class EpsilonInsensitive(_Tube):
    """max(|z - y| - delta, 0)"""

    name = "epsilon_insensitive"
    parameter = "epsilon"
    is_of_residuals = has_dual_step = has_passive_aggressive_step = True

    @property
    def kinks(self):
        return (-self.delta, 1.0), (self.delta, 1.0)

    def conjugate(self, s, y):
        return s * y + self.delta * np.abs(s)

    def best_constant(self, y, weights):
        """The middle of all that are best."""
        ends = np.concatenate([y - self.delta, y + self.delta])
        weights = np.concatenate([weights, weights]) / 2
        return (_quantile(ends, weights, 0.5) - _quantile(-ends, weights, 0.5)) / 2


class SquaredEpsilonInsensitive(Loss):
    """max(|z - y| - delta, 0)^2"""

    name = "squared_epsilon_insensitive"
    parameter = "epsilon"
    is_piecewise_quadratic = True
    max_curvature = 2.0
    degree = 2

    def conjugate(self, s, y):
        return s * y + self.delta * np.abs(s) + s * s / 4


class Quantile(_Tube):
    """delta (y - z) above z, (1 - delta) (z - y) below: the best constant is the quantile delta."""

    name = "quantile"
    parameter = "quantile"
    kinks = ((0.0, 1.0),)

    def domain(self, y):
        return np.full_like(y, -self.delta), np.full_like(y, 1 - self.delta)

    def conjugate(self, s, y):
        return s * y

    def best_constant(self, y, weights):
        return _quantile(y, weights, self.delta)


class Poisson(Loss):
    """exp(z) - y z: minus the log-likelihood of counts y with mean exp(z), up to a constant."""

    name = "poisson"
    max_curvature = np.inf
    least_target = 0.0
    has_log_link = vanishes_far_out = True

    def typical_curvature(self, y):
        return max(1.0, y.max())

    def curvature_of_constant(self, y):
        return y.mean()

    def inverse_curvature(self, targets):
        return 1 / np.maximum(targets.center, 1.0)

    def domain(self, y):
        return -y, np.full_like(y, np.inf)

    def conjugate(self, s, y):
        return xlogy(s + y, s + y) - (s + y)

    def mobility(self, s, low, high):
        return s - low

    def best_constant(self, y, weights):
        return np.log(_positive(weights @ y))


class _OfMeans(Loss):
    """Losses of positive targets that compare y with a mean exp(z), or z: half of the Tweedie
    deviance of the power `delta`, up to a constant.
    """

    max_curvature = np.inf
    is_for_sgd = False
    has_log_link = True

    def typical_curvature(self, y):
        """The expected second derivative at the mean of the targets."""
        return _positive(float(np.mean(y))) ** (2 - self.delta)

    def best_constant(self, y, weights):
        return np.log(_positive(weights @ y))


class Gamma(_OfMeans):
    """z + y exp(-z): minus the log-likelihood of gamma distributed y with mean exp(z), up to a
    factor and a constant.
    """

    name = "gamma"

    def typical_curvature(self, y):
        return 1.0

    def domain(self, y):
        return np.full_like(y, -np.inf), np.ones_like(y)

    def conjugate(self, s, y):
        ratio = 1 - s
        return xlogy(ratio, ratio / y) - ratio

    def mobility(self, s, low, high):
        return high - s


class Tweedie(_OfMeans):
    """m^(2-p) / (2-p) - y m^(1-p) / (1-p) with m = exp(z), p = delta: convex for 1 <= p <= 2."""

    name = "tweedie"
    parameter = "power"
    vanishes_far_out = True

    @property
    def is_convex(self):
        return 1 <= self.delta <= 2

    def domain(self, y):
        """Slopes from 0, or without a bound for y > 0; NaN where there is no conjugate."""
        high = np.inf if self.is_convex else np.nan
        return np.where(y > 0, -high, 0 * high), np.full_like(y, high)

    def conjugate(self, s, y):
        z = np.log(self._mean_of_slope(s, y))
        return s * z - self.evaluate(np.ravel(z), np.ravel(y))[0].reshape(z.shape)

    def _mean_of_slope(self, s, y):
        """The mean m with m^(1-p) (m - y) = s, by Newton's method on m - s m^(p-1) - y: it is
        convex or concave, so that the steps from some point on have one sign.
        """
        q = self.delta - 1
        m = np.where(s > 0, y + np.maximum(s, 0) ** (1 / (1 - q)), y / 2)
        m = np.maximum(m, MIN_FREQUENCY)
        for _ in range(MAX_NEWTON_STEPS):
            before, power = m, s * m**q
            m = m - (m - power - y) / np.maximum(1 - q * power / m, MIN_FREQUENCY)
            m = np.maximum(m, np.maximum(before / 10, MIN_FREQUENCY))
            if (np.abs(m - before) <= 1e-14 * m).all():
                break
        return m

    def mobility(self, s, low, high):
        return np.where(np.isinf(low), 1.0, s - low)


class TweedieIdentity(_OfMeans):
    """z^(2-p) / (2-p) - y z^(1-p) / (1-p), its limits for p = 1 and 2; z > 0 is the mean."""

    name = "tweedie_identity"
    parameter = "power"
    has_log_link = False

    @property
    def is_convex(self):
        return self.delta == 1

    def typical_curvature(self, y):
        return _positive(float(np.mean(y))) ** -self.delta

    def domain(self, y):
        """NaN: there is no conjugate."""
        return np.full_like(y, np.nan), np.full_like(y, np.nan)

    def best_constant(self, y, weights):
        return _positive(weights @ y)


class _OfLabels(Loss):
    """Losses of y z with y = +1 or -1; slopes go from -`max_slope` y to 0."""

    is_of_labels = True
    max_slope = 1.0

    def domain(self, y):
        return np.where(y > 0, -self.max_slope, 0.0), np.where(y > 0, 0.0, self.max_slope)


class LogLoss(_OfLabels):
    """log(1 + exp(-y z))"""

    name = "log_loss"
    max_curvature = 0.25
    vanishes_far_out = has_dual_step = has_probabilities = True

    def conjugate(self, s, y):
        p = np.abs(s)
        return xlogy(p, p) + xlogy(1 - p, 1 - p)

    def mobility(self, s, low, high):
        return (s - low) * (high - s)

    def best_constant(self, y, weights):
        positive = weights @ (y > 0)
        return np.log(max(positive, MIN_FREQUENCY)) - np.log(max(1 - positive, MIN_FREQUENCY))

    def probability(self, z):
        return expit(z)


class Hinge(_OfLabels):
    """max(1 - y z, 0)"""

    name = "hinge"
    needs_smoothing = has_dual_step = has_passive_aggressive_step = True
    max_curvature = np.inf
    kinks = ((1.0, 1.0),)

    def conjugate(self, s, y):
        return s * y

    def best_constant(self, y, weights):
        return np.sign(2 * (weights @ (y > 0)) - 1)


class SquaredHinge(_OfLabels):
    """max(1 - y z, 0)^2"""

    name = "squared_hinge"
    is_piecewise_quadratic = has_dual_step = True
    max_curvature = 2.0
    max_slope = np.inf

    def conjugate(self, s, y):
        return s * (y + s / 4)

    def best_constant(self, y, weights):
        return 2 * (weights @ (y > 0)) - 1


class ModifiedHuber(SquaredHinge):
    """max(1 - y z, 0)^2 where y z >= -1, -4 y z below."""

    name = "modified_huber"
    has_dual_step, has_probabilities = False, True
    max_slope = 4.0

    def probability(self, z):
        return (np.clip(z, -1, 1) + 1) / 2


class Perceptron(_OfLabels):
    """max(-y z, 0)"""

    name = "perceptron"
    needs_smoothing = has_trivial_minimum = True
    max_curvature = np.inf
    kinks = ((0.0, 1.0),)

    def conjugate(self, s, y):
        return np.zeros_like(s)

    def best_constant(self, y, weights):
        return 0.0


class Softmax(Loss):
    """log sum_k exp(z_k) - z_y: y is the number of the row's class."""

    name = "softmax"
    is_of_labels = is_joint = vanishes_far_out = has_probabilities = True
    max_curvature = 0.5

    def domain(self, y):
        """None: adding 1 to the slope of a row's own class makes the row a distribution."""
        return None

    def conjugate(self, s, y):
        """(n,) for slopes (n, outputs) and class numbers (n,)."""
        p = s.copy()
        p[np.arange(len(p)), y.astype(np.intp)] += 1
        p = np.maximum(p, 0)
        return xlogy(p, p).sum(axis=1)

    def probability(self, z):
        return softmax(z, axis=1)


class Custom(Loss):
    """A custom loss: a user's function, which provides values and slopes only."""

    function: object = None

    name = "custom"


# A custom loss is asked for by a function.
del KINDS[Custom.name]
# The names of the losses that SGD offers, and of those of values among them.
FOR_SGD = tuple(name for name, kind in KINDS.items() if kind.is_for_sgd)
OF_VALUES = tuple(name for name in FOR_SGD if not KINDS[name].is_of_labels)


def loss_of(name, delta=0.0):
    """The loss of that name and parameter."""
    return KINDS[name](float(delta))


def kind_of(loss):
    """The class of a loss, given by its name or as a function."""
    return KINDS[loss] if isinstance(loss, str) else Custom


def _positive(mean):
    """A mean, or a small one in place of 0."""
    return mean if mean > 0 else MIN_FREQUENCY


def _quantile(y, weights, level):
    """The smallest y such that at least `level` of the weight is at most y."""
    order = np.argsort(y, kind="stable")
    below = np.cumsum(weights[order])
    return y[order[min(np.searchsorted(below, level * (1 - 1e-15)), len(y) - 1)]]


def _root(slope, low, high):
    """Where a slope that never falls is 0: regula falsi with the Illinois rule between low and
    high, which move apart first until the slope changes its sign between them.
    """
    below, above, width = slope(low), slope(high), max(high - low, 1.0)
    for _ in range(MAX_DOUBLINGS):
        if below > 0:
            low, high, above = low - width, low, below
            below = slope(low)
        elif above < 0:
            low, high, below = high, high + width, above
            above = slope(high)
        else:
            break
        width *= 2
    for _ in range(100):
        if not (below < 0 < above) or high - low <= 1e-15 * (abs(low) + abs(high)):
            break
        b = min(max(high - above * (high - low) / (above - below), low), high)
        here = slope(b)
        if here == 0:
            return b
        if here < 0:
            low, below, above = b, here, above / 2
        else:
            high, above, below = b, here, below / 2
    return low if -below < above else high
