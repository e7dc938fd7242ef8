"""The displays: what is drawn, not how it looks."""

import matplotlib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.optimize import minimize as scipy_minimize
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastgd
from fastgd import (
    CoefficientPathDisplay,
    DescentPathDisplay,
    ElasticNetCV,
    Lasso,
    LearningRateDisplay,
    LossCurveDisplay,
    Ridge,
    RidgeCV,
    SGDClassifier,
    minimize,
)

matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


def fitted(data, **parameters):
    settings = {
        "loss": "log_loss",
        "learning_rate": "constant",
        "tol": None,
        "max_iter": 6,
        "random_state": 0,
    }
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
    model = make_pipeline(
        StandardScaler(), SGDClassifier(max_iter=4, tol=None, random_state=0)
    ).fit(data.X, data.binary)
    assert_array_equal(
        curve(LossCurveDisplay.from_estimator(model).ax_.lines[0])[1], model[-1].loss_curve_
    )


def test_it_draws_the_validation_loss_where_there_is_one(data):
    model = fitted(data, early_stopping=True)
    lines = LossCurveDisplay.from_estimator(model).ax_.lines
    assert len(lines) == 2
    assert_array_equal(curve(lines[1])[1], model.history_["validation_loss"])
    assert lines[0].get_linestyle() != lines[1].get_linestyle()


@pytest.mark.parametrize("quantity", ["gradient_norm", "learning_rate"])
def test_it_draws_the_other_quantities_of_an_epoch(data, quantity):
    model = fitted(data, early_stopping=True)
    display = LossCurveDisplay.from_estimator(model, y=quantity)
    (line,) = display.ax_.lines
    assert_array_equal(curve(line)[1], model.history_[quantity])
    assert quantity.split("_")[0] in display.ax_.get_ylabel().lower()


def test_epochs_without_a_validation_loss_are_gaps():
    histories = {"a": {"loss": [3.0, 2.0, 1.0], "validation_loss": [np.nan, 2.5, 2.0]}}
    line = LossCurveDisplay(histories).plot().lines_[1]
    assert_array_equal(curve(line)[1], [np.nan, 2.5, 2.0])


def test_it_draws_on_the_axes_it_is_given(data):
    figure, ax = plt.subplots()
    assert LossCurveDisplay.from_estimator(fitted(data), ax=ax).ax_ is ax
    assert plt.get_fignums() == [figure.number]


def test_passes_are_whole_numbers():
    ax = LossCurveDisplay({"a": {"loss": [3.0, 2.0]}}).plot().ax_
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_seconds_have_few_ticks():
    """Small times have long labels, which would run into each other."""
    seconds = np.linspace(0.0006, 0.019, 60)
    figure, (ax, _) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    LossCurveDisplay({"a": {"loss": seconds[::-1], "seconds": seconds}}, x="seconds").plot(ax)
    figure.draw_without_rendering()
    ends = sorted(label.get_window_extent().intervalx.tolist() for label in ax.get_xticklabels())
    assert all(left[1] < right[0] for left, right in zip(ends, ends[1:], strict=False))


@pytest.mark.parametrize("count", [3, 12])
def test_many_names_stand_beside_the_curves(count):
    display = LossCurveDisplay(
        {f"model {k}": {"loss": [3.0, 2.0 + k]} for k in range(count)}
    ).plot()
    display.figure_.draw_without_rendering()
    legend, inside = display.ax_.get_legend().get_window_extent(), display.ax_.get_window_extent()
    assert (legend.x0 > inside.x1) == (count == 12)


def test_the_scale_can_be_logarithmic(data):
    assert LossCurveDisplay.from_estimator(fitted(data), log_scale=True).ax_.get_yscale() == "log"
    assert (
        LossCurveDisplay.from_estimator(fitted(data), log_scale=False).ax_.get_yscale() == "linear"
    )


def test_what_cannot_be_drawn_is_refused(data):
    with pytest.raises(NotFittedError, match="not fitted"):
        LossCurveDisplay.from_estimator(SGDClassifier())
    with pytest.raises(ValueError, match="x must be one of 'epochs', .*, got 'years'"):
        LossCurveDisplay.from_estimator(fitted(data), x="years")
    with pytest.raises(ValueError, match="y must be one of 'loss', .*, got 'joy'"):
        LossCurveDisplay.from_estimator(fitted(data), y="joy")
    with pytest.raises(ValueError, match="estimators must not be empty"):
        LossCurveDisplay.from_estimator([])


