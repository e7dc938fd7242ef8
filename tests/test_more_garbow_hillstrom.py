"""The unconstrained problems of More, Garbow and Hillstrom, "Testing unconstrained optimization
software", ACM TOMS 1981.

Each is a sum of squares of `residuals(x)`, written for real and complex x, from the paper's
standard start; gradients are those of complex steps, which have no rounding error. `minima` are the
paper's: any of them counts.
"""

import numpy as np
import pytest

from fastgd import minimize

PROBLEMS = {}


def problem(start, *minima):
    def add(residuals):
        PROBLEMS[residuals.__name__] = residuals, np.array(start, dtype=float), minima
        return residuals

    return add


def power(base, exponent):
    """base**exponent of a real base >= 0 and complex steps."""
    return np.exp(exponent * np.log(base))


def stack(*parts):
    return np.concatenate([np.atleast_1d(part) for part in parts])


@problem([-1.2, 1], 0)
def rosenbrock(x):
    return stack(10 * (x[1] - x[0] ** 2), 1 - x[0])


@problem([0.5, -2], 0, 48.9842)
def freudenstein_roth(x):
    a, b = x
    return stack(-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b)


@problem([0, 1], 0)
def powell_badly_scaled(x):
    return stack(1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001)


@problem([1, 1], 0)
def brown_badly_scaled(x):
    return stack(x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2)


@problem([1, 1], 0)
def beale(x):
    i = np.arange(1, 4)
    return np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** i)


@problem([0.3, 0.4], 124.362)
def jennrich_sampson(x):
    i = np.arange(1, 11)
    return 2 + 2 * i - (np.exp(i * x[0]) + np.exp(i * x[1]))


@problem([-1, 0, 0], 0)
def helical_valley(x):
    a, b, c = x
    theta = np.arctan(b / a) / (2 * np.pi) + (0.5 if a.real < 0 else 0.0)
    return stack(10 * (c - 10 * theta), 10 * (np.sqrt(a**2 + b**2) - 1), c)


@problem([1, 1, 1], 8.21487e-3, 17.4286)
def bard(x):
    y = np.array(
        [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]
    )
    u = np.arange(1.0, 16)
    v = 16 - u
    return y - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


@problem([0.4, 1, 0], 1.12793e-8)
def gaussian(x):
    half = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521]
    y, t = np.array([*half, 0.3989, *half[::-1]]), (8 - np.arange(1.0, 16)) / 2
    return x[0] * np.exp(-x[1] * (t - x[2]) ** 2 / 2) - y


@problem([0.02, 4000, 250], 87.9458)
def meyer(x):
    y = np.array(
        [
            34780,
            28610,
            23650,
            19630,
            16370,
            13720,
            11540,
            9744,
            8261,
            7030,
            6005,
            5147,
            4427,
            3820,
            3307,
            2872,
        ]
    )
    return x[0] * np.exp(x[1] / (45 + 5 * np.arange(1.0, 17) + x[2])) - y


@problem([5, 2.5, 0.15], 0)
def gulf(x):
    t = np.arange(1, 100) / 100
    base = 25 + power(-50 * np.log(t), 2 / 3) - x[1]
    base = np.where(base.real < 0, -base, base)
    return np.exp(-power(base, x[2]) / x[0]) - t


@problem([0, 10, 20], 0)
def box_three(x):
    t = np.arange(1, 11) / 10
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


@problem([3, -1, 0, 1], 0)
def powell_singular(x):
    a, b, c, d = x
    return stack(a + 10 * b, np.sqrt(5) * (c - d), (b - 2 * c) ** 2, np.sqrt(10) * (a - d) ** 2)


@problem([-3, -1, -3, -1], 0)
def wood(x):
    a, b, c, d = x
    return stack(
        10 * (b - a**2),
        1 - a,
        np.sqrt(90) * (d - c**2),
        1 - c,
        np.sqrt(10) * (b + d - 2),
        (b - d) / np.sqrt(10),
    )


@problem([0.25, 0.39, 0.415, 0.39], 3.07505e-4, 1.02734e-3)
def kowalik_osborne(x):
    y = np.array(
        [0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246]
    )
    u = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
    return y - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


@problem([25, 5, -5, -1], 85822.2)
def brown_dennis(x):
    t = np.arange(1, 21) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


