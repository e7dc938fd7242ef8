"""The same cases again and again in one process: does its memory grow, and what does it leave?

    PYTHONPATH=tests python -m fuzz.soak --seconds 3600

Prints memory, threads, open files and files in the temporary folder after each round. Ends with 1
if the median of one of them, over the last quarter of the rounds, is larger than over the second
quarter; of memory, by the factor GROWTH: the pools and caches of the libraries have been filled by
then. Needs Linux's /proc.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from .cases import draw
from .judge import faults_of

GROWTH = 1.01


def state(folder):
    """{what: how much} of this process; memory in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    of = {name: value.split()[0] for name, _, value in (line.partition(":") for line in lines)
          if value.split()}  # fmt: skip
    return {
        "memory": int(of["VmRSS"]) / 1024,
        "threads": int(of["Threads"]),
        "open files": len(os.listdir("/proc/self/fd")),
        "files": sum(1 for _ in Path(folder).rglob("*")),
    }


def grown(states):
    """What has grown from the second quarter of the rounds to the last; there are at least 4."""
    quarter, found = len(states) // 4, []
    for name in states[0]:
        values = [one[name] for one in states]
        before, after = values[quarter : 2 * quarter], values[-quarter:]
        allowed = GROWTH if name == "memory" else 1
        if statistics.median(after) > allowed * statistics.median(before):
            found.append(name)
    return found


def main():
    parser = argparse.ArgumentParser(prog="python -m fuzz.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--cases", type=int, default=300, help="of a round")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    states, begun = [], perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        while perf_counter() - begun < given.seconds:
            for number in range(given.cases):
                faults_of(draw(given.seed, number))  # `make fuzz` looks at the faults
            states.append(state(folder))
            told = ", ".join(f"{name} {value:.4g}" for name, value in states[-1].items())
            print(f"{perf_counter() - begun:6.0f} s  round {len(states)}: {told}", flush=True)
        tempfile.tempdir = None
    if len(states) < 4:
        sys.exit("fewer than 4 rounds: give it more seconds, or fewer cases a round")
    found = grown(states)
    print(f"{len(states)} rounds of {given.cases} cases: {', '.join(found) or 'nothing'} has grown")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
