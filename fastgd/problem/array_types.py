"""The types of users' arrays. Only annotations need them: import them under TYPE_CHECKING."""

from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias, overload

from numpy.typing import ArrayLike, NDArray
from scipy.sparse import sparray, spmatrix

from fastgd.problem.chunks import Chunks

Array: TypeAlias = NDArray[Any]
Matrix: TypeAlias = ArrayLike | spmatrix | sparray
Rows: TypeAlias = Matrix | Chunks


class PredictsRows(Protocol):
    """A method of rows: it returns an array, and for `Chunks` one array after the other."""

    @overload
    def __call__(self, X: Chunks) -> Iterator[Array]: ...
    @overload
    def __call__(self, X: Matrix) -> Array: ...
