"""Products X' diag(h) Y of standardised columns."""

import numpy as np
from numpy.typing import NDArray

from .data_term import DataTerm

def products(
    term: DataTerm,
    h: NDArray[np.float64],
    columns: NDArray[np.intp] | None,
    place: NDArray[np.intp] | None,
    last: int,
    metric: tuple[NDArray[np.float64], NDArray[np.float64]],
    intercept: bool,
    out: NDArray[np.float64],
) -> None: ...
