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
) -> None: ...
