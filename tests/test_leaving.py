"""Models move to scikit-learn and back, to ONNX, skops and pickles, and predict the same."""

import inspect
import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import linear_model, neural_network, svm
from sklearn.base import BaseEstimator, clone, is_classifier, is_outlier_detector
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

import fastgd
from fastgd import from_sklearn
from fastgd.estimators.twins import TWINS
from reference import quiet, store

# Models of one target, and those of positive targets.
ONE_TARGET = (
    "HuberRegressor QuantileRegressor LassoCV ElasticNetCV PoissonRegressor GammaRegressor "
    "TweedieRegressor"
).split()
OF_COUNTS = "PoissonRegressor", "GammaRegressor"
RESPONSES = "predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples"

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def new(name, **others):
    return made(getattr(fastgd, name)).set_params(**others)


def made(kind):
    """A model of fastgd or scikit-learn that is quickly trained."""
    model = quiet(kind)
    if kind.__name__.startswith("MLP"):
        model.set_params(hidden_layer_sizes=(5,), max_iter=10, random_state=0)
    return model.set_params(Cs=[0.1, 1.0]) if kind.__name__ == "LogisticRegressionCV" else model


def target(model, data, several=False):
    """A target that suits the model."""
    if is_classifier(model):
        return np.array(["a", "b", "c"])[data.classes if several else data.binary]
    if type(model).__name__ in OF_COUNTS:
        return data.counts + 0.5
    return data.pairs if several else data.values


def fitted(name, data, X=None, several=False, **others):
    model, X = new(name, **others), data.X if X is None else X
    return model.fit(X, target(model, data, several), sample_weight=data.weights)


def sklearn_kind(name):
    homes = linear_model, svm, neural_network
    return next(getattr(home, name) for home in homes if hasattr(home, name))


def assert_same_responses(one, other, X, rtol=1e-10):
    """Both have the same methods, which return the same."""
    for name in RESPONSES:
        assert hasattr(one, name) == hasattr(other, name), name
        if not hasattr(one, name):
            continue
        with np.errstate(divide="ignore"):  # logarithms of 0
            mine, theirs = getattr(one, name)(X), getattr(other, name)(X)
        assert mine.shape == theirs.shape
        if mine.dtype.kind == "f":
            size = np.abs(mine[np.isfinite(mine)]).max()
            assert_allclose(mine, theirs, rtol=rtol, atol=rtol * size, err_msg=name)
        else:
            assert_array_equal(mine, theirs)


# ---- to scikit-learn ----


def test_every_estimator_but_a_recommender_has_a_twin():
    public = (getattr(fastgd, name) for name in fastgd.__all__)
    kinds = [k for k in public if inspect.isclass(k) and issubclass(k, BaseEstimator)]
    assert {k.__name__ for k in kinds} - set(TWINS) == {"MatrixFactorization", "GridSearchCV"}
    assert not set(TWINS) - {k.__name__ for k in kinds}
    assert [k.__name__ for k in kinds if not hasattr(k, "to_sklearn")] == []


CASES = [(name, False) for name in TWINS]
CASES += [(name, True) for name in TWINS if name not in ONE_TARGET]


