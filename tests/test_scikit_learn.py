"""At home in scikit-learn's world: what every public estimator, those to come included, gets from
it and must not spoil.
"""

import inspect
import multiprocessing
import pickle
import re
import tracemalloc
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context, linear_model, neural_network, svm
from sklearn.base import BaseEstimator, clone, is_classifier, is_outlier_detector, is_regressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import has_fit_parameter

import fastgd
from fastgd import MatrixFactorization, SGDClassifier, SGDRegressor
from reference import QUIET, quiet, store

PUBLIC = [getattr(fastgd, name) for name in fastgd.__all__]
ESTIMATORS = [
    kind
    for kind in PUBLIC
    if inspect.isclass(kind)
    and issubclass(kind, BaseEstimator)
    # X holds ids, no features; an estimator to search for: their own tests have their checks.
    and kind not in (MatrixFactorization, fastgd.GridSearchCV)
]
STREAMS = [kind for kind in ESTIMATORS if kind.__name__.startswith(("SGD", "Perceptron"))]
NETWORKS = [kind for kind in ESTIMATORS if kind.__name__.startswith("MLP")]
LINEAR = [
    kind
    for kind in ESTIMATORS
    if kind.__module__.removeprefix("fastgd.")
    in ("linear", "robust", "ridge", "lasso", "glm", "sgd")
]
# Models that train many on parts of the rows.
CHOOSING = [kind for kind in ESTIMATORS if kind.__name__.endswith("CV")]
# As scikit-learn's.
ONE_TARGET = (
    "PoissonRegressor GammaRegressor TweedieRegressor HuberRegressor QuantileRegressor LassoCV "
    "ElasticNetCV"
).split()


def trained_for_long(model, **others):
    """The model with a small `tol`, if it has one, and other parameters."""
    if "tol" in model.get_params():
        model.set_params(tol=1e-7, max_iter=2000)
    return model.set_params(**others)


@pytest.fixture(params=ESTIMATORS, ids=lambda kind: kind.__name__)
def model(request):
    """Each of them, at its defaults and, if it draws at random, with a seed."""
    model = quiet(request.param)
    return model.set_params(random_state=0) if "random_state" in model.get_params() else model


def data_for(model):
    X, y = (load_diabetes if is_regressor(model) else load_iris)(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def result_of(model, X):
    return model.predict(X) if hasattr(model, "predict") else model.transform(X)


def known_differences(model):
    """A shuffled stream takes several steps along a repeated row, and one along a row of weight
    2.
    """
    names = [f"check_sample_weight_equivalence_on_{kind}_data" for kind in ("dense", "sparse")]
    return dict.fromkeys(names, "stochastic steps") if type(model) in STREAMS else {}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [quiet(kind) for kind in ESTIMATORS], expected_failed_checks=known_differences
)
def test_scikit_learns_own_checks_of_an_estimator(estimator, check):
    check(estimator)


# ---- weights: what the shuffled streams are excused from above, full batches do ----


@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize(
    "loss", ["hinge", "log_loss", "softmax", "modified_huber", "squared_hinge"]
)
def test_a_whole_weight_is_a_repetition_and_weight_zero_nothing(loss, penalty, data, layout):
    repeats = np.arange(43) % 4
    model = SGDClassifier(
        loss,
        penalty=penalty,
        alpha=0.02,
        batch_size="full",
        tol=1e-13,
        max_iter=3000,
        random_state=0,
    )
    if loss == "hinge" and penalty == "elasticnet":
        pytest.skip("losses with kinks and an L1 part are descended by single rows")
    check_repetition(model, data.X, data.classes, repeats, layout)


