"""Coordinate descent on a quadratic model with an L1 part."""

import numpy as np
from numpy.typing import NDArray

from .rows import Rows

def descend(
    H: NDArray[np.float64],
    w: NDArray[np.float64],
    g: NDArray[np.float64],
    l1: NDArray[np.float64],
    tolerance: float,
    sweeps: int,
    lower: NDArray[np.float64] | None = None,
) -> None: ...
def descend_rows(
    A: NDArray[np.float64],
    rows: NDArray[np.intp],
    w: NDArray[np.float64],
    g: NDArray[np.float64],
    penalty: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None],
    reduction: float,
    sweeps: int,
) -> None: ...
def descend_columns(
    transposed: Rows,
    columns: NDArray[np.intp],
    scale: NDArray[np.float64],
    h: NDArray[np.float64],
    w: NDArray[np.float64],
    g: NDArray[np.float64],
    penalty: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None],
    reduction: float,
    sweeps: int,
) -> None: ...
