"""``python -m bench [NAME ...]``: measure what is named (everything by default; patterns such as 'sgd-*' too).

``python -m bench auto`` and ``python -m bench accuracy`` are commands of their own: training without a rate to choose beside the
best rate in hindsight, and the time that the named models take to a given accuracy. ``python -m bench recommender`` cross-validates
matrix factorization.
"""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

from bench import catalogue, derived, limits, machine, peers, run, table

RESULTS = Path(__file__).parent / "results"
COMMANDS = {"auto": "auto", "accuracy": "accuracy", "recommender": "recommenders"}


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] and arguments[0] in COMMANDS:
        return import_module(f"bench.{COMMANDS[arguments[0]]}").main(arguments[1:])
    options = _parse(arguments)
    available, notes = catalogue.available(options.big)
    if options.list:
        print("\n".join([f"{entry.name:<32}{entry.describe()}" for entry in available] + notes))
        return 0
    chosen = catalogue.choose(available, options.names)
    found, absent = peers.load(options.peers)
    for note in notes + absent:
        print(note)
    report = {"machine": machine.describe(), "quick": options.quick, "skipped": notes + absent, "results": []}
    print(f"{report['machine']['cpu']}, {report['machine']['cores']} cores; fastgd {report['machine']['fastgd']}")
    if options.quick:
        print(f"quick: at most {run.QUICK_ROWS} rows, to try the benchmark out; these times say nothing about speed")
    report["limits"] = limits.measure(dict.fromkeys((1, machine.cores())), options.quick)
    print("\n".join(limits.lines(report["limits"])))
    print(table.HEADER)
    for entry in chosen:
        for result in catalogue.measure(entry, found, report["limits"], options):
            print("\n".join(table.lines(result)), flush=True)
            report["results"].append(result)
            _write(report, options.output)  # after each, so that Ctrl-C loses one result at most
    report["derived"] = list(derived.lines(report["results"]))
    _write(report, options.output)
    print("", *report["derived"], *table.summary(report["results"]), options.output, sep="\n")
    if options.plot:
        from bench import plot

        print(plot.draw(report, options.output.with_suffix(".png")))
    return 0


def _parse(arguments):
    parser = argparse.ArgumentParser("python -m bench", description="Time fastgd beside its peers.",
                                     epilog=f"commands with options of their own: {', '.join(COMMANDS)}")  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure, or patterns of names (default: all)")
    parser.add_argument("--list", action="store_true", help="list what can be measured and stop")
    parser.add_argument("--repeats", type=int, help="timed rounds (default 7; 2 with --quick)")
    parser.add_argument("--seconds", type=float, default=20, help="after this much time a peer sits out (default 20)")
    parser.add_argument("--quick", action="store_true", help="few rows, few rounds: does it run?")
    parser.add_argument("--big", action="store_true", help=f"also X of {catalogue.LARGEST}")
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


def _write(report, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
