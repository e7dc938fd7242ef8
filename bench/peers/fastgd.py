"""fastgd itself."""

import numpy as np

import fastgd
from bench import peers
from fastgd.kernels.rule_descent import RuleDescent

CHUNK = 1000  # rows a call of partial_fit


def sgd(problem, **parameters):
    """SGDRegressor or SGDClassifier for the problem; `parameters` come first."""
    model = fastgd.SGDRegressor if problem.regression else fastgd.SGDClassifier
    return model(**peers.sgd_parameters(problem) | parameters)


def plain_sgd(problem, **parameters):
    """The same by plain steps at a constant rate."""
    own = peers.constant_steps(problem) | {"batch_size": problem.batch_size}
    return sgd(problem, **own | parameters)


def epochs(problem, X, y, shuffle, threads):
    own = dict(shuffle=shuffle, n_jobs=threads)
    return lambda epochs: peers.coefficients(plain_sgd(problem, max_iter=epochs, **own).fit(X, y))


def network(hidden, batch_size, X, y):
    own = peers.adam_parameters(hidden, batch_size) | {"tol": None}
    return lambda epochs: fastgd.MLPClassifier(**own, max_iter=epochs).fit(X, y).loss_curve_[-1]


def factorization(ratings, factors, threads):
    own = dict(n_factors=factors, tol=None, n_jobs=threads, random_state=0)
    return lambda epochs: fastgd.MatrixFactorization(**own, max_iter=epochs).fit(ratings).predict


def minimizer(iterations):
    return lambda cost, start: fastgd.minimize(cost, start, jac=True, tol=0, max_iter=iterations)


def adam(gradient, threads):
    codes = fastgd.Adam().codes
    run = RuleDescent(np.zeros_like(gradient), codes, 0.0, 0.0, None, None, 0.0, threads)
    cost = [0.0]

    def step():
        cost[0] -= 1  # a new lowest cost in each step, so that the point has to be kept
        run.tell(cost[0], gradient, 0.01, 0.0, 0)

    return step


def settings(problem, n):
    name, parameters = peers.named_model(problem, n)
    return [peers.by_tolerance("default", getattr(fastgd, name), **parameters)]


def cluster(problem, X, y, workers):
    from fastgd import dask as on_dask

    name, parameters = peers.named_model(problem, len(y))
    return [peers.by_tolerance("", getattr(on_dask, name), **parameters)]


def one_pass(problem, X, t):
    model = sgd(problem, random_state=0)
    labels = {} if problem.regression else {"classes": [-1.0, 1.0]}
    for start in range(0, len(t), CHUNK):
        model.partial_fit(X[start : start + CHUNK], t[start : start + CHUNK], **labels)
    return peers.coefficients(model)
