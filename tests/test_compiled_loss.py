"""Costs and losses that users compile, or write in Python: the same models as the built-in ones,
without Python in the loop.
"""

import ctypes
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import LowLevelCallable
from scipy.optimize import rosen, rosen_der
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import cross_val_score

from fastgd import SGDClassifier, SGDRegressor, check_gradient, minimize
from fastgd.problem.c_function import (
    BLOCK_LOSS_SIGNATURE,
    COST_SIGNATURE,
    LOSS_SIGNATURE,
    c_function,
)
from fastgd.training import minimize_run
from reference import DTYPES, LAYOUTS, store

METHODS = ("auto", "gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "prodigy")
Double, Size, Pointer = ctypes.POINTER(ctypes.c_double), ctypes.c_ssize_t, ctypes.c_void_p
CostType = ctypes.CFUNCTYPE(ctypes.c_double, Double, Double, Size, Pointer)
LossType = ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_double, Double, Double, Pointer)
LossesType = ctypes.CFUNCTYPE(None, Double, Double, Double, Double, Size, Pointer)


@CostType
def rosenbrock(x, gradient, n, data):
    at = np.array([x[i] for i in range(n)])
    for i, slope in enumerate(rosen_der(at)):
        gradient[i] = slope
    return rosen(at)


@CostType
def scaled_bowl(x, gradient, n, data):
    scale = ctypes.cast(data, Double)[0]
    for i in range(n):
        gradient[i] = scale * (x[i] - 1)
    return sum(scale * (x[i] - 1) ** 2 / 2 for i in range(n))


def log_loss(z, y):
    m = y * z
    return np.logaddexp(0, -m), -y / (1 + np.exp(np.minimum(m, 500)))


def squared_error(z, y):
    return (z - y) ** 2 / 2, z - y


def one(loss):
    """The C function of one margin."""

    @LossType
    def function(z, y, value, slope, data):
        value[0], slope[0] = (part.item() for part in loss(np.float64(z), np.float64(y)))

    return function


def many(loss):
    @LossesType
    def function(z, y, value, slope, n, data):
        values, slopes = loss(np.array(z[:n]), np.array(y[:n]))
        for i in range(n):
            value[i], slope[i] = values[i], slopes[i]

    return function


def as_numba(loss, signature):
    numba = pytest.importorskip("numba")
    double, pointer = numba.types.double, numba.types.CPointer(numba.types.double)
    types = {
        "one": numba.types.void(double, double, pointer, pointer, numba.types.voidptr),
        "many": numba.types.void(
            pointer, pointer, pointer, pointer, numba.types.intp, numba.types.voidptr
        ),
        "cost": double(pointer, pointer, numba.types.intp, numba.types.voidptr),
    }
    return numba.cfunc(types[signature])(loss)


FORMS = {
    "python": lambda loss: loss,
    "ctypes": one,
    "ctypes, many": many,
    "LowLevelCallable": lambda loss: LowLevelCallable(one(loss)),
    "LowLevelCallable, many": lambda loss: LowLevelCallable(
        many(loss), signature=BLOCK_LOSS_SIGNATURE
    ),
}


# ---- costs ----


@pytest.mark.parametrize("method", METHODS)
def test_a_compiled_cost_goes_the_way_of_the_same_in_python(method):
    x0 = np.array([-1.2, 1.0, 0.5])
    own = minimize(rosenbrock, x0, method=method, max_iter=60, tol=0, record_path=True)
    python = minimize(rosen, x0, rosen_der, method=method, max_iter=60, tol=0, record_path=True)
    for name in ("fun", "gradient_norm", "learning_rate", "x"):
        assert len(own.history[name]) == len(python.history[name]) == 61
        assert_allclose(own.history[name], python.history[name], rtol=1e-6, atol=1e-9)
    assert_allclose(own.x, python.x, rtol=1e-6)
    assert_allclose(own.jac, rosen_der(own.x), rtol=1e-6, atol=1e-9)
    assert own.nit == 60 and own.nfev == own.njev


