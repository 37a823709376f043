"""Files that are no text: what kind a file is, and which module reads it.

Stata's and SPSS's are read in :mod:`validation.reading.labelled`, Excel's in :mod:`validation.reading.workbook`; those
of Arrow (Feather, Parquet) and R's own are read here. A file that is damaged or of another kind is an ``InputError``,
one whose reader is not installed a ``MissingExtraError``.
"""

import io

import pandas as pd

from pyimpl.extras import need
from validation.errors import InputError
from validation.reading.labelled import partly_labelled, read_labelled
from validation.reading.scratch import as_file
from validation.reading.workbook import read_workbook

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

#: Releases of Stata's format until Stata 12, each the first byte of its files; the order of bytes follows, and a 1.
_OLD_STATA = frozenset((102, 103, 104, 105, 108, 110, 111, 113, 114, 115))
#: Kinds whose first bytes always say so.
_ALWAYS_MARKED = (".xlsx", ".feather", ".parquet")
BINARY = (".dta", ".sav", ".zsav", ".por", ".xlsx", ".feather", ".parquet", ".rds")


def kind_of(content: bytes) -> str | None:
    """The kind of file that its first bytes show; None where they show none (text)."""
    if len(content) > 3 and content[0] in _OLD_STATA and content[1] in (1, 2) and content[2] == 1:
        return ".dta"
    return next((kind for magic, kind in _MAGIC if content.startswith(magic)), None)


def read_binary(
    content: bytes, kind: str, *, encoding: str | None, sheet: str | int | None
) -> tuple[pd.DataFrame, list[str]]:
    """Read a file of one of the kinds :data:`BINARY`, and say how, as far as that is not a matter of course.

    The encoding is that of the text in an old Stata or SPSS file, the sheet a workbook's: its name, or its number from
    0.
    """
    inside = kind_of(content)
    if kind in _ALWAYS_MARKED and inside != kind:
        like = f"it looks like {inside} inside; give it that ending" if inside else "perhaps text (.csv), or damaged"
        raise InputError(f"it is no {kind} file by its first bytes: {like}")
    if kind == ".xlsx":
        return read_workbook(content, sheet)
    if kind in (".feather", ".parquet"):
        return _arrow(content, kind)
    if kind == ".rds":
        return _rds(content)
    return read_labelled(content, kind, encoding)


def _arrow(content: bytes, kind: str) -> tuple[pd.DataFrame, list[str]]:
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


def _rds(content: bytes) -> tuple[pd.DataFrame, list[str]]:
    """R's own format, which only R reads: in the worker, which can neither start programs nor write."""
    from bridge import datasets
    from bridge.errors import DataError

    with as_file(content, ".rds") as name:
        try:
            data = datasets.read_rds(name)
        except DataError as error:
            raise InputError(str(error)) from None
    return data, partly_labelled(data.attrs.pop("partly_labelled"))
