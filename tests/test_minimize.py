"""Descent on a user's own cost function: known minima, SciPy as an oracle, and every way to be
asked in vain.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import Bounds, OptimizeWarning, rosen, rosen_der
from scipy.optimize import minimize as scipy_minimize
from sklearn.datasets import load_breast_cancer

import fastgd
import reference
from fastgd import Adam, Adaptive, Constant, CosineDecay, check_gradient, minimize

RULES = ("gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "prodigy")
METHODS = ("auto", *RULES)
ROSEN0 = np.array([-1.2, 1.0])


def bowl(x):
    """Least at 1, 2, 3, ... with curvatures 1, 2, 3, ..."""
    h = np.arange(1.0, x.size + 1).reshape(x.shape)
    return float((h * (x - h) ** 2).sum() / 2), h * (x - h)


def quadratic(n, condition, seed=0):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    H = (Q * np.logspace(0, np.log10(condition), n)) @ Q.T
    return lambda x: (x @ H @ x / 2, H @ x), rng.standard_normal(n)


def logistic(l2=1e-4):
    X, y = load_breast_cancer(return_X_y=True)
    X, t = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))]), 2.0 * y - 1

    def cost(w, rows=slice(None)):
        A, s = X[rows], t[rows]
        m = s * (A @ w)
        return np.logaddexp(0, -m).mean() + l2 / 2 * (w @ w), -A.T @ (s / (1 + np.exp(m))) / len(
            s
        ) + l2 * w

    return cost, np.zeros(X.shape[1])


def rastrigin(x):
    return 10 * x.size + (x**2 - 10 * np.cos(2 * np.pi * x)).sum(), 2 * x + 20 * np.pi * np.sin(
        2 * np.pi * x
    )


def ackley(x):
    n, root, waves = x.size, np.sqrt((x**2).mean()), np.cos(2 * np.pi * x).mean()
    hill = -20 * np.exp(-0.2 * root)
    value = hill - np.exp(waves) + 20 + np.e
    gradient = (
        -0.2 * hill * x / (n * max(root, 1e-300))
        + np.exp(waves) * 2 * np.pi * np.sin(2 * np.pi * x) / n
    )
    return value, gradient


def himmelblau(x):
    a, b = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
    return a * a + b * b, np.array([4 * x[0] * a + 2 * b, 2 * a + 4 * x[1] * b])


class Counted:
    """A cost that counts its calls and does something at a call of its choice."""

    def __init__(self, cost, at=None, act=None):
        self.cost, self.calls, self.at, self.act, self.gradients = cost, 0, at, act, {}

    def __call__(self, x):
        self.calls += 1
        value, gradient = self.cost(x)
        if self.at is not None and self.calls >= self.at:
            value, gradient = self.act(value, gradient)
        self.gradients[x.tobytes()] = gradient
        return value, gradient


# ---- minima ----


@pytest.mark.parametrize("method", METHODS)
def test_every_method_reaches_the_minimum_of_a_bowl_with_its_defaults(method):
    result = minimize(bowl, np.zeros(5), jac=True, method=method)
    assert result.fun < 1e-3 * bowl(np.zeros(5))[0]
    if method not in ("adagrad", "rmsprop", "adamw"):
        assert result.success and result.status == 0
        assert_allclose(result.x, np.arange(1, 6), atol=1e-4)
    assert result.fun == pytest.approx(bowl(result.x)[0], rel=1e-12, abs=1e-300)
    assert_allclose(result.jac, bowl(result.x)[1], atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("problem", ["rosenbrock", "quadratic", "logistic", "wide"])
def test_default_rates_lower_the_cost(method, problem):
    cost, x0 = {
        "rosenbrock": (lambda x: (rosen(x), rosen_der(x)), np.tile(ROSEN0, 5)),
        "quadratic": quadratic(10, 1e6),
        "logistic": logistic(),
        "wide": (lambda x: bowl(1e3 * x), np.zeros(3)),
    }[problem]
    result = minimize(cost, x0, jac=True, method=method, max_iter=200)
    assert result.fun < 0.9 * cost(x0)[0]


@pytest.mark.parametrize("n", [2, 10, 100])
def test_auto_needs_no_more_evaluations_than_scipy_on_rosenbrock(n):
    compare_with_scipy(lambda x: (rosen(x), rosen_der(x)), np.tile(ROSEN0, n // 2), 1e-5)


@pytest.mark.parametrize("n", [10, 50])
def test_auto_needs_no_more_evaluations_than_scipy_on_steep_quadratics(n):
    compare_with_scipy(*quadratic(n, 1e6), 1e-3)


def test_auto_needs_no_more_evaluations_than_scipy_on_breast_cancer():
    compare_with_scipy(*logistic(), 1e-6)


def compare_with_scipy(cost, x0, size):
    """Evaluations until the gradient is so small."""

    class ReachedError(Exception):
        pass

    def until(x):
        until.calls += 1
        value, gradient = cost(x)
        if np.abs(gradient).max() <= size:
            raise ReachedError
        return value, gradient

    calls = {}
    for name, run in (
        ("fastgd", lambda: minimize(until, x0, jac=True, tol=0, max_iter=20000)),
        (
            "scipy",
            lambda: scipy_minimize(
                until,
                x0,
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": 20000, "maxfun": 40000, "ftol": 0, "gtol": 0},
            ),
        ),
    ):
        until.calls = 0
        with pytest.raises(ReachedError):
            run()
        calls[name] = until.calls
    assert calls["fastgd"] <= 1.3 * calls["scipy"]


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 12), power=st.floats(0, 4), scale=st.floats(-6, 6), seed=st.integers(0, 99))
def test_auto_finds_the_minimum_of_any_quadratic(n, power, scale, seed):
    cost, x0 = quadratic(n, 10**power if n > 1 else 1, seed)
    size = 10**scale
    result = minimize(
        lambda x: tuple(size * part for part in cost(x)), x0, jac=True, tol=1e-8 * min(size, 1)
    )
    assert result.status in (0, 2)
    assert result.fun <= 1e-12 * size * cost(x0)[0]


# ---- the rules are those of the library ----


@pytest.mark.parametrize("name", ["gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam"])
@pytest.mark.parametrize("l1", [0.0, 0.3])
def test_steps_are_those_of_the_twins(name, l1, dtype):
    rule = reference.RULES["sgd" if name == "gd" else name]()
    x0 = np.array([0.5, -1.0, 2.0, 0.0, 3.0], dtype=dtype)
    result = minimize(
        bowl,
        x0,
        jac=True,
        method=name,
        learning_rate=0.05,
        tol=0,
        max_iter=20,
        l1=l1,
        record_path=True,
    )
    x = x0.astype(float)
    assert result.history["x"].dtype == dtype
    for t, seen in enumerate(result.history["x"]):
        assert_allclose(
            seen,
            x,
            rtol=1e-12 if dtype == np.float64 else 2e-5,
            atol=1e-12 if dtype == np.float64 else 2e-5,
        )
        value, gradient = bowl(x)
        assert result.history["fun"][t] == pytest.approx(
            value + l1 * abs(x).sum(), rel=1e-9 if dtype == np.float64 else 1e-4
        )
        x = rule.step(x, gradient, 0.05, l1, 0.0, t + 1)


def test_prodigy_is_its_paper_s(dtype):
    """Algorithm 4 of the paper, with the bias correction of its authors' code."""
    x0 = np.array([0.5, -1.0, 2.0])
    result = minimize(
        bowl,
        x0.astype(dtype),
        jac=True,
        method="prodigy",
        learning_rate=1.0,
        tol=0,
        max_iter=60,
        record_path=True,
    )
    x, m, v, s, numerator, d = x0.copy(), np.zeros(3), np.zeros(3), np.zeros(3), 0.0, 1e-6
    for t, seen in enumerate(result.history["x"], start=1):
        # in float32 the first distances, of a millionth, have few digits
        assert_allclose(
            seen,
            x,
            rtol=1e-9 if dtype == np.float64 else 0.2,
            atol=1e-12 if dtype == np.float64 else 0.1,
        )
        g = bowl(x)[1]
        correct = np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        numerator = np.sqrt(0.999) * numerator + d / 1e-6 * d * correct * (g @ (x0 - x))
        s = np.sqrt(0.999) * s + d / 1e-6 * d * correct * g
        m, v = 0.9 * m + 0.1 * d * g, 0.999 * v + 0.001 * d * d * g * g
        x = x - d * correct * m / (np.sqrt(v) + d * 1e-8)
        d = max(d, numerator / abs(s).sum())


