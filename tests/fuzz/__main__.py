"""Runs cases, and prints what is wrong with a line that does it again."""

import argparse
import os
import sys
from collections import Counter
from time import perf_counter

from .cases import draw
from .judge import faults_of
from .workers import run


def main():
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--fits", type=int, default=10_000, help="how many cases")
    parser.add_argument("--seed", type=int, default=0, help="of the sequence of cases")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument(
        "--only",
        type=int,
        nargs="*",
        help="the numbers of the cases, in this process, with what is fitted",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="worker processes")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds that a case may take")
    given = parser.parse_args()
    if given.only is not None:
        sys.exit(show(given.seed, given.only))
    faulty, kinds, done, begun = 0, Counter(), Counter(), perf_counter()
    numbers = range(given.first, given.first + given.fits)
    for number, estimator, faults in run(given.seed, numbers, given.jobs, given.limit):
        done[estimator] += 1
        if faults:
            faulty += 1
            kinds[estimator, faults[0].split(":")[0][:60]] += 1
            print(f"{number} {estimator}: " + "\n    ".join(faults), flush=True)
            print(f"    python -m fuzz --seed {given.seed} --only {number}", flush=True)
    for (estimator, kind), count in kinds.most_common():
        print(f"{count:6} {estimator}: {kind}")
    print(
        f"{sum(done.values())} cases over {len(done)} entry points in "
        f"{perf_counter() - begun:.0f} s: {faulty} wrong"
    )
    sys.exit(faulty > 0)


def show(seed, numbers):
    """Print cases and their faults; returns how many are faulty."""
    faulty = 0
    for number in numbers:
        case = draw(seed, number)
        faults = list(faults_of(case))
        faulty += bool(faults)
        shape = getattr(case.X, "shape", None)
        print(
            f"{number} {case.estimator} {case.parameters} {case.calls} "
            f"X {type(case.X).__name__} {shape} {[*case.fit]} "
            f"poisoned={case.poisoned}"
        )
        for fault in faults:
            print(f"    {fault}")
    return faulty


if __name__ == "__main__":
    main()
