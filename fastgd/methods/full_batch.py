"""What methods by full batches share: a descent in passes over X, in scaled columns, and an exact
line search in the margins.
"""

from dataclasses import replace
from operator import attrgetter

import numpy as np

from fastgd.methods.method import Epoch, Method
from fastgd.methods.preconditioner import MAX_DENSE_COLUMNS, center_outputs
from fastgd.problem import passes
from fastgd.problem.constant_model import constant_model, rounding_floor
from fastgd.problem.coordinates import Coordinates
from fastgd.problem.duality import gap, relative, rounding_of, slopes_for
from fastgd.problem.layout import pack, unpack
from fastgd.problem.linearization import Linearization
from fastgd.problem.metric import metric_of
from fastgd.problem.records import Record

# The smallest slope along a step, relative to the objective, whose sign is reliable, also in
# float32: about 8 of its epsilons.
RELIABLE_SLOPE = 1e-6
# Evaluations of a line search, at most. A guard: each one costs no pass over X.
MAX_LINE_EVALUATIONS = 30
# A line search stops once the slope is at most this share of the slope at its start.
LINE_SLOPE_RATIO = 0.1


class State(Record):
    """The state of a run: the parameters in the user's units."""

    theta: np.ndarray
    by_column: bool
    averaged: int = 0
    t: int = 1
    epochs: int = 0

    @classmethod
    def begin(cls, problem, theta, earlier):
        """The state at the flat vector theta or, if that is None, where `earlier` stands."""
        if theta is None:
            coef, intercept = unpack(earlier.theta, problem.objective.outputs, earlier.by_column)
            theta = pack(coef, intercept, problem.rows.dtype, problem.by_column)
        t, epochs = getattr(earlier, "t", 1), getattr(earlier, "epochs", 0)
        return cls(theta, problem.by_column, t=t, epochs=epochs)


