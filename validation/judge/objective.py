"""Tiers 2 and 3: the objective at the same θ, and at the optimum that each side reports."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from validation import tolerances
from validation.checks import Check
from validation.contract import LinearMixedFit
from validation.judge.evidence import Evidence
from validation.judge.rows import Row, asked, check_of, counts, judge_number, judge_record, missing_row
from validation.quantities import quietly, records
from validation.tolerances import Match
from validation.verdict import Verdict


def theta_points(
    optimum: np.ndarray,
    other: np.ndarray | None,
    bounds: Sequence[tuple[float, float]],
    seed: int,
    n_random: int = 6,
    scale: np.ndarray | None = None,
) -> list[tuple[str, np.ndarray]]:
    """Where tier 2 compares the objectives: both optima, lme4's start, the boundary, and random feasible θ.

    Of the random points what is bounded below by 0 is log-normal about the optimum (about its unit where it is 0), what
    has two bounds (a correlation) uniform, the others normal. ``scale`` is the unit of each element of θ, in which
    lme4's start is 1: that of its predictors (:attr:`validation.algebra.Pieces.theta_scale`). At θ = 1 itself a
    predictor in Hz, whose θ̂ is 1e-4, leaves both sides no digits to agree in.
    """
    unit = np.ones(len(optimum)) if scale is None else scale
    low, high = np.array(bounds, dtype=float).reshape(-1, 2).T
    diagonal, between = low == 0.0, np.isfinite(low) & np.isfinite(high)
    points = [("reference optimum", optimum)]
    if other is not None:
        points.append(("candidate optimum", other))
    points += [("start", np.where(diagonal, unit, 0.0)), ("boundary, all 0", np.zeros_like(optimum))]
    for i in np.flatnonzero(diagonal)[:6]:
        points.append((f"boundary, element {i + 1}", np.where(np.arange(len(optimum)) == i, 0.0, optimum)))
    rng = np.random.default_rng(seed)
    size = np.where(np.abs(optimum) > Match.ROUGH * unit, np.abs(optimum), unit)
    for i in range(n_random):
        factor = np.where(diagonal, np.exp(rng.normal(size=optimum.size)), rng.normal(size=optimum.size))
        point = size * factor
        point[between] = rng.uniform(low[between], high[between])
        points.append((f"random {i + 1}", point))
    return points


def same_theta(evidence: Evidence, seed: int) -> tuple[Check, list[Row]]:
    """Tier 2: the objective of both sides at the same θ, and each side's optimum as its own function gives it."""
    rows: list[Row] = []
    theta, left, right = evidence.reference_theta, evidence.devfun("reference"), evidence.devfun("candidate")
    if theta is None or left is None or right is None:
        sides = [name for name, fun in (("reference", left), ("candidate", right)) if fun is None]
        why = f"no objective that can be called at the reference's θ: {', '.join(sides) or 'no θ'}"
        rows.append(missing_row("tier-2", "objective", left is not None, right is not None, why=why))
        return check_of("tier-2", rows, why, tolerances.SAME_THETA.reason), rows
    recorded = evidence.reference.theta_points() if hasattr(evidence.reference, "theta_points") else None
    if recorded is not None:
        points = [(str(name), np.asarray(point, dtype=float)) for name, point in recorded]
    else:
        pieces = evidence.reference_pieces
        bounds = pieces.bounds if pieces is not None else _bounds(evidence.reference, len(theta))
        scale = pieces.theta_scale if pieces is not None else None
        points = theta_points(theta, evidence.candidate_theta, bounds, seed, scale=scale)
    for function in (left, right):
        function.ask(point for _, point in points)
    nobs = evidence.value("reference", "nobs")
    rows_used = nobs if math.isfinite(nobs) else 1.0
    values = []
    for name, point in points:
        first, second, problem = asked(left, right, lambda function: function(point))  # noqa: B023
        both = math.nan if first is None else first, math.nan if second is None else second
        there = math.isfinite(both[0]), math.isfinite(both[1])
        values.append((name, *both))
        size = max(abs(both[0]), rows_used)
        shown = "θ = (" + ", ".join(f"{value:.6g}" for value in point) + ")"
        if problem:
            rows.append(missing_row("tier-2", "objective", *there, *both, problem, level=name))
        else:
            judged = judge_number("tier-2", "objective", *both, size, tolerances.SAME_THETA, level=name)
            if judged.verdict is Verdict.DISAGREES and there[1]:
                judged = _third_opinion(evidence, point, judged)
            rows.append(judged._replace(reason=f"at {shown}. {judged.reason}"))
    evidence.same_theta = pd.DataFrame(values, columns=["point", "reference", "candidate"])
    evidence.objective_agrees = bool(rows) and not any(r.verdict.failed for r in rows)

    for side, fit_theta, function in (("reference", theta, left), ("candidate", evidence.candidate_theta, right)):
        reported = -2.0 * evidence.value(side, "logLik")
        # a side that fails at its own θ̂ failed above already
        at_optimum = None if fit_theta is None else quietly(partial(function, fit_theta), None)
        if at_optimum is None or math.isnan(reported):
            continue
        size = max(abs(reported), rows_used)
        judged = judge_number("tier-2", "own-optimum", at_optimum, reported, size, tolerances.CONSISTENT, level=side)
        told = f"the {side}'s objective at its own θ, and what it reports. {judged.reason}"
        rows.append(judged._replace(reason=told))
    compared = [r for r in rows if r.quantity == "objective"]
    largest = max((r.scaled for r in compared if math.isfinite(r.scaled)), default=math.nan)
    summary = (
        f"largest relative difference {largest:.2g} at {len(compared)} points (allowed {tolerances.SAME_THETA.limit:g})"
    )
    own = [r for r in rows if r.quantity == "own-optimum" and r.verdict.failed]
    if own:
        summary += f"; the {own[0].level} does not report its own optimum"
    return check_of("tier-2", rows, summary, tolerances.SAME_THETA.reason), rows


