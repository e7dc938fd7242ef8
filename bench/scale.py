"""`python -m bench scale`: fits of data that need not fit into memory, and on a cluster.

    disk     a fit over chunks of a file, with and without a cache, beside the same in memory: its
             time, and the memory that it takes beyond that of the imports
    cluster  fits by fastgd.dask on 1, 2, ... workers of this machine; what a round costs beside
             the work in it; and how well a model of the times, made of small fits, foretells a
             larger one

The model of the times: T = a + rounds (b + c W) + n (x / W + m) seconds for n rows and W workers.
"""

import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bench import report
from bench.timing import cores

ROWS, COLUMNS, CHUNK = 1_000_000, 50, 80_000
TURNS = 3
SMALL, LARGE = (50_000, 200_000), 800_000  # rows of fits on a cluster
PARTITION = 25_000
# Fits in a process of its own: prints seconds, MB beyond the imports and the objective.
FIT = """
import resource, sys, time
import numpy as np
import fastgd
from fastgd import Chunks, LogisticRegression
folder, form, rows, columns, chunk = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
path, y = f"{folder}/X", np.load(f"{folder}/y.npy")
LogisticRegression().fit(np.eye(columns)[:9], np.arange(9) % 2)

def read(i):
    count = min(chunk, rows - i * chunk) * columns
    X = np.fromfile(path, count=count, offset=8 * i * chunk * columns)
    return X.reshape(-1, columns), y[i * chunk :][:chunk]

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before = peak()
if form == "memory":
    data = np.fromfile(path).reshape(rows, columns), y
else:
    cache = f"{folder}/cache" if form == "cache" else None
    data = (Chunks(read, -(-rows // chunk), cache=cache),)
start = time.perf_counter()
model = LogisticRegression().fit(*data)
print(time.perf_counter() - start, peak() - before, model.history_["loss"][-1])
"""


def labelled(X, w, rng):
    return (X @ w + rng.logistic(size=len(X)) > 0).astype(int)


def compare_disk():
    """A line for each form of the data."""
    rng = np.random.default_rng(0)
    w = 2 * rng.standard_normal(COLUMNS) / np.sqrt(COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        targets = []
        with open(Path(folder, "X"), "wb") as file:
            for _ in range(0, ROWS, CHUNK):
                X = rng.standard_normal((min(CHUNK, ROWS - CHUNK * len(targets)), COLUMNS))
                targets.append(labelled(X, w, rng))
                X.tofile(file)
        np.save(Path(folder, "y.npy"), np.concatenate(targets))
        command = [sys.executable, "-c", FIT, folder]
        sizes = [str(number) for number in (ROWS, COLUMNS, CHUNK)]
        runs = {form: [] for form in ("memory", "chunks", "cache")}
        for _ in range(TURNS):
            for form, found in runs.items():
                done = subprocess.run(
                    [*command, form, *sizes], capture_output=True, text=True, check=True
                )
                found.append([float(number) for number in done.stdout.split()])
    own = np.median(runs["memory"], axis=0)
    for form, found in runs.items():
        taken, peak, loss = np.median(found, axis=0)
        yield (
            f"{form:<10}{taken:8.2f} s  {taken / own[0]:5.2f} of the time in memory (goal 1.5)  "
            f"peak {peak:6.0f} MB  loss {loss - own[2]:+.0e}"
        )


def make(i, rows):
    rng = np.random.default_rng(i)
    w = 2 * np.random.default_rng(-1 % 2**32).standard_normal(COLUMNS) / np.sqrt(COLUMNS)
    X = rng.standard_normal((rows, COLUMNS))
    return X, labelled(X, w, rng)


def on_cluster(workers, sizes):
    """Yields (rows, workers, rounds, seconds of a fit) for each size."""
    import dask.array as da
    from dask import delayed
    from distributed import Client, LocalCluster, wait

    from fastgd import dask as on_dask
    from fastgd.estimators import placement

    rounds = []

    class Counted(placement.Placement):
        def map(self, jobs, kept):
            rounds.append(len(jobs))
            return super().map(jobs, kept)

    placement.Placement = Counted
    options = {"threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(n_workers=workers, **options) as cluster, Client(cluster):
        for rows in sizes:
            each = min(PARTITION, rows // workers)
            parts = [delayed(make, nout=2)(i, each) for i in range(rows // each)]
            X = da.concatenate([da.from_delayed(x, (each, COLUMNS), float) for x, _ in parts])
            y = da.concatenate([da.from_delayed(t, (each,), int) for _, t in parts])
            X, y = X.persist(), y.persist()
            wait([X, y])
            taken = []
            for _ in range(TURNS):
                rounds.clear()
                start = time.perf_counter()
                on_dask.LogisticRegression(tol=1e-6).fit(X, y)
                taken.append(time.perf_counter() - start)
            yield rows, workers, len(rounds), min(taken)


def terms(rows, workers, rounds):
    """What the constants a, b, c, x and m are multiplied by."""
    return [1.0, rounds, rounds * workers, rows / workers, rows]


def compare_cluster():
    """A line for each fit, then the model's constants and predictions."""
    if not find_spec("distributed"):
        yield "dask is not installed: left out"
        return
    known, large = [], []
    for workers in range(1, cores() + 1):
        for rows, _, rounds, taken in on_cluster(workers, (workers * 60, *SMALL, LARGE)):
            (large if rows == LARGE else known).append((rows, workers, rounds, taken))
            text = f"{taken / rounds * 1e3:6.1f} ms a round" if rows < SMALL[0] else ""
            yield f"{rows:>8} rows  {workers} workers  {rounds:3} rounds  {taken:7.3f} s  {text}"
    from scipy.optimize import nnls

    A = np.array([terms(*fit[:3]) for fit in known])
    times = np.array([fit[3] for fit in known])
    constants, _ = nnls(A / times[:, None], np.ones(len(times)))
    a, b, c, x, m = constants
    yield (
        f"T = {a:.2f} s + rounds ({b * 1e3:.1f} + {c * 1e3:.1f} W) ms + n ({x * 1e9:.0f} / W + "
        f"{m * 1e9:.0f}) ns"
    )
    for rows, workers, rounds, taken in large:
        foretold = float(np.dot(terms(rows, workers, rounds), constants))
        error = foretold / taken - 1
        yield (
            f"{rows} rows on {workers} workers: foretold {foretold:.2f} s, took {taken:.2f} s "
            f"({error:+.0%}; goal 25 %){report.missed(abs(error) <= 0.25)}"
        )
    if len(large) > 1:
        speedup = large[0][3] / large[1][3]
        yield f"two workers against one: {speedup:.2f}x (goal 1.6){report.missed(speedup >= 1.6)}"


PARTS = {"disk": compare_disk, "cluster": compare_cluster}


def main(arguments):
    return report.parts("scale", __doc__, PARTS, arguments)
