"""
Logistic regression
===================

Two classes, ``y = -1`` and ``y = 1``. The margin ``z = x w + b`` becomes a probability, ``1 / (1 +
exp(-z))``, and the cost of a row is the negative logarithm of the probability of its class,

.. math::

    J(w, b) = \\frac{1}{n} \\sum_i \\log(1 + e^{-y_i z_i})
              + \\frac{\\mathtt{alpha}}{2} |w|^2 .

Its minimum has no closed form, so it needs an iterative method such as gradient descent.
"""

# %%
# Probabilities during descent
# ----------------------------
# The model classifies tumours as benign or malignant by two measurements. Darker colours are more
# certain probabilities. In the first steps the boundary turns; afterwards the probabilities become
# more certain.
import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastgd import LogisticRegression, LossCurveDisplay, SGDClassifier

data = load_breast_cancer(as_frame=True)
X = (
    StandardScaler()
    .set_output(transform="pandas")
    .fit_transform(data.data[["mean radius", "mean texture"]])
)

fig, panels = plt.subplots(1, 3, figsize=(9.5, 3.5), layout="constrained", sharey=True)
for ax, steps in zip(panels, [1, 10, 1000], strict=True):
    model = SGDClassifier(
        "log_loss", batch_size="full", learning_rate="constant", eta0=0.5, max_iter=steps, tol=None
    )
    model.fit(X, data.target)
    DecisionBoundaryDisplay.from_estimator(
        model,
        X,
        response_method="predict_proba",
        class_of_interest=1,
        cmap="RdBu",
        alpha=0.6,
        vmin=0,
        vmax=1,
        ax=ax,
        grid_resolution=60,
    )
    for target, color in enumerate(["C3", "C0"]):
        rows = X[data.target == target]
        ax.scatter(
            *rows.to_numpy().T,
            s=9,
            color=color,
            edgecolor="white",
            linewidth=0.3,
            label=data.target_names[target],
        )
    ax.set_title(
        f"{steps} step{'s' if steps > 1 else ''}, accuracy {model.score(X, data.target):.3f}"
    )
    ax.label_outer()
panels[0].legend(loc="upper right", markerscale=2)
plt.show()

# %%
# Training and validation loss
# ----------------------------
# The loss on validation rows shows when to stop. With weak penalties and many columns the training
# loss keeps falling while the validation loss rises again: the model overfits.
X, y = load_breast_cancer(return_X_y=True)
X_rest, X_test, y_rest, y_test = train_test_split(X, y, train_size=120, random_state=1)
X_train, X_val, y_train, y_val = train_test_split(X_rest, y_rest, train_size=72, random_state=0)
scale = StandardScaler().fit(X_train)
X_train, X_val, X_test = scale.transform(X_train), scale.transform(X_val), scale.transform(X_test)

settings = {
    "batch_size": 16,
    "learning_rate": "constant",
    "eta0": 0.5,
    "alpha": 0.0,
    "max_iter": 200,
    "random_state": 0,
}
long = SGDClassifier("log_loss", tol=None, **settings).fit(
    X_train, y_train, X_val=X_val, y_val=y_val
)
display = LossCurveDisplay.from_estimator(long)
display.ax_.set(xscale="log", title="72 rows to learn from, 48 held out")
plt.show()

# %%
# ``early_stopping=True`` stops when the score on the validation rows no longer improves, and keeps
# the model of the best pass. If no validation rows are given, it holds out some of the training
# rows.
stopped = SGDClassifier("log_loss", early_stopping=True, **settings).fit(
    X_train, y_train, X_val=X_val, y_val=y_val
)
for name, model in [("after 200 passes", long), (f"after pass {stopped.best_epoch_}", stopped)]:
    print(f"{name:<18} accuracy on new rows {model.score(X_test, y_test):.3f}")

# %%
# ``LogisticRegression`` is the same model, with a default penalty that is strong enough here to
# need no early stopping. With more than two classes it minimises the joint cost of all classes
# (softmax).
model = LogisticRegression().fit(X_train, y_train)
print(f"LogisticRegression accuracy on new rows {model.score(X_test, y_test):.3f}")
