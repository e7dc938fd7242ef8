"""`python -m bench everyday`: default fits on everyday shapes, beside scikit-learn's and busy ones.

    defaults       the named models at their defaults, beside scikit-learn's; `bench.pages` makes
                   tables of the file that it writes
    sgd            SGD models at their defaults, and the time to the objective of scikit-learn's
    least-squares  tall least squares, beside scikit-learn and scikit-learn-intelex (goal 1.2), each
                   in processes of its own
    threads        default threads beside one, with no busy process, one, and one on each core

A fit is slow if it takes 5 % and 0.1 ms longer than its peer. Times are medians; fits of peers are
interleaved.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn import linear_model, svm

import fastgd
from bench import data, report
from bench.objective import LOSSES, targets
from bench.timing import cores, interleave, seconds

SHAPES = {  # name: a function that returns (X, values)
    "100x10": lambda: tall(100, 10),
    "2000x20": lambda: tall(2000, 20),
    "300x5000": lambda: tall(300, 5000),
    "1000x1000": lambda: tall(1000, 1000),
    "100000x10": lambda: tall(100_000, 10),
    "20000x300": lambda: tall(20_000, 300),
    "5000x30-unscaled": lambda: tall(5000, 30, log_scale=2.0),
    "csr-20000x50000": lambda: data.sparse(20_000, 50_000, 40, classes=False),
    "csr-2000x200000": lambda: data.sparse(2000, 200_000, 60, classes=False),
}
LATEST = Path(__file__).parent / "results" / "latest.everyday.json"  # of the part "defaults"
SGD_SHAPES = ("100x10", "2000x20", "300x5000", "100000x10", "csr-20000x50000")
TALL = {"200000x50": (200_000, 50, 1), "1000000x10": (1_000_000, 10, 1),
        "200000x50-8": (200_000, 50, 8), "20000x500": (20_000, 500, 1)}  # fmt: skip
EPOCHS = (1, 2, 3, 5, 8, 13, 25, 50)
SECONDS = 1.5  # of the fits of a peer in a row
NEIGHBOUR = "import time\nend = time.time() + 600\nwhile time.time() < end: pass"
# Prints the median time of five fits in a process of its own, where no thread of another library
# waits for work.
FITS = """
import importlib, statistics, sys, time
import numpy as np
module, name, *paths = sys.argv[1:]
model = getattr(importlib.import_module(module), name)()
data, times = [np.load(path) for path in paths], []
for _ in range(6):
    start = time.perf_counter()
    model.fit(*data)
    times.append(time.perf_counter() - start)