def test_adamw_shrinks_by_a_hundredth_of_the_rate():
    flat = minimize(
        lambda x: (0.0, np.zeros_like(x)),
        np.full(3, 2.0),
        jac=True,
        method="adamw",
        learning_rate=0.5,
        tol=0,
        max_iter=3,
        record_path=True,
    )
    assert_allclose(flat.history["x"][:, 0], 2.0 * (1 - 0.5 * 0.01) ** np.arange(4))


def test_rules_may_be_configured_and_rates_scheduled():
    rates = CosineDecay(0.3, epochs=50)
    one = minimize(
        bowl, np.zeros(3), jac=True, method=Adam(beta1=0.5), learning_rate=rates, tol=0, max_iter=50
    )
    assert_allclose(one.history["learning_rate"], 0.15 * (1 + np.cos(np.pi * np.arange(51) / 50)))
    other = minimize(
        bowl, np.zeros(3), jac=True, method="adam", learning_rate=rates, tol=0, max_iter=50
    )
    assert one.fun != other.fun
    assert (
        minimize(bowl, np.zeros(3), jac=True, method="gd", learning_rate=Constant(0.1)).nit
        == minimize(bowl, np.zeros(3), jac=True, method="gd", learning_rate=0.1).nit
    )


def test_same_bits_for_any_number_of_threads():
    n = 200_001
    h, target = np.linspace(1, 2, n), np.random.default_rng(0).standard_normal(n)

    def cost(x):
        return float((h * (x - target) ** 2).sum() / 2), h * (x - target)

    for method in ("adam", "adamw", "prodigy", "auto"):
        one, two = (
            minimize(cost, np.zeros(n), jac=True, method=method, max_iter=8, n_jobs=jobs)
            for jobs in (1, 2)
        )
        assert_array_equal(one.x, two.x)
        assert one.history["fun"] == two.history["fun"]


@pytest.mark.parametrize("method", ["adam", "adamw", "prodigy", "rmsprop", "nesterov"])
@pytest.mark.parametrize(
    "act",
    [
        lambda f, g: (np.nan, g),
        lambda f, g: (f + 1e9, g),
        lambda f, g: (f, np.where(np.arange(len(g)) % 5000 == 7, np.nan, g)),
    ],
    ids=["nan", "rise", "hole"],
)
def test_the_best_of_many_parameters_is_kept_too(method, act, dtype):
    n = 70_000  # so many that Adam's step is taken back instead of kept apart
    target = np.random.default_rng(0).standard_normal(n).astype(dtype)
    path = []

    def cost(x):
        path.append(x)
        value, gradient = float(((x - target) ** 2).sum(dtype=float) / 2), x - target
        return act(value, gradient) if len(path) == 9 else (value, gradient)

    result = minimize(
        cost, np.zeros(n, dtype), jac=True, method=method, learning_rate=0.01, tol=0, max_iter=8
    )
    best = path[8] if np.isfinite(act(1.0, target)[0]) and act(1.0, target)[0] < 1e9 else path[7]
    assert_allclose(result.x, best, rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)


# ---- shapes, precision, SciPy's forms ----


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 1, 2)])
def test_parameters_of_any_shape_and_precision(method, shape, dtype):
    seen = set()

    def cost(x):
        seen.add((x.shape, x.dtype))
        value, gradient = bowl(np.asarray(x))
        return value, gradient.reshape(x.shape)

    result = minimize(cost, np.zeros(shape, dtype), jac=True, method=method, max_iter=50)
    assert seen == {(shape, np.dtype(dtype))}
    assert result.x.shape == result.jac.shape == shape and result.x.dtype == dtype
    assert result.fun < bowl(np.zeros(shape))[0]


def test_float32_converges():
    result = minimize(
        lambda x: (np.float32(rosen(x)), rosen_der(x)),
        ROSEN0.astype(np.float32),
        jac=True,
        tol=1e-4,
    )
    assert result.success and result.x.dtype == np.float32
    assert_allclose(result.x, 1, atol=1e-2)


def test_whole_numbers_become_float64():
    assert minimize(bowl, [0, 0], jac=True).x.dtype == np.float64


def test_the_gradient_may_come_in_three_ways():
    both = minimize(bowl, np.zeros(3), jac=True)
    apart = minimize(lambda x: bowl(x)[0], np.zeros(3), jac=lambda x: bowl(x)[1])
    assert_array_equal(both.x, apart.x)
    assert both.nfev == both.njev == apart.nfev == apart.njev
    with pytest.warns(OptimizeWarning, match="3 times more"):
        differences = minimize(lambda x: bowl(x)[0], np.zeros(3))
    assert_allclose(differences.x, both.x, atol=1e-5)
    assert differences.nfev >= 4 * both.nfev - 4 and differences.njev == 0


@pytest.mark.parametrize("method", ["auto", "adam"])
def test_torch_s_gradients(method, dtype):
    torch = pytest.importorskip("torch")

    def cost(x):
        theta = torch.tensor(x, requires_grad=True)
        value = ((theta - 3) ** 2).sum()
        value.backward()
        return value, theta.grad

    result = minimize(cost, np.zeros(3, dtype), jac=True, method=method, tol=1e-4)
    assert result.success and result.x.dtype == dtype
    assert_allclose(result.x, 3, atol=1e-3)


def test_finite_differences_stay_within_bounds():
    def cost(x):
        assert (x >= 0).all()
        return float((np.sqrt(x) - x).sum())

    with pytest.warns(OptimizeWarning):
        result = minimize(cost, [0.0001, 0.3], bounds=[(0, 4)] * 2, max_iter=50)
    assert result.fun <= cost(np.array([0.0001, 0.3]))


def test_further_arguments_reach_both_functions():
    result = minimize(lambda x, a: a * x @ x, np.ones(2), lambda x, a: 2 * a * x, args=(3.0,))
    assert result.success and abs(result.x).max() < 1e-6


def test_users_may_keep_the_parameters_they_are_shown():
    kept = []

    def cost(x):
        kept.append(x)
        return bowl(x)

    result = minimize(
        cost,
        np.zeros(2),
        jac=True,
        method="adam",
        learning_rate=0.1,
        max_iter=5,
        tol=0,
        record_path=True,
    )
    assert_array_equal(kept, result.history["x"])


@pytest.mark.parametrize("name", METHODS)
def test_scipy_takes_every_method(name):
    own = minimize(rosen, ROSEN0, rosen_der, method=name, max_iter=300, tol=1e-5)
    by_scipy = scipy_minimize(
        rosen,
        ROSEN0,
        jac=rosen_der,
        method=getattr(fastgd, name),
        tol=1e-5,
        options={"max_iter": 300},
    )
    assert_array_equal(own.x, by_scipy.x)
    assert own.nit == by_scipy.nit


