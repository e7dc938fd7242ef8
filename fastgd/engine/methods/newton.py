"""Newton's method for smooth losses: conjugate gradients in the metric of the columns, exact line search in the margins.

A pass over X is either a gradient or the Hessian times a vector. Between passes everything is of the size of the parameters, or of
the margins. Nothing has a learning rate, and the loss never rises. Sources: Nocedal and Wright, Numerical Optimization, chapter 7;
Lin, Weng and Keerthi, "Trust region Newton method for large-scale logistic regression", JMLR 9 (2008).
"""
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve, eigvalsh_tridiagonal
from scipy.linalg.blas import dsyrk
from sklearn.utils.parallel import _get_threadpool_controller

from fastgd.engine.data import pack, unpack
from fastgd.engine.duality import gap, relative, rounding_of
from fastgd.engine.metric import constant_model, metric_of
from fastgd.engine.objective import KINKED
from fastgd.kernels import batch, newton
from fastgd.kernels.losses import Loss, evaluate

from .descent import Epoch

FORCING = 0.5       # the largest relative residual of a direction
PATIENT = 0.1       # ... of one that may be the last: the decrement is then known to about its square
FLAT, LONG = 0.1, 20  # eigenvalues of the Hessian in the metric below that, and conjugate gradients that find them out
DEMANDS = 0.1, 1e-4, 1e-7, 1e-10, 1e-14  # decrements at the end of a stage, of what rounding kinks off may cost
LOOK = 50           # passes that a certificate may take
SEARCHES = 30       # evaluations of a line search
ROWS_A_COLUMN = 10  # rows that a dense metric is made of
CHUNK = 1024        # of them that are standardised at a time
RIDGE, RIDGE_OF_FEW = 1e-10, 1e-6  # added to its diagonal; of no more rows than columns: rounding must not grow where it is flat


def one_blas_thread():
    """While this lasts BLAS does not share its sums among threads, whose number would change the bits."""
    return _get_threadpool_controller().limit(limits=1, user_api="blas")


@dataclass(frozen=True)
class State:
    """Where a run stands: the user's own parameters."""

    theta: np.ndarray
    by_column: bool
    averaged: int = 0
    t: int = 1
    epochs: int = 0


def centred(a, joint):
    """a, for softmax less what all outputs have in common: the loss does not see it, and the penalty wants it to be 0."""
    return a - a.mean(axis=0) if joint else a


@dataclass(frozen=True)
class Inverse:
    """An approximate inverse of the Hessian: of its diagonal, or by Cholesky factors, one an output."""

    joint: bool
    diagonal: np.ndarray
    factors: list | None

    def __call__(self, r):
        r = centred(r, self.joint)
        if self.factors is None:
            return centred(r / self.diagonal, self.joint)
        return centred(np.stack([cho_solve(factor, row, check_finite=False) for factor, row in zip(self.factors, r, strict=True)]),
                       self.joint)


class Coordinates:
    """Parameters (outputs, p + 1) of centred columns of spread 1, the intercept last, and what they are to the user."""

    def __init__(self, problem, metric):
        self.problem, self.outputs = problem, problem.objective.outputs
        self.center, self.inverse = metric.center, metric.inverse
        self.intercepts = np.append(np.zeros_like(self.center), 1.0)
        with np.errstate(over="ignore"):
            self.l2 = np.outer(np.broadcast_to(problem.objective.l2, self.outputs), np.append(self.inverse**2, 0.0))

    def to_user(self, v):
        """The kernels' flat vector."""
        W = v[:, :-1] * self.inverse
        return pack(W, v[:, -1] - W @ self.center, self.problem.rows.dtype, self.problem.by_column)

    def standardised(self, rows, columns=None):
        """These rows of X (all columns, or those) dense, in these coordinates; the last column, of ones, is the intercept's."""
        p = len(self.inverse)
        columns = np.arange(p + 1) if columns is None else columns
        inside = np.minimum(columns, p - 1)
        X = self.problem.X[self.problem.visits[rows]][:, inside]
        X = np.asarray(X.toarray() if sparse.issparse(X) else X, dtype=float)
        X -= self.center[inside]
        X *= self.inverse[inside]
        X[:, columns == p] = self.problem.objective.intercept
        return X

    def from_user(self, theta):
        W, b = unpack(theta.astype(float), self.outputs, self.problem.by_column)
        scaled = np.divide(W, self.inverse, where=self.inverse > 0, out=np.zeros_like(W))
        return np.column_stack([scaled, b + W @ self.center])

    def gradient(self, flat):
        """The gradient in these coordinates, of the kernels' one."""
        W, b = unpack(flat.astype(float), self.outputs, self.problem.by_column)
        return np.column_stack([(W - np.outer(b, self.center)) * self.inverse, b])


