"""`dual_gap_` of Lasso and ElasticNet is scikit-learn's, of the coefficients that are returned."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import linear_model

from fastgd import ElasticNet, Lasso
from fastgd.problem import dual_gap
from reference import store

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::UserWarning"
)


def objectives(model, X, Y, weights=None):
    """F of each target."""
    r = Y - (X @ np.atleast_2d(model.coef_).T + model.intercept_)
    w = np.atleast_2d(model.coef_)
    l1 = model.alpha * model.l1_ratio
    l2 = model.alpha * (1 - model.l1_ratio)
    return (
        np.average(r * r, axis=0, weights=weights) / 2
        + l1 * abs(w).sum(axis=1)
        + l2 / 2 * (w * w).sum(axis=1)
    )


def theirs_at(model, X, Y, weights):
    """scikit-learn's gaps at a model's coefficients, where it stops at once for its large `tol`."""
    gaps = []
    for coef, y in zip(np.atleast_2d(model.coef_), Y.T, strict=True):
        peer = linear_model.ElasticNet(
            **{name: getattr(model, name) for name in ("alpha", "l1_ratio", "positive")},
            fit_intercept=model.fit_intercept,
            warm_start=True,
            tol=1e20,
            max_iter=1,
        )
        peer.coef_ = coef.astype(float)
        gaps.append(peer.fit(X, y, weights).dual_gap_)
        assert_allclose(peer.coef_, coef)
    return gaps


@pytest.mark.parametrize("max_iter", [1, 2, 1000])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"l1_ratio": 0.0},
        {"l1_ratio": 1.0},
        {"alpha": 0.0},
        {"positive": True},
        {"fit_intercept": False},
        {"fit_intercept": False, "positive": True, "l1_ratio": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gap_is_scikit_learns(weighted, parameters, max_iter, data, layout):
    X = data.X + [0, 3, 0, 0, -1, 0] * (data.X[:, :1] != 0)
    weights = data.weights if weighted else None
    for Y in (data.values[:, None], data.pairs):
        model = ElasticNet(**{"alpha": 0.1, "max_iter": max_iter, **parameters})
        model.fit(store(X, layout), Y if Y.shape[1] > 1 else Y[:, 0], weights)
        assert np.shape(model.dual_gap_) == (() if Y.shape[1] == 1 else (Y.shape[1],))
        assert_allclose(
            np.atleast_1d(model.dual_gap_), theirs_at(model, X, Y, weights), rtol=1e-6, atol=1e-12
        )


@pytest.mark.parametrize(
    "kind, parameters",
    [
        (Lasso, {"alpha": 0.05}),
        (ElasticNet, {"alpha": 0.05}),
        (ElasticNet, {"alpha": 0.05, "l1_ratio": 0.0}),
        (Lasso, {"alpha": 0.05, "positive": True}),
        (ElasticNet, {"alpha": 0.05, "l1_ratio": 0.0, "positive": True}),
    ],
)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_minimum_is_not_farther_than_the_gap(kind, parameters, fit_intercept, data, layout):
    X, Y = store(data.X, layout), data.pairs
    best = kind(**parameters, fit_intercept=fit_intercept, tol=1e-14).fit(X, Y, data.weights)
    least = objectives(best, data.X, Y, data.weights)
    assert (best.dual_gap_ <= 1e-10 * (1 + least)).all()
    assert (best.dual_gap_ >= 0).all()
    for max_iter in (1, 2, 3):
        model = kind(**parameters, fit_intercept=fit_intercept, max_iter=max_iter, tol=1e-14).fit(
            X, Y, data.weights
        )
        distance = objectives(model, data.X, Y, data.weights) - least
        assert (model.dual_gap_ >= distance - 1e-12).all()


def test_in_float32_the_gap_is_that_of_the_rounded_coefficients(data):
    X, y = data.X.astype(np.float32), data.values.astype(np.float32)
    model = Lasso(0.05, max_iter=2, tol=1e-9).fit(X, y)
    (theirs,) = theirs_at(model, X.astype(float), y[:, None].astype(float), None)
    assert_allclose(model.dual_gap_, theirs, rtol=1e-3, atol=1e-6)


def test_a_converged_lasso_needs_no_pass_for_it(data, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a pass over X was made")

    monkeypatch.setattr(dual_gap, "_from_data", refuse)
    Lasso(0.05).fit(data.X, data.values)
