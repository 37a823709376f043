"""Frozen dataclasses that are made often."""

import dataclasses
from functools import update_wrapper
from typing import Any, TypeVar, cast, dataclass_transform

__all__ = ["changed", "record"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def record(cls: type[T]) -> type[T]:
    """Make a frozen dataclass of a class, which takes all its fields at once.

    A frozen dataclass sets its fields one by one, past its own ban: twenty take longer than many a computation here.

    Parameters
    ----------
    cls : type
        Without ``__slots__``.
    """
    made: Any = dataclasses.dataclass(frozen=True)(cls)
    careful = made.__init__
    names = tuple(field.name for field in dataclasses.fields(made))
    known, count = frozenset(names), len(names)
    defaults = {
        field.name: field.default for field in dataclasses.fields(made) if field.default is not dataclasses.MISSING
    }

    def initialise(self: Any, *values: Any, **fields: Any) -> None:
        if not values and len(fields) == count and known.issuperset(fields):
            self.__dict__.update(fields)
        elif not fields and len(values) == count:
            self.__dict__.update(zip(names, values, strict=True))
        elif not values and known.issuperset(fields) and len(every := {**defaults, **fields}) == count:
            self.__dict__.update(every)
        else:  # positions and names mixed, defaults that are made anew, or an error
            careful(self, *values, **fields)

    made.__init__ = update_wrapper(initialise, careful)
    return cast(type[T], made)


def changed(instance: T, **fields: object) -> T:
    """Copy a frozen dataclass with other values of some fields: ``dataclasses.replace`` without its overhead.

    Nothing that was computed when first asked for is taken over but what stands among the fields.
    """
    new: T = object.__new__(type(instance))
    known = instance.__dict__
    new.__dict__.update({name: known[name] for name in type(instance).__dataclass_fields__}, **fields)  # type: ignore[attr-defined]
    return new
