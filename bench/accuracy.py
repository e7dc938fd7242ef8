"""`python -m bench accuracy`: seconds to a relative gap of 1e-4 and 1e-8, for each peer at the best of its own settings.

Gap: (F - F*) / (F of the best constant model - F*), F evaluated here from the coefficients. Each setting is fitted at one level
of accuracy after the other, from loose to tight, until it reaches the last gap or takes too long; the fastest fits that reach a gap
are then timed again in turn, and the least time counts. What is timed is `fit` on arrays in the layout that the solver likes.
"""

import warnings
from fnmatch import fnmatch

import numpy as np
from threadpoolctl import threadpool_limits

from bench import machine, reference, results, solvers, tasks, timing

GAPS = (1e-4, 1e-8)
GOALS = (2.0, 1.0)  # ratio wanted on most rows, at each gap
FINALISTS = 2  # of a peer, timed again
PATIENCE = 4.0  # a fit that takes so many times the fastest time to the last gap ends its setting
HOPELESS = 1e-2  # as does one that takes longer than that and is no closer than this
CAP, QUICK_CAP, ROUND_CAP = 3.0, 0.5, 1.0  # seconds of a fit from which on no tighter level is tried; of all its repeats
COMPILED = 200  # rows on which compilers are called first
REPEATS, QUICK_REPEATS = 4, 2


def main(arguments=None):
    parser = results.parser("accuracy", __doc__.partition("\n")[0].partition(": ")[2])
    parser.add_argument("--peers", type=lambda text: text.split(","), help=f"of {','.join(solvers.PEERS)}")
    options = parser.parse_args(arguments)
    chosen, notes = tasks.available([task for task in tasks.ACCURACY if results.chosen(task, options)])
    if options.quick and not options.names:
        chosen = [task for task in chosen if fnmatch(task.name, "*30000*") and "logistic" in task.name]
    peers, absent = solvers.load(options.peers)
    report = results.start(options, notes + absent)
    for task in chosen:
        result = measure(task, peers, options)
        print("\n".join(lines(result)), flush=True)
        results.add(report, result, options)
    report["summary"] = list(summary(report["results"]))
    results.finish(report, options)
    return 0


def measure(task, peers, options):
    task, X, t = task.load()
    optimum, forms, n = reference.optimum(task, X, t), solvers.layouts(X), len(t)
    runs, unsupported, best = {}, [], np.inf
    cap = QUICK_CAP if options.quick else CAP
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, peer in peers.items():
            settings = peer(task, n)
            if not settings:
                unsupported.append(name)
            for setting in settings:
                for run in climb(setting, forms[setting.order], t, task, optimum, cap, best):
                    runs.setdefault(name, []).append(run)
                    if run["gap"] <= GAPS[-1]:
                        best = min(best, run["seconds"])
        retime(runs, forms, t, QUICK_REPEATS if options.quick else REPEATS)
    failed = [(name, run) for name, tried in runs.items() for run in tried if "error" in run]
    times = {name: [_fastest(tried, gap) for gap in GAPS] for name, tried in runs.items()}
    return {
        "problem": task.name, "rows": n, "columns": X.shape[1], "l1": task.l1, "l2": task.l2, "intercept": task.intercept,
        "optimum": optimum.value, "constant": optimum.constant, "error": optimum.error, "floor": task.floor,
        "peers": times, "unsupported": unsupported, "ratios": ratios(times),
        "best": {name: _closest(tried) for name, tried in runs.items()},
        "errors": [f"{name} {run['setting'].name}: {run['error']}" for name, run in failed],
    }  # fmt: skip


def climb(setting, X, t, task, optimum, cap, best):
    """Runs of one setting from loose to tight: until the last gap is reached or a fit takes too long."""
    for number, level in enumerate(setting.levels):
        try:
            if setting.compiles and not number:
                setting.make(level).fit(X[:COMPILED], t[:COMPILED])
            model = setting.make(level)
            seconds = fit_seconds(model, X, t)
            gap = optimum.gap(task.value(X, t, *solvers.coefficients(model)))
        except Exception as error:  # whatever a peer may raise is a line of the table
            yield {"setting": setting, "level": level, "seconds": np.inf, "gap": np.inf, "error": repr(error)[:100]}
            return
        yield {"setting": setting, "level": level, "seconds": seconds, "gap": gap}
        if gap <= GAPS[-1] or seconds > min(cap, PATIENCE * best) or seconds > best and gap > HOPELESS:
            return


def fit_seconds(model, X, t):
    """With all threads, whatever a peer has set in libraries that others use too (Snap ML leaves libgomp one thread)."""
    with threadpool_limits(machine.cores()):
        return timing.seconds(model.fit, X, t)