def test_scipy_passes_what_it_has():
    seen = []
    result = scipy_minimize(
        lambda x, a: bowl(a * x),
        np.zeros(2),
        args=(1.0,),
        jac=True,
        method=fastgd.auto,
        bounds=[(0, 0.5), (0, None)],
        callback=seen.append,
    )
    assert_allclose(result.x, [0.5, 2], atol=1e-6)
    assert len(seen) == result.nit + 1
    with pytest.raises(ValueError, match="no constraints"):
        scipy_minimize(
            bowl,
            np.zeros(2),
            jac=True,
            method=fastgd.adam,
            constraints={"type": "eq", "fun": lambda x: x[0]},
        )
    with pytest.warns(RuntimeWarning, match="Hessian"):
        scipy_minimize(bowl, np.zeros(2), jac=True, method=fastgd.adam, hess=lambda x: np.eye(2))


# ---- stopping ----


@pytest.mark.parametrize("method", METHODS)
def test_tol_is_the_gradient_over_the_cost(method):
    def cost(x):
        value, gradient = bowl(x)
        return value + 1000, gradient

    result = minimize(cost, np.zeros(3), jac=True, method=method, tol=1e-6, learning_rate=None)
    assert np.abs(result.jac).max() <= 1e-6 * result.fun or not result.success
    assert result.success or method in ("adagrad", "rmsprop", "adamw")


@pytest.mark.parametrize("method", METHODS)
def test_tol_zero_never_stops_early(method):
    for cost, x0 in ((bowl, np.arange(1.0, 4)), (bowl, np.zeros(3))):
        result = minimize(cost, x0, jac=True, method=method, tol=0, max_iter=150)
        assert result.nit == 150 and result.status == 1
        assert len(result.history["fun"]) == 151


def test_history_begins_at_x0():
    result = minimize(bowl, np.zeros(2), jac=True, record_path=True)
    assert_array_equal(result.history["x"][0], [0, 0])
    assert_array_equal(result.history["x"][-1], result.x)
    assert result.history["fun"][0] == bowl(np.zeros(2))[0]
    assert {len(values) for values in result.history.values()} == {result.nit + 1}
    assert result.history["nfev"][-1] == result.nfev
    assert_allclose([bowl(x)[0] for x in result.history["x"]], result.history["fun"], rtol=1e-12)
    assert "x" not in minimize(bowl, np.zeros(2), jac=True).history


@pytest.mark.parametrize("method", ["auto", "adam"])
def test_callbacks_are_scipy_s(method):
    results, points = [], []

    def by_name(intermediate_result):
        results.append(intermediate_result)
        if len(results) == 4:
            raise StopIteration

    stopped = minimize(bowl, np.zeros(3), jac=True, method=method, callback=by_name)
    assert (stopped.status, stopped.success, len(results)) == (99, False, 4)
    assert [seen.nit for seen in results] == [0, 1, 2, 3]
    assert results[-1].fun == pytest.approx(bowl(results[-1].x)[0])
    minimize(bowl, np.zeros(3), jac=True, method=method, callback=points.append, max_iter=3, tol=0)
    assert len(points) == 4
    assert_array_equal(points[:4], [seen.x for seen in results])


# ---- success ----


def changed(cost, unit=1.0, offset=0.0, sizes=1.0):
    """The cost in another unit, with an offset, of parameters in other units."""

    def other(x):
        value, gradient = cost(x / sizes)
        return unit * value + offset, unit * gradient / sizes

    return other


def hill(x):
    """Least at 1, 1, ..., and nowhere convex but near it."""
    d = x - 1
    return float(np.log1p(d @ d)), 2 * d / (1 + d @ d)


