"""What is wrong with the outcome of a case."""

import re
import warnings

import numpy as np
from scipy import sparse
from sklearn.callback import FitCallback
from sklearn.exceptions import ConvergenceWarning

import fastgd
from fastgd.training.loop import DivergedError

from . import files, searches
from .cases import LINEAR
from .objectives import LONG, constant_value, lower_value, problem_of

LARGE = 20_000  # numbers in X times outputs: larger cases are not compared with another solver


class StopAfterTwo(FitCallback):
    """Ends a fit after two passes."""

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **told):
        pass

    def on_fit_task_end(self, estimator, context, **told):
        return not context.max_subtasks and context.task_id == 1

    def teardown(self, estimator, context):
        pass


def faults_of(case):
    """A list of what is wrong, each in a line; empty if nothing is."""
    if case.estimator == "minimize":
        return _judge_minimize(case)
    if case.estimator in files.NAMES:
        return files.judge(case)
    if case.estimator in searches.NAMES:
        return searches.judge(case, _of_error, _of_warnings)
    faults, error, model = [], None, None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = getattr(fastgd, case.estimator)(**case.parameters)
            _call(model, case)
        except Exception as raised:
            error = raised
    faults += _of_warnings(case, caught)
    if error is not None:
        return faults + _of_error(case, error)
    if case.poisoned:
        return [*faults, f"no error, but {case.poisoned} has a number that is not finite"]
    with np.errstate(all="ignore"):
        faults += _of_model(case, model)
    return faults


def _call(model, case):
    given = (case.X,) if case.y is None else (case.X, case.y)
    if case.calls == "partial_fit":
        classes = {"classes": np.unique(case.y)} if case.estimator == "SGDClassifier" else {}
        model.partial_fit(*given, **classes, **case.fit)
        model.partial_fit(*given, **case.fit)
        return
    if case.calls == "fit with callback":
        model.set_callbacks(StopAfterTwo())
    model.fit(*given, **case.fit)
    if case.calls == "fit twice":
        model.fit(*given, **case.fit)


def _of_warnings(case, caught):
    for warning in caught:
        if issubclass(warning.category, RuntimeWarning):
            place = f"{warning.filename.split('/')[-1]}:{warning.lineno}"
            yield f"{warning.category.__name__}: {warning.message} ({place})"
        elif (
            issubclass(warning.category, ConvergenceWarning)
            and not case.chooses_rate
            and "learning_rate" in str(warning.message)
        ):
            yield f"a warning about a learning rate that nobody chose: {warning.message}"


# ---- errors ----


def _of_error(case, error):
    text, name = str(error), type(error).__name__
    if not isinstance(error, (ValueError, TypeError)):
        return [f"{name}: {text}"]
    if case.poisoned:
        return (
            []
            if re.search(rf"\b(Input )?{case.poisoned}\b|ratings", text) or _is_refusal(case, text)
            else [f"does not name {case.poisoned}: {text}"]
        )
    if isinstance(error, DivergedError):
        return [] if case.chooses_rate else [f"DivergedError without a chosen rate: {text}"]
    if not case.chooses_rate and re.search("learning.rate", text):
        return [f"an error about a learning rate that nobody chose: {text}"]
    if _is_refusal(case, text):
        return []
    if not re.search(r"\b(X|y|columns?|sample_weight|alpha|C|ratings)\b", text):
        return [f"an error that names no argument: {text}"]
    if case.estimator in LINEAR and is_representable(case) and not _is_large_count(case):
        return [f"an error where float64 holds the right model: {text}"]
    return []


def _is_refusal(case, text):
    """Whether the call had to be refused, whatever the numbers."""
    usual = (
        "classes has to be greater than one",
        "classes should include",
        "cannot split",
        "number of splits",
        "n_splits=",
        "Sample weights must contain at least one non-zero number",
        "Found array with",
        "validation set is too small",
        "is too large for learning_rate='lipschitz'",
        "early_stopping",
        "not supported",
        "Unsupported set of arguments",
        "Supported target types",
        "Unknown label type",
        "average=",
        "least populated class",
        "alpha must be > 0 since learning_rate",
    )
    return any(words in text for words in usual)


