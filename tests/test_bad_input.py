"""What cannot be trained on is refused before anything runs, in words that name the argument and
what is wrong.
"""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn import linear_model, neural_network, svm
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags

import fastgd
from fastgd import SGDClassifier, SGDRegressor
from reference import quiet, store

X = np.random.default_rng(0).standard_normal((20, 4))
LABELS = np.arange(20) % 2
VALUES = X[:, 0] - X[:, 1]


def classifier(**parameters):
    return SGDClassifier(**{"max_iter": 2, "tol": None, "random_state": 0, **parameters})


def regressor(**parameters):
    return SGDRegressor(**{"max_iter": 2, "tol": None, "random_state": 0, **parameters})


def with_entry(array, value):
    """A copy of the array with one entry replaced."""
    changed = np.array(array, dtype=float)
    changed.flat[-1] = value
    return changed


def refuses(call, *words, error=(ValueError, TypeError)):
    """The call raises, and its message has every one of the words."""
    with pytest.raises(error) as raised:
        call()
    message = str(raised.value)
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"


# ---- X, y and weights ----


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("layout", ["dense", "csr32", "csr64"])
def test_x_must_be_finite(bad, layout):
    wrong = store(with_entry(X, bad), layout)
    model = regressor().fit(X, VALUES)
    for call in (
        lambda: regressor().fit(wrong, VALUES),
        lambda: regressor().partial_fit(wrong, VALUES),
        lambda: model.partial_fit(wrong, VALUES),
        lambda: model.predict(wrong),
        lambda: classifier().fit(wrong, LABELS),
        lambda: classifier().fit(X, LABELS).decision_function(wrong),
    ):
        refuses(call, "X", "NaN" if np.isnan(bad) else "inf")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_y_must_be_finite(bad):
    refuses(lambda: regressor().fit(X, with_entry(VALUES, bad)), "y")
    refuses(lambda: regressor().partial_fit(X, with_entry(VALUES, bad)), "y")
    refuses(lambda: regressor().fit(X, with_entry(np.column_stack([VALUES, VALUES]), bad)), "y")
    refuses(lambda: classifier().fit(X, with_entry(LABELS, bad)), "y")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5])
def test_weights_must_be_finite_and_not_negative(bad):
    weights = with_entry(np.ones(20), bad)
    refuses(lambda: classifier().fit(X, LABELS, sample_weight=weights), "sample_weight")
    refuses(
        lambda: classifier().partial_fit(X, LABELS, classes=[0, 1], sample_weight=weights),
        "sample_weight",
    )
    refuses(lambda: regressor().fit(X, VALUES, sample_weight=weights), "sample_weight")
    refuses(lambda: regressor().partial_fit(X, VALUES, sample_weight=weights), "sample_weight")


def test_some_weight_must_be_positive():
    refuses(lambda: regressor().fit(X, VALUES, sample_weight=np.zeros(20)), "sample_weight")
    refuses(lambda: classifier().fit(X, LABELS, sample_weight=np.zeros(20)), "sample_weight")


@pytest.mark.parametrize("length", [19, 21])
def test_lengths_must_match(length):
    refuses(lambda: regressor().fit(X, np.ones(length)), "20", str(length))
    refuses(lambda: classifier().fit(X, np.arange(length) % 2), "20", str(length))
    refuses(lambda: regressor().partial_fit(X, np.ones(length)), "20", str(length))
    refuses(
        lambda: regressor().fit(X, VALUES, sample_weight=np.ones(length)),
        "sample_weight",
        "20",
        str(length),
    )
    refuses(lambda: regressor().fit(X, VALUES, sample_weight=np.ones((20, 1))), "sample_weight")


@pytest.mark.parametrize("shape", [(0, 4), (20, 0), (0, 0)])
@pytest.mark.parametrize("sort", [np.asarray, sparse.csr_array])
def test_x_must_not_be_empty(shape, sort):
    refuses(
        lambda: regressor().fit(sort(np.zeros(shape)), np.zeros(shape[0])),
        "0 sample" if not shape[0] else "0 feature",
    )


def test_x_must_have_two_dimensions():
    refuses(lambda: regressor().fit(X[:, 0], VALUES), "2D array", "1D array")
    refuses(lambda: regressor().fit(X.reshape(5, 2, 8), VALUES[:5]), "dim 3")
    refuses(lambda: regressor().fit(3.0, VALUES), "2D array")
    refuses(lambda: regressor().fit(X, VALUES).predict(X[0]), "2D array", "1D array")


