"""The data of a model as named columns, whatever kind of frame they come in."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pyimpl.errors import DataError
from pyimpl.extras import has, need
from pyimpl.frame.column_types import (
    INT_MAX,
    Column,
    Factor,
    FactorContrasts,
    Logical,
    Numeric,
    as_factor,
    category_labels,
    integers,
    refuse_half_characters,
    refuse_merged,
)
from pyimpl.frame.contrasts import numbered
from pyimpl.text.values import sorted_text

if TYPE_CHECKING:
    from pandas.api.extensions import ExtensionArray

__all__ = [
    "INT_MAX",
    "Column",
    "Data",
    "Factor",
    "Logical",
    "Numeric",
    "as_factor",
    "as_pandas",
    "close_matches",
    "column_values",
    "read_column",
]


_COPIED = 100_000  # rows up to which what is read is copied, which takes less time than a Series to keep

#: pandas' own way to the values of the i-th column, as they are stored. It is not public, and so may be absent; but to
#: make a Series takes twenty times as long.
_stored = getattr(pd.DataFrame, "_get_column_array", None)


def _copied_on_write() -> bool:
    """Whether what is done to a pandas frame later leaves a Series of it as it was: always since pandas 3."""
    return int(pd.__version__.split(".")[0]) >= 3 or pd.get_option("mode.copy_on_write") is True


class Data:
    """The data as named columns: the one place that knows the kind of frame.

    Parameters
    ----------
    frame : DataFrame of pandas or polars, pyarrow Table, or another that narwhals or Arrow's C stream reads

    Attributes
    ----------
    index : pandas.Index
        A pandas frame's own; 0, 1, ... for others.
    rows : int

    Raises
    ------
    DataError
        Not a data frame, or a lazy one; names that are not strings or occur twice (on use).
    """

    def __init__(self, frame: object):
        self._cache: dict[str, Column] = {}
        # Long columns that were read, as pandas gave them: by copy-on-write nothing done to the data later shows in
        # them. Short ones are copied.
        self._series: list[pd.Series] = []
        self._frame: pd.DataFrame | None = None
        self._foreign: Any = None
        if not isinstance(frame, pd.DataFrame):
            if not has("pyarrow"):
                _needs_pyarrow(frame)
            from pyimpl.frame.sources import open_frame

            frame = open_frame(frame)
        if isinstance(frame, pd.DataFrame):
            if isinstance(frame.columns, pd.MultiIndex):
                raise DataError("The data's columns are a MultiIndex. Flatten them to plain names first.")
            self._frame = frame
            self.index: pd.Index = frame.index
            self.rows: int = len(frame.index)
        else:
            self._foreign = frame
            self.index = pd.RangeIndex(frame.rows)
            self.rows = frame.rows

    def names(self) -> list[str]:
        """Every column name, in order."""
        return self._foreign.names if self._frame is None else [str(name) for name in self._frame.columns]

    def __contains__(self, name: str) -> bool:
        return (self._frame is not None and name in self._frame.columns) or name in self.names()

    def column(self, name: str, used_in: str = "the formula") -> Column:
        """Read the column of this name as R would have it.

        Raises
        ------
        DataError
            No such column (close matches are named), two of them, or values that no model can use.
        """
        found = self._cache.get(name)
        if found is None:
            found = self._cache[name] = self._read(name, used_in)
        return found

    def _read(self, name: str, used_in: str) -> Column:
        frame = self._frame
        if frame is not None and name in frame.columns:
            position = frame.columns.get_loc(name)
            if isinstance(position, int):
                column = self._kept(name, frame, position)
                return column if not frame.attrs else _with_contrasts(name, column, frame.attrs.get("contrasts"))
        # A column whose name is not a string, e.g. the number 1, is `1` in a formula.
        known = self.names()
        same = known.count(name)
        if same == 0:
            raise DataError(missing_column(name, used_in, known))
        if same > 1:
            raise DataError(f"The data have {same} columns named {name!r}. Rename all but one.")
        if frame is None:
            read: Column = self._foreign.read(name, known.index(name))
            return read
        return self._kept(name, frame, known.index(name))

    def _kept(self, name: str, frame: pd.DataFrame, position: int) -> Column:
        if _stored is not None and self.rows <= _COPIED:
            return read_column(name, _stored(frame, position), copy=True)
        series = frame.iloc[:, position]
        if not _copied_on_write():
            return read_column(name, series, copy=True)
        self._series.append(series)
        return read_column(name, series)

    def objects(self, name: str) -> list[object]:
        """Give the values of a column as Python objects, whatever they are."""
        if self._frame is not None:
            values: list[object] = self._frame[name].tolist()
        else:
            values = self._foreign.objects(self._foreign.names.index(name))
        return values


def _with_contrasts(name: str, column: Column, given: object) -> Column:
    """The factor with the contrasts that ``data.attrs["contrasts"]`` gives it: R's ``contrasts(data$f) <- ...``."""
    if not isinstance(given, Mapping) or name not in given:
        return column
    if not isinstance(column, Factor):
        raise DataError(f"data.attrs['contrasts'] has contrasts for {name!r}, which is not a factor; leave them out.")
    wanted = given[name]
    if isinstance(wanted, str):
        return replace(column, contrasts=FactorContrasts(wanted))
    matrix = pd.DataFrame(wanted)  # a mapping's keys are the columns' names
    named = isinstance(wanted, Mapping | pd.DataFrame)
    suffixes = tuple(str(one) for one in matrix.columns) if named else numbered(matrix.shape[1])
    if matrix.shape[0] != len(column.levels):
        raise DataError(
            f"data.attrs['contrasts'] has {matrix.shape[0]} rows for {name!r}; expected one for each of its "
            f"{len(column.levels)} levels ({', '.join(column.levels[:8])})."
        )
    rows = tuple(tuple(float(value) for value in row) for row in matrix.to_numpy())
    return replace(column, contrasts=FactorContrasts("", rows, suffixes))


