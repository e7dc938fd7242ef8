"""The metric in which steps are taken, made of the columns' means and spreads; and the best
constant model.
"""

import numpy as np
from scipy import sparse

from fastgd.kernels.columns import moments
from fastgd.kernels.variance import column_probability
from fastgd.problem.losses import LEAST_FREQUENCY

from .data import Problem, pack, unpack
from .records import Record

SAMPLE = 32  # rows to guess the centres from
LOOK = 256  # rows to judge the columns by
TELLING = 8  # entries that tell a column's size
UNEVEN = 1e3  # times the least root mean square of a column, that the largest may be
LONG = 10.0  # standard deviations that a row may be away
CONSTANT = 1e-12  # times the column's centre: a spread below is rounding
FAR = (
    2.0**512
    # sums of squares beyond, or below its inverse, are taken again of a column divided, or
    # multiplied, by it
)
FEW = 0.1  # columns a row that a sparse metric may have
# A penalty beyond this, of a column of spread 1, keeps the weight within 2^-400 of 0: it is taken
# for 0.
STRONGEST = 2.0**400


class Metric(Record):
    """Where each column lies and how far it spreads, (p,) float64 each; scale 0 marks a constant
    column.

    `peak` is the share of a column's squared deviations that its outermost row has, if that is
    known.
    """

    center: np.ndarray
    scale: np.ndarray
    peak: np.ndarray | None = None

    @property
    def inverse(self):
        """1 / scale; 0 for a constant column, whose weight then stays where it is."""
        with np.errstate(divide="ignore", over="ignore"):
            inverse = 1 / self.scale
        return np.where(np.isfinite(inverse), inverse, 0.0)


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def metric_of(problem: Problem):
    """The problem's metric or, where it has none yet, weighted means and standard deviations of
    columns.

    Zeros and root mean squares for CSR, so that zeros stay zeros, and for an objective without an
    intercept.

    One pass, in float64, over columns shifted to near their centre, which is guessed from a few
    rows. Where a square overflows or underflows, the column is multiplied by a power of two and
    passed over once more.
    """
    if problem.metric is not None:
        return problem.metric
    rows, visits, weights = problem.rows, problem.visits, problem.weights
    shift, factor = _amid(rows, visits, weights), np.ones(rows.shape[1])
    total = float(len(visits) if weights is None else weights[visits].sum())
    if not 1 / FAR < total < FAR:
        weights = weights / weights[visits].max()
        total = float(weights[visits].sum())
    for _ in range(4):
        first, second, largest = np.zeros((3, len(shift)))
        moments(
            rows,
            weights,
            visits,
            factor,
            shift * factor,
            first,
            second,
            largest,
            np.empty(1, rows.dtype),
        )
        large, small = ~(second < FAR), (second < 1 / FAR) & (first != 0)
        if not (large | small).any():
            break
        factor[large], factor[small] = (
            factor[large] / FAR,
            np.minimum(factor[small] * FAR, 2.0**1000),
        )
    mean = first / total
    peak = np.divide(largest, second, out=np.zeros(len(shift)), where=second > 0)
    center = (shift * factor + mean) / factor
    scale = np.sqrt(np.maximum(second / total - (0 if rows.sparse else mean * mean), 0)) / factor
    if rows.sparse:
        return Metric(np.zeros(len(shift)), scale, peak)
    scale = np.where(scale > CONSTANT * np.abs(center), scale, 0.0)
    if (
        not problem.objective.intercept or problem.objective.tilt
    ):  # nothing makes up for a centre, or at a price
        return Metric(np.zeros(len(shift)), np.hypot(scale, center), peak)
    return Metric(center, scale, peak)


