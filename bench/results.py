"""What the commands `auto` and `accuracy` share: their options, the head of their output and the JSON that they leave."""

import argparse
import json
import time
from fnmatch import fnmatch
from pathlib import Path

from bench import machine

FOLDER = Path(__file__).parent / "results"


def parser(command, description):
    made = argparse.ArgumentParser(f"python -m bench {command}", description=description)
    made.add_argument("names", nargs="*", metavar="NAME", help="problems, or patterns of their names (default: all)")
    made.add_argument("--quick", action="store_true", help="few problems, few rounds: does it run?")
    made.add_argument("--output", type=Path, default=FOLDER / f"latest.{command}.json", help="JSON file to write")
    return made


def chosen(task, options):
    return not options.names or any(fnmatch(task.name, name) for name in options.names)


def start(options, notes):
    report = {"machine": machine.describe(), "quick": options.quick, "skipped": notes, "results": [], "started": time.time()}
    found, own = report["machine"], report["machine"]["fastgd"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if name != "fastgd")
    print(f"{found['cpu']}, {found['cores']} cores; fastgd {own.get('version')} ({own.get('isa')}), {versions}", *notes, sep="\n")
    return report


def add(report, result, options):
    """Keep a result; written after each, so that Ctrl-C loses one at most."""
    report["results"].append(result)
    _write(report, options.output)


def finish(report, options):
    report["seconds"] = time.time() - report.pop("started")
    _write(report, options.output)
    print("", *report["summary"], f"{options.output}, {report['seconds']:.0f} s", sep="\n")


def _write(report, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, default=float) + "\n")
