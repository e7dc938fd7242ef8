"""Generalised linear models with scikit-learn's parameters and objectives: each names its loss.

An offset o of the linear predictor is not a new loss. With the log link and the power p, the loss
of z + o for a target y is exp((2 - p) o) times the loss of z for y exp(-o), up to a constant; with
the identity link and squares it is the loss of z for y - o. So offsets change targets and weights
before the fit, and all solvers and certificates take them.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, replace
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from scipy.special import xlogy
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import column_or_1d

from fastgd.estimators import types
from fastgd.estimators.base import about
from fastgd.estimators.chunked_data import opened
from fastgd.estimators.parameters import parameters, trains
from fastgd.estimators.supervised import Regressor
from fastgd.linear import Automatic
from fastgd.problem.chunks import Chunks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from numpy.typing import ArrayLike

    from fastgd.problem.array_types import Array, Matrix, Rows

# The largest ratio of the weights that an offset gives to rows, as a power of e: rows with less
# than 2^-100 = e^-69 of the largest weight would be ignored.
MAX_LOG_WEIGHT_RATIO = 60.0


class _GLM(Automatic, Regressor):
    """A generalised linear model with scikit-learn's objective, with a power of its variance."""

    intercept_: float

    _takes_many = False
    link = "log"
    # The strength of the penalty that is equivalent to `alpha` for the weights of an offset,
    # relative to `alpha`.
    _relative_alpha = 1.0

    @trains
    def fit(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        X_val: Rows | None = None,
        y_val: Matrix | None = None,
        sample_weight_val: ArrayLike | None = None,
        offset_val: ArrayLike | None = None,
    ) -> Self:
        """Train.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Training rows. C-order arrays and CSR matrices of float32 or float64 are not copied.
            `Chunks` hold y and the weights too.
        y : array-like of shape (n_samples,), default=None
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, >= 0. Rows of weight 0 are ignored.
        offset : array-like of shape (n_samples,), default=None
            Numbers that are added to the linear predictors of the rows, such as the logarithms of
            exposures. None: 0. For `Chunks`, those of all rows.
        X_val : {array-like, sparse matrix, Chunks}, shape (n_validation, n_features), default=None
            Validation rows. Their loss and score are added to `history_` after every pass.
        y_val : array-like of shape (n_validation,), default=None
            Targets of the validation rows.
        sample_weight_val : array-like of shape (n_validation,), default=None
            Weights of the validation rows, >= 0.
        offset_val : array-like of shape (n_validation,), default=None
            Offsets of the validation rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An argument is invalid. An earlier fit is kept.
        KeyboardInterrupt
            Ctrl-C. The model of the last complete pass is stored.
        """
        if offset_val is not None and X_val is None:
            raise ValueError("offset_val is provided, but X_val was not provided.")
        validation, offsets = (X_val, y_val, sample_weight_val), (offset, offset_val)
        return self._fit(X, y, sample_weight, validation=validation, offsets=offsets)

    @overload
    def predict(self, X: Chunks, offset: None = None) -> Iterator[Array]: ...
    @overload
    def predict(self, X: Matrix, offset: ArrayLike | None = None) -> Array: ...
    def predict(self, X: Rows, offset: ArrayLike | None = None) -> Array | Iterator[Array]:
        """The predicted means.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Rows. Of `Chunks` the result is a generator of the means of each chunk.
        offset : array-like of shape (n_samples,), default=None
            Offsets of the linear predictors. None: 0.

        Returns
        -------
        y_pred : ndarray of shape (n_samples,)
        """
        if offset is None:
            return super().predict(X)
        if isinstance(X, Chunks):
            raise ValueError("predict takes no offset for Chunks: give it one chunk at a time")
        z = self._margins(X)[:, 0]
        return self._kind.mean(z + self._checked_offset(offset, len(z)).astype(z.dtype))

    def score(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | None = None,
    ) -> float:
        """D^2, the share of the deviance that the model explains: 1 - D / D0, where D0 is the
        deviance of the best constant model, which has the same offset.

        Parameters
        ----------
        X : {array-like, sparse matrix, Chunks} of shape (n_samples, n_features)
            Rows; `Chunks` hold y and the weights too.
        y : array-like of shape (n_samples,), default=None
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        offset : array-like of shape (n_samples,), default=None
            Offsets of the linear predictors. None: 0. For `Chunks`, those of all rows.

        Returns
        -------
        score : float
        """
        X, y, sample_weight = opened(self, X, y, sample_weight, reset=False)
        z = self._margins(X)[:, 0].astype(float)
        y = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
        y = column_or_1d(y)
        check_consistent_length(z, y)
        self._check_range(y, fitted=True)
        weights = self._sample_weight(sample_weight, X)
        if offset is not None:
            y, weights, _ = self._without_offset(y, weights, offset)
        weights = np.ones(len(y)) if weights is None else weights
        loss, shares = self._loss(1), weights / weights.sum()
        null = np.full(len(y), float(loss.best_constant(y, shares)))
        least = shares @ _least_loss(self._power, y, self._link)
        deviance, of_null = (shares @ loss.evaluate(at, y)[0] + least for at in (z, null))
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(1 - np.float64(deviance) / of_null)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # As scikit-learn's; a power that is no number has the default.
        tags.target_tags.positive_only = isinstance(self._power, int | float) and self._power > 0
        return tags

    def _store(self, coef, intercept):
        super()._store(coef, intercept)
        if self.fit_intercept:
            self.intercept_ = intercept[0]

    # ---- the loss ----

    @property
    def _power(self):
        """The exponent p of the variance, which is proportional to mean^p."""
        raise NotImplementedError

    @property
    def _link(self):
        return "log"

    @property
    def _scikit_learns_loss(self):
        """The name of scikit-learn's loss, for its errors."""
        raise NotImplementedError

    def _check_range(self, y, fitted=False):
        p = self._power
        if (p > 0 and (y < 0).any()) or (p >= 2 and (y <= 0).any()):
            name = self._scikit_learns_loss
            raise ValueError(
                "Some value(s) of y are out of the valid range of the loss "
                f"{name if fitted else repr(name)}."
            )

    def _targets(self, y):
        """y as the kernels read it; `_train` checks its range, after the weights."""
        if y.dtype.kind not in "fiub":
            raise ValueError(f"y must hold numbers, got {y.dtype}")
        return np.ascontiguousarray(y, dtype=np.float64).ravel()

    def _penalty(self, outputs, total):
        return 0.0, float(self.alpha) * self._relative_alpha, 0

    # ---- offsets ----

    def _train(self, data, outputs, one_vs_rest, held_out=None, offsets=(None, None), **others):
        """Train on the rows, whose offsets become other targets and weights."""
        offset, offset_val = offsets
        self._check_range(data.y)
        if held_out is not None:
            with about("y_val"):
                self._check_range(held_out.y)
        try:
            if offset is not None:
                data, self._relative_alpha = self._moved(data, offset)
            if offset_val is not None:
                with about("offset_val"):
                    held_out, _ = self._moved(held_out, offset_val)
            return super()._train(data, outputs, one_vs_rest, held_out=held_out, **others)
        finally:
            vars(self).pop("_relative_alpha", None)

    def _moved(self, data, offset):
        """(`Samples` without an offset, total weight before / total weight)"""
        y, weights, ratio = self._without_offset(data.y, data.weights, offset)
        return replace(data, labels=y, y=y, weights=weights), ratio

    def _without_offset(self, y, weights, offset):
        """(targets, weights, total weight before / total weight) of the equivalent problem without
        an offset.
        """
        offset = self._checked_offset(offset, len(y))
        if self._link == "identity":
            return y - offset, weights, 1.0
        exponent = (2 - self._power) * offset
        if np.ptp(exponent) > MAX_LOG_WEIGHT_RATIO:
            raise ValueError(
                f"offset runs from {offset.min():.3g} to {offset.max():.3g}: the weights of rows, "
                f"exp({2 - self._power:g} * offset), would differ by a factor of more than 1e26. "
                "Leave rows out, or give them another offset."
            )
        with np.errstate(over="ignore"):
            targets = y * np.exp(-offset)
        if not (np.isfinite(targets).all() and ((targets != 0) | (y == 0)).all()):
            raise ValueError(
                f"offset is too large: y exp(-offset) is no float, offset runs from "
                f"{offset.min():.3g} to {offset.max():.3g}"
            )
        weights = np.ones(len(y)) if weights is None else weights
        # The largest exponent becomes 0, so nothing overflows.
        shift = exponent.max(initial=-np.inf)
        moved = weights * np.exp(exponent - shift)
        total = moved.sum()
        if not total:
            return targets, moved, 1.0
        if not self._power == 2:
            ratio = float(np.exp(np.log(weights.sum()) - np.log(total) - shift))
        else:
            moved, ratio = weights, 1.0
        if not np.isfinite(ratio):
            raise ValueError("offset is too small: exp(offset) is 0 for every row")
        return targets, moved, ratio

    def _checked_offset(self, offset, n):
        """An offset as an array of n finite numbers."""
        options = {"ensure_2d": False, "dtype": np.float64, "input_name": "offset"}
        offset = check_array(offset, **options)
        if offset.shape != (n,):
            raise ValueError(f"offset.shape == {offset.shape}, expected {(n,)}!")
        if self._link == "identity" and self._power != 0:
            raise ValueError(
                f"an offset needs the log link or power=0, got link={self.link!r} with "
                f"power={self._power}"
            )
        return offset


