"""Newton's method for smooth losses: preconditioned conjugate gradients (CG) on scaled columns,
exact line search in the margins.

A pass over X computes either a gradient or the Hessian times a vector. Between passes everything
has the size of the parameters, or of the margins. There is no learning rate, and the loss never
rises. Sources: Nocedal and Wright, Numerical Optimization, chapter 7; Lin, Weng and Keerthi, "Trust
region Newton method for large-scale logistic regression", JMLR 9 (2008).
"""

from dataclasses import replace
from math import sqrt

import numpy as np
from scipy.linalg import LinAlgError, cho_factor

from fastgd.methods.carried import CarriedColumns
from fastgd.methods.curvature import (
    STALE_CURVATURE_SHARE,
    CGSpectrum,
    Coordinates,
    Preconditioner,
    center_outputs,
    minimum_norm,
)
from fastgd.methods.method import Epoch, Method
from fastgd.problem.constant_model import constant_model, rounding_floor
from fastgd.problem.duality import gap, relative, rounding_of
from fastgd.problem.layout import pack, unpack
from fastgd.problem.linearization import Linearization
from fastgd.problem.metric import metric_of
from fastgd.problem.records import Record

# Stop a CG solve only once the remainder is at most this share of the Newton decrement, if the
# decrement is a large part of the distance to the minimum: the step may then be the last one.
CG_DECREMENT_TOLERANCE = 0.1
# Report a decrement once its remainder is at most this share of it. The estimate is the middle
# between the bounds, so it is off by a factor of at most 1.25.
DECREMENT_UNCERTAINTY = 0.5
# Report the remainder of a quadratic once its upper bound is at most this multiple of its lower
# bound. The estimate is their geometric mean, so it is off by a factor of at most sqrt(4) = 2.
MAX_BOUND_RATIO = 4.0
# The smallest slope along a step, relative to the objective, whose sign is reliable, also in
# float32: about 8 of its epsilons.
RELIABLE_SLOPE = 1e-6
# Believe a decrement unless columns carried by few rows may gain more than this multiple of it.
HIDDEN_GAIN_RATIO = 2.0
# Believe a decrement at a loss whose curvature jumps if a step changes at most this share of the
# total curvature: that of one row in a thousand.
MAX_CURVATURE_CHANGE = 1e-3
# Stop CG once the squared residual norm is at most this multiple of the first one. The residual
# itself is then 1e-10 of the first one: less is rounding.
CG_RESIDUAL_FLOOR = 1e-20
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
# With `distrust_short_cg` and a diagonal preconditioner, fewer than MIN_CG_STEPS CG steps give no
# estimate, unless the remainder at a smallest eigenvalue of 1 is at most NEGLIGIBLE_REMAINDER
# times the decrement.
MIN_CG_STEPS = 4
NEGLIGIBLE_REMAINDER = 0.01
# Multiplications by BLAS per stored number of X that take as long as a pass over X.
PRODUCTS_PER_PASS = 25
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
# Evaluations of a line search, at most. A guard: each one costs no pass over X.
MAX_LINE_EVALUATIONS = 30
# A line search stops once the slope is at most this share of the slope at its start.
LINE_SLOPE_RATIO = 0.1
# Columns of a dense preconditioner, at most: its matrix takes 32 MB, its Cholesky factorisation
# p^3 / 3 = 2.7e9 multiplications.
MAX_DENSE_COLUMNS = 2000
# Numbers of the Cholesky factors of all outputs, at most: 256 MB.
MAX_FACTOR_NUMBERS = 2**25
# Rows that a dense preconditioner is made of: ROWS_PER_COLUMN rows per column are enough, and
# with fewer than MIN_ROWS_PER_COLUMN none is made.
ROWS_PER_COLUMN = 6
MIN_ROWS_PER_COLUMN = 4
# A dense preconditioner is made of at least this number of rows, if there are as many.
MIN_SUBSAMPLE_ROWS = 2000
# Up to this number of columns a quadratic's dense preconditioner is made of all rows. It is made
# once.
MAX_ALL_ROWS_COLUMNS = 200
# The same for other losses, whose preconditioner is made again when the curvatures change.
MAX_REPEATED_ALL_ROWS_COLUMNS = 50
# Multiplications per number of X that a dense preconditioner may cost: about 6 passes, with
# PRODUCTS_PER_PASS a pass.
DENSE_PRODUCTS = 160
# Added to the diagonal of a dense preconditioner, in units of the mean curvature. The inverse of
# the ridge multiplies the rounding of gradients in flat directions. So it is no less than
# RIDGE_EPSILONS machine epsilons, which matters in float32.
RELATIVE_RIDGE = 1e-10
RIDGE_EPSILONS = 8
# The same for a matrix of no more rows than columns, which is flat in many directions.
RIDGE_FEW_ROWS = 1e-6


