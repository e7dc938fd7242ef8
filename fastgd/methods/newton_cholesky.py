"""Newton's method with the Hessian itself, for few columns: two passes over X a step, for the
gradient and the Hessian; one where passes are expensive.

The full step is tried first, by the gradient at its end; only if the objective does not fall enough
there is a line search, in the margins. Source: Boyd and Vandenberghe, Convex Optimization, section
9.5.
"""

from math import sqrt

import numpy as np
from scipy.linalg.blas import dsymv

from fastgd.kernels import dense_newton
from fastgd.methods.conjugate_gradients import Decrement
from fastgd.methods.newton import USELESS_STEP, Newton
from fastgd.problem.metric import metric_of

# Columns, at most: the Hessian of 25 takes as long as about two passes over X. With more columns,
# the passes of CG take less time.
MAX_COLUMNS = 25
# Multiplications of a Hessian that are made whatever the columns: half a millisecond, while the
# Python code of a step of CG takes a fifth.
SMALL_WORK = 1e7
# Multiplications of a Hessian up to which a step is two kernel calls on a dense copy of the
# columns. They save 0.05 to 0.1 ms of Python code a step; at the limit BLAS takes a tenth of a
# millisecond.
SMALL_DENSE_WORK = 1e6
# CG solves a system, by the same factor, if a direct solution leaves more than this share of the
# decrement: the ridge that keeps the factor from being singular then matters.
MAX_REMAINDER = 1e-3
# A full step is taken if the objective falls by at least this share of the slope at its start, and
# no longer falls by more than this share of it.
ARMIJO = 1e-4
MAX_SLOPE_LEFT = 0.5


def has_cheap_hessian(problem):
    """Whether the Hessian of all rows takes little time."""
    n, p = len(problem.visits), problem.rows.shape[1]
    return p <= MAX_COLUMNS or n * p * p <= SMALL_WORK


def suits(problem):
    """Whether the Hessian of all rows is worth its time."""
    loss, p = problem.objective.loss, problem.rows.shape[1]
    if loss.is_quadratic or loss.is_joint or not 0 < p < len(problem.visits):
        return False
    if not has_cheap_hessian(problem):
        return False
    # Curvature that few rows have hides the rest of a column from full steps.
    return not metric_of(problem).stands_out.any()


def method_for(problem, dense_metric, tol):
    """The method, where it `suits` a problem."""
    objective, (n, p) = problem.objective, (len(problem.visits), problem.rows.shape[1] + 1)
    is_small = n * p * p <= SMALL_DENSE_WORK and problem.rows.dtype == np.float64
    is_plain = objective.outputs == 1 and not (objective.tilt or objective.loss.function)
    is_penalised = objective.by_column is None and np.all(objective.l2)
    is_small = is_small and is_plain and is_penalised and problem.X is not None
    return (SmallNewtonCholesky if is_small else NewtonCholesky)(dense_metric, tol)


