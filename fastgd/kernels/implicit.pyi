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
    metric: tuple[
        NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
    ],
    rates: NDArray[np.float64],
    gains: NDArray[np.float64],
    objective: Objective,
    batch_size: int,
    t: float,
    memory: tuple[
        NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
    ]
    | None,
    tag: NDArray[np.float32] | NDArray[np.float64],
    lazy: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    race: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> float: ...
def bin_counts(bins: int) -> NDArray[np.float64]: ...
def bins_of(count: NDArray[np.int64]) -> NDArray[np.intp]: ...
def meet(
    rows: Rows,
    weights: NDArray[np.float64] | None,
    order: NDArray[np.intp],
    norm: NDArray[np.float64],
    count: NDArray[np.int64],
    bins: NDArray[np.int64],
    tag: NDArray[np.float32] | NDArray[np.float64],
) -> None: ...
def rescale(
    columns: NDArray[np.intp],
    v: NDArray[np.float64],
    average: NDArray[np.float64],
    metric: tuple[
        NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
    ],
    lazy: tuple[NDArray[np.float64], NDArray[np.float64]],
    gains: NDArray[np.float64],
    objective: Objective,
    norm: NDArray[np.float64],
    count: NDArray[np.int64],
    weight: float,
    damping: float,
) -> None: ...