class Newton:
    """Minimise a smooth objective without L1 part; `dense_metric` allows a preconditioner of p x p numbers.

    The descent is a generator, which cannot be kept. But at the head of its loop it needs no more than what `kept` names (never
    changed in place) to begin again: a later run goes on from there, over the few passes since.
    """

    kept = "_v", "_step", "_found", "_least_curvature", "_next_least", "_residual", "_inverse"
    repaired = False  # no step needs it

    def __init__(self, dense_metric=False, tol=0.0):
        self.dense_metric, self.tol = dense_metric, tol

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands."""
        self.problem = problem
        if theta is None:
            coef, intercept = unpack(earlier.theta, problem.objective.outputs, earlier.by_column)
            theta = pack(coef, intercept, problem.rows.dtype, problem.by_column)
        self.state = State(theta, problem.by_column, t=getattr(earlier, "t", 1), epochs=getattr(earlier, "epochs", 0))
        self._theta = theta
        self._weight = len(problem.visits) if problem.weights is None else float(problem.weights[problem.visits].sum())
        self._joint = problem.objective.loss == "softmax"
        self._residual, self._inverse = FORCING, None
        self._at = Coordinates(problem, metric_of(problem))
        self._constant, self._worst = constant_model(problem)
        self._v = self._at.from_user(theta)
        if not theta.any():
            self._v[:, -1] = self._constant
        shared = slice(-1, None) if problem.objective.positive else slice(None)  # weights would not stay positive
        self._v[:, shared] = centred(self._v[:, shared], self._joint)
        self._found = None
        self._least_curvature = self._next_least = np.inf
        self._dense = self.dense_metric and self._is_affordable()
        size = len(problem.visits) * problem.objective.outputs
        self._z, self._h, self._u = np.empty(size), np.empty(size), np.empty(size)
        self._x, self._step = np.zeros_like(self._v), np.ones((problem.objective.outputs, 1))
        self._passes = self._descend()
        self._mark()

    def _mark(self):
        """Here `_descend` can begin again."""
        self._marked, self._since = {name: getattr(self, name, None) for name in self.kept}, 0

    def position(self):
        """What `resume` needs."""
        return self._marked, self._since, self.state

    @np.errstate(all="ignore")  # as the passes had it
    def resume(self, problem, position):
        """Begin where an earlier run on the same data was at `position`, and take the very steps that it would have taken."""
        marked, since, state = position
        self.start(problem, state.theta, None)
        vars(self).update(marked)
        self._mark()
        for _ in range(since):
            self.epoch(None)
        self.state = state

    def _is_affordable(self):
        """Whether a dense metric costs no more than a few passes over X, and if so from how many rows it is made."""
        n, p = len(self.problem.visits), self.problem.rows.shape[1]
        self._most = min(n, max(ROWS_A_COLUMN * p, 2000))
        return p <= 2000 and self._most * p + p * p / 3 <= 160 * n

    # ---- the verbs of a method ----

    def epoch(self, order):
        """One pass over the rows; their order does not matter."""
        epoch = next(self._passes)
        self._since += 1
        self.state = replace(self.state, theta=self._result(), t=self.state.t + 1, epochs=self.state.epochs + 1)
        return epoch

    def _result(self):
        """The parameters that are the result of the passes so far."""
        return self._theta

    def optimality(self):
        """(estimate of (F - F*) / (F0 - F*), its kind), F0 being the best constant model; None where nothing is known yet."""
        return self._found

    def solution(self):
        """(coef, intercept)"""
        return unpack(self.state.theta, self.problem.objective.outputs, self.problem.by_column)

    def loss_at(self, theta):
        """The objective at theta."""
        return self._evaluate(theta, np.empty_like(theta))

    def is_finite(self):
        return bool(np.isfinite(self.state.theta).all())

    def finish(self, certify=True):
        """Training ends: go as far as the passes of an unfinished direction allow."""
        if self._x.any():
            self._search()
            self._theta = self._at.to_user(self._v)
            self.state = replace(self.state, theta=self._result())

    def react(self):
        """There is no rate to lower."""
        return False

    # ---- passes over X ----

    def _evaluate(self, theta, out, margins=None):
        problem = self.problem
        loss = batch.gradient(problem.rows, problem.y, problem.weights, problem.visits, theta, out, problem.objective.codes,
                              problem.threads, margins)
        return loss / self._weight + problem.objective.penalty(*unpack(theta, problem.objective.outputs, problem.by_column))

    def _gradient(self):
        """(F, gradient) at v; the margins are kept."""
        theta = self._at.to_user(self._v)
        out = np.empty_like(theta)
        loss = self._evaluate(theta, out, self._z)
        out[-self._at.outputs:] += self.problem.objective.tilt
        self._theta = theta
        return loss, self._at.gradient(out) + self._at.l2 * self._v

    def _curvatures(self):
        """The second derivatives of the losses at the margins."""
        problem = self.problem
        newton.curvatures(problem.y, problem.weights, problem.visits, self._z, self._h, problem.objective.codes)

    def _curve(self, d, margins):
        """The Hessian times d; the margins of d are kept."""
        problem, theta = self.problem, self._at.to_user(d)
        out = np.empty_like(theta)
        batch.gradient(problem.rows, problem.y, problem.weights, problem.visits, theta, out, problem.objective.codes,
                       problem.threads, margins, self._h)
        return self._at.gradient(out) + self._at.l2 * d

    def losses(self, width=0.0):
        """(losses, slopes) of each row and output at the margins last kept, kinks rounded off over `width`."""
        objective = self.problem.objective
        loss, shape = Loss[objective.loss.upper()], (len(self.problem.visits), objective.outputs)
        if self._joint:
            value, slopes = evaluate(loss, objective.delta, self._z.reshape(shape), self.problem.targets[:, 0])
            return value[:, None], slopes
        value, slopes = evaluate(loss, objective.delta, self._z, self.problem.output_targets.ravel(), width)
        return value.reshape(shape), slopes.reshape(shape)

    # ---- the descent ----

    def _dot(self, a, b):
        """a b, for each output where outputs do not meet in one loss; shape (outputs, 1) or (1, 1)."""
        product = (a * b).sum(axis=1, keepdims=True)
        return product.sum(axis=0, keepdims=True) if self._joint else product

    def _descend(self):
        """Yields an `Epoch` after each pass."""
        yield from self._minimise(lambda decrement: False)

    def _minimise(self, is_enough):
        """Newton steps until the decrement before a step, an estimate of F - F*, is enough."""
        problem, objective = self.problem, self.problem.objective
        n, K = len(problem.visits), objective.outputs
        margins = np.empty(n * K)
        while True:
            self._mark()
            loss, g = self._gradient()
            norm = self._norm = sqrt(float((g * g).sum()))
            rounding = rounding_of(loss, self._worst, problem.rows.dtype)
            self._curvatures()
            self._inverse = self._inverse or self._metric()
            x, r, self._u[:] = np.zeros_like(g), -g, 0
            s = self._inverse(r)
            first = rs = self._dot(r, s)
            self._x, self._g = x, g
            p, solved, curved, path = s, 0, np.full(rs.shape, True), []
            self._known(None if norm else (0.0, "gradient"))
            while True:
                yield Epoch(loss, norm, float(self._step.max()))
                Hp = self._curve(p, margins)
                solved += 1
                pHp = self._dot(p, Hp)
                curved &= pHp > 1e-12 * rs
                a = np.where(curved, rs / np.where(curved, pHp, 1), float(solved == 1))  # none: the line search finds how far to go
                x += a * p
                self._u.reshape(n, K)[:] += np.broadcast_to(a, (K, 1)).T * margins.reshape(n, K)
                r -= a * Hp
                s = self._inverse(r)
                before, rs = rs, self._dot(r, s)
                path.append((a * curved, np.where(before > 0, rs / np.where(before > 0, before, 1), 0.0)))
                decrement = float(-(g * x).sum()) / 2
                relative = decrement / max(self._worst - loss + decrement, rounding)
                left = rs[curved].sum() / max(first.sum(), 1e-300)
                rest = self._rest(path, np.where(curved, rs, 0.0)) if left <= PATIENT**2 else np.inf
                settled = rest <= PATIENT * decrement
                if settled:
                    self._known(((decrement + rest) / max(self._worst - loss + decrement + rest, rounding), "Newton decrement"))
                if left <= self._residual**2 and (relative > 0.1 or settled):
                    break
                if solved >= 50 + 2 * g.shape[1]:
                    break
                p = s + path[-1][1] * p
            self._search()
            self._least_curvature = min(2 * self._least_curvature, self._next_least)
            if is_enough(decrement):
                return
            yield Epoch(loss, norm, float(self._step.max()))
            self._residual = min(FORCING, sqrt(max(relative, 1e-12)))
            if solved > 3:
                self._inverse = None

    def _rest(self, path, rs):
        """What more the decrement is at most, as far as the least eigenvalue is known: rs / (2 eigenvalue) summed over the outputs.

        `path` holds the lengths a and the ratios b of the conjugate gradients: their Lanczos tridiagonal's least eigenvalue is near
        that of the Hessian in their metric once its direction matters. The paths before are remembered, and where they met flat
        directions, a path must be long to be believed.
        """
        rest, least = 0.0, np.inf
        for k in np.flatnonzero(rs > 0):
            a, b = np.array([(a[k, 0], b[k, 0]) for a, b in path if a[k, 0] > 0]).T
            b = np.maximum(b, 0)  # rounding
            diagonal = 1 / a + np.append(0.0, b[:-1] / a[:-1])
            least = min(least, eigvalsh_tridiagonal(diagonal, np.sqrt(b[:-1]) / a[:-1], select="i", select_range=(0, 0))[0])
            rest += float(rs[k, 0]) / (2 * max(min(least, self._least_curvature), 1e-16))
        self._next_least = least
        return rest if min(least, self._least_curvature) > FLAT or len(path) >= min(self._v.size, LONG) else np.inf

    def _known(self, found):
        """Note what is known of how far the minimum is."""
        self._found = found

    def _search(self):
        """Move v along x to where the objective's slope is at most a tenth of what it was, one step length an output."""
        problem, x, v = self.problem, self._x, self._v
        K = problem.objective.outputs
        start = self._dot(self._g, x).ravel()
        low, high = np.zeros(len(start)), np.full(len(start), np.inf)
        below, above = start.copy(), np.full(len(start), np.inf)
        t, sums = np.ones(len(start)), np.empty((2, K))
        penalties = [self._dot(self._at.l2 * a, b).ravel() for a, b in ((v, v), (v, x), (x, x))]
        penalties[1] += problem.objective.tilt * self._dot(x, self._at.intercepts).ravel()
        value0, _ = self._line(np.zeros(len(start)), sums, penalties)
        for _ in range(SEARCHES):
            value, slope = self._line(t, sums, penalties)
            good = (np.abs(slope) <= 0.1 * np.abs(start)) & (value <= value0)
            if good.all():
                break
            up = (slope > 0) | ~np.isfinite(value)
            high, above = np.where(up & ~good, t, high), np.where(up & ~good, slope, above)
            low, below = np.where(~up & ~good, t, low), np.where(~up & ~good, slope, below)
            with np.errstate(invalid="ignore"):
                inside = low - below * (high - low) / (above - below)
            wide = high - low
            inside = np.where(np.isfinite(inside), np.clip(inside, low + 0.05 * wide, high - 0.05 * wide), low + wide / 2)
            t = np.where(good, t, np.where(np.isfinite(high), inside, 4 * t))
        t = np.where(value <= value0, t, low)
        self._step = t[:, None]
        self._v = v + self._step * x
        self._z = self._z + (np.broadcast_to(t, (K,)) * self._u.reshape(-1, K)).ravel()
        self._x = np.zeros_like(x)

    @np.errstate(over="ignore", invalid="ignore")
    def _line(self, t, sums, penalties):
        """(values, slopes) of the objective at v + t x, an output each (or one in all)."""
        problem = self.problem
        steps = np.broadcast_to(t, (problem.objective.outputs,)).astype(float)
        newton.along(problem.y, problem.weights, problem.visits, self._z, self._u, steps, sums, problem.objective.codes,
                     problem.threads)
        value, slope = sums[:, :len(t)] / self._weight
        own, mixed, square = penalties
        return value + (own / 2 + t * mixed + t * t * square / 2), slope + mixed + t * square

    # ---- the metric of the conjugate gradients ----

    def _own_curvatures(self):
        """(n, outputs): weight * second derivative of each row's loss in each of its margins alone."""
        h = self._h.reshape(-1, self.problem.objective.outputs)
        if not self._joint:
            return h
        weights = 1 if self.problem.weights is None else self.problem.weights[self.problem.visits, None]
        return weights * h * (1 - h)

    def _metric(self):
        """The `Inverse` at the curvatures of now: of the Hessian's diagonal, or of all of it from some rows."""
        outputs, h = self.problem.objective.outputs, self._own_curvatures()
        mean = h.mean(axis=0)
        mean = np.maximum(mean, 1e-3 * mean.max() or 1.0)[:, None]
        if not self._dense:
            return Inverse(self._joint, mean + self._at.l2, None)
        with one_blas_thread():
            factors = [cho_factor(self._gram(h[:, k], mean[k], self._at.l2[k]), lower=True, overwrite_a=True, check_finite=False)
                       for k in range(outputs)]
        return Inverse(self._joint, mean + self._at.l2, factors)

    def _gram(self, h, mean, l2):
        """The Hessian of an output whose rows have curvatures h, from as many of those that have any as are affordable."""
        curved, size = np.flatnonzero(h), self._v.shape[1]
        picked = curved[np.arange(min(len(curved), self._most)) * len(curved) // max(min(len(curved), self._most), 1)]
        scale, root = len(curved) / max(len(picked), 1) / len(h), np.sqrt(h[picked])
        gram = np.zeros((size, size), order="F")
        for begin in range(0, len(picked), CHUNK):
            rows = self._at.standardised(picked[begin:begin + CHUNK]) * root[begin:begin + CHUNK, None]
            gram = dsyrk(scale, rows.T, beta=1.0, c=gram, lower=True, overwrite_c=True)
        gram[np.diag_indices(size)] += l2 + (RIDGE if len(picked) > size else RIDGE_OF_FEW) * mean
        return gram


class Rounded(Newton):
    """Minimise an objective whose loss has kinks: Newton's method with the kinks rounded off over ever smaller widths.

    The slopes of a rounded loss are feasible for the dual of the loss itself, which bounds what is left. Source: the smoothing
    technique of Nesterov, "Smooth minimization of non-smooth functions", Mathematical Programming 103 (2005).
    """

    kept = *Newton.kept, "_best", "_least", "_beyond", "_cost", "_width", "_demand", "_last"

    def start(self, problem, theta, earlier):
        """Begin at theta, or where `earlier` stands."""
        super().start(problem, theta, earlier)
        v = np.zeros_like(self._v)
        v[:, -1] = self._constant
        self._best = self._worst, self._at.to_user(v)  # (objective, theta) of the best end of a stage, or of the constant model
        self._least = -np.inf                          # a bound of the minimum
        self._beyond, self._cost = 0.0, 0.0
        self._width, self._demand, self._last = self._first_width(), 0, np.inf  # of the stage at hand; its last decrement
        self._mark()

    def _descend(self):
        exact = self.problem
        while True:
            rounded = replace(exact, objective=replace(exact.objective, width=self._width))
            while self._demand < len(DEMANDS):
                self.problem = rounded
                yield from self._minimise(self._is_enough)
                self.problem = exact
                distance, value = self._bound(self._width)
                yield Epoch(value, self._norm, float(self._step.max()))
                self._residual, self._inverse, self._last = FORCING, None, np.inf
                if distance <= 4 * self._cost + rounding_of(value, self._worst, exact.rows.dtype):
                    break  # else the weights are held so loosely that the bound takes a better minimum
                self._demand += 1
            self._width *= min(0.3, max(0.1, 0.5 * self.tol / max(self._found[0], 1e-300)))
            self._demand = 0

    def _is_enough(self, decrement):
        """Whether a decrement ends a stage: it is small against what rounding kinks off may cost, or no longer falls."""
        before, self._last = self._last, decrement
        stuck = decrement > 0.1 * before and decrement <= rounding_of(self._best[0], self._worst, self.problem.rows.dtype)
        return stuck or decrement <= DEMANDS[self._demand] * self._cost

    def _curvatures(self):
        """Those of the rounded losses, and a share of secants' where rows on kinks are too few to make a Hessian of."""
        super()._curvatures()
        problem, width, n = self.problem, self.problem.objective.width, len(self.problem.visits)
        self._cost = max(width * self._h.sum(), 1.0) * width / (8 * n)  # a row on a kink: curvature 1 / width, cost <= width / 8
        beyond = self._beyond if self._h.any() else 1.0
        if beyond > 0:
            secant = beyond / np.maximum(self._distance(), width)
            if problem.weights is not None:
                secant = (secant.reshape(n, -1) * problem.weights[problem.visits, None]).ravel()
            np.maximum(self._h, secant, out=self._h)

    def _distance(self):
        """How far each margin is from the nearest kink of its loss."""
        objective, y = self.problem.objective, self.problem.output_targets.ravel()
        if objective.loss in ("hinge", "perceptron"):
            return np.abs((objective.loss == "hinge") - y * self._z)
        return np.abs(np.abs(self._z - y) - (0.0 if objective.loss == "quantile" else objective.delta))

    def _search(self):
        """As for smooth losses; steps that had to be cut short want the kinks beyond them in the next Hessian."""
        foremost = np.argmin(self._dot(self._g, self._x))
        super()._search()
        if self._step[foremost] < 0.1:
            self._beyond = min(max(10 * self._beyond, 0.01), 1.0)
        else:
            self._beyond = 0.1 * self._beyond if self._beyond > 1e-4 else 0.0

    def _rest(self, path, rs):
        """Nothing depends on it: the gap tells how far the minimum is."""
        return 0.0

    def _known(self, found):
        """The rounded objective's decrement tells nothing of the kinks."""

    def _result(self):
        """The best parameters that are known."""
        return self._best[1]

    def _first_width(self):
        """So wide that at the start most rows are on a kink."""
        problem = self.problem
        if problem.objective.loss in ("hinge", "perceptron"):
            return 4.0
        weights = None if problem.weights is None else problem.weights[problem.visits]
        return 4.0 * float(np.average(np.abs(problem.targets - self._constant), axis=0, weights=weights).mean()) or 1.0

    def _bound(self, width):
        """(bound of what rounded losses' minimum leaves, objective) where we are; both enter what is known."""
        problem, objective = self.problem, self.problem.objective
        value, _ = self.losses()
        _, slopes = self.losses(width)
        weights = 1 if problem.weights is None else problem.weights[problem.visits, None]
        theta = self._at.to_user(self._v)
        value = float((weights * value).sum()) / self._weight
        value += objective.penalty(*unpack(theta, objective.outputs, problem.by_column))
        blur = np.finfo(float).eps * sqrt(float(np.mean(self._z**2 * (np.abs(self._distance()) <= width)))) / width
        distance = gap(problem, self._at, value, slopes, blur=blur)
        self._least = max(self._least, value - distance)
        if value <= self._best[0]:
            self._best = value, theta
        self._found = relative(self._best[0] - self._least, self._best[0], self._worst), "duality gap"
        return distance, value


class Certificate:
    """(estimate or bound of (F - F*) / (F0 - F*), its kind) of models that another method finds; None if nothing is known yet.

    The decrement of a smooth objective, in a few passes; with an L1 part the duality gap of the losses' slopes; for losses with
    kinks, whose slopes at a model tell little, the bound of the minimum that rounded losses find, a few passes a call.
    """

    def __init__(self, problem, tol):
        self._problem, self._tol, self._rounded = problem, tol, None  # `_rounded`: what `_least` goes on with
        self._kinked = problem.objective.loss in KINKED and problem.objective.l1 == 0
        self.nothing_to_gain = False  # known only where a bound of the minimum is: no model is better than the constant one

    def __call__(self, coef, intercept):
        problem, newton_ = self._problem, Newton(dense_metric=True)
        theta = pack(coef, intercept, problem.rows.dtype, problem.by_column)
        newton_.start(problem, theta, None)
        if problem.objective.l1 == 0 and not self._kinked:
            for _ in range(LOOK):
                newton_.epoch(None)
                if newton_.optimality() is not None:
                    break
            return newton_.optimality()
        value, g = newton_._gradient()
        if self._kinked:
            least = self._least(theta)
            if not np.isfinite(least):  # not yet
                return None
            distance, self.nothing_to_gain = value - least, newton_._worst - least <= rounding_of(least, newton_._worst)
        else:
            distance = gap(problem, newton_._at, value, newton_.losses()[1], g - newton_._at.l2 * newton_._v)
        return relative(distance, value, newton_._worst), "duality gap"

    def position(self):
        """What `resume` needs."""
        return self._rounded and self._rounded.position()

    def resume(self, position):
        """Know again what was known at `position`."""
        if position is not None and self._tol:
            self._rounded = Rounded(True, self._tol / 2)
            self._rounded.resume(self._problem, position)

    def _least(self, theta):
        """A bound of the minimum; each call makes it better, until it is good enough."""
        if self._rounded is None:
            self._rounded = Rounded(True, self._tol / 2)
            self._rounded.start(self._problem, theta, None)
        for _ in range(LOOK):
            known = self._rounded.optimality()
            if known is not None and known[0] <= self._tol / 2:
                break
            self._rounded.epoch(None)
        return self._rounded._least
