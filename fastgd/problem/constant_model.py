"""The best constant model, with which all others are compared."""

import numpy as np

from fastgd.problem.losses import MIN_FREQUENCY
from fastgd.problem.problem import Problem


def constant_model(problem: Problem):
    """(intercepts (outputs,), objective) of the best model without weights; intercepts 0 if the
    objective has none.
    """
    objective, loss, outputs = problem.objective, problem.objective.loss, problem.objective.outputs
    has_classes = objective.by_class or loss.is_of_labels
    frequency = _frequencies(problem) if has_classes else None
    if loss.is_joint:
        return _constant_softmax(frequency, objective.intercept)
    if has_classes:
        # Each output of a row has one of two targets, so their frequencies are enough.
        columns = [(np.array([1.0, -1.0]), np.array([f, max(1 - f, 0.0)])) for f in frequency]
    else:
        weights = problem.row_shares
        columns = [(y, weights) for y in problem.targets.T.astype(float, order="C")]
    intercepts, value = np.zeros(outputs), 0.0
    for k, (y, s) in enumerate(columns):
        if objective.intercept:
            intercepts[k] = loss.best_constant(y, s)
        value += s @ loss.evaluate(np.full(len(y), intercepts[k]), y)[0]
    return intercepts, float(value + objective.tilt * intercepts.sum())


def _frequencies(problem):
    """The share of the weight that each class has, or that is above 0 in each output."""
    targets, outputs = problem.targets, problem.objective.outputs
    weights = None if problem.weights is None else problem.row_shares
    if problem.objective.by_class:
        sums = np.bincount(targets[:, 0].astype(np.intp), weights, minlength=outputs)[:outputs]
    else:
        positive = targets > 0
        sums = np.count_nonzero(positive, axis=0) if weights is None else weights @ positive
    return sums / len(targets) if weights is None else sums


def rounding_floor(problem: Problem, intercepts):
    """By how much an objective varies when the intercepts of its best constant model are rounded.

    Targets of 1e12 leave residuals of 1e-4: what lies within their loss is nothing. Margins of
    classes have the size 1, and so have their losses.
    """
    loss = problem.objective.loss
    if loss.is_of_labels or loss.function:
        return 64 * float(np.finfo(float).eps) * problem.objective.outputs
    rounding_error = 8 * np.finfo(problem.rows.dtype).eps * np.abs(intercepts)
    if not loss.is_smooth:
        return float(rounding_error.sum())
    curvature = loss.curvature_of_constant(problem.targets)
    with np.errstate(over="ignore"):
        return float((curvature * rounding_error * rounding_error / 2).sum())


def _constant_softmax(frequency, intercept):
    """The intercepts that sum to zero and predict each class with its frequency, or with
    `MIN_FREQUENCY` if it is empty.
    """
    b = np.log(np.maximum(frequency, MIN_FREQUENCY)) if intercept else np.zeros(len(frequency))
    b -= b.mean()
    return b, float(np.log(np.exp(b - b.max()).sum()) + b.max() - frequency @ b)
