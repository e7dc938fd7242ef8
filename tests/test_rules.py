"""Update rules: the compiled loops over a flat vector are the twin's, and each rule does what it is
known for.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastgd
import reference
from fastgd.kernels import rules

NAMES = list(reference.RULES)
CLASSES = {name: getattr(fastgd, rule.__name__) for name, rule in reference.RULES.items()}
BUFFERS = {
    name: "".join(buffer for buffer, kept in zip("12", rule.buffers, strict=True) if kept)
    for name, rule in CLASSES.items()
}
TOLERANCE = {np.float64: 1e-12, np.float32: 2e-4}


def kernel_rule(name, **changes):
    """The rule as the kernels take it; first and second are the factors of its two buffers."""
    constants = {field.name: field.default for field in dataclasses.fields(CLASSES[name])} | changes
    first = constants.get("momentum", constants.get("beta1", 0.0))
    second = constants.get("rho", constants.get("beta2", 0.0))
    return {
        "kind": rules.Kind[name.upper()],
        "first": first,
        "second": second,
        "eps": constants.get("eps", 0.0),
        "noise": 0.0,
        "fading": 0.0,
        "seed": 0,
    }


def descend(name, gradients, start, rate=0.1, l1=0.0, l2=0.0, dtype=np.float64, **changes):
    """Where the compiled rule goes along the gradients given."""
    theta = start.astype(dtype)
    first, second = (
        np.zeros(len(theta), dtype) if buffer in BUFFERS[name] else None for buffer in "12"
    )
    rule = kernel_rule(name, **changes)
    for t, gradient in enumerate(gradients, start=1):
        rules.step(rule, theta, gradient.astype(dtype), first, second, rate, t, l1, l2)
    return theta


def descend_slowly(name, gradients, start, rate=0.1, l1=0.0, l2=0.0, **changes):
    """The same by the twin."""
    theta, rule = start, reference.RULES[name](**changes)
    for t, gradient in enumerate(gradients, start=1):
        theta = rule.step(theta, gradient, rate, l1, l2, t)
    return theta


@pytest.fixture(scope="module")
def path():
    """A start and twenty gradients; float32 holds them exactly."""
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((21, 37)).astype(np.float32).astype(np.float64)
    return numbers[0], numbers[1:]


@pytest.mark.parametrize("l1, l2", [(0.0, 0.0), (0.0, 0.3), (0.2, 0.0), (0.2, 0.3)])
@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_is_the_twin(name, l1, l2, path, dtype):
    start, gradients = path
    computed = descend(name, gradients, start, l1=l1, l2=l2, dtype=dtype)
    expected = descend_slowly(name, gradients, start, l1=l1, l2=l2)
    assert_allclose(computed, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize(
    "name, changes",
    [
        ("momentum", {"momentum": 0.5}),
        ("nesterov", {"momentum": 0.99}),
        ("adagrad", {"eps": 0.1}),
        ("rmsprop", {"rho": 0.5, "eps": 0.1}),
        ("adam", {"beta1": 0.5, "beta2": 0.9, "eps": 0.1}),
        ("adamw", {"beta1": 0.0, "beta2": 0.5, "eps": 1e-4}),
    ],
)
def test_a_rules_constants_reach_the_kernel(name, changes, path):
    start, gradients = path
    computed = descend(name, gradients, start, l1=0.1, l2=0.1, **changes)
    assert_allclose(
        computed,
        descend_slowly(name, gradients, start, l1=0.1, l2=0.1, **changes),
        rtol=1e-12,
        atol=1e-13,
    )


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    size=st.integers(0, 70),
    l1=st.sampled_from([0.0, 0.2]),
    seed=st.integers(0, 5),
)
def test_any_number_of_parameters(name, size, l1, seed):
    numbers = np.random.default_rng(seed).standard_normal((4, size))
    computed = descend(name, numbers[1:], numbers[0], l1=l1, l2=0.1)
    assert_allclose(
        computed,
        descend_slowly(name, numbers[1:], numbers[0], l1=l1, l2=0.1),
        rtol=1e-12,
        atol=1e-13,
    )


# ---- what each rule is known for ----


@pytest.mark.parametrize("name", ["momentum", "nesterov"])
def test_without_momentum_it_is_plain_descent(name, path):
    start, gradients = path
    plain = descend("sgd", gradients, start, l1=0.1, l2=0.1)
    assert_allclose(
        descend(name, gradients, start, l1=0.1, l2=0.1, momentum=0.0), plain, rtol=1e-12, atol=1e-13
    )


def test_momentum_under_a_steady_gradient_ends_ten_times_as_fast():
    start = np.zeros(3)
    before, after = (
        descend("momentum", [np.ones(3)] * steps, start, rate=0.01) for steps in (400, 401)
    )
    assert_allclose(after - before, -0.01 / (1 - 0.9), rtol=1e-9)


def test_nesterov_is_momentum_at_the_point_ahead(path):
    """The textbook's form: v <- mu v - rate grad(theta + mu v). In terms of theta + mu v it is the
    rule of fastgd.
    """
    rng = np.random.default_rng(1)
    A = rng.standard_normal((5, 5))
    A = A @ A.T / 5
    theta, v, mu, rate = rng.standard_normal(5), np.zeros(5), 0.9, 0.05
    ahead, first = theta.copy(), np.zeros(5)
    for t in range(1, 30):
        v = mu * v - rate * A @ (theta + mu * v)
        theta = theta + v
        rules.step(kernel_rule("nesterov"), ahead, A @ ahead, first, None, rate, t)
        assert_allclose(ahead, theta + mu * v, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", ["adagrad", "adam", "adamw"])
def test_the_first_step_is_one_rate_long_in_every_coordinate(name, path):
    """Whatever the gradient's size: only its sign counts."""
    start, gradients = path
    for scale in (0.1, 1.0, 1e3):
        step = descend(name, [scale * gradients[0]], start) - start
        assert_allclose(step, -0.1 * np.sign(gradients[0]), rtol=1e-4)


