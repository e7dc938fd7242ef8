"""Snap ML: not gradient descent, but dual coordinate descent in float32 on the same objective.

Its epoch is one of its own method, which chooses its steps itself: compare the objectives as well as the times.
X is converted beforehand, untimed. The intercept is the coefficient of a constant column and is shrunk with the others.
"""

import numpy as np
from scipy.sparse import csr_matrix, issparse
from snapml import LinearRegression, LogisticRegression, SupportVectorMachine

from bench.objective import targets
from bench.peers import UnsupportedError

ESTIMATORS = {"squared_error": LinearRegression, "log_loss": LogisticRegression, "hinge": SupportVectorMachine}


def prepare(problem, X, y, shuffle, threads):
    if problem.batch_size != 1 or problem.average or problem.l1 or problem.loss not in ESTIMATORS:
        raise UnsupportedError("has no batches, averages, softmax, nor L1 in its dual form")
    t = targets(problem, y)
    if t.shape[1] > 1:
        raise UnsupportedError("is given one output")
    if not shuffle:
        raise UnsupportedError("draws the order of the rows itself")
    X = (csr_matrix(X) if issparse(X) else X).astype(np.float32)
    t = np.ascontiguousarray(t[:, 0])

    def train(epochs):
        model = ESTIMATORS[problem.loss](
            max_iter=epochs, regularizer=problem.l2 * X.shape[0], tol=0.0, fit_intercept=True, n_jobs=threads,
        ).fit(X, t)  # fmt: skip
        return np.reshape(model.coef_, (1, -1)), np.reshape(model.intercept_, 1)

    return train
