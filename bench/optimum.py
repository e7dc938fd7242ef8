"""The optimum of a problem, to about 1e-12 of F(best constant model) - F*, with its certificate.

Newton's method in standardised columns. A hinge, an epsilon-insensitive loss or an L1 penalty is a
maximum, l(u) = max_s s u - l*(s). It is smoothed about an estimate a of the maximiser,
max_s s u - l*(s) - mu/2 (s - a)^2, and the maximiser found is the next a: the method of
multipliers, in which mu need not be tiny. The maximisers also give the Lagrangian, a lower bound of
F*. The error is the distance of F to it and what the last Newton step gained.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import brentq, minimize_scalar
from scipy.sparse import diags_array, issparse
from scipy.sparse.linalg import LinearOperator, cg

from bench.objective import CURVATURES, LOSSES, SLOPES, shrink

ERROR = 1e-12  # wanted, over F(best constant model) - F*
# mu, in units of a margin: first above 2, so that no slope is cut; then less in each round
FIRST_MU, MU_FACTOR, LAST_MU = 4.0, 0.3, 1e-8
ROUNDS, NEWTON_STEPS = 60, 200
DENSE = 3000  # columns up to which the Hessian is a matrix; above, conjugate gradients


@dataclass
class Optimum:
    value: float  # F*
    constant: float  # F of the best constant model
    error: float  # bound of the error of `value`, over `constant` - `value`

    def gap(self, value):
        """(F - F*) / (F of the best constant model - F*); not below 0."""
        return max(value - self.value, 0.0) / max(self.constant - self.value, 1e-300)


def cached(kind, problem, X, t, compute, setup=""):
    """compute(), or what it returned in an earlier run on the same data: plain JSON."""
    sample = X[:: max(1, X.shape[0] // 500)]
    objective = (problem.loss, problem.l1, problem.l2, problem.intercept, problem.epsilon)
    digest = hashlib.sha256(repr((kind, objective, X.shape, setup)).encode())
    arrays = (sample.data, sample.indices) if issparse(X) else (np.ascontiguousarray(sample),)
    for part in (*arrays, t):
        digest.update(part.tobytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    path = cache / "fastgd-bench" / f"{kind}-{digest.hexdigest()[:24]}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(compute()))
    return json.loads(path.read_text())


def optimum(problem, X, t):
    """The Optimum, cached."""
    return Optimum(**cached("optimum", problem, X, t, lambda: vars(solve(problem, X, t)[0])))


def solve(problem, X, t):
    """(Optimum, coef, intercept)."""
    return _Solver(problem, X, t).run()


def constant(problem, t):
    """F of the best model with w = 0."""

    def value(b):
        return problem.value(np.zeros((len(t), 0)), t, np.zeros(0), b)

    return minimize_scalar(value, (t.min(), t.max())).fun if problem.intercept else value(0.0)


class _Solver:
    """v = scale * w are the weights of the standardised columns A, b their intercept."""

    def __init__(self, problem, X, t):
        self.problem, self.X, self.t, (self.n, self.p) = problem, X, t, X.shape
        sparse = issparse(X)
        squares = np.asarray((X.multiply(X) if sparse else X * X).mean(axis=0)).ravel()
        centred = problem.intercept and not sparse
        self.centre = X.mean(axis=0) if centred else np.zeros(self.p)
        deviation = np.sqrt(X.std(axis=0) ** 2 if centred else squares)
        self.scale = np.where(deviation > 1e-12 * np.sqrt(squares), deviation, 1.0)
        scaled = (X @ diags_array(1 / self.scale)).tocsr() if sparse else None
        self.A = scaled if sparse else (X - self.centre) / self.scale
        self.l2, self.l1 = problem.l2 / self.scale**2, problem.l1 / self.scale
        self.unit = max(np.std(t), 1e-300) if problem.regression else 1.0  # of a margin
        self.constant = constant(problem, t)
        self.v = np.zeros(self.p)
        self.b = t.mean() if problem.intercept and problem.regression else 0.0
        self.last_gain = np.inf  # of the last Newton step: about the error of its minimum
        self.a = np.zeros(self.n)  # estimates of the maximisers of the rows' losses
        self.c = np.zeros(self.p)  # and of the L1 penalty

    def run(self):
        best, lower, problem = (np.inf, None, None), -np.inf, self.problem
        for number in range(ROUNDS):
            mu = max(FIRST_MU * MU_FACTOR**number, LAST_MU)
            z = self._newton(mu)
            w = self.v / self.scale
            b = self.b - self.centre @ w
            best = min(best, (problem.value(self.X, self.t, w, b), w, b), key=lambda one: one[0])
            self.a, self.c = self._rows(z, mu)[2], self._columns(self.v, mu)[2]
            lower = max(lower, self._lagrangian(z))
            error = (abs(best[0] - lower) + self.last_gain) / max(self.constant - best[0], 1e-300)
            if error < ERROR or problem.smooth:
                break
        return Optimum(float(best[0]), float(self.constant), float(error)), *best[1:]

    def _newton(self, mu):
        """The margins at the minimum of the smoothed F."""
        free = float(self.problem.intercept)
        z = self.A @ self.v + self.b
        for _ in range(NEWTON_STEPS):
            slope, curvature, _ = self._rows(z, mu)
            l1_slope, l1_curvature, _ = self._columns(self.v, mu)
            of_weights = self.A.T @ slope / self.n + self.l2 * self.v + l1_slope
            gradient = np.append(of_weights, free * slope.mean())
            step = -self._solve(curvature / self.n, self.l2 + l1_curvature, gradient)
            decrement = -step @ gradient
            self.last_gain = max(decrement / 2, 0.0)
            if not decrement > 0:
                break
            change = self.A @ step[:-1] + step[-1]
            rate = self._line_search(z, change, step[:-1], mu)
            self.v, self.b = self.v + rate * step[:-1], self.b + rate * step[-1]
            z = z + rate * change
            if decrement < 1e-3 * ERROR * self.constant:
                break
        return self.A @ self.v + self.b

    def _line_search(self, z, change, step, mu):
        """Where the derivative along the step is zero."""
        quadratic, linear = (self.l2 * step) @ step, (self.l2 * step) @ self.v

        def derivative(rate):
            of_rows = self._rows(z + rate * change, mu)[0] @ change / self.n
            of_l1 = self._columns(self.v + rate * step, mu)[0] @ step
            return of_rows + of_l1 + linear + rate * quadratic

        first, high = derivative(0.0), 1.0
        if abs(derivative(high)) < 1e-3 * abs(first):
            return high
        while derivative(high) < 0 and high < 1e6:
            high *= 2
        bracketed = first < 0 < derivative(high)
        return brentq(derivative, 0.0, high, xtol=1e-14, rtol=1e-10) if bracketed else high

    def _solve(self, curvature, ridge, gradient):
        """H^-1 gradient, H of the weights and the intercept."""
        rows = np.flatnonzero(curvature)
        A, h = (self.A, curvature) if len(rows) == self.n else (self.A[rows], curvature[rows])
        if self.p > DENSE:
            return self._conjugate_gradients(A, h, ridge, gradient)
        weighted = (A.T @ diags_array(h)) if issparse(A) else A.T * h
        product = weighted @ A
        H = np.zeros((self.p + 1, self.p + 1))
        H[:-1, :-1] = product.toarray() if issparse(product) else product
        H[-1, -1] = 1.0
        if self.problem.intercept:
            H[-1, :-1] = H[:-1, -1] = weighted.sum(axis=1)
            H[-1, -1] = h.sum()
        H.flat[:: self.p + 2] += np.append(ridge, 0.0)
        jitter = 1e-15 * max(np.trace(H) / (self.p + 1), 1 / self.n)
        while True:
            H.flat[:: self.p + 2] += jitter
            try:
                return cho_solve(cho_factor(H), gradient)
            except np.linalg.LinAlgError:
                jitter *= 10

    def _conjugate_gradients(self, A, h, ridge, gradient):
        free, size = float(self.problem.intercept), (self.p + 1, self.p + 1)

        def times(x):
            x = np.ravel(x)
            z = h * (A @ x[:-1] + free * x[-1])
            return np.append(A.T @ z + ridge * x[:-1], z.sum() if free else x[-1])

        diagonal = np.append(A.multiply(A).T @ h + ridge, h.sum() + 1e-12 if free else 1.0)
        H = LinearOperator(size, times, dtype=float)
        inverse = LinearOperator(size, lambda x: np.ravel(x) / diagonal, dtype=float)
        return cg(H, gradient, rtol=1e-8, maxiter=1000, M=inverse)[0]

    def _rows(self, z, mu):
        """(slope, curvature, maximiser) of each row's loss, smoothed where it has a kink."""
        t, loss = self.t, self.problem.loss
        if loss == "hinge":
            s = np.clip(self.a + (1 - t * z) / mu, 0, 1)
            return -t * s, ((s > 0) & (s < 1)) / mu, s
        if loss == "epsilon_insensitive":
            mu = mu * self.unit
            s = np.clip(shrink(self.a + (z - t) / mu, self.problem.epsilon / mu), -1, 1)
            return s, ((s != 0) & (np.abs(s) < 1)) / mu, s
        slope = SLOPES[loss](z, t)
        return slope, CURVATURES[loss](z, t), slope

    def _columns(self, v, mu):
        """The same of the L1 penalty of each weight."""
        if not self.problem.l1:
            return np.zeros(self.p), np.zeros(self.p), self.c
        mu = mu * self.unit / self.l1  # a weight of one unit moves the slope by l1 / mu
        s = np.clip(self.c + v / mu, -self.l1, self.l1)
        return s, (np.abs(s) < self.l1) / mu, s

    def _lagrangian(self, z):
        """A lower bound of F*, where z, the maximisers and the weights minimise the smoothed F."""
        problem, t = self.problem, self.t
        if problem.loss == "hinge":
            rows = self.a * (1 - t * z)
        elif problem.loss == "epsilon_insensitive":
            rows = self.a * (z - t) - problem.epsilon * np.abs(self.a)
        else:
            rows = LOSSES[problem.loss](z, t)
        return rows.mean() + self.l2 / 2 @ self.v**2 + self.c @ self.v
