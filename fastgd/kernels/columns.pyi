"""Weighted sums over the columns of X: what their means and spreads are made of."""

import numpy as np
from numpy.typing import NDArray

from .rows import Rows

def moments(
    rows: Rows,
    weights: NDArray[np.float64] | None,
    order: NDArray[np.intp],
    factor: NDArray[np.float64],
    shift: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    tag: NDArray[np.float32] | NDArray[np.float64],
) -> None: ...
