"""Sheets of Excel's workbooks.

As R's readxl reads them: rows without a cell are left out, blanks around a text do not belong to it, and merged cells
have their value in the first one only. A column of several kinds of cells is the text that they show.
"""

import io
import warnings
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time

import pandas as pd

from pyimpl.extras import need
from pyimpl.linalg.memory import in_words, memory
from validation.errors import InputError
from validation.owndata import some
from validation.reading.text import text_column

_MOST_SHEETS = 4


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
