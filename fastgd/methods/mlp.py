"""Training of feed-forward networks: update rules, schedule-free Adam with an automatic rate, and
L-BFGS on full batches.
"""

from dataclasses import replace
from math import isfinite, sqrt

import numpy as np

from fastgd.kernels import network
from fastgd.kernels.activations import Activation
from fastgd.kernels.cost import Status
from fastgd.methods.lbfgs import LineSearches, Repeatable
from fastgd.methods.method import Epoch
from fastgd.methods.network_units import HEADROOM, ScaledProblem, Units, initial, layers, unpack
from fastgd.methods.optimizers import SGD, AdamW, Optimizer, ScheduleFree
from fastgd.methods.schedules import InverseScaling, Schedule
from fastgd.methods.sgd import FirstOrder, State
from fastgd.problem import passes
from fastgd.problem.data import is_surely_finite
from fastgd.problem.metric import Metric
from fastgd.problem.problem import Problem
from fastgd.problem.records import Record, copied

ACTIVATIONS = tuple(activation.name.lower() for activation in Activation)
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
# Epochs have seeds for dropout that follow each other; those of pools are so many bits apart.
POOL_SEED_BITS = 24
# From this size of weights on, the result of an epoch is checked for margins that overflow.
LARGE_WEIGHT = 1e6


class NetworkState(State):
    """The state of a run; `units` are those of theta (None: the user's), `rule` is the update rule
    of the buffers.
    """

    units: Units | None = None
    rule: Optimizer | None = None


