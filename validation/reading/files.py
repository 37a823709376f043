"""``read_data``: a data file as people have it; what kind it is, unpacked, and nothing larger than memory.

Tables of text are read in :mod:`validation.reading.text`, the files of other programs in
:mod:`validation.reading.programs`.
"""

import bz2
import difflib
import gzip
import io
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pandas as pd

from pyimpl.linalg.forecast import Forecast
from pyimpl.linalg.memory import in_words, memory
from validation.errors import InputError
from validation.files import at_once
from validation.owndata import as_factors, understood
from validation.reading.programs import read_arrow, read_labelled, read_rds, read_workbook
from validation.reading.text import TextOptions, read_text

_TEXT = {".csv": None, ".tsv": "\t", ".tab": "\t", ".txt": None}
_BINARY = (".dta", ".sav", ".zsav", ".por", ".xlsx", ".feather", ".parquet", ".rds")
#: Kinds whose first bytes always say so.
_ALWAYS_MARKED = (".xlsx", ".feather", ".parquet")
#: Other endings of the same kinds of file.
_SAME = {".pq": ".parquet", ".arrow": ".feather", ".ipc": ".feather", ".xlsm": ".xlsx"}
_KINDS = ".csv, .tsv, .txt, .dta, .sav, .xlsx, .feather, .parquet or .rds"
_UNPACK: Mapping[str, Callable[[io.BytesIO], io.BufferedIOBase]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
#: What the first bytes of a file say it is.
_MAGIC = {
    b"PAR1": ".parquet",
    b"ARROW1": ".feather",
    b"FEA1": ".feather",
    b"<stata_dta>": ".dta",
    b"$FL2": ".sav",
    b"$FL3": ".sav",
    b"PK\x03\x04": ".xlsx",
    b"\xd0\xcf\x11\xe0": ".xls",
    b"\x1f\x8b": ".gz",
    b"BZh": ".bz2",
    b"\xfd7zXZ": ".xz",
    b"X\n\x00\x00\x00": ".rds",
    b"RDX": ".rdata",
}
#: Releases of Stata's format until Stata 12, each the first byte of its files; the order of bytes follows, and a 1.
_OLD_STATA = frozenset((102, 103, 104, 105, 108, 110, 111, 113, 114, 115))
_RDATA = "an .RData file, which may hold any number of things; in R write saveRDS(data, 'data.rds')"
_ADVICE = {
    ".xls": "an old Excel workbook; save it as .xlsx",
    ".rdata": _RDATA,
    ".rda": _RDATA,
    ".sas7bdat": "a SAS file; save it as .csv",
    ".json": "JSON, which is no table; save it as .csv",
    ".ods": "an OpenDocument sheet; save it as .xlsx or .csv",
}
_PIECE = 2**22  # bytes that are read between two steps of Python, where Ctrl-C is heard
_TEXT_NEEDS = 16  # bytes of memory for each of a text, measured: a string of Python for each cell
_SECONDS = 0.25  # for each million bytes of text, on a processor of today


@dataclass(frozen=True)
class Reading:
    """A data set, and how its file was understood.

    Attributes
    ----------
    data : pandas.DataFrame
    how : tuple of str
        What was done that is not a matter of course: another separator, decimal commas, ...
    """

    data: pd.DataFrame
    how: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join((*self.how, understood(self.data)))


def read_data(
    path: str | Path,
    *,
    factors: str | Sequence[str] = (),
    strings_as_factors: bool = False,
    encoding: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    missing: Sequence[str] | None = None,
    sheet: str | int | None = None,
    quiet: bool = False,
) -> pd.DataFrame:
    """Read a data file, and print in one line what was understood.

    Tables of text are read by the rules of R's ``read.csv``: a column is numbers, logical (``T``, ``F``) or text; a
    blank cell is missing in a column of numbers and the label "" in one of text. The separator is found out; with
    semicolons or tabs decimal commas are, too (R's ``read.csv2``). A lone ``.`` among numbers is missing. Labelled
    columns of Stata and SPSS become factors in the order of their values, never ordered ones; the codes that such a
    file declares missing are missing.

    Parameters
    ----------
    path : str or Path
        A ``.csv``, ``.tsv``, ``.txt`` (each also ``.gz``, ``.bz2``, ``.xz``), ``.dta``, ``.sav``, ``.xlsx``,
        ``.feather``, ``.parquet`` or ``.rds`` file (``.zsav``, ``.por``, ``.xlsm`` and ``.arrow``, too);
        ``"-"``: what comes on standard input.
    factors : str or sequence of str
        Columns to take as factors: ``"school"`` (levels sorted), or ``"sex=M,F"`` with its levels in order.
    strings_as_factors : bool
        Take every column of text as a factor.
    encoding : str, optional
        Of the text; UTF-8 where the file says nothing else.
    separator : str, optional
        One character; found out when not given.
    decimal : {".", ","}, optional
    missing : sequence of str, optional
        What stands for a missing value, in place of ``NA`` and of a lone ``.`` among numbers (R's ``na.strings``).
    sheet : str or int, optional
        Of a workbook; the first when not given.
    quiet : bool
        Print nothing.

    Returns
    -------
    pandas.DataFrame
        ``attrs["name"]`` is the file's name without its ending: what a summary shows as ``Data:``.

    Raises
    ------
    InputError
        The file is not there, cannot be read, is no table, or an option does not fit it.
    MissingExtraError
        What reads this kind of file is not installed; the text has the command.

    Examples
    --------
    >>> from mlmparity import read_data
    >>> data = read_data("scores.csv", factors=["sex=M,F"])  # doctest: +SKIP
    Read scores.csv: 1,905 rows, 4 columns; factor: sex (M, F); missing: score (180)
    """
    text = TextOptions(encoding, separator, decimal, missing)
    reading = read_file(path, text=text, sheet=sheet, factors=factors, strings_as_factors=strings_as_factors)
    if not quiet:
        print(f"Read {'standard input' if str(path) == '-' else Path(path).name}: {reading}")
    return reading.data


def read_file(
    path: str | Path,
    *,
    text: TextOptions | None = None,
    sheet: str | int | None = None,
    factors: str | Sequence[str] = (),
    strings_as_factors: bool = False,
) -> Reading:
    """Do what :func:`read_data` does, and return how the file was understood with the data."""
    name, content, kind = _content(path)
    try:
        data, said = _table(content, kind, text or TextOptions(), sheet)
        data, dropped = _tidy_names(data)
        data = as_factors(data, factors, strings_as_factors)
    except InputError as error:
        raise InputError(f"{name} cannot be used: {error}") from None
    except (MemoryError, RecursionError, ImportError):
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("bridge", "pyimpl", "validation"):
            raise
        # the readers of other packages raise whatever a damaged file makes them raise
        detail = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name} cannot be read as {kind}: {detail}") from None
    if not data.shape[1]:
        raise InputError(f"{name} has no columns")
    if not len(data):
        raise InputError(f"{name} has column names but no rows")
    data.attrs["name"] = "data" if str(path) == "-" else Path(path).name.split(".")[0] or "data"
    return Reading(data, (*said, *dropped))


