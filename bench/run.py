"""Measure one problem: every peer in turn, A B A B, so that what disturbs one disturbs the others too."""

import itertools
import statistics
import tempfile
import time

from scipy.sparse import issparse
from threadpoolctl import threadpool_limits

from bench import memory
from bench.machine import cores
from bench.objective import objective
from bench.peers import UnsupportedError

MEMORY_FROM = 4 * 2**20  # bytes of X; below, the peak is mostly the allocator's

SETTLE = 0.1  # seconds; the idle threads of BLAS and OpenMP spin for a while and would slow down the next peer


def measure(problem, peers, repeats, seconds, rows=None, with_memory=True):
    """One result a case: an order of the rows and a number of threads. See `_case` for what it holds."""
    X, y = problem.load(rows)
    size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes if issparse(X) else X.nbytes
    threads = dict.fromkeys(cores() if named == "all" else 1 for named in problem.threads)
    with tempfile.TemporaryDirectory() as folder:
        if with_memory := with_memory and size >= MEMORY_FROM:
            memory.store(X, y, folder)
        for shuffle, count in itertools.product(problem.shuffle, threads):
            result = _case(problem, X, y, peers, shuffle, count, repeats, seconds)
            for name, entry in result["peers"].items() if with_memory else ():
                entry["memory"] = memory.peak_over_data(folder, problem, name, shuffle, count)
            yield result | {"bytes": size}


def _case(problem, X, y, peers, shuffle, threads, repeats, seconds):
    tasks, unsupported = {}, {}
    for name, prepare in peers.items():
        try:
            tasks[name] = prepare(problem, X, y, shuffle, threads)
        except UnsupportedError as reason:
            unsupported[name] = str(reason)
    with threadpool_limits(threads):
        models, runs = _interleave(problem, tasks, repeats, seconds, SETTLE if threads > 1 else 0)
    entries = {}
    for name, taken in runs.items():
        entries[name] = {
            "median": statistics.median(taken),
            "minimum": min(taken),
            "runs": taken,
            "objective": float(objective(problem, X, y, *models[name])),
        }
    _compare(entries, problem.goals)
    return {
        "problem": problem.name, "loss": problem.loss, "penalty": problem.penalty, "batch_size": problem.batch_size,
        "rows": X.shape[0], "columns": X.shape[1], "dtype": str(X.dtype), "sparse": issparse(X), "unit": problem.unit,
        "epochs": problem.epochs, "shuffle": shuffle, "threads": threads, "peers": entries, "unsupported": unsupported,
    }  # fmt: skip


def _interleave(problem, tasks, repeats, seconds, pause):
    """(models, times of all runs): a warm-up each, then rounds; a peer that used up its seconds sits out after two."""
    models, runs, used = {}, {name: [] for name in tasks}, dict.fromkeys(tasks, 0.0)
    for name, train in tasks.items():
        models[name] = train(problem.epochs)
    for _ in range(repeats):
        for name, train in tasks.items():
            if len(runs[name]) >= 2 and used[name] >= seconds:
                continue
            time.sleep(pause)
            taken = _seconds(train, problem.epochs)
            used[name] += taken
            if problem.unit == "epoch":  # what comes before the first epoch is the business of "fit"
                taken = (taken - _seconds(train, 1)) / (problem.epochs - 1)
            runs[name].append(taken)
    return models, runs


def _seconds(train, epochs):
    start = time.perf_counter()
    train(epochs)
    return time.perf_counter() - start


def _compare(entries, goals):
    """Give each peer its ratio to fastgd: its median time over fastgd's, above 1 where fastgd is faster."""
    if "fastgd" not in entries:
        return
    own = entries["fastgd"]["median"]
    for name, entry in entries.items():
        if name != "fastgd":
            entry["ratio"] = entry["median"] / own
            if name in goals:
                entry["goal"] = goals[name]


def lines(result):
    """The result as lines of the table; a peer that beats fastgd is marked."""
    threads = "1 thread" if result["threads"] == 1 else f"{result['threads']} threads"
    order = "shuffled" if result["shuffle"] else "in order"
    rows = f"{result['rows']} x {result['columns']} {result['dtype']}"
    yield f"{result['problem']}  ({rows}, {order}, {threads}, ms per {result['unit']})"
    for name, entry in result["peers"].items():
        peak = ""
        if "memory" in entry:
            peak = f"{entry['memory'] / 2**20:9.1f} MB ({entry['memory'] / result['bytes']:6.1%})"
        yield (f"    {name:<14}{1e3 * entry['median']:12.3f}{1e3 * entry['minimum']:12.3f}{len(entry['runs']):6d}"
               f"{entry['objective']:14.8f}  {peak:<22}{_verdict(entry)}").rstrip()  # fmt: skip
    for name, reason in result["unsupported"].items():
        yield f"    {name:<14}{reason}"


HEADER = f"    {'peer':<14}{'median':>12}{'minimum':>12}{'runs':>6}{'objective':>14}  {'peak over X':<22}peer / fastgd"


def _verdict(entry):
    if "ratio" not in entry:
        return ""
    marks = ["FASTGD LOSES"] if entry["ratio"] < 1 else []
    if entry["ratio"] < entry.get("goal", 0):
        marks.append(f"below the goal of {entry['goal']}x")
    return f"{entry['ratio']:8.2f}x  {', '.join(marks)}"
