"""Conversion of users' arrays to those that the kernels read."""

import numpy as np
from scipy import sparse

from fastgd.kernels.rows import Rows, has_repeats


def check_compressed(X):
    """Raise an error for a malformed CSR, CSC or BSR matrix; SciPy's conversions of it would read
    outside the buffers.
    """
    if not (sparse.issparse(X) and X.format in ("csr", "csc", "bsr")):
        return
    blocks = X.blocksize if X.format == "bsr" else (1, 1)
    major, minor = X.shape[0] // blocks[0], X.shape[1] // blocks[1]
    if X.format == "csc":
        major, minor = minor, major
    indices, indptr = np.asarray(X.indices), np.asarray(X.indptr)
    fault = None
    if indptr.shape != (major + 1,):
        fault = f"indptr has shape {indptr.shape}, ({major + 1},) is needed"
    elif indices.dtype.kind != "i" or indptr.dtype.kind != "i":
        fault = f"indices are {indices.dtype} and indptr {indptr.dtype}, not integers"
    elif indptr[0] != 0:
        fault = f"indptr starts with {indptr[0]}, not 0"
    elif (indptr[1:] < indptr[:-1]).any():
        fault = "indptr descends"
    elif indptr[-1] > min(len(indices), len(X.data)):
        stored = f"there are {len(indices)} indices and {len(X.data)} values"
        fault = f"indptr ends with {indptr[-1]}, but {stored}"
    elif indptr[-1]:
        low, high = indices[: indptr[-1]].min(), indices[: indptr[-1]].max()
        if low < 0 or high >= minor:
            fault = f"indices run from {low} to {high}, 0 to {minor - 1} is allowed"
    if fault:
        raise ValueError(f"X is a malformed {X.format.upper()} matrix: {fault}")


@np.errstate(over="ignore", invalid="ignore")
def is_surely_finite(array):
    """True if every number is finite; False if one is not, or if their sum overflows."""
    return np.isfinite(array.sum())


def is_plain(X, ensure_finite=True):
    """Whether X is an array that needs no conversion: two dimensions, C-order, float32 or float64,
    finite.
    """
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.size
        and X.dtype in (np.float64, np.float32)
        and X.flags.c_contiguous
        and X.flags.aligned
        and (not ensure_finite or is_surely_finite(X))
    )


def is_plain_csr(X, ensure_finite=True):
    """Whether X is a CSR matrix that needs no conversion, for which `check_compressed` has no
    error.
    """
    return (
        type(X) in (sparse.csr_array, sparse.csr_matrix)
        and X.ndim == 2
        and min(X.shape) > 0
        and X.data.dtype in (np.float64, np.float32)
        and X.indices.dtype == X.indptr.dtype
        and X.indptr.dtype in (np.int32, np.int64)
        and (not ensure_finite or is_surely_finite(X.data[: X.nnz]))
    )


def is_plain_target(y, n, is_many=False):
    """Whether y needs no conversion: one finite number for each of the n rows or, with `is_many`,
    one or more.
    """
    return (
        type(y) is np.ndarray
        and (y.shape == (n,) or (is_many and y.ndim == 2 and len(y) == n and y.size))
        and (y.dtype.kind in "iub" or (y.dtype.kind == "f" and is_surely_finite(y)))
    )


def as_rows(X):
    """The kernels' view of a validated X: C-order array or CSR matrix, float32 or float64. Copies
    nothing.
    """
    if not sparse.issparse(X):
        return Rows(np.require(X, requirements="CA"))
    wide = np.int64 if np.int64 in (X.indices.dtype, X.indptr.dtype) else np.int32
    indices, indptr = (np.require(part, wide, "CA") for part in (X.indices, X.indptr))
    return Rows(np.require(X.data, requirements="CA"), indices, indptr, X.shape)


def largest(X):
    """The largest absolute value of each column of an array or a CSR matrix."""
    sizes = abs(X).max(axis=0)
    return np.asarray(sizes.todense()).ravel() if sparse.issparse(X) else sizes


def distinct_columns(X):
    """X itself, or a copy in which repeated columns of a CSR row are summed, as norms of rows
    need.
    """
    if sparse.issparse(X) and has_repeats(as_rows(X)):
        X = X.copy()
        X.sum_duplicates()
    return X
