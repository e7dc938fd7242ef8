"""Pictures of descent, in the style of scikit-learn's displays; matplotlib is loaded when something
is drawn.
"""

from importlib import import_module
from itertools import cycle

import numpy as np
from scipy.optimize import OptimizeResult
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from fastgd.optimize import minimize
from fastgd.rates import learning_rate_range

ALONG = {"epochs": "Epoch", "iterations": "Iteration", "seconds": "Time in seconds"}
QUANTITIES = {
    "loss": "Loss",
    "fun": "Cost",
    "gradient_norm": "Norm of the gradient",
    "learning_rate": "Learning rate",
}
MARKED_STEPS = 60  # paths with more steps are drawn without a dot at each
NAMED_COEFFICIENTS = 12
FEW_NAMES = 8  # more do not leave enough of a picture to be written into it
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}  # a legend's place


def _pyplot():
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("Drawing needs matplotlib: pip install 'fastgd[plot]'") from error
    return pyplot


def _axes(ax, width=6.4):
    """`ax`, or those of a new figure."""
    return _pyplot().subplots(figsize=(width, 4.4), layout="constrained")[1] if ax is None else ax


class LossCurveDisplay:
    """Loss curves of one or several trainings.

    Use `from_estimator` to make one from fitted estimators, `from_result` from what `minimize`
    returns.

    Parameters
    ----------
    histories : dict of str to dict
        Under each curve's name a history, as an estimator's ``history_``: lists ``loss``,
        ``seconds`` and perhaps ``validation_loss``.
    x : {'epochs', 'iterations', 'seconds'}, default='epochs'
        What runs along the horizontal axis. Epochs count from 1, iterations from 0, the start.
    y : {'loss', 'fun', 'gradient_norm', 'learning_rate'}, default='loss'
        Which list of the histories is drawn.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves; of validation losses, dashed and in the same colour, behind those of their
        training losses.
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

    def __init__(self, histories, *, x="epochs", y="loss"):
        self.histories = histories
        self.x = x
        self.y = y

    @classmethod
    def from_estimator(
        cls, estimators, *, x="epochs", y="loss", log_scale=None, ax=None, line_kw=None
    ):
        """Draw the curves of fitted estimators.

        Parameters
        ----------
        estimators : estimator, list of estimators, or dict of str to estimator
            Fitted estimators of this library, or pipelines that end in one. A dict names the
            curves.
        x : {'epochs', 'seconds'}, default='epochs'
            What runs along the horizontal axis.
        y : {'loss', 'gradient_norm', 'learning_rate'}, default='loss'
            What is drawn; beside the loss also that of the rows held out, where there is one.
        log_scale : bool or None, default=None
            Logarithmic vertical axis; None: where all values are positive and span more than a
            factor of ten.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        line_kw : dict, default=None
            Handed to matplotlib's ``plot``.

        Returns
        -------
        display : LossCurveDisplay
        """
        if not isinstance(estimators, dict):
            several = list(estimators) if isinstance(estimators, (list, tuple)) else [estimators]
            estimators = {}
            for number, estimator in enumerate(several, 1):
                name = type(_last_step(estimator)).__name__
                estimators[name if len(several) == 1 else f"{name} {number}"] = estimator
        histories = {}
        for name, estimator in estimators.items():
            check_is_fitted(_last_step(estimator), "history_")
            histories[name] = _last_step(estimator).history_
        return cls(histories, x=x, y=y).plot(ax=ax, log_scale=log_scale, line_kw=line_kw)

    @classmethod
    def from_result(
        cls, results, *, x="iterations", y="fun", log_scale=None, ax=None, line_kw=None
    ):
        """Draw the costs that `minimize` went through.

        Parameters
        ----------
        results : OptimizeResult or dict of str to OptimizeResult
            What `minimize` returned. A dict names the curves.
        x : {'iterations', 'seconds'}, default='iterations'
            What runs along the horizontal axis.
        y : {'fun', 'gradient_norm', 'learning_rate'}, default='fun'
            What is drawn.
        log_scale, ax, line_kw
            As those of `from_estimator`.

        Returns
        -------
        display : LossCurveDisplay
        """
        return cls(_histories(results), x=x, y=y).plot(ax=ax, log_scale=log_scale, line_kw=line_kw)

    def plot(self, ax=None, *, log_scale=None, line_kw=None):
        """Draw the curves; see `from_estimator` for the parameters.

        Returns
        -------
        self : LossCurveDisplay
        """
        for name, value, allowed in (("x", self.x, ALONG), ("y", self.y, QUANTITIES)):
            if value not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}"
                )
        if not self.histories:
            raise ValueError("estimators must not be empty: there is nothing to draw")
        self.ax_ = _axes(ax)
        self.figure_, self.lines_ = self.ax_.figure, []
        for name, history in self.histories.items():
            numbers = np.arange(len(history[self.y])) + (
                self.x == "epochs"
            )  # iteration 0 is the start, epoch 1 the first pass
            along = history["seconds"] if self.x == "seconds" else numbers
            style = {"label": name, "marker": "." if len(numbers) < 3 else None, **(line_kw or {})}
            self.lines_ += self.ax_.plot(along, history[self.y], **style)
            if f"validation_{self.y}" in history:
                style |= {
                    "label": f"{name}, validation",
                    "color": self.lines_[-1].get_color(),
                    "linestyle": "--",
                }
                self.lines_ += self.ax_.plot(along, history[f"validation_{self.y}"], **style)
        if log_scale or (
            log_scale is None
            and _is_wide(np.concatenate([line.get_ydata() for line in self.lines_]))
        ):
            self.ax_.set_yscale("log")
        self.ax_.set(xlabel=ALONG[self.x], ylabel=QUANTITIES[self.y])
        self.ax_.locator_params(
            axis="x", **{"nbins": 5} if self.x == "seconds" else {"integer": True}
        )  # seconds have many digits
        self.ax_.legend(**BESIDE if len(self.lines_) > FEW_NAMES else {})
        return self


class DescentPathDisplay:
    """Paths of descent over the contours of a cost with two parameters.

    Use `from_function` to let methods descend from one start, or `from_result` to draw what
    `minimize` has recorded.

    Parameters
    ----------
    fun : callable
        The cost, ``fun(theta) -> float`` of an array of two numbers.
    paths : dict of str to array-like of shape (n_steps + 1, 2)
        Under each path's name its points, the start first.

    Attributes
    ----------
    contours_ : matplotlib QuadContourSet
        The filled contours.
    lines_ : list of matplotlib Line2D
        A line a path.
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

    def __init__(self, fun, paths):
        self.fun = fun
        self.paths = paths

    @classmethod
    def from_function(cls, fun, x0, jac, methods, *, ax=None, plot_kw=None, **settings):
        """Minimise a cost in several ways from one start, and draw the paths.

        Parameters
        ----------
        fun : callable
            The cost, ``fun(theta) -> float``; with ``jac=True`` it returns (cost, gradient).
        x0 : array-like of shape (2,)
            The start.
        jac : callable, True or None
            The gradient, as `minimize` takes it.
        methods : list of str, or dict of str to dict
            Methods of `minimize`; or under each path's name settings of `minimize`, such as
            ``{"rate 0.1": {"method": "gd", "learning_rate": 0.1}}``.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        plot_kw : dict, default=None
            Handed to `plot`.
        **settings
            Handed to `minimize` for every path.

        Returns
        -------
        display : DescentPathDisplay
            Its attribute ``results_`` has what `minimize` returned.
        """
        runs = (
            methods
            if isinstance(methods, dict)
            else {method: {"method": method} for method in methods}
        )
        results = {
            name: minimize(fun, x0, jac, record_path=True, **{**settings, **run})
            for name, run in runs.items()
        }
        cost = (lambda theta: fun(theta)[0]) if jac is True else fun
        return cls.from_result(cost, results, ax=ax, plot_kw=plot_kw)

    @classmethod
    def from_result(cls, fun, results, *, ax=None, plot_kw=None):
        """Draw the paths that `minimize` has recorded.

        Parameters
        ----------
        fun : callable
            The cost to draw contours of, ``fun(theta) -> float``; of a stochastic cost that of all
            rows.
        results : OptimizeResult or dict of str to OptimizeResult
            What ``minimize(..., record_path=True)`` returned. A dict names the paths.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        plot_kw : dict, default=None
            Handed to `plot`.

        Returns
        -------
        display : DescentPathDisplay
            Its attribute ``results_`` has the results.
        """
        histories = _histories(results)
        for name, history in histories.items():
            if "x" not in history:
                raise ValueError(
                    f"result {name!r} has no path: it needs minimize(..., record_path=True)"
                )
        display = cls(fun, {name: history["x"] for name, history in histories.items()})
        display.results_ = _named(results)
        return display.plot(ax=ax, **(plot_kw or {}))

    def plot(
        self,
        ax=None,
        *,
        xlim=None,
        ylim=None,
        levels=20,
        resolution=120,
        names=("theta[0]", "theta[1]"),
        line_kw=None,
    ):
        """Draw the contours and the paths.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        xlim, ylim : (float, float), default=None
            The part of the plane that is drawn; None: where the paths are, and a little more.
        levels : int, default=20
            Contours. They lie at quantiles of the cost in the picture, so that bowls have even
            rings and ravines are visible.
        resolution : int, default=120
            The cost is evaluated at ``resolution**2`` points.
        names : (str, str), default=('theta[0]', 'theta[1]')
            The two parameters.
        line_kw : dict, default=None
            Handed to matplotlib's ``plot`` for the paths.

        Returns
        -------
        self : DescentPathDisplay
        """
        paths = {name: _path(name, points) for name, points in self.paths.items()}
        if not paths:
            raise ValueError("paths must not be empty: there is nothing to draw")
        patheffects = _import_matplotlib("patheffects")
        self.ax_ = _axes(ax)
        self.figure_ = self.ax_.figure
        x, y = (
            _span(np.concatenate(list(paths.values()))[:, k], given)
            for k, given in enumerate((xlim, ylim))
        )
        self._draw_contours(np.linspace(*x, resolution), np.linspace(*y, resolution), levels)
        width = (line_kw or {}).get("linewidth", 1.5)
        halo = [patheffects.withStroke(linewidth=2 * width, foreground="white")]
        self.lines_, self.ends_ = [], []
        for name, points in paths.items():
            marker = {"marker": "o", "markersize": 3} if len(points) <= MARKED_STEPS else {}
            style = {
                "label": name,
                "linewidth": width,
                "path_effects": halo,
                "solid_joinstyle": "round",
            }
            self.lines_ += self.ax_.plot(*points.T, **{**style, **marker, **(line_kw or {})})
            end = {
                "color": self.lines_[-1].get_color(),
                "markersize": 8,
                "markeredgecolor": "white",
                "zorder": 4,
            }
            self.ends_ += self.ax_.plot(*points[-1:].T, "o", **end)
        starts = np.unique([points[0] for points in paths.values()], axis=0)
        self.ax_.plot(
            *starts.T,
            "o",
            color="white",
            markersize=7,
            markeredgecolor="black",
            zorder=5,
            label="start",
        )
        self.ax_.set(xlim=x, ylim=y, xlabel=names[0], ylabel=names[1])
        self.ax_.legend(framealpha=0.9)
        return self

    def save_animation(self, file, *, seconds=5.0, fps=12):
        """Write a GIF in which the paths grow, all by the same number of steps a frame; in its last
        second it stands still.

        Parameters
        ----------
        file : str or path
            Where to; its name ends in ``.gif``.
        seconds : float, default=5.0
            How long it lasts.
        fps : int, default=12
            Frames a second.
        """
        if not hasattr(self, "lines_"):
            self.plot()
        paths = [np.asarray(points, dtype=float) for points in self.paths.values()]
        steps = (
            np.linspace(1, max(map(len, paths)), max(2, round((seconds - 1) * fps)))
            .round()
            .astype(int)
        )
        self.figure_.draw_without_rendering()
        legend = self.ax_.get_legend()
        if (
            legend is not None
        ):  # one place for all frames: that where it hides least of the whole paths
            place = legend.get_window_extent().transformed(self.ax_.transAxes.inverted())
            legend.set_bbox_to_anchor(None)
            legend.set_loc((place.x0, place.y0))
        layout = self.figure_.get_layout_engine()
        self.figure_.set_layout_engine("none")  # one layout for all frames
        writer = _import_matplotlib("animation").PillowWriter(fps=fps)
        with writer.saving(self.figure_, file, self.figure_.dpi):
            for shown in [*steps, *[steps[-1]] * fps]:
                for points, line, end in zip(paths, self.lines_, self.ends_, strict=True):
                    line.set_data(*points[:shown].T)
                    end.set_data(*points[:shown][-1:].T)
                writer.grab_frame()
        self.figure_.set_layout_engine(layout)

    def _draw_contours(self, x, y, levels):
        """Filled contours and their lines; where the cost is not finite, nothing."""
        cost = np.array([[float(self.fun(np.array([a, b]))) for a in x] for b in y])
        cost = np.ma.masked_invalid(cost)
        finite = cost.compressed()
        if not finite.size:
            raise ValueError("fun is nowhere finite in the picture")
        found = np.unique(np.quantile(finite, np.linspace(0, 1, levels + 1) ** 2))
        if len(found) < 2:  # a plane as flat as a table
            found = found[0] + np.array([-1.0, 1.0])
        # Darker is lower; colours go by rank, since costs may span many powers of ten.
        shades = _pyplot().get_cmap("Greys_r")(np.linspace(0.5, 0.98, len(found) - 1))
        self.contours_ = self.ax_.contourf(x, y, cost, found, colors=shades)
        self.ax_.contour(
            x, y, cost, found, colors="white", linewidths=0.6, linestyles="solid", alpha=0.8
        )