@pytest.mark.parametrize("name, several", CASES)
def test_a_twin_predicts_the_same(name, several, data, layout, dtype):
    X = store(data.X, layout, dtype)
    model = fitted(name, data, X, several)
    twin = model.to_sklearn()
    assert type(twin).__module__.startswith("sklearn.")
    several_values = several and name in ("SGDRegressor", "LinearSVR")
    assert type(twin).__name__ == ("LinearRegression" if several_values else name)
    assert_same_responses(model, twin, X, 1e-10 if dtype == np.float64 else 1e-4)
    if hasattr(model, "score"):
        y = target(model, data, several)
        scores = (m.score(X, y, sample_weight=data.weights) for m in (model, twin))
        assert_allclose(*scores, rtol=1e-10 if dtype == np.float64 else 1e-4)


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_is_a_fitted_estimator_that_needs_no_fastgd(name, data):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(data.X, columns=list("abcdef"))
    model = fitted(name, data, frame)
    twin = model.to_sklearn()
    check_is_fitted(twin)
    twin._validate_params()
    assert b"fastgd" not in pickle.dumps(twin)
    assert twin.n_features_in_ == 6
    assert_array_equal(twin.feature_names_in_, list("abcdef"))
    if is_classifier(model):
        assert_array_equal(twin.classes_, model.classes_)
    assert not hasattr(twin, "n_iter_") or np.max(twin.n_iter_) == np.max(model.n_iter_)
    assert_same_responses(twin, pickle.loads(pickle.dumps(twin)), frame)
    # Its arrays are copies.
    for name, value in vars(twin).items():
        own = getattr(model, name, None)
        if isinstance(own, np.ndarray) and value is not None:
            assert not np.shares_memory(own, value), name


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_has_the_attributes_of_scikit_learns_own_fit(name, data):
    model = fitted(name, data)
    twin = model.to_sklearn()
    theirs = made(sklearn_kind(name)).fit(data.X, target(model, data))
    wanted = {n for n in vars(theirs) if n.endswith("_") and not n.startswith("_")}
    # `rank_` and `singular_` are those of a solver, `solver_` is its name.
    assert wanted - set(vars(twin)) <= {"rank_", "singular_", "solver_"}
    for n in wanted & set(vars(twin)) - {"n_iter_"}:
        mine, other = getattr(twin, n), getattr(theirs, n)
        assert isinstance(mine, list) == isinstance(other, list), n
        shape = len if isinstance(mine, list) else np.shape
        assert shape(mine) == shape(other), n


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_can_be_fitted_again(name, data):
    model = fitted(name, data)
    y = target(model, data)
    twin = model.to_sklearn()
    clone(twin).fit(data.X, y)
    twin.fit(data.X, y)
    if hasattr(twin, "partial_fit"):
        model.to_sklearn().partial_fit(data.X, y)


@pytest.mark.parametrize("name", ["SGDClassifier", "SGDRegressor", "SGDOneClassSVM"])
def test_an_average_is_continued(name, data):
    model = fitted(name, data, average=True, learning_rate="invscaling", tol=None, max_iter=20)
    twin, y = model.to_sklearn(), target(model, data)
    for _ in range(20):
        twin.partial_fit(data.X, y)
    assert_allclose(twin.coef_, model.coef_, atol=0.5 * np.abs(model.coef_).max())


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    "loss",
    "hinge squared_hinge log_loss softmax modified_huber perceptron squared_error huber "
    "epsilon_insensitive squared_epsilon_insensitive quantile poisson".split(),
)
def test_classifiers_of_every_loss(loss, several, data):
    model = fitted("SGDClassifier", data, several=several, loss=loss, random_state=0)
    twin = model.to_sklearn()
    joint = loss == "softmax"
    assert type(twin).__name__ == ("LogisticRegression" if joint else "SGDClassifier")
    assert_same_responses(model, twin, data.X)
    if not joint:
        known = twin._parameter_constraints["loss"][0].options
        assert twin.loss == (loss if loss in known else "hinge")


@pytest.mark.parametrize(
    "loss, expected",
    [
        ("squared_error", "SGDRegressor"),
        ("huber", "SGDRegressor"),
        ("epsilon_insensitive", "SGDRegressor"),
        ("squared_epsilon_insensitive", "SGDRegressor"),
        ("quantile", "QuantileRegressor"),
        ("poisson", "PoissonRegressor"),
    ],
)
def test_regressors_of_every_loss(loss, expected, data):
    y = data.counts if loss == "poisson" else data.values
    settings = {"loss": loss, "alpha": 0.01, "quantile": 0.3, "random_state": 0}
    model = fastgd.SGDRegressor(**settings).fit(data.X, y)
    twin = model.to_sklearn()
    assert type(twin).__name__ == expected
    assert_same_responses(model, twin, data.X)
    assert_allclose(
        twin.intercept_, model.intercept_ if expected[0] == "S" else model.intercept_[0]
    )
    # The penalty is L2, which QuantileRegressor does not have.
    assert twin.alpha == (0.0 if loss == "quantile" else 0.01)
    if loss == "quantile":
        assert twin.quantile == 0.3
        model.set_params(penalty="l1")
        assert model.to_sklearn().alpha == 0.01
    clone(twin).fit(data.X, y)


