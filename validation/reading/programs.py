"""Files of other programs: Stata and SPSS, Excel, Arrow (Feather, Parquet), R; none of them executes anything.

A labelled column becomes a factor where each of its values has a label, its levels in the order of the values, and
never an ordered one: ``pandas.read_stata`` makes them ordered, and polynomial contrasts follow. Where only some values
have labels (a code for "refused", say) the column stays as numbers, and that is said. What the file itself declares
missing is missing, as both programs take it: Stata's ``.a`` to ``.z``, SPSS's user-missing values and ranges. The
labels of such codes are no levels; they are named in what is said.

Sheets are read as R's readxl reads them: rows without a cell are left out, blanks around a text do not belong to it,
and merged cells have their value in the first one only. A column of several kinds of cells is the text that they show.
"""

import io
import tempfile
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyimpl.extras import need
from pyimpl.linalg.memory import in_words, memory
from validation.errors import InputError
from validation.owndata import some
from validation.reading.text import text_column

#: Stata's display formats of days and of milliseconds, by their beginnings; how a date is shown may follow.
_DAYS, _MILLISECONDS = ("%td", "%-td", "%d", "%-d"), ("%tc", "%-tc", "%tC", "%-tC")
_MOST_SHEETS = 4


def read_labelled(content: bytes, kind: str, encoding: str | None) -> tuple[pd.DataFrame, list[str]]:
    """Read a Stata or SPSS file; an old one's text is in the encoding.

    Returned with the data is what is to be said: columns with labels for some values only, codes that are missing
    values.
    """
    need("files", f"reading a {kind} file", "pyreadstat")
    import pyreadstat

    read = {".dta": pyreadstat.read_dta, ".por": pyreadstat.read_por}.get(kind, pyreadstat.read_sav)
    coded = {} if kind == ".por" else {"encoding": encoding}  # a portable file is in one of its own
    asked = {"user_missing": True} if kind in (".sav", ".zsav") else {}  # where the ranges of missing values are told
    with tempfile.TemporaryDirectory(prefix="mlmparity-") as folder:  # pyreadstat 1.3.0 reads files only
        path = Path(folder, f"data{kind}")
        path.write_bytes(content)
        try:
            about = read(path, metadataonly=True, **asked, **coded)[1]
            formats = [str(shown) for shown in about.original_variable_types.values()]
            data, meta = read(
                path,
                extra_date_formats=[shown for shown in formats if shown.startswith(_DAYS)],
                extra_datetime_formats=[shown for shown in formats if shown.startswith(_MILLISECONDS)],
                **coded,
            )
        except pyreadstat.ReadstatError as error:
            hint = ""
            if "convert string" in str(error) or "encoding" in str(error).lower():
                hint = '; name its encoding (--encoding latin-1; in Python encoding="latin-1")'
            raise InputError(f"it is no {kind} file that can be read ({error}){hint}") from None
    columns = {name: _whole(data[name]) for name in data.columns}
    partly, missing = [], []
    for name, texts in meta.variable_value_labels.items():
        column = columns.get(name)
        if column is None:
            continue
        ranges = about.missing_ranges.get(name, ())
        levels = {value: text for value, text in texts.items() if not _is_missing(value, column, ranges)}
        if len(levels) < len(texts):
            missing.append(f"{name} ({', '.join(text for value, text in texts.items() if value not in levels)})")
        values = column.dropna().unique()
        known = sum(value in levels for value in values)
        if 0 < known == len(values):
            columns[name] = _as_factor(column, levels)
        elif levels and (known or not len(values)):
            partly.append(f"{name} ({known} of {len(values)} values)")
    said = [f"declared missing: {some(missing)}"] if missing else []
    return pd.DataFrame(columns, index=data.index), [*said, *partly_labelled(partly)]


def partly_labelled(columns: Sequence[str]) -> list[str]:
    """What is said of columns of which only some values have labels; nothing where there are none."""
    return [f"only some values have labels, so left as numbers: {some(columns)}"] if columns else []


