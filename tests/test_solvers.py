"""What the benchmark asks of each solver is the objective that it evaluates: at a tight tolerance
all reach one optimum.
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
reference = pytest.importorskip(
    "bench.reference", reason="the benchmark is not part of the package"
)
from bench import solvers  # noqa: E402
from bench.tasks import Task  # noqa: E402

TASKS = [
    Task("logistic", "", "log_loss", l2=0.01),
    Task("logistic L1", "", "log_loss", l1=0.01),
    Task("ridge", "", "squared_error", l2=0.02),
    Task("lasso", "", "squared_error", l1=0.03),
    Task("hinge", "", "hinge", l2=0.02),
    Task("squared hinge", "", "squared_hinge", l2=0.02),
    Task("SVR", "", "epsilon_insensitive", l2=0.02),
]
TASKS += [replace(task, intercept=False) for task in TASKS]
CASES = [
    (peer, task) for peer in solvers.PEERS if peer != "skglm" for task in TASKS
]  # it compiles for too long
INEXACT = {
    ("snapml", "hinge"): 1e-3,
    ("snapml", "logistic"): 1e-4,
}  # where it stops, whatever the tolerance


def made(task):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 6)) + 0.3
    z = X @ rng.standard_normal(6) + 0.5 * rng.standard_normal(150) + 1.0
    return X, z if task.regression else np.where(z > 0, 1.0, -1.0)


@lru_cache
def optimum_of(task):
    return reference.solve(task, *made(task))[0]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_reference_is_certified(task):
    X, t = made(task)
    optimum, coef, intercept = reference.solve(task, X, t)
    assert optimum.error < 1e-11
    assert optimum.value == task.value(X, t, coef, intercept) < optimum.constant
    rng = np.random.default_rng(1)
    near = [
        task.value(X, t, coef + d[:6], intercept + d[6] * task.intercept)
        for d in 1e-3 * rng.standard_normal((50, 7))
    ]
    assert min(near) > optimum.value


@pytest.mark.parametrize("peer, task", CASES, ids=lambda part: getattr(part, "name", part))
def test_peers_reach_the_same_optimum(peer, task):
    if solvers.load([peer])[1]:
        pytest.skip(f"{peer} is not installed")
    X, t = made(task)
    optimum = optimum_of(task)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # the tightest level may be below what a peer can reach
        for setting in solvers.PEERS[peer](task, len(t)):
            model = setting.make(setting.levels[-1]).fit(solvers.layouts(X)[setting.order], t)
            value = task.value(X, t, *solvers.coefficients(model))
            assert optimum.gap(value) < INEXACT.get((peer, task.name), 1e-6), setting.name
