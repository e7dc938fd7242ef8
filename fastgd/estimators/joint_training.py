"""Fits of one model that differ in the penalty, trained together on each fold.

Each function takes an estimator, `values` (dicts of the parameters in which the fits differ), a
user's rows and `folds`, pairs of row numbers (to train on, others). It returns the fitted models of
each fold, in the order of `values`; None for a fold on which they cannot be trained together.
Without folds, the models of all rows are those of one fold.
"""

from collections import defaultdict
from copy import copy
from numbers import Real

import numpy as np
from sklearn.base import clone
from sklearn.utils.metaestimators import _safe_split

from fastgd.estimators.logistic_path import (
    Path,
    Rows,
    Subset,
    fit_paths,
    has_converged,
    warn_unconverged,
)
from fastgd.estimators.parameters import thread_count
from fastgd.estimators.path_search import PathSearch, Samples
from fastgd.estimators.ridge_folds import RidgeFolds
from fastgd.methods.lasso_path import PathSettings
from fastgd.problem.data import distinct_columns
from fastgd.problem.duality import relative
from fastgd.training.blas import one_blas_thread

# A model of a path keeps the weights of the one before if they are within `tol`. A path goes on to
# this share of it, as in `logistic_path`, so that each penalty has a model of its own.
PATH_TOL_SHARE = 0.1
# Sweeps of a point of a path by products of the columns, which are no passes over X. A guard.
MAX_SWEEPS = 10_000
# Nonzero weights, without products of the columns, beyond which models are trained in sequence: the
# Newton steps of a path take the cube of their number. On 1000 x 5000 with 20 alphas, the smallest
# 1/1000 of the largest, five folds take 2.3 s so, 50 s without a limit, and 2.2 s in sequence.
MAX_SUPPORT = 256

# ---- logistic regression: penalties are columns of one problem ----


def train_logistic(estimator, values, X, y, weights, folds):
    """By `fit_paths`; None for a fold that lacks a class."""
    plain = clone(estimator).set_params(class_weight=None)
    rows = Rows.of(plain, X, y, weights)
    if folds is None:
        trains, complete = [np.arange(len(rows.number))], [0]
    else:
        trains = [train for train, _ in folds]
        counts = [len(np.unique(rows.number[train])) for train in trains]
        complete = [f for f, count in enumerate(counts) if count == rows.classes]
    found = [[None] * len(values) if f in complete else None for f in range(len(trains))]
    parts = defaultdict(list)
    for place, value in enumerate(values):
        weight = value.get("class_weight", estimator.class_weight)
        parts[repr(weight), value.get("l1_ratio", estimator.l1_ratio)].append(place)
    optimality = []
    for (_, l1_ratio), places in parts.items():
        weight = values[places[0]].get("class_weight", estimator.class_weight)
        Cs = np.array([values[place].get("C", estimator.C) for place in places], dtype=float)
        if folds is None:
            weighted = Rows(rows.X, rows.number, rows.classes)
            weighted.weights = _weights(plain, rows, trains[0], weight)
            paths = fit_paths(plain, weighted, Cs, l1_ratio)
        else:
            subsets = [
                Subset(trains[f], _weights(plain, rows, trains[f], weight)) for f in complete
            ]
            _, *paths = fit_paths(plain, rows, Cs, l1_ratio, subsets, with_whole=False)
        for f, path in zip(complete, paths, strict=True):
            optimality.append(path.optimality)
            for c, place in enumerate(places):
                model = with_parameters(plain, {"class_weight": weight} | values[place])
                found[f][place] = _fitted(model, path, c, rows.X.dtype)
    if optimality:
        warn_unconverged(optimality, estimator.tol, estimator.max_iter)
    return found


def _weights(model, rows, index, class_weight):
    """The weights of some rows, times those of their classes; None: all 1."""
    weights = None if rows.weights is None else rows.weights[index]
    if class_weight is None:
        return weights
    weighted = clone(model).set_params(class_weight=class_weight)
    weighted.classes_, number = model.classes_, rows.number[index]
    factor = np.divide(*weighted._class_factors(number, weights, False))[number]
    return factor if weights is None else factor * weights


