"""Sums over residuals for Huber's loss with a scale."""

import numpy as np
from numpy.typing import NDArray

def scale_sums(
    z: NDArray[np.float64],
    y: NDArray[np.float64] | None,
    u: NDArray[np.float64] | None,
    weights: NDArray[np.float64] | None,
    t: float,
    threshold: float,
    threads: int,
) -> tuple[float, float]: ...
def along(
    z: NDArray[np.float64],
    y: NDArray[np.float64] | None,
    u: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    t: float,
    threshold: float,
    threads: int,
) -> tuple[float, float]: ...
