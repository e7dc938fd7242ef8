"""Ctrl-C: the model of the last complete epoch is stored, and KeyboardInterrupt goes on; in the
kernels it is heard at once.
"""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from test_resume import METHODS, Told, assert_same_training

import fastgd
from fastgd import LogisticRegression, SGDClassifier, SGDRegressor
from fastgd.kernels import (
    batch,
    columns,
    coordinate,
    digest,
    dual,
    gram,
    implicit,
    network,
    stochastic,
    variance,
)
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.rows import Rows, has_repeats
from fastgd.methods.mlp import Architecture
from fastgd.methods.optimizers import SGD
from fastgd.problem.losses import loss_of
from fastgd.problem.objective import Objective

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Interrupts(Told):
    """Presses Ctrl-C at the end of an epoch, or of the fit (None)."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_fit_task_end(self, estimator, context):
        if (None if context.max_subtasks else context.task_id + 1) == self.epoch:
            signal.raise_signal(signal.SIGINT)


def interrupted(model, X, y, epoch):
    with pytest.raises(KeyboardInterrupt):
        model.set_callbacks(Interrupts(epoch)).fit(X, y)
    return model.set_callbacks()


@pytest.mark.parametrize("name", METHODS)
def test_the_last_complete_epoch_is_stored_and_a_resumption_goes_on_from_it(name, data):
    whole = clone(METHODS[name]).set_params(max_iter=5).fit(data.X, data.classes)
    model = interrupted(clone(METHODS[name]).set_params(max_iter=5), data.X, data.classes, 2)
    assert (model.stop_reason_, model.converged_, model.n_iter_, model.optimality_) == (
        "interrupted",
        False,
        2,
        None,
    )
    assert all(len(values) == 2 for values in model.history_.values())
    assert model.predict(data.X).shape == (43,)
    assert_same_training(model.set_params(max_iter=3).fit(data.X, data.classes), whole)


def test_the_stored_model_is_that_of_a_training_which_ends_there(data):
    settings = {
        "learning_rate": "constant",
        "tol": None,
        "random_state": 0,
        "batch_size": 5,
        "optimizer": "adam",
    }
    model = interrupted(SGDClassifier(max_iter=5, **settings), data.X, data.classes, 3)
    assert_array_equal(
        model.coef_, SGDClassifier(max_iter=3, **settings).fit(data.X, data.classes).coef_
    )
    assert not hasattr(model, "_resumption")


KERNELS = [
    (batch, "gradient"),
    (batch, "epoch"),
    (stochastic, "epoch"),
    (implicit, "epoch"),
    (variance, "epoch"),
    (coordinate, "descend"),
]


@contextmanager
def interrupt_after(calls, monkeypatch):
    """Ctrl-C comes when so many kernel calls have done their work; yields a list of those that were
    made.
    """
    made = []

    def watched(kernel):
        def run(*arguments, **named):
            result = kernel(*arguments, **named)
            made.append(kernel)
            if len(made) == calls:
                raise KeyboardInterrupt
            return result

        return run

    with monkeypatch.context() as patch:
        for module, name in KERNELS:
            patch.setattr(module, name, watched(getattr(module, name)))
        yield made


@pytest.mark.parametrize("name", METHODS)
def test_an_interrupt_amid_an_epoch_spoils_nothing(name, data, monkeypatch):
    model = clone(METHODS[name]).set_params(max_iter=5)
    whole = clone(model).fit(data.X, data.classes)
    with interrupt_after(None, monkeypatch) as made:
        clone(model).fit(data.X, data.classes)
    stopped = set()
    for calls in range(1, len(made) + 1, max(1, len(made) // 12)):
        cut = clone(model)
        with interrupt_after(calls, monkeypatch), pytest.raises(KeyboardInterrupt):
            cut.fit(data.X, data.classes)
        assert cut.stop_reason_ == "interrupted"
        assert all(len(values) == cut.n_iter_ for values in cut.history_.values())
        stopped.add(cut.n_iter_)
        left = 5 - cut.n_iter_
        if left:
            assert_same_training(cut.set_params(max_iter=left).fit(data.X, data.classes), whole)
    assert {0, 2} <= stopped


def test_before_the_first_epochs_end_an_earlier_fit_is_kept(data, monkeypatch):
    model = clone(METHODS["mini-batches"]).set_params(max_iter=3).fit(data.X, data.classes)
    known = {name: value for name, value in vars(model).items() if name.endswith("_")}
    with interrupt_after(1, monkeypatch), pytest.raises(KeyboardInterrupt):
        model.fit(-data.X, data.classes)
    assert {name: value for name, value in vars(model).items() if name.endswith("_")} == known
    assert model.stop_reason_ == "max_iter"
    assert len(model.fit(data.X, data.classes).history_["loss"]) == 6


@pytest.mark.parametrize("name", METHODS)
def test_before_the_first_epochs_end_there_is_the_start(name, data, monkeypatch):
    model = clone(METHODS[name])
    with interrupt_after(1, monkeypatch), pytest.raises(KeyboardInterrupt):
        model.fit(data.X, data.classes)
    assert (model.stop_reason_, model.n_iter_, model.history_["loss"]) == ("interrupted", 0, [])
    assert model.coef_.shape == (3, 6)
    assert model.predict(data.X).shape == (43,)


def test_interrupted_while_it_begins_it_holds_the_start(data, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fastgd.methods.full_batch.metric_of", stop)
        model = LogisticRegression()
        with pytest.raises(KeyboardInterrupt):
            model.fit(data.X, data.classes)
    assert (model.stop_reason_, model.n_iter_, model.t_, model.converged_) == (
        "interrupted",
        0,
        1,
        False,
    )
    assert_array_equal(model.coef_, np.zeros((3, 6)))


@pytest.mark.parametrize("restarts", [0, 2])
@pytest.mark.parametrize("batch_size", [1, "full"])
def test_ctrl_c_in_a_loss_of_the_users_own(batch_size, restarts, data):
    """Within the kernels it is known by losses that are no numbers, and stays Ctrl-C, not a
    divergence.
    """
    calls = []

    def loss(z, y):
        calls.append(len(z))
        if len(calls) == at:
            raise KeyboardInterrupt
        return (z - y) ** 2 / 2, z - y

    settings = {
        "batch_size": batch_size,
        "tol": None,
        "random_state": 0,
        "n_restarts": restarts,
        "warm_start": True,
    }
    at = 0
    whole = SGDRegressor(loss, max_iter=6, **settings).fit(data.X, data.values)
    at, calls = len(calls) // 2, []
    model = SGDRegressor(loss, max_iter=6, **settings)
    with pytest.raises(KeyboardInterrupt):
        model.fit(data.X, data.values)
    assert model.stop_reason_ == "interrupted"
    assert np.isfinite(model.coef_).all()
    assert len(model.history_["loss"]) == model.n_iter_ < 6
    assert_same_training(
        model.set_params(max_iter=6 - model.n_iter_).fit(data.X, data.values), whole
    )


def test_an_interrupted_partial_fit_is_not_begun(data, monkeypatch):
    model = SGDClassifier(random_state=0).partial_fit(data.X, data.classes, classes=np.arange(3))
    before = model.coef_.copy()
    with interrupt_after(1, monkeypatch), pytest.raises(KeyboardInterrupt):
        model.partial_fit(data.X, data.classes)
    assert_array_equal(model.coef_, before)


def test_other_errors_of_callbacks_keep_the_earlier_fit(data):
    class Fails(Told):
        def on_fit_task_end(self, estimator, context):
            if context.task_id == 1:
                raise RuntimeError("not today")

    model = SGDClassifier(random_state=0, max_iter=3, tol=None).fit(data.X, data.binary)
    history = model.history_
    with pytest.raises(RuntimeError, match="not today"):
        model.set_callbacks(Fails()).fit(data.X, data.binary)
    assert model.history_ is history


def test_a_search_stops(data):
    class First(Told):
        fits = 0

        def on_fit_task_begin(self, estimator, context):
            self.fits += context.max_subtasks > 0

        def on_fit_task_end(self, estimator, context):
            signal.raise_signal(signal.SIGINT)

    first = First()
    search = GridSearchCV(
        SGDClassifier(max_iter=3, tol=None).set_callbacks(first), {"alpha": [1e-4, 1e-3]}, cv=2
    )
    with pytest.raises(KeyboardInterrupt):
        search.fit(data.X, data.binary)
    assert first.fits == 1


PROCESS = """
import numpy as np
from fastgd import {model}

