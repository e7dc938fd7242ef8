"""Duality gaps: how far above its minimum an objective is at most.

Of any slopes s_i within the losses' domains, with q = sum_i w_i s_i x_i / n and, if there is an
intercept, sum_i w_i s_i = 0,

    F* >= -sum_i w_i L*(s_i, y_i) / n - P*(q)
    L*(s, y) = max_z (s z - L(z, y))
    P*(q) = sum_j max(|q_j| - l1, 0)^2 / (2 l2)

(Fenchel's duality: Boyd and Vandenberghe, Convex Optimization, section 5.1.6). At the minimum the
slopes of the losses make it an equality. P* is infinite where l2 = 0 and |q_j| > l1; slopes are
then shrunk until it is not. Of weights that have to be >= 0 only those q_j count that are negative.
Where the intercept costs something, sum_i w_i s_i / n = -tilt.
"""

import numpy as np
from scipy.linalg import lstsq

from fastgd.kernels import batch
from fastgd.problem.layout import pack
from fastgd.problem.losses import SquaredError
from fastgd.problem.metric import OUTSTANDING

ROUNDING = 64  # machine epsilons, of the sums that q is made of: no distance at all
# Machine epsilons, of each q_j in units of the slopes: its rounding, which tells of no distance.
NOISE = 8
# Of the largest singular value: a direction of less is none in which slopes can be balanced.
RANK_TOLERANCE = 1e-10
# Of the objective. What `gap` takes off q for rounding may lift a bound by some 1e-8 of it above
# the objective, in float32 by more; slopes outside of the domain lift it by some 0.1 and more.
CONTRADICTION = 1e-3


def weighted(weights, values):
    """sum_i weights_i values_i of each column. (BLAS would share the sum among threads, whose
    number would change the bits.)
    """
    return np.einsum("i,ik->k", weights, values)


def balanced(loss, s, y, weights, total=0.0):
    """Slopes near s, within the domain, of which sum_i w_i s_i = total in each output (for softmax
    0); s itself if it is so.

    s is (n, outputs), y of the same shape (class numbers (n,) for softmax), weights (n,). First
    slopes give way as they would to another intercept; what is left is shared among all in
    proportion to their distance from the end of the domain.
    """
    if (
        np.abs(weighted(weights, s) - total)
        <= ROUNDING * np.finfo(float).eps * weighted(weights, np.abs(s))
    ).all():
        return s
    if loss.is_joint:
        return _balanced_softmax(s, y.astype(np.intp), weights)
    low, high = loss.domain(y)
    for _ in range(4):
        give, excess = loss.mobility(s, low, high), weighted(weights, s) - total
        most = weighted(weights, give)
        s = np.clip(
            s - np.divide(excess, most, where=most > 0, out=np.zeros_like(most)) * give, low, high
        )
    excess = weighted(weights, s) - total
    room = np.where(excess > 0, s - low, high - s)
    room = np.where(np.isinf(room).any(axis=0), np.isinf(room), room)
    most = weighted(weights, room)
    return np.clip(
        s - np.divide(excess, most, where=most > 0, out=np.zeros_like(most)) * room, low, high
    )


def _balanced_softmax(s, y, weights):
    rows = np.arange(len(s))
    p = s.copy()
    p[rows, y] += 1
    counts = np.bincount(y, weights, minlength=s.shape[1])
    for _ in range(4):
        sums = weighted(weights, p)
        step = np.linalg.lstsq(
            np.diag(sums) - np.einsum("i,ij,ik->jk", weights, p, p), sums - counts, rcond=1e-12
        )[0]
        p *= np.maximum(1 - step + (p * step).sum(axis=1, keepdims=True), 0)
        p /= p.sum(axis=1, keepdims=True)
    sums, total = weighted(weights, p), weights.sum()
    share = np.max(
        1 - np.divide(counts, sums, where=sums > 0, out=np.ones_like(sums))
    )  # that all rows replace by one distribution
    if share > 0:
        p += np.maximum(counts - (1 - share) * sums, 0) / total - share * p
    p[rows, y] -= 1
    return p


def weighted_sums(problem, slopes):
    """The kernels' flat vector of q and of the mean slopes: one pass over X."""
    objective = problem.objective
    nothing = np.zeros((objective.outputs, problem.rows.shape[1]))
    ones = pack(nothing, np.ones(objective.outputs), problem.rows.dtype, problem.by_column)
    out = np.empty_like(ones)
    if problem.weights is not None:
        slopes = slopes * problem.weights[problem.visits, None]
    # The squared error does not mix the outputs.
    codes = objective.codes | {"loss": int(SquaredError().code)}
    batch.gradient(
        problem.rows,
        problem.y,
        problem.weights,
        problem.visits,
        ones,
        out,
        codes,
        problem.threads,
        curvatures=np.ascontiguousarray(slopes).ravel(),
    )
    return out


