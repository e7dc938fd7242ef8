"""Times of several functions taken in turn, A B A B, so that a disturbance hits all of them."""

import os
import statistics
import time
from functools import partial
from timeit import timeit

from threadpoolctl import threadpool_limits

# Seconds of rest before a sample on several threads: the idle threads of BLAS and OpenMP spin for
# a while and would slow down the next peer.
SETTLE = 0.1
CAP = 20  # seconds of a peer in a row of `python -m bench`


def cores():
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def of_epoch(train, epochs):
    """Seconds of one epoch, without what comes before the first one."""
    return (seconds(train, epochs) - seconds(train, 1)) / (epochs - 1)


def of_call(call, count):
    """Seconds of a call, the mean of `count`."""
    return timeit(call, number=count) / count


def interleave(samples, repeats, cap, pause):
    """{name: times}; `samples` maps names to functions that return a time.

    A function that has used up `cap` seconds is left out after two samples.
    """
    runs, used = {name: [] for name in samples}, dict.fromkeys(samples, 0.0)
    for _ in range(repeats):
        for name, sample in samples.items():
            if len(runs[name]) >= 2 and used[name] >= cap:
                continue
            time.sleep(pause)
            start = time.perf_counter()
            runs[name].append(sample())
            used[name] += time.perf_counter() - start
    return runs


def race(sample, tasks, goals, repeats, threads=1):
    """{name: summary of its times and ratio to fastgd}; `sample(task)` returns a time.

    The ratio is the peer's median over fastgd's, above 1 where fastgd is faster. There is none
    where a time is not above 0, as a difference of two fits on a busy machine may be.
    """
    samples = {name: partial(sample, task) for name, task in tasks.items()}
    with threadpool_limits(threads):
        runs = interleave(samples, repeats, CAP, SETTLE if threads > 1 else 0)
    summaries = {
        name: {"median": statistics.median(taken), "minimum": min(taken), "runs": taken}
        for name, taken in runs.items()
    }
    own = summaries["fastgd"]["median"] if "fastgd" in summaries else 0
    for name, summary in summaries.items():
        if name != "fastgd" and min(own, summary["median"]) > 0:
            summary["ratio"] = summary["median"] / own
            if name in goals:
                summary["goal"] = goals[name]
    return summaries
