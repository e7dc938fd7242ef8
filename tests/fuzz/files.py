"""Damaged files: checkpoints, pickles of models, and caches of chunks."""

import pickle
import tempfile
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse

import fastgd

from .cases import Case

NAMES = "Checkpoint", "cache of a source", "cache of a Parquet file", "cache of ratings"
SHAPE = 60, 3


def draw(rng, number):
    """A case of one of `NAMES`: how its file is damaged."""
    name = str(rng.choice(NAMES))
    how = str(rng.choice(["bits", "bytes", "truncated", "longer", "noise", "zeros", "removed"]))
    given = {"how": how, "seed": int(rng.integers(2**31)), "is_sparse": bool(rng.random() < 0.5)}
    return Case(number, name, given)


def damage(path, how, rng):
    """Change a file as disks, copies and people do."""
    content = bytearray(path.read_bytes())
    if how == "removed":
        path.unlink()
        return
    # The beginning says how the rest is read.
    size = len(content) if rng.random() < 0.5 else min(len(content), 128)
    places = rng.integers(size, size=int(rng.choice([1, 1, 3, 20]))).tolist() if size else []
    if how in ("bits", "bytes"):
        for at in places:
            content[at] = content[at] ^ 1 << rng.integers(8) if how == "bits" else rng.integers(256)
    elif how == "truncated":
        content = content[: rng.integers(len(content) + 1)]
    elif how == "longer":
        content += rng.bytes(int(rng.integers(1, 100)))
    elif how == "noise":
        content = bytearray(rng.bytes(len(content)))
    elif how == "zeros":
        content = bytearray(len(content))
    # Another file, since a cache may be mapped.
    path.unlink()
    path.write_bytes(content)


def judge(case):
    """A list of what is wrong."""
    how, seed, is_sparse = case.parameters.values()
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function = {
            "Checkpoint": _checkpoint,
            "cache of a source": _source,
            "cache of a Parquet file": _parquet,
            "cache of ratings": _ratings,
        }[case.estimator]
        faults = function(Path(folder), how, rng, is_sparse)
        return [f"{fault} [{how}]" for fault in faults]


def _rows(rng, is_sparse=False):
    X = rng.standard_normal(SHAPE)
    y = X @ rng.standard_normal(SHAPE[1]) + 0.1 * rng.standard_normal(len(X))
    if is_sparse:
        X = sparse.csr_array(np.where(rng.random(X.shape) < 0.5, 0, X))
    return X, y


def _checkpoint(folder, how, rng, is_sparse):
    X, y = _rows(rng, is_sparse)
    kind = [fastgd.Ridge, fastgd.SGDClassifier, fastgd.LogisticRegression][rng.integers(3)]
    y = y if kind is fastgd.Ridge else np.where(y > 0, "a", "b")
    if kind is fastgd.Ridge:
        kind, y = fastgd.SGDRegressor, y
    settings = {"tol": None, "warm_start": True} | (
        {"random_state": 0} if kind is not fastgd.LogisticRegression else {}
    )
    if kind is fastgd.LogisticRegression:
        settings = {"warm_start": True, "max_iter": 3}
    path = folder / "model.pickle"
    model = kind(**({"max_iter": 3} | settings)).set_callbacks(fastgd.Checkpoint(path)).fit(X, y)
    damage(path, how, rng)
    try:
        again = pickle.loads(path.read_bytes())
    except Exception:
        return []  # what pickle says of bytes that are none of its own
    if not isinstance(again, kind):
        return []  # nor is it taken for a model
    again.fit(X, y)
    right = pickle.loads(pickle.dumps(model.set_callbacks())).fit(X, y)
    return [] if np.array_equal(again.coef_, right.coef_) else ["another model"]


def _damaged(folder, how, rng):
    paths = sorted((folder / "cache").iterdir())
    path = paths[rng.integers(len(paths))]
    damage(path, how, rng)
    return path


def _outcome(fit, right):
    try:
        model = fit()
    except (ValueError, OSError):
        return []
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    return [] if np.array_equal(model.coef_, right.coef_) else ["another model"]


def _source(folder, how, rng, is_sparse):
    """Damage amid a fit."""
    X, y = _rows(rng, is_sparse)
    calls = 0

    def fit(hits):
        def watch(self, estimator, context, **told):
            nonlocal calls
            calls += 1
            if hits and calls == 3:
                _damaged(folder, how, rng)

        hooks = {"on_fit_task_end": watch} | dict.fromkeys(
            ("setup", "teardown", "on_fit_task_begin"), lambda self, *given, **told: None
        )
        chunks = fastgd.Chunks.of(X, y > 0, chunk_rows=20, cache=folder / "cache")
        model = fastgd.LogisticRegression(tol=1e-10, C=1e4)
        return model.set_callbacks(type("Damages", (), hooks)()).fit(chunks)

    right = fit(False)
    calls = 0
    return _outcome(lambda: fit(True), right)


def _parquet(folder, how, rng, is_sparse):
    """Damage between two fits."""
    import pyarrow.parquet
    from pyarrow import table

    X, y = _rows(rng)
    columns = {f"x{j}": X[:, j] for j in range(SHAPE[1])} | {"y": y}
    pyarrow.parquet.write_table(table(columns), folder / "rows.parquet", row_group_size=20)
    path, cache = folder / "rows.parquet", folder / "cache"
    chunks = fastgd.Chunks.parquet(path, target="y", cache=cache)
    right = fastgd.Ridge().fit(chunks)
    _damaged(folder, how, rng)
    return _outcome(lambda: fastgd.Ridge().fit(chunks), right)


def _ratings(folder, how, rng, is_sparse):
    """Damage before a partial fit, which has to write the cache again."""
    pairs = rng.integers(12, size=(80, 2))
    ratings = rng.uniform(1, 5, len(pairs))

    def fit():
        chunks = fastgd.Chunks.of(pairs, ratings, chunk_rows=30, cache=folder / "cache")
        model = fastgd.MatrixFactorization(n_factors=2, max_iter=3, random_state=0).fit(chunks)
        model.coef_ = model.user_factors_
        return model

    right = fit()
    _damaged(folder, how, rng)
    return _outcome(fit, right)
