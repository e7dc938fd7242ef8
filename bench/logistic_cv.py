"""`python -m bench selection logistic`: LogisticRegressionCV and GridSearchCV over
LogisticRegression, beside scikit-learn's, and 100 fits beside one.

Fits of peers are interleaved, with as many threads as there are cores. Times are medians.
"""

import statistics
from functools import partial

import numpy as np
from sklearn import linear_model, model_selection

import fastgd
from bench import data, report
from bench.timing import SETTLE, interleave, seconds

TURNS = 3
SECONDS = 20  # of the fits of a peer in a row
NEW = {"l1_ratios": (0,), "scoring": "neg_log_loss", "use_legacy_attributes": False}
SHAPES = {  # name: (rows, columns, the logarithm of the scales' range, share of the second class)
    "20000x300": (20_000, 300, 0.0, 0.5),
    "20000x300-unscaled": (20_000, 300, 3.0, 0.5),
    "20000x300-rare": (20_000, 300, 0.0, 0.03),
    "5000x50": (5000, 50, 0.0, 0.5),
    "200x5": (200, 5, 0.0, 0.5),
    "300x1000": (300, 1000, 0.0, 0.5),
}


def labelled(rows, columns, log_scale, share):
    X, z = data.correlated_values(rows, columns, log_scale)
    return X, (z > np.quantile(z, 1 - share)).astype(int)


def medians(fits):
    """Median seconds of functions, which are called in turn; the first call warms up."""
    samples = {k: partial(seconds, fit) for k, fit in enumerate(fits)}
    runs = interleave(samples, 1 + TURNS, SECONDS, SETTLE)
    return [statistics.median(times[1:]) for times in runs.values()]


def compare_logistic():
    """A line for each work and shape."""
    for shape, parts in SHAPES.items():
        X, y = labelled(*parts)
        pair = [of.LogisticRegressionCV(**NEW) for of in (fastgd, linear_model)]
        own, other = medians([partial(model.fit, X, y) for model in pair])
        places = [int(np.flatnonzero(model.Cs_ == model.C_)[0]) for model in pair]
        exact = fastgd.LogisticRegression(C=pair[0].C_, tol=1e-10).fit(X, y).coef_
        error = np.abs(pair[0].coef_ - exact).max() / np.abs(exact).max()
        missed = report.missed(shape != "20000x300" or other >= 6 * own)
        yield (
            f"{shape:<20}LogisticRegressionCV  {own * 1e3:8.1f} ms  scikit-learn "
            f"{other * 1e3:9.1f} ms  {other / own:6.2f}x  the C of places {places}  "
            f"coef_ {error:.0e} off{missed}"
        )
        grid = {"C": np.logspace(-4, 4, 10)}
        pair = [
            kind(fastgd.LogisticRegression(), grid, scoring="neg_log_loss")
            for kind in (fastgd.GridSearchCV, model_selection.GridSearchCV)
        ]
        own, other = medians([partial(model.fit, X, y) for model in pair])
        names = ["best" if a.best_params_ == b.best_params_ else "other" for a, b in [pair]]
        apart = np.abs(
            pair[0].cv_results_["mean_test_score"] - pair[1].cv_results_["mean_test_score"]
        ).max()
        missed = report.missed(shape != "20000x300" or other >= 3 * own)
        yield (
            f"{shape:<20}GridSearchCV          {own * 1e3:8.1f} ms  scikit-learn "
            f"{other * 1e3:9.1f} ms  {other / own:6.2f}x  the {names[0]} C  "
            f"scores {apart:.0e} apart{missed}"
        )
    yield from compare_to_one_fit()


def compare_to_one_fit():
    """20 penalties on 5 folds beside one fit."""
    name, X, y = two_classes()
    many = fastgd.LogisticRegressionCV(Cs=20, cv=5, **NEW, refit=False)
    one = fastgd.LogisticRegression()
    all_fits, one_fit = medians([partial(model.fit, X, y) for model in (many, one)])
    ratio = all_fits / one_fit
    yield (
        f"{name:<20}100 fits {all_fits * 1e3:8.1f} ms  one fit {one_fit * 1e3:8.1f} ms  "
        f"{ratio:5.1f} fits' time (goal 25){report.missed(ratio <= 25)}"
    )


def two_classes():
    """(name, X, y): two classes of Fashion-MNIST, or a synthetic set of its shape."""
    if not data.missing("fashion"):
        X, y = data.load("fashion10")
        chosen = np.isin(y, (0, 6))
        return "fashion 0 and 6", np.ascontiguousarray(X[chosen], float), (y[chosen] == 6) * 1
    X, y = labelled(12_000, 784, 0.0, 0.5)
    return "synthetic 12000x784", X, y
