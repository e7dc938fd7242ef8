"""
A ravine: momentum and adaptive rates
=====================================

A cost may be ill-conditioned even on scaled columns: steep across a ravine and flat along it. Plain
gradient descent then zigzags from wall to wall and makes little progress. Two families of methods
help:

- **momentum** adds a fraction of the last step. Steps across the ravine cancel out, steps along it
  add up;
- **adaptive rates** (AdaGrad, RMSProp, Adam) give every parameter its own rate, which is smaller if
  its gradients have been large.
"""

# %%
# Momentum
# --------
# The curvature is 1 along the ravine and 100 across. Every method has 60 steps and a suitable rate.
import matplotlib.pyplot as plt
import numpy as np

from fastgd import DescentPathDisplay, LossCurveDisplay


def J(theta):
    return theta[0] ** 2 / 2 + 50 * theta[1] ** 2


def gradient(theta):
    return np.array([theta[0], 100 * theta[1]])


def race(J, gradient, start, runs, steps, **plot_kw):
    """Paths on the left, costs on the right."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
    display = DescentPathDisplay.from_function(
        J, start, gradient, runs, max_iter=steps, tol=0, ax=left, plot_kw=plot_kw
    )
    LossCurveDisplay.from_result(display.results_, log_scale=True, ax=right)
    left.set_title(f"{steps} steps")
    right.set_title("The cost after every step, colours as on the left")
    right.get_legend().remove()
    return display


race(
    J,
    gradient,
    [-8, 1],
    {
        "gradient descent": {"method": "gd", "learning_rate": 0.018},
        "momentum": {"method": "momentum", "learning_rate": 0.01},
        "Nesterov": {"method": "nesterov", "learning_rate": 0.01},
    },
    60,
    xlim=(-9, 5),
    ylim=(-1.4, 1.6),
)
plt.show()

# %%
# Momentum behaves like a heavy ball: it overshoots, returns, and converges long before plain steps.
# Nesterov momentum evaluates the gradient at the point that the ball is about to reach, which damps
# the oscillation.
#
# Adaptive rates
# --------------
# The adaptive rules divide each gradient by its usual size. This ravine is parallel to an axis, so
# the division makes both directions equal.
race(
    J,
    gradient,
    [-8, 1],
    {
        "gradient descent": {"method": "gd", "learning_rate": 0.018},
        "AdaGrad": {"method": "adagrad", "learning_rate": 1.0},
        "RMSProp": {"method": "rmsprop", "learning_rate": 0.3},
        "Adam": {"method": "adam", "learning_rate": 0.5},
    },
    60,
    xlim=(-9, 3),
    ylim=(-1.4, 1.6),
)
plt.show()

# %%
# AdaGrad's rates only decrease. RMSProp uses a moving average, so at a constant rate it oscillates
# around the minimum. Adam is RMSProp with momentum.
#
# A curved ravine
# ---------------
# Rosenbrock's valley is a parabola, and no scaling of its two parameters turns it into a bowl.
# ``method="auto"`` (L-BFGS) estimates the curvature from the changes of the gradient along its last
# steps, and adapts to the valley after a few of them. It has no rate.
from scipy.optimize import rosen, rosen_der

display = race(
    rosen,
    rosen_der,
    [-1.2, 1.0],
    {
        "gradient descent": {"method": "gd", "learning_rate": 0.002},
        "momentum": {"method": "momentum", "learning_rate": 0.001},
        "Adam": {"method": "adam", "learning_rate": 0.1},
        '"auto"': {"method": "auto", "tol": 1e-8},
    },
    200,
    xlim=(-2, 2),
    ylim=(-0.7, 2.2),
)
plt.show()

# %%
# An animation shows all paths at the same number of steps:
#
# .. code-block:: python
#
#    window = {"xlim": (-2, 2), "ylim": (-0.7, 2.2)}
#    paths = DescentPathDisplay.from_result(rosen, display.results_, plot_kw=window)
#    paths.save_animation("ravine.gif")
#
# .. image:: /images/ravine.gif
#    :alt: Paths of four methods on Rosenbrock's function
#
# Estimators take the same rules as ``optimizer``: ``SGDClassifier(optimizer="adam",
# learning_rate="constant", eta0=0.01)``, or ``optimizer=Momentum(momentum=0.8)``.
