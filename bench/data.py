"""The data sets, by name: real ones, scikit-learn's bundled ones, and seeded synthetic ones.

`load(name)` is (X, y); "NAME/std" has columns of mean 0 and variance 1. Real sets are read from the
folder FASTGD_DATA: Fashion-MNIST's IDX files, MovieLens 100k, and the files named in FILES. For
each "fashion..." there is a "synthetic...", which takes its place where the files are missing.
"""

import gzip
import os
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from scipy.sparse import csr_array, issparse
from sklearn import datasets
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

FILES = {
    "a9a": "a9a.svm.gz",
    "spambase": "spambase.csv.gz",
    "california": "california_housing.csv.gz",
    **dict.fromkeys(("fashion", "fashion10", "fashion-10k"), "train-images-idx3-ubyte.gz"),
}
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
TOPS = (0, 2, 3, 4, 6)  # Fashion-MNIST's T-shirt, pullover, dress, coat, shirt


@lru_cache(maxsize=1)
def load(name, dtype="float64", rows=None):
    """(X, y), of the first `rows` rows. The last set is kept, as neighbouring problems share it."""
    base, _, form = name.partition("/")
    X, y = SETS[base]()
    if form == "std":
        X = StandardScaler().fit_transform(X.toarray() if issparse(X) else X)
    if rows is not None and rows < X.shape[0]:
        X, y = X[:rows].copy(), y[:rows]
    return X.astype(dtype, copy=False), y


def split(name, seed=0, standardised=True):
    """(X_train, X_test, y_train, y_test), a quarter of the rows for tests."""
    X, y = load(name)
    parts = train_test_split(X, y, random_state=seed, stratify=y if y.dtype.kind == "i" else None)
    if standardised:
        parts[:2] = map(StandardScaler().fit(parts[0]).transform, parts[:2])
    return parts


def missing(name):
    """Why the set cannot be had here; empty if it can."""
    file = FILES.get(name.partition("/")[0])
    return "" if file is None or find(file) else f"there is no {file} in FASTGD_DATA"


def find(file):
    """Its path; None if it is nowhere."""
    own, recbole = os.environ.get("FASTGD_DATA"), find_spec("recbole")
    folders = [Path(own), Path(own, "fashion-mnist"), Path(own, "ml-100k")] if own else []
    packages = recbole.submodule_search_locations if recbole else ()
    folders += [DEBIAN, *(Path(package, "dataset_example", "ml-100k") for package in packages)]
    return next((folder / file for folder in folders if (folder / file).exists()), None)


# ---- real data ----


def fashion(labels=False):
    """Fashion-MNIST, pixels in [0, 1]: tops against the rest, or its ten labels."""
    images = find(FILES["fashion"])
    classes = images.with_name("train-labels-idx1-ubyte.gz")
    X = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16)
    y = np.frombuffer(gzip.decompress(classes.read_bytes()), np.uint8, offset=8)
    return X.reshape(-1, 784) / 255.0, (y if labels else np.isin(y, TOPS)).astype(np.intp)


def a9a():
    """Adult: 32561 x 123, CSR, 14 ones a row."""
    X, y = datasets.load_svmlight_file(str(find(FILES["a9a"])), n_features=123)
    return csr_array(X), y


def spambase():
    """4601 x 57, heavy-tailed columns of scales from 0.1 to 600."""
    table = np.loadtxt(find(FILES["spambase"]), delimiter=",", skiprows=1)
    return np.ascontiguousarray(table[:, :-1]), table[:, -1]


def california():
    """20433 x 8, target in dollars; without rows with a missing value and the column of names."""
    path = find(FILES["california"])
    table = np.genfromtxt(path, delimiter=",", skip_header=1, usecols=range(9))
    table = table[np.isfinite(table).all(axis=1)]
    return np.ascontiguousarray(table[:, :-1]), table[:, -1]


def bundled(loader, positive=None, **options):
    """A set of scikit-learn's; with `positive`, these classes against the rest."""
    X, y = loader(return_X_y=True, **options)
    return X, y if positive is None else np.isin(y, positive).astype(np.intp)


# ---- synthetic data ----


