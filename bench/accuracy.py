"""`python -m bench accuracy`: seconds to a gap of 1e-4 and 1e-8, with each peer's best setting.

Gap: (F - F*) / (F of the best constant model - F*), with F evaluated here from the coefficients.
Each setting is fitted at one level of accuracy after the other, from loose to tight, until it
reaches the last gap or takes too long. The fastest fits that reach a gap are timed again in turn,
and the least time counts. Only `fit` is timed, on arrays in the layout that the solver likes.
"""

import warnings
from dataclasses import dataclass
from fnmatch import fnmatch

import numpy as np
from scipy.sparse import csr_matrix, issparse
from threadpoolctl import threadpool_limits

from bench import machine, optimum, peers, problems, report, timing

GAPS = (1e-4, 1e-8)
GOALS = (2.0, 1.0)  # ratio wanted on most rows, at each gap
FINALISTS = 2  # settings of a peer that are timed again, for each gap
# A setting ends with a fit that takes so many times the fastest time to the last gap,
SLOW = 4.0
# or one that takes longer than that time and has a larger gap than this.
HOPELESS = 1e-2
CAP, QUICK_CAP = 3.0, 0.5  # seconds of a fit from which on no tighter level is tried
ROUND_CAP = 1.0  # seconds of all repeats of a finalist
WARM_UP_ROWS = 200  # rows on which compilers are called first
REPEATS, QUICK_REPEATS = 4, 2


def main(arguments):
    parser = report.parser("accuracy", __doc__.partition("\n")[0].partition(": ")[2])
    report.add_peers(parser, peers.WORK["settings"])
    options = parser.parse_args(arguments)
    chosen, notes = report.available(report.choose(problems.ACCURACY, options.names))
    if options.quick and not options.names:
        chosen = [entry for entry in chosen if fnmatch(entry.name, "logistic *30000*")]
    solvers, absent = peers.load("settings", options.peers)
    made = report.Report(options, notes + absent)
    for problem in chosen:
        result = measure(problem, solvers, options.quick)
        made.add(result, lines(result))
    made.finish(summary(made.results))
    return 0


@dataclass
class Run:
    """A fit of one setting at one level."""

    setting: peers.Setting
    level: float | None
    seconds: float = np.inf
    gap: float = np.inf
    error: str = ""
    repeats: tuple = ()  # seconds, of a finalist

    def public(self):
        parts = {name: getattr(self, name) for name in ("level", "seconds", "gap", "repeats")}
        return {"setting": self.setting.name} | parts


def measure(problem, solvers, quick):
    problem, X, t = problem.load()
    solution, X_of = optimum.optimum(problem, X, t), layouts(X)
    runs, unsupported, best = {}, [], np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, settings_of in solvers.items():
            settings = settings_of(problem, len(t))
            if not settings:
                unsupported.append(name)
            for setting in settings:
                cap = min(QUICK_CAP if quick else CAP, SLOW * best)
                for run in climb(setting, X_of[setting.order], t, problem, solution, cap, best):
                    runs.setdefault(name, []).append(run)
                    if run.gap <= GAPS[-1]:
                        best = min(best, run.seconds)
        retime(runs, X_of, t, QUICK_REPEATS if quick else REPEATS)
    times = {name: [_fastest(tried, gap) for gap in GAPS] for name, tried in runs.items()}
    failed = [(name, run) for name, tried in runs.items() for run in tried if run.error]
    return {
        "problem": problem.name,
        "rows": len(t),
        "columns": X.shape[1],
        "intercept": problem.intercept,
        "optimum": vars(solution),
        "floor": problem.floor,
        "peers": times,
        "unsupported": unsupported,
        "ratios": ratios(times),
        "closest": {n: min(tried, key=lambda run: run.gap).public() for n, tried in runs.items()},
        "errors": [f"{name} {run.setting.name}: {run.error}" for name, run in failed],
    }


def layouts(X):
    """{order: X as solvers like it}: what is converted here is not timed."""
    if not issparse(X):
        return {"C": X, "F": np.asfortranarray(X)}
    rows = csr_matrix(X)
    rows.indices, rows.indptr = rows.indices.astype(np.int32), rows.indptr.astype(np.int32)
    rows.sort_indices()
    return {"C": rows, "F": rows.tocsc()}


def climb(setting, X, t, problem, solution, cap, best):
    """Runs from loose to tight, until the last gap is reached or a fit takes too long."""
    for number, level in enumerate(setting.levels):
        try:
            if setting.compiles and not number:
                setting.make(level).fit(X[:WARM_UP_ROWS], t[:WARM_UP_ROWS])
            model = setting.make(level)
            seconds = fit_seconds(model, X, t)
            gap = solution.gap(problem.value(X, t, *peers.coefficients(model)))
        except Exception as error:  # whatever a peer may raise is a line of the table
            yield Run(setting, level, error=repr(error)[:100])
            return
        yield Run(setting, level, seconds, gap)
        if gap <= GAPS[-1] or seconds > cap or seconds > best and gap > HOPELESS:
            return