class Architecture(Record):
    """The hidden layers: their numbers of units, the activation, and the dropout rate."""

    hidden: tuple
    activation: str
    dropout: float = 0.0

    def network(self, widths, seed=0, scales=None):
        """The layers as the kernels take them; `seed` determines the dropped units."""
        activation = Activation[self.activation.upper()]
        return network.Network(widths, activation, self.dropout, seed % 2**64, scales)

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

    A subclass may take steps in scaled `Units`, without a copy of X. Input and output are in the
    user's units.

    References
    ----------
    Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 1986.
    """

    # Whether it has settled because no evaluations are left.
    spent = False

    def __init__(self, architecture: Architecture, schedule, optimizer, batch_size, seed, **others):
        super().__init__(schedule, optimizer, batch_size, seed=seed, **others)
        self.architecture = architecture

    def start(self, problem: Problem, theta, earlier: NetworkState | None):
        """Begin at theta, a flat vector in the user's units; with theta=None at the state
        `earlier`, or at random weights. `earlier` also provides the buffers.
        """
        self._set_problem(problem)
        units, dtype = self._units(earlier), problem.rows.dtype
        self._enter(units)
        kept = earlier if earlier is not None and earlier.rule == self.optimizer else None
        if theta is None and earlier is None:
            random = np.random.default_rng(self.seed)
            theta = initial(self.widths, self.architecture.activation, random)
        elif theta is None and units and earlier.units:
            theta = earlier.theta
            if kept and units.outdates(kept.units):
                theta, kept = self.optimizer.mean(theta, kept.first), None
            # Before the end of the warm-up the weights are nearly random, which suits any units.
            if earlier.t > WARM_UP_UPDATES:
                theta = units.follow(theta, self.widths, earlier.units)
        else:
            theta = self._to_user(earlier) if theta is None else theta
            theta = units.from_user(theta, self.widths) if units else theta
        zeros = (np.zeros(len(theta)) if needed else None for needed in self.optimizer.buffers)
        begun = kept or NetworkState(theta, *zeros, rule=self.optimizer)
        first = begun.first
        if units and begun.t > WARM_UP_UPDATES:
            first = units.follow(first, self.widths, begun.units, shift=False)
        vectors = {"theta": theta, "first": first, "second": begun.second}
        vectors = {name: v if v is None else v.astype(dtype) for name, v in vectors.items()}
        self.state = replace(begun, **vectors, units=units)

    def resume(self, problem: Problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`, by the same steps."""
        self._set_problem(problem)
        self._enter(resume_point["state"].units)
        vars(self).update(resume_point)
        self.schedule = self._reacted or self.schedule

    def _set_problem(self, problem):
        """Set the problem and the sizes that follow from it."""
        super()._set_problem(problem)
        self.widths = self.architecture.widths(problem.rows.shape[1], problem.objective.outputs)

    def _units(self, earlier):
        """The units of the run, after the state `earlier`; None for the user's."""
        return None

    def _enter(self, units):
        """Work in these units."""
        self.scaled = ScaledProblem.of(self.problem, units)
        # `tol` counts in losses of the best constant model.
        if units and not self.problem.objective.loss.is_of_labels:
            self.unit = abs(self.scaled.constant_loss()) or 1.0

    def epoch(self, order):
        """Pass once over the rows in `order`; return an `Epoch`."""
        state, scaled = copied(self.state), self.scaled
        rates = self.schedule.rates(state.t, self._updates, state.epochs)
        if scaled.is_constant:
            state.epochs += 1
            self.state, self.settled = state, True
            return Epoch(scaled.offset, 0.0, float(rates[-1]))
        self.state = state
        sums = self._visit(order, rates)
        state.epochs += 1
        loss = sums["loss"] / self.problem.total_weight + sums["penalty"] / len(order)
        norm = scaled.factor * sums["gradient_norm"] / self._updates
        return Epoch(scaled.factor * loss + scaled.offset, norm, float(rates[-1]))

    @property
    def _term(self):
        """The data term that is minimised."""
        return self.scaled.problem.data_term

    def _layers(self, number):
        """The layers of a step, which drop units by the numbers of the epoch and of the pool or
        chunk.
        """
        seed = (self.seed << 32) + self.state.epochs + (number << POOL_SEED_BITS)
        return self.architecture.network(self.widths, seed, self.scaled.scales)

    def _visit_rows(self, term, rates, number):
        """Visit rows in memory, those of the epoch's pool `number`; returns their sums."""
        theta, metric, (rule, buffers) = self.state.theta, self.scaled.metric, self._rule()
        given = rates, self._layers(number), rule, self._size, self.state.t
        return self._count(network.epoch(term, theta, metric, buffers, *given), 0)

    def _visit_all(self, term, rates):
        """An update by the gradient of all rows in chunks; returns the sums of an epoch."""
        theta, metric, (rule, buffers) = self.state.theta, self.scaled.metric, self._rule()
        gradient = np.empty_like(theta)
        loss = passes.network_gradient(term, theta, metric, gradient, self._layers)
        given = buffers, float(rates[0]), self._layers(0), rule, self.state.t
        sums = network.step(term.of_rows, theta, gradient, *given)
        return self._count(sums | {"loss": loss}, 0)

    def loss_at(self, theta):
        """The objective at theta, in the units of the run, with a batch's penalty."""
        scaled = self.scaled
        if scaled.is_constant:
            return scaled.offset
        return scaled.offset + scaled.factor * self._value(theta, None, self._size)

    def _value(self, theta, gradient, rows):
        """The mean loss of all rows plus (l2 / 2) |W|^2 / rows (0 for AdamW); `gradient` receives
        the derivatives.
        """
        scaled, problem = self.scaled, self.scaled.problem
        layout = self.architecture.network(self.widths, scales=scaled.scales)
        given = theta, scaled.metric, gradient, lambda _: layout
        loss = passes.network_gradient(problem.data_term, *given)
        value = loss / self.problem.total_weight
        l2 = 0.0 if isinstance(self.optimizer, AdamW) else problem.objective.l2 / rows
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
            user = self._to_user(replace(self.state, theta=theta)).astype(theta.dtype)
        if self.state.units and not is_surely_finite(user) and is_surely_finite(theta):
            raise ValueError(
                "y is too large beside the columns of X: weights between them overflow"
            )
        return unpack(user, self.widths)

    def _to_user(self, state):
        """The parameters of a state in the user's units."""
        return state.units.to_user(state.theta, self.widths) if state.units else state.theta

    def _model(self):
        """The parameters of the model."""
        return self.state.theta


