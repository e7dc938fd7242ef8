"""A run of descent on a cost function: what is asked of it, what it leaves behind, and the run of quasi-Newton lines."""
from dataclasses import field
from inspect import signature
from math import inf, isfinite
from time import perf_counter

import numpy as np
from scipy.optimize import OptimizeResult

from fastgd.kernels.quasi_newton import QuasiNewton, Status

from .cost import Cost
from .records import Record

CONVERGED, MAX_ITER, NO_DESCENT, UNDEFINED, DIVERGED, STALLED, STOPPED = 0, 1, 2, 3, 4, 5, 99
MESSAGES = {
    CONVERGED: "The gradient is small: max |gradient| <= tol * max(1, |fun|).",
    MAX_ITER: "The maximum number of iterations has been reached.",
    NO_DESCENT: "No step along the gradient lowers the cost any more: rounding errors, a kink, or a gradient that is not that of "
                "fun (see check_gradient).",
    UNDEFINED: "The cost or its gradient is not a number at a later point; x is the best point so far. Where the cost is not "
               "defined, return inf, and the steps keep away.",
    DIVERGED: "The cost has become infinite; x is the best point so far. A smaller learning_rate may help.",
    STALLED: "The cost stays on a plateau, and the learning rate has been reduced as far as it goes.",
    STOPPED: "`callback` raised `StopIteration`.",
}

SHARE = 0.05         # seconds of compiled iterations between two looks at Ctrl-C
MEMORY = 200_000     # numbers a vector of pairs may hold beyond ten pairs: what is kept saves evaluations


class StoppedError(Exception):
    """The callback has raised StopIteration."""


class NotFiniteError(ValueError):
    """The cost or its gradient is not finite where a run starts."""


class Task(Record):
    """What is to be minimised, f(x) + l1 |x|_1 over lower <= x <= upper (None: no bounds), from flat x0, and when to stop."""

    cost: Cost
    x0: np.ndarray
    shape: tuple
    lower: np.ndarray | None
    upper: np.ndarray | None
    l1: float
    tol: float
    max_iter: int
    callback: object
    record_path: bool
    patience: int
    noise: float
    random: np.random.Generator
    threads: int

    def is_small(self, norm, value):
        return self.tol > 0 and norm <= self.tol * max(1.0, abs(value))

    def feasible(self, x):
        """The nearest point within the bounds."""
        return x if self.lower is None else np.clip(x, self.lower, self.upper)

    def total(self, x, value):
        """The cost with its L1 part."""
        return value + (self.l1 * float(np.abs(x).sum(dtype=np.float64)) if self.l1 else 0.0)

    def slopes(self, x, gradient):
        """The least subgradient of f + l1 |x|_1, 0 where it pushes against a bound."""
        g = gradient
        if self.l1:
            g = np.where(x != 0, g + self.l1 * np.sign(x), np.sign(g) * np.maximum(np.abs(g) - self.l1, 0))
        if self.lower is not None:
            g = np.where(((g > 0) & (x <= self.lower)) | ((g < 0) & (x >= self.upper)), 0, g)
        return g


class Best(Record):
    """The best point so far; x None: the run's state has it; gradient None: to be evaluated."""

    x: np.ndarray | None
    value: float = inf
    gradient: np.ndarray | None = None


class Trace(Record):
    """The history, one entry an iterate, and whoever listens."""

    task: Task
    record: dict = field(default_factory=lambda: {"fun": [], "gradient_norm": [], "learning_rate": [], "nfev": [], "seconds": []})

    def __post_init__(self):
        self._began = perf_counter()
        callback = self.task.callback
        self._by_name = callback is not None and set(signature(callback).parameters) == {"intermediate_result"}
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
        """Call back, as SciPy does: with an OptimizeResult, if that is what the callback's parameter is called, else with x."""
        if self.task.callback is None:
            return
        x = np.array(x, dtype=self.task.x0.dtype).reshape(self.task.shape)
        try:
            if self._by_name:
                self.task.callback(intermediate_result=OptimizeResult(x=x, fun=value, nit=len(self.record["fun"]) - 1))
            else:
                self.task.callback(x)
        except StopIteration as stop:
            raise StoppedError from stop

    def finished(self):
        """The record with the path as one array."""
        if self.task.record_path:
            self.record["x"] = np.array(self.record["x"], dtype=self.task.x0.dtype).reshape(-1, *self.task.shape)
        return self.record