def test_a_custom_loss(data):
    def loss(z, y):
        return (z - y) ** 2, 2 * (z - y)

    model = fastgd.SGDRegressor(loss=loss, random_state=0).fit(data.X, data.values)
    twin = model.to_sklearn()
    assert type(twin) is linear_model.LinearRegression
    assert_same_responses(model, twin, data.X)
    model = fastgd.SGDClassifier(loss=loss, random_state=0).fit(data.X, data.classes)
    twin = model.to_sklearn()
    assert type(twin) is linear_model.SGDClassifier
    assert_same_responses(model, twin, data.X)


@pytest.mark.parametrize("name", ["RidgeClassifier", "RidgeClassifierCV", "MLPClassifier"])
def test_several_labels_of_a_row(name, data):
    y = np.column_stack([data.binary, data.classes == 1, data.X[:, 0] > 0]).astype(int)
    model = new(name).fit(data.X, y)
    twin = model.to_sklearn()
    assert_same_responses(model, twin, data.X)
    back = from_sklearn(twin)
    assert_same_responses(model, back, data.X)


LINEAR = [case for case in CASES if not case[0].startswith("MLP")]


@pytest.mark.parametrize("name, several", LINEAR)
def test_sparse_coefficients(name, several, data):
    model = fitted(name, data, several=several).sparsify()
    twin = model.to_sklearn()
    assert_same_responses(model, twin, data.X)
    if type(twin).__name__ == name:
        assert_same_responses(model, from_sklearn(twin), data.X)


@pytest.mark.parametrize("name, several", LINEAR)
def test_no_intercept(name, several, data):
    model = fitted(name, data, several=several, fit_intercept=False)
    twin = model.to_sklearn()
    assert_same_responses(model, twin, data.X)
    assert not np.any(twin.offset_ if name == "SGDOneClassSVM" else twin.intercept_)
    theirs = made(sklearn_kind(type(twin).__name__)).set_params(fit_intercept=False)
    theirs.fit(data.X, target(model, data, several))
    assert_same_responses(from_sklearn(theirs), theirs, data.X)


def test_a_stream_of_sparse_rows(data):
    X = sparse.csr_array(data.X)
    model = fastgd.SGDClassifier().partial_fit(X, data.binary, classes=[0, 1])
    assert_same_responses(model, model.to_sklearn(), X)


def test_a_one_class_machine_away_from_zero(data):
    model = fastgd.SGDOneClassSVM(nu=0.2, random_state=0).fit(data.X + 3)
    assert set(model.predict(data.X + 3)) == {1, -1}
    assert_same_responses(model, model.to_sklearn(), data.X + 3)


def test_an_offset_of_the_twin_is_zero(data):
    offset = np.log1p(np.arange(len(data.X)))
    model = fastgd.PoissonRegressor().fit(data.X, data.counts, offset=offset)
    assert_same_responses(model, model.to_sklearn(), data.X)


@pytest.mark.parametrize("power, link", [(0, "auto"), (0, "log"), (1.5, "auto"), (3, "log")])
def test_powers_and_links(power, link, data):
    model = fastgd.TweedieRegressor(power=power, link=link).fit(data.X, data.counts + 0.5)
    assert_same_responses(model, model.to_sklearn(), data.X)


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson"])
def test_networks_of_every_loss_and_shared_activation(loss, activation, data):
    model = new("MLPRegressor", loss=loss, activation=activation).fit(data.X, data.counts)
    twin = model.to_sklearn()
    assert twin.activation == activation
    assert twin.loss == ("poisson" if loss == "poisson" else "squared_error")
    assert_same_responses(model, twin, data.X)
    assert_same_responses(model, from_sklearn(twin), data.X)


@pytest.mark.parametrize("activation", ["leaky_relu", "gelu", "silu", "softplus"])
def test_an_activation_without_a_twin_is_named(activation, data):
    model = fitted("MLPClassifier", data, activation=activation)
    with pytest.raises(ValueError, match=f"activation='{activation}' has no twin: .* 'relu'"):
        model.to_sklearn()


