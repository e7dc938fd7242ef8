"""liblinear, through scikit-learn. It shrinks the intercept too, so it has problems without one."""

from sklearn import linear_model, svm

from bench.peers import by_iterations, named_model


def settings(problem, n):
    name, own = named_model(problem, n)
    logistic = name == "LogisticRegression"
    if problem.intercept or not (logistic or name in ("LinearSVC", "LinearSVR")):
        return []
    if problem.l1 and problem.l2:
        return []
    model = getattr(linear_model if logistic else svm, name)
    own |= dict(tol=1e-12, random_state=0) | ({"solver": "liblinear"} if logistic else {})
    forms = {"dual": {"dual": True}, "primal": {"dual": False}}
    if problem.l1:
        del forms["dual"]
    elif problem.loss in ("hinge", "epsilon_insensitive"):
        del forms["primal"]
    return [by_iterations(form, model, **own, **which) for form, which in forms.items()]
