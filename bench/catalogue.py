"""All that can be measured, by name: problems to train on, calls of a fitted model, imports, recommenders, minimisations."""

import sys
from dataclasses import replace
from fnmatch import fnmatch

from bench import calls, data, imports, minimizers, networks, own_losses, problems, recommenders, run
from bench.machine import free_memory

MEASURES = {
    problems.Problem: run.measure,
    networks.Network: networks.measure,
    calls.Call: calls.measure,
    imports.Import: imports.measure,
    recommenders.Recommender: recommenders.measure,
    **dict.fromkeys(minimizers.MEASURES, minimizers.measure),
    own_losses.OwnLoss: own_losses.measure,
}
ALL = problems.ALL + networks.ALL + calls.ALL + imports.ALL + recommenders.ALL + minimizers.ALL + own_losses.ALL
LARGEST = f"{data.GIGABYTES[-1]:g}GB"
MARGIN = 1.5  # of free memory over the size of X


def available(big):
    """(entries, notes): those that this machine can do; a note for each left out or replaced."""
    entries, notes = [], []
    for entry in ALL:
        size = data.LARGE[entry.data].args[0] if getattr(entry, "data", "") in data.LARGE else 0
        if entry.name.endswith(LARGEST) and not big:
            notes.append(f"{entry.name}: skipped without --big")
        elif free_memory() < MARGIN * size:
            notes.append(f"{entry.name}: skipped, it needs {MARGIN * size / 1e9:.1f} GB of free memory")
        elif getattr(entry, "data", "").startswith("fashion") and not data.fashion_folder():
            entries.append(_stand_in(entry))
            notes.append(
                f"{entry.name}: skipped, no Fashion-MNIST (set FASTGD_DATA to the folder of its IDX files, or install "
                f"Debian's dataset-fashion-mnist); {entries[-1].name} runs instead"
            )
        else:
            entries.append(entry)
    return entries, notes


def _stand_in(entry):
    """The same on synthetic rows of Fashion-MNIST's shape, under another name."""
    name = entry.name.replace("fashion", "synthetic")
    return replace(entry, name=name, data=entry.data.replace("fashion", "synthetic"))


def choose(entries, names):
    for name in names:
        if not any(fnmatch(entry.name, name) for entry in entries):
            sys.exit(f"nothing is called {name!r}; see --list")
    return [entry for entry in entries if not names or any(fnmatch(entry.name, name) for name in names)]


def measure(entry, *arguments):
    """The results of one entry, one after the other."""
    return MEASURES[type(entry)](entry, *arguments)
