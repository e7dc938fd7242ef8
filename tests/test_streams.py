"""Streams (`partial_fit` at the automatic rates): what sparse rows cost, and how drifts are
followed.
"""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import brentq
from sklearn import linear_model

import reference
from fastgd import SGDClassifier, SGDRegressor
from fastgd.kernels import implicit
from fastgd.methods import sparse_stream
from fastgd.methods.implicit_sgd import IMPLICIT_RATE, RATE_HORIZON
from fastgd.methods.sparse_stream import damping


def rows_of(n, p, density, seed=0):
    """Sparse rows and labels that a linear model explains."""
    X = sparse.random(
        n,
        p,
        density,
        "csr",
        random_state=seed,
        data_rvs=np.random.default_rng(seed).standard_normal,
    )
    return X, (X @ np.random.default_rng(seed + 1).standard_normal(p) > 0).astype(int)


def trained(model, X, y, size=1, begin=0):
    for start in range(begin, X.shape[0], size):
        labels = {"classes": np.unique(y)} if isinstance(model, SGDClassifier) else {}
        model.partial_fit(X[start : start + size], y[start : start + size], **labels)
    return model


# ---- sparse rows ----


def plain_stream(X, Y, loss, delta):
    """The mean of plain iterates: one row a call, no penalty, all columns touched in every step."""
    n, p = X.shape
    K = Y.shape[1]
    W, b, squares, counts = np.zeros((K, p)), np.zeros(K), np.zeros(p), np.zeros(p)
    mean_W, mean_b, mass = np.zeros((K, p)), np.zeros(K), 0.0
    for t, (x, y) in enumerate(zip(X, Y, strict=True), start=1):
        squares, counts = squares + x * x, counts + (x != 0)
        met = counts > 0
        goal, level = t / 10, 0.0
        if met.sum() > goal:
            level = brentq(
                lambda m, c=counts[met], goal=goal: (c / (c + m)).sum() - goal, 0, 1e6, xtol=1e-12
            )
        share = np.divide(counts, counts + level, out=np.zeros(p), where=met)
        inverse_squares = np.divide(share * t, squares, out=np.zeros(p), where=met)
        rate = IMPLICIT_RATE / (share.sum() + 1) / np.sqrt(1 + (t - 1) / RATE_HORIZON)
        gain = 4.0 if loss is reference.LOSSES["log_loss"] else 1.0
        h = rate * gain * (inverse_squares @ (x * x) + 1)
        for k in range(K):
            g = reference.implicit(loss, W[k] @ x + b[k], y[k], delta, h)
            W[k] -= rate * gain * g * inverse_squares * x
            b[k] -= rate * gain * g
        weight = t * (t + 1) * (t + 2)
        mass += weight
        mean_W, mean_b = (
            mean_W + weight / mass * (W - mean_W),
            mean_b + weight / mass * (b - mean_b),
        )
    return mean_W, mean_b


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_untouched_columns_are_put_off_not_forgotten(loss, classes):
    """Lazy sums and scales agree with plain steps on all columns; counts up to 32 have their own
    bins.
    """
    X, _ = rows_of(30, 25, 0.2)
    y = np.random.default_rng(2).integers(0, classes, 30)
    y[:classes] = range(classes)
    model = trained(SGDClassifier(loss, penalty=None), X, y)
    signs = np.where(y[:, None] == np.arange(classes), 1.0, -1.0)[:, -1:] if classes == 2 else None
    signs = np.where(y[:, None] == np.arange(classes), 1.0, -1.0) if signs is None else signs
    coef, intercept = plain_stream(X.toarray(), signs, reference.LOSSES[loss], 0.1)
    assert_allclose(model.coef_, coef, rtol=1e-5, atol=1e-7)
    assert_allclose(model.intercept_, intercept, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
def test_a_call_touches_no_columns_but_its_rows(penalty):
    """What is kept of other columns has the same bits after the call, and `coef_` is not made."""
    X, y = rows_of(40, 300, 0.03)
    model = trained(SGDClassifier("log_loss", penalty=penalty), X[:-1], y[:-1])
    state = model._state
    before = {
        name: getattr(state, name).copy() for name in (*sparse_stream.COLUMN_ARRAYS, "v", "average")
    }
    model.partial_fit(X[-1], y[-1:])
    assert model._state is state and "coef_" not in vars(model)
    others = np.setdiff1d(np.arange(300), X[-1].indices)
    for name, values in before.items():
        assert_array_equal(getattr(state, name)[others], values[others])
        if name not in ("l1", "l2"):  # either may be 0
            assert (getattr(state, name)[X[-1].indices] != values[X[-1].indices]).any()


@pytest.mark.parametrize("penalty", ["l2", "l1"])
@pytest.mark.parametrize("size", [5, 40, 400])
def test_one_pass_of_many_columns_is_near_the_minimum(penalty, size):
    X, y = rows_of(1200, 200, 0.05)
    alpha = 1e-3

    def objective(model):
        z = (2 * y - 1) * model.decision_function(X)
        sizes = np.abs(model.coef_) if penalty == "l1" else model.coef_**2 / 2
        return np.logaddexp(0, -z).mean() + alpha * sizes.sum()

    least = objective(
        linear_model.LogisticRegression(
            C=1 / (alpha * 1200), l1_ratio=float(penalty == "l1"), solver="saga", max_iter=1000
        ).fit(X, y)
    )
    streamed = objective(
        trained(SGDClassifier("log_loss", penalty=penalty, alpha=alpha), X, y, size)
    )
    assert streamed - least <= 0.2 * (np.log(2) - least)


def test_another_penalty_in_mid_stream():
    X, y = rows_of(200, 60, 0.1)
    model = trained(SGDClassifier("log_loss", penalty="l1", alpha=1e-5), X, y, 20)
    before = np.abs(model.coef_).max()
    model.set_params(alpha=10.0)
    for _ in range(5):
        trained(model, X, y, 20)
    assert np.abs(model.coef_).max() < 1e-2 * before
    assert (model._state.iterate()[0] == 0).all()


def test_coefficients_that_somebody_holds_do_not_change():
    X, y = rows_of(20, 50, 0.2)
    model = trained(SGDClassifier("hinge"), X[:10], y[:10])
    coef, kept = model.coef_, model.coef_.copy()
    assert model.coef_ is coef
    trained(model, X, y, begin=10)
    assert_array_equal(coef, kept)
    assert (model.coef_ != kept).any()


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_copies_go_on_alone_and_alike(copied):
    X, y = rows_of(30, 50, 0.2)
    model = trained(SGDClassifier("log_loss", random_state=0), X[:15], y[:15])
    twin = copied(model)
    assert_array_equal(twin.coef_, model.coef_)
    kept = model.coef_
    trained(twin, X, y, begin=15)
    assert_array_equal(copied(model).coef_, kept)
    trained(model, X, y, begin=15)
    assert_array_equal(twin.coef_, model.coef_)
    assert_array_equal(twin.intercept_, model.intercept_)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_call_that_fails_has_not_been(error, monkeypatch):
    """Arrays that change in place go back, bit by bit; also where the mean began anew in the
    call.
    """
    X, y = rows_of(60, 40, 0.2)
    model, twin = (
        trained(SGDClassifier("log_loss", random_state=0), X[:40], y[:40], 10) for _ in range(2)
    )
    before, epochs = pickle.dumps(vars(model._state)), len(model.history_["loss"])
    epoch = implicit.epoch

    def broken(*arguments, **others):
        epoch(*arguments, **others)
        model._state.restart()
        raise error

    monkeypatch.setattr(sparse_stream.implicit, "epoch", broken)
    with pytest.raises(error):
        model.partial_fit(X[40:], y[40:])
    monkeypatch.undo()
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :3], y)
    assert len(model.history_["loss"]) == epochs
    after = pickle.loads(pickle.dumps(vars(model._state)))
    for name, value in pickle.loads(before).items():
        if name[0] != "_":
            assert_array_equal(value, after[name]) if isinstance(value, np.ndarray) else None
    for one in (model, twin):
        trained(one, X, y, 10, begin=40)
    assert_array_equal(model.coef_, twin.coef_)
    assert model.history_["loss"] == twin.history_["loss"]


