"""Data that is read chunk by chunk, for training on more rows than fit into memory."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Semaphore
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike
    from typing import Self

    from numpy.typing import NDArray

# Bytes of a chunk that `Chunks.of` makes.
CHUNK_BYTES = 2**25


class Chunks:
    """Rows that are read chunk by chunk, in every pass again.

    Linear models, networks and their `score` take chunks in place of X, y and sample_weight;
    `MatrixFactorization` takes them in place of X and y. A fit by full batches minimises the same
    objective as in memory, over the same number of passes; one by mini-batches mixes the rows of
    some chunks at a time. Only the targets, the weights and some numbers for each row stay in
    memory.

    Parameters
    ----------
    read : callable
        ``read(i)`` returns chunk i: X, (X, y) or (X, y, sample_weight), where X is an array, a CSR
        matrix or a data frame of any number of rows, also none (for `MatrixFactorization`, ratings
        in any form that its `fit` takes). It is called in any order, again
        for every pass, and from other threads, but never twice at a time: the next chunk is read
        while others are worked on. It has to return the same rows each time, in arrays that later
        calls do not overwrite.

    n_chunks : int
        Number of chunks.

    cache : path, default=None
        Folder to which the first pass writes the chunks in the form in which they are used; later
        passes read them from there, and so do later fits on the same Parquet files, as long as
        their sizes and times are the same. It pays where `read` is slower than the disk.

    shuffle : int, default=None
        Number of chunks whose rows `partial_fit`, and `fit` by mini-batches, hold and mix at a
        time; those of mini-batches are more where a batch needs them. None: the rows of each chunk
        are mixed apart. A fit by full batches does not depend on it.

    random_state : int, default=None
        Seed of the order in which `shuffle` takes the chunks; None: 0.

    See Also
    --------
    Chunks.of : chunks of arrays, memory maps and other objects that can be sliced.
    Chunks.parquet : the row groups of Parquet files.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import Chunks, LinearRegression
    >>> def read(i):
    ...     X = np.random.default_rng(i).standard_normal((1000, 3))
    ...     return X, X @ [1.0, 2.0, 3.0] + 4.0
    >>> model = LinearRegression().fit(Chunks(read, 5))
    >>> model.coef_.round(6), round(float(model.intercept_), 6)
    (array([1., 2., 3.]), 4.0)
    """

    def __init__(
        self,
        read: Callable[[int], Any],
        n_chunks: int,
        *,
        cache: str | PathLike[str] | None = None,
        shuffle: int | None = None,
        random_state: int | None = None,
    ) -> None:
        if not callable(read):
            raise TypeError(f"read must be a function of a chunk's number, got {read!r}")
        if not (isinstance(n_chunks, int | np.integer) and n_chunks > 0):
            raise ValueError(f"n_chunks must be a positive integer, got {n_chunks!r}")
        if shuffle is not None and not (isinstance(shuffle, int | np.integer) and shuffle > 0):
            raise ValueError(f"shuffle must be None or a positive integer, got {shuffle!r}")
        self.read, self.n_chunks, self.cache = read, int(n_chunks), cache and Path(cache)
        self.shuffle, self.random_state = shuffle, random_state

    def __len__(self) -> int:
        return self.n_chunks

    def __getstate__(self):
        try:
            pickle.dumps(self.read)
        except Exception as error:
            raise TypeError(
                f"Chunks cannot be pickled because their read={self.read!r} cannot: use a function "
                "of a module, Chunks.of or Chunks.parquet"
            ) from error
        return vars(self)

    @property
    def sources(self) -> str | None:
        """What tells whether the sources are unchanged: the same text; None if nothing does."""
        return repr((self.n_chunks, self.read.sources)) if self._has_files else None

    @property
    def _has_files(self):
        return isinstance(self.read, RowGroups)

    @property
    def feature_names(self) -> NDArray[Any] | None:
        """The names of the columns, where they are known; else None."""
        return self.read.feature_names if self._has_files else None

    def part(self, i: int) -> tuple[Any, Any, Any]:
        """Chunk i as (X, y, sample_weight); what it lacks is None."""
        try:
            given = self.read(i)
        except Exception as error:
            error.add_note(f"while chunk {i} of {self.n_chunks} was read")
            raise
        if not isinstance(given, tuple):
            return given, None, None
        if not 1 <= len(given) <= 3:
            raise ValueError(
                f"read({i}) returned a tuple of {len(given)}, (X, y) or (X, y, sample_weight) is "
                "needed"
            )
        return *given, *(None,) * (3 - len(given))

    def __iter__(self) -> Iterator[tuple[Any, Any, Any]]:
        """Chunk after chunk as (X, y, sample_weight)."""
        return in_advance(self.part, range(self.n_chunks))

    def pools(self, number: int = 0) -> list[list[int]]:
        """Lists of the numbers of the chunks that a stream holds at a time; `number` is that of the
        pass, and changes their order.
        """
        size, order = self.shuffle or 1, np.arange(self.n_chunks)
        if self.shuffle:
            order = np.random.default_rng([self.random_state or 0, number]).permutation(order)
        order = order.tolist()
        return [order[begin : begin + size] for begin in range(0, self.n_chunks, size)]

    @classmethod
    def of(
        cls,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        chunk_rows: int | None = None,
        **parameters: Any,
    ) -> Self:
        """Chunks of consecutive rows of X, y and sample_weight.

        Parameters
        ----------
        X : array, memory map, CSR matrix, zarr or dask array of shape (n_samples, n_features)
            Anything that has a shape and can be sliced by rows.
        y, sample_weight : the same of shape (n_samples,), y also (n_samples, n_targets)
            None: there are none.
        chunk_rows : int, default=None
            Rows of a chunk; None: as many as have about 32 MB.
        **parameters
            Other parameters of `Chunks`.
        """
        rows, columns = X.shape[0], int(np.prod(X.shape[1:]))
        if chunk_rows is None:
            width = np.dtype(getattr(X, "dtype", float)).itemsize
            size = max(columns, 1) * width
            if sparse.issparse(X):  # of a stored number, its value and its column
                size = -(-X.nnz * (width + 4) // max(rows, 1)) or 1
            chunk_rows = max(CHUNK_BYTES // size, 1)
        if not (isinstance(chunk_rows, int | np.integer) and chunk_rows > 0):
            raise ValueError(f"chunk_rows must be None or a positive integer, got {chunk_rows!r}")
        for name, part in (("y", y), ("sample_weight", sample_weight)):
            if part is not None and len(part) != rows:
                raise ValueError(f"X has {rows} rows, {name} has {len(part)}")
        parts = tuple(part for part in (X, y, sample_weight) if part is not None)
        if y is None and sample_weight is not None:
            raise ValueError("sample_weight is given without y")
        return cls(Slices(parts, chunk_rows), max(-(-rows // chunk_rows), 1), **parameters)

    @classmethod
    def parquet(
        cls,
        paths: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        target: str | Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        sample_weight: str | None = None,
        **parameters: Any,
    ) -> Self:
        """The row groups of Parquet files; the model gets the names of the columns.

        It needs pyarrow.

        Parameters
        ----------
        paths : path or list of paths
        target : str or list of str, default=None
            Column or columns of y.
        columns : list of str, default=None
            Columns of X; None: all others.
        sample_weight : str, default=None
            Column of the weights.
        **parameters
            Other parameters of `Chunks`.
        """
        read = RowGroups(paths, target, columns, sample_weight)
        return cls(read, len(read.groups), **parameters)


def in_advance(function, arguments):
    """Yields function(a) for each argument, and calls it for the next one in another thread while
    one is worked on.
    """
    arguments = list(arguments)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(function, arguments[0]) if arguments else None
        for following in [*arguments[1:], None]:
            if coming is None:
                return
            result = coming.result()
            coming = None if following is None else thread.submit(function, following)
            yield result
            del result


def at_once(read, work, jobs, threads):
    """Yields work(read(chunk), chunk, *arguments) for each job (chunk, *arguments), in turn.

    As many chunks as there are threads are worked on, and one more is read beside them.
    """
    working = Semaphore(threads)

    def do(job):
        chunk = read(job[0])
        with working:
            return work(chunk, *job)

    with ThreadPoolExecutor(threads + 1) as pool:
        yield from pool.map(do, jobs)


class Slices:
    """A `read` of consecutive rows of arrays."""

    def __init__(self, parts, rows):
        self.parts, self.rows = parts, rows

    def __call__(self, i):
        rows = slice(i * self.rows, (i + 1) * self.rows)
        X, *others = (part[rows] for part in self.parts)
        # A lazy array is computed, a matrix or a frame is used as it is.
        X = X.compute() if hasattr(X, "compute") else X
        others = [np.asarray(part) for part in others]
        return (X, *others) if others else X


class RowGroups:
    """A `read` of the row groups of Parquet files."""

    def __init__(self, paths, target, columns, sample_weight):
        from pyarrow.parquet import ParquetFile

        paths = [paths] if isinstance(paths, str | Path) else list(paths)
        if not paths:
            raise ValueError("there are no paths")
        self.groups, names = [], None
        for path in paths:
            file = ParquetFile(path)
            self.groups += [(str(path), group) for group in range(file.num_row_groups)]
            own = file.schema_arrow.names
            if columns is None and names is not None and own != names:
                raise ValueError(f"{path} has the columns {own}, {paths[0]} has {names}")
            names = names or own
        if not self.groups:
            raise ValueError(f"there are no rows in {paths}")
        self.targets = [target] if isinstance(target, str) else target
        self.target, self.weight = target, sample_weight
        used = [*(self.targets or ()), *([sample_weight] if sample_weight else ())]
        if columns is None:
            columns = [name for name in names if name not in used]
        missing = [name for name in [*columns, *used] if name not in names]
        if missing:
            raise ValueError(f"{paths[-1]} has no columns {missing}, it has {names}")
        self.feature_names = np.array(columns, dtype=object)

    @property
    def sources(self):
        """Paths, sizes and times of the files, and what is read of them."""
        stats = {path: Path(path).stat() for path, _ in self.groups}
        files = [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()]
        return repr((files, list(self.feature_names), self.target, self.weight))

    def __call__(self, i):
        from pyarrow.parquet import ParquetFile

        path, group = self.groups[i]
        used = [*self.feature_names, *(self.targets or ()), *([self.weight] if self.weight else ())]
        with ParquetFile(path) as file:
            table = file.read_row_group(group, columns=used)
        X = _numbers(table, list(self.feature_names))
        if self.target is None:
            return X
        y = _labels(table[self.target]) if isinstance(self.target, str) else None
        y = _numbers(table, self.targets) if y is None else y
        return (X, y, table[self.weight].to_numpy()) if self.weight else (X, y)


def _labels(column):
    """A column of targets: strings as an array of strings, without missing ones."""
    values = column.to_numpy()
    if values.dtype == object and all(isinstance(value, str) for value in values):
        return values.astype(str)
    return values


def _numbers(table, names):
    """Columns of a table as a C-order array: float32 if all of them are, else float64."""
    from pyarrow import types

    kinds = {name: table.schema.field(name).type for name in names}
    is_single = all(types.is_float32(kind) for kind in kinds.values())
    out = np.empty((table.num_rows, len(names)), np.float32 if is_single else np.float64)
    are_numbers = types.is_integer, types.is_floating, types.is_boolean, types.is_decimal
    for j, (name, kind) in enumerate(kinds.items()):
        if not any(is_number(kind) for is_number in are_numbers):
            raise ValueError(f"column {name!r} holds {kind}, not numbers")
        out[:, j] = table[name].to_numpy()
    return out
