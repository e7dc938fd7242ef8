"""Networks: gradients are those of finite differences, epochs those of a slow twin, steps
scikit-learn's.
"""

import dataclasses
import itertools
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import erf, expit
from sklearn import neural_network as peers
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastgd
import reference
from fastgd import CosineDecay, MLPClassifier, MLPRegressor
from fastgd.kernels import network, rules
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.rows import Rows
from fastgd.methods import mlp as methods
from fastgd.methods import network_units
from fastgd.methods.optimizers import SGD, Adam, AdamW, Nesterov, ScheduleFree
from fastgd.problem.losses import loss_of
from fastgd.problem.objective import Objective

ACTIVATIONS = {  # f and f', as the textbooks have them
    "identity": (lambda z: z, lambda z: np.ones_like(z)),
    "logistic": (expit, lambda z: expit(z) * expit(-z)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1, 0.01)),
    "gelu": (
        lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
        lambda z: (1 + erf(z / np.sqrt(2))) / 2 + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi),
    ),
    "silu": (lambda z: z * expit(z), lambda z: expit(z) + z * expit(z) * expit(-z)),
    "softplus": (lambda z: np.logaddexp(0, z), expit),
}
LOSSES = {  # (objective, targets of n rows)
    "softmax": (
        Objective(loss_of("softmax"), outputs=3),
        lambda rng, n: rng.integers(0, 3, n).astype(float),
    ),
    "log_loss": (Objective(loss_of("log_loss")), lambda rng, n: rng.choice([-1.0, 1.0], n)),
    "labels": (
        Objective(loss_of("log_loss"), outputs=3),
        lambda rng, n: rng.choice([-1.0, 1.0], 3 * n),
    ),
    "squared_error": (
        Objective(loss_of("squared_error"), outputs=2),
        lambda rng, n: rng.standard_normal(2 * n),
    ),
    "absolute_error": (
        Objective(loss_of("epsilon_insensitive")),
        lambda rng, n: rng.standard_normal(n),
    ),
    "huber": (Objective(loss_of("huber", 0.5)), lambda rng, n: rng.standard_normal(n)),
    "poisson": (Objective(loss_of("poisson")), lambda rng, n: rng.poisson(2, n).astype(float)),
}
FAST = {"max_iter": 3, "tol": None}


def layers(widths, activation="tanh", dropout=0.0, seed=0, scales=None):
    """The layers of a network as the kernels take them."""
    return methods.Architecture((), activation, dropout).network(widths, seed, scales)


class Twin:
    """A network in NumPy: one layer after the other, as the formulas have it."""

    def __init__(self, widths, activation, loss):
        self.widths, self.f, self.objective = widths, ACTIVATIONS[activation], LOSSES[loss][0]

    def layers(self, theta):
        at = 0
        for inputs, units in itertools.pairwise(self.widths):
            W = theta[at : at + inputs * units].reshape(inputs, units)
            at += (inputs + 1) * units
            yield W, theta[at - units : at]

    def loss_and_slopes(self, z, y):
        K = self.objective.outputs
        if self.objective.loss.is_joint:
            points = [reference.softmax(row, label) for row, label in zip(z, y, strict=True)]
            return sum(value for value, _ in points), np.array([slope for _, slope in points])
        one = reference.LOSSES[self.objective.loss.name]
        points = [
            [one(z[i, k], y[i * K + k], self.objective.loss.delta) for k in range(K)]
            for i in range(len(z))
        ]
        return sum(value for row in points for value, _ in row), np.array(
            [[slope for _, slope in row] for row in points]
        )

    def gradient(self, X, y, theta):
        """(mean loss, its gradient)"""
        layers, A, Z = list(self.layers(theta)), [X], []
        for number, (W, b) in enumerate(layers, 1):
            Z.append(A[-1] @ W + b)
            A.append(self.f[0](Z[-1]) if number < len(layers) else Z[-1])
        loss, D = self.loss_and_slopes(A[-1], y)
        D, parts = D / len(X), []
        for number in range(len(layers) - 1, -1, -1):
            parts = [(A[number].T @ D).ravel(), D.sum(axis=0), *parts]
            if number:
                D = D @ layers[number][0].T * self.f[1](Z[number - 1])
        return loss / len(X), np.concatenate(parts)


@pytest.fixture(params=ACTIVATIONS)
def activation(request):
    return request.param


@pytest.fixture(params=LOSSES)
def loss(request):
    return request.param


def case(loss, hidden, n=11, p=4, seed=0):
    """(X, y, widths, theta) of a small random problem; entries are exact in float32."""
    rng = np.random.default_rng(seed)
    objective, targets = LOSSES[loss]
    X = rng.standard_normal((n, p)).astype(np.float32).astype(float)
    X[rng.random(X.shape) < 0.4] = 0
    widths = np.array([p, *hidden, objective.outputs])
    theta = (
        rng.standard_normal(sum((a + 1) * b for a, b in itertools.pairwise(widths)))
        .astype(np.float32)
        .astype(float)
        / 2
    )
    return X, targets(rng, n), widths, theta


def kernel_gradient(
    rows, y, widths, theta, loss, weights=None, order=None, units=None, **architecture
):
    gradient = np.empty_like(theta)
    order = np.arange(rows.shape[0]) if order is None else order
    term = DataTerm(rows, y, weights, order, LOSSES[loss][0].codes)
    total = network.gradient(term, theta, units, gradient, layers(widths, **architecture))
    return total / len(order), gradient


# ---- the kernel ----


@pytest.mark.parametrize("hidden", [(), (5,), (3, 6)], ids=str)
def test_gradients_are_those_of_finite_differences(hidden, activation, loss, as_rows):
    X, y, widths, theta = case(loss, hidden)
    rng = np.random.default_rng(1)
    weights, units = rng.random(len(X)), (rng.random(X.shape[1]), rng.random(X.shape[1]) + 0.5)
    rows = as_rows(X, "dense", np.float64)
    options = {
        "weights": weights,
        "units": units,
        "activation": activation,
        "dropout": 0.3,
        "seed": 5,
    }
    gradient = kernel_gradient(rows, y, widths, theta, loss, **options)[1]
    steps = 1e-6 * np.eye(len(theta))
    slopes = [
        (
            kernel_gradient(rows, y, widths, theta + step, loss, **options)[0]
            - kernel_gradient(rows, y, widths, theta - step, loss, **options)[0]
        )
        / 2e-6
        for step in steps
    ]
    assert_allclose(gradient, slopes, atol=2e-6)


def test_kernel_and_twin_agree(activation, loss, layout, dtype, as_rows):
    X, y, widths, theta = case(loss, (5, 3))
    value, gradient = kernel_gradient(
        as_rows(X, layout, dtype), y, widths, theta.astype(dtype), loss, activation=activation
    )
    expected_value, expected = Twin(widths, activation, loss).gradient(X, y, theta)
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    assert_allclose(value, expected_value, rtol=tolerance, atol=tolerance)
    assert_allclose(gradient, expected, rtol=10 * tolerance, atol=tolerance)


def test_large_batches_are_worked_on_in_tiles(layout, as_rows):
    X, y, widths, theta = case("softmax", (5,), n=2500)
    value, gradient = kernel_gradient(as_rows(X, layout, np.float64), y, widths, theta, "softmax")
    expected_value, expected = Twin(widths, "tanh", "softmax").gradient(X, y, theta)
    assert_allclose(value, expected_value, rtol=1e-12)
    assert_allclose(gradient, expected, atol=1e-12)


