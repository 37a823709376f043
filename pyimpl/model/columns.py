"""The kinds of columns that a model frame has, as R has them: numbers, logicals and factors (strings among them).

Values are numpy arrays and factor codes, never per-row objects; missing is NaN for numbers and logicals and code -1 for
factors.
"""

import difflib
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pyimpl.errors import DataError, PyimplWarning
from pyimpl.model.rtext import format_integer, format_number, unique_numbers

__all__ = ["INT_MAX", "Column", "Data", "Factor", "Logical", "Numeric", "as_factor", "close_matches", "read_column"]


#: Largest integer of R.
INT_MAX = 2147483647.0


@dataclass(frozen=True, slots=True)
class Numeric:
    """Numbers.

    Attributes
    ----------
    array : ndarray of float64, shape (N,) or (N, k)
        A matrix is what ``poly`` and ``scale`` give.
    kind : str
        ``"double"``, ``"integer"``, ``"date"`` (days since 1970-01-01) or ``"datetime"`` (seconds since then, UTC):
        how the values turn into labels (``as.character``).
    names : tuple of str or None
        Column names of a matrix, or None for R's 1, 2, ...
    basis : tuple
        What R's ``makepredictcall`` remembers of ``poly`` and ``scale``; empty for other columns.
    """

    array: np.ndarray
    kind: str = "double"
    names: tuple[str, ...] | None = None
    basis: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return int(self.array.shape[0])

    def take(self, rows: np.ndarray) -> "Numeric":
        """Take the rows at these positions (or where this mask is true)."""
        return replace(self, array=self.array[rows])

    def missing(self) -> np.ndarray:
        """Mask of missing rows, shape (N,)."""
        gaps: np.ndarray = np.isnan(self.array)
        return gaps.any(axis=1) if gaps.ndim == 2 else gaps


