"""What is fitted: data, parameters and calls. The same seed and number are the same case."""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

REGRESSORS = "LinearRegression", "Ridge", "Lasso", "ElasticNet", "LinearSVR", "SGDRegressor"
CLASSIFIERS = "LogisticRegression", "LinearSVC", "SGDClassifier"
LINEAR = (*REGRESSORS, *CLASSIFIERS, "SGDOneClassSVM")
ALL = (
    *LINEAR,
    *LINEAR,
    "MLPClassifier",
    "MLPRegressor",
    "MatrixFactorization",
    "minimize",
)  # two linear draws to one other
RATES = "constant", "invscaling", "optimal", "adaptive", "lipschitz", "cosine"
RULES = "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"


@dataclass
class Case:
    """A call to be judged; `poisoned` names the argument that has NaN or infinity in it."""

    number: int
    estimator: str
    parameters: dict
    X: object = None
    y: object = None
    fit: dict = field(default_factory=dict)
    calls: str = "fit"
    poisoned: str | None = None
    cost: object = None

    @property
    def chooses_rate(self):
        """Whether the caller chose a learning rate or a rule."""
        p = self.parameters
        return (
            p.get("learning_rate", "auto") not in ("auto", None)
            or p.get("optimizer", "sgd") != "sgd"
            or bool(p.get("average"))
            or self.estimator.startswith(("MLP", "Perceptron"))
        )


def draw(seed, number):
    """Case `number` of the sequence that `seed` begins."""
    others = np.random.default_rng([seed, number, 1])
    if chance(others, 0.4):
        from . import files, searches

        return (files if chance(others, 0.25) else searches).draw(others, number)
    rng = np.random.default_rng([seed, number])
    estimator = str(rng.choice(ALL))
    if estimator == "minimize":
        from .costs import draw_cost

        cost, parameters = draw_cost(rng)
        return Case(number, estimator, parameters, cost=cost)
    if estimator == "MatrixFactorization":
        return _recommender(rng, number)
    return _model(rng, number, estimator)


def chance(rng, probability):
    return rng.random() < probability


def size(rng, low, high):
    """10 to a power that is drawn evenly."""
    return 10.0 ** rng.uniform(low, high)


# ---- rows ----


def draw_rows(rng):
    """A dense float64 array, well-behaved but for what is done to some of its columns."""
    n, p = {
        "one": (1, 1),
        "row": (1, rng.integers(1, 9)),
        "column": (rng.integers(2, 60), 1),
        "tall": (rng.integers(20, 200), rng.integers(1, 12)),
        "few": (rng.integers(2, 8), rng.integers(1, 8)),
        "wide": (rng.integers(3, 25), rng.integers(25, 70)),
    }[
        rng.choice(
            ["one", "row", "column", "tall", "few", "wide"], p=[0.03, 0.03, 0.1, 0.58, 0.1, 0.16]
        )
    ]
    kind = rng.choice(["normal", "uniform", "lognormal", "binary", "whole", "correlated"])
    if kind == "normal":
        X = rng.standard_normal((n, p))
    elif kind == "uniform":
        X = rng.random((n, p))
    elif kind == "lognormal":
        X = np.exp(2 * rng.standard_normal((n, p)))
    elif kind == "binary":
        X = (rng.random((n, p)) < rng.choice([0.1, 0.5])).astype(float)
    elif kind == "whole":
        X = rng.integers(-5, 6, (n, p)).astype(float)
    else:
        X = rng.standard_normal((n, p)) @ rng.standard_normal(
            (p, p)
        ) * 0.9 + 0.1 * rng.standard_normal((n, p))
    some = lambda: rng.integers(p)  # noqa: E731
    if chance(rng, 0.2):
        X[:, some()] = X[:, some()]
    if chance(rng, 0.15):
        X[:, some()] = rng.choice([0.0, 1.0, 1e10, -3e-5])
    if p > 2 and chance(rng, 0.1):
        X[:, 0] = X[:, 1] + X[:, 2]
    if chance(rng, 0.15):
        X[:, some()] += size(rng, 2, 12)
    if chance(rng, 0.1):
        X[rng.integers(n), some()] *= size(rng, 2, 8)
    return X


