"""Validation data of the user's own, early stopping, balanced streams, and what scikit-learn says
of bad input.
"""

import multiprocessing
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import compute_class_weight

import fastgd
from fastgd import LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from reference import store

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
BY_HAND = {"learning_rate": "constant", "eta0": 0.1, "tol": None, "random_state": 0}
NAMES = [
    "SGDClassifier",
    "SGDRegressor",
    "LinearRegression",
    "Ridge",
    "Lasso",
    "ElasticNet",
    "LogisticRegression",
    "LinearSVC",
    "LinearSVR",
]


@pytest.fixture(params=NAMES)
def model(request):
    model = getattr(fastgd, request.param)()
    return (
        model.set_params(random_state=0, max_iter=10) if request.param.startswith("SGD") else model
    )


def labels(model, data):
    return data.classes if is_classifier(model) else data.values


# ---- X_val, y_val, sample_weight_val ----


def test_validation_data_are_recorded_and_change_nothing(model, data, layout):
    X, y = store(data.X[:30], layout), labels(model, data)
    alone = clone(model).fit(X, y[:30])
    model.fit(
        X,
        y[:30],
        X_val=store(data.X[30:], layout),
        y_val=y[30:],
        sample_weight_val=data.weights[30:],
    )
    assert_array_equal(model.coef_, alone.coef_)
    history = model.history_
    assert len(history["validation_loss"]) == len(history["validation_score"]) == model.n_iter_
    assert model.stop_reason_ == alone.stop_reason_
    assert not hasattr(model, "best_epoch_")
    assert pd.DataFrame(history).shape == (model.n_iter_, 6)


def test_the_last_entries_are_loss_and_score_of_the_model(data, dtype):
    X = data.X.astype(dtype)
    model = SGDRegressor(alpha=0.1, max_iter=3, **BY_HAND)
    model.fit(
        X[:30],
        data.pairs[:30],
        X_val=X[30:],
        y_val=data.pairs[30:],
        sample_weight_val=data.weights[30:],
    )
    residuals = model.predict(X[30:]) - data.pairs[30:]
    loss = (
        np.average((residuals**2).sum(axis=1) / 2, weights=data.weights[30:])
        + 0.05 * (model.coef_**2).sum()
    )
    assert_allclose(model.history_["validation_loss"][-1], loss, rtol=1e-5)
    assert model.history_["validation_score"][-1] == model.score(
        X[30:], data.pairs[30:], data.weights[30:]
    )


def test_layout_and_precision_of_validation_data_may_be_others(data):
    fits = []
    for X_val in (
        data.X[30:],
        sparse.csr_array(data.X[30:]),
        data.X[30:].astype(np.float32),
        data.X[30:].tolist(),
    ):
        model = SGDClassifier(max_iter=3, **BY_HAND)
        model.fit(data.X[:30], data.classes[:30], X_val=X_val, y_val=list(data.classes[30:]))
        fits.append(model.history_["validation_loss"])
    assert_allclose(fits, [fits[0]] * 4, rtol=1e-12)


def test_a_row_of_weight_zero_is_no_validation_row(data):
    weights = np.where(np.arange(13) < 8, 1.0, 0.0)
    settings = {"X": data.X[:30], "y": data.classes[:30]}
    some = SGDClassifier(max_iter=3, **BY_HAND).fit(
        **settings, X_val=data.X[30:38], y_val=data.classes[30:38]
    )
    all_rows = SGDClassifier(max_iter=3, **BY_HAND).fit(
        **settings, X_val=data.X[30:], y_val=data.classes[30:], sample_weight_val=weights
    )
    assert_allclose(
        all_rows.history_["validation_loss"], some.history_["validation_loss"], rtol=1e-12
    )
    assert all_rows.history_["validation_score"] == pytest.approx(some.history_["validation_score"])


def test_class_weights_weigh_validation_rows_too(data):
    settings = {
        "X": data.X[:30],
        "y": data.classes[:30],
        "X_val": data.X[30:],
        "y_val": data.classes[30:],
    }
    by_class = {0: 1.0, 1: 5.0, 2: 0.5}
    model = SGDClassifier(max_iter=3, class_weight=by_class, **BY_HAND).fit(**settings)
    by_row = np.array([by_class[label] for label in data.classes])
    other = SGDClassifier(max_iter=3, **BY_HAND)
    other.fit(**settings, sample_weight=by_row[:30], sample_weight_val=by_row[30:])
    assert_allclose(
        model.history_["validation_loss"], other.history_["validation_loss"], rtol=1e-12
    )
    assert_allclose(
        model.history_["validation_score"], other.history_["validation_score"], rtol=1e-12
    )