def fit_seconds(model, X, t):
    """With all threads, whatever a peer has set: Snap ML leaves libgomp one thread."""
    with threadpool_limits(machine.cores()):
        return timing.seconds(model.fit, X, t)


def retime(runs, X_of, t, repeats):
    """Time the fastest runs of each peer to each gap again, in turn."""
    finalists = {}
    for name, tried in runs.items():
        for gap in GAPS:
            reached = sorted((run for run in tried if run.gap <= gap), key=lambda run: run.seconds)
            for run in reached[:FINALISTS]:
                finalists[name, run.setting.name, run.level] = run
    samples = {
        key: lambda run=run: fit_seconds(run.setting.make(run.level), X_of[run.setting.order], t)
        for key, run in finalists.items()
    }
    for key, taken in timing.interleave(samples, repeats, ROUND_CAP, timing.SETTLE).items():
        run = finalists[key]
        run.repeats = (run.seconds, *taken)
        run.seconds = min(run.repeats)


def _fastest(tried, gap):
    """What to report of a peer at a gap; None where it does not reach it."""
    reached = [run for run in tried if run.gap <= gap and run.repeats]
    return min(reached, key=lambda run: run.seconds).public() if reached else None


def ratios(times):
    """The fastest peer's time over fastgd's at each gap.

    0 if only peers reach it, infinite if only fastgd does, None if nobody.
    """
    ratios = []
    for number in range(len(GAPS)):
        reached = {name: runs[number]["seconds"] for name, runs in times.items() if runs[number]}
        own = reached.pop("fastgd", None)
        fastest = min(reached.values(), default=np.inf)
        ratios.append((0.0 if reached else None) if own is None else fastest / own)
    return ratios


def lines(result):
    about = "" if result["intercept"] else "; no intercept"
    yield (
        f"{result['problem']}  ({result['rows']} x {result['columns']}, F* "
        f"{result['optimum']['value']:.12g} to {result['optimum']['error']:.0e} of the gap of a "
        f"constant model{about})"
    )
    for name, runs in result["peers"].items():
        closest = result["closest"][name]
        end = ""
        if closest["gap"] > GAPS[-1]:  # it stalls there, or a tighter fit would take too long
            at = f"{closest['gap']:.0e} in {closest['seconds']:.2f} s"
            end = f"at best {at} by {closest['setting']}"
        yield f"    {name:<14}{''.join(map(_cell, runs))}{end}"
    if "fastgd" in result["peers"]:
        pairs = zip(GAPS, result["ratios"], strict=True)
        ratios = [(gap, ratio) for gap, ratio in pairs if ratio is not None]
        texts = [f"  {gap:g}: {ratio:.2f}x{_mark(result, gap, ratio)}" for gap, ratio in ratios]
        yield f"    fastest peer / fastgd{''.join(texts)}"
    yield from (f"    failed: {error}" for error in result["errors"])
    if result["unsupported"]:
        names = ", ".join(result["unsupported"])
        yield f"    left out (another objective, or no such model): {names}"


def _cell(run):
    if run is None:
        return f"{'-':>9}{'':<32}"
    level = "" if run["level"] is None else f" at {run['level']:g}"
    return f"{run['seconds']:9.4f} {'s, ' + run['setting'] + level:<31}"


def _mark(result, gap, ratio):
    if gap == GAPS[0] and ratio < result["floor"]:
        return " BELOW THE FLOOR"
    return " FASTGD LOSES" if ratio < 1 else ""


def summary(results):
    """How many rows reach the goal at each gap, and which are below their floor at the first."""
    compared = [result for result in results if "fastgd" in result["peers"]]
    for number, (gap, goal) in enumerate(zip(GAPS, GOALS, strict=True)):
        ratios = [result["ratios"][number] for result in compared]
        ratios = [ratio for ratio in ratios if ratio is not None]
        reached = [ratio for ratio in ratios if ratio >= goal]
        text = f"{goal:g}x the fastest peer on {len(reached)} of {len(ratios)} rows"
        yield f"to {gap:g}: {text} (goal: most){report.missed(len(reached) > len(ratios) / 2)}"
    first = [
        (result["problem"], result["ratios"][0] or 0.0, result["floor"]) for result in compared
    ]
    below = [f"{name} {ratio:.2f}x" for name, ratio, floor in first if ratio < floor]
    yield f"below its floor at {GAPS[0]:g}: {'; '.join(below) or 'none'}"
