"""Conjugates against numerical maximisation; gaps against distances to minima that a general solver
finds.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import logsumexp

import reference
from fastgd.kernels import batch
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.losses import Loss, evaluate
from fastgd.methods.curvature import Coordinates
from fastgd.problem.duality import balanced, gap, relative, weighted_sums
from fastgd.problem.layout import pack
from fastgd.problem.losses import loss_of
from fastgd.problem.metric import metric_of
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem

SCALAR = sorted(set(reference.LOSSES) - {"softmax"})
DELTA = 0.3


def some_targets(loss, rng, n):
    if loss in reference.CLASSIFICATION:
        return rng.choice([-1.0, 1.0], n)
    return rng.poisson(2.0, n).astype(float) if loss == "poisson" else rng.standard_normal(n)


@pytest.mark.parametrize("loss", SCALAR)
def test_conjugates_are_the_largest_difference(loss):
    rng = np.random.default_rng(0)
    y = some_targets(loss, rng, 40)
    low, high = loss_of(loss, DELTA).domain(y)
    s = rng.uniform(np.maximum(low, -3), np.minimum(high, 3))
    z = np.concatenate([np.linspace(-12, 12, 240001), [y.min(), y.max()]])
    largest = [
        np.max(a * z - evaluate(Loss[loss.upper()], DELTA, z, np.full(len(z), b))[0])
        for a, b in zip(s, y, strict=True)
    ]
    assert_allclose(loss_of(loss, DELTA).conjugate(s, y), largest, atol=3e-4)


@pytest.mark.parametrize("loss", SCALAR)
def test_the_slopes_of_a_loss_attain_the_conjugate(loss):
    """L(z) + L*(s) = s z where s = L'(z), and s lies in the domain."""
    rng = np.random.default_rng(1)
    y, z = some_targets(loss, rng, 200), rng.standard_normal(200) * 2
    value, s = evaluate(Loss[loss.upper()], DELTA, z, y)
    low, high = loss_of(loss, DELTA).domain(y)
    assert ((low <= s) & (s <= high)).all()
    assert_allclose(value + loss_of(loss, DELTA).conjugate(s, y), s * z, atol=1e-13)


def test_softmax_attains_its_conjugate():
    rng = np.random.default_rng(2)
    y, z = rng.integers(0, 4, 50), rng.standard_normal((50, 4)) * 3
    value, s = evaluate(Loss.SOFTMAX, 0.0, z, y.astype(float))
    assert_allclose(value + loss_of("softmax").conjugate(s, y), (s * z).sum(axis=1), atol=1e-13)
    other = rng.standard_normal((50, 4)) * 3
    assert (
        logsumexp(other, axis=1) - other[np.arange(50), y] + loss_of("softmax").conjugate(s, y)
        >= (s * other).sum(axis=1)
    ).all()


@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("loss", [*SCALAR, "softmax"])
def test_balanced_slopes_stay_in_the_domain(loss, spread):
    rng = np.random.default_rng(3)
    weights = rng.uniform(0.5, 2, 60)
    weights /= weights.sum()
    if loss == "softmax":
        y = rng.integers(0, 3, 60)
        _, s = evaluate(
            Loss.SOFTMAX, 0.0, rng.standard_normal((60, 4)) * spread + [0, 1, 0, 0], y.astype(float)
        )
        p = balanced(loss_of(loss, DELTA), s, y, weights)
        assert_allclose(weights @ p, 0, atol=1e-15)
        p[np.arange(60), y] += 1
        assert (p >= -1e-15).all()
        assert_allclose(p.sum(axis=1), 1, rtol=1e-14)
        return
    y = some_targets(loss, rng, 60)[:, None]
    if loss != "poisson":
        y = np.column_stack([y, np.ones(60)])  # one class only: nothing but zeros balance
    z = rng.standard_normal(y.shape) * spread + 0.5
    _, s = evaluate(Loss[loss.upper()], DELTA, z.ravel(), y.ravel())
    s = balanced(loss_of(loss, DELTA), s.reshape(y.shape), y, weights)
    low, high = loss_of(loss, DELTA).domain(y)
    assert ((low <= s) & (s <= high)).all()
    assert_allclose(weights @ s, 0, atol=1e-14 * spread)


def make_problem(loss, penalty, intercept, weighted, outputs, layout, data, as_rows):
    l1, l2 = penalty
    by_class = loss in (*reference.CLASSIFICATION, "softmax")
    y = (
        (data.classes if outputs > 1 else data.binary)
        if by_class
        else data.counts
        if loss == "poisson"
        else data.values
    )
    if not by_class and outputs > 1:
        y = np.column_stack([y, y[::-1], 0 * y + 1])
    weights = data.weights / data.weights.mean() if weighted else None
    objective = Objective(
        loss_of(loss, DELTA), l1, l2, outputs, by_class and loss != "softmax", intercept
    )
    rows = as_rows(data.X, layout, np.float64)
    return Problem(
        rows, np.asarray(y, float).ravel(), weights, objective, np.arange(len(data.X)), True, 1
    )


