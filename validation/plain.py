"""Any value as plain data that JSON has words for: each number to its last bit."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

__all__ = ["Json", "plain"]

#: What JSON has words for.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


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
