"""Inside of scikit-learn's meta-estimators, beside its own classes of the same names."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import linear_model
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import RFE, RFECV, SelectFromModel, SequentialFeatureSelector
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import RANSACRegressor
from sklearn.model_selection import (
    FixedThresholdClassifier,
    TunedThresholdClassifierCV,
    cross_val_predict,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils.estimator_checks import check_class_weight_balanced_linear_classifier

import fastgd

REGRESSORS = {"LinearRegression": {}, "Ridge": {"alpha": 1e-3}, "Lasso": {"alpha": 0.01}}
TIGHT = {"tol": 1e-10}


def pair(name, **parameters):
    """(ours, scikit-learn's)"""
    peer = getattr(linear_model, name)
    more = {"max_iter": 100_000} if "max_iter" in peer().get_params() else {}
    return getattr(fastgd, name)(**TIGHT, **parameters), peer(**TIGHT, **more, **parameters)


@pytest.fixture(scope="module")
def values():
    X, y = load_diabetes(return_X_y=True)
    return X[::2, :6] / X[:, :6].std(axis=0), y[::2]  # columns that depend little on one another


@pytest.fixture(scope="module")
def classes():
    X, y = load_iris(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def test_a_linear_regression_is_one_of_scikit_learns():
    """Which inherits nothing, and other models are none."""
    assert isinstance(fastgd.LinearRegression(), linear_model.LinearRegression)
    assert linear_model.LinearRegression not in fastgd.LinearRegression.__mro__
    for name in fastgd.__all__:
        if name != "LinearRegression" and isinstance(getattr(fastgd, name), type):
            assert not issubclass(getattr(fastgd, name), linear_model.LinearRegression)


# joblib asks programs that need not be on the PATH.
pytestmark = pytest.mark.filterwarnings("ignore:Could not find the number of physical cores")


@pytest.mark.parametrize("targets", [1, 2])
def test_ransac_finds_the_line_among_outliers(targets):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 3)) + 10
    W = rng.standard_normal((targets, 3))
    y = X @ W.T + 5 + 1e-3 * rng.standard_normal((120, targets))
    y[:40] += 50 + 10 * rng.standard_normal((40, targets))
    y = y if targets > 1 else y[:, 0]
    ours, theirs = (
        RANSACRegressor(model, random_state=0, residual_threshold=0.1).fit(X, y)
        for model in (fastgd.LinearRegression(), linear_model.LinearRegression())
    )
    assert_array_equal(ours.inlier_mask_, theirs.inlier_mask_)
    assert not ours.inlier_mask_[:40].any()
    assert_allclose(ours.estimator_.coef_, np.squeeze(W), atol=1e-3)
    assert_allclose(
        RANSACRegressor(fastgd.Ridge(1e-6), min_samples=4, random_state=0, residual_threshold=0.1)
        .fit(X, y)
        .estimator_.coef_,
        np.squeeze(W),
        atol=1e-2,
    )


WITH_VALUES = {
    "TransformedTargetRegressor": lambda model: TransformedTargetRegressor(
        model, func=np.log, inverse_func=np.exp
    ),
    "MultiOutputRegressor": MultiOutputRegressor,
    "RegressorChain": RegressorChain,
    "BaggingRegressor": lambda model: BaggingRegressor(model, 3, random_state=0),
    "AdaBoostRegressor": lambda model: AdaBoostRegressor(model, n_estimators=3, random_state=0),
    "VotingRegressor": lambda model: VotingRegressor([("one", model), ("two", clone(model))]),
    "StackingRegressor": lambda model: StackingRegressor([("one", model)], clone(model), cv=3),
    "RFE": lambda model: RFE(model, n_features_to_select=4),
    "RFECV": lambda model: RFECV(model, cv=3),
}


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize("outer", WITH_VALUES)
def test_regressors_predict_what_scikit_learns_do(outer, name, values):
    X, y = values
    Y = (
        np.column_stack([y, y**2 / 300])
        if outer in ("MultiOutputRegressor", "RegressorChain")
        else y
    )
    ours, theirs = (WITH_VALUES[outer](model).fit(X, Y) for model in pair(name, **REGRESSORS[name]))
    assert is_regressor(ours)
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-4)


WITH_CLASSES = {
    "CalibratedClassifierCV": lambda model: CalibratedClassifierCV(model, cv=3),
    "OneVsRestClassifier": OneVsRestClassifier,
    "OneVsOneClassifier": OneVsOneClassifier,
    "OutputCodeClassifier": lambda model: OutputCodeClassifier(model, random_state=0),
    "MultiOutputClassifier": MultiOutputClassifier,
    "ClassifierChain": ClassifierChain,
    "BaggingClassifier": lambda model: BaggingClassifier(model, 3, random_state=0),
    "AdaBoostClassifier": lambda model: AdaBoostClassifier(model, n_estimators=3, random_state=0),
    "VotingClassifier": lambda model: VotingClassifier(
        [("one", model), ("two", clone(model))], voting="soft"
    ),
    "StackingClassifier": lambda model: StackingClassifier([("one", model)], clone(model), cv=3),
    "SelfTrainingClassifier": SelfTrainingClassifier,
    "RFE": lambda model: RFE(model, n_features_to_select=2),
}


