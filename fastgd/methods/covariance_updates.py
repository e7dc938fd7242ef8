"""L1-penalised least squares, or weights >= 0, from the products of the columns: coordinate descent
needs no further pass over X, nor does the duality gap that ends it.

Source: Friedman, Hastie and Tibshirani, "Regularization paths via coordinate descent", J. Stat.
Softw. 33 (2010), section 2.2 (covariance updates).
"""

import numpy as np

from fastgd.kernels import coordinate
from fastgd.methods.normal_equations import Solution
from fastgd.methods.working_set import step_on_support
from fastgd.problem.duality import relative
from fastgd.problem.nonsmooth_penalty import NonsmoothPenalty
from fastgd.problem.products import ScaledProducts

# Columns, at most. The products of more take longer than coordinate descent on X itself.
MAX_COLUMNS = 500
# Rows per column, at least, for the same reason; so many columns are always worth their products
# (1.1 to 2.9 times as fast as the columns of 30 x 200 to 500 x 200 numbers).
MIN_ROWS_PER_COLUMN = 4
FEW_COLUMNS = 200
# Sweeps of coordinate descent between two looks at the duality gap, at least; of few columns as
# many as take this number of multiplications, half of the time of a look, unless the largest slope
# has fallen to this share of the first one before.
SWEEPS = 10
SWEEP_MULTIPLICATIONS = 20_000
SMALL_SLOPE = 1e-6
# Looks at the duality gap, at most. A guard: with a Newton step on the support after each, a few
# are enough.
MAX_LOOKS = 100


def suits(problem):
    """Whether the products of the columns are the shortest way to the minimum."""
    objective, rows, p = problem.objective, len(problem.visits), problem.rows.shape[1]
    if not (objective.loss.is_quadratic and objective.l1) or objective.tilt:
        return False
    if problem.rows.sparse or p > MAX_COLUMNS or not p:
        return False
    return p <= FEW_COLUMNS or rows >= MIN_ROWS_PER_COLUMN * p


def solve(problem, tol):
    """The `Solution` whose duality gap is at most `tol`; None if there is none, or no bound."""
    objective, scaled = problem.objective, ScaledProducts.of(problem)
    if scaled is None:
        return None
    l1, l2 = objective.penalties(scaled.inverse)
    l2 = np.broadcast_to(l2, (objective.outputs, len(l1)))
    penalty, YY = NonsmoothPenalty.of(l1, objective.positive), scaled.products.YY
    V, distances, losses, squares = np.zeros((objective.outputs, len(l1))), [], [], 0.0
    for k, w in enumerate(V):
        target = OneTarget(scaled.regularised(l2[k]), scaled.XY[k], YY[k], penalty, l2[k])
        distance = target.descend(w, tol)
        if distance is None:
            return None
        distances.append(distance)
        losses.append(target.value)
        squares += penalty.norm(w, target.g) ** 2
    loss, worst = sum(losses), float(YY.sum()) / 2
    optimality = relative(sum(distances), loss, worst), "duality gap"
    known = optimality, "coordinate-descent", np.array(distances)
    return Solution(*scaled.to_user(V), loss, squares**0.5, *known)


class OneTarget:
    """The problem of one target, in scaled columns: minimise
    (YY - 2 w'XY + w'H w) / 2 + sum_j l1_j |w_j| with H = X'X + diag(l2).
    """

    def __init__(self, H, XY, YY, penalty, l2):
        self.H, self.XY, self.YY, self.penalty, self.l2 = H, XY, YY, penalty, l2

    def descend(self, w, tol):
        """Minimise over w, in place; return its duality gap, or None if it does not become
        small.
        """
        l1, least = self.penalty.above, self.penalty.lower_bounds
        sweeps = max(SWEEPS, SWEEP_MULTIPLICATIONS // max(self.H.size, 1))
        small = SMALL_SLOPE * np.abs(self.XY).max(initial=0.0)
        self.g = self.H @ w - self.XY
        for _ in range(MAX_LOOKS):
            coordinate.descend(self.H, w, self.g, l1, small, sweeps, least)
            gap = self.gap(w)
            if relative(gap, self.value, self.YY / 2) <= tol:
                return gap
            step_on_support(self.H, w, self.g, self.penalty)
        return None

    def gap(self, w):
        """The duality gap at w; it sets `value`, the objective. See `dual_gap.dual_gaps`."""
        l1, l2 = self.penalty.above, self.l2
        inner = float(w @ self.XY)
        residual = max(self.YY - inner + float(w @ (self.g - l2 * w)), 0.0)
        ridge = float(l2 @ (w * w))
        self.value = residual / 2 + float(l1 @ np.abs(w)) + ridge / 2
        q = -self.g if np.isinf(self.penalty.below).any() else np.abs(self.g)
        c = float(np.divide(l1, q, where=q > l1, out=np.ones_like(q)).min(initial=1.0))
        gap = self.value - c * (self.YY - inner) + c * c / 2 * (residual + ridge)
        return max(gap, 0.0)
