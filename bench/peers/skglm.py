"""skglm: working sets and proximal Newton, compiled by Numba at the first call."""

from skglm import datafits, estimators, penalties, solvers

from bench.peers import ITERATIONS, TOLERANCES, Setting


def settings(problem, n):
    intercept, smooth = problem.intercept, not problem.l1
    own = dict(fit_intercept=intercept, max_iter=1000)

    def only(name, make, levels=TOLERANCES):
        return [Setting(name, make, levels, "F", compiles=True)]

    if problem.loss == "hinge" and not intercept:
        C = 1 / (problem.l2 * n)
        return only("dual", lambda tol: estimators.LinearSVC(C=C, tol=tol, **own))
    if problem.loss not in ("squared_error", "log_loss"):
        return []
    logistic = problem.loss == "log_loss"
    if smooth and not intercept:  # its L-BFGS fits none
        datafit = datafits.Logistic if logistic else datafits.Quadratic

        def by_iterations(count):
            solver = solvers.LBFGS(max_iter=count, tol=1e-12)
            # read by the estimator, not set by the solver
            solver.fit_intercept = solver.warm_start = False
            penalty = penalties.L2(problem.l2)
            return estimators.GeneralizedLinearEstimator(datafit(), penalty, solver)

        return only("lbfgs", by_iterations, ITERATIONS)
    if smooth or problem.l2:
        return []
    model = estimators.SparseLogisticRegression if logistic else estimators.Lasso
    name = "prox-newton" if logistic else "working sets"
    return only(name, lambda tol: model(problem.l1, tol=tol, **own))
