"""Every loss and its slope: against finite differences, against the twin, and where they are hard
to compute.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import reference
from fastgd.kernels import newton
from fastgd.kernels.data_term import DataTerm
from fastgd.kernels.losses import Loss, evaluate
from fastgd.kernels.rows import Rows
from fastgd.problem.losses import loss_of
from fastgd.problem.objective import Objective

NAMES = list(reference.LOSSES)
DELTA = 0.3


def targets_of(name):
    """Targets that the loss is for: two classes, counts, or any numbers."""
    if name in reference.CLASSIFICATION:
        return np.array([-1.0, 1.0])
    return np.array([0.0, 1.0, 4.0]) if name == "poisson" else np.array([-1.3, 0.0, 2.2])


def grid(name, margins):
    """All pairs of a margin and a target."""
    z, y = np.meshgrid(margins, targets_of(name))
    return z.ravel(), y.ravel()


def kernel(name, z, y, delta=DELTA):
    """The compiled loss: values and slopes."""
    return evaluate(
        Loss[name.upper()], delta, np.asarray(z, dtype=float), np.asarray(y, dtype=float)
    )


def twin(name, z, y, delta=DELTA):
    """The twin's loss: values and slopes."""
    pairs = [
        reference.LOSSES[name](margin, target, delta) for margin, target in zip(z, y, strict=True)
    ]
    return np.array(pairs).T


