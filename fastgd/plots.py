"""Figures of training and descent, in the style of scikit-learn's displays.

matplotlib is imported when something is drawn.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import OptimizeResult
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from fastgd.optimize import minimize
from fastgd.rates import learning_rate_range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike
    from typing import Self

    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.contour import QuadContourSet
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from numpy.typing import ArrayLike

    from fastgd.problem.array_types import Matrix

# The labels of the axes.
ALONG = {"epochs": "Epoch", "iterations": "Iteration", "seconds": "Time in seconds"}
QUANTITIES = {
    "loss": "Loss",
    "fun": "Cost",
    "gradient_norm": "Norm of the gradient",
    "learning_rate": "Learning rate",
}
# Paths with more steps have no dot at each: the dots would cover the line.
MARKED_STEPS = 60
# The legend names at most this number of coefficients: more are hard to tell apart.
NAMED_COEFFICIENTS = 12
# More folds than this, such as those of leave-one-out, have no line each: they would hide the mean.
DRAWN_FOLDS = 20
# Room for the legend of the errors above the curves, relative to their height.
LEGEND_ROOM = 0.2
# A legend with more names than this stands beside the curves: inside it would hide them.
FEW_NAMES = 8
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}
# The line styles of coefficients: matplotlib has ten colours.
DASHES = ["-"] * 10 + ["--"] * 10 + [":"] * 10
# The lines at strengths of a penalty: of the least error, and of the one-standard-error rule.
CHOSEN = {"color": "black", "linewidth": 1.2, "linestyle": "--", "zorder": 1.5}
SIMPLER = {"color": "black", "linewidth": 1.2, "linestyle": ":", "zorder": 1.5}
# The points of descent paths.
STEP = {"marker": "o", "markersize": 3}
START = {"color": "white", "markersize": 7, "markeredgecolor": "black", "zorder": 5}
END = {"markersize": 8, "markeredgecolor": "white", "zorder": 4}


def _pyplot():
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("Drawing needs matplotlib: pip install 'fastgd[plot]'") from error
    return pyplot


class _Display:
    """What all displays have: the axes that they draw on."""

    ax_: Axes
    figure_: Figure

    def _set_axes(self, ax, width=6.4):
        """Draw on `ax`, or on the axes of a new figure."""
        if ax is None:
            _, ax = _pyplot().subplots(figsize=(width, 4.4), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure


class LossCurveDisplay(_Display):
    """Loss curves of one or several trainings.

    Use `from_estimator` for fitted estimators, and `from_result` for results of `minimize`.

    Parameters
    ----------
    histories : dict of str to dict
        The history of each curve, by its name, such as an estimator's ``history_``: lists
        ``loss``, ``seconds`` and optionally ``validation_loss``.
    x : {'epochs', 'iterations', 'seconds'}, default='epochs'
        The horizontal axis. Epochs count from 1, iterations from 0, the start.
    y : {'loss', 'fun', 'gradient_norm', 'learning_rate'}, default='loss'
        The list of each history to draw.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves. Validation losses are dashed, and follow the training losses of the same
        colour.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import LossCurveDisplay, SGDRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> settings = {"random_state": 0, "max_iter": 30, "tol": None}
    >>> models = {f"batch_size={size}": SGDRegressor(batch_size=size, **settings).fit(X, y)
    ...           for size in (1, 32, "full")}
    >>> display = LossCurveDisplay.from_estimator(models)
    >>> len(display.lines_)
    3
    """

    lines_: list[Line2D]

    def __init__(
        self, histories: Mapping[str, Mapping[str, Any]], *, x: str = "epochs", y: str = "loss"
    ) -> None:
        self.histories, self.x, self.y = histories, x, y

    @classmethod
    def from_estimator(
        cls,
        estimators: Any,
        *,
        x: str = "epochs",
        y: str = "loss",
        log_scale: bool | None = None,
        ax: Axes | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the curves of fitted estimators.

        Parameters
        ----------
        estimators : estimator, list of estimators, or dict of str to estimator
            Fitted estimators of fastgd, or pipelines that end in one. A dict names the curves.
        x : {'epochs', 'seconds'}, default='epochs'
            The horizontal axis.
        y : {'loss', 'gradient_norm', 'learning_rate'}, default='loss'
            The quantity to draw. With 'loss', the validation losses are drawn too, if any.
        log_scale : bool or None, default=None
            Whether the vertical axis is logarithmic; None: if all values are positive and span
            more than a factor of ten.
        ax : matplotlib Axes, default=None
            Axes to draw on; None: those of a new figure.
        line_kw : dict, default=None
            Arguments of matplotlib's ``plot``.

        Returns
        -------
        display : LossCurveDisplay
        """
        if not isinstance(estimators, dict):
            several = list(estimators) if isinstance(estimators, (list, tuple)) else [estimators]
            names = [type(_last_step(estimator)).__name__ for estimator in several]
            if len(several) > 1:
                names = [f"{name} {number}" for number, name in enumerate(names, 1)]
            estimators = dict(zip(names, several, strict=True))
        histories = {}
        for name, estimator in estimators.items():
            check_is_fitted(_last_step(estimator), "history_")
            histories[name] = _last_step(estimator).history_
        return cls(histories, x=x, y=y).plot(ax=ax, log_scale=log_scale, line_kw=line_kw)

    @classmethod
    def from_result(
        cls,
        results: Any,
        *,
        x: str = "iterations",
        y: str = "fun",
        log_scale: bool | None = None,
        ax: Axes | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the costs of the iterations of `minimize`.

        Parameters
        ----------
        results : OptimizeResult or dict of str to OptimizeResult
            Results of `minimize`. A dict names the curves.
        x : {'iterations', 'seconds'}, default='iterations'
            The horizontal axis.
        y : {'fun', 'gradient_norm', 'learning_rate'}, default='fun'
            The quantity to draw.
        log_scale, ax, line_kw
            As in `from_estimator`.

        Returns
        -------
        display : LossCurveDisplay
        """
        return cls(_histories(results), x=x, y=y).plot(ax=ax, log_scale=log_scale, line_kw=line_kw)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        log_scale: bool | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax, log_scale, line_kw
            As in `from_estimator`.

        Returns
        -------
        self : LossCurveDisplay
        """
        for name, value, allowed in (("x", self.x, ALONG), ("y", self.y, QUANTITIES)):
            if value not in allowed:
                choices = ", ".join(map(repr, allowed))
                raise ValueError(f"{name} must be one of {choices}, got {value!r}")
        if not self.histories:
            raise ValueError("estimators must not be empty: there is nothing to draw")
        self._set_axes(ax)
        self.lines_ = []
        for name, history in self.histories.items():
            self._draw_curve(name, history, line_kw or {})
        self.ax_.set(xlabel=ALONG[self.x], ylabel=QUANTITIES[self.y])
        drawn = np.concatenate([line.get_ydata() for line in self.lines_])
        if log_scale or (log_scale is None and _is_wide(drawn)):
            self.ax_.set_yscale("log")
        # Few ticks for seconds, whose labels are long; the others are whole numbers.
        ticks = {"nbins": 5} if self.x == "seconds" else {"integer": True}
        self.ax_.locator_params(axis="x", **ticks)
        self.ax_.legend(**BESIDE if len(self.lines_) > FEW_NAMES else {})
        return self

    def _draw_curve(self, name, history, line_kw):
        """Draw the curve of a history, and that of the validation rows, if any."""
        count = len(history[self.y])
        # Iteration 0 is the start, epoch 1 the first pass.
        numbers = np.arange(count) + (self.x == "epochs")
        along = history["seconds"] if self.x == "seconds" else numbers
        style = {"label": name, "marker": "." if count < 3 else None, **line_kw}
        self.lines_ += self.ax_.plot(along, history[self.y], **style)
        if f"validation_{self.y}" in history:
            style |= {"color": self.lines_[-1].get_color(), "linestyle": "--"}
            style["label"] = f"{name}, validation"
            self.lines_ += self.ax_.plot(along, history[f"validation_{self.y}"], **style)


class DescentPathDisplay(_Display):
    """Paths of descent over the contours of a cost with two parameters.

    Use `from_function` to run methods from one start, and `from_result` for results of `minimize`
    with recorded paths.

    Parameters
    ----------
    fun : callable
        The cost, ``fun(theta) -> float`` of an array of two numbers.
    paths : dict of str to array-like of shape (n_steps + 1, 2)
        The points of each path, by its name, from its start.

    Attributes
    ----------
    contours_ : matplotlib QuadContourSet
        The filled contours.
    lines_ : list of matplotlib Line2D
        One line per path.
    ends_ : list of matplotlib Line2D
        The last point of each path.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import DescentPathDisplay
    >>> def cost(theta):
    ...     return theta[0] ** 2 + 4 * theta[1] ** 2
    >>> def gradient(theta):
    ...     return np.array([2 * theta[0], 8 * theta[1]])
    >>> methods = ["gd", "momentum", "adam"]
    >>> display = DescentPathDisplay.from_function(cost, [3, 2], gradient, methods)
    >>> {name: result.success for name, result in display.results_.items()}
    {'gd': True, 'momentum': True, 'adam': True}
    """

    contours_: QuadContourSet
    lines_: list[Line2D]
    ends_: list[Line2D]

    def __init__(self, fun: Callable[..., Any], paths: Mapping[str, ArrayLike]) -> None:
        self.fun, self.paths = fun, paths

    @classmethod
    def from_function(
        cls,
        fun: Callable[..., Any],
        x0: ArrayLike,
        jac: Callable[..., Any] | bool | None,
        methods: Any,
        *,
        ax: Axes | None = None,
        plot_kw: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Self:
        """Minimise a cost by several methods from one start, and draw the paths.

        Parameters
        ----------
        fun : callable
            The cost, ``fun(theta) -> float``; with ``jac=True`` it returns (cost, gradient).
        x0 : array-like of shape (2,)
            The start.
        jac : callable, True or None
            The gradient, as `minimize` takes it.
        methods : list of str, or dict of str to dict
            Methods of `minimize`, or arguments of `minimize` by the name of the path, such as
            ``{"rate 0.1": {"method": "gd", "learning_rate": 0.1}}``.
        ax : matplotlib Axes, default=None
            Axes to draw on; None: those of a new figure.
        plot_kw : dict, default=None
            Arguments of `plot`.
        **settings
            Arguments of `minimize` for every path.

        Returns
        -------
        display : DescentPathDisplay
            Its attribute ``results_`` holds the results of `minimize`.
        """
        if not isinstance(methods, dict):
            methods = {name: {"method": name} for name in methods}
        settings["record_path"] = True
        results = {name: minimize(fun, x0, jac, **settings | run) for name, run in methods.items()}
        cost = (lambda theta: fun(theta)[0]) if jac is True else fun
        return cls.from_result(cost, results, ax=ax, plot_kw=plot_kw)

    @classmethod
    def from_result(
        cls,
        fun: Callable[..., Any],
        results: Any,
        *,
        ax: Axes | None = None,
        plot_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the paths that `minimize` has recorded.

        Parameters
        ----------
        fun : callable
            The cost whose contours are drawn, ``fun(theta) -> float``; for a stochastic cost, the
            cost of all rows.
        results : OptimizeResult or dict of str to OptimizeResult
            Results of ``minimize(..., record_path=True)``. A dict names the paths.
        ax : matplotlib Axes, default=None
            Axes to draw on; None: those of a new figure.
        plot_kw : dict, default=None
            Arguments of `plot`.

        Returns
        -------
        display : DescentPathDisplay
            Its attribute ``results_`` holds the results.
        """
        histories = _histories(results)
        for name, history in histories.items():
            if "x" not in history:
                needed = "minimize(..., record_path=True)"
                raise ValueError(f"result {name!r} has no path: it needs {needed}")
        display = cls(fun, {name: history["x"] for name, history in histories.items()})
        display.results_ = _named(results)
        return display.plot(ax=ax, **(plot_kw or {}))

    def plot(
        self,
        ax: Axes | None = None,
        *,
        xlim: tuple[float, float] | None = None,
        ylim: tuple[float, float] | None = None,
        levels: int = 20,
        resolution: int = 120,
        names: Sequence[str] = ("theta[0]", "theta[1]"),
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the contours and the paths.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None: those of a new figure.
        xlim, ylim : (float, float), default=None
            The limits of the axes; None: those of the paths, plus a margin.
        levels : int, default=20
            Number of contours. They lie at quantiles of the cost, so that the rings of a bowl are
            evenly spaced and ravines are visible.
        resolution : int, default=120
            The cost is evaluated at ``resolution**2`` points.
        names : (str, str), default=('theta[0]', 'theta[1]')
            Names of the two parameters.
        line_kw : dict, default=None
            Arguments of matplotlib's ``plot`` for the paths.

        Returns
        -------
        self : DescentPathDisplay
        """
        paths = {name: _path(name, points) for name, points in self.paths.items()}
        if not paths:
            raise ValueError("paths must not be empty: there is nothing to draw")
        self._set_axes(ax)
        points = np.concatenate(list(paths.values()))
        x, y = (_limits(points[:, k], given) for k, given in enumerate((xlim, ylim)))
        self._draw_contours(np.linspace(*x, resolution), np.linspace(*y, resolution), levels)
        self.lines_, self.ends_ = [], []
        for name, points in paths.items():
            self._draw_path(name, points, line_kw or {})
        starts = np.unique([points[0] for points in paths.values()], axis=0)
        self.ax_.plot(*starts.T, "o", label="start", **START)
        self.ax_.set(xlim=x, ylim=y, xlabel=names[0], ylabel=names[1])
        self.ax_.legend(framealpha=0.9)
        return self

    def save_animation(
        self, file: str | PathLike[str], *, seconds: float = 5.0, fps: int = 12
    ) -> None:
        """Write a GIF in which the paths grow by the same number of steps per frame. Its last
        second is still.

        Parameters
        ----------
        file : str or path
            The file to write, with a name that ends in ``.gif``.
        seconds : float, default=5.0
            Duration of the animation.
        fps : int, default=12
            Frames per second.
        """
        if not hasattr(self, "lines_"):
            self.plot()
        from matplotlib.animation import PillowWriter

        paths = [np.asarray(points, dtype=float) for points in self.paths.values()]
        frames = max(2, round((seconds - 1) * fps))
        steps = np.linspace(1, max(map(len, paths)), frames).round().astype(int)
        self._fix_layout()
        layout = self.figure_.get_layout_engine()
        self.figure_.set_layout_engine("none")  # one layout for all frames
        writer = PillowWriter(fps=fps)
        with writer.saving(self.figure_, file, self.figure_.dpi):
            for shown in [*steps, *[steps[-1]] * fps]:
                for points, line, end in zip(paths, self.lines_, self.ends_, strict=True):
                    line.set_data(*points[:shown].T)
                    end.set_data(*points[:shown][-1:].T)
                writer.grab_frame()
        self.figure_.set_layout_engine(layout)

    def _fix_layout(self):
        """Keep the legend where it hides least of the whole paths, while they grow."""
        self.figure_.draw_without_rendering()
        legend = self.ax_.get_legend()
        if legend is not None:
            place = legend.get_window_extent().transformed(self.ax_.transAxes.inverted())
            legend.set_bbox_to_anchor(None)
            legend.set_loc((place.x0, place.y0))

    def _draw_path(self, name, points, line_kw):
        """Draw a path, with a white halo, and its end."""
        from matplotlib.patheffects import withStroke

        width = line_kw.get("linewidth", 1.5)
        halo = [withStroke(linewidth=2 * width, foreground="white")]
        style = {"label": name, "linewidth": width, "path_effects": halo}
        style |= {"solid_joinstyle": "round"} | (STEP if len(points) <= MARKED_STEPS else {})
        self.lines_ += self.ax_.plot(*points.T, **{**style, **line_kw})
        self.ends_ += self.ax_.plot(*points[-1:].T, "o", color=self.lines_[-1].get_color(), **END)

    def _draw_contours(self, x, y, levels):
        """Draw filled contours and their lines, except where the cost is not finite."""
        cost = np.array([[float(self.fun(np.array([a, b]))) for a in x] for b in y])
        cost = np.ma.masked_invalid(cost)
        finite = cost.compressed()
        if not finite.size:
            raise ValueError("fun is nowhere finite in the picture")
        levels = np.unique(np.quantile(finite, np.linspace(0, 1, levels + 1) ** 2))
        if len(levels) < 2:  # the cost is constant
            levels = levels[0] + np.array([-1.0, 1.0])
        # Darker is lower. Colours follow ranks, because costs may span many powers of ten.
        shades = _pyplot().get_cmap("Greys_r")(np.linspace(0.5, 0.98, len(levels) - 1))
        self.contours_ = self.ax_.contourf(x, y, cost, levels, colors=shades)
        white = {"colors": "white", "linewidths": 0.6, "linestyles": "solid", "alpha": 0.8}
        self.ax_.contour(x, y, cost, levels, **white)


class CoefficientPathDisplay(_Display):
    """Coefficients of a linear model against the strength of its penalty, and beside them its
    errors in cross-validation, if there are any.

    Use `from_estimator` to fit and draw, and `from_path` for a path such as that of `lasso_path`.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        Strengths of the penalty, > 0.
    coefs : array-like of shape (n_alphas, n_features)
        The coefficients at each of them.
    feature_names : list of str, default=None
        Names of the columns; None: x0, x1, ...
    errors : array-like of shape (n_alphas, n_folds), default=None
        The mean squared errors of each fold.
    alpha : float, default=None
        The chosen strength, one of `alphas`; None: that of the least mean error.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        One line per coefficient. The legend names the 12 largest: those at the chosen strength, or
        without errors at the smallest one.
    error_line_ : matplotlib Line2D
        The mean of the errors; None without errors. Thin lines show the errors of up to 20 folds.
    error_band_ : matplotlib PolyCollection
        One standard error of the mean to each side; None without errors.
    alpha_ : float
        The chosen strength; None without errors.
    alpha_1se_ : float
        The largest strength whose mean error is at most one standard error above that of the chosen
        one; None without errors.
    ax_ : matplotlib Axes
    error_ax_ : matplotlib Axes
        The axes of the errors; None if there are none.
    figure_ : matplotlib Figure

    References
    ----------
    Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd edition (2009),
    section 7.10: the one-standard-error rule.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import CoefficientPathDisplay, Lasso, LassoCV
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> display = CoefficientPathDisplay.from_estimator(Lasso(), X, y, alphas=[0.01, 0.1, 1, 10])
    >>> (display.coefs != 0).sum(axis=1)
    array([10,  7,  3,  0])
    >>> display = CoefficientPathDisplay.from_estimator(LassoCV(), X, y)
    >>> round(display.alpha_, 4), round(display.alpha_1se_, 4)
    (0.0038, 0.1868)
    """

    lines_: list[Line2D]
    error_line_: Line2D | None
    error_band_: PolyCollection | None
    alpha_: float | None
    alpha_1se_: float | None
    error_ax_: Axes | None

    def __init__(
        self,
        alphas: ArrayLike,
        coefs: ArrayLike,
        *,
        feature_names: Sequence[str] | None = None,
        errors: ArrayLike | None = None,
        alpha: float | None = None,
    ) -> None:
        self.alphas, self.coefs, self.feature_names = alphas, coefs, feature_names
        self.errors, self.alpha = errors, alpha

    @classmethod
    def from_path(
        cls,
        alphas: ArrayLike,
        coefs: ArrayLike,
        *,
        feature_names: Sequence[str] | None = None,
        errors: ArrayLike | None = None,
        alpha: float | None = None,
        ax: Any = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw a path that has been computed, such as that of `lasso_path`.

        Parameters
        ----------
        alphas : array-like of shape (n_alphas,)
            Strengths of the penalty, > 0.
        coefs : array-like of shape (n_features, n_alphas)
            The coefficients: the last axis is that of the strengths.
        feature_names, errors, alpha
            As of the class.
        ax : matplotlib Axes or pair of them, default=None
            Axes to draw on, the second ones for errors; None: those of a new figure.
        line_kw : dict, default=None
            Arguments of matplotlib's ``plot``.

        Returns
        -------
        display : CoefficientPathDisplay
        """
        alphas, coefs = np.asarray(alphas), np.asarray(coefs)
        if coefs.ndim != 2 or coefs.shape[1] != len(alphas):
            raise ValueError(
                f"coefs must have shape (n_features, {len(alphas)}), got {coefs.shape}: draw the "
                "paths of several targets one by one"
            )
        display = cls(alphas, coefs.T, feature_names=feature_names, errors=errors, alpha=alpha)
        return display.plot(ax=ax, line_kw=line_kw)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Matrix,
        y: ArrayLike,
        *,
        alphas: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        ax: Any = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Fit a clone at every alpha and draw its coefficients; of a model that chooses its penalty
        by cross-validation, fit a clone and draw its path and its errors.

        Parameters
        ----------
        estimator : estimator
            An estimator with a parameter `alpha` and a single row of coefficients, such as `Lasso`
            and `Ridge`, or `LassoCV` or `ElasticNetCV`, or a pipeline that ends in one.
        X, y : array-likes
            Training data.
        alphas : array-like of shape (n_alphas,), default=None
            Strengths of the penalty, > 0. None: those of a model with cross-validation, which has
            them as a parameter.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        ax : matplotlib Axes or pair of them, default=None
            Axes to draw on, the second ones for errors; None: those of a new figure.
        line_kw : dict, default=None
            Arguments of matplotlib's ``plot``.

        Returns
        -------
        display : CoefficientPathDisplay
        """
        model = clone(estimator)
        last = f"{model.steps[-1][0]}__" if hasattr(model, "steps") else ""
        weights = {} if sample_weight is None else {f"{last}sample_weight": sample_weight}
        is_chosen, others = hasattr(_last_step(model), "_coefficient_path"), {}
        if is_chosen and alphas is not None:
            model.set_params(**{f"{last}alphas": alphas})
        if is_chosen:
            model.fit(X, y, **weights)
            rows = model[:-1].transform(X) if hasattr(model, "steps") else X
            path = _last_step(model)._coefficient_path(rows, y, sample_weight)
            alphas, coefs, others["errors"], others["alpha"] = path
        elif alphas is None:
            raise ValueError(
                f"alphas must be given for {type(_last_step(model)).__name__}: only LassoCV and "
                "ElasticNetCV have their own; draw other paths with from_path"
            )
        else:
            coefs = [_single_row(model, {f"{last}alpha": a}, X, y, weights) for a in alphas]
        names = getattr(model, "feature_names_in_", None)
        names = getattr(_last_step(model), "feature_names_in_", names)
        names = None if names is None or len(names) != len(coefs[0]) else list(names)
        display = cls(np.asarray(alphas), np.array(coefs), feature_names=names, **others)
        return display.plot(ax=ax, line_kw=line_kw)

    def plot(self, ax: Any = None, *, line_kw: dict[str, Any] | None = None) -> Self:
        """Draw the paths of the coefficients, and the errors.

        Parameters
        ----------
        ax, line_kw
            As in `from_estimator`.

        Returns
        -------
        self : CoefficientPathDisplay
        """
        alphas, coefs = np.asarray(self.alphas, dtype=float), np.asarray(self.coefs, dtype=float)
        if coefs.ndim != 2 or len(coefs) != len(alphas) or not len(alphas):
            raise ValueError(
                f"coefs must have a row for each of the {len(alphas)} alphas, got shape "
                f"{coefs.shape}"
            )
        if not (alphas > 0).all():
            raise ValueError("alphas must be positive: their axis is logarithmic")
        order = np.argsort(alphas)
        errors = None if self.errors is None else self._checked_errors(alphas)[order]
        alphas, coefs, names = alphas[order], coefs[order], self.feature_names
        names = [f"x{k}" for k in range(coefs.shape[1])] if names is None else list(names)
        self._take_axes(ax, errors is not None)
        self.lines_ = []
        for name, coef, dash in zip(names, coefs.T, cycle(DASHES), strict=False):
            style = {"label": name, "linestyle": dash, **(line_kw or {})}
            self.lines_ += self.ax_.plot(alphas, coef, **style)
        self.ax_.axhline(0, color="black", linewidth=0.8, zorder=1)
        self.ax_.set(xscale="log", xlabel="alpha", ylabel="Coefficient")
        self.error_line_ = self.error_band_ = self.alpha_ = self.alpha_1se_ = None
        if errors is None:
            self._name_largest(coefs[0], "Largest")
            return self
        self._choose(alphas, errors)
        for axes in filter(None, (self.ax_, self.error_ax_)):
            axes.axvline(self.alpha_, label="least error", **CHOSEN)
            axes.axvline(self.alpha_1se_, label="one standard error", **SIMPLER)
        if self.error_ax_ is not None:
            self._draw_errors(alphas, errors)
        chosen, title = coefs[alphas == self.alpha_][0], "Largest at\nleast error"
        if not chosen.any():
            chosen, title = coefs[0], "Largest"
        self._name_largest(chosen, title, fontsize="small")
        return self

    def _name_largest(self, coef, title, **style):
        """Name the lines of the largest of these coefficients, from top to bottom. Of many, those
        that are zero have no name.
        """
        largest = np.argsort(-np.abs(coef), kind="stable")[:NAMED_COEFFICIENTS]
        if len(coef) > NAMED_COEFFICIENTS and coef.any():
            largest = largest[coef[largest] != 0]
        largest = largest[np.argsort(-coef[largest], kind="stable")]
        title = title if len(largest) < len(coef) else None
        handles = [self.lines_[k] for k in largest]
        self.ax_.legend(handles=handles, title=title, **style, **BESIDE)

    def _checked_errors(self, alphas):
        """The errors as an array (n_alphas, n_folds)."""
        errors = np.asarray(self.errors, dtype=float)
        if errors.ndim != 2 or len(errors) != len(alphas) or not errors.size:
            raise ValueError(f"errors must have shape ({len(alphas)}, n_folds), got {errors.shape}")
        return errors

    def _take_axes(self, ax, has_errors):
        """Draw on `ax`, one or a pair, or on those of a new figure."""
        self.error_ax_ = None
        if ax is None and has_errors:
            size = {"figsize": (11.5, 4.4), "layout": "constrained"}
            _, ax = _pyplot().subplots(1, 2, sharex=True, **size)
        if np.ndim(ax):
            ax, self.error_ax_ = np.ravel(ax)
        self._set_axes(ax, width=7.2)

    def _choose(self, alphas, errors):
        """Set the chosen strength, and that of the one-standard-error rule."""
        mean, error = errors.mean(axis=1), _standard_error(errors)
        best = int(mean.argmin())
        if self.alpha is not None:
            best = int(np.abs(np.log(alphas / self.alpha)).argmin())
        self.alpha_ = float(alphas[best])
        self.alpha_1se_ = float(alphas[mean <= mean[best] + error[best]].max())

    def _draw_errors(self, alphas, errors):
        """Draw the errors of the folds, their mean and its standard error."""
        ax, mean, error = self.error_ax_, errors.mean(axis=1), _standard_error(errors)
        if errors.shape[1] <= DRAWN_FOLDS:
            ax.plot(alphas, errors, color="gray", linewidth=0.6, alpha=0.5)
        (self.error_line_,) = ax.plot(
            alphas, mean, linewidth=2, label=f"mean of {errors.shape[1]} folds"
        )
        band = {"alpha": 0.25, "linewidth": 0, "label": "its standard error"}
        self.error_band_ = ax.fill_between(alphas, mean - error, mean + error, **band)
        ax.set(xscale="log", xlabel="alpha", ylabel="Mean squared error")
        ax.set_title(f"alpha = {self.alpha_:.3g} (one standard error: {self.alpha_1se_:.3g})")
        handles, labels = ax.get_legend_handles_labels()
        place = {"loc": "upper center", "ncols": 2, "framealpha": 1.0}
        ax.legend(handles, labels, fontsize="small", **place)
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + LEGEND_ROOM * (high - low))


class LearningRateDisplay(_Display):
    """The loss against an increasing learning rate, as computed by `learning_rate_range`.

    Use `from_estimator` to run the test and draw it.

    Parameters
    ----------
    rates, losses : ndarray of shape (n,)
        The results of `learning_rate_range`.

    Attributes
    ----------
    line_ : matplotlib Line2D
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastgd import LearningRateDisplay, SGDClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SGDClassifier("log_loss", batch_size=8)
    >>> display = LearningRateDisplay.from_estimator(model, X, y, random_state=0)
    >>> display.ax_.get_xscale()
    'log'
    """

    line_: Line2D

    def __init__(self, rates: ArrayLike, losses: ArrayLike) -> None:
        self.rates, self.losses = rates, losses

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Matrix,
        y: Matrix,
        low: float = 1e-6,
        high: float = 10.0,
        *,
        n_steps: int = 100,
        random_state: int | np.random.RandomState | None = None,
        ax: Axes | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Run a learning-rate range test and draw it.

        Parameters
        ----------
        estimator, X, y, low, high, n_steps, random_state
            As in `learning_rate_range`.
        ax : matplotlib Axes, default=None
            Axes to draw on; None: those of a new figure.
        line_kw : dict, default=None
            Arguments of matplotlib's ``plot``.

        Returns
        -------
        display : LearningRateDisplay
        """
        _pyplot()  # an error before the fits if matplotlib is missing
        rates, losses = learning_rate_range(
            estimator, X, y, low, high, n_steps=n_steps, random_state=random_state
        )
        return cls(rates, losses).plot(ax=ax, line_kw=line_kw)

    def plot(self, ax: Axes | None = None, *, line_kw: dict[str, Any] | None = None) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax, line_kw
            As in `from_estimator`.

        Returns
        -------
        self : LearningRateDisplay
        """
        self._set_axes(ax)
        (self.line_,) = self.ax_.plot(self.rates, self.losses, **(line_kw or {}))
        yscale = "log" if _is_wide(self.losses) else "linear"
        self.ax_.set(xlabel="Learning rate", ylabel="Loss", xscale="log", yscale=yscale)
        return self


def _last_step(estimator):
    """The estimator itself, or the one that a pipeline ends in."""
    return estimator[-1] if hasattr(estimator, "steps") else estimator


def _single_row(model, parameters, X, y, weights):
    """The coefficients of a model fitted with these parameters."""
    coef = np.asarray(_last_step(model.set_params(**parameters).fit(X, y, **weights)).coef_)
    if coef.size != coef.shape[-1]:
        raise ValueError(
            f"estimator must have a single row of coefficients, and coef_ has shape {coef.shape}"
        )
    return coef.ravel().copy()


def _standard_error(errors):
    """The standard error of the mean over folds; 0 for a single one."""
    folds = errors.shape[1]
    return errors.std(axis=1, ddof=1) / folds**0.5 if folds > 1 else np.zeros(len(errors))


def _named(results):
    """A dict of results."""
    is_named = isinstance(results, dict) and not isinstance(results, OptimizeResult)
    return results if is_named else {"minimize": results}


def _histories(results):
    """The histories of results, by name."""
    histories = {name: getattr(result, "history", None) for name, result in _named(results).items()}
    for name, history in histories.items():
        if not isinstance(history, dict) or "fun" not in history:
            raise ValueError(
                f"result {name!r} has no history: draw what fastgd.minimize returns; SciPy's own "
                "methods keep no costs of their iterations "
                "(scipy.optimize.minimize(..., method=fastgd.auto) does)"
            )
    return histories


def _path(name, points):
    """The points of a path, checked."""
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"path {name!r} must have shape (n_steps + 1, 2), got {points.shape}")
    return points


def _is_wide(values):
    """Whether the finite values are positive and span more than a factor of ten."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return values.min(initial=np.inf) > 0 and values.max() > 10 * values.min()


def _limits(values, given):
    """The limits of an axis."""
    if given is not None:
        return given
    low, high = values.min(), values.max()
    margin = 0.15 * (high - low) or 1.0
    return low - margin, high + margin
