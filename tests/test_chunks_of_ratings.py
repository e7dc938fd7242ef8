"""Recommenders over chunks of ratings: as good as in memory, at the memory of a pool."""

import pickle
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone

from fastgd import Chunks, MatrixFactorization, ndcg_at_k, precision_at_k

RNG = np.random.default_rng(0)
N, USERS, ITEMS = 12_000, 200, 90
P, Q = RNG.standard_normal((USERS, 3)), RNG.standard_normal((ITEMS, 3))
pairs = np.column_stack([RNG.integers(0, USERS, N), RNG.integers(0, ITEMS, N)])
ratings = 3 + (P[pairs[:, 0]] * Q[pairs[:, 1]]).sum(axis=1) + 0.3 * RNG.standard_normal(N)
FEW = {"n_factors": 4, "max_iter": 5, "tol": None, "random_state": 0}
kind = np.arange(USERS)[:, None] % 5 == np.arange(ITEMS) % 5
liked = kind & (RNG.random(kind.shape) < 0.6)
likes, others = sparse.csr_array(liked.astype(float)), sparse.csr_array((kind & ~liked) * 1.0)


def of(X=pairs, y=ratings, rows=1700, **parameters):
    return Chunks.of(X, y, chunk_rows=rows, **parameters)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("shuffle", [None, 2, 6])
def test_ratings_in_chunks_are_learnt_as_well(shuffle, early_stopping):
    train, test = slice(0, 10_000), slice(10_000, N)
    parameters = FEW | {"max_iter": 20, "early_stopping": early_stopping}
    own = MatrixFactorization(**parameters).fit(pairs[train], ratings[train])
    model = clone(own).fit(of(pairs[train], ratings[train], shuffle=shuffle))
    assert_allclose(model.history_["loss"][-1], own.history_["loss"][-1], rtol=0.02)
    score = own.score(pairs[test], ratings[test])
    assert model.score(pairs[test], ratings[test]) > 1.03 * score
    chunks = of(pairs[test], ratings[test], rows=300)
    assert_allclose(model.score(chunks), model.score(pairs[test], ratings[test]))
    assert_allclose(model.mean_rating_, own.mean_rating_)
    if early_stopping:
        assert_allclose(
            min(model.history_["validation_loss"]), -max(model.history_["validation_score"])
        )
        assert_allclose(
            min(model.history_["validation_loss"]), min(own.history_["validation_loss"]), rtol=0.15
        )


@pytest.mark.parametrize("loss", ["bpr", "log_loss"])
def test_interactions_in_chunks_of_a_sparse_matrix(loss):
    """Users are the numbers of the rows of the whole matrix."""
    model = MatrixFactorization(loss, n_factors=8, max_iter=10, random_state=0)
    model.fit(of(likes, None, rows=40, shuffle=2))
    assert_array_equal(np.sort(model.user_ids_), np.flatnonzero(liked.any(axis=1)))
    own = clone(model).fit(likes)
    assert model.score(others) > own.score(others) - 0.02
    assert model.score(of(others, None, rows=30)) == model.score(others)
    for measure in (precision_at_k, ndcg_at_k):
        assert measure(model, of(others, None, rows=30), k=5) == measure(model, others, k=5)
    ids, scores = model.recommend([0], 3, exclude_seen=True)
    assert not liked[0, ids[0].astype(int)].any() and np.isfinite(scores).all()


def test_one_chunk_takes_the_steps_of_memory():
    for parameters in ({}, {"learning_rate": "constant"}, {"positive": True}):
        own = MatrixFactorization(**FEW, **parameters).fit(pairs, ratings)
        model = clone(own).fit(of(rows=N))
        assert_array_equal(model.user_factors_, own.user_factors_)
        assert model.history_["loss"] == own.history_["loss"]
        assert_array_equal(model.predict(pairs), own.predict(pairs))


def test_predictions_come_chunk_by_chunk():
    model = MatrixFactorization(**FEW).fit(pairs, ratings)
    parts = model.predict(of(rows=500))
    first = next(parts)
    assert len(first) == 500
    assert_array_equal(np.concatenate([first, *parts]), model.predict(pairs))
    of_likes = np.concatenate(list(model.predict(of(likes, None, rows=30))))
    assert_array_equal(of_likes, model.predict(likes))