def test_activations_far_out(activation):
    """Neither overflows nor underflows show, and NaN stays NaN."""
    f, slope = ACTIVATIONS[activation]
    z = np.array([-700.0, -30.0, -1e-8, 0.0, 1e-8, 30.0, 700.0])
    theta = np.array([1.0, 0.0, 1.0, 0.0])
    rows = network_rows(z[:, None])
    out = np.empty(len(z))
    network.margins(
        rows, np.arange(len(z)), theta, None, out, layers(np.array([1, 1, 1]), activation)
    )
    with np.errstate(over="ignore"):
        assert_allclose(out, f(z), rtol=1e-12, atol=1e-15)
    network.margins(
        network_rows(np.array([[np.nan]])),
        np.arange(1),
        theta,
        None,
        out[:1],
        layers(np.array([1, 1, 1]), activation),
    )
    assert np.isnan(out[0])


def network_rows(X):
    from fastgd.kernels.rows import Rows

    return Rows(X)


@pytest.mark.parametrize(
    "optimizer", [Nesterov(), Adam(), AdamW(), ScheduleFree()], ids=lambda rule: type(rule).__name__
)
def test_an_epoch_is_the_twins(optimizer, layout, dtype, as_rows):
    """Batches of 4, 4 and 3 rows, penalties of batches on weights only, rates that differ."""
    X, y, widths, theta = case("squared_error", (5, 3))
    objective = Objective(loss_of("squared_error"), outputs=2, l2=0.3)
    order, rates = np.array([3, 1, 4, 10, 5, 9, 2, 6, 8, 7, 0]), np.array([0.1, 0.05, 0.02])
    first, second = (
        np.zeros(len(theta), dtype) if needed else None for needed in optimizer.buffers
    )
    found = theta.astype(dtype)
    sums = network.epoch(
        DataTerm(as_rows(X, layout, dtype), y, None, order, objective.codes),
        found,
        None,
        (first, second),
        rates,
        layers(widths),
        optimizer.codes,
        4,
        1,
    )
    twin, expected, loss, penalty = Twin(widths, "tanh", "squared_error"), theta.copy(), 0.0, 0.0
    is_weight = np.concatenate(
        [np.repeat([True, False], [a * b, b]) for a, b in itertools.pairwise(widths)]
    )
    m, a = np.zeros(len(theta)), np.zeros(len(theta))
    decays = isinstance(optimizer, AdamW)
    for t, (begin, rate) in enumerate(zip((0, 4, 8), rates, strict=True), 1):
        batch = order[begin : begin + 4]
        value, gradient = twin.gradient(X[batch], y.reshape(-1, 2)[batch].ravel(), expected)
        loss += value * len(batch)
        l2 = 0.3 if decays else 0.3 / len(batch)
        penalty += 0.0 if decays else len(batch) * l2 / 2 * (expected[is_weight] ** 2).sum()
        for part, shrink in ((is_weight, l2), (~is_weight, 0.0)):
            w, parts = expected[part], (m[part], a[part])
            rules.step(
                optimizer.codes,
                w,
                gradient[part],
                parts[0] if first is not None else None,
                parts[1] if second is not None else None,
                rate,
                t,
                0.0,
                shrink,
            )
            expected[part], m[part], a[part] = w, *parts
    tolerance = 1e-11 if dtype == np.float64 else 1e-4
    assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    assert_allclose([sums["loss"], sums["penalty"]], [loss, penalty], rtol=tolerance)
    assert sums["updates"] == 3


def test_the_gradient_norm_is_that_of_the_objective(as_rows):
    X, y, widths, theta = case("squared_error", (5,))
    objective = Objective(loss_of("squared_error"), outputs=2, l2=0.7)
    rows = as_rows(X, "dense", np.float64)
    sums = network.epoch(
        DataTerm(rows, y, None, np.arange(len(X)), objective.codes),
        theta.copy(),
        None,
        (np.zeros(len(theta)), None),
        np.ones(1),
        layers(widths),
        Nesterov().codes,
        100,
        1,
    )
    gradient = Twin(widths, "tanh", "squared_error").gradient(X, y, theta)[1]
    for number, (W, _) in enumerate(network_units.layers(theta, widths)):
        [*network_units.layers(gradient, widths)][number][0][:] += 0.7 / len(X) * W
    assert_allclose(sums["gradient_norm"], np.linalg.norm(gradient))


@pytest.mark.parametrize("optimizer", [SGD(), Nesterov(), AdamW(), ScheduleFree()])
def test_a_step_by_a_known_gradient_is_an_epoch_of_one_batch(optimizer, as_rows):
    X, y, widths, theta = case("squared_error", (5,))
    codes = Objective(loss_of("squared_error"), outputs=2, l2=0.7).codes
    term = DataTerm(as_rows(X, "dense", np.float64), y, None, np.arange(len(X)), codes)
    rule, gradient, found = optimizer.codes, np.empty_like(theta), []
    network.gradient(term, theta, None, gradient, layers(widths))
    for known in (False, True):
        moved = theta.copy()
        buffers = tuple(np.zeros(len(theta)) if is_used else None for is_used in optimizer.buffers)
        if known:
            nothing = DataTerm(Rows(np.empty((len(X), 0))), y, None, np.arange(len(X)), codes)
            sums = network.step(nothing, moved, gradient, buffers, 0.1, layers(widths), rule, 3)
            for wrong in ((gradient[1:], layers(widths)), (gradient, layers(widths[::-1].copy()))):
                with pytest.raises(ValueError, match="differ in length|need .* parameters"):
                    network.step(nothing, moved, wrong[0], buffers, 0.1, wrong[1], rule, 3)
        else:
            rates = np.full(1, 0.1)
            sums = network.epoch(term, moved, None, buffers, rates, layers(widths), rule, len(X), 3)
        found.append((moved, sums["penalty"], sums["gradient_norm"], sums["updates"]))
    for one, other in zip(*found, strict=True):
        assert_array_equal(one, other)


def test_schedule_free_steps_are_the_papers():
    rng = np.random.default_rng(0)
    start, gradients, rate, beta, beta2 = (
        rng.standard_normal(7),
        rng.standard_normal((20, 7)),
        0.1,
        0.8,
        0.9,
    )
    rule = ScheduleFree(beta, beta2)
    w, ahead, a = start.copy(), np.zeros(7), np.zeros(7)
    x = z = start
    v = 0.0
    for t, g in enumerate(gradients, 1):
        rules.step(rule.codes, w, g, ahead, a, rate, t, 0.0, 0.2)
        slope = g + 0.2 * ((1 - beta) * z + beta * x)
        v = beta2 * v + (1 - beta2) * slope**2
        z = z - rate * slope / (np.sqrt(v / (1 - beta2**t)) + rule.eps)
        x = x + (z - x) / t
        assert_allclose(w, (1 - beta) * z + beta * x)
        assert_allclose(rule.mean(w, ahead), x)


def test_dropping_keeps_the_mean(as_rows):
    """Of a linear network the mean loss slope over many masks is that of the whole."""
    X, y, widths, theta = case("squared_error", (40,), n=200)
    rows = as_rows(X, "dense", np.float64)
    whole = kernel_gradient(rows, y, widths, theta, "squared_error", activation="identity")[1][-2:]
    parts = [
        kernel_gradient(
            rows, y, widths, theta, "squared_error", activation="identity", dropout=0.5, seed=seed
        )[1][-2:]
        for seed in range(200)
    ]
    assert np.std(parts) > 0
    assert_allclose(
        np.mean(parts, axis=0), whole, atol=5 * np.std(parts, axis=0).max() / np.sqrt(200)
    )