print(statistics.median(times[1:]))
"""
TURNS = 3  # of such processes


def tall(rows, columns, log_scale=0.0):
    """(X, values): correlated columns, a target with noise."""
    return data.correlated_values(rows, columns, log_scale)


def shaped(name):
    """(X, standardised values, labels of two classes, of three)"""
    X, z = SHAPES[name]()
    z = (z - z.mean()) / z.std()
    return X, z, np.where(z > 0, 1, -1), np.digitize(z, [-0.5, 0.5])


def named_models(X, z, two, three):
    """Yields (name, module of the peer, class, parameters, y, loss, l1, l2)."""
    n, many = len(z), np.column_stack([z, z**2, np.sin(z), z + 1, -z])
    l1 = 0.05 * float(np.abs(X.T @ z).max()) / n
    tube = {"fit_intercept": False, "epsilon": 0.1}
    of = linear_model
    yield "LinearRegression", of, "LinearRegression", {}, z, "squared_error", 0, 0
    yield "Ridge", of, "Ridge", {}, z, "squared_error", 0, 1 / n
    yield "Ridge-5", of, "Ridge", {}, many, "squared_error", 0, 1 / n
    yield "Lasso", of, "Lasso", {"alpha": l1}, z, "squared_error", l1, 0
    yield "ElasticNet", of, "ElasticNet", {"alpha": l1}, z, "squared_error", l1 / 2, l1 / 2
    yield "LogisticRegression", of, "LogisticRegression", {}, two, "log_loss", 0, 1 / n
    yield "Logistic-C100", of, "LogisticRegression", {"C": 100.0}, two, "log_loss", 0, 0.01 / n
    yield "Logistic-3", of, "LogisticRegression", {}, three, "softmax", 0, 1 / n
    yield "LinearSVC", svm, "LinearSVC", {"fit_intercept": False}, two, "squared_hinge", 0, 1 / n
    yield "LinearSVR", svm, "LinearSVR", tube, z, "epsilon_insensitive", 0, 1 / n


def objective(model, X, y, loss, l1, l2):
    """F of a fitted model, evaluated here."""
    W = np.atleast_2d(np.asarray(model.coef_, float))
    z, epsilon = np.asarray(X @ W.T) + np.ravel(model.intercept_), getattr(model, "epsilon", 0.0)
    losses = LOSSES[loss](z, targets(loss, y), epsilon)
    return losses.mean(axis=0).sum() + l1 * np.abs(W).sum() + l2 / 2 * (W * W).sum()


def medians(fits):
    """Median seconds of functions, which are called in turn; the first call warms up."""
    runs = interleave({k: partial(seconds, fit) for k, fit in enumerate(fits)}, 9, SECONDS, 0)
    return [statistics.median(times[1:]) for times in runs.values()]


def compare_defaults():
    """A line for each shape and model, then what they add up to."""
    rows = []
    for shape in SHAPES:
        X, *labels = shaped(shape)
        for name, module, kind, parameters, y, *parts in named_models(X, *labels):
            pair = [getattr(of, kind)(**parameters) for of in (fastgd, module)]
            own, other = medians([partial(m.fit, X, y) for m in pair])
            value, peer = (objective(model, X, y, *parts) for model in pair)
            is_slow = own > 1.05 * other + 1e-4
            constant = deepcopy(pair[1])
            constant.coef_ = np.zeros_like(constant.coef_)
            worst = objective(constant, X, y, *parts)
            is_worse = bool(value - peer > 1e-3 * max(worst - peer, 0.0))
            rows.append({"shape": shape, "model": name, "seconds": own, "ratio": other / own,
                         "slow": is_slow, "worse": is_worse})  # fmt: skip
            yield (
                f"{shape:<18}{name:<20}{own * 1e3:9.2f} ms  scikit-learn {other * 1e3:9.2f} ms  "
                f"{other / own:7.2f}x  {pair[0].solver_}{'  slow' * is_slow}{'  worse' * is_worse}"
            )
    median = statistics.median(row["ratio"] for row in rows)
    slow, worse = (sum(row[mark] for row in rows) for mark in ("slow", "worse"))
    yield (
        f"{len(rows)} fits: median ratio {median:.2f} (goal 3), {slow} slow (goal 0), "
        f"{worse} with a higher objective{report.missed(median >= 3 and not slow + worse)}"
    )
    LATEST.write_text(json.dumps({"machine": report.machine(), "results": rows}) + "\n")
    yield str(LATEST)


def compare_sgd():
    """A line for each shape, loss and number of classes, then what they add up to."""
    reached, whole, short = [], [], 0
    for shape in SGD_SHAPES:
        X, z, two, three = shaped(shape)
        for loss, y in [(loss, y) for y in (two, three) for loss in ("hinge", "log_loss")] + [
            ("squared_error", z)
        ]:
            kind = "SGDRegressor" if loss == "squared_error" else "SGDClassifier"
            peer = getattr(linear_model, kind)(loss, random_state=0)
            own = getattr(fastgd, kind)(loss, random_state=0)
            theirs, ours = medians([partial(peer.fit, X, y), partial(own.fit, X, y)])
            goal, parts = objective(peer, X, y, loss, 0, 1e-4), (loss, 0, 1e-4)
            time_to = np.inf
            for epochs in EPOCHS:
                model = getattr(fastgd, kind)(loss, random_state=0, max_iter=epochs, tol=None)
                (taken,) = medians([partial(model.fit, X, y)])
                if objective(model, X, y, *parts) <= goal * (1 + 1e-3):
                    time_to = taken
                    break
            is_short = time_to > 1.05 * theirs + 1e-3 or ours > 3 * theirs + 2e-3
            reached, whole = [*reached, theirs / time_to], [*whole, theirs / ours]
            short += is_short
            yield (
                f"{shape:<18}{loss:<14}{len(np.unique(y)) if y is not z else '':<3}"
                f"scikit-learn {theirs * 1e3:8.1f} ms  to its objective {theirs / time_to:6.2f}x  "
                f"to the minimum {theirs / ours:6.2f}x  {own.solver_}{'  short' * is_short}"
            )
    to, of = statistics.median(reached), statistics.median(whole)
    yield (
        f"{len(whole)} fits: median ratio to the objective {to:.2f} (goal 2), of the whole fit "
        f"{of:.2f} (goal 0.33), {short} short (goal 0){report.missed(to >= 2 and not short)}"
    )


def compare_least_squares():
    """A line for each shape and model."""
    peers = {"scikit-learn": "sklearn.linear_model"}
    if find_spec("sklearnex"):
        peers["scikit-learn-intelex"] = "sklearnex.linear_model"
    else:
        yield "scikit-learn-intelex is not installed: it is left out"
    for shape, (rows, columns, outputs) in TALL.items():
        X, z = tall(rows, columns)
        noise = np.random.default_rng(3).standard_normal((rows, outputs - 1))
        Y = np.column_stack([z, noise]) if outputs > 1 else z
        for name in ("LinearRegression", "Ridge"):
            pair = [getattr(of, name)().fit(X, Y) for of in (fastgd, linear_model)]
            error = np.abs(pair[0].coef_ - pair[1].coef_).max() / np.abs(pair[1].coef_).max()
            own, *others = alone(["fastgd", *peers.values()], name, X, Y)
            text = "".join(
                f"  {other / own:6.2f}x {peer}" for peer, other in zip(peers, others, strict=True)
            )
            yield f"{shape:<18}{name:<20}{own * 1e3:9.2f} ms{text}  coef_ {error:.0e} off"


def alone(modules, name, X, Y):
    """Median seconds of a fit by each module's model, in processes of its own, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, f"{part}.npy")) for part in ("X", "Y")]
        for path, array in zip(paths, (X, Y), strict=True):
            np.save(path, array)

        def fits(module):
            command = [sys.executable, "-c", FITS, module, name, *paths]
            return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

        turns = [[fits(module) for module in modules] for _ in range(TURNS)]
    return np.median(turns, axis=0)