COSTS = {
    "bowl": (bowl, np.zeros(4), np.arange(1.0, 5)),
    "hill": (hill, np.array([9.0, -5.0]), np.ones(2)),
    "rosenbrock": (lambda x: (rosen(x), rosen_der(x)), ROSEN0, np.ones(2)),
}
CHANGES = [
    {"unit": 1e-8},
    {"unit": 1e8},
    {"offset": -1e6},
    {"offset": 1e6},
    {"sizes": 1e-6},
    {"sizes": 1e6},
    {"unit": 1e-8, "offset": 1.0, "sizes": 1e3},
    {"unit": 1e6, "offset": -1e9, "sizes": 1e-3},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("name", COSTS)
def test_success_knows_no_units(name, change):
    cost, x0, least = COSTS[name]
    sizes = change.get("sizes", 1.0)
    result = minimize(changed(cost, **change), x0 * sizes, jac=True)
    assert result.success, result.message
    assert_allclose(result.x / sizes, least, atol=2e-3)


@pytest.mark.parametrize("name", COSTS)
def test_parameters_may_be_in_several_units(name):
    cost, x0, least = COSTS[name]
    sizes = np.logspace(-3, 3, len(x0))
    result = minimize(changed(cost, 1e-6, 1.0, sizes), x0 * sizes, jac=True)
    assert result.success, result.message
    assert_allclose(result.x / sizes, least, atol=2e-3)


@pytest.mark.parametrize("offset", [-1e12, 1e12])
def test_an_offset_costs_digits_alone(offset):
    cost, x0, least = COSTS["rosenbrock"]
    result = minimize(changed(cost, offset=offset), x0, jac=True)
    assert result.success
    assert cost(result.x)[0] < 1e-3  # an ulp of the cost is 1e-4


@pytest.mark.parametrize(
    "change",
    [{"unit": 1e-8}, {"offset": -1e6}, {"offset": 1e6}, {"unit": 1e-6, "offset": 1.0}],
    ids=str,
)
@pytest.mark.parametrize("method", [*RULES, Adam(beta1=0.5)], ids=str)
def test_a_rule_that_claims_success_is_at_the_minimum(method, change):
    result = minimize(changed(bowl, **change), np.zeros(4), jac=True, method=method, max_iter=1000)
    assert not result.success or np.abs(result.x - np.arange(1, 5)).max() < 1e-3
    assert result.success or method in ("adagrad", "rmsprop", "adam", "adamw", "prodigy")
    assert result.fun <= changed(bowl, **change)(np.zeros(4))[0]


@pytest.mark.parametrize("method", METHODS)
def test_batches_with_an_offset_are_no_success_at_once(method):
    cost, x0 = logistic(l2=1e-2)
    result = minimize(
        changed(lambda w: cost(w), offset=1e6), x0, jac=True, method=method, max_iter=3
    )
    assert not result.success

    def stochastic(w, rows):
        value, gradient = cost(w, rows)
        return value + 1e6, gradient

    result = minimize(
        stochastic, x0, jac=True, method=method, batches=(569, 100), max_iter=3, random_state=0
    )
    assert not result.success


@pytest.mark.parametrize("bounds", [None, [(-1e8, 1e8)] * 3])
def test_a_distant_minimum_of_a_huge_cost(bounds):
    result = minimize(
        lambda x: (float(((x - 3e6) ** 2).sum()), 2 * (x - 3e6)), np.zeros(3), True, bounds=bounds
    )
    assert result.success
    assert_allclose(result.x, 3e6, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "cost",
    [
        lambda x: (-float(x @ x), -2 * x),
        lambda x: (-float(x.sum()), -np.ones_like(x)),
        lambda x: (-float(np.log(x).sum()), -1 / x),
    ],
    ids=["parabola", "line", "logarithm"],
)
def test_a_cost_that_falls_without_end_is_no_success(cost, method, unit):
    result = minimize(changed(cost, unit), np.ones(2), jac=True, method=method, max_iter=200)
    assert not result.success and result.status in (1, 2, 3, 4)
    assert "learning_rate" not in result.message
    bounded = minimize(
        changed(cost, unit),
        np.ones(2),
        jac=True,
        bounds=[(0.5, 7)] * 2,
        method=method,
        max_iter=200,
    )
    if bounded.success:
        assert_array_equal(bounded.x, [7, 7])


def test_minus_infinity_is_named():
    result = minimize(lambda x: (-float(x @ x), -2 * x), np.ones(2), jac=True)
    assert result.status == 4 and "falls without end" in result.message


@pytest.mark.parametrize("name", COSTS)
def test_a_run_from_the_minimum_is_a_success(name):
    cost, x0, least = COSTS[name]
    first = minimize(cost, x0, jac=True)
    for start in (first.x, least, np.nextafter(least, 9)):
        again = minimize(cost, start, jac=True)
        assert again.success and again.nfev < 60, again
        assert again.fun <= cost(start)[0]


@pytest.mark.parametrize("unit", [1e12, 2e12, 3e12, 1e13])
def test_what_rounding_ends_is_told(unit):
    """In units of 1e-12 the gradient at the minimum has an error of about 1e-4, beside which tol is
    nothing. Line searches may find steps for ever: their rounding errors depend on the processor.
    """
    cost, x0 = logistic(l2=1e-2)
    result = minimize(changed(cost, unit=unit), x0, jac=True, tol=1e-18)
    assert result.success and "Rounding" in result.message
    assert result.nit < 200
    assert np.abs(result.jac).max() > 1e-18 * result.fun
    assert np.abs(cost(result.x)[1]).max() < 1e-9


def test_a_kink_is_not_taken_for_rounding():
    """L-BFGS ends in the ridge of |x - y|, far from the minimum at 0."""

    def ridge(x):
        d = x[0] - x[1]
        return abs(d) + 0.01 * abs(x).sum(), np.array([np.sign(d), -np.sign(d)]) + 0.01 * np.sign(x)

    for start in ([3.0, 1.0], [5.0, -2.3], [1.0, 4.0]):
        result = minimize(ridge, start, jac=True)
        assert not result.success or np.abs(result.x).max() < 1e-3


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 6),
    unit=st.floats(-12, 12),
    offset=st.sampled_from([0, 1, -1e3, 1e6]),
    sizes=st.floats(0, 6),
    bounded=st.booleans(),
    tol=st.sampled_from([1e-3, 1e-6, 1e-9]),
)
def test_no_false_success(seed, n, unit, offset, sizes, bounded, tol):
    """Convex costs of unknown units, judged where their units are known."""
    rng = np.random.default_rng(seed)
    A, signs, size = (
        rng.standard_normal((2 * n + 2, n)),
        rng.choice([-1.0, 1.0], 2 * n + 2),
        10 ** rng.uniform(-sizes, sizes, n),
    )

    def cost(z):
        m = signs * (A @ z)
        return np.logaddexp(0, -m).mean() + 0.01 * z @ z, -A.T @ (signs / (1 + np.exp(m))) / len(
            m
        ) + 0.02 * z

    low, high = (
        np.sort(rng.normal(size=(2, n)), axis=0)
        if bounded
        else np.full((2, n), [[-np.inf], [np.inf]])
    )
    x0 = rng.normal(size=n)
    result = minimize(
        changed(cost, 10**unit, offset, size),
        x0 * size,
        jac=True,
        bounds=Bounds(low * size, high * size),
        tol=tol,
    )
    other = scipy_minimize(
        cost,
        np.clip(x0, low, high),
        jac=True,
        bounds=Bounds(low, high),
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    if result.success:
        rounding = 1e4 * np.finfo(float).eps * abs(offset) / 10**unit
        assert cost(result.x / size)[0] <= other.fun + 1e-4 + tol + rounding


# ---- limits and SciPy's habits ----


@pytest.mark.filterwarnings("ignore::scipy.optimize.OptimizeWarning")
@pytest.mark.parametrize("method", METHODS)
def test_evaluations_are_limited(method):
    for jac in (rosen_der, None):
        seen = []
        result = minimize(
            lambda x, seen=seen: seen.append(x) or rosen(x), ROSEN0, jac, method=method, max_fun=25
        )
        assert (result.status, result.success) == (6, False) and "evaluations" in result.message
        assert result.nfev == len(seen) <= 25 and result.fun == rosen(result.x)
    many = minimize(
        rosen,
        ROSEN0,
        rosen_der,
        method=method,
        max_fun=30,
        n_restarts=50,
        random_state=0,
        bounds=[(-2, 2)] * 2,
    )
    assert many.status == 6 and many.nfev <= 30
    one = minimize(rosen, ROSEN0, rosen_der, method=method, max_fun=1)
    assert (one.status, one.nfev, one.fun) == (6, 1, rosen(ROSEN0))
    assert (
        minimize(
            lambda x, batch: bowl(x), ROSEN0, True, method=method, batches=[0, 1], max_fun=30
        ).status
        == 6
    )


@pytest.mark.parametrize("method", ["auto", "gd", "adam"])
def test_seconds_are_limited(method):
    from time import sleep

    def slow(x):
        sleep(0.01)
        return rosen(x), rosen_der(x)

    result = minimize(slow, ROSEN0, True, method=method, max_seconds=0.05, tol=1e-12)
    assert (result.status, result.success) == (7, False) and "max_seconds" in result.message
    assert result.nfev < 40 and result.fun <= rosen(ROSEN0)


@pytest.mark.parametrize("method", ["auto", "gd", "adam"])
def test_options_are_scipy_s(method):
    def by_both(**options):
        own = minimize(rosen, ROSEN0, rosen_der, method=method, options=options)
        assert_array_equal(
            own.x,
            scipy_minimize(
                rosen, ROSEN0, jac=rosen_der, method=getattr(fastgd, method), options=options
            ).x,
        )
        return own

    assert (by_both(maxiter=3).status, by_both(maxiter=3).nit) == (1, 3)
    assert by_both(maxfun=9).status == 6
    near = by_both(gtol=1e-2, maxiter=3000)
    assert np.abs(near.jac).max() <= 1e-2 if near.success else method == "gd"
    assert not by_both(gtol=0, ftol=0, maxiter=40).success
    flat = by_both(gtol=0, ftol=1e-6, maxiter=10_000)
    assert not flat.success or flat.fun < 1e-3
    for options in ({"eps": 1e-8}, {"disp": True}, {"max_iter": 3}):
        with pytest.raises(ValueError, match="is unknown: SciPy's maxiter, maxfun, ftol, gtol"):
            minimize(rosen, ROSEN0, rosen_der, options=options)
    with pytest.raises(ValueError, match="maxiter"):
        minimize(rosen, ROSEN0, rosen_der, options={"maxiter": -1})
    with pytest.raises(ValueError, match="are the same"):
        minimize(rosen, ROSEN0, rosen_der, options={"maxiter": 3}, max_iter=3)


def test_a_number_is_an_array_of_one():
    for start in (0, 0.0, np.float64(0)):
        with pytest.warns(OptimizeWarning):
            result = minimize(lambda x: (x[0] - 2) ** 2, start)
        assert result.x.shape == (1,) and result.success
        assert_allclose(result.x, 2, atol=1e-6)


def test_arguments_that_are_no_tuple_are_one():
    for args in (3.0, [3.0], np.array([3.0])):
        result = minimize(
            lambda x, a: np.sum(a) * x @ x, np.ones(2), lambda x, a: 2 * np.sum(a) * x, args=args
        )
        assert result.success
    assert (
        check_gradient(lambda x, a: a * x @ x, lambda x, a: 2 * a * x, np.ones(2), args=3.0) < 1e-6
    )


@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (1, 3, 1)])
def test_axes_of_length_one_do_not_matter_to_a_gradient(shape):
    result = minimize(bowl, np.zeros(3), jac=True)
    column = minimize(lambda x: (bowl(x)[0], bowl(x)[1].reshape(shape)), np.zeros(3), jac=True)
    assert_array_equal(result.x, column.x)
    assert column.jac.shape == (3,)


@pytest.mark.parametrize("method", METHODS)
def test_one_buffer_may_hold_all_gradients(method):
    buffer = np.empty(3)

    def cost(x):
        np.multiply(np.arange(1, 4), x - np.arange(1, 4), out=buffer)
        return bowl(x)[0], buffer

    own, shared = (
        minimize(bowl, np.zeros(3), jac=True, method=method),
        minimize(cost, np.zeros(3), jac=True, method=method),
    )
    assert_array_equal(own.x, shared.x)
    assert_array_equal(own.jac, shared.jac)
    batched = [
        minimize(
            lambda x, batch, f=f: f(x),
            np.zeros(3),
            jac=True,
            method=method,
            batches=[0, 1],
            max_iter=9,
        ).x
        for f in (bowl, cost)
    ]
    assert_array_equal(*batched)
    assert check_gradient(cost, True, np.zeros(3)) < 1e-6