def test_losses_of_a_range_test_that_span_much_have_a_logarithmic_axis():
    rates = np.geomspace(1e-3, 1, 4)
    narrow, wide = (
        LearningRateDisplay(rates, [4, 3, 2, 5]).plot(),
        LearningRateDisplay(rates, [4, 3, 0.2, 50]).plot(),
    )
    assert (narrow.ax_.get_yscale(), wide.ax_.get_yscale()) == ("linear", "log")
    assert_array_equal(curve(wide.line_)[0], rates)


def bowl(theta):
    return theta[0] ** 2 + 9 * theta[1] ** 2


def bowls_gradient(theta):
    return np.array([2 * theta[0], 18 * theta[1]])


PATHS = {"straight": [(4, 1), (2, 0.5), (1, 0.25)], "zigzag": [(4, 1), (3, -1), (2, 1), (1, -1)]}


def test_paths_of_descent_are_drawn_from_start_to_end():
    display = DescentPathDisplay(bowl, PATHS).plot()
    for line, end, (name, points) in zip(display.lines_, display.ends_, PATHS.items(), strict=True):
        assert line.get_label() == name
        assert_array_equal(line.get_xydata(), points)
        assert_array_equal(end.get_xydata(), points[-1:])
        assert end.get_color() == line.get_color()
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [*PATHS, "start"]
    assert display.ax_.get_xlim()[0] < 1 and display.ax_.get_xlim()[1] > 4


def test_methods_descend_from_one_start():
    ways = {
        "slow": {"method": "gd", "learning_rate": 0.01},
        "fast": {"method": "gd", "learning_rate": 0.1},
    }
    display = DescentPathDisplay.from_function(
        bowl, [4, 1], bowls_gradient, ways, max_iter=5, tol=0
    )
    for (name, settings), line in zip(ways.items(), display.lines_, strict=True):
        theta = np.array([4.0, 1.0])
        for point in line.get_xydata():
            np.testing.assert_allclose(point, theta, rtol=1e-12)
            theta = theta - settings["learning_rate"] * bowls_gradient(theta)
        assert line.get_label() == name and len(line.get_xydata()) == 6
    both = DescentPathDisplay.from_function(
        lambda theta: (bowl(theta), bowls_gradient(theta)), [4, 1], True, ["gd", "adam"]
    )
    assert [line.get_label() for line in both.lines_] == ["gd", "adam"]
    assert both.contours_.levels[-1] > 1


def test_the_costs_on_the_way_are_drawn():
    result = minimize(bowl, [4, 1], bowls_gradient, method="gd", max_iter=5, tol=0)
    (line,) = LossCurveDisplay.from_result(result).lines_
    assert_array_equal(curve(line)[0], range(6))
    assert_array_equal(curve(line)[1], result.history["fun"])
    (line,) = LossCurveDisplay.from_result({"a": result}, x="seconds", y="gradient_norm").lines_
    assert_array_equal(curve(line)[1], result.history["gradient_norm"])
    with pytest.raises(
        ValueError, match="result 'minimize' has no path: it needs .*record_path=True"
    ):
        DescentPathDisplay.from_result(bowl, result)


def test_results_without_a_history_are_named():
    by_scipy = scipy_minimize(bowl, [4, 1], jac=bowls_gradient)
    for results, name in (
        (by_scipy, "minimize"),
        ({"ours": minimize(bowl, [4, 1], bowls_gradient), "theirs": by_scipy}, "theirs"),
    ):
        with pytest.raises(
            ValueError, match=f"result '{name}' has no history: draw what fastgd.minimize returns"
        ):
            LossCurveDisplay.from_result(results)
        with pytest.raises(ValueError, match=f"result '{name}' has no history"):
            DescentPathDisplay.from_result(bowl, results)
    assert LossCurveDisplay.from_result(
        scipy_minimize(bowl, [4, 1], jac=bowls_gradient, method=fastgd.auto)
    ).lines_


def test_contours_are_those_of_the_cost():
    """The lowest level is the least cost in the picture, and the rings of a bowl lie evenly: their
    levels grow as squares.
    """
    display = DescentPathDisplay(lambda theta: theta @ theta, {"a": [(0, 0)]}).plot(
        xlim=(-1, 1), ylim=(-1, 1), resolution=101
    )
    levels = display.contours_.levels
    assert levels[0] == 0 and levels[-1] == pytest.approx(2)
    radii = np.sqrt(levels[levels < 0.9])
    assert np.diff(radii) == pytest.approx(np.diff(radii).mean(), rel=0.1)
    assert display.ax_.get_xlim() == (-1, 1) and display.ax_.get_ylim() == (-1, 1)


