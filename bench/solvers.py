"""Every solver with which the named models are compared, one function a peer, each with several settings of its own.

    peer(task, n) -> list of Setting; empty where the peer cannot minimise the task's very objective

The task's F is a mean over n rows, with l1 |w|_1 + (l2/2) |w|^2 and a free intercept or none; each function translates it into its
peer's own parameters. liblinear and Snap ML shrink the intercept with the weights, so they are compared on tasks without one only.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from scipy.sparse import csr_matrix, issparse

from bench.machine import cores

TOLERANCES = tuple(10.0**-k for k in range(1, 13))
ITERATIONS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 18, 25, 35, 50, 70, 100, 140, 200, 280, 400, 800, 1600, 3200)  # to stop at
ALL_THREADS = tuple(dict.fromkeys((1, cores())))


@dataclass(frozen=True)
class Setting:
    """`make(level)` is an estimator; the levels run from loose to tight, and each is a fit of its own."""

    name: str
    make: Callable
    levels: tuple = TOLERANCES
    order: str = "C"  # the layout that the solver does not have to convert
    compiles: bool = False  # at the first call, which is not timed


def layouts(X):
    """{order: X as solvers like it}: what is converted here is not timed."""
    if not issparse(X):
        return {"C": X, "F": np.asfortranarray(X)}
    rows = csr_matrix(X)
    rows.indices, rows.indptr = rows.indices.astype(np.int32), rows.indptr.astype(np.int32)
    rows.sort_indices()
    return {"C": rows, "F": rows.tocsc()}


def named(task, n):
    """(class, parameters) of the model that fastgd and scikit-learn call by the same name."""
    own, intercept = task.l2 * n, {"fit_intercept": task.intercept}
    match task.loss:
        case "squared_error" if task.l1 and task.l2:
            alpha = task.l1 + task.l2
            return "ElasticNet", {"alpha": alpha, "l1_ratio": task.l1 / alpha} | intercept
        case "squared_error" if task.l1:
            return "Lasso", {"alpha": task.l1} | intercept
        case "squared_error" if task.l2:
            return "Ridge", {"alpha": own} | intercept
        case "squared_error":
            return "LinearRegression", intercept
        case "log_loss":
            total = task.l1 + task.l2
            C = 1 / (total * n) if total else np.inf
            return "LogisticRegression", {"C": C, "l1_ratio": task.l1 / total if task.l1 else 0.0} | intercept
        case "hinge" | "squared_hinge":
            return "LinearSVC", {"C": 1 / own, "loss": task.loss} | intercept
        case "epsilon_insensitive":
            return "LinearSVR", {"C": 1 / own, "epsilon": task.epsilon} | intercept
    raise ValueError(f"no named model minimises {task}")


def fastgd(task, n):
    name, parameters = named(task, n)
    model = getattr(import_module("fastgd"), name, None)
    if model is None:
        return []
    return [Setting("default", lambda tol: model(**parameters, tol=tol))]


def scikit_learn(task, n):
    from sklearn import linear_model

    name, parameters = named(task, n)
    if name in ("LinearSVC", "LinearSVR"):
        return []  # liblinear's
    model = getattr(linear_model, name)
    if name == "LogisticRegression":
        found = ("saga",) if task.l1 else ("newton-cholesky", "lbfgs", "newton-cg", "sag", "saga")
        return [_by_iterations(model, parameters, solver) for solver in found]
    if name == "Ridge":
        direct = [Setting("cholesky", lambda _: model(**parameters, solver="cholesky"), (None,))]
        return direct + [
            Setting(solver, lambda tol, solver=solver: model(**parameters, solver=solver, tol=tol, max_iter=10_000))
            for solver in ("lsqr", "sparse_cg")
        ] + [_by_iterations(model, parameters, solver) for solver in ("sag", "saga")]  # fmt: skip
    if name == "LinearRegression":
        return [Setting("lapack", lambda _: model(**parameters), (None,))]
    return [
        Setting(f"Gram {gram}", lambda tol, gram=gram: model(**parameters, precompute=gram, tol=tol, max_iter=100_000), order="F")
        for gram in (False, True)
    ]


def _by_iterations(model, parameters, solver):
    return Setting(solver, lambda count: model(**parameters, solver=solver, tol=1e-15, max_iter=count, random_state=0), ITERATIONS)


def liblinear(task, n):
    from sklearn import linear_model, svm

    name, parameters = named(task, n)
    if task.intercept or name not in ("LogisticRegression", "LinearSVC", "LinearSVR") or task.l1 and task.l2:
        return []
    primal = {"LogisticRegression": (False,) if task.l1 else (True, False), "LinearSVR": (True,)}
    model = getattr(linear_model if name == "LogisticRegression" else svm, name)
    more = {"solver": "liblinear"} if name == "LogisticRegression" else {}
    forms = primal.get(name, (True,) if task.loss == "hinge" else (True, False))
    return [
        Setting("dual" if dual else "primal",
                lambda count, dual=dual: model(**parameters, **more, dual=dual, tol=1e-12, max_iter=count, random_state=0),
                ITERATIONS)
        for dual in forms
    ]  # fmt: skip


def snap_ml(task, n):
    import snapml

    models = {"squared_error": "LinearRegression", "log_loss": "LogisticRegression"} | dict.fromkeys(
        ("hinge", "squared_hinge"), "SupportVectorMachine")  # fmt: skip
    if task.intercept or task.loss not in models or task.l1 and (task.l2 or "hinge" in task.loss):
        return []
    model = getattr(snapml, models[task.loss])
    common = dict(regularizer=(task.l1 or task.l2) * n, fit_intercept=False, tol=0.0, random_state=0)
    if "hinge" in task.loss:
        forms = {"dual": {"loss": task.loss}}
    else:
        forms = {"primal": {"dual": False, "penalty": "l1" if task.l1 else "l2"}}
        forms |= {} if task.l1 else {"dual": {"dual": True}}
    return [
        Setting(f"{form}, {threads} thread{'s' * (threads > 1)}",
                lambda count, more=more, threads=threads: model(**common, **more, n_jobs=threads, max_iter=count), ITERATIONS)
        for form, more in forms.items() for threads in ALL_THREADS
    ]  # fmt: skip


def cyanure(task, n):
    from cyanure import estimators

    if task.loss in ("hinge", "epsilon_insensitive"):
        return []
    half = 0.5 if task.loss == "squared_hinge" else 1.0  # its squared hinge has a factor 1/2
    penalty = "elasticnet" if task.l1 and task.l2 else "l1" if task.l1 else "l2"
    strengths = {"lambda_1": half * (task.l1 or task.l2)} | ({"lambda_2": half * task.l2} if penalty == "elasticnet" else {})
    model, more = estimators.Regression, {}
    if not task.regression:
        model, more = estimators.Classifier, {"loss": {"log_loss": "logistic", "squared_hinge": "sqhinge"}[task.loss]}
    common = dict(penalty=penalty, fit_intercept=task.intercept, tol=1e-14, verbose=False, **strengths, **more)
    pairs = [(solver, -1) for solver in ("auto", "qning-ista", "qning-miso", "catalyst-miso")] + [("auto", 1)]
    return [
        Setting(solver if threads < 0 else f"{solver}, 1 thread",
                lambda count, solver=solver, threads=threads: model(**common, solver=solver, n_threads=threads, max_iter=count),
                ITERATIONS)
        for solver, threads in pairs
    ]  # fmt: skip


def skglm(task, n):
    from skglm import datafits, estimators, penalties, solvers

    own = dict(fit_intercept=task.intercept, max_iter=1000)
    if task.loss == "hinge" and not task.intercept:
        return [Setting("dual", lambda tol: estimators.LinearSVC(C=1 / (task.l2 * n), tol=tol, **own), order="F", compiles=True)]
    if task.loss not in ("squared_error", "log_loss"):
        return []
    logistic = task.loss == "log_loss"
    datafit = datafits.Logistic if logistic else datafits.Quadratic
    if not task.l1:
        if task.intercept:
            return []  # its L-BFGS has none

        def smooth(count):
            solver = solvers.LBFGS(max_iter=count, tol=1e-12)
            solver.fit_intercept = solver.warm_start = False  # asked for by the estimator, not set by the solver
            return estimators.GeneralizedLinearEstimator(datafit(), penalties.L2(task.l2), solver)

        return [Setting("lbfgs", smooth, ITERATIONS, "F", compiles=True)]
    if task.l2:
        return []
    name, model = ("prox-newton", estimators.SparseLogisticRegression) if logistic else ("working sets", estimators.Lasso)
    return [Setting(name, lambda tol: model(task.l1, tol=tol, **own), order="F", compiles=True)]


PEERS = {"fastgd": fastgd, "scikit-learn": scikit_learn, "liblinear": liblinear, "snapml": snap_ml, "cyanure": cyanure,
         "skglm": skglm}  # fmt: skip
MODULES = {"scikit-learn": "sklearn", "liblinear": "sklearn"}  # where it is not the peer's name


def load(names=None):
    """(peers, notes): name -> function for each that is installed, and a line for each that is not."""
    found, notes = {}, []
    for name in names or PEERS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what a peer itself imports
                import_module(MODULES.get(name, name))
            found[name] = PEERS[name]
        except ImportError as error:
            notes.append(f"{name}: skipped, {error}")
    return found, notes


def coefficients(model):
    """(coef, intercept) of a fitted model, of whatever shape; an intercept that it has not is 0."""
    intercept = np.ravel(getattr(model, "intercept_", 0.0))
    return np.ravel(model.coef_), float(intercept[0]) if len(intercept) and intercept[0] is not None else 0.0
