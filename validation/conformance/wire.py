"""How a candidate's answer travels from its process to the judge's: JSON, numbers as base64, nothing that executes.

Types are kept as they are (complex numbers stay complex, text stays text), so that the judge's checks see what the
candidate gave; what has no place here arrives as :class:`Unreadable`, which no check accepts. The other way, from the
judge to the candidate, goes by pickle: the judge is trusted by the candidate, not the other way round.
"""

import base64
import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation.plain import Json
from validation.wellformed import filled, label

if TYPE_CHECKING:
    import xarray as xr

    from validation.contract import Values

__all__ = [
    "HEADER_BYTES",
    "MOST_BYTES",
    "Call",
    "Message",
    "Unreadable",
    "WireError",
    "body_length",
    "check_body",
    "decode",
    "dumps",
    "encode",
    "framed",
    "loads",
]

#: Longest message.
MOST_BYTES = 1 << 30

_MARK = b"\x93mlmparity:"
_DIGEST_BYTES = 16

#: What stands before each answer: a mark, its length, its digest.
HEADER_BYTES = len(_MARK) + 8 + _DIGEST_BYTES

_DEEPEST = 30
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


def body_length(header: bytes) -> int:
    """How long the message behind a header is.

    Raises
    ------
    WireError
        It is no header, or one of a message longer than :data:`MOST_BYTES`.
    """
    if header[: len(_MARK)] != _MARK or len(header) < HEADER_BYTES:
        raise WireError("no message of ours begins like this")
    length = int.from_bytes(header[len(_MARK) : len(_MARK) + 8], "big")
    if length > MOST_BYTES:
        raise WireError(f"a message of {length} bytes")
    return length


def check_body(header: bytes, data: bytes) -> None:
    """Check that a message is the one its header speaks of.

    Raises
    ------
    WireError
        Something else was written into it.
    """
    if header[-_DIGEST_BYTES:] != _digest(data):
        raise WireError("something was written into a message")


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def dumps(message: Message) -> bytes:
    """A message as bytes."""
    return json.dumps(message, ensure_ascii=True).encode("ascii")


