"""scikit-learn-intelex: scikit-learn's named models by oneDAL's kernels."""

from daal4py.sklearn import linear_model as coordinate_descent
from sklearnex import linear_model

from bench import peers


def settings(problem, n):
    name, own = peers.named_model(problem, n)
    match name:
        case "LogisticRegression" if not problem.l1:
            more = own | dict(tol=1e-15)
            model = linear_model.LogisticRegression
            solvers = ("newton-cg", "lbfgs")
            return [peers.by_iterations(s, model, **more, solver=s) for s in solvers]
        case "Ridge" | "LinearRegression":
            return [peers.Setting("direct", lambda _: getattr(linear_model, name)(**own), (None,))]
        case "Lasso" | "ElasticNet":
            own["max_iter"] = 100_000
            return [peers.by_tolerance("cd", getattr(coordinate_descent, name), "F", **own)]
    return []  # no linear SVMs, no logistic L1
