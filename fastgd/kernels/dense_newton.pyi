"""Newton's method with the Hessian on little dense data of one output."""

import numpy as np
from numpy.typing import NDArray

def gradient(
    data: tuple[NDArray[np.float64], NDArray[np.float64], float, NDArray[np.float64]],
    loss_and_targets: tuple[int, float, NDArray[np.float64]],
    at_point: tuple[NDArray[np.float64], ...],
) -> float: ...
def step(
    A: NDArray[np.float64],
    h: NDArray[np.float64],
    total: float,
    l2: NDArray[np.float64],
    g: NDArray[np.float64],
    ridge: float,
    x: NDArray[np.float64],
    u: NDArray[np.float64],
) -> tuple[float, float]: ...
