"""Tier 5: BLUPs, and what is computed from them."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from validation import tolerances
from validation.algebra import by_label
from validation.checks import Check
from validation.judge.estimates import either_on_boundary, estimate_limit
from validation.judge.evidence import Evidence
from validation.judge.implied import accept_implied, implied_by
from validation.judge.rows import Row, check_of, counts, judge_number, judge_record, missing_row
from validation.quantities import records
from validation.tolerances import Match
from validation.verdict import Verdict


def conditional_modes(evidence: Evidence) -> tuple[Check, list[Row]]:
    """Tier 5: BLUPs and conditional sds by level label; coef, fitted values and residuals, the worst of each shown."""
    limit = estimate_limit(evidence)
    sigma = evidence.value("reference", "sigma")
    fallback = _level_errors(evidence, sigma)
    given = [r for r in records(evidence.rows("condsd")) if r["has_reference"]]
    sds = {(r["group"], r["term"], r["level"]): r["reference"] for r in given}
    # θ is known to about (the standard error of a level's own estimate) / √levels, in units of σ.
    levels = Counter((group, effect) for group, effect, _ in fallback) if either_on_boundary(evidence) else Counter()
    undetermined = {key: own / math.sqrt(levels[key[:2]]) for key, own in fallback.items() if levels[key[:2]]}
    # On the boundary the conditional sd goes to 0 with the variance; the level's own mean is the measure then. Beside
    # it the conditional sd is small, and θ's own error is what moves the BLUP and its conditional sd.
    units = {
        key: own
        if math.isfinite(own) and sds.get(key, 0.0) < Match.ROUGH * own
        else math.hypot(sds.get(key, math.nan), undetermined.get(key, 0.0))
        for key, own in {**dict.fromkeys(sds, math.nan), **fallback}.items()
    }
    rows = evidence.absent("tier-5", "ranef", "condsd", "fitted", "residuals")
    for record in records(evidence.rows("ranef", "condsd")):
        quantity = record["quantity"]
        key = (record["group"], record["term"], record["level"])
        tolerance = (tolerances.CONDITIONAL_MODE if quantity == "ranef" else tolerances.CONDITIONAL_SD).at(limit)
        if sds.get(key, math.nan) < Match.ROUGH * fallback.get(key, math.nan):
            tolerance = tolerance.at(limit, "standard errors of the level's own estimate")
        scale = units[key] if key in sds else math.nan
        rows.append(judge_record("tier-5", record, scale, tolerance, evidence.problem(quantity)))
    rows = accept_implied(evidence, rows, limit)
    rows.extend(_bulk(evidence, limit, sigma, units))
    return check_of("tier-5", rows, counts(rows), tolerances.CONDITIONAL_MODE.reason), rows


def _level_errors(evidence: Evidence, sigma: float) -> dict[tuple[str, str, str], float]:
    """σ/√Σz² by (group, effect, level): the standard error of a level's own, unpooled effect."""
    pieces = evidence.reference_pieces
    if pieces is None or not math.isfinite(sigma):
        return {}
    # A level in which the effect's column is 0 throughout says nothing about it; σ is the measure then.
    squares = by_label(pieces, pieces.squares).items()
    return {label: sigma / math.sqrt(square) if square > 0 else sigma for label, square in squares}


