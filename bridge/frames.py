"""pandas data frames to R and back, column by column; nothing arrives changed in silence.

=====================================  =======================  =================================
pandas                                 R                        back in pandas
=====================================  =======================  =================================
float64, Float64 (missing → ``NA``)    numeric                  float64
int8 … uint64                          integer, or numeric      int64 / Int64; float64
                                       beyond 2³¹ − 1
Int64 with missing                     integer with ``NA``      Int64
bool, boolean                          logical                  bool; boolean with missing
str, string, object of strings         character                str
Categorical (also ordered)             factor, ordered factor   Categorical (categories str)
datetime64 (naive, or with zone)       POSIXct                  datetime64[us] (naive, or zone)
object of ``datetime.date``            Date                     object of ``datetime.date``
=====================================  =======================  =================================

The index never travels: R sees rows 1..n, and results get the index back by position. Refused, with the column's name
and the fix: duplicated column names, nested or mixed objects, complex, intervals, periods, time differences, integers
beyond 2⁵³, names and strings with a NUL character or Byzantine musical symbols (``r_scripts/grammar.py`` says why).
"""

import datetime as dt
import decimal
import operator
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from bridge.errors import DataError
from r_scripts.grammar import INERT_SYMBOLS

__all__ = ["TEXT", "column_names", "frame_to_r", "labels_to_index", "r_to_frame"]

_INT_MAX = 2**31 - 1
#: Text as pandas 3 has it ("str"): what is missing stays missing. To pandas 2 that name means Python's str, "None".
TEXT = pd.StringDtype(na_value=np.nan)

_NA_INT = -(2**31)
_EXACT = 2**53
#: They take the places of what R would parse in column names.
_SYMBOLS = frozenset(INERT_SYMBOLS)


def column_names(data: pd.DataFrame) -> list[str]:
    """Return the column names as R will see them.

    Parameters
    ----------
    data : pandas.DataFrame

    Raises
    ------
    DataError
        Not a data frame, or duplicated, empty or nested column names.
    """
    if not isinstance(data, pd.DataFrame):
        raise DataError(f"data is a pandas DataFrame, not a {type(data).__name__}")
    if isinstance(data.columns, pd.MultiIndex):
        raise DataError(
            "the columns are a MultiIndex; R has flat column names: data.columns = data.columns.map('_'.join)"
        )
    names = []
    for column in data.columns:
        if not isinstance(column, (str, int, np.integer)):
            raise DataError(f"column name {column!r} is a {type(column).__name__}; rename it to a string")
        names.append(_r_name(str(column)))
    duplicated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) != len(names) else []
    if duplicated:
        raise DataError(
            f"duplicated column names: {', '.join(map(repr, duplicated))}; rename them, R could not tell which is meant"
        )
    if "" in names:
        raise DataError("a column name is empty; rename it")
    return names


def _r_name(name: str) -> str:
    """The name, if R can hold it."""
    problem = None
    if "\0" in name:
        problem = "holds a NUL character, which R cannot hold"
    elif not name.isascii():
        if any("\ud800" <= c <= "\udfff" for c in name):
            problem = "is not valid Unicode"
        elif set(name) & _SYMBOLS:
            problem = "holds a symbol of Byzantine musical notation, which the bridge needs itself"
    if problem is not None:
        raise DataError(f"the column name {name!r} {problem}; rename it")
    return name


class SentFrame(TypedDict):
    """A data frame as plain data."""

    nrow: int
    names: list[str]
    columns: list[dict[str, object]]


def frame_to_r(data: pd.DataFrame, columns: Iterable[str] | None = None) -> SentFrame:
    """Describe a data frame as plain data for ``frame_in`` of ``r_scripts/frames.R``.

    Parameters
    ----------
    data : pandas.DataFrame
    columns : iterable of str, optional
        The columns to send (the others are not looked at); all by default.

    Returns
    -------
    dict
        ``nrow``, ``names`` and ``columns``.

    Raises
    ------
    DataError
        A column that has no counterpart in R.
    """
    names = column_names(data)
    wanted = names if columns is None else [name for name in names if name in set(columns)]
    sent = [column_to_r(data.iloc[:, names.index(name)], name) for name in wanted]
    return {"nrow": len(data), "names": list(wanted), "columns": sent}