def slices(most):
    """Numbers of iterations for calls of compiled code, as many as take about `SHARE` seconds."""
    size, done = 1, 0
    while done < most:
        size = min(size, most - done)
        began = perf_counter()
        yield size
        done += size
        if perf_counter() - began < SHARE / 2:
            size *= 2


class Run:
    """What the runs share. `go` returns a status; `best` is there at any time."""

    def __init__(self, task: Task):
        self.task, self.trace, self.nit = task, Trace(task), 0
        self.best, self.status = Best(task.x0), None
        self.first_batch = ()  # further arguments of the cost at x0

    @property
    def has_fallen(self):
        """Whether the cost is anywhere below that of the start, or there was no step."""
        costs = self.trace.record["fun"]
        return self.nit == 0 and self.status == MAX_ITER or (bool(costs) and self.best.value < costs[0])

    def best_x(self):
        return self.best.x

    def _check_start(self, value, gradient):
        if not isfinite(value) or not np.isfinite(gradient).all():
            part = f"the cost is {value}" if not isfinite(value) else "the gradient has entries that are not finite"
            raise NotFiniteError(f"fun is not finite at x0: {part}")


class LineSearches(Run):
    """L-BFGS with searched lines."""

    def __init__(self, task):
        super().__init__(task)
        n, single = len(task.x0), task.x0.dtype == np.float32 and task.cost.compiled is None
        memory = min(max(MEMORY // n, 10), 60)
        noise = 1000 * float(np.finfo(task.x0.dtype).eps)
        self._state = QuasiNewton(task.x0.astype(np.float64), task.lower, task.upper, task.l1, memory, noise, single)

    def go(self):
        value, gradient = self.task.cost(self._state.trial)
        self._check_start(value, gradient)
        self._state.tell(value, np.asarray(gradient, np.float64))
        return self._go_compiled() if self.task.cost.compiled else self._go()

    def _arrived(self, step):
        """Note the new iterate."""
        state = self._state
        self.best = Best(state.x, state.value, state.gradient)
        self.trace.note_x(state.x)
        self.trace.add(state.value, state.norm, step, self.task.cost.nfev)
        self.trace.tell(state.x, state.value)

    def _go(self):
        state, task, cost = self._state, self.task, self.task.cost
        searching = int(Status.SEARCHING)
        step = 0.0
        while True:
            self._arrived(step)
            if task.is_small(state.norm, state.value):
                return CONVERGED
            if self.nit == task.max_iter:
                return MAX_ITER
            status = state.propose()
            while status == searching:
                value, gradient = cost(state.trial)
                status = state.tell(value, np.asarray(gradient, np.float64))
            if status == Status.UNDEFINED:
                return UNDEFINED
            if status == Status.STUCK and task.tol > 0:
                return NO_DESCENT
            self.nit += 1
            step = state.step

    def _go_compiled(self):
        state, task, cost = self._state, self.task, self.task.cost
        self._arrived(0.0)
        for size in slices(task.max_iter) if task.callback is None else [1] * task.max_iter:
            if task.is_small(state.norm, state.value):
                return CONVERGED
            record, path = np.empty((size, 4)), np.empty((size, len(task.x0))) if task.record_path else None
            function = cost.compiled
            done, evaluations, status = state.run(function.address, function.data, task.tol, record, path)
            for i in range(done):
                value, norm, step, nfev = record[i].tolist()
                if path is not None:
                    self.trace.note_x(path[i])
                self.trace.add(value, norm, step, cost.nfev + int(nfev))
            cost.nfev, cost.njev, self.nit = cost.nfev + evaluations, cost.njev + evaluations, self.nit + done
            self.best = Best(state.x, state.value, state.gradient)
            if status == Status.UNDEFINED:
                return UNDEFINED
            if status == Status.STUCK and task.tol > 0:
                return CONVERGED if task.is_small(state.norm, state.value) else NO_DESCENT
            self.trace.tell(state.x, state.value)
        return CONVERGED if task.is_small(state.norm, state.value) else MAX_ITER
