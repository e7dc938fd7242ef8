"""`python -m bench scale`: fits of data that need not fit into memory, and on a cluster.

    disk     a fit over chunks of a file, with and without a cache, beside the same in memory: its
             time, and the memory that it takes beyond that of the imports
    limits   the same of more rows, with little address space beyond that of the imports
    cluster  fits by fastgd.dask on one and two workers of this machine, the latency of a round, and
             how well a model of the times, made of smaller fits, predicts larger ones
    picture  by that model, the time of a fit on up to 1000 machines: docs/images/machines.png
    peers    the time to a given accuracy on two workers, beside dask-ml and Spark ML
    kills    fits on two workers, of which one is killed
    memory   what a worker takes beyond its X
    stream   `partial_fit` over chunks that are sorted by class

The model of the times: T = a + R (b + c W) + n (x / W + m) seconds for R rounds, n rows, W workers.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastgd
from bench import cluster, cluster_peers, machines, report, workers
from bench.cluster import labelled
from fastgd import Chunks

ROWS, COLUMNS, CHUNK = 1_000_000, 50, 80_000
STREAM_ROWS = 50_000
TURNS = 3
# rows, MB of address space beyond the imports, MB of memory beyond them at most
LIMITS = (3_000_000, 600, 400), (10_000_000, 900, 800)
# Fits in a process of its own: prints seconds, MB beyond the imports and the objective.
FIT = """
import resource, sys, time
import numpy as np
import fastgd
from fastgd import Chunks, LogisticRegression
folder, form, rows, columns, chunk, limit = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
path, y = f"{folder}/X", np.load(f"{folder}/y.npy", mmap_mode="r")
LogisticRegression().fit(np.eye(columns)[:9], np.arange(9) % 2)

def read(i):
    count = min(chunk, rows - i * chunk) * columns
    X = np.fromfile(path, count=count, offset=8 * i * chunk * columns)
    return X.reshape(-1, columns), np.array(y[i * chunk :][:chunk])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before = peak()
if form == "memory":
    data = np.fromfile(path).reshape(rows, columns), np.array(y)
else:
    cache = f"{folder}/cache" if form == "cache" else None
    data = (Chunks(read, -(-rows // chunk), cache=cache),)
if limit:
    with open("/proc/self/statm") as file:
        space = int(file.read().split()[0]) * resource.getpagesize() + limit * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
start = time.perf_counter()
model = LogisticRegression().fit(*data)
print(time.perf_counter() - start, peak() - before, model.history_["loss"][-1])
"""


def write(folder, rows):
    """Write X and y of so many rows."""
    rng = np.random.default_rng(0)
    w, targets = 2 * rng.standard_normal(COLUMNS) / np.sqrt(COLUMNS), []
    with open(Path(folder, "X"), "wb") as file:
        for begin in range(0, rows, CHUNK):
            X = rng.standard_normal((min(CHUNK, rows - begin), COLUMNS))
            targets.append(labelled(X, w, rng))
            X.tofile(file)
    np.save(Path(folder, "y.npy"), np.concatenate(targets))


def fit(folder, form, rows, limit=0):
    """(seconds, MB beyond the imports, objective) of a fit with at most so many MB of address space
    beyond the imports, 0: any number.
    """
    command = [sys.executable, "-c", FIT, folder, form]
    command += [str(number) for number in (rows, COLUMNS, CHUNK, limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


def compare_limits():
    """A line for each limit of the address space."""
    for rows, limit, goal in LIMITS:
        with tempfile.TemporaryDirectory() as folder:
            write(folder, rows)
            turns = [
                (fit(folder, "memory", rows), fit(folder, "chunks", rows, limit))
                for _ in range(TURNS)
            ]
        (own, *_), (taken, peak, _) = np.median(turns, axis=0)
        is_reached = peak <= goal and taken <= 1.5 * own
        yield (
            f"{rows} x {COLUMNS} with {limit} MB of address space: {taken:6.2f} s, "
            f"{taken / own:5.2f} of the time in memory (goal 1.5)  peak {peak:6.0f} MB (goal "
            f"{goal}){report.missed(is_reached)}"
        )


def compare_disk():
    """A line for each form of the data."""
    with tempfile.TemporaryDirectory() as folder:
        write(folder, ROWS)
        runs = {form: [] for form in ("memory", "chunks", "cache")}
        for _ in range(TURNS):
            for form, found in runs.items():
                found.append(fit(folder, form, ROWS))
    own = np.median(runs["memory"], axis=0)
    for form, found in runs.items():
        taken, peak, loss = np.median(found, axis=0)
        yield (
            f"{form:<10}{taken:8.2f} s  {taken / own[0]:5.2f} of the time in memory (goal 1.5)  "
            f"peak {peak:6.0f} MB  loss {loss - own[2]:+.0e}"
        )


def compare_stream():
    """A line for five epochs over 50 chunks that are sorted by class, ten of them mixed at a time,
    and one for rows mixed in memory.
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((STREAM_ROWS, 20))
    y = labelled(X, rng.standard_normal(20), rng)
    order = np.argsort(y, kind="stable")
    alpha = 1e-4
    best = fastgd.LogisticRegression(C=1 / (alpha * len(y)), tol=1e-10).fit(X, y)

    def objective(model):
        z = (2 * y - 1) * (X @ model.coef_[0] + model.intercept_[0])
        return np.logaddexp(0, -z).mean() + alpha / 2 * (model.coef_**2).sum()

    frequency = y.mean()
    constant = -np.log(frequency**frequency * (1 - frequency) ** (1 - frequency))
    forms = {
        "sorted, pools of 10 chunks": Chunks.of(
            X[order], y[order], chunk_rows=STREAM_ROWS // 50, shuffle=10, random_state=0
        ),
        "all rows mixed": Chunks.of(X[order], y[order], chunk_rows=STREAM_ROWS),
    }
    for form, chunks in forms.items():
        model = fastgd.SGDClassifier("log_loss", alpha=alpha, random_state=0)
        for _ in range(5):
            model.partial_fit(chunks, classes=[0, 1])
        gap = (objective(model) - objective(best)) / (constant - objective(best))
        yield f"{form:<28}relative gap {gap:.1e} (goal 1e-3){report.missed(gap <= 1e-3)}"


PARTS = {
    "disk": compare_disk,
    "limits": compare_limits,
    "cluster": cluster.compare,
    "picture": machines.compare,
    "peers": cluster_peers.compare,
    "kills": workers.compare_kills,
    "memory": workers.compare_memory,
    "stream": compare_stream,
}


def main(arguments):
    return report.parts("scale", __doc__, PARTS, arguments)
