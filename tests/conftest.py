"""Fixtures: every layout of X in both precisions, and small seeded problems that have a bit of
everything.
"""

import signal
from types import SimpleNamespace

import numpy as np
import pytest

from reference import DTYPES, LAYOUTS, store

collect_ignore = ["typed"]  # scripts for type checkers: `make types`


def pytest_configure(config):
    """Hear Ctrl-C, also where a shell has started the tests in the background, which ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def all_threads(request):
    """Tests with "thread" in their names have all threads, however busy the processors are."""
    if "thread" not in request.node.name:
        yield
        return
    from fastgd.kernels import threads

    threads.use_only_free_processors(False)
    yield
    threads.use_only_free_processors(True)


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return request.param


@pytest.fixture(params=DTYPES, ids=lambda dtype: dtype.__name__)
def dtype(request):
    return request.param


@pytest.fixture(scope="session")
def as_rows():
    """A function: X in a layout and precision, as the kernels see it."""
    from fastgd.kernels.rows import Rows

    def rows(X, layout, dtype):
        X = store(X, layout, dtype)
        return Rows(X) if layout == "dense" else Rows(X.data, X.indices, X.indptr, X.shape)

    return rows


@pytest.fixture(scope="session")
def data():
    """One small matrix and a target of every kind.

    43 rows, so that batches of 2, 7 and 10 leave a short one; half of the entries are zero; row 5
    and column 3 are all zero. Entries are exact in float32.
    """
    rng = np.random.default_rng(7)
    X = rng.standard_normal((43, 6)).astype(np.float32).astype(np.float64)
    X[rng.random(X.shape) < 0.5] = 0
    X[5], X[:, 3] = 0, 0
    signal = X @ np.array([1.0, -2.0, 0.5, 3.0, 0.0, 1.5]) + 0.3 * rng.standard_normal(len(X))
    return SimpleNamespace(
        X=X,
        values=signal,
        pairs=np.column_stack([signal, 1 - X[:, 0], X[:, 1] ** 2]),
        counts=rng.poisson(np.exp(0.3 * signal)).astype(float),
        binary=(signal > 0).astype(int),
        classes=np.digitize(signal, [-1, 1]),
        weights=rng.uniform(0.5, 2.0, len(X)),
    )
