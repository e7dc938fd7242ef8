"""SAGA on scaled columns, one epoch at a time; curvatures and frequencies for its sampling."""

import numpy as np
from numpy.typing import NDArray

from .data_term import DataTerm
from .rows import Rows

def epoch(
    term: DataTerm,
    v: NDArray[np.float64],
    scaling: tuple[NDArray[np.float64], ...],
    rates: NDArray[np.float64],
    importance: NDArray[np.float64],
    inverse_frequency: NDArray[np.float64],
    batch_size: int,
    n: int,
    memory: tuple[NDArray[np.float64], ...],
) -> None: ...
def survey(
    term: DataTerm,
    memory: tuple[NDArray[np.float64], ...],
    min_radius: float,
    smoothness: NDArray[np.float64],
) -> float: ...
def column_probability(
    rows: Rows,
    order: NDArray[np.intp],
    probability: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None: ...