def _bounds(fit: LinearMixedFit, n: int) -> list[tuple[float, float]]:
    # without bounds nothing may be taken below zero
    return quietly(lambda: [(float(low), math.inf) for low in fit.getME("lower")], [(0.0, math.inf)] * n)


def _third_opinion(evidence: Evidence, point: np.ndarray, judged: Row) -> Row:
    """What the candidate's objective is where the reference's is none or rounding: judged by the judge's own algebra.

    lme4 2.1-0 divides 0 by 0 where the correlation of ``cs()`` is 1, and keeps few digits where σ runs to 0.
    """
    if math.isnan(judged.reference):
        why = "the reference has no value there (NaN)"
    elif lost := evidence.lost_at(point, abs(judged.difference)):
        why = f"the reference's objective has lost its digits there: its rounding error, measured, is {lost:.2g}"
    else:
        return judged
    own = evidence.solve(point)
    if own is None or not math.isfinite(own.objective):
        return judged._replace(verdict=Verdict.INCONCLUSIVE, reason=f"{why}, and the judge's own algebra has none")
    size = max(abs(own.objective), own.fitted.size)
    agrees = abs(judged.candidate - own.objective) <= tolerances.CONSISTENT.limit * size
    told = f"{why}; the judge's own algebra gives {own.objective:.10g}"
    return judged._replace(verdict=Verdict.AGREES if agrees else Verdict.DISAGREES, reason=told)


#: How a quantity of the optimum changes with the objective.
DIRECTION = {"logLik": -2.0, "deviance": 1.0, "REMLcrit": 1.0, "AIC": 1.0, "BIC": 1.0}


def optimum(evidence: Evidence) -> tuple[Check, list[Row]]:
    """Tier 3: logLik, deviance, REML criterion, AIC, BIC; one-sided."""
    rows: list[Row] = []
    wanted = [name for name in DIRECTION if name != "REMLcrit" or evidence.reml]
    for quantity in wanted:
        found = records(evidence.rows(quantity))
        if not found:
            rows += evidence.absent("tier-3", quantity)
            continue
        judged = judge_record("tier-3", found[0], 1.0, tolerances.OPTIMUM, evidence.problem(quantity))
        change = DIRECTION[quantity] * judged.difference  # of -2 log-likelihood; negative is better
        if judged.verdict is not Verdict.MISSING:
            judged = judged._replace(scaled=abs(change))
        if judged.verdict in (Verdict.AGREES, Verdict.DISAGREES) and math.isfinite(change):
            verdict, reason = _one_sided(change, evidence)
            judged = judged._replace(verdict=verdict, reason=reason)
        rows.append(judged)
    improvement = evidence.improvement
    summary = counts(rows)
    if any(r.verdict is Verdict.BETTER for r in rows) and improvement is not None:
        summary = f"a better optimum than the reference's: lower by {improvement:.3g}"
    return check_of("tier-3", rows, summary, tolerances.OPTIMUM.reason), rows


def _one_sided(change: float, evidence: Evidence) -> tuple[Verdict, str]:
    improvement = evidence.improvement
    lower = f"lower than the reference by {-change:.6g}, but"
    if abs(change) <= tolerances.OPTIMUM.limit:
        return Verdict.AGREES, tolerances.OPTIMUM.reason
    if change > 0:
        words = f"above the reference by {change:.3g} in -2 log-likelihood. {tolerances.OPTIMUM.reason}"
        return Verdict.DISAGREES, words
    if improvement is None and -change > evidence.most_improvement + tolerances.OPTIMUM.limit:
        return (
            Verdict.DISAGREES,
            f"{lower} no θ of this model has an objective that is lower by more than {evidence.most_improvement:.4g}: "
            "the reported number is not its own (constants missing, another criterion?)",
        )
    if improvement is None:
        words = f"lower than the reference by {-change:.3g}, but no trusted objective to say whether the θ is better"
        return Verdict.INCONCLUSIVE, words
    if abs(-change - improvement) <= tolerances.OPTIMUM.limit:
        return Verdict.BETTER, f"a better optimum: the objective is lower by {improvement:.3g} at the candidate's θ"
    return (
        Verdict.DISAGREES,
        f"{lower} at the candidate's θ the objective is lower by only {improvement:.3g}: the reported number is not "
        "that of its θ (constants missing, another criterion?)",
    )