def with_parameters(plain, value):
    """A copy of a model that has seen the data, with other valid parameters: a clone and
    `set_params` take 20 times as long.
    """
    model = copy(plain)
    for name, parameter in value.items():
        setattr(model, name, parameter)
    return model


def _fitted(model, path, place, dtype):
    """The model with what a fit stores, except a history."""
    model._store(path.coef[place].astype(dtype), path.intercept[place].astype(dtype))
    model.n_iter_, model.stop_reason_ = int(path.n_iter[place]), path.reason[place]
    model.t_, model._state = model.n_iter_ + 1, None
    model.optimality_, model.solver_ = float(path.optimality[place]), path.solver
    model.optimality_kind_ = "duality gap" if path.has_l1 else "Newton decrement"
    model.converged_ = has_converged(model.optimality_, model.stop_reason_, model.tol)
    return model


# ---- ridge regression: all penalties from one factorisation ----


def train_ridge(estimator, values, X, y, weights, folds):
    """By `RidgeFolds`; where products are not the fastest way, in sequence."""
    alphas = [value.get("alpha", estimator.alpha) for value in values]
    has_products = not estimator.positive and estimator.batch_size == "auto"
    together = [k for k, a in enumerate(alphas) if has_products and isinstance(a, Real) and a > 0]

    def train(plain, data, outputs):
        strengths = np.array([alphas[k] for k in together], dtype=float)
        search, n = RidgeFolds(plain, data, outputs, strengths), data.X.shape[0]
        trains = [np.arange(n)] if folds is None else [train for train, _ in folds]
        with one_blas_thread():
            rows = search.training_rows(trains)
            solve = search.solver(rows)
            if solve is None:
                return None
            return [
                _ridge_path(solve(f, own, own[:0], np.arange(outputs)))
                for f, own in enumerate(rows)
            ]

    return _train_paths(estimator, values, (X, y, weights), folds, together, train)


def _ridge_path(result):
    """The `Path` of a `FoldResult`; models that products do not determine are not finite."""
    coef, intercept = result.of_products()
    optimality = np.where(np.isfinite(coef).all(axis=(1, 2)), 0.0, np.inf)
    ones = np.ones(len(coef), int)
    return Path(coef, intercept, ones, optimality, np.full(len(coef), "tol"), "cholesky")


# ---- L1 penalties: paths by coordinate descent ----


def train_l1(estimator, values, X, y, weights, folds):
    """By `PathSearch`, a path for each `l1_ratio`; without an L1 part, in sequence."""
    alphas = np.array([value.get("alpha", estimator.alpha) for value in values], dtype=float)
    ratios = np.array([value.get("l1_ratio", estimator.l1_ratio) for value in values], dtype=float)
    has_paths = estimator.batch_size == "auto" and np.ndim(y) == 1
    together = np.flatnonzero((alphas * ratios > 0) & has_paths)
    alphas, ratios = alphas[together], ratios[together]

    def train(plain, data, outputs):
        everything = np.arange(data.X.shape[0])
        samples = Samples(distinct_columns(data.X), data.y, data.weights, plain.fit_intercept)
        pairs = [(everything, everything)] if folds is None else folds
        search = PathSearch(samples, pairs, None, "auto", thread_count(plain.n_jobs))
        search.settings = PathSettings(
            PATH_TOL_SHARE * plain.tol,
            MAX_SWEEPS if search.products else plain.max_iter or 1000,
            plain.positive,
            relative_to_gain=True,
            max_support=data.X.shape[1] if search.products else MAX_SUPPORT,
        )
        grids, places = [], []
        for ratio in np.unique(ratios):
            own = np.flatnonzero(ratios == ratio)
            own = own[np.argsort(-alphas[own], kind="stable")]
            places.append(own)
            grids.append((alphas[own] * ratio, alphas[own] * (1 - ratio)))
        # The order of the candidates, from the order of the paths.
        order = np.argsort(np.concatenate(places))
        found = search.paths(grids, _l1_path)
        return [_joined(found[f :: len(pairs)]).of(order) for f in range(len(pairs))]

    return _train_paths(estimator, values, (X, y, weights), folds, together, train)


