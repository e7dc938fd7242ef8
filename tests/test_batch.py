"""The batch kernels: gradients, margins and epochs are the twin's, for any batch size and any
number of threads.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import reference
from fastgd.kernels import batch
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.losses import Loss, Targets
from fastgd.kernels.rules import Kind

QUIET = {"noise": 0.0, "fading": 0.0, "seed": 0}
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-4}
RULES = {
    "sgd": {"kind": Kind.SGD, "first": 0.0, "second": 0.0, "eps": 0.0} | QUIET,
    "momentum": {"kind": Kind.MOMENTUM, "first": 0.9, "second": 0.0, "eps": 0.0} | QUIET,
    "adam": {"kind": Kind.ADAM, "first": 0.9, "second": 0.999, "eps": 1e-8} | QUIET,
}


def objective_of(problem, outputs):
    """The twin's problem as the kernels take it."""
    return {
        "loss": Loss[problem.loss.upper()],
        "delta": problem.delta,
        "slope_limit": 1e12,
        "max_curvature": np.inf,
        "smoothing": 0.0,
        "l1": problem.l1,
        "l2": problem.l2,
        "outputs": outputs,
        "targets": Targets.VALUES if problem.targets == "values" else Targets.CLASSES,
        "intercept": problem.intercept,
        "positive": problem.positive,
        "intercept_cost": problem.tilt,
        "custom": 0,
    }


def start(outputs, columns):
    rng = np.random.default_rng(3)
    return rng.standard_normal((outputs, columns)), rng.standard_normal(outputs)


def targets_for(loss, data):
    """(targets, their kind, outputs)"""
    if loss == "softmax":
        return data.classes, "softmax", 3
    if loss in reference.CLASSIFICATION:
        return data.classes, "one-vs-rest", 3
    return (data.counts, "values", 1) if loss == "poisson" else (data.values, "values", 1)


def kernel_gradient(rows, y, problem, W, b, layout, dtype, order, weights=None, threads=1):
    """(summed loss, gradient of W, gradient of b)"""
    theta = reference.pack(W, b, layout, dtype)
    out = np.full_like(theta, np.nan)
    y = np.asarray(y, dtype=float).ravel()
    loss = batch.gradient(
        DataTerm(rows, y, weights, order, objective_of(problem, len(b)), threads), theta, out
    )
    return loss, *reference.unpack(out, len(b), layout)


