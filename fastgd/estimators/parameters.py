"""The estimators' parameters: fields whose types are the constraints of their values, which are
checked once for each combination of values.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache, wraps
from typing import Any, TypeVar, dataclass_transform

import joblib
from sklearn import get_config
from sklearn.callback import with_callbacks
from sklearn.utils import _param_validation, metaestimators

from fastgd.estimators.base import unchanged_on_error
from fastgd.estimators.types import constraints_of_text
from fastgd.kernels import threads

_Model = TypeVar("_Model")
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass_transform(eq_default=False, field_specifiers=(field,))
def parameters(cls: type[_Model]) -> type[_Model]:
    """Make a class with the parameters of an estimator from its fields, as `dataclass` does: it
    gets a constructor that stores them, and scikit-learn's constraints, which are their types.

    A module of such classes has ``from __future__ import annotations``. A parameter of a base class
    that the class lacks is a field with ``init=False``.
    """
    cls = dataclass(eq=False, repr=False, match_args=False)(cls)
    cls._parameter_constraints = {
        field.name: constraints_of_text(field.type, cls.__module__)
        for field in fields(cls)
        if field.init
    }
    # `help` shows the names and the defaults.
    cls.__init__.__annotations__ = {}
    # A subclass may lack parameters of this class: it lists its own.
    del cls.__dataclass_fields__
    return cls


@cache
def _allowed_processors():
    """The processors that this process may use, whole ones of a container's quota included."""
    return joblib.cpu_count()


def thread_count(n_jobs: int | None) -> int:
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


def validate(model: Any) -> None:
    """Validate the constructor's parameters, as scikit-learn's estimators do, each combination of
    values once.
    """
    parameters = map(vars(model).get, model._parameter_constraints)
    values = type(model), *((type(value), value) for value in parameters)
    try:
        known = values in _VALID
    except TypeError:  # a value without a hash
        known, values = False, None
    if not (known or get_config()["skip_parameter_validation"]):
        model._validate_params()
        if len(_VALID) >= 1000:
            _VALID.clear()
        if values is not None:
            _VALID.add(values)


def checked(method: _Function) -> _Function:
    """Of a method that trains: `validate` the parameters; after an error the estimator is as it
    was.
    """

    @wraps(method)
    def run(self, *arguments, **keywords):
        validate(self)
        with unchanged_on_error(self):
            return method(self, *arguments, **keywords)

    return run


def trains(fit: _Function) -> _Function:
    """Of `fit`: as `checked`, with scikit-learn's callbacks."""
    return checked(with_callbacks(fit))


def available_if(check: Callable[[Any], bool]) -> Callable[[_Function], _Function]:
    """scikit-learn's `available_if`, with types."""
    return metaestimators.available_if(check)


def validate_arguments(constraints: dict[str, Any]) -> Callable[[_Function], _Function]:
    """Of a function: validate its arguments, as scikit-learn does."""
    return _param_validation.validate_params(constraints, prefer_skip_nested_validation=True)
