"""
A support vector machine
========================

In logistic regression every row has a gradient that increases its margin. A support vector machine
only asks for a margin of 1: a row beyond it has no cost and no gradient. The loss is the hinge
``max(0, 1 - y z)``,

.. math:: J(w, b) = \\frac{1}{n} \\sum_i \\max(0, 1 - y_i z_i) + \\frac{\\mathtt{alpha}}{2} |w|^2 .

The penalty makes the margin between the two classes as wide as the rows allow: its width is ``2 /
|w|``.
"""

# %%
# Two losses
# ----------
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_blobs

from fastgd import LinearSVC, LossCurveDisplay, SGDClassifier

margin = np.linspace(-2, 3, 301)
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
ax.plot(margin, np.maximum(0, 1 - margin), label="hinge: max(0, 1 - y z)")
ax.plot(margin, np.maximum(0, 1 - margin) ** 2, label="squared hinge", color="C0", linestyle="--")
ax.plot(margin, np.log1p(np.exp(-margin)), label="logistic: log(1 + exp(-y z))", color="C1")
ax.set(xlabel="y z: right and certain is to the right", ylabel="loss of a row", ylim=(-0.1, 4))
ax.legend()
plt.show()

# %%
# Support vectors
# ---------------
# Only the rows on the edges of the margin or on the wrong side of them, the *support vectors*, have
# a slope. Without all other rows, and with the same ``alpha * n``, the line would be the same. A
# larger ``alpha`` makes the margin wider.
X, y = make_blobs(200, centers=[(-1.5, -1), (1.5, 1)], random_state=0)
fig, panels = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained", sharey=True)
for ax, alpha in zip(panels, [0.001, 0.3], strict=True):
    model = SGDClassifier("hinge", alpha=alpha, batch_size="full", tol=1e-6).fit(X, y)
    z = model.decision_function(X)
    support = np.where(y == 1, z, -z) <= 1 + 1e-3
    ax.scatter(*X.T, c=y, cmap="coolwarm", s=22, edgecolor="white", linewidth=0.5)
    ax.scatter(
        *X[support].T,
        s=60,
        facecolor="none",
        edgecolor="black",
        linewidth=0.9,
        label=f"{support.sum()} support vectors",
    )
    grid = np.stack(np.meshgrid(np.linspace(-5, 5, 50), np.linspace(-4, 4, 50)))
    levels = model.decision_function(grid.reshape(2, -1).T).reshape(50, 50)
    ax.contour(
        *grid, levels, levels=[-1, 0, 1], colors="black", linestyles=["--", "-", "--"], linewidths=1
    )
    ax.set(
        title=f"alpha = {alpha}: street of width {2 / np.linalg.norm(model.coef_):.2f}",
        xlim=(-5, 5),
        ylim=(-4, 4),
    )
    ax.legend(loc="upper left")
plt.show()

# %%
# A non-smooth loss
# -----------------
# The hinge has a kink where its slope jumps from -1 to 0. Steps at a constant rate jump across it
# again and again. Falling rates converge: "optimal" is Bottou's rule, close to that of the Pegasos
# algorithm. With "auto", steps are implicit, and the duality gap bounds the distance from the
# minimum.
settings = {"alpha": 0.01, "max_iter": 100, "tol": None, "random_state": 0}
models = {
    "constant, eta0=1": SGDClassifier("hinge", learning_rate="constant", eta0=1.0, **settings),
    "optimal": SGDClassifier("hinge", learning_rate="optimal", **settings),
    "auto": SGDClassifier("hinge", **settings),
}
for model in models.values():
    model.fit(X, y)
display = LossCurveDisplay.from_estimator(models)
display.ax_.set(xscale="log", title="The mean cost of the rows in every pass")
plt.show()

certain = SGDClassifier("hinge", alpha=0.01, tol=1e-4, random_state=0).fit(X, y)
print(
    f"(F - F*) / (F0 - F*) <= {certain.optimality_:.1e} by the {certain.optimality_kind_}, after "
    f"{certain.n_iter_} passes"
)

# %%
# ``LinearSVC`` is the same model with scikit-learn's parameters: ``C`` weights the sum of the
# losses of the rows, and corresponds to ``alpha = 1 / (C n)``.
print(f"LinearSVC: accuracy {LinearSVC(loss='hinge', C=1.0).fit(X, y).score(X, y):.3f}")
