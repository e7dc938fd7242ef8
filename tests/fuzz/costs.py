"""Costs for `minimize` whose minimum is known, in hostile units."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Cost:
    """`value(x)` and `gradient(x)`; the minimum is `least`, at `best`."""

    name: str
    value: object
    gradient: object
    start: np.ndarray
    least: float
    best: np.ndarray | None


def _quadratic(rng, size):
    n = int(rng.integers(1, 12))
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    H = Q * 10.0 ** rng.uniform(0, rng.choice([1, 6]), n) @ Q.T
    best = rng.standard_normal(n)
    return Cost(
        "quadratic",
        lambda x: (x - best) @ H @ (x - best) / 2,
        lambda x: H @ (x - best),
        rng.standard_normal(n),
        0.0,
        best,
    )


def _diagonal(rng, size):
    n = int(rng.integers(1, 12))
    h, best = 10.0 ** rng.uniform(-8, 8, n), rng.standard_normal(n)
    return Cost(
        "diagonal",
        lambda x: h @ (x - best) ** 2 / 2,
        lambda x: h * (x - best),
        rng.standard_normal(n),
        0.0,
        best,
    )


def _rosenbrock(rng, size):
    n = 2 * int(rng.integers(1, 5))

    def gradient(x):
        g, odd, even = np.empty_like(x), x[::2], x[1::2]
        g[::2], g[1::2] = -400 * odd * (even - odd**2) - 2 * (1 - odd), 200 * (even - odd**2)
        return g

    return Cost(
        "rosenbrock",
        lambda x: (100 * (x[1::2] - x[::2] ** 2) ** 2 + (1 - x[::2]) ** 2).sum(),
        gradient,
        rng.standard_normal(n),
        0.0,
        np.ones(n),
    )


def _quartic(rng, size):
    n = int(rng.integers(1, 6))
    best = rng.standard_normal(n)
    return Cost(
        "quartic",
        lambda x: ((x - best) ** 4).sum(),
        lambda x: 4 * (x - best) ** 3,
        rng.standard_normal(n),
        0.0,
        best,
    )


def _logarithm(rng, size):
    n = int(rng.integers(1, 6))
    a = 10.0 ** rng.uniform(-3, 3, n)

    def value(x):
        return a @ x - np.log(x).sum() if (x > 0).all() else rng_free

    rng_free = rng.choice([np.inf, np.nan])
    return Cost(
        "logarithm",
        value,
        lambda x: a - 1 / x,
        np.exp(rng.standard_normal(n)),
        n + np.log(a).sum(),
        1 / a,
    )


def _softplus(rng, size):
    n = int(rng.integers(1, 6))
    c = rng.standard_normal(n)
    return Cost(
        "softplus",
        lambda x: (np.logaddexp(0, x - c) + np.logaddexp(0, c - x)).sum(),
        lambda x: np.tanh((x - c) / 2),
        10 * rng.standard_normal(n),
        2 * n * np.log(2),
        c,
    )


COSTS = _quadratic, _diagonal, _rosenbrock, _quartic, _logarithm, _softplus


def draw_cost(rng):
    """(cost, arguments of `minimize`)"""
    cost = COSTS[rng.integers(len(COSTS))](rng, None)
    unit = (
        10.0 ** rng.uniform(-100, 100)
        if rng.random() < 0.2
        else 10.0 ** rng.uniform(-8, 8)
        if rng.random() < 0.5
        else 1.0
    )
    scale = 10.0 ** rng.uniform(-6, 6) if rng.random() < 0.4 else 1.0
    offset = 10.0 ** rng.uniform(-3, 12) * unit if rng.random() < 0.25 else 0.0
    value, gradient = cost.value, cost.gradient
    moved = Cost(
        f"{cost.name}, unit {unit:.1e}, parameters in {scale:.1e}, offset {offset:.1e}",
        lambda x: unit * value(x / scale) + offset,
        lambda x: unit / scale * gradient(x / scale),
        cost.start * scale,
        unit * cost.least + offset,
        cost.best * scale,
    )
    parameters = {"jac": rng.random() < 0.7}
    if rng.random() < 0.2:
        parameters["method"] = str(rng.choice(["gd", "momentum", "adam", "prodigy", "adagrad"]))
    if rng.random() < 0.2:
        parameters["max_iter"] = int(rng.choice([1, 5, 50]))
    if rng.random() < 0.2:
        low = moved.best - scale * rng.random(len(moved.best))
        parameters["bounds"] = list(
            zip(low, [None] * len(low), strict=True)
        )  # the minimum stays inside
    return moved, parameters
