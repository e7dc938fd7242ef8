"""The stochastic kernel, one epoch at a time: the twin's weights, sums and mean of the iterates."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import reference
from fastgd.kernels import stochastic
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.losses import Loss, Targets

TOLERANCE = {np.float64: 1e-10, np.float32: 3e-5}
PENALTIES = {"none": (0.0, 0.0), "l2": (0.0, 0.1), "l1": (0.05, 0.0), "elasticnet": (0.03, 0.1)}
COURSE = {"batch_size": 1, "skip": 0, "passive_aggressive": 0}


@dataclass
class Case:
    """A problem, its data and where the descent starts, for the kernel and for the twin."""

    problem: reference.Problem
    X: np.ndarray
    y: np.ndarray
    outputs: int = 1

    def start(self):
        rng = np.random.default_rng(3)
        return rng.standard_normal((self.outputs, self.X.shape[1])), rng.standard_normal(
            self.outputs
        )

    def objective(self):
        """The problem as the kernels take it."""
        problem = self.problem
        return {
            "loss": Loss[problem.loss.upper()],
            "delta": problem.delta,
            "slope_limit": 1e12,
            "max_curvature": np.inf,
            "smoothing": 0.0,
            "l1": problem.l1,
            "l2": problem.l2,
            "outputs": self.outputs,
            "targets": Targets.VALUES if problem.targets == "values" else Targets.CLASSES,
            "intercept": problem.intercept,
            "positive": problem.positive,
            "intercept_cost": problem.tilt,
            "custom": 0,
        }

    def targets(self):
        """The targets as the kernels take them: with one output, class 0 is the one that is +1."""
        y = np.asarray(self.y, dtype=float)
        return 1 - y if self.problem.targets == "one-vs-rest" and self.outputs == 1 else y.ravel()


def run_kernel(
    case, rows, layout, dtype, rates, order=None, weights=None, average_start=0, **course
):
    """(W, b, sum of W, sum of b, what the epoch returned)"""
    theta = reference.pack(*case.start(), layout, dtype)
    average = np.zeros(len(theta)) if average_start else None
    order = np.arange(len(case.X)) if order is None else order
    course = {**COURSE, "skip": max(average_start - 1, 0), **course}
    sums = stochastic.epoch(
        DataTerm(rows, case.targets(), weights, order.astype(np.intp), case.objective()),
        theta,
        average,
        rates,
        course,
    )
    W, b = reference.unpack(theta, case.outputs, layout)
    return (
        W,
        b,
        *(reference.unpack(average, case.outputs, layout) if average_start else (None, None)),
        sums,
    )


def assert_close(computed, expected, dtype, what=""):
    tolerance = TOLERANCE[dtype]
    assert_allclose(
        computed,
        expected,
        rtol=tolerance,
        atol=tolerance * max(1, np.abs(expected).max()),
        err_msg=what,
    )


def assert_is_twin(
    case, rows, layout, dtype, order=None, weights=None, average_start=0, batch_size=1
):
    order = np.arange(len(case.X)) if order is None else order
    rates = 0.1 / np.arange(1, len(order) + 1) ** 0.3
    W, b, W_sum, b_sum, sums = run_kernel(
        case, rows, layout, dtype, rates, order, weights, average_start, batch_size=batch_size
    )
    run = reference.train(
        case.problem,
        case.X,
        case.y,
        lambda t: rates[t - 1],
        [order],
        batch_size=batch_size,
        weights=weights,
        start=case.start(),
        average_start=average_start,
    )
    assert_close(W, run.W, dtype, "W")
    assert_close(b, run.b, dtype, "b")
    assert sums["updates"] == run.t - 1
    if average_start and average_start < run.t:
        assert_close(W_sum / (run.t - average_start), run.mean_W, dtype, "mean of W")
        assert_close(b_sum / (run.t - average_start), run.mean_b, dtype, "mean of b")
    total = len(order) if weights is None else weights[order].sum()
    assert_close(
        sums["loss"] / total, run.history["data_loss"][0], dtype, "loss without the penalty"
    )
    by_ends = sums["loss"] / total + sums["penalty"] / len(order)
    assert_close(by_ends, run.history["loss_by_ends"][0], dtype, "loss with it")
    assert_close(
        sums["gradient_norm"] / sums["updates"],
        run.history["gradient_norm"][0],
        dtype,
        "norm of the gradient",
    )


def case_of(loss, data, penalty="l2", outputs=1, **changes):
    l1, l2 = PENALTIES[penalty]
    targets = "values"
    y = data.counts if loss == "poisson" else data.values if outputs == 1 else data.pairs
    if loss in reference.CLASSIFICATION or loss == "softmax":
        targets = "softmax" if loss == "softmax" else "one-vs-rest"
        y = data.binary if outputs == 1 else data.classes
    return Case(reference.Problem(loss, 0.3, l1, l2, targets, **changes), data.X, y, outputs)


@pytest.mark.parametrize("loss", reference.LOSSES)
def test_every_loss(loss, data, as_rows, layout, dtype):
    assert_is_twin(case_of(loss, data), as_rows(data.X, layout, dtype), layout, dtype)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_every_penalty(penalty, intercept, outputs, data, as_rows, layout, dtype):
    case = case_of("log_loss", data, penalty, outputs, intercept=intercept)
    if not intercept:
        case.start = lambda: (Case.start(case)[0], np.zeros(outputs))
    assert_is_twin(case, as_rows(data.X, layout, dtype), layout, dtype)


@pytest.mark.parametrize("loss", ["hinge", "softmax", "squared_error", "quantile"])
def test_several_outputs_in_one_pass(loss, data, as_rows, layout, dtype):
    assert_is_twin(case_of(loss, data, outputs=3), as_rows(data.X, layout, dtype), layout, dtype)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("average_start", [1, 10, 43, 44])
def test_the_mean_of_the_iterates(average_start, penalty, outputs, data, as_rows, layout):
    """On sparse rows with L1 too, where a column's share of the mean is added long after the
    step.
    """
    case = case_of("log_loss", data, penalty, outputs)
    assert_is_twin(
        case, as_rows(data.X, layout, np.float64), layout, np.float64, average_start=average_start
    )


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("batch_size", [2, 7, 43, 100])
def test_small_batches_of_sparse_rows(batch_size, penalty, data, as_rows):
    for outputs in (1, 3):
        case = case_of("log_loss", data, penalty, outputs)
        for average_start in (0, 2):
            rows = as_rows(data.X, "csr32", np.float64)
            assert_is_twin(
                case, rows, "csr32", np.float64, batch_size=batch_size, average_start=average_start
            )


def test_weights_scale_the_slopes_and_the_losses(data, as_rows, layout, dtype):
    for loss, outputs in (("log_loss", 1), ("hinge", 3), ("softmax", 3), ("squared_error", 1)):
        case = case_of(loss, data, outputs=outputs)
        assert_is_twin(case, as_rows(data.X, layout, dtype), layout, dtype, weights=data.weights)


@pytest.mark.parametrize(
    "order",
    [np.arange(43)[::-1], np.array([7]), np.array([3, 3, 3, 0, 42, 3]), np.arange(0, 43, 2)],
)
def test_rows_are_visited_in_the_order_given(order, data, as_rows, layout):
    """Backwards, some of them, or one several times in a row."""
    for penalty in PENALTIES:
        assert_is_twin(
            case_of("log_loss", data, penalty),
            as_rows(data.X, layout, np.float64),
            layout,
            np.float64,
            order,
        )


def test_an_empty_order_does_nothing(data, as_rows, layout):
    case = case_of("log_loss", data)
    nowhere = np.array([], dtype=int)
    W, b, *_, sums = run_kernel(
        case, as_rows(data.X, layout, np.float64), layout, np.float64, np.ones(1), order=nowhere
    )
    assert_array_equal(W, case.start()[0])
    assert_array_equal(b, case.start()[1])
    assert sums["updates"] == 0


def test_the_rows_and_all_else_that_is_given_stay_as_they_are(data, as_rows, layout):
    rates, order, weights = np.full(43, 0.1), np.arange(43), data.weights.copy()
    for array in (rates, order, weights):
        array.flags.writeable = False
    case, X = case_of("log_loss", data, "elasticnet"), data.X.copy()
    run_kernel(
        case,
        as_rows(X, layout, np.float64),
        layout,
        np.float64,
        rates,
        order,
        weights,
        average_start=1,
    )
    assert_array_equal(X, data.X)


@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize("strength", [0.5, 9.99, 10.0, 50.0])
def test_a_decay_may_be_strong_but_never_turns_a_sign(penalty, strength, data, as_rows, layout):
    """At rate 0.1 an l2 of 10 or more takes the weights to zero at every step, before the row is
    added.
    """
    l1 = 0.05 if penalty == "elasticnet" else 0.0
    case = Case(
        reference.Problem("log_loss", 0.3, l1, strength, "one-vs-rest"), data.X, data.binary
    )
    assert_is_twin(case, as_rows(data.X, layout, np.float64), layout, np.float64)
    assert_is_twin(case, as_rows(data.X, layout, np.float64), layout, np.float64, average_start=1)


def test_many_steps_of_a_lazy_penalty_stay_exact(as_rows):
    """More steps than the sums of the lazy penalty hold, on a column that is met only at the start
    and at the end.
    """
    rows, rate, l1, l2 = 200_001, 1e-3, 1e-4, 1e-3
    X = np.zeros((3, 2))
    X[0], X[1], X[2] = [1, 0], [0, 1], [1, 1]
    order = np.concatenate([[0], np.full(rows - 2, 1), [2]])
    problem = reference.Problem("squared_error", 0.0, l1, l2, intercept=False)
    case = Case(problem, X, np.array([1.0, 2.0, 3.0]))
    case.start = lambda: (np.array([[30.0, 0.0]]), np.zeros(1))
    W, *_ = run_kernel(
        case, as_rows(X, "csr32", np.float64), "csr32", np.float64, np.full(rows, rate), order
    )
    w = np.array([30.0, 0.0])  # the twin's steps, written out for speed
    for i in order:
        slope = w @ X[i] - case.y[i]
        w = (1 - rate * l2) * w - rate * slope * X[i]
        w = np.sign(w) * np.maximum(np.abs(w) - rate * l1, 0)
    assert_allclose(W[0], w, rtol=1e-9)


@pytest.mark.parametrize("start", [1, 20_000])
def test_the_mean_of_many_steps_stays_exact(start, as_rows, dtype):
    """The sums are settled four times, columns come seldom, and averaging may start amid."""
    rng, visits, rate, l2 = np.random.default_rng(0), 40_000, 1e-2, 0.1
    X = np.diag([1.0, 2.0, 0.5])
    order = np.where(rng.random(visits) < 1e-3, rng.integers(0, 2, visits), 2)
    problem = reference.Problem("squared_error", 0.0, 0.0, l2, intercept=False)
    case = Case(problem, X, np.array([1.0, 2.0, 3.0]))
    case.start = lambda: (np.array([[30.0, -4.0, 0.0]]), np.zeros(1))
    _, _, W_sum, *_ = run_kernel(
        case,
        as_rows(X, "csr32", dtype),
        "csr32",
        dtype,
        np.full(visits, rate),
        order,
        average_start=start,
    )
    w, total = np.array([30.0, -4.0, 0.0]), np.zeros(3)
    for step, i in enumerate(order, 1):
        slope = w[i] * X[i, i] - case.y[i]
        w *= 1 - rate * l2
        w[i] -= rate * slope * X[i, i]
        total += w if step >= start else 0
    assert_allclose(W_sum[0], total, rtol=1e-11 if dtype == np.float64 else 1e-4)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("variant", ["pa1", "pa2"])
def test_passive_aggressive_steps(variant, outputs, data, as_rows, layout, dtype):
    for loss in ("hinge", "epsilon_insensitive"):
        case = case_of(loss, data, outputs=outputs)
        kind = getattr(stochastic.PassiveAggressive, variant.upper())
        rates = np.full(43, 0.3)
        W, b, W_sum, b_sum, sums = run_kernel(
            case,
            as_rows(data.X, layout, dtype),
            layout,
            dtype,
            rates,
            weights=data.weights,
            average_start=5,
            passive_aggressive=kind,
        )
        run = reference.passive_aggressive(
            case.problem,
            data.X,
            case.y,
            0.3,
            [np.arange(43)],
            variant=variant,
            weights=data.weights,
            start=case.start(),
            average_start=5,
        )
        assert_close(W, run.W, dtype)
        assert_close(b, run.b, dtype)
        assert (
            sums["updates"] == run.t - 1 == (42 if variant == "pa1" else 43)
        )  # pa1 passes over the row of zeros
        assert_close(W_sum / (run.t - 5), run.mean_W, dtype)
        assert_close(b_sum / (run.t - 5), run.mean_b, dtype)


@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 40),
    outputs=st.integers(1, 4),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    penalty=st.sampled_from(list(PENALTIES)),
    average_start=st.integers(0, 3),
    layout=st.sampled_from(reference.LAYOUTS),
    dtype=st.sampled_from(reference.DTYPES),
    seed=st.integers(0, 5),
)
def test_any_shape(
    as_rows, rows, columns, outputs, density, penalty, average_start, layout, dtype, seed
):
    """One row, one column, empty rows, no nonzeros; widths around the 8 and 16 numbers that are
    worked on together.
    """
    rng = np.random.default_rng(seed)
    X = np.where(
        rng.random((rows, columns)) < density, rng.standard_normal((rows, columns)), 0
    ).astype(np.float32)
    X = X.astype(float) / np.sqrt(columns)
    l1, l2 = PENALTIES[penalty]
    y = rng.standard_normal((rows, outputs))
    case = Case(reference.Problem("huber", 0.3, l1, l2), X, y, outputs)
    assert_is_twin(case, as_rows(X, layout, dtype), layout, dtype, average_start=average_start)
