"""Tiers 2 and 3: the objective at the same θ, and at the optimum that each side reports."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from validation import tolerances
from validation.contract import LinearMixedFit
from validation.judge.evidence import Evidence
from validation.judge.rows import Found, Row, asked, counts, judge_number, judge_record, missing_row
from validation.quantities import named, quietly, records
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


def same_theta(evidence: Evidence, seed: int) -> Found:
    """Tier 2: the objective of both sides at the same θ, and each side's optimum as its own function gives it."""
    rows: list[Row] = []
    theta, left, right = evidence.reference_theta, evidence.devfun("reference"), evidence.devfun("candidate")
    if theta is None or left is None or right is None:
        sides = [name for name, fun in (("reference", left), ("candidate", right)) if fun is None]
        why = f"no objective that can be called at the reference's θ: {', '.join(sides) or 'no θ'}"
        return [missing_row(named("objective"), left is not None, right is not None, why=why)], why
    points = _points(evidence, theta, seed)
    for function in (left, right):
        function.ask(point for _, point in points)
    nobs = evidence.value("reference", "nobs")
    rows_used = nobs if math.isfinite(nobs) else 1.0
    for name, point in points:
        key = named("objective", level=name)
        pair = asked(key, left, right, lambda function: function(point))  # noqa: B023
        if isinstance(pair, Row):
            rows.append(pair)
            continue
        judged = judge_number(key, *pair, max(abs(pair[0]), rows_used), tolerances.SAME_THETA)
        if judged.verdict is Verdict.DISAGREES and math.isfinite(pair[1]):
            judged = _third_opinion(evidence, point, judged)
        shown = ", ".join(f"{value:.6g}" for value in point)
        rows.append(judged._replace(reason=f"at θ = ({shown}). {judged.reason}"))
    evidence.same_theta = pd.DataFrame(
        [(r.level, r.reference, r.candidate) for r in rows], columns=["point", "reference", "candidate"]
    )
    evidence.objective_agrees = bool(rows) and not any(r.verdict.failed for r in rows)
    largest = max((r.scaled for r in rows if math.isfinite(r.scaled)), default=math.nan)
    limit = tolerances.SAME_THETA.limit
    summary = f"largest relative difference {largest:.2g} at {len(rows)} points (allowed {limit:g})"

    own = []
    for side, fit_theta, function in (("reference", theta, left), ("candidate", evidence.candidate_theta, right)):
        reported = -2.0 * evidence.value(side, "logLik")
        # a side that fails at its own θ̂ failed above already
        at_optimum = None if fit_theta is None else quietly(partial(function, fit_theta), None)
        if at_optimum is None or math.isnan(reported):
            continue
        size, key = max(abs(reported), rows_used), named("own-optimum", level=side)
        judged = judge_number(key, at_optimum, reported, size, tolerances.CONSISTENT)
        told = f"the {side}'s objective at its own θ, and what it reports. {judged.reason}"
        own.append(judged._replace(reason=told))
    failed = [f"; the {r.level} does not report its own optimum" for r in own if r.verdict.failed]
    return rows + own, summary + "".join(failed[:1])


def _points(evidence: Evidence, theta: np.ndarray, seed: int) -> list[tuple[str, np.ndarray]]:
    """Where the objectives are compared: at the points where a recorded reference knows its own, or anywhere."""
    recorded = evidence.reference.theta_points() if hasattr(evidence.reference, "theta_points") else None
    if recorded is not None:
        return [(str(name), np.asarray(point, dtype=float)) for name, point in recorded]
    pieces = evidence.reference_pieces
    bounds = pieces.bounds if pieces is not None else _bounds(evidence.reference, len(theta))
    scale = pieces.theta_scale if pieces is not None else None
    return theta_points(theta, evidence.candidate_theta, bounds, seed, scale=scale)


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


def optimum(evidence: Evidence) -> Found:
    """Tier 3: logLik, deviance, REML criterion, AIC, BIC; one-sided."""
    rows: list[Row] = []
    for quantity in [name for name in DIRECTION if name != "REMLcrit" or evidence.reml]:
        rows += evidence.absent(quantity)
        for record in records(evidence.rows(quantity))[:1]:
            judged = judge_record(record, 1.0, tolerances.OPTIMUM, evidence.problem(quantity))
            change = DIRECTION[quantity] * judged.difference  # of -2 log-likelihood; negative is better
            if judged.verdict is not Verdict.MISSING:
                judged = judged._replace(scaled=abs(change))
            if judged.verdict in (Verdict.AGREES, Verdict.DISAGREES) and math.isfinite(change):
                verdict, reason = _one_sided(change, evidence)
                judged = judged._replace(verdict=verdict, reason=reason)
            rows.append(judged)
    improvement = evidence.improvement
    if any(r.verdict is Verdict.BETTER for r in rows) and improvement is not None:
        return rows, f"a better optimum than the reference's: lower by {improvement:.3g}"
    return rows, counts(rows)


def _one_sided(change: float, evidence: Evidence) -> tuple[Verdict, str]:
    improvement, limit = evidence.improvement, tolerances.OPTIMUM.limit
    lower = f"lower than the reference by {-change:.6g}, but"
    not_its_own = "(constants missing, another criterion?)"
    if abs(change) <= limit:
        return Verdict.AGREES, tolerances.OPTIMUM.reason
    if change > 0:
        words = f"above the reference by {change:.3g} in -2 log-likelihood. {tolerances.OPTIMUM.reason}"
        return Verdict.DISAGREES, words
    if improvement is None and -change > evidence.most_improvement + limit:
        most = f"no θ of this model has an objective that is lower by more than {evidence.most_improvement:.4g}"
        return Verdict.DISAGREES, f"{lower} {most}: the reported number is not its own {not_its_own}"
    if improvement is None:
        words = f"lower than the reference by {-change:.3g}, but no trusted objective to say whether the θ is better"
        return Verdict.INCONCLUSIVE, words
    if abs(-change - improvement) <= limit:
        return Verdict.BETTER, f"a better optimum: the objective is lower by {improvement:.3g} at the candidate's θ"
    only = f"at the candidate's θ the objective is lower by only {improvement:.3g}"
    return Verdict.DISAGREES, f"{lower} {only}: the reported number is not that of its θ {not_its_own}"
