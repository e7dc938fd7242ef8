"""Quasi-Newton descent of a cost function: the directions of L-BFGS, and line searches that ask for one evaluation at a time."""
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_Vector = NDArray[np.float64]

class Status(IntEnum):
    SEARCHING = 0
    MOVED = 1
    STUCK = 2
    UNDEFINED = 3

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
        noise: float,
        single: bool,
        share: _Vector | None = None,
    ) -> None: ...
    def tell(self, value: float, gradient: _Vector) -> Status: ...
    def propose(self) -> Status: ...
    def run(self, function: int, data: int, tol: float, record: _Vector, path: _Vector | None) -> tuple[int, int, Status]: ...
