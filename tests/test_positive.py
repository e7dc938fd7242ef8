"""positive=True: no weight is negative, by every method; against twins, scikit-learn, SciPy and the
conditions of a minimum.
"""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import lsq_linear, minimize, nnls
from sklearn import linear_model
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from test_auto_stochastic import problem_of, values_of
from test_sgd import assert_is_twin, classifier, model_for, targets_for

import reference
from fastgd import ElasticNet, Lasso, LinearRegression, Ridge, SGDClassifier, SGDRegressor
from fastgd.kernels import coordinate, implicit, variance
from fastgd.kernels.data_term import DataTerm
from fastgd.problem.losses import KINDS, loss_of
from fastgd.problem.metric import metric_of
from fastgd.problem.objective import Objective
from reference import store

SMOOTH = [
    *(loss for loss in reference.LOSSES if not KINDS[loss].needs_smoothing or loss == "huber"),
    "softmax",
]


# ---- steps ----


@pytest.mark.parametrize("penalty", [None, "l2", "l1", "elasticnet"])
@pytest.mark.parametrize("batch_size", [1, 2, 7, "full"])
def test_every_penalty_and_batch_size_is_the_twins(penalty, batch_size, data, layout, dtype):
    for y in (data.binary, data.classes):
        model = classifier(penalty=penalty, alpha=0.05, batch_size=batch_size, positive=True).fit(
            store(data.X, layout, dtype), y
        )
        assert (model.coef_ >= 0).all() and (model.coef_ == 0).any() and (model.coef_ > 0).any()
        assert_is_twin(model, data.X, y)


@pytest.mark.parametrize("average", [True, 20])
@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
def test_averages_are_the_twins(average, penalty, data, layout):
    for batch_size in (1, 2):
        model = classifier(average=average, penalty=penalty, batch_size=batch_size, positive=True)
        assert_is_twin(model.fit(store(data.X, layout), data.classes), data.X, data.classes)


@pytest.mark.parametrize("optimizer", reference.RULES)
def test_every_rule_is_the_twins(optimizer, data, layout):
    for batch_size in (1, 10, "full"):
        model = classifier(
            penalty="elasticnet", batch_size=batch_size, optimizer=optimizer, positive=True
        )
        assert_is_twin(model.fit(store(data.X, layout), data.binary), data.X, data.binary)


@pytest.mark.parametrize("loss", reference.LOSSES)
def test_every_loss_is_the_twins(loss, data, layout):
    y = targets_for(loss, data)
    assert_is_twin(model_for(loss, positive=True).fit(store(data.X, layout), y), data.X, y)


@pytest.mark.parametrize("learning_rate", ["pa1", "pa2"])
def test_passive_aggressive_steps_are_the_twins(learning_rate, data, layout):
    model = classifier(
        loss="hinge", learning_rate=learning_rate, eta0=0.3, positive=True, penalty="elasticnet"
    )
    model.fit(store(data.X, layout), data.classes)
    run = reference.fit(model, data.X, data.classes)
    assert (model.coef_ == 0).any()
    assert_allclose(model.coef_, run.W, atol=1e-12)
    assert_allclose(model.intercept_, run.b, atol=1e-12)


def kernel_case(data, as_rows, layout, dtype, outputs):
    problem = reference.Problem("squared_error", 0.3, 0.01, 0.1, positive=True)
    rows, Y = as_rows(data.X, layout, dtype), values_of("squared_error", data, outputs)
    objective = Objective(loss_of("squared_error", 0.3), 0.01, 0.1, outputs, positive=True)
    metric = metric_of(problem_of(rows, Y, objective))
    arrays = metric.center, metric.inverse, 0.01 * metric.inverse, 0.1 * metric.inverse**2
    rng = np.random.default_rng(0)
    V = 0.1 * np.abs(rng.standard_normal((outputs, 6))) * (metric.scale > 0)
    Z = reference.standardised(data.X, metric.center, metric.scale)
    return problem, rows, Y, Z, arrays, objective.codes, V, rng.standard_normal(outputs)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 7])
