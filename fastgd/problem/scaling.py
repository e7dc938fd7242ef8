"""Problems with columns, targets or penalties of extreme size are trained in scaled units.

The units are powers of two, so scaling rounds nothing: x = 2^e x' for each column, y = 2^k y'. A
loss of degree d (2 for squares, 1 for absolute values) makes the objective 2^(d k) times

    mean L(x' w' + b', y') + sum_j l1_j |w'_j| + l2_j w'_j^2 / 2
    l1_j = 2^(k (1 - d) - e_j) l1
    l2_j = 2^(k (2 - d) - 2 e_j) l2

with w_j = 2^(k - e_j) w'_j and b = 2^k b'.
"""

from dataclasses import replace

import numpy as np

from fastgd.problem.chunked_rows import ChunkedRows, of_columns
from fastgd.problem.metric import MAX_PENALTY, Metric, listed, metric_of
from fastgd.problem.problem import Problem, Samples
from fastgd.problem.records import Record

# Exponents of moderate sizes by the bytes of a float: from 2^-100 to 2^100, of float32 data from
# 2^-40 to 2^40. Squares of products of two are far from the ends of float64 at 2^1024, products of
# three from those of float32 at 2^128.
SAFE_EXPONENTS = {8: 100, 4: 40}
# The largest epsilon in scaled units, where targets are at most 1. A larger one changes nothing but
# the rounding.
MAX_SCALED_EPSILON = 2.0**20
# A weight is lost if its rounding changes the column's part in the predictions by more than this
# share of the largest part: 1e-3 costs a millionth of the explained variance.
MAX_ROUNDING_SHARE = 1e-3


class Scaling(Record):
    """The exponents e (p,) and k; `held`: columns whose weights stay 0.

    What has no number of its size is infinite, or 0.
    """

    columns: np.ndarray
    target: int
    degree: int
    held: np.ndarray

    def to_user(self, coef, intercept):
        """A model in the user's units, float64."""
        coef, intercept = coef.astype(float), intercept.astype(float)
        return _times(coef, self.target - self.columns), _times(intercept, self.target)

    def to_scaled(self, coef, intercept):
        """A user's model in these units."""
        coef, intercept = coef.astype(float), intercept.astype(float)
        return _times(coef, self.columns - self.target), _times(intercept, -self.target)

    def start(self, coef, intercept):
        """A user's initial weights in these units; 0 if products with them would overflow."""
        coef, intercept = self.to_scaled(coef, intercept)
        coef[:, self.held] = 0
        far = max(np.abs(coef).max(initial=0.0), np.abs(intercept).max())
        if far < 2.0 ** SAFE_EXPONENTS[8]:
            return coef, intercept
        return np.zeros_like(coef), np.zeros_like(intercept)

    def epoch_to_user(self, epoch):
        """An epoch's numbers in the user's units."""
        norm = float(_times(epoch.gradient_norm, max(self.degree - 1, 0) * self.target))
        return replace(epoch, loss=self.loss_to_user(epoch.loss), gradient_norm=norm)

    def loss_to_user(self, loss):
        """An objective in the user's units."""
        return float(_times(loss, self.degree * self.target))

    def loss_to_scaled(self, loss):
        """An objective in these units."""
        return float(_times(loss, -self.degree * self.target))

    def held_out(self, rows: Samples):
        """Held-out rows in these units."""
        X, y = _times_columns(rows.X, -self.columns), _times(rows.y, -self.target)
        labels = np.ldexp(rows.labels.astype(float), -self.target) if self.target else rows.labels
        return Samples(X, labels, y, rows.weights)