def _is_large_count(case):
    """Whether targets of the Poisson loss are so large that squares of its slopes overflow."""
    return case.parameters.get("loss") == "poisson" and np.max(case.y) > 1e100


def is_representable(case):
    """Whether weights of the usual size, that of y over that of a column, are far from the ends of
    the float's range.
    """
    X = case.X.toarray() if sparse.issparse(case.X) else np.asarray(case.X)
    low, high = (1e-30, 1e30) if X.dtype in (np.float32, np.float16) else (1e-290, 1e290)
    sizes = abs(X.astype(LONG)).max(axis=0)
    y = LONG(1)
    if case.y is not None and case.estimator not in (
        "LogisticRegression",
        "LinearSVC",
        "SGDClassifier",
    ):
        y = abs(np.asarray(case.y, LONG)).max()
    sizes = sizes[sizes > 0]
    if case.estimator == "SGDOneClassSVM":  # offsets are like squares of X
        low, high = low**0.5, high**0.5
    return bool(
        (y == 0 or low < y < high)
        and (low < sizes).all()
        and (sizes < high).all()
        and (low < y / sizes).all()
        and (y / sizes < high).all()
    )


# ---- models ----


def _of_model(case, model):
    faults = []
    if case.estimator == "MatrixFactorization":
        factors = [model.user_factors_, model.item_factors_]
        if not all(np.isfinite(part).all() for part in factors):
            return ["the factors are not finite"]
        prediction = model.predict(case.X)
        return [] if np.isfinite(prediction).all() else ["predictions are not finite"]
    if case.estimator.startswith("MLP"):
        prediction = model.predict(case.X)
        if not all(np.isfinite(part).all() for part in (*model.coefs_, *model.intercepts_)):
            return ["the weights are not finite"]
        return (
            []
            if prediction.dtype.kind != "f" or np.isfinite(prediction).all()
            else ["predictions are not finite"]
        )
    coef, intercept = np.atleast_2d(model.coef_), np.ravel(model.intercept_)
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        return ["the weights are not finite"]
    faults += _of_predictions(case, model, coef, intercept)
    if (
        case.calls in ("fit", "fit twice", "fit with callback")
        and not case.chooses_rate
        and not case.parameters.get("early_stopping")
        and model.loss_curve_
    ):
        faults += _of_claims(case, model, coef, intercept)
    return faults


def _of_predictions(case, model, coef, intercept):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        margins = (
            model.decision_function(case.X)
            if hasattr(model, "decision_function")
            else model.predict(case.X)
        )
        predicted = model.predict(case.X)
        if hasattr(model, "predict_proba") and not np.isfinite(model.predict_proba(case.X)).all():
            yield "probabilities are not finite"
        # At a rate of the user's choice exp(z) of a Poisson model may overflow.
        if case.y is not None and (predicted.dtype.kind != "f" or np.isfinite(predicted).all()):
            model.score(case.X, case.y)
        elif case.y is not None and not case.chooses_rate:
            yield "predictions are not finite"
    if getattr(model, "loss", "") == "poisson" or case.estimator == "SGDOneClassSVM":
        return
    X = (case.X.toarray() if sparse.issparse(case.X) else np.asarray(case.X)).astype(LONG)
    right, size = (
        X @ coef.astype(LONG).T + intercept,
        abs(X) @ abs(coef.astype(LONG)).T + abs(intercept),
    )
    eps, top = np.finfo(coef.dtype).eps, np.finfo(coef.dtype).max
    wrong = (
        abs(margins.reshape(right.shape).astype(LONG) - right)
        > 64 * len(coef[0]) * eps * size + np.finfo(coef.dtype).tiny
    )
    if (~(wrong == False) & (size < top / 4)).any():  # noqa: E712
        yield "predictions differ from X W + b"