def retime(runs, forms, t, repeats):
    """Time the fastest runs of each peer to each gap again, in turn."""
    finalists = {}
    for name, tried in runs.items():
        for gap in GAPS:
            reached = sorted((run for run in tried if run["gap"] <= gap), key=lambda run: run["seconds"])
            finalists |= {(name, run["setting"].name, run["level"]): run for run in reached[:FINALISTS]}
    samples = {
        key: lambda run=run: fit_seconds(run["setting"].make(run["level"]), forms[run["setting"].order], t)
        for key, run in finalists.items()
    }
    for key, taken in timing.interleave(samples, repeats, ROUND_CAP, timing.SETTLE).items():
        finalists[key]["runs"] = [finalists[key]["seconds"], *taken]
        finalists[key]["seconds"] = min(finalists[key]["runs"])


def _fastest(tried, gap):
    """What to report of a peer at a gap; None where it does not reach it."""
    reached = [run for run in tried if run["gap"] <= gap and "runs" in run]
    if not reached:
        return None
    run = min(reached, key=lambda run: run["seconds"])
    return {key: run[key] for key in ("level", "seconds", "gap", "runs")} | {"setting": run["setting"].name}


def _closest(tried):
    run = min(tried, key=lambda run: run["gap"])
    return {"setting": run["setting"].name} | {key: run[key] for key in ("level", "seconds", "gap")}


def ratios(times):
    """The fastest peer's time over fastgd's at each gap: 0 if only peers reach it, infinite if only fastgd, None if nobody."""
    found = []
    for number in range(len(GAPS)):
        own = times.get("fastgd", [None] * len(GAPS))[number]
        rivals = [entries[number]["seconds"] for name, entries in times.items() if name != "fastgd" and entries[number]]
        if own is None:
            found.append(0.0 if rivals else None)
        else:
            found.append(min(rivals, default=np.inf) / own["seconds"])
    return found


def lines(result):
    yield (f"{result['problem']}  ({result['rows']} x {result['columns']}, F* {result['optimum']:.12g} to {result['error']:.0e} of "
           f"the gap of a constant model{'' if result['intercept'] else '; no intercept'})")  # fmt: skip
    for name, found in result["peers"].items():
        cells = [f"{'-':>9}{'':<32}" if entry is None else f"{entry['seconds']:9.4f} {_setting(entry):<31}" for entry in found]
        yield f"    {name:<14}" + "".join(cells) + _end(result["best"][name])
    if "fastgd" in result["peers"]:
        marks = "".join(f"  {gap:g}: {ratio:.2f}x{_mark(result, gap, ratio)}" for gap, ratio in _rows(result))
        yield f"    fastest peer / fastgd{marks}"
    yield from (f"    failed: {error}" for error in result["errors"])
    if result["unsupported"]:
        yield "    not here (another objective, or none such): " + ", ".join(result["unsupported"])


def _end(best):
    """How close a peer came, where it did not reach the last gap: it stalls there, or a tighter fit would have taken too long."""
    if best["gap"] <= GAPS[-1]:
        return ""
    return f"at best {best['gap']:.0e} in {best['seconds']:.2f} s by {best['setting']}"


def _setting(entry):
    level = entry["level"]
    text = "" if level is None else f" at {level:g}"
    return f"s, {entry['setting']}{text}"


def _rows(result):
    return [(gap, ratio) for gap, ratio in zip(GAPS, result["ratios"], strict=True) if ratio is not None]


def _mark(result, gap, ratio):
    if gap == GAPS[0] and ratio < result["floor"]:
        return " BELOW THE FLOOR"
    return " FASTGD LOSES" if ratio < 1 else ""


def summary(found):
    """How many rows reach the goal at each gap, and which are below their floor at the first."""
    compared = [result for result in found if "fastgd" in result["peers"]]
    if not compared:
        yield "fastgd has none of these models: only peers were timed"
        return
    for number, (gap, goal) in enumerate(zip(GAPS, GOALS, strict=True)):
        known = [result for result in compared if result["ratios"][number] is not None]
        reached = [result for result in known if result["ratios"][number] >= goal]
        mark = "" if len(reached) > len(known) / 2 else "  goal missed"
        yield f"to {gap:g}: {goal:g}x the fastest peer on {len(reached)} of {len(known)} rows (goal: most){mark}"
    first = {result["problem"]: (result["ratios"][0] or 0.0, result["floor"]) for result in compared}
    below = [f"{name} {ratio:.2f}x" for name, (ratio, floor) in first.items() if ratio < floor]
    yield f"below its floor at {GAPS[0]:g}: {'; '.join(below) or 'none'}"
