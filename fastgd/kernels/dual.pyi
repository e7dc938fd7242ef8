"""Dual coordinate descent, one sweep over the rows at a time."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .losses import Objective
from .rows import Rows

_Floating = TypeVar("_Floating", np.float32, np.float64)

def sweep(
    rows: Rows,
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    order: NDArray[np.intp],
    length: NDArray[np.float64],
    theta: NDArray[_Floating],
    z: NDArray[np.float64],
    slope: NDArray[np.float64],
    objective: Objective,
    strength: float,
    bias: float,
    rest: float,
) -> tuple[float, int]: ...
