"""Coordinate descent on a quadratic model with an L1 part."""

import numpy as np
from numpy.typing import NDArray

def descend(
    H: NDArray[np.float64],
    w: NDArray[np.float64],
    g: NDArray[np.float64],
    l1: NDArray[np.float64],
    enough: float,
    sweeps: int,
    least: NDArray[np.float64] | None = None,
) -> None: ...
def descend_columns(
    values: NDArray[np.float32] | NDArray[np.float64],
    rows: NDArray[np.int32] | NDArray[np.int64],
    starts: NDArray[np.int32] | NDArray[np.int64],
    columns: NDArray[np.intp],
    scale: NDArray[np.float64],
    h: NDArray[np.float64],
    w: NDArray[np.float64],
    g: NDArray[np.float64],
    l1: NDArray[np.float64],
    l2: NDArray[np.float64],
    reduction: float,
    sweeps: int,
    least: NDArray[np.float64] | None = None,
) -> None: ...