def _refuse(name: str, series: pd.Series, found: str, fix: str) -> DataError:
    return DataError(f"column {name!r} (dtype {series.dtype}) {found}; {fix}")


def column_to_r(series: pd.Series, name: str) -> dict[str, object]:
    """Describe one column; see :func:`frame_to_r`."""
    dtype = series.dtype
    if isinstance(dtype, pd.ArrowDtype):
        series = _from_arrow(series)
        dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _categorical(series, name)
    if isinstance(dtype, pd.SparseDtype):
        return column_to_r(pd.Series(series.array.to_dense(), index=series.index), name)
    if pd.api.types.is_complex_dtype(dtype):
        raise _refuse(name, series, "is complex", "split it into real and imaginary columns")
    if pd.api.types.is_bool_dtype(dtype):
        missing = series.isna().to_numpy()
        values = np.where(missing, False, series.to_numpy(dtype=object)).astype(np.int32)
        values[missing] = _NA_INT
        return {"kind": "logical", "values": values}
    if pd.api.types.is_integer_dtype(dtype):
        return _integers(series, name)
    if pd.api.types.is_float_dtype(dtype):
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return {"kind": "double", "values": numbers}
    if isinstance(dtype, (pd.DatetimeTZDtype,)) or pd.api.types.is_datetime64_dtype(dtype):
        return _datetimes(series)
    if isinstance(dtype, pd.IntervalDtype):
        raise _refuse(name, series, "holds intervals", "use their midpoints, or .astype(str).astype('category')")
    if isinstance(dtype, pd.PeriodDtype):
        raise _refuse(name, series, "holds periods", "use .dt.to_timestamp()")
    if pd.api.types.is_timedelta64_dtype(dtype):
        raise _refuse(name, series, "holds time differences", "use .dt.total_seconds()")
    if pd.api.types.is_string_dtype(dtype) and not pd.api.types.is_object_dtype(dtype):
        return _strings(series, name)
    if pd.api.types.is_object_dtype(dtype):
        return _objects(series, name)
    raise _refuse(name, series, "has no counterpart in R", "convert it to numbers, strings or a category")


def _from_arrow(series: pd.Series) -> pd.Series:
    """The column as pandas itself has it, where Arrow's types are others: dates, times, categories, decimals."""
    import pyarrow as pa

    arrow = series.dtype.pyarrow_dtype  # type: ignore[union-attr]
    if pa.types.is_dictionary(arrow):
        return series.astype("category")
    if pa.types.is_timestamp(arrow):
        return series.astype("datetime64[us]" if arrow.tz is None else pd.DatetimeTZDtype("us", arrow.tz))
    if pa.types.is_date(arrow):
        return series.astype(object)
    if pa.types.is_decimal(arrow):
        return series.astype("float64[pyarrow]")
    return series


def _integers(series: pd.Series, name: str) -> dict[str, Any]:
    missing = series.isna().to_numpy()
    if missing.any():
        series = series.where(~missing, 0)
    values = series.to_numpy()
    if values.dtype == object:
        values = series.to_numpy(dtype=np.int64)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low >= -_INT_MAX and high <= _INT_MAX:
        integers = values.astype(np.int32)
        integers[missing] = _NA_INT
        return {"kind": "integer", "values": integers}
    doubles = values.astype(np.float64)
    if (low < -_EXACT or high > _EXACT) and any(map(operator.ne, doubles.tolist(), values.tolist())):
        raise _refuse(
            name, series, f"holds integers beyond 2^53 (from {low} to {high}), which R cannot hold exactly",
            "convert it to strings or a category if it identifies, or to float if it measures",
        )  # fmt: skip
    doubles[missing] = np.nan
    return {"kind": "double", "values": doubles}


def _check_text(strings: Sequence[Any], name: str, series: pd.Series) -> list[str]:
    texts = [str(item) for item in strings]
    for text in texts:
        if "\0" in text:
            raise _refuse(name, series, f"holds a NUL character in {text!r}", "remove it; R cannot hold it")
        if text.isascii():
            continue
        if set(text) & _SYMBOLS:
            raise _refuse(
                name, series, f"holds Byzantine musical notation in {text!r}, which the bridge needs itself",
                "use other symbols",
            )  # fmt: skip
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise _refuse(name, series, f"holds text that is not valid Unicode, {text!r}", "clean it") from None
    return texts


