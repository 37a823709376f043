"""A value of R and a value of Python as labelled numbers, so that they can stand side by side.

R's come as JSON (``r_scripts/watch.R``), Python's as pandas objects, arrays, numbers and our fits' results.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["MANY", "Labelled", "column_of", "from_python", "from_r", "r_frame", "r_literal", "summed_up"]

#: Numbers beyond which a table is kept by its columns' moments and quantiles alone (``r_scripts/watch.R`` has it, too).
LARGE = 200_000
#: Values of a column from which it has quantiles, and of a random value from which it is compared by them.
MANY = 200
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass
class Labelled:
    """Numbers with labels, in order; texts beside them.

    Attributes
    ----------
    numbers : list of (label, float)
        NaN where the value is missing.
    texts : list of (label, str)
    other : str
        What it is where it is neither (a function, a plot, something too large).
    unnamed : bool
        Whether it is a vector without names: its labels only count.
    summed : bool
        Whether the numbers are moments and quantiles of columns that are too long to be kept.
    """

    numbers: list[tuple[str, float]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    other: str = ""
    unnamed: bool = False
    summed: bool = False

    def series(self) -> pd.Series:
        """The numbers, indexed by their labels."""
        return pd.Series([value for _, value in self.numbers], index=[label for label, _ in self.numbers], dtype=float)


def _number(value: Any) -> float:
    if value is None or value == "NaN":
        return math.nan
    if value in ("Inf", "-Inf"):
        return math.inf if value == "Inf" else -math.inf
    return float(value)


def _join(*parts: object) -> str:
    return " · ".join(str(part) for part in parts if str(part) != "")


def column_of(label: str) -> str:
    """What numbers are of one kind: those of a column; a vector's are all of one."""
    _row, between, column = label.rpartition(" · ")
    return column if between else ""


def summed_up(value: Labelled) -> Labelled:
    """A value by its columns: their means, standard deviations and quantiles, and the mean by place.

    The mean by place, Σ k x_k / Σ k, is another where the same numbers stand in another order.
    """
    if value.summed:
        return value
    columns: dict[str, list[float]] = {}
    for label, number in value.numbers:
        columns.setdefault(column_of(label), []).append(number)
    out = Labelled(summed=True)
    for name, numbers in columns.items():
        _moments(out, name, np.array(numbers, dtype=float))
    return out


def _moments(out: Labelled, label: str, numbers: "np.ndarray[Any, np.dtype[np.float64]]") -> None:
    places = np.arange(1.0, len(numbers) + 1.0)
    parts = {"mean": np.mean(numbers), "sd": np.std(numbers), "by place": np.sum(places * numbers) / np.sum(places)}
    if len(numbers) >= MANY:
        parts |= {f"{100 * level:g}%": np.quantile(numbers, level) for level in _LEVELS}
    out.numbers += [(_join(label, what), float(number)) for what, number in parts.items()]
    out.summed = True


def from_r(value: Mapping[str, Any], label: str = "") -> Labelled:
    """R's value, as labelled numbers.

    Parameters
    ----------
    value : mapping
        As ``r_scripts/watch.R`` writes it.
    label : str
        What stands before each label.
    """
    found = Labelled()
    _r_into(found, value, label)
    found.unnamed = "values" in value and not value.get("names") and not value.get("dim")
    return found


def _r_into(found: Labelled, value: Mapping[str, Any], label: str) -> None:
    kind = value["type"]
    if kind == "list":
        names = value.get("names") or [""] * len(value["items"])
        for k, item in enumerate(value["items"]):
            _r_into(found, item, _join(label, names[k] or (k + 1 if len(value["items"]) > 1 else "")))
    elif kind == "frame":
        for name, column in zip(value["names"], value["columns"], strict=True):
            for row, one in zip(value["rows"], _plain(column), strict=False):
                _one(found, _join(label, row, name), one)
    elif kind in ("double", "integer", "logical", "character", "factor", "ordered", "date", "time"):
        values = _plain(value)
        for name, one in zip(_labels(value, len(values)), values, strict=True):
            _one(found, _join(label, name), one)
    elif kind == "summed":  # moments and quantiles of what was too large to be kept
        for k, column in enumerate(value["columns"]):
            name = value["names"][k] if value.get("names") else k + 1 if len(value["columns"]) > 1 else ""
            numbers = zip(value["rows"], column["values"], strict=True)
            found.numbers += [(_join(label, name, row), _number(one)) for row, one in numbers]
        found.summed = True
    elif kind == "null":
        pass
    else:
        found.other = " ".join(value.get("class", [kind]))


def _plain(value: Mapping[str, Any]) -> list[Any]:
    kind = value["type"]
    if kind in ("factor", "ordered"):
        return [None if code is None else value["levels"][int(code) - 1] for code in value["values"]]
    if kind in ("double", "integer", "logical"):
        return [_number(one) for one in value["values"]]
    return list(value.get("values", []))


