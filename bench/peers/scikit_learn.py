"""scikit-learn: SGD by rows (classes one-vs-rest, in threads), networks and named models."""

import warnings

import numpy as np
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from bench import peers


def epochs(problem, X, y, shuffle, threads):
    if problem.batch_size != 1 or problem.loss == "softmax":
        raise peers.UnsupportedError("has no batches and no softmax loss")
    model = linear_model.SGDRegressor if problem.regression else linear_model.SGDClassifier
    own = peers.constant_steps(problem) | {"shuffle": shuffle}
    own |= {} if problem.regression else {"n_jobs": threads}
    return lambda epochs: peers.coefficients(model(max_iter=epochs, **own).fit(X, y))


def network(hidden, batch_size, X, y):
    own = peers.adam_parameters(hidden, batch_size) | {"n_iter_no_change": np.inf}

    def train(epochs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return MLPClassifier(**own, max_iter=epochs).fit(X, y).loss_curve_[-1]

    return train


def settings(problem, n):
    name, own = peers.named_model(problem, n)
    if name in ("LinearSVC", "LinearSVR"):
        return []  # liblinear's
    model = getattr(linear_model, name)

    def iterated(*solvers):
        more = own | dict(tol=1e-15, random_state=0)
        return [peers.by_iterations(solver, model, **more, solver=solver) for solver in solvers]

    match name:
        case "LogisticRegression" if problem.l1:
            return iterated("saga")
        case "LogisticRegression":
            return iterated("newton-cholesky", "lbfgs", "newton-cg", "sag", "saga")
        case "Ridge":
            direct = peers.Setting("cholesky", lambda _: model(**own, solver="cholesky"), (None,))
            more = own | {"max_iter": 10_000}
            krylov = [peers.by_tolerance(s, model, **more, solver=s) for s in ("lsqr", "sparse_cg")]
            return [direct, *krylov, *iterated("sag", "saga")]
        case "LinearRegression":
            return [peers.Setting("lapack", lambda _: model(**own), (None,))]
    own["max_iter"] = 100_000
    forms = {"Gram": True, "no Gram": False}
    return [peers.by_tolerance(n, model, "F", **own, precompute=g) for n, g in forms.items()]
