"""How far from the minimum the models are that another method finds: the methods that know it begin a run there."""
import numpy as np

from fastgd.engine.data import pack
from fastgd.engine.duality import gap, relative, rounding_of
from fastgd.engine.objective import KINKED, SHARP

from .newton import Newton
from .proximal import Proximal
from .rounded import Rounded

LOOK = 50  # passes that a certificate may take


class Certificate:
    """(estimate or bound of (F - F*) / (F0 - F*), its kind) of models that another method finds; None if nothing is known yet.

    The decrement of a smooth objective, in a few passes; with an L1 part the duality gap of the losses' slopes; for losses with
    kinks, whose slopes at a model tell little, the bound of the minimum that rounded losses find, a few passes a call.
    """

    def __init__(self, problem, tol):
        self._problem, self._tol, self._rounded = problem, tol, None  # `_rounded`: what `_least` goes on with
        self._kinked = problem.objective.loss in KINKED and problem.objective.l1 == 0
        self.nothing_to_gain = False  # known only where a bound of the minimum is: no model is better than the constant one

    def __call__(self, coef, intercept):
        problem, newton_ = self._problem, Newton(dense_metric=True)
        newton_.wary = True
        theta = pack(coef, intercept, problem.rows.dtype, problem.by_column)
        newton_.start(problem, theta, None)
        if problem.objective.l1 == 0 and not self._kinked:
            return _decrement(newton_)
        if self._kinked:
            value, least = newton_._gradient()[0], self._least(theta)
            if not np.isfinite(least):  # not yet
                return None
            distance, self.nothing_to_gain = value - least, newton_._worst - least <= rounding_of(least, newton_._worst)
        else:
            value, distance = _from_slopes(newton_)
        return relative(distance, value, newton_._worst), "duality gap"

    def position(self):
        """What `resume` needs."""
        return self._rounded and self._rounded.position()

    def resume(self, position):
        """Know again what was known at `position`."""
        if position is not None and self._tol:
            self._rounded = Rounded(True, self._tol / 2)
            self._rounded.resume(self._problem, position)

    def _least(self, theta):
        """A bound of the minimum; each call makes it better, until it is good enough."""
        if self._rounded is None:
            self._rounded = Rounded(True, self._tol / 2)
            self._rounded.start(self._problem, theta, None)
        for _ in range(LOOK):
            known = self._rounded.optimality()
            if known is not None and known[0] <= self._tol / 2:
                break
            self._rounded.epoch(None)
        return self._rounded._least


def _from_slopes(method):
    """(F, bound of how far the minimum is) where a method stands, by the duality gap of the losses' slopes."""
    value, g = method._gradient()
    return value, gap(method.problem, method._at, value, method.losses()[1], g - method._at.l2 * method._v)


def _decrement(method):
    """What Newton's method finds out, in some passes, of where it begins: its decrement, or a duality gap where they lead to."""
    value, kind = method.epoch(None).loss, "Newton decrement"
    for _ in range(LOOK):
        if method.here is not None:
            break
        method.epoch(None)
    else:
        method.here, kind = _from_slopes(method), "duality gap"
    loss, distance = method.here
    return relative(value - loss + distance, value, method._worst), kind


class CornerCertificate:
    """A `Certificate` of models with weights >= 0: the duality gap of the losses' slopes or, where nothing is penalised and no
    slopes would do, the decrease that a model of the loss foretells; None at kinks, which no such model has.
    """

    nothing_to_gain = False

    def __init__(self, problem):
        self._problem = problem

    def position(self):
        """Nothing is kept from a call to the next."""
        return None

    def resume(self, position):
        """There is nothing to go on with."""

    def __call__(self, coef, intercept):
        method = Proximal(dense_metric=True)
        method.start(self._problem, pack(coef, intercept, self._problem.rows.dtype, self._problem.by_column), None)
        if method._is_free and self._problem.objective.loss in SHARP:
            return None
        for _ in range(LOOK):
            method.epoch(None)
            if method.optimality() is not None:
                break
        return method.optimality()
