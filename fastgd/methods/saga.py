"""Stochastic steps whose variance vanishes: SAGA in the metric, for sums of finitely many rows."""

from dataclasses import replace

import numpy as np

from fastgd.kernels import implicit, variance
from fastgd.kernels.order import sample
from fastgd.methods.certificate import Certificate, PositiveCertificate
from fastgd.methods.extrapolation import Extrapolation
from fastgd.methods.implicit_sgd import TargetStatistics, mass
from fastgd.methods.line_search import LineSearch
from fastgd.methods.method import Epoch
from fastgd.methods.proximal_newton import NonsmoothPenalty
from fastgd.problem.constant_model import constant_model, rounding_floor
from fastgd.problem.duality import rounding_of
from fastgd.problem.layout import pack, unpack
from fastgd.problem.losses import SquaredError
from fastgd.problem.metric import Space, column_density, damped, metric_of
from fastgd.problem.problem import Problem
from fastgd.problem.records import Record
from fastgd.training.loop import DIVERGED

UNIFORM = 0.2  # share of the visits that is drawn evenly, the rest by curvature
UNIFORM_KINKED = 0.5  # or by the distance from a kink
# a row's curvature is the largest within what its margin moved lately, and at least within this
LEAST_RADIUS = 0.5
# of the first passes, times the inverse of the mean curvature: it falls where margins grow;
WARM_RATE = 4.0
WARM_RATE_CONSTANT = 1.0  # where it does not,
WARM_RATE_KINKED = 2.0  # or has no bound
CAUTION = (
    3.0,
    2.0,
)  # steps are 1 / (CAUTION L): the first while the memory is poor, the second from the epoch
SETTLED = 8  # of this number
GROWTH = 4.0  # times the last rate that a rate may be
SLACK = 0.01  # of what has been gained on the constant model: a loss that rises by more is suspect;
SLACK_KINKED = 0.1  # more where only the mean of the iterates comes to rest
RATE_KINKED = 1.2  # times the distance gone, over the size of the slopes,
LEAST_SLOPES = 0.03  # which is no less: where no row has any, no rate would be too large
SNAPSHOTS = 16  # iterates an epoch that enter the mean, for losses with kinks
LINE_TOL = 1e-3  # of the objective: a line search that lowers it by less is the last
# rows and power iterations that the curvature of a batch is estimated from, from below
SAMPLE = 500
POWERS = 3
SAFETY = 1.5


