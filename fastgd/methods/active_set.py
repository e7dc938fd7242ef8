"""Newton's method by full steps, for losses made of quadratic pieces and no more rows than columns.

There a Newton step leads to the minimum of the piece where it begins, and many rows into another
piece. Line searches stop at the first of these rows, and take hundreds of steps. Full steps let the
objective rise for a while, and the pieces settle in a few.
Source: Hintermüller, Ito and Kunisch, "The primal-dual active set strategy as a semismooth Newton
method", SIAM J. Optim. 13 (2003).
"""

import numpy as np

from fastgd.methods.method import Epoch
from fastgd.methods.newton import Newton, rows_of_late_metric
from fastgd.problem.duality import rounding_of

# A full step is taken if the curvature that changes along it is at most this share of what changed
# along the last one: the pieces settle, and do not go round.
SETTLES = 0.9
# Steps without a better model, after which training goes on from the best one by line searches
# alone. Pieces that settle take fewer than 10.
PATIENCE = 10


def newton_for(problem, dense_metric, tol):
    """Newton's method for a smooth objective, by full steps where they suit it.

    Of random problems with as many rows as columns full steps take half of the passes that line
    searches take, with fewer rows a fifth, and with twice as many rows half as many again.
    """
    rows, parameters = len(problem.visits), problem.rows.shape[1] + 1
    suits = (
        dense_metric
        and problem.objective.loss.is_piecewise_quadratic
        and rows <= parameters
        and rows_of_late_metric(problem) >= rows
    )
    return (ActiveSet if suits else Newton)(dense_metric, tol)


class ActiveSet(Newton):
    """Minimise a smooth objective of quadratic pieces by full Newton steps, with an exact Hessian.

    The model is the best that the steps have met. Where the pieces do not settle, line searches
    shorten the steps; where nothing better is met, they begin again at the model.
    """

    always_dense = True
    begins_coarsely = False
    forcing = 1e-3  # the step is to lead to the minimum of its piece
    kept = (*Newton.kept, "_best", "_is_best", "_crossing", "_vain", "_is_bold")

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands."""
        super().start(problem, theta, earlier)
        # (F, theta, v) of the model
        self._best = (np.inf, self._theta, self._v)
        self._is_best = True
        self._crossing = np.inf  # the curvature that the last step changed
        self._vain, self._is_bold = 0, True  # steps since the model; whether full ones are taken
        self._mark()

    def _gradient(self):
        """(F, gradient) at v, which may be the best model known, as far as rounding tells."""
        loss, g = super()._gradient()
        self._is_best = loss <= self._best[0] + rounding_of(loss, self._worst)
        if self._is_best:
            self._best = min(loss, self._best[0]), self._theta, self._v
        return loss, g

    def _search(self):
        """Move v by all of x if the pieces settle, else as far as a line search goes."""
        if self._is_bold and self._vain >= PATIENCE:
            self._v, self._x, self._is_bold = self._best[2], np.zeros_like(self._x), False
            return self._best[0]
        x, crossing = self._x, self._rows.curvature_along()
        before = self._crossing
        self._crossing = crossing
        if not (self._is_bold and crossing <= SETTLES * before):
            value = super()._search()
        else:
            value = self._line(np.ones(len(self._dot(x, x))), self._penalties_along())[0].sum()
            self._v, self._x = self._v + x, np.zeros_like(x)
            self._rows.move(1.0)
            self._step = np.ones_like(self._step)
        self._vain += 1
        if value < self._best[0]:
            self._best, self._vain = (value, self._at.to_user(self._v), self._v), 0
            if not self.exhausted:
                self._found = None
        return value

    def _known(self, found):
        """What is known is known of v, which has to be the model."""
        self._found = found if self._is_best else None

    def _is_tried(self, passes, is_first):
        """Never: directions take a pass or two."""
        return False

    def _move_on(self):
        """Nothing to do: `_result` returns the best model."""

    def _pass_made(self, loss, decrement):
        """An `Epoch` of the best model."""
        return Epoch(self._best[0], self._norm, float(self._step.max()))

    def _result(self):
        """The best parameters that are known."""
        return self._best[1]
