"""A user's cost function as the minimisers want it: flat parameters in, one number and a flat
gradient out, or an error.
"""

import warnings
from contextlib import nullcontext
from math import factorial, inf, isfinite, sqrt
from numbers import Number
from time import perf_counter

import numpy as np
from scipy.optimize import OptimizeWarning

from fastgd.kernels.quasi_newton import blank_gradient, unwritten
from fastgd.problem.c_function import COST, COST_POINTER, Watch, c_function

EPS = float(np.finfo(np.float64).eps)

# Differences of the cost are trusted to a gradient's sign and size if they are this many times its
# rounding error.
SIGNIFICANT = 1e3
# A central difference of fewer rounding errors than VISIBLE is made again with a step that is
# LONGER
VISIBLE, LONGER = 100, 30
# Spacings, relative to the parameters, at which the noise of the cost is looked for, and the points
# of each
SPACINGS, NOISE_POINTS = (1e-12, 1e-9, 1e-6), 7


class OutOfEvaluationsError(Exception):
    """`max_fun` evaluations have been made."""


class OutOfTimeError(Exception):
    """`max_seconds` have passed."""


def _array(given):
    """An array of what is like one; a tensor of torch may belong to a graph."""
    return np.asarray(given.detach() if hasattr(given, "detach") else given)


def _core(shape):
    """A shape without its axes of length 1."""
    return tuple(length for length in shape if length != 1)


class Budget:
    """How many evaluations and seconds the runs may take together; the first evaluation is free."""

    def __init__(self, max_fun, max_seconds):
        self.max_fun = inf if max_fun is None else max_fun
        self.deadline = inf if max_seconds is None else perf_counter() + max_seconds
        self.is_finite = max_fun is not None or max_seconds is not None

    def check(self, done, needed):
        """Raise where `needed` evaluations after `done` are too many, or the time is over."""
        if done and done + needed > self.max_fun:
            raise OutOfEvaluationsError
        if done and perf_counter() > self.deadline:
            raise OutOfTimeError


class Cost:
    """fun and jac of parameters of any shape, called with flat ones; counts the calls.

    `jac` is a function, True (fun returns both) or None (finite differences within the bounds).
    Parameters are copied for every call, so that a user may keep them, and gradients too, so that a
    user may hand out one buffer for all.
    """

    def __init__(self, fun, jac, args, shape, dtype, bounds, budget=None):
        self.fun = fun
        self.jac = jac
        self.args = args
        self.shape = shape
        self.dtype = dtype
        self.bounds = bounds
        self.budget = budget or Budget(None, None)
        self.nfev = self.njev = 0
        self.compiled = None
        self.precision = EPS  # of the costs, relative
        if jac is None:
            n = int(np.prod(shape))
            warnings.warn(
                f"jac is None: finite differences call fun {n} times more for every gradient, "
                "which has about half of "
                "the digits. Pass the gradient as jac, or jac=True and a fun that returns both.",
                OptimizeWarning,
                stacklevel=3,
            )
            self._differences = Differences(self, n)

    def __call__(self, x, *batch):
        """(cost, gradient) at flat x."""
        if self.budget.is_finite:
            self.budget.check(self.nfev, 1 if self.jac is not None else self._differences.count)
        x = np.array(x, dtype=self.dtype).reshape(self.shape)
        self.nfev += 1
        if self.jac is True:
            value, gradient = self._pair(self.fun(x, *batch, *self.args))
            self.njev += 1
            return self._number(value), self._vector(gradient, "the gradient that fun returns")
        value = self._number(self.fun(x, *batch, *self.args))
        if self.jac is None:
            return value, self._differences(x.ravel().astype(np.float64), value, batch)
        self.njev += 1
        return value, self._vector(self.jac(x, *batch, *self.args), "the gradient that jac returns")

    def value(self, x, *batch):
        """The cost alone."""
        self.budget.check(self.nfev, 1)
        x = np.array(x, dtype=self.dtype).reshape(self.shape)
        self.nfev += 1
        if self.jac is True:
            self.njev += 1
            return self._number(self._pair(self.fun(x, *batch, *self.args))[0])
        return self._number(self.fun(x, *batch, *self.args))

    def watch(self):
        """A context in which the cost is called."""
        return nullcontext()

    @property
    def gradient_error(self):
        """What the precision of the costs leaves uncertain of a gradient's component; 0: not
        known.
        """
        return self._differences.error if self.jac is None else 0.0

    def _pair(self, both):
        try:
            value, gradient = both
        except (TypeError, ValueError):
            raise ValueError(
                f"with jac=True, fun must return (cost, gradient), got {type(both).__name__}"
            ) from None
        return value, gradient

    def _number(self, value):
        if isinstance(value, float):
            return float(value)
        if not isinstance(value, Number) or isinstance(value, np.floating):
            array = _array(value)
            if array.size != 1:
                raise ValueError(f"fun must return one number, got an array of shape {array.shape}")
            if array.dtype.kind == "f":
                self.precision = max(self.precision, float(np.finfo(array.dtype).eps))
            value = array.item()
        if isinstance(value, complex) or not isinstance(value, Number):
            raise TypeError(f"fun must return a real number, got {value!r}")
        return float(value)

    def _vector(self, gradient, what):
        array = _array(gradient)
        if array.shape != self.shape and _core(array.shape) != _core(self.shape):
            raise ValueError(
                f"{what} has shape {array.shape}, but the parameters have {self.shape}"
            )
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{what} must hold real numbers, got {array.dtype}")
        return array.astype(self.dtype, "C").reshape(-1)


