"""
Feature scaling: with, without, and why "auto" needs none
=========================================================

Columns of data come in units: years, millimetres, milligrams. A column of large numbers makes the
cost steep along its weight; one of small numbers leaves it flat. The rate must suit the steepest
direction, and in the flat ones nothing moves.
"""

# %%
# What it does to the cost
# ------------------------
# The progression of diabetes in 442 patients, from two of their measurements in raw units: the body
# mass index, which varies by 4, and the serum cholesterol s1, which varies by 35. Both columns are
# centred here, so that there are just two parameters. As measured, a change in the weight of the
# cholesterol changes the predictions much more than one in that of the body mass: a narrow valley.
# Divided by their standard deviations, both weigh the same, and the valley becomes a bowl.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastgd import DescentPathDisplay, LossCurveDisplay, SGDRegressor

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
two = (X[["bmi", "s1"]] - X[["bmi", "s1"]].mean()).to_numpy()
target = (y - y.mean()).to_numpy()


def cost_on(columns):
    def J(w):
        error = columns @ w - target
        return error @ error / 2 / len(error), columns.T @ error / len(error)

    return J


fig, panels = plt.subplots(1, 2, figsize=(9.5, 4.6), layout="constrained")
cases = [
    ("raw units", np.ones(2), (-2, 14), (-7, 7)),
    ("scaled to spread 1", two.std(axis=0), (-10, 60), (-25, 35)),
]
for ax, (name, spread, xlim, ylim) in zip(panels, cases, strict=True):
    columns = two / spread
    curvature = np.linalg.eigvalsh(columns.T @ columns / len(columns))
    settings = {"gradient descent": {"method": "gd", "learning_rate": 1 / curvature[-1]}}
    DescentPathDisplay.from_function(
        cost_on(columns),
        [0, 0],
        True,
        settings,
        max_iter=30,
        tol=0,
        ax=ax,
        plot_kw={"xlim": xlim, "ylim": ylim, "names": ("weight of bmi", "weight of s1")},
    )
    ax.set(title=f"{name}: curvatures {curvature[-1]:.4g} and {curvature[0]:.3g}", aspect="equal")
plt.show()

# %%
# The same data, 30 steps each at the rate 1 / (largest curvature). On the left the first step
# reaches the floor of the valley, and the other 29 do not get far along it. The ratio of the
# largest to the smallest curvature is the condition number, and plain gradient descent takes about
# as many steps.
#
# What it does to training
# ------------------------
# All ten columns, mini-batches of 32 rows. On raw columns a rate three times the one below
# diverges, and at this one 100 passes do not get far. Scaled, the same method takes a rate
# thousands of times larger. ``learning_rate="auto"`` is given the raw columns too: it takes its
# steps on scaled columns without making a copy of them, so units do not matter to it.
settings = {"penalty": None, "batch_size": 32, "max_iter": 100, "tol": None, "random_state": 0}
models = {
    "raw columns, rate 1e-5": SGDRegressor(learning_rate="constant", eta0=1e-5, **settings).fit(
        X, y
    ),
    "StandardScaler, rate 0.03": make_pipeline(
        StandardScaler(), SGDRegressor(learning_rate="constant", eta0=0.03, **settings)
    ).fit(X, y),
    'raw columns, "auto"': SGDRegressor(**settings).fit(X, y),
}
fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
LossCurveDisplay.from_estimator(models, ax=ax)
ax.set(xscale="log", yscale="log", title="Loss of every pass over the data")
plt.show()

# %%
for name, model in models.items():
    print(f"{name:<28} R^2 = {model.score(X, y):.3f}")

# %%
# .. tip::
#    Scale within a pipeline, as above, and never by hand on all data at once: then the scale is
#    learned from the training rows only, and new rows are divided by the same numbers.