def _least_loss(p, y, link):
    """Minus the least value of the loss of each target: added to a loss, it makes half of the
    deviance.
    """
    if p == 0:
        return 0 * y if link == "identity" else y * y / 2
    if p == 1:
        return xlogy(y, y) - y
    if p == 2:
        return -np.log(y) - 1
    return np.maximum(y, 0) ** (2 - p) / ((1 - p) * (2 - p))


@parameters
class PoissonRegressor(_GLM):
    """Poisson regression: counts, or rates, with mean exp(x w + b).

    Minimises ``sum_i s_i (exp(z_i) - y_i z_i) / sum_i s_i + alpha |w|^2 / 2`` with ``z_i = x_i w +
    b + offset_i`` over w and b: half of the mean deviance, up to a constant.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, in [0, inf).

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    solver : {'lbfgs', 'newton-cholesky'}, default='lbfgs'
        No effect: a fit chooses its solver.

    max_iter : int, default=100
        Maximum number of passes over X. In scikit-learn, iterations of the solver.

    tol : float, default=1e-4
        Training stops when the objective F is within `tol` of its minimum F*, relative to the best
        constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn, it is a
        bound of the gradient.

    warm_start : bool, default=False
        Whether to start from the coefficients of the last fit. If nothing has changed since, except
        `max_iter`, `max_seconds`, `tol`, `verbose`, `n_jobs` and the callbacks, training continues
        as if that fit had not ended. It changes the number of passes, not the minimum.

    verbose : int, default=0
        If positive, `fit` shows a progress bar with loss, rate and remaining time, which needs rich
        (``pip install 'fastgd[progress]'``). Without a terminal, and inside other estimators, it
        prints one line at its end.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' uses the fastest solver, which may store a matrix of n_features^2 numbers; 'full'
        uses only passes over X.

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    max_seconds : float, default=None
        Time limit in seconds, after which no pass begins. None: no limit.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights w; float32 if X is.

    intercept_ : float
        Intercept b; 0.0 if `fit_intercept` is False.

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float
        Estimate of ``(F - F*) / (F0 - F*)``, where F* is the minimum and F0 the objective of the
        best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' (an estimate) or a 'duality gap' (a bound).

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' (rounding errors prevent further
        progress before `tol` is reached), 'separable' (nothing is penalised, and some columns
        separate rows of y = 0 from the others, so that there is no minimum) or 'interrupted'
        (Ctrl-C).

    solver_ : str
        The method that has trained the model, such as 'newton-cholesky' or 'newton-cg'.

    n_iter_ : int
        Number of passes over X.

    history_ : dict of lists
        One entry per pass: ``loss``, the objective up to a constant (repeated by passes that only
        improve the direction; with an offset that of the equivalent problem without one, see
        Notes); ``gradient_norm``, for columns of standard deviation 1; ``learning_rate``, the last
        step size, 1 for a Newton step; ``seconds`` since the start of the fit; with validation rows
        ``validation_loss`` and ``validation_score``. `pandas.DataFrame` accepts it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    Notes
    -----
    With exposures e, fit counts with ``offset=np.log(e)``. This is the same as rates ``y / e`` with
    weights ``e``, except for the penalty, whose relative strength depends on the sum of the
    weights. ``history_["loss"]`` is that of the rates.

    References
    ----------
    Nelder and Wedderburn, "Generalized linear models", Journal of the Royal Statistical Society A
    135 (1972). McCullagh and Nelder, Generalized Linear Models, 2nd edition (1989).

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import PoissonRegressor
    >>> X = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0], [4.0, 3.0]])
    >>> y = [12, 17, 22, 21]
    >>> model = PoissonRegressor().fit(X, y)
    >>> round(model.score(X, y), 2), model.stop_reason_
    (0.99, 'tol')
    >>> exposure = np.array([1.0, 2.0, 1.0, 2.0])
    >>> model = PoissonRegressor(alpha=1e-3).fit(X, exposure * y, offset=np.log(exposure))
    >>> model.predict(X, offset=np.log(exposure)).round()
    array([12., 34., 22., 42.])
    """

    loss = "poisson"

    _: KW_ONLY
    alpha: types.NonNegative = 1.0
    fit_intercept: bool = True
    solver: Literal["lbfgs", "newton-cholesky"] = "lbfgs"
    max_iter: types.AtLeast1 = 100
    tol: types.Positive = 1e-4
    warm_start: bool = False
    verbose: types.Verbosity = 0
    batch_size: Literal["auto", "full"] = "auto"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None

    _power = 1
    _scikit_learns_loss = "HalfPoissonLoss"


