"""fastgd.dask: the models of rows in memory, on a cluster of processes, whatever happens to it."""

import inspect
import os
import pickle
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

import fastgd
from fastgd import Chunks
from fastgd.estimators.base import ON_DASK

pytest.importorskip("distributed")
pytest.importorskip("dask.dataframe")
import dask  # noqa: E402
import dask.array as da  # noqa: E402
import dask.dataframe as dd  # noqa: E402
import pandas  # noqa: E402
from distributed import Client, LocalCluster  # noqa: E402

import fastgd.dask as on_dask  # noqa: E402

RNG = np.random.default_rng(0)
N, P = 700, 6
X = RNG.standard_normal((N, P)) + RNG.standard_normal(P)
z = X @ RNG.standard_normal(P) + RNG.standard_normal(N)
z -= z.mean()
two, three = np.where(z > 0, "yes", "no"), np.digitize(z, [-1, 1])
weight = RNG.uniform(0, 2, N)
many = np.column_stack([z, z**2])

CASES = [
    ("LinearRegression", {}, z, None),
    ("Ridge", {}, many, weight),
    ("RidgeClassifier", {"class_weight": "balanced"}, three, weight),
    ("Lasso", {"alpha": 0.05}, z, None),
    ("ElasticNet", {"alpha": 0.05}, z, weight),
    ("LogisticRegression", {}, two, weight),
    ("LogisticRegression", {"class_weight": "balanced"}, three, None),
    ("LogisticRegression", {"C": 0.1, "l1_ratio": 0.5}, three, None),
    ("LinearSVC", {}, two, None),
    ("SGDClassifier", {"batch_size": "full"}, two, None),
    ("SGDRegressor", {"batch_size": "full", "loss": "huber"}, z, weight),
]


@pytest.fixture(scope="module")
def cluster():
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with LocalCluster(n_workers=2, **options) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        yield client


def lazy(array, rows=150):
    if array is None:
        return None
    chunks = (rows, *(4 for _ in array.shape[1:]))
    return da.from_array(array, chunks=chunks)


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: "-".join([case[0], *map(str, case[1].values())])
)
def test_the_same_model_as_in_memory(client, case):
    name, parameters, y, sample_weight = case
    own = getattr(fastgd, name)(**parameters).fit(X, y, sample_weight=sample_weight)
    model = getattr(on_dask, name)(**parameters).fit(lazy(X), lazy(y), lazy(sample_weight))
    size = np.abs(own.coef_).max()
    np.testing.assert_allclose(model.coef_, own.coef_, rtol=0, atol=1e-9 * size)
    assert (model.n_iter_, model.solver_) == (own.n_iter_, own.solver_)
    chunks = Chunks.of(X, y, sample_weight, chunk_rows=150)
    of_chunks = getattr(fastgd, name)(**parameters, n_jobs=1).fit(chunks)
    np.testing.assert_array_equal(model.coef_, of_chunks.coef_)
    assert model.score(lazy(X), lazy(y)) == pytest.approx(own.score(X, y), abs=1e-12)


def test_kinks_reach_the_tolerance_too(client):
    model = on_dask.LinearSVR().fit(lazy(X), lazy(z))
    assert model.converged_
    assert model.score(lazy(X), lazy(z)) == pytest.approx(
        fastgd.LinearSVR().fit(X, z).score(X, z), abs=1e-3
    )


def test_frames_labels_and_unknown_sizes(client):
    frame = pandas.DataFrame(X, columns=list("abcdef")).assign(label=two)
    frame.loc[300:, "label"] = "yes"  # a class may be missing in a partition
    frames = dd.from_pandas(frame, npartitions=5)
    frames = frames[frames.a > -10]  # unknown sizes
    model = on_dask.LogisticRegression().fit(frames[list("abcdef")], frames.label)
    own = fastgd.LogisticRegression().fit(frame[list("abcdef")], frame.label)
    np.testing.assert_allclose(model.coef_, own.coef_, rtol=1e-9)
    assert list(model.feature_names_in_) == list("abcdef")
    predicted = model.predict(frames[list("abcdef")])
    assert isinstance(predicted, dd.Series)
    np.testing.assert_array_equal(predicted.compute(), own.predict(frame[list("abcdef")]))


