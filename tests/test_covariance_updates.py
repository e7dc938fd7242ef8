"""Coordinate descent on the products of the columns: minima are scikit-learn's, gaps are those of
the coefficients, and training ends at `tol`.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import linear_model
from test_normal_equations import FORMS, data, problem_of

from fastgd import ElasticNet, Lasso
from fastgd.methods import covariance_updates
from fastgd.problem.dual_gap import dual_gaps
from fastgd.problem.duality import relative

PEERS = {Lasso: linear_model.Lasso, ElasticNet: linear_model.ElasticNet}


@pytest.mark.parametrize("form", ["dense", "float32"])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(
    "make, others",
    [
        (Lasso, {"alpha": 0.05}),
        (Lasso, {"alpha": 0.5, "positive": True}),
        (ElasticNet, {"alpha": 0.1, "l1_ratio": 0.3}),
    ],
)
def test_minima_are_scikit_learns(make, others, intercept, targets, form):
    X, Y, weights = data(120, 15, targets, seed=1)
    X[:, 3] = 2.5  # constant
    X[:, 4] = X[:, 5] + 1e-3 * X[:, 6]  # nearly dependent
    shared = {"fit_intercept": intercept, **others}
    model = make(tol=1e-12, **shared).fit(FORMS[form](X), Y, sample_weight=weights)
    assert model.n_iter_ == 1 and model.converged_
    for k in range(targets):
        peer = PEERS[make](tol=1e-12, max_iter=10**6, **shared)
        peer.fit(X, Y[:, k], sample_weight=weights)
        coef = np.atleast_2d(model.coef_)[k]
        assert_allclose(X @ (coef - peer.coef_), 0, atol=2e-3 if form == "float32" else 1e-5)
        if form == "dense":
            assert (coef == 0).sum() >= (peer.coef_ == 0).sum()


@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-6, 1e-10])
def test_training_ends_at_tol(tol):
    X, Y, _ = data(300, 40, 2, seed=2)
    X = np.cumsum(X, axis=1)
    model = ElasticNet(alpha=0.2, tol=tol).fit(X, Y)
    exact = ElasticNet(alpha=0.2, tol=1e-15).fit(X, Y)

    def objective(fitted):
        residual = Y - fitted.predict(X)
        penalty = 0.1 * np.abs(fitted.coef_).sum() + 0.05 * (fitted.coef_**2).sum()
        return (residual**2).sum() / 600 + penalty

    constant = ((Y - Y.mean(axis=0)) ** 2).sum() / 600
    gained = constant - objective(exact)
    distance = (objective(model) - objective(exact)) / gained
    assert model.optimality_kind_ == "duality gap"
    assert distance <= 1.01 * model.optimality_ + 1e-13 and model.optimality_ <= tol


def test_gaps_are_those_of_the_coefficients():
    X, Y, weights = data(90, 12, 2, seed=3)
    problem = problem_of(X, Y, weights / weights.mean(), l2=0.02)
    problem.objective.l1 = 0.1
    solution = covariance_updates.solve(problem, 1e-2)
    expected = dual_gaps(problem, solution.coef, solution.intercept)
    assert_allclose(solution.gaps, expected, rtol=1e-9, atol=1e-12 * solution.loss)
    worst = (Y - np.average(Y, axis=0, weights=weights)) ** 2
    worst = float((weights @ worst).sum() / weights.sum()) / 2
    share = relative(expected.sum(), solution.loss, worst)
    assert_allclose(solution.optimality[0], share, rtol=1e-9, atol=1e-12)
    theta = np.concatenate([solution.coef.ravel(), solution.intercept])
    assert_allclose(solution.loss, problem.value(theta, np.empty_like(theta)), rtol=1e-12)


@pytest.mark.parametrize("batch_size", ["auto", "full"])
@pytest.mark.parametrize("power_x, power_y", [(0, 200), (150, 0), (-150, 100)])
def test_the_unit_of_the_dual_gap_is_that_of_the_objective(power_x, power_y, batch_size):
    X, Y, _ = data(100, 8, seed=5)
    settings = {"tol": 1e-3, "batch_size": batch_size}
    plain = Lasso(alpha=0.3, **settings).fit(X, Y[:, 0])
    alpha = float(np.ldexp(0.3, power_x + power_y))
    other = Lasso(alpha=alpha, **settings).fit(np.ldexp(X, power_x), np.ldexp(Y[:, 0], power_y))
    assert_allclose(np.ldexp(other.dual_gap_, -2 * power_y), plain.dual_gap_, rtol=1e-3, atol=1e-9)
