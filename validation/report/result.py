"""What the model says, before whether both sides agree on it: the estimates of both, a row for each parameter."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import pandas as pd

from validation.comparison import Comparison
from validation.report.wording import checked_table, format_number, label_parts

__all__ = ["Estimate", "Result", "result_of"]

#: Quantities of estimates with those of their standard errors, by kind of comparison, in the order of a summary.
_ESTIMATES = {
    "likelihood": (("fixef", "se", "Fixed effects"), ("sd", "", "Standard deviations"), ("cor", "", "Correlations"),
                   ("sigma", "", "Residual standard deviation")),
    "bayes": (("post-mean", "post-sd", "Posterior means and standard deviations"),),
}  # fmt: skip
_DIGITS = 5
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
    """Return the estimates of both sides; None where the comparison has none.

    Parameters
    ----------
    comparison : Comparison
    """
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
            (format_number(row["reference"], _DIGITS), left),
            (format_number(row["candidate"], _DIGITS), right),
        ),
        "" if digits != digits else f"{digits:.1f}",
    )
