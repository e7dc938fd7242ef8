"""Weighted sums over the columns of X, for their means and standard deviations, and copies of
columns.
"""

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
def take(
    term: DataTerm,
    columns: NDArray[np.intp],
    center: NDArray[np.float64],
    scale: NDArray[np.float64],
    factor: NDArray[np.float64],
    places: NDArray[np.intp],
    out: NDArray[np.float64],
) -> None: ...
