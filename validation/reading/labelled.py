"""Files of Stata and SPSS, whose values have labels.

A labelled column becomes a factor where each of its values has a label, its levels in the order of the values, and
never an ordered one: ``pandas.read_stata`` makes them ordered, and polynomial contrasts follow. Where only some values
have labels (a code for "refused", say) the column stays as numbers, and that is said.

What the file itself declares missing is missing, as both programs take it: Stata's ``.a`` to ``.z``, SPSS's
user-missing values and ranges. The labels of such codes are no levels; they are named in what is said.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pyimpl.extras import need
from validation.errors import InputError
from validation.owndata import some

_STATA_ORIGIN = pd.Timestamp(1960, 1, 1)
#: Stata's display formats of days and of milliseconds, by their beginnings; how a date is shown may follow.
_DAYS, _MILLISECONDS = ("%td", "%-td", "%d", "%-d"), ("%tc", "%-tc", "%tC", "%-tC")
_Ranges = Sequence[Mapping[str, object]]


def read_labelled(content: bytes, kind: str, encoding: str | None) -> tuple[pd.DataFrame, list[str]]:
    """Read a Stata or SPSS file; an old one's text is in the encoding.

    Returned with the data is what is to be said: columns with labels for some values only, codes that are missing
    values.
    """
    need("files", f"reading a {kind} file", "pyreadstat")
    import pyreadstat

    read = {".dta": pyreadstat.read_dta, ".por": pyreadstat.read_por}.get(kind, pyreadstat.read_sav)
    coded = {} if kind == ".por" else {"encoding": encoding}  # a portable file is in one of its own
    ranges: Mapping[str, _Ranges] = {}
    with tempfile.TemporaryDirectory(prefix="mlmparity-") as folder:  # pyreadstat 1.3.0 reads files only
        path = Path(folder, f"data{kind}")
        path.write_bytes(content)
        try:
            data, meta = read(path, **coded)
            if kind in (".sav", ".zsav"):  # the ranges are told only where their values are asked for
                ranges = read(path, metadataonly=True, user_missing=True, **coded)[1].missing_ranges
        except pyreadstat.ReadstatError as error:
            hint = ""
            if "convert string" in str(error) or "encoding" in str(error).lower():
                hint = '; name its encoding (--encoding latin-1; in Python encoding="latin-1")'
            raise InputError(f"it is no {kind} file that can be read ({error}){hint}") from None
    formats: Mapping[str, str] = meta.original_variable_types if kind == ".dta" else {}
    columns = {name: _plain(data[name], str(formats.get(name, ""))) for name in data.columns}
    partly, missing = [], []
    for name, texts in meta.variable_value_labels.items():
        column = columns.get(name)
        if column is None:
            continue
        levels = {v: text for v, text in texts.items() if not _is_missing(v, column, ranges.get(name, ()))}
        if len(levels) < len(texts):
            missing.append(f"{name} ({', '.join(text for value, text in texts.items() if value not in levels)})")
        values = column.dropna().unique()
        known = sum(value in levels for value in values)
        if 0 < known == len(values):
            columns[name] = _as_factor(column, levels)
        elif levels and (known or not len(values)):
            partly.append(f"{name} ({known} of {len(values)} values)")
    said = [f"declared missing: {some(missing)}"] if missing else []
    return pd.DataFrame(columns, index=data.index), [*said, *partly_labelled(partly)]


def partly_labelled(columns: Sequence[str]) -> list[str]:
    """What is said of columns of which only some values have labels; nothing where there are none."""
    return [f"only some values have labels, so left as numbers: {some(columns)}"] if columns else []


def _is_missing(value: object, column: pd.Series, ranges: Iterable[Mapping[str, object]]) -> bool:
    """Whether a labelled value is a missing code: a letter in a column of numbers (Stata), or in a range (SPSS)."""
    if isinstance(value, str) and pd.api.types.is_numeric_dtype(column):
        return True
    for limits in ranges:
        low, high = limits["lo"], limits["hi"]
        if isinstance(value, str) or isinstance(low, str) or isinstance(high, str):
            if value == low:
                return True
        elif low <= value <= high:  # type: ignore[operator]  # numbers, all three
            return True
    return False


def _plain(column: pd.Series, stata_format: str) -> pd.Series:
    """Numbers as R has them: integers where all are whole, also with missing values; dates in any of Stata's formats.

    pyreadstat knows a few formats of dates by name. A column of another one comes as numbers.
    """
    if pd.api.types.is_object_dtype(column.dtype):
        kind = pd.api.types.infer_dtype(column, skipna=True)
        return column.astype("Int64") if kind == "integer" else column
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return column
    if stata_format.startswith((*_DAYS, *_MILLISECONDS)):
        days = stata_format.startswith(_DAYS)
        numbers = column.to_numpy(dtype=float, na_value=np.nan)
        times = _STATA_ORIGIN + pd.to_timedelta(numbers, unit="D" if days else "ms")
        # a column of dates is one of datetime.date, here and in the bridge: R has days for it, and seconds for times
        dates = [None if pd.isna(time) else time.date() for time in times] if days else times
        return pd.Series(dates, index=column.index, dtype=object if days else None)
    if pd.api.types.is_float_dtype(column.dtype) and len(column):
        numbers = column.to_numpy()
        if np.isfinite(numbers).all() and (numbers == np.round(numbers)).all() and np.abs(numbers).max() < 2**31:
            return column.astype("int64")
    return column


def _as_factor(column: pd.Series, texts: Mapping[object, str]) -> pd.Series:
    """Labels in the order of their values; a label that two values share is one level, as in R's ``factor()``."""
    ordered = [texts[value] for value in sorted(texts, key=lambda value: (isinstance(value, str), value))]
    levels = list(dict.fromkeys(ordered))
    return pd.Series(pd.Categorical(column.map(texts), categories=levels), index=column.index)
