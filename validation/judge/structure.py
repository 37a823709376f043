"""Tier 1: rows, columns, levels, the design: exact."""

from collections.abc import Callable
from operator import methodcaller
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation import tolerances
from validation.checks import Check
from validation.contract import LinearMixedFit
from validation.covariances import structures_of
from validation.judge.evidence import Evidence
from validation.judge.rows import Measure, Row, asked, check_of, judge_record, missing_row, row
from validation.owndata import some
from validation.quantities import quietly, records
from validation.verdict import Verdict


def structure(evidence: Evidence) -> tuple[Check, list[Row]]:
    """Tier 1: rows used, names, levels and their order, X and Z, exactly."""
    rows: list[Row] = []
    for quantity in ("nobs", "npar", "df_residual", "criterion", "ngrps"):
        found = evidence.rows(quantity)
        rows += evidence.absent("tier-1", quantity) if quantity != "ngrps" else []
        problem = evidence.problem(quantity)
        rows.extend(judge_record("tier-1", record, 1.0, tolerances.EXACT, problem) for record in records(found))
    reference, candidate = evidence.reference, evidence.candidate
    rows.append(_labels("fixef-names", reference, candidate, lambda fit: list(map(str, fit.fixef().index))))
    rows.append(_labels("theta-names", reference, candidate, lambda fit: list(map(str, fit.getME("theta").index))))
    if any(not structure.free for side in ("reference", "candidate") for structure in evidence.structures(side) or ()):
        rows.append(_labels("structures", reference, candidate, structure_words))
    rows.append(_labels("rows-used", reference, candidate, lambda fit: list(map(str, fit.fitted().index))))
    rows.extend(_levels(reference, candidate))
    for name, compare in (("y", _response), ("X", _fixed_design), ("Z", _random_design)):
        left, right, why = asked(reference, candidate, methodcaller("getME", name))
        if left is None or right is None:
            rows.append(missing_row("tier-1", name, left is not None, right is not None, why=why))
        else:
            rows.extend(compare(left, right))
    failed = [r for r in rows if r.verdict.failed]
    summary = (
        f"{len(rows)} parts compared, all equal"
        if not failed
        else f"{len(failed)} of {len(rows)} parts differ: "
        + "; ".join(f"{r.quantity} ({r.reason})" for r in failed[:3])
    )
    return check_of("tier-1", rows, summary, f"{tolerances.EXACT.reason} {tolerances.DESIGN.reason}"), rows


def _labels(
    quantity: str,
    reference: Any,
    candidate: Any,
    read: Callable[[Any], list[str]],
    group: str | None = None,
) -> Row:
    """One row for a list of labels: how many, and whether each stands where it should."""
    left, right, why = asked(reference, candidate, read)
    if left is None or right is None:
        return missing_row("tier-1", quantity, left is not None, right is not None, why=why, group=group)
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
            lost, extra = (some([repr(x) for x in sorted(set(a) - set(b))]) for a, b in ((left, right), (right, left)))
            reason += (f"; the candidate lacks {lost}" if lost else "") + (f"; it has besides {extra}" if extra else "")
    measured = Measure(len(wrong), "labels out of place", 0.0)
    return row("tier-1", quantity, len(left), len(right), verdict, reason, measured, group=group)


def structure_words(fit: LinearMixedFit) -> list[str]:
    """What a fit says of its terms' covariances: ``Subject: ar1``."""
    known = structures_of(fit)
    if known is None:
        raise ValueError("it does not say which covariance structures its terms have (getReCovs)")
    return [f"{name}: {structure}" for name, structure in zip(fit.getME("cnms"), known, strict=True)]


def _levels(reference: LinearMixedFit, candidate: LinearMixedFit) -> list[Row]:
    rows: list[Row] = []
    frames = [quietly(lambda: fit.getME("flist"), pd.DataFrame()) for fit in (reference, candidate)]  # noqa: B023
    groups = list(dict.fromkeys(str(name) for frame in frames for name in frame.columns))
    if not groups:
        return [missing_row("tier-1", "levels", False, False, why="neither side gives getME('flist')")]
    for group in groups:
        left, right = (group in frame.columns for frame in frames)
        if not (left and right):
            rows.append(missing_row("tier-1", "membership", left, right, why="getME('flist')", group=group))
    for group in groups:

        def levels(fit: Any, group: str = group) -> list[str]:
            return [str(level) for level in fit.getME("flist")[group].cat.categories]

        rows.append(_labels("levels", reference, candidate, levels, group))
        if all(group in frame.columns for frame in frames):
            rows.append(_membership(group, *(frame[group].astype(str).to_numpy() for frame in frames)))
    return rows


