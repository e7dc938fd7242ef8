"""A primal-dual interior-point method for quantiles with an L1 penalty, or with none: linear
programs.

A penalty l1 |v_j| is one more row, of margin v_j and target 0, with slopes from -l1 to l1. So the
steps are those of ``interior_point.py``, without an L2 penalty. At the end the rows and weights
whose multipliers are inside their bounds are met exactly, as at a vertex of the linear program.
Source: Portnoy and Koenker, "The Gaussian hare and the Laplacian tortoise", Statistical Science 12
(1997).
"""

import numpy as np
from scipy.linalg import lstsq

from fastgd.methods.full_batch import BoundedFromBelow
from fastgd.methods.interior_point import Output

# Numbers of the dense columns, at most (480 MB with the room for a step), and multiplications of a
# step.
MAX_NUMBERS, MAX_WORK = 3e7, 2e10
# Active rows for each parameter, at most, of a vertex: with more the multipliers have not settled.
MAX_ACTIVE = 4
# Steps beyond `tol`, at most, until the multipliers tell a vertex.
MAX_EXTRA_STEPS = 6


def suits(problem):
    """Whether a problem is of this kind, and its columns can be held."""
    objective, n, p = problem.objective, len(problem.visits), problem.rows.shape[1] + 1
    loss = objective.loss
    is_program = loss.needs_smoothing and len(loss.kinks) == 1 and not loss.is_of_labels
    has_no_squares = not (
        np.any(objective.l2) or objective.by_column and objective.by_column[1].any()
    )
    is_plain = objective.outputs == 1 and not (objective.positive or objective.tilt)
    if not (is_program and has_no_squares and is_plain) or problem.X is None or problem.resumable:
        return False
    return 0 < n and n * p <= MAX_NUMBERS and (n + p) * p * p <= MAX_WORK


class Program(Output):
    """The iterates, with one more row for each penalised weight."""

    def __init__(self, A, shares, v, l1, loss, y, low):
        n, self.penalised = len(A), np.flatnonzero(l1 > 0)
        self._loss, self._l1, self._rows = loss, l1, n
        rows = np.zeros((len(self.penalised), A.shape[1]))
        rows[np.arange(len(rows)), self.penalised] = 1.0
        ((place, jump),) = loss.kinks
        zeros, ones = np.zeros(len(rows)), np.ones(len(rows))
        self._A, self.v = np.ascontiguousarray(np.concatenate([A, rows])), v
        self._shares = np.concatenate([shares, l1[self.penalised]])
        self._l2, self._low = np.zeros_like(v), np.concatenate([low, -ones])
        self._places = np.concatenate([y + place, zeros])[None]
        self.z, self.gradient = self._A @ v, np.zeros_like(v)
        self._iterate = np.empty((4, *self._places.shape))
        self._iterate[:2] = np.concatenate([np.full(n, jump / 2), ones])
        beyond = self.z - self._places
        # The size of residuals.
        self.spread = float(np.abs(beyond[0, :n]) @ shares) or 1.0
        np.maximum(-beyond, 0, out=self._iterate[2])
        np.maximum(beyond, 0, out=self._iterate[3])
        self._iterate[2:] += self.spread
        a, b, right, left = self._iterate
        self._first = self.product = float((a * right + b * left).sum(axis=0) @ self._shares)
        self.is_over = False

    @property
    def slopes(self):
        """The slopes (n,) of the dual, without those of the penalties."""
        return super().slopes[: self._rows]

    def value_at(self, v):
        """The objective of weights."""
        n = self._rows
        losses, _ = self._loss.evaluate(self._A[:n] @ v, self._places[0, :n])
        return float(self._shares[:n] @ losses + self._l1 @ np.abs(v))

    def value(self):
        """The objective."""
        return self.value_at(self.v)

    def _active(self):
        """Whether the multipliers of each row are inside their bounds, and its residual small."""
        a, b, right, left = self._iterate[:, 0]
        return np.minimum(a, b) * self.spread > np.maximum(right, left) * (a + b)

    def vertex_slopes(self):
        """Slopes (n,) of the dual at the ends of their intervals, but for active rows, whose slopes
        balance the others; None if there are none.
        """
        (a, b, right, left), is_active = self._iterate[:, 0], self._active()
        rows = np.flatnonzero(is_active)
        if not 0 < len(rows) <= MAX_ACTIVE * len(self.v):
            return None
        high = self._low + a + b
        slopes = np.where(right > left, self._low, high)
        slopes[rows] = (self._low + a)[rows]
        missing = -(self._A.T @ (self._shares * slopes))
        A = self._A[rows] * self._shares[rows, None]
        slopes[rows] += lstsq(A.T, missing, check_finite=False)[0]
        is_feasible = (slopes[rows] >= self._low[rows]) & (slopes[rows] <= high[rows])
        return slopes[: self._rows] if is_feasible.all() else None

    def vertex(self):
        """Weights near v for which the active rows and penalties have residuals of 0; None if there
        are too many of them.
        """
        is_active = self._active()
        n, v = self._rows, self.v.copy()
        is_zero = np.zeros(len(v), bool)
        is_zero[self.penalised[is_active[n:]]] = True
        v[is_zero] = 0.0
        rows = np.flatnonzero(is_active[:n])
        if len(rows) > MAX_ACTIVE * len(v):
            return None
        if len(rows) and not is_zero.all():
            A = self._A[rows]
            missing = self._places[0, rows] - A @ v
            v[~is_zero] += lstsq(A[:, ~is_zero], missing, check_finite=False)[0]
        return v


