"""Proximal Newton: subgradients vanish, scikit-learn agrees, nothing rises, no column is too large,
too small or superfluous.
"""

import gc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression

import fastgd
from fastgd.kernels import batch, coordinate
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.rows import Rows
from fastgd.methods.proximal_newton import ProximalNewton
from fastgd.methods.working_set import DenseColumns
from fastgd.problem.data import as_rows
from fastgd.problem.losses import loss_of
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem

MODES = pytest.mark.parametrize("dense_metric", [True, False], ids=["matrix", "passes"])
LOSSES = [
    "squared_error",
    "log_loss",
    "softmax",
    "huber",
    "squared_hinge",
    "poisson",
    "squared_epsilon_insensitive",
    "modified_huber",
]


def make_problem(X, y, loss, l1, l2=0.0, outputs=1, weights=None, threads=1, **options):
    objective = Objective(loss_of(loss, 0.5), l1, l2, outputs, **options)
    return Problem(
        as_rows(X),
        np.asarray(y, float).ravel(),
        weights,
        objective,
        np.arange(X.shape[0]),
        True,
        threads,
        X,
    )


@np.errstate(all="ignore")  # as all training
def solve(problem, dense_metric, tol=1e-12, passes=1500):
    """(coef, intercept, losses, bound) of a run until the bound is below tol."""
    method = ProximalNewton(dense_metric)
    method.start(
        problem,
        np.zeros(problem.objective.outputs * (problem.rows.shape[1] + 1), problem.rows.dtype),
        None,
    )
    losses = []
    for _ in range(passes):
        losses.append(method.epoch(problem.visits).loss)
        if method.optimality() is not None and method.optimality()[0] <= tol:
            break
    assert method.is_finite()
    assert np.all(np.diff(losses) <= 4e-15 * losses[0])
    return *method.solution(), losses, method.optimality()[0]


def subgradients(problem, coef, intercept):
    """The least subgradient in each weight and intercept, in units of the penalty, or for the
    intercepts of 1.
    """
    theta = np.concatenate([(coef.T if problem.by_column else coef).ravel(), intercept])
    out, K = np.empty_like(theta), problem.objective.outputs
    batch.gradient(
        DataTerm(problem.rows, problem.y, problem.weights, problem.visits, problem.objective.codes),
        theta,
        out,
    )
    g, w = out[:-K] + problem.objective.l2 * theta[:-K], theta[:-K]
    l1 = problem.objective.l1
    return np.append(
        np.where(w != 0, g + l1 * np.sign(w), np.maximum(np.abs(g) - l1, 0)) / l1, out[-K:]
    )


@MODES
@pytest.mark.parametrize("layout", ["dense", "csr"])
@pytest.mark.parametrize("loss", LOSSES)
def test_subgradients_vanish(loss, layout, dense_metric):
    rng = np.random.default_rng(0)
    for intercept, weighted, many, l2 in [
        (True, False, False, 0.0),
        (False, True, True, 0.02),
        (True, True, True, 0.0),
    ]:
        X = rng.standard_normal((120, 30)) * (rng.random((120, 30)) < 0.5) + (
            0.5 if layout == "dense" else 0
        )
        signal = X[:, :3] @ [1.0, -2.0, 1.0] + rng.standard_normal(120)
        outputs = 3 if many or loss == "softmax" else 1
        by_class = loss in ("log_loss", "squared_hinge", "modified_huber", "softmax")
        if by_class:
            y = np.digitize(signal, [-1, 1]) if outputs > 1 else signal > 0
        else:
            y = rng.poisson(np.exp(signal / 4)) if loss == "poisson" else signal
            y = np.column_stack([y, y[::-1], y**2]) if outputs > 1 else y
        weights = rng.uniform(0.5, 2, 120) if weighted else None
        weights = weights / weights.mean() if weighted else None
        X = sparse.csr_array(X) if layout == "csr" else X
        problem = make_problem(
            X,
            y,
            loss,
            0.05,
            l2,
            outputs,
            weights,
            intercept=intercept,
            one_vs_rest=by_class and loss != "softmax",
        )
        tol = (
            1e-7 if loss == "softmax" else 1e-9
        )  # a block-diagonal model comes no nearer than rounding lets F tell
        coef, b, _, bound = solve(problem, dense_metric, tol)
        assert bound <= tol
        assert 0 < np.count_nonzero(coef) < coef.size
        assert intercept or not b.any()
        assert_allclose(subgradients(problem, coef, b), 0, atol=1e-3)


