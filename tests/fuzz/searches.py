"""Paths, searches for a penalty, and the other linear models on hostile data."""

import warnings

import numpy as np
from scipy import sparse

import fastgd

from .cases import Case, chance, draw_labels, draw_rows, draw_sizes, draw_values, draw_weights, size

PATHS = "ridge_path", "lasso_path", "enet_path", "logistic_path"
SEARCHES = (
    "RidgeCV",
    "LassoCV",
    "ElasticNetCV",
    "LogisticRegressionCV",
    "RidgeClassifierCV",
    "GridSearchCV",
)
MODELS = (
    "PoissonRegressor",
    "GammaRegressor",
    "TweedieRegressor",
    "HuberRegressor",
    "QuantileRegressor",
    "Perceptron",
    "RidgeClassifier",
)
NAMES = (*PATHS, *SEARCHES, *MODELS)
OF_LABELS = (
    "logistic_path",
    "LogisticRegressionCV",
    "RidgeClassifierCV",
    "Perceptron",
    "RidgeClassifier",
)
OF_COUNTS = "PoissonRegressor", "GammaRegressor", "TweedieRegressor"
WEIGHTLESS = "lasso_path", "enet_path", "Perceptron", "GridSearchCV"


def draw(rng, number):
    """A case of one of `NAMES`."""
    name = str(rng.choice(NAMES))
    X = draw_rows(rng)
    with np.errstate(all="ignore"):
        labels = name in OF_LABELS
        several = name in ("ridge_path", "RidgeCV", "enet_path") and chance(rng, 0.2)
        y = draw_labels(rng, X) if labels else draw_values(rng, X, several)
        if name in OF_COUNTS:
            y = np.abs(y) + (name == "GammaRegressor") * (np.abs(y).max() * 1e-6 + 1e-300)
        narrow = chance(rng, 0.2)
        X = X * draw_sizes(rng, X.shape[1], narrow)
        X = X.astype(np.float32) if narrow else X
        X = np.clip(X, np.finfo(X.dtype).min / 8, np.finfo(X.dtype).max / 8)
        y = y if labels else np.clip(y, -1e305, 1e305)
    fit, poisoned = {}, None
    if name not in WEIGHTLESS and chance(rng, 0.2):
        number_of = np.unique(y, return_inverse=True)[1] if labels else None
        fit["sample_weight"] = draw_weights(rng, len(X), number_of)
    if chance(rng, 0.05):
        poisoned = "X" if labels or chance(rng, 0.5) else "y"
        given = X if poisoned == "X" else y
        given[tuple(rng.integers(given.shape))] = rng.choice([np.nan, np.inf, -np.inf])
    if chance(rng, 0.15):
        X = sparse.csr_array(np.where((rng.random(X.shape) < 0.5) & np.isfinite(X), 0, X))
    return Case(number, name, _parameters(rng, name), X, y, fit, "fit", poisoned)


def _parameters(rng, name):
    many = lambda: [size(rng, -6, 4) for _ in range(int(rng.integers(1, 8)))]  # noqa: E731
    given = {}
    if name in ("ridge_path", "lasso_path", "enet_path", "LassoCV", "ElasticNetCV"):
        given["alphas"] = many() if chance(rng, 0.4) else int(rng.integers(1, 30))
    if name in ("RidgeCV", "RidgeClassifierCV"):
        given["alphas"] = many()
    if name in ("logistic_path", "LogisticRegressionCV"):
        given["Cs"] = many() if chance(rng, 0.5) else int(rng.integers(1, 6))
    if name == "LogisticRegressionCV":
        given |= {
            "l1_ratios": [float(rng.choice([0.0, 0.5, 1.0]))],
            "scoring": "neg_log_loss",
            "use_legacy_attributes": False,
        }
    if name == "enet_path" or (name == "ElasticNetCV" and chance(rng, 0.5)):
        given["l1_ratio"] = float(rng.choice([1e-3, 0.5, 0.99]))
    if name in ("lasso_path", "enet_path", "LassoCV", "ElasticNetCV") and chance(rng, 0.2):
        given["positive"] = True
    if name in SEARCHES and (name not in ("RidgeCV", "RidgeClassifierCV") or chance(rng, 0.5)):
        given["cv"] = int(rng.integers(2, 5))
    if name == "GridSearchCV":
        given |= {
            "estimator": fastgd.Ridge() if chance(rng, 0.5) else fastgd.Lasso(),
            "param_grid": {"alpha": many()},
        }
    if name in MODELS and name != "Perceptron":
        given["alpha"] = float(rng.choice([0.0, 1e-4, 1.0, size(rng, -6, 3)]))
    if name == "TweedieRegressor":
        given["power"] = float(rng.choice([0.0, 1.0, 1.5, 1.9]))
    if name == "QuantileRegressor":
        given["quantile"] = float(rng.choice([0.05, 0.5, 0.9]))
    if name not in ("lasso_path", "enet_path", "GridSearchCV") and chance(rng, 0.2):
        given["fit_intercept"] = False
    if name not in ("lasso_path", "enet_path") and chance(rng, 0.15):
        given["n_jobs"] = int(rng.choice([1, 2]))
    return given


