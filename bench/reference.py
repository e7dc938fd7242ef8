"""The optimum of a task, to about 1e-12 of F(best constant) - F*: Newton's method in scaled columns, with a duality gap.

A hinge, a tube or an L1 penalty is a maximum, l(u) = max_s s u - l*(s). It is smoothed about a guess a of its slope,
max_s s u - l*(s) - d/2 (s - a)^2, and the slope found becomes the next guess (the method of multipliers), so that d need not be
tiny. The slopes found also give the Lagrangian, a lower bound of F*: the error is the difference to F and what the last Newton step
gained.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import brentq
from scipy.sparse import diags_array, issparse
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import expit

WANTED = 1e-12  # of F0 - F*
START, SHRINK, LEAST = 4.0, 0.3, 1e-8  # d, in units of a margin: the first above 2, so that no slope is cut; then less and less
ROUNDS, STEPS = 60, 200
DENSE = 3000  # columns up to which the Hessian is a matrix


@dataclass
class Optimum:
    value: float  # F*
    constant: float  # F of the best constant model
    error: float  # bound of the error of `value`, over `constant` - `value`

    def gap(self, value):
        """(F - F*) / (F of the best constant model - F*); not below 0."""
        return max(value - self.value, 0.0) / max(self.constant - self.value, 1e-300)


def cache_folder():
    """Where what takes long to compute is kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "fastgd-bench")


