"""Linear models for targets with outliers or heavy tails: Huber's loss and quantiles, with
scikit-learn's parameters and objectives.
"""

from __future__ import annotations

from dataclasses import KW_ONLY
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from sklearn.utils._param_validation import Interval

from fastgd.estimators import types
from fastgd.estimators.parameters import parameters
from fastgd.estimators.supervised import Regressor
from fastgd.linear import Automatic, _penalty_of_mean
from fastgd.problem import passes
from fastgd.problem.chunked_rows import ChunkedRows
from fastgd.problem.huber_scale import least_scale, scale_of
from fastgd.problem.layout import pack
from fastgd.problem.losses import HuberWithScale

if TYPE_CHECKING:
    from fastgd.problem.array_types import Array

# The names that scikit-learn's model allows.
QuantileSolver = Literal["highs", "highs-ds", "highs-ipm", "interior-point", "revised simplex"]


@parameters
class HuberRegressor(Automatic, Regressor):
    """Linear regression that is robust to outliers, by Huber's loss with a scale that is estimated
    too.

    Minimises ``sum_i s_i (sigma + sigma H((y_i - x_i w - b) / sigma)) + alpha |w|^2`` over w, b and
    sigma > 0, where ``H(r)`` is ``r^2`` up to ``|r| = epsilon`` and ``2 epsilon |r| - epsilon^2``
    beyond. Because of the scale, `epsilon` has no unit.

    Parameters
    ----------
    epsilon : float, default=1.35
        The size of a residual, in units of the scale, beyond which a row counts as an outlier, in
        [1, inf). The smaller it is, the more robust is the model.

    max_iter : int, default=100
        Maximum number of steps. In scikit-learn, iterations of the solver.

    alpha : float, default=0.0001
        Strength of the penalty, in [0, inf).

    warm_start : bool, default=False
        Whether to start from the coefficients of the last fit. If nothing has changed since, except
        `max_iter`, `max_seconds`, `tol`, `n_jobs` and the callbacks, training continues as if that
        fit had not ended. It changes the number of steps, not the minimum.

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    tol : float, default=1e-5
        Training stops when the objective F is within `tol` of its minimum F*, relative to the best
        constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``. In scikit-learn, it is a
        bound of the gradient.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' uses the fastest solver, which may store a matrix of n_features^2 numbers; 'full'
        uses only passes over X.

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    max_seconds : float, default=None
        Time limit in seconds, after which no step begins. None: no limit.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights w; float32 if X is.

    intercept_ : float
        Intercept b; 0.0 if `fit_intercept` is False.

    scale_ : float
        The scale sigma.

    outliers_ : ndarray of shape (n_samples,), bool
        Whether the absolute residual of a training row is more than ``epsilon * scale_``.

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float
        Estimate of ``(F - F*) / (F0 - F*)``, where F* is the minimum and F0 the objective of the
        best constant model; None if training stopped before there was one.

    optimality_kind_ : str
        What `optimality_` is: a 'Newton decrement' (an estimate).

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' (rounding errors prevent further
        progress before `tol` is reached) or 'interrupted' (Ctrl-C).

    solver_ : str
        The method that has trained the model: 'newton-cholesky' or 'newton-cg'.

    n_iter_ : int
        Number of steps, of a few passes over X each.

    history_ : dict of lists
        One entry per step: ``loss``, the objective divided by ``2 sum_i s_i``, with the best scale;
        ``gradient_norm``, for columns of standard deviation 1; ``learning_rate``, the last step
        size, 1 for a Newton step; ``seconds`` since the start of the fit; with validation rows
        ``validation_loss`` and ``validation_score``. `pandas.DataFrame` accepts it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    References
    ----------
    Huber and Ronchetti, Robust Statistics, 2nd edition (2009), section 7.7. Owen, "A robust hybrid
    of lasso and ridge regression", Contemporary Mathematics 443 (2007).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_regression
    >>> from fastgd import HuberRegressor
    >>> X, y = make_regression(n_samples=200, n_features=2, noise=4.0, random_state=0)
    >>> y[:4] += 1000.0
    >>> model = HuberRegressor().fit(X, y)
    >>> model.outliers_[:4].all(), model.stop_reason_
    (np.True_, 'tol')
    """

    loss = "huber"
    _takes_many = False

    _: KW_ONLY
    epsilon: Annotated[float, Interval(Real, 1, None, closed="left")] = 1.35
    max_iter: types.AtLeast1 = 100
    alpha: types.NonNegative = 0.0001
    warm_start: bool = False
    fit_intercept: bool = True
    tol: types.NonNegative = 1e-5
    batch_size: Literal["auto", "full"] = "auto"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None

    def _loss(self, outputs):
        return HuberWithScale(float(self.epsilon))

    def _penalty(self, outputs, total):
        return _penalty_of_mean(self.alpha, 1.0, total)

    def _store(self, coef, intercept):
        super()._store(coef, intercept)
        if self.fit_intercept:
            self.intercept_ = intercept[0]

    def _certify(self, problem, coef, intercept, method):
        """Store the scale and the outliers of the coefficients."""
        theta = pack(coef, intercept, problem.rows.dtype, problem.by_column)
        margins = np.empty(problem.rows.shape[0])
        passes.margins(problem.rows, theta, 1, margins, problem.threads)
        r = margins - problem.y
        least, r_trained = least_scale(problem.targets), r[problem.visits]
        self.scale_: float = scale_of(
            r_trained, problem.row_weights, float(self.epsilon), least=least
        )
        self.outliers_: Array = np.abs(r) > self.epsilon * self.scale_