def scaled(problem: Problem):
    """(scaling, scaled problem); (None, the problem) where all sizes are moderate."""
    objective, metric, loss = problem.objective, problem.metric, problem.objective.loss
    safe = SAFE_EXPONENTS[problem.rows.dtype.itemsize]
    limit, degree = 2.0**safe, 0 if objective.by_class else loss.degree
    sizes = _sizes(metric)
    largest = _largest_target(problem) if degree else 0.0
    strength = np.inf if objective.exponent else max(objective.l1, np.max(objective.l2), loss.delta)
    columns_are_safe = ((sizes <= limit) & ((sizes == 0) | (sizes >= 1 / limit))).all()
    target_is_safe = largest == 0 or 1 / limit <= largest <= limit
    if columns_are_safe and target_is_safe and strength <= limit:
        return None, problem
    columns = np.zeros(len(sizes), np.int32) if columns_are_safe else _exponents(sizes, safe)
    k = int(np.frexp(largest)[1])
    shift = objective.exponent - columns
    is_by_output = isinstance(objective.l2, tuple)
    l2 = np.array(objective.l2)[:, None] if is_by_output else objective.l2
    l1 = np.minimum(_times(objective.l1, k * (1 - degree) + shift), MAX_PENALTY)
    l2 = np.minimum(_times(l2, k * (2 - degree) + shift - columns), MAX_PENALTY)
    held = (l1 >= MAX_PENALTY) | (np.atleast_2d(l2) >= MAX_PENALTY).all(axis=0)
    if loss.parameter == "epsilon":
        delta = float(_times(loss.delta, -k))
        loss = replace(loss, delta=min(delta, MAX_SCALED_EPSILON))
    if (columns == columns[0]).all() and not held.any():  # one penalty for all columns
        l1, l2 = float(l1[0]), tuple(l2[:, 0]) if is_by_output else float(l2[0])
        objective = replace(objective, loss=loss, l1=l1, l2=l2, exponent=0)
    else:
        objective = replace(objective, loss=loss, by_column=(l1, l2), exponent=0)
    X = problem.any_X if columns_are_safe else _times_columns(problem.any_X, -columns)
    center, scale = _times(metric.center, -columns), _times(metric.scale, -columns)
    metric = Metric(center, np.where(held, 0.0, scale), metric.peak)
    y = _times(problem.y, -k)
    others = {"y": y, "metric": metric, "objective": objective}
    return Scaling(columns, k, degree, held), problem.on(X, **others)


def _exponents(sizes, safe):
    """The exponents of the columns; the same for all if possible, so that there is one penalty."""
    exponents = np.frexp(sizes)[1]
    of_some = exponents[sizes > 0]
    if np.ptp(of_some) <= safe:
        exponents[:] = (of_some.min() + of_some.max()) // 2
    return exponents


def _times_columns(X, exponents):
    """X with columns multiplied by powers of two."""
    return X.times(exponents) if isinstance(X, ChunkedRows) else of_columns(_times, X, exponents)


@np.errstate(over="ignore", under="ignore")
def _times(values, exponents):
    """values * 2^exponents, in the dtype of the values."""
    return np.ldexp(values, exponents)


def _sizes(metric):
    """A bound of the usual numbers of each column."""
    return np.maximum(np.abs(metric.center), metric.scale)


def _largest_target(problem):
    """The largest absolute value of the targets to train on."""
    return float(max(problem.targets.max(), -problem.targets.min()))


def has_targets_beyond(problem):
    """Whether targets are larger than any prediction in the dtype of X."""
    of_values = not (problem.objective.loss.is_of_labels or problem.objective.by_class)
    return of_values and _largest_target(problem) > np.finfo(problem.rows.dtype).max


def lost_columns(scaling, metric, coef, intercept, dtype):
    """(columns whose weights `dtype` cannot hold for the user, whether intercepts are lost)."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        W, b = (part.astype(dtype) for part in scaling.to_user(coef, intercept))
        back, offset = scaling.to_scaled(W, b)
        most = (np.abs(coef) * metric.scale).max(initial=0.0)
        lost = ~(np.abs(back - coef) * _sizes(metric) <= MAX_ROUNDING_SHARE * most)
        # Normal numbers lose only the usual rounding.
        lost &= ~((np.abs(W) >= np.finfo(dtype).tiny) & np.isfinite(W))
        kept = np.abs(offset - intercept) <= MAX_ROUNDING_SHARE * max(most, np.abs(intercept).max())
    return lost.any(axis=0), not kept.all()


def without(problem, columns):
    """The problem with zeros in place of these columns."""
    X = problem.any_X
    if isinstance(X, ChunkedRows):
        X = X.without(columns)
    else:
        X = of_columns(lambda values, is_out: np.where(is_out, 0, values), X, columns)
    old = problem.metric
    peak = np.zeros(len(columns)) if old.peak is None else old.peak
    metric = Metric(*(np.where(columns, 0.0, part) for part in (old.center, old.scale, peak)))
    return problem.on(X, metric=metric)


def beyond(problem, names, columns, dtype):
    """The error message for data that no model in `dtype` fits; it names `columns`, or y if none is
    True.
    """
    y, which = "", np.flatnonzero(columns)[:3]
    if not problem.objective.loss.is_of_labels:
        y = f" Values of y are up to {_largest_target(problem):.2g}."
    if not len(which):
        return (
            f"y is out of the range in which {dtype} can hold the model.{y} Divide y by a constant."
        )
    sizes = _sizes(metric_of(problem))
    return (
        f"{dtype} cannot hold a model of columns {listed(names[which], sizes[which])} of X, "
        f"whose sizes are in brackets.{y} "
        f"Divide the columns{' or y' if y else ''} by a constant."
    )