# ---- the domain ----


def spread_model(off):
    """The negative log-likelihood of a normal distribution; `off` where its deviation is not
    positive.
    """
    d = np.random.default_rng(0).normal(5, 2, 300)

    def cost(p):
        if p[1] <= 0:
            return off, np.full(2, np.nan)
        z = (d - p[0]) / p[1]
        value = float(np.sum(0.5 * z * z + np.log(p[1])))
        return value, np.array([-z.sum() / p[1], np.sum(1 / p[1] - z * z / p[1])])

    return cost, [d.mean(), d.std()]


@pytest.mark.parametrize("off", [np.inf, np.nan])
@pytest.mark.parametrize("start", [1e4, 1e-3, 30.0])
def test_lines_end_where_the_domain_does(off, start):
    cost, least = spread_model(off)
    result = minimize(cost, [0.0, start], True)
    assert result.success
    assert_allclose(result.x, least, rtol=1e-4)


@pytest.mark.parametrize("off", [np.inf, np.nan])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "extras", [{}, {"bounds": [(-50, 50), (-60, 60)]}, {"l1": 0.1}], ids=["line", "bounds", "l1"]
)
def test_fun_is_the_lowest_cost_evaluated(method, off, extras):
    cost, _ = spread_model(off)
    totals = []

    def counted(p):
        value, gradient = cost(p)
        totals.append(value + extras.get("l1", 0) * abs(p).sum())
        return value, gradient

    result = minimize(counted, [0.0, 40.0], True, method=method, max_iter=60, **extras)
    assert result.fun == pytest.approx(np.nanmin(totals), rel=1e-14)
    assert result.fun == pytest.approx(
        cost(result.x)[0] + extras.get("l1", 0) * abs(result.x).sum(), rel=1e-14
    )


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("method", METHODS)
def test_a_start_off_the_domain_is_an_error_at_once(method, value):
    cost = Counted(lambda x: (value, x))
    with pytest.raises(ValueError, match="not finite at x0: the cost is"):
        minimize(cost, np.ones(2), True, method=method)
    assert cost.calls == 1


def test_steps_along_arcs_become_longer():
    def far(x):
        return float(np.log1p(x @ x)), 2 * x / (1 + x @ x)

    free = minimize(far, [1000.0], True)
    for extras in ({"bounds": [(-1e9, 1e9)]}, {"l1": 1e-12}):
        result = minimize(far, [1000.0], True, **extras)
        assert result.success and result.nfev <= 1.5 * free.nfev
        assert abs(result.x[0]) < 1e-5
    result = minimize(
        lambda x: (-float(x @ x), -2 * x), [1e-3, 1e-3], True, bounds=[(-1, 1e6), (-1, 1e7)]
    )
    assert result.success and result.nfev < 60
    assert_array_equal(result.x, [1e6, 1e7])


@pytest.mark.parametrize("start", [1 + 1e-9, 1 + 1e-14, 1 - 1e-6])
def test_near_a_minimum_no_gradient_is_said_to_have_the_wrong_sign(start):
    """There differences of the cost are those of third derivatives, or of rounding errors."""

    def cost(x):
        d = x - 1
        return float((d * d + 50 * d**3).sum()), 2 * d + 150 * d**2

    for method in METHODS:
        minimize(cost, np.full(2, start), True, method=method, max_iter=3)


# ---- finite differences ----


@pytest.mark.filterwarnings("ignore::scipy.optimize.OptimizeWarning")
def test_differences_skip_fixed_parameters():
    seen = []
    result = minimize(
        lambda x: seen.append(x) or rosen(x), [2.0, 2.0, 2.0], bounds=[(0, 10), (0, 10), (2, 2)]
    )
    exact = minimize(rosen, [2.0, 2.0, 2.0], rosen_der, bounds=[(0, 10), (0, 10), (2, 2)])
    assert_allclose(result.x, exact.x, atol=1e-5)
    assert {x[2] for x in seen} == {2.0}


@pytest.mark.filterwarnings("ignore::scipy.optimize.OptimizeWarning")
@pytest.mark.parametrize(
    "single",
    [
        lambda z: np.float32((np.float32(z[0]) - np.float32(3)) ** 2),
        lambda z: float(np.float32(2 + (np.float32(z[0]) - np.float32(3)) ** 2)),
        lambda z: 0.1 * float(np.float32(2 + (np.float32(z[0]) - np.float32(3)) ** 2)),
        lambda z: np.float16(1 + (np.float16(z[0]) - np.float16(3)) ** 2),
    ],
    ids=["float32", "float", "tenth", "float16"],
)
@pytest.mark.parametrize("method", ["auto", "gd"])
def test_differences_know_the_precision_of_the_cost(single, method):
    result = minimize(single, [1.0], method=method)
    assert result.x[0] == pytest.approx(
        3, abs=2e-3 if isinstance(single([1.0]), (float, np.float32)) else 0.1
    )
    assert result.fun < single([1.0])


@pytest.mark.filterwarnings("ignore::scipy.optimize.OptimizeWarning")
@pytest.mark.parametrize("method", METHODS)
def test_a_difference_of_rounding_errors_is_no_gradient(method):
    def cost(x):
        return 1e10 + float((x - 2) @ (x - 2))

    start = np.array([40.0, -30.0])
    result = minimize(cost, start, method=method, max_iter=50)
    assert result.nit > 0 and result.fun < cost(start)
    assert not result.success or abs(result.x - 2).max() < 0.05


# ---- bounds and L1 ----


@pytest.mark.parametrize("method", METHODS)
def test_bounds_are_kept_in_every_evaluation(method):
    low, high = np.array([-1.0, 2.5, 0.0, -np.inf]), np.array([0.5, 9.0, 2.0, 3.0])

    def cost(x):
        assert (x >= low).all() and (x <= high).all()
        return bowl(x)

    result = minimize(cost, np.full(4, 5.0), jac=True, method=method, bounds=Bounds(low, high))
    assert_allclose(
        result.x,
        [0.5, 2.5, 2.0, 3.0],
        atol=0.05 if method in ("rmsprop", "adagrad", "adamw") else 1e-6,
    )


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 8),
    seed=st.integers(0, 999),
    l1=st.sampled_from([0.0, 0.1, 2.0]),
    bounded=st.booleans(),
)
def test_auto_with_l1_and_bounds_satisfies_the_optimality_conditions(n, seed, l1, bounded):
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((n + 2, n)), rng.standard_normal(n + 2)
    low, high = (
        np.sort(rng.standard_normal((2, n)), axis=0)
        if bounded
        else np.full((2, n), [[-np.inf], [np.inf]])
    )

    def cost(x):
        r = A @ x - b
        return r @ r / 2, A.T @ r

    result = minimize(
        cost, rng.standard_normal(n), jac=True, l1=l1, bounds=Bounds(low, high), tol=1e-7
    )
    x, g = result.x, cost(result.x)[1]
    assert (x >= low).all() and (x <= high).all()
    assert result.fun == pytest.approx(cost(x)[0] + l1 * abs(x).sum())
    least, greatest = (
        g + np.where(x > 0, l1, -l1),
        g + np.where(x < 0, -l1, l1),
    )  # the ends of the subdifferential
    violation = np.maximum(
        np.where(x > low, least, -np.inf), np.where(x < high, -greatest, -np.inf)
    ).clip(0)
    assert violation.max() <= 1e-5 * max(1, result.fun)


