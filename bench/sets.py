"""Data of the tasks, by name: real sets where they are found, seeded ones of the shapes that solvers find hard."""

import gzip
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from scipy.sparse import csr_array, issparse
from sklearn import datasets

from bench import data

FILES = {"a9a": "a9a.svm.gz", "spambase": "spambase.csv.gz", "california": "california_housing.csv.gz"}


@lru_cache(maxsize=2)
def load(name):
    """(X, y) of a set; 'NAME/std' has its columns centred and scaled, as a dense array."""
    base, _, form = name.partition("/")
    X, y = SETS[base]()
    if form != "std":
        return X, y
    X = X.toarray() if issparse(X) else X
    scale = X.std(axis=0)
    return np.ascontiguousarray((X - X.mean(axis=0)) / np.where(scale > 0, scale, 1.0)), y


def missing(name):
    """Why the set cannot be had here; empty if it can."""
    base = name.partition("/")[0]
    if base in FILES and not found(base):
        return f"no {FILES[base]} in FASTGD_DATA"
    return "no Fashion-MNIST in FASTGD_DATA" if base.startswith("fashion") and not data.fashion_folder() else ""


def found(base):
    """The file of a set, in the folder that FASTGD_DATA names; None if absent."""
    path = Path(os.environ.get("FASTGD_DATA", ""), FILES[base])
    return path if "FASTGD_DATA" in os.environ and path.exists() else None


def a9a():
    """Adult: 32561 x 123, CSR, 14 ones a row."""
    with gzip.open(found("a9a")) as file:
        X, y = datasets.load_svmlight_file(file, n_features=123)
    return csr_array(X), y


def a9a_like(rows=32_561):
    """Adult's shape for machines without it: 14 attributes, one of each attribute's values a row, some of them rare."""
    rng = np.random.default_rng(0)
    sizes = np.array([5, 8, 5, 16, 5, 7, 14, 6, 5, 2, 2, 2, 5, 41])
    chosen = [rng.choice(size, rows, p=_zipf(size, 1.2)) for size in sizes]
    cols = np.stack(chosen, axis=1) + np.cumsum(sizes) - sizes
    X = csr_array((np.ones(cols.size), cols.ravel(), np.arange(0, cols.size + 1, 14)), shape=(rows, sizes.sum()))
    return X, _labels(X @ rng.standard_normal(sizes.sum()), rng, 2.0)


def spambase():
    """4601 x 57, heavy-tailed columns of scales from 0.1 to 600."""
    table = np.loadtxt(found("spambase"), delimiter=",", skiprows=1)
    return np.ascontiguousarray(table[:, :-1]), table[:, -1]


def california():
    """20433 x 8 with its target in dollars; the rows with a missing value and the column of names are left out."""
    with gzip.open(found("california"), "rt") as file:
        names = file.readline().strip().split(",")
        numbers = [j for j, name in enumerate(names) if name != "ocean_proximity"]
        table = np.genfromtxt(file, delimiter=",", usecols=numbers)
    table = table[np.isfinite(table).all(axis=1)]
    target = [names[j] for j in numbers].index("median_house_value")
    return np.ascontiguousarray(np.delete(table, target, axis=1)), table[:, target]


def _bundled(loader, positive=None, **options):
    X, y = loader(return_X_y=True, **options)
    return X, y if positive is None else np.isin(y, positive).astype(np.intp)


def toeplitz(rows, columns, correlation=0.9, signal=3.0, spread=0.0, seed=1):
    """Standard normal columns, neighbours correlated, then scaled by 10^U(-spread, spread); logistic classes."""
    rng = np.random.default_rng(seed)
    X = _correlated(rng, rows, columns, correlation)
    z = X @ rng.standard_normal(columns)
    y = _labels(z, rng, signal)
    return (X * 10 ** rng.uniform(-spread, spread, columns) if spread else X), y


def sparse_target(rows, columns, correlation, nonzeros=50, noise=0.5):
    """Correlated columns; a target of a few of them, with noise of half its deviation."""
    rng = np.random.default_rng(0)
    X, w = _correlated(rng, rows, columns, correlation), np.zeros(columns)
    w[rng.choice(columns, nonzeros, replace=False)] = rng.standard_normal(nonzeros)
    z = X @ w
    return X, z + noise * z.std() * rng.standard_normal(rows)


def values(rows=30_000, columns=100, spread=0.0, noise=0.5):
    """The columns of `toeplitz`; a linear target, with noise."""
    X, _ = toeplitz(rows, columns, spread=spread)
    rng = np.random.default_rng(2)
    z = (X / X.std(axis=0)) @ rng.standard_normal(columns)
    return X, z / z.std() + noise * rng.standard_normal(rows)