class NewtonCholesky(Newton):
    """Minimise a smooth objective without L1 part by full steps with the exact Hessian.

    Where the Hessian has no accurate Cholesky factor, directions are those of `Newton`.
    """

    solver = "newton-cholesky"
    always_dense = True
    starts_with_diagonal = False

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands."""
        super().start(problem, theta, earlier)
        self._max_rows, self._hessians = len(problem.visits), {}

    def _descend(self):
        """Yield an `Epoch` after each pass that computes a gradient."""
        loss, self._g = self._gradient()
        while True:
            self._save_checkpoint()
            self._norm = sqrt(float((self._g * self._g).sum()))
            self._set_optimality(None)
            self._compute_curvatures()
            decrement = self._solve(loss)
            if decrement is None:
                decrement, _ = yield from self._direction(loss, self._g)
            yield self._report(loss)
            if self._optimality is None and self._may_be_enough(loss, decrement):
                self._measure_gap(loss)
                yield self._report(loss)
            slope, origin, margins = -2 * decrement, self._v, self._rows.margins
            self._v = origin + self._x
            value, gradient = self._gradient()
            self._step = np.ones_like(self._step)
            is_short = (gradient * self._x).sum() < MAX_SLOPE_LEFT * slope
            if is_short or not value <= loss + ARMIJO * slope + self._rounding(loss):
                self._rows.set_direction(margins)
                self._v = origin
                self._search()
                self._theta = self._at.to_user(self._v)
                yield self._report(loss)
                value, gradient = self._gradient()
            loss, self._g = value, gradient

    def _needs_hessians(self):
        """Whether there is a Hessian: each step takes one."""
        return self._dense

    def _hessian(self, output):
        """(lower triangle of the Hessian, which is kept too; its ridge)"""
        matrix, ridge = super()._hessian(output)
        self._hessians[output] = matrix.copy(order="F")
        return matrix, ridge

    def _product(self, x):
        """The Hessian times x; where the margins of x will be needed, in a pass over X."""
        if self.distrust_short_cg or self.problem.objective.loss.is_piecewise_quadratic:
            self._rows.begin_direction()
            product = self._hessian_product(x)
            self._rows.extend_direction(1.0)
            return product
        return np.array([dsymv(1.0, self._hessians[k], row, lower=1) for k, row in enumerate(x)])

    def _solve(self, loss):
        """Set the direction x by the factor of the Hessian, and estimate the distance from the
        minimum; return the decrement, or None if x does not solve the system without a ridge.
        """
        self._preconditioner = self._make_preconditioner()
        if not self._preconditioner.factors:
            return None
        x = self._x = self._preconditioner(-self._g)
        left = -self._g - self._product(x)
        decrement = float(-(self._g * x).sum()) / 2
        return self._checked(loss, decrement, (left * self._preconditioner(left)).sum())

    def _checked(self, loss, decrement, remainder):
        """The decrement, from which the distance is estimated; None if the remainder is large."""
        decrement = max(decrement, 0.0)
        if not remainder <= MAX_REMAINDER * decrement:
            return None
        rounding = self.rounding(loss, self.problem.rows.dtype)
        total = max(self._constant_loss - loss + decrement, rounding)
        self._estimate_distance(Decrement(loss, decrement, 0.0, 0.0, total), None)
        self._note_decrement(decrement, loss, rounding)
        return decrement


class SmallNewtonCholesky(NewtonCholesky):
    """The same on little data of one output, with a dense copy of the scaled columns: a gradient
    and a step are one kernel call each.
    """

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands."""
        super().start(problem, theta, earlier)
        loss, y = problem.objective.loss, problem.output_targets[:, 0]
        self._data = self._at.columns(), problem.row_weights, self._weight, self._at.l2[0]
        self._loss = loss.code, loss.delta, np.ascontiguousarray(y, float)

    def _gradient(self):
        """(F, gradient) at v, which becomes the model."""
        self._theta, n = self._at.to_user(self._v), len(self._data[0])
        margins, h, g = np.empty(n), np.empty(n), np.empty_like(self._v)
        at = self._v[0], margins, h, g[0]
        loss = dense_newton.gradient(self._data, self._loss, at)
        self._rows.set_point(margins, h)
        return loss, g

    def _compute_curvatures(self):
        """Keep those of the gradient's call, unless the last step led nowhere."""
        self._is_bounded = False
        if self._step.min() < USELESS_STEP:
            super()._compute_curvatures()

    def _solve(self, loss):
        """Set the direction, and estimate the distance from the minimum; return the decrement."""
        A, _, total, l2 = self._data
        x, u = np.empty_like(self._x), np.empty(len(A))
        curvatures = self._rows.own_curvatures()[:, 0]
        found = dense_newton.step(A, curvatures, total, l2, self._g[0], self._ridge, x[0], u)
        self._x = x
        self._rows.begin_direction(u)
        decrement = self._checked(loss, *found)
        return super()._solve(loss) if decrement is None else decrement
