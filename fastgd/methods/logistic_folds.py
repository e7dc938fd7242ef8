"""Binary logistic regressions with several penalties on all rows, and on each of some subsets of
them, such as the training rows of a cross-validation.

The penalties on all rows are columns that `NewtonColumns` trains first. The columns of the subsets
begin at these solutions, with their Hessians as preconditioners: two or three CG steps from the
minima. Those of all rows go on with them, which takes hardly any time of its own.
"""

from dataclasses import fields

import numpy as np

from fastgd.methods.newton_columns import Columns, NewtonColumns, Solution, Start
from fastgd.problem.losses import MIN_FREQUENCY

# The models of all rows, of which one will be used, are trained to this share of `tol`. It takes
# one or two CG steps more, and makes an error of 1 % in the coefficients one of 0.1 %.
WHOLE_TOL_SHARE = 0.01
# A subset's model begins at one that has seen all rows, also those on which it will be judged. Its
# distance from its own minimum has to fall to this share, even if it begins within `tol`: with more
# columns than rows and C = 1e3 log losses were half of the right ones without.
DISTANCE_SHARE = 0.1


def train(solver: NewtonColumns, weights, subsets, Cs):
    """Solutions on all rows, with `weights` (n,), and on each of the subsets: a list of one
    `Solution` each, whose columns are in the order of `Cs`.

    `subsets` are functions that return the rows' weights in a subset.
    """
    order = np.argsort(Cs, kind="stable")
    most = min(solver.most_columns, solver.most_penalties)
    makers = [lambda: weights, *subsets]
    parts = [[] for _ in makers]
    for start in range(0, len(order), most):
        some = Cs[order[start : start + most]]
        columns = Columns(weights[:, None], np.zeros(len(some), int), some)
        whole, references = solver.train(columns)
        together = max(1, solver.most_columns // len(some))
        for first in range(0, len(makers), together):
            of_subsets = np.column_stack([make() for make in makers[first : first + together]])
            found = _train_subsets(solver, of_subsets, some, whole, references, first == 0)
            for place, solution in enumerate(found, first):
                parts[place].append(solution)
    back = np.argsort(order, kind="stable")
    return [_taken(_joined(solutions), back) for solutions in parts]


def _train_subsets(solver, weights, Cs, whole, references, has_whole):
    """The `Solution` of each subset (column of `weights`), beginning at those of all rows, which
    are the first subset if `has_whole`.
    """
    subsets, penalties = weights.shape[1], len(Cs)
    frequency = (solver.y > 0) @ weights / weights.sum(axis=0)
    trains = np.full(subsets, True)
    if solver.intercept:
        # Without one of the classes the best model is constant.
        trains = (frequency > 0) & (frequency < 1)
    solutions = [_constant(f, len(whole.v), penalties) for f in frequency]
    if trains.any():
        # The columns of one penalty, which share a preconditioner, are next to each other.
        of_penalty, group = (a.ravel() for a in np.indices((penalties, trains.sum())))
        columns = Columns(np.ascontiguousarray(weights[:, trains]), group, Cs[of_penalty])
        is_whole = has_whole & (group == 0)
        start = Start(
            whole.v[:, of_penalty],
            np.where(is_whole, whole.passes[of_penalty], 0),
            references,
            np.where(is_whole, WHOLE_TOL_SHARE, 1.0),
            np.where(is_whole, np.inf, DISTANCE_SHARE),
        )
        found, _ = solver.train(columns, start)
        for place, subset in enumerate(np.flatnonzero(trains)):
            solutions[subset] = _taken(found, np.flatnonzero(group == place))
    return solutions


def _constant(frequency, size, penalties):
    """The best constant model where there is one class."""
    f = np.clip(frequency, MIN_FREQUENCY, 1 - MIN_FREQUENCY)
    v = np.zeros((size, penalties))
    v[-1] = np.log(max(f, MIN_FREQUENCY)) - np.log(max(1 - f, MIN_FREQUENCY))
    zeros = np.zeros(penalties)
    return Solution(v, zeros, zeros, zeros.astype(int), np.full(penalties, "tol", dtype=object))


def _joined(solutions):
    """The columns of solutions side by side."""
    names = [field.name for field in fields(Solution)]
    arrays = ([getattr(solution, name) for solution in solutions] for name in names)
    return Solution(*(np.concatenate(parts, axis=-1) for parts in arrays))


def _taken(solution, places):
    """Some of the columns of a solution."""
    return Solution(*(getattr(solution, field.name)[..., places] for field in fields(Solution)))
