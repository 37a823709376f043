"""Tables of the page: what the model says, a row for each parameter; how far both agree, one for each quantity."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from validation.comparison import Comparison
from validation.report.wording import checked_table, format_number, label_parts, quantity_words

#: Quantities of estimates with those of their standard errors, by kind of comparison, in the order of a summary.
_ESTIMATES = {
    "likelihood": (("fixef", "se", "Fixed effects"), ("sd", "", "Standard deviations"), ("cor", "", "Correlations"),
                   ("sigma", "", "Residual standard deviation")),
    "bayes": (("post-mean", "post-sd", "Posterior means and standard deviations"),),
}  # fmt: skip
_LABEL = ["group", "term", "term2", "level"]
_DIGITS = 5
_DOUBLE = 15.0  # digits that double precision carries
_MOST = 40  # rows: all others are among the numbers


class Estimate(NamedTuple):
    """A parameter as text: estimate and standard error of both sides, and the digits that the estimates have alike."""

    name: str
    values: tuple[tuple[str, str], tuple[str, str]]
    digits: str


class Result(NamedTuple):
    """Parts of a table of estimates, each with its heading; how many were left out."""

    parts: list[tuple[str, list[Estimate]]]
    left_out: int


def result_of(comparison: Comparison) -> Result | None:
    """Return the estimates of both sides; None where the comparison has none."""
    table = checked_table(comparison)
    table = table[table["level"] == ""]
    if comparison.kind == "bayes":
        table = table[~table["term"].str.startswith("b[")]
    of_residual = ((table["quantity"] == "sd") & (table["group"] == "Residual")).any()
    parts: list[tuple[str, list[Estimate]]] = []
    left, left_out = _MOST, 0
    for quantity, error, heading in _ESTIMATES.get(comparison.kind, ()):
        rows = table[table["quantity"] == quantity]
        if rows.empty or (quantity == "sigma" and of_residual):  # it stands among the standard deviations
            continue
        # other checks compare the same numbers again, and each side with the truth
        rows = rows[rows["check"] == rows["check"].iloc[0]]
        errors = table[table["quantity"] == error].drop_duplicates(_LABEL, keep="last")
        both = rows.merge(errors[[*_LABEL, "reference", "candidate"]], "left", _LABEL, suffixes=("", " error"))
        shown = both.head(left)
        left, left_out = left - len(shown), left_out + len(both) - len(shown)
        names = [label_parts(*label) or "sigma" for label in shown[_LABEL].itertuples(index=False)]
        numbers = [
            [
                (format_number(a, _DIGITS), format_number(b, _DIGITS))
                for a, b in shown[[side, f"{side} error"]].to_numpy()
            ]
            for side in ("reference", "candidate")
        ]
        digits = ["" if np.isnan(value) else f"{value:.1f}" for value in shown["digits"]]
        if names:
            parts.append((heading, list(map(Estimate, names, zip(*numbers, strict=True), digits))))
    return Result(parts, left_out) if parts else None


@dataclass(frozen=True)
class QuantityDigits:
    """Digits that both sides have alike of a quantity's numbers.

    ``shown`` are least, median and most as text, each with its share of double precision's digits in percent;
    ``failed`` is whether any number is outside its tolerance.
    """

    name: str
    count: int
    least: float
    shown: list[tuple[str, int]]
    failed: bool


def digits_of(comparison: Comparison) -> list[QuantityDigits]:
    """Return the digits of agreement of each quantity, the least first.

    Counts and labels are left out: they are equal or not. So are posteriors: their digits tell of the number of draws.
    """
    if comparison.kind == "bayes":
        return []
    table = checked_table(comparison)
    table = table[(table["tolerance"] != 0) & (table["unit"] != "exact") & np.isfinite(table["digits"])]
    made = []
    for name, rows in table.groupby(table["quantity"].map(quantity_words), sort=False):
        digits = rows["digits"]
        shown = [
            (f"{value:.1f}", round(100 * min(max(value / _DOUBLE, 0.0), 1.0)))
            for value in (digits.min(), digits.median(), digits.max())
        ]
        failed = any(verdict.failed for verdict in rows["verdict"])
        made.append(QuantityDigits(str(name), len(rows), float(digits.min()), shown, failed))
    return sorted(made, key=lambda one: one.least)
