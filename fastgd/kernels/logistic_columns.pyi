"""The logistic losses of several models side by side, and their derivatives, weighted."""

import numpy as np
from numpy.typing import NDArray

def derivatives(
    y: NDArray[np.float64],
    z: NDArray[np.float64],
    weights: NDArray[np.float64],
    group: NDArray[np.intp],
    curvature: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def line(
    y: NDArray[np.float64],
    z: NDArray[np.float64],
    u: NDArray[np.float64],
    t: NDArray[np.float64],
    weights: NDArray[np.float64],
    group: NDArray[np.intp],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
