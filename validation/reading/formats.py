"""Files that are no text: Stata and SPSS, Excel, Feather and Parquet, R's own.

A labelled column (Stata, SPSS) becomes a factor where each of its values has a label, its levels in the order of the
values, and never an ordered one: ``pandas.read_stata`` makes them ordered, and polynomial contrasts follow. Where only
some values have labels (a code for "refused", say) the column stays as numbers, and that is said.
"""

import io
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pyimpl.extras import need
from validation.errors import InputError
from validation.reading.text import text_column

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BINARY", "kind_of", "read_binary"]

#: What the first bytes of a file say it is.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", ".parquet"),
    (b"ARROW1", ".feather"),
    (b"FEA1", ".feather"),
    (b"<stata_dta>", ".dta"),
    (b"$FL2", ".sav"),
    (b"$FL3", ".sav"),
    (b"PK\x03\x04", ".xlsx"),
    (b"\xd0\xcf\x11\xe0", ".xls"),
    (b"\x1f\x8b", ".gz"),
    (b"BZh", ".bz2"),
    (b"\xfd7zXZ", ".xz"),
    (b"X\n\x00\x00\x00", ".rds"),
    (b"RDX", ".rdata"),
)

BINARY = (".dta", ".sav", ".zsav", ".por", ".xlsx", ".feather", ".parquet", ".rds")


def kind_of(content: bytes) -> str | None:
    """The kind of file that its first bytes show; None where they show none (text, or an older Stata file)."""
    return next((kind for magic, kind in _MAGIC if content.startswith(magic)), None)


def read_binary(
    content: bytes, kind: str, *, encoding: str | None, sheet: str | int | None
) -> tuple[pd.DataFrame, list[str]]:
    """Read a file that is no text.

    Parameters
    ----------
    content : bytes
    kind : str
        One of :data:`BINARY`.
    encoding : str, optional
        Of the text in an old Stata or SPSS file.
    sheet : str or int, optional
        Of a workbook: its name, or its number from 0.

    Returns
    -------
    data : DataFrame
    said : list of str
        How it was read, as far as that is not a matter of course.

    Raises
    ------
    InputError
        The file is damaged, or of another kind.
    MissingExtraError
        What reads it is not installed.
    """
    if kind == ".xlsx":
        return _excel(content, sheet)
    if kind in (".feather", ".parquet"):
        need("files", f"reading a {kind} file", "pyarrow")
        return pd.read_feather(io.BytesIO(content)) if kind == ".feather" else pd.read_parquet(io.BytesIO(content)), []
    if kind == ".rds":
        return _rds(content), []
    return _labelled(content, kind, encoding)


@contextmanager
def _as_file(content: bytes, kind: str) -> Iterator[str]:
    """The bytes as a file, for what reads nothing else."""
    handle, name = tempfile.mkstemp(suffix=kind, prefix="mlmparity-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        yield name
    finally:
        Path(name).unlink(missing_ok=True)


def _labelled(content: bytes, kind: str, encoding: str | None) -> tuple[pd.DataFrame, list[str]]:
    """A Stata or SPSS file."""
    need("files", f"reading a {kind} file", "pyreadstat")
    import pyreadstat

    readers: Mapping[str, Callable[..., tuple[pd.DataFrame, object]]] = {
        ".dta": pyreadstat.read_dta,
        ".sav": pyreadstat.read_sav,
        ".zsav": pyreadstat.read_sav,
        ".por": pyreadstat.read_por,
    }
    with _as_file(content, kind) as name:
        try:
            data, meta = readers[kind](name, apply_value_formats=False, encoding=encoding)
        except pyreadstat.ReadstatError as error:
            hint = ""
            if "convert string" in str(error) or "encoding" in str(error).lower():
                hint = '; name its encoding (--encoding latin-1; in Python encoding="latin-1")'
            raise InputError(f"it is no {kind} file that can be read ({error}){hint}") from None
    partly = []
    labels: Mapping[str, Mapping[object, str]] = getattr(meta, "variable_value_labels", {})
    for column, texts in labels.items():
        if column not in data.columns:
            continue
        values = data[column].dropna().unique()
        known = sum(value in texts for value in values)
        if len(values) and known == len(values):
            data[column] = _as_factor(data[column], texts)
        elif known or not len(values):
            partly.append(f"{column} ({known} of {len(values)} values)")
    said = []
    if partly:
        shown = ", ".join(partly[:5]) + (f" and {len(partly) - 5} more" if len(partly) > 5 else "")
        said.append(f"only some values have labels, so left as numbers: {shown}")
    for column in data.columns:
        if pd.api.types.is_float_dtype(data[column]):
            numbers = data[column].to_numpy()
            if np.isfinite(numbers).all() and (numbers == np.round(numbers)).all() and np.abs(numbers).max() < 2**31:
                data[column] = numbers.astype("int64")
    return data, said


def _as_factor(column: pd.Series, texts: Mapping[object, str]) -> pd.Series:
    """Labels in the order of their values; a label that two values share is one level, as in R's ``factor()``."""
    ordered = [texts[value] for value in sorted(texts, key=lambda value: (isinstance(value, str), value))]
    levels = list(dict.fromkeys(ordered))
    return pd.Series(pd.Categorical(column.map(texts), categories=levels), index=column.index)


def _excel(content: bytes, sheet: str | int | None) -> tuple[pd.DataFrame, list[str]]:
    """A sheet of a workbook; cells of a column of several kinds are read as the text that they show."""
    need("files", "reading an .xlsx file", "openpyxl")
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and validations that openpyxl does not keep
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    names = book.sheetnames
    try:
        chosen = names[sheet or 0] if not isinstance(sheet, str) else names[names.index(sheet)]
    except (IndexError, ValueError):
        raise InputError(f"the workbook has no sheet {sheet!r}; it has {', '.join(map(repr, names))}") from None
    rows = [list(row) for row in book[chosen].iter_rows(values_only=True)]
    book.close()
    while rows and all(cell is None for cell in rows[-1]):
        rows.pop()
    if not rows:
        raise InputError(f"the sheet {chosen!r} is empty")
    said = [f"sheet {chosen!r} (the first of {len(names)})"] if sheet is None and len(names) > 1 else []
    heading, body = rows[0], [row for row in rows[1:] if any(cell is not None for cell in row)]
    width = max(map(len, rows))
    heading += [None] * (width - len(heading))
    data = pd.DataFrame(
        {j: _cells([row[j] if j < len(row) else None for row in body]) for j in range(width)}, index=range(len(body))
    )
    data.columns = pd.Index(["" if name is None else _shown(name) for name in heading])
    return data, said


def _cells(cells: list[object]) -> pd.Series:
    given = [cell for cell in cells if cell is not None]
    if given and all(isinstance(cell, (datetime, date)) for cell in given):
        return pd.to_datetime(pd.Series(cells))
    return text_column(["NA" if cell is None else _shown(cell) for cell in cells])


def _shown(cell: object) -> str:
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell)
    if isinstance(cell, (datetime, date, time)):
        return cell.isoformat()
    text = str(cell)
    return "NA" if text in ("#N/A", "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!") else text


def _rds(content: bytes) -> pd.DataFrame:
    """R's own format, which only R reads: in the worker, which can neither start programs nor write."""
    from bridge import datasets

    with _as_file(content, ".rds") as name:
        return datasets.read_rds(name)