class Differences:
    """Gradients of a `Cost` by finite differences, within its bounds and in its precision.

    The precision is estimated once, from differences of costs along a line (More, Wild, "Estimating
    computational noise", SIAM J. Sci. Comput. 2011). A forward difference that is not well above
    the rounding error is followed by a central one of a longer step, which the parameter keeps;
    parameters whose bounds are equal have the gradient 0.
    """

    def __init__(self, cost, n):
        self.cost, self.error = cost, 0.0
        self.lower, self.upper = (
            np.full((2, n), [[-inf], [inf]]) if cost.bounds is None else cost.bounds
        )
        self.free = np.flatnonzero(self.lower < self.upper)
        self.count = 1 + len(self.free)
        self.sizes = np.ones(n)  # |x_j|, or where that is 0 what it was before
        self.central = np.zeros(n, dtype=bool)  # the parameters that need central differences
        self._is_measured = False

    def __call__(self, x, value, batch):
        gradient = np.zeros(len(x), self.cost.dtype)
        if not isfinite(value):
            return gradient
        self.sizes = np.where(x != 0, np.abs(x), self.sizes)
        if not self._is_measured:
            self._is_measured = True
            self.cost.precision = max(
                self.cost.precision,
                float(np.finfo(self.cost.dtype).eps),
                self._noise(x, value, batch),
            )
        self.error = 0.0
        for j in self.free:
            gradient[j] = self._component(x, value, batch, j)
        return gradient

    def _at(self, x, batch):
        cost = self.cost
        cost.nfev += 1
        return cost._number(cost.fun(x.astype(cost.dtype).reshape(cost.shape), *batch, *cost.args))

    def _moved(self, x, j, step):
        moved = x.copy()
        moved[j] = min(max(x[j] + step, self.lower[j]), self.upper[j])
        moved[j] = float(self.cost.dtype.type(moved[j]))
        return moved

    def _component(self, x, value, batch, j):
        precision = self.cost.precision
        size = self.sizes[j]
        rounding = precision * abs(value)
        if not self.central[j]:
            step = sqrt(precision) * size
            if x[j] + step > self.upper[j]:
                step = -step
            ahead = self._moved(x, j, step)
            taken = ahead[j] - x[j]
            after = self._at(ahead, batch)
            if taken and isfinite(after) and abs(after - value) >= SIGNIFICANT * rounding:
                self.error = max(self.error, 2 * rounding / abs(taken))
                return (after - value) / taken
            self.central[j] = True
        step = np.cbrt(precision) * size
        while True:
            slope, rise, width = self._central(x, value, batch, j, step)
            # a difference of rounding errors alone calls for a longer step, and a small parameter
            # may have just begun
            if rise >= VISIBLE * rounding or LONGER * step > max(1.0, size):
                break
            step *= LONGER
        self.error = max(self.error, 2 * rounding / width if width else 0.0)
        return slope

    def _central(self, x, value, batch, j, step):
        """(slope, the larger of two changes of the cost, the width of the difference); one-sided at
        the domain's edge.
        """
        ends = [
            (moved[j], self._at(moved, batch)) if moved[j] != x[j] else (x[j], value)
            for moved in (self._moved(x, j, -step), self._moved(x, j, step))
        ]
        (low, before), (high, after) = [
            (place, cost) if isfinite(cost) else (x[j], value) for place, cost in ends
        ]
        if high == low:
            return 0.0, inf, 0.0
        back, ahead = x[j] - low, high - x[j]
        if back and ahead:  # exact for parabolas where a bound has cut one side short
            slope = (back / ahead * (after - value) + ahead / back * (value - before)) / (
                back + ahead
            )
        else:
            slope = (after - before) / (high - low)
        return slope, max(abs(after - value), abs(value - before)), high - low

    def _noise(self, x, value, batch):
        """The relative noise of the cost near x; 0 where none is seen."""
        inward = np.where(x - self.lower > self.upper - x, -1.0, 1.0) * (self.lower < self.upper)
        for spacing in SPACINGS:
            costs = [value]
            for i in range(1, NOISE_POINTS):
                costs.append(
                    self._at(
                        np.clip(x + i * spacing * inward * self.sizes, self.lower, self.upper),
                        batch,
                    )
                )
            if not np.isfinite(costs).all():
                return 0.0
            differences = np.array(costs)
            if np.count_nonzero(np.diff(differences)) < NOISE_POINTS // 2:
                continue  # too near to one another
            levels = []
            for order in range(1, NOISE_POINTS - 1):
                differences = np.diff(differences)
                levels.append(
                    sqrt(
                        factorial(order) ** 2
                        / factorial(2 * order)
                        * float(np.mean(differences**2))
                    )
                )
            level = min(levels[2:])  # the trend of the cost is in the lower differences
            return min(level / abs(value), 1e-2) if value else 0.0
        return 0.0


class CompiledCost(Cost):
    """The same for a C function, which sees flat float64 parameters whatever their shape."""

    def __init__(self, fun, shape, budget=None):
        self.compiled = c_function(fun, "fun", COST)
        self.shape, self.dtype, self.nfev, self.njev = shape, np.dtype(np.float64), 0, 0
        self.budget, self.precision, self.jac = budget or Budget(None, None), EPS, True
        self.watched = Watch(fun)
        self._call = COST_POINTER(self.compiled.address)

    def __call__(self, x):
        self.budget.check(self.nfev, 1)
        x, gradient = np.array(x, dtype=np.float64), np.empty(x.size)
        blank_gradient(gradient)
        self.nfev += 1
        self.njev += 1
        value = self._call(x.ctypes.data, gradient.ctypes.data, x.size, self.compiled.data)
        self.watched.raise_error()
        if isfinite(value):
            self.check_written(unwritten(gradient))
        return value, gradient

    def value(self, x):
        return self(x)[0]

    def watch(self):
        return self.watched

    def check_written(self, entry):
        """Refuse a gradient that the function has left incomplete."""
        if entry >= 0:
            raise ValueError(f"fun has not written entry {entry} of the gradient")