@MODES
@pytest.mark.parametrize("shape", [(200, 40), (60, 150)])
def test_lasso_is_scikit_learns(shape, dense_metric):
    rng = np.random.default_rng(1)
    X = (
        rng.standard_normal(shape)
        @ (np.eye(shape[1]) + 0.3 * rng.standard_normal((shape[1], shape[1])))
        + 3
    )
    y = X[:, :5].sum(axis=1) + rng.standard_normal(shape[0]) - 7
    for model, l1, l2 in [
        (Lasso(0.3, tol=1e-14, max_iter=10**6), 0.3, 0),
        (ElasticNet(0.2, tol=1e-14, max_iter=10**6), 0.1, 0.1),
    ]:
        model.fit(X, y)
        coef, b, _, _ = solve(make_problem(X, y, "squared_error", l1, l2), dense_metric, 1e-13)
        assert_allclose(coef[0], model.coef_, atol=1e-5 * np.abs(model.coef_).max())
        assert_allclose(b[0], model.intercept_, rtol=1e-5)
        assert_array_equal(coef[0] != 0, model.coef_ != 0)


@MODES
@pytest.mark.parametrize("layout", ["dense", "csr"])
def test_logistic_l1_is_scikit_learns(layout, dense_metric):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((300, 20)) * (rng.random((300, 20)) < 0.6)
    y = X[:, :4] @ [1.0, -1, 2, 0.5] + rng.logistic(size=300) > 0.7
    theirs = LogisticRegression(l1_ratio=1.0, C=0.2, solver="saga", tol=1e-12, max_iter=10**5).fit(
        X, y
    )
    X = sparse.csr_array(X) if layout == "csr" else X
    problem = make_problem(X, ~y, "log_loss", 1 / (0.2 * 300), one_vs_rest=True)
    coef, b, _, _ = solve(problem, dense_metric, 1e-13)
    assert_allclose(coef, theirs.coef_, atol=1e-5 * np.abs(coef).max())
    assert_allclose(b, theirs.intercept_, rtol=1e-4)


@MODES
@pytest.mark.parametrize("layout", ["dense", "csr"])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_any_scale_constant_and_repeated_columns(loss, layout, dense_metric):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((80, 12))
    X[:, 5], X[:, 6], X[:, 7] = 3.0, 0.0, X[:, 0]
    y = X[:, 0] - X[:, 1] + rng.standard_normal(80)
    y = y > 0 if loss == "log_loss" else y
    X *= 10.0 ** np.array([0, 0, 150, -150, 20, 0, 0, 0, -20, 3, -3, 0])
    X = sparse.csr_array(X) if layout == "csr" else X
    problem = make_problem(X, y, loss, 0.02, one_vs_rest=loss == "log_loss")
    coef, _, losses, bound = solve(problem, dense_metric, 1e-8)
    assert bound <= 1e-8
    assert_array_equal(coef[0, [3, 6, 8]], 0)
    assert coef[0, 2] != 0


@MODES
def test_a_penalty_that_leaves_nothing(dense_metric):
    rng = np.random.default_rng(4)
    X, y = rng.standard_normal((50, 5)), rng.standard_normal(50) + 2
    coef, b, _, bound = solve(make_problem(X, y, "squared_error", 10.0), dense_metric)
    assert not coef.any()
    assert_allclose(b, y.mean())
    assert bound == 0


@MODES
def test_the_bound_holds_on_the_way(dense_metric):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((150, 60)) @ np.triu(np.ones((60, 60)))
    y = X[:, 20] / 5 + rng.logistic(size=150) > 0
    problem = make_problem(X, y, "log_loss", 0.01, one_vs_rest=True)
    least = solve(problem, True, 1e-14, 100)[2][-1]
    method = ProximalNewton(dense_metric)
    method.start(problem, np.zeros(61), None)
    for _ in range(60):
        value = method.epoch(problem.visits).loss
        if method.optimality() is not None:
            assert (
                method.optimality()[0] >= (value - least) / (method._constant_loss - least) - 1e-12
            )


@MODES
@pytest.mark.parametrize("layout", ["dense", "csr"])
def test_threads_never_change_the_bits(layout, dense_metric):
    rng = np.random.default_rng(6)
    X = rng.standard_normal((20000, 40))
    y = X[:, 0] + rng.standard_normal(20000) > 0
    X = sparse.csr_array(X * (rng.random(X.shape) < 0.5)) if layout == "csr" else X
    found = [
        solve(
            make_problem(X, y, "log_loss", 0.01, one_vs_rest=True, threads=threads),
            dense_metric,
            1e-6,
        )[0]
        for threads in (1, 2, 4)
    ]
    assert_array_equal(found[0], found[1])
    assert_array_equal(found[0], found[2])


