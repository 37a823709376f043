"""Gates 3, 4 and 6: z-scores of all summaries, sizes in posterior sds, and quadrature."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scipy.special import ndtri

from validation import tolerances
from validation.checks import Check
from validation.judge.posterior_evidence import PosteriorEvidence, error_and_limit, z_limit
from validation.judge.quantiles import QuantileSide, quantile_side, quantile_z
from validation.judge.rows import Row, check_of, counts, judge_record
from validation.quantities import (
    MAIN_EXCLUDED,
    QUANTILES,
    Key,
    join,
    key_of,
    records,
    split_parameter,
    summary_quantities,
)
from validation.tolerances import Match, Tolerance
from validation.verdict import Verdict


def z_scores(evidence: PosteriorEvidence) -> tuple[Check, list[Row]]:
    """Gate 3: z of every posterior mean, sd and quantile, with Bonferroni's limit."""
    left, right = (evidence.quantile_sides(side) for side in ("reference", "candidate"))
    freedoms = [evidence.freedom(side) for side in ("reference", "candidate")]
    joined, unit = evidence.joined, "Monte Carlo standard errors of the difference"
    tests = int((joined["has_reference"] & joined["has_candidate"]).sum())
    scores = _quantile_scores(left, right, evidence.groups)
    why = "; ".join(evidence.problems.values())
    rows = [
        judge_record("gate-3", record, *_unit_and_rule(record, scores, tests, freedoms, unit), why)
        for record in records(joined)
    ]
    scored = [r for r in rows if math.isfinite(r.scaled)]
    summary = counts(rows)
    if scored:
        worst, failed = max(scored, key=lambda r: r.scaled), sum(r.verdict.failed for r in rows)
        root_mean_square = math.hypot(*(r.scaled for r in scored)) / math.sqrt(len(scored))  # squares may overflow
        summary = (
            f"{f'{failed} failed: ' if failed else ''}{tests} z-scores, root mean square "
            f"{root_mean_square:.2f}, largest {worst.scaled:.2f} ({worst.name}); "
            f"limit {z_limit(tests):.2f} for a false-alarm rate of {tolerances.FALSE_ALARM_RATE:g} over all {tests}"
        )
    return check_of("gate-3", rows, summary, tolerances.Z_SCORE.reason), rows


def _unit_and_rule(
    record: dict[str, Any],
    scores: Mapping[Key, float],
    tests: int,
    freedoms: Sequence[dict[tuple[object, ...], float]],
    unit: str,
) -> tuple[float, Tolerance]:
    """Monte Carlo error of a difference, and the limit for its z; of a quantile the unit that makes it its z."""
    error, limit = error_and_limit(record, z_limit(tests), tests, freedoms)
    z = scores.get(key_of(record))
    if z is not None:
        error = abs(record["candidate"] - record["reference"]) / max(abs(z), Match.COMPUTED) or error
    return error, tolerances.Z_SCORE.at(limit, unit)


def _quantile_scores(
    left: dict[float, QuantileSide], right: dict[float, QuantileSide], groups: Sequence[str]
) -> dict[Key, float]:
    """Z of every quantile that draws can judge."""
    scored = {
        (f"post-q{100 * probability:g}", *split_parameter(name, groups)): quantile_z(name, probability, known, other)
        for probability, known in left.items()
        if (other := right.get(probability)) is not None
        for name in known.value
    }
    return {key: z for key, z in scored.items() if z is not None}


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
    exact = {probability: quantile_side(evidence.truth, probability) for probability in QUANTILES}
    scores = _quantile_scores(exact, evidence.quantile_sides(side), evidence.groups)
    freedoms, unit = [{}, evidence.freedom(side)], "Monte Carlo standard errors"
    rows = [
        judge_record(
            identifier, record, *_unit_and_rule(record, scores, len(joined), freedoms, unit), "quadrature has it"
        )
        for record in records(joined)
    ]
    return check_of(identifier, rows, counts(rows), tolerances.Z_SCORE.reason), rows
