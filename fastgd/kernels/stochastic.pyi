"""One epoch of stochastic gradient descent, row after row or a few sparse rows at a time."""

from enum import IntEnum
from typing import TypedDict, type_check_only

import numpy as np
from numpy.typing import NDArray

from .data_term import DataTerm, EpochSums

class PassiveAggressive(IntEnum):
    OFF = 0
    PA1 = 1
    PA2 = 2

@type_check_only
class Course(TypedDict):  # the struct of stochastic.pyx, as a dict
    batch_size: int
    skip: int
    passive_aggressive: int

def epoch(
    term: DataTerm,
    theta: NDArray[np.float32] | NDArray[np.float64],
    average: NDArray[np.float64] | None,
    rates: NDArray[np.float64],
    course: Course,
) -> EpochSums: ...
