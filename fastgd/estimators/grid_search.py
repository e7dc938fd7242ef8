"""Grid search: candidates that differ in the penalty are trained together on each fold.

`joint_training.TOGETHER` says for which parameters of which models there is a function that does
so. Whatever it does not cover goes scikit-learn's way.
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
from sklearn.utils.metadata_routing import _routing_enabled
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

from fastgd.estimators.folds import row_numbers
from fastgd.estimators.joint_training import TOGETHER, with_parameters
from fastgd.estimators.linear_model import LinearModel
from fastgd.estimators.margin_scores import scores_of_margins
from fastgd.estimators.parameters import validate
from fastgd.problem.records import Record
from fastgd.training.blas import one_blas_thread

# Margins that are computed at once, at most: 128 MB.
MAX_MARGINS = 2**24


class Group(Record):
    """Candidates that are trained together: their places in the grid, the parameters of the model
    in which they may differ, and the others.
    """

    places: list
    values: list
    others: dict


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
    if not parameters.keys() <= estimator._parameter_constraints.keys():
        return False
    model = with_parameters(estimator, parameters)
    try:
        validate(model)
    except (TypeError, ValueError):
        return False
    values = vars(model)
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
    if search.verbose > 1:
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
        plan, n = self._plan, _num_samples(self._X)
        folds = [tuple(row_numbers(rows, n) for rows in fold) for fold in self._folds]
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
        X_test, y_test = _safe_split(search.estimator, self._X, self._y, test, train)
        start = time.time()
        scores = self._scores(models, X_test, y_test, test)
        score_seconds = (time.time() - start) / len(models)
        train_scores = None
        if search.return_train_score:
            X_train, y_train = _safe_split(search.estimator, self._X, self._y, train)
            train_scores = self._scores(models, X_train, y_train, train)
        for k, place in enumerate(group.places):
            found[place, f] = {
                "fit_error": None,
                "test_scores": scores[k],
                "n_test_samples": _num_samples(X_test),
                "fit_time": seconds,
                "score_time": score_seconds,
            }
            if train_scores is not None:
                found[place, f]["train_scores"] = train_scores[k]

    def _scores(self, models, X, y, index):
        """scikit-learn's scores of models of one fold on the rows with these numbers."""
        params = _check_method_params(self._X, params=self._routed.scorer.score, indices=index)
        scores = []
        for part, margins in self._known_margins(models, X):
            known = self._scores_of_margins(part, margins, y, params)
            scores += known or self._scores_by_scorers(part, X, y, margins, params)
        return scores

    def _known_margins(self, models, X):
        """Yields some of the models and their margins on X (rows, models, outputs), from one
        product; None if these are not known.
        """
        first, rows = models[0], X
        try:
            if isinstance(first, Pipeline):
                rows, first = first[:-1].transform(X), first[-1]
            rows = first._check_X(rows, reset=False)
        except (TypeError, ValueError):  # a scorer tells what is wrong
            yield models, None
            return
        outputs = len(np.atleast_2d(first.coef_))
        size = max(1, MAX_MARGINS // max(1, rows.shape[0] * outputs))
        for begin in range(0, len(models), size):
            part = models[begin : begin + size]
            last = [model[-1] if isinstance(model, Pipeline) else model for model in part]
            coef = np.concatenate([np.atleast_2d(model.coef_) for model in last])
            with one_blas_thread(), np.errstate(all="ignore"):
                margins = np.asarray(rows @ coef.T.astype(rows.dtype))
                margins = margins.reshape(-1, len(part), outputs)
                margins += np.array([np.full(outputs, model.intercept_) for model in last])
            yield part, margins if np.isfinite(margins).all() else None

    def _scores_of_margins(self, models, margins, y, params):
        """The scores without scorers; None where only these will do."""
        names = _names_of(self._search.scoring)
        if names is None or margins is None or y is None or _routing_enabled():
            return None
        if not params.keys() <= {"sample_weight"}:
            return None
        y = np.asarray(y)
        last = models[0][-1] if isinstance(models[0], Pipeline) else models[0]
        found = {}
        for key, name in names.items():
            of_models = scores_of_margins(name, last, margins, y, **params)
            if of_models is None or not np.isfinite(of_models).all():
                return None
            found[key] = [float(score) for score in of_models]
        if isinstance(self._scorers, _MultimetricScorer):
            return [{key: found[key][k] for key in found} for k in range(len(models))]
        return found[None]

    def _scores_by_scorers(self, models, X, y, margins, params):
        """The scores of scikit-learn's scorers, which predict from the margins."""
        error_score = self._search.error_score
        if isinstance(self._scorers, _MultimetricScorer):
            self._scorers._raise_exc = error_score == "raise"
        scores = []
        for k, model in enumerate(models):
            if margins is not None and isinstance(model, LinearModel):
                model._known_margins = X, np.ascontiguousarray(margins[:, k])
            scores.append(_score(model, X, y, self._scorers, params, error_score))
            vars(model).pop("_known_margins", None)
        return scores

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


def _names_of(scoring):
    """{key of the scores: name of the scorer}, the key None if there is one; None if some scorers
    have no name.
    """
    if scoring is None or isinstance(scoring, str):
        return {None: scoring}
    if isinstance(scoring, dict):
        return scoring if all(isinstance(name, str) for name in scoring.values()) else None
    if isinstance(scoring, (list, tuple, set)):
        return {name: name for name in scoring}
    return None
