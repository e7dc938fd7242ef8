"""Rows that are read chunk by chunk: what the kernels' `Rows` and `DataTerm` are for rows in
memory.

Sums over the chunks are added in their order, so the bits do not depend on threads, nor on whether
a chunk comes from its source or from a cache.
"""

import json
from contextlib import suppress
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from fastgd.kernels import batch, gram, products
from fastgd.kernels.columns import moments
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.digest import checksum
from fastgd.kernels.rows import Rows
from fastgd.kernels.threads import maximum as max_threads
from fastgd.problem.chunks import in_advance
from fastgd.problem.data import as_rows, check_compressed, distinct_columns
from fastgd.problem.losses import SquaredError
from fastgd.problem.objective import Objective
from fastgd.problem.records import Record
from fastgd.problem.seed import seed_of

# The advice MADV_POPULATE_READ of Linux 5.14 and later, which Python has no name for.
POPULATE_READ = 22
# Rows from which a central value of each column is guessed.
SAMPLED_ROWS = 32


# The files of a cache's blocks.
BLOCK_FILES = "[0-9]*-*.npy"


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


def mapped(path):
    """The array of a file, mapped into memory, with all its pages."""
    array = np.load(path, mmap_mode="r")
    # Where the system cannot, the pages come when they are needed.
    with suppress(OSError, ValueError, AttributeError):
        array._mmap.madvise(POPULATE_READ)
    return np.asarray(array)


