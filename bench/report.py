"""What the commands share: options, choice of rows, the head of the output."""

import argparse
import fnmatch
import platform
import sys
import warnings
from dataclasses import replace
from datetime import date
from importlib import metadata
from pathlib import Path

import fastgd
from bench import data
from bench.timing import cores
from fastgd.kernels import ISA

PACKAGES = ("numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "torch", "vowpalwabbit",
            "snapml", "cyanure", "skglm", "celer", "glum", "scikit-surprise", "libmf",
            "numba", "dask", "dask-ml", "pyspark")  # fmt: skip


def parser(command, text, peers=()):
    """Of a command whose docstring begins with its call and, after a colon, what it does."""
    description = text.partition("\n")[0].partition(": ")[2]
    made = argparse.ArgumentParser(f"python -m bench {command}".strip(), description=description)
    made.add_argument("names", nargs="*", metavar="NAME", help="names or patterns (default: all)")
    if peers:
        made.add_argument("--peers", action="append", choices=peers, help="only these")
    return made


def parts(command, text, functions, arguments):
    """Run a command of parts {name: function that yields lines}: all, or those in the arguments."""
    made = argparse.ArgumentParser(f"python -m bench {command}", description=text)
    made.add_argument("names", nargs="*", default=[*functions], help=f"of {', '.join(functions)}")
    warnings.simplefilter("ignore")
    names = made.parse_args(arguments).names
    head([])
    for name in names:
        for line in functions[name]():
            print(line, flush=True)
    return 0


def choose(entries, names):
    """(entries, notes): those asked for that can be had; a note for each set that is missing."""
    known = [entry.name for entry in entries]
    for name in names:
        if not fnmatch.filter(known, name):
            sys.exit("\n".join([f"nothing is called {name!r}; there are", *known]))
    wanted = {found for name in names or ["*"] for found in fnmatch.filter(known, name)}
    kept, notes = [], {}
    for entry in (entry for entry in entries if entry.name in wanted):
        reason = data.missing(entry.data)
        name, stand_in = (of.replace("fashion", "synthetic") for of in (entry.name, entry.data))
        if not reason:
            kept.append(entry)
        elif stand_in == entry.data:
            notes[entry.data] = f"{entry.data}: {reason}; skipped"
        else:
            notes[entry.data] = f"{entry.data}: {reason}; {stand_in} runs instead"
            kept.append(replace(entry, name=name, data=stand_in))
    return kept, list(notes.values())


def machine():
    """What a measurement depends on, and its day."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    installed = {found.name: found.version for found in metadata.distributions()}
    versions = {"python": platform.python_version(), "fastgd": f"{fastgd.__version__} ({ISA})"}
    versions |= {name: installed[name] for name in PACKAGES if name in installed}
    return {
        "cpu": [*names, platform.processor()][0],
        "cores": cores(),
        "date": date.today().isoformat(),
        "versions": versions,
    }


def head(notes):
    """Print what a measurement depends on, and the notes; returns the first."""
    found = machine()
    texts = [f"{name} {version}" for name, version in found["versions"].items()]
    print(f"{found['cpu']}, {found['cores']} cores; {', '.join(texts)}", *notes, sep="\n")
    return found


def missed(reached):
    return "" if reached else "  goal missed"
