"""Steps without a rate to choose: the kernels against their twins, and the methods against the
optimum.
"""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

import reference
from fastgd import SGDRegressor
from fastgd.kernels import implicit, variance
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.losses import Loss, evaluate
from fastgd.kernels.order import sample, shuffle
from fastgd.methods.implicit_sgd import AveragedImplicitSGD
from fastgd.methods.saga import SAGA
from fastgd.problem.constant_model import constant_model
from fastgd.problem.losses import loss_of
from fastgd.problem.metric import metric_of
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem

KINKED = ("hinge", "epsilon_insensitive", "quantile")
SMOOTH = sorted(set(reference.LOSSES) - {*KINKED, "perceptron"})


def values_of(loss, data, outputs=1):
    """Targets as numbers, (n, outputs)."""
    if loss in reference.CLASSIFICATION:
        signs = np.column_stack([np.where(data.classes == k, 1.0, -1.0) for k in range(outputs)])
        return signs if outputs > 1 else np.where(data.binary == 1, 1.0, -1.0)[:, None]
    if loss == "poisson":
        return np.column_stack([data.counts] * outputs)
    return data.pairs if outputs > 1 else data.values[:, None]


def problem_of(rows, Y, objective, weights=None, visits=None):
    visits = np.arange(rows.shape[0]) if visits is None else visits
    return Problem(
        rows, np.ascontiguousarray(Y, float).ravel(), weights, objective, visits, False, 1
    )


def value_of(problem, X, coef, intercept):
    """The objective, in plain NumPy."""
    o, Y, Z = problem.objective, problem.targets, (X @ coef.T + intercept)[problem.visits]
    s = np.ones(len(Z)) if problem.weights is None else problem.weights[problem.visits]
    if o.loss.is_joint:
        losses = evaluate(Loss.SOFTMAX, 0, Z, Y[:, 0])[0]
    else:
        losses = sum(o.loss.evaluate(Z[:, k], Y[:, k])[0] for k in range(o.outputs))
    with np.errstate(over="ignore"):
        return np.average(losses, weights=s) + o.penalty(coef)


def fit(problem, epochs, batch_size=1, seed=0, theta=None):
    method, order = SAGA(batch_size, seed), problem.visits.copy()
    size = problem.objective.outputs * (problem.rows.shape[1] + 1)
    method.start(problem, np.zeros(size, problem.rows.dtype) if theta is None else theta)
    for epoch in range(epochs):
        shuffle(order, seed + epoch)
        method.epoch(order)
    return method


def stream(rows, Y, objective, sizes, weights=None, batch_size=1):
    state, begin = None, 0
    theta = np.zeros(objective.outputs * (rows.shape[1] + 1), rows.dtype)
    for size in sizes:
        method = AveragedImplicitSGD(batch_size)
        problem = problem_of(rows, Y, objective, weights, np.arange(begin, begin + size))
        method.start(problem, theta if state is None else None, state)
        method.epoch(problem.visits)
        state, begin = pickle.loads(pickle.dumps(method.state)), begin + size
    return method


# ---- kernels ----


@pytest.mark.parametrize("loss", sorted(reference.LOSSES))
def test_an_implicit_step_solves_its_equation(loss, as_rows):
    """One row, x = 1: the weight moves by rate * g."""
    rows = as_rows(np.ones((1, 1)), "dense", np.float64)
    codes = Objective(loss_of(loss, 0.3), intercept=False).codes | {"targets": 0}
    targets = (-1.0, 1.0) if loss in reference.CLASSIFICATION else (0.0, 0.5, 7.0)
    for z in (-50.0, -3.0, -0.2, 0.0, 0.7, 4.0, 60.0):
        for y in targets:
            for h in (1e-6, 0.1, 1.0, 30.0, 1e5):
                v = np.array([z, 0.0])
                metric = np.zeros(1), np.ones(1), np.zeros(1), np.zeros(1)
                implicit.epoch(
                    DataTerm(rows, np.array([y]), None, np.zeros(1, np.intp), codes),
                    v,
                    (*metric, np.ones(1)),
                    np.array([h]),
                    1,
                    (None, 0.0),
                )
                g = reference.implicit(reference.LOSSES[loss], z, y, 0.3, h)
                assert_allclose(
                    v[0],
                    z - h * g,
                    rtol=1e-7,
                    atol=1e-8 * (1 + abs(z)) + 1e-9 * h,
                    err_msg=f"{z=} {y=} {h=}",
                )


