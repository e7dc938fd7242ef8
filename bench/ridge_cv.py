"""`python -m bench selection ridge`: ridge penalties by cross-validation, and by GridSearchCV over
Ridge, beside scikit-learn.

Fits are interleaved, and each line says how far the chosen penalty, its score and the coefficients
are from scikit-learn's. Times are medians of wall-clock seconds; "cpu" is the ratio of processor
times, which other processes of the machine disturb less.
"""

import time

import numpy as np
from sklearn import linear_model, model_selection
from threadpoolctl import threadpool_limits

import fastgd
from bench import report
from bench.data import correlated_values
from bench.timing import SETTLE, interleave

THREADS = 2
ALPHAS = np.logspace(-3, 3, 20)
SECONDS = 10.0  # of the fits of a peer
# name, rows, columns, cv, kind of y, times scikit-learn's speed (None: no goal)
RIDGE = (
    ("5 folds", 20_000, 300, 5, "values", 40),
    ("leave one out", 20_000, 300, None, "values", 8),
    ("leave one out", 150, 2000, None, "values", 1),
    ("5 folds", 150, 2000, 5, "values", None),
    ("5 folds", 800, 40, 5, "values", None),
    ("leave one out", 800, 40, None, "values", None),
    ("5 folds, 4 targets", 5000, 100, 5, "targets", None),
    ("5 folds, 4 classes", 5000, 100, 5, "classes", None),
    ("10 folds, weights", 5000, 100, 10, "weights", None),
)
# rows, columns, times the speed of separate fits: GridSearchCV, the same alphas on 5 folds
SEARCHES = ((20_000, 300, 20), (800, 40, 3), (150, 2000, 3), (300, 10, 5))


def drawn(rows, columns, kind):
    """(X, y, weights): correlated columns, noisy targets."""
    X, z = correlated_values(rows, columns, 0.0)
    random = np.random.default_rng(7)
    weights = random.uniform(0.1, 2, rows) if kind == "weights" else None
    if kind == "targets":
        z = np.column_stack([z, z**2, X[:, 0], random.standard_normal(rows)])
    elif kind == "classes":
        z = np.digitize(z, np.quantile(z, [0.25, 0.5, 0.75]))
    return X, z, weights


def timed(fit, wall, cpu):
    """A function for `interleave` that also keeps processor times."""

    def sample():
        began, start = time.process_time(), time.perf_counter()
        fit()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - began)
        return wall[-1]

    return sample


def compare(name, rows, columns, cv, kind, goal):
    """The line of one piece of work."""
    X, y, weights = drawn(rows, columns, kind)
    of = "RidgeClassifierCV" if kind == "classes" else "RidgeCV"
    models = [getattr(home, of)(alphas=ALPHAS, cv=cv) for home in (fastgd, linear_model)]
    times = [([], []) for _ in models]
    samples = {
        number: timed(lambda model=model: model.fit(X, y, sample_weight=weights), *of_model)
        for number, (model, of_model) in enumerate(zip(models, times, strict=True))
    }
    with threadpool_limits(THREADS):
        interleave(samples, 7, SECONDS, SETTLE)
    (own, own_cpu), (other, other_cpu) = (tuple(map(np.median, of_model)) for of_model in times)
    ours, theirs = models
    error = np.abs(ours.coef_ - theirs.coef_).max() / np.abs(theirs.coef_).max()
    score = abs(ours.best_score_ - theirs.best_score_) / abs(theirs.best_score_)
    is_same = ours.alpha_ == theirs.alpha_
    reached = is_same and error <= 1e-6 and (goal is None or other >= goal * own)
    wanted = "" if goal is None else f" (goal {goal})"
    return (
        f"{f'{rows}x{columns}':<12}{name:<20}{own * 1e3:9.1f} ms  scikit-learn "
        f"{other * 1e3:9.1f} ms  {other / own:7.1f}x{wanted}  cpu {other_cpu / own_cpu:7.1f}x  "
        f"{'same' if is_same else 'other'} alpha, score {score:.0e} off, coef_ {error:.0e} off"
        f"{report.missed(reached)}"
    )


def compare_ridge():
    """A line for each piece of work."""
    for row in RIDGE:
        yield compare(*row)
    for rows, columns, goal in SEARCHES:
        X, y, _ = drawn(rows, columns, "values")
        yield from compare_searches("Ridge", X, y, {"alpha": ALPHAS}, goal)


def compare_searches(kind, X, y, grid, goal):
    """A line for fastgd's GridSearchCV beside scikit-learn's over fastgd's class, which has a goal,
    and one beside scikit-learn's over its own class.
    """
    searches = {
        "": fastgd.GridSearchCV(getattr(fastgd, kind)(), grid, cv=5),
        "separate fits": model_selection.GridSearchCV(getattr(fastgd, kind)(), grid, cv=5),
        "scikit-learn": model_selection.GridSearchCV(getattr(linear_model, kind)(), grid, cv=5),
    }
    times = {name: ([], []) for name in searches}
    samples = {
        name: timed(lambda search=search: search.fit(X, y), *times[name])
        for name, search in searches.items()
    }
    with threadpool_limits(THREADS):
        interleave(samples, 7, SECONDS, SETTLE)
    ours, (own, own_cpu) = searches.pop(""), map(np.median, times.pop(""))
    for name, search in searches.items():
        other, other_cpu = map(np.median, times[name])
        means = [one.cv_results_["mean_test_score"] for one in (ours, search)]
        off = np.abs(np.subtract(*means)).max()
        is_same, has_goal = ours.best_params_ == search.best_params_, name == "separate fits"
        reached = not has_goal or (is_same and other >= goal * own)
        wanted = f" (goal {goal})" if has_goal else ""
        size = "x".join(map(str, X.shape))
        yield (
            f"{size:<12}{'search, ' + kind:<20}{own * 1e3:9.1f} ms  {name:<13}"
            f"{other * 1e3:9.1f} ms  {other / own:7.1f}x{wanted}  cpu {other_cpu / own_cpu:7.1f}x  "
            f"{'same' if is_same else 'other'} penalty, scores {off:.0e} off"
            f"{report.missed(reached)}"
        )
