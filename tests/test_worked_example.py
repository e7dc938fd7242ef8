"""The worked example of the text that fastgd follows: batch gradient descent on three rows."""

import numpy as np
import pytest

from fastgd import SGDRegressor

X = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
y = np.array([1.0, 2.0, 3.0])


def the_text(rate=0.01, steps=1000):
    """The text's own loop: ``theta -= rate * (2/m) X'(X theta - y)``, from zero."""
    theta = np.zeros(2)
    for _ in range(steps):
        theta -= rate * (2 / len(X)) * X.T @ (X @ theta - y)
    return theta


@pytest.fixture(scope="module")
def model():
    """The same descent: fastgd's squared loss is halved, so its gradient is half of the text's and
    its rate twice.
    """
    return SGDRegressor(
        loss="squared_error",
        penalty=None,
        fit_intercept=False,
        batch_size="full",
        learning_rate="constant",
        eta0=0.02,
        max_iter=1000,
        tol=None,
    ).fit(X, y)


def test_it_converges_to_one_half_each(model):
    np.testing.assert_allclose(model.coef_, [0.5, 0.5], rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.predict(X), y, rtol=0, atol=1e-12)


def test_every_step_is_the_texts(model):
    np.testing.assert_allclose(model.coef_, the_text(), rtol=0, atol=1e-14)
    for steps in (1, 2, 10):
        short = SGDRegressor(**{**model.get_params(), "max_iter": steps}).fit(X, y)
        np.testing.assert_allclose(short.coef_, the_text(steps=steps), rtol=0, atol=1e-14)


def test_the_output_printed_in_the_text_is_not_its_codes(model):
    """The text prints [0.99935587 0.99933838], which its code cannot produce.

    The two columns of X are equal, so both weights have the same gradient at every step and, both
    starting at 0, remain the same number: two different weights are impossible. Nor do the printed
    ones solve the problem: any solution has weights that add up to 1.
    """
    printed = np.array([0.99935587, 0.99933838])
    assert model.coef_[0] == model.coef_[1]
    assert printed[0] != printed[1]
    assert abs(model.coef_.sum() - 1) < 1e-12
    assert abs(printed.sum() - 1) > 0.99


def test_the_loss_falls_at_every_step_and_ends_at_zero(model):
    loss = np.array(model.history_["loss"])
    assert loss[0] == pytest.approx(np.mean(y**2) / 2)
    assert np.all(np.diff(loss[:20]) < 0)
    assert loss[-1] < 1e-25