@parameters
class GammaRegressor(_GLM):
    """Gamma regression: positive amounts with mean exp(x w + b), whose standard deviation is
    proportional to the mean.

    Minimises ``sum_i s_i (z_i + y_i exp(-z_i)) / sum_i s_i + alpha |w|^2 / 2`` with ``z_i = x_i w +
    b + offset_i`` over w and b: half of the mean deviance, up to a constant.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, in [0, inf).

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    solver : {'lbfgs', 'newton-cholesky'}, default='lbfgs'
        No effect: a fit chooses its solver.

    max_iter : int, default=100
        Maximum number of passes over X. In scikit-learn, iterations of the solver.

    tol : float, default=1e-4
        Training stops when the objective F is within `tol` of its minimum F*, relative to the best
        constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn, it is a
        bound of the gradient.

    warm_start : bool, default=False
        Whether to start from the coefficients of the last fit. If nothing has changed since, except
        `max_iter`, `max_seconds`, `tol`, `verbose`, `n_jobs` and the callbacks, training continues
        as if that fit had not ended. It changes the number of passes, not the minimum.

    verbose : int, default=0
        If positive, `fit` shows a progress bar with loss, rate and remaining time, which needs rich
        (``pip install 'fastgd[progress]'``). Without a terminal, and inside other estimators, it
        prints one line at its end.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' uses the fastest solver, which may store a matrix of n_features^2 numbers; 'full'
        uses only passes over X.

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    max_seconds : float, default=None
        Time limit in seconds, after which no pass begins. None: no limit.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights w; float32 if X is.

    intercept_ : float
        Intercept b; 0.0 if `fit_intercept` is False.

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float
        Estimate of ``(F - F*) / (F0 - F*)``, where F* is the minimum and F0 the objective of the
        best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' (an estimate) or a 'duality gap' (a bound).

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' (rounding errors prevent further
        progress before `tol` is reached) or 'interrupted' (Ctrl-C).

    solver_ : str
        The method that has trained the model, such as 'newton-cholesky' or 'newton-cg'.

    n_iter_ : int
        Number of passes over X.

    history_ : dict of lists
        One entry per pass: ``loss``, the objective up to a constant (repeated by passes that only
        improve the direction; with an offset that of the equivalent problem without one, see
        Notes); ``gradient_norm``, for columns of standard deviation 1; ``learning_rate``, the last
        step size, 1 for a Newton step; ``seconds`` since the start of the fit; with validation rows
        ``validation_loss`` and ``validation_score``. `pandas.DataFrame` accepts it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    Notes
    -----
    An offset is the same as the targets ``y exp(-offset)``.

    References
    ----------
    Nelder and Wedderburn, "Generalized linear models", Journal of the Royal Statistical Society A
    135 (1972). McCullagh and Nelder, Generalized Linear Models, 2nd edition (1989).

    Examples
    --------
    >>> from fastgd import GammaRegressor
    >>> X = [[1, 2], [2, 3], [3, 4], [4, 3]]
    >>> y = [19, 26, 33, 30]
    >>> model = GammaRegressor().fit(X, y)
    >>> round(model.score(X, y), 2), model.stop_reason_
    (0.77, 'tol')
    """

    loss = "gamma"

    _: KW_ONLY
    alpha: types.NonNegative = 1.0
    fit_intercept: bool = True
    solver: Literal["lbfgs", "newton-cholesky"] = "lbfgs"
    max_iter: types.AtLeast1 = 100
    tol: types.Positive = 1e-4
    warm_start: bool = False
    verbose: types.Verbosity = 0
    batch_size: Literal["auto", "full"] = "auto"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None

    _power = 2
    _scikit_learns_loss = "HalfGammaLoss"


