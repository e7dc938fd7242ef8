"""The interior-point method for piecewise linear losses on little data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import linprog
from sklearn.base import clone

from fastgd import LinearSVC, LinearSVR, SGDClassifier, SGDRegressor
from fastgd.methods import interior_point


def data(seed=0, n=120, p=6):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * 10.0 ** rng.uniform(-1, 1, p) + rng.uniform(-3, 3, p)
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.standard_normal(p)
    return X, z + 0.5 * rng.standard_normal(n), rng.uniform(0.1, 3, n)


MODELS = {
    "hinge": LinearSVC(loss="hinge", C=0.1),
    "hinge, no intercept": LinearSVC(loss="hinge", C=0.1, fit_intercept=False),
    "epsilon-insensitive": LinearSVR(epsilon=0.3, C=0.1),
    "absolute": LinearSVR(epsilon=0.0, C=10.0),
    "quantile": SGDRegressor("quantile", quantile=0.8, alpha=0.01),
    "perceptron-like classes": SGDClassifier("hinge", alpha=1e-3),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_minimum_is_that_of_smoothing(name, monkeypatch):
    X, y, weights = data()
    model = clone(MODELS[name]).set_params(tol=1e-9, max_iter=1000)
    y = np.digitize(y, [-1, 1]) if hasattr(model, "decision_function") else y
    found = model.fit(X, y, sample_weight=weights)
    coef, intercept, loss = found.coef_, found.intercept_, found.history_["loss"][-1]
    assert found.solver_ == "interior-point" and found.converged_ and found.n_iter_ <= 60
    monkeypatch.setattr(interior_point, "suits", lambda problem: False)
    other = model.set_params(batch_size="auto" if "Linear" in str(model) else "full")
    other.fit(X, y, sample_weight=weights)
    assert other.solver_ == "smoothed-newton"
    least = min(other.history_["loss"])
    assert loss <= least + 1e-8 * abs(least)
    scale = np.abs(other.coef_).max()
    assert_allclose(coef, other.coef_, rtol=0, atol=2e-3 * scale)
    assert_allclose(intercept, other.intercept_, atol=2e-2 * max(scale, 1))


def test_the_known_answer_of_a_quantile():
    """Without columns that explain anything the intercept is the quantile."""
    rng = np.random.default_rng(1)
    y = rng.standard_normal(999)
    X = np.zeros((999, 1))
    X[0] = 1e-9
    model = SGDRegressor("quantile", quantile=0.25, alpha=1.0, tol=1e-10).fit(X, y)
    assert model.solver_ == "interior-point"
    assert_allclose(model.intercept_, np.quantile(y, 0.25), atol=1e-2)


def test_the_limit_of_no_penalty_is_that_of_linear_programming():
    X, y, _ = data(2, n=60, p=4)
    n, p = X.shape
    # Variables: w, b, and the positive and negative parts of the residuals.
    A = np.hstack([X, np.ones((n, 1)), np.eye(n), -np.eye(n)])
    cost = np.concatenate([np.zeros(p + 1), np.full(2 * n, 1 / n)])
    free, positive = [(None, None)] * (p + 1), [(0, None)] * (2 * n)
    exact = linprog(cost, A_eq=A, b_eq=y, bounds=free + positive)
    model = LinearSVR(epsilon=0.0, C=1e6, tol=1e-10).fit(X, y)
    assert model.solver_ == "interior-point"
    assert_allclose(np.abs(y - model.predict(X)).mean(), exact.fun, rtol=1e-5)


def test_the_bound_holds():
    """`optimality_` is no less than the distance from the minimum."""
    X, y, _ = data(3)
    t = np.where(y > 0, 1.0, -1.0)

    def objective(model):
        w = model.coef_[0]
        margins = t * (X @ w + model.intercept_)
        return np.maximum(0, 1 - margins).mean() + w @ w / (2 * 5.0 * len(t))

    fits = [LinearSVC(loss="hinge", C=5.0, tol=tol).fit(X, t) for tol in (0.3, 1e-2, 1e-4, 1e-12)]
    least = objective(fits[-1])
    for model in fits[:-1]:
        distance = (objective(model) - least) / (1 - least)
        assert model.converged_ and distance <= 1.01 * model.optimality_ + 1e-9


def test_fewer_epochs_give_a_worse_model_and_none_is_worse_than_the_constant():
    X, y, _ = data(4)
    with pytest.warns(match="before it converged"):
        short = [LinearSVR(C=1.0, tol=1e-9, max_iter=k).fit(X, y) for k in (1, 3, 6)]
    losses = [model.history_["loss"][-1] for model in short]
    assert losses[0] >= losses[1] >= losses[2]
    constant = np.abs(y - np.median(y)).mean()
    assert losses[0] <= constant * (1 + 1e-9)


def test_repeated_rows_are_rows_of_more_weight():
    X, y, _ = data(5)
    counts = np.random.default_rng(0).integers(1, 4, len(y))
    model = LinearSVR(epsilon=0.1, tol=1e-6)
    weighted = model.fit(X, y, counts.astype(float)).coef_.copy()
    repeated = model.fit(np.repeat(X, counts, axis=0), np.repeat(y, counts)).coef_
    assert_allclose(weighted, repeated, rtol=1e-6, atol=1e-9)


def test_smoothing_takes_over_where_a_matrix_has_no_factor(monkeypatch):
    X, y, _ = data(6)
    expected = LinearSVR(tol=1e-6).fit(X, y)
    monkeypatch.setattr(interior_point, "cholesky", lambda H: None)
    model = LinearSVR(tol=1e-6).fit(X, y)
    assert (expected.solver_, model.solver_) == ("interior-point", "smoothed-newton")
    assert model.converged_
    assert_allclose(model.history_["loss"][-1], expected.history_["loss"][-1], rtol=1e-5)


def test_it_is_for_little_data_of_piecewise_linear_losses():
    X, y, _ = data(7)
    assert LinearSVR(loss="squared_epsilon_insensitive").fit(X, y).solver_ != "interior-point"
    assert LinearSVR(batch_size="full").fit(X, y).solver_ == "smoothed-newton"
    assert LinearSVR().fit(X.astype(np.float32), y).solver_ == "smoothed-newton"
    many = np.random.default_rng(0).standard_normal((5000, 2))
    assert LinearSVR().fit(many, many[:, 0]).solver_ == "smoothed-newton"


def test_sparse_rows_get_there_by_way_of_the_dual():
    X, y, _ = data(9)
    model = LinearSVR(epsilon=0.1, C=100.0, tol=1e-8).fit(sparse.csr_array(X), y)
    dense = LinearSVR(epsilon=0.1, C=100.0, tol=1e-8).fit(X, y)
    assert (model.solver_, dense.solver_) == ("interior-point", "interior-point")
    assert_allclose(model.coef_, dense.coef_, rtol=0, atol=1e-3 * np.abs(dense.coef_).max())


def test_bits_do_not_depend_on_the_number_of_threads():
    X, y, _ = data(8)
    fits = [LinearSVR(n_jobs=threads).fit(X, y) for threads in (1, 2, 4)]
    for model in fits[1:]:
        assert_array_equal(model.coef_, fits[0].coef_)
