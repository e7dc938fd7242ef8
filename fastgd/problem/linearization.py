"""The losses of a problem's rows at a point and along a direction from there.

Newton's methods access the rows only through these methods. Arguments and results have the size of
the parameters. Margins, curvatures and the margins of a direction, which have the size of the rows,
are row vectors: arrays, or of rows in chunks `RowVector`s, which stay where their chunks are, on
disk or on other machines. They are never changed in place.
"""

import numpy as np

from fastgd.kernels import newton
from fastgd.problem import passes
from fastgd.problem.coordinates import Coordinates

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


# ---- functions of a problem, that of all rows or of those of a chunk ----


def _empty(problem):
    return np.empty(len(problem.visits) * problem.objective.outputs)


def _by_row(problem, vector):
    return vector.reshape(-1, problem.objective.outputs)


def _weights(problem):
    """The weights of the rows, shape (n, 1); 1 if all are equal."""
    return 1 if problem.weights is None else problem.weights[problem.visits, None]


def _gradient(problem, total, theta):
    """((sum of the losses, share of the gradient of the mean loss of `total` rows), margins)"""
    gradient, margins = np.empty_like(theta), _empty(problem)
    loss = passes.gradient(problem.data_term, theta, gradient, margins)
    return (loss, _share(problem, total, gradient)), margins


def _gradient_and_hessians(problem, total, theta, metric):
    """The same, and in the sums also the Hessians of the outputs and the `_sums_of_curvatures`."""
    (loss, gradient), margins = _gradient(problem, total, theta)
    h, at = _curvatures(problem, 0.0, margins), Coordinates(problem, metric)
    grams = [at.products(_of_output(problem, k, h)) for k in range(at.outputs)]
    hessians = np.array([_share(problem, total, gram) for gram in grams])
    return (loss, gradient, hessians, *_sums_of_curvatures(problem, h)), margins


def _hessian_product(problem, total, theta, h):
    """((share of the Hessian of the mean loss times theta,), margins of theta)"""
    product, margins = np.empty_like(theta), _empty(problem)
    passes.gradient(problem.data_term, theta, product, margins, h)
    return (_share(problem, total, product),), margins


def _share(problem, total, mean):
    """The share that a mean over these rows has in that over `total` rows."""
    return mean if len(problem.visits) == total else mean * (len(problem.visits) / total)


def _curvatures(problem, floor, margins):
    h = _empty(problem)
    newton.curvatures(problem.data_term, margins, h)
    if floor:
        h += floor
    return h


def _bounded_curvatures(problem):
    shape = len(problem.visits), problem.objective.outputs
    return (_weights(problem) * np.full(shape, problem.objective.loss.max_curvature)).ravel()


def _with_secants(problem, share, h, margins):
    """The curvatures h, at least this share of the secants'."""
    loss, h = problem.objective.loss, _by_row(problem, h)
    distance = loss.distance(margins, problem.output_targets.ravel())
    width = loss.smoothed_width(problem.objective.width)
    secant = share * (loss.largest_jump / np.maximum(distance, width)).reshape(h.shape)
    return np.maximum(h, _weights(problem) * secant).ravel()


def _own_curvatures(problem, h):
    """(n, outputs): weight * second derivative of each row's loss in each margin, the diagonal of a
    joint loss's Hessian.
    """
    h = _by_row(problem, h)
    return _weights(problem) * h * (1 - h) if problem.objective.loss.is_joint else h


def _of_output(problem, output, h):
    """The own curvatures of an output."""
    return np.ascontiguousarray(_own_curvatures(problem, h)[:, output])


def _sums_of_curvatures(problem, h):
    """(sum of the curvatures, sums of the own ones of each output, how many of those are not 0)"""
    own = _own_curvatures(problem, h)
    return h.sum(), own.sum(axis=0), np.count_nonzero(own, axis=0)


def _changes(problem, own, before, now):
    """(sum of the changes of curvatures, sum of the curvatures now)"""
    if own:
        before, now = _own_curvatures(problem, before), _own_curvatures(problem, now)
    return np.abs(now - before).sum(), now.sum()


def _change_along(problem, margins, direction, h):
    """(sum of the changes of the curvatures along the whole direction,)"""
    return (np.abs(_curvatures(problem, 0.0, margins + direction) - h).sum(),)


