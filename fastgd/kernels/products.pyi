"""Moments and products of the columns of X and y, and products of its rows."""

import numpy as np
from numpy.typing import NDArray

from .data_term import DataTerm

def column_products(
    term: DataTerm, shift: NDArray[np.float64], out: NDArray[np.float64]
) -> None: ...
def row_products(term: DataTerm, center: NDArray[np.float64], out: NDArray[np.float64]) -> None: ...
