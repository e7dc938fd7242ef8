"""SGDClassifier and SGDRegressor: the numbers of the twin and of scikit-learn, and all else that
they promise.
"""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import expit
from scipy.special import softmax as softmax_of
from sklearn import linear_model
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastgd
import reference
from fastgd import SGDClassifier, SGDRegressor
from reference import store

TOLERANCE = {np.float64: 1e-9, np.float32: 2e-4}
TRACED = ("loss", "gradient_norm", "learning_rate")
STEPPED = {
    "shuffle": False,
    "tol": None,
    "max_iter": 3,
    "learning_rate": "constant",
    "eta0": 0.05,
    "alpha": 0.01,
}


def classifier(**parameters):
    """A classifier that takes a known number of steps in a known order."""
    return SGDClassifier(**{**STEPPED, "loss": "log_loss", **parameters})


def regressor(**parameters):
    """A regressor that takes a known number of steps in a known order."""
    return SGDRegressor(**{**STEPPED, **parameters})


def targets_for(loss, data):
    if loss in reference.CLASSIFICATION:
        return data.binary
    return data.counts if loss == "poisson" else data.values


def model_for(loss, **parameters):
    return (classifier if loss in reference.CLASSIFICATION else regressor)(loss=loss, **parameters)


def assert_same_parameters(a, b):
    """Bit for bit."""
    assert_array_equal(a.coef_, b.coef_)
    assert_array_equal(a.intercept_, b.intercept_)
    assert a.t_ == b.t_


def assert_is_twin(model, X, y, sample_weight=None, **changes):
    """The model's parameters, count of updates and history are those of the twin's run."""
    run = reference.fit(model, X, y, sample_weight, **changes)
    W, b = (run.mean_W, run.mean_b) if model.average else (run.W, run.b)
    tolerance = TOLERANCE[model.coef_.dtype.type]
    assert_allclose(np.atleast_2d(model.coef_), W, rtol=tolerance, atol=tolerance * np.abs(W).max())
    assert_allclose(
        np.atleast_1d(model.intercept_), b, rtol=tolerance, atol=tolerance * np.abs(b).max()
    )
    assert model.t_ == run.t
    del run.history["data_loss"]
    by_ends = run.history.pop("loss_by_ends")  # either is right
    run.history["loss"] = min(
        run.history["loss"], by_ends, key=lambda loss: abs(loss[0] - model.history_["loss"][0])
    )
    for name, values in run.history.items():
        if values:
            assert_allclose(model.history_[name], values, rtol=tolerance, err_msg=name)


# ---- the same numbers as the twin ----


@pytest.mark.parametrize("loss", reference.LOSSES)
def test_every_loss_in_every_layout_is_the_twins(loss, data, layout, dtype):
    y = targets_for(loss, data)
    model = model_for(loss).fit(store(data.X, layout, dtype), y)
    assert model.coef_.dtype == dtype
    assert_is_twin(model, data.X, y)


@pytest.mark.parametrize(
    "loss", ["huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile"]
)
def test_a_losses_own_parameter_reaches_it(loss, data):
    model = regressor(loss=loss, epsilon=0.6, quantile=0.8).fit(data.X, data.values)
    assert_is_twin(model, data.X, data.values)


@pytest.mark.parametrize(
    "loss", ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"]
)
def test_a_classifier_takes_the_regression_losses_on_plus_and_minus_one(loss, data):
    assert_is_twin(classifier(loss=loss).fit(data.X, data.classes), data.X, data.classes)


@pytest.mark.parametrize("penalty", [None, "l2", "l1", "elasticnet"])
@pytest.mark.parametrize("batch_size", [1, 2, 7, 43, 1000, "full"])
def test_every_penalty_and_batch_size_is_the_twins(penalty, batch_size, data, layout):
    model = classifier(penalty=penalty, alpha=0.05, batch_size=batch_size).fit(
        store(data.X, layout), data.binary
    )
    assert_is_twin(model, data.X, data.binary)


@pytest.mark.parametrize("optimizer", reference.RULES)
@pytest.mark.parametrize("penalty", [None, "l2", "l1", "elasticnet"])
def test_every_rule_and_penalty_is_the_twins(optimizer, penalty, data, layout):
    for batch_size in (1, 10, "full"):
        model = classifier(penalty=penalty, alpha=0.05, batch_size=batch_size, optimizer=optimizer)
        assert_is_twin(model.fit(store(data.X, layout), data.binary), data.X, data.binary)


