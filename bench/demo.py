"""Batch, mini-batch and stochastic gradient descent on real data, beside the same updates in NumPy: ``make demo``.

Both visit the rows in the same order, in the same batches, at the same rates, so that they must end at the same
coefficients; the demo fails where they differ by more than 1e-9. The loss curves go to build/demo.png.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from bench.objective import objective
from bench.peers import pure_numpy
from bench.problems import Problem
from bench.run import SETTLE
from fastgd import LossCurveDisplay, SGDClassifier, SGDRegressor

PICTURE = Path(__file__).parent.parent / "build" / "demo.png"
EPOCHS, REPEATS, TOLERANCE = 100, 3, 1e-9
VARIANTS = {"batch": "full", "mini-batch": 32, "stochastic": 1}


@dataclass(frozen=True)
class Study:
    """A data set of scikit-learn's, the loss to descend and the rate of each variant."""

    name: str
    load: object
    loss: str
    rates: dict
    score: str  # what `score` means for this model

    def split(self):
        """Standardised training and test rows, in an order drawn once."""
        X, y = self.load(return_X_y=True)
        stratify = None if self.loss == "squared_error" else y
        X, X_test, y, y_test = train_test_split(X, y, random_state=0, stratify=stratify)
        scale = StandardScaler().fit(X)
        return scale.transform(X), scale.transform(X_test), y, y_test

    def problem(self, variant):
        return Problem(f"{self.name} {variant}", self.name, self.loss, self.rates[variant], VARIANTS[variant], EPOCHS)


STUDIES = [
    Study("breast_cancer", datasets.load_breast_cancer, "log_loss",
          {"batch": 1.0, "mini-batch": 0.1, "stochastic": 0.01}, "test accuracy"),
    Study("digits", datasets.load_digits, "softmax",
          {"batch": 1.0, "mini-batch": 0.1, "stochastic": 0.01}, "test accuracy"),
    Study("diabetes", datasets.load_diabetes, "squared_error",
          {"batch": 0.3, "mini-batch": 0.02, "stochastic": 0.001}, "test R^2"),
]  # fmt: skip


def main():
    figure = Figure(figsize=(5 * len(STUDIES), 4.8), layout="constrained")
    panels = figure.subplots(1, len(STUDIES))
    figure.suptitle("One engine, three variants: they differ only in the batch size", fontsize=14)
    print("batch, mini-batch and stochastic gradient descent beside the same updates in a pure NumPy loop")
    differences = []
    for study, ax in zip(STUDIES, panels, strict=True):
        X, X_test, y, y_test = study.split()
        print(f"\n{study.name}: {study.loss}, {X.shape[0]} training rows x {X.shape[1]} columns\n"
              f"    {'':<12}{'epochs':>7}{'fastgd s':>11}{'NumPy s':>11}{'speed-up':>10}{'loss':>15}"
              f"{study.score:>15}{'coef difference':>18}")  # fmt: skip
        models = {}
        for variant in VARIANTS:
            problem = study.problem(variant)
            models[variant], seconds, difference = race(problem, X, y)
            own, numpys = seconds
            loss = objective(problem, X, y, *coefficients(models[variant]))
            print(f"    {variant:<12}{EPOCHS:>7}{own:>11.4f}{numpys:>11.4f}{numpys / own:>9.2f}x{loss:>15.6f}"
                  f"{models[variant].score(X_test, y_test):>15.4f}{difference:>18.1e}")  # fmt: skip
            differences.append(difference)
        draw(study, models, X, ax)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=130)
    print(f"\nloss curves: {PICTURE}")
    if all(difference <= TOLERANCE for difference in differences):
        return 0
    print(f"FAILED: some coefficients differ from NumPy's by more than {TOLERANCE:.0e}")
    return 1


def race(problem, X, y):
    """(fitted fastgd model, median seconds of fastgd and of NumPy, largest difference of their coefficients)."""
    numpy_loop = pure_numpy.prepare(problem, X, y, shuffle=False, threads=None)
    model = estimator(problem)
    model.fit(X, y)  # a warm-up, as both load what they need on first use
    own, numpys = [], []
    for _ in range(REPEATS):
        own.append(timed(model.fit, X, y)[0])
        seconds, found = timed(numpy_loop, problem.epochs)
        numpys.append(seconds)
    pairs = zip(coefficients(model), found, strict=True)
    difference = max(float(np.abs(a - b).max()) for a, b in pairs)
    return model, (statistics.median(own), statistics.median(numpys)), difference


def timed(function, *arguments):
    """(seconds, result) of one call."""
    time.sleep(SETTLE)
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def estimator(problem):
    kind = SGDRegressor if problem.regression else SGDClassifier
    return kind(problem.loss, alpha=problem.alpha, learning_rate="constant", eta0=problem.rate,
                batch_size=problem.batch_size, max_iter=problem.epochs, tol=None, shuffle=False)  # fmt: skip


def coefficients(model):
    """(coef, intercept) of shapes (K, p) and (K,)."""
    return np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)


def draw(study, models, X, ax):
    named = {f"{variant}, rate {study.rates[variant]:g}": model for variant, model in models.items()}
    LossCurveDisplay.from_estimator(named, log_scale=True, ax=ax, line_kw={"linewidth": 2})
    ax.set(title=f"{study.name}: {study.loss}\n{X.shape[0]} rows x {X.shape[1]} columns, {EPOCHS} epochs")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(alpha=0.25, which="both")
    ax.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    sys.exit(main())
