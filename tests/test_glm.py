"""Generalised linear models: known answers, the twin, scikit-learn's minima, offsets, bad input."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from sklearn import config_context, linear_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastgd
import reference
from fastgd import Chunks, GammaRegressor, PoissonRegressor, TweedieRegressor
from fastgd.kernels import newton
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.losses import Loss, evaluate
from fastgd.kernels.rows import Rows
from fastgd.problem.losses import KINDS, OF_VALUES, loss_of
from fastgd.problem.objective import Objective
from reference import store

MODELS = [
    PoissonRegressor(),
    GammaRegressor(),
    TweedieRegressor(power=1.5),
    TweedieRegressor(power=1.1),
    TweedieRegressor(power=3),
    TweedieRegressor(power=0, link="log"),
    TweedieRegressor(),
    TweedieRegressor(power=1, link="identity"),
    TweedieRegressor(power=2, link="identity"),
]
IDS = [repr(model) for model in MODELS]
LOG_LINK = [model for model in MODELS if model._link == "log"]
POWERS = [-1.0, 0.0, 0.5, 1.1, 1.5, 1.9, 2.5, 3.0]


def peer(model, **others):
    """scikit-learn's model, at a tight tolerance."""
    kind, theirs = getattr(linear_model, type(model).__name__), model.get_params()
    known = kind().get_params()
    parameters = {name: value for name, value in theirs.items() if name in known}
    return kind(**parameters | {"tol": 1e-9, "max_iter": 10_000} | others)


def problem(model, n=120, p=4, seed=0):
    """(X, y) for a model, with zeros where it takes them."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)).astype(np.float32).astype(float)
    z = X @ rng.uniform(-0.4, 0.4, p)
    mean = 5 + z if model._link == "identity" else np.exp(0.5 + z)
    if model._power == 1 or isinstance(model, PoissonRegressor):
        return X, rng.poisson(mean).astype(float)
    y = rng.gamma(3.0, mean / 3)
    return X, np.where(rng.random(n) < 0.2, 0.0, y) if 1 < model._power < 2 else y


def twin_of(model):
    """The twin's loss of a margin, a target and the power."""
    names = {"poisson": "poisson", "gamma": "gamma", "squared_error": "squared_error"}
    return getattr(reference, names.get(model.loss, model.loss))


def objective(model, X, y, weights=None, offset=0.0):
    """The twin's objective at a fitted model."""
    z, loss = X @ np.ravel(model.coef_) + model.intercept_ + offset, twin_of(model)
    losses = [loss(*pair, model._power)[0] for pair in zip(z, y, strict=True)]
    penalty = model.alpha * float(model.coef_ @ model.coef_) / 2
    return float(np.average(losses, weights=weights)) + penalty


# ---- the losses ----


@pytest.mark.parametrize(
    "name, power",
    [("gamma", 2.0)] + [(n, p) for n in ("tweedie", "tweedie_identity") for p in POWERS if p],
)
def test_a_loss_is_its_twin_and_its_slope_the_derivative(name, power):
    margins = np.linspace(0.1, 4, 60) if name == "tweedie_identity" else np.linspace(-4, 4, 80)
    z, y = (part.ravel() for part in np.meshgrid(margins, [0.0, 0.3, 2.2]))
    value, slope = evaluate(Loss[name.upper()], power, z, y)
    twins = [getattr(reference, name)(*pair, power) for pair in zip(z, y, strict=True)]
    assert_allclose(np.column_stack([value, slope]), twins, rtol=1e-12)
    step = 1e-6
    above, below = (evaluate(Loss[name.upper()], power, z + d, y)[0] for d in (step, -step))
    assert_allclose(slope, (above - below) / (2 * step), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [loss_of("gamma"), *(loss_of("tweedie", p) for p in (1.1, 1.5, 1.9))],
    ids=repr,
)
def test_convex_losses_have_their_curvature_conjugate_and_best_constant(loss):
    z, y = (part.ravel() for part in np.meshgrid(np.linspace(-3, 3, 50), [0.2, 1.0, 4.0]))
    slopes, curvatures, step = loss.evaluate(z, y)[1], np.empty(len(z)), 1e-6
    term = DataTerm(Rows(np.ones((len(z), 1))), y, None, np.arange(len(z)), Objective(loss).codes)
    newton.curvatures(term, z, curvatures)
    above, below = (loss.evaluate(z + d, y)[1] for d in (step, -step))
    assert_allclose(curvatures, (above - below) / (2 * step), rtol=1e-6)
    low, high = loss.domain(y)
    assert ((low <= slopes) & (slopes <= high)).all()
    # Fenchel's equality holds at the slopes of the loss.
    assert_allclose(loss.conjugate(slopes, y), slopes * z - loss.evaluate(z, y)[0], atol=1e-9)
    weights = np.array([0.2, 0.5, 0.3])

    def mean_loss(b):
        return float(weights @ loss.evaluate(np.full(3, b), np.array([0.2, 1.0, 4.0]))[0])

    best = minimize_scalar(mean_loss, (-1, 1), tol=1e-12).x
    assert_allclose(loss.best_constant(np.array([0.2, 1.0, 4.0]), weights), best, atol=1e-6)


