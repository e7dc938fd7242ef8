"""Implicit stochastic gradient descent on scaled columns, one epoch at a time."""

import numpy as np
from numpy.typing import NDArray

from .data_term import DataTerm
from .losses import Objective

DRIFT_SUMS: int

def epoch(
    term: DataTerm,
    v: NDArray[np.float64],
    scaling: tuple[NDArray[np.float64], ...],
    rates: NDArray[np.float64],
    batch_size: int,
    average: tuple[NDArray[np.float64] | None, float] | None = None,
    memory: tuple[NDArray[np.float64], ...] | None = None,
    lazy: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    drift: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> float: ...
def bin_counts(bins: int) -> NDArray[np.float64]: ...
def bins_of(count: NDArray[np.int64]) -> NDArray[np.intp]: ...
def add_rows(
    term: DataTerm,
    norm: NDArray[np.float64],
    count: NDArray[np.int64],
    bins: NDArray[np.int64],
) -> None: ...
def rescale(
    columns: NDArray[np.intp],
    v: NDArray[np.float64],
    average: NDArray[np.float64],
    scaling: tuple[NDArray[np.float64], ...],
    lazy: tuple[NDArray[np.float64], NDArray[np.float64]],
    objective: Objective,
    statistics: tuple[NDArray[np.float64], NDArray[np.int64], float],
    damping: float,
) -> None: ...
