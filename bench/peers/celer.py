"""celer: L1 by working sets with extrapolated dual points."""

import celer

from bench.peers import by_tolerance


def settings(problem, n):
    own = dict(fit_intercept=problem.intercept, max_iter=1000, order="F")
    match problem.loss:
        case "squared_error" if problem.l1 and problem.l2:
            parts = dict(alpha=problem.alpha, l1_ratio=problem.l1_ratio)
            return [by_tolerance("working sets", celer.ElasticNet, **own, **parts)]
        case "squared_error" if problem.l1:
            return [by_tolerance("working sets", celer.Lasso, **own, alpha=problem.l1)]
        case "log_loss" if problem.l1 and not problem.l2 and not problem.intercept:
            model, C = celer.LogisticRegression, 1 / (problem.l1 * n)
            return [by_tolerance("working sets", model, **own, C=C)]
    return []
