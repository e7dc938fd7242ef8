"""The optimum of a problem, to 1e-12 of F(best constant model) - F* by fastgd's certificate.

F is evaluated here. Each model of another solver checks the certificate: none may have a lower F.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Memory
from scipy.optimize import minimize_scalar

import fastgd
from bench import peers

ERROR = 1e-12  # wanted, over F(best constant model) - F*
MAX_ITER = 100_000  # passes; some hinge losses in raw columns take more than 1000
FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "fastgd-bench")
# Keeps what a function returned in earlier runs, as long as its source is the same.
cached = Memory(FOLDER, verbose=0).cache


@dataclass
class Optimum:
    value: float  # F*
    constant: float  # F of the best constant model
    error: float  # at most, of `value`, over `constant` - `value`

    def gap(self, value):
        """(F - F*) / (F of the best constant model - F*); not below 0."""
        gap = (value - self.value) / max(self.constant - self.value, 1e-300)
        if gap < -self.error - ERROR:
            raise ArithmeticError(f"F = {value:.17g} is below F* = {self.value:.17g}")
        return max(gap, 0.0)


@cached
def optimum(problem, X, t):
    return solve(problem, X, t)[0]


def solve(problem, X, t):
    """(Optimum, coef, intercept)."""
    name, parameters = peers.named_model(problem, len(t))
    model = getattr(fastgd, name)(**parameters, tol=ERROR, max_iter=MAX_ITER).fit(X, t)
    coef, intercept = peers.coefficients(model)
    value = problem.value(X, t, coef, intercept)
    error = max(float(model.optimality_), np.finfo(float).eps)
    return Optimum(value, constant(problem, t), error), coef, intercept


def constant(problem, t):
    """F of the best model with w = 0."""

    def value(b):
        return problem.value(np.zeros((len(t), 0)), t, np.zeros(0), b)

    return minimize_scalar(value, (t.min(), t.max())).fun if problem.intercept else value(0.0)
