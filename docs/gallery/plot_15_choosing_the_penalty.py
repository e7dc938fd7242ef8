"""
Choosing the penalty
====================

A penalty has a strength: ``alpha``, or its inverse ``C`` of ``LogisticRegression``. The training
rows cannot choose it, because the training error is smallest without a penalty. Cross-validation
can: it splits the rows into folds, trains on all folds but one, measures the error on that one, and
does so for each fold.
"""

# %%
# Training error and held-out error
# ---------------------------------
# The model predicts the progression of diabetes from ten measurements and their 45 products. It
# learns from 200 patients. The other 242 are held out.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import KFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from fastgd import (
    CoefficientPathDisplay,
    ElasticNetCV,
    GridSearchCV,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    RidgeCV,
    enet_path,
    lasso_path,
    logistic_path,
    ridge_path,
)

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=200, random_state=0)


def with_columns(*steps):
    """A pipeline that adds the products of the columns, standardised."""
    products = PolynomialFeatures(2, interaction_only=True, include_bias=False)
    pipeline = make_pipeline(StandardScaler(), products, StandardScaler(), *steps)
    return pipeline.set_output(transform="pandas")


alphas = np.geomspace(0.05, 50, 20)
models = [with_columns(Lasso(alpha=alpha)).fit(X_train, y_train) for alpha in alphas]
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, rows, targets in [("training", X_train, y_train), ("held-out", X_test, y_test)]:
    errors = [mean_squared_error(targets, model.predict(rows)) for model in models]
    ax.semilogx(alphas, errors, label=f"{name} rows")
    ax.plot(alphas[np.argmin(errors)], min(errors), "o", color=ax.lines[-1].get_color())
ax.set(xlabel="alpha", ylabel="Mean squared error")
ax.set_title("The held-out error has a minimum, the training error has none")
ax.legend()
plt.show()

# %%
# Left of the minimum the model overfits: it learns the noise of the training rows. Right of it the
# model underfits: the penalty is too strong for the data.
#
# Cross-validation
# ----------------
# ``LassoCV`` computes the path of all folds and chooses the ``alpha`` of the least mean error.
# ``CoefficientPathDisplay`` draws the path beside the errors. The thin lines are the folds.
model = with_columns(LassoCV(cv=10))
display = CoefficientPathDisplay.from_estimator(model, X_train, y_train)
display.ax_.set_title("Lasso: weights enter one by one")
plt.show()

# %%
# **The one-standard-error rule.** The curve is flat around its minimum, and the folds scatter. The
# dotted line is the strongest penalty whose mean error is within one standard error of the least
# one. Its model is simpler, and its error is not clearly larger. Use it to select few columns, and
# the minimum to predict.
for rule, alpha in [("least error", display.alpha_), ("one standard error", display.alpha_1se_)]:
    chosen = with_columns(Lasso(alpha=alpha)).fit(X_train, y_train)
    print(
        f"{rule:<18} alpha {alpha:5.2f}  {np.count_nonzero(chosen[-1].coef_)} of 55 columns  "
        f"held-out error {mean_squared_error(y_test, chosen.predict(X_test)):.0f}"
    )

# %%
# Ridge regression
# ----------------
# ``RidgeCV`` leaves out one row at a time. The errors have a closed form, so that this costs one
# fit. ``ridge_path`` computes the path, and ``from_path`` draws both; each row is a fold.
columns = with_columns().fit(X_train)
X_columns = columns.transform(X_train)
alphas = np.geomspace(1e5, 1e-1, 50)
ridge = RidgeCV(alphas=alphas, store_cv_results=True).fit(X_columns, y_train)
alphas, coefs = ridge_path(X_columns, y_train, alphas=alphas)
display = CoefficientPathDisplay.from_path(
    alphas, coefs, feature_names=list(X_columns), errors=ridge.cv_results_.T
)
display.ax_.set_title("Ridge: all weights shrink, none is zero")
plt.show()
test_error = mean_squared_error(y_test, ridge.predict(columns.transform(X_test)))
print(f"RidgeCV: alpha {ridge.alpha_:.3g}, held-out error {test_error:.0f}")

