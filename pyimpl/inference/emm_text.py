"""What R prints of emmeans' tables (``print.summary_emm``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pyimpl.text.numbers import as_character, display_width, format_chr, format_num, print_matrix, r_round, zapsmall
from r_scripts.printed import printed_html

__all__ = [
    "At",
    "EmmSummary",
    "Level",
    "Over",
    "Values",
    "digits_of_estimates",
    "label_of",
    "paste_levels",
    "summary_text",
]

#: A level of a variable of the grid: of a factor, a logical or a covariate.
Level = str | float | bool

#: Levels of a factor, or values of a covariate: one or several.
Values = Level | Sequence[Level] | Sequence[str] | Sequence[float] | np.ndarray | pd.Series

#: The values that variables of a grid take, by their names.
At = Mapping[str, Values]

#: Predictors to vary: their names, or their values by their names (None: chosen from the data).
Over = str | Sequence[str] | Mapping[str, Values | None]

_STATISTICS = ("t.ratio", "z.ratio", "F.ratio", "T.square")


def label_of(value: Level) -> str:
    """``as.character`` of a level."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).upper()
    return value if isinstance(value, str) else as_character(float(value))


def paste_levels(grid: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Write each row's levels of these variables, separated by blanks (R's ``paste``)."""
    columns = [[label_of(value) for value in grid[name]] for name in names]
    return [" ".join(row) for row in zip(*columns, strict=True)] if columns else [""] * len(grid)


def _digits_of_row(values: np.ndarray) -> float:
    """Significant digits that tell an estimate from its ends (``.opt.dig``)."""
    largest = np.abs(values).max()
    if np.isnan(largest):
        return 3
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.array([values.min(), values.max()]) / largest
        spread = zapsmall([z[1] - z[0], z[0], z[1]], digits=8)[0]
        digits = float(r_round([1.51 - np.log10(spread)])[0])
    return 3 if np.isinf(digits) or np.isnan(digits) else max(digits, 3)


def digits_of_estimates(table: pd.DataFrame, estimate: str) -> int:
    """Significant digits of a table's estimates: as many as tell each from its ends."""
    est = table[estimate].to_numpy(dtype=float)
    if "SE" in table:
        se = table["SE"].to_numpy(dtype=float)
        rows = np.column_stack([est - 2 * se, est, est + 2 * se])
    elif "lower.HPD" in table:
        rows = table[["lower.HPD", estimate, "upper.HPD"]].to_numpy(dtype=float)
    else:
        return 7
    return int(max(_digits_of_row(row) for row in rows)) if len(rows) else 7


def _undefined(table: pd.DataFrame, estimate: str) -> list[bool]:
    """Rows whose test is 0 over 0, which R writes NaN: missing is what cannot be estimated."""
    if "SE" not in table:
        return [False] * len(table)
    return list((table["SE"] == 0) & (table[estimate] == 0))


def _cells(table: pd.DataFrame, estimate: str) -> tuple[dict[str, list[str]], dict[str, bool]]:
    """Each column as text, and whether it is a number's."""
    shown = table.copy()
    numeric: dict[str, bool] = {}
    for name in shown.columns:
        dtype = shown[name].dtype
        numeric[name] = bool(pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype))
        if numeric[name]:
            shown[name] = zapsmall(shown[name].to_numpy(dtype=float))
    digits = digits_of_estimates(shown, estimate)
    cells: dict[str, list[str]] = {}
    undefined = _undefined(table, estimate)
    for name in shown.columns:
        if not numeric[name]:
            boolean = pd.api.types.is_bool_dtype(shown[name].dtype)
            cells[name] = [str(value).upper() if boolean else str(value) for value in shown[name]]
            if boolean:
                cells[name] = format_chr(cells[name], "right")
            continue
        values = shown[name].to_numpy(dtype=float)
        if name == "p.value":
            texts = format_num(r_round(values, 4), nsmall=4, scipen=1000)
            texts = ["<.0001" if text.strip() == "0.0000" else text for text in texts]
            cells[name] = ["NaN" if gone else text for text, gone in zip(texts, undefined, strict=True)]
        elif name in _STATISTICS:
            texts = format_num(r_round(values, 3), nsmall=3, scipen=1000)
            cells[name] = ["NaN" if gone else text for text, gone in zip(texts, undefined, strict=True)]
        elif name == "df":
            texts = format_num(r_round(values, 2), digits=digits)
            shown_df = [gone and np.isnan(value) for gone, value in zip(undefined, values, strict=True)]
            cells[name] = ["NaN" if gone else text for text, gone in zip(texts, shown_df, strict=True)]
        else:
            cells[name] = format_num(values, digits=digits)
            if name == estimate:
                missing = np.isnan(values)
                cells[name] = ["nonEst" if gone else text for text, gone in zip(cells[name], missing, strict=True)]
    return cells, numeric


