"""`python -m bench accuracy`: seconds to a gap of 1e-4 and 1e-8, with each peer's best setting.

Gap: (F - F*) / (F of the best constant model - F*), with F evaluated here from the coefficients.
Each setting is fitted at one level of accuracy after the other, from loose to tight, until it
reaches the last gap or takes too long. The fastest fits that reach a gap are timed again in turn,
and the least time counts. Only `fit` is timed, on arrays in the layout that the solver likes.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.sparse import csr_matrix, issparse
from threadpoolctl import threadpool_limits

from bench import catalogue, optimum, peers, report, timing

GAPS = (1e-4, 1e-8)
GOALS = (2.0, 1.0)  # ratio wanted on most rows, at each gap
FINALISTS = 2  # settings of a peer that are timed again, for each gap
# A setting ends with a fit that takes so many times the fastest time to the last gap,
SLOW = 4.0
# or one that takes longer than that time and has a larger gap than this.
HOPELESS = 1e-2
CAP = 3.0  # seconds of a fit from which on no tighter level is tried
ROUND_CAP = 1.0  # seconds of all repeats of a finalist
WARM_UP_ROWS = 200  # rows on which compilers are called first
REPEATS = 4


def main(arguments):
    options = report.parser("accuracy", __doc__, peers.WORK["settings"]).parse_args(arguments)
    chosen, notes = report.choose(catalogue.ACCURACY, options.names)
    solvers, absent = peers.load("settings", options.peers)
    report.head(notes + absent)
    ratios = {gap: [] for gap in GAPS}
    for problem in chosen:
        runs, text = measure(problem, solvers)
        print(text, *lines(runs, solvers), sep="\n", flush=True)
        for gap in GAPS:
            ratios[gap].append(ratio_of(runs, gap))
    print()
    for (gap, column), goal in zip(ratios.items(), GOALS, strict=True):
        known = [ratio for ratio in column if ratio is not None]
        reached = sum(ratio >= goal for ratio in known)
        text = f"{goal:g}x the fastest peer on {reached} of {len(known)} rows"
        print(f"to {gap:g}: {text} (goal: most){report.missed(reached > len(known) / 2)}")
    return 0


@dataclass(eq=False)
class Run:
    """A fit of one setting at one level."""

    peer: str
    setting: peers.Setting
    level: float | None
    seconds: float = np.inf
    gap: float = np.inf
    error: str = ""

    def __str__(self):
        return self.setting.name + ("" if self.level is None else f" at {self.level:g}")


def measure(problem, solvers):
    """(runs, a line on the problem); only the fastest ones of each peer have been timed again."""
    problem, X, t = problem.load()
    solution, X_of, runs, best = optimum.optimum(problem, X, t), layouts(X), [], np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for peer, settings in solvers.items():
            for setting in settings(problem, len(t)):
                data = problem, X_of[setting.order], t, solution
                for run in climb(peer, setting, data, min(CAP, SLOW * best), best):
                    runs.append(run)
                    best = min(best, run.seconds) if run.gap <= GAPS[-1] else best
        time_again(runs, X_of, t)
    about = "" if problem.intercept else "; no intercept"
    return runs, (
        f"{problem.name}  ({len(t)} x {X.shape[1]}, F* {solution.value:.12g} to "
        f"{solution.error:.0e} of the gap of a constant model{about})"
    )


def layouts(X):
    """{order: X as solvers like it}: what is converted here is not timed."""
    if not issparse(X):
        return {"C": X, "F": np.asfortranarray(X)}
    rows = csr_matrix(X)
    rows.indices, rows.indptr = rows.indices.astype(np.int32), rows.indptr.astype(np.int32)
    rows.sort_indices()
    return {"C": rows, "F": rows.tocsc()}


def climb(peer, setting, data, cap, best):
    """Runs from loose to tight, until the last gap is reached or a fit takes too long."""
    problem, X, t, solution = data
    for number, level in enumerate(setting.levels):
        try:
            if setting.compiles and not number:
                setting.make(level).fit(X[:WARM_UP_ROWS], t[:WARM_UP_ROWS])
            model = setting.make(level)
            seconds = fit_seconds(model, X, t)
            gap = solution.gap(problem.value(X, t, *peers.coefficients(model)))
        except Exception as error:  # whatever a peer may raise is a line of the table
            yield Run(peer, setting, level, error=repr(error)[:100])
            return
        yield Run(peer, setting, level, seconds, gap)
        if gap <= GAPS[-1] or seconds > cap or seconds > best and gap > HOPELESS:
            return


def fit_seconds(model, X, t):
    """With all threads, whatever a peer has set: Snap ML leaves libgomp one thread."""
    with threadpool_limits(timing.cores()):
        return timing.seconds(model.fit, X, t)


def fastest(runs, peer, gap):
    """The runs of a peer that reach the gap, the fastest one first."""
    reached = [run for run in runs if run.peer == peer and run.gap <= gap]
    return sorted(reached, key=lambda run: run.seconds)


def time_again(runs, X_of, t):
    """Time the fastest runs of each peer to each gap again, in turn; the others count no more."""

    def again(run):
        return fit_seconds(run.setting.make(run.level), X_of[run.setting.order], t)

    finalists = {
        run: partial(again, run)
        for peer in dict.fromkeys(run.peer for run in runs)
        for gap in GAPS
        for run in fastest(runs, peer, gap)[:FINALISTS]
    }
    taken = timing.interleave(finalists, REPEATS, ROUND_CAP, timing.SETTLE)
    for run in runs:
        run.seconds = min(run.seconds, *taken[run]) if run in taken else np.inf


def ratio_of(runs, gap):
    """The fastest peer's time over fastgd's at a gap.

    0 if only peers reach it, infinite if only fastgd does, None if nobody.
    """
    times = {run.peer: fastest(runs, run.peer, gap)[0].seconds for run in runs if run.gap <= gap}
    own = times.pop("fastgd", None)
    if own is None:
        return 0.0 if times else None
    return min(times.values(), default=np.inf) / own


def lines(runs, solvers):
    for peer in solvers:
        tried = [run for run in runs if run.peer == peer]
        if not tried:
            yield f"    {peer:<14}left out: another objective, or no such model"
            continue
        cells = [fastest(runs, peer, gap)[:1] for gap in GAPS]
        texts = [f"{r.seconds:9.4f} {f's, {r}':<31}" for cell in cells for r in cell]
        closest = min(tried, key=lambda run: run.gap)
        if closest.gap > GAPS[-1]:  # it stalls there, or a tighter fit would take too long
            texts.append(f"  at best {closest.gap:.0e} by {closest}")
        yield f"    {peer:<14}{''.join(texts)}"
        yield from (f"    {peer} failed: {run}: {run.error}" for run in tried if run.error)
    ratios = [(gap, ratio_of(runs, gap)) for gap in GAPS if "fastgd" in solvers]
    marks = [
        f"  {gap:g}: {ratio:.2f}x{' FASTGD LOSES' * (ratio < 1)}"
        for gap, ratio in ratios
        if ratio is not None
    ]
    if marks:
        yield f"    fastest peer / fastgd{''.join(marks)}"
