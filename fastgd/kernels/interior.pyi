"""A step of Mehrotra's predictor-corrector method for a piecewise linear loss."""

import numpy as np
from numpy.typing import NDArray

def step(
    data: tuple[NDArray[np.float64], ...],
    at_point: tuple[NDArray[np.float64], ...],
    product: float,
    ridge: float,
    share: float,
) -> tuple[float, float]: ...
def mean_loss(
    loss: int,
    delta: float,
    shares: NDArray[np.float64],
    z: NDArray[np.float64],
    y: NDArray[np.float64],
) -> float: ...