def test_adagrad_slows_down_and_rmsprop_does_not():
    start, steady = np.zeros(1), [np.ones(1)] * 100
    assert_allclose(
        descend("adagrad", steady, start), -0.1 * np.sum(1 / np.sqrt(np.arange(1, 101))), rtol=1e-9
    )
    slowest = descend("rmsprop", steady, start) - descend("rmsprop", steady[:99], start)
    assert_allclose(slowest, -0.1, rtol=1e-3)


def test_adamws_decay_knows_nothing_of_the_gradient():
    """Where the gradient is zero, adamw still shrinks by rate * l2, and adam takes l2's gradient
    for the loss's.
    """
    start, nothing = np.array([2.0, -4.0]), [np.zeros(2)]
    assert_allclose(descend("adamw", nothing, start, l2=0.5), start * (1 - 0.1 * 0.5), rtol=1e-12)
    assert_allclose(
        descend("adam", nothing, start, l2=0.5), start - 0.1 * np.sign(start), rtol=1e-6
    )


@pytest.mark.parametrize("name", NAMES)
def test_l1_makes_exact_zeros(name):
    start, quiet = np.array([0.01, -0.01, 5.0]), [np.full(3, 1e-3)] * 3
    theta = descend(name, quiet, start, l1=2.0)
    assert_array_equal(theta[:2] == 0, True)
    assert descend(name, quiet, start)[0] != 0


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_finds_the_minimum_of_a_bowl(name):
    target = np.linspace(-1, 1, 5)
    theta, first, second = np.zeros(5), np.zeros(5), np.zeros(5)
    for t in range(1, 3000):
        rules.step(kernel_rule(name), theta, theta - target, first, second, 0.5 / np.sqrt(t), t)
    assert_allclose(theta, target, atol=1e-2)


def test_a_missing_or_short_buffer_is_refused():
    theta, gradient = np.zeros(3), np.ones(3)
    for name, buffers in BUFFERS.items():
        for missing in buffers:
            first, second = (None if missing == buffer else np.zeros(3) for buffer in "12")
            with pytest.raises(ValueError, match=name.upper()):
                rules.step(kernel_rule(name), theta, gradient, first, second, 0.1, 1)
    with pytest.raises(ValueError, match="3 entries"):
        rules.step(kernel_rule("sgd"), theta, np.ones(2), None, None, 0.1, 1)
    with pytest.raises(ValueError, match="3 entries"):
        rules.step(kernel_rule("momentum"), theta, gradient, np.zeros(2), None, 0.1, 1)


# ---- the public values ----


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_is_a_frozen_value_with_the_twins_defaults(name):
    rule = CLASSES[name]()
    assert rule == CLASSES[name]()
    assert hash(rule) == hash(CLASSES[name]())
    twin = reference.RULES[name]()
    for field in dataclasses.fields(rule):
        assert getattr(rule, field.name) == getattr(twin, field.name)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(rule, field.name, 0.5)


@pytest.mark.parametrize("name", NAMES)
def test_a_rules_name_means_the_rule_with_its_defaults(name, data):
    shared = {"batch_size": 10, "max_iter": 3, "tol": None, "random_state": 0}
    by_name = fastgd.SGDRegressor(optimizer=name, **shared).fit(data.X, data.values)
    by_value = fastgd.SGDRegressor(optimizer=CLASSES[name](), **shared).fit(data.X, data.values)
    assert_array_equal(by_name.coef_, by_value.coef_)


