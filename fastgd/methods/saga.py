"""Variance-reduced stochastic steps: SAGA on scaled columns, for finite sums."""

from dataclasses import replace

import numpy as np

from fastgd.kernels import implicit, variance
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.order import sample
from fastgd.methods.certificate import Certificate, PositiveCertificate
from fastgd.methods.extrapolation import Extrapolation
from fastgd.methods.implicit_sgd import TargetStatistics, average_weight
from fastgd.methods.line_search import LineSearch
from fastgd.methods.method import Epoch, Method
from fastgd.problem.constant_model import constant_model, rounding_floor
from fastgd.problem.duality import rounding_of
from fastgd.problem.layout import pack, unpack
from fastgd.problem.losses import SquaredError
from fastgd.problem.metric import Space, column_density, damp_rare_columns, metric_of
from fastgd.problem.nonsmooth_penalty import NonsmoothPenalty
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem
from fastgd.problem.records import Record
from fastgd.training.loop import MAX_LOSS_RATIO

# The share of the sampling probability that is uniform; the rest follows the curvature. It bounds
# the importance weight of a row by 1 / 0.2 = 5.
UNIFORM_SHARE = 0.2
# The same for losses with kinks, where the rest follows the distance from a kink.
UNIFORM_SHARE_NONSMOOTH = 0.5
# A row's curvature is the largest within the recent movement of its margin, and at least within
# this radius.
MIN_RADIUS = 0.5
# Rate of the first passes, in units of the inverse mean curvature, for losses whose curvature falls
# as margins grow.
WARM_UP_RATE = 4.0
# The same for quadratic losses, whose curvature is constant.
WARM_UP_RATE_QUADRATIC = 1.0
# The same for losses with kinks, whose curvature has no bound.
WARM_UP_RATE_NONSMOOTH = 2.0
# Steps are 1 / (STEP_DIVISORS L): the first divisor while the memory is young, the second from
# epoch EARLY_EPOCHS on. 1 / (3 L) is the step of the SAGA paper.
STEP_DIVISORS = 3.0, 2.0
EARLY_EPOCHS = 8
# A rate is at most this multiple of the last one.
MAX_RATE_GROWTH = 4.0
# A loss is suspect if it rises by more than this share of the gain over the constant model.
RELATIVE_RISE = 0.01
# The same for losses with kinks, where only the average of the iterates converges.
RELATIVE_RISE_NONSMOOTH = 0.1
# Rate for losses with kinks, in units of the rate that minimises the bound of Point-SAGA.
RATE_NONSMOOTH = 1.2
# Lower bound of the norm of the slopes in that rate. A guard: if no row has a slope, the rate would
# be infinite.
MIN_SLOPE_NORM = 0.03
# Iterates per epoch that enter the average, for losses with kinks.
ITERATES_PER_EPOCH = 16
# The line searches end after one that lowers the objective by less than this share.
LINE_SEARCH_TOLERANCE = 1e-3
# The curvature of a batch is estimated from this number of rows.
POWER_ITERATION_ROWS = 500
# Power iterations for that estimate, which is a lower bound.
POWER_ITERATIONS = 3
# Factor on that estimate.
POWER_ITERATION_MARGIN = 1.5


class State(Record):
    """The state of a run.

    `v` is [W, b] in scaled columns. `memory` holds each row's stale margins, its slopes there and
    |x|^2, and the sum of slope x'. `radius` is how far each row's margins moved between visits. An
    epoch works on a copy, so that an interrupted one leaves the last model unchanged. The per-row
    arrays are copied only if a later run may resume.
    """

    v: np.ndarray
    memory: tuple
    radius: np.ndarray
    rates: np.ndarray
    average: np.ndarray
    averaged: int = 0
    epochs: int = 0
    updates: int = 0

    @property
    def t(self):
        """The number of the next update, from 1."""
        return self.updates + 1

    def copy(self, rows):
        """A copy; `rows` says whether to copy the per-row arrays too."""
        memory, radius = (
            (tuple(part.copy() for part in self.memory), self.radius.copy())
            if rows
            else (self.memory, self.radius)
        )
        return State(
            self.v.copy(),
            memory,
            radius,
            self.rates,
            self.average.copy(),
            self.averaged,
            self.epochs,
            self.updates,
        )