def test_validation_data_take_the_place_of_a_split(data):
    settings = {
        "early_stopping": True,
        "max_iter": 200,
        "n_iter_no_change": 3,
        **BY_HAND,
        "tol": 1e-3,
    }
    model = SGDClassifier(**settings).fit(
        data.X[:30], data.classes[:30], X_val=data.X[30:], y_val=data.classes[30:]
    )
    assert model.stop_reason_ == "validation"
    other = SGDClassifier(**settings, validation_fraction=0.5)
    other.fit(data.X[:30], data.classes[:30], X_val=data.X[30:], y_val=data.classes[30:])
    assert_array_equal(model.coef_, other.coef_)


def test_partial_fit_after_validation_keeps_the_history_even(data):
    model = SGDClassifier(max_iter=3, **BY_HAND).fit(
        data.X, data.classes, X_val=data.X, y_val=data.classes
    )
    frame = pd.DataFrame(model.partial_fit(data.X, data.classes).history_)
    assert list(frame.validation_loss.isna()) == [False, False, False, True]


def test_validation_data_are_routed(data):
    """And transformed on the way, as scikit-learn's pipelines do it."""
    X, y, scaler = data.X * 100 + 5, data.classes, StandardScaler()
    with config_context(enable_metadata_routing=True):
        scaler.set_fit_request(sample_weight=False)
        inner = SGDClassifier(max_iter=3, **BY_HAND).set_fit_request(
            X_val=True, y_val=True, sample_weight_val=True, sample_weight=True
        )
        pipeline = Pipeline([("scaler", scaler), ("model", inner)], transform_input=["X_val"])
        pipeline.fit(
            X[:30],
            y[:30],
            X_val=X[30:],
            y_val=y[30:],
            sample_weight_val=data.weights[30:],
            sample_weight=data.weights[:30],
        )
        scaled = StandardScaler().fit(X[:30]).transform(X)
        model = clone(inner).fit(
            scaled[:30],
            y[:30],
            X_val=scaled[30:],
            y_val=y[30:],
            sample_weight_val=data.weights[30:],
            sample_weight=data.weights[:30],
        )
    assert model.history_["validation_loss"] == pipeline[-1].history_["validation_loss"]
    with (
        config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match="X_val.* are passed but are not explicitly"),
    ):
        Pipeline([("model", SGDClassifier())]).fit(X, y, X_val=X, y_val=y)


# ---- early stopping ----


def worsening(seed=0):
    """Validation rows of another truth: the better a model of the first gets, the worse it does on
    these after a while.
    """
    rng = np.random.default_rng(seed)
    X, noise = rng.standard_normal((60, 40)), rng.standard_normal(60)
    y = X[:, :8].sum(axis=1) + 2 * noise
    return X[:30], y[:30], X[30:], y[30:]


@pytest.mark.parametrize("average, eta0", [(False, 0.001), (40, 0.004)])
def test_the_best_epochs_model_is_restored(average, eta0):
    X, y, X_val, y_val = worsening()
    settings = {**BY_HAND, "eta0": eta0, "average": average, "penalty": None}
    model = SGDRegressor(early_stopping=True, max_iter=60, **settings).fit(
        X, y, X_val=X_val, y_val=y_val
    )
    scores = model.history_["validation_score"]
    assert 1 < model.best_epoch_ < 60
    assert model.best_epoch_ == 1 + int(np.argmax(scores))
    assert len(scores) == model.n_iter_ == 60
    assert model.score(X_val, y_val) == max(scores)
    assert_array_equal(
        model.coef_, SGDRegressor(max_iter=model.best_epoch_, **settings).fit(X, y).coef_
    )