def _needs_pyarrow(frame: Any) -> None:
    """Frames other than pandas' are read through Arrow; what is no frame at all is none with pyarrow either."""
    kind = type(frame).__name__
    if hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "columns"):
        need("files", f"a data frame of {type(frame).__module__.partition('.')[0]}", "pyarrow")
    raise DataError(f"data must be a data frame (pandas, polars, pyarrow, or another that narwhals reads), not {kind}.")


def missing_column(name: str, used_in: str, names: Iterable[str]) -> str:
    """Write the text of the error for a column that does not exist."""
    known = list(names)
    near = close_matches(name, known)
    if near:
        fix = f"Did you mean {' or '.join(repr(match) for match in near)}?"
    else:
        shown = ", ".join(repr(column) for column in known[:12])
        shown += f" and {len(known) - 12} more" if len(known) > 12 else ""
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
    refuse_half_characters(name, labels)
    levels, rank = sorted_text(labels)
    codes = codes.astype(np.intp, copy=False)
    if len(labels):
        codes = np.append(rank, -1)[codes]
    return Factor(codes, levels, text=True)


def read_column(name: str, values: "pd.Series | np.ndarray | ExtensionArray", *, copy: bool = False) -> Column:
    """Turn a pandas column into what R would make of it.

    Categoricals are factors (their categories' order kept), strings are character vectors, booleans are logicals,
    integers and floats numbers, dates numbers of days. Other columns are refused.

    Parameters
    ----------
    name : str
        For messages.
    values : pandas.Series, or an array of numpy or pandas
    copy : bool
        Whether nothing done to the values later may show in the column; else it may be a view of them.

    Raises
    ------
    DataError
        Complex numbers, time differences, periods, intervals, objects of mixed kinds.
    """
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        kind = dtype.kind
        if kind == "f":
            return Numeric(np.array(values, dtype=np.float64, copy=copy or None))
        if kind in "iu":
            doubles = np.asarray(values).astype(np.float64)
            if dtype.itemsize == 8:
                refuse_merged(name, np.asarray(values), doubles)
            return integers(doubles)
        if kind == "b":
            return Logical(np.asarray(values).astype(np.float64))
        if kind == "M":
            return _datetimes(np.asarray(values))
        if kind == "O":
            return _objects(name, pd.Series(values, dtype=object))
    elif isinstance(dtype, pd.CategoricalDtype):
        categorical: Any = values.array if isinstance(values, pd.Series) else values
        codes = categorical.codes
        labels = category_labels(name, dtype.categories)
        return Factor(codes.astype(np.intp) if copy else codes, labels, ordered=bool(dtype.ordered))
    elif isinstance(dtype, pd.StringDtype):
        return _text(name, values)
    elif isinstance(dtype, pd.DatetimeTZDtype):
        return _datetimes(pd.Series(values).dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
    elif isinstance(dtype, pd.BooleanDtype):
        nullable: Any = values
        return Logical(nullable.to_numpy(dtype=np.float64, na_value=np.nan, copy=copy))
    elif getattr(dtype, "kind", "") in ("i", "u", "f") and pd.api.types.is_numeric_dtype(dtype):
        nullable = values
        numbers = nullable.to_numpy(dtype=np.float64, na_value=np.nan, copy=copy)
        if dtype.kind == "f":
            return Numeric(numbers)
        refuse_merged(name, nullable, numbers)
        return integers(numbers)
    elif isinstance(dtype, pd.ArrowDtype):
        need("files", f"column {name!r}, an Arrow column", "pyarrow")
        import pyarrow as pa

        from pyimpl.frame.sources import read_arrow

        return read_arrow(name, pa.array(values))
    raise DataError(
        f"Column {name!r} has dtype {dtype}, which no model can use. "
        "Turn it into numbers, strings, booleans or a categorical first."
    )


def _datetimes(values: np.ndarray) -> Numeric:
    # a double holds microseconds for the years that nanoseconds would overflow in
    seconds = values.astype("datetime64[us]").astype(np.int64) / 1e6
    return Numeric(np.where(np.isnat(values), np.nan, seconds), kind="datetime")


def _all_numbers(series: pd.Series) -> bool:
    """Whether they are floats, whole numbers and decimals, in any mixture."""
    kinds = (float, int, np.floating, np.integer, Decimal)
    return all(isinstance(value, kinds) and not isinstance(value, bool) for value in series[series.notna()])


def _objects(name: str, series: pd.Series) -> Column:
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind in ("string", "empty"):
        return _text(name, series.to_numpy())
    if kind == "boolean":
        return Logical(series.astype("boolean").to_numpy(dtype=np.float64, na_value=np.nan))
    if kind in ("integer", "floating", "mixed-integer-float", "decimal") or _all_numbers(series):
        values = pd.to_numeric(series.where(series.notna(), np.nan)).to_numpy(dtype=np.float64, na_value=np.nan)
        if kind == "integer":
            refuse_merged(name, series.tolist(), values)
        return integers(values) if kind == "integer" else Numeric(values)
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


def column_values(column: Column) -> pd.Categorical | pd.DatetimeIndex | np.ndarray:
    """Give a column as what pandas would hold: factors as categoricals, a matrix's first column alone."""
    if isinstance(column, Factor):
        return pd.Categorical.from_codes(
            column.codes, categories=pd.Index(column.levels, dtype=object), ordered=column.ordered, validate=False
        )
    if isinstance(column, Logical):
        return column.array if column.any_missing() else column.array.astype(bool)
    values = column.array if column.array.ndim == 1 else column.array[:, 0]
    if column.kind in ("date", "datetime"):
        micro = np.where(np.isnan(values), 0, np.round(values * (86400e6 if column.kind == "date" else 1e6)))
        stamps = micro.astype(np.int64).astype("datetime64[us]")
        stamps[np.isnan(values)] = np.datetime64("NaT", "us")
        return pd.DatetimeIndex(stamps)
    return values.astype(np.int64) if column.kind == "integer" and not column.any_missing() else values


def as_pandas(frame: object) -> pd.DataFrame:
    """Turn a frame of any kind into pandas, with the columns that a model would see; a pandas frame is returned itself.

    Strings and factors stay what they are (``str``, categorical), integers and booleans with gaps become ``Int64`` and
    ``boolean``. A column that no model can use is left as Python objects, to be refused by name where it is used.

    Raises
    ------
    DataError
        Not a data frame, or a lazy one; names that occur twice.
    """
    if isinstance(frame, pd.DataFrame):
        return frame
    data = Data(frame)
    if data._frame is not None:
        return data._frame
    names = data.names()
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise DataError(f"The data have several columns named {repeated[0]!r}. Rename all but one.")
    return pd.DataFrame({name: _pandas_column(data, name) for name in names}, index=data.index)


def _pandas_column(data: Data, name: str) -> Any:
    try:
        column = data.column(name)
    except DataError:
        return pd.Series(data.objects(name), dtype=object)
    if isinstance(column, Factor) and column.text:
        return pd.Series(
            np.array([*column.levels, None], dtype=object)[column.codes], dtype=pd.StringDtype(na_value=np.nan)
        )
    if isinstance(column, Logical) and column.any_missing():
        return pd.arrays.BooleanArray(column.array == 1, np.isnan(column.array))
    if isinstance(column, Numeric) and column.kind == "integer" and column.any_missing():
        return pd.arrays.IntegerArray(np.nan_to_num(column.array).astype(np.int64), np.isnan(column.array))
    if isinstance(column, Numeric) and column.kind == "date":
        return pd.Series(column_values(column)).dt.date
    return column_values(column)
