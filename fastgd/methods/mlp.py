"""Training of feed-forward networks: update rules, schedule-free Adam with an automatic rate, and
L-BFGS on full batches.
"""

from dataclasses import replace
from math import isfinite, sqrt

import numpy as np

from fastgd.kernels import network
from fastgd.kernels.network import Activation
from fastgd.kernels.quasi_newton import QuasiNewton, Status
from fastgd.methods.method import Epoch
from fastgd.methods.optimizers import SGD, AdamW, Optimizer, ScheduleFree
from fastgd.methods.schedules import InverseScaling, Schedule
from fastgd.methods.sgd import FirstOrder, State
from fastgd.methods.stream import TargetStatistics, merged, merged_targets
from fastgd.problem.constant_model import constant_model
from fastgd.problem.data import is_surely_finite
from fastgd.problem.losses import MIN_FREQUENCY, Huber, Loss
from fastgd.problem.metric import Metric, metric_of
from fastgd.problem.problem import Problem
from fastgd.problem.records import Record

ACTIVATIONS = tuple(activation.name.lower() for activation in Activation)
RECTIFIERS = ("relu", "leaky_relu", "gelu", "silu", "softplus")
# The rate of schedule-free steps for one layer of weights and one update per epoch. It is divided
# by the number of layers and by the square root of the updates.
SCHEDULE_FREE_RATE = 0.25
# Factor on that rate for full batches, whose gradients have no noise.
FULL_BATCH_RATE_FACTOR = 2.0
# The rate rises linearly over this number of updates.
WARM_UP_UPDATES = 10
# An epoch has diverged if its loss exceeds the first model's by this multiple of that loss.
DIVERGED_RATIO = 10.0
# Then it is repeated at the rate divided by this number.
RATE_REDUCTION = 4.0
# Repetitions of an epoch, at most. A guard: 4^20 = 1e12.
MAX_RATE_REDUCTIONS = 20
# Pairs of vectors that L-BFGS stores: SciPy's default.
LBFGS_MEMORY = 10
# L-BFGS has converged once an iteration lowers the loss by at most this share: SciPy's default of
# `ftol`.
RELATIVE_DECREASE_TOLERANCE = 2.2e-9
# The rate of a stream counts at most this number of updates.
MAX_STREAM_UPDATES = 100
# A column's weights are rescaled with its scale up to this ratio per call. Beyond, the column has
# no learnt weights that far out.
MAX_SCALE_RATIO = 4.0
# Columns or targets that vary for the first time reset the buffers of the update rule if the new
# rows are more than this share of all.
NEW_COLUMN_SHARE = 0.1
# Targets are constant if their standard deviation is at most this share of their mean: rounding.
CONSTANT_TARGET_TOLERANCE = 4 * np.finfo(float).eps
# From this size of weights on, the result of an epoch is checked for margins that overflow.
LARGE_WEIGHT = 1e6
# The trained weights may have this size without overflow in the user's units.
HEADROOM = 1e4
# delta / scale of the Huber loss is clipped to this value and its inverse. Beyond, the loss equals
# the squared (absolute) loss up to rounding.
MAX_SCALED_DELTA = 1e100


# ---- parameters ----


def layers(theta, widths):
    """(W (inputs, units), b (units,)) of each layer of the flat vector, as views."""
    at = 0
    for inputs, units in zip(widths, widths[1:], strict=False):
        W = theta[at : at + inputs * units].reshape(inputs, units)
        at += (inputs + 1) * units
        yield W, theta[at - units : at]


def unpack(theta, widths):
    """(coefs, intercepts): a list each, one entry a layer."""
    coefs, intercepts = zip(*layers(theta, widths), strict=True)
    return [W.copy() for W in coefs], [b.copy() for b in intercepts]


def pack(coefs, intercepts, dtype):
    """The flat vector [W_1, b_1, W_2, b_2, ...] that the kernels descend on."""
    return np.concatenate(
        [np.ravel(part) for pair in zip(coefs, intercepts, strict=True) for part in pair]
    ).astype(dtype)