@pytest.mark.parametrize("outer", WITH_CLASSES)
def test_classifiers_predict_what_scikit_learns_do(outer, classes):
    X, y = classes
    Y = np.column_stack([y, y % 2]) if outer in ("MultiOutputClassifier", "ClassifierChain") else y
    if outer == "ClassifierChain":
        Y = np.column_stack([y > 0, y > 1])
    if outer == "SelfTrainingClassifier":
        Y = np.where(np.arange(len(y)) % 3, y, -1)
    ours, theirs = (WITH_CLASSES[outer](model).fit(X, Y) for model in pair("LogisticRegression"))
    assert is_classifier(ours)
    assert_array_equal(ours.predict(X), theirs.predict(X))
    if hasattr(theirs, "predict_proba"):
        for one, two in zip(
            ours.predict_proba(X), theirs.predict_proba(X), strict=True
        ):  # rows, or outputs
            assert_allclose(one, two, atol=1e-4)


@pytest.mark.parametrize(
    "outer",
    [
        "CalibratedClassifierCV",
        "OneVsRestClassifier",
        "BaggingClassifier",
        "StackingClassifier",
        "RFE",
    ],
)
@pytest.mark.parametrize(
    "model",
    [fastgd.LinearSVC(), fastgd.SGDClassifier(random_state=0)],
    ids=lambda model: type(model).__name__,
)
def test_margins_are_enough_where_they_are_for_scikit_learns(model, outer, classes):
    X, y = classes
    assert WITH_CLASSES[outer](clone(model)).fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize(
    "outer",
    [
        lambda model: TunedThresholdClassifierCV(model, cv=3),
        lambda model: FixedThresholdClassifier(model, threshold=0.3),
    ],
)
def test_thresholds_are_scikit_learns(outer):
    X, y = load_breast_cancer(return_X_y=True)
    X = (X[::4] - X.mean(axis=0)) / X.std(axis=0)
    ours, theirs = (outer(model).fit(X, y[::4]) for model in pair("LogisticRegression"))
    assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize(
    "name, parameters", [("Lasso", {"alpha": 5.0}), ("Ridge", {}), ("LinearRegression", {})]
)
def test_the_same_columns_are_selected(name, parameters, values):
    X, y = values
    ours, theirs = pair(name, **parameters)
    for select in (
        SelectFromModel,
        lambda model: SequentialFeatureSelector(model, n_features_to_select=3, cv=3),
        lambda model: SelectFromModel(model, max_features=3, threshold=-np.inf),
    ):
        assert_array_equal(
            select(ours).fit(X, y).get_support(), select(theirs).fit(X, y).get_support()
        )


@pytest.mark.parametrize(
    "model",
    [
        fastgd.LogisticRegression(l1_ratio=1, C=0.1),
        fastgd.LinearSVC(penalty="l1", C=0.01),
        fastgd.SGDClassifier("log_loss", penalty="l1", alpha=0.1, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_an_l1_penalty_selects_the_columns_that_are_not_zero(model, values):
    X, y = values
    select = SelectFromModel(model).fit(X, y > y.mean())
    assert_array_equal(select.get_support(), select.estimator_.coef_[0] != 0)
    assert 0 < select.get_support().sum() < X.shape[1]


def test_importances_and_dependences_are_scikit_learns(values):
    X, y = values
    ours, theirs = (model.fit(X, y) for model in pair("Ridge"))
    one, two = (
        permutation_importance(model, X, y, n_repeats=3, random_state=0).importances
        for model in (ours, theirs)
    )
    assert_allclose(one, two, atol=1e-6)
    one, two = (
        partial_dependence(model, X, [0, 2], grid_resolution=5)["average"]
        for model in (ours, theirs)
    )
    assert_allclose(one, two, rtol=1e-6)
    one, two = (cross_val_predict(model, X, y, cv=3) for model in (ours, theirs))
    assert_allclose(one, two, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:random_state=")
@pytest.mark.parametrize(
    "kind",
    [fastgd.LogisticRegression, fastgd.LinearSVC, fastgd.SGDClassifier],
    ids=lambda kind: kind.__name__,
)
def test_balanced_weights_are_those_of_scikit_learns_linear_classifiers(kind):
    """A check that `check_estimator` keeps for subclasses of its own."""
    check_class_weight_balanced_linear_classifier(kind.__name__, kind())
