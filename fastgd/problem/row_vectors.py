"""Row vectors: vectors of the rows of chunks, which stay where their chunks are.

A call says how a vector is made: by a function of the chunk's data, of parameters, and of other row
vectors. So where a vector is lost with its machine it is made again, with the same bits.
"""

from collections.abc import Callable
from functools import cached_property
from uuid import uuid4
from weakref import WeakSet

import numpy as np

from fastgd.kernels.rows import Rows
from fastgd.problem.data import as_rows
from fastgd.problem.records import Record, replace


class Part(Record):
    """What a chunk has besides its X; `name` is one of its own, where it is sent to another
    process.
    """

    rows: int
    y: np.ndarray
    weights: np.ndarray | None
    visits: np.ndarray
    name: str | None = None


class Call(Record):
    """function(problem of a chunk, *common, *vectors), which returns a tuple of sums over the rows,
    a vector of the rows, or (sums, vector).

    `problem` has the objective but no data. `vectors` are calls that make vectors, their names, or
    the indices of arrays that are given for each chunk.
    """

    function: Callable
    problem: object
    common: tuple
    vectors: tuple = ()
    reads_X: bool = False
    has_sums: bool = True
    name: str | None = None

    @property
    def known(self):
        """{name: call} of this call, if it makes a vector, and of the vectors that it needs."""
        found, coming = {}, [self]
        while coming:
            call = coming.pop()
            if call.name not in found:
                found[call.name] = call
                coming += [vector for vector in call.vectors if isinstance(vector, Call)]
        found.pop(None, None)
        return found

    def sent(self):
        """The same with the names of vectors, for a process that knows them."""
        vectors = [v.name if isinstance(v, Call) else v for v in self.vectors]
        return replace(self, vectors=tuple(vectors))


class RowVector:
    """A vector made by a call. Its values are kept as long as this object."""

    def __init__(self, call):
        self.call = call


class RowVectors:
    """The row vectors of a fit."""

    def __init__(self):
        # Those in use, and the names of those that have been made.
        self._used, self._made = WeakSet(), set()

    def new(self, call):
        """The vector that a call makes when it is needed."""
        vector = RowVector(call)
        self._used.add(vector)
        return vector

    def use(self, vectors):
        """Add vectors of an earlier fit."""
        self._used.update(vectors)

    def pending(self):
        """The calls of vectors that have not been made yet."""
        return [v.call for v in self._used if v.call.name not in self._made]

    def names(self):
        """The names of the vectors in use."""
        return {v.call.name for v in self._used}

    def needed(self):
        """The names of vectors whose values are needed: of those in use, and of those from which
        the pending ones are made.
        """
        return self.names() | {name for call in self.pending() for name in call.known}

    def calls(self):
        """{name: call} of all that is needed to make the vectors in use again."""
        return {name: call for v in self._used for name, call in v.call.known.items()}

    def end_of_round(self, call):
        """All pending vectors have been made, and that of this call."""
        self._made = self.names() | {call.name}


class Chunk:
    """A chunk where it is worked on; `read` returns its X."""

    def __init__(self, number, part, threads, read):
        self.number, self._part, self._threads, self._read = number, part, threads, read

    @cached_property
    def _rows(self):
        return as_rows(self._read())

    def problem(self, call):
        """The problem of its rows; without columns, where X is not read."""
        rows = self._rows if call.reads_X else Rows(np.empty((self._part.rows, 0)))
        return call.problem.of_chunk(rows, self._part, self._threads)


class Site:
    """A place where chunks are, with the values of their row vectors; `kept` are `Part`s and calls
    by their names.
    """

    def __init__(self):
        self.kept, self._values = {}, {}

    def forget(self, vectors, names):
        """Drop the values of other row vectors than these, and what is kept under other names."""
        for values in list(self._values.values()):
            _keep(values, vectors)
        _keep(self.kept, names)

    @np.errstate(all="ignore")  # as during a pass over rows in memory
    def run(self, chunk, call, pending, arrays, used):
        """The sums of a call; makes the pending vectors too, and then drops the values of vectors
        that are not among the `used` ones.
        """
        for vector in pending:
            self._value(chunk, vector)
        sums, _ = self._result(chunk, call, arrays)
        _keep(self._of(chunk), used | {call.name})
        return sums

    def _of(self, chunk):
        """{name: value} of a chunk."""
        return self._values.setdefault(chunk.number, {})

    def _value(self, chunk, vector):
        """The value of a vector, given its call or name."""
        call = vector if isinstance(vector, Call) else self.kept[vector]
        value = self._of(chunk).get(call.name)
        return self._result(chunk, call, ())[1] if value is None else value

    def _result(self, chunk, call, arrays):
        """(sums or None, vector or None)"""
        vectors = [arrays[v] if isinstance(v, int) else self._value(chunk, v) for v in call.vectors]
        found = call.function(chunk.problem(call), *call.common, *vectors)
        if call.name is None:
            return found, None
        sums, value = found if call.has_sums else (None, found)
        self._of(chunk)[call.name] = value
        return sums, value


def _keep(values, names):
    """Drop what has other names."""
    for name in [name for name in list(values) if name not in names]:
        values.pop(name, None)


def named():
    """A new name."""
    return uuid4().hex


def values_of(_, vector):
    """A row vector itself, as the sums of a call."""
    return vector
