"""How a candidate's answer travels from its process to the judge's: JSON, numbers as base64, nothing that executes.

Types are kept as they are (complex numbers stay complex, text stays text), so that the judge's checks see what the
candidate gave; what has no place here arrives as :class:`Unreadable`, which no check accepts. The other way, from the
judge to the candidate, goes by pickle: the judge is trusted by the candidate, not the other way round.
"""

import base64
import hashlib
import io
import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation.plain import Json
from validation.wellformed import MalformedError, filled, label, pairs_of

#: Longest message.
MOST_BYTES = 1 << 30

_MARK = b"\x93mlmparity:"
_DIGEST_BYTES = 16
_DEEPEST = 30
#: No mapping of more entries is sent: longer tables are series and arrays.
_MOST_KEYS = 5_000_000
_NUMBERS = "iufbc"


#: A value with its parts, or a whole message.
Message: TypeAlias = Mapping[str, Json]


class WireError(ValueError):
    """A message that is no message of ours."""


class Unreadable:
    """What a candidate gave that is neither number, text, label nor table."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"<{self.kind}>"


def framed(data: bytes) -> bytes:
    """A message with its mark, length and digest before it, so that whatever else is written to the line is noticed."""
    return _MARK + struct.pack(">Q", len(data)) + _digest(data) + data


def receive(read: Callable[[int], bytes], most: int = MOST_BYTES) -> bytes | None:
    """The next message on a line; None where the line ended before the message did.

    ``read`` reads so many bytes, or as many as there are before the end; no message has more than ``most``.
    """
    size = len(_MARK) + 8 + _DIGEST_BYTES
    header = read(size)
    if not header:
        return None
    if len(header) < size or header[: len(_MARK)] != _MARK:
        raise WireError("no message of ours begins like this")
    (length,) = struct.unpack_from(">Q", header, len(_MARK))
    if length > most:
        raise WireError(f"a message of {length} bytes")
    data = read(length)
    if len(data) < length:
        return None
    if header[-_DIGEST_BYTES:] != _digest(data):
        raise WireError("something was written into a message")
    return data


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def dumps(message: Message) -> bytes:
    """A message as bytes."""
    return json.dumps(message, ensure_ascii=True).encode("ascii")


def loads(data: bytes) -> dict[str, Json]:
    """Bytes as a message."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {type(error).__name__}") from None
    if not isinstance(found, dict):
        raise WireError("no JSON object")
    return found


# ---------------------------------------------------------------------------------------------------- there and back


class _Kind(NamedTuple):
    """A kind of value that is made of others."""

    holds: Callable[[object], bool]  # whether a value is of the kind
    parts: Callable[[Any], Sequence[object]]  # what it is made of
    make: Callable[..., object]  # makes it of its parts; refuses what does not fit together


def _of(*types: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, types)


def _in_numpy(value: pd.api.extensions.ExtensionArray) -> np.ndarray:
    """An array of pandas' own as numpy has it: its numbers with NaN where they are missing."""
    if isinstance(value, pd.arrays.NumpyExtensionArray):
        return value.to_numpy()
    if value.dtype.kind in "iuf":
        return value.to_numpy(dtype=np.float64, na_value=np.nan)
    return value.to_numpy(dtype=object, na_value=None)  # type: ignore[arg-type]


def _bytes_of(array: np.ndarray) -> str:
    native = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    if native.dtype.itemsize > 8 * (1 + (native.dtype.kind == "c")):  # long doubles differ from machine to machine
        native = native.astype("<c16" if native.dtype.kind == "c" else "<f8")
    file = io.BytesIO()
    np.save(file, native, allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _array(text: str) -> np.ndarray:
    array = np.load(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False)
    if array.dtype.kind not in _NUMBERS:
        raise ValueError(array.dtype)
    return array.astype(array.dtype.newbyteorder("="))


def _frame(index: pd.Index, columns: pd.Index, values: list[Any]) -> pd.DataFrame:
    series = [pd.Series(column, index=index) for column in values]
    frame = pd.concat(series, axis=1) if series else pd.DataFrame(index=index)
    return frame.set_axis(columns, axis=1)


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
        _frame,
    ),
    "sparse": _Kind(sp.issparse, _sparse_parts, _sparse),
    "tree": _of_xarray("DataTree"),
    "dataset": _of_xarray("Dataset", data="array"),
    "labelled": _of_xarray("DataArray", data="array"),
}


def encode(value: object, keep: Callable[[object], int], depth: int = 0) -> Json:
    """A value as JSON; ``keep`` takes a function that the judge may call later, and gives its number."""
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
        value = _in_numpy(value)
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
        return {"$": "call", "handle": keep(value)}
    return _unreadable(value)


def _key(item: object) -> bool | int | float | str:
    if isinstance(item, str):
        return label(item)
    if isinstance(item, bool | np.bool_):
        return bool(item)
    if isinstance(item, int | np.integer) and abs(int(item)) < 1 << 63:
        return int(item)
    return float(item) if isinstance(item, float | np.floating) else str(item)


def _unreadable(value: object) -> dict[str, str]:
    return {"$": "unreadable", "kind": type(value).__name__[:80]}


def _no_function(handle: int) -> object:
    return Unreadable("function")


def decode(value: Json, function: Callable[[int], object] = _no_function) -> object:
    """What :func:`encode` made, as plain data; what does not fit together is :class:`Unreadable`.

    ``function`` makes one that is called in the candidate's process, of its number.
    """
    if isinstance(value, list):
        return Unreadable("list")
    if not isinstance(value, dict):
        return value
    name = str(value.get("$"))[:80]
    try:
        return _decode(name, value, function)
    except Exception as error:  # a message that contradicts itself: shapes, types, lengths
        return Unreadable(f"{name} that contradicts itself: {type(error).__name__}")


def _decode(name: str, given: dict[str, Any], function: Callable[[int], object]) -> object:
    if name == "call":
        return function(int(given["handle"]))
    if name == "unreadable":
        return Unreadable(str(given["kind"]))
    if name == "list":
        return [decode(item, function) for item in given["items"]]
    if name == "map":
        found = {key: decode(item, function) for key, item in given["items"]}
        if len(found) < len(given["items"]):
            raise ValueError("a key twice")
        return found
    parts = [decode(part) for part in given["parts"]]
    if any(isinstance(part, Unreadable) for part in parts):
        raise ValueError("a part that cannot be read")
    return _KINDS[name].make(*parts)