# %%
# Elastic net
# -----------
# The elastic net has two penalties: ``alpha``, and ``l1_ratio``, the share of L1. ``ElasticNetCV``
# chooses both. The ratios to try lie near 1, where the errors change most.
ratios = [0.5, 0.9, 1.0]
enet = ElasticNetCV(l1_ratio=ratios, cv=10).fit(X_columns, y_train)
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for ratio, strengths, errors in zip(ratios, enet.alphas_, enet.mse_path_, strict=True):
    mean = errors.mean(axis=1)
    ax.semilogx(strengths, mean, label=f"l1_ratio={ratio}")
    ax.plot(strengths[mean.argmin()], mean.min(), "o", color=ax.lines[-1].get_color())
ax.set(xlabel="alpha", ylabel="Mean squared error")
ax.set_title(f"Elastic net: l1_ratio={enet.l1_ratio_:g}, the lasso, has the least error")
ax.legend()
plt.show()

# %%
# ``lasso_path`` and ``enet_path`` compute a path without cross-validation, here of the ten
# measurements alone. They have no intercept, so the targets are centred. The columns s3 and s4 are
# correlated: the lasso soon drops s4, the elastic net keeps both.
scaled = StandardScaler().set_output(transform="pandas").fit_transform(X_train)
print(f"correlation of s3 and s4: {scaled['s3'].corr(scaled['s4']):.2f}")
centred = y_train - y_train.mean()
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained", sharey=True)
names = list(scaled)
strengths, coefs, _ = lasso_path(scaled, centred, alphas=100)
CoefficientPathDisplay.from_path(strengths, coefs, feature_names=names, ax=left)
strengths, coefs, _ = enet_path(scaled, centred, l1_ratio=0.1, alphas=100)
CoefficientPathDisplay.from_path(strengths, coefs, feature_names=names, ax=right)
left.set_title("lasso_path: s4 is soon zero")
right.set(title="enet_path, l1_ratio=0.1: s3 and s4 stay", ylabel="")
left.get_legend().remove()
plt.show()

# %%
# Classification
# --------------
# ``LogisticRegressionCV`` chooses ``C``. The score is the negative log loss: it measures the
# probabilities, where the accuracy only counts errors. The display has the strength on its axis, so
# the path and the scores are drawn against ``1 / C``.
X_tumours, y_tumours = load_breast_cancer(return_X_y=True, as_frame=True)
scaled = StandardScaler().set_output(transform="pandas").fit_transform(X_tumours)
Cs = np.geomspace(1e-3, 1e2, 31)
logistic = LogisticRegressionCV(
    Cs=Cs, l1_ratios=(0,), cv=10, scoring="neg_log_loss", use_legacy_attributes=False
)
logistic.fit(scaled, y_tumours)

_, coefs, _ = logistic_path(scaled, y_tumours, Cs=Cs)
display = CoefficientPathDisplay.from_path(
    1 / Cs,
    coefs,
    feature_names=list(scaled),
    errors=-logistic.scores_[:, 0].T,
    alpha=1 / logistic.C_,
)
display.ax_.set(xlabel="1 / C", title="Logistic regression: weak penalty, large weights")
display.error_ax_.set(
    xlabel="1 / C",
    ylabel="Log loss",
    title=f"C = {logistic.C_:.2g} (one standard error: {1 / display.alpha_1se_:.2g})",
)
plt.show()

# %%
# A search over a pipeline
# ------------------------
# ``GridSearchCV`` searches any parameters of any estimator. In a pipeline, the scaler learns from
# the training rows of each fold alone. fastgd's search trains the penalties of a linear model
# together, and fits the steps before it once a fold.
pipeline = make_pipeline(StandardScaler(), LogisticRegression())
grid = {
    "logisticregression__C": np.geomspace(1e-2, 1e2, 9),
    "logisticregression__l1_ratio": [0.0, 0.5, 1.0],
}
search = GridSearchCV(pipeline, grid, scoring="neg_log_loss", cv=5).fit(X_tumours, y_tumours)

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
losses = -search.cv_results_["mean_test_score"].reshape(9, 3)
for ratio, column in zip(grid["logisticregression__l1_ratio"], losses.T, strict=True):
    ax.semilogx(grid["logisticregression__C"], column, ".-", label=f"l1_ratio={ratio}")
