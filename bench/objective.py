"""The value of a model, from its coefficients alone: the benchmark never asks a solver how well it did."""

import numpy as np
from scipy.special import logsumexp

BLOCK = 8192  # rows at a time, so that float32 rows are not all widened at once


def targets(problem, y):
    """(n, K): the values of a regression, class numbers for softmax, else +1 for class k and -1 for the others."""
    if problem.regression:
        return np.asarray(y, float).reshape(len(y), -1)
    classes, numbers = np.unique(y, return_inverse=True)
    if problem.loss == "softmax":
        return numbers.reshape(-1, 1)
    positive = [1] if len(classes) == 2 else range(len(classes))
    return np.where(numbers[:, None] == np.array(positive), 1.0, -1.0)


def losses(loss, z, t, epsilon=0.0):
    """Loss of each row and output at margins z (n, K), or (n,) where there is one output."""
    match loss:
        case "squared_error":
            return (z - t) ** 2 / 2
        case "log_loss":
            return np.logaddexp(0, -t * z)
        case "hinge":
            return np.maximum(0, 1 - t * z)
        case "squared_hinge":
            return np.maximum(0, 1 - t * z) ** 2
        case "epsilon_insensitive":
            return np.maximum(0, np.abs(z - t) - epsilon)
        case "softmax":
            return logsumexp(z, axis=1, keepdims=True) - np.take_along_axis(z, t, axis=1)
    raise ValueError(f"loss={loss!r} is none that the benchmark can evaluate")


def objective(problem, X, y, coef, intercept):
    """F(W, b) in float64; coef (K, p), intercept (K,)."""
    coef, t, total = np.asarray(coef, np.float64), targets(problem, y), 0.0
    for start in range(0, X.shape[0], BLOCK):
        block = slice(start, start + BLOCK)
        total += losses(problem.loss, X[block] @ coef.T + intercept, t[block]).sum()
    return total / X.shape[0] + problem.l1 * np.abs(coef).sum() + problem.l2 / 2 * (coef**2).sum()
