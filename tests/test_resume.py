"""With warm_start a fit in which nothing has changed goes on exactly, from the very file that a
killed process has left.
"""

import pickle
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone, is_classifier

import fastgd
from fastgd import (
    Adaptive,
    Checkpoint,
    CosineDecay,
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LogisticRegression,
    MatrixFactorization,
    MLPClassifier,
    MLPRegressor,
    Perceptron,
    PoissonRegressor,
    SGDClassifier,
    SGDOneClassSVM,
    SGDRegressor,
    TweedieRegressor,
)
from fastgd.estimators.resumption import fingerprint
from fastgd.kernels.digest import xxh64
from reference import RULES, store

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SHARED = {"random_state": 3, "tol": 1e-13, "warm_start": True}
BY_HAND = {
    **SHARED,
    "tol": None,
    "learning_rate": "invscaling",
    "eta0": 0.05,
    "penalty": "elasticnet",
    "alpha": 0.01,
}
METHODS = {  # all ways of training, each asked for by the parameters that lead to it
    "implicit steps, then SAGA": SGDClassifier("log_loss", **SHARED),
    "SAGA with L1": SGDClassifier(
        "squared_hinge", penalty="elasticnet", alpha=0.01, batch_size=4, **SHARED
    ),
    "SAGA of kinks": SGDClassifier("hinge", alpha=0.01, batch_size=4, **{**SHARED, "tol": 1e-4}),
    "SAGA of kinks with L1, all rows a batch": SGDClassifier(
        "hinge", penalty="l1", alpha=0.01, batch_size="full", **SHARED
    ),
    "Newton": SGDClassifier("softmax", alpha=1e-3, batch_size="full", **SHARED),
    "Newton, dense metric": LogisticRegression(tol=1e-13, warm_start=True),
    "rounded kinks": SGDClassifier(
        "hinge", alpha=0.01, batch_size="full", **{**SHARED, "tol": 1e-9}
    ),
    "proximal Newton": SGDClassifier(
        "log_loss", penalty="l1", alpha=1e-3, batch_size="full", **SHARED
    ),
    "proximal Newton, matrices": LogisticRegression(l1_ratio=0.5, tol=1e-13, warm_start=True),
    "SAGA, weights >= 0": SGDClassifier("log_loss", positive=True, batch_size=4, **SHARED),
    "proximal Newton, weights >= 0": SGDClassifier(
        "log_loss", positive=True, batch_size="full", penalty=None, **SHARED
    ),
    "mini-batches": SGDClassifier("log_loss", batch_size=7, optimizer="adam", **BY_HAND),
    "full batches": SGDClassifier("log_loss", batch_size="full", optimizer="nesterov", **BY_HAND),
    "single rows, averaged": SGDClassifier("log_loss", average=60, **BY_HAND),
    "early stopping": SGDClassifier(
        "log_loss", early_stopping=True, validation_fraction=0.3, **BY_HAND
    ),
}
NETWORK = {"hidden_layer_sizes": (4,), "warm_start": True, "tol": 1e-9, "random_state": 3}
OTHERS = {  # whose classes or targets are of another kind
    "one class": SGDOneClassSVM(0.9, **{**SHARED, "tol": 1e-9}),
    "one class, by hand": SGDOneClassSVM(
        0.3, learning_rate="constant", batch_size=7, average=20, **{**SHARED, "tol": None}
    ),
    "network": MLPClassifier(**NETWORK),
    "network, all rows a batch": MLPClassifier(batch_size="full", **NETWORK),
    "network of values": MLPRegressor(batch_size=7, **NETWORK),
    "network, momentum": MLPClassifier(
        solver="sgd", learning_rate="invscaling", batch_size=7, **NETWORK
    ),
    "network, adaptive": MLPRegressor(
        solver="sgd", learning_rate="adaptive", n_iter_no_change=1, **{**NETWORK, "tol": 0.1}
    ),
    "network, adam": MLPClassifier(solver="adam", dropout=0.2, **NETWORK),
    "network, early stopping": MLPClassifier(
        early_stopping=True, validation_fraction=0.3, n_iter_no_change=50, **NETWORK
    ),
    "network, lines": MLPRegressor(solver="lbfgs", **NETWORK),
    "perceptron": Perceptron(penalty="l2", **{**SHARED, "tol": None}),
}
FAST = [  # that converge within a few passes
    PoissonRegressor(tol=1e-14, warm_start=True),
    GammaRegressor(tol=1e-14, warm_start=True),
    TweedieRegressor(power=1.5, link="log", tol=1e-14, warm_start=True),
    HuberRegressor(tol=1e-14, warm_start=True),
]
RATES = [
    "constant",
    "invscaling",
    "optimal",
    "adaptive",
    "step",
    "lipschitz",
    CosineDecay(0.1, epochs=9),
    Adaptive(0.1, factor=2),
]