class State(Record):
    """Where a run stands.

    `v` is [W, b] in the metric; `memory` holds each row's stale margins, its slopes there and
    |x|^2, and the sum of slope x'; `radius` tells how far each row's margins moved between visits.
    An epoch works on a copy, so that one cut short leaves the model before as it was; with what is
    kept of the rows only where somebody may go on from there.
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
        """A copy, if `rows` with a memory of its own."""
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


class SAGA:
    """SAGA by importance sampling, after a pass or two of implicit steps that fill its memory of
    slopes.

    A row's share of the visits, and the length of steps, follow the curvature that the loss has
    near the row's last margin. A step may therefore prove too long: when the loss at the stale
    margins rises, an epoch is spent on the exact one, and if the model is worse than the last good
    one, that one is restored and the steps are halved. Losses with kinks take implicit steps, for
    which no step is too long; rows near a kink are visited most, and the model is a mean of
    iterates. An epoch has a visit for each row.

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

    # ---- beginning ----

    checkpointed = (
        "state",
        "_caution",
        "_good",
        "_good_loss",
        "_best",
        "_suspect",
        "_now",
        "_reference",
        "_next_look",
        "_found",
        "_extrapolation",
        "_since",
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
        """Begin at theta; of an earlier run nothing else is of use."""
        self.backtracked = False  # whether steps had to be taken back
        self.problem, objective, visits = problem, problem.objective, problem.visits
        self._theta = theta
        coef, intercept = unpack(theta.astype(np.float64), objective.outputs, problem.by_column)
        metric, lengths = damped(
            metric_of(problem), column_density(problem), len(visits), problem.by_column
        )
        self._length = lengths + objective.intercept or 1.0  # mean of |x|^2
        self._space = Space(problem, metric, coef)
        self._weights = (
            None if problem.weights is None else problem.weights / problem.weights[visits].mean()
        )
        targets = TargetStatistics.of(problem)
        self._gains = objective.loss.inverse_curvature(targets.center, targets.spread)
        self._kinked, self._caution = not objective.loss.is_smooth, 1.0
        self._bend = objective.loss.max_curvature
        self._size = min(self.batch_size, len(visits))
        self._tag = np.empty(1, problem.rows.dtype)
        constant, self._constant_loss = constant_model(problem)
        self._floor, self._reference = rounding_floor(problem, constant), self._constant_loss
        self._constant = self._space.enter(np.zeros_like(coef), constant)
        self._origin = self._space.enter(coef, self._space.offset(coef, intercept))
        v = self._origin.copy()
        if not theta.any():
            v[len(v) - objective.outputs :] = constant
        self._warm = 0 if coef.any() else 1 if self._kinked else 2  # passes of implicit steps
        n, outputs = problem.rows.shape[0], objective.outputs
        memory = np.zeros(n * outputs), np.zeros(n * outputs), np.zeros(n), np.zeros(len(v))
        self.state = State(v, memory, np.zeros(n), self._gains / self._length, np.zeros(len(v)))
        self._certificate = (
            PositiveCertificate(problem) if objective.positive else Certificate(problem, self.tol)
        )
        self._next_look, self._found = self._warm + 1, None
        self._good = v.copy()
        self._good_loss = np.inf
        self._best = np.inf
        self._suspect = None
        self._now = None
        # A line search leaves no exact zeros, and with kinks only the mean of the iterates
        # converges.
        self._extrapolation, self._since, self._norm = None, 0, np.inf
        if not (self._kinked or objective.has_nonsmooth_penalty):
            margins = np.tile(constant, (len(visits), 1))
            self._extrapolation = Extrapolation(self._constant, margins, self._constant_loss)

    # ---- epochs ----

    def epoch(self, order):
        """Visit as many rows as `order` has; returns an `Epoch`."""
        state, self._found = self.state.copy(self.problem.resumable), None
        self.state = state
        with np.errstate(over="ignore", invalid="ignore"):
            if state.epochs < self._warm:
                loss = self._warm_pass(order)
            elif state.epochs == 0 or self._suspect is not None:
                loss = self._exact_pass(order)
            elif self._extrapolation and self._since >= self._extrapolation.interval:
                loss = self._extrapolation_pass(order)
            else:
                loss, self._since = self._saga_pass(order), self._since + 1
            norm = self._norm = float(np.nan_to_num(self._gradient_norm(), nan=np.finfo(float).max))
        state.epochs += 1
        if not loss <= DIVERGED:  # what will be taken back, or was met on the way, is no end
            loss = min(self._best, self._reference)
        return Epoch(loss, norm, float(state.rates.max()))

    def _extrapolation_pass(self, order):
        """The exact loss, which fills the memory; then line searches along the way since the last
        ones.
        """
        state, outputs, visits = self.state, self.problem.objective.outputs, self.problem.visits
        loss = self._visit(order, np.zeros(-(-len(order) // self._size))) + self._penalty(state.v)
        margins = state.memory[0].reshape(-1, outputs)[visits]
        self._extrapolation, line = self._extrapolation.search(
            self.problem, self._weights, self._space.arrays[3], state.v.copy(), margins, loss
        )
        self._since = 0
        moved = np.abs(line.margins - margins).max(axis=1)
        state.radius[visits] = np.maximum(state.radius[visits], moved)
        state.v[:], loss = line.v, line.loss
        self._best, self._good, self._good_loss = loss, state.v.copy(), loss
        return loss

    def _warm_pass(self, order):
        """Implicit steps at falling rates; the mean of their iterates is where SAGA begins."""
        state, n = self.state, len(order)
        stale, begun = state.memory[0].copy(), np.arange(0, n, self._size)
        constant = self.problem.objective.loss.is_quadratic
        rate = WARM_RATE_KINKED if self._kinked else WARM_RATE_CONSTANT if constant else WARM_RATE
        rates = self._size * rate / self._length / (1 + state.epochs + begun / n)
        loss = self._visit(order, rates, state.average)
        state.updates += len(rates)
        state.rates = rates[-1] * self._gains
        state.radius[:] = np.abs(state.memory[0] - stale).reshape(len(state.radius), -1).max(axis=1)
        if state.epochs == self._warm - 1:
            state.v[:] = state.average / mass(state.updates)
            state.rates, state.average[:] = self._gains / self._length, 0
            self._good = state.v.copy()
        return loss + self._penalty(state.v)

    def _visit(self, order, rates, average=None, memory=True):
        """The mean loss of a pass of implicit steps; the exact one if the rates are 0."""
        state, problem = self.state, self.problem
        total = implicit.epoch(
            problem.rows,
            problem.y,
            self._weights,
            order,
            state.v,
            average,
            self._space.arrays,
            rates,
            self._gains,
            problem.objective.codes,
            self._size,
            float(state.updates),
            state.memory if memory else None,
            self._tag,
        )
        return total / len(order)

    def _saga_pass(self, order):
        state, problem, n = self.state, self.problem, len(order)
        probability, largest = self._probability(order)
        if self._kinked:
            state.rates = self._size**0.5 * RATE_KINKED / self._caution * self._balance()
        else:
            caution = CAUTION[state.epochs >= SETTLED] * self._caution
            rate = 1 / (caution * largest) if largest > 0 else np.inf
            state.rates = np.full(len(state.rates), min(rate, GROWTH * state.rates.max()))
        drawn = np.empty_like(order)
        sample(order, n * probability[order], drawn, self._seed * 2**32 + state.epochs)
        rarity = np.zeros(problem.rows.shape[1])
        if problem.by_column:
            variance.column_probability(
                problem.rows, problem.visits, probability, rarity, self._tag
            )
            rarity = 1 / np.where(rarity > 0, rarity, 1.0)
        for part in np.array_split(
            drawn, min(SNAPSHOTS, -(-n // self._size)) if self._kinked else 1
        ):
            variance.epoch(
                problem.rows,
                problem.y,
                self._weights,
                part,
                state.v,
                self._space.arrays,
                state.rates,
                1 / (n * probability),
                rarity,
                problem.objective.codes,
                self._size,
                n,
                state.memory,
                state.radius,
                self._bend,
                self._tag,
            )
            if self._kinked:
                state.averaged += 1
                state.average += min(1.0, 4 / (state.averaged + 3)) * (state.v - state.average)
        state.updates += -(-n // self._size)
        return self._check()

    def _balance(self):
        """(outputs,) the rates at which Point-SAGA's bound is least: distance to go / (size of the
        slopes * sqrt(rows)).

        The distance is taken to be the one from 0, and the slopes, whose changes count, those in
        the memory.
        """
        state, problem, outputs = self.state, self.problem, self.problem.objective.outputs
        W, _ = unpack(state.average if state.averaged else state.v, outputs, problem.by_column)
        slopes = state.memory[1].reshape(-1, outputs)[problem.visits]
        slopes = np.maximum(np.sqrt((slopes * slopes).sum(axis=0)), LEAST_SLOPES)
        distance = np.maximum(
            np.sqrt((W * W).sum(axis=1)), self._margin_units() / self._length**0.5
        )
        return distance / (slopes * self._length**0.5)

    def _margin_units(self):
        """(outputs,) how far margins have to go: those of residuals, as far as these are from 0 on
        average.
        """
        problem, outputs = self.problem, self.problem.objective.outputs
        if problem.objective.loss.is_of_labels:
            return self._gains
        residuals = self.state.memory[0].reshape(-1, outputs)[problem.visits] - problem.targets
        return np.clip(np.abs(residuals).mean(axis=0), 1e-12 * self._gains, self._gains)

    def _probability(self, order):
        """(each row's share of the visits, largest curvature that a step then meets)"""
        n, smoothness = len(order), self._survey()[0]
        if (
            self._kinked
        ):  # nearness * |x|^2 so far, but a step's slopes are bounded, not their change
            length = self.state.memory[2]
            smoothness /= np.sqrt(np.where(length > 0, length, 1.0))
        total, even = smoothness[order].sum(), UNIFORM_KINKED if self._kinked else UNIFORM
        share = (
            even / n + (1 - even) * smoothness[order] / total if total > 0 else np.full(n, 1 / n)
        )
        largest = (smoothness[order] / (n * share)).max()
        if self._size > 1 and not self._kinked:
            together = min(self._batch_curvature(order, smoothness), total / n)
            largest = largest / self._size + (1 - 1 / self._size) * together
        probability = np.full(self.problem.rows.shape[0], 1 / n)
        probability[order] = share
        return probability, largest

    def _batch_curvature(self, order, smoothness):
        """The largest eigenvalue of the mean of curvature_i x_i x_i', by power iterations on a few
        rows.
        """
        rows, (n, p), length = order[:SAMPLE], self.problem.rows.shape, self.state.memory[2]
        bends = smoothness / np.where(length > 0, length, 1.0)
        codes = self.problem.objective.codes | {
            "loss": int(SquaredError().code),
            "l1": 0.0,
            "l2": 0.0,
            "outputs": 1,
            "targets": 0,
            "positive": False,
        }
        u, value = np.random.default_rng(0).standard_normal(p + 1), 0.0
        for _ in range(POWERS):  # a product is the gradient of the rows' weighted squares
            memory = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(p + 1)
            implicit.epoch(
                self.problem.rows,
                np.zeros(n),
                bends,
                rows,
                u / np.linalg.norm(u),
                None,
                self._space.arrays,
                np.zeros(len(rows)),
                np.ones(1),
                codes,
                1,
                0.0,
                memory,
                self._tag,
            )
            u, value = memory[3], np.linalg.norm(memory[3]) / len(rows)
            if not value > 0:
                break
        return SAFETY * value

    # ---- guarding ----

    def _survey(self):
        """(weight * curvature * |x|^2 of each row, loss at the stale margins)"""
        problem, smoothness = self.problem, np.zeros(self.problem.rows.shape[0])
        least = self.state.radius[problem.visits].mean() if self._kinked else LEAST_RADIUS
        loss = variance.survey(
            problem.y,
            self._weights,
            problem.visits,
            self.state.memory,
            self.state.radius,
            least,
            problem.objective.codes,
            smoothness,
        )
        return smoothness, loss / len(problem.visits) + self._penalty(self.state.v)

    def _slack(self):
        """By how much a loss may rise without being suspect."""
        if not np.isfinite(self._best) or self.problem.objective.is_degenerate:
            return np.inf
        gained = max(self._reference - self._best, 0.0)
        return (SLACK_KINKED if self._kinked else SLACK) * gained + 1e-12 * abs(self._best)

    def _check(self):
        """The loss at the stale margins. The lowest so far makes the weights good ones, a rise
        makes them suspect.
        """
        state, loss = self.state, self._survey()[1]
        if not (np.isfinite(loss) and np.isfinite(state.v).all()):
            self._suspect, self._now, self.backtracked = "good", (np.inf, None), True
            state.v[:] = self._good
            for part in state.memory:
                part[:] = 0
        elif loss <= self._best:
            self._best, self._good, self._good_loss = loss, self._model().copy(), np.inf
        elif loss > self._best + self._slack():
            self._suspect = "now"
        return loss

    def _exact_pass(self, order):
        """The loss at the weights of now, which fills the memory; then what to do about a
        suspicion.
        """
        state = self.state
        loss = self._visit(order, np.zeros(-(-len(order) // self._size))) + self._penalty(state.v)
        state.radius[:] = 4 * LEAST_RADIUS
        if self._suspect is None:  # the first epoch of a warm start
            self._best = self._good_loss = loss
            self._reference = max(self._reference, loss)
        elif self._suspect == "now":
            self._now = loss, state.v.copy()
            self._suspect, state.v[:] = "good", self._good
            if np.isfinite(self._good_loss):  # known exactly
                self._judge()
        else:
            self._good_loss = loss
            self._judge()
        return loss

    def _judge(self):
        """Go on from the suspect weights, unless the last good ones are better."""
        loss, v = self._now
        self._suspect, self._best = None, self._good_loss
        if loss <= self._good_loss + self._slack():
            self.state.v[:], self._good, self._good_loss, self._best = (
                v,
                v,
                loss,
                min(loss, self._good_loss),
            )
        else:
            self._caution, self.backtracked = 2 * self._caution, True

    # ---- the result ----

    def _model(self):
        """The weights that are the result: for losses with kinks, and in the first passes, the mean
        of the iterates.
        """
        state = self.state
        if state.averaged:
            return state.average
        return state.average / mass(state.updates) if 0 < state.epochs < self._warm else state.v

    def _penalty(self, v):
        coef, offset = self._space.leave(v)
        return self.problem.objective.penalty(coef, self._space.intercept(coef, offset))

    def _gradient_norm(self):
        """Of the least subgradient in the metric, from the slopes in the memory."""
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
        """Make sure, by exact evaluations, that the result is not worse than the start or the last
        good weights, and go on from there along lines, on which margins are known without a pass
        over the rows, as far as that pays.
        """
        state, is_degenerate = self.state, self.problem.objective.is_degenerate
        candidates = [self._model().copy()]
        if not is_degenerate:
            candidates += [self._good, self._origin] + ([state.v.copy()] if state.averaged else [])
        v, loss, margins = candidates[0], *self._exact(candidates[0])
        for other in candidates[1:]:
            found, its_margins = self._exact(other)
            if found < loss:
                v, loss, margins = other, found, its_margins
        if not is_degenerate:
            self._best = min(self._best, loss)
            v = self._lengthened(v, loss, margins)
        self.state = replace(state, v=v, averaged=0, epochs=max(state.epochs, self._warm))
        self._found, self._next_look = None, np.inf
        if self.tol and certify:
            self._certify()

    def _lengthened(self, v, loss, margins):
        """v after line searches: away from the best constant model, along the intercepts, and once
        more away.
        """
        objective, outputs = self.problem.objective, self.problem.objective.outputs
        W, b = unpack(v, outputs, self.problem.by_column)
        coef, margins = W * self._space.arrays[1], margins.reshape(-1, outputs)
        lines = LineSearch(self.problem, self._weights, coef, b, margins)
        constant = self._constant[len(v) - outputs :]
        if lines.away_from(constant) > LINE_TOL * abs(loss) and objective.intercept:
            lines.shift(self._gains)
            lines.away_from(constant)
        return pack(W * lines.factor[:, None], lines.b, np.float64, self.problem.by_column)

    def loss_at(self, theta):
        """The objective at a flat vector in the user's units."""
        coef, intercept = unpack(
            theta.astype(np.float64), self.problem.objective.outputs, self.problem.by_column
        )
        return self._exact(self._space.enter(coef, self._space.offset(coef, intercept)))[0]

    def _exact(self, v):
        """(objective, margins) at [W, b] in the metric; infinite where it is not finite. A pass
        over the rows.
        """
        state, visits = self.state, self.problem.visits
        self.state = state.copy(True)
        self.state.v = v.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            loss = self._visit(visits, np.zeros(-(-len(visits) // self._size))) + self._penalty(v)
        margins, self.state = self.state.memory[0], state
        return loss if np.isfinite(loss) else np.inf, margins

    def is_finite(self):
        return bool(np.isfinite(self._model()).all())

    def react(self):
        """A loss that stalls calls for nothing: the steps do not depend on it."""
        return False

    def optimality(self):
        """What a `Certificate` says of the model; asked once a small gradient lets hope, and then
        ever more seldom.
        """
        if (
            self.tol
            and self._found is None
            and self._suspect is None
            and self.state.epochs >= self._next_look
        ):
            least = (
                0.5 * self._norm * self._norm * self._gains.min() / self._length
            )  # no decrement is less
            hope = least <= self.tol * max(self._reference - self._best, 0.0)
            is_constant = self._constant_loss - self._best <= self._rounding()
            if hope or is_constant or self.problem.objective.tilt:
                self._next_look = 1 + 1.3 * self.state.epochs
                self._certify()
        return self._found

    def _rounding(self):
        """What the objective cannot tell from nothing."""
        return max(
            rounding_of(self._constant_loss, self._constant_loss, self.problem.rows.dtype),
            self._floor,
        )

    def _certify(self):
        """Ask how far the minimum is; first from the constant model, where no other is known to be
        better.
        """
        if self.problem.objective.is_degenerate:
            return
        if self._constant_loss - self._best <= self._rounding():
            found = self._certificate(*self._in_user_units(self._constant))
            if found and found[0] <= self.tol:
                self.state.v[:], self.state.averaged, self._found = self._constant, 0, found
                return
        slopes = None
        if self._kinked:  # implicit slopes come to rest at those that bound the minimum
            slopes = self.state.memory[1].reshape(-1, self.problem.objective.outputs)[
                self.problem.visits
            ]
        self._found = self._certificate(*self.solution(), slopes)

    def solution(self):
        """(coef, intercept)"""
        return self._in_user_units(self._model())

    def _in_user_units(self, v):
        """(coef, intercept) of [W, b] in the metric."""
        coef, offset = self._space.leave(v)
        return coef, self._space.intercept(coef, offset)
