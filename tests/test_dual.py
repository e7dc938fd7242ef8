"""Dual coordinate descent: the sweep is its slow twin's, and what it finds is the minimum."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn import svm
from sklearn.base import clone

from fastgd import LinearSVC, LinearSVR, LogisticRegression
from fastgd.kernels import dual
from fastgd.kernels.data_term import DataTerm
from fastgd.methods import dual_coordinate_descent as method
from fastgd.problem.data import as_rows
from fastgd.problem.layout import pack
from fastgd.problem.losses import loss_of
from fastgd.problem.objective import Objective

STRENGTH, BIAS, DELTA = 3.0, 0.7, 0.2


def best_slope(loss, slope, z, y, h):
    """The a with a = dL/dz at z - h (a - slope), by halving: z - h (a - slope) falls in a, and
    dL/dz rises in z.
    """

    def slopes(at):  # the least and the greatest at a kink
        if loss == "epsilon_insensitive":
            r = at - y
            return (-1.0 if r <= -DELTA else 0.0 if r <= DELTA else 1.0), (
                1.0 if r >= DELTA else 0.0 if r >= -DELTA else -1.0
            )
        if loss == "log_loss":
            return 2 * (-y / (1 + np.exp(y * at)),)
        gap = 1 - y * at
        if loss == "squared_hinge":
            return 2 * (-2 * y * max(gap, 0),)[:1]
        either = sorted((-y * (gap > 0), -y * (gap >= 0)))
        return either[0], either[1]

    low, high = -100.0, 100.0
    for _ in range(200):
        a = (low + high) / 2
        least, greatest = slopes(z - h * (a - slope))
        if a < least:
            low = a
        elif a > greatest:
            high = a
        else:
            return a
    return (low + high) / 2


def slow_sweep(X, y, weights, order, W, b, slope, loss):
    """(margins met, sum of losses met, sum of gaps before the steps); all else moves in place."""
    met, losses, gaps, kind = np.zeros_like(slope), 0.0, 0.0, loss_of(loss, DELTA)
    for i in order:
        for k in range(len(b)):
            z = met[i, k] = X[i] @ W[k] + b[k]
            one = kind.evaluate(np.array([z]), y[i, k : k + 1])[0][0]
            losses += weights[i] * one
            gaps += weights[i] * (one + kind.conjugate(slope[i, k], y[i, k]) - slope[i, k] * z)
            a = best_slope(
                loss, slope[i, k], z, y[i, k], weights[i] * (X[i] @ X[i] + BIAS) / STRENGTH
            )
            change, slope[i, k] = a - slope[i, k], a
            W[k] -= weights[i] * change * X[i] / STRENGTH
            b[k] -= weights[i] * change * BIAS / STRENGTH
    return met, losses, gaps


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "log_loss", "epsilon_insensitive"])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("sparse", [True, False])
def test_a_sweep_is_the_twins(loss, outputs, sparse, dtype):
    rng = np.random.default_rng(0)
    n, p = 30, 6
    X = (
        np.where(rng.random((n, p)) < 0.5, rng.standard_normal((n, p)), 0.0)
        .astype(np.float32)
        .astype(dtype)
    )
    y = rng.standard_normal((n, outputs))
    if loss != "epsilon_insensitive":
        y = np.sign(y)
    weights, order = rng.uniform(0.5, 2, n), rng.permutation(n)
    objective = Objective(loss_of(loss, DELTA), outputs=outputs)
    theta, (z, slope, conjugate) = (
        np.zeros(outputs * (p + 1), dtype),
        np.zeros((3, n * outputs)),
    )
    W, b, a = np.zeros((outputs, p)), np.zeros(outputs), np.zeros((n, outputs))
    lengths = (X.astype(float) ** 2).sum(axis=1)
    for _ in range(2):
        met, *sums = slow_sweep(X.astype(float), y, weights, order, W, b, a, loss)
        largest, kept, losses, left, gap = dual.sweep(
            DataTerm(
                as_rows(csr_matrix(X) if sparse else X),
                y.ravel(),
                weights,
                order.copy(),
                objective.codes,
            ),
            order.copy(),
            (lengths, z, slope, conjugate),
            theta,
            STRENGTH,
            BIAS,
            np.inf,
        )
        assert (kept, left) == (n, 0)
        assert_allclose((losses, gap), sums, rtol=1e-4 if dtype == np.float32 else 1e-8)
        assert (largest > 0) == (loss != "log_loss")  # which has no kinks
    tolerance = (
        {"rtol": 1e-3, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-7, "atol": 1e-9}
    )
    assert_allclose(slope.reshape(n, outputs), a, **tolerance)
    assert_allclose(z.reshape(n, outputs), met, **tolerance)
    coef = (
        theta[: outputs * p].reshape(p, outputs).T
        if sparse
        else theta[: outputs * p].reshape(outputs, p)
    )
    assert_allclose(coef, W, **tolerance)
    assert_allclose(theta[outputs * p :], b, **tolerance)


def test_rows_that_rest_far_from_their_kink_are_left_out():
    X, y = csr_matrix([[1.0], [1.0], [1.0]]), np.array([1.0, 1.0, -1.0])
    theta, slope, order = np.array([0.5, 0.0]), np.array([-0.5, 0.0, 1.0]), np.arange(3)
    term = DataTerm(as_rows(X), y, None, order, Objective(loss_of("hinge")).codes)
    # L*(a) = y a
    arguments = (np.ones(3), np.zeros(3), slope, y * slope), theta, 1.0, 0.0
    # The margins met are 0.5, 1 after the step of the first row, and 1.
    # Their gaps before the steps are 0.5 - 0.5 + 0.25, 0 and 2 - 1 - 1.
    assert dual.sweep(term, order, *arguments, 1.0) == (0.5, 2, 0.5 + 0 + 2, 2, 0.25)
    assert sorted(order) == [0, 1, 2]
    assert set(order[:2]) == {0, 1}


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("by_column", [True, False])
@pytest.mark.parametrize("p", [0, 1, 7])
def test_progress_is_that_of_the_definition(outputs, by_column, p, dtype):
    rng = np.random.default_rng(p)
    new, old = rng.standard_normal((2, outputs, p + 1)).astype(dtype)
    center, inverse = rng.standard_normal(p), rng.uniform(0, 2, p)

    def flat(parameters):
        return pack(parameters[:, :-1], parameters[:, -1], dtype, by_column)

    G, g = (new.astype(float) - old)[:, :-1], (new.astype(float) - old)[:, -1]
    change = (((G - np.outer(g, center)) * inverse) ** 2).sum() + (g * g).sum()
    made = dual.progress(flat(new), flat(old), center, inverse, outputs, by_column)
    assert_allclose(made, ((new[:, :-1].astype(float) ** 2).sum(), change), rtol=1e-12)
    with pytest.raises(ValueError, match="do not fit"):
        dual.progress(flat(new)[1:], flat(old), center, inverse, outputs, by_column)


def test_what_does_not_fit_is_refused():
    X, order, codes = (
        as_rows(csr_matrix(np.eye(3))),
        np.arange(3),
        Objective(loss_of("hinge")).codes,
    )
    with pytest.raises(ValueError, match="do not fit"):
        dual.sweep(
            DataTerm(X, np.ones(3), None, order, codes),
            order,
            (np.ones(2), *np.zeros((3, 3))),
            np.zeros(4),
            1.0,
            0.0,
            np.inf,
        )
    with pytest.raises(ValueError, match="strength"):
        dual.sweep(
            DataTerm(X, np.ones(3), None, order, codes),
            order,
            (np.ones(3), *np.zeros((3, 3))),
            np.zeros(4),
            0.0,
            0.0,
            np.inf,
        )
    with pytest.raises(IndexError):
        dual.sweep(
            DataTerm(X, np.ones(3), None, order + 1, codes),
            order + 1,
            (np.ones(3), *np.zeros((3, 3))),
            np.zeros(4),
            1.0,
            0.0,
            np.inf,
        )


# ---- the models that use it ----


@pytest.fixture(scope="module")
def words():
    rng = np.random.default_rng(1)
    X = np.where(rng.random((400, 150)) < 0.05, rng.uniform(0.5, 1.5, (400, 150)), 0.0)
    X /= np.maximum(np.sqrt((X * X).sum(axis=1, keepdims=True)), 1e-9)
    z = X @ rng.standard_normal(150)
    return csr_matrix(X), z + 0.1 * rng.standard_normal(400), rng.uniform(0.2, 3, 400)


MODELS = {
    "hinge": LinearSVC(loss="hinge", tol=1e-5),
    "hinge, no intercept": LinearSVC(loss="hinge", fit_intercept=False, tol=1e-5),
    "squared hinge": LinearSVC(tol=1e-7),
    "logistic": LogisticRegression(C=3.0, tol=1e-7),
    "tube": LinearSVR(epsilon=0.1, tol=1e-4),
}


def value(model, X, y, weights):
    z = X @ np.atleast_2d(model.coef_).T + model.intercept_
    if isinstance(model, LinearSVR):
        losses = np.maximum(np.abs(z[:, 0] - y) - model.epsilon, 0)[:, None]
    else:
        signs = np.where(
            y[:, None] == (model.classes_ if len(model.classes_) > 2 else model.classes_[1:]), 1, -1
        )
        if isinstance(model, LogisticRegression):
            losses = np.logaddexp(0, -signs * z)
        else:
            losses = np.maximum(1 - signs * z, 0) ** (2 if model.loss == "squared_hinge" else 1)
    return float((weights[:, None] * losses).sum() * model.C + (model.coef_**2).sum() / 2)


def constant_value(model, y, weights):
    """A bound of the objective of the best constant model."""
    if isinstance(model, LinearSVR):
        return float((weights * np.abs(y)).sum())
    return float(weights.sum()) * len(np.unique(y))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_finds_the_minimum_that_passes_over_x_find(name, classes, weighted, words, monkeypatch):
    if name == "logistic" and classes > 2:
        pytest.skip("softmax")
    X, t, weights = words
    y = t if name == "tube" else np.digitize(t, np.quantile(t, np.arange(1, classes) / classes))
    weights = weights if weighted else np.ones(len(t))
    swept = []
    original = dual.sweep
    monkeypatch.setattr(
        method.dual, "sweep", lambda *arguments: swept.append(1) or original(*arguments)
    )
    model = MODELS[name].fit(X, y, weights)
    assert swept
    assert model.converged_
    assert model.optimality_ <= model.tol
    smooth = name in ("squared hinge", "logistic")
    assert model.optimality_kind_ == ("half the duality gap" if smooth else "duality gap")
    found = value(model, X, y, weights)
    full = type(model)(**{**model.get_params(), "batch_size": "full", "tol": 1e-2, "max_iter": 200})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = full.fit(X, y, weights)
    worst = constant_value(model, y, weights)
    reached = value(other, X, y, weights)
    assert found <= reached + model.tol * worst
    assert reached - other.optimality_ * worst <= found


def test_the_same_bits_from_any_number_of_threads(words):
    X, t, _ = words
    one, two = (LinearSVC(loss="hinge", n_jobs=jobs).fit(X, t > 0) for jobs in (1, 2))
    assert_array_equal(one.coef_, two.coef_)
    assert one.n_iter_ == two.n_iter_


def test_where_it_would_take_long_another_method_takes_over(words):
    """Of few columns a dense metric costs little: smooth losses are Newton's, and kinks on long
    rows.
    """
    X, t, _ = words
    for model in LinearSVC(tol=1e-4, C=0.1), LogisticRegression(tol=1e-4):
        model.fit(X[:, :20], t > 0)
        assert model.converged_
        assert model.optimality_kind_ == "Newton decrement"
    narrow = LinearSVC(loss="hinge", tol=1e-3, C=100.0).fit(X[:, :3], t > 0)
    assert narrow.converged_


def test_models_that_are_warm_started_are_left_to_another_method(words):
    X, t, _ = words
    model = LogisticRegression(warm_start=True, tol=1e-7).fit(X, t > 0)
    assert model.optimality_kind_ == "Newton decrement"
    assert_allclose(model.coef_, LogisticRegression(tol=1e-10).fit(X, t > 0).coef_, atol=1e-3)


@pytest.mark.parametrize("name", ["squared hinge", "logistic"])
def test_half_the_gap_is_about_the_distance(name, words):
    """Of smooth losses, at whatever pass the fit ends."""
    X, t, weights = words
    y = (t > 0).astype(int)
    model = clone(MODELS[name])
    least = value(clone(model).set_params(tol=1e-13).fit(X, y, weights), X, y, weights)
    signs = 2 * y - 1
    b = np.average(signs, weights=weights)
    if name == "logistic":
        b = np.log((1 + b) / (1 - b))
    losses = (
        np.logaddexp(0, -signs * b) if name == "logistic" else np.maximum(1 - signs * b, 0) ** 2
    )
    constant = model.C * weights @ losses
    for tol in 1e-2, 1e-3, 1e-5, 1e-7:
        model.set_params(tol=tol).fit(X, y, weights)
        ratio = (value(model, X, y, weights) - least) / (constant - least)
        assert 0.5 * ratio <= model.optimality_ <= 2 * ratio


@pytest.mark.parametrize("change", [{"max_iter": 1}, {"max_iter": 3}])
def test_stopped_early_it_is_no_worse_than_a_constant(change, words):
    X, t, _ = words
    y = (t > 0).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LinearSVC(loss="hinge", tol=1e-10, **change).fit(X, y)
    assert not model.converged_
    constant = 2 * min(y.sum(), len(y) - y.sum())
    assert value(model, X, y, np.ones(len(y))) <= constant


# ---- dense rows, fewer than columns ----

WIDE = [
    LinearSVC(),
    LinearSVC(loss="hinge"),
    LinearSVR(epsilon=0.1),
    LogisticRegression(),
]


def wide(kind, n=60, p=150):
    rng = np.random.default_rng(4)
    X = rng.standard_normal((n, p))
    if kind == "correlated":
        X = np.cumsum(X, axis=1)
    return X, X @ rng.standard_normal(p) / np.sqrt(p * X.var())


def methods_of(model, X, y, monkeypatch):
    """The names of the methods that train a model."""
    from fastgd.methods.row_space import RowSpace

    names = []
    for kind in (method.DualCoordinateDescent, RowSpace):
        start = kind.start

        def noted(self, *arguments, start=start):
            names.append(type(self).__name__)
            return start(self, *arguments)

        monkeypatch.setattr(kind, "start", noted)
    model.fit(X, y)
    return names


def least_value(model, X, y):
    """The objective at the minimum, from other methods."""
    if getattr(model, "loss", "") == "hinge":
        exact = svm.SVC(kernel="linear", tol=1e-9).fit(X, y)
    elif isinstance(model, LinearSVR):
        exact = svm.SVR(kernel="linear", epsilon=model.epsilon, tol=1e-9).fit(X, y)
    else:
        exact = clone(model).set_params(tol=1e-10, max_iter=5000, batch_size="full").fit(X, y)
    model = clone(model).set_params(max_iter=1).fit(X, y)
    model.coef_, model.intercept_ = np.atleast_2d(exact.coef_), exact.intercept_
    return value(model, X, y, np.ones(len(y)))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("model", WIDE, ids=repr)
@pytest.mark.parametrize("kind", ["plain", "correlated"])
def test_few_dense_rows_end_at_the_minimum(model, kind):
    X, t = wide(kind)
    y = t if isinstance(model, LinearSVR) else (t > 0).astype(int)
    found = clone(model).fit(X, y)
    weights = np.ones(len(y))
    start, least = constant_value(found, y, weights), least_value(model, X, y)
    distance = (value(found, X, y, weights) - least) / (start - least)
    assert found.converged_ or kind == "correlated"
    assert distance <= 2 * max(found.optimality_, found.tol)


def test_the_dual_gives_way_where_it_is_slow(monkeypatch):
    X, t = wide("plain")
    assert methods_of(clone(WIDE[1]), X, t > 0, monkeypatch) == ["DualCoordinateDescent"]
    rng = np.random.default_rng(0)
    X = np.exp(2 * rng.standard_normal((100, 400)))
    t = np.log(X)[:, :20].sum(axis=1)
    slow = methods_of(clone(WIDE[1]), X, t > 0, monkeypatch)
    assert slow == ["DualCoordinateDescent", "RowSpace"]
