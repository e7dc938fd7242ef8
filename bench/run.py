"""Train one problem on every peer and take the times."""

import itertools
import tempfile

import numpy as np
from scipy.sparse import issparse
from threadpoolctl import threadpool_limits

from bench import limits, memory, timing
from bench.machine import cores
from bench.objective import objective
from bench.peers import UnsupportedError
from bench.timing import SETTLE

MEMORY_FROM, MEMORY_TO = 4 * 2**20, 2**30  # bytes of X; below, the peak is the allocator's; above, storing X takes long
NO_MEMORY = ("vowpalwabbit",)  # trains from a file, not from X
QUICK_ROWS = 2000


def measure(problem, peers, found_limits, options):
    """One result a case: an order of the rows and a number of threads. See `_case` for what it holds."""
    X, y = problem.load(QUICK_ROWS if options.quick else None)
    size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes if issparse(X) else X.nbytes
    peers = {name: prepare for name, prepare in peers.items() if name in (problem.peers or peers)}
    threads = dict.fromkeys(cores() if named == "all" else 1 for named in problem.threads)
    with tempfile.TemporaryDirectory() as folder:
        if with_memory := options.memory and MEMORY_FROM <= size <= MEMORY_TO:
            memory.store(X, y, folder)
        for shuffle, count in itertools.product(problem.shuffle, threads):
            result, models = _case(problem, X, y, peers, shuffle, count, options)
            outputs = max((len(coef) for coef, _ in models.values()), default=1)
            operations = 4 * (X.nnz if issparse(X) else X.size) * outputs  # a product and a sum for z, as many for the step
            for name, entry in result["peers"].items():
                if problem.unit == "epoch":
                    goal = result["goals"].get("limit") if name == "fastgd" else None
                    limits.compare(entry, found_limits[count], size, operations, str(X.dtype), goal)
                if with_memory and name in peers and name not in NO_MEMORY:
                    entry["memory"] = memory.peak_over_data(folder, problem, name, shuffle, count)
            yield result | {"bytes": size, "memory_limit": memory.limit(size, X.shape[0], X.shape[1] * outputs)}


def _case(problem, X, y, peers, shuffle, threads, options):
    """(result, models): the times, objectives and ratios of all peers at one order of the rows and number of threads."""
    tasks, unsupported = {}, {}
    for name, prepare in peers.items():
        try:
            tasks[name] = prepare(problem, X, y, shuffle, threads)
        except UnsupportedError as reason:
            unsupported[name] = str(reason)
    if problem.own and "fastgd" in tasks:
        from bench.peers.fastgd import OWN

        tasks[f"fastgd {problem.own}"] = OWN[problem.own](problem, X, y, shuffle, threads)
    with threadpool_limits(threads):
        models = {name: train(problem.epochs) for name, train in tasks.items()}
        samples = {name: lambda train=train: _time(problem, train) for name, train in tasks.items()}
        runs = timing.interleave(samples, options.repeats, options.seconds, SETTLE if threads > 1 else 0)
    entries = {
        name: timing.summary(taken) | {"objective": float(objective(problem, X, y, *models[name]))} for name, taken in runs.items()
    }
    if problem.own == "1 thread" and "fastgd" in models:
        pairs = zip(models["fastgd"], models["fastgd 1 thread"], strict=True)
        entries["fastgd 1 thread"]["same_bits"] = all(np.array_equal(one, other) for one, other in pairs)
    goals = problem.goals_of(shuffle, 1 if threads == 1 else cores())
    timing.compare(entries, goals)
    return {
        "problem": problem.name, "loss": problem.loss, "penalty": problem.penalty, "batch_size": problem.batch_size,
        "rows": X.shape[0], "columns": X.shape[1], "nonzeros": X.nnz if issparse(X) else X.size, "dtype": str(X.dtype),
        "sparse": issparse(X), "unit": problem.unit, "epochs": problem.epochs, "shuffle": shuffle, "threads": threads,
        "goals": goals, "peers": entries, "unsupported": unsupported,
    }, models  # fmt: skip


def _time(problem, train):
    """Seconds of a fit or, without what comes before the first epoch, of one of its epochs."""
    taken = timing.seconds(train, problem.epochs)
    return taken if problem.unit == "fit" else (taken - timing.seconds(train, 1)) / (problem.epochs - 1)
