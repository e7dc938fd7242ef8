"""``python -m bench [NAME ...]``: run the named problems (all of them by default; patterns such as 'sgd-*' too)."""

import argparse
import json
import sys
from fnmatch import fnmatch
from pathlib import Path

from bench import machine, peers, problems, run

RESULTS = Path(__file__).parent / "results"
QUICK_ROWS = 2000


def main(arguments=None):
    options = _parse(arguments)
    available, notes = problems.available()
    if options.list:
        print("\n".join([_describe(problem) for problem in available] + notes))
        return 0
    chosen = _choose(available, options.names)
    found, absent = peers.load(options.peers)
    for note in notes + absent:
        print(note)
    report = {"machine": machine.describe(), "quick": options.quick, "skipped": notes + absent, "results": []}
    print(f"{report['machine']['cpu']}, {report['machine']['cores']} cores; fastgd {report['machine']['fastgd']}")
    if options.quick:
        print(f"quick: at most {QUICK_ROWS} rows, to try the benchmark out; these times say nothing about speed")
    print(run.HEADER)
    for problem in chosen:
        for result in run.measure(problem, found, options.repeats, options.seconds,
                                  QUICK_ROWS if options.quick else None, options.memory):  # fmt: skip
            print("\n".join(run.lines(result)), flush=True)
            report["results"].append(result)
            _write(report, options.output)  # after each, so that Ctrl-C loses one result at most
    print(f"\n{_losses(report)}\n{options.output}")
    if options.plot:
        from bench import plot

        print(plot.draw(report, options.output.with_suffix(".png")))
    return 0


def _parse(arguments):
    parser = argparse.ArgumentParser("python -m bench", description="Time fastgd beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="problems, or patterns of their names (default: all)")
    parser.add_argument("--list", action="store_true", help="list the problems and stop")
    parser.add_argument("--repeats", type=int, help="timed rounds (default 7; 2 with --quick)")
    parser.add_argument("--seconds", type=float, default=20, help="after this much time a peer sits out (default 20)")
    parser.add_argument("--quick", action="store_true", help="few rows, few rounds: does it run?")
    parser.add_argument("--peers", type=lambda text: text.split(","), help=f"of {','.join(peers.MODULES)}")
    parser.add_argument("--output", type=Path, default=RESULTS / "latest.json", help="JSON file to write")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="do not measure the peak memory")
    parser.add_argument("--no-plot", dest="plot", action="store_false", help="do not draw the PNG beside the JSON")
    options = parser.parse_args(arguments)
    if options.repeats is None:
        options.repeats = 2 if options.quick else 7
    if options.repeats < 1:
        parser.error(f"--repeats {options.repeats}: at least 1")
    unknown = set(options.peers or ()) - set(peers.MODULES)
    if unknown:
        parser.error(f"--peers: no peer {', '.join(sorted(unknown))}; there are {', '.join(peers.MODULES)}")
    return options


def _choose(available, names):
    for name in names:
        if not any(fnmatch(problem.name, name) for problem in available):
            sys.exit(f"no problem is called {name!r}; see --list")
    return [problem for problem in available if not names or any(fnmatch(problem.name, name) for name in names)]


def _describe(problem):
    return (f"{problem.name:<30}{problem.data:<16}{problem.loss:<15}{problem.penalty:<4}batch {problem.batch_size!s:<6}"
            f"{problem.dtype:<9}{', '.join(problem.threads)}")  # fmt: skip


def _losses(report):
    """One line that counts the comparisons that fastgd loses, and names them."""
    compared = [(result, name, entry["ratio"]) for result in report["results"]
                for name, entry in result["peers"].items() if "ratio" in entry]  # fmt: skip
    lost = [f"{result['problem']} to {name} ({ratio:.2f}x)" for result, name, ratio in compared if ratio < 1]
    if not compared:
        return "nothing was compared with fastgd"
    return f"fastgd loses {len(lost)} of {len(compared)} comparisons" + (": " + "; ".join(lost) if lost else "")


def _write(report, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
