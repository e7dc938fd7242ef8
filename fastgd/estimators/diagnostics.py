"""Warnings after training: what went wrong, in numbers, and what helps."""

import os
import sys
import warnings
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
from scipy import sparse
from sklearn import callback
from sklearn.exceptions import ConvergenceWarning

from fastgd.methods.sgd import FirstOrder
from fastgd.problem.metric import listed, metric_of
from fastgd.problem.problem import Problem

# The folders of fastgd and scikit-learn.
FASTGD_PATH, SKLEARN_PATH = (
    f"{Path(home).parent.parent}{os.sep}" for home in (__file__, callback.__file__)
)
# A warning is attributed to the first caller outside of these folders.
LIBRARY_PATHS = FASTGD_PATH, f"{SKLEARN_PATH}callback{os.sep}"

# Rows from which the sizes of columns are estimated.
SAMPLED_ROWS = 256
# Entries that a column needs for an estimate of its size.
MIN_ENTRIES = 8
# The largest root mean square of a column, in units of the smallest one, without a warning.
MAX_SIZE_RATIO = 1e3
# A row is an outlier if it is more than this number of standard deviations from the centre.
LONG_TAIL_DEVIATIONS = 10.0

# By id: models that the caller's code has constructed with a random_state.
_SEEDED = WeakValueDictionary()


