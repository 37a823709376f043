"""Gates 3, 4 and 6: z-scores of all summaries, sizes in posterior sds, and quadrature."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtri

from validation import tolerances
from validation.checks import Check
from validation.judge.posterior_evidence import PosteriorEvidence, error_and_limit, z_limit
from validation.judge.quantiles import QuantileSide, quantile_side, quantile_z
from validation.judge.rows import Row, check_of, counts, judge_record
from validation.quantities import (
    MAIN_EXCLUDED,
    QUANTILES,
    join,
    key_of,
    records,
    split_parameter,
    summary_quantities,
)
from validation.tolerances import Match
from validation.verdict import Verdict

__all__ = ["against_truth", "quantile_scores", "sizes", "z_scores"]


def z_scores(evidence: PosteriorEvidence) -> tuple[Check, list[Row]]:
    """Gate 3: z of every posterior mean, sd and quantile, with Bonferroni's limit."""
    joined = evidence.joined
    both = joined["has_reference"] & joined["has_candidate"]
    tests = int(both.sum())
    limit = z_limit(tests)
    rows: list[Row] = []
    quantiles = [evidence.quantile_sides(side) for side in ("reference", "candidate")]
    scores = quantile_scores(quantiles[0], quantiles[1], evidence.groups)
    freedoms = [evidence.freedom(side) for side in ("reference", "candidate")]
    for record in records(joined):
        error, row_limit = _error_and_limit(record, scores, limit, tests, freedoms)
        tolerance = tolerances.Z_SCORE.at(row_limit, "Monte Carlo standard errors of the difference")
        rows.append(judge_record("gate-3", record, error, tolerance, "; ".join(evidence.problems.values())))
    zs = np.array([r.scaled for r in rows if math.isfinite(r.scaled)])
    summary = counts(rows)
    if zs.size:
        summary = (
            f"{tests} z-scores, root mean square {np.sqrt(np.mean(zs**2)):.2f}, largest {zs.max():.2f} "
            f"({max((r for r in rows if math.isfinite(r.scaled)), key=lambda r: r.scaled).name}); "
            f"limit {limit:.2f} for a false-alarm rate of {tolerances.FALSE_ALARM_RATE:g} over all {tests}"
        )
        failed = sum(r.verdict.failed for r in rows)
        if failed:
            summary = f"{failed} failed: " + summary
    return check_of("gate-3", rows, summary, tolerances.Z_SCORE.reason), rows


def _error_and_limit(
    record: dict[str, Any],
    scores: Mapping[tuple[object, ...], float],
    limit: float,
    tests: int,
    freedoms: Sequence[dict[tuple[object, ...], float]],
) -> tuple[float, float]:
    """Monte Carlo error of a difference, and the limit for its z; of a quantile the unit that makes it its z."""
    error, row_limit = error_and_limit(record, limit, tests, freedoms)
    z = scores.get(key_of(record))
    if z is not None:
        error = abs(record["candidate"] - record["reference"]) / max(abs(z), Match.COMPUTED) or error
    return error, row_limit


def quantile_scores(
    left: dict[float, QuantileSide], right: dict[float, QuantileSide], groups: Sequence[str] = ()
) -> dict[tuple[object, ...], float]:
    """Score every quantile that draws can judge: z by (quantity, group, term, term2, level)."""
    scores: dict[tuple[object, ...], float] = {}
    for probability in [p for p in left if p in right]:
        for name in left[probability].value:
            z = quantile_z(name, probability, left[probability], right[probability])
            if z is not None:
                scores[f"post-q{100 * probability:g}", *split_parameter(name, groups)] = z
    return scores


def sizes(evidence: PosteriorEvidence) -> tuple[Check, list[Row]]:
    """Gate 4: differences of means and sds in posterior sds, and the smallest shift that could have been detected."""
    joined = evidence.joined
    both = joined[joined["has_reference"] & joined["has_candidate"]]
    limit = z_limit(len(both))
    sd_of = {key_of(record)[1:]: record["reference"] for record in records(both[both["quantity"] == "post-sd"])}
    rows: list[Row] = []
    shifts: dict[str, float] = {}
    power = float(ndtri(tolerances.POWER))
    for record in records(both[both["quantity"].isin(["post-mean", "post-sd"])]):
        sd = sd_of.get(key_of(record)[1:], math.nan)
        judged = judge_record("gate-4", record, sd, tolerances.SIZE)
        error = math.hypot(record["error_reference"], record["error_candidate"])
        z = abs(record["candidate"] - record["reference"]) / error if error > 0 else math.inf
        d = judged.scaled
        if d >= tolerances.SHIFT_FAILS and z <= limit:
            why = f"{d:.2g} posterior sds apart, but the draws are too few to tell that from chance (z = {z:.1f})"
            judged = judged._replace(verdict=Verdict.INCONCLUSIVE, reason=why)
        elif d >= tolerances.SHIFT_FAILS:
            judged = judged._replace(verdict=Verdict.DISAGREES)
        elif d > tolerances.SHIFT_FINE:
            why = f"between {tolerances.SHIFT_FINE} and {tolerances.SHIFT_FAILS} posterior sds (z = {z:.1f})"
            judged = judged._replace(reason=why)
        rows.append(judged)
        if record["quantity"] == "post-mean" and record["level"] is None and sd > 0 and math.isfinite(error):
            name = record["term"] if record["group"] is None else judged._replace(quantity="Sigma").name
            if name not in MAIN_EXCLUDED:
                shifts[name] = (limit + power) * error / sd
    summary = counts(rows)
    if shifts:
        hardest = max(shifts, key=lambda name: shifts[name])
        evidence.detectable = shifts[hardest]
        summary += (
            "; smallest shift of a main parameter's mean that gate 3 would have detected (power "
            f"{tolerances.POWER:.0%}): {evidence.detectable:.2f} posterior sds ({hardest})"
        )
        if evidence.detectable > tolerances.SHIFT_FINE:
            summary += ": a weak comparison, more draws would sharpen it"
    return check_of("gate-4", rows, summary, tolerances.SIZE.reason), rows


def against_truth(evidence: PosteriorEvidence, side: str) -> tuple[Check, list[Row]]:
    """One side against quadrature: no Monte Carlo error on the other side, so it tells which side is off."""
    identifier = f"truth-{side}"
    if evidence.truth is None or side not in evidence.summaries:
        return check_of(identifier, [], "", tolerances.Z_SCORE.reason), []
    truth = summary_quantities(evidence.truth, evidence.groups).table
    truth = truth[truth["value"].notna()]
    own = summary_quantities(evidence.summaries[side], evidence.groups).table
    joined = join(truth, own)
    joined = joined[joined["has_reference"]]  # quadrature gives what it gives; the rest is judged by gates 3 to 5
    limit = z_limit(len(joined))
    exact = {probability: quantile_side(evidence.truth, probability) for probability in QUANTILES}
    scores = quantile_scores(exact, evidence.quantile_sides(side), evidence.groups)
    freedoms = [{}, evidence.freedom(side)]
    rows: list[Row] = []
    for record in records(joined):
        error, row_limit = _error_and_limit(record, scores, limit, len(joined), freedoms)
        tolerance = tolerances.Z_SCORE.at(row_limit, "Monte Carlo standard errors")
        rows.append(judge_record(identifier, record, error, tolerance, "quadrature has it"))
    return check_of(identifier, rows, counts(rows), tolerances.Z_SCORE.reason), rows
