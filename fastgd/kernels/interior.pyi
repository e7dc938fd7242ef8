"""A step of Mehrotra's predictor-corrector method for a piecewise linear loss."""

import numpy as np
from numpy.typing import NDArray

def step(
    A: NDArray[np.float64],
    shares: NDArray[np.float64],
    l2: NDArray[np.float64],
    low: NDArray[np.float64],
    places: NDArray[np.float64],
    iterate: NDArray[np.float64],
    v: NDArray[np.float64],
    z: NDArray[np.float64],
    gradient: NDArray[np.float64],
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