def test_of_equal_scores_the_lowest_loss_is_best(data):
    model = SGDClassifier("log_loss", early_stopping=True, max_iter=30, **BY_HAND)
    model.fit(data.X, data.binary, X_val=data.X[:12], y_val=data.binary[:12])
    frame = pd.DataFrame(model.history_)
    best = frame[frame.validation_score == frame.validation_score.max()]
    assert len(best) > 1
    assert model.best_epoch_ == 1 + best.validation_loss.idxmin()


def test_the_automatic_methods_restore_the_best_epoch_too():
    X, y, X_val, y_val = worsening(1)
    for batch_size in (1, "full"):
        model = SGDRegressor(
            early_stopping=True, batch_size=batch_size, alpha=1e-6, tol=1e-9, random_state=0
        )
        model.fit(X, y, X_val=X_val, y_val=y_val)
        assert model.score(X_val, y_val) == max(model.history_["validation_score"])
        if model.best_epoch_ < len(model.history_["loss"]):
            assert (model.converged_, model.optimality_) == (False, None)


def test_a_resumed_training_remembers_the_best_epoch():
    X, y, X_val, y_val = worsening()
    held = {"X_val": X_val, "y_val": y_val}
    settings = {
        **BY_HAND,
        "eta0": 0.005,
        "penalty": None,
        "early_stopping": True,
        "warm_start": True,
    }
    whole = SGDRegressor(max_iter=40, **settings).fit(X, y, **held)
    pieces = (
        SGDRegressor(max_iter=30, **settings)
        .fit(X, y, **held)
        .set_params(max_iter=10)
        .fit(X, y, **held)
    )
    assert pieces.best_epoch_ == whole.best_epoch_ < 30
    assert_array_equal(pieces.coef_, whole.coef_)
    assert pieces.history_["validation_loss"] == whole.history_["validation_loss"]
    later = pieces.set_params(early_stopping=False).fit(X, y, **held)
    assert not hasattr(later, "best_epoch_")


# ---- class_weight="balanced" in partial_fit ----


def test_balanced_streams_go_by_the_classes_seen_so_far(data, layout):
    model = SGDClassifier(class_weight="balanced", **BY_HAND)
    other = SGDClassifier(**BY_HAND)
    for end in (10, 25, 43):
        rows = slice(max(0, end - 15), end)
        X, y, weights = store(data.X[rows], layout), data.classes[rows], data.weights[rows]
        seen = np.concatenate([data.classes[max(0, e - 15) : e] for e in (10, 25, 43) if e <= end])
        weight = np.concatenate(
            [data.weights[max(0, e - 15) : e] for e in (10, 25, 43) if e <= end]
        )
        by_class = compute_class_weight(
            "balanced", classes=np.arange(3), y=seen, sample_weight=weight
        )
        model.partial_fit(X, y, classes=np.arange(3), sample_weight=weights)
        other.partial_fit(X, y, classes=np.arange(3), sample_weight=weights * by_class[y])
        assert_allclose(model.coef_, other.coef_, rtol=1e-12)


def test_a_class_not_seen_yet_weighs_nothing(data):
    model = SGDClassifier(class_weight="balanced", **BY_HAND)
    model.partial_fit(data.X[:10], data.binary[:10], classes=[0, 1, 7])
    assert np.isfinite(model.coef_).all()
    by_class = compute_class_weight("balanced", classes=np.arange(2), y=data.binary[:10])
    other = SGDClassifier(**BY_HAND)
    other.partial_fit(
        data.X[:10], data.binary[:10], classes=[0, 1, 7], sample_weight=by_class[data.binary[:10]]
    )
    assert_allclose(model.coef_, other.coef_, rtol=1e-12)


def test_a_stream_after_a_fit_counts_its_rows(data):
    model = SGDClassifier(class_weight="balanced", max_iter=1, **BY_HAND).fit(
        data.X[:30], data.classes[:30]
    )
    other = SGDClassifier(class_weight="balanced", max_iter=1, **BY_HAND).fit(
        data.X[:30], data.classes[:30]
    )
    by_class = compute_class_weight("balanced", classes=np.arange(3), y=data.classes)
    model.partial_fit(data.X[30:], data.classes[30:])
    other.set_params(class_weight=None).partial_fit(
        data.X[30:], data.classes[30:], sample_weight=by_class[data.classes[30:]]
    )
    assert_allclose(model.coef_, other.coef_, rtol=1e-12)


