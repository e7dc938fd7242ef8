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
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
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
            if reason := data.missing(name):
                print(f"{name}: skipped, {reason}")
                continue
            X, y = data.load(name)
            y = y / 1e5 if name == REGRESSION else y  # in units of 100 000 dollars
            for line in (*compare_scores(name, X, y, options.seeds),
                         *compare_losses(name, X, y, options.seeds)):  # fmt: skip
                print(f"{name:<14}{line}", flush=True)
    return 0


def compare_scores(name, X, y, seeds):
    for form in ("raw", "standardised"):
        scores = []
        for seed, X_train, X_test, y_train, y_test in splits(name, X, y, seeds, form):
            pair = [kind(random_state=seed).fit(X_train, y_train) for kind in models(name)]
            scores.append([model.score(X_test, y_test) for model in pair])
        own, peer = np.array(scores).T
        gain = own - peer
        yield (
            f"{form:<13} fastgd {own.mean():.4f}  scikit-learn {peer.mean():.4f}  "
            f"difference {gain.mean():+.4f} +- {gain.std() / np.sqrt(seeds):.4f}"
        )


def compare_losses(name, X, y, seeds):
    for alpha in ("auto", 1e-4):
        of_adam, of_auto = [], []
        for seed, X_train, _, y_train, _ in splits(name, X, y, seeds, "standardised"):
            options = {"max_iter": EPOCHS, "tol": None, "random_state": seed}
            network, _ = models(name)
            auto = network(alpha=alpha, **options)
            of_auto.append(fitted_loss(name, auto, X_train, y_train))
            options |= {"alpha": auto.alpha_, "solver": "adam"}
            adams = [network(learning_rate_init=rate, **options) for rate in RATES]
            of_adam.append([fitted_loss(name, adam, X_train, y_train) for adam in adams])
        of_adam, auto = np.median(of_adam, axis=0), np.median(of_auto)
        best = of_adam.argmin()
        yield (
            f"loss after {EPOCHS} epochs, alpha={alpha}: auto {auto:.3g}, Adam {of_adam[best]:.3g} "
            f"at {RATES[best]:g}: {auto / of_adam[best]:.2f}x"
        )


def splits(name, X, y, seeds, form):
    """(seed, X_train, X_test, y_train, y_test) of each seed."""
    for seed in range(seeds):
        stratify = None if name == REGRESSION else y
        parts = train_test_split(X, y, random_state=seed, stratify=stratify)
        if form == "standardised":
            scaler = StandardScaler().fit(parts[0])
            parts[:2] = map(scaler.transform, parts[:2])
        yield seed, *parts


def models(name):
    kind = "MLPRegressor" if name == REGRESSION else "MLPClassifier"
    return getattr(fastgd, kind), getattr(neural_network, kind)


def fitted_loss(name, model, X, y):
    """The loss after a fit; infinite where training diverged."""
    try:
        model.fit(X, y)
    except ValueError:
        return np.inf
    if name == REGRESSION:
        loss = mean_squared_error(y, model.predict(X)) / 2
    else:
        loss = log_loss(y, model.predict_proba(X))
    return loss + model.alpha_ / (2 * min(200, len(X))) * sum((W**2).sum() for W in model.coefs_)
