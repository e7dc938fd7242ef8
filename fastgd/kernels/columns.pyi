"""Weighted sums over the columns of X, for their means and standard deviations."""

import numpy as np
from numpy.typing import NDArray

from .data_term import DataTerm

def moments(
    term: DataTerm,
    factor: NDArray[np.float64],
    shift: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    largest: NDArray[np.float64],
) -> None: ...
