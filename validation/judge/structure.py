"""Tier 1: rows, columns, levels, the design: exact."""

from collections.abc import Callable
from operator import methodcaller
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation.contract import LinearMixedFit
from validation.covariances import structures_of
from validation.judge.evidence import Evidence
from validation.judge.rows import Found, Row, asked, judge_record, missing_row, row
from validation.owndata import some
from validation.quantities import Key, named, quietly, records
from validation.tolerances import DESIGN, EXACT, Tolerance, design_limit
from validation.verdict import Verdict


def structure(evidence: Evidence) -> Found:
    """Tier 1: rows used, names, levels and their order, X and Z, exactly."""
    rows: list[Row] = []
    for quantity in ("nobs", "npar", "df_residual", "criterion", "ngrps"):
        rows += evidence.absent(quantity) if quantity != "ngrps" else []
        problem = evidence.problem(quantity)
        rows += [judge_record(record, 1.0, EXACT, problem) for record in records(evidence.rows(quantity))]
    fits = evidence.reference, evidence.candidate
    rows.append(_labels(named("fixef-names"), *fits, lambda fit: list(map(str, fit.fixef().index))))
    rows.append(_labels(named("theta-names"), *fits, lambda fit: list(map(str, fit.getME("theta").index))))
    if any(not structure.free for side in ("reference", "candidate") for structure in evidence.structures(side) or ()):
        rows.append(_labels(named("structures"), *fits, structure_words))
    rows.append(_labels(named("rows-used"), *fits, lambda fit: list(map(str, fit.fitted().index))))
    rows += _levels(*fits)
    for name, compare in (("y", _response), ("X", _fixed_design), ("Z", _random_design)):
        pair = asked(named(name), *fits, methodcaller("getME", name))
        rows += [pair] if isinstance(pair, Row) else compare(*pair)
    failed = [r for r in rows if r.verdict.failed]
    if not failed:
        return rows, f"{len(rows)} parts compared, all equal"
    worst = "; ".join(f"{r.quantity} ({r.reason})" for r in failed[:3])
    return rows, f"{len(failed)} of {len(rows)} parts differ: {worst}"


def _judged(key: Key, shown: tuple[float, float], scaled: float, tolerance: Tolerance, wrong: str) -> Row:
    """A row that agrees within a tolerance; a NaN does not compare, and so disagrees."""
    agrees = scaled <= tolerance.limit
    verdict, reason = (Verdict.AGREES, tolerance.reason) if agrees else (Verdict.DISAGREES, wrong)
    return row(key, *shown, verdict, reason, scaled=scaled, unit=tolerance.unit, limit=tolerance.limit)


def _other_size(key: Key, left: np.ndarray, right: np.ndarray, unit: str) -> Row:
    reason = f"the reference's has {left.size} {unit}, the candidate's {right.size}"
    return row(key, left.size, right.size, Verdict.DISAGREES, reason, unit=unit)


def _labels(key: Key, reference: Any, candidate: Any, read: Callable[[Any], list[str]]) -> Row:
    """One row for a list of labels: how many, and whether each stands where it should."""
    pair = asked(key, reference, candidate, read)
    if isinstance(pair, Row):
        return pair
    left, right = pair
    wrong = [i for i in range(max(len(left), len(right))) if left[i : i + 1] != right[i : i + 1]]
    reason = ""
    if wrong:
        i = wrong[0]
        shown = [repr(names[i]) if i < len(names) else "nothing" for names in pair]
        same_set = sorted(left) == sorted(right)
        reason = (
            f"{'the same labels in another order' if same_set else 'different labels'}: "
            f"at place {i + 1} the reference has {shown[0]}, the candidate {shown[1]}"
        )
        if not same_set:
            lost, extra = (some([repr(x) for x in sorted(set(a) - set(b))]) for a, b in ((left, right), (right, left)))
            reason += (f"; the candidate lacks {lost}" if lost else "") + (f"; it has besides {extra}" if extra else "")
    return _judged(key, (len(left), len(right)), len(wrong), EXACT.at(0.0, "labels out of place"), reason)


