"""scikit-learn's `dual_gap_` of the lasso and the elastic net."""

import numpy as np

from fastgd.problem.duality import balanced, weighted, weighted_sums
from fastgd.problem.layout import pack, unpack


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def dual_gaps(problem, coef, intercept, known=None):
    """The duality gap of each target's objective, shape (outputs,).

    With residuals r, which sum to 0 if there is an intercept, q = X'r / n - l2 w and a factor
    c = min(1, l1 / max|q|)

        gap = |r|^2 / (2 n) + l1 |w|_1 + (l2 / 2) |w|^2
              - (c y'r / n - (c^2 / 2) (|r|^2 / n + l2 |w|^2))

    if l1 > 0. If l1 = 0, the dual point is r itself. If l2 = 0 too, no dual point is feasible, and
    |X'r|^2 / n replaces the gap. Sample weights count in all sums. Sources:
    Fercoq, Gramfort and Salmon, "Mind the duality gap: safer rules for the lasso", ICML 2015;
    scikit-learn's coordinate descent.

    There is no pass over X if `known` holds (slopes, gradient of the mean loss) at the model; else
    one, or two if the residuals have to be centred.
    """
    objective = problem.objective
    slopes, gradient = known or _from_data(problem, coef, intercept)
    weights, y, s = problem.row_shares, problem.output_targets, slopes
    if objective.intercept:
        y = y - weighted(weights, y)
        s = balanced(objective.loss, slopes, y, weights)
    if s is not slopes:
        gradient = _coefficients(problem, weighted_sums(problem, s))
    q, w, l1, l2 = -gradient, coef.astype(np.float64), objective.l1, objective.l2
    squares, products, lengths = *(weighted(weights, s * t) for t in (s, y)), (w * w).sum(axis=1)
    value = weighted(weights, slopes * slopes) / 2 + l1 * np.abs(w).sum(axis=1) + l2 / 2 * lengths
    if l1 > 0:
        q -= l2 * w
        largest = (q if objective.positive else np.abs(q)).max(axis=1, initial=0.0)
        c = np.minimum(1.0, l1 / np.maximum(largest, np.finfo(float).tiny))
        gaps = value + c * products + c * c / 2 * (squares + l2 * lengths)
        return np.maximum(gaps, 0)  # rounding may make one negative
    q = np.maximum(q, 0) if objective.positive else q
    if l2 > 0:
        gaps = value + products + squares / 2 + (q * (q / (2 * l2))).sum(axis=1)
        return np.maximum(gaps, 0)
    return problem.rows.shape[0] * (q * q).sum(axis=1)


def _coefficients(problem, flat):
    """The part of the kernels' flat vector that belongs to the columns, in float64."""
    return unpack(flat, problem.objective.outputs, problem.by_column)[0].astype(np.float64)


def _from_data(problem, coef, intercept):
    """(slopes, gradient of the mean loss) of a model; a pass over X."""
    theta = pack(coef, intercept, problem.rows.dtype, problem.by_column)
    gradient, margins = np.empty_like(theta), np.empty(problem.output_targets.size)
    problem.value(theta, gradient, margins)
    slopes = margins.reshape(len(problem.visits), -1) - problem.output_targets
    return slopes, _coefficients(problem, gradient)
