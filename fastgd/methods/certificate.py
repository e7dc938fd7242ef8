"""How far from the minimum the models are that another method finds: the methods that know it
begin a run there."""

import numpy as np

from fastgd.methods.active_set import newton_for
from fastgd.methods.newton import Newton
from fastgd.methods.proximal_newton import ProximalNewton
from fastgd.methods.row_space import RowSpace, suits
from fastgd.methods.smoothing import SmoothedNewton
from fastgd.problem.duality import gap, relative, rounding_of
from fastgd.problem.layout import pack

# Passes that one look at a model may take.
LOOK = 50
# Ask nothing else while the slopes' bound is at most this share of the last one.
FALLS = 0.7
# A known minimum is good enough to measure a distance by once at most this share of the distance
# is unknown: what is told is then within a factor of 2 of the truth.
UNKNOWN = 0.5


class Certificate:
    """(estimate or bound of (F - F*) / (F0 - F*), its kind) of models that another method finds.

    None if nothing is known yet. It never changes a model. For a smooth objective it is the
    decrement at the model, in a few passes; with an L1 part the best duality gap so far;
    for losses with kinks or jumps of their curvature, which a model tells little of, and for fewer
    rows than columns, it is measured from the minimum that the method above finds, a few passes a
    call.
    """

    def __init__(self, problem, tol):
        self._problem, self._tol, self._solver = problem, tol, None
        # The best bound that slopes have made, and the ratio that it led to.
        self._lower, self._last = -np.inf, np.inf
        self._has_l1 = problem.objective.l1 != 0
        loss = problem.objective.loss
        is_solved = loss.needs_smoothing or loss.is_piecewise_quadratic or suits(problem)
        self._solves = is_solved and not self._has_l1

    def __call__(self, coef, intercept, slopes=None):
        """Judge a model; `slopes` (rows, outputs) are those of the losses that made it, if
        known.
        """
        problem = self._problem
        newton = Newton(dense_metric=True)
        newton.wary = True
        theta = pack(coef, intercept, problem.rows.dtype, problem.by_column)
        newton.start(problem, theta, None)
        if slopes is not None:
            value, before = newton.loss_at(theta), self._last
            distance = gap(problem, newton._at, value, slopes)
            self._lower = max(self._lower, value - distance)
            found = _relative_distance(newton, value - self._lower, value, "duality gap")
            self._last = found[0] if found else np.inf
            if found and (found[0] <= self._tol or found[0] <= FALLS * min(before, 1.0)):
                return found  # or will be soon, at no other cost
        if self._solves:
            return self._from_minimum(newton, theta)
        if self._has_l1:
            value, distance = _from_slopes(newton)
            self._lower = max(self._lower, value - distance)
            return _relative_distance(newton, value - self._lower, value, "duality gap")
        return _decrement(newton)

    def position(self):
        """What `resume` needs."""
        return self._lower, self._last, self._solver and self._solver.position()

    def resume(self, position):
        """Know again what was known at `position`."""
        self._lower, self._last, solver = position
        if solver is not None and self._tol:
            self._solver = self._make_solver()
            self._solver.resume(self._problem, solver)

    def _make_solver(self):
        """A method that finds the minimum, and bounds or an estimate of it."""

        def make(problem):
            if problem.objective.loss.needs_smoothing:
                return SmoothedNewton(True, self._tol / 2)
            return newton_for(problem, True, self._tol / 2)

        return RowSpace(make) if suits(self._problem) else make(self._problem)

    def _from_minimum(self, newton, theta):
        """How far above the minimum a model is; each call knows the minimum better."""
        if self._solver is None:
            self._solver = self._make_solver()
            self._solver.start(self._problem, theta, None)
        value = newton.loss_at(theta)
        rounding = max(rounding_of(value, newton._worst), newton._floor)
        for _ in range(LOOK):
            lower, upper = self._solver.bounds()
            is_smooth = self._solver.is_smooth()
            if is_smooth:
                enough = max(UNKNOWN * (value - lower), rounding)
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
    """(a distance relative to that of the constant model, its kind); None if it is infinite."""
    if not np.isfinite(distance):
        return None
    return relative(distance, value, method._worst, method._floor), kind


def _from_slopes(method):
    """(F, bound of how far the minimum is) where a method stands, by the duality gap of the losses'
    slopes.
    """
    value, g = method._gradient()
    return value, gap(
        method.problem, method._at, value, method.losses()[1], g - method._at.l2 * method._v
    )


def _decrement(method):
    """What Newton's method finds out, in some passes, of where it begins: its decrement, or a
    duality gap where they lead to.
    """
    value, kind = method.epoch(None).loss, "Newton decrement"
    for _ in range(LOOK):
        if method.here is not None:
            break
        method.epoch(None)
    else:
        if not np.all(method.problem.objective.l2):  # gradients of rounding size tell nothing
            return None
        method.here, kind = _from_slopes(method), "duality gap"
    loss, distance = method.here
    return _relative_distance(method, value - loss + distance, value, kind)


class CornerCertificate:
    """A `Certificate` of models with weights >= 0: the duality gap of the losses' slopes or, where
    nothing is penalised and no slopes would do, the decrease that a model of the loss foretells;
    None at kinks, which no such model has.
    """

    def __init__(self, problem):
        self._problem = problem

    def position(self):
        """Nothing is kept from a call to the next."""
        return None

    def resume(self, position):
        """There is nothing to go on with."""

    def __call__(self, coef, intercept, slopes=None):
        """Judge a model."""
        method = ProximalNewton(dense_metric=True)
        method.start(
            self._problem,
            pack(coef, intercept, self._problem.rows.dtype, self._problem.by_column),
            None,
        )
        if method._is_free and not self._problem.objective.loss.is_smooth:
            return None
        value = method.epoch(None).loss
        for _ in range(LOOK):
            if method.optimality() is not None:
                break
            method.epoch(None)
        if method.here is None:
            return method.optimality()
        loss, distance = method.here  # of a later model
        return _relative_distance(method, value - loss + distance, value, "Newton decrement")