class Says:
    def setup(self, estimator, context): pass
    def on_fit_task_begin(self, estimator, context): pass
    def teardown(self, estimator, context): pass
    def on_fit_task_end(self, estimator, context):
        print("epoch", flush=True)

rng = np.random.default_rng(0)
X, y = rng.standard_normal((5000, 60)), rng.integers(0, 2, 5000)
model = {model}({parameters}, max_iter=10**9, tol={tol}).set_callbacks(Says())
try:
    model.fit(X, y)
except KeyboardInterrupt:
    known = model.n_iter_ == len(model.history_["loss"]) > 0
    print(model.stop_reason_, known, model.predict(X).shape, flush=True)
    raise
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
@pytest.mark.parametrize(
    "model, parameters, tol",
    [("SGDClassifier", "'log_loss'", None), ("LogisticRegression", "C=1e9", 0.0)],
)
def test_a_real_signal(model, parameters, tol):
    code = PROCESS.format(model=model, parameters=parameters, tol=tol)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(fastgd.__file__).parent.parent,
    ) as process:
        for _ in range(3):
            assert process.stdout.readline() == "epoch\n"
        process.send_signal(signal.SIGINT)
        lines = process.stdout.read().splitlines()
        assert (
            lines[-1].removeprefix("epoch") == "interrupted True (5000,)"
        )  # the signal may come amid a line
        assert process.wait() == -signal.SIGINT