@pytest.mark.parametrize("layout", ["dense", "csr32"])
def test_x_must_be_real_numbers(layout):
    complex_numbers = X + 1j if layout == "dense" else sparse.csr_array(X + 1j)
    refuses(lambda: regressor().fit(complex_numbers, VALUES), "omplex")
    refuses(lambda: classifier().fit(complex_numbers, LABELS), "omplex")


def test_x_and_y_must_not_be_objects():
    words = np.full((20, 4), "word", dtype=object)
    refuses(lambda: regressor().fit(words, VALUES), "X must")
    refuses(lambda: classifier().fit(np.array([[{}] * 4] * 20, dtype=object), LABELS), "X must")
    refuses(lambda: regressor().fit(X, np.array([{}] * 20, dtype=object)), "y")
    refuses(lambda: regressor().fit(X, VALUES + 1j), "omplex")
    for rows in (X, store(X, "csr32")):
        refuses(lambda rows=rows: regressor().fit(rows, ["word"] * 20), "y must")


def test_y_must_fit_the_task():
    refuses(lambda: classifier().fit(X, VALUES), "y", "continuous")
    refuses(lambda: classifier().fit(X, np.column_stack([LABELS, LABELS, LABELS])), "y")
    refuses(lambda: regressor().fit(X, np.zeros((20, 2, 2))), "y")
    refuses(lambda: regressor().fit(X, None), "y")
    refuses(lambda: regressor(loss="poisson").fit(X, -np.ones(20)), "y", "poisson")


@pytest.mark.parametrize("loss", ["hinge", "log_loss", "softmax"])
def test_one_class_is_not_enough(loss):
    refuses(lambda: classifier(loss=loss).fit(X, np.zeros(20)), "class", "1")
    refuses(lambda: classifier(loss=loss).partial_fit(X, np.zeros(20), classes=[0]), "class", "1")


def test_partial_fit_must_know_the_classes():
    refuses(lambda: classifier().partial_fit(X, LABELS), "classes")
    refuses(lambda: classifier().partial_fit(X, LABELS + 5, classes=[0, 1]), "y")
    model = classifier().partial_fit(X, LABELS, classes=[0, 1])
    refuses(lambda: model.partial_fit(X, LABELS, classes=[0, 1, 2]), "classes")
    refuses(lambda: model.partial_fit(X, LABELS + 5), "y", "5")


def test_the_number_of_columns_must_not_change():
    for model, y in ((classifier(), LABELS), (regressor(), VALUES)):
        model.fit(X, y)
        for rows in (X[:, :3], store(X[:, :3], "csr32")):
            refuses(lambda model=model, rows=rows: model.predict(rows), "3 features", "4 features")
            refuses(
                lambda model=model, rows=rows, y=y: model.partial_fit(rows, y),
                "3 features",
                "4 features",
            )


def test_the_number_of_targets_must_not_change():
    model = regressor().fit(X, VALUES)
    refuses(lambda: model.partial_fit(X, np.column_stack([VALUES, VALUES])), "y")


def test_starting_values_must_have_the_right_shape():
    refuses(lambda: classifier().fit(X, LABELS, coef_init=np.zeros((1, 3))), "coef_init", "3")
    refuses(lambda: regressor().fit(X, VALUES, coef_init=np.zeros(5)), "coef_init", "5")
    refuses(lambda: regressor().fit(X, VALUES, intercept_init=np.zeros(2)), "intercept_init", "2")
    refuses(lambda: regressor().fit(X, VALUES, coef_init=np.full(4, np.nan)), "coef_init")


@pytest.mark.parametrize(
    "class_weight", [{0: -1.0, 1: 1.0}, {0: np.nan, 1: 1.0}, "uniform", [1, 2]]
)
def test_class_weight_must_make_sense(class_weight):
    refuses(lambda: classifier(class_weight=class_weight).fit(X, LABELS), "class_weight")


def test_an_unfitted_model_predicts_nothing():
    for call in (regressor().predict, classifier().predict, classifier().decision_function):
        refuses(lambda call=call: call(X), "fit", error=NotFittedError)


# ---- parameters ----

