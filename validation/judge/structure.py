"""Tier 1: rows, columns, levels, the design: exact."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation import tolerances
from validation.checks import Check
from validation.contract import LinearMixedFit
from validation.covariances import structures_of
from validation.judge.evidence import Evidence
from validation.judge.rows import Measure, Row, check_of, judge_number, missing_row, row
from validation.quantities import records
from validation.verdict import Verdict

__all__ = ["structure"]


def structure(evidence: Evidence) -> tuple[Check, list[Row]]:
    """Tier 1: rows used, names, levels and their order, X and Z, exactly."""
    rows: list[Row] = []
    for quantity in ("nobs", "npar", "df_residual", "criterion", "ngrps"):
        found = evidence.rows(quantity)
        if found.empty and quantity != "ngrps":
            rows.append(missing_row("tier-1", quantity, False, False, why=evidence.problem(quantity)))
        rows.extend(_exact(record, evidence) for record in records(found))
    reference, candidate = evidence.reference, evidence.candidate
    rows.extend(_labels("fixef-names", reference, candidate, lambda fit: list(map(str, fit.fixef().index))))
    rows.extend(_labels("theta-names", reference, candidate, lambda fit: list(map(str, fit.getME("theta").index))))
    if any(not structure.free for side in ("reference", "candidate") for structure in evidence.structures(side) or ()):
        rows.extend(_labels("structures", reference, candidate, _structures))
    rows.extend(_labels("rows-used", reference, candidate, lambda fit: list(map(str, fit.fitted().index))))
    rows.extend(_levels(reference, candidate))
    rows.extend(_response(reference, candidate))
    rows.extend(_fixed_design(reference, candidate))
    rows.extend(_random_design(reference, candidate))
    failed = [r for r in rows if r["verdict"].failed]
    summary = (
        f"{len(rows)} parts compared, all equal"
        if not failed
        else f"{len(failed)} of {len(rows)} parts differ: "
        + "; ".join(f"{r['quantity']} ({r['reason']})" for r in failed[:3])
    )
    return check_of("tier-1", rows, summary, f"{tolerances.EXACT.reason} {tolerances.DESIGN.reason}"), rows


def _exact(record: dict[str, Any], evidence: Evidence) -> Row:
    keys = {key: record[key] for key in ("group", "term", "term2", "level")}
    quantity = record["quantity"]
    if not (record["has_reference"] and record["has_candidate"]):
        return missing_row(
            "tier-1",
            quantity,
            record["has_reference"],
            record["has_candidate"],
            record["reference"],
            record["candidate"],
            evidence.problem(quantity),
            **keys,
        )
    return judge_number("tier-1", quantity, record["reference"], record["candidate"], 1.0, tolerances.EXACT, **keys)


def _labels(
    quantity: str,
    reference: LinearMixedFit,
    candidate: LinearMixedFit,
    read: Callable[[Any], list[str]],
    group: str | None = None,
) -> list[Row]:
    """One row for a list of labels: how many, and whether each stands where it should."""
    sides: list[list[str] | None] = []
    problems = []
    for side, fit in (("reference", reference), ("candidate", candidate)):
        try:
            sides.append(read(fit))
        except Exception as error:  # the side does not give it: a missing row with the reason
            sides.append(None)
            problems.append(f"{side}: {type(error).__name__}: {error}")
    left, right = sides
    if left is None or right is None:
        return [
            missing_row("tier-1", quantity, left is not None, right is not None, why="; ".join(problems), group=group)
        ]
    wrong = [i for i in range(max(len(left), len(right))) if left[i : i + 1] != right[i : i + 1]]
    reason = tolerances.EXACT.reason
    verdict = Verdict.AGREES
    if wrong:
        verdict = Verdict.DISAGREES
        i = wrong[0]
        shown = [repr(names[i]) if i < len(names) else "nothing" for names in (left, right)]
        same_set = sorted(left) == sorted(right)
        reason = (
            f"{'the same labels in another order' if same_set else 'different labels'}: "
            f"at place {i + 1} the reference has {shown[0]}, the candidate {shown[1]}"
        )
        if not same_set:
            lost, extra = _preview(set(left) - set(right)), _preview(set(right) - set(left))
            reason += (f"; the candidate lacks {lost}" if lost else "") + (f"; it has besides {extra}" if extra else "")
    return [
        row(
            "tier-1",
            quantity,
            len(left),
            len(right),
            verdict,
            group=group,
            measured=Measure(scaled=len(wrong), unit="labels out of place", limit=0.0),
            reason=reason,
        )
    ]


def _structures(fit: LinearMixedFit) -> list[str]:
    """What a fit says of its terms' covariances: ``Subject: ar1``."""
    known = structures_of(fit)
    if known is None:
        raise ValueError("it does not say which covariance structures its terms have (getReCovs)")
    return [f"{name}: {structure}" for name, structure in zip(fit.getME("cnms"), known, strict=True)]


