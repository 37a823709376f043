"""Sheets of Excel's workbooks.

As R's readxl reads them: rows without a cell above the names are left out, blanks around a text do not belong to it,
and merged cells have their value in the first one only. A column of several kinds of cells is the text that they show.
"""

import io
import warnings
import zipfile
from datetime import date, datetime, time

import pandas as pd

from pyimpl.extras import need
from pyimpl.linalg.memory import in_words, memory
from validation.errors import InputError
from validation.owndata import some
from validation.reading.text import text_column

_ERRORS = ("#N/A", "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!")
_MOST_SHEETS = 4


def read_workbook(content: bytes, sheet: str | int | None) -> tuple[pd.DataFrame, list[str]]:
    """Read a sheet of a workbook by name or number from 0, or the first one; and say which of several it is."""
    need("files", "reading an .xlsx file", "openpyxl")
    _check_size(content)
    sheets, rows, chosen = _rows(content, sheet, values=True)
    body_width = max(map(len, rows), default=0)
    while rows and not _filled(rows[-1]):
        rows.pop()
    above = next((i for i, row in enumerate(rows) if _filled(row)), len(rows))
    rows = rows[above:]
    if not rows:
        raise InputError(f"the sheet {chosen!r} is empty")
    said = []
    if sheet is None and len(sheets) > 1:
        others = [repr(name) for name in sheets if name != chosen]
        said.append(f"sheet {chosen!r} (the first of {len(sheets)}; --sheet for {some(others, _MOST_SHEETS)})")
    heading = [_shown(cell) if cell is not None else "" for cell in rows[0] + [None] * (body_width - len(rows[0]))]
    body = [row + [None] * (body_width - len(row)) for row in rows[1:] if _filled(row)]
    columns = [[row[j] for row in body] for j in range(body_width)]
    _check_heading(heading, columns, chosen)
    blank = [j for j, cells in enumerate(columns) if heading[j] and all(cell is None for cell in cells)]
    if blank and body:
        _check_formulas(content, chosen, heading, blank)
    data = pd.DataFrame({j: _cells(cells) for j, cells in enumerate(columns)}, index=range(len(body)))
    data.columns = pd.Index(heading)
    return data, said


def _check_size(content: bytes) -> None:
    """Refuse a workbook whose sheets, which are packed, memory cannot hold."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        size = sum(part.file_size for part in packed.infolist())
    if size > memory():
        raise InputError(f"it holds {in_words(size)} of sheets, and the machine has {in_words(memory())} for them")


def _rows(content: bytes, sheet: str | int | None, *, values: bool) -> tuple[list[str], list[list[object]], str]:
    """The names of a workbook's sheets, the cells of one (their values or their formulas), and its name."""
    import openpyxl

    with warnings.catch_warnings(action="ignore"):  # of styles and validations that openpyxl does not keep
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=values)
    sheets = {page.title: page for page in book.worksheets if hasattr(page, "iter_rows")}  # a chart's page has no rows
    names = list(sheets)
    try:
        chosen = names[sheet or 0] if not isinstance(sheet, str) else names[names.index(sheet)]
    except (IndexError, ValueError):
        raise InputError(f"the workbook has no sheet {sheet!r}; it has {', '.join(map(repr, names))}") from None
    rows = [[_trimmed(cell) for cell in row] for row in sheets[chosen].iter_rows(values_only=True)]
    book.close()
    return names, rows, chosen


def _trimmed(cell: object) -> object:
    """A cell without the blanks around its text; nothing where that leaves none."""
    return (cell.strip() or None) if isinstance(cell, str) else cell


def _filled(row: list[object]) -> bool:
    return any(cell is not None for cell in row)


def _check_heading(heading: list[str], columns: list[list[object]], sheet: str) -> None:
    """See that a name stands above each column that has cells; what stands above a table otherwise is a title."""
    lacking = [j for j, cells in enumerate(columns) if not heading[j] and any(cell is not None for cell in cells)]
    named = [name for name in heading if name]
    if lacking and len(named) <= len(lacking):
        raise InputError(
            f"the first row of the sheet {sheet!r} that is not empty holds {', '.join(map(repr, named))} alone, and "
            f"the table below has {len(named) + len(lacking)} columns: take away what stands above their names"
        )


def _check_formulas(content: bytes, sheet: str, heading: list[str], blank: list[int]) -> None:
    """See that columns without a value have no formula either.

    Excel keeps a formula's last value beside it. A program that writes the formula alone leaves the value out.
    """
    _, rows, _ = _rows(content, sheet, values=False)
    for j in blank:
        if any(j < len(row) and isinstance(row[j], str) and str(row[j]).startswith("=") for row in rows):
            raise InputError(
                f"column {heading[j]!r} holds formulas whose values are not in the file; open it in Excel or "
                "LibreOffice and save it there, which works them out"
            )


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
    return "NA" if text in _ERRORS else text