@pytest.mark.parametrize("batch_size", [1, 10, "full"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("loss", ["log_loss", "hinge", "softmax"])
def test_several_classes_are_the_twins(loss, optimizer, batch_size, data, layout, dtype):
    model = classifier(loss=loss, batch_size=batch_size, optimizer=optimizer)
    model.fit(store(data.X, layout, dtype), data.classes)
    assert model.coef_.shape == (3, 6)
    assert model.intercept_.shape == (3,)
    assert_is_twin(model, data.X, data.classes)


@pytest.mark.parametrize("batch_size", [1, 10, "full"])
@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_several_targets_are_the_twins(loss, batch_size, data, layout):
    model = regressor(loss=loss, batch_size=batch_size).fit(store(data.X, layout), data.pairs)
    assert model.coef_.shape == (3, 6)
    assert_is_twin(model, data.X, data.pairs)


def test_several_targets_are_as_many_single_ones(data):
    together = regressor().fit(data.X, data.pairs)
    for k in range(3):
        alone = regressor().fit(data.X, data.pairs[:, k])
        assert_allclose(together.coef_[k], alone.coef_, rtol=1e-12)
        assert_allclose(together.intercept_[k], alone.intercept_, rtol=1e-12)


def test_one_against_the_rest_is_as_many_binary_problems(data):
    together = classifier().fit(data.X, data.classes)
    for k in range(3):
        alone = classifier().fit(data.X, data.classes == k)
        assert_allclose(together.coef_[k], alone.coef_[0], rtol=1e-12)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("batch_size", [1, 10])
def test_the_intercept_is_optional_and_never_penalised(fit_intercept, batch_size, data, layout):
    model = classifier(alpha=3.0, fit_intercept=fit_intercept, batch_size=batch_size)
    model.fit(store(data.X, layout), data.binary)
    assert (model.intercept_[0] != 0) == fit_intercept
    assert_is_twin(model, data.X, data.binary)


@pytest.mark.parametrize("average", [True, 2, 20, 60])
@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
def test_the_average_of_the_iterates_is_the_twins(average, penalty, data, layout):
    for batch_size in (1, 2):
        for y in (data.binary, data.classes):
            model = classifier(average=average, penalty=penalty, batch_size=batch_size).fit(
                store(data.X, layout), y
            )
            assert_is_twin(model, data.X, y)


def test_an_average_that_never_starts_leaves_the_last_iterate(data):
    never = classifier(average=10_000).fit(data.X, data.binary)
    assert_allclose(never.coef_, classifier().fit(data.X, data.binary).coef_, rtol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 10, "full"])
def test_float32_is_near_float64(batch_size, data, layout):
    narrow = classifier(batch_size=batch_size).fit(store(data.X, layout, np.float32), data.binary)
    wide = classifier(batch_size=batch_size).fit(store(data.X, layout, np.float64), data.binary)
    assert narrow.coef_.dtype == np.float32
    assert_allclose(narrow.coef_, wide.coef_, rtol=1e-4, atol=1e-5)


# ---- the same numbers as scikit-learn ----

SHARED_LOSSES = [
    "log_loss",
    "modified_huber",
    "hinge",
    "squared_hinge",
    "perceptron",
    "squared_error",
    "huber",
    "epsilon_insensitive",
    "squared_epsilon_insensitive",
]


def assert_is_sklearn(ours, X, y, **fit_parameters):
    """The same step-for-step descent by scikit-learn ends at the same parameters, to 1e-12 of the
    largest.
    """
    kind = (
        linear_model.SGDClassifier if isinstance(ours, SGDClassifier) else linear_model.SGDRegressor
    )
    shared = kind().get_params().keys() & ours.get_params().keys()
    theirs = kind(**{name: getattr(ours, name) for name in shared}).fit(X, y, **fit_parameters)
    ours.fit(X, y, **fit_parameters)
    scale = max(np.abs(theirs.coef_).max(), np.abs(theirs.intercept_).max())
    assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-12 * scale)
    assert_allclose(ours.intercept_, theirs.intercept_, rtol=0, atol=1e-12 * scale)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.t_ == theirs.t_


@pytest.mark.parametrize("penalty", [None, "l2"])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling"])
@pytest.mark.parametrize("loss", SHARED_LOSSES)
def test_every_loss_descends_as_in_scikit_learn(loss, learning_rate, penalty, data):
    y = targets_for(loss, data)
    assert_is_sklearn(
        model_for(loss, learning_rate=learning_rate, penalty=penalty, eta0=0.02), data.X, y
    )


@pytest.mark.parametrize("average", [False, True, 20])
def test_averages_classes_and_weights_are_as_in_scikit_learn(average, data):
    weights = (
        data.weights / data.weights.mean()
    )  # scikit-learn takes them as they come, fastgd relative to their mean
    for y in (data.binary, data.classes):
        assert_is_sklearn(classifier(average=average), data.X, y, sample_weight=weights)
    assert_is_sklearn(regressor(average=average), data.X, data.values, sample_weight=weights)


@pytest.mark.parametrize("average", [False, 20])
@pytest.mark.parametrize("loss", ["log_loss", "hinge", "modified_huber", "huber"])
def test_the_optimal_rate_is_as_in_scikit_learn(loss, average, data):
    model = model_for(loss, learning_rate="optimal", alpha=0.1, average=average)
    assert_is_sklearn(model, 0.3 * data.X, targets_for(loss, data))


@pytest.mark.parametrize("penalty", [None, "l2"])
@pytest.mark.parametrize("average", [False, 20])
@pytest.mark.parametrize("learning_rate", ["pa1", "pa2"])
def test_passive_aggressive_steps_are_as_in_scikit_learn(learning_rate, average, penalty, data):
    settings = {"learning_rate": learning_rate, "average": average, "penalty": penalty, "eta0": 0.3}
    X, rows = (
        np.delete(data.X, 5, axis=0),
        np.delete(np.arange(43), 5),
    )  # row 5 is all zero: see test_schedules
    for y in (data.binary, data.classes):
        assert_is_sklearn(classifier(loss="hinge", **settings), X, y[rows])
    assert_is_sklearn(regressor(loss="epsilon_insensitive", **settings), X, data.values[rows])


def test_the_adaptive_rate_falls_and_stops_as_in_scikit_learn(data):
    model = classifier(
        learning_rate="adaptive", eta0=0.5, tol=1e-3, max_iter=1000, n_iter_no_change=3
    )
    assert_is_sklearn(model, data.X, data.binary)
    assert model.n_iter_ < 1000
    assert model.history_["learning_rate"][-1] < 1e-6


# ---- weights ----


@pytest.mark.parametrize("batch_size", [1, 10, "full"])
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_weights_are_the_twins(optimizer, batch_size, data, layout):
    for y in (data.binary, data.classes):
        model = classifier(batch_size=batch_size, optimizer=optimizer)
        assert_is_twin(
            model.fit(store(data.X, layout), y, sample_weight=data.weights), data.X, y, data.weights
        )
    model = regressor(batch_size=batch_size, optimizer=optimizer)
    model.fit(store(data.X, layout), data.pairs, sample_weight=data.weights)
    assert_is_twin(model, data.X, data.pairs, data.weights)


@pytest.mark.parametrize("batch_size", [1, 10, "full"])
def test_a_row_of_weight_zero_is_an_absent_row(batch_size, data, layout):
    weights = np.where(np.arange(43) % 3, data.weights, 0)
    kept = weights > 0
    zero = classifier(batch_size=batch_size).fit(
        store(data.X, layout), data.classes, sample_weight=weights
    )
    absent = classifier(batch_size=batch_size)
    absent.fit(store(data.X[kept], layout), data.classes[kept], sample_weight=weights[kept])
    assert_same_parameters(zero, absent)
    assert zero.history_["loss"] == absent.history_["loss"]


def test_a_row_of_weight_zero_is_absent_from_partial_fit_too(data):
    weights = np.where(np.arange(43) % 3, data.weights, 0)
    kept = weights > 0
    zero = regressor().partial_fit(data.X, data.values, sample_weight=weights)
    absent = regressor().partial_fit(data.X[kept], data.values[kept], sample_weight=weights[kept])
    assert_same_parameters(zero, absent)


