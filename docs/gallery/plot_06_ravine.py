"""
A ravine: momentum and adaptive rates
=====================================

Where columns are scaled and a cost is still steep across and flat along, plain gradient descent
zigzags from wall to wall and makes little headway. Two families of cures:

- **momentum** keeps a share of the last step. Steps across the ravine cancel out, steps along it
  add up;
- **adaptive rates** (AdaGrad, RMSProp, Adam) give every parameter a rate of its own, smaller where
  its gradients have been large.
"""

# %%
# The picture
# -----------
# Curvature 1 along, 100 across. Every method has 60 steps and a rate that suits it.
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
# Momentum is a heavy ball: it overshoots, turns round, and arrives long before plain steps do.
# Nesterov's takes the gradient where the ball is about to be, which damps the swinging.
#
# Rates that adapt
# ----------------
# The adaptive rules divide each gradient by the size that it usually has. In this ravine, which
# lies along an axis, that makes both directions equal.
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
# AdaGrad's rates only ever fall, RMSProp forgets and keeps moving, so at a constant rate it ends up
# trembling around the minimum. Adam is RMSProp with momentum.
#
# A bent ravine
# -------------
# Rosenbrock's valley is a parabola, and no scaling of its two parameters makes a bowl of it.
# ``method="auto"`` remembers how the gradient has changed along its last steps (L-BFGS), and has
# learned the valley's shape after a few of them; it has no rate at all.
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
# The paths can be watched as they grow, all at the same number of steps:
#
# .. code-block:: python
#
#    window = {"xlim": (-2, 2), "ylim": (-0.7, 2.2)} DescentPathDisplay.from_result(rosen,
#    display.results_, plot_kw=window).save_animation("ravine.gif")
#
# .. image:: /images/ravine.gif
#    :alt: Four methods descend Rosenbrock's valley
#
# For models the same rules are called ``optimizer``: ``SGDClassifier(optimizer="adam",
# learning_rate="constant", eta0=0.01)``, or ``optimizer=Momentum(momentum=0.8)``.