class CoefficientPathDisplay:
    """Coefficients of a linear model against the strength of its penalty.

    Use `from_estimator` to fit and draw.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        Strengths of the penalty, positive.
    coefs : array-like of shape (n_alphas, n_features)
        The coefficients at each of them.
    feature_names : list of str, default=None
        Names of the columns; None: x0, x1, ...

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        A line a coefficient.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import CoefficientPathDisplay, Lasso
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> display = CoefficientPathDisplay.from_estimator(Lasso(), X, y, alphas=[0.01, 0.1, 1, 10])
    >>> (display.coefs != 0).sum(axis=1)
    array([10,  7,  3,  0])
    """

    def __init__(self, alphas, coefs, *, feature_names=None):
        self.alphas = alphas
        self.coefs = coefs
        self.feature_names = feature_names

    @classmethod
    def from_estimator(cls, estimator, X, y, *, alphas, sample_weight=None, ax=None, line_kw=None):
        """Fit a clone at every alpha and draw its coefficients.

        Parameters
        ----------
        estimator : estimator
            One with a parameter `alpha` and a single row of coefficients, such as `Lasso` and
            `Ridge`, or a pipeline that ends in one.
        X, y : array-likes
            What it is fitted to.
        alphas : array-like of shape (n_alphas,)
            Strengths of the penalty, positive.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        line_kw : dict, default=None
            Handed to matplotlib's ``plot``.

        Returns
        -------
        display : CoefficientPathDisplay
        """
        model = clone(estimator)
        last = f"{model.steps[-1][0]}__" if hasattr(model, "steps") else ""
        weights = {} if sample_weight is None else {f"{last}sample_weight": sample_weight}
        coefs = []
        for alpha in alphas:
            coef = np.asarray(
                _last_step(model.set_params(**{f"{last}alpha": alpha}).fit(X, y, **weights)).coef_
            )
            if coef.size != coef.shape[-1]:
                raise ValueError(
                    "estimator must have a single row of coefficients, and coef_ has shape "
                    f"{coef.shape}"
                )
            coefs.append(coef.ravel().copy())
        fitted = _last_step(model)
        names = getattr(fitted, "feature_names_in_", getattr(model, "feature_names_in_", None))
        names = None if names is None or len(names) != len(coefs[0]) else list(names)
        return cls(np.asarray(alphas), np.array(coefs), feature_names=names).plot(
            ax=ax, line_kw=line_kw
        )

    def plot(self, ax=None, *, line_kw=None):
        """Draw the paths; see `from_estimator` for the parameters.

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
        names = (
            [f"x{k}" for k in range(coefs.shape[1])]
            if self.feature_names is None
            else list(self.feature_names)
        )
        self.ax_ = _axes(ax, width=7.2)
        self.figure_ = self.ax_.figure
        order = np.argsort(alphas)
        dashes = cycle(["-"] * 10 + ["--"] * 10 + [":"] * 10)  # there are ten colours
        self.lines_ = []
        for name, coef, dash in zip(names, coefs[order].T, dashes, strict=False):
            self.lines_ += self.ax_.plot(
                alphas[order], coef, **{"label": name, "linestyle": dash, **(line_kw or {})}
            )
        self.ax_.axhline(0, color="black", linewidth=0.8, zorder=1)
        self.ax_.set(xscale="log", xlabel="alpha", ylabel="Coefficient")
        least = coefs[order[0]]
        named = np.argsort(-np.abs(least), kind="stable")[:NAMED_COEFFICIENTS]
        named = named[
            np.argsort(-least[named], kind="stable")
        ]  # from top to bottom as the lines begin
        self.ax_.legend(
            handles=[self.lines_[k] for k in named],
            title="Largest" if len(named) < len(names) else None,
            **BESIDE,
        )
        return self


class LearningRateDisplay:
    """The loss against a rising learning rate, as `learning_rate_range` finds it.

    Use `from_estimator` to run the test and draw it.

    Parameters
    ----------
    rates, losses : ndarray of shape (n,)
        What `learning_rate_range` returns.

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

    def __init__(self, rates, losses):
        self.rates = rates
        self.losses = losses

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        low=1e-6,
        high=10.0,
        *,
        n_steps=100,
        random_state=None,
        ax=None,
        line_kw=None,
    ):
        """Run a learning-rate range test and draw it; see `learning_rate_range` for the parameters.

        Parameters
        ----------
        estimator, X, y, low, high, n_steps, random_state
            As those of `learning_rate_range`.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        line_kw : dict, default=None
            Handed to matplotlib's ``plot``.

        Returns
        -------
        display : LearningRateDisplay
        """
        _pyplot()  # before the work
        rates, losses = learning_rate_range(
            estimator, X, y, low, high, n_steps=n_steps, random_state=random_state
        )
        return cls(rates, losses).plot(ax=ax, line_kw=line_kw)

    def plot(self, ax=None, *, line_kw=None):
        """Draw the curve; see `from_estimator` for the parameters.

        Returns
        -------
        self : LearningRateDisplay
        """
        self.ax_ = _axes(ax)
        self.figure_ = self.ax_.figure
        (self.line_,) = self.ax_.plot(self.rates, self.losses, **(line_kw or {}))
        self.ax_.set(
            xlabel="Learning rate",
            ylabel="Loss",
            xscale="log",
            yscale="log" if _is_wide(self.losses) else "linear",
        )
        return self


