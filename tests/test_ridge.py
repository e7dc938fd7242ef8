"""Ridge regression by cross-validation and as a classifier: scikit-learn's choices, exact folds."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import linalg, sparse
from sklearn import config_context, linear_model
from sklearn.base import clone
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import GroupKFold, KFold, RepeatedKFold, ShuffleSplit, StratifiedKFold

import fastgd
from fastgd import Ridge, RidgeClassifier, RidgeClassifierCV, RidgeCV, ridge_path
from fastgd.estimators import ridge_folds
from fastgd.methods import leave_one_out
from fastgd.methods.ridge_path import Eigen, Tridiagonal, solve_all
from fastgd.problem import fold_products
from reference import store

ALPHAS = np.logspace(-3, 3, 7)


def drawn(n, p, targets=1, seed=0):
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, p)) * random.uniform(0.3, 3, p) + random.uniform(-2, 2, p)
    Y = X[:, :3].sum(axis=1, keepdims=True) + random.standard_normal((n, targets)) * 2
    return X, Y[:, 0] if targets == 1 else Y


def pair(name, X, y, sample_weight=None, **parameters):
    """(our model, scikit-learn's), fitted."""
    ours = getattr(fastgd, name)(**parameters).fit(X, y, sample_weight=sample_weight)
    theirs = getattr(linear_model, name)(**parameters).fit(X, y, sample_weight=sample_weight)
    return ours, theirs


def check_alike(ours, theirs, rtol=1e-7):
    assert_array_equal(ours.alpha_, theirs.alpha_)
    assert np.shape(ours.alpha_) == np.shape(theirs.alpha_)
    for name in ("best_score_", "coef_", "intercept_", "cv_results_"):
        if hasattr(theirs, name):
            own, other = getattr(ours, name), getattr(theirs, name)
            assert np.shape(own) == np.shape(other), name
            assert_allclose(own, other, rtol, rtol * np.abs(other).max(), err_msg=name)


# ---- scikit-learn as the oracle ----


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(12, 60),
    p=st.integers(1, 70),
    targets=st.integers(1, 3),
    cv=st.sampled_from([None, 2, 5, KFold(3, shuffle=True, random_state=1)]),
    is_weighted=st.booleans(),
    fit_intercept=st.booleans(),
    scoring=st.sampled_from([None, "r2", "neg_mean_squared_error", "neg_mean_absolute_error"]),
    seed=st.integers(0, 100),
)
def test_choices_are_scikit_learns(n, p, targets, cv, is_weighted, fit_intercept, scoring, seed):
    X, y = drawn(n, p, targets, seed)
    weights = np.random.default_rng(seed).uniform(0.1, 2, n) if is_weighted else None
    parameters = {"cv": cv, "scoring": scoring, "fit_intercept": fit_intercept, "alphas": ALPHAS}
    check_alike(*pair("RidgeCV", X, y, weights, store_cv_results=cv is None, **parameters))


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(20, 60),
    p=st.integers(1, 70),
    classes=st.integers(2, 4),
    cv=st.sampled_from([None, 2, 4]),
    class_weight=st.sampled_from([None, "balanced", {0: 2.0}]),
    is_weighted=st.booleans(),
    seed=st.integers(0, 100),
)
def test_choices_of_classifiers_are_scikit_learns(
    n, p, classes, cv, class_weight, is_weighted, seed
):
    X, z = drawn(n, p, seed=seed)
    y = np.argsort(np.argsort(z)) * classes // n
    weights = np.random.default_rng(seed).uniform(0.1, 2, n) if is_weighted else None
    parameters = {"cv": cv, "class_weight": class_weight, "alphas": ALPHAS}
    ours, theirs = pair("RidgeClassifierCV", X, y, weights, **parameters)
    check_alike(ours, theirs)
    assert_array_equal(ours.predict(X), theirs.predict(X))
    ours, theirs = pair("RidgeClassifier", X, y, weights, class_weight=class_weight)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-7 * np.abs(theirs.coef_).max())
    assert ours.intercept_.shape == theirs.intercept_.shape
    margins = theirs.decision_function(X)
    assert_allclose(ours.decision_function(X), margins, atol=1e-7)