def draw_sizes(rng, p, narrow):
    """What each column is multiplied by, within the range of float64, or if `narrow` of float32."""
    low, high = (-42, 35) if narrow else (-318, 300)
    kind = rng.choice(
        ["unit", "moderate", "one", "all", "same", "huge and tiny"],
        p=[0.4, 0.15, 0.2, 0.1, 0.1, 0.05],
    )
    sizes = np.ones(p)
    if kind == "moderate":
        sizes = np.array([size(rng, -8, 8) for _ in range(p)])
    elif kind == "one":
        sizes[rng.integers(p)] = size(rng, low, high)
    elif kind == "all":
        sizes = np.array([size(rng, low, high) for _ in range(p)])
    elif kind == "same":
        sizes[:] = size(rng, low, high)
    elif kind == "huge and tiny":
        sizes[rng.integers(p)], sizes[rng.integers(p)] = 10.0**low, 10.0**high
    return sizes


def in_some_form(rng, X):
    """The same rows as users may hold them."""
    form = rng.choice(
        ["plain", "csr", "csc", "coo", "list", "fortran", "strided", "read-only", "frame", "csr64"],
        p=[0.5, 0.15, 0.04, 0.03, 0.05, 0.06, 0.06, 0.05, 0.03, 0.03],
    )
    if form in ("csr", "csr64", "csc", "coo") and X.dtype.char in "dfbl?":
        X = X.copy()
        if chance(rng, 0.7):
            X[(rng.random(X.shape) < 0.6) & np.isfinite(X)] = 0
        X = sparse.coo_matrix(X).asformat(form[:3])
        if form == "csr64":
            X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
        return X
    if form == "list":
        return X.tolist()
    if form == "fortran":
        return np.asfortranarray(X)
    if form == "strided":
        wide = np.zeros((2 * X.shape[0], 3 * X.shape[1]), X.dtype)
        wide[::2, ::3] = X
        return wide[::2, ::3]
    if form == "read-only":
        X.flags.writeable = False
    if form == "frame":
        import pandas as pd

        return pd.DataFrame(X, columns=[f"column {j}" for j in range(X.shape[1])])
    return X


# ---- targets and weights ----


def draw_values(rng, X, several):
    """Numbers as targets."""
    n, p = X.shape
    standard = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1)
    y = standard @ (rng.standard_normal((p, 2 if several else 1)) * (rng.random((p, 1)) < 0.7))
    y += rng.choice([0, 0.1, 1]) * rng.standard_normal(y.shape)
    kind = rng.choice(
        ["plain", "constant", "zero", "spike", "whole", "heavy"],
        p=[0.72, 0.06, 0.03, 0.07, 0.06, 0.06],
    )
    if kind == "constant":
        y[:] = 1.0
    elif kind == "zero":
        y[:] = 0.0
    elif kind == "spike":
        y[:], y[0] = 0.0, 1.0
    elif kind == "whole":
        y = np.rint(y)
    elif kind == "heavy":
        y = y * np.exp(3 * rng.standard_normal(y.shape))
    if chance(rng, 0.2):
        y = y + size(rng, 0, 12)
    if chance(rng, 0.5):
        y = y * size(rng, *((-318, 300) if chance(rng, 0.5) else (-8, 8)))
    return y if several else y[:, 0]


def draw_labels(rng, X):
    """Labels of two classes or more; at least two where there are rows for them."""
    n = len(X)
    count = min(int(rng.choice([2, 2, 2, 3, 5])), n)
    kind = rng.choice(["random", "by column", "noisy", "one alone"], p=[0.3, 0.3, 0.3, 0.1])
    number = rng.integers(count, size=n)
    if kind in ("by column", "noisy") and n > 1:
        column = X[:, rng.integers(X.shape[1])] + (kind == "noisy") * X.std() * rng.standard_normal(
            n
        )
        number = np.searchsorted(np.quantile(column, np.arange(1, count) / count), column)
    elif kind == "one alone":
        number[:] = 0
        number[0] = count - 1
    number[rng.permutation(n)[:count]] = np.arange(count)
    form = rng.choice(["int", "str", "float", "bool", "odd"], p=[0.5, 0.2, 0.1, 0.1, 0.1])
    if form == "str":
        return np.array([f"class {k}" for k in range(5)])[number]
    if form == "float":
        return number.astype(float)
    if form == "bool" and count == 2:
        return number.astype(bool)
    return number * 1000 - 7 if form == "odd" else number


def draw_weights(rng, n, number):
    """Sample weights; `number` the rows' classes, or None."""
    kind = rng.choice(["some", "zeros", "sizes", "ratio", "one", "class", "tiny", "huge"])
    weights = rng.random(n) + 0.1
    if kind == "zeros":
        weights[rng.random(n) < 0.5] = 0
    elif kind == "sizes":
        weights *= np.array([size(rng, -300, 300) for _ in range(n)])
    elif kind == "ratio":
        weights[rng.random(n) < 0.5] *= 1e12
    elif kind == "one":
        weights[1:] = 0
    elif kind == "class" and number is not None:
        weights[number != number[0]] = 0
    elif kind in ("tiny", "huge"):
        weights *= {"tiny": 1e-310, "huge": 1e300}[kind]
    weights[0] = weights[0] or 1.0
    return weights


