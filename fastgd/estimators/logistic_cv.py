"""Cross-validation of logistic regression: folds, scores, and the choice of the penalty, as
scikit-learn's `LogisticRegressionCV` has them.
"""

import inspect
import warnings
from numbers import Number

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer, log_loss, make_scorer
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import (
    _raise_for_params,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import _check_method_params

from fastgd.estimators.base import about
from fastgd.estimators.chunked_data import SELECTION_OF_CHUNKS, check_in_memory
from fastgd.estimators.diagnostics import warn
from fastgd.estimators.folds import row_numbers
from fastgd.estimators.logistic_path import (
    SEQUENCE_TOL_SHARE,
    Rows,
    Subset,
    check_Cs,
    fit_paths,
    has_converged,
    warn_separable,
    warn_unconverged,
)
from fastgd.estimators.margin_scores import neg_log_loss
from fastgd.problem.records import Record


class Settings(Record):
    """The parameters whose defaults will change in scikit-learn, resolved."""

    penalty: str
    l1_ratios: list
    has_ratios: bool
    scoring: object
    is_legacy: bool


class Fold(Record):
    """The rows of a fold."""

    train: np.ndarray
    test: np.ndarray


def settings_of(model):
    """The `Settings` of a `LogisticRegressionCV`, with scikit-learn's warnings and errors."""
    ratios = _l1_ratios(model)
    penalty = _penalty(model, ratios)
    if penalty == "elasticnet":
        is_valid = ratios is not None and len(ratios) > 0
        if not (is_valid and all(isinstance(r, Number) and 0 <= r <= 1 for r in ratios)):
            raise ValueError(
                f"l1_ratios must be an array-like of numbers between 0 and 1; got "
                f"(l1_ratios={ratios!r})"
            )
    elif ratios is not None and model.penalty != "deprecated":
        text = "l1_ratios parameter is only used when penalty is 'elasticnet'. Got (penalty={})"
        warn(text.format(penalty), UserWarning)
    if ratios is not None and not len(ratios):
        raise ValueError("l1_ratios must hold at least one number between 0 and 1; got none")
    scoring = model.scoring
    if isinstance(scoring, str) and scoring == "warn":
        warn(
            "The default value of the parameter 'scoring' will change from None, i.e. accuracy, to "
            "'neg_log_loss' in version 1.11 of scikit-learn. To silence this warning, explicitly "
            "set the scoring parameter: scoring='neg_log_loss' for the new, scoring='accuracy' or "
            "scoring=None for the old default.",
            FutureWarning,
        )
        scoring = None
    is_legacy = model.use_legacy_attributes
    if is_legacy == "warn":
        warn(
            f"The fitted attributes of {type(model).__name__} will be simplified in scikit-learn "
            "1.10 to remove redundancy. Set `use_legacy_attributes=False` to enable the new "
            "behavior now, or set it to `True` to silence this warning. The default value of "
            "use_legacy_attributes will change from True to False in scikit-learn 1.10.",
            FutureWarning,
        )
        is_legacy = True
    given = [None] if ratios is None else list(ratios)
    return Settings(penalty, given, ratios is not None, scoring, bool(is_legacy))


def _l1_ratios(model):
    ratios = model.l1_ratios
    if isinstance(ratios, str) and ratios == "warn":
        warn(
            "The default value for l1_ratios will change from None to (0.0,) in version 1.10 of "
            "scikit-learn. From version 1.10 onwards, only array-like with values in [0, 1] will "
            "be allowed, None will be forbidden. To avoid this warning, explicitly set a value, "
            "e.g. l1_ratios=(0,).",
            FutureWarning,
        )
        return None
    return ratios


def _penalty(model, ratios):
    """The name of the penalty."""
    if model.penalty != "deprecated":
        warn(
            "'penalty' was deprecated in version 1.8 of scikit-learn and will be removed in 1.10. "
            "Use l1_ratios=(0,) instead of penalty='l2', l1_ratios=(1,) instead of penalty='l1', "
            "l1_ratios set to floats between 0 and 1 instead of penalty='elasticnet', and "
            "Cs=(np.inf,) instead of penalty=None.",
            FutureWarning,
        )
        return model.penalty
    if model.l1_ratios is None:
        warn(
            "'l1_ratios=None' was deprecated in version 1.8 of scikit-learn and will trigger an "
            "error in 1.10. Use an array-like with values in [0, 1] instead.",
            FutureWarning,
        )
    if ratios is None or np.all(np.asarray(ratios) == 0):
        return "l2"
    return "l1" if np.all(np.asarray(ratios) == 1) else "elasticnet"


class CrossValidation:
    """One fit of a `LogisticRegressionCV`; `prototype` is a `LogisticRegression` with its other
    parameters.
    """

    def __init__(self, model, prototype):
        self._model, self._prototype = model, prototype
        self._settings = settings_of(model)

    def run(self, X, y, sample_weight, params):
        """Train, and store the results in the model."""
        model = self._model
        _raise_for_params(params, model, "fit")
        check_in_memory(model, X, SELECTION_OF_CHUNKS)
        self.Cs = check_Cs(model.Cs)
        self._rows = Rows.of(model, X, y, sample_weight)
        X, y = self._rows.X, model.classes_[self._rows.number]
        routed = self._routed(sample_weight, params)
        cv = check_cv(model.cv, y, classifier=True)
        self._folds = [
            Fold(*(row_numbers(rows, len(y)) for rows in fold))
            for fold in cv.split(X, y, **routed.splitter.split)
        ]
        if not self._folds:
            raise ValueError("cv yields no folds: at least one (train, test) pair is needed")
        self._check_folds()
        self._train()
        self._score(X, y, routed.scorer.score)
        self._store()
        warn_unconverged(self._optimality, model.tol, model.max_iter)
        warn_separable([getattr(model, "stop_reason_", None)])
        return model

    def _routed(self, sample_weight, params):
        """The parameters of the splitter and of the scorer."""
        if _routing_enabled():
            return process_routing(self._model, "fit", sample_weight=sample_weight, **params)
        score = dict(params)
        if sample_weight is not None:
            score["sample_weight"] = sample_weight
        return Bunch(splitter=Bunch(split={}), scorer=Bunch(score=score))

    def _check_folds(self):
        """Refuse training rows without weight."""
        for place, fold in enumerate(self._folds):
            if not len(fold.train):
                raise ValueError(f"fold {place} of cv has no rows to train on")
            if self._rows.weights is not None:
                with about(f"the training rows of fold {place}"):
                    self._model._rows_that_count(self._rows.weights[fold.train], len(fold.train))

    def _train(self):
        """The paths of all folds, for each `l1_ratio`."""
        subsets = [Subset(fold.train) for fold in self._folds]
        # All rows are trained too where that costs little, and where the folds begin there.
        self._paths = [
            fit_paths(self._prototype, self._rows, self.Cs, self._share(ratio), subsets, False)
            for ratio in self._settings.l1_ratios
        ]
        self._optimality = [path.optimality for _, *paths in self._paths for path in paths]

    def _share(self, ratio):
        """The share of L1 in the penalty."""
        if self._settings.penalty == "elasticnet":
            return float(ratio)
        return float(self._settings.penalty == "l1")

    # ---- scores ----

    def _score(self, X, y, params):
        """`scores`, shape (folds, ratios, Cs)."""
        scorer = self._scorer()
        shape = len(self._folds), len(self._settings.l1_ratios), len(self.Cs)
        self.scores = np.empty(shape)
        for f, fold in enumerate(self._folds):
            X_test, y_test = X[fold.test], y[fold.test]
            own = _check_method_params(X=X, params=params or {}, indices=fold.test)
            for r, (_, *paths) in enumerate(self._paths):
                for c, judge in enumerate(self._judges(X_test, paths[f])):
                    if _is_log_loss(scorer) and own.keys() <= {"sample_weight"} and len(y_test):
                        number = self._rows.number[fold.test]
                        score = neg_log_loss(judge.predict_proba(X_test), number, **own)
                    else:
                        score = scorer(judge, X_test, y_test, **own)
                    self.scores[f, r, c] = score

    def _scorer(self):
        """scikit-learn's scorer, which knows all classes."""
        scorer = get_scorer(self._settings.scoring or "accuracy")
        parameters = {}
        if hasattr(scorer, "_score_func"):
            parameters = inspect.signature(scorer._score_func).parameters
        if "labels" not in parameters:
            return scorer
        classes, others = self._model.classes_, {}
        if len(classes) == 2 and "pos_label" in parameters:
            others["pos_label"] = classes[-1]
        return make_scorer(
            scorer._score_func,
            greater_is_better=scorer._sign == 1,
            response_method=scorer._response_method,
            labels=classes,
            **others,
            **getattr(scorer, "_kwargs", {}),
        )

    def _judges(self, X, path):
        """A `LogisticRegression` that is each model of a path in turn. Its margins on X, of all
        models, are one product.
        """
        judge = clone(self._prototype)
        judge.classes_ = self._model.classes_
        judge.n_features_in_ = self._model.n_features_in_
        outputs = path.coef.shape[1]
        W = path.coef.reshape(-1, X.shape[1])
        margins = (X @ W.T).reshape(X.shape[0], len(self.Cs), outputs) + path.intercept
        for c, C in enumerate(self.Cs):
            judge.C, judge.coef_, judge.intercept_ = C, path.coef[c], path.intercept[c]
            judge._known_margins = X, np.ascontiguousarray(margins[:, c])
            yield judge

    # ---- results ----

    def _store(self):
        model, settings = self._model, self._settings
        model.Cs_ = self.Cs
        model.l1_ratios_ = np.asarray(settings.l1_ratios)
        # (folds, ratios, Cs, outputs, p [+ 1])
        coefs = np.stack(
            [[_dof(p, model.fit_intercept) for p in paths] for _, *paths in self._paths], axis=1
        )
        n_iter = np.stack([[p.n_iter for p in paths] for _, *paths in self._paths], axis=1)
        if model.refit:
            total = self.scores.sum(axis=0)  # (ratios, Cs)
            # scikit-learn's order where scores are equal: by C, then by ratio.
            c, r = np.unravel_index(np.argmax(total.T), total.T.shape)
            C, ratio = self.Cs[c], settings.l1_ratios[r]
            self._refit(c, r, coefs[:, r, c].mean(axis=0))
        else:
            best = [np.unravel_index(np.argmax(s.T), s.T.shape) for s in self.scores]
            C = np.mean([self.Cs[c] for c, _ in best])
            ratio = 0.0
            if settings.penalty == "elasticnet":
                ratio = np.mean([settings.l1_ratios[r] for _, r in best])
            w = np.mean([coefs[f, r, c] for f, (c, r) in enumerate(best)], axis=0)
            self._store_coefficients(w)
            model.optimality_ = model.optimality_kind_ = None
            model.converged_ = all(
                path.optimality.max() <= model.tol for _, *paths in self._paths for path in paths
            )
        model.C_, model.l1_ratio_ = float(C), ratio
        model.scores_, model.coefs_paths_, model.n_iter_ = self.scores, coefs, n_iter
        if settings.is_legacy:
            self._make_legacy()
        elif not settings.has_ratios:
            model.l1_ratio_ = 1.0 if model.penalty == "l1" else 0.0
        else:
            model.l1_ratio_ = float(ratio)

    def _store_coefficients(self, w):
        """Store weights (outputs, p [+ 1]), the intercepts last."""
        model, p = self._model, self._model.n_features_in_
        w = w.astype(self._rows.X.dtype)
        model.coef_ = np.ascontiguousarray(w[:, :p])
        model.intercept_ = w[:, p].copy() if model.fit_intercept else np.zeros(len(w), w.dtype)

    def _refit(self, c, r, start):
        """Train on all rows with the chosen penalty, unless that is done already."""
        model, whole = self._model, self._paths[r][0]
        if whole is None:
            p = model.n_features_in_
            parameters = {"C": self.Cs[c], "l1_ratio": self._share(self._settings.l1_ratios[r])}
            parameters["tol"] = SEQUENCE_TOL_SHARE * model.tol
            one = clone(self._prototype).set_params(**parameters)
            init = start[:, :p], start[:, p] if model.fit_intercept else np.zeros(len(start))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                one._fit(self._rows.X, self._rows.number, self._rows.weights, init=init)
            model.coef_, model.intercept_ = one.coef_, one.intercept_
            if model.fit_intercept and self._rows.outputs > 1:
                model.intercept_ = one.intercept_ - one.intercept_.mean()
            model.stop_reason_, model.solver_ = one.stop_reason_, one.solver_
            model.optimality_, model.optimality_kind_ = one.optimality_, one.optimality_kind_
            known = np.inf if one.optimality_ is None else one.optimality_
            model.converged_ = has_converged(known, one.stop_reason_, model.tol)
            self._optimality.append([known])
            return
        path = whole.of(np.array([c]))
        self._store_coefficients(_dof(path, model.fit_intercept)[0])
        model.optimality_, model.optimality_kind_ = float(path.optimality[0]), "Newton decrement"
        model.converged_ = has_converged(path.optimality[0], path.reason[0], model.tol)
        model.stop_reason_, model.solver_ = path.reason[0], path.solver
        self._optimality.append(path.optimality)

    def _make_legacy(self):
        """The attributes in the shapes of scikit-learn before 1.10."""
        model, settings = self._model, self._settings
        labels = model.classes_ if len(model.classes_) > 2 else model.classes_[1:]
        # (classes, folds, Cs, ratios, ...)
        paths = np.moveaxis(model.coefs_paths_, (3, 0, 2, 1), (0, 1, 2, 3))
        scores = np.swapaxes(model.scores_, 1, 2)
        n_iter = np.swapaxes(model.n_iter_, 1, 2)
        if not settings.has_ratios:
            paths, scores, n_iter = paths[:, :, :, 0], scores[:, :, 0], n_iter[:, :, 0]
        model.coefs_paths_ = dict(zip(labels, paths, strict=True))
        model.scores_ = {label: scores.copy() for label in labels}
        model.n_iter_ = n_iter[None]
        model.C_ = np.full(len(labels), model.C_)
        model.l1_ratio_ = np.array([model.l1_ratio_] * len(labels))


def _is_log_loss(scorer):
    """Whether a scorer is 'neg_log_loss' as scikit-learn has it."""
    return (
        getattr(scorer, "_score_func", None) is log_loss
        and scorer._sign == -1
        and scorer._response_method == "predict_proba"
        and scorer._kwargs.keys() <= {"labels"}
    )


def _dof(path, has_intercept):
    """(penalties, outputs, p [+ 1])"""
    if not has_intercept:
        return path.coef
    return np.concatenate([path.coef, path.intercept[..., None]], axis=-1)