@pytest.mark.parametrize("per_target", [False, True])
@pytest.mark.parametrize("scoring", [None, "neg_mean_absolute_error"])
@pytest.mark.parametrize("shape", [(40, 6), (20, 30)])
@pytest.mark.parametrize("targets", [1, 3])
def test_leave_one_out_keeps_what_scikit_learn_keeps(shape, targets, scoring, per_target):
    X, y = drawn(*shape, targets)
    y = y if per_target or targets > 1 else y[:, None]
    if y.ndim == 1 and per_target and scoring:
        y = y[:, None]
    parameters = {"alpha_per_target": per_target, "scoring": scoring, "store_cv_results": True}
    check_alike(*pair("RidgeCV", X, y, alphas=ALPHAS, **parameters))


@pytest.mark.parametrize("cv", [None, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(60, 8), (20, 30)])
def test_every_layout_and_dtype_has_the_same_choice(shape, dtype, cv, layout):
    X, y = drawn(*shape)
    X = X * (np.abs(X) > 0.4)
    expected = RidgeCV(ALPHAS, cv=cv).fit(X, y)
    model = RidgeCV(ALPHAS, cv=cv).fit(store(X, layout, dtype), y)
    assert model.alpha_ == expected.alpha_
    assert model.coef_.dtype == dtype
    tolerance = 1e-9 if dtype == np.float64 else 2e-4
    assert_allclose(model.coef_, expected.coef_, atol=tolerance)
    assert_allclose(model.best_score_, expected.best_score_, rtol=tolerance)


def test_multilabel_classes_as_in_scikit_learn():
    X, Y = drawn(60, 6, 3)
    Y = (Y > 0).astype(int)
    for name, parameters in (("RidgeClassifier", {}), ("RidgeClassifierCV", {"cv": 3})):
        ours, theirs = pair(name, X, Y, **parameters)
        assert_array_equal(ours.predict(X), theirs.predict(X))
        assert_allclose(ours.coef_, theirs.coef_, rtol=1e-7)
        if parameters:
            assert_allclose(ours.best_score_, theirs.best_score_)


def test_one_class_is_predicted_as_in_scikit_learn():
    X, _ = drawn(20, 3)
    for name in ("RidgeClassifier", "RidgeClassifierCV"):
        ours, theirs = pair(name, X, np.full(20, 7))
        assert_array_equal(ours.predict(X), theirs.predict(X))
        assert_array_equal(ours.classes_, theirs.classes_)


# ---- known answers ----


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("shape", [(25, 6), (15, 20), (12, 12)])
def test_leave_one_out_is_what_models_without_a_row_leave(shape, is_weighted, layout):
    X, Y = drawn(*shape, 2)
    n = len(X)
    weights = np.random.default_rng(0).integers(0, 3, n) if is_weighted else np.ones(n)
    model = RidgeCV([0.1, 5.0], store_cv_results=True).fit(store(X, layout), Y, weights)
    for number, alpha in enumerate((0.1, 5.0)):
        for row in range(n):
            others = np.delete(np.arange(n), row)
            alone = Ridge(alpha, tol=1e-12).fit(X[others], Y[others], weights[others])
            error = weights[row] * (Y[row] - alone.predict(X[[row]])[0]) ** 2
            assert_allclose(model.cv_results_[row, :, number], error, atol=1e-8)


@pytest.mark.parametrize("cv", [None, 4])
@pytest.mark.parametrize("X", [np.ones((20, 3)), np.zeros((20, 30)), np.full((20, 1), 1e6)])
def test_columns_that_do_not_vary_have_no_weight(X, cv):
    y = np.random.default_rng(0).standard_normal(20)
    ours, theirs = pair("RidgeCV", X, y, cv=cv)
    assert_array_equal(ours.coef_, np.zeros(X.shape[1]))
    assert_allclose(ours.best_score_, theirs.best_score_)