def test_sparse_blocks(client):
    rows = sparse.random(N, 20, density=0.2, format="csr", random_state=0)
    blocks = [dask.delayed(rows[i : i + 250]) for i in range(0, N, 250)]
    arrays = [
        da.from_delayed(block, (min(250, N - 250 * i), 20), meta=rows[:0])
        for i, block in enumerate(blocks)
    ]
    model = on_dask.Ridge().fit(da.concatenate(arrays), lazy(z, 250))
    np.testing.assert_allclose(model.coef_, fastgd.Ridge().fit(rows, z).coef_, rtol=1e-7)


def test_empty_partitions(client):
    chosen = X[:, 0] > 0.5
    chosen[150:300] = False
    given = lazy(X)[da.from_array(chosen, chunks=150)], lazy(z)[da.from_array(chosen, chunks=150)]
    model = on_dask.Ridge().fit(*given)
    np.testing.assert_allclose(model.coef_, fastgd.Ridge().fit(X[chosen], z[chosen]).coef_)


def test_predictions_are_lazy_and_know_their_type(client):
    model = on_dask.LogisticRegression().fit(lazy(X), lazy(three))
    own = model.to_local()
    assert type(own) is fastgd.LogisticRegression
    for name in ("predict", "predict_proba", "decision_function", "predict_log_proba"):
        found, expected = getattr(model, name)(lazy(X)), getattr(own, name)(X)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.compute(), expected)
        np.testing.assert_array_equal(getattr(model, name)(X), expected)


def test_few_rows_find_the_shortest_solution(client):
    model = on_dask.LinearRegression().fit(lazy(X[:5], 2), lazy(z[:5], 2))
    np.testing.assert_allclose(model.coef_, fastgd.LinearRegression().fit(X[:5], z[:5]).coef_)


def test_a_cluster_within_the_process():
    with LocalCluster(n_workers=2, processes=False, dashboard_address=":0") as cluster:
        with Client(cluster):
            model = on_dask.LogisticRegression().fit(lazy(X), lazy(two))
    own = fastgd.LogisticRegression().fit(X, two)
    np.testing.assert_allclose(model.coef_, own.coef_, rtol=1e-9)


def test_copies_carry_no_client(client):
    model = on_dask.LogisticRegression(C=2.0, client=client).fit(lazy(X), lazy(two))
    copy = pickle.loads(pickle.dumps(model))
    assert copy.client is None
    np.testing.assert_array_equal(copy.coef_, model.coef_)
    twin = clone(model)
    assert twin.client is None
    assert model.client is client
    assert twin.get_params() == model.get_params() | {"client": None}
    assert "client" not in model.to_local().get_params()


def test_a_client_that_is_not_the_current_one(cluster):
    with Client(cluster, set_as_default=False) as client:
        model = on_dask.LogisticRegression(client=client).fit(lazy(X), lazy(two))
    np.testing.assert_allclose(
        model.coef_, fastgd.LogisticRegression().fit(X, two).coef_, rtol=1e-9
    )


def test_streams(client):
    model, own = (
        of("log_loss", random_state=0) for of in (on_dask.SGDClassifier, fastgd.SGDClassifier)
    )
    model.partial_fit(lazy(X), lazy(two), classes=["no", "yes"])
    for begin in range(0, N, 150):
        rows = slice(begin, begin + 150)
        own.partial_fit(X[rows], two[rows], classes=["no", "yes"])
    np.testing.assert_array_equal(model.coef_, own.coef_)


# ---- what happens to workers ----


def slow_rows(i):
    time.sleep(0.05)
    return X[100 * i :][:100]