def _membership(group: str, left: np.ndarray, right: np.ndarray) -> Row:
    sizes = len(left), len(right)
    if sizes[0] != sizes[1]:
        reason = f"the reference's has {sizes[0]} rows, the candidate's {sizes[1]}"
        return row("tier-1", "membership", *sizes, Verdict.DISAGREES, reason, group=group)
    wrong = int(np.sum(left != right))
    reason = f"{wrong} rows belong to another level" if wrong else tolerances.EXACT.reason
    verdict = Verdict.DISAGREES if wrong else Verdict.AGREES
    measured = Measure(wrong, "rows in another level", 0.0)
    return row("tier-1", "membership", *sizes, verdict, reason, measured, group=group)


def _response(left: Any, right: Any) -> list[Row]:
    return [_column("y", np.asarray(left, dtype=float), np.asarray(right, dtype=float))]


def _column(quantity: str, left: np.ndarray, right: np.ndarray, **keys: Any) -> Row:
    """Compare a column entry by entry; the row shows the pair that differs most."""
    if left.shape != right.shape:
        reason = f"the reference's has {left.size} entries, the candidate's {right.size}"
        measured = Measure(unit="entries")
        return row("tier-1", quantity, left.size, right.size, Verdict.DISAGREES, reason, measured, **keys)
    scale = float(np.max(np.abs(left), initial=0.0)) or 1.0
    difference = np.abs(left - right)
    # Missing values in the same places are equal; anywhere else they are an infinite difference.
    difference = np.where(np.isnan(left) & np.isnan(right), 0.0, np.where(np.isnan(difference), np.inf, difference))
    worst = int(np.argmax(difference)) if difference.size else 0
    largest = float(difference[worst]) / scale if difference.size else 0.0
    limit = tolerances.design_limit(left.size)
    shown = (float(left[worst]), float(right[worst])) if left.size else (0.0, 0.0)
    wrong = f"{int(np.sum(difference > limit * scale))} of {left.size} entries differ"
    return _entries(quantity, shown, largest, limit, wrong, **keys)


def _entries(quantity: str, shown: tuple[float, float], largest: float, limit: float, wrong: str, **keys: Any) -> Row:
    """A row for entries of a design that differ by so much at the most; a NaN does not compare, and so disagrees."""
    agrees = largest <= limit
    verdict, reason = (Verdict.AGREES, tolerances.DESIGN.reason) if agrees else (Verdict.DISAGREES, wrong)
    return row("tier-1", quantity, *shown, verdict, reason, Measure(largest, tolerances.DESIGN.unit, limit), **keys)


def _fixed_design(left: pd.DataFrame, right: pd.DataFrame) -> list[Row]:
    names_left, names_right = [[str(name) for name in matrix.columns] for matrix in (left, right)]
    rows = [_labels("X-columns", left, right, lambda matrix: [str(name) for name in matrix.columns])]
    for name in names_left + [name for name in names_right if name not in names_left]:
        if name in names_left and name in names_right:
            columns = (
                matrix.to_numpy(dtype=float)[:, names.index(name)]
                for matrix, names in ((left, names_left), (right, names_right))
            )
            rows.append(_column("X", *columns, term=name))
        else:
            rows.append(missing_row("tier-1", "X", name in names_left, name in names_right, term=name))
    return rows


def _random_design(given_left: Any, given_right: Any) -> list[Row]:
    left, right = sp.csc_array(given_left).astype(float), sp.csc_array(given_right).astype(float)
    if left.shape != right.shape:
        shapes = [f"{matrix.shape[0]} x {matrix.shape[1]}" for matrix in (left, right)]
        reason = f"the reference's Z is {shapes[0]}, the candidate's {shapes[1]}"
        columns = left.shape[1], right.shape[1]
        return [row("tier-1", "Z", *columns, Verdict.DISAGREES, reason, Measure(unit="columns"))]
    largest_entry = float(np.max(np.abs(left.data), initial=0.0)) or 1.0
    difference = abs(left - right)
    worst = float(np.max(difference.data, initial=0.0)) / largest_entry
    limit = tolerances.design_limit(left.shape[0])
    wrong = int(np.sum(difference.data > limit * largest_entry))
    text = f"{wrong} entries differ (values shown: sums of all entries)"
    return [_entries("Z", (left.sum(), right.sum()), worst, limit, text)]
