"""Fits over chunks: the models of rows in memory, whatever the chunks; clear errors."""

import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

import fastgd
from fastgd import Chunks
from fastgd.kernels.digest import checksum
from fastgd.problem.chunk_cache import Cache
from fastgd.problem.row_vectors import Site

RNG = np.random.default_rng(0)
N, P = 600, 7
X = RNG.standard_normal((N, P)) * 10 ** RNG.uniform(-1, 1, P) + RNG.standard_normal(P)
z = (X / X.std(axis=0)) @ RNG.standard_normal(P) + RNG.standard_normal(N)
z -= z.mean()
Y = np.column_stack([z, z**2])
two, three = np.where(z > 1, "yes", "no"), np.digitize(z, [-1, 1])
weight = RNG.uniform(0, 2, N)
weight[::7] = 0
rows_of_words = sparse.random(N, 30, density=0.1, format="csr", random_state=0)
of_words = rows_of_words @ RNG.standard_normal(30) + 0.1 * RNG.standard_normal(N)

# (model, parameters, X, y, sample_weight): the method is the same as in memory
SAME = [
    ("LinearRegression", {}, X, z, None),
    ("LinearRegression", {"fit_intercept": False}, X, Y, weight),
    ("LinearRegression", {"positive": True}, X, z, None),
    ("LinearRegression", {}, rows_of_words, of_words, None),
    ("Ridge", {"alpha": [1.0, 3.0]}, X, Y, weight),
    ("Ridge", {}, rows_of_words, of_words, None),
    ("Ridge", {}, X * 1e180, z, None),
    ("LogisticRegression", {}, X, two, weight),
    ("LogisticRegression", {"C": 10.0}, X, three, None),
    ("LogisticRegression", {"class_weight": "balanced"}, X, two, None),
    ("LogisticRegression", {"C": 0.1, "l1_ratio": 1.0}, X, two, None),
    ("LogisticRegression", {"C": 0.1, "l1_ratio": 0.5}, X, three, weight),
    ("LogisticRegression", {"batch_size": "full"}, rows_of_words, of_words > 0, None),
    ("Lasso", {"alpha": 0.05}, X, z, None),
    ("ElasticNet", {"alpha": 0.05}, X, Y, weight),
    ("Lasso", {"alpha": 0.001}, rows_of_words, of_words, None),
    ("LinearSVC", {}, X, two, None),
    ("SGDClassifier", {"batch_size": "full", "loss": "log_loss"}, X, three, weight),
    ("SGDRegressor", {"batch_size": "full"}, X, z, None),
]
# the method is another one, since that of rows in memory goes to them at random
OTHER = [
    ("LinearSVC", {"loss": "hinge"}, X, two, weight),
    ("LinearSVC", {"loss": "hinge"}, rows_of_words, of_words > 0, None),
    ("LinearSVR", {}, X, z, None),
    ("SGDClassifier", {"batch_size": "full"}, X, three, None),
    ("SGDRegressor", {"batch_size": "full", "loss": "quantile"}, X, z, None),
]


def name_of(case):
    return "-".join([case[0], *map(str, case[1].values())])


def of(X, y=None, sample_weight=None, rows=170, **parameters):
    return Chunks.of(X, y, sample_weight, chunk_rows=rows, **parameters)


def pair(case, rows):
    """(model fitted in memory, model fitted over chunks)"""
    kind, parameters, X, y, sample_weight = case
    if rows == 1:  # it takes a call each
        X, y = X[:150], y[:150]
        sample_weight = None if sample_weight is None else sample_weight[:150]
    models = [getattr(fastgd, kind)(**parameters) for _ in range(2)]
    models[0].fit(X, y, sample_weight=sample_weight)
    models[1].fit(of(X, y, sample_weight, rows))
    return models


@pytest.mark.parametrize("rows", [1, 170])
@pytest.mark.parametrize("case", SAME, ids=name_of)
def test_the_same_model_as_in_memory(case, rows):
    own, other = pair(case, rows)
    size = np.abs(own.coef_).max()
    np.testing.assert_allclose(other.coef_, own.coef_, rtol=0, atol=1e-9 * size)
    np.testing.assert_allclose(other.intercept_, own.intercept_, rtol=1e-8, atol=1e-9)
    assert (other.n_iter_, other.solver_) == (own.n_iter_, own.solver_)
    np.testing.assert_allclose(other.history_["loss"], own.history_["loss"], rtol=1e-9)


