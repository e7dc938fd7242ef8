"""What a user chooses once and nobody changes."""
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any, ClassVar, dataclass_transform


@dataclass_transform(frozen_default=True)
class Settings:
    """Its subclasses are frozen dataclasses.

    Their methods but for the constructor are here: `dataclass` would compile them for each class, a third of the time that
    importing fastgd's own modules took.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init_subclass__(cls):
        dataclass(eq=False, repr=False)(cls)

    def __setattr__(self, name, value):
        if name in vars(self) or name not in self.__dataclass_fields__:  # the constructor's assignments are the first
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super().__setattr__(name, value)

    def __delattr__(self, name):
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other):
        return self._values() == other._values() if type(self) is type(other) else NotImplemented

    def __hash__(self):
        return hash(tuple(self._values().values()))

    def __repr__(self):
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in self._values().items())})"

    def _values(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}
