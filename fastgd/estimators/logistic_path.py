"""Logistic regressions with many penalties, on all rows and on subsets of them: which are trained
together, and which one after the other.
"""

import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets

from fastgd.estimators.diagnostics import warn
from fastgd.estimators.parameters import thread_count
from fastgd.methods import logistic_folds
from fastgd.methods.newton_columns import NewtonColumns
from fastgd.methods.preconditioner import MAX_DENSE_COLUMNS
from fastgd.methods.principal_axes import PrincipalAxes, suits
from fastgd.methods.row_space import Span, have_similar_widths, is_worthwhile
from fastgd.problem.chunks import Chunks
from fastgd.problem.data import as_rows, distinct_columns
from fastgd.problem.losses import MIN_FREQUENCY, LogLoss
from fastgd.problem.metric import metric_of
from fastgd.problem.objective import Objective
from fastgd.problem.problem import Problem
from fastgd.problem.records import Record
from fastgd.problem.scaling import scaled
from fastgd.training.blas import one_blas_thread

# Numbers of X from which fits in sequence run in threads, one for each subset: with fewer, most of
# their time is spent in Python, which runs one thread at a time.
THREADED_NUMBERS = 2**18
# A model that begins near its minimum stops at once within `tol`. A fit in sequence goes on to this
# share of it, so that each penalty has a model of its own.
SEQUENCE_TOL_SHARE = 0.1
# The intercept of a class without rows: its probability is `MIN_FREQUENCY`.
ABSENT_INTERCEPT = float(np.log(MIN_FREQUENCY))


class Rows(Record):
    """Checked rows: X, the numbers of their classes, how many classes there are, and weights (None:
    all 1).
    """

    X: object
    number: np.ndarray
    classes: int
    weights: np.ndarray | None = None

    @classmethod
    def of(cls, model, X, y, sample_weight):
        """A user's rows, checked as those of `model`, which gets `classes_`."""
        if isinstance(X, Chunks):
            raise TypeError("X must be in memory: an array or a sparse matrix, not Chunks")
        X, y = model._check_X(X, reset=True, y=y)
        check_classification_targets(y)
        model.classes_, number = np.unique(y, return_inverse=True)
        model._check_classes(model.classes_, False)
        weights = model._sample_weight(sample_weight, X)
        if model.class_weight is not None:
            _check_class_weight(model)
            factor = np.divide(*model._class_factors(number, weights, False))[number]
            weights = factor if weights is None else factor * weights
        model._rows_that_count(weights, X.shape[0])
        return cls(X, number, len(model.classes_), weights)

    @property
    def outputs(self):
        """The rows of `coef_`."""
        return 1 if self.classes == 2 else self.classes


def _check_class_weight(model):
    """Refuse weights of classes that there are not, in scikit-learn's words."""
    class_weight, classes = model.class_weight, model.classes_
    if isinstance(class_weight, dict) and not set(class_weight) <= set(classes.tolist()):
        raise ValueError(
            "The given class_weight dict must have the class labels as keys; "
            f"classes={classes} but key={class_weight.keys()}"
        )


class Subset(Record):
    """The indices of some rows, which may repeat, and their weights; None: those of `Rows`."""

    index: np.ndarray
    weights: np.ndarray | None = None


class Path(Record):
    """Models for all penalties: coef (penalties, outputs, p), intercept (penalties, outputs),
    passes over X, estimates of the distance to the minimum, and why each training stopped; with an
    L1 penalty, perhaps duality gaps.
    """

    coef: np.ndarray
    intercept: np.ndarray
    n_iter: np.ndarray
    optimality: np.ndarray
    reason: np.ndarray
    solver: str = ""
    has_l1: bool = False
    gaps: np.ndarray | None = None

    def of(self, places):
        """The models of some penalties."""
        arrays = self.coef, self.intercept, self.n_iter, self.optimality, self.reason
        gaps = None if self.gaps is None else self.gaps[places]
        return Path(*(array[places] for array in arrays), self.solver, self.has_l1, gaps)


