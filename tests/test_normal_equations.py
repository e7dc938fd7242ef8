"""Least squares by the normal equations: products are NumPy's, solutions those of LAPACK and exact
arithmetic, and where products are too close to singular another method takes over.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import linear_model
from sklearn.base import clone

from fastgd import ElasticNet, LinearRegression, Ridge
from fastgd.methods import normal_equations
from fastgd.methods.direct import Direct
from fastgd.problem.data import as_rows
from fastgd.problem.losses import loss_of
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem
from fastgd.problem.products import products_of, row_products
from fastgd.training.blas import one_blas_thread

FORMS = {
    "dense": np.asarray,
    "csr": sparse.csr_array,
    "float32": lambda X: X.astype(np.float32),
}


def problem_of(X, Y, weights=None, l2=0.0, intercept=True, threads=1, visits=None):
    Y = np.asarray(Y, float).reshape(X.shape[0], -1)
    objective = Objective(loss_of("squared_error"), l2=l2, outputs=Y.shape[1], intercept=intercept)
    visits = np.arange(X.shape[0]) if visits is None else visits
    return Problem(as_rows(X), Y.ravel(), weights, objective, visits, True, threads, X)


def data(n, p, targets=1, seed=0, density=1.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * 10.0 ** rng.uniform(-1, 1, p) + rng.standard_normal(p)
    X = np.where(rng.random((n, p)) < density, X, 0).astype(np.float32).astype(float)
    Y = X @ rng.standard_normal((p, targets)) + rng.standard_normal((n, targets))
    return X, Y, rng.uniform(0.1, 2, n)


def conditioned(n, p, condition, seed=0):
    """(X, coefficients, X times these) with exactly this condition number, but for rounding."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((size, p)))[0] for size in (n, p))
    X = (U * np.geomspace(1, 1 / condition, p)) @ V.T
    coef = rng.standard_normal(p)
    return X, coef, X @ coef