class AutoScheduleFree(Backpropagation):
    """Schedule-free Adam in scaled units, at a rate that depends on the network's depth and the
    number of updates per epoch.

    An epoch that ends far above the loss of the first model is repeated at a lower rate.
    """

    has_rate = False
    resumed = "state", "schedule", "_first_loss"

    def __init__(self, architecture: Architecture, batch_size, seed, **others):
        super().__init__(architecture, None, ScheduleFree(), batch_size, seed, **others)

    def _units(self, earlier):
        """The units of all rows so far.

        Columns whose weights would overflow, as they are too small, are ignored.
        """
        units = Units.of(self.problem)
        if earlier is not None and earlier.units is not None:
            units = earlier.units.merge(units)
        # The weights of a single layer contain both units.
        unit = max(1.0, units.unit.max()) if len(self.widths) == 2 else 1.0
        least, inputs = unit * HEADROOM / float(np.finfo(self.problem.rows.dtype).max), units.inputs
        scale = np.where(inputs.scale > least, inputs.scale, 0.0)
        return replace(units, inputs=Metric(inputs.center, scale))

    def start(self, problem, theta, earlier):
        super().start(problem, theta, earlier)
        updates = max(self._updates, min(self.state.t, MAX_STREAM_UPDATES))
        quiet = FULL_BATCH_RATE_FACTOR if updates == 1 else 1.0
        rate = quiet * SCHEDULE_FREE_RATE / ((len(self.widths) - 1) * sqrt(updates))
        self.schedule = WarmUp(rate)
        self._first_loss = None

    def epoch(self, order):
        """Visit the rows in `order` once; returns an `Epoch`."""
        if self._first_loss is None:
            self._first_loss = self.loss_at(self._model())
        before = self.state
        for _ in range(MAX_RATE_REDUCTIONS):
            done = super().epoch(order)
            most = self._first_loss + DIVERGED_RATIO * abs(self._first_loss)
            if isfinite(done.gradient_norm) and done.loss <= most:
                break
            self.state = before
            self.schedule = replace(self.schedule, eta0=self.schedule.eta0 / RATE_REDUCTION)
        return done

    def _model(self):
        return self.optimizer.mean(self.state.theta, self.state.first)


class LBFGS(Repeatable, Backpropagation):
    """L-BFGS on full batches; an epoch is an iteration. It stops after `max_fun` evaluations of the
    loss.
    """

    has_rate = False

    def __init__(self, architecture: Architecture, seed, max_fun=np.inf):
        super().__init__(architecture, Schedule(), SGD(), np.iinfo(np.intp).max, seed)
        self.max_fun, self._lines = max_fun, None

    def start(self, problem, theta, earlier):
        super().start(problem, theta, earlier)
        self._origin = self.state

    def epoch(self, order):
        """One line search; the order of the rows does not matter."""
        state = copied(self.state)
        if self._lines is None:
            self._gradient, eps = np.empty_like(state.theta), float(np.finfo(state.theta.dtype).eps)
            single = state.theta.dtype == np.float32
            self._lines = LineSearches(state.theta, LBFGS_MEMORY, eps, single=single)
            self._lines.evaluate(self._objective)
            # A line search needs a finite value at its start.
            if not isfinite(self._lines.told):
                return Epoch(self._lines.told, np.inf, 0.0)
        lines, before = self._lines, self._lines.value
        status = lines.iterate(self._objective)
        state.theta[:] = lines.x
        state.t += 1
        state.epochs += 1
        self.state = state
        size = max(abs(before), abs(lines.value), 1.0)
        is_flat = before - lines.value <= RELATIVE_DECREASE_TOLERANCE * size
        done = status != Status.MOVED or is_flat
        self.spent = lines.evaluations >= self.max_fun and not done
        self.settled = done or self.spent
        return Epoch(lines.value, float(np.linalg.norm(lines.gradient)), lines.step)

    def _objective(self, theta):
        """(value, gradient)"""
        gradient = self._gradient
        rows = self.problem.total_weight
        return self._value(theta.astype(gradient.dtype), gradient, rows), gradient

    def optimality(self):
        """(the largest component of the gradient, its kind)"""
        return self._lines.norm, "largest component of the gradient"
