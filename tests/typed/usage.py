"""What users write, which type checkers must accept: `make types`. Nothing here is run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

import fastgd
from fastgd import (
    Adam,
    AdamW,
    Checkpoint,
    Chunks,
    CoefficientPathDisplay,
    Constant,
    CosineDecay,
    DescentPathDisplay,
    ElasticNet,
    GammaRegressor,
    GradientNoise,
    GridSearchCV,
    HuberRegressor,
    Lasso,
    LassoCV,
    LearningRateDisplay,
    LinearSVC,
    LogisticRegression,
    LogisticRegressionCV,
    LossCurveDisplay,
    MatrixFactorization,
    MLPClassifier,
    MLPRegressor,
    Perceptron,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    RidgeClassifier,
    RidgeCV,
    SGDClassifier,
    SGDOneClassSVM,
    SGDRegressor,
    check_gradient,
    enet_path,
    lasso_path,
    learning_rate_range,
    logistic_path,
    minimize,
    ndcg_at_k,
    precision_at_k,
    ridge_path,
)
from fastgd import dask as on_dask

Array = NDArray[Any]
X = np.zeros((20, 3))
y = np.arange(20.0)
labels = np.arange(20) % 2


def regression() -> None:
    model = Ridge(alpha=0.5).fit(X, y)
    assert_type(model, Ridge)
    assert_type(model.coef_, Array)
    assert_type(model.predict(X), Array)
    assert_type(model.score(X, y), float)
    assert_type(model.n_iter_, int)
    assert_type(model.converged_, bool)
    assert_type(model.optimality_, float)
    assert_type(model.stop_reason_, str)
    assert_type(model.history_, dict[str, list[Any]])
    assert_type(model.loss_curve_, list[float])
    Ridge([1.0, 2.0], max_iter=None, n_jobs=-1, random_state=np.random.RandomState(0))
    Ridge(np.ones(2), solver="svd")
    assert_type(Lasso(0.1, warm_start=True).fit(X, y).dual_gap_, Any)
    assert_type(ElasticNet(0.1, l1_ratio=0.9, precompute=True).fit(X, y), ElasticNet)
    assert_type(LassoCV(alphas=50, cv=5).fit(X, y).alphas_, Array)
    assert_type(RidgeCV((0.1, 1.0), scoring="r2").fit(X, y), RidgeCV)
    assert_type(HuberRegressor(epsilon=1.5).fit(X, y).scale_, float)
    assert_type(HuberRegressor().fit(X, y).outliers_, Array)
    assert_type(QuantileRegressor(quantile=0.9).fit(X, y).intercept_, Any)
    assert_type(SGDRegressor("huber", optimizer=Adam(beta1=0.8)).fit(X, y).t_, int)
    model = SGDRegressor(learning_rate=Constant(0.1), batch_size="full").partial_fit(X, y)
    assert_type(model.intercept_, Array)
    assert_type(model.optimality_, float | None)
    glm = PoissonRegressor(alpha=0).fit(X, y, offset=np.zeros(20), X_val=X, y_val=y)
    assert_type(glm.predict(X, offset=np.zeros(20)), Array)
    assert_type(glm.score(X, y), float)
    assert_type(glm.intercept_, float)
    assert_type(GammaRegressor().fit(X, y + 1).coef_, Array)


def classification() -> None:
    model = LogisticRegression(C=10, class_weight={0: 1.0, 1: 2.0}).fit(X, labels)
    assert_type(model.predict_proba(X), Array)
    assert_type(model.predict_log_proba(X), Array)
    assert_type(model.decision_function(X), Array)
    assert_type(model.classes_, Array)
    assert_type(LogisticRegressionCV(Cs=5, l1_ratios=[0.0]).fit(X, labels).Cs_, Array)
    assert_type(LinearSVC(loss="hinge").fit(X, labels), LinearSVC)
    assert_type(RidgeClassifier().fit(X, ["a", "b"] * 10).predict(X), Array)
    assert_type(Perceptron().partial_fit(X, labels, [0, 1]), Perceptron)
    sgd = SGDClassifier("log_loss", optimizer=GradientNoise("adam"), learning_rate="adaptive")
    assert_type(sgd.fit(X, labels).predict_proba(X), Array)
    outliers = SGDOneClassSVM(nu=0.1).fit(X)
    assert_type(outliers.score_samples(X), Array)
    assert_type(outliers.offset_, Array)


def networks() -> None:
    network = MLPClassifier((50, 20), activation="tanh", learning_rate=CosineDecay(0.1))
    assert_type(network.fit(X, labels).predict_proba(X), Array)
    assert_type(network.coefs_, list[Array])
    assert_type(network.best_loss_, float | None)
    assert_type(MLPRegressor("huber", [10], alpha=0.1).partial_fit(X, y).predict(X), Array)


def other_data() -> None:
    frame, series = pd.DataFrame(X), pd.Series(y)
    Ridge().fit(frame, series, sample_weight=series).predict(frame)
    Ridge().fit(sparse.csr_matrix(X), y).predict(sparse.csr_array(X))
    Ridge().fit([[0.0, 1.0], [1.0, 2.0]], [1, 2]).score([[0, 1]], [1])


def chunks() -> None:
    def read(i: int) -> tuple[Array, Array]:
        return X, y

    assert_type(Chunks(read, 5, shuffle=2), Chunks)
    parts = Chunks.of(X, y, chunk_rows=5)
    Chunks.parquet(Path("data.parquet"), target="y")
    model = Ridge().fit(parts)
    assert_type(model.predict(parts), Iterator[Array])
    assert_type(model.score(parts), float)


def recommender() -> None:
    ratings = np.zeros((5, 3))
    model = MatrixFactorization(n_factors=5, max_iter=2).fit(ratings)
    ids, scores = model.recommend([0, 1], n=2)
    assert_type(ids, Array)
    assert_type(scores, Array)
    assert_type(model.user_factors_, Array)
    assert_type(model.mean_rating_, float)
    assert_type(precision_at_k(model, ratings, k=2), float)
    assert_type(ndcg_at_k(model, ratings), float)


def functions() -> None:
    def cost(x: Array) -> tuple[float, Array]:
        return float(x @ x), 2 * x

    result = minimize(cost, [1.0, 2.0], jac=True, method=AdamW(), tol=1e-8, n_restarts=2)
    print(result.x)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    assert_type(check_gradient(cost, True, [1.0]), float)
    alphas, coefs = ridge_path(X, y)
    assert_type(coefs, Array)
    alphas, coefs, gaps = lasso_path(X, y, alphas=20)
    print(alphas, coefs, gaps)
    alphas, coefs, gaps, steps = enet_path(X, y, l1_ratio=0.3, return_n_iter=True)
    print(alphas, coefs, gaps, steps)
    Cs, coefs, steps = logistic_path(X, labels, Cs=5)
    assert_type(Cs, Array)
    assert_type(steps, Array)
    assert_type(learning_rate_range(SGDClassifier(), X, labels), tuple[Array, Array])


def pictures() -> None:
    model = Ridge().fit(X, y)
    display = LossCurveDisplay.from_estimator({"ridge": model}, log_scale=True)
    assert_type(display, LossCurveDisplay)
    print(display.ax_.get_title(), display.figure_.get_figwidth(), len(display.lines_))
    CoefficientPathDisplay.from_estimator(Lasso(), X, y, alphas=[0.1, 1.0])
    LearningRateDisplay.from_estimator(SGDRegressor(), X, y).plot()

    def cost(x: Array) -> float:
        return float(x @ x)

    paths = DescentPathDisplay.from_function(cost, [1.0, 1.0], None, ["gd", "adam"])
    paths.save_animation("paths.gif", fps=10)


def search() -> None:
    assert_type(GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}).fit(X, y), GridSearchCV)
    Checkpoint("model.pickle", every=5)


def cluster() -> None:
    model = on_dask.Ridge(0.1, client=None, max_iter=10).fit(X, y)
    assert_type(model, on_dask.Ridge)
    assert_type(model.score(X, y), float)
    on_dask.SGDClassifier("log_loss").partial_fit(X, labels, classes=[0, 1])


def names() -> None:
    assert_type(fastgd.__version__, str)
    assert_type(fastgd.Ridge(), Ridge)
