"""`Rows`, the view of X that all kernels take."""

from typing import TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

_Numbers: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
_Index = TypeVar("_Index", np.int32, np.int64)

@disjoint_base
class Rows:
    @overload
    def __init__(self, values: _Numbers) -> None: ...
    @overload
    def __init__(
        self,
        values: _Numbers,
        indices: NDArray[_Index],
        indptr: NDArray[_Index],
        shape: tuple[int, int],
    ) -> None: ...
    @property
    def values(self) -> _Numbers: ...
    @property
    def owners(self) -> tuple[NDArray[np.integer] | None, NDArray[np.integer] | None]: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype[np.float32] | np.dtype[np.float64]: ...
    @property
    def sparse(self) -> bool: ...
    @property
    def stored(self) -> int: ...
    @property
    def bytes(self) -> int: ...

def squared_norms(rows: Rows, order: NDArray[np.intp]) -> NDArray[np.float64]: ...
def has_repeats(rows: Rows) -> bool: ...
def rank_columns(
    columns: NDArray[np.int32] | NDArray[np.int64], p: int, most: int
) -> tuple[NDArray[np.intp], NDArray[np.signedinteger]] | tuple[None, None]: ...