def _preview(labels: set[str], most: int = 5) -> str:
    shown = ", ".join(repr(label) for label in sorted(labels)[:most])
    return shown + (f" and {len(labels) - most} more" if len(labels) > most else "")


def _levels(reference: LinearMixedFit, candidate: LinearMixedFit) -> list[Row]:
    rows: list[Row] = []
    groups: list[str] = []
    frames = []
    for fit in (reference, candidate):
        try:
            frame = fit.getME("flist")
        except Exception:  # reported by the row below
            frame = pd.DataFrame()
        frames.append(frame)
        groups.extend(str(name) for name in frame.columns if str(name) not in groups)
    if not groups:
        return [missing_row("tier-1", "levels", False, False, why="neither side gives getME('flist')")]
    for group in groups:
        left, right = (group in frame.columns for frame in frames)
        if not (left and right):
            rows.append(missing_row("tier-1", "membership", left, right, why="getME('flist')", group=group))
    for group in groups:
        rows.extend(
            _labels(
                "levels",
                reference,
                candidate,
                lambda fit, group=group: [  # type: ignore[misc]
                    str(level) for level in fit.getME("flist")[group].cat.categories
                ],
                group=group,
            )
        )
        if all(group in frame.columns for frame in frames):
            codes = [frame[group].astype(str).to_numpy() for frame in frames]
            if len(codes[0]) != len(codes[1]):
                reason = f"the reference's has {len(codes[0])} rows, the candidate's {len(codes[1])}"
                sizes = (len(codes[0]), len(codes[1]))
                rows.append(row("tier-1", "membership", *sizes, Verdict.DISAGREES, group=group, reason=reason))
            else:
                wrong = int(np.sum(codes[0] != codes[1]))
                rows.append(
                    row(
                        "tier-1",
                        "membership",
                        len(codes[0]),
                        len(codes[1]),
                        Verdict.DISAGREES if wrong else Verdict.AGREES,
                        group=group,
                        measured=Measure(scaled=wrong, unit="rows in another level", limit=0.0),
                        reason=f"{wrong} rows belong to another level" if wrong else tolerances.EXACT.reason,
                    )
                )
    return rows


def _get(fit: LinearMixedFit, name: str) -> tuple[Any, str]:
    try:
        return fit.getME(name), ""
    except Exception as error:  # the caller writes a missing row with this reason
        return None, f"{type(error).__name__}: {error}"


def _response(reference: LinearMixedFit, candidate: LinearMixedFit) -> list[Row]:
    left, why_left = _get(reference, "y")
    right, why_right = _get(candidate, "y")
    if left is None or right is None:
        why = "; ".join(filter(None, (why_left, why_right)))
        return [missing_row("tier-1", "y", left is not None, right is not None, why=why)]
    return [_column("y", np.asarray(left, dtype=float), np.asarray(right, dtype=float))]


