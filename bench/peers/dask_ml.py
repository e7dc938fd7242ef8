"""dask-ml's logistic regression on the workers of a Dask cluster."""

import numpy as np
from dask_ml.linear_model import LogisticRegression

from bench import peers

RHOS = (1.0, 1e2)  # of ADMM
COUNTS = peers.ITERATIONS[:13]  # up to 50


def cluster(problem, X, y, workers):
    if problem.l1 or problem.l2:
        raise peers.UnsupportedError("with a penalty its solvers minimise other objectives")
    # The columns have unit variance: to scale them again in each pass, the default, costs time.
    # The tolerances are so small that only the number of iterations counts.
    exact = {"normalize": False, "abstol": 1e-15, "reltol": 1e-15}

    def by_iterations(name, solver, **more):
        def make(count):
            own = {"C": np.inf, "fit_intercept": problem.intercept, "tol": 1e-15}
            return LogisticRegression(
                solver=solver, max_iter=count, solver_kwargs=exact | more, **own
            )

        return peers.Setting(name, make, COUNTS)

    return [
        *(by_iterations(f"admm, rho {rho:g}", "admm", rho=rho) for rho in RHOS),
        *(by_iterations(name, name) for name in ("gradient_descent", "lbfgs", "newton")),
        by_iterations("proximal_grad", "proximal_grad"),
    ]
