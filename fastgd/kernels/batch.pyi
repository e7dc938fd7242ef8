"""Mini-batch and full gradients, and an epoch of descent by them, on a team of threads."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .data_term import DataTerm, EpochSums
from .rows import Rows
from .rules import Rule

_Floating = TypeVar("_Floating", np.float32, np.float64)

def gradient(
    term: DataTerm,
    theta: NDArray[_Floating],
    out: NDArray[_Floating],
    margins: NDArray[np.float64] | None = None,
    curvatures: NDArray[np.float64] | None = None,
) -> float: ...
def epoch(
    term: DataTerm,
    theta: NDArray[_Floating],
    buffers: tuple[NDArray[_Floating] | None, NDArray[_Floating] | None],
    average: NDArray[np.float64] | None,
    rates: NDArray[np.float64],
    rule: Rule,
    batch_size: int,
    t: int,
    skip: int,
) -> EpochSums: ...
def step(
    term: DataTerm,
    theta: NDArray[_Floating],
    gradient: NDArray[_Floating],
    buffers: tuple[NDArray[_Floating] | None, NDArray[_Floating] | None],
    average: NDArray[np.float64] | None,
    rate: float,
    rule: Rule,
    t: int,
    skip: int,
) -> EpochSums: ...
def margins(
    rows: Rows,
    theta: NDArray[np.float32] | NDArray[np.float64],
    outputs: int,
    out: NDArray[np.float64],
    threads: int,
) -> None: ...