def test_a_pass_of_implicit_steps(batch_size, outputs, data, as_rows, dtype):
    problem, rows, Y, Z, arrays, codes, V, c = kernel_case(data, as_rows, "dense", dtype, outputs)
    rates = 0.5 / np.arange(1, -(-43 // batch_size) + 1) ** 0.5
    v = reference.pack(V, c)
    average, t = np.zeros(len(v)), len(rates)
    implicit.epoch(
        DataTerm(rows, Y.ravel(), data.weights, np.arange(43), codes),
        v,
        (*arrays, np.ones(outputs)),
        rates,
        batch_size,
        (average, 0.0),
    )
    W, b, mean_W, mean_b = reference.implicit_epoch(
        problem, Z, Y, V, c, rates, arrays[2], arrays[3], data.weights, batch_size
    )
    assert (W == 0).any()
    assert_allclose(v, reference.pack(W, b), rtol=1e-6, atol=1e-7)
    assert_allclose(
        average / (t * (t + 1) * (t + 2) * (t + 3) / 4),
        reference.pack(mean_W, mean_b),
        rtol=1e-6,
        atol=1e-7,
    )


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_pass_of_saga(outputs, data, as_rows, dtype):
    problem, rows, Y, Z, arrays, codes, V, c = kernel_case(data, as_rows, "dense", dtype, outputs)
    n, probability = 43, np.full(43, 1 / 43)
    order, slopes = np.random.default_rng(1).integers(n, size=2 * n), np.zeros((n, outputs))
    v, total = reference.pack(V, c), np.zeros(outputs * 7)
    memory = np.zeros(n * outputs), slopes.ravel().copy(), (Z**2).sum(axis=1) + 1, total
    variance.epoch(
        DataTerm(rows, Y.ravel(), data.weights, order, codes),
        v,
        arrays,
        np.full(outputs, 0.05),
        np.ones(n),
        np.zeros(6),
        1,
        n,
        (*memory, np.zeros(n)),
    )
    W, b, _ = reference.saga_epoch(
        problem,
        Z,
        Y,
        V,
        c,
        slopes,
        0.05,
        arrays[2],
        arrays[3],
        data.weights,
        probability,
        order,
        1.0,
    )
    assert (W == 0).any()
    assert_allclose(v, reference.pack(W, b), rtol=1e-7, atol=1e-8)


def test_coordinate_descent_stops_at_zero():
    rng = np.random.default_rng(2)
    A, b = rng.standard_normal((20, 6)), rng.standard_normal(20)
    w, g = np.zeros(6), -A.T @ b
    coordinate.descend(A.T @ A, w, g, np.zeros(6), 1e-12, 1000, np.zeros(6))
    assert_allclose(w, nnls(A, b)[0], atol=1e-10)
    free = np.array([0.0, -np.inf, 0, 0, 0, 0])
    w, g = np.zeros(6), -A.T @ b
    coordinate.descend(A.T @ A, w, g, np.zeros(6), 1e-12, 1000, free)
    assert_allclose(np.abs(w * g), 0, atol=1e-10)
    assert w[[0, 2, 3, 4, 5]].min() == 0 > w[1]
    with pytest.raises(ValueError, match="do not fit"):
        coordinate.descend(A.T @ A, w, g, np.zeros(6), 0.0, 1, np.zeros(5))


# ---- minima ----


def residual_of_the_conditions(model, X, y, l1, l2, weights=None):
    """The largest fault in g >= 0 where w = 0, g = 0 where w > 0, relative to the gradient at 0."""
    problem, outputs, targets = reference.problem_of(model, y)
    weights = np.ones(len(X)) if weights is None else weights / np.mean(weights)
    W = np.atleast_2d(model.coef_)
    _, G, g = reference.gradient(problem, X, targets, W, np.atleast_1d(model.intercept_), weights)
    _, G0, g0 = reference.gradient(
        problem, X, targets, 0 * W, 0 * np.atleast_1d(model.intercept_), weights
    )
    G = G + l1 + l2 * W
    fault = np.where(W > 0, np.abs(G), np.maximum(-G, 0))
    return max(fault.max(), np.abs(g).max()) / np.abs(G0).max()


@pytest.mark.parametrize(
    "penalty, alpha", [(None, 0.0), ("l2", 0.02), ("l1", 0.02), ("elasticnet", 0.02)]
)
@pytest.mark.parametrize("loss", SMOOTH)
def test_full_batches_meet_the_conditions_of_a_minimum(loss, penalty, alpha, data, layout):
    if penalty is None and loss in (
        "perceptron",
        "softmax",
        "log_loss",
        "modified_huber",
        "squared_hinge",
    ):
        pytest.skip("there may be no minimum")
    y = targets_for(loss, data) if loss != "softmax" else data.classes
    kind = SGDClassifier if loss in (*reference.CLASSIFICATION, "softmax") else SGDRegressor
    model = kind(
        loss,
        penalty=penalty,
        alpha=alpha,
        batch_size="full",
        tol=1e-14,
        positive=True,
        max_iter=3000,
    )
    model.fit(store(data.X, layout), y, sample_weight=data.weights)
    assert model.converged_ and 0 <= model.optimality_ <= 1e-14
    assert (model.coef_ >= 0).all() and (model.coef_ == 0).any()
    mix = {None: 0, "l2": 0, "l1": 1, "elasticnet": 0.15}[penalty]
    assert (
        residual_of_the_conditions(model, data.X, y, alpha * mix, alpha * (1 - mix), data.weights)
        < 1e-5
    )


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("penalty", [None, "l2", "elasticnet"])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "huber", "softmax"])
def test_stochastic_steps_reach_the_same_minimum(loss, penalty, batch_size, data, layout):
    if penalty is None and loss in ("log_loss", "softmax"):
        pytest.skip("there may be no minimum")
    y = data.classes if loss == "softmax" else targets_for(loss, data)
    kind = SGDClassifier if loss in (*reference.CLASSIFICATION, "softmax") else SGDRegressor
    shared = {
        "penalty": penalty,
        "alpha": 0.02,
        "positive": True,
        "max_iter": 3000,
        "random_state": 0,
    }
    full = kind(loss, batch_size="full", tol=1e-10, **shared).fit(store(data.X, layout), y)
    model = kind(loss, batch_size=batch_size, tol=1e-7, **shared).fit(store(data.X, layout), y)
    assert model.converged_ and (model.coef_ >= 0).all()
    assert_allclose(model.coef_, full.coef_, atol=5e-3 * np.abs(full.coef_).max())


