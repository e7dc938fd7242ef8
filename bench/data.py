"""The data the problems train on: Fashion-MNIST, scikit-learn's bundled sets, and seeded synthetic rows."""

import gzip
import os
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from sklearn import datasets
from sklearn.preprocessing import StandardScaler

TOPS = (0, 2, 3, 4, 6)  # T-shirt, pullover, dress, coat, shirt
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
BLOCK = 200_000  # rows made at a time
GIGABYTES = (0.1, 1, 8)  # of the sets that differ in size only; the last only on demand
IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


@lru_cache(maxsize=1)
def load(name, dtype="float64", rows=None):
    """(X, y) of the set called `name`, cut to `rows`. The last set is kept, as neighbouring problems share it."""
    if name in LARGE:
        return LARGE[name](rows)
    X, y = SETS[name]()
    if rows is not None and rows < X.shape[0]:
        X, y = X[:rows].copy(), y[:rows]
    return X.astype(dtype, copy=False), y


def dense_classes(rows=10_000, columns=100):
    """Standard normal columns; two classes cut by a hyperplane, with noise."""
    X, z, _ = _linear(rows, columns)
    return X, (z > 0).astype(np.intp)


def dense_values(rows=10_000, columns=100):
    """Standard normal columns; a linear target of unit variance, with noise."""
    X, z, _ = _linear(rows, columns)
    return X, z


def small_classes():
    """The size at which the cost of a call, not of the arithmetic, is what is measured."""
    return dense_classes(100, 10)


def _linear(rows, columns):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, columns))
    w = rng.standard_normal(columns) / np.sqrt(columns)
    return X, X @ w + 0.3 * rng.standard_normal(rows), w


def sparse_classes(rows=200_000, columns=100_000, row_size=75):
    """CSR rows of unit norm, the columns drawn by Zipf's law.

    One column from each of `row_size` intervals whose ends grow geometrically: column j then appears about as often as
    1 / (j + offset), and each row is sorted and free of duplicates as it is made.
    """
    rng = np.random.default_rng(0)
    offset = 40  # makes the first interval a few columns wide, so that no column is in every row
    ends = np.round(np.geomspace(offset, columns + offset, row_size + 1)).astype(np.int64) - offset
    cols, values = np.empty((rows, row_size), np.int32), np.empty((rows, row_size))
    for start in range(0, rows, BLOCK):  # in place, so that nothing of the size of X is needed beside it
        block = slice(start, min(start + BLOCK, rows))
        cols[block] = rng.integers(ends[:-1], ends[1:], size=cols[block].shape, dtype=np.int32)
        rng.standard_exponential(out=values[block])
        values[block] /= np.linalg.norm(values[block], axis=1, keepdims=True)
    starts = np.arange(0, rows * row_size + 1, row_size, dtype=np.int32)
    X = csr_array((values.ravel(), cols.ravel(), starts), shape=(rows, columns))
    z = X @ rng.standard_normal(columns)
    return X, (z + 0.3 * rng.standard_normal(rows) > 0).astype(np.intp)


def large_dense(size, rows=None, columns=100):
    """`dense_classes` of `size` bytes."""
    return dense_classes(rows or int(size // (8 * columns)), columns)


def large_sparse(size, rows=None, row_size=75):
    """`sparse_classes` of `size` bytes: 8 for a value, 4 for its column."""
    return sparse_classes(rows or int(size // (12 * row_size)), row_size=row_size)


def fashion_folder():
    """The folder with Fashion-MNIST's gzipped IDX files: of FASTGD_DATA, else of Debian's package; None if absent."""
    own = os.environ.get("FASTGD_DATA")
    folders = ([Path(own), Path(own, "fashion-mnist")] if own else []) + [DEBIAN]
    return next((folder for folder in folders if (folder / IMAGES).exists() and (folder / LABELS).exists()), None)


def fashion_classes():
    """Fashion-MNIST, pixels in [0, 1]: tops against the rest."""
    X = _idx(fashion_folder() / IMAGES, 16).reshape(-1, 784) / 255.0
    return X, np.isin(_idx(fashion_folder() / LABELS, 8), TOPS).astype(np.intp)


def fashion_labels():
    """Fashion-MNIST, pixels in [0, 1], with its ten classes."""
    return fashion_classes()[0], _idx(fashion_folder() / LABELS, 8).astype(np.intp)


def _idx(path, header):
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


def synthetic_classes(rows=60_000, columns=784):
    """Fashion-MNIST's shape and range for machines without it."""
    rng = np.random.default_rng(0)
    X = rng.random((rows, columns))
    return X, ((X - 0.5) @ rng.standard_normal(columns) > 0).astype(np.intp)


def synthetic_labels():
    """The same rows in ten classes."""
    X, _ = synthetic_classes()
    W = np.random.default_rng(1).standard_normal((X.shape[1], 10))
    return X, ((X - 0.5) @ W).argmax(axis=1)


def _bundled(loader):
    X, y = loader(return_X_y=True)
    return StandardScaler().fit_transform(X), y


SETS = {
    "dense-classes": dense_classes,
    "dense-values": dense_values,
    "small-classes": small_classes,
    "tall-classes": lambda: dense_classes(1_000_000, 20),
    "medium-classes": lambda: dense_classes(100_000, 100),
    "cached-classes": lambda: dense_classes(2000, 500),
    "sparse-classes": sparse_classes,
    "fashion": fashion_classes,
    "fashion10": fashion_labels,
    "synthetic": synthetic_classes,
    "synthetic10": synthetic_labels,
    "breast_cancer": lambda: _bundled(datasets.load_breast_cancer),
    "digits": lambda: _bundled(datasets.load_digits),
    "diabetes": lambda: _bundled(datasets.load_diabetes),
}
LARGE = {
    f"{layout}-{size:g}GB": partial(make, size * 1e9)
    for layout, make in (("dense", large_dense), ("sparse", large_sparse))
    for size in GIGABYTES
}
