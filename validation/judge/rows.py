"""One compared number: how a row of the comparison's table is judged and written down."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack, cast

import numpy as np
import pandas as pd

from validation.checks import TABLE_COLUMNS, Check, Row
from validation.errors import RAISED, error_in_words
from validation.judge.digits import digits
from validation.tolerances import SAME_DIGITS, TITLES, Match, Tolerance
from validation.verdict import Verdict

F = TypeVar("F")
T = TypeVar("T")


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
    """A row of the comparison's table."""
    with np.errstate(invalid="ignore"):
        difference = float(np.subtract(candidate, reference))
    return Row(
        check,
        quantity,
        place.get("group"),
        place.get("term"),
        place.get("term2"),
        place.get("level"),
        float(reference),
        float(candidate),
        difference,
        digits(float(candidate), float(reference)),
        float(measured.scaled),
        measured.unit,
        float(measured.limit),
        verdict,
        reason,
    )


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
    who = "the candidate lacks" if has_reference else "the reference lacks" if has_candidate else "neither side has"
    reason = f"{who} this number" + (f": {why}" if why else "")
    return row(check, quantity, reference, candidate, Verdict.MISSING, reason, **place)


def asked(reference: F, candidate: F, read: Callable[[F], T]) -> tuple[T | None, T | None, str]:
    """What both sides answer, and why a side does not: ``"candidate: AttributeError: ..."``."""
    given: list[T | None] = []
    problems = []
    for side, fit in (("reference", reference), ("candidate", candidate)):
        try:
            given.append(read(fit))
        except RAISED as error:  # a candidate may raise anything: the row says what is missing
            given.append(None)
            problems.append(f"{side}: {error_in_words(error)}")
    return given[0], given[1], "; ".join(problems)


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


def judge_p(
    check: str,
    quantity: str,
    reference: float,
    candidate: float,
    tolerance: Tolerance,
    slack: float = 0.0,
    **place: Unpack[Place],
) -> Row:
    """Judge a pair of p-values by their logarithms, of which ``slack`` is open; the row shows the p-values."""
    left, right = (math.log(max(p, Match.ZERO)) if 0.0 <= p <= 1.0 else math.nan for p in (reference, candidate))
    scale = max(1.0, abs(left), slack / tolerance.limit)
    judged = judge_number(check, quantity, left, right, scale, tolerance, **place)
    measured = Measure(judged.scaled, judged.unit, judged.tolerance)
    return row(check, quantity, reference, candidate, judged.verdict, judged.reason, measured, **place)


def judge_record(check: str, record: Mapping[str, Any], scale: float, tolerance: Tolerance, why: str = "") -> Row:
    """Judge a number of the joined tables (:func:`validation.quantities.join`); what one side lacks is missing."""
    quantity, left, right = record["quantity"], record["reference"], record["candidate"]
    place = cast("Place", {key: record[key] for key in ("group", "term", "term2", "level")})
    there = record["has_reference"], record["has_candidate"]
    if not all(there):
        return missing_row(check, quantity, *there, left, right, why, **place)
    return judge_number(check, quantity, left, right, scale, tolerance, **place)


def check_of(identifier: str, rows: Sequence[Row], summary: str, rule: str) -> Check:
    """The outcome of a tier or gate from its rows; without any row it is inconclusive, never a pass."""
    verdicts = {r.verdict for r in rows}
    verdict = Verdict.of(verdicts)
    if verdict is Verdict.AGREES and Verdict.BETTER in verdicts:
        verdict = Verdict.BETTER
    summary = summary if rows else "nothing could be compared"
    return Check(identifier, TITLES[identifier], verdict, summary, rule)


def table_of(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows as the comparison's table."""
    columns = list(zip(*rows, strict=True)) or [()] * len(TABLE_COLUMNS)
    numbers = {"reference", "candidate", "difference", "digits", "scaled", "tolerance"}
    # Columns of objects, one by one: pandas would turn verdicts into plain strings.
    return pd.DataFrame(
        {
            name: pd.Series(list(values), dtype=float if name in numbers else object)
            for name, values in zip(TABLE_COLUMNS, columns, strict=True)
        }
    )


def rows_of(table: pd.DataFrame) -> list[Row]:
    """The rows of a comparison's table."""
    return [Row(*cells) for cells in zip(*(table[name].tolist() for name in TABLE_COLUMNS), strict=True)]


def counts(rows: Sequence[Row]) -> str:
    """``"812 numbers, 3 of them failed"`` and the worst of them, for a check's summary."""
    failed = [r for r in rows if r.verdict.failed]
    text = f"{len(rows)} number{'s' if len(rows) != 1 else ''} compared"
    if failed:
        missing = sum(r.verdict is Verdict.MISSING for r in failed)
        text += f", {len(failed)} failed" + (f" ({missing} of them missing on one side)" if missing else "")
    judged = [r for r in rows if math.isfinite(r.scaled) and math.isfinite(r.tolerance)]
    if judged:
        worst = max(judged, key=lambda r: r.scaled / r.tolerance if r.tolerance > 0 else r.scaled)
        text += f"; largest difference {worst.scaled:.2g} {worst.unit} ({worst.name}), allowed {worst.tolerance:.2g}"
    return text