@pytest.mark.parametrize("compute", [kernel, twin], ids=["kernel", "twin"])
@pytest.mark.parametrize("name", NAMES)
def test_slope_is_the_derivative(name, compute):
    z, y = grid(name, np.linspace(-4, 4, 161) + 0.0123)  # no grid point lies at a kink
    step = 1e-6
    above, below = compute(name, z + step, y)[0], compute(name, z - step, y)[0]
    assert_allclose(compute(name, z, y)[1], (above - below) / (2 * step), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_curvature_is_the_derivative_of_the_slope(name):
    z, y = grid(name, np.linspace(-4, 4, 161) + 0.0123)
    rows, order, computed = Rows(np.ones((len(z), 1))), np.arange(len(z)), np.empty(len(z))
    term = DataTerm(rows, y, None, order, Objective(loss_of(name, DELTA)).codes)
    newton.curvatures(term, z, computed)
    step = 1e-6
    above, below = kernel(name, z + step, y)[1], kernel(name, z - step, y)[1]
    assert_allclose(computed, (above - below) / (2 * step), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_kernel_is_the_twin(name):
    z, y = grid(name, np.linspace(-20, 20, 1601))  # the kinks at 0 and +-1 are on the grid
    for computed, expected in zip(kernel(name, z, y), twin(name, z, y), strict=True):
        assert_allclose(computed, expected, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("name", NAMES)
def test_loss_is_convex(name):
    """The slope never falls as the margin grows, not even at a kink."""
    for y in targets_of(name):
        margins = np.sort(np.append(np.linspace(-5, 5, 1001), [y, y - DELTA, y + DELTA]))
        _, slope = kernel(name, margins, np.full(len(margins), y))
        assert np.all(np.diff(slope) >= -1e-12)


@pytest.mark.parametrize(
    "name, z, y, slope",
    [
        ("hinge", 1.0, 1.0, -1.0),
        ("hinge", -1.0, -1.0, 1.0),
        ("perceptron", 0.0, 1.0, -1.0),
        ("perceptron", 0.0, -1.0, 1.0),
        ("quantile", 2.0, 2.0, 0.0),
        ("epsilon_insensitive", 2.25, 2.0, 0.0),
        ("squared_hinge", 1.0, 1.0, 0.0),
        ("modified_huber", 1.0, 1.0, 0.0),
        ("modified_huber", -1.0, 1.0, -4.0),
        ("huber", 2.25, 2.0, 0.25),
    ],
)
def test_slope_at_a_kink(name, z, y, slope):
    """Where two slopes meet, the one that scikit-learn takes, so that descents agree step for
    step.
    """
    assert kernel(name, [z], [y], delta=0.25)[1] == slope


def test_quantile_leans_to_its_side():
    values, slopes = kernel("quantile", [0.0, 2.0], [1.0, 1.0], delta=0.9)
    assert_allclose(values, [0.9, 0.1])
    assert_allclose(slopes, [-0.9, 0.1])


def test_log_loss_is_exact_far_from_zero():
    """Neither overflow nor loss of digits: log(1 + exp(-m)) is exp(-m) on one side and -m on the
    other.
    """
    value, slope = kernel("log_loss", [40.0, 700.0, -40.0, -700.0, 1e308, -1e308], np.ones(6))
    assert_allclose(value[:4], [np.exp(-40.0), np.exp(-700.0), 40.0, 700.0], rtol=1e-13)
    assert_allclose(slope[:4], [-np.exp(-40.0), -np.exp(-700.0), -1.0, -1.0], rtol=1e-13)
    assert_allclose(value[4:], [0, 1e308], rtol=1e-13, atol=1e-300)
    assert_allclose(slope[4:], [0, -1], rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize(
    "name", ["squared_error", "squared_hinge", "squared_epsilon_insensitive", "poisson"]
)
def test_slopes_are_clipped(name):
    """One wild row must not throw the weights to infinity."""
    loss = Loss[name.upper()]
    pairs = [(z, y) for z in (-1e15, 1e15) for y in targets_of(name)[:2]]
    slopes = np.concatenate(
        [evaluate(loss, DELTA, [z], [y], slope_limit=1e12)[1] for z, y in pairs]
    )
    assert np.all(np.abs(slopes) <= 1e12)
    assert np.any(np.abs(slopes) == 1e12)


# ---- softmax: all margins of a row at once ----


def softmax_grid():
    rng = np.random.default_rng(0)
    return rng.normal(0, 3, (50, 4)), rng.integers(0, 4, 50).astype(float)


def test_softmax_is_the_twin():
    z, y = softmax_grid()
    value, slope = evaluate(Loss.SOFTMAX, 0.0, z, y)
    expected = [reference.softmax(row, label) for row, label in zip(z, y, strict=True)]
    assert_allclose(value, [v for v, _ in expected], rtol=1e-13)
    assert_allclose(slope, [s for _, s in expected], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("k", range(4))
def test_softmax_slope_is_the_derivative(k):
    z, y = softmax_grid()
    step = np.zeros(4)
    step[k] = 1e-6
    above, below = (
        evaluate(Loss.SOFTMAX, 0.0, z + step, y)[0],
        evaluate(Loss.SOFTMAX, 0.0, z - step, y)[0],
    )
    assert_allclose(
        evaluate(Loss.SOFTMAX, 0.0, z, y)[1][:, k], (above - below) / 2e-6, rtol=1e-6, atol=1e-8
    )


def test_softmax_slopes_add_up_to_zero_and_margins_may_be_shifted():
    z, y = softmax_grid()
    value, slope = evaluate(Loss.SOFTMAX, 0.0, z, y)
    assert_allclose(slope.sum(axis=1), 0, atol=1e-14)
    shifted_value, shifted_slope = evaluate(Loss.SOFTMAX, 0.0, z + 1000, y)
    assert_allclose(shifted_value, value, rtol=1e-10, atol=1e-12)
    assert_allclose(shifted_slope, slope, rtol=1e-10, atol=1e-12)


def test_softmax_of_two_classes_is_log_loss_of_their_difference():
    z = np.linspace(-20, 20, 81)
    value, slope = evaluate(Loss.SOFTMAX, 0.0, np.column_stack([0 * z, z]), np.ones(81))
    expected_value, expected_slope = kernel("log_loss", z, np.ones(81))
    assert_allclose(value, expected_value, rtol=1e-12, atol=1e-14)
    assert_allclose(slope[:, 1], expected_slope, rtol=1e-12, atol=1e-14)


def test_softmax_stays_finite_far_from_zero():
    value, slope = evaluate(
        Loss.SOFTMAX, 0.0, np.array([[1e4, 0.0, -1e4], [0.0, 1e300, 0.0]]), np.array([1.0, 1.0])
    )
    assert_allclose(value, [1e4, 0.0])
    assert_allclose(slope, [[1, -1, 0], [0, 0, 0]], atol=1e-15)
