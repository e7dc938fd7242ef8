"""The scaling of the columns in which steps are taken: their centres and scales."""

from functools import cached_property

import numpy as np

from fastgd.kernels.variance import column_probability
from fastgd.problem import passes
from fastgd.problem.chunked_rows import ChunkedRows
from fastgd.problem.problem import Problem
from fastgd.problem.records import Record

# Rows whose median is the first guess of a column's centre. Sums of squares are shifted by it.
CENTER_SAMPLE_ROWS = 32
# A column is constant if its standard deviation is at most this share of its centre: rounding.
MIN_RELATIVE_SCALE = 1e-12
# Sums of squares beyond this number, or below its inverse, are computed again, of a column divided
# (or multiplied) by it: half of the exponents of float64.
MAX_SQUARES = 2.0**512
# Sparse columns count for at most this number per row.
MAX_COLUMNS_PER_ROW = 0.1
# A penalty beyond this, of a column of scale 1, keeps the weight within 2^-400 of 0, which is taken
# for 0.
MAX_PENALTY = 2.0**400
# Of the squared deviations of a column: a row with more may be one of few that carry it.
OUTSTANDING = 0.3


class Metric(Record):
    """Centre and scale of each column, (p,) float64 each; a constant column has scale 0.

    `peak` is the largest share of a row in the column's squared deviations, or None if unknown.
    """

    center: np.ndarray
    scale: np.ndarray
    peak: np.ndarray | None = None
    # The `CarriedColumns`, once they have been looked for.
    carried: object = None
    # The `Products` of the columns, if they have been computed.
    products: object = None

    def to_user(self, V, offset):
        """(coef, intercept) of weights V (outputs, p) of the scaled columns (x - center) / scale,
        and of the margins at the centre.
        """
        coef = V * self.inverse
        return coef, offset - coef @ self.center

    def from_user(self, coef, intercept):
        """(V, offset), the inverse of `to_user`."""
        return coef * self.scale, intercept + coef @ self.center

    @property
    def stands_out(self):
        """Of which columns one row has so much that few rows may carry them; of none if unknown."""
        return np.full(len(self.scale), False) if self.peak is None else self.peak > OUTSTANDING

    @cached_property
    def inverse(self):
        """1 / scale; 0 for a constant column, whose weight then stays where it is."""
        with np.errstate(divide="ignore", over="ignore"):
            inverse = 1 / self.scale
        return np.where(np.isfinite(inverse), inverse, 0.0)


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def metric_of(problem: Problem):
    """The problem's metric if it has one; else the weighted means and standard deviations of the
    columns.

    For CSR, where zeros have to stay zeros, and for an objective without an intercept, the centres
    are 0 and the scales are root mean squares.

    It takes one pass in float64 over columns shifted by a guess of their centre from a few rows. If
    a square overflows or underflows, the column is multiplied by a power of two, and there is
    another pass.
    """
    if problem.metric is not None:
        return problem.metric
    rows, visits, weights, term = problem.rows, problem.visits, problem.weights, problem.data_term
    shift, factor = rough_center(rows, visits, weights), np.ones(rows.shape[1])
    total = float(len(visits) if weights is None else weights[visits].sum())
    if not 1 / MAX_SQUARES < total < MAX_SQUARES:
        weights = weights / weights[visits].max()
        total, term = float(weights[visits].sum()), problem.weighted(weights)
    known = rows.moments(weights, visits) if isinstance(rows, ChunkedRows) else None
    for _ in range(4):
        first, second, largest = np.zeros((3, len(shift))) if known is None else known.copy()
        if known is None:
            passes.moments(term, factor, shift * factor, first, second, largest)
        known = None
        if second.max(initial=0) < MAX_SQUARES and second.min(initial=1) >= 1 / MAX_SQUARES:
            break
        large, small = ~(second < MAX_SQUARES), (second < 1 / MAX_SQUARES) & (first != 0)
        if not (large | small).any():
            break
        factor[large] /= MAX_SQUARES
        factor[small] = np.minimum(factor[small] * MAX_SQUARES, 2.0**1000)
    peak = np.divide(largest, second, out=largest, where=second > 0)
    if rows.sparse:
        return Metric(np.zeros(len(shift)), np.sqrt(second / total) / factor, peak)
    mean = first / total
    if is_far(mean, second / total):
        # The rows of which the centre was guessed are not like the others.
        shift = shift + mean / factor
        first, second, largest = np.zeros((3, len(shift)))
        passes.moments(term, factor, shift * factor, first, second, largest)
        peak, mean = np.divide(largest, second, out=largest, where=second > 0), first / total
    center = (shift * factor + mean) / factor
    scale = np.sqrt(np.maximum(second / total - mean * mean, 0)) / factor
    scale = np.where(scale > MIN_RELATIVE_SCALE * np.abs(center), scale, 0.0)
    # Without a free intercept there is nothing to absorb a centre.
    if not problem.objective.intercept or problem.objective.tilt:
        return Metric(np.zeros(len(shift)), np.hypot(scale, center), peak)
    return Metric(center, scale, peak)