def loaded(model):
    return pickle.loads(pickle.dumps(model))


def assert_same_training(model, other):
    for part, same in zip(model._learnt(), other._learnt(), strict=True):
        assert_array_equal(part, same)
    assert model.t_ == other.t_
    for name in set(model.history_) - {"seconds"}:
        assert model.history_[name] == other.history_[name]
    assert (model.stop_reason_, getattr(model, "optimality_", None)) == (
        other.stop_reason_,
        getattr(other, "optimality_", None),
    )


@pytest.mark.parametrize("keep", [loaded, lambda model: model], ids=["loaded", "kept"])
@pytest.mark.parametrize("epochs", [1, 2, 5])
@pytest.mark.parametrize("name", METHODS)
def test_fits_in_pieces_are_one_fit(name, epochs, keep, data, layout):
    X = store(data.X, layout)
    whole = clone(METHODS[name]).set_params(max_iter=epochs + 4).fit(X, data.classes)
    pieces = clone(METHODS[name]).set_params(max_iter=epochs).fit(X, data.classes)
    pieces = keep(pieces).set_params(max_iter=1).fit(X, data.classes)
    assert pieces.n_iter_ == 1
    pieces = keep(pieces).set_params(max_iter=3).fit(X, data.classes)
    assert len(pieces.history_["loss"]) == epochs + 4 or pieces.stop_reason_ == "tol"
    assert_same_training(pieces, whole)


def targets(model, data):
    if isinstance(model, PoissonRegressor | GammaRegressor | TweedieRegressor):
        return np.exp(data.values / np.std(data.values))
    return data.classes if is_classifier(model) else data.values


@pytest.mark.parametrize("keep", [loaded, lambda model: model], ids=["loaded", "kept"])
@pytest.mark.parametrize("epochs", [1, 4])
@pytest.mark.parametrize("name", OTHERS)
def test_all_others_go_on_too(name, epochs, keep, data, layout, dtype):
    X, y = store(data.X, layout, dtype), targets(OTHERS[name], data)
    whole = clone(OTHERS[name]).set_params(max_iter=epochs + 4).fit(X, y)
    pieces = (
        keep(clone(OTHERS[name]).set_params(max_iter=epochs).fit(X, y))
        .set_params(max_iter=1)
        .fit(X, y)
    )
    assert pieces.n_iter_ == 1
    pieces = keep(pieces).set_params(max_iter=3).fit(X, y)
    assert len(pieces.history_["loss"]) == epochs + 4
    assert_same_training(pieces, whole)


@pytest.mark.parametrize("keep", [loaded, lambda model: model], ids=["loaded", "kept"])
@pytest.mark.parametrize("model", FAST, ids=lambda model: type(model).__name__)
def test_those_that_converge_fast_go_on_too(model, keep, data, layout, dtype):
    X, y = store(data.X, layout, dtype), targets(model, data)
    whole = clone(model).set_params(max_iter=4).fit(X, y)
    pieces = keep(clone(model).set_params(max_iter=1).fit(X, y)).fit(X, y)
    pieces = keep(pieces).set_params(max_iter=2).fit(X, y)
    assert len(pieces.history_["loss"]) == 4
    assert_same_training(pieces, whole)


