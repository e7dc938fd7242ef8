"""Learning rates: what each schedule gives at every update and epoch, and what it does to a
training run.
"""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_diabetes

import fastgd
import reference
from fastgd import SGDClassifier, SGDRegressor
from reference import store

STEPPED = {"loss": "log_loss", "shuffle": False, "tol": None, "max_iter": 6, "alpha": 0.1}
NAMES = [
    "constant",
    "invscaling",
    "optimal",
    "adaptive",
    "pa1",
    "pa2",
    "step",
    "cosine",
    "lipschitz",
]


def classifier(**parameters):
    return SGDClassifier(**{**STEPPED, **parameters})


def rates_of(model, data):
    """The last rate of every epoch of a run over the 43 rows."""
    return np.array(model.fit(data.X, data.binary).history_["learning_rate"])


@pytest.mark.parametrize("batch_size, updates", [(1, 43), (10, 5), ("full", 1)])
def test_rates_are_functions_of_the_number_of_updates(batch_size, updates, data):
    last = updates * np.arange(1, 7)
    same = {"batch_size": batch_size, "eta0": 0.2}
    assert_allclose(rates_of(classifier(learning_rate="constant", **same), data), 0.2)
    assert_allclose(
        rates_of(classifier(learning_rate="invscaling", power_t=0.3, **same), data), 0.2 / last**0.3
    )
    first = 0.1 ** (-1 / 4)
    assert_allclose(
        rates_of(classifier(learning_rate="optimal", **same), data),
        1 / (1 / first + 0.1 * (last - 1)),
    )


@pytest.mark.parametrize("batch_size", [1, 10, "full"])
def test_step_decay_halves_and_cosine_decay_glides_to_zero(batch_size, data):
    stairs = rates_of(
        classifier(learning_rate=fastgd.StepDecay(0.8, factor=0.5, every=2), batch_size=batch_size),
        data,
    )
    assert_allclose(stairs, [0.8, 0.8, 0.4, 0.4, 0.2, 0.2])
    wave = rates_of(
        classifier(learning_rate=fastgd.CosineDecay(0.8, epochs=6), batch_size=batch_size), data
    )
    per_epoch = {1: 43, 10: 5, "full": 1}[batch_size]
    assert_allclose(
        wave, [reference.cosine(0.8, 6, per_epoch)(epoch * per_epoch) for epoch in range(1, 7)]
    )
    assert np.all(np.diff(wave) < 0)
    assert wave[-1] < 0.06


def test_a_rate_that_has_reached_zero_changes_nothing_more(data):
    """Cosine decay ends where it was told to; epochs after that are idle, not a failure."""
    short = classifier(learning_rate=fastgd.CosineDecay(0.8, epochs=3), max_iter=3).fit(
        data.X, data.binary
    )
    long = classifier(learning_rate=fastgd.CosineDecay(0.8, epochs=3), max_iter=5).fit(
        data.X, data.binary
    )
    assert_array_equal(long.coef_, short.coef_)
    assert_array_equal(long.history_["learning_rate"][3:], 0)
    assert_array_equal(long.history_["gradient_norm"][3:], 0)


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "optimal", "step", "cosine"])
@pytest.mark.parametrize("batch_size", [1, 10, "full"])
@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "rmsprop"])
def test_every_update_has_its_own_rate(learning_rate, batch_size, optimizer, data, layout):
    model = classifier(
        learning_rate=learning_rate, batch_size=batch_size, optimizer=optimizer, eta0=0.02
    )
    model.fit(store(data.X, layout), data.binary)
    run = reference.fit(model, data.X, data.binary)
    assert_allclose(model.coef_, run.W, rtol=1e-9)
    assert_allclose(model.history_["learning_rate"], run.history["learning_rate"], rtol=1e-12)


def test_adaptive_divides_by_five_whenever_the_loss_stalls(data):
    model = classifier(
        learning_rate="adaptive", eta0=0.5, tol=1e-3, n_iter_no_change=2, max_iter=500
    )
    rates = rates_of(model, data)
    best, stalls, rate = np.inf, 0, 0.5
    for epoch, loss in enumerate(model.history_["loss"]):
        assert rates[epoch] == pytest.approx(rate, rel=1e-12)
        stalls = stalls + 1 if loss > best - 1e-3 else 0
        best = min(best, loss)
        if stalls == 2 and rate > 1e-6:
            rate, stalls = rate / 5, 0
    assert stalls == 2 and rate <= 1e-6  # which is where it stops
    assert len(set(rates)) > 5


