"""Rows that are read chunk by chunk: what the kernels' `Rows` are for rows in memory."""

from copy import copy as copy_of
from functools import partial
from itertools import islice, pairwise
from threading import Lock

import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.digest import checksum
from fastgd.problem.chunked_term import add_moments, moments_of
from fastgd.problem.chunks import at_once, in_advance
from fastgd.problem.data import as_rows, check_compressed, distinct_columns, largest
from fastgd.problem.losses import SquaredError
from fastgd.problem.objective import Objective
from fastgd.problem.row_vectors import Chunk, Part, RowVectors, Site

# Rows from which a central value of each column is guessed.
SAMPLED_ROWS = 32
# Chunks that are worked on at once, at most: each of them is in memory.
MOST_AT_ONCE = 4


class ChangedDataError(ValueError):
    """A chunk is no longer what it was in the first pass."""


def as_block(X):
    """X of a chunk as the kernels read it, without a look for numbers that are not finite."""
    check_compressed(X)
    options = {"ensure_all_finite": False, "ensure_min_samples": 0, "ensure_min_features": 0}
    X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32], order="C", **options)
    return distinct_columns(X)


def digest_of(X):
    """A hash of the numbers of a block."""
    parts = (X,)
    if sparse.issparse(X):
        parts = X.data[: X.nnz], X.indices[: X.nnz], X.indptr
    digests = [checksum(np.ascontiguousarray(part).reshape(-1).view(np.uint8)) for part in parts]
    return X.shape, X.dtype.str, *digests