@dataclass(frozen=True, slots=True)
class Logical:
    """Truth values: ``array`` is float64 of shape (N,) with 0, 1 and NaN (R's NA)."""

    array: np.ndarray

    def __len__(self) -> int:
        return int(self.array.shape[0])

    def take(self, rows: np.ndarray) -> "Logical":
        """Take the rows at these positions (or where this mask is true)."""
        return Logical(self.array[rows])

    def missing(self) -> np.ndarray:
        """Mask of missing rows, shape (N,)."""
        return np.isnan(self.array)


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor, an ordered factor, or strings.

    Attributes
    ----------
    codes : ndarray of intp, shape (N,)
        0-based position in ``levels``; -1 is missing.
    levels : tuple of str
        Strings have their distinct values, sorted by code point (R's order in the C locale).
    ordered : bool
    text : bool
        Whether R has a character vector here: unused values are never levels.
    """

    codes: np.ndarray
    levels: tuple[str, ...]
    ordered: bool = False
    text: bool = False

    def __len__(self) -> int:
        return int(self.codes.shape[0])

    def take(self, rows: np.ndarray) -> "Factor":
        """Take the rows at these positions (or where this mask is true); unused levels stay."""
        return replace(self, codes=self.codes[rows])

    def missing(self) -> np.ndarray:
        """Mask of missing rows, shape (N,)."""
        return self.codes < 0

    def drop_unused(self) -> "Factor":
        """Without the levels that no row has (``droplevels``); the order of the others stays."""
        used = np.bincount(self.codes + 1, minlength=len(self.levels) + 1)[1:] > 0
        if used.all():
            return self
        position = np.cumsum(used) - 1
        codes = np.where(self.codes >= 0, position[self.codes], -1)
        return replace(
            self, codes=codes, levels=tuple(level for level, use in zip(self.levels, used, strict=True) if use)
        )


Column = Numeric | Logical | Factor


class Data:
    """The data as named columns: the one place that knows the kind of frame.

    Parameters
    ----------
    frame : pandas.DataFrame

    Raises
    ------
    DataError
        Not a data frame, no rows, names that are not strings or occur twice (on use).
    """

    def __init__(self, frame: pd.DataFrame):
        if not isinstance(frame, pd.DataFrame):
            raise DataError(f"data must be a pandas DataFrame, not {type(frame).__name__}.")
        if isinstance(frame.columns, pd.MultiIndex):
            raise DataError("The data's columns are a MultiIndex. Flatten them to plain names first.")
        self._frame = frame
        self.index: pd.Index = frame.index
        self.rows: int = frame.shape[0]
        self._cache: dict[str, Column] = {}

    def names(self) -> list[str]:
        """Every column name, in order."""
        return [str(name) for name in self._frame.columns]

    def __contains__(self, name: str) -> bool:
        return name in self._frame.columns or name in self.names()

    def column(self, name: str, used_in: str = "the formula") -> Column:
        """Read the column of this name as R would have it.

        Raises
        ------
        DataError
            No such column (close matches are named), two of them, or values that no model can use.
        """
        found = self._cache.get(name)
        if found is None:
            if name not in self._frame.columns:
                known = self.names()
                if name not in known:
                    raise DataError(missing_column(name, used_in, known))
                # A column whose name is not a string, e.g. the number 1, is `1` in a formula.
                return self._cache.setdefault(name, read_column(name, self._frame.iloc[:, known.index(name)]))
            if not self._frame.columns.is_unique and (count := int((self._frame.columns == name).sum())) > 1:
                raise DataError(f"The data have {count} columns named {name!r}. Rename all but one.")
            found = read_column(name, self._frame[name])
            self._cache[name] = found
        return found


def missing_column(name: str, used_in: str, names: Iterable[str]) -> str:
    """Write the text of the error for a column that does not exist."""
    known = list(names)
    near = close_matches(name, known)
    if near:
        fix = f"Did you mean {' or '.join(repr(match) for match in near)}?"
    else:
        shown = ", ".join(repr(column) for column in known[:12]) + (", ..." if len(known) > 12 else "")
        fix = f"The columns are: {shown}."
    return f"There is no column {name!r} in the data (used in {used_in}). {fix}"


def close_matches(name: str, known: Iterable[str]) -> list[str]:
    """Names like this one, best first; a difference of case alone counts as close."""
    names = list(known)
    same = [other for other in names if other.lower() == name.lower()]
    return list(dict.fromkeys(same + difflib.get_close_matches(name, names, n=3, cutoff=0.6)))


def _text(name: str, values: Any) -> Factor:
    codes, uniques = pd.factorize(values, use_na_sentinel=True)
    labels = [str(value) for value in uniques]
    # Python compares strings by code point.
    order = sorted(range(len(labels)), key=labels.__getitem__)
    rank = np.empty(len(labels), dtype=np.intp)
    rank[order] = np.arange(len(labels))
    codes = codes.astype(np.intp, copy=False)
    if len(labels):
        codes = np.where(codes >= 0, rank[codes], -1)
    return Factor(codes, tuple(labels[i] for i in order), text=True)


def _category_labels(name: str, categories: pd.Index) -> tuple[str, ...]:
    labels = _labels_of(categories)
    if len(set(labels)) != len(labels):
        raise DataError(f"Column {name!r} has categories with the same text, e.g. 1 and '1'. Rename one of them.")
    return tuple(labels)


def _labels_of(values: pd.Index) -> list[str]:
    if values.dtype.kind == "f":
        return [format_number(value) for value in values]
    if values.dtype.kind == "b":
        return ["TRUE" if value else "FALSE" for value in values]
    if values.dtype.kind == "M":
        return _datetime_labels(values.to_numpy().astype("datetime64[ns]").astype(np.int64) / 1e9)
    # at once: an Arrow-backed index makes a scalar of its own for every element it is asked for
    return [_label_of(value) for value in values.to_numpy(dtype=object)]


def _label_of(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float | np.floating):
        return format_number(float(value))
    return str(value)


def read_column(name: str, series: pd.Series) -> Column:
    """Turn a pandas column into what R would make of it.

    Categoricals are factors (their categories' order kept), strings are character vectors, booleans are logicals,
    integers and floats numbers, dates numbers of days. Other columns are refused.

    Raises
    ------
    DataError
        Complex numbers, time differences, periods, intervals, objects of mixed kinds.
    """
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        kind = dtype.kind
        if kind == "f":
            return Numeric(series.to_numpy(dtype=np.float64))
        if kind in "iu":
            return _integers(series.to_numpy(dtype=np.float64))
        if kind == "b":
            return Logical(series.to_numpy(dtype=np.float64))
        if kind == "M":
            return _datetimes(series.to_numpy())
        if kind == "O":
            return _objects(name, series)
    elif isinstance(dtype, pd.CategoricalDtype):
        categories = series.array
        codes = categories.codes.astype(np.intp)
        return Factor(codes, _category_labels(name, dtype.categories), ordered=bool(dtype.ordered))
    elif isinstance(dtype, pd.StringDtype):
        return _text(name, series.array)
    elif isinstance(dtype, pd.DatetimeTZDtype):
        return _datetimes(series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
    elif isinstance(dtype, pd.BooleanDtype):
        return Logical(series.to_numpy(dtype=np.float64, na_value=np.nan))
    elif getattr(dtype, "kind", "") in ("i", "u", "f") and pd.api.types.is_numeric_dtype(dtype):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return Numeric(values) if dtype.kind == "f" else _integers(values)
    elif isinstance(dtype, pd.ArrowDtype):
        return _objects(name, series.astype(object).where(series.notna(), None))
    raise DataError(
        f"Column {name!r} has dtype {dtype}, which no model can use. "
        "Turn it into numbers, strings, booleans or a categorical first."
    )


def _integers(values: np.ndarray) -> Numeric:
    """R's integers have 32 bits; a column with larger ones is double there."""
    fits = len(values) == 0 or float(np.nanmax(np.abs(values), initial=0.0)) <= INT_MAX
    return Numeric(values, kind="integer" if fits else "double")


def _datetimes(values: np.ndarray) -> Numeric:
    seconds = values.astype("datetime64[ns]").astype(np.int64) / 1e9
    return Numeric(np.where(np.isnat(values), np.nan, seconds), kind="datetime")


def _objects(name: str, series: pd.Series) -> Column:
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind in ("string", "empty"):
        return _text(name, series.array)
    if kind == "boolean":
        return Logical(series.astype("boolean").to_numpy(dtype=np.float64, na_value=np.nan))
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        values = pd.to_numeric(series.where(series.notna(), np.nan)).to_numpy(dtype=np.float64, na_value=np.nan)
        return _integers(values) if kind == "integer" else Numeric(values)
    if kind == "date":
        days = pd.to_datetime(series).to_numpy().astype("datetime64[D]")
        return Numeric(np.where(np.isnat(days), np.nan, days.astype(np.int64).astype(np.float64)), kind="date")
    if kind in ("datetime", "datetime64"):
        return _datetimes(pd.to_datetime(series).to_numpy())
    types = sorted({type(value).__name__ for value in series[series.notna()]})
    raise DataError(
        f"Column {name!r} holds values of these Python types: {', '.join(types[:5])}. "
        "Make it one kind: numbers, strings, booleans, dates or a categorical."
    )


def _datetime_labels(seconds: np.ndarray) -> list[str]:
    stamps = np.array(np.round(seconds * 1e6), dtype=np.int64).astype("datetime64[us]")
    days = stamps.astype("datetime64[D]")
    if (stamps == days).all():
        return [str(day) for day in days]
    return [str(stamp).replace("T", " ") for stamp in stamps.astype("datetime64[s]")]


_LABELS: dict[str, Callable[[np.ndarray], list[str]]] = {
    "double": lambda values: [format_number(value) for value in values.tolist()],
    "integer": lambda values: [format_integer(value) for value in values.tolist()],
    "date": lambda values: [str(np.datetime64(int(day), "D")) for day in values],
    "datetime": _datetime_labels,
}


def as_factor(column: Column) -> Factor:
    """R's ``factor(x)``: unused levels dropped, numbers sorted numerically and labelled by ``as.character``.

    Raises
    ------
    DataError
        A matrix cannot be a factor.
    """
    if isinstance(column, Factor):
        return replace(column.drop_unused(), text=False)
    if isinstance(column, Logical):
        codes = np.where(np.isnan(column.array), -1, column.array).astype(np.intp)
        return Factor(codes, ("FALSE", "TRUE")).drop_unused()
    values = column.array
    if values.ndim == 2:
        if values.shape[1] != 1:
            raise DataError("A matrix (poly(), scale() of several columns) cannot be a factor.")
        values = values[:, 0]
    codes, uniques = pd.factorize(values, sort=True, use_na_sentinel=True)
    labels = _LABELS[column.kind](uniques)
    codes = codes.astype(np.intp, copy=False)
    # Numbers that agree to 15 digits have one label and so are one level, as in R.
    distinct, where = unique_numbers(labels)
    if len(distinct) < len(labels):
        warnings.warn(
            f"{len(labels)} different numbers make {len(distinct)} levels, because R labels numbers by 15 significant "
            "digits. If they are identifiers, make them strings.",
            PyimplWarning,
            stacklevel=2,
        )
        codes = np.where(codes >= 0, where[codes], -1)
    return Factor(codes, tuple(distinct))
