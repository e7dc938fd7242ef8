"""SGDOneClassSVM: scikit-learn's steps, the minimum by every method, and what nu promises."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from sklearn import linear_model, svm
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline

from fastgd import SGDOneClassSVM
from reference import store

STEPS = {"shuffle": False, "tol": None, "max_iter": 3, "learning_rate": "constant", "eta0": 0.05}


@pytest.fixture(scope="module")
def points():
    """Two clouds away from the origin, one of them small, columns of different spread."""
    rng = np.random.default_rng(0)
    return np.concatenate(
        [rng.normal([2, 3, 0.2], [0.5, 2.0, 0.1], (190, 3)), rng.normal([-1, 0, 0], 1.0, (10, 3))]
    )


def objective(model, X, coef, offset, weights=None):
    losses = np.maximum(0, offset - X @ coef)
    return np.average(losses, weights=weights) - model.nu * offset + model.nu / 2 * (coef @ coef)


LEAST = {}


def least(model, X, weights=None):
    """The minimum by its dual, a quadratic of the shares a_i in [0, s_i] that sum to nu: 0 >= F* =
    -|sum a_i x_i|^2 / (2 nu).
    """
    key = model.nu, weights is None
    if key not in LEAST:
        s = np.full(len(X), 1 / len(X)) if weights is None else weights / weights.sum()
        found = minimize(
            lambda a: ((a @ X) ** 2).sum() / 2,
            key[0] * s,
            jac=lambda a: X @ (a @ X),
            constraints={
                "type": "eq",
                "fun": lambda a: a.sum() - key[0],
                "jac": lambda a: np.ones(len(a)),
            },
            bounds=[(0, most) for most in s],
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-14},
        )
        LEAST[key] = -found.fun / key[0]
    return LEAST[key]


def distance(model, X, weights=None):
    """(F - F*) / (F0 - F*), F0 = 0 being the objective at w = 0."""
    lowest = least(model, X, weights)
    return (objective(model, X, model.coef_, model.offset_[0], weights) - lowest) / -lowest


# ---- scikit-learn's steps ----


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("average", [False, True, 250])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "optimal", "adaptive"])
def test_steps_are_scikit_learns(learning_rate, average, fit_intercept, points):
    for nu in (0.03, 0.2):  # above, scikit-learn's means are rounded to 1e-8
        shared = STEPS | {
            "learning_rate": learning_rate,
            "average": average,
            "nu": nu,
            "fit_intercept": fit_intercept,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            theirs = linear_model.SGDOneClassSVM(**shared).fit(points)
        ours = SGDOneClassSVM(**shared).fit(points)
        scale = max(np.abs(theirs.coef_).max(), 1)
        assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-12 * scale)
        assert_allclose(ours.offset_, theirs.offset_, rtol=0, atol=1e-12 * scale)
        assert ours.coef_.shape == theirs.coef_.shape and ours.offset_.shape == theirs.offset_.shape
        assert (ours.t_, ours.n_iter_) == (theirs.t_, theirs.n_iter_)
        assert_allclose(
            ours.decision_function(points), theirs.decision_function(points), atol=1e-11 * scale
        )
        assert_allclose(
            ours.score_samples(points), theirs.score_samples(points), atol=1e-11 * scale
        )
        assert_array_equal(ours.predict(points), theirs.predict(points))


def test_stops_starts_and_pieces_are_scikit_learns(points):
    for changes in (
        {"tol": 1e-3, "max_iter": 500},
        {"tol": 1e-3, "max_iter": 500, "learning_rate": "adaptive"},
    ):
        ours, theirs = (
            kind(**STEPS | changes).fit(points)
            for kind in (SGDOneClassSVM, linear_model.SGDOneClassSVM)
        )
        assert ours.stop_reason_ == "plateau"
        assert_allclose(ours.coef_, theirs.coef_, atol=0.02)
    start = {"coef_init": np.array([0.5, -1.0, 2.0]), "offset_init": np.array([0.3])}
    ours, theirs = (
        kind(**STEPS).fit(points, **start) for kind in (SGDOneClassSVM, linear_model.SGDOneClassSVM)
    )
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-12)
    for _ in range(2):
        ours, theirs = (model.partial_fit(points) for model in (ours, theirs))
        assert_allclose(ours.coef_, theirs.coef_, atol=1e-12)
        assert_allclose(ours.offset_, theirs.offset_, atol=1e-12)
    ours, theirs = (model.set_params(warm_start=True).fit(points) for model in (ours, theirs))
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-12)
    assert_allclose(ours.offset_, theirs.offset_, atol=1e-12)
    ours, theirs = (
        kind(**STEPS).partial_fit(points) for kind in (SGDOneClassSVM, linear_model.SGDOneClassSVM)
    )
    assert_allclose(ours.offset_, theirs.offset_, atol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 7, "full"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_every_layout_takes_the_same_steps(optimizer, batch_size, points, layout):
    parameters = STEPS | {"batch_size": batch_size, "optimizer": optimizer}
    dense = SGDOneClassSVM(**parameters).fit(points)
    model = SGDOneClassSVM(**parameters).fit(store(points, layout))
    assert_allclose(model.coef_, dense.coef_, rtol=1e-9)
    assert_allclose(model.offset_, dense.offset_, rtol=1e-9)
    assert_allclose(model.history_["loss"], dense.history_["loss"], rtol=1e-9)


def test_a_full_batch_is_the_gradient_of_the_objective(points):
    model = SGDOneClassSVM(**STEPS | {"batch_size": "full", "max_iter": 1}, nu=0.3).fit(points)
    start = np.append(np.array([0.2, 0.1, -0.3]), 0.7)  # (w, offset)
    model.fit(points, coef_init=start[:3], offset_init=start[3:])
    slope = [
        (
            objective(model, points, (start + e)[:3], (start + e)[3])
            - objective(model, points, (start - e)[:3], (start - e)[3])
        )
        / 2e-6
        for e in 1e-6 * np.eye(4)
    ]
    assert_allclose(
        np.append(model.coef_, model.offset_), start - 0.05 * np.array(slope), atol=1e-8
    )
    # the objective of the docs is the engine's less nu
    assert_allclose(
        model.history_["loss"][0] - 0.3, objective(model, points, start[:3], start[3]), rtol=1e-12
    )


# ---- the minimum, without a rate ----


@pytest.mark.parametrize(
    "batch_size, nu",
    [(1, 0.3), (1, 0.8), (16, 0.3), (16, 0.8), ("full", 0.3), ("full", 0.5), ("full", 0.8)],
)
@pytest.mark.parametrize("layout", ["dense", "csr32"])
def test_every_batch_size_reaches_the_minimum_and_knows_it(batch_size, nu, points, layout):
    model = SGDOneClassSVM(nu, batch_size=batch_size, random_state=0, tol=1e-3).fit(
        store(points, layout)
    )
    assert model.converged_ and model.optimality_kind_ == "duality gap"
    assert -1e-5 <= distance(model, points) <= model.optimality_ + 1e-5 <= 1e-3 + 1e-5


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("nu", [0.3, 0.8])
def test_far_from_the_start_nothing_is_taken_for_the_minimum(batch_size, nu):
    """Raw columns: the first bounds of the minimum are infinite, which is no proof that the
    constant model is it.
    """
    X = np.random.default_rng(0).standard_normal((200, 5)) * [1, 10, 100, 1000, 1] + [
        5,
        50,
        500,
        5000,
        0,
    ]
    full, model = (
        SGDOneClassSVM(nu=nu, batch_size=size, random_state=0, tol=1e-2).fit(X)
        for size in ("full", batch_size)
    )
    best, value = (objective(fitted, X, fitted.coef_, fitted.offset_) for fitted in (full, model))
    assert full.converged_ and model.converged_ and best < 0
    assert value <= best + 0.03 * abs(best)


def test_a_tight_tolerance_is_met(points):
    model = SGDOneClassSVM(0.3, batch_size="full", tol=1e-8).fit(points)
    exact = svm.OneClassSVM(kernel="linear", nu=0.3, tol=1e-10).fit(points)
    turned = exact.coef_[0] / np.linalg.norm(exact.coef_)
    assert_allclose(model.coef_ / np.linalg.norm(model.coef_), turned, atol=1e-3)
    assert abs(distance(model, points)) <= 1e-6


@pytest.mark.filterwarnings("ignore:Values in x were outside bounds")  # of SciPy's SLSQP
def test_weights_are_repetitions(points):
    weights = np.arange(len(points)) % 4
    for batch_size in (1, "full"):
        weighted = SGDOneClassSVM(0.3, batch_size=batch_size, tol=1e-4, random_state=0).fit(
            points, sample_weight=weights
        )
        assert abs(distance(weighted, points, weights)) <= 2e-4
    model = SGDOneClassSVM(0.3, batch_size="full", tol=1e-12)
    weighted = clone(model).fit(points, sample_weight=weights)
    repeated = clone(model).fit(np.repeat(points, weights, axis=0))
    assert_allclose(weighted.coef_, repeated.coef_, atol=1e-6)
    absent = clone(model).fit(points[weights > 0], sample_weight=weights[weights > 0])
    assert_array_equal(weighted.coef_, absent.coef_)


@pytest.mark.parametrize("batch_size", [1, 16])
def test_streams_come_near(batch_size, points):
    model, rng = (
        SGDOneClassSVM(0.3, batch_size=batch_size, random_state=0),
        np.random.default_rng(0),
    )
    for _ in range(60):
        model.partial_fit(points[rng.permutation(len(points))])
    assert distance(model, points) < 0.05
    assert model.optimality_ is None


def test_without_an_offset_nothing_is_the_best(points):
    """max(0, -w x) + nu |w|^2 / 2 is least at w = 0."""
    for batch_size in (1, "full"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = SGDOneClassSVM(
                0.2, fit_intercept=False, batch_size=batch_size, random_state=0, max_iter=100
            ).fit(points)
        assert_allclose(model.coef_, 0, atol=0.02)
        assert_array_equal(model.offset_, 0)


@pytest.mark.parametrize("nu", [0.3, 0.6])
def test_nu_bounds_the_share_of_outliers(nu, points):
    model = SGDOneClassSVM(nu, batch_size="full", tol=1e-7).fit(points)
    margins = model.decision_function(points)
    slack = 1e-3 * np.abs(margins).max()
    assert np.mean(margins < -slack) <= nu <= np.mean(margins <= slack)
    assert_array_equal(model.predict(points) == -1, margins < 0)
    assert_array_equal(model.fit_predict(points), model.predict(points))


def test_with_a_kernels_map_it_is_the_kernel_machine(points):
    rbf = svm.OneClassSVM(gamma=0.1, nu=0.1).fit(points)
    ours = make_pipeline(
        Nystroem(gamma=0.1, n_components=100, random_state=0),
        SGDOneClassSVM(0.1, batch_size="full"),
    )
    assert np.mean(ours.fit(points).predict(points) == rbf.predict(points)) > 0.93


# ---- habits ----


def test_float32_stays_and_pickles_go_on(points):
    model = SGDOneClassSVM(random_state=0).fit(points.astype(np.float32))
    assert model.coef_.dtype == np.float32
    other = pickle.loads(pickle.dumps(model))
    assert_array_equal(other.partial_fit(points).coef_, model.partial_fit(points).coef_)


def test_bad_values_are_named(points):
    with pytest.raises(ValueError, match="'nu' parameter of SGDOneClassSVM"):
        SGDOneClassSVM(nu=1.5).fit(points)
    for kind in (SGDOneClassSVM, linear_model.SGDOneClassSVM):  # whose own words are another loss's
        with pytest.raises(ValueError, match="(?i)learning.rate"):
            kind(learning_rate="pa1").fit(points)
    with pytest.raises(ValueError, match="Provided intercept_init does not match"):
        SGDOneClassSVM().fit(points, offset_init=np.zeros(3))