@pytest.mark.parametrize("method", METHODS)
def test_a_compiled_cost_stops_like_one_in_python(method):
    x0 = np.array([-1.2, 1.0])
    own = minimize(rosenbrock, x0, method=method, max_iter=300, tol=1e-2)
    python = minimize(rosen, x0, rosen_der, method=method, max_iter=300, tol=1e-2)
    assert (own.status, own.nit) == (python.status, python.nit)
    assert_allclose(own.fun, python.fun, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_the_bits_do_not_depend_on_how_compiled_iterations_are_cut(method, monkeypatch):
    x0 = np.array([-1.2, 1.0, 0.5])
    whole = minimize(rosenbrock, x0, method=method, max_iter=300, tol=0)
    monkeypatch.setattr(minimize_run, "SECONDS_PER_SLICE", 0.0)
    cut = minimize(rosenbrock, x0, method=method, max_iter=300, tol=0)
    assert whole.history["fun"] == cut.history["fun"]
    assert whole.history["learning_rate"] == cut.history["learning_rate"]


def test_data_restarts_bounds_l1_and_shapes_reach_a_compiled_cost():
    scale = ctypes.c_double(3.0)
    cost = LowLevelCallable(scaled_bowl, ctypes.cast(ctypes.pointer(scale), Pointer))
    for method in ("auto", "nesterov"):
        result = minimize(
            cost,
            np.zeros((2, 2), np.float32),
            method=method,
            bounds=[(0, 0.5)] + [(None, None)] * 3,
            l1=1.5,
        )
        assert result.x.dtype == np.float32 and result.success
        assert_allclose(result.x, [[0.5, 0.5], [0.5, 0.5]], atol=1e-6)
        result = minimize(cost, np.zeros(3), method=method, n_restarts=3, random_state=0)
        assert len(result.restarts) == 3 and result.fun < 1e-9
    scale.value = np.nan
    with pytest.raises(ValueError, match="not finite at x0"):
        minimize(cost, np.zeros(2))


def test_callbacks_and_noise_with_a_compiled_cost():
    seen = []
    result = minimize(rosenbrock, [-1.2, 1.0], callback=seen.append)
    assert len(seen) == result.nit + 1 and result.success

    def stop(intermediate_result):
        raise StopIteration

    for method in ("auto", "adam"):
        assert minimize(rosenbrock, [-1.2, 1.0], method=method, callback=stop).status == 99
    noisy = minimize(
        rosenbrock,
        [-1.2, 1.0],
        method="gd",
        learning_rate=1e-3,
        noise=1.0,
        max_iter=50,
        tol=0,
        random_state=0,
    )
    calm = minimize(rosenbrock, [-1.2, 1.0], method="gd", learning_rate=1e-3, max_iter=50, tol=0)
    assert noisy.fun != calm.fun


@pytest.mark.parametrize("method", METHODS)
def test_what_a_callback_stops_is_the_same_with_a_compiled_cost(method):
    def by_call(count):
        def callback(intermediate_result):
            seen.append(intermediate_result)
            if len(seen) == count:
                raise StopIteration

        seen = []
        return callback

    x0 = np.array([-1.2, 1.0, 0.5])
    for count in (1, 2, 9):
        own = minimize(rosenbrock, x0, method=method, callback=by_call(count))
        python = minimize(rosen, x0, rosen_der, method=method, callback=by_call(count))
        assert (own.status, own.nit) == (python.status, python.nit) == (99, count - 1)
        assert_allclose(own.fun, python.fun, rtol=1e-8)
        assert_allclose(own.x, python.x, rtol=1e-8)


def test_a_line_without_descent_is_no_iteration_of_a_compiled_cost_either():
    def false(x):
        value, gradient = float((x - 1) @ (x - 1)), 2 * (x - 1)
        return value, gradient * [1, -1]

    @CostType
    def compiled(x, gradient, n, data):
        value, slopes = false(np.array(x[:n]))
        gradient[0], gradient[1] = slopes
        return value

    own, python = minimize(compiled, np.zeros(2)), minimize(false, np.zeros(2), jac=True)
    assert (own.status, own.nit, own.history["fun"]) == (
        python.status,
        python.nit,
        python.history["fun"],
    )
    assert own.status == 2


def test_a_compiled_cost_that_fails_later_keeps_the_best_point():
    calls = []

    @CostType
    def cost(x, gradient, n, data):
        calls.append(1)
        for i in range(n):
            gradient[i] = 2 * (i + 1) * x[i]
        return np.nan if len(calls) > 8 else sum((i + 1) * x[i] ** 2 for i in range(n))

    for method in ("auto", "adam", "gd"):
        calls.clear()
        result = minimize(cost, np.full(9, 5.0), method=method, tol=0)
        assert result.status == 3 and not result.success
        assert result.fun == pytest.approx((np.arange(1, 10) * result.x**2).sum())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("good", [0, 1, 3, 20])
def test_an_exception_in_a_compiled_cost_is_raised(method, good):
    """Also after the gradient has been written."""
    calls = []

    @CostType
    def cost(x, gradient, n, data):
        calls.append(1)
        for i in range(n):
            gradient[i] = 2 * (i + 1) * x[i]
        if len(calls) > good:
            raise ZeroDivisionError("mine")
        return sum((i + 1) * x[i] ** 2 for i in range(n))

    hook = sys.unraisablehook
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        minimize(cost, np.full(9, 5.0), method=method, tol=0)
    assert sys.unraisablehook is hook
    if good:
        result = caught.value.result
        assert not result.success and result.fun == pytest.approx(
            (np.arange(1, 10) * result.x**2).sum()
        )
    else:
        assert not hasattr(caught.value, "result")


@pytest.mark.parametrize("method", METHODS)
def test_an_entry_that_a_compiled_cost_does_not_write_is_named(method):
    calls = []

    @CostType
    def cost(x, gradient, n, data):
        calls.append(1)
        for i in range(n if len(calls) <= good else n - 2):
            gradient[i] = 2 * (i + 1) * x[i]
        return sum((i + 1) * x[i] ** 2 for i in range(n))

    for good in (8, 0):  # noqa: B007
        calls.clear()
        with pytest.raises(ValueError, match="has not written entry 7 of the gradient"):
            minimize(cost, np.full(9, 5.0), method=method, tol=0)
    with pytest.raises(ValueError, match="entry 7"):
        check_gradient(cost, None, np.full(9, 5.0))


@pytest.mark.parametrize("method", METHODS)
def test_off_its_domain_a_compiled_cost_need_not_write_a_gradient(method):
    @CostType
    def barrier(x, gradient, n, data):
        if min(x[i] for i in range(n)) <= 0:
            return np.inf
        for i in range(n):
            gradient[i] = 1 - 1 / x[i]
        return sum(x[i] - np.log(x[i]) for i in range(n))

    result = minimize(barrier, [30.0, 0.01], method=method, max_iter=100)
    assert np.isfinite(result.fun) and result.fun < 30
    if method == "auto":
        assert result.success
        assert_allclose(result.x, 1, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_evaluations_and_offsets_of_a_compiled_cost(method):
    calls = []

    @CostType
    def cost(x, gradient, n, data):
        calls.append(1)
        for i in range(n):
            gradient[i] = (i + 1) * (x[i] - 1.3)
        return 1e6 + sum((i + 1) * (x[i] - 1.3) ** 2 / 2 for i in range(n))

    few = minimize(cost, np.zeros(4), method=method, max_fun=12)
    assert (few.status, few.nfev) == (6, len(calls)) and few.nfev <= 12
    result = minimize(cost, np.zeros(4), method=method, max_iter=500)
    assert not result.success or np.abs(result.x - 1.3).max() < 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_numba_costs(method):
    def cost(x, gradient, n, data):
        value = 0.0
        for i in range(n):
            gradient[i] = (i + 1) * (x[i] - 1)
            value += (i + 1) * (x[i] - 1) ** 2 / 2
        return value

    result = minimize(as_numba(cost, "cost"), np.zeros(50), method=method)
    assert result.fun < 1e-2
    assert check_gradient(as_numba(cost, "cost"), None, np.zeros(5)) < 1e-6


def test_costs_of_another_signature_are_refused():
    for function in (one(log_loss), LowLevelCallable(one(log_loss))):
        with pytest.raises(
            TypeError, match="fun is compiled with the signature 'void .*; 'double .const double .x"
        ):
            minimize(function, np.zeros(2))
    bare = ctypes.CDLL(None).cos
    with pytest.raises(TypeError, match="without argtypes"):
        minimize(bare, np.zeros(2))
    for name, value in {"jac": True, "args": (1,), "batches": (3, 1)}.items():
        with pytest.raises(ValueError, match=f"{name} does not go with a compiled fun"):
            minimize(rosenbrock, np.zeros(2), **{name: value})
    with pytest.raises(ValueError, match="jac does not go"):
        check_gradient(rosenbrock, rosen_der, np.zeros(2))


@pytest.mark.parametrize(
    "spelling",
    [
        COST_SIGNATURE,
        "double (double *, double *, long, void *)",
        "double(double*,double*,npy_intp,void*)",
        "double (const double * x, double * gradient, Py_ssize_t n, void * data)",
    ],
)
def test_spellings_of_a_signature(spelling):
    if ctypes.sizeof(ctypes.c_long) != ctypes.sizeof(Size):
        spelling = spelling.replace("long", "long long")
    function = c_function(LowLevelCallable(rosenbrock, signature=spelling), "fun", COST_SIGNATURE)
    assert function.address == ctypes.cast(rosenbrock, Pointer).value and function.data == 0


# ---- losses of linear models ----


@pytest.fixture(scope="module")
def classes():
    X, y = load_breast_cancer(return_X_y=True)
    return (X[:150] - X.mean(axis=0)) / X.std(axis=0), y[:150]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 1},
        {"batch_size": 1, "penalty": "l1", "average": True},
        {"batch_size": 20, "optimizer": "adam"},
        {"batch_size": "full", "optimizer": "momentum"},
    ],
    ids=str,
)
def test_an_own_loss_trains_like_the_same_built_in_one(form, layout, dtype, settings, classes):
    X, y = store(classes[0], layout, dtype), classes[1]
    settings = {
        "learning_rate": "constant",
        "eta0": 0.01,
        "max_iter": 3,
        "tol": None,
        "random_state": 0,
    } | settings
    own = SGDClassifier(FORMS[form](log_loss), **settings).fit(X, y)
    built_in = SGDClassifier("log_loss", **settings).fit(X, y)
    rtol = 1e-9 if dtype == np.float64 else 1e-4
    assert_allclose(own.coef_, built_in.coef_, rtol=rtol, atol=rtol)
    assert_allclose(own.history_["loss"], built_in.history_["loss"], rtol=rtol)
    assert own.optimality_ is None and own.coef_.dtype == dtype


