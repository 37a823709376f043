"""Row 4: other rows, or other values in them."""

import math

import numpy as np

from validation.contract import LinearMixedFit
from validation.judge.diagnosis.coding import basis
from validation.judge.diagnosis.model import levels_of
from validation.judge.evidence import Evidence
from validation.owndata import some
from validation.quantities import columns_of
from validation.tolerances import Match, Strength
from validation.verdict import Cause

__all__ = ["data_values", "rows_used"]


_MISSING_LABELS = {"nan", "na", "<na>", "none", "null", "nat", ""}

_NA_INTEGER = -(2.0**31)
_INTEGER_MISSING = {"-2147483648", "-9223372036854775808", "-2147483648.0"}


def rows_used(evidence: Evidence) -> Cause | None:
    """Row 4: rows dropped or kept; a missing value that became a level, or R's integer NA taken for a number."""
    nobs = evidence.pair("nobs")
    levels = {side: levels_of(evidence, side) for side in ("reference", "candidate")}
    odd: list[str] = []
    for group, labels in levels["candidate"].items():
        extra = set(labels) - set(levels["reference"].get(group, labels))
        odd += [
            f"{label!r} in {group}"
            for label in extra
            if label.strip().casefold() in _MISSING_LABELS or label in _INTEGER_MISSING
        ]
    coded = _integer_missing(evidence)
    used = {side: _row_labels(evidence, side) for side in ("reference", "candidate")}
    # A side without fitted values has no rows to compare: that they are missing is another finding.
    known = bool(used["candidate"] and used["reference"])
    extra_rows = used["candidate"] - used["reference"] if known else set()
    lost_rows = used["reference"] - used["candidate"] if known else set()
    if nobs[0] == nobs[1] and not odd and not coded and not (extra_rows or lost_rows):
        return None
    if not all(map(math.isfinite, nobs)) and not (extra_rows or lost_rows or odd):
        return None
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
    return Cause(
        4,
        name,
        title,
        "; ".join(parts),
        "Drop exactly the rows with a missing value in a variable of the formula (R's na.omit), and make sure missing "
        "values reach the other side as missing.",
        strength=Strength.LISTED,
    )


def _row_labels(evidence: Evidence, side: str) -> set[str]:
    rows = evidence.rows("fitted")
    return set(rows.loc[rows[f"has_{side}"], "level"])


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
    pieces = evidence.candidate_pieces
    if pieces is None:
        return ""
    for j, name in enumerate(pieces.coef_names):
        count = int(np.sum(pieces.X[:, j] == _NA_INTEGER))
        if count:
            return f"column {name} of the candidate's X holds −2147483648 in {count} rows"
    count = int(np.sum(pieces.y == _NA_INTEGER))
    return f"the candidate's response is −2147483648 in {count} rows" if count else ""


def data_values(evidence: Evidence) -> Cause | None:
    """Row 4: the same rows and columns, but not the same values in them."""
    left, right = evidence.reference_pieces, evidence.candidate_pieces
    if left is None or right is None or left.y.size != right.y.size or evidence.pair("nobs")[0] != left.y.size:
        return None
    labels = [str(label) for label in evidence.rows("fitted")["level"]]
    parts = []
    name, title = "data-values", "The two sides did not read the same values from the data"
    off = _entries_off(left.y, right.y)
    if off.any():
        slope, constant = np.polyfit(left.y, right.y, 1)
        if np.allclose(slope * left.y + constant, right.y, rtol=0, atol=Match.COMPUTED * float(np.abs(right.y).max())):
            name, title = "response-scaled", "The candidate's response is centred or rescaled"
            parts.append(f"its y is {slope:.6g} times the reference's {constant:+.6g}")
        else:
            parts.append(_off_words("the response", left.y, right.y, off, labels))
    if left.coef_names == right.coef_names and basis(left, right) is None:
        for j, column in enumerate(left.coef_names):
            off = _entries_off(left.X[:, j], right.X[:, j])
            if off.any():
                parts.append(_off_words(column, left.X[:, j], right.X[:, j], off, labels))
    factors = [_memberships(fit) for fit in (evidence.reference, evidence.candidate)]
    for group in [group for group in factors[0] if group in factors[1]]:
        a, b = factors[0][group], factors[1][group]
        if a.size == b.size and set(a) == set(b) and (off := a != b).any():
            parts.append(_off_words(group, a, b, off, labels))
    if not parts:
        return None
    return Cause(
        4,
        name,
        title,
        "; ".join(parts[:4]),
        "Compare the data frames of both sides column by column before the models: a merge or sort that moved rows, a "
        "recoded value, or a transformed variable is found there fastest.",
        strength=Strength.ANOTHER_INPUT,
    )


def _entries_off(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    # Half of single precision: smaller differences are another storage, not other values.
    return ~(np.abs(left - right) <= Match.RULE * max(float(np.nanmax(np.abs(left), initial=0.0)), Match.ZERO))


def _off_words(name: str, left: np.ndarray, right: np.ndarray, off: np.ndarray, labels: list[str]) -> str:
    i = int(np.flatnonzero(off)[0])
    row = f" in row {labels[i]}" if len(labels) == off.size else ""
    shown = [f"{v:.8g}" if isinstance(v, float) else repr(str(v)) for v in (left[i], right[i])]
    return f"{name} differs in {int(off.sum())} of {off.size} rows, e.g.{row} {shown[0]} against {shown[1]}"


def _memberships(fit: LinearMixedFit) -> dict[str, np.ndarray]:
    frame = fit.getME("flist")
    return {str(name): frame[name].astype(str).to_numpy() for name in frame.columns}