@pytest.mark.parametrize("case", OTHER, ids=name_of)
def test_other_methods_reach_the_tolerance_too(case):
    own, other = pair(case, 170)
    assert own.converged_ and other.converged_
    bounds = [
        (model.history_["loss"][-1], model.optimality_ * model.history_["loss"][0])
        for model in (own, other)
    ]
    (value, gap), (of_chunks, its_gap) = bounds
    assert abs(value - of_chunks) <= max(gap, its_gap, 1e-6 * abs(value))


def test_chunks_of_all_sizes_also_empty_ones():
    sizes = [0, 1, 250, 0, 0, 300, 49, 0]
    ends = np.cumsum(sizes)
    parts = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    chunks = Chunks(lambda i: (X[parts[i]], two[parts[i]], weight[parts[i]]), len(parts))
    model = fastgd.LogisticRegression().fit(chunks)
    whole = fastgd.LogisticRegression().fit(X, two, weight)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-9)


def test_a_class_may_be_missing_in_a_chunk():
    order = np.argsort(two)
    model = fastgd.LogisticRegression().fit(of(X[order], two[order], rows=50))
    whole = fastgd.LogisticRegression().fit(X[order], two[order])
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-9)


def test_bits_depend_neither_on_threads_nor_on_the_cache(tmp_path):
    models = [
        fastgd.LogisticRegression(n_jobs=threads, tol=1e-8).fit(of(X, two, weight, cache=cache))
        for threads, cache in ((1, None), (2, None), (2, tmp_path / "new" / "folder"))
    ]
    for model in models[1:]:
        np.testing.assert_array_equal(model.coef_, models[0].coef_)
        assert model.history_["loss"] == models[0].history_["loss"]


def test_sparse_chunks_in_a_cache(tmp_path):
    model = fastgd.Lasso(alpha=0.001).fit(of(rows_of_words, of_words, cache=tmp_path))
    again = fastgd.Lasso(alpha=0.001).fit(of(rows_of_words, of_words, cache=tmp_path))
    np.testing.assert_array_equal(model.coef_, again.coef_)
    plain = fastgd.Lasso(alpha=0.001).fit(of(rows_of_words, of_words))
    np.testing.assert_array_equal(model.coef_, plain.coef_)


@pytest.mark.parametrize(
    ("name", "parameters", "y"),
    [
        ("LogisticRegression", {}, two),
        ("LogisticRegression", {"C": 10.0}, three),
        ("LogisticRegression", {"l1_ratio": 1.0, "C": 3.0}, two),
        ("LinearSVC", {}, two),
        ("SGDClassifier", {"loss": "hinge", "batch_size": "full"}, two),
        ("SGDRegressor", {"loss": "huber", "batch_size": "full"}, z),
    ],
)
def test_lost_vectors_of_rows_are_made_again(name, parameters, y, monkeypatch):
    """As where a worker is lost: the bits are the same."""
    model = getattr(fastgd, name)(n_jobs=1, **parameters)
    if name == "LogisticRegression" and len(set(y)) == 2 and not parameters:
        assert fastgd.LogisticRegression().fit(X, y).solver_ == "newton-cholesky"
    chunks = Chunks.of(X, y, chunk_rows=170)
    known = clone(model).fit(chunks)
    run, lost, rng = Site.run, [], np.random.default_rng(0)

    def run_and_lose(self, chunk, *arguments):
        if rng.random() < 0.3:
            lost.append(self._values.pop(chunk.number, None))
        return run(self, chunk, *arguments)

    monkeypatch.setattr(Site, "run", run_and_lose)
    again = clone(model).fit(chunks)
    assert sum(map(bool, lost)) > 2
    assert again.n_iter_ == known.n_iter_
    np.testing.assert_array_equal(again.coef_, known.coef_)


def test_a_step_with_the_hessian_reads_the_rows_once():
    """One pass a gradient and its Hessian, after the first look."""
    reads = []

    def read(i):
        reads.append(i)
        return X[i * 200 :][:200], two[i * 200 :][:200]

    model = fastgd.LogisticRegression().fit(Chunks(read, 3))
    assert model.solver_ == "newton-cholesky"
    assert len(reads) == 3 * (model.n_iter_ + 1)


