"""A user's cost function as the minimisers want it: flat parameters in, one number and a flat gradient out, or an error."""
import warnings
from numbers import Number

import numpy as np
from scipy.optimize import OptimizeWarning
from scipy.optimize._numdiff import approx_derivative

from .compiled import COST, COST_POINTER, c_function


def _array(given):
    """An array of what is like one; a tensor of torch may belong to a graph."""
    return np.asarray(given.detach() if hasattr(given, "detach") else given)


class Cost:
    """fun and jac of parameters of any shape, called with flat ones; counts the calls.

    `jac` is a function, True (fun returns both) or None (finite differences within the bounds). Parameters are copied for every
    call, so that a user may keep them.
    """

    def __init__(self, fun, jac, args, shape, dtype, bounds):
        self.fun, self.jac, self.args, self.shape, self.dtype, self.bounds = fun, jac, args, shape, dtype, bounds
        self.nfev = self.njev = 0
        self.compiled = None
        if jac is None:
            n = int(np.prod(shape))
            warnings.warn(f"jac is None: finite differences call fun {n} times more for every gradient, which has about half of "
                          "the digits. Pass the gradient as jac, or jac=True and a fun that returns both.", OptimizeWarning,
                          stacklevel=3)

    def __call__(self, x, *batch):
        """(cost, gradient) at flat x."""
        x = np.array(x, dtype=self.dtype).reshape(self.shape)
        self.nfev += 1
        if self.jac is True:
            both = self.fun(x, *batch, *self.args)
            self.njev += 1
            try:
                value, gradient = both
            except (TypeError, ValueError):
                raise ValueError(f"with jac=True, fun must return (cost, gradient), got {type(both).__name__}") from None
            return self._number(value), self._vector(gradient, "the gradient that fun returns")
        value = self._number(self.fun(x, *batch, *self.args))
        if self.jac is None:
            return value, self._differences(x, value, batch)
        self.njev += 1
        return value, self._vector(self.jac(x, *batch, *self.args), "the gradient that jac returns")

    def value(self, x, *batch):
        """The cost alone."""
        x = x.astype(self.dtype).reshape(self.shape)
        self.nfev += 1
        value = self.fun(x, *batch, *self.args)
        if self.jac is True:
            self.njev += 1
            value = value[0]
        return self._number(value)

    def _differences(self, x, value, batch):
        if not np.isfinite(value):
            return np.zeros(x.size, self.dtype)

        def fun(flat):
            self.nfev += 1
            return self._number(self.fun(flat.reshape(self.shape), *batch, *self.args))

        bounds = (-np.inf, np.inf) if self.bounds is None else self.bounds
        gradient = approx_derivative(fun, x.ravel(), method="2-point", f0=value, bounds=bounds)
        return np.ascontiguousarray(gradient, self.dtype)

    def _number(self, value):
        if type(value) is float:
            return value
        if not isinstance(value, Number):
            array = _array(value)
            if array.size != 1:
                raise ValueError(f"fun must return one number, got an array of shape {array.shape}")
            value = array.item()
        if isinstance(value, complex) or not isinstance(value, Number):
            raise TypeError(f"fun must return a real number, got {value!r}")
        return float(value)

    def _vector(self, gradient, what):
        array = _array(gradient)
        if array.shape != self.shape:
            raise ValueError(f"{what} has shape {array.shape}, but the parameters have {self.shape}")
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{what} must hold real numbers, got {array.dtype}")
        return np.ascontiguousarray(array, self.dtype).reshape(-1)


class CompiledCost(Cost):
    """The same for a C function, which sees flat float64 parameters whatever their shape."""

    def __init__(self, fun, shape):
        self.compiled = c_function(fun, "fun", COST)
        self.shape, self.dtype, self.nfev, self.njev = shape, np.dtype(np.float64), 0, 0
        self._call = COST_POINTER(self.compiled.address)

    def __call__(self, x):
        x, gradient = np.array(x, dtype=np.float64), np.empty(x.size)
        self.nfev += 1
        self.njev += 1
        return self._call(x.ctypes.data, gradient.ctypes.data, x.size, self.compiled.data), gradient

    def value(self, x):
        return self(x)[0]
