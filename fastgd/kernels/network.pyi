"""Feed-forward networks: gradient, an epoch of descent, and predictions."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from .data_term import DataTerm, EpochSums
from .rows import Rows
from .rules import Rule

_Floating = TypeVar("_Floating", np.float32, np.float64)

@disjoint_base
class Network:
    def __init__(
        self,
        widths: NDArray[np.intp],
        activation: int,
        dropout: float = 0,
        seed: int = 0,
        scales: NDArray[np.float64] | None = None,
    ) -> None: ...

def gradient(
    term: DataTerm,
    theta: NDArray[_Floating],
    metric: tuple[NDArray[_Floating], NDArray[_Floating]] | None,
    out: NDArray[_Floating] | None,
    network: Network,
) -> float: ...
def epoch(
    term: DataTerm,
    theta: NDArray[_Floating],
    metric: tuple[NDArray[_Floating], NDArray[_Floating]] | None,
    buffers: tuple[NDArray[_Floating] | None, NDArray[_Floating] | None],
    rates: NDArray[np.float64],
    network: Network,
    rule: Rule,
    batch_size: int,
    t: int,
) -> EpochSums: ...
def step(
    term: DataTerm,
    theta: NDArray[_Floating],
    gradient: NDArray[_Floating],
    buffers: tuple[NDArray[_Floating] | None, NDArray[_Floating] | None],
    rate: float,
    network: Network,
    rule: Rule,
    t: int,
) -> EpochSums: ...
def margins(
    rows: Rows,
    order: NDArray[np.intp],
    theta: NDArray[_Floating],
    metric: tuple[NDArray[_Floating], NDArray[_Floating]] | None,
    out: NDArray[_Floating],
    network: Network,
) -> None: ...
