"""
Feature scaling, and why "auto" needs none
==========================================

Columns of data have units: years, millimetres, milligrams. The cost is steep along the weight of a
column of large numbers, and flat along that of a column of small ones. The rate must suit the
steepest direction, so progress in the flat directions is slow.
"""

# %%
# The effect on the cost
# ----------------------
# The model predicts the progression of diabetes in 442 patients from two measurements in raw units:
# the body mass index, with standard deviation 4, and the serum cholesterol s1, with standard
# deviation 35. Both columns are centred here, so that there are only two parameters. In raw units a
# change in the weight of the cholesterol changes the predictions much more than one in that of the
# body mass index: the valley is narrow. After division by their standard deviations both matter
# equally, and the valley becomes a bowl.
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
# Both panels have the same data, and 30 steps at the rate 1 / (largest curvature). On the left the
# first step reaches the floor of the valley, and the other 29 make little progress along it. The
# ratio of the largest to the smallest curvature is the condition number; plain gradient descent
# takes about as many steps.
#
# The effect on training
# ----------------------
# All ten columns, mini-batches of 32 rows. On raw columns a rate three times the one below
# diverges, and at this rate 100 passes make little progress. On scaled columns the same method
# takes a rate thousands of times larger. ``learning_rate="auto"`` also gets the raw columns: it
# scales them implicitly, without a copy, so it does not depend on units.
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
#    Scale within a pipeline, as above, and never by hand on all data at once. The pipeline learns
#    the scale from the training rows only, and divides new rows by the same numbers.
