"""
Lasso and ridge regression
==========================

A penalty on the weights reduces overfitting. The two usual ones are

.. math:: \\text{Ridge: } J(w) = |Xw - y|^2 + \\mathtt{alpha}\\, |w|^2 ,
   \\qquad \\text{Lasso: } J(w) = \\frac{1}{2n} |Xw - y|^2 + \\mathtt{alpha}\\, |w|_1 .

Ridge regression shrinks all weights. The lasso makes some of them exactly zero, and so selects
columns.
"""

# %%
# Coefficient paths
# -----------------
# The model predicts the progression of diabetes in 442 patients from ten measurements. The figure
# shows the weights; the penalty increases from left to right.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastgd import CoefficientPathDisplay, DescentPathDisplay, Lasso, Ridge, minimize

X, y = load_diabetes(return_X_y=True, as_frame=True)
X = StandardScaler().set_output(transform="pandas").fit_transform(X)

fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained", sharey=True)
ridge = CoefficientPathDisplay.from_estimator(
    Ridge(), X, y, alphas=np.geomspace(1e-1, 1e5, 30), ax=left
)
lasso = CoefficientPathDisplay.from_estimator(
    Lasso(), X, y, alphas=np.geomspace(1e-2, 60, 40), ax=right
)
left.set_title("Ridge: small, none is zero")
right.set(title="Lasso: one after the other is zero", ylabel="")
left.get_legend().remove()
plt.show()

# %%
for alpha, coef in list(zip(lasso.alphas, lasso.coefs, strict=True))[::8]:
    print(f"Lasso, alpha = {alpha:7.3f}: {np.count_nonzero(coef):>2} of 10 columns")

# %%
# The columns s1 and s2, two kinds of cholesterol, are strongly correlated. Without a penalty their
# weights are large and of opposite sign, because the data hardly determine them. Both penalties
# make them small.
#
# Why zeros?
# ----------
# The slope of ``|w|`` does not vanish as w does: it is constant up to zero. Gradient descent uses
# the *proximal operator*: a plain step for the smooth part, then every weight moves towards zero by
# ``rate * alpha``, and is set to zero if it would cross it. The figure shows two weights, and the
# same cost with each penalty.


def smooth(theta):
    return (theta[0] - 2) ** 2 + 0.5 * (theta[1] - 0.6) ** 2, np.array(
        [2 * (theta[0] - 2), theta[1] - 0.6]
    )


def with_ridge(theta):
    value, gradient = smooth(theta)
    return value + theta @ theta, gradient + 2 * theta


def with_lasso(theta):
    return smooth(theta)[0] + np.abs(theta).sum()


start = {"x0": [-0.6, 1.4], "jac": True, "method": "gd", "learning_rate": 0.15, "record_path": True}
window = {"xlim": (-1, 2.4), "ylim": (-0.6, 1.7), "names": ("w[0]", "w[1]")}
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained", sharey=True)
ridge, lasso = minimize(with_ridge, **start), minimize(smooth, l1=1.0, **start)
DescentPathDisplay.from_result(
    lambda theta: with_ridge(theta)[0], {"Ridge": ridge}, ax=left, plot_kw=window
)
DescentPathDisplay.from_result(with_lasso, {"Lasso": lasso}, ax=right, plot_kw=window)
for ax, result in ((left, ridge), (right, lasso)):
    ax.axhline(0, color="black", linewidth=0.6)
    ax.axvline(0, color="black", linewidth=0.6)
    ax.set_title(f"ends at ({result.x[0]:.3f}, {result.x[1]:.3f})")
    ax.label_outer()
plt.show()

# %%
# The strength of the penalty
# ---------------------------
# Cross-validation selects the strength that predicts new rows best;
# :ref:`sphx_glr_auto_gallery_plot_15_choosing_the_penalty.py` shows how.
for kind, alphas in ((Ridge, [0.1, 10, 1000]), (Lasso, [0.01, 1, 30])):
    for alpha in alphas:
        model = make_pipeline(StandardScaler(), kind(alpha=alpha))
        print(
            f"{kind.__name__:<6} alpha = {alpha:<6g} R^2 on new rows "
            f"{cross_val_score(model, X, y).mean():.3f}"
        )
