"""Paths of penalties, cross-validation and searches: the same results as many separate fits."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context, linear_model, model_selection
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer, log_loss
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastgd import (
    ElasticNet,
    GridSearchCV,
    Lasso,
    LinearSVC,
    LinearSVR,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    SGDClassifier,
    logistic_path,
)
from fastgd.estimators import grid_search, joint_training, ridge_folds
from fastgd.estimators import logistic_path as paths
from fastgd.estimators.margin_scores import neg_log_loss
from fastgd.kernels import logistic_columns
from fastgd.methods import newton_columns

NEW = {"l1_ratios": (0,), "scoring": "neg_log_loss", "use_legacy_attributes": False}
TIGHT = {"tol": 1e-11, "max_iter": 5000}


def rows_of(n, p, seed=0, noise=1.0, log_scale=0.0, correlation=0.0, shift=0.0):
    """(X, labels 0 and 1)"""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    X = correlation * X[:, :1] + np.sqrt(1 - correlation**2) * X
    z = X @ rng.standard_normal(p) / np.sqrt(p) + noise * rng.standard_normal(n)
    scale = 10.0 ** np.linspace(-log_scale, log_scale, p)
    return scale * (X + shift), (z > 0).astype(int)


def rare_rows():
    """Some columns are not 0 in three of 3000 rows."""
    X, y = rows_of(3000, 30)
    X[:, :5] = np.random.default_rng(1).random((3000, 5)) < 1e-3
    return X, y


def unbalanced_rows():
    X, _ = rows_of(2000, 50)
    z = X.sum(axis=1) + 5 * np.random.default_rng(2).standard_normal(2000)
    return X, (z > np.quantile(z, 0.97)).astype(int)


def heavy_rows():
    X, y = rows_of(3000, 30)
    return np.sinh(2 * X), y


SHAPES = {
    "few columns": lambda: rows_of(200, 5),
    "more columns than rows": lambda: rows_of(60, 150),
    "as many columns as rows": lambda: rows_of(150, 145),
    "many more columns than rows": lambda: rows_of(150, 400),
    "few more rows than columns": lambda: rows_of(400, 120),
    "principal axes of one large variance": lambda: rows_of(400, 120, correlation=0.999),
    "principal axes, ill-scaled": lambda: rows_of(400, 120, log_scale=2.0, shift=3.0),
    "ill-scaled": lambda: rows_of(1000, 30, log_scale=6.0, shift=3.0),
    "correlated": lambda: rows_of(1000, 30, correlation=0.999),
    "nearly separable": lambda: rows_of(300, 15, noise=0.02),
    "separable": lambda: rows_of(300, 15, noise=0.0),
    "unbalanced": unbalanced_rows,
    "rare columns": rare_rows,
    "heavy tails": heavy_rows,
}


def objective(X, y, weights, C, coef, intercept):
    z = np.asarray(X @ coef.ravel()) + intercept
    losses = np.logaddexp(0, np.where(y > 0, -z, z))
    return (weights @ losses + coef.ravel() @ coef.ravel() / (2 * C)) / weights.sum()


def excess(X, y, weights, C, coef, intercept):
    """(F - F*) / (F0 - F*) of a model."""
    best = LogisticRegression(C=C, tol=1e-12, max_iter=5000)
    best.fit(X, y, weights)
    least = objective(X, y, weights, C, best.coef_, best.intercept_)
    share = weights @ y / weights.sum()
    most = -share * np.log(share) - (1 - share) * np.log(1 - share)
    return (objective(X, y, weights, C, coef, intercept) - least) / (most - least)


@pytest.mark.parametrize("layout", ["dense", "csr"])
@pytest.mark.parametrize("shape", SHAPES)
def test_columns_are_within_tol_of_their_minima_and_say_so(shape, layout):
    X, y = SHAPES[shape]()
    X = sparse.csr_array(X) if layout == "csr" else X
    weights = np.random.default_rng(3).random(len(y)) + 0.5
    Cs = np.array([1e-3, 1.0, 1e4])
    subsets = [paths.Subset(train) for train, _ in StratifiedKFold(3).split(y, y)]
    rows, model = paths.Rows(X, y, 2, weights), LogisticRegression()
    found = paths.fit_paths(model, rows, Cs, 0.0, subsets)
    for path, index in zip(found, [np.arange(len(y)), *(s.index for s in subsets)], strict=True):
        for c, C in enumerate(Cs):
            parts = path.coef[c], path.intercept[c]
            error = excess(X[index], y[index], weights[index], C, *parts)
            assert error <= 2e-4
            assert error <= 3 * path.optimality[c] + 1e-10


@given(
    n=st.integers(30, 120),
    p=st.integers(1, 12),
    classes=st.integers(2, 3),
    intercept=st.booleans(),
    is_sparse=st.booleans(),
    weighted=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=15, deadline=None)
def test_results_are_scikit_learns(n, p, classes, intercept, is_sparse, weighted, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    y = rng.permutation(np.arange(n) % classes)
    X[:, 0] += y
    weights = rng.integers(1, 4, n).astype(float) if weighted else None
    X = sparse.csr_matrix(X) if is_sparse else X
    options = NEW | {"Cs": [1.0, 1e-3, 30.0], "cv": 3, "fit_intercept": intercept}
    ours = LogisticRegressionCV(**options, **TIGHT).fit(X, y, sample_weight=weights)
    theirs = linear_model.LogisticRegressionCV(**options, tol=1e-10, max_iter=10_000)
    theirs.fit(X, y, sample_weight=weights)
    assert ours.C_ == theirs.C_
    assert_array_equal(ours.Cs_, theirs.Cs_)
    for name in ("coefs_paths_", "scores_", "coef_", "intercept_"):
        own, other = getattr(ours, name), getattr(theirs, name)
        assert own.shape == other.shape
        assert_allclose(own, other, atol=1e-4 * np.abs(other).max(), err_msg=name)
    assert ours.n_iter_.shape == theirs.n_iter_.shape


@pytest.mark.parametrize(
    "labels, l1_ratios, refit",
    [
        ("two", [0, 0.5, 1], True),
        ("two", [0, 0.5, 1], False),
        ("three", [1], True),
        ("three", [0.5], False),
    ],
    ids=str,
)
def test_l1_and_elastic_net_are_scikit_learns(labels, l1_ratios, refit):
    X, y = load_iris(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    X, y = (X[50:], y[50:]) if labels == "two" else (X, y)
    ratios = np.array(l1_ratios)  # of a list, scikit-learn takes no mean
    options = NEW | {"Cs": [0.1, 1.0], "cv": 3, "l1_ratios": ratios, "refit": refit}
    ours = LogisticRegressionCV(**options, tol=1e-7).fit(X, y)
    theirs = linear_model.LogisticRegressionCV(
        **options, solver="saga", tol=1e-5, max_iter=10_000, random_state=0
    ).fit(X, y)
    assert (ours.C_, ours.l1_ratio_) == (theirs.C_, theirs.l1_ratio_)
    for name in ("coefs_paths_", "scores_", "coef_", "intercept_"):
        assert_allclose(getattr(ours, name), getattr(theirs, name), atol=2e-2, err_msg=name)


@pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.parametrize("ratios", [None, [0], [0, 1]], ids=str)
@pytest.mark.parametrize("labels", ["two", "three"])
@pytest.mark.parametrize("refit", [True, False])
def test_legacy_attributes_have_scikit_learns_shapes(labels, ratios, refit):
    X, y = load_iris(return_X_y=True)
    X, y = (X[50:], y[50:]) if labels == "two" else (X, y)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    options = {"Cs": [0.01, 0.1, 1.0], "cv": 3, "refit": refit, "scoring": None}
    options |= {"l1_ratios": ratios and np.array(ratios), "use_legacy_attributes": True}
    ours = LogisticRegressionCV(**options).fit(X, y)
    theirs = linear_model.LogisticRegressionCV(**options, solver="saga", max_iter=5).fit(X, y)
    for name in ("C_", "l1_ratio_", "n_iter_", "Cs_", "l1_ratios_"):
        assert getattr(ours, name).shape == getattr(theirs, name).shape
        assert getattr(ours, name).dtype.kind == getattr(theirs, name).dtype.kind
    for name in ("scores_", "coefs_paths_"):
        own, other = getattr(ours, name), getattr(theirs, name)
        assert list(own) == list(other)
        assert all(own[label].shape == other[label].shape for label in own)


def test_all_forms_of_cv_give_the_same():
    X, y = load_breast_cancer(return_X_y=True)
    folds = list(KFold(3, shuffle=True, random_state=0).split(X))
    masks = [tuple(np.isin(np.arange(len(y)), part) for part in fold) for fold in folds]
    forms = [KFold(3, shuffle=True, random_state=0), folds, (fold for fold in folds), masks]
    models = [LogisticRegressionCV(cv=cv, Cs=3, **NEW).fit(X, y) for cv in forms]
    for model in models[1:]:
        assert_array_equal(model.scores_, models[0].scores_)
        assert_array_equal(model.coef_, models[0].coef_)


@pytest.mark.parametrize("scoring", ["accuracy", "roc_auc", "f1", "neg_brier_score", None])
def test_scores_are_those_of_separate_models(scoring):
    X, y = load_breast_cancer(return_X_y=True)
    folds = list(StratifiedKFold(3).split(X, y))
    model = LogisticRegressionCV(cv=folds, Cs=[0.1, 10], **(NEW | {"scoring": scoring}), **TIGHT)
    model.fit(X, y)
    scorer = get_scorer(scoring or "accuracy")
    for scores, (train, test) in zip(model.scores_[:, 0], folds, strict=True):
        for score, C in zip(scores, model.Cs_, strict=True):
            one = LogisticRegression(C=C, **TIGHT).fit(X[train], y[train])
            assert_allclose(score, scorer(one, X[test], y[test]), rtol=1e-5)
    assert_allclose(model.score(X, y), scorer(model, X, y))


def test_the_short_log_loss_is_scikit_learns():
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(C=1e4).fit(X, y)
    for weights in (None, np.arange(150) % 3 + 0.5):
        probabilities = model.predict_proba(X)
        probabilities[:3] = np.eye(3)
        expected = -log_loss(y, probabilities, sample_weight=weights)
        assert_allclose(neg_log_loss(probabilities, y, weights), expected)


def test_a_scorer_gets_a_model_that_predicts_everything():
    X, y = load_iris(return_X_y=True)

    def scorer(model, rows, labels):
        assert rows.shape[1] == model.n_features_in_ == 4
        probabilities = model.predict_proba(rows)
        assert_allclose(probabilities, model.predict_proba(rows.copy()), atol=1e-12)
        assert_array_equal(model.predict(rows), model.classes_[probabilities.argmax(axis=1)])
        return (model.predict(rows) == labels).mean() + model.C

    model = LogisticRegressionCV(cv=3, Cs=[1.0, 2.0], **(NEW | {"scoring": scorer})).fit(X, y)
    assert model.C_ == 2.0


def test_groups_and_weights_are_routed():
    X, y = load_breast_cancer(return_X_y=True)
    groups, weights = np.arange(len(y)) % 4, np.arange(len(y)) % 3 + 1.0
    with config_context(enable_metadata_routing=True):
        scorer = get_scorer("accuracy").set_score_request(sample_weight=True)
        options = NEW | {"scoring": scorer, "cv": GroupKFold(4), "Cs": 2}
        model = LogisticRegressionCV(**options).set_fit_request(sample_weight=True)
        model.fit(X, y, sample_weight=weights, groups=groups)
    assert model.scores_.shape == (4, 1, 2)
    train, test = next(GroupKFold(4).split(X, y, groups))
    one = LogisticRegression(C=model.Cs_[0]).fit(X[train], y[train], weights[train])
    assert_allclose(model.scores_[0, 0, 0], one.score(X[test], y[test], weights[test]), atol=0.01)
    with pytest.raises(ValueError, match="groups"):
        LogisticRegressionCV(**NEW, cv=GroupKFold(4)).fit(X, y)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0, 1: 0.5}])
def test_class_weights_are_scikit_learns(class_weight):
    X, y = unbalanced_rows()
    options = NEW | {"Cs": [0.01, 1.0], "cv": 3, "class_weight": class_weight}
    weights = np.arange(len(y)) % 2 + 1.0
    ours = LogisticRegressionCV(**options, **TIGHT).fit(X, y, sample_weight=weights)
    theirs = linear_model.LogisticRegressionCV(**options, tol=1e-8, max_iter=10_000)
    theirs.fit(X, y, sample_weight=weights)
    assert_allclose(ours.coefs_paths_, theirs.coefs_paths_, atol=1e-4)
    assert_allclose(ours.scores_, theirs.scores_, atol=1e-5)


@pytest.mark.parametrize("shape", [(3000, 40), (400, 120), (150, 400)])
@pytest.mark.parametrize("layout", ["dense", "csr"])
def test_threads_change_no_bit(layout, shape, monkeypatch):
    monkeypatch.setattr(newton_columns, "BLOCK_NUMBERS", 2**12)
    X, y = rows_of(*shape)
    X = sparse.csr_array(X) if layout == "csr" else X
    models = [LogisticRegressionCV(n_jobs=k, **NEW).fit(X, y) for k in (1, 2, 3)]
    for model in models[1:]:
        for name in ("coefs_paths_", "scores_", "coef_", "intercept_", "n_iter_"):
            assert_array_equal(getattr(model, name), getattr(models[0], name))


def test_blocks_of_columns_change_nothing_but_rounding(monkeypatch):
    X, y = rows_of(500, 20)
    whole = LogisticRegressionCV(**NEW, **TIGHT).fit(X, y)
    monkeypatch.setattr(newton_columns, "MAX_MARGINS", 1)
    monkeypatch.setattr(newton_columns, "MIN_COLUMNS", 3)
    parts = LogisticRegressionCV(**NEW, **TIGHT).fit(X, y)
    assert_allclose(parts.coefs_paths_, whole.coefs_paths_, atol=1e-4)
    assert_array_equal(parts.C_, whole.C_)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("steps", [0, 3, 10**6])
def test_the_preconditioner_changes_no_model(steps, intercept, monkeypatch):
    X, y = rows_of(400, 120, correlation=0.9)
    weights = np.random.default_rng(3).random(len(y)) + 0.5
    made, make = [], newton_columns.NewtonColumns.reference

    def reference(self, *arguments):
        made.append(make(self, *arguments))
        return made[-1]

    monkeypatch.setattr(newton_columns.NewtonColumns, "reference", reference)
    monkeypatch.setattr(newton_columns, "dense_steps", lambda X: steps)
    folds = list(StratifiedKFold(3).split(X, y))
    model = LogisticRegressionCV(Cs=[0.1, 100.0], cv=folds, fit_intercept=intercept, **NEW, **TIGHT)
    model.fit(X, y, sample_weight=weights)
    assert bool(made) == (steps < 10**6)
    for paths_of_fold, (train, _) in zip(model.coefs_paths_[:, 0], folds, strict=True):
        for coefs, C in zip(paths_of_fold, model.Cs_, strict=True):
            one = LogisticRegression(C=C, fit_intercept=intercept, **TIGHT)
            one.fit(X[train], y[train], weights[train])
            assert_allclose(coefs[:, :120], one.coef_, atol=1e-4 * np.abs(one.coef_).max())


@pytest.mark.parametrize("layout", ["dense", "csr"])
@pytest.mark.parametrize("shape", [(100, 300), (150, 600), (200, 150)])
def test_models_of_folds_have_not_seen_their_test_rows(shape, layout):
    """Separable rows and weak penalties: the model of all rows is within `tol` on every fold."""
    X, y = rows_of(*shape, noise=0.3)
    X = sparse.csr_array(X) if layout == "csr" else X
    models = [LogisticRegressionCV(Cs=[1e2, 1e3, 1e4], **NEW, **t).fit(X, y) for t in ({}, TIGHT)]
    scores = [model.scores_.mean(axis=0) for model in models]
    assert_allclose(scores[0], scores[1], rtol=0.15)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("layout", ["dense", "csr"])
def test_three_classes_of_few_rows_are_those_of_separate_fits(layout, intercept):
    X, y = rows_of(60, 200)
    y = y + (X[:, 0] > 0.5)
    X = sparse.csr_array(X) if layout == "csr" else X
    weights = np.random.default_rng(3).random(len(y)) + 0.5
    folds = list(StratifiedKFold(3).split(y, y))
    model = LogisticRegressionCV(Cs=[0.1, 10.0], cv=folds, fit_intercept=intercept, **NEW, **TIGHT)
    model.fit(X, y, sample_weight=weights)
    assert model.coefs_paths_.shape == (3, 1, 2, 3, 200 + intercept)
    for paths_of_fold, (train, _) in zip(model.coefs_paths_[:, 0], folds, strict=True):
        for coefs, C in zip(paths_of_fold, model.Cs_, strict=True):
            one = LogisticRegression(C=C, fit_intercept=intercept, **TIGHT)
            one.fit(X[train], y[train], weights[train])
            assert_allclose(coefs[:, :200], one.coef_, atol=1e-4 * np.abs(one.coef_).max())
            if intercept:
                b = one.intercept_ - one.intercept_.mean()
                assert_allclose(coefs[:, 200], b, atol=1e-4)


def test_losses_of_columns_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    y, z = rng.choice([-1.0, 1.0], 40), 10.0 ** rng.uniform(-3, 2.8, (40, 5))
    z *= rng.choice([-1.0, 1.0], z.shape)
    weights, group = rng.random((40, 2)), np.array([0, 1, 1, 0, 1])
    s, t = weights[:, group], y[:, None] * z
    q = 1 / (1 + np.exp(t))
    h = np.empty_like(z)
    loss, slope = logistic_columns.derivatives(y, z, weights, group, h)
    assert_allclose(loss, (s * np.logaddexp(0, -t)).sum(axis=0), rtol=1e-13)
    assert_allclose(slope, -s * y[:, None] * q, rtol=1e-13, atol=1e-300)
    assert_allclose(h, s * np.exp(-np.abs(t)) / (1 + np.exp(-np.abs(t))) ** 2, rtol=1e-13)
    u, steps = rng.standard_normal(z.shape), rng.random(5)
    values, slopes = logistic_columns.line(y, z, u, steps, weights, group)
    loss, slope = logistic_columns.derivatives(y, z + steps * u, weights, group, h)
    assert_allclose(values, loss, rtol=1e-13)
    assert_allclose(slopes, (slope * u).sum(axis=0), rtol=1e-12)
    with pytest.raises(ValueError, match="do not fit z"):
        logistic_columns.derivatives(y[1:], z, weights, group, h)
    with pytest.raises(ValueError, match="do not fit z"):
        logistic_columns.line(y, z, u[:, 1:].copy(), steps, weights, group)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
@pytest.mark.parametrize("labels", [2, 3, 4])
def test_a_fold_may_lack_classes(labels, l1_ratio, fit_intercept):
    """The models are those of the classes that there are; the others have probability 0."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(labels), 40)
    X = rng.standard_normal((len(y), 3)) + y[:, None] / 2
    index = np.flatnonzero(y > 0)
    rows, Cs = paths.Rows(X, y, labels), np.array([0.1, 1.0])
    model = LogisticRegression(tol=1e-10, fit_intercept=fit_intercept)
    _, path = paths.fit_paths(model, rows, Cs, l1_ratio, [paths.Subset(index)])
    assert np.isfinite(path.coef).all() and np.isfinite(path.intercept).all()
    if labels == 2 and fit_intercept:
        assert_array_equal(path.coef, 0)
        assert (path.intercept > 30).all()
        return
    z = X[index] @ path.coef[1].T + path.intercept[1]
    if labels > 2 and fit_intercept:
        p = np.exp(z - z.max(axis=1, keepdims=True))
        assert (p[:, 0] / p.sum(axis=1)).max() < 1e-10
    if labels > 3 and fit_intercept:
        one = LogisticRegression(C=1.0, l1_ratio=l1_ratio, tol=1e-10).fit(X[index], y[index])
        assert_allclose(path.coef[1][1:], one.coef_, atol=1e-4)
    # A gradient step cannot improve it: scikit-learn's objective, which knows all classes.
    if not l1_ratio:
        check_minimum(X[index], y[index], path.coef[1], path.intercept[1], labels, fit_intercept)