@pytest.mark.parametrize(
    "rule, twin",
    [
        (fastgd.Momentum(momentum=0.5), reference.Momentum(momentum=0.5)),
        (fastgd.Nesterov(momentum=0.5), reference.Nesterov(momentum=0.5)),
        (fastgd.AdaGrad(eps=0.1), reference.AdaGrad(eps=0.1)),
        (fastgd.RMSProp(rho=0.5, eps=0.1), reference.RMSProp(rho=0.5, eps=0.1)),
        (fastgd.Adam(beta1=0.5, beta2=0.9, eps=0.1), reference.Adam(beta1=0.5, beta2=0.9, eps=0.1)),
        (
            fastgd.AdamW(beta1=0.5, beta2=0.9, eps=0.1),
            reference.AdamW(beta1=0.5, beta2=0.9, eps=0.1),
        ),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_a_configured_rule_reaches_the_descent(rule, twin, data):
    model = fastgd.SGDRegressor(
        optimizer=rule,
        batch_size=10,
        max_iter=3,
        tol=None,
        shuffle=False,
        learning_rate="constant",
        eta0=0.05,
        alpha=0.1,
    ).fit(data.X, data.values)
    problem, _, y = reference.problem_of(model, data.values)
    run = reference.train(
        problem, data.X, y, lambda t: 0.05, [np.arange(43)] * 3, batch_size=10, rule=twin
    )
    assert_allclose(model.coef_, run.W[0], rtol=1e-9)
    assert_allclose(model.history_["gradient_norm"], run.history["gradient_norm"], rtol=1e-9)


# ---- noise ----


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_noise_is_the_twins(name, path):
    start, gradients = path
    rule = kernel_rule(name) | {"noise": 0.3, "fading": 0.55, "seed": 7}
    theta = start.copy()
    first, second = (np.zeros(len(theta)) if buffer in BUFFERS[name] else None for buffer in "12")
    slow, expected = reference.GradientNoise(reference.RULES[name](), 0.3, 0.55, 7), start
    for t, gradient in enumerate(gradients, start=1):
        before = gradient.copy()
        rules.step(rule, theta, gradient, first, second, 0.1, t, 0.1, 0.1)
        assert_array_equal(gradient, before)
        expected = slow.step(expected, gradient, 0.1, 0.1, 0.1, t)
    assert_allclose(theta, expected, rtol=1e-11, atol=1e-12)


def test_noise_has_its_variance_and_fades():
    nothing, size = np.zeros(100_001), 100_001
    for t, deviation in ((1, 0.5), (100, 0.5 / 100**0.275)):
        theta = nothing.copy()
        rules.step(
            kernel_rule("sgd") | {"noise": 0.25, "fading": 0.55, "seed": 1},
            theta,
            nothing,
            None,
            None,
            1.0,
            t,
        )
        assert_allclose(
            [theta.mean() / deviation, theta.std() / deviation], [0, 1], atol=4 / np.sqrt(size)
        )


@pytest.mark.parametrize("batch_size", [1, 32, "full"])
def test_noise_depends_on_the_seed_alone(batch_size, data):
    """Also on the threads and on how the rows are stored it does not."""

    def fit(seed, variance=0.1, **others):
        rule = fastgd.GradientNoise("momentum", variance=variance)
        model = fastgd.SGDClassifier(
            "log_loss",
            optimizer=rule,
            learning_rate="constant",
            eta0=0.01,
            batch_size=batch_size,
            max_iter=3,
            tol=None,
            shuffle=False,
            random_state=seed,
            **others,
        )
        return model.fit(data.X, data.binary).coef_

    assert_array_equal(fit(0), fit(0, n_jobs=2))
    assert np.abs(fit(0) - fit(1)).max() > 1e-4
    plain = fastgd.SGDClassifier(
        "log_loss",
        optimizer="momentum",
        learning_rate="constant",
        eta0=0.01,
        batch_size=batch_size,
        max_iter=3,
        tol=None,
        shuffle=False,
        random_state=0,
    ).fit(data.X, data.binary)
    assert_array_equal(fit(0, variance=0.0), plain.coef_)


@pytest.mark.parametrize(
    "wrong",
    [{"rule": "sdg"}, {"rule": fastgd.GradientNoise()}, {"variance": -1.0}, {"fading": np.inf}],
)
def test_noise_refuses_what_it_cannot_be(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} of GradientNoise must be"):
        fastgd.GradientNoise(**wrong)