def normal(rows=10_000, columns=100, classes=True):
    """Standard normal columns; a linear target with noise, or its sign."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, columns))
    w = rng.standard_normal(columns) / np.sqrt(columns)
    z = X @ w + 0.3 * rng.standard_normal(rows)
    return X, (z > 0).astype(np.intp) if classes else z


def sparse(rows=200_000, columns=100_000, row_size=75, classes=True):
    """CSR rows of unit norm, the columns drawn by Zipf's law.

    One column from each of `row_size` intervals whose ends grow geometrically: column j then
    appears about as often as 1 / (j + offset), and each row is made sorted and without duplicates.
    """
    rng = np.random.default_rng(0)
    offset = 40  # makes the first interval a few columns wide, so that no column is in every row
    ends = np.round(np.geomspace(offset, columns + offset, row_size + 1)).astype(np.int64) - offset
    cols = rng.integers(ends[:-1], ends[1:], size=(rows, row_size), dtype=np.int32)
    values = rng.standard_exponential((rows, row_size))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    starts = np.arange(0, rows * row_size + 1, row_size, dtype=np.int32)
    X = csr_array((values.ravel(), cols.ravel(), starts), shape=(rows, columns))
    z = X @ rng.standard_normal(columns)
    z += 0.3 * rng.standard_normal(rows)
    return X, (z > 0).astype(np.intp) if classes else z


def uniform(rows=60_000, columns=784, labels=False):
    """Fashion-MNIST's shape and range for machines without it; two classes or ten."""
    rng = np.random.default_rng(0)
    X = rng.random((rows, columns))
    if labels:
        W = np.random.default_rng(1).standard_normal((columns, 10))
        return X, ((X - 0.5) @ W).argmax(axis=1)
    return X, ((X - 0.5) @ rng.standard_normal(columns) > 0).astype(np.intp)


def correlated(rows, columns, correlation=0.9, signal=3.0, log_scale=0.0):
    """Autoregressive normal columns, scaled by 10^U(-log_scale, log_scale); logistic classes."""
    rng = np.random.default_rng(1)
    X = _autoregressive(rng, rows, columns, correlation)
    y = _logistic_labels(X @ rng.standard_normal(columns), rng, signal)
    return (X * 10 ** rng.uniform(-log_scale, log_scale, columns) if log_scale else X), y


def correlated_values(rows=30_000, columns=100, log_scale=0.0):
    """The columns of `correlated`; a linear target, with noise of half its deviation."""
    X, _ = correlated(rows, columns, log_scale=log_scale)
    rng = np.random.default_rng(2)
    z = (X / X.std(axis=0)) @ rng.standard_normal(columns)
    return X, z / z.std() + 0.5 * rng.standard_normal(rows)


def few_relevant(rows, columns, correlation):
    """Autoregressive columns; a target of 50 of them, with noise of half its deviation."""
    rng = np.random.default_rng(0)
    X, w = _autoregressive(rng, rows, columns, correlation), np.zeros(columns)
    w[rng.choice(columns, 50, replace=False)] = rng.standard_normal(50)
    z = X @ w
    return X, z + 0.5 * z.std() * rng.standard_normal(rows)


def _autoregressive(rng, rows, columns, correlation):
    """Normal rows: cor(x_j, x_k) = correlation^|j - k|."""
    X = rng.standard_normal((rows, columns))
    X[:, 1:] *= np.sqrt(1 - correlation**2)
    return np.ascontiguousarray(lfilter([1.0], [1.0, -correlation], X, axis=1))


def rotated(rows=3000, columns=60):
    """Condition number 1e4, not along the columns; a target with little noise."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((columns, columns)))[0]
    X = (rng.standard_normal((rows, columns)) * np.logspace(0, -2, columns)) @ Q
    return X, X @ (3 * rng.standard_normal(columns)) + 0.1 * rng.standard_normal(rows)


def scales(classes, rows=3000, columns=60):
    """Column deviations 10^U(-3, 3) and means 10^U(-2, 2)."""
    rng = np.random.default_rng(3)
    Z, w = rng.standard_normal((rows, columns)), 3 * rng.standard_normal(columns)
    z = Z @ w
    y = _logistic_labels(z, rng, 5.0) if classes else z + 0.5 * rng.standard_normal(rows)
    return Z * 10 ** rng.uniform(-3, 3, columns) + 10 ** rng.uniform(-2, 2, columns), y


def heavy_tailed(rows=4000, columns=1500):
    """CSR: columns by Zipf's law, log-normal values."""
    rng = np.random.default_rng(4)
    sizes = rng.integers(5, 60, rows)
    cols = [np.unique(rng.choice(columns, size, p=_zipf(columns, 0.9))) for size in sizes]
    ends = np.concatenate([[0], np.cumsum([len(c) for c in cols])])
    values = np.exp(1.2 * rng.standard_normal(ends[-1]))
    X = csr_array((values, np.concatenate(cols), ends), shape=(rows, columns))
    w = rng.standard_normal(columns) * (rng.random(columns) < 0.3)
    return X, (X @ w + 2 * rng.logistic(size=rows) > 0).astype(np.intp)


