"""
Batch, stochastic and mini-batch gradient descent
=================================================

The cost of a model is a mean over rows of data, ``J(theta) = mean_i J_i(theta)``, and so is its
gradient. The three variants differ in the rows that a step uses:

- all rows: **batch** gradient descent, exact and expensive;
- one row: **stochastic** gradient descent, noisy and cheap;
- a few rows: **mini-batch** gradient descent, a compromise.

In fastgd the parameter ``batch_size`` selects the variant.
"""

# %%
# Noise
# -----
# A line through 200 points has two parameters, so its descent can be plotted. Each path takes 20
# passes over the data. These are 20 steps of the batch variant, 200 steps with mini-batches of 20
# rows, and 4000 steps with single rows.
import matplotlib.pyplot as plt
import numpy as np

from fastgd import DescentPathDisplay, LossCurveDisplay, SGDClassifier, minimize

rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, 200)
y = 1 + 2 * x + 0.5 * rng.standard_normal(200)


def cost(theta, rows=slice(None)):
    """The cost on some rows, and its gradient."""
    b, w = theta
    error = b + w * x[rows] - y[rows]
    return np.mean(error**2) / 2, np.array([np.mean(error), np.mean(error * x[rows])])


results = {
    name: minimize(
        cost,
        [-1.5, -1],
        jac=True,
        method="gd",
        learning_rate=rate,
        batches=(200, size),
        tol=0,
        max_iter=20,
        record_path=True,
        random_state=0,
    )
    for name, size, rate in [("batch", 200, 0.5), ("mini-batch", 20, 0.2), ("stochastic", 1, 0.05)]
}

fig, panels = plt.subplots(1, 3, figsize=(9.5, 3.4), layout="constrained", sharex=True, sharey=True)
for ax, color, (name, result) in zip(panels, ["C0", "C1", "C2"], results.items(), strict=True):
    style = {
        "xlim": (-1.8, 1.8),
        "ylim": (-1.4, 2.6),
        "names": ("b", "w"),
        "line_kw": {"color": color, "linewidth": 1},
    }
    DescentPathDisplay.from_result(
        lambda theta: cost(theta)[0], {name: result}, ax=ax, plot_kw=style
    )
    ax.set_title(f"{name}: {len(result.history['x']) - 1} steps")
    ax.get_legend().remove()
    ax.label_outer()
plt.show()

# %%
# A step of a single row moves the line towards this row. On average the steps go downhill. Near the
# minimum the average is zero and only the noise remains: at a constant rate the path does not
# converge, but moves around the minimum. With a falling rate (``learning_rate="invscaling"``) it
# converges.
#
# Time
# ----
# The data are 1347 images of digits in ten classes. The three variants have the same data, and each
# has a suitable rate. Left: the loss against passes over the data. Right: the loss against time.
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

X, digit = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, digit, random_state=0)
scale = StandardScaler().fit(X_train)
X_train, X_test = scale.transform(X_train), scale.transform(X_test)

models = {}
for name, size, rate in [("batch", "full", 1.0), ("mini-batch", 32, 0.1), ("stochastic", 1, 0.01)]:
    model = SGDClassifier(
        "softmax",
        batch_size=size,
        learning_rate="constant",
        eta0=rate,
        max_iter=60,
        tol=None,
        n_jobs=1,
        random_state=0,
    )
    models[name] = model.fit(X_train, y_train)

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
LossCurveDisplay.from_estimator(models, ax=left)
LossCurveDisplay.from_estimator(models, x="seconds", ax=right)
left.set_title("Loss against passes over the data")
right.set(title="Loss against time", ylabel="")
plt.show()

# %%
# Result
# ------
# After 60 passes the losses differ a lot, but the accuracies on test rows are similar.
print(f"{'':<12}{'updates':>9}{'seconds':>10}{'loss':>9}{'test accuracy':>16}")
for name, model in models.items():
    history = model.history_
    seconds, loss = history["seconds"][-1], history["loss"][-1]
    accuracy = model.score(X_test, y_test)
    print(f"{name:<12}{model.t_ - 1:>9.0f}{seconds:>10.3f}{loss:>9.4f}{accuracy:>16.3f}")

# %%
# ============== ============================ =========================== ==========================
# \              batch                        mini-batch                  stochastic
# ============== ============================ =========================== ==========================
# rows per step  all                          some, usually 16 to 512     one
# cost of a step a pass over the data         low                         lowest
# path           smooth                       slightly noisy              noisy
# at the minimum converges                    small noise                 noise, unless rates fall
# good for       small data, exact solutions  most problems               streams, very large data
# ============== ============================ =========================== ==========================