def _sums_along(problem, t, margins, direction):
    sums = np.empty((2, problem.objective.outputs))
    newton.along(problem.data_term, margins, direction, t, sums)
    return (sums,)


def _moved(problem, t, margins, direction):
    return margins + (t * _by_row(problem, direction)).ravel()


def _extended(problem, factor, product, direction=None):
    step = (factor * _by_row(problem, product)).ravel()
    return step if direction is None else direction + step


def _difference(_, later, earlier):
    return later - earlier


def _losses(problem, width, margins):
    """(losses, slopes) of each row and output, kinks smoothed over `width`."""
    loss = problem.objective.loss
    z = _by_row(problem, margins) if loss.is_joint else margins
    value, slopes = loss.evaluate(z, problem.loss_targets.ravel(), width)
    return value.reshape(len(problem.visits), -1), _by_row(problem, slopes)


def _sum_of_losses(problem, margins):
    return (float((_weights(problem) * _losses(problem, 0.0, margins)[0]).sum()),)


def _wrong(problem, margins):
    """(number of margins on the wrong side,)"""
    z = _by_row(problem, margins)
    if not problem.objective.loss.is_joint:
        return (np.count_nonzero(~(problem.output_targets * z > 0)),)
    of_label = z[np.arange(len(z)), problem.targets[:, 0].astype(np.intp)]
    return (np.count_nonzero((z < of_label[:, None]).sum(axis=1) < z.shape[1] - 1),)


def _weight_within(problem, distance, margins):
    """(weight of the margins within this distance of their targets,)"""
    inside = np.abs(margins - problem.output_targets.ravel()) <= distance
    return (float((_weights(problem) * _by_row(problem, inside)).mean(axis=1).sum()),)


