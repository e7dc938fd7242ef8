"""The named models: scikit-learn's solutions and habits, and convergence that is what it says."""

import pickle
import subprocess
import sys
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logsumexp
from scipy.special import softmax as softmax_of
from sklearn import linear_model, svm
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_info, threadpool_limits

from fastgd import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LinearSVC,
    LinearSVR,
    LogisticRegression,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from fastgd.kernels import threads
from fastgd.methods import full_batch
from reference import store

TIGHT = {"tol": 1e-14, "max_iter": 20000}
PEERS = {
    LinearRegression: linear_model.LinearRegression,
    Ridge: linear_model.Ridge,
    Lasso: linear_model.Lasso,
    ElasticNet: linear_model.ElasticNet,
    LogisticRegression: linear_model.LogisticRegression,
    LinearSVC: svm.LinearSVC,
    LinearSVR: svm.LinearSVR,
}
CLASSIFIERS = LogisticRegression, LinearSVC, SGDClassifier

squared_svr = partial(LinearSVR, loss="squared_epsilon_insensitive", epsilon=0.1)
hinge_svc = partial(LinearSVC, loss="hinge")
full_sgd = {"learning_rate": "auto", "batch_size": "full", "max_iter": 3000}
SMOOTH = {
    "LinearRegression": LinearRegression,
    "Ridge": Ridge,
    "LogisticRegression": LogisticRegression,
    "LinearSVC": LinearSVC,
    "LinearSVR-squared": squared_svr,
    "SGDClassifier": partial(SGDClassifier, "log_loss", **full_sgd),
    "SGDRegressor": partial(SGDRegressor, **full_sgd),
}
KINKED = {
    "LinearSVC-hinge": hinge_svc,
    "LinearSVR": LinearSVR,
    "SGDClassifier-hinge": partial(SGDClassifier, "hinge", **full_sgd),
    "SGDRegressor-quantile": partial(SGDRegressor, "quantile", quantile=0.7, **full_sgd),
}


# ---- a slow, obvious twin ----


def pointwise(model, Z, y):
    """(values (n,), slopes (n, K), curvatures (n, K, K)) of the model's loss at margins Z, y as the
    model takes them.
    """
    loss, K = getattr(model, "loss", "softmax"), Z.shape[1]
    if loss == "softmax" and K > 1:
        p, hot = softmax_of(Z, axis=1), np.eye(K)[y]
        return (
            logsumexp(Z, axis=1) - Z[np.arange(len(y)), y],
            p - hot,
            p[:, :, None] * (np.eye(K) - p[:, None, :]),
        )
    if isinstance(model, CLASSIFIERS):
        Y = np.where(y[:, None] == (np.arange(K) if K > 1 else 1), 1.0, -1.0)
        M = 1 - Y * Z
        if loss in ("softmax", "log_loss"):
            value, slope, curve = np.logaddexp(0, -Y * Z), -Y * expit(-Y * Z), expit(Z) * expit(-Z)
        elif loss == "hinge":
            value, slope, curve = np.maximum(M, 0), -Y * (M > 0), 0 * M
        else:
            value, slope, curve = np.maximum(M, 0) ** 2, -2 * Y * np.maximum(M, 0), 2.0 * (M > 0)
    else:
        R = Z - y.reshape(Z.shape)
        E = np.abs(R) - getattr(model, "epsilon", 0.0)
        value, slope, curve = {
            "squared_error": (R**2 / 2, R, 1 + 0 * R),
            "epsilon_insensitive": (np.maximum(E, 0), np.sign(R) * (E > 0), 0 * R),
            "squared_epsilon_insensitive": (
                np.maximum(E, 0) ** 2,
                2 * np.sign(R) * np.maximum(E, 0),
                2.0 * (E > 0),
            ),
            "quantile": (
                np.maximum(
                    (getattr(model, "quantile", 0.5) - 1) * -R, getattr(model, "quantile", 0.5) * -R
                ),
                0 * R,
                0 * R,
            ),
        }[loss]
    return value.sum(axis=1), slope, curve[:, :, None] * np.eye(K)


def strength(model, total):
    """l2 in fastgd's own convention: the mean of the losses plus l2 / 2 |W|^2."""
    if isinstance(model, Ridge):
        return model.alpha / total
    if isinstance(model, SGDClassifier | SGDRegressor):
        return model.alpha
    if isinstance(model, ElasticNet):
        return model.alpha * (1 - model.l1_ratio)
    return 1 / (model.C * total) if hasattr(model, "C") else 0.0


def objective(model, X, y, W, b, weights=None):
    s = np.ones(len(X)) if weights is None else weights
    value, _, _ = pointwise(model, X @ np.atleast_2d(W).T + b, y)
    l1 = model.alpha * model.l1_ratio if isinstance(model, ElasticNet) else 0.0  # Lasso is one
    W = np.asarray(W, float)
    return s @ value / s.sum() + l1 * np.abs(W).sum() + strength(model, s.sum()) / 2 * (W**2).sum()


def outputs_of(model, y):
    if isinstance(model, CLASSIFIERS):
        return 1 if len(np.unique(y)) == 2 else len(np.unique(y))
    return 1 if y.ndim == 1 else y.shape[1]


