"""Any value as plain data that JSON has words for: each number to its last bit."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from types import GenericAlias, UnionType
from typing import TypeAlias, Union, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np
import pandas as pd

__all__ = ["Json", "holds", "plain"]

#: What JSON has words for.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


def holds(value: object, kind: type | GenericAlias | UnionType) -> bool:
    """Whether what was read from JSON is of a type.

    Parameters
    ----------
    value : object
    kind : type
        A TypedDict, list, dict, union, or a type that JSON has; a whole number is a float, a truth value no number.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        if not isinstance(value, dict) or not getattr(kind, "__required_keys__", frozenset()) <= value.keys():
            return False
        return all(holds(value[key], own) for key, own in get_type_hints(kind).items() if key in value)
    if origin is list:
        return isinstance(value, list) and all(holds(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(holds(item, inner[1]) for item in value.values())
    if origin in (Union, UnionType):
        return any(holds(value, one) for one in inner)
    if kind is int or kind is float:
        return isinstance(value, int | kind) and not isinstance(value, bool)
    return isinstance(kind, type) and isinstance(value, kind)


def plain(value: object, infinity: str = "Infinity") -> Json:
    """A value as JSON: missing as null, infinities as strings, arrays as lists; what JSON has no word for as its text.

    Parameters
    ----------
    value : object
    infinity : str
        How an infinite number is written.
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        if math.isnan(number):
            return None
        return number if math.isfinite(number) else infinity if number > 0 else f"-{infinity}"
    if isinstance(value, Mapping):
        return {str(key): plain(item, infinity) for key, item in value.items()}
    if isinstance(value, np.ndarray | pd.Series | pd.Index):
        return plain(value.tolist(), infinity)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, infinity) for item in value]
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value)
