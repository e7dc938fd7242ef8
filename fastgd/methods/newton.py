"""Newton's method for smooth losses: conjugate gradients in the metric of the columns, exact line
search in the margins.

A pass over X is either a gradient or the Hessian times a vector. Between passes everything is of
the size of the parameters, or of the margins. Nothing has a learning rate, and the loss never
rises. Sources: Nocedal and Wright, Numerical Optimization, chapter 7; Lin, Weng and Keerthi, "Trust
region Newton method for large-scale logistic regression", JMLR 9 (2008).
"""

from dataclasses import replace
from math import sqrt

import numpy as np
from scipy.linalg import LinAlgError, cho_factor

from fastgd.methods.carried import CarriedColumns
from fastgd.methods.curvature import STALE, Coordinates, Inverse, Path, centred, shortest
from fastgd.methods.method import Epoch, Method
from fastgd.problem.constant_model import constant_model, rounding_floor
from fastgd.problem.duality import gap, relative, rounding_of
from fastgd.problem.layout import pack, unpack
from fastgd.problem.linearization import Linearization
from fastgd.problem.metric import metric_of
from fastgd.problem.records import Record

PATIENT = 0.1  # of the decrement, that a direction may leave which may be the last
VAGUE = 0.5  # ... that may be missing where the decrement is told
EVEN = 4.0  # ratio of the largest and the least that may be left of a quadratic, where it is told
# of the objective: slopes along a step that rounding does not turn round, in float32 neither
TELLABLE = 1e-6
# Decrements that columns carried by few rows may be worth, which the decrement then still sees.
HIDES = 2.0
# The share of all curvature that a step may change at jumps where the decrement is believed: no
# more than one row of a thousand.
CROSSING = 1e-3
EXACT = 1e-20  # of the squared residual, that conjugate gradients cannot make smaller
# eigenvalues of the Hessian in the metric; steep directions, which come first, tell nothing of
# those
TYPICAL = 1.0
FLAT, LONG = 0.1, 20  # eigenvalues below that, and conjugate gradients that find them out:
HIDDEN = 0.1  # fewer may have left unseen an eigenvalue so many times the least that they have seen
# with a diagonal fewer tell nothing, unless no more of the decrement would be left by a perfect
# metric
SHORT = 4
CLEAR = 0.01
WORK_A_PASS = 25  # of such products take as long as a pass
DEAR = 7  # passes
# extra passes, at most, to estimate the distance of a quadratic's model that is within `tol`
PATIENCE = 20
# of the slope at its begin, that a Newton step may leave where the model is about quadratic
TRUE_SLOPE = 0.25
STUCK = 0.25  # a decrement within rounding and above this share of the previous one is stalled
FIRST_TRIAL = 4  # passes of an unfinished direction until it is tried, then after 8, 16, ...
# evaluations of a line search; the slope that it may leave, of that at its begin
SEARCHES = 30
FLATTENED = 0.1
LARGEST = 2000  # columns of a dense metric
MOST_FACTORS = 2**25  # numbers of the Cholesky factors of all outputs: 256 MB
# that it is made of: that are enough, that have to be
ROWS_A_COLUMN = 6
FEWEST_ROWS_A_COLUMN = 4
LEAST_ROWS = 2000
# columns up to which it is made of all rows: once, as of a quadratic, and whenever curvatures
# change
WHOLE = 200
WHOLE_AGAIN = 50
# products a row of X, that it may cost: BLAS makes so many in the time of some passes over X
DENSE_WORK = 160
# Added to the diagonal of a dense metric, in units of the mean curvature. The inverse of the ridge
# multiplies the rounding of gradients where X is flat: in float32 that asks for some epsilons.
RIDGE, RIDGE_EPSILONS = 1e-10, 8
# The ridge of a metric of no more rows than columns, which is flat in many directions.
RIDGE_OF_FEW = 1e-6


def rows_of_metric(problem):
    """Of how many rows a dense metric is made that costs no more than a few passes over X; 0: of
    none, for it would cost more.
    """
    n, p = len(problem.visits), problem.rows.shape[1]
    most = int(
        min(n, max(ROWS_A_COLUMN * p, LEAST_ROWS), max(DENSE_WORK * n - p * p / 3, 0) / max(p, 1))
    )
    if p <= (WHOLE if problem.objective.loss.is_quadratic else WHOLE_AGAIN):
        most = n
    return most if p <= LARGEST and most >= min(n, FEWEST_ROWS_A_COLUMN * p) else 0


