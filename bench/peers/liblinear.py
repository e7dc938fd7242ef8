"""liblinear, through scikit-learn. It shrinks the intercept too, so it has problems without one."""

from sklearn import linear_model, svm

from bench.peers import ITERATIONS, Setting, named_model


def settings(problem, n):
    name, own = named_model(problem, n)
    logistic = name == "LogisticRegression"
    if problem.intercept or not (logistic or name in ("LinearSVC", "LinearSVR")):
        return []
    if problem.l1 and problem.l2:
        return []
    model = getattr(linear_model if logistic else svm, name)
    own = own | dict(tol=1e-12, random_state=0) | ({"solver": "liblinear"} if logistic else {})
    if logistic:
        forms = (False,) if problem.l1 else (True, False)
    else:
        forms = (True, False) if problem.loss == "squared_hinge" else (True,)

    def by_iterations(dual):
        name = "dual" if dual else "primal"
        return Setting(name, lambda count: model(**own, dual=dual, max_iter=count), ITERATIONS)

    return [by_iterations(dual) for dual in forms]
