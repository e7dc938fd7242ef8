"""scikit-learn: SGD by rows (classes one-vs-rest, in threads), networks and named models."""

import warnings

import numpy as np
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from bench.peers import ITERATIONS, Setting, UnsupportedError, coefficients, named_model


def epochs(problem, X, y, shuffle, threads):
    if problem.batch_size != 1 or problem.loss == "softmax":
        raise UnsupportedError("has no batches and no softmax loss")
    settings = dict(
        loss=problem.loss,
        penalty=problem.penalty,
        alpha=problem.alpha,
        l1_ratio=problem.l1_ratio,
        learning_rate="constant",
        eta0=problem.rate,
        tol=None,
        shuffle=shuffle,
        average=problem.average,
        random_state=0,
    )
    model = linear_model.SGDRegressor if problem.regression else linear_model.SGDClassifier
    settings |= {} if problem.regression else {"n_jobs": threads}
    return lambda epochs: coefficients(model(max_iter=epochs, **settings).fit(X, y))


def network(network, X, y):
    def train(epochs):
        model = MLPClassifier(
            network.hidden,
            solver="adam",
            batch_size=network.batch_size,
            max_iter=epochs,
            n_iter_no_change=np.inf,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(X, y).loss_curve_[-1]

    return train


def settings(problem, n):
    name, own = named_model(problem, n)
    if name in ("LinearSVC", "LinearSVR"):
        return []  # liblinear's
    model = getattr(linear_model, name)

    def by_iterations(solver):
        more = dict(solver=solver, tol=1e-15, random_state=0)
        return Setting(solver, lambda count: model(**own, **more, max_iter=count), ITERATIONS)

    def by_tolerance(name, order="C", **more):
        return Setting(name, lambda tol: model(**own, **more, tol=tol), order=order)

    match name:
        case "LogisticRegression":
            smooth = ("newton-cholesky", "lbfgs", "newton-cg", "sag", "saga")
            return [by_iterations(solver) for solver in (("saga",) if problem.l1 else smooth)]
        case "Ridge":
            return [
                Setting("cholesky", lambda _: model(**own, solver="cholesky"), (None,)),
                by_tolerance("lsqr", solver="lsqr", max_iter=10_000),
                by_tolerance("sparse_cg", solver="sparse_cg", max_iter=10_000),
                by_iterations("sag"),
                by_iterations("saga"),
            ]
        case "LinearRegression":
            return [Setting("lapack", lambda _: model(**own), (None,))]
    return [
        by_tolerance(f"Gram {gram}", "F", precompute=gram, max_iter=100_000)
        for gram in (False, True)
    ]