@pytest.mark.parametrize("name", TWINS)
def test_an_unfitted_model_has_no_twin(name):
    with pytest.raises(NotFittedError):
        new(name).to_sklearn()


def test_models_without_a_twin_are_named(data):
    with pytest.raises(TypeError, match="MatrixFactorization has no twin: .* no recommender"):
        fastgd.MatrixFactorization().to_sklearn()
    y = np.column_stack([data.counts, data.counts])
    model = fastgd.SGDRegressor("poisson", random_state=0).fit(data.X, y)
    with pytest.raises(ValueError, match="several targets has no twin"):
        model.to_sklearn()
    twin = MultiOutputRegressor(fastgd.SGDRegressor("poisson", random_state=0)).fit(data.X, y)
    twin.estimators_ = [one.to_sklearn() for one in twin.estimators_]
    assert_allclose(twin.predict(data.X), model.predict(data.X), rtol=0.1, atol=0.1)


def test_a_subclass_has_the_twin_of_its_base(data):
    class Mine(fastgd.Ridge):
        pass

    twin = Mine(alpha=2.0).fit(data.X, data.values).to_sklearn()
    assert type(twin) is linear_model.Ridge and twin.alpha == 2.0


# ---- parameters ----


def test_parameters_that_both_know_are_kept(data):
    settings = {
        "loss": "log_loss",
        "penalty": "elasticnet",
        "alpha": 0.02,
        "l1_ratio": 0.3,
        "learning_rate": "invscaling",
        "eta0": 0.1,
        "power_t": 0.6,
        "class_weight": {0: 1.0, 1: 2.0},
        "random_state": 3,
        "average": 5,
    }
    model = fastgd.SGDClassifier(**settings).fit(data.X, data.binary)
    twin = model.to_sklearn()
    assert {name: getattr(twin, name) for name in settings} == settings
    assert twin.class_weight is not model.class_weight
    back = from_sklearn(twin)
    assert {name: getattr(back, name) for name in settings} == settings


def test_parameters_that_scikit_learn_refuses_are_dropped(data):
    rate = fastgd.CosineDecay(0.1)
    model = fastgd.SGDClassifier(learning_rate=rate, shuffle="full", random_state=0)
    twin = model.fit(data.X, data.binary).to_sklearn()
    assert (twin.learning_rate, twin.shuffle) == ("optimal", True)
    model = fitted("MLPClassifier", data, batch_size="full", alpha="auto")
    twin = model.to_sklearn()
    assert (twin.solver, twin.alpha, twin.batch_size, twin.tol) == ("adam", 1e-4, "auto", 1e-4)


@pytest.mark.parametrize(
    "name, settings, several",
    [
        ("LogisticRegression", {"l1_ratio": 0.5}, False),
        ("LogisticRegression", {"l1_ratio": 1, "dual": True}, True),
        ("LogisticRegression", {"solver": "liblinear", "l1_ratio": 1.0}, False),
        ("LogisticRegression", {"solver": "liblinear"}, True),
        ("LogisticRegression", {"dual": True, "solver": "newton-cg"}, False),
        ("LogisticRegressionCV", {"l1_ratios": (0, 0.5)}, False),
        ("LogisticRegressionCV", {"solver": "liblinear"}, True),
        ("Ridge", {"solver": "cholesky", "positive": True}, False),
        ("RidgeClassifier", {"solver": "svd", "positive": True}, True),
        ("LinearSVC", {"penalty": "l1", "dual": True}, False),
        ("LinearSVC", {"loss": "hinge", "dual": False}, True),
        ("LinearSVR", {"dual": False}, False),
        ("QuantileRegressor", {"solver": "interior-point"}, False),
        ("QuantileRegressor", {"solver": "revised simplex"}, False),
    ],
)
def test_a_twin_has_a_solver_that_its_fit_accepts(name, settings, several, data):
    model = fitted(name, data, several=several, **settings)
    twin = model.to_sklearn()
    assert_same_responses(model, twin, data.X)
    twin.fit(data.X, target(model, data, several))


