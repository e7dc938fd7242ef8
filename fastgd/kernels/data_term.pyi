"""The record that every kernel takes: rows, targets, weights, order, objective."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from .losses import Objective
from .rows import Rows

class DataTerm:
    rows: Rows
    def __init__(
        self,
        rows: Rows,
        y: NDArray[np.float64],
        weights: NDArray[np.float64] | None,
        order: NDArray[np.intp],
        objective: Objective,
        threads: int = 1,
    ) -> None: ...
    def over(self, order: NDArray[np.intp]) -> Self: ...
