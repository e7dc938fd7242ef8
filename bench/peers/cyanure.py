"""Cyanure: variance reduction and quasi-Newton methods for smooth losses."""

from cyanure import estimators

from bench.peers import by_iterations

LOSSES = {"log_loss": "logistic", "squared_hinge": "sqhinge"}
SOLVERS = ("auto", "qning-ista", "qning-miso", "catalyst-miso")


def settings(problem, n):
    if problem.loss in ("hinge", "epsilon_insensitive"):
        return []
    half = 0.5 if problem.loss == "squared_hinge" else 1.0  # its squared hinge has a factor 1/2
    own = {"lambda_1": half * (problem.l1 or problem.l2)}
    own |= {"lambda_2": half * problem.l2} if problem.penalty == "elasticnet" else {}
    own |= dict(penalty=problem.penalty, fit_intercept=problem.intercept, tol=1e-14, verbose=False)
    own |= {} if problem.regression else {"loss": LOSSES[problem.loss]}
    model = estimators.Regression if problem.regression else estimators.Classifier
    parallel = [by_iterations(name, model, **own, solver=name, n_threads=-1) for name in SOLVERS]
    return [*parallel, by_iterations("auto, 1 thread", model, **own, solver="auto", n_threads=1)]
