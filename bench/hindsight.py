"""The bar of `python -m bench auto`: plain SGD with the best of 10 rates and 4 schedules, known only after all were tried.

All 40 descend side by side, one column of W each, on standardised columns where X is dense and on X as it is where it is sparse.
The penalty acts on the weights of the user's own columns, so that it is another one in each standardised column: no estimator has
that as an option, hence this loop. At each mark the best of the 40 counts.
"""

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit

from bench import reference

MARKS = (5, 20, 100)  # epochs
RATES = np.logspace(-3, 1.5, 10)  # in units of 1 / (curvature of the loss * mean squared length of a row)
SCHEDULES = {
    "constant": lambda epochs: np.ones_like(epochs),
    "1/sqrt": lambda epochs: 1 / np.sqrt(1 + epochs),
    "1/t": lambda epochs: 1 / (1 + epochs),
    "1/t, early": lambda epochs: 1 / (1 + 10 * epochs),
}
CURVATURE = {"log_loss": 0.25, "squared_hinge": 2.0}  # 1 otherwise
SEED = 0


def best(task, X, t):
    """[F at each mark, of the best of all settings then], cached."""
    extra = (MARKS, RATES.tolist(), list(SCHEDULES), SEED)
    return reference.cached("hindsight", task, X, t, lambda: descend(task, X, t).min(axis=(0, 1)).tolist(), extra)


def descend(task, X, t):
    """F of each rate, schedule and mark: an array of that shape, infinite where it diverged."""
    n, p = X.shape
    scale = np.ones(p) if issparse(X) else np.where((s := X.std(axis=0)) > 0, s, 1.0)
    centre = np.zeros(p) if issparse(X) else X.mean(axis=0)
    A = X.tocsr() if issparse(X) else (X - centre) / scale
    lengths = (A.multiply(A) if issparse(A) else A * A).sum(axis=1) + 1.0
    rates = np.repeat(RATES / (CURVATURE.get(task.loss, 1.0) * lengths.mean()), len(SCHEDULES))
    if task.loss == "epsilon_insensitive":
        rates = rates * t.std()  # its slopes are of size 1 whatever the targets' size
    W, b, rng = np.zeros((p, len(rates))), np.zeros(len(rates)), np.random.default_rng(SEED)
    found, sweep = [], _sparse_epoch if issparse(A) else _dense_epoch
    for epoch in range(MARKS[-1]):
        order = rng.permutation(n)
        factors = np.array([rule(epoch + np.arange(n) / n) for rule in SCHEDULES.values()])
        steps = np.tile(factors.T, len(RATES)) * rates  # (n, 40)
        with np.errstate(all="ignore"):
            sweep(task, A, t, order, steps, scale, W, b)
            if epoch + 1 in MARKS:
                weights = W / scale[:, None]
                pairs = zip(weights.T, b - centre @ weights, strict=True)
                found.append([task.value(X, t, w, intercept) for w, intercept in pairs])
    return np.reshape(found, (len(MARKS), len(RATES), len(SCHEDULES))).transpose(1, 2, 0)


def _dense_epoch(task, A, t, order, steps, scale, W, b):
    l2, l1 = (task.l2 / scale**2)[:, None], (task.l1 / scale)[:, None]
    for i, step in zip(order, steps, strict=True):
        x = A[i]
        g = step * _slope(task, x @ W + b, t[i])
        W -= x[:, None] * g
        if task.l1:
            np.multiply(np.sign(W), np.maximum(np.abs(W) - step * l1, 0.0), out=W)
        if task.l2:
            W /= 1 + step * l2
        if task.intercept:
            b -= g


def _sparse_epoch(task, A, t, order, steps, scale, W, b):
    """The penalties of the steps since a column was last met are paid when it is met again."""
    paid, total = np.zeros((len(W), len(b))), np.zeros(len(b))  # sums of the rates
    for i, step in zip(order, steps, strict=True):
        entries = slice(A.indptr[i], A.indptr[i + 1])
        cols, x = A.indices[entries], A.data[entries]
        w = _shrunk(task, W[cols], total - paid[cols])
        g = step * _slope(task, x @ w + b, t[i])
        W[cols] = w - x[:, None] * g
        paid[cols] = total
        total = total + step
        if task.intercept:
            b -= g
    W[:] = _shrunk(task, W, total - paid)


def _shrunk(task, W, rate):
    W = np.sign(W) * np.maximum(np.abs(W) - rate * task.l1, 0.0) if task.l1 else W
    return W * np.exp(-rate * task.l2)


def _slope(task, z, t):
    match task.loss:
        case "squared_error":
            return z - t
        case "log_loss":
            return -t * expit(-t * z)
        case "hinge":
            return -t * (t * z < 1)
        case "squared_hinge":
            return -2 * t * np.maximum(0, 1 - t * z)
        case "epsilon_insensitive":
            return np.sign(z - t) * (np.abs(z - t) > task.epsilon)
    raise ValueError(f"no slope of loss={task.loss!r}")
