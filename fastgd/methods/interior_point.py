"""A primal-dual interior-point method for piecewise linear losses with an L2 penalty, on little
data.

A loss with kinks t_k and jumps c_k of its slope is its slope far to the left times z, plus
sum_k c_k max(z - t_k, 0). With p_k and q_k the distances from a kink to its right and left,
q_k - p_k = z - t_k, and multipliers a_k + b_k = c_k of p_k >= 0 and q_k >= 0, the minimum is where
a_k p_k = b_k q_k = 0. Newton's method follows a_k p_k = b_k q_k = mu to mu = 0; a step eliminates
all but the weights. The slopes low + sum_k a_k are feasible for the dual, so they give a duality
gap.
Sources: Nocedal and Wright, Numerical Optimization, section 16.6 (Mehrotra's predictor-corrector
method); Ferris and Munson, "Interior-point methods for massive support vector machines", SIAM J.
Optim. 13 (2002).
"""

from math import sqrt

import numpy as np

from fastgd.kernels import interior
from fastgd.methods.delegating import Relay
from fastgd.methods.full_batch import BoundedFromBelow
from fastgd.methods.smoothing import SmoothedNewton

# Multiplications of a matrix of the weights, at most: about 5 milliseconds. With few rows per
# column, where smoothing takes hundreds of passes, it may take 50 times as long.
MAX_WORK = 1e8
FEW_ROWS_PER_COLUMN, MAX_WORK_OF_FEW_ROWS = 20, 5e9
# Rows, at most, and rows per column where there are more: with few columns vectors as long as the
# rows take longer than passes over X.
MAX_ROWS, MAX_ROWS_PER_COLUMN = 2000, 300
# The share of the way to the boundary that a step takes at most.
BOUNDARY_SHARE = 0.995
# Added to the diagonal of the matrix, relative to its largest entry: rounding.
RIDGE = 1e-14
# Outputs whose product mu is below this share of the largest one wait.
LAGGING_SHARE = 1e-3
# A step of at most this length, or a product mu of at most this share of the first one, is the end.
LEAST_STEP = 1e-8
LEAST_PRODUCT = 1e-15


def suits(problem):
    """Whether a problem is small, and of this kind; in float32 the weights are rounded more than
    the steps.
    """
    objective, n, p = problem.objective, len(problem.visits), problem.rows.shape[1]
    loss, is_plain = objective.loss, not (objective.has_nonsmooth_penalty or objective.tilt)
    if not (loss.kinks and loss.needs_smoothing and is_plain) or problem.resumable:
        return False
    most = MAX_WORK_OF_FEW_ROWS if n <= FEW_ROWS_PER_COLUMN * p else MAX_WORK
    is_small = 0 < n * p * p <= most and n <= max(MAX_ROWS, MAX_ROWS_PER_COLUMN * p)
    is_double = problem.rows.dtype == np.float64
    return is_small and is_double and np.all(objective.l2) and problem.X is not None


def method_for(problem, dense_metric, tol):
    """The method for a loss that needs smoothing."""
    if not (dense_metric and suits(problem)):
        return SmoothedNewton(dense_metric, tol)
    return Relay(InteriorPoint(dense_metric, tol), lambda: SmoothedNewton(dense_metric, tol))