def test_zeros_have_a_conjugate():
    loss, z = loss_of("tweedie", 1.5), np.linspace(-3, 3, 20)
    value, slope = loss.evaluate(z, np.zeros(20))
    assert_allclose(loss.conjugate(slope, np.zeros(20)), slope * z - value, atol=1e-9)


def test_other_powers_have_no_bound_and_sgd_does_not_offer_them():
    y = np.array([1.0, 2.0])
    for loss in (loss_of("tweedie", 3.0), loss_of("tweedie_identity", 2.0)):
        assert not loss.is_convex
        assert np.isnan(loss.domain(y)).all()
    assert {"gamma", "tweedie", "tweedie_identity"} <= set(KINDS) - set(OF_VALUES)


# ---- the minimum ----


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 1e-3, 1.0])
@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_the_minimum_is_scikit_learns(model, alpha, fit_intercept, weighted):
    if model.loss == "tweedie_identity" and not fit_intercept:
        pytest.skip("the means would start from 0")
    X, y = problem(model)
    weights = np.arange(len(y)) % 4 + 0.5 if weighted else None
    parameters = {"alpha": alpha, "fit_intercept": fit_intercept}
    ours = type(model)(**model.get_params() | parameters | {"tol": 1e-13, "max_iter": 500})
    ours.fit(X, y, sample_weight=weights)
    theirs = peer(ours).fit(X, y, sample_weight=weights)
    assert_allclose(ours.coef_, theirs.coef_, atol=2e-5)
    assert_allclose(ours.intercept_, theirs.intercept_, atol=2e-5)
    assert_allclose(ours.score(X, y, weights), theirs.score(X, y, weights), atol=1e-6)
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-4, atol=1e-6)
    assert isinstance(ours.intercept_, float)
    excess = objective(ours, X, y, weights) - objective(theirs_as(theirs, ours), X, y, weights)
    assert excess <= 1e-10


def theirs_as(theirs, ours):
    """A copy of ours with their coefficients."""
    twin = type(ours)(**ours.get_params())
    twin.coef_, twin.intercept_ = theirs.coef_, theirs.intercept_
    return twin


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_layouts_and_precisions_agree(model, layout, dtype):
    X, y = problem(model)
    X[np.abs(X) < 0.3] = 0
    tight = type(model)(**model.get_params() | {"tol": 1e-10, "max_iter": 500, "alpha": 0.1})
    known = tight.fit(X, y).coef_.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        tight.fit(store(X, layout, dtype), y)
    assert tight.coef_.dtype == dtype
    assert_allclose(tight.coef_, known, atol=2e-3 if dtype == np.float32 else 1e-5)


@given(n=st.integers(2, 40), p=st.integers(1, 8), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_shape_is_scikit_learns(n, p, seed):
    model = MODELS[seed % 3]
    X, y = problem(model, n, p, seed)
    if not y.any():
        return
    ours = type(model)(**model.get_params() | {"alpha": 0.3, "tol": 1e-13, "max_iter": 300})
    theirs = peer(ours).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours.fit(X, y)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)


@pytest.mark.parametrize("model", LOG_LINK[:4], ids=repr)
def test_optimality_is_the_distance_to_the_minimum(model):
    X, y = problem(model, 400, 30)
    settings = model.get_params() | {"alpha": 1e-3}
    best = objective(type(model)(**settings | {"tol": 1e-15}).fit(X, y), X, y)
    worst_model = type(model)(**settings).fit(0 * X, y)
    worst = objective(worst_model, 0 * X, y)
    for tol in (1e-2, 1e-4, 1e-6):
        ours = type(model)(**settings | {"tol": tol}).fit(X, y)
        distance = (objective(ours, X, y) - best) / (worst - best)
        assert ours.converged_
        assert distance <= 2 * tol
        assert ours.optimality_ >= distance / 2 - 1e-12