def test_rows_that_have_a_column_alone_are_left_out_exactly():
    random = np.random.default_rng(0)
    X, y = np.zeros((200, 12)), random.standard_normal(200)
    X[np.arange(12), np.arange(12)] = 1
    X[12:, :4] = random.standard_normal((188, 4))
    model = RidgeCV([1e-9], store_cv_results=True).fit(X, y)
    for row in (0, 5, 11, 12):
        others = np.delete(np.arange(200), row)
        alone = Ridge(1e-9).fit(X[others], y[others])
        error = (y[row] - alone.predict(X[[row]])[0]) ** 2
        assert_allclose(model.cv_results_[row, 0], error, rtol=1e-7)


@pytest.mark.parametrize("shape", [(60, 8), (40, 50)])
@pytest.mark.parametrize(
    "cv",
    [4, RepeatedKFold(n_splits=3, n_repeats=2, random_state=0), ShuffleSplit(9, random_state=0)],
)
def test_a_score_is_the_mean_over_folds_of_separate_fits(shape, cv):
    X, y = drawn(*shape)
    for alpha in (0.0, 1.0):
        splits = (KFold(cv) if cv == 4 else cv).split(X)
        scores = [Ridge(alpha).fit(X[a], y[a]).score(X[b], y[b]) for a, b in splits]
        model = RidgeCV([alpha], cv=cv).fit(X, y)
        assert_allclose(model.best_score_, np.mean(scores), rtol=1e-8)


def exact(X, y, alpha):
    """(coef, intercept) by QR factors of the centred columns above the root of the penalty."""
    mean = X.mean(axis=0)
    top = np.vstack([X - mean, np.sqrt(alpha) * np.eye(X.shape[1])])
    size = np.linalg.norm(top, axis=0)
    wanted = np.append(y - y.mean(), np.zeros(X.shape[1]))
    coef = linalg.lstsq(top / size, wanted, lapack_driver="gelsy", cond=1e-16)[0] / size
    return coef, mean, y.mean()


