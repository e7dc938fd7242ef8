"""The passes over X that methods ask for: one kernel call for rows in memory, one a chunk for
others.
"""

import numpy as np

from fastgd.kernels import batch, columns, network, rows
from fastgd.kernels import gram as gram_kernel
from fastgd.kernels import products as products_kernel
from fastgd.problem.chunked_rows import ChunkedRows
from fastgd.problem.chunked_term import ChunkedTerm
from fastgd.problem.data import as_rows


def rows_of(X):
    """X as passes take it."""
    return X if isinstance(X, ChunkedRows) else as_rows(X)


def are_expensive(problem):
    """Whether a pass over X costs more than its products: X is read, or is elsewhere."""
    return isinstance(problem.rows, ChunkedRows)


def summed(problem, function, common, *vectors):
    """function(problem, *common, *vectors): a tuple of sums over the rows, added up over chunks;
    `vectors` are row vectors.
    """
    if isinstance(problem.data_term, ChunkedTerm):
        return problem.data_term.summed(function, common, vectors)
    return function(problem, *common, *vectors)


def made(problem, function, common, *vectors):
    """The row vector function(problem, *common, *vectors)."""
    if isinstance(problem.data_term, ChunkedTerm):
        return problem.data_term.made(function, common, vectors)
    return function(problem, *common, *vectors)


def summed_and_made(problem, function, common, *vectors):
    """(sums, row vector), in a pass over X."""
    if isinstance(problem.data_term, ChunkedTerm):
        return problem.data_term.summed_and_made(function, common, vectors)
    return function(problem, *common, *vectors)


def array(problem, vector):
    """A row vector as an array."""
    is_chunked = isinstance(problem.data_term, ChunkedTerm)
    return problem.data_term.array(vector) if is_chunked else vector


def gradient(term, theta, out, margins=None, curvatures=None):
    """As `batch.gradient`."""
    if isinstance(term, ChunkedTerm):
        return term.gradient(theta, out, margins, curvatures)
    return batch.gradient(term, theta, out, margins, curvatures)


def network_gradient(term, theta, metric, out, layers):
    """As `network.gradient`; ``layers(i)`` are those of chunk i, ``layers(0)`` of rows in
    memory.
    """
    if isinstance(term, ChunkedTerm):
        return term.network_gradient(theta, metric, out, layers)
    return network.gradient(term, theta, metric, out, layers(0))


def gram(term, *arguments):
    """As `gram.products`."""
    if isinstance(term, ChunkedTerm):
        term.gram(*arguments)
    else:
        gram_kernel.products(term, *arguments)


def moments(term, *arguments):
    """As `columns.moments`."""
    if isinstance(term, ChunkedTerm):
        term.moments(*arguments)
    else:
        columns.moments(term, *arguments)


def column_products(term, shift, out):
    """As `products.column_products`."""
    if isinstance(term, ChunkedTerm):
        term.column_products(shift, out)
    else:
        products_kernel.column_products(term, shift, out)


def margins(X, theta, outputs, out, threads):
    """As `batch.margins`."""
    if not isinstance(X, ChunkedRows):
        batch.margins(X, theta, outputs, out, threads)
        return
    _fill(out, X.map(_margins, [(i, theta, outputs) for i in X.filled], threads))


def _fill(out, parts):
    """Write arrays one after the other."""
    done = 0
    for part in parts:
        out[done : done + len(part)] = part
        done += len(part)


def _margins(X, threads, theta, outputs):
    out = np.empty(X.shape[0] * outputs)
    batch.margins(as_rows(X), theta, outputs, out, threads)
    return out


def network_margins(X, theta, outputs, layers):
    """The margins of all rows by a network, as `network.margins`, (rows * outputs,)."""
    if not isinstance(X, ChunkedRows):
        return _network_margins(X, theta, outputs, layers)
    out = np.empty(X.shape[0] * outputs, X.dtype)
    _fill(out, X.map(_chunk_network_margins, [(i, theta, outputs, layers) for i in X.filled], 1))
    return out


def _network_margins(X, theta, outputs, layers):
    out = np.empty(X.shape[0] * outputs, X.dtype)
    network.margins(X, np.arange(X.shape[0]), theta, None, out, layers)
    return out


def _chunk_network_margins(X, _, *arguments):
    return _network_margins(as_rows(X), *arguments)


def squared_norms(X, visits):
    """As `rows.squared_norms`."""
    if not isinstance(X, ChunkedRows):
        return rows.squared_norms(X, visits)
    jobs = [(i, visits[own] - X.bounds[i]) for i, own in X.places(visits).items()]
    return np.concatenate(list(X.map(_squared_norms, jobs, 1)))


def _squared_norms(X, _, visits):
    return rows.squared_norms(as_rows(X), visits)
