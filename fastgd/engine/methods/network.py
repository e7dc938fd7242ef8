"""Descent of feed-forward networks: steps by an update rule, steps that need no rate, and quasi-Newton lines over full batches."""
from dataclasses import replace
from math import isfinite, sqrt

import numpy as np

from fastgd.engine.data import Problem
from fastgd.engine.metric import Metric, constant_model, metric_of
from fastgd.engine.objective import REGRESSION
from fastgd.engine.optimizers import SGD, AdamW, Optimizer, ScheduleFree
from fastgd.engine.records import Record
from fastgd.engine.schedules import InverseScaling, Schedule
from fastgd.kernels import network
from fastgd.kernels.network import Activation
from fastgd.kernels.quasi_newton import QuasiNewton, Status

from .descent import Descent, Epoch, State
from .implicit import merged, pooled

ACTIVATIONS = tuple(activation.name.lower() for activation in Activation)
RECTIFIERS = ("relu", "leaky_relu", "gelu", "silu", "softplus")
RATE = 0.25        # of schedule-free steps, over the layers of weights and the root of an epoch's updates
QUIET = 2.0        # times that rate where batches have no noise: they are all rows
WARM_UP = 10       # updates over which that rate is reached
EXPLODED = 10.0    # times the loss of the first model above it: no transient
SLOWER = 4.0       # what an explosion divides the rate by
MOST_SLOWER = 20   # explosions after which nothing helps
MEMORY = 10        # pairs of L-BFGS
FLAT = 2.2e-9      # of the loss: falls below that are rounding, or as good (SciPy's)
RESIDUAL = ("squared_error", "huber", "epsilon_insensitive")  # losses of the difference from the target
MOST_UPDATES = 100 # of a stream, by which its rate falls


# ---- parameters ----

def layers(theta, widths):
    """(W (inputs, units), b (units,)) of each layer of the flat vector, as views."""
    at = 0
    for inputs, units in zip(widths, widths[1:], strict=False):
        W = theta[at:at + inputs * units].reshape(inputs, units)
        at += (inputs + 1) * units
        yield W, theta[at - units:at]


def unpack(theta, widths):
    """(coefs, intercepts): a list each, one entry a layer."""
    coefs, intercepts = zip(*layers(theta, widths), strict=True)
    return [W.copy() for W in coefs], [b.copy() for b in intercepts]


def pack(coefs, intercepts, dtype):
    """The flat vector [W_1, b_1, W_2, b_2, ...] that the kernels descend on."""
    return np.concatenate([np.ravel(part) for pair in zip(coefs, intercepts, strict=True) for part in pair]).astype(dtype)


def ends(theta, widths):
    """The first layer and the last one; they may be the same."""
    parts = [*layers(theta, widths)]
    return parts[0], parts[-1]


def to_user(theta, widths, units):
    """The network in the user's units, of one in `units` (None: the user's)."""
    return units.to_user(theta, widths) if units else theta


def initial(widths, activation, random):
    """Random weights that keep the spread of what passes through, and zero intercepts.

    Uniform in +-sqrt(6 / inputs) before rectifiers (He et al., ICCV 2015), +-sqrt(6 / (inputs + units)) before other layers and
    +-sqrt(2 / (inputs + units)) before logistic units, as scikit-learn has it (Glorot, Bengio, AISTATS 2010).
    """
    theta = np.zeros(sum((inputs + 1) * units for inputs, units in zip(widths, widths[1:], strict=False)))
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
    """The units in which a network works: inputs in the metric's, targets less `center` in those of `spread`.

    `weight` is that of the rows that have told.
    """

    inputs: Metric
    center: np.ndarray
    spread: np.ndarray
    weight: float

    @classmethod
    def of(cls, problem: Problem):
        """Columns of spread 1, and for losses of a residual targets too: one spread for all, so that none counts for more."""
        outputs, visits, weights = problem.objective.outputs, problem.visits, problem.weights
        center, spread = np.zeros(outputs), np.ones(1)
        weights = np.ones(len(visits)) if weights is None else weights[visits]
        if problem.objective.loss in RESIDUAL:
            targets = problem.targets
            size = np.abs(targets).max() or 1.0
            center = np.average(targets / size, axis=0, weights=weights)
            spread = size * np.sqrt(np.average((targets / size - center) ** 2, axis=0, weights=weights).mean(keepdims=True))
            center = size * center
        return cls(metric_of(problem), center, spread, float(weights.sum()))

    def merge(self, new):
        """These units after new rows."""
        part = new.weight / (self.weight + new.weight)
        center, spreads = pooled(self.center, self.spread, new.center, new.spread, part)
        spread = np.sqrt(np.mean(spreads**2, keepdims=True))
        return Units(merged(self.inputs, new.inputs, part), center, spread, self.weight + new.weight)

    @property
    def unit(self):
        """The spread of the targets; 1 where they are constant."""
        return float(self.spread[0]) if self.spread[0] > 1e-12 * np.abs(self.center).max() else 1.0

    def to_user(self, theta, widths):
        """The same network on the user's columns, telling the user's targets; float64."""
        theta = theta.astype(np.float64)
        (W, b), (V, c) = ends(theta, widths)
        W *= self.inputs.inverse[:, None]
        b -= self.inputs.center @ W
        V *= self.unit
        c *= self.unit
        c += self.center
        return theta

    def from_user(self, theta, widths):
        """The inverse."""
        theta = theta.astype(np.float64)
        (W, b), (V, c) = ends(theta, widths)
        c -= self.center
        c /= self.unit
        V /= self.unit
        b += self.inputs.center @ W
        W *= self.inputs.scale[:, None]
        return theta