@parameters
class QuantileRegressor(Automatic, Regressor):
    """Linear regression of a quantile.

    Minimises ``sum_i s_i L(y_i - x_i w - b) / sum_i s_i + alpha |w|_1`` over w and b, where L(r) is
    ``quantile r`` for r >= 0 and ``(quantile - 1) r`` below. This is a linear program. Where it has
    several solutions, the one that is returned need not be scikit-learn's.

    Parameters
    ----------
    quantile : float, default=0.5
        The quantile, in (0, 1); 0.5 is the median.

    alpha : float, default=1.0
        Strength of the penalty, in [0, inf).

    fit_intercept : bool, default=True
        Whether to fit an intercept b, which is never penalised.

    solver : str, default='highs'
        No effect: all solvers have the same minimum. scikit-learn's names are allowed, also those
        of solvers that SciPy no longer has.

    solver_options : dict, default=None
        No effect: options of scikit-learn's solvers.

    tol : float, default=1e-8
        Training stops when the objective F is within `tol` of its minimum F*, relative to the best
        constant model's objective F0: ``(F - F*) / (F0 - F*) <= tol``.

    max_iter : int, default=1000
        Maximum number of steps; 10 to 30 are usual.

    batch_size : {'auto', 'full'}, default='auto'
        'auto' uses the fastest solver, which may store X as a dense matrix of float64; 'full' uses
        only passes over X, by a method that needs many of them.

    n_jobs : int, default=None
        Number of threads, at most: a pass takes no more than find a free processor. None: all that
        OpenMP allows; -1: all processors. It does not change the result.

    max_seconds : float, default=None
        Time limit in seconds, after which no step begins. None: no limit.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights w; float32 if X is.

    intercept_ : float
        Intercept b; 0.0 if `fit_intercept` is False.

    converged_ : bool
        Whether `optimality_` is at most `tol`.

    optimality_ : float
        Upper bound of ``(F - F*) / (F0 - F*)``, where F* is the minimum and F0 the objective of the
        best constant model.

    optimality_kind_ : str
        What `optimality_` is: a 'duality gap' (a bound).

    stop_reason_ : str
        'tol', 'max_iter', 'max_seconds', 'callback', 'rounding' (rounding errors prevent further
        progress before `tol` is reached) or 'interrupted' (Ctrl-C).

    solver_ : str
        The method that has trained the model, such as 'interior-point'.

    n_iter_ : int
        Number of steps.

    history_ : dict of lists
        One entry per step: ``loss``, the objective; ``gradient_norm``, the residual of the dual
        constraints; ``learning_rate``, 1; ``seconds`` since the start of the fit; with validation
        rows ``validation_loss`` and ``validation_score``. `pandas.DataFrame` accepts it.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X has string names.

    References
    ----------
    Koenker and Bassett, "Regression quantiles", Econometrica 46 (1978). Portnoy and Koenker, "The
    Gaussian hare and the Laplacian tortoise", Statistical Science 12 (1997).

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import QuantileRegressor
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(100, 2)), rng.normal(size=100)
    >>> model = QuantileRegressor(quantile=0.8, alpha=0.0).fit(X, y)
    >>> round(float(np.mean(y <= model.predict(X))), 1), model.stop_reason_
    (0.8, 'tol')
    """

    loss = "quantile"
    _takes_many = False

    _: KW_ONLY
    quantile: types.Fraction = 0.5
    alpha: types.NonNegative = 1.0
    fit_intercept: bool = True
    solver: QuantileSolver = "highs"
    solver_options: dict[str, Any] | None = None
    tol: types.NonNegative = 1e-8
    max_iter: types.AtLeast1 | None = 1000
    batch_size: Literal["auto", "full"] = "auto"
    n_jobs: int | None = None
    max_seconds: types.Positive | None = None

    def _penalty(self, outputs, total):
        return float(self.alpha), 0.0, 0

    def _train(self, data, *others, **options):
        if isinstance(data.X, ChunkedRows) and self.alpha:
            raise ValueError(
                "QuantileRegressor with a penalty needs all rows in memory: for chunks set "
                "alpha=0, or use SGDRegressor(loss='quantile') with its L2 penalty"
            )
        return super()._train(data, *others, **options)

    def _store(self, coef, intercept):
        super()._store(coef, intercept)
        if self.fit_intercept:
            self.intercept_ = intercept[0]