def _of_claims(case, model, coef, intercept):
    """The model against the best constant one, and against what another search finds."""
    problem = problem_of(case, model)
    eps = np.finfo(coef.dtype).eps
    W, b = problem.scaled(coef, intercept)
    value, constant = problem.value(W, b), constant_value(problem)
    rounding = problem.rounding(W, b, eps) + 64 * eps * abs(constant)
    named = not case.estimator.startswith("SGD")
    claim = (
        f"converged_={model.converged_}, optimality_={model.optimality_} "
        f"({model.optimality_kind_}), {model.stop_reason_}"
    )
    if problem.positive and (coef < 0).any():
        yield "weights are negative"
    if not np.isfinite(value):
        yield f"the objective is {value}; {claim}"
        return
    if (
        value > constant + 1e-6 * abs(constant) + rounding
        and (model.converged_ or named)
        and (model.tol or 0) < 1
    ):
        values = f"{float(value):.6g} against {float(constant):.6g}"
        yield f"worse than the constant model: {values}; {claim}"
        return
    if (
        model.optimality_ is None
        or not is_representable(case)
        or problem.X.size * len(coef) > LARGE
        or case.calls == "fit with callback"
    ):
        return
    tol = model.tol or 0.0
    is_bound = model.optimality_kind_ == "duality gap"
    claimed = max(
        1.2 * model.optimality_ if is_bound else 10 * model.optimality_,
        10 * tol if model.converged_ else 0.0,
        1e-10,  # what the rounding of the parameters themselves costs
    )
    if model.optimality_ > (1 if is_bound else 0.01):
        return
    enough = value - claimed * max(constant - value, 0) - rounding
    # Sparse columns are not centred: the squares of their spread are told from those of their size.
    noise = (30 * eps) ** 0.5 if sparse.issparse(case.X) else max(1e-12, 30 * eps)
    lower = lower_value(problem, W, b, enough, noise)
    gap = float((value - lower) / max(constant - lower, LONG(1e-4000)))
    if gap > claimed and value - lower > rounding:
        yield (
            f"the true distance is {gap:.2g} or more of what there is to gain "
            f"({float(value - lower):.2g}); {claim}"
        )


# ---- minimize ----


def _judge_minimize(case):
    cost, given = case.cost, dict(case.parameters)
    jac = cost.gradient if given.pop("jac") else None
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            result = fastgd.minimize(cost.value, cost.start, jac, **given)
        except Exception as error:
            return [f"{type(error).__name__}: {error} [{cost.name}]"]
    faults = list(_of_warnings(case, caught))
    bounds = given.get("bounds") or [(-np.inf, np.inf)] * len(cost.start)
    low, high = ([np.nan if b is None else b for b in side] for side in zip(*bounds, strict=True))
    start = cost.value(np.fmin(np.fmax(cost.start, low), high))
    if not np.isfinite(result.x).all() or not np.isfinite(result.fun):
        faults.append("the result is not finite")
    elif result.fun > start:
        faults.append(f"the result is worse than the start: {result.fun} against {start}")
    elif cost.value(result.x) != result.fun:
        faults.append(f"fun is {result.fun}, the cost at x {cost.value(result.x)}")
    elif result.success:
        gap, rounding = (
            result.fun - cost.least,
            1e-9 * max(abs(cost.least), abs(result.fun))
            if jac is None
            else 1e-12 * max(abs(cost.least), abs(result.fun)),
        )
        if gap > 1e-3 * (start - cost.least) and gap > rounding:
            faults.append(
                f"false success: {gap:.2g} above the minimum, "
                f"{start - cost.least:.2g} at the start ({result.message})"
            )
    return [f"{fault} [{cost.name}, {case.parameters}]" for fault in faults]
