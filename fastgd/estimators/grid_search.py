"""Grid search: candidates that differ in the penalty are trained together on each fold.

`TOGETHER` says for which parameters of which models there is a function that does so. Whatever it
does not cover goes scikit-learn's way.
"""

import time
from collections import defaultdict

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.model_selection import ParameterGrid, check_cv
from sklearn.model_selection._search import _insert_error_scores, _warn_or_raise_about_fit_failures
from sklearn.model_selection._validation import _fit_and_score, _score
from sklearn.pipeline import Pipeline
from sklearn.utils import indexable
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

from fastgd.estimators.linear_model import LinearModel
from fastgd.estimators.logistic_path import Rows, Subset, fit_paths, warn_unconverged
from fastgd.problem.chunks import Chunks
from fastgd.problem.records import Record


class Group(Record):
    """Candidates that are trained together: their places in the grid, the parameters of the model
    in which they may differ, and the others.
    """

    places: list
    values: list
    others: dict


# ---- logistic regression: penalties are columns of one problem ----


def train_logistic(estimator, values, X, y, weights, folds):
    """For each fold, its training rows `folds`, the fitted models of all `values`; None for a fold
    that lacks a class. Without `folds`, the models of all rows are those of one fold.
    """
    plain = clone(estimator).set_params(class_weight=None)
    rows = Rows.of(plain, X, y, weights)
    complete = [
        f
        for f, train in enumerate(folds or ())
        if len(np.unique(rows.number[train])) == rows.classes
    ]
    found = [[None] * len(values) if f in complete else None for f in range(len(folds or [0]))]
    if folds is None:
        found = [[None] * len(values)]
    parts = defaultdict(list)
    for place, value in enumerate(values):
        weight = value.get("class_weight", estimator.class_weight)
        parts[repr(weight), value.get("l1_ratio", estimator.l1_ratio)].append(place)
    optimality = []
    for (_, l1_ratio), places in parts.items():
        weight = values[places[0]].get("class_weight", estimator.class_weight)
        Cs = np.array([values[place].get("C", estimator.C) for place in places], dtype=float)
        if folds is None:
            everything = np.arange(len(rows.number))
            weighted = Rows(rows.X, rows.number, rows.classes)
            weighted.weights = _weights(plain, rows, everything, weight)
            paths, targets = fit_paths(plain, weighted, Cs, l1_ratio), [0]
        else:
            subsets = [Subset(folds[f], _weights(plain, rows, folds[f], weight)) for f in complete]
            _, *paths = fit_paths(plain, rows, Cs, l1_ratio, subsets, with_whole=False)
            targets = complete
        for f, path in zip(targets, paths, strict=True):
            optimality.append(path.optimality)
            for c, place in enumerate(places):
                model = clone(estimator).set_params(**values[place])
                found[f][place] = _fitted(model, plain, path, c, rows.X.dtype)
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


def _fitted(model, plain, path, place, dtype):
    """The model with what a fit stores, except a history."""
    for name in ("classes_", "n_features_in_", "feature_names_in_"):
        if hasattr(plain, name):
            setattr(model, name, getattr(plain, name))
    model._store(path.coef[place].astype(dtype), path.intercept[place].astype(dtype))
    model.n_iter_, model.stop_reason_ = int(path.n_iter[place]), path.reason[place]
    model.optimality_, model.solver_ = float(path.optimality[place]), path.solver
    model.optimality_kind_ = "duality gap" if path.has_l1 else "Newton decrement"
    is_separable = model.stop_reason_ == "separable"
    model.converged_ = bool(model.optimality_ <= model.tol) and not is_separable
    return model


# ---- other linear models: each begins at the one before ----


def train_in_sequence(estimator, values, X, y, weights, folds):
    """The same for a model with one penalty: from the strongest to the weakest."""
    return [
        _sequence(estimator, values, X, y, weights, train)
        for train in ([None] if folds is None else folds)
    ]


