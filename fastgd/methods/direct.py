"""Least squares in one epoch: by the normal equations or, with L1, by covariance updates."""

from dataclasses import replace

from fastgd.methods.full_batch import State
from fastgd.methods.method import Epoch, Method
from fastgd.problem.layout import pack, unpack


class Direct(Method):
    """Solve least squares by the products of columns or rows; an epoch does it all.

    `solve(problem, tol)` returns a `Solution` or None. Then `make_other()` makes the method that
    takes over.
    """

    def __init__(self, solve, make_other, tol=0.0):
        self._solve, self._make_other, self._other, self._tol = solve, make_other, None, tol

    def start(self, problem, theta, earlier):
        """Begin; theta matters only if another method has to take over."""
        self.problem, self._solution = problem, None
        if theta is None:
            parts = unpack(earlier.theta, problem.objective.outputs, earlier.by_column)
            theta = pack(*parts, problem.rows.dtype, problem.by_column)
        t, epochs = getattr(earlier, "t", 1), getattr(earlier, "epochs", 0)
        self._state = State(theta, problem.by_column, t=t, epochs=epochs)

    @property
    def state(self):
        """The state of the run."""
        return self._other.state if self._other else self._state

    @state.setter
    def state(self, state):
        if self._other:
            self._other.state = state
        else:
            self._state = state

    def resume_point(self):
        """What `resume` needs."""
        return self._state, self._other and self._other.resume_point()

    def resume(self, problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`."""
        state, other = resume_point
        self.start(problem, None, state)
        if other is None:
            self._solution = self._solve(problem, self._tol) if state.epochs else None
        else:
            self._other = self._make_other()
            self._other.resume(problem, other)

    def epoch(self, order):
        """Solve, in one pass over the rows or some; their order does not matter."""
        if not (self._other or self._solution):
            self._solution = self._solve(self.problem, self._tol)
            if self._solution is None:
                self._other = self._make_other()
                self._other.start(self.problem, self._state.theta, None)
        if self._other:
            return self._other.epoch(order)
        problem, solution, state = self.problem, self._solution, self._state
        theta = pack(solution.coef, solution.intercept, problem.rows.dtype, problem.by_column)
        self._state = replace(state, theta=theta, t=state.t + 1, epochs=state.epochs + 1)
        return Epoch(solution.loss, solution.gradient_norm, 1.0)

    def optimality(self):
        """That of the solution, 0 where it is exact; of the other method, if one trains."""
        if self._other:
            return self._other.optimality()
        return self._solution.optimality if self._solution else None

    @property
    def dual_gaps(self):
        """The duality gaps of the targets, if they are known."""
        return self._solution.gaps if self._solution and not self._other else None

    @property
    def exhausted(self):
        """Whether further passes gain nothing."""
        return self._other.exhausted if self._other else self._solution is not None

    def solution(self):
        """(coef, intercept)"""
        if self._other:
            return self._other.solution()
        if self._solution:
            return self._solution.coef, self._solution.intercept
        return unpack(self._state.theta, self.problem.objective.outputs, self.problem.by_column)

    def loss_at(self, theta):
        """The objective at theta; a pass over X."""
        return self.problem.value(theta, theta.copy())

    def finish(self, certify=True):
        """End training."""
        if self._other:
            self._other.finish(certify)