class ChunkedRows:
    """X in chunks, after a first look at each of them: its shape and type, and how it is read
    again.

    `bounds` (chunks + 1,) are the numbers of the chunks' first rows. Blocks may be changed by
    functions of each number and of what its column has, see `of_columns`, and have some of the
    chunk's rows only.
    """

    def __init__(self, chunks, looked, cache=None):
        self.chunks, self._looked, self._cache = chunks, looked, cache
        self.dtype, self.sparse = np.dtype(looked.dtype), looked.sparse
        self.bounds, self.stored = looked.bounds, looked.stored
        # Functions and values of the columns; {chunk: the numbers of its rows that are here}.
        self._changes, self._taken = (), None
        self.vectors, self._site = RowVectors(), Site()

    @property
    def shape(self):
        """(rows, columns)"""
        return int(self.bounds[-1]), self._looked.columns

    @property
    def bytes(self):
        """The bytes of all stored numbers."""
        return self.stored * (self.dtype.itemsize + 4 * self.sparse)

    @property
    def center(self):
        """A central value of each dense column."""
        return self.changed(self._looked.center[None], self._changes)[0]

    def times(self, exponents):
        """The same with columns multiplied by powers of two."""
        return self._with(np.ldexp, exponents)

    def moments(self, weights, visits):
        """The sums of `columns.moments` about `center`, if the first look has them."""
        is_all = weights is None and len(visits) == self.shape[0] and self._taken is None
        is_plain = is_all and not self._changes and self.dtype == self._looked.dtype
        return self._looked.moments if is_plain else None

    def without(self, columns):
        """The same with zeros in these columns."""
        return self._with(_cleared, columns)

    def _with(self, function, values):
        changed = copy_of(self)
        changed._changes = *self._changes, (function, values)
        return changed

    def astype(self, dtype, copy=False):
        """The same in another dtype."""
        changed = copy_of(self)
        changed.dtype = np.dtype(dtype)
        return changed

    def take(self, rows):
        """These rows only; their numbers ascend."""
        taken = copy_of(self)
        taken.bounds = np.searchsorted(rows, self.bounds)
        taken._taken = {
            i: rows[begin:end] - self.bounds[i]
            for i, (begin, end) in enumerate(pairwise(taken.bounds))
        }
        taken.stored = self.stored * len(rows) // max(self.shape[0], 1)
        return taken

    @staticmethod
    def changed(X, changes):
        """A block after these changes."""
        for function, values in changes:
            X = of_columns(function, X, values)
        return X

    @property
    def fingerprint(self):
        """What tells whether the rows are those of an earlier fit."""
        return tuple(self._looked.digests)

    def block(self, i):
        """X of chunk i, which has to be what it was."""
        return self._checked(self._read(i), i)

    def _read(self, i):
        """X of chunk i as its source has it, or as it was used."""
        if self._cache:
            return self._cache.read(i)
        with self._looked.reading:
            return self.chunks.part(i)[0]

    def _checked(self, X, i):
        X = X if self._cache else as_block(X)
        if digest_of(X) != self._looked.digests[i]:
            why = f"read({i}) has to return the same rows each time"
            if self._cache:
                why = f"cache={str(self._cache.folder)!r} was written by another fit"
            raise ChangedDataError(f"chunk {i} is not what it was in the first pass: {why}")
        X = self.changed(X.astype(self.dtype, copy=False), self._changes)
        return X if self._taken is None else X[self._taken[i]]

    def map(self, function, jobs, threads):
        """Yields function(X of a chunk, number of threads, *arguments) for each job (chunk,
        *arguments), in turn; several at once share the threads.
        """
        some, each = shared(threads, jobs)

        def work(X, chunk, *arguments):
            return function(self._checked(X, chunk), each, *arguments)

        return at_once(self._read, work, jobs, some)

    def ask(self, call, parts, arrays, threads):
        """Yields the result of a call for each chunk of {chunk: its `Part`}; `arrays` are those
        given for each chunk.
        """
        pending, (some, each) = self.vectors.pending(), shared(threads, parts)
        self._site.forget(self.vectors.needed(), ())
        used = self.vectors.names()

        def work(X, i):
            read = partial(self._checked, X, i) if call.reads_X else partial(self.block, i)
            chunk = Chunk(i, parts[i], each, read)
            return self._site.run(chunk, call, pending, arrays[i], used)

        read = self._read if call.reads_X else _nothing
        yield from at_once(read, work, [(i,) for i in parts], some)
        self.vectors.end_of_round(call)

    def blocks(self, pools):
        """Yields X of the chunks of these lists of numbers; the next one is read in advance."""
        return in_advance(self.block, [i for pool in pools for i in pool])

    def stacked(self, above, blocks, pool):
        """`above`, if it is not None, and the next of the `blocks`, those of the chunks `pool`, one
        below the other.
        """
        own, size = islice(blocks, len(pool)), 0 if above is None else above.shape[0]
        if self.sparse:
            return sparse.vstack([*([] if above is None else [above]), *own], format="csr")
        begins = self.begins(pool)
        X = np.empty((size + begins[-1], self.shape[1]), self.dtype)
        if size:
            X[:size] = above
        for block, begin in zip(own, begins, strict=False):
            X[size + begin : size + begin + len(block)] = block
            del block
        return X

    def begins(self, pool):
        """The numbers of the first rows of some chunks one below the other, and of what follows."""
        return np.cumsum([0, *(self.bounds[i + 1] - self.bounds[i] for i in pool)])

    def places(self, visits):
        """{chunk: the places of its rows among the visits}, of chunks that have any."""
        ends = np.searchsorted(visits, self.bounds).tolist()
        return {i: slice(*own) for i, own in enumerate(pairwise(ends)) if own[0] < own[1]}

    def parts(self, y, weights, visits):
        """{chunk: its `Part`} of chunks with visits."""
        targets, found = len(y) // max(self.shape[0], 1), {}
        of_all_rows = np.arange(np.diff(self.bounds).max(initial=0))
        for i, places in self.places(visits).items():
            begin, end = self.bounds[i : i + 2]
            has_all = places.stop - places.start == end - begin
            own = of_all_rows[: end - begin] if has_all else visits[places] - begin
            of_chunk = None if weights is None else weights[begin:end]
            of_targets = y[begin * targets : end * targets]
            found[i] = Part(int(end - begin), of_targets, of_chunk, own)
        return found

    @property
    def filled(self):
        """The numbers of the chunks that have rows."""
        return np.flatnonzero(np.diff(self.bounds)).tolist()

    def largest(self):
        """The largest absolute value of each column."""
        return np.maximum.reduce(list(self.map(_largest, [(i,) for i in self.filled], 1)))

    def columns(self, numbers):
        """These columns, of all rows."""
        jobs = [(i, numbers) for i in self.filled]
        parts = list(self.map(_columns, jobs, 1))
        return sparse.vstack(parts, format="csr") if self.sparse else np.concatenate(parts)


