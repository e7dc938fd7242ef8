"""How each kind of row of `python -m bench` is timed: `measure(row, options)` yields results.

A result is a dict; there is one for each order of the rows and number of threads. A peer that
cannot do the work is in its "unsupported", with the reason.
"""

import itertools
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.sparse import issparse
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import root_mean_squared_error
from threadpoolctl import threadpool_limits

from bench import costs, data, peers, timing
from bench.catalogue import Problem
from bench.objective import targets
from bench.peers.fastgd import plain_sgd

QUICK_ROWS, QUICK_RATINGS = 2000, 20_000
FIT_ROWS = 2000  # to fit the models whose methods are called
ADAM_STEPS = 20  # a sample
CUSTOM_GOALS = {"fastgd built-in": 1 / 1.3}  # a custom loss may take 1.3 times as long
LOGISTIC = Problem("", "", "log_loss", 1e-4, rate=1e-3)


def measure(row, options):
    return KINDS[row.kind](row, options, **row.settings)


def _prepare(work, row, options, arguments, variant="", other=()):
    """({peer: what its function `work` returns}, {peer: why it cannot}).

    `variant` is the label of another run of fastgd, with these other arguments.
    """
    names = [n for n in row.peers or peers.NAMES if not options.peers or n in options.peers]
    functions, ready, unsupported = peers.load(work, names)[0], {}, {}
    for name, function in functions.items():
        try:
            ready[name] = function(*arguments)
        except peers.UnsupportedError as reason:
            unsupported[name] = str(reason)
    if variant and "fastgd" in ready:
        ready[f"fastgd {variant}"] = functions["fastgd"](*other)
    return ready, unsupported


def _result(row, options, unit, sample, tasks, objectives=None, X=None, shuffle=None, threads=1,
            unsupported=None):  # fmt: skip
    """Of timing.race; `objectives`: {peer: the value that it reached}."""
    summaries = timing.race(sample, tasks, row.goals, options.repeats, threads)
    for name, objective in (objectives or {}).items():
        summaries[name]["objective"] = objective
    conditions = [f"{threads} thread{'s' * (threads > 1)}", f"ms per {unit}"]
    if shuffle is not None:
        conditions.insert(0, "shuffled" if shuffle else "in order")
    if X is not None:
        conditions.insert(0, f"{X.shape[0]} x {X.shape[1]} {X.dtype}{' CSR' * issparse(X)}")
    result = {"problem": row.name, "shuffle": shuffle, "threads": threads, "peers": summaries}
    return result | {"conditions": ", ".join(conditions), "unsupported": unsupported or {}}


def _load(row, options, dtype="float64", rows=None):
    return data.load(row.data, dtype, QUICK_ROWS if options.quick else rows)


def _epochs(row, options, epochs, dtype="float64", shuffle=(False, True), unit="epoch", variant="",
            **problem):  # fmt: skip
    """An epoch at a constant rate; a "fit" is the whole call, where its overhead counts."""
    problem = Problem(row.name, row.data, **({"loss": "log_loss", "l2": 1e-4} | problem))
    X, y = _load(row, options, dtype)
    t, cases = targets(problem.loss, y), list(itertools.product(shuffle, row.threads))
    timed = timing.of_epoch if unit == "epoch" else timing.seconds
    for order, threads in cases:
        # the variants of fastgd are in float64 and on one thread
        case, plain = (problem, X, y, order, threads), X.astype(float, copy=False)
        other = problem, plain, y, order, 1
        trains, unsupported = _prepare("epochs", row, options, case, variant, other)
        with threadpool_limits(threads):
            models = {name: train(epochs) for name, train in trains.items()}
        values = {name: problem.value(X, t, *model) for name, model in models.items()}
        judged = row if (order, threads) == cases[-1] else replace(row, goals={})
        yield _result(judged, options, unit, lambda of: timed(of, epochs), trains, values, X, order,
                      threads, unsupported)  # fmt: skip


def _network(row, options, hidden, batch_size, epochs, rows=None):
    """An epoch of Adam in float32, the mean of `epochs`."""
    X, y = _load(row, options, "float32", rows)
    trains, _ = _prepare("network", row, options, (hidden, batch_size, X, y))
    with threadpool_limits(1):
        losses = {name: float(train(3)) for name, train in trains.items()}
    yield _result(row, options, "epoch", lambda train: timing.seconds(train, epochs) / epochs,
                  trains, losses, X)  # fmt: skip


