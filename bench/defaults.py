"""``python -m bench defaults``: networks at their defaults beside scikit-learn's, and beside Adam at the best of eight rates.

First come mean test scores over seeds (another split, another start each) on raw and on standardised columns; then the training
loss after 20 epochs on standardised columns, evaluated here, a batch's penalty included as in scikit-learn's ``loss_``: of the best
of eight constant rates of Adam, chosen in hindsight, and of ``solver="auto"``, both with the penalty that "auto" has by default and
both with scikit-learn's.
"""

import argparse
import sys
import warnings

import numpy as np
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import fastgd
from bench import sets

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
EPOCHS = 20


def california():
    """Targets in units of 100 000 dollars, as in scikit-learn's copy."""
    X, y = sets.load("california")
    return X, y / 1e5


SETS = {
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast_cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "california": california,
}


def splits(name, X, y, seeds):
    """(raw, standardised) parts of a split a seed."""
    for seed in range(seeds):
        X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=seed, stratify=None if name == "california" else y)
        scaler = StandardScaler().fit(X_train)
        yield seed, (X_train, X_test, y_train, y_test), (scaler.transform(X_train), scaler.transform(X_test), y_train, y_test)


def models(name):
    kind = "MLPRegressor" if name == "california" else "MLPClassifier"
    return getattr(fastgd, kind), getattr(neural_network, kind)


def scores(name, X, y, seeds):
    """{form: (own scores, scikit-learn's)}"""
    found = {"raw": ([], []), "standardised": ([], [])}
    for seed, *forms in splits(name, X, y, seeds):
        for lists, (X_train, X_test, y_train, y_test) in zip(found.values(), forms, strict=True):
            for scored, kind in zip(lists, models(name), strict=True):
                scored.append(kind(random_state=seed).fit(X_train, y_train).score(X_test, y_test))
    return {form: tuple(map(np.array, lists)) for form, lists in found.items()}


def loss(name, model, X, y):
    data_term = mean_squared_error(y, model.predict(X)) / 2 if name == "california" else log_loss(y, model.predict_proba(X))
    return data_term + model.alpha_ / (2 * min(200, len(X))) * sum((W**2).sum() for W in model.coefs_)


def losses(name, X, y, seeds, alpha):
    """(medians of Adam's losses, one a rate; median of auto's); both have auto's alpha"""
    own, _ = models(name)
    rated, auto = [], []
    for seed, _, (X_train, _, y_train, _) in splits(name, X, y, seeds):
        options = {"max_iter": EPOCHS, "tol": None, "random_state": seed}
        model = own(alpha=alpha, **options)
        auto.append(_trained(name, model, X_train, y_train))
        adams = [own(alpha=model.alpha_, solver="adam", learning_rate_init=rate, **options) for rate in RATES]
        rated.append([_trained(name, adam, X_train, y_train) for adam in adams])
    return np.median(rated, axis=0), float(np.median(auto))


def _trained(name, model, X, y):
    try:
        return loss(name, model.fit(X, y), X, y)
    except ValueError:  # diverged
        return np.inf


def main(arguments=None):
    parser = argparse.ArgumentParser("python -m bench defaults", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(SETS), help=f"of {', '.join(SETS)} (default: all)")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(1):
        for name in options.names:
            if sets.missing(name):
                print(f"{name}: skipped, {sets.missing(name)}")
                continue
            X, y = SETS[name]()
            for form, (own, peer) in scores(name, X, y, options.seeds).items():
                gain = own - peer
                print(f"{name:<14}{form:<13} fastgd {own.mean():.4f}  scikit-learn {peer.mean():.4f}  difference {gain.mean():+.4f}"
                      f" +- {gain.std() / np.sqrt(len(gain)):.4f}", flush=True)
            for alpha in ("auto", 1e-4):
                rated, auto = losses(name, X, y, options.seeds, alpha)
                best = rated.argmin()
                print(f"{name:<14}loss after {EPOCHS} epochs, alpha={alpha}: auto {auto:.3g}, Adam {rated[best]:.3g} at "
                      f"{RATES[best]:g}: {auto / rated[best]:.2f}x", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
