"""Newton's method with the Hessian itself, for few columns or little data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.base import clone

from fastgd import LinearSVC, LinearSVR, LogisticRegression
from fastgd.kernels import dense_newton
from fastgd.methods import newton_cholesky
from fastgd.problem.losses import loss_of


def data(seed=0, n=300, p=8):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * 10.0 ** rng.uniform(-2, 2, p) + rng.uniform(-3, 3, p)
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.standard_normal(p)
    return X, z + rng.standard_normal(n)


def labels(z, classes):
    return np.digitize(z, np.quantile(z, np.linspace(0, 1, classes + 1)[1:-1]))


MODELS = [
    (LogisticRegression(C=10.0), 2),
    (LogisticRegression(C=10.0, fit_intercept=False), 2),
    (LinearSVC(C=0.1), 2),
    (LinearSVC(C=0.1), 4),
    (LinearSVR(C=1.0, epsilon=0.2, loss="squared_epsilon_insensitive"), None),
]


@pytest.mark.parametrize("layout", ["dense", "csr", "float32"])
@pytest.mark.parametrize("model, classes", MODELS)
def test_the_minimum_is_that_of_conjugate_gradients(model, classes, layout, monkeypatch):
    X, z = data()
    y = labels(z, classes) if classes else z
    X = {"dense": X, "csr": sparse.csr_array(X), "float32": X.astype(np.float32)}[layout]
    weights = np.random.default_rng(1).uniform(0.1, 3, len(y))
    tight = {"tol": 1e-5 if layout == "float32" else 1e-12, "max_iter": 1000}
    found = model.set_params(**tight).fit(X, y, weights)
    solver, coef, steps = found.solver_, found.coef_, found.n_iter_
    monkeypatch.setattr(newton_cholesky, "MAX_COLUMNS", 0)
    monkeypatch.setattr(newton_cholesky, "SMALL_WORK", 0)
    other = model.fit(X, y, weights)
    assert (solver, other.solver_) == ("newton-cholesky", "newton-cg")
    assert found.converged_ and steps < 40
    scale = np.abs(other.coef_).max()
    assert_allclose(coef, other.coef_, rtol=0, atol=(2e-2 if layout == "float32" else 1e-5) * scale)


@pytest.mark.parametrize("model, classes", MODELS[:3] + MODELS[4:])
def test_small_data_have_the_same_steps(model, classes, monkeypatch):
    X, z = data(n=90)
    y = labels(z, classes) if classes else z
    weights = np.random.default_rng(1).uniform(0.1, 3, len(y))
    model.set_params(tol=1e-10, max_iter=1000)
    fits = []
    for most in (newton_cholesky.SMALL_DENSE_WORK, 0):
        monkeypatch.setattr(newton_cholesky, "SMALL_DENSE_WORK", most)
        fits.append(clone(model).fit(X, y, weights))
    small, other = fits
    assert small.solver_ == other.solver_ == "newton-cholesky"
    assert small.n_iter_ == other.n_iter_
    for name in ("loss", "gradient_norm"):
        assert_allclose(small.history_[name][:3], other.history_[name][:3], rtol=1e-8)
    assert_allclose(small.coef_, other.coef_, rtol=1e-5)
    assert small.optimality_kind_ == other.optimality_kind_


@pytest.mark.parametrize("loss", ["log_loss", "squared_hinge", "squared_epsilon_insensitive"])
def test_gradient_and_step_are_those_of_the_definition(loss):
    rng = np.random.default_rng(0)
    n, m = 21, 4
    A, v, y = rng.standard_normal((n, m)), rng.standard_normal(m), rng.choice([-1.0, 1.0], n)
    weights, l2, loss = rng.uniform(0.1, 2, n), rng.uniform(0.1, 1, m), loss_of(loss, 0.3)
    total, (z, h, u), (g, x) = weights.sum(), np.empty((3, n)), np.empty((2, m))
    of_loss, at = (loss.code, loss.delta, y), (v, z, h, g)
    value = dense_newton.gradient((A, weights, total, l2), of_loss, at)

    def slopes(margins):
        return loss.evaluate(margins, y)[1]

    losses = loss.evaluate(A @ v, y)[0]
    assert_allclose(z, A @ v)
    assert_allclose(value, weights @ losses / total + l2 @ v**2 / 2)
    assert_allclose(g, A.T @ (weights * slopes(z)) / total + l2 * v)
    step = 1e-6
    assert_allclose(h, weights * (slopes(z + step) - slopes(z - step)) / (2 * step), atol=1e-8)
    H = (A.T * h) @ A / total + np.diag(l2)
    decrement, remainder = dense_newton.step(A, h, total, l2, g, 0.0, x, u)
    assert_allclose(x, -np.linalg.solve(H, g))
    assert_allclose(u, A @ x)
    assert_allclose(decrement, g @ np.linalg.solve(H, g) / 2)
    assert 0 <= remainder <= 1e-20 * decrement
    # With a ridge the residual is not 0.
    ridge = 0.5
    decrement, remainder = dense_newton.step(A, h, total, l2, g, ridge, x, u)
    M = H + ridge * h.mean() * np.eye(m)
    residual = -g - H @ x
    assert_allclose(x, -np.linalg.solve(M, g))
    assert_allclose(remainder, residual @ np.linalg.solve(M, residual))
    assert dense_newton.step(A, h, total, l2 - 100, g, 0.0, x, u) == (0.0, np.inf)
    for wrong in (A[1:], A[:, 1:].copy()):
        with pytest.raises(ValueError, match="do not fit"):
            dense_newton.step(wrong, h, total, l2, g, ridge, x, u)
        with pytest.raises(ValueError, match="do not fit"):
            dense_newton.gradient((wrong, weights, total, l2), of_loss, at)


def test_the_estimate_is_the_distance():
    X, z = data(1)
    y = np.where(z > 0, 1.0, -1.0)

    def objective(model):
        margins = y * (X @ model.coef_[0] + model.intercept_)
        return np.logaddexp(0, -margins).mean() + model.coef_[0] @ model.coef_[0] / (2 * len(y))

    fits = [LogisticRegression(tol=tol).fit(X, y) for tol in (0.3, 1e-2, 1e-4, 1e-14)]
    least = objective(fits[-1])
    for model in fits[:-1]:
        distance = (objective(model) - least) / (np.log(2) - least)
        assert model.converged_ and distance <= 2 * model.optimality_ + 1e-12


@pytest.mark.parametrize("columns", [0, 25])
def test_a_start_far_out_where_the_loss_is_flat(columns, monkeypatch):
    """Full steps overshoot, by so much that no line search finds back."""
    monkeypatch.setattr(newton_cholesky, "MAX_COLUMNS", columns)
    monkeypatch.setattr(newton_cholesky, "SMALL_WORK", 0)
    X, z = data(2)
    y, rises = np.where(z > 0, 1, 0), []
    for far in (1.0, 30.0):
        model = LogisticRegression(warm_start=True, max_iter=200, tol=1e-10)
        model.classes_ = np.array([0, 1])
        model.coef_ = far / X.std(axis=0)[None] * np.where(np.arange(8) % 2, 1.0, -1.0)
        model.intercept_ = np.zeros(1)
        model.fit(X, y)
        assert model.solver_ == ("newton-cholesky" if columns else "newton-cg")
        assert model.converged_ and model.n_iter_ < 200
        rises.append(np.diff(model.history_["loss"]).max())
    assert max(rises) <= 1e-12