def searched(model, grid, data, **parameters):
    return fastgd.GridSearchCV(model, grid, cv=3, **parameters).fit(data.X, data.binary)


SEARCHES = {
    "model": (fastgd.LogisticRegression(), {"C": [0.1, 1.0]}, {}),
    "scorers": (
        fastgd.LinearSVC(),
        {"C": [0.1, 1.0]},
        {"scoring": ["accuracy", "roc_auc"], "refit": "roc_auc"},
    ),
    "pipeline": (
        make_pipeline(StandardScaler(), fastgd.RidgeClassifier()),
        {"ridgeclassifier__alpha": [0.1, 1.0]},
        {},
    ),
    "inside": (
        make_pipeline(
            SelectFromModel(fastgd.LinearSVC(), threshold="median"),
            OneVsRestClassifier(fastgd.LogisticRegression()),
        ),
        {"onevsrestclassifier__estimator__C": [0.1, 1.0]},
        {"scoring": lambda model, X, y: model.score(X, y)},
    ),
    "models in the grid": (
        Pipeline([("model", fastgd.Ridge())]),
        {"model": [fastgd.LogisticRegression(), fastgd.SGDClassifier("softmax", random_state=0)]},
        {},
    ),
    "a search inside": (
        GridSearchCV(fastgd.LogisticRegression(), {"C": [0.1, 1.0]}, cv=3),
        {"estimator__fit_intercept": [True, False]},
        {},
    ),
}


def fastgd_modules(value):
    """The classes of fastgd that an object holds."""
    found = []

    class Looks(pickle.Pickler):
        def persistent_id(self, value):
            return "function" if inspect.isroutine(value) else None

        def reducer_override(self, value):
            home = value.__module__ if isinstance(value, type) else type(value).__module__
            if home.startswith("fastgd"):
                found.append(value)
            return NotImplemented

    Looks(io.BytesIO()).dump(value)
    return found


@pytest.mark.parametrize("case", SEARCHES)
def test_a_search_has_a_twin(case, data):
    model, grid, parameters = SEARCHES[case]
    search = searched(model, grid, data, **parameters)
    twin = search.to_sklearn()
    assert type(twin) is GridSearchCV
    assert not fastgd_modules(twin)
    assert_same_responses(search, twin, data.X)
    assert twin.score(data.X, data.binary) == search.score(data.X, data.binary)
    assert twin.best_index_ == search.best_index_ and twin.best_params_.keys() == set(grid)
    assert twin.cv_results_.keys() == search.cv_results_.keys()
    assert type(twin.scorer_) is type(search.scorer_)
    assert_array_equal(twin.classes_, search.classes_)
    assert clone(twin).fit(data.X, data.binary).best_index_ == search.best_index_


def test_a_search_over_an_iterator_of_folds_has_a_twin(data):
    folds = StratifiedKFold(3).split(data.X, data.binary)
    search = fastgd.GridSearchCV(fastgd.LogisticRegression(), {"C": [0.1, 1.0]}, cv=folds)
    twin = search.fit(data.X, data.binary).to_sklearn()
    assert_same_responses(search, twin, data.X)


def test_a_search_without_a_model_has_no_twin(data):
    with pytest.raises(ValueError, match="refit=False"):
        searched(fastgd.Ridge(), {"alpha": [1.0]}, data, refit=False).to_sklearn()
    with pytest.raises(NotFittedError):
        fastgd.GridSearchCV(fastgd.Ridge(), {"alpha": [1.0]}).to_sklearn()