def kernel_case(loss, data, layout, dtype, as_rows, outputs, l1=0.0, l2=0.0):
    problem = reference.Problem(loss, 0.3, l1, l2)
    rows, Y = as_rows(data.X, layout, dtype), values_of(loss, data, outputs)
    metric = metric_of(problem_of(rows, Y, Objective(loss_of(loss, 0.3), outputs=outputs)))
    Z = reference.standardised(data.X, metric.center, metric.scale)
    arrays = metric.center, metric.inverse, l1 * metric.inverse, l2 * metric.inverse**2
    codes = Objective(loss_of(loss, 0.3), l1, l2, outputs).codes
    rng = np.random.default_rng(0)
    V, c = (
        0.1 * rng.standard_normal((outputs, 6)) * (metric.scale > 0),
        rng.standard_normal(outputs),
    )
    return problem, rows, Y, Z, arrays, codes, V, c


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_error", "quantile"])
def test_a_pass_of_implicit_steps(loss, batch_size, outputs, data, as_rows, layout, dtype):
    """Also with penalties where rows are dense; sparse columns owe theirs until they are met."""
    l1, l2 = (0.01, 0.1) if layout == "dense" else (0.0, 0.0)
    problem, rows, Y, Z, arrays, codes, V, c = kernel_case(
        loss, data, layout, dtype, as_rows, outputs, l1, l2
    )
    rates = 0.5 / np.arange(1, -(-43 // batch_size) + 1) ** 0.5
    v = reference.pack(V, c, layout)
    average = np.zeros(len(v))
    implicit.epoch(
        DataTerm(rows, Y.ravel(), data.weights, np.arange(43), codes),
        v,
        (*arrays, np.ones(outputs)),
        rates,
        batch_size,
        (average, 0.0),
    )
    expected = reference.implicit_epoch(
        problem, Z, Y, V, c, rates, arrays[2], arrays[3], data.weights, batch_size
    )
    t = len(rates)
    mean = average / (t * (t + 1) * (t + 2) * (t + 3) / 4)
    for computed, twin in zip(
        (*reference.unpack(v, outputs, layout), *reference.unpack(mean, outputs, layout)),
        expected,
        strict=True,
    ):
        assert_allclose(computed, twin, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_hinge", "huber"])
def test_a_pass_of_saga(loss, outputs, data, as_rows, dtype):
    problem, rows, Y, Z, arrays, codes, V, c = kernel_case(
        loss, data, "dense", dtype, as_rows, outputs, 0.01, 0.1
    )
    rng, n, bend = (
        np.random.default_rng(1),
        43,
        loss_of(loss).max_curvature,
    )
    probability = rng.uniform(0.5, 1.5, n)
    probability /= probability.sum()
    order, slopes = rng.choice(n, 2 * n, p=probability), 0.1 * rng.standard_normal((n, outputs))
    v, total = reference.pack(V, c), reference.pack(slopes.T @ Z, slopes.sum(axis=0))
    length = (Z**2).sum(axis=1) + 1
    memory = np.zeros(n * outputs), slopes.ravel().copy(), length, total
    variance.epoch(
        DataTerm(rows, Y.ravel(), data.weights, order, codes),
        v,
        arrays,
        np.full(outputs, 0.05),
        1 / (n * probability),
        np.zeros(6),
        1,
        n,
        (*memory, np.zeros(n)),
    )
    W, b, twin = reference.saga_epoch(
        problem,
        Z,
        Y,
        V,
        c,
        slopes,
        0.05,
        arrays[2],
        arrays[3],
        data.weights,
        probability,
        order,
        bend,
    )
    assert_allclose(v, reference.pack(W, b), rtol=1e-7, atol=1e-8)
    assert_allclose(memory[1].reshape(n, outputs), twin, rtol=1e-7, atol=1e-8)
    assert_allclose(memory[3], reference.pack(twin.T @ Z, twin.sum(axis=0)), rtol=1e-7, atol=1e-8)


def test_systematic_sampling():
    rows, expected = np.arange(5, 105), np.random.default_rng(0).uniform(0, 2, 100)
    expected *= 100 / expected.sum()
    drawn = np.empty(100, np.intp)
    sample(rows, expected, drawn, 3)
    assert np.abs(np.bincount(drawn, minlength=105)[5:] - expected).max() < 1
    again = np.empty(100, np.intp)
    sample(rows, expected, again, 3)
    assert_array_equal(again, drawn)
    sample(rows, expected, again, 4)
    assert (again != drawn).any()


def test_what_lies_near_a_kink(as_rows):
    """The survey of losses with kinks, by which rows are drawn: 1 within the radius, 0 from twice
    the radius on.
    """
    margins = np.array([-1.0, 0.2, 0.75, 1.0, 1.25, 1.6, 3.0])
    lengths, smoothness = np.full(7, 2.0), np.zeros(7)
    memory = margins, None, lengths, None, np.full(7, 0.5)
    for loss, kinks in (("hinge", [1.0]), ("epsilon_insensitive", [0.5, 1.5]), ("quantile", [1.0])):
        codes = Objective(loss_of(loss, 0.5)).codes | {"targets": 0}
        rows = as_rows(np.ones((7, 1)), "dense", np.float64)
        term = DataTerm(rows, np.ones(7), np.full(7, 3.0), np.arange(7), codes)
        variance.survey(term, memory, 0.2, smoothness)
        away = np.abs(margins[:, None] - kinks).min(axis=1)
        assert_allclose(smoothness, 6.0 * np.clip(2 - away / 0.5, 0, 1))


# ---- methods ----


def optimum(problem, X, coef, intercept):
    """The least objective that SciPy finds from there."""
    shape = coef.shape

    def value(theta):
        return value_of(problem, X, theta[: coef.size].reshape(shape), theta[coef.size :])

    return minimize(
        value, np.concatenate([coef.ravel(), intercept]), method="BFGS", options={"gtol": 1e-9}
    ).fun


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("loss", [*SMOOTH, "softmax"])
def test_smooth_losses_reach_the_optimum(loss, outputs, batch_size, data, as_rows, layout, dtype):
    if loss == "softmax":
        Y, outputs = data.classes, 3
    else:
        Y = values_of(loss, data, outputs)
    objective = Objective(loss_of(loss, 0.3), 0.0, 0.02, outputs)
    problem = problem_of(as_rows(data.X, layout, dtype), Y, objective, data.weights)
    coef, intercept = fit(problem, 200 * batch_size, batch_size).solution()
    value, (_, constant) = value_of(problem, data.X, coef, intercept), constant_model(problem)
    assert value - optimum(problem, data.X, coef, intercept) <= 1e-6 * constant


@pytest.mark.parametrize("loss", KINKED)
@pytest.mark.parametrize("outputs", [1, 3])
def test_losses_with_kinks_come_near_it(loss, outputs, data, as_rows, layout):
    """Many epochs from two seeds agree, and few epochs are not far."""
    objective = Objective(loss_of(loss, 0.3), 0.0, 0.02, outputs)
    problem = problem_of(
        as_rows(data.X, layout, np.float64), values_of(loss, data, outputs), objective
    )
    few, *many = (
        value_of(problem, data.X, *fit(problem, epochs, seed=seed).solution())
        for epochs, seed in ((60, 0), (500, 1), (500, 2))
    )
    constant = constant_model(problem)[1]
    assert abs(many[0] - many[1]) <= 1e-3 * constant
    assert few - min(many) <= 1e-2 * constant


@pytest.mark.parametrize("loss", ["hinge", "epsilon_insensitive"])
def test_twenty_epochs_of_a_loss_with_kinks(loss, as_rows):
    """Rates follow from the distance to go and the slopes, and rows near a kink are visited
    most.
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 8))
    z = X @ rng.standard_normal(8) + 0.2 * rng.standard_normal(600)
    y = np.where(z > 0, 1.0, -1.0) if loss == "hinge" else z
    problem = problem_of(
        as_rows(X, "dense", np.float64), y[:, None], Objective(loss_of(loss, 0.05), 0.0, 1e-3)
    )
    values = [
        value_of(problem, X, *fit(problem, epochs, seed=seed).solution())
        for epochs in (20, 500)
        for seed in range(3)
    ]
    assert np.median(values[:3]) - min(values) <= 1e-4 * constant_model(problem)[1]


@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_hinge", "softmax"])
def test_the_end_of_a_fit_is_as_far_as_it_pays(loss, data, as_rows, layout):
    """Separable classes, few epochs: no multiple of the weights is better."""
    outputs = 3 if loss == "softmax" else 1
    X = data.X + (3.0 * data.classes if outputs > 1 else 6.0 * data.binary)[:, None]
    Y = data.classes if outputs > 1 else values_of(loss, data)
    problem = problem_of(
        as_rows(X, layout, np.float64), Y, Objective(loss_of(loss), l2=1e-3, outputs=outputs)
    )
    method = fit(problem, 3)
    method.finish()
    coef, intercept = method.solution()
    base, least = constant_model(problem)[0], value_of(problem, X, coef, intercept)
    center = method._coordinates.metric.center
    for factor in (0.8, 0.95, 1.05, 1.2):
        offset = base + factor * (intercept + coef @ center - base)
        assert value_of(problem, X, factor * coef, offset - factor * coef @ center) >= least * (
            1 - 1e-9
        )


def test_the_constant_model_of_several_outputs(data, as_rows):
    """Signs of several outputs, each with a frequency of its own."""
    Y = values_of("hinge", data, 3)
    problem = problem_of(
        as_rows(data.X, "dense", np.float64), Y, Objective(loss_of("hinge"), outputs=3)
    )
    intercepts, value = constant_model(problem)
    assert_array_equal(intercepts, np.sign(Y.mean(axis=0)))
    assert_allclose(value, np.maximum(0, 1 - Y * intercepts).mean(axis=0).sum())


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_lasso_weights_are_zero_where_they_should_be(loss, data, as_rows, layout):
    objective = Objective(loss_of(loss), l1=0.1)
    problem = problem_of(as_rows(data.X, layout, np.float64), values_of(loss, data), objective)
    coef, intercept = fit(problem, 400).solution()
    z = data.X @ coef[0] + intercept[0]
    slope = evaluate(Loss[loss.upper()], 0, z, problem.targets[:, 0])[1]
    gradient = data.X.T @ slope / 43
    assert_allclose(gradient[coef[0] != 0], -0.1 * np.sign(coef[0][coef[0] != 0]), atol=1e-5)
    assert (np.abs(gradient[coef[0] == 0]) <= 0.1 + 1e-5).all() and (coef[0] == 0).sum() >= 2


@pytest.mark.parametrize("loss", ["log_loss", "hinge", "softmax"])
def test_the_same_seed_gives_the_same_bits(loss, data, as_rows, layout):
    Y = data.classes if loss == "softmax" else values_of(loss, data)
    problem = problem_of(
        as_rows(data.X, layout, np.float64),
        Y,
        Objective(loss_of(loss), outputs=3 if loss == "softmax" else 1),
    )
    first, again, other = (fit(problem, 6, seed=seed).solution() for seed in (0, 0, 1))
    assert_array_equal(first[0], again[0])
    assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


def test_precision_and_index_width_change_nothing(data, as_rows):
    """All sums are float64; the data are exact in float32."""
    solutions = [
        fit(
            problem_of(
                as_rows(data.X, layout, dtype),
                values_of("log_loss", data),
                Objective(loss_of("log_loss"), l2=0.01),
            ),
            5,
        ).solution()[0]
        for layout in ("csr32", "csr64")
        for dtype in reference.DTYPES
    ]
    for other in solutions[1:]:
        assert_array_equal(other, solutions[0])


def test_weights_are_repeated_rows(data, as_rows):
    counts = np.random.default_rng(0).integers(1, 4, 43)
    objective = Objective(loss_of("log_loss"), l2=0.05)
    Y = values_of("log_loss", data)
    weighted = problem_of(as_rows(data.X, "dense", np.float64), Y, objective, counts.astype(float))
    repeated = problem_of(
        as_rows(data.X.repeat(counts, axis=0), "dense", np.float64),
        Y.repeat(counts, axis=0),
        objective,
    )
    assert_allclose(
        fit(weighted, 300).solution()[0], fit(repeated, 300).solution()[0], rtol=1e-5, atol=1e-6
    )


def test_only_the_rows_to_train_on_matter(data, as_rows, layout):
    X, keep = data.X.copy(), np.flatnonzero(np.arange(43) % 3)
    X[::3] = 1e6
    objective = Objective(loss_of("log_loss"), l2=0.05)
    part = problem_of(
        as_rows(X, layout, np.float64), values_of("log_loss", data), objective, visits=keep
    )
    alone = problem_of(
        as_rows(X[keep], layout, np.float64), values_of("log_loss", data)[keep], objective
    )
    assert_allclose(
        fit(part, 200).solution()[0], fit(alone, 200).solution()[0], rtol=1e-5, atol=1e-6
    )


def test_without_an_intercept_it_stays_zero(data, as_rows, layout):
    X = data.X + (np.arange(6) if layout == "dense" else 0)
    for loss in ("squared_error", "log_loss"):
        rows, Y, objective = (
            as_rows(X, layout, np.float64),
            values_of(loss, data),
            Objective(loss_of(loss), l2=0.01, intercept=False),
        )
        problem = problem_of(rows, Y, objective)
        coef, intercept = fit(problem, 300).solution()
        assert intercept == stream(rows, Y, objective, [20, 23]).solution()[1] == 0
        z = X @ coef[0]
        gradient = (
            X.T @ evaluate(Loss[loss.upper()], 0, z, problem.targets[:, 0])[1] / 43 + 0.01 * coef[0]
        )
        assert_allclose(gradient, 0, atol=1e-2)


def test_the_loss_at_given_weights(data, as_rows, layout):
    problem = problem_of(
        as_rows(data.X, layout, np.float64),
        values_of("log_loss", data, 3),
        Objective(loss_of("log_loss"), 0.1, 0.2, 3),
        data.weights,
    )
    rng = np.random.default_rng(0)
    W, b = rng.standard_normal((3, 6)), rng.standard_normal(3)
    W[:, 3] = 0
    for method in (SAGA(1, 0), AveragedImplicitSGD(1)):
        method.start(problem, np.zeros(21), None)
        assert_allclose(
            method.loss_at(reference.pack(W, b, layout)), value_of(problem, data.X, W, b)
        )


def test_a_warm_start_goes_on_from_where_it_is(data, as_rows, layout):
    problem = problem_of(
        as_rows(data.X, layout, np.float64),
        values_of("log_loss", data),
        Objective(loss_of("log_loss"), l2=0.01),
    )
    coef, intercept = fit(problem, 300).solution()
    theta = reference.pack(coef, intercept, layout)
    for epochs in (1, 3, 20):
        assert_allclose(fit(problem, epochs, theta=theta).solution()[0], coef, rtol=1e-4, atol=1e-5)


def awkward():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((40, 5)), rng.standard_normal(40)
    y += X.sum(axis=1)
    scales = 10.0 ** np.array([-150, -75, 0, 75, 150])
    yield "scales", X * scales, y
    yield "scales off centre", X * scales + 100 * scales, y
    yield "an outlying row", np.where(np.arange(40)[:, None] == 3, 1e100, 1) * X, y
    yield (
        "equal, constant and empty columns",
        np.column_stack([X[:, 0], X[:, 0], np.full(40, 7.0), np.zeros(40), X[:, 1]]),
        y,
    )
    yield "nothing", 0 * X, y
    yield "huge targets", X, 1e12 * y
    yield "heavy tails", rng.standard_cauchy((40, 5)), rng.standard_cauchy(40)
    yield "one row", X[:1], y[:1]
    yield "two rows", X[:2], np.array([1.0, -1.0])
    yield "one class", X, np.ones(40)
    yield "separable", X, np.sign(X[:, 0])


@pytest.mark.parametrize("X, y", [pytest.param(X, y, id=name) for name, X, y in awkward()])
@pytest.mark.parametrize("loss", [*SMOOTH, *KINKED])
def test_no_data_break_it(loss, X, y, as_rows):
    """Warnings are errors here."""
    if loss in reference.CLASSIFICATION:
        y = np.where(y > 0, 1.0, -1.0)
    elif loss == "poisson":
        y = np.minimum(np.abs(y), 1e6).round()
    for layout in ("dense", "csr32"):
        for batch_size, l1, l2, intercept in (
            (1, 0.0, 1e-4, True),
            (7, 1e-3, 0.0, False),
            (1, 0.0, 0.0, True),
        ):
            objective = Objective(loss_of(loss, 0.3), l1, l2, intercept=intercept)
            rows = as_rows(X, layout, np.float64)
            problem = problem_of(rows, y, objective)
            method = fit(problem, 12, batch_size)
            method.finish()
            coef, offset = method.solution()
            start = value_of(problem, X, np.zeros((1, X.shape[1])), np.zeros(1))
            assert np.isfinite(coef).all() and np.isfinite(offset).all()
            assert value_of(problem, X, coef, offset) <= start * (1 + 1e-9)
            sizes = [min(9, len(y) - begin) for begin in range(0, len(y), 9)]
            coef, offset = stream(rows, y, objective, sizes, batch_size=batch_size).solution()
            assert np.isfinite(coef).all() and np.isfinite(offset).all()


# ---- streams ----


@pytest.mark.parametrize("size", [1, 50, 1000])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "hinge", "epsilon_insensitive"])
def test_one_pass_of_raw_columns_goes_most_of_the_way(loss, size, as_rows, dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 8))
    signal = X @ rng.standard_normal(8) + 0.5 * rng.standard_normal(1000)
    X = (X + rng.uniform(-3, 3, 8)) * 10.0 ** rng.uniform(-4, 4, 8)
    Y = np.where(signal > 0, 1.0, -1.0) if loss in reference.CLASSIFICATION else 30 * signal + 200
    objective, rows = Objective(loss_of(loss, 0.1)), as_rows(X, "dense", dtype)
    problem = problem_of(rows, Y, objective)
    method = fit(problem, 100)
    method.finish()
    best, constant = value_of(problem, X, *method.solution()), constant_model(problem)[1]
    value = value_of(problem, X, *stream(rows, Y, objective, [size] * (1000 // size)).solution())
    assert value - best <= 0.1 * (constant - best)


def test_the_cut_of_a_stream_matters_little(data, as_rows, layout):
    objective, Y = Objective(loss_of("log_loss"), l2=0.01), values_of("log_loss", data)
    rows = as_rows(data.X, layout, np.float64)
    for sizes in ([43], [20, 23], [1] * 43):
        method = stream(rows, Y, objective, sizes, data.weights)
        problem = problem_of(rows, Y, objective, data.weights)
        assert value_of(problem, data.X, *method.solution()) < constant_model(problem)[1]
        assert method.state.updates == method.state.rows == 43


def test_a_stream_leaves_its_earlier_state_alone(data, as_rows):
    rows, Y, objective = (
        as_rows(data.X, "dense", np.float64),
        values_of("log_loss", data),
        Objective(loss_of("log_loss")),
    )
    state = stream(rows, Y, objective, [20]).state
    kept = pickle.dumps(replace(state))
    method = AveragedImplicitSGD(1)
    problem = problem_of(rows, Y, objective, visits=np.arange(20, 43))
    method.start(problem, None, state)
    method.epoch(problem.visits)
    assert pickle.dumps(replace(state)) == kept


@pytest.mark.filterwarnings("ignore:Steps had to be taken back")
@pytest.mark.parametrize("seed", [9, 26, 51, 55, 63, 66])
def test_a_runaway_is_taken_back_not_refused(seed):
    """Counts, and a row so far out that a step along it sends its mean, the exponential of its
    margin, beyond all bounds.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((150, 20)) * (rng.random((150, 20)) < 0.2)
    X[rng.integers(150)] *= 10.0 ** rng.integers(1, 9)
    z = X @ rng.standard_normal(20)
    y, weights = np.floor(100 * np.clip(z / z.std(), 0, 5)), rng.exponential(size=150)
    model = SGDRegressor(
        "poisson",
        alpha=10,
        penalty="elasticnet",
        l1_ratio=0.3,
        max_iter=8,
        tol=None,
        batch_size=7,
        random_state=0,
    )
    z = X @ model.fit(X, y, sample_weight=weights).coef_ + model.intercept_
    value = (
        np.average(np.exp(z) - y * z, weights=weights)
        + 3 * np.abs(model.coef_).sum()
        + 3.5 * model.coef_ @ model.coef_
    )
    assert value <= 1.0 and np.isfinite(model.history_["loss"]).all()
