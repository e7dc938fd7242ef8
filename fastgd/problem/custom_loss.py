"""Custom losses: compiled ones, or Python functions that the kernels call with blocks of rows."""

import ctypes
from contextlib import contextmanager

import numpy as np

from fastgd.kernels import losses
from fastgd.problem.c_function import BLOCK_LOSS_SIGNATURE, LOSS_SIGNATURE, c_function, is_compiled

_Numbers = ctypes.POINTER(ctypes.c_double)
_Losses = ctypes.CFUNCTYPE(
    None, _Numbers, _Numbers, _Numbers, _Numbers, ctypes.c_ssize_t, ctypes.c_void_p
)


class CustomFunction:
    """The function that the kernels call; `error` is the first exception of a Python function,
    whose losses are then nan.
    """

    def __init__(self, loss):
        self._loss, self.error = loss, None
        if is_compiled(loss):
            compiled = c_function(loss, "loss", LOSS_SIGNATURE, BLOCK_LOSS_SIGNATURE)
            address, data = compiled.address, compiled.data
            takes_blocks = compiled.signature == BLOCK_LOSS_SIGNATURE
        else:
            self._callback = _Losses(self._evaluate)
            address = ctypes.cast(self._callback, ctypes.c_void_p).value
            data, takes_blocks = 0, True
        self.kernel = losses.CustomLoss(address, data, takes_blocks)

    def _evaluate(self, z, y, value, slope, n, data):
        z, y, value, slope = (
            np.ctypeslib.as_array(numbers, (n,)) for numbers in (z, y, value, slope)
        )
        value[:] = slope[:] = np.nan
        if self.error is None:
            try:
                value[:], slope[:] = self._checked(self._loss(z.copy(), y.copy()), n)
            except BaseException as error:
                # It cannot pass through the kernels.
                self.error = error

    @staticmethod
    def _checked(both, n):
        try:
            value, slope = (np.asarray(part, dtype=float) for part in both)
        except (TypeError, ValueError):
            raise ValueError(
                f"loss must return (values, slopes), got {type(both).__name__}"
            ) from None
        if value.shape != (n,) or slope.shape != (n,):
            raise ValueError(
                f"loss must return values and slopes of shape ({n},), got {value.shape} and "
                f"{slope.shape}"
            )
        return value, slope


@contextmanager
def custom_errors(function):
    """Raise the exception of a custom loss within the kernels, which only see nan."""
    try:
        yield
    except Exception as seen:
        if function and function.error:
            raise function.error from seen
        raise
    if function and function.error:
        raise function.error
