"""Networks over chunks: the steps of rows in memory, at the memory of a pool."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

import fastgd
from fastgd import Chunks, MLPClassifier, MLPRegressor
from fastgd.callbacks import Checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
N, P = 400, 6
X = RNG.standard_normal((N, P)) * 10 ** RNG.uniform(-1, 1, P) + RNG.standard_normal(P)
z = np.sin(X / X.std(axis=0)) @ RNG.standard_normal(P) + 0.1 * RNG.standard_normal(N)
Y = np.column_stack([z, 100 * z**2])
two, three = np.where(z > 0, "yes", "no"), np.digitize(z, [-1, 1])
several = np.column_stack([z > 0, z > 1, z < -1]).astype(int)
counts = np.exp(z).round()
weight = RNG.uniform(0, 2, N)
weight[::7] = 0
rows_of_words = sparse.random(N, 30, density=0.1, format="csr", random_state=0)
FEW = {"hidden_layer_sizes": (8,), "max_iter": 6, "tol": None, "random_state": 0}


def of(X, y=None, sample_weight=None, rows=130, **parameters):
    return Chunks.of(X, y, sample_weight, chunk_rows=rows, **parameters)


def assert_same(model, own, rtol=1e-6):
    """The same weights and history, up to rounding."""
    size = max(np.abs(W).max() for W in own.coefs_)
    for W, V in zip(
        [*model.coefs_, *model.intercepts_], [*own.coefs_, *own.intercepts_], strict=True
    ):
        assert_allclose(W, V, rtol=0, atol=rtol * size)
    for name in ("loss", "gradient_norm", "learning_rate"):
        assert_allclose(model.history_[name], own.history_[name], rtol=rtol)
    assert (model.t_, model.alpha_, model.n_iter_) == (own.t_, own.alpha_, own.n_iter_)


CASES = [
    (MLPClassifier, {}, X, two, weight),
    (MLPClassifier, {"class_weight": "balanced"}, X, three, None),
    (MLPClassifier, {"solver": "adam"}, X, several, None),
    (MLPClassifier, {"class_weight": {"no": 3.0}}, rows_of_words, two, None),
    (MLPRegressor, {}, X, z, None),
    (MLPRegressor, {}, X, Y, weight),
    (MLPRegressor, {"loss": "poisson"}, X, counts, None),
    (MLPRegressor, {"loss": "huber", "solver": "sgd"}, X, z, None),
    (MLPRegressor, {"solver": "adamw", "alpha": 0.1}, rows_of_words, z, weight),
]


@pytest.mark.parametrize("rows", [1, 130])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}")
def test_mini_batches_in_the_order_of_memory(case, rows):
    """Without shuffling, with batches that have rows of several chunks."""
    kind, parameters, X, y, sample_weight = case
    own = kind(**FEW, batch_size=50, shuffle=False, **parameters).fit(X, y, sample_weight)
    assert_same(clone(own).fit(of(X, y, sample_weight, rows)), own)


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "sgd", "adam", "adamw"])
@pytest.mark.parametrize("rows", [X, rows_of_words], ids=["dense", "sparse"])
def test_full_batches_are_those_of_memory(rows, solver):
    """The gradient is summed over chunks: L-BFGS works too."""
    parameters = {"batch_size": "full", "solver": solver, "alpha": 0.1}
    own = MLPRegressor(**FEW, **parameters).fit(rows, z, weight)
    assert_same(clone(own).fit(of(rows, z, weight, shuffle=2)), own)


@pytest.mark.parametrize("parameters", [{}, {"solver": "adam", "learning_rate_init": 0.01}])
def test_all_chunks_at_a_time_reach_the_loss_of_memory(parameters):
    X, y = load_digits(return_X_y=True)
    order = np.argsort(y, kind="stable")  # chunks of one class, two at most
    X, y = X[order], y[order]
    own = MLPClassifier(max_iter=12, random_state=0, **parameters).fit(X[::2], y[::2])
    model = clone(own).fit(of(X[::2], y[::2], rows=80, shuffle=12))
    assert model.loss_ < 1.15 * own.loss_
    assert model.score(X[1::2], y[1::2]) > own.score(X[1::2], y[1::2]) - 0.015
    few = clone(own).fit(of(X[::2], y[::2], rows=80, shuffle=6))
    assert few.score(X[1::2], y[1::2]) > own.score(X[1::2], y[1::2]) - 0.03


def test_the_same_seed_gives_the_same_bits(tmp_path):
    parameters = {"batch_size": 20, "dropout": 0.2}
    caches = (None, tmp_path, None)
    models = [
        MLPClassifier(**FEW, **parameters).fit(of(X, three, weight, 40, shuffle=3, cache=cache))
        for cache in caches
    ]
    models.append(pickle.loads(pickle.dumps(models[0])))
    for model in models[1:]:
        assert_array_equal(model.coefs_[0], models[0].coefs_[0])
        assert_array_equal(model.predict(X), models[0].predict(X))
    other = clone(models[0]).set_params(random_state=1).fit(of(X, three, weight, 40, shuffle=3))
    assert np.abs(other.coefs_[0] - models[0].coefs_[0]).max() > 0


@pytest.mark.parametrize("batch_size", [20, "full"])
def test_pools_and_chunks_drop_other_units(batch_size):
    """Two chunks with the same rows would else have the same gradient."""
    twice, y = np.vstack([X[:40], X[:40]]), np.append(z[:40], z[:40])
    parameters = FEW | {"max_iter": 1, "dropout": 0.5, "batch_size": batch_size, "solver": "sgd"}
    once = MLPRegressor(**parameters, shuffle=False).fit(of(X[:40], z[:40], rows=40))
    both = clone(once).fit(of(twice, y, rows=40))
    assert both.history_["gradient_norm"] != once.history_["gradient_norm"]


def test_memory_is_that_of_a_pool():
    """20 MB in chunks of 0.5 MB."""

    def read(i):
        rng = np.random.default_rng(i)
        X = rng.standard_normal((1250, 50))
        return X, X[:, 0] > 0

    chunks = Chunks(read, 40, shuffle=2)
    parameters = {"hidden_layer_sizes": (5,), "max_iter": 2, "random_state": 0}
    for more in ({}, {"solver": "lbfgs"}, {"early_stopping": True}):
        model = MLPClassifier(**parameters, **more)
        tracemalloc.start()
        model.fit(chunks)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 7e6
    tracemalloc.start()
    model.score(chunks)
    MLPClassifier(**parameters).partial_fit(chunks, classes=[0, 1])
    assert tracemalloc.get_traced_memory()[1] < 7e6
    tracemalloc.stop()


@pytest.mark.parametrize(("solver", "more"), [("auto", 2), ("adam", 1), ("sgd", 1)])
def test_an_epoch_reads_each_chunk_once(solver, more):
    asked = []

    def read(i):
        asked.append(i)
        return X[i::4], three[i::4]

    MLPClassifier(**FEW, solver=solver).fit(Chunks(read, 4, shuffle=3))
    assert np.bincount(asked).tolist() == [6 + more] * 4


def test_classes_that_chunks_lack_and_chunks_without_rows():
    order = np.argsort(three, kind="stable")
    ends = [0, 0, 1, 90, 90, 300, N]
    parts = [order[begin:end] for begin, end in zip(ends[:-1], ends[1:], strict=True)]
    chunks = Chunks(lambda i: (X[parts[i]], three[parts[i]]), len(parts), shuffle=6)
    model = MLPClassifier(**FEW).fit(chunks)
    assert_array_equal(model.classes_, [0, 1, 2])
    assert model.score(chunks) == model.score(X, three)
    stream, whole = MLPClassifier(**FEW), MLPClassifier(**FEW)
    for _ in range(20):
        stream.partial_fit(chunks, classes=[0, 1, 2])
        whole.partial_fit(X, three, classes=[0, 1, 2])
    assert stream.score(X, three) > whole.score(X, three) - 0.03
    assert_array_equal(np.concatenate(list(stream.predict(chunks))), stream.predict(X[order]))


def test_predictions_come_chunk_by_chunk():
    model = MLPClassifier(**FEW).fit(X, three)
    chunks = of(X, three, rows=150)
    for name in ("predict", "predict_proba", "predict_log_proba"):
        parts = getattr(model, name)(chunks)
        first = next(parts)
        assert len(first) == 150
        assert_allclose(np.concatenate([first, *parts]), getattr(model, name)(X), rtol=1e-12)
    assert model.score(of(X, three, weight)) == pytest.approx(model.score(X, three, weight))
    values = MLPRegressor(**FEW).fit(X, Y)
    assert values.score(of(X, Y)) == pytest.approx(values.score(X, Y))
    labels = MLPClassifier(**FEW).fit(of(X, several))
    assert labels.score(of(X, several)) == labels.score(X, several)


def test_sparse_labels_in_chunks():
    own = MLPClassifier(**FEW, shuffle=False).fit(X, several)
    parts = [slice(0, 100), slice(100, N)]
    model = clone(own).fit(Chunks(lambda i: (X[parts[i]], sparse.csr_array(several[parts[i]])), 2))
    assert_same(model, own)


def test_frames_give_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcdef"))
    parts = [slice(0, 100), slice(100, N)]
    model = MLPRegressor(**FEW, shuffle=False)
    model.fit(Chunks(lambda i: (frame[parts[i]], z[parts[i]]), 2))
    assert list(model.feature_names_in_) == list("abcdef")
    assert_same(model, clone(model).fit(X, z))
    stream = MLPRegressor(**FEW)
    stream.partial_fit(Chunks(lambda i: (frame[parts[i]], z[parts[i]]), 2))
    assert list(stream.feature_names_in_) == list("abcdef")
    turned = Chunks(lambda i: (frame[parts[i]][list("fedcba")], z[parts[i]]), 2)
    for use in (stream.partial_fit, model.score):
        with pytest.raises(ValueError, match="chunk 0: The feature names should match"):
            use(turned)


# ---- what else a fit does ----


def test_early_stopping_on_chunks():
    parameters = FEW | {"early_stopping": True, "shuffle": False, "max_iter": 10}
    own = MLPClassifier(**parameters).fit(X, three)
    model = clone(own).fit(of(X, three))  # the rows held out are those of memory
    for name in ("loss", "validation_loss", "validation_score"):
        assert_allclose(model.history_[name], own.history_[name], rtol=1e-6)
    assert model.best_epoch_ == own.best_epoch_
    own = clone(own).fit(X[:300], three[:300], X_val=X[300:], y_val=three[300:])
    model = clone(own).fit(of(X[:300], three[:300]), X_val=of(X[300:], three[300:], rows=30))
    for name in ("loss", "validation_loss", "validation_score"):
        assert_allclose(model.history_[name], own.history_[name], rtol=1e-6)


def test_a_stalled_loss_ends_training():
    model = MLPRegressor(tol=1e3, n_iter_no_change=2, random_state=0).fit(of(X, z))
    assert (model.stop_reason_, model.n_iter_) == ("plateau", 4)
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        late = clone(model).set_params(tol=0.0, max_seconds=1e-9).fit(of(X, z))
    assert (late.stop_reason_, late.n_iter_) == ("max_seconds", 1)


@pytest.mark.parametrize("solver", ["auto", "adam", "lbfgs"])
def test_a_warm_start_goes_on_bit_by_bit(solver):
    chunks = of(X, three, weight, rows=60, shuffle=2)
    model = MLPClassifier(**FEW, solver=solver, batch_size=50, warm_start=True)
    whole = clone(model).set_params(max_iter=12).fit(chunks)
    model = pickle.loads(pickle.dumps(model.fit(chunks))).fit(chunks)
    assert_array_equal(model.coefs_[0], whole.coefs_[0])
    assert model.history_["loss"] == whole.history_["loss"]
    model.fit(of(X[:200], three[:200]))  # from the weights
    with pytest.raises(ValueError, match="the same classes"):
        model.fit(of(X, two))


def test_callbacks_follow_the_epochs(tmp_path):
    model = MLPClassifier(**FEW, warm_start=True).set_callbacks(
        Checkpoint(tmp_path / "latest.pickle")
    )
    model.fit(of(X, three))
    latest = pickle.loads((tmp_path / "latest.pickle").read_bytes())
    assert_array_equal(latest.predict(X), model.predict(X))


def test_an_interrupt_leaves_the_last_complete_epoch():
    reads = []

    def read(i):
        reads.append(i)
        if len(reads) > 14:
            raise KeyboardInterrupt
        rows = slice(100 * i, 100 * i + 100)
        return X[rows], three[rows]

    model = MLPClassifier(**FEW)
    with pytest.raises(KeyboardInterrupt):
        model.fit(Chunks(read, 4))
    assert (model.stop_reason_, model.n_iter_) == ("interrupted", 1)
    model.predict(X)


# ---- errors ----


def broken(change):
    """Chunks of which the second one is changed."""

    def read(i):
        rows = slice(100 * i, 100 * i + 100)
        parts = X[rows].copy(), three[rows], weight[rows]
        return change(*parts) if i == 1 else parts

    return Chunks(read, 4, shuffle=2)


def with_nan(X, y, w):
    X[3, 2] = np.nan
    return X, y, w


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_nan, "chunk 1: Input X contains NaN"),
        (lambda X, y, w: (X[:, :5], y, w), "chunk 1: X has 5 features"),
        (lambda X, y, w: (X, y[:-1], w), "chunk 1: .*inconsistent numbers of samples"),
        (lambda X, y, w: (X, y), "some chunks have sample_weight, others have none"),
    ],
)
def test_what_is_wrong_with_a_chunk_is_named(change, message):
    model = MLPClassifier(**FEW).fit(X, three)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(broken(change))
    assert vars(model) == before
    for kind in (MLPClassifier(**FEW), fastgd.SGDClassifier("log_loss")):
        with pytest.raises(ValueError, match=message):
            kind.partial_fit(broken(change), classes=[0, 1, 2])
        assert "classes_" not in vars(kind)


def test_other_data_in_a_later_epoch():
    reads = []

    def read(i):
        reads.append(i)
        rows = slice(100 * i, 100 * i + 100)
        given = X[rows].copy()
        given[0, 0] += 1e-9 * (len(reads) > 9 and i == 1)
        return given, three[rows]

    with pytest.raises(ValueError, match="chunk 1 is not what it was in the first pass"):
        MLPClassifier(**FEW).fit(Chunks(read, 4))


def test_arguments_are_checked():
    for model in (MLPClassifier(**FEW), MLPRegressor(**FEW)):
        for use in (model.fit, model.partial_fit):
            with pytest.raises(ValueError, match="requires y to be passed"):
                use(X)
            with pytest.raises(ValueError, match="give X alone"):
                use(of(X, z), z)
        with pytest.raises(ValueError, match="requires y to be passed"):
            model.fit(of(X))
        with pytest.raises(ValueError, match="All 2 chunks are empty"):
            model.fit(Chunks(lambda i: (X[:0], z[:0]), 2))
    with pytest.raises(ValueError, match="cannot follow"):
        MLPClassifier(solver="lbfgs", dropout=0.1).fit(of(X, three))


def test_a_divergence_names_the_column():
    large = X.copy()
    large[:, 2] *= 1e8
    model = MLPRegressor(**FEW, solver="sgd", learning_rate_init=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="largest value of column 2 of X"):
            model.fit(of(large, z))
