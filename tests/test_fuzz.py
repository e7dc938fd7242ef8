"""Some of the hostile cases of `make fuzz`, and what its judge sees."""

import numpy as np
import pytest

from fuzz import files, searches
from fuzz.cases import LINEAR, draw
from fuzz.judge import faults_of

SEED = 20  # none of those that `make fuzz` has by default


@pytest.mark.parametrize("begin", range(0, 50, 25))
def test_hostile_fits(begin):
    faults = {
        number: found
        for number in range(begin, begin + 25)
        if (case := draw(SEED, number)).estimator in LINEAR and (found := list(faults_of(case)))
    }
    assert not faults


# A model of 'huber' without residuals; strengths, squares of columns and weights that overflow or
# underflow; an infinite target; a class of which a fold has rows of weight 0 alone; the distance of
# positive weights of 'softmax'.
@pytest.mark.parametrize(
    ("seed", "number"),
    [(7, 966), (7, 1476), (5, 99), (5, 47), (5, 52), (7, 24), (7, 956), (7, 1179)]
    + [(0, 195), (0, 396), (0, 613), (0, 1618), (0, 1719), (0, 2333), (0, 3024), (0, 3066)]
    + [(0, 3732), (0, 5323), (0, 5503), (0, 7524), (0, 8025), (0, 9834)],
)
def test_cases_that_were_wrong_once(seed, number):
    assert not list(faults_of(draw(seed, number)))


def test_a_case_is_the_same_whenever_it_is_drawn():
    case, again = draw(SEED, 3), draw(SEED, 3)
    assert (case.estimator, case.parameters) == (again.estimator, again.parameters)
    np.testing.assert_array_equal(np.asarray(case.y), np.asarray(again.y))


def test_every_entry_point_is_drawn():
    drawn = {draw(SEED, number).estimator for number in range(400)}
    others = "MLPClassifier", "MLPRegressor", "MatrixFactorization", "minimize"
    assert drawn == {*LINEAR, *others, *files.NAMES, *searches.NAMES}


# ---- the judge sees what is wrong ----


def plain(**parameters):
    """A case without anything hostile in it."""
    from fuzz.cases import Case

    X = np.random.default_rng(0).standard_normal((50, 3))
    return Case(0, "Ridge", parameters, X, X[:, 0] + np.random.default_rng(1).standard_normal(50))


def spoiled(monkeypatch, change):
    """What the judge says of a Ridge that `change` has had its way with after `fit`."""
    import fastgd

    fit = fastgd.Ridge.fit

    def wrong(self, X, y, **others):
        fit(self, X, y, **others)
        change(self)
        return self

    monkeypatch.setattr(fastgd.Ridge, "fit", wrong)
    return " ".join(faults_of(plain()))


def test_nothing_is_wrong_with_a_plain_fit():
    assert not faults_of(plain())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: model.coef_.fill(np.nan), "not finite"),
        (lambda model: model.coef_.fill(9.0), "worse than the constant model"),
        (lambda model: vars(model).update(coef_=0.9 * model.coef_), "the true distance is"),
    ],
)
def test_a_wrong_model_is_seen(monkeypatch, change, words):
    assert words in spoiled(monkeypatch, change)


def test_wrong_errors_and_warnings_are_seen(monkeypatch):
    import warnings

    def rises(model):
        raise ValueError("Try a smaller learning rate")

    assert "a learning rate that nobody chose" in spoiled(monkeypatch, rises)
    monkeypatch.undo()
    assert "RuntimeWarning" in spoiled(
        monkeypatch, lambda model: warnings.warn("overflow", RuntimeWarning, stacklevel=1)
    )


def test_crashes_and_hangs_are_seen():
    from fuzz.workers import run

    outcomes = {number: faults for number, _, faults in run("no seed", [0], 1, 60.0)}
    assert "the judge failed" in outcomes[0][0]
