"""A table of text read by the rules of R's ``read.csv``: what is missing, what is a number, what is logical.

The rules are those of R's ``type.convert``: a column is logical where every cell is T, F, TRUE or FALSE,
whole numbers where every cell is one that fits in 32 bits, numbers where every cell is one (``NaN`` and ``Inf``
among them), and otherwise text. ``NA`` is missing everywhere, an empty cell only in a column that is not text: there it
is the label "". Column names are kept as they are written (``check.names = FALSE``).
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

_TRUE, _FALSE = frozenset({"T", "TRUE"}), frozenset({"F", "FALSE"})
_SPACE = " \t\n\v\f\r"
_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")  # "1e" is one until R 4.4.0
_HEX = re.compile(r"[+-]?0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)([pP][+-]?[0-9]+)?")
_WORDS = {"nan": np.nan, "inf": np.inf, "infinity": np.inf}
_LARGEST = 2**31 - 1
_TRAILING = re.compile(r"[ \t]+(?=\r?\n|\r|$)")


class RTableError(ValueError):
    """The text is no table: the text says which line, what was found, what was expected."""


def lines_of(text: str, separator: str) -> Iterator[list[str]]:
    """The cells of each line; blanks separate in any number, as in R's ``read.table``."""
    blanks = separator == " "
    lines = io.StringIO(_TRAILING.sub("", text) if blanks else text, newline="")
    return csv.reader(lines, delimiter=separator, skipinitialspace=blanks)


def read_r_cells(text: str, separator: str = ",") -> tuple[list[str], list[tuple[str, ...]]]:
    """Take a table of text apart: the names of the columns, and the cells of each."""
    limit = csv.field_size_limit(max(len(text) + 1, 131072))
    try:
        lines = [cells for cells in lines_of(text, separator) if any(cells) or len(cells) > 1]
    except csv.Error as error:
        raise RTableError(f"it is no table of text: {error}") from None
    finally:
        csv.field_size_limit(limit)
    if not lines:
        raise RTableError("it is empty")
    names, body = [name.strip() for name in lines[0]], lines[1:]
    width = max(map(len, body[:4]), default=len(names))  # as R: the first five lines say how many columns there are
    row_names = width == len(names) + 1  # one name less than cells: the first column names the rows
    columns = len(names) + row_names
    for number, cells in enumerate(body, start=2):
        if len(cells) > columns:
            raise RTableError(f"row {number} has {len(cells)} cells, the line of names {len(names)}")
    filled = [cells + [""] * (columns - len(cells)) for cells in body]
    parts: list[tuple[str, ...]] = list(zip(*filled, strict=True)) if filled else [()] * columns
    if row_names:
        _refuse_repeated(parts[0], names, body)
    return names, parts[row_names:]


def _refuse_repeated(row_names: Sequence[str], names: list[str], body: list[list[str]]) -> None:
    """Rows' names are distinct, as R has it; otherwise a column has no name, or a line a cell too many."""
    twice = next((cell for cell, count in Counter(row_names).items() if count > 1), None)
    if twice is not None:
        longest = next(number for number, cells in enumerate(body, start=2) if len(cells) > len(names))
        raise RTableError(
            f"row {longest} has {len(names) + 1} cells, the line of names {len(names)}: the first column would be the "
            f"rows' names, and it has {twice!r} more than once. Give every column a name in the first line"
        )


def convert(cells: Sequence[str]) -> "pd.Series":
    """A column of text by the rules of ``type.convert(as.is = TRUE)``."""
    missing = np.array([cell == "NA" or not cell.strip(_SPACE) for cell in cells], dtype=bool)
    given = [cell for cell, absent in zip(cells, missing, strict=True) if not absent]
    if all(cell in _TRUE or cell in _FALSE for cell in given):
        flags = [None if absent else cell in _TRUE for cell, absent in zip(cells, missing, strict=True)]
        return pd.Series(flags, dtype="boolean" if missing.any() else bool)
    whole = [_integer(cell) for cell in given]
    if all(value is not None for value in whole):
        if not missing.any():
            return pd.Series(whole, dtype="int64")
        values = np.full(len(cells), np.nan)
        values[~missing] = whole
        return pd.Series(values)
    numbers = [_double(cell) for cell in given]
    if all(value is not None for value in numbers):
        values = np.full(len(cells), np.nan)
        values[~missing] = numbers
        return pd.Series(values)
    return pd.Series([None if cell == "NA" else cell for cell in cells], dtype=object)


def _integer(cell: str) -> int | None:
    text = cell.strip(_SPACE)
    if not _WHOLE.fullmatch(text):
        return None
    found = int(text) if len(text) <= 12 else _LARGEST + 1
    return found if abs(found) <= _LARGEST else None


def _double(cell: str) -> float | None:
    text = cell.strip(_SPACE)
    bare = text.lstrip("+-")
    if len(text) - len(bare) <= 1 and bare.lower() in _WORDS:
        value = _WORDS[bare.lower()]
        return -value if text[0] == "-" else value
    if _HEX.fullmatch(text):
        return float.fromhex(text)
    return float(text) if _NUMBER.fullmatch(text) else None