def test_bits_depend_neither_on_threads_nor_on_the_cache(tmp_path):
    models = [
        MatrixFactorization(**FEW, n_jobs=threads, early_stopping=True).fit(
            of(shuffle=3, cache=cache)
        )
        for threads, cache in ((1, None), (2, None), (2, tmp_path), (1, tmp_path))
    ]
    models.append(pickle.loads(pickle.dumps(models[0])))
    for model in models[1:]:
        assert_array_equal(model.user_factors_, models[0].user_factors_)
        assert model.history_["loss"] == models[0].history_["loss"]


def test_an_epoch_reads_each_chunk_once():
    asked = []

    def read(i):
        asked.append(i)
        return pairs[i::4], ratings[i::4]

    MatrixFactorization(**FEW).fit(Chunks(read, 4, shuffle=3))
    assert np.bincount(asked).tolist() == [1 + FEW["max_iter"]] * 4


def test_the_cache_is_read_and_the_source_is_not(tmp_path):
    asked = []

    def read(i):
        asked.append(i)
        return pairs[i::3], ratings[i::3]

    MatrixFactorization(**FEW).fit(Chunks(read, 3, cache=tmp_path))
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("loss", ["squared_error", "bpr"])
def test_a_warm_start_goes_on_bit_by_bit(loss):
    chunks = of(y=None if loss == "bpr" else ratings, shuffle=2)
    model = MatrixFactorization(loss, **FEW, warm_start=True)
    whole = clone(model).set_params(max_iter=10).fit(chunks)
    model = pickle.loads(pickle.dumps(model.fit(chunks))).fit(chunks)
    assert_array_equal(model.user_factors_, whole.user_factors_)
    assert model.history_["loss"] == whole.history_["loss"]
    model.fit(of(pairs[:5000], chunks.read.parts[-1][:5000] if loss != "bpr" else None))
    assert len(model.history_["loss"]) == 5


def test_partial_fit_is_an_epoch_over_all_chunks():
    model, own = MatrixFactorization(**FEW), MatrixFactorization(**FEW)
    for _ in range(8):
        model.partial_fit(of(shuffle=2))
        own.partial_fit(pairs, ratings)
    assert (model.t_, len(model.history_["loss"])) == (8, 8)
    assert_allclose(model.history_["loss"][-1], own.history_["loss"][-1], rtol=0.02)
    model.partial_fit([("dora", 3, 5.0)])
    assert "dora" in model.user_ids_.tolist()


def test_memory_is_that_of_a_pool_and_of_who_has_met_what():
    """2 000 000 ratings: 48 MB as they are read, in chunks of 1.2 MB, and 6 MB of booleans."""

    def read(i):
        rng = np.random.default_rng(i)
        pairs = np.column_stack([rng.integers(0, 2000, 50_000), rng.integers(0, 1000, 50_000)])
        return pairs, rng.standard_normal(50_000)

    for parameters in ({}, {"early_stopping": True}):
        model = MatrixFactorization(n_factors=4, max_iter=2, **parameters)
        tracemalloc.start()
        model.fit(Chunks(read, 40, shuffle=2))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 24e6


def test_chunks_of_all_forms_and_sizes():
    pandas = pytest.importorskip("pandas")
    few, values = pairs[:60], ratings[:60]
    named = [(f"user {u}", f"item {i}") for u, i in few.tolist()]
    frame = pandas.DataFrame(named, columns=["user", "item"]).assign(rating=values)
    ends = [0, 0, 1, 30, 30, 60, 60]
    parts = [slice(begin, end) for begin, end in zip(ends[:-1], ends[1:], strict=True)]
    lists = [[*pair, value] for pair, value in zip(named, values, strict=True)]
    models = [
        MatrixFactorization(**FEW).fit(Chunks(read, len(parts), shuffle=2))
        for read in (
            lambda i: frame[parts[i]],
            lambda i: lists[parts[i]],
            lambda i: (named[parts[i]], values[parts[i]]),
        )
    ]
    for model in models:
        assert_array_equal(model.user_factors_, models[0].user_factors_)
        assert_array_equal(
            np.concatenate(list(model.predict(Chunks(lambda i: frame[parts[i]], 6)))),
            model.predict(frame),
        )
    single = MatrixFactorization(**FEW).fit(of(few, values, rows=1))
    assert_allclose(single.history_["loss"][-1], models[0].history_["loss"][-1], rtol=0.2)
    empty_rows = sparse.csr_array(
        (likes.data, likes.indices, np.append(likes.indptr, [likes.nnz] * 9))
    )
    model = MatrixFactorization("bpr", **FEW).fit(of(empty_rows, None, rows=3))
    assert_array_equal(np.sort(model.user_ids_), np.flatnonzero(liked.any(axis=1)))