WRONG = {
    "loss": ["logistic", "", None, 3],
    "penalty": ["none", "L2", 3],
    "optimizer": ["sdg", None, 3, object()],
    "learning_rate": ["fast", None, 0.1],
    "init": ["ones", None],
    "shuffle": ["yes", None, 2],
    "batch_size": [0, -1, 2.5, np.nan, "half", None],
    "max_iter": [0, -1, 2.5, None],
    "n_iter_no_change": [0, 1.5],
    "eta0": [0, -0.1, np.nan, np.inf, "small"],
    "power_t": [np.nan, np.inf],
    "alpha": [-1e-4, np.nan, np.inf, "l2"],
    "l1_ratio": [-0.1, 1.1, np.nan],
    "epsilon": [-0.1, np.nan, np.inf],
    "quantile": [-0.1, 0.0, 1.0, 1.5, np.nan],
    "tol": [-1e-3, np.nan],
    "validation_fraction": [0.0, 1.0, -0.1, np.nan],
    "n_jobs": [0, 1.5],
    "average": [-1, 2.5],
    "random_state": [-1, "seed"],
}


@pytest.mark.parametrize(
    "name, value", [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_parameter_is_named_with_its_value(name, value):
    changes = {
        name: value,
        **({"loss": "quantile"} if name == "quantile" else {}),
        **({"penalty": "elasticnet"} if name == "l1_ratio" else {}),
        **({"learning_rate": "invscaling"} if name in ("eta0", "power_t") else {}),
    }
    shown = (
        repr(value)
        if not isinstance(value, (str, np.ndarray)) and type(value) is not object
        else str(value)
    )
    for call in (
        lambda: regressor(**changes).fit(X, VALUES),
        lambda: regressor(**changes).partial_fit(X, VALUES),
    ):
        refuses(call, name, shown)
    if name != "quantile":
        refuses(lambda: classifier(**changes).fit(X, LABELS), name, shown)


@pytest.mark.parametrize(
    "parameters, parts",
    [
        ({"loss": "hinge"}, ["loss", "hinge"]),
        ({"loss": "log_loss"}, ["loss", "log_loss"]),
        ({"loss": "softmax"}, ["loss", "softmax"]),
    ],
)
def test_a_regressor_takes_no_loss_of_classes(parameters, parts):
    refuses(lambda: regressor(**parameters).fit(X, VALUES), *parts, "squared_error")


COMBINATIONS = [
    (SGDClassifier, {"learning_rate": "optimal", "alpha": 0.0}, ["optimal", "alpha"]),
    (SGDClassifier, {"learning_rate": "pa1", "loss": "log_loss"}, ["pa1", "log_loss", "hinge"]),
    (
        SGDClassifier,
        {"learning_rate": "pa2", "loss": "squared_hinge"},
        ["pa2", "squared_hinge", "hinge"],
    ),
    (
        SGDRegressor,
        {"learning_rate": "pa1", "loss": "squared_error"},
        ["pa1", "squared_error", "epsilon_insensitive"],
    ),
    (
        SGDClassifier,
        {"learning_rate": "pa1", "loss": "hinge", "batch_size": 10},
        ["pa1", "batch_size"],
    ),
    (
        SGDClassifier,
        {"learning_rate": "pa2", "loss": "hinge", "optimizer": "adam"},
        ["pa2", "optimizer"],
    ),
    (SGDClassifier, {"penalty": "elasticnet", "l1_ratio": None}, ["elasticnet", "l1_ratio"]),
]


@pytest.mark.parametrize("kind, parameters, parts", COMBINATIONS)
def test_parts_that_do_not_go_together_are_both_named(kind, parameters, parts):
    y = LABELS if kind is SGDClassifier else VALUES
    refuses(lambda: kind(**parameters).fit(X, y), *parts)


def test_early_stopping_needs_the_whole_data():
    refuses(
        lambda: regressor(early_stopping=True).partial_fit(X, VALUES),
        "early_stopping",
        "partial_fit",
    )


def test_early_stopping_needs_rows_on_both_sides():
    refuses(lambda: regressor(early_stopping=True).fit(X[:1], VALUES[:1]), "validation_fraction")


@pytest.mark.parametrize(
    "make",
    [
        lambda: fastgd.Momentum(momentum=1.0),
        lambda: fastgd.Momentum(momentum=-0.1),
        lambda: fastgd.Nesterov(momentum=np.nan),
        lambda: fastgd.AdaGrad(eps=-1e-8),
        lambda: fastgd.RMSProp(rho=1.5),
        lambda: fastgd.Adam(beta1=1.0),
        lambda: fastgd.Adam(beta2=-0.5),
        lambda: fastgd.AdamW(eps=np.inf),
    ],
)
def test_a_wrong_constant_of_a_rule_is_refused(make):
    """When the rule is made, or at the latest when it is used."""
    with pytest.raises((ValueError, TypeError), match="momentum|rho|beta1|beta2|eps"):
        regressor(optimizer=make()).fit(X, VALUES)


def test_a_failed_fit_leaves_an_earlier_model_as_it_was():
    model = classifier().fit(X, LABELS)
    coef, history, t = model.coef_.copy(), dict(model.history_), model.t_
    for wrong in ((with_entry(X, np.nan), LABELS), (X, np.zeros(20)), (X, LABELS[:-1])):
        refuses(lambda wrong=wrong: model.fit(*wrong))
        refuses(lambda wrong=wrong: model.set_params(batch_size=0).fit(X, LABELS))
        model.set_params(batch_size=1)
    assert_array_equal(model.coef_, coef)
    assert model.history_ == history
    assert model.t_ == t
    assert_array_equal(model.classes_, [0, 1])


# ---- CSR that points outside its own arrays ----


def broken(change, index):
    """A CSR matrix of X's shape, broken after it was built, as a bug elsewhere might."""
    rows = store(np.where(np.abs(X) > 0.5, X, 0), index)
    change(rows)
    return rows


def column_too_large(rows):
    rows.indices[3] = 4


def column_far_too_large(rows):
    rows.indices[-1] = 2**31 - 1


def column_negative(rows):
    rows.indices[0] = -1


def bounds_descend(rows):
    rows.indptr[5] = rows.indptr[6] + 1


def bounds_start_late(rows):
    rows.indptr[0] = 1


def bounds_start_negative(rows):
    rows.indptr[0] = -1


def bounds_end_outside(rows):
    rows.indptr[-1] += 1000


def bounds_leap_in_the_middle(rows):
    rows.indptr[4] = 2**30


def bounds_too_short(rows):
    rows.indptr = rows.indptr[:-1].copy()


def bounds_too_long(rows):
    rows.indptr = np.append(rows.indptr, rows.indptr[-1])


def indices_too_short(rows):
    rows.indices = rows.indices[:-1].copy()


def data_too_short(rows):
    rows.data = rows.data[:-1].copy()


def indices_not_whole(rows):
    rows.indices = rows.indices.astype(float)


def bounds_not_whole(rows):
    rows.indptr = rows.indptr.astype(float)


BREAKS = [
    (column_too_large, "indices"),
    (column_far_too_large, "indices"),
    (column_negative, "indices"),
    (bounds_descend, "indptr"),
    (bounds_start_late, "indptr"),
    (bounds_start_negative, "indptr"),
    (bounds_end_outside, "indptr"),
    (bounds_leap_in_the_middle, "indptr"),
    (bounds_too_short, "indptr"),
    (bounds_too_long, "indptr"),
    (indices_too_short, "indices"),
    (data_too_short, "49 values"),
    (indices_not_whole, "indices"),
    (bounds_not_whole, "indptr"),
]


@pytest.mark.parametrize("index", ["csr32", "csr64"])
@pytest.mark.parametrize("change, array", BREAKS, ids=[change.__name__ for change, _ in BREAKS])
def test_malformed_csr_is_refused_everywhere(change, array, index):
    rows = broken(change, index)
    trained_classifier, trained_regressor = (
        classifier(loss="log_loss").fit(X, LABELS),
        regressor().fit(X, VALUES),
    )
    for call in (
        lambda: classifier().fit(rows, LABELS),
        lambda: classifier(batch_size=7, early_stopping=True).fit(rows, LABELS),
        lambda: regressor(batch_size="full").fit(rows, VALUES, sample_weight=np.arange(20.0)),
        lambda: classifier().partial_fit(rows, LABELS, classes=[0, 1]),
        lambda: trained_classifier.partial_fit(rows, LABELS),
        lambda: trained_regressor.partial_fit(rows, VALUES),
        lambda: trained_classifier.predict(rows),
        lambda: trained_classifier.predict_proba(rows),
        lambda: trained_classifier.decision_function(rows),
        lambda: trained_classifier.score(rows, LABELS),
        lambda: trained_regressor.predict(rows),
        lambda: trained_regressor.score(rows, VALUES),
    ):
        refuses(call, "X", array, error=ValueError)
    model = classifier().fit(
        store(X, index), LABELS
    )  # and the next, sound matrix is trained on as if nothing had been
    assert_array_equal(model.coef_, classifier().fit(store(X, index), LABELS).coef_)


def test_malformed_csr_of_scipys_older_kind_is_refused_too():
    rows = sparse.csr_matrix(X)
    rows.indices[0] = 99
    refuses(lambda: regressor().fit(rows, VALUES), "X", "indices", error=ValueError)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_and_infinite_numbers_raise_no_warning_of_their_own(dtype):
    """Numbers whose sum overflows are numbers; infinities of both signs are scikit-learn's error.
    (Warnings are errors here.)
    """
    model = regressor().fit(X.astype(dtype), VALUES)
    huge = np.full((3, X.shape[1]), np.finfo(dtype).max, dtype)
    model.predict(huge * dtype(0.5))
    huge[0, 0], huge[1, 0] = np.inf, -np.inf
    refuses(lambda: model.predict(huge), "X")
    refuses(lambda: regressor().fit(X, np.where(np.arange(len(X)) % 2, np.inf, -np.inf)), "y")


# ---- scikit-learn's words ----

X_GOOD = np.random.default_rng(0).standard_normal((30, 4))
CLASSES, TARGETS = (X_GOOD[:, 0] > 0).astype(int), X_GOOD @ np.array([1.0, 2, 3, 4])


def targets_of(model):
    """A good y."""
    is_positive = get_tags(model).target_tags.positive_only
    return CLASSES if is_classifier(model) else np.exp(TARGETS / 5) if is_positive else TARGETS


def weighted(weights):
    return lambda model, y: model.fit(X_GOOD, y, sample_weight=weights)


OFFERS = {  # what users offer: a function of an unfitted model and a good y
    "complex X": lambda model, y: model.fit(X_GOOD + 1j, y),
    "complex y": lambda model, y: model.fit(X_GOOD, y + 1j),
    "generator X": lambda model, y: model.fit((row for row in X_GOOD), y),
    "text": lambda model, y: model.fit(np.array([["a", "b"]] * 30), y),
    "categories": lambda model, y: model.fit(
        pd.DataFrame({"a": pd.Categorical(list("ab") * 15), "b": y}), y
    ),
    "no X": lambda model, y: model.fit(None, y),
    "no y": lambda model, y: model.fit(X_GOOD, None),
    "a column": lambda model, y: model.fit(X_GOOD[:, 0], y),
    "unknown y": lambda model, y: model.fit(X_GOOD, np.where(np.arange(30) == 3, np.nan, y)),
    "no weight": weighted(np.zeros(30)),
    "weights of others": weighted(np.ones(3)),
    "named weights": weighted("balanced"),
    "other columns": lambda model, y: model.fit(X_GOOD, y).predict(X_GOOD[:, :2]),
}


OTHER_WORDS = "generator X", "text", "no X"
PEERS = {
    name: getattr(home, name)
    for home in (linear_model, svm, neural_network)
    for name in home.__all__
    if name in fastgd.__all__ and isinstance(getattr(home, name), type)
}
NAMES = list(PEERS)
CLASSIFIERS = [name for name in NAMES if is_classifier(PEERS[name]())]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("offer", OFFERS)
def test_refusals_are_scikit_learns(offer, name):
    """The same kind of error, with its words among ours."""
    if name == "SGDOneClassSVM" and " y" in offer:
        pytest.skip("it does not look at y")
    others = "LinearRegression", "RidgeClassifier", "RidgeClassifierCV", "QuantileRegressor"
    if name == "QuantileRegressor" and offer == "categories":
        pytest.skip("theirs fails in its solver")
    if name in others and offer in OTHER_WORDS:
        pytest.skip("theirs has other words than all others of scikit-learn's, and so than ours")
    said = []
    for kind in (PEERS[name], getattr(fastgd, name)):
        model = quiet(kind)
        with pytest.raises((TypeError, ValueError)) as error:
            OFFERS[offer](model, targets_of(model))
        said.append(error)
    assert said[0].type is said[1].type
    text = str(said[0].value).replace("_RidgeGCV", "RidgeCV")  # theirs names a private class
    assert text.rstrip(".") in str(said[1].value)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_labels_of_mixed_types_are_no_labels(name):
    y = np.array([1, "a"] * 15, dtype=object)
    for kind in PEERS[name], getattr(fastgd, name):
        with pytest.raises(
            (TypeError, ValueError),
            match="Unknown label type|not supported between instances|mix of",
        ) as said:
            quiet(kind).fit(X_GOOD, y)
    assert said.type is ValueError


@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if "Ridge" not in name])
def test_one_class_is_refused_in_scikit_learns_words(name):
    kinds = [getattr(fastgd, name)] + [PEERS[name]] * (
        name != "MLPClassifier"
    )  # theirs learns to say nothing else
    told = []
    for kind in kinds:
        with pytest.raises(ValueError, match="class") as said:
            quiet(kind).fit(X_GOOD, np.full(30, 7))
        told.append(str(said.value).replace("np.int64(7)", "7."))
    assert told[-1] in told[0]


