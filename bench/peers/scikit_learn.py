"""scikit-learn's SGDClassifier and SGDRegressor: one row a step; classes one-vs-rest, side by side in threads."""

import numpy as np
from sklearn.linear_model import SGDClassifier, SGDRegressor

from bench.peers import UnsupportedError


def prepare(problem, X, y, shuffle, threads):
    if problem.batch_size != 1:
        raise UnsupportedError("has no batches")
    if problem.loss == "softmax":
        raise UnsupportedError("has no softmax loss")
    settings = dict(
        loss=problem.loss, penalty=problem.penalty, alpha=problem.alpha, l1_ratio=problem.l1_ratio,
        learning_rate="constant", eta0=problem.rate, tol=None, shuffle=shuffle,
        average=problem.average, random_state=0,
    )  # fmt: skip

    def train(epochs):
        model = SGDRegressor(**settings) if problem.regression else SGDClassifier(n_jobs=threads, **settings)
        model.set_params(max_iter=epochs).fit(X, y)
        return np.atleast_2d(model.coef_), model.intercept_

    return train
