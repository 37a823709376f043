"""One's own data for a comparison: factors as they are meant, and one line on what a table holds."""

import difflib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from validation.errors import InputError


def understood(data: pd.DataFrame) -> str:
    """One line on a table: rows, columns, factors and their order, text, logical columns, dates, missing values.

    Ordered factors are told apart: their coefficients are those of polynomial contrasts, as in R.
    """
    kinds: dict[str, list[str]] = {kind: [] for kind in _LISTED}
    for name in data.columns:
        kind, levels = _kind(data[name]), ""
        if isinstance(data[name].dtype, pd.CategoricalDtype):
            levels = f" ({_levels(data[name].cat.categories, ' < ' if data[name].cat.ordered else ', ')})"
        kinds.get(kind, []).append(f"{name}{levels}")
    missing = [f"{name} ({count})" for name, count in data.isna().sum().items() if count]
    parts = [f"{len(data):,} row{'s' * (len(data) != 1)}, {data.shape[1]} column{'s' * (data.shape[1] != 1)}"]
    parts += [f"{kind}: {some(names, _MOST_COLUMNS)}" for kind, names in kinds.items() if names]
    return "; ".join([*parts, f"missing: {some(missing, _MOST_COLUMNS) or 'none'}"])


_MOST_LEVELS, _MOST_COLUMNS = 6, 12
_OTHER = "of a kind that no model takes"
_ORDERED = "ordered factor, which makes polynomial contrasts"
#: The kinds of columns that are listed. Numbers, whatever their type, are not.
_LISTED = ("factor", _ORDERED, "text", "logical", "date", _OTHER)
#: By pandas' name for what a column holds.
_WORDS = {
    **dict.fromkeys(("string", "empty"), "text"),
    **dict.fromkeys(("date", "datetime", "datetime64"), "date"),
    "boolean": "logical",
    **dict.fromkeys(("integer", "floating", "mixed-integer-float", "decimal"), "number"),
}


def _kind(column: pd.Series) -> str:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _ORDERED if column.cat.ordered else "factor"
    return _WORDS.get(pd.api.types.infer_dtype(column, skipna=True), _OTHER)


def _levels(levels: pd.Index, between: str) -> str:
    """Levels in their order; of many, how many there are and the first ones."""
    texts = [str(level) for level in levels]
    if len(texts) <= _MOST_LEVELS:
        return between.join(texts) or "no levels"
    return f"{len(texts)} levels: {between.join(texts[:3])}{between}...{between}{texts[-1]}"


def some(names: Sequence[str], most: int = 5) -> str:
    """The first of many names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def parse_factor(text: str) -> tuple[str, list[str] | None]:
    """Take ``COL`` or ``COL=lev1,lev2,...`` apart."""
    name, equals, rest = text.partition("=")
    name = name.strip()
    if not name:
        raise InputError(f"--factor {text!r} names no column; write --factor COLUMN or --factor COLUMN=level1,level2")
    if not equals:
        return name, None
    levels = [level.strip() for level in rest.split(",")]
    if "" in levels:
        raise InputError(f"--factor {text!r} has an empty level; write --factor COLUMN=level1,level2")
    if repeated := sorted({level for level in levels if levels.count(level) > 1}):
        raise InputError(f"--factor {name} names level {', '.join(map(repr, repeated))} more than once")
    return name, levels


def as_factors(data: pd.DataFrame, factors: str | Sequence[str] = (), strings: bool = False) -> pd.DataFrame:
    """Return a copy of the data with columns turned into factors.

    Each is ``COL`` (levels sorted, numbers as numbers, as R's ``factor()``) or ``COL=lev1,lev2`` (in that order);
    ``strings`` turns every column of text into one, as R's ``stringsAsFactors = TRUE``.
    """
    data = data.copy()
    if not isinstance(factors, (str, Sequence)):
        raise InputError(
            f"factors names columns, such as ['school', 'sex=M,F'], not {factors!r}; "
            "for every column of text give strings_as_factors=True"
        )
    for text in (factors,) if isinstance(factors, str) else factors:
        name, levels = parse_factor(text)
        if name not in data.columns:
            there = list(map(str, data.columns))
            near = difflib.get_close_matches(name, there, n=3)
            hint = f"; did you mean {', '.join(map(repr, near))}?" if near else "."
            raise InputError(
                f"a factor is to be the column {name!r}, which the data do not have{hint} They have: {', '.join(there)}"
            )
        data[name] = _factor(data[name], name, levels)
    if strings:
        for column in data.columns:
            if pd.api.types.infer_dtype(data[column], skipna=True) == "string":
                data[column] = _factor(data[column], str(column), None)
    return data


def _factor(column: pd.Series, name: str, levels: list[str] | None) -> pd.Series:
    labels = {value: _label(value) for value in column.dropna().unique()}
    if levels is None:
        levels = [labels[value] for value in sorted(labels)]
    if unknown := [label for label in labels.values() if label not in levels]:
        raise InputError(
            f"column {name!r} has values that --factor does not list as levels: {some(list(map(repr, unknown)))}. "
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
