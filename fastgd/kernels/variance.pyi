"""SAGA in the metric, one epoch at a time, and what its sampling needs to know."""

import numpy as np
from numpy.typing import NDArray

from .data_term import DataTerm
from .rows import Rows

def epoch(
    term: DataTerm,
    v: NDArray[np.float64],
    metric: tuple[NDArray[np.float64], ...],
    rates: NDArray[np.float64],
    share: NDArray[np.float64],
    rarity: NDArray[np.float64],
    batch_size: int,
    n: int,
    memory: tuple[NDArray[np.float64], ...],
) -> None: ...
def survey(
    term: DataTerm,
    memory: tuple[NDArray[np.float64], ...],
    least: float,
    smoothness: NDArray[np.float64],
) -> float: ...
def along(
    term: DataTerm,
    z: NDArray[np.float64],
    origin: NDArray[np.float64],
    stretch: NDArray[np.float64],
    shift: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None: ...
def column_probability(
    rows: Rows,
    order: NDArray[np.intp],
    probability: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None: ...
