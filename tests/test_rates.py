"""The learning-rate range test: which rates and losses it finds, and what is drawn of them."""

import matplotlib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from fastgd import Constant, LearningRateDisplay, SGDClassifier, SGDRegressor, learning_rate_range

matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 5))
    return X, X @ rng.standard_normal(5) + 0.1 * rng.standard_normal(600)


def test_the_loss_falls_and_then_the_rate_is_too_large(values):
    rates, losses = learning_rate_range(
        SGDRegressor(batch_size=8), *values, 1e-5, 1e3, n_steps=60, random_state=0
    )
    assert_allclose(rates, np.geomspace(1e-5, 1e3, 60)[: len(rates)])
    assert losses.min() < 0.1 * losses[0]
    assert len(rates) < 60
    assert losses[-1] > losses.min()
    assert 1e-3 < rates[np.argmin(losses)] < 10


def test_it_is_training_with_that_rate_on_those_rows(values):
    """A full batch sees all rows at each rate, in whatever order: plain gradient descent."""
    X, y = values
    rates, losses = learning_rate_range(
        SGDRegressor(batch_size="full", penalty=None), X, y, 0.01, 0.5, n_steps=7
    )
    w, b = np.zeros(5), 0.0
    for rate, loss in zip(rates, losses, strict=True):
        r = X @ w + b - y
        assert_allclose(loss, (r @ r) / 1200, rtol=1e-10)
        w, b = w - rate * X.T @ r / 600, b - rate * r.mean()
    assert len(rates) == 7


@pytest.mark.parametrize("layout", [np.asarray, csr_matrix, np.ndarray.tolist])
def test_labels_and_layouts(layout, data):
    model = SGDClassifier("log_loss", batch_size=4)
    found = learning_rate_range(
        model, layout(data.X), data.binary, 1e-4, 1.0, n_steps=10, random_state=3
    )
    assert_allclose(
        found,
        learning_rate_range(model, data.X, data.binary, 1e-4, 1.0, n_steps=10, random_state=3),
        rtol=1e-4,
    )
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    assert model.learning_rate == "auto"


@pytest.mark.parametrize(
    "wrong", [{"low": 0.0}, {"low": 2.0, "high": 1.0}, {"high": np.inf}, {"n_steps": 1}]
)
def test_it_refuses_what_is_no_range(wrong, values):
    with pytest.raises(
        ValueError, match="n_steps must" if "n_steps" in wrong else "low and high must"
    ):
        learning_rate_range(SGDRegressor(), *values, **wrong)


def test_the_display_draws_what_the_test_finds(values):
    model = SGDRegressor(batch_size=8, learning_rate=Constant(0.1))
    display = LearningRateDisplay.from_estimator(
        model, *values, 1e-4, 1.0, n_steps=12, random_state=0, line_kw={"color": "red"}
    )
    rates, losses = learning_rate_range(model, *values, 1e-4, 1.0, n_steps=12, random_state=0)
    assert_array_equal(display.rates, rates)
    assert_array_equal(display.line_.get_xdata(), rates)
    assert_array_equal(display.line_.get_ydata(), losses)
    assert display.line_.get_color() == "red"
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.figure is display.figure_
    assert "rate" in display.ax_.get_xlabel().lower()
    _, ax = plt.subplots()
    assert LearningRateDisplay(rates, losses).plot(ax=ax).ax_ is ax