def minimum(model, X, y, weights=None):
    """(W, b, F) of a smooth objective, by Newton's method with all of the Hessian, on standardised
    columns.
    """
    n, p = X.shape
    s = np.ones(n) if weights is None else weights
    s, l2, K = s / s.sum(), strength(model, s.sum()), outputs_of(model, y)
    center = s @ X if model.fit_intercept else np.zeros(p)
    scale = np.sqrt(s @ (X - center) ** 2)
    scale[scale <= 1e-12 * np.abs(center)] = np.inf
    A = np.column_stack([(X - center) / scale, np.full(n, float(model.fit_intercept))])
    ridge = np.append(l2 / scale**2, 0.0)
    V = np.zeros((K, p + 1))

    def value(V):
        return s @ pointwise(model, A @ V.T, y)[0] + (ridge * V**2).sum() / 2

    for _ in range(200):
        _, slope, curve = pointwise(model, A @ V.T, y)
        g = (slope * s[:, None]).T @ A + ridge * V
        blocks = [[(A * (s * curve[:, k, m])[:, None]).T @ A for m in range(K)] for k in range(K)]
        H = np.block(blocks) + np.diag(np.tile(ridge, K))
        x = -np.linalg.lstsq(
            H + 1e-14 * np.trace(H) / len(H) * np.eye(len(H)), g.ravel(), rcond=1e-15
        )[0].reshape(g.shape)
        t, here = 1.0, value(V)
        while value(V + t * x) > here and t > 1e-10:
            t /= 2
        V = V + t * x
        if -(g * x).sum() <= 1e-22 * here:
            break
    W = V[:, :-1] / scale
    return W, (V[:, -1] - W @ center) * model.fit_intercept, value(V)


def constant_value(model, X, y, weights=None):
    """The objective of the best constant model; of losses with kinks it is at one of them."""
    if getattr(model, "loss", "") in ("hinge", "epsilon_insensitive", "quantile"):
        s = np.ones(len(X)) if weights is None else weights
        if isinstance(model, CLASSIFIERS):
            kinks = [-1.0, 1.0]
        else:
            kinks = np.concatenate([y - model.epsilon, y, y + model.epsilon])
        classes = outputs_of(model, y)
        sides = [y == k for k in range(classes)] if classes > 1 else [y]
        return (
            sum(
                min(
                    s @ pointwise(model, np.full((len(y), 1), b), side * 1 if classes > 1 else y)[0]
                    for b in kinks
                )
                for side in sides
            )
            / s.sum()
        )
    return minimum(model, X[:, :0], y, weights)[2]


def relative_gap(model, X, y, weights=None, least=None):
    worst = constant_value(model, X, y, weights)
    least = minimum(model, X, y, weights)[2] if least is None else least
    return (objective(model, X, y, model.coef_, model.intercept_, weights) - least) / max(
        worst - least, 1e-15 * abs(worst)
    )


def least_of(model, X, y):
    """The minimum of an objective with kinks: of LIBSVM's solution and of a much tighter fit the
    lower one.
    """
    tight = clone(model).set_params(tol=1e-10, max_iter=20000).fit(X, y)
    values = [objective(model, X, y, tight.coef_, tight.intercept_)]
    if (
        model.fit_intercept
        and isinstance(model, LinearSVC | LinearSVR)
        and outputs_of(model, y) == 1
    ):
        peer = (
            svm.SVC(kernel="linear", C=model.C, tol=1e-9, max_iter=20000)
            if isinstance(model, LinearSVC)
            else svm.SVR(
                kernel="linear", C=model.C, epsilon=model.epsilon, tol=1e-9, max_iter=20000
            )
        )
        fit_quietly(peer, X, y)
        values.append(objective(model, X, y, peer.coef_, peer.intercept_))
    return min(values)


