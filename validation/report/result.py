"""Tables of the page: what the model says, a row for each parameter; how far both agree, one for each quantity."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from validation.comparison import Comparison
from validation.judge.rows import rows_of
from validation.report.wording import checked_table, format_number, label_parts, quantity_words

__all__ = ["Estimate", "QuantityDigits", "Result", "digits_of", "result_of"]

#: Quantities of estimates with those of their standard errors, by kind of comparison, in the order of a summary.
_ESTIMATES = {
    "likelihood": (("fixef", "se", "Fixed effects"), ("sd", "", "Standard deviations"), ("cor", "", "Correlations"),
                   ("sigma", "", "Residual standard deviation")),
    "bayes": (("post-mean", "post-sd", "Posterior means and standard deviations"),),
}  # fmt: skip
_DIGITS = 5
_DOUBLE = 15.0  # digits that double precision carries
_MOST = 40  # rows: all others are among the numbers


@dataclass(frozen=True)
class Estimate:
    """A parameter on both sides, as text.

    Attributes
    ----------
    name : str
    values : tuple of (str, str)
        Estimate and standard error of the reference and of the candidate.
    digits : str
        How many digits of the estimate are the same.
    """

    name: str
    values: tuple[tuple[str, str], tuple[str, str]]
    digits: str


@dataclass(frozen=True)
class Result:
    """Parts of a table of estimates, each with its heading; how many were left out."""

    parts: tuple[tuple[str, tuple[Estimate, ...]], ...]
    left_out: int


def result_of(comparison: Comparison) -> Result | None:
    """Return the estimates of both sides; None where the comparison has none."""
    table = checked_table(comparison)
    parts, left = [], _MOST
    total = 0
    for quantity, error, heading in _ESTIMATES.get(comparison.kind, ()):
        rows = table[(table["quantity"] == quantity) & (table["level"] == "")]
        if comparison.kind == "bayes":
            rows = rows[~rows["term"].str.startswith("b[")]
        # other checks compare the same numbers again, and each side with the truth
        rows = rows[rows["check"] == rows["check"].iloc[0]] if len(rows) else rows
        if quantity == "sigma" and ((table["quantity"] == "sd") & (table["group"] == "Residual")).any():
            continue  # it stands among the standard deviations
        errors = _by_label(table, error) if error else None
        total += len(rows)
        made = tuple(_estimate(row, errors) for row in rows.head(left).to_dict("records"))
        left -= len(made)
        if made:
            parts.append((heading, made))
    shown = sum(len(made) for _, made in parts)
    return Result(tuple(parts), total - shown) if parts else None


def _by_label(table: pd.DataFrame, quantity: str) -> Callable[[tuple[str, ...]], tuple[str, str]]:
    rows = table[table["quantity"] == quantity]
    found = {
        _label(row): (format_number(row["reference"], _DIGITS), format_number(row["candidate"], _DIGITS))
        for row in rows.to_dict("records")
    }
    return lambda label: found.get(label, ("", ""))


def _label(row: Mapping[Hashable, object]) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in ("group", "term", "term2", "level"))


def _estimate(row: Mapping[Hashable, object], errors: Callable[[tuple[str, ...]], tuple[str, str]] | None) -> Estimate:
    label = _label(row)
    left, right = ("", "") if errors is None else errors(label)
    digits = float(str(row["digits"]))
    return Estimate(
        label_parts(*label) or "sigma",
        (
            (format_number(float(str(row["reference"])), _DIGITS), left),
            (format_number(float(str(row["candidate"])), _DIGITS), right),
        ),
        "" if digits != digits else f"{digits:.1f}",
    )


@dataclass(frozen=True)
class QuantityDigits:
    """How many digits both sides have alike of a quantity.

    Attributes
    ----------
    name : str
    count : int
        Numbers that there are of it.
    least, median, most : float
    failed : bool
        Whether any of them is outside its tolerance.
    """

    name: str
    count: int
    least: float
    median: float
    most: float
    failed: bool

    @property
    def shown(self) -> tuple[tuple[str, int], ...]:
        """Least, median and most as text, each with the share of double precision's digits, in percent."""
        values = (self.least, self.median, self.most)
        return tuple((f"{value:.1f}", round(100 * min(max(value / _DOUBLE, 0.0), 1.0))) for value in values)


def digits_of(comparison: Comparison) -> list[QuantityDigits]:
    """Return the digits of agreement of each quantity, the least first.

    Counts and labels are left out: they are equal or not. So are posteriors: their digits tell of the number of draws.
    """
    if comparison.kind == "bayes":
        return []
    found: dict[str, list[float]] = {}
    failed: set[str] = set()
    for row in rows_of(checked_table(comparison)):
        if row.tolerance == 0 or row.unit == "exact" or not np.isfinite(row.digits):
            continue
        name = quantity_words(row.quantity)
        found.setdefault(name, []).append(row.digits)
        if row.verdict.failed:
            failed.add(name)
    made = [
        QuantityDigits(name, len(all_), min(all_), float(np.median(all_)), max(all_), name in failed)
        for name, all_ in found.items()
    ]
    return sorted(made, key=lambda one: one.least)
