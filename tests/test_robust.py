"""HuberRegressor, QuantileRegressor and Perceptron: known answers, plain NumPy, scikit-learn's."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning

from fastgd import Chunks, HuberRegressor, Perceptron, QuantileRegressor, SGDClassifier
from fastgd.kernels import huber_scale as kernel
from fastgd.problem import huber_scale
from reference import store


def problem(n=150, p=4, seed=0):
    """(X, y) with a tenth of outliers to one side."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)).astype(np.float32).astype(float)
    y = X @ rng.standard_normal(p) + 0.3 * rng.standard_normal(n) + 2
    y[: n // 10] += rng.exponential(20, n // 10)
    return X, y


# ---- Huber ----


def huber_objective(model, X, y, weights=None, scale=None):
    """scikit-learn's objective."""
    scale = model.scale_ if scale is None else scale
    weights = np.ones(len(y)) if weights is None else weights
    r = np.abs(X @ model.coef_ + model.intercept_ - y) / scale
    e = model.epsilon
    losses = np.where(r <= e, r * r, 2 * e * r - e * e)
    return float(weights @ (scale + scale * losses)) + model.alpha * float(
        model.coef_ @ model.coef_
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("epsilon, alpha", [(1.35, 1e-4), (1.1, 0.0), (3.0, 10.0), (50.0, 1.0)])
def test_huber_is_scikit_learns(epsilon, alpha, fit_intercept, weighted):
    X, y = problem()
    weights = np.arange(len(y)) % 3 + 0.5 if weighted else None
    parameters = {"epsilon": epsilon, "alpha": alpha, "fit_intercept": fit_intercept}
    ours = HuberRegressor(**parameters, tol=1e-12).fit(X, y, sample_weight=weights)
    theirs = linear_model.HuberRegressor(**parameters, tol=1e-8, max_iter=10_000)
    theirs.fit(X, y, sample_weight=weights)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-4)
    assert_allclose(ours.scale_, theirs.scale_, rtol=1e-3)
    best = huber_objective(theirs, X, y, weights)
    assert huber_objective(ours, X, y, weights) <= best + 1e-9 * abs(best)
    r = np.abs(X @ ours.coef_ + ours.intercept_ - y)
    assert_array_equal(ours.outliers_, r > epsilon * ours.scale_)
    assert isinstance(ours.intercept_, float)
    assert ours.converged_


@given(seed=st.integers(0, 10**6), epsilon=st.floats(1.01, 5), n=st.integers(1, 60))
@settings(max_examples=50, deadline=None)
def test_the_scale_is_the_best_one(seed, epsilon, n):
    rng = np.random.default_rng(seed)
    r, weights = rng.standard_cauchy(n), rng.uniform(0, 1, n) + 1e-3
    scale, shares = huber_scale.scale_of(r, weights, epsilon), weights / weights.sum()

    def value(log_scale):
        sigma = np.exp(log_scale)
        slopes = np.clip(r, -epsilon * sigma, epsilon * sigma)
        return sigma / 2 + float(shares @ (slopes * (r - slopes / 2))) / sigma

    best = minimize_scalar(value, bracket=(np.log(scale) - 1, np.log(scale) + 1), tol=1e-10)
    assert value(np.log(scale)) <= best.fun * (1 + 1e-9) + 1e-14


def test_the_profile_has_the_hessian_of_the_schur_complement():
    """The slope along a direction is the derivative of the mean loss, whose scale moves too."""
    X, y = problem()
    shares, w, d = np.full(len(y), 1 / len(y)), np.zeros(4), np.ones(4)

    def value(t):
        return huber_scale.profile(X @ (w + t * d) - y, shares, 1.35)[1]

    for t in (0.0, 0.3, 1.0):
        r = X @ (w + t * d) - y
        scale, _ = huber_scale.profile(r, shares, 1.35)
        slope = float(shares @ (np.clip(r / scale, -1.35, 1.35) * (X @ d)))
        assert_allclose(slope, (value(t + 1e-6) - value(t - 1e-6)) / 2e-6, rtol=1e-5)


def test_huber_optimality_is_the_distance_to_the_minimum():
    X, y = problem(400, 20)
    best = huber_objective(HuberRegressor(tol=1e-14).fit(X, y), X, y)
    constant = HuberRegressor().fit(0 * X, y)
    worst = huber_objective(constant, 0 * X, y)
    for tol in (1e-2, 1e-5):
        model = HuberRegressor(tol=tol).fit(X, y)
        distance = (huber_objective(model, X, y) - best) / (worst - best)
        assert distance <= 2 * tol
        assert model.optimality_ >= distance / 2 - 1e-12


@pytest.mark.parametrize("batch_size", ["auto", "full"])
def test_huber_layouts_chunks_and_frames(batch_size, layout, dtype):
    X, y = problem()
    X[np.abs(X) < 0.3] = 0
    parameters = {"tol": 1e-6, "alpha": 0.1, "batch_size": batch_size}
    known = HuberRegressor(tol=1e-12, alpha=0.1).fit(X, y)
    model = HuberRegressor(**parameters).fit(store(X, layout, dtype), y)
    assert model.coef_.dtype == dtype
    assert_allclose(model.coef_, known.coef_, atol=5e-3)
    chunked = HuberRegressor(**parameters).fit(Chunks.of(store(X, layout, dtype), y, chunk_rows=40))
    assert_allclose(chunked.coef_, model.coef_, atol=1e-4)
    assert_allclose(chunked.scale_, model.scale_, rtol=1e-3)
    named = HuberRegressor().fit(pd.DataFrame(X, columns=list("abcd")), y)
    assert list(named.feature_names_in_) == list("abcd")


def test_huber_scales_with_the_columns_and_the_targets():
    X, y = problem()
    known = HuberRegressor(alpha=0, tol=1e-13).fit(X, y)
    for size in (1e-150, 1e-9, 1e9, 1e150):
        model = HuberRegressor(alpha=0, tol=1e-10).fit(X, y * size)
        assert_allclose(model.coef_ / size, known.coef_, rtol=1e-4)
        assert_allclose(model.scale_ / size, known.scale_, rtol=1e-4)
        model = HuberRegressor(alpha=0, tol=1e-10).fit(X * size, y)
        assert_allclose(model.coef_ * size, known.coef_, rtol=1e-4)


def test_huber_of_exact_targets_and_of_a_constant():
    X, _ = problem()
    y = X @ [1.0, 2.0, 3.0, 4.0] + 5
    y[:20] += 100
    model = HuberRegressor(alpha=0).fit(X, y)
    assert_allclose(model.coef_, [1, 2, 3, 4], atol=1e-5)
    assert_array_equal(np.flatnonzero(model.outliers_[:20]), np.arange(20))
    model = HuberRegressor().fit(X, np.full(150, 3.0))
    assert_allclose(model.coef_, 0, atol=1e-6)
    assert_allclose(model.intercept_, 3)


def test_huber_warm_start_and_validation_rows():
    X, y = problem()
    model = HuberRegressor(warm_start=True).fit(X, y)
    model.set_params(alpha=1.1e-4).fit(X, y, X_val=X[:50], y_val=y[:50])
    assert model.n_iter_ <= 3
    losses = model.history_["validation_loss"]
    twin = HuberRegressor(alpha=0).fit(X[:50], y[:50])
    assert losses[-1] >= huber_objective(twin, X[:50], y[:50]) / 100 - 1e-9


@pytest.mark.parametrize(
    "parameters, name", [({"epsilon": 0.9}, "epsilon"), ({"alpha": -1.0}, "alpha")]
)
def test_huber_refuses(parameters, name):
    X, y = problem()
    with pytest.raises(ValueError, match=name):
        HuberRegressor(**parameters).fit(X, y)
    with pytest.raises(ValueError, match="1d array"):
        HuberRegressor().fit(X, np.column_stack([y, y]))


# ---- quantiles ----


def pinball(model, X, y, weights=None):
    r = y - X @ model.coef_ - model.intercept_
    q = model.quantile
    losses = np.maximum(q * r, (q - 1) * r)
    return float(np.average(losses, weights=weights)) + model.alpha * np.abs(model.coef_).sum()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("quantile, alpha", [(0.5, 0.0), (0.9, 0.01), (0.13, 0.1), (0.5, 5.0)])
def test_quantiles_are_scikit_learns(quantile, alpha, fit_intercept, weighted):
    X, y = problem(151)
    weights = np.arange(len(y)) % 3 + 0.0 if weighted else None
    parameters = {"quantile": quantile, "alpha": alpha, "fit_intercept": fit_intercept}
    ours = QuantileRegressor(**parameters).fit(X, y, sample_weight=weights)
    theirs = linear_model.QuantileRegressor(**parameters).fit(X, y, sample_weight=weights)
    best = pinball(theirs, X, y, weights)
    assert pinball(ours, X, y, weights) <= best * (1 + 1e-9)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-8)
    assert_array_equal(ours.coef_ == 0, np.abs(theirs.coef_) < 1e-10)
    assert ours.converged_
    assert ours.optimality_ <= 1e-8


