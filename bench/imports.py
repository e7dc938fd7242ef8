"""Imports, each in a fresh process, beside the import that fastgd cannot do without."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench import timing

ROOT = Path(__file__).parent.parent
ROUNDS = 3  # for each of the run's: a process is cheap and its time is noisy
CODE = "import time; {}; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


@dataclass(frozen=True)
class Import:
    name: str
    statement: str
    peer: str
    baseline: str
    goal: float  # ms that the statement may take once the baseline has been imported

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
    samples = {"fastgd": lambda: _fresh(entry.baseline, entry.statement), entry.peer: lambda: _fresh("pass", entry.baseline)}
    for sample in samples.values():
        sample()  # once before, so that the files are in memory and compiled
    runs = timing.interleave(samples, ROUNDS * options.repeats, options.seconds, 0)
    entries = {name: timing.summary(taken) for name, taken in runs.items()}
    entries["fastgd"] |= {"over_ms": 1e3 * entries["fastgd"]["median"], "goal_ms": entry.goal}
    statements = {"fastgd": f"{entry.statement} after {entry.baseline}", entry.peer: entry.baseline}
    yield {"problem": entry.name, "unit": "import", "statements": statements, "goals": {}, "peers": entries}


def _fresh(before, statement):
    """Seconds that a statement takes in a process in which another has been run; the difference of two times is mere noise."""
    command = [sys.executable, "-c", CODE.format(before, statement)]
    keep_compiled = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}  # as all packages are once installed
    return float(subprocess.run(command, cwd=ROOT, env=keep_compiled, capture_output=True, text=True, check=True).stdout)
