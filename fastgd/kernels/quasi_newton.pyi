"""Quasi-Newton descent of a cost function: the directions of L-BFGS, and line searches that ask for
one evaluation at a time.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_Vector = NDArray[np.float64]

class Status(IntEnum):
    SEARCHING = 0
    MOVED = 1
    STUCK = 2
    UNDEFINED = 3
    UNBOUNDED = 4
    UNWRITTEN = 5
    FAILED = 6
    CONVERGED = 7

def blank_gradient(gradient: _Vector) -> None: ...
def unwritten(gradient: _Vector) -> int: ...

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
        most_evaluations: int,
        record: _Vector,
        path: _Vector | None,
    ) -> tuple[int, int, Status]: ...