@problem([0.5, 1.5, -1, 0.01, 0.02], 5.46489e-5)
def osborne_1(x):
    y = np.array(
        [
            0.844,
            0.908,
            0.932,
            0.936,
            0.925,
            0.908,
            0.881,
            0.850,
            0.818,
            0.784,
            0.751,
            0.718,
            0.685,
            0.658,
            0.628,
            0.603,
            0.580,
            0.558,
            0.538,
            0.522,
            0.506,
            0.490,
            0.478,
            0.467,
            0.457,
            0.448,
            0.438,
            0.431,
            0.424,
            0.420,
            0.414,
            0.411,
            0.406,
        ]
    )
    t = 10.0 * np.arange(33)
    return y - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4]))


@problem([1, 2, 1, 1, 1, 1], 0, 5.65565e-3)
def biggs_exp_6(x):
    t = np.arange(1, 14) / 10
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    return x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - y


@problem([1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5], 4.01377e-2)
def osborne_2(x):
    y = np.array(
        [
            1.366,
            1.191,
            1.112,
            1.013,
            0.991,
            0.885,
            0.831,
            0.847,
            0.786,
            0.725,
            0.746,
            0.679,
            0.608,
            0.655,
            0.616,
            0.606,
            0.602,
            0.626,
            0.651,
            0.724,
            0.649,
            0.649,
            0.694,
            0.644,
            0.624,
            0.661,
            0.612,
            0.558,
            0.533,
            0.495,
            0.500,
            0.423,
            0.395,
            0.375,
            0.372,
            0.391,
            0.396,
            0.405,
            0.428,
            0.429,
            0.523,
            0.562,
            0.607,
            0.653,
            0.672,
            0.708,
            0.633,
            0.668,
            0.645,
            0.632,
            0.591,
            0.559,
            0.597,
            0.625,
            0.739,
            0.710,
            0.729,
            0.720,
            0.636,
            0.581,
            0.428,
            0.292,
            0.162,
            0.098,
            0.054,
        ]
    )
    t = np.arange(65) / 10
    return y - (
        x[0] * np.exp(-t * x[4])
        + x[1] * np.exp(-((t - x[8]) ** 2) * x[5])
        + x[2] * np.exp(-((t - x[9]) ** 2) * x[6])
        + x[3] * np.exp(-((t - x[10]) ** 2) * x[7])
    )


@problem(np.zeros(6), 2.28767e-3)
def watson(x):
    t, j = np.arange(1, 30)[:, None] / 29, np.arange(6)
    return stack((j[1:] * t ** j[:-1]) @ x[1:] - (t**j @ x) ** 2 - 1, x[0], x[1] - x[0] ** 2 - 1)


@problem([-1.2, 1] * 5, 0)
def extended_rosenbrock(x):
    return stack(10 * (x[1::2] - x[::2] ** 2), 1 - x[::2])


@problem([3, -1, 0, 1] * 3, 0)
def extended_powell_singular(x):
    return stack(*(powell_singular(x[i : i + 4]) for i in range(0, 12, 4)))


@problem(np.arange(1, 5), 2.24997e-5)
def penalty_1(x):
    return stack(np.sqrt(1e-5) * (x - 1), (x**2).sum() - 0.25)


@problem(np.full(4, 0.5), 9.37629e-6)
def penalty_2(x):
    n, a, e = len(x), np.sqrt(1e-5), np.exp(x / 10)
    i = np.arange(2, n + 1)
    return stack(
        x[0] - 0.2,
        a * (e[1:] + e[:-1] - np.exp(i / 10) - np.exp((i - 1) / 10)),
        a * (e[1:] - np.exp(-1 / 10)),
        (np.arange(n, 0, -1) * x**2).sum() - 1,
    )


@problem(1 - np.arange(1, 11) / 10, 0)
def variably_dimensioned(x):
    total = (np.arange(1, 11) * (x - 1)).sum()
    return stack(x - 1, total, total**2)


@problem(np.full(10, 0.1), 0, 2.79506e-5)
def trigonometric(x):
    n = len(x)
    return n - np.cos(x).sum() + np.arange(1, n + 1) * (1 - np.cos(x)) - np.sin(x)


@problem(np.full(10, 0.5), 0, 1)
def brown_almost_linear(x):
    return stack(x[:-1] + x.sum() - (len(x) + 1), np.prod(x) - 1)


