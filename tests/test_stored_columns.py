"""Sparse rows that store few of many columns: the others have weights 0."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from fastgd import Lasso, LinearRegression, LinearSVC, LinearSVR, LogisticRegression, Ridge
from fastgd.kernels.rows import rank_columns
from fastgd.problem.stored_columns import StoredColumns


def rows(seed=0, n=60, p=1000, entries=4):
    """(CSR matrix of n rows in p columns, targets)"""
    rng = np.random.default_rng(seed)
    columns = rng.choice(np.arange(100, 140), (n, entries))
    parts = rng.standard_normal(n * entries), (np.repeat(np.arange(n), entries), columns.ravel())
    X = sparse.coo_array(parts, (n, p)).tocsr()
    return X, X @ rng.standard_normal(p) + 0.1 * rng.standard_normal(n)


def test_columns_are_taken_and_expanded():
    X, _ = rows()
    stored = StoredColumns.find(X)
    kept = stored.take(X)
    assert kept.shape == (60, len(stored.numbers))
    assert_array_equal(kept.toarray(), X.toarray()[:, stored.numbers])
    coef = np.arange(2.0 * kept.shape[1]).reshape(2, -1)
    assert_allclose(X @ stored.expand(coef).T, kept @ coef.T)


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_ranks_are_those_of_the_distinct_columns(kind):
    columns = np.random.default_rng(0).choice([0, 3, 4, 8, 9], 30).astype(kind)
    expected = np.unique(columns, return_inverse=True)
    for made, wanted in zip(rank_columns(columns, 10, 5), expected, strict=True):
        assert_array_equal(made, wanted)
    assert rank_columns(columns, 10, 4) == (None, None)
    with pytest.raises(IndexError, match="not one of the 9 columns"):
        rank_columns(columns, 9, 9)


def test_plain_csr_is_not_converted():
    X, y = rows()
    model = Ridge().fit(X, y)
    for dtype in (np.float32, np.float64):
        kept, _ = model._check_X(X.astype(dtype), reset=True, y=y)
        assert kept.dtype == dtype
    for other in (X.astype(int), X.tocsc(), X.tocoo(), sparse.csr_matrix(X)):
        model = Ridge().fit(other, y)
        assert model.n_features_in_ == 1000
        assert_allclose(model.coef_, Ridge().fit(X.astype(other.dtype), y).coef_, rtol=1e-6)
    with pytest.raises(ValueError, match="expecting 1000 features"):
        model.predict(X[:, :999])
    X.data[3] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        Ridge().fit(X, y)


def test_they_are_only_sought_where_they_may_be_few():
    X, _ = rows()
    assert StoredColumns.find(X.toarray()) is None
    assert StoredColumns.find(X[:, 100:160]) is None
    assert StoredColumns.find(sparse.csr_array((5, 100))) is None


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        Ridge(0.1),
        Lasso(0.01),
        LogisticRegression(),
        LinearSVC(),
        LinearSVR(epsilon=0.1, C=0.1),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_model_is_that_of_all_columns(model, dtype):
    X, y = rows()
    y = np.where(y > 0, "b", "a") if hasattr(model, "predict_proba") else y
    y = np.where(y > 0, 1, 0) if isinstance(model, LinearSVC) else y
    model = model.set_params(tol=1e-5 if dtype == np.float32 else 1e-10).fit(X.astype(dtype), y)
    coef, intercept = np.atleast_2d(model.coef_).copy(), np.ravel(model.intercept_)
    unstored = np.setdiff1d(np.arange(1000), X.indices)
    assert coef.shape == (1, 1000) and coef.dtype == dtype
    assert not coef[:, unstored].any() and model.n_features_in_ == 1000
    model.fit(np.ascontiguousarray(X.toarray(), dtype), y)
    scale = np.abs(coef).max()
    assert_allclose(np.atleast_2d(model.coef_), coef, rtol=0, atol=2e-2 * scale)
    assert_allclose(np.ravel(model.intercept_), intercept, rtol=0, atol=2e-2 * scale)
