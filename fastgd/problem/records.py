"""Base classes of dataclasses, which generate the constructors only.

`dataclass` compiles each generated method of each class. That took half of the time of importing
fastgd's modules.
"""

from dataclasses import FrozenInstanceError, dataclass, fields, replace
from math import inf
from numbers import Real
from typing import Any, ClassVar, dataclass_transform

import numpy as np


@dataclass_transform()
class Record:
    """Base class of dataclasses compared by identity, as objects with arrays have to be."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init_subclass__(cls):
        dataclass(eq=False, repr=False)(cls)


def copied(record: Record):
    """A copy with arrays of its own."""
    arrays = {name: v.copy() for name, v in vars(record).items() if isinstance(v, np.ndarray)}
    return replace(record, **arrays)


class Settings(Record):
    """Base class of frozen dataclasses, which are equal if their fields are."""

    def __setattr__(self, name, value):
        # The first assignments are the constructor's.
        if name in vars(self) or name not in self.__dataclass_fields__:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super().__setattr__(name, value)

    def __delattr__(self, name):
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other):
        return self._values() == other._values() if type(self) is type(other) else NotImplemented

    def __hash__(self):
        return hash(tuple(self._values().values()))

    def __repr__(self):
        values = ", ".join(f"{name}={value!r}" for name, value in self._values().items())
        return f"{type(self).__qualname__}({values})"

    def _check_number(self, name, demand, low, high=inf, closed=False):
        """Raise an error unless a setting is a number between `low` and `high`; `closed`: it may be
        `low`.
        """
        value = getattr(self, name)
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not (is_number and low <= value < high and (closed or value > low)):
            raise ValueError(f"{name} of {type(self).__name__} must be {demand}, got {value!r}")

    def _values(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}
