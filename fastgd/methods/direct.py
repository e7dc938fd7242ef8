"""Least squares in one epoch: by the normal equations or, with L1, by covariance updates."""

from dataclasses import replace

import numpy as np

from fastgd.methods.full_batch import State
from fastgd.methods.method import Epoch, Method
from fastgd.problem.layout import pack


class Direct(Method):
    """Solve least squares by the products of columns or rows; an epoch does it all.

    `solve(problem, tol)` returns a `Solution`, or None where there is none that is accurate: then
    the first epoch raises StopIteration.
    """

    def __init__(self, solve, tol=0.0):
        self._solve, self._tol = solve, tol

    def start(self, problem, theta, earlier):
        """Begin; theta is the model if there is no solution."""
        self.problem, self._solution = problem, None
        self.state = State.begin(problem, theta, earlier)

    def resume_point(self):
        """What `resume` needs."""
        return self.state

    def resume(self, problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`."""
        self.start(problem, None, resume_point)
        if resume_point.epochs:
            self._solution = self._solve(problem, self._tol)

    def epoch(self, order):
        """Solve, in one pass over the rows or some; their order does not matter."""
        if self._solution is None:
            self._solution = self._solve(self.problem, self._tol)
        solution, problem, state = self._solution, self.problem, self.state
        if solution is None:
            raise StopIteration
        theta = pack(solution.coef, solution.intercept, problem.rows.dtype, problem.by_column)
        self.state = replace(state, theta=theta, t=state.t + 1, epochs=state.epochs + 1)
        return Epoch(solution.loss, solution.gradient_norm, 1.0)

    @property
    def solver(self):
        """The name of the solver."""
        return self._solution and self._solution.solver

    def optimality(self):
        """That of the solution: 0 where it is exact."""
        return self._solution.optimality if self._solution else None

    def gaps(self):
        """The duality gaps of the targets, if they are known: those of a rounded model are not."""
        is_exact = self._solution and self.problem.rows.dtype == np.float64
        return self._solution.gaps if is_exact else None

    @property
    def exhausted(self):
        """Whether further passes gain nothing."""
        return self._solution is not None

    def solution(self):
        """(coef, intercept)"""
        if self._solution:
            return self._solution.coef, self._solution.intercept
        return super().solution()
