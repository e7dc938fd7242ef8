"""Conversion of users' ratings: (user, item, rating) columns, indices of ids, ratings on a grid."""

from collections import Counter
from contextlib import suppress
from math import isinf

import numpy as np
from scipy import sparse
from sklearn.utils import check_consistent_length, column_or_1d

from fastgd.kernels.factorization import Grid
from fastgd.methods.matrix_factorization import Grids
from fastgd.problem.data import check_compressed
from fastgd.problem.metric import pooled
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
        return [*X.coords, X.data]
    if isinstance(X, np.ndarray):
        check_unmasked(X, "X")
        if X.dtype.names:
            return [X[name] for name in X.dtype.names]
        if X.ndim != 2:
            raise ValueError(
                f"X must have two dimensions, its shape is {X.shape}. Reshape your data: a row is "
                "a pair (user, item) or a triple (user, item, rating)"
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
            f"item) or (user, item, rating) of one length: {error}"
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


def is_id(value):
    """Whether a value may be an id: it is neither missing nor infinite."""
    return not (is_missing(value) or (isinstance(value, (float, np.floating)) and isinf(value)))


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
        raise ValueError(
            f"Found array with {len(columns)} feature(s) {shape} while a minimum of 2 is required, "
            "and 3 at most: the columns of X are (user, item) or (user, item, rating)"
        )
    if not count:
        found = f"Found array with 0 sample(s) {shape}"
        raise ValueError(f"{found} while a minimum of 1 is required: X has no ratings")
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
            "None: X has no column of ratings"
        )
    return *columns, np.full(count, values)


def _numbers(values, name):
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = f"{name} must hold numbers: {error}"
        for row, value in enumerate(values):
            if is_missing(value):
                message = f"{name} must be finite, entry {row} is missing: {value}"
                break
        raise ValueError(message) from error
    if np.iscomplexobj(values):
        raise ValueError(f"Complex data not supported: {name} must be real")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be finite, it contains NaN or infinity")
    return numbers


class Statistics(Record):
    """Number, mean, standard deviation (0 where values differ by rounding only), least and largest
    of values.
    """

    count: int
    mean: float
    spread: float
    least: float
    most: float

    @classmethod
    def of(cls, values):
        """The statistics of values, without squares that overflow or underflow."""
        least, most = float(values.min()), float(values.max())
        size = most - least
        if not 0 < size < np.inf:
            return cls(len(values), least, size, least, most)
        shares = (values - least) / size
        mean, spread = least + size * float(shares.mean()), size * float(shares.std())
        return cls(len(values), mean, spread, least, most)._rounded()

    def merge(self, other):
        """The statistics of both sets of values."""
        count = self.count + other.count
        part = other.count / count
        center, spread = pooled(self.mean, self.spread, other.mean, other.spread, part)
        ends = min(self.least, other.least), max(self.most, other.most)
        return Statistics(count, float(center), float(spread), *ends)._rounded()

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
        least, most = int(column.min(initial=0)), int(column.max(initial=0))
        # A table costs less than sorting.
        if most - least < 4 * len(column) + 1000:
            places = np.subtract(column, least, dtype=column.dtype.kind + "8").astype(np.intp)
            is_there = np.bincount(places) > 0
            values = np.flatnonzero(is_there) + least
            return values.tolist(), (np.cumsum(is_there) - 1)[places]
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
            numbers = (known.get(value, -1) for value in distinct)
            found = np.fromiter(numbers, np.int32, len(distinct))
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
        if not is_id(value):
            self._refuse(column)
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def _refuse(self, column):
        """Name the first entry of a column that is no id."""
        row, value = next(pair for pair in enumerate(column) if not is_id(pair[1]))
        raise ValueError(f"{self.kind} ids must not be missing or infinite: entry {row} is {value}")

    @property
    def values(self):
        """The ids by number: integers or strings where all are, else objects."""
        if self._values is None:
            self._values = np.fromiter(self._number, dtype=object, count=len(self))
            kinds = {*map(type, self._number)}
            if kinds in ({int}, {str}):
                with suppress(OverflowError):  # integers beyond 64 bits stay objects
                    self._values = self._values.astype(kinds.pop())
        return self._values


class RatingCounts(Record):
    """The numbers of ratings of each user and of each item, and that of all values but zeros."""

    users: np.ndarray
    items: np.ndarray
    filled: int = 0

    @classmethod
    def empty(cls, shape=(0, 0)):
        """That of no ratings."""
        return cls(*(np.zeros(count, np.intp) for count in shape))

    @classmethod
    def of(cls, users, items, values, shape=(0, 0)):
        """That of ratings by numbers of users and items, below `shape` if it is given."""
        counts = [np.bincount(a, minlength=n) for a, n in zip((users, items), shape, strict=True)]
        return cls(*counts, int(np.count_nonzero(values)))

    def add(self, other):
        """Add the ratings of other counts."""
        self.users, self.items = _sum(self.users, other.users), _sum(self.items, other.items)
        self.filled += other.filled

    def padded(self, shape):
        """The same with so many users and items."""
        counts = RatingCounts.empty(shape)
        counts.add(self)
        return counts


def _sum(counts, other):
    """The sum of two arrays, the shorter one filled up with zeros."""
    short, long = sorted((counts, other), key=len)
    total = long.copy()
    total[: len(short)] += short
    return total


