"""Cyanure: variance reduction and quasi-Newton methods for smooth losses."""

from cyanure import estimators

from bench.peers import ITERATIONS, Setting

LOSSES = {"log_loss": "logistic", "squared_hinge": "sqhinge"}


def settings(problem, n):
    if problem.loss in ("hinge", "epsilon_insensitive"):
        return []
    half = 0.5 if problem.loss == "squared_hinge" else 1.0  # its squared hinge has a factor 1/2
    own = {"lambda_1": half * (problem.l1 or problem.l2)}
    own |= {"lambda_2": half * problem.l2} if problem.penalty == "elasticnet" else {}
    own |= dict(penalty=problem.penalty, fit_intercept=problem.intercept, tol=1e-14, verbose=False)
    own |= {} if problem.regression else {"loss": LOSSES[problem.loss]}
    model = estimators.Regression if problem.regression else estimators.Classifier

    def by_iterations(solver, threads):
        name = solver if threads < 0 else f"{solver}, 1 thread"
        more = dict(solver=solver, n_threads=threads)
        return Setting(name, lambda count: model(**own, **more, max_iter=count), ITERATIONS)

    solvers = ("auto", "qning-ista", "qning-miso", "catalyst-miso")
    return [*(by_iterations(solver, -1) for solver in solvers), by_iterations("auto", 1)]