# ---- the kernels hear it ----


@contextmanager
def alarm():
    """A signal comes while the kernel works, and its handler raises."""

    def ring(number, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(TimeoutError):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


VISITS = 6_000_000  # of few rows, again and again: they would take seconds
WITH_ALARM = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarms")


@pytest.fixture(scope="module")
def order():
    return np.arange(VISITS, dtype=np.intp) % 40


@pytest.fixture(params=["dense", "csr32"])
def long(request, as_rows):
    X = np.random.default_rng(0).standard_normal((40, 400))
    return as_rows(X, request.param, np.float64)


@WITH_ALARM
@pytest.mark.parametrize("threads", [1, 2])
def test_a_gradient(threads, long, order):
    margins, theta = np.full(VISITS, np.nan), np.zeros(401)
    with alarm():
        batch.gradient(
            DataTerm(long, np.ones(40), None, order, Objective(loss_of("log_loss")).codes, threads),
            theta,
            np.empty(401),
            margins,
        )
    assert 0 < np.isnan(margins).sum() < VISITS


@WITH_ALARM
@pytest.mark.parametrize("size", [10, VISITS // 3])
@pytest.mark.parametrize("threads", [1, 2])
def test_batches(threads, size, long, order):
    updates = -(-VISITS // size)
    average = np.zeros(401)
    with alarm():
        batch.epoch(
            DataTerm(
                long, np.ones(40), None, order, Objective(loss_of("squared_error")).codes, threads
            ),
            np.ones(401),
            (None, None),
            average,
            np.zeros(updates),
            SGD().codes,
            size,
            1,
            0,
        )
    assert average[0] < updates


@WITH_ALARM
def test_single_rows(long, order):
    average = np.zeros(401)
    with alarm():
        stochastic.epoch(
            DataTerm(long, np.ones(40), None, order, squared_error()),
            np.ones(401),
            average,
            np.zeros(VISITS),
            {"batch_size": 1, "skip": 0, "passive_aggressive": 0},
        )
    assert average[400] < VISITS


def squared_error():
    return Objective(loss_of("squared_error")).codes


def metric():
    return np.zeros(400), np.ones(400), np.zeros(400), np.zeros(400)


@WITH_ALARM
def test_implicit_steps(long, order):
    average = np.zeros(401)
    with alarm():
        implicit.epoch(
            DataTerm(long, np.ones(40), None, order, squared_error()),
            np.ones(401),
            (*metric(), np.ones(1)),
            np.zeros(VISITS),
            1,
            (average, 0.0),
        )
    assert average[400] < VISITS**4 / 4 / 2


@WITH_ALARM
def test_steps_of_little_variance(long):
    rows = np.arange(40).repeat(VISITS // 40)  # the last rows are not met before the end
    memory = np.full(40, np.nan), np.zeros(40), np.ones(40), np.zeros(401)
    with alarm():
        variance.epoch(
            DataTerm(long, np.ones(40), None, rows, squared_error()),
            np.ones(401),
            metric(),
            np.zeros(1),
            np.ones(40),
            np.ones(400),
            1,
            40,
            (*memory, np.zeros(40)),
        )
    assert np.isnan(memory[0]).any()


@WITH_ALARM
def test_moments(long, order):
    first = np.zeros(400)
    with alarm():
        term = DataTerm(long, np.ones(40), np.ones(40), order, squared_error())
        others = np.zeros(400), np.zeros(400)
        columns.moments(term, np.ones(400), np.full(400, -1000.0), first, *others)
    assert long.sparse or 0 < first[0] < 999 * VISITS


@WITH_ALARM
@pytest.mark.parametrize("threads", [1, 2])
def test_products_of_columns(threads, long, order):
    out, ones = (
        np.zeros((401, 401), order="F"),
        np.ones(VISITS),
    )  # made before the alarm is set: it takes a while
    with alarm():
        term = DataTerm(long, np.ones(40), None, order, squared_error(), threads)
        gram.products(term, ones, None, np.arange(401), 0, metric()[:2], True, out)
    assert 0 < out[400, 400] < 0.9


@WITH_ALARM
def test_coordinate_descent():
    w, H = np.zeros(2000), np.eye(2000) + 1.0
    with alarm():
        coordinate.descend(
            H, w, np.random.default_rng(0).standard_normal(2000), np.zeros(2000), 0.0, 10**9
        )
    n, p = 1000, 200
    rng = np.random.default_rng(0)
    values, indices = rng.standard_normal(n * p), np.tile(np.arange(n), p)
    X = Rows(values, indices, n * np.arange(p + 1), (p, n))
    model = np.ones(p + 1), np.ones(n), np.zeros(p), np.ones(p)
    penalty = np.zeros(p), np.full(p, 1e-9), None
    with alarm():
        coordinate.descend_columns(X, np.arange(p), *model, penalty, 0.0, 10**9)
    A, penalty = values.reshape(n, p), (np.zeros(n), np.full(n, 1e-9), None)
    with alarm():
        coordinate.descend_rows(A, np.arange(n), np.zeros(n), np.ones(n), penalty, 0.0, 10**9)


@WITH_ALARM
def test_a_dual_sweep(long, order):
    slopes = np.zeros(40)
    rows = np.arange(40, dtype=np.intp).repeat(
        VISITS // 40
    )  # the last rows are not met before the end
    with alarm():
        dual.sweep(
            DataTerm(long, np.ones(40), None, rows, Objective(loss_of("hinge")).codes),
            rows,
            (np.full(40, 400.0), np.zeros(40), slopes, np.zeros(40)),
            np.zeros(401),
            1e3,
            1.0,
            np.inf,
        )
    assert slopes[0] != 0
    assert slopes[-1] == 0


@WITH_ALARM
def test_looking_for_columns_that_repeat():
    n, p = 20_000_000, 1000
    rows = Rows(
        np.zeros(n),
        np.tile(np.arange(p, dtype=np.int32), n // p),
        np.arange(0, n + 1, p, dtype=np.int32),
        (n // p, p),
    )
    with alarm():
        while True:
            has_repeats(rows)


@WITH_ALARM
def test_hashes():
    with alarm():
        while True:
            digest.xxh64(np.zeros(2**26, np.uint8))


@WITH_ALARM
@pytest.mark.parametrize("kernel", ["gradient", "epoch", "margins"])
def test_a_network(kernel, long, order):
    """Of one unit, whose loss has the slope -1 at each visit, so that the intercept tells how many
    there were.
    """
    theta, gradient, margins, y = (
        np.zeros(401),
        np.zeros(401),
        np.full(VISITS, np.nan),
        np.full(40, 1e9),
    )
    objective = Objective(loss_of("epsilon_insensitive")).codes
    layers = Architecture((), "relu").network(np.array([400, 1]))
    rates = np.ones(VISITS)
    with alarm():
        if kernel == "gradient":
            network.gradient(
                DataTerm(long, y, None, order, objective), theta, None, gradient, layers
            )
        elif kernel == "epoch":
            network.epoch(
                DataTerm(long, y, None, order, objective),
                theta,
                None,
                (None, None),
                rates,
                layers,
                SGD().codes,
                1,
                1,
            )
        else:
            network.margins(long, order, theta, None, margins, layers)
    visits = {
        "gradient": -VISITS * gradient[-1],
        "epoch": theta[-1],
        "margins": (~np.isnan(margins)).sum(),
    }[kernel]
    assert 0 < visits < 0.9 * VISITS


def test_other_threads_train_and_hear_nothing(data):
    """Only the main thread has handlers run; a signal that comes meanwhile is for it."""
    models = [
        SGDRegressor(batch_size="full", learning_rate="constant", max_iter=20, tol=None, n_jobs=2)
        for _ in range(2)
    ]
    X = np.tile(data.X, (3000, 1))
    threads = [Thread(target=model.fit, args=(X, np.tile(data.values, 3000))) for model in models]
    for thread in threads:
        thread.start()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        for thread in threads:
            thread.join()
    for thread in threads:
        thread.join()
    assert [model.n_iter_ for model in models] == [20, 20]
    assert_array_equal(models[0].coef_, models[1].coef_)


# ---- the budget ----


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "parameters", [{}, {"learning_rate": "constant"}, {"batch_size": "full"}, {"batch_size": 10}]
)
def test_no_epoch_begins_after_max_seconds(parameters, data):
    model = SGDClassifier(
        "log_loss",
        tol=1e-14,
        n_iter_no_change=10**6,
        max_seconds=1e-9,
        max_iter=10**6,
        **parameters,
    )
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        model.fit(data.X, data.binary)
    assert (model.stop_reason_, model.converged_, model.n_iter_) == ("max_seconds", False, 1)


def test_warnings_are_about_the_line_that_trains(data):
    for model in (
        SGDClassifier(max_iter=1),
        LogisticRegression(max_iter=1),
        fastgd.Ridge(max_iter=1, tol=1e-15, batch_size="full"),
    ):
        with pytest.warns(ConvergenceWarning) as told:
            model.fit(data.X, data.binary)
        assert told[0].filename == __file__


def test_max_seconds_counts_from_the_fit_at_hand(data):
    model = (
        clone(METHODS["mini-batches"])
        .set_params(max_seconds=1000, max_iter=4)
        .fit(data.X, data.classes)
    )
    model.history_["seconds"][-1] = 5000.0
    assert model.fit(data.X, data.classes).stop_reason_ == "max_iter"
    assert model.history_["seconds"][-1] > 5000
    model.set_params(max_seconds=1e-9).partial_fit(data.X, data.classes)


def test_a_budget_that_is_not_needed_is_not_told(data):
    assert LogisticRegression(max_seconds=1000).fit(data.X, data.classes).stop_reason_ == "tol"


@pytest.mark.parametrize("wrong", [0, -1, "1 s", np.nan])
def test_nonsense_for_a_budget(wrong, data):
    for model in (
        SGDClassifier(max_seconds=wrong),
        LogisticRegression(max_seconds=wrong),
        fastgd.Ridge(max_seconds=wrong),
    ):
        with pytest.raises(ValueError, match="max_seconds"):
            model.fit(data.X, data.binary)
