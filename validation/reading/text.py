"""Tables of text: which letters, which separator, which decimal mark; then R's rules for each column.

What the file itself says is taken: a byte order mark, Excel's ``sep=;`` line, the separator that cuts every line into
the same number of cells. What a column holds is decided by the rules of R's ``read.csv`` (:mod:`validation.rcsv`). Two
things go further than R, and are said where they are done: commas for decimal points where semicolons or tabs separate
(R's ``read.csv2``), and a lone point for a missing number (as Stata, SPSS and SAS write it).
"""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from validation.errors import InputError
from validation.owndata import some
from validation.rcsv import RTableError, convert, lines_of, read_r_cells

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SEP_LINE = re.compile(r'\ufeff?"?sep=(.)"?\r?\n', re.IGNORECASE)
_THOUSANDS = re.compile(r"\s*[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?\s*")
_COMMA_NUMBER = re.compile(r"\s*[+-]?([0-9]+,[0-9]*|,[0-9]+)([eE][+-]?[0-9]+)?\s*")
_POINT_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")
_NUL = "it holds NUL characters, so it is no plain text: perhaps UTF-16 (--encoding utf-16), or not a text file"
_LINES = 200  # that are looked at to find the separator


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


@dataclass
class _Notes:
    """What is worth saying about how the text was read."""

    said: list[str] = field(default_factory=list)
    points: dict[str, int] = field(default_factory=dict)
    commas: list[str] = field(default_factory=list)
    thousands: list[str] = field(default_factory=list)


def decode(content: bytes, encoding: str | None) -> tuple[str, str]:
    """Return the text of a file and the name of its encoding."""
    found = encoding
    if found is None:
        found = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(found).removeprefix("\ufeff")
    except (UnicodeError, ValueError) as error:
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
    return text, {"utf-8-sig": "utf-8"}.get(found, found)


def read_text(content: bytes, options: TextOptions, *, separator: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Read a table of text, and say how, as far as that is not a matter of course.

    ``separator`` is what the file's name says, where the options say nothing.
    """
    text, encoding = decode(content, options.encoding)
    notes = _Notes([] if encoding in ("utf-8", "ascii") else [encoding])
    between = options.separator or separator
    if found := _SEP_LINE.match(text):
        text = text[found.end() :]
        between = between or found.group(1)
    between = between or guess_separator(text)
    if between != ",":
        notes.said.append(f"separated by {SEPARATORS.get(between, repr(between))}")
    if text.count('"') % 2 and _is_open(text, between):
        raise InputError("a quotation mark is never closed, and all that follows it would be one cell")
    try:
        names, columns = read_r_cells(text, between)
    except RTableError as error:
        raise InputError(str(error)) from None
    decimal = options.decimal or (_guess_decimal(columns) if between != "," else ".")
    if decimal == ",":
        notes.said.append("decimal commas")
    data = pd.DataFrame(
        {
            j: text_column(cells, decimal=decimal, missing=options.missing, name=names[j], notes=notes)
            for j, cells in enumerate(columns)
        }
    )
    data.columns = pd.Index(names)
    if notes.points:
        shown = some([f"{name} ({count})" for name, count in notes.points.items()])
        notes.said.append(f"a lone '.' taken as missing in {shown}")
    if notes.commas:
        notes.said.append(f"numbers with decimal commas left as text in {some(notes.commas)} (--decimal , reads them)")
    if notes.thousands:
        shown = some(notes.thousands)
        notes.said.append(
            f"numbers with commas between thousands left as text in {shown}: take them out (decimal ones: --decimal ,)"
        )
    return data, notes.said


def _is_open(text: str, separator: str) -> bool:
    """Whether the text ends within quotation marks."""
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
            pass
    except csv.Error as error:
        return "end of data" in str(error)
    return False


def guess_separator(text: str) -> str:
    """The character that cuts the first lines into most cells, all of them into as many; a comma where none does."""
    head = text[: 1 << 18]
    best, cells = ",", 1
    for candidate in SEPARATORS:
        if candidate == " " and cells > 1:
            break  # blanks are within names and texts, too: they count where nothing else does
        lines = []
        try:
            for line in lines_of(head, candidate):
                if line:
                    lines.append(len(line))
                if len(lines) > _LINES:
                    break
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
    commas = points = False
    for cells in columns:
        given = [cell for cell in cells if cell.strip() not in ("", "NA", ".", "NaN")]
        with_comma = [cell for cell in given if _COMMA_NUMBER.fullmatch(cell)]
        with_point = [cell for cell in given if _POINT_NUMBER.fullmatch(cell)]
        rest = len(given) - len(with_comma) - len(with_point)
        if rest == sum(bool(_WHOLE_NUMBER.fullmatch(cell)) for cell in given):
            commas |= bool(with_comma) and not with_point
            points |= bool(with_point) and not with_comma
    return "," if commas and not points else "."


def text_column(
    cells: Sequence[str],
    *,
    decimal: str = ".",
    missing: Sequence[str] | None = None,
    name: str = "",
    notes: _Notes | None = None,
) -> pd.Series:
    """One column of text by R's rules.

    ``missing`` are what stands for a missing value, in place of ``NA`` and of a lone ``.`` among numbers; ``notes``
    take what is worth saying of the column of this name.
    """
    if missing is not None:
        absent = frozenset(missing)
        cells = ["NA" if cell in absent else cell for cell in cells]
    if decimal == ",":
        # as R's dec = ",": a point is then no decimal mark
        trial = [cell.replace(",", ".") if "." not in cell else f"text {cell}" for cell in cells]
        column = convert(trial)
        if column.dtype != object:
            return column
        return pd.Series([None if cell == "NA" else cell for cell in cells], dtype=object)
    column = convert(cells)
    if column.dtype != object:
        return column
    if missing is None:
        points = sum(cell.strip() == "." for cell in cells)
        if points:
            numbers = convert(["NA" if cell.strip() == "." else cell for cell in cells])
            if numbers.dtype.kind in "if" and numbers.notna().any():
                if notes is not None:
                    notes.points[name] = points
                return numbers
    if notes is not None:
        given = [cell for cell in cells if cell.strip() not in ("", "NA")]
        if given and any("," in cell for cell in given):
            plain = [cell for cell in given if not (_WHOLE_NUMBER.fullmatch(cell) or _POINT_NUMBER.fullmatch(cell))]
            if all(_THOUSANDS.fullmatch(cell) for cell in plain):
                notes.thousands.append(name)
            elif all(_COMMA_NUMBER.fullmatch(cell) or _WHOLE_NUMBER.fullmatch(cell) for cell in given):
                notes.commas.append(name)
    return column
