"""Conversion of users' ratings: (user, item, rating) columns, indices of ids, ratings on a grid."""

from collections import Counter
from math import isinf

import numpy as np
from scipy import sparse
from sklearn.utils import check_consistent_length, column_or_1d

from fastgd.kernels.factorization import Grid
from fastgd.methods.stream import pooled
from fastgd.problem.data import check_compressed
from fastgd.problem.records import Record

# Ratings per cell of the grid: with fewer, the overhead of a cell counts.
MIN_RATINGS_PER_CELL = 1000
# Ratings are constant if their standard deviation is at most this share of their mean: rounding.
CONSTANT_RATING_TOLERANCE = 4 * np.finfo(float).eps
# Blocks of users, and of items, of the grid, at most.
MAX_BLOCKS = 64


def columns_of(X):
    """The columns of a data frame, an array, a sequence of rows or a sparse matrix (which has
    three), as arrays.
    """
    if sparse.issparse(X):
        check_compressed(X)
        X = X.tocoo()
        rows, columns = X.coords if hasattr(X, "coords") else (X.row, X.col)
        return [rows, columns, X.data]
    if isinstance(X, np.ndarray):
        check_unmasked(X, "X")
        if X.dtype.names:
            return [X[name] for name in X.dtype.names]
        if X.ndim != 2:
            raise ValueError(
                f"X must have two dimensions, its shape is {X.shape}. Reshape your data: a row is "
                "a pair (user, item) "
                "or a triple (user, item, rating)"
            )
        return list(X.T)
    names = names_of(X)
    if names is not None:
        return [np.asarray(X[name]) for name in names]
    try:
        rows = [tuple(row) for row in X]
        width = len(rows[0]) if rows else 2
        return [as_column(values) for values in zip(*rows, strict=True)] or [np.empty(0)] * width
    except (TypeError, ValueError) as error:
        raise ValueError(
            "X must be a sparse matrix, an array, a data frame, or a sequence of rows (user, "
            "item) or (user, item, "
            f"rating) of one length: {error}"
        ) from error


def names_of(X):
    """The names of a data frame's columns, which must differ; None: X is no data frame."""
    names = getattr(X, "column_names", None)  # pyarrow's; in a pandas frame that would be a column
    names = names if isinstance(names, list) else getattr(X, "columns", None)
    for name, count in Counter(() if names is None else names).items():
        if count > 1:
            raise ValueError(f"X has duplicate column names: {name!r} is there {count} times")
    return names


def check_unmasked(values, name):
    """Refuse masked entries: conversion would expose what lies under the mask."""
    if np.ma.is_masked(values):
        count = np.ma.count_masked(values)
        raise ValueError(f"{name} must not have missing entries, {count} are masked")


