"""
The learning rate: too small, right, too large
==============================================

The rate is how far a step goes along the gradient. It is the one number of gradient descent that
has to be right: too small, and it takes forever; too large, and every step jumps over the valley
and lands higher than it started.
"""

# %%
# Three rates, one cost
# ---------------------
# Across this valley the curvature is 10. A step multiplies the distance from its floor by ``1 - 10
# rate``: at 0.1 it would be there at once, above 0.2 the distance grows. Along the valley, where
# the curvature is 1, the factor is ``1 - rate``.
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
# The right rate is just below the one that diverges, and it depends on the cost: it must be below
# ``2 / L``, L being the largest curvature. Here L = 10. Who does not know L has to try: by factors
# of ten first, on a small part of the data.
#
# On data
# -------
# The same three cases when a model is trained. Training that runs away is an error that says so,
# and never a model full of NaN.
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
# Trying all rates in one training
# --------------------------------
# A *range test* trains with a rate that rises from batch to batch. Where the loss begins to fall,
# rates begin to matter; where it shoots up, they are too large. Good ones lie a little below those
# where it falls fastest.
from fastgd import LearningRateDisplay

tested = SGDRegressor(penalty=None, batch_size=32)
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
LearningRateDisplay.from_estimator(tested, X, y, 1e-4, 10.0, random_state=0, ax=ax)
ax.set_title("Loss of each batch, at a rate that rises")
plt.show()

# %%
# No rate to choose
# -----------------
# ``learning_rate="auto"``, the default, needs none of this. With full batches it solves for its
# steps by Newton's method, and it knows when it has arrived. Every pass over the data counts, also
# those in which it computes where to step, and the loss stands still.
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
# A rate may also fall, or rise and fall, as training goes on: ``learning_rate`` takes "invscaling",
# "adaptive", "step", "cosine", "one_cycle", or a schedule such as :class:`fastgd.CosineDecay`.
# Falling rates are what stochastic steps need to come to rest.
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