def rows_of_late_metric(problem):
    """Of how many rows a dense metric is made once conjugate gradients have taken as long as it
    takes to make; 0: of none.
    """
    n, p = len(problem.visits), problem.rows.shape[1]
    factors = 1 if problem.objective.loss.is_quadratic else problem.objective.outputs
    if p > LARGEST or factors * p * p > MOST_FACTORS:
        return 0
    return min(n, max(ROWS_A_COLUMN * p, LEAST_ROWS))


class State(Record):
    """Where a run stands: the user's own parameters."""

    theta: np.ndarray
    by_column: bool
    averaged: int = 0
    t: int = 1
    epochs: int = 0


class Newton(Method):
    """Minimise a smooth objective without L1 part; `dense_metric` allows a preconditioner of p x p
    numbers.

    The descent is a generator, which cannot be kept. But at the head of its loop it needs no more
    than what `kept` names (never changed in place) to begin again: a later run goes on from there,
    over the few passes since.
    """

    kept = (
        "_v",
        "_step",
        "_found",
        "_least_curvature",
        "_residual",
        "_inverse",
        "_marked_curvatures",
        "_coarse",
        "_decrement",
        "_small",
        "_bounds",
    )
    # whether X has been factored already, beside which the factor of a quadratic's Hessian costs
    # little
    is_factored = False
    always_dense = False  # whether a dense metric is made at once, whatever it takes
    # with the diagonal where a dense metric is dear, until conjugate gradients take longer than it
    # is worth
    begins_coarsely = True
    leaves = 0.05  # of `tol`, that conjugate gradients may leave
    forcing = 0.2  # the largest relative residual of a direction
    # of short directions in a diagonal metric: of another's model, all that is left may be hidden
    # from them
    wary = False

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
        self._residual, self._inverse = self.forcing, None
        self._at = Coordinates(problem, metric_of(problem))
        self._constant, self._worst = constant_model(problem)
        self._floor = rounding_floor(problem, self._constant)
        # the last decrement; directions in a row that rounding has made worthless
        self._decrement = np.inf
        self._small = 0
        self._v = self._at.from_user(theta)
        if not theta.any():
            self._v[:, -1] = self._constant
        shared = (
            slice(-1, None) if problem.objective.positive else slice(None)
        )  # weights would not stay positive
        self._v[:, shared] = centred(self._v[:, shared], self._joint)
        self._bounds = -np.inf, np.inf
        self._carried = None
        self._near = None  # (passes, decrement) of a quadratic's model that is within `tol`
        self._null = None  # what `shortest` takes off, once it is known
        self._found = self.here = None  # how far the minimum is from the model; (F, how far) at v
        self._least_curvature = np.inf
        at_once, late = (
            (rows_of_metric(problem), rows_of_late_metric(problem)) if self.dense_metric else (0, 0)
        )
        is_exact = self._is_quadratic() and (self.is_factored or self._is_free_quadratic())
        if is_exact or self.always_dense:
            at_once = at_once or late
        self._most = at_once or late
        self._dense, self._dense_at_once = self._most > 0, at_once > 0
        self._worth = 3 + self._passes_of_metric()
        is_dear = self.begins_coarsely and self._worth >= DEAR and not self._is_quadratic()
        self._coarse = self._dense and (is_dear or not at_once)
        self._rows = Linearization(problem)
        self._x, self._step = np.zeros_like(self._v), np.ones((problem.objective.outputs, 1))
        self._passes = self._descend()
        self._mark()

    def _passes_of_metric(self):
        """About how many passes over X take as long as a dense metric."""
        n, p = len(self.problem.visits), self._v.shape[1]
        if self._dense_at_once:
            return self._most * p // (WORK_A_PASS * n)
        numbers = max(self.problem.rows.stored * n // max(self.problem.rows.shape[0], 1), 1)
        return (self._most * p * p + p**3 // 3) // (WORK_A_PASS * numbers)

    def _mark(self):
        """Here `_descend` can begin again."""
        self._marked, self._since = {name: getattr(self, name, None) for name in self.kept}, 0

    def position(self):
        """What `resume` needs."""
        return self._marked, self._since, self.state

    @np.errstate(all="ignore")  # as the passes had it
    def resume(self, problem, position):
        """Begin where an earlier run on the same data was at `position`, and take the very steps
        that it would have taken.
        """
        marked, since, state = position
        self.start(problem, state.theta, None)
        for name, value in marked.items():
            setattr(self, name, value)
        self._mark()
        for _ in range(since):
            self.epoch(None)
        self.state = state

    # ---- the verbs of a method ----

    def epoch(self, order):
        """One pass over the rows; their order does not matter."""
        epoch = next(self._passes)
        self._since += 1
        self.state = replace(
            self.state, theta=self._result(), t=self.state.t + 1, epochs=self.state.epochs + 1
        )
        return epoch

    def _result(self):
        """The parameters that are the result of the passes so far."""
        return self._theta

    def optimality(self):
        """(estimate of (F - F*) / (F0 - F*), its kind), F0 being the best constant model; None
        where nothing is known yet.
        """
        return self._found

    def solution(self):
        """(coef, intercept); the shortest, where least squares are reached by many."""
        coef, intercept = unpack(
            self.state.theta, self.problem.objective.outputs, self.problem.by_column
        )
        if (
            self._is_free_quadratic()
            and self._inverse
            and self._inverse.is_nearly_singular(self._ridge)
        ):
            if self._null is None:
                self._null = self._at.null_space()
            return shortest(self._at, self._null, coef, intercept)
        return coef, intercept

    def _is_free_quadratic(self):
        """Whether least squares are minimised without a penalty: if columns depend on one another,
        many models reach it.
        """
        objective = self.problem.objective
        return self._is_quadratic() and not (objective.has_corners or np.any(objective.l2))

    def loss_at(self, theta):
        """The objective at theta."""
        return self.problem.value(theta, np.empty_like(theta))

    @property
    def exhausted(self):
        """Whether two directions in a row have promised no more than rounding, and hardly less than
        the one before.
        """
        return self._small > 1

    # ---- passes over X ----

    def _gradient(self):
        """(F, gradient) at v, which becomes the point of the linearization."""
        theta = self._theta = self._at.to_user(self._v)
        loss, gradient = self._rows.value_and_gradient(theta)
        gradient[-self._at.outputs :] += self.problem.objective.tilt
        return loss, self._at.gradient(gradient) + self._at.l2 * self._v

    def _compute_curvatures(self):
        """Those of the rows at the point."""
        self._rows.compute_curvatures()

    def _hessian_product(self, d):
        """The Hessian times d."""
        product = self._rows.hessian_product(self._at.to_user(d))
        return self._at.gradient(product) + self._at.l2 * d

    def losses(self, width=0.0):
        """(losses, slopes) of each row and output at the point, kinks smoothed over `width`."""
        return self._rows.losses(width)

    @property
    def _marked_curvatures(self):
        """Those of which the preconditioner was made."""
        return self._rows.marked

    @_marked_curvatures.setter
    def _marked_curvatures(self, marked):
        self._rows.marked = marked

    # ---- the descent ----

    def _dot(self, a, b):
        """a b, for each output where outputs do not meet in one loss; shape (outputs, 1) or (1,
        1).
        """
        product = (a * b).sum(axis=1, keepdims=True)
        return product.sum(axis=0, keepdims=True) if self._joint else product

    def _descend(self):
        """Yields an `Epoch` after each pass."""
        yield from self._minimise(lambda decrement: False)

    def _minimise(self, is_enough):
        """Newton steps until the decrement before a step, an estimate of F - F*, is enough."""
        while True:
            self._mark()
            loss, self._g = self._gradient()
            self._norm = sqrt(float((self._g * self._g).sum()))
            self.here = None if self._norm else (loss, 0.0)
            self._known(None)
            if not self._norm:
                self._estimate(0.0, loss)
            self._compute_curvatures()
            if self._inverse is None or self._rows.have_curvatures_changed(STALE):
                self._inverse = self._metric()
            decrement, passes = yield from self._direction(loss, self._g)
            if self._found is None and self._may_be_enough(loss, decrement):
                # The decrement is small, and cannot be trusted: a bound tells, for one pass.
                distance = gap(
                    self.problem, self._at, loss, self.losses()[1], self._g - self._at.l2 * self._v
                )
                if np.isfinite(distance):
                    self._bounds = loss - distance, loss
                    self._known((relative(distance, loss, self._worst, self._floor), "duality gap"))
                yield self._pass_made(loss, decrement)
            after, end = self._search(), self._end
            if end and end[0] < after:
                _, self._v, self._rows.margins, _ = end
            if is_enough(decrement):
                return
            if not (self.exhausted or (self._found and self._found[0] <= self.tol)):
                self._move_on()
            yield self._pass_made(loss, decrement)
            if passes > self._worth:
                self._inverse = None

    def _move_on(self):
        """The model is where the line search has led; what is known is known of the model
        before.
        """
        self._theta = self._at.to_user(self._v)
        if not self._is_quadratic():
            self._known(None)

    def _may_be_enough(self, loss, decrement):
        """Whether a decrement is within `tol`, which rounding does not hide, and an L2 penalty lets
        slopes make a bound.
        """
        enough = self.tol * (self._worst - loss)
        return max(decrement, rounding_of(loss, self._worst)) <= enough and np.all(
            self.problem.objective.l2
        )

    def _direction(self, loss, g):
        """Conjugate gradients towards v - H^-1 g; yields an `Epoch` before each pass, returns
        (decrement, passes).
        """
        rounding = max(rounding_of(loss, self._worst, self.problem.rows.dtype), self._floor)
        x, r = np.zeros_like(g), -g
        self._rows.begin_direction()
        p = s = self._inverse(r)
        first = rs = self._dot(r, s)
        self._x, path, self._end, self._near = x, Path(rs), None, None
        decrement, there = 0.0, rounding
        while True:
            yield self._pass_made(loss, decrement)
            Hp = self._hessian_product(p)
            a = path.length(self._dot(p, Hp))
            x += a * p
            self._rows.extend_direction(a.ravel())
            r -= a * Hp
            s = self._inverse(r)
            p_before, p = p, s + path.turn(self._dot(r, s)) * p
            before, decrement = decrement, float(-(g * x).sum()) / 2
            if self._is_quadratic() and not decrement <= loss + rounding:
                # A sum of squares falls to 0 at most: rounding along flat directions has grown.
                x -= a * p_before
                decrement = before
                self._dense, self._coarse = self._coarse and self._dense, False
                self._inverse = None
                break
            least, most = self._rest(path)
            there = max(self._worst - loss + decrement, rounding)
            early = self.wary and self._is_early(path, decrement)
            if self._is_quadratic() and not self._near:
                self._theta = self._at.to_user(self._v + x)
            if not early:
                self._tell(loss, decrement, least, most, there, path)
            if self._end and self._found:
                self._judge_end(decrement, least, most)
            left = path.rs.sum() / max(first.sum(), 1e-300)
            if self._is_quadratic():
                settled = not self._near and most <= self.leaves * self.tol * there or left <= EXACT
            else:
                enough = max(
                    self._residual**2, self.leaves * self.tol * there / max(decrement, 1e-300)
                )
                settled = left <= enough and (
                    decrement > 0.1 * there or most <= PATIENT * decrement
                )
            if (
                settled
                and not early
                or path.passes >= (self._worth - 2 if self._coarse else 50 + 2 * g.shape[1])
            ):
                break
            if self._is_tried(path.passes, loss >= self._worst - rounding):
                self._try_unfinished(loss, decrement)
        if self._coarse and not settled:
            self._coarse, self._inverse = False, None
        self._least_curvature = min(2 * self._least_curvature, path.least)
        self._residual = min(self.forcing, sqrt(max(decrement / there, 1e-12)))
        self._small = self._small + 1 if STUCK * self._decrement < decrement <= rounding else 0
        self._decrement = decrement
        if self.exhausted and self._found is None:
            self._estimate(rounding, loss)
        return decrement, path.passes

    def _is_tried(self, passes, is_first):
        """Whether an unfinished direction is tried after so many passes: ever more seldom, as it
        costs evaluations.
        """
        is_power = passes & (passes - 1) == 0
        return not self._is_quadratic() and is_power and (is_first or passes >= FIRST_TRIAL)

    def _try_unfinished(self, loss, decrement):
        """Where training ends before a direction is finished, the model is the best end of it so
        far.

        What is known of the model where the direction began is not known of that.
        """
        before = self._v, self._rows.margins, self._x, self._step
        value = self._search()
        if value < (self._end[0] if self._end else loss):
            self._end = value, self._v, self._rows.margins, decrement
            if not (self._found and self._found[0] <= self.tol):
                self._move_on()
        self._v, self._rows.margins, self._x, self._step = before

    def _judge_end(self, decrement, least, most):
        """Say of the end of a direction what is known of it; nothing if the rest of the direction
        is worth more.
        """
        value, _, _, fallen = self._end
        since = decrement - fallen
        self._known(None)
        if most <= 2 * since:  # what is known of the end is within a factor of 2
            self._estimate(since + (least + most) / 2, value)
            if self._found[0] <= self.tol:
                self._known(None)

    def _pass_made(self, loss, decrement):
        """An `Epoch` of the model, which is where the gradient was taken or, of a quadratic, where
        conjugate gradients are.
        """
        fallen = (self._near[1] if self._near else decrement) if self._is_quadratic() else 0.0
        return Epoch(loss - fallen, self._norm, float(self._step.max()))

    def _rest(self, path):
        """(least, most) that conjugate gradients have left of the decrement, as far as the
        eigenvalues are known.

        The paths before are remembered, and where they met flat directions, a short one may not
        have seen the flattest.
        """
        if not path.rs.any():
            return 0.0, 0.0
        least, total = min(path.least, self._least_curvature, TYPICAL), float(path.rs.sum()) / 2
        hidden = HIDDEN if least <= FLAT and path.passes < min(self._v.size, LONG) else 1.0
        return total / max(path.largest, least), total / max(least * hidden, 1e-16)

    def _is_early(self, path, decrement):
        """Whether the metric is a diagonal, too few directions were seen to know how flat others
        are, and too much is left.
        """
        few = path.passes < min(self._v.size, SHORT)
        return self._inverse.factors is None and few and path.rs.sum() > 2 * CLEAR * decrement

    def _tell(self, loss, decrement, least, most, there, path):
        """Note how far the minimum is from v, as soon as it is about known; of a quadratic from v +
        x, which is the model.
        """
        if most <= VAGUE * decrement and self._is_model_true(loss, decrement):
            # Where the classes are separated and nothing is penalised, the infimum is 0.
            self.here = loss, loss if self._is_separated() else decrement + (least + most) / 2
            if not self._is_quadratic():
                self._estimate(self.here[1], loss)
        if self._is_quadratic():
            self._tell_quadratic(loss, decrement, least, most, there, path)

    def _tell_quadratic(self, loss, decrement, least, most, there, path):
        """The same of a quadratic, whose model is where conjugate gradients are.

        One that is near enough waits for a few passes more, which tell how near it is.
        """
        if self._near:
            passes, fallen = self._near
            since = decrement - fallen
            if most <= since or path.passes >= passes + PATIENCE or not path.rs.any():
                self._estimate(since + (least + most) / 2, loss - fallen)
        elif most <= EVEN * least:
            self._estimate(sqrt(least * most), loss - decrement)
        else:
            self._known(None)
            if most <= self.tol * there:
                self._near = path.passes, decrement

    def _is_separated(self):
        """Whether the logistic losses of all rows fall for ever as the weights grow."""
        objective = self.problem.objective
        if not objective.loss.vanishes_far_out or np.any(objective.l2) or objective.l1:
            return False
        return self._rows.is_separated()

    def _estimate(self, distance, value):
        """Note that a model of this objective is so far above the minimum, relative to what the
        best constant model leaves.
        """
        rounding = max(rounding_of(value, self._worst), self._floor)
        gain = self._worst - value + distance
        nothing = gain <= rounding and distance <= rounding
        self._bounds = value - distance, value
        self._known((0.0 if nothing else distance / max(gain, rounding), "Newton decrement"))

    def is_smooth(self):
        """Whether the decrement tells how far the minimum is."""
        return True

    def bounds(self):
        """(a bound or an estimate of F*, the objective that it was made at)"""
        return self._bounds

    def _is_model_true(self, loss, decrement):
        """Whether the loss along all of x is about the quadratic model: one made of quadratic
        pieces may go on to others.

        Of another's model this is asked of all losses. Far from the minimum a row far out may have
        nearly all the curvature, and hide what is left once it has lost it.
        """
        if self.wary and not self._is_quadratic():
            start = self._dot(self._g, self._x).ravel()
            _, slope = self._line(np.ones(len(start)), self._penalties_along())
            if not np.abs(slope).sum() <= TRUE_SLOPE * np.abs(start).sum():
                return False
        if self._is_quadratic():
            return True
        if self.problem.objective.loss.is_piecewise_quadratic:
            if not self._rows.curvature_along() <= CROSSING * self._rows.total_curvature():
                return False
        return not self._is_hidden(loss, decrement)

    def _is_hidden(self, loss, decrement):
        """Whether columns that few rows carry may be worth more than the decrement, which hardly
        sees them.
        """
        metric = metric_of(self.problem)
        if not metric.stands_out.any():
            return False
        if self._carried is None:
            self._carried = CarriedColumns(self._at, metric)
        gain = self._carried.gain(self._g, self._rows.own_curvatures())
        return gain > max(HIDES * decrement, rounding_of(loss, self._worst), self._floor)

    def _known(self, found):
        """Note what is known of how far the minimum is."""
        self._found = found

    def _is_quadratic(self):
        return self.problem.objective.loss.is_quadratic

    def _search(self):
        """Move v along x to where the objective's slope is at most `FLATTENED` of what it was, one
        step length an output.

        Returns the objective there; of a quadratic, which needs no search, -infinity.
        """
        problem, x, v = self.problem, self._x, self._v
        if self._is_quadratic() and not problem.objective.has_corners:
            self._v, self._x = v + x, np.zeros_like(x)
            return -np.inf
        start = self._dot(self._g, x).ravel()
        low, high = np.zeros(len(start)), np.full(len(start), np.inf)
        below, above = start.copy(), np.full(len(start), np.inf)
        t = np.ones(len(start))
        penalties = self._penalties_along()
        # no need of it where the objective, which is convex, still falls, and is not only rounding
        value0 = None
        for _ in range(SEARCHES):
            value, slope = self._line(t, penalties)
            good = np.abs(slope) <= FLATTENED * np.abs(start)
            if good.all() and (slope <= 0).all() and (-start > TELLABLE * np.abs(value)).all():
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
        """What the penalty of v + t x is made of: numbers an output (or in all) for 1, t and t^2 /
        2.
        """
        v, x = self._v, self._x
        penalties = [self._dot(self._at.l2 * a, b).ravel() for a, b in ((v, v), (v, x), (x, x))]
        penalties[1] += self.problem.objective.tilt * self._dot(x, self._at.intercepts).ravel()
        return penalties

    @np.errstate(over="ignore", invalid="ignore")
    def _line(self, t, penalties):
        """(values, slopes) of the objective at v + t x, an output each (or one in all)."""
        steps = np.broadcast_to(t, (self.problem.objective.outputs,)).astype(float)
        value, slope = self._rows.sums_along(steps)[:, : len(t)] / self._weight
        own, mixed, square = penalties
        return value + (own / 2 + t * mixed + t * t * square / 2), slope + mixed + t * square

    # ---- the metric of the conjugate gradients ----

    def _metric(self):
        """The `Inverse` at the curvatures of now: of the Hessian's diagonal, or of all of it from
        some rows.
        """
        self._rows.mark_curvatures()
        mean = self._rows.own_curvatures().mean(axis=0)
        mean = np.maximum(mean, 1e-3 * mean.max() or 1.0)[:, None]
        if not self._dense or self._coarse:
            return Inverse(self._joint, mean + self._at.l2, None)
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
        except LinAlgError:  # products of few rows far out, whose rounding exceeds the ridge
            self._dense, factors = False, None
        return Inverse(self._joint, mean + self._at.l2, factors)

    @property
    def _ridge(self):
        """What the diagonal of a dense metric gets, in units of the mean curvature."""
        return max(RIDGE, RIDGE_EPSILONS * float(np.finfo(self.problem.rows.dtype).eps))

    def _hessian(self, output, mean):
        """The Hessian of an output, from as many rows as are affordable."""
        matrix, used = self._rows.hessian(self._at, output, self._most)
        l2 = self._at.l2[output]
        is_whole = self._most >= len(self.problem.visits) and l2[:-1].all()
        few = used <= self._v.shape[1] and not (self.is_factored or is_whole)
        matrix[np.diag_indices(len(matrix))] += l2 + (RIDGE_OF_FEW if few else self._ridge) * mean
        return matrix