@pytest.mark.parametrize("variant", ["pa1", "pa2"])
@pytest.mark.parametrize("penalty", [None, "l2", "elasticnet"])
def test_passive_aggressive_runs_are_the_twins(variant, penalty, data, layout):
    """Row 5 is all zero: pa1 passes it over, and does not count it as an update; pa2 moves the
    intercept.
    """
    settings = {
        "learning_rate": variant,
        "penalty": penalty,
        "eta0": 0.3,
        "max_iter": 3,
        "shuffle": False,
        "tol": None,
    }
    for model, y in (
        (SGDClassifier(loss="hinge", **settings), data.binary),
        (SGDClassifier(loss="hinge", **settings), data.classes),
        (SGDRegressor(loss="epsilon_insensitive", **settings), data.values),
    ):
        run = reference.fit(model.fit(store(data.X, layout), y), data.X, y)
        assert_allclose(np.atleast_2d(model.coef_), run.W, rtol=1e-9, atol=1e-12)
        assert_allclose(model.intercept_, run.b, rtol=1e-9, atol=1e-12)
        assert model.t_ == run.t == 1 + 3 * (42 if variant == "pa1" else 43)


def test_a_passive_aggressive_step_satisfies_its_row():
    """Unbounded and without an intercept, the row just visited has a hinge loss of exactly zero."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((10, 4)), np.arange(10) % 2
    model = SGDClassifier(
        loss="hinge",
        learning_rate="pa1",
        eta0=1e9,
        penalty=None,
        fit_intercept=False,
        shuffle=False,
        tol=None,
        max_iter=1,
    )
    for rows in range(2, 11):
        model.fit(X[:rows], y[:rows])
        margin = model.decision_function(X[rows - 1 : rows])[0] * (2 * y[rows - 1] - 1)
        assert margin >= 1 - 1e-9


# ---- schedules as values ----

VALUES = {
    "constant": "Constant",
    "invscaling": "InverseScaling",
    "optimal": "Optimal",
    "adaptive": "Adaptive",
    "step": "StepDecay",
    "cosine": "CosineDecay",
}


@pytest.mark.parametrize("name, kind", VALUES.items())
def test_a_schedule_is_a_frozen_value(name, kind):
    schedule = getattr(fastgd, kind)()
    assert schedule == getattr(fastgd, kind)()
    assert dataclasses.is_dataclass(schedule)
    for field in dataclasses.fields(schedule):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(schedule, field.name, 1.0)


@pytest.mark.parametrize(
    "schedule, parameters",
    [
        (fastgd.Constant(0.03), {"learning_rate": "constant", "eta0": 0.03}),
        (
            fastgd.InverseScaling(0.3, power_t=0.4),
            {"learning_rate": "invscaling", "eta0": 0.3, "power_t": 0.4},
        ),
        (fastgd.Optimal(0.2), {"learning_rate": "optimal", "alpha": 0.2}),
        (fastgd.Adaptive(0.03), {"learning_rate": "adaptive", "eta0": 0.03}),
        (fastgd.StepDecay(0.03), {"learning_rate": "step", "eta0": 0.03}),
        (fastgd.CosineDecay(0.03, epochs=6), {"learning_rate": "cosine", "eta0": 0.03}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_schedule_does_what_its_name_and_parameters_do(schedule, parameters, data):
    by_name = classifier(**{"alpha": 0.2, **parameters}).fit(data.X, data.binary)
    by_value = classifier(
        **{"alpha": 0.2, "eta0": 77.0, "power_t": 3.0, "learning_rate": schedule}
    ).fit(data.X, data.binary)
    assert_array_equal(by_value.coef_, by_name.coef_)
    assert by_value.history_["learning_rate"] == by_name.history_["learning_rate"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: fastgd.Constant(0.0),
        lambda: fastgd.Constant(np.nan),
        lambda: fastgd.InverseScaling(eta0=-1.0),
        lambda: fastgd.InverseScaling(power_t=np.inf),
        lambda: fastgd.Optimal(alpha=0.0),
        lambda: fastgd.Adaptive(eta0="fast"),
        lambda: fastgd.StepDecay(factor=0.0),
        lambda: fastgd.StepDecay(every=0),
        lambda: fastgd.CosineDecay(epochs=0),
    ],
)
def test_a_wrong_schedule_cannot_be_made(make):
    with pytest.raises(ValueError, match="(eta0|power_t|alpha|factor|every|epochs) of [A-Z]"):
        make()


# ---- the default cannot diverge ----


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("batch_size", [1, 10, "full"])
def test_the_default_rate_adapts_to_the_scale_of_x(scale, batch_size, data, layout):
    """Without an intercept and a penalty the same descent happens in any units of X."""
    model = classifier(
        learning_rate="lipschitz",
        batch_size=batch_size,
        fit_intercept=False,
        penalty=None,
        max_iter=30,
    )
    usual = model.fit(store(data.X, layout), data.binary).history_["loss"]
    other = model.fit(store(data.X * scale, layout), data.binary).history_["loss"]
    assert_allclose(other, usual, rtol=1e-9)
    assert usual[-1] < usual[0] - 0.05


@pytest.mark.parametrize("loss", [*reference.LOSSES, "softmax"])
@pytest.mark.parametrize("batch_size", [1, 32, "full"])
def test_the_default_rate_diverges_with_no_loss(loss, batch_size):
    X, y = (
        load_breast_cancer(return_X_y=True)
        if loss not in reference.REGRESSION
        else load_diabetes(return_X_y=True)
    )
    kind = SGDRegressor if loss in reference.REGRESSION else SGDClassifier
    model = kind(loss=loss, batch_size=batch_size, max_iter=20, tol=None, random_state=0).fit(X, y)
    assert np.all(np.isfinite(model.coef_))
    if loss != "perceptron":  # its loss is 0 where all weights are
        assert min(model.history_["loss"]) < model.history_["loss"][0]


def test_the_epochs_of_partial_fit_are_as_long_as_its_pieces(data):
    """Three calls, of 40, 2 and 1 rows: StepDecay(every=1) halves the rate from call to call,
    whatever their rows.
    """
    model = classifier(learning_rate=fastgd.StepDecay(0.8, factor=0.5, every=1))
    rates = []
    for rows in (slice(0, 40), slice(40, 42), slice(42, 43)):
        model.partial_fit(data.X[rows], data.binary[rows], classes=[0, 1])
        rates.append(model.history_["learning_rate"][-1])
    assert_allclose(rates, [0.8, 0.4, 0.2])


def test_rates_go_on_where_partial_fit_left_them(data):
    model = classifier(learning_rate="invscaling", eta0=0.2, power_t=0.5)
    for epoch in range(1, 4):
        model.partial_fit(data.X, data.binary, classes=[0, 1])
        assert model.history_["learning_rate"][-1] == pytest.approx(0.2 / (43 * epoch) ** 0.5)


@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_trains(name, data):
    model = SGDClassifier(
        loss="hinge", learning_rate=name, eta0=0.05, max_iter=5, tol=None, random_state=0
    )
    assert model.fit(data.X, data.binary).score(data.X, data.binary) > 0.7
    assert_array_equal(np.isfinite(model.history_["loss"]), True)


def test_one_cycle_climbs_in_a_line_and_comes_down_a_cosine():
    schedule = fastgd.OneCycle(0.5, epochs=10, warmup=0.3)
    rates = np.concatenate([schedule.rates(1 + 4 * epoch, 4, epoch) for epoch in range(12)])
    done = np.minimum(np.arange(48) / 40, 1)
    climb, fall = done < 0.3, done >= 0.3
    assert_allclose(rates[climb], 0.5 * (1 / 25 + 24 / 25 * done[climb] / 0.3))
    assert_allclose(rates[fall], 0.25 * (1 + np.cos(np.pi * (done[fall] - 0.3) / 0.7)), atol=1e-15)
    assert rates.argmax() == 12 and rates.max() == 0.5 and rates[40:].max() == 0


def test_one_cycle_by_name_spans_the_epochs_of_the_fit(data):
    named = classifier(learning_rate="one_cycle", eta0=0.2, max_iter=7).fit(data.X, data.binary)
    value = classifier(learning_rate=fastgd.OneCycle(0.2, epochs=7), max_iter=7).fit(
        data.X, data.binary
    )
    assert_array_equal(named.coef_, value.coef_)


@pytest.mark.parametrize(
    "wrong", [{"eta0": 0}, {"epochs": -1}, {"warmup": 1.0}, {"warmup": np.nan}]
)
def test_one_cycle_refuses(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        fastgd.OneCycle(**wrong)