# ---- from scikit-learn ----


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@pytest.mark.parametrize(
    "name, several",
    [case for case in CASES if case not in (("SGDRegressor", True), ("LinearSVR", True))],
)
def test_a_model_of_scikit_learn_predicts_the_same_here(name, several, data, layout, dtype):
    theirs = made(sklearn_kind(name))
    X = store(data.X, layout, dtype)
    theirs.fit(X, target(theirs, data, several))
    ours = from_sklearn(theirs)
    assert type(ours) is getattr(fastgd, name)
    check_is_fitted(ours)
    assert (
        ours.get_params().items()
        >= {k: v for k, v in theirs.get_params().items() if not isinstance(v, np.ndarray)}.items()
    )
    assert_same_responses(ours, theirs, X, 1e-10 if dtype == np.float64 else 1e-4)
    assert ours.n_features_in_ == 6
    if is_classifier(ours):
        assert_array_equal(ours.classes_, theirs.classes_)
    assert_same_responses(ours, pickle.loads(pickle.dumps(ours)), X)
    assert not hasattr(clone(ours), "n_features_in_")


@pytest.mark.parametrize("name", TWINS)
def test_there_and_back(name, data):
    model = fitted(name, data)
    back = from_sklearn(model.to_sklearn())
    assert type(back) is type(model)
    assert_same_responses(model, back, data.X, rtol=1e-15)
    assert repr(back.to_sklearn()) == repr(model.to_sklearn())
    back.fit(data.X, target(model, data))


def test_an_unfitted_estimator_stays_unfitted():
    ours = from_sklearn(linear_model.Ridge(alpha=3.0, random_state=0))
    assert type(ours) is fastgd.Ridge and ours.alpha == 3.0
    with pytest.raises(NotFittedError):
        check_is_fitted(ours)


def test_a_seed_that_scikit_learn_had_is_not_warned_of(data):
    from_sklearn(linear_model.Ridge(random_state=0)).fit(data.X, data.values)


WARM = [
    ("LogisticRegression", {"tol": 1e-10, "max_iter": 10_000}),
    ("Lasso", {"tol": 1e-12, "alpha": 0.1}),
    ("ElasticNet", {"tol": 1e-12, "alpha": 0.1}),
    ("HuberRegressor", {"tol": 1e-10, "max_iter": 10_000}),
    ("PoissonRegressor", {"tol": 1e-10, "max_iter": 10_000}),
    ("GammaRegressor", {"tol": 1e-10, "max_iter": 10_000}),
    ("TweedieRegressor", {"tol": 1e-10, "max_iter": 10_000, "power": 1.5}),
]


@pytest.mark.parametrize("name, settings", WARM)
def test_a_warm_start_begins_at_the_coefficients(name, settings, data):
    theirs = sklearn_kind(name)(**settings, warm_start=True)
    y = target(theirs, data)
    y = data.counts if name == "TweedieRegressor" else y
    theirs.fit(data.X, y)
    ours = from_sklearn(theirs).set_params(tol=1e-6, batch_size="full")
    cold = clone(ours).fit(data.X, y)
    warm = ours.fit(data.X, y)
    assert warm.n_iter_ < cold.n_iter_
    assert_allclose(warm.coef_, theirs.coef_, rtol=1e-3, atol=1e-4)


def test_a_warm_start_of_sgd_and_of_a_network(data):
    theirs = linear_model.SGDClassifier("log_loss", alpha=0.1, tol=None, max_iter=5000)
    theirs.set_params(warm_start=True, random_state=0, learning_rate="invscaling", eta0=0.5)
    theirs.fit(data.X, data.binary)
    ours = from_sklearn(theirs).set_params(learning_rate="auto", batch_size="full", tol=1e-3)
    ours.set_params(eta0=0.01)
    cold = clone(ours).fit(data.X, data.binary)
    assert ours.fit(data.X, data.binary).n_iter_ < cold.n_iter_
    theirs = neural_network.MLPRegressor(
        hidden_layer_sizes=(5,), solver="lbfgs", tol=1e-4, max_iter=10_000
    )
    theirs.set_params(warm_start=True, random_state=0).fit(data.X, data.values)
    ours = from_sklearn(theirs).set_params(tol=1e-2)
    cold = clone(ours).fit(data.X, data.values)
    assert ours.fit(data.X, data.values).n_iter_ < cold.n_iter_


