"""
The algorithm: steps and stopping
=================================

The whole method is four lines:

1. start anywhere, at ``theta``;
2. compute the gradient of the cost there;
3. ``theta = theta - rate * gradient``;
4. stop when the gradient is small, otherwise continue with 2.
"""

# %%
# The loop
# --------
import matplotlib.pyplot as plt
import numpy as np

from fastgd import LossCurveDisplay, minimize


def J(theta):
    return (theta[0] - 1) ** 2 + 5 * (theta[1] + 2) ** 2 + 3


def gradient_of_J(theta):
    return np.array([2 * (theta[0] - 1), 10 * (theta[1] + 2)])


rate, tol = 0.08, 1e-3

theta, steps = np.array([5.0, 3.0]), 0
gradient = gradient_of_J(theta)
while np.abs(gradient).max() > tol:
    theta = theta - rate * gradient
    gradient = gradient_of_J(theta)
    steps += 1

print(f"theta = {theta}, J(theta) = {J(theta):.6f}, {steps} steps")

# %%
# ``minimize`` does the same
# --------------------------
# Its ``tol`` is relative to the cost if that exceeds 1: it stops when ``max |gradient| <= tol *
# max(1, |J|)``. Here the minimum of J is 3.
result = minimize(J, [5.0, 3.0], gradient_of_J, method="gd", learning_rate=rate, tol=tol / 3)
print(f"theta = {result.x}, J(theta) = {result.fun:.6f}, {result.nit} steps")
print(result.message)

# %%
# Stopping by the gradient or by the cost
# ---------------------------------------
# At a minimum the gradient is zero, which can be checked locally. The lowest cost is unknown
# beforehand. Here it is 3, and the last steps approach it so closely that their costs look equal.
# The norm of the gradient keeps decreasing, soon by a constant factor per step (a straight line on
# a logarithmic axis), until it reaches ``tol``.
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
LossCurveDisplay.from_result({"J(theta)": result}, ax=left)
left.axhline(3, color="0.5", linestyle=":")
left.set(title="The cost: where will it end?", yscale="linear")
LossCurveDisplay.from_result({"largest component": result}, y="gradient_norm", ax=right)
right.axhline(tol, color="0.5", linestyle=":")
right.annotate("stop", (0, tol), (2, 4), textcoords="offset points", color="0.4")
right.set(title="The gradient: small is done", ylabel="Size of the gradient")
plt.show()

# %%
# A small gradient shows that the steps are short, not that the minimum is near: the gradient is
# also small on a plateau and in a :doc:`local minimum <plot_07_plateau_and_local_minimum>`. The
# costs of linear models are convex: every local minimum is a global one. For them
# ``learning_rate="auto"`` estimates more: its ``tol`` is the relative distance to the lowest cost.
from sklearn.datasets import load_breast_cancer

from fastgd import SGDClassifier

X, y = load_breast_cancer(return_X_y=True)
model = SGDClassifier("log_loss", batch_size="full", tol=1e-3).fit(X, y)
print(
    f"converged: {model.converged_}; (F - F*) / (F0 - F*) = {model.optimality_:.1e}, an estimate "
    f"by the {model.optimality_kind_}"
)

# %%
# Checking the gradient
# ---------------------
# A gradient derived by hand may be wrong. ``check_gradient`` compares it with finite differences of
# the cost, and names the wrong component.
from fastgd import check_gradient


def wrong(theta):
    return np.array([2 * (theta[0] - 1), 5 * (theta[1] + 2)])  # 2 * 5 is 10


try:
    check_gradient(J, wrong, [5.0, 3.0])
except ValueError as error:
    print(error)
