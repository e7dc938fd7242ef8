"""What a user is told of an objective without a minimum: which columns separate rows, and what to
do.
"""

import numpy as np
from scipy import sparse

from fastgd.methods.separation import find_separation
from fastgd.problem.records import Record

# Columns that a message names, at most.
MAX_NAMES = 5
# Dense columns that are copied at a time.
BLOCK = 64
# The search for a direction may take as many passes over X as training, and at least this number.
MIN_PASSES = 100


class NoMinimum(Record):
    """Why an objective has no minimum, and the model's relative distance from its infimum."""

    reason: str
    optimality: float


def explain_separation(fit, training):
    """The `NoMinimum` of a fit whose objective may have no minimum; None if it has one."""
    problem = fit.problem
    if not problem.targets.any():  # counts of 0 only: the best constant model is as good as any
        return None
    # Training by rows does not look for the minimum, so only its model is looked at.
    most = max(MIN_PASSES, fit.model.n_iter_) if problem.full_batch else 0
    found = find_separation(problem, *training.scaled_solution(), most, training.method)
    if found is None or not len(found.columns):
        return None
    alone = fit.names[_separating_alone(problem, found.columns)]
    if found.is_complete:
        more = f" {_named(alone)} them alone." if len(alone) else ""
        reason = (
            "The classes are separable and nothing is penalised: the larger the weights, the "
            f"smaller the objective, so there is no minimum.{more}"
        )
        return NoMinimum(reason, found.optimality)
    names = alone if len(alone) else fit.names[found.columns]
    together = "" if len(alone) or len(names) == 1 else " together"
    is_of_labels = problem.objective.loss.is_of_labels
    rows = "some rows of a class from those of the others" if is_of_labels else "some rows of y = 0"
    reason = (
        f"{_named(names)}{together} {rows} (quasi-complete separation), and nothing is penalised: "
        f"the larger {'its weight is' if len(names) == 1 else 'their weights are'}, the smaller "
        "the objective, so there is no minimum."
    )
    return NoMinimum(reason, found.optimality)


def _named(names):
    """Columns as the subject of "separate"."""
    shown = [repr(name) if isinstance(name, str) else str(name) for name in names[:MAX_NAMES]]
    if len(names) > MAX_NAMES:
        shown.append(f"{len(names) - MAX_NAMES} more")
    if len(shown) == 1:
        return f"Column {shown[0]} separates"
    return f"Columns {', '.join(shown[:-1])} and {shown[-1]} separate"


def _separating_alone(problem, numbers):
    """Which of these columns separate rows without the others: a class from the other classes, or
    rows of y = 0 from those of larger y, among which the column is constant.
    """
    if problem.X is None:
        return numbers[:0]
    objective = problem.objective
    of_labels, has_intercept = objective.loss.is_of_labels, objective.intercept
    groups = (problem.output_targets > 0 if of_labels else problem.targets == 0).T
    groups = [group for group in groups if group.any() and not group.all()]
    found, X = np.zeros(len(numbers), bool), problem.training_X
    size = len(numbers) if sparse.issparse(X) else BLOCK
    for first in range(0, len(numbers), size):
        block = slice(first, first + size)
        of_block = X[:, numbers[block]]
        for group in groups:
            inside, outside = (_extremes(of_block[rows]) for rows in (group, ~group))
            is_apart = _are_apart(inside, outside, has_intercept)
            found[block] |= is_apart if of_labels else is_apart & (outside[0] == outside[1])
    return numbers[found]


def _extremes(X):
    """(least, largest) entries of each column."""
    extremes = X.min(axis=0), X.max(axis=0)
    return [part.toarray().ravel() for part in extremes] if sparse.issparse(X) else extremes


def _are_apart(inside, outside, has_intercept):
    """For which columns the entries of two groups, given their extremes, overlap in one number at
    most: 0 without an intercept.
    """
    (low_in, high_in), (low_out, high_out) = inside, outside
    if has_intercept:
        is_apart = (high_in <= low_out) | (high_out <= low_in)
    else:
        is_below = (high_in <= 0) & (low_out >= 0)
        is_apart = is_below | (high_out <= 0) & (low_in >= 0)
    return is_apart & (np.minimum(low_in, low_out) < np.maximum(high_in, high_out))
