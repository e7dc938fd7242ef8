"""fastgd itself, and the variants of a run with which it is compared."""

import numpy as np

from fastgd import SGDClassifier, SGDRegressor


def prepare(problem, X, y, shuffle, threads):
    estimator = SGDRegressor if problem.regression else SGDClassifier

    def train(epochs):
        model = estimator(
            loss=problem.loss,
            penalty=problem.penalty,
            alpha=problem.alpha,
            l1_ratio=problem.l1_ratio,
            learning_rate="constant",
            eta0=problem.rate,
            max_iter=epochs,
            tol=None,
            shuffle=shuffle,
            average=problem.average,
            batch_size=problem.batch_size,
            n_jobs=threads,
            random_state=0,
        ).fit(X, y)
        return np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)

    return train


# what Problem.own may name: the same work with one thing changed
OWN = {
    "float64": lambda problem, X, y, shuffle, threads: prepare(problem, X.astype(np.float64), y, shuffle, threads),
    "1 thread": lambda problem, X, y, shuffle, threads: prepare(problem, X, y, shuffle, 1),
}
