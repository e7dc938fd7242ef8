"""Calls of a fitted model, timed beside the same call of scikit-learn's with the same coefficients."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.linear_model import SGDClassifier
from threadpoolctl import threadpool_limits

from bench import data, limits, timing
from bench.machine import cores
from bench.run import QUICK_ROWS

SAMPLE = 0.02  # seconds; short calls are repeated for that long
FIT_ROWS = 2000


@dataclass(frozen=True)
class Call:
    """`method` of a two-class linear model on the first `rows` rows (None: all)."""

    name: str
    data: str
    method: str
    rows: int | None = None
    threads: tuple = ("one",)
    goals: dict = field(default_factory=dict)

    def describe(self):
        return f"{self.data:<16}{self.method} on {self.rows or 'all'} rows, {', '.join(self.threads)}"


ALL = [
    Call("decision-fashion", "fashion", "decision_function", threads=("one", "all"), goals={"limit": 0.85}),
    Call("decision-one-row", "fashion", "decision_function", 1, goals={"scikit-learn": 3}),
    Call("predict-one-row", "fashion", "predict", 1, goals={"scikit-learn": 3}),
]


def measure(call, peers, found_limits, options):
    X, y = data.load(call.data, rows=QUICK_ROWS if options.quick else None)
    rows = X if call.rows is None else X[: call.rows]
    for threads in dict.fromkeys(cores() if named == "all" else 1 for named in call.threads):
        models = _models(X[:FIT_ROWS], y[:FIT_ROWS], peers, threads)
        with threadpool_limits(threads):
            functions = {name: getattr(model, call.method) for name, model in models.items()}
            for values in (function(rows) for function in functions.values()):
                np.testing.assert_allclose(values, functions["scikit-learn"](rows), rtol=1e-6, atol=1e-9)
            samples = {name: _sampler(function, rows) for name, function in functions.items()}
            pause = timing.SETTLE if threads > 1 else 0
            runs = timing.interleave(samples, options.repeats, options.seconds, pause)
        entries = {name: timing.summary(taken) for name, taken in runs.items()}
        timing.compare(entries, call.goals)
        for name, entry in entries.items() if call.rows is None else ():
            goal = call.goals.get("limit") if name == "fastgd" else None
            limits.compare(entry, found_limits[threads], rows.nbytes, 2 * rows.size, str(rows.dtype), goal)
        yield {
            "problem": call.name, "unit": "call", "rows": rows.shape[0], "columns": rows.shape[1], "dtype": str(rows.dtype),
            "sparse": False, "threads": threads, "goals": call.goals, "peers": entries,
        }  # fmt: skip


def _models(X, y, peers, threads):
    models = {"scikit-learn": SGDClassifier(loss="log_loss", max_iter=1, tol=None).fit(X, y)}
    if "fastgd" in peers:
        from fastgd import SGDClassifier as Own

        own = Own("log_loss", max_iter=1, tol=None, n_jobs=threads).fit(X, y)
        models["scikit-learn"].coef_, models["scikit-learn"].intercept_ = own.coef_, own.intercept_
        models = {"fastgd": own} | models
    return models


def _sampler(function, rows):
    """A function that returns the time of one call, the mean of as many as fill a sample."""
    once = min(timing.seconds(function, rows) for _ in range(3))
    count = max(1, round(SAMPLE / once))

    def sample():
        return timing.seconds(lambda: [function(rows) for _ in range(count)]) / count

    return sample