# ---- products ----


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 300),
    p=st.integers(1, 40),
    targets=st.integers(1, 9),
    form=st.sampled_from(sorted(FORMS)),
    intercept=st.booleans(),
    weighted=st.booleans(),
    seed=st.integers(0, 5),
)
def test_products_are_numpys(n, p, targets, form, intercept, weighted, seed):
    X, Y, weights = data(n, p, targets, seed, 0.6)
    visits = np.random.default_rng(seed).integers(0, n, max(n // 2, 1))
    s = weights[visits] if weighted else np.ones(len(visits))
    s = s / s.sum()
    made = products_of(
        problem_of(
            FORMS[form](X), Y, weights if weighted else None, intercept=intercept, visits=visits
        )
    )
    x, y = X[visits], Y[visits]
    mean_x, mean_y = (s @ x, s @ y) if intercept else (np.zeros(p), np.zeros(targets))
    x, y = x - mean_x, y - mean_y
    size = max(np.abs(X).max(), np.abs(Y).max(), 1)
    tolerance = {"rtol": 1e-12, "atol": 1e-12 * size * size}
    assert_allclose(made.mean_x, mean_x, **tolerance)
    assert_allclose(made.mean_y, mean_y, **tolerance)
    assert_allclose(made.XX, (x.T * s) @ x, **tolerance)
    assert_allclose(made.XY, (x.T * s) @ y, **tolerance)
    assert_allclose(made.YY, s @ y**2, **tolerance)


@pytest.mark.parametrize("p", [7, 60, 250, 300])
def test_the_bits_do_not_depend_on_the_threads(p):
    X, Y, weights = data(4000, p, 3)
    wide, targets, _ = data(90, 4000)
    with one_blas_thread():
        narrow = [products_of(problem_of(X, Y, weights, threads=k)).XX for k in (1, 2, 3, 8)]
        rows = [row_products(problem_of(wide, targets, threads=k), wide[0]) for k in (1, 2, 8)]
    for other in narrow[1:]:
        assert_array_equal(other, narrow[0])
    for other in rows[1:]:
        assert_array_equal(other, rows[0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(3, 5), (40, 700), (1, 1)])
def test_products_of_rows(shape, form):
    X, Y, _ = data(*shape, density=0.5)
    center = np.arange(shape[1]) / shape[1]
    expected = (X - center) @ (X - center).T
    found = row_products(problem_of(FORMS[form](X), Y), center)
    assert_allclose(found, expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("size", [1e-170, 1e170, 1e300])
def test_products_beyond_floats_are_none(size):
    X, Y, _ = data(30, 4)
    X[:, 2] *= size
    assert products_of(problem_of(X, Y)) is None
    assert products_of(problem_of(X[:, :2], Y * size)) is None


# ---- solutions ----


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(300, 12), (40, 200), (60, 59), (60, 60), (60, 61)])
@pytest.mark.parametrize("targets", [1, 4])
@pytest.mark.parametrize(
    "model", [Ridge(alpha=0.3), LinearRegression(), Ridge(alpha=2.0, fit_intercept=False)], ids=repr
)
def test_solutions_are_those_of_scikit_learn(model, targets, shape, form):
    X, Y, weights = data(*shape, targets)
    Y, peer = Y if targets > 1 else Y.ravel(), getattr(linear_model, type(model).__name__)
    shared = {"fit_intercept": model.fit_intercept}
    own = {"alpha": model.alpha, "solver": "svd"} if isinstance(model, Ridge) else {"tol": 1e-13}
    found = clone(model).fit(FORMS[form](X), Y, sample_weight=weights)
    expected = peer(**shared, **own).fit(X, Y, sample_weight=weights)
    tolerance = 2e-4 if form == "float32" else 1e-8
    scale = np.abs(expected.coef_).max()
    assert_allclose(found.coef_, expected.coef_, rtol=tolerance, atol=tolerance * scale)
    assert found.converged_ and found.coef_.shape == expected.coef_.shape


@pytest.mark.parametrize("condition", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("shape", [(400, 30), (30, 400)])
@pytest.mark.parametrize("tol", [1e-1, 1e-9])
def test_coefficients_to_eight_digits(condition, shape, tol):
    """Whatever `tol`, up to a condition number of 1e6."""
    tall = shape[0] > shape[1]
    X, coef, y = conditioned(max(shape), min(shape), condition)
    if not tall:
        X = X.T
        y = X @ np.linalg.lstsq(X, np.ones(shape[0]))[0]
        coef = np.linalg.pinv(X, rcond=1e-14) @ y
    model = LinearRegression(fit_intercept=False, tol=tol).fit(X, y)
    assert model.n_iter_ == 1
    assert np.linalg.norm(model.coef_ - coef) <= 1e-8 * np.linalg.norm(coef)


def test_exact_rationals():
    """Normal equations in whole numbers, solved by fractions."""
    rng = np.random.default_rng(3)
    X, y = rng.integers(-9, 10, (40, 4)), rng.integers(-99, 100, 40)
    A = np.column_stack([X, np.ones(40, int)])
    H = [[Fraction(int(v)) for v in row] for row in A.T @ A]
    b = [Fraction(int(v)) for v in A.T @ y]
    for i in range(4):
        H[i][i] += 2
    for i in range(5):  # Gauss
        for k in range(i + 1, 5):
            factor = H[k][i] / H[i][i]
            H[k] = [u - factor * v for u, v in zip(H[k], H[i], strict=True)]
            b[k] -= factor * b[i]
    exact = [Fraction(0)] * 5
    for i in reversed(range(5)):
        rest = sum((H[i][j] * exact[j] for j in range(i + 1, 5)), Fraction(0))
        exact[i] = (b[i] - rest) / H[i][i]
    model = Ridge(alpha=2).fit(X.astype(float), y)
    assert_allclose([*model.coef_, model.intercept_], [float(v) for v in exact], rtol=1e-13)


def test_one_penalty_a_target():
    X, Y, _ = data(50, 6, 3)
    model = Ridge(alpha=[0.1, 1.0, 10.0]).fit(X, Y)
    for k, alpha in enumerate((0.1, 1.0, 10.0)):
        assert_allclose(model.coef_[k], Ridge(alpha=alpha).fit(X, Y[:, k]).coef_, rtol=1e-10)


def test_warm_starts_end_at_the_same_model():
    X, Y, _ = data(200, 5)
    model = ElasticNet(l1_ratio=0, warm_start=True, alpha=0.01).fit(X, Y.ravel())
    coef = model.coef_.copy()
    assert_array_equal(model.fit(X, Y.ravel()).coef_, coef)
    assert_array_equal(model.fit(2 * X, Y.ravel()).coef_, clone(model).fit(2 * X, Y.ravel()).coef_)


# ---- where another method takes over ----


@pytest.mark.parametrize("form", ["dense", "csr"])
def test_dependent_columns_have_the_shortest_solution(form):
    X, Y, _ = data(80, 5)
    X = np.column_stack([X, X[:, :2] @ [[1.0], [2.0]], np.ones(80)])
    model = LinearRegression().fit(FORMS[form](X), Y.ravel())
    expected = linear_model.LinearRegression().fit(X, Y.ravel())
    assert_allclose(model.coef_, expected.coef_, rtol=1e-5, atol=1e-6)


def test_columns_closer_than_float64_can_tell():
    X, coef, y = conditioned(200, 10, 1e9)
    model = LinearRegression(fit_intercept=False, max_iter=1000).fit(X, y)
    assert np.linalg.norm(X @ model.coef_ - y) <= 1e-4 * np.linalg.norm(y)


def test_what_is_solved_directly():
    X, Y, _ = data(50, 4)
    wide, targets, _ = data(20, 90)
    solver = normal_equations.solver_for
    assert solver(problem_of(X, Y)) is normal_equations.solve_by_columns
    assert solver(problem_of(wide, targets)) is normal_equations.solve_by_rows
    assert solver(problem_of(X[:4], Y[:4])) is normal_equations.solve_by_rows
    assert solver(problem_of(X[:4], Y[:4], intercept=False)) is normal_equations.solve_by_columns
    logistic = Objective(loss_of("log_loss"), l2=1.0)
    lasso = Objective(loss_of("squared_error"), l1=1.0)
    for objective in (logistic, lasso):
        assert (
            solver(Problem(as_rows(X), Y.ravel(), None, objective, np.arange(50), True, 1)) is None
        )


def test_a_direct_solution_takes_one_epoch():
    X, Y, _ = data(50, 4)
    problem = problem_of(X, Y, l2=0.1)
    method = Direct(normal_equations.solve_by_columns, lambda: pytest.fail("not needed"))
    method.start(problem, np.zeros(5), None)
    epoch = method.epoch(None)
    assert method.exhausted and method.optimality()[0] == 0
    assert_allclose(epoch.loss, method.loss_at(method.state.theta), rtol=1e-12)
    coef, _ = method.solution()
    for step in 1e-4 * np.eye(5):
        assert method.loss_at(method.state.theta + step) > epoch.loss
    assert coef.shape == (1, 4)


@pytest.mark.parametrize("alpha", [0.0, 0.5, (0.1, 1.0)])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sparse_rows_whose_factor_takes_long_are_solved_by_conjugate_gradients(
    alpha, fit_intercept
):
    rng = np.random.default_rng(0)
    n, p = 300, 2000
    parts = rng.standard_normal(5 * n), (np.repeat(np.arange(n), 5), rng.integers(0, p, 5 * n))
    X = sparse.coo_array(parts, (n, p)).tocsr()
    Y, weights = rng.standard_normal((n, 2)) + 3, rng.uniform(0.1, 2, n)
    model = Ridge(alpha=alpha, fit_intercept=fit_intercept, tol=1e-13).fit(X, Y, weights)
    assert model.solver_ == "sparse_cg" and model.converged_ and model.optimality_ <= 1e-13
    root = np.sqrt(weights)[:, None]
    A, B, center = X.toarray(), Y, np.zeros(p)
    if fit_intercept:
        center, middle = np.average(A, axis=0, weights=weights), np.average(Y, 0, weights)
        A, B = A - center, Y - middle
    for k, strength in enumerate(np.broadcast_to(alpha, 2)):
        system = (root * A) @ (root * A).T + strength * np.eye(n)
        exact = (root * A).T @ np.linalg.lstsq(system, (root * B)[:, k], rcond=1e-13)[0]
        assert_allclose(model.coef_[k], exact, rtol=0, atol=1e-5 * np.abs(exact).max())
        if fit_intercept:
            assert_allclose(model.intercept_[k], middle[k] - exact @ center, rtol=1e-5)


def test_conjugate_gradients_stop_at_tol():
    rng = np.random.default_rng(1)
    parts = rng.standard_normal(2000), (np.repeat(np.arange(400), 5), rng.integers(0, 3000, 2000))
    X, y = sparse.coo_array(parts, (400, 3000)).tocsr(), rng.standard_normal(400)

    def objective(model):
        rest = y - X @ model.coef_ - model.intercept_
        return rest @ rest + 0.1 * model.coef_ @ model.coef_

    fits = [Ridge(alpha=0.1, tol=tol).fit(X, y) for tol in (0.1, 1e-3, 1e-14)]
    least, worst = objective(fits[-1]), ((y - y.mean()) ** 2).sum()
    for model in fits[:-1]:
        assert 0 < objective(model) - least <= 1.01 * model.optimality_ * (worst - least)
