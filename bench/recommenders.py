"""Matrix factorization beside Surprise and LIBMF: sweeps over the same ratings, as many factors; the RMSE is on ratings held out.

``python -m bench recommender`` cross-validates on MovieLens 100k at default parameters.
"""

import contextlib
import io
import os
import statistics
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bench import timing
from bench.machine import cores
from fastgd import MatrixFactorization

QUICK_RATINGS = 20_000
PEERS = {"fastgd": "fastgd", "surprise": "surprise", "libmf": "libmf"}


@dataclass(frozen=True)
class Recommender:
    name: str
    ratings: str
    epochs: int
    factors: int = 50
    threads: str = "one"
    own: str = ""  # also compare with fastgd's own run on one thread
    peers: tuple = tuple(PEERS)
    goals: dict = field(default_factory=dict)

    def describe(self):
        return f"{self.ratings:<16}matrix factorization, {self.factors} factors, {self.threads}"


ALL = [
    Recommender("factorization-movielens", "movielens", 41, goals={"surprise": 5, "libmf": 1}),
    Recommender("factorization-threads", "large", 6, threads="all", own="1 thread", peers=("fastgd",), goals={"own": 1.7}),
]


def movielens_file():
    """MovieLens 100k: ml-100k.inter of the package recbole, or that or u.data in the folder FASTGD_DATA; None if absent."""
    found = find_spec("recbole")
    folders = [Path(place, "dataset_example", "ml-100k") for place in (found.submodule_search_locations if found else ())]
    if own := os.environ.get("FASTGD_DATA"):
        folders += [Path(own), Path(own, "ml-100k")]
    files = (folder / name for folder in folders for name in ("ml-100k.inter", "u.data"))
    return next((path for path in files if path.exists()), None)


def movielens():
    """(user, item, rating) of MovieLens 100k, or of a synthetic set of its size."""
    path = movielens_file()
    if path is None:
        return synthetic(100_000, 943, 1682)
    return np.loadtxt(path, skiprows=int(path.suffix == ".inter"), usecols=(0, 1, 2))


def synthetic(count, users, items, rank=10):
    """Stars from 1 to 5: rounded products of normal factors, with biases and noise; few users and items have most ratings."""
    rng = np.random.default_rng(0)
    u, i = (rng.random(count) ** 1.5 * users).astype(np.intp), (rng.random(count) ** 2 * items).astype(np.intp)
    p, q = rng.standard_normal((users, rank)), rng.standard_normal((items, rank))
    b, c = rng.standard_normal(users), rng.standard_normal(items)
    score = 3.5 + 0.45 * (b[u] + c[i]) + 0.15 * np.einsum("ij,ij->i", p[u], q[i]) + 0.8 * rng.standard_normal(count)
    return np.column_stack([u, i, np.clip(np.round(score), 1, 5)])


SETS = {"movielens": movielens, "large": lambda: synthetic(10_000_000, 100_000, 20_000)}


@lru_cache(maxsize=1)
def load(name):
    """(training, test) ratings, one in ten held out."""
    ratings = SETS[name]()
    test = np.random.default_rng(0).random(len(ratings)) < 0.1
    return ratings[~test], ratings[test]


# ---- the peers: train(epochs) -> predict(pairs) ----


def fastgd(ratings, factors, threads):
    return lambda epochs: MatrixFactorization(
        n_factors=factors, max_iter=epochs, tol=None, n_jobs=threads, random_state=0).fit(ratings).predict


def surprise(ratings, factors, threads):
    """SVD with its own rates and penalty. Its data set is built beforehand, untimed."""
    import pandas as pd
    from surprise import SVD, Dataset, Reader

    known = Dataset.load_from_df(pd.DataFrame(ratings), Reader(rating_scale=(ratings[:, 2].min(), ratings[:, 2].max())))
    known = known.build_full_trainset()

    def train(epochs):
        model = SVD(n_factors=factors, n_epochs=epochs, random_state=0).fit(known)
        return lambda pairs: np.array([model.predict(user, item).est for user, item, *_ in pairs])

    return train


def libmf(ratings, factors, threads):
    """L2 loss with its own rates and penalty."""
    with contextlib.redirect_stdout(io.StringIO()):
        from libmf import mf

    table = np.ascontiguousarray(ratings, dtype=np.float32)

    def train(epochs):
        model = mf.MF(k=factors, nr_iters=epochs, nr_threads=threads, quiet=True)
        model.fit(table)
        return lambda pairs: model.predict(np.ascontiguousarray(pairs[:, :2], dtype=np.float32))

    return train


def measure(entry, peers, found_limits, options):
    train, test = load(entry.ratings)
    if options.quick:
        train, test = train[:QUICK_RATINGS], test[: QUICK_RATINGS // 10]
    threads = cores() if entry.threads == "all" else 1
    tasks, unsupported = {}, {}
    for name in entry.peers:
        try:
            tasks[name] = globals()[PEERS[name]](train, entry.factors, threads)
        except ImportError as error:
            unsupported[name] = f"is not installed ({error})"
    if entry.own:
        tasks[f"fastgd {entry.own}"] = fastgd(train, entry.factors, 1)
    with threadpool_limits(threads):
        predictors = {name: task(entry.epochs) for name, task in tasks.items()}
        samples = {name: lambda task=task: _epoch(task, entry.epochs) for name, task in tasks.items()}
        runs = timing.interleave(samples, options.repeats, options.seconds, timing.SETTLE if threads > 1 else 0)
    fits = {name: predict(test) for name, predict in predictors.items()}
    entries = {name: timing.summary(taken) | {"objective": float(np.sqrt(np.mean((fits[name] - test[:, 2]) ** 2)))}
               for name, taken in runs.items()}  # fmt: skip
    if entry.own:
        entries[f"fastgd {entry.own}"]["same_bits"] = np.array_equal(fits["fastgd"], fits[f"fastgd {entry.own}"])
    timing.compare(entries, entry.goals)
    yield {"problem": entry.name, "unit": "epoch", "rows": len(train), "columns": entry.factors, "dtype": "float32", "sparse": True,
           "threads": threads, "epochs": entry.epochs, "goals": entry.goals, "peers": entries, "unsupported": unsupported,
           "objective": "RMSE of ratings held out", "data": entry.ratings if movielens_file() else "synthetic"}  # fmt: skip


def _epoch(task, epochs):
    """Seconds of a sweep: what more sweeps take."""
    return (timing.seconds(task, epochs) - timing.seconds(task, 1)) / (epochs - 1)


def main(arguments):
    """Five-fold cross-validation at default parameters: the RMSE of each fold, and the mean."""
    if arguments:
        raise SystemExit("python -m bench recommender takes no arguments")
    ratings = movielens()
    print(movielens_file() or "no MovieLens 100k: synthetic ratings of its size")
    folds = np.random.default_rng(0).permutation(len(ratings)) % 5
    models = {"fastgd": lambda train: MatrixFactorization(random_state=0).fit(train).predict}
    if find_spec("surprise"):
        models["surprise"] = lambda train: surprise(train, 100, 1)(20)  # the defaults of its SVD
    for name, fit in models.items():
        found = []
        for fold in range(5):
            train, test = ratings[folds != fold], ratings[folds == fold]
            found.append(float(np.sqrt(np.mean((fit(train)(test) - test[:, 2]) ** 2))))
        print(f"{name:<10} mean RMSE {statistics.mean(found):.4f}   " + " ".join(f"{one:.4f}" for one in found))
    return 0
