"""Newton's method for losses with kinks, which are rounded off over ever smaller widths; a duality
gap tells what is left.

Source: the smoothing technique of Nesterov, "Smooth minimization of non-smooth functions",
Mathematical Programming 103 (2005).
"""

from dataclasses import replace

import numpy as np

from fastgd.methods.method import Epoch
from fastgd.methods.newton import LARGEST, Newton
from fastgd.problem.duality import gap, relative, rounding_of, slopes_for
from fastgd.problem.layout import unpack

DEMANDS = (
    0.1,
    1e-4,
    1e-7,
    1e-10,
    1e-14,
)  # decrements at the end of a stage, of what rounding kinks off may cost


class SmoothedNewton(Newton):
    """Minimise an objective whose loss has kinks: Newton's method with the kinks rounded off over
    ever smaller widths.

    The slopes of a rounded loss are feasible for the dual of the loss itself, which bounds what is
    left.
    """

    begins_coarsely = False
    leaves = 0.0  # stages have ends of their own
    forcing = 0.5  # far from a kink the quadratic model is not worth more
    kept = (
        *Newton.kept,
        "_best",
        "_least",
        "_beyond",
        "_cost",
        "_width",
        "_demand",
        "_last",
        "_spent",
        "_is_first",
    )

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands."""
        super().start(problem, theta, earlier)
        self._exact = problem  # while kinks are rounded off, `problem` is another one
        v = np.zeros_like(self._v)
        v[:, -1] = self._constant
        self._best = (
            self._worst,
            self._at.to_user(v),
        )  # (objective, theta) of the best end of a stage, or of the constant model
        self._least = -np.inf  # a bound of the minimum
        self._beyond, self._cost = 0.0, 0.0
        # of the stage at hand; its last decrement
        self._width = self._first_width()
        self._demand = 0
        self._last = np.inf
        self._is_first = True
        self._spent = 0  # ends of stages in a row that were within rounding of their minimum
        self._mark()

    def _pose(self, problem):
        """The problem with its loss as it is, or smoothed."""
        self.problem = self._rows.problem = problem

    def _descend(self):
        exact = self._exact
        while True:
            rounded = replace(exact, objective=replace(exact.objective, width=self._width))
            while self._demand < len(DEMANDS):
                self._pose(rounded)
                yield from self._minimise(self._is_enough)
                self._pose(exact)
                distance, value = self._bound(self._width)
                yield self._pass_made(value, 0.0)
                rounding = rounding_of(value, self._worst, exact.rows.dtype)
                self._spent = self._spent + 1 if self._cost + self._last <= rounding else 0
                if not self._is_exact():
                    self._residual, self._inverse = self.forcing, None
                    self._last = np.inf
                if distance <= 4 * self._cost + rounding:
                    # else the weights are held so loosely that the bound takes a better minimum
                    break
                self._demand += not self._is_exact()
            if not self._is_exact():
                self._width *= min(0.3, max(0.1, 0.5 * self.tol / max(self._ratio(), 1e-300)))
            self._demand = 0

    @property
    def exhausted(self):
        """Whether rounding hides all that narrower parabolas might still gain."""
        return self._spent > 1

    def _is_exact(self):
        """Whether nothing is rounded off: 'huber' is quadratic up to `delta` by itself."""
        return self._exact.objective.loss.is_exact_at(self._width)

    def is_smooth(self):
        """Whether the decrement of 'huber' tells how far its minimum is: for half of the weight it
        has curvature.
        """
        if not self._is_exact():
            return False
        return self._rows.share_within(self._exact.objective.loss.delta) >= 0.5

    def _is_enough(self, decrement):
        """Whether a decrement ends a stage: it is small against what rounding kinks off may cost,
        or no longer falls.
        """
        before, self._last = self._last, decrement
        if self._is_exact():
            return True
        stuck = decrement > 0.1 * before and decrement <= rounding_of(
            self._best[0], self._worst, self.problem.rows.dtype
        )
        return stuck or decrement <= DEMANDS[self._demand] * self._cost

    def _compute_curvatures(self):
        """Those of the smoothed losses, and a share of secants' where rows on kinks are too few to
        make a Hessian of.
        """
        super()._compute_curvatures()
        objective, n = self.problem.objective, len(self.problem.visits)
        total = self._rows.add_secants(self._beyond)
        self._cost = objective.loss.smoothing_cost(objective.width, total, n)

    def _is_tried(self, passes, is_first):
        """Never: `_pass_made` evaluates unfinished directions."""
        return False

    def _pass_made(self, loss, decrement):
        """An `Epoch` of the best model known; where an unfinished direction leads to is one,
        too.
        """
        if (
            self._x.any() and not self.is_smooth()
        ):  # which tells of the model where the direction began
            exact, there = self._exact, self._v + self._x
            sums = self._rows.sums_along(np.ones(self._at.outputs), exact)
            theta = self._at.to_user(there)
            penalty = exact.objective.penalty(*unpack(theta, self._at.outputs, exact.by_column))
            value = float(sums[0].sum()) / self._weight + penalty
            if value < self._best[0]:
                self._best = value, theta
        return Epoch(self._best[0], self._norm, float(self._step.max()))

    def _gradient(self):
        """(F, gradient) at v; the model that training begins with is the first that is known."""
        found = super()._gradient()
        if self._is_first:
            self._is_first, value = False, self._value()
            if value < self._best[0]:
                self._best = value, self._theta
        return found

    def _value(self):
        """The objective at v, of the margins last kept."""
        problem, objective = self.problem, self.problem.objective
        parts = unpack(self._at.to_user(self._v), objective.outputs, problem.by_column)
        return self._rows.mean_loss() + objective.penalty(*parts)

    def _move_on(self):
        """Nothing to do: `_result` returns the best model."""

    def _search(self):
        """As for smooth losses; steps that had to be cut short want the kinks beyond them in the
        next Hessian.
        """
        foremost = np.argmin(self._dot(self._g, self._x))
        after, value = super()._search(), self._value()
        if value < self._best[0]:
            self._best = value, self._at.to_user(self._v)
        if self._step[foremost] < 0.1:
            self._beyond = min(max(10 * self._beyond, 0.01), 1.0)
        else:
            self._beyond = 0.1 * self._beyond if self._beyond > 1e-4 else 0.0
        return after

    def _rest(self, path):
        """Nothing depends on it where the gap tells how far the minimum is."""
        return super()._rest(path) if self._is_exact() else (0.0, 0.0)

    def _known(self, found):
        """The decrement of a rounded objective tells nothing of the kinks."""
        if self.is_smooth():
            self._found = found

    def _may_be_enough(self, loss, decrement):
        """The end of each stage asks for a bound anyway."""
        return False

    def _result(self):
        """The best parameters that are known."""
        return self._best[1]

    def finish(self, certify=True):
        """Training ends amid a stage: where it has come to counts too."""
        self._pose(self._exact)
        self._bound(self._width)
        self.state = replace(self.state, theta=self._result())

    def _has_nothing_to_gain(self, slopes):
        """Whether slopes near these prove that the best constant model, which none has beaten, is a
        minimum.
        """
        rounding = rounding_of(self._worst, self._worst)
        if not self._best[0] >= self._worst - rounding > self._least:
            return False
        nothing = np.zeros_like(self._v)
        return self._gap_of(nothing, self._worst, slopes) <= rounding

    def _gap_of(self, v, value, slopes):
        """The gap of slopes near these for which v is best; infinite where none are found."""
        if self.problem.objective.positive or v.shape[1] > LARGEST:
            return np.inf
        moved = slopes_for(self.problem, self._at, slopes, v)
        return np.inf if moved is None else gap(self.problem, self._at, value, moved)

    def bounds(self):
        """(lower bound of F*, the lowest F known)"""
        return self._least, self._best[0]

    def _ratio(self):
        """The bound of the best model known, relative to what the best constant model leaves."""
        return relative(self._best[0] - self._least, self._best[0], self._worst, self._floor)

    def _first_width(self):
        """So wide that at the start most rows are on a kink."""
        problem = self.problem
        if problem.objective.loss.is_of_labels:
            return 4.0
        weights = None if problem.weights is None else problem.weights[problem.visits]
        return (
            4.0
            * float(
                np.average(np.abs(problem.targets - self._constant), axis=0, weights=weights).mean()
            )
            or 1.0
        )

    def _bound(self, width):
        """(bound of what rounded losses' minimum leaves, objective) where we are; both enter what
        is known.
        """
        problem, value = self.problem, self._value()
        _, slopes = self.losses(width)
        theta = self._at.to_user(self._v)
        distance = gap(problem, self._at, value, slopes)
        if distance > 4 * self._cost + rounding_of(value, self._worst):
            distance = min(distance, self._gap_of(self._v, value, slopes))
        self._least = max(self._least, value - distance)
        if value <= self._best[0]:
            self._best = value, theta
        if self._has_nothing_to_gain(slopes):
            self._least = max(self._least, self._worst)
        known = self._ratio()
        # Where 'huber' is smooth, the decrement of the next step says more than the bound.
        is_told = np.isfinite(known) and not (self.is_smooth() and known > 0)
        self._found = (known, "duality gap") if is_told else None
        return distance, value