def test_every_estimator_that_has_warm_start_is_among_these():
    kinds = {
        getattr(fastgd, name) for name in fastgd.__all__ if isinstance(getattr(fastgd, name), type)
    }
    tested = {type(model) for model in (*METHODS.values(), *OTHERS.values())} | {
        SGDRegressor,
        Lasso,
        ElasticNet,
    }
    tested |= {type(model) for model in FAST}
    tested |= {MatrixFactorization}  # of ratings: in test_recommender.py
    assert {
        kind for kind in kinds if "warm_start" in getattr(kind, "_parameter_constraints", ())
    } == tested


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "perceptron"])  # long steps
def test_a_changed_parameter_leaves_the_others_their_weights_alone(name, data):
    y = targets(OTHERS[name], data)
    model = clone(OTHERS[name]).set_params(max_iter=4).fit(data.X, y)
    before = [part.copy() for part in model._learnt()]
    change = {"nu": 0.31} if "nu" in model.get_params() else {"alpha": 0.01}
    model.set_params(max_iter=1, tol=None, **change).fit(data.X, y)
    once = clone(model).fit(data.X, y)
    assert (len(model.history_["loss"]), model.n_iter_) == (1, 1)
    assert model.t_ <= once.t_
    assert all(
        np.abs(part - was).max() < 2.0 for part, was in zip(model._learnt(), before, strict=True)
    )
    assert any(
        (part != other).any() for part, other in zip(model._learnt(), once._learnt(), strict=True)
    )


# ---- restarts ----

RESTARTS = {
    "by hand": SGDRegressor(
        learning_rate="constant", eta0=1e-3, n_restarts=3, **{**SHARED, "tol": None}
    ),
    "to plateaus": SGDRegressor(
        learning_rate="constant",
        eta0=0.05,
        batch_size=5,
        n_restarts=3,
        n_iter_no_change=2,
        **{**SHARED, "tol": 1e-3},
    ),
    "auto": SGDRegressor(n_restarts=2, **SHARED),
    "cosine": SGDRegressor(
        learning_rate=CosineDecay(0.01, epochs=9), n_restarts=2, **{**SHARED, "tol": None}
    ),
}


@pytest.mark.parametrize("keep", [loaded, lambda model: model], ids=["loaded", "kept"])
@pytest.mark.parametrize("epochs", [1, 2, 5])
@pytest.mark.parametrize("name", RESTARTS)
def test_all_runs_of_a_fit_with_restarts_go_on(name, epochs, keep, data):
    whole = clone(RESTARTS[name]).set_params(max_iter=epochs + 4).fit(data.X, data.values)
    pieces = keep(clone(RESTARTS[name]).set_params(max_iter=epochs).fit(data.X, data.values))
    for more in 1, 3:
        pieces = keep(pieces.set_params(max_iter=more).fit(data.X, data.values))
    assert_same_training(pieces, whole)


def test_another_run_may_overtake_the_best_one(data):
    """What goes on from the best one alone misses it."""
    X, y = data.X, data.values
    model = SGDRegressor(
        learning_rate="constant",
        eta0=0.3,
        n_restarts=8,
        **{**SHARED, "tol": None, "random_state": 1},
    )
    leaders = []
    for epochs in range(1, 8):
        coef = clone(model).set_params(max_iter=epochs).fit(X, y).coef_
        pieces = clone(model).set_params(max_iter=1)
        for _ in range(epochs):
            pieces.fit(X, y)
        assert_array_equal(pieces.coef_, coef)
        leaders.append(pieces._resumption.best)
    assert len(set(leaders)) > 1


@pytest.mark.parametrize("name", RESTARTS)
def test_a_checkpoint_amid_restarts_goes_on(name, data, tmp_path):
    path = tmp_path / "model"
    copies = Copies(path)
    whole = (
        clone(RESTARTS[name])
        .set_params(max_iter=6)
        .set_callbacks(Checkpoint(path), copies)
        .fit(data.X, data.values)
    )
    assert_same_training(
        whole, clone(RESTARTS[name]).set_params(max_iter=6).fit(data.X, data.values)
    )
    for number, model in enumerate(copies.models[:-1], 1):
        assert len(model.history_["loss"]) == number
        assert_same_training(model.set_params(max_iter=6 - number).fit(data.X, data.values), whole)


