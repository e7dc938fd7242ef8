"""Curvatures of the margins, and the objective along a line."""

import numpy as np
from numpy.typing import NDArray

from .data_term import DataTerm

def along(
    term: DataTerm,
    z: NDArray[np.float64],
    u: NDArray[np.float64],
    t: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None: ...
def curvatures(term: DataTerm, z: NDArray[np.float64], out: NDArray[np.float64]) -> None: ...
