"""Peers, one file each, with one function for each kind of work that the peer does (see WORK):

    epochs(problem, X, y, shuffle, threads) -> train(epochs) -> (coef (K, p), intercept (K,))
    network(hidden, batch_size, X, y)       -> train(epochs) -> training loss of the last epoch
    factorization(ratings, factors, threads) -> train(epochs) -> predict(pairs)
    minimizer(iterations)                   -> run(cost, start), stopped by nothing else
    adam(gradient, threads)                 -> step(): one update
    settings(problem, n)                    -> list of Setting, for `python -m bench accuracy`
    one_pass(problem, X, t)                 -> (coef, intercept), for `python -m bench auto`
    cluster(problem, X, y, workers)         -> list of Setting, for `python -m bench scale peers`;
                                               X, y: dask arrays, which a peer may place elsewhere

A function raises UnsupportedError, with the reason, where the peer cannot do the work.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import numpy as np

WORK = {
    "epochs": ("fastgd", "numpy", "scikit-learn", "torch", "snapml"),
    "network": ("fastgd", "scikit-learn", "torch"),
    "factorization": ("fastgd", "surprise", "libmf"),
    "minimizer": ("fastgd", "scipy"),
    "adam": ("fastgd", "numpy", "torch"),
    "settings": (
        "fastgd",
        "scikit-learn",
        "sklearnex",
        "liblinear",
        "snapml",
        "cyanure",
        "skglm",
        "celer",
        "glum",
    ),  # fmt: skip
    "one_pass": ("fastgd", "vowpalwabbit"),
    "cluster": ("fastgd", "dask-ml", "spark"),
}
NAMES = tuple(dict.fromkeys(name for names in WORK.values() for name in names))
TOLERANCES = tuple(10.0**-k for k in range(1, 13))
ITERATIONS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 18, 25, 35, 50, 70, 100, 140, 200, 280, 400, 800, 1600,
              3200)  # fmt: skip


class UnsupportedError(Exception):
    """The peer has no such method; the message says what is missing."""


@dataclass(frozen=True)
class Setting:
    """`make(level)` is an estimator; the levels run from loose to tight."""

    name: str
    make: Callable
    levels: tuple
    order: str = "C"  # the layout that the solver does not have to convert
    compiles: bool = False  # at the first call, which is not timed


def by_iterations(name, model, **parameters):
    return Setting(name, lambda count: model(**parameters, max_iter=count), ITERATIONS)


def by_tolerance(name, model, order="C", compiles=False, **parameters):
    return Setting(name, lambda tol: model(**parameters, tol=tol), TOLERANCES, order, compiles)


def sgd_parameters(problem):
    """What SGDClassifier and SGDRegressor, of fastgd and of scikit-learn, call the problem."""
    names = ("loss", "penalty", "alpha", "l1_ratio", "epsilon")
    parameters = {name: getattr(problem, name) for name in names}
    return parameters | {"fit_intercept": problem.intercept}


def constant_steps(problem):
    """Their parameters of plain steps at the problem's rate, for as many epochs as asked for."""
    own = dict(learning_rate="constant", eta0=problem.rate, average=problem.average)
    return sgd_parameters(problem) | own | dict(tol=None, random_state=0)


def adam_parameters(hidden, batch_size):
    """Those of MLPClassifier, of fastgd and of scikit-learn."""
    own = dict(hidden_layer_sizes=hidden, batch_size=batch_size)
    return own | dict(solver="adam", random_state=0)


def load(work, names=None):
    """({peer: its function}, notes): of each peer that is installed; a note for each that is not.

    `names` restricts the peers; None: all.
    """
    functions, notes = {}, []
    for name in WORK[work]:
        if names is not None and name not in names:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what a peer itself imports
                module = import_module(f"bench.peers.{name.replace('-', '_')}")
            functions[name] = getattr(module, work)
        except ImportError as error:
            notes.append(f"{name}: skipped, {error}")
    return functions, notes


def coefficients(model):
    """(coef (K, p), intercept (K,)) of a fitted model; an intercept that it lacks is 0."""
    intercept = np.ravel(getattr(model, "intercept_", None))
    if not len(intercept) or intercept[0] is None:
        intercept = np.zeros(1)
    return np.atleast_2d(model.coef_), intercept


def named_model(problem, n):
    """(class, parameters) of the model that fastgd and scikit-learn call by the same name."""
    l1, l2, total, intercept = problem.l1, problem.l2, problem.alpha, problem.intercept
    match problem.loss:
        case "squared_error" if l1 and l2:
            name, own = "ElasticNet", {"alpha": total, "l1_ratio": problem.l1_ratio}
        case "squared_error" if l1:
            name, own = "Lasso", {"alpha": l1}
        case "squared_error":
            name, own = ("Ridge", {"alpha": l2 * n}) if l2 else ("LinearRegression", {})
        case "log_loss":
            C = 1 / (total * n) if total else np.inf
            name, own = "LogisticRegression", {"C": C, "l1_ratio": problem.l1_ratio}
        case "hinge" | "squared_hinge":
            name, own = "LinearSVC", {"C": 1 / (l2 * n), "loss": problem.loss}
        case "epsilon_insensitive":
            name, own = "LinearSVR", {"C": 1 / (l2 * n), "epsilon": problem.epsilon}
        case _:
            raise ValueError(f"no named model minimises {problem}")
    return name, own | {"fit_intercept": intercept}
