"""The optimum of a problem, to about 1e-12 of F(best constant model) - F*, with its certificate.

Newton's method. A hinge, an epsilon-insensitive loss or an L1 penalty is a
maximum of s u - epsilon |s| over an interval of s. It is smoothed about an estimate a of the
maximiser, by a term -mu/2 (s - a)^2, and the maximiser found is the next a: the method of
multipliers, in which mu need not be tiny. The maximisers also give the Lagrangian, a lower bound of
F*. The error is the distance of F to it and what the last Newton step gained.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Memory
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import brentq, minimize_scalar
from scipy.sparse import diags_array, hstack, issparse
from scipy.sparse.linalg import LinearOperator, cg

from bench.objective import CURVATURES, LOSSES, SLOPES, SMOOTH, shrink

ERROR = 1e-12  # wanted, over F(best constant model) - F*
# mu, in units of a margin: first above 2, so that no slope is cut; then less in each round
FIRST_MU, MU_FACTOR, LAST_MU = 4.0, 0.3, 1e-8
ROUNDS, NEWTON_STEPS = 60, 200
DENSE = 3000  # columns up to which the Hessian is a matrix; above, conjugate gradients

FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "fastgd-bench")
# Keeps what a function returned in earlier runs, as long as its source is the same.
cached = Memory(FOLDER, verbose=0).cache


@dataclass
class Optimum:
    value: float  # F*
    constant: float  # F of the best constant model
    error: float  # bound of the error of `value`, over `constant` - `value`

    def gap(self, value):
        """(F - F*) / (F of the best constant model - F*); not below 0."""
        return max(value - self.value, 0.0) / max(self.constant - self.value, 1e-300)


@cached
def optimum(problem, X, t):
    return solve(problem, X, t)[0]


def solve(problem, X, t):
    """(Optimum, coef, intercept)."""
    return _Solver(problem, X, t).run()


def constant(problem, t):
    """F of the best model with w = 0."""

    def value(b):
        return problem.value(np.zeros((len(t), 0)), t, np.zeros(0), b)

    return minimize_scalar(value, (t.min(), t.max())).fun if problem.intercept else value(0.0)


def maximise(u, a, low, high, mu, epsilon=0.0):
    """(s, curvature) of max_s s u - epsilon |s| - mu/2 (s - a)^2 over low <= s <= high."""
    free = a + u / mu
    s = np.clip(shrink(free, epsilon / mu), low, high)
    return s, ((low < s) & (s < high) & (np.abs(free) >= epsilon / mu)) / mu


class _Solver:
    """v: the weights, then the intercept, whose column of A is of ones."""

    def __init__(self, problem, X, t):
        self.problem, self.X, self.t = problem, X, t
        ones = np.ones((len(t), int(problem.intercept)))
        self.A = hstack([X, ones], format="csr") if issparse(X) else np.hstack([X, ones])
        is_weight = np.arange(self.A.shape[1]) < X.shape[1]
        self.l2, self.l1 = problem.l2 * is_weight, problem.l1 * is_weight
        self.v = np.where(is_weight, 0.0, t.mean() if problem.regression else 0.0)
        self.constant = constant(problem, t)
        self.unit = max(np.std(t), 1e-300) if problem.regression else 1.0  # of a margin
        self.epsilon = problem.epsilon if problem.regression else 0.0
        # a loss with a kink is max_s s (z - t) - epsilon |s| over low <= s <= high
        hinge = np.minimum(0.0, -t), np.maximum(0.0, -t)
        self.low, self.high = (-1.0, 1.0) if problem.regression else hinge
        self.a = np.zeros(len(t))  # estimates of the maximisers of the rows' losses
        self.c = np.zeros(len(self.v))  # and of the L1 penalty, as multiples of l1
        self.last_gain = np.inf  # of the last Newton step: about the error of its minimum

    def run(self):
        best, lower, columns = (np.inf, None), -np.inf, self.X.shape[1]
        for number in range(ROUNDS):
            mu = self.unit * max(FIRST_MU * MU_FACTOR**number, LAST_MU)
            z = self._newton(mu)
            coef, intercept = self.v[:columns], self.v[columns:].sum()
            value = self.problem.value(self.X, self.t, coef, intercept)
            best = min(best, (value, coef, intercept), key=lambda one: one[0])
            self.a, self.c = self._rows(z, mu)[0], maximise(self.v, self.c, -1.0, 1.0, mu)[0]
            lower = max(lower, self._lagrangian(z))
            error = (abs(best[0] - lower) + self.last_gain) / max(self.constant - best[0], 1e-300)
            if error < ERROR or self.problem.smooth:
                break
        return Optimum(float(best[0]), float(self.constant), float(error)), *best[1:]

    def _newton(self, mu):
        """The margins at the minimum of the smoothed F."""
        z = self.A @ self.v
        for _ in range(NEWTON_STEPS):
            slope, curvature = self._rows(z, mu)
            penalty_slope, ridge = self._penalty(self.v, mu)
            gradient = self.A.T @ slope / len(z) + penalty_slope
            step = -self._solve(curvature / len(z), ridge, gradient)
            decrement = -step @ gradient
            self.last_gain = max(decrement / 2, 0.0)
            if not decrement > 0:
                break
            change = self.A @ step
            rate = self._line_search(z, change, step, mu)
            self.v, z = self.v + rate * step, z + rate * change
            if decrement < 1e-3 * ERROR * self.constant:
                break
        return self.A @ self.v

    def _line_search(self, z, change, step, mu):
        """Where the derivative along the step is zero."""

        def derivative(rate):
            of_rows = self._rows(z + rate * change, mu)[0] @ change / len(z)
            return of_rows + self._penalty(self.v + rate * step, mu)[0] @ step

        first, high = derivative(0.0), 1.0
        while derivative(high) < 0 and high < 1e6:
            high *= 2
        bracketed = first < 0 < derivative(high)
        return brentq(derivative, 0.0, high, xtol=1e-14, rtol=1e-10) if bracketed else high

    def _solve(self, curvature, ridge, gradient):
        """H^-1 gradient, H = A' diag(curvature) A + diag(ridge)."""
        used = curvature > 0
        A, h = (self.A, curvature) if used.all() else (self.A[used], curvature[used])
        size = len(gradient)
        if size > DENSE:
            diagonal = A.multiply(A).T @ h + ridge + 1e-12
            H = LinearOperator((size, size), lambda x: A.T @ (h * (A @ x)) + ridge * x)
            return cg(H, gradient, rtol=1e-8, maxiter=1000, M=diags_array(1 / diagonal))[0]
        H = (A.T @ diags_array(h) if issparse(A) else A.T * h) @ A
        H = H.toarray() if issparse(H) else H
        H.flat[:: size + 1] += ridge
        jitter = 1e-15 * np.maximum(H.diagonal(), 1e-10 * H.diagonal().max())
        while True:
            H.flat[:: size + 1] += jitter
            try:
                return cho_solve(cho_factor(H), gradient)
            except np.linalg.LinAlgError:
                jitter *= 10

    def _rows(self, z, mu):
        """(slope, curvature) of each row's loss, smoothed where it has a kink."""
        loss, t = self.problem.loss, self.t
        if loss in SMOOTH:
            return SLOPES[loss](z, t), CURVATURES[loss](z, t)
        return maximise(z - t, self.a, self.low, self.high, mu, self.epsilon)

    def _penalty(self, v, mu):
        """The same of the penalty of each weight."""
        s, curvature = maximise(v, self.c, -1.0, 1.0, mu)
        return self.l2 * v + self.l1 * s, self.l2 + self.l1 * curvature

    def _lagrangian(self, z):
        """A lower bound of F*, where z, the maximisers and the weights minimise the smoothed F."""
        loss, t = self.problem.loss, self.t
        if loss in SMOOTH:
            rows = LOSSES[loss](z, t)
        else:
            rows = self.a * (z - t) - self.epsilon * np.abs(self.a)
        return rows.mean() + self.l2 / 2 @ self.v**2 + (self.l1 * self.c) @ self.v