def _content(path: str | Path) -> tuple[str, bytes, str]:
    """How a file is called in messages, its bytes unpacked, and its kind."""
    if str(path) == "-":
        shown, ending = "what came on standard input", ""
        content = _whole(sys.stdin.buffer, shown)
        if not content:
            raise InputError("nothing came on standard input")
    else:
        path = Path(path)
        shown, ending = repr(str(path)), path.suffix.lower()
        content = _of_file(path, shown)
    if unpack := _UNPACK.get(ending or kind_of(content) or ""):
        try:
            with unpack(io.BytesIO(content)) as unpacked:
                content = _whole(unpacked, f"{shown}, unpacked,")
        except InputError:
            raise
        except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
            raise InputError(f"{shown} cannot be unpacked: {' '.join(str(error).split())}") from None
        ending = ending and Path(Path(path).stem).suffix.lower()
    if not content:
        raise InputError(f"{shown} cannot be used: it is empty")
    found = kind_of(content)
    kind = ending or found or ".csv"
    kind = _SAME.get(kind, kind)
    if kind == ".xlsx" and found == ".xls":  # Excel puts a workbook with a password into the envelope of the old ones
        raise InputError(f"{shown} is protected by a password, or an old workbook; save it as .xlsx without a password")
    if advice := _ADVICE.get(kind) or _ADVICE.get(found or ""):
        raise InputError(f"{shown} is {advice}")
    if kind not in _TEXT and kind not in _BINARY:
        raise InputError(f"{shown} has the ending {kind!r}; a {_KINDS} file is needed")
    if kind in _TEXT and found is not None:
        raise InputError(f"{shown} is no text: it looks like {found} inside; give it that ending, or save it as .csv")
    if kind in _ALWAYS_MARKED and found != kind:
        like = f"it looks like {found} inside; give it that ending" if found else "perhaps text (.csv), or damaged"
        raise InputError(f"{shown} cannot be used: it is no {kind} file by its first bytes: {like}")
    return shown, content, kind