def structure_words(fit: LinearMixedFit) -> list[str]:
    """What a fit says of its terms' covariances: ``Subject: ar1``."""
    known = structures_of(fit)
    if known is None:
        raise ValueError("it does not say which covariance structures its terms have (getReCovs)")
    return [f"{name}: {structure}" for name, structure in zip(fit.getME("cnms"), known, strict=True)]


def _levels(reference: LinearMixedFit, candidate: LinearMixedFit) -> list[Row]:
    """Of each grouping factor its levels, and which of them each row belongs to."""
    rows: list[Row] = []
    frames = [quietly(lambda: fit.getME("flist"), pd.DataFrame()) for fit in (reference, candidate)]  # noqa: B023
    groups = list(dict.fromkeys(str(name) for frame in frames for name in frame.columns))
    if not groups:
        return [missing_row(named("levels"), False, False, why="neither side gives getME('flist')")]
    for group in groups:

        def levels(fit: Any, group: str = group) -> list[str]:
            return [str(level) for level in fit.getME("flist")[group].cat.categories]

        key, there = named("membership", group), (group in frames[0].columns, group in frames[1].columns)
        rows.append(_labels(named("levels", group), reference, candidate, levels))
        if not all(there):
            rows.append(missing_row(key, *there, why="getME('flist')"))
            continue
        left, right = (frame[group].astype(str).to_numpy() for frame in frames)
        if left.size != right.size:
            rows.append(_other_size(key, left, right, "rows"))
            continue
        wrong = int(np.sum(left != right))
        reason = f"{wrong} rows belong to another level"
        rows.append(_judged(key, (left.size, right.size), wrong, EXACT.at(0.0, "rows in another level"), reason))
    return rows


def _response(left: Any, right: Any) -> list[Row]:
    return [_column(named("y"), np.asarray(left, dtype=float), np.asarray(right, dtype=float))]


def _column(key: Key, left: np.ndarray, right: np.ndarray) -> Row:
    """Compare a column entry by entry; the row shows the pair that differs most."""
    if left.shape != right.shape:
        return _other_size(key, left, right, "entries")
    scale = float(np.max(np.abs(left), initial=0.0)) or 1.0
    difference = np.abs(left - right)
    # Missing values in the same places are equal; anywhere else they are an infinite difference.
    difference = np.where(np.isnan(left) & np.isnan(right), 0.0, np.where(np.isnan(difference), np.inf, difference))
    worst = int(np.argmax(difference)) if difference.size else 0
    largest = float(difference[worst]) / scale if difference.size else 0.0
    shown = (float(left[worst]), float(right[worst])) if left.size else (0.0, 0.0)
    limit = design_limit(left.size)
    wrong = f"{int(np.sum(difference > limit * scale))} of {left.size} entries differ"
    return _judged(key, shown, largest, DESIGN.at(limit), wrong)


def _fixed_design(left: pd.DataFrame, right: pd.DataFrame) -> list[Row]:
    rows = [_labels(named("X-columns"), left, right, lambda matrix: [str(name) for name in matrix.columns])]
    columns = [dict(zip(map(str, x.columns), x.to_numpy(dtype=float).T, strict=True)) for x in (left, right)]
    for name in dict.fromkeys([*columns[0], *columns[1]]):
        key, there = named("X", term=name), (name in columns[0], name in columns[1])
        rows.append(_column(key, *(side[name] for side in columns)) if all(there) else missing_row(key, *there))
    return rows


def _random_design(given_left: Any, given_right: Any) -> list[Row]:
    left, right = sp.csc_array(given_left).astype(float), sp.csc_array(given_right).astype(float)
    if left.shape != right.shape:
        shapes = [f"{matrix.shape[0]} x {matrix.shape[1]}" for matrix in (left, right)]
        reason = f"the reference's Z is {shapes[0]}, the candidate's {shapes[1]}"
        return [row(named("Z"), left.shape[1], right.shape[1], Verdict.DISAGREES, reason, unit="columns")]
    scale = float(np.max(np.abs(left.data), initial=0.0)) or 1.0
    difference = abs(left - right)
    limit = design_limit(left.shape[0])
    wrong = f"{int(np.sum(difference.data > limit * scale))} entries differ (values shown: sums of all entries)"
    largest = float(np.max(difference.data, initial=0.0)) / scale
    return [_judged(named("Z"), (left.sum(), right.sum()), largest, DESIGN.at(limit), wrong)]
