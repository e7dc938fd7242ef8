"""The types of the estimators' parameters, which are the constraints of their values."""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Protocol, TypeAlias, Union, get_args, get_origin

import numpy as np
from numpy.random import RandomState
from scipy import LowLevelCallable
from sklearn.utils._param_validation import Interval, StrOptions

from fastgd.methods.optimizers import RULES, Optimizer


class HasArray(Protocol):
    """What NumPy can turn into an array, such as a pandas Series."""

    def __array__(self) -> np.ndarray: ...


Numbers: TypeAlias = Sequence[float] | Sequence[Sequence[float]] | HasArray

Positive = Annotated[float, Interval(Real, 0, None, closed="neither")]
NonNegative = Annotated[float, Interval(Real, 0, None, closed="left")]
Finite = Annotated[float, Interval(Real, None, None, closed="neither")]
Fraction = Annotated[float, Interval(Real, 0, 1, closed="neither")]
Ratio = Annotated[float, Interval(Real, 0, 1, closed="both")]
Decay = Annotated[float, Interval(Real, 0, 1, closed="left")]
Natural = Annotated[int, Interval(Integral, 0, None, closed="left")]
AtLeast1 = Annotated[int, Interval(Integral, 1, None, closed="left")]
ArrayLike = Annotated[Numbers, "array-like"]
Seed = Annotated[int | RandomState | None, "random_state"]
Splitter = Annotated[object, "cv_object"]
Verbosity = Annotated[bool | int, "verbose"]
Function = Callable[..., Any] | LowLevelCallable
Rule = Annotated[str, StrOptions(set(RULES))] | Optimizer
# scikit-learn's constraints of other types.
OF_TYPES = {bool: "boolean", int: Integral, NoneType: None, Callable: callable}


def constraints_of(kind):
    """scikit-learn's constraints of a parameter of this type."""
    if get_origin(kind) in (Union, UnionType):
        return [constraint for part in get_args(kind) for constraint in constraints_of(part)]
    if get_origin(kind) is Annotated:
        return list(kind.__metadata__)
    if get_origin(kind) is Literal:
        return [StrOptions(set(get_args(kind)))]
    kind = get_origin(kind) or kind
    return [OF_TYPES.get(kind, kind)]


@cache
def constraints_of_text(annotation, module):
    """The constraints of a type, given as the text of an annotation in a module."""
    return constraints_of(eval(annotation, vars(sys.modules[module])))
