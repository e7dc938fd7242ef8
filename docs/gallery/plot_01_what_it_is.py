"""
What gradient descent is
========================

Training a model means finding parameters ``theta`` that minimise a cost ``J(theta)``. The gradient
points in the direction in which the cost increases fastest. Gradient descent starts anywhere and
takes steps in the opposite direction,

.. math:: \\theta \\leftarrow \\theta - \\mathtt{rate} \\cdot \\nabla J(\\theta) .
"""

# %%
# One parameter
# -------------
# The gradient of a curve is its slope. If the slope is positive, the minimum lies to the left; if
# it is negative, to the right. Steps are long where the curve is steep, and become shorter as it
# gets flat: at the minimum the slope is 0.
import matplotlib.pyplot as plt
import numpy as np

from fastgd import DescentPathDisplay, minimize


def J(theta):
    return (theta - 2) ** 2 + 1


def gradient(theta):
    return 2 * (theta - 2)


result = minimize(J, 6.0, gradient, method="gd", learning_rate=0.2, record_path=True)
print(
    f"theta = {result.x[0]:.6f}, J(theta) = {result.fun:.6f}, after {result.nit} steps. "
    f"{result.message}"
)

steps, costs = np.ravel(result.history["x"]), np.array(result.history["fun"])
theta = np.linspace(-2.5, 6.5, 200)
fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
ax.plot(theta, J(theta), color="0.5")
ax.plot(steps, costs, "o-", markeredgecolor="white", markersize=8)
for k in range(3):
    ax.annotate(
        f"step {k}" if k else "start",
        (steps[k], costs[k]),
        (-8, 0),
        textcoords="offset points",
        ha="right",
    )
ax.set(xlabel="theta", ylabel="J(theta)", title="Steep: long steps. Flat: short ones.")
plt.show()

# %%
# Two parameters
# --------------
# The figure shows the cost as contour lines; darker is lower. Every step is perpendicular to its
# contour line. It points downhill, but not at the minimum: this valley is narrow, and the path
# bends into it.


def bowl(theta):
    return theta[0] ** 2 + 4 * theta[1] ** 2


def bowls_gradient(theta):
    return np.array([2 * theta[0], 8 * theta[1]])


fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
display = DescentPathDisplay.from_function(
    bowl,
    [-4, 2],
    bowls_gradient,
    {"gradient descent": {"method": "gd", "learning_rate": 0.1, "tol": 1e-3}},
    ax=ax,
    plot_kw={"xlim": (-5, 2), "ylim": (-2.2, 2.5)},
)
ax.set(aspect="equal", title=f"{display.results_['gradient descent'].nit} steps down a valley")
plt.show()

# %%
# A million parameters work the same way: the gradient has one component for each parameter. The
# next page shows the loop, and :doc:`the page after it <plot_03_three_variants>` shows how to make
# it affordable on large data.
