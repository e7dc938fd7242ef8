"""Columns, targets, weights and penalties of extreme size: a right fit, or an error names them."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.base import clone

import fastgd
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
from fastgd.training.loop import DivergedError

rng = np.random.default_rng(0)
X = rng.standard_normal((120, 3)) + [5, 0, 0]
Y = X @ [1.0, -2.0, 0.5] + rng.standard_normal(120)
LABELS = Y > Y.mean()
POWERS = [-1030, -600, -130, 130, 520, 1000]  # 2^-1030 is subnormal


def unpenalised():
    return [
        LinearRegression(),
        LinearRegression(positive=True),
        Ridge(alpha=0.0),
        SGDRegressor("epsilon_insensitive", penalty=None, batch_size="full"),
        SGDRegressor(penalty=None, random_state=0),
        SGDRegressor("huber", epsilon=0.5, penalty=None, batch_size="full"),
        SGDRegressor("quantile", penalty=None, batch_size="full"),
    ]


@pytest.fixture(autouse=True)
def no_overflow():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        yield


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("model", unpenalised(), ids=repr)
@pytest.mark.parametrize("layout", ["dense", "csr"])
def test_the_unit_of_x_is_the_unit_of_the_weights(model, power, layout):
    """Nothing is rounded by powers of two, nor is the way to the minimum."""
    store = sparse.csr_array if layout == "csr" else np.asarray
    plain, scaled = np.ldexp(X, -8), np.ldexp(X, power - 8)
    y = np.ldexp(Y, -40) if power < -1000 else Y  # so that the weights stay finite
    want, got = model.fit(store(plain), y).coef_.copy(), model.fit(store(scaled), y).coef_
    exact = power > -1000  # a subnormal number has fewer digits
    assert_allclose(
        np.ldexp(got, power),
        want,
        rtol=1e-3 if exact else 0.02,
        atol=(1e-4 if exact else 0.02) * np.abs(want).max(),
    )
    assert model.converged_


@pytest.mark.parametrize("power", [-1000, -520, 520, 1000])
@pytest.mark.parametrize(
    "model",
    [*unpenalised(), SGDRegressor(penalty=None, random_state=0, early_stopping=True)],
    ids=repr,
)
def test_the_unit_of_y_is_the_unit_of_the_model(model, power):
    model = clone(model)
    want = model.fit(X, Y).predict(X)
    if getattr(model, "epsilon", 0) and model.loss != "quantile":
        model.set_params(epsilon=np.ldexp(model.epsilon, power))
    got = np.ldexp(model.fit(X, np.ldexp(Y, power)).predict(X), -power)
    assert_allclose(got, want, rtol=0, atol=0.02 * np.abs(want).max())
    assert model.converged_ or model.early_stopping


def test_penalties_keep_their_meaning():
    """alpha |w|^2 is that of the user's own weights, whatever they are trained in."""
    far = np.array([400, 0, -300])
    scaled = np.ldexp(X, far)
    model = Ridge(alpha=1.0, tol=1e-12).fit(scaled, Y)
    A = X - X.mean(axis=0)
    want = np.linalg.solve(A.T @ A + np.diag([0, 1.0, 1e300]), A.T @ (Y - Y.mean()))
    assert_allclose(np.ldexp(model.coef_, far), want, rtol=1e-5, atol=1e-9)
    assert model.coef_[2] == 0


@pytest.mark.parametrize("power", [-520, 520])
def test_l1_scales_with_y_and_x(power):
    want = Lasso(alpha=0.3, tol=1e-10).fit(X, Y)
    in_y = Lasso(alpha=np.ldexp(0.3, power), tol=1e-10).fit(X, np.ldexp(Y, power))
    in_x = Lasso(alpha=np.ldexp(0.3, power), tol=1e-10).fit(np.ldexp(X, power), Y)
    assert_allclose(np.ldexp(in_y.coef_, -power), want.coef_, rtol=1e-6)
    assert_allclose(np.ldexp(in_x.coef_, power), want.coef_, rtol=1e-6)


