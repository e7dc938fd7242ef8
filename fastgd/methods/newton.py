"""Newton's method for smooth losses: preconditioned conjugate gradients (CG) on scaled columns,
exact line search in the margins.

A pass over X computes either a gradient or the Hessian times a vector. Between passes everything
has the size of the parameters, or of the margins. There is no learning rate, and the loss never
rises. Sources: Nocedal and Wright, Numerical Optimization, chapter 7; Lin, Weng and Keerthi, "Trust
region Newton method for large-scale logistic regression", JMLR 9 (2008).
"""

from math import sqrt

import numpy as np

from fastgd.methods.carried import CarriedColumns
from fastgd.methods.cholesky import cholesky
from fastgd.methods.conjugate_gradients import ConjugateGradients, Decrement
from fastgd.methods.full_batch import FullBatch
from fastgd.methods.minimum_norm import minimum_norm, null_space
from fastgd.methods.preconditioner import (
    RIDGE_FEW_ROWS,
    STALE_CURVATURE_SHARE,
    Preconditioner,
    dense_rows,
    late_dense_rows,
    passes_to_make,
)

# Stop a CG solve only once the remainder is at most this share of the Newton decrement, if the
# decrement is a large part of the distance to the minimum: the step may then be the last one.
CG_DECREMENT_TOLERANCE = 0.1
# Report a decrement once its remainder is at most this share of it. The estimate is the middle
# between the bounds, so it is off by a factor of at most 1.25.
DECREMENT_UNCERTAINTY = 0.5
# Report the remainder of a quadratic once its upper bound is at most this multiple of its lower
# bound. The estimate is their geometric mean, so it is off by a factor of at most sqrt(4) = 2.
MAX_BOUND_RATIO = 4.0
# Believe a decrement unless columns carried by few rows may gain more than this multiple of it.
HIDDEN_GAIN_RATIO = 2.0
# A step of at most this length has led nowhere: the Hessian is much too flat.
USELESS_STEP = 1e-6
# Believe a decrement at a loss whose curvature jumps if a step changes at most this share of the
# total curvature: that of one row in a thousand.
MAX_CURVATURE_CHANGE = 1e-3
# Stop CG once the squared residual norm is at most this multiple of the first one. The residual
# itself is then 1e-10 of the first one: less is rounding.
CG_RESIDUAL_FLOOR = 1e-20
# With `distrust_short_cg` and a diagonal preconditioner, fewer than MIN_CG_STEPS CG steps give no
# estimate, unless the remainder at a smallest eigenvalue of 1 is at most NEGLIGIBLE_REMAINDER
# times the decrement.
MIN_CG_STEPS = 4
NEGLIGIBLE_REMAINDER = 0.01
# Start with a diagonal preconditioner where CG may take this number of passes before a dense
# preconditioner pays.
DEFERRED_PASSES = 7
# Extra passes, at most, to estimate the distance of a quadratic's model that is within `tol`.
MAX_EXTRA_PASSES = 20
# The quadratic model is about true if a Newton step leaves at most this share of the slope at its
# start. At the minimum of an exact model the slope is 0.
MAX_SLOPE_LEFT = 0.25
# A decrement that is within rounding, and above this share of the previous one, has stalled.
STALLED_DECREMENT_RATIO = 0.25
# Passes of an unfinished direction after which it is first tried; then after 8, 16, ... passes.
FIRST_TRIAL_PASS = 4
# Added to the diagonal of a dense preconditioner, in units of the mean curvature. The inverse of
# the ridge multiplies the rounding of gradients in flat directions. So it is no less than
# RIDGE_EPSILONS machine epsilons, which matters in float32.
RELATIVE_RIDGE = 1e-10
RIDGE_EPSILONS = 8