def text(rows=20_000, columns=20_000, words=70):
    """CSR of about 50 words a row by Zipf's law, tf-idf, rows of unit length."""
    rng = np.random.default_rng(5)
    cols = rng.choice(columns, rows * words, p=_zipf(columns, 1.0))
    starts = np.arange(0, len(cols) + 1, words)
    X = csr_array((np.ones(len(cols)), cols, starts), shape=(rows, columns))
    X.sum_duplicates()
    X = csr_array(TfidfTransformer(sublinear_tf=True).fit_transform(X))
    return X, _logistic_labels(X @ rng.standard_normal(columns), rng, 3.0)


def _zipf(size, power):
    weights = 1 / np.arange(1, size + 1) ** power
    return weights / weights.sum()


def _logistic_labels(z, rng, signal):
    return (z / z.std() * signal + rng.logistic(size=len(z)) > 0).astype(np.intp)


SETS = {
    "breast_cancer": partial(bundled, datasets.load_breast_cancer),
    "digits": partial(bundled, datasets.load_digits),
    "digits-even": partial(bundled, datasets.load_digits, positive=(0, 2, 4, 6, 8)),
    "wine": partial(bundled, datasets.load_wine),
    "wine-second": partial(bundled, datasets.load_wine, positive=(1,)),
    "diabetes": partial(bundled, datasets.load_diabetes, scaled=False),
    "a9a": a9a,
    "spambase": spambase,
    "california": california,
    "fashion": fashion,
    "fashion10": partial(fashion, labels=True),
    "fashion-10k": lambda: tuple(part[:10_000].copy() for part in fashion()),
    "synthetic": uniform,
    "synthetic10": partial(uniform, labels=True),
    "synthetic-10k": partial(uniform, 10_000),
    "dense-classes": normal,
    "dense-values": partial(normal, classes=False),
    "small-classes": partial(normal, 100, 10),  # where the cost of a call counts
    "tall-classes": partial(normal, 1_000_000, 20),
    "medium-classes": partial(normal, 100_000),
    "thin-classes": partial(normal, 200_000, 30),
    "sparse-classes": sparse,
    "rotated": rotated,
    "scales-values": partial(scales, classes=False),
    "scales-classes": partial(scales, classes=True),
    "heavy-tailed": heavy_tailed,
    "correlated": partial(correlated, 30_000, 100),
    "correlated-unscaled": partial(correlated, 30_000, 100, log_scale=2.0),
    "correlated-tall": partial(correlated, 100_000, 30, 0.5, 2.0),
    "correlated-wide": partial(correlated, 8000, 500, 0.5, 10.0),
    "text": text,
    "values": correlated_values,
    "values-unscaled": partial(correlated_values, log_scale=2.0),
    "lasso-square": partial(few_relevant, 2000, 2000, 0.5),
    "lasso-tall": partial(few_relevant, 20_000, 500, 0.7),
}


# ---- ratings: (user, item, rating) rows ----


def movielens():
    """(MovieLens 100k, the file), or (synthetic ratings of its size, "")."""
    path = find("ml-100k.inter") or find("u.data")  # two forms of the same ratings
    if path is None:
        return synthetic_ratings(100_000, 943, 1682), ""
    return np.loadtxt(path, skiprows=int(path.suffix == ".inter"), usecols=(0, 1, 2)), path


def synthetic_ratings(count, users, items, rank=10):
    """Ratings from 1 to 5: rounded products of normal factors, with biases and noise.

    A few users and items have most of the ratings.
    """
    rng = np.random.default_rng(0)
    u = (rng.random(count) ** 1.5 * users).astype(np.intp)
    i = (rng.random(count) ** 2 * items).astype(np.intp)
    p, q = rng.standard_normal((users, rank)), rng.standard_normal((items, rank))
    b, c = rng.standard_normal(users), rng.standard_normal(items)
    score = 3.5 + 0.45 * (b[u] + c[i]) + 0.15 * np.einsum("ij,ij->i", p[u], q[i])
    score += 0.8 * rng.standard_normal(count)
    return np.column_stack([u, i, np.clip(np.round(score), 1, 5)])
