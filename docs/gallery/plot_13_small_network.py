"""
A small network
===============

A linear classifier has a straight decision boundary. A network adds a layer of *hidden units*, each
a linear model followed by a non-linear activation,

.. math::

    a = \\tanh(X W_1 + b_1), \\qquad z = a\\, w_2 + b_2,
    \\qquad J = \\frac{1}{n} \\sum_i \\log(1 + e^{-y_i z_i}) .

Gradient descent works as before: the parameters are one long vector, and the gradient has as many
components.
"""

# %%
# Forward and backward
# --------------------
# The cost is computed forward, layer by layer, and its gradient backward, by the chain rule: the
# slope at the outputs is multiplied by the slope of each layer in turn. This is backpropagation.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from fastgd import LossCurveDisplay, check_gradient, minimize

X, label = make_moons(400, noise=0.2, random_state=0)
y = np.where(label == 1, 1.0, -1.0)
UNITS = 12


def layers(theta):
    """The flat vector as W1 (2, UNITS), b1 (UNITS,), w2 (UNITS,), b2."""
    W1, b1, w2 = np.split(theta[:-1], [2 * UNITS, 3 * UNITS])
    return W1.reshape(2, UNITS), b1, w2, theta[-1]


def predict(theta, X):
    W1, b1, w2, b2 = layers(theta)
    return np.tanh(X @ W1 + b1) @ w2 + b2


def cost(theta, rows=slice(None)):
    """The mean loss of some rows, and its gradient."""
    W1, b1, w2, b2 = layers(theta)
    x, target = X[rows], y[rows]
    a = np.tanh(x @ W1 + b1)  # forward
    margin = target * (a @ w2 + b2)
    z_slope = -target / (1 + np.exp(margin)) / len(target)  # backward
    hidden_slope = np.outer(z_slope, w2) * (1 - a**2)
    gradient = np.concatenate(
        [(x.T @ hidden_slope).ravel(), hidden_slope.sum(0), a.T @ z_slope, [z_slope.sum()]]
    )
    return np.mean(np.logaddexp(0, -margin)), gradient


start = 0.5 * np.random.default_rng(0).standard_normal(4 * UNITS + 1)
print(
    f"{len(start)} parameters; largest relative error of the gradient: "
    f"{check_gradient(cost, True, start):.0e}"
)

# %%
# Training
# --------
# The start must not be zero: all hidden units would have the same gradient and stay equal. The cost
# has many minima, so the result depends on the start; usually the minima are about equally good.
# The comparison is between full batches, mini-batches of 20 rows, and mini-batches with Adam:
results = {
    "batch, gradient descent": minimize(
        cost,
        start,
        jac=True,
        method="gd",
        learning_rate=0.5,
        batches=(400, 400),
        tol=0,
        max_iter=150,
    ),
    "mini-batches, gradient descent": minimize(
        cost,
        start,
        jac=True,
        method="gd",
        learning_rate=0.5,
        batches=(400, 20),
        tol=0,
        max_iter=150,
        random_state=0,
    ),
    "mini-batches, Adam": minimize(
        cost,
        start,
        jac=True,
        method="adam",
        learning_rate=0.03,
        batches=(400, 20),
        tol=0,
        max_iter=150,
        random_state=0,
    ),
}
fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
LossCurveDisplay.from_result(results, ax=ax)
ax.set(xlabel="Pass over the data", title="Cost of every pass")
plt.show()

# %%
# In 150 passes the batch variant takes 150 steps, and ends on a plateau where the line between the
# moons is still almost straight. Mini-batches take 20 times as many steps, and Adam leaves the
# plateau first.
#
# The decision boundary
# ---------------------
# The line where z = 0 follows the moons. The dashed lines are those of the hidden units with the
# largest weights.
fig, panels = plt.subplots(1, 3, figsize=(9.5, 3.3), layout="constrained", sharex=True, sharey=True)
grid = np.stack(np.meshgrid(np.linspace(-2, 3, 100), np.linspace(-1.5, 2, 100)))
for ax, (name, result) in zip(panels, results.items(), strict=True):
    z = predict(result.x, grid.reshape(2, -1).T).reshape(100, 100)
    probability = 1 / (1 + np.exp(-z))
    ax.contourf(*grid, probability, levels=np.linspace(0, 1, 11), cmap="RdBu", alpha=0.6)
    ax.contour(*grid, z, levels=[0], colors="black")
    ax.scatter(*X.T, c=np.where(y > 0, "C0", "C3"), s=9, edgecolor="white", linewidth=0.3)
    accuracy = np.mean(np.sign(predict(result.x, X)) == y)
    ax.set_title(f"{name}\naccuracy {accuracy:.3f}", fontsize=10)
W1, b1, w2, _ = layers(results["mini-batches, Adam"].x)
for k in np.argsort(-np.abs(w2))[:6]:
    panels[2].axline(
        -b1[k] * W1[:, k] / (W1[:, k] @ W1[:, k]),
        W1[::-1, k] * [-1, 1] - b1[k] * W1[:, k] / (W1[:, k] @ W1[:, k]),
        color="0.3",
        linewidth=0.7,
        linestyle="--",
    )
panels[0].set(xlim=(-2, 3), ylim=(-1.5, 2))
plt.show()

# %%
# The same network with fastgd
# ----------------------------
# ``MLPClassifier`` is such a network with any number of layers, trained by compiled loops. Its
# default, ``solver="auto"``, needs no rate.
from fastgd import MLPClassifier

model = MLPClassifier((UNITS,), activation="tanh", max_iter=150, tol=None, random_state=0).fit(X, y)
print(
    f"{model.n_iter_} passes in {model.history_['seconds'][-1]:.2f} seconds, accuracy "
    f"{model.score(X, y):.3f}"
)
LossCurveDisplay.from_estimator(model)
plt.show()