def ends(theta, widths):
    """The first layer and the last one; they may be the same."""
    parts = [*layers(theta, widths)]
    return parts[0], parts[-1]


def to_user(theta, widths, units):
    """The network in the user's units, of one in `units` (None: the user's)."""
    return units.to_user(theta, widths) if units else theta


def initial(widths, activation, random):
    """Random weights that preserve the scale of the activations, and zero intercepts.

    Uniform in +-sqrt(6 / inputs) before rectifiers (He et al., ICCV 2015), +-sqrt(6 / (inputs +
    units)) before other layers and +-sqrt(2 / (inputs + units)) before logistic units, as
    scikit-learn has it (Glorot, Bengio, AISTATS 2010).
    """
    theta = np.zeros(
        sum((inputs + 1) * units for inputs, units in zip(widths, widths[1:], strict=False))
    )
    for number, (W, _) in enumerate(layers(theta, widths), 1):
        inputs, units = W.shape
        hidden = number < len(widths) - 1
        if hidden and activation in RECTIFIERS:
            bound = sqrt(6 / inputs)
        else:
            bound = sqrt((2 if activation == "logistic" else 6) / (inputs + units))
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
        part = new.weight / (self.weight + new.weight)
        targets = merged_targets(self.targets, new.targets, part)
        return Units(
            self.loss,
            merged(self.inputs, new.inputs, part),
            _rounded(targets),
            self.weight + new.weight,
        )

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
        return (
            self.targets.center if self.loss.is_of_residuals else np.zeros(len(self.targets.center))
        )

    @property
    def unit(self):
        """The scale of each output's margins: the targets' standard deviation for residual losses;
        0 for constant targets.
        """
        return (
            self.targets.spread
            if self.loss.is_of_residuals
            else (self.targets.spread > 0).astype(float)
        )

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
            c += np.divide(
                before.center - self.center, self.unit, where=known, out=np.zeros(len(known))
            )
        return theta