def random_problem(seed, multi=False):
    """(X, y values, y classes) of any shape and condition."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(5, 150)), int(rng.integers(1, 12))
    X = rng.standard_normal((n, p)) @ (
        np.diag(10.0 ** rng.uniform(-rng.choice([0, 1, 3]), 0, p))
        @ np.linalg.qr(rng.standard_normal((p, p)))[0]
    )
    if rng.random() < 0.3:
        X[:, 0] = X[:, -1]
    if rng.random() < 0.3:
        X *= rng.random(X.shape) < 0.3
    spread = X.std(axis=0)
    signal = (
        (X - X.mean(axis=0))
        @ (rng.standard_normal(p) / np.where(spread > 0, spread, 1))
        / np.sqrt(p)
    )
    X = X * 10.0 ** rng.uniform(-4, 4, p) + (rng.random() < 0.3) * 10.0 ** rng.uniform(-2, 3, p)
    noisy = signal + rng.choice([0.05, 0.5, 2.0]) * rng.standard_normal(n)
    classes = np.digitize(noisy, np.quantile(noisy, [0.3, 0.7] if multi else [0.6]))
    return X, noisy, classes


def any_strength(model, rng):
    """The model with a strength of penalty from almost none to almost all."""
    name = "C" if hasattr(model, "C") else "alpha" if hasattr(model, "alpha") else None
    decades = (
        rng.uniform(-3, 3)
        if not isinstance(model, SGDClassifier | SGDRegressor)
        else rng.uniform(-6, 0)
    )
    return model.set_params(**({name: 10.0**decades} if name else {}))


def fit_quietly(model, *data, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*data, **keywords)


@pytest.fixture(params=["dense", "csr32"])  # other tests have all of them
def layout(request):
    return request.param


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((120, 7)) * 10.0 ** np.array([-3, 0, 0, 1, 2, 0, 3]) + np.array(
        [0, 5, 0, 0, -300, 0, 0.0]
    )
    signal = ((X - X.mean(axis=0)) / X.std(axis=0)) @ rng.standard_normal(7) / 2
    noisy = signal + 0.7 * rng.standard_normal(120)
    return (
        X,
        noisy,
        (noisy > 0.3).astype(int),
        np.digitize(noisy, [-0.7, 0.7]),
        rng.uniform(0.1, 3, 120),
    )


def assert_same_model(a, W, b, rtol=1e-5):
    W, b = np.atleast_2d(W), np.atleast_1d(b)
    assert_allclose(np.atleast_2d(a.coef_), W, rtol=0, atol=rtol * np.abs(W).max())
    assert_allclose(np.atleast_1d(a.intercept_), b, rtol=0, atol=rtol * max(np.abs(b).max(), 1))


# ---- scikit-learn's solutions ----


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_least_squares_are_scikit_learns(fit_intercept, problem, layout):
    X, y, _, _, weights = problem
    for Y in (y, np.column_stack([y, y**2, 1 - y])):
        for s in (None, weights):
            for model, peer in [(LinearRegression, linear_model.LinearRegression(tol=1e-14))] + [
                (partial(Ridge, alpha), linear_model.Ridge(alpha)) for alpha in (1e-8, 1.0, 1e6)
            ]:
                ours = model(fit_intercept=fit_intercept, **TIGHT).fit(store(X, layout), Y, s)
                peer.set_params(fit_intercept=fit_intercept).fit(X, Y, s)
                assert ours.converged_
                assert ours.coef_.shape == peer.coef_.shape
                assert np.shape(ours.intercept_) == np.shape(peer.intercept_)
                assert_same_model(ours, peer.coef_, peer.intercept_)


@pytest.mark.parametrize("C", [1e-4, 1.0, 1e4, np.inf])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("several", [False, True])
def test_logistic_regression_is_scikit_learns(several, fit_intercept, C, problem, layout):
    X, _, binary, classes, weights = problem
    y = classes if several else binary
    for s in (None, weights):
        ours = LogisticRegression(C=C, fit_intercept=fit_intercept, tol=1e-15, max_iter=20000).fit(
            store(X, layout), y, s
        )
        W, b, _ = minimum(
            ours, X, y, s
        )  # scikit-learn's own solvers do not get there on raw columns
        assert ours.converged_
        if several:  # what all classes have in common, nothing tells
            W, b = W - W.mean(axis=0) * np.isinf(C), b - b.mean()
        assert_same_model(ours, W, b)
        if several and fit_intercept:
            assert_allclose(ours.intercept_.sum(), 0, atol=1e-9 * np.abs(ours.intercept_).max())
    Z = X / X.std(axis=0)
    peer = linear_model.LogisticRegression(
        C=C, fit_intercept=fit_intercept, solver="newton-cholesky", tol=1e-12, max_iter=1000
    )
    ours = LogisticRegression(
        C=C, fit_intercept=fit_intercept, tol=1e-15, max_iter=20000, class_weight="balanced"
    ).fit(Z, y)
    assert_same_model(
        ours, peer.set_params(class_weight="balanced").fit(Z, y).coef_, peer.intercept_
    )
    assert_allclose(ours.predict_proba(Z), peer.predict_proba(Z), atol=1e-5)
    assert_allclose(ours.predict_log_proba(Z), peer.predict_log_proba(Z), atol=1e-4)
    assert_array_equal(ours.predict(Z), peer.predict(Z))


@pytest.mark.parametrize("C", [1e-3, 1.0, 100.0])
def test_squared_hinge_and_its_regression_twin(C, problem, layout):
    X, values, binary, classes, weights = problem
    for y in (binary, classes):
        ours = LinearSVC(C=C, **TIGHT).fit(store(X, layout), y, weights)
        W, b, _ = minimum(ours, X, y, weights)
        assert_same_model(ours, W, b)
    ours = squared_svr(C=C, **TIGHT).fit(store(X, layout), values, weights)
    W, b, _ = minimum(ours, X, values, weights)
    assert_same_model(ours, W, b)
    Z = X / X.std(axis=0)
    for model, peer, y in [
        (LinearSVC, svm.LinearSVC, classes),
        (
            squared_svr,
            partial(svm.LinearSVR, loss="squared_epsilon_insensitive", epsilon=0.1),
            values,
        ),
    ]:
        ours = model(C=C, fit_intercept=False, **TIGHT).fit(store(Z, layout), y)
        peer = peer(C=C, fit_intercept=False, tol=1e-12, max_iter=100000, dual=False).fit(Z, y)
        assert_same_model(ours, peer.coef_, peer.intercept_)


@pytest.mark.parametrize("C", [0.01, 1.0])
def test_hinge_and_epsilon_insensitive_are_those_of_libsvm(C, problem, layout):
    """Which leaves the intercept unpenalised too."""
    X, values, binary, _, _ = problem
    Z = X / X.std(axis=0)
    ours = hinge_svc(C=C, tol=1e-13, max_iter=20000).fit(store(Z, layout), binary)
    peer = svm.SVC(kernel="linear", C=C, tol=1e-10).fit(Z, binary)
    assert ours.converged_
    assert_same_model(ours, peer.coef_, ours.intercept_, rtol=2e-5)  # there may be many intercepts
    assert objective(ours, Z, binary, ours.coef_, ours.intercept_) <= objective(
        ours, Z, binary, peer.coef_, peer.intercept_
    )
    ours = LinearSVR(C=C, epsilon=0.2, tol=1e-13, max_iter=20000).fit(store(Z, layout), values)
    peer = svm.SVR(kernel="linear", C=C, epsilon=0.2, tol=1e-10).fit(Z, values)
    assert ours.converged_
    assert_same_model(ours, peer.coef_, ours.intercept_, rtol=2e-5)
    assert (
        objective(ours, Z, values, ours.coef_, ours.intercept_)
        <= objective(ours, Z, values, peer.coef_, peer.intercept_) + 1e-12
    )


@pytest.mark.parametrize("name", [*SMOOTH, *KINKED])
def test_float32_is_close(name, problem):
    X, values, binary, _, _ = problem
    X, model = X.astype(np.float32), {**SMOOTH, **KINKED}[name]()
    y = binary if isinstance(model, CLASSIFIERS) else values
    for layout in ("dense", "csr32"):
        model = fit_quietly(clone(model).set_params(tol=1e-5), store(X, layout, np.float32), y)
        assert model.coef_.dtype == np.float32
        double = fit_quietly(clone(model), store(X.astype(float), layout), y)
        assert_allclose(
            model.decision_function(X) if hasattr(model, "decision_function") else model.predict(X),
            double.decision_function(X)
            if hasattr(double, "decision_function")
            else double.predict(X),
            atol=0.05,
        )


@pytest.mark.parametrize("kind", ["constant", "zero", "duplicate", "collinear", "wide"])
def test_odd_columns(kind, problem, layout):
    X, values, binary, _, _ = problem
    X = X / X.std(axis=0)
    if kind == "wide":
        X, values, binary = (
            np.random.default_rng(0).standard_normal((30, 45)),
            values[:30],
            binary[:30],
        )
    elif kind in ("constant", "zero"):
        X = np.column_stack([X, np.full(len(X), 7.0 if kind == "constant" else 0.0)])
    else:
        X = np.column_stack([X, X[:, 1] if kind == "duplicate" else X[:, 1] - 2 * X[:, 2]])
    for model, y in [(Ridge(), values), (LogisticRegression(), binary)]:
        ours = model.set_params(**TIGHT).fit(store(X, layout), y)
        W, b, _ = minimum(model, X, y)
        assert_same_model(ours, W, b)
    ours = LinearRegression(**TIGHT).fit(store(X, layout), values)  # many weights reach the minimum
    peer = linear_model.LinearRegression().fit(X, values)
    assert_allclose(ours.predict(X), peer.predict(X), atol=1e-5 * np.abs(values).max())


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_lasso_and_elastic_net_are_scikit_learns(fit_intercept, problem, layout):
    X, y, _, _, weights = problem
    Z = X / X.std(axis=0)
    for s in (None, weights):
        for model, peer in [
            (Lasso, linear_model.Lasso),
            (partial(ElasticNet, l1_ratio=0.3), partial(linear_model.ElasticNet, l1_ratio=0.3)),
        ]:
            for alpha in (1e-4, 0.05, 10.0):  # the last: the weights are 0 from the start
                ours = model(alpha, fit_intercept=fit_intercept, tol=1e-12).fit(
                    store(Z, layout), y, s
                )
                theirs = peer(alpha, fit_intercept=fit_intercept, tol=1e-14, max_iter=100000).fit(
                    Z, y, s
                )
                assert ours.converged_
                assert_same_model(ours, theirs.coef_, theirs.intercept_)
                assert_array_equal(ours.coef_ == 0, theirs.coef_ == 0)


@pytest.mark.parametrize("l1_ratio", [0.4, 1.0])
@pytest.mark.parametrize("several", [False, True])
def test_logistic_regression_with_l1_is_scikit_learns(several, l1_ratio, problem, layout):
    X, _, binary, classes, _ = problem
    Z, y = (X - X.mean(axis=0)) / X.std(axis=0), classes if several else binary
    peer = linear_model.LogisticRegression(
        C=0.5, l1_ratio=l1_ratio, solver="saga", tol=1e-12, max_iter=100000
    ).fit(Z, y)
    ours = fit_quietly(LogisticRegression(C=0.5, l1_ratio=l1_ratio, tol=1e-12), store(Z, layout), y)
    assert ours.optimality_ < 1e-10
    assert_same_model(ours, peer.coef_, ours.intercept_)


def test_linear_svc_with_l1_is_scikit_learns(problem, layout):
    X, _, binary, _, _ = problem
    Z = X / X.std(axis=0)
    peer = svm.LinearSVC(penalty="l1", C=0.1, fit_intercept=False, tol=1e-8, max_iter=100000).fit(
        Z, binary
    )
    ours = LinearSVC(penalty="l1", C=0.1, fit_intercept=False, tol=1e-12).fit(
        store(Z, layout), binary
    )
    assert_same_model(ours, peer.coef_, peer.intercept_)


# ---- scikit-learn's habits ----


@parametrize_with_checks(
    [
        LinearRegression(tol=1e-18),
        Ridge(tol=1e-18),
        Lasso(tol=1e-15),
        ElasticNet(tol=1e-15),
        LogisticRegression(tol=1e-18, max_iter=200),
        LinearSVC(tol=1e-18, max_iter=200),
        LinearSVC(loss="hinge", tol=1e-14, max_iter=300),
        LinearSVR(tol=1e-14, max_iter=300),
        LinearSVR(loss="squared_epsilon_insensitive", tol=1e-18, max_iter=200),
    ]
)
def test_scikit_learns_own_checks_of_an_estimator(estimator, check):
    """At a tight tolerance, because it compares fits of repeated rows with fits of weighted ones to
    seven digits.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