def test_a_whole_weight_in_a_full_batch_is_a_repetition(data, layout):
    repeats = np.arange(43) % 4
    weighted = classifier(batch_size="full").fit(
        store(data.X, layout), data.binary, sample_weight=repeats
    )
    repeated = classifier(batch_size="full")
    repeated.fit(store(np.repeat(data.X, repeats, axis=0), layout), np.repeat(data.binary, repeats))
    assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-12)
    assert_allclose(weighted.intercept_, repeated.intercept_, rtol=1e-12)
    assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-12)


def test_a_whole_weight_in_a_full_batch_is_a_repetition_at_the_default_rate_too(data):
    repeats = np.arange(43) % 4
    model = classifier(batch_size="full", learning_rate="lipschitz", max_iter=10)
    weighted = clone(model).fit(data.X, data.binary, sample_weight=repeats)
    repeated = clone(model).fit(np.repeat(data.X, repeats, axis=0), np.repeat(data.binary, repeats))
    assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 10, "full"])
def test_only_the_proportions_of_the_weights_matter_to_fit(batch_size, data):
    some = classifier(batch_size=batch_size).fit(data.X, data.binary, sample_weight=data.weights)
    same = classifier(batch_size=batch_size).fit(
        data.X, data.binary, sample_weight=data.weights * 1024
    )
    assert_allclose(some.coef_, same.coef_, rtol=1e-12)


def test_partial_fit_takes_weights_as_they_come(data):
    """Data that arrives in pieces has no mean weight: each piece is stepped with the weights it
    has.
    """
    model = regressor().partial_fit(data.X, data.values, sample_weight=data.weights)
    assert_is_twin(model, data.X, data.values, weights=data.weights, epochs=1)


def test_class_weight_multiplies_sample_weight(data):
    by_class = {0: 1.0, 1: 3.0, 2: 0.5}
    model = classifier(class_weight=by_class).fit(data.X, data.classes, sample_weight=data.weights)
    product = data.weights * np.array([by_class[k] for k in data.classes])
    assert_same_parameters(model, classifier().fit(data.X, data.classes, sample_weight=product))
    assert_is_twin(model, data.X, data.classes, data.weights)


def test_balanced_classes_weigh_the_same(data):
    balanced = compute_class_weight("balanced", classes=np.unique(data.classes), y=data.classes)
    model = classifier(class_weight="balanced").fit(data.X, data.classes)
    assert_same_parameters(
        model, classifier().fit(data.X, data.classes, sample_weight=balanced[data.classes])
    )


# ---- starting, going on, stopping ----


def test_coef_init_is_where_the_descent_starts(data, layout):
    rng = np.random.default_rng(1)
    W, b = rng.standard_normal((3, 6)), rng.standard_normal(3)
    W_before, b_before = W.copy(), b.copy()
    model = classifier().fit(store(data.X, layout), data.classes, coef_init=W, intercept_init=b)
    assert_is_twin(model, data.X, data.classes, start=(W, b))
    assert_array_equal(W, W_before)
    assert_array_equal(b, b_before)


def test_init_normal_starts_from_a_seeded_draw(data):
    def start(seed):
        return (
            classifier(init="normal", random_state=seed, eta0=1e-300, max_iter=1)
            .fit(data.X, data.classes)
            .coef_
        )

    assert_array_equal(start(0), start(0))
    assert not np.array_equal(start(0), start(1))
    assert len(np.unique(start(0))) == 18


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_fit_starts_afresh_unless_asked_not_to(optimizer, data):
    model = classifier(optimizer=optimizer).fit(data.X, data.binary)
    once = model.coef_.copy()
    assert_array_equal(model.fit(data.X, data.binary).coef_, once)
    model.set_params(warm_start=True)
    assert not np.array_equal(model.fit(data.X, data.binary).coef_, once)


def test_warm_start_on_other_weights_goes_on_from_the_parameters_reached(data, layout):
    model = classifier(warm_start=True).fit(store(data.X, layout), data.classes)
    W, b = model.coef_.copy(), model.intercept_.copy()
    model.fit(store(data.X, layout), data.classes, sample_weight=np.ones(len(data.X)))
    assert_is_twin(model, data.X, data.classes, start=(W, b))


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling"])
@pytest.mark.parametrize("average", [False, True, 50])
@pytest.mark.parametrize("batch_size", [1, 10])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_three_calls_of_partial_fit_are_three_epochs_of_fit(
    optimizer, batch_size, average, learning_rate, data, layout
):
    settings = {
        "optimizer": optimizer,
        "batch_size": batch_size,
        "average": average,
        "learning_rate": learning_rate,
        "penalty": "elasticnet",
    }
    whole = classifier(**settings).fit(store(data.X, layout), data.classes)
    pieces = classifier(**settings)
    for _ in range(3):
        pieces.partial_fit(store(data.X, layout), data.classes, classes=[0, 1, 2])
    assert_allclose(pieces.coef_, whole.coef_, rtol=1e-12, atol=1e-15)
    assert_allclose(pieces.intercept_, whole.intercept_, rtol=1e-12, atol=1e-15)
    assert pieces.t_ == whole.t_


def test_partial_fit_sees_only_some_of_the_classes_at_a_time(data):
    model = classifier().partial_fit(data.X[:3], [0, 0, 2], classes=[0, 1, 2])
    assert_array_equal(model.classes_, [0, 1, 2])
    assert model.coef_.shape == (3, 6)
    model.partial_fit(data.X[:2], [1, 1])
    assert model.t_ == 6


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_pieces_of_partial_fit_may_come_in_any_form(optimizer, data):
    """Dense, then sparse, then dense: W is held by outputs for the one and by columns for the
    other.
    """
    mixed, dense = (classifier(optimizer=optimizer, average=True, batch_size=10) for _ in range(2))
    for form in ("dense", "csr32", "csr64", "dense", "csr32"):
        mixed.partial_fit(store(data.X, form), data.classes, classes=[0, 1, 2])
        dense.partial_fit(data.X, data.classes, classes=[0, 1, 2])
        assert_allclose(mixed.coef_, dense.coef_, rtol=1e-10, atol=1e-13)