@pytest.mark.parametrize("name", ["SGDClassifier", "MLPClassifier"])
def test_classes_that_come_late_are_refused_in_scikit_learns_words(name):
    for kind in PEERS[name], getattr(fastgd, name):
        model = quiet(kind).partial_fit(X_GOOD, CLASSES, classes=[0, 1])
        with pytest.raises(
            ValueError,
            match="classes should include all valid labels that can be in y|not in `self.classes_`",
        ):
            model.partial_fit(X_GOOD, CLASSES + 1)
        with pytest.raises(
            ValueError,
            match=r"`classes=\[0, 1, 2\]` is not the same as on last call to partial_fit",
        ):
            model.partial_fit(X_GOOD, CLASSES, classes=[0, 1, 2])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "name", [name for name in NAMES if name != "SGDOneClassSVM" and not name.endswith("CV")]
)
def test_validation_data_must_be_finite(name, bad):
    model = getattr(fastgd, name)()
    y = targets_of(model)
    refuses(
        lambda: model.fit(X_GOOD, y, X_val=with_entry(X_GOOD, bad), y_val=y),
        "X_val",
        "NaN" if np.isnan(bad) else "infinity",
    )
    refuses(
        lambda: model.fit(X_GOOD, y, X_val=X_GOOD, y_val=with_entry(y, bad)),
        "y_val",
        "NaN" if np.isnan(bad) else "infinity",
    )
    refuses(
        lambda: model.fit(X_GOOD, y, X_val=X_GOOD, y_val=y, sample_weight_val=np.full(30, bad)),
        "sample_weight_val",
    )
    refuses(
        lambda: model.fit(X_GOOD, y, X_val=X_GOOD, y_val=y, sample_weight_val=np.zeros(30)),
        "sample_weight_val",
    )
    refuses(
        lambda: model.fit(X_GOOD, y, X_val=X_GOOD[:, :2], y_val=y),
        "X_val",
        "2 features",
        "4 features",
    )
    assert not hasattr(model, "n_iter_")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:random_state=")
