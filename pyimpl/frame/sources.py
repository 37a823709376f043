"""Columns of data frames other than pandas' (polars, pyarrow, whatever narwhals or Arrow's C stream reads).

A column of such a frame becomes an Arrow array and from there what R would have; nothing goes through Python objects
but the labels of categories. Null and NaN are both missing, as R's NA and NaN are to a model.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pyimpl.errors import DataError
from pyimpl.frame.column_types import Column, Factor, Logical, Numeric, category_labels, integers, refuse_merged
from pyimpl.text.values import sorted_text

if TYPE_CHECKING:
    import narwhals as nw

__all__ = ["ForeignFrame", "open_frame", "read_arrow"]

_SECONDS_OF_UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


class ForeignFrame:
    """A frame that is not pandas': its column names, and each column as an Arrow array.

    Attributes
    ----------
    names : list of str
    rows : int
    """

    def __init__(self, table: "pa.Table | nw.DataFrame", names: list[str], rows: int):
        self._table = table
        self.names = names
        self.rows = rows

    def _column(self, position: int) -> Any:
        return self._table.column(position) if isinstance(self._table, pa.Table) else self._table[self.names[position]]

    def objects(self, position: int) -> list[object]:
        """Give the values of a column as Python objects."""
        column = self._column(position)
        return list(column.to_pylist() if isinstance(column, pa.ChunkedArray) else column.to_list())

    def read(self, name: str, position: int) -> Column:
        """Read the column at this position.

        Raises
        ------
        DataError
            A kind of column that no model can use.
        """
        column = self._column(position)
        if isinstance(column, pa.ChunkedArray | pa.Array):
            return read_arrow(name, column)
        import narwhals as nw

        try:
            array = column.to_arrow()
        except Exception as error:
            raise DataError(_unusable(name, str(column.dtype))) from error
        read = read_arrow(name, array)
        if isinstance(read, Factor) and not read.text:
            if column.dtype == nw.Categorical and column.implementation.is_polars():
                # polars' Categorical has no order of its own: its categories come in order of appearance
                return sorted_levels(read)
            if column.dtype == nw.Enum and column.implementation.is_polars():
                # an Enum is a fixed list of categories, like R's factor(levels = ); Arrow calls every one ordered
                return Factor(read.codes, read.levels)
        return read


def open_frame(frame: object) -> pd.DataFrame | ForeignFrame:
    """Make a frame of any kind readable: a pandas frame as it is, another as a :class:`ForeignFrame`.

    Raises
    ------
    DataError
        A lazy frame; something that is no data frame.
    """
    import narwhals as nw

    kind = type(frame).__name__
    if isinstance(frame, pa.Table):
        return ForeignFrame(frame, list(frame.column_names), frame.num_rows)
    try:
        wrapped = nw.from_native(frame, pass_through=True)
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"The data's column names are not unique: {error}") from error
    if isinstance(wrapped, nw.LazyFrame):
        raise DataError(
            f"data is a lazy frame ({type(nw.to_native(wrapped)).__module__.split('.')[0]}), whose rows are not there "
            "yet. Collect it first: data.collect() in polars, .compute() in dask, .to_arrow_table() or .to_pandas() "
            "elsewhere."
        )
    if isinstance(wrapped, nw.DataFrame):
        native = nw.to_native(wrapped)
        if wrapped.implementation.is_pandas():
            return native
        if isinstance(native, pa.Table):
            return ForeignFrame(native, list(native.column_names), native.num_rows)
        return ForeignFrame(wrapped, list(wrapped.columns), len(wrapped))
    if hasattr(frame, "__arrow_c_stream__") or isinstance(frame, pa.RecordBatch):
        try:
            table = pa.table(frame) if not isinstance(frame, pa.RecordBatch) else pa.Table.from_batches([frame])
        except (TypeError, ValueError, pa.ArrowException) as error:
            raise DataError(f"data must be a data frame, not {kind}: {error}") from error
        return ForeignFrame(table, list(table.column_names), table.num_rows)
    raise DataError(f"data must be a data frame (pandas, polars, pyarrow, or another that narwhals reads), not {kind}.")


def sorted_levels(factor: Factor) -> Factor:
    """Sort the levels by code point, as R's ``factor(x)`` of strings (in the C locale)."""
    levels, rank = sorted_text(factor.levels)
    return Factor(np.append(rank, -1)[factor.codes], levels)


