"""Duality gaps: upper bounds of the distance of an objective from its minimum.

For any slopes s_i within the losses' domains, with q = sum_i w_i s_i x_i / n and, if there is an
intercept, sum_i w_i s_i = 0,

    F* >= -sum_i w_i L*(s_i, y_i) / n - P*(q)
    L*(s, y) = max_z (s z - L(z, y))
    P*(q) = sum_j max(|q_j| - l1, 0)^2 / (2 l2)

(Fenchel's duality: Boyd and Vandenberghe, Convex Optimization, section 5.1.6). At the minimum the
slopes of the losses make it an equality. P* is infinite where l2 = 0 and |q_j| > l1; slopes are
then shrunk until it is not. Of weights that have to be >= 0 only those q_j count that are negative.
Where the intercept costs something, sum_i w_i s_i / n = -tilt.
"""

from dataclasses import replace

import numpy as np
from scipy.linalg import lstsq

from fastgd.problem import passes
from fastgd.problem.layout import pack
from fastgd.problem.losses import SquaredError

# The rounding error of an objective, and of slopes, in machine epsilons.
ROUNDING_EPSILONS = 64
# The rounding error of each q_j, in machine epsilons times the root mean square of the slopes.
GRADIENT_NOISE_EPSILONS = 8
# Relative singular values below this count as 0 in the system of `slopes_for`.
BALANCE_RANK_TOLERANCE = 1e-10
# A bound that exceeds the objective by more than this share of it is a contradiction. The rounding
# that `gap` subtracts from q may raise a bound above the objective by about 1e-8 of it, in float32
# by more. Slopes outside the domain raise it by 0.1 and more.
MAX_BOUND_EXCESS = 1e-3


def weighted(weights, values):
    """sum_i weights_i values_i of each column. (BLAS would share the sum among threads, whose
    number would change the bits.)
    """
    return np.einsum("i,ik->k", weights, values)


def balanced(loss, s, y, weights, total=0.0):
    """Slopes near s, within the domain, with sum_i w_i s_i = total in each output (0 for softmax);
    s itself if its sums are right.

    s is (n, outputs), y of the same shape (class numbers (n,) for softmax), weights (n,). First the
    slopes change as by another intercept. The rest is distributed in proportion to the distance
    from the end of the domain.
    """

    def has_sums(s):
        rounding = ROUNDING_EPSILONS * np.finfo(float).eps * weighted(weights, np.abs(s))
        return (np.abs(weighted(weights, s) - total) <= rounding).all()

    if has_sums(s):
        return s
    if loss.is_joint:
        return _balanced_softmax(s, y.astype(np.intp), weights)
    low, high = loss.domain(y)
    for _ in range(4):
        s = _shifted(s, weights, total, loss.mobility(s, low, high), low, high)
        if has_sums(s):
            return s
    slack = np.where(weighted(weights, s) > total, s - low, high - s)
    slack = np.where(np.isinf(slack).any(axis=0), np.isinf(slack), slack)
    return _shifted(s, weights, total, slack, low, high)


def _shifted(s, weights, total, direction, low, high):
    """Slopes moved in proportion to a direction so that sum_i w_i s_i = total, and clipped."""
    excess, most = weighted(weights, s) - total, weighted(weights, direction)
    step = np.divide(excess, most, where=most > 0, out=np.zeros_like(most))
    return np.clip(s - step * direction, low, high)


def _balanced_softmax(s, y, weights):
    rows = np.arange(len(s))
    p = s.copy()
    p[rows, y] += 1
    counts = np.bincount(y, weights, minlength=s.shape[1])
    for _ in range(4):
        sums = weighted(weights, p)
        hessian = np.diag(sums) - np.einsum("i,ij,ik->jk", weights, p, p)
        if not np.isfinite(hessian).all():
            break
        step = np.linalg.lstsq(hessian, sums - counts, rcond=1e-12)[0]
        p *= np.maximum(1 - step + (p * step).sum(axis=1, keepdims=True), 0)
        p /= p.sum(axis=1, keepdims=True)
    sums, total = weighted(weights, p), weights.sum()
    # The share of all rows that is replaced by one distribution.
    share = np.max(1 - np.divide(counts, sums, where=sums > 0, out=np.ones_like(sums)))
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
    apart = replace(objective, loss=SquaredError(), one_vs_rest=objective.by_class)
    term = replace(problem, objective=apart).data_term
    curvatures = np.ascontiguousarray(slopes).ravel()
    passes.gradient(term, ones, out, None, curvatures)
    return out


