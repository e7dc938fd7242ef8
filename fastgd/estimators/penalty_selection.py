"""Regressors that choose the strength of an L1 penalty by cross-validation, with scikit-learn's
rules.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import _check_precomputed_gram_matrix
from sklearn.model_selection import check_cv
from sklearn.utils import check_scalar
from sklearn.utils._metadata_requests import MetadataRouter, MethodMapping, _raise_for_params
from sklearn.utils.metadata_routing import _routing_enabled, process_routing
from sklearn.utils.validation import column_or_1d

from fastgd.estimators.chunked_data import SELECTION_OF_CHUNKS, check_in_memory
from fastgd.estimators.diagnostics import warn
from fastgd.estimators.folds import row_numbers
from fastgd.estimators.linear_model import LinearModel
from fastgd.estimators.parameters import thread_count
from fastgd.estimators.path_search import PathSearch, Samples
from fastgd.estimators.supervised import Regressor
from fastgd.methods.lasso_path import PathSettings
from fastgd.problem.data import distinct_columns
from fastgd.problem.dual_gap import dual_gaps
from fastgd.problem.problem import Samples as FitSamples
from fastgd.training.blas import one_blas_thread

if TYPE_CHECKING:
    from fastgd.problem.array_types import Array

# scikit-learn's words.
NO_GRID = (
    "Automatic alpha grid generation is not supported for l1_ratio=0. Please supply a grid by "
    "providing your estimator with the appropriate `alphas=` argument."
)
NEW_GRAM = "Gram matrix was provided but X was centered to fit intercept: recomputing Gram matrix."
UNFINISHED = (
    "Objective did not converge. You might want to increase the number of iterations, check the "
    "scale of the features or consider increasing regularisation."
)


def alpha_grid(largest_l1, l1_ratio, eps, size):
    """Strengths from the smallest one without nonzero weights to `eps` times it, as
    scikit-learn's.
    """
    if l1_ratio == 0:
        raise ValueError(NO_GRID)
    largest, least = largest_l1 / l1_ratio, np.finfo(float).resolution
    if not largest > least:
        return np.full(size, least)
    return np.geomspace(largest, largest * eps, num=size)


def checked_alphas(alphas):
    """A user's strengths of the penalty, in descending order."""
    for index, alpha in enumerate(alphas):
        check_scalar(
            alpha, f"alphas[{index}]", target_type=Real, min_val=0.0, include_boundaries="left"
        )
        if not np.isfinite(alpha):
            raise ValueError(f"alphas[{index}] == {alpha}, must be finite.")
    if not len(alphas):
        raise ValueError("alphas must not be empty: there is nothing to choose from")
    return np.sort(np.asarray(alphas, dtype=float))[::-1]


def warn_of_unfinished(pairs, points):
    """Warn of duality gaps that are larger than asked for, of so many points; `pairs` are those
    (gap, asked for).
    """
    if pairs:
        gap, tolerance = max(pairs, key=lambda pair: pair[0] - pair[1])
        warn(
            f"{UNFINISHED} Duality gap: {gap:.6e}, tolerance: {tolerance:.3e} (the largest gap, of "
            f"{len(pairs)} of {points} fits).",
            ConvergenceWarning,
        )


