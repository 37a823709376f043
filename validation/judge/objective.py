"""Tiers 1 to 3: the same model (rows, columns, levels, design), the same objective, and the optimum of each side."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from operator import methodcaller
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation import tolerances
from validation.contract import LinearMixedFit
from validation.covariances import structures_of
from validation.judge.evidence import Evidence
from validation.judge.rows import Found, Row, asked, counts, judge_number, judge_record, missing_row, row
from validation.owndata import some
from validation.quantities import Key, named, quietly, records
from validation.tolerances import Match, Tolerance
from validation.verdict import Verdict


def structure(evidence: Evidence) -> Found:
    """Tier 1: rows used, names, levels and their order, X and Z, exactly."""
    rows: list[Row] = []
    for quantity in ("nobs", "npar", "df_residual", "criterion", "ngrps"):
        rows += evidence.absent(quantity) if quantity != "ngrps" else []
        problem = evidence.problem(quantity)
        rows += [judge_record(record, 1.0, tolerances.EXACT, problem) for record in records(evidence.rows(quantity))]
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
    return row(key, *shown, verdict, reason, scaled, tolerance)


def _other_size(key: Key, left: np.ndarray, right: np.ndarray, unit: str) -> Row:
    reason = f"the reference's has {left.size} {unit}, the candidate's {right.size}"
    return row(key, left.size, right.size, Verdict.DISAGREES, reason)


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
    return _judged(key, (len(left), len(right)), len(wrong), tolerances.EXACT.at(0.0, "labels out of place"), reason)


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
        rows.append(
            _judged(key, (left.size, right.size), wrong, tolerances.EXACT.at(0.0, "rows in another level"), reason)
        )
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
    limit = tolerances.design_limit(left.size)
    wrong = f"{int(np.sum(difference > limit * scale))} of {left.size} entries differ"
    return _judged(key, shown, largest, tolerances.DESIGN.at(limit), wrong)


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
        return [row(named("Z"), left.shape[1], right.shape[1], Verdict.DISAGREES, reason)]
    scale = float(np.max(np.abs(left.data), initial=0.0)) or 1.0
    difference = abs(left - right)
    limit = tolerances.design_limit(left.shape[0])
    wrong = f"{int(np.sum(difference.data > limit * scale))} entries differ (values shown: sums of all entries)"
    largest = float(np.max(difference.data, initial=0.0)) / scale
    return [_judged(named("Z"), (left.sum(), right.sum()), largest, tolerances.DESIGN.at(limit), wrong)]


def theta_points(
    optimum: np.ndarray,
    other: np.ndarray | None,
    bounds: Sequence[tuple[float, float]],
    seed: int,
    n_random: int = 6,
    scale: np.ndarray | None = None,
    spread: float = 1.0,
) -> list[tuple[str, np.ndarray]]:
    """Where tier 2 compares the objectives: both optima, lme4's start, the boundary, and random feasible θ.

    Of the random points what is bounded below by 0 is log-normal about the optimum (about its unit where it is 0), what
    has two bounds (a correlation) uniform, the others normal, with the sd ``spread`` (of the logarithm). ``scale`` is
    the unit of each element of θ, in which lme4's start is 1: that of its predictors
    (:attr:`validation.algebra.Pieces.theta_scale`). At θ = 1 itself a predictor in Hz, whose θ̂ is 1e-4, leaves both
    sides no digits to agree in.
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
        factor = np.where(diagonal, np.exp(rng.normal(0, spread, optimum.size)), rng.normal(0, spread, optimum.size))
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
    if pieces is not None:
        return theta_points(theta, evidence.candidate_theta, pieces.bounds, seed, scale=pieces.theta_scale)
    # without bounds nothing may be taken below zero
    lower = quietly(lambda: list(map(float, evidence.reference.getME("lower"))), [0.0] * len(theta))
    return theta_points(theta, evidence.candidate_theta, [(low, math.inf) for low in lower], seed)


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
            judged = judge_record(
                record, 1.0 / abs(DIRECTION[quantity]), tolerances.OPTIMUM, evidence.problem(quantity)
            )
            change = DIRECTION[quantity] * judged.difference  # of -2 log-likelihood; negative is better
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