def test_contours_below_zero_are_drawn_like_the_others():
    display = DescentPathDisplay(lambda theta: theta @ theta - 1, {"a": [(0, 0)]}).plot(
        xlim=(-1, 1), ylim=(-1, 1), resolution=30
    )
    lines = [drawn for drawn in display.ax_.collections if drawn is not display.contours_]
    assert lines and all(
        dashes == (0.0, None) for drawn in lines for dashes in drawn.get_linestyle()
    )


def test_costs_may_be_flat_or_undefined_in_places():
    with np.errstate(invalid="ignore"):
        display = DescentPathDisplay(lambda theta: np.log(theta[0]), {"a": [(1, 1)]}).plot(
            xlim=(-1, 2), ylim=(0, 1)
        )
        assert display.contours_.levels[-1] == pytest.approx(np.log(2))
        with pytest.raises(ValueError, match="nowhere finite"):
            DescentPathDisplay(lambda theta: np.log(theta[0]), {"a": [(-2, 1), (-1, 1)]}).plot()
    DescentPathDisplay(lambda theta: 7.0, PATHS).plot()


def test_an_animation_grows_the_paths_to_their_ends(tmp_path):
    image = pytest.importorskip("PIL.Image")
    figure, ax = plt.subplots(figsize=(2, 2))
    display = DescentPathDisplay(bowl, PATHS).plot(ax=ax, resolution=10, levels=3)
    display.save_animation(tmp_path / "paths.gif", seconds=2, fps=4)
    with image.open(tmp_path / "paths.gif") as gif:
        assert gif.n_frames > 3
        first = np.asarray(gif.convert("RGB"))
        gif.seek(gif.n_frames - 1)
        assert (np.asarray(gif.convert("RGB")) != first).any()
    assert_array_equal(display.lines_[1].get_xydata(), PATHS["zigzag"])


@pytest.mark.parametrize("legend", [{}, {"loc": "upper left", "bbox_to_anchor": (1, 1)}])
def test_the_legend_stands_still_while_paths_grow(tmp_path, monkeypatch, legend):
    pytest.importorskip("PIL.Image")
    from matplotlib.animation import PillowWriter

    places, grab = [], PillowWriter.grab_frame

    def watch(self):
        grab(self)
        places.append(display.ax_.get_legend().get_window_extent().bounds)

    monkeypatch.setattr(PillowWriter, "grab_frame", watch)
    corner = {"a": [(0, 0), (0, 1), (1, 1), (1, 0.6)], "b": [(0, 0), (1, 0)]}
    display = DescentPathDisplay(bowl, corner).plot(
        plt.subplots(figsize=(5, 4), layout="constrained")[1], resolution=10
    )
    if legend:
        display.ax_.legend(**legend)
    display.figure_.draw_without_rendering()
    at_first = display.ax_.get_legend().get_window_extent().bounds
    display.save_animation(tmp_path / "paths.gif", seconds=2, fps=4)
    np.testing.assert_allclose(places, [at_first] * len(places), atol=1)


@pytest.mark.parametrize("points", [[], [1, 2], [(1, 2, 3)]])
def test_paths_have_two_parameters(points):
    with pytest.raises(ValueError, match="path 'a' must have shape"):
        DescentPathDisplay(bowl, {"a": points}).plot()
    with pytest.raises(ValueError, match="paths must not be empty"):
        DescentPathDisplay(bowl, {}).plot()


def test_coefficients_are_those_of_a_fit_at_every_alpha(data):
    alphas = [1.0, 0.01, 0.1]
    display = CoefficientPathDisplay.from_estimator(
        Lasso(tol=1e-8), data.X, data.values, alphas=alphas
    )
    assert display.coefs.shape == (3, data.X.shape[1])
    for alpha, coef in zip(alphas, display.coefs, strict=True):
        assert_array_equal(coef, Lasso(alpha, tol=1e-8).fit(data.X, data.values).coef_)
    for k, line in enumerate(display.lines_):
        assert_array_equal(curve(line)[0], sorted(alphas))
        assert_array_equal(curve(line)[1], display.coefs[[1, 2, 0], k])
    assert display.ax_.get_xscale() == "log"