@pytest.mark.parametrize("batch_size", [1, "full"])
@pytest.mark.parametrize("loss", ["hinge", "epsilon_insensitive", "quantile"])
def test_losses_with_kinks_come_near_and_never_claim_too_much(loss, batch_size, data):
    y = targets_for(loss, data)
    kind = SGDClassifier if loss in reference.CLASSIFICATION else SGDRegressor
    model = kind(
        loss,
        alpha=0.05,
        batch_size=batch_size,
        tol=1e-3,
        positive=True,
        max_iter=300,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(data.X, y)
    problem, outputs, targets = reference.problem_of(model, y)
    assert (model.coef_ >= 0).all()

    def value(theta):
        return reference.objective(problem, data.X, targets, theta[None, :-1], theta[-1:])

    smoother = kind(
        {"hinge": "squared_hinge"}.get(loss, "huber"), alpha=0.05, batch_size="full", positive=True
    ).fit(data.X, y)
    start = np.append(smoother.coef_, smoother.intercept_)
    least = min(
        minimize(value, start, method="Powell", bounds=[(0, 10)] * 6 + [(-10, 10)]).fun,
        value(start),
    )
    constant = min(value(np.append(np.zeros(6), b)) for b in np.linspace(-3, 3, 2001))
    reached = value(np.append(model.coef_, model.intercept_))
    assert reached - least <= 0.02 * (constant - least)
    assert model.optimality_ >= 0.9 * (reached - least) / (constant - least) - 1e-6


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", [LinearRegression, Ridge, Lasso, ElasticNet])
def test_the_named_models_are_scikit_learns(kind, fit_intercept, layout):
    X, y = load_diabetes(return_X_y=True)
    X = X * 1.0
    for target, weights in ((y, None), (y, np.arange(len(y)) % 3 + 1.0)):
        peer = getattr(linear_model, kind.__name__)(positive=True, fit_intercept=fit_intercept)
        if kind is not LinearRegression:
            peer.set_params(alpha=0.1, tol=1e-12, **({} if kind is Ridge else {"max_iter": 100000}))
        ours = kind(positive=True, fit_intercept=fit_intercept, tol=1e-14)
        if kind is not LinearRegression:
            ours.set_params(alpha=0.1)
        peer.fit(X, target, sample_weight=weights)
        ours.fit(store(X, layout), target, sample_weight=weights)
        assert ours.converged_ and (ours.coef_ >= 0).all() and (ours.coef_ == 0).any()
        assert_allclose(ours.coef_, peer.coef_, atol=1e-4 * np.abs(peer.coef_).max())
        assert_allclose(ours.intercept_, peer.intercept_, rtol=1e-5)


def test_several_targets_are_several_models(data):
    together = LinearRegression(positive=True, tol=1e-15).fit(data.X, data.pairs)
    for k in range(3):
        alone = LinearRegression(positive=True, tol=1e-15).fit(data.X, data.pairs[:, k])
        assert_allclose(together.coef_[k], alone.coef_, atol=1e-9)


def test_more_columns_than_rows(layout):
    """Many weights may reach the minimum: the objective is SciPy's."""
    rng = np.random.default_rng(3)
    X = rng.uniform(0, 1, (30, 60))
    y = X @ np.maximum(rng.standard_normal(60), 0) + 0.1 * rng.standard_normal(30)
    model = LinearRegression(positive=True, fit_intercept=False, tol=1e-10).fit(store(X, layout), y)
    residual = np.linalg.norm(lsq_linear(X, y, (0, np.inf)).fun)
    assert model.converged_ and (model.coef_ >= 0).all()
    assert np.linalg.norm(y - model.predict(X)) <= residual + 1e-4 * np.linalg.norm(y - y.mean())


@pytest.mark.parametrize("kind", [LinearRegression, Ridge, ElasticNet])
def test_where_no_weight_helps_all_are_zero(kind, data):
    X = np.abs(data.X)
    model = kind(positive=True).fit(X, -X.sum(axis=1))
    assert model.converged_
    assert_array_equal(model.coef_, 0)
    assert_allclose(model.intercept_, -X.sum(axis=1).mean())


# ---- starts ----


def test_a_start_below_zero_is_moved_to_zero(data, layout):
    start = np.array([1.0, -1.0, 2.0, 0.0, -3.0, 0.5])
    steps = {
        "learning_rate": "constant",
        "eta0": 1e-9,
        "max_iter": 1,
        "tol": None,
        "penalty": None,
        "shuffle": False,
    }
    for batch_size in (1, 10, "full"):
        model = SGDRegressor(positive=True, batch_size=batch_size, **steps).fit(
            store(data.X, layout), data.values, coef_init=start
        )
        assert_allclose(model.coef_, np.maximum(start, 0), atol=1e-6)
        assert (model.coef_ >= 0).all()
    model = SGDRegressor(positive=True, init="normal", random_state=0, **steps).fit(
        data.X, data.values
    )
    assert (model.coef_ >= 0).all()


def test_partial_fit_keeps_to_it_even_after_a_fit_that_did_not(data, layout):
    X = store(data.X, layout)
    for parameters in (
        {},
        {"learning_rate": "constant"},
        {"learning_rate": "constant", "average": True},
    ):
        model = SGDRegressor(positive=True, random_state=0, **parameters).partial_fit(
            X, data.values
        )
        for _ in range(3):
            assert (model.partial_fit(X, data.values).coef_ >= 0).all()
        model = SGDRegressor(random_state=0, **parameters).partial_fit(X, data.values)
        assert model.coef_.min() < 0
        assert (model.set_params(positive=True).partial_fit(X, data.values).coef_ >= 0).all()


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_losses_with_kinks_without_a_penalty_are_not_certified(sign):
    """No slopes would do for a bound, and curvatures, which are 0, foretell nothing."""
    X = np.arange(1.0, 11.0)[:, None]
    model = SGDRegressor(
        "epsilon_insensitive",
        epsilon=0.5,
        alpha=0,
        positive=True,
        fit_intercept=False,
        tol=1e-3,
        max_iter=6,
    )
    with pytest.warns(ConvergenceWarning, match="unknown"):
        model.fit(X, sign * X[:, 0])
    assert model.optimality_ is None and not model.converged_
    assert np.abs(model.predict(X) - sign * X[:, 0]).mean() <= np.abs(X).mean() and (
        sign > 0 or model.coef_[0] == 0
    )


@pytest.mark.parametrize("tol", [1e-2, 1e-4])
def test_softmax_without_a_penalty_is_as_near_as_it_says(tol, layout):
    """Its matrices of one output know nothing of the others."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((128, 8)) * (rng.random((128, 8)) < 0.4)
    y = rng.integers(0, 5, len(X))
    X = store(X, layout)

    def objective(model):
        return log_loss(y, model.predict_proba(X))

    def fit(tol):
        model = SGDClassifier("softmax", penalty=None, positive=True, tol=tol, max_iter=10_000)
        return model.fit(X, y)

    least, model = objective(fit(1e-12)), fit(tol)
    constant = log_loss(y, np.tile(np.bincount(y) / len(y), (len(y), 1)))
    distance = (objective(model) - least) / (constant - least)
    assert model.converged_ and distance <= 2 * tol
    assert distance <= 2 * model.optimality_ + 1e-9