@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet", None])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_auto_on_full_batches_finds_the_built_in_loss_s_minimum(penalty, layout):
    X, y = load_diabetes(return_X_y=True)
    X = store(X * np.logspace(-2, 2, 10), layout, np.float64)
    settings = {
        "penalty": penalty,
        "alpha": 1e-3,
        "batch_size": "full",
        "tol": 1e-10,
        "max_iter": 2000,
    }
    own = SGDRegressor(squared_error, **settings).fit(X, y)
    built_in = SGDRegressor("squared_error", **settings).fit(X, y)
    assert own.history_["loss"][-1] == pytest.approx(built_in.history_["loss"][-1], rel=1e-6)
    assert_allclose(own.predict(X), built_in.predict(X), atol=0.5)
    assert (
        own.stop_reason_ in ("plateau", "gradient")
        and not own.converged_
        and own.optimality_ is None
    )


def test_auto_on_full_batches_keeps_an_absent_intercept_at_zero_and_weighs_rows(classes):
    X, y = classes
    weights = np.random.default_rng(0).integers(0, 3, len(y))
    settings = {"batch_size": "full", "alpha": 0.01, "tol": 1e-9, "fit_intercept": False}
    own = SGDClassifier(log_loss, **settings).fit(X, y, sample_weight=weights)
    repeated = SGDClassifier("log_loss", **settings).fit(
        np.repeat(X, weights, axis=0), np.repeat(y, weights)
    )
    assert_array_equal(own.intercept_, [0])
    assert_allclose(own.coef_, repeated.coef_, atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 32, "full"])