def test_the_pieces_of_partial_fit_may_change_precision(data):
    mixed, wide = (regressor(optimizer="momentum", batch_size=10) for _ in range(2))
    for dtype in (np.float64, np.float32, np.float64):
        mixed.partial_fit(data.X.astype(dtype), data.values)
        wide.partial_fit(data.X, data.values)
    assert_allclose(mixed.coef_, wide.coef_, rtol=1e-4)


def test_the_mean_of_the_iterates_goes_on_over_pieces_of_any_length(data):
    model, plain = regressor(average=10, batch_size="full"), regressor(batch_size="full")
    iterates = []
    for rows in (slice(0, 5), slice(5, 15), slice(15, 43)):
        model.partial_fit(data.X[rows], data.values[rows])
        iterates.append(plain.partial_fit(data.X[rows], data.values[rows]).coef_)
    assert_allclose(model.coef_, np.mean(iterates[1:], axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"average": True},
        {"optimizer": "adam"},
        {"loss": "huber"},
        {"batch_size": 10},
        {"learning_rate": "invscaling"},
    ],
)
def test_parameters_may_change_between_pieces(changes, data):
    model = regressor().partial_fit(data.X, data.values)
    start = (model.coef_[None].copy(), model.intercept_.copy())
    model.set_params(**changes).partial_fit(data.X, data.values)
    assert np.all(np.isfinite(model.coef_))
    if changes.keys() & {"loss", "batch_size"}:
        assert_allclose(
            model.coef_,
            reference.fit(model, data.X, data.values, epochs=1, start=start).W[0],
            rtol=1e-9,
        )


def test_partial_fit_goes_on_after_fit(data):
    model = regressor(learning_rate="invscaling").fit(data.X, data.values)
    model.partial_fit(data.X, data.values)
    assert model.t_ == 1 + 4 * 43
    longer = regressor(learning_rate="invscaling", max_iter=4).fit(data.X, data.values)
    assert_allclose(model.coef_, longer.coef_, rtol=1e-12)


@pytest.mark.parametrize("batch_size, updates", [(1, 43), (2, 22), (43, 1), (1000, 1), ("full", 1)])
def test_t_counts_the_updates_plus_one(batch_size, updates, data):
    model = classifier(batch_size=batch_size, max_iter=4).fit(data.X, data.binary)
    assert model.t_ == 1 + 4 * updates
    assert model.n_iter_ == 4


@pytest.mark.parametrize("patience", [1, 3])
def test_training_stops_when_the_loss_stalls(patience, data):
    """Not below its best by tol for so many epochs in a row; the loss jumps here, so the last one
    is no measure.
    """
    model = classifier(
        shuffle=True, eta0=1.0, tol=1e-3, max_iter=1000, n_iter_no_change=patience, random_state=2
    )
    loss = model.fit(data.X, data.binary).history_["loss"]
    assert model.n_iter_ == len(loss) < 1000
    stalls, jumps = 0, 0
    for epoch in range(1, len(loss)):
        assert stalls < patience
        stalls = stalls + 1 if loss[epoch] > min(loss[:epoch]) - 1e-3 else 0
        jumps += min(loss[:epoch]) - 1e-3 < loss[epoch] < loss[epoch - 1] - 1e-3
    assert stalls == patience
    assert model.stop_reason_ == "plateau"
    assert jumps > 0 or patience == 1


def test_training_stops_when_the_gradient_is_small(data):
    """A full batch that starts at its own minimum has nothing to do."""
    X = data.X[:, :2]
    solution, *_ = np.linalg.lstsq(X, data.values, rcond=None)
    model = regressor(
        penalty=None, fit_intercept=False, batch_size="full", tol=1e-6, max_iter=100, eta0=0.1
    )
    model.fit(X, data.values, coef_init=solution)
    assert model.n_iter_ < 10
    assert_allclose(model.coef_, solution, rtol=1e-6)


def test_a_full_gradient_is_small_against_the_first_one(data):
    model = classifier(
        batch_size="full", tol=0.05, n_iter_no_change=1000, max_iter=1000, eta0=0.5
    ).fit(data.X, data.binary)
    norms = model.history_["gradient_norm"]
    assert model.stop_reason_ == "gradient"
    assert norms[-1] <= 0.05 * norms[0] < norms[-2]


def test_without_tol_every_epoch_is_run(data):
    assert classifier(tol=None, max_iter=60).fit(data.X, data.binary).n_iter_ == 60


def test_early_stopping_holds_rows_back_and_stops_on_them(data):
    model = classifier(
        early_stopping=True, validation_fraction=0.25, tol=1e-3, max_iter=500, random_state=0
    )
    model.fit(data.X, data.classes)
    held_back = 11  # a quarter of 43, rounded up
    assert model.t_ == 1 + model.n_iter_ * (43 - held_back)
    assert 5 <= model.n_iter_ < 500
    assert len(model.history_["validation_loss"]) == model.n_iter_
    assert np.all(np.isfinite(model.history_["validation_loss"]))


