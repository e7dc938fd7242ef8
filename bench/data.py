"""The data the problems train on: Fashion-MNIST, scikit-learn's bundled sets, and seeded synthetic rows."""

import gzip
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from sklearn import datasets
from sklearn.preprocessing import StandardScaler

TOPS = (0, 2, 3, 4, 6)  # T-shirt, pullover, dress, coat, shirt
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


@lru_cache(maxsize=1)
def load(name, dtype="float64", rows=None):
    """(X, y) of the set called `name`, cut to `rows`. The last set is kept, as neighbouring problems share it."""
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
    cols = rng.integers(ends[:-1], ends[1:], size=(rows, row_size), dtype=np.int32)
    values = rng.exponential(size=(rows, row_size))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    X = csr_array(
        (values.ravel(), cols.ravel(), np.arange(0, rows * row_size + 1, row_size, dtype=np.int32)),
        shape=(rows, columns),
    )
    z = X @ rng.standard_normal(columns)
    return X, (z + 0.3 * rng.standard_normal(rows) > 0).astype(np.intp)


def fashion_folder():
    """The folder with Fashion-MNIST's gzipped IDX files: of FASTGD_DATA, else of Debian's package; None if absent."""
    own = os.environ.get("FASTGD_DATA")
    folders = ([Path(own), Path(own, "fashion-mnist")] if own else []) + [DEBIAN]
    return next((folder for folder in folders if (folder / IMAGES).exists() and (folder / LABELS).exists()), None)


def fashion_classes():
    """Fashion-MNIST, pixels in [0, 1]: tops against the rest."""
    X = _idx(fashion_folder() / IMAGES, 16).reshape(-1, 784) / 255.0
    return X, np.isin(_idx(fashion_folder() / LABELS, 8), TOPS).astype(np.intp)


def _idx(path, header):
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


def synthetic_classes(rows=60_000, columns=784):
    """Fashion-MNIST's shape and range for machines without it."""
    rng = np.random.default_rng(0)
    X = rng.random((rows, columns))
    return X, ((X - 0.5) @ rng.standard_normal(columns) > 0).astype(np.intp)


def _bundled(loader):
    X, y = loader(return_X_y=True)
    return StandardScaler().fit_transform(X), y


SETS = {
    "dense-classes": dense_classes,
    "dense-values": dense_values,
    "small-classes": small_classes,
    "sparse-classes": sparse_classes,
    "fashion": fashion_classes,
    "synthetic": synthetic_classes,
    "breast_cancer": lambda: _bundled(datasets.load_breast_cancer),
    "digits": lambda: _bundled(datasets.load_digits),
    "diabetes": lambda: _bundled(datasets.load_diabetes),
}