def grid(n):
    return np.arange(1, n + 1) / (n + 1)


@problem(grid(10) * (grid(10) - 1), 0)
def discrete_boundary_value(x):
    h, t = 1 / 11, grid(10)
    return 2 * x - stack(0, x[:-1]) - stack(x[1:], 0) + h**2 * (x + t + 1) ** 3 / 2


@problem(grid(10) * (grid(10) - 1), 0)
def discrete_integral_equation(x):
    t = grid(10)
    cubes = (x + t + 1) ** 3
    return (
        x
        + (
            (1 - t) * np.cumsum(t * cubes)
            + t * (((1 - t) * cubes).sum() - np.cumsum((1 - t) * cubes))
        )
        / 22
    )


@problem(np.full(10, -1.0), 0)
def broyden_tridiagonal(x):
    return (3 - 2 * x) * x - stack(0, x[:-1]) - 2 * stack(x[1:], 0) + 1


@problem(np.full(10, -1.0), 0)
def broyden_banded(x):
    near = [[j for j in range(max(0, i - 5), min(10, i + 2)) if j != i] for i in range(10)]
    return x * (2 + 5 * x**2) + 1 - np.array([(x[js] * (1 + x[js])).sum() for js in near])


@problem(np.ones(10), 10)
def linear_full_rank(x):
    return stack(x - 0.1 * x.sum() - 1, np.full(10, -0.1 * x.sum() - 1))


@problem(np.ones(10), 20 * 19 / (2 * 41))
def linear_rank_1(x):
    return np.arange(1, 21) * (np.arange(1, 11) * x).sum() - 1


@problem(np.ones(10), (400 + 60 - 6) / (2 * 37))
def linear_rank_1_with_zeros(x):
    inner = (np.arange(2, 10) * x[1:-1]).sum()
    return stack(-1, np.arange(1, 19) * inner - 1, -1)


@problem(np.arange(1, 9) / 9, 3.51687e-3)
def chebyquad(x):
    n, before, now = len(x), np.ones_like(x), 2 * x - 1
    residuals = []
    for i in range(1, n + 1):
        residuals.append(now.mean() + (1 / (i * i - 1) if i % 2 == 0 else 0))
        before, now = now, 2 * (2 * x - 1) * now - before
    return np.array(residuals)


def cost_of(residuals, unit=1.0, offset=0.0):
    """(sum of squares, gradient)"""

    def cost(x):
        r = residuals(x)
        jacobian = np.array(
            [residuals(x + 1e-30j * (np.arange(len(x)) == j)).imag / 1e-30 for j in range(len(x))]
        )
        return float(unit * (r @ r) + offset), unit * 2 * (jacobian @ r)

    return cost


def test_all_problems_are_there():
    assert len(PROBLEMS) == 35


@pytest.mark.parametrize("name", PROBLEMS)
def test_minimum(name):
    residuals, start, minima = PROBLEMS[name]
    with np.errstate(all="ignore"):
        result = minimize(cost_of(residuals), start, jac=True)
    assert result.success, result.message
    assert any(abs(result.fun - least) <= 1e-5 * least + 1e-9 for least in minima), result.fun


@pytest.mark.parametrize(
    "name", [name for name in PROBLEMS if name not in ("meyer", "brown_badly_scaled")]
)
@pytest.mark.parametrize(
    "unit, offset, size", [(1e-8, 0, 1), (1e8, 0, 1), (1, -1e6, 1), (1, 0, 1e-3), (1e-6, 1, 1e6)]
)
def test_a_success_in_other_units_is_a_minimum(name, unit, offset, size):
    """Those two start where the cost has 13 digits more than its minimum."""
    residuals, start, minima = PROBLEMS[name]
    cost = cost_of(residuals, unit, offset)

    def other(x):
        value, gradient = cost(x / size)
        return value, gradient / size

    with np.errstate(all="ignore"):
        result = minimize(other, start * size, jac=True)
        least = cost_of(residuals)(result.x / size)[0]
        lower = minimize(
            cost_of(residuals), result.x / size, jac=True
        ).fun  # another minimum than the paper's will do
    assert result.success
    assert (
        least <= lower + 1e-5 * abs(lower) + 1e-6 + 1e3 * np.finfo(float).eps * abs(offset) / unit
    )
