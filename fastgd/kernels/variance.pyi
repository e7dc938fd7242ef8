"""SAGA in the metric, one epoch at a time, and what its sampling needs to know."""

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
    metric: tuple[
        NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
    ],
    rates: NDArray[np.float64],
    share: NDArray[np.float64],
    rarity: NDArray[np.float64],
    objective: Objective,
    batch_size: int,
    n: int,
    memory: tuple[
        NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
    ],
    radius: NDArray[np.float64],
    bend: float,
    tag: NDArray[np.float32] | NDArray[np.float64],
) -> None: ...
def survey(
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    order: NDArray[np.intp],
    memory: tuple[
        NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
    ],
    radius: NDArray[np.float64],
    least: float,
    objective: Objective,
    smoothness: NDArray[np.float64],
) -> float: ...
def along(
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    order: NDArray[np.intp],
    z: NDArray[np.float64],
    origin: NDArray[np.float64],
    stretch: NDArray[np.float64],
    shift: NDArray[np.float64],
    objective: Objective,
    value: NDArray[np.float64],
    by_stretch: NDArray[np.float64],
    by_shift: NDArray[np.float64],
) -> None: ...
def column_probability(
    rows: Rows,
    order: NDArray[np.intp],
    probability: NDArray[np.float64],
    out: NDArray[np.float64],
    tag: NDArray[np.float32] | NDArray[np.float64],
) -> None: ...
