"""glum: iterated least squares and coordinate descent on the Hessian."""

import glum

from bench.peers import TOLERANCES, Setting

FAMILIES = {"squared_error": "normal", "log_loss": "binomial"}


class Model(glum.GeneralizedLinearRegressor):
    """Takes labels -1 and 1 too."""

    def fit(self, X, t):
        return super().fit(X, t > 0 if self.family == "binomial" else t)


def settings(problem, n):
    if problem.loss not in FAMILIES:
        return []
    own = dict(family=FAMILIES[problem.loss], fit_intercept=problem.intercept, max_iter=1000)
    own |= dict(alpha=problem.alpha, l1_ratio=problem.l1_ratio)
    solvers = ("irls-cd",) if problem.l1 else ("irls-ls", "lbfgs")

    def setting(solver):
        def make(tol):
            return Model(**own, solver=solver, gradient_tol=tol)

        return Setting(solver, make, TOLERANCES, "F")

    return [setting(solver) for solver in solvers]