# ---- parameters ----


def strength(rng):
    """Of a penalty, or its inverse."""
    return float(
        rng.choice(
            [0.0, 1e-4, 1.0, size(rng, -6, 3), size(rng, -300, 300)], p=[0.15, 0.3, 0.2, 0.25, 0.1]
        )
    )


def draw_parameters(rng, estimator):
    """Constructor's arguments."""
    if estimator.startswith("MLP"):
        return {
            "hidden_layer_sizes": tuple(rng.integers(1, 9, rng.integers(0, 3)).tolist()),
            "max_iter": int(rng.choice([1, 5, 30])),
            "activation": str(rng.choice(["relu", "tanh", "logistic", "identity"])),
            "random_state": 0,
            "solver": str(rng.choice(["auto", "adam", "sgd", "lbfgs"], p=[0.7, 0.1, 0.1, 0.1])),
        }
    given = {"fit_intercept": chance(rng, 0.8)}
    if chance(rng, 0.3):
        given["tol"] = float(rng.choice([0.0, 1e-10, 1e-6, 1e-2, 0.5, 1e300, 1e-300]))
    if chance(rng, 0.15):
        given["max_iter"] = int(rng.choice([1, 2, 5, 50]))
    if chance(rng, 0.03):
        given["max_seconds"] = 1e-9
    if chance(rng, 0.15):
        given["n_jobs"] = int(rng.choice([1, 2, -1]))
    if estimator.startswith("SGD"):
        given |= _draw_sgd(rng, estimator)
    elif chance(rng, 0.2):
        given["batch_size"] = "full"
    if estimator in ("Ridge", "Lasso", "ElasticNet"):
        given["alpha"] = strength(rng)
    if estimator in ("LogisticRegression", "LinearSVC", "LinearSVR"):
        given["C"] = float(
            rng.choice(
                [1.0, 1e4, np.inf, size(rng, -6, 6), size(rng, -300, 300)],
                p=[0.4, 0.15, 0.1, 0.25, 0.1],
            )
        )
        if estimator != "LogisticRegression" and given["C"] == np.inf:
            given["C"] = 1e300  # the others take no infinity
    if estimator in ("LinearRegression", "Ridge", "Lasso", "ElasticNet") and chance(rng, 0.15):
        given["positive"] = True
    if estimator in ("Lasso", "ElasticNet") and chance(rng, 0.15):
        given["warm_start"] = True
    if estimator in ("LogisticRegression", "ElasticNet") and chance(rng, 0.4):
        given["l1_ratio"] = float(rng.choice([0.0, 0.5, 1.0]))
    if estimator == "LinearSVC":
        given["loss"] = str(rng.choice(["hinge", "squared_hinge"]))
        if chance(rng, 0.2):
            given |= {"loss": "squared_hinge", "penalty": "l1", "dual": False}
    if estimator == "LinearSVR":
        given["loss"] = str(rng.choice(["epsilon_insensitive", "squared_epsilon_insensitive"]))
        given["epsilon"] = float(
            rng.choice([0.0, 0.1, size(rng, -8, 8), size(rng, -300, 300)], p=[0.4, 0.3, 0.2, 0.1])
        )
    if estimator in CLASSIFIERS and chance(rng, 0.15):
        given["class_weight"] = "balanced"
    return given


def _draw_sgd(rng, estimator):
    given = {
        "random_state": 0,
        "batch_size": [1, 7, 32, "full"][rng.choice(4, p=[0.4, 0.1, 0.15, 0.35])],
    }
    if chance(rng, 0.15):
        given["learning_rate"] = str(rng.choice(RATES))
        given["eta0"] = float(rng.choice([0.01, 1e-12, 1e3]))
        given["optimizer"] = str(rng.choice(RULES))
        given.setdefault("max_iter", 20)
    if chance(rng, 0.05):
        given["average"] = True
        given.setdefault("max_iter", 20)
    if chance(rng, 0.15):
        given["warm_start"] = True
    if chance(rng, 0.1):
        given["shuffle"] = False
    if estimator == "SGDOneClassSVM":
        return given | {"nu": float(rng.choice([0.5, 0.05, 1.0, 1e-8]))}
    values = (
        "squared_error",
        "huber",
        "epsilon_insensitive",
        "squared_epsilon_insensitive",
        "quantile",
        "poisson",
    )
    labels = "hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron", "softmax"
    given["loss"] = str(rng.choice(labels if estimator == "SGDClassifier" else values))
    given["penalty"] = [None, "l2", "l1", "elasticnet"][rng.choice(4, p=[0.15, 0.5, 0.2, 0.15])]
    given["alpha"] = strength(rng)
    if given["loss"] in values and chance(rng, 0.3):
        given["epsilon"] = float(rng.choice([0.0, 1.35, size(rng, -300, 300)]))
    if given["loss"] == "quantile":
        given["quantile"] = float(rng.choice([0.05, 0.5, 0.9]))
    if chance(rng, 0.08):
        given["positive"] = True
    if chance(rng, 0.05):
        given["init"] = "normal"
    if chance(rng, 0.03):
        given["early_stopping"] = True
    return given


