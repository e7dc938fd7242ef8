"""Ratings that are read chunk by chunk."""

from math import ceil

import numpy as np
from scipy import sparse

from fastgd.estimators.base import about
from fastgd.estimators.chunked_data import MESSAGE
from fastgd.estimators.ratings import (
    RatingCounts,
    Ratings,
    Statistics,
    as_interactions,
    columns_of,
    merged,
    names_of,
    raise_none_left,
)
from fastgd.kernels.digest import checksum
from fastgd.methods.matrix_factorization import Grids
from fastgd.problem.chunk_cache import Cache, DamagedCacheError
from fastgd.problem.chunked_rows import ChangedDataError
from fastgd.problem.chunks import Chunks, in_advance

# Pairs wait to be merged into the matrix of who has met what until they are this share of those in
# it, and so many. With this share a fit of 10 million ratings peaks at 12 bytes a rating, and the
# merges together copy each pair some five times.
PENDING_SHARE, MIN_PENDING_PAIRS = 0.25, 2**17


def ratings_of(state, X, y):
    """The ratings that a fit trains on, whose users and items `state` learns."""
    if not isinstance(X, Chunks):
        return Ratings(state, X, y)
    if y is not None:
        raise ValueError(MESSAGE)
    return ChunkedRatings(state, X)


def interactions_of(X, y, values):
    """Yields (users, items, values) of X and y, as `as_interactions`; of `Chunks` those of one
    chunk after the other, without those that have no ratings.
    """
    if not isinstance(X, Chunks):
        yield as_interactions(X, y, values)
        return
    if y is not None:
        raise ValueError(MESSAGE)
    begin = 0
    for i, part in enumerate(X):
        with about(f"chunk {i}"):
            found = _interactions(*part, values, begin)
        begin += _row_count(part[0])
        if found is not None:
            yield found


def _row_count(X):
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _interactions(X, y, sample_weight, values, begin):
    """(users, items, values) of a chunk, None if it has no ratings; users of a sparse one are
    numbered from `begin`.
    """
    if sample_weight is not None:
        raise ValueError("ratings have no sample_weight: chunks are X or (X, y)")
    is_sparse = sparse.issparse(X)
    if not _row_count(X) or (is_sparse and not X.nnz):
        return None
    users, items, values = as_interactions(X, y, values)
    return (users.astype(np.int64) + begin if is_sparse else users), items, values


def _form(X):
    """What all chunks have in common, in words."""
    if sparse.issparse(X):
        return f"a sparse matrix of {X.shape[1]} columns"
    names = names_of(X)
    if names is not None:
        return f"a data frame of the columns {list(names)}"
    return f"rows of {len(columns_of(X[:1]))} columns"


def _digest(*arrays):
    return tuple(checksum(np.ascontiguousarray(a).view(np.uint8)) for a in arrays)