@pytest.mark.parametrize("size", [1e-310, 1e-200, 1e-155])
@pytest.mark.parametrize(
    "model",
    [Ridge(), Lasso(alpha=1e-3), ElasticNet(alpha=1e-3), LinearSVR(), SGDRegressor(random_state=0)],
    ids=repr,
)
def test_a_tiny_column_is_left_alone(model, size):
    """Its penalty keeps its weight at 0, and nothing else notices."""
    Z = rng.standard_normal((200, 2)) * [1, size]
    model.fit(Z, Z[:, 0])
    assert model.score(Z, Z[:, 0]) > 0.999 and model.coef_[1] == 0 and model.converged_


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        LinearSVC(),
        LinearSVC(loss="hinge"),
        SGDClassifier(random_state=0),
        SGDClassifier("log_loss", batch_size="full", penalty="l1", alpha=1e-3),
    ],
    ids=repr,
)
@pytest.mark.parametrize("sizes", [[1, 1e-310, 1e200], [1e300, 1, 1e-200]])
def test_classifiers(model, sizes):
    Z = rng.standard_normal((200, 3))
    labels = (Z @ [2.0, 0, 2.0] if sizes[0] == 1 else Z @ [2.0, 2.0, 0]) + rng.standard_normal(
        200
    ) > 0
    want = model.fit(np.where(np.array(sizes) < 1, 0.0, Z), labels).score(
        np.where(np.array(sizes) < 1, 0.0, Z), labels
    )
    assert model.fit(Z * sizes, labels).score(Z * sizes, labels) > want - 0.02


def test_a_column_no_weight_can_reach_is_left_out():
    """It takes weights of 1e310: they are 0 where they hardly matter, else an error names them."""
    noise = X * [1, 1, 1e-310]
    model = LinearRegression().fit(noise, Y)
    assert model.coef_[2] == 0 and model.score(noise, Y) > 0.75
    with pytest.raises(ValueError, match=r"columns 0 \(9.6e-311\)") as raised:
        LinearRegression(fit_intercept=False).fit(X[:, 1:2] * 1e-310, 100 * X[:, 1])
    assert not isinstance(raised.value, DivergedError) and "rate" not in str(raised.value)


def test_targets_beyond_float32():
    narrow = X.astype(np.float32)
    got = Ridge().fit(narrow, Y * 1e37).predict(narrow)
    assert_allclose(got / 1e37, Ridge().fit(narrow, Y).predict(narrow), rtol=0, atol=0.01)
    with pytest.raises(ValueError, match="Values of y are up to"):
        Ridge().fit(narrow, Y * 1e60)


@pytest.mark.parametrize("size", [1e-310, 1e-160, 1e300])
def test_sample_weights_of_any_size(size):
    s = rng.random(120) + 0.5
    for model in (LinearRegression(), SGDRegressor(penalty=None, random_state=0)):
        want = model.fit(X, Y, sample_weight=s).coef_.copy()
        assert_allclose(model.fit(X, Y, sample_weight=s * size).coef_, want, rtol=1e-2)
    model = LogisticRegression(C=1 / size if size < 1e299 and size > 1e-300 else 1.0).fit(
        X, LABELS, sample_weight=s * size
    )
    assert np.isfinite(model.coef_).all()


@pytest.mark.parametrize("epsilon", [1e3, 1e40, 1e300])
@pytest.mark.parametrize("loss", ["epsilon_insensitive", "squared_epsilon_insensitive"])
def test_where_all_errors_are_free_the_model_is_in_their_middle(epsilon, loss):
    model = LinearSVR(epsilon=epsilon, loss=loss).fit(X, Y)
    assert model.converged_ and not model.coef_.any()
    assert Y.min() - 1e-9 <= model.intercept_[0] <= Y.max() + 1e-9


@pytest.mark.parametrize("alpha", [1e-300, 1e300])
@pytest.mark.parametrize("kind", [Ridge, Lasso, ElasticNet])
def test_penalties_of_any_strength(kind, alpha):
    model = kind(alpha=alpha).fit(X, Y)
    assert model.converged_ and (model.coef_ != 0).all() == (alpha < 1)
    assert_allclose(model.intercept_ + X.mean(axis=0) @ model.coef_, Y.mean())


