"""Descent of a cost function by an update rule."""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from .cost import Status
from .rules import Rule

_Vector = NDArray[np.float64]
_Parameters = NDArray[np.float32] | NDArray[np.float64]

@disjoint_base
class RuleDescent:
    x: _Parameters
    best: _Parameters | None
    value: float
    least: float
    distance: float
    norm: float
    gradient: _Vector | None
    unwritten: int
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
        record: _Vector,
        path: _Vector | None,
    ) -> tuple[int, int, Status]: ...
