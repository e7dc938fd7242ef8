"""Implicit stochastic gradient descent in the metric, one epoch at a time."""
import numpy as np
from numpy.typing import NDArray

from .losses import Objective
from .rows import Rows

def epoch(
    rows: Rows,
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    order: NDArray[np.intp],
    v: NDArray[np.float64],
    average: NDArray[np.float64] | None,
    metric: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    rates: NDArray[np.float64],
    gains: NDArray[np.float64],
    objective: Objective,
    batch_size: int,
    t: float,
    memory: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None,
    tag: NDArray[np.float32] | NDArray[np.float64],
) -> float: ...
