"""
Linear regression
=================

Linear regression predicts a number as ``z = x w + b``. The cost of a row is half the squared error,

.. math:: J(w, b) = \\frac{1}{n} \\sum_i \\tfrac{1}{2} (x_i w + b - y_i)^2 ,
   \\qquad \\nabla_w J = \\frac{1}{n} \\sum_i (x_i w + b - y_i)\\, x_i ,
   \\qquad \\nabla_b J = \\frac{1}{n} \\sum_i (x_i w + b - y_i) .
"""

# %%
# One column
# ----------
# The model is a line: the price of a flat against its size. The left panel shows the lines after
# every step, the right one the same steps as points ``(w, b)`` on the cost. ``partial_fit`` with
# all rows in one batch is a single step.
import matplotlib.pyplot as plt
import numpy as np

from fastgd import DescentPathDisplay, LinearRegression, SGDRegressor

rng = np.random.default_rng(0)
size = rng.uniform(-1.5, 1.5, 60)  # square metres, standardised
price = 3 + 1.2 * size + 0.5 * rng.standard_normal(60)
X = size[:, None]

model = SGDRegressor(penalty=None, learning_rate="constant", eta0=0.3, batch_size="full")
path = [(0.0, 0.0)]
for _ in range(15):
    model.partial_fit(X, price)
    path.append((model.coef_[0], model.intercept_[0]))


def J(theta):
    w, b = theta
    return np.mean((size * w + b - price) ** 2) / 2


fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
left.scatter(size, price, color="0.6", s=15)
ends = np.array([-1.6, 1.6])
for step, (w, b) in enumerate(path):
    left.plot(ends, w * ends + b, color="C0", alpha=0.25 + 0.75 * step / 15, linewidth=1)
left.set(xlabel="size (standardised)", ylabel="price", title="15 steps of a line")
DescentPathDisplay(J, {"batch gradient descent": path}).plot(right, names=("w", "b"))
right.set_title("The same steps on the cost")
plt.show()

# %%
# With many columns nothing changes: w and the gradient have one component for each column.
#
# Comparison with the exact solution
# ----------------------------------
# The minimum of this cost can be computed directly from the normal equations. Gradient descent
# converges to the same weights. It needs neither a matrix of columns x columns nor its inverse,
# which is an advantage if there are many columns.
from sklearn.datasets import load_diabetes

X, y = load_diabetes(return_X_y=True)
ones = np.column_stack([X, np.ones(len(X))])
exact = np.linalg.lstsq(ones, y)[0]

named = LinearRegression().fit(X, y)
descended = SGDRegressor(penalty=None, batch_size=1, tol=1e-12, random_state=0).fit(X, y)
print(f"R^2 = {named.score(X, y):.6f}")
for how, model in [("LinearRegression", named), ("SGDRegressor, row by row", descended)]:
    difference = np.abs(model.coef_ - exact[:-1]).max() / np.abs(exact).max()
    print(
        f"{how:<26} {model.n_iter_:>3} passes, largest difference of a weight {difference:.0e} of "
        "the largest"
    )

# %%
# Outliers
# --------
# A few outliers shift a least-squares line a lot. The Huber loss is quadratic for small errors and
# linear for large ones. The parameter ``loss`` selects it.
wild = price.copy()
wild[size > 1.2] -= 8
X = size[:, None]

fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
ax.scatter(size, wild, color="0.6", s=15)
for loss in ("squared_error", "huber"):
    model = SGDRegressor(loss, penalty=None, epsilon=0.5, random_state=0).fit(X, wild)
    ax.plot(ends, model.predict(ends[:, None]), label=f'loss="{loss}"')
ax.set(xlabel="size (standardised)", ylabel="price", title="Some prices are wrong")
ax.legend()
plt.show()
