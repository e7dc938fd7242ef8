"""The constraints of the estimators' parameters, checked once for each combination of values."""

import os
from functools import cache, wraps
from inspect import signature
from numbers import Integral, Real

import joblib
from sklearn import get_config
from sklearn.utils._param_validation import Interval, StrOptions

from fastgd.kernels import threads
from fastgd.methods.optimizers import RULES, Optimizer
from fastgd.methods.schedules import SCHEDULE_NAMES, Schedule
from fastgd.problem.objective import PENALTIES

POSITIVE = Interval(Real, 0, None, closed="neither")
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
AT_LEAST_1 = Interval(Integral, 1, None, closed="left")
# The constraints of the parameters of the SGD estimators.
SGD_CONSTRAINTS = {
    "penalty": [StrOptions(set(PENALTIES)), None],
    "alpha": [NOT_NEGATIVE],
    "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
    "fit_intercept": ["boolean"],
    "max_iter": [AT_LEAST_1],
    "max_seconds": [POSITIVE, None],
    "tol": [NOT_NEGATIVE, None],
    "shuffle": ["boolean", StrOptions({"full"})],
    "verbose": ["verbose"],
    "epsilon": [NOT_NEGATIVE],
    "quantile": [Interval(Real, 0, 1, closed="neither")],
    "n_jobs": [Integral, None],
    "random_state": ["random_state"],
    "learning_rate": [StrOptions(set(SCHEDULE_NAMES)), Schedule],
    "eta0": [POSITIVE],
    "power_t": [Interval(Real, None, None, closed="neither")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [AT_LEAST_1],
    "warm_start": ["boolean"],
    "average": [Interval(Integral, 0, None, closed="neither"), "boolean"],
    "batch_size": [AT_LEAST_1, StrOptions({"full"})],
    "optimizer": [StrOptions(set(RULES)), Optimizer],
    "init": [StrOptions({"zeros", "normal"})],
    "n_restarts": [Interval(Integral, 0, None, closed="left")],
    "positive": ["boolean"],
    "class_weight": [StrOptions({"balanced"}), dict, None],
}


def constraints_of(constructor, table, **others):
    """The constraints of a constructor's parameters: those in `others`, else those in a table."""
    _, *names = signature(constructor).parameters
    return {name: (table | others)[name] for name in names}


@cache
def _allowed_processors():
    """The processors that this process may use, whole ones of a container's quota included."""
    return joblib.cpu_count()


def thread_count(n_jobs):
    """The threads of a fit, at most: None means all that OpenMP allows, -1 all processors, -2 all
    but one, and so on.
    """
    if n_jobs == 0:
        raise ValueError("n_jobs == 0 has no meaning: use None for all threads, or their number")
    if n_jobs is not None and n_jobs > 0:
        return n_jobs
    processors = _allowed_processors()
    if hasattr(os, "sched_getaffinity"):  # which may have changed
        processors = min(processors, len(os.sched_getaffinity(0)))
    if n_jobs is not None:
        return max(1, processors + 1 + n_jobs)
    is_set = "OMP_NUM_THREADS" in os.environ
    return threads.maximum() if is_set else min(threads.maximum(), processors)


# Combinations of parameters that have been validated.
_VALID = set()


def checked(method):
    """Validate the constructor's parameters, as scikit-learn's estimators do; each combination of
    values once.
    """

    @wraps(method)
    def run(self, *arguments, **keywords):
        values = (
            type(self),
            *((type(value), value) for value in map(vars(self).get, self._parameter_constraints)),
        )
        try:
            known = values in _VALID
        except TypeError:  # a value without a hash
            known, values = False, None
        if not (known or get_config()["skip_parameter_validation"]):
            self._validate_params()
            if len(_VALID) >= 1000:
                _VALID.clear()
            if values is not None:
                _VALID.add(values)
        return method(self, *arguments, **keywords)

    return run
