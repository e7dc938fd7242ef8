"""The same updates in NumPy (SciPy for sparse rows), each as fast as NumPy allows without changing what is computed.

One output is a vector w (p,), several are a matrix W (p, K), so that `rows @ w` and `rows.T @ slopes` serve both.
"""

import math

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit, softmax

from bench.objective import targets
from bench.peers import UnsupportedError

# dL/dz over a batch: z and t are (m,) or (m, K)
SLOPES = {
    "squared_error": lambda z, t: z - t,
    "log_loss": lambda z, t: -t * expit(-t * z),
    "hinge": lambda z, t: -t * (t * z <= 1),
    "softmax": lambda z, t: softmax(z, axis=-1) - t,
}
# the same for one margin: a Python float costs a tenth of an array of length 1
SCALAR_SLOPES = {
    "squared_error": lambda z, t: z - t,
    "log_loss": lambda z, t: -t / (1 + math.exp(min(t * z, 700.0))),
    "hinge": lambda z, t: -t if t * z <= 1 else 0.0,
}


def prepare(problem, X, y, shuffle, threads):
    if problem.average:
        raise UnsupportedError("has no averaging")
    sparse_rows = issparse(X) and problem.batch_size == 1
    if sparse_rows and (problem.l1 or _target_columns(problem, y[:1000]).ndim == 2):
        raise UnsupportedError("takes sparse rows one at a time only for one output and without L1")

    def train(epochs):
        t = _target_columns(problem, y)
        epoch = sparse_epoch if sparse_rows else row_epoch if problem.batch_size == 1 else batch_epoch
        rng = np.random.default_rng(0)
        w, b = np.zeros((X.shape[1], *t.shape[1:]), X.dtype), np.zeros(t.shape[1:])
        for _ in range(epochs):
            order = rng.permutation(X.shape[0]) if shuffle else None
            w, b = epoch(problem, X, t, order, w, b)
        return np.atleast_2d(w.T), np.atleast_1d(b)

    return train


def _target_columns(problem, y):
    """(n,) for one output, (n, K) for several; for softmax the one-hot rows."""
    t = targets(problem, y)
    if problem.loss == "softmax":
        return np.eye(t.max() + 1)[t[:, 0]]
    return t[:, 0] if t.shape[1] == 1 else t


def row_epoch(problem, X, t, order, w, b):
    """One step a row."""
    rate, keep, threshold = problem.rate, max(0.0, 1 - problem.rate * problem.l2), problem.rate * problem.l1
    slope = (SLOPES if w.ndim == 2 else SCALAR_SLOPES)[problem.loss]
    t = t if w.ndim == 2 else t.tolist()
    b = b if w.ndim == 2 else float(b)
    for i in range(X.shape[0]) if order is None else order.tolist():
        x = X[i]
        s = slope(x @ w + b, t[i])
        w *= keep
        w -= x[:, None] * (rate * s) if w.ndim == 2 else (rate * s) * x
        if threshold:
            w = shrink(w, threshold)
        b = b - rate * s
    return w, np.asarray(b)


def batch_epoch(problem, X, t, order, w, b):
    """One step a batch; rows in the given order are views, in another a copy of the batch."""
    rate, keep, threshold = problem.rate, max(0.0, 1 - problem.rate * problem.l2), problem.rate * problem.l1
    n = X.shape[0]
    size, slope = n if problem.batch_size == "full" else problem.batch_size, SLOPES[problem.loss]
    for start in range(0, n, size):
        batch = slice(start, start + size) if order is None else order[start : start + size]
        rows = X[batch]
        s = slope(rows @ w + b, t[batch]).astype(X.dtype, copy=False)
        w *= keep
        w -= rate / len(s) * (rows.T @ s)
        if threshold:
            w = shrink(w, threshold)
        b = b - rate * s.mean(axis=0)
    return w, b


def sparse_epoch(problem, X, t, order, w, b):
    """One step a CSR row, w = scale * v: the decay of all columns is one product, the rest touches the row's only."""
    rate, keep, slope = problem.rate, max(0.0, 1 - problem.rate * problem.l2), SCALAR_SLOPES[problem.loss]
    data, indices, ends, t = X.data, X.indices, X.indptr.tolist(), t.tolist()
    v, scale, b = w, 1.0, float(b)
    for i in range(X.shape[0]) if order is None else order.tolist():
        row = slice(ends[i], ends[i + 1])
        x, columns = data[row], indices[row]
        s = slope(scale * (x @ v[columns]) + b, t[i])
        scale *= keep
        v[columns] -= (rate * s / scale) * x
        b -= rate * s
    return scale * v, np.asarray(b)


def shrink(w, threshold):
    """argmin_u |u - w|^2 / 2 + threshold |u|_1"""
    return np.sign(w) * np.maximum(np.abs(w) - threshold, 0)