@pytest.mark.parametrize("average", [False, 100])
@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_and_rate_goes_on(rule, rate, average, data):
    model = SGDRegressor(
        optimizer=rule,
        learning_rate=rate,
        average=average,
        batch_size=5,
        alpha=0.3,
        eta0=0.02,
        max_iter=9,
        tol=1e-3,
        n_iter_no_change=2,
        random_state=np.random.RandomState(0),
        warm_start=True,
    )
    whole = clone(model).fit(data.X, data.pairs)
    pieces = clone(model).set_params(max_iter=max(whole.n_iter_ - 3, 1)).fit(data.X, data.pairs)
    pieces = loaded(pieces).set_params(max_iter=min(3, whole.n_iter_ - 1)).fit(data.X, data.pairs)
    if whole.stop_reason_ == "plateau":  # one epoch more or less would have been another training
        assert pieces.stop_reason_ in ("plateau", "max_iter")
    assert_array_equal(pieces.coef_, whole.coef_)
    assert pieces.t_ == whole.t_


def test_named_regressions_go_on(data, dtype):
    wide = sparse.random_array((40, 300), density=0.2, random_state=0, format="csr", dtype=dtype)
    lasso = Lasso(alpha=0.01, batch_size="full")
    for model, X in (lasso, data.X), (ElasticNet(alpha=0.01), wide):
        y = data.values[: X.shape[0]]
        model.set_params(warm_start=True, tol=1e-14)
        whole = clone(model).fit(X, y)
        assert whole.n_iter_ > 2
        pieces = loaded(model.set_params(max_iter=whole.n_iter_ - 2).fit(X, y))
        assert_same_training(pieces.set_params(max_iter=2).fit(X, y), whole)


@pytest.mark.parametrize(
    "change", [{"max_iter": 5}, {"max_seconds": 100}, {"tol": 1e-12}, {"n_jobs": 2}]
)
def test_these_parameters_may_change(change, data):
    model = clone(METHODS["mini-batches"]).set_params(max_iter=5).fit(data.X, data.classes)
    assert len(model.set_params(**change).fit(data.X, data.classes).history_["loss"]) == 10


@pytest.mark.parametrize(
    "name", [name for name, model in METHODS.items() if isinstance(model, SGDClassifier)]
)
def test_tol_may_change_to_none_and_back(name, data):
    model = clone(METHODS[name]).set_params(max_iter=8).fit(data.X, data.classes)
    before = len(model.history_["loss"])
    model.set_params(tol=None, max_iter=2).fit(data.X, data.classes)
    assert len(model.history_["loss"]) == before + 2
    assert (
        model.set_params(tol=1e-3).fit(data.X, data.classes).n_iter_
        == len(model.history_["loss"]) - before - 2
        > 0
    )


def test_a_cosine_ends_with_the_epochs_of_the_last_fit(data):
    model = SGDClassifier(
        "log_loss", learning_rate="cosine", max_iter=10, tol=None, warm_start=True, random_state=0
    )
    whole = clone(model).fit(data.X, data.classes)

    class Stop(Told):
        def on_fit_task_end(self, estimator, context):
            return context.task_id == 3 and not context.max_subtasks

    model.set_callbacks(Stop()).fit(data.X, data.classes)
    assert (model.stop_reason_, model.n_iter_) == ("callback", 4)
    model.set_callbacks().set_params(max_iter=6).fit(data.X, data.classes)
    assert_same_training(model, whole)


CHANGES = {
    "a parameter": lambda model, data: model.set_params(alpha=0.02).fit(data.X, data.classes),
    "an entry of X": lambda model, data: model.fit(changed(data.X, (40, 2)), data.classes),
    "a label": lambda model, data: model.fit(data.X, changed(data.classes, 40)),
    "weights": lambda model, data: model.fit(data.X, data.classes, sample_weight=data.weights),
    "validation data": lambda model, data: model.fit(
        data.X, data.classes, X_val=data.X, y_val=data.classes
    ),
    "a start": lambda model, data: model.fit(data.X, data.classes, coef_init=model.coef_),
    "the coefficients": lambda model, data: moved(model).fit(data.X, data.classes),
    "the seed": lambda model, data: model.set_params(random_state=9).fit(data.X, data.classes),
    "a partial fit": lambda model, data: model.partial_fit(data.X, data.classes).fit(
        data.X, data.classes
    ),
    "the class weights": lambda model, data: model.set_params(class_weight={0: 2}).fit(
        data.X, data.classes
    ),
}


