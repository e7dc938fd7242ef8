"""What scikit-learn's users pass by habit: seeds, rates, infinite numbers, other data."""

import inspect
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn import linear_model, neural_network, svm
from sklearn.base import clone, is_classifier
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import fastgd
from fastgd import Constant, LogisticRegression, SGDClassifier, SGDOneClassSVM, SGDRegressor

SEEDED = ["Ridge", "Lasso", "ElasticNet", "LogisticRegression", "LinearSVC", "LinearSVR"]  # in vain
STREAMS = [SGDClassifier, SGDRegressor, SGDOneClassSVM]
PEERS = {
    name: getattr(home, name)
    for home in (linear_model, svm, neural_network)
    for name in fastgd.__all__
    if isinstance(getattr(home, name, None), type)
}


def target(model, data):
    return data.binary if is_classifier(model) else data.values


def said(fit):
    """The texts of warnings, but for those of convergence."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    return [str(warning.message) for warning in caught if warning.category is UserWarning]


# ---- given, and ignored ----


@pytest.mark.parametrize("seed", [0, np.random.RandomState(0)])
@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_of_which_nothing_is_drawn_is_told(name, seed, data):
    model = getattr(fastgd, name)(random_state=seed)
    (text,) = said(lambda: model.fit(data.X, target(model, data)))
    assert text.startswith("random_state=")
    assert f"no effect: {name} draws nothing at random" in text
    assert said(lambda: model.fit(data.X, target(model, data))) == []  # once is enough
    unset = getattr(fastgd, name)(random_state=seed).set_params(random_state=None)
    for other in (clone(model), clone(model).set_params(random_state=1), unset):
        assert said(lambda other=other: other.fit(data.X, target(model, data))) == []


def test_the_warning_is_of_the_line_that_calls_fit(data):
    with pytest.warns(UserWarning, match="random_state") as caught:
        LogisticRegression(random_state=0).fit(data.X, data.binary)
    assert caught[0].filename == __file__


def test_seeds_that_scikit_learn_hands_out_are_not_told(data):
    """BaggingClassifier seeds every model; GridSearchCV trains clones. A pipeline trains the
    model.
    """
    seeded = LogisticRegression(random_state=0)
    for model in (
        BaggingClassifier(LogisticRegression(), 2, random_state=0),
        GridSearchCV(seeded, {"C": [1.0, 2.0]}, cv=2),
    ):
        assert said(lambda model=model: model.fit(data.X, data.binary)) == []
    assert len(said(lambda: make_pipeline(seeded).fit(data.X, data.binary))) == 1


class Own(LogisticRegression):
    """A class of a user's own."""

    def __init__(self, random_state=None):
        super().__init__(random_state=random_state)


def test_subclasses_are_told_alike(data):
    model = Own(random_state=0)
    assert said(lambda: clone(model).fit(data.X, data.binary)) == []
    assert len(said(lambda: model.fit(data.X, data.binary))) == 1


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize(
    "settings",
    [{}, {"batch_size": 10}, {"batch_size": "full"}, {"average": True}, {"optimizer": "adam"}],
)
def test_rates_beside_auto_are_told(kind, settings, data):
    def texts(**parameters):
        model = kind(max_iter=2, tol=None, random_state=0, **{**settings, **parameters})
        return said(lambda: model.fit(data.X, target(model, data)))

    (text,) = texts(eta0=0.5)
    assert text.startswith("eta0=0.5 has no effect: learning_rate='auto'")
    (text,) = texts(eta0=0.5, power_t=0.125)
    assert text.startswith("eta0=0.5 and power_t=0.125 have no effect")
    (text,) = texts(power_t=0.125)
    assert text.startswith("power_t=0.125 has no effect")
    default = kind()
    assert texts() == texts(eta0=default.eta0, power_t=default.power_t) == []
    for rate in ("constant", "invscaling", Constant(0.1)):
        assert texts(learning_rate=rate, eta0=1e-3, power_t=0.125) == []


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_is_told_too_and_clones_of_defaults_are_not(kind, data):
    for model, count in ((kind(eta0=0.5), 1), (clone(kind()), 0)):
        more = {"classes": [0, 1]} if kind is SGDClassifier else {}
        assert (
            len(
                said(
                    lambda model=model, more=more: model.partial_fit(
                        data.X, target(model, data), **more
                    )
                )
            )
            == count
        )


