"""One's own data for a comparison: a table file read as R's ``read.csv`` would, and factors as they are meant."""

import bz2
import difflib
import gzip
import lzma
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from validation.rcsv import RTableError, read_r_table

__all__ = ["InputError", "as_factors", "parse_factor", "read_table", "understood"]


class InputError(ValueError):
    """A file, a column or an option does not fit; the text says what was found, what was expected, and the fix."""


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a ``.csv`` (also ``.csv.gz``, ``.tsv``) or ``.parquet`` file.

    Tables of text are read by the rules of R's ``read.csv`` (``validation.rcsv``): an empty cell is missing in a
    column of numbers and the label "" in one of text, "NaN" is a label there, too, and a column of T and F is logical.
    Column names are kept as they are.

    Raises
    ------
    InputError
        The file is not there, is of another kind, is not UTF-8 text, is empty, or repeats a column name.
    """
    path = Path(path)
    if not path.exists():
        near = difflib.get_close_matches(
            path.name, [p.name for p in path.parent.glob("*")] if path.parent.is_dir() else []
        )
        hint = f" Is it {near[0]!r}?" if near else ""
        raise InputError(f"there is no file {str(path)!r}.{hint}")
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder; a .csv or .parquet file is needed")
    kind = "".join(path.suffixes[-2:]).lower() if path.suffix.lower() in (".gz", ".xz", ".bz2") else path.suffix.lower()
    try:
        if kind == ".parquet":
            data = pd.read_parquet(path)
        elif kind.startswith((".csv", ".tsv")):
            data = read_r_table(_text(path), "\t" if kind.startswith(".tsv") else ",")
            names = [str(name) for name in data.columns]
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise InputError(
                    f"{str(path)!r} has more than one column {', '.join(map(repr, repeated))}; rename them"
                )
        else:
            raise InputError(f"{str(path)!r} is neither .csv, .tsv nor .parquet; save it as one of these")
    except ImportError:
        raise InputError(f"reading {str(path)!r} needs pyarrow; run: python -m pip install pyarrow") from None
    except RTableError as error:
        raise InputError(f"{str(path)!r} cannot be used: {error}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{str(path)!r} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(path)!r} cannot be read: {' '.join(str(error).split())}") from None
    if not len(data):
        raise InputError(f"{str(path)!r} has column names but no rows")
    # R drops the name of a column of row numbers; so a file written by write.csv() is taken as it is meant.
    return data.drop(columns=[c for c in data.columns[:1] if str(c) in ("Unnamed: 0", "")])


def _text(path: Path) -> str:
    """A text file, unpacked; a byte order mark is none of its letters."""
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    opener = openers.get(path.suffix.lower(), open)
    with opener(path, "rb") as file:
        return file.read().decode("utf-8-sig")


def understood(data: pd.DataFrame) -> str:
    """One line on how a table was read: rows, columns, factors and text, logical columns, missing values."""
    kinds: dict[str, list[str]] = {"factor": [], "text": [], "logical": []}
    for name in data.columns:
        column = data[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            kinds["factor"].append(f"{name} ({len(column.cat.categories)} levels)")
        elif pd.api.types.is_bool_dtype(column.dtype):
            kinds["logical"].append(str(name))
        elif not pd.api.types.is_numeric_dtype(column.dtype):
            kinds["text"].append(str(name))
    missing = {str(name): int(count) for name, count in data.isna().sum().items() if count}
    parts = [f"{len(data):,} rows, {data.shape[1]} columns"]
    parts += [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
    parts.append("missing: " + (", ".join(f"{name} ({count})" for name, count in missing.items()) or "none"))
    return "; ".join(parts)


def parse_factor(text: str) -> tuple[str, list[str] | None]:
    """Take ``COL`` or ``COL=lev1,lev2,...`` apart.

    Raises
    ------
    InputError
        No column name, an empty level, or a level twice.
    """
    name, equals, rest = text.partition("=")
    name = name.strip()
    if not name:
        raise InputError(f"--factor {text!r} names no column; write --factor COLUMN or --factor COLUMN=level1,level2")
    if not equals:
        return name, None
    levels = [level.strip() for level in rest.split(",")]
    if "" in levels:
        raise InputError(f"--factor {text!r} has an empty level; write --factor COLUMN=level1,level2")
    repeated = sorted({level for level in levels if levels.count(level) > 1})
    if repeated:
        raise InputError(f"--factor {name} names level {', '.join(map(repr, repeated))} more than once")
    return name, levels


def as_factors(data: pd.DataFrame, factors: Sequence[str] = (), strings: bool = False) -> pd.DataFrame:
    """Return a copy of the data with columns turned into factors.

    Parameters
    ----------
    data : pandas.DataFrame
    factors : sequence of str
        Each ``COL`` (levels sorted, numbers as numbers, as R's ``factor()``) or ``COL=lev1,lev2`` (in that order).
    strings : bool
        Turn every column of text into a factor, as R's ``stringsAsFactors = TRUE``.

    Raises
    ------
    InputError
        A column that is not there, or a value that is none of the levels given.
    """
    data = data.copy()
    for text in factors:
        name, levels = parse_factor(text)
        if name not in data.columns:
            near = difflib.get_close_matches(name, [str(column) for column in data.columns], n=3)
            hint = f"; did you mean {', '.join(map(repr, near))}?" if near else "."
            raise InputError(
                f"--factor names the column {name!r}, which the data do not have{hint} "
                f"They have: {', '.join(map(str, data.columns))}"
            )
        data[name] = _factor(data[name], name, levels)
    if strings:
        for column in data.columns:
            if pd.api.types.is_string_dtype(data[column]) and not isinstance(data[column].dtype, pd.CategoricalDtype):
                data[column] = _factor(data[column], str(column), None)
    return data


def _factor(column: pd.Series, name: str, levels: list[str] | None) -> pd.Series:
    values = column.dropna().unique()
    labels = {value: _label(value) for value in values}
    if levels is None:
        ordered = sorted(values)
        levels = [labels[value] for value in ordered]
    else:
        unknown = [label for label in labels.values() if label not in levels]
        if unknown:
            shown = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
            raise InputError(
                f"column {name!r} has values that --factor does not list as levels: {shown}. "
                "List every level, or leave out the levels to have them sorted"
            )
    text = column.map(labels.__getitem__, na_action="ignore").astype(object)
    return pd.Series(pd.Categorical(text, categories=levels), index=column.index, name=column.name)


def _label(value: object) -> str:
    """Return a value as R's ``as.character`` writes it, for what a file can hold."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (bool, np.bool_)):
        return "TRUE" if value else "FALSE"
    return f"{value:.15g}" if isinstance(value, float) else str(value)