def changed(array, at):
    array = array.copy()
    array[at] = 1 - array[at] if array.dtype.kind == "i" else array[at] + 1e-9
    return array


def moved(model):
    model.coef_[0, 0] += 1
    return model


@pytest.mark.parametrize("change", CHANGES)
def test_after_any_other_change_only_the_coefficients_are_kept(change, data):
    model = clone(METHODS["mini-batches"]).set_params(max_iter=4).fit(data.X, data.classes)
    updates = model.t_ - 1
    start = model.coef_.copy()
    CHANGES[change](model, data)
    assert (len(model.history_["loss"]), model.n_iter_, model.t_) == (4, 4, updates + 1)
    assert np.abs(model.coef_ - start).max() < 2.5


def test_without_warm_start_every_fit_begins_anew(data):
    model = clone(METHODS["mini-batches"]).set_params(warm_start=False, max_iter=4)
    assert_same_training(
        clone(model).fit(data.X, data.classes),
        model.fit(data.X, data.classes).fit(data.X, data.classes),
    )


def test_a_generator_draws_anew_for_every_fit_and_not_when_going_on(data):
    states = np.random.RandomState(5)
    model = SGDClassifier(
        "log_loss", max_iter=2, tol=None, random_state=states, learning_rate="constant"
    )
    a, b = (
        clone(model).set_params(random_state=states).fit(data.X, data.binary).coef_
        for _ in range(2)
    )
    assert not np.array_equal(a, b)
    model.set_params(warm_start=True).fit(data.X, data.binary)
    before = states.get_state()[1:3]
    model.fit(data.X, data.binary)
    assert len(model.history_["loss"]) == 4
    assert_array_equal(states.get_state()[1], before[0])
    np.random.seed(0)
    a = clone(model).set_params(random_state=None).fit(data.X, data.binary).coef_
    np.random.seed(0)
    assert_array_equal(clone(model).set_params(random_state=None).fit(data.X, data.binary).coef_, a)


# ---- what a pickle carries ----


@pytest.mark.parametrize("name", METHODS)
def test_a_pickle_carries_rows_only_under_warm_start(name):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((5000, 3)), rng.integers(0, 3, 5000)
    model = clone(METHODS[name]).set_params(max_iter=4).fit(X, y)
    assert len(pickle.dumps(model.set_params(warm_start=False))) < 12_000
    assert len(pickle.dumps(clone(model).fit(X, y))) < 12_000


def test_without_warm_start_nothing_of_the_rows_stays_in_memory(data):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50_000, 2)), rng.integers(0, 2, 50_000)
    model = SGDClassifier("log_loss", max_iter=3, tol=None)
    tracemalloc.start()
    model.fit(X, y)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 200_000


# ---- checkpoints ----


class Told:
    """A callback that says nothing."""

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass


class Copies(Told):
    """Reads the file after every epoch; must come after the checkpoint."""

    def __init__(self, path):
        self.path, self.models = path, []

    def on_fit_task_end(self, estimator, context):
        if not context.max_subtasks:
            self.models.append(pickle.loads(Path(self.path).read_bytes()))


@pytest.mark.parametrize("name", [*METHODS, *OTHERS])
def test_a_checkpoint_goes_on_like_the_training_that_wrote_it(name, data, tmp_path):
    path = tmp_path / "model"
    copies, model = Copies(path), METHODS.get(name) or OTHERS[name]
    y = targets(model, data)
    whole = (
        clone(model).set_params(max_iter=6).set_callbacks(Checkpoint(path), copies).fit(data.X, y)
    )
    assert len(copies.models) == whole.n_iter_
    for number, model in enumerate(copies.models[:-1], 1):
        assert (model.n_iter_, model.stop_reason_, getattr(model, "converged_", False)) == (
            number,
            "interrupted",
            False,
        )
        assert model.predict(data.X).shape == (43,)
        assert not hasattr(model, "_skl_callbacks")
        model.set_params(max_iter=6 - number).fit(data.X, y)
        assert_same_training(model, whole)
    assert_same_training(pickle.loads(path.read_bytes()), whole)


