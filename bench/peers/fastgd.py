"""fastgd itself."""

import numpy as np

import fastgd
from bench.peers import Setting, coefficients, named_model
from fastgd.kernels.rule_descent import RuleDescent


def sgd(problem, loss=None, **parameters):
    """SGDRegressor or SGDClassifier for the problem; `loss` may stand in for the problem's."""
    model = fastgd.SGDRegressor if problem.regression else fastgd.SGDClassifier
    return model(
        loss=loss or problem.loss,
        penalty=problem.penalty,
        alpha=problem.alpha,
        l1_ratio=problem.l1_ratio,
        epsilon=problem.epsilon,
        fit_intercept=problem.intercept,
        **parameters,
    )


def constant_rate(problem, **parameters):
    """SGD by plain steps at the problem's own rate, for as many epochs as are asked for."""
    steps = dict(learning_rate="constant", eta0=problem.rate, batch_size=problem.batch_size)
    return sgd(problem, **steps, average=problem.average, tol=None, **parameters)


def epochs(problem, X, y, shuffle, threads):
    def train(epochs):
        more = dict(max_iter=epochs, shuffle=shuffle, n_jobs=threads, random_state=0)
        return coefficients(constant_rate(problem, **more).fit(X, y))

    return train


def network(network, X, y):
    def train(epochs):
        model = fastgd.MLPClassifier(
            network.hidden,
            solver="adam",
            batch_size=network.batch_size,
            max_iter=epochs,
            tol=None,
            random_state=0,
        )
        return model.fit(X, y).loss_curve_[-1]

    return train


def factorization(ratings, factors, threads):
    def train(epochs):
        settings = dict(max_iter=epochs, tol=None, n_jobs=threads, random_state=0)
        return fastgd.MatrixFactorization(n_factors=factors, **settings).fit(ratings).predict

    return train


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
    name, parameters = named_model(problem, n)
    return [Setting("default", lambda tol: getattr(fastgd, name)(**parameters, tol=tol))]
