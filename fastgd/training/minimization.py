"""The minimisation of a cost function: tasks, results, and L-BFGS."""

from collections import deque
from dataclasses import field
from inspect import signature
from math import inf, isfinite, sqrt
from time import perf_counter

import numpy as np
from scipy.optimize import OptimizeResult

from fastgd.kernels.quasi_newton import QuasiNewton, Status
from fastgd.problem.cost import EPS, Cost
from fastgd.problem.records import Record

# The statuses of a run.
CONVERGED = 0
MAX_ITER = 1
NO_DESCENT = 2
UNDEFINED = 3
DIVERGED = 4
STALLED = 5
MAX_FUN = 6
MAX_SECONDS = 7
STOPPED = 99
# What the statuses mean, for the user.
MESSAGES = {
    CONVERGED: (
        "The gradient is small, max |gradient| <= tol * max(1, |fun|), and little is left to gain."
    ),
    MAX_ITER: "The maximum number of iterations has been reached.",
    NO_DESCENT: (
        "No step along the gradient lowers the cost any more: rounding errors, a kink, or a "
        "gradient that is not that of fun (see check_gradient)."
    ),
    UNDEFINED: (
        "The cost or its gradient is not a number at a later point; x is the best point so far. "
        "Where the cost is not defined, return inf, and the steps keep away."
    ),
    DIVERGED: (
        "The cost has become infinite; x is the best point so far. A smaller learning_rate may "
        "help."
    ),
    STALLED: (
        "The cost stays on a plateau, and the learning rate has been reduced as far as it goes."
    ),
    MAX_FUN: "The maximum number of evaluations has been reached; x is the best point so far.",
    MAX_SECONDS: "max_seconds have passed; x is the best point so far.",
    STOPPED: "`callback` raised `StopIteration`.",
}
# The message of a run that has converged up to rounding.
ROUNDING_MESSAGE = (
    "Rounding errors allow no further descent: what is left to gain, or the gradient, is 0 to its "
    "precision."
)
# The message of a run whose cost is minus infinity.
UNBOUNDED_MESSAGE = "The cost falls without end: it has become -inf."

# Seconds of compiled iterations between two checks for Ctrl-C: short for the user, and long beside
# the checks.
SECONDS_PER_SLICE = 0.05
# Pairs of vectors of `Progress`, at most; also the iterations between two verifications, at least.
MAX_PAIRS = 10
# A difference of costs of this many relative errors of a cost may be 0, as in the quasi-Newton
# kernel.
COST_ROUNDING = 4
# The verifying step changes a parameter by this share of its size, as in the quasi-Newton kernel.
PROBE_STEP = 1e-4
# The size of a parameter near 0 is this share of its movement, as in that kernel.
MIN_SIZE_SHARE = 1e-3
# A verified minimum has at most this share of the gain that is worth another step.
VERIFIED_SHARE = 0.01
# Pairs that `Progress` needs, if there are as many parameters.
MIN_PAIRS = 3
# A step of at most this share of a parameter is negligible: the square root of the precision of
# float64.
NEGLIGIBLE_STEP = 1.5e-8
# Units in the last place by which `_is_rounded` changes the parameters. The first change is about
# rounding error: the gradient changes by its own rounding error.
ROUNDING_ULPS = 64
# From this change to LONG_ULPS the change of the gradient grows in proportion where the cost is
# smooth, and does not at a kink.
SHORT_ULPS = 2**10
LONG_ULPS = 2**16
# Numbers that each vector of pairs may hold beyond ten pairs: more pairs save evaluations.
MEMORY_NUMBERS = 200_000


class StoppedError(Exception):
    """The callback has raised StopIteration."""


class NotFiniteError(ValueError):
    """The cost or its gradient is not finite where a run starts."""