def dense_rows(problem):
    """The number of rows for a dense preconditioner that costs at most a few passes over X; 0 if
    there is none.
    """
    n, p = len(problem.visits), problem.rows.shape[1]
    most = int(
        min(
            n,
            max(ROWS_PER_COLUMN * p, MIN_SUBSAMPLE_ROWS),
            max(DENSE_PRODUCTS * n - p * p / 3, 0) / max(p, 1),
        )
    )
    if p <= (
        MAX_ALL_ROWS_COLUMNS
        if problem.objective.loss.is_quadratic
        else MAX_REPEATED_ALL_ROWS_COLUMNS
    ):
        most = n
    return most if p <= MAX_DENSE_COLUMNS and most >= min(n, MIN_ROWS_PER_COLUMN * p) else 0


def late_dense_rows(problem):
    """The number of rows for a dense preconditioner that is made once CG has taken as long as it
    costs; 0 if there is none.
    """
    n, p = len(problem.visits), problem.rows.shape[1]
    factors = 1 if problem.objective.loss.is_quadratic else problem.objective.outputs
    if p > MAX_DENSE_COLUMNS or factors * p * p > MAX_FACTOR_NUMBERS:
        return 0
    return min(n, max(ROWS_PER_COLUMN * p, MIN_SUBSAMPLE_ROWS))


class State(Record):
    """The state of a run: the parameters in the user's units."""

    theta: np.ndarray
    by_column: bool
    averaged: int = 0
    t: int = 1
    epochs: int = 0