def shared(threads, jobs):
    """(chunks that are worked on at once, threads of each)"""
    at_once = max(min(threads, len(jobs), MOST_AT_ONCE), 1)
    return at_once, max(threads // at_once, 1)


def _nothing(_):
    return None


def _columns(X, _, numbers):
    return X[:, numbers]


def _largest(X, _):
    return largest(X)


def of_columns(function, X, values):
    """A copy of X with each number x replaced by function(x, what its column has)."""
    if not sparse.issparse(X):
        return function(X, values)
    data = function(X.data, values[X.indices])
    return sparse.csr_array((data, X.indices, X.indptr), shape=X.shape)


def _cleared(values, are_out):
    return np.where(are_out, 0, values)


def facts_of(X):
    """(shape, stored numbers, some rows) of a block; of sparse ones no rows."""
    if sparse.issparse(X):
        return X.shape, X.nnz, X[:0]
    count = min(SAMPLED_ROWS, X.shape[0])
    return X.shape, X.size, X[np.linspace(0, X.shape[0] - 1, count).astype(int)]


def center_of(some):
    """A central value of each dense column of some rows; 0 of sparse ones."""
    if sparse.issparse(some):
        return np.zeros(some.shape[1])
    return np.median(some.astype(float), axis=0)


class Looked:
    """What a first look at the chunks has found. `add` takes one block after the other.

    `center` is a central value of each column in the first block, by which sums of squares are
    shifted. `moments` are the sums of `columns.moments`, None if they have not been asked for.
    `reading` is held by the thread that reads a chunk.
    """

    def __init__(self):
        self.dtype, self.sparse, self.columns, self.stored = None, False, 0, 0
        self.digests, self.bounds, self.reading = [], [0], Lock()
        self.center = self.moments = None

    def examine(self, X, has_moments, threads):
        """What `add` takes of a block (n, p) with rows; after the first one has been added, several
        may be examined at once.
        """
        facts, sums = facts_of(X), None
        if has_moments:
            n, codes = X.shape[0], Objective(SquaredError()).codes
            center = center_of(facts[-1]) if self.center is None else self.center
            term = DataTerm(as_rows(X), np.zeros(n), None, np.arange(n), codes, threads)
            with np.errstate(over="ignore", invalid="ignore"):
                sums = moments_of(term, np.ones(X.shape[1]), center)
        return facts, digest_of(X), sums

    def add(self, found):
        """The next block, as it has been examined; None for an empty chunk."""
        facts, digest, sums = found or (None, None, None)
        self.digests.append(digest)
        if facts is None:
            self.bounds.append(self.bounds[-1])
            return
        self.add_facts(*facts)
        if sums is not None:
            if self.moments is None:
                self.moments = np.zeros_like(sums)
            with np.errstate(over="ignore", invalid="ignore"):
                add_moments(*self.moments, sums)

    def add_facts(self, shape, stored, some):
        """The next block, given its `facts_of`."""
        kind = some.dtype, sparse.issparse(some), shape[1]
        self.bounds.append(self.bounds[-1] + shape[0])
        if not shape[0]:
            return
        if self.dtype is None:
            self.dtype, self.sparse, self.columns = kind
            self.center = center_of(some)
        if kind != (self.dtype, self.sparse, self.columns):
            names = {False: "dense", True: "sparse"}
            raise ValueError(
                f"X is {names[kind[1]]} {kind[0]} of {kind[2]} columns, before it was "
                f"{names[self.sparse]} {self.dtype} of {self.columns}"
            )
        self.stored += stored

    def end(self):
        """All blocks have been added."""
        self.bounds = np.array(self.bounds)
        return self
