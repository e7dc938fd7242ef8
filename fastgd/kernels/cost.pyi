"""Compiled cost functions, and the statuses of a descent."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

class Status(IntEnum):
    SEARCHING = 0
    MOVED = 1
    CONVERGED = 2
    STUCK = 3
    SMALL = 4
    STALLED = 5
    ROSE = 6
    UNDEFINED = 7
    UNBOUNDED = 8
    UNWRITTEN = 9
    FAILED = 10

def addresses(capsule: object) -> tuple[int, int]: ...
def blank_gradient(gradient: NDArray[np.float64]) -> None: ...
def unwritten(gradient: NDArray[np.float64]) -> int: ...