def _labels(value: Mapping[str, Any], length: int) -> list[str]:
    dims = value.get("dim")
    if dims and len(dims) >= 2 and length:
        names = value.get("dimnames") or [None] * len(dims)
        axes = [names[k] or [str(i + 1) for i in range(dims[k])] for k in range(len(dims))]
        out = []
        for k in range(length):  # R's order: the first index runs fastest
            parts, rest = [], k
            for axis in axes:
                parts.append(axis[rest % len(axis)])
                rest //= len(axis)
            out.append(_join(*parts))
        return out
    names = value.get("names")
    if dims and len(dims) == 1 and value.get("dimnames"):  # a table of one factor
        names = value["dimnames"][0]
    if names:
        return [name or str(k + 1) for k, name in enumerate(names)]
    return [""] if length == 1 else [str(k + 1) for k in range(length)]


def _one(found: Labelled, label: str, value: Any) -> None:
    if isinstance(value, bool | np.bool_):
        found.numbers.append((label, float(value)))
    elif value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        found.numbers.append((label, math.nan))
    elif isinstance(value, int | float | np.integer | np.floating):
        found.numbers.append((label, float(value)))
    else:
        found.texts.append((label, str(value)))


def from_python(value: Any, label: str = "") -> Labelled:
    """Python's value, as labelled numbers; labels as R has them for the same thing.

    Parameters
    ----------
    value : object
        Number, text, Series, DataFrame, array, list or dict of them, or what a fit's methods return.
    label : str
    """
    found = Labelled()
    _python_into(found, value, label)
    return found


def _python_into(found: Labelled, value: Any, label: str) -> None:
    if value is None:
        return
    summary = _summary_parts(value)
    if summary is not None:
        for name, part in summary.items():
            _python_into(found, part, _join(label, name))
    elif hasattr(value, "toarray"):  # sparse
        _python_into(found, pd.DataFrame(value.toarray()), label)
    elif isinstance(value, pd.DataFrame | pd.Series | np.ndarray) and value.size > LARGE:
        _large_into(found, value, label)
    elif isinstance(value, pd.DataFrame) and "observed" in value.attrs:  # a bootstrap
        _python_into(found, value.attrs["observed"], _join(label, "t0"))
        _python_into(found, pd.DataFrame(value.to_numpy()), _join(label, "t"))
    elif isinstance(value, pd.DataFrame):
        for name in value.columns:
            for row, one in zip(_r_rows(value.index), value[name].tolist(), strict=True):
                _one(found, _join(label, row, name), one)
    elif isinstance(value, pd.Series):
        single = len(value) == 1 and isinstance(value.index, pd.RangeIndex)
        for row, one in zip(_r_rows(value.index), value.tolist(), strict=True):
            _one(found, label if single else _join(label, row), one)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            _python_into(found, part, _join(label, name))
    elif hasattr(value, "dims") and hasattr(value, "to_numpy"):  # conditional variances: R counts down their columns
        _python_into(found, value.to_numpy().ravel(), label)
    elif isinstance(value, np.ndarray) and value.ndim == 0:
        _one(found, label, value.item())
    elif isinstance(value, list | tuple | np.ndarray | pd.Index | range):
        items = list(value)
        for k, part in enumerate(items):
            _python_into(found, part, _join(label, k + 1 if len(items) > 1 else ""))
    elif isinstance(value, str | bool | int | float | np.generic):
        _one(found, label, value)
    elif type(value).__name__ == "PrintedText":  # R prints it, and so do we
        found.texts.append((label, str(value)))
    else:
        found.other = type(value).__name__


def _large_into(found: Labelled, value: Any, label: str) -> None:
    """A table or a vector that is too large to be kept number by number."""
    if isinstance(value, pd.DataFrame):
        for name in value.columns[[pd.api.types.is_numeric_dtype(one) for one in value.dtypes]]:
            _moments(found, _join(label, name), value[name].to_numpy(dtype=float, na_value=math.nan))
        return
    values = (
        value.to_numpy(dtype=float, na_value=math.nan) if isinstance(value, pd.Series) else np.asarray(value, float)
    )
    if values.ndim == 1:
        _moments(found, label, values)
        return
    for k, column in enumerate(values.reshape(-1, values.shape[-1]).T):
        _moments(found, _join(label, k + 1), column)


def _r_rows(index: pd.Index) -> list[Any]:
    """R counts rows without names from 1."""
    if isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1:
        return [k + 1 for k in index]
    return list(index)