@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize(
    "loss", ["squared_error", "huber", "squared_epsilon_insensitive", "poisson"]
)
def test_the_same_of_regression(loss, penalty, data, layout):
    model = SGDRegressor(
        loss,
        penalty=penalty,
        alpha=0.02,
        batch_size="full",
        tol=1e-13,
        max_iter=3000,
        random_state=0,
    )
    check_repetition(
        model, data.X, data.counts if loss == "poisson" else data.values, np.arange(43) % 4, layout
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def check_repetition(model, X, y, repeats, layout):
    weighted = clone(model).fit(store(X, layout), y, sample_weight=repeats)
    repeated = clone(model).fit(
        store(np.repeat(X, repeats, axis=0), layout), np.repeat(y, repeats, axis=0)
    )
    kept = repeats > 0
    absent = clone(model).fit(store(X[kept], layout), y[kept], sample_weight=repeats[kept])
    assert_array_equal(weighted.coef_, absent.coef_)
    assert_array_equal(weighted.intercept_, absent.intercept_)
    assert_allclose(weighted.coef_, repeated.coef_, atol=1e-6)
    assert_allclose(weighted.intercept_, repeated.intercept_, atol=1e-6)


# ---- what scikit-learn's base classes give ----


def test_a_clone_has_the_parameters_and_nothing_else(model):
    X, y = data_for(model)
    other = clone(model.fit(X, y))
    assert other.get_params() == model.get_params()
    assert not [name for name in vars(other) if name.endswith("_")]


def test_a_pickled_model_predicts_the_same(model):
    X, y = data_for(model)
    assert_array_equal(
        result_of(pickle.loads(pickle.dumps(model.fit(X, y))), X), result_of(model, X)
    )


def test_it_shows_itself_in_a_notebook(model):
    shown = model._repr_html_()
    assert type(model).__name__ in shown
    assert "sk-estimator" in shown


def test_it_prints_what_differs_from_its_defaults(model):
    name = type(model).__name__
    assert repr(type(model)()) == f"{name}()"
    setting = {"tol": 0.25} if "tol" in model.get_params() else {"alphas": 0.25}
    ((parameter, value),) = setting.items()
    assert repr(type(model)(**setting)) == f"{name}({parameter}={value})"


def test_tags_say_what_it_takes(model):
    tags = get_tags(model)
    if type(model) in LINEAR:
        assert tags.input_tags.sparse
    if is_classifier(model):
        assert tags.classifier_tags.multi_class
    elif is_regressor(model):
        assert tags.target_tags.multi_output == (type(model).__name__ not in ONE_TARGET)
    else:
        assert (
            is_outlier_detector(model)
            or tags.transformer_tags is not None
            or tags.target_tags.required is False
        )


def test_weights_are_routed_to_it(model):
    """Through a pipeline, a search and a cross-validation, as scikit-learn's metadata routing has
    it.
    """
    if not has_fit_parameter(model, "sample_weight") or not (
        is_classifier(model) or is_regressor(model)
    ):
        pytest.skip("it takes no weights, or has no score")
    if type(model) in CHOOSING:
        pytest.skip("weights are routed to its scorer too: test_model_selection.py")
    X, y = data_for(model)
    weights = np.arange(len(y)) % 3 + 0.5
    with config_context(enable_metadata_routing=True):
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = make_pipeline(scaler, clone(model)).fit(X, y, sample_weight=weights)
        direct = clone(model).fit(scaler.fit_transform(X), y, sample_weight=weights)
        assert_array_equal(routed.predict(X), direct.predict(scaler.transform(X)))
        folds = cross_validate(
            clone(model), X, y, params={"sample_weight": weights}, cv=2, error_score="raise"
        )
        name = "tol" if "tol" in model.get_params() else "fit_intercept"
        grid = {name: [getattr(model, name)]}
        search = GridSearchCV(clone(model), grid, cv=2, error_score="raise").fit(
            X, y, sample_weight=weights
        )
        assert search.cv_results_["split0_test_score"][0] == folds["test_score"][0]


# ---- whatever the form of X, wherever it is trained ----


def every_part(model):
    """All that it tells of X, or has learnt of it, in arrays."""
    return [part for part in model._learnt() if isinstance(part, np.ndarray)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_of_float32_it_makes_float32(model, layout):
    X, y = data_for(model)
    X = store(X, layout, np.float32)
    model.fit(X, y)
    told = [
        getattr(model, name)(X)
        for name in ("decision_function", "predict_proba", "predict")
        if hasattr(model, name)
    ]
    told = told if is_regressor(model) else told[:-1]  # labels are the user's
    assert {part.dtype for part in (*every_part(model), *told)} == {np.dtype(np.float32)}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_form_of_x_is_the_same_model(model):
    X, y = data_for(model)
    X *= X > -0.5
    first = clone(model).fit(sparse.csr_array(X), y)
    wide = sparse.csr_array(X)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    forms = [
        form(X)
        for form in (
            sparse.csc_array,
            sparse.coo_array,
            sparse.lil_array,
            sparse.csr_matrix,
            sparse.csc_matrix,
        )
    ]
    for form in (*forms, sparse.bsr_array(X, blocksize=(1, 1)), wide):
        for part, same in zip(
            every_part(clone(model).fit(form, y)), every_part(first), strict=True
        ):
            assert_allclose(part, same, rtol=1e-10)
    fortran, listed = clone(model).fit(np.asfortranarray(X), y), clone(model).fit(X.tolist(), y)
    for part, same in zip(every_part(fortran), every_part(listed), strict=True):
        assert_array_equal(part, same)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_sparse_and_dense_rows_end_at_the_same_model(model):
    X, y = data_for(model)
    X *= X > -0.5
    networks = type(model) in NETWORKS
    if networks:
        model.set_params(
            solver="adam", max_iter=5, tol=None
        )  # "auto" centres dense columns, and networks have many minima
    else:
        trained_for_long(model, **({"batch_size": "full"} if type(model) in STREAMS else {}))
    dense, rows = clone(model).fit(X, y), clone(model).fit(sparse.csr_array(X), y)
    for part, same in zip(every_part(dense), every_part(rows), strict=True):
        assert_allclose(part, same, atol=(1e-9 if networks else 1e-2) * np.abs(same).max())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_memory_map_is_read_where_it_lies(model, dtype, tmp_path):
    """No array of half its size is made, in training and in prediction."""
    if type(model).__name__ == "QuantileRegressor":
        pytest.skip("its solver stores dense columns")
    if type(model).__name__ == "LogisticRegressionCV":
        pytest.skip("it holds the margins of all folds and penalties, and the rows of a test fold")
    shape = 30_000, 250
    np.random.default_rng(0).standard_normal(shape).astype(dtype).tofile(tmp_path / "X")
    X = np.memmap(tmp_path / "X", dtype, "r", shape=shape)
    y = (X[:, 0] > 0).astype(int) + 1
    if "max_iter" in model.get_params():
        model.set_params(max_iter=2)
    result_of(model.fit(X[:100], y[:100]), X[:100])  # imports
    tracemalloc.start()
    result_of(model.fit(X, y), X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes / 2


def seeds(model):
    names = model.get_params()
    if "random_state" in names:
        return {"random_state": [0, 1]}
    return {"tol": [1e-3, 1e-4]} if "tol" in names else {"alphas": [0.5, 1.0]}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_threads_train_beside_each_other(model):
    X, y = data_for(model)
    ((name, values),) = seeds(model).items()
    alone = [clone(model).set_params(**{name: value}).fit(X, y) for value in values]
    with ThreadPool(4) as pool:
        beside = pool.map(
            lambda value: clone(model).set_params(**{name: value}).fit(X, y), values * 2
        )
    for one, other in zip(alone * 2, beside, strict=True):
        for part, same in zip(every_part(one), every_part(other), strict=True):
            assert_array_equal(part, same)


def learnt_in_a_child(model):
    return every_part(model.fit(*data_for(model)))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
def test_after_a_fork_it_trains(model):
    """Its parent has used all threads before."""
    expected = learnt_in_a_child(clone(model))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        learnt = pool.apply_async(learnt_in_a_child, (model,)).get(timeout=60)
    for part, same in zip(learnt, expected, strict=True):
        assert_array_equal(part, same)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_search_in_two_processes_is_the_same(model):
    X, y = data_for(model)
    scoring = (
        None if hasattr(model, "score") else lambda model, X, y: model.decision_function(X).mean()
    )
    one, two = (
        GridSearchCV(
            clone(model), seeds(model), cv=2, n_jobs=n_jobs, scoring=scoring, error_score="raise"
        ).fit(X, y)
        for n_jobs in (1, 2)
    )
    assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    for part, same in zip(
        every_part(one.best_estimator_), every_part(two.best_estimator_), strict=True
    ):
        assert_array_equal(part, same)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_number_of_threads_changes_nothing(model):
    if "n_jobs" not in model.get_params():
        pytest.skip("it has no n_jobs")
    X, y = data_for(model)
    one, two = (clone(model).set_params(n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2))
    for part, same in zip(every_part(one), every_part(two), strict=True):
        assert_array_equal(part, same)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_random_state_is_what_scikit_learn_says(model):
    """A number: every fit alike. A generator: each fit draws from it. None: NumPy's own is drawn
    from.
    """
    if type(model) not in (*STREAMS, *NETWORKS):
        pytest.skip("nothing is drawn at random")
    X, y = data_for(model)
    X = X + 1  # else no outlier is found, whatever the seed
    model.set_params(max_iter=2, tol=None)

    def train(state, times=1):
        model.set_params(random_state=state)
        return [every_part(model.fit(X, y))[0] for _ in range(times)]

    assert_array_equal(*train(3, 2))
    first, second = train(np.random.RandomState(3), 2)
    assert (first != second).any()
    assert_array_equal([first, second], train(np.random.RandomState(3), 2))
    np.random.seed(3)
    assert_array_equal([first, second], train(None, 2))


FRAMES = {
    "pandas": lambda X, names: pd.DataFrame(X, columns=names),
    "polars": lambda X, names: pytest.importorskip("polars").DataFrame(X, schema=names),
    "pyarrow": lambda X, names: pytest.importorskip("pyarrow").table(list(X.T.copy()), names=names),
}


@pytest.mark.parametrize("library", FRAMES)
def test_frames_are_their_arrays_and_their_names_are_kept(library, model):
    X, y = data_for(model)
    names = [f"column {j}" for j in range(X.shape[1])]
    frame, turned = FRAMES[library](X, names), FRAMES[library](X[:, ::-1].copy(), names[::-1])
    fitted = clone(model).fit(frame, y)
    assert_array_equal(fitted.feature_names_in_, names)
    with pytest.raises(
        ValueError, match="Feature names must be in the same order as they were in fit"
    ):
        result_of(fitted, turned)
    assert_array_equal(result_of(fitted, frame), result_of(clone(model).fit(X, y), X))


def test_other_names_and_missing_names_are_said_in_scikit_learns_words(model):
    X, y = data_for(model)
    frame = pd.DataFrame(X).rename(columns=str)
    model.fit(frame, y)
    with pytest.raises(ValueError, match="Feature names unseen at fit time:\n- new"):
        result_of(model, frame.rename(columns={"0": "new"}))
    with pytest.warns(
        UserWarning,
        match="X does not have valid feature names, but .* was fitted with feature names",
    ):
        result_of(model, X)


# ---- the page in the docs ----

PAGE = Path(__file__).parent.parent / "docs" / "scikit-learn.md"
PEERS = {
    kind: getattr(home, kind.__name__)
    for home in (linear_model, svm, neural_network)
    for kind in ESTIMATORS
    if hasattr(home, kind.__name__)
}
OF_ALL = {"stop_reason_", "history_", "loss_curve_"}
OF_LINEAR = {"converged_", "optimality_", "optimality_kind_", "solver_"}


def rows_of_the_table():
    """{estimator: the sets of names in its row}"""
    cells = [
        row.strip("|").split("|")
        for row in PAGE.read_text().splitlines()
        if re.match(r"\| `\w+` \|", row)
    ]
    return {
        row[0].strip(" `"): [set(re.findall(r"`([^`]+)`", cell)) for cell in row[1:]]
        for row in cells
    }


def public_names(model):
    """What a fitted model has: (attributes, methods)."""
    kind = type(model)
    properties = {name for name in dir(kind) if isinstance(getattr(kind, name, None), property)}
    attributes = {
        name
        for name in {*vars(model), *properties}
        if name.endswith("_") and not name.startswith("_") and hasattr(model, name)
    }
    return attributes, {
        name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))
    }


@pytest.mark.skipif(not PAGE.is_file(), reason="the docs are not part of this distribution")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", PEERS, ids=lambda kind: kind.__name__)
def test_the_table_of_differences_is_right(kind):
    added, defaults, attributes, missing = rows_of_the_table()[kind.__name__]
    ours, theirs = (inspect.signature(model).parameters for model in (kind, PEERS[kind]))
    assert [name for name in ours if name in theirs] == list(theirs)
    of_all = {"max_seconds"} if kind in NETWORKS else {"max_seconds", "batch_size"}
    of_all = set() if kind in CHOOSING else of_all
    of_all |= {"optimizer"} if kind.__name__.startswith("SGD") else set()
    assert set(ours) - set(theirs) == added | of_all
    assert {
        f"{name}={ours[name].default!r}"
        for name in theirs
        if ours[name].default != theirs[name].default
    } == defaults
    X, y = data_for(kind())
    (our_attributes, our_methods), (their_attributes, their_methods) = (
        public_names(model(**QUIET.get(kind.__name__, {})).fit(X, y))
        for model in (kind, PEERS[kind])
    )
    common = OF_ALL if kind in NETWORKS else OF_ALL | OF_LINEAR
    if kind.__name__ == "LogisticRegressionCV":  # many models, without a single history
        common = common - {"history_", "loss_curve_"}
    assert our_attributes - their_attributes == attributes | (common - their_attributes)
    assert common <= our_attributes
    assert (their_attributes - our_attributes) | (their_methods - our_methods) == missing