def check_minimum(X, y, coef, intercept, labels, fit_intercept):
    """The gradient of the objective at C = 1 is small."""
    z = X @ coef.T + intercept
    if labels == 2:
        slopes = 1 / (1 + np.exp(-z)) - y[:, None]
    else:
        slopes = np.exp(z - z.max(axis=1, keepdims=True))
        slopes /= slopes.sum(axis=1, keepdims=True)
        slopes[np.arange(len(y)), y] -= 1
    assert_allclose(slopes.T @ X + coef, 0, atol=1e-3)
    if fit_intercept:
        assert_allclose(slopes.sum(axis=0), 0, atol=1e-3)


BAD = {
    "empty": ({"Cs": []}, "Cs must be"),
    "negative": ({"Cs": [1.0, -1.0]}, "Cs must be positive"),
    "zero": ({"Cs": [0.0]}, "Cs must be positive"),
    "NaN": ({"Cs": [np.nan]}, "Cs must be positive"),
    "two dimensions": ({"Cs": [[1.0]]}, "Cs must be"),
    "no penalties": ({"Cs": 0}, "The 'Cs' parameter of LogisticRegressionCV must be"),
    "no folds": ({"cv": []}, "no folds"),
    "one fold": ({"cv": 1}, "The 'cv' parameter of LogisticRegressionCV must be an int in"),
    "too many folds": ({"cv": 1000}, "Cannot have number of splits n_splits=1000"),
    "ratio": ({"l1_ratios": (0, 2)}, "l1_ratios must be an array-like of numbers between"),
    "no ratios": ({"l1_ratios": ()}, "l1_ratios must"),
    "scoring": ({"scoring": "good"}, "The 'scoring' parameter of LogisticRegressionCV"),
    "class_weight": ({"class_weight": {7: 1.0}}, "The given class_weight dict must have the class"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_parameters_are_named(name):
    parameters, message = BAD[name]
    X, y = load_breast_cancer(return_X_y=True)
    with pytest.raises(ValueError, match=message):
        LogisticRegressionCV(**(NEW | parameters)).fit(X, y)


def test_one_class_is_refused_in_scikit_learns_words():
    with pytest.raises(ValueError, match="This solver needs samples of at least 2 classes"):
        LogisticRegressionCV(**NEW).fit(np.eye(10), np.ones(10))


def test_a_fold_without_weight_is_named():
    X, y = load_breast_cancer(return_X_y=True)
    train, test = np.arange(100), np.arange(100, len(y))
    weights = np.ones(len(y))
    weights[train] = 0
    with pytest.raises(ValueError, match="the training rows of fold 0.*at least one non-zero"):
        LogisticRegressionCV(**NEW, cv=[(train, test)]).fit(X, y, sample_weight=weights)


def test_a_class_without_weight_leaves_a_constant_model():
    X, y = rows_of(100, 3)
    Cs, coefs, _ = logistic_path(X, y, Cs=2, sample_weight=y.astype(float))
    assert_array_equal(coefs, 0)


@pytest.mark.parametrize("C", [1e-300, 1e300])
def test_extreme_penalties_have_models(C):
    X, y = rows_of(300, 4)
    _, coefs, _ = logistic_path(X, y, Cs=[C, 1.0])
    one = LogisticRegression(C=C).fit(X, y)
    assert_allclose(coefs[:, 0], one.coef_[0], rtol=0.02, atol=1e-12)


def test_unsorted_and_repeated_penalties_keep_their_places():
    X, y = load_breast_cancer(return_X_y=True)
    Cs = [10.0, 0.01, 1.0, 0.01]
    model = LogisticRegressionCV(Cs=Cs, **NEW, **TIGHT).fit(X, y)
    assert_array_equal(model.Cs_, Cs)
    order = np.argsort(Cs)
    ascending = LogisticRegressionCV(Cs=np.sort(Cs), **NEW, **TIGHT).fit(X, y)
    assert_allclose(model.scores_[:, :, order], ascending.scores_, rtol=1e-5)
    assert_allclose(model.scores_[:, :, 1], model.scores_[:, :, 3], rtol=1e-5)


def test_too_few_passes_are_said_once():
    X, y = load_breast_cancer(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="51 of 51 fits stopped before") as caught:
        model = LogisticRegressionCV(**NEW, max_iter=2).fit(X, y)
    assert len([w for w in caught if "of 51 fits" in str(w.message)]) == 1
    assert not model.converged_


def test_no_penalty_is_allowed():
    X, y = rows_of(300, 4)
    model = LogisticRegressionCV(Cs=[np.inf, 1e-3], **NEW).fit(X, y)
    assert model.C_ == np.inf
    one = LogisticRegression(C=np.inf).fit(X, y)
    assert_allclose(model.coef_, one.coef_, rtol=0.02)


def test_repeated_training_rows_count_repeatedly():
    X, y = load_breast_cancer(return_X_y=True)
    train = np.r_[np.arange(200), np.arange(100)]
    fold = [(train, np.arange(200, len(y)))]
    model = LogisticRegressionCV(Cs=[1.0], cv=fold, **NEW, **TIGHT).fit(X, y)
    one = LogisticRegression(**TIGHT).fit(X[train], y[train])
    assert_allclose(model.coefs_paths_[0, 0, 0, :, :-1], one.coef_, rtol=1e-4, atol=1e-6)


# ---- paths ----


@pytest.mark.parametrize("labels", ["two", "three"])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.7])
def test_a_path_has_the_models_of_separate_fits(l1_ratio, labels):
    X, y = load_iris(return_X_y=True)
    X, y = (X[50:], y[50:]) if labels == "two" else (X, y)
    options = {"l1_ratio": l1_ratio, "class_weight": "balanced"} | TIGHT
    found = logistic_path(X, y, Cs=[1.0, 0.1], return_intercept=True, **options)
    Cs, coefs, n_iters, intercepts = found
    assert_array_equal(Cs, [1.0, 0.1])
    assert coefs.shape == ((4, 2) if labels == "two" else (3, 4, 2))
    assert n_iters.shape == (2,)
    for place, C in enumerate(Cs):
        one = LogisticRegression(C=C, **options).fit(X, y)
        assert_allclose(np.atleast_2d(coefs[..., place]), one.coef_, atol=1e-4)
        b = one.intercept_ - (one.intercept_.mean() if labels == "three" else 0.0)
        assert_allclose(np.atleast_1d(intercepts[..., place]), b, atol=1e-3)


