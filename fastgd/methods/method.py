"""What a way to descend is, as the training loop and the fits see it."""

import numpy as np

from fastgd.problem.layout import unpack
from fastgd.problem.records import Record


class Epoch(Record):
    """Means over the epoch's visits (loss, penalty included; gradient norm) and its last rate."""

    loss: float
    gradient_norm: float
    learning_rate: float


class Method:
    """A way to descend.

    A subclass defines `start` and `epoch`. Its attribute `problem` is the problem, `state` holds
    where it stands: `state.theta`, the flat parameters, and `state.t`, the number of the next
    update. An epoch that is interrupted leaves `state` as it was. All else has the defaults below.
    """

    # The name of the method: `solver_` of a linear model.
    solver = None
    # Whether steps had to be taken back.
    backtracked = False
    # Whether the user has chosen a learning rate, which may be too large.
    has_rate = False
    # Whether a loss that grows without end is a divergence.
    runs_away = True
    # Whether rounding leaves nothing to gain.
    exhausted = False
    # Whether further epochs would change nothing.
    settled = False
    # A stalled loss has fallen by less than `tol` times this.
    unit = 1.0
    # The schedule of the learning rate, if there is one, and the same after a stalled loss.
    schedule = _reacted = None
    # The attributes that a later run on the same data needs.
    resumed = ("state",)

    def start(self, problem, theta, earlier):
        """Begin at the flat vector theta or, if that is None, where the state `earlier` stands."""
        raise NotImplementedError

    def epoch(self, order):
        """Go once over the rows, whose numbers are in `order`; returns an `Epoch`."""
        raise NotImplementedError

    def loss_at(self, theta):
        """The objective at theta, a flat vector in the user's units."""
        return self.problem.value(theta, np.empty_like(theta))

    def solution(self):
        """(coef, intercept) of the model."""
        return unpack(self.state.theta, self.problem.objective.outputs, self.problem.by_column)

    def optimality(self):
        """(estimate or bound of (F - F*) / (F0 - F*), its kind); None where nothing is known."""
        return None

    def gaps(self):
        """The duality gaps of the targets at the model, if they are known."""
        return None

    def slopes_and_gradient(self):
        """(slopes of the losses (n, outputs), gradient of the mean loss (outputs, p)) at the model,
        if they are known from the last pass.
        """
        return None

    def is_finite(self):
        """Whether all parameters are finite."""
        return bool(np.isfinite(self.state.theta).all())

    def react(self):
        """Lower the learning rate after a stalled loss; False: there is nothing more to try."""
        reacted = self.schedule and self.schedule.react()
        if reacted is None:
            return False
        self.schedule = self._reacted = reacted
        return True

    def finish(self, certify=True):
        """Training ends; `certify`: there is time for passes that tell how far the minimum is."""

    def close(self):
        """Training has ended: no epoch follows. Free what only epochs need."""

    def resume_point(self):
        """What `resume` needs."""
        return {name: getattr(self, name) for name in self.resumed}

    def resume(self, problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`, by the same steps."""
        self.start(problem, None, resume_point["state"])
        vars(self).update(resume_point)
