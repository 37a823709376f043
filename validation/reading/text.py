"""Tables of text: which letters, which separator, which decimal mark; then R's rules for each column.

What the file itself says is taken: a byte order mark, Excel's ``sep=;`` line, the separator that cuts every line into
the same number of cells. What a column holds is decided by the rules of R's ``read.csv``, those of ``type.convert``: it
is logical where every cell is T, F, TRUE or FALSE, whole numbers where every cell is one that fits in 32 bits, numbers
where every cell is one (``NaN`` and ``Inf`` among them), and otherwise text. ``NA`` is missing everywhere, an empty
cell only in a column that is not text: there it is the label "". Column names are kept as they are written
(``check.names = FALSE``).

Two things go further than R, and are said where they are done: commas for decimal points where semicolons or tabs
separate (R's ``read.csv2``), and a lone point for a missing number (as Stata, SPSS and SAS write it).
"""

import codecs
import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

import numpy as np
import pandas as pd

from validation.errors import InputError, some

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SEP_LINE = re.compile(r'\ufeff?"?sep=(.)"?\r?\n', re.IGNORECASE)
_TRAILING = re.compile(r"[ \t]+(?=\r?\n|\r|$)")
_SPACE = " \t\n\v\f\r"
_LOGICAL = {"T": True, "TRUE": True, "F": False, "FALSE": False}
_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+([.,]?)[0-9]*|([.,])[0-9]+)([eE][+-]?[0-9]+)?")  # "1e" is one until R 4.4.0
_HEX = re.compile(r"[+-]?0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)([pP][+-]?[0-9]+)?")
_NO_DIGITS = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_THOUSANDS = re.compile(r"\s*[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?\s*")
_LARGEST = 2**31 - 1
_NUL = "it holds NUL characters, so it is no plain text: perhaps UTF-16 (--encoding utf-16), or not a text file"
_LINES = 200  # that are looked at to find the separator
#: What is said of columns, where decimal points are read.
_REMARKS = {
    "point": "a lone '.' taken as missing in {}",
    "comma": "numbers with decimal commas left as text in {} (--decimal , reads them)",
    "thousands": "numbers with commas between thousands left as text in {}: take them out (decimal ones: --decimal ,)",
}


@dataclass(frozen=True)
class TextOptions:
    """How a table of text is to be read; None is found out from the text."""

    encoding: str | None = None
    separator: str | None = None  # one character
    decimal: str | None = None  # "." or ","
    missing: Sequence[str] | None = None  # what stands for a missing value, in place of NA and of a lone "."

    def __post_init__(self) -> None:
        if self.separator is not None and (len(self.separator) != 1 or self.separator in '"\r\n'):
            raise InputError(f"the separator {self.separator!r} is not one character that can separate cells, as ';'")
        if self.decimal not in (None, ".", ","):
            raise InputError(f"the decimal mark {self.decimal!r} is neither '.' nor ','")
        if self.decimal is not None and self.decimal == self.separator:
            raise InputError(f"{self.decimal!r} cannot be both the separator and the decimal mark")
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except (LookupError, ValueError):  # a name with NUL, or of no characters
                raise InputError(
                    f"there is no encoding {self.encoding!r}; common ones are utf-8, latin-1, cp1252 and utf-16"
                ) from None


def decode(content: bytes, encoding: str | None) -> tuple[str, str]:
    """Return the text of a file and the name of its encoding."""
    found = encoding or ("utf-16" if content.startswith(_UTF_16) else "utf-8")
    try:
        text = content.decode(found).removeprefix("\ufeff")
    except ValueError as error:
        start = getattr(error, "start", 0)
        if encoding is None and b"\0" in content:
            raise InputError(_NUL) from None
        if encoding is not None:
            raise InputError(f"it is not {encoding} text (byte {start})") from None
        line = content.count(b"\n", 0, start) + 1
        word = (
            re.split(rb"[,;\t\r\n]", content[max(0, start - 20) : start])[-1]
            + re.split(rb"[,;\t\r\n]", content[start : start + 20])[0]
        )
        shown = word.decode("cp1252", errors="replace")
        raise InputError(
            f"it is not UTF-8 text (byte {start}, line {line}); in the encoding latin-1 that place reads {shown!r}. "
            'Name the encoding (--encoding latin-1; in Python encoding="latin-1"), or save the file as UTF-8'
        ) from None
    if "\0" in text:
        raise InputError(_NUL)
    return text, found