@given(n=st.integers(1, 40), p=st.integers(1, 6), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_quantile_has_scikit_learns_objective(n, p, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.integers(-3, 4, (n, p)).astype(float), rng.integers(-3, 4, n).astype(float)
    parameters = {"quantile": rng.uniform(0.05, 0.95), "alpha": rng.choice([0.0, 0.03, 0.3])}
    theirs = linear_model.QuantileRegressor(**parameters).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = QuantileRegressor(**parameters).fit(X, y)
    assert pinball(ours, X, y) <= pinball(theirs, X, y) + 1e-7


def test_a_quantile_without_columns_of_use_is_the_quantile():
    y = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    model = QuantileRegressor(quantile=0.5).fit(np.zeros((5, 1)), y)
    assert_allclose(model.intercept_, 3)
    assert_array_equal(model.coef_, [0.0])


def test_quantile_layouts_and_chunks(layout, dtype):
    X, y = problem()
    X[np.abs(X) < 0.3] = 0
    known = QuantileRegressor(alpha=0.01).fit(X, y)
    model = QuantileRegressor(alpha=0.01).fit(store(X, layout, dtype), y)
    assert model.coef_.dtype == dtype
    assert_allclose(model.coef_, known.coef_, atol=1e-5)
    chunks = Chunks.of(store(X, layout, dtype), y, chunk_rows=40)
    with pytest.raises(ValueError, match="needs all rows in memory"):
        QuantileRegressor().fit(chunks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        free = QuantileRegressor(alpha=0, tol=1e-2, max_iter=200).fit(chunks)
    expected = QuantileRegressor(alpha=0).fit(X, y)
    assert pinball(free, X, y) <= pinball(expected, X, y) * 1.02


@pytest.mark.parametrize("solver", ["highs", "highs-ds", "interior-point", "revised simplex"])
def test_solvers_by_name_change_nothing(solver):
    X, y = problem()
    model = QuantileRegressor(alpha=0.01, solver=solver, solver_options={"presolve": True})
    assert_array_equal(model.fit(X, y).coef_, QuantileRegressor(alpha=0.01).fit(X, y).coef_)


@pytest.mark.parametrize("name, value", [("quantile", 1.0), ("solver", "simplex"), ("alpha", -1)])
def test_quantile_refuses(name, value):
    X, y = problem()
    with pytest.raises(ValueError, match=name):
        QuantileRegressor(**{name: value}).fit(X, y)


# ---- the perceptron ----


@pytest.mark.parametrize("penalty, alpha", [(None, 1e-4), ("l2", 0.01)])
@pytest.mark.parametrize("target", ["binary", "classes"])
def test_the_perceptron_takes_scikit_learns_steps(target, penalty, alpha, data):
    X, y = data.X, getattr(data, target)
    parameters = {"penalty": penalty, "alpha": alpha, "shuffle": False, "max_iter": 7, "tol": None}
    ours = Perceptron(**parameters).fit(X, y)
    theirs = linear_model.Perceptron(**parameters).fit(X, y)
    own = SGDClassifier("perceptron", learning_rate="constant", eta0=1, **parameters).fit(X, y)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-12)
    assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-12)
    assert_array_equal(ours.coef_, own.coef_)
    assert ours.optimality_ is None
    assert not ours.converged_


def test_a_stream_for_the_perceptron(data):
    ours, theirs = Perceptron(shuffle=False), linear_model.Perceptron(shuffle=False)
    for _ in range(3):
        for model in (ours, theirs):
            model.partial_fit(data.X, data.classes, classes=[0, 1, 2])
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-12)
    assert ours.t_ == 3 * len(data.X) + 1