@pytest.mark.parametrize("model", PEERS)
def test_parameters_are_scikit_learns_and_a_few_more(model):
    ours, theirs = model().get_params(), PEERS[model]().get_params()
    assert set(ours) == set(theirs) | {"batch_size", "n_jobs", "max_iter", "max_seconds"}
    assert {k for k in theirs if ours[k] is not theirs[k] and ours[k] != theirs[k]} <= {"max_iter"}
    assert clone(model(tol=0.5)).tol == 0.5


@pytest.mark.parametrize("columns", [None, 1, 2])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("model", [LinearRegression, Ridge, Lasso, ElasticNet])
def test_shapes_are_scikit_learns(model, fit_intercept, columns, problem):
    X, y, _, _, _ = problem
    Y = y if columns is None else np.tile(y[:, None], columns)
    ours, theirs = (
        fit_quietly(kind(fit_intercept=fit_intercept), X, Y) for kind in (model, PEERS[model])
    )
    assert ours.coef_.shape == theirs.coef_.shape
    assert type(ours.intercept_) is type(theirs.intercept_)
    assert np.shape(ours.intercept_) == np.shape(theirs.intercept_)
    assert ours.predict(X).shape == theirs.predict(X).shape


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("model", [LogisticRegression, LinearSVC])
def test_shapes_of_classifiers_are_scikit_learns(model, fit_intercept, problem):
    X, _, binary, classes, _ = problem
    for y in (binary, classes):
        ours, theirs = (
            fit_quietly(kind(fit_intercept=fit_intercept, max_iter=100), X, y)
            for kind in (model, PEERS[model])
        )
        assert ours.coef_.shape == theirs.coef_.shape
        assert np.shape(ours.intercept_) == np.shape(theirs.intercept_)
        assert ours.decision_function(X).shape == theirs.decision_function(X).shape
    assert (
        hasattr(ours, "predict_proba")
        == hasattr(theirs, "predict_proba")
        == (model is LogisticRegression)
    )


