"""The benchmark asks each solver for the objective that it evaluates: at a tight tolerance all
reach one optimum.
"""

import sys
import warnings
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parent.parent))
optimum = pytest.importorskip("bench.optimum", reason="the benchmark is not part of the package")
from bench import peers  # noqa: E402
from bench.accuracy import layouts  # noqa: E402
from bench.catalogue import Problem  # noqa: E402

PROBLEMS = [
    Problem("logistic", "", "log_loss", l2=0.01),
    Problem("logistic L1", "", "log_loss", l1=0.01),
    Problem("ridge", "", "squared_error", l2=0.02),
    Problem("lasso", "", "squared_error", l1=0.03),
    Problem("hinge", "", "hinge", l2=0.02),
    Problem("squared hinge", "", "squared_hinge", l2=0.02),
    Problem("SVR", "", "epsilon_insensitive", l2=0.02),
]
PROBLEMS += [replace(problem, intercept=False) for problem in PROBLEMS]
# it compiles for too long
CASES = [
    (peer, problem) for peer in peers.WORK["settings"] if peer != "skglm" for problem in PROBLEMS
]
# where it stops, whatever the tolerance
INEXACT = {("snapml", "hinge"): 1e-3, ("snapml", "logistic"): 1e-4}


def made(problem):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 6)) + 0.3
    z = X @ rng.standard_normal(6) + 0.5 * rng.standard_normal(150) + 1.0
    return X, z if problem.regression else np.where(z > 0, 1.0, -1.0)


@lru_cache
def optimum_of(problem):
    return optimum.solve(problem, *made(problem))[0]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_reference_is_certified(problem):
    X, t = made(problem)
    solution, coef, intercept = optimum.solve(problem, X, t)
    assert solution.error < 1e-11
    assert solution.value == problem.value(X, t, coef, intercept) < solution.constant
    rng = np.random.default_rng(1)
    near = [
        problem.value(X, t, coef + d[:6], intercept + d[6] * problem.intercept)
        for d in 1e-3 * rng.standard_normal((50, 7))
    ]
    assert min(near) > solution.value


@pytest.mark.parametrize("peer, problem", CASES, ids=lambda part: getattr(part, "name", part))
def test_peers_reach_the_same_optimum(peer, problem):
    found, notes = peers.load("settings", [peer])
    if notes:
        pytest.skip(notes[0])
    X, t = made(problem)
    solution = optimum_of(problem)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # the tightest level may be below what a peer can reach
        for setting in found[peer](problem, len(t)):
            model = setting.make(setting.levels[-1]).fit(layouts(X)[setting.order], t)
            value = problem.value(X, t, *peers.coefficients(model))
            assert solution.gap(value) < INEXACT.get((peer, problem.name), 1e-6), setting.name
