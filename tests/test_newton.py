"""Newton's method: metrics of some rows, quadratics in one system, and decrements that are true of
the very model.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import linear_model
from sklearn.datasets import load_breast_cancer

from fastgd import Lasso, LinearSVC, LogisticRegression, Ridge, SGDClassifier
from fastgd.kernels import batch, gram
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.rows import Rows
from fastgd.methods import normal_equations
from fastgd.methods.newton import Newton
from fastgd.methods.proximal_newton import ProximalNewton
from fastgd.problem.coordinates import Coordinates
from fastgd.problem.data import as_rows
from fastgd.problem.linearization import subsample_rows
from fastgd.problem.losses import loss_of
from fastgd.problem.metric import metric_of
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem
from fastgd.training.blas import one_blas_thread

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def correlated(rows, columns, seed=0):
    """(X, z): neighbouring columns correlated; a linear signal of them."""
    rng = np.random.default_rng(seed)
    X = np.cumsum(rng.standard_normal((rows, columns)), axis=1) / np.sqrt(columns)
    return X, X @ rng.standard_normal(columns)


def test_few_rows_stand_for_all_curvature():
    h = np.random.default_rng(0).lognormal(0, 3, 5000)
    drawn = subsample_rows(h, 200)
    share = h.sum() / 200
    assert np.count_nonzero(drawn) <= 200
    assert_array_equal(drawn[h >= share], h[h >= share])
    assert set(np.round(drawn[h < share] / share, 9)) == {0.0, 1.0}
    assert_allclose(drawn.sum(), h.sum(), rtol=0, atol=share)
    assert subsample_rows(h, 5000) is h


@pytest.fixture(
    scope="module",
    params=[(20, range(20)), (20, [0, 3, 4, 9, 19]), (1400, range(3, 1399))],
    ids=["few", "scattered", "many"],
)
def coordinates(request):
    """A function (layout, dtype, threads) -> (coordinates, the standardised rows and a column of
    ones).
    """
    n, visits = request.param
    X, visits = np.random.default_rng(0).standard_normal((n, 5)) + 2, np.array(visits)
    X[X < 1] = 0

    def make(layout, dtype, threads=1, intercept=True):
        stored = layout(X.astype(dtype))
        objective = Objective(loss_of("squared_error"), intercept=intercept)
        problem = Problem(
            as_rows(stored), np.zeros(n), None, objective, visits, True, threads, stored
        )
        metric = metric_of(problem)
        exact = X.astype(dtype).astype(float)
        ones = np.full(n, float(intercept))
        return Coordinates(problem, metric), np.column_stack(
            [(exact - metric.center) / metric.scale, ones]
        )[visits]

    return make


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("columns", [None, [3, 0, 5], [5, 2], [1], [0, 1, 2, 3, 4], []], ids=str)
@pytest.mark.parametrize("last", [None, 0, 1])
def test_products_of_standardised_columns(columns, last, layout, dtype, coordinates):
    at, rows = coordinates(layout, dtype)
    h = np.random.default_rng(1).random(len(rows)) * (np.arange(len(rows)) % 3 > 0)
    chosen = np.arange(6) if columns is None else np.array(columns, dtype=np.intp)
    last = min(last, len(chosen)) if last else last
    found = at.products(h, None if columns is None else chosen, last)
    A = rows[:, chosen]
    expected = (A.T * h) @ (A if last is None else A[:, len(chosen) - last :]) / len(h)
    assert_allclose(found, np.tril(expected) if last is None else expected, rtol=1e-11, atol=1e-13)
    for threads in 2, 3:
        assert_array_equal(
            coordinates(layout, dtype, threads)[0].products(
                h, None if columns is None else chosen, last
            ),
            found,
        )


def test_products_without_an_intercept(coordinates):
    at, rows = coordinates(np.asarray, np.float64, intercept=False)
    h = np.ones(len(rows))
    found = at.products(h)
    assert_allclose(found[:5, :5], np.tril(rows[:, :5].T @ rows[:, :5]) / len(h), rtol=1e-12)
    assert_array_equal(found[5], 0)


def test_many_products_are_the_same_bits_for_any_number_of_threads():
    """So many that threads share them."""
    X = np.random.default_rng(0).standard_normal((3000, 60))
    found = []
    for threads in 1, 2, 3, 4, 9:
        problem = Problem(
            as_rows(X),
            np.zeros(3000),
            None,
            Objective(loss_of("squared_error")),
            np.arange(3000),
            True,
            threads,
            X,
        )
        with one_blas_thread():
            found.append(Coordinates(problem, metric_of(problem)).products(np.ones(3000)))
    for other in found[1:]:
        assert_array_equal(other, found[0])


def term_of(rows, y=None, weights=None, order=None, loss="squared_error"):
    """A data term of three rows."""
    y, order = np.zeros(3) if y is None else y, np.arange(3) if order is None else order
    return DataTerm(rows, y, weights, order, Objective(loss_of(loss), outputs=1).codes)


@pytest.mark.parametrize(
    ("error", "match", "change"),
    [
        (ValueError, "X has 3 rows, y has 2", {"y": np.zeros(2)}),
        (ValueError, "weights 4", {"weights": np.ones(4)}),
        (IndexError, "is not one of the 3 rows", {"order": np.array([0, 1, 9])}),
        (IndexError, "is not one of the 3 rows", {"order": np.array([-1])}),
        (ValueError, "is not one of the 1 classes", {"y": np.ones(3), "loss": "softmax"}),
    ],
)
def test_a_data_term_checks_what_it_is_given(error, match, change):
    rows = Rows(np.eye(3, 5))
    with pytest.raises(error, match=match):
        term_of(rows, **change)
    if "order" in change:
        with pytest.raises(error, match=match):
            term_of(rows).over(change["order"])


def test_kernels_refuse_parameters_of_another_type_or_number():
    term = term_of(Rows(np.eye(3, 5)))
    with pytest.raises(TypeError, match="theta has 4 bytes a number, X has 8"):
        batch.gradient(term, np.zeros(6, np.float32), np.zeros(6, np.float32))
    with pytest.raises(ValueError, match="theta has 7 entries, 1 x"):
        batch.gradient(term, np.zeros(7), np.zeros(7))


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (ValueError, {"h": np.ones(2)}),
        (ValueError, {"last": 7}),
        (ValueError, {"metric": (np.zeros(4), np.ones(5))}),
        (IndexError, {"columns": np.array([0, 6])}),
        (IndexError, {"place": np.array([0, 1, 2, 3, 4, 6])}),
    ],
)
def test_products_check_what_they_are_given(error, change):
    X = np.eye(3, 5)
    columns = change.get("columns")
    size = 6 if columns is None else len(columns)
    given = {
        "term": term_of(Rows(X)),
        "h": np.ones(3),
        "columns": None,
        "place": None,
        "last": 0,
        "metric": (np.zeros(5), np.ones(5)),
        "intercept": True,
        "out": np.zeros((size, size), order="F"),
    } | change
    with pytest.raises(error):
        gram.products(*given.values())


def test_products_of_sparse_rows_need_the_place_of_each_column():
    term, metric = term_of(as_rows(sparse.csr_array(np.eye(3, 5)))), (np.zeros(5), np.ones(5))
    out = np.zeros((6, 6), order="F")
    with pytest.raises(ValueError, match="place"):
        gram.products(term, np.ones(3), None, None, 0, metric, True, out)


@pytest.fixture
def no_direct_solution(monkeypatch):
    monkeypatch.setattr(normal_equations, "solver_for", lambda problem: None)


def quadratic(tol):
    """(a ridge regression, its relative gap)"""
    X, z = correlated(9000, 30)
    y = z + np.random.default_rng(1).standard_normal(len(z))
    model = Ridge(alpha=1.0, tol=tol).fit(X, y)
    exact = linear_model.Ridge(alpha=1.0, solver="cholesky").fit(X, y)

    def objective(fitted):
        return ((y - fitted.predict(X)) ** 2).sum() / 2 + (fitted.coef_**2).sum() / 2

    return model, (objective(model) - objective(exact)) / (
        ((y - y.mean()) ** 2).sum() / 2 - objective(exact)
    )


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6, 1e-9])
def test_a_quadratic_is_one_system(tol, monkeypatch, no_direct_solution):
    monkeypatch.setattr("fastgd.methods.preconditioner.MAX_ALL_ROWS_COLUMNS", 0)
    model, gap = quadratic(tol)
    assert model.converged_ and 0.5 <= model.optimality_ / gap <= 2 and gap <= tol
    assert np.all(np.diff(model.history_["loss"]) <= 0)
    assert model.n_iter_ <= 2 - 2 * np.log10(
        tol
    )  # a gradient, and no second one: two passes a digit


def test_a_quadratic_of_few_columns_is_solved_by_its_own_matrix(no_direct_solution):
    model, gap = quadratic(1e-2)
    assert model.converged_
    assert model.n_iter_ == 2
    assert abs(gap) <= 1e-14
    assert model.optimality_ <= 1e-14


def minimum(X, t, alpha):
    """(F at the minimum, F of the best constant) of the mean log-loss + alpha |w|^2 / 2, by many
    exact steps of Newton's.
    """
    A, theta = np.column_stack([X, np.ones(len(t))]), np.zeros(X.shape[1] + 1)
    penalty = np.append(np.full(X.shape[1], alpha), 0.0)
    for _ in range(50):
        p = 1 / (1 + np.exp(t * (A @ theta)))
        H = (A.T * (p * (1 - p))) @ A / len(t) + np.diag(penalty)
        theta = theta - np.linalg.solve(H, -A.T @ (t * p) / len(t) + penalty * theta)
    share = np.mean(t > 0)
    return log_loss(X, t, alpha, theta[:-1], theta[-1]), -share * np.log(share) - (
        1 - share
    ) * np.log(1 - share)


def log_loss(X, t, alpha, coef, intercept):
    return (
        np.logaddexp(0, -t * (X @ np.ravel(coef) + intercept)).mean()
        + alpha * (np.ravel(coef) ** 2).sum() / 2
    )


@pytest.mark.parametrize("passes", range(3, 16))
def test_what_is_told_is_told_of_the_model(passes):
    X, z = correlated(3000, 20)
    t = np.where(3 * z + np.random.default_rng(2).logistic(size=len(z)) > 0, 1.0, -1.0)
    alpha = 0.1 / len(t)
    model = LogisticRegression(C=1 / 0.1, tol=1e-12, max_iter=passes).fit(X, t)
    least, constant = minimum(X, t, alpha)
    gap = (log_loss(X, t, alpha, model.coef_, model.intercept_) - least) / (constant - least)
    if model.optimality_ is not None and 1e-10 < gap < 1e-2:
        assert 0.5 <= model.optimality_ / gap <= 2


def squared_hinge(X, t, strength, coef, intercept):
    slack = np.maximum(1 - t * (X @ np.ravel(coef) + intercept), 0)
    return (slack**2).mean() + strength * (np.ravel(coef) ** 2).sum() / 2


@pytest.mark.parametrize("seed", range(12))
def test_pieces_that_a_step_leaves_for_others_are_not_believed(seed):
    """Nearly separable rows and hardly a penalty: the kinks lie closer than the minimum of the
    piece where one is.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((100, 33)) * 10 ** rng.uniform(-1, 1, 33)
    z = X @ rng.standard_normal(33)
    t = np.where(z / z.std() + 0.01 * rng.standard_normal(100) > 0, 1.0, -1.0)
    fits = [LinearSVC(C=50.0, tol=tol, max_iter=5000).fit(X, t) for tol in (1e-5, 1e-13)]
    value, least = (squared_hinge(X, t, 1 / 5000, fit.coef_, fit.intercept_) for fit in fits)
    assert fits[0].converged_ and value - least <= 1e-4


