"""The data term of an objective over rows that are read chunk by chunk.

Sums over the chunks are added in their order, so the bits do not depend on threads, nor on whether
a chunk comes from its source or from a cache.
"""

from functools import cached_property

import numpy as np

from fastgd.kernels import batch, gram, network, products
from fastgd.kernels.columns import moments
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.rows import Rows
from fastgd.problem.data import as_rows
from fastgd.problem.records import Record
from fastgd.problem.seed import seed_of


class Part(Record):
    """What the data term of a chunk needs besides its X; `name` is one of its own, where it is sent
    to another process.
    """

    y: np.ndarray
    weights: np.ndarray | None
    visits: np.ndarray
    name: str | None = None


def of_term(X, threads, part, codes, function, common, arrays):
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

    def _each(self, function, *common, of_visits=(), of_chunk=None):
        """Yields (the places of its rows among the visits, result of the function) of each chunk;
        the function gets a data term, `common`, ``of_chunk(i)`` for chunk i if that is given, and
        its part of each array of the visits.
        """
        places = self.rows.places(self._visits)
        parts = self.rows.parts(self._y, self._weights, self._visits)
        jobs = []
        for i, own in places.items():
            given = common if of_chunk is None else (*common, of_chunk(i))
            cut = self._cut(own, of_visits)
            jobs.append((i, parts[i], self._codes, function, given, cut))
        return zip(places.values(), self.rows.map(of_term, jobs, self._threads), strict=True)

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

    def _pools(self, number, size):
        """Lists of the chunks that a stream holds at a time in the order of pass `number`: pools of
        the user's, as many as have the rows of a batch of this size.
        """
        places, pools, rows = self.rows.places(self._visits), [], size
        for pool in self.rows.chunks.pools(number):
            if rows >= size:
                pools.append([])
                rows = 0
            filled = [i for i in pool if i in places]
            pools[-1] += filled
            rows += sum(places[i].stop - places[i].start for i in filled)
        return [pool for pool in pools if pool]

    def pools(self, number, size, random_state, shuffles):
        """Yields data terms of the rows that a stream holds at a time, in the order of pass
        `number`.

        Each has whole batches of this size, but for the last one: the rows left over come first in
        the next one.
        """
        parts = self.rows.parts(self._y, self._weights, self._visits)
        seed = [seed_of(random_state), number] if shuffles else None
        targets = len(self._y) // max(self.rows.shape[0], 1)
        left, y, weights = None, np.empty(0), np.empty(0)
        pools = self._pools(number, size)
        blocks = self.rows.blocks(pools)
        for pool in pools:
            X = self.rows.stacked(left, blocks, pool)
            of_pool, count = [parts[i] for i in pool], 0 if left is None else left.shape[0]
            y = np.concatenate([y, *(part.y for part in of_pool)])
            if self._weights is not None:
                weights = np.concatenate([weights, *(part.weights for part in of_pool)])
            begins = self.rows.begins(pool)
            visits = [part.visits + begin for part, begin in zip(of_pool, begins, strict=False)]
            visits = np.concatenate(visits)
            if shuffles:
                np.random.default_rng([*seed, pool[0]]).shuffle(visits)
            visits = np.concatenate([np.arange(count), visits + count])
            whole = len(visits) - (0 if pool is pools[-1] else len(visits) % size)
            others, w = visits[whole:], None if self._weights is None else weights
            yield DataTerm(as_rows(X), y, w, visits[:whole], self._codes, self._threads)
            left = X[others] if len(others) else None
            y = y.reshape(-1, targets)[others].ravel()
            weights = weights[others] if w is not None else weights
            del X

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

    def network_gradient(self, theta, metric, out, layers):
        """As `network.gradient`; ``layers(i)`` are those of chunk i."""
        loss, total = 0.0, None if out is None else np.zeros(len(theta))
        given = theta, metric, out is not None
        for places, (its_loss, gradient) in self._each(_network_gradient, *given, of_chunk=layers):
            loss += its_loss
            if out is not None:
                total += self._share(places) * gradient
        if out is not None:
            out[:] = total
        return loss

    def gram(self, h, *others):
        """As `gram.products`."""
        *others, out = others
        for places, part in self._each(_gram, out.shape, *others, of_visits=(h,)):
            out += self._share(places) * part

    def moments(self, factor, shift, first, second, largest):
        """As `columns.moments`."""
        for _, sums in self._each(moments_of, factor, shift):
            add_moments(first, second, largest, sums)

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


def _network_gradient(term, theta, metric, has_gradient, layers):
    """(loss, gradient or None)"""
    gradient = np.empty_like(theta) if has_gradient else None
    return network.gradient(term, theta, metric, gradient, layers), gradient


def _gram(term, shape, columns, place, last, metric, ones, h):
    out = np.zeros(shape, order="F")
    gram.products(term, h, columns, place, last, metric, ones, out)
    return out


def moments_of(term, factor, shift):
    """The three sums of `columns.moments`."""
    sums = np.zeros((3, len(factor)))
    moments(term, factor, shift, *sums)
    return sums


def add_moments(first, second, largest, sums):
    """Add the sums of other rows to those of `columns.moments`."""
    first += sums[0]
    second += sums[1]
    np.maximum(largest, sums[2], out=largest)


def _column_products(term, shift):
    out = np.empty((len(shift), len(shift)))
    products.column_products(term, shift, out)
    return out
