"""Data without a minimum: separated classes, and counts of 0 that some columns separate."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linprog
from sklearn.exceptions import ConvergenceWarning

from fastgd import (
    Chunks,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    SGDClassifier,
    TweedieRegressor,
    logistic_path,
)


def direction_of_separation(signed):
    """The largest sum of margins along a direction of at most 1, of those along which no margin
    falls; `signed` are the rows times their labels. It is 0 for overlapping classes.
    """
    n, p = signed.shape
    found = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(n), bounds=[(-1, 1)] * p)
    return -found.fun


def reason_and_message(model, X, y):
    """(stop_reason_, message of the warning or None)"""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) <= 1, messages
    return model.stop_reason_, messages[0] if messages else None


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-10])
def test_separated_classes_are_those_that_a_linear_program_finds(tol, intercept):
    counts = {True: 0, False: 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, p = rng.integers(8, 40), rng.integers(1, 5)
        X = rng.integers(-1, 2, (n, p)).astype(float)
        y = (X @ rng.integers(-1, 2, p) + rng.normal(scale=0.7, size=n) > 0).astype(int)
        if len(np.unique(y)) < 2 or (np.ptp(X, axis=0) == 0).any():
            continue
        columns = np.column_stack([X, np.ones(n)]) if intercept else X
        is_separated = direction_of_separation(columns * (2 * y - 1)[:, None]) > 1e-6
        model = LogisticRegression(C=np.inf, tol=tol, fit_intercept=intercept)
        reason, message = reason_and_message(model, X, y)
        assert (reason == "separable") == is_separated, seed
        assert (message is not None) == is_separated, (seed, message)
        assert model.converged_ != is_separated, seed
        counts[is_separated] += 1
    assert min(counts.values()) > 10


def test_classes_that_hardly_overlap_have_a_minimum():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.standard_t(1.5, (300, 4)) * 10.0 ** rng.uniform(-3, 3, 4)
        z = X[:, 0] / np.median(np.abs(X[:, 0]))
        y = (z + 0.3 * rng.logistic(size=300) > 0).astype(int)
        signed = np.column_stack([X / np.abs(X).max(axis=0), np.ones(300)]) * (2 * y - 1)[:, None]
        assert direction_of_separation(signed) < 1e-6
        reason, message = reason_and_message(LogisticRegression(C=np.inf), X, y)
        assert reason == "tol" and message is None, seed


@pytest.fixture
def dummy():
    """(X, y): two classes that overlap, and a column 3 that is 1 in some rows of class 1 alone."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 5))
    y = (X[:, 0] - X[:, 1] + rng.logistic(size=400) > 0).astype(int)
    X[:, 3] = (y == 1) & (rng.random(400) < 0.2)
    return X, y


LAYOUTS = {
    "dense": np.asarray,
    "float32": lambda X: X.astype(np.float32),
    "csr": sparse.csr_array,
    "scaled": lambda X: X * np.array([1e-9, 1, 1e5, 1e-4, 1e9]),
    "huge": lambda X: X * np.array([1.0, 1.0, 1.0, 1e200, 1.0]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-8])
def test_a_column_that_separates_some_rows_is_named(dummy, layout, tol):
    X, y = dummy
    model = LogisticRegression(C=np.inf, tol=tol)
    with pytest.warns(
        ConvergenceWarning, match=r"^Column 3 separates some rows .*quasi-complete.*no minimum"
    ) as caught:
        model.fit(LAYOUTS[layout](X), y)
    assert caught[0].filename == __file__
    assert model.stop_reason_ == "separable" and not model.converged_
    # The infimum is the minimum without the rows where the column is 1.
    rest = X[:, 3] == 0
    without = LogisticRegression(C=np.inf, tol=1e-12).fit(np.delete(X, 3, axis=1)[rest], y[rest])

    def total(fitted, X, y):
        margins = fitted.decision_function(X).astype(float)
        return np.logaddexp(0, np.where(y == 1, -margins, margins)).sum()

    infimum = total(without, np.delete(X, 3, axis=1)[rest], y[rest])
    frequency = y.mean()
    constant = -len(y) * (frequency * np.log(frequency) + (1 - frequency) * np.log1p(-frequency))
    distance = (total(model, LAYOUTS[layout](X), y) - infimum) / (constant - infimum)
    assert model.optimality_ == pytest.approx(distance, rel=0.05, abs=1e-6)


