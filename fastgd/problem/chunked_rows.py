"""Rows that are read chunk by chunk: what the kernels' `Rows` and `DataTerm` are for rows in
memory.

Sums over the chunks are added in their order, so the bits do not depend on threads, nor on whether
a chunk comes from its source or from a cache.
"""

import json
import shutil
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
from fastgd.problem.chunks import in_advance
from fastgd.problem.data import as_rows, check_compressed, distinct_columns
from fastgd.problem.records import Record

# The advice MADV_POPULATE_READ of Linux 5.14 and later, which Python has no name for.
POPULATE_READ = 22
# Rows from which a central value of each column is guessed.
SAMPLED_ROWS = 32


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
    parts = (X.data, X.indices, X.indptr) if sparse.issparse(X) else (X,)
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
    """A folder of blocks as they are used."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def begin(self):
        """Remove what an earlier pass has left."""
        marker = self.folder / "fastgd-chunks.json"
        if self.folder.exists() and any(self.folder.iterdir()) and not marker.exists():
            raise ValueError(
                f"cache={str(self.folder)!r} is a folder with other files: choose an empty one"
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        marker.write_text(json.dumps({"format": 1}))

    def _parts(self, i):
        return [self.folder / f"{i:06}-{name}.npy" for name in ("values", "indices", "indptr")]

    def write(self, i, X):
        """Write block i."""
        parts = (X.data, X.indices, X.indptr) if sparse.issparse(X) else (X,)
        for path, part in zip(self._parts(i), parts, strict=False):
            np.save(path, part)

    def read(self, i, shape):
        """Block i, of this shape: mapped, not copied."""
        values, *structure = [mapped(path) for path in self._parts(i) if path.exists()]
        return sparse.csr_array((values, *structure), shape=shape) if structure else values


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
    def sample(self):
        """Some dense rows, float64."""
        return self._changed(self._looked.sample)

    def times(self, exponents):
        """The same with columns multiplied by powers of two."""
        return self._with(np.ldexp, exponents)

    def without(self, columns):
        """The same with zeros in these columns."""
        return self._with(_cleared, columns)

    def _with(self, function, values):
        changes = *self._changes, (function, values)
        return ChunkedRows(self.chunks, self._looked, self._cache, self.dtype, changes)

    def astype(self, dtype, copy=False):
        """The same in another dtype."""
        return ChunkedRows(self.chunks, self._looked, self._cache, dtype, self._changes)

    def _changed(self, X):
        for function, values in self._changes:
            X = of_columns(function, X, values)
        return X

    @property
    def fingerprint(self):
        """What tells whether the rows are those of an earlier fit."""
        return tuple(self._looked.digests)

    def block(self, i):
        """(X, the number of its first row) of chunk i, which has to be what it was."""
        begin, end = self.bounds[i], self.bounds[i + 1]
        if self._cache:
            X = self._cache.read(i, (end - begin, self.shape[1]))
        else:
            X = as_block(self.chunks.part(i)[0])
            if digest_of(X) != self._looked.digests[i]:
                raise ChangedDataError(
                    f"chunk {i} is not what it was in the first pass: read({i}) has to return the "
                    "same rows each time"
                )
        return self._changed(X.astype(self.dtype, copy=False)), begin

    def blocks(self):
        """Yields `block` of all chunks that have rows."""
        return in_advance(self.block, np.flatnonzero(np.diff(self.bounds)))

    def each(self, term, function, common, of_visits):
        """See `ChunkedTerm`."""
        blocks = in_advance(self.block, [part.chunk for part in term.parts])
        for part, (X, _) in zip(term.parts, blocks, strict=True):
            yield part, function(part.term(X, term.threads), *common, *term.cut(part, of_visits))

    def columns(self, numbers):
        """These columns, of all rows."""
        parts = [X[:, numbers] for X, _ in self.blocks()]
        return sparse.vstack(parts, format="csr") if self.sparse else np.concatenate(parts)


def of_columns(function, X, values):
    """A copy of X with each number x replaced by function(x, what its column has)."""
    if not sparse.issparse(X):
        return function(X, values)
    data = function(X.data, values[X.indices])
    return sparse.csr_array((data, X.indices, X.indptr), shape=X.shape)


def _cleared(values, are_out):
    return np.where(are_out, 0, values)


class Looked:
    """What a first look at the chunks has found. `add` takes one block after the other."""

    def __init__(self, n_chunks):
        self.dtype, self.sparse, self.columns, self.stored = None, False, 0, 0
        self.digests, self.bounds, self._sampled = [], [0], []
        self._each = -(-SAMPLED_ROWS // n_chunks)

    def add(self, X):
        """The next block, (n, p); None for an empty chunk."""
        begin, n = self.bounds[-1], 0 if X is None else X.shape[0]
        self.bounds.append(begin + n)
        self.digests.append(None if X is None else digest_of(X))
        if X is None:
            return
        if self.dtype is None:
            self.dtype, self.sparse, self.columns = X.dtype, sparse.issparse(X), X.shape[1]
        if (X.dtype, sparse.issparse(X)) != (self.dtype, self.sparse):
            kinds = {False: "dense", True: "sparse"}
            raise ValueError(
                f"X is {kinds[sparse.issparse(X)]} {X.dtype}, the chunks before are "
                f"{kinds[self.sparse]} {self.dtype}"
            )
        self.stored += X.nnz if self.sparse else X.size
        picked = np.linspace(0, n - 1, min(self._each, n)).astype(int)
        if not self.sparse:
            self._sampled.append(X[picked].astype(float))

    def end(self):
        """All blocks have been added."""
        self.bounds = np.array(self.bounds)
        self.sample = np.concatenate(self._sampled) if self._sampled else None
        return self


class Part(Record):
    """What the data term of a chunk needs besides its X; `places` are those of its rows among the
    visits.
    """

    chunk: int
    places: slice
    y: np.ndarray
    weights: np.ndarray | None
    visits: np.ndarray
    codes: dict

    def term(self, X, threads):
        """The data term."""
        return DataTerm(as_rows(X), self.y, self.weights, self.visits, self.codes, threads)


class ChunkedTerm:
    """The data term of an objective over chunks; the arguments are those of the kernels'
    `DataTerm`.

    Where a chunk is, one of the functions below works on it; what they return is added up in the
    order of the chunks.
    """

    def __init__(self, rows, y, weights, visits, codes, threads):
        self.rows, self._y, self._weights, self.visits = rows, y, weights, visits
        self.codes, self.threads = codes, threads

    @cached_property
    def of_rows(self):
        """The data term of rows without columns, for kernels that read targets and weights only."""
        nothing = Rows(np.empty((self.rows.shape[0], 0)))
        return DataTerm(nothing, self._y, self._weights, self.visits, self.codes, self.threads)

    @cached_property
    def parts(self):
        """The `Part` of each chunk that has visits."""
        found, targets = [], len(self._y) // max(self.rows.shape[0], 1)
        bounds = self.rows.bounds.tolist()
        places = np.searchsorted(self.visits, bounds).tolist()
        for i, (begin, end) in enumerate(pairwise(bounds)):
            first, last = places[i], places[i + 1]
            if first < last:
                y = self._y[begin * targets : end * targets]
                weights = None if self._weights is None else self._weights[begin:end]
                visits = self.visits[first:last] - begin
                found.append(Part(i, slice(first, last), y, weights, visits, self.codes))
        return found

    def _each(self, function, *common, of_visits=()):
        """Yields (part, function(data term, *common, *its part of each array of the visits))."""
        return self.rows.each(self, function, common, of_visits)

    def cut(self, part, arrays):
        """The part of each array of all visits; of None it is None."""
        found = []
        for array in arrays:
            width = 0 if array is None else len(array) // len(self.visits)
            own = slice(part.places.start * width, part.places.stop * width)
            found.append(None if array is None else array[own])
        return found

    def _share(self, part):
        return (part.places.stop - part.places.start) / len(self.visits)

    def gradient(self, theta, out, margins=None, curvatures=None):
        """As `batch.gradient`."""
        loss, total = 0.0, np.zeros(len(theta))
        each = self._each(_gradient, theta, margins is not None, of_visits=(curvatures,))
        for part, (its_loss, gradient, its_margins) in each:
            loss += its_loss
            total += self._share(part) * gradient
            if margins is not None:
                self.cut(part, [margins])[0][:] = its_margins
        out[:] = total
        return loss

    def gram(self, h, *others):
        """As `gram.products`."""
        *others, out = others
        for part, products in self._each(_gram, out.shape, *others, of_visits=(h,)):
            out += self._share(part) * products

    def moments(self, factor, shift, first, second, largest):
        """As `columns.moments`."""
        for _, sums in self._each(_moments, factor, shift):
            first += sums[0]
            second += sums[1]
            np.maximum(largest, sums[2], out=largest)

    def column_products(self, shift, out):
        """As `products.column_products`."""
        out[:] = 0
        for _, products in self._each(_column_products, shift):
            out += products


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


def _column_products(term, shift):
    out = np.empty((len(shift), len(shift)))
    products.column_products(term, shift, out)
    return out