def warn(text, category):
    """Warn the caller of the public method."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(LIBRARY_PATHS):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)


def note_seed(model):
    """Remember, for `warn_of_ignored`, that a constructor was given a random_state; the constructor
    calls this.

    A constructor called by scikit-learn clones a model, whose warning is not repeated. Nor does a
    seed of `set_params` count, by which meta-estimators seed all that have the parameter.
    """
    frame = sys._getframe(1)
    while (
        frame.f_back is not None
        and frame.f_code.co_filename.startswith(FASTGD_PATH)
        or frame.f_code.co_name == "__init__"
    ):
        frame = frame.f_back
    if not frame.f_code.co_filename.startswith(SKLEARN_PATH):
        _SEEDED[id(model)] = model


def warn_of_ignored(model):
    """Warn of given parameters without effect; of a `random_state` once per model."""
    kind, messages, ignored = type(model), [], []
    if _SEEDED.pop(id(model), None) is not None and model.random_state is not None:
        seed = f"random_state={model.random_state!r}"
        messages.append(f"{seed} has no effect: {kind.__name__} draws nothing at random.")
    for name in ("eta0", "power_t") if model.learning_rate == "auto" else ():
        value = getattr(model, name, None)
        # `warn_of` warns of a negative power_t, which is deprecated.
        if value is not None and value >= 0 and value != getattr(kind, name, value):
            ignored.append(f"{name}={value!r}")
    if ignored:
        messages.append(
            f"{' and '.join(ignored)} {'have' if len(ignored) > 1 else 'has'} no effect: "
            "learning_rate='auto' chooses the rates itself. Choose another one, such as "
            "'constant', to set them."
        )
    if messages:
        warn(" ".join(messages), UserWarning)


def diagnose(fit, method):
    """The problem with the columns of X, and what helps; empty if there is none."""
    problem = method.problem
    if isinstance(method, FirstOrder) and not method.optimizer.is_adaptive:
        return uneven_columns(problem, fit.names, "learning_rate" in fit.model.get_params(False))
    return long_tails(problem, fit.names) if method.backtracked else ""


def warn_of(model, automatic, more="", no_minimum=None):
    """Warn if a model has not converged; `automatic` says that its rates were not chosen. `more` is
    appended. `no_minimum` says why there is no minimum.
    """
    if getattr(model, "power_t", 0) < 0:
        warn(
            "Negative values for `power_t` are deprecated in version 1.8 of scikit-learn and will "
            "raise an error in 1.10. Use values in the range [0.0, inf) instead.",
            FutureWarning,
        )
    message = "" if model.converged_ else _unconverged(model, automatic, no_minimum)
    if message or more:
        warn(f"{message} {more}".strip(), ConvergenceWarning)


def _unconverged(model, automatic, no_minimum):
    """Why a training ended before it converged, and what helps; empty if nothing was asked for."""
    reason, tol, kind = model.stop_reason_, model.tol, model.optimality_kind_
    known = "unknown" if model.optimality_ is None else f"{model.optimality_:.2g}"
    stopped = f"Training stopped after {model.n_iter_} passes over X"
    if reason == "separable":
        at = "" if None in (model.optimality_, tol) else f" at optimality_={known} (tol={tol:g})"
        advice = "penalise the weights, or drop or merge the columns that separate rows"
        return f"{no_minimum} Training stopped{at}; {advice}."
    if reason == "rounding":
        return (
            f"{stopped}, where rounding leaves nothing to gain: optimality_ ({kind}) is {known}, "
            f"and tol={tol:g} is not reached. Increase tol."
        )
    if reason not in ("max_iter", "max_seconds") or tol is None:
        return ""
    if automatic:
        late = " and max_seconds" if reason == "max_seconds" else ""
        return (
            f"{stopped}{late}, before it converged: optimality_, the distance to the minimum "
            f"relative to the best constant model's, is {known}{f' ({kind})' if kind else ''}; "
            f"tol={tol:g}. Increase {reason} or tol."
        )
    if reason == "max_seconds":
        return (
            f"Training stopped at max_seconds={model.max_seconds:g}, after {model.n_iter_} epochs, "
            "before convergence. Consider increasing max_seconds to improve the fit."
        )
    return (
        "Maximum number of iteration reached before convergence. Consider increasing max_iter to "
        "improve the fit."
    )


@np.errstate(all="ignore")
def _column_sizes(X):
    """Root mean squares of the nonzero entries of each column; 0 for columns with too few of them,
    or if all columns have similar sizes.
    """
    p, is_sparse = X.shape[1], sparse.issparse(X)
    values = np.abs(X.data if is_sparse else X).astype(float, copy=False)
    if is_sparse:
        largest = np.zeros(p)
        np.maximum.at(largest, X.indices, values)
    else:
        largest = np.maximum.reduce(values)
    filled = largest[largest > 0]
    if not len(filled) or np.sqrt(SAMPLED_ROWS) * filled.max() <= MAX_SIZE_RATIO * filled.min():
        return np.zeros(p)
    shares = values / np.where(largest > 0, largest, 1)[X.indices if is_sparse else slice(None)]
    parts = values > 0, shares * shares
    if is_sparse:
        counts, squares = (np.bincount(X.indices, part, minlength=p) for part in parts)
    else:
        counts, squares = (part.sum(axis=0) for part in parts)
    return np.where(counts >= MIN_ENTRIES, largest * np.sqrt(squares / np.maximum(counts, 1)), 0.0)


def uneven_columns(problem: Problem, names, has_rate=True):
    """A message that names columns whose sizes are too different for one learning rate; empty if
    there are none. `has_rate` says that the user can choose the rate.
    """
    size = _column_sizes(problem.some_rows(SAMPLED_ROWS))
    order = np.argsort(size)[np.count_nonzero(size == 0) :]
    if not len(order) or size[order[-1]] <= MAX_SIZE_RATIO * size[order[0]]:
        return ""
    count = min(3, len(order) // 2)
    small, large = (listed(names[few], size[few]) for few in (order[:count], order[::-1][:count]))
    scaler = "MaxAbsScaler" if problem.rows.sparse else "StandardScaler"
    differ = (
        f"The columns of X differ in size: root mean squares are small in {small} and large in "
        f"{large}."
    )
    if not has_rate:
        return f"{differ} Steps that suit the ones do not suit the others: use {scaler}."
    return (
        f"{differ} A learning rate that suits the ones does not suit the others: use "
        f"learning_rate='auto', which needs no scaling, or {scaler}."
    )


@np.errstate(all="ignore")
def long_tails(problem: Problem, names):
    """A message that names columns with outlying rows, which made steps too long; empty if there
    are none.
    """
    metric, X = metric_of(problem), problem.training_X
    extreme = abs(X if problem.rows.sparse else X - metric.center).max(axis=0)
    far = (extreme.toarray().ravel() if problem.rows.sparse else extreme) * metric.inverse
    worst = np.argsort(-far)[:3]
    worst = worst[far[worst] > LONG_TAIL_DEVIATIONS]
    if not len(worst):
        return ""
    return (
        f"Steps had to be taken back: in columns {listed(names[worst], far[worst])} some rows lie "
        "so many standard deviations out. Clip or transform them (PowerTransformer), or use "
        "batch_size='full'."
    )
