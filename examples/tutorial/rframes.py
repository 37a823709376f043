"""A data frame described as R describes it: ``summary(data)`` and ``str(data)``, the same text.

The rules are those of R's ``summary.data.frame``, ``format.summaryDefault`` and ``str.default``; numbers are written by
:mod:`pyimpl.text.numbers`. Tested against live R.
"""

import math
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pyimpl.text.numbers import format_chr, format_num, print_matrix, quantile7, r_signif, zapsmall
from r_scripts.dialect import Dialect

__all__ = ["r_str", "r_summary"]

_DIGITS = 4  # summary(): max(3, getOption("digits") - 3)
_ZAPPED = 4  # format.summaryDefault(): zdigits, since R 4.5
_MOST_LEVELS = 7  # summary(): maxsum
_LEVELS_WIDTH = 13  # str(): levels are listed until they take more than this
_VEC_LEN = 4  # str(): strOptions()$vec.len
_STR_DIGITS = 3  # str(): strOptions()$digits.d


def r_summary(data: pd.DataFrame, width: int = 80, dialect: Dialect | None = None) -> str:
    """``print(summary(data))``: lines joined by newlines, without a final one.

    Parameters
    ----------
    data : pandas.DataFrame
        Columns of numbers, booleans, text or categories.
    width : int
        R's ``options("width")``: columns wrap there.
    dialect : Dialect, optional
        The version of R that prints; the newest where not given.

    Raises
    ------
    TypeError
        A column of another type; the text names it.
    """
    spoken = Dialect.of(dialect)
    if data.shape[1] == 0:
        raise ValueError("the data frame has no columns to summarise")
    columns = [_summary_column(data[name], str(name), spoken) for name in data.columns]
    rows = max(len(entries) for entries in columns)
    headings, bodies = [], []
    for name, entries in zip(data.columns, columns, strict=True):
        labels = format_chr([label for label, _ in entries])
        body = [f"{label}:{text}  " for label, (_, text) in zip(labels, entries, strict=True)]
        bodies.append(body + [""] * (rows - len(body)))
        # The name stands centred over the label and what follows it, as R pads it.
        headings.append(" " * max(0, math.floor(len(labels[0]) - len(str(name)) / 2)) + str(name))
    cells = np.array(bodies, dtype=object).T
    return print_matrix(cells, [""] * rows, headings, right=False, width=width)


def _missing_label(dialect: Dialect) -> str:
    return "NAs" if dialect.has("nas_without_apostrophe") else "NA's"


def _summary_column(column: pd.Series, name: str, dialect: Dialect) -> list[tuple[str, str]]:
    missing = int(column.isna().sum())
    label = _missing_label(dialect)
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _summary_factor(column, missing, label)
    if pd.api.types.is_bool_dtype(column.dtype):
        counts = column.value_counts()
        entries = [("Mode", "logical")]
        entries += [(text, str(counts[value])) for value, text in ((False, "FALSE"), (True, "TRUE")) if value in counts]
        entries += [(label, str(missing))] if missing else []
        texts = format_chr([text for _, text in entries])
        return list(zip([text for text, _ in entries], texts, strict=True))
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _summary_numbers(column, missing, dialect)
    if pd.api.types.is_string_dtype(column.dtype):
        return _summary_text(column, missing, dialect)
    raise TypeError(
        f"column {name!r} has type {column.dtype}; numbers, booleans, text and categories can be summarised"
    )


def _summary_numbers(column: pd.Series, missing: int, dialect: Dialect) -> list[tuple[str, str]]:
    present = column.dropna().to_numpy(dtype=float)
    if not present.size:
        values = np.full(6, np.nan)
    else:
        low, first, median, third, high = quantile7(present)
        values = np.array([low, first, median, present.mean(), third, high])
    values = r_signif(values, 12)
    digits = _DIGITS + _ZAPPED if dialect.has("summary_frame_digits") else 7  # 7: getOption("digits")
    # before R 4.6 the count of missing values was zapped along with the quantiles, so that it could set how small is
    # small
    along = missing and not dialect.has("nas_without_apostrophe")
    texts = format_num(zapsmall([*values, missing] if along else values, digits)[:6], _DIGITS)
    entries = list(zip(("Min.", "1st Qu.", "Median", "Mean", "3rd Qu.", "Max."), texts, strict=True))
    # A count of missing values is left-justified under numbers of one width.
    return entries + ([(_missing_label(dialect), str(missing).ljust(len(texts[0])))] if missing else [])


def _summary_text(column: pd.Series, missing: int, dialect: Dialect) -> list[tuple[str, str]]:
    if not dialect.has("summary_of_text"):
        texts = format_chr([str(len(column)), "character", "character"])
        return list(zip(("Length", "Class", "Mode"), texts, strict=True))
    present = [str(value) for value in column.dropna()]
    sizes = [len(value) for value in present]
    entries: list[tuple[str, int | None]] = [
        ("Length", len(column)),
        ("N.unique", len(set(present))),
        ("N.blank", sum(not value.strip(" \t\r\n") for value in present)),
        ("Min.nchar", min(sizes, default=None)),
        ("Max.nchar", max(sizes, default=None)),
        *([("NAs", missing)] if missing else []),
    ]
    shown = ["NA" if value is None else str(value) for _, value in entries]
    width = max(map(len, shown))
    return [(label, text.rjust(width)) for (label, _), text in zip(entries, shown, strict=True)]


