"""Pictures of descent, in the style of scikit-learn's displays; matplotlib is loaded when something is drawn."""
import numpy as np
from sklearn.utils.validation import check_is_fitted

from .rates import learning_rate_range


def _pyplot():
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("Drawing needs matplotlib: pip install 'fastgd[plot]'") from error
    return pyplot


class LossCurveDisplay:
    """Loss curves of one or several trainings.

    Use `from_estimator` to make one from fitted estimators.

    Parameters
    ----------
    histories : dict of str to dict
        Under each curve's name a history, as an estimator's ``history_``: lists ``loss``, ``seconds`` and perhaps
        ``validation_loss``.
    x : {'epochs', 'seconds'}, default='epochs'
        What runs along the horizontal axis.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves, validation curves (dashed) behind their training curves.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastgd import LossCurveDisplay, SGDRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> models = {f"batch_size={size}": SGDRegressor(batch_size=size, random_state=0, max_iter=30, tol=None).fit(X, y)
    ...           for size in (1, 32, "full")}
    >>> display = LossCurveDisplay.from_estimator(models)
    >>> len(display.lines_)
    3
    """

    def __init__(self, histories, *, x="epochs"):
        self.histories = histories
        self.x = x

    @classmethod
    def from_estimator(cls, estimators, *, x="epochs", log_scale=None, ax=None, line_kw=None):
        """Draw the curves of fitted estimators.

        Parameters
        ----------
        estimators : estimator, list of estimators, or dict of str to estimator
            Fitted estimators of this library, or pipelines that end in one. A dict names the curves.
        x : {'epochs', 'seconds'}, default='epochs'
            What runs along the horizontal axis.
        log_scale : bool or None, default=None
            Logarithmic vertical axis; None: where all losses are positive and span more than a factor of ten.
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
        return cls(histories, x=x).plot(ax=ax, log_scale=log_scale, line_kw=line_kw)

    def plot(self, ax=None, *, log_scale=None, line_kw=None):
        """Draw the curves; see `from_estimator` for the parameters.

        Returns
        -------
        self : LossCurveDisplay
        """
        if self.x not in ("epochs", "seconds"):
            raise ValueError(f"x must be 'epochs' or 'seconds', got {self.x!r}")
        if not self.histories:
            raise ValueError("estimators must not be empty: there is nothing to draw")
        self.ax_ = _pyplot().subplots()[1] if ax is None else ax
        self.figure_, self.lines_ = self.ax_.figure, []
        for name, history in self.histories.items():
            epochs = np.arange(1, len(history["loss"]) + 1)
            along = epochs if self.x == "epochs" else history["seconds"]
            style = {"label": name, "marker": "." if len(epochs) < 3 else None, **(line_kw or {})}
            self.lines_ += self.ax_.plot(along, history["loss"], **style)
            if "validation_loss" in history:
                style |= {"label": f"{name}, validation", "color": self.lines_[-1].get_color(), "linestyle": "--"}
                self.lines_ += self.ax_.plot(along, history["validation_loss"], **style)
        losses = np.concatenate([line.get_ydata() for line in self.lines_])
        if log_scale or (log_scale is None and losses.min() > 0 and losses.max() > 10 * losses.min()):
            self.ax_.set_yscale("log")
        self.ax_.set(xlabel={"epochs": "Epoch", "seconds": "Seconds"}[self.x], ylabel="Loss")
        self.ax_.legend()
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
    >>> display = LearningRateDisplay.from_estimator(SGDClassifier("log_loss", batch_size=8), X, y, random_state=0)
    >>> display.ax_.get_xscale()
    'log'
    """

    def __init__(self, rates, losses):
        self.rates = rates
        self.losses = losses

    @classmethod
    def from_estimator(cls, estimator, X, y, low=1e-6, high=10.0, *, n_steps=100, random_state=None, ax=None, line_kw=None):
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
        rates, losses = learning_rate_range(estimator, X, y, low, high, n_steps=n_steps, random_state=random_state)
        return cls(rates, losses).plot(ax=ax, line_kw=line_kw)

    def plot(self, ax=None, *, line_kw=None):
        """Draw the curve; see `from_estimator` for the parameters.

        Returns
        -------
        self : LearningRateDisplay
        """
        self.ax_ = _pyplot().subplots()[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        (self.line_,) = self.ax_.plot(self.rates, self.losses, **(line_kw or {}))
        self.ax_.set(xlabel="Learning rate", ylabel="Loss", xscale="log")
        return self


def _last_step(estimator):
    """The estimator itself, or the one that a pipeline ends in."""
    return estimator[-1] if hasattr(estimator, "steps") else estimator
