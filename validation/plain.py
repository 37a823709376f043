"""Any value as plain data that JSON has words for: each number to its last bit."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np
import pandas as pd

__all__ = ["Json", "misfit", "plain"]

#: What JSON has words for.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


def misfit(value: object, kind: Any, where: str = "") -> str:
    """Where what was read from JSON is not of a type, and what is there; an empty text where it is.

    Parameters
    ----------
    value : object
    kind : type
        A TypedDict, list, dict, union, or a type that JSON has; a whole number is a float, a truth value no number.
    where : str
        How the place is called.
    """
    origin, inner = get_origin(kind), get_args(kind)
    wrong = f"{where or 'it'} is {value!r:.40}"
    parts: list[tuple[object, object, object]]
    if is_typeddict(kind):
        if not isinstance(value, dict):
            return wrong
        lacking = sorted(kind.__required_keys__ - value.keys())
        if lacking:
            return f"{where or 'it'} lacks {lacking[0]!r}"
        parts = [(value[key], own, key) for key, own in get_type_hints(kind).items() if key in value]
    elif origin in (list, dict):
        if not isinstance(value, origin):
            return wrong
        parts = [(item, inner[-1], key) for key, item in (value.items() if origin is dict else enumerate(value))]
    elif origin in (Union, UnionType):
        return "" if any(not misfit(value, one) for one in inner) else wrong
    else:
        allowed = (int, float) if kind is float else kind
        return "" if isinstance(value, allowed) and (kind not in (int, float) or not isinstance(value, bool)) else wrong
    found = (misfit(item, own, f"{where}.{key}".lstrip(".")) for item, own, key in parts)
    return next(filter(None, found), "")


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