def is_far(mean, square):
    """Whether a mean is more than ten standard deviations away from 0, given mean squares."""
    return bool((mean * mean > 100 / 101 * square).any())


def pooled(center, spread, other, other_spread, part):
    """Mean and standard deviation of the union of two sets, of which the other one has the share
    `part` of the weight; nothing is squared.
    """
    between = np.sqrt(part * (1 - part)) * np.abs(other - center)
    within = np.hypot(np.sqrt(1 - part) * spread, np.sqrt(part) * other_spread)
    return center + part * (other - center), np.hypot(within, between)


def merged(old, new, part, tolerance=MIN_RELATIVE_SCALE):
    """The `Metric` of the union of two sets of rows; what varies by at most this share of its
    centre is constant.
    """
    center, scale = pooled(old.center, old.scale, new.center, new.scale, part)
    return Metric(center, np.where(scale > tolerance * np.abs(center), scale, 0.0))


def rough_center(rows, visits, weights):
    """A central value of each column: the weighted median of a few rows, each of which stands for
    as many, and of the heaviest one; 0 for CSR.
    """
    if rows.sparse:
        return np.zeros(rows.shape[1])
    if isinstance(rows, ChunkedRows):
        return rows.center
    count = min(CENTER_SAMPLE_ROWS, len(visits))
    picked = visits[np.arange(count) * (len(visits) - 1) // max(count - 1, 1)]
    if weights is None:
        return np.sort(rows.values[picked].astype(float), axis=0)[len(picked) // 2]
    picked = np.append(picked, visits[weights[visits].argmax()])
    values, below = rows.values[picked].astype(float), weights[picked] / weights[picked].max()
    below[:count] *= len(visits) / count
    order = values.argsort(axis=0)
    below = below[order].cumsum(axis=0)
    middle = (2 * below >= below[-1]).argmax(axis=0)
    return values[order[middle, np.arange(values.shape[1])], np.arange(values.shape[1])]


def column_density(problem: Problem, probability=None):
    """The share of the rows that store each column; 1 for dense rows.

    If each row of X has a `probability`: that of a row that stores the column.
    """
    density = np.zeros(problem.rows.shape[1])
    if not problem.rows.sparse:
        return density + 1
    if probability is None:
        probability = np.full(problem.rows.shape[0], 1 / len(problem.visits))
    column_probability(problem.rows, problem.visits, probability, density)
    return density


def damp_rare_columns(problem: Problem, metric: Metric):
    """(metric for steps, mean squared norm of a row in it).

    Scaled by its root mean square, a sparse column that few of the n rows store would make those
    rows very long. So its scale is multiplied by sqrt(1 + least / density), with `least` such that
    the columns count for n / 10.
    """
    active, most = metric.scale > 0, MAX_COLUMNS_PER_ROW * len(problem.visits)
    if not problem.rows.sparse or active.sum() <= most:
        return metric, float(active.sum())
    density = np.where(active, column_density(problem), 0.0)
    low, high = 1e-12, density.sum() / most
    for _ in range(50):
        least = np.sqrt(low * high)
        if (density / (density + least)).sum() > most:
            low = least
        else:
            high = least
    factor = np.sqrt(1 + high / np.where(active, density, 1.0))
    return Metric(metric.center, metric.scale * factor), float((density / (density + high)).sum())


def listed(names, numbers):
    return ", ".join(
        f"{name!r} ({number:.2g})" if isinstance(name, str) else f"{name} ({number:.2g})"
        for name, number in zip(names, numbers, strict=True)
    )
