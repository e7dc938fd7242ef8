"""Imports, each in a fresh process, beside the import that fastgd cannot do without."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench import timing

ROOT = Path(__file__).parent.parent
ROUNDS = 3  # for each of the run's: a process is cheap and its time is noisy
CODE = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


@dataclass(frozen=True)
class Import:
    name: str
    statement: str
    peer: str
    baseline: str
    goal: float  # ms by which the statement's median may exceed the baseline's

    def describe(self):
        return f"{self.statement!r} over {self.baseline!r}"


ALL = [
    Import("import-fastgd", "import numpy, fastgd", "numpy", "import numpy", 10),
    Import("import-SGDClassifier", "from fastgd import SGDClassifier", "scikit-learn",
           "from sklearn.linear_model import SGDClassifier", 15),
]  # fmt: skip


def measure(entry, peers, found_limits, options):
    if "fastgd" not in peers:
        return
    statements = {"fastgd": entry.statement, entry.peer: entry.baseline}
    samples = {name: lambda statement=statement: _fresh(statement) for name, statement in statements.items()}
    for sample in samples.values():
        sample()  # once before, so that the files are in memory and compiled
    runs = timing.interleave(samples, ROUNDS * options.repeats, options.seconds, 0)
    entries = {name: timing.summary(taken) for name, taken in runs.items()}
    over = entries["fastgd"]["median"] - entries[entry.peer]["median"]
    entries["fastgd"] |= {"over_ms": 1e3 * over, "goal_ms": entry.goal}
    yield {"problem": entry.name, "unit": "import", "statements": statements, "goals": {}, "peers": entries}


def _fresh(statement):
    command = [sys.executable, "-c", CODE.format(statement)]
    keep_compiled = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}  # as all packages are once installed
    return float(subprocess.run(command, cwd=ROOT, env=keep_compiled, capture_output=True, text=True, check=True).stdout)
