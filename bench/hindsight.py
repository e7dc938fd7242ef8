"""The best of plain SGD in hindsight: 10 constant rates by 4 schedules, the best one at each mark.

All 40 descend side by side, one column of W each: on standardised columns where X is dense, on the
columns as they are where it is sparse. The penalty acts on the weights of the original columns, so
it is another one in each standardised column. No estimator has that as an option, hence this loop.
"""

import numpy as np
from scipy.sparse import issparse

from bench.objective import SLOPES, shrink
from bench.optimum import cached

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


@cached
def best(problem, X, t):
    """[F at each mark of the best setting]."""
    (n, p), centre, scale = X.shape, np.zeros(X.shape[1]), np.ones(X.shape[1])
    if not issparse(X):
        centre, deviation = X.mean(axis=0), X.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
    A = X.toarray() if issparse(X) else (X - centre) / scale
    unit = 1 / (CURVATURE.get(problem.loss, 1.0) * ((A * A).sum(axis=1).mean() + 1.0))
    if problem.loss == "epsilon_insensitive":
        unit *= t.std()  # its slopes are of size 1 whatever the targets' size
    rates = np.repeat(RATES * unit, len(SCHEDULES))
    W, b, rng = np.zeros((p, len(rates))), np.zeros(len(rates)), np.random.default_rng(SEED)
    least = []
    for epoch in range(MARKS[-1]):
        order = rng.permutation(n)
        factors = np.array([rule(epoch + np.arange(n) / n) for rule in SCHEDULES.values()])
        steps = np.tile(factors.T, len(RATES)) * rates  # (n, 40)
        with np.errstate(all="ignore"):  # the largest rates diverge
            sweep(problem, A, t, order, steps, scale, W, b)
            if epoch + 1 in MARKS:
                weights = W / scale[:, None]
                pairs = zip(weights.T, b - centre @ weights, strict=True)
                least.append(min(problem.value(X, t, w, intercept) for w, intercept in pairs))
    return least


def sweep(problem, A, t, order, steps, scale, W, b):
    """An epoch, in place."""
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
        b -= g