class PenaltySelection(Regressor):
    """Base of regressors whose `alpha_`, and `l1_ratio_`, have the least mean squared error in
    cross-validation, and whose coefficients are then those of all rows.
    """

    alpha_: float
    alphas_: Array
    mse_path_: Array
    dual_gap_: float
    intercept_: float
    optimality_: float
    optimality_kind_: str

    loss, draws_nothing = "squared_error", True

    def _ratios(self):
        """The shares of L1 to choose from."""
        return np.ones(1)

    def _keep_ratio(self, ratio):
        """Store the chosen share of L1."""

    def _penalty(self, outputs, total):
        alpha, ratio = self._chosen
        return alpha * ratio, alpha * (1 - ratio), 0

    def _select(self, X, y, sample_weight, params):
        """Choose the penalty, and train with it."""
        fit_callbacks = self._fit_callbacks(X, y, sample_weight)
        _raise_for_params(params, self, "fit")
        check_in_memory(self, X, SELECTION_OF_CHUNKS)
        X, y = self._check_X(X, reset=True, y=y, y_numeric=True, multi_output=True)
        X = distinct_columns(X)
        if y.ndim > 1 and y.shape[1] > 1:
            kind = type(self).__name__
            raise ValueError(f"For multi-task outputs, use MultiTask{kind}")
        y = column_or_1d(y, warn=True)
        weights = None if isinstance(sample_weight, Real) else sample_weight
        weights = self._sample_weight(weights, X)
        self._rows_that_count(weights, X.shape[0])
        search = self._search(X, y, weights, self._folds(X, y, sample_weight, params))
        self._choose(search)
        # Where the fit on all rows is not from products, it begins at a point of a path.
        products = search.products and search.products.whole
        init = (None, None) if products else self._first_solution(search)
        data = FitSamples(X, y, self._targets(y), weights)
        self._one_target = True
        metric = products.metric if products else None
        others = {"fit_callbacks": fit_callbacks, "metric": metric, "init": init}
        LinearModel._train(self, data, 1, False, **others)
        vars(self).pop("_chosen")
        return self

    def _folds(self, X, y, sample_weight, params):
        """Pairs of arrays of row numbers: to train on, to test on."""
        of_splitter = {}
        if _routing_enabled():
            routed = process_routing(self, "fit", sample_weight=sample_weight, **params)
            of_splitter = routed.splitter.split
        folds = check_cv(self.cv).split(X, y, **of_splitter)
        folds = [tuple(row_numbers(part, X.shape[0]) for part in pair) for pair in folds]
        if not folds:
            raise ValueError("cv gives no folds")
        return folds

    def _search(self, X, y, weights, folds):
        precompute = self.precompute
        if not isinstance(precompute, (bool, np.bool_, str)):
            precompute = self._check_gram(X, folds)
        settings = PathSettings(float(self.tol), int(self.max_iter), bool(self.positive))
        samples = Samples(X, y, weights, self.fit_intercept)
        threads = thread_count(self.n_jobs)
        return PathSearch(samples, folds, settings, precompute, threads)

    def _check_gram(self, X, folds):
        """What scikit-learn says of a user's matrix, which is that of no fold."""
        if self.fit_intercept:
            warn(NEW_GRAM, UserWarning)
        elif isinstance(X, np.ndarray):
            gram, none = np.asarray(self.precompute), np.zeros(X.shape[1])
            for train, _ in folds:
                _check_precomputed_gram_matrix(X[train], gram, none, none + 1)
        return "auto"

    def _choose(self, search):
        """Set `alpha_`, `alphas_` and `mse_path_`."""
        ratios = self._ratios()
        if isinstance(self.alphas, Integral):
            largest = search.whole.largest_l1(self.positive)
            alphas = np.array([alpha_grid(largest, r, self.eps, self.alphas) for r in ratios])
        else:
            alphas = np.tile(checked_alphas(self.alphas), (len(ratios), 1))
        grids = [(a * r, a * (1 - r)) for a, r in zip(alphas, ratios, strict=True)]
        errors, unfinished = search.run(grids)
        means = errors.mean(axis=1)
        if not np.isfinite(means).any():
            raise ValueError("The mean squared errors are not finite: X or y may be too large")
        best = np.unravel_index(np.nanargmin(means), means.shape)
        self.mse_path_ = np.squeeze(np.moveaxis(errors, 2, 1))
        self.alpha_ = float(alphas[best])
        has_one_grid = len(ratios) == 1 or not isinstance(self.alphas, Integral)
        self.alphas_ = alphas[0] if has_one_grid else alphas
        self._chosen = self.alpha_, float(ratios[best[0]])
        self._keep_ratio(ratios[best[0]])
        warn_of_unfinished(unfinished, errors.size)

    def _first_solution(self, search):
        """(coef, intercept) for the chosen penalty."""
        l1, l2, _ = self._penalty(1, None)
        data = search.whole
        with one_blas_thread():
            (coef,) = data.descend([l1], [l2], search.settings).coefs
        return coef, data.mean_y - coef @ data.mean_x

    def _coefficient_path(self, X, y, sample_weight):
        """(alphas, coefs (alphas, p), errors (alphas, folds), alpha_) at the chosen share of L1,
        for a picture; the data are those of the fit.
        """
        X, y = self._check_X(X, reset=False, y=y, y_numeric=True, multi_output=True)
        weights = self._sample_weight(sample_weight, X)
        ratio = getattr(self, "l1_ratio_", 1.0)
        k = list(self._ratios()).index(ratio)
        alphas = np.atleast_2d(self.alphas_)
        alphas = alphas[k if len(alphas) > 1 else 0]
        # `mse_path_` has no axes of length 1.
        errors = np.reshape(self.mse_path_, (len(self._ratios()), len(alphas), -1))[k]
        everything = np.arange(X.shape[0]), np.arange(X.shape[0])
        search = self._search(distinct_columns(X), np.ravel(y), weights, [everything])
        points = search.whole.descend(alphas * ratio, alphas * (1 - ratio), search.settings)
        return alphas, points.coefs, errors, self.alpha_

    def _certify(self, problem, coef, intercept, method):
        gaps = method and method.gaps()
        if gaps is None:
            gaps = dual_gaps(problem, coef, intercept, method and method.slopes_and_gradient())
        self.dual_gap_ = float(gaps[0])

    def _store(self, coef, intercept):
        super()._store(coef, intercept)
        self.intercept_ = intercept[0] if self.fit_intercept else 0.0

    def get_metadata_routing(self) -> MetadataRouter:
        """The requests of the model, and of its splitter.

        Returns
        -------
        routing : MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(splitter=check_cv(self.cv), method_mapping=mapping)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = False
        return tags