class Task(Record):
    """The task of minimising f(x) + l1 |x|_1 over lower <= x <= upper (None: no bounds) from flat
    x0, and when to stop.
    """

    cost: Cost
    x0: np.ndarray
    shape: tuple
    lower: np.ndarray | None
    upper: np.ndarray | None
    l1: float
    tol: float
    ftol: float
    absolute: bool
    max_iter: int
    callback: object
    record_path: bool
    patience: int
    noise: float
    random: np.random.Generator
    threads: int

    @property
    def ends(self):
        """Whether a run has a stopping criterion besides its limits."""
        return self.tol > 0 or self.ftol > 0

    @property
    def share(self):
        """The share of a run's progress that is not worth another step; `share_of` in kernels."""
        return 0.01 * min(self.tol or self.ftol, 1e-4)

    def is_small(self, norm, value, before=inf):
        """Whether the gradient, or the fall of the cost from `before`, is small: `is_small` of the
        kernels.
        """
        size = max(1.0, abs(value))
        return (
            0 < self.tol >= norm / (1.0 if self.absolute else size)
            or 0 < self.ftol >= abs(before - value) / size
        )

    @property
    def precision(self):
        """The relative error of a cost."""
        return max(
            self.cost.precision,
            float(np.finfo(self.x0.dtype).eps) if self.cost.compiled is None else EPS,
        )

    def feasible(self, x):
        """The nearest point within the bounds."""
        return x if self.lower is None else np.clip(x, self.lower, self.upper)

    def total(self, x, value):
        """The cost with its L1 part."""
        return value + (self.l1 * float(np.abs(x).sum(dtype=np.float64)) if self.l1 else 0.0)

    def slopes(self, x, gradient):
        """The minimum-norm subgradient of f + l1 |x|_1, 0 where it pushes against a bound."""
        g = gradient
        if self.l1:
            g = np.where(
                x != 0, g + self.l1 * np.sign(x), np.sign(g) * np.maximum(np.abs(g) - self.l1, 0)
            )
        if self.lower is not None:
            g = np.where(((g > 0) & (x <= self.lower)) | ((g < 0) & (x >= self.upper)), 0, g)
        return g


class Best(Record):
    """The best point so far; x is None if the run's state has it, gradient if not evaluated."""

    x: np.ndarray | None
    value: float = inf
    gradient: np.ndarray | None = None


def _parameters(callback):
    """The names of a callback's parameters; none if a compiled callback does not provide them."""
    try:
        return set(signature(callback).parameters)
    except ValueError:
        return set()


class Trace(Record):
    """The history, with one entry per iterate, and the callback."""

    task: Task
    record: dict = field(
        default_factory=lambda: {
            "fun": [],
            "gradient_norm": [],
            "learning_rate": [],
            "nfev": [],
            "seconds": [],
        }
    )

    def __post_init__(self):
        self._began = perf_counter()
        callback = self.task.callback
        self._by_name = callback is not None and _parameters(callback) == {"intermediate_result"}
        if self.task.record_path:
            self.record["x"] = []

    def note_x(self, x):
        if self.task.record_path:
            self.record["x"].append(np.array(x, dtype=self.task.x0.dtype).reshape(self.task.shape))

    def add(self, value, norm, rate, nfev):
        record = self.record
        record["fun"].append(value)
        record["gradient_norm"].append(norm)
        record["learning_rate"].append(rate)
        record["nfev"].append(nfev)
        record["seconds"].append(perf_counter() - self._began)

    def tell(self, x, value):
        """Call the callback as SciPy does: with an OptimizeResult if its parameter is called
        `intermediate_result`, else with x.
        """
        if self.task.callback is None:
            return
        x = np.array(x, dtype=self.task.x0.dtype).reshape(self.task.shape)
        try:
            if self._by_name:
                self.task.callback(
                    intermediate_result=OptimizeResult(
                        x=x, fun=value, nit=len(self.record["fun"]) - 1
                    )
                )
            else:
                self.task.callback(x)
        except StopIteration as stop:
            raise StoppedError from stop

    def finished(self):
        """The record with the path as one array."""
        if self.task.record_path:
            self.record["x"] = np.array(self.record["x"], dtype=self.task.x0.dtype).reshape(
                -1, *self.task.shape
            )
        return self.record


def slices(most):
    """The numbers of iterations for calls of compiled code of about `SECONDS_PER_SLICE`."""
    size, done = 1, 0
    while done < most:
        size = min(size, most - done)
        began = perf_counter()
        yield size
        done += size
        if perf_counter() - began < SECONDS_PER_SLICE / 2:
            size *= 2