def _sequence(estimator, values, X, y, weights, train):
    if train is not None:
        X, y = _safe_split(estimator, X, y, train)
        weights = None if weights is None else np.asarray(weights)[train]
    models, start = [None] * len(values), (None, None)
    for place in sorted(range(len(values)), key=lambda k: _weakness(estimator, values[k])):
        model = clone(estimator).set_params(**values[place])
        model._fit(X, y, weights, init=start)
        coef, models[place] = np.atleast_2d(model.coef_), model
        start = coef, np.broadcast_to(model.intercept_, len(coef))
    return models


def _weakness(estimator, value):
    """A number that grows as the penalty of a candidate becomes weaker."""
    if hasattr(estimator, "C"):
        return value.get("C", estimator.C)
    return -value.get("alpha", estimator.alpha)


# {class: (parameters in which candidates may differ, function that trains them)}. A model whose
# penalties share more than a start, such as least squares, enters its own function here.
TOGETHER = {
    "LogisticRegression": ({"C", "l1_ratio", "class_weight"}, train_logistic),
    "Ridge": ({"alpha"}, train_in_sequence),
    "Lasso": ({"alpha"}, train_in_sequence),
    "ElasticNet": ({"alpha", "l1_ratio"}, train_in_sequence),
    "LinearSVC": ({"C"}, train_in_sequence),
    "LinearSVR": ({"C"}, train_in_sequence),
}


# ---- which candidates are trained together ----


class Plan:
    """The groups of a search's candidates. `steps` is a pipeline before its last step, or None;
    `prefix` the name of that step.
    """

    def __init__(self, search):
        self.candidates = list(ParameterGrid(search.param_grid))
        self.groups, self.steps, self.prefix = [], None, ""
        self.estimator = search.estimator
        if type(self.estimator) is Pipeline and len(self.estimator.steps) > 1:
            name, last = self.estimator.steps[-1]
            self.steps, self.prefix, self.estimator = self.estimator[:-1], f"{name}__", last
        kind = type(self.estimator)
        if not isinstance(self.estimator, LinearModel) or kind.__module__ != "fastgd.linear":
            return
        names, self.train = TOGETHER.get(kind.__name__, (set(), None))
        parts = defaultdict(list)
        for place, candidate in enumerate(self.candidates):
            if not all(name.startswith(self.prefix) for name in candidate):
                return  # the grid changes other steps
            own = {name[len(self.prefix) :]: value for name, value in candidate.items()}
            if _is_plain(self.estimator, own):
                others = {name: value for name, value in own.items() if name not in names}
                varied = {name: value for name, value in own.items() if name in names}
                parts[repr(sorted(others.items()))].append((place, varied, others))
        for members in parts.values():
            if len(members) > 1:
                places, values, others = zip(*members, strict=True)
                self.groups.append(Group(list(places), list(values), others[0]))


def _is_plain(estimator, parameters):
    """Whether a model with these parameters is valid, and is trained in silence from the start."""
    try:
        model = clone(estimator).set_params(**parameters)
        model._validate_params()
    except (TypeError, ValueError):
        return False
    values = model.get_params()
    is_new = not values.get("warm_start") and not values.get("verbose")
    has_ratio = values.get("l1_ratio", 0.0) is not None
    is_current = values.get("penalty", "deprecated") in ("deprecated", "l2")
    is_limited = values.get("max_seconds") is not None
    return is_new and has_ratio and is_current and not is_limited


def plan_of(search, X, params):
    """The `Plan` of a search with these parameters of `fit`; None where all of it goes
    scikit-learn's way.
    """
    if vars(search).get("_skl_callbacks") or hasattr(search, "_parent_callback_ctx"):
        return None
    if search.verbose > 1 or isinstance(X, Chunks):
        return None
    plan = Plan(search)
    if not plan.groups:
        return None
    allowed = set() if plan.steps else {"sample_weight"}
    for estimator in (search.estimator, plan.estimator):
        if vars(estimator).get("_skl_callbacks"):
            return None
    routed = search._get_routed_params_for_fit(_check_method_params(X, params=params))
    return plan if set(routed.estimator.fit) <= allowed else None