def judge(case, of_error, of_warnings):
    """A list of what is wrong; the two functions are those for errors and warnings of models."""
    error = result = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call = getattr(fastgd, case.estimator)
            if case.estimator in PATHS:
                result = call(case.X, case.y, **case.parameters, **case.fit)
            else:
                result = call(**case.parameters).fit(case.X, case.y, **case.fit)
        except Exception as raised:
            error = raised
    if case.estimator == "GridSearchCV":  # scikit-learn's scores of large targets, and failed folds
        caught = [one for one in caught if "sklearn" not in one.filename]
    faults = list(of_warnings(case, caught))
    if isinstance(error, ZeroDivisionError) and "Weights sum to zero" in str(error):
        return faults  # the words of scikit-learn, of folds without weight
    if error is not None:
        return faults + of_error(case, error)
    if case.poisoned and case.estimator == "GridSearchCV":
        return faults
    if case.poisoned:
        return [*faults, f"no error, but {case.poisoned} has a number that is not finite"]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        faults += _of_path(case, result) if case.estimator in PATHS else _of_model(case, result)
    return faults


def _of_model(case, model):
    if case.estimator == "GridSearchCV":
        model = model.best_estimator_
    if not (np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()):
        return ["the weights are not finite"]
    predicted = model.predict(case.X)
    if predicted.dtype.kind == "f" and np.isnan(predicted).any():
        return ["predictions are not numbers"]
    if hasattr(model, "alpha_") and not isinstance(case.parameters.get("alphas"), int | None):
        if not np.isin(model.alpha_, case.parameters["alphas"]).all():
            return [f"alpha_={model.alpha_} is none of the alphas"]
    if case.parameters.get("positive") and (model.coef_ < 0).any():
        return ["weights are negative"]
    return []


def _of_path(case, result):
    """Every point of a path against all others, which its duality gap or minimum excludes."""
    is_logistic = case.estimator == "logistic_path"
    strengths, coefs = result[0], np.asarray(result[1], np.longdouble)
    if not np.isfinite(coefs).all():
        return ["the weights are not finite"]
    if coefs.shape[-1] != len(strengths):
        return [f"{len(strengths)} strengths, weights of shape {coefs.shape}"]
    if is_logistic or case.estimator == "ridge_path" or coefs.ndim > 2:
        return []
    gaps, ratio = result[2], case.parameters.get("l1_ratio", 1.0)
    X = case.X.toarray() if sparse.issparse(case.X) else case.X
    X, y = X.astype(np.longdouble), np.asarray(case.y, np.longdouble)
    fits = ((X @ coefs - y[:, None]) ** 2).mean(axis=0) / 2
    l1, l2 = abs(coefs).sum(axis=0), (coefs**2).sum(axis=0) / 2
    eps, zero = np.finfo(result[1].dtype).eps, (y**2).mean() / 2
    faults = []
    for k, alpha in enumerate(np.asarray(strengths, np.longdouble)):
        values = fits + alpha * (ratio * l1 + (1 - ratio) * l2)
        least = min(values.min(), zero)
        sizes = ((abs(X) @ abs(coefs[:, k]) + abs(y)) ** 2).mean()
        rounding = 1e4 * eps * max(sizes, zero, values[k])
        if not np.isfinite(float(gaps[k])) or not np.isfinite(float(values[k])):
            faults.append(f"alpha {float(alpha):.3g}: gap {gaps[k]}, value {values[k]}")
        elif values[k] - 1.01 * gaps[k] - rounding > least:
            faults.append(
                f"alpha {float(alpha):.3g}: {float(values[k] - least):.3g} above another point, "
                f"the gap is {float(gaps[k]):.3g}"
            )
    return faults