def test_early_stopping_goes_by_the_score(data):
    """All held-out rows are right after the first epoch and remain so, while the loss goes on
    falling.
    """
    X = np.column_stack([np.where(data.binary, 3.0, -3.0), data.X[:, 0]])
    model = classifier(
        early_stopping=True, tol=1e-3, max_iter=100, n_iter_no_change=4, random_state=0
    )
    model.fit(X, data.binary)
    assert model.n_iter_ == 1 + 4
    assert model.stop_reason_ == "validation"
    assert np.all(np.diff(model.history_["validation_loss"]) < -1e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_validation_loss_is_the_objective_on_the_rows_held_back(weighted, data, layout):
    weights = data.weights if weighted else np.ones(43)
    model = classifier(
        early_stopping=True,
        validation_fraction=0.3,
        random_state=0,
        penalty="elasticnet",
        alpha=0.05,
    )
    model.fit(store(data.X, layout), data.classes, sample_weight=weights if weighted else None)
    split = StratifiedShuffleSplit(test_size=0.3, random_state=0)
    _, held_back = next(split.split(data.X, data.classes))
    problem, _, y = reference.problem_of(model, data.classes)
    X, y, W, b = data.X[held_back], y[held_back], model.coef_, model.intercept_
    expected = reference.objective(problem, X, y, W, b, weights[held_back])
    assert model.history_["validation_loss"][-1] == pytest.approx(expected, rel=1e-9)


def test_early_stopping_is_repeatable(data):
    fits = [
        regressor(early_stopping=True, random_state=3, tol=1e-3, max_iter=200).fit(
            data.X, data.values
        )
        for _ in range(2)
    ]
    assert_same_parameters(*fits)
    assert fits[0].history_["validation_loss"] == fits[1].history_["validation_loss"]


# ---- history ----


@pytest.mark.parametrize("early_stopping", [False, True])
def test_history_is_a_dict_of_equally_long_lists_that_pandas_takes(early_stopping, data):
    model = classifier(early_stopping=early_stopping, max_iter=4).fit(data.X, data.classes)
    expected = {"loss", "gradient_norm", "learning_rate", "seconds"} | (
        {"validation_loss", "validation_score"} if early_stopping else set()
    )
    assert type(model.history_) is dict
    assert set(model.history_) == expected
    assert all(type(values) is list and len(values) == 4 for values in model.history_.values())
    frame = pd.DataFrame(model.history_)
    assert frame.shape == (4, len(expected))
    assert all(kind == np.float64 for kind in frame.dtypes)
    assert model.loss_curve_ == model.history_["loss"]


def test_seconds_count_from_the_start_of_the_fit(data):
    seconds = classifier(max_iter=5).fit(data.X, data.binary).history_["seconds"]
    assert seconds[0] > 0
    assert np.all(np.diff(seconds) > 0)


@pytest.mark.parametrize("penalty", [None, "l2"])
def test_in_a_full_batch_history_is_the_objective_and_the_norm_of_its_gradient(penalty, data):
    """Every row then meets the same weights: those at the start of the epoch."""
    model = classifier(batch_size="full", penalty=penalty, max_iter=2).fit(data.X, data.binary)
    first = classifier(batch_size="full", penalty=penalty, max_iter=1).fit(data.X, data.binary)
    problem, _, y = reference.problem_of(model, data.binary)
    W, b = first.coef_, first.intercept_
    assert model.history_["loss"][0] == pytest.approx(np.log(2), rel=1e-12)
    assert model.history_["loss"][1] == pytest.approx(
        reference.objective(problem, data.X, y, W, b), rel=1e-12
    )
    _, G, g = reference.gradient(problem, data.X, y, W, b, np.ones(43))
    norm = np.linalg.norm(np.append(G + problem.l2 * W, g))
    assert model.history_["gradient_norm"][1] == pytest.approx(norm, rel=1e-9)


def test_history_of_an_earlier_fit_is_forgotten(data):
    model = classifier().fit(data.X, data.binary)
    assert len(model.fit(data.X, data.binary).history_["loss"]) == 3


# ---- order and determinism ----


@pytest.mark.parametrize("batch_size", [1, 10, "full"])
@pytest.mark.parametrize("shuffle", [True, "full"])
def test_the_same_seed_gives_the_same_bits(batch_size, shuffle, data, layout, dtype):
    X = store(data.X, layout, dtype)
    fits = [
        classifier(shuffle=shuffle, batch_size=batch_size, random_state=0).fit(X, data.classes)
        for _ in range(2)
    ]
    assert_same_parameters(*fits)


@pytest.mark.parametrize("shuffle", [True, "full"])
def test_another_seed_gives_another_order(shuffle, data):
    a, b = (
        classifier(shuffle=shuffle, random_state=seed).fit(data.X, data.binary) for seed in (0, 1)
    )
    assert not np.array_equal(a.coef_, b.coef_)
    assert not np.array_equal(a.coef_, classifier().fit(data.X, data.binary).coef_)


@pytest.mark.parametrize("shuffle", [False, True, "full"])
@pytest.mark.parametrize("rows", [1, 2, 63, 64, 1000, 5003])
def test_every_epoch_visits_every_row_once(shuffle, rows):
    """Row i alone moves weight i: a third of the way to y_i at each visit."""
    X, y = sparse.eye_array(rows, format="csr"), np.linspace(1, 2, rows)
    model = regressor(
        penalty=None, fit_intercept=False, eta0=1 / 3, shuffle=shuffle, max_iter=2, random_state=0
    )
    assert_allclose(model.fit(X, y).coef_, y * (1 - (2 / 3) ** 2), rtol=1e-12)


@pytest.mark.parametrize("shuffle", [True, "full"])
def test_the_order_of_sorted_data_is_well_mixed(shuffle):
    """The last of many rows seen at rate 1 decides the weight: over seeds it is a fair draw from
    the rows.
    """
    rows = 3000
    X, y = np.ones((rows, 1)), np.arange(rows) / rows
    model = regressor(penalty=None, fit_intercept=False, eta0=1.0, shuffle=shuffle, max_iter=1)
    last = [clone(model).set_params(random_state=seed).fit(X, y).coef_[0] for seed in range(200)]
    assert len(np.unique(last)) > 100
    assert abs(np.mean(last) - 0.5) < 0.1
    assert np.min(last) < 0.1 and np.max(last) > 0.9


def wide_problem(layout, dtype=np.float64):
    """6000 x 120: several hundred thousand entries even in half of it, so that threads have
    work.
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((6000, 120))
    if layout != "dense":
        X[rng.random(X.shape) < 0.4] = 0
    return store(X, layout, dtype), rng.integers(0, 3, 6000)


@pytest.mark.parametrize("loss, optimizer", [("log_loss", "sgd"), ("softmax", "adam")])
@pytest.mark.parametrize("batch_size", [3000, "full"])
def test_the_bits_do_not_depend_on_the_number_of_threads(
    batch_size, loss, optimizer, layout, dtype
):
    X, y = wide_problem(layout, dtype)
    settings = {"loss": loss, "optimizer": optimizer, "batch_size": batch_size, "max_iter": 2}
    alone = classifier(**settings, n_jobs=1).fit(X, y)
    margins = alone.decision_function(X)
    for n_jobs in (2, 3, 8, -1, None):
        together = classifier(**settings, n_jobs=n_jobs).fit(X, y)
        assert_same_parameters(alone, together)
        for name in TRACED:
            assert alone.history_[name] == together.history_[name]
        assert_array_equal(together.decision_function(X), margins)


# ---- the caller's X ----


def test_csr_gives_what_dense_gives(data, dtype):
    for batch_size in (1, 10, "full"):
        dense = classifier(batch_size=batch_size, penalty="elasticnet").fit(
            store(data.X, "dense", dtype), data.classes
        )
        for layout in ("csr32", "csr64"):
            rows = store(data.X, layout, dtype)
            csr = classifier(batch_size=batch_size, penalty="elasticnet").fit(rows, data.classes)
            tolerance = TOLERANCE[dtype] / 10
            assert_allclose(csr.coef_, dense.coef_, rtol=tolerance, atol=tolerance)
            assert_allclose(
                csr.decision_function(rows),
                dense.decision_function(data.X),
                rtol=tolerance,
                atol=10 * tolerance,
            )


def shuffled_and_split(rows, rng):
    """The same CSR matrix, its columns in no order and every entry split in two."""
    data, indices, indptr = [], [], [0]
    for start, stop in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
        order = rng.permutation(np.tile(np.arange(start, stop), 2))
        data.append(rows.data[order] / 2)
        indices.append(rows.indices[order])
        indptr.append(indptr[-1] + len(order))
    pieces = (
        np.concatenate(data),
        np.concatenate(indices),
        np.array(indptr, dtype=rows.indptr.dtype),
    )
    return sparse.csr_array(pieces, shape=rows.shape)


@pytest.mark.parametrize("index", ["csr32", "csr64"])
@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize(
    "optimizer, batch_size", [("sgd", 1), ("sgd", 10), ("adam", 10), ("momentum", "full")]
)
def test_unsorted_and_duplicate_columns_add_up(index, optimizer, batch_size, penalty, data):
    tidy = store(data.X, index)
    untidy = shuffled_and_split(tidy, np.random.default_rng(2))
    untidy.indices, untidy.indptr = (
        untidy.indices.astype(tidy.indices.dtype),
        untidy.indptr.astype(tidy.indptr.dtype),
    )
    before = [array.copy() for array in (untidy.data, untidy.indices, untidy.indptr)]
    settings = {"optimizer": optimizer, "batch_size": batch_size, "penalty": penalty}
    expected = classifier(**settings).fit(tidy, data.classes)
    model = classifier(**settings).fit(untidy, data.classes)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-9, atol=1e-12)
    if batch_size == "full":  # see reference.Run for the penalty of other sweeps
        assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-9)
    assert_allclose(model.decision_function(untidy), expected.decision_function(tidy), rtol=1e-9)
    model.partial_fit(untidy, data.classes)
    for array, copy in zip((untidy.data, untidy.indices, untidy.indptr), before, strict=True):
        assert_array_equal(array, copy)


@pytest.mark.parametrize(
    "learning_rate, loss", [("lipschitz", "log_loss"), ("pa1", "hinge"), ("pa2", "hinge")]
)
def test_duplicate_columns_add_up_where_the_rate_looks_at_the_rows(learning_rate, loss, data):
    tidy = store(data.X, "csr32")
    untidy = shuffled_and_split(tidy, np.random.default_rng(2))
    settings = {"learning_rate": learning_rate, "loss": loss}
    expected = classifier(**settings).fit(tidy, data.binary)
    assert_allclose(
        classifier(**settings).fit(untidy, data.binary).coef_, expected.coef_, rtol=1e-9, atol=1e-12
    )


def test_read_only_arrays_are_welcome(data, layout, dtype):
    X, y, weights = store(data.X, layout, dtype), data.values.copy(), data.weights.copy()
    arrays = [X] if layout == "dense" else [X.data, X.indices, X.indptr]
    for array in [*arrays, y, weights]:
        array.flags.writeable = False
    for batch_size in (1, 10):
        model = regressor(batch_size=batch_size).fit(X, y, sample_weight=weights)
        model.partial_fit(X, y, sample_weight=weights)
        model.predict(X)
    assert model.score(X, y) > 0


def test_a_memory_map_is_welcome(data, dtype, tmp_path):
    np.save(tmp_path / "X.npy", data.X.astype(dtype))
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_same_parameters(
        classifier().fit(X, data.binary), classifier().fit(data.X.astype(dtype), data.binary)
    )


@pytest.mark.parametrize("batch_size", [1, 64, "full"])
def test_x_is_neither_modified_nor_copied(batch_size, layout, dtype):
    X = store(np.random.default_rng(0).standard_normal((4000, 200)), layout, dtype)
    values = X if layout == "dense" else X.data
    y, before = np.arange(4000.0) % 2, values.copy()
    model = classifier(batch_size=batch_size, max_iter=2, n_jobs=1).fit(X[:10], y[:10])
    tracemalloc.start()
    try:
        model.fit(X, y)
        model.predict(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert_array_equal(values, before)
    assert peak < values.nbytes / 2


def test_other_forms_of_x_are_brought_into_the_right_one(data):
    expected = classifier().fit(data.X, data.binary)
    scattered = np.zeros((86, 12))
    scattered[::2, ::2] = data.X
    for X in (
        data.X.tolist(),
        np.asfortranarray(data.X),
        scattered[::2, ::2],
        pd.DataFrame(data.X).to_numpy(),
    ):
        assert_same_parameters(classifier().fit(X, data.binary), expected)
    whole = (10 * data.X).round()
    assert_same_parameters(
        classifier().fit(whole.astype(np.int32), data.binary), classifier().fit(whole, data.binary)
    )
    from_csr = classifier().fit(store(data.X, "csr32"), data.binary)
    for form in (sparse.csc_array, sparse.coo_array, sparse.csr_matrix):
        assert_same_parameters(classifier().fit(form(data.X), data.binary), from_csr)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 40),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    batch_size=st.sampled_from([1, 2, 5, "full"]),
    optimizer=st.sampled_from(list(reference.RULES)),
    penalty=st.sampled_from([None, "l2", "l1", "elasticnet"]),
    layout=st.sampled_from(reference.LAYOUTS),
    seed=st.integers(0, 5),
)
def test_any_shape_is_the_twins(
    rows, columns, density, batch_size, optimizer, penalty, layout, seed
):
    """One row, one column, empty rows, no nonzeros at all: nothing is special."""
    rng = np.random.default_rng(seed)
    X = np.where(rng.random((rows, columns)) < density, rng.standard_normal((rows, columns)), 0)
    y = rng.standard_normal(rows)
    model = regressor(batch_size=batch_size, optimizer=optimizer, penalty=penalty, max_iter=2)
    assert_is_twin(model.fit(store(X, layout), y), X, y)
    assert_allclose(
        model.predict(store(X, layout)), X @ model.coef_ + model.intercept_, rtol=1e-9, atol=1e-12
    )


# ---- predictions ----


def test_predictions_follow_from_the_margins(data, layout, dtype):
    X = store(data.X, layout, dtype)
    names = np.array(["ant", "bee", "cow"])[data.classes]
    model = classifier().fit(X, names)
    margins = data.X @ model.coef_.T + model.intercept_
    assert_array_equal(model.classes_, ["ant", "bee", "cow"])
    assert_allclose(
        model.decision_function(X), margins, rtol=1e-4 if dtype == np.float32 else 1e-10, atol=1e-6
    )
    assert_array_equal(model.predict(X), model.classes_[margins.argmax(axis=1)])
    assert model.score(X, names) == accuracy_score(names, model.predict(X))


def test_a_binary_margin_is_a_vector_and_its_sign_decides(data):
    model = classifier().fit(data.X, np.where(data.binary, "yes", "no"))
    margin = model.decision_function(data.X)
    assert margin.shape == (43,)
    assert_array_equal(model.predict(data.X) == "yes", margin > 0)
    assert model.coef_.shape == (1, 6)
    assert model.intercept_.shape == (1,)


def test_a_regressor_predicts_its_margin(data):
    model = regressor().fit(data.X, data.values)
    assert model.coef_.shape == (6,)
    assert_allclose(model.predict(data.X), data.X @ model.coef_ + model.intercept_, rtol=1e-12)
    assert model.score(data.X, data.values) == pytest.approx(
        r2_score(data.values, model.predict(data.X))
    )
    several = regressor().fit(data.X, data.pairs)
    assert several.predict(data.X).shape == (43, 3)


def test_a_poisson_regressor_predicts_a_count(data):
    model = regressor(loss="poisson").fit(data.X, data.counts)
    assert_allclose(
        model.predict(data.X), np.exp(data.X @ model.coef_ + model.intercept_), rtol=1e-12
    )


def test_probabilities_of_log_loss(data):
    model = classifier().fit(data.X, data.binary)
    expected = expit(model.decision_function(data.X))
    assert_allclose(
        model.predict_proba(data.X), np.column_stack([1 - expected, expected]), rtol=1e-9
    )
    model = classifier().fit(data.X, data.classes)
    each = expit(model.decision_function(data.X))
    assert_allclose(model.predict_proba(data.X), each / each.sum(axis=1, keepdims=True), rtol=1e-9)


@pytest.mark.parametrize("target", ["binary", "classes"])
def test_probabilities_of_softmax(target, data):
    model = classifier(loss="softmax").fit(data.X, getattr(data, target))
    margins = data.X @ model.coef_.T + model.intercept_
    if len(model.classes_) == 2 and len(margins.T) == 1:
        margins = np.column_stack([0 * margins, margins])
    assert_allclose(model.predict_proba(data.X), softmax_of(margins, axis=1), rtol=1e-9)


@pytest.mark.parametrize("target", ["binary", "classes"])
def test_probabilities_of_modified_huber_are_scikit_learns(target, data):
    y = getattr(data, target)
    model = classifier(loss="modified_huber", shuffle=False).fit(data.X, y)
    theirs = linear_model.SGDClassifier(loss="modified_huber").fit(data.X, y)
    theirs.coef_, theirs.intercept_ = model.coef_, model.intercept_
    nowhere = np.linalg.lstsq(model.coef_, -5 - model.intercept_, rcond=None)[
        0
    ]  # every margin is -5 there
    X = np.vstack([data.X, nowhere])
    assert_allclose(model.predict_proba(X), theirs.predict_proba(X), rtol=1e-12)


@pytest.mark.parametrize("loss", ["log_loss", "modified_huber", "softmax"])
def test_probabilities_add_up_and_their_logs_are_their_logs(loss, data, layout):
    X = store(data.X, layout)
    model = classifier(loss=loss).fit(X, data.classes)
    probabilities = model.predict_proba(X)
    assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    with np.errstate(divide="ignore"):
        assert_allclose(model.predict_log_proba(X), np.log(probabilities), rtol=1e-9)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "perceptron", "squared_error", "huber"])
def test_other_losses_have_no_probabilities(loss, data):
    model = classifier(loss=loss).fit(data.X, data.binary)
    assert not hasattr(model, "predict_proba")
    assert not hasattr(model, "predict_log_proba")
    with pytest.raises(AttributeError, match="predict_proba"):
        model.predict_proba(data.X)


def test_sparse_and_dense_coefficients_predict_alike(data):
    model = classifier(penalty="l1", alpha=0.3).fit(data.X, data.classes)
    margins = model.decision_function(data.X)
    model.sparsify()
    assert sparse.issparse(model.coef_)
    assert_allclose(model.decision_function(data.X), margins, rtol=1e-12)
    assert isinstance(model.densify().coef_, np.ndarray)
    assert_allclose(model.decision_function(data.X), margins, rtol=1e-12)


# ---- a scikit-learn estimator like any other ----


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_pickled_model_is_the_same_model(optimizer, data):
    model = classifier(optimizer=optimizer, average=True).fit(data.X, data.classes)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict_proba(data.X), model.predict_proba(data.X))
    assert again.history_ == model.history_
    again.partial_fit(data.X, data.classes)
    model.partial_fit(data.X, data.classes)
    assert_same_parameters(again, model)


def test_clone_copies_parameters_and_nothing_else(data):
    model = SGDRegressor(
        optimizer=fastgd.Adam(beta1=0.8), learning_rate=fastgd.CosineDecay(), batch_size=7
    )
    copy = clone(model.fit(data.X, data.values))
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "coef_")
    assert_same_parameters(
        copy.set_params(random_state=0).fit(data.X, data.values),
        model.set_params(random_state=0).fit(data.X, data.values),
    )


def known_differences(model):
    """Checks of scikit-learn's that ask for something else than fastgd promises."""
    steps = (
        "several steps along a repeated row are not one step along a row of weight 2, unless the "
        "batch is full"
    )
    full = model.batch_size == "full"
    return (
        {}
        if full
        else {
            f"check_sample_weight_equivalence_on_{form}_data": steps for form in ("dense", "sparse")
        }
    )


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        SGDClassifier(
            loss="softmax", batch_size=16, optimizer="adam", learning_rate="constant", eta0=0.1
        ),
        SGDClassifier(loss="log_loss", batch_size="full", tol=1e-14),
        SGDRegressor(batch_size=16, optimizer="adam"),
        SGDRegressor(batch_size="full", tol=1e-17),
    ],
    expected_failed_checks=known_differences,
)
def test_scikit_learns_own_checks_of_an_estimator(estimator, check):
    check(estimator)