def test_labels_and_column_names_are_kept(problem):
    X, _, binary, _, _ = problem
    frame = pd.DataFrame(X, columns=list("abcdefg"))
    for model in (LogisticRegression(), LinearSVC()):
        model.fit(frame, np.array(["no", "yes"])[binary])
        assert_array_equal(model.classes_, ["no", "yes"])
        assert set(model.predict(frame)) == {"no", "yes"}
        assert_array_equal(model.feature_names_in_, list("abcdefg"))


@pytest.mark.parametrize(
    "parameters, categories",
    [
        ({"penalty": "l2"}, [FutureWarning]),
        ({"penalty": "l2", "l1_ratio": 0.5}, [FutureWarning, UserWarning, UserWarning]),
        ({"penalty": None}, [FutureWarning]),
        ({"penalty": None, "C": 2.0}, [FutureWarning, UserWarning]),
        ({"l1_ratio": None}, [FutureWarning]),
        ({"C": np.inf}, []),
        ({"C": np.inf, "l1_ratio": 0.5}, [UserWarning]),
    ],
)
def test_deprecated_ways_to_name_the_penalty(parameters, categories, problem):
    X, _, y, _, _ = problem
    Z = X / X.std(axis=0)
    with pytest.warns() if categories else warnings.catch_warnings() as caught:
        ours = LogisticRegression(tol=1e-14, **parameters).fit(Z, y)
    if categories:
        assert {w.category for w in caught} == set(categories)
        assert all(w.filename == __file__ for w in caught)
    with warnings.catch_warnings(record=True) as theirs:
        warnings.simplefilter("always")
        solver = (
            "saga"
            if "l1_ratio" in parameters and np.isinf(parameters.get("C", 1))
            else "newton-cholesky"
        )
        peer = linear_model.LogisticRegression(
            tol=1e-12, solver=solver, max_iter=10000, **parameters
        ).fit(Z, y)
    theirs = [w for w in theirs if w.category is not ConvergenceWarning]
    assert [w.category for w in theirs] == categories
    for told in theirs:
        beginning = str(told.message)[:25]
        assert any(str(w.message).startswith(beginning) for w in caught), beginning
    assert_same_model(ours, peer.coef_, peer.intercept_, rtol=1e-5 if solver != "saga" else 1e-2)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("batch_size", ["auto", "full"])