class SAGA(Method):
    """SAGA with importance sampling; one or two passes of implicit steps fill the memory of slopes.

    The sampling probability of a row, and the step length, follow the curvature of the loss near
    the row's last margin. So a step may be too long. If the loss at the stale margins rises, an
    epoch computes the exact loss; if the model is worse than the last good one, that one is
    restored and the steps are halved. Losses with kinks take implicit steps of any length: rows
    near a kink are sampled most, and the model is an average of iterates. An epoch samples as many
    rows as there are.

    References
    ----------
    Defazio, Bach, Lacoste-Julien, "SAGA: a fast incremental gradient method", NIPS 2014; Schmidt et
    al., "Non-uniform stochastic average gradient method for training conditional random fields",
    AISTATS 2015; Vainsencher, Liu, Zhang, "Local smoothness in variance reduced optimization", NIPS
    2015; Defazio, "A simple practical accelerated method for finite sums", NIPS 2016; Gazagnadou,
    Gower, Salmon, "Optimal mini-batch and step sizes for SAGA", ICML 2019.
    """

    def __init__(self, batch_size: int, seed: int, tol: float | None = None):
        self.batch_size, self._seed, self.tol = batch_size, seed, tol

    # ---- start ----

    checkpointed = (
        "state",
        "_divisor_factor",
        "_good",
        "_good_loss",
        "_best",
        "_suspicion",
        "_suspect_model",
        "_reference",
        "_next_check",
        "_optimality",
        "_extrapolation",
        "_epochs_since_search",
        "_norm",
    )

    def resume_point(self):
        """What `resume` needs."""
        return (
            self._theta,
            {name: getattr(self, name) for name in self.checkpointed},
            self._certificate.resume_point(),
        )

    def resume(self, problem: Problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`, by the same steps."""
        theta, kept, certificate = resume_point
        self.start(problem, theta)
        vars(self).update(kept)
        self._certificate.resume(certificate)

    def start(self, problem: Problem, theta, earlier=None):
        """Begin at theta; an earlier run has nothing else to offer."""
        # Whether steps had to be taken back.
        self.backtracked = False
        self.problem, objective, visits = problem, problem.objective, problem.visits
        self._theta = theta
        coef, intercept = unpack(theta.astype(np.float64), objective.outputs, problem.by_column)
        metric, squared_norm = damp_rare_columns(
            metric_of(problem), column_density(problem), len(visits), problem.by_column
        )
        # The mean of |x|^2, with the intercept.
        self._mean_squared_norm = squared_norm + objective.intercept or 1.0
        self._space = Space(problem, metric, coef)
        self._weights = (
            None if problem.weights is None else problem.weights / problem.weights[visits].mean()
        )
        targets = TargetStatistics.of(problem)
        self._gains = objective.loss.inverse_curvature(targets.center, targets.spread)
        self._is_nonsmooth, self._divisor_factor = not objective.loss.is_smooth, 1.0
        self._size = min(self.batch_size, len(visits))
        self._term = problem.weighted(self._weights)
        self._metric = (*self._space.arrays, self._gains)
        constant, self._constant_loss = constant_model(problem)
        self._floor, self._reference = rounding_floor(problem, constant), self._constant_loss
        self._constant = self._space.to_scaled(np.zeros_like(coef), constant)
        self._origin = self._space.to_scaled(coef, self._space.offset(coef, intercept))
        v = self._origin.copy()
        if not theta.any():
            v[len(v) - objective.outputs :] = constant
        # The number of passes of implicit steps.
        self._warm_up_epochs = 0 if coef.any() else 1 if self._is_nonsmooth else 2
        n, outputs = problem.rows.shape[0], objective.outputs
        memory = np.zeros(n * outputs), np.zeros(n * outputs), np.zeros(n), np.zeros(len(v))
        self.state = State(
            v, memory, np.zeros(n), self._gains / self._mean_squared_norm, np.zeros(len(v))
        )
        self._certificate = (
            PositiveCertificate(problem) if objective.positive else Certificate(problem, self.tol)
        )
        self._next_check, self._optimality = self._warm_up_epochs + 1, None
        self._good = v.copy()
        self._good_loss = np.inf
        self._best = np.inf
        self._suspicion = None
        self._suspect_model = None
        # No line searches with L1, which they would leave without exact zeros, or with kinks,
        # where only the average of the iterates converges.
        self._extrapolation, self._epochs_since_search, self._norm = None, 0, np.inf
        if not (self._is_nonsmooth or objective.has_nonsmooth_penalty):
            margins = np.tile(constant, (len(visits), 1))
            self._extrapolation = Extrapolation(self._constant, margins, self._constant_loss)

    # ---- epochs ----

    def epoch(self, order):
        """Sample as many rows as `order` has; return an `Epoch`."""
        state, self._optimality = self.state.copy(self.problem.resumable), None
        self.state = state
        with np.errstate(over="ignore", invalid="ignore"):
            if state.epochs < self._warm_up_epochs:
                loss = self._warm_up_pass(order)
            elif state.epochs == 0 or self._suspicion is not None:
                loss = self._exact_pass(order)
            elif self._extrapolation and self._epochs_since_search >= self._extrapolation.interval:
                loss = self._extrapolation_pass(order)
            else:
                loss, self._epochs_since_search = (
                    self._saga_pass(order),
                    self._epochs_since_search + 1,
                )
            norm = self._norm = float(np.nan_to_num(self._gradient_norm(), nan=np.finfo(float).max))
        state.epochs += 1
        # A huge loss is no divergence: it is that of a step that will be taken back.
        if not loss <= MAX_LOSS_RATIO:
            loss = min(self._best, self._reference)
        return Epoch(loss, norm, float(state.rates.max()))

    def _extrapolation_pass(self, order):
        """Compute the exact loss, which fills the memory; then search along the displacement since
        the last line searches.
        """
        state, outputs, visits = self.state, self.problem.objective.outputs, self.problem.visits
        loss = self._implicit_pass(order, np.zeros(-(-len(order) // self._size))) + self._penalty(
            state.v
        )
        margins = state.memory[0].reshape(-1, outputs)[visits]
        self._extrapolation, line = self._extrapolation.search(
            self.problem, self._term, self._space.arrays[3], state.v.copy(), margins, loss
        )
        self._epochs_since_search = 0
        moved = np.abs(line.margins - margins).max(axis=1)
        state.radius[visits] = np.maximum(state.radius[visits], moved)
        state.v[:], loss = line.v, line.loss
        self._best, self._good, self._good_loss = loss, state.v.copy(), loss
        return loss

    def _warm_up_pass(self, order):
        """Take implicit steps at falling rates; SAGA starts at the average of their iterates."""
        state, n = self.state, len(order)
        stale, begun = state.memory[0].copy(), np.arange(0, n, self._size)
        constant = self.problem.objective.loss.is_quadratic
        rate = (
            WARM_UP_RATE_NONSMOOTH
            if self._is_nonsmooth
            else WARM_UP_RATE_QUADRATIC
            if constant
            else WARM_UP_RATE
        )
        rates = self._size * rate / self._mean_squared_norm / (1 + state.epochs + begun / n)
        loss = self._implicit_pass(order, rates, state.average)
        state.updates += len(rates)
        state.rates = rates[-1] * self._gains
        state.radius[:] = np.abs(state.memory[0] - stale).reshape(len(state.radius), -1).max(axis=1)
        if state.epochs == self._warm_up_epochs - 1:
            state.v[:] = state.average / average_weight(state.updates)
            state.rates, state.average[:] = self._gains / self._mean_squared_norm, 0
            self._good = state.v.copy()
        return loss + self._penalty(state.v)

    def _implicit_pass(self, order, rates, average=None, memory=True):
        """The mean loss of a pass of implicit steps; the exact one if the rates are 0."""
        state = self.state
        mean, memory = (average, state.updates), state.memory if memory else None
        term = self._term.over(order)
        total = implicit.epoch(term, state.v, self._metric, rates, self._size, mean, memory)
        return total / len(order)

    def _saga_pass(self, order):
        state, problem, n = self.state, self.problem, len(order)
        probability, largest = self._probability(order)
        if self._is_nonsmooth:
            state.rates = (
                self._size**0.5 * RATE_NONSMOOTH / self._divisor_factor * self._nonsmooth_rates()
            )
        else:
            divisor = STEP_DIVISORS[state.epochs >= EARLY_EPOCHS] * self._divisor_factor
            rate = 1 / (divisor * largest) if largest > 0 else np.inf
            state.rates = np.full(len(state.rates), min(rate, MAX_RATE_GROWTH * state.rates.max()))
        drawn = np.empty_like(order)
        sample(order, n * probability[order], drawn, self._seed * 2**32 + state.epochs)
        rarity = np.zeros(problem.rows.shape[1])
        if problem.by_column:
            variance.column_probability(problem.rows, problem.visits, probability, rarity)
            rarity = 1 / np.where(rarity > 0, rarity, 1.0)
        for part in np.array_split(
            drawn, min(ITERATES_PER_EPOCH, -(-n // self._size)) if self._is_nonsmooth else 1
        ):
            term, weights = self._term.over(part), (1 / (n * probability), rarity)
            variance.epoch(
                term, state.v, self._metric, state.rates, *weights, self._size, n, self._memory()
            )
            if self._is_nonsmooth:
                state.averaged += 1
                state.average += min(1.0, 4 / (state.averaged + 3)) * (state.v - state.average)
        state.updates += -(-n // self._size)
        return self._check()

    def _memory(self):
        """What SAGA keeps of each row, as the kernels take it."""
        return (*self.state.memory, self.state.radius)

    def _nonsmooth_rates(self):
        """(outputs,) the rates that minimise Point-SAGA's bound: distance to the minimum / (norm of
        the slope changes * sqrt(mean |x|^2)).

        The distance from 0 stands for the distance to the minimum, and the slopes in the memory for
        their changes.
        """
        state, problem, outputs = self.state, self.problem, self.problem.objective.outputs
        W, _ = unpack(state.average if state.averaged else state.v, outputs, problem.by_column)
        slopes = state.memory[1].reshape(-1, outputs)[problem.visits]
        slopes = np.maximum(np.sqrt((slopes * slopes).sum(axis=0)), MIN_SLOPE_NORM)
        distance = np.maximum(
            np.sqrt((W * W).sum(axis=1)), self._margin_units() / self._mean_squared_norm**0.5
        )
        return distance / (slopes * self._mean_squared_norm**0.5)

    def _margin_units(self):
        """(outputs,) the scale of the margins; for residuals their mean absolute value."""
        problem, outputs = self.problem, self.problem.objective.outputs
        if problem.objective.loss.is_of_labels:
            return self._gains
        residuals = self.state.memory[0].reshape(-1, outputs)[problem.visits] - problem.targets
        return np.clip(np.abs(residuals).mean(axis=0), 1e-12 * self._gains, self._gains)

    def _probability(self, order):
        """(sampling probability of each row, largest curvature of an importance-weighted step)"""
        n, smoothness = len(order), self._curvatures_and_loss()[0]
        # With kinks `smoothness` is nearness * |x|^2. It has to be in proportion to |x|, since the
        # slopes themselves are bounded.
        if self._is_nonsmooth:
            length = self.state.memory[2]
            smoothness /= np.sqrt(np.where(length > 0, length, 1.0))
        total, even = (
            smoothness[order].sum(),
            UNIFORM_SHARE_NONSMOOTH if self._is_nonsmooth else UNIFORM_SHARE,
        )
        share = (
            even / n + (1 - even) * smoothness[order] / total if total > 0 else np.full(n, 1 / n)
        )
        largest = (smoothness[order] / (n * share)).max()
        if self._size > 1 and not self._is_nonsmooth:
            together = min(self._batch_curvature(order, smoothness), total / n)
            largest = largest / self._size + (1 - 1 / self._size) * together
        probability = np.full(self.problem.rows.shape[0], 1 / n)
        probability[order] = share
        return probability, largest

    def _batch_curvature(self, order, smoothness):
        """The largest eigenvalue of the mean of curvature_i x_i x_i', by power iterations on a
        subsample of the rows.
        """
        rows, (n, p), length = (
            order[:POWER_ITERATION_ROWS],
            self.problem.rows.shape,
            self.state.memory[2],
        )
        bends = smoothness / np.where(length > 0, length, 1.0)
        least_squares = Objective(SquaredError(), intercept=self.problem.objective.intercept)
        term = DataTerm(self.problem.rows, np.zeros(n), bends, rows, least_squares.codes)
        metric = (*self._space.arrays, np.ones(1))
        u, value = np.random.default_rng(0).standard_normal(p + 1), 0.0
        for _ in range(POWER_ITERATIONS):
            memory = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(p + 1)
            v = u / np.linalg.norm(u)
            implicit.epoch(term, v, metric, np.zeros(len(rows)), 1, memory=memory)
            u, value = memory[3], np.linalg.norm(memory[3]) / len(rows)
            if not value > 0:
                break
        return POWER_ITERATION_MARGIN * value

    # ---- safeguard ----

    def _curvatures_and_loss(self):
        """(weight * curvature * |x|^2 of each row, loss at the stale margins)"""
        problem, smoothness = self.problem, np.zeros(self.problem.rows.shape[0])
        least = self.state.radius[problem.visits].mean() if self._is_nonsmooth else MIN_RADIUS
        loss = variance.survey(self._term, self._memory(), least, smoothness)
        return smoothness, loss / len(problem.visits) + self._penalty(self.state.v)

    def _allowed_rise(self):
        """The rise of the loss that is not yet suspect."""
        if not np.isfinite(self._best) or self.problem.objective.is_degenerate:
            return np.inf
        gained = max(self._reference - self._best, 0.0)
        return (
            RELATIVE_RISE_NONSMOOTH if self._is_nonsmooth else RELATIVE_RISE
        ) * gained + 1e-12 * abs(self._best)

    def _check(self):
        """The loss at the stale margins. If it is the lowest so far, the weights become the last
        good ones; if it has risen, they are suspect.
        """
        state, loss = self.state, self._curvatures_and_loss()[1]
        if not (np.isfinite(loss) and np.isfinite(state.v).all()):
            self._suspicion, self._suspect_model, self.backtracked = "good", (np.inf, None), True
            state.v[:] = self._good
            for part in state.memory:
                part[:] = 0
        elif loss <= self._best:
            self._best, self._good, self._good_loss = loss, self._model().copy(), np.inf
        elif loss > self._best + self._allowed_rise():
            self._suspicion = "now"
        return loss

    def _exact_pass(self, order):
        """The exact loss at the current weights, which fills the memory and resolves a
        suspicion.
        """
        state = self.state
        loss = self._implicit_pass(order, np.zeros(-(-len(order) // self._size))) + self._penalty(
            state.v
        )
        state.radius[:] = 4 * MIN_RADIUS
        # None: the first epoch of a warm start.
        if self._suspicion is None:
            self._best = self._good_loss = loss
            self._reference = max(self._reference, loss)
        elif self._suspicion == "now":
            self._suspect_model = loss, state.v.copy()
            self._suspicion, state.v[:] = "good", self._good
            # Finite if the exact loss has been computed.
            if np.isfinite(self._good_loss):
                self._resolve_suspicion()
        else:
            self._good_loss = loss
            self._resolve_suspicion()
        return loss

    def _resolve_suspicion(self):
        """Continue from the suspect weights, unless the last good ones are better."""
        loss, v = self._suspect_model
        self._suspicion, self._best = None, self._good_loss
        if loss <= self._good_loss + self._allowed_rise():
            self.state.v[:], self._good, self._good_loss, self._best = (
                v,
                v,
                loss,
                min(loss, self._good_loss),
            )
        else:
            self._divisor_factor, self.backtracked = 2 * self._divisor_factor, True

    # ---- the result ----

    def _model(self):
        """The weights of the result: the average of the iterates for losses with kinks and in the
        first passes, else the iterate.
        """
        state = self.state
        if state.averaged:
            return state.average
        return (
            state.average / average_weight(state.updates)
            if 0 < state.epochs < self._warm_up_epochs
            else state.v
        )

    def _penalty(self, v):
        coef, offset = self._space.from_scaled(v)
        return self.problem.objective.penalty(coef, self._space.intercept(coef, offset))

    def _gradient_norm(self):
        """The norm of the minimum-norm subgradient in scaled columns, from the slopes in the
        memory.
        """
        state, objective = self.state, self.problem.objective
        W, _ = unpack(state.v, objective.outputs, self.problem.by_column)
        G, g = unpack(
            state.memory[3] / len(self.problem.visits), objective.outputs, self.problem.by_column
        )
        _, _, l1, l2 = self._space.arrays
        g = g + objective.tilt
        G = G + np.where(W != 0, l2 * W, 0.0)
        G = NonsmoothPenalty(
            l1, np.full_like(l1, np.inf) if objective.positive else l1
        ).subgradient(W, G)
        return float(np.sqrt((G * G).sum() + objective.intercept * (g @ g)))

    def finish(self, certify=True):
        """Make sure by exact evaluations that the result is no worse than the start or the last
        good weights; then improve it by line searches, which need no pass over the rows.
        """
        state, is_degenerate = self.state, self.problem.objective.is_degenerate
        candidates = [self._model().copy()]
        if not is_degenerate:
            candidates += [self._good, self._origin] + ([state.v.copy()] if state.averaged else [])
        v, loss, margins = candidates[0], *self._exact(candidates[0])
        for other in candidates[1:]:
            found, other_margins = self._exact(other)
            if found < loss:
                v, loss, margins = other, found, other_margins
        if not is_degenerate:
            self._best = min(self._best, loss)
            v = self._line_searched(v, loss, margins)
        self.state = replace(state, v=v, averaged=0, epochs=max(state.epochs, self._warm_up_epochs))
        self._optimality, self._next_check = None, np.inf
        if self.tol and certify:
            self._certify()

    def _line_searched(self, v, loss, margins):
        """v after line searches: away from the best constant model, along the intercepts, and again
        away from the constant model.
        """
        objective, outputs = self.problem.objective, self.problem.objective.outputs
        W, b = unpack(v, outputs, self.problem.by_column)
        coef, margins = W * self._space.arrays[1], margins.reshape(-1, outputs)
        lines = LineSearch(self.problem, self._weights, coef, b, margins)
        constant = self._constant[len(v) - outputs :]
        if lines.away_from(constant) > LINE_SEARCH_TOLERANCE * abs(loss) and objective.intercept:
            lines.shift(self._gains)
            lines.away_from(constant)
        return pack(W * lines.factor[:, None], lines.b, np.float64, self.problem.by_column)

    def loss_at(self, theta):
        """The objective at a flat vector in the user's units."""
        coef, intercept = unpack(
            theta.astype(np.float64), self.problem.objective.outputs, self.problem.by_column
        )
        return self._exact(self._space.to_scaled(coef, self._space.offset(coef, intercept)))[0]

    def _exact(self, v):
        """(objective, margins) at [W, b] in scaled columns, by a pass over the rows; infinity for
        an objective that is not finite.
        """
        state, visits = self.state, self.problem.visits
        self.state = state.copy(True)
        self.state.v = v.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            loss = self._implicit_pass(
                visits, np.zeros(-(-len(visits) // self._size))
            ) + self._penalty(v)
        margins, self.state = self.state.memory[0], state
        return loss if np.isfinite(loss) else np.inf, margins

    def is_finite(self):
        return bool(np.isfinite(self._model()).all())

    def optimality(self):
        """The estimate of a `Certificate` for the model, computed once the gradient is small enough
        for `tol`, and then in growing intervals.
        """
        if (
            self.tol
            and self._optimality is None
            and self._suspicion is None
            and self.state.epochs >= self._next_check
        ):
            # A lower bound of the Newton decrement.
            least = 0.5 * self._norm * self._norm * self._gains.min() / self._mean_squared_norm
            hope = least <= self.tol * max(self._reference - self._best, 0.0)
            is_constant = self._constant_loss - self._best <= self._rounding()
            if hope or is_constant or self.problem.objective.tilt:
                self._next_check = 1 + 1.3 * self.state.epochs
                self._certify()
        return self._optimality

    def _rounding(self):
        """The rounding error of the objective."""
        return max(
            rounding_of(self._constant_loss, self._constant_loss, self.problem.rows.dtype),
            self._floor,
        )

    def _certify(self):
        """Estimate the distance to the minimum; first that of the constant model, if no other model
        is better.
        """
        if self.problem.objective.is_degenerate:
            return
        if self._constant_loss - self._best <= self._rounding():
            found = self._certificate(*self._in_user_units(self._constant))
            if found and found[0] <= self.tol:
                self.state.v[:], self.state.averaged, self._optimality = self._constant, 0, found
                return
        slopes = None
        # Implicit slopes converge to the dual solution, which gives the best bound.
        if self._is_nonsmooth:
            slopes = self.state.memory[1].reshape(-1, self.problem.objective.outputs)[
                self.problem.visits
            ]
        self._optimality = self._certificate(*self.solution(), slopes)

    def solution(self):
        """(coef, intercept)"""
        return self._in_user_units(self._model())

    def _in_user_units(self, v):
        """(coef, intercept) of [W, b] in scaled columns."""
        coef, offset = self._space.from_scaled(v)
        return coef, self._space.intercept(coef, offset)
