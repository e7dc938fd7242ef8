"""The minimisation of a cost function: the task, the statuses of its runs, and their history.

`minimize` has its own loop instead of that of `loop.py`. Its iteration is an evaluation of a cost
that may take microseconds, or is compiled and leaves no Python between iterations; an epoch of
`Training` takes as long as some ten of them. Its statuses, callbacks and history are SciPy's.
"""

from inspect import signature
from math import inf
from time import perf_counter

import numpy as np
from scipy.optimize import OptimizeResult

from fastgd.problem.cost import EPS, Cost
from fastgd.problem.records import Record

# The statuses of a run.
CONVERGED, MAX_ITER, NO_DESCENT, UNDEFINED, DIVERGED, STALLED, MAX_FUN, MAX_SECONDS = range(8)
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


class StoppedError(Exception):
    """The callback has raised StopIteration."""


class Goal(Record):
    """What a run has to reach, as in the kernels: a gradient of at most `tol`, relative to the cost
    unless `absolute`, or a relative fall of the cost of at most `ftol`.
    """

    tol: float
    ftol: float
    absolute: bool

    @property
    def ends(self):
        """Whether a run has a stopping criterion besides its limits."""
        return self.tol > 0 or self.ftol > 0

    def is_small(self, norm, value, before=inf):
        """Whether the gradient, or the fall of the cost from `before`, is small."""
        size = max(1.0, abs(value))
        return (
            0 < self.tol >= norm / (1.0 if self.absolute else size)
            or 0 < self.ftol >= abs(before - value) / size
        )


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
    goal: Goal
    max_iter: int
    callback: object
    record_path: bool
    patience: int
    noise: float
    random: np.random.Generator
    threads: int

    @property
    def is_watched(self):
        """Whether the user wants to see every iterate."""
        return self.record_path or self.callback is not None

    @property
    def precision(self):
        """The relative error of a cost."""
        is_compiled = self.cost.compiled is not None
        return max(self.cost.precision, EPS if is_compiled else float(np.finfo(self.x0.dtype).eps))

    def shaped(self, x):
        """A copy of flat parameters in the user's shape and precision."""
        return np.array(x, dtype=self.x0.dtype).reshape(self.shape)

    def feasible(self, x):
        """The nearest point within the bounds."""
        return x if self.lower is None else np.clip(x, self.lower, self.upper)

    def moved(self, x, step):
        """x + step, which stops at the bounds and, with L1, where a parameter becomes 0."""
        trial = self.feasible(x + step)
        return np.where(trial * x < 0, 0, trial) if self.l1 else trial

    def total(self, x, value):
        """The cost with its L1 part."""
        return value + (self.l1 * float(np.abs(x).sum(dtype=np.float64)) if self.l1 else 0.0)

    def slopes(self, x, gradient):
        """The minimum-norm subgradient of f + l1 |x|_1, 0 where it pushes against a bound."""
        g = gradient
        if self.l1:
            at_zero = np.sign(g) * np.maximum(np.abs(g) - self.l1, 0)
            g = np.where(x != 0, g + self.l1 * np.sign(x), at_zero)
        if self.lower is not None:
            g = np.where(((g > 0) & (x <= self.lower)) | ((g < 0) & (x >= self.upper)), 0, g)
        return g


class Best(Record):
    """The best point so far; x is None if the run's kernel has it, gradient if not evaluated."""

    x: np.ndarray | None
    value: float = inf
    gradient: np.ndarray | None = None


class Trace:
    """The history, with one entry per iterate, and the callback."""

    def __init__(self, task: Task):
        self.task, self._began = task, perf_counter()
        names = "fun", "gradient_norm", "learning_rate", "nfev", "seconds"
        self.record = {name: [] for name in (*names, *(["x"] if task.record_path else []))}
        self._takes_result = task.callback is not None and _takes_result(task.callback)

    def __len__(self):
        return len(self.record["fun"])

    def add(self, value, norm, rate, nfev, x=None):
        """Add an iterate; x is needed if the task `is_watched`."""
        record = self.record
        record["fun"].append(value)
        record["gradient_norm"].append(norm)
        record["learning_rate"].append(rate)
        record["nfev"].append(nfev)
        record["seconds"].append(perf_counter() - self._began)
        if x is not None:
            self.note_x(x)
            self.tell(x, value)

    def note_x(self, x):
        """Add a point to the path."""
        if self.task.record_path:
            self.record["x"].append(self.task.shaped(x))

    def tell(self, x, value):
        """Call the callback as SciPy does: with an OptimizeResult if its parameter is called
        `intermediate_result`, else with x.
        """
        if self.task.callback is None:
            return
        x = self.task.shaped(x)
        try:
            if self._takes_result:
                result = OptimizeResult(x=x, fun=value, nit=len(self) - 1)
                self.task.callback(intermediate_result=result)
            else:
                self.task.callback(x)
        except StopIteration as stop:
            raise StoppedError from stop

    def finished(self):
        """The record with the path as one array."""
        if self.task.record_path:
            path = np.array(self.record["x"], dtype=self.task.x0.dtype)
            self.record["x"] = path.reshape(-1, *self.task.shape)
        return self.record


def _takes_result(callback):
    """Whether the only parameter is `intermediate_result`; compiled callbacks may not tell."""
    try:
        return set(signature(callback).parameters) == {"intermediate_result"}
    except ValueError:
        return False
