"""Separation: without a penalty, an objective may fall for ever along a direction, and so have no
minimum.

Classes are separated completely if some weights classify all rows correctly. They are separated in
part (quasi-complete separation) if along a direction of the weights the margins of some rows grow
on their right sides, and those of all others stay. The same happens to counts: rows of y = 0 whose
means fall to 0 while those of the others stay.

Newton's method shows both. Its steps along such a direction change margins by about 1 however far
out they are, since a loss like exp(-z) has a decrement of 1 in z, while all other margins settle.
Sources: Albert and Anderson, "On the existence of maximum likelihood estimates in logistic
regression models", Biometrika 71 (1984); Correia, Guimarães and Zylkin, "Verifying the existence of
maximum likelihood estimates for generalized linear models", arXiv:1903.01633 (2019).
"""

import numpy as np

from fastgd.methods.newton import Newton
from fastgd.problem import passes
from fastgd.problem.layout import pack
from fastgd.problem.records import Record

# A Newton step that changes no margin by so much does not lead far out, where it would change one
# by 1 or more. The first step is less exact.
MIN_MARGIN_STEP, MIN_FIRST_MARGIN_STEP = 0.5, 0.2
# Lengths of a direction, in Newton steps, at which the objective is computed. At the last one it
# must not have risen by more than MAX_RISE of its fall: it is far beyond the 20 or so that the
# margins of a model with a minimum may still have to go.
LENGTHS = 0.0, 1.0, 5.0, 15.0, 50.0
MAX_RISE = 0.05
# The largest relative residual of directions but the first. Small, since rows that are not
# separated should not move along them: their curvature would matter at 50 steps.
FORCING = 1e-3
# Newton steps, at most: rows that are not separated settle in a few.
MAX_STEPS = 20
# A column takes part in a direction if the column of scale 1 has at least this share of the largest
# weight.
MIN_SHARE = 0.02
# What makes up the preconditioner of a Newton method, and what is known of its quality.
PRECONDITIONER = "_preconditioner", "_dense", "_use_diagonal", "_max_rows", "_least_curvature"


class Separation(Record):
    """An objective without a minimum: the distance of a model from its infimum, relative to that of
    the best constant model, whether the model classifies all rows correctly, and the numbers of the
    columns that take part in a direction along which the objective falls.
    """

    optimality: float
    is_complete: bool
    columns: np.ndarray


def find_separation(problem, coef, intercept, max_passes, trained=None):
    """The `Separation` of a problem that may have no minimum, found by Newton steps from a model,
    in at most `max_passes` passes over X, and one more; None if there is a minimum, or its lack was
    not found. `trained` is the method that has trained the model.
    """
    search = _Search(dense_metric=True)
    theta = pack(coef, intercept, problem.rows.dtype, problem.by_column)
    search.start(problem, theta, None)
    try:
        is_at_model = isinstance(trained, Newton) and search.continue_from(trained)
        return search.find(max_passes, is_at_model)
    finally:
        search.close()


class _Search(Newton):
    """Newton steps that look for a direction of separation."""

    # Enough to see whether margins move.
    forcing = 0.1

    def _try_unfinished(self, loss, decrement, passes):
        """No: a direction is followed to its end."""

    def continue_from(self, trained):
        """Use what a training knows; return whether its last gradient is that of the model."""
        for name in PRECONDITIONER:
            setattr(self, name, getattr(trained, name))
        self._rows.marked = trained._rows.marked
        if not np.array_equal(self._at.to_user(trained._v), self._theta):
            return False
        self._v, self._g, self._rows = trained._v, trained._g, trained._rows
        return True

    def find(self, max_passes, is_at_model):
        """The `Separation`, or None; `is_at_model` says that the gradient of the model is known."""
        if is_at_model:
            loss = self._rows.mean_loss()
        else:
            loss, self._g = self._gradient()
        of_model, done = loss, 0
        if self._is_separated():
            return Separation(self.relative(loss, loss), True, np.arange(self._at.shape[1] - 1))
        for step in range(MAX_STEPS if max_passes else 0):
            self._norm = np.sqrt((self._g * self._g).sum())
            if not self._norm:
                return None
            self._compute_curvatures()
            if self._is_stale():
                self._preconditioner = self._make_preconditioner()
            for _ in self._direction(loss, self._g):
                done += 1
                if done > max_passes:
                    return None
            changes = self._largest_changes()
            moving = changes >= MIN_MARGIN_STEP
            if not (changes >= (MIN_MARGIN_STEP if step else MIN_FIRST_MARGIN_STEP)).any():
                return None
            values = self._values_along(LENGTHS)
            least = values.min(axis=0)
            rise = values[-1] - least - self.rounding(loss)
            falling = moving & (rise <= MAX_RISE * (values[0] - least))
            if falling.any():
                infimum = float(np.where(falling, least, values[0]).sum())
                distance = max(of_model - infimum, 0.0)
                columns = self._columns(falling)
                return Separation(self.relative(distance, of_model), False, columns)
            # Full steps settle the other rows; an exact line search would go too far for them.
            if values[1].sum() <= values[0].sum():
                self._v = self._v + self._x
            else:
                self._search()
            self.forcing = self._forcing_term = FORCING
            self._preconditioner = None  # it may be that of the training
            loss, self._g = self._gradient()
        return None

    def _largest_changes(self):
        """The largest change of a margin along the direction, per output or in all."""
        changes = passes.array(self.problem, self._rows.direction)
        changes = np.abs(changes.reshape(-1, self._at.outputs)).max(axis=0)
        return changes.max(keepdims=True) if self._joint else changes

    def _values_along(self, lengths):
        """(lengths, outputs or 1): the objective at these lengths along the direction."""
        penalties, count = self._penalties_along(), 1 if self._joint else self._at.outputs
        return np.array([self._line(np.full(count, t), penalties)[0] for t in lengths])

    def _columns(self, falling):
        """The numbers of the columns that take part in the direction of these outputs."""
        weights = self._x[:, :-1]
        weights = np.ptp(weights, axis=0)[None] if self._joint else np.abs(weights[falling])
        least = MIN_SHARE * weights.max(axis=1, keepdims=True)
        return np.flatnonzero(((weights >= least) & (weights > 0)).any(axis=0))
