"""scikit-learn's callbacks on every estimator, and the progress bar, which is one of them."""

import io
import pickle
import sys
from threading import Thread

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone, is_regressor
from sklearn.callback import CallbackContext, ProgressBar, ScoringMonitor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_resume import Told

import fastgd
from fastgd import LogisticRegression, SGDClassifier, SGDRegressor

NAMES = [
    "SGDClassifier",
    "SGDRegressor",
    "SGDOneClassSVM",
    "LinearRegression",
    "Ridge",
    "Lasso",
    "ElasticNet",
    "LogisticRegression",
    "LinearSVC",
    "LinearSVR",
    "MLPClassifier",
    "MLPRegressor",
]


@pytest.fixture(params=NAMES)
def model(request):
    model = getattr(fastgd, request.param)()
    streams = request.param.startswith(("SGD", "MLP"))
    return model.set_params(random_state=0, max_iter=100, tol=0.1) if streams else model


def assert_same_model(model, other):
    for part, same in zip(model._learnt(), other._learnt(), strict=True):
        assert_array_equal(part, same)


class Records(Told):
    """All that is told, in order."""

    def __init__(self, stop_at=None):
        self.told, self.models, self.stop_at = [], [], stop_at

    def setup(self, estimator, context):
        self.told.append(("setup", context.task_name, context.max_subtasks))

    def on_fit_task_begin(self, estimator, context, *, fitted_estimator=None):
        self.told.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None
    ):
        self.told.append(("end", context.task_name, context.task_id))
        self.models.append((fitted_estimator, X, y, metadata))
        return not context.max_subtasks and context.task_id + 1 == self.stop_at

    def teardown(self, estimator, context):
        self.told.append(("teardown", context.task_name, context.max_subtasks))


def targets(model, data):
    return data.values if is_regressor(model) else data.classes


def test_every_epoch_is_a_task(model, data):
    records = Records()
    model.set_callbacks(records).fit(data.X, targets(model, data))
    most = model.max_iter or 1000
    epochs = [
        [("begin", "epoch", number), ("end", "epoch", number)] for number in range(model.n_iter_)
    ]
    assert records.told == [
        ("setup", "fit", most),
        ("begin", "fit", 0),
        *sum(epochs, []),
        ("end", "fit", 0),
        ("teardown", "fit", most),
    ]


def test_callbacks_change_nothing(model, data):
    told = clone(model).set_callbacks(Records()).fit(data.X, targets(model, data))
    model.fit(data.X, targets(model, data))
    assert_same_model(told, model)
    assert told.history_["loss"] == model.history_["loss"]
    assert set(vars(told)) - set(vars(model)) == {"_skl_callbacks"}


def test_a_callback_gets_a_fitted_estimator_of_each_epoch(model, data):
    records = Records()
    X = pd.DataFrame(data.X, columns=list("abcdef"))
    model.set_callbacks(records).fit(X, targets(model, data), sample_weight=data.weights)
    for number, (fitted, given, y, metadata) in enumerate(records.models[:-1], 1):
        assert given is X
        assert fitted.predict(X).shape == y.shape
        assert_array_equal(metadata["sample_weight"], data.weights)
        assert (fitted.n_iter_, len(fitted.history_["loss"])) == (number, number)
        assert (fitted.stop_reason_, getattr(fitted, "converged_", False)) == ("interrupted", False)
    last = records.models[-1][0]
    assert_same_model(last, model)
    assert (last.stop_reason_, getattr(last, "optimality_", 0)) == (
        model.stop_reason_,
        getattr(model, "optimality_", 0),
    )


def test_the_model_of_an_epoch_is_that_of_a_training_which_ends_there(data):
    settings = {"learning_rate": "constant", "tol": None, "random_state": 0}
    records = Records()
    SGDClassifier(max_iter=4, **settings).set_callbacks(records).fit(data.X, data.classes)
    for number in range(1, 5):
        other = SGDClassifier(max_iter=number, **settings).fit(data.X, data.classes)
        assert_array_equal(records.models[number - 1][0].coef_, other.coef_)