def test_auto_learns_several_classes_and_targets(batch_size):
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True)
    model = SGDClassifier(log_loss, batch_size=batch_size, random_state=0, max_iter=300).fit(X, y)
    assert model.score(X, y) > 0.9 and model.coef_.shape == (3, 4)
    Y = np.column_stack([X[:, 0], 2 * X[:, 1]])
    model = SGDRegressor(squared_error, batch_size=batch_size, random_state=0, max_iter=300).fit(
        X[:, 2:], Y
    )
    assert model.score(X[:, 2:], Y) > 0.3


def test_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20_000, 60)), rng.integers(0, 2, 20_000)

    def loss(z, y, value, slope, data):
        gap = max(1 - y * z, 0.0)
        value[0], slope[0] = gap * gap, -2 * y * gap

    own = as_numba(loss, "one")
    models = [
        SGDClassifier(own, batch_size="full", max_iter=5, n_jobs=jobs).fit(X, y) for jobs in (1, 2)
    ]
    assert_array_equal(models[0].coef_, models[1].coef_)


def test_partial_fit_and_early_stopping(classes):
    X, y = classes
    model = SGDClassifier(many(log_loss), random_state=0)
    for _ in range(5):
        model.partial_fit(X, y, classes=[0, 1])
    assert model.score(X, y) > 0.8
    assert (
        SGDClassifier(log_loss, early_stopping=True, random_state=0)
        .fit(X, y)
        .history_["validation_loss"]
    )