# ---- whole cases ----


def _model(rng, number, estimator):
    narrow = chance(rng, 0.2)
    X = draw_rows(rng)
    labels = estimator in (*CLASSIFIERS, "MLPClassifier")
    several = estimator not in ("LinearSVR",) and chance(rng, 0.08)
    with np.errstate(all="ignore"):
        y = (
            None
            if estimator == "SGDOneClassSVM"
            else draw_labels(rng, X)
            if labels
            else draw_values(rng, X, several)
        )
        parameters = draw_parameters(rng, estimator)
        if parameters.get("loss") == "poisson":
            y = np.abs(y)
        X = X * draw_sizes(rng, X.shape[1], narrow)
        X = X.astype(np.float32) if narrow else X
        X = np.clip(X, np.finfo(X.dtype).min / 8, np.finfo(X.dtype).max / 8)
        if y is not None and y.dtype.kind == "f":
            y = np.clip(y, -1e305, 1e305)
    fit, poisoned = {}, None
    if chance(rng, 0.2) and not estimator.startswith("MLP"):
        fit["sample_weight"] = draw_weights(
            rng, len(X), np.unique(y, return_inverse=True)[1] if labels else None
        )
    if chance(rng, 0.05):
        names = (
            ["X"]
            + ["y"] * (y is not None and y.dtype.kind == "f")
            + ["sample_weight"] * ("sample_weight" in fit)
        )
        poisoned = str(rng.choice(names))
        given = {"X": X, "y": y, **fit}[poisoned]
        given[tuple(rng.integers(given.shape))] = rng.choice([np.nan, np.inf, -np.inf])
    elif chance(rng, 0.04):
        X = np.clip(np.rint(np.nan_to_num(X)), -100, 100).astype(
            rng.choice(["int8", "int64", "bool", "float16", "object", "longdouble"])
        )
    X = in_some_form(rng, X)
    if y is not None and chance(rng, 0.05):
        y = y.tolist()
    calls = "fit"
    if estimator.startswith("SGD") and not parameters.get("early_stopping") and chance(rng, 0.15):
        calls = "partial_fit"
    elif parameters.get("warm_start"):
        calls = "fit twice"
    elif chance(rng, 0.04) and not estimator.startswith("MLP"):
        calls = "fit with callback"
    return Case(number, estimator, parameters, X, y, fit, calls, poisoned)


def _recommender(rng, number):
    users, items = rng.integers(1, 30, 2)
    n = int(rng.integers(1, 200))
    pairs = np.column_stack([rng.integers(users, size=n), rng.integers(items, size=n)])
    ratings = np.rint(rng.uniform(0.5, 5.5, n))
    loss = str(rng.choice(["squared_error", "log_loss", "bpr"], p=[0.7, 0.15, 0.15]))
    ratings *= size(rng, *((-300, 300) if chance(rng, 0.3) else (-3, 3)))
    if chance(rng, 0.1):
        ratings[:] = ratings[0]
    parameters = {
        "loss": loss,
        "n_factors": int(rng.integers(1, 9)),
        "max_iter": int(rng.choice([1, 5, 30])),
        "random_state": 0,
        "dtype": str(rng.choice(["float32", "float64"])),
        "biased": chance(rng, 0.8),
        "positive": chance(rng, 0.1),
    }
    poisoned = None
    if chance(rng, 0.05):
        ratings[rng.integers(n)], poisoned = rng.choice([np.nan, np.inf]), "y"
    return Case(
        number,
        "MatrixFactorization",
        parameters,
        pairs,
        ratings,
        {},
        "partial_fit" if chance(rng, 0.2) else "fit",
        poisoned,
    )
