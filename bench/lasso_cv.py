"""`python -m bench selection lasso`: LassoCV and ElasticNetCV at their defaults on 5 folds and 100
alphas, and GridSearchCV over Lasso and ElasticNet with 50 alphas, beside scikit-learn's.

Times are medians of fits in turns, each on two threads or processors at most; processor times stand
beside them, for busy machines. The penalties have to be the same, and the coefficients within the
tolerance.
"""

import statistics
import time
from functools import partial

import numpy as np
from scipy import sparse
from sklearn import linear_model
from sklearn.base import clone
from threadpoolctl import threadpool_limits

import fastgd
from bench import data, report
from bench.ridge_cv import compare_searches
from bench.timing import SETTLE

THREADS, TURNS, SECONDS = 2, 5, 20
# The largest difference of coefficients, relative to the largest one, that tol=1e-4 leaves: the
# square root of the gap is that of the fits.
MAX_DIFFERENCE = 1e-2


def tall(rows, columns, **others):
    return lambda: data.correlated_values(rows, columns, **others)


def far_off():
    """Columns of mean 1e6 and deviation 1."""
    X, y = data.correlated_values(5000, 100)
    return X / X.std(axis=0) + 1e6, y


def sparse_rows():
    rng = np.random.default_rng(0)
    X = sparse.random_array((5000, 1000), density=0.02, rng=rng, format="csr")
    return X, X @ np.where(rng.random(1000) < 0.1, rng.standard_normal(1000), 0) + (
        0.1 * rng.standard_normal(5000)
    )


# name: (data, class, parameters, goal)
LASSO = {
    "LassoCV 20000x300": (tall(20_000, 300), "LassoCV", {}, 3),
    "LassoCV 150x2000": (tall(150, 2000), "LassoCV", {}, 1.5),
    "LassoCV 800x40": (tall(800, 40), "LassoCV", {}, 1.5),
    "ElasticNetCV 20000x300, 3 ratios": (
        tall(20_000, 300),
        "ElasticNetCV",
        {"l1_ratio": [0.1, 0.5, 0.9]},
        3,
    ),
    "LassoCV 2000x500, eps=1e-4": (tall(2000, 500), "LassoCV", {"eps": 1e-4}, 1),
    "LassoCV 500x500, positive": (tall(500, 500), "LassoCV", {"positive": True}, 1),
    "LassoCV 5000x100, means 1e6": (far_off, "LassoCV", {}, 1),
    "LassoCV 300x3000, 50 relevant": (
        lambda: data.few_relevant(300, 3000, 0.5),
        "LassoCV",
        {},
        1,
    ),
    "ElasticNetCV 200x1000, ratio 0.2": (tall(200, 1000), "ElasticNetCV", {"l1_ratio": 0.2}, 1),
    "LassoCV 5000x1000, 2 % stored": (sparse_rows, "LassoCV", {}, 1),
}


# data, class, l1_ratios, times the speed of separate fits
SEARCHES = (
    (tall(20_000, 300), "Lasso", [1.0], 20),
    (tall(800, 40), "Lasso", [1.0], 5),
    (tall(150, 2000), "Lasso", [1.0], 3),
    (tall(800, 40), "ElasticNet", [0.1, 0.5, 0.9], 5),
)


def in_turns(fits):
    """[(median seconds, median processor seconds)] of functions, which are called in turn; the
    first call warms up.
    """
    taken = [[] for _ in fits]
    for _ in range(TURNS + 1):
        for fit, times in zip(fits, taken, strict=True):
            if len(times) >= 2 and sum(wall for wall, _ in times) > SECONDS:
                continue
            time.sleep(SETTLE)
            wall, processor = time.perf_counter(), time.process_time()
            fit()
            times.append((time.perf_counter() - wall, time.process_time() - processor))
    return [tuple(map(statistics.median, zip(*times[1:], strict=True))) for times in taken]


def with_one_blas_thread(fit, X, y):
    with threadpool_limits(1, user_api="blas"):
        fit(X, y)


def is_choice_same(ours, theirs):
    """Whether two models have the same penalties."""
    ratios = [getattr(model, "l1_ratio_", 1) for model in (ours, theirs)]
    return bool(np.isclose(ours.alpha_, theirs.alpha_, rtol=1e-6)) and ratios[0] == ratios[1]


def compare_lasso():
    """A line for each data set; scikit-learn's time is the better one of two threads of BLAS and
    two jobs with one each.
    """
    for name, (make, kind, parameters, goal) in LASSO.items():
        X, y = make()
        ours = getattr(fastgd, kind)(cv=5, n_jobs=THREADS, **parameters)
        theirs, parallel = (
            getattr(linear_model, kind)(cv=5, n_jobs=n_jobs, **parameters)
            for n_jobs in (None, THREADS)
        )
        with threadpool_limits(THREADS):
            fits = [partial(model.fit, X, y) for model in (ours, theirs)]
            taken = in_turns([*fits, partial(with_one_blas_thread, parallel.fit, X, y)])
        (own, used), (other, others) = taken[0], min(taken[1:])
        is_same, exact = is_choice_same(ours, theirs), ""
        if not is_same:
            # Where errors are flat, scikit-learn's tolerance may decide.
            exact = clone(theirs).set_params(tol=1e-6, max_iter=10_000).fit(X, y)
            is_same = is_choice_same(ours, exact)
            exact = f" and {theirs.alpha_:.4g}, with tol=1e-6 {exact.alpha_:.4g}"
        off = np.abs(ours.coef_ - theirs.coef_).max() / np.abs(theirs.coef_).max()
        is_reached = other >= goal * own and is_same and off <= MAX_DIFFERENCE
        yield (
            f"{name:<34}{own * 1e3:9.1f} ms  scikit-learn {other * 1e3:9.1f} ms  "
            f"{other / own:6.2f}x (goal {goal}; processor time {others / used:.2f}x)  "
            f"alpha_ {ours.alpha_:.4g}{exact}  coef_ {off:.0e} off{report.missed(is_reached)}"
        )
    for make, kind, ratios, goal in SEARCHES:
        X, y = make()
        largest = np.abs((y - y.mean()) @ (X - X.mean(axis=0))).max() / len(y)
        grid = {"alpha": np.geomspace(largest, largest * 1e-3, 50)}
        grid |= {"l1_ratio": ratios} if kind == "ElasticNet" else {}
        yield from compare_searches(kind, X, y, grid, goal)