# ---- errors ----


def broken(change):
    """Chunks of which the second one is changed."""

    def read(i):
        parts = pairs[i::3].astype(float), ratings[i::3].copy()
        return change(*parts) if i == 1 else parts

    return Chunks(read, 3)


def with_nan(pairs, ratings):
    ratings[3] = np.nan
    return pairs, ratings


def without_user(pairs, ratings):
    pairs[3, 0] = np.nan
    return pairs, ratings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_nan, "chunk 1: y must be finite"),
        (without_user, "chunk 1: user ids must not be missing"),
        (lambda X, y: (X, y[:-1]), "chunk 1: .*inconsistent numbers of samples"),
        (lambda X, y: X, "chunk 1: .* requires y to be passed"),
        (lambda X, y: (X[:, :1], y), "chunk 1: X is rows of 1 columns, before it was rows of 2"),
        (lambda X, y: (np.column_stack([X, y]), y), "chunk 1: X is rows of 3 columns"),
        (lambda X, y: sparse.csr_array(X), "chunk 1: X is a sparse matrix of 2 columns"),
        (lambda X, y: (X, y, y), "chunk 1: ratings have no sample_weight"),
    ],
)
def test_what_is_wrong_with_a_chunk_is_named(change, message):
    model = MatrixFactorization(**FEW).fit(pairs[:100], ratings[:100])
    before, users = dict(vars(model)), len(model.user_ids_)
    for use in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=message):
            use(broken(change))
        assert vars(model) == before and len(model.user_ids_) == users


def test_other_data_in_a_later_epoch(tmp_path):
    reads = []

    def read(i):
        reads.append(i)
        return pairs[i::3], ratings[i::3] + (len(reads) > 7 and i == 1)

    with pytest.raises(ValueError, match="chunk 1 is not what it was in the first pass"):
        MatrixFactorization(**FEW).fit(Chunks(read, 3))


def test_an_interrupt_leaves_the_last_complete_epoch():
    reads = []

    def read(i):
        reads.append(i)
        if len(reads) > 11:
            raise KeyboardInterrupt
        return pairs[i::3], ratings[i::3]

    model = MatrixFactorization(**FEW)
    with pytest.raises(KeyboardInterrupt):
        model.fit(Chunks(read, 3))
    assert (model.stop_reason_, model.n_iter_) == ("interrupted", 2)
    assert np.isfinite(model.predict(pairs)).all()


def test_arguments_are_checked():
    model = MatrixFactorization(**FEW)
    for use in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="give X alone"):
            use(of(), ratings)
        with pytest.raises(ValueError, match="chunk 0: .* requires y to be passed"):
            use(of(y=None))
        with pytest.raises(ValueError, match="All 2 chunks are empty"):
            use(Chunks(lambda i: (pairs[:0], ratings[:0]), 2))
    with pytest.raises(ValueError, match="chunk 0: Weights of interactions must be >= 0"):
        MatrixFactorization("bpr").fit(of(y=ratings - 100))
    with pytest.raises(ValueError, match="leaves none of 2 ratings"):
        MatrixFactorization(early_stopping=True, validation_fraction=0.9).fit(
            of(pairs[:2], ratings[:2], rows=1)
        )
    model.fit(of())
    with pytest.raises(ValueError, match="All chunks are empty"):
        model.score(Chunks(lambda i: (pairs[:0], ratings[:0]), 2))


def test_chunks_of_a_sparse_matrix_hold_its_stored_numbers():
    wide = sparse.csr_array((np.ones(1000), np.arange(1000), np.arange(1001)), (1000, 10**6))
    assert len(Chunks.of(wide)) == 1
