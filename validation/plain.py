"""Any value as plain data that JSON has words for: each number to its last bit."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from types import GenericAlias, UnionType
from typing import TypeAlias, Union, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np
import pandas as pd

#: What JSON has words for.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


def misfit(value: object, kind: type | GenericAlias | UnionType, where: str = "") -> str:
    """Where what was read from JSON is not of a type, and what is there; an empty text where it is.

    The type is a TypedDict, list, dict, union, or one that JSON has; a whole number is a float, a truth value no
    number.
    """
    origin, inner = get_origin(kind), get_args(kind)
    parts: list[tuple[object, type | GenericAlias | UnionType, object]] = []
    fits = isinstance(value, dict)
    if is_typeddict(kind):
        if isinstance(value, dict):
            required: frozenset[str] = getattr(kind, "__required_keys__", frozenset())
            if lacking := sorted(required - value.keys()):
                return f"{where or 'it'} lacks {lacking[0]!r}"
            parts = [(value[key], own, key) for key, own in get_type_hints(kind).items() if key in value]
    elif origin is dict:
        parts = [(item, inner[1], key) for key, item in value.items()] if isinstance(value, dict) else []
    elif origin is list:
        fits = isinstance(value, list)
        parts = [(item, inner[0], i) for i, item in enumerate(value)] if isinstance(value, list) else []
    elif origin in (Union, UnionType):
        fits = any(not misfit(value, one) for one in inner)
    elif kind is int or kind is float:
        fits = isinstance(value, int | kind) and not isinstance(value, bool)
    else:
        fits = isinstance(kind, type) and isinstance(value, kind)
    if not fits:
        return f"{where or 'it'} is {value!r:.40}"
    found = (misfit(item, own, f"{where}.{key}".lstrip(".")) for item, own, key in parts)
    return next(filter(None, found), "")


def plain(value: object, infinity: str = "Infinity") -> Json:
    """A value as JSON: missing as null, infinities as strings, arrays as lists; what JSON has no word for as text."""
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
