"""What users are told when training is over: what went wrong, in numbers, and what helps."""
import os
import sys
import warnings
from functools import cache
from inspect import signature
from pathlib import Path

import numpy as np
from sklearn import callback
from sklearn.exceptions import ConvergenceWarning

from .methods.descent import Descent
from .metric import long_tails, uneven_columns
from .optimizers import AdaGrad, Adam, RMSProp

SKLEARN = f"{Path(callback.__file__).parent.parent}{os.sep}"
INSIDE = (f"{Path(__file__).parent.parent}{os.sep}", f"{SKLEARN}callback{os.sep}")


def _caller():
    """(file of the code that called the public method, how many frames it is above whoever asks)"""
    level, frame = 0, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INSIDE):
        level, frame = level + 1, frame.f_back
    return frame.f_code.co_filename, level


def warn(text, category):
    """Warn whoever called the public method."""
    warnings.warn(text, category, stacklevel=_caller()[1] + 1)


@cache
def _defaults(kind):
    """The default values of a class's parameters."""
    return {name: parameter.default for name, parameter in signature(kind).parameters.items()}


def _is_given(model, name):
    """Whether a parameter differs from its default."""
    default = _defaults(type(model)).get(name)
    return default is not None and getattr(model, name, default) != default


def warn_of_ignored(model):
    """Warn, once a fit, of parameters that were given and have no effect.

    scikit-learn's meta-estimators give a `random_state` to all that have one, so that it counts as
    the user's own only where the caller is no part of scikit-learn.
    """
    said, state = [], model.random_state
    if model.draws_nothing and state is not None and not _caller()[0].startswith(SKLEARN):
        name = type(model).__name__
        said.append(f"random_state={state!r} has no effect: {name} draws nothing at random.")
    if model.learning_rate == "auto":
        names = [name for name in ("eta0", "power_t") if _is_given(model, name)]
        if names:
            given = " and ".join(f"{name}={getattr(model, name)!r}" for name in names)
            have = "have" if len(names) > 1 else "has"
            said.append(f"{given} {have} no effect: learning_rate='auto' chooses the rates itself. "
                        "Choose another one, such as 'constant', to set them.")
    if said:
        warn(" ".join(said), UserWarning)


def trouble(model, method):
    """What is the matter with the columns of X, and what helps; empty if nothing is."""
    problem = method.problem
    names = getattr(model, "feature_names_in_", np.arange(problem.rows.shape[1]))
    if isinstance(method, Descent) and not isinstance(method.optimizer, (AdaGrad, RMSProp, Adam)):
        return uneven_columns(problem, names)
    return long_tails(problem, names) if method.repaired else ""


def warn_of(model, automatic, more=""):
    """Warn if a model has not converged; `automatic`: its rates were nobody's choice. `more` is to be said besides."""
    if getattr(model, "power_t", 0) < 0:
        warn("Negative values for `power_t` are deprecated in version 1.8 of scikit-learn and will raise an error in 1.10. "
             "Use values in the range [0.0, inf) instead.", FutureWarning)
    said = ""
    if model.stop_reason_ == "separable":
        known = "" if None in (model.optimality_, model.tol) else f" at optimality_={model.optimality_:.2g} (tol={model.tol:g})"
        said = ("The classes are separable and nothing is penalised: the larger the weights, the smaller the objective, so "
                f"there is no minimum. Training stopped{known}; penalise the weights.")
    elif model.stop_reason_ in ("max_iter", "max_seconds") and model.tol is not None:
        said = _too_early(model) if automatic else _too_early_by_hand(model)
    if said or more:
        warn(f"{said} {more}".strip(), ConvergenceWarning)


def _too_early(model):
    known = "unknown" if model.optimality_ is None else f"{model.optimality_:.2g} ({model.optimality_kind_})"
    late = " and max_seconds" if model.stop_reason_ == "max_seconds" else ""
    return (f"Training stopped after {model.n_iter_} passes over X{late}, before it converged: optimality_, the distance to the "
            f"minimum relative to the best constant model's, is {known}; tol={model.tol:g}. Increase {model.stop_reason_} or tol.")


def _too_early_by_hand(model):
    if model.stop_reason_ == "max_seconds":
        return (f"Training stopped at max_seconds={model.max_seconds:g}, after {model.n_iter_} epochs, before convergence. "
                "Consider increasing max_seconds to improve the fit.")
    return "Maximum number of iteration reached before convergence. Consider increasing max_iter to improve the fit."