def gap(problem, at, value, slopes, q=None):
    """An upper bound of value - F*; infinity if there is none, or if it contradicts itself.

    `value` is F at the point of the slopes (n, outputs), which are those of the losses or of
    smoothed losses. `at` holds the coordinates of scaled columns, in which the rounding error of q
    is known. q is the gradient of the mean loss in them, (outputs, p + 1), if the slopes are those
    of the losses. It is used if they are balanced already; else there is one pass over X.
    """
    objective, loss, n = problem.objective, problem.objective.loss, len(slopes)
    y, weights = problem.loss_targets, problem.row_shares
    if not _is_feasible(loss, slopes, y):
        return np.inf
    s = slopes
    if objective.intercept:
        s = balanced(loss, slopes, y, weights, -objective.tilt)
    if s is not slopes or q is None:
        q = at.gradient(weighted_sums(problem, s))
    q = np.maximum(-q[:, :-1], 0) if objective.positive else np.abs(q[:, :-1])
    rounding = GRADIENT_NOISE_EPSILONS * np.finfo(problem.rows.dtype).eps
    q -= rounding * _sizes(problem, at, s, weights)
    np.maximum(q, 0, out=q)
    l1, l2 = at.l1[:-1], at.l2[:, :-1]
    if loss.is_joint:
        q, l1, l2 = q.reshape(1, -1), np.tile(l1, len(q)), l2.reshape(1, -1)

    @np.errstate(all="ignore")
    def dual(shrink):
        """The bounds of F* for slopes times `shrink`: one factor and one bound per output, or in
        all for a joint loss.
        """
        losses = weighted(weights, loss.conjugate(s * shrink, y).reshape(n, -1))
        if not shrink.any():
            return -losses
        excess = shrink[:, None] * q - l1 * (1 + 4 * np.finfo(float).eps)
        penalties = np.where(excess > 0, excess * (excess / (2 * l2)), 0.0).sum(axis=1)
        return -losses - penalties

    best = dual(np.ones(len(q)))
    # With a tilt the sum of the slopes is fixed, so they cannot be shrunk.
    if not objective.tilt:
        best = np.maximum(dual(np.zeros(len(q))), best)
        if l1.any():
            with np.errstate(all="ignore"):
                feasible = 1 / np.fmax.reduce(q / l1, axis=1, initial=1.0)
            if (feasible < 1).any():
                best = np.maximum(best, dual(feasible))
    distance = value - float(best.sum())
    # A bound above the objective by more than rounding is a contradiction.
    return max(distance, 0.0) if distance >= -MAX_BOUND_EXCESS * abs(value) else np.inf


def _sizes(problem, at, s, weights):
    """(outputs, p or 1): the root mean squares of the terms of each q_j, whose rounding it has.

    Columns have root mean square 1; but where few rows carry one, their slopes count most. In
    float64 the difference is nothing.
    """
    squares = s * s
    sizes = weighted(weights, squares)[:, None]
    if problem.rows.dtype == np.float32 and at.metric.stands_out.any():
        stands_out = at.metric.stands_out
        of_rows = len(weights) * weights[:, None] * squares
        columns = np.array([at.squares(row) for row in of_rows.T])
        sizes = np.where(stands_out, np.minimum(sizes, columns), sizes)
    return np.sqrt(sizes)


def _is_feasible(loss, slopes, y):
    """Whether slopes lie in the domain of the conjugate, up to rounding."""
    if loss.is_joint:
        return bool(np.isfinite(slopes).all())
    low, high = loss.domain(y)
    tolerance = ROUNDING_EPSILONS * np.finfo(float).eps * np.maximum(np.abs(slopes), 1.0)
    return bool(((slopes >= low - tolerance) & (slopes <= high + tolerance)).all())


def slopes_for(problem, at, slopes, weights):
    """Slopes near these for which the weights (outputs, p + 1) are optimal: q = -l2 weights. None
    if none are found.

    Slopes move in proportion to their slack within the domain, by the solution of minimum norm of a
    system with as many equations as columns per output. For a small smoothing width they are
    better than the smoothed slopes, whose rounding is that of the margins over the width. Slopes
    for weights of 0 prove that the best constant model is a minimum.
    """
    objective, counts = problem.objective, problem.row_weights
    target = -at.l2 * weights
    target[:, -1] = -objective.tilt
    low, high = objective.loss.domain(problem.output_targets)
    slack = np.maximum(np.minimum(slopes - low, high - slopes), 0)
    moved, q = slopes.copy(), at.gradient(weighted_sums(problem, slopes))
    missing = target - q
    if not objective.intercept:
        missing[:, -1] = 0
    for k in range(objective.outputs):
        products = at.symmetric_products(counts * slack[:, k])
        if not (np.isfinite(products).all() and np.isfinite(missing).all()):
            return None
        step = np.zeros_like(q)
        step[k] = lstsq(products, missing[k], cond=BALANCE_RANK_TOLERANCE, check_finite=False)[0]
        margins = np.empty(problem.rows.shape[0] * objective.outputs)
        passes.margins(problem.rows, at.to_user(step), objective.outputs, margins, problem.threads)
        margins = margins.reshape(-1, objective.outputs)[problem.visits, k]
        moved[:, k] += slack[:, k] * margins
    return moved if ((moved >= low) & (moved <= high)).all() else None


def rounding_of(value, worst, dtype=np.float64):
    """The rounding error of objectives of the sizes of F and F0, if kernels compute in `dtype`."""
    return max(ROUNDING_EPSILONS * float(np.finfo(dtype).eps) * max(abs(value), abs(worst)), 1e-300)


def relative(distance, value, worst, floor=0.0):
    """(F - F*) / (F0 - F*), of a bound of F - F* and of F and F0: what `optimality` reports.

    It is 0 if the distance is within rounding or `floor`. The denominator is at least that, for the
    case that F0 is the minimum.
    """
    # The rounding errors of F and of its bound.
    rounding = max(2 * rounding_of(value, worst), floor)
    if distance <= rounding:
        return 0.0
    known = distance < np.inf
    return float(distance / max(worst - value + distance, rounding)) if known else np.inf