def gap(problem, at, value, slopes, q=None):
    """An upper bound of value - F*; infinity where there is none, or the claim contradicts itself.

    `value` is F where the slopes (n, outputs) of the losses, or of losses like them, were taken.
    `at` holds the coordinates in which columns have spread 1, so that rounding can be told from
    distance. q is the gradient of the mean loss in them, (outputs, p + 1), if the slopes are those
    of the losses: it is used if they are balanced as they are, else there is one pass over X.
    """
    objective, outputs = problem.objective, problem.objective.outputs
    y = problem.targets[:, 0] if objective.loss.is_joint else problem.output_targets
    n = len(slopes)
    weights = np.ones(n) if problem.weights is None else problem.weights[problem.visits]
    weights = weights / weights.sum()
    if not _is_feasible(objective, slopes, y):
        return np.inf
    s = (
        balanced(objective.loss, slopes, y, weights, -objective.tilt)
        if objective.intercept
        else slopes
    )
    if s is not slopes or q is None:
        q = at.gradient(weighted_sums(problem, s))
    q = np.maximum(-q[:, :-1], 0) if objective.positive else np.abs(q[:, :-1])
    q = np.maximum(
        q - NOISE * np.finfo(problem.rows.dtype).eps * _sizes(problem, at, s, weights), 0
    )
    l1, l2 = at.l1[:-1], at.l2[:, :-1]
    joint = objective.loss.is_joint
    if joint:
        q, l1, l2 = q.reshape(1, -1), np.tile(l1, outputs), l2.reshape(1, -1)

    def dual(shrink):
        """The bound of F* for slopes shrunk by (outputs,) or, if they meet in one loss, (1,)
        factors; a number a factor.
        """
        losses = objective.loss.conjugate(s * shrink, y)
        return -weighted(weights, losses.reshape(n, -1)) - _penalty_conjugate(
            shrink[:, None] * q, l1, l2
        )

    with np.errstate(over="ignore", divide="ignore"):
        feasible = 1 / np.divide(q, l1, where=q > l1, out=np.ones_like(q)).max(axis=1, initial=1.0)
    best = dual(np.ones(len(q)))
    if not objective.tilt:  # which asks for slopes of this very sum
        best = np.maximum(dual(np.zeros(len(q))), best)
    if (feasible < 1).any() and not objective.tilt:
        best = np.maximum(best, dual(feasible))
    distance = value - float(best.sum())
    # A bound above the objective by more than rounding explains is no bound: something is wrong.
    return max(distance, 0.0) if distance >= -CONTRADICTION * abs(value) else np.inf


def _sizes(problem, at, s, weights):
    """(outputs, p or 1): the root mean squares of the terms of each q_j, whose rounding it has.

    Columns have root mean square 1; but where few rows carry one, their slopes count most.
    """
    squares = s * s
    sizes = weighted(weights, squares)[:, None]
    if at.peak is not None and (at.peak > OUTSTANDING).any():
        of_rows = len(weights) * weights[:, None] * squares
        columns = np.array([at.squares(row) for row in of_rows.T])
        sizes = np.where(at.peak > OUTSTANDING, np.minimum(sizes, columns), sizes)
    return np.sqrt(sizes)


def _is_feasible(objective, slopes, y):
    """Whether slopes lie in the domain of the conjugate, but for rounding."""
    if objective.loss.is_joint:
        return bool(np.isfinite(slopes).all())
    low, high = objective.loss.domain(y)
    slack = ROUNDING * np.finfo(float).eps * np.maximum(np.abs(slopes), 1.0)
    return bool(((slopes >= low - slack) & (slopes <= high + slack)).all())


def slopes_for(problem, at, slopes, weights):
    """Slopes near these for which weights (outputs, p + 1) are best: q = -l2 weights. None where
    none are found.

    Slopes move in proportion to their room within the domain, and as little as that allows: a
    system of as many equations as columns for each output. Of smoothed losses with a small width
    they are better slopes than the smoothed ones, which are rounded as much as margins over the
    width. Slopes for weights of 0 prove that the best constant model is a minimum.
    """
    target = -at.l2 * weights
    target[:, -1] = -problem.objective.tilt
    objective = problem.objective
    counts = 1.0 if problem.weights is None else problem.weights[problem.visits]
    low, high = objective.loss.domain(problem.output_targets)
    room = np.maximum(np.minimum(slopes - low, high - slopes), 0)
    moved, q = slopes.copy(), at.gradient(weighted_sums(problem, slopes))
    missing = target - q
    if not objective.intercept:
        missing[:, -1] = 0
    for k in range(objective.outputs):
        products = at.symmetric_products(counts * room[:, k])
        if not (np.isfinite(products).all() and np.isfinite(missing).all()):
            return None
        step = np.zeros_like(q)
        step[k] = lstsq(products, missing[k], cond=RANK_TOLERANCE, check_finite=False)[0]
        margins = np.empty(problem.rows.shape[0] * objective.outputs)
        batch.margins(problem.rows, at.to_user(step), objective.outputs, margins, problem.threads)
        margins = margins.reshape(-1, objective.outputs)[problem.visits, k]
        moved[:, k] += room[:, k] * margins
    return moved if ((moved >= low) & (moved <= high)).all() else None


@np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore")
def _penalty_conjugate(q, l1, l2):
    """P*(q) for each row of |q|."""
    excess = q - l1 * (1 + 4 * np.finfo(float).eps)
    return np.where(excess > 0, excess * (excess / (2 * l2)), 0.0).sum(axis=1)


def rounding_of(value, worst, dtype=np.float64):
    """What objectives of the sizes of F and F0 cannot tell from nothing, where kernels compute in
    `dtype`.
    """
    return max(ROUNDING * float(np.finfo(dtype).eps) * max(abs(value), abs(worst)), 1e-300)


def relative(distance, value, worst, floor=0.0):
    """(F - F*) / (F0 - F*), of a bound of F - F* and of F and F0: what `optimality` reports.

    It is 0 where rounding, or `floor`, hides the distance. Where F0 is as near the minimum there is
    nothing to gain, and the ratio is not made larger by it.
    """
    rounding = max(2 * rounding_of(value, worst), floor)  # of F and of its bound
    if distance <= rounding:
        return 0.0
    return (
        float(distance / max(worst - value + distance, rounding)) if distance < np.inf else np.inf
    )
