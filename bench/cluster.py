"""Logistic regression by fastgd.dask on workers of this machine, and a model of its time.

    T = a + R (b + c W) + n (x / W + m) seconds for R rounds, n rows and W workers

b and c are the latency of a round, measured in fits of almost no rows on up to eight workers. The
other three constants come from fits of SMALL rows on one and on two workers. Four things make
their predictions for LARGE rows reliable:

- All clusters live at once and take turns, so that a disturbance hits all fits. Medians count.
- Each fit waits until other processes leave the cores alone, and only its quietest turns count.
- The rows of each fit are beyond the processor's cache. A fit of fewer rows spends less time on
  each of them, and so made the slope too steep.
- Fits of almost no rows give the latency only: they take other rounds, and more of them.

The range of a prediction is that of models whose times are drawn anew, with replacement.
"""

import logging
import os
import pickle
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec

import numpy as np
from scipy.optimize import nnls
from scipy.special import ndtri

from bench import report
from bench.timing import cores, seconds

COLUMNS = 50
PARTITION = 50_000  # rows; 20 MB
WORKERS = (1, 2)
SMALL, LARGE = (100_000, 200_000, 400_000), 1_600_000  # rows: 40 MB and more
TURNS = 9
# A turn is quiet if other processes take at most this share of the cores.
QUIET = 0.05
PATIENCE, LATENCY_PATIENCE = 300, 20  # seconds to get quiet turns
LATENCY_WORKERS, LATENCY_ROWS = (1, 2, 4, 8), 60  # rows of each worker
LATENCY_FITS = 3  # of a turn
RESAMPLES, RANGE = 200, (0.05, 0.95)


def labelled(X, w, rng):
    return (X @ w + rng.logistic(size=len(X)) > 0).astype(int)


def make(i, rows, sorted_of=0):
    """(X, y) of partition i; of so many that are sorted by the first column, 0: in any order."""
    rng = np.random.default_rng(i)
    w = 2 * np.random.default_rng(-1 % 2**32).standard_normal(COLUMNS) / np.sqrt(COLUMNS)
    X = rng.standard_normal((rows, COLUMNS))
    if sorted_of:
        X[:, 0] = ndtri((i + rng.uniform(size=rows)) / sorted_of)
    return X, labelled(X, w, rng)