def test_lost_and_new_workers_change_nothing():
    parts = [da.from_delayed(dask.delayed(slow_rows)(i), (100, P), float) for i in range(7)]
    given = da.concatenate(parts), lazy(three, 100)
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with LocalCluster(n_workers=3, **options) as cluster, Client(cluster) as client:
        known = on_dask.LogisticRegression(tol=1e-10).fit(*given)
        for seed in range(3):
            pid = max(client.run(os.getpid).values())
            kill = threading.Timer(0.05 * (2 * seed + 1), os.kill, (pid, signal.SIGKILL))
            kill.start()
            model = on_dask.LogisticRegression(tol=1e-10).fit(*given)
            kill.join()
            np.testing.assert_array_equal(model.coef_, known.coef_)
        cluster.scale(4)
        model = on_dask.LogisticRegression(tol=1e-10).fit(*given)
        np.testing.assert_array_equal(model.coef_, known.coef_)


def test_data_that_cannot_be_made_again(client, tmp_path):
    """A partition that fails for good ends the fit with its own error."""

    def once(i):
        marker = tmp_path / f"{i}"
        if marker.exists():
            raise OSError("the source is gone")
        marker.touch()
        return X[100 * i :][:100]

    parts = [da.from_delayed(dask.delayed(once)(i), (100, P), float) for i in range(7)]
    with pytest.raises(OSError, match="the source is gone"):
        for _ in range(2):
            on_dask.Ridge().fit(da.concatenate(parts), lazy(z, 100))


# ---- errors ----


def test_a_plain_model_names_its_twin():
    with pytest.raises(TypeError, match=r"use fastgd\.dask\.Ridge"):
        fastgd.Ridge().fit(lazy(X), z)


def test_models_without_a_twin_name_none():
    with pytest.raises(TypeError, match=r"dask collection: give LassoCV X\.compute\(\)"):
        fastgd.LassoCV().fit(lazy(X), z)
    models = {kind for kind in vars(on_dask).values() if inspect.isclass(kind)}
    names = {kind.__name__ for kind in models if kind.__module__ == "fastgd.dask"}
    assert {name for name in names if hasattr(fastgd, name)} == set(ON_DASK)


def test_without_a_cluster():
    with pytest.raises(RuntimeError, match="needs a cluster"):
        on_dask.Ridge().fit(lazy(X), lazy(z))


def test_a_closed_client(cluster):
    closed = Client(cluster, set_as_default=False)
    closed.close()
    with pytest.raises(RuntimeError, match="client is closed"):
        on_dask.Ridge(client=closed).fit(lazy(X), lazy(z))


def test_what_is_wrong_with_a_partition_is_named(client):
    bad = X.copy()
    bad[200, 1] = np.nan
    model = on_dask.Ridge().fit(lazy(X), lazy(z))
    before = model.coef_
    with pytest.raises(ValueError, match="partition 1: .*NaN"):
        model.fit(lazy(bad), lazy(z))
    with pytest.raises(ValueError, match="same partitions"):
        model.fit(lazy(X), lazy(z, 100))
    uneven = da.concatenate([lazy(z)[:100], lazy(z)[:200]])
    with pytest.raises(ValueError, match="partition [01]: X has 150 rows, y has [12]00"):
        model.fit(lazy(X)[:300], uneven.rechunk(((100, 200),)))
    with pytest.raises(TypeError, match="y must be a dask array or data frame, got ndarray"):
        model.fit(lazy(X), z)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="partition 1: X is dense float32"):
            mixed = da.concatenate([lazy(X)[:150], lazy(X.astype("f"))[:150]], axis=0)
            parts = [da.from_delayed(dask.delayed(a), (150, P), float) for a in
                     (X[:150], X[150:300].astype(np.float32))]  # fmt: skip
            assert mixed.dtype == np.float64
            model.fit(da.concatenate(parts), lazy(z)[:300])
    with pytest.raises(ValueError, match="requires y to be passed"):
        model.fit(lazy(X))
    assert model.coef_ is before
