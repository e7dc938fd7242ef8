"""Feed-forward networks: forward and backward passes over one flat vector of parameters, and one
epoch of descent by them.
"""

from enum import IntEnum
from typing import TypedDict, TypeVar, type_check_only

import numpy as np
from numpy.typing import NDArray

from .data_term import DataTerm
from .rows import Rows
from .rules import Rule

_Floating = TypeVar("_Floating", np.float32, np.float64)

class Activation(IntEnum):
    IDENTITY = 0
    LOGISTIC = 1
    TANH = 2
    RELU = 3
    LEAKY_RELU = 4
    GELU = 5
    SILU = 6
    SOFTPLUS = 7

class Network:
    def __init__(
        self,
        widths: NDArray[np.intp],
        activation: int,
        dropout: float = 0,
        seed: int = 0,
        scales: NDArray[np.float64] | None = None,
    ) -> None: ...

@type_check_only
class Sums(TypedDict):
    loss: float
    penalty: float
    gradient_norm: float
    updates: int

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
) -> Sums: ...
def margins(
    rows: Rows,
    order: NDArray[np.intp],
    theta: NDArray[_Floating],
    metric: tuple[NDArray[_Floating], NDArray[_Floating]] | None,
    out: NDArray[_Floating],
    network: Network,
) -> None: ...