class FullBatch(Method):
    """A descent by passes over all rows.

    A subclass defines the generator `_descend`. It moves the point `_v`, in scaled columns, and
    yields `_report(F)` after each pass. Its verbs are `_gradient` and `_hessian_product`, passes
    over X, and `_search`, a line search along `_x`. The model is `_theta`: the point of the last
    gradient, unless the subclass moves it on. Where F may rise (`returns_best`), the model is
    `_best`, to which points are offered by `_offer`.

    A generator cannot be stored. At the head of its loop `_save_checkpoint` stores the attributes
    named in `checkpointed`, which are enough to begin again; they are never changed in place. A
    later run continues from there, and repeats the few passes since.
    """

    checkpointed = ("_v", "_step", "_optimality", "_bounds", "_lower_bound", "_rows.marked")
    # Whether the model is the best of the points that have been offered.
    returns_best = False

    def __init__(self, dense_metric=False, tol=0.0):
        self.dense_metric, self.tol = dense_metric, tol

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands."""
        self.problem, self.state = problem, State.begin(problem, theta, earlier)
        theta = self._theta = self.state.theta
        self._weight = problem.total_weight
        self._joint = problem.objective.loss.is_joint
        self._at = Coordinates(problem, metric_of(problem))
        self._constant, self._constant_loss = constant_model(problem)
        self._floor = rounding_floor(problem, self._constant)
        if theta.any():
            self._v = self._at.from_user(theta)
        else:
            self._v = self._constant_v()
        # Centring weights >= 0 could make some of them negative.
        shared = slice(-1, None) if problem.objective.positive else slice(None)
        self._v[:, shared] = center_outputs(self._v[:, shared], self._joint)
        # (F, theta, v) of the best point so far.
        self._best = np.inf, theta, self._v
        # What is known of the minimum: the largest lower bound of F*; (estimate of F*, the F that
        # it was computed at); (F, distance from the minimum) at v; the relative distance of the
        # model and its kind.
        self._lower_bound, self._bounds = -np.inf, (-np.inf, np.inf)
        self.value_and_distance = self._optimality = None
        self._rows = Linearization(problem)
        self._x, self._step = np.zeros_like(self._v), np.ones((problem.objective.outputs, 1))
        self._passes = self._descend()
        self._checkpoint, self._epochs_since_checkpoint = {}, 0

    def _save_checkpoint(self):
        """Store the state from which `_descend` can begin again."""
        values = attrgetter(*self.checkpointed)(self)
        self._checkpoint = dict(zip(self.checkpointed, values, strict=True))
        self._epochs_since_checkpoint = 0

    def resume_point(self):
        """What `resume` needs."""
        return self._checkpoint, self._epochs_since_checkpoint, self.state

    @np.errstate(all="ignore")  # as during the passes
    def resume(self, problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`, by the same steps."""
        checkpoint, since, state = resume_point
        self.start(problem, state.theta, None)
        for name, value in checkpoint.items():
            *owner, attribute = name.split(".")
            setattr(attrgetter(*owner)(self) if owner else self, attribute, value)
        self._checkpoint = checkpoint
        for _ in range(since):
            self.epoch(None)
        self.state = state

    def close(self):
        """End the generator, which holds the method: else the arrays of both would wait for the
        collection of cycles.
        """
        self._passes.close()

    # ---- the verbs of a method ----

    def epoch(self, order):
        """One pass over the rows; their order does not matter."""
        epoch = next(self._passes)
        self._epochs_since_checkpoint += 1
        t, epochs = self.state.t + 1, self.state.epochs + 1
        self.state = replace(self.state, theta=self._model(), t=t, epochs=epochs)
        return epoch

    def optimality(self):
        """(estimate of (F - F*) / (F0 - F*), its kind) with F0 the loss of the best constant model;
        None if there is no estimate yet.
        """
        return self._optimality

    def bounds(self):
        """(bound or estimate of F*, the objective that it was computed at)"""
        return self._bounds

    def is_smooth(self):
        """Whether the decrement estimates the distance to the minimum."""
        return True

    # ---- the model ----

    def _model(self):
        """The parameters after the passes so far."""
        return self._best[1] if self.returns_best else self._theta

    def _offer(self, value, theta, v=None, or_equal=False):
        """Store a point as the best one if the objective there is lower, or equal."""
        if value < self._best[0] or (or_equal and value == self._best[0]):
            self._best = value, theta, v

    def _begin_with_constant(self):
        """Make the best constant model the best point so far."""
        v = self._constant_v()
        self._best = self._constant_loss, self._at.to_user(v), v

    def _constant_v(self):
        """The parameters of the best constant model."""
        v = np.zeros(self._at.shape)
        v[:, -1] = self._constant
        return v

    def _report(self, value):
        """The `Epoch` of a pass, after which the model has this objective."""
        value = self._best[0] if self.returns_best else value
        return Epoch(value, self._norm, float(self._step.max()))

    # ---- distances ----

    def rounding(self, value, dtype=np.float64):
        """The rounding error of objectives of this size, at least that of the constant model."""
        return max(self._rounding(value, dtype), self._floor)

    def _rounding(self, value, dtype=np.float64):
        return rounding_of(value, self._constant_loss, dtype)

    def relative(self, distance, value):
        """A distance from the minimum, at this objective, relative to that of the best constant
        model.
        """
        return relative(distance, value, self._constant_loss, self._floor)

    def _ratio(self):
        """The distance of the best model from the lower bound, relative to that of the best
        constant model.
        """
        return self.relative(self._best[0] - self._lower_bound, self._best[0])

    def gap(self, value, gradient=None, slopes=None):
        """The duality gap of the losses' slopes at v, or of others; `gradient` is theirs at v."""
        slopes = self._rows.losses()[1] if slopes is None else slopes
        q = None if gradient is None else gradient - self._at.l2 * self._v
        return gap(self.problem, self._at, value, slopes, q)

    def _raise_lower_bound(self, value, distance, slopes):
        """Use a duality gap of slopes at a point with this objective."""
        self._lower_bound = max(self._lower_bound, value - distance)
        if self._has_nothing_to_gain(slopes):
            self._lower_bound = max(self._lower_bound, self._constant_loss)

    def _has_nothing_to_gain(self, slopes):
        """Whether slopes near these prove that the best constant model is a minimum, if no model is
        better.
        """
        rounding = self._rounding(self._constant_loss)
        if not self._best[0] >= self._constant_loss - rounding > self._lower_bound:
            return False
        nothing = np.zeros_like(self._v)
        return self._gap_of(nothing, self._constant_loss, slopes) <= rounding

    def _gap_of(self, v, value, slopes):
        """The duality gap of slopes near these for which v is optimal; infinite if there are
        none.
        """
        if self.problem.objective.positive or v.shape[1] > MAX_DENSE_COLUMNS:
            return np.inf
        moved = slopes_for(self.problem, self._at, slopes, v)
        return np.inf if moved is None else self.gap(value, slopes=moved)

    def value_and_gap(self):
        """(F, duality gap of the losses' slopes) at v; a pass over X."""
        value, gradient = self._gradient()
        return value, self.gap(value, gradient)

    # ---- passes over X ----

    def _gradient(self):
        """(F, gradient) at v, which becomes the model and the point of the linearization."""
        self._theta = self._at.to_user(self._v)
        at = self._at if passes.are_expensive(self.problem) and self._needs_hessians() else None
        loss, gradient = self._rows.value_and_gradient(self._theta, at)
        gradient[-self._at.outputs :] += self.problem.objective.tilt
        return loss, self._at.gradient(gradient) + self._at.l2 * self._v

    def _needs_hessians(self):
        """Whether the Hessians of all rows will be needed where the next gradient is taken."""
        return False

    def _hessian_product(self, d):
        """The Hessian times d."""
        product = self._rows.hessian_product(self._at.to_user(d))
        return self._at.gradient(product) + self._at.l2 * d

    def _is_quadratic(self):
        return self.problem.objective.loss.is_quadratic

    # ---- the line search ----

    def _dot(self, a, b):
        """The dot product of a and b: one per output, shape (outputs, 1), or for a joint loss one
        in all, shape (1, 1).
        """
        product = (a * b).sum(axis=1, keepdims=True)
        return product.sum(axis=0, keepdims=True) if self._joint else product

    def _search(self):
        """Move v along x to where the objective's slope is at most `LINE_SLOPE_RATIO` of the first
        one, with one step length per output.

        Returns the objective there; -infinity for a quadratic, which needs no search.
        """
        x, v = self._x, self._v
        if self._is_quadratic() and not self.problem.objective.has_nonsmooth_penalty:
            self._v, self._x = v + x, np.zeros_like(x)
            return -np.inf
        start = self._dot(self._g, x).ravel()
        low, high = np.zeros(len(start)), np.full(len(start), np.inf)
        below, above = start.copy(), np.full(len(start), np.inf)
        t = np.ones(len(start))
        last, last_slope = np.zeros(len(start)), start
        penalties, is_convex = self._penalties_along(), self.problem.objective.loss.is_convex
        # The objective at t = 0, computed only if needed: a convex objective whose slope is still
        # negative has fallen.
        value0 = None
        for _ in range(MAX_LINE_EVALUATIONS):
            value, slope = self._line(t, penalties)
            good = np.abs(slope) <= LINE_SLOPE_RATIO * np.abs(start)
            is_reliable = (-start > RELIABLE_SLOPE * np.abs(value)).all() and is_convex
            if good.all() and (slope <= 0).all() and is_reliable:
                break
            if value0 is None:
                value0, _ = self._line(np.zeros(len(start)), penalties)
            good &= value <= value0
            if good.all():
                break
            up = (slope > 0) | ~np.isfinite(value)
            high, above = np.where(up & ~good, t, high), np.where(up & ~good, slope, above)
            low, below = np.where(~up & ~good, t, low), np.where(~up & ~good, slope, below)
            further = extrapolated(last, last_slope, t, slope)
            last, last_slope = t, slope
            t = np.where(good, t, within(low, high, below, above, otherwise=further))
        if value0 is not None and not (value <= value0).all():
            t = np.where(value <= value0, t, low)
            value, _ = self._line(t, penalties)
        self._step = t[:, None]
        self._v = v + self._step * x
        self._rows.move(t)
        self._x = np.zeros_like(x)
        return float(value.sum())

    def _penalties_along(self):
        """The coefficients of 1, t and t^2 / 2 in the penalty of v + t x, per output or in all."""
        v, x = self._v, self._x
        penalties = [self._dot(self._at.l2 * a, b).ravel() for a, b in ((v, v), (v, x), (x, x))]
        penalties[1] += self.problem.objective.tilt * self._dot(x, self._at.intercepts).ravel()
        return penalties

    @np.errstate(over="ignore", invalid="ignore")
    def _line(self, t, penalties):
        """(values, slopes) of the objective at v + t x, per output or in all."""
        steps = np.broadcast_to(t, (self.problem.objective.outputs,)).astype(float)
        value, slope = self._rows.sums_along(steps)[:, : len(t)] / self._weight
        own, mixed, square = penalties
        return value + (own / 2 + t * mixed + t * t * square / 2), slope + mixed + t * square


