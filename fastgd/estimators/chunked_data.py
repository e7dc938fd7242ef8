"""Users' chunks: the first look at them, predictions, and streams."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from sklearn import config_context, get_config
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from fastgd.estimators.base import about
from fastgd.estimators.parameters import thread_count
from fastgd.problem.chunk_cache import Cache, DamagedCacheError
from fastgd.problem.chunked_rows import ChunkedRows, Looked, shared
from fastgd.problem.chunks import Chunks, at_once, in_advance
from fastgd.problem.data import distinct_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from fastgd.problem.array_types import Array, Matrix, PredictsRows, Rows

# Fewer rows than columns are held in memory up to this number of bytes, where methods for such data
# are found.
FEW_BYTES = 2**26
MESSAGE = "y and sample_weight of chunks are read with them: give X alone"
NO_ROWS = (None, None, None)  # X, y and weights for validation
# What to do with chunks instead of choosing a model by cross-validation.
SELECTION_OF_CHUNKS = "fit each candidate to chunks of training rows, and score it on other rows"


def check_in_memory(model, X, instead):
    """Refuse chunks, and rows on the workers of a cluster; say what to do instead."""
    if isinstance(X, Chunks) or hasattr(X, "placed_for"):
        raise TypeError(
            f"{type(model).__name__} needs X in memory, got {type(X).__name__}: {instead}"
        )


def look(model, chunks, reset):
    """(rows, y, sample_weight) of chunks, from a first pass over them; `reset` says that they set
    the number and the names of the columns.
    """
    if not reset:
        check_is_fitted(model)
    looked, targets, weights = Looked(), [], []
    cache = Cache(chunks.cache) if chunks.cache else None
    sources = chunks.sources
    is_here = cache and cache.holds(sources)
    if cache and not is_here:
        cache.begin()
    try:
        with _names_known(chunks):
            examined = _examined(model, chunks, looked, cache, is_here, reset)
            for i, (found, y, sample_weight) in enumerate(examined):
                with about(f"chunk {i}"):
                    looked.add(found)
                if found:
                    targets.append(y)
                    weights.append(sample_weight)
    except DamagedCacheError:
        # An empty chunk has no file, so a damaged file means that the sources are read again.
        cache.begin()
        return look(model, chunks, reset)
    if cache and not is_here:
        # Objects, such as strings of variable length, are not cached.
        has_objects = any(part is not None and part.dtype == object for part in targets + weights)
        cache.end(None if has_objects else sources)
    if looked.dtype is None:
        raise ValueError(f"All {len(chunks)} chunks are empty: there are 0 samples.")
    if chunks.feature_names is not None:
        model._see_columns(looked.columns, chunks.feature_names, reset)
    rows = ChunkedRows(chunks, looked.end(), cache)
    rows = in_memory_if_few(rows) if model._holds_few_rows else rows
    return rows, _joined("y", targets), _joined("sample_weight", weights)


def _examined(model, chunks, looked, cache, is_here, reset):
    """Yields (what `looked` finds of X, y, sample_weight) of each chunk, of empty ones None each;
    after the first one with rows several are examined at once. They are written to a cache, or
    `is_here` says that it has them.
    """
    some, each = shared(thread_count(model.n_jobs), chunks)
    settings, numbers = get_config(), iter(range(len(chunks)))

    def read(i):
        if is_here:
            return cache.part(i)
        with looked.reading:
            return chunks.part(i)

    def examine(part, i):
        X, y, sample_weight = part
        if X is None or not X.shape[0]:
            return None, None, None
        with about(f"chunk {i}"), config_context(**settings):
            X = distinct_columns(model._check_X(X, reset=reset and looked.dtype is None))
            check_consistent_length(X, y, sample_weight)
            found = looked.examine(X, model._needs_moments and sample_weight is None, each)
        y, sample_weight = map(_as_array, (y, sample_weight))
        if cache and not is_here:
            cache.write(i, X, y, sample_weight)
        return found, y, sample_weight

    for i in numbers:
        yield examine(read(i), i)
        if looked.dtype is not None:
            break
    yield from at_once(read, examine, [(i,) for i in numbers], some)


def in_memory_if_few(rows):
    """Rows in chunks, or the matrix of them if they are fewer than the columns and not large."""
    is_few = rows.shape[0] <= rows.shape[1] and rows.bytes <= FEW_BYTES
    return rows.columns(slice(None)) if is_few else rows


def _as_array(values):
    """A copy of targets or weights; None for None."""
    return None if values is None else np.array(_dense(values))


def _dense(values):
    """Values, those of a sparse matrix, as labels may be, as an array."""
    return values.toarray() if sparse.issparse(values) else values


def _joined(name, parts):
    """The parts of all chunks in one array; None if no chunk has any."""
    if all(part is None for part in parts):
        return None
    if any(part is None for part in parts):
        raise ValueError(f"some chunks have {name}, others have none")
    parts = [np.asarray(_dense(part)) for part in parts]
    kinds = sorted({part.dtype.kind for part in parts} - set("biu"))
    if len(kinds) > 1:
        raise ValueError(f"{name} has dtypes of the kinds {kinds} in different chunks")
    return np.concatenate(parts)


def opened(model, X, y, sample_weight, reset=True):
    """(X, y, sample_weight), those of chunks after a first look at them."""
    if hasattr(X, "placed_for"):  # on the workers of a cluster
        return X.placed_for(model, reset)
    if not isinstance(X, Chunks):
        return X, y, sample_weight
    if y is not None or sample_weight is not None:
        raise ValueError(MESSAGE)
    return look(model, X, reset)


def by_chunks(predict: Callable[..., Array]) -> PredictsRows:
    """Of a method of X: of `Chunks` it yields the result of one chunk after the other."""

    @wraps(predict)
    def of_chunks(self, X):
        if isinstance(X, Chunks):
            return _predictions(self, predict, X)
        return predict(self, X)

    return of_chunks


def _predictions(model, predict, chunks):
    """Yields the result for each chunk that has rows."""
    check_is_fitted(model)
    model._see_columns(model.n_features_in_, chunks.feature_names, reset=False)
    for X, _, _ in chunks:
        if X.shape[0]:
            with _names_known(chunks):
                predicted = predict(model, X)
            yield predicted


@contextmanager
def _names_known(chunks):
    """Without warnings that arrays have no names, if the chunks know them: they are compared."""
    with warnings.catch_warnings():
        if chunks.feature_names is not None:
            warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        yield


class TakesChunks:
    """Base of models whose `score` takes chunks."""

    def score(
        self, X: Rows, y: Matrix | None = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """scikit-learn's score: the accuracy of labels, R^2 of values.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Rows; `Chunks` hold y and the weights too.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Labels or targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
        """
        X, y, sample_weight = opened(self, X, y, sample_weight, reset=False)
        return super().score(X, y, sample_weight)


def follow(model, chunks, y, sample_weight, **others):
    """Train for one epoch on chunks as on a stream: on the mixed rows of `chunks.shuffle` chunks at
    a time.
    """
    if y is not None or sample_weight is not None:
        raise ValueError(MESSAGE)
    number, names = 0, chunks.feature_names
    is_new = not hasattr(model, "history_")
    if not is_new:
        number = len(model.history_["loss"])
        model._see_columns(model.n_features_in_, names, reset=False)
    model._expects_drift = False  # other chunks differ, and will come again
    pools = chunks.pools(number)
    read = in_advance(chunks.part, [i for pool in pools for i in pool])
    try:
        for pool in pools:
            parts = []
            for i, part in zip(pool, read, strict=False):
                if part[0].shape[0]:
                    with about(f"chunk {i}"), _names_known(chunks):
                        model._check_X(part[0], reset=is_new)
                        check_consistent_length(*part)
                    parts.append(part)
                    is_new = False
            if parts:
                blocks, targets, weights = zip(*parts, strict=True)
                del parts
                y, sample_weight = _joined("y", targets), _joined("sample_weight", weights)
                if sample_weight is not None and not np.any(sample_weight):
                    continue
                with _names_known(chunks):
                    model.partial_fit(_stacked(blocks), y, sample_weight=sample_weight, **others)
                if names is not None and not hasattr(model, "feature_names_in_"):
                    model._see_columns(model.n_features_in_, names, reset=True)
    finally:
        del model._expects_drift
    return model


def _stacked(parts):
    """Blocks, or frames, one below the other."""
    if len(parts) == 1:
        return parts[0]
    if sparse.issparse(parts[0]):
        return sparse.vstack(parts, format="csr")
    if hasattr(parts[0], "columns"):
        from pandas import concat

        return concat(parts)
    return np.concatenate([np.asarray(part) for part in parts])
