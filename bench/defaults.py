"""`python -m bench defaults`: networks at their defaults beside scikit-learn's, and beside Adam.

First mean test scores over seeds (another split, another start each) on raw and on standardised
columns. Then the training loss after 20 epochs on standardised columns, evaluated here, a batch's
penalty included as in scikit-learn's `loss_`: of the best of eight constant rates of Adam, chosen
in hindsight, and of solver="auto", both with the penalty that "auto" has by default and both with
scikit-learn's.
"""

import argparse
import warnings

import numpy as np
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, mean_squared_error
from threadpoolctl import threadpool_limits

import fastgd
from bench import data

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
EPOCHS = 20
SETS = ("digits", "wine", "breast_cancer", "california")
REGRESSION = "california"


def main(arguments):
    parser = argparse.ArgumentParser("python -m bench defaults", description=__doc__)
    parser.add_argument("names", nargs="*", default=SETS, help=f"of {', '.join(SETS)}")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(1):
        for name in options.names:
            reason = data.missing(name)
            texts = [f"skipped, {reason}"] if reason else compare(name, options.seeds)
            for text in texts:
                print(f"{name:<14}{text}", flush=True)
    return 0


def compare(name, seeds):
    """A line for each form of the columns, and for each penalty."""
    kind = "MLPRegressor" if name == REGRESSION else "MLPClassifier"
    unit = 1e5 if name == REGRESSION else 1  # of y: 100 000 dollars
    model, peer = getattr(fastgd, kind), getattr(neural_network, kind)
    for form in ("raw", "standardised"):
        scores = []
        for seed in range(seeds):
            X, X_test, y, y_test = data.split(name, seed, form == "standardised")
            pair = [network(random_state=seed).fit(X, y / unit) for network in (model, peer)]
            scores.append([fitted.score(X_test, y_test / unit) for fitted in pair])
        (own, other), gains = np.mean(scores, axis=0), -np.diff(scores)
        yield (
            f"{form:<13} fastgd {own:.4f}  scikit-learn {other:.4f}  "
            f"difference {gains.mean():+.4f} +- {gains.std() / np.sqrt(seeds):.4f}"
        )
    for alpha in ("auto", 1e-4):
        of_adam, of_auto = [], []
        for seed in range(seeds):
            X, _, y, _ = data.split(name, seed)
            own = {"max_iter": EPOCHS, "tol": None, "random_state": seed}
            auto = model(alpha=alpha, **own)
            of_auto.append(fitted_loss(auto, X, y / unit))
            own |= {"alpha": auto.alpha_, "solver": "adam"}
            adams = [model(learning_rate_init=rate, **own) for rate in RATES]
            of_adam.append([fitted_loss(adam, X, y / unit) for adam in adams])
        of_adam, auto = np.median(of_adam, axis=0), np.median(of_auto)
        best = of_adam.argmin()
        yield (
            f"loss after {EPOCHS} epochs, alpha={alpha}: auto {auto:.3g}, Adam {of_adam[best]:.3g} "
            f"at {RATES[best]:g}: {auto / of_adam[best]:.2f}x"
        )


def fitted_loss(model, X, y):
    """The loss after a fit; infinite where training diverged."""
    try:
        model.fit(X, y)
    except ValueError:
        return np.inf
    if isinstance(model, fastgd.MLPRegressor):
        loss = mean_squared_error(y, model.predict(X)) / 2
    else:
        loss = log_loss(y, model.predict_proba(X))
    return loss + model.alpha_ / (2 * min(200, len(X))) * sum((W**2).sum() for W in model.coefs_)
