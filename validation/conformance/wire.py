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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation.plain import Json
from validation.wellformed import MalformedError, filled, label, pairs_of

if TYPE_CHECKING:
    import xarray as xr

#: Longest message.
MOST_BYTES = 1 << 30

_MARK = b"\x93mlmparity:"
_DIGEST_BYTES = 16
_DEEPEST = 30
#: No mapping of more entries is sent: longer tables are series and arrays.
_MOST_KEYS = 5_000_000
_KINDS = "iufbc"


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


class Call:
    """A function that stays in the candidate's process, by its number."""

    def __init__(self, handle: int) -> None:
        self.handle = handle


def framed(data: bytes) -> bytes:
    """A message with its mark, length and digest before it, so that whatever else is written to the line is noticed."""
    return _MARK + struct.pack(">Q", len(data)) + _digest(data) + data


def receive(read: Callable[[int], bytes]) -> bytes | None:
    """The next message on a line; None where the line ended before the message did.

    ``read`` reads so many bytes, or as many as there are before the end.
    """
    size = len(_MARK) + 8 + _DIGEST_BYTES
    header = read(size)
    if not header:
        return None
    if len(header) < size or header[: len(_MARK)] != _MARK:
        raise WireError("no message of ours begins like this")
    (length,) = struct.unpack_from(">Q", header, len(_MARK))
    if length > MOST_BYTES:
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


@dataclass(frozen=True)
class _Kind:
    """A kind of value that is made of others."""

    holds: Callable[[object], bool]  # whether a value is of the kind
    parts: Callable[..., Mapping[str, object]]  # what it is made of, by name
    make: Callable[..., object]  # makes it of its parts; refuses what does not fit together


def _of(*types: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, types)


def _xarray(name: str) -> Callable[[object], bool]:
    """Whether a value is of a class of xarray's, which is loaded only where one is."""
    return lambda value: any(c.__name__ == name and c.__module__.startswith("xarray.") for c in type(value).__mro__)


def _frame(index: pd.Index, columns: pd.Index, values: list[object]) -> pd.DataFrame:
    series = [pd.Series(cast("np.ndarray", column), index=index) for column in values]
    frame = pd.concat(series, axis=1) if series else pd.DataFrame(index=index)
    return frame.set_axis(columns, axis=1)


def _objects(shape: list[int], items: list[object]) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array.reshape(shape)


def _sparse(shape: list[int], data: np.ndarray, indices: np.ndarray, indptr: np.ndarray) -> sp.csc_array:
    matrix = sp.csc_array((data, indices, indptr), shape=tuple(shape))
    matrix.check_format(full_check=True)
    return matrix