def test_parameters_are_scikit_learns_and_a_few_more():
    extra = {"batch_size", "optimizer", "init", "quantile", "positive", "max_seconds", "n_restarts"}
    assert (
        set(SGDClassifier().get_params()) == set(linear_model.SGDClassifier().get_params()) | extra
    )
    assert set(SGDRegressor().get_params()) == set(
        linear_model.SGDRegressor().get_params()
    ) | extra | {"n_jobs"}


# ---- real data, as it comes ----


@pytest.mark.parametrize("batch_size", [1, 32, "full"])
def test_the_defaults_learn_from_the_bundled_sets_as_they_are(batch_size):
    """Unscaled columns included: the default rate does not diverge, and the loss ends below its
    start.
    """
    for model, (X, y) in (
        (SGDClassifier(), load_breast_cancer(return_X_y=True)),
        (SGDClassifier(loss="log_loss"), load_digits(return_X_y=True)),
        (SGDRegressor(), load_diabetes(return_X_y=True)),
    ):
        model.set_params(batch_size=batch_size, max_iter=5, tol=None, random_state=0).fit(X, y)
        assert np.all(np.isfinite(model.coef_))
        assert model.history_["loss"][-1] < model.history_["loss"][0]


@pytest.mark.parametrize("batch_size", [1, 32, "full"])
def test_scaled_real_data_is_classified_well(batch_size):
    X, y = load_breast_cancer(return_X_y=True)
    model = SGDClassifier(
        loss="log_loss", batch_size=batch_size, max_iter=50, tol=None, random_state=0
    )
    X = StandardScaler().fit_transform(X)
    assert model.fit(X, y).score(X, y) > 0.93


