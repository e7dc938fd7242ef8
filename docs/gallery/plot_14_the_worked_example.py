"""
A worked example, and why its printed output is wrong
=====================================================

A tutorial on gradient descent, which this course follows section by section, ends in a program of
three rows. It is a good one to know: it is short, it runs, and the numbers that are printed below
it are not its output. Three lines of thought show that, without running anything.
"""

# %%
# The program
# -----------
# Least squares without an intercept, from zero, 1000 steps of batch gradient descent at the rate
# 0.01:
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

printed = np.array([0.99935587, 0.99933838])  # what the tutorial says
print(printed)

# %%
# Three reasons
# -------------
# 1. **Equal columns, equal weights.** Both columns of X are the same, so both components of the
#    gradient are the same number in every step. Weights that start equal stay equal, to the last
#    bit. The printed ones differ.
# 2. **They do not solve the problem.** ``X @ theta`` is ``1, 2, 3`` times the sum of the weights,
#    and y is 1, 2, 3: the sum has to be 1. The printed ones add up to nearly 2, so they predict 2,
#    4, 6.
# 3. **Descent does not run past.** The cost depends on the sum only, along which its curvature is 2
#    * 28 / 3: at the rate 0.01 each step leaves 1 - 0.187 of the distance. From 0 the sum rises to
#    1 and never exceeds it.
print("both weights are one number:", theta[0] == theta[1])
print("their sum:", theta.sum(), "- printed:", printed.sum())
print("prediction:", X @ theta, "- printed:", X @ printed)

# %%
# The map
# -------
# There is no single minimum here but a valley without slope, the line ``theta[0] + theta[1] = 1``:
# all its points fit perfectly. From zero, descent goes straight to the nearest one.


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
# With the library
# ----------------
# The same descent, step for step. The squared loss of fastgd is halved, so that its gradient is the
# error times x; the tutorial's is not, and the rate that makes the same steps is twice as large.
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
# Where the printed numbers come from nobody can say; not from this program. When a result
# surprises, do as here: ask what must be true of it, whatever the program, and look whether it is.
