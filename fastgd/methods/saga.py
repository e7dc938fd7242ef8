"""Variance-reduced stochastic steps: SAGA on scaled columns, for finite sums."""

from dataclasses import replace

import numpy as np

from fastgd.kernels import implicit, variance
from fastgd.kernels.order import sample
from fastgd.methods.certificate import Certificate, PositiveCertificate
from fastgd.methods.extrapolation import Extrapolation
from fastgd.methods.importance_sampling import MIN_RADIUS, ImportanceSampling
from fastgd.methods.line_search import Line
from fastgd.methods.method import Epoch, Method
from fastgd.methods.row_memory import RowMemory
from fastgd.methods.safeguard import Safeguard
from fastgd.methods.stream import average_weight, metric_of_targets
from fastgd.problem.constant_model import constant_model, rounding_floor
from fastgd.problem.coordinates import KernelCoordinates
from fastgd.problem.duality import rounding_of
from fastgd.problem.layout import unpack
from fastgd.problem.metric import column_density, damp_rare_columns, metric_of
from fastgd.problem.nonsmooth_penalty import NonsmoothPenalty
from fastgd.problem.problem import Problem
from fastgd.problem.records import Record, copied
from fastgd.training.loop import MAX_LOSS_RATIO

# Rate of the first passes, in units of the inverse mean curvature, for losses whose curvature falls
# as margins grow.
WARM_UP_RATE = 4.0
# The same for quadratic losses, whose curvature is constant.
WARM_UP_RATE_QUADRATIC = 1.0
# The same for losses with kinks, whose curvature has no bound.
WARM_UP_RATE_NONSMOOTH = 2.0
# A loss is suspect if it rises by more than this share of the gain over the constant model.
RELATIVE_RISE = 0.01
# The same for losses with kinks, where only the average of the iterates converges.
RELATIVE_RISE_NONSMOOTH = 0.1
# Iterates per epoch that enter the average, for losses with kinks.
ITERATES_PER_EPOCH = 16
# The line searches end after one that lowers the objective by less than this share.
LINE_SEARCH_TOLERANCE = 1e-3
# The next certificate follows after this multiple of the epochs so far.
CERTIFICATE_INTERVAL = 1.3


class State(Record):
    """The state of a run.

    `v` is [W, b] in scaled columns; `average` is a sum of iterates with weights of sum `weight`: 0
    where the model is the iterate itself. `averaged` counts the iterates in it after the warm-up.
    `optimality` is an estimate for the model, None if there is none; from epoch `next_check` on,
    another one may be computed. `passes_since_search` counts the SAGA passes since the last
    `extrapolation`.
    """

    v: np.ndarray
    memory: RowMemory
    safeguard: Safeguard
    rates: np.ndarray
    average: np.ndarray
    extrapolation: Extrapolation | None
    next_check: float
    weight: float = 0.0
    averaged: int = 0
    epochs: int = 0
    updates: int = 0
    passes_since_search: int = 0
    gradient_norm: float = np.inf
    optimality: tuple | None = None

    @property
    def t(self):
        """The number of the next update, from 1."""
        return self.updates + 1

    @property
    def model(self):
        """The weights of the result: the average of the iterates, if there is one."""
        return self.average / self.weight if self.weight else self.v

    def successor(self, rows):
        """A copy without an estimate; `rows` says whether to copy the memory of the rows too."""
        memory, safeguard = copied(self.memory) if rows else self.memory, replace(self.safeguard)
        return replace(copied(self), memory=memory, safeguard=safeguard, optimality=None)