# ---- divergence ----


def test_divergence_is_said_with_its_remedy_and_leaves_the_model_as_it_was(data, layout):
    X = store(data.X, layout)
    model = regressor(batch_size=10).fit(X, data.values)
    before = pickle.dumps(model.__dict__)
    kept = model.get_params()
    for attempt in ("fit", "partial_fit"):
        model.set_params(eta0=1e200)
        with pytest.raises(ValueError, match="diverged") as error:
            getattr(model, attempt)(X, data.values)
        assert "learning rate" in str(error.value)
        model.set_params(**kept)
        assert pickle.dumps(model.__dict__) == before


@pytest.mark.parametrize("eta0", [10.0, 1e6, 1e300])
@pytest.mark.parametrize("batch_size", [1, 10, "full"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_every_way_of_descending_notices_that_it_diverges(optimizer, batch_size, eta0, data):
    """Also where clipped slopes keep the weights finite: a loss of 1e20 is no model."""
    model = regressor(
        batch_size=batch_size, optimizer=optimizer, eta0=eta0, max_iter=200, penalty=None
    )
    with pytest.raises(ValueError, match="diverged"):
        model.fit(data.X, data.values)
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize("batch_size", [1, 10])
def test_divergence_is_noticed_in_every_layout_and_precision(batch_size, data, layout, dtype):
    with pytest.raises(ValueError, match="diverged"):
        regressor(batch_size=batch_size, eta0=1e30, max_iter=20, penalty=None).fit(
            store(data.X, layout, dtype), data.values
        )


@pytest.mark.parametrize("batch_size", [1, 10, "full"])
@pytest.mark.parametrize("optimizer", reference.RULES)
def test_the_very_last_update_may_not_overflow_unnoticed(optimizer, batch_size, data):
    """One epoch is recorded at the weights before its last update."""
    model = regressor(
        batch_size=batch_size, optimizer=optimizer, eta0=1.7e308, max_iter=1, penalty=None
    )
    with pytest.raises(ValueError, match="diverged"):
        model.fit(data.X, 1000 * data.values)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "model",
    [
        SGDClassifier("squared_hinge"),
        SGDRegressor(),
        SGDRegressor(learning_rate="lipschitz"),
        SGDRegressor(batch_size="full"),
        fastgd.SGDOneClassSVM(),
        fastgd.Lasso(),
    ],
    ids=repr,
)
def test_training_does_not_care_for_the_users_floating_point_settings(model, data):
    """Columns of 1e153 make numbers that underflow on the way to a model; that is no error."""
    X = (
        data.X * np.array([1e153, 1e-153, 1, 1, 1, 1])
        if model.get_params().get("learning_rate") != "lipschitz"
        else data.X
    )
    expected = clone(model).set_params(max_iter=5, random_state=0).fit(X, data.binary).coef_
    with np.errstate(all="raise"):
        assert_array_equal(
            model.set_params(max_iter=5, random_state=0).fit(X, data.binary).coef_, expected
        )


def test_divergence_is_said_in_scikit_learns_words(data):
    said = (
        "Floating-point under-/overflow occurred at epoch #1.* Scaling input data with "
        "StandardScaler or MinMaxScaler might help"
    )
    with pytest.raises(ValueError, match=said):
        regressor(eta0=1e200).fit(data.X, data.values)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["SGDClassifier", "SGDRegressor", "SGDOneClassSVM"])
def test_a_negative_power_is_deprecated(name, data):
    for home in linear_model, fastgd:
        with pytest.warns(
            FutureWarning, match="Negative values for `power_t` are deprecated in version 1.8"
        ):
            getattr(home, name)(power_t=-0.1).fit(data.X, data.binary)