def test_badly_scaled_columns_large_counts_and_a_group_of_zeros():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 4))
    y = rng.poisson(np.exp(X @ [0.3, -0.2, 0.1, 0.0] + 1)).astype(float)
    known = PoissonRegressor(alpha=0, tol=1e-14).fit(X, y)
    scales = np.array([1e-6, 1e6, 1.0, 1e3])
    scaled = PoissonRegressor(alpha=0, tol=1e-14).fit(X * scales, y)
    assert_allclose(scaled.coef_ * scales, known.coef_, atol=1e-7)
    many = PoissonRegressor(alpha=0, tol=1e-14).fit(X, 1e9 * y)
    assert_allclose(many.coef_, known.coef_, atol=1e-7)
    assert_allclose(many.intercept_, known.intercept_ + np.log(1e9), rtol=1e-9)
    group = (np.arange(500) < 40).astype(float)
    y[:40] = 0
    model = PoissonRegressor(alpha=1e-4, tol=1e-10).fit(np.column_stack([X, group]), y)
    theirs = peer(model, solver="newton-cholesky").fit(np.column_stack([X, group]), y)
    assert_allclose(model.coef_, theirs.coef_, rtol=1e-4)
    assert model.converged_


def test_warm_starts_and_names(recwarn):
    X, y = problem(PoissonRegressor(), 300, 8)
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    model = PoissonRegressor(warm_start=True, alpha=1e-3).fit(frame, y)
    assert list(model.feature_names_in_) == list("abcdefgh")
    first = model.n_iter_
    model.set_params(alpha=1.1e-3).fit(frame, y)
    assert model.n_iter_ <= first
    assert_allclose(model.coef_, PoissonRegressor(alpha=1.1e-3).fit(X, y).coef_, atol=1e-2)


# ---- offsets ----


@pytest.mark.parametrize("alpha", [0.0, 0.2])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("model", LOG_LINK + [TweedieRegressor()], ids=repr)
def test_an_offset_is_added_to_the_linear_predictor(model, fit_intercept, alpha):
    X, y = problem(model)
    rng = np.random.default_rng(1)
    offset, weights = rng.normal(0.3, 1.0, len(y)), rng.uniform(0.5, 2, len(y))
    parameters = {"alpha": alpha, "fit_intercept": fit_intercept, "tol": 1e-13, "max_iter": 1000}
    ours = type(model)(**model.get_params() | parameters)
    ours.fit(X, y, sample_weight=weights, offset=offset)
    value = objective(ours, X, y, weights, offset)
    at = ours.coef_.copy(), ours.intercept_
    for direction in rng.standard_normal((20, len(at[0]))):
        for size in (1e-3, -1e-3):
            ours.coef_ = at[0] + size * direction
            ours.intercept_ = at[1] + size * rng.standard_normal() * fit_intercept
            assert objective(ours, X, y, weights, offset) >= value - 1e-12
    ours.coef_, ours.intercept_ = at
    z = X @ at[0] + at[1] + offset
    assert_allclose(ours.predict(X, offset=offset), z if model._link == "identity" else np.exp(z))


def test_an_exposure_is_an_offset():
    """Counts with log exposures are rates with the exposures as weights."""
    X, _ = problem(PoissonRegressor(), 400)
    rng = np.random.default_rng(0)
    exposure = 10.0 ** rng.uniform(-3, 3, 400)
    y = rng.poisson(exposure * np.exp(0.2 * X[:, 0])).astype(float)
    model = PoissonRegressor(alpha=0, tol=1e-14)
    counts = model.fit(X, y, offset=np.log(exposure)).coef_.copy()
    score = model.score(X, y, offset=np.log(exposure))
    rates = model.fit(X, y / exposure, sample_weight=exposure)
    assert_allclose(counts, rates.coef_, atol=1e-9)
    assert_allclose(score, rates.score(X, y / exposure, exposure), atol=1e-10)


def test_a_constant_offset_is_an_intercept_and_zeros_are_nothing():
    X, y = problem(PoissonRegressor())
    plain = PoissonRegressor(tol=1e-13).fit(X, y)
    moved = PoissonRegressor(tol=1e-10).fit(X, y, offset=np.full(len(y), 100.0))
    assert_allclose(moved.coef_, plain.coef_, atol=1e-6)
    assert_allclose(moved.intercept_, plain.intercept_ - 100, atol=1e-6)
    nothing = PoissonRegressor(tol=1e-13).fit(X, y, offset=np.zeros(len(y)))
    assert_allclose(nothing.coef_, plain.coef_, atol=1e-12)
    assert_allclose(nothing.score(X, y, offset=np.zeros(len(y))), plain.score(X, y))


