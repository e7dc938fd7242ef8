"""Users' own compiled losses beside the same built-in one."""

import ctypes
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bench import data, timing
from bench.machine import cores
from bench.run import QUICK_ROWS

SOURCE = """
#include <math.h>
#include <stdint.h>
void loss(const double *restrict z, const double *restrict y, double *restrict value, double *restrict slope, intptr_t n,
          void *data) {
    for (intptr_t i = 0; i < n; i++) {
        double m = y[i] * z[i], e = exp(-fabs(m));
        value[i] = log1p(e) + fmax(-m, 0.0);
        slope[i] = -y[i] * (m > 0 ? e : 1.0) / (1.0 + e);
    }
}
"""
FLAGS = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]  # exp and log1p of several numbers, if the C library has them


def numba_one():
    """a numba.cfunc of one margin"""
    from numba import cfunc, types

    number = types.CPointer(types.double)

    @cfunc(types.void(types.double, types.double, number, number, types.voidptr))
    def loss(z, y, value, slope, data):
        e = np.exp(-abs(y * z))
        value[0] = np.log1p(e) + max(-y * z, 0.0)
        slope[0] = -y * (e if y * z > 0 else 1.0) / (1.0 + e)

    return loss


def numba_many():
    """a numba.cfunc of many margins"""
    from numba import cfunc, types

    number = types.CPointer(types.double)

    @cfunc(types.void(number, number, number, number, types.intp, types.voidptr))
    def loss(z, y, value, slope, n, data):
        for i in range(n):
            e = np.exp(-abs(y[i] * z[i]))
            value[i] = np.log1p(e) + max(-y[i] * z[i], 0.0)
            slope[i] = -y[i] * (e if y[i] * z[i] > 0 else 1.0) / (1.0 + e)

    return loss


def c_many():
    """a C function of many margins"""
    compiler = shutil.which("cc")
    if compiler is None:
        raise ImportError("there is no C compiler")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "loss.so")
        subprocess.run([compiler, *FLAGS, "-x", "c", "-", "-o", library, "-lm"], input=SOURCE, text=True, check=True)
        loss = ctypes.CDLL(library).loss
    loss.argtypes, loss.restype = [ctypes.POINTER(ctypes.c_double)] * 4 + [ctypes.c_ssize_t, ctypes.c_void_p], None
    return loss


FORMS = {"one": numba_one, "many": numba_many, "c": c_many}


@dataclass(frozen=True)
class OwnLoss:
    """Epochs of log_loss written and compiled by a user, beside the built-in one."""

    name: str
    data: str
    batch_size: int | str
    form: str  # of the function, a name in FORMS
    threads: tuple = ("one",)
    epochs: int = 4
    goals: dict = field(default_factory=dict)

    def describe(self):
        return f"{self.data:<16}log_loss as {FORMS[self.form].__doc__}, batches of {self.batch_size}"


MOST = {"own": 1 / 1.3}  # that it may take longer
ALL = [
    OwnLoss("own-loss-one-sgd", "fashion", 1, "one", goals=MOST),
    OwnLoss("own-loss-one-full", "fashion", "full", "one", ("one", "all"), goals=MOST),
    OwnLoss("own-loss-one-thin", "tall", "full", "one", goals=MOST),
    OwnLoss("own-loss-many-thin", "tall", "full", "many", goals=MOST),
    OwnLoss("own-loss-c-thin", "tall", "full", "c", goals=MOST),
]


def measure(entry, peers, found_limits, options):
    from fastgd import SGDClassifier

    if "fastgd" not in peers:
        return
    try:
        loss = FORMS[entry.form]()
    except ImportError:
        return
    X, y = _rows(entry.data, QUICK_ROWS if options.quick else None)
    for threads in dict.fromkeys(cores() if named == "all" else 1 for named in entry.threads):
        settings = dict(learning_rate="constant", eta0=1e-3, batch_size=entry.batch_size, tol=None, random_state=0, n_jobs=threads)

        def epoch(loss, settings=settings):
            def fit(epochs):
                SGDClassifier(loss, max_iter=epochs, **settings).fit(X, y)

            return (timing.seconds(fit, entry.epochs + 1) - timing.seconds(fit, 1)) / entry.epochs

        samples = {"fastgd": lambda: epoch(loss), "fastgd built-in": lambda: epoch("log_loss")}
        with threadpool_limits(threads):
            runs = timing.interleave(samples, options.repeats, options.seconds, timing.SETTLE if threads > 1 else 0)
        entries = {name: timing.summary(taken) for name, taken in runs.items()}
        timing.compare(entries, entry.goals)
        yield {"problem": entry.name, "unit": "epoch", "threads": threads, "goals": entry.goals, "peers": entries}


def _rows(name, rows):
    if name == "tall":
        rng = np.random.default_rng(0)
        X = rng.standard_normal((rows or 200_000, 30))
        return X, (X[:, 0] + rng.standard_normal(len(X)) > 0).astype(int)
    X, y = data.load(name, rows=rows)
    return X, (y > np.median(y)).astype(int)