best = search.best_params_
ax.plot(best["logisticregression__C"], -search.best_score_, "o", color="black", label="chosen")
ax.set(xlabel="C", ylabel="Log loss", title="Log loss of all 27 candidates, mean of 5 folds")
ax.legend()
plt.show()

# %%
# Traps
# -----
# **A step that sees the held-out rows.** The labels of these 80 tumours are shuffled, so nothing
# can be learned: the area under the ROC curve of any model is 0.5. Columns that are selected with
# all labels seem to predict them, because the selection has seen the labels of the held-out rows.
# Selection inside the pipeline does not.
few, _, labels, _ = train_test_split(
    X_tumours, y_tumours, train_size=80, stratify=y_tumours, random_state=0
)
few = with_columns().set_output(transform="default").fit_transform(few)
outside, inside = [], []
for seed in range(10):
    shuffled = np.random.default_rng(seed).permutation(labels)
    select = SelectKBest(f_classif, k=10)
    rows = select.fit_transform(few, shuffled)
    outside += [cross_val_score(LogisticRegression(), rows, shuffled, scoring="roc_auc").mean()]
    model = make_pipeline(select, LogisticRegression())
    inside += [cross_val_score(model, few, shuffled, scoring="roc_auc").mean()]
print(f"10 of {few.shape[1]} columns selected with all labels:  AUC {np.mean(outside):.2f}")
print(f"10 of {few.shape[1]} columns selected inside the folds: AUC {np.mean(inside):.2f}")

# %%
# A scaler does not see the targets, so it does less harm. A pipeline that ends in ``LassoCV``
# scales before the folds, a search over the pipeline inside of them:
model = with_columns(LassoCV(cv=10, alphas=12)).fit(X_train, y_train)[-1]
search = GridSearchCV(
    with_columns(Lasso()),
    {"lasso__alpha": model.alphas_},
    scoring="neg_mean_squared_error",
    cv=10,
).fit(X_train, y_train)
print(
    f"scaled before the folds: alpha {model.alpha_:.2f}, error {model.mse_path_.mean(1).min():.0f}"
)
print(
    f"scaled inside the folds: alpha {search.best_params_['lasso__alpha']:.2f}, "
    f"error {-search.best_score_:.0f}"
)

# %%
# **The least error as the error of the model.** The least of many errors is too small, because
# ``alpha`` was chosen for these rows. The same holds for the test rows: whoever chooses ``alpha``
# by them needs other rows to test on. *Nested* cross-validation repeats the choice in every outer
# fold, and tests it on rows that had no part in it.
folds = KFold(10, shuffle=True, random_state=0)
model = with_columns(LassoCV(cv=folds))
least = model.fit(X, y)[-1].mse_path_.mean(axis=1).min()
nested = -cross_val_score(model, X, y, cv=folds, scoring="neg_mean_squared_error")
print(f"least error of {len(model[-1].alphas_)} penalties: {least:.0f}")
print(f"nested cross-validation:      {nested.mean():.0f} +- {nested.std(ddof=1) / 10**0.5:.0f}")

# %%
# The difference is small here, where one number is chosen. It grows with the number of choices, and
# falls with the number of rows (Cawley and Talbot, "On over-fitting in model selection and
# subsequent selection bias in performance evaluation", JMLR 11, 2010).
#
# When no penalty is needed
# -------------------------
# With many rows for each column, least squares does not overfit, and a penalty gains nothing. Here
# are 442 patients and ten measurements, or 55 columns:
for name, model in [
    ("10 columns, no penalty", LinearRegression()),
    ("10 columns, LassoCV", make_pipeline(StandardScaler(), LassoCV(cv=folds))),
    ("55 columns, no penalty", with_columns(LinearRegression())),
    ("55 columns, LassoCV", with_columns(LassoCV(cv=folds))),
]:
    errors = -cross_val_score(model, X, y, cv=folds, scoring="neg_mean_squared_error")
    print(f"{name:<22} error on new rows {errors.mean():.0f}")
