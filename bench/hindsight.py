"""The best of plain SGD in hindsight: 10 constant rates by 4 schedules, the best one at each mark.

All 40 descend side by side, one column of W each: on standardised columns where X is dense, on X
itself where it is sparse. The penalty acts on the weights of the original columns, so it is another
one in each standardised column. No estimator has that as an option, hence this loop.
"""

import numpy as np
from scipy.sparse import issparse

from bench import optimum
from bench.objective import SLOPES, shrink

MARKS = (5, 20, 100)  # epochs
RATES = np.logspace(-3, 1.5, 10)  # times 1 / (curvature of the loss * mean squared norm of a row)
SCHEDULES = {
    "constant": lambda epochs: np.ones_like(epochs),
    "1/sqrt": lambda epochs: 1 / np.sqrt(1 + epochs),
    "1/t": lambda epochs: 1 / (1 + epochs),
    "1/t, early": lambda epochs: 1 / (1 + 10 * epochs),
}
CURVATURE = {"log_loss": 0.25, "squared_hinge": 2.0}  # 1 otherwise
SEED = 0


def best(problem, X, t):
    """[F at each mark of the best setting], cached."""
    setup = (MARKS, RATES.tolist(), list(SCHEDULES), SEED)

    def compute():
        return descend(problem, X, t).min(axis=(0, 1)).tolist()

    return optimum.cached("hindsight", problem, X, t, compute, setup)


def descend(problem, X, t):
    """F of each rate, schedule and mark: an array of that shape, infinite where it diverged."""
    n, p = X.shape
    deviation = np.ones(p) if issparse(X) else X.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    centre = np.zeros(p) if issparse(X) else X.mean(axis=0)
    A = X.tocsr() if issparse(X) else (X - centre) / scale
    squared_norms = (A.multiply(A) if issparse(A) else A * A).sum(axis=1) + 1.0
    unit = 1 / (CURVATURE.get(problem.loss, 1.0) * squared_norms.mean())
    if problem.loss == "epsilon_insensitive":
        unit *= t.std()  # its slopes are of size 1 whatever the targets' size
    rates = np.repeat(RATES * unit, len(SCHEDULES))
    W, b, rng = np.zeros((p, len(rates))), np.zeros(len(rates)), np.random.default_rng(SEED)
    values, sweep = [], _sparse_epoch if issparse(A) else _dense_epoch
    for epoch in range(MARKS[-1]):
        order = rng.permutation(n)
        factors = np.array([rule(epoch + np.arange(n) / n) for rule in SCHEDULES.values()])
        steps = np.tile(factors.T, len(RATES)) * rates  # (n, 40)
        with np.errstate(all="ignore"):
            sweep(problem, A, t, order, steps, scale, W, b)
            if epoch + 1 in MARKS:
                weights = W / scale[:, None]
                pairs = zip(weights.T, b - centre @ weights, strict=True)
                values.append([problem.value(X, t, w, intercept) for w, intercept in pairs])
    return np.reshape(values, (len(MARKS), len(RATES), len(SCHEDULES))).transpose(1, 2, 0)


def _dense_epoch(problem, A, t, order, steps, scale, W, b):
    slope = SLOPES[problem.loss]
    l2, l1 = (problem.l2 / scale**2)[:, None], (problem.l1 / scale)[:, None]
    for i, step in zip(order, steps, strict=True):
        x = A[i]
        g = step * slope(x @ W + b, t[i], problem.epsilon)
        W -= x[:, None] * g
        if problem.l1:
            W[:] = shrink(W, step * l1)
        if problem.l2:
            W /= 1 + step * l2
        if problem.intercept:
            b -= g


def _sparse_epoch(problem, A, t, order, steps, scale, W, b):
    """A column's penalties since its last row are applied when a row has it again."""

    def penalised(W, rate):
        W = shrink(W, rate * problem.l1) if problem.l1 else W
        return W * np.exp(-rate * problem.l2)

    slope = SLOPES[problem.loss]
    applied, total = np.zeros((len(W), len(b))), np.zeros(len(b))  # sums of the rates
    for i, step in zip(order, steps, strict=True):
        entries = slice(A.indptr[i], A.indptr[i + 1])
        cols, x = A.indices[entries], A.data[entries]
        w = penalised(W[cols], total - applied[cols])
        g = step * slope(x @ w + b, t[i], problem.epsilon)
        W[cols] = w - x[:, None] * g
        applied[cols] = total
        total = total + step
        if problem.intercept:
            b -= g
    W[:] = penalised(W, total - applied)
