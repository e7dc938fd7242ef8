"""Fewer rows than columns: the problem in the span of the rows, against the problem itself."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning

from fastgd import LinearRegression, LinearSVC, LinearSVR, LogisticRegression, Ridge, SGDClassifier
from fastgd.methods.row_space import MAX_WIDTH_RATIO, Span, is_worthwhile
from fastgd.problem.data import as_rows
from fastgd.problem.losses import loss_of
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem
from reference import store


def wide(seed=0, n=30, p=90):
    """(X, targets): correlated columns that are not centred."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 5)) @ rng.standard_normal((5, p)) + rng.standard_normal((n, p)) + 1
    return X, X @ rng.standard_normal(p) / p**0.5 + rng.standard_normal(n)


def problem_of(X, y, weights=None, l2=0.1, intercept=True):
    objective = Objective(loss_of("squared_error"), l2=l2, intercept=intercept)
    return Problem(as_rows(X), y, weights, objective, np.arange(len(y)), True, 1, X)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [True, False])
def test_coordinates_are_those_of_an_orthonormal_basis(weighted, l2, intercept, layout):
    X, y = wide()
    X[-1] = X[0]  # one row less than it seems
    weights = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else None
    span = Span(problem_of(store(X, layout), y, weights, l2, intercept))
    center = np.average(X, axis=0, weights=weights) if intercept else np.zeros(X.shape[1])
    assert_allclose(span.center, center, atol=1e-12)
    basis = span.to_columns(np.eye(span.coordinates.shape[1]))
    if l2 == 0:
        assert len(basis) == len(y) - 1 - intercept
    assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-7)
    assert_allclose(span.coordinates @ basis, X - center, atol=1e-9)
    W = np.random.default_rng(2).standard_normal((2, X.shape[1]))
    assert_allclose(span.to_rank(W), W @ basis.T, atol=1e-7)


@pytest.mark.parametrize(
    "model", [Ridge(0.5, tol=1e-13), Ridge(5.0, fit_intercept=False, tol=1e-13)]
)
@pytest.mark.parametrize("targets", [1, 3])
def test_ridge_is_scikit_learns(model, targets, layout):
    X, y = wide(1)
    Y = np.column_stack([y, y[::-1] ** 2, -y])[:, :targets] if targets > 1 else y
    weights = np.random.default_rng(3).uniform(0.5, 2, len(y))
    peer = linear_model.Ridge(model.alpha, fit_intercept=model.fit_intercept, solver="svd")
    peer.fit(X, Y, weights)
    model.fit(store(X, layout), Y, weights)
    assert model.converged_ and model.n_iter_ <= 5
    assert_allclose(model.coef_, peer.coef_, atol=1e-6 * np.abs(peer.coef_).max())
    assert_allclose(model.intercept_, peer.intercept_, atol=1e-6)


@pytest.mark.parametrize("loss", ["log_loss", "softmax", "squared_hinge", "hinge"])
def test_the_minimum_is_that_of_all_columns(loss, layout):
    """Passes over all columns come to the same margins."""
    X, y = wide(2)
    labels = np.digitize(y, np.quantile(y, [0.3, 0.6])) if loss == "softmax" else y > np.median(y)
    kind = {"hinge": LinearSVC(loss="hinge"), "squared_hinge": LinearSVC()}
    model = kind.get(loss, LogisticRegression()).set_params(tol=1e-8)
    tol = 1e-6 if loss == "hinge" else 1e-10
    other = SGDClassifier(loss, alpha=1 / len(y), batch_size="full", tol=tol, max_iter=5000)
    model.fit(store(X, layout), labels)
    other.fit(X, labels)
    assert model.converged_ and other.converged_
    assert_allclose(model.decision_function(X), other.decision_function(X), atol=2e-2)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "model", [LinearRegression(), Ridge(), LinearSVC(), LinearSVR(), LogisticRegression()]
)
def test_few_rows_converge(model, seed, layout):
    rng = np.random.default_rng(seed)
    X, y = wide(seed, int(rng.integers(3, 60)), int(rng.integers(80, 400)))
    y = y > np.median(y) if isinstance(model, LinearSVC | LogisticRegression) else y
    model.fit(store(X, layout), y)
    assert model.converged_ and model.optimality_ <= model.tol and model.stop_reason_ == "tol"


def test_a_later_fit_goes_on_exactly():
    X, y = wide(3)
    whole = LogisticRegression(warm_start=True, tol=1e-12, max_iter=8)
    part = LogisticRegression(warm_start=True, tol=1e-12, max_iter=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole.fit(X, y > 0)
        part = pickle.loads(pickle.dumps(part.fit(X, y > 0))).set_params(max_iter=5).fit(X, y > 0)
    assert_array_equal(part.coef_, whole.coef_)


def test_columns_of_other_sizes_or_a_linear_cost_are_left_to_other_methods():
    X, y = wide(4)
    assert is_worthwhile(problem_of(X, y)) and is_worthwhile(problem_of(sparse.csr_array(X), y))
    assert not is_worthwhile(problem_of(X * np.geomspace(1, 10 * MAX_WIDTH_RATIO, X.shape[1]), y))
    assert not is_worthwhile(problem_of(X.T.copy(), X[0]))
    objective = Objective(loss_of("squared_error"), l1=0.1)
    assert not is_worthwhile(Problem(as_rows(X), y, None, objective, np.arange(len(y)), True, 1, X))