def test_the_cache_is_read_and_the_source_is_not(tmp_path):
    asked = []

    def read(i):
        asked.append(i)
        rows = slice(200 * i, 200 * i + 200)
        return X[rows], two[rows]

    fastgd.LogisticRegression().fit(Chunks(read, 3, cache=tmp_path))
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("model", [fastgd.Ridge(), fastgd.LogisticRegression(C=10.0)])
def test_a_first_chunk_unlike_the_others(model):
    """Its centre would shift the sums of squares so far that rounding takes their digits."""
    outlying, weights = X.copy(), np.ones(N)
    outlying[:150] += 1e8
    weights[:150] = 0
    y = z if isinstance(model, fastgd.Ridge) else two
    own = clone(model).fit(outlying, y, weights)
    model = clone(model).fit(of(outlying, y, weights, rows=150))
    np.testing.assert_allclose(model.coef_, own.coef_, rtol=1e-7)
    first = np.vstack([np.full((1, P), 1e6), X])
    value = np.append(z, 0.0)
    own = fastgd.LinearRegression().fit(first, value)
    sizes = np.array([0, 1, 301, 601])
    chunks = Chunks(lambda i: (first[sizes[i] : sizes[i + 1]], value[sizes[i] : sizes[i + 1]]), 3)
    np.testing.assert_allclose(fastgd.LinearRegression().fit(chunks).coef_, own.coef_, rtol=1e-5)


def test_two_fits_cannot_share_a_cache(tmp_path):
    model = fastgd.LogisticRegression()
    with pytest.raises(ValueError, match="was written by another fit"):
        model.fit(of(X, two, cache=tmp_path), X_val=of(X + 1, two, cache=tmp_path))


def damage(path, how, rng):
    """Change a file as disks, copies and people do."""
    content = bytearray(path.read_bytes())
    at = int(rng.integers(len(content)))
    if how == "a bit":
        content[at] ^= 1 << int(rng.integers(8))
    elif how == "a byte of the header":
        content[at % 80] ^= 1 + int(rng.integers(255))
    elif how == "truncated":
        content = content[:at]
    elif how == "noise":
        content = bytearray(rng.bytes(len(content)))
    path.unlink()
    if how != "removed":
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["a bit", "a byte of the header", "truncated", "noise", "removed"])
def test_damaged_caches_are_written_again(tmp_path, how):
    parquet = pytest.importorskip("pyarrow.parquet")
    from pyarrow import table

    columns = {f"x{j}": X[:, j] for j in range(P)} | {"z": z, "w": weight}
    parquet.write_table(table(columns), tmp_path / "rows.parquet", row_group_size=200)
    cache = tmp_path / "cache"
    chunks = Chunks.parquet(tmp_path / "rows.parquet", target="z", sample_weight="w", cache=cache)
    model = fastgd.Ridge().fit(chunks)
    rng, written = np.random.default_rng(0), {path: path.read_bytes() for path in cache.iterdir()}
    for path in sorted(written):
        if how == "removed" and path.suffix == ".json":
            continue  # without it, this is not known to be a cache
        damage(path, how, rng)
        np.testing.assert_array_equal(fastgd.Ridge().fit(chunks).coef_, model.coef_)
        assert {path: path.read_bytes() for path in cache.iterdir()} == written


@pytest.mark.parametrize("text", ["[1]", '{"sources": null}', '{"sources": 1, "files": 3}'])
def test_odd_descriptions_of_a_cache(tmp_path, text):
    fastgd.Ridge().fit(of(X, z, cache=tmp_path))
    (tmp_path / "fastgd-chunks.json").write_text(text)
    assert not Cache(tmp_path).holds("some sources")
    fastgd.Ridge().fit(of(X, z, cache=tmp_path))


def test_few_rows_find_the_shortest_solution():
    model = fastgd.LinearRegression().fit(of(X[:5], z[:5], rows=2))
    np.testing.assert_allclose(model.coef_, fastgd.LinearRegression().fit(X[:5], z[:5]).coef_)