def test_a_column_is_named_by_its_name(dummy):
    pandas = pytest.importorskip("pandas")
    X, y = dummy
    frame = pandas.DataFrame(X, columns=["age", "size", "dose", "smoker", "height"])
    _, message = reason_and_message(LogisticRegression(C=np.inf), frame, y)
    assert message.startswith("Column 'smoker' separates some rows")
    assert "penalise the weights, or drop or merge the columns" in message


def test_columns_that_separate_together_are_named(dummy):
    X, y = dummy
    rng = np.random.default_rng(1)
    X[:, 4] = rng.integers(0, 3, len(y))
    X[:, 3] += X[:, 4]  # their difference separates
    _, message = reason_and_message(LogisticRegression(C=np.inf), X, y)
    assert message.startswith("Columns 3 and 4 separate together some rows of a class")


def test_a_class_of_three_that_a_column_separates(dummy):
    X, _ = dummy
    y = np.where(X[:, 3] > 0, 2, np.random.default_rng(2).integers(0, 2, len(X)))
    for model in (
        LogisticRegression(C=np.inf),
        SGDClassifier("log_loss", alpha=0, batch_size="full"),
    ):
        reason, message = reason_and_message(model, X, y)
        assert reason == "separable" and message.startswith("Column 3 separates some rows")


@pytest.mark.parametrize("kind", [PoissonRegressor, TweedieRegressor])
def test_counts_of_zero_that_a_column_separates(kind):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 4))
    y = rng.poisson(np.exp(0.5 * X[:, 0])).astype(float)
    X[:, 2] = (y == 0) & (rng.random(600) < 0.1)
    options = {} if kind is PoissonRegressor else {"power": 1.5}
    model = kind(alpha=0, **options)
    reason, message = reason_and_message(model, X, y)
    assert reason == "separable" and not model.converged_
    assert message.startswith("Column 2 separates some rows of y = 0")
    # With a penalty there is a minimum.
    assert reason_and_message(kind(alpha=1e-6, **options), X, y) == ("tol", None)
    # A column that also marks a larger count has a weight.
    X[np.argmax(y), 2] = 1
    assert reason_and_message(kind(alpha=0, **options), X, y) == ("tol", None)


def test_a_column_of_chunks_is_named(dummy):
    X, y = dummy
    chunks = Chunks.of(X, y, chunk_rows=150)
    reason, message = reason_and_message(LogisticRegression(C=np.inf), chunks, None)
    assert reason == "separable" and message.startswith("Column 3 separates some rows")


def test_a_penalty_gives_separated_classes_a_minimum(dummy):
    X, y = dummy
    assert reason_and_message(LogisticRegression(C=1e3), X, y) == ("tol", None)
    y = (X[:, 0] > 0).astype(int)
    assert reason_and_message(LogisticRegression(C=1e3), X, y) == ("tol", None)


@pytest.mark.parametrize("is_complete", [True, False])
def test_the_chosen_model_and_a_path_without_a_penalty(dummy, is_complete):
    X, y = dummy
    y = (X[:, 0] > 0).astype(int) if is_complete else y
    model = LogisticRegressionCV(
        Cs=[np.inf], l1_ratios=(0,), scoring="neg_log_loss", use_legacy_attributes=False
    )
    reason, message = reason_and_message(model, X, y)
    assert reason == "separable" and not model.converged_
    assert message.startswith("With C=inf nothing is penalised, and the classes are separable")
    with pytest.warns(ConvergenceWarning, match="Choose a finite C"):
        logistic_path(X, y, Cs=[1.0, np.inf])