def kind_of(content: bytes) -> str | None:
    """The kind of file that its first bytes show; None where they show none (text)."""
    if len(content) > 3 and content[0] in _OLD_STATA and content[1] in (1, 2) and content[2] == 1:
        return ".dta"
    return next((kind for magic, kind in _MAGIC.items() if content.startswith(magic)), None)


def _of_file(path: Path, shown: str) -> bytes:
    """What a file holds; InputError where there is none, with the name that it may have been mistaken for."""
    if os.path.isdir(path):
        raise InputError(f"{shown} is a folder; a {_KINDS} file is needed")
    try:
        with open(path, "rb", opener=at_once) as file:
            return _whole(file, shown)
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [beside.name for beside in path.parent.glob("*")])
        raise InputError(f"there is no file {shown}." + (f" Is it {near[0]!r}?" if near else "")) from None
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the name
        raise error if isinstance(error, InputError) else InputError(f"{shown} is no name of a file: {error}") from None


def _whole(file: IO[bytes] | io.BufferedIOBase, shown: str) -> bytes:
    """All of a file, in pieces; refused where memory cannot hold it: a packed file says little about what is in it."""
    pieces, size = [], 0
    while piece := file.read(_PIECE):
        size += len(piece)
        if 2 * size > memory():  # the pieces and the whole
            raise InputError(f"{shown} has more than {in_words(size)}, which this machine's memory cannot hold")
        pieces.append(piece)
    return b"".join(pieces)


def _foretell(size: int) -> None:
    """Say how long a text of this size takes, or refuse it where memory cannot hold its cells."""
    if _TEXT_NEEDS * size > memory():
        raise InputError(
            f"it is {in_words(size)} of text, and to read it takes about {in_words(_TEXT_NEEDS * size)} of memory; the "
            f"machine has {in_words(memory())} for it. Save it as .parquet or .feather, or with fewer columns"
        )
    Forecast("reading", round(size / 1e6), "million bytes of text", "A .parquet file is read in seconds", _SECONDS)


def _table(content: bytes, kind: str, options: TextOptions, sheet: str | int | None) -> tuple[pd.DataFrame, list[str]]:
    """Read a file of a kind, and say how, as far as that is not a matter of course.

    The encoding is that of a text, or of the text in an old Stata or SPSS file; the sheet is a workbook's.
    """
    if sheet is not None and kind != ".xlsx":
        raise InputError("a sheet can be chosen in an .xlsx file only")
    if kind in _TEXT:
        _foretell(len(content))
        return read_text(content, options, separator=_TEXT[kind])
    told = {"separator": options.separator, "decimal mark": options.decimal, "text for missing values": options.missing}
    if given := [word for word, value in told.items() if value is not None]:
        raise InputError(f"a {kind} file has no {' and no '.join(given)} to be told")
    if kind == ".xlsx":
        return read_workbook(content, sheet)
    if kind in (".feather", ".parquet"):
        return read_arrow(content, kind)
    return read_rds(content) if kind == ".rds" else read_labelled(content, kind, options.encoding)


def _tidy_names(data: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out row numbers that were written with the data and columns without name and content; refuse twins."""
    data.columns = pd.Index([str(name) for name in data.columns])
    # R drops the name of a column of row numbers; so a file written by write.csv() is taken as it is meant
    first = 1 if data.columns[:1].isin(["", "Unnamed: 0", "__index_level_0__"]).any() else 0
    nameless = [j for j, name in enumerate(data.columns) if j >= first and not name.strip()]
    for j in nameless:
        if data.iloc[:, j].dropna().astype(str).str.strip().any():
            raise InputError(f"column {j + 1} has values but no name; give it one in the first line")
    data = data.iloc[:, [j for j in range(first, data.shape[1]) if j not in nameless]]
    if repeated := sorted(set(data.columns[data.columns.duplicated()])):
        raise InputError(f"it has more than one column {', '.join(map(repr, repeated))}; rename them")
    said = f"{len(nameless)} empty column{'s' * (len(nameless) > 1)} without a name left out"
    return data, [said] if nameless else []