def _summary_parts(value: Any) -> dict[str, Any] | None:
    """The numbers of a printed summary, named as R's summary names them."""
    if hasattr(value, "coefficients") and hasattr(value, "sigma") and hasattr(value, "to_text"):
        parts = {"coefficients": value.coefficients, "sigma": value.sigma}
        if hasattr(value, "r_squared"):  # of a linear model
            parts |= {"r.squared": value.r_squared, "adj.r.squared": value.adj_r_squared}
            parts |= {"df": value.df, "fstatistic": value.fstatistic}
        return parts
    if hasattr(value, "emmeans") and hasattr(value, "contrasts"):
        return {value.label: value.emmeans, "contrasts": value.contrasts}
    if isinstance(getattr(value, "frame", None), pd.DataFrame) and hasattr(value, "estimate"):  # means, contrasts
        return {"": value.frame}
    table, text = getattr(value, "table", None), getattr(value, "text", None)
    if isinstance(table, pd.DataFrame) and text is not None:
        return {"": table}
    estimates = getattr(value, "estimates", None)
    return {"": estimates} if isinstance(estimates, pd.DataFrame) else None


def r_frame(stored: Mapping[str, Any]) -> pd.DataFrame:
    """R's data frame as pandas': factors as categoricals with their levels in R's order, row names as index.

    Parameters
    ----------
    stored : mapping
        As ``r_scripts/watch.R`` writes ``frame-<k>.json``.
    """
    columns: dict[str, Any] = {}
    for name, column in zip(stored["names"], stored["columns"], strict=True):
        columns[name] = _column(column)
    rows: Sequence[str] = stored["rows"]
    automatic = stored.get("automatic", True) and list(rows) == [str(k + 1) for k in range(len(rows))]
    index = pd.RangeIndex(len(rows)) if automatic else pd.Index(list(rows), dtype="str")
    if not automatic and all(row.isdigit() for row in rows):
        index = pd.Index([int(row) for row in rows])
    frame = pd.DataFrame(columns)
    frame.index = index if len(frame.columns) else pd.RangeIndex(len(frame))
    return frame


def _column(column: Mapping[str, Any]) -> Any:
    kind, values = column["type"], column.get("values", [])
    if kind in ("factor", "ordered"):
        codes = [-1 if code is None else int(code) - 1 for code in values]
        return pd.Categorical.from_codes(codes, categories=column["levels"], ordered=kind == "ordered")
    if kind == "integer" and None not in values:
        return np.array(values, dtype=np.int64)
    if kind in ("double", "integer"):
        return np.array([_number(one) for one in values], dtype=float)
    if kind == "logical":
        return pd.array(values, dtype="boolean") if None in values else np.array(values, dtype=bool)
    if kind in ("date", "time"):
        return pd.to_datetime(pd.Series(values)).to_numpy()
    return pd.Series(values, dtype="str").to_numpy(dtype=object)


def _matrix_literal(value: Mapping[str, Any]) -> tuple[str, str] | None:
    """A small matrix as a DataFrame, with its row and column names."""
    rows = value["dim"][0]
    values = _plain(value)
    if not 0 < len(values) <= 200:
        return None
    codes = [repr(one) if math.isfinite(one) else f"float('{one}')" for one in values]
    listed = ", ".join("[" + ", ".join(codes[i::rows]) + "]" for i in range(rows))
    names = value.get("dimnames") or [None, None]
    labels = "".join(
        f", {axis}={list(one)!r}" for axis, one in zip(("index", "columns"), names, strict=True) if one is not None
    )
    return f"pd.DataFrame([{listed}]{labels})", "frame"


def r_literal(value: Mapping[str, Any]) -> tuple[str, str] | None:
    """A small value of R as Python code, and the kind of it; None where it is not small or not plain.

    Returns
    -------
    (code, kind) or None
        ``kind``: ``number string vector strings series list dict none``.
    """
    kind = value["type"]
    if kind == "null":
        return "None", "none"
    if kind == "list":
        parts = [r_literal(item) for item in value["items"]]
        if not parts or len(parts) > 50 or any(part is None for part in parts):
            return None
        codes = [part[0] for part in parts if part is not None]
        names = value.get("names")
        if names and all(names):
            return "{" + ", ".join(f"{n!r}: {c}" for n, c in zip(names, codes, strict=True)) + "}", "dict"
        return "[" + ", ".join(codes) + "]", "list"
    if kind in ("double", "integer") and len(value.get("dim") or []) == 2:
        return _matrix_literal(value)
    if kind not in ("double", "integer", "logical", "character", "factor") or value.get("dim"):
        return None
    values = _plain(value)
    if len(values) > 200:
        return None
    if kind == "integer":
        codes = ["float('nan')" if math.isnan(one) else str(int(one)) for one in values]
    elif kind == "logical":
        codes = ["None" if math.isnan(one) else str(bool(one)) for one in values]
    elif kind == "double":
        codes = [f"float('{one}')" if not math.isfinite(one) else repr(one) for one in values]
        codes = [code.removesuffix(".0") if code.endswith(".0") else code for code in codes]
    else:
        codes = [repr(one) for one in values]
    text = kind in ("character", "factor")
    if len(codes) == 1 and not value.get("names"):
        return codes[0], "string" if text else "number"
    listed = "[" + ", ".join(codes) + "]"
    if value.get("names"):
        return f"pd.Series({listed}, index={list(value['names'])!r})", "series"
    return (listed, "strings") if text else (f"np.array({listed})", "vector")