def _sparse_parts(value: sp.sparray) -> dict[str, object]:
    matrix = sp.csc_array(value)
    return {"shape": list(matrix.shape), "data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}


def _masked(value: pd.api.extensions.ExtensionArray) -> dict[str, object]:
    """An array of pandas' own, as numpy has it: its numbers with NaN where they are missing."""
    if value.dtype.kind in "iuf" and not isinstance(value, pd.arrays.NumpyExtensionArray):
        return {"array": value.to_numpy(dtype=np.float64, na_value=np.nan)}
    if isinstance(value, pd.arrays.NumpyExtensionArray):
        return {"array": value.to_numpy()}
    return {"array": value.to_numpy(dtype=object, na_value=None)}  # type: ignore[arg-type]


def _labelled(dims: list[str], coords: dict[str, pd.Index], values: np.ndarray) -> "xr.DataArray":
    import xarray as xr

    return xr.DataArray(values, dims=dims, coords={name: list(own) for name, own in coords.items() if name in dims})


def _labelled_parts(value: "xr.DataArray") -> dict[str, object]:
    coords = {
        str(name): pd.Index(part.to_numpy(), dtype=object) for name, part in value.coords.items() if part.ndim == 1
    }
    return {"dims": [str(name) for name in value.dims], "coords": coords, "values": value.to_numpy()}


def _dataset(variables: "dict[str, xr.DataArray]") -> "xr.Dataset":
    import xarray as xr

    return xr.Dataset({str(name): part for name, part in variables.items()})


def _tree(groups: "dict[str, xr.Dataset]") -> "xr.DataTree":
    import xarray as xr

    return xr.DataTree.from_dict({f"/{name}": group for name, group in groups.items()})


#: Kinds of values by their names on the wire; the first that holds a value is its kind.
_KINDS_OF_PARTS: dict[str, _Kind] = {
    "factor": _Kind(
        _of(pd.Categorical),
        lambda value: {"codes": np.asarray(value.codes, dtype="<i8"), "levels": value.categories},
        lambda codes, levels: pd.Categorical.from_codes(codes, categories=levels),
    ),
    "masked": _Kind(_of(pd.api.extensions.ExtensionArray), _masked, lambda array: array),
    "series": _Kind(
        _of(pd.Series),
        lambda value: {"index": value.index, "values": value.array},
        lambda index, values: pd.Series(values, index=index),
    ),
    "frame": _Kind(
        _of(pd.DataFrame),
        lambda value: {
            "index": value.index,
            "columns": value.columns,
            "values": [value.iloc[:, j].array for j in range(value.shape[1])],
        },
        _frame,
    ),
    "sparse": _Kind(sp.issparse, _sparse_parts, _sparse),
    "tree": _Kind(
        _xarray("DataTree"),
        lambda value: {"groups": {name: child.to_dataset() for name, child in value.children.items()}},
        _tree,
    ),
    "dataset": _Kind(
        _xarray("Dataset"),
        lambda value: {"variables": {name: value[name] for name in value.data_vars}},
        _dataset,
    ),
    "labelled": _Kind(_xarray("DataArray"), _labelled_parts, _labelled),
    "objects": _Kind(
        lambda value: isinstance(value, np.ndarray) and value.dtype.kind in "UO",
        lambda value: {"shape": list(value.shape), "items": filled(value).ravel().tolist()},
        _objects,
    ),
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
        return _encode_array(np.asarray(complex(value)))
    if isinstance(value, np.ma.MaskedArray):
        value = filled(value)
    for name, kind in _KINDS_OF_PARTS.items():
        if kind.holds(value):
            return {"$": name, **{part: encode(item, keep, depth + 1) for part, item in kind.parts(value).items()}}
    if isinstance(value, np.ndarray):
        return _encode_array(value)
    if isinstance(value, pd.Index):
        return {"$": "index", "items": _keys(value)}
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


def _encode_array(array: np.ndarray) -> Json:
    if array.dtype.kind not in _KINDS:
        return _unreadable(array)
    native = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    if native.dtype.itemsize > 8 * (1 + (native.dtype.kind == "c")):  # long doubles differ from machine to machine
        native = native.astype("<c16" if native.dtype.kind == "c" else "<f8")
    file = io.BytesIO()
    np.save(file, native, allow_pickle=False)
    return {"$": "array", "npy": base64.b64encode(file.getvalue()).decode("ascii")}


def _key(item: object) -> bool | int | float | str:
    if isinstance(item, str):
        return label(item)
    if isinstance(item, bool | np.bool_):
        return bool(item)
    if isinstance(item, int | np.integer) and abs(int(item)) < 1 << 63:
        return int(item)
    return float(item) if isinstance(item, float | np.floating) else str(item)


def _keys(items: Iterable[object]) -> list[bool | int | float | str]:
    return [_key(item) for item in items]


def _unreadable(value: object) -> dict[str, str]:
    return {"$": "unreadable", "kind": type(value).__name__[:80]}


def decode(value: Json) -> object:
    """What :func:`encode` made, as plain data; what does not fit together is :class:`Unreadable`."""
    if isinstance(value, list):
        return Unreadable("list")
    if not isinstance(value, dict):
        return value
    name = str(value.get("$"))[:80]
    try:
        return _decode(name, {key: part for key, part in value.items() if key != "$"})
    except Exception as error:  # a message that contradicts itself: shapes, types, lengths
        return Unreadable(f"{name} that contradicts itself: {type(error).__name__}")


def _decode(name: str, given: Message) -> object:
    if name in _KINDS_OF_PARTS:
        parts = {key: decode(part) for key, part in given.items()}
        inner = [
            item
            for part in parts.values()
            for item in (part if isinstance(part, list) else part.values() if isinstance(part, dict) else ())
        ]
        if any(isinstance(part, Unreadable) for part in (*parts.values(), *(inner if name != "objects" else ()))):
            raise ValueError("a part that cannot be read")
        return _KINDS_OF_PARTS[name].make(**parts)
    if name == "array":
        array = np.load(io.BytesIO(base64.b64decode(str(given["npy"]), validate=True)), allow_pickle=False)
        if array.dtype.kind not in _KINDS:
            raise ValueError(array.dtype)
        return array.astype(array.dtype.newbyteorder("="))
    if name == "call":
        return Call(int(cast("int", given["handle"])))
    if name == "unreadable":
        return Unreadable(str(given["kind"]))
    items = given.get("items")
    if not isinstance(items, list) or name not in ("index", "list", "map"):
        return Unreadable(name)
    if name == "list":
        return [decode(item) for item in items]
    if name == "map":
        found = {key: decode(item) for key, item in items}
        if len(found) < len(items):
            raise ValueError("a key twice")
        return found
    if not all(isinstance(item, str | int | float) for item in items):
        raise ValueError("labels")
    return pd.Index(items, dtype=object)