def _scale_ratio(before, after, part):
    """The factors of columns' weights when their spreads change, by `part` of the rows.

    Rows in which a column varies for the first time are 1 / sqrt(part) spreads away.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(after > 0, after / before, 1.0)
    fresh = sqrt(part) if part >= NEW_COLUMN_SHARE else 0.0
    return np.where(
        ratio <= MAX_SCALE_RATIO, ratio, np.where(before > 0, MAX_SCALE_RATIO**2 / ratio, fresh)
    )


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
    return TargetStatistics(
        targets.center,
        np.where(
            targets.spread > CONSTANT_TARGET_TOLERANCE * np.abs(targets.center), targets.spread, 0.0
        ),
    )


class NetworkState(State):
    """The state of a run; `units` are those of theta (None: the user's), `rule` is the update rule
    of the buffers.
    """

    units: Units | None = None
    rule: Optimizer | None = None

    def copy(self):
        first, second = (
            None if vector is None else vector.copy() for vector in (self.first, self.second)
        )
        return replace(self, theta=self.theta.copy(), first=first, second=second)


class Architecture(Record):
    """The hidden layers: their numbers of units, the activation, and the dropout rate."""

    hidden: tuple
    activation: str
    dropout: float = 0.0

    def network(self, widths, seed=0, scales=None):
        """The layers as the kernels take them; `seed` determines the dropped units."""
        activation = Activation[self.activation.upper()]
        return network.Network(widths, activation, self.dropout, seed, scales)

    def widths(self, inputs, outputs):
        return np.array([inputs, *self.hidden, outputs])


class PerEpoch(InverseScaling):
    """eta = eta0 / (1 + rows before the epoch)**power_t, scikit-learn's 'invscaling' of networks;
    an epoch has `rows` rows.
    """

    rows: int = 1

    def rates(self, t, count, epoch):
        return np.full(count, self.eta0 / (1.0 + self.rows * epoch) ** self.power_t)


class WarmUp(Schedule):
    """eta_t = eta0 min(1, t / WARM_UP_UPDATES)"""

    eta0: float

    def rates(self, t, count, epoch):
        return self.eta0 * np.minimum(np.arange(t, t + count) / WARM_UP_UPDATES, 1.0)


class Backpropagation(FirstOrder):
    """Stochastic, mini-batch and full-batch descent by an update rule, from random weights drawn
    with `seed`.

    With `standardises` steps are taken in scaled `Units`, without a copy of X. Input and output are
    in the user's units.

    References
    ----------
    Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 1986.
    """

    # Whether further epochs would change nothing.
    settled = False
    # Whether that is because no evaluations are left.
    spent = False
    # The unit of losses for `tol`: in regression by "auto" the loss of the best constant model.
    unit = 1.0

    def __init__(
        self, architecture: Architecture, schedule, optimizer, batch_size, seed, standardises=False
    ):
        super().__init__(schedule, optimizer, batch_size)
        self.architecture, self.seed, self.standardises = architecture, seed, standardises

    def start(self, problem: Problem, theta, earlier: NetworkState | None):
        """Begin at theta, a flat vector in the user's units; with theta=None at the state
        `earlier`, or at random weights. `earlier` also provides the buffers.
        """
        self._set_problem(problem)
        dtype, units = problem.rows.dtype, self._units(earlier)
        self._enter(units)
        kept = earlier if earlier is not None and earlier.rule == self.optimizer else None
        if theta is None and earlier is None:
            theta = initial(
                self.widths, self.architecture.activation, np.random.default_rng(self.seed)
            )
        elif theta is None and units and earlier.units:
            theta = earlier.theta
            if kept and units.outdates(kept.units):
                theta, kept = self.optimizer.mean(theta, kept.first), None
            # Before the end of the warm-up the weights are nearly random, which suits any units.
            if earlier.t > WARM_UP_UPDATES:
                theta = units.follow(theta, self.widths, earlier.units)
        else:
            theta = to_user(earlier.theta, self.widths, earlier.units) if theta is None else theta
            theta = units.from_user(theta, self.widths) if units else theta
        first, second = getattr(kept, "first", None), getattr(kept, "second", None)
        if first is not None and units and kept.t > WARM_UP_UPDATES:
            first = units.follow(first, self.widths, kept.units, shift=False)
        first, second = (
            self._buffer(old, needed, len(theta))
            for old, needed in zip((first, second), self.optimizer.buffers, strict=True)
        )
        self.state = NetworkState(
            theta.astype(dtype),
            first,
            second,
            None,
            False,
            t=getattr(kept, "t", 1),
            epochs=getattr(kept, "epochs", 0),
            units=units,
            rule=self.optimizer,
        )

    def resume(self, problem: Problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`, by the same steps."""
        self.state, self._reacted = resume_point
        self._set_problem(problem)
        self._enter(self.state.units)
        self.schedule = self._reacted or self.schedule

    def _set_problem(self, problem):
        """Set the problem and the sizes that follow from it."""
        self.problem = problem
        self.widths = self.architecture.widths(problem.rows.shape[1], problem.objective.outputs)
        self._size = min(self.batch_size, len(problem.visits))
        self._updates = -(-len(problem.visits) // self._size)
        self._weight = problem.total_weight

    def _units(self, earlier):
        """The units of all rows so far; None for the user's.

        Columns whose weights would overflow, as they are too small, are ignored.
        """
        if not self.standardises:
            return None
        units = Units.of(self.problem)
        if earlier is not None and earlier.units is not None:
            units = earlier.units.merge(units)
        # The weights of a single layer contain both units.
        unit = max(1.0, units.unit.max()) if len(self.widths) == 2 else 1.0
        least, inputs = unit * HEADROOM / float(np.finfo(self.problem.rows.dtype).max), units.inputs
        return replace(
            units, inputs=Metric(inputs.center, np.where(inputs.scale > least, inputs.scale, 0.0))
        )

    def _enter(self, units):
        """Work in these units.

        The reported objective is `_factor` times the trained one, plus `_offset`: in the units of y
        for one target, in units of the spreads for several targets of a residual loss. `validation`
        is (objective, scales of the outputs) for margins and targets in the user's units.
        """
        problem = self.problem
        self._metric = self._scales = None
        self.validation = problem.objective, None
        self._y, self.objective = problem.y, problem.objective
        self._factor, self._offset, self._is_constant = 1.0, 0.0, False
        if units is None:
            self._check_size()
        else:
            self._enter_units(units)
        self._term = replace(problem, y=self._y, objective=self.objective).data_term

    def _enter_units(self, units):
        """Scale columns and targets."""
        problem, dtype = self.problem, self.problem.rows.dtype
        self._metric = units.inputs.center.astype(dtype), units.inputs.inverse.astype(dtype)
        if problem.objective.loss.is_of_residuals:
            self._enter_residuals(units)
        elif problem.objective.loss.has_log_link:
            self._enter_counts(units)
        if not problem.objective.loss.is_of_labels:
            self._is_constant = not units.unit.any()
            self.unit = abs(self._constant_loss()) or 1.0

    def _enter_residuals(self, units):
        """Standardise each target by its own mean and spread."""
        objective, unit, outputs = self.problem.objective, units.unit, len(units.unit)
        limits, varied = np.finfo(self.problem.rows.dtype), np.where(unit > 0, unit, 1.0)
        size = np.maximum(HEADROOM * unit, np.abs(units.center))
        least = HEADROOM * float(limits.smallest_subnormal)
        if size.max() > float(limits.max):
            largest = np.abs(self.problem.targets).max()
            raise ValueError(
                f"y is too large: its largest value is {largest:g}, and weights in {limits.dtype} "
                "overflow"
            )
        if ((0 < unit) & (unit < least)).any():
            least = unit[unit > 0].min()
            raise ValueError(
                f"y is too small: its spread is {least:g}, and weights in {limits.dtype} underflow"
            )
        with np.errstate(over="ignore"):  # of rows that do not count
            self._y = ((self.problem.y.reshape(-1, outputs) - units.center) / varied).ravel()
        shares, factors = (unit > 0).astype(float), np.ones(outputs)
        self._factor = np.ones(outputs) if objective.loss.degree == 1 else varied
        # divided by its largest slope where that is below 1: alpha means the same for any delta
        if isinstance(objective.loss, Huber):
            with np.errstate(over="ignore"):
                delta = np.clip(
                    objective.loss.delta / varied, 1 / MAX_SCALED_DELTA, MAX_SCALED_DELTA
                )
            factors, shares = 1 / delta, shares * delta * np.maximum(delta, 1.0)
            self.objective = replace(objective, loss=Huber(1.0))
            self._factor = varied * np.minimum(delta, 1.0)
        if not unit.all() or isinstance(objective.loss, Huber):
            self._scales = np.array([factors, shares])
        if outputs > 1:
            self.validation = self.objective, np.array([factors / varied, shares])
            self._factor = 1.0
            return
        with np.errstate(over="ignore"):
            self._factor = float(varied[0] * self._factor[0])
        if not isfinite(self._factor):
            raise ValueError(
                f"y is too large: its spread is {varied[0]:g}, and {objective.loss.name} overflows"
            )

    def _enter_counts(self, units):
        """Divide counts by their mean m: exp(z) - y z = m (exp(z') - (y / m) z') - y log m."""
        objective, means, outputs = self.problem.objective, units.targets.center, len(units.unit)
        varied, visits, weights = units.unit > 0, self.problem.visits, self.problem.weights
        weights = None if weights is None else weights[visits]
        mean_targets = np.average(self.problem.targets, axis=0, weights=weights)
        self._y = (self.problem.y.reshape(-1, outputs) / np.where(means > 0, means, 1.0)).ravel()
        self._factor = max(1.0, float(means.max()))
        self._offset = float((np.where(varied, 0.0, means) - mean_targets * units.center).sum())
        shares = np.where(varied, means, 0.0) / self._factor
        self.objective = replace(objective, l2=objective.l2 / self._factor)
        if (shares != 1.0).any():
            self._scales = np.array([np.ones(outputs), shares])

    def _check_size(self):
        """Refuse targets whose squares overflow."""
        if self.problem.objective.loss.is_quadratic:
            largest = float(np.abs(self.problem.targets).max())
            if not isfinite(largest * largest):
                raise ValueError(
                    "y is too large: training would have diverged, since squares of its largest "
                    f"value {largest:g} overflow"
                )

    def _constant_loss(self):
        """The objective of the best constant model of targets."""
        outputs = self.objective.outputs
        factors, shares = np.ones((2, outputs)) if self._scales is None else self._scales
        total = self._offset
        for k in np.flatnonzero(shares):
            objective = replace(self.objective, outputs=1)
            y = self._y.reshape(-1, outputs)[:, k] * factors[k]
            _, loss = constant_model(replace(self.problem, y=y, objective=objective))
            total += self._factor * shares[k] * float(loss)
        return total

    def _buffer(self, old, needed, size):
        if not needed:
            return None
        return (
            np.zeros(size, self.problem.rows.dtype)
            if old is None
            else old.astype(self.problem.rows.dtype)
        )

    def epoch(self, order):
        """Pass once over the rows in `order`; return an `Epoch`."""
        state = self.state.copy()
        rates = self.schedule.rates(state.t, self._updates, state.epochs)
        if self._is_constant:
            state.epochs += 1
            self.state, self.settled = state, True
            return Epoch(self._offset, 0.0, float(rates[-1]))
        term, buffers = self._term.over(order), (state.first, state.second)
        seed = (self.seed << 32) + state.epochs
        layout = self.architecture.network(self.widths, seed, self._scales)
        sums = network.epoch(
            term,
            state.theta,
            self._metric,
            buffers,
            rates,
            layout,
            self.optimizer.codes,
            self._size,
            state.t,
        )
        state.t += sums["updates"]
        state.epochs += 1
        self.state = state
        loss = (
            self._factor * (sums["loss"] / self._weight + sums["penalty"] / len(order))
            + self._offset
        )
        return Epoch(loss, self._factor * sums["gradient_norm"] / self._updates, float(rates[-1]))

    def loss_at(self, theta):
        """The objective at theta, in the units of the run, with a batch's penalty."""
        return self._offset + (
            0.0 if self._is_constant else self._factor * self._value(theta, None, self._size)
        )

    def _value(self, theta, gradient, rows):
        """The mean loss of all rows plus (l2 / 2) |W|^2 / rows (0 for AdamW); `gradient` receives
        the derivatives.
        """
        objective = self.objective
        layout = self.architecture.network(self.widths, scales=self._scales)
        loss = network.gradient(self._term, theta, self._metric, gradient, layout)
        value = loss / self._weight
        l2 = 0.0 if isinstance(self.optimizer, AdamW) else objective.l2 / rows
        for number, (W, _) in enumerate(layers(theta, self.widths) if l2 else ()):
            value += l2 / 2 * float(np.vdot(W, W))
            if gradient is not None:
                [*layers(gradient, self.widths)][number][0][:] += l2 * W
        return value

    def is_finite(self):
        """Whether all parameters are finite and, if they are large, the margins too."""
        size = float(np.abs(self.state.theta).max())
        return size <= LARGE_WEIGHT or (isfinite(size) and isfinite(self.loss_at(self._model())))

    def solution(self):
        """(coefs, intercepts) in the user's units."""
        theta = self._model()
        with np.errstate(over="ignore", invalid="ignore"):
            user = to_user(theta, self.widths, self.state.units).astype(theta.dtype)
        if self.state.units and not is_surely_finite(user) and is_surely_finite(theta):
            raise ValueError(
                "y is too large beside the columns of X: weights between them overflow"
            )
        return unpack(user, self.widths)

    def _model(self):
        """The parameters of the model."""
        return self.state.theta


class AutoScheduleFree(Backpropagation):
    """Schedule-free Adam in scaled units, at a rate that depends on the network's depth and the
    number of updates per epoch.

    An epoch that ends far above the loss of the first model is repeated at a lower rate.
    """

    has_rate = False

    def __init__(self, architecture: Architecture, batch_size, seed):
        super().__init__(architecture, None, ScheduleFree(), batch_size, seed, standardises=True)

    def start(self, problem, theta, earlier):
        super().start(problem, theta, earlier)
        updates = max(self._updates, min(self.state.t, MAX_STREAM_UPDATES))
        quiet = FULL_BATCH_RATE_FACTOR if updates == 1 else 1.0
        self.schedule = WarmUp(
            quiet * SCHEDULE_FREE_RATE / ((len(self.widths) - 1) * sqrt(updates))
        )
        self._first_loss = None

    def resume_point(self):
        """What `resume` needs."""
        return super().resume_point(), self.schedule, self._first_loss

    def resume(self, problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`, by the same steps."""
        own, schedule, self._first_loss = resume_point
        super().resume(problem, own)
        self.schedule = schedule

    def epoch(self, order):
        """Visit the rows in `order` once; returns an `Epoch`."""
        if self._first_loss is None:
            self._first_loss = self.loss_at(self._model())
        before = self.state
        for _ in range(MAX_RATE_REDUCTIONS):
            done = super().epoch(order)
            if isfinite(
                done.gradient_norm
            ) and done.loss <= self._first_loss + DIVERGED_RATIO * abs(self._first_loss):
                break
            self.state = before
            self.schedule = replace(self.schedule, eta0=self.schedule.eta0 / RATE_REDUCTION)
        return done

    def _model(self):
        return self.optimizer.mean(self.state.theta, self.state.first)


class LBFGS(Backpropagation):
    """L-BFGS on full batches; an epoch is an iteration. It stops after `max_fun` evaluations of the
    loss.

    References
    ----------
    Liu, Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical
    Programming 1989.
    """

    has_rate = False

    def __init__(self, architecture: Architecture, seed, max_fun=np.inf):
        super().__init__(architecture, Schedule(), SGD(), np.iinfo(np.intp).max, seed)
        self.max_fun, self._lbfgs = max_fun, None

    def start(self, problem, theta, earlier):
        super().start(problem, theta, earlier)
        self._origin, self._done = self.state, 0

    def resume_point(self):
        """What `resume` needs."""
        return self._origin, self._done, self.state

    def resume(self, problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`, by repeating its line
        searches.
        """
        origin, done, state = resume_point
        super().resume(problem, (origin, None))
        self._origin, self._done = origin, 0
        for _ in range(done):
            self.epoch(None)
        self.state = state

    def epoch(self, order):
        """One line search; the order of the rows does not matter."""
        state = self.state.copy()
        if self._lbfgs is None:
            dtype = self.problem.rows.dtype
            self._lbfgs = QuasiNewton(
                state.theta.astype(float),
                None,
                None,
                0.0,
                LBFGS_MEMORY,
                1000 * float(np.finfo(dtype).eps),
                dtype == np.float32,
            )
            self._gradient, self._evaluations = np.empty_like(state.theta), 0
            self._evaluate_trial()
            # A line search needs a finite value at its start.
            if not isfinite(self._trial_loss):
                return Epoch(self._trial_loss, np.inf, 0.0)
        lines, before, searching = self._lbfgs, self._lbfgs.value, int(Status.SEARCHING)
        status = lines.propose()
        while status == searching:
            status = self._evaluate_trial()
        state.theta[:] = lines.x
        state.t += 1
        state.epochs += 1
        self.state = state
        flat = before - lines.value <= RELATIVE_DECREASE_TOLERANCE * max(
            abs(before), abs(lines.value), 1.0
        )
        self._done += 1
        done = status != Status.MOVED or flat
        self.spent = self._evaluations >= self.max_fun and not done
        self.settled = done or self.spent
        return Epoch(lines.value, float(np.linalg.norm(lines.gradient)), lines.step)

    def _evaluate_trial(self):
        """Evaluate the objective at the trial point of the line search."""
        trial = self._lbfgs.trial.astype(self._gradient.dtype)
        self._trial_loss = self._value(trial, self._gradient, self._weight)
        self._evaluations += 1
        return self._lbfgs.tell(self._trial_loss, self._gradient.astype(float, copy=False))

    def optimality(self):
        """(the largest component of the gradient, its kind)"""
        return self._lbfgs.norm, "largest component of the gradient"
