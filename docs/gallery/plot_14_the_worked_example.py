"""
A worked example, and why its printed output is wrong
=====================================================

A tutorial on gradient descent, which this course follows section by section, ends with a program on
three rows of data. The program is short and runs, but the numbers printed below it are not its
output. Three arguments show this without running it.
"""

# %%
# The program
# -----------
# It solves least squares without an intercept, by 1000 steps of batch gradient descent from zero at
# the rate 0.01:
import matplotlib.pyplot as plt
import numpy as np

from fastgd import DescentPathDisplay, SGDRegressor

X = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
y = np.array([1.0, 2.0, 3.0])

theta, path = np.zeros(2), [np.zeros(2)]
for _ in range(1000):
    gradient = (2 / len(X)) * X.T @ (X @ theta - y)
    theta = theta - 0.01 * gradient
    path.append(theta)
print(theta)

printed = np.array([0.99935587, 0.99933838])  # in the tutorial
print(printed)

# %%
# Three reasons
# -------------
# 1. **Equal columns, equal weights.** Both columns of X are equal, so both components of the
#    gradient are equal in every step. Weights that start equal stay equal, to the last bit. The
#    printed ones differ.
# 2. **The printed weights do not solve the problem.** ``X @ theta`` is ``1, 2, 3`` times the sum of
#    the weights, and y is 1, 2, 3, so the sum must be 1. The printed weights add up to nearly 2 and
#    predict 2, 4, 6.
# 3. **Descent does not overshoot.** The cost depends only on the sum, and its gradient step reduces
#    the distance of the sum from 1 by the factor 1 - 0.01 * 2 * 28 / 3 = 1 - 0.187. From 0 the sum
#    rises to 1 and never exceeds it.
print("both weights are one number:", theta[0] == theta[1])
print("their sum:", theta.sum(), "- printed:", printed.sum())
print("prediction:", X @ theta, "- printed:", X @ printed)

# %%
# The contours
# ------------
# The minimum is not unique: every point of the line ``theta[0] + theta[1] = 1`` fits perfectly.
# From zero, descent goes straight to the nearest one.


def J(theta):
    return np.mean((X @ theta - y) ** 2)


fig, ax = plt.subplots(figsize=(7.8, 4.6), layout="constrained")
DescentPathDisplay(J, {"the program": path}).plot(ax, xlim=(-0.3, 1.3), ylim=(-0.3, 1.3))
ax.plot([-0.3, 1.3], [1.3, -0.3], ":", color="black", label="all solutions")
ax.plot(*printed, "X", color="C3", markersize=10, label="printed in the tutorial")
ax.set(aspect="equal", title="Where the program ends, and where it is said to end")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
plt.show()

# %%
# The same model with fastgd
# --------------------------
# fastgd takes the same steps. Its squared loss has the factor 1/2, so that its gradient is the
# error times x; the tutorial's has not, so the rate for the same steps is twice as large.
model = SGDRegressor(
    penalty=None,
    fit_intercept=False,
    batch_size="full",
    learning_rate="constant",
    eta0=0.02,
    max_iter=1000,
    tol=None,
)
model.fit(X, y)
print(model.coef_, "largest difference:", np.abs(model.coef_ - theta).max())

# %%
# The origin of the printed numbers is unknown. If a result is surprising, check it as here: derive
# properties that any correct result has, and test them.