@pytest.mark.parametrize("loss", ["squared_error", "labels", "huber"])
def test_outputs_may_have_scales(loss, layout, as_rows):
    """The loss of output k is c_k L(a_k z, a_k y), in the gradient and in an epoch."""
    X, y, widths, theta = case(loss, (5,))
    objective, rows, n = LOSSES[loss][0], as_rows(X, layout, np.float64), len(X)
    K = objective.outputs
    scales = np.array([[2.0, 0.5, 3.0], [0.3, 0.0, 4.0]])[:, :K].copy()

    def loss_at(theta):
        z = np.empty(n * K)
        network.margins(rows, np.arange(n), theta, None, z, layers(widths))
        one, a, c = reference.LOSSES[objective.loss.name], *scales
        return (
            sum(
                c[k] * one(a[k] * z[i * K + k], a[k] * y[i * K + k], objective.loss.delta)[0]
                for i in range(n)
                for k in range(K)
            )
            / n
        )

    gradient = np.empty_like(theta)
    total = network.gradient(
        DataTerm(rows, y, None, np.arange(n), objective.codes),
        theta,
        None,
        gradient,
        layers(widths, scales=scales),
    )
    assert_allclose(total / n, loss_at(theta))
    slopes = [
        (loss_at(theta + step) - loss_at(theta - step)) / 2e-6 for step in 1e-6 * np.eye(len(theta))
    ]
    assert_allclose(gradient, slopes, atol=1e-6)
    moved = theta.copy()
    sums = network.epoch(
        DataTerm(rows, y, None, np.arange(n), objective.codes),
        moved,
        None,
        (None, None),
        np.full(1, 0.01),
        layers(widths, scales=scales),
        SGD().codes,
        n,
        1,
    )
    assert_allclose([sums["loss"] / n], [loss_at(theta)])
    assert_allclose(moved, theta - 0.01 * gradient)
    with pytest.raises(ValueError, match="scales must be a factor and a share"):
        network.gradient(
            DataTerm(rows, y, None, np.arange(n), objective.codes),
            theta,
            None,
            gradient,
            layers(widths, scales=np.ones((2, K + 1))),
        )


@pytest.mark.parametrize(
    "change, text",
    [
        ({"widths": [4, 0, 2]}, "layer 1 has 0 units"),
        ({"widths": [5, 3, 2]}, "need .* parameters"),
        ({"widths": [4, 3, 1]}, "need .* parameters"),
        ({"units": (np.zeros(3), np.ones(3))}, "center 3"),
        ({"order": np.array([11])}, "order.0. = 11"),
    ],
)
def test_the_kernel_refuses_what_does_not_fit(change, text, as_rows):
    X, y, widths, theta = case("squared_error", (3,))
    options = {"widths": widths} | change
    options["widths"] = np.array(options["widths"])
    with pytest.raises((ValueError, IndexError), match=text):
        kernel_gradient(
            as_rows(X, "dense", np.float64), y, theta=theta, loss="squared_error", **options
        )


def test_the_kernel_refuses_unknown_classes(as_rows):
    X, y, widths, theta = case("softmax", (3,))
    with pytest.raises(ValueError, match="not one of the 3 classes"):
        kernel_gradient(as_rows(X, "dense", np.float64), y + 1, widths, theta, "softmax")


# ---- the estimators ----


def fitted_beside(own, peer, X, y, start):
    """Both trained from the same weights, in the order given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = [model.set_params(warm_start=True, shuffle=False) for model in (own, peer)]
        for model in models:
            model.set_params(max_iter=1).fit(X, y)
            model.coefs_, model.intercepts_ = (
                [W.copy() for W in start.coefs_],
                [b.copy() for b in start.intercepts_],
            )
            model.set_params(max_iter=5).fit(X, y)
    return models


@pytest.mark.parametrize(
    "solver, options",
    [
        ("sgd", {}),
        ("sgd", {"nesterovs_momentum": False}),
        ("sgd", {"momentum": 0.0, "learning_rate": "constant"}),
        ("adam", {"epsilon": 1e-300}),
        ("adam", {"epsilon": 1e-300, "beta_1": 0.5, "beta_2": 0.9}),
    ],
)
@pytest.mark.parametrize("kind", ["classes", "two", "labels", "values", "several"])
def test_steps_are_scikit_learns(kind, solver, options):
    """Same weights before, same order of the rows: same weights after five epochs, short batches
    and penalties included.
    """
    X, number = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    y = {
        "classes": number,
        "two": number == 1,
        "labels": np.column_stack([number == 0, number < 2]).astype(int),
        "values": X[:, 0] + number,
        "several": np.column_stack([number, X[:, 1]]),
    }[kind]
    own, peer = (
        (MLPRegressor, peers.MLPRegressor)
        if kind in ("values", "several")
        else (MLPClassifier, peers.MLPClassifier)
    )
    options = {
        "solver": solver,
        "hidden_layer_sizes": (7, 5),
        "batch_size": 50,
        "alpha": 0.5,
        "learning_rate_init": 0.01,
        "activation": "tanh",
        "random_state": 0,
        **options,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = peer(**options, max_iter=1).fit(X, y)
    model, other = fitted_beside(own(**options), peer(**options), X, y, start)
    for mine, theirs in zip(
        model.coefs_ + model.intercepts_, other.coefs_ + other.intercepts_, strict=True
    ):
        assert_allclose(mine, theirs, rtol=1e-7, atol=1e-10)
    assert_allclose(model.predict(X), other.predict(X), rtol=1e-7, atol=1e-9)
    if kind not in ("values", "several"):
        assert_allclose(model.predict_proba(X), other.predict_proba(X), rtol=1e-7, atol=1e-10)
    factor = (
        2 if kind == "several" else 1
    )  # scikit-learn reports a mean over the targets, and descends on the sum
    if not (factor == 2 and options["alpha"]):
        assert_allclose(model.loss_curve_[-5:], other.loss_curve_[-5:], rtol=1e-7)


def test_lbfgs_finds_no_worse_a_minimum_than_scikit_learns():
    X, y = load_diabetes(return_X_y=True)
    options = {
        "hidden_layer_sizes": (5,),
        "activation": "tanh",
        "solver": "lbfgs",
        "alpha": 10.0,
        "max_iter": 2000,
        "random_state": 0,
    }
    y = (y - y.mean()) / y.std()
    own, peer = MLPRegressor(**options).fit(X, y), peers.MLPRegressor(**options).fit(X, y)
    assert own.stop_reason_ in ("tol", "plateau") and own.loss_ < peer.loss_ * 1.02


def test_invscaling_is_scikit_learns():
    model = MLPClassifier(
        solver="sgd", learning_rate="invscaling", learning_rate_init=0.5, power_t=0.3, **FAST
    )
    X, y = make_blobs(40, random_state=0)
    with pytest.warns(ConvergenceWarning) if model.tol is not None else warnings.catch_warnings():
        model.fit(X, y)
    assert_allclose(model.history_["learning_rate"], 0.5 / np.array([1, 41, 81]) ** 0.3)


def test_schedules_serve_adam_too():
    X, y = make_blobs(40, random_state=0)
    model = MLPClassifier(
        solver="adam", learning_rate=CosineDecay(0.1, epochs=3), batch_size="full", **FAST
    ).fit(X, y)
    assert_allclose(model.history_["learning_rate"], [0.1, 0.075, 0.025])


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "adam", "adamw"])
def test_xor(solver):
    """No linear model tells these four."""
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 10, dtype=float)
    y = np.array([0, 1, 1, 0] * 10)
    model = MLPClassifier(
        (8,), "tanh", solver=solver, learning_rate_init=0.05, max_iter=300, tol=1e-6, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert model.fit(X, y).score(X, y) == 1


def test_separable_blobs(activation):
    X, y = make_blobs(150, centers=[[-4, 0], [4, 0], [0, 6]], cluster_std=0.5, random_state=0)
    assert MLPClassifier(activation=activation, random_state=0).fit(X, y).score(X, y) == 1


def test_without_hidden_layers_it_is_a_linear_model():
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(
        hidden_layer_sizes=(), solver="lbfgs", alpha=0.0, max_iter=2000, tol=1e-9, random_state=0
    ).fit(X, y)
    w = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), y, rcond=None)[0]
    assert_allclose(model.predict(X), X @ w[:-1] + w[-1], rtol=1e-3)


@pytest.mark.parametrize(
    "loss, center",
    [
        ("squared_error", np.mean),
        ("absolute_error", np.median),
        ("poisson", np.mean),
        ("huber", None),
    ],
)
def test_of_constant_columns_the_best_constant_is_learnt(loss, center):
    y = np.array([1.0, 2.0, 2.0, 3.0, 20.0])
    model = MLPRegressor(
        loss,
        (3,),
        solver="adam",
        learning_rate_init=0.01,
        batch_size="full",
        alpha=0.0,
        max_iter=3000,
        tol=None,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        told = model.fit(np.ones((5, 2)), y).predict(np.ones((1, 2)))[0]
    wanted = (
        center(y) if center else 7 / 3
    )  # of huber: residuals of -1, cut, -1/3 twice, 2/3 and 1, cut, add up to nothing
    assert told == pytest.approx(wanted, rel=0.02)


def test_units_of_columns_and_targets_do_not_matter_to_auto():
    X, y = load_diabetes(return_X_y=True)
    rng = np.random.default_rng(0)
    factor, offset = 10.0 ** rng.uniform(-6, 6, X.shape[1]), rng.uniform(-5, 5, X.shape[1])
    options = {"hidden_layer_sizes": (20,), "batch_size": 50, "random_state": 0, **FAST}
    plain = MLPRegressor(**options).fit(X, y)
    scaled = MLPRegressor(**options).fit((X / X.std(axis=0) + offset) * factor, 1e6 * y + 1e8)
    assert_allclose(
        (scaled.predict((X / X.std(axis=0) + offset) * factor) - 1e8) / 1e6,
        plain.predict(X),
        rtol=1e-4,
    )
    assert_allclose(np.array(scaled.loss_curve_) / 1e12, plain.loss_curve_, rtol=1e-2)


def test_folding_is_undone():
    X, y, widths, theta = case("squared_error", (5, 3))
    problem = problem_of(X, y.reshape(-1, 2) * [2, 5] + [1, -3])
    units = network_units.Units.of(problem)
    assert_allclose(units.from_user(units.to_user(theta, widths), widths), theta)


def problem_of(X, y, loss="squared_error"):
    from fastgd.problem.data import as_rows
    from fastgd.problem.problem import Problem

    return Problem(
        as_rows(X),
        np.ascontiguousarray(y).ravel(),
        None,
        Objective(loss_of(loss), outputs=y.shape[1]),
        np.arange(len(X)),
        False,
        1,
        X,
    )


# ---- targets and columns in units of their own ----


def several(n=400, seed=0):
    """(X, Y): targets of three units, far from 0."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    Y = np.column_stack(
        [X[:, 0], np.tanh(2 * X[:, 1]), X[:, 2] * X[:, 3]]
    ) + 0.05 * rng.standard_normal((n, 3))
    return X, Y * [1000, 0.01, 1] + [0, 5, -1e4]


