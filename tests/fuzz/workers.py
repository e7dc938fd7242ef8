"""Worker processes that are watched: one that crashes or hangs is replaced."""

import multiprocessing
import os
import sys
from multiprocessing.connection import wait
from time import perf_counter

from .cases import draw
from .judge import faults_of


def work(pipe, seed):
    """Judge the cases whose numbers come in."""
    sys.stderr = open(os.devnull, "w")
    while (number := pipe.recv()) is not None:
        estimator = "?"
        try:
            case = draw(seed, number)
            estimator = case.estimator
            faults = list(faults_of(case))
        except Exception as error:
            faults = [f"the judge failed: {type(error).__name__}: {error}"]
        pipe.send((estimator, faults))


class Worker:
    """A process, and the case that it is at."""

    def __init__(self, context, seed):
        self.pipe, end = context.Pipe()
        self.process = context.Process(target=work, args=(end, seed), daemon=True)
        self.process.start()
        end.close()
        self.number = None

    def give(self, number):
        self.number, self.since = number, perf_counter()
        self.pipe.send(number)

    def result(self, limit):
        """(estimator, faults), or None while the case is under way."""
        try:
            if self.pipe.poll():
                return self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return "?", [f"crash: the process ended with {self.process.exitcode}"]
        return (
            ("?", [f"hang: more than {limit} s"]) if perf_counter() - self.since > limit else None
        )

    def end(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run(seed, numbers, jobs, limit):
    """Yields (number, estimator, faults) as the cases end."""
    context = multiprocessing.get_context("spawn")
    numbers, workers = iter(numbers), [Worker(context, seed) for _ in range(jobs)]
    going = []
    for worker in workers:
        if (number := next(numbers, None)) is not None:
            worker.give(number)
            going.append(worker)
    while going:
        wait([worker.pipe for worker in going], timeout=1)
        for at, worker in enumerate(going):
            result = worker.result(limit)
            if result is None:
                continue
            yield worker.number, *result
            if result[1] and result[1][0].startswith(("crash", "hang")):
                worker.end()
                workers.remove(worker)
                worker = going[at] = Worker(context, seed)
                workers.append(worker)
            number = next(numbers, None)
            worker.number = number
            if number is not None:
                worker.give(number)
        going = [worker for worker in going if worker.number is not None]
    for worker in workers:
        worker.end()