def test_a_failed_partial_fit_counts_nothing(data):
    model = SGDClassifier(class_weight="balanced", **BY_HAND).partial_fit(
        data.X, data.classes, classes=np.arange(3)
    )
    totals = model._class_totals.copy()
    with pytest.raises(ValueError, match="for every row"):
        model.partial_fit(data.X, data.classes, sample_weight=np.zeros(43))
    assert_array_equal(model._class_totals, totals)


# ---- bad validation data ----


X, Y = np.random.default_rng(0).standard_normal((12, 3)), np.arange(12) % 2
FRAME = pd.DataFrame(X, columns=list("abc"))


def with_entry(value, dtype=float):
    bad = X.astype(dtype)
    bad[1, 1] = value
    return bad


BAD = {
    "nan": ({"X_val": with_entry(np.nan), "y_val": Y}, "X_val: Input X contains NaN"),
    "infinity": ({"X_val": with_entry(np.inf), "y_val": Y}, "X_val: Input X contains infinity"),
    "sparse nan": (
        {"X_val": sparse.csr_array(with_entry(np.nan)), "y_val": Y},
        "X_val: Input X contains NaN",
    ),
    "too few columns": (
        {"X_val": X[:, :2], "y_val": Y},
        "X_val: X has 2 features, but SGDClassifier is expecting 3 features",
    ),
    "one dimension": ({"X_val": X[:, 0], "y_val": Y}, "X_val: Expected 2D array, got 1D array"),
    "no rows": ({"X_val": X[:0], "y_val": Y[:0]}, "X_val: Found array with 0 sample"),
    "complex": ({"X_val": X + 1j, "y_val": Y}, "X_val: Complex data not supported"),
    "text": (
        {"X_val": with_entry("red", object), "y_val": Y},
        "X_val: .*could not convert string to float",
    ),
    "a generator": ({"X_val": (row for row in X), "y_val": Y}, "X_val: "),
    "no y_val": ({"X_val": X}, "X_val is provided, but y_val was not provided"),
    "no X_val": ({"y_val": Y}, "y_val is provided, but X_val was not provided"),
    "weights alone": (
        {"sample_weight_val": np.ones(12)},
        "sample_weight_val is provided, but X_val was not provided",
    ),
    "lengths": (
        {"X_val": X, "y_val": Y[:5]},
        "y_val: Found input variables with inconsistent numbers of samples",
    ),
    "labels": ({"X_val": X, "y_val": Y + 1}, r"y_val: .*labels that are not in y: \[2\]"),
    "labels of another type": ({"X_val": X, "y_val": np.array(["a", "b"])[Y]}, "y_val: "),
    "labels of mixed types": (
        {"X_val": X, "y_val": np.array([0, "b"] * 6, dtype=object)},
        "y_val: ",
    ),
    "nan labels": (
        {"X_val": X, "y_val": np.where(Y == 0, np.nan, 1)},
        "y_val: Input y contains NaN",
    ),
    "no weight": (
        {"X_val": X, "y_val": Y, "sample_weight_val": np.zeros(12)},
        "sample_weight_val: .*at least one non-zero",
    ),
    "negative weight": (
        {"X_val": X, "y_val": Y, "sample_weight_val": -np.ones(12)},
        "sample_weight_val: .*[Nn]egative",
    ),
    "nan weight": (
        {"X_val": X, "y_val": Y, "sample_weight_val": np.full(12, np.nan)},
        "sample_weight_val: .*NaN",
    ),
    "short weights": (
        {"X_val": X, "y_val": Y, "sample_weight_val": np.ones(3)},
        r"sample_weight_val: sample_weight.shape == \(3,\), expected \(12,\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_validation_data(case):
    arguments, words = BAD[case]
    model = SGDClassifier(max_iter=2, **BY_HAND).fit(X, Y)
    history = model.history_
    with pytest.raises((TypeError, ValueError), match=re.compile(words, re.S)):
        model.fit(X, Y, **arguments)
    assert model.history_ is history


def test_columns_of_validation_frames_are_those_of_x():
    model = SGDClassifier(max_iter=2, **BY_HAND)
    with pytest.raises(
        ValueError,
        match="X_val: The feature names should match those that were passed during fit.\n"
        "Feature names must be in the same order",
    ):
        model.fit(FRAME, Y, X_val=FRAME[["b", "a", "c"]], y_val=Y)
    with pytest.raises(ValueError, match="X_val: .*\nFeature names unseen at fit time:\n- d"):
        model.fit(FRAME, Y, X_val=FRAME.rename(columns={"c": "d"}), y_val=Y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.fit(FRAME, Y, X_val=X, y_val=Y)


def test_targets_of_validation_data():
    model = SGDRegressor(max_iter=2, **BY_HAND)
    with pytest.raises(ValueError, match="y_val has shape .* y "):
        model.fit(X, X[:, :2], X_val=X, y_val=Y)
    with pytest.raises(ValueError, match="y_val: .*y must be >= 0 for loss='poisson'"):
        SGDRegressor("poisson", max_iter=2).fit(X, Y, X_val=X, y_val=-Y)
    with pytest.raises(ValueError, match="y_val: "):
        Ridge().fit(X, Y, X_val=X, y_val=np.array(["a", "b"])[Y])


GOOD = {
    "booleans": (X > 0, "a number"),
    "whole numbers": (np.round(X).astype(np.int64), "a number"),
    "huge whole numbers": (np.full((12, 3), 2**62) // (1 + np.arange(3)), "a number"),
    "masked": (np.ma.masked_array(X, mask=False), "a number"),
}


@pytest.mark.parametrize("case", GOOD)
def test_unusual_numbers_are_numbers(case):
    X_val, _ = GOOD[case]
    model = LogisticRegression(max_iter=3).fit(X, Y, X_val=X_val, y_val=Y == 1)
    other = LogisticRegression(max_iter=3).fit(X, Y, X_val=np.asarray(X_val, dtype=float), y_val=Y)
    assert model.history_["validation_loss"] == other.history_["validation_loss"]


# ---- processes, threads, forks ----


def test_searches_in_processes_and_threads_give_the_same(data):
    model = SGDClassifier("log_loss", max_iter=5, tol=None, random_state=0, early_stopping=True)
    one, two = (
        GridSearchCV(model, {"alpha": [1e-4, 1e-2]}, cv=2, n_jobs=n_jobs).fit(data.X, data.binary)
        for n_jobs in (1, 2)
    )
    assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    assert_array_equal(one.best_estimator_.coef_, two.best_estimator_.coef_)
    with ThreadPoolExecutor(4) as pool:
        models = list(
            pool.map(
                lambda seed: clone(model).set_params(n_jobs=2).fit(data.X, data.binary), range(8)
            )
        )
    for other in models:
        assert_array_equal(other.coef_, clone(model).fit(data.X, data.binary).coef_)


def train(X):
    return SGDRegressor(batch_size="full", max_iter=3, tol=None, n_jobs=2).fit(X, X[:, 0]).coef_


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_a_fork_it_still_trains(data):
    X = np.tile(data.X, (5000, 1))
    expected = train(X)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert_array_equal(pool.apply(train, (X,)), expected)


# A fork made in C, of which Python learns afterwards: so does uWSGI fork its workers.
FORKED_IN_C = """
import ctypes, os, threading
import numpy as np
from fastgd import SGDRegressor

X = np.tile(np.arange(60.0).reshape(10, 6) % 7, (20_000, 1))

def train():
    return SGDRegressor(batch_size="full", max_iter=3, tol=None, n_jobs=2).fit(X, X[:, 0]).coef_

expected = train()

def trains():
    return bool((train() == expected).all())

def in_a_child(task):
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        done = False
        try:
            ctypes.pythonapi.PyOS_AfterFork_Child()
            done = task()
        finally:
            os._exit(0 if done else 1)
    return os.waitpid(child, 0)[1] == 0

def everywhere():
    return in_a_child(trains) and in_a_child(lambda: trains() and in_a_child(trains)) and trains()

told = [everywhere()]
thread = threading.Thread(target=lambda: told.append(trains() and everywhere()))
thread.start()
thread.join()
print(told, trains())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_after_a_fork_in_c_it_still_trains():
    """From the main thread, from another one, and once more from the child."""
    command = [sys.executable, "-c", FORKED_IN_C]
    done = subprocess.run(command, text=True, capture_output=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[True, True] True\n", "")