class Layout(Record):
    """The order of the users and of the items in the grid, and where its blocks begin: one more
    bound than blocks, and twice as many blocks of items as of users. The places are those of all
    users and items in these orders.
    """

    users: np.ndarray
    items: np.ndarray
    user_places: np.ndarray
    item_places: np.ndarray
    user_bounds: np.ndarray
    item_bounds: np.ndarray


def lay_out(counts, size, every_item, rng):
    """The layout of a grid of `size` ratings at a time: a random order of those who rated, cut
    where blocks have rated as often.

    With `every_item` unrated items have a place too, and all blocks as many items, so that all are
    drawn as often. How many blocks there are depends on sizes alone.
    """
    visits = np.ones(len(counts.items)) if every_item else counts.items
    blocks = min(
        MAX_BLOCKS,
        np.count_nonzero(counts.users),
        -(-np.count_nonzero(visits) // 2),
        max(1, round((size / MIN_RATINGS_PER_CELL) ** 0.5)),
    )
    user_order, user_places, user_bounds = _cut(counts.users, blocks, rng)
    item_order, item_places, item_bounds = _cut(visits, 2 * blocks, rng)
    return Layout(user_order, item_order, user_places, item_places, user_bounds, item_bounds)


def _cut(counts, blocks, rng):
    """(random order of the numbers whose count is not 0, their places, where blocks of about equal
    counts begin and end).
    """
    order = rng.permutation(np.flatnonzero(counts))
    places = np.empty(len(counts), np.int32)
    places[order] = np.arange(len(order), dtype=np.int32)
    reached = np.cumsum(counts[order])
    ends = np.linspace(0, reached[-1], blocks + 1)[1:-1]
    bounds = [0, *np.searchsorted(reached, ends, side="right"), len(order)]
    return order, places, np.array(bounds, np.int32)


def as_grid(layout, users, items, values, met=None):
    """The `Grid` of ratings by numbers of users and items; `met` is a CSR matrix of what users have
    met, in the order of the layout, ids sorted.
    """
    users, items = layout.user_places[users], layout.item_places[items]
    blocks = len(layout.user_bounds) - 1
    line, column = (
        np.repeat(np.arange(len(bounds) - 1, dtype=np.uint16), np.diff(bounds))
        for bounds in (layout.user_bounds, layout.item_bounds)
    )
    cell = line[users] * np.uint16(2 * blocks) + column[items]  # 16 bits are sorted by radix
    order = np.argsort(cell, kind="stable")
    cells = np.zeros(2 * blocks**2 + 1, np.intp)
    np.cumsum(np.bincount(cell, minlength=2 * blocks**2), out=cells[1:])
    known = ()
    if met is not None:
        known = met.indptr.astype(np.intp), met.indices.astype(np.int32, copy=False)
    ratings = users[order], items[order], values[order]
    return Grid(*ratings, cells, layout.user_bounds, layout.item_bounds, *known)


def merged(met, shape):
    """Who has met what, as one CSR matrix of this shape, from such matrices and pairs of numbers of
    users and items.
    """
    pairs = [part for part in met if isinstance(part, tuple)]
    found = [part for part in met if not isinstance(part, tuple)]
    if pairs:
        users, items = (np.concatenate(side) for side in zip(*pairs, strict=True))
        ones = np.ones(len(users), bool)
        found.append(sparse.csr_array((ones, (users, items)), shape=shape))
    total = None
    for part in found:
        if part.shape != shape:
            part.resize(shape)
        total = part if total is None else total + part
    return total


class Ratings:
    """Ratings in memory: numbers of users and items, which a `FactorState` learns, and values."""

    def __init__(self, state, X, y):
        users, items, self._values = as_interactions(X, y, state.default)
        state.check(self._values)
        self._users, self._items = state.learn(users, items)
        self.arrays = self._users, self._items, self._values
        self.met = ((self._users, self._items),)
        self.statistics = Statistics.of(self._values)
        self.count = self.per_sweep = len(self._values)
        self._training, self._held_out = np.arange(self.count), np.arange(0)

    def split(self, share, rng):
        """Hold out this share."""
        size = max(1, round(share * self.count))
        if size == self.count:
            raise_none_left(share, self.count)
        order = rng.permutation(self.count)
        self._training, self._held_out = np.sort(order[size:]), np.sort(order[:size])

    def counts(self, shape):
        """The `RatingCounts` of all ratings."""
        return RatingCounts.of(*self.arrays, shape)

    def training_counts(self, shape):
        """The `RatingCounts` of those to train on."""
        return RatingCounts.of(*(part[self._training] for part in self.arrays), shape)

    def grids(self, as_grid):
        """The `Grids` to train on; `as_grid` makes one of ratings."""
        return self._grids(as_grid, self._training)

    def held_out_grids(self, as_grid):
        """Those held out; None if there are none."""
        return self._grids(as_grid, self._held_out) if len(self._held_out) else None

    def _grids(self, as_grid, part):
        grid = as_grid(*(column[part] for column in self.arrays))
        return Grids(lambda _: [grid], len(part))


def raise_none_left(share, count):
    """Early stopping would hold out everything."""
    raise ValueError(
        f"early_stopping with validation_fraction={share} leaves none of {count} ratings"
    )