class Cache:
    """A folder of blocks as they are used, with their targets and weights."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._marker = self.folder / "fastgd-chunks.json"

    def holds(self, sources):
        """Whether all blocks of these sources are here."""
        if sources is None or not self._marker.exists() or self._known()["sources"] != sources:
            return False
        return len(list(self.folder.glob(BLOCK_FILES))) == self._known()["files"]

    def _known(self):
        try:
            return {"sources": None, "files": 0} | json.loads(self._marker.read_text())
        except ValueError:
            return {"sources": None, "files": 0}

    def begin(self):
        """Remove what an earlier pass has left."""
        if self.folder.exists() and any(self.folder.iterdir()) and not self._marker.exists():
            raise ValueError(
                f"cache={str(self.folder)!r} is a folder with other files: choose an empty one"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob(BLOCK_FILES):
            path.unlink()
        self.end(None)

    def end(self, sources):
        """All blocks of these sources have been written."""
        files = len(list(self.folder.glob(BLOCK_FILES)))
        self._marker.write_text(json.dumps({"sources": sources, "files": files}))

    def _path(self, i, name):
        return self.folder / f"{i:06}-{name}.npy"

    def write(self, i, X, y, sample_weight):
        """Write block i."""
        parts = {"values": X}
        if sparse.issparse(X):
            parts = {"values": X.data, "indices": X.indices, "indptr": X.indptr}
            parts["shape"] = np.array(X.shape)
        parts |= {"y": y, "weight": sample_weight}
        for name, part in parts.items():
            if part is not None and part.dtype != object:
                np.save(self._path(i, name), part)

    def read(self, i):
        """X of block i: mapped, not copied."""
        parts = [self._path(i, name) for name in ("values", "indices", "indptr", "shape")]
        values, *structure = [mapped(path) for path in parts if path.exists()]
        if not structure:
            return values
        return sparse.csr_array((values, *structure[:2]), shape=tuple(structure[2].tolist()))

    def part(self, i):
        """(X, y, sample_weight) of block i; None for an empty chunk."""
        if not self._path(i, "values").exists():
            return None, None, None
        others = [self._path(i, name) for name in ("y", "weight")]
        return self.read(i), *(np.load(path) if path.exists() else None for path in others)


class ChunkedRows:
    """X in chunks, after a first look at each of them: its shape and type, and how it is read
    again.

    `bounds` (chunks + 1,) are the numbers of the chunks' first rows. `changes` are functions of
    each block and what they need for its columns, see `of_columns`.
    """

    def __init__(self, chunks, looked, cache=None, dtype=None, changes=()):
        self.chunks, self._looked, self._cache, self._changes = chunks, looked, cache, changes
        self.dtype, self.sparse = np.dtype(dtype or looked.dtype), looked.sparse
        self.bounds, self.stored = looked.bounds, looked.stored
        self.shape = int(looked.bounds[-1]), looked.columns
        self.bytes = looked.stored * (self.dtype.itemsize + 4 * self.sparse)

    @property
    def center(self):
        """A central value of each dense column."""
        return self.changed(self._looked.center[None], self._changes)[0]

    def times(self, exponents):
        """The same with columns multiplied by powers of two."""
        return self._with(np.ldexp, exponents)

    def moments(self, weights, visits):
        """The sums of `columns.moments` about `center`, if the first look has them."""
        is_plain = weights is None and len(visits) == self.shape[0] and not self._changes
        return self._looked.moments if is_plain and self.dtype == self._looked.dtype else None

    def without(self, columns):
        """The same with zeros in these columns."""
        return self._with(_cleared, columns)

    def _with(self, function, values):
        changes = *self._changes, (function, values)
        return type(self)(self.chunks, self._looked, self._cache, self.dtype, changes)

    def astype(self, dtype, copy=False):
        """The same in another dtype."""
        return type(self)(self.chunks, self._looked, self._cache, dtype, self._changes)

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
        return self._checked(i, self._read(i))

    def _read(self, i):
        return self._cache.read(i) if self._cache else self.chunks.part(i)[0]

    def _checked(self, i, X):
        X = X if self._cache else as_block(X)
        if digest_of(X) != self._looked.digests[i]:
            why = f"read({i}) has to return the same rows each time"
            if self._cache:
                why = f"cache={str(self._cache.folder)!r} was written by another fit"
            raise ChangedDataError(f"chunk {i} is not what it was in the first pass: {why}")
        return self.changed(X.astype(self.dtype, copy=False), self._changes)

    def map(self, function, jobs):
        """Yields function(X of a chunk, *arguments) for each job (chunk, *arguments), in turn."""
        given = in_advance(self._read, [chunk for chunk, *_ in jobs])
        for X, (chunk, *arguments) in zip(given, jobs, strict=True):
            yield function(self._checked(chunk, X), *arguments)
            del X

    def joined(self, pools):
        """Yields (X of some chunks, their numbers) for each of these lists of numbers."""
        for pool in pools:
            blocks = in_advance(self.block, pool)
            if self.sparse:
                yield sparse.vstack(list(blocks), format="csr"), pool
                continue
            begins = np.cumsum([0, *(self.bounds[i + 1] - self.bounds[i] for i in pool)])
            X = np.empty((begins[-1], self.shape[1]), self.dtype)
            for block, begin in zip(blocks, begins, strict=False):
                X[begin : begin + len(block)] = block
                del block
            yield X, pool

    def places(self, visits):
        """{chunk: the places of its rows among the visits}, of chunks that have any."""
        ends = np.searchsorted(visits, self.bounds).tolist()
        return {i: slice(*own) for i, own in enumerate(pairwise(ends)) if own[0] < own[1]}

    def parts(self, y, weights, visits):
        """{chunk: its `Part`} of chunks with visits."""
        targets, found = len(y) // max(self.shape[0], 1), {}
        for i, places in self.places(visits).items():
            begin, end = self.bounds[i : i + 2]
            of_chunk = y[begin * targets : end * targets], None
            if weights is not None:
                of_chunk = of_chunk[0], weights[begin:end]
            found[i] = Part(*of_chunk, visits[places] - begin)
        return found

    def columns(self, numbers):
        """These columns, of all rows."""
        jobs = [(i, numbers) for i in np.flatnonzero(np.diff(self.bounds))]
        parts = list(self.map(_columns, jobs))
        return sparse.vstack(parts, format="csr") if self.sparse else np.concatenate(parts)


def _columns(X, numbers):
    return X[:, numbers]


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


class Looked:
    """What a first look at the chunks has found. `add` takes one block after the other.

    `center` is a central value of each column in the first block, by which sums of squares are
    shifted. `moments` are the sums of `columns.moments`, None if they have not been asked for.
    """

    def __init__(self):
        self.dtype, self.sparse, self.columns, self.stored = None, False, 0, 0
        self.digests, self.bounds = [], [0]
        self.center = self.moments = None

    def add(self, X, has_moments=False):
        """The next block, (n, p); None for an empty chunk."""
        self.digests.append(None if X is None else digest_of(X))
        if X is None:
            self.bounds.append(self.bounds[-1])
            return
        self.add_facts(*facts_of(X))
        if has_moments:
            self._add_moments(X)

    def _add_moments(self, X):
        n, p = X.shape
        if self.moments is None:
            self.moments = np.zeros((3, p))
        codes = Objective(SquaredError()).codes
        term = DataTerm(as_rows(X), np.zeros(n), None, np.arange(n), codes, max_threads())
        with np.errstate(over="ignore", invalid="ignore"):
            _add_moments(*self.moments, _moments(term, np.ones(p), self.center))

    def add_facts(self, shape, stored, some):
        """The next block, given its `facts_of`."""
        kind = some.dtype, sparse.issparse(some), shape[1]
        self.bounds.append(self.bounds[-1] + shape[0])
        if not shape[0]:
            return
        if self.dtype is None:
            self.dtype, self.sparse, self.columns = kind
            self.center = np.zeros(shape[1])
            if not self.sparse:
                self.center = np.median(some.astype(float), axis=0)
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


class Part(Record):
    """What the data term of a chunk needs besides its X; `name` is one of its own, where it is sent
    to another process.
    """

    y: np.ndarray
    weights: np.ndarray | None
    visits: np.ndarray
    name: str | None = None


def of_term(X, part, codes, threads, function, common, arrays):
    """function(data term of a chunk, *common, *arrays)"""
    term = DataTerm(as_rows(X), part.y, part.weights, part.visits, codes, threads)
    return function(term, *common, *arrays)


class ChunkedTerm:
    """The data term of an objective over chunks; the arguments are those of the kernels'
    `DataTerm`.

    Where a chunk is, one of the functions below works on it; what they return is added up in the
    order of the chunks.
    """

    def __init__(self, rows, y, weights, visits, codes, threads):
        self.rows, self._y, self._weights, self._visits = rows, y, weights, visits
        self._codes, self._threads = codes, threads

    @cached_property
    def of_rows(self):
        """The data term of rows without columns, for kernels that read targets and weights only."""
        nothing = Rows(np.empty((self.rows.shape[0], 0)))
        return DataTerm(nothing, self._y, self._weights, self._visits, self._codes, self._threads)

    def _each(self, function, *common, of_visits=()):
        """Yields (the places of its rows among the visits, result of the function) of each chunk;
        the function gets a data term, `common` and its part of each array of the visits.
        """
        places = self.rows.places(self._visits)
        parts = self.rows.parts(self._y, self._weights, self._visits)
        jobs = [
            (i, parts[i], self._codes, self._threads, function, common, self._cut(own, of_visits))
            for i, own in places.items()
        ]
        return zip(places.values(), self.rows.map(of_term, jobs), strict=True)

    def _cut(self, places, arrays):
        """The part of each array of all visits; of None it is None."""
        found = []
        for array in arrays:
            width = 0 if array is None else len(array) // len(self._visits)
            own = slice(places.start * width, places.stop * width)
            found.append(None if array is None else array[own])
        return found

    def _share(self, places):
        return (places.stop - places.start) / len(self._visits)

    def _pools(self, number=0):
        """Lists of the chunks that a stream holds at a time."""
        filled = self.rows.places(self._visits)
        pools = self.rows.chunks.pools(number)
        return [kept for pool in pools if (kept := [i for i in pool if i in filled])]

    def updates(self, size):
        """The number of batches of this size of all pools."""
        places = self.rows.places(self._visits)
        counts = [sum(places[i].stop - places[i].start for i in pool) for pool in self._pools()]
        # In another order chunks of other sizes share a pool.
        return sum(-(-count // size) for count in counts) + len(counts) * bool(np.ptp(counts))

    def pools(self, number, random_state, shuffles):
        """Yields the data term of the rows that a stream holds at a time, in the order of pass
        `number`.
        """
        parts = self.rows.parts(self._y, self._weights, self._visits)
        seed = [seed_of(random_state), number] if shuffles else None
        for X, pool in self.rows.joined(self._pools(number)):
            of_pool = [parts[i] for i in pool]
            y = np.concatenate([part.y for part in of_pool])
            weights = None
            if self._weights is not None:
                weights = np.concatenate([part.weights for part in of_pool])
            begins = np.cumsum([0, *(self.rows.bounds[i + 1] - self.rows.bounds[i] for i in pool)])
            visits = [part.visits + begin for part, begin in zip(of_pool, begins, strict=False)]
            visits = np.concatenate(visits)
            if shuffles:
                np.random.default_rng([*seed, pool[0]]).shuffle(visits)
            yield DataTerm(as_rows(X), y, weights, visits, self._codes, self._threads)

    def gradient(self, theta, out, margins=None, curvatures=None):
        """As `batch.gradient`."""
        loss, total = 0.0, np.zeros(len(theta))
        each = self._each(_gradient, theta, margins is not None, of_visits=(curvatures,))
        for places, (its_loss, gradient, its_margins) in each:
            loss += its_loss
            total += self._share(places) * gradient
            if margins is not None:
                self._cut(places, [margins])[0][:] = its_margins
        out[:] = total
        return loss

    def gram(self, h, *others):
        """As `gram.products`."""
        *others, out = others
        for places, part in self._each(_gram, out.shape, *others, of_visits=(h,)):
            out += self._share(places) * part

    def moments(self, factor, shift, first, second, largest):
        """As `columns.moments`."""
        for _, sums in self._each(_moments, factor, shift):
            _add_moments(first, second, largest, sums)

    def column_products(self, shift, out):
        """As `products.column_products`."""
        out[:] = 0
        for _, part in self._each(_column_products, shift):
            out += part


def _gradient(term, theta, has_margins, curvatures):
    """(loss, gradient, margins or None)"""
    gradient = np.empty_like(theta)
    margins = np.empty(term.size) if has_margins else None
    return batch.gradient(term, theta, gradient, margins, curvatures), gradient, margins


def _gram(term, shape, columns, place, last, metric, ones, h):
    out = np.zeros(shape, order="F")
    gram.products(term, h, columns, place, last, metric, ones, out)
    return out


def _moments(term, factor, shift):
    sums = np.zeros((3, len(factor)))
    moments(term, factor, shift, *sums)
    return sums


def _add_moments(first, second, largest, sums):
    first += sums[0]
    second += sums[1]
    np.maximum(largest, sums[2], out=largest)


def _column_products(term, shift):
    out = np.empty((len(shift), len(shift)))
    products.column_products(term, shift, out)
    return out