@pytest.mark.parametrize("method", [*RULES, Adam(beta1=0.5)], ids=str)
def test_rounding_of_the_l1_part_is_no_rise_of_the_cost(method):
    """NumPy and the kernels may sum |x|_1 in another order."""
    result = minimize(bowl, [0.3, 4.0, 2.0, 0.1, 7.0], jac=True, method=method, l1=0.1, max_iter=9)
    assert result.nit == 9 and result.fun < result.history["fun"][0]


def test_l1_finds_scikit_learn_s_lasso():
    from sklearn.linear_model import Lasso

    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 20))
    y = X[:, :3] @ [2.0, -1.0, 0.5] + 0.1 * rng.standard_normal(60)

    def cost(w):
        r = X @ w - y
        return r @ r / 2 / 60, X.T @ r / 60

    lasso = Lasso(alpha=0.1, fit_intercept=False, tol=1e-10).fit(X, y)
    for method in ("auto", "gd", "nesterov", "prodigy"):
        result = minimize(cost, np.zeros(20), jac=True, method=method, l1=0.1, tol=1e-7)
        assert result.success
        assert_allclose(result.x, lasso.coef_, atol=1e-5)
        assert_array_equal(result.x == 0, lasso.coef_ == 0)


def test_auto_with_bounds_agrees_with_scipy_on_rosenbrock():
    bounds = [(-2, 0.7), (-1, 0.8)] * 5
    result = minimize(rosen, np.tile(ROSEN0, 5), rosen_der, bounds=bounds, tol=1e-8)
    other = scipy_minimize(
        rosen,
        np.clip(np.tile(ROSEN0, 5), -2, 0.7),
        jac=rosen_der,
        bounds=bounds,
        method="L-BFGS-B",
        options={"ftol": 0, "gtol": 1e-9, "maxiter": 5000, "maxfun": 20000},
    )
    assert result.success and result.fun <= other.fun + 1e-8
    assert result.nfev <= 1.3 * other.nfev + 20


def test_bounds_of_a_matrix_go_by_flat_order():
    result = minimize(
        bowl, np.zeros((2, 2)), jac=True, bounds=[(None, 0.5), (0, None), (None, None), (0, 3)]
    )
    assert_allclose(result.x, [[0.5, 2], [3, 3]], atol=1e-6)
    for box in (
        Bounds(0.0, [0.5, 9, 9, 3]),
        Bounds(np.zeros(4), [0.5, 9, 9, 3]),
        Bounds(0.0, np.array([[0.5, 9], [9, 3]])),
    ):
        assert_allclose(
            minimize(bowl, np.zeros((2, 2)), jac=True, bounds=box).x, [[0.5, 2], [3, 3]], atol=1e-6
        )


# ---- stochastic costs ----


@pytest.mark.parametrize("method", METHODS)
def test_batches_of_row_numbers(method):
    cost, x0 = logistic()
    sizes = []

    def stochastic(w, rows):
        sizes.append(len(rows))
        return cost(w, rows)

    result = minimize(
        stochastic,
        x0,
        jac=True,
        method=method,
        batches=(569, 50),
        max_iter=20,
        tol=0,
        random_state=0,
    )
    assert cost(result.x)[0] < 0.25 * cost(x0)[0]
    assert result.nit == 20 and len(result.history["fun"]) == 20
    assert sizes.count(50) >= 20 * 11 and sizes.count(19) == 20
    again = minimize(
        cost, x0, jac=True, method=method, batches=(569, 50), max_iter=20, tol=0, random_state=0
    )
    assert_array_equal(result.x, again.x)
    assert not np.array_equal(
        result.x,
        minimize(
            cost, x0, jac=True, method=method, batches=(569, 50), max_iter=20, tol=0, random_state=1
        ).x,
    )


def test_each_pass_visits_every_row_once():
    rows = []

    def cost(x, batch):
        rows.extend(batch)
        return x @ x, 2 * x

    minimize(
        cost,
        np.ones(2),
        jac=True,
        method="gd",
        learning_rate=0.1,
        batches=(10, 4),
        max_iter=2,
        tol=0,
        random_state=0,
    )
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert rows[:10] != rows[10:]


def test_batches_may_be_any_iterable_and_history_holds_their_means():
    targets = [np.array([1.0]), np.array([3.0])]

    def cost(x, target):
        return float((x - target) @ (x - target) / 2), x - target

    result = minimize(
        cost,
        [0.0],
        jac=True,
        method="gd",
        learning_rate=0.5,
        batches=targets,
        max_iter=1,
        tol=0,
        record_path=True,
    )
    assert_allclose(result.history["x"].ravel(), [0, 0.5, 1.75])
    assert result.history["fun"] == pytest.approx([(0.5 + 2.5**2 / 2) / 2])
    assert result.history["gradient_norm"] == pytest.approx([(1 + 2.5) / 2])


@pytest.mark.parametrize("method", METHODS)
def test_a_plateau_under_batches_ends_nothing(method):
    """Rates that were found fall by themselves: after `patience` passes without a new low the run
    goes on.
    """

    def noise_alone(x, sign):
        return 1 + sign * 1e-3 * float(x.sum()), np.full(3, sign * 1e-3)

    result = minimize(
        noise_alone,
        np.ones(3),
        jac=True,
        method=method,
        batches=[1, -1],
        patience=3,
        max_iter=30,
        tol=0,
    )
    assert result.status == 1 and result.nit == 30
    if method not in ("auto", "prodigy"):
        rates = np.array(result.history["learning_rate"])
        assert (rates[1:] < rates[:-1]).all() and (rates[1:] > 0.7 * rates[:-1]).all()


def test_a_schedule_under_batches_is_reduced_on_a_plateau():
    def edge(x, batch):
        return abs(x).sum(), np.sign(x)

    rates = Adaptive(0.1, factor=2, least=1e-3)
    result = minimize(
        edge,
        [1.03, -2.02],
        jac=True,
        method="gd",
        learning_rate=rates,
        patience=4,
        max_iter=500,
        batches=[0, 1, 2],
    )
    assert result.status == 5 and result.history["learning_rate"][-1] < 2e-3


@pytest.mark.parametrize("method", RULES)
def test_tol_zero_never_stops_early_under_batches(method):
    """Not even where no rate lowers the cost of the first batch."""

    def flat(x, batch):
        return 1.0, np.ones_like(x)

    result = minimize(
        flat, np.zeros(3), jac=True, method=method, batches=[0, 1], tol=0, max_iter=30
    )
    assert (result.status, result.nit, len(result.history["fun"])) == (1, 30, 30)
    stopped = minimize(flat, np.zeros(3), jac=True, method=method, batches=[0, 1], max_iter=30)
    assert stopped.status == (1 if method == "prodigy" else 2)


def test_an_easy_first_batch_is_no_low():
    """What the cost of the first batch alone was says nothing of the means over a pass."""

    def cost(x, target):
        return float((x - target) @ (x - target)), 2 * (x - target)

    targets = [np.zeros(1), np.full(1, 50.0)]
    result = minimize(
        cost,
        [1.0],
        jac=True,
        method="gd",
        learning_rate=Adaptive(0.01),
        batches=targets,
        patience=2,
        max_iter=60,
        tol=0,
    )
    assert min(result.history["learning_rate"]) == 0.01
    assert abs(result.x[0] - 25) < 10


def test_tol_counts_for_the_means_over_a_pass():
    cost, x0 = logistic(l2=1e-2)
    result = minimize(
        cost, x0, jac=True, batches=(569, 569), tol=1e-4, max_iter=2000, random_state=0
    )
    assert result.success and np.abs(cost(result.x)[1]).max() < 2e-4


# ---- what cures what ----


