"""SciPy: its L-BFGS-B."""

from scipy.optimize import minimize


def minimizer(iterations):
    options = {"maxiter": iterations, "maxfun": 10 * iterations, "ftol": 0, "gtol": 0}
    return lambda cost, start: minimize(cost, start, jac=True, method="L-BFGS-B", options=options)