def awkward(kind, n, p):
    random = np.random.default_rng(1)
    X = random.standard_normal((n, p))
    if kind == "far":
        X += 1e6
    elif kind == "scales":
        X *= 10.0 ** random.uniform(-5, 5, p)
    elif kind == "collinear":
        X[:, 1] = X[:, 0] + 1e-6 * X[:, 1]
    elif kind == "constant":
        X[:, 0], X[:, 1] = 1e6, 0
    elif kind == "sorted":
        X = np.sort(X, axis=0) * 100
    elif kind == "outlier":
        X[0] *= 1e6
    elif kind == "one fold":  # has all of a column
        X[n // 5 :, 0] *= 1e-6
    y = (X - X.mean(axis=0)) @ (1 / np.maximum(X.std(axis=0), 1e-300) * (X.std(axis=0) > 0))
    return X, y + random.standard_normal(n)


@pytest.mark.parametrize("shape", [(60, 8), (25, 30)])
@pytest.mark.parametrize(
    "kind", ["far", "scales", "collinear", "constant", "sorted", "outlier", "one fold"]
)
def test_awkward_columns_have_exact_scores(kind, shape):
    X, y = awkward(kind, *shape)
    rows = np.arange(len(y))
    for alpha in (1e-3, 1.0, 1e3):

        def predicted(train, test, alpha=alpha):
            coef, mean, offset = exact(X[train], y[train], alpha)
            return (X[test] - mean) @ coef + offset

        scores = []
        for train, test in KFold(5).split(X):
            left = y[test] - predicted(train, test)
            scores.append(1 - (left**2).sum() / ((y[test] - y[test].mean()) ** 2).sum())
        model = RidgeCV([alpha], cv=5).fit(X, y)
        # The wide ones are known less well: their penalty is 1e-16 of the largest square.
        tolerance = 1e-6 if shape == (60, 8) else 1e-3
        assert_allclose(model.best_score_, np.mean(scores), rtol=tolerance)
        left = [y[row] - predicted(np.delete(rows, row), [row])[0] for row in rows]
        model = RidgeCV([alpha]).fit(X, y)
        assert_allclose(-model.best_score_, np.mean(np.square(left)), rtol=tolerance)


def test_one_factorisation_solves_for_all_penalties():
    random = np.random.default_rng(0)
    for m in (0, 1, 2, 5, 40):
        A = random.standard_normal((m + 3, m))
        H, b, l2 = A.T @ A, random.standard_normal((2, m)), np.array([0.0, 0.1, 10.0])
        expected = np.array([np.linalg.solve(H + k * np.eye(m), b.T).T for k in l2])
        for factor in (Tridiagonal, Eigen):
            if m or factor is Tridiagonal:
                assert_allclose(solve_all(H, b, l2, factor=factor(H)), expected, rtol=1e-7)
        if m:
            assert_allclose(Tridiagonal(H).condition(l2), Eigen(H).condition(l2), rtol=1e-6)
    singular = np.ones((2, 2))
    W = solve_all(singular, np.array([[1.0, -1.0]]), np.array([0.0, 1.0]))
    assert np.isnan(W[0]).all()
    assert_allclose(W[1], [[1.0, -1.0]])


def test_the_rows_of_folds_are_grouped():
    sets = [np.array([0, 1]), np.array([1, 2])]
    everything = np.ones(5, bool)
    group, count = fold_products.groups_of(sets, everything, 4)
    assert count == 4
    assert group[3] == group[4]
    assert sorted(group[:4]) == [0, 1, 2, 3]
    assert fold_products.groups_of(sets, everything, 3) is None
    assert fold_products.groups_of([np.array([0, 0])], everything, 4) is None  # a repeated row
    group, count = fold_products.groups_of(sets, np.arange(5) < 3, 3)  # other rows do not count
    assert count == 3
    assert sorted(group[:3]) == [0, 1, 2]
    sets = [part for pair in KFold(3).split(np.zeros(7)) for part in pair]
    group, count = fold_products.groups_of(sets, np.ones(7, bool), 3)
    assert_array_equal(np.bincount(group, minlength=count)[group], [3, 3, 3, 2, 2, 2, 2])


# ---- whatever way they are computed ----


@pytest.mark.parametrize("shape", [(60, 8), (20, 30)])
@pytest.mark.parametrize("scoring", [None, "neg_mean_absolute_error"])
def test_separate_fits_choose_the_same(shape, scoring, monkeypatch):
    X, y = drawn(*shape)
    model = RidgeCV(ALPHAS, cv=4, scoring=scoring)
    expected = clone(model).fit(X, y)
    path = ridge_path(X, y, alphas=ALPHAS)[1]
    monkeypatch.setattr(ridge_folds, "MAX_SIZE", 0)
    apart = clone(model).fit(X, y)
    assert apart.alpha_ == expected.alpha_
    assert_allclose(apart.best_score_, expected.best_score_, rtol=1e-5)
    assert_allclose(ridge_path(X, y, alphas=ALPHAS)[1], path, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("cv", [4, ShuffleSplit(3, random_state=0)])
def test_scores_are_the_same_without_groups_of_rows(cv, monkeypatch):
    X, y = drawn(60, 8)
    expected = RidgeCV(ALPHAS, cv=cv).fit(X, y)
    monkeypatch.setattr(fold_products, "MAX_NUMBERS", 0)
    assert_allclose(RidgeCV(ALPHAS, cv=cv).fit(X, y).best_score_, expected.best_score_, 1e-12)


@pytest.mark.parametrize("shape", [(60, 8), (20, 30)])
def test_singular_values_give_the_same_leave_one_out(shape, monkeypatch):
    X, y = drawn(*shape)
    expected = RidgeCV(ALPHAS, store_cv_results=True).fit(X, y)
    monkeypatch.setattr(leave_one_out, "MAX_CONDITION", 0)
    model = RidgeCV(ALPHAS, store_cv_results=True).fit(X, y)
    assert_allclose(model.cv_results_, expected.cv_results_, rtol=1e-7)


@pytest.mark.parametrize("shape", [(3000, 200), (900, 1000)])
@pytest.mark.parametrize("cv", [None, 3])
def test_the_number_of_threads_changes_no_bit(shape, cv):
    X, y = drawn(*shape)
    one, two = (RidgeCV(ALPHAS, cv=cv, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2))
    assert (one.alpha_, one.best_score_) == (two.alpha_, two.best_score_)
    assert_array_equal(one.coef_, two.coef_)


# ---- folds and scorers ----


def test_any_iterable_of_folds_is_taken():
    X, y = drawn(40, 5)
    splits = list(KFold(4).split(X))
    expected = RidgeCV(ALPHAS, cv=KFold(4)).fit(X, y).best_score_
    masks = [(np.isin(np.arange(40), a), np.isin(np.arange(40), b)) for a, b in splits]
    for cv in (splits, iter(splits), (split for split in splits), masks):
        assert RidgeCV(ALPHAS, cv=cv).fit(X, y).best_score_ == expected
    negative = [(a - 40, b - 40) for a, b in splits]
    assert RidgeCV(ALPHAS, cv=negative).fit(X, y).best_score_ == expected


def test_a_generator_of_folds_is_used_up_by_a_fit():
    X, y = drawn(40, 5)
    model = RidgeCV(cv=(split for split in KFold(3).split(X))).fit(X, y)
    with pytest.raises(ValueError, match="No fits were performed. Was the CV iterator empty"):
        model.fit(X, y)


def test_groups_and_weights_are_routed():
    X, y = drawn(60, 5)
    groups, weights = np.arange(60) % 7, np.random.default_rng(0).uniform(0.1, 3, 60)
    with config_context(enable_metadata_routing=True):
        for scoring in (None, make_scorer(mean_absolute_error, greater_is_better=False)):
            if scoring is not None:
                scoring = scoring.set_score_request(sample_weight=True)
            ours, theirs = (
                home.RidgeCV(ALPHAS, cv=GroupKFold(4), scoring=scoring).fit(
                    X, y, sample_weight=weights, groups=groups
                )
                for home in (fastgd, linear_model)
            )
            check_alike(ours, theirs)
    with pytest.raises(ValueError, match="Passing extra keyword arguments to RidgeCV.fit is only"):
        RidgeCV(cv=GroupKFold(4)).fit(X, y, groups=groups)


@pytest.mark.parametrize("name, cv", [("RidgeCV", 4), ("RidgeClassifierCV", 4)])
def test_a_scorer_of_ones_own_gets_a_model_and_the_users_rows(name, cv):
    import pandas as pd

    X, z = drawn(60, 3)
    y = z if name == "RidgeCV" else np.digitize(z, [-1, 1])
    frame, seen = pd.DataFrame(X, columns=list("abc")), []

    def score(model, X, y):
        assert list(X.columns) == list("abc")
        assert model.coef_.shape[-1] == 3
        seen.append(model.alpha_)
        alone = X.copy()  # rows whose predictions are not known yet
        assert_allclose(model.predict(alone), model.predict(X))
        return -np.mean((model.predict(X) - y) ** 2)

    model = getattr(fastgd, name)(ALPHAS, cv=cv, scoring=score).fit(frame, y)
    assert seen == [*ALPHAS] * cv
    assert_array_equal(model.feature_names_in_, list("abc"))
    plain = getattr(linear_model, name)(
        ALPHAS, cv=cv, scoring=lambda model, X, y: -np.mean((model.predict(X) - y) ** 2)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's classifier always has weights
        plain.fit(X, y)
    assert_allclose(model.best_score_, plain.best_score_)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_fold_may_lack_a_class(fit_intercept):
    X, z = drawn(60, 4)
    y = np.array(list("abc"))[np.digitize(z, [-1.5, 1.5])]
    order = np.argsort(y, kind="stable")
    X, y = X[order], y[order]
    for cv in (KFold(3), KFold(6)):
        parameters = {"cv": cv, "alphas": ALPHAS, "fit_intercept": fit_intercept}
        check_alike(*pair("RidgeClassifierCV", X, y, **parameters))
    halves = [(np.flatnonzero(y == "a"), np.flatnonzero(y != "a"))]
    model = RidgeClassifierCV(cv=halves).fit(X, y)
    assert model.best_score_ == 0


def test_leave_one_out_scores_labels_of_two_classes():
    """scikit-learn 1.9 scores 1 whatever the predictions are."""
    X, z = drawn(60, 4)
    y = np.where(z > 0, "yes", "no")
    model = RidgeClassifierCV([1.0], scoring="accuracy", store_cv_results=True).fit(X, y)
    margins = model.cv_results_[:, 0, 0]
    assert model.best_score_ == np.mean(np.where(margins > 0, "yes", "no") == y) < 1


def test_a_scorer_without_weights_is_warned_of():
    X, y = drawn(40, 3)
    model = RidgeCV(cv=3, scoring=lambda model, X, y: model.score(X, y))
    with pytest.warns(UserWarning, match="does not support sample_weight, which may lead to"):
        model.fit(X, y, np.ones(40))


# ---- bad input ----


@pytest.mark.parametrize("cv", [None, 3])
@pytest.mark.parametrize(
    "alphas, error, words",
    [
        ([-1.0, 1.0], ValueError, r"alphas\[0\] == -1.0, must be >=? 0.0"),
        ([1.0, "a"], TypeError, r"alphas\[1\] must be an instance of float, not str"),
        ([[1.0, 2.0]], TypeError, "alphas must be an instance of float, not list"),
        ([], ValueError, "Parameter grid for parameter 'alpha' need to be a non-empty sequence"),
        ([1.0, np.nan], ValueError, r"alphas\[1\] == nan, must be finite and >"),
        ([np.inf, 1.0], ValueError, r"alphas\[0\] == inf, must be finite and >"),
        ("x", ValueError, "The 'alphas' parameter of RidgeCV must be an array-like or a float"),
    ],
)
def test_bad_penalties(alphas, error, words, cv):
    X, y = drawn(20, 3)
    with pytest.raises(error, match=words):
        RidgeCV(alphas, cv=cv).fit(X, y)


def test_zero_is_a_penalty_of_folds_only():
    X, y = drawn(20, 3)
    with pytest.raises(ValueError, match=r"alphas\[0\] == 0, must be > 0.0"):
        RidgeCV([0, 1]).fit(X, y)
    assert RidgeCV([0, 1e9], cv=3).fit(X, y).alpha_ == 0


@pytest.mark.parametrize("cv", [None, 3])
def test_unsorted_and_repeated_penalties_are_fine(cv):
    X, y = drawn(40, 3)
    for alphas in ([10.0, 0.1, 1.0, 0.1], (5,), 5.0, np.array([3, 1])):
        model = RidgeCV(alphas, cv=cv).fit(X, y)
        ours, theirs = pair("RidgeCV", X, y, alphas=np.atleast_1d(alphas).tolist(), cv=cv)
        check_alike(model, theirs)
        check_alike(ours, theirs)


@pytest.mark.parametrize("name", ["store_cv_results", "alpha_per_target"])
def test_options_of_leave_one_out_need_it(name):
    X, y = drawn(20, 3)
    with pytest.raises(ValueError, match=f"cv!=None and {name}=True are incompatible"):
        RidgeCV(cv=3, **{name: True}).fit(X, y)


def test_folds_that_cannot_be():
    X, y = drawn(20, 3)
    with pytest.raises(ValueError, match="No fits were performed"):
        RidgeCV(cv=[]).fit(X, y)
    with pytest.raises(ValueError, match="Cannot have number of splits n_splits=30 greater than"):
        RidgeCV(cv=30).fit(X, y)
    weights = np.repeat([0.0, 1.0], 10)
    with pytest.raises(ValueError, match="at least one non-zero number: all rows that fold 1"):
        RidgeCV(cv=2).fit(X, y, weights)
    with pytest.raises(ValueError, match="fold 0 of cv tests no row"):
        RidgeCV(cv=[(np.arange(10), [])]).fit(X, y)
    with pytest.raises(ValueError, match="at least one non-zero number"):
        RidgeCV().fit(X, y, 0 * weights)
    with pytest.raises(ValueError, match="a minimum of 2 is required by leave-one-out"):
        RidgeCV().fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="leave-one-out cross-validation needs: scale the columns"):
        RidgeCV().fit(X * 1e200, y)
    with pytest.raises(ValueError, match="Unknown label type"):
        RidgeClassifierCV().fit(X, y)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of scikit-learn's parameters
def test_chunks_are_for_models_with_one_penalty():
    X, z = drawn(200, 4)
    y = np.digitize(z, [-1, 1])
    chunks = fastgd.Chunks.of(X, y, chunk_rows=50)
    model = RidgeClassifier().fit(chunks)
    assert_allclose(model.coef_, RidgeClassifier().fit(X, y).coef_, rtol=1e-7)
    names = "RidgeCV RidgeClassifierCV LassoCV LogisticRegressionCV SGDOneClassSVM"
    others = [getattr(fastgd, name)() for name in names.split()]
    for model in (fastgd.GridSearchCV(Ridge(), {"alpha": [1.0]}), *others):
        name = type(model).__name__
        with pytest.raises(TypeError, match=f"{name} needs X in memory, got Chunks: "):
            model.fit(chunks, y)


def test_scores_that_are_not_finite_are_warned_of():
    X, y = drawn(20, 3)
    for test in ([0], [0, 1]):
        cv = [(np.arange(5, 20), test)]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = RidgeCV(cv=cv, scoring=None if test == [0] else lambda *_: np.nan).fit(X, y)
        assert any("test scores are non-finite" in str(one.message) for one in caught)
        assert model.alpha_ == 0.1


def test_an_error_keeps_the_earlier_fit():
    X, y = drawn(20, 3)
    model = RidgeCV(store_cv_results=True).fit(X, y)
    known = dict(vars(model))
    with pytest.raises(ValueError):
        model.fit(X, y[:5])
    assert {**vars(model)} == known
    model.set_params(store_cv_results=False).fit(X, y)
    assert not hasattr(model, "cv_results_")


# ---- the model of all rows ----


@pytest.mark.parametrize("shape", [(60, 8), (20, 30)])
@pytest.mark.parametrize("cv", [None, 3])
def test_the_model_is_that_of_ridge(shape, cv, layout):
    X, y = drawn(*shape)
    X = store(X, layout)
    model = RidgeCV(ALPHAS, cv=cv).fit(X, y)
    alone = Ridge(model.alpha_).fit(X, y)
    assert_allclose(model.coef_, alone.coef_, rtol=1e-9)
    assert_allclose(model.intercept_, alone.intercept_, rtol=1e-9)
    assert model.converged_ and model.solver_ == alone.solver_


def test_validation_rows_and_positive_weights_of_a_classifier():
    X, z = drawn(80, 4)
    y = np.digitize(z, [-1, 1])
    model = RidgeClassifier(positive=True).fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    assert (model.coef_ >= 0).all()
    assert model.history_["validation_score"][-1] == model.score(X[60:], y[60:])
    with pytest.raises(ValueError, match="labels that are not in y"):
        model.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:] + 5)