def test_models_with_an_own_loss_can_be_cloned(classes):
    X, y = classes
    for form in FORMS.values():
        model = SGDClassifier(form(log_loss), batch_size="full", alpha=0.01)
        twin = clone(model)
        assert twin.loss is model.loss and twin.alpha == 0.01 and twin is not model
        assert cross_val_score(model, X, y, cv=3).mean() > 0.8


def test_a_loss_that_raises_or_has_the_wrong_shape_is_named(classes):
    X, y = classes

    def fails(z, y):
        raise ZeroDivisionError("mine")

    for batch_size in (1, 10, "full"):
        with pytest.raises(ZeroDivisionError, match="mine"):
            SGDClassifier(fails, batch_size=batch_size).fit(X, y)
        with pytest.raises(ValueError, match=r"shape \(\d+,\), got \(1, .* and"):
            SGDClassifier(lambda z, y: (z[None], z), batch_size=batch_size).fit(X, y)
        with pytest.raises(ValueError, match=r"must return \(values, slopes\), got float"):
            SGDClassifier(lambda z, y: 1.0, batch_size=batch_size).fit(X, y)
        with pytest.raises(ValueError, match="diverged"):
            SGDClassifier(lambda z, y: (z * np.nan, z), batch_size=batch_size).fit(X, y)


def test_losses_that_are_none_or_of_another_signature(classes):
    with pytest.raises(
        TypeError, match="loss is compiled with the signature 'double .*; 'void .double z"
    ):
        SGDClassifier(rosenbrock).fit(*classes)
    with pytest.raises(ValueError, match="loss"):
        SGDClassifier(3).fit(*classes)
    with pytest.raises(ValueError, match="'lipschitz' .* needs a bound"):
        SGDClassifier(log_loss, learning_rate="lipschitz").fit(*classes)
    with pytest.raises(ValueError, match="average=True and optimizer='sgd' needs a bound"):
        SGDClassifier(log_loss, average=True).fit(*classes)
    assert not hasattr(SGDClassifier(log_loss).fit(*classes), "predict_proba")


def test_signatures_are_told_apart():
    assert (
        c_function(one(log_loss), "loss", LOSS_SIGNATURE, BLOCK_LOSS_SIGNATURE).signature
        == LOSS_SIGNATURE
    )
    assert (
        c_function(many(log_loss), "loss", LOSS_SIGNATURE, BLOCK_LOSS_SIGNATURE).signature
        == BLOCK_LOSS_SIGNATURE
    )


@pytest.mark.parametrize("batch_size", [20, "full"])
def test_a_warm_start_takes_the_very_steps_of_one_long_fit(batch_size, classes):
    settings = {"batch_size": batch_size, "tol": None, "random_state": 0, "warm_start": True}
    parts = SGDClassifier(log_loss, max_iter=4, **settings).fit(*classes).fit(*classes)
    whole = SGDClassifier(log_loss, max_iter=8, **settings).fit(*classes)
    assert_array_equal(parts.coef_, whole.coef_)
    assert parts.history_["loss"] == whole.history_["loss"]


@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_auto_on_full_batches_keeps_weights_positive_where_that_is_asked_for(penalty):
    X, y = load_diabetes(return_X_y=True)
    settings = {
        "positive": True,
        "penalty": penalty,
        "alpha": 1e-3,
        "batch_size": "full",
        "tol": 1e-9,
        "max_iter": 500,
    }
    own = SGDRegressor(squared_error, **settings).fit(X, y)
    built_in = SGDRegressor("squared_error", **settings).fit(X, y)
    assert (own.coef_ >= 0).all() and (own.coef_ == 0).any()
    assert own.history_["loss"][-1] == pytest.approx(built_in.history_["loss"][-1], rel=1e-5)