def test_a_stream_may_change_its_layout():
    """Dense columns have centres, sparse ones have none; the model still says the same of each
    row.
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 6)) + 5
    y = X @ rng.standard_normal(6) + 0.1 * rng.standard_normal(3000) + 20
    model = SGDRegressor(alpha=0.0)
    for number, part in enumerate(np.array_split(np.arange(3000), 30)):
        rows = sparse.csr_array(X[part]) if 10 <= number < 20 else X[part]
        before = model.predict(X) if number else None
        model.partial_fit(rows, y[part])
        if number in (10, 20):
            assert np.abs(model.predict(X) - before).max() < 0.5
    assert model.score(X, y) > 0.999


def test_the_damping_solves_its_equation():
    """From wherever it starts; columns that are few for the rows are not damped."""
    bins = np.zeros(sparse_stream.COUNT_BINS, np.int64)
    counts = np.random.default_rng(0).zipf(1.5, 5000).clip(max=10**6)
    np.add.at(bins, implicit.bins_of(counts), 1)
    centers = implicit.bin_counts(sparse_stream.COUNT_BINS)[implicit.bins_of(counts)]
    assert_allclose(centers, counts, rtol=0.05)
    found = [damping(bins, 2000, start) for start in (0.0, 1e-3, 1.0, 1e6)]
    for level, length in found:
        assert_allclose((centers / (centers + level)).sum(), 200, rtol=1e-9)
        assert_allclose((level, length), found[0], rtol=1e-9)
    assert damping(bins, 10**6, 1.0) == (0.0, 5000.0)


def test_repeated_and_unsorted_columns_add_up():
    X = sparse.csr_array(
        (np.array([1.0, 2.0, 3.0, -1.0]), np.array([4, 1, 4, 0]), np.array([0, 3, 4])), (2, 5)
    )
    ours, plain = (
        trained(SGDRegressor(shuffle=False), rows, np.array([1.0, 2.0]), 2)
        for rows in (X, sparse.csr_array(X.toarray()))
    )
    assert_allclose(ours.coef_, plain.coef_, rtol=1e-12)


@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_few_rows_are_predicted_without_all_coefficients(penalty):
    """The margins have the bits that `coef_` gives, and `coef_` is not made for them."""
    X, y = rows_of(60, 300, 0.03)
    model = trained(SGDClassifier("log_loss", penalty=penalty), X[:50], y[:50])
    margins = model.decision_function(X[50:])
    assert "coef_" not in vars(model)
    twin = copy.copy(model)
    assert "coef_" in vars(twin)
    assert_array_equal(twin.decision_function(X[50:]), margins)
    assert_allclose(margins, X[50:] @ model.coef_[0] + model.intercept_, rtol=1e-12)


# ---- drift ----


def drifting(kind, n, p, seed, classify):
    """(X, y, weights of the end, level of the end): what is to be learnt moves amid the stream."""
    rng = np.random.default_rng(seed)
    X, w, other = rng.standard_normal((n, p)), rng.standard_normal(p), rng.standard_normal(p)
    late = np.arange(n)[:, None] >= n // 2
    turn = np.clip(np.arange(n)[:, None] / n * 2 - 0.5, 0, 1)
    angle = np.arange(n)[:, None] / n * 2 * np.pi
    W = {
        "flip": np.where(late, -w, w),
        "half": np.where(late & (np.arange(p) % 2 == 0), -w, w),
        "gradual": (1 - turn) * w + turn * other,
        "turning": np.cos(angle) * w + np.sin(angle) * other,
        "still": np.tile(w, (n, 1)),
    }[kind]
    level = 0.0 if classify else np.where(late[:, 0], 5.0, 0.0) * (kind == "flip")
    y = (X * W).sum(axis=1) + level + 0.5 * rng.standard_normal(n)
    return X, np.where(y > 0, 1, -1) if classify else y, W[-1], 0.0 if classify else level[-1]


def error_of(model, w, level, classify):
    """On standard normal rows: mean squared error but for the noise, or share of other labels."""
    coef, intercept = model.coef_.ravel(), float(model.intercept_[0])
    if not classify:
        return float(((coef - w) ** 2).sum() + (intercept - level) ** 2)
    return float(np.arccos(coef @ w / np.sqrt((coef @ coef) * (w @ w))) / np.pi)


KINDS = [
    ("regression", SGDRegressor, linear_model.SGDRegressor, {}),
    ("hinge", SGDClassifier, linear_model.SGDClassifier, {"loss": "hinge"}),
    ("log_loss", SGDClassifier, linear_model.SGDClassifier, {"loss": "log_loss"}),
]


@pytest.mark.parametrize("layout", ["dense", "sparse"])
@pytest.mark.parametrize("kind", ["flip", "half", "gradual", "turning"])
@pytest.mark.parametrize("name, ours, theirs, loss", KINDS, ids=[kind[0] for kind in KINDS])
def test_a_drift_is_followed_as_well_as_by_scikit_learns_defaults(
    name, ours, theirs, loss, kind, layout
):
    """After the same rows, on the mean over seeds. Where the drift is over, much better."""
    n, classify, errors = 3000, name != "regression", []
    for seed in range(3):
        X, y, w, level = drifting(kind, n, 10, seed, classify)
        rows = X if layout == "dense" else sparse.csr_array(X)
        models = ours(**loss), theirs(**loss, random_state=0)
        labels = {"classes": [-1, 1]} if classify else {}
        for model, step in zip(models, (25, 1000), strict=True):
            for begin in range(0, n, step):
                model.partial_fit(rows[begin : begin + step], y[begin : begin + step], **labels)
        errors.append([error_of(model, w, level, classify) for model in models])
    mine, peer = np.mean(errors, axis=0)
    assert mine <= peer


@pytest.mark.parametrize(
    "loss", ["squared_error", "huber", "epsilon_insensitive", "log_loss", "hinge", "squared_hinge"]
)
def test_what_stays_the_same_is_not_begun_anew(loss):
    """Nor by more noise, nor by rows on which the model has not come to rest yet."""
    kind = SGDClassifier if loss in reference.CLASSIFICATION else SGDRegressor
    for seed in range(3):
        X, y, _, _ = drifting("still", 4000, 10, seed, kind is SGDClassifier)
        if kind is SGDRegressor:
            y[2000:] += 2 * np.random.default_rng(seed).standard_normal(2000)
        assert trained(kind(loss), X, y, 500)._state.begun == 0
    X, y = rows_of(1500, 4000, 0.01)
    assert trained(SGDClassifier("log_loss"), X, y, 100)._state.begun == 0


def test_the_cut_into_calls_does_not_change_when_the_mean_begins_anew():
    X, y, _, _ = drifting("flip", 2000, 5, 0, False)
    models = [trained(SGDRegressor(shuffle=False), X, y, size) for size in (4, 100, 2000)]
    begun = [model._state.begun for model in models]
    assert 1000 < min(begun) and max(begun) < 1100
    assert_allclose(models[1].coef_, models[0].coef_, atol=0.05)
    assert_allclose(models[2].coef_, models[0].coef_, atol=0.05)
