"""The data term of an objective over rows that are read chunk by chunk.

Sums over the chunks are added in their order, so the bits do not depend on threads, nor on whether
a chunk comes from its source or from a cache.
"""

import numpy as np

from fastgd.kernels import batch, gram, network, products
from fastgd.kernels.columns import moments
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.rows import Rows
from fastgd.problem.data import as_rows
from fastgd.problem.records import replace
from fastgd.problem.row_vectors import Call, RowVector, named, values_of
from fastgd.problem.seed import seed_of


class ChunkedTerm:
    """The data term of a problem whose rows are in chunks, with these weights of its own.

    Where a chunk is, one of the functions below works on it; what they return is added up in the
    order of the chunks.
    """

    def __init__(self, problem, weights):
        self.rows, self._threads = problem.rows, problem.threads
        self._y, self._weights, self._visits = problem.y, weights, problem.visits
        nothing = {"rows": None, "y": None, "weights": None, "visits": None, "X": None}
        self._problem = replace(problem, **nothing, random_state=None, metric=None)

    @property
    def of_rows(self):
        """The data term of rows without columns, for kernels that read targets and weights only."""
        nothing, codes = Rows(np.empty((self.rows.shape[0], 0))), self._problem.objective.codes
        return DataTerm(nothing, self._y, self._weights, self._visits, codes, self._threads)

    # ---- row vectors ----

    def _call(self, function, common, vectors, **others):
        """The call of a function of row vectors."""
        self.rows.vectors.use(vectors)
        calls = tuple(vector.call for vector in vectors)
        return Call(function, self._problem, common, calls, **others)

    def made(self, function, common, vectors):
        """See `passes.made`."""
        call = self._call(function, common, vectors, has_sums=False, name=named())
        return self.rows.vectors.new(call)

    def summed(self, function, common, vectors):
        """See `passes.summed`."""
        return self._summed(self._call(function, common, vectors))

    def summed_and_made(self, function, common, vectors):
        """See `passes.summed_and_made`."""
        call = self._call(function, common, vectors, reads_X=True, name=named())
        return self._summed(call), self.rows.vectors.new(call)

    def _summed(self, call):
        total = None
        for sums in self._ask(call):
            total = sums if total is None else [a + b for a, b in zip(total, sums, strict=True)]
        return tuple(total)

    def array(self, vector):
        """See `passes.array`."""
        if not isinstance(vector, RowVector):
            return vector
        call = self._call(values_of, (), (vector,))
        return np.concatenate(list(self._ask(call)))

    def _ask(self, call, arrays=(), of_chunk=None):
        """Yields the result of a call for each chunk, which gets its part of the arrays of the
        visits, and ``of_chunk(i)``.
        """
        places = self.rows.places(self._visits)
        parts = self.rows.parts(self._y, self._weights, self._visits)
        pieces = {i: self._cut(own, arrays) for i, own in places.items()}
        if of_chunk is not None:
            pieces = {i: [*own, of_chunk(i)] for i, own in pieces.items()}
        return self.rows.ask(call, parts, pieces, self._threads)

    def _each(self, function, *common, of_visits=(), of_chunk=None):
        """Yields (the places of its rows among the visits, result of the function) of each chunk;
        the function gets the problem of the chunk, `common`, its part of each array of the visits,
        or its row vector, and ``of_chunk(i)`` for chunk i if that is given.
        """
        arrays = [vector for vector in of_visits if not isinstance(vector, RowVector)]
        numbers = iter(range(len(arrays)))
        vectors = [v.call if isinstance(v, RowVector) else next(numbers) for v in of_visits]
        vectors += [] if of_chunk is None else [len(arrays)]
        call = Call(function, self._problem, common, tuple(vectors), reads_X=True)
        places = self.rows.places(self._visits)
        return zip(places.values(), self._ask(call, arrays, of_chunk), strict=True)

    def _cut(self, places, arrays):
        """The part of each array of all visits."""
        widths = [len(array) // len(self._visits) for array in arrays]
        return [
            array[places.start * width : places.stop * width]
            for array, width in zip(arrays, widths, strict=True)
        ]

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
            codes = self._problem.objective.codes
            yield DataTerm(as_rows(X), y, w, visits[:whole], codes, self._threads)
            left = X[others] if len(others) else None
            y = y.reshape(-1, targets)[others].ravel()
            weights = weights[others] if w is not None else weights
            del X

    def gradient(self, theta, out, margins=None, curvatures=None):
        """As `batch.gradient`."""
        loss, total = 0.0, np.zeros(len(theta))
        of_visits = () if curvatures is None else (curvatures,)
        each = self._each(_gradient, theta, margins is not None, of_visits=of_visits)
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
        for _, sums in self._each(_moments, factor, shift):
            add_moments(first, second, largest, sums)

    def column_products(self, shift, out):
        """As `products.column_products`."""
        out[:] = 0
        for _, part in self._each(_column_products, shift):
            out += part


def _gradient(problem, theta, has_margins, curvatures=None):
    """(loss, gradient, margins or None)"""
    gradient, term = np.empty_like(theta), problem.data_term
    margins = np.empty(term.size) if has_margins else None
    return batch.gradient(term, theta, gradient, margins, curvatures), gradient, margins


def _network_gradient(problem, theta, metric, has_gradient, layers):
    """(loss, gradient or None)"""
    gradient = np.empty_like(theta) if has_gradient else None
    return network.gradient(problem.data_term, theta, metric, gradient, layers), gradient


def _gram(problem, shape, columns, place, last, metric, ones, h):
    out = np.zeros(shape, order="F")
    gram.products(problem.data_term, h, columns, place, last, metric, ones, out)
    return out


def _moments(problem, factor, shift):
    return moments_of(problem.data_term, factor, shift)


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


def _column_products(problem, shift):
    out = np.empty((len(shift), len(shift)))
    products.column_products(problem.data_term, shift, out)
    return out