def value_and_flat(problem, theta):
    out, margins = np.empty_like(theta), np.empty(len(problem.visits) * problem.objective.outputs)
    loss = batch.gradient(
        DataTerm(problem.rows, problem.y, problem.weights, problem.visits, problem.objective.codes),
        theta,
        out,
        margins,
    )
    return (
        loss / len(problem.visits) + problem.objective.penalty(theta[: -problem.objective.outputs]),
        out,
        margins,
    )


def slopes_at(problem, margins):
    objective = problem.objective
    y = problem.targets
    if objective.loss.is_joint:
        return evaluate(Loss.SOFTMAX, 0.0, margins.reshape(len(y), -1), y[:, 0])[1]
    if objective.by_class:
        y = np.where(y == np.arange(objective.outputs), 1.0, -1.0)
    return objective.loss.evaluate(margins, y.ravel())[1].reshape(y.shape)


def gap_at(problem, theta):
    value, flat, margins = value_and_flat(problem, theta)
    at = Coordinates(problem, metric_of(problem))
    return value, gap(problem, at, value, slopes_at(problem, margins), at.gradient(flat))


def solved(problem, smooth):
    """The minimum of F, smooth or not: w = positive - negative part makes l1 linear."""
    K, w = problem.objective.outputs, problem.objective.outputs * problem.rows.shape[1]

    def split(v):
        theta = np.concatenate([v[:w] - v[w : 2 * w], v[2 * w :]])
        value, out, _ = value_and_flat(problem, theta)
        loss = value - problem.objective.penalty(theta[:-K])
        g, l1, l2 = (
            out[:w] + problem.objective.l2 * theta[:w],
            problem.objective.l1,
            problem.objective.l2,
        )
        return loss + l1 * v[: 2 * w].sum() + l2 / 2 * theta[:w] @ theta[:w], np.concatenate(
            [g + l1, l1 - g, out[w:]]
        )

    bounds = [(0, None)] * (2 * w) + [(None, None) if problem.objective.intercept else (0, 0)] * K
    v = minimize(
        split,
        np.zeros(2 * w + K),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxfun": 4000 if smooth else 400, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 30},
    ).x
    return np.concatenate([v[:w] - v[w : 2 * w], v[2 * w :]])


@pytest.mark.parametrize(
    "penalty", [(0.05, 0.0), (0.0, 0.1), (0.03, 0.05)], ids=["l1", "l2", "both"]
)
@pytest.mark.parametrize("loss", [*SCALAR, "softmax"])
def test_the_gap_is_a_bound_and_closes(loss, penalty, data, as_rows):
    rng = np.random.default_rng(5)
    smooth = loss not in ("hinge", "perceptron", "epsilon_insensitive", "quantile")
    for case in range(4):
        intercept, weighted, outputs = (
            bool(case & 1),
            bool(case & 2),
            3 if case in (0, 3) or loss == "softmax" else 1,
        )
        layout = "dense" if case in (0, 1) else "csr32"
        problem = make_problem(loss, penalty, intercept, weighted, outputs, layout, data, as_rows)
        best = solved(problem, smooth)
        least, at_best = gap_at(problem, best)
        assert at_best >= -1e-13
        if smooth:
            assert at_best <= 1e-6 * least + 1e-9, case
        for spread in (0.01, 0.1, 1.0):
            theta = best + spread * rng.standard_normal(len(best)) * np.repeat(
                [1, intercept], [len(best) - outputs, outputs]
            )
            value, bound = gap_at(problem, theta)
            assert bound >= value - least - 1e-13


def test_sums_of_slopes_are_the_gradient(data, as_rows, layout):
    problem = make_problem("softmax", (0.0, 0.1), True, True, 3, layout, data, as_rows)
    theta = pack(
        np.random.default_rng(0).standard_normal((3, 6)), np.zeros(3), np.float64, problem.by_column
    )
    _, flat, margins = value_and_flat(problem, theta)
    assert_allclose(weighted_sums(problem, slopes_at(problem, margins)), flat, atol=1e-15)


def test_relative_bounds_the_ratio():
    rng = np.random.default_rng(0)
    worst, value, least = np.sort(rng.uniform(size=(3, 100)), axis=0)[::-1]
    for bound in (1.0, 1.5, 100.0):
        for F0, F, F1 in zip(worst, value, least, strict=True):
            assert relative(bound * (F - F1), F, F0) >= (F - F1) / (F0 - F1) * (1 - 1e-12)
    assert relative(1e-17, 1.0, 1.0) == 0