# ---- not finite ----


def words(model, data):
    try:
        model.fit(data.X, target(model, data))
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PEERS)
def test_numbers_that_are_not_finite_are_refused_in_the_peers_words(name, data):
    """Where the peer refuses them. What is allowed besides, such as alpha='auto', is told, too."""
    ours, theirs = getattr(fastgd, name), PEERS[name]
    for parameter in inspect.signature(theirs).parameters:
        for value in (np.nan, np.inf, -np.inf):
            expected = words(theirs(**{parameter: value}), data)
            if expected is None or "must be" not in expected:
                continue
            got = words(ours(**{parameter: value}), data)
            assert got is not None
            if parameter in ("C", "alpha") and "str among" not in got:
                assert got == expected
            else:
                assert parameter in got


def test_strengths_of_several_targets_may_be_a_list(data):
    listed, array = (
        fastgd.Ridge(alpha).fit(data.X, data.pairs)
        for alpha in ([1.0, 2.0, 3.0], np.array([1.0, 2.0, 3.0]))
    )
    assert_array_equal(listed.coef_, array.coef_)
    for wrong in ([1.0, np.nan, 1.0], [1.0, np.inf, 1.0], [1.0, -1.0, 1.0], ["a", "b", "c"]):
        with pytest.raises(ValueError, match="alpha must be finite and >= 0, got"):
            fastgd.Ridge(wrong).fit(data.X, data.pairs)


# ---- warm_start with other data ----


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", [SGDClassifier, LogisticRegression])
@pytest.mark.parametrize(
    "first, then", [("two", "three"), ("three", "two"), ("two", "others"), ("three", "names")]
)
def test_a_warm_start_with_other_classes_is_told(kind, first, then, data):
    labels = {
        "two": data.binary,
        "three": data.classes,
        "others": data.binary + 7,
        "names": np.array(list("abc"))[data.classes],
    }
    model = kind(warm_start=True).fit(data.X, labels[first])
    coef = model.coef_.copy()
    with pytest.raises(
        ValueError, match="same classes as in the previous call to fit.*Previously got .*, `y` has"
    ):
        model.fit(data.X, labels[then])
    assert_array_equal(model.coef_, coef)
    assert_array_equal(model.classes_, np.unique(labels[first]))
    model.fit(data.X, labels[first])
    model.set_params(warm_start=False).fit(data.X, labels[then])
    assert_array_equal(model.classes_, np.unique(labels[then]))


def test_coefficients_of_ones_own_may_start_other_classes(data):
    model = SGDClassifier(warm_start=True, max_iter=2, tol=None).fit(data.X, data.binary)
    model.fit(data.X, data.classes, coef_init=np.zeros((3, 6)), intercept_init=np.zeros(3))
    with pytest.raises(ValueError, match="Provided coef_init does not match dataset"):
        model.fit(data.X, data.classes, coef_init=np.zeros((2, 6)))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["SGDRegressor", "Lasso", "ElasticNet"])
def test_a_warm_start_with_another_number_of_targets_is_told(name, data):
    for first, then in (
        (data.values, data.pairs),
        (data.pairs, data.values),
        (data.pairs, data.pairs[:, :2]),
    ):
        model = getattr(fastgd, name)(warm_start=True).fit(data.X, first)
        with pytest.raises(ValueError, match="as many targets as in the previous call to fit"):
            model.fit(data.X, then)
        assert model.predict(data.X).shape == first.shape


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "name",
    [
        "SGDClassifier",
        "SGDRegressor",
        "SGDOneClassSVM",
        "LogisticRegression",
        "Lasso",
        "ElasticNet",
    ],
)
def test_a_warm_start_with_other_columns_is_told(name, data):
    model = getattr(fastgd, name)(warm_start=True)
    y = target(model, data)
    model.fit(data.X, y)
    with pytest.raises(
        ValueError, match=f"X has 4 features, but {name} is expecting 6 features as input"
    ):
        model.fit(data.X[:, :4], y)
    assert model.n_features_in_ == 6
    model.predict(data.X)