def _strings(series: pd.Series, name: str) -> dict[str, Any]:
    # Distinct strings and their positions: cheaper to send than every string.
    codes, unique = pd.factorize(series, use_na_sentinel=True)
    return {
        "kind": "character",
        "values": np.where(codes < 0, _NA_INT, codes + 1).astype(np.int32),
        "levels": _check_text(list(unique), name, series),
    }


def _categorical(series: pd.Series, name: str) -> dict[str, Any]:
    categories = series.cat.categories
    labels: Any
    kinds = {type(item) for item in categories}
    if kinds <= {str}:
        labels = _check_text(list(categories), name, series)
    elif all(issubclass(kind, (bool, np.bool_)) for kind in kinds):
        labels = ["TRUE" if item else "FALSE" for item in categories]
    elif all(issubclass(kind, (int, np.integer)) for kind in kinds):
        labels = [str(int(item)) for item in categories]
    elif all(issubclass(kind, (float, np.floating)) for kind in kinds):
        labels = np.asarray(categories, dtype=np.float64)  # R writes the numbers, with 15 digits
        if len({f"{label:.15g}" for label in labels}) != len(labels):
            raise _refuse(name, series, "has categories that R would write alike", "give them distinct strings")
    elif all(issubclass(kind, pd.Timestamp) for kind in kinds):
        labels = _time_labels(pd.DatetimeIndex(categories))
    elif all(issubclass(kind, (dt.date, pd.Interval)) for kind in kinds):
        labels = [str(item) for item in categories]
    else:
        described = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise _refuse(
            name, series, f"has categories of type {described}", "make them strings: .cat.rename_categories(str)"
        )
    if isinstance(labels, list) and len(set(labels)) != len(labels):
        raise _refuse(name, series, "has categories that R would write alike", "give them distinct strings")
    codes = series.cat.codes.to_numpy().astype(np.int32)
    return {
        "kind": "factor",
        "values": np.where(codes < 0, _NA_INT, codes + 1).astype(np.int32),
        "levels": labels,
        "ordered": bool(series.cat.ordered),
    }


def _time_labels(times: pd.DatetimeIndex) -> list[str]:
    """Write times of their own zone as R does: the time of day only where one has it."""
    local = times.tz_localize(None)
    return list(local.strftime("%Y-%m-%d" if (local == local.normalize()).all() else "%Y-%m-%d %H:%M:%S"))


def _datetimes(series: pd.Series) -> dict[str, Any]:
    zone = None if series.dt.tz is None else str(series.dt.tz)
    plain = series if zone is None else series.dt.tz_convert("UTC").dt.tz_localize(None)
    missing = plain.isna().to_numpy()
    micro = plain.to_numpy().astype("datetime64[us]").astype(np.int64)
    seconds = micro.astype(np.float64) / 1e6
    seconds[missing] = np.nan
    return {"kind": "datetime", "values": seconds, "zone": zone or ""}


def _objects(series: pd.Series, name: str) -> dict[str, Any]:
    missing = series.isna().to_numpy()
    present = [item for item, gone in zip(series, missing, strict=True) if not gone]
    kinds = {type(item) for item in present}
    if not kinds:
        # all missing: R's own name for that is a logical NA
        return {"kind": "logical", "values": np.full(len(series), _NA_INT, dtype=np.int32)}
    if all(issubclass(kind, str) for kind in kinds):
        return _strings(series, name)
    if all(issubclass(kind, (bool, np.bool_)) for kind in kinds):
        return column_to_r(series.astype("boolean"), name)
    if all(issubclass(kind, (int, np.integer)) and not issubclass(kind, bool) for kind in kinds):
        numbers = [0 if gone else int(item) for item, gone in zip(series, missing, strict=True)]
        if max(map(abs, numbers)) > 2**63 - 1:
            raise _refuse(name, series, "holds integers beyond 2^63", "convert it to strings or floats")
        return _integers(pd.Series(numbers, dtype="Int64", index=series.index).mask(missing), name)
    if all(issubclass(kind, (float, np.floating, int, np.integer, decimal.Decimal)) for kind in kinds) and not (
        kinds & {bool, np.bool_}
    ):
        return column_to_r(series.where(~missing, np.nan).astype(np.float64), name)
    if kinds == {dt.date}:
        days = np.array(
            [np.nan if gone else (item - dt.date(1970, 1, 1)).days for item, gone in zip(series, missing, strict=True)],
            dtype=np.float64,
        )
        return {"kind": "date", "values": days}
    described = ", ".join(sorted(kind.__name__ for kind in kinds))
    fix = (
        "make each column one type, e.g. .astype(str) or pd.to_numeric()"
        if len(kinds) > 1
        else "convert it to numbers, strings, dates or a category"
    )
    raise _refuse(name, series, f"holds objects of type {described}", fix)