class L1InteriorPoint(BoundedFromBelow):
    """Minimise a quantile's loss with an L1 penalty, or with none; an epoch is a step."""

    solver = "interior-point"
    returns_best = True
    exhausted = False

    def start(self, problem, theta, earlier):
        """Begin at theta."""
        super().start(problem, theta, earlier)
        self._begin_with_constant()
        loss, y = problem.objective.loss, problem.output_targets[:, 0].astype(float)
        low, _ = loss.domain(y)
        l1 = self._at.l1.copy()
        A, shares = self._at.columns(), problem.row_shares
        self._program = Program(A, shares, self._v[0].copy(), l1, loss, y, low)
        # Whether the model is a vertex, and the steps that have waited for one.
        self._is_vertex, self._extra_steps = False, 0

    def _descend(self):
        """Yield an `Epoch` after each step."""
        program = self._program
        while True:
            program.step()
            self._v = program.v[None].copy()
            value = program.value()
            self._offer(value, self._at.to_user(self._v), self._v)
            self._norm = float(np.sqrt(program.gradient @ program.gradient))
            gained = self._constant_loss - self._best[0]
            is_near = program.product <= 2 * self.tol * gained
            if program.is_over or is_near or gained <= self._floor:
                self._bound()
                self._extra_steps += self._optimality[0] <= self.tol
                is_last = program.is_over or self._extra_steps > MAX_EXTRA_STEPS
                if not (self._is_vertex or is_last):
                    self._optimality = None
                self.exhausted = program.is_over and self._optimality[0] > self.tol
            yield self._report(value)

    def _bound(self):
        """Try the vertex, and bound the distance of the best point from the minimum by the duality
        gap of the slopes.
        """
        program = self._program
        v = program.vertex()
        if v is not None:
            value = program.value_at(v)
            if value <= self._best[0] + self._rounding(value):
                self._best = value, self._at.to_user(v[None]), v[None]
                self._is_vertex = True
                slopes = program.vertex_slopes()
                if slopes is not None:
                    distance = self.gap(value, slopes=slopes[:, None])
                    self._lower_bound = max(self._lower_bound, value - distance)
        value, slopes = program.value(), program.slopes[:, None]
        distance = self.gap(value, slopes=slopes)
        if distance > self.tol * (self._constant_loss - value):
            distance = min(distance, self._gap_of(self._v, value, slopes))
        self._raise_lower_bound(value, distance, slopes)
        self._optimality = self._ratio(), "duality gap"