def _l1_path(fold, points):
    """The `Path` of a `Fold` and its `PathPoints`."""
    data, coef = fold.data, points.coefs
    intercept = data.mean_y - coef @ data.mean_x
    n_iter = np.maximum(points.iterations, 1) if data.has_rows else np.ones(len(coef), int)
    optimality = np.full(len(coef), np.inf)
    for k in np.flatnonzero(points.iterations >= 0):
        optimality[k] = relative(points.gaps[k], points.objectives[k], data.yy / 2)
    reason = np.full(len(coef), "tol")
    parts = coef[:, None], intercept[:, None], n_iter, optimality, reason, "coordinate-descent"
    return Path(*parts, has_l1=True, gaps=points.gaps)


def _joined(paths):
    """The `Path` of several paths of one fold."""
    names = "coef", "intercept", "n_iter", "optimality", "reason", "gaps"
    arrays = {n: np.concatenate([getattr(path, n) for path in paths]) for n in names}
    return Path(**arrays, solver=paths[0].solver, has_l1=paths[0].has_l1)


# ---- other linear models: each begins at the one before ----


def train_in_sequence(estimator, values, X, y, weights, folds):
    """Any model with one penalty: from the strongest to the weakest."""
    rows = X, y, weights
    return [
        _sequence(estimator, values, rows, train)
        for train in ([None] if folds is None else [train for train, _ in folds])
    ]


def _train_paths(estimator, values, rows, folds, together, train):
    """The models of which some are trained `together`, the places of their values: ``train(model,
    data, outputs)`` returns the `Path` of each fold, or None. Models that are not on a path, or not
    within `tol`, are trained in sequence.
    """
    paths = None
    if len(together) > 1:
        plain = clone(estimator)
        data, outputs = plain._checked(*rows)
        paths = train(plain, data, outputs)
    if paths is None:
        return train_in_sequence(estimator, values, *rows, folds)
    found = []
    for f, path in enumerate(paths):
        models = [None] * len(values)
        for k, place in enumerate(together):
            if path.optimality[k] <= plain.tol:
                model = _fitted(with_parameters(plain, values[place]), path, k, data.X.dtype)
                if path.gaps is not None:
                    model.dual_gap_ = path.gaps[k]
                models[place] = model
        own = None if folds is None else folds[f][0]
        found.append(_sequence(estimator, values, rows, own, models))
    return found


def _part(estimator, rows, train):
    """Some of the rows (X, y, weights); None: all."""
    X, y, weights = rows
    if train is None:
        return rows
    weights = None if weights is None else np.asarray(weights)[train]
    return *_safe_split(estimator, X, y, train), weights


def _sequence(estimator, values, rows, train, models=None):
    """The models of a fold, of which some may be trained already."""
    models, start, own = list(models or [None] * len(values)), (None, None), None
    for place in sorted(range(len(values)), key=lambda k: _weakness(estimator, values[k])):
        if models[place] is None:
            own = own or _part(estimator, rows, train)
            model = clone(estimator).set_params(**values[place])
            models[place] = model._fit(*own, init=start)
        coef = np.atleast_2d(models[place].coef_)
        start = coef, np.broadcast_to(models[place].intercept_, len(coef))
    return models


def _weakness(estimator, value):
    """A number that grows as the penalty of a candidate becomes weaker."""
    if hasattr(estimator, "C"):
        return value.get("C", estimator.C)
    return -np.mean(value.get("alpha", estimator.alpha))


# {class: (parameters in which fits may differ, function that trains them)}
TOGETHER = {
    "LogisticRegression": ({"C", "l1_ratio", "class_weight"}, train_logistic),
    "Ridge": ({"alpha"}, train_ridge),
    "Lasso": ({"alpha"}, train_l1),
    "ElasticNet": ({"alpha", "l1_ratio"}, train_l1),
    "LinearSVC": ({"C"}, train_in_sequence),
    "LinearSVR": ({"C"}, train_in_sequence),
}