def test_ridge_takes_a_strength_for_each_target(batch_size, positive, problem, layout):
    X, y, _, _, weights = problem
    Y, alpha = np.column_stack([y, -2 * y, X[:, 0] + 0.1 * y]), np.array([0.1, 20.0, 3.0])
    together = Ridge(alpha, tol=1e-14, batch_size=batch_size, positive=positive).fit(
        store(X, layout), Y, sample_weight=weights
    )
    for k in range(3):
        peer = linear_model.Ridge(alpha[k], positive=positive, tol=1e-10).fit(
            X, Y[:, k], sample_weight=weights
        )
        assert_allclose(
            together.coef_[k], peer.coef_, rtol=1e-4, atol=1e-4 * np.abs(peer.coef_).max()
        )
        assert_allclose(together.intercept_[k], peer.intercept_, rtol=1e-4)
    assert_allclose(
        Ridge(alpha[:1], tol=1e-14).fit(X, Y).coef_,
        Ridge(0.1, tol=1e-14).fit(X, Y).coef_,
        rtol=1e-6,
    )
    for kind in (Ridge, linear_model.Ridge):
        with pytest.raises(
            ValueError, match="Number of targets and number of penalties do not correspond: 2 != 3"
        ):
            kind(alpha[:2]).fit(X, Y)
    with pytest.raises(ValueError, match="alpha must be finite and >= 0"):
        Ridge(-alpha).fit(X, Y)


@pytest.mark.parametrize(
    "model, said",
    [
        (Ridge(alpha=[1.0, 2.0]), "'alpha' parameter of Ridge"),
        (LinearSVC(multi_class="crammer_singer"), "'multi_class' parameter of LinearSVC"),
        (LogisticRegression(solver="adam"), "'solver' parameter of LogisticRegression"),
        (LinearSVR(epsilon=-1.0), "'epsilon' parameter of LinearSVR"),
    ],
)
def test_what_is_not_supported_says_so(model, said, problem):
    X, values, binary, _, _ = problem
    with pytest.raises(ValueError, match=said):
        model.fit(X, binary if isinstance(model, CLASSIFIERS) else values)


def test_elastic_net_without_its_ratio(problem):
    X, _, y, _, _ = problem
    with pytest.warns(FutureWarning), pytest.raises(ValueError, match="l1_ratio must be specified"):
        LogisticRegression(penalty="elasticnet", l1_ratio=None).fit(X, y)


@pytest.mark.parametrize(
    "model",
    [
        Ridge(solver="svd", copy_X=False, random_state=1),
        LinearRegression(copy_X=False),
        LogisticRegression(solver="saga", dual=True, intercept_scaling=7.0, random_state=2),
        LinearSVC(dual=False, intercept_scaling=3.0, random_state=3),
        LinearSVR(dual=True, intercept_scaling=3.0, random_state=4),
        ElasticNet(precompute=True, selection="random", copy_X=False, random_state=5),
    ],
)
@pytest.mark.filterwarnings("ignore:random_state=")
def test_choices_of_a_path_have_no_effect(model, problem):
    X, values, binary, _, _ = problem
    y = binary if isinstance(model, CLASSIFIERS) else values
    assert_array_equal(model.fit(X, y).coef_, type(model)().fit(X, y).coef_)


def test_fits_leave_blas_one_thread(monkeypatch):
    seen, X = [], np.random.default_rng(0).standard_normal((50, 3))
    constant = full_batch.constant_model

    def look(problem):
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return constant(problem)

    monkeypatch.setattr(full_batch, "constant_model", look)
    with threadpool_limits(2, "blas"):
        LogisticRegression().fit(X, X[:, 0] > 0)
    assert set(seen) == {1}


@pytest.mark.parametrize("model", PEERS)
def test_the_same_bits_for_any_number_of_threads(model):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20000, 12)) * 10.0 ** rng.uniform(-2, 2, 12)
    y = X @ rng.standard_normal(12) + rng.standard_normal(20000)
    if issubclass(model, CLASSIFIERS):
        y = np.digitize(y, [-30, 30])
    one, two = (fit_quietly(model(n_jobs=n, max_iter=12), X, y) for n in (1, 2))
    assert_array_equal(one.coef_, two.coef_)
    assert_array_equal(one.intercept_, two.intercept_)
    assert one.optimality_ == two.optimality_