def test_a_checkpoint_is_written_as_often_as_asked_for_and_at_the_end(data, tmp_path):
    path, counts = tmp_path / "model", []

    class Counts(Told):
        def on_fit_task_end(self, estimator, context):
            counts.append(
                len(pickle.loads(path.read_bytes()).history_["loss"]) if path.exists() else 0
            )

    model = clone(METHODS["mini-batches"]).set_params(max_iter=8)
    model.set_callbacks(Checkpoint(str(path), every=3), Counts()).fit(data.X, data.classes)
    assert counts == [0, 0, 3, 3, 3, 6, 6, 6, 8]
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_writing_that_fails_leaves_the_file_before(data, tmp_path):
    path = tmp_path / "model"
    model = (
        clone(METHODS["mini-batches"])
        .set_params(max_iter=2)
        .set_callbacks(Checkpoint(path))
        .fit(data.X, data.classes)
    )
    before = path.read_bytes()
    model.unfit_for_pickling = lambda: None
    with pytest.raises((AttributeError, pickle.PicklingError)):
        model.fit(data.X, data.classes)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_damaged_checkpoint_is_an_error(data, tmp_path):
    path = tmp_path / "model.pickle"
    model = fastgd.SGDClassifier(warm_start=True, max_iter=2, random_state=0)
    model.set_callbacks(Checkpoint(path)).fit(data.X, data.binary)
    content = path.read_bytes()
    begin, end = content.index(b"SGDClassifier"), content.rindex(b".")
    for at in np.linspace(begin, end - 100, 40).astype(int):
        for damaged in (content[:at], content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :]):
            with pytest.raises((pickle.UnpicklingError, EOFError)):
                pickle.loads(damaged)


def test_a_checkpoint_needs_warm_start(data, tmp_path):
    for model in SGDClassifier(), fastgd.LinearRegression():
        with pytest.raises(ValueError, match="warm_start=True"):
            model.set_callbacks(Checkpoint(tmp_path / "model")).fit(data.X, data.binary)


@pytest.mark.parametrize(
    "wrong", [{"path": 3}, {"path": "a", "every": 0}, {"path": "a", "every": 1.5}]
)
def test_a_checkpoint_refuses_nonsense(wrong):
    with pytest.raises(ValueError, match="parameter of Checkpoint"):
        Checkpoint(**wrong)


PROCESS = """
import os, pickle, sys, warnings
from pathlib import Path
import numpy as np
from fastgd import Checkpoint, SGDClassifier

class Says:
    def setup(self, estimator, context): pass
    def on_fit_task_begin(self, estimator, context): pass
    def teardown(self, estimator, context): pass
    def on_fit_task_end(self, estimator, context):
        print("epoch", flush=True)

path, epochs = Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
X, y = rng.standard_normal((2000, 20)), rng.integers(0, 2, 2000)
model = SGDClassifier("log_loss", tol=None, warm_start=True, random_state=0)
if path.exists():
    model = pickle.loads(path.read_bytes())
left = epochs - len(getattr(model, "history_", {"loss": []})["loss"])
print("begins", flush=True)
model.set_params(max_iter=left).set_callbacks(Checkpoint(path), Says()).fit(X, y)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_process_goes_on_from_the_last_complete_checkpoint(tmp_path):
    path, epochs, kills = tmp_path / "model", 3000, 2

    def begin(epochs):
        return subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(path), str(epochs)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(fastgd.__file__).parent.parent,
        )

    reached = 0
    for number in range(kills):
        with begin(epochs) as process:
            for _ in range(3 + 2 * number):
                process.stdout.readline()
            process.kill()
        model = pickle.loads(path.read_bytes())
        assert len(model.history_["loss"]) > reached
        reached = len(model.history_["loss"])
    with begin(reached + 2) as process:
        assert process.wait() == 0
    model = pickle.loads(path.read_bytes())
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2000, 20)), rng.integers(0, 2, 2000)
    whole = SGDClassifier(
        "log_loss", tol=None, warm_start=True, random_state=0, max_iter=reached + 2
    ).fit(X, y)
    assert_same_training(model, whole)


DIES = """
import os, signal
calls, fsync = 0, os.fsync