def test_a_stochastic_model_is_judged_where_it_is():
    """Newton's method has to go on from the model, to where it can tell: what it tells is of the
    model all the same.
    """
    rng = np.random.default_rng(4)
    X = rng.standard_normal((100, 33)) * 10 ** rng.uniform(-1, 1, 33)
    z = X @ rng.standard_normal(33)
    t = np.where(z / z.std() + 0.01 * rng.standard_normal(100) > 0, 1.0, -1.0)
    model = SGDClassifier(
        "squared_hinge", alpha=1 / 5000, batch_size=32, tol=1e-3, max_iter=300, random_state=0
    ).fit(X, t)
    exact = LinearSVC(C=50.0, tol=1e-12, max_iter=5000).fit(X, t)
    least = squared_hinge(X, t, 1 / 5000, exact.coef_, exact.intercept_)
    gap = squared_hinge(X, t, 1 / 5000, model.coef_, model.intercept_) - least
    if model.optimality_ is not None:
        assert model.optimality_ >= 0.5 * gap / (1 - least)


@pytest.mark.parametrize("epochs", [2, 10])
@pytest.mark.parametrize("seed", range(3))
def test_steep_directions_do_not_hide_how_far_a_stochastic_model_is(seed, epochs):
    """All columns have much in common: the gradient points there, while most of the distance lies
    in the many other directions.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((2000, 400)) + 2 * rng.standard_normal((2000, 1))
    t = np.where(X @ rng.standard_normal(400) / 10 + rng.standard_normal(2000) > 0, 1.0, -1.0)
    model = SGDClassifier("log_loss", alpha=0.01, max_iter=epochs, tol=1e-14, random_state=0).fit(
        X, t
    )
    exact = LogisticRegression(C=1 / 20, tol=1e-12, max_iter=1000).fit(X, t)
    value, least = (log_loss(X, t, 0.01, fit.coef_, fit.intercept_) for fit in (model, exact))
    share = np.mean(t > 0)
    constant = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert model.optimality_kind_ == "Newton decrement"
    assert 0.5 <= model.optimality_ / ((value - least) / (constant - least)) <= 2


@np.errstate(all="ignore")  # as all training
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_zeros_are_found_by_some_rows(loss, monkeypatch):
    """More rows than matrices are made of: the same minimum, and the same again from the middle."""
    monkeypatch.setattr("fastgd.methods.working_set.MAX_ALL_ROWS_COLUMNS", 0)
    X, z = correlated(6000, 40)
    y = z + np.random.default_rng(3).standard_normal(len(z))
    y = y if loss == "squared_error" else np.where(y > 0, 1.0, -1.0)
    problem = Problem(
        as_rows(X), y, None, Objective(loss_of(loss), l1=0.01), np.arange(len(y)), True, 1, X
    )

    def run(method, passes):
        while passes and not (method.optimality() and method.optimality()[0] <= 1e-11):
            method.epoch(None)
            passes -= 1
        return method

    def begun():
        method = ProximalNewton(dense_metric=True, tol=1e-11)
        method.start(problem, np.zeros(41), None)
        return method

    whole = run(begun(), 300)
    assert whole._working_set.of_some_rows and whole.optimality()[0] <= 1e-11
    middle, second = run(begun(), 7), ProximalNewton(dense_metric=True, tol=1e-11)
    second.resume(problem, middle.resume_point())
    run(second, 300)
    assert_array_equal(second.solution()[0], whole.solution()[0])
    passes = ProximalNewton(dense_metric=False, tol=1e-11)
    passes.start(problem, np.zeros(41), None)
    other = run(passes, 3000).solution()[0]
    assert_array_equal(whole.solution()[0] == 0, other == 0)
    assert_allclose(whole.solution()[0], other, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(
    "model",
    [LogisticRegression(C=3.0, l1_ratio=1.0, tol=1e-8), Lasso(alpha=1e-4, tol=1e-8)],
    ids=str,
)
def test_columns_that_depend_on_one_another(model, layout):
    """One of each group's columns is 1: along the ways between them only the penalty changes."""
    rng = np.random.default_rng(0)
    levels = rng.integers(6, size=(3000, 5))
    X = (levels[:, :, None] == np.arange(6)).reshape(3000, 30).astype(float)
    z = X @ rng.standard_normal(30)
    y = (
        z + 0.5 * rng.standard_normal(3000)
        if isinstance(model, Lasso)
        else z + rng.logistic(size=3000) > 0
    )
    model.fit(layout(X), y)
    assert model.converged_
    assert model.n_iter_ <= 12