def _bulk(evidence: Evidence, limit: float, sigma: float, sds: dict[tuple[str, str, str], float]) -> list[Row]:
    """One row for each of coef (by effect), fitted values and residuals: the worst of many, and how many failed."""
    rows: list[Row] = []
    se = {r["term"]: r["error_reference"] for r in records(evidence.rows("fixef"))}
    implied = implied_by(evidence)
    for quantity in ("coef", "fitted", "residuals", "scaled_residuals", "predict-marginal", "predict-new"):
        found = evidence.rows(quantity)
        for (raw_group, raw_term), part in found.groupby(["group", "term"], dropna=False, sort=False):
            group, term = _text(raw_group), _text(raw_term)
            lost = part[~(part["has_reference"] & part["has_candidate"])]
            if len(lost):
                first = lost.iloc[0]
                why = evidence.problem(quantity)
                judged = missing_row(
                    "tier-5",
                    quantity,
                    bool(lost["has_reference"].all()),
                    bool(lost["has_candidate"].all()),
                    float(first["reference"]),
                    float(first["candidate"]),
                    f"{len(lost)} of {len(part)}, e.g. {first['level']!r}" + (f"; {why}" if why else ""),
                    group=group,
                    term=term,
                    level=first["level"],
                )
                rows.append(judged)
                continue
            left, right = part["reference"].to_numpy(), part["candidate"].to_numpy()
            unit = tolerances.BULK.unit
            scale = np.full(len(part), sigma)
            if quantity == "coef":
                fixed = se.get(term, math.nan)
                random = np.array([sds.get((group, term, level), math.nan) for level in part["level"]])  # type: ignore[arg-type]
                scale = np.sqrt(np.nan_to_num(fixed) ** 2 + np.nan_to_num(random) ** 2)
                # An effect of another factor's, without a fixed part, is 0 at every level here: no error of its own.
                scale = np.where(scale > 0.0, scale, sigma)
                unit = "standard errors of coefficient and BLUP together"
            elif quantity == "scaled_residuals":
                scale, unit = np.ones(len(part)), "scaled residuals"
            with np.errstate(all="ignore"):
                scaled = np.abs(right - left) / scale
            scaled = np.where(np.isnan(left) & np.isnan(right), 0.0, np.where(np.isfinite(scaled), scaled, np.inf))
            worst = int(np.argmax(scaled))
            judged = judge_number(
                "tier-5",
                quantity,
                float(left[worst]),
                float(right[worst]),
                float(scale[worst]),
                tolerances.BULK.at(limit, unit),
                group=group,
                term=term,
                level=part["level"].iloc[worst],
            )
            failed = int(np.sum(~(scaled <= limit)))
            told = f"the largest difference of {len(part)}, {failed} beyond the limit. {judged.reason}"
            judged = judged._replace(reason=told)
            if judged.verdict is Verdict.DISAGREES and implied is not None:
                verdict, reason, solution, own = implied
                rows_used = evidence.rows("fitted")["level"].tolist()
                sides = [(right, solution)] if own is None else [(right, solution), (left, own)]
                implied_values = [_expected_bulk(s, quantity, part, group, term, rows_used) for _, s in sides]
                if all(
                    expected is not None and np.all(np.abs(values - expected) <= limit * scale)
                    for (values, _), expected in zip(sides, implied_values, strict=True)
                ):
                    judged = judged._replace(verdict=verdict, reason=reason)
            rows.append(judged)
    return rows


def _text(label: Any) -> str | None:
    """A label of a grouped frame, where pandas makes NaN of None."""
    return label if isinstance(label, str) else None


def _expected_bulk(
    solution: Any, quantity: str, part: pd.DataFrame, group: str | None, term: str | None, rows_used: list[str]
) -> np.ndarray | None:
    if quantity == "coef":
        fixed = dict(zip(solution.pieces.coef_names, solution.beta, strict=True)).get(term, 0.0)
        random = solution.ranef()
        # R's coef() adds the first of several effects of one name, once for each of them.
        times = sum(t.effects.count(term) for t in solution.pieces.terms if t.group == group)
        return np.array([fixed + times * random.get((group, term, level), 0.0) for level in part["level"]])
    if quantity.startswith("predict-"):
        # At unseen levels the random effects are 0: the marginal prediction of the same row.
        marginal = dict(zip(rows_used, solution.marginal, strict=True))
        return np.array([marginal.get(level, math.nan) for level in part["level"]])
    if len(part) != solution.fitted.size:
        return None
    if quantity == "fitted":
        return solution.fitted
    residuals = solution.pieces.y - solution.fitted
    return residuals if quantity == "residuals" else residuals / solution.sigma