def _amid(rows, visits, weights):
    """A value amid each column, the median of a few by weight, the heaviest among them; 0 for
    CSR.
    """
    if rows.sparse:
        return np.zeros(rows.shape[1])
    picked = visits[np.linspace(0, len(visits) - 1, min(SAMPLE, len(visits))).astype(int)]
    if weights is None:
        return np.sort(rows.values[picked].astype(float), axis=0)[len(picked) // 2]
    picked = np.append(picked, visits[weights[visits].argmax()])
    values, below = rows.values[picked].astype(float), weights[picked] / weights[picked].max()
    order = values.argsort(axis=0)
    below = below[order].cumsum(axis=0)
    middle = (2 * below >= below[-1]).argmax(axis=0)
    return values[order[middle, np.arange(values.shape[1])], np.arange(values.shape[1])]


def column_density(problem: Problem):
    """The share of the rows that store each column; 1 for dense rows."""
    density = np.zeros(problem.rows.shape[1])
    if not problem.rows.sparse:
        return density + 1
    share = np.full(problem.rows.shape[0], 1 / len(problem.visits))
    column_probability(
        problem.rows, problem.visits, share, density, np.empty(1, problem.rows.dtype)
    )
    return density


def damped(metric: Metric, density, rows, sparse):
    """(metric for steps, mean squared length of a row in it).

    A sparse column that few of the `rows` rows have would, scaled by its root mean square, make
    those rows very long: a column's square is sqrt(1 + least / density) times its mean square
    instead, `least` being such that the columns count for `rows` / 10.
    """
    active = metric.scale > 0
    if not sparse or active.sum() <= FEW * rows:
        return metric, float(active.sum())
    density = np.where(active, density, 0.0)
    low, high = 1e-12, density.sum() / (FEW * rows)
    for _ in range(50):
        least = np.sqrt(low * high)
        low, high = (
            (least, high) if (density / (density + least)).sum() > FEW * rows else (low, least)
        )
    factor = np.sqrt(1 + high / np.where(active, density, 1.0))
    return Metric(metric.center, metric.scale * factor), float((density / (density + high)).sum())


def constant_model(problem: Problem):
    """(intercepts (outputs,), objective) of the best model without weights; intercepts 0 if the
    objective has none.
    """
    objective, targets = problem.objective, problem.targets
    weights = np.ones(len(targets)) if problem.weights is None else problem.weights[problem.visits]
    weights = weights / weights.sum()
    outputs = objective.outputs
    if objective.by_class:
        # every output of every row has one of two targets, and their frequencies tell all
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
    """Intercepts that sum to zero and give each class its frequency; an empty class gets
    `LEAST_FREQUENCY`.
    """
    b = np.log(np.maximum(frequency, LEAST_FREQUENCY)) if intercept else np.zeros(len(frequency))
    b -= b.mean()
    return b, float(np.log(np.exp(b - b.max()).sum()) + b.max() - frequency @ b)


class Space:
    """The metric at work: the weights v = scale * w that steps are taken on, v @ ((x - center) /
    scale) + c = w @ x + b.

    Penalties stay those of w. The weights of constant columns stay those of `coef`, or 0 if there
    is a penalty. Columns whose penalty is beyond `STRONGEST` have weights 0. `arrays` is for the
    kernels.
    """

    def __init__(self, problem: Problem, metric: Metric, coef):
        objective, inverse = problem.objective, metric.inverse
        l1, l2 = objective.penalties(inverse)
        free = (l1 < STRONGEST) & (l2 < STRONGEST)
        if not free.all():
            inverse, l1, l2 = (np.where(free, part, 0.0) for part in (inverse, l1, l2))
        self.metric, self._inverse, self._by_column = metric, inverse, problem.by_column
        self._fixed = np.zeros_like(coef) if objective.l1 or objective.l2 else coef
        self.arrays = metric.center, inverse, l1, l2
        self.objective = objective

    def enter(self, coef, offset):
        """The flat vector of weights and of the margins at the centre."""
        return pack(coef * self.metric.scale, offset, np.float64, self._by_column)

    def leave(self, v):
        """(coef, offset) of a flat vector."""
        weights, offset = unpack(v, self.objective.outputs, self._by_column)
        return np.where(self._inverse > 0, weights * self._inverse, self._fixed), offset

    def offset(self, coef, intercept):
        """The margins at the centre."""
        return intercept + coef @ self.metric.center

    def intercept(self, coef, offset):
        return offset - coef @ self.metric.center


def _listed(names, numbers):
    return ", ".join(
        f"{name!r} ({number:.2g})" if isinstance(name, str) else f"{name} ({number:.2g})"
        for name, number in zip(names, numbers, strict=True)
    )


@np.errstate(all="ignore")
def _column_sizes(X):
    """Root mean squares of the entries of each column that are not 0; 0 for columns of too few, or
    if all are about alike.
    """
    p, is_sparse = X.shape[1], sparse.issparse(X)
    values = np.abs(X.data if is_sparse else X).astype(float, copy=False)
    if is_sparse:
        largest = np.zeros(p)
        np.maximum.at(largest, X.indices, values)
    else:
        largest = np.maximum.reduce(values)
    filled = largest[largest > 0]
    if not len(filled) or np.sqrt(LOOK) * filled.max() <= UNEVEN * filled.min():
        return np.zeros(p)
    shares = values / np.where(largest > 0, largest, 1)[X.indices if is_sparse else slice(None)]
    if is_sparse:
        counts, squares = (
            np.bincount(X.indices, weights, minlength=p)
            for weights in (values > 0, shares * shares)
        )
    else:
        counts, squares = np.count_nonzero(values, axis=0), (shares * shares).sum(axis=0)
    return np.where(counts >= TELLING, largest * np.sqrt(squares / np.maximum(counts, 1)), 0.0)


def uneven_columns(problem: Problem, names):
    """Names the columns whose sizes, in a few rows, are too far apart for one learning rate; empty
    if none are.
    """
    size = _column_sizes(problem.X[problem.visits[:: -(-len(problem.visits) // LOOK)]])
    order = np.argsort(size)[np.count_nonzero(size == 0) :]
    if not len(order) or size[order[-1]] <= UNEVEN * size[order[0]]:
        return ""
    small, large = order[: min(3, len(order) // 2)], order[::-1][: min(3, len(order) // 2)]
    return (
        "The columns of X differ in size: root mean squares are small in "
        f"{_listed(names[small], size[small])} and large in "
        f"{_listed(names[large], size[large])}. A learning rate that suits the ones does not suit "
        "the others: use "
        "learning_rate='auto', which needs no scaling, or "
        f"{'MaxAbsScaler' if problem.rows.sparse else 'StandardScaler'}."
    )


@np.errstate(all="ignore")
def long_tails(problem: Problem, names):
    """Names the columns in which some rows lie far out: those that made steps too long, which had
    to be taken back.
    """
    metric, X = metric_of(problem), problem.X[problem.visits]
    extreme = (
        np.asarray(abs(X).max(axis=0).todense()).ravel()
        if problem.rows.sparse
        else np.abs(X - metric.center).max(axis=0)
    )
    far = extreme * metric.inverse
    worst = np.argsort(-far)[:3]
    worst = worst[far[worst] > LONG]
    if not len(worst):
        return ""
    return (
        f"Steps had to be taken back: in columns {_listed(names[worst], far[worst])} some rows "
        "lie so many standard deviations "
        "out. Clip or transform them (PowerTransformer), or use batch_size='full'."
    )