def compare_threads():
    """A line for each work and number of busy processes."""
    sets = {shape: tall(*shape) for shape in ((100_000, 50), (8000, 500))}

    def fit(kind, shape, threads, **parameters):
        X, z = sets[shape]
        return getattr(fastgd, kind)(n_jobs=threads, **parameters).fit(X, np.where(z > 0, 1, 0))

    full = {"batch_size": "full", "learning_rate": "constant", "eta0": 0.1, "max_iter": 20}
    works = {
        "logistic 100000x50": lambda k: fit("LogisticRegression", (100_000, 50), k),
        "logistic 8000x500": lambda k: fit("LogisticRegression", (8000, 500), k),
        "20 full gradients": lambda k: fit("SGDClassifier", (100_000, 50), k, tol=None, **full),
    }
    for busy in sorted({0, 1, cores()}):
        neighbours = [subprocess.Popen([sys.executable, "-c", NEIGHBOUR]) for _ in range(busy)]
        try:
            time.sleep(0.5)
            for name, work in works.items():
                one, default = medians([partial(work, 1), partial(work, None)])
                goal = 1.15 if busy else 1.05
                yield (
                    f"{busy} busy  {name:<20}{default / one:5.2f} of the time of one thread "
                    f"(goal {goal}){report.missed(default <= goal * one)}"
                )
        finally:
            for neighbour in neighbours:
                neighbour.kill()


PARTS = {"defaults": compare_defaults, "sgd": compare_sgd,
         "least-squares": compare_least_squares, "threads": compare_threads}  # fmt: skip


def main(arguments):
    return report.parts("everyday", __doc__, PARTS, arguments)
