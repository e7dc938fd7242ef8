"""
Plateaus and local minima
=========================

The gradient is small at the minimum, but also on plateaus, where the cost is nearly flat, and it is
zero in every local minimum. The costs of linear models are convex and have no local minima that are
not global. The costs of networks, and custom costs, often have plateaus and local minima.
"""

# %%
# A plateau
# ---------
# Far from its minimum this cost is nearly constant. Plain steps are proportional to the gradient,
# so they are tiny. Adaptive rules divide the gradient by its size, so their steps on a plateau are
# as long as elsewhere. (The paths of plain steps and of momentum lie on one line.)
import matplotlib.pyplot as plt
import numpy as np

from fastgd import DescentPathDisplay, LossCurveDisplay, minimize


def plateau(theta):
    """A well in a plain."""
    return -np.exp(-(theta @ theta) / 4)


def plateaus_gradient(theta):
    return -plateau(theta) * theta / 2


fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
display = DescentPathDisplay.from_function(
    plateau,
    [-4, 2],
    plateaus_gradient,
    {
        "gradient descent": {"method": "gd", "learning_rate": 1.0},
        "momentum": {"method": "momentum", "learning_rate": 1.0},
        "RMSProp": {"method": "rmsprop", "learning_rate": 0.1},
        "Adam": {"method": "adam", "learning_rate": 0.3},
    },
    max_iter=80,
    tol=0,
    ax=left,
    plot_kw={"xlim": (-5, 2), "ylim": (-2.5, 3)},
)
left.set_title("80 steps")
LossCurveDisplay.from_result(display.results_, log_scale=False, ax=right)
right.set_title("The cost after every step, colours as on the left")
right.get_legend().remove()
plt.show()

# %%
# Local minima
# ------------
# Himmelblau's function with a small linear term has four local minima, of which one is the lowest.
# Descent ends in the valley where it starts. It reports ``success``, because the gradient is zero.


def J(theta):
    x, y = theta
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2 + 8 * x + 8 * y


def gradient(theta):
    x, y = theta
    a, b = x**2 + y - 11, x + y**2 - 7
    return np.array([4 * x * a + 2 * b + 8, 2 * a + 4 * y * b + 8])


window = {"xlim": (-6, 6), "ylim": (-6, 6)}
starts = [(0, 4), (4, -1), (5, 3), (-1, -4)]
results = {
    f"from {start}": minimize(J, start, gradient, method="gd", record_path=True) for start in starts
}
fig, ax = plt.subplots(figsize=(6.8, 4.2), layout="constrained")
DescentPathDisplay.from_result(J, results, ax=ax, plot_kw=window)
ax.set_title("Where it ends depends on where it begins")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
plt.show()

for name, result in results.items():
    print(f"{name:<14} J = {result.fun:8.3f} at {result.x.round(3)}, success: {result.success}")

# %%
# Restarts
# --------
# The simplest remedy is the most reliable: start from several points and keep the best result.
# ``n_restarts`` does this, with random points within ``bounds``.
result = minimize(J, [5, 3], gradient, n_restarts=12, bounds=[(-6, 6), (-6, 6)], random_state=0)
print(
    f"J = {result.fun:.3f} at {result.x.round(3)}; the twelve runs ended at "
    f"{sorted(np.round(result.restarts, 1).tolist())}"
)

# %%
# Noise
# -----
# Noise on the gradient, large at first and decreasing, moves the point out of shallow valleys and
# lets it converge in a deep one. Mini-batches have such noise by themselves, which is one reason
# why they train networks well. This cost has a small local minimum before the deep valley. Plain
# descent stops there. The noisy path leaves it, and momentum passes through it.


def dented(theta):
    x, y = theta
    return 0.1 * (x - 2) ** 2 + 0.4 * y**2 - 0.7 * np.exp(-2 * ((x + 2) ** 2 + y**2))


def dented_gradient(theta):
    x, y = theta
    dent = 2.8 * np.exp(-2 * ((x + 2) ** 2 + y**2))
    return np.array([0.2 * (x - 2) + dent * (x + 2), 0.8 * y + dent * y])


ways = {
    "gradient descent": {"method": "gd", "learning_rate": 0.3},
    "with noise": {"method": "gd", "learning_rate": 0.3, "noise": 2.0, "random_state": 0},
    "momentum": {"method": "momentum", "learning_rate": 0.3},
}
display = DescentPathDisplay.from_function(
    dented,
    [-3.2, 1.5],
    dented_gradient,
    ways,
    max_iter=300,
    tol=0,
    plot_kw={"xlim": (-4, 5.5), "ylim": (-2, 2.2), "line_kw": {"linewidth": 1}},
)
display.ax_.set_title("A dent on the way to the minimum at (2, 0)")
plt.show()
