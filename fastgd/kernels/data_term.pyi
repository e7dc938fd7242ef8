"""The record that every kernel takes: rows, targets, weights, order, objective."""

from typing import Self, TypedDict, type_check_only

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from .losses import Objective
from .rows import Rows

@type_check_only
class EpochSums(TypedDict):  # the struct of data_term.pxd, as a dict
    loss: float
    penalty: float
    gradient_norm: float
    updates: int

@disjoint_base
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
    @property
    def size(self) -> int: ...
    def over(self, order: NDArray[np.intp]) -> Self: ...