def test_a_path_validates_as_the_model_does():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="The 'l1_ratio' parameter"):
        logistic_path(X, y, l1_ratio=2.0)
    with pytest.raises(ValueError, match="NaN"):
        logistic_path(np.full((150, 4), np.nan), y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert logistic_path(X, y, Cs=4)[1].shape == (3, 4, 4)


# ---- searches ----


@pytest.fixture
def separate_fits(monkeypatch):
    """A list of the candidates that are fitted scikit-learn's way."""
    fits, original = [], grid_search._fit_and_score

    def fit_and_score(*arguments, **others):
        fits.append(others["parameters"])
        return original(*arguments, **others)

    monkeypatch.setattr(grid_search, "_fit_and_score", fit_and_score)
    return fits


def same_search(estimator, grid, X, y, rtol=1e-4, fit=None, **options):
    """(our search, scikit-learn's), after comparing their results."""
    options = {"cv": 3} | options
    ours = GridSearchCV(estimator, grid, **options).fit(X, y, **(fit or {}))
    theirs = model_selection.GridSearchCV(estimator, grid, **options).fit(X, y, **(fit or {}))
    assert list(ours.cv_results_) == list(theirs.cv_results_)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    for key, values in ours.cv_results_.items():
        if "score" in key.replace("score_time", "") or key.startswith(("split", "mean_test")):
            other = theirs.cv_results_[key]
            assert_allclose(values, other, rtol=rtol, atol=1e-6, err_msg=key)
    assert {name for name in vars(ours) if name.endswith("_")} == {
        name for name in vars(theirs) if name.endswith("_")
    }
    return ours, theirs


GRIDS = {
    "C": {"C": [10.0, 0.01, 1.0]},
    "C and class_weight": {"C": [0.1, 1.0], "class_weight": [None, "balanced", {0: 2.0}]},
    "C and l1_ratio": {"C": [0.1, 1.0], "l1_ratio": [0.0, 0.5, 1.0]},
    "other parameters": {"C": [0.1, 1.0], "fit_intercept": [True, False]},
    "repeated C": {"C": [1.0, 1.0, 0.1]},
    "two grids": [{"C": [0.1, 1.0]}, {"class_weight": ["balanced"], "C": [2.0, 3.0]}],
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("labels", ["two", "three"])
def test_a_search_has_the_results_of_separate_fits(name, labels, separate_fits):
    X, y = load_iris(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    X, y = (X[50:], y[50:] - 1) if labels == "two" else (X, y)
    scoring = {"loss": "neg_log_loss", "accuracy": "accuracy"}
    model = LogisticRegression(tol=1e-8, max_iter=5000)
    options = {"scoring": scoring, "refit": "loss", "return_train_score": True}
    ours, theirs = same_search(model, GRIDS[name], X, y, **options)
    assert ours.best_params_ == theirs.best_params_
    assert_allclose(ours.best_estimator_.coef_, theirs.best_estimator_.coef_)
    assert not separate_fits


@pytest.mark.parametrize("model", [LinearSVR, LinearSVC])
def test_other_models_are_trained_in_sequence(model, separate_fits):
    if model is LinearSVC:
        X, y = load_breast_cancer(return_X_y=True)
        X = (X - X.mean(axis=0)) / X.std(axis=0)
    else:
        X, y = load_diabetes(return_X_y=True)
    grid = {"C": [1.0, 0.01, 0.1]}
    same_search(model(tol=1e-10, max_iter=20_000), grid, X, y, rtol=1e-3)
    assert not separate_fits


class KeepsModels:
    """A scorer that keeps the models it is given."""

    def __init__(self):
        self.models = []

    def __call__(self, model, X, y, sample_weight=None):
        self.models.append(model)
        return model.score(X, y, sample_weight)


def regression_rows(n, p, targets=0, layout="dense"):
    """(X, y) with columns of different sizes, of which a third matter."""
    rng = np.random.default_rng(n + p)
    X = rng.standard_normal((n, p)) * 10.0 ** rng.uniform(-1, 1, p) + rng.standard_normal(p)
    if layout == "csr":
        X *= rng.random((n, p)) < 0.3
    W = (rng.random((p, max(targets, 1))) < 0.3) / X.std(axis=0)[:, None]
    y = X @ W + rng.standard_normal((n, max(targets, 1)))
    X = sparse.csr_array(X) if layout == "csr" else X
    return X.astype(np.float32) if layout == "float32" else X, y if targets else y[:, 0]


LEAST_SQUARES = {
    "Ridge": (Ridge(), {"alpha": [1.0, 1e-3, 30.0]}),
    "Ridge, an alpha of 0": (Ridge(fit_intercept=False), {"alpha": [1.0, 0.0, 30.0]}),
    "Ridge, an array of alphas": (Ridge(), {"alpha": [1.0, [2.0], 30.0]}),
    "Ridge, positive": (Ridge(positive=True), {"alpha": [1.0, 30.0]}),
    "Lasso": (Lasso(), {"alpha": [0.05, 0.5, 0.1, 1e3]}),
    "Lasso, positive": (Lasso(positive=True), {"alpha": [0.05, 0.5]}),
    "Lasso, no intercept": (Lasso(fit_intercept=False), {"alpha": [0.05, 0.5]}),
    "ElasticNet": (ElasticNet(), {"alpha": [0.5, 0.05], "l1_ratio": [0.2, 0.0, 1.0]}),
    "ElasticNet, precompute": (ElasticNet(precompute=True), {"alpha": [0.5, 0.05]}),
}
ROWS = {
    "more rows": (200, 12),
    "more columns": (50, 80),
    "nearly square": (60, 44),
    "sparse": (200, 12, 0, "csr"),
    "float32": (200, 12, 0, "float32"),
    "two targets": (100, 8, 2),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", LEAST_SQUARES)
def test_models_of_least_squares_are_those_of_separate_fits(name, rows, weighted, separate_fits):
    (X, y), (model, grid) = regression_rows(*ROWS[rows]), LEAST_SQUARES[name]
    model = clone(model).set_params(tol=1e-9, max_iter=20_000)
    weights = np.random.default_rng(0).integers(0, 4, len(y)) * 1.0 if weighted else None
    scorer, cv = KeepsModels(), KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(model, grid, scoring=scorer, cv=cv, refit=False)
    search.fit(X, y, sample_weight=weights)
    assert not separate_fits
    models = iter(scorer.models)
    for train, test in cv.split(y):
        for params in search.cv_results_["params"]:
            own, one = next(models), clone(model).set_params(**params)
            one.fit(X[train], y[train], None if weights is None else weights[train])
            assert {*vars(own), "history_"} == {*vars(one), "history_"}
            assert own.get_params() == one.get_params()
            for attribute in ("stop_reason_", "converged_", "optimality_kind_"):
                assert getattr(own, attribute) == getattr(one, attribute)
            for attribute in ("coef_", "intercept_"):
                a, b = getattr(own, attribute), getattr(one, attribute)
                assert type(a) is type(b) and np.shape(a) == np.shape(b)
                assert np.asarray(a).dtype == np.asarray(b).dtype
            expected = one.predict(X[test])
            atol = (1e-3 if rows == "float32" else 1e-4) * np.abs(expected).max()
            assert_allclose(own.predict(X[test]), expected, atol=atol)
            assert own.optimality_ <= model.tol and own.n_iter_ >= 1


@pytest.mark.parametrize("rows", ["more rows", "more columns"])
@pytest.mark.parametrize("model", [Ridge, Lasso])
def test_scores_of_least_squares_are_scikit_learns(model, rows, separate_fits):
    X, y = regression_rows(*ROWS[rows])
    scoring = {"r2": "r2", "error": "neg_mean_squared_error", "mae": "neg_mean_absolute_error"}
    for several in (scoring, {"error": "neg_root_mean_squared_error", "r2": "r2"}):
        options = {"scoring": several, "refit": "r2", "return_train_score": True}
        same_search(model(tol=1e-10), {"alpha": [0.05, 0.5]}, X, y, **options)
    same_search(model(tol=1e-10), {"alpha": [0.05, 0.5]}, X, y, cv=KFold(len(y) // 2))
    assert not separate_fits


def test_a_pipeline_of_least_squares_is_transformed_once_a_fold(separate_fits):
    X, y = regression_rows(*ROWS["more rows"])
    weights = {"sample_weight": np.arange(len(y)) % 3 + 0.5}
    for model in (Ridge(), Lasso(tol=1e-10)):
        name = type(model).__name__.lower()
        grid = {f"{name}__alpha": [0.01, 0.1, 1.0]}
        pipeline = make_pipeline(CountsTransforms(), StandardScaler(), model)
        CountsTransforms.count = 0
        GridSearchCV(pipeline, grid, cv=3, refit=False).fit(X, y)
        assert CountsTransforms.count == 6  # of training and of test rows
        ours, _ = same_search(pipeline, grid, X, y)
        assert ours.best_estimator_[-1].converged_
        same_search(model, {"alpha": [0.01, 0.1]}, X, y, fit=weights)
    assert not separate_fits


class CountsTransforms(TransformerMixin, BaseEstimator):
    """Changes nothing."""

    count = 0

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        CountsTransforms.count += 1
        return X


@pytest.mark.parametrize("rows", ["more rows", "more columns"])
def test_what_no_path_reaches_is_trained_in_sequence(rows, monkeypatch, separate_fits):
    X, y = regression_rows(*ROWS[rows])
    monkeypatch.setattr(joint_training, "MAX_SUPPORT", 3)
    monkeypatch.setattr(joint_training, "MAX_SWEEPS", 1)
    same_search(Lasso(tol=1e-10), {"alpha": [1.0, 0.3, 0.1, 0.03]}, X, y, rtol=1e-3)
    monkeypatch.setattr(ridge_folds, "MAX_SIZE", 0)
    same_search(Ridge(tol=1e-10), {"alpha": [1.0, 0.3]}, X, y, rtol=1e-3)
    monkeypatch.setattr(ridge_folds, "MAX_SIZE", 100)
    monkeypatch.setattr(ridge_folds, "MAX_CONDITION", 0)
    same_search(Ridge(tol=1e-10), {"alpha": [1.0, 0.3]}, X, y, rtol=1e-3)
    assert not separate_fits


def test_full_batches_of_least_squares_have_separate_products(separate_fits):
    X, y = regression_rows(*ROWS["more rows"])
    for model in (Ridge, Lasso):
        one = model(batch_size="full", tol=1e-10, max_iter=20_000)
        same_search(one, {"alpha": [0.05, 0.5]}, X, y, rtol=1e-3)
    assert not separate_fits


@pytest.mark.parametrize("rows", ["more rows", "more columns", "sparse"])
def test_threads_of_least_squares_change_no_bit(rows):
    X, y = regression_rows(*ROWS[rows])
    for model in (Ridge(), Lasso()):
        searches = [
            GridSearchCV(model, {"alpha": [0.01, 0.1, 1.0]}, n_jobs=n_jobs).fit(X, y)
            for n_jobs in (1, 3)
        ]
        assert_array_equal(*(search.cv_results_["mean_test_score"] for search in searches))


def test_least_squares_take_frames_and_lists(separate_fits):
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    weights = (np.arange(len(y)) % 3 + 0.5).tolist()
    for model in (Ridge(), Lasso(tol=1e-10), Lasso(tol=1e-10, positive=True)):
        ours, theirs = same_search(model, {"alpha": [0.01, 0.1, 0.0]}, X, y)
        assert_array_equal(ours.feature_names_in_, theirs.feature_names_in_)
        lists = X.to_numpy().tolist(), y.tolist()
        same_search(model, {"alpha": [0.01, 0.1]}, *lists, fit={"sample_weight": weights})
    masks = [(np.arange(len(y)) % 2 == k, np.arange(len(y)) % 2 != k) for k in range(2)]
    same_search(Ridge(), {"alpha": [0.01, 0.1]}, X, y, cv=masks)
    assert not separate_fits


def test_models_keep_no_margins_when_pickled():
    X, y = load_diabetes(return_X_y=True)
    scorer = KeepsModels()
    GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, scoring=scorer, refit=False).fit(X, y)
    model = pickle.loads(pickle.dumps(scorer.models[0]))
    assert "_known_margins" not in vars(model) and "_known_margins" not in vars(scorer.models[0])
    assert_allclose(model.predict(X), scorer.models[0].predict(X))


def test_the_last_step_of_a_pipeline_is_trained_together(separate_fits):
    X, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(**TIGHT))
    grid = {"logisticregression__C": [0.1, 1.0, 10.0]}
    ours, _ = same_search(model, grid, X, y, scoring="neg_log_loss")
    assert not separate_fits
    assert_allclose(ours.score(X, y), -0.05, atol=0.05)
    assert len(ours.best_estimator_) == 2


def test_a_grid_of_other_steps_goes_scikit_learns_way(monkeypatch):
    X, y = load_breast_cancer(return_X_y=True)
    monkeypatch.setattr(grid_search.Search, "run", None)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [0.1, 1.0], "standardscaler__with_mean": [True, False]}
    same_search(model, grid, X, y)
    same_search(SGDClassifier(random_state=0), {"alpha": [0.1, 1.0]}, X, y)
    same_search(linear_model.RidgeClassifier(), {"alpha": [0.1, 1.0]}, X, y)


def test_weights_and_groups_reach_the_fits(separate_fits):
    X, y = load_breast_cancer(return_X_y=True)
    weights, grid = np.arange(len(y)) % 3 + 0.5, {"C": [0.1, 1.0], "class_weight": ["balanced"]}
    model = LogisticRegression(**TIGHT)
    same_search(model, grid, X, y, scoring="neg_log_loss", fit={"sample_weight": weights})
    groups = {"groups": np.arange(len(y)) % 5}
    same_search(model, grid, X, y, cv=GroupKFold(3), fit=groups)
    assert not separate_fits


def test_frames_keep_their_names():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    model = LogisticRegression(**TIGHT)
    ours, theirs = same_search(model, {"C": [0.1, 1.0]}, X, y, scoring="neg_log_loss")
    assert_array_equal(ours.feature_names_in_, theirs.feature_names_in_)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_errors_are_those_of_separate_fits():
    X, y = load_breast_cancer(return_X_y=True)
    model, grid = LogisticRegression(**TIGHT), {"C": [-1.0, 0.1, 1.0]}
    ours, _ = same_search(model, grid, X, y, error_score=-7.0)
    assert ours.cv_results_["mean_test_score"][0] == -7.0
    for kind in (GridSearchCV, model_selection.GridSearchCV):
        with pytest.raises(ValueError, match="The 'C' parameter of LogisticRegression"):
            kind(model, grid, error_score="raise").fit(X, y)
        with pytest.raises(ValueError, match="bad scorer"):
            kind(model, {"C": [1.0, 2.0]}, scoring=_bad_scorer, error_score="raise").fit(X, y)
    # The first fold has one class only.
    y = np.sort(y)
    same_search(model, {"C": [0.1, 1.0]}, X, y, cv=KFold(2), error_score=np.nan)


def _bad_scorer(model, X, y):
    raise ValueError("bad scorer")


def test_a_callable_may_choose_the_candidate():
    X, y = load_breast_cancer(return_X_y=True)
    choose = {"refit": lambda results: int(np.argmin(results["mean_test_score"]))}
    ours, theirs = same_search(LogisticRegression(**TIGHT), {"C": [1e-4, 1.0]}, X, y, **choose)
    assert ours.best_params_ == theirs.best_params_ == {"C": 1e-4}
    ours, _ = same_search(LogisticRegression(**TIGHT), {"C": [1e-4, 1.0]}, X, y, refit=False)
    assert not hasattr(ours, "best_estimator_")


def test_with_callbacks_every_fit_is_a_task(monkeypatch):
    X, y = load_breast_cancer(return_X_y=True)
    monkeypatch.setattr(grid_search.Search, "run", None)
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]})
    search.set_callbacks(_Counts())
    search.fit(X, y)
    assert search.best_params_["C"] in (0.1, 1.0)


class _Counts:
    """A callback that does nothing."""

    def setup(self, *arguments, **others):
        pass

    teardown = on_fit_task_begin = on_fit_task_end = setup


def test_search_times_are_shares_of_the_whole():
    X, y = rows_of(3000, 50)
    results = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}).fit(X, y).cv_results_
    assert (results["mean_fit_time"] > 0).all()
    assert_allclose(*results["mean_fit_time"])


def test_threads_of_a_search_change_no_bit():
    X, y = rows_of(3000, 50)
    searches = [
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, n_jobs=n_jobs).fit(X, y)
        for n_jobs in (1, 2)
    ]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    assert_array_equal(*scores)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)])
def test_scikit_learns_checks_of_a_search(estimator, check):
    check(estimator)