@pytest.mark.parametrize("busy", [0, 1, 4])
def test_threads_on_free_processors_only_change_no_bit(busy):
    """As users have it: a region has as many threads as processors are free."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20000, 12))
    y = X @ rng.standard_normal(12) + rng.standard_normal(20000)
    models = (
        lambda: Ridge(n_jobs=4).fit(X, y),
        lambda: LogisticRegression(n_jobs=4).fit(X, y > 0),
        lambda: SGDRegressor(batch_size=256, max_iter=5, tol=None, n_jobs=4, random_state=0).fit(
            X, y
        ),
    )
    forced = [model().coef_ for model in models]
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    threads.use_only_free_processors(True)
    try:
        for model, coef in zip(models, forced, strict=True):
            for _ in range(5):
                assert_array_equal(model().coef_, coef)
    finally:
        threads.use_only_free_processors(False)
        for other in others:
            other.kill()
            other.wait()


@pytest.mark.parametrize("model", PEERS)
def test_models_survive_pickling(model, problem):
    X, values, _, classes, _ = problem
    model = model().fit(X, classes if issubclass(model, CLASSIFIERS) else values)
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(copy.predict(X), model.predict(X))
    assert copy.optimality_ == model.optimality_


@pytest.mark.parametrize("make", [LogisticRegression, Lasso, ElasticNet])
def test_warm_starts_begin_at_the_last_solution(make, problem):
    X, values, _, classes, _ = problem
    y = classes if make is LogisticRegression else values
    cold = make(tol=1e-10, batch_size="full").fit(X, y)
    warm = make(tol=1e-10, batch_size="full", warm_start=True).fit(X, y)
    assert warm.n_iter_ == cold.n_iter_
    assert warm.fit(X, y).n_iter_ < cold.n_iter_ / 2
    assert_allclose(warm.coef_, cold.coef_, rtol=1e-3)


def test_warm_starts_without_an_intercept(problem):
    X, values, _, _, _ = problem
    model = Lasso(warm_start=True, fit_intercept=False).fit(X, np.column_stack([values, values]))
    assert model.set_params(fit_intercept=True).fit(
        X, np.column_stack([values, values])
    ).intercept_.shape == (2,)


# ---- convergence that can be believed ----


@pytest.mark.parametrize("batch_size", ["auto", "full"])
@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_losses_never_rise_and_know_where_they_are(name, batch_size, problem):
    X, values, binary, classes, weights = problem
    for y in (
        (values, np.column_stack([values, values**2]))
        if "Reg" in name and "Log" not in name
        else (binary, classes)
    ):
        model = SMOOTH[name]()
        if isinstance(model, SGDClassifier | SGDRegressor) and batch_size == "auto":
            continue
        if isinstance(model, LinearSVR | Ridge | LinearRegression | SGDRegressor) != (
            y is not binary and y is not classes
        ):
            continue
        model.set_params(batch_size=batch_size)
        least = minimum(model, X, y, weights)[2]
        for passes in (1, 3, 6, 12, 40):
            fit_quietly(model.set_params(max_iter=passes, tol=1e-9), X, y, sample_weight=weights)
            losses = np.array(model.history_["loss"])
            assert (np.diff(losses) <= 1e-14 * np.abs(losses[1:])).all()
            gap = relative_gap(model, X, y, weights, least)
            assert gap <= 1 + 1e-12
            if (
                model.optimality_ is not None
                and 1e-8 < model.optimality_ < 1e-2
                and model.converged_
            ):
                assert 0.5 * gap <= model.optimality_ <= 2 * gap + 1e-12


@pytest.mark.parametrize("name", KINKED)
def test_gaps_of_losses_with_kinks_are_upper_bounds(name, problem):
    X, values, binary, classes, _ = problem
    for y in (binary, classes) if "SVC" in name or "Classifier" in name else (values,):
        model = KINKED[name]()
        least = least_of(model, X, y)
        for passes in (1, 5, 10, 20, 40, 80):
            fit_quietly(model.set_params(max_iter=passes, tol=1e-8), X, y)
            gap = relative_gap(model, X, y, least=least)
            assert gap <= 1 + 1e-12
            if model.optimality_ is not None:
                assert model.optimality_kind_ == "duality gap"
                assert gap <= model.optimality_ + 1e-12


@pytest.mark.parametrize("name", SMOOTH)
def test_converged_smooth_models_are_where_they_say(name):
    for seed in range(10):
        X, values, classes = random_problem(seed, multi=seed % 4 == 0)
        rng = np.random.default_rng(seed)
        model = any_strength(SMOOTH[name](), rng).set_params(
            tol=10.0 ** rng.integers(-8, -1), fit_intercept=bool(rng.random() < 0.7)
        )
        y = classes if isinstance(model, CLASSIFIERS) else values
        fit_quietly(model, store(X, "dense" if seed % 2 else "csr32"), y)
        if model.converged_:
            assert relative_gap(model, X, y) <= 10 * model.tol + 1e-13, seed
        else:
            assert model.stop_reason_ == "separable", seed


@pytest.mark.parametrize("name", KINKED)
def test_converged_models_with_kinks_are_where_they_say(name):
    for seed in range(6):
        X, values, classes = random_problem(seed, multi=seed % 3 == 0)
        rng = np.random.default_rng(seed)
        model = any_strength(KINKED[name](), rng).set_params(tol=10.0 ** rng.integers(-6, -1))
        y = classes if isinstance(model, CLASSIFIERS) else values
        fit_quietly(model, store(X, "dense" if seed % 2 else "csr32"), y)
        assert model.converged_, seed
        assert relative_gap(model, X, y, least=least_of(model, X, y)) <= model.tol + 1e-12, seed


# ---- any data ----

EVERY = [
    LinearRegression(),
    Ridge(),
    Lasso(0.01),
    ElasticNet(0.01),
    LogisticRegression(),
    LinearSVC(),
    hinge_svc(),
    LinearSVR(),
    squared_svr(),
    SGDClassifier("log_loss", **full_sgd),
    SGDRegressor(**full_sgd),
]


def assert_sound(model, X, y):
    """Trained without a warning (but for L1, whose bound may stay loose): finite, and no worse than
    the best constant model.
    """
    for layout in ("dense", "csr32"):
        if isinstance(model, ElasticNet):
            model = fit_quietly(clone(model).set_params(max_iter=100), store(X, layout), y)
        else:
            model = clone(model).fit(store(X, layout), y)
        assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()
        assert np.isfinite(model.history_["loss"]).all()
        with np.errstate(over="ignore"):
            worst = constant_value(model, X, y)
            assert (
                objective(model, X, y, model.coef_, model.intercept_)
                <= worst + 1e-13 * abs(worst) + 1e-30
            )


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_columns_of_any_scale(model, problem):
    X, values, binary, classes, _ = problem
    rng = np.random.default_rng(0)
    for y in (binary, classes) if isinstance(model, CLASSIFIERS) else (values,):
        for scale in (
            1e-150,
            1e-30,
            1e150,
            10.0 ** rng.uniform(-150, 150, 7),
            10.0 ** rng.uniform(-150, 150, 7),
        ):
            assert_sound(model, (X - X.mean(axis=0)) / X.std(axis=0) * scale, y)


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_small_and_empty_problems(model, problem):
    X, values, binary, _, _ = problem
    X = X / X.std(axis=0)
    if isinstance(model, CLASSIFIERS):
        assert_sound(model, X[:2], np.array([1, 0]))
        assert_sound(model, 0 * X, binary)
        assert_sound(model, X, (np.arange(len(X)) == 5).astype(int))
        with pytest.raises(ValueError, match="class"):
            clone(model).fit(X, 0 * binary)
        return
    assert_sound(model, X[:1], values[:1])
    assert_sound(model, X[:2], values[:2])
    assert_sound(model, 0 * X, values)
    assert_sound(model, X, np.full(len(X), 3.0))
    assert_sound(model, X, np.zeros(len(X)))
    for scale in (1e12, 1e-12):
        assert_sound(model, X, values * scale)


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_rows_far_out(model, problem):
    X, values, binary, _, _ = problem
    X = X / X.std(axis=0)
    X[:3] *= 1e5
    assert_sound(model, X, binary if isinstance(model, CLASSIFIERS) else values)
    values = values.copy()
    values[0] = 1e6
    if not isinstance(model, CLASSIFIERS):
        assert_sound(model, problem[0], values)


@pytest.mark.parametrize(
    "model",
    [model for model in EVERY if not isinstance(model, SGDClassifier | SGDRegressor)],
    ids=str,
)
def test_too_few_passes_say_so_in_numbers(model, problem):
    X, values, _, classes, _ = problem
    y = classes if isinstance(model, CLASSIFIERS) else values
    if isinstance(model, Ridge | LinearRegression | ElasticNet):
        model = clone(model).set_params(batch_size="full")  # not in one pass
    with pytest.warns(
        ConvergenceWarning,
        match=r"after 1 passes over X.*optimality_.*tol=1e-10.*Increase max_iter or tol",
    ) as caught:
        model = clone(model).set_params(max_iter=1, tol=1e-10).fit(X, y)
    assert caught[0].filename == __file__
    assert not model.converged_ and model.stop_reason_ == "max_iter" and model.n_iter_ == 1


@pytest.mark.parametrize("batch_size", [1, "full"])
def test_separable_classes_are_named_without_a_tolerance_too(batch_size):
    X = np.arange(10.0)[:, None] - 4.5
    with pytest.warns(ConvergenceWarning, match="alone. Training stopped; penalise"):
        model = SGDClassifier(
            "log_loss", alpha=0, tol=None, max_iter=20, batch_size=batch_size
        ).fit(X, X[:, 0] > 0)
    assert model.stop_reason_ == "separable" and not model.converged_


@pytest.mark.parametrize("several", [False, True])
def test_separable_classes_without_a_penalty_are_named(several, problem, layout):
    X, values, _, _, _ = problem
    X = np.column_stack([X, values])
    y = np.digitize(values, [-0.7, 0.7] if several else [0])
    with pytest.warns(
        ConvergenceWarning, match="The classes are separable and nothing is penalised"
    ) as caught:
        model = LogisticRegression(C=np.inf).fit(store(X, layout), y)
    assert caught[0].filename == __file__
    assert model.stop_reason_ == "separable" and not model.converged_
    assert model.score(store(X, layout), y) == 1
    LogisticRegression(C=1e6).fit(store(X, layout), y)  # no warning


def test_raw_columns_of_the_bundled_sets():
    X, y = load_breast_cancer(return_X_y=True)
    for model in (LogisticRegression(), LinearSVC(), hinge_svc()):
        assert model.fit(X, y).converged_
        assert model.score(X, y) > 0.95
    X, y = load_diabetes(return_X_y=True)
    for model in (LinearRegression(), Ridge(0.1), LinearSVR(C=100.0)):
        assert model.fit(X, y).converged_
        assert model.score(X, y) > 0.45


@pytest.mark.parametrize(
    "model",
    [LinearRegression(), Ridge(tol=1e-8), SGDRegressor(tol=1e-6, **full_sgd), squared_svr()],
    ids=str,
)
def test_slopes_have_no_bound_where_steps_are_not_chosen_by_hand(model, problem):
    """Targets of 1e15 have residuals beyond the bound that keeps hand-set rates from
    overflowing.
    """
    X, values, *_ = problem
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = clone(model).fit(X, 1e15 * values)
    assert model.converged_
    assert_allclose(
        model.score(X, 1e15 * values), LinearRegression().fit(X, values).score(X, values), atol=0.01
    )


@pytest.mark.parametrize("model", [Lasso(0.1), ElasticNet(0.1)], ids=repr)
def test_what_else_the_lassos_of_scikit_learn_have(model, problem):
    X, values, _, _, _ = problem
    Z = X / X.std(axis=0)
    model.fit(Z, values, check_input=False)
    peer = getattr(linear_model, type(model).__name__)(alpha=0.1).fit(Z, values)
    assert type(model.sparse_coef_) is type(peer.sparse_coef_)
    assert model.sparse_coef_.shape == peer.sparse_coef_.shape
    assert_array_equal(model.sparse_coef_.toarray()[0], model.coef_)
    assert clone(model).fit(Z, np.column_stack([values, -values])).sparse_coef_.shape == (
        2,
        X.shape[1],
    )