def test_a_callback_stops_training_without_a_warning(model, data, monkeypatch):
    monkeypatch.setattr("fastgd.estimators.select_solver._is_easy_in_full", lambda *_: False)
    if isinstance(model, fastgd.Ridge | fastgd.LinearRegression | fastgd.ElasticNet):
        model.set_params(batch_size="full")  # not in one epoch
    model.set_params(tol=1e-15, max_iter=50).set_callbacks(Records(stop_at=1)).fit(
        data.X, targets(model, data)
    )
    assert (model.stop_reason_, getattr(model, "converged_", False), model.n_iter_) == (
        "callback",
        False,
        1,
    )


def test_what_has_converged_was_not_stopped(data):
    first = LogisticRegression().fit(data.X, data.classes)
    model = (
        LogisticRegression().set_callbacks(Records(stop_at=first.n_iter_)).fit(data.X, data.classes)
    )
    assert (model.stop_reason_, model.converged_) == ("tol", True)


def test_nothing_is_made_for_nobody(model, data, monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("a context was made")

    monkeypatch.setattr(CallbackContext, "_from_estimator", refuse)
    model.fit(data.X, targets(model, data))
    with pytest.raises(AssertionError):
        model.set_callbacks(Records()).fit(data.X, targets(model, data))


def test_callbacks_are_seen_off_whatever_happens(data):
    records = Records()
    with pytest.raises(ValueError, match="NaN"):
        SGDClassifier().set_callbacks(records).fit(np.full((4, 2), np.nan), [0, 1, 0, 1])
    assert [told[0] for told in records.told] == ["setup", "teardown"]

    class Fails(Records):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("not today")

    fails = Fails()
    model = SGDClassifier().set_callbacks(fails)
    with pytest.raises(RuntimeError, match="not today"):
        model.fit(data.X, data.classes)
    assert fails.told[-1][0] == "teardown"
    assert set(vars(model)) - set(model.get_params()) == {"_skl_callbacks"}
    with pytest.raises(NotFittedError):
        model.predict(data.X)


def test_partial_fit_tells_nobody(data):
    records = Records()
    SGDClassifier().set_callbacks(records).partial_fit(data.X, data.classes, classes=[0, 1, 2])
    assert records.told == []


# ---- scikit-learn's own callbacks ----


def test_a_scoring_monitor_sees_every_epoch(data):
    monitor = ScoringMonitor(scoring="accuracy")
    records = Records()
    X = pd.DataFrame(data.X, columns=list("abcdef"))
    model = SGDClassifier(max_iter=4, tol=None, random_state=0).set_callbacks(monitor, records)
    model.fit(X, data.classes)
    log = monitor.get_logs().data_as_pandas
    scores = [accuracy_score(data.classes, fitted.predict(X)) for fitted, *_ in records.models]
    assert list(log[log.task_name == "epoch"].accuracy) == scores[:-1]
    assert list(log[log.task_name == "fit"].accuracy) == [model.score(X, data.classes)]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_of_pipelines_with_callbacks(n_jobs, data):
    monitor = ScoringMonitor(scoring="accuracy")
    model = SGDClassifier(max_iter=3, tol=None, random_state=0)
    pipeline = make_pipeline(StandardScaler(), clone(model).set_callbacks(monitor))
    parameters = {"sgdclassifier__alpha": [1e-4, 1e-3]}
    search = GridSearchCV(
        pipeline, parameters, cv=2, n_jobs=n_jobs, error_score="raise"
    ).set_callbacks(ProgressBar())
    search.fit(data.X, data.binary)
    log = monitor.get_logs().data_as_pandas
    assert (log.task_name == "epoch").sum() == (4 + 1) * 3
    alone = GridSearchCV(make_pipeline(StandardScaler(), model), parameters, cv=2).fit(
        data.X, data.binary
    )
    assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert_array_equal(search.decision_function(data.X), alone.decision_function(data.X))


def test_a_progress_bar_of_scikit_learns_goes_down_to_the_epochs(data, capsys):
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    pipeline.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(data.X, data.classes)
    assert "LogisticRegression - fit" in capsys.readouterr().out


def test_a_fitted_model_with_callbacks_is_pickled(data):
    model = SGDClassifier(max_iter=2, tol=None).set_callbacks(
        ScoringMonitor(scoring="accuracy"), ProgressBar()
    )
    again = pickle.loads(pickle.dumps(model.fit(data.X, data.binary)))
    assert_array_equal(again.predict(data.X), model.predict(data.X))
    assert len(again._skl_callbacks) == 2


# ---- verbose ----


def lines(capsys):
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "name", ["SGDClassifier", "SGDRegressor", "LogisticRegression", "LinearSVC", "LinearSVR"]
)
def test_verbose_prints_one_line_where_nobody_watches(name, data, capsys):
    model = getattr(fastgd, name)(verbose=1)
    model.fit(data.X, targets(model, data))
    (line,) = lines(capsys)
    assert line.startswith(
        f"{name}: {model.stop_reason_} {model.n_iter_}/{model.n_iter_} epochs loss "
    )
    assert (
        f"loss {model.history_['loss'][-1]:.6g}, rate {model.history_['learning_rate'][-1]:.3g}"
        in line
    )
    assert not hasattr(model, "_skl_callbacks")


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 100 columns, and what is drawn on it."""
    import rich
    from rich.console import Console

    shown = io.StringIO()
    console = Console(
        file=shown, force_terminal=True, width=100, color_system=None, legacy_windows=False
    )
    monkeypatch.setattr(rich, "get_console", lambda: console)
    return shown


def test_verbose_draws_a_bar_in_a_terminal(data, terminal, capsys):
    model = SGDClassifier(max_iter=5, tol=None, verbose=1, random_state=0).fit(data.X, data.classes)
    last = terminal.getvalue().splitlines()[-2]
    assert "SGDClassifier: max_iter ━━━━" in last
    assert f"5/5 epochs loss {model.history_['loss'][-1]:.6g}" in last
    assert lines(capsys) == []


def test_inside_of_others_and_in_threads_bars_are_lines(data, terminal, capsys):
    model = SGDClassifier(max_iter=2, tol=None, verbose=1)
    make_pipeline(StandardScaler(), clone(model)).fit(data.X, data.classes)
    assert len(lines(capsys)) == 1
    GridSearchCV(model, {"alpha": [0.1, 0.2]}, cv=2).fit(data.X, data.binary)
    assert len(lines(capsys)) == 5
    threads = [Thread(target=clone(model).fit, args=(data.X, data.classes)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert capsys.readouterr().out.count("SGDClassifier: max_iter 2/2 epochs") == 2
    assert terminal.getvalue() == ""


def test_verbose_goes_with_other_callbacks_and_stays_out_of_partial_fit(data, capsys):
    records = Records()
    model = (
        SGDRegressor(max_iter=2, tol=None, verbose=1)
        .set_callbacks(records)
        .fit(data.X, data.values)
    )
    assert (len(lines(capsys)), len(records.models)) == (1, 3)
    assert model._skl_callbacks == [records]
    model.partial_fit(data.X, data.values)
    assert lines(capsys) == []


def test_a_failed_fit_ends_its_bar(data, terminal):
    class Fails(Told):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("not today")

    with pytest.raises(RuntimeError, match="not today"):
        SGDClassifier(verbose=1).set_callbacks(Fails()).fit(data.X, data.classes)
    SGDClassifier(verbose=1).fit(data.X, data.classes)


def test_verbose_says_what_it_needs(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(ImportError, match="verbose=1 requires rich"):
        SGDClassifier(verbose=1).fit(data.X, data.classes)
    SGDClassifier().fit(data.X, data.classes)
