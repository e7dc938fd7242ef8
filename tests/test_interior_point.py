"""The interior-point method for piecewise linear losses on little data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import linprog
from sklearn.base import clone

from fastgd import LinearSVC, LinearSVR, SGDClassifier, SGDRegressor
from fastgd.kernels import interior
from fastgd.methods import interior_point
from fastgd.problem.losses import loss_of


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


def slow_step(A, shares, l2, low, places, iterate, v, ridge, share):
    """(iterate, v, gradient, length) after a step, by the definition."""
    a, b, right, left = iterate
    gradient = A.T @ (shares * (low + a.sum(axis=0))) + l2 * v
    D = 1 / (right / a + left / b)
    H = (A.T * (shares * D.sum(axis=0))) @ A
    H += np.diag(l2 + ridge * H.diagonal().max())

    def direction(of_right, of_left):
        e = A @ v - places - left + right + of_right / a - of_left / b
        dv = -np.linalg.solve(H, gradient + A.T @ (shares * (D * e).sum(axis=0)))
        da = D * (A @ dv + e)
        step = np.array([da, -da, (of_right - right * da) / a, (of_left + left * da) / b])
        return dv, step, min(1.0, 1 / (-step / iterate).max())

    def product(numbers):
        return ((numbers[0] * numbers[2] + numbers[1] * numbers[3]) @ shares).sum()

    _, first, t = direction(-a * right, -b * left)
    now = product(iterate)
    mu = (product(iterate + t * first) / now) ** 3 * now / (2 * len(a) * shares.sum())
    dv, step, t = direction(
        mu - a * right - first[0] * first[2], mu - b * left - first[1] * first[3]
    )
    return iterate + share * t * step, v + share * t * dv, gradient, share * t


@pytest.mark.parametrize("kinks", [1, 2])
def test_a_step_is_that_of_the_definition(kinks):
    rng = np.random.default_rng(kinks)
    n, m = 13, 3
    A, shares, l2 = rng.standard_normal((n, m)), rng.dirichlet(np.ones(n)), rng.uniform(0, 1, m)
    low, places, v = rng.standard_normal(n), rng.standard_normal((kinks, n)), rng.standard_normal(m)
    iterate, z, gradient = rng.uniform(0.1, 1, (4, kinks, n)), A @ v, np.zeros(m)
    numbers = 1e-10, 0.99
    expected = slow_step(A, shares, l2, low, places, iterate, v, *numbers)
    product = ((iterate[0] * iterate[2] + iterate[1] * iterate[3]) @ shares).sum()
    at = iterate, v, z, gradient
    t, product = interior.step((A, shares, l2, low, places), at, product, *numbers)
    for made, wanted in zip((iterate, v, gradient, t), expected, strict=True):
        assert_allclose(made, wanted, rtol=1e-8, atol=1e-12)
    assert_allclose(z, A @ v)
    assert_allclose(product, ((iterate[0] * iterate[2] + iterate[1] * iterate[3]) @ shares).sum())
    with pytest.raises(ValueError, match="do not fit"):
        interior.step((A, shares, l2[1:], low, places), at, 1.0, *numbers)
    # Without a matrix that has a factor there is no step.
    before, l2 = iterate.copy(), np.full(m, -1e9)
    made = interior.step((A, shares, l2, low, places), at, 1.0, *numbers)
    assert made == (0.0, 1.0)
    assert_array_equal(iterate, before)


def test_the_mean_loss_is_that_of_the_losses():
    rng = np.random.default_rng(0)
    z, y, shares = rng.standard_normal((3, 20))
    loss = loss_of("epsilon_insensitive", 0.3)
    made = interior.mean_loss(loss.code, loss.delta, shares, z, y)
    assert_allclose(made, shares @ loss.evaluate(z, y)[0])
    with pytest.raises(ValueError, match="same length"):
        interior.mean_loss(loss.code, loss.delta, shares, z[1:], y)


def test_smoothing_takes_over_where_a_matrix_has_no_factor(monkeypatch):
    X, y, _ = data(6)
    expected = LinearSVR(tol=1e-6).fit(X, y)
    monkeypatch.setattr(interior_point.interior, "step", lambda *arguments: (0.0, 1.0))
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
