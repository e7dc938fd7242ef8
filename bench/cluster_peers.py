"""Seconds to a relative gap of GAP on two local workers of one thread, beside dask-ml and Spark ML.

Logistic regression with an intercept and without a penalty: dask-ml's `gradient_descent` and
`newton` have no penalty, and its other solvers penalise the intercept too. Gap: as in
`python -m bench accuracy`, with the objective evaluated here from the coefficients.

The rows come in any order, and sorted by a column: then partitions differ, as they do where they
are days or places. Of the sums that most solvers make the order changes the rounding only; the ADMM
of dask-ml averages models of the partitions. So only fastgd and ADMM fit both.

A setting is fitted at one level of accuracy after the other, from loose to tight, until it reaches
the gap. Those fits are timed again in turn, as in `cluster.py`, and their median counts. The data
are placed before, and only `fit` is timed.
"""

from functools import partial
from statistics import median

from bench import cluster, optimum, peers, report, timing
from bench.catalogue import Problem

ROWS, PARTITION, WORKERS = 1_000_000, 100_000, 2  # 40 MB a partition
GAP = 1e-6
GOALS = {"dask-ml": 5.0, "spark": 3.0}  # the time of a peer's best setting over fastgd's
BY_PARTITION = {"fastgd": "", "dask-ml": "admm"}  # peer: settings that are fitted to sorted rows
CAP = 30.0  # seconds of a fit from which on no tighter level is tried
TURNS, PATIENCE = 5, 300


def compare():
    """Lines for each order of the rows."""
    if reason := cluster.missing():
        yield reason
        return
    functions, absent = peers.load("cluster")
    yield from absent
    with cluster.local_client(WORKERS) as client, client.as_current():
        for is_sorted in (False, True):
            yield from compare_order(functions, client, is_sorted)


def compare_order(functions, client, is_sorted):
    """A line for each setting, then one for each peer."""
    problem = Problem("cluster", "", "log_loss")
    X, y = cluster.place(client, ROWS, PARTITION, is_sorted)
    here, t = X.compute(), 2.0 * y.compute() - 1
    solution, reached = optimum.optimum(problem, here, t), {}
    order = "sorted by a column" if is_sorted else "in any order"
    yield f"{ROWS} x {cluster.COLUMNS}, {PARTITION} rows a partition, {order}"

    def gap_of(model):
        return solution.gap(problem.value(here, t, *peers.coefficients(model)))

    for peer, settings in functions.items():
        if is_sorted and peer not in BY_PARTITION:
            continue
        for setting in settings(problem, X, y, WORKERS):
            if is_sorted and not setting.name.startswith(BY_PARTITION[peer]):
                continue
            level, gap = first_level(setting, X, y, gap_of)
            name = f"{peer} {setting.name}"
            if gap <= GAP:
                reached[name] = peer, level, gap, partial(fit_seconds, setting, level, X, y)
            else:
                yield f"    {name:<32}at best gap {gap:.0e}, at {level:g}"
    samples = [sample for *_, sample in reached.values()]
    taken, others = cluster.quietest(samples, PATIENCE, TURNS)
    yield cluster.quiet_line(others)
    yield from lines(reached, dict(zip(reached, map(median, taken), strict=True)))


def first_level(setting, X, y, gap_of):
    """(level, gap) of the first level that reaches GAP, else of the closest one."""
    found = []
    for level in setting.levels:
        model = setting.make(level)
        taken = timing.seconds(model.fit, X, y)
        found.append((gap_of(model), level))
        if found[-1][0] <= GAP or taken > CAP:
            break
    gap, level = found[-1] if found[-1][0] <= GAP else min(found)
    return level, gap


def fit_seconds(setting, level, X, y):
    return timing.seconds(setting.make(level).fit, X, y)


def lines(reached, times):
    best = {}
    for name, (peer, *_) in reached.items():
        best[peer] = min(best.get(peer, name), name, key=times.get)
    own = times.get(best.get("fastgd"))
    for name, (_, level, gap, _) in reached.items():
        ratio = f"{times[name] / own:6.2f}x" if own else ""
        yield f"    {name:<32}{times[name]:7.2f} s {ratio}  gap {gap:.0e}, at {level:g}"
    for peer, goal in GOALS.items():
        if peer in best and own:
            ratio = times[best[peer]] / own
            text = f"{best[peer]} / fastgd: {ratio:.2f}x (goal {goal:g})"
            yield f"    {text}{report.missed(ratio >= goal)}"
