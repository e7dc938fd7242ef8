"""LossCurveDisplay: what is drawn, not how it looks."""

import matplotlib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastgd import LossCurveDisplay, SGDClassifier

matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


def fitted(data, **parameters):
    settings = {"loss": "log_loss", "learning_rate": "constant", "tol": None, "max_iter": 6, "random_state": 0}
    return SGDClassifier(**{**settings, **parameters}).fit(data.X, data.binary)


def curve(line):
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def test_it_draws_the_loss_of_every_epoch(data):
    model = fitted(data)
    display = LossCurveDisplay.from_estimator(model)
    x, y = curve(display.ax_.lines[0])
    assert_array_equal(x, np.arange(1, 7))
    assert_array_equal(y, model.loss_curve_)
    assert display.ax_.figure is display.figure_
    assert "epoch" in display.ax_.get_xlabel().lower()
    assert "loss" in display.ax_.get_ylabel().lower()


def test_it_draws_against_seconds(data):
    model = fitted(data)
    display = LossCurveDisplay.from_estimator(model, x="seconds")
    assert_array_equal(curve(display.ax_.lines[0])[0], model.history_["seconds"])
    assert "second" in display.ax_.get_xlabel().lower()


def test_several_estimators_share_one_axes_and_have_their_names_in_the_legend(data):
    models = {"stochastic": fitted(data), "full batch": fitted(data, batch_size="full")}
    display = LossCurveDisplay.from_estimator(models)
    assert len(display.ax_.lines) == 2
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == list(models)
    for line, model in zip(display.ax_.lines, models.values(), strict=True):
        assert_array_equal(curve(line)[1], model.loss_curve_)


def test_a_list_of_estimators_has_distinct_names(data):
    display = LossCurveDisplay.from_estimator([fitted(data), fitted(data)])
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert len(set(names)) == 2
    assert all("SGDClassifier" in name for name in names)


def test_it_looks_into_a_pipeline(data):
    model = make_pipeline(StandardScaler(), SGDClassifier(max_iter=4, tol=None, random_state=0)).fit(
        data.X, data.binary
    )
    assert_array_equal(curve(LossCurveDisplay.from_estimator(model).ax_.lines[0])[1], model[-1].loss_curve_)


def test_it_draws_the_validation_loss_where_there_is_one(data):
    model = fitted(data, early_stopping=True)
    lines = LossCurveDisplay.from_estimator(model).ax_.lines
    assert len(lines) == 2
    assert_array_equal(curve(lines[1])[1], model.history_["validation_loss"])
    assert lines[0].get_linestyle() != lines[1].get_linestyle()


def test_it_draws_on_the_axes_it_is_given(data):
    figure, ax = plt.subplots()
    assert LossCurveDisplay.from_estimator(fitted(data), ax=ax).ax_ is ax
    assert plt.get_fignums() == [figure.number]


def test_the_scale_can_be_logarithmic(data):
    assert LossCurveDisplay.from_estimator(fitted(data), log_scale=True).ax_.get_yscale() == "log"
    assert LossCurveDisplay.from_estimator(fitted(data), log_scale=False).ax_.get_yscale() == "linear"


def test_what_cannot_be_drawn_is_refused(data):
    with pytest.raises(NotFittedError, match="not fitted"):
        LossCurveDisplay.from_estimator(SGDClassifier())
    with pytest.raises(ValueError, match="x must be 'epochs' or 'seconds', got 'years'"):
        LossCurveDisplay.from_estimator(fitted(data), x="years")
    with pytest.raises(ValueError, match="estimators must not be empty"):
        LossCurveDisplay.from_estimator([])
