"""What happens to workers of `fastgd.dask`: they are killed, and they take memory."""

import gc
import os
import signal
import threading
import time
from importlib.util import find_spec

import numpy as np

from bench import cluster, report

KILLS, KILL_ROWS = 20, 200_000
MEMORY_ROWS = 2_000_000
PARTITION = 25_000
# Dask starts a new worker within some seconds, or not at all.
RESTART_SECONDS = 15


def compare_kills():
    """A line for fits during which a worker is killed."""
    if not find_spec("distributed"):
        yield "dask is not installed: left out"
        return
    rng, waits, known, usual = np.random.default_rng(0), [], [], []
    while len(waits) < KILLS:
        with cluster.local_client(2) as client:
            _kill(client, rng, waits, known, usual)
    others = sum(not np.array_equal(coef, known[0]) for coef in known)
    yield (
        f"{KILL_ROWS} x {cluster.COLUMNS}, a worker killed at a random time in each of {KILLS} "
        f"fits: {min(usual):.2f} s without, at most {max(waits):.1f} s (goal 20), {others} with "
        f"other bits (goal 0){report.missed(max(waits) < 20 and not others)}"
    )


def _kill(client, rng, waits, known, usual):
    """Fits until all kills are done, or dask has not started a new worker for a while."""
    from fastgd.dask import LogisticRegression

    model = LogisticRegression(client=client, tol=1e-8)
    X, y = cluster.place(client, KILL_ROWS, PARTITION)
    for _ in range(2):
        start = time.perf_counter()
        known.append(model.fit(X, y).coef_)
        usual.append(time.perf_counter() - start)
    while len(waits) < KILLS:
        pids = _pids(client)
        if len(pids) < 2:
            return
        kill = threading.Timer(
            rng.uniform(0, usual[-1]), os.kill, (rng.choice(pids), signal.SIGKILL)
        )
        start = time.perf_counter()
        kill.start()
        known.append(model.fit(X, y).coef_)
        waits.append(time.perf_counter() - start)
        kill.join()


def _pids(client):
    """The workers' process ids, as soon as there are two, or after a while."""
    end = time.monotonic() + RESTART_SECONDS
    while True:
        pids = sorted(client.run(os.getpid, on_error="ignore").values())
        if len(pids) > 1 or time.monotonic() > end:
            return pids
        time.sleep(0.2)


def memory():
    """(MB now, MB at the peak) of this process."""
    gc.collect()
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return [int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")]


def compare_memory():
    """A line for the memory of a worker after a fit."""
    if not find_spec("distributed"):
        yield "dask is not installed: left out"
        return
    from fastgd.dask import LogisticRegression

    with cluster.local_client(2) as client:
        model = LogisticRegression(client=client)
        model.fit(*cluster.place(client, 400, 200))
        imports = max(client.run(memory).values())[0]
        X, y = cluster.place(client, MEMORY_ROWS, PARTITION)
        model.fit(X, y)
        after, peak = np.max([*client.run(memory).values()], axis=0)
    size = MEMORY_ROWS * 8 * cluster.COLUMNS / 2 / 2**20
    share = (after - imports) / size
    yield (
        f"a worker with {size:.0f} MB of X takes {share:.2f} of it after a fit, {peak / size:.2f} "
        f"less {imports / size:.2f} of the imports at its peak (goal 1.25)"
        f"{report.missed(share <= 1.25)}"
    )