def r_to_frame(described: dict[str, Any]) -> pd.DataFrame:
    """Build the data frame that ``frame_out`` of ``r_scripts/frames.R`` describes.

    Parameters
    ----------
    described : dict

    Returns
    -------
    pandas.DataFrame
        With R's row names as index where they are not 1..n.

    Raises
    ------
    DataError
        A column of a type that pandas has no counterpart for.
    """
    nrow = int(described["nrow"])
    row_names = described.get("row_names")
    index: pd.Index = pd.RangeIndex(nrow) if row_names is None else pd.Index(row_names, dtype=TEXT)
    columns = {
        name: _column_from_r(name, column, index)
        for name, column in zip(described["names"], described["columns"], strict=True)
    }
    return pd.DataFrame(columns, index=index)


def _column_from_r(name: str, column: dict[str, Any], index: pd.Index) -> pd.Series:
    kind = column["kind"]
    values = column["values"]
    if kind == "double":
        return pd.Series(np.asarray(values, dtype=np.float64), index=index)
    if kind in ("integer", "logical"):
        array = np.asarray(values, dtype=np.int64)
        missing = array == _NA_INT
        if kind == "integer":
            if not missing.any():
                return pd.Series(array, index=index)
            return pd.Series(pd.arrays.IntegerArray(np.where(missing, 0, array), missing), index=index)
        if not missing.any():
            return pd.Series(array.astype(bool), index=index)
        return pd.Series(pd.arrays.BooleanArray(np.where(missing, 0, array).astype(bool), missing), index=index)
    if kind == "character":
        levels = np.array([*column["levels"], None], dtype=object)
        codes = np.asarray(values, dtype=np.int64)
        return pd.Series(levels[np.where(codes == _NA_INT, len(levels), codes) - 1], index=index, dtype=TEXT)
    if kind == "factor":
        codes = np.asarray(values, dtype=np.int64)
        categorical = pd.Categorical.from_codes(
            np.where(codes == _NA_INT, 0, codes) - 1,
            categories=pd.Index(column["levels"], dtype=TEXT),
            ordered=bool(column["ordered"]),
        )
        return pd.Series(categorical, index=index)
    if kind == "date":
        days = np.asarray(values, dtype=np.float64)
        dates = [None if np.isnan(day) else dt.date(1970, 1, 1) + dt.timedelta(days=int(np.floor(day))) for day in days]
        return pd.Series(dates, index=index, dtype=object)
    if kind == "datetime":
        seconds = np.asarray(values, dtype=np.float64)
        missing = np.isnan(seconds)
        micro = np.rint(np.where(missing, 0, seconds) * 1e6).astype(np.int64).view("datetime64[us]")
        micro[missing] = np.datetime64("NaT", "us")
        series = pd.Series(micro, index=index)
        zone = column["zone"]
        return series.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else series
    raise DataError(f"column {name!r} is a {column.get('class', kind)} in R, for which pandas has no counterpart")


def labels_to_index(positions: np.ndarray, index: pd.Index) -> pd.Index:
    """Return the data's own labels of rows that R names by position (1-based).

    Parameters
    ----------
    positions : ndarray of int
    index : pandas.Index
    """
    return index.take(np.asarray(positions, dtype=np.intp) - 1)