def test_stratified_folds_of_strings():
    X, z = drawn(60, 4)
    y = np.where(z > 0, "up", "down")
    ours, theirs = pair("RidgeClassifierCV", X, y, cv=StratifiedKFold(3), scoring="roc_auc")
    check_alike(ours, theirs)


# ---- paths ----


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(60, 8), (20, 30)])
@pytest.mark.parametrize("targets", [1, 2])
def test_a_path_is_ridge_at_each_penalty(shape, targets, fit_intercept, layout):
    X, y = drawn(*shape, targets)
    weights = np.random.default_rng(0).uniform(0.1, 3, len(X))
    others = {"fit_intercept": fit_intercept, "sample_weight": weights}
    alphas, coefs = ridge_path(store(X, layout), y, alphas=ALPHAS, **others)
    assert_array_equal(alphas, ALPHAS[::-1])
    assert coefs.shape == (() if targets == 1 else (targets,)) + (X.shape[1], len(ALPHAS))
    for number, alpha in enumerate(alphas):
        model = Ridge(alpha, fit_intercept=fit_intercept).fit(X, y, weights)
        assert_allclose(coefs[..., number], model.coef_, rtol=1e-6, atol=1e-9)


def test_the_penalties_of_a_path_span_its_shapes():
    X, y = drawn(60, 8)
    alphas, coefs = ridge_path(X, y)
    assert len(alphas) == coefs.shape[1] == 100
    assert (np.diff(alphas) < 0).all()
    assert_allclose(alphas[-1], 1e-7 * alphas[0])
    assert_allclose(alphas[0], 10 * np.linalg.norm(X - X.mean(axis=0), 2) ** 2, rtol=0.1)
    plain = Ridge(0.0).fit(X, y).coef_
    assert np.linalg.norm(coefs[:, 0]) < np.linalg.norm(plain) / 5
    assert_allclose(coefs[:, -1], plain, rtol=1e-3)
    assert ridge_path(X, y, alphas=1)[1].shape == (8, 1)
    assert_array_equal(ridge_path(np.zeros((5, 2)), y[:5], alphas=3)[1], np.zeros((2, 3)))