def _summary_factor(column: pd.Series, missing: int, label: str) -> list[tuple[str, str]]:
    counts = column.value_counts(sort=False).reindex(column.cat.categories)
    entries = [(str(level), int(count)) for level, count in counts.items()]
    most = _MOST_LEVELS - (1 if missing else 0)
    if len(entries) > most:
        # R sorts with sort.list(decreasing = TRUE): stable, so ties stay in the order of the levels.
        ordered = sorted(entries, key=lambda entry: -entry[1])
        entries = [*ordered[: most - 1], ("(Other)", sum(count for _, count in ordered[most - 1 :]))]
    if missing:
        entries.append((label, missing))
    texts = format_num([count for _, count in entries])
    return [(name, text) for (name, _), text in zip(entries, texts, strict=True)]


def r_str(data: pd.DataFrame, width: int = 80) -> str:
    """``str(data)``: lines joined by newlines, without a final one.

    Parameters
    ----------
    data : pandas.DataFrame
        Columns of numbers, booleans, text or categories.
    width : int
        R's ``options("width")``.

    Raises
    ------
    TypeError
        A column of another type; the text names it.
    """
    count = data.shape[1]
    end = ":" if count else ""
    head = f"'data.frame':\t{len(data)} obs. of  {count} variable{'' if count == 1 else 's'}{end}"
    names = format_chr([str(name) for name in data.columns])
    return "\n".join(
        [
            head,
            *(
                f" $ {name}:{_str_column(data[column], str(column), width)}"
                for name, column in zip(names, data.columns, strict=True)
            ),
        ]
    )


def _str_column(column: pd.Series, name: str, width: int) -> str:
    if isinstance(column.dtype, pd.CategoricalDtype):
        head = _str_factor(column.cat.categories.astype(str).tolist(), bool(column.cat.ordered), width)
        shown = [str(code + 1) if code >= 0 else "NA" for code in column.cat.codes[:10]]
        return _line(head, shown, len(column) > 10)
    if pd.api.types.is_bool_dtype(column.dtype):
        shown = ["NA" if pd.isna(value) else str(bool(value)).upper() for value in column[:6]]
        return _line(" logi ", shown, len(column) > 6)
    if pd.api.types.is_integer_dtype(column.dtype):
        shown = ["NA" if pd.isna(value) else str(int(value)) for value in column[:10]]
        return _line(" int ", shown, len(column) > 10)
    if pd.api.types.is_numeric_dtype(column.dtype):
        values = column.to_numpy(dtype=float, na_value=np.nan)
        length = 10 if _few_digits(values[:10]) else 5
        return _line(" num ", _str_numbers(values[:length]), len(values) > length)
    if pd.api.types.is_string_dtype(column.dtype):
        shown = ["NA" if pd.isna(value) else f'"{_escaped(value)}"' for value in column[:_VEC_LEN]]
        return _line(" chr ", shown, len(column) > _VEC_LEN)
    raise TypeError(f"column {name!r} has type {column.dtype}; numbers, booleans, text and categories can be described")


def _line(head: str, shown: Sequence[str], more: bool) -> str:
    return f"{head} {' '.join(shown)}{' ...' if more else ''}"


def _str_factor(levels: list[str], ordered: bool, width: int) -> str:
    quoted = [f'"{_escaped(level)}"' for level in levels[: int(min(max(width / 2, 10), 1000))]]
    used = np.cumsum([len(level) + 1 for level in quoted])
    shown = len(quoted)
    if shown > 1 and used[-1] > _LEVELS_WIDTH:
        shown = int(np.argmax(used > _LEVELS_WIDTH)) + 1
    separator = "<" if ordered else ","
    listed = separator.join(quoted[:shown])
    rest = f"{separator}.." if shown < len(levels) else ""
    kind = " Ord.factor" if ordered else " Factor"
    space = " " if levels else ""
    return f"{kind} w/ {len(levels)} level{'' if len(levels) == 1 else 's'}{space}{listed}{rest}:"


def _few_digits(values: np.ndarray) -> bool:
    """Whether three significant digits show the values in full: then R shows ten of them, otherwise five."""
    values = values[~np.isnan(values)]
    size = np.abs(values)
    plain = bool(np.all((size > 1e-10) | (size == 0)) and np.all((size < 1e10) | (size == 0)))
    return plain and bool(np.all(np.abs(values - r_signif(values, _STR_DIGITS)) <= 9e-16 * size))


def _str_numbers(values: np.ndarray) -> list[str]:
    texts = [text.strip() for text in format_num(values, _STR_DIGITS)]
    return [_without_trailing_zeros(text) for text in texts]


def _without_trailing_zeros(text: str) -> str:
    """``prettyNum(text, drop0trailing = TRUE)``: with an exponent, R drops nothing but an exponent of zero."""
    whole, point, decimals = text.partition(".")
    if not point:
        return text
    decimals = re.sub(r"e[+-]0+$", "", decimals) if "e" in decimals else decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole


def _escaped(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return "".join(escapes.get(character, character) for character in str(text))