def _correlated(rng, rows, columns, correlation):
    """Autoregressive rows: cor(x_j, x_k) = correlation^|j - k|."""
    X = rng.standard_normal((rows, columns))
    X[:, 1:] *= np.sqrt(1 - correlation**2)
    return np.ascontiguousarray(lfilter([1.0], [1.0, -correlation], X, axis=1))


def rotated(rows=3000, columns=60):
    """Condition 1e4 in no column's direction; a nearly noiseless target."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((columns, columns)))[0]
    X = (rng.standard_normal((rows, columns)) * np.logspace(0, -2, columns)) @ Q
    return X, X @ (3 * rng.standard_normal(columns)) + 0.1 * rng.standard_normal(rows)


def scales(classes, rows=3000, columns=60):
    """Column deviations 10^U(-3, 3) and means 10^U(-2, 2)."""
    rng = np.random.default_rng(3)
    Z, w = rng.standard_normal((rows, columns)), 3 * rng.standard_normal(columns)
    y = _labels(Z @ w, rng, 5.0) if classes else Z @ w + 0.5 * rng.standard_normal(rows)
    return Z * 10 ** rng.uniform(-3, 3, columns) + 10 ** rng.uniform(-2, 2, columns), y


def heavy_tailed(rows=4000, columns=1500):
    """CSR: columns by Zipf's law, log-normal values."""
    rng = np.random.default_rng(4)
    sizes = rng.integers(5, 60, rows)
    cols = [np.unique(rng.choice(columns, size, p=_zipf(columns, 0.9))) for size in sizes]
    ends = np.concatenate([[0], np.cumsum([len(c) for c in cols])])
    X = csr_array((np.exp(1.2 * rng.standard_normal(ends[-1])), np.concatenate(cols), ends), shape=(rows, columns))
    w = rng.standard_normal(columns) * (rng.random(columns) < 0.3)
    return X, (X @ w + 2 * rng.logistic(size=rows) > 0).astype(np.intp)


def text(rows=20_000, columns=20_000, words=70):
    """CSR of about 50 words a row by Zipf's law, tf-idf, rows of unit length."""
    rng = np.random.default_rng(5)
    draws = np.searchsorted(np.cumsum(_zipf(columns, 1.0)), rng.random((rows, words))).clip(max=columns - 1)
    counts = csr_array((np.ones(draws.size), draws.ravel(), np.arange(0, draws.size + 1, words)), shape=(rows, columns))
    counts.sum_duplicates()
    idf = np.log((1 + rows) / (1 + np.bincount(counts.indices, minlength=columns))) + 1
    values = (1 + np.log(counts.data)) * idf[counts.indices]
    lengths = np.sqrt(np.add.reduceat(values**2, counts.indptr[:-1]))
    counts.data = values / np.repeat(lengths, np.diff(counts.indptr))
    return counts, _labels(counts @ rng.standard_normal(columns), rng, 3.0)


def _zipf(size, power):
    weights = 1 / np.arange(1, size + 1) ** power
    return weights / weights.sum()


def _labels(z, rng, signal):
    return (z / z.std() * signal + rng.logistic(size=len(z)) > 0).astype(np.intp)


SETS = {
    "breast_cancer": lambda: _bundled(datasets.load_breast_cancer),
    "digits": lambda: _bundled(datasets.load_digits, positive=(0, 2, 4, 6, 8)),
    "diabetes": lambda: _bundled(datasets.load_diabetes, scaled=False),
    "wine": lambda: _bundled(datasets.load_wine, positive=(1,)),
    "a9a": a9a,
    "a9a-like": a9a_like,
    "spambase": spambase,
    "california": california,
    "fashion": data.fashion_classes,
    "fashion-10k": lambda: tuple(part[:10_000].copy() for part in data.fashion_classes()),
    "synthetic": data.synthetic_classes,
    "synthetic-10k": lambda: data.synthetic_classes(10_000),
    "rotated": rotated,
    "scales-values": lambda: scales(classes=False),
    "scales-classes": lambda: scales(classes=True),
    "heavy-tailed": heavy_tailed,
    "correlated": lambda: toeplitz(30_000, 100),
    "unscaled": lambda: toeplitz(30_000, 100, spread=2.0),
    "tall": lambda: toeplitz(100_000, 30, 0.5, 2.0),
    "wide": lambda: toeplitz(8000, 500, 0.5, 10.0),
    "text": text,
    "values": values,
    "values-unscaled": lambda: values(spread=2.0),
    "lasso-square": lambda: sparse_target(2000, 2000, 0.5),
    "lasso-tall": lambda: sparse_target(20_000, 500, 0.7),
}
STAND_INS = {"a9a": "a9a-like", "fashion": "synthetic", "fashion-10k": "synthetic-10k"}
