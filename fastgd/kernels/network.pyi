"""Feed-forward networks: forward and backward passes over one flat vector of parameters, and one
epoch of descent by them.
"""

from enum import IntEnum
from typing import TypedDict, TypeVar, type_check_only

import numpy as np
from numpy.typing import NDArray

from .losses import Objective
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

@type_check_only
class Network(TypedDict):  # the struct of network.pyx, which the kernels take as a dict
    activation: int
    dropout: float
    seed: int

@type_check_only
class Sums(TypedDict):
    loss: float
    penalty: float
    gradient_norm: float
    updates: int

def gradient(
    rows: Rows,
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    order: NDArray[np.intp],
    theta: NDArray[_Floating],
    center: NDArray[_Floating] | None,
    inverse: NDArray[_Floating] | None,
    out: NDArray[_Floating] | None,
    widths: NDArray[np.intp],
    objective: Objective,
    network: Network,
    scales: NDArray[np.float64] | None = None,
) -> float: ...
def epoch(
    rows: Rows,
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    order: NDArray[np.intp],
    theta: NDArray[_Floating],
    center: NDArray[_Floating] | None,
    inverse: NDArray[_Floating] | None,
    first: NDArray[_Floating] | None,
    second: NDArray[_Floating] | None,
    rates: NDArray[np.float64],
    widths: NDArray[np.intp],
    objective: Objective,
    network: Network,
    rule: Rule,
    batch_size: int,
    t: int,
    scales: NDArray[np.float64] | None = None,
) -> Sums: ...
def margins(
    rows: Rows,
    order: NDArray[np.intp],
    theta: NDArray[_Floating],
    center: NDArray[_Floating] | None,
    inverse: NDArray[_Floating] | None,
    out: NDArray[_Floating],
    widths: NDArray[np.intp],
    network: Network,
) -> None: ...
