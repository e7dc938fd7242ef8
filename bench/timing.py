"""Times of several tasks taken in turn, A B A B, so that what disturbs one disturbs the others too."""

import statistics
import time

SETTLE = 0.1  # seconds; the idle threads of BLAS and OpenMP spin for a while and would slow down the next peer


def interleave(samples, repeats, cap, pause):
    """{name: times}; `samples` maps names to functions that return a time. Who used up `cap` seconds sits out after two."""
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


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def summary(taken):
    return {"median": statistics.median(taken), "minimum": min(taken), "runs": taken}


def compare(entries, goals):
    """Give each entry its ratio to fastgd: its median time over fastgd's, above 1 where fastgd is faster.

    None where a time is not above zero, as the difference of two fits may come out on a busy machine.
    """
    own = entries["fastgd"]["median"] if "fastgd" in entries else 0
    for name, entry in entries.items():
        if name != "fastgd" and min(own, entry["median"]) > 0:
            entry["ratio"] = entry["median"] / own
            goal = goals.get("own" if name.startswith("fastgd ") else name)
            if goal is not None:
                entry["goal"] = goal