class Newton(FullBatch):
    """Minimise a smooth objective without L1 part; `dense_metric` allows a preconditioner of p x p
    numbers.
    """

    solver = "newton-cg"
    checkpointed = (
        *FullBatch.checkpointed,
        "_least_curvature",
        "_forcing_term",
        "_preconditioner",
        "_use_diagonal",
        "_decrement",
        "_stalled_directions",
    )
    # Whether X has been factored already. The factor of a quadratic's Hessian then costs little.
    is_factored = False
    # Whether the curvatures are upper bounds.
    _is_bounded = False
    # Whether a dense preconditioner is made at once, whatever it costs.
    always_dense = False
    # Whether to use the diagonal where a dense preconditioner is expensive, until CG has taken
    # longer than it costs.
    starts_with_diagonal = True
    # CG solves a quadratic until the remainder is at most this share of `tol`.
    cg_tol_share = 0.05
    # The largest relative residual of a direction (forcing term).
    forcing = 0.2
    # Whether to distrust short CG runs with a diagonal preconditioner. At the model of another
    # method the remaining distance may lie in directions that they have not seen.
    distrust_short_cg = False

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands."""
        super().start(problem, theta, earlier)
        self._forcing_term, self._preconditioner = self.forcing, None
        # What `_needs_hessians` has found of the preconditioner at v; None if it was not asked.
        self._was_stale = None
        # The last decrement.
        self._decrement = np.inf
        # The number of directions in a row that gained no more than rounding.
        self._stalled_directions = 0
        # (passes, decrement) of a quadratic's model that is within `tol`.
        self._within_tol = None
        # The null space for `minimum_norm`, computed when it is needed.
        self._null_space = None
        self._least_curvature = np.inf
        late = late_dense_rows(problem) if self.dense_metric else 0
        at_once = dense_rows(problem) if self.dense_metric else 0
        is_exact = self._is_quadratic() and (self.is_factored or self._is_free_quadratic())
        if is_exact or self.always_dense:
            at_once = at_once or late
        self._max_rows = at_once or late
        self._dense = self._max_rows > 0
        self._max_cg_passes = 3 + passes_to_make(problem, self._max_rows, at_once > 0)
        is_expensive = self._max_cg_passes >= DEFERRED_PASSES and not self._is_quadratic()
        defers = self.starts_with_diagonal and is_expensive
        self._use_diagonal = self._dense and (defers or not at_once)

    def solution(self):
        """(coef, intercept); the one of minimum norm, if least squares have many."""
        solution, preconditioner = super().solution(), self._preconditioner
        if not (self._is_free_quadratic() and preconditioner):
            return solution
        if not preconditioner.is_nearly_singular(self._ridge):
            return solution
        if self._null_space is None:
            self._null_space = null_space(self._at)
        return minimum_norm(self._at, self._null_space, *solution)

    def _is_free_quadratic(self):
        """Whether the objective is least squares without a penalty: it has many minima if columns
        are linearly dependent.
        """
        objective = self.problem.objective
        return self._is_quadratic() and not (
            objective.has_nonsmooth_penalty or np.any(objective.l2)
        )

    @property
    def exhausted(self):
        """Whether two directions in a row had a decrement within rounding that hardly fell."""
        return self._stalled_directions > 1

    # ---- what a subclass may change, beside `_gradient` and `_search` ----

    def _compute_curvatures(self):
        """Compute the curvatures of the rows at v. Where they are so flat that the last step led
        nowhere, take the largest that the loss has: then the full step lowers the objective.
        """
        loss = self.problem.objective.loss
        is_bounded = np.isfinite(loss.max_curvature) and not loss.is_joint
        self._is_bounded = is_bounded and self._step.min() < USELESS_STEP
        if self._is_bounded:
            self._rows.bound_curvatures()
        else:
            self._rows.compute_curvatures()

    def _is_exact(self):
        """Whether the loss is that of the objective, not a smoothed one."""
        return True

    def _is_estimate(self):
        """Whether the decrement at v estimates the distance of the model from the minimum."""
        return True

    def _try_unfinished(self, loss, decrement, passes):
        """Search along an unfinished direction, after 4, 8, 16, ... passes: if training is cut
        short, the best trial is the model. While no model is better than the constant one, also
        after 1 and 2 passes.

        An estimate for the model before the direction does not hold for the trial.
        """
        is_first = loss >= self._constant_loss - self.rounding(loss, self.problem.rows.dtype)
        is_due = passes & (passes - 1) == 0 and (is_first or passes >= FIRST_TRIAL_PASS)
        if self._is_quadratic() or not is_due:
            return
        before = self._v, self._rows.margins, self._x, self._step
        value = self._search()
        if value < (self._best_trial[0] if self._best_trial else loss):
            self._best_trial = value, self._v, self._rows.margins, decrement
            if not self._is_within_tol():
                self._move_on()
        self._v, self._rows.margins, self._x, self._step = before

    # ---- the descent ----

    def _descend(self):
        """Yield an `Epoch` after each pass."""
        yield from self._minimise()

    def _minimise(self, is_enough=None):
        """Take Newton steps until `is_enough(decrement)`; the decrement before a step estimates
        F - F*.
        """
        while True:
            self._save_checkpoint()
            loss, self._g = self._gradient()
            self._norm = sqrt(float((self._g * self._g).sum()))
            self.value_and_distance = None if self._norm else (loss, 0.0)
            self._set_optimality(None)
            if not self._norm:
                self._estimate(0.0, loss)
            self._compute_curvatures()
            if self._is_stale():
                self._preconditioner = self._make_preconditioner()
            decrement, passes = yield from self._direction(loss, self._g)
            # With `is_enough` the caller computes one.
            if not (is_enough or self._optimality) and self._may_be_enough(loss, decrement):
                self._measure_gap(loss)
                yield self._pass_made(loss, decrement)
            after, trial = self._search(), self._best_trial
            if trial and trial[0] < after:
                _, self._v, self._rows.margins, _ = trial
            if is_enough and is_enough(decrement):
                return
            if not (self.exhausted or self._is_within_tol() or self.returns_best):
                self._move_on()
            yield self._pass_made(loss, decrement)
            if passes > self._max_cg_passes:
                self._preconditioner = None

    def _measure_gap(self, loss):
        """Bound the distance from the minimum where the decrement is small, but not reliable: by a
        duality gap, which costs one pass.
        """
        distance = self.gap(loss, self._g)
        if np.isfinite(distance):
            self._bounds = loss - distance, loss
            self._set_optimality((self.relative(distance, loss), "duality gap"))

    def _move_on(self):
        """Move the model to the result of the line search, and drop the estimate, which is that of
        the model before.
        """
        self._theta = self._at.to_user(self._v)
        if not self._is_quadratic():
            self._set_optimality(None)

    def _is_within_tol(self):
        """Whether the model is known to be within `tol`."""
        return self._optimality is not None and self._optimality[0] <= self.tol

    def _may_be_enough(self, loss, decrement):
        """Whether a decrement is within a `tol` above rounding, and an L2 penalty makes the duality
        gap finite.
        """
        enough = self.tol * (self._constant_loss - loss)
        is_small = max(decrement, self._rounding(loss)) <= enough
        return is_small and np.all(self.problem.objective.l2)

    def _direction(self, loss, g):
        """Solve H x = -g by CG; yield an `Epoch` before each pass, return (decrement, passes)."""
        rounding = self.rounding(loss, self.problem.rows.dtype)
        self._rows.begin_direction()
        cg = ConjugateGradients(-g, self._preconditioner, self._dot)
        x = self._x = cg.x
        self._best_trial = self._within_tol = None
        decrement, total_gain, is_quadratic = 0.0, rounding, self._is_quadratic()
        while True:
            yield self._pass_made(loss, decrement)
            alpha = cg.step(self._hessian_product(cg.direction))
            self._rows.extend_direction(alpha.ravel())
            before, decrement = decrement, float(-(g * x).sum()) / 2
            if is_quadratic and not decrement <= loss + rounding:
                # A sum of squares is at lower 0: rounding has grown along flat directions.
                cg.undo()
                decrement = before
                self._dense, self._use_diagonal = self._use_diagonal and self._dense, False
                self._preconditioner = None
                break
            total_gain = max(self._constant_loss - loss + decrement, rounding)
            # The gap of a smoothed loss is the estimate, so its remainder does not matter.
            bounds = cg.remainder_bounds(self._least_curvature) if self._is_exact() else (0.0, 0.0)
            known = Decrement(loss, decrement, *bounds, total_gain)
            is_too_short = self.distrust_short_cg and self._is_too_short(cg, decrement)
            if is_quadratic and not self._within_tol:
                self._theta = self._at.to_user(self._v + x)
            if not is_too_short:
                self._estimate_distance(known, cg)
            if self._best_trial and self._optimality:
                self._estimate_trial_distance(known)
            settled = self._has_settled(cg, known)
            limit = self._max_cg_passes - 2 if self._use_diagonal else 50 + 2 * g.shape[1]
            if settled and not is_too_short or cg.passes >= limit:
                break
            self._try_unfinished(loss, decrement, cg.passes)
        if self._use_diagonal and not settled:
            self._use_diagonal, self._preconditioner = False, None
        self._least_curvature = min(2 * self._least_curvature, cg.min_ritz)
        self._forcing_term = min(self.forcing, sqrt(max(decrement / total_gain, 1e-12)))
        self._note_decrement(decrement, loss, rounding)
        return decrement, cg.passes

    def _note_decrement(self, decrement, loss, rounding):
        """Count the directions in a row that gained no more than rounding."""
        has_stalled = STALLED_DECREMENT_RATIO * self._decrement < decrement <= rounding
        self._stalled_directions = self._stalled_directions + 1 if has_stalled else 0
        self._decrement = decrement
        if self.exhausted and self._optimality is None:
            self._estimate(rounding, loss)

    def _has_settled(self, cg, known):
        """Whether the direction is good enough."""
        enough = self.cg_tol_share * self.tol * known.total
        if self._is_quadratic():
            is_within = not self._within_tol and known.upper <= enough
            return is_within or cg.remainder <= CG_RESIDUAL_FLOOR
        if cg.remainder > max(self._forcing_term**2, enough / max(known.gained, 1e-300)):
            return False
        is_long = known.gained > 0.1 * known.total
        return is_long or known.upper <= CG_DECREMENT_TOLERANCE * known.gained

    def _estimate_trial_distance(self, known):
        """Estimate the distance of the best trial; withdraw the estimate if the rest of the
        direction may gain more.
        """
        value, _, _, trial_decrement = self._best_trial
        gain_since = known.gained - trial_decrement
        self._set_optimality(None)
        # Then the estimate is within a factor of 2.
        if known.upper <= 2 * gain_since:
            self._estimate(gain_since + known.remaining, value)
            if self._is_within_tol():
                self._set_optimality(None)

    def _pass_made(self, loss, decrement):
        """The `Epoch` of the model: where the gradient was taken or, for a quadratic, the current
        CG iterate.
        """
        gained = 0.0
        if self._is_quadratic():
            gained = self._within_tol[1] if self._within_tol else decrement
        return self._report(loss - gained)

    def _is_too_short(self, cg, decrement):
        """Whether CG with a diagonal preconditioner made too few steps for an estimate, and the
        remainder is not negligible.
        """
        if self._preconditioner.factors or cg.passes >= min(self._v.size, MIN_CG_STEPS):
            return False
        return cg.rs.sum() > 2 * NEGLIGIBLE_REMAINDER * decrement

    def _estimate_distance(self, known, cg):
        """Estimate the distance from v to the minimum once it is accurate enough; for a quadratic
        the distance from v + x, the model.
        """
        loss, is_accurate = known.start, known.upper <= DECREMENT_UNCERTAINTY * known.gained
        if is_accurate and self._is_model_true(loss, known.gained):
            # For separated classes without a penalty the infimum is 0.
            distance = loss if self._is_separated() else known.gained + known.remaining
            self.value_and_distance = loss, distance
            if not self._is_quadratic():
                self._estimate(distance, loss)
        if self._is_quadratic():
            self._estimate_quadratic_distance(known, cg)

    def _estimate_quadratic_distance(self, known, cg):
        """The same for a quadratic, whose model is the CG iterate.

        A model within `tol` waits for a few more passes, which make its estimate accurate.
        """
        if self._within_tol:
            passes, trial_decrement = self._within_tol
            gain_since = known.gained - trial_decrement
            is_over = cg.passes >= passes + MAX_EXTRA_PASSES or not cg.rs.any()
            if known.upper <= gain_since or is_over:
                self._estimate(gain_since + known.remaining, known.start - trial_decrement)
        elif known.upper <= MAX_BOUND_RATIO * known.lower:
            self._estimate(sqrt(known.lower * known.upper), known.start - known.gained)
        else:
            self._set_optimality(None)
            if known.upper <= self.tol * known.total:
                self._within_tol = cg.passes, known.gained

    def _is_separated(self):
        """Whether the losses of all rows fall to 0 as the weights grow: the classes are separated,
        and there is no penalty.
        """
        objective = self.problem.objective
        is_of_labels = objective.loss.is_of_labels
        return is_of_labels and objective.may_have_no_minimum and self._rows.is_separated()

    def _estimate(self, distance, value):
        """Store the distance of a model from the minimum, relative to that of the best constant
        model.
        """
        rounding = self.rounding(value)
        gain = self._constant_loss - value + distance
        nothing = gain <= rounding and distance <= rounding
        self._bounds = value - distance, value
        share = 0.0 if nothing else distance / max(gain, rounding)
        self._set_optimality((share, "Newton decrement"))

    def _is_model_true(self, loss, decrement):
        """Whether the quadratic model holds along the whole of x: a piecewise quadratic loss may
        change pieces.

        With `distrust_short_cg` every loss is checked. Far from the minimum an outlying row may
        have nearly all the curvature, and so hide the distance that remains once it has lost it.
        """
        if self._is_quadratic():
            return True
        if self._is_bounded:
            return False
        if self.distrust_short_cg:
            start = self._dot(self._g, self._x).ravel()
            _, slope = self._line(np.ones(len(start)), self._penalties_along())
            if not np.abs(slope).sum() <= MAX_SLOPE_LEFT * np.abs(start).sum():
                return False
        if self.problem.objective.loss.is_piecewise_quadratic:
            changed, total = self._rows.curvature_along(), self._rows.total_curvature()
            if not changed <= MAX_CURVATURE_CHANGE * total:
                return False
        return not self._is_hidden(loss, decrement)

    def _is_hidden(self, loss, decrement):
        """Whether columns that few rows carry may gain more than the decrement, which hardly
        depends on them.
        """
        metric = self._at.metric
        if not metric.stands_out.any():
            return False
        if metric.carried is None:
            metric.carried = CarriedColumns(self._at)
        gain = metric.carried.gain(self._at, self._g, self._rows.own_curvatures())
        return gain > max(HIDDEN_GAIN_RATIO * decrement, self.rounding(loss))

    def _set_optimality(self, found):
        """Store (relative distance to the minimum, kind), or None."""
        if self._is_estimate():
            self._optimality = found

    # ---- the preconditioner ----

    def _is_stale(self):
        """Whether a new preconditioner is needed, given the curvatures at the point."""
        if self._preconditioner is None:
            return True
        if self._was_stale is None:
            return self._rows.have_curvatures_changed(STALE_CURVATURE_SHARE)
        return self._was_stale

    def _needs_hessians(self):
        """Whether a new preconditioner of all rows will be needed at v."""
        self._was_stale = None
        if self._use_diagonal or not self._dense or self._max_rows < len(self.problem.visits):
            return False
        if self._preconditioner is None:
            return True
        if self._rows.margins is None:
            return False
        self._compute_curvatures()
        self._was_stale = self._is_stale()
        return self._was_stale

    def _make_preconditioner(self):
        """The `Preconditioner` at the current curvatures: the Hessian's diagonal, or the Hessian of
        a subsample of the rows.
        """
        self._rows.mark_curvatures()
        mean = self._rows.mean_curvatures()
        mean = np.maximum(mean, 1e-3 * mean.max() or 1.0)[:, None]
        if not self._dense or self._use_diagonal:
            return Preconditioner(self._joint, mean + self._at.l2, None)
        factors = [self._factor(k, mean[k]) for k in range(len(mean))]
        if any(factor is None for factor in factors):
            # The rounding of products of a few outlying rows exceeds the ridge.
            self._dense, factors = False, None
        return Preconditioner(self._joint, mean + self._at.l2, factors)

    @property
    def _ridge(self):
        """The ridge of a dense preconditioner, in units of the mean curvature."""
        return max(RELATIVE_RIDGE, RIDGE_EPSILONS * float(np.finfo(self.problem.rows.dtype).eps))

    def _factor(self, output, mean):
        """The Cholesky factor of the Hessian of an output with a ridge; None if it is not positive
        definite.
        """
        matrix, ridge = self._hessian(output)
        matrix[np.diag_indices(len(matrix))] += ridge * mean
        return cholesky(matrix)

    def _hessian(self, output):
        """(lower triangle of the Hessian of an output, from at most `_max_rows` rows; the ridge
        that it needs, in units of the mean curvature)
        """
        matrix, used = self._rows.hessian(self._at, output, self._max_rows)
        l2 = self._at.l2[output]
        matrix[np.diag_indices(len(matrix))] += l2
        is_whole = self._max_rows >= len(self.problem.visits) and l2[:-1].all()
        few = used <= self._v.shape[1] and not (self.is_factored or is_whole)
        return matrix, RIDGE_FEW_ROWS if few else self._ridge
