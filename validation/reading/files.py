"""``read_data``: a data file as people have it."""

import bz2
import difflib
import gzip
import io
import lzma
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
from validation.reading.formats import BINARY, kind_of, read_binary
from validation.reading.text import TextOptions, read_text

_TEXT = {".csv": None, ".tsv": "\t", ".tab": "\t", ".txt": None}
_UNPACK: Mapping[str, Callable[[io.BytesIO], io.BufferedIOBase]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": lambda file: bz2.BZ2File(file),
    ".xz": lambda file: lzma.LZMAFile(file),  # noqa: SIM115 - closed where it is used
}
_PIECE = 2**22  # bytes that are read between two steps of Python, where Ctrl-C is heard
_TEXT_NEEDS = 16  # bytes of memory for each of a text, measured: a string of Python for each cell
_SECONDS = 0.25  # for each million bytes of text, on a processor of today
_ADVICE = {
    ".xls": "an old Excel workbook; save it as .xlsx",
    ".rdata": "an .RData file, which may hold any number of things; in R write saveRDS(data, 'data.rds')",
    ".rda": "an .RData file, which may hold any number of things; in R write saveRDS(data, 'data.rds')",
    ".sas7bdat": "a SAS file; save it as .csv",
    ".json": "JSON, which is no table; save it as .csv",
    ".ods": "an OpenDocument sheet; save it as .xlsx or .csv",
}
#: Other endings of the same kinds of file.
_SAME = {".pq": ".parquet", ".arrow": ".feather", ".ipc": ".feather", ".xlsm": ".xlsx"}
_KINDS = ".csv, .tsv, .txt, .dta, .sav, .xlsx, .feather, .parquet or .rds"


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
    options = text or TextOptions()
    name, content, kind = _content(path)
    try:
        if kind in BINARY:
            _no_text_options(options, kind)
            data, said = read_binary(content, kind, encoding=options.encoding, sheet=sheet)
        else:
            if sheet is not None:
                raise InputError("a sheet can be chosen in an .xlsx file only")
            _foretell(len(content))
            data, said = read_text(content, options, separator=_TEXT.get(kind))
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
        shown, named = "what came on standard input", ""
        content = _whole(sys.stdin.buffer, shown)
        if not content:
            raise InputError("nothing came on standard input")
    else:
        path = Path(path)
        shown, named = repr(str(path)), path.suffix.lower()
        _is_file(path)
        try:
            with open(path, "rb", opener=at_once) as file:
                content = _whole(file, shown)
        except OSError as error:
            raise InputError(f"{shown} cannot be read: {error.strerror}") from None
    packed = kind_of(content) if named in _UNPACK or not named else None
    if packed in _UNPACK or named in _UNPACK:
        try:
            with _UNPACK[named or str(packed)](io.BytesIO(content)) as unpacked:
                content = _whole(unpacked, f"{shown}, unpacked,")
        except InputError:
            raise
        except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
            raise InputError(f"{shown} cannot be unpacked: {' '.join(str(error).split())}") from None
        named = Path(Path(path).stem).suffix.lower() if named else ""
    if named == ".rds":  # R packs it by itself
        return shown, content, ".rds"
    found = kind_of(content)
    if not content:
        raise InputError(f"{shown} cannot be used: it is empty")
    kind = named or found or ".csv"
    kind = _SAME.get(kind, kind)
    if kind == ".xlsx" and found == ".xls":  # Excel puts a workbook with a password into the envelope of the old ones
        raise InputError(f"{shown} is protected by a password, or an old workbook; save it as .xlsx without a password")
    if kind in _ADVICE or found in (".xls", ".rdata"):
        raise InputError(f"{shown} is {_ADVICE.get(kind) or _ADVICE[str(found)]}")
    if kind not in _TEXT and kind not in BINARY:
        raise InputError(f"{shown} has the ending {kind!r}; a {_KINDS} file is needed")
    if kind in _TEXT and found is not None:
        raise InputError(f"{shown} is no text: it looks like {found} inside; give it that ending, or save it as .csv")
    return shown, content, kind


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


def _is_file(path: Path) -> None:
    try:
        there, folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} is no name of a file: {error}") from None
    if folder:
        raise InputError(f"{str(path)!r} is a folder; a {_KINDS} file is needed")
    if not there:
        beside = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, beside)
        raise InputError(f"there is no file {str(path)!r}." + (f" Is it {near[0]!r}?" if near else ""))


def _no_text_options(options: TextOptions, kind: str) -> None:
    given = [
        word
        for word, value in (
            ("separator", options.separator),
            ("decimal mark", options.decimal),
            ("text for missing values", options.missing),
        )
        if value is not None
    ]
    if given:
        raise InputError(f"a {kind} file has no {' and no '.join(given)} to be told")


def _tidy_names(data: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out row numbers that were written with the data and columns without name and content; refuse twins."""
    data.columns = pd.Index([str(name) for name in data.columns])
    said = []
    # R drops the name of a column of row numbers; so a file written by write.csv() is taken as it is meant
    keep = [not (j == 0 and name in ("", "Unnamed: 0", "__index_level_0__")) for j, name in enumerate(data.columns)]
    nameless = [j for j, name in enumerate(data.columns) if keep[j] and not name.strip()]
    for j in nameless:
        column = data.iloc[:, j]
        keep[j] = not (column.isna() | column.astype(str).str.strip().isin(["", "nan", "None"])).all()
    empty = [j for j in nameless if not keep[j]]
    if empty:
        said.append(f"{len(empty)} empty column{'s' * (len(empty) > 1)} without a name left out")
    data = data.loc[:, keep]
    lacking = [j for j, name in enumerate(data.columns) if not name.strip()]
    if lacking:
        raise InputError(f"column {lacking[0] + 1} has values but no name; give it one in the first line")
    names = list(data.columns)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"it has more than one column {', '.join(map(repr, repeated))}; rename them")
    return data, said