def assert_close(computed, expected, dtype):
    assert_allclose(computed, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", [*reference.LOSSES, "softmax"])
def test_the_gradient_is_the_twins(loss, weighted, data, as_rows, layout, dtype):
    y, targets, outputs = targets_for(loss, data)
    problem = reference.Problem(loss, 0.3, targets=targets)
    weights = data.weights if weighted else np.ones(43)
    W, b = start(outputs, 6)
    for order in (np.arange(43), np.arange(42, -1, -2), np.array([5]), np.array([4, 4, 4, 4, 4])):
        expected = reference.gradient(problem, data.X[order], y[order], W, b, weights[order])
        computed = kernel_gradient(
            as_rows(data.X, layout, dtype),
            y,
            problem,
            W,
            b,
            layout,
            dtype,
            order,
            weights if weighted else None,
        )
        for a, e in zip(computed, expected, strict=True):
            assert_close(a, e, dtype)


@pytest.mark.parametrize("loss", [*reference.LOSSES, "softmax"])
def test_the_gradient_is_the_derivative_of_the_objective(loss, data, as_rows):
    y, targets, outputs = targets_for(loss, data)
    problem = reference.Problem(loss, 0.3, targets=targets)
    W, b = start(outputs, 6)
    _, G, g = kernel_gradient(
        as_rows(data.X, "dense", np.float64), y, problem, W, b, "dense", np.float64, np.arange(43)
    )
    for k in range(outputs):
        for j in (0, 3, 5):
            step = np.zeros_like(W)
            step[k, j] = 1e-6
            rise = reference.objective(problem, data.X, y, W + step, b) - reference.objective(
                problem, data.X, y, W - step, b
            )
            assert G[k, j] == pytest.approx(rise / 2e-6, abs=1e-6)
        step = 1e-6 * (np.arange(outputs) == k)
        rise = reference.objective(problem, data.X, y, W, b + step) - reference.objective(
            problem, data.X, y, W, b - step
        )
        assert g[k] == pytest.approx(rise / 2e-6, abs=1e-6)


def test_without_an_intercept_its_gradient_is_zero(data, as_rows, layout):
    problem = reference.Problem("squared_error", intercept=False)
    W, b = start(3, 6)
    rows = as_rows(data.X, layout, np.float64)
    _, _, g = kernel_gradient(rows, data.pairs, problem, W, b, layout, np.float64, np.arange(43))
    assert_array_equal(g, 0)


def test_margins_are_x_times_w_plus_b(data, as_rows, layout, dtype):
    for outputs in (1, 2, 5):
        W, b = start(outputs, 6)
        z = np.full(43 * outputs, np.nan)
        batch.margins(
            as_rows(data.X, layout, dtype), reference.pack(W, b, layout, dtype), outputs, z, 1
        )
        assert_close(z.reshape(43, outputs), data.X @ W.T + b, dtype)


@pytest.mark.parametrize("outputs", [1, 2, 3, 10])
def test_columns_taken_in_parts_are_all_taken(outputs, as_rows, dtype):
    """Columns and outputs so many that their weights exceed the first-level cache; rows that leave
    a rest of four.
    """
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((70, 2501)), rng.standard_normal((70, outputs))
    W, b = start(outputs, 2501)
    problem, rows = reference.Problem("squared_error"), as_rows(X, "dense", dtype)
    expected = reference.gradient(problem, X, y, W, b, np.ones(70))
    computed = kernel_gradient(rows, y, problem, W, b, "dense", dtype, np.arange(70))
    for a, e in zip(computed, expected, strict=True):
        assert_allclose(a, e, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * np.abs(e).max())
    z = np.full(70 * outputs, np.nan)
    batch.margins(rows, reference.pack(W, b, "dense", dtype), outputs, z, 1)
    assert_allclose(
        z.reshape(70, outputs), X @ W.T + b, rtol=TOLERANCE[dtype], atol=100 * TOLERANCE[dtype]
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("batch_size", [1, 2, 10, 43, 50])
@pytest.mark.parametrize("l1, l2", [(0.0, 0.1), (0.05, 0.1)])
def test_an_epoch_is_the_twins(batch_size, rule, l1, l2, data, as_rows, layout, dtype):
    """The last batch is as short as it comes, averaging starts at once, and the sums are over the
    visits.
    """
    problem = reference.Problem("log_loss", 0.3, l1, l2, "one-vs-rest")
    W, b = start(3, 6)
    theta = reference.pack(W, b, layout, dtype)
    first, second, average = np.zeros_like(theta), np.zeros_like(theta), np.zeros(len(theta))
    order, updates = np.arange(42, -1, -1), -(-43 // batch_size)
    rates = 0.1 / np.arange(1, updates + 1) ** 0.5
    sums = batch.epoch(
        DataTerm(
            as_rows(data.X, layout, dtype),
            data.classes.astype(float),
            data.weights,
            order,
            objective_of(problem, 3),
        ),
        theta,
        (first, second),
        average,
        rates,
        RULES[rule],
        batch_size,
        1,
        0,
    )
    run = reference.train(
        problem,
        data.X,
        data.classes,
        lambda t: rates[t - 1],
        [order],
        batch_size=batch_size,
        rule=reference.RULES[rule](),
        weights=data.weights,
        start=(W, b),
        average_start=1,
    )
    for computed, expected in zip(reference.unpack(theta, 3, layout), (run.W, run.b), strict=True):
        assert_close(computed, expected, dtype)
    for computed, expected in zip(
        reference.unpack(average / updates, 3, layout), (run.mean_W, run.mean_b), strict=True
    ):
        assert_close(computed, expected, dtype)
    assert sums["updates"] == updates == run.t - 1
    assert_close(
        sums["loss"] / data.weights.sum() + sums["penalty"] / 43, run.history["loss"][0], dtype
    )
    assert_close(sums["gradient_norm"] / updates, run.history["gradient_norm"][0], dtype)


# ---- threads ----


def large(layout, dtype, as_rows):
    """5000 x 130: cut into many blocks, none of which ends where a tile does."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5000, 130)).astype(np.float32).astype(float)
    if layout != "dense":
        X[rng.random(X.shape) < 0.3] = 0
    return X, as_rows(X, layout, dtype), rng.integers(0, 3, 5000).astype(float)


@pytest.mark.parametrize("loss", ["hinge", "softmax"])
def test_the_bits_of_a_gradient_do_not_depend_on_the_threads(loss, as_rows, layout, dtype):
    X, rows, y = large(layout, dtype, as_rows)
    problem = reference.Problem(loss, targets="softmax" if loss == "softmax" else "one-vs-rest")
    W, b = start(3, 130)
    order = np.random.default_rng(1).permutation(5000)[:4777]
    alone = kernel_gradient(rows, y, problem, W, b, layout, dtype, order)
    for threads in (2, 3, 8):
        for together, one in zip(
            kernel_gradient(rows, y, problem, W, b, layout, dtype, order, threads=threads),
            alone,
            strict=True,
        ):
            assert_array_equal(together, one)


def test_a_gradient_in_many_blocks_is_right_on_any_number_of_threads(as_rows, layout, dtype):
    X, rows, y = large(layout, dtype, as_rows)
    W, b = start(3, 130)
    order = np.arange(5000)
    loss, G, g = kernel_gradient(
        rows,
        y,
        reference.Problem("log_loss", targets="one-vs-rest"),
        W,
        b,
        layout,
        dtype,
        order,
        threads=2,
    )
    sign = np.where(y[:, None] == np.arange(3), 1.0, -1.0)
    margin = sign * (X @ W.T + b)
    slope = -sign / (1 + np.exp(margin))
    assert loss == pytest.approx(
        np.logaddexp(0, -margin).sum(), rel=1e-5 if dtype == np.float32 else 1e-12
    )
    assert_close(G, slope.T @ X / 5000, dtype)
    assert_close(g, slope.mean(axis=0), dtype)


def test_the_bits_of_margins_do_not_depend_on_the_threads(as_rows, layout, dtype):
    X, rows, _ = large(layout, dtype, as_rows)
    W, b = start(3, 130)
    theta = reference.pack(W, b, layout, dtype)
    z = [np.empty(15000) for _ in range(4)]
    for threads, out in zip((1, 2, 3, 8), z, strict=True):
        batch.margins(rows, theta, 3, out, threads)
        assert_array_equal(out, z[0])
    assert_allclose(
        z[0].reshape(5000, 3), X @ W.T + b, rtol=TOLERANCE[dtype], atol=20 * TOLERANCE[dtype]
    )


# ---- shapes ----


@settings(max_examples=100, deadline=None)
@given(
    rows=st.integers(1, 20),
    columns=st.integers(1, 40),
    outputs=st.integers(1, 4),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    layout=st.sampled_from(reference.LAYOUTS),
    dtype=st.sampled_from(reference.DTYPES),
    seed=st.integers(0, 5),
)
def test_any_shape(as_rows, rows, columns, outputs, density, layout, dtype, seed):
    """One row, one column, empty rows, no nonzeros; sizes around the 4 rows and 16 columns of one
    go.
    """
    rng = np.random.default_rng(seed)
    X = np.where(rng.random((rows, columns)) < density, rng.standard_normal((rows, columns)), 0)
    X, y = X.astype(np.float32).astype(float), rng.standard_normal((rows, outputs))
    problem, (W, b) = reference.Problem("huber", 0.3), start(outputs, columns)
    order = rng.integers(0, rows, rng.integers(1, 25))
    matrix = as_rows(X, layout, dtype)
    computed = kernel_gradient(matrix, y, problem, W, b, layout, dtype, order)
    for a, e in zip(
        computed,
        reference.gradient(problem, X[order], y[order], W, b, np.ones(len(order))),
        strict=True,
    ):
        assert_allclose(a, e, rtol=TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])
    z = np.empty(rows * outputs)
    batch.margins(matrix, reference.pack(W, b, layout, dtype), outputs, z, 1)
    assert_allclose(
        z.reshape(rows, outputs), X @ W.T + b, rtol=TOLERANCE[dtype], atol=10 * TOLERANCE[dtype]
    )
