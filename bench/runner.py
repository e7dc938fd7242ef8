"""How each kind of row of `python -m bench` is timed: `measure(entry, options)` yields results.

A result is a dict; there is one for each order of the rows and number of threads. A peer that
cannot do the work is in its "unsupported", with the reason.
"""

import itertools
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from scipy.sparse import issparse
from sklearn.linear_model import SGDClassifier
from threadpoolctl import threadpool_limits

from bench import costs, data, limits, memory, peers, problems, timing
from bench.machine import cores, thread_counts
from bench.objective import targets
from bench.peers.fastgd import sgd

QUICK_ROWS, QUICK_RATINGS = 2000, 20_000
# Bytes of X between which the peak memory is measured: below, it is the allocator's; above,
# storing X takes long.
MIN_BYTES, MAX_BYTES = 4 * 2**20, 2**30
NO_MEMORY = ("vowpalwabbit",)  # trains from a file, not from X
NETWORK_SAMPLE = 0.3  # seconds; epochs that fill it are timed together
CALL_SAMPLE = 0.02  # seconds; short calls are repeated for that long
FIT_ROWS = 2000  # to fit the models whose methods are called
ADAM_STEPS = 20  # a sample
IMPORT_ROUNDS = 3  # for each of the run's: a process is cheap and its time is noisy
IMPORT = "import time; {}; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
LOGISTIC = problems.Problem("", "", "log_loss", 1e-4)


def measure(entry, options):
    return KINDS[type(entry)][0](entry, options)


def work_of(entry):
    """The name of the peers' function for the entry; None where it asks no peer's file."""
    return KINDS[type(entry)][1]


def _prepare(entry, options, *arguments, variant=None):
    """({peer: what its function returns}, {peer: why it cannot}); `variant`: other arguments."""
    ready, unsupported = {}, {}
    asked = [name for name in peers.NAMES if not options.peers or name in options.peers]
    names = [name for name in asked if not entry.peers or name in entry.peers]
    functions = peers.load(work_of(entry), names)[0]
    for name, function in functions.items():
        try:
            ready[name] = function(*arguments)
        except peers.UnsupportedError as reason:
            unsupported[name] = str(reason)
    if variant and "fastgd" in ready:
        ready[f"fastgd {entry.variant}"] = functions["fastgd"](*variant)
    return ready, unsupported


def _result(entry, unit, summaries, **more):
    return {"problem": entry.name, "unit": unit, "peers": summaries} | more


def _shape(X):
    """What a result says of its data."""
    sparse = issparse(X)
    return {
        "rows": X.shape[0],
        "columns": X.shape[1],
        "nonzeros": X.nnz if sparse else X.size,
        "dtype": str(X.dtype),
        "sparse": sparse,
        "bytes": X.data.nbytes + X.indices.nbytes + X.indptr.nbytes if sparse else X.nbytes,
    }


def _compare_with_limit(summaries, goals, shape, operations, threads, options):
    for name, summary in summaries.items():
        goal = goals.get("limit") if name == "fastgd" else None
        work = shape["bytes"], operations, shape["dtype"], threads, options.quick
        limits.compare(summary, goal, *work)


def _epochs(entry, options):
    X, y = data.load(entry.data, entry.dtype, QUICK_ROWS if options.quick else None)
    shape = _shape(X)
    with tempfile.TemporaryDirectory() as folder:
        measurable = MIN_BYTES <= shape["bytes"] <= MAX_BYTES and memory.FORGET_PEAK.exists()
        with_memory = options.memory and measurable
        if with_memory:
            memory.store(X, y, folder)
        for shuffle, threads in itertools.product(entry.shuffle, thread_counts(entry.threads)):
            result = _epochs_case(entry, X, y, shape, shuffle, threads, options)
            for name, summary in result["peers"].items() if with_memory else ():
                if name in peers.NAMES and name not in NO_MEMORY:
                    summary["memory"] = memory.peak_over_data(folder, entry, name, shuffle, threads)
            yield result