class Output:
    """The iterates of one output: weights `v` (p + 1,) and margins `z` (n,), and for each kink and
    row the distances `right` and `left` and their multipliers `a` and `b`, (kinks, n).
    """

    def __init__(self, A, shares, v, l2, loss, y, low):
        self._A, self._shares, self.v, self._l2 = A, shares, v, l2
        self._loss, self._y, self._low = loss, np.ascontiguousarray(y, float), low
        of_kinks = [place * y if loss.is_of_labels else y + place for place, _ in loss.kinks]
        self._places = np.array(of_kinks, float)
        self.z, self.gradient = A @ v, np.zeros_like(v)
        # Both multipliers are stored: jumps - a would be 0 where b is below the rounding of a.
        self._iterate = np.empty((4, *self._places.shape))
        self._iterate[:2] = np.array([[jump / 2] for _, jump in loss.kinks])
        beyond = self.z - self._places
        room = float(np.abs(beyond).mean(axis=0) @ shares) or 1.0
        np.maximum(-beyond, 0, out=self._iterate[2])
        np.maximum(beyond, 0, out=self._iterate[3])
        self._iterate[2:] += room
        a, b, right, left = self._iterate
        self._first = self.product = float((a * right + b * left).sum(axis=0) @ shares)
        self.is_over = False

    @property
    def slopes(self):
        """The slopes (n,) of the dual."""
        return self._low + self._iterate[0].sum(axis=0)

    def gradient_of(self, slopes):
        """The gradient at v of losses with these slopes."""
        return self._A.T @ (self._shares * slopes) + self._l2 * self.v

    def step(self):
        """Take a step; `product`, the weighted sum of a p + b q, says how far it led."""
        data = self._A, self._shares, self._l2, self._low, self._places
        iterate = self._iterate, self.v, self.z, self.gradient
        t, self.product = interior.step(data, iterate, self.product, RIDGE, BOUNDARY_SHARE)
        self.is_over = not (t > LEAST_STEP and self.product > LEAST_PRODUCT * self._first)

    def value(self):
        """The output's part of the objective."""
        loss, penalty = self._loss, float(self._l2 @ (self.v * self.v)) / 2
        losses = interior.mean_loss(loss.code, loss.delta, self._shares, self.z, self._y)
        return losses + penalty


class InteriorPoint(BoundedFromBelow):
    """Minimise a piecewise linear loss with an L2 penalty; an epoch is a step of each output.

    If the steps end before the minimum is near, StopIteration is raised.
    """

    solver = "interior-point"
    returns_best = True

    def start(self, problem, theta, earlier):
        """Begin at theta."""
        super().start(problem, theta, earlier)
        self._begin_with_constant()
        loss, targets = problem.objective.loss, problem.output_targets
        low, _ = loss.domain(targets)
        A, shares = self._at.columns(), problem.row_shares
        self._outputs = []
        for k, y in enumerate(targets.T):
            of_output = self._v[k].copy(), self._at.l2[k], loss, y, low[:, k].copy()
            self._outputs.append(Output(A, shares, *of_output))

    def _descend(self):
        """Yield an `Epoch` after each step."""
        outputs = self._outputs
        while True:
            # Outputs that are much nearer to their minimum than another one wait for it.
            far = LAGGING_SHARE * max(output.product for output in outputs)
            for output in outputs:
                if not output.is_over and output.product >= far:
                    output.step()
            self._v = np.array([output.v for output in outputs])
            value = self._value()
            if value < self._best[0]:
                self._offer(value, self._at.to_user(self._v), self._v)
            self._norm = sqrt(sum(float(output.gradient @ output.gradient) for output in outputs))
            is_over = all(output.is_over for output in outputs if output.product >= far)
            # The products of multipliers and distances are about the duality gap.
            about = sum(output.product for output in outputs)
            gained = self._constant_loss - self._best[0]
            if is_over or gained <= self._floor or about <= 2 * self.tol * gained:
                self._bound()
            yield self._report(value)
            if is_over and self._optimality[0] > self.tol:
                return

    def _value(self):
        """The objective at v."""
        return sum(output.value() for output in self._outputs)

    def _bound(self):
        """Bound the distance of the best point from the minimum, by the duality gap of the slopes
        at v.
        """
        value = self._value()
        self._offer(value, self._at.to_user(self._v), self._v)
        slopes = np.column_stack([output.slopes for output in self._outputs])
        pairs = zip(self._outputs, slopes.T, strict=True)
        gradient = np.array([output.gradient_of(of_output) for output, of_output in pairs])
        self._raise_lower_bound(value, self.gap(value, gradient, slopes), slopes)
        self._optimality = self._ratio(), "duality gap"