@pytest.mark.parametrize("rate", ["optimal", "invscaling", "constant"])
@pytest.mark.parametrize("name", ["SGDClassifier", "SGDRegressor", "Perceptron"])
def test_partial_fit_takes_the_next_steps(name, rate, data):
    """The schedule continues where scikit-learn's stopped."""
    settings = {"shuffle": False, "max_iter": 3, "tol": None}
    if name != "Perceptron":
        settings |= {"learning_rate": rate, "alpha": 0.01}
    theirs = sklearn_kind(name)(**settings)
    y = target(theirs, data)
    theirs.fit(data.X, y)
    ours = from_sklearn(theirs)
    for _ in range(2):
        theirs.partial_fit(data.X, y)
        ours.partial_fit(data.X, y)
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-10)
    assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-10)
    assert ours.t_ == theirs.t_


@pytest.mark.parametrize("name", [n for n in TWINS if n.startswith(("SGD", "Perceptron", "MLP"))])
def test_partial_fit_of_a_model_from_scikit_learn(name, data, layout):
    X = store(data.X, layout, np.float64)
    model = fitted(name, data, X)
    y = target(model, data)
    back = from_sklearn(model.to_sklearn())
    if name.startswith("SGD"):
        back.set_params(learning_rate="auto")
    y = () if is_outlier_detector(model) else (y,)
    back.partial_fit(X, *y)
    start = model.coefs_[0] if name.startswith("MLP") else model.coef_
    end = back.coefs_[0] if name.startswith("MLP") else back.coef_
    assert 0 < np.abs(end - start).max() < np.abs(start).max() + 1


def test_estimators_without_a_twin_here_are_named():
    with pytest.raises(TypeError, match="BayesianRidge has no twin in fastgd. .* Ridge, Lasso,"):
        from_sklearn(linear_model.BayesianRidge())
    # Its penalty is not that of Lasso, from which it is derived.
    with pytest.raises(TypeError, match="MultiTaskLasso has no twin"):
        from_sklearn(linear_model.MultiTaskLasso())
    with pytest.raises(TypeError, match="Ridge is fastgd's already"):
        from_sklearn(fastgd.Ridge())
    with pytest.raises(TypeError, match="Replace its steps"):
        from_sklearn(make_pipeline(linear_model.Ridge()))
    with pytest.raises(TypeError, match="int has no twin"):
        from_sklearn(3)


def test_steps_of_pipelines_are_replaced(data):
    pipeline = make_pipeline(StandardScaler(), fastgd.LogisticRegression())
    before = pipeline.fit(data.X, data.classes).predict_proba(data.X)
    pipeline.set_params(logisticregression=pipeline[-1].to_sklearn())
    assert_allclose(pipeline.predict_proba(data.X), before)
    assert b"fastgd" not in pickle.dumps(pipeline)
    pipeline.set_params(logisticregression=from_sklearn(pipeline[-1]))
    assert_allclose(pipeline.predict_proba(data.X), before)


# ---- ONNX ----


@pytest.mark.parametrize("name, several", CASES)
def test_onnx_predicts_the_same(name, several, data):
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    runtime = pytest.importorskip("onnxruntime")
    # The one-class machine separates the rows from 0.
    X = data.X.astype(np.float32) + 3 * (name == "SGDOneClassSVM")
    model = fitted(name, data, X, several)
    twin, options = model.to_sklearn(), {}
    if is_classifier(twin) and name != "LinearSVC":
        options = {"zipmap": False}
    onnx = to_onnx(twin, X[:1], options=options)
    session = runtime.InferenceSession(onnx.SerializeToString())
    label, *others = session.run(None, {"X": X})
    expected = model.predict(X)
    if is_outlier_detector(model):  # support vectors are on the boundary
        off_boundary = np.abs(model.decision_function(X)) > 1e-3
        assert off_boundary.sum() > 20
        assert_array_equal(label.ravel()[off_boundary], expected[off_boundary])
    elif is_classifier(model):
        assert_array_equal(label, expected)
    else:
        assert_allclose(label.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)
    if hasattr(model, "predict_proba"):
        assert_allclose(others[0], model.predict_proba(X), atol=1e-5)


# ---- skops ----

# Types of scikit-learn that skops does not trust either.
UNTRUSTED = {"TweedieRegressor": {"sklearn._loss.loss.HalfTweedieLossIdentity"}}


