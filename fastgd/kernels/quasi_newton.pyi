"""L-BFGS for a cost function, with a line search that asks for one evaluation at a time."""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from .cost import Status

_Vector = NDArray[np.float64]

@disjoint_base
class QuasiNewton:
    x: _Vector
    gradient: _Vector
    trial: _Vector
    value: float
    norm: float
    step: float
    def __init__(
        self,
        x0: _Vector,
        lower: _Vector | None,
        upper: _Vector | None,
        l1: float,
        memory: int,
        precision: float,
        single: bool,
        l1_weights: _Vector | None = None,
    ) -> None: ...
    def set_goal(self, tol: float, ftol: float, absolute: bool) -> None: ...
    @property
    def best(self) -> tuple[_Vector, float, _Vector]: ...
    @property
    def decrement(self) -> float: ...
    @property
    def unwritten(self) -> int: ...
    def tell(self, value: float, gradient: _Vector) -> Status: ...
    def propose(self) -> Status: ...
    def run(
        self,
        function: int,
        data: int,
        failed: NDArray[np.intc],
        max_evaluations: int,
        record: _Vector,
        path: _Vector | None,
    ) -> tuple[int, int, Status]: ...