class NetworkState(State):
    """Where a run stands; `units` are those of theta (None: the user's), `rule` the update rule whose buffers there are."""

    units: Units | None = None
    rule: Optimizer | None = None

    def copy(self):
        first, second = (None if vector is None else vector.copy() for vector in (self.first, self.second))
        return replace(self, theta=self.theta.copy(), first=first, second=second)


class Architecture(Record):
    """What lies between inputs and outputs: the units of the hidden layers, their activation, and the share that is dropped."""

    hidden: tuple
    activation: str
    dropout: float = 0.0

    def codes(self, seed=0):
        """The same for the kernels; `seed` tells which units are dropped."""
        return {"activation": int(Activation[self.activation.upper()]), "dropout": self.dropout, "seed": seed}

    def widths(self, inputs, outputs):
        return np.array([inputs, *self.hidden, outputs])


class PerEpoch(InverseScaling):
    """eta = eta0 / (1 + visits before the epoch)**power_t, scikit-learn's 'invscaling' of networks; `rows` are visited an epoch."""

    rows: int = 1

    def rates(self, t, count, epoch):
        return np.full(count, self.eta0 / (1.0 + self.rows * epoch) ** self.power_t)


class WarmUp(Schedule):
    """eta_t = eta0 min(1, t / WARM_UP)"""

    eta0: float

    def rates(self, t, count, epoch):
        return self.eta0 * np.minimum(np.arange(t, t + count) / WARM_UP, 1.0)