class ChunkedRatings:
    """Ratings in chunks: what `Ratings` are for those in memory.

    The first pass learns users and items, and counts. Of each rating only who has met what stays in
    memory, as a matrix of booleans.
    """

    def __init__(self, state, chunks):
        self._chunks, self._state = chunks, state
        self._cache = Cache(chunks.cache) if chunks.cache else None
        # Of each chunk the number of its first row, its ratings and their digest; how many of them
        # are held out, and the seed that decides which.
        self._begins, self._sizes, self.fingerprint = [0], [], ()
        self._held_out, self._seed = np.zeros(len(chunks), int), 0
        self.statistics, self._counts, self.met = None, RatingCounts.empty(), ()
        if self._cache:
            self._cache.begin()
        form = None
        for i, (X, *others) in enumerate(chunks):
            with about(f"chunk {i}"):
                if _row_count(X):
                    own, form = _form(X), form or _form(X)
                    if own != form:
                        raise ValueError(f"X is {own}, before it was {form}")
                found = _interactions(X, *others, state.default, self._begins[-1])
                if found is not None:
                    state.check(found[2])
                    found = *state.learn(*found[:2]), found[2]
            self._begins.append(self._begins[-1] + _row_count(X))
            self._sizes.append(0 if found is None else len(found[2]))
            self.fingerprint += (None if found is None else _digest(*found),)
            if found is not None:
                self._take_in(i, *found)
        if self._cache:
            self._cache.end(None)  # the numbers of users and items are those of this fit
        if self.statistics is None:
            raise ValueError(f"All {len(chunks)} chunks are empty: there are 0 samples.")
        self.count, self.arrays = sum(self._sizes), (self,)
        self.per_sweep = ceil(self.count / len(chunks.pools()))

    def _take_in(self, i, users, items, values):
        """Count the ratings of a chunk, and remember who has met what."""
        if self._cache:
            self._cache.write(i, np.stack([users, items]), values, None)
        known = Statistics.of(values)
        self.statistics = self.statistics.merge(known) if self.statistics else known
        self._counts.add(RatingCounts.of(users, items, values))
        self.met = *self.met, (users, items)
        waiting = sum(len(part[0]) for part in self.met if isinstance(part, tuple))
        merged_pairs = sum(part.nnz for part in self.met if not isinstance(part, tuple))
        if waiting >= max(MIN_PENDING_PAIRS, PENDING_SHARE * merged_pairs):
            self.met = (merged(self.met, tuple(len(side.ids) for side in self._state.sides)),)

    def _part(self, i):
        """(users, items, values) of chunk i by numbers, which have to be what they were; None if it
        is empty.
        """
        if not self._sizes[i]:
            return None
        why = f"read({i}) has to return the same ratings each time"
        try:
            if self._cache:
                (users, items), values, _ = self._cache.part(i)
                return users, items, values
        except DamagedCacheError as error:
            found, why = None, f"{error}, or another fit wrote it"
        else:
            found = self._read(i)
        if found is None or _digest(*found) != self.fingerprint[i]:
            raise ChangedDataError(f"chunk {i} is not what it was in the first pass: {why}")
        return found

    def _read(self, i):
        """The same from its source."""
        part, state = self._chunks.part(i), self._state
        with about(f"chunk {i}"):
            found = _interactions(*part, state.default, self._begins[i])
            if found is None:
                return None
            sides = zip(state.sides, found[:2], strict=True)
            return *(side.ids.numbers(column) for side, column in sides), found[2]

    def split(self, share, rng):
        """Hold out this share, of each chunk about the same one."""
        ends = np.ceil(share * np.cumsum([0, *self._sizes])).astype(int)
        self._held_out, self._seed = np.diff(ends), int(rng.integers(2**32))
        if ends[-1] == self.count:
            raise_none_left(share, self.count)

    def _is_held_out(self, i):
        """Which ratings of chunk i are held out."""
        mask = np.zeros(self._sizes[i], bool)
        order = np.random.default_rng([self._seed, i]).permutation(self._sizes[i])
        mask[order[: self._held_out[i]]] = True
        return mask

    def counts(self, shape):
        """The `RatingCounts` of all ratings."""
        return self._counts.padded(shape)

    def training_counts(self, shape):
        """The `RatingCounts` of those to train on."""
        if not self._held_out.any():
            return self.counts(shape)
        counts = RatingCounts.empty(shape)
        for ratings in self._pools([[i] for i in range(len(self._chunks))], False):
            counts.add(RatingCounts.of(*ratings))
        return counts

    def grids(self, as_grid):
        """The `Grids` to train on; `as_grid` makes one of ratings."""
        return self._grids(as_grid, False, self.count - int(self._held_out.sum()))

    def held_out_grids(self, as_grid):
        """Those held out; None if there are none."""
        size = int(self._held_out.sum())
        return self._grids(as_grid, True, size) if size else None

    def _grids(self, as_grid, held_out, size):
        def make(number):
            for ratings in self._pools(self._chunks.pools(number), held_out):
                yield as_grid(*ratings)

        return Grids(make, size)

    def _pools(self, pools, held_out):
        """Yields (users, items, values) of each of these lists of chunks: those held out, or those
        to train on.
        """
        read = in_advance(self._part, [i for pool in pools for i in pool])
        for pool in pools:
            parts = []
            for i, part in zip(pool, read, strict=False):
                if part is not None and self._held_out.any():
                    own = self._is_held_out(i) == held_out
                    part = tuple(column[own] for column in part)
                if part is not None:
                    parts.append(part)
            ratings = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
            if ratings and len(ratings[0]):
                yield ratings