class Linearization:
    """Margins z and curvatures h = d2L/dz2 at a point, and margins u of a direction.

    `problem` may be replaced by one of the same rows with another objective. `margins` can be kept,
    and assigned to return to a point.
    """

    def __init__(self, problem):
        self.problem, self.margins = problem, None
        self._curvatures = self._direction = self._product = None
        # The curvatures of an earlier point; see `mark_curvatures`.
        self.marked = None
        # The Hessians of the outputs, and the `_sums_of_curvatures`, if they are known already.
        self._hessians = self._known_sums = None

    @property
    def _total(self):
        """The number of rows."""
        return len(self.problem.visits)

    def _sum(self, function, common, *vectors, problem=None):
        return passes.summed(problem or self.problem, function, common, *vectors)

    def _make(self, function, common, *vectors):
        return passes.made(self.problem, function, common, *vectors)

    # ---- at the point ----

    def value_and_gradient(self, theta, at=None):
        """(F, gradient of the mean loss) at a flat vector, which becomes the current point; in the
        same pass the Hessians of all rows in the coordinates `at`, unless that is None.
        """
        # What belongs to the point before is as long as the rows, and no longer needed.
        self._direction = self._product = None
        self._forget_curvatures()
        function, common = _gradient, (self._total, theta)
        if at is not None:
            function, common = _gradient_and_hessians, (*common, at.metric)
        (loss, gradient, *others), self.margins = passes.summed_and_made(
            self.problem, function, common
        )
        if others:
            self._hessians, *self._known_sums = others
        return loss / self.problem.total_weight + self.problem.penalty(theta), gradient

    def set_point(self, margins, curvatures):
        """Move to a point with these margins and curvatures."""
        self.margins, self._curvatures = margins, curvatures
        self._forget_curvatures()

    def losses(self, width=0.0):
        """(losses, slopes) of each row and output, kinks smoothed over `width`."""
        return _losses(self.problem, width, passes.array(self.problem, self.margins))

    def mean_loss(self):
        """The weighted mean of the losses as they are, without smoothing."""
        return self._sum(_sum_of_losses, (), self.margins)[0] / self.problem.total_weight

    def is_separated(self):
        """Whether all rows are classified correctly."""
        return self._sum(_wrong, (), self.margins)[0] == 0

    def share_within(self, distance):
        """The share of the weight with margins within this distance of their targets."""
        within = self._sum(_weight_within, (distance,), self.margins)[0]
        return within / self.problem.total_weight

    # ---- curvatures ----

    def compute_curvatures(self, floor=0.0):
        """Compute the curvatures at the point, and add `floor` to each."""
        self._curvatures = self._make(_curvatures, (floor,), self.margins)
        if floor:
            self._forget_curvatures()

    def bound_curvatures(self):
        """Set the curvatures to the largest that the loss has anywhere."""
        self._curvatures = self._make(_bounded_curvatures, ())
        self._forget_curvatures()

    def add_secants(self, share):
        """Raise the curvatures to at least this share of the secants' curvature: slope jump over
        distance from the kink. A few rows on kinks do not make a useful Hessian. Return the total
        curvature before.

        Outputs without any curvature get a share of at least `MIN_SECANT_SHARE`, or 1 if no output
        has any.
        """
        total, _, counts = self._curvature_sums()
        # Without any curvature a step along the intercept would have no length.
        least = max(share, MIN_SECANT_SHARE if counts.any() else 1.0)
        share = np.where(counts > 0, share, least)
        if share.any():
            self._curvatures = self._make(_with_secants, (share,), self._curvatures, self.margins)
            self._forget_curvatures()
        return total

    def total_curvature(self):
        """The sum of the curvatures."""
        return self._curvature_sums()[0]

    def mean_curvatures(self):
        """The mean of the own curvatures of each output, shape (outputs,)."""
        return self._curvature_sums()[1] / self._total

    def curved_rows(self):
        """The number of rows whose own curvature is not 0, of each output."""
        return self._curvature_sums()[2]

    def _curvature_sums(self):
        """The `_sums_of_curvatures` at the point."""
        return self._known_sums or self._sum(_sums_of_curvatures, (), self._curvatures)

    def _forget_curvatures(self):
        """The curvatures will be others than those of which something is known."""
        self._hessians = self._known_sums = None

    def own_curvatures(self):
        """(n, outputs): weight * second derivative of each row's loss in each margin, the diagonal
        of a joint loss's Hessian.
        """
        return _own_curvatures(self.problem, passes.array(self.problem, self._curvatures))

    def mark_curvatures(self):
        """Store the current curvatures for `have_curvatures_changed`."""
        self.marked = self._curvatures

    def have_curvatures_changed(self, share, own=False):
        """Whether more than this share of the total curvature has changed since `mark_curvatures`;
        with `own` those of each margin alone are compared.
        """
        changed, total = self._sum(_changes, (own,), self.marked, self._curvatures)
        return changed > share * total

    def hessian(self, at, output, most):
        """(lower triangle of X' diag(h) X / n of an output in the coordinates `at`, rows used),
        made of at most `most` rows.
        """
        if self._hessians is not None and self._total <= most:
            return self._hessians[output], self._curvature_sums()[2][output]
        h = self._make(_of_output, (output,), self._curvatures)
        if self._total > most:
            h = subsample_rows(passes.array(self.problem, h), most)
            return at.products(h), np.count_nonzero(h)
        return at.products(h), self._curvature_sums()[2][output]

    def hessian_product(self, theta):
        """X' (h * X d) / n for a flat vector d, whose margins `extend_direction` may add."""
        common = self._total, theta
        found = passes.summed_and_made(self.problem, _hessian_product, common, self._curvatures)
        (product,), self._product = found
        return product

    # ---- along a direction ----

    @property
    def direction(self):
        """The margins of the direction."""
        return self._direction

    def begin_direction(self, margins=None):
        """Set the direction to 0, or to the one of these margins."""
        self._direction = margins

    def extend_direction(self, factor):
        """Add `factor`, a number or (outputs,), times the last argument of `hessian_product`."""
        before = () if self._direction is None else (self._direction,)
        self._direction = self._make(_extended, (factor,), self._product, *before)
        self._product = None

    def set_direction(self, origin):
        """Set the direction from earlier margins to the current ones, and return to the earlier."""
        self._direction = self._make(_difference, (), self.margins, origin)
        self.margins = origin

    def sums_along(self, t, problem=None):
        """(2, outputs): sums of the losses and of their slopes at t times the direction, with one t
        per output.

        `problem` has another objective of the same rows.
        """
        return self._sum(_sums_along, (t,), self.margins, self._direction, problem=problem)[0]

    def move(self, t):
        """Move the point by t, a number or (outputs,), times the direction."""
        self.margins = self._make(_moved, (t,), self.margins, self._direction)
        self._forget_curvatures()

    def curvature_along(self):
        """The total change of the rows' curvatures along the whole direction."""
        vectors = self.margins, self._direction, self._curvatures
        return self._sum(_change_along, (), *vectors)[0]