@parameters
class TweedieRegressor(_GLM):
    """Regression with a variance proportional to a power p of the mean m, which is exp(x w + b) or
    x w + b.

    Minimises ``sum_i s_i L(m_i, y_i) / sum_i s_i + alpha |w|^2 / 2`` over w and b, where L is half
    of the deviance of the Tweedie distribution up to a constant, ``m^(2-p) / (2-p) - y m^(1-p) /
    (1-p)``, and its limits for p = 1 and 2.

    Parameters
    ----------
    power : float, default=0
        The power p of the variance: 0 normal, 1 Poisson, between 1 and 2 compound Poisson-gamma, 2
        gamma, 3 inverse Gaussian. No distribution has a power in (0, 1), where the deviance is
        minimised all the same.

    alpha : float, default=1.0
        Strength of the penalty, in [0, inf).

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    link : {'auto', 'identity', 'log'}, default='auto'
        The link: 'log' for m = exp(x w + b), 'identity' for m = x w + b. 'auto' is the log link for
        p > 0.

    solver : {'lbfgs', 'newton-cholesky'}, default='lbfgs'
        No effect: a fit chooses its solver.

    max_iter : int, default=100
        Maximum number of passes over X. In scikit-learn, iterations of the solver.

    tol : float, default=1e-4
        Training stops when the objective F is within `tol` of its minimum F*, relative to the best
        constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn, it is a
        bound of the gradient.

    warm_start : bool, default=False
        Whether to start from the coefficients of the last fit. If nothing has changed since, except
        `max_iter`, `max_seconds`, `tol`, `verbose`, `n_jobs` and the callbacks, training continues
        as if that fit had not ended. It changes the number of passes, not the minimum.

    verbose : int, default=0
        If positive, `fit` shows a progress bar with loss, rate and remaining time, which needs rich
        (``pip install 'fastgd[progress]'``). Without a terminal, and inside other estimators, it
        prints one line at its end.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' uses the fastest solver, which may store a matrix of n_features^2 numbers; 'full'
        uses only passes over X.

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    max_seconds : float, default=None
        Time limit in seconds, after which no pass begins. None: no limit.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights w; float32 if X is.

    intercept_ : float
        Intercept b; 0.0 if `fit_intercept` is False.

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float
        Estimate of ``(F - F*) / (F0 - F*)``, where F* is the minimum and F0 the objective of the
        best constant model. Of an objective that is not
        convex (see Notes) it is that of the next stationary point, estimated by the expected
        curvature.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' (an estimate) or a 'duality gap' (a bound).

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' (rounding errors prevent further
        progress before `tol` is reached), 'separable' (nothing is penalised, and some columns
        separate rows of y = 0 from the others, so that there is no minimum) or 'interrupted'
        (Ctrl-C).

    solver_ : str
        The method that has trained the model, such as 'newton-cholesky' or 'newton-cg'.

    n_iter_ : int
        Number of passes over X.

    history_ : dict of lists
        One entry per pass: ``loss``, the objective up to a constant (repeated by passes that only
        improve the direction; with an offset that of the equivalent problem without one, see
        Notes); ``gradient_norm``, for columns of standard deviation 1; ``learning_rate``, the last
        step size, 1 for a Newton step; ``seconds`` since the start of the fit; with validation rows
        ``validation_loss`` and ``validation_score``. `pandas.DataFrame` accepts it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    Notes
    -----
    With the log link the objective is convex for 1 <= p <= 2, with the identity link for p = 0 and
    p = 1. For other powers Newton's method uses the expected second derivatives (Fisher scoring)
    and a line search, so that the objective falls to a stationary point, as scikit-learn's does.
    With the identity link and p != 0 the means have to stay positive, and so has the starting
    point: `fit_intercept` must be True, or `warm_start` has positive means.

    With the log link, an offset is the same as the targets ``y exp(-offset)`` with the weights
    ``exp((2 - p) offset)``, except for the penalty, whose relative strength depends on the sum of
    the weights. With the identity link offsets need p = 0.

    References
    ----------
    Tweedie, "An index which distinguishes between some important exponential families", Proceedings
    of the Indian Statistical Institute Golden Jubilee International Conference (1984).
    Jørgensen, The Theory of Dispersion Models (1997).

    Examples
    --------
    >>> from fastgd import TweedieRegressor
    >>> X = [[1, 2], [2, 3], [3, 4], [4, 3]]
    >>> y = [2, 3.5, 5, 5.5]
    >>> model = TweedieRegressor().fit(X, y)
    >>> round(model.score(X, y), 2), model.stop_reason_
    (0.84, 'tol')
    """

    _: KW_ONLY
    power: types.Finite = 0.0
    alpha: types.NonNegative = 1.0
    fit_intercept: bool = True
    link: Literal["auto", "identity", "log"] = "auto"
    solver: Literal["lbfgs", "newton-cholesky"] = "lbfgs"
    max_iter: types.AtLeast1 = 100
    tol: types.Positive = 1e-4
    warm_start: bool = False
    verbose: types.Verbosity = 0
    batch_size: Literal["auto", "full"] = "auto"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None

    @property
    def _power(self):
        return self.power

    @property
    def _link(self):
        if self.link == "auto":
            return "log" if self.power > 0 else "identity"
        return self.link

    @property
    def _scikit_learns_loss(self):
        return "HalfTweedieLoss" if self._link == "log" else "HalfTweedieLossIdentity"

    @property
    def loss(self) -> str:
        """The name of the loss; powers with a loss of their own have that."""
        if self._link == "identity":
            return "squared_error" if self.power == 0 else "tweedie_identity"
        return {1: "poisson", 2: "gamma"}.get(self.power, "tweedie")

    def _train(self, data, *others, **options):
        is_new = not (self.warm_start and hasattr(self, "coef_"))
        if self.loss == "tweedie_identity" and is_new and not self.fit_intercept:
            raise ValueError(
                f"link='identity' with power={self.power} needs positive means: without an "
                "intercept the descent starts from means of 0. Use fit_intercept=True or "
                "link='log'."
            )
        return super()._train(data, *others, **options)