def test_float32_stays_float32():
    model = fastgd.LogisticRegression().fit(of(X.astype(np.float32), two))
    assert model.coef_.dtype == np.float32
    whole = fastgd.LogisticRegression().fit(X.astype(np.float32), two)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-4)


def test_frames_give_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcdefg"))
    model = fastgd.Ridge().fit(Chunks(lambda i: (frame[i::2], z[i::2]), 2))
    assert list(model.feature_names_in_) == list("abcdefg")
    np.testing.assert_allclose(model.coef_, fastgd.Ridge().fit(X, z).coef_, rtol=1e-9)


def test_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    from pyarrow import table

    columns = {f"x{j}": X[:, j] for j in range(P)} | {"label": two, "w": weight}
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for number, path in enumerate(paths):
        part = {name: values[300 * number :][:300] for name, values in columns.items()}
        parquet.write_table(table(part), path, row_group_size=100)
    chunks = Chunks.parquet(paths, target="label", sample_weight="w")
    assert len(chunks) == 6
    model = fastgd.LogisticRegression().fit(pickle.loads(pickle.dumps(chunks)))
    whole = fastgd.LogisticRegression().fit(X, two, weight)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-9)
    assert list(model.feature_names_in_) == [f"x{j}" for j in range(P)]
    cached = Chunks.parquet(paths, target="label", sample_weight="w", cache=tmp_path / "cache")
    fastgd.LogisticRegression().fit(cached)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    again = fastgd.LogisticRegression().fit(cached)
    np.testing.assert_array_equal(again.coef_, model.coef_)
    assert list(again.classes_) == ["no", "yes"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == written
    part["label"] = part["label"][::-1]
    parquet.write_table(table(part), paths[1], row_group_size=100)
    changed = fastgd.LogisticRegression().fit(cached)
    fresh = Chunks.parquet(paths, target="label", sample_weight="w")
    np.testing.assert_array_equal(changed.coef_, fastgd.LogisticRegression().fit(fresh).coef_)
    assert np.abs(changed.coef_ - model.coef_).max() > 0.01
    assert model.score(fresh) > 0.5  # names do not warn
    np.concatenate(list(model.predict(fresh)))
    stream = fastgd.SGDClassifier().partial_fit(fresh, classes=["no", "yes"])
    assert list(stream.feature_names_in_) == [f"x{j}" for j in range(P)]
    turned = Chunks.parquet(paths, target="label", columns=[f"x{j}" for j in range(P)][::-1])
    for use in (model.score, lambda chunks: next(model.predict(chunks)), stream.partial_fit):
        with pytest.raises(ValueError, match="feature names should match"):
            use(turned)
    wrong = {"when": np.arange(9).astype("datetime64[s]"), "label": two[:9]}
    parquet.write_table(table(wrong), tmp_path / "wrong.parquet")
    with pytest.raises(ValueError, match="column 'when' holds timestamp"):
        fastgd.LogisticRegression().fit(Chunks.parquet(tmp_path / "wrong.parquet", target="label"))
    with pytest.raises(ValueError, match="has no columns \\['price'\\]"):
        Chunks.parquet(paths, target="price")


# ---- what else a fit does ----


def test_validation_chunks():
    model = fastgd.LogisticRegression()
    model.fit(of(X[:400], two[:400]), X_val=of(X[400:], two[400:]))
    whole = fastgd.LogisticRegression()
    whole.fit(X[:400], two[:400], X_val=X[400:], y_val=two[400:])
    for name in ("validation_loss", "validation_score"):
        np.testing.assert_allclose(model.history_[name], whole.history_[name], rtol=1e-9)


def test_a_warm_start_goes_on_bit_by_bit():
    parameters = {"loss": "log_loss", "batch_size": "full", "warm_start": True, "tol": 1e-9}
    chunks = of(X, three, weight)
    model = fastgd.SGDClassifier(**parameters, max_iter=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(chunks)
    model.set_params(max_iter=1000).fit(chunks)
    whole = fastgd.SGDClassifier(**parameters).fit(chunks)
    np.testing.assert_array_equal(model.coef_, whole.coef_)


def test_an_interrupt_leaves_the_last_complete_pass():
    reads = []

    def read(i):
        reads.append(i)
        if len(reads) > 9:
            raise KeyboardInterrupt
        rows = slice(200 * i, 200 * i + 200)
        return X[rows], three[rows]

    model = fastgd.LogisticRegression()
    with pytest.raises(KeyboardInterrupt):
        model.fit(Chunks(read, 3))
    assert model.stop_reason_ == "interrupted"
    assert len(model.history_["loss"]) == model.n_iter_
    model.predict(X)


def test_empty_chunks_have_no_predictions():
    model = fastgd.Ridge().fit(X, z)
    parts = [X[:0], X[:10], X[:0]]
    assert [len(part) for part in model.predict(Chunks(lambda i: parts[i], 3))] == [10]


def test_predictions_come_chunk_by_chunk():
    model = fastgd.LogisticRegression().fit(X, three)
    chunks = of(X, three, rows=250)
    for name in ("predict", "decision_function", "predict_proba", "predict_log_proba"):
        predict = getattr(model, name)
        parts = predict(chunks)
        first = next(parts)
        assert len(first) == 250
        together, whole = np.concatenate([first, *parts]), predict(X)
        if name == "predict":
            np.testing.assert_array_equal(together, whole)
        else:
            np.testing.assert_allclose(together, whole)
    assert model.score(chunks) == model.score(X, three)
    weighted = of(X, three, weight)
    assert model.score(weighted) == pytest.approx(model.score(X, three, weight))
    values = fastgd.Ridge().fit(X, Y)
    assert values.score(of(X, Y)) == pytest.approx(values.score(X, Y))


def test_streams_mix_pools_of_chunks():
    order = np.argsort(three, kind="stable")
    chunks = of(X[order], three[order], rows=20, shuffle=10, random_state=0)
    model = fastgd.SGDClassifier("log_loss", random_state=0)
    for _ in range(5):
        model.partial_fit(chunks, classes=[0, 1, 2])
    whole = fastgd.SGDClassifier("log_loss", random_state=0)
    for _ in range(5):
        whole.partial_fit(X, three, classes=[0, 1, 2])
    assert model.score(X, three) >= whole.score(X, three) - 0.03
    fastgd.SGDRegressor().partial_fit(of(X, z, weight))


def test_pools_have_each_chunk_once():
    chunks = Chunks(lambda i: np.full((1, 1), i), 7, shuffle=3, random_state=1)
    passes = [[i for pool in chunks.pools(number) for i in pool] for number in (0, 0, 1)]
    assert sorted(passes[0]) == list(range(7))
    assert passes[0] == passes[1] != passes[2]


# ---- errors ----


def broken(change):
    """Chunks of which the second one is changed."""

    def read(i):
        rows = slice(200 * i, 200 * i + 200)
        parts = X[rows].copy(), two[rows], weight[rows].copy()
        return change(*parts) if i == 1 else parts

    return Chunks(read, 3)


def with_nan(X, y, w):
    X[3, 2] = np.nan
    return X, y, w


def with_nan_weight(X, y, w):
    w[3] = np.nan
    return X, y, w


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_nan, "chunk 1: Input X contains NaN"),
        (with_nan_weight, "sample_weight: Input sample_weight contains NaN"),
        (lambda X, y, w: (X[:, :5], y, w), "chunk 1: X has 5 features"),
        (lambda X, y, w: (X, y[:-1], w), "chunk 1: .*inconsistent numbers of samples"),
        (lambda X, y, w: (X, y, w[:-1]), "chunk 1: .*inconsistent numbers of samples"),
        (lambda X, y, w: (X.astype(np.float32), y, w), "chunk 1: X is dense float32"),
        (lambda X, y, w: (sparse.csr_array(X), y, w), "chunk 1: X is sparse float64"),
        (lambda X, y, w: (X, y), "some chunks have sample_weight, others have none"),
        (lambda X, y, w: X, "some chunks have y, others have none"),
        (lambda X, y, w: (X, y, w, 1), "returned a tuple of 4"),
        (lambda X, y, w: (X.ravel(), y, w), "chunk 1: Expected 2D array"),
    ],
)
def test_what_is_wrong_with_a_chunk_is_named(change, message):
    model = fastgd.LogisticRegression().fit(X, two)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(broken(change))
    assert vars(model) == before


