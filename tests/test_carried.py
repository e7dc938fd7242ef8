"""Columns of which few rows have nearly all the spread, as where an entry is mistyped."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit

from fastgd import LinearSVC, LogisticRegression, SGDClassifier
from fastgd.methods.carried import CarriedColumns
from fastgd.problem.coordinates import Coordinates
from fastgd.problem.data import as_rows
from fastgd.problem.losses import loss_of
from fastgd.problem.metric import metric_of
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem


def mistyped(seed, rows=1, size=1e6):
    """(X, y) of two classes; in column 1 the entries of some rows are `size` times too large."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((120, 4))
    y = rng.random(120) < expit(X @ [1.0, 2.0, 0.0, -1.0])
    # On the side of their class: at the minimum their losses are flat.
    X[:rows, 1] = size * np.where(y[:rows], 1, -1) * (1 + rng.random(rows))
    return X, y


def gap_of(model, X, y, l2):
    """(F - F*) / (F0 - F*) of a logistic model."""
    sign = np.where(y, 1.0, -1.0)

    def value(theta):
        m = sign * (X @ theta[:-1] + theta[-1])
        slopes = -sign * expit(-m) / len(X)
        gradient = np.append(X.T @ slopes + l2 * theta[:-1], slopes.sum())
        return np.logaddexp(0, -m).mean() + l2 / 2 * theta[:-1] @ theta[:-1], gradient

    def hessian(theta):
        z = X @ theta[:-1] + theta[-1]
        A = np.column_stack([X, np.ones(len(X))])
        return (A.T * (expit(z) * expit(-z))) @ A / len(X) + np.diag([*[l2] * X.shape[1], 0.0])

    # From the model of the ordinary rows, at which the losses of the others are flat.
    ordinary = np.abs(X[:, 1]) < 100
    start = np.zeros(X.shape[1] + 1)
    rest = LogisticRegression(C=100.0).fit(X[ordinary], y[ordinary])
    start[:-1], start[-1] = rest.coef_[0], rest.intercept_[0]
    best = minimize(value, start, jac=True, hess=hessian, method="trust-exact", tol=1e-10).fun
    frequency = y.mean()
    constant = -frequency * np.log(frequency) - (1 - frequency) * np.log(1 - frequency)
    at = value(np.append(model.coef_[0], model.intercept_))[0]
    return (at - best) / (constant - best)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tol", [0.01, 1e-4])
@pytest.mark.parametrize("C", [1.0, np.inf])
def test_rows_that_carry_a_column_hide_nothing(seed, tol, C):
    X, y = mistyped(seed, rows=1 + seed % 2)
    model = LogisticRegression(C=C, tol=tol).fit(X, y)
    assert model.converged_
    assert gap_of(model, X, y, 1 / C / len(X)) <= 2 * model.optimality_ + 1e-9


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("penalty", [None, "l2"])
def test_stochastic_steps_claim_no_minimum_that_such_rows_hide(seed, penalty):
    X, y = mistyped(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SGDClassifier(
            "log_loss", penalty=penalty, alpha=1e-4, max_iter=100, random_state=0
        ).fit(X, y)
    gap = gap_of(model, X, y, 1e-4 if penalty else 0.0)
    assert model.optimality_ is None or gap <= 2 * model.optimality_ + 1e-9


def carried_columns(X, y, weights=None):
    X = sparse.csr_array(X) if sparse.issparse(X) else X
    problem = Problem(
        as_rows(X),
        np.where(y, 1.0, -1.0),
        weights,
        Objective(loss_of("log_loss")),
        np.arange(len(y)),
        full_batch=True,
        threads=1,
        X=X,
    )
    at = Coordinates(problem, metric_of(problem))
    return CarriedColumns(at), at


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_which_columns_few_rows_carry(form):
    X, y = mistyped(0)
    ordinary, _ = carried_columns(form(mistyped(0, size=1.0)[0]), y)
    assert len(ordinary.columns) == 0
    assert_array_equal(carried_columns(form(X), y)[0].columns, [1])
    weights = np.ones(120)
    weights[0] = 0
    assert len(carried_columns(form(X), y, weights)[0].columns) == 0


def test_gain_of_the_other_rows():
    X, y = mistyped(0)
    found, at = carried_columns(X, y)
    rng = np.random.default_rng(1)
    curvatures, g = rng.random((120, 1)), rng.standard_normal((1, 5))
    # The direction of column 1, with the intercept that keeps the mean margin of the other rows.
    scale, center, mean = 1 / at.inverse[1], at.center[1], X[1:, 1].mean()
    slope = g[0, 1] + g[0, 4] * (center - mean) / scale
    curvature = (curvatures[1:, 0] * ((X[1:, 1] - mean) / scale) ** 2).sum() / 120
    assert_allclose(found.gain(at, g, curvatures), slope**2 / (2 * curvature))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("C", [1.0, 100.0])
def test_pieces_that_such_rows_leave(seed, C):
    X, y = mistyped(seed, rows=1 + seed % 2)
    ordinary = np.abs(X[:, 1]) < 100
    sign = np.where(y, 1.0, -1.0)

    def value(model):
        losses = np.maximum(1 - sign * model.decision_function(X), 0) ** 2
        return C * losses.sum() + (model.coef_**2).sum() / 2

    # Losses of the other rows are 0 at the minimum of the ordinary ones, which is then that of all.
    best = LinearSVC(C=C, tol=1e-10).fit(X[ordinary], y[ordinary])
    assert (sign * best.decision_function(X))[~ordinary].min() > 1
    model = LinearSVC(C=C, tol=1e-4).fit(X, y)
    assert model.converged_
    assert value(model) <= value(best) * (1 + 1e-4)


def test_float32_bounds_see_past_rounding_of_rows_far_out():
    """A row far out makes float32 sums of its column coarse, unless its loss is flat."""
    rng = np.random.default_rng(0)
    X = np.zeros((120, 1), np.float32)
    X[:, 0] = rng.standard_normal(120) * (rng.random(120) < 0.5)
    y = X[:, 0] + 0.3 * rng.standard_normal(120) > 0.8
    X[0], y[0] = 2e7, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SGDClassifier("hinge", alpha=1e-4, batch_size=32, random_state=0)
        model.fit(sparse.csr_array(X), y)
        best = LinearSVC(loss="hinge", C=1e4 / 120).fit(X[1:].astype(float), y[1:])
    sign = np.where(y, 1.0, -1.0)

    def value(coef, intercept):
        losses = np.maximum(1 - sign * (X[:, 0] * coef + intercept), 0)
        return losses.mean() + 1e-4 / 2 * coef**2

    least = value(best.coef_[0, 0], best.intercept_[0])
    gap = value(float(model.coef_[0, 0]), float(model.intercept_[0])) - least
    constant = min(value(0.0, b) for b in (-1.0, 1.0))
    assert model.optimality_ is None or gap <= 1.01 * model.optimality_ * (constant - least)


def test_sparse_columns_stay_sparse():
    """A column of one entry has no other rows; the rest of the columns are never made dense."""
    rng = np.random.default_rng(0)
    X = sparse.random_array((200, 3000), density=0.005, random_state=rng, format="csr")
    found, at = carried_columns(X, rng.random(200) < 0.5)
    entries = np.diff(sparse.csc_array(X).indptr)
    assert len(found.columns) and (entries[found.columns] > 1).all()
    assert sparse.issparse(found._squares)
    assert found.gain(at, rng.standard_normal((1, 3001)), np.ones((200, 1))) > 0