@pytest.mark.parametrize("name", NAMES)
def test_what_numpy_reads_as_numbers_are_numbers(name):
    """Booleans, whole numbers however large, masked arrays (as scikit-learn reads them), categories
    of numbers, and objects.
    """
    kind = getattr(fastgd, name)
    y = targets_of(quiet(kind))
    parameters = {
        name: value
        for name, value in {"random_state": 0, "max_iter": 20}.items()
        if name in quiet(kind).get_params()
    }
    whole = np.arange(60).reshape(30, 2) % 7
    same = {
        "bool": (X_GOOD > 0, (X_GOOD > 0).astype(float)),
        "masked": (np.ma.masked_less(X_GOOD, -1), X_GOOD),
        "object": (X_GOOD.astype(object), X_GOOD),
        "huge": (whole.astype(object) * 2**70, whole * 2.0**70),
        "int8": (whole.astype(np.int8), whole.astype(float)),
        "categories": (
            pd.DataFrame({"a": pd.Categorical(whole[:, 0]), "b": whole[:, 1]}).to_numpy(),
            whole.astype(float),
        ),
        "list": (X_GOOD.tolist(), X_GOOD),
        "column order": (np.asfortranarray(X_GOOD), X_GOOD),
        "strided": (np.repeat(X_GOOD, 2, axis=1)[:, ::2], X_GOOD),
        "big endian": (X_GOOD.astype(">f8"), X_GOOD),
        "half": (X_GOOD.astype(np.float16), X_GOOD.astype(np.float16).astype(float)),
    }
    for name, (given, numbers) in same.items():
        learnt, expected = (
            quiet(kind).set_params(**parameters).fit(X, y)._learnt() for X in (given, numbers)
        )
        for part, same in zip(learnt, expected, strict=True):
            assert_array_equal(part, same, err_msg=name)
