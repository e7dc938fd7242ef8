"""The distance from the minimum of models that another method finds, estimated by a method that
starts at the model."""

import numpy as np

from fastgd.methods import interior_point
from fastgd.methods.active_set import newton_for
from fastgd.methods.newton import Newton
from fastgd.methods.proximal_newton import ProximalNewton
from fastgd.methods.row_space import RowSpace, is_worthwhile
from fastgd.problem.layout import pack

# Passes that one call of a certificate may take, at most.
MAX_PASSES_PER_CALL = 50
# While the duality gap of the given slopes is at most this share of the last one, it is the
# answer: it will soon be within `tol` at no other cost.
FALLING_GAP_RATIO = 0.7
# The bounds of the minimum are close enough once their difference is at most this share of the
# distance from the lower one: the reported distance is then off by a factor of at most 2.
MAX_BOUND_SHARE = 0.5


class Certificate:
    """(estimate or bound of (F - F*) / (F0 - F*), its kind) of models that another method finds.

    None if there is no estimate yet. A certificate never changes a model. For a smooth objective it
    is the Newton decrement at the model, in a few passes; with an L1 part the smallest duality gap
    so far. For losses with kinks or jumps of the curvature, and for fewer rows than columns, the
    decrement is not reliable: there a second method approaches the minimum, a few passes per call,
    and the distance is measured from its result.
    """

    def __init__(self, problem, tol):
        self._problem, self._tol, self._solver = problem, tol, None
        # The best lower bound from slopes, and the relative distance that it led to.
        self._lower, self._last = -np.inf, np.inf
        self._has_l1 = problem.objective.l1 != 0
        loss = problem.objective.loss
        is_solved = loss.needs_smoothing or loss.is_piecewise_quadratic or is_worthwhile(problem)
        self._solves = is_solved and not self._has_l1

    def __call__(self, coef, intercept, slopes=None):
        """The distance of a model; `slopes`, shape (rows, outputs), are the slopes of the losses
        that led to it, if available.
        """
        problem = self._problem
        newton = Newton(dense_metric=True)
        newton.distrust_short_cg = True
        theta = pack(coef, intercept, problem.rows.dtype, problem.by_column)
        newton.start(problem, theta, None)
        if slopes is not None:
            value, before = newton.loss_at(theta), self._last
            found = self._from_gap(newton, value, newton.gap(value, slopes=slopes))
            self._last = found[0] if found else np.inf
            if self._last <= max(self._tol or 0.0, FALLING_GAP_RATIO * min(before, 1.0)):
                return found
        if self._solves:
            return self._from_minimum(newton, theta)
        if self._has_l1:
            return self._from_gap(newton, *newton.value_and_gap())
        return _decrement(newton)

    def _from_gap(self, newton, value, gap):
        """The relative distance of this objective from the best lower bound so far."""
        self._lower = max(self._lower, value - gap)
        return _relative_distance(newton, value - self._lower, value, "duality gap")

    def resume_point(self):
        """The state for `resume`."""
        return self._lower, self._last, self._solver and self._solver.resume_point()

    def resume(self, resume_point):
        """Restore the state of `resume_point`."""
        self._lower, self._last, solver = resume_point
        if solver is not None and self._tol:
            self._solver = self._make_solver()
            self._solver.resume(self._problem, solver)

    def _make_solver(self):
        """A method that approaches the minimum, and returns bounds or an estimate of it."""

        def make(problem):
            if problem.objective.loss.needs_smoothing:
                return interior_point.method_for(problem, True, self._tol / 2)
            return newton_for(problem, True, self._tol / 2)

        return RowSpace(make) if is_worthwhile(self._problem) else make(self._problem)

    def _from_minimum(self, newton, theta):
        """The distance of a model from the minimum, which each call locates more closely."""
        if self._solver is None:
            self._solver = self._make_solver()
            self._solver.start(self._problem, theta, None)
        value = newton.loss_at(theta)
        rounding = newton.rounding(value)
        for _ in range(MAX_PASSES_PER_CALL):
            lower, upper = self._solver.bounds()
            is_smooth = self._solver.is_smooth()
            if is_smooth:
                enough = max(MAX_BOUND_SHARE * (value - lower), rounding)
                is_known = np.isfinite(lower) and upper - lower <= enough
            else:
                known = self._solver.optimality()
                is_known = known is not None and known[0] <= self._tol / 2
            if is_known or self._solver.exhausted:
                break
            self._solver.epoch(None)
        lower = max(lower, self._lower)
        if not np.isfinite(lower) or (is_smooth and not (is_known or self._solver.exhausted)):
            return None
        kind = "duality gap" if self._problem.objective.loss.needs_smoothing else "Newton decrement"
        return _relative_distance(newton, value - lower, value, kind)


def _relative_distance(method, distance, value, kind):
    """(distance relative to that of the constant model, its kind); None if it is infinite."""
    if not np.isfinite(distance):
        return None
    return method.relative(distance, value), kind


def _decrement(method):
    """The relative distance of the point where Newton's method starts: its decrement or, if some
    passes do not yield that, a duality gap.
    """
    value, is_known = _run_until(method, lambda: method.value_and_distance)
    kind = "Newton decrement"
    if not is_known:
        # Without a penalty, gradients within rounding give no bound.
        if not np.all(method.problem.objective.l2):
            return None
        method.value_and_distance, kind = method.value_and_gap(), "duality gap"
    return _from_later_point(method, value, kind)


def _run_until(method, result):
    """Make some passes, until `result()` is not None; return (the objective at the start, whether
    it was in time).
    """
    value = method.epoch(None).loss
    for _ in range(MAX_PASSES_PER_CALL):
        if result() is not None:
            return value, True
        method.epoch(None)
    return value, False


def _from_later_point(method, value, kind):
    """The relative distance of a model with this objective, given that of a later point."""
    loss, distance = method.value_and_distance
    return _relative_distance(method, value - loss + distance, value, kind)


class PositiveCertificate(Certificate):
    """A `Certificate` for weights >= 0: the duality gap of the losses' slopes. Without a penalty no
    slopes give a bound; then it is the decrease predicted by a quadratic model of the loss, or None
    for a loss with kinks.
    """

    def __call__(self, coef, intercept, slopes=None):
        """The distance of a model."""
        method = ProximalNewton(dense_metric=True)
        theta = pack(coef, intercept, self._problem.rows.dtype, self._problem.by_column)
        method.start(self._problem, theta, None)
        if method.is_free and not self._problem.objective.loss.is_smooth:
            return None
        value, _ = _run_until(method, method.optimality)
        if method.value_and_distance is None:
            return method.optimality()
        return _from_later_point(method, value, "Newton decrement")
