"""Line searches of all outputs side by side: sums, derivatives, minima, numbers of evaluations."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar

import reference
from fastgd import SGDClassifier
from fastgd.kernels import newton
from fastgd.kernels.losses import Loss, evaluate
from fastgd.methods import line_search
from fastgd.methods.line_search import MAX_STEP, MIN_STEP, Line, minimize_convex
from fastgd.problem.layout import pack, unpack
from fastgd.problem.losses import loss_of
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem

OUTPUTS = 4


def case(loss, n=60, seed=0, **penalty):
    """(problem, weights, coef, b, margins) of random rows and a random model."""
    rng = np.random.default_rng(seed)
    X, coef, b = (
        rng.standard_normal((n, 5)),
        rng.standard_normal((OUTPUTS, 5)),
        rng.standard_normal(OUTPUTS),
    )
    classes = loss in reference.CLASSIFICATION or loss == "softmax"
    y = rng.integers(0, OUTPUTS, n) if classes else rng.poisson(2.0, n * OUTPUTS)
    objective = Objective(loss_of(loss, 0.3), outputs=OUTPUTS, one_vs_rest=classes, **penalty)
    weights = rng.uniform(0.5, 1.5, n)
    weights /= weights.mean()
    problem = Problem(
        reference_rows(X), y.astype(float), weights, objective, np.arange(n), False, 1
    )
    return problem, weights, coef, b, X @ coef.T + b


def reference_rows(X):
    from fastgd.kernels.rows import Rows

    return Rows(X)


def values(problem, weights, Z):
    """(outputs,) mean weighted losses at margins Z, in NumPy; those of softmax in the first."""
    objective, n = problem.objective, len(Z)
    if objective.loss.is_joint:
        return np.append(
            weights @ evaluate(Loss.SOFTMAX, 0, Z, problem.y)[0] / n, np.zeros(OUTPUTS - 1)
        )
    Y = problem.output_targets
    return np.array(
        [weights @ objective.loss.evaluate(Z[:, k], Y[:, k])[0] / n for k in range(OUTPUTS)]
    )


@pytest.mark.parametrize("loss", ["log_loss", "softmax", "huber", "poisson"])
def test_sums_and_derivatives_along_a_line(loss):
    problem, weights, _, _, Z = case(loss)
    rng = np.random.default_rng(1)
    origin, stretch, shift = rng.standard_normal((3, OUTPUTS)) * 0.3
    directions = Z - origin, np.ones_like(Z)

    def at(stretch, shift):
        return values(problem, weights, Z + stretch * directions[0] + shift)

    computed = []
    for direction in directions:
        z, sums = Z + stretch * directions[0] + shift - direction, np.empty((2, OUTPUTS))
        newton.along(
            problem.weighted(weights), z.ravel(), direction.ravel(), np.ones(OUTPUTS), sums
        )
        assert_allclose(sums[0] / len(Z), at(stretch, shift), rtol=1e-12)
        computed.append(sums[1])
    by_stretch, by_shift = computed
    # The outputs of softmax share one loss, whose derivative is that of a common step.
    steps = [np.ones(OUTPUTS)] if loss == "softmax" else np.eye(OUTPUTS)
    for k, step in enumerate(1e-6 * np.array(steps)):
        for computed, ahead, behind in (
            (by_stretch, at(stretch + step, shift), at(stretch - step, shift)),
            (by_shift, at(stretch, shift + step), at(stretch, shift - step)),
        ):
            assert_allclose(
                computed[k] / len(Z), (ahead - behind).sum() / 2e-6, rtol=1e-5, atol=1e-8
            )


def test_minima_of_convex_functions_of_any_kind():
    """Smooth, kinked, flat and infinite ones, with minima inside, at the ends and at 0."""
    functions = [
        lambda a: (a - 0.7) ** 2,
        lambda a: abs(a + 0.3),
        lambda a: a,
        lambda a: -a,
        lambda a: 0 * a,
        lambda a: np.exp(300 * (a - 0.01)) - a,
        lambda a: np.maximum(1e-3 * a, 10 * (0.5 - a)),
        lambda a: a * a,
    ]

    def function(steps):
        value = np.array([f(a) for f, a in zip(functions, steps, strict=True)])
        ahead = np.array([f(a + 1e-9) for f, a in zip(functions, steps, strict=True)])
        with np.errstate(invalid="ignore"):
            return value, (ahead - value) / 1e-9

    steps, gains = minimize_convex(function, len(functions))
    assert ((steps >= MIN_STEP) & (steps <= MAX_STEP)).all() and (gains >= 0).all()
    for f, step, gain in zip(functions, steps, gains, strict=True):
        assert gain == f(0.0) - f(step)
        found = minimize_scalar(
            f, bounds=(MIN_STEP, MAX_STEP), method="bounded", options={"xatol": 1e-6}
        ).fun
        assert gain >= f(0.0) - found - 2e-2 * abs(f(0.0) - found)


@pytest.mark.parametrize("penalty", [{}, {"l1": 0.01, "l2": 0.02}])
@pytest.mark.parametrize(
    "loss", ["log_loss", "hinge", "softmax", "squared_hinge", "epsilon_insensitive", "poisson"]
)
def test_every_output_finds_the_best_step_of_its_own(loss, penalty):
    """The decrease is the one returned, and no output's line (softmax: a common one) has more."""
    problem, weights, coef, b, Z = case(loss, **penalty)
    objective = problem.objective
    l1, l2 = objective.penalties(np.ones(5))
    v = pack(coef, b, np.float64, problem.by_column)
    search = Line(problem, problem.weighted(weights), (l1, l2), v, Z, 0.0)

    def found():
        """(factor, by which the weights are multiplied, intercepts)"""
        W, b = unpack(search.v, OUTPUTS, problem.by_column)
        assert_allclose(W / coef, np.tile(W[:, :1] / coef[:, :1], 5), rtol=1e-9)
        return W[:, 0] / coef[:, 0], b

    def value(factor, b):
        return values(
            problem, weights, factor * (Z - Z.mean(0)) + b + factor * (Z.mean(0) - base)
        ).sum() + objective.penalty(factor[:, None] * coef)

    base = b
    before = value(np.ones(OUTPUTS), b)
    gain = search.away_from(np.zeros_like(v))
    factor, intercepts = found()
    after = value(factor, intercepts)
    assert gain > 0
    assert_allclose(before - after, gain, rtol=1e-9)
    groups = [np.ones(OUTPUTS)] if loss == "softmax" else np.eye(OUTPUTS)
    for group in groups:
        for change in (-0.02, 0.02):
            stretch = group * change
            assert (
                value(factor * (1 + stretch), intercepts * (1 + stretch)) >= after - 1e-6 * before
            )
    moved = search.shift(np.ones(OUTPUTS))
    assert_allclose(after - value(*found()), moved, rtol=1e-6, atol=1e-12)
    assert_allclose(search.loss, -gain - moved, rtol=1e-12)
    assert moved > 0


def test_many_classes_need_no_more_evaluations_than_few(monkeypatch):
    """The number of evaluations does not grow with the classes."""
    calls = []
    along = newton.along
    monkeypatch.setattr(
        line_search.newton, "along", lambda *arguments: calls.append(1) or along(*arguments)
    )
    rng = np.random.default_rng(0)
    X, counts = rng.standard_normal((120, 6)), {}
    for loss in ("log_loss", "softmax"):
        for classes in (3, 30):
            calls.clear()
            SGDClassifier(loss, max_iter=3, tol=None, random_state=0).fit(
                X, np.arange(120) % classes
            )
            counts[loss, classes] = len(calls)
        assert 0 < counts[loss, 30] <= counts[loss, 3] + 30