@contextmanager
def local_client(workers):
    """The client of a cluster of so many workers of one thread."""
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.ERROR)
    options = {"threads_per_worker": 1, "dashboard_address": ":0"}
    options["env"] = {"PYTHONWARNINGS": "ignore"}
    with (
        LocalCluster(n_workers=workers, silence_logs=logging.ERROR, **options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def place(client, rows, partition, is_sorted=False):
    """(X, y) in the memory of the workers; sorted by the first column, partition by partition."""
    import dask.array as da
    from dask import delayed
    from distributed import wait

    count = rows // partition
    parts = [delayed(make, nout=2)(i, partition, count * is_sorted) for i in range(count)]
    X = da.concatenate([da.from_delayed(x, (partition, COLUMNS), float) for x, _ in parts])
    y = da.concatenate([da.from_delayed(t, (partition,), int) for _, t in parts])
    with client.as_current():
        X, y = client.persist([X, y])
        wait([X, y])
    return X, y


def message_bytes(message):
    """The bytes of a message as it is sent."""
    buffers = []
    head = pickle.dumps(message, 5, buffer_callback=buffers.append)
    return len(head) + sum(buffer.raw().nbytes for buffer in buffers)


@contextmanager
def observed(counts_bytes=False):
    """A list of (seconds, bytes of its messages) of each round; 0 bytes unless they are counted."""
    from fastgd.estimators import placement

    rounds, plain, sent = [], placement.Placement, set()

    class Observed(plain):
        def map(self, jobs, kept=None, needed=None):
            start = time.perf_counter()
            results = super().map(jobs, kept, needed)
            taken, count = time.perf_counter() - start, 0
            if counts_bytes:
                new = [part for name, part in (kept or {}).items() if name not in sent]
                sent.update(kept or ())
                count = message_bytes(([*jobs.values()], new, results))
            rounds.append((taken, count))
            return results

    placement.Placement = Observed
    try:
        yield rounds
    finally:
        placement.Placement = plain


class Others:
    """What other processes take of the cores, from now on."""

    def __init__(self):
        self._start = self._seconds()

    @staticmethod
    def _seconds():
        """(time, CPU seconds of all processes but this one and its children)"""
        import psutil

        me, whole = psutil.Process(), psutil.cpu_times()
        own = sum(sum(each.cpu_times()[:2]) for each in (me, *me.children(recursive=True)))
        idle = whole.idle + getattr(whole, "iowait", 0.0)
        return time.perf_counter(), sum(whole[:8]) - idle - own

    def share(self):
        passed, used = np.subtract(self._seconds(), self._start)
        return max(used / passed / os.cpu_count(), 0.0)


def quiet_line(share):
    """Says whether other processes took too much of the cores."""
    verdict = "" if share <= QUIET else ": the times say little, measure again"
    return f"others took at most {share:.0%} of the cores in a turn{verdict}"


@dataclass
class Fit:
    """A fit of so many rows that has been timed in some turns."""

    rows: int
    workers: int
    rounds: int = 0
    bytes: int = 0  # that the client sends and gets in the rounds
    times: list = field(default_factory=list)


@dataclass(frozen=True)
class TimeModel:
    """The constants of the module's docstring, in seconds."""

    a: float
    b: float
    c: float
    x: float
    m: float

    def seconds(self, rows, workers, rounds, cores_each=1):
        latency = self.b + self.c * workers
        return self.a + rounds * latency + rows * (self.x / (workers * cores_each) + self.m)

    def __str__(self):
        return (
            f"T = {self.a:.3f} s + R ({self.b * 1e3:.2f} + {self.c * 1e3:.2f} W) ms + "
            f"n ({self.x * 1e9:.0f} / W + {self.m * 1e9:.0f}) ns"
        )


def least_squares(terms, values):
    """The constants >= 0 with the least relative errors."""
    values = np.asarray(values, float)
    return nnls(np.array(terms, float) / values[:, None], np.ones(len(values)))[0]


def time_model(latencies, fits, rng=None):
    """The model of the latencies {workers: seconds} and of the fits' median times; with `rng` of as
    many times drawn with replacement.
    """
    b, c = least_squares([[1, workers] for workers in latencies], [*latencies.values()])
    times = [fit.times if rng is None else rng.choice(fit.times, len(fit.times)) for fit in fits]
    taken = [
        np.median(own) - fit.rounds * (b + c * fit.workers)
        for fit, own in zip(fits, times, strict=True)
    ]
    a, x, m = least_squares([[1, fit.rows / fit.workers, fit.rows] for fit in fits], taken)
    return TimeModel(a, b, c, x, m)


@dataclass
class Measurement:
    """`fits` are those of SMALL rows, `large` those of LARGE."""

    latencies: dict
    fits: list
    large: list
    others: float  # share of the cores that other processes took in a turn that counts, at most
    model: TimeModel = None

    def __post_init__(self):
        self.model = time_model(self.latencies, self.fits)

    def predictions(self, fit):
        """(prediction, its range)"""
        rng, found = np.random.default_rng(0), []
        for _ in range(RESAMPLES):
            model = time_model(self.latencies, self.fits, rng)
            found.append(model.seconds(fit.rows, fit.workers, fit.rounds))
        return self.model.seconds(fit.rows, fit.workers, fit.rounds), np.quantile(found, RANGE)

    @property
    def row_bytes(self):
        """Bytes of the messages of a fit, for each row."""
        return self.large[-1].bytes / self.large[-1].rows


def quietest(samples, patience, turns=TURNS):
    """([the results of its quietest calls] of each sample, the largest share of others in them).

    They are called in turn, until each has had so many quiet turns or `patience` seconds are over.
    """
    found, end = [[] for _ in samples], time.monotonic() + patience

    def lacks(calls, is_late):
        return sum(is_late or share <= QUIET for share, _ in calls) < turns

    while any(lacks(calls, time.monotonic() > end) for calls in found):
        for calls, sample in zip(found, samples, strict=True):
            wait_for_quiet(end)
            others = Others()
            result = sample()
            calls.append((others.share(), result))
    kept = [sorted(calls)[:turns] for calls in found]
    return [[result for _, result in calls] for calls in kept], max(k[-1][0] for k in kept)


def wait_for_quiet(end):
    """Until other processes leave the cores alone, or until `end`."""
    while time.monotonic() < end:
        others = Others()
        time.sleep(0.1)
        if others.share() <= QUIET:
            return


def latency(workers):
    """The median time of a round on so many workers that have almost no rows."""
    with local_client(workers) as client:
        X, y = place(client, LATENCY_ROWS * workers, LATENCY_ROWS)

        def sample():
            with observed() as rounds:
                for _ in range(LATENCY_FITS):
                    fit_on(client, X, y)
            return float(np.median([taken for taken, _ in rounds]))

        sample()  # the first rounds are slower
        return float(np.median(quietest([sample], LATENCY_PATIENCE)[0]))


def fit_on(client, X, y):
    from fastgd import dask as on_dask

    with client.as_current():
        on_dask.LogisticRegression(tol=1e-6).fit(X, y)


@cache
def measure():
    """A `Measurement` on this machine."""
    latencies = {workers: latency(workers) for workers in LATENCY_WORKERS}
    fits = [Fit(rows, workers) for rows in (*SMALL, LARGE) for workers in WORKERS]
    with ExitStack() as stack:
        clients = {workers: stack.enter_context(local_client(workers)) for workers in WORKERS}
        tasks = [
            (fit, clients[fit.workers], *place(clients[fit.workers], fit.rows, PARTITION))
            for fit in fits
        ]
        for fit, *task in tasks:  # not timed: the first fit of all is slower
            with observed(counts_bytes=True) as rounds:
                fit_on(*task)
            fit.rounds, fit.bytes = len(rounds), sum(count for _, count in rounds)
        samples = [partial(seconds, fit_on, *task) for _, *task in tasks]
        taken, others = quietest(samples, PATIENCE)
    for fit, times in zip(fits, taken, strict=True):
        fit.times = times
    small, large = ([fit for fit in fits if (fit.rows == LARGE) == kind] for kind in (False, True))
    return Measurement(latencies, small, large, others)


def missing():
    """Why nothing can be measured here, or None."""
    if not find_spec("distributed"):
        return "dask is not installed: left out"
    return None if cores() >= max(WORKERS) else "two workers need two cores: left out"


def compare():
    """Lines: the latencies, each fit, the model and its predictions."""
    if reason := missing():
        yield reason
        return
    found = measure()
    texts = [f"{1e3 * taken:.1f} on {workers}" for workers, taken in found.latencies.items()]
    yield f"ms of a round without work, by workers: {', '.join(texts)}"
    for fit in [*found.fits, *found.large]:
        low, middle, high = np.quantile(fit.times, (0.25, 0.5, 0.75))
        yield (
            f"{fit.rows:>8} rows  {fit.workers} workers  {fit.rounds:3} rounds  {middle:6.3f} s "
            f"(quartiles {low:.3f}, {high:.3f})  {fit.bytes / fit.rows:5.0f} bytes a row sent"
        )
    yield quiet_line(found.others)
    yield str(found.model)
    for fit in found.large:
        predicted, (low, high) = found.predictions(fit)
        taken = np.median(fit.times)
        error = predicted / taken - 1
        yield (
            f"{fit.rows} rows on {fit.workers} workers: predicted {predicted:.2f} s ({low:.2f} to "
            f"{high:.2f}), took {taken:.2f} s ({error:+.0%}; goal 25 %)"
            f"{report.missed(abs(error) <= 0.25)}"
        )
    speedup = np.median(found.large[0].times) / np.median(found.large[1].times)
    yield f"two workers against one: {speedup:.2f}x (goal 1.6){report.missed(speedup >= 1.6)}"
