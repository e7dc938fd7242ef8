"""The flat vector of parameters that the kernels descend on."""

import numpy as np


def pack(coef, intercept, dtype, by_column):
    """The flat vector [W, b] that the kernels descend on; W (outputs, p), for CSR rows its
    transpose (`by_column`).
    """
    coef = np.atleast_2d(coef)
    parts = (coef.T if by_column else coef).ravel(), np.ravel(intercept)
    return np.concatenate(parts).astype(dtype, copy=False)


def unpack(theta, outputs, by_column):
    """(coef (outputs, p), intercept (outputs,)) of the flat vector."""
    weights = theta[: len(theta) - outputs]
    coef = weights.reshape(-1, outputs).T if by_column else weights.reshape(outputs, -1)
    return coef.copy(), theta[len(theta) - outputs :].copy()
