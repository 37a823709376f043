"""What a fit hands over, read once, checked against the contract, and copied into plain numbers before it is compared.

A candidate is a stranger: it may return complex numbers whose imaginary part a conversion would drop, counts of 180.9
rows, labels that say they equal everything, objects that answer differently each time. So the judge compares nothing
but what :class:`CheckedFit` gives it: every part is asked for once, is real numbers of the right shape under plain
labels, or is *malformed*, which is another verdict than missing or different. What cannot be read is a
:class:`MalformedError`; complex numbers, truth values and texts are no numbers.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import numpy as np
import pandas as pd

from pyimpl.linalg.memory import memory
from r_scripts.variances import Block, ConditionalVariances
from validation.errors import error_in_words
from validation.tolerances import Match

#: So often is an array copied while it is compared.
_COPIES = 8
#: No table has more entries (rows, columns) than the first, and so many more for each row of the data.
_LEAST_ENTRIES, _ENTRIES_A_ROW = 1000, 10
#: No name or level is longer; to print one of millions of characters takes minutes.
_LONGEST_LABEL = 100_000


_Read = TypeVar("_Read")


class MalformedError(ValueError):
    """A value is not what the contract asks for: the text says what it is, what was expected, and where."""


# ---------------------------------------------------------------------------------------------------- one value


def number(value: object, what: str, finite: bool = False) -> float:
    """A real number as a float; None and ``pandas.NA`` are NaN."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = filled(value)[()]
    if value is None or value is pd.NA:
        found = math.nan
    elif isinstance(value, bool | np.bool_):
        raise MalformedError(f"{what} is the truth value {bool(value)}; expected a number")
    elif isinstance(value, np.integer | np.floating):
        found = float(value)
    elif isinstance(value, int):
        try:
            found = float(int.__index__(value))
        except OverflowError:
            raise MalformedError(f"{what} is a whole number of more than 300 digits; expected a number") from None
    elif isinstance(value, float):
        found = float.__float__(value)  # a subclass may convert itself into another number
    elif isinstance(value, complex | np.complexfloating):
        raise MalformedError(f"{what} is the complex number {complex(value)}; expected a real number")
    else:
        raise MalformedError(f"{what} is {kind_of(value)}; expected a number")
    if finite and not math.isfinite(found):
        raise MalformedError(f"{what} is {_plain(found)}; expected a finite number")
    return found


def whole(value: object, what: str, least: float = 0.0) -> int:
    """A count."""
    found = number(value, what, finite=True)
    if found != math.floor(found):
        raise MalformedError(f"{what} is {_plain(found)}; expected a whole number")
    if found < least:
        raise MalformedError(f"{what} is {_plain(found)}; expected at least {least:g}")
    return int(found)


def flag(value: object, what: str) -> bool:
    """A truth value; nothing that only counts as one."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise MalformedError(f"{what} is {kind_of(value)}; expected True or False")


def label(value: object) -> str:
    """A label as plain text: of a subclass of ``str``, which may have its own idea of equality, the letters alone."""
    text = value if isinstance(value, str) else str(value)
    return str.__str__(text)


# ---------------------------------------------------------------------------------------------------- many values


def filled(array: np.ndarray) -> np.ndarray:
    """An array whose masked values are missing: a plain conversion would show what lies under the mask."""
    if not isinstance(array, np.ma.MaskedArray):
        return array
    plain, masked = np.ma.getdata(array), np.ma.getmaskarray(array)
    if not masked.any():
        return plain
    return np.where(masked, math.nan, plain if plain.dtype.kind in "iufc" else plain.astype(object))


def refuse_beyond_memory(size: int, shape: tuple[int, ...], what: str) -> None:
    """Refuse what holds more numbers than there is memory for: a view, or a sparse matrix's columns, may."""
    if 8 * size > memory() / _COPIES:
        raise MalformedError(f"{what} has the shape {shape}; that is more than memory could hold")


def most_entries(rows: int) -> int:
    """No table of a fit to so many rows has more entries (rows, columns): to name each one takes minutes."""
    return _LEAST_ENTRIES + _ENTRIES_A_ROW * rows


def pairs_of(value: Mapping[object, object], what: str) -> list[tuple[object, object]]:
    """The entries of a mapping, which may be a stranger's: as many as it says that it has."""
    count = len(value)
    pairs = list(itertools.islice(value.items(), count + 1))
    if len(pairs) != count:
        raise MalformedError(f"{what} is {kind_of(value)} with other entries than the {count} that it says it has")
    return pairs