def test_restarts_find_the_least_of_rastrigin_s_minima():
    bounds = [(-5.12, 5.12)] * 2
    x0 = np.array([3.1, -4.2])
    one = minimize(rastrigin, x0, jac=True, bounds=bounds)
    assert one.success and one.fun > 5
    many = minimize(rastrigin, x0, jac=True, bounds=bounds, n_restarts=100, random_state=0)
    assert many.success and many.fun < 1e-6
    assert len(many.restarts) == 100 and min(many.restarts) == many.fun
    assert many.restarts[0] == one.fun and many.nfev > 20 * one.nfev


def test_noise_leads_through_ackley_s_dents():
    x0 = np.array([2.0, 2.0])  # on a slope full of dents, in each of which exact gradients stay
    still = minimize(ackley, x0, jac=True, method="gd", learning_rate=0.02, max_iter=3000)
    assert still.fun > 3
    shaken = minimize(
        ackley,
        x0,
        jac=True,
        method="gd",
        learning_rate=0.02,
        max_iter=3000,
        noise=60.0,
        random_state=0,
        tol=0,
    )
    assert shaken.fun < 2.6


def test_noise_leaves_a_saddle():
    def saddle(x):
        return x[0] ** 2 - x[1] ** 2 + x[1] ** 4, np.array([2 * x[0], -2 * x[1] + 4 * x[1] ** 3])

    stuck = minimize(saddle, [1.0, 0.0], jac=True, method="gd", learning_rate=0.1)
    assert stuck.success and stuck.fun > -1e-9
    free = minimize(
        saddle,
        [1.0, 0.0],
        jac=True,
        method="gd",
        learning_rate=0.1,
        noise=1e-3,
        random_state=0,
        max_iter=300,
        tol=0,
    )
    assert free.fun < -0.249


def test_restarts_find_all_of_himmelblau_s_minima():
    found = {
        tuple(
            minimize(
                himmelblau,
                [0.0, 0.0],
                jac=True,
                n_restarts=2,
                random_state=seed,
                bounds=[(-6, 6)] * 2,
            ).x.round(2)
        )
        for seed in range(4)
    }
    found |= {
        tuple(minimize(himmelblau, x, jac=True).x.round(2))
        for x in ([4, 4], [-4, 4], [-4, -4], [4, -4])
    }
    assert found == {(3.0, 2.0), (-2.81, 3.13), (-3.78, -3.28), (3.58, -1.85)}


def test_reduce_on_plateau_ends_the_zigzag():
    def ravine(x):
        return abs(x).sum(), np.sign(x)

    x0, rate = [1.03, -2.02], 0.1
    constant = minimize(ravine, x0, jac=True, method="gd", learning_rate=rate, max_iter=500)
    rates = Adaptive(rate, factor=2, least=1e-9)
    reduced = minimize(
        ravine, x0, jac=True, method="gd", learning_rate=rates, patience=5, max_iter=500
    )
    assert constant.fun > 1e-2 > 1e-6 > reduced.fun
    assert reduced.history["learning_rate"][-1] < 1e-6
    assert reduced.status in (1, 5)


def test_adam_crosses_a_plateau_on_which_plain_descent_sleeps():
    def plateau(x):
        e = np.exp(-(x @ x) / 2)
        return 1 - e, e * x

    x0 = [4.5, 4.5]
    assert (
        minimize(plateau, x0, jac=True, method="gd", learning_rate=0.1, max_iter=1000, tol=0).fun
        > 0.999
    )
    assert (
        minimize(plateau, x0, jac=True, method="adam", learning_rate=0.1, max_iter=1000, tol=0).fun
        < 1e-6
    )


def test_rosenbrock_s_valley_wants_memory():
    steps = {
        method: minimize(rosen, ROSEN0, rosen_der, method=method, tol=1e-4).nit
        for method in ("auto", "momentum", "gd")
    }
    assert steps["auto"] < 60 < steps["momentum"] < steps["gd"]


def test_restarts_are_drawn_from_bounds_or_around_x0():
    starts = []

    def cost(x):
        starts.append(x)
        return 0.0, np.zeros_like(x)

    x0 = np.array([0.0, 100.0, 5.0])
    minimize(
        cost,
        x0,
        jac=True,
        n_restarts=2000,
        random_state=0,
        bounds=[(None, None), (None, None), (4, 8)],
    )
    drawn = np.array(starts[1:])
    assert_array_equal(starts[0], x0)
    assert_allclose(drawn[:, :2].mean(axis=0), [0, 100], atol=8)
    assert_allclose(drawn[:, :2].std(axis=0), [1, 100], rtol=0.1)
    assert drawn[:, 2].min() >= 4 and drawn[:, 2].max() <= 8
    assert_allclose([drawn[:, 2].mean(), drawn[:, 2].std()], [6, 4 / np.sqrt(12)], rtol=0.05)


# ---- bad input ----


@pytest.mark.parametrize("method", ["auto", "adam", "gd", "prodigy"])
def test_a_cost_that_is_nan_at_the_start_is_an_error(method):
    with pytest.raises(ValueError, match="not finite at x0: the cost is nan"):
        minimize(lambda x: (np.nan, x), np.ones(2), jac=True, method=method)
    with pytest.raises(ValueError, match="not finite at x0: the gradient"):
        minimize(lambda x: (1.0, x * np.nan), np.ones(2), jac=True, method=method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "act", [lambda f, g: (np.nan, g), lambda f, g: (f, g * np.nan)], ids=["cost", "gradient"]
)
def test_a_cost_that_becomes_nan_ends_the_run_at_the_best_point(method, act):
    cost = Counted(bowl, 25, act)
    result = minimize(cost, np.zeros(20), jac=True, method=method, tol=0, learning_rate=None)
    assert not result.success and result.status == 3 and "not a number" in result.message
    assert result.fun == pytest.approx(bowl(result.x)[0]) and result.fun < bowl(np.zeros(20))[0]
    assert_allclose(result.jac, cost.gradients[result.x.tobytes()])


def test_infinity_keeps_the_search_inside_of_the_domain():
    def barrier(x):
        return (float((x - np.log(x)).sum()), 1 - 1 / x) if (x > 0).all() else (np.inf, x)

    for method in ("auto", "gd", "adam"):
        result = minimize(barrier, [30.0, 0.01], jac=True, method=method, tol=1e-5)
        assert result.success
        assert_allclose(result.x, 1, atol=1e-4)


def test_a_cost_without_a_bound_is_not_a_success():
    with np.errstate(over="ignore", invalid="ignore"):
        result = minimize(
            lambda x: (-float(x @ x), -2 * x), np.ones(2), jac=True, tol=0, max_iter=50
        )
    assert not result.success and result.fun < -1e20
    result = minimize(
        lambda x: (float(x @ x), 2 * x), np.ones(2), jac=True, method="gd", learning_rate=3.0
    )
    assert not result.success and result.status == 4 and "learning_rate" in result.message
    assert result.fun == 2


@pytest.mark.parametrize("method", ["auto", "adam"])
def test_exceptions_pass_through_with_the_best_point(method):
    def fail(value, gradient):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        minimize(Counted(bowl, 8, fail), np.zeros(20), jac=True, method=method)
    best = caught.value.result
    assert (
        not best.success
        and best.fun == pytest.approx(bowl(best.x)[0])
        and best.fun < bowl(np.zeros(20))[0]
    )
    with pytest.raises(ZeroDivisionError) as caught:
        minimize(Counted(bowl, 1, fail), np.zeros(3), jac=True, method=method)
    assert not hasattr(caught.value, "result")

    def callback(x):
        if len(seen) == 3:
            raise KeyError("callback")
        seen.append(x)

    seen = []
    with pytest.raises(KeyError, match="callback") as caught:
        minimize(bowl, np.zeros(3), jac=True, method=method, callback=callback)
    assert caught.value.result.fun <= min(bowl(x)[0] for x in seen)


