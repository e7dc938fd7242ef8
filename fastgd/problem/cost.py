"""Wrappers of a user's cost function: flat parameters in, a number and a flat gradient out, or an
error.
"""

import warnings
from contextlib import nullcontext
from math import inf, isfinite
from numbers import Number
from time import perf_counter

import numpy as np
from scipy.optimize import OptimizeWarning

from fastgd.kernels.cost import blank_gradient, unwritten
from fastgd.problem.c_function import COST_POINTER, COST_SIGNATURE, Watch, c_function
from fastgd.problem.differences import Differences

# Machine epsilon of float64.
EPS = float(np.finfo(np.float64).eps)


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

    # The C function, of a `CompiledCost`.
    compiled = None

    def __init__(self, fun, jac, args, shape, dtype, bounds=(None, None), budget=None):
        self.fun = fun
        self.jac = jac
        self.args = args
        self.shape = shape
        self.dtype = dtype
        self.budget = budget or Budget(None, None)
        self.nfev = self.njev = 0
        # The relative precision of the costs.
        self.precision = EPS
        if jac is None:
            n = int(np.prod(shape))
            self._differences = Differences(self, n, bounds)
            warnings.warn(
                f"jac is None: finite differences call fun {n} times more for every "
                "gradient, which has about half of the digits. Pass the gradient as jac, or "
                "jac=True and a fun that returns both.",
                OptimizeWarning,
                stacklevel=3,
            )

    def __call__(self, x, *batch):
        """(cost, gradient) at flat x."""
        x = self._point(x, 1 if self.jac is not None else self._differences.count)
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
        x = self._point(x, 1)
        if self.jac is not True:
            return self._number(self.fun(x, *batch, *self.args))
        self.njev += 1
        return self._number(self._pair(self.fun(x, *batch, *self.args))[0])

    def watch(self):
        """A context in which the cost is called."""
        return nullcontext()

    @property
    def gradient_error(self):
        """The error of a gradient's component from the precision of the costs; 0 if unknown."""
        return self._differences.error if self.jac is None else 0.0

    def _point(self, x, evaluations):
        """A copy of x in the user's shape, for one of so many evaluations."""
        if self.budget.is_finite:
            self.budget.check(self.nfev, evaluations)
        self.nfev += 1
        return np.array(x, dtype=self.dtype).reshape(self.shape)

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


class CompiledCost(Cost):
    """A `Cost` from a C function of flat float64 parameters, whatever the shape of the user's."""

    def __init__(self, fun, size, budget=None):
        super().__init__(self._evaluate, True, (), (size,), np.dtype(np.float64), budget=budget)
        self.compiled = c_function(fun, "fun", COST_SIGNATURE)
        self.watched = Watch(fun)
        self._call = COST_POINTER(self.compiled.address)

    def _evaluate(self, x):
        gradient = np.empty(x.size)
        blank_gradient(gradient)
        value = self._call(x.ctypes.data, gradient.ctypes.data, x.size, self.compiled.data)
        self.watched.raise_error()
        if isfinite(value):
            self.check_written(unwritten(gradient))
        return value, gradient

    def watch(self):
        return self.watched

    def check_written(self, entry):
        """Raise an error if the function has not written all of the gradient."""
        if entry >= 0:
            raise ValueError(f"fun has not written entry {entry} of the gradient")
