"""One compared number: how a row of the comparison's table is judged and written down."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypedDict, Unpack, cast

import numpy as np
import pandas as pd

from validation.checks import TABLE_COLUMNS, Check
from validation.judge.digits import digits
from validation.quantities import key_of
from validation.tolerances import SAME_DIGITS, TITLES, Tolerance
from validation.verdict import Verdict

__all__ = [
    "Measure",
    "Place",
    "Row",
    "check_of",
    "counts",
    "describe",
    "judge_number",
    "missing_row",
    "row",
    "rows_of",
    "table_of",
]


class Row(TypedDict):
    """A row of the comparison's table: :data:`validation.comparison.TABLE_COLUMNS`."""

    check: str
    quantity: str
    group: str | None
    term: str | None
    term2: str | None
    level: str | None
    reference: float
    candidate: float
    difference: float
    digits: float
    scaled: float
    unit: str
    tolerance: float
    verdict: Verdict
    reason: str


class Place(TypedDict, total=False):
    """Which of the numbers of a quantity a row holds."""

    group: str | None
    term: str | None
    term2: str | None
    level: str | None


class Measure(NamedTuple):
    """A difference in the unit it is judged by, and the largest that agrees."""

    scaled: float = math.nan
    unit: str = ""
    limit: float = math.nan


def row(
    check: str,
    quantity: str,
    reference: float,
    candidate: float,
    verdict: Verdict,
    reason: str = "",
    measured: Measure = Measure(),  # noqa: B008 (a tuple)
    **place: Unpack[Place],
) -> Row:
    """A row of :data:`validation.comparison.TABLE_COLUMNS`."""
    with np.errstate(invalid="ignore"):
        difference = float(np.subtract(candidate, reference))
    return {
        "check": check,
        "quantity": quantity,
        "group": place.get("group"),
        "term": place.get("term"),
        "term2": place.get("term2"),
        "level": place.get("level"),
        "reference": float(reference),
        "candidate": float(candidate),
        "difference": difference,
        "digits": digits(float(candidate), float(reference)),
        "scaled": float(measured.scaled),
        "unit": measured.unit,
        "tolerance": float(measured.limit),
        "verdict": verdict,
        "reason": reason,
    }


def missing_row(
    check: str,
    quantity: str,
    has_reference: bool,
    has_candidate: bool,
    reference: float = math.nan,
    candidate: float = math.nan,
    why: str = "",
    **place: Unpack[Place],
) -> Row:
    """A row that one side (or both) lacks: a failure, not a gap."""
    side = (
        "neither side has"
        if not (has_reference or has_candidate)
        else ("the candidate lacks" if has_reference else "the reference lacks")
    )
    reason = f"{side} this number" + (f": {why}" if why else "")
    return row(check, quantity, reference, candidate, Verdict.MISSING, reason, **place)


def judge_number(
    check: str,
    quantity: str,
    reference: float,
    candidate: float,
    scale: float,
    tolerance: Tolerance,
    **place: Unpack[Place],
) -> Row:
    """Judge one pair of numbers in units of ``scale``.

    A scale that is 0, negative, infinite or missing lets nothing pass: the row is inconclusive where the numbers are
    the same to 12 digits, and disagrees where they are not.
    """
    limit, unit, reason = tolerance.limit, tolerance.unit, tolerance.reason
    both_missing = math.isnan(reference) and math.isnan(candidate)
    scaled = math.nan
    if both_missing:
        verdict, reason = Verdict.AGREES, "missing (NA) on both sides"
    elif math.isnan(reference) or math.isnan(candidate):
        side = "candidate" if math.isnan(candidate) else "reference"
        verdict, reason = Verdict.DISAGREES, f"the {side} has a missing value (NA, NaN) where the other has a number"
    elif not (math.isfinite(reference) and math.isfinite(candidate)):
        same = reference == candidate
        verdict = Verdict.INCONCLUSIVE if same else Verdict.DISAGREES
        reason = "infinite on both sides" if same else "infinite on one side"
    elif not math.isfinite(scale) or scale <= 0.0:
        same = digits(candidate, reference) >= SAME_DIGITS
        verdict = Verdict.INCONCLUSIVE if same else Verdict.DISAGREES
        reason = f"no unit to judge by: the scale ({unit}) is {scale:g}"
    else:
        scaled = abs(candidate - reference) / scale
        verdict = Verdict.AGREES if scaled <= limit else Verdict.DISAGREES
        if verdict is Verdict.DISAGREES:
            reason = f"differs by {scaled:.3g} {unit}, allowed {limit:.3g}. {reason}"
    return row(check, quantity, reference, candidate, verdict, reason, Measure(scaled, unit, limit), **place)


def check_of(identifier: str, rows: Sequence[Row], summary: str, rule: str) -> Check:
    """The outcome of a tier or gate from its rows; without any row it is inconclusive, never a pass."""
    verdicts = [r["verdict"] for r in rows]
    if (failure := Verdict.of_failures(verdicts)) is not None:
        verdict = failure
    elif not verdicts:
        verdict, summary = Verdict.INCONCLUSIVE, "nothing could be compared"
    elif Verdict.INCONCLUSIVE in verdicts:
        verdict = Verdict.INCONCLUSIVE
    elif Verdict.BETTER in verdicts:
        verdict = Verdict.BETTER
    else:
        verdict = Verdict.AGREES
    return Check(identifier, TITLES[identifier], verdict, summary, rule)


def table_of(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows as the comparison's table."""
    rows = list(rows)
    numbers = {"reference", "candidate", "difference", "digits", "scaled", "tolerance"}
    # Columns of objects, one by one: pandas would turn verdicts into plain strings.
    return pd.DataFrame(
        {
            name: pd.Series([dict(r)[name] for r in rows], dtype=float if name in numbers else object)
            for name in TABLE_COLUMNS
        }
    )


def rows_of(table: pd.DataFrame) -> list[Row]:
    """The rows of a comparison's table."""
    return cast("list[Row]", table.to_dict("records"))


def counts(rows: Sequence[Row]) -> str:
    """``"812 numbers, 3 of them failed"`` and the worst of them, for a check's summary."""
    failed = [r for r in rows if r["verdict"].failed]
    text = f"{len(rows)} number{'s' if len(rows) != 1 else ''} compared"
    if failed:
        missing = sum(r["verdict"] is Verdict.MISSING for r in failed)
        text += f", {len(failed)} failed" + (f" ({missing} of them missing on one side)" if missing else "")
    judged = [r for r in rows if math.isfinite(r["scaled"]) and math.isfinite(r["tolerance"])]
    if judged:
        worst = max(judged, key=lambda r: r["scaled"] / r["tolerance"] if r["tolerance"] > 0 else r["scaled"])
        text += (
            f"; largest difference {worst['scaled']:.2g} {worst['unit']} ({describe(worst)}), "
            f"allowed {worst['tolerance']:.2g}"
        )
    return text


def describe(r: Row) -> str:
    """A row's name for a sentence: ``ranef school (Intercept) 20920``."""
    return " ".join(str(part) for part in key_of(r) if part is not None)
