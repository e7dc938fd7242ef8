"""
The learning rate: too small, right, too large
==============================================

The learning rate is the factor of the gradient in a step. It is the most important parameter of
gradient descent. If it is too small, training takes very long. If it is too large, every step
crosses the valley and ends higher than it started.
"""

# %%
# Three rates, one cost
# ---------------------
# Across this valley the curvature is 10. A step multiplies the distance from its floor by ``1 - 10
# rate``. At a rate of 0.1 one step is enough; above 0.2 the distance grows. Along the valley the
# curvature is 1, and the factor is ``1 - rate``.
import matplotlib.pyplot as plt
import numpy as np

from fastgd import DescentPathDisplay, LossCurveDisplay, SGDRegressor


def J(theta):
    return theta[0] ** 2 / 2 + 5 * theta[1] ** 2


def gradient(theta):
    return np.array([theta[0], 10 * theta[1]])


rates = {"too small: 0.01": 0.01, "right: 0.18": 0.18, "too large: 0.205": 0.205}
runs = {name: {"learning_rate": rate} for name, rate in rates.items()}
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
display = DescentPathDisplay.from_function(
    J,
    [-4, 0.6],
    gradient,
    runs,
    method="gd",
    max_iter=30,
    tol=0,
    ax=left,
    plot_kw={"xlim": (-4.5, 1.5), "ylim": (-3, 3)},
)
left.set_title("30 steps")
LossCurveDisplay.from_result(display.results_, log_scale=True, ax=right)
right.set_title("The cost after every step, colours as on the left")
right.get_legend().remove()
plt.show()

# %%
# The best rate is just below the rate at which training diverges. It depends on the cost: it must
# be below ``2 / L``, where L is the largest curvature, here 10. If L is unknown, try rates in
# factors of ten first, on a small part of the data.
#
# On data
# -------
# The same three cases in training a model. If training diverges, fastgd raises an error and never
# returns a model of NaN.
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

X, y = load_diabetes(return_X_y=True)
X = StandardScaler().fit_transform(X)
settings = {
    "penalty": None,
    "batch_size": "full",
    "learning_rate": "constant",
    "tol": None,
    "max_iter": 100,
}
models = {
    f"rate {rate:g}": SGDRegressor(eta0=rate, **settings).fit(X, y) for rate in (0.003, 0.03, 0.3)
}

try:
    SGDRegressor(eta0=3, **settings).fit(X, y)
except ValueError as error:
    print(error)

# %%
# A learning-rate range test
# --------------------------
# A *range test* trains with a rate that increases from batch to batch. Rates at which the loss
# starts to fall are large enough; rates at which it rises steeply are too large. Good rates lie a
# little below those at which the loss falls fastest.
from fastgd import LearningRateDisplay

tested = SGDRegressor(penalty=None, batch_size=32)
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
LearningRateDisplay.from_estimator(tested, X, y, 1e-4, 10.0, random_state=0, ax=ax)
ax.set_title("Loss of each batch, at a rate that rises")
plt.show()

# %%
# The automatic learning rate
# ---------------------------
# ``learning_rate="auto"``, the default, needs no rate. With full batches it is Newton's method, and
# it estimates its distance from the minimum. The figure counts every pass over the data, including
# the passes that only compute a step, in which the loss does not change.
automatic = SGDRegressor(penalty=None, batch_size="full", tol=1e-8).fit(X, y)
models['"auto"'] = automatic
print(f"{automatic.n_iter_} passes, and (F - F*) / (F0 - F*) = {automatic.optimality_:.0e}")

fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
LossCurveDisplay.from_estimator(models, ax=ax)
ax.lines[-1].set(color="black", linewidth=2.5)
ax.legend()
ax.set(xscale="log", title="Diabetes: loss of the passes")
plt.show()

# %%
# A rate may also fall, or rise and fall, during training: ``learning_rate`` may be "invscaling",
# "adaptive", "step", "cosine", "one_cycle", or a schedule such as :class:`fastgd.CosineDecay`.
# Stochastic steps need a falling rate to converge.
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
schedules = {
    name: SGDRegressor(
        learning_rate=name, eta0=0.01, batch_size=32, max_iter=50, tol=None, random_state=0
    ).fit(X, y)
    for name in ("constant", "invscaling", "step", "cosine", "one_cycle")
}
LossCurveDisplay.from_estimator(schedules, y="learning_rate", log_scale=False, ax=ax)
ax.set_title("The rate of the schedules")
plt.show()