@pytest.mark.parametrize(
    "loss, others",
    [
        ("squared_error", {}),
        ("absolute_error", {}),
        ("huber", {}),
        ("huber", {"delta": 1e-3}),
        ("huber", {"delta": 1e6}),
        ("squared_error", {"early_stopping": True}),
        ("huber", {"batch_size": "full"}),
        ("absolute_error", {"dropout": 0.05}),
    ],
    ids=str,
)
def test_each_target_has_a_unit_of_its_own(loss, others):
    X, Y = several()
    model = MLPRegressor(loss, random_state=0, **others).fit(X, Y)
    scores = r2_score(Y, model.predict(X), multioutput="raw_values")
    assert scores.min() > 0.93


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_units_of_several_targets_change_nothing(loss, call):
    X, Y = several()
    models, units = [], np.array([1e-6, 1e6, 1e3])
    for unit, offset in ((1, 0), (units, [1e-3, -1e7, 0])):
        delta = 1e9 if loss == "huber" else 1.0  # which has one threshold for all
        model = MLPRegressor(loss, delta=delta, hidden_layer_sizes=(10,), random_state=0, **FAST)
        options = {"X_val": X[:50], "y_val": (Y * unit + offset)[:50]} if call == "fit" else {}
        models.append(getattr(model, call)(X, Y * unit + offset, **options))
    assert_allclose(
        (models[1].predict(X) - [1e-3, -1e7, 0]) / units, models[0].predict(X), rtol=1e-6
    )
    assert_allclose(models[1].loss_curve_, models[0].loss_curve_, rtol=1e-6)
    if call == "fit":
        assert_allclose(
            models[1].history_["validation_loss"], models[0].history_["validation_loss"], rtol=1e-6
        )


def huber(r, delta):
    return np.where(abs(r) < delta, r**2 / 2, delta * (abs(r) - delta / 2))


# (objective of several targets, factor of that of one); s is the spread, delta 0.5
PER_SPREAD = {
    "squared_error": (lambda r, s: r**2 / 2 / s**2, lambda s: s**2),
    "absolute_error": (lambda r, s: abs(r) / s, lambda s: s),
    "huber": (lambda r, s: huber(r, 0.5) / (s * np.minimum(s, 0.5)), lambda s: s * min(s, 0.5)),
}


@pytest.mark.parametrize("loss", PER_SPREAD)
@pytest.mark.parametrize("targets", [[0], [1], [0, 1, 2]], ids=str)
def test_losses_are_in_units_of_the_spreads(loss, targets):
    """Those of one target in its own."""
    X, Y = several()
    Y, (objective, unit) = Y[:, targets], PER_SPREAD[loss]
    s = Y.std(axis=0)
    factor = unit(s[0]) if len(targets) == 1 else 1.0
    kernel = "epsilon_insensitive" if loss == "absolute_error" else loss
    problem = dataclasses.replace(
        problem_of(X, Y),
        objective=Objective(loss_of(kernel, 0.5 * (loss == "huber")), outputs=len(targets)),
    )
    method = methods.AutoScheduleFree(methods.Architecture((5,), "tanh"), len(X), 0)
    method.start(problem, None, None)
    coefs, intercepts = method.solution()
    told = np.tanh(X @ coefs[0] + intercepts[0]) @ coefs[1] + intercepts[1]
    assert_allclose(
        method.loss_at(method.state.theta), factor * objective(Y - told, s).sum(axis=1).mean()
    )
    model = MLPRegressor(loss, (5,), delta=0.5, random_state=0, **FAST)
    model.fit(
        X,
        Y[:, 0] if len(targets) == 1 else Y,
        X_val=X[:99],
        y_val=Y[:99, 0] if len(targets) == 1 else Y[:99],
    )
    told = factor * objective(Y[:99] - model.predict(X[:99]).reshape(99, -1), s).sum(axis=1).mean()
    assert_allclose(model.history_["validation_loss"][-1], told)


def test_losses_of_counts_are_as_they_stand():
    X, Y = several()
    Y = np.round(abs(Y))
    problem = problem_of(X, Y, "poisson")
    method = methods.AutoScheduleFree(methods.Architecture((5,), "tanh"), len(X), 0)
    method.start(problem, None, None)
    coefs, intercepts = method.solution()
    z = np.tanh(X @ coefs[0] + intercepts[0]) @ coefs[1] + intercepts[1]
    assert_allclose(method.loss_at(method.state.theta), (np.exp(z) - Y * z).sum(axis=1).mean())


@pytest.mark.parametrize("unit", [1e-6, 1, 1e6])
def test_huber_losses_of_any_unit_fit(unit):
    X, Y = several()
    y = unit * (Y[:, 1] - 5) * 100
    assert (
        MLPRegressor("huber", random_state=0, max_iter=100, tol=None).fit(X, y).score(X, y) > 0.95
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "huber", "delta": 0.1},
        {"loss": "poisson"},
        {"early_stopping": True},
        {"loss": "absolute_error", "hidden_layer_sizes": ()},
    ],
    ids=str,
)
def test_fits_of_several_targets_go_on_exactly(options):
    X, Y = several()
    Y = np.abs(np.column_stack([Y, np.full(len(Y), 3.0)]))
    settings = {
        "hidden_layer_sizes": (5,),
        "random_state": 0,
        "warm_start": True,
        "tol": None,
    } | options
    whole = MLPRegressor(max_iter=6, **settings).fit(X, Y)
    pieces = MLPRegressor(max_iter=2, **settings).fit(X, Y)
    pieces = pickle.loads(pickle.dumps(pieces)).set_params(max_iter=4).fit(X, Y)
    for one, other in zip(
        pieces.coefs_ + pieces.intercepts_, whole.coefs_ + whole.intercepts_, strict=True
    ):
        assert_array_equal(one, other)
    assert pieces.loss_curve_ == whole.loss_curve_
    assert_array_equal(whole.predict(X)[:, 3], 3.0) if "loss" not in options else None
    changed = whole.set_params(alpha=0.01, max_iter=1).fit(X, Y)  # a warm start from the weights
    again = clone(changed).fit(X, Y)
    assert changed.loss_ < again.loss_


