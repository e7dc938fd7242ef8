"""Losses over whole blocks of margins."""

from enum import IntEnum
from typing import Any, TypedDict, type_check_only

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import disjoint_base

# An IntEnum. Its members are those of losses.pxd, which alone lists them.
Loss: Any

@disjoint_base
class CustomLoss:
    address: int
    def __init__(self, function: int, data: int, many: bool) -> None: ...

class Targets(IntEnum):
    VALUES = 0
    CLASSES = 1

@type_check_only
class Objective(TypedDict):  # the struct of losses.pxd, passed to the kernels as a dict
    loss: int
    delta: float
    slope_limit: float
    max_curvature: float
    smoothing: float
    l1: float
    l2: float
    intercept_cost: float
    outputs: int
    targets: int
    intercept: bool
    positive: bool
    custom: int

def evaluate(
    loss: int,
    delta: float,
    z: ArrayLike,
    y: ArrayLike,
    smoothing: float = 0.0,
    slope_limit: float = ...,
    custom: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