def _call(row, options, method, count, rows=None):
    """A method of a fitted two-class linear model on the first rows, the mean of `count` calls."""
    X, y = _load(row, options)
    for threads in row.threads:
        own = plain_sgd(LOGISTIC, max_iter=1, n_jobs=threads)
        peer = SGDClassifier(loss="log_loss", max_iter=1, tol=None)
        for model in (own, peer):
            model.fit(X[:FIT_ROWS], y[:FIT_ROWS])
        peer.coef_, peer.intercept_ = own.coef_, own.intercept_
        calls = {
            name: partial(getattr(model, method), X[:rows])
            for name, model in {"fastgd": own, "scikit-learn": peer}.items()
        }
        with threadpool_limits(threads):
            np.testing.assert_allclose(*(of() for of in calls.values()), rtol=1e-6, atol=1e-9)
        sample = partial(timing.of_call, count=count)
        yield _result(row, options, "call", sample, calls, X=X[:rows], threads=threads)


def _factorization(row, options, epochs, ratings=None, factors=50, variant=""):
    """An epoch of matrix factorization on MovieLens, or on synthetic ratings of this size."""
    table = data.synthetic_ratings(*ratings) if ratings else data.movielens()[0]
    is_test = np.random.default_rng(0).random(len(table)) < 0.1
    train, test = table[~is_test], table[is_test]
    if options.quick:
        train, test = train[:QUICK_RATINGS], test[: QUICK_RATINGS // 10]
    for threads in row.threads:
        case, other = (train, factors, threads), (train, factors, 1)
        tasks, _ = _prepare("factorization", row, options, case, variant, other)
        with threadpool_limits(threads):
            fits = {name: task(epochs)(test) for name, task in tasks.items()}
        errors = {name: root_mean_squared_error(test[:, 2], fit) for name, fit in fits.items()}
        sample = partial(timing.of_epoch, epochs=epochs)
        yield _result(row, options, "epoch", sample, tasks, errors, train, threads=threads)


class ReachedError(Exception):
    """The gradient is as small as was asked for."""


def _minimizer(row, options, cost, n=0, least=1e-5):
    """A run of `minimize` until max |gradient| <= `least`, from the same start as SciPy's."""
    function, start = costs.cost(cost, n, row.data)
    runs, _ = _prepare("minimizer", row, options, (100_000,))
    evaluations = dict.fromkeys(runs)

    def reach(name):
        calls = itertools.count(1)

        def until(x):
            call, (value, gradient) = next(calls), function(x)
            if np.abs(gradient).max() <= least:
                evaluations[name] = call
                raise ReachedError
            return value, gradient

        with suppress(ReachedError):
            runs[name](until, start)

    tasks = {name: name for name in runs}
    result = _result(row, options, "run", partial(timing.seconds, reach), tasks)
    for name, summary in result["peers"].items():
        summary["evaluations"] = evaluations[name]
    yield result


def _adam(row, options, dtype, n=1_000_000):
    """One update of n parameters by Adam."""
    gradient = np.random.default_rng(0).standard_normal(n).astype(dtype)
    for threads in row.threads:
        steps, _ = _prepare("adam", row, options, (gradient, threads))
        for step in steps.values():
            step()
        sample = partial(timing.of_call, count=ADAM_STEPS)
        yield _result(row, options, "update", sample, steps, threads=threads)


def _custom_loss(row, options, form, batch_size, epochs=5):
    """Epochs with log_loss as a user's compiled function, beside the built-in one."""
    try:
        losses = {"fastgd": costs.CUSTOM_LOSSES[form](), "fastgd built-in": "log_loss"}
    except ImportError:  # without Numba or a C compiler
        return
    row, (X, y) = replace(row, goals=CUSTOM_GOALS), _load(row, options)
    for threads in row.threads:
        own = dict(batch_size=batch_size, n_jobs=threads)

        def train(epochs, loss, own=own):
            plain_sgd(LOGISTIC, loss=loss, max_iter=epochs, **own).fit(X, y)

        trains = {name: partial(train, loss=loss) for name, loss in losses.items()}
        sample = partial(timing.of_epoch, epochs=epochs)
        yield _result(row, options, "epoch", sample, trains, threads=threads)


KINDS = {
    "epochs": _epochs,
    "network": _network,
    "call": _call,
    "factorization": _factorization,
    "minimizer": _minimizer,
    "adam": _adam,
    "custom_loss": _custom_loss,
}