def is_missing(value):
    """Whether a value is None, NaN, NaT or pandas.NA."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # what pandas.NA says to any comparison
        return True


def is_infinite(value):
    return isinstance(value, (float, np.floating)) and isinf(value)


def as_column(values):
    """An array of one entry a value, numeric where all values are numbers."""
    plain = all(isinstance(value, (int, float, np.number)) for value in values)
    return np.asarray(values) if plain else np.fromiter(values, dtype=object, count=len(values))


def as_interactions(X, y=None, values=None):
    """(users, items, values): ids and numbers.

    `y` goes before a column of ratings; `values` is what missing ones are (None: they must not be
    missing).
    """
    columns = columns_of(X)
    count = len(columns[0]) if columns else len(X)
    shape = f"(shape=({count}, {len(columns)}))"
    if any(np.iscomplexobj(column) for column in columns):
        raise ValueError("Complex data not supported: ids and ratings must be real")
    if not 2 <= len(columns) <= 3:
        found = (
            f"Found array with {len(columns)} feature(s) {shape} while a minimum of 2 is required"
        )
        raise ValueError(
            f"{found}, and 3 at most: the columns of X are (user, item) or (user, item, rating)"
        )
    if not count:
        raise ValueError(
            f"Found array with 0 sample(s) {shape} while a minimum of 1 is required: X has no "
            "ratings"
        )
    if y is not None:
        if sparse.issparse(X):
            raise ValueError("The entries of a sparse X are the ratings, so y must be None")
        check_consistent_length(columns[0], y)
        check_unmasked(y, "y")
        return *columns[:2], _numbers(column_or_1d(y, warn=True), "y")
    if len(columns) == 3:
        return *columns[:2], _numbers(columns[2], "ratings")
    if values is None:
        raise ValueError(
            "This MatrixFactorization estimator requires y to be passed, but the target y is "
            "None: X has no column of "
            "ratings"
        )
    return *columns, np.full(count, values)


def _numbers(values, name):
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        missing = [row for row, value in enumerate(values) if is_missing(value)]
        if missing:
            row = missing[0]
            raise ValueError(
                f"{name} must be finite, entry {row} is missing: {values[row]}"
            ) from error
        raise ValueError(f"{name} must hold numbers: {error}") from error
    if np.iscomplexobj(values):
        raise ValueError(f"Complex data not supported: {name} must be real")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be finite, it contains NaN or infinity")
    return numbers


class Statistics(Record):
    """Number, mean and standard deviation of values; 0 where they differ by rounding only."""

    count: int
    mean: float
    spread: float

    @classmethod
    def of(cls, values):
        """The statistics of values, without squares that overflow or underflow."""
        least, most = float(values.min()), float(values.max())
        size = most - least
        if not 0 < size < np.inf:
            return cls(len(values), least, size)
        shares = (values - least) / size
        mean, spread = float(shares.mean()), float(shares.std())
        return cls(len(values), least + size * mean, size * spread)._rounded()

    def merge(self, other):
        """The statistics of both sets of values."""
        count = self.count + other.count
        part = other.count / count
        center, spread = pooled(self.mean, self.spread, other.mean, other.spread, part)
        return Statistics(count, float(center), float(spread))._rounded()

    def _rounded(self):
        if self.spread <= CONSTANT_RATING_TOLERANCE * abs(self.mean):
            self.spread = 0.0
        return self


def distinct_values(column):
    """(values, inverse): a list, and an array such that the column is ``values[inverse]``; None for
    objects: it is the values.
    """
    if column.dtype.kind in "OV":
        return column.tolist(), None
    if column.dtype.kind == "f":
        whole = column.astype(np.int64) if (abs(column) < 2**53).all() else column
        column = whole if (whole == column).all() else column
    if column.dtype.kind in "iu":
        least = column.min(initial=0)
        if (
            int(column.max(initial=0)) - int(least) < 4 * len(column) + 1000
        ):  # a table costs less than sorting
            column = (
                column - least if column.dtype.kind == "u" else column.astype(np.int64) - int(least)
            ).astype(np.intp)
            known = np.zeros(column.max(initial=0) + 1, bool)
            known[column] = True
            values = np.flatnonzero(known)
            return (values + int(least)).tolist(), (np.cumsum(known) - 1)[column]
    values, inverse = np.unique(column, return_inverse=True)
    return values.tolist(), inverse


class Ids:
    """Numbers, from 0, for hashable ids in the order of their arrival; an integer-valued float is
    the integer.
    """

    def __init__(self, kind):
        self.kind, self._number, self._values = kind, {}, None

    def __len__(self):
        return len(self._number)

    def numbers(self, column, learn=False):
        """The numbers of a column of ids, int32; -1 for unknown ones unless they are to be
        learned.
        """
        if column.dtype.kind in "mM" and np.isnat(column).any():
            self._refuse(column)
        distinct, inverse = distinct_values(column)
        known = self._number
        try:
            if learn:
                for value in distinct:
                    if value not in known:
                        known[self._checked(value, column)] = len(known)
                self._values = None
            found = np.fromiter(
                (known.get(value, -1) for value in distinct), np.int32, len(distinct)
            )
            for unknown in np.flatnonzero(found < 0):
                self._checked(distinct[unknown], column)
        except TypeError as error:
            raise TypeError(f"{self.kind} ids must be hashable: {error}") from error
        return found if inverse is None else found[inverse]

    def forget(self, count):
        """Know the first `count` ids only."""
        while len(self._number) > count:
            self._number.popitem()
        self._values = None

    def _checked(self, value, column):
        if is_missing(value) or is_infinite(value):
            self._refuse(column)
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def _refuse(self, column):
        """Name the first entry of a column that is no id."""
        row, value = next(
            pair for pair in enumerate(column) if is_missing(pair[1]) or is_infinite(pair[1])
        )
        raise ValueError(f"{self.kind} ids must not be missing or infinite: entry {row} is {value}")

    @property
    def values(self):
        """The ids by number: integers or strings where all are, else objects."""
        if self._values is None:
            ids = list(self._number)
            kind = next(
                (kind for kind in (int, str) if all(type(one) is kind for one in ids)), None
            )
            try:
                self._values = np.array(ids, dtype={int: np.int64, str: str}[kind])
            except (KeyError, OverflowError):
                self._values = np.fromiter(ids, dtype=object, count=len(ids))
        return self._values


class Layout(Record):
    """Users and items in the order in which the grid has them, and where its blocks begin."""

    users: np.ndarray  # numbers of the users, by their place
    items: np.ndarray
    user_bounds: np.ndarray  # (blocks + 1,)
    item_bounds: np.ndarray  # (2 blocks + 1,)


def lay_out(users, items, shape, every_item, rng):
    """(layout, places of users, places of items): a random order of those who rated, cut where
    blocks have rated as often.

    `users` and `items` are numbers below `shape`, an entry a rating. With `every_item` unrated
    items have a place too, and all blocks as many items, so that all are drawn as often. How many
    blocks there are depends on sizes alone.
    """
    visits = [
        np.bincount(numbers, minlength=size)
        for numbers, size in zip((users, items), shape, strict=True)
    ]
    present = [
        np.flatnonzero(visits[0]),
        np.arange(shape[1]) if every_item else np.flatnonzero(visits[1]),
    ]
    most = min(
        MAX_BLOCKS,
        len(present[0]),
        -(-len(present[1]) // 2),
        max(1, round((len(users) / MIN_RATINGS_PER_CELL) ** 0.5)),
    )
    orders, places, bounds = [], [], []
    if every_item:
        visits[1] = np.ones(shape[1])
    for numbers, count, known, blocks in zip(
        (users, items), visits, present, (most, 2 * most), strict=True
    ):
        order = rng.permutation(known)
        place = np.empty(len(count), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        reached = np.cumsum(count[order])
        ends = np.searchsorted(reached, np.linspace(0, reached[-1], blocks + 1)[1:-1], side="right")
        orders.append(order)
        places.append(place[numbers])
        bounds.append(np.concatenate([[0], ends, [len(order)]]).astype(np.int32))
    return Layout(*orders, *bounds), *places


def as_grid(layout, users, items, values, met=None):
    """The `Grid` of ratings by users and items at their places; `met` is a CSR matrix of what users
    have met, ids sorted.
    """
    blocks = len(layout.user_bounds) - 1
    line, column = (
        np.repeat(np.arange(len(bounds) - 1, dtype=np.uint16), np.diff(bounds))
        for bounds in (layout.user_bounds, layout.item_bounds)
    )
    cell = line[users] * np.uint16(2 * blocks) + column[items]  # 16 bits are sorted by radix
    order = np.argsort(cell, kind="stable")
    cells = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=2 * blocks**2))]).astype(
        np.intp
    )
    known = () if met is None else (met.indptr.astype(np.intp), met.indices.astype(np.int32))
    return Grid(
        users[order],
        items[order],
        values[order],
        cells,
        layout.user_bounds,
        layout.item_bounds,
        *known,
    )