@pytest.mark.parametrize("hidden", [(), (6,), (5, 4)], ids=str)
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_other_units_leave_what_a_network_predicts_as_it_is(hidden, loss):
    X, Y = several()
    Y = np.abs(Y)
    units = [
        network_units.Units.of(problem_of(X * scale + offset, Y * factor, loss))
        for scale, offset, factor in ((1, 0, 1), (2.5, -3, 4), (0.2, 7, 0.3))
    ]
    units.append(units[0].merge(units[1]))
    widths = np.array([4, *hidden, 3])
    theta, other = (
        np.random.default_rng(seed).standard_normal(
            sum((a + 1) * b for a, b in itertools.pairwise(widths))
        )
        for seed in (0, 1)
    )
    for before, after in itertools.permutations(units, 2):
        ratio = after.inputs.scale / before.inputs.scale
        moved = after.follow(theta, widths, before)
        if ratio.max() < network_units.MAX_SCALE_RATIO:
            assert_allclose(
                after.to_user(moved, widths), before.to_user(theta, widths), rtol=1e-8, atol=1e-8
            )
        step = after.follow(other - theta, widths, before, shift=False)
        assert_allclose(moved + step, after.follow(other, widths, before), rtol=1e-9, atol=1e-9)


# ---- streams ----


def nonlinear(n=1400, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.05 * rng.standard_normal(n)


def streamed(model, X, y, first, epochs=60):
    """A model that meets the parts `first`, one a call, before it meets everything."""
    for rows in first:
        model.partial_fit(X[rows], y[rows])
    for _ in range(epochs):
        model.partial_fit(X, y)
    return model


BEGINNINGS = {
    "one": [slice(1)],
    "two": [slice(2)],
    "thirty": [slice(i, i + 1) for i in range(30)],
    "equal": [slice(1)] * 30,
    "growing": [slice(1), slice(1, 4), slice(4, 12), slice(12, 40), slice(40, 150)],
}


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
@pytest.mark.parametrize("begin", BEGINNINGS)
def test_streams_may_begin_with_any_rows(loss, begin):
    """They end as good as one that begins with all of them, in any units."""
    unit, offset = {"squared_error": (1e6, -1e8), "absolute_error": (1e-6, 1e-3), "huber": (1, 0)}[
        loss
    ]
    X, y = nonlinear()
    X, y = X * [1, unit, 1, 1 / unit] + [offset, 0, 1, 0], unit * y + offset
    errors = []
    for first in (BEGINNINGS[begin], []):
        model = streamed(
            MLPRegressor(loss, hidden_layer_sizes=(30,), random_state=1), X[:1000], y[:1000], first
        )
        errors.append(((model.predict(X[1000:]) - y[1000:]) ** 2).mean() ** 0.5)
    assert errors[0] < 1.2 * errors[1] < 0.75 * y.std()


def test_units_do_not_matter_to_a_stream():
    X, y = nonlinear(300)
    told = []
    for unit in (1, 1e-6, 1e6):
        model = MLPRegressor(hidden_layer_sizes=(8,), random_state=0)
        rows, values = X * [unit, 1, 1 / unit, 1] + [0, unit, 0, 3], unit * y - unit
        model = streamed(model, rows, values, BEGINNINGS["growing"], epochs=30)
        told.append(model.predict(rows) / unit)
    assert_allclose(told[1], told[0], rtol=1e-6)
    assert_allclose(told[2], told[0], rtol=1e-6)


@pytest.mark.parametrize("kind", ["two", "labels"])
def test_streams_may_begin_with_one_class(kind):
    X, y = load_breast_cancer(return_X_y=True)
    y = np.column_stack([y, X[:, 0] > 15, X[:, 1] > 20]).astype(int) if kind == "labels" else y
    same = np.flatnonzero((y == y[0]).reshape(len(y), -1).all(axis=1))[:1]
    scores = []
    for first in ([same] * 15, []):
        model = MLPClassifier((20,), random_state=0)
        for number, rows in enumerate([*first, *[slice(None)] * 60]):
            model.partial_fit(X[rows], y[rows], classes=[0, 1] if kind == "two" else [0, 1, 2])
            if number == 14 and first:  # the class that alone has been seen is the likely one
                told = model.predict_proba(X[same])
                assert (told[:, y[0]] if kind == "two" else 1 - abs(told - y[0])).min() > 0.53
        scores.append(model.score(X, y))
    assert scores[0] > scores[1] - 0.02 > 0.8


@pytest.mark.parametrize("begin", ["one", "thirty"])
@pytest.mark.parametrize("layout", ["dense", "sparse"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_streams_of_classes_may_begin_with_any_rows(begin, layout, dtype):
    X, y = load_digits(return_X_y=True)
    X, y = (X * (X > 4) * 1e-3).astype(dtype), y.astype(float)
    rows = sparse.csr_array(X) if layout == "sparse" else X
    scores = []
    for first in (BEGINNINGS[begin], []):
        model = MLPClassifier((30,), random_state=0)
        for part in [*first, *[slice(1000)] * 12]:
            model.partial_fit(rows[part], y[part], classes=np.arange(10))
        scores.append(model.score(rows[1000:], y[1000:]))
    assert scores[0] > scores[1] - 0.02 > 0.85


@pytest.mark.parametrize("unit", [1e-6, 1e6])
@pytest.mark.parametrize("calls", [5, 25])
@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_columns_and_targets_may_vary_later(layout, calls, unit):
    """They are constant at first, among others that are not."""
    X, y = nonlinear()
    X, Y = X * [unit, 1, 1, 1], np.column_stack([unit * y, X[:, 0], X[:, 1]])
    scores = []
    for constant in (True, False):
        model = MLPRegressor(hidden_layer_sizes=(30,), random_state=0)
        early, told = X[:200].copy(), Y[:200].copy()
        if constant:
            early[:, 0], told[:, :2] = 0.5 * unit, told[0, :2]
        for rows, values in [(early, told)] * calls + [(X[:1000], Y[:1000])] * 80:
            model.partial_fit(sparse.csr_array(rows) if layout == "sparse" else rows, values)
        scores.append(r2_score(Y[1000:], model.predict(X[1000:]), multioutput="raw_values"))
    assert (scores[0] > scores[1] - 0.1).all() and scores[1].min() > 0.7


def test_a_column_far_out_in_mid_stream_breaks_nothing():
    """What was learnt within a millionth of its spread is not stretched to all of it."""
    X, y = nonlinear()
    early = X[:500] * [1, 1, 1, 1e-9]
    model = MLPRegressor(hidden_layer_sizes=(30,), random_state=0)
    for _ in range(30):
        model.partial_fit(early, y[:500])
    before = model.score(early, y[:500])
    model.partial_fit(X[500:550], y[500:550])
    assert model.score(X[:1000], y[:1000]) > before - 0.1
    assert streamed(model, X[:1000], y[:1000], [], 30).score(X[1000:], y[1000:]) > before


def test_a_stream_goes_on_from_a_fit_and_from_a_file():
    X, Y = several()
    model = MLPRegressor(hidden_layer_sizes=(30,), random_state=0, max_iter=100, tol=None).fit(
        X[:200], Y[:200]
    )
    before = r2_score(Y[200:], model.predict(X[200:]), multioutput="raw_values")
    other = pickle.loads(pickle.dumps(model))
    for rows in (slice(200, 201), slice(201, 210), slice(210, None), slice(None)):
        model.partial_fit(X[rows], Y[rows])
        other = pickle.loads(pickle.dumps(other)).partial_fit(X[rows], Y[rows])
        assert (
            r2_score(Y[200:], model.predict(X[200:]), multioutput="raw_values") > before - 0.05
        ).all()
        for one, same in zip(
            model.coefs_ + model.intercepts_, other.coefs_ + other.intercepts_, strict=True
        ):
            assert_array_equal(one, same)


def test_a_stream_has_the_same_bits_for_any_number_of_threads():
    from threadpoolctl import threadpool_limits

    X, y = load_digits(return_X_y=True)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            model = streamed(
                MLPRegressor(hidden_layer_sizes=(200,), random_state=0),
                X,
                y,
                [slice(1), slice(2, 300)],
                epochs=1,
            )
            found.append(model.coefs_)
    for one, two in zip(*found, strict=True):
        assert_array_equal(one, two)


# ---- numbers of any size ----


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson"])
@pytest.mark.parametrize("value", [0, 5, 0.1, 1e12, 1e155, 1e-200, 5e-324])
def test_equal_targets_are_their_value(loss, value):
    X, _ = several(50)
    model = MLPRegressor(loss, random_state=0)
    told = 1e-16 if loss == "poisson" and value == 0 else value
    for call, y in (
        ("fit", np.full(50, value)),
        ("partial_fit", np.full(50, value)),
        ("fit", np.full((50, 2), value)),
    ):
        assert_allclose(getattr(model, call)(X, y).predict(X), np.full(y.shape, told), rtol=1e-11)
        assert model.n_iter_ == 1
        if loss != "poisson":
            assert model.loss_ == 0
            assert_array_equal(model.predict(X), y)
        model = clone(model)


def test_an_equal_target_does_not_disturb_the_others():
    X, Y = several()
    model = MLPRegressor(random_state=0).fit(X, np.column_stack([Y, np.full(len(Y), 1e12)]))
    assert r2_score(Y, model.predict(X)[:, :3], multioutput="raw_values").min() > 0.95
    assert_array_equal(model.predict(X)[:, 3], 1e12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("hidden", [(), (20,)], ids=str)
@pytest.mark.parametrize(
    "unit, loss",
    [
        (1e-300, "squared_error"),
        (1e-200, "huber"),
        (1e150, "squared_error"),
        (1e155, "huber"),
        (1e155, "absolute_error"),
        (1e-310, "absolute_error"),
    ],
)
def test_columns_and_targets_of_any_size(unit, loss, hidden, call):
    X, Y = several()
    X = X * [1e-200, 1e155, 1, 1]
    y = (X[:, 2] + X[:, 3]) * unit
    model = MLPRegressor(loss, hidden, random_state=0, max_iter=60, tol=None)
    for _ in range(1 if call == "fit" else 60):
        getattr(model, call)(X, y)
    assert ((model.predict(X) / unit - y / unit) ** 2).mean() < 0.15


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_whose_weights_overflow_do_not_count(dtype):
    X, Y = several()
    plain = MLPRegressor(hidden_layer_sizes=(10,), random_state=0, **FAST).fit(X * [1, 1, 1, 0], Y)
    tiny = (X * [1, 1, 1, 100 * np.finfo(dtype).smallest_subnormal]).astype(dtype)
    model = clone(plain).fit(tiny, Y)
    assert_allclose(
        model.predict(tiny) / Y.std(axis=0),
        plain.predict(X * [1, 1, 1, 0]) / Y.std(axis=0),
        atol=0.01,
    )
    assert not model.coefs_[0][3].any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "X, y, options, text",
    [
        (1, 1e155, {}, "y is too large: its spread is"),
        (1, 1e-322, {}, "y is too small: its spread is"),
        (1, 1e300, {"solver": "adam"}, "y is too large: training would have diverged"),
        (1e155, 1, {"solver": "lbfgs", "tol": None}, "largest value of column 2 of X is"),
        (
            1e155,
            1,
            {"solver": "sgd"},
            "learning rate smaller than 0.001. The largest value of column 2 of X is",
        ),
        (1.7e308, 1, {}, "Column 2 of X is too large"),
    ],
)
def test_what_overflows_is_named(X, y, options, text):
    rows, Y = several()
    rows = np.sign(rows) * [1, 1, X, 1]
    with pytest.raises(ValueError, match=text) as caught:
        MLPRegressor(random_state=0, max_iter=5, **options).fit(rows, np.tanh(Y[:, 0]) * y)
    assert ("rate" in str(caught.value)) == (options.get("solver") == "sgd")


def test_float32_holds_the_targets_or_refuses_them():
    X, Y = several()
    X = X.astype(np.float32)
    for unit in (1e-30, 1e30):
        assert (
            MLPRegressor(random_state=0).fit(X, unit * Y[:, 1] * 100).score(X, unit * Y[:, 1] * 100)
            > 0.9
        )
    with pytest.raises(ValueError, match="y is too large: its largest value is .* float32"):
        MLPRegressor(random_state=0).fit(X, 1e36 * Y[:, 0])
    with pytest.raises(ValueError, match="y is too small: .* float32"):
        MLPRegressor(random_state=0).fit(X, 1e-42 * Y[:, 1])


@pytest.mark.parametrize("solver", ["auto", "adam", "lbfgs"])
def test_float32_is_kept(solver):
    X, y = load_digits(return_X_y=True)
    model = MLPClassifier((10,), solver=solver, random_state=0, **FAST).fit(X.astype(np.float32), y)
    assert {part.dtype for part in model.coefs_ + model.intercepts_} == {np.dtype(np.float32)}
    assert model.predict_proba(X.astype(np.float32)).dtype == np.float32
    wide = MLPClassifier((10,), solver=solver, random_state=0, **FAST).fit(X, y)
    assert_allclose(model.loss_curve_, wide.loss_curve_, rtol=1e-2)


@pytest.mark.parametrize("solver", ["auto", "adam", "lbfgs"])
def test_sparse_rows_are_dense_rows(solver):
    X, y = load_digits(return_X_y=True)
    X = X[:300] * (X[:300] > 8)
    options = {"hidden_layer_sizes": (10,), "solver": solver, "random_state": 0, **FAST}
    dense = MLPClassifier(**options).fit(X if solver != "auto" else X, y[:300])
    for form in (sparse.csr_array, sparse.csc_matrix):
        model = MLPClassifier(**options).fit(form(X), y[:300])
        assert_allclose(model.predict_proba(form(X)), model.predict_proba(X), rtol=1e-9, atol=1e-12)
        if solver != "auto":  # whose units are other ones: zeros stay zeros
            assert_allclose(model.loss_curve_, dense.loss_curve_, rtol=1e-9)


def test_same_seed_same_bits_whatever_the_threads():
    from threadpoolctl import threadpool_limits

    X, y = load_digits(return_X_y=True)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            model = MLPClassifier((300,), batch_size=600, dropout=0.2, random_state=3, **FAST).fit(
                X, y
            )
            found.append((*model.coefs_, *model.intercepts_, model.predict_proba(X)))
    for one, two in zip(*found, strict=True):
        assert_array_equal(one, two)


@pytest.mark.parametrize("solver", ["auto", "adam", "lbfgs"])
def test_whole_weights_are_repeated_rows(solver):
    """Of full batches."""
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    weights = np.random.default_rng(0).integers(0, 3, len(X))
    options = {
        "hidden_layer_sizes": (6,),
        "solver": solver,
        "batch_size": "full",
        "alpha": 1.0,
        "random_state": 0,
        "learning_rate_init": 0.01,
        "max_iter": 15,
        "tol": None,
    }
    rows = np.repeat(np.arange(len(X)), weights)
    weighted, repeated = (
        MLPClassifier(**options).fit(X, y, weights),
        MLPClassifier(**options).fit(X[rows], y[rows]),
    )
    if solver == "adam":
        assert_allclose(weighted.coefs_[0], repeated.coefs_[0], rtol=1e-6, atol=1e-9)
    assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-3, atol=1e-5)


def test_the_automatic_penalty_makes_standard_normal_weights_likeliest():
    """Of all rows together it is |W|^2 / 2, in the units of the method, whatever the batches; so
    weights count as rows do.
    """
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    options = {"hidden_layer_sizes": (6,), "random_state": 0, **FAST}
    for size, alpha in ((50, 50 / 178), ("full", 1.0), ("auto", 1.0), (1, 1 / 178)):
        model = MLPClassifier(batch_size=size, **options).fit(X, y)
        assert model.alpha_ == pytest.approx(alpha)
        same = MLPClassifier(batch_size=size, alpha=alpha, **options).fit(X, y)
        assert_array_equal(same.coefs_[0], model.coefs_[0])
    whole = MLPClassifier(
        batch_size="full", hidden_layer_sizes=(6,), random_state=0, max_iter=400, tol=None
    ).fit(X, y)
    theta = np.concatenate([W.ravel() for W in whole.coefs_])
    assert whole.loss_ == pytest.approx(
        log_loss(y, whole.predict_proba(X)) + theta @ theta / (2 * len(X)), rel=0.01
    )
    for solver in ("adam", "adamw", "sgd", "lbfgs"):
        assert MLPClassifier(solver=solver, **options).fit(X, y).alpha_ == 1e-4  # scikit-learn's
    stream = MLPClassifier(batch_size=10, random_state=0).partial_fit(
        X[::2], y[::2], classes=[0, 1, 2]
    )
    assert stream.alpha_ == 10 / 89 and stream.partial_fit(X[1::2], y[1::2]).alpha_ == 10 / 178


def test_class_weights_are_sample_weights():
    X, y = load_wine(return_X_y=True)
    options = {"hidden_layer_sizes": (6,), "random_state": 0, "batch_size": 40, **FAST}
    by_class = MLPClassifier(class_weight={0: 1, 1: 2, 2: 3}, **options).fit(X, y)
    by_row = MLPClassifier(**options).fit(X, y, sample_weight=y + 1)
    assert_array_equal(by_class.coefs_[0], by_row.coefs_[0])
    balanced = MLPClassifier(class_weight="balanced", **options).fit(X, y)
    by_row = MLPClassifier(**options).fit(X, y, sample_weight=len(y) / (3 * np.bincount(y))[y])
    assert_allclose(balanced.coefs_[0], by_row.coefs_[0])


def test_several_targets_and_several_labels():
    X, y = load_diabetes(return_X_y=True)
    targets = np.column_stack([y, -y])
    model = MLPRegressor(hidden_layer_sizes=(20,), random_state=0, max_iter=30, tol=None).fit(
        X, targets
    )
    assert (
        model.predict(X).shape == targets.shape
        and model.score(X, targets) > 0.5
        and model.n_outputs_ == 2
    )
    labels = np.column_stack([y > 100, y > 200]).astype(int)
    model = MLPClassifier((20,), random_state=0, max_iter=30, tol=None).fit(X, labels)
    assert set(np.unique(model.predict(X))) == {0, 1} and model.score(X, labels) > 0.6
    assert model.predict_proba(X).shape == labels.shape and model.out_activation_ == "logistic"
    assert MLPRegressor(hidden_layer_sizes=(5,), **FAST).fit(X, y).predict(X).shape == y.shape


def test_early_stopping_restores_the_best_epoch():
    X, X_val, y, y_val = train_test_split(*load_wine(return_X_y=True), random_state=0)
    noisy = np.where(np.random.default_rng(0).random(len(y)) < 0.3, 0, y)
    model = MLPClassifier(
        (50,), alpha=0.0, batch_size=20, early_stopping=True, random_state=0, n_iter_no_change=5
    )
    model.fit(X, noisy, X_val=X_val, y_val=y_val)
    assert (
        model.score(X_val, y_val) == model.best_validation_score_ == max(model.validation_scores_)
    )
    assert len(model.validation_scores_) == model.n_iter_ == len(model.history_["validation_loss"])
    assert model.stop_reason_ == "validation" and model.best_loss_ is None
    assert model.best_validation_score_ > model.validation_scores_[-1]


def test_early_stopping_splits_if_nobody_else_does():
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(
        hidden_layer_sizes=(20,), early_stopping=True, validation_fraction=0.3, random_state=0
    ).fit(X, y)
    assert model.validation_scores_[
        -1
    ] <= model.best_validation_score_ and model.t_ == model.n_iter_ * round(0.7 * len(X))
    labels = np.column_stack([y > 100, y > 200]).astype(int)
    MLPClassifier((5,), early_stopping=True, random_state=0, **FAST).fit(X, labels)


def test_validation_rows_alone_stop_nothing():
    X, y = load_wine(return_X_y=True)
    plain = MLPClassifier((5,), random_state=0, batch_size=50, max_iter=8, tol=None).fit(X, y)
    model = clone(plain).fit(X, y, X_val=X[:50], y_val=y[:50])
    assert_array_equal(plain.coefs_[0], model.coefs_[0])
    assert len(model.validation_scores_) == 8


@pytest.mark.parametrize("solver", ["auto", "sgd", "adam"])
def test_partial_fit_goes_on(solver):
    X, y = load_digits(return_X_y=True)
    model = MLPClassifier(
        (30,), solver=solver, learning_rate_init=0.1 if solver == "sgd" else 0.01, random_state=0
    )
    for _ in range(3):
        for rows in np.array_split(np.arange(1000), 4):
            model.partial_fit(
                X[rows] / (1 if solver == "auto" else 16), y[rows], classes=np.arange(10)
            )
    assert len(model.loss_curve_) == 12 and model.t_ == 3000 and model.n_iter_ == 1
    assert model.score(X[1000:] / (1 if solver == "auto" else 16), y[1000:]) > 0.8
    with pytest.raises(ValueError, match="classes not in"):
        model.partial_fit(X[:5], [99] * 5)


def test_partial_fit_bears_tiny_first_batches():
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(hidden_layer_sizes=(20,), random_state=0)
    for begin in (0, 1, 2, 10):
        model.partial_fit(X[begin : begin + 1], y[begin : begin + 1])
    for _ in range(30):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.4


def test_partial_fit_needs_a_stochastic_solver():
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    assert not hasattr(MLPRegressor(solver="lbfgs"), "partial_fit")


def test_warm_starts_go_on_from_the_weights():
    X, y = load_wine(return_X_y=True)
    for solver in ("auto", "adam", "lbfgs"):
        model = MLPClassifier((6,), solver=solver, warm_start=True, random_state=0, **FAST).fit(
            X, y
        )
        before = model.loss_curve_[-1]
        model.fit(X, y)
        assert (
            len(model.loss_curve_) == 6
            and model.n_iter_ == 3
            and model.loss_curve_[3] < before * 1.5
        )
        with pytest.raises(ValueError, match="layers"):
            model.set_params(hidden_layer_sizes=(7,)).fit(X, y)


def test_dropout_trains_another_model_that_tells_the_same():
    X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    options = {"random_state": 0, "max_iter": 20, "tol": None}
    plain, dropped = (
        MLPClassifier(**options).fit(X, y),
        MLPClassifier(dropout=0.3, **options).fit(X, y),
    )
    assert not np.array_equal(plain.coefs_[0], dropped.coefs_[0]) and dropped.loss_ > plain.loss_
    assert dropped.score(X_test, y_test) > 0.95
    with pytest.raises(ValueError, match="dropout"):
        MLPClassifier(dropout=0.3, solver="lbfgs").fit(X, y)


def test_weights_begin_as_he_and_glorot_have_it():
    widths = [200, 300, 400]
    wanted = {
        "relu": (2 / 200, 2 / 700),
        "tanh": (2 / 500, 2 / 700),
        "logistic": (2 / 3 / 500, 2 / 3 / 700),
    }
    for activation, variances in wanted.items():
        theta = network_units.initial(widths, activation, np.random.default_rng(0))
        for (W, b), variance in zip(network_units.layers(theta, widths), variances, strict=True):
            assert W.var() == pytest.approx(variance, rel=0.02) and not b.any()


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "auto", "lbfgs"])
def test_only_intercepts_escape_the_penalty(solver):
    X, y = load_diabetes(return_X_y=True)
    y = y / y.std()
    model = MLPRegressor(
        hidden_layer_sizes=(5,),
        solver=solver,
        alpha=90.0 if solver == "adamw" else 1e5,
        learning_rate_init=1e-3 if solver == "sgd" else 1e-2,
        momentum=0.0,
        batch_size="full",
        max_iter=300,
        tol=None,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert max(np.abs(W).max() for W in model.coefs_) < 0.1 < abs(model.intercepts_[-1][0])


def test_they_work_in_pipelines_and_searches():
    X, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), MLPClassifier((10,), random_state=0))
    search = GridSearchCV(model, {"mlpclassifier__alpha": [1e-3, 1]}, cv=3)
    assert search.fit(X, y).best_score_ > 0.95