def test_other_data_in_a_later_pass():
    reads = []

    def read(i):
        reads.append(i)
        rows = slice(200 * i, 200 * i + 200)
        given = X[rows].copy()
        if len(reads) > 8 and i == 1:
            given[0, 0] += 1e-9
        return given, three[rows]

    with pytest.raises(ValueError, match="chunk 1 is not what it was in the first pass"):
        fastgd.LogisticRegression().fit(Chunks(read, 3))


def test_a_lost_source_keeps_its_own_error():
    def read(i):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone") as raised:
        fastgd.LogisticRegression().fit(Chunks(read, 3))
    assert raised.value.__notes__ == ["while chunk 0 of 3 was read"]


def test_arguments_are_checked():
    for arguments, message in (
        ((None, 3), "read must be a function"),
        ((len, 0), "n_chunks must be a positive integer"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            Chunks(*arguments)
    with pytest.raises(ValueError, match="shuffle must be"):
        Chunks(len, 3, shuffle=0)
    with pytest.raises(ValueError, match="X has 600 rows, y has 10"):
        Chunks.of(X, z[:10])
    with pytest.raises(ValueError, match="without y"):
        Chunks.of(X, None, weight)
    with pytest.raises(ValueError, match="chunk_rows must be"):
        Chunks.of(X, z, chunk_rows=0)
    with pytest.raises(ValueError, match="give X alone"):
        fastgd.Ridge().fit(of(X, z), z)
    with pytest.raises(ValueError, match="give X alone"):
        fastgd.SGDRegressor().partial_fit(of(X, z), z)
    with pytest.raises(ValueError, match="requires y to be passed"):
        fastgd.Ridge().fit(of(X))
    with pytest.raises(ValueError, match="requires y to be passed"):
        fastgd.Ridge().fit(X)
    with pytest.raises(ValueError, match="All 2 chunks are empty"):
        fastgd.Ridge().fit(Chunks(lambda i: (X[:0], z[:0]), 2))


def test_methods_that_need_random_access_say_so():
    with pytest.raises(ValueError, match="which chunks do not allow: choose another loss"):
        fastgd.SGDClassifier("hinge", penalty="l1").fit(of(X, three))


def test_automatic_steps_are_those_of_full_batches():
    model = fastgd.SGDClassifier("log_loss", tol=1e-6).fit(of(X, three))
    assert model.converged_
    exact = fastgd.SGDClassifier("log_loss", batch_size="full", tol=1e-9).fit(X, three)
    np.testing.assert_allclose(model.coef_, exact.coef_, atol=0.02)


STEPS = {"learning_rate": "constant", "eta0": 0.01, "max_iter": 5, "tol": None, "random_state": 0}


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", fastgd.GradientNoise("adam")])
@pytest.mark.parametrize("rows", [X, rows_of_words], ids=["dense", "sparse"])
def test_rules_by_full_batches_take_the_steps_of_memory(rows, optimizer):
    parameters = STEPS | {"batch_size": "full", "optimizer": optimizer, "average": 2}
    own = fastgd.SGDRegressor("huber", penalty="elasticnet", **parameters)
    own.fit(rows, z, sample_weight=weight)
    model = clone(own).fit(of(rows, z, weight))
    np.testing.assert_allclose(model.coef_, own.coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.history_["loss"], own.history_["loss"], rtol=1e-9)
    np.testing.assert_allclose(model.history_["gradient_norm"], own.history_["gradient_norm"])
    assert model.t_ == own.t_


@pytest.mark.parametrize("chunk_rows", [7, 150, 170])
@pytest.mark.parametrize("batch_size", [1, 30])
@pytest.mark.parametrize("rows", [X, rows_of_words], ids=["dense", "sparse"])
def test_mini_batches_in_the_order_of_memory(rows, batch_size, chunk_rows):
    """Without shuffling: also batches that have rows of several chunks."""
    parameters = STEPS | {"batch_size": batch_size, "shuffle": False}
    own = fastgd.SGDRegressor(**parameters).fit(rows, z)
    model = fastgd.SGDRegressor(**parameters).fit(of(rows, z, rows=chunk_rows))
    assert model.t_ == own.t_
    np.testing.assert_allclose(model.coef_, own.coef_, rtol=1e-9, atol=1e-12)
    # Single rows: the mean of the penalty is that of its values at the ends of each piece.
    rtol = 1e-4 if batch_size == 1 else 1e-9
    np.testing.assert_allclose(model.history_["loss"], own.history_["loss"], rtol=rtol)


def test_mini_batches_mix_pools_of_chunks():
    order = np.argsort(three, kind="stable")
    parameters = {"loss": "log_loss", "batch_size": 8, "learning_rate": "invscaling", "eta0": 0.1}
    parameters |= {"max_iter": 20, "tol": None, "random_state": 0}
    sizes = np.array([0, 40, 110, 111, 300, 450, 600])

    def read(i):
        rows = order[sizes[i] : sizes[i + 1]]
        return X[rows], three[rows], weight[rows]

    models = [
        fastgd.SGDClassifier(**parameters).fit(Chunks(read, 6, shuffle=3, random_state=1))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(models[0].coef_, models[1].coef_)
    whole = fastgd.SGDClassifier(**parameters).fit(X, three, sample_weight=weight)
    assert models[0].score(X, three, weight) > whole.score(X, three, weight) - 0.05


@pytest.mark.parametrize("rows", [X, rows_of_words], ids=["dense", "sparse"])
def test_early_stopping_holds_out_the_rows_of_memory(rows, tmp_path):
    parameters = {"batch_size": "full", "early_stopping": True, "random_state": 0}
    own = fastgd.SGDClassifier("log_loss", **parameters).fit(rows, three, sample_weight=weight)
    for cache in (None, tmp_path):
        chunks = of(rows, three, weight, rows=70, cache=cache)
        model = fastgd.SGDClassifier("log_loss", **parameters).fit(chunks)
        np.testing.assert_allclose(model.coef_, own.coef_, rtol=1e-6, atol=1e-9)
        for name in ("loss", "validation_loss", "validation_score"):
            np.testing.assert_allclose(model.history_[name], own.history_[name], rtol=1e-7)
        assert model.best_epoch_ == own.best_epoch_
    model.fit(of(X, two), X_val=X[:100], y_val=two[:100])
    assert "validation_score" in model.history_


def test_a_cache_overwrites_no_other_files(tmp_path):
    (tmp_path / "thesis.txt").write_text("the only copy")
    with pytest.raises(ValueError, match="with other files"):
        fastgd.Ridge().fit(of(X, z, cache=tmp_path))
    assert (tmp_path / "thesis.txt").exists()
    own = tmp_path / "cache"
    fastgd.Ridge().fit(of(X, z, cache=own))
    (own / "notes.txt").write_text("mine")
    fastgd.Ridge().fit(of(X, z, rows=200, cache=own))
    assert (own / "notes.txt").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        fastgd.Ridge().fit(of(X, z, cache=tmp_path / "file" / "folder"))


def test_chunks_of_a_closure_cannot_be_pickled():
    with pytest.raises(TypeError, match="use a function of a module"):
        pickle.dumps(Chunks(lambda i: X, 1))
    assert len(pickle.loads(pickle.dumps(of(X, z)))) == 4


@pytest.mark.parametrize("size", [0, 1, 63, 1023, 1024, 1025, 5000])
def test_a_checksum_shows_every_bit(size):
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    known = checksum(data)
    for at in range(0, size, max(size // 40, 1)):
        for bit in (1, 128):
            other = data.copy()
            other[at] ^= bit
            assert checksum(other) != known
    assert checksum(np.append(data, np.uint8(0))) != known
    assert checksum(data.copy()) == known


def test_a_checksum_shows_what_happens_to_rows():
    X = np.random.default_rng(0).standard_normal((5000, 3))
    changed = [X, -X, 2 * X, X[::-1], np.roll(X, 1, axis=0), np.roll(X, 1, axis=1), X + 0.0 * X]
    for i, j in [(0, 1), (0, 16), (7, 4000)]:
        two_signs, swapped = X.copy(), X.copy()
        two_signs[[i, j], 0] *= -1
        swapped[[i, j]] = swapped[[j, i]]
        changed += [two_signs, swapped]
    sums = [checksum(np.ascontiguousarray(Y).reshape(-1).view(np.uint8)) for Y in changed]
    assert sums[6] == sums[0]
    assert len(set(sums)) == len(sums) - 1
