"""Classes that are little more than their fields.

`dataclass` compiles each method that it is asked for, for each class: half of the time that
importing fastgd's own modules took. So it is asked for the constructors alone.
"""

from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any, ClassVar, dataclass_transform


@dataclass_transform()
class Record:
    """Its subclasses are dataclasses that are equal to themselves alone, as what holds arrays has
    to be.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init_subclass__(cls):
        dataclass(eq=False, repr=False)(cls)


class Settings(Record):
    """What a user chooses once and nobody changes: its subclasses are frozen, and equal where their
    fields are.
    """

    def __setattr__(self, name, value):
        if (
            name in vars(self) or name not in self.__dataclass_fields__
        ):  # the constructor's assignments are the first
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

    def _values(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}
