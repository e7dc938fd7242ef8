"""The losses of a problem's rows at a point and along a direction from there.

Newton's methods access the rows only through these methods. Arguments and results have the size of
the parameters. Margins, curvatures and the margins of a direction, which have the size of the rows,
stay here. So rows may lie on disk or on other machines.
"""

import numpy as np

from fastgd.kernels import newton
from fastgd.problem import passes

# The least share of the secants' curvature that makes a useful Hessian where curvature is missing.
MIN_SECANT_SHARE = 0.01


def subsample_rows(h, most):
    """Replace the curvatures h by those of at most `most` rows: large ones stay as they are, and a
    subsample of the small ones gets the mean share h.sum() / most each.

    Rows of small curvature are sampled systematically, with probabilities in proportion to it.
    """
    share = h.sum() / most
    if len(h) <= most or not share > 0:
        return h
    small = h < share
    steps = np.floor(np.cumsum(np.where(small, h, 0.0)) / share + 0.5)
    return np.where(small, share * np.diff(steps, prepend=0.0), h)


class Linearization:
    """Margins z and curvatures h = d2L/dz2 at a point, and margins u of a direction.

    `problem` may be replaced by one of the same rows with another objective.
    """

    def __init__(self, problem):
        self.problem = problem
        self._shape = len(problem.visits), problem.objective.outputs
        size = self._shape[0] * self._shape[1]
        self.margins, self._curvatures = np.zeros(size), np.empty(size)
        self._direction, self._product = np.zeros(size), np.empty(size)
        # The curvatures of an earlier point; see `mark_curvatures`.
        self.marked = None

    @property
    def _weights(self):
        """The weights of the rows, shape (n, 1); 1 if all are equal."""
        problem = self.problem
        return 1 if problem.weights is None else problem.weights[problem.visits, None]

    # ---- at the point ----

    def value_and_gradient(self, theta):
        """(F, gradient of the mean loss) at a flat vector, which becomes the current point."""
        gradient = np.empty_like(theta)
        return self.problem.value(theta, gradient, self.margins), gradient

    def set_point(self, margins, curvatures):
        """Move to a point with these margins and curvatures."""
        self.margins, self._curvatures = margins, curvatures

    def losses(self, width=0.0):
        """(losses, slopes) of each row and output, kinks smoothed over `width`."""
        loss, n = self.problem.objective.loss, self._shape[0]
        z = self.margins.reshape(self._shape) if loss.is_joint else self.margins
        value, slopes = loss.evaluate(z, self.problem.loss_targets.ravel(), width)
        return value.reshape(n, -1), slopes.reshape(self._shape)

    def mean_loss(self):
        """The weighted mean of the losses as they are, without smoothing."""
        return float((self._weights * self.losses()[0]).sum()) / self.problem.total_weight

    def is_separated(self):
        """Whether all rows are classified correctly."""
        problem, z = self.problem, self.margins.reshape(self._shape)
        if problem.objective.loss.is_joint:
            labels = problem.targets[:, 0].astype(np.intp)
            of_label = z[np.arange(len(z)), labels]
            return bool(((z < of_label[:, None]).sum(axis=1) == z.shape[1] - 1).all())
        return bool((problem.output_targets * z > 0).all())

    def share_within(self, distance):
        """The share of the weight with margins within this distance of their targets."""
        problem = self.problem
        inside = np.abs(self.margins - problem.output_targets.ravel()) <= distance
        shares = inside.reshape(self._shape).mean(axis=1)
        return np.average(shares, weights=problem.row_weights)

    # ---- curvatures ----

    def compute_curvatures(self, floor=0.0):
        """Compute the curvatures at the point, and add `floor` to each."""
        term = passes.rows_term(self.problem.data_term)
        newton.curvatures(term, self.margins, self._curvatures)
        if floor:
            self._curvatures += floor

    def bound_curvatures(self):
        """Set the curvatures to the largest that the loss has anywhere."""
        bound = np.full(self._shape, self.problem.objective.loss.max_curvature)
        self._curvatures = (self._weights * bound).ravel()

    def add_secants(self, share):
        """Raise the curvatures to at least this share of the secants' curvature: slope jump over
        distance from the kink. A few rows on kinks do not make a useful Hessian. Return the total
        curvature before.

        Outputs without any curvature get a share of at least `MIN_SECANT_SHARE`, or 1 if no output
        has any.
        """
        problem, h = self.problem, self._curvatures.reshape(self._shape)
        loss, width, total = problem.objective.loss, problem.objective.width, self.total_curvature()
        # Without any curvature a step along the intercept would have no length.
        share = np.where(h.any(axis=0), share, max(share, MIN_SECANT_SHARE if h.any() else 1.0))
        if share.any():
            distance = loss.distance(self.margins, problem.output_targets.ravel())
            secant = loss.largest_jump / np.maximum(distance, loss.smoothed_width(width))
            secant = share * secant.reshape(h.shape)
            np.maximum(h, self._weights * secant, out=h)
        return total

    def total_curvature(self):
        """The sum of the curvatures."""
        return self._curvatures.sum()

    def own_curvatures(self):
        """(n, outputs): weight * second derivative of each row's loss in each margin, the diagonal
        of a joint loss's Hessian.
        """
        return self._own(self._curvatures)

    def _own(self, curvatures):
        h = curvatures.reshape(self._shape)
        return self._weights * h * (1 - h) if self.problem.objective.loss.is_joint else h

    def mark_curvatures(self):
        """Store the current curvatures for `have_curvatures_changed`."""
        self.marked = self._curvatures.copy()

    def have_curvatures_changed(self, share, own=False):
        """Whether more than this share of the total curvature has changed since `mark_curvatures`;
        with `own` those of each margin alone are compared.
        """
        marked, now = self.marked, self._curvatures
        if own:
            marked, now = self._own(marked), self._own(now)
        return np.abs(now - marked).sum() > share * now.sum()

    def hessian(self, at, output, most):
        """(lower triangle of X' diag(h) X / n of an output in the coordinates `at`, rows used),
        made of at most `most` rows.
        """
        drawn = subsample_rows(self.own_curvatures()[:, output], most)
        return at.products(drawn), np.count_nonzero(drawn)

    def hessian_product(self, theta):
        """X' (h * X d) / n for a flat vector d, whose margins `extend_direction` may add."""
        out = np.empty_like(theta)
        passes.gradient(self.problem.data_term, theta, out, self._product, self._curvatures)
        return out

    # ---- along a direction ----

    def begin_direction(self, margins=None):
        """Set the direction to 0, or to the one of these margins."""
        if margins is not None:
            self._direction = margins
            return
        self._direction[:] = 0

    def extend_direction(self, factor):
        """Add `factor`, a number or (outputs,), times the last argument of `hessian_product`."""
        factor = np.broadcast_to(factor, self._shape[1])
        self._direction.reshape(self._shape)[:] += factor * self._product.reshape(self._shape)

    def set_direction(self, origin):
        """Set the direction from earlier margins to the current ones, and return to the earlier."""
        self._direction, self.margins = self.margins - origin, origin

    def sums_along(self, t, problem=None):
        """(2, outputs): sums of the losses and of their slopes at t times the direction, with one t
        per output.

        `problem` has another objective of the same rows.
        """
        sums = np.empty((2, self._shape[1]))
        term = passes.rows_term((problem or self.problem).data_term)
        newton.along(term, self.margins, self._direction, t, sums)
        return sums

    def move(self, t):
        """Move the point by t, a number or (outputs,), times the direction."""
        steps = np.broadcast_to(t, self._shape[1]) * self._direction.reshape(self._shape)
        self.margins = self.margins + steps.ravel()

    def curvature_along(self):
        """The total change of the rows' curvatures along the whole direction."""
        beyond = np.empty_like(self._curvatures)
        term = passes.rows_term(self.problem.data_term)
        newton.curvatures(term, self.margins + self._direction, beyond)
        return np.abs(beyond - self._curvatures).sum()
