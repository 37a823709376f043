"""How a candidate's answer travels from its process to the judge's: JSON, numbers as base64, nothing that executes.

Types are kept as they are (complex numbers stay complex, text stays text), so that the judge's checks see what the
candidate gave; what has no place here arrives as :class:`Unreadable`, which no check accepts. The other way, from the
judge to the candidate, goes by pickle: the judge is trusted by the candidate, not the other way round.
"""

import base64
import io
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation.plain import Json
from validation.wellformed import MalformedError, filled, label, pairs_of

#: Longest message.
MOST_BYTES = 1 << 30
#: What stands before each message, the mark and its length: whatever else is written to the line is noticed.
MARK, HEADER = b"\x93mlmparity:", struct.Struct(">11sQ")

_DEEPEST = 30
#: No mapping of more entries is sent: longer tables are series and arrays.
_MOST_KEYS = 5_000_000
_NUMBERS = "iufbc"


class Unreadable:
    """What a candidate gave that is neither number, text, label nor table."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"<{self.kind}>"


# ---------------------------------------------------------------------------------------------------- there and back


class _Kind(NamedTuple):
    """A kind of value that is made of others."""

    holds: Callable[[object], bool]  # whether a value is of the kind
    parts: Callable[[Any], Sequence[object]]  # what it is made of
    make: Callable[..., object]  # makes it of its parts; refuses what does not fit together


def _of(*types: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, types)


def _bytes_of(array: np.ndarray) -> str:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _array(text: str) -> np.ndarray:
    array = np.load(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False)
    if array.dtype.kind not in _NUMBERS:
        raise ValueError(array.dtype)
    return array.astype(array.dtype.newbyteorder("="))


def _sparse_parts(value: sp.sparray) -> Sequence[object]:
    matrix = sp.csc_array(value)
    return matrix.shape, matrix.data, matrix.indices, matrix.indptr


def _sparse(shape: list[int], data: np.ndarray, indices: np.ndarray, indptr: np.ndarray) -> sp.csc_array:
    matrix = sp.csc_array((data, indices, indptr), shape=tuple(shape))
    matrix.check_format(full_check=True)
    return matrix


def _of_xarray(name: str, **options: str) -> _Kind:
    """A class of xarray's, in its own plain form; xarray is loaded only where one is."""

    def make(plain: object) -> object:
        import xarray as xr

        return getattr(xr, name).from_dict(plain)

    return _Kind(
        lambda value: any(c.__name__ == name and c.__module__.startswith("xarray.") for c in type(value).__mro__),
        lambda value: [value.to_dict(**options)],
        make,
    )


#: Kinds of values by their names on the wire; the first that holds a value is its kind.
_KINDS: dict[str, _Kind] = {
    "array": _Kind(
        lambda value: isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS,
        lambda value: [_bytes_of(value)],
        _array,
    ),
    "factor": _Kind(
        _of(pd.Categorical),
        lambda value: [np.asarray(value.codes, dtype="<i8"), value.categories],
        lambda codes, levels: pd.Categorical.from_codes(codes, categories=levels),
    ),
    "index": _Kind(_of(pd.Index), lambda value: [[*map(_key, value)]], lambda items: pd.Index(items, dtype=object)),
    "series": _Kind(
        _of(pd.Series),
        lambda value: [value.index, value.array],
        lambda index, values: pd.Series(values, index=index),
    ),
    "frame": _Kind(
        _of(pd.DataFrame),
        lambda value: [value.index, value.columns, [value.iloc[:, j].array for j in range(value.shape[1])]],
        lambda index, columns, values: pd.DataFrame(dict(enumerate(values)), index=index).set_axis(columns, axis=1),
    ),
    "sparse": _Kind(sp.issparse, _sparse_parts, _sparse),
    "tree": _of_xarray("DataTree"),
    "dataset": _of_xarray("Dataset", data="array"),
    "labelled": _of_xarray("DataArray", data="array"),
}


def encode(value: object, keep: Callable[[object], Json], depth: int = 0) -> Json:
    """A value as JSON; ``keep`` takes a function that the judge may call later, and gives what stands for it."""
    if depth > _DEEPEST:
        return _unreadable(value)
    if value is None:  # not offered
        return None
    if value is pd.NA:  # offered, and missing
        return math.nan
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        found = int(value)
        return found if abs(found) < 1 << 63 else _unreadable(value)
    if isinstance(value, float | np.floating):
        return float.__float__(value) if isinstance(value, float) else float(value)
    if isinstance(value, str):
        return label(value)
    if isinstance(value, complex | np.complexfloating):
        value = np.asarray(complex(value))
    elif isinstance(value, pd.api.extensions.ExtensionArray) and not isinstance(value, pd.Categorical):
        plain = isinstance(value, pd.arrays.NumpyExtensionArray)
        value = np.asarray(value if plain else value.astype(object))  # with what is missing there as it is
    if isinstance(value, np.ndarray):
        value = filled(value)
        if value.dtype.kind in "UO":
            return encode(value.tolist(), keep, depth + 1)
    for name, kind in _KINDS.items():
        if kind.holds(value):
            return {"$": name, "parts": [encode(part, keep, depth + 1) for part in kind.parts(value)]}
    if isinstance(value, Mapping):
        try:
            pairs = pairs_of(value, "a mapping") if len(value) <= _MOST_KEYS else None
        except MalformedError:
            pairs = None
        if pairs is None:
            return _unreadable(value)
        return {"$": "map", "items": [[_key(key), encode(item, keep, depth + 1)] for key, item in pairs]}
    if isinstance(value, list | tuple):
        return {"$": "list", "items": [encode(item, keep, depth + 1) for item in value]}
    if callable(value):
        return keep(value)
    return _unreadable(value)


def _key(item: object) -> bool | int | float | str:
    """A label: a name, a number or a truth value; of anything else its text."""
    found = encode(item, _unreadable)
    return found if isinstance(found, bool | int | float | str) else str(item)


def _unreadable(value: object) -> dict[str, str]:
    return {"$": "unreadable", "kind": type(value).__name__[:80]}


def decode(
    value: Json,
    remote: Callable[[int, dict[str, bool], str], object] = lambda handle, verbs, kind: Unreadable(kind),
) -> object:
    """What :func:`encode` made, as plain data; what does not fit together is :class:`Unreadable`.

    ``remote`` makes what stands for a value that is kept in the candidate's process, of its number, verbs and kind.
    """
    if not isinstance(value, dict):
        return Unreadable("list") if isinstance(value, list) else value
    name, given = str(value.get("$"))[:80], cast("dict[str, Any]", value)
    try:
        if name == "kept":
            verbs = {str(verb): bool(method) for verb, method in given["verbs"].items()}
            return remote(int(given["handle"]), verbs, str(given["kind"]))
        if name == "unreadable":
            return Unreadable(str(given["kind"]))
        if name == "list":
            return [decode(item, remote) for item in given["items"]]
        if name == "map":
            found = {key: decode(item, remote) for key, item in given["items"]}
            if len(found) < len(given["items"]):
                raise ValueError("a key twice")
            return found
        parts = [decode(part) for part in given["parts"]]
        if any(isinstance(part, Unreadable) for part in parts):
            raise ValueError("a part that cannot be read")
        return _KINDS[name].make(*parts)
    except Exception as error:  # a message that contradicts itself: shapes, types, lengths
        return Unreadable(f"{name} that contradicts itself: {type(error).__name__}")