# ---- the search ----


class Search:
    """One fit of a `GridSearchCV` by a `Plan`: what scikit-learn's `BaseSearchCV.fit` does."""

    def __init__(self, search, plan, X, y, params):
        self._search, self._plan = search, plan
        self._scorers, self._metric = search._get_scorers()
        self._X, self._y = indexable(X, y)
        params = _check_method_params(self._X, params=params)
        self._routed = search._get_routed_params_for_fit(params)

    def run(self):
        """Train and score all candidates; store the results in the search."""
        search, X, y, routed = self._search, self._X, self._y, self._routed
        cv = check_cv(search.cv, y, classifier=is_classifier(search.estimator))
        search._checked_cv_orig = cv
        search._check_input_parameters(X=X, y=y, split_params=routed.splitter.split)
        search.n_splits_ = cv.get_n_splits(X, y, **routed.splitter.split)
        self._folds = list(cv.split(X, y, **routed.splitter.split))
        if len(self._folds) != search.n_splits_:
            raise ValueError(
                "cv.split and cv.get_n_splits return inconsistent results. Expected "
                f"{search.n_splits_} splits, got {len(self._folds)}"
            )
        candidates = self._plan.candidates
        if search.verbose > 0:
            fits = len(candidates) * search.n_splits_
            print(
                f"Fitting {search.n_splits_} folds for each of {len(candidates)} candidates, "
                f"totalling {fits} fits"
            )
        found = {}
        for group in self._plan.groups:
            self._train(group, found)
        for place in range(len(candidates)):
            for f in range(len(self._folds)):
                if (place, f) not in found:
                    found[place, f] = self._fit_separately(place, f)
        out = [found[c, f] for c in range(len(candidates)) for f in range(len(self._folds))]
        _warn_or_raise_about_fit_failures(out, search.error_score)
        if callable(search.scoring):
            _insert_error_scores(out, search.error_score)
        self._store(search._format_results(candidates, search.n_splits_, out), out)
        return search

    def _fit_separately(self, place, f):
        """Train and score a candidate on a fold scikit-learn's way."""
        search, (train, test) = self._search, self._folds[f]
        return _fit_and_score(
            clone(search.estimator),
            self._X,
            self._y,
            train=train,
            test=test,
            parameters=self._plan.candidates[place],
            split_progress=(f, search.n_splits_),
            candidate_progress=(place, len(self._plan.candidates)),
            scorer=self._scorers,
            fit_params=self._routed.estimator.fit,
            score_params=self._routed.scorer.score,
            return_train_score=search.return_train_score,
            return_n_test_samples=True,
            return_times=True,
            return_parameters=False,
            error_score=search.error_score,
            verbose=search.verbose,
            caller=search,
            callback_ctx=None,
        )

    # ---- training together ----

    def _train(self, group, found):
        """Add the results of a group to `found`; what fails is left to separate fits."""
        plan, folds = self._plan, [_indices(train) for train, _ in self._folds]
        estimator = clone(plan.estimator).set_params(**group.others)
        if self._search.n_jobs is not None and getattr(estimator, "n_jobs", 0) is None:
            estimator.set_params(n_jobs=self._search.n_jobs)
        weights = self._routed.estimator.fit.get("sample_weight")
        start = time.time()
        try:
            if plan.steps is None:
                rows = self._X, self._y, weights
                models = plan.train(estimator, group.values, *rows, folds)
                seconds = [(time.time() - start) / len(folds)] * len(folds)
            else:
                timed = [self._train_last_step(estimator, group, f) for f in range(len(folds))]
                models, seconds = zip(*timed, strict=True)
        except Exception:  # by separate fits it is known whose it is, and what `error_score` asks
            return
        for f, of_fold in enumerate(models):
            if of_fold is not None:
                self._score_fold(group, f, of_fold, seconds[f] / len(of_fold), found)

    def _train_last_step(self, estimator, group, f):
        """(pipelines with all models as the last step, seconds) of a fold."""
        plan, start = self._plan, time.time()
        X, y = _safe_split(self._search.estimator, self._X, self._y, self._folds[f][0])
        steps = clone(plan.steps)
        transformed = steps.fit_transform(X, y)
        (models,) = plan.train(estimator, group.values, transformed, y, None, None)
        name = self._search.estimator.steps[-1][0]
        options = {"transform_input": self._search.estimator.transform_input}
        pipelines = [Pipeline([*steps.steps, (name, model)], **options) for model in models]
        return pipelines, time.time() - start

    def _score_fold(self, group, f, models, seconds, found):
        """Score the models of a fold."""
        search, (train, test) = self._search, self._folds[f]
        estimator, error_score = search.estimator, search.error_score
        X_test, y_test = _safe_split(estimator, self._X, self._y, test, train)
        params = self._routed.scorer.score
        of_test = _check_method_params(self._X, params=params, indices=test)
        if search.return_train_score:
            X_train, y_train = _safe_split(estimator, self._X, self._y, train)
            of_train = _check_method_params(self._X, params=params, indices=train)
        if isinstance(self._scorers, _MultimetricScorer):
            self._scorers._raise_exc = error_score == "raise"
        _know_margins(models, X_test)
        for place, model in zip(group.places, models, strict=True):
            start = time.time()
            scores = _score(model, X_test, y_test, self._scorers, of_test, error_score)
            found[place, f] = {
                "fit_error": None,
                "test_scores": scores,
                "n_test_samples": _num_samples(X_test),
                "fit_time": seconds,
                "score_time": time.time() - start,
            }
            if search.return_train_score:
                scores = _score(model, X_train, y_train, self._scorers, of_train, error_score)
                found[place, f]["train_scores"] = scores

    # ---- results, as scikit-learn stores them ----

    def _store(self, results, out):
        search, metric = self._search, self._metric
        first = out[0]["test_scores"]
        search.multimetric_ = isinstance(first, dict)
        if callable(search.scoring) and search.multimetric_:
            search._check_refit_for_multimetric(first)
            metric = search.refit
        if search.refit or not search.multimetric_:
            search.best_index_ = search._select_best_index(search.refit, metric, results)
            if not callable(search.refit):
                search.best_score_ = results[f"mean_test_{metric}"][search.best_index_]
            search.best_params_ = results["params"][search.best_index_]
        if search.refit:
            best = clone(search.best_params_, safe=False)
            search.best_estimator_ = clone(search.estimator).set_params(**best)
            start = time.time()
            y = () if self._y is None else (self._y,)
            search.best_estimator_.fit(self._X, *y, **self._routed.estimator.fit)
            search.refit_time_ = time.time() - start
            if hasattr(search.best_estimator_, "feature_names_in_"):
                search.feature_names_in_ = search.best_estimator_.feature_names_in_
        scorers = self._scorers
        is_multiple = isinstance(scorers, _MultimetricScorer)
        search.scorer_ = scorers._scorers if is_multiple else scorers
        search.cv_results_ = results


def _indices(rows):
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows


def _know_margins(models, X):
    """Compute the margins on an array X of all models by one product."""
    first = models[0]
    if not isinstance(X, np.ndarray) or not isinstance(first, LinearModel):
        return
    if X.ndim != 2 or X.dtype.kind != "f" or not np.isfinite(X.sum()):
        return  # the models convert X, or say what is wrong
    coefs = [np.atleast_2d(model.coef_) for model in models]
    margins = X @ np.concatenate(coefs).astype(X.dtype).T
    outputs = len(coefs[0])
    for place, model in enumerate(models):
        z = margins[:, place * outputs : (place + 1) * outputs] + model.intercept_
        known = np.ascontiguousarray(z, dtype=X.dtype)
        compute = model._margins
        model._margins = lambda rows, known=known, compute=compute: (
            known if rows is X else compute(rows)
        )