def refuse_beyond_rows(value: object, most: int, what: str) -> None:
    """Refuse a table that is longer than any of a model of these data: to name each number in it would take minutes.

    That is an array, a table, a list, or a mapping to such, as a fit gave it; ``most`` is how many rows or columns it
    may have.
    """
    if isinstance(value, ConditionalVariances):  # as xarray's only when asked for
        value = {group: block.variances for group, block in value.blocks.items()}
    blocks = [*itertools.islice(value.values(), most)] if isinstance(value, Mapping) else []
    for block in (value, *blocks):
        sizes = getattr(block, "shape", None)
        if not isinstance(sizes, tuple):
            sizes = (len(block),) if isinstance(block, list | tuple | Mapping) else ()
        if any(isinstance(size, int) and size > most for size in sizes):
            raise MalformedError(f"{what} has {max(sizes)} entries; a model of these data has {most} at most")


def numbers(value: object, what: str, ndim: int | None = 1, finite: bool = False) -> np.ndarray:
    """Real numbers as a new float64 array, of any dimensions where ``ndim`` is None; ``what`` names them in errors."""
    if isinstance(value, str | bytes | Mapping | set) or not (hasattr(value, "__len__") or hasattr(value, "__array__")):
        raise MalformedError(f"{what} is {kind_of(value)}; expected an array of numbers")
    try:
        found = filled(value) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    except Exception as error:
        raise MalformedError(f"{what} cannot be read as an array ({error_in_words(error)})") from None
    refuse_beyond_memory(found.size, found.shape, what)
    if found.dtype.kind in "iuf":
        array = np.array(found, dtype=np.float64)
    elif found.dtype.kind == "O":
        flat = [number(item, f"a value of {what}") for item in found.ravel().tolist()]
        array = np.array(flat, dtype=np.float64).reshape(found.shape)
    else:
        words = {"c": "complex numbers", "b": "truth values", "U": "text", "S": "bytes", "M": "dates", "m": "times"}
        raise MalformedError(f"{what} holds {words.get(found.dtype.kind, str(found.dtype))}; expected real numbers")
    if ndim is not None and array.ndim != ndim:
        raise MalformedError(f"{what} has the shape {array.shape}; expected {ndim} dimension{'s' * (ndim > 1)}")
    if finite and not np.isfinite(array).all():
        bad = array[~np.isfinite(array)]
        raise MalformedError(f"{what} holds {_plain(bad.flat[0])} ({bad.size} of {array.size} are not finite)")
    return array


def labels_of(index: Iterable[object], what: str, unique: bool) -> list[str]:
    """Labels as plain text, no one of them twice where each may stand once."""
    found = [label(item) for item in index]
    longest = max(map(len, found), default=0)
    if longest > _LONGEST_LABEL:
        raise MalformedError(f"{what} has a label of {longest} characters; expected {_LONGEST_LABEL} at most")
    if unique and len(set(found)) < len(found):
        twice = min(name for name, count in Counter(found).items() if count > 1)
        raise MalformedError(f"{what} has the label {twice!r} more than once")
    return found


def labelled(value: object, what: str, finite: bool = False, unique: bool = True) -> pd.Series:
    """A Series (or a mapping from label to number) as plain numbers under plain labels."""
    if isinstance(value, pd.Series):
        index, values = list(value.index), numbers(value.array, what, finite=finite)
    elif isinstance(value, Mapping):
        pairs = pairs_of(value, what)
        index = [key for key, _ in pairs]
        values = np.array([number(item, f"{what} of {label(key)!r}", finite) for key, item in pairs], dtype=np.float64)
    else:
        raise MalformedError(
            f"{what} is {kind_of(value)}; expected a Series or a mapping with R's names as keys, or labels as index"
        )
    return pd.Series(values, index=pd.Index(labels_of(index, what, unique), dtype=object), dtype=np.float64)


def labelled_columns(
    value: object, what: str, finite: bool = False, unique: bool = True, unique_columns: bool = True
) -> pd.DataFrame:
    """A data frame as plain numbers under plain labels."""
    if not isinstance(value, pd.DataFrame):
        raise MalformedError(f"{what} is {kind_of(value)}; expected a DataFrame")
    rows, columns = labels_of(value.index, what, unique), labels_of(value.columns, f"{what}'s columns", unique_columns)
    values = np.empty((len(rows), len(columns)))
    for j, name in enumerate(columns):
        values[:, j] = numbers(value.iloc[:, j].array, f"column {name!r} of {what}", finite=finite)
    return pd.DataFrame(values, index=pd.Index(rows, dtype=object), columns=pd.Index(columns, dtype=object))


