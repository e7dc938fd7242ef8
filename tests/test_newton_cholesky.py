"""Newton's method with the Hessian itself, for few columns or little data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from fastgd import LinearSVC, LinearSVR, LogisticRegression
from fastgd.methods import newton_cholesky


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
