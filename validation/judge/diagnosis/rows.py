"""Row 4: other rows, or other values in them."""

import math

import numpy as np

from validation.judge.diagnosis import assume, given
from validation.judge.diagnosis.coding import basis
from validation.judge.diagnosis.model import levels_of
from validation.judge.evidence import Evidence
from validation.owndata import some
from validation.quantities import columns_of
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Finding

_MISSING_LABELS = {"nan", "na", "<na>", "none", "null", "nat", ""}

_NA_INTEGER = -(2.0**31)
_INTEGER_MISSING = {"-2147483648", "-9223372036854775808", "-2147483648.0"}


def rows_used(evidence: Evidence) -> Cause | None:
    """Row 4: rows dropped or kept; a missing value that became a level, or R's integer NA taken for a number."""
    nobs, known = evidence.pair("nobs"), levels_of(evidence, "reference")
    odd = [
        f"{label!r} in {group}"
        for group, labels in levels_of(evidence, "candidate").items()
        for label in set(labels) - set(known.get(group, labels))
        if label.strip().casefold() in _MISSING_LABELS or label in _INTEGER_MISSING
    ]
    coded = _integer_missing(evidence)
    rows = evidence.rows("fitted")
    ours, theirs = (set(rows.loc[rows[f"has_{side}"], "level"]) for side in ("reference", "candidate"))
    # A side without fitted values has no rows to compare: that they are missing is another finding.
    extra_rows, lost_rows = (theirs - ours, ours - theirs) if ours and theirs else (set(), set())
    others = bool(extra_rows or lost_rows or odd)
    assume(others or (all(map(math.isfinite, nobs)) and (coded or nobs[0] != nobs[1])))
    parts = [f"the reference uses {nobs[0]:.0f} rows, the candidate {nobs[1]:.0f}"]
    if extra_rows:
        parts.append(
            f"only the candidate uses {len(extra_rows)} rows ({_few(extra_rows)}){_with_missing(evidence, extra_rows)}"
        )
    if lost_rows:
        parts.append(f"only the reference uses {len(lost_rows)} rows ({_few(lost_rows)})")
    name, title = "rows", "The two sides do not use the same rows"
    if odd:
        name, title = "missing-as-level", "A missing value became a level of a grouping factor"
        parts.append(f"the candidate has the level {', '.join(odd)}")
    elif coded:
        name, title = "missing-as-integer", "R's missing integer was taken for the number −2147483648"
        parts.append(coded)
    return Finding(4, name, Strength.LISTED).told(
        title,
        "; ".join(parts),
        "Drop exactly the rows with a missing value in a variable of the formula (R's na.omit), and make sure missing "
        "values reach the other side as missing.",
    )


def _few(labels: set[str]) -> str:
    return some(sorted(labels, key=lambda label: (len(label), label)))


def _with_missing(evidence: Evidence, labels: set[str]) -> str:
    if evidence.data is None:
        return ""
    data = evidence.data[[str(label) in labels for label in evidence.data.index]]
    columns = columns_of(str(getattr(evidence.reference, "formula", "")), data)
    missing = int(data[columns].isna().any(axis=1).sum()) if columns else 0
    return f", {missing} of them with a missing value in a variable of the formula" if missing else ""


def _integer_missing(evidence: Evidence) -> str:
    if (pieces := evidence.candidate_pieces) is None:
        return ""
    columns = [f"column {name} of the candidate's X holds" for name in pieces.coef_names]
    values = zip((*columns, "the candidate's response is"), (*pieces.X.T, pieces.y), strict=True)
    counts = ((words, int(np.sum(column == _NA_INTEGER))) for words, column in values)
    return next((f"{words} −2147483648 in {count} rows" for words, count in counts if count), "")


def data_values(evidence: Evidence) -> Cause | None:
    """Row 4: the same rows and columns, but not the same values in them."""
    left, right = given(evidence.reference_pieces), given(evidence.candidate_pieces)
    assume(left.y.size == right.y.size == evidence.value("reference", "nobs"))
    name, title = "data-values", "The two sides did not read the same values from the data"
    numbers = [("the response", left.y, right.y)]
    if left.coef_names == right.coef_names and basis(left, right) is None:
        numbers += zip(left.coef_names, left.X.T, right.X.T, strict=True)
    pairs = [(column, a, b, _entries_off(a, b)) for column, a, b in numbers]
    factors = [evidence.fit(side).getME("flist").astype(str) for side in ("reference", "candidate")]
    for group in [group for group in factors[0] if group in factors[1]]:
        a, b = (frame[group].to_numpy() for frame in factors)
        if a.size == b.size and set(a) == set(b):
            pairs.append((str(group), a, b, a != b))
    labels = [str(label) for label in evidence.rows("fitted")["level"]]
    parts = [_off_words(*pair, labels) for pair in pairs if pair[-1].any()]
    assume(parts)
    if pairs[0][-1].any():
        slope, constant = np.polyfit(left.y, right.y, 1)
        away = np.abs(slope * left.y + constant - right.y)
        if (away <= Match.COMPUTED * float(np.abs(right.y).max())).all():
            name, title = "response-scaled", "The candidate's response is centred or rescaled"
            parts[0] = f"its y is {slope:.6g} times the reference's {constant:+.6g}"
    return Finding(4, name, Strength.ANOTHER_INPUT).told(
        title,
        "; ".join(parts[:4]),
        "Compare the data frames of both sides column by column before the models: a merge or sort that moved rows, a "
        "recoded value, or a transformed variable is found there fastest.",
    )


def _entries_off(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    # Half of single precision: smaller differences are another storage, not other values.
    return ~(np.abs(left - right) <= Match.RULE * max(float(np.nanmax(np.abs(left), initial=0.0)), Match.ZERO))


def _off_words(name: str, left: np.ndarray, right: np.ndarray, off: np.ndarray, labels: list[str]) -> str:
    i = int(np.flatnonzero(off)[0])
    row = f" in row {labels[i]}" if len(labels) == off.size else ""
    shown = [f"{v:.8g}" if isinstance(v, float) else repr(str(v)) for v in (left[i], right[i])]
    return f"{name} differs in {int(off.sum())} of {off.size} rows, e.g.{row} {shown[0]} against {shown[1]}"
