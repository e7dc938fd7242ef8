"""Snap ML: coordinate descent and Newton's method in float32 on the same objective, no SGD.

In a comparison of epochs its epoch is one of dual coordinate descent: compare the objectives as
well as the times. X is converted beforehand, untimed. The intercept is the coefficient of a
constant column and is shrunk with the others, so `settings` are for problems without one.
"""

import numpy as np
import snapml
from scipy.sparse import csr_matrix, issparse

from bench.objective import targets
from bench.peers import UnsupportedError, by_iterations
from bench.timing import cores

ESTIMATORS = {
    "squared_error": snapml.LinearRegression,
    "log_loss": snapml.LogisticRegression,
    "hinge": snapml.SupportVectorMachine,
    "squared_hinge": snapml.SupportVectorMachine,
}


def epochs(problem, X, y, shuffle, threads):
    if problem.batch_size != 1 or problem.average or problem.l1 or problem.loss not in ESTIMATORS:
        raise UnsupportedError("has no batches, averages, softmax, nor L1 in its dual form")
    t = targets(problem.loss, y)
    if t.shape[1] > 1 or not shuffle:
        raise UnsupportedError("is given one output, and draws the order of the rows itself")
    X = (csr_matrix(X) if issparse(X) else X).astype(np.float32)
    t = np.ascontiguousarray(t[:, 0])
    own = dict(regularizer=problem.l2 * X.shape[0], tol=0.0, n_jobs=threads, fit_intercept=True)

    def train(epochs):
        model = ESTIMATORS[problem.loss](max_iter=epochs, **own).fit(X, t)
        return np.reshape(model.coef_, (1, -1)), np.reshape(model.intercept_, 1)

    return train


def settings(problem, n):
    hinge = "hinge" in problem.loss
    if problem.intercept or problem.loss not in ESTIMATORS:
        return []
    if problem.l1 and (problem.l2 or hinge):
        return []
    own = dict(regularizer=problem.alpha * n, fit_intercept=False, tol=0.0, random_state=0)
    if hinge:
        forms = {"dual": {"loss": problem.loss}}
    else:
        forms = {"primal": {"dual": False, "penalty": problem.penalty}}
        forms |= {} if problem.l1 else {"dual": {"dual": True}}
    model = ESTIMATORS[problem.loss]
    return [
        by_iterations(f"{form}, {threads} threads", model, **own, **more, n_jobs=threads)
        for form, more in forms.items()
        for threads in dict.fromkeys((1, cores()))
    ]