def dies(descriptor):
    global calls
    calls += 1
    # A file and its folder each time: the fourth file is written, and not yet in its place.
    if calls == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)

os.fsync = dies
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_process_killed_while_it_writes_leaves_the_checkpoint_before(tmp_path):
    path = tmp_path / "model"
    home = Path(fastgd.__file__).parent.parent
    assert (
        subprocess.run([sys.executable, "-c", DIES + PROCESS, str(path), "9"], cwd=home).returncode
        == -signal.SIGKILL
    )
    assert len(pickle.loads(path.read_bytes()).history_["loss"]) == 3
    assert subprocess.run([sys.executable, "-c", PROCESS, str(path), "6"], cwd=home).returncode == 0
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2000, 20)), rng.integers(0, 2, 2000)
    whole = SGDClassifier("log_loss", tol=None, warm_start=True, random_state=0, max_iter=6).fit(
        X, y
    )
    assert_same_training(pickle.loads(path.read_bytes()), whole)


# ---- fingerprints ----


@pytest.mark.parametrize(
    "text, known",
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
    ],
)
def test_xxh64_is_the_published_hash(text, known):
    assert xxh64(np.frombuffer(text, np.uint8)) == known


def twin(data):
    """XXH64 with seed 0, step by step as the specification has it."""
    p1, p2, p3, p4, p5 = (
        11400714785074694791,
        14029467366897019727,
        1609587929392839161,
        9650029242287828579,
        2870177450012600261,
    )
    most = 2**64 - 1

    def turned(a, by):
        return (a << by | a >> (64 - by)) & most

    def mixed(lane, value):
        return turned((lane + value * p2) & most, 31) * p1 & most

    at, value = 0, p5
    if len(data) >= 32:
        lanes = [(p1 + p2) & most, p2, 0, -p1 & most]
        for at in range(0, len(data) - 31, 32):
            lanes = [
                mixed(lane, int.from_bytes(data[at + 8 * k : at + 8 * k + 8], "little"))
                for k, lane in enumerate(lanes)
            ]
        at += 32
        value = sum(turned(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & most
        for lane in lanes:
            value = ((value ^ mixed(0, lane)) * p1 + p4) & most
    value = (value + len(data)) & most
    while at + 8 <= len(data):
        value = (
            turned(value ^ mixed(0, int.from_bytes(data[at : at + 8], "little")), 27) * p1 + p4
        ) & most
        at += 8
    if at + 4 <= len(data):
        value = (
            turned(value ^ int.from_bytes(data[at : at + 4], "little") * p1 & most, 23) * p2 + p3
        ) & most
        at += 4
    for byte in data[at:]:
        value = turned(value ^ byte * p5 & most, 11) * p1 & most
    value = (value ^ value >> 33) * p2 & most
    value = (value ^ value >> 29) * p3 & most
    return value ^ value >> 32


@pytest.mark.parametrize("size", [1, 5, 31, 32, 33, 63, 64, 100, 4096 * 32 + 45])
def test_xxh64_is_its_twin(size):
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    assert xxh64(data) == twin(data.tobytes())


def test_a_fingerprint_sees_shape_dtype_and_every_entry(data):
    X = data.X
    assert fingerprint(X, None) == fingerprint(np.asfortranarray(X), None)
    others = [X.T, X.astype(np.float32), changed(X, (42, 5)), sparse.csr_array(X), X.reshape(1, -1)]
    assert len({fingerprint(other, None) for other in others} | {fingerprint(X, None)}) == 6
    assert fingerprint(X) != fingerprint(X, None)
