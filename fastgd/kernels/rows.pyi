"""Rows: one view of X for every kernel, dense C-order or CSR, float32 or float64, never a copy."""
from typing import overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

@disjoint_base
class Rows:
    @overload
    def __init__(self, values: NDArray[np.float32] | NDArray[np.float64]) -> None: ...
    @overload
    def __init__(
        self,
        values: NDArray[np.float32] | NDArray[np.float64],
        indices: NDArray[np.int32],
        indptr: NDArray[np.int32],
        shape: tuple[int, int],
    ) -> None: ...
    @overload
    def __init__(
        self,
        values: NDArray[np.float32] | NDArray[np.float64],
        indices: NDArray[np.int64],
        indptr: NDArray[np.int64],
        shape: tuple[int, int],
    ) -> None: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype[np.float32] | np.dtype[np.float64]: ...
    @property
    def stored(self) -> int: ...

def largest_squared_norm(
    rows: Rows, order: NDArray[np.intp], theta: NDArray[np.float32] | NDArray[np.float64]
) -> float: ...