class Newton(Method):
    """Minimise a smooth objective without L1 part; `dense_metric` allows a preconditioner of p x p
    numbers.

    The descent is a generator, which cannot be stored. At the head of its loop the attributes named
    in `checkpointed` are enough to begin again; they are never changed in place. A later run
    continues from there, and repeats the few passes since.
    """

    checkpointed = (
        "_v",
        "_step",
        "_optimality",
        "_least_curvature",
        "_forcing_term",
        "_preconditioner",
        "_marked_curvatures",
        "_use_diagonal",
        "_decrement",
        "_stalled_directions",
        "_bounds",
    )
    # Whether X has been factored already. The factor of a quadratic's Hessian then costs little.
    is_factored = False
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

    def __init__(self, dense_metric=False, tol=0.0):
        self.dense_metric, self.tol = dense_metric, tol

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands."""
        self.problem = problem
        if theta is None:
            coef, intercept = unpack(earlier.theta, problem.objective.outputs, earlier.by_column)
            theta = pack(coef, intercept, problem.rows.dtype, problem.by_column)
        self.state = State(
            theta,
            problem.by_column,
            t=getattr(earlier, "t", 1),
            epochs=getattr(earlier, "epochs", 0),
        )
        self._theta = theta
        self._weight = problem.total_weight
        self._joint = problem.objective.loss.is_joint
        self._forcing_term, self._preconditioner = self.forcing, None
        self._at = Coordinates(problem, metric_of(problem))
        self._constant, self._constant_loss = constant_model(problem)
        self._floor = rounding_floor(problem, self._constant)
        # The last decrement.
        self._decrement = np.inf
        # The number of directions in a row that gained no more than rounding.
        self._stalled_directions = 0
        self._v = self._at.from_user(theta)
        if not theta.any():
            self._v[:, -1] = self._constant
        # Centring weights >= 0 could make some of them negative.
        shared = slice(-1, None) if problem.objective.positive else slice(None)
        self._v[:, shared] = center_outputs(self._v[:, shared], self._joint)
        self._bounds = -np.inf, np.inf
        # (passes, decrement) of a quadratic's model that is within `tol`.
        self._within_tol = None
        # The null space for `minimum_norm`, computed when it is needed.
        self._null_space = None
        # The relative distance of the model from the minimum; (F, distance) at v.
        self._optimality = self.value_and_distance = None
        self._least_curvature = np.inf
        at_once, late = (
            (dense_rows(problem), late_dense_rows(problem)) if self.dense_metric else (0, 0)
        )
        is_exact = self._is_quadratic() and (self.is_factored or self._is_free_quadratic())
        if is_exact or self.always_dense:
            at_once = at_once or late
        self._max_rows = at_once or late
        self._dense, self._dense_at_once = self._max_rows > 0, at_once > 0
        self._max_cg_passes = 3 + self._preconditioner_cost()
        is_expensive = (
            self.starts_with_diagonal
            and self._max_cg_passes >= DEFERRED_PASSES
            and not self._is_quadratic()
        )
        self._use_diagonal = self._dense and (is_expensive or not at_once)
        self._rows = Linearization(problem)
        self._x, self._step = np.zeros_like(self._v), np.ones((problem.objective.outputs, 1))
        self._passes = self._descend()
        self._save_checkpoint()

    def _preconditioner_cost(self):
        """The time to make a dense preconditioner, in passes over X."""
        n, p = len(self.problem.visits), self._v.shape[1]
        if self._dense_at_once:
            return self._max_rows * p // (PRODUCTS_PER_PASS * n)
        numbers = max(self.problem.rows.stored * n // max(self.problem.rows.shape[0], 1), 1)
        return (self._max_rows * p * p + p**3 // 3) // (PRODUCTS_PER_PASS * numbers)

    def _save_checkpoint(self):
        """Store the state from which `_descend` can begin again."""
        self._checkpoint, self._epochs_since_checkpoint = (
            {name: getattr(self, name, None) for name in self.checkpointed},
            0,
        )

    def resume_point(self):
        """What `resume` needs."""
        return self._checkpoint, self._epochs_since_checkpoint, self.state

    @np.errstate(all="ignore")  # as during the passes
    def resume(self, problem, resume_point):
        """Continue an earlier run on the same data from `resume_point`, by the same steps."""
        marked, since, state = resume_point
        self.start(problem, state.theta, None)
        for name, value in marked.items():
            setattr(self, name, value)
        self._save_checkpoint()
        for _ in range(since):
            self.epoch(None)
        self.state = state

    # ---- the verbs of a method ----

    def epoch(self, order):
        """One pass over the rows; their order does not matter."""
        epoch = next(self._passes)
        self._epochs_since_checkpoint += 1
        self.state = replace(
            self.state, theta=self._result(), t=self.state.t + 1, epochs=self.state.epochs + 1
        )
        return epoch

    def _result(self):
        """The parameters after the passes so far."""
        return self._theta

    def optimality(self):
        """(estimate of (F - F*) / (F0 - F*), its kind) with F0 the loss of the best constant model;
        None if there is no estimate yet.
        """
        return self._optimality

    def solution(self):
        """(coef, intercept); the one of minimum norm, if least squares have many."""
        coef, intercept = unpack(
            self.state.theta, self.problem.objective.outputs, self.problem.by_column
        )
        if (
            self._is_free_quadratic()
            and self._preconditioner
            and self._preconditioner.is_nearly_singular(self._ridge)
        ):
            if self._null_space is None:
                self._null_space = self._at.null_space()
            return minimum_norm(self._at, self._null_space, coef, intercept)
        return coef, intercept

    def _is_free_quadratic(self):
        """Whether the objective is least squares without a penalty: it has many minima if columns
        are linearly dependent.
        """
        objective = self.problem.objective
        return self._is_quadratic() and not (
            objective.has_nonsmooth_penalty or np.any(objective.l2)
        )

    def loss_at(self, theta):
        """The objective at theta."""
        return self.problem.value(theta, np.empty_like(theta))

    @property
    def exhausted(self):
        """Whether two directions in a row had a decrement within rounding that hardly fell."""
        return self._stalled_directions > 1

    # ---- passes over X ----

    def _gradient(self):
        """(F, gradient) at v, which becomes the point of the linearization."""
        theta = self._theta = self._at.to_user(self._v)
        loss, gradient = self._rows.value_and_gradient(theta)
        gradient[-self._at.outputs :] += self.problem.objective.tilt
        return loss, self._at.gradient(gradient) + self._at.l2 * self._v

    def _compute_curvatures(self):
        """Compute the curvatures of the rows at v."""
        self._rows.compute_curvatures()

    def _hessian_product(self, d):
        """The Hessian times d."""
        product = self._rows.hessian_product(self._at.to_user(d))
        return self._at.gradient(product) + self._at.l2 * d

    def losses(self, width=0.0):
        """(losses, slopes) of each row and output at v, with kinks smoothed over `width`."""
        return self._rows.losses(width)

    @property
    def _marked_curvatures(self):
        """The curvatures that the preconditioner was made of."""
        return self._rows.marked

    @_marked_curvatures.setter
    def _marked_curvatures(self, marked):
        self._rows.marked = marked

    # ---- the descent ----

    def _dot(self, a, b):
        """The dot product of a and b: one per output, shape (outputs, 1), or for a joint loss one
        in all, shape (1, 1).
        """
        product = (a * b).sum(axis=1, keepdims=True)
        return product.sum(axis=0, keepdims=True) if self._joint else product

    def _descend(self):
        """Yield an `Epoch` after each pass."""
        yield from self._minimise(lambda decrement: False)

    def _minimise(self, is_enough):
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
            if self._preconditioner is None or self._rows.have_curvatures_changed(
                STALE_CURVATURE_SHARE
            ):
                self._preconditioner = self._make_preconditioner()
            decrement, passes = yield from self._direction(loss, self._g)
            if self._optimality is None and self._may_be_enough(loss, decrement):
                # The decrement is small, but not reliable: a duality gap costs one pass.
                distance = gap(
                    self.problem, self._at, loss, self.losses()[1], self._g - self._at.l2 * self._v
                )
                if np.isfinite(distance):
                    self._bounds = loss - distance, loss
                    self._set_optimality(
                        (relative(distance, loss, self._constant_loss, self._floor), "duality gap")
                    )
                yield self._pass_made(loss, decrement)
            after, trial = self._search(), self._best_trial
            if trial and trial[0] < after:
                _, self._v, self._rows.margins, _ = trial
            if is_enough(decrement):
                return
            if not (self.exhausted or (self._optimality and self._optimality[0] <= self.tol)):
                self._move_on()
            yield self._pass_made(loss, decrement)
            if passes > self._max_cg_passes:
                self._preconditioner = None

    def _move_on(self):
        """Move the model to the result of the line search, and drop the estimate, which is that of
        the model before.
        """
        self._theta = self._at.to_user(self._v)
        if not self._is_quadratic():
            self._set_optimality(None)

    def _may_be_enough(self, loss, decrement):
        """Whether a decrement is within a `tol` above rounding, and an L2 penalty makes the duality
        gap finite.
        """
        enough = self.tol * (self._constant_loss - loss)
        return max(decrement, rounding_of(loss, self._constant_loss)) <= enough and np.all(
            self.problem.objective.l2
        )

    def _direction(self, loss, g):
        """Solve H x = -g by CG; yield an `Epoch` before each pass, return (decrement, passes)."""
        rounding = max(rounding_of(loss, self._constant_loss, self.problem.rows.dtype), self._floor)
        x, r = np.zeros_like(g), -g
        self._rows.begin_direction()
        p = s = self._preconditioner(r)
        first = rs = self._dot(r, s)
        self._x, cg, self._best_trial, self._within_tol = x, CGSpectrum(rs), None, None
        decrement, total_gain = 0.0, rounding
        while True:
            yield self._pass_made(loss, decrement)
            Hp = self._hessian_product(p)
            a = cg.alpha(self._dot(p, Hp))
            x += a * p
            self._rows.extend_direction(a.ravel())
            r -= a * Hp
            s = self._preconditioner(r)
            p_before, p = p, s + cg.beta(self._dot(r, s)) * p
            before, decrement = decrement, float(-(g * x).sum()) / 2
            if self._is_quadratic() and not decrement <= loss + rounding:
                # A sum of squares is at lower 0: rounding has grown along flat directions.
                x -= a * p_before
                decrement = before
                self._dense, self._use_diagonal = self._use_diagonal and self._dense, False
                self._preconditioner = None
                break
            lower, upper = self._cg_remainder(cg)
            total_gain = max(self._constant_loss - loss + decrement, rounding)
            is_too_short = self.distrust_short_cg and self._is_too_short(cg, decrement)
            if self._is_quadratic() and not self._within_tol:
                self._theta = self._at.to_user(self._v + x)
            if not is_too_short:
                self._estimate_distance(loss, decrement, lower, upper, total_gain, cg)
            if self._best_trial and self._optimality:
                self._estimate_trial_distance(decrement, lower, upper)
            residual_share = cg.rs.sum() / max(first.sum(), 1e-300)
            if self._is_quadratic():
                settled = (
                    not self._within_tol
                    and upper <= self.cg_tol_share * self.tol * total_gain
                    or residual_share <= CG_RESIDUAL_FLOOR
                )
            else:
                enough = max(
                    self._forcing_term**2,
                    self.cg_tol_share * self.tol * total_gain / max(decrement, 1e-300),
                )
                settled = residual_share <= enough and (
                    decrement > 0.1 * total_gain or upper <= CG_DECREMENT_TOLERANCE * decrement
                )
            if (
                settled
                and not is_too_short
                or cg.passes
                >= (self._max_cg_passes - 2 if self._use_diagonal else 50 + 2 * g.shape[1])
            ):
                break
            if self._is_trial_due(cg.passes, loss >= self._constant_loss - rounding):
                self._try_unfinished(loss, decrement)
        if self._use_diagonal and not settled:
            self._use_diagonal, self._preconditioner = False, None
        self._least_curvature = min(2 * self._least_curvature, cg.min_ritz)
        self._forcing_term = min(self.forcing, sqrt(max(decrement / total_gain, 1e-12)))
        self._stalled_directions = (
            self._stalled_directions + 1
            if STALLED_DECREMENT_RATIO * self._decrement < decrement <= rounding
            else 0
        )
        self._decrement = decrement
        if self.exhausted and self._optimality is None:
            self._estimate(rounding, loss)
        return decrement, cg.passes

    def _is_trial_due(self, passes, is_first):
        """Whether to try an unfinished direction after this number of passes: 4, 8, 16, ..., since
        a trial costs evaluations of the loss.
        """
        is_power = passes & (passes - 1) == 0
        return not self._is_quadratic() and is_power and (is_first or passes >= FIRST_TRIAL_PASS)

    def _try_unfinished(self, loss, decrement):
        """Search along an unfinished direction: if training is cut short, the best trial is the
        model.

        An estimate for the model before the direction does not hold for the trial.
        """
        before = self._v, self._rows.margins, self._x, self._step
        value = self._search()
        if value < (self._best_trial[0] if self._best_trial else loss):
            self._best_trial = value, self._v, self._rows.margins, decrement
            if not (self._optimality and self._optimality[0] <= self.tol):
                self._move_on()
        self._v, self._rows.margins, self._x, self._step = before

    def _estimate_trial_distance(self, decrement, lower, upper):
        """Estimate the distance of the best trial; withdraw the estimate if the rest of the
        direction may gain more.
        """
        value, _, _, trial_decrement = self._best_trial
        gain_since = decrement - trial_decrement
        self._set_optimality(None)
        # Then the estimate is within a factor of 2.
        if upper <= 2 * gain_since:
            self._estimate(gain_since + (lower + upper) / 2, value)
            if self._optimality[0] <= self.tol:
                self._set_optimality(None)

    def _pass_made(self, loss, decrement):
        """The `Epoch` of the model: where the gradient was taken or, for a quadratic, the current
        CG iterate.
        """
        trial_decrement = (
            (self._within_tol[1] if self._within_tol else decrement)
            if self._is_quadratic()
            else 0.0
        )
        return Epoch(loss - trial_decrement, self._norm, float(self._step.max()))

    def _cg_remainder(self, cg):
        """(lower, upper) bound of the decrement's remainder, r' M^-1 r / 2 over the extreme Ritz
        values.

        The smallest Ritz value of earlier directions counts too. If it is small, a short CG run may
        have missed smaller eigenvalues.
        """
        if not cg.rs.any():
            return 0.0, 0.0
        lower, total = (
            min(cg.min_ritz, self._least_curvature, TYPICAL_EIGENVALUE),
            float(cg.rs.sum()) / 2,
        )
        hidden = (
            UNSEEN_EIGENVALUE_RATIO
            if lower <= SMALL_RITZ_VALUE and cg.passes < min(self._v.size, RELIABLE_CG_STEPS)
            else 1.0
        )
        return total / max(cg.max_ritz, lower), total / max(lower * hidden, 1e-16)

    def _is_too_short(self, cg, decrement):
        """Whether CG with a diagonal preconditioner made too few steps for an estimate, and the
        remainder is not negligible.
        """
        few = cg.passes < min(self._v.size, MIN_CG_STEPS)
        return (
            self._preconditioner.factors is None
            and few
            and cg.rs.sum() > 2 * NEGLIGIBLE_REMAINDER * decrement
        )

    def _estimate_distance(self, loss, decrement, lower, upper, total_gain, cg):
        """Estimate the distance from v to the minimum once it is accurate enough; for a quadratic
        the distance from v + x, the model.
        """
        if upper <= DECREMENT_UNCERTAINTY * decrement and self._is_model_true(loss, decrement):
            # For separated classes without a penalty the infimum is 0.
            self.value_and_distance = (
                loss,
                loss if self._is_separated() else decrement + (lower + upper) / 2,
            )
            if not self._is_quadratic():
                self._estimate(self.value_and_distance[1], loss)
        if self._is_quadratic():
            self._estimate_quadratic_distance(loss, decrement, lower, upper, total_gain, cg)

    def _estimate_quadratic_distance(self, loss, decrement, lower, upper, total_gain, cg):
        """The same for a quadratic, whose model is the CG iterate.

        A model within `tol` waits for a few more passes, which make its estimate accurate.
        """
        if self._within_tol:
            passes, trial_decrement = self._within_tol
            gain_since = decrement - trial_decrement
            if upper <= gain_since or cg.passes >= passes + MAX_EXTRA_PASSES or not cg.rs.any():
                self._estimate(gain_since + (lower + upper) / 2, loss - trial_decrement)
        elif upper <= MAX_BOUND_RATIO * lower:
            self._estimate(sqrt(lower * upper), loss - decrement)
        else:
            self._set_optimality(None)
            if upper <= self.tol * total_gain:
                self._within_tol = cg.passes, decrement

    def _is_separated(self):
        """Whether the losses of all rows fall to 0 as the weights grow: the classes are separated,
        and there is no penalty.
        """
        objective = self.problem.objective
        if not objective.loss.vanishes_far_out or np.any(objective.l2) or objective.l1:
            return False
        return self._rows.is_separated()

    def _estimate(self, distance, value):
        """Store the distance of a model from the minimum, relative to that of the best constant
        model.
        """
        rounding = max(rounding_of(value, self._constant_loss), self._floor)
        gain = self._constant_loss - value + distance
        nothing = gain <= rounding and distance <= rounding
        self._bounds = value - distance, value
        self._set_optimality(
            (0.0 if nothing else distance / max(gain, rounding), "Newton decrement")
        )

    def is_smooth(self):
        """Whether the decrement estimates the distance to the minimum."""
        return True

    def bounds(self):
        """(bound or estimate of F*, the objective that it was computed at)"""
        return self._bounds

    def _is_model_true(self, loss, decrement):
        """Whether the quadratic model holds along the whole of x: a piecewise quadratic loss may
        change pieces.

        With `distrust_short_cg` every loss is checked. Far from the minimum an outlying row may
        have nearly all the curvature, and so hide the distance that remains once it has lost it.
        """
        if self.distrust_short_cg and not self._is_quadratic():
            start = self._dot(self._g, self._x).ravel()
            _, slope = self._line(np.ones(len(start)), self._penalties_along())
            if not np.abs(slope).sum() <= MAX_SLOPE_LEFT * np.abs(start).sum():
                return False
        if self._is_quadratic():
            return True
        if self.problem.objective.loss.is_piecewise_quadratic:
            if (
                not self._rows.curvature_along()
                <= MAX_CURVATURE_CHANGE * self._rows.total_curvature()
            ):
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
        return gain > max(
            HIDDEN_GAIN_RATIO * decrement, rounding_of(loss, self._constant_loss), self._floor
        )

    def _set_optimality(self, found):
        """Store (relative distance to the minimum, kind), or None."""
        self._optimality = found

    def _is_quadratic(self):
        return self.problem.objective.loss.is_quadratic

    def _search(self):
        """Move v along x to where the objective's slope is at most `LINE_SLOPE_RATIO` of the first
        one, with one step length per output.

        Returns the objective there; -infinity for a quadratic, which needs no search.
        """
        problem, x, v = self.problem, self._x, self._v
        if self._is_quadratic() and not problem.objective.has_nonsmooth_penalty:
            self._v, self._x = v + x, np.zeros_like(x)
            return -np.inf
        start = self._dot(self._g, x).ravel()
        low, high = np.zeros(len(start)), np.full(len(start), np.inf)
        below, above = start.copy(), np.full(len(start), np.inf)
        t = np.ones(len(start))
        penalties = self._penalties_along()
        # The objective at t = 0, computed only if needed: a convex objective whose slope is still
        # negative has fallen.
        value0 = None
        for _ in range(MAX_LINE_EVALUATIONS):
            value, slope = self._line(t, penalties)
            good = np.abs(slope) <= LINE_SLOPE_RATIO * np.abs(start)
            if (
                good.all()
                and (slope <= 0).all()
                and (-start > RELIABLE_SLOPE * np.abs(value)).all()
            ):
                break
            if value0 is None:
                value0, _ = self._line(np.zeros(len(start)), penalties)
            good &= value <= value0
            if good.all():
                break
            up = (slope > 0) | ~np.isfinite(value)
            high, above = np.where(up & ~good, t, high), np.where(up & ~good, slope, above)
            low, below = np.where(~up & ~good, t, low), np.where(~up & ~good, slope, below)
            with np.errstate(invalid="ignore"):
                inside, wide = low - below * (high - low) / (above - below), high - low
                inside = np.where(
                    np.isfinite(inside),
                    np.clip(inside, low + 0.05 * wide, high - 0.05 * wide),
                    low + wide / 2,
                )
            t = np.where(good, t, np.where(np.isfinite(high), inside, 4 * t))
        if value0 is not None and not (value <= value0).all():
            t = np.where(value <= value0, t, low)
            value, _ = self._line(t, penalties)
        self._step = t[:, None]
        self._v = v + self._step * x
        self._rows.move(t)
        self._x = np.zeros_like(x)
        return float(value.sum())

    def _penalties_along(self):
        """The coefficients of 1, t and t^2 / 2 in the penalty of v + t x, per output or in all."""
        v, x = self._v, self._x
        penalties = [self._dot(self._at.l2 * a, b).ravel() for a, b in ((v, v), (v, x), (x, x))]
        penalties[1] += self.problem.objective.tilt * self._dot(x, self._at.intercepts).ravel()
        return penalties

    @np.errstate(over="ignore", invalid="ignore")
    def _line(self, t, penalties):
        """(values, slopes) of the objective at v + t x, per output or in all."""
        steps = np.broadcast_to(t, (self.problem.objective.outputs,)).astype(float)
        value, slope = self._rows.sums_along(steps)[:, : len(t)] / self._weight
        own, mixed, square = penalties
        return value + (own / 2 + t * mixed + t * t * square / 2), slope + mixed + t * square

    # ---- the preconditioner ----

    def _make_preconditioner(self):
        """The `Preconditioner` at the current curvatures: the Hessian's diagonal, or the Hessian of
        a subsample of the rows.
        """
        self._rows.mark_curvatures()
        mean = self._rows.own_curvatures().mean(axis=0)
        mean = np.maximum(mean, 1e-3 * mean.max() or 1.0)[:, None]
        if not self._dense or self._use_diagonal:
            return Preconditioner(self._joint, mean + self._at.l2, None)
        try:
            factors = [
                cho_factor(
                    self._hessian(k, mean[k]),
                    lower=True,
                    overwrite_a=True,
                    check_finite=False,
                )
                for k in range(self.problem.objective.outputs)
            ]
        except LinAlgError:
            # The rounding of products of a few outlying rows exceeds the ridge.
            self._dense, factors = False, None
        return Preconditioner(self._joint, mean + self._at.l2, factors)

    @property
    def _ridge(self):
        """The ridge of a dense preconditioner, in units of the mean curvature."""
        return max(RELATIVE_RIDGE, RIDGE_EPSILONS * float(np.finfo(self.problem.rows.dtype).eps))

    def _hessian(self, output, mean):
        """The Hessian of an output with a ridge, from at most `_max_rows` rows."""
        matrix, used = self._rows.hessian(self._at, output, self._max_rows)
        l2 = self._at.l2[output]
        is_whole = self._max_rows >= len(self.problem.visits) and l2[:-1].all()
        few = used <= self._v.shape[1] and not (self.is_factored or is_whole)
        matrix[np.diag_indices(len(matrix))] += l2 + (RIDGE_FEW_ROWS if few else self._ridge) * mean
        return matrix
