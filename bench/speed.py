"""`python -m bench [NAME ...]`: time fastgd beside its peers (patterns such as 'sgd-*' too).

Whatever fastgd loses, and every goal that it misses, is marked.
"""

import json
from pathlib import Path

from bench import catalogue, peers, report, runner

LATEST = Path(__file__).parent / "results" / "latest.json"
HEADER = f"    {'peer':<16}{'median':>12}{'minimum':>12}{'runs':>6}{'objective':>14}  peer / fastgd"


def main(arguments):
    parser = report.parser("", __doc__, peers.NAMES)
    parser.epilog = (
        "commands with options of their own: accuracy, auto, defaults, everyday, recommender, scale"
    )
    parser.add_argument("--quick", action="store_true", help="few rows, few rounds: does it run?")
    parser.add_argument("--list", action="store_true", help="list the rows and stop")
    parser.add_argument("--output", type=Path, default=LATEST, help="JSON file to write")
    parser.add_argument("--repeats", type=int, help="timed rounds (default 7; 2 with --quick)")
    options = parser.parse_args(arguments)
    options.repeats = options.repeats or (2 if options.quick else 7)
    chosen, notes = report.choose(catalogue.TIMED, options.names)
    if options.list:
        for row in chosen:
            settings = ", ".join(f"{name}={value!r}" for name, value in row.settings.items())
            print(f"{row.name:<32}{row.kind} {row.data} {settings}")
        print(*notes, sep="\n")
        return 0
    works = dict.fromkeys(row.kind for row in chosen if row.kind in peers.WORK)
    absent = [note for work in works for note in peers.load(work, options.peers)[1]]
    machine, results = report.head([*notes, *dict.fromkeys(absent)]), []
    if options.quick:
        print(f"quick: at most {runner.QUICK_ROWS} rows; these times say nothing about speed")
    print(HEADER)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for row in chosen:
        for result in runner.measure(row, options):
            if result["peers"]:
                print(*lines(result), sep="\n", flush=True)
                results.append(result)
                # after each result, so that Ctrl-C loses at most one
                content = {"machine": machine, "quick": options.quick, "results": results}
                options.output.write_text(json.dumps(content, indent=1) + "\n")
    print("", *totals(results), options.output, sep="\n")
    return 0


def lines(result):
    """A result as lines of the table."""
    yield f"{result['problem']}  ({result['conditions']})"
    for name, summary in result["peers"].items():
        median, minimum = 1e3 * summary["median"], 1e3 * summary["minimum"]
        objective = f"{summary['objective']:14.8f}" if "objective" in summary else " " * 14
        line = f"    {name:<16}{median:12.3f}{minimum:12.3f}{len(summary['runs']):6d}{objective}"
        yield f"{line}{_verdict(summary)}".rstrip()
    reasons = [f"{name} {reason}" for name, reason in result["unsupported"].items()]
    if reasons:
        yield f"    left out: {'; '.join(reasons)}"


def _verdict(summary):
    if summary["median"] <= 0:
        return "  too short to be timed as a difference of two fits"
    goal = f" (goal {summary['goal']:.3g}x)" if "goal" in summary else ""
    ratio = f"{summary['ratio']:8.2f}x{goal}" if "ratio" in summary else ""
    if summary.get("evaluations"):
        ratio += f"  {summary['evaluations']} evaluations"
    loses = "  FASTGD LOSES" if summary.get("ratio", 1) < 1 else ""
    return f"{ratio}{loses}{report.missed(_reached(summary))}"


def _reached(summary):
    return summary.get("ratio", 0) >= summary.get("goal", 0)


def totals(results):
    """How many comparisons fastgd loses and how many goals it misses, each by name."""
    compared = [
        (f"{result['problem']} / {name} {summary['ratio']:.2f}x", summary)
        for result in results
        for name, summary in result["peers"].items()
        if "ratio" in summary
    ]
    lost = [label for label, summary in compared if summary["ratio"] < 1]
    goals = [label for label, summary in compared if "goal" in summary]
    short = [label for label, summary in compared if not _reached(summary)]
    yield f"fastgd loses {len(lost)} of {len(compared)} comparisons: {'; '.join(lost) or 'none'}"
    yield f"it misses {len(short)} of {len(goals)} goals: {'; '.join(short) or 'none'}"