def check_Cs(Cs):
    """The penalties as an array: those given, or that number between 1e-4 and 1e4."""
    if np.ndim(Cs) == 0:
        return np.logspace(-4, 4, int(Cs))
    values = np.asarray(Cs, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"Cs must be a number of penalties or a list of at least one, got {Cs!r}")
    if not (values > 0).all():  # a NaN too
        raise ValueError(f"Cs must be positive numbers (np.inf: no penalty), got {Cs!r}")
    return values


def fit_paths(model, rows, Cs, l1_ratio, subsets=(), with_whole=True):
    """A `Path` for all rows, and one for each of the subsets; `model` holds the other parameters.

    The first is None without `with_whole`.
    """
    threads = thread_count(model.n_jobs)
    with one_blas_thread(), np.errstate(all="ignore"):
        found = None
        if rows.classes == 2 and not l1_ratio and np.isfinite(Cs).all():
            found = _by_columns(model, rows, Cs, subsets, threads)
        if found is None:
            span = None if l1_ratio else _row_space(model, rows, Cs)
            reduced = rows if span is None else replace(rows, X=span.coordinates)
            found = _in_sequence(model, reduced, Cs, l1_ratio, subsets, with_whole, threads)
            if span is not None:
                found = [path and _in_columns(path, span) for path in found]
    return found


def warn_unconverged(optimality, tol, max_iter):
    """One warning for all trainings that have stopped before they were within `tol`; `optimality`
    is a list of arrays.
    """
    optimality = np.concatenate(optimality)
    late = ~(optimality <= tol)
    if late.any():
        warn(
            f"{late.sum()} of {len(late)} fits stopped before optimality_ was at most tol={tol:g} "
            f"(max_iter={max_iter} passes over X, or rounding errors); the largest is "
            f"{optimality.max():.2g}. Increase max_iter or tol, or leave out the largest Cs.",
            ConvergenceWarning,
        )


def has_converged(optimality, reason, tol):
    """Whether a training with this `stop_reason_` ended within `tol` of a minimum."""
    return bool(optimality <= tol) and reason != "separable"


def warn_separable(reasons):
    """Warn if one of these trainings had no minimum, given their `stop_reason_`."""
    if "separable" in reasons:
        warn(
            "With C=inf nothing is penalised, and the classes are separable, or some columns "
            "separate some rows of a class from those of the others: the larger their weights, the "
            "smaller the objective, so there is no minimum. Choose a finite C. "
            "LogisticRegression(C=np.inf) names the columns.",
            ConvergenceWarning,
        )


# ---- all penalties and subsets side by side ----