def test_offsets_of_chunks_of_validation_rows_and_through_a_pipeline():
    X, y = problem(PoissonRegressor(), 200)
    offset = np.linspace(-1, 1, 200)
    parameters = {"tol": 1e-12, "alpha": 0.1}
    known = PoissonRegressor(**parameters).fit(X, y, offset=offset)
    chunks = Chunks.of(X, y, chunk_rows=60)
    model = PoissonRegressor(**parameters).fit(chunks, offset=offset)
    assert_allclose(model.coef_, known.coef_, atol=1e-7)
    assert_allclose(model.score(chunks, offset=offset), known.score(X, y, offset=offset), atol=1e-7)
    with pytest.raises(ValueError, match="one chunk at a time"):
        model.predict(chunks, offset=offset)
    held_out = {"X_val": X[:50], "y_val": y[:50], "offset_val": offset[:50]}
    model.fit(X, y, offset=offset, **held_out)
    expected = model.score(X[:50], y[:50], offset=offset[:50])
    assert_allclose(model.history_["validation_score"][-1], expected, atol=1e-5)
    with config_context(enable_metadata_routing=True):
        routed = PoissonRegressor(**parameters).set_fit_request(offset=True, sample_weight=False)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, routed).fit(X, y, offset=offset)
    direct = PoissonRegressor(**parameters).fit(StandardScaler().fit_transform(X), y, offset=offset)
    assert_array_equal(pipe[-1].coef_, direct.coef_)


# ---- bad input ----


@pytest.mark.parametrize(
    "model, y",
    [
        (PoissonRegressor(), [1.0, -1.0, 2.0]),
        (GammaRegressor(), [1.0, 0.0, 2.0]),
        (TweedieRegressor(power=1.5), [1.0, -0.1, 2.0]),
        (TweedieRegressor(power=3), [1.0, 0.0, 2.0]),
        (TweedieRegressor(power=2, link="identity"), [1.0, 0.0, 2.0]),
    ],
)
def test_targets_out_of_range_are_refused_in_scikit_learns_words(model, y):
    X = np.arange(6.0).reshape(3, 2)
    texts = []
    for kind in (model, peer(model)):
        with pytest.raises(ValueError, match="out of the valid range") as error:
            kind.fit(X, y)
        texts.append(str(error.value))
    assert texts[0] == texts[1]
    # scikit-learn's `score` fails on the name of the loss.
    with pytest.raises(ValueError, match="out of the valid range of the loss Half"):
        model.fit(X, np.abs(y) + 1).score(X, y)
    with pytest.raises(ValueError, match="y_val.*valid range"):
        model.fit(X, np.abs(y) + 1, X_val=X, y_val=y)


@pytest.mark.parametrize(
    "offset, words",
    [
        (np.zeros(3), r"offset.shape == \(3,\), expected \(120,\)!"),
        (np.zeros((120, 1)), "offset.shape"),
        (np.full(120, np.nan), "offset contains NaN"),
        (np.full(120, -np.inf), "offset contains infinity"),
        (np.linspace(-100, 100, 120), "factor of more than 1e26"),
        (np.full(120, 800.0), "offset is too large"),
    ],
)
def test_offsets_that_cannot_be_are_refused(offset, words):
    X, y = problem(PoissonRegressor())
    model = PoissonRegressor().fit(X, y)
    before = model.coef_
    calls = [lambda: PoissonRegressor().fit(X, y, offset=offset)]
    if "shape" in words or "contains" in words:
        calls += [lambda: model.predict(X, offset=offset), lambda: model.fit(X, y, offset=offset)]
        calls += [lambda: model.score(X, y, offset=offset)]
    for call in calls:
        with pytest.raises(ValueError, match=words):
            call()
    assert model.coef_ is before


def test_what_has_no_descent_is_refused():
    X, y = problem(TweedieRegressor(power=2, link="identity"))
    with pytest.raises(ValueError, match="link='identity' with power=2 needs positive means"):
        TweedieRegressor(power=2, link="identity", fit_intercept=False).fit(X, y)
    with pytest.raises(ValueError, match="an offset needs the log link or power=0"):
        TweedieRegressor(power=2, link="identity").fit(X, y, offset=np.zeros(len(y)))
    with pytest.raises(ValueError, match="offset_val is provided"):
        PoissonRegressor().fit(X, y, offset_val=np.zeros(3))
    with pytest.raises(ValueError, match="y should be a 1d array"):
        PoissonRegressor().fit(X, np.column_stack([y, y]))
    for name, value in (("power", np.nan), ("link", "logit"), ("solver", "sgd"), ("tol", 0)):
        with pytest.raises(ValueError, match=name):
            TweedieRegressor(**{name: value}).fit(X, y)


def test_a_fit_that_did_not_converge_says_so():
    X, y = problem(PoissonRegressor(), 400, 30)
    with pytest.warns(ConvergenceWarning, match="before it converged"):
        model = PoissonRegressor(max_iter=1, tol=1e-12).fit(X, y)
    assert not model.converged_


def test_models_are_public():
    assert {"PoissonRegressor", "GammaRegressor", "TweedieRegressor"} <= set(fastgd.__all__)