def test_the_perceptron_of_large_columns_does_not_diverge(data):
    small = Perceptron(shuffle=False, max_iter=5, tol=None).fit(data.X, data.binary)
    big = Perceptron(shuffle=False, max_iter=5, tol=None, fit_intercept=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        big.fit(data.X * 2.0**70, data.binary)
    assert np.isfinite(big.coef_).all()
    assert small.stop_reason_ == big.stop_reason_ == "max_iter"


def test_the_perceptron_is_not_told_of_rates():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 2)) * [1, 1e6]
    with pytest.warns(ConvergenceWarning, match="differ in size") as caught:
        Perceptron(max_iter=3).fit(X, X[:, 0] > 0)
    assert not any("rate" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("n", [0, 1, 7, 511, 8192, 40_000])
def test_sums_over_residuals(n):
    rng = np.random.default_rng(n)
    z, y, u = rng.standard_normal((3, n))
    weights, t, threshold = rng.random(n), 0.3, 0.8
    for weighted in (weights, None):
        w = np.ones(n) if weighted is None else weighted
        r = z - y + t * u
        inside = np.abs(r) <= threshold
        found = [kernel.scale_sums(z, y, u, weighted, t, threshold, k) for k in (1, 2)]
        assert found[0] == found[1]
        assert_allclose(found[0], (w @ (r * r * inside), w @ ~inside))
        slopes = np.clip(r, -threshold, threshold)
        found = [kernel.along(z, y, u, weighted, t, threshold, k) for k in (1, 2)]
        assert found[0] == found[1]
        assert_allclose(found[0], (w @ (slopes * (r - slopes / 2)), w @ (slopes * u)))
    r = z
    inside = np.abs(r) <= threshold
    found = kernel.scale_sums(z, None, None, None, 0.0, threshold, 1)
    assert_allclose(found, ((r * r)[inside].sum(), n - inside.sum()))


def test_sums_over_residuals_check_their_arrays():
    ones = np.ones(3)
    for arrays in ((ones[:2], None, None), (None, ones[:2], None), (None, None, ones[:2])):
        with pytest.raises(ValueError, match="do not fit z"):
            kernel.scale_sums(ones, *arrays, 0.0, 1.0, 1)
