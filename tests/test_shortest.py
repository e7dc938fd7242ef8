"""`LinearRegression` and `Ridge(alpha=0)` return the shortest of many least-squares solutions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import linear_model
from sklearn.base import clone

from fastgd import LinearRegression, Ridge
from reference import store

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

MODELS = [LinearRegression(tol=1e-12, max_iter=1000), Ridge(alpha=0.0, tol=1e-12, max_iter=1000)]


def shortest(X, Y, weights=None, fit_intercept=True):
    """(W, b): the shortest W that minimises squared errors, of centred data with an intercept."""
    s = np.ones(len(X)) if weights is None else weights
    means = (
        (s @ X / s.sum(), s @ Y / s.sum())
        if fit_intercept
        else (np.zeros(X.shape[1]), np.zeros(Y.shape[1]))
    )
    root = np.sqrt(s)[:, None]
    W = np.linalg.lstsq(root * (X - means[0]), root * (Y - means[1]), rcond=1e-10)[0].T
    return W, means[1] - W @ means[0]


def wide(rng):
    """Fewer rows than columns."""
    return rng.standard_normal((20, 60)) + 1


def square(rng):
    """As many rows as columns, which an intercept makes one too few."""
    return rng.standard_normal((30, 30)) + 1


def repeated(rng):
    """Every column twice."""
    return np.repeat(rng.standard_normal((80, 5)), 2, axis=1)


def dependent(rng):
    """Rank 4, columns of sizes from 0.01 to 100, which are their length, too."""
    return rng.standard_normal((80, 4)) @ rng.standard_normal((4, 12)) * np.logspace(-2, 2, 12)


def one_hot(rng):
    """Two sets of categories; each adds up to the intercept's column."""
    return np.hstack([np.eye(3)[rng.integers(0, 3, 90)], np.eye(4)[rng.integers(0, 4, 90)]])


def empty(rng):
    """Columns of zeros and of a constant among others."""
    X = rng.standard_normal((40, 6))
    X[:, 1], X[:, 4] = 0, 3
    return X


SHAPES = [wide, square, repeated, dependent, one_hot, empty]


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_the_solution_is_the_shortest(model, shape, weighted, targets, fit_intercept, layout):
    rng = np.random.default_rng(1)
    X = shape(rng)
    Y = X @ rng.standard_normal((X.shape[1], targets)) + rng.standard_normal((len(X), targets)) + 2
    weights = rng.uniform(0.5, 2, len(X)) if weighted else None
    W, b = shortest(X, Y, weights, fit_intercept)
    y = Y if targets > 1 else Y[:, 0]
    model.set_params(fit_intercept=fit_intercept).fit(store(X, layout), y, weights)
    coef = np.atleast_2d(model.coef_)
    assert_allclose(
        coef @ X.T + np.reshape(model.intercept_, (-1, 1)),
        W @ X.T + b[:, None],
        atol=1e-4 * np.abs(Y).max(),
    )
    assert_allclose(np.linalg.norm(coef, axis=1), np.linalg.norm(W, axis=1), rtol=1e-4)
    assert_allclose(coef, W, atol=1e-4 * np.abs(W).max())
    assert_allclose(model.intercept_, b if targets > 1 else b[0], atol=1e-4 * np.abs(Y).max())


@pytest.mark.parametrize("shape", [wide, repeated, dependent], ids=lambda shape: shape.__name__)
def test_scikit_learn_returns_the_same(shape):
    rng = np.random.default_rng(2)
    X = shape(rng)
    y = X @ rng.standard_normal(X.shape[1]) + rng.standard_normal(len(X))
    theirs = linear_model.LinearRegression().fit(X, y)
    assert_allclose(
        LinearRegression(tol=1e-12).fit(X, y).coef_,
        theirs.coef_,
        atol=1e-4 * np.abs(theirs.coef_).max(),
    )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_it_is_the_limit_of_ridge_regression(shape):
    rng = np.random.default_rng(3)
    X = shape(rng)
    y = X @ rng.standard_normal(X.shape[1]) + rng.standard_normal(len(X))
    limit = linear_model.Ridge(1e-9, solver="svd").fit(X, y)
    coef = LinearRegression(tol=1e-12).fit(X, y).coef_
    assert_allclose(coef, limit.coef_, atol=1e-3 * np.abs(limit.coef_).max())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(alpha=0.0)])
def test_float32_columns_that_depend_on_one_another(estimator, seed):
    """Rounding along the flat direction of float32 columns must not grow."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-5, 6, (60, 8)).astype(np.float32)
    X[:, 0] = X[:, 1] + X[:, 2]
    y = X @ rng.standard_normal(8) + 0.1 * rng.standard_normal(60)
    model = clone(estimator).fit(X, y)
    right = linear_model.LinearRegression().fit(X.astype(float), y)
    assert_allclose(model.coef_, right.coef_, atol=1e-4)
    assert model.loss_curve_[-1] > 0
