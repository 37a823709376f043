"""Gates 3, 4 and 6: z-scores of all summaries, sizes in posterior sds, and quadrature."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from validation import tolerances
from validation.checks import Check
from validation.judge.posterior_evidence import PosteriorEvidence, error_and_limit, z_limit
from validation.judge.quantiles import QuantileSide, quantile_side, quantile_z
from validation.judge.rows import Row, check_of, counts, describe, judge_number, missing_row
from validation.quantities import (
    KEYS,
    MAIN_EXCLUDED,
    QUANTILES,
    join,
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
        keys = {key: record[key] for key in ("group", "term", "term2", "level")}
        if not (record["has_reference"] and record["has_candidate"]):
            rows.append(
                missing_row(
                    "gate-3",
                    record["quantity"],
                    record["has_reference"],
                    record["has_candidate"],
                    record["reference"],
                    record["candidate"],
                    "; ".join(evidence.problems.values()),
                    **keys,
                )
            )
            continue
        error, row_limit = error_and_limit(record, limit, tests, freedoms)
        z = scores.get((record["quantity"], *keys.values()))
        if z is not None:  # the row shows the quantiles; their unit is what makes the difference this z
            error = abs(record["candidate"] - record["reference"]) / max(abs(z), Match.COMPUTED) or error
        rows.append(
            judge_number(
                "gate-3",
                record["quantity"],
                record["reference"],
                record["candidate"],
                error,
                tolerances.Z_SCORE.at(row_limit, "Monte Carlo standard errors of the difference"),
                **keys,
            )
        )
    zs = np.array([r["scaled"] for r in rows if math.isfinite(r["scaled"])])
    summary = counts(rows)
    if zs.size:
        summary = (
            f"{tests} z-scores, root mean square {np.sqrt(np.mean(zs**2)):.2f}, largest {zs.max():.2f} "
            f"({describe(max((r for r in rows if math.isfinite(r['scaled'])), key=lambda r: r['scaled']))}); "
            f"limit {limit:.2f} for a false-alarm rate of {tolerances.FALSE_ALARM_RATE:g} over all {tests}"
        )
        failed = sum(r["verdict"].failed for r in rows)
        if failed:
            summary = f"{failed} failed: " + summary
    return check_of("gate-3", rows, summary, tolerances.Z_SCORE.reason), rows


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
    sd_of = {
        tuple(record[key] for key in KEYS[1:]): record["reference"]
        for record in records(both[both["quantity"] == "post-sd"])
    }
    rows: list[Row] = []
    shifts: dict[str, float] = {}
    power = float(ndtri(tolerances.POWER))
    for record in records(both[both["quantity"].isin(["post-mean", "post-sd"])]):
        keys = {key: record[key] for key in ("group", "term", "term2", "level")}
        sd = sd_of.get(tuple(record[key] for key in KEYS[1:]), math.nan)
        judged = judge_number(
            "gate-4", record["quantity"], record["reference"], record["candidate"], sd, tolerances.SIZE, **keys
        )
        error = math.hypot(record["error_reference"], record["error_candidate"])
        z = abs(record["candidate"] - record["reference"]) / error if error > 0 else math.inf
        if math.isfinite(judged["scaled"]):
            d = judged["scaled"]
            if d >= tolerances.SHIFT_FAILS:
                judged["verdict"] = Verdict.DISAGREES
                if z <= limit:
                    judged["verdict"] = Verdict.INCONCLUSIVE
                    judged["reason"] = (
                        f"{d:.2g} posterior sds apart, but the draws are too few to tell that from chance (z = {z:.1f})"
                    )
            elif d > tolerances.SHIFT_FINE:
                judged["reason"] = (
                    f"between {tolerances.SHIFT_FINE} and {tolerances.SHIFT_FAILS} posterior sds (z = {z:.1f})"
                )
        rows.append(judged)
        if record["quantity"] == "post-mean" and record["level"] is None and sd > 0 and math.isfinite(error):
            name = record["term"] if record["group"] is None else describe({**judged, "quantity": "Sigma"})
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
        keys = {key: record[key] for key in ("group", "term", "term2", "level")}
        if not record["has_candidate"]:
            why = "quadrature has it"
            rows.append(missing_row(identifier, record["quantity"], True, False, record["reference"], why=why, **keys))
            continue
        error, row_limit = error_and_limit(record, limit, len(joined), freedoms)
        z = scores.get((record["quantity"], *keys.values()))
        if z is not None:
            error = abs(record["candidate"] - record["reference"]) / max(abs(z), Match.COMPUTED) or error
        rows.append(
            judge_number(
                identifier,
                record["quantity"],
                record["reference"],
                record["candidate"],
                error,
                tolerances.Z_SCORE.at(row_limit, "Monte Carlo standard errors"),
                **keys,
            )
        )
    return check_of(identifier, rows, counts(rows), tolerances.Z_SCORE.reason), rows
