"""Losses and their slopes in plain NumPy: the benchmark evaluates every model itself, from its
coefficients, and never asks a solver how well it did.

z are the margins and t the targets, as `targets` makes them: (n, K), or (n,) for one output.
"""

import numpy as np
from scipy.special import expit, logsumexp, softmax

SMOOTH = ("squared_error", "log_loss", "squared_hinge")
REGRESSION = ("squared_error", "epsilon_insensitive")
LOSSES = {
    "squared_error": lambda z, t, epsilon=0.0: (z - t) ** 2 / 2,
    "log_loss": lambda z, t, epsilon=0.0: np.logaddexp(0, -t * z),
    "hinge": lambda z, t, epsilon=0.0: np.maximum(0, 1 - t * z),
    "squared_hinge": lambda z, t, epsilon=0.0: np.maximum(0, 1 - t * z) ** 2,
    "epsilon_insensitive": lambda z, t, epsilon=0.0: np.maximum(0, np.abs(z - t) - epsilon),
    "softmax": lambda z, t, epsilon=0.0: logsumexp(z, axis=1) - (z * t).sum(axis=1),
}
SLOPES = {  # dL/dz
    "squared_error": lambda z, t, epsilon=0.0: z - t,
    "log_loss": lambda z, t, epsilon=0.0: -t * expit(-t * z),
    "hinge": lambda z, t, epsilon=0.0: -t * (t * z <= 1),
    "squared_hinge": lambda z, t, epsilon=0.0: -2 * t * np.maximum(0, 1 - t * z),
    "epsilon_insensitive": lambda z, t, epsilon=0.0: np.sign(z - t) * (np.abs(z - t) > epsilon),
    "softmax": lambda z, t, epsilon=0.0: softmax(z, axis=-1) - t,
}
CURVATURES = {  # d^2L/dz^2 of the smooth ones
    "squared_error": lambda z, t: np.ones_like(z),
    "log_loss": lambda z, t: expit(z) * expit(-z),
    "squared_hinge": lambda z, t: 2.0 * (t * z < 1),
}


def targets(loss, y):
    """(n, K): the values of a regression, one-hot rows for softmax, else +1 for class k and -1."""
    if loss in REGRESSION:
        return np.asarray(y, float).reshape(len(y), -1)
    classes, numbers = np.unique(y, return_inverse=True)
    if loss == "softmax":
        return np.eye(len(classes))[numbers]
    positive = [1] if len(classes) == 2 else range(len(classes))
    return np.where(numbers[:, None] == np.array(positive), 1.0, -1.0)


def shrink(w, threshold):
    """The proximal operator of threshold |w|_1."""
    return np.sign(w) * np.maximum(np.abs(w) - threshold, 0.0)
