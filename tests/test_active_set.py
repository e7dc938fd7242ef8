"""Full Newton steps for losses made of quadratic pieces, against line searches and scikit-learn."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from fastgd import LinearSVC, LinearSVR, SGDClassifier
from fastgd.methods.active_set import ActiveSet, newton_for
from fastgd.methods.newton import Newton
from fastgd.methods.newton_cholesky import SmallNewtonCholesky
from fastgd.problem.data import as_rows
from fastgd.problem.losses import loss_of
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem


def correlated(seed, n, p):
    """(X, numbers to predict), each column much like the one before."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    for j in range(1, p):
        X[:, j] = 0.6 * X[:, j - 1] + 0.8 * X[:, j]
    z = X @ rng.standard_normal(p)
    return X, z / z.std() + 0.5 * rng.standard_normal(n)


def problem_of(loss, X, y, l2=1e-3):
    objective = Objective(loss_of(loss, 0.1), l2=l2)
    return Problem(as_rows(X), y, None, objective, np.arange(len(y)), True, 1, X)


def test_it_is_chosen_for_pieces_and_few_rows():
    X, z = correlated(0, 60, 60)
    signs = np.where(z > 0, 1.0, -1.0)
    assert type(newton_for(problem_of("squared_hinge", X, signs), True, 1e-4)) is ActiveSet
    assert type(newton_for(problem_of("squared_hinge", X, signs), False, 1e-4)) is Newton
    assert type(newton_for(problem_of("log_loss", X, signs), True, 1e-4)) is Newton
    few = X[:, :58].copy()
    assert (
        type(newton_for(problem_of("squared_hinge", few, signs), True, 1e-4)) is SmallNewtonCholesky
    )


@np.errstate(all="ignore")  # as all training
@pytest.mark.parametrize("shape", [(40, 40), (70, 100), (30, 90)])
@pytest.mark.parametrize("loss", ["squared_hinge", "modified_huber", "squared_epsilon_insensitive"])
def test_the_minimum_is_that_of_line_searches(loss, shape):
    X, z = correlated(1, *shape)
    y = z if loss == "squared_epsilon_insensitive" else np.where(z > 0, 1.0, -1.0)
    problem, found = problem_of(loss, X, y), []
    for method in (ActiveSet(True, 1e-12), Newton(True, 1e-12)):
        method.start(problem, np.zeros(X.shape[1] + 1), None)
        losses = []
        while not (method.optimality() and method.optimality()[0] <= 1e-12):
            losses.append(method.epoch(None).loss)
            assert len(losses) < 5000
        assert (np.diff(losses) <= 1e-12).all()  # of the model, whatever steps do
        found.append(method.solution()[0])
    assert_allclose(found[0], found[1], atol=5e-5 * np.abs(found[1]).max())


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(150, 1000), (300, 300)])
def test_as_many_columns_as_rows_take_few_passes(shape, fit_intercept):
    X, z = correlated(2, *shape)
    model = LinearSVC(fit_intercept=fit_intercept).fit(X, z > 0)
    assert model.converged_ and model.n_iter_ <= 200
    several = LinearSVC(fit_intercept=fit_intercept).fit(X, np.digitize(z, [-0.5, 0.5]))
    assert several.converged_ and several.n_iter_ <= 200


@pytest.mark.parametrize("seed", range(8))
def test_any_strength_converges_to_what_line_searches_find(seed):
    rng = np.random.default_rng(seed)
    X, z = correlated(seed, int(rng.integers(30, 90)), 90)
    C = 10 ** rng.uniform(-2, 3)
    model = LinearSVR(loss="squared_epsilon_insensitive", epsilon=0.1, C=C, tol=1e-8, max_iter=5000)
    assert model.fit(X, z).converged_
    other = LinearSVC(C=C, tol=1e-8, max_iter=5000).fit(X, z > 0)
    passes = SGDClassifier(
        "squared_hinge", alpha=1 / (C * len(z)), batch_size="full", tol=1e-8, max_iter=50000
    ).fit(X, z > 0)
    assert other.converged_ and passes.converged_
    scale = np.abs(passes.decision_function(X)).max()
    assert_allclose(other.decision_function(X), passes.decision_function(X), atol=1e-2 * scale)


def test_a_later_fit_goes_on_exactly():
    X, z = correlated(3, 60, 60)
    whole = LinearSVC(tol=1e-12, max_iter=14)
    part = LinearSVC(tol=1e-12, max_iter=5)
    problem = problem_of("squared_hinge", X, np.where(z > 0, 1.0, -1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert whole.fit(X, z > 0).n_iter_ >= part.fit(X, z > 0).n_iter_
    first, second = ActiveSet(True, 1e-12), ActiveSet(True, 1e-12)
    first.start(problem, np.zeros(61), None)
    for _ in range(5):
        first.epoch(None)
    second.resume(problem, pickle.loads(pickle.dumps(first.resume_point())))
    for _ in range(9):
        first.epoch(None)
        second.epoch(None)
    assert_array_equal(first.solution()[0], second.solution()[0])
    assert first.optimality() == second.optimality()