def test_coefficients_in_a_pipeline_have_the_names_of_the_columns():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(np.random.default_rng(0).standard_normal((30, 3)), columns=["a", "b", "c"])
    model = make_pipeline(StandardScaler(), Ridge())
    weights = np.arange(30.0)
    display = CoefficientPathDisplay.from_estimator(
        model, X, X @ [1.0, -2.0, 0.5], alphas=[0.1, 1], sample_weight=weights
    )
    assert [line.get_label() for line in display.lines_] == ["a", "b", "c"]
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [
        "a",
        "c",
        "b",
    ]  # from top to bottom
    alone = Ridge(0.1).fit(StandardScaler().fit_transform(X), X @ [1.0, -2.0, 0.5], weights)
    np.testing.assert_allclose(display.coefs[0], alone.coef_)
    assert model.named_steps["ridge"].alpha == 1.0 and not hasattr(model[-1], "coef_")


def test_of_many_coefficients_the_legend_names_the_largest():
    coefs = np.linspace(-1, 1, 101)[None, :] * np.ones((2, 1))
    display = CoefficientPathDisplay([1, 10], coefs).plot()
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert len(display.lines_) == 101 and len(names) == 12
    assert names[0] == "x100" and names[-1] == "x0"


def test_with_errors_the_legend_names_the_largest_at_the_least_error():
    """Of many coefficients, without those that are zero there."""
    coefs = np.zeros((20, 3))
    coefs[:, 0] = np.arange(20)
    coefs[[3, 4, 5], 1] = [-2, 1, 3]
    errors = np.array([[3, 3], [1, 1.5], [2, 2]])
    display = CoefficientPathDisplay.from_path([0.1, 1, 10], coefs, errors=errors)
    legend = display.ax_.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["x5", "x4", "x3"]
    assert legend.get_title().get_text() == "Largest at\nleast error"
    assert display.alpha_ == display.alpha_1se_ == 1.0
    # All are zero at the largest alpha.
    display = CoefficientPathDisplay.from_path([0.1, 1, 10], coefs, errors=errors, alpha=10)
    assert display.ax_.get_legend().get_texts()[0].get_text() == "x19"


@pytest.mark.parametrize("n_folds", [1, 20, 21])
def test_errors_of_few_folds_are_drawn_below_the_legend(n_folds):
    errors = np.random.default_rng(0).uniform(1, 2, (3, n_folds))
    display = CoefficientPathDisplay.from_path([0.1, 1, 10], np.ones((2, 3)), errors=errors)
    mean, choices = 1, 2
    lines = display.error_ax_.lines
    assert len(lines) == mean + choices + (n_folds if n_folds <= 20 else 0)
    assert_array_equal(curve(display.error_line_)[1], errors.mean(axis=1))
    display.figure_.draw_without_rendering()
    legend = display.error_ax_.get_legend().get_window_extent()
    below = display.error_ax_.transData.inverted().transform(legend.min)[1]
    highest = max(curve(line)[1].max() for line in lines if len(curve(line)[1]) == 3)
    assert highest < below


@pytest.mark.parametrize("alphas", [1, 4, [0.5], [0.1, 0.5]])
def test_errors_are_those_of_the_chosen_l1_ratio(data, alphas):
    model = ElasticNetCV(l1_ratio=[0.2, 0.9], alphas=alphas, cv=3).fit(data.X, data.values)
    display = CoefficientPathDisplay.from_estimator(model, data.X, data.values)
    count = alphas if isinstance(alphas, int) else len(alphas)
    assert display.errors.shape == (count, 3)
    assert display.errors.mean(axis=1).min() == model.mse_path_.mean(axis=-1).min()


def test_leave_one_out_errors_are_drawn_from_a_path(data):
    alphas = np.geomspace(100, 0.1, 5)
    model = RidgeCV(alphas=alphas, store_cv_results=True).fit(data.X, data.values)
    path = fastgd.ridge_path(data.X, data.values, alphas=alphas)
    display = CoefficientPathDisplay.from_path(*path, errors=model.cv_results_.T)
    assert display.alpha_ == model.alpha_ <= display.alpha_1se_


def test_coefficients_that_cannot_be_drawn_are_refused(data):
    with pytest.raises(ValueError, match="alphas must be positive"):
        CoefficientPathDisplay([0, 1], np.ones((2, 3))).plot()
    with pytest.raises(ValueError, match="a row for each of the 2 alphas, got shape"):
        CoefficientPathDisplay([1, 2], np.ones((3, 2))).plot()
    with pytest.raises(ValueError, match="single row of coefficients"):
        CoefficientPathDisplay.from_estimator(
            Ridge(), data.X, np.column_stack([data.values, data.values]), alphas=[1]
        )
    for model in (Ridge(), RidgeCV()):
        with pytest.raises(ValueError, match="only LassoCV and ElasticNetCV have their own"):
            CoefficientPathDisplay.from_estimator(model, data.X, data.values)
