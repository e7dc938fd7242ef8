"""Dual coordinate descent, one sweep over the rows at a time."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .data_term import DataTerm

_Floating = TypeVar("_Floating", np.float32, np.float64)

def sweep(
    term: DataTerm,
    order: NDArray[np.intp],
    of_rows: tuple[NDArray[np.float64], ...],
    theta: NDArray[_Floating],
    strength: float,
    bias: float,
    margin: float,
) -> tuple[float, int, float, float, float]: ...
def progress(
    theta: NDArray[_Floating],
    before: NDArray[_Floating],
    center: NDArray[np.float64],
    inverse: NDArray[np.float64],
    outputs: int,
    by_column: bool,
) -> tuple[float, float]: ...