def cached(kind, task, X, t, compute, extra=""):
    """compute(), or what it returned in an earlier run on the same data: plain JSON."""
    sample = X[:: max(1, X.shape[0] // 500)]
    digest = hashlib.sha256(repr((kind, task, X.shape, extra)).encode())
    for part in ((sample.data, sample.indices) if issparse(sample) else (np.ascontiguousarray(sample),)) + (t,):
        digest.update(part.tobytes())
    path = cache_folder() / f"{kind}-{digest.hexdigest()[:24]}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(compute()))
    return json.loads(path.read_text())


def optimum(task, X, t):
    """The Optimum, cached."""
    return Optimum(**cached("optimum", task, X, t, lambda: vars(solve(task, X, t)[0])))


def solve(task, X, t):
    """(Optimum, coef, intercept)."""
    return _Solver(task, X, t).run()


def constant(task, X, t):
    """F of the best model with w = 0."""
    zeros, intercept = np.zeros(X.shape[1]), 0.0
    if task.intercept:
        intercept = _best_intercept(task, t)
    return task.value(X, t, zeros, intercept)


def _best_intercept(task, t):
    match task.loss:
        case "squared_error" | "squared_hinge":
            return t.mean()  # of +1 and -1 too, for the squared hinge
        case "log_loss":
            share = (t > 0).mean()
            return np.log(share / (1 - share)) if 0 < share < 1 else 30.0 * np.sign(t[0])
        case "hinge":
            return 1.0 if t.mean() > 0 else -1.0
    kinks = np.concatenate([t - task.epsilon, t + task.epsilon])
    return np.median(kinks)  # the slope of mean max(0, |b - t| - epsilon) changes sign at the median of its kinks


class _Solver:
    def __init__(self, task, X, t):
        self.task, self.t, (self.n, self.p) = task, t, X.shape
        squares = (X.multiply(X) if issparse(X) else X * X).mean(axis=0)
        centred = task.intercept and not issparse(X)
        self.centre = X.mean(axis=0) if centred else np.zeros(self.p)
        deviation = np.sqrt(np.asarray(X.std(axis=0) ** 2 if centred else squares).ravel())
        self.scale = np.where(deviation > 1e-12 * np.sqrt(np.asarray(squares).ravel()), deviation, 1.0)
        self.X, self.A = X, (X @ diags_array(1 / self.scale)).tocsr() if issparse(X) else (X - self.centre) / self.scale
        self.l2, self.l1 = task.l2 / self.scale**2, task.l1 / self.scale
        self.unit = max(np.std(t), 1e-300) if task.regression else 1.0  # of a margin
        self.constant = constant(task, X, t)
        self.v, self.b = np.zeros(self.p), t.mean() if task.intercept and task.regression else 0.0
        self.decrement = np.inf
        self.a, self.c = np.zeros(self.n), np.zeros(self.p)  # guesses of the slopes of rows and of the L1 penalty

    def run(self):
        best = (np.inf, None, None)
        lower, margins = -np.inf, None
        for turn in range(ROUNDS):
            d = max(START * SHRINK**turn, LEAST)
            margins = self._newton(d)
            w = self.v / self.scale
            b = self.b - self.centre @ w
            best = min(best, (self.task.value(self.X, self.t, w, b), w, b), key=lambda triple: triple[0])
            *_, self.a = self._rows(margins, d)
            *_, self.c = self._columns(self.v, d)
            lower = max(lower, self._lagrangian(margins))
            error = (abs(best[0] - lower) + self.decrement) / max(self.constant - best[0], 1e-300)
            if error < WANTED or self.task.smooth:
                break
        value = float(best[0])
        return Optimum(value, float(self.constant), float(error)), best[1], best[2]

    def _newton(self, d):
        """The margins at the minimum of the smoothed F."""
        z = self.A @ self.v + self.b
        for _ in range(STEPS):
            _, slope, curvature, _ = self._rows(z, d)
            _, pull, stiffness, _ = self._columns(self.v, d)
            gradient = np.append(self.A.T @ slope / self.n + self.l2 * self.v + pull, slope.mean() if self.task.intercept else 0.0)
            step = -self._solve(curvature / self.n, self.l2 + stiffness, gradient)
            decrement = -step @ gradient
            self.decrement = max(decrement / 2, 0.0)  # what this step still gains, about: the error of the last minimum
            change = self.A @ step[:-1] + step[-1]
            if not decrement > 0:
                break
            rate = self._line_search(z, change, step, d)
            self.v, self.b, z = self.v + rate * step[:-1], self.b + rate * step[-1], z + rate * change
            if decrement < 1e-3 * WANTED * self.constant:
                break
        return self.A @ self.v + self.b

    def _line_search(self, z, change, step, d):
        """Where the derivative along the step is zero."""
        quadratic = (self.l2 * step[:-1]) @ step[:-1]
        linear = (self.l2 * step[:-1]) @ self.v

        def derivative(rate):
            rows = self._rows(z + rate * change, d)[1] @ change / self.n
            return rows + self._columns(self.v + rate * step[:-1], d)[1] @ step[:-1] + linear + rate * quadratic

        high = 1.0
        if abs(derivative(1.0)) < 1e-3 * abs(derivative(0.0)):
            return 1.0
        while derivative(high) < 0 and high < 1e6:
            high *= 2
        return brentq(derivative, 0.0, high, xtol=1e-14, rtol=1e-10) if derivative(0.0) < 0 < derivative(high) else high

    def _solve(self, curvature, ridge, gradient):
        """H^-1 gradient, H of the weights and the intercept."""
        rows = np.flatnonzero(curvature)
        A, h = (self.A, curvature) if len(rows) == self.n else (self.A[rows], curvature[rows])
        if self.p > DENSE:
            return self._conjugate(A, h, ridge, gradient)
        weighted = (A.T @ diags_array(h)) if issparse(A) else A.T * h
        H = np.empty((self.p + 1, self.p + 1))
        product = weighted @ A
        H[:-1, :-1] = product.toarray() if issparse(product) else product
        H[-1, :-1] = H[:-1, -1] = weighted.sum(axis=1)
        H[-1, -1] = h.sum() if self.task.intercept else 1.0
        if not self.task.intercept:
            H[-1, :-1] = H[:-1, -1] = 0.0
        H.flat[:: self.p + 2] += np.append(ridge, 0.0)
        jitter = 1e-15 * max(np.trace(H) / (self.p + 1), 1 / self.n)
        while True:
            H.flat[:: self.p + 2] += jitter
            try:
                return cho_solve(cho_factor(H), gradient)
            except np.linalg.LinAlgError:
                jitter *= 10

    def _conjugate(self, A, h, ridge, gradient):
        free = float(self.task.intercept)

        def times(x):
            x = np.ravel(x)
            z = h * (A @ x[:-1] + free * x[-1])
            return np.append(A.T @ z + ridge * x[:-1], z.sum() if free else x[-1])

        diagonal = np.append(A.multiply(A).T @ h + ridge, h.sum() + 1e-12 if free else 1.0)
        size = (self.p + 1, self.p + 1)
        found, _ = cg(LinearOperator(size, times, dtype=float), gradient, rtol=1e-8, maxiter=1000,
                      M=LinearOperator(size, lambda x: np.ravel(x) / diagonal, dtype=float))  # fmt: skip
        return found

    def _rows(self, z, d):
        """(value, slope, curvature, multiplier) of each row's loss, smoothed where it has a kink."""
        t = self.t
        match self.task.loss:
            case "squared_error":
                return (z - t) ** 2 / 2, z - t, np.ones(self.n), z - t
            case "log_loss":
                s = expit(-t * z)
                return np.logaddexp(0, -t * z), -t * s, s * (1 - s), -t * s
            case "squared_hinge":
                r = np.maximum(0, 1 - t * z)
                return r**2, -2 * t * r, 2.0 * (r > 0), -2 * t * r
            case "hinge":
                r = 1 - t * z
                s = np.clip(self.a + r / d, 0, 1)
                return s * r - d / 2 * (s - self.a) ** 2, -t * s, ((s > 0) & (s < 1)) / d, s
        d, r = d * self.unit, z - t
        s = self.a + r / d
        s = np.clip(np.sign(s) * np.maximum(np.abs(s) - self.task.epsilon / d, 0), -1, 1)
        value = s * r - self.task.epsilon * np.abs(s) - d / 2 * (s - self.a) ** 2
        return value, s, ((s != 0) & (np.abs(s) < 1)) / d, s

    def _columns(self, v, d):
        """The same of the L1 penalty of each weight."""
        if not self.task.l1:
            return 0.0, np.zeros(self.p), np.zeros(self.p), self.c
        d = d * self.unit / self.l1  # a weight of one unit moves the slope by l1 / d
        s = np.clip(self.c + v / d, -self.l1, self.l1)
        return s * v - d / 2 * (s - self.c) ** 2, s, (np.abs(s) < self.l1) / d, s

    def _lagrangian(self, z):
        """A lower bound of F* where z, the multipliers and the weights are a minimum of the smoothed F."""
        task, t = self.task, self.t
        match task.loss:
            case "hinge":
                rows = self.a * (1 - t * z)
            case "epsilon_insensitive":
                rows = self.a * (z - t) - task.epsilon * np.abs(self.a)
            case _:
                rows = self._rows(z, 1.0)[0]
        return rows.mean() + self.l2 / 2 @ self.v**2 + (self.c @ self.v if task.l1 else 0.0)