def summary_text(table: pd.DataFrame, estimate: str, by: tuple[str, ...], messages: tuple[str, ...]) -> str:
    """Write a table as R prints it.

    Parameters
    ----------
    table : DataFrame
    estimate : str
        Its column of estimates.
    by : tuple of str
        Columns whose combinations have a table each.
    messages : tuple of str
        Lines below.

    Returns
    -------
    str
        Without a final newline.
    """
    cells, numeric = _cells(table, estimate)
    heads: dict[str, str] = {}
    body: dict[str, list[str]] = {}
    for name, column in cells.items():
        width = max(display_width(text) for text in (name, *column))
        right = numeric[name]
        body[name] = [text.rjust(width) if right else format_chr([text], width=width)[0] for text in column]
        heads[name] = name if right else format_chr([name], width=width)[0]
    lines: list[str] = []
    names = [name for name in cells if name not in by]

    def block(rows: list[int]) -> str:
        matrix = np.array([[body[name][i] for name in names] for i in rows], dtype=object)
        return print_matrix(matrix, [""] * len(rows), [heads[name] for name in names])

    if not by:
        lines += [block(list(range(len(table)))), ""]
    else:
        keys = [tuple(cells[name][i] for name in by) for i in range(len(table))]
        order = _order(table, by)
        for key in dict.fromkeys(keys[i] for i in order):
            title = ", ".join(f"{name} = {value}" for name, value in zip(by, key, strict=True))
            lines += [f"{title}:", block([i for i in order if keys[i] == key]), ""]
    lines += [f"{message} " for message in dict.fromkeys(messages)]
    return "\n".join(lines)


def _order(table: pd.DataFrame, by: tuple[str, ...]) -> list[int]:
    """Rows ordered by the last of the variables first, each by its levels' order."""
    rows = list(range(len(table)))
    ranks = []
    for name in by:
        column = table[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            ranks.append(column.cat.codes.to_numpy())
        else:
            values = column.to_numpy()
            ranks.append(np.unique(values, return_inverse=True)[1])
    return sorted(rows, key=lambda i: tuple(int(rank[i]) for rank in reversed(ranks)))


@dataclass(frozen=True, eq=False)
class EmmSummary:
    """A table of estimates: ``.frame`` has the numbers, ``str()`` is what R prints.

    Attributes
    ----------
    frame : DataFrame
        R's columns.
    estimate : str
        The column of estimates (``emmean``, ``estimate``, ``x.trend``, ``F.ratio``).
    by : tuple of str
        Variables whose combinations are printed in a table each.
    messages : tuple of str
        Lines below the table.
    adjust : str
        How the P values are adjusted.
    """

    frame: pd.DataFrame
    estimate: str
    by: tuple[str, ...]
    messages: tuple[str, ...]
    adjust: str = "none"

    def __str__(self) -> str:
        return summary_text(self.frame, self.estimate, self.by, self.messages)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return printed_html(str(self))
