"""What the commands share: options, choice of rows, the head of the output, the JSON they leave."""

import argparse
import json
import sys
import time
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from bench import data, machine

FOLDER = Path(__file__).parent / "results"
MARGIN = 1.5  # of free memory over the size of X


def parser(command, description):
    made = argparse.ArgumentParser(f"python -m bench {command}".strip(), description=description)
    made.add_argument("names", nargs="*", metavar="NAME", help="names or patterns (default: all)")
    made.add_argument("--quick", action="store_true", help="few rows, few rounds: does it run?")
    output = FOLDER / (f"latest.{command}.json" if command else "latest.json")
    made.add_argument("--output", type=Path, default=output, help="JSON file to write")
    return made


def add_peers(made, names):
    """The option --peers."""

    def chosen(text):
        unknown = set(text.split(",")) - set(names)
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no peer {', '.join(sorted(unknown))}")
        return text.split(",")

    made.add_argument("--peers", type=chosen, help=f"of {','.join(names)}")


def available(entries, big=True):
    """(entries, notes): those that this machine can do; a note for each left out or replaced."""
    kept, notes = [], []
    for entry in entries:
        name = getattr(entry, "data", "")
        size, reason, stand_in = data.bytes_of(name), data.missing(name), data.STAND_INS.get(name)
        if size == max(map(data.bytes_of, data.LARGE)) and not big:
            notes.append(f"{entry.name}: skipped without --big")
        elif machine.free_memory() < MARGIN * size:
            notes.append(f"{entry.name}: skipped, it needs {MARGIN * size / 1e9:.1f} GB of memory")
        elif reason and not stand_in:
            notes.append(f"{entry.name}: skipped, {reason}")
        elif reason:
            new_name = entry.name.replace("fashion", "synthetic").replace("a9a", "a9a-like")
            kept.append(replace(entry, name=new_name, data=stand_in))
            notes.append(f"{entry.name}: {reason}; {new_name} runs instead, on {stand_in}")
        else:
            kept.append(entry)
    return kept, notes


def choose(entries, names):
    """The entries whose name matches one of the patterns; all where there are none."""
    for name in names:
        if not any(fnmatch(entry.name, name) for entry in entries):
            sys.exit(f"nothing is called {name!r}; `python -m bench --list` lists the timed rows")
    return [e for e in entries if not names or any(fnmatch(e.name, name) for name in names)]


def missed(reached):
    return "" if reached else "  goal missed"


class Report:
    """Results of a command, written to a JSON file after each, so that Ctrl-C loses at most one."""

    def __init__(self, options, notes):
        self.path, self.start, about = options.output, time.time(), machine.describe()
        head = {"machine": about, "quick": options.quick, "skipped": notes}
        self.content = head | {"results": []}
        versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
        print(f"{about['cpu']}, {about['cores']} cores; fastgd {about['fastgd']}, {versions}")
        print(*notes, sep="\n", end="\n" if notes else "")

    @property
    def results(self):
        return self.content["results"]

    def add(self, result, lines):
        print("\n".join(lines), flush=True)
        self.results.append(result)
        self._write()

    def finish(self, summary):
        self.content["summary"] = list(summary)
        self.content["seconds"] = time.time() - self.start
        self._write()
        end = f"{self.path}, {self.content['seconds']:.0f} s"
        print("", *self.content["summary"], end, sep="\n")

    def _write(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.content, indent=1, default=float) + "\n")
