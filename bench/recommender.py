"""`python -m bench recommender`: RMSE of matrix factorization on MovieLens 100k, in five folds.

Both fastgd and Surprise's SVD (100 factors, 20 epochs) have their default parameters.
"""

import numpy as np

from bench import data, peers
from fastgd import MatrixFactorization

FOLDS = 5


def main(arguments):
    if arguments:
        raise SystemExit("python -m bench recommender takes no arguments")
    ratings, path = data.movielens()
    print(path or "no MovieLens 100k: synthetic ratings of its size")
    folds = np.random.default_rng(0).permutation(len(ratings)) % FOLDS
    models = {"fastgd": lambda train: MatrixFactorization(random_state=0).fit(train).predict}
    for name, factorization in peers.load("factorization", ["surprise"])[0].items():
        models[name] = lambda train, of=factorization: of(train, factors=100, threads=1)(20)
    for name, fit in models.items():
        errors = []
        for fold in range(FOLDS):
            train, test = ratings[folds != fold], ratings[folds == fold]
            errors.append(np.sqrt(np.mean((fit(train)(test) - test[:, 2]) ** 2)))
        each = " ".join(f"{error:.4f}" for error in errors)
        print(f"{name:<10} mean RMSE {np.mean(errors):.4f}   {each}")
    return 0