def read_arrow(name: str, column: "pa.Array | pa.ChunkedArray") -> Column:
    """Turn an Arrow array into what R would make of it.

    Dictionaries are factors (their order kept), strings character vectors, booleans logicals, integers, floats and
    decimals numbers, dates and timestamps numbers of days and of seconds. A column of nulls only is R's ``NA``.

    Raises
    ------
    DataError
        Lists, structs, binary, durations, times of day.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _dictionary(name, column)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(column, pa.ChunkedArray):  # what some versions make of no chunks at all
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=kind)
    if pa.types.is_floating(kind):
        return Numeric(_numbers(column))
    if pa.types.is_integer(kind):
        if kind.bit_width == 64:
            there = column.drop_null()  # NumPy has no integers with gaps
            refuse_merged(name, there.to_numpy(zero_copy_only=False), _numbers(there))
        return integers(_numbers(column))
    if pa.types.is_boolean(kind):
        return Logical(_numbers(column.cast(pa.uint8())))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_string_view(kind):
        return _text(column)
    if pa.types.is_decimal(kind):
        return Numeric(_numbers(column.cast(pa.float64())))
    if pa.types.is_null(kind):
        return Logical(np.full(len(column), np.nan))
    if pa.types.is_date(kind):
        return Numeric(_numbers(column.cast(pa.date32()).view(pa.int32())), kind="date")
    if pa.types.is_timestamp(kind):
        return Numeric(_numbers(column.view(pa.int64())) * _SECONDS_OF_UNIT[kind.unit], kind="datetime")
    raise DataError(_unusable(name, str(kind)))


def _unusable(name: str, kind: str) -> str:
    return (
        f"Column {name!r} has dtype {kind}, which no model can use. "
        "Turn it into numbers, strings, booleans or a categorical first."
    )


def _is_string_view(kind: "pa.DataType") -> bool:
    check = getattr(pa.types, "is_string_view", None)
    return bool(check is not None and check(kind))


def _numbers(array: "pa.Array") -> np.ndarray:
    """Float64, missing as NaN."""
    values = array.to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)


def _codes(indices: "pa.Array") -> np.ndarray:
    if indices.null_count:
        # unsigned indices have no room for -1
        indices = indices.cast(pa.int64()).fill_null(-1)
    codes = indices.to_numpy(zero_copy_only=False)
    # pandas' small signed integers stay; unsigned ones cannot hold the code of a missing value
    return codes if codes.dtype.kind == "i" else codes.astype(np.intp)


def _text(array: "pa.Array") -> Factor:
    encoded = array.dictionary_encode()
    labels, rank = sorted_text(encoded.dictionary.to_pylist())
    codes = _codes(encoded.indices)
    return Factor(np.append(rank, -1)[codes], labels, text=True)


def _dictionary(name: str, column: "pa.DictionaryArray | pa.ChunkedArray") -> Factor:
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries()
        codes = (
            np.concatenate([_codes(c.indices) for c in column.chunks]) if column.num_chunks else np.empty(0, np.intp)
        )
        values = column.chunk(0).dictionary if column.num_chunks else pa.array([], type=column.type.value_type)
    else:
        codes, values = _codes(column.indices), column.dictionary
    ordered = bool(column.type.ordered)
    if values.null_count or len(pc.unique(values)) < len(values):
        # a level may be null (missing) or occur twice; the first place counts
        items = values.to_pylist()
        distinct = list(dict.fromkeys(item for item in items if item is not None))
        place = {item: i for i, item in enumerate(distinct)}
        codes = np.array([*(-1 if item is None else place[item] for item in items), -1], dtype=np.intp)[codes]
        values = pa.array(distinct, type=values.type)
    return Factor(codes, category_labels(name, pd.Index(values.to_pandas())), ordered)
