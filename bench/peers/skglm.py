"""skglm: working sets and proximal Newton, compiled by Numba at the first call."""

from skglm import datafits, estimators, penalties, solvers

from bench.peers import ITERATIONS, Setting, by_tolerance


def settings(problem, n):
    intercept, smooth, logistic = problem.intercept, not problem.l1, problem.loss == "log_loss"
    own = dict(fit_intercept=intercept, max_iter=1000, order="F", compiles=True)
    if problem.loss == "hinge" and not intercept:
        return [by_tolerance("dual", estimators.LinearSVC, **own, C=1 / (problem.l2 * n))]
    if problem.loss not in ("squared_error", "log_loss"):
        return []
    if smooth and not intercept:  # its L-BFGS fits none
        datafit = datafits.Logistic if logistic else datafits.Quadratic

        def lbfgs(count):
            solver = solvers.LBFGS(max_iter=count, tol=1e-12)
            # read by the estimator, not set by the solver
            solver.fit_intercept = solver.warm_start = False
            penalty = penalties.L2(problem.l2)
            return estimators.GeneralizedLinearEstimator(datafit(), penalty, solver)

        return [Setting("lbfgs", lbfgs, ITERATIONS, "F", compiles=True)]
    if smooth or problem.l2:
        return []
    model = estimators.SparseLogisticRegression if logistic else estimators.Lasso
    name = "prox-newton" if logistic else "working sets"
    return [by_tolerance(name, model, **own, alpha=problem.l1)]
