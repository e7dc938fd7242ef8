"""The least-squares solution of minimum norm, where columns depend on one another."""

import numpy as np
from scipy.linalg import eigh, lstsq

# An eigenvalue counts as 0 if it is at most this many machine epsilons per column, relative to
# the largest one: 16 times the usual rank tolerance.
NULL_TOLERANCE = 16
# The tolerance counts at least this number of columns.
MIN_TOLERANCE_COLUMNS = 50
# Variances below this share of the column's mean square are ignored: a sum of squares is rounded
# relative to the mean square, so the cancellation loses 6 of its 16 digits, and more below.
MIN_RELATIVE_VARIANCE = 1e-6


def minimum_norm(at, null, coef, intercept):
    """(coef, intercept) of minimum norm with the same margins; `null` is `null_space(at)`."""
    directions, center = null
    basis = at.inverse[:, None] * directions
    coef, before = coef.astype(float), coef
    coef = coef - (basis @ lstsq(basis, coef.T, check_finite=False)[0]).T
    return coef, intercept + (before - coef) @ center * at.problem.objective.intercept


def null_space(at):
    """(directions, means of the columns): the directions of the weights, shape (p, count), that
    change no margin, or with an intercept all margins by the same amount.
    """
    problem, n, p = at.problem, len(at.problem.visits), len(at.inverse)
    h = problem.row_weights
    columns, mean = np.flatnonzero(at.inverse > 0), np.zeros(p)
    with_ones = np.append(columns, p) if problem.objective.intercept else columns
    gram = at.symmetric_products(h / h.mean(), with_ones)
    if problem.objective.intercept:
        mean[columns] = gram[-1, :-1] / gram[-1, -1]
        gram = gram[:-1, :-1] - np.outer(mean[columns], gram[-1, :-1])
    # Centring a sparse column with a large mean cancels nearly all of its square. The rest is
    # rounding, unless the column varies.
    squares, epsilon = np.diagonal(gram).copy(), float(np.finfo(float).eps)
    varies, constant = (
        squares >= MIN_RELATIVE_VARIANCE,
        columns[squares <= NULL_TOLERANCE * epsilon],
    )
    size = np.sqrt(squares[varies])
    gram = gram[np.ix_(varies, varies)] / np.outer(size, size)
    values, vectors = np.zeros(0), np.zeros((0, 0))
    if len(size):  # SciPy 1.13 refuses empty matrices
        values, vectors = eigh(gram, check_finite=False)
    limit = NULL_TOLERANCE * max(p, MIN_TOLERANCE_COLUMNS) * epsilon
    if problem.rows.dtype == np.float32:
        limit = max(limit, (max(n, p) * float(np.finfo(np.float32).eps)) ** 2)
    count = np.count_nonzero(values <= limit * max(values.max(initial=0.0), 0.0))
    found = np.zeros((p, count + len(constant)))
    found[columns[varies], :count] = vectors[:, :count] / size[:, None]
    found[constant, count + np.arange(len(constant))] = 1.0
    scale = np.divide(1.0, at.inverse, where=at.inverse > 0, out=np.zeros(p))
    return found, at.center + mean * scale