def _by_columns(model, rows, Cs, subsets, threads):
    """The paths by `NewtonColumns`; None if it does not suit X."""
    if model.batch_size == "full":
        return None
    X = distinct_columns(rows.X)
    n, p = X.shape
    weights = np.ones(n) if rows.weights is None else rows.weights
    # Relative weights, and the same objective.
    mean, of_second = float(weights.mean()), float(weights @ rows.number)
    if not 0 < of_second < float(weights.sum()):
        return None  # one of the classes has no weight
    if not (np.finfo(float).tiny < mean < np.inf and np.isfinite(Cs * mean).all()):
        return None
    weights, y = weights / mean, 2.0 * rows.number - 1.0
    strength = 1 / (Cs.min() * mean * n)
    objective = Objective(LogLoss(), 0.0, strength, intercept=model.fit_intercept)
    visits = np.arange(n)
    problem = Problem(as_rows(X), y, weights, objective, visits, True, threads, X)
    problem.metric = metric = metric_of(problem)
    if not (np.isfinite(metric.center).all() and np.isfinite(metric.scale).all()):
        return None
    scaling, _ = scaled(problem)
    if scaling is not None:
        return None
    rotations, has_similar_widths = [], False
    if is_worthwhile(problem):
        rotations.append(Span(problem))
        X, has_similar_widths = rotations[0].coordinates, True
    if X.shape[1] > MAX_DENSE_COLUMNS:
        return None
    if suits(X) and (has_similar_widths or have_similar_widths(X)):
        rotations.append(PrincipalAxes(X, weights, model.fit_intercept))
        X = rotations[-1].coordinates
    if rotations:
        metric = metric_of(Problem(as_rows(X), y, weights, objective, visits, True, threads, X))

    def weights_in(subset):
        own = weights[subset.index] if subset.weights is None else subset.weights / mean
        return np.bincount(subset.index, own, n)

    makers = [lambda subset=subset: weights_in(subset) for subset in subsets]
    arguments = X, y, metric, model.fit_intercept, model.tol, model.max_iter or 1000, threads
    with NewtonColumns(*arguments) as solver:
        solutions = logistic_folds.train(solver, weights, makers, Cs * mean)
    coef, intercept = solver.to_user(np.concatenate([part.v for part in solutions], axis=1))
    for rotation in reversed(rotations):
        coef = rotation.to_columns(coef)
        intercept = intercept - coef @ rotation.center
    coef = np.ascontiguousarray(coef)[:, None]
    paths = []
    for solution, start in zip(solutions, range(0, len(coef), len(Cs)), strict=True):
        some = slice(start, start + len(Cs))
        parts = solution.passes, solution.optimality, solution.reason
        paths.append(Path(coef[some], intercept[some, None], *parts, solver.solver))
    return paths


# ---- one after the other ----


def _row_space(model, rows, Cs):
    """The `Span` of all rows, computed once for all fits; None unless there are fewer rows than
    columns, and the models lie in it.
    """
    weights = np.ones(rows.X.shape[0]) if rows.weights is None else rows.weights
    mean = float(weights.mean())
    if model.batch_size == "full" or not np.isfinite(Cs).all():
        return None
    if not np.finfo(float).tiny < mean < np.inf:
        return None
    X, y = distinct_columns(rows.X), np.where(rows.number > 0, 1.0, -1.0)
    objective = Objective(LogLoss(), 0.0, 1.0, intercept=model.fit_intercept)
    visits = np.arange(len(y))
    problem = Problem(as_rows(X), y, weights / mean, objective, visits, True, 1, X)
    return Span(problem) if is_worthwhile(problem) else None


def _in_columns(path, span):
    """A `Path` in the columns of X, from one in the span of the rows."""
    shape = path.coef.shape[:-1]
    coef = span.to_columns(path.coef.reshape(-1, path.coef.shape[-1])).reshape(*shape, -1)
    return replace(path, coef=coef, intercept=path.intercept - coef @ span.center)


def _in_sequence(model, rows, Cs, l1_ratio, subsets, with_whole, threads):
    """The paths from weak to strong models, each from the one before; subsets in threads."""
    tasks = [None] if with_whole else []
    tasks += subsets
    size = rows.X.nnz if sparse.issparse(rows.X) else rows.X.size
    together = min(threads, len(tasks)) if size >= THREADED_NUMBERS else 1

    def run(subset):
        return _path(model, rows, Cs, l1_ratio, subset, 1 if together > 1 else model.n_jobs)

    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # one warning speaks of all fits
        over = map
        if together > 1:
            over = stack.enter_context(ThreadPoolExecutor(together)).map
        paths = list(over(run, tasks))
    return paths if with_whole else [None, *paths]