def loads(data: bytes) -> dict[str, Json]:
    """Bytes as a message.

    Raises
    ------
    WireError
        Not JSON, or no object.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {type(error).__name__}") from None
    if not isinstance(found, dict):
        raise WireError("no JSON object")
    return found


# ---------------------------------------------------------------------------------------------------- in the candidate


def encode(value: object, keep: Callable[[object], int], depth: int = 0) -> Json:
    """A value as JSON.

    Parameters
    ----------
    value : object
    keep : callable
        Takes a function that the judge may call later, and gives its number.
    """
    if depth > _DEEPEST:
        return _unreadable(value)
    if value is None or value is pd.NA:
        return None
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
        return encode(np.asarray(complex(value)), keep, depth + 1)
    if isinstance(value, np.ndarray):
        return _encode_array(value, keep, depth)
    table = _encode_table(value, keep, depth)
    if table is not None:
        return table
    if isinstance(value, Mapping):
        return {"$": "map", "items": [[_key(key), encode(item, keep, depth + 1)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"$": "list", "items": [encode(item, keep, depth + 1) for item in value]}
    if callable(value):
        return {"$": "call", "handle": keep(value)}
    return _unreadable(value)


def _encode_array(value: np.ndarray, keep: Callable[[object], int], depth: int) -> Json:
    array = np.asarray(filled(value))
    if array.dtype.kind in _KINDS:
        native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        if native.dtype.itemsize > 8 * (1 + (native.dtype.kind == "c")):  # long doubles differ from machine to machine
            native = native.astype("<c16" if native.dtype.kind == "c" else "<f8")
        return {
            "$": "array",
            "dtype": native.dtype.str,
            "shape": list(array.shape),
            "data": base64.b64encode(native.tobytes()).decode("ascii"),
        }
    if array.dtype.kind in "UO":
        items = [encode(item, keep, depth + 1) for item in array.ravel().tolist()]
        return {"$": "objects", "shape": list(array.shape), "items": items}
    return _unreadable(value)


def _encode_table(value: object, keep: Callable[[object], int], depth: int) -> Json:
    """Tables of pandas, scipy and xarray; None of anything else."""
    if isinstance(value, pd.Categorical):
        codes = _encode_array(np.asarray(value.codes, dtype="<i8"), keep, depth)
        return {"$": "factor", "codes": codes, "levels": _keys(value.categories)}
    if isinstance(value, pd.arrays.NumpyExtensionArray):
        return _encode_array(value.to_numpy(), keep, depth)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        if value.dtype.kind in "iuf":
            return _encode_array(value.to_numpy(dtype=np.float64, na_value=np.nan), keep, depth)
        return _encode_array(value.to_numpy(dtype=object, na_value=None), keep, depth)  # type: ignore[arg-type]
    if isinstance(value, pd.Index):
        return {"$": "list", "items": _keys(value)}
    if isinstance(value, pd.Series):
        return {"$": "series", "index": _keys(value.index), "values": encode(value.array, keep, depth + 1)}
    if isinstance(value, pd.DataFrame):
        columns = [encode(value.iloc[:, j].array, keep, depth + 1) for j in range(value.shape[1])]
        return {"$": "frame", "index": _keys(value.index), "columns": _keys(value.columns), "values": columns}
    if sp.issparse(value):
        matrix = sp.csc_array(value)
        parts = {name: _encode_array(getattr(matrix, name), keep, depth) for name in ("data", "indices", "indptr")}
        return {"$": "sparse", "shape": list(matrix.shape), **parts}
    if type(value).__module__.partition(".")[0] != "xarray":
        return None
    import xarray as xr

    if isinstance(value, xr.DataTree):
        groups = {str(name): encode(child.to_dataset(), keep, depth + 1) for name, child in value.children.items()}
        return {"$": "tree", "groups": groups}
    if isinstance(value, xr.Dataset):
        variables = [[_key(name), encode(value[name], keep, depth + 1)] for name in value.data_vars]
        return {"$": "dataset", "variables": variables}
    if isinstance(value, xr.DataArray):
        coords = {str(name): _keys(part.to_numpy().tolist()) for name, part in value.coords.items() if part.ndim == 1}
        return {
            "$": "labelled",
            "dims": [str(name) for name in value.dims],
            "coords": coords,
            "values": _encode_array(value.to_numpy(), keep, depth),
        }
    return None


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


# ---------------------------------------------------------------------------------------------------- in the judge


def decode(value: Json) -> object:
    """What :func:`encode` made, as plain data; what does not fit together is :class:`Unreadable`."""
    if isinstance(value, list):
        return Unreadable("list")
    if not isinstance(value, dict):
        return value
    kind = value.get("$")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        return Unreadable(str(kind)[:80])
    try:
        return reader(value)
    except Exception as error:  # a message that contradicts itself: shapes, types, lengths
        return Unreadable(f"{kind} that contradicts itself: {type(error).__name__}")


def _items(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise ValueError("items")
    return value


def _parts(value: Json) -> Message:
    if not isinstance(value, dict):
        raise ValueError("parts")
    return value


def _whole(value: Json) -> int:
    if not isinstance(value, int):
        raise ValueError("whole number")
    return value


def _shape(value: Json) -> tuple[int, ...]:
    return tuple(_whole(size) for size in _items(value))


def _array(value: Json) -> np.ndarray:
    parts = _parts(value)
    kind = np.dtype(str(parts["dtype"]))
    if kind.kind not in _KINDS or kind.hasobject:
        raise ValueError(kind)
    data = base64.b64decode(str(parts["data"]), validate=True)
    return np.frombuffer(data, dtype=kind).reshape(_shape(parts["shape"])).astype(kind.newbyteorder("="))


def _objects(value: Message) -> np.ndarray:
    given = _items(value["items"])
    items = np.empty(len(given), dtype=object)
    for i, item in enumerate(given):
        items[i] = decode(item)
    return items.reshape(_shape(value["shape"]))


def _index(items: Json) -> pd.Index:
    if not isinstance(items, list) or not all(isinstance(item, str | int | float) for item in items):
        raise ValueError("labels")
    return pd.Index(items, dtype=object)


def _column(value: Json) -> object:
    found = decode(value)
    if isinstance(found, Unreadable):
        raise ValueError(found.kind)
    return found


def _factor(value: Message) -> pd.Categorical:
    return pd.Categorical.from_codes(_array(value["codes"]), categories=_index(value["levels"]))


def _series(value: Json, index: pd.Index) -> pd.Series:
    return pd.Series(cast("Values", _column(value)), index=index)


def _frame(value: Message) -> pd.DataFrame:
    index, columns = _index(value["index"]), _index(value["columns"])
    series = [_series(column, index) for column in _items(value["values"])]
    frame = pd.concat(series, axis=1) if series else pd.DataFrame(index=index)
    frame.columns = columns
    return frame


def _sparse(value: Message) -> sp.csc_array:
    parts = tuple(_array(value[name]) for name in ("data", "indices", "indptr"))
    matrix = sp.csc_array(parts, shape=_shape(value["shape"]))
    matrix.check_format(full_check=True)
    return matrix


def _pairs(value: Json) -> Iterator[tuple[Json, Json]]:
    for pair in _items(value):
        key, item = _items(pair)
        yield key, item


def _mapping(value: Message) -> dict[object, object]:
    pairs = list(_pairs(value["items"]))
    found: dict[object, object] = {key: decode(item) for key, item in pairs}
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _labelled(value: Message) -> "xr.DataArray":
    import xarray as xr

    dims = [str(name) for name in _items(value["dims"])]
    coords = {name: list(_index(items)) for name, items in _parts(value["coords"]).items() if name in dims}
    return xr.DataArray(_column(value["values"]), dims=dims, coords=coords)


def _dataset(value: Message) -> "xr.Dataset":
    import xarray as xr

    return xr.Dataset({str(name): _column(item) for name, item in _pairs(value["variables"])})


def _tree(value: Message) -> "xr.DataTree":
    import xarray as xr

    groups = {f"/{name}": cast("xr.Dataset", _column(group)) for name, group in _parts(value["groups"]).items()}
    return xr.DataTree.from_dict(groups)


_READERS: dict[str, Callable[[Message], object]] = {
    "array": _array,
    "objects": _objects,
    "factor": _factor,
    "series": lambda value: _series(value["values"], _index(value["index"])),
    "frame": _frame,
    "sparse": _sparse,
    "map": _mapping,
    "list": lambda value: [decode(item) for item in _items(value["items"])],
    "call": lambda value: Call(_whole(value["handle"])),
    "labelled": _labelled,
    "dataset": _dataset,
    "tree": _tree,
    "unreadable": lambda value: Unreadable(str(value["kind"])),
}
