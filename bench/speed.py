"""`python -m bench [NAME ...]`: time fastgd beside its peers (patterns such as 'sgd-*' too).

Whatever fastgd loses, and every goal that it misses, is marked.
"""

from fnmatch import fnmatch

from bench import data, limits, machine, peers, problems, report, runner

HEADER = (
    f"    {'peer':<16}{'median':>12}{'minimum':>12}{'runs':>6}{'objective':>14}  "
    f"{'peak over X':<28}{'of the limit':<26}peer / fastgd"
)
# rows that must keep a part of another's ratio to a peer: (row, the other, peer, part)
KEPT = [
    (f"sgd-sparse-{name}", "sgd-sparse", "scikit-learn", 0.7)
    for name in ("l1", "elasticnet", "average")
]
# rows that differ in size only, and how much the time of a nonzero may grow from the smallest size
GROWTH = {"scale-sgd-dense-*": 1.3, "scale-full-dense-*": 1.3, "scale-sgd-sparse-*": 1.3}


def main(arguments):
    options = _parse(arguments)
    entries, notes = report.available(problems.TIMED, options.big)
    if options.list:
        print("\n".join([f"{entry.name:<32}{entry}" for entry in entries] + notes))
        return 0
    chosen = report.choose(entries, options.names)
    works = dict.fromkeys(work for entry in chosen if (work := runner.work_of(entry)))
    absent = dict.fromkeys(note for work in works for note in peers.load(work, options.peers)[1])
    made = report.Report(options, notes + list(absent))
    if options.quick:
        print(f"quick: at most {runner.QUICK_ROWS} rows; these times say nothing about speed")
    print(*limits.lines(machine.thread_counts(("one", "all")), options.quick), HEADER, sep="\n")
    for entry in chosen:
        for result in runner.measure(entry, options):
            if result["peers"]:
                made.add(result, lines(result))
    made.finish([*evaluations(made.results), *across_rows(made.results), *totals(made.results)])
    if options.plot:
        from bench import plot

        print(plot.draw(made.content, options.output.with_suffix(".png")))
    return 0


def _parse(arguments):
    parser = report.parser("", "Time fastgd beside its peers.")
    parser.epilog = "commands with options of their own: accuracy, auto, defaults, recommender"
    report.add_peers(parser, peers.NAMES)
    parser.add_argument("--list", action="store_true", help="list the rows and stop")
    parser.add_argument("--repeats", type=int, help="timed rounds (default 7; 2 with --quick)")
    parser.add_argument("--seconds", type=float, default=20, help="of a peer, at most (default 20)")
    parser.add_argument("--big", action="store_true", help=f"also X of {data.GIGABYTES[-1]:g} GB")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="no peak memory")
    parser.add_argument("--no-plot", dest="plot", action="store_false", help="no PNG")
    options = parser.parse_args(arguments)
    if options.repeats is None:
        options.repeats = 2 if options.quick else 7
    if options.repeats < 1:
        parser.error(f"--repeats {options.repeats}: at least 1")
    return options


def lines(result):
    """A result as lines of the table."""
    yield f"{result['problem']}  ({_conditions(result)}ms per {result['unit']})"
    for name, summary in result["peers"].items():
        median, minimum = 1e3 * summary["median"], 1e3 * summary["minimum"]
        objective = f"{summary['objective']:14.8f}" if "objective" in summary else " " * 14
        line = (
            f"    {name:<16}{median:12.3f}{minimum:12.3f}{len(summary['runs']):6d}{objective}"
            f"  {_memory(name, summary, result):<28}{_limit(summary):<26}{_verdict(summary)}"
        )
        yield line.rstrip()
    if result.get("unsupported"):
        reasons = (f"{name} {reason}" for name, reason in result["unsupported"].items())
        yield "    left out: " + "; ".join(reasons)


def _conditions(result):
    parts = []
    if "rows" in result:
        layout = " CSR" if result["sparse"] else ""
        parts.append(f"{result['rows']} x {result['columns']} {result['dtype']}{layout}")
    return "".join(f"{part}, " for part in parts + _case(result))


def _case(result):
    """The order of the rows and the number of threads, where they are chosen."""
    order = ["shuffled" if result["shuffle"] else "in order"] if "shuffle" in result else []
    threads = result.get("threads")
    return order + ([f"{threads} thread{'s' * (threads > 1)}"] if threads else [])


