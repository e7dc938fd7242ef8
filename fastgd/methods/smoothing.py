"""Newton's method for losses with kinks: each stage smooths the kinks over a smaller width, until
the duality gap is small enough.

Source: the smoothing technique of Nesterov, "Smooth minimization of non-smooth functions",
Mathematical Programming 103 (2005).
"""

from dataclasses import replace

import numpy as np

from fastgd.methods.newton import Newton
from fastgd.problem.linearization import MIN_SECANT_SHARE

# A stage ends once the decrement is at most this share of the smoothing error. The next share is
# used where the duality gap does not close: the last one asks for a minimum within rounding.
STAGE_TOLERANCES = 0.1, 1e-4, 1e-7, 1e-10, 1e-14


class SmoothedNewton(Newton):
    """Minimise an objective whose loss has kinks: Newton's method with the kinks smoothed over ever
    smaller widths.

    The slopes of a smoothed loss are feasible for the dual of the loss itself, so they give a
    duality gap.
    """

    solver = "smoothed-newton"
    starts_with_diagonal = False
    returns_best = True
    # `_is_enough` decides when a stage ends.
    cg_tol_share = 0.0
    # Larger than Newton's: far from a kink the quadratic model does not deserve a better solution.
    forcing = 0.5
    checkpointed = (
        *Newton.checkpointed,
        "_best",
        "_secant_share",
        "_smoothing_error",
        "_width",
        "_tolerance_index",
        "_last",
        "_exhausted_stages",
    )

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands."""
        super().start(problem, theta, earlier)
        # The problem as it is; `problem` has a smoothed loss during a stage.
        self._exact = problem
        self._begin_with_constant()
        # The share of the secants' curvature in the Hessian.
        self._secant_share = 0.0
        # The largest smoothing error, and the width of the stage.
        self._smoothing_error = 0.0
        self._width = self._first_width()
        # The index of the stage's tolerance, and its last decrement.
        self._tolerance_index = 0
        self._last = np.inf
        # The number of stages in a row that ended within rounding of their minimum.
        self._exhausted_stages = 0

    def _set_problem(self, problem):
        """Use the problem with its loss as it is, or smoothed."""
        self.problem = self._rows.problem = problem

    def _descend(self):
        exact = self._exact
        while True:
            smoothed = replace(exact, objective=replace(exact.objective, width=self._width))
            while self._tolerance_index < len(STAGE_TOLERANCES):
                self._set_problem(smoothed)
                yield from self._minimise(self._is_enough)
                self._set_problem(exact)
                distance, value = self._bound(self._width)
                yield self._report(value)
                rounding = self._rounding(value, exact.rows.dtype)
                is_exhausted = self._smoothing_error + self._last <= rounding
                self._exhausted_stages = self._exhausted_stages + 1 if is_exhausted else 0
                if not self._is_exact():
                    self._forcing_term, self._preconditioner = self.forcing, None
                    self._last = np.inf
                # Otherwise the penalty is so weak that the duality gap needs a better minimum.
                if distance <= 4 * self._smoothing_error + rounding:
                    break
                self._tolerance_index += not self._is_exact()
            if not self._is_exact():
                self._width *= min(0.3, max(0.1, 0.5 * self.tol / max(self._ratio(), 1e-300)))
            self._tolerance_index = 0

    @property
    def exhausted(self):
        """Whether smaller widths can gain no more than rounding."""
        return self._exhausted_stages > 1

    def _is_exact(self):
        """Whether the loss is not smoothed: 'huber' itself is quadratic up to `delta`."""
        return self._exact.objective.loss.is_exact_at(self._width)

    def is_smooth(self):
        """Whether the decrement of 'huber' estimates the distance to its minimum: at least half of
        the weight is where it has curvature. Before the first pass nothing is known.
        """
        if not self._is_exact() or self._rows.margins is None:
            return False
        return self._rows.share_within(self._exact.objective.loss.delta) >= 0.5

    def _is_enough(self, decrement):
        """Whether a decrement ends a stage: it is small against the smoothing error, or it is
        within rounding and no longer falls.
        """
        before, self._last = self._last, decrement
        if self._is_exact():
            return True
        rounding = self._rounding(self._best[0], self.problem.rows.dtype)
        has_stalled = 0.1 * before < decrement <= rounding
        enough = STAGE_TOLERANCES[self._tolerance_index] * self._smoothing_error
        return has_stalled or decrement <= enough

    def _compute_curvatures(self):
        """Compute the curvatures of the smoothed losses, and add a share of the secants' if too few
        rows lie on kinks for a useful Hessian.
        """
        super()._compute_curvatures()
        objective, n = self.problem.objective, len(self.problem.visits)
        total = self._rows.add_secants(self._secant_share)
        self._smoothing_error = objective.loss.smoothing_cost(objective.width, total, n)

    def _needs_hessians(self):
        """As for smooth losses, unless secants will be added."""
        return not self._secant_share and super()._needs_hessians()

    def _try_unfinished(self, loss, decrement, passes):
        """Offer the end of an unfinished direction. But where the decrement is an estimate, it is
        one for the model where the direction began.
        """
        if self.is_smooth():
            return
        exact, theta = self._exact, self._at.to_user(self._v + self._x)
        sums = self._rows.sums_along(np.ones(self._at.outputs), exact)
        self._offer(float(sums[0].sum()) / self._weight + self._exact.penalty(theta), theta)

    def _gradient(self):
        """(F, gradient) at v; before the first step v is offered as the model."""
        loss_and_gradient = super()._gradient()
        if self._decrement == np.inf:
            self._offer(self._value(), self._theta)
        return loss_and_gradient

    def _value(self):
        """The exact objective at v, from the current margins."""
        return self._rows.mean_loss() + self._exact.penalty(self._at.to_user(self._v))

    def _search(self):
        """Search as for smooth losses. After a short step add secants to the next Hessian: they
        stand for the kinks beyond the step.
        """
        steepest = np.argmin(self._dot(self._g, self._x))
        after = super()._search()
        self._offer(self._value(), self._at.to_user(self._v))
        if self._step[steepest] < 0.1:
            self._secant_share = min(max(10 * self._secant_share, MIN_SECANT_SHARE), 1.0)
        else:
            self._secant_share = 0.1 * self._secant_share if self._secant_share > 1e-4 else 0.0
        return after

    def _is_estimate(self):
        """Whether the loss is smooth: the decrement of a smoothed loss ignores its kinks."""
        return self.is_smooth()

    def finish(self, certify=True):
        """End training within a stage: the current model counts too."""
        self._set_problem(self._exact)
        self._bound(self._width)
        self.state = replace(self.state, theta=self._model())

    def bounds(self):
        """(lower bound of F*, the lowest F so far)"""
        return self._lower_bound, self._best[0]

    def _first_width(self):
        """A width at which most rows are on a kink at the start."""
        problem = self.problem
        if problem.objective.loss.is_of_labels:
            return 4.0
        away = np.abs(problem.targets - self._constant)
        return 4.0 * float(np.average(away, axis=0, weights=problem.row_weights).mean()) or 1.0

    def _bound(self, width):
        """(duality gap of the smoothed slopes, objective) at v; both update the bounds."""
        value, slopes = self._value(), self._rows.losses(width)[1]
        distance = self.gap(value, slopes=slopes)
        if distance > 4 * self._smoothing_error + self._rounding(value):
            distance = min(distance, self._gap_of(self._v, value, slopes))
        self._offer(value, self._at.to_user(self._v), or_equal=True)
        self._raise_lower_bound(value, distance, slopes)
        ratio = self._ratio()
        # Where 'huber' is smooth, the decrement of the next step is more accurate than the gap.
        is_reported = np.isfinite(ratio) and not (self.is_smooth() and ratio > 0)
        self._optimality = (ratio, "duality gap") if is_reported else None
        return distance, value