def read_text(content: bytes, options: TextOptions, *, separator: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Read a table of text, and say how, as far as that is not a matter of course.

    ``separator`` is what the file's name says, where the options say nothing.
    """
    text, encoding = decode(content, options.encoding)
    said = [] if encoding in ("utf-8", "ascii") else [encoding]
    between = options.separator or separator
    if found := _SEP_LINE.match(text):
        text = text[found.end() :]
        between = between or found.group(1)
    between = between or guess_separator(text)
    if between != ",":
        said.append(f"separated by {SEPARATORS.get(between, repr(between))}")
    names, columns = read_r_cells(text, between)
    if options.missing is not None:
        absent = frozenset(options.missing)
        columns = [tuple("NA" if cell in absent else cell for cell in cells) for cells in columns]
    decimal = options.decimal or (_guess_decimal(columns) if between != "," else ".")
    if decimal == ",":
        said.append("decimal commas")
    points = options.missing is None
    data = pd.DataFrame({j: text_column(cells, decimal, points=points) for j, cells in enumerate(columns)})
    data.columns = pd.Index(names)
    remarks = defaultdict(list)
    for j, cells in enumerate(columns if decimal == "." else ()):
        alone = sum(cell.strip() == "." for cell in cells) if pd.api.types.is_float_dtype(data.dtypes.iloc[j]) else 0
        if alone:
            remarks["point"].append(f"{names[j]} ({alone})")
        elif pd.api.types.is_object_dtype(data.dtypes.iloc[j]):
            remarks[_commas(cells)].append(names[j])
    said += [sentence.format(some(remarks[kind])) for kind, sentence in _REMARKS.items() if kind in remarks]
    return data, said


def guess_separator(text: str) -> str:
    """The character that cuts the first lines into most cells, all of them into as many; a comma where none does."""
    head = text[: 1 << 18]
    best, cells = ",", 1
    for candidate in SEPARATORS:
        if candidate == " " and cells > 1:
            break  # blanks are within names and texts, too: they count where nothing else does
        try:
            lines = [len(line) for line in islice(filter(None, lines_of(head, candidate)), _LINES + 1)]
        except csv.Error:
            continue
        if len(head) < len(text) and len(lines) > 1:
            lines.pop()  # it may be cut
        # one name less than cells, as R writes row names, is still a table
        if lines and lines[0] > cells and all(count in (lines[0], lines[0] + 1) for count in lines[1:]):
            best, cells = candidate, lines[0]
    return best


def _guess_decimal(columns: Sequence[Sequence[str]]) -> str:
    """A comma, where a column's numbers have one and no column's have a point."""
    among = [{_mark(cell) for cell in cells if cell.strip() not in ("", "NA", ".", "NaN")} for cells in columns]
    marks = [found - {""} for found in among]
    return "," if {","} in marks and {"."} not in marks else "."


def _commas(cells: Sequence[str]) -> str:
    """Which commas make a column text, whose cells would otherwise be numbers: a key of :data:`_REMARKS`, or ""."""
    given = [cell for cell in cells if cell.strip() not in ("", "NA")]
    if not any("," in cell for cell in given):
        return ""
    if all(_THOUSANDS.fullmatch(cell) for cell in given if _mark(cell) not in ("", ".")):
        return "thousands"
    return "comma" if all(_mark(cell) in ("", ",") for cell in given) else ""


def lines_of(text: str, separator: str, *, strict: bool = False) -> Iterator[list[str]]:
    """The cells of each line; blanks separate in any number, as in R's ``read.table``."""
    blanks = separator == " "
    lines = io.StringIO(_TRAILING.sub("", text) if blanks else text, newline="")
    return csv.reader(lines, delimiter=separator, skipinitialspace=blanks, strict=strict)


def read_r_cells(text: str, separator: str = ",") -> tuple[list[str], list[tuple[str, ...]]]:
    """Take a table of text apart: the names of the columns, and the cells of each."""
    limit = csv.field_size_limit(max(len(text) + 1, 131072))
    try:
        if text.count('"') % 2 and _is_open(text, separator):
            raise InputError("a quotation mark is never closed, and all that follows it would be one cell")
        lines = [cells for cells in lines_of(text, separator) if any(cells) or len(cells) > 1]
    except csv.Error as error:
        raise InputError(f"it is no table of text: {error}") from None
    finally:
        csv.field_size_limit(limit)
    if not lines:
        raise InputError("it is empty")
    names, body = [name.strip() for name in lines[0]], lines[1:]
    # as R: the first five lines say how many columns there are; one name less, and the first column names the rows
    row_names = max(map(len, body[:4]), default=0) == len(names) + 1
    above = [""] * row_names + names
    for number, cells in enumerate(body, start=2):
        if len(cells) > len(above):
            raise InputError(f"row {number} has {len(cells)} cells, the line of names {len(names)}")
    columns = [column[1:] for column in zip_longest(above, *body, fillvalue="")]
    twice = [cell for cell, count in Counter(columns[0]).items() if count > 1] if row_names else []
    if twice:  # rows' names are distinct, as R has it; otherwise a column has no name, or a line a cell too many
        longest = next(number for number, cells in enumerate(body, start=2) if len(cells) > len(names))
        raise InputError(
            f"row {longest} has {len(above)} cells, the line of names {len(names)}: the first column would be the "
            f"rows' names, and it has {twice[0]!r} more than once. Give every column a name in the first line"
        )
    return names, columns[row_names:]


def _is_open(text: str, separator: str) -> bool:
    """Whether the text ends within quotation marks."""
    try:
        for _ in lines_of(text, separator, strict=True):
            pass
    except csv.Error as error:
        return "end of data" in str(error)
    return False


def text_column(cells: Sequence[str], decimal: str = ".", *, points: bool = True) -> pd.Series:
    """One column of text by R's rules, but that a lone point among numbers with decimal points is missing."""
    column = convert(cells, decimal)
    if points and decimal == "." and column.dtype == object and any(cell.strip() == "." for cell in cells):
        numbers = convert(["NA" if cell.strip() == "." else cell for cell in cells])
        if numbers.dtype.kind == "f" and numbers.notna().any():
            return numbers
    return column


def convert(cells: Sequence[str], decimal: str = ".") -> pd.Series:
    """A column of text by the rules of ``type.convert(as.is = TRUE)``; ``decimal`` is a point or a comma."""
    missing = np.array([cell == "NA" or not cell.strip(_SPACE) for cell in cells], dtype=bool)
    given = [cell for cell, absent in zip(cells, missing, strict=True) if not absent]
    if all(cell in _LOGICAL for cell in given):
        return pd.Series([_LOGICAL.get(cell) for cell in cells], dtype="boolean" if missing.any() else bool)
    numbers = [_number(cell, decimal) for cell in given]
    if None in numbers:
        return pd.Series([None if cell == "NA" else cell for cell in cells], dtype=object)
    values = np.full(len(cells), np.nan)
    values[~missing] = numbers
    whole = not missing.any() and all(isinstance(number, int) for number in numbers)
    return pd.Series(values.astype("int64") if whole else values)


def _number(cell: str, decimal: str) -> float | None:
    """The number that a cell is, whole where R has an integer; None where it is none."""
    text = cell.strip(_SPACE)
    if decimal == ",":
        text = "" if "." in text else text.replace(",", ".")  # as R's dec = ",": a point is then no decimal mark
    if _mark(text) in ("", "."):
        value = float(text)
        return int(value) if abs(value) <= _LARGEST and _WHOLE.fullmatch(text) else value
    if _HEX.fullmatch(text):
        return float.fromhex(text)
    return float(text) if _NO_DIGITS.fullmatch(text) else None


def _mark(cell: str) -> str | None:
    """The decimal mark of a number, "" where it has none; None for what is no number."""
    found = _NUMBER.fullmatch(cell.strip(_SPACE))
    return found and (found.group(2) or found.group(3) or "")