def untrusted(model):
    """(the model after skops, the types that had to be trusted)"""
    io = pytest.importorskip("skops.io")
    dump = io.dumps(model)
    types = io.get_untrusted_types(data=dump)
    return io.loads(dump, trusted=types), set(types)


@pytest.mark.parametrize("name", TWINS)
def test_skops_trusts_twins(name, data):
    twin = fitted(name, data).to_sklearn()
    again, types = untrusted(twin)
    assert types == UNTRUSTED.get(name, set())
    assert_same_responses(twin, again, data.X)


@pytest.mark.parametrize("name", TWINS)
def test_skops_has_to_trust_the_class_of_a_fitted_model_only(name, data):
    model = fitted(name, data)
    again, types = untrusted(model)
    kind = type(model)
    if name == "Perceptron":  # it has a state for `partial_fit`
        assert types == {f"{kind.__module__}.{name}", "fastgd.methods.sgd.State"}
    elif name.startswith("MLP"):
        assert all(one.startswith("fastgd.") for one in types)
    else:
        assert types == {f"{kind.__module__}.{name}"}
    assert_same_responses(model, again, data.X)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@pytest.mark.parametrize("name", ["SGDClassifier", "SGDRegressor", "SGDOneClassSVM", "Perceptron"])
def test_skops_of_a_stream_continues_it(name, layout, data):
    X = store(data.X, layout, np.float64)
    model = new(name, random_state=0)
    y = () if is_outlier_detector(model) else (target(model, data),)
    others = {"classes": np.unique(y[0])} if is_classifier(model) else {}
    model.partial_fit(X, *y, **others)
    again, types = untrusted(model)
    assert all(one.startswith("fastgd.") for one in types)
    for one in (model, again):
        one.partial_fit(X, *y)
    assert_same_responses(model, again, X, rtol=1e-15)


def test_skops_of_a_warm_start_continues_it(data):
    model = fitted("LogisticRegression", data, warm_start=True, max_iter=1, tol=1e-12)
    again, types = untrusted(model)
    assert all(one.startswith("fastgd.") for one in types)
    y = target(model, data)
    for one in (model, again):
        one.set_params(max_iter=1000).fit(data.X, y, sample_weight=data.weights)
    assert again.n_iter_ == model.n_iter_ and len(again.history_["loss"]) > 1
    assert_array_equal(again.coef_, model.coef_)


# ---- pickles of this and earlier versions ----

PICKLES = Path(__file__).parent / "fixtures" / "pickles"
FILES = sorted(PICKLES.glob("*/*.pkl"))


def test_every_version_has_its_pickles():
    """Of a new version: python tests/fixtures/make_pickles.py."""
    assert (PICKLES / fastgd.__version__).is_dir()
    for folder in PICKLES.iterdir():
        expected = json.loads((folder / "predictions.json").read_text())["predictions"]
        assert {path.stem for path in folder.glob("*.pkl")} == set(expected)


# Parts of scikit-learn, such as a LabelBinarizer, warn of another version of it.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_pickle_predicts_as_on_the_day_it_was_made(path):
    stored = json.loads((path.parent / "predictions.json").read_text())
    model = pickle.loads(path.read_bytes())
    recommends = isinstance(model, fastgd.MatrixFactorization)
    X = [tuple(pair) for pair in stored["pairs"]] if recommends else np.array(stored["rows"])
    for method, expected in stored["predictions"][path.stem].items():
        found = getattr(model, method)(X)
        if found.dtype.kind == "f":
            assert_allclose(found, expected, rtol=1e-6 if recommends else 1e-10)
        else:
            assert_array_equal(found, expected)
    if recommends:
        model.partial_fit([(*pair, 3.0) for pair in X])
        return
    assert_same_responses(model, model.to_sklearn(), X)
    y = model.predict(X)
    y = np.abs(y) + 0.5 if y.dtype.kind == "f" else y
    if hasattr(model, "partial_fit"):
        model.partial_fit(X, *(() if is_outlier_detector(model) else (y,)))
    elif not is_classifier(model):
        model.fit(X, y)