class BoundedFromBelow(FullBatch):
    """Base of methods whose slopes bound the minimum by duality gaps; `_bound` does so at the
    current point.
    """

    def bounds(self):
        """(lower bound of F*, the lowest F so far)"""
        return self._lower_bound, self._best[0]

    def is_smooth(self):
        """False: no decrement estimates the distance to the minimum."""
        return False

    def finish(self, certify=True):
        """Bound the distance of the best point, which is the model."""
        self._bound()
        self.state = replace(self.state, theta=self._model())


def extrapolated(last, last_slope, t, slope):
    """The roots of the secants of negative slopes at `last` and t > last, within 1.25 t to 4 t."""
    with np.errstate(invalid="ignore", divide="ignore"):
        root = t - slope * (t - last) / (slope - last_slope)
    return np.where(root > t, np.clip(root, 1.25 * t, 4 * t), 4 * t)


def within(low, high, below, above, otherwise):
    """The roots of the secants of slopes `below` at `low` and `above` at `high`, at least 5 % from
    the ends; `otherwise` where there is no upper end.
    """
    with np.errstate(invalid="ignore"):
        secant, wide = low - below * (high - low) / (above - below), high - low
        inside = np.clip(secant, low + 0.05 * wide, high - 0.05 * wide)
        inside = np.where(np.isfinite(secant), inside, low + wide / 2)
    return np.where(np.isfinite(high), inside, otherwise)
