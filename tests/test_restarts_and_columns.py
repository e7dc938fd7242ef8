"""Restarts that keep the best, and the one warning that names columns which make trouble."""

import tracemalloc
import warnings

import numpy as np
import pandas
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from fastgd import SGDClassifier, SGDRegressor
from fastgd.estimators.diagnostics import SAMPLED_ROWS, diagnose


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 4))
    return X, X @ rng.standard_normal(4) + 0.1 * rng.standard_normal(300)


def objective(model, X, y):
    r = X @ model.coef_ + model.intercept_ - y
    return (r @ r) / (2 * len(y)) + 0.5e-4 * (model.coef_ @ model.coef_)


def by_hand(**others):
    return SGDRegressor(
        **{"learning_rate": "constant", "eta0": 1e-3, "tol": None, "max_iter": 1, "random_state": 0}
        | others
    )


def test_restarts_keep_the_lowest_of_all_runs(values):
    """So short are the runs that where they begin decides."""
    X, y = values
    rng = [
        np.random.default_rng([0, number]).normal(scale=0.01, size=(1, 4)) for number in range(5)
    ]
    ends = [
        objective(by_hand().fit(X, y, coef_init=start[0]), X, y)
        for start in [np.zeros((1, 4)), *rng]
    ]
    model = by_hand(n_restarts=5).fit(X, y)
    assert_allclose(objective(model, X, y), min(ends), rtol=1e-12)
    assert len(np.unique(ends)) == 6
    assert len(model.history_["loss"]) == 1


def test_no_restart_changes_nothing_and_the_seed_decides(values):
    X, y = values
    assert_array_equal(by_hand(n_restarts=0).fit(X, y).coef_, by_hand().fit(X, y).coef_)
    assert_array_equal(by_hand(n_restarts=3).fit(X, y).coef_, by_hand(n_restarts=3).fit(X, y).coef_)


def test_restarts_under_auto_end_at_the_same_minimum(values):
    X, y = values
    one, several = (
        SGDRegressor(n_restarts=number, tol=1e-8, random_state=0).fit(X, y) for number in (0, 2)
    )
    assert several.converged_
    assert_allclose(several.coef_, one.coef_, rtol=1e-3)


def test_a_run_that_diverges_does_not_take_the_others_with_it(values):
    X, y = values
    X, start = 1e3 * X, np.full(4, 1e200)
    with np.errstate(all="ignore"):
        model = by_hand(n_restarts=2, eta0=1e-9).fit(X, y, coef_init=start)
        assert np.isfinite(model.coef_).all()
        with pytest.raises(ValueError, match="Training diverged"):
            by_hand(eta0=1e-9).fit(X, y, coef_init=start)


def messages(model, X, y):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    return [
        str(warning.message)
        for warning in caught
        if issubclass(warning.category, ConvergenceWarning)
    ]


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_matrix])
def test_uneven_columns_are_named_once(values, layout):
    X, y = values
    X = X * np.array([1.0, 1e-4, 1.0, 30.0])
    (said,) = messages(by_hand(eta0=1e-5), layout(X), y)
    assert "small in 1 (" in said
    assert "large in 3 (" in said
    assert "learning_rate='auto'" in said
    assert ("MaxAbsScaler" if layout is sparse.csr_matrix else "StandardScaler") in said


def test_named_columns_are_called_by_their_names(values):
    X, y = values
    frame = pandas.DataFrame(
        X * np.array([1.0, 1e-4, 1.0, 30.0]), columns=["age", "dose", "pulse", "salary"]
    )
    (said,) = messages(by_hand(eta0=1e-5), frame, y)
    assert "'dose'" in said
    assert "'salary'" in said


def test_the_warning_joins_that_of_no_convergence(values):
    X, y = values
    (said,) = messages(by_hand(eta0=1e-5, tol=1e-9), X * np.array([1.0, 1e-4, 1.0, 30.0]), y)
    assert said.startswith("Maximum number of iteration")
    assert "differ in size" in said


def test_even_columns_rules_that_scale_themselves_and_auto_are_not_warned_of(values):
    X, y = values
    uneven = X * np.array([1.0, 1e-4, 1.0, 30.0])
    assert not messages(by_hand(), X, y)
    assert not messages(by_hand(optimizer="adam"), uneven, y)
    assert not messages(SGDRegressor(random_state=0), uneven, y)


def test_a_runaway_names_the_columns(values):
    X, y = values
    with pytest.raises(ValueError, match=r"diverged.*differ in size.*large in 3"):
        by_hand(eta0=1.0, max_iter=50).fit(X * np.array([1.0, 1e-4, 1.0, 1e3]), y)


def test_steps_that_were_taken_back_name_the_columns_of_long_tails(monkeypatch):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((400, 3))
    X[:, 2] = np.exp(4 * rng.standard_normal(400))
    y = np.where(X[:, 0] + 0.3 * rng.standard_normal(400) > 0, 1, 0)

    def after_a_repair(fit, method):
        method.state.safeguard.backtracked = True
        return diagnose(fit, method)

    monkeypatch.setattr("fastgd.estimators.select_solver._is_easy_in_full", lambda *_: False)
    monkeypatch.setattr("fastgd.estimators.linear_fit.diagnose", after_a_repair)
    (said,) = messages(SGDClassifier("log_loss", random_state=0), X, y)
    assert "taken back: in columns 2 (" in said


def test_a_look_at_sparse_columns_stays_sparse_and_judges_no_column_by_few_entries():
    rng = np.random.default_rng(0)
    X = sparse.random_array(
        (2000, 50_000),
        density=2e-3,
        random_state=rng,
        data_sampler=rng.standard_normal,
        format="csr",
    )
    y = rng.integers(0, 2, 2000)
    model = SGDClassifier(learning_rate="constant", eta0=0.01, max_iter=1, tol=None).fit(
        X, y
    )  # no warning
    tracemalloc.start()
    model.fit(X, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < SAMPLED_ROWS * X.shape[1]  # an eighth of those rows, dense
