"""One compared number: its digits of agreement, and how a row of the comparison's table is judged and written down."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pandas as pd

from validation.comparison import TABLE_COLUMNS, Check, Row
from validation.errors import RAISED, error_in_words
from validation.quantities import Key, frame_of, key_of
from validation.tolerances import SAME_DIGITS, TITLES, Match, Tolerance
from validation.verdict import Verdict

F = TypeVar("F")
T = TypeVar("T")

#: Significant decimal digits that a double carries faithfully (``DBL_DIG`` of C): the most that any reference held in
#: a float can have.
DOUBLE_DIGITS = 15.0

#: The rows of one tier or gate, and a sentence with its figures: what :func:`conclude` makes a check of.
Found: TypeAlias = tuple[list[Row], str]


def digits(value: float, reference: float) -> float:
    """Log relative error of ``value``: about the number of significant digits that agree with ``reference``.

    ``-log10(|x - c| / |c|)``, or ``-log10|x|`` where ``c`` is 0 (McCullough, B. D. 1998, Am. Stat. 52, 358-366):
    between 0 and :data:`DOUBLE_DIGITS`; NaN where either number is missing, 0 where one is infinite and the other is
    something else.
    """
    if math.isnan(value) or math.isnan(reference):
        return math.nan
    if value == reference:
        return DOUBLE_DIGITS
    if math.isinf(value) or math.isinf(reference):
        return 0.0
    # Dividing first would overflow for a subnormal reference: the logarithms are subtracted instead.
    error = abs(value - reference) if reference != 0.0 else abs(value)
    with np.errstate(all="ignore"):
        lre = -np.log10(error) + (np.log10(abs(reference)) if reference != 0.0 else 0.0)
    return float(min(max(lre, 0.0), DOUBLE_DIGITS))


def row(
    key: Key,
    reference: float,
    candidate: float,
    verdict: Verdict,
    reason: str = "",
    scaled: float = math.nan,
    tolerance: Tolerance | None = None,
) -> Row:
    """A row of the comparison's table, of no check yet; ``scaled`` is the difference in the tolerance's unit."""
    left, right = float(reference), float(candidate)
    with np.errstate(invalid="ignore"):
        difference = float(np.subtract(right, left))
    unit, limit = ("", math.nan) if tolerance is None else (tolerance.unit, float(tolerance.limit))
    numbers = left, right, difference, digits(right, left), float(scaled)
    return Row("", *key, *numbers, unit, limit, verdict, reason)


def missing_row(
    key: Key, has_reference: bool, has_candidate: bool, numbers: Sequence[float] = (math.nan, math.nan), why: str = ""
) -> Row:
    """A row that one side (or both) lacks: a failure, not a gap."""
    who = "the candidate lacks" if has_reference else "the reference lacks" if has_candidate else "neither side has"
    return row(key, numbers[0], numbers[1], Verdict.MISSING, f"{who} this number" + (f": {why}" if why else ""))


def asked(key: Key, reference: F, candidate: F, read: Callable[[F], T]) -> tuple[T, T] | Row:
    """What both sides answer; where one does not, the row that is missing, which says why."""
    given: list[T] = []
    numbers, problems = [math.nan, math.nan], ["", ""]
    for i, (side, fit) in enumerate((("reference", reference), ("candidate", candidate))):
        try:
            given.append(read(fit))
            numbers[i] = given[-1] if isinstance(given[-1], float) else math.nan
        except RAISED as error:  # a candidate may raise anything: the row says what is missing
            problems[i] = f"{side}: {error_in_words(error)}"
    if len(given) == 2:
        return given[0], given[1]
    return missing_row(key, not problems[0], not problems[1], numbers, "; ".join(filter(None, problems)))


def judge_number(
    key: Key, reference: float | None, candidate: float | None, scale: float, tolerance: Tolerance, why: str = ""
) -> Row:
    """Judge one pair of numbers in units of ``scale``; what one side lacks (None) is missing, ``why`` it may be.

    A scale that is 0, negative, infinite or missing lets nothing pass: the row is inconclusive where the numbers are
    the same to 12 digits, and disagrees where they are not.
    """
    if reference is None or candidate is None:
        numbers = [math.nan if value is None else value for value in (reference, candidate)]
        return missing_row(key, reference is not None, candidate is not None, numbers, why)
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
    return row(key, reference, candidate, verdict, reason, scaled, tolerance)


def judge_p(key: Key, reference: float, candidate: float, tolerance: Tolerance, slack: float = 0.0) -> Row:
    """Judge a pair of p-values by their logarithms, of which ``slack`` is open; the row shows the p-values."""
    left, right = (math.log(max(p, Match.ZERO)) if 0.0 <= p <= 1.0 else math.nan for p in (reference, candidate))
    scale = max(1.0, abs(left), slack / tolerance.limit)
    judged = judge_number(key, left, right, scale, tolerance)
    return row(key, reference, candidate, judged.verdict, judged.reason, judged.scaled, tolerance)


def judge_record(record: Mapping[str, Any], scale: float, tolerance: Tolerance, why: str = "") -> Row:
    """Judge a number of the joined tables (:func:`validation.quantities.join`); what one side lacks is missing."""
    left, right = (record[side] if record[f"has_{side}"] else None for side in ("reference", "candidate"))
    return judge_number(key_of(record), left, right, scale, tolerance, why)


def check_of(identifier: str, rows: Sequence[Row], summary: str, rule: str) -> Check:
    """The outcome of a tier or gate from its rows; without any row it is inconclusive, never a pass."""
    verdicts = {r.verdict for r in rows}
    verdict = Verdict.of(verdicts)
    if verdict is Verdict.AGREES and Verdict.BETTER in verdicts:
        verdict = Verdict.BETTER
    return Check(identifier, TITLES[identifier], verdict, summary if rows else "nothing could be compared", rule)


def conclude(parts: Iterable[tuple[str, Found, str]]) -> tuple[list[Check], list[Row]]:
    """The outcomes of tiers or gates, each of its name, what was found and its rule; and their rows under its name."""
    checks: list[Check] = []
    judged: list[Row] = []
    for identifier, (rows, summary), rule in parts:
        checks.append(check_of(identifier, rows, summary, rule))
        judged += [r._replace(check=identifier) for r in rows]
    return checks, judged


def table_of(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows as the comparison's table."""
    return frame_of(rows, TABLE_COLUMNS, ("reference", "candidate", "difference", "digits", "scaled", "tolerance"))


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