def test_wide_data_with_more_slopes_than_rows():
    """More columns than rows have slopes beyond l1, so that working sets change."""
    rng = np.random.default_rng(12)
    X = rng.standard_normal((30, 700)) + rng.standard_normal((30, 1))
    y, weights = X[:, :9] @ rng.standard_normal(9), rng.uniform(0.5, 2, 30)
    for l1, l2 in ((0.02, 0.0), (0.02, 0.1)):
        model = fastgd.ElasticNet(l1 + l2, l1_ratio=l1 / (l1 + l2), tol=1e-12, max_iter=1000)
        peer = ElasticNet(l1 + l2, l1_ratio=l1 / (l1 + l2), tol=1e-12, max_iter=10**6)
        model.fit(X, y, weights)
        assert model.solver_ == "proximal-newton"
        assert_allclose(model.coef_, peer.fit(X, y, weights).coef_, atol=1e-5)


def test_the_columns_are_freed_at_the_end_of_a_fit():
    """Also without a collection of cycles."""
    X = np.random.default_rng(13).standard_normal((300, 400))
    gc.collect()
    gc.disable()
    try:
        model = fastgd.Lasso(0.01).fit(X, X[:, 0])
        left = [found for found in gc.get_objects() if isinstance(found, DenseColumns)]
    finally:
        gc.enable()
    assert model.solver_ == "proximal-newton"
    assert not left


@MODES
def test_single_precision(dense_metric):
    rng = np.random.default_rng(7)
    X = rng.standard_normal((200, 30)).astype(np.float32)
    y = X[:, :3].sum(axis=1) + rng.standard_normal(200)
    coef, _, _, _ = solve(make_problem(X, y, "squared_error", 0.1), dense_metric, 1e-5, 300)
    wide, _, _, _ = solve(make_problem(X.astype(float), y, "squared_error", 0.1), dense_metric)
    assert_allclose(coef, wide, atol=2e-3)


@pytest.mark.parametrize("positions", [np.int32, np.int64, None])
def test_both_ways_of_coordinate_descent_agree(positions):
    rng = np.random.default_rng(8)
    X = sparse.csc_array(rng.standard_normal((50, 9)) * (rng.random((50, 9)) < 0.5))
    h, scale, columns = rng.uniform(0.5, 2, 50), rng.uniform(0.5, 2, 10), np.array([0, 2, 3, 7, 9])
    l2, l1, g, w = (
        rng.uniform(0, 1, 5),
        rng.uniform(0, 1, 5),
        rng.standard_normal(5) * 2,
        rng.standard_normal(5),
    )
    A = (np.column_stack([X.toarray(), np.ones(50)]) * scale)[:, columns]
    H = A.T @ (h[:, None] * A) / 50 + np.diag(l2)
    first, second, slopes = w.copy(), w.copy(), g.copy()
    coordinate.descend(H, first, slopes, l1, 1e-13, 1000)
    others = second, g, (l1, l2, None), 1e-13, 1000
    if positions:
        parts = X.data, X.indices.astype(positions), X.indptr.astype(positions)
        coordinate.descend_columns(Rows(*parts, X.shape[::-1]), columns, scale, h, *others)
    else:
        rows = np.ascontiguousarray((np.sqrt(h / 50)[:, None] * A).T)[[3, 0, 4, 1, 2]]
        coordinate.descend_rows(rows, np.array([1, 3, 4, 0, 2]), *others)
    assert_allclose(first, second, atol=1e-11)
    assert_allclose(slopes, g + H @ (first - w), atol=1e-12)
    assert_allclose(
        np.where(first != 0, slopes + l1 * np.sign(first), np.maximum(np.abs(slopes) - l1, 0)),
        0,
        atol=1e-11,
    )


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="do not fit"):
        coordinate.descend(np.eye(3), np.zeros(2), np.zeros(3), np.zeros(3), 0.0, 1)
    X, penalty = as_rows(sparse.csr_array(np.eye(3))), (np.zeros(1), np.zeros(1), None)
    arrays = np.ones(4), np.ones(3), np.zeros(1), np.zeros(1), penalty, 0.1, 1
    with pytest.raises(IndexError, match="4 is not one of"):
        coordinate.descend_columns(X, np.array([4]), *arrays)
    with pytest.raises(ValueError, match="not sparse"):
        coordinate.descend_columns(Rows(np.eye(3)), np.array([0]), *arrays)
    with pytest.raises(ValueError, match="do not fit"):
        coordinate.descend_columns(X, np.array([0, 1]), *arrays)
    with pytest.raises(IndexError, match="3 is not one of"):
        coordinate.descend_rows(np.eye(3), np.array([3]), *arrays[2:])
    with pytest.raises(ValueError, match="do not fit"):
        coordinate.descend_rows(np.eye(3), np.array([0, 1]), *arrays[2:])
