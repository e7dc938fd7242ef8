"""The best constant model, with which all others are compared."""

import numpy as np

from fastgd.problem.losses import MIN_FREQUENCY
from fastgd.problem.problem import Problem


def constant_model(problem: Problem):
    """(intercepts (outputs,), objective) of the best model without weights; intercepts 0 if the
    objective has none.
    """
    objective, targets = problem.objective, problem.targets
    weights = problem.row_weights
    weights = weights / weights.sum()
    outputs = objective.outputs
    if objective.by_class:
        # Each output of a row has one of two targets, so their frequencies are enough.
        frequency = np.bincount(targets[:, 0].astype(np.intp), weights, minlength=outputs)[:outputs]
        if objective.loss.is_joint:
            return _constant_softmax(frequency, objective.intercept)
        columns = [(np.array([1.0, -1.0]), np.array([f, max(1 - f, 0.0)])) for f in frequency]
    elif objective.loss.is_of_labels:
        columns = [(np.array([1.0, -1.0]), np.array([f, 1 - f])) for f in weights @ (targets > 0)]
    else:
        columns = [(targets[:, k].astype(float), weights) for k in range(outputs)]
    intercepts = np.array(
        [objective.loss.best_constant(y, s) if objective.intercept else 0.0 for y, s in columns]
    )
    values = [
        s @ objective.loss.evaluate(np.full(len(y), b), y)[0]
        for b, (y, s) in zip(intercepts, columns, strict=True)
    ]
    return intercepts, float(sum(values) + objective.tilt * intercepts.sum())


def rounding_floor(problem: Problem, intercepts):
    """By how much an objective varies when the intercepts of its best constant model are rounded.

    Targets of 1e12 leave residuals of 1e-4: what lies within their loss is nothing. Margins of
    classes have the size 1, and so have their losses.
    """
    objective = problem.objective
    if objective.loss.is_of_labels or objective.loss.function:
        return 64 * float(np.finfo(float).eps) * objective.outputs
    rounding_error = 8 * np.finfo(problem.rows.dtype).eps * np.abs(intercepts)
    if not objective.loss.is_smooth:
        return float(rounding_error.sum())
    with np.errstate(over="ignore"):
        floor = (
            objective.loss.typical_curvature(problem.targets) * rounding_error * rounding_error / 2
        )
    return float(floor.sum())


def _constant_softmax(frequency, intercept):
    """The intercepts that sum to zero and predict each class with its frequency, or with
    `MIN_FREQUENCY` if it is empty.
    """
    b = np.log(np.maximum(frequency, MIN_FREQUENCY)) if intercept else np.zeros(len(frequency))
    b -= b.mean()
    return b, float(np.log(np.exp(b - b.max()).sum()) + b.max() - frequency @ b)