@pytest.mark.parametrize("method", ["auto", "gd", "momentum", "adam", "prodigy"])
def test_a_gradient_of_the_wrong_sign_is_named(method):
    with pytest.raises(ValueError, match="wrong sign.*-1 times") as caught:
        minimize(rosen, ROSEN0, lambda x: -rosen_der(x), method=method)
    assert_array_equal(caught.value.result.x, ROSEN0)
    with pytest.raises(ValueError, match="wrong sign"):
        minimize(rosen, ROSEN0, lambda x: -rosen_der(x), method="gd", learning_rate=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_wrong_is_named_under_batches_too(method):
    with pytest.raises(ValueError, match="wrong sign.*-1 times") as caught:
        minimize(
            lambda x, batch: rosen(x),
            ROSEN0,
            lambda x, batch: -rosen_der(x),
            method=method,
            batches=[0, 1],
        )
    assert caught.value.result.fun < 1e4

    for good in (1, 2, 30):
        cost = Counted(bowl, good + 1, lambda f, g: (np.nan, g))
        result = minimize(
            lambda x, batch, cost: cost(x),
            np.zeros(5),
            jac=True,
            method=method,
            batches=[0, 1, 2],
            tol=0,
            args=(cost,),
            max_iter=30,
        )
        assert result.status == 3 and not result.success and np.isfinite(result.fun)
        assert len(result.history["fun"]) == result.nit


def test_a_random_cost_is_not_blamed_for_its_sign():
    rng = np.random.default_rng(0)
    for _ in range(20):
        minimize(
            lambda x: (1e3 + len(x) * rng.random(), np.ones(3)),
            np.zeros(3),
            jac=True,
            method="adam",
            max_iter=3,
        )


def test_a_batch_run_that_rises_is_no_success_and_keeps_the_best():
    """One component points uphill, at first a little: the cost rises to where the gradient is small
    beside it.
    """

    def cost(x, batch):
        value, gradient = bowl(x)
        return value, gradient * [1, -1]

    result = minimize(
        cost, [10.0, 1.9], jac=True, method="gd", learning_rate=0.3, batches=[0], max_iter=60
    )
    assert not result.success and result.history["fun"][-1] > 1e6 > result.fun
    assert result.fun == min(result.history["fun"])


@pytest.mark.parametrize("method", RULES)
def test_a_cost_that_is_nan_at_every_trial_of_a_rate_is_named(method):
    result = minimize(
        Counted(bowl, 2, lambda f, g: (np.nan, g)), np.zeros(5), jac=True, method=method
    )
    assert (result.status, result.success) == (3, False) and "not a number" in result.message
    assert_array_equal(result.x, np.zeros(5))


@pytest.mark.parametrize("shape", [(3,), (1,), (4, 1), ()])
def test_a_gradient_of_the_wrong_shape_is_named(shape):
    for jac, fun in (
        (True, lambda x: (1.0, np.ones(shape))),
        (lambda x: np.ones(shape), lambda x: 1.0),
    ):
        with pytest.raises(
            ValueError,
            match=r"gradient that (fun|jac) returns has shape .* but the parameters have \(2,\)",
        ):
            minimize(fun, np.zeros(2), jac)


@pytest.mark.parametrize(
    "fun, error, match",
    [
        (lambda x: x, ValueError, r"one number, got an array of shape \(2,\)"),
        (lambda x: 1j, TypeError, "real number"),
        (lambda x: None, TypeError, "real number"),
        (lambda x: "1", TypeError, "real number"),
    ],
)
def test_a_cost_that_is_no_number_is_named(fun, error, match):
    with pytest.raises(error, match=match):
        minimize(fun, np.zeros(2), lambda x: x)


def test_jac_true_wants_a_pair():
    with pytest.raises(ValueError, match=r"must return \(cost, gradient\), got float"):
        minimize(lambda x: 1.0, np.zeros(2), jac=True)
    with pytest.raises(TypeError, match="real numbers, got complex"):
        minimize(lambda x: (1.0, x * 1j), np.zeros(2), jac=True)


@pytest.mark.parametrize(
    "x0, error, match",
    [
        ([], ValueError, "x0 is empty"),
        ([1.0, np.nan], ValueError, r"x0\[1\] is nan"),
        ([[1.0], [np.inf]], ValueError, r"x0\[1, 0\] is inf"),
        ([1j], TypeError, "real numbers, got complex"),
        (["a"], TypeError, "real numbers"),
        (None, TypeError, "real numbers"),
        ([[1.0], [1.0, 2.0]], ValueError, "x0 must be an array of real numbers"),
    ],
)
def test_starts_that_are_no_start(x0, error, match):
    with pytest.raises(error, match=match):
        minimize(bowl, x0, jac=True)


@pytest.mark.parametrize(
    "bounds, match",
    [
        ([(0, 1), (2, 1)], "bounds cross: parameter 1 has lower bound 2.0 and upper bound 1.0"),
        (Bounds([0, 3], [1, 2]), "parameter 1"),
        ([(0, 1)], "pair .* for each of the 2 parameters"),
        ([(0, 1), 3], "pair"),
        ([(0, 1), (np.nan, 1)], "NaN"),
        ([(np.inf, np.inf), (0, 1)], "parameter 0"),
        (Bounds([0, 0, 0], [1, 1, 1]), "pair .* for each of the 2 parameters, got Bounds"),
        (3, "pair .* for each of the 2 parameters, got 3"),
        ([("a", 1), (0, 1)], "pair .* of numbers or None"),
        ([(0, 1, 2), (0, 1, 2)], "pair"),
        ([], "pair"),
    ],
)
def test_bounds_that_cross(bounds, match):
    with pytest.raises(ValueError, match=match):
        minimize(bowl, np.zeros(2), jac=True, bounds=bounds)


@pytest.mark.parametrize(
    "argument, value",
    [
        ("method", "newton"),
        ("method", None),
        ("learning_rate", 0),
        ("learning_rate", "fast"),
        ("tol", -1),
        ("max_iter", 1.5),
        ("n_restarts", 0),
        ("l1", -1),
        ("noise", -1),
        ("jac", "2-point"),
        ("callback", 3),
        ("patience", -1),
        ("random_state", "seed"),
        ("max_fun", 0),
        ("max_seconds", 0),
        ("options", 3),
    ],
)
def test_arguments_outside_of_their_range_are_named(argument, value):
    with pytest.raises(ValueError, match=argument):
        minimize(bowl, np.zeros(2), **({"jac": True} | {argument: value}))


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"learning_rate": 0.1}, "learning_rate does not go with method='auto'"),
        ({"noise": 0.1}, "noise does not go with method='auto'"),
        ({"batches": iter([1, 2])}, "batches is an iterator"),
        ({"batches": (0, 3)}, "at least 1"),
        ({"batches": []}, "batches is empty"),
    ],
)
def test_what_does_not_go_together(arguments, match):
    with pytest.raises(ValueError, match=match):
        minimize(lambda x, batch=None: bowl(x), np.zeros(2), jac=True, **arguments)


def test_fun_and_batches_of_a_wrong_kind():
    with pytest.raises(TypeError, match="fun must be callable"):
        minimize(3, np.zeros(2))
    with pytest.raises(TypeError, match="batches must be"):
        minimize(bowl, np.zeros(2), jac=True, batches=3)


def test_check_gradient_names_the_wrong_component():
    x = np.arange(6.0).reshape(2, 3)
    assert check_gradient(bowl, True, x) < 1e-6

    def wrong(x):
        gradient = bowl(x)[1]
        gradient[1, 2] *= 1.001
        return gradient

    with pytest.raises(
        ValueError,
        match=r"component \[1, 2\] of the gradient is -6.006, but differences of the cost say -6",
    ):
        check_gradient(lambda x: bowl(x)[0], wrong, x)
    with pytest.raises(ValueError, match="no gradient"):
        check_gradient(rosen, None, ROSEN0)
    with pytest.raises(ValueError, match="not finite"):
        check_gradient(lambda x: np.nan, lambda x: x, ROSEN0)
