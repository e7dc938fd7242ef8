"""Centres and scales of columns, and the best constant model, against what NumPy and SciPy say."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar

import reference
from fastgd.kernels.columns import take
from fastgd.kernels.losses import Loss, evaluate
from fastgd.problem.constant_model import constant_model
from fastgd.problem.losses import loss_of
from fastgd.problem.metric import metric_of
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem


def problem_of(rows, y, objective=None, weights=None):
    return Problem(
        rows,
        np.asarray(y, float).ravel(),
        weights,
        objective or Objective(loss_of("squared_error")),
        np.arange(rows.shape[0]),
        False,
        1,
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_means_and_spreads(weighted, data, as_rows, layout, dtype):
    X = (data.X + (np.arange(6) if layout == "dense" else 0)).astype(np.float32).astype(float)
    weights = data.weights if weighted else None
    metric = metric_of(problem_of(as_rows(X, layout, dtype), data.values, weights=weights))
    center = np.average(X, axis=0, weights=weights) if layout == "dense" else np.zeros(6)
    assert_allclose(metric.center, center, rtol=1e-12, atol=1e-14)
    assert_allclose(
        metric.scale,
        np.sqrt(np.average((X - center) ** 2, axis=0, weights=weights)),
        rtol=1e-12,
        atol=1e-14,
    )
    assert metric.scale[3] == metric.inverse[3] == 0


@pytest.mark.parametrize("rest", [0.0, 1e-150, 1.0, 1e150])
def test_any_magnitude(rest, as_rows, layout):
    """Also where the rows that the guess is made of say nothing of the others."""
    X = np.random.default_rng(0).standard_normal((200, 9))
    X[:, ::2] *= np.arange(200)[:, None] % 50 == 7
    X *= 10.0 ** np.array([-150, -150, -100, -100, 0, 100, 100, 150, 150])
    X[:, 4] += rest
    metric = metric_of(problem_of(as_rows(X, layout, np.float64), np.zeros(200)))
    wide = X.astype(np.longdouble)
    center = wide.mean(axis=0) if layout == "dense" else np.zeros(9)
    scale = np.sqrt(((wide - center) ** 2).mean(axis=0))
    constant = scale <= 1e-12 * np.abs(center)
    assert_allclose(metric.center, center.astype(float), rtol=1e-12)
    assert_allclose(metric.scale, np.where(constant, 0, scale).astype(float), rtol=1e-12)


def test_a_constant_column_has_no_spread(as_rows, dtype):
    X = np.full((100, 3), [0.1, 1e30, -7.0])
    X[:, 1] *= 1 + 1e-15 * np.arange(100)
    assert_array_equal(metric_of(problem_of(as_rows(X, "dense", dtype), np.zeros(100))).scale, 0)


def binary_codes(y):
    return 1 - y  # of the kernels: with one output, class 0 is the one that is +1


@pytest.mark.parametrize("loss", sorted(reference.LOSSES))
def test_the_best_constant_model(loss, data, as_rows):
    by_class = loss in reference.CLASSIFICATION
    y = binary_codes(data.binary) if by_class else data.counts if loss == "poisson" else data.values
    objective = Objective(loss_of(loss, 0.3), one_vs_rest=by_class)
    (b,), value = constant_model(
        problem_of(as_rows(data.X, "dense", np.float64), y, objective, data.weights)
    )
    targets = np.where(y == 0, 1.0, -1.0) if by_class else y

    def mean_loss(b):
        return np.average(
            evaluate(Loss[loss.upper()], 0.3, np.full(len(y), b), targets)[0], weights=data.weights
        )

    assert_allclose(value, mean_loss(b), rtol=1e-13)
    assert value <= minimize_scalar(mean_loss, bracket=(b - 1, b + 1.1), tol=1e-9).fun + 1e-8


def test_constant_models_of_several_outputs(data, as_rows):
    rows = as_rows(data.X, "dense", np.float64)
    b, value = constant_model(
        problem_of(rows, data.pairs, Objective(loss_of("squared_error"), outputs=3))
    )
    assert_allclose(b, data.pairs.mean(axis=0))
    assert_allclose(value, data.pairs.var(axis=0).sum() / 2)
    frequency = np.bincount(data.classes) / len(data.classes)
    b, value = constant_model(
        problem_of(rows, data.classes, Objective(loss_of("softmax"), outputs=3))
    )
    assert_allclose(np.exp(b) / np.exp(b).sum(), frequency)
    assert_allclose(value, -frequency @ np.log(frequency))


@pytest.mark.parametrize("loss", ["softmax", "log_loss", "hinge"])
def test_a_class_nobody_has_stays_finite(loss, data, as_rows):
    objective = Objective(loss_of(loss), outputs=4, one_vs_rest=loss != "softmax")
    b, value = constant_model(
        problem_of(as_rows(data.X, "dense", np.float64), data.classes, objective)
    )
    assert np.isfinite(b).all() and np.isfinite(value)


def test_without_an_intercept_it_says_zero(data, as_rows):
    objective = Objective(loss_of("squared_error"), intercept=False)
    b, value = constant_model(
        problem_of(as_rows(data.X, "dense", np.float64), data.values, objective)
    )
    assert_array_equal(b, 0)
    assert_allclose(value, (data.values**2).mean() / 2)


def test_without_an_intercept_columns_are_not_centred(data, as_rows):
    X = data.X + np.arange(6)
    metric = metric_of(
        problem_of(
            as_rows(X, "dense", np.float64),
            data.values,
            Objective(loss_of("squared_error"), intercept=False),
        )
    )
    assert_array_equal(metric.center, 0)
    assert_allclose(metric.scale, np.sqrt((X**2).mean(axis=0)))


def test_one_row_may_carry_nearly_all_the_weight(as_rows):
    """The spread is that about the heavy row, not what rounding leaves of two large squares."""
    X = np.random.default_rng(0).standard_normal((50, 2)) + 5
    weights = np.full(50, 1e-20)
    weights[33] = 1.0
    metric = metric_of(problem_of(as_rows(X, "dense", np.float64), np.zeros(50), weights=weights))
    spread = 1e-10 * np.sqrt(((X - X[33]) ** 2).sum(axis=0))
    assert_allclose(metric.center, X[33], rtol=1e-15)
    assert_allclose(metric.scale, spread, rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_taken_columns_on_threads(threads, data, as_rows, dtype):
    """Also of some rows in another order, and the column of ones."""
    rng, X = np.random.default_rng(1), data.X.astype(dtype)
    X = np.tile(X, (300, 5))
    order = rng.permutation(len(X))[:-3]
    columns, places = np.array([7, 2, X.shape[1], 0]), np.array([4, 1, 0, 2])
    center, scale = rng.standard_normal((2, X.shape[1]))
    factor, out = rng.uniform(1, 2, len(order)), np.full((5, len(order)), np.nan)
    rows = as_rows(X, "dense", dtype)
    problem = problem_of(rows, np.zeros(len(X)))
    problem = replace(problem, visits=order, threads=threads)
    take(problem.data_term, columns, center, scale, factor, places, out)
    expected = np.column_stack([(X.astype(float) - center) * scale, np.ones(len(X))])[order]
    assert_allclose(out[places], (factor[:, None] * expected[:, columns]).T, rtol=1e-12, atol=1e-13)
    assert np.isnan(out[3]).all()
    with pytest.raises(IndexError, match="5 is not one of"):
        take(problem.data_term, columns[:1], center, scale, factor, np.array([5]), out)
    with pytest.raises(ValueError, match="do not fit"):
        take(problem.data_term, columns, center, scale, factor[1:], places, out)
