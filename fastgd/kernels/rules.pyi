"""Update rules on a flat vector and its gradient."""

from enum import IntEnum
from typing import TypedDict, TypeVar, type_check_only

import numpy as np
from numpy.typing import NDArray

_Floating = TypeVar("_Floating", np.float32, np.float64)

class Kind(IntEnum):
    SGD = 0
    MOMENTUM = 1
    NESTEROV = 2
    ADAGRAD = 3
    RMSPROP = 4
    ADAM = 5
    ADAMW = 6
    SCHEDULE_FREE = 7

@type_check_only
class Rule(TypedDict):  # the struct of rules.pxd, passed to the kernels as a dict
    kind: int
    first: float
    second: float
    eps: float
    noise: float
    fading: float
    seed: int

def step(
    rule: Rule,
    theta: NDArray[_Floating],
    gradient: NDArray[_Floating],
    first: NDArray[_Floating] | None,
    second: NDArray[_Floating] | None,
    rate: float,
    t: int,
    l1: float = 0.0,
    l2: float = 0.0,
) -> None: ...
