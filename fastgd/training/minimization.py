"""The minimisation of a cost function: the task, the best point, and the history.

`minimize` has its own loop instead of that of `loop.py`, since an iteration on a compiled cost
takes about a microsecond, without Python, and an epoch of `Training` at least five.
"""

from inspect import signature
from math import inf
from numbers import Real
from time import perf_counter

import numpy as np
from scipy.optimize import OptimizeResult

from fastgd.methods.optimizers import Optimizer
from fastgd.methods.schedules import Schedule
from fastgd.problem.cost import Cost
from fastgd.problem.records import Record
from fastgd.training.outcomes import StoppedError


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
        is_flat = 0 < self.tol >= norm / (1.0 if self.absolute else size)
        return is_flat or 0 < self.ftol >= abs(before - value) / size


class Task(Record):
    """The task of minimising f(x) + l1 |x|_1 over lower <= x <= upper from flat x0, and how:
    arguments of `minimize`, checked. `bounds` are (lower, upper), or (None, None).
    """

    cost: Cost
    x0: np.ndarray
    shape: tuple
    bounds: tuple
    goal: Goal
    max_iter: int
    l1: float
    noise: float
    random: np.random.Generator
    threads: int
    method: str | Optimizer
    learning_rate: Real | Schedule | None
    batches: object
    callback: object
    patience: int
    record_path: bool

    @property
    def is_watched(self):
        """Whether the user wants to see every iterate."""
        return self.record_path or self.callback is not None

    @property
    def precision(self):
        """The relative error of a cost."""
        dtype = self.x0.dtype if self.cost.compiled is None else np.float64
        return max(self.cost.precision, float(np.finfo(dtype).eps))

    def shaped(self, x):
        """A copy of flat parameters in the user's shape and precision."""
        return np.array(x, dtype=self.x0.dtype).reshape(self.shape)

    def feasible(self, x):
        """The nearest point within the bounds."""
        return x if self.bounds[0] is None else np.clip(x, *self.bounds)

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
        lower, upper = self.bounds
        if lower is not None:
            g = np.where(((g > 0) & (x <= lower)) | ((g < 0) & (x >= upper)), 0, g)
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
