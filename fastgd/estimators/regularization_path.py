"""scikit-learn's functions of the paths of L1-penalised least squares."""

import time
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.linear_model._base import _check_precomputed_gram_matrix
from sklearn.utils import check_array, check_consistent_length

from fastgd.estimators.diagnostics import warn
from fastgd.estimators.parameters import thread_count
from fastgd.estimators.path_search import FEW_COLUMNS, MAX_COLUMNS, Samples
from fastgd.estimators.penalty_selection import alpha_grid, warn_of_unfinished
from fastgd.methods.lasso_path import PathData, PathSettings
from fastgd.problem.data import check_compressed
from fastgd.problem.products import Products, products_of
from fastgd.training.blas import one_blas_thread

DEPRECATED_NUMBER = (
    "'n_alphas' was deprecated in 1.9 and will be removed in 1.11. 'alphas' now accepts an integer "
    "value which removes the need to pass 'n_alphas'. The default value of 'alphas' will change "
    "from None to 100 in 1.11. Pass an explicit value to 'alphas' and leave 'n_alphas' to its "
    "default value to silence this warning."
)
DEPRECATED_NONE = (
    "'alphas=None' is deprecated and will be removed in 1.11, at which point the default value "
    "will be set to 100. Set 'alphas=100' to silence this warning."
)
# The options of a path beside those of its signature, and their defaults. The last two have no
# effect, as scikit-learn's choose among ways to the same solution.
OPTIONS = {
    "tol": 1e-4,
    "max_iter": 1000,
    "sample_weight": None,
    "X_offset": None,
    "X_scale": None,
    "random_state": None,
    "do_screening": True,
    "selection": "cyclic",
}


def grid_of(alphas, n_alphas):
    """The number of strengths or the strengths themselves, given two parameters of which one is
    deprecated.
    """
    if n_alphas != "deprecated":
        warn(DEPRECATED_NUMBER, FutureWarning)
    if alphas is None:
        warn(DEPRECATED_NONE, FutureWarning)
    if alphas is None or isinstance(alphas, str):
        return 100 if n_alphas == "deprecated" else n_alphas
    return alphas


def compute_path(X, y, l1_ratio, eps, alphas, precompute, Xy, coef_init, positive, params):
    """(alphas, weights (points, p, targets), gaps, sweeps) of a path without an intercept."""
    options = OPTIONS | params
    if len(options) > len(OPTIONS):
        unknown = {name: params[name] for name in params if name not in OPTIONS}
        raise ValueError("Unexpected parameters in params", unknown.keys())
    if options["selection"] not in ("random", "cyclic"):
        raise ValueError("selection should be either random or cyclic.")
    if y.ndim > 1 and positive:
        raise ValueError("positive=True is not allowed for multi-output (y.ndim != 1)")
    tol, max_iter = options["tol"], options["max_iter"]
    with one_blas_thread():
        data = _data(X, y, precompute, Xy, options)
        alphas = _checked(alphas, data, l1_ratio, eps, positive)
        start = None if coef_init is None else _start(coef_init, data.y_products.shape)
        settings = PathSettings(float(tol), int(max_iter), bool(positive))
        points = data.descend(alphas * l1_ratio, alphas * (1 - l1_ratio), settings, start)
    warn_of_unfinished(points.unfinished, len(alphas))
    return alphas, points.weights, points.gaps, points.iterations


def checked_data(X, y):
    """X and y as arrays or, of X, a CSR matrix, of float32 or float64 numbers."""
    check_compressed(X)
    options = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "order": "C"}
    X = check_array(X, **options, input_name="X")
    # What is too large for float32 becomes infinite, and is refused.
    with np.errstate(over="ignore", invalid="ignore"):
        y = check_array(y, dtype=X.dtype.type, ensure_2d=False, input_name="y")
    check_consistent_length(X, y)
    return X, y


def _data(X, y, precompute, Xy, options):
    """The `PathData` of X and y, which are not centred."""
    n, p = X.shape
    weights, shares = options["sample_weight"], np.full(n, 1 / n)
    if weights is not None:
        weights = np.asarray(weights, dtype=np.float64)
        check_consistent_length(X, weights)
        shares = weights / n
    Y = np.asarray(y, dtype=np.float64).reshape(n, -1)
    if sparse.issparse(X):
        offset, scale = options["X_offset"], options["X_scale"]
        mean = np.zeros(p) if offset is None else np.asarray(offset) / np.asarray(scale)
        return PathData.of_sparse(sparse.csr_array(X), Y, shares, False, mean.astype(np.float64))
    if isinstance(precompute, (bool, np.bool_, str)):
        suits = p <= MAX_COLUMNS and (p <= FEW_COLUMNS or p <= n)
        takes_products = precompute is True or (precompute == "auto" and suits)
        if takes_products and y.ndim == 1 and weights is None:
            samples = Samples(np.ascontiguousarray(X), Y[:, 0], None, False)
            products = products_of(samples.problem(thread_count(None)))
            if products:
                return PathData.of_products(products, n)
        return PathData.of_dense(X, Y, shares, False)
    gram, none = np.asarray(precompute, dtype=np.float64), np.zeros(p)
    _check_precomputed_gram_matrix(X, np.asarray(precompute), none, none + 1)
    if y.ndim > 1:
        return PathData.of_dense(X, Y, shares, False)
    Xy = X.T.astype(np.float64) @ Y if Xy is None else np.asarray(Xy, dtype=np.float64)
    XY, YY = Xy.reshape(p, 1) / n, (Y * Y).sum(axis=0) / n
    return PathData.of_products(Products(none, np.zeros(1), gram / n, XY, YY, False), n)


def _checked(alphas, data, l1_ratio, eps, positive):
    """The strengths of the penalty, in descending order."""
    if isinstance(alphas, Integral):
        return alpha_grid(data.largest_l1(positive), l1_ratio, eps, alphas)
    alphas = np.asarray(alphas, dtype=float)
    if alphas.ndim != 1 or not (np.isfinite(alphas) & (alphas >= 0)).all():
        raise ValueError(f"alphas must be finite numbers >= 0, got {alphas}")
    return np.sort(alphas)[::-1]


def _start(coef_init, shape):
    """A user's initial weights, (p,) or (targets, p), as (p, targets)."""
    start = np.asarray(coef_init, dtype=np.float64)
    needed = shape[::-1] if start.ndim > 1 else shape[:1]
    if start.shape != needed or (start.ndim == 1 and shape[1] > 1):
        raise ValueError(f"coef_init has shape {start.shape}, {needed} is needed")
    return start.T.reshape(shape)


def report(verbose, points, sweeps, begin):
    """Print what a path has taken."""
    if verbose:
        seconds = time.perf_counter() - begin
        print(f"Path of {points} alphas: {int(np.sum(sweeps))} sweeps in {seconds:.2g} s")
