"""Curvatures of the margins, and the objective along a line."""

import numpy as np
from numpy.typing import NDArray

from .losses import Objective

def along(
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    order: NDArray[np.intp],
    z: NDArray[np.float64],
    u: NDArray[np.float64],
    t: NDArray[np.float64],
    sums: NDArray[np.float64],
    objective: Objective,
    threads: int,
) -> None: ...
def curvatures(
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    order: NDArray[np.intp],
    z: NDArray[np.float64],
    out: NDArray[np.float64],
    objective: Objective,
) -> None: ...