def test_a_budget_of_seconds_ends_training():
    X, y = load_digits(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        model = MLPClassifier(max_seconds=1e-9, random_state=0).fit(X, y)
    assert model.n_iter_ == 1 and model.stop_reason_ == "max_seconds"


def test_an_interrupt_leaves_the_last_complete_epoch(monkeypatch):
    X, y = load_digits(return_X_y=True)
    epoch, done = methods.Backpropagation.epoch, []

    def interrupted(self, order):
        done.append(None)
        if len(done) == 3:
            raise KeyboardInterrupt
        return epoch(self, order)

    monkeypatch.setattr(methods.Backpropagation, "epoch", interrupted)
    model = MLPClassifier((10,), solver="adam", random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    monkeypatch.undo()
    two = MLPClassifier((10,), solver="adam", max_iter=2, tol=None, random_state=0).fit(X, y)
    assert model.n_iter_ == 2 and model.stop_reason_ == "interrupted"
    assert_array_equal(model.coefs_[0], two.coefs_[0])


# ---- bad input ----


@pytest.mark.parametrize("sizes", [0, -3, (5, 0), (5, -1), (2.5,), ("a",), (True,)])
def test_hidden_sizes_must_be_positive(sizes):
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        MLPClassifier(sizes).fit([[0.0], [1.0]], [0, 1])


def test_a_batch_larger_than_the_data_is_all_of_it():
    X, y = load_wine(return_X_y=True)
    with pytest.warns(UserWarning, match="batch_size"):
        model = MLPClassifier((5,), solver="adam", batch_size=1000, random_state=0, **FAST).fit(
            X, y
        )
    full = MLPClassifier(
        (5,), solver="adam", batch_size="full", shuffle=False, random_state=0, **FAST
    ).fit(X, y)
    assert_allclose(model.loss_curve_, full.loss_curve_)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_an_explosion_is_told_and_the_last_good_model_kept(solver):
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(
        hidden_layer_sizes=(5,), solver=solver, random_state=0, max_iter=5, tol=None
    ).fit(X, y)
    before = model.predict(X)
    with pytest.raises(ValueError, match="diverged"):
        model.set_params(solver="sgd", learning_rate_init=1e12, max_iter=50).fit(X * 1e6, y)
    assert_array_equal(model.predict(X), before)


def test_auto_repairs_an_explosion(monkeypatch):
    """At a thousand times its rate the first epochs blow up; they are taken again until they do
    not.
    """
    monkeypatch.setattr(methods, "SCHEDULE_FREE_RATE", 400.0)
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(
        hidden_layer_sizes=(50, 50, 50), batch_size=20, random_state=0, max_iter=40, tol=None
    ).fit(X, y)
    assert (
        model.history_["learning_rate"][-1] < model.history_["learning_rate"][0]
        or model.history_["learning_rate"][0] < 1
    )
    assert model.score(X, y) > 0.3


@pytest.mark.parametrize(
    "solver, text",
    [("auto", "y is too large: its spread is"), ("lbfgs", "diverged"), ("adam", "diverged")],
)
def test_targets_whose_squares_overflow_are_refused(solver, text):
    X = np.arange(4.0).reshape(-1, 1)
    with pytest.raises(ValueError, match=text):
        MLPRegressor(solver=solver).fit(X, 1e300 * X[:, 0])
    if solver == "auto":
        model = MLPRegressor("absolute_error", random_state=0, max_iter=2, tol=None).fit(
            X, 1e300 * X[:, 0]
        )
        assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize(
    "X, y",
    [
        (np.array([[1e200], [-1e200], [3e200], [0.0]]), np.array([1.0, 2.0, 3.0, 4.0])),
        (np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([1e80, -1e80, 2e80, 0.0])),
        (np.full((4, 2), 7.0), np.array([1.0, 2.0, 3.0, 4.0])),
        (np.array([[1.0], [2.0], [3.0], [4.0]]), np.full(4, 5.0)),
    ],
)
def test_auto_bears_units_of_any_size(X, y):
    model = MLPRegressor(
        hidden_layer_sizes=(5,), batch_size=2, random_state=0, max_iter=20, tol=None
    ).fit(X, y)
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize(
    "change, text",
    [
        ({"activation": "sigmoid"}, "activation"),
        ({"solver": "newton"}, "solver"),
        ({"dropout": 1.0}, "dropout"),
        ({"momentum": 1.0}, "momentum"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_unknown_choices_are_refused(change, text):
    with pytest.raises(ValueError, match=text):
        MLPClassifier(**change).fit([[0.0], [1.0]], [0, 1])


def test_targets_that_cannot_be_told_are_refused():
    X = np.arange(6.0).reshape(-1, 1)
    with pytest.raises(ValueError, match="y must be >= 0"):
        MLPRegressor("poisson").fit(X, X[:, 0] - 1)
    with pytest.raises(ValueError, match="one class|1 class"):
        MLPClassifier().fit(X, np.zeros(6, int))
    with pytest.raises(ValueError, match="Multioutput"):
        MLPClassifier().fit(X, np.column_stack([np.arange(6) % 3, np.arange(6)]))
    with pytest.raises(ValueError, match="y_val was not provided"):
        MLPClassifier().fit(X, np.arange(6) % 2, X_val=X)
    with pytest.raises(ValueError, match="classes not in"):
        MLPClassifier().fit(X, np.arange(6) % 2, X_val=X, y_val=np.arange(6))


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_a_budget_of_evaluations_that_is_spent_is_told(kind):
    X, y = load_wine(return_X_y=True)
    for home in peers, fastgd:
        model = getattr(home, kind)(
            solver="lbfgs", hidden_layer_sizes=50, max_iter=150, max_fun=10, random_state=1
        )
        with pytest.warns(ConvergenceWarning, match="hasn't converged yet|failed to converge"):
            model.fit(X, y)
    assert model.stop_reason_ == "max_fun"


@pytest.mark.parametrize(
    "model",
    [
        peers.MLPRegressor(early_stopping=True),
        MLPRegressor(early_stopping=True),
        fastgd.SGDRegressor(early_stopping=True),
    ],
    ids=lambda model: type(model).__module__,
)
def test_one_row_is_too_few_to_validate_a_regression_by(model):
    with pytest.raises(
        ValueError,
        match="The validation set is too small. Increase 'validation_fraction' or the size of your",
    ):
        model.fit([[1.0, 2], [3, 4], [1, 1]], [1.0, 2, 3])