class Backpropagation(Descent):
    """Stochastic, mini-batch and full-batch descent by an update rule, from random weights of seed `seed`.

    `standardises`: steps are taken in the data's own `Units`, without a copy of X; what comes in and out is in the user's.

    References
    ----------
    Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 1986.
    """

    exhausted = False  # whether no further epoch would change anything
    spent = False      # whether that is so because there are no evaluations left
    unit = 1.0         # of losses, for `tol`: in regression by "auto" the best constant model's

    def __init__(self, architecture: Architecture, schedule, optimizer, batch_size, seed, standardises=False):
        super().__init__(schedule, optimizer, batch_size)
        self.architecture, self.seed, self.standardises = architecture, seed, standardises

    def start(self, problem: Problem, theta, earlier: NetworkState | None):
        """Begin at theta, the flat vector in the user's units, or (None) where `earlier` stands, or anew; `earlier` has buffers."""
        self._pose(problem)
        dtype, units = problem.rows.dtype, self._units(earlier)
        self._enter(units)
        if theta is None and earlier is None:
            theta = initial(self.widths, self.architecture.activation, np.random.default_rng(self.seed))
            if units:
                self._set_margin(theta, units)
        else:
            begun = to_user(earlier.theta, self.widths, earlier.units) if theta is None else theta
            begun = units.from_user(begun, self.widths) if units else begun
            if theta is None and units and earlier.units:  # columns that vary for the first time begin with the weights they have
                fresh = earlier.units.inputs.scale == 0
                ends(begun, self.widths)[0][0][fresh] = ends(earlier.theta, self.widths)[0][0][fresh]
            theta = begun
        kept = earlier if earlier is not None and earlier.rule == self.optimizer else None
        first, second = (self._buffer(getattr(kept, name, None), needed, len(theta))
                         for name, needed in zip(("first", "second"), self.optimizer.buffers, strict=True))
        self.state = NetworkState(theta.astype(dtype), first, second, None, False, t=getattr(kept, "t", 1),
                                  epochs=getattr(kept, "epochs", 0), units=units, rule=self.optimizer)

    def resume(self, problem: Problem, position):
        """Begin where an earlier run on the same data was at `position`, and take the very steps that it would have taken."""
        self.state, self._reacted = position
        self._pose(problem)
        self._enter(self.state.units)
        self.schedule = self._reacted or self.schedule

    def _pose(self, problem):
        """What is known before anything is trained."""
        self.problem = problem
        self.widths = self.architecture.widths(problem.rows.shape[1], problem.objective.outputs)
        self._size = min(self.batch_size, len(problem.visits))
        self._updates = -(-len(problem.visits) // self._size)
        self._weight = len(problem.visits) if problem.weights is None else float(problem.weights[problem.visits].sum())
        if self.standardises and problem.objective.loss in REGRESSION:
            self.unit = abs(float(constant_model(problem)[1])) or 1.0

    def _units(self, earlier):
        """The data's own units, those of earlier data among them; None if it is the user's that count."""
        if not self.standardises:
            return None
        units = Units.of(self.problem)
        return units if earlier is None or earlier.units is None else earlier.units.merge(units)

    def _enter(self, units):
        """Work in these units."""
        problem, dtype = self.problem, self.problem.rows.dtype
        self._center = self._inverse = None
        self._y, self.objective, self._factor = problem.y, problem.objective, 1.0
        if units is None:
            return
        self._center, self._inverse = units.inputs.center.astype(dtype), units.inputs.inverse.astype(dtype)
        if problem.objective.loss in RESIDUAL:
            self._y = ((problem.y.reshape(-1, len(units.center)) - units.center) / units.unit).ravel()
            self.objective = replace(problem.objective, delta=problem.objective.delta / units.unit)
            power = 1 if problem.objective.loss == "epsilon_insensitive" else 2
            if units.unit > np.finfo(float).max ** (1 / power):
                raise ValueError(f"y is too large: its spread is {units.unit:g}, and {problem.objective.loss} overflows")
            self._factor = units.unit**power

    def _set_margin(self, theta, units):
        """Counts are best told from their mean on."""
        if self.objective.loss == "poisson":
            means = np.average(self.problem.targets, axis=0)
            ends(theta, self.widths)[1][1][:] = np.log(np.maximum(means, 1e-16))

    def _buffer(self, old, needed, size):
        if not needed:
            return None
        return np.zeros(size, self.problem.rows.dtype) if old is None else old.astype(self.problem.rows.dtype)

    def epoch(self, order):
        """Visit the rows in `order` once; returns an `Epoch`."""
        state, problem = self.state.copy(), self.problem
        rates = self.schedule.rates(state.t, self._updates, state.epochs)
        sums = network.epoch(problem.rows, self._y, problem.weights, order, state.theta, self._center, self._inverse, state.first,
                             state.second, rates, self.widths, self.objective.codes,
                             self.architecture.codes((self.seed << 32) + state.epochs), self.optimizer.codes, self._size, state.t)
        state.t += sums["updates"]
        state.epochs += 1
        self.state = state
        loss = self._factor * (sums["loss"] / self._weight + sums["penalty"] / len(order))
        return Epoch(loss, self._factor * sums["gradient_norm"] / self._updates, float(rates[-1]))

    def loss_at(self, theta):
        """The objective at theta, in the units that the run works in, with a batch's penalty."""
        return self._factor * self._value(theta, None, self._size)

    def _value(self, theta, gradient, rows):
        """The mean loss of all rows and (l2 / 2) |W|^2 / rows (AdamW: nothing); `gradient` receives its derivatives."""
        problem, objective = self.problem, self.objective
        loss = network.gradient(problem.rows, self._y, problem.weights, problem.visits, theta, self._center, self._inverse,
                                gradient, self.widths, objective.codes, self.architecture.codes())
        value = loss / self._weight
        l2 = 0.0 if isinstance(self.optimizer, AdamW) else objective.l2 / rows
        for number, (W, _) in enumerate(layers(theta, self.widths) if l2 else ()):
            value += l2 / 2 * float(np.vdot(W, W))
            if gradient is not None:
                [*layers(gradient, self.widths)][number][0][:] += l2 * W
        return value

    def is_finite(self):
        """Whether all parameters are."""
        return bool(np.isfinite(self.state.theta).all())

    def solution(self):
        """(coefs, intercepts) in the user's units."""
        theta = self._model()
        return unpack(to_user(theta, self.widths, self.state.units).astype(theta.dtype), self.widths)

    def _model(self):
        """The parameters that make the model."""
        return self.state.theta


class Automatic(Backpropagation):
    """Schedule-free Adam in the data's own units, at a rate that follows from the network's depth and an epoch's updates.

    The loss of the first model is remembered: an epoch that ends far above it is taken again at a lower rate.
    """

    def __init__(self, architecture: Architecture, batch_size, seed):
        super().__init__(architecture, None, ScheduleFree(), batch_size, seed, standardises=True)

    def start(self, problem, theta, earlier):
        super().start(problem, theta, earlier)
        updates = max(self._updates, min(self.state.t, MOST_UPDATES))
        quiet = QUIET if updates == 1 else 1.0
        self.schedule = WarmUp(quiet * RATE / ((len(self.widths) - 1) * sqrt(updates)))
        self._first_loss = None

    def position(self):
        """What `resume` needs."""
        return super().position(), self.schedule, self._first_loss

    def resume(self, problem, position):
        """Begin where an earlier run on the same data was at `position`, and take the very steps that it would have taken."""
        own, schedule, self._first_loss = position
        super().resume(problem, own)
        self.schedule = schedule

    def epoch(self, order):
        """Visit the rows in `order` once; returns an `Epoch`."""
        if self._first_loss is None:
            self._first_loss = self.loss_at(self._model())
        before = self.state
        for _ in range(MOST_SLOWER):
            done = super().epoch(order)
            if isfinite(done.gradient_norm) and done.loss <= self._first_loss + EXPLODED * abs(self._first_loss):
                break
            self.state, self.schedule = before, replace(self.schedule, eta0=self.schedule.eta0 / SLOWER)
        return done

    def _model(self):
        return self.optimizer.mean(self.state.theta, self.state.first)


class Lines(Backpropagation):
    """L-BFGS over full batches; an epoch is an iteration. After `max_fun` evaluations of the loss nothing changes any more.

    References
    ----------
    Liu, Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical Programming 1989.
    """

    def __init__(self, architecture: Architecture, seed, max_fun=np.inf):
        super().__init__(architecture, Schedule(), SGD(), np.iinfo(np.intp).max, seed)
        self.max_fun, self._lines = max_fun, None

    def start(self, problem, theta, earlier):
        super().start(problem, theta, earlier)
        self._origin, self._done = self.state, 0

    def position(self):
        """What `resume` needs."""
        return self._origin, self._done, self.state

    def resume(self, problem, position):
        """Begin where an earlier run on the same data was at `position`: its lines, once more, teach the same."""
        origin, done, state = position
        super().resume(problem, (origin, None))
        self._origin, self._done = origin, 0
        for _ in range(done):
            self.epoch(None)
        self.state = state

    def epoch(self, order):
        """One line; the order of the rows does not matter."""
        state = self.state.copy()
        if self._lines is None:
            dtype = self.problem.rows.dtype
            self._lines = QuasiNewton(state.theta.astype(float), None, None, 0.0, MEMORY, 1000 * float(np.finfo(dtype).eps),
                                      dtype == np.float32)
            self._gradient, self._evaluations = np.empty_like(state.theta), 0
            self._tell()
            if not isfinite(self._told):  # no line begins there
                return Epoch(self._told, np.inf, 0.0)
        lines, before, searching = self._lines, self._lines.value, int(Status.SEARCHING)
        status = lines.propose()
        while status == searching:
            status = self._tell()
        state.theta[:] = lines.x
        state.t += 1
        state.epochs += 1
        self.state = state
        flat = before - lines.value <= FLAT * max(abs(before), abs(lines.value), 1.0)
        self._done += 1
        done = status != Status.MOVED or flat
        self.spent = self._evaluations >= self.max_fun and not done
        self.exhausted = done or self.spent
        return Epoch(lines.value, float(np.linalg.norm(lines.gradient)), lines.step)

    def _tell(self):
        """Evaluate the objective where the search asks for it."""
        trial = self._lines.trial.astype(self._gradient.dtype)
        self._told = self._value(trial, self._gradient, self._weight)
        self._evaluations += 1
        return self._lines.tell(self._told, self._gradient.astype(float, copy=False))

    def optimality(self):
        """(the largest component of the gradient, its kind)"""
        return self._lines.norm, "largest component of the gradient"
