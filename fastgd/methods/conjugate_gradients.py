"""Preconditioned conjugate gradients (CG), and what they tell of the eigenvalues.

Sources: Nocedal and Wright, Numerical Optimization, chapter 5; Golub and Van Loan, Matrix
Computations, section 11.3 (Lanczos).
"""

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from fastgd.problem.records import Record

# A direction p has no curvature if p'Hp is at most this share of r' M^-1 r: rounding.
MIN_CURVATURE = 1e-12
# Upper bound of the smallest eigenvalue of the preconditioned Hessian, whatever the Ritz values.
# A preconditioner that equals the Hessian makes all eigenvalues 1. Large eigenvalues converge
# first, and say nothing about the small ones.
TYPICAL_EIGENVALUE = 1.0
# After fewer than RELIABLE_CG_STEPS CG steps whose smallest Ritz value is at most
# SMALL_RITZ_VALUE, the smallest eigenvalue may be as small as UNSEEN_EIGENVALUE_RATIO times that
# Ritz value.
SMALL_RITZ_VALUE = 0.1
RELIABLE_CG_STEPS = 20
UNSEEN_EIGENVALUE_RATIO = 0.1


class Decrement(Record):
    """What a direction has gained so far in the quadratic model, and bounds of what remains.

    `start` is F where the direction begins, `total` the gain from the best constant model to its
    current end.
    """

    start: float
    gained: float
    lower: float
    upper: float
    total: float

    @property
    def remaining(self):
        """The middle between the bounds of what remains."""
        return (self.lower + self.upper) / 2


class ConjugateGradients:
    """CG on H x = b, for all outputs side by side or, with a joint loss, for all in one system.

    `dot` returns the dot products of each system, `precondition` approximates H^-1 r, `flat_step`
    is the step along a first direction without curvature, e.g. for a line search. `has_bounds` says
    that `remainder_bounds` will be asked for. Between two calls of `step`, which takes H times the
    direction, `x` is the iterate, `residual` is b - H x, and `rs` is r' M^-1 r.
    """

    def __init__(self, b, precondition, dot, flat_step=1.0, has_bounds=True):
        self._has_bounds = has_bounds
        self._precondition, self._dot, self._flat_step = precondition, dot, flat_step
        self.x, self.residual = np.zeros_like(b), b
        self.direction = precondition(b)
        self.rs = self.first = dot(b, self.direction)
        self.passes = 0
        self._curved, self._alphas, self._betas = np.full(self.rs.shape, True), [], []
        # The extreme Ritz values so far.
        self.min_ritz, self.max_ritz = np.inf, 0.0

    @property
    def remainder(self):
        """The sum of r' M^-1 r, relative to that at the start."""
        return self.rs.sum() / max(self.first.sum(), 1e-300)

    def remainder_bounds(self, least):
        """(lower, upper) bound of r' H^-1 r / 2, which the quadratic model may still gain:
        r' M^-1 r / 2 over the extreme Ritz values, and over `least`, that of earlier systems.

        If the smallest Ritz value is small, a short run may have missed smaller eigenvalues.
        """
        if not self.rs.any():
            return 0.0, 0.0
        total = float(self.rs.sum()) / 2
        lower = min(self.min_ritz, least, TYPICAL_EIGENVALUE)
        is_short = self.passes < min(self.x.size, RELIABLE_CG_STEPS)
        hidden = UNSEEN_EIGENVALUE_RATIO if lower <= SMALL_RITZ_VALUE and is_short else 1.0
        return total / max(self.max_ritz, lower), total / max(lower * hidden, 1e-16)

    def step(self, product):
        """Move x along the direction, given H times that; return the step length."""
        curvature = self._dot(self.direction, product)
        self._curved &= curvature > MIN_CURVATURE * self.rs
        flat = 0.0 if self.passes else self._flat_step
        alpha = np.where(self._curved, self.rs / np.where(self._curved, curvature, 1), flat)
        self.passes += 1
        self._last = alpha * self.direction
        self.x += self._last
        self.residual -= alpha * product
        s = self._precondition(self.residual)
        before, rs = self.rs, self._dot(self.residual, s)
        self.rs = np.maximum(np.where(self._curved, rs, 0.0), 0.0)
        beta = np.divide(self.rs, before, where=before > 0, out=np.zeros_like(before))
        self.direction = s + beta * self.direction
        if self._has_bounds:
            self._alphas.append(alpha * self._curved)
            self._betas.append(beta)
            for k in np.flatnonzero(before > 0):
                self._update_ritz_values(k)
        return alpha

    def undo(self):
        """Take the last step back."""
        self.x -= self._last

    def _update_ritz_values(self, k):
        """Update the extreme Ritz values, which approximate the extreme eigenvalues of the
        preconditioned H, by those of a system's tridiagonal matrix.
        """
        a, b = (np.array(parts)[:, k, 0] for parts in (self._alphas, self._betas))
        a, b = a[a > 0], b[a > 0]
        if len(a):
            diagonal = 1 / a + np.append(0.0, b[:-1] / a[:-1])
            beside = np.sqrt(b[:-1]) / a[:-1]
            ritz = eigvalsh_tridiagonal(diagonal, beside, check_finite=False)
            self.min_ritz, self.max_ritz = min(self.min_ritz, ritz[0]), max(self.max_ritz, ritz[-1])