def _path(model, rows, Cs, l1_ratio, subset, n_jobs):
    """The `Path` of a subset of the rows; None: of all."""
    X, number, weights = rows.X, rows.number, rows.weights
    if subset is not None:
        X, number = X[subset.index], number[subset.index]
        weights = None if weights is None else weights[subset.index]
        weights = weights if subset.weights is None else subset.weights
    if weights is not None and not weights.all():  # else a class may have rows of weight 0 alone
        used = np.flatnonzero(weights)
        X, number, weights = X[used], number[used], weights[used]
    counts = np.bincount(number, weights, rows.classes)
    present = np.flatnonzero(counts > 0)
    size, p = len(Cs), X.shape[1]
    coef, intercept = np.zeros((size, rows.outputs, p)), np.zeros((size, rows.outputs))
    n_iter, optimality = np.zeros(size, int), np.zeros(size)
    reason, solver = np.full(size, "tol", dtype=object), ""
    if len(present) < rows.classes and not model.fit_intercept:
        # Rows of zeros have no gradient without an intercept, but all classes.
        X, number, weights = _with_zeros(X, number, weights, rows.classes)
        present = np.arange(rows.classes)
    if len(present) < 2:
        intercept[:] = _absent(rows, present)
        return Path(coef, intercept, n_iter, optimality, reason)
    start = None
    for place in np.argsort(Cs, kind="stable"):
        C, ratio = _of_present(Cs[place], l1_ratio, len(present), rows.classes)
        parameters = {"C": C, "l1_ratio": ratio, "n_jobs": n_jobs, "verbose": 0}
        parameters["tol"] = SEQUENCE_TOL_SHARE * model.tol
        others = {"warm_start": False, "class_weight": None, "penalty": "deprecated"}
        one = clone(model).set_params(**parameters, **others)
        one._fit(X, number, weights, init=start or (None, None))
        start = one.coef_, one.intercept_
        parts = _with_absent(rows, present, *start, model.fit_intercept)
        coef[place], intercept[place] = parts
        n_iter[place], reason[place] = one.n_iter_, one.stop_reason_
        optimality[place] = np.inf if one.optimality_ is None else one.optimality_
        solver = one.solver_
    return Path(coef, intercept, n_iter, optimality, reason, solver, l1_ratio > 0)


def _with_zeros(X, number, weights, classes):
    """Rows with one row of zeros of each class added."""
    weights = np.ones(len(number)) if weights is None else weights
    unit = weights.mean()
    if sparse.issparse(X):
        X = sparse.vstack([X, sparse.csr_array((classes, X.shape[1]), dtype=X.dtype)], "csr")
    else:
        X = np.vstack([X, np.zeros((classes, X.shape[1]), X.dtype)])
    number = np.append(number, np.arange(classes))
    return X, number, np.append(weights, np.full(classes, unit if unit > 0 else 1.0))


def _of_present(C, l1_ratio, present, classes):
    """(C, l1_ratio) of the model of the classes that rows have.

    Two of several classes have weights +w / 2 and -w / 2, whose squares sum to half of w's; their
    absolute values sum to those of w.
    """
    if present > 2 or classes == 2 or np.isinf(C):
        return C, l1_ratio
    factor = (1 + l1_ratio) / 2
    return C / factor, l1_ratio / factor


def _absent(rows, present):
    """The intercepts if there is one class, or none."""
    if rows.outputs == 1:
        return -ABSENT_INTERCEPT if 1 in present else ABSENT_INTERCEPT
    b = np.full(rows.outputs, ABSENT_INTERCEPT)
    b[present] = 0.0
    return b - b.mean()


def _with_absent(rows, present, coef, intercept, has_intercept):
    """(coef, intercept) with the classes that no row has."""
    if len(present) == rows.classes:
        # A constant added to the intercepts of several classes changes nothing.
        shift = intercept.mean() if rows.outputs > 1 else 0.0
        return coef, intercept - shift if has_intercept else np.zeros(rows.outputs)
    if len(present) == 2:
        coef, intercept = (np.concatenate([-a, a]) / 2 for a in (coef, intercept))
    W = np.zeros((rows.outputs, coef.shape[1]))
    b = np.full(rows.outputs, ABSENT_INTERCEPT + intercept.min())
    W[present], b[present] = coef, intercept
    return W, b - b.mean()