def _column(quantity: str, left: np.ndarray, right: np.ndarray, **keys: Any) -> Row:
    """Compare a column entry by entry; the row shows the pair that differs most."""
    if left.shape != right.shape:
        return row(
            "tier-1",
            quantity,
            left.size,
            right.size,
            Verdict.DISAGREES,
            measured=Measure(unit="entries"),
            reason=f"the reference's has {left.size} entries, the candidate's {right.size}",
            **keys,
        )
    scale = float(np.max(np.abs(left), initial=0.0)) or 1.0
    difference = np.abs(left - right)
    # Missing values in the same places are equal; anywhere else they are an infinite difference.
    difference = np.where(np.isnan(left) & np.isnan(right), 0.0, np.where(np.isnan(difference), np.inf, difference))
    worst = int(np.argmax(difference)) if difference.size else 0
    largest = float(difference[worst]) / scale if difference.size else 0.0
    limit = tolerances.design_limit(left.size)
    agrees = largest <= limit
    return row(
        "tier-1",
        quantity,
        float(left[worst]) if left.size else 0.0,
        float(right[worst]) if right.size else 0.0,
        Verdict.AGREES if agrees else Verdict.DISAGREES,
        measured=Measure(scaled=largest, unit=tolerances.DESIGN.unit, limit=limit),
        reason=tolerances.DESIGN.reason
        if agrees
        else f"{int(np.sum(difference > limit * scale))} of {left.size} entries differ",
        **keys,
    )


def _fixed_design(reference: LinearMixedFit, candidate: LinearMixedFit) -> list[Row]:
    left, why_left = _get(reference, "X")
    right, why_right = _get(candidate, "X")
    if left is None or right is None:
        why = "; ".join(filter(None, (why_left, why_right)))
        return [missing_row("tier-1", "X", left is not None, right is not None, why=why)]
    names_left, names_right = [[str(name) for name in matrix.columns] for matrix in (left, right)]
    rows = _labels("X-columns", left, right, lambda matrix: [str(name) for name in matrix.columns])
    for name in names_left + [name for name in names_right if name not in names_left]:
        if name in names_left and name in names_right:
            rows.append(
                _column(
                    "X",
                    left.to_numpy(dtype=float)[:, names_left.index(name)],
                    right.to_numpy(dtype=float)[:, names_right.index(name)],
                    term=name,
                )
            )
        else:
            rows.append(missing_row("tier-1", "X", name in names_left, name in names_right, term=name))
    return rows


def _random_design(reference: LinearMixedFit, candidate: LinearMixedFit) -> list[Row]:
    left, why_left = _get(reference, "Z")
    right, why_right = _get(candidate, "Z")
    if left is None or right is None:
        why = "; ".join(filter(None, (why_left, why_right)))
        return [missing_row("tier-1", "Z", left is not None, right is not None, why=why)]
    left, right = sp.csc_array(left).astype(float), sp.csc_array(right).astype(float)
    if left.shape != right.shape:
        return [
            row(
                "tier-1",
                "Z",
                left.shape[1],
                right.shape[1],
                Verdict.DISAGREES,
                measured=Measure(unit="columns"),
                reason=f"the reference's Z is {left.shape[0]} x {left.shape[1]}, "
                f"the candidate's {right.shape[0]} x {right.shape[1]}",
            )
        ]
    largest_entry = float(np.max(np.abs(left.data), initial=0.0)) or 1.0
    difference = abs(left - right)
    worst = float(np.max(difference.data, initial=0.0)) / largest_entry
    limit = tolerances.design_limit(left.shape[0])
    wrong = int(np.sum(difference.data > limit * largest_entry))
    agrees = worst <= limit  # a NaN does not compare, and so does not agree
    return [
        row(
            "tier-1",
            "Z",
            left.sum(),
            right.sum(),
            Verdict.AGREES if agrees else Verdict.DISAGREES,
            measured=Measure(scaled=worst, unit=tolerances.DESIGN.unit, limit=limit),
            reason=tolerances.DESIGN.reason
            if agrees
            else f"{wrong} entries differ (values shown: sums of all entries)",
        )
    ]
