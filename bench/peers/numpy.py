"""The same updates in NumPy (SciPy for sparse rows), as fast as NumPy computes just these.

One output is a vector w (p,), several are a matrix W (p, K): `rows @ w` and `rows.T @ slopes`
serve both.
"""

import math

import numpy as np
from scipy.sparse import issparse

from bench.objective import SLOPES, shrink, targets
from bench.peers import UnsupportedError

# for one margin: a Python float costs a tenth of an array of length 1
SCALAR_SLOPES = {
    "squared_error": lambda z, t: z - t,
    "log_loss": lambda z, t: -t / (1 + math.exp(min(t * z, 700.0))),
    "hinge": lambda z, t: -t if t * z <= 1 else 0.0,
}


def epochs(problem, X, y, shuffle, threads):
    outputs, by_row = targets(problem.loss, y).shape[1], problem.batch_size == 1
    if problem.average or by_row and issparse(X) and (problem.l1 or outputs > 1):
        raise UnsupportedError("has no averages, nor sparse rows one at a time with L1 or classes")
    by_row_epoch = sparse_epoch if issparse(X) else row_epoch
    epoch, rate = by_row_epoch if by_row else batch_epoch, problem.rate
    # the rate, the factor by which L2 shrinks w, the threshold of L1
    step = rate, max(0.0, 1 - rate * problem.l2), rate * problem.l1

    def train(epochs):
        t = targets(problem.loss, y)
        t = t[:, 0] if outputs == 1 else t
        rng = np.random.default_rng(0)
        w, b = np.zeros((X.shape[1], *t.shape[1:]), X.dtype), np.zeros(t.shape[1:])
        for _ in range(epochs):
            order = rng.permutation(X.shape[0]) if shuffle else None
            w, b = epoch(problem, X, t, order, step, w, b)
        return np.atleast_2d(w.T), np.atleast_1d(b)

    return train


def row_epoch(problem, X, t, order, step, w, b):
    """One step a row."""
    rate, decay, threshold = step
    slope = (SLOPES if w.ndim == 2 else SCALAR_SLOPES)[problem.loss]
    t, b = (t, b) if w.ndim == 2 else (t.tolist(), float(b))
    for i in range(X.shape[0]) if order is None else order.tolist():
        x = X[i]
        s = slope(x @ w + b, t[i])
        w *= decay
        w -= x[:, None] * (rate * s) if w.ndim == 2 else (rate * s) * x
        if threshold:
            w = shrink(w, threshold)
        b = b - rate * s
    return w, np.asarray(b)


def batch_epoch(problem, X, t, order, step, w, b):
    """One step a batch: views of the rows in the given order, copies in another one."""
    (rate, decay, threshold), slope, n = step, SLOPES[problem.loss], X.shape[0]
    size = n if problem.batch_size == "full" else problem.batch_size
    for start in range(0, n, size):
        batch = slice(start, start + size) if order is None else order[start : start + size]
        rows = X[batch]
        s = slope(rows @ w + b, t[batch]).astype(X.dtype, copy=False)
        w *= decay
        w -= rate / len(s) * (rows.T @ s)
        if threshold:
            w = shrink(w, threshold)
        b = b - rate * s.mean(axis=0)
    return w, b


def sparse_epoch(problem, X, t, order, step, w, b):
    """One step a CSR row, w = scale * v: L2 multiplies scale, the rest the row's columns."""
    (rate, decay, _), slope = step, SCALAR_SLOPES[problem.loss]
    data, indices, ends, t = X.data, X.indices, X.indptr.tolist(), t.tolist()
    v, scale, b = w, 1.0, float(b)
    for i in range(X.shape[0]) if order is None else order.tolist():
        row = slice(ends[i], ends[i + 1])
        x, columns = data[row], indices[row]
        s = slope(scale * (x @ v[columns]) + b, t[i])
        scale *= decay
        v[columns] -= (rate * s / scale) * x
        b -= rate * s
    return scale * v, np.asarray(b)


def adam(gradient, threads):
    (x, m, v), t = np.zeros((3, len(gradient)), gradient.dtype), 0

    def step():
        nonlocal x, m, v, t
        t += 1
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        x = x - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)

    return step
