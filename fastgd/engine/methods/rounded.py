"""Newton's method for losses with kinks, which are rounded off over ever smaller widths; a duality gap tells what is left.

Source: the smoothing technique of Nesterov, "Smooth minimization of non-smooth functions", Mathematical Programming 103 (2005).
"""
from dataclasses import replace
from math import sqrt

import numpy as np

from fastgd.engine.data import unpack
from fastgd.engine.duality import gap, relative, rounding_of

from .descent import Epoch
from .newton import Newton

DEMANDS = 0.1, 1e-4, 1e-7, 1e-10, 1e-14  # decrements at the end of a stage, of what rounding kinks off may cost


class Rounded(Newton):
    """Minimise an objective whose loss has kinks: Newton's method with the kinks rounded off over ever smaller widths.

    The slopes of a rounded loss are feasible for the dual of the loss itself, which bounds what is left.
    """

    begins_coarsely = False
    leaves = 0.0  # stages have ends of their own
    forcing = 0.5  # far from a kink the quadratic model is not worth more
    kept = *Newton.kept, "_best", "_least", "_beyond", "_cost", "_width", "_demand", "_last"

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands."""
        super().start(problem, theta, earlier)
        self._exact = problem  # while kinks are rounded off, `problem` is another one
        v = np.zeros_like(self._v)
        v[:, -1] = self._constant
        self._best = self._worst, self._at.to_user(v)  # (objective, theta) of the best end of a stage, or of the constant model
        self._least = -np.inf                          # a bound of the minimum
        self._beyond, self._cost = 0.0, 0.0
        self._width, self._demand, self._last = self._first_width(), 0, np.inf  # of the stage at hand; its last decrement
        self._mark()

    def _descend(self):
        exact = self._exact
        while True:
            rounded = replace(exact, objective=replace(exact.objective, width=self._width))
            while self._demand < len(DEMANDS):
                self.problem = rounded
                yield from self._minimise(self._is_enough)
                self.problem = exact
                distance, value = self._bound(self._width)
                yield Epoch(value, self._norm, float(self._step.max()))
                self._residual, self._inverse, self._last = self.forcing, None, np.inf
                if distance <= 4 * self._cost + rounding_of(value, self._worst, exact.rows.dtype):
                    break  # else the weights are held so loosely that the bound takes a better minimum
                self._demand += 1
            self._width *= min(0.3, max(0.1, 0.5 * self.tol / max(self._found[0], 1e-300)))
            self._demand = 0

    def _is_enough(self, decrement):
        """Whether a decrement ends a stage: it is small against what rounding kinks off may cost, or no longer falls."""
        before, self._last = self._last, decrement
        stuck = decrement > 0.1 * before and decrement <= rounding_of(self._best[0], self._worst, self.problem.rows.dtype)
        return stuck or decrement <= DEMANDS[self._demand] * self._cost

    def _curvatures(self):
        """Those of the rounded losses, and a share of secants' where rows on kinks are too few to make a Hessian of."""
        super()._curvatures()
        problem, width, n = self.problem, self.problem.objective.width, len(self.problem.visits)
        self._cost = max(width * self._h.sum(), 1.0) * width / (8 * n)  # a row on a kink: curvature 1 / width, cost <= width / 8
        beyond = self._beyond if self._h.any() else 1.0
        if beyond > 0:
            secant = beyond / np.maximum(self._distance(), width)
            if problem.weights is not None:
                secant = (secant.reshape(n, -1) * problem.weights[problem.visits, None]).ravel()
            np.maximum(self._h, secant, out=self._h)

    def _distance(self):
        """How far each margin is from the nearest kink of its loss."""
        objective, y = self.problem.objective, self.problem.output_targets.ravel()
        if objective.loss in ("hinge", "perceptron"):
            return np.abs((objective.loss == "hinge") - y * self._z)
        return np.abs(np.abs(self._z - y) - (0.0 if objective.loss == "quantile" else objective.delta))

    def _search(self):
        """As for smooth losses; steps that had to be cut short want the kinks beyond them in the next Hessian."""
        foremost = np.argmin(self._dot(self._g, self._x))
        super()._search()
        if self._step[foremost] < 0.1:
            self._beyond = min(max(10 * self._beyond, 0.01), 1.0)
        else:
            self._beyond = 0.1 * self._beyond if self._beyond > 1e-4 else 0.0

    def _rest(self, path):
        """Nothing depends on it: the gap tells how far the minimum is."""
        return 0.0, 0.0

    def _known(self, found):
        """The rounded objective's decrement tells nothing of the kinks."""

    def _result(self):
        """The best parameters that are known."""
        return self._best[1]

    def finish(self, certify=True):
        """Training ends amid a stage: where it has come to counts too."""
        if self._x.any():
            self._search()
        self.problem = self._exact
        self._bound(self._width)
        self.state = replace(self.state, theta=self._result())

    def _first_width(self):
        """So wide that at the start most rows are on a kink."""
        problem = self.problem
        if problem.objective.loss in ("hinge", "perceptron"):
            return 4.0
        weights = None if problem.weights is None else problem.weights[problem.visits]
        return 4.0 * float(np.average(np.abs(problem.targets - self._constant), axis=0, weights=weights).mean()) or 1.0

    def _bound(self, width):
        """(bound of what rounded losses' minimum leaves, objective) where we are; both enter what is known."""
        problem, objective = self.problem, self.problem.objective
        value, _ = self.losses()
        _, slopes = self.losses(width)
        weights = 1 if problem.weights is None else problem.weights[problem.visits, None]
        theta = self._at.to_user(self._v)
        value = float((weights * value).sum()) / self._weight
        value += objective.penalty(*unpack(theta, objective.outputs, problem.by_column))
        blur = np.finfo(float).eps * sqrt(float(np.mean(self._z**2 * (np.abs(self._distance()) <= width)))) / width
        distance = gap(problem, self._at, value, slopes, blur=blur)
        self._least = max(self._least, value - distance)
        if value <= self._best[0]:
            self._best = value, theta
        self._found = relative(self._best[0] - self._least, self._best[0], self._worst), "duality gap"
        return distance, value