def _import_matplotlib(module):
    """A module of matplotlib."""
    _pyplot()
    return import_module(f"matplotlib.{module}")


def _last_step(estimator):
    """The estimator itself, or the one that a pipeline ends in."""
    return estimator[-1] if hasattr(estimator, "steps") else estimator


def _named(results):
    """A dict of results."""
    return (
        results
        if isinstance(results, dict) and not isinstance(results, OptimizeResult)
        else {"minimize": results}
    )


def _histories(results):
    """The histories of results, by name."""
    histories = {name: getattr(result, "history", None) for name, result in _named(results).items()}
    for name, history in histories.items():
        if not isinstance(history, dict) or "fun" not in history:
            raise ValueError(
                f"result {name!r} has no history: draw what fastgd.minimize returns; SciPy's own "
                "methods keep "
                "no costs of their iterations (scipy.optimize.minimize(..., method=fastgd.auto) "
                "does)"
            )
    return histories


def _path(name, points):
    """The points of a path, checked."""
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"path {name!r} must have shape (n_steps + 1, 2), got {points.shape}")
    return points


def _is_wide(values):
    """Whether all are positive and span more than a factor of ten, those left out that are not
    finite.
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return values.min(initial=np.inf) > 0 and values.max() > 10 * values.min()


def _span(values, given):
    """The limits of an axis."""
    if given is not None:
        return given
    low, high = values.min(), values.max()
    margin = 0.15 * (high - low) or 1.0
    return low - margin, high + margin
