"""`python -m bench scale`: fits of data that need not fit into memory, and on a cluster.

    disk     a fit over chunks of a file, with and without a cache, beside the same in memory: its
             time, and the memory that it takes beyond that of the imports
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
    "cluster": cluster.compare,
    "picture": machines.compare,
    "peers": cluster_peers.compare,
    "kills": workers.compare_kills,
    "memory": workers.compare_memory,
    "stream": compare_stream,
}


def main(arguments):
    return report.parts("scale", __doc__, PARTS, arguments)
