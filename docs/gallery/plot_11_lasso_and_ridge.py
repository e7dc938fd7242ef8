"""
LASSO and Ridge
===============

A penalty on the weights keeps a model from fitting noise. There are two usual ones,

.. math:: \\text{Ridge: } J(w) = |Xw - y|^2 + \\mathtt{alpha}\\, |w|^2 ,
   \\qquad \\text{LASSO: } J(w) = \\frac{1}{2n} |Xw - y|^2 + \\mathtt{alpha}\\, |w|_1 .

Ridge shrinks all weights. LASSO makes some of them exactly zero, and so chooses the columns.
"""

# %%
# Paths
# -----
# The weights of ten measurements of 442 patients for the progression of their diabetes. From left
# to right the penalty grows.
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
right.set(title="LASSO: one after the other is zero", ylabel="")
left.get_legend().remove()
plt.show()

# %%
for alpha, coef in list(zip(lasso.alphas, lasso.coefs, strict=True))[::8]:
    print(f"LASSO, alpha = {alpha:7.3f}: {np.count_nonzero(coef):>2} of 10 columns")

# %%
# The weights of s1 and s2, two kinds of cholesterol that rise and fall together, are huge and
# opposite where there is no penalty: the data cannot tell them apart. Both penalties settle this.
#
# Why zeros?
# ----------
# The slope of ``|w|`` does not vanish as w does: it pulls with the same force down to the last bit.
# Descent takes it as its *prox*: a plain step for the smooth part, then every weight goes towards
# zero by ``rate * alpha``, and stays there if it would cross. Below, two weights, and the same cost
# with each penalty.


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
DescentPathDisplay.from_result(with_lasso, {"LASSO": lasso}, ax=right, plot_kw=window)
for ax, result in ((left, ridge), (right, lasso)):
    ax.axhline(0, color="black", linewidth=0.6)
    ax.axvline(0, color="black", linewidth=0.6)
    ax.set_title(f"ends at ({result.x[0]:.3f}, {result.x[1]:.3f})")
    ax.label_outer()
plt.show()

# %%
# How strong?
# -----------
# As always: what predicts new rows best. Cross-validation asks them.
for kind, alphas in ((Ridge, [0.1, 10, 1000]), (Lasso, [0.01, 1, 30])):
    for alpha in alphas:
        model = make_pipeline(StandardScaler(), kind(alpha=alpha))
        print(
            f"{kind.__name__:<6} alpha = {alpha:<6g} R^2 on new rows "
            f"{cross_val_score(model, X, y).mean():.3f}"
        )
