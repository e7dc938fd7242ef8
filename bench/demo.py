"""`python -m bench.demo`: batch, mini-batch and stochastic gradient descent, beside NumPy's loop.

Both visit the rows in the same order, in the same batches, at the same rates, so that they end at
the same coefficients; the demo fails where they differ by more than 1e-9. The loss curves go to
build/demo.png.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from bench import data, timing
from bench.catalogue import Problem
from bench.objective import targets
from bench.peers import coefficients
from bench.peers import numpy as numpy_loop
from bench.peers.fastgd import plain_sgd
from fastgd import LossCurveDisplay

PICTURE = Path(__file__).parent.parent / "build" / "demo.png"
EPOCHS, REPEATS, TOLERANCE = 100, 3, 1e-9
VARIANTS = {"batch": "full", "mini-batch": 32, "stochastic": 1}
# data set of scikit-learn's -> loss, rate of each variant, what `score` is
STUDIES = {
    "breast_cancer": ("log_loss", (1.0, 0.1, 0.01), "test accuracy"),
    "digits": ("softmax", (1.0, 0.1, 0.01), "test accuracy"),
    "diabetes": ("squared_error", (0.3, 0.02, 0.001), "test R^2"),
}


def main():
    figure = Figure(figsize=(5 * len(STUDIES), 4.8), layout="constrained")
    figure.suptitle("One engine, three variants: they differ only in the batch size", fontsize=14)
    print("batch, mini-batch and stochastic gradient descent beside the same updates in NumPy")
    worst = 0.0
    for (name, study), ax in zip(STUDIES.items(), figure.subplots(1, len(STUDIES)), strict=True):
        loss, rates, score = study
        X, X_test, y, y_test = data.split(name)
        title, (rows, columns) = f"{name}: {loss}", X.shape
        print(
            f"\n{title}, {rows} training rows x {columns} columns\n"
            f"    {'':<12}{'epochs':>7}{'fastgd s':>11}{'NumPy s':>11}{'speed-up':>10}{'loss':>15}"
            f"{score:>15}{'coef difference':>18}"
        )
        models = {}
        for (variant, batch_size), rate in zip(VARIANTS.items(), rates, strict=True):
            problem = Problem("", "", loss, 1e-4, rate=rate, batch_size=batch_size)
            model, own, numpys, difference = race(problem, X, y)
            value = problem.value(X, targets(loss, y), *coefficients(model))
            print(
                f"    {variant:<12}{EPOCHS:>7}{own:>11.4f}{numpys:>11.4f}{numpys / own:>9.2f}x"
                f"{value:>15.6f}{model.score(X_test, y_test):>15.4f}{difference:>18.1e}"
            )
            models[f"{variant}, rate {rate:g}"] = model
            worst = max(worst, difference)
        LossCurveDisplay.from_estimator(models, log_scale=True, ax=ax, line_kw={"linewidth": 2})
        ax.set_title(f"{title}\n{rows} rows x {columns} columns, {EPOCHS} epochs")
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.grid(alpha=0.25, which="both")
        ax.spines[["top", "right"]].set_visible(False)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=130)
    print(f"\nloss curves: {PICTURE}")
    if worst > TOLERANCE:
        print(f"FAILED: some coefficients differ from NumPy's by more than {TOLERANCE:.0e}")
    return int(worst > TOLERANCE)


def race(problem, X, y):
    """(model, median seconds of fastgd and of NumPy, largest difference of coefficients)."""
    train = numpy_loop.epochs(problem, X, y, shuffle=False, threads=None)
    model = plain_sgd(problem, max_iter=EPOCHS, shuffle=False)
    pairs = zip(coefficients(model.fit(X, y)), train(EPOCHS), strict=True)
    difference = max(float(np.abs(own - numpys).max()) for own, numpys in pairs)
    tasks = {"fastgd": (model.fit, X, y), "numpy": (train, EPOCHS)}
    times = timing.race(lambda of: timing.seconds(*of), tasks, {}, REPEATS, timing.cores())
    return model, times["fastgd"]["median"], times["numpy"]["median"], difference


if __name__ == "__main__":
    sys.exit(main())