def by_group(value: object, what: str, read: Callable[[object, str], _Read]) -> dict[str, _Read]:
    """A mapping from grouping factor, each entry read by a function that is told what it is."""
    if not isinstance(value, Mapping):
        raise MalformedError(f"{what} is {kind_of(value)}; expected a mapping from grouping factor")
    pairs = [(label(group), block) for group, block in pairs_of(value, what)]
    labels_of([group for group, _ in pairs], what, unique=True)
    return {group: read(block, f"{what} of {group!r}") for group, block in pairs}


def kind_of(value: object) -> str:
    """What a value is, without asking it: its type, and its text where that is a plain one."""
    name = type(value).__name__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    if isinstance(value, str | bytes) and type(value) in (str, bytes):
        return f"the text {value[:40]!r}"
    return f"{article} {name}"


def _plain(value: float) -> str:
    return "missing (NaN)" if math.isnan(value) else f"{value:g}"


def covariance_of(value: object, what: str, strict: bool = True) -> pd.DataFrame:
    """A covariance matrix: square and, of a candidate, symmetric."""
    found = labelled_columns(value, what)
    if sorted(found.index) != sorted(found.columns):
        raise MalformedError(f"{what} has other labels in its rows than in its columns")
    values = found.loc[:, list(found.index)].to_numpy()
    gap = np.abs(values - values.T)
    size = np.sqrt(np.abs(np.outer(np.diag(values), np.diag(values))))
    if strict and bool((gap > Match.SYMMETRIC * size + Match.ZERO).any()):
        raise MalformedError(f"{what} is not symmetric; expected a covariance matrix")
    return found


def components_of(value: object, what: str, unique: bool = False, figures: tuple[str, ...] = ("vcov",)) -> pd.DataFrame:
    """``as.data.frame(VarCorr(m))``: names of rows as plain text or None, and figures (``vcov``, ``sdcor``)."""
    if not isinstance(value, pd.DataFrame):
        raise MalformedError(f"{what} is {kind_of(value)}; expected a DataFrame as R's as.data.frame(VarCorr(m))")
    names = ("grp", "var1", "var2")
    lacking = [name for name in (*names, *figures) if name not in value.columns]
    if lacking:
        raise MalformedError(f"{what} has no column {', '.join(map(repr, lacking))}")
    if not value.columns.is_unique:
        raise MalformedError(f"{what} has a column more than once")
    read: dict[str, pd.Series | np.ndarray] = {
        column: pd.Series(
            [None if item is None or item is pd.NA or item != item else label(item) for item in value[column]],
            dtype=object,
        )
        for column in names
    }
    labels_of([str(key) for key in zip(*read.values(), strict=True)], what, unique)
    return pd.DataFrame(read | {column: numbers(value[column].array, f"{what}'s {column}") for column in figures})


def variances_of(found: object, what: str = "ranef_condVar()") -> ConditionalVariances:
    """Read what ``ranef_condVar()`` gave; xarray is not imported where the numbers come without it."""
    blocks = found.blocks if isinstance(found, ConditionalVariances) else found
    return ConditionalVariances(by_group(blocks, what, _variances))


def _variances(block: object, what: str) -> Block:
    if not isinstance(block, Block):
        import xarray as xr

        if not isinstance(block, xr.DataArray):
            raise MalformedError(f"{what} is {kind_of(block)}; expected a DataArray (level, effect, effect2)")
        absent = {"level", "effect"} - {str(name) for name in block.coords}
        if absent:
            raise MalformedError(f"{what} has no labels of {', '.join(sorted(absent))}")
        block = Block(block.to_numpy(), *(block.coords[name].to_numpy().tolist() for name in ("level", "effect")))
    values = numbers(block.variances, what, ndim=3)
    levels, effects = labels_of(block.levels, what, unique=True), labels_of(block.effects, what, unique=False)
    if values.shape != (len(levels), len(effects), len(effects)):
        raise MalformedError(f"{what} has the shape {values.shape}; expected (level, effect, effect)")
    return Block(values, levels, effects)
