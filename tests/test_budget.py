"""What a budget cuts short is the best model known: the objective never rises with `max_iter`."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from fastgd import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LinearSVC,
    LinearSVR,
    LogisticRegression,
    Ridge,
    SGDRegressor,
)
from reference import store

BUDGETS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 20, 35, 60)
MODELS = {
    "LinearRegression": LinearRegression(),
    "Ridge": Ridge(),
    "Lasso": Lasso(0.05),
    "ElasticNet": ElasticNet(0.05),
    "LogisticRegression": LogisticRegression(),
    "LinearSVC": LinearSVC(),
    "LinearSVC-hinge": LinearSVC(loss="hinge"),
    "LinearSVR": LinearSVR(epsilon=0.1),
    "huber": SGDRegressor("huber", epsilon=0.3, batch_size="full"),
}


def correlated(rng, n, p, rho=0.7):
    """Each column has much of the one before."""
    X = rng.standard_normal((n, p))
    for j in range(1, p):
        X[:, j] = rho * X[:, j - 1] + (1 - rho**2) ** 0.5 * X[:, j]
    return X


SHAPES = {
    "as many columns": lambda rng: correlated(rng, 220, 220),
    "more columns": lambda rng: correlated(rng, 60, 240),
    "few columns": lambda rng: correlated(rng, 400, 15, 0.95),
    "uneven": lambda rng: rng.standard_normal((90, 30)) * 10 ** rng.uniform(-3, 3, 30),
    "sparse": lambda rng: np.where(rng.random((150, 300)) < 0.05, 1.0, 0.0),
}


def value(name, model, X, z, y):
    """The objective, in plain NumPy."""
    w, n = np.ravel(model.coef_), len(X)
    margin = X @ w + np.ravel(model.intercept_)[0]
    r, square = margin - z, w @ w
    a = np.abs(r)
    if name == "LogisticRegression":
        return np.logaddexp(0, -y * margin).mean() + square / (2 * n)
    if name == "LinearSVC":
        return (np.maximum(0, 1 - y * margin) ** 2).mean() + square / (2 * n)
    if name == "LinearSVC-hinge":
        return np.maximum(0, 1 - y * margin).mean() + square / (2 * n)
    if name == "LinearSVR":
        return np.maximum(0, a - 0.1).mean() + square / (2 * n)
    if name == "huber":
        return np.where(a <= 0.3, a * a / 2, 0.3 * (a - 0.15)).mean() + model.alpha / 2 * square
    ratio = {"Lasso": 1.0, "ElasticNet": 0.5}.get(name, 0.0)
    strength = {"Ridge": 1 / n, "ElasticNet": 0.025}.get(name, 0.0)
    l1 = 0.05 * ratio * np.abs(w).sum()
    return (r * r).mean() / 2 + l1 + strength / 2 * square


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", MODELS)
def test_the_objective_never_rises_with_the_budget(name, shape):
    rng = np.random.default_rng(sum(map(ord, name + shape)))
    X = SHAPES[shape](rng)
    z = X @ rng.standard_normal(X.shape[1])
    z = z / z.std() + 0.5 * rng.standard_normal(len(X))
    y = np.where(z > 0, 1.0, -1.0)
    model, data = MODELS[name], store(X, "csr32" if shape == "sparse" else "dense")
    target = y if isinstance(model, LogisticRegression | LinearSVC) else z
    values = []
    for passes in BUDGETS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(max_iter=passes).fit(data, target)
        values.append(value(name, model, X, z, y))
        if model.converged_:
            break
    values = np.array(values)
    assert (np.diff(values) <= 1e-4 * np.abs(values[:-1])).all()  # tol: what convergence leaves
    assert (np.diff(values[:-1]) <= 1e-9 * np.abs(values[:-2])).all()
