"""Wrappers of a user's cost function: flat parameters in, a number and a flat gradient out, or an
error.
"""

import warnings
from contextlib import nullcontext
from math import factorial, inf, isfinite, sqrt
from numbers import Number
from time import perf_counter

import numpy as np
from scipy.optimize import OptimizeWarning

from fastgd.kernels.quasi_newton import blank_gradient, unwritten
from fastgd.problem.c_function import COST_POINTER, COST_SIGNATURE, Watch, c_function

# Machine epsilon of float64.
EPS = float(np.finfo(np.float64).eps)

# Accept a forward difference if the cost changes by at least this multiple of its rounding error:
# the derivative is then accurate to about 0.2 %.
FORWARD_DIFFERENCE_SIGNAL = 1e3
# Accept a central difference if the cost changes by at least this multiple of its rounding error:
# the derivative is then accurate to about 2 %.
CENTRAL_DIFFERENCE_SIGNAL = 100
# Otherwise repeat it with a step that is longer by this factor.
STEP_GROWTH = 30
# Spacings, relative to the parameters, at which the noise of the cost is measured: the next one is
# used where fewer than half of the differences are nonzero.
NOISE_SPACINGS = 1e-12, 1e-9, 1e-6
# Points at each spacing: six differences, as in the paper of Moré and Wild.
NOISE_POINTS = 7


class OutOfEvaluationsError(Exception):
    """`max_fun` evaluations have been made."""


class OutOfTimeError(Exception):
    """`max_seconds` have passed."""


def _array(given):
    """An array from an array-like, or from a torch tensor that may belong to a graph."""
    return np.asarray(given.detach() if hasattr(given, "detach") else given)


def _core(shape):
    """A shape without its axes of length 1."""
    return tuple(length for length in shape if length != 1)


class Budget:
    """The numbers of evaluations and seconds that all runs may take together; the first evaluation
    is free.
    """

    def __init__(self, max_fun, max_seconds):
        self.max_fun = inf if max_fun is None else max_fun
        self.deadline = inf if max_seconds is None else perf_counter() + max_seconds
        self.is_finite = max_fun is not None or max_seconds is not None

    def check(self, done, needed):
        """Raise an error if `needed` evaluations after `done` are too many, or the time is over."""
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
        # The relative precision of the costs.
        self.precision = EPS
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
        """The error of a gradient's component from the precision of the costs; 0 if unknown."""
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
    computational noise", SIAM J. Sci. Comput. 2011). If a forward difference is not well above the
    rounding error, the parameter switches to central differences with a longer step. Parameters
    whose bounds are equal have the gradient 0.
    """

    def __init__(self, cost, n):
        self.cost, self.error = cost, 0.0
        self.lower, self.upper = (
            np.full((2, n), [[-inf], [inf]]) if cost.bounds is None else cost.bounds
        )
        self.free = np.flatnonzero(self.lower < self.upper)
        self.count = 1 + len(self.free)
        # |x_j|, or its last value if x_j is 0.
        self.sizes = np.ones(n)
        # The parameters that need central differences.
        self.central = np.zeros(n, dtype=bool)
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

    def _shifted(self, x, j, step):
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
            ahead = self._shifted(x, j, step)
            taken = ahead[j] - x[j]
            after = self._at(ahead, batch)
            if (
                taken
                and isfinite(after)
                and abs(after - value) >= FORWARD_DIFFERENCE_SIGNAL * rounding
            ):
                self.error = max(self.error, 2 * rounding / abs(taken))
                return (after - value) / taken
            self.central[j] = True
        step = np.cbrt(precision) * size
        while True:
            slope, rise, width = self._central(x, value, batch, j, step)
            # A difference of mere rounding errors needs a longer step; the size of a parameter near
            # 0 may not be known yet, so a step of up to 1 is tried.
            if rise >= CENTRAL_DIFFERENCE_SIGNAL * rounding or STEP_GROWTH * step > max(1.0, size):
                break
            step *= STEP_GROWTH
        self.error = max(self.error, 2 * rounding / width if width else 0.0)
        return slope

    def _central(self, x, value, batch, j, step):
        """(slope, larger of the two changes of the cost, width of the difference); one-sided at the
        edge of the domain.
        """
        ends = [
            (moved[j], self._at(moved, batch)) if moved[j] != x[j] else (x[j], value)
            for moved in (self._shifted(x, j, -step), self._shifted(x, j, step))
        ]
        (low, before), (high, after) = [
            (place, cost) if isfinite(cost) else (x[j], value) for place, cost in ends
        ]
        if high == low:
            return 0.0, inf, 0.0
        back, ahead = x[j] - low, high - x[j]
        # Exact for parabolas, also if a bound has shortened one side.
        if back and ahead:
            slope = (back / ahead * (after - value) + ahead / back * (value - before)) / (
                back + ahead
            )
        else:
            slope = (after - before) / (high - low)
        return slope, max(abs(after - value), abs(value - before)), high - low

    def _noise(self, x, value, batch):
        """The relative noise of the cost near x; 0 if none is found."""
        inward = np.where(x - self.lower > self.upper - x, -1.0, 1.0) * (self.lower < self.upper)
        for spacing in NOISE_SPACINGS:
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
            # The points are too close to one another.
            if np.count_nonzero(np.diff(differences)) < NOISE_POINTS // 2:
                continue
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
            # The lower differences contain the trend of the cost.
            level = min(levels[2:])
            return min(level / abs(value), 1e-2) if value else 0.0
        return 0.0


class CompiledCost(Cost):
    """A `Cost` from a C function of flat float64 parameters, whatever their shape."""

    def __init__(self, fun, shape, budget=None):
        self.compiled = c_function(fun, "fun", COST_SIGNATURE)
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
        """Raise an error if the function has not written all of the gradient."""
        if entry >= 0:
            raise ValueError(f"fun has not written entry {entry} of the gradient")