def test_going_on_from_a_model_in_other_units():
    """A warm start begins at the user's own weights; the same fit goes on exactly."""
    model = SGDRegressor(penalty=None, random_state=0, warm_start=True, max_iter=2, tol=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twice = model.fit(X * 1e200, Y).fit(X * 1e200, Y).coef_.copy()
        once = (
            SGDRegressor(penalty=None, random_state=0, max_iter=4, tol=None).fit(X * 1e200, Y).coef_
        )
    np.testing.assert_array_equal(twice, once)
    start = SGDRegressor(random_state=0, warm_start=True, penalty=None).fit(X, Y)
    assert start.fit(X * 1e200, Y * 1e100).score(X * 1e200, Y) > -1e300
    assert_allclose(start.coef_ * 1e100, LinearRegression().fit(X, Y).coef_, rtol=0.05, atol=0.05)


def test_history_is_in_the_users_units():
    small, plain = Ridge(alpha=0.0).fit(X, np.ldexp(Y, -300)), Ridge(alpha=0.0).fit(X, Y)
    assert_allclose(np.ldexp(small.history_["loss"], 600), plain.history_["loss"], rtol=1e-9)
    assert_allclose(
        np.ldexp(small.history_["gradient_norm"], 300),
        plain.history_["gradient_norm"],
        rtol=1e-6,
        atol=1e-12,
    )
    residuals = np.ldexp(small.predict(X) - np.ldexp(Y, -300), 300)
    assert_allclose(np.ldexp(small.history_["loss"][-1], 600), np.mean(residuals**2) / 2)


@pytest.mark.parametrize("sizes", [[1, 1e-200, 1e200], [1e-320, 1, 1]])
def test_streams(sizes):
    Z, huge = X * sizes, SGDRegressor(random_state=0)
    model, classifier = SGDRegressor(random_state=0), SGDClassifier(random_state=0)
    for _ in range(5):
        model.partial_fit(Z, Y)
        classifier.partial_fit(Z, LABELS, classes=[False, True])
        huge.partial_fit(Z, Y * 1e200)
    assert_allclose(huge.predict(Z) / 1e200, model.predict(Z), rtol=1e-6, atol=1e-6)
    assert np.isfinite(model.predict(Z)).all() and np.isfinite(classifier.coef_).all()


@pytest.mark.parametrize(
    "name", ["LinearRegression", "Ridge", "Lasso", "LinearSVR", "SGDRegressor"]
)
def test_huge_targets_of_the_case(name):
    """1e155 squared is no float64; the model is one."""
    model, plain = getattr(fastgd, name)(), getattr(fastgd, name)()
    if name == "LinearSVR":
        model.set_params(C=1e155), plain.set_params(C=1.0)
    model.fit(X, Y * 1e155)
    assert_allclose(
        model.predict(X) / 1e155, LinearRegression().fit(X, Y).predict(X), rtol=0, atol=0.5
    )


@pytest.mark.parametrize(
    "model", [Ridge(), LogisticRegression(), LinearSVC(), LinearSVR(epsilon=0.1)], ids=str
)
def test_strengths_of_penalties_beyond_the_range_of_floats(model):
    """Weights of 2^-1040 make the strength of the penalty 2^1040; columns of 2^520 need it."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3))
    y = X @ [1.0, -2.0, 0.5] + rng.standard_normal(50)
    y = y > 0 if isinstance(model, LogisticRegression | LinearSVC) else y
    right = clone(model).set_params(tol=1e-10).fit(X, y)
    scaled = clone(model).set_params(tol=1e-10)
    scaled.fit(X * 2.0**520, y, sample_weight=np.full(50, 2.0**-1040))
    assert_allclose(scaled.coef_ * 2.0**520, right.coef_, rtol=1e-6)
    small = clone(model).set_params(tol=1e-10)
    small.fit(X * 2.0**-500, y, sample_weight=np.full(50, 2.0**1000))
    assert_allclose(small.coef_ * 2.0**-500, right.coef_, rtol=1e-6)
