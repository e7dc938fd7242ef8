"""Exact line searches along the way that stochastic steps came."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar

from fastgd import SGDClassifier
from fastgd.kernels.losses import Loss, evaluate
from fastgd.methods.extrapolation import (
    MAX_EXTRAPOLATION_STEP,
    MAX_INTERVAL,
    MIN_INTERVAL,
    Extrapolation,
)
from fastgd.methods.line_search import Line
from fastgd.problem.data import as_rows
from fastgd.problem.losses import loss_of
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem


def case(loss, outputs, seed=0):
    """(problem, l2 of each column, model, step) of a few rows, dense."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((40, 3))
    if loss == "softmax" or outputs > 1:
        y = rng.integers(0, outputs, 40).astype(float)
    else:
        y = rng.choice([-1.0, 1.0], 40)
    by_class = outputs > 1 and loss != "softmax"
    objective = Objective(loss_of(loss), l2=0.1, outputs=outputs, one_vs_rest=by_class)
    problem = Problem(as_rows(X), y, None, objective, np.arange(40), True, 1, X)
    return (
        problem,
        np.full(3, 0.1),
        rng.standard_normal(outputs * 4),
        rng.standard_normal(outputs * 4),
    )


def margins(problem, v):
    K = problem.objective.outputs
    return problem.X @ v[: 3 * K].reshape(K, 3).T + v[3 * K :]


def value(problem, v):
    """The objective, in plain NumPy but for the losses."""
    objective, z, K = problem.objective, margins(problem, v), problem.objective.outputs
    if objective.loss.is_joint:
        losses = evaluate(Loss.SOFTMAX, 0.0, z, problem.targets[:, 0])[0]
    else:
        Y = problem.output_targets
        losses = sum(objective.loss.evaluate(z[:, k], Y[:, k])[0] for k in range(K))
    return losses.mean() + 0.05 * (v[: 3 * K] ** 2).sum()


def line_at(problem, l2, v):
    """A line at v, with exact margins and loss."""
    penalties, exact = (np.zeros(3), l2), (margins(problem, v), value(problem, v))
    return Line(problem, problem.data_term, penalties, v, *exact)


@pytest.mark.parametrize("loss, outputs", [("log_loss", 1), ("squared_hinge", 3), ("softmax", 3)])
def test_a_line_ends_where_the_objective_is_least(loss, outputs):
    problem, l2, v, step = case(loss, outputs)
    line = line_at(problem, l2, v)
    line.move(step, margins(problem, step), MAX_EXTRAPOLATION_STEP)
    assert_allclose(line.margins, margins(problem, line.v), atol=1e-12)
    assert_allclose(line.loss, value(problem, line.v), rtol=1e-12)
    together = minimize_scalar(
        lambda t: value(problem, v + t * step),
        bounds=(-1, MAX_EXTRAPOLATION_STEP),
        method="bounded",
    ).fun
    assert line.loss <= together + 1e-4 * abs(together)


def test_intervals_grow_where_searches_gain_nothing():
    problem, l2, v, step = case("log_loss", 1)
    for _ in range(30):  # to the minimum along this line
        line = line_at(problem, l2, v)
        line.move(step, margins(problem, step), MAX_EXTRAPOLATION_STEP)
        v = line.v
    before = Extrapolation(v - 1e-3 * step, margins(problem, v - 1e-3 * step), line.loss + 1.0)
    after, end = before.search(line)
    assert (before.interval, after.interval) == (MIN_INTERVAL, 2 * MIN_INTERVAL)
    assert after.loss == end.loss <= line.loss
    for _ in range(100):
        exact = margins(problem, end.v), value(problem, end.v)
        assert_allclose(end.loss, exact[1], rtol=1e-12)
        after, end = after.search(line_at(problem, l2, end.v))
    assert after.interval == MAX_INTERVAL and np.abs(end.v - v).max() < 0.1


def test_mini_batches_leave_a_ravine(monkeypatch):
    """Columns that have nearly all in common."""
    monkeypatch.setattr("fastgd.estimators.select_solver._is_easy_in_full", lambda *_: False)
    rng = np.random.default_rng(1)
    X = rng.standard_normal((600, 1)) + 0.03 * rng.standard_normal((600, 12))
    y = X @ rng.standard_normal(12) + 0.1 * rng.standard_normal(600) > 0
    settings = {"batch_size": 64, "alpha": 1e-5, "max_iter": 100, "tol": 1e-9, "random_state": 0}

    def gap():
        return SGDClassifier("log_loss", **settings).fit(X, y).optimality_

    with pytest.warns(match="before it converged"):
        with_searches = gap()
    monkeypatch.setattr("fastgd.methods.saga.Extrapolation", lambda *_: None)
    with pytest.warns(match="before it converged"):
        assert with_searches < 0.1 * gap()