def _memory(name, summary, result):
    if "memory" not in summary:
        return ""
    text, most = f"{summary['memory'] / 2**20:8.1f} MB", result["memory_limit"]
    if name != "fastgd":
        return text
    return f"{text} (limit {most / 2**20:.1f}){' ABOVE' if summary['memory'] > most else ''}"


def _limit(summary):
    if "limit" not in summary:
        return ""
    limit = summary["limit"]
    goal = f" (goal {limit['goal']:.0%})" if "goal" in limit else ""
    return f"{limit['fraction']:4.0%} {limit['of']}{goal}"


def _verdict(summary):
    if "over_ms" in summary:
        return (
            f"{summary['over_ms']:+8.1f} ms (goal at most {summary['goal_ms']:g}){marks(summary)}"
        )
    if summary["median"] <= 0:
        return "too short to be timed as a difference of two fits"
    if "ratio" not in summary:
        return marks(summary)
    goal = f" (goal {summary['goal']:g}x)" if "goal" in summary else ""
    bits = {None: "", True: "  same bits", False: "  OTHER BITS"}[summary.get("same_bits")]
    return f"{summary['ratio']:8.2f}x{goal}{bits}{marks(summary)}"


def _goals(summary):
    """(reached value, goal) pairs; larger is better."""
    limit = summary.get("limit", {})
    pairs = [
        (summary.get("ratio"), summary.get("goal")),
        (limit.get("fraction"), limit.get("goal")),
        (summary.get("goal_ms"), summary.get("over_ms")),
    ]
    return [pair for pair in pairs if None not in pair]


def marks(summary):
    """Says where fastgd loses, and where it misses a goal."""
    loses = "  FASTGD LOSES" if summary.get("ratio", 1) < 1 else ""
    return loses + report.missed(all(got >= goal for got, goal in _goals(summary)))


def totals(results):
    """How many comparisons fastgd loses and how many goals it misses, each by name."""
    summaries = [
        (f"{result['problem']} / {name}", summary)
        for result in results
        for name, summary in result["peers"].items()
    ]
    ratios = [(label, summary["ratio"]) for label, summary in summaries if "ratio" in summary]
    lost = [f"{label} {ratio:.2f}x" for label, ratio in ratios if ratio < 1]
    goals = [label for label, summary in summaries if _goals(summary)]
    short = [label for label, summary in summaries if "goal missed" in marks(summary)]
    yield f"fastgd loses {len(lost)} of {len(ratios)} comparisons{_named(lost)}"
    yield f"it misses {len(short)} of {len(goals)} goals{_named(short)}"


def _named(labels):
    return ": " + "; ".join(labels) if labels else ""


def evaluations(results):
    """How many evaluations of a cost fastgd needs for a gradient as small as SciPy's."""
    for result in results:
        counts = [peer.get("evaluations") for peer in result["peers"].values()]
        if len(counts) == 2 and all(counts):
            (own, other), most = counts, result["max_evaluations"]
            name, ratio = result["problem"], own / other
            text = f"{name}: {own} evaluations, SciPy {other}; {ratio:.2f}x (goal {most:g}x)"
            yield text + report.missed(ratio <= most)


def across_rows(results):
    """What follows from several rows: the part of a ratio that is kept, the growth with size."""
    cases = [(result["problem"], ", ".join(_case(result)), result) for result in results]
    for name, base, peer, part in KEPT:
        ratios = {(n, case): r["peers"].get(peer, {}).get("ratio") for n, case, r in cases}
        for (problem, case), ratio in ratios.items():
            if problem == name and ratio and ratios.get((base, case)):
                kept = ratio / ratios[base, case]
                text = f"{name} {case}: {kept:.2f} of {base}'s ratio to {peer} (goal {part:g})"
                yield text + report.missed(kept >= part)
    for pattern, most in GROWTH.items():
        same = [(case, result) for name, case, result in cases if fnmatch(name, pattern)]
        for case in dict.fromkeys(case for case, _ in same):
            costs = {
                result["bytes"]: 1e9 * result["peers"]["fastgd"]["median"] / result["nonzeros"]
                for other, result in same
                if other == case and result["peers"].get("fastgd", {"median": 0})["median"] > 0
            }
            if len(costs) > 1:
                growth = max(costs.values()) / costs[min(costs)]
                text = ", ".join(f"{size / 1e9:.1f} GB {ns:.3f}" for size, ns in costs.items())
                line = f"{pattern} {case}: ns a nonzero {text}; {growth:.2f}x (goal {most:g}x)"
                yield line + report.missed(growth <= most)