def _epochs_case(entry, X, y, shape, shuffle, threads, options):
    variant = None
    if entry.variant:
        float64 = entry.variant == "float64"
        other = (X.astype(np.float64), threads) if float64 else (X, 1)
        variant = (entry, other[0], y, shuffle, other[1])
    case = (entry, X, y, shuffle, threads)
    tasks, unsupported = _prepare(entry, options, *case, variant=variant)
    with threadpool_limits(threads):
        models = {name: train(entry.epochs) for name, train in tasks.items()}
    meant = threads == (1 if entry.goal_threads == "one" else cores())
    goals = entry.goals if meant and shuffle == entry.shuffle[-1] else {}
    sample = timing.of_epoch if entry.unit == "epoch" else timing.seconds
    summaries = timing.race(
        tasks, lambda train: sample(train, entry.epochs), goals, options, threads
    )
    t = targets(entry.loss, y)
    outputs = t.shape[1]
    for name, summary in summaries.items():
        summary["objective"] = entry.value(X, t, *models[name])
    if entry.unit == "epoch":
        operations = 4 * shape["nonzeros"] * outputs  # a multiply-add for z, one for the step
        _compare_with_limit(summaries, goals, shape, operations, threads, options)
    if entry.variant == "1 thread" and len(models) > 1:
        pairs = zip(models["fastgd"], models["fastgd 1 thread"], strict=True)
        summaries["fastgd 1 thread"]["same_bits"] = all(np.array_equal(a, b) for a, b in pairs)
    most = memory.limit(shape["bytes"], len(t), X.shape[1] * outputs)
    more = dict(shuffle=shuffle, threads=threads, memory_limit=most, unsupported=unsupported)
    return _result(entry, entry.unit, summaries, **shape, **more)


def _network(entry, options):
    rows = [count for count in (QUICK_ROWS if options.quick else None, entry.rows) if count]
    X, y = data.load(entry.data, rows=min(rows, default=None))
    X = np.ascontiguousarray(X, np.float32)
    trains, _ = _prepare(entry, options, entry, X, y)
    tasks, losses = {}, {}
    with threadpool_limits(1):
        for name, train in trains.items():
            epochs = max(1, round(NETWORK_SAMPLE / (timing.seconds(train, 2) / 2)))
            tasks[name], losses[name] = (train, epochs), float(train(3))
    summaries = timing.race(
        tasks, lambda task: timing.seconds(*task) / task[1], entry.goals, options
    )
    for name, summary in summaries.items():
        summary["objective"] = losses[name]
    yield _result(entry, "epoch", summaries, **_shape(X), threads=1)


def _call(entry, options):
    X, y = data.load(entry.data, rows=QUICK_ROWS if options.quick else None)
    rows = X if entry.rows is None else X[: entry.rows]
    for threads in thread_counts(entry.threads):
        own = sgd(LOGISTIC, max_iter=1, tol=None, n_jobs=threads)
        own.fit(X[:FIT_ROWS], y[:FIT_ROWS])
        peer = SGDClassifier(loss="log_loss", max_iter=1, tol=None)
        peer.fit(X[:FIT_ROWS], y[:FIT_ROWS])
        peer.coef_, peer.intercept_ = own.coef_, own.intercept_
        calls = {"fastgd": getattr(own, entry.method), "scikit-learn": getattr(peer, entry.method)}
        with threadpool_limits(threads):
            values = [call(rows) for call in calls.values()]
            np.testing.assert_allclose(*values, rtol=1e-6, atol=1e-9)
            tasks = {name: _repeated(call, rows) for name, call in calls.items()}
        summaries = timing.race(tasks, lambda sample: sample(), entry.goals, options, threads)
        shape = _shape(rows)
        if entry.rows is None:
            _compare_with_limit(summaries, entry.goals, shape, 2 * rows.size, threads, options)
        yield _result(entry, "call", summaries, **shape, threads=threads)


def _repeated(call, *arguments):
    """A function that returns the time of one call, the mean of as many as fill a sample."""
    once = min(timing.seconds(call, *arguments) for _ in range(3))
    count = max(1, round(CALL_SAMPLE / once))
    return lambda: timing.seconds(lambda: [call(*arguments) for _ in range(count)]) / count


def _import(entry, options):
    samples = {
        "fastgd": lambda: _in_fresh_process(entry.baseline, entry.statement),
        entry.peer: lambda: _in_fresh_process("pass", entry.baseline),
    }
    for sample in samples.values():
        sample()  # once before, so that the files are in memory and compiled
    runs = timing.interleave(samples, IMPORT_ROUNDS * options.repeats, options.seconds, 0)
    summaries = {name: timing.summary(taken) for name, taken in runs.items()}
    summaries["fastgd"] |= {"over_ms": 1e3 * summaries["fastgd"]["median"], "goal_ms": entry.goal}
    yield _result(entry, "import", summaries)


def _in_fresh_process(before, statement):
    """Seconds of the statement where `before` has run; a difference of two times would be noise."""
    command = [sys.executable, "-c", IMPORT.format(before, statement)]
    keep_compiled = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}  # as all packages are installed
    process = dict(cwd=Path(__file__).parent.parent, env=keep_compiled, check=True)
    return float(subprocess.run(command, capture_output=True, text=True, **process).stdout)