class Progress:
    """A test whether the iterates of an update rule have reached a minimum: `may_be_minimum` of the
    quasi-Newton kernel. The curvature is that of the last iterates with small gradients.
    """

    def __init__(self, task: Task):
        self._task, self._anchors = task, [(0, task.x0), (0, task.x0)]
        self._points = deque(maxlen=MAX_PAIRS + 1)
        self._missed = self._next_check = 0
        # The last point that was evaluated to verify a minimum.
        self.trial = Best(task.x0)
        self.decrement = inf

    @property
    def next_anchor(self):
        """The iteration whose iterate is to be passed to `set_anchor`."""
        return max(1, 2 * self._anchors[1][0])

    def set_anchor(self, iteration, x):
        self._anchors = [self._anchors[1], (iteration, x.copy())]

    @property
    def is_watching(self):
        """Whether a recent gradient was small."""
        return bool(self._points)

    def pass_by(self, x, gradient):
        """Add an iterate whose gradient is not small."""
        if self.is_watching:
            self._add(x, gradient)
            self._missed += 1
            if self._missed > MAX_PAIRS:
                self._points.clear()

    def _add(self, x, gradient):
        if not self._points or (x != self._points[-1][0]).any():
            self._points.append((x.astype(np.float64), gradient.astype(np.float64)))

    def is_minimum(self, x, gradient, costs, verifies=True):
        """Add an iterate whose gradient is small, the last one in the list of costs; return whether
        it is a minimum.

        With `verifies` one more evaluation has to confirm a minimum.
        """
        task = self._task
        slopes = task.slopes(x, gradient).astype(np.float64)
        if not slopes.any():
            return True
        self._add(x, gradient)
        self._missed = 0
        self.decrement, direction = inf, self._direction(slopes)
        if direction is None:
            return False
        value, self.decrement, done = costs[-1], -float(slopes @ direction), len(costs) - 1
        digits = COST_ROUNDING * task.precision * abs(value)
        iteration, anchor = self._anchors[0]
        enough, moved = task.share * (costs[iteration] - value), np.abs(x - anchor)
        if self.decrement > digits or done < 3 or abs(costs[-4] - value) > digits:
            negligible = np.maximum(sqrt(task.share) * moved, NEGLIGIBLE_STEP * np.abs(x))
            lately = abs(costs[max(done - 2, 0)] - value)
            if not 0 <= max(self.decrement, lately) <= enough:
                return False
            if (np.abs(direction) > negligible).any():
                return False
        if not verifies:
            return True
        if done < self._next_check:
            return False
        self._next_check = done + max(MAX_PAIRS, done // 4)
        gain, self.trial = scaled_gain(
            task, x.astype(np.float64), slopes, np.maximum(np.abs(x), MIN_SIZE_SHARE * moved)
        )
        return gain <= max(VERIFIED_SHARE * enough, digits)

    def _direction(self, slopes):
        """The direction of L-BFGS at the newest point; None if there are too few pairs."""
        points, free = self._points, slopes != 0
        pairs = []
        for (x, g), (later, h) in zip(points, list(points)[1:], strict=False):
            s, y = (later - x) * free, (h - g) * free
            sy = float(s @ y)
            pairs.append((s, y, sy) if sy > EPS * sqrt(float(s @ s)) * sqrt(float(y @ y)) else None)
        if not pairs or pairs[-1] is None or len(pairs) < min(MIN_PAIRS, np.count_nonzero(free)):
            return None
        pairs, shares, d = [pair for pair in pairs if pair], [], -slopes
        for s, y, sy in reversed(pairs):
            shares.append(float(s @ d) / sy)
            d -= shares[-1] * y
        s, _, sy = pairs[-1]
        # The smallest curvature that the last step allows: unknown directions count as flat.
        d *= float(s @ s) / sy
        for (s, y, sy), share in zip(pairs, reversed(shares), strict=True):
            d += (share - float(y @ d) / sy) * s
        return d


def scaled_gain(task, x, slopes, sizes, batch=()):
    """(gain of the best step along the negative slopes, in parameters scaled by their sizes; the
    trial `Best` that it is computed from).

    See `verify` of the quasi-Newton kernel.
    """
    longest = float((sizes * np.abs(slopes)).max())
    if slopes[sizes == 0].any():
        return inf, Best(x)
    step = PROBE_STEP / longest if longest > 0 else 0.0
    while step > 0:
        trial = task.feasible(x - step * sizes**2 * slopes)
        # With L1 no parameter crosses zero.
        if task.l1:
            trial = np.where(trial * x < 0, 0, trial)
        trial = trial.astype(task.x0.dtype)
        moved = trial - x
        if not moved.any():
            break
        value, gradient = task.cost(trial, *batch)
        if isfinite(value) and np.isfinite(gradient).all():
            before = float(slopes @ moved)
            rise = float((gradient + task.l1 * np.sign(trial)) @ moved) - before
            return 0.5 * before**2 / rise if rise > 0 else inf, Best(
                trial, task.total(trial, value), gradient
            )
        step /= 10
    return 0.0, Best(x)


class Run:
    """Base class of runs. `go` returns a status; `best` is valid at any time; `message` overrides
    that of the status.
    """

    def __init__(self, task: Task):
        self.task, self.trace, self.nit = task, Trace(task), 0
        self.best, self.status, self.message = Best(task.x0), None, None
        # Points that were evaluated to test the best one.
        self._probes = []
        # Further arguments of the cost at x0.
        self.first_batch = ()

    @property
    def has_fallen(self):
        """Whether an iterate's cost is below that of the start, or there was no step."""
        costs = self.trace.record["fun"]
        return self.nit == 0 and self.status == MAX_ITER or (bool(costs) and min(costs) < costs[0])

    def best_x(self):
        return self.best.x

    def _check_start(self, value, gradient):
        if not isfinite(value) or not np.isfinite(gradient).all():
            part = (
                f"the cost is {value}"
                if not isfinite(value)
                else "the gradient has entries that are not finite"
            )
            raise NotFiniteError(f"fun is not finite at x0: {part}")

    def _falls_without_end(self):
        """The status of a run whose cost is minus infinity."""
        self.message = UNBOUNDED_MESSAGE
        return DIVERGED

    def _ends_at_rounding(self, status, decrement):
        """`status`, that of a run without further descent, or CONVERGED if rounding errors are the
        reason.
        """
        best = self.best
        if self.task.ends and self._is_rounded(self.best_x(), best.value, best.gradient, decrement):
            self.message = ROUNDING_MESSAGE
            return CONVERGED
        return status

    def take_probes(self):
        """Replace the best point by one that was evaluated to test it, if its cost is lower."""
        lowest = min(self._probes, key=lambda probe: probe.value, default=self.best)
        if lowest.value < self.best.value:
            self.best = lowest

    def _is_rounded(self, x, value, gradient, decrement):
        """Whether the (sub)gradient at the best point is 0 to its precision.

        This is so if rounding of x changes it by its own size, in scaled parameters, or if the
        possible gain is within the rounding error of the costs.
        """
        task, cost = self.task, self.task.cost
        if gradient is None:
            gradient = cost(x, *self.first_batch)[1]
        x, gradient = x.astype(np.float64), gradient.astype(np.float64)
        slopes = task.slopes(x, gradient)
        sizes = np.abs(x)
        digits = COST_ROUNDING * task.precision * abs(value)
        norm = float(np.abs(slopes).max())
        if cost.gradient_error and norm <= 4 * cost.gradient_error:
            return True
        no_gain = decrement <= digits or (decrement == inf and task.is_small(norm, value))
        if no_gain:
            gain, probe = scaled_gain(task, x, slopes, sizes, self.first_batch)
            self._probes.append(probe)
            if gain <= digits:
                return True
        if cost.gradient_error:
            return False
        free, eps = slopes != 0, float(np.finfo(task.x0.dtype).eps)
        away = eps * sizes * np.random.default_rng(0).uniform(-1, 1, len(x))

        def change(ulps):
            probe = task.feasible(x + ulps * away).astype(task.x0.dtype)
            after, there = cost(probe, *self.first_batch)
            if isfinite(after) and np.isfinite(there).all():
                self._probes.append(Best(probe, task.total(probe, after), there))
            return np.abs(there - gradient) * free if isfinite(after) else np.full(len(x), np.nan)

        rounding = change(ROUNDING_ULPS)
        if (
            not (np.abs(slopes) * sizes).max() <= (rounding * sizes).max()
            or (np.abs(slopes) > rounding)[sizes == 0].any()
        ):
            return False
        return change(LONG_ULPS).max() >= 8 * change(SHORT_ULPS).max()


class LineSearches(Run):
    """L-BFGS with line searches."""

    def __init__(self, task):
        self._state = None
        super().__init__(task)

    @property
    def best(self):
        """The point of the lowest cost so far."""
        if self._state is None or self._best_outside.value < self._state.best[1]:
            return self._best_outside
        return Best(*self._state.best)

    @best.setter
    def best(self, point):
        # The start before its evaluation, or a point outside of the line searches.
        self._best_outside = point

    def go(self):
        task, cost = self.task, self.task.cost
        value, gradient = cost(task.x0)
        self._check_start(value, gradient)
        n, single = len(task.x0), task.x0.dtype == np.float32 and cost.compiled is None
        memory = min(max(MEMORY_NUMBERS // n, 10), 60)
        self._state = QuasiNewton(
            task.x0.astype(np.float64),
            task.lower,
            task.upper,
            task.l1,
            memory,
            1000 * task.precision,
            single,
        )
        self._state.set_goal(task.tol, task.ftol, task.absolute)
        self._state.tell(value, np.asarray(gradient, np.float64))
        return self._go_compiled() if cost.compiled else self._go()

    def _arrived(self, step):
        """Record the new iterate."""
        state = self._state
        self.trace.note_x(state.x)
        self.trace.add(state.value, state.norm, step, self.task.cost.nfev)
        self.trace.tell(state.x, state.value)

    def _ended(self, status):
        """The status of a run after a line search without descent, or at a minimum."""
        if status == Status.CONVERGED:
            self.trace.record["nfev"][-1] = self.task.cost.nfev
            return CONVERGED
        if status == Status.UNBOUNDED:
            return self._falls_without_end()
        return self._ends_at_rounding(
            UNDEFINED if status == Status.UNDEFINED else NO_DESCENT, self._state.decrement
        )

    def _go(self):
        state, task, cost = self._state, self.task, self.task.cost
        searching = int(Status.SEARCHING)
        step = 0.0
        while True:
            self._arrived(step)
            status = state.propose()
            if self.nit == task.max_iter and status != Status.CONVERGED:
                return MAX_ITER
            while status == searching:
                value, gradient = cost(state.trial)
                status = state.tell(value, np.asarray(gradient, np.float64))
            if status != Status.MOVED and not (status == Status.STUCK and not task.ends):
                return self._ended(status)
            self.nit += 1
            step = state.step

    def _go_compiled(self):
        state, task, cost = self._state, self.task, self.task.cost
        function, failed = cost.compiled, cost.watched.failed
        self._arrived(0.0)
        for size in slices(task.max_iter) if task.callback is None else [1] * task.max_iter:
            cost.budget.check(cost.nfev, 1)
            record = np.empty((size, 4))
            path = np.empty((size, len(task.x0))) if task.record_path else None
            most = int(min(cost.budget.max_fun - cost.nfev, np.iinfo(np.intp).max))
            done, evaluations, status = state.run(
                function.address, function.data, failed, most, record, path
            )
            for i in range(done):
                value, norm, step, nfev = record[i].tolist()
                if path is not None:
                    self.trace.note_x(path[i])
                self.trace.add(value, norm, step, cost.nfev + int(nfev))
            cost.nfev = cost.nfev + evaluations
            cost.njev = cost.njev + evaluations
            self.nit = self.nit + done
            if status == Status.FAILED:
                cost.watched.raise_error()
            if status == Status.UNWRITTEN:
                cost.check_written(state.unwritten)
            if status == Status.SEARCHING:
                cost.budget.check(cost.nfev, 1)
            if done < size:
                return self._ended(status)
            self.trace.tell(state.x, state.value)
        return self._ended(Status.CONVERGED) if state.propose() == Status.CONVERGED else MAX_ITER
