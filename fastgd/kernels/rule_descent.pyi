"""Descent of a cost function by the update rules: one step a call of `tell`, or many on a compiled
cost.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .rules import Rule

_Vector = NDArray[np.float64]
_Parameters = NDArray[np.float32] | NDArray[np.float64]

class Status(IntEnum):
    MOVED = 0
    SMALL = 1
    STALLED = 2
    ROSE = 3
    UNDEFINED = 4
    UNBOUNDED = 5
    UNWRITTEN = 6
    FAILED = 7

class RuleDescent:
    x: _Parameters
    best: _Parameters | None
    value: float
    least: float
    distance: float
    norm: float
    def __init__(
        self,
        x0: _Parameters,
        rule: Rule,
        decay: float,
        distance: float,
        lower: _Vector | None,
        upper: _Vector | None,
        l1: float,
        threads: int,
    ) -> None: ...
    def forbid_rise(self, monotone: bool) -> None: ...
    def set_goal(self, ftol: float, absolute: bool) -> None: ...
    def go_back(self) -> None: ...
    def reset_stall(self) -> None: ...
    def tell(
        self,
        value: float,
        gradient: _Parameters,
        rate: float,
        tol: float,
        patience: int,
        noisy: _Parameters | None = None,
    ) -> Status: ...
    def run(
        self,
        function: int,
        data: int,
        failed: NDArray[np.intc],
        rates: _Vector,
        tol: float,
        patience: int,
        gradient: _Vector,
        record: _Vector,
        path: _Vector | None,
    ) -> tuple[int, Status]: ...