def _is_missing(value: Any, column: pd.Series, ranges: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a labelled value is a missing code: a letter in a column of numbers (Stata), or in a range (SPSS)."""
    letter = isinstance(value, str) and pd.api.types.is_numeric_dtype(column)
    return letter or any(limits["lo"] <= value <= limits["hi"] for limits in ranges)


def _whole(column: pd.Series) -> pd.Series:
    """Numbers as R has them: integers where all are whole, also with missing values."""
    if pd.api.types.is_object_dtype(column.dtype):
        return column.astype("Int64") if pd.api.types.infer_dtype(column, skipna=True) == "integer" else column
    if pd.api.types.is_float_dtype(column.dtype) and len(column):
        numbers = column.to_numpy()
        if np.isfinite(numbers).all() and (numbers == np.round(numbers)).all() and np.abs(numbers).max() < 2**31:
            return column.astype("int64")
    return column


def _as_factor(column: pd.Series, texts: Mapping[object, str]) -> pd.Series:
    """Labels in the order of their values; a label that two values share is one level, as in R's ``factor()``."""
    ordered = [texts[value] for value in sorted(texts, key=lambda value: (isinstance(value, str), value))]
    levels = list(dict.fromkeys(ordered))
    return pd.Series(pd.Categorical(column.map(texts), categories=levels), index=column.index)


def read_workbook(content: bytes, sheet: str | int | None) -> tuple[pd.DataFrame, list[str]]:
    """Read a sheet of a workbook by name or number from 0, or the first one; and say which of several it is."""
    need("files", "reading an .xlsx file", "openpyxl")
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        size = sum(part.file_size for part in packed.infolist())
    if size > memory():
        raise InputError(f"it holds {in_words(size)} of sheets, and the machine has {in_words(memory())} for them")
    sheets, chosen, cells = _cells(content, sheet, values=True)
    cells = cells[(cells != "").any(axis=1)]
    if cells.empty:
        raise InputError(f"the sheet {chosen!r} is empty")
    said = []
    if sheet is None and len(sheets) > 1:
        others = [repr(name) for name in sheets if name != chosen]
        said.append(f"sheet {chosen!r} (the first of {len(sheets)}; --sheet for {some(others, _MOST_SHEETS)})")
    heading, body = [_shown(cell) for cell in cells.iloc[0]], cells.iloc[1:]
    blank = (body == "").all()
    named = [name for name in heading if name]
    lacking = sum(not name and not blank[j] for j, name in enumerate(heading))
    if lacking and len(named) <= lacking:  # what stands above a table, but for its names, is a title
        raise InputError(
            f"the first row of the sheet {chosen!r} that is not empty holds {', '.join(map(repr, named))} alone, and "
            f"the table below has {len(named) + lacking} columns: take away what stands above their names"
        )
    if len(body):
        _check_formulas(content, chosen, {j: name for j, name in enumerate(heading) if name and blank[j]})
    data = pd.DataFrame({j: _column(list(body[j])) for j in body.columns}, index=range(len(body)))
    data.columns = pd.Index(heading)
    return data, said


def _cells(content: bytes, sheet: str | int | None, *, values: bool) -> tuple[list[str], str, pd.DataFrame]:
    """The names of a workbook's sheets, that of one, and its cells: values or formulas, "" where there is nothing."""
    with warnings.catch_warnings(action="ignore"):  # of styles and validations that openpyxl does not keep
        book = pd.ExcelFile(io.BytesIO(content), engine="openpyxl", engine_kwargs={"data_only": values})
    names = [str(name) for name in book.sheet_names]
    try:
        chosen = names[names.index(sheet) if isinstance(sheet, str) else sheet or 0]
    except (IndexError, ValueError):
        raise InputError(f"the workbook has no sheet {sheet!r}; it has {', '.join(map(repr, names))}") from None
    with book:
        cells = pd.read_excel(book, sheet_name=chosen, header=None, dtype=object, na_filter=False)
    return names, chosen, cells.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)


def _check_formulas(content: bytes, sheet: str, blank: dict[int, str]) -> None:
    """See that columns without a value have no formula either.

    Excel keeps a formula's last value beside it. A program that writes the formula alone leaves the value out.
    """
    formulas = _cells(content, sheet, values=False)[2] if blank else pd.DataFrame()
    for j, name in blank.items():
        if any(isinstance(cell, str) and cell.startswith("=") for cell in formulas[j]):
            raise InputError(
                f"column {name!r} holds formulas whose values are not in the file; open it in Excel or "
                "LibreOffice and save it there, which works them out"
            )


def _column(cells: Sequence[object]) -> pd.Series:
    given = [cell for cell in cells if cell != ""]
    if given and all(isinstance(cell, date) for cell in given):
        return pd.to_datetime(pd.Series([cell or None for cell in cells]))
    return text_column(["NA" if cell == "" else _shown(cell) for cell in cells])


def _shown(cell: object) -> str:
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, (date, datetime, time)):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return "NA" if cell != cell else str(cell)  # NaN: an error of Excel's, such as #DIV/0!


def read_arrow(content: bytes, kind: str) -> tuple[pd.DataFrame, list[str]]:
    """A Feather or Parquet file; what pandas kept as an index is columns, as R's arrow reads it."""
    need("files", f"reading a {kind} file", "pyarrow")
    data = pd.read_feather(io.BytesIO(content)) if kind == ".feather" else pd.read_parquet(io.BytesIO(content))
    said = []
    named = [str(name) for name in data.index.names if name is not None and name not in data.columns]
    if named:
        data = data.reset_index(level=[name for name in data.index.names if name in named])
        said.append(f"from pandas' index: {', '.join(named)}")
    for name in data.columns if data.columns.is_unique else ():  # twins are refused by their name later
        if pd.api.types.is_object_dtype(data[name].dtype):
            data[name] = _of_one_kind(data[name])
    return data, said


def _of_one_kind(column: pd.Series) -> pd.Series:
    """What Arrow hands over as Python's objects, as the type that it is: logical values with missing ones, decimals."""
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind == "boolean" or (kind == "empty" and column.isna().all()):
        return column.astype("boolean")
    return column.astype(float) if kind == "decimal" else column


def read_rds(content: bytes) -> tuple[pd.DataFrame, list[str]]:
    """R's own format, which only R reads: in the worker, which can neither start programs nor write."""
    from bridge import datasets
    from bridge.errors import DataError

    with tempfile.TemporaryDirectory(prefix="mlmparity-") as folder:
        path = Path(folder, "data.rds")
        path.write_bytes(content)
        try:
            data = datasets.read_rds(str(path))
        except DataError as error:
            raise InputError(str(error)) from None
    return data, partly_labelled(data.attrs.pop("partly_labelled"))