def _factorization(entry, options):
    train, test = data.ratings(entry.ratings)
    if options.quick:
        train, test = train[:QUICK_RATINGS], test[: QUICK_RATINGS // 10]
    for threads in thread_counts(entry.threads):
        variant = (train, entry.factors, 1) if entry.variant else None
        case = (train, entry.factors, threads)
        tasks, _ = _prepare(entry, options, *case, variant=variant)
        with threadpool_limits(threads):
            fits = {name: task(entry.epochs)(test) for name, task in tasks.items()}
        sample = partial(timing.of_epoch, epochs=entry.epochs)
        summaries = timing.race(tasks, sample, entry.goals, options, threads)
        for name, summary in summaries.items():  # RMSE of the ratings held out
            summary["objective"] = float(np.sqrt(np.mean((fits[name] - test[:, 2]) ** 2)))
            if name == "fastgd 1 thread":
                summary["same_bits"] = np.array_equal(fits["fastgd"], fits[name])
        shape = dict(rows=len(train), columns=entry.factors, dtype="float32", sparse=True)
        yield _result(entry, "epoch", summaries, **shape, threads=threads)


class ReachedError(Exception):
    """The gradient is as small as was asked for."""


def _minimization(entry, options):
    cost, start = costs.cost(entry.cost, entry.n)
    evaluations = {}

    def reach(name, run):
        calls = 0

        def until(x):
            nonlocal calls
            calls += 1
            value, gradient = cost(x)
            if np.abs(gradient).max() <= entry.gradient:
                raise ReachedError
            return value, gradient

        try:
            run(until, start)
        except ReachedError:
            evaluations[name] = calls

    runs, _ = _prepare(entry, options, 100_000)
    tasks = {name: (name, run) for name, run in runs.items()}
    summaries = timing.race(tasks, lambda task: timing.seconds(reach, *task), entry.goals, options)
    for name, summary in summaries.items():
        summary["evaluations"] = evaluations.get(name)
    yield _result(entry, "run", summaries, max_evaluations=entry.max_evaluations)


def _overhead(entry, options):
    cost, start = costs.cost("quadratic", entry.n)

    def sample(run):
        results = []
        taken = timing.seconds(lambda: results.append(run(cost, start)))
        hundred = [timing.seconds(lambda: [cost(start) for _ in range(100)]) for _ in range(5)]
        return (taken - results[0].nfev * min(hundred) / 100) / results[0].nit

    runs, _ = _prepare(entry, options, entry.iterations)
    yield _result(entry, "iteration", timing.race(runs, sample, entry.goals, options))


def _adam_update(entry, options):
    def sample(step):
        return timing.seconds(lambda: [step() for _ in range(ADAM_STEPS)]) / ADAM_STEPS

    gradient = np.random.default_rng(0).standard_normal(entry.n).astype(entry.dtype)
    for threads in thread_counts(entry.threads):
        steps, _ = _prepare(entry, options, gradient, threads)
        for step in steps.values():
            step()
        summaries = timing.race(steps, sample, entry.goals, options, threads)
        yield _result(entry, "update", summaries, threads=threads)


def _custom_loss(entry, options):
    try:
        losses = {"fastgd": costs.CUSTOM_LOSSES[entry.form](), "fastgd built-in": "log_loss"}
    except ImportError:  # without Numba or a C compiler
        return
    X, y = data.load(entry.data, rows=QUICK_ROWS if options.quick else None)
    for threads in thread_counts(entry.threads):
        steps = dict(learning_rate="constant", eta0=1e-3, batch_size=entry.batch_size)
        fixed = steps | dict(tol=None, random_state=0, n_jobs=threads)

        def sample(loss, fixed=fixed):
            def train(epochs):
                sgd(LOGISTIC, loss, max_iter=epochs, **fixed).fit(X, y)

            return timing.of_epoch(train, entry.epochs)

        summaries = timing.race(losses, sample, entry.goals, options, threads)
        yield _result(entry, "epoch", summaries, threads=threads)


# kind of entry -> (how it is measured, the name of the peers' function)
KINDS = {
    problems.Epochs: (_epochs, "epochs"),
    problems.Network: (_network, "network"),
    problems.Call: (_call, None),
    problems.Import: (_import, None),
    problems.Factorization: (_factorization, "factorization"),
    problems.Minimization: (_minimization, "minimizer"),
    problems.Overhead: (_overhead, "minimizer"),
    problems.AdamUpdate: (_adam_update, "adam"),
    problems.CustomLoss: (_custom_loss, None),
}