class SAGA(Method):
    """SAGA with importance sampling; one or two passes of implicit steps fill the memory of slopes.

    The sampling probability of a row, and the step length, follow the curvature of the loss near
    the row's last margin. So a step may be too long; a `Safeguard` then takes steps back. Losses
    with kinks take implicit steps of any length: rows near a kink are sampled most, and the model
    is an average of iterates. An epoch samples as many rows as there are.

    An epoch works on a copy of the state, so that an interrupted one leaves the last model
    unchanged. The memory of the rows is copied only if a later run may resume.

    References
    ----------
    Defazio, Bach, Lacoste-Julien, "SAGA: a fast incremental gradient method", NIPS 2014; Schmidt et
    al., "Non-uniform stochastic average gradient method for training conditional random fields",
    AISTATS 2015; Vainsencher, Liu, Zhang, "Local smoothness in variance reduced optimization", NIPS
    2015; Defazio, "A simple practical accelerated method for finite sums", NIPS 2016; Gazagnadou,
    Gower, Salmon, "Optimal mini-batch and step sizes for SAGA", ICML 2019.
    """

    solver = "saga"

    def __init__(self, batch_size: int, seed: int, tol: float | None = None):
        self.batch_size, self._seed, self.tol = batch_size, seed, tol

    # ---- start ----

    def resume_point(self):
        """What `resume` needs."""
        return self._theta, self.state, self._certificate.resume_point()

    def resume(self, problem: Problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`, by the same steps."""
        theta, state, certificate = resume_point
        self.start(problem, theta)
        self.state = replace(state, safeguard=replace(state.safeguard, backtracked=False))
        self._certificate.resume(certificate)

    def start(self, problem: Problem, theta, earlier=None):
        """Begin at theta; an earlier run has nothing else to offer."""
        self.problem, objective, self._theta = problem, problem.objective, theta
        self._is_nonsmooth = not objective.loss.is_smooth
        certificate = PositiveCertificate if objective.positive else Certificate
        self._certificate = certificate(problem, self.tol)
        coef, intercept = unpack(theta.astype(np.float64), objective.outputs, problem.by_column)
        self._scale(coef)
        constant, loss = constant_model(problem)
        self._constant_loss = loss
        # The rounding error of the objective.
        rounding = rounding_of(loss, loss, problem.rows.dtype)
        self._rounding = max(rounding, rounding_floor(problem, constant))
        self._constant = self._coordinates.to_scaled(np.zeros_like(coef), constant)
        self._origin = self._coordinates.from_user(coef, intercept)
        # The number of passes of implicit steps.
        self._warm_up_epochs = 0 if coef.any() else 1 if self._is_nonsmooth else 2
        self.state = self._first_state(theta.any())

    def _scale(self, coef):
        """Set the scaling of the columns, and what follows from it."""
        problem, objective, weights = self.problem, self.problem.objective, self.problem.weights
        metric, norm = damp_rare_columns(problem, metric_of(problem))
        # The mean of |x|^2, with the intercept.
        self._squared_norm = norm + objective.intercept or 1.0
        self._coordinates = KernelCoordinates(problem, metric, coef)
        self._inverse_curvature = objective.loss.inverse_curvature(metric_of_targets(problem))
        self._scaling = (*self._coordinates.arrays, self._inverse_curvature)
        self._size = min(self.batch_size, len(problem.visits))
        weights = None if weights is None else weights / weights[problem.visits].mean()
        self._term = problem.weighted(weights)
        steps = self._term, self._scaling, self._size, self._squared_norm
        self._sampling = ImportanceSampling(problem, *steps)

    def _first_state(self, is_warm):
        """The state at the start or, if that is 0, at the best constant model."""
        problem, objective = self.problem, self.problem.objective
        v = self._origin.copy()
        tail = slice(len(v) - objective.outputs, None)
        if not is_warm:
            v[tail] = self._constant[tail]
        rise = RELATIVE_RISE_NONSMOOTH if self._is_nonsmooth else RELATIVE_RISE
        rise = np.inf if objective.is_degenerate else rise
        # No line searches with L1, which they would leave without exact zeros, or with kinks,
        # where only the average of the iterates converges.
        extrapolation = None
        if not (self._is_nonsmooth or objective.has_nonsmooth_penalty):
            margins = np.tile(self._constant[tail], (len(problem.visits), 1))
            extrapolation = Extrapolation(self._constant, margins, self._constant_loss)
        memory = RowMemory.empty(problem.rows.shape[0], objective.outputs, len(v))
        safeguard = Safeguard(v.copy(), self._constant_loss, rise)
        rates, next_check = self._inverse_curvature / self._squared_norm, self._warm_up_epochs + 1
        return State(v, memory, safeguard, rates, np.zeros(len(v)), extrapolation, next_check)

    @property
    def backtracked(self):
        """Whether steps had to be taken back."""
        return self.state.safeguard.backtracked

    # ---- epochs ----

    def epoch(self, order):
        """Sample as many rows as `order` has; return an `Epoch`."""
        state = self.state = self.state.successor(self.problem.resumable)
        safeguard, extrapolation = state.safeguard, state.extrapolation
        with np.errstate(over="ignore", invalid="ignore"):
            if state.epochs < self._warm_up_epochs:
                loss = self._warm_up_pass(order)
            elif state.epochs == 0 or safeguard.is_suspect:
                loss = self._exact_pass(order)
            elif extrapolation and state.passes_since_search >= extrapolation.interval:
                loss = self._extrapolation_pass(order)
            else:
                loss = self._saga_pass(order)
            norm = float(np.nan_to_num(self._gradient_norm(), nan=np.finfo(float).max))
        state.gradient_norm, state.epochs = norm, state.epochs + 1
        # A huge loss is no divergence: it is that of a step that will be taken back.
        if not loss <= MAX_LOSS_RATIO:
            loss = min(safeguard.best, safeguard.initial_loss)
        return Epoch(loss, norm, float(state.rates.max()))

    def _warm_up_pass(self, order):
        """Take implicit steps at falling rates; SAGA starts at the average of their iterates."""
        state, memory, begun = self.state, self.state.memory, np.arange(0, len(order), self._size)
        stale = memory.margins.copy()
        rate = WARM_UP_RATE_NONSMOOTH if self._is_nonsmooth else WARM_UP_RATE
        if self.problem.objective.loss.is_quadratic:
            rate = WARM_UP_RATE_QUADRATIC
        rate = self._size * rate / self._squared_norm
        rates = rate / (1 + state.epochs + begun / len(order))
        loss = self._implicit_pass(order, state.v, memory, rates, (state.average, state.updates))
        state.updates += len(rates)
        state.weight = average_weight(state.updates)
        state.rates = rates[-1] * self._inverse_curvature
        moved = np.abs(memory.margins - stale).reshape(len(memory.radius), -1)
        memory.radius[:] = moved.max(axis=1)
        if state.epochs == self._warm_up_epochs - 1:
            state.v[:], state.weight, state.average[:] = state.model, 0, 0
            state.rates = self._inverse_curvature / self._squared_norm
            state.safeguard.good = state.v.copy()
        return loss + self._penalty(state.v)

    def _saga_pass(self, order):
        """Take steps along rows drawn by importance sampling."""
        state, problem, n, size = self.state, self.problem, len(order), self._size
        safeguard, memory, updates = state.safeguard, state.memory, -(-n // size)
        probability, largest = self._sampling.probabilities(memory, order)
        divisor, parts = safeguard.step_divisor, 1
        if self._is_nonsmooth:
            state.rates = self._sampling.point_saga_rates(memory, state.model, divisor)
            parts = min(ITERATES_PER_EPOCH, updates)
        else:
            state.rates = self._sampling.rates(largest, state.epochs, divisor, state.rates)
        drawn = np.empty_like(order)
        sample(order, n * probability[order], drawn, self._seed * 2**32 + state.epochs)
        frequency = column_density(problem, probability)
        weights = 1 / (n * probability), 1 / np.where(frequency > 0, frequency, 1.0)
        arguments = state.v, self._scaling, state.rates, *weights, size, n, memory.arrays
        for part in np.array_split(drawn, parts):
            variance.epoch(self._term.over(part), *arguments)
            if self._is_nonsmooth:
                state.averaged, state.weight = state.averaged + 1, 1.0
                state.average += min(1.0, 4 / (state.averaged + 3)) * (state.v - state.average)
        state.updates += updates
        state.passes_since_search += 1
        loss = self._sampling.smoothness(memory)[1] + self._penalty(state.v)
        safeguard.watch(loss if np.isfinite(state.v).all() else np.inf, state.model)
        if safeguard.suspect:
            state.v[:] = safeguard.good
            memory.forget()
        return loss

    def _exact_pass(self, order):
        """Compute the exact loss, which fills the memory, and let the safeguard judge it."""
        state, safeguard = self.state, self.state.safeguard
        loss = self._evaluate(state.v, order, state.memory)
        state.memory.radius[:] = 4 * MIN_RADIUS
        if safeguard.is_suspect:
            state.v[:] = safeguard.judge(loss, state.v)
        else:
            # The first epoch of a warm start.
            safeguard.accept(loss, state.v)
            safeguard.initial_loss = max(safeguard.initial_loss, loss)
        return loss

    def _extrapolation_pass(self, order):
        """Compute the exact loss, which fills the memory; then search along the displacement since
        the last line searches.
        """
        state, memory, visits = self.state, self.state.memory, self.problem.visits
        before = self._line(state.v.copy(), memory, order)
        state.extrapolation, line = state.extrapolation.search(before)
        state.passes_since_search = 0
        moved = np.abs(line.margins - before.margins).max(axis=1)
        memory.radius[visits] = np.maximum(memory.radius[visits], moved)
        state.v[:] = line.v
        state.safeguard.accept(line.loss, line.v)
        return line.loss

    def _implicit_pass(self, order, v, memory, rates, average=None):
        """The mean loss of a pass of implicit steps, from v; the exact one if the rates are 0."""
        steps = v, self._scaling, rates, self._size, average, memory.arrays
        return implicit.epoch(self._term.over(order), *steps) / len(order)

    def _evaluate(self, v, order, memory):
        """The objective at v, by a pass over the rows that fills the memory."""
        rates = np.zeros(-(-len(order) // self._size))
        return self._implicit_pass(order, v, memory, rates) + self._penalty(v)

    def _line(self, v, memory, order):
        """A `Line` at v, by a pass over the rows that fills the memory; its loss is infinite if it
        is not finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            loss = self._evaluate(v, order, memory)
        margins = memory.margins_of(self.problem.visits)
        loss = loss if np.isfinite(loss) else np.inf
        return Line(self.problem, self._term, self._coordinates.arrays[2:], v, margins, loss)

    def _penalty(self, v):
        return self.problem.objective.penalty(*self._coordinates.to_user(v))

    def _gradient_norm(self):
        """The norm of the minimum-norm subgradient in scaled columns, from the slopes in the
        memory.
        """
        problem, objective, state = self.problem, self.problem.objective, self.state
        W, _ = unpack(state.v, objective.outputs, problem.by_column)
        total = state.memory.total / len(problem.visits)
        G, g = unpack(total, objective.outputs, problem.by_column)
        _, _, l1, l2 = self._coordinates.arrays
        penalty = NonsmoothPenalty.of(l1, objective.positive)
        G, g = penalty.subgradient(W, G + np.where(W != 0, l2 * W, 0.0)), g + objective.tilt
        return float(np.sqrt((G * G).sum() + objective.intercept * (g @ g)))

    # ---- the result ----

    def finish(self, certify=True):
        """Make sure by exact evaluations that the result is no worse than the start or the last
        good weights; then improve it by line searches, which need no pass over the rows.
        """
        state = self.state = self.state.successor(False)
        is_degenerate, safeguard = self.problem.objective.is_degenerate, state.safeguard
        candidates = [state.model]
        if not is_degenerate:
            candidates += [safeguard.good, self._origin] + ([state.v] if state.averaged else [])
        # A run that is resumed needs that of the state.
        memory = copied(state.memory)
        lines = (self._line(v, memory, self.problem.visits) for v in candidates)
        line = min(lines, key=lambda line: line.loss)
        if not is_degenerate:
            safeguard.best = min(safeguard.best, line.loss)
            self._search(line)
        state.v, state.weight, state.averaged = line.v, 0, 0
        state.epochs, state.next_check = max(state.epochs, self._warm_up_epochs), np.inf
        if self.tol and certify:
            self._certify()

    def _search(self, line):
        """Search away from the best constant model, along the intercepts, and again away from the
        constant model.
        """
        enough = LINE_SEARCH_TOLERANCE * abs(line.loss)
        if line.away_from(self._constant) > enough and self.problem.objective.intercept:
            line.shift(self._inverse_curvature)
            line.away_from(self._constant)

    def is_finite(self):
        return bool(np.isfinite(self.state.model).all())

    def optimality(self):
        """The estimate of a `Certificate` for the model, computed once the gradient is small enough
        for `tol`, and then in growing intervals.
        """
        state, safeguard = self.state, self.state.safeguard
        is_due = state.optimality is None and state.epochs >= state.next_check
        if self.tol and is_due and not safeguard.is_suspect:
            # A lower bound of the Newton decrement.
            gain = self._inverse_curvature.min() / self._squared_norm
            decrement = 0.5 * state.gradient_norm * state.gradient_norm * gain
            is_near = decrement <= self.tol * safeguard.gained
            if is_near or self._is_constant() or self.problem.objective.tilt:
                state.next_check = 1 + CERTIFICATE_INTERVAL * state.epochs
                self._certify()
        return state.optimality

    def _is_constant(self):
        """Whether no model is better than the best constant one, up to rounding."""
        return self._constant_loss - self.state.safeguard.best <= self._rounding

    def _certify(self):
        """Estimate the distance to the minimum; first that of the constant model, if no other model
        is better.
        """
        state, slopes = self.state, None
        if self.problem.objective.is_degenerate:
            return
        if self._is_constant():
            found = self._certificate(*self._coordinates.to_user(self._constant))
            if found and found[0] <= self.tol:
                state.v[:], state.weight, state.averaged = self._constant, 0, 0
                state.optimality = found
                return
        # Implicit slopes converge to the dual solution, which gives the best bound.
        if self._is_nonsmooth:
            slopes = state.memory.slopes_of(self.problem.visits)
        state.optimality = self._certificate(*self.solution(), slopes)

    def solution(self):
        """(coef, intercept)"""
        return self._coordinates.to_user(self.state.model)