def test_lasso_of_many_rows_is_scikit_learns():
    X, z = correlated(5000, 40)
    y = z + np.random.default_rng(5).standard_normal(len(z))
    ours = Lasso(alpha=0.02, tol=1e-12).fit(X, y)
    theirs = linear_model.Lasso(alpha=0.02, tol=1e-12, max_iter=100_000).fit(X, y)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-5 * np.abs(theirs.coef_).max())


@np.errstate(all="ignore")  # as all training
def test_a_metric_follows_the_curvatures():
    """At the first model all rows are curved, near the minimum few: with the old metric conjugate
    gradients would crawl.
    """
    X, z = correlated(6000, 40)
    t = np.where(20 * z + np.random.default_rng(6).logistic(size=len(z)) > 0, 1.0, -1.0)
    problem = Problem(
        as_rows(X), t, None, Objective(loss_of("log_loss"), l2=1e-6), np.arange(len(t)), True, 1, X
    )
    method = Newton(dense_metric=True, tol=1e-8)
    method.start(problem, np.zeros(41), None)
    while not (method.optimality() and method.optimality()[0] <= 1e-8):
        method.epoch(None)
    assert method.state.epochs <= 17  # 20 with the metric of the first model


@pytest.mark.parametrize("passes", [3, 5, 9])
def test_kinks_that_are_still_rounded_off_count_where_training_ends(passes):
    X, y = load_breast_cancer(return_X_y=True)
    model = SGDClassifier(batch_size="full", max_iter=passes, tol=None).fit(X, y)
    constant = 2 * min(y.mean(), 1 - y.mean())
    assert np.maximum(0, 1 - (2 * y - 1) * model.decision_function(X)).mean() < 0.6 * constant
    assert 0 < model.optimality_ < 1
