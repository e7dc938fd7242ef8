"""Paths of L1-penalised least squares by coordinate descent."""

import numpy as np
from numpy.typing import NDArray

def descend_path(
    columns: tuple,
    y_products: NDArray[np.float64],
    squares: NDArray[np.float64],
    totals: tuple[float, float],
    penalties: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    settings: tuple[float, int, bool, int],
    start: NDArray[np.float64] | None,
    out: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]],
    stop: NDArray[np.int32],
) -> None: ...