@pytest.mark.parametrize("size", [1e-120, 1e90, 1e140])
def test_the_penalties_of_a_path_follow_the_unit_of_the_columns(size):
    X = np.random.default_rng(0).standard_normal((50, 5))
    alphas, coefs = ridge_path(X, X[:, 0], alphas=3)
    scaled, others = ridge_path(size * X, X[:, 0], alphas=3)
    np.testing.assert_allclose(scaled / size / size, alphas, rtol=1e-9)
    np.testing.assert_allclose(size * others, coefs, rtol=1e-9, atol=1e-12)


def test_bad_arguments_of_a_path():
    X, y = drawn(20, 3)
    with pytest.raises(ValueError, match="alphas == 0, must be >= 1"):
        ridge_path(X, y, alphas=0)
    with pytest.raises(ValueError, match="eps == 2, must be < 1"):
        ridge_path(X, y, eps=2)
    with pytest.raises(ValueError, match=r"alphas\[0\] == -1, must be >= 0"):
        ridge_path(X, y, alphas=[-1, 1])
    with pytest.raises(ValueError, match="fit_intercept"):
        ridge_path(X, y, fit_intercept="perhaps")
    with pytest.raises(ValueError, match="NaN"):
        ridge_path(X * np.nan, y)


def test_collinear_columns_have_exact_paths():
    X, y = awkward("collinear", 60, 8)
    alphas, coefs = ridge_path(X, y, alphas=[1e-6, 1e-3, 1.0])
    for number, alpha in enumerate(alphas):
        expected = exact(X, y, alpha)[0]
        assert np.linalg.norm(coefs[:, number] - expected) < 1e-6 * np.linalg.norm(expected)


def test_sparse_rows_and_more_columns_than_products_allow():
    random = np.random.default_rng(0)
    X = sparse.random_array((300, 4000), density=0.002, random_state=random, format="csr")
    y = X @ random.standard_normal(4000) + 0.1 * random.standard_normal(300)
    model = RidgeCV([0.01, 1.0], cv=3).fit(X, y)
    scores = [
        np.mean(
            [
                linear_model.Ridge(alpha).fit(X.toarray()[a], y[a]).score(X.toarray()[b], y[b])
                for a, b in KFold(3).split(y)
            ]
        )
        for alpha in (0.01, 1.0)
    ]
    assert model.alpha_ == [0.01, 1.0][int(np.argmax(scores))]
    assert_allclose(model.best_score_, max(scores), atol=1e-6)
