"""Likelihood fits, judged in five tiers (AGREEMENT.md): structure, objective, optimum, estimates, BLUPs."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation import tolerances
from validation.algebra import numbered_effects
from validation.checks import Check
from validation.judge.evidence import Evidence
from validation.judge.rows import Row, check_of, counts, judge_number, missing_row, row
from validation.judge.units import ComponentErrors, component_errors
from validation.quantities import records
from validation.verdict import Verdict

__all__ = ["implied_numbers", "judge_likelihood", "theta_points"]

Progress = Callable[[str, float | None], None]


def judge_likelihood(
    evidence: Evidence, seed: int = 20180101, progress: Progress | None = None
) -> tuple[list[Check], list[Row]]:
    """Judge two likelihood fits by tiers 1 to 5.

    Parameters
    ----------
    evidence : Evidence
        Filled on the way with what the diagnosis needs.
    seed : int
        Of the random θ of tier 2.
    progress : callable, optional
        Called with a message and a fraction.

    Returns
    -------
    checks : list of Check
    rows : list of dict
        Rows of the comparison's table.
    """
    checks: list[Check] = []
    rows: list[Row] = []
    tiers: list[Callable[[Evidence], tuple[Check, list[Row]]]] = [
        structure,
        lambda e: same_theta(e, seed),
        optimum,
        estimates,
        conditional_modes,
    ]
    for number, tier in enumerate(tiers):
        if progress is not None:
            progress(f"tier {number + 1}: {tolerances.TITLES[f'tier-{number + 1}']}", number / len(tiers))
        check, judged = _name_malformed(*tier(evidence), evidence)
        checks.append(check)
        rows.extend(judged)
    return checks, rows


def _name_malformed(check: Check, rows: list[Row], evidence: Evidence) -> tuple[Check, list[Row]]:
    """Tell what a side handed over malformed from what it lacks: both fail, and each under its own name."""
    judged: list[Row] = []
    said: dict[str, None] = {}  # texts in their order
    for r in rows:
        wrong = evidence.malformed(r["quantity"]) if r["verdict"] is Verdict.MISSING else {}
        wrong = {side: text for side, text in wrong.items() if math.isnan(r[side])}
        if wrong:
            text = "; ".join(f"malformed ({side}): {text}" for side, text in wrong.items())
            said[text] = None
            r = {**r, "verdict": Verdict.MALFORMED, "reason": text}
        judged.append(r)
    if not said:
        return check, rows
    return check_of(check.id, judged, f"{'; '.join(said)}. {check.summary}", check.rule), judged


# ---------------------------------------------------------------------------------------------------- tier 1


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
    quantity: str, reference: Any, candidate: Any, read: Callable[[Any], list[str]], group: str | None = None
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
            scaled=len(wrong),
            unit="labels out of place",
            tolerance=0.0,
            reason=reason,
        )
    ]


def _preview(labels: set[str], most: int = 5) -> str:
    shown = ", ".join(repr(label) for label in sorted(labels)[:most])
    return shown + (f" and {len(labels) - most} more" if len(labels) > most else "")


def _levels(reference: Any, candidate: Any) -> list[Row]:
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
                        scaled=wrong,
                        unit="rows in another level",
                        tolerance=0.0,
                        reason=f"{wrong} rows belong to another level" if wrong else tolerances.EXACT.reason,
                    )
                )
    return rows


def _get(fit: Any, name: str) -> tuple[Any, str]:
    try:
        return fit.getME(name), ""
    except Exception as error:  # the caller writes a missing row with this reason
        return None, f"{type(error).__name__}: {error}"


def _response(reference: Any, candidate: Any) -> list[Row]:
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
            unit="entries",
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
        scaled=largest,
        unit=tolerances.DESIGN.unit,
        tolerance=limit,
        reason=tolerances.DESIGN.reason
        if agrees
        else f"{int(np.sum(difference > limit * scale))} of {left.size} entries differ",
        **keys,
    )


def _fixed_design(reference: Any, candidate: Any) -> list[Row]:
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


def _random_design(reference: Any, candidate: Any) -> list[Row]:
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
                unit="columns",
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
            scaled=worst,
            unit=tolerances.DESIGN.unit,
            tolerance=limit,
            reason=tolerances.DESIGN.reason
            if agrees
            else f"{wrong} entries differ (values shown: sums of all entries)",
        )
    ]


# ---------------------------------------------------------------------------------------------------- tier 2


def theta_points(
    optimum: np.ndarray, other: np.ndarray | None, diagonal: np.ndarray, seed: int, n_random: int = 6
) -> list[tuple[str, np.ndarray]]:
    """Where tier 2 compares the objectives: both optima, lme4's start, the boundary, and random feasible θ.

    Parameters
    ----------
    optimum, other : ndarray
        θ̂ of either side.
    diagonal : ndarray of bool
        Diagonal elements of θ, bounded below by 0.
    seed : int
    n_random : int
        Number of random points: diagonal elements log-normal about the optimum (about 1 where it is 0), the others
        normal.
    """
    points = [("reference optimum", optimum)]
    if other is not None:
        points.append(("candidate optimum", other))
    points.append(("start", diagonal.astype(float)))
    points.append(("boundary, all 0", np.zeros_like(optimum)))
    for i in np.flatnonzero(diagonal)[:6]:
        point = optimum.copy()
        point[i] = 0.0
        points.append((f"boundary, element {i + 1}", point))
    rng = np.random.default_rng(seed)
    size = np.where(np.abs(optimum) > 1e-3, np.abs(optimum), 1.0)
    for i in range(n_random):
        factor = np.where(diagonal, np.exp(rng.normal(size=optimum.size)), rng.normal(size=optimum.size))
        points.append((f"random {i + 1}", size * factor))
    return points


def same_theta(evidence: Evidence, seed: int = 20180101) -> tuple[Check, list[Row]]:
    """Tier 2: the objective of both sides at the same θ, and each side's optimum as its own function gives it."""
    rows: list[Row] = []
    theta = evidence.theta("reference")
    left, right = evidence.devfun("reference"), evidence.devfun("candidate")
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
        diagonal = pieces.diagonal if pieces is not None else _lower(evidence.reference, len(theta))
        points = theta_points(theta.to_numpy(), evidence.candidate_theta(), diagonal, seed)
    nobs = evidence.value("reference", "nobs")
    values = []
    for name, point in points:
        pair = []
        problem = ""
        for side, function in (("reference", left), ("candidate", right)):
            try:
                pair.append(function(point))
            except Exception as error:
                pair.append(math.nan)
                problem += f"{side}: {type(error).__name__}: {error} "
        values.append((name, *pair))
        size = max(abs(pair[0]), nobs if math.isfinite(nobs) else 1.0)
        shown = "θ = (" + ", ".join(f"{value:.6g}" for value in point) + ")"
        if problem:
            rows.append(
                missing_row(
                    "tier-2",
                    "objective",
                    math.isfinite(pair[0]),
                    math.isfinite(pair[1]),
                    pair[0],
                    pair[1],
                    problem,
                    level=name,
                )
            )
        else:
            judged = judge_number("tier-2", "objective", pair[0], pair[1], size, tolerances.SAME_THETA, level=name)
            judged["reason"] = f"at {shown}. {judged['reason']}"
            rows.append(judged)
    evidence.same_theta = pd.DataFrame(values, columns=["point", "reference", "candidate"])
    evidence.objective_agrees = bool(rows) and not any(r["verdict"].failed for r in rows)

    for side, fit_theta, function in (
        ("reference", theta.to_numpy(), left),
        ("candidate", evidence.candidate_theta(), right),
    ):
        reported = -2.0 * evidence.value(side, "logLik")
        if fit_theta is None or math.isnan(reported):
            continue
        try:
            at_optimum = function(fit_theta)
        except Exception:  # a side that fails at its own θ̂ failed above already
            continue
        size = max(abs(reported), nobs if math.isfinite(nobs) else 1.0)
        judged = judge_number("tier-2", "own-optimum", at_optimum, reported, size, tolerances.CONSISTENT, level=side)
        judged["reason"] = f"the {side}'s objective at its own θ, and what it reports. {judged['reason']}"
        rows.append(judged)
    compared = [r for r in rows if r["quantity"] == "objective"]
    largest = max((r["scaled"] for r in compared if math.isfinite(r["scaled"])), default=math.nan)
    summary = (
        f"largest relative difference {largest:.2g} at {len(compared)} points (allowed {tolerances.SAME_THETA.limit:g})"
    )
    own = [r for r in rows if r["quantity"] == "own-optimum" and r["verdict"].failed]
    if own:
        summary += f"; the {own[0]['level']} does not report its own optimum"
    return check_of("tier-2", rows, summary, tolerances.SAME_THETA.reason), rows


def _lower(fit: Any, n: int) -> np.ndarray:
    try:
        return np.asarray(fit.getME("lower"), dtype=float) == 0.0
    except Exception:  # without bounds nothing may be taken below zero
        return np.ones(n, dtype=bool)


# ---------------------------------------------------------------------------------------------------- tier 3

#: How a quantity of the optimum changes with the objective.
_DIRECTION = {"logLik": -2.0, "deviance": 1.0, "REMLcrit": 1.0, "AIC": 1.0, "BIC": 1.0}


def optimum(evidence: Evidence) -> tuple[Check, list[Row]]:
    """Tier 3: logLik, deviance, REML criterion, AIC, BIC; one-sided."""
    rows: list[Row] = []
    wanted = [name for name in _DIRECTION if name != "REMLcrit" or evidence.reml]
    for quantity in wanted:
        found = records(evidence.rows(quantity))
        if not found:
            rows.append(missing_row("tier-3", quantity, False, False, why=evidence.problem(quantity)))
            continue
        record = found[0]
        if not (record["has_reference"] and record["has_candidate"]):
            rows.append(
                missing_row(
                    "tier-3",
                    quantity,
                    record["has_reference"],
                    record["has_candidate"],
                    record["reference"],
                    record["candidate"],
                    evidence.problem(quantity),
                )
            )
            continue
        judged = judge_number("tier-3", quantity, record["reference"], record["candidate"], 1.0, tolerances.OPTIMUM)
        factor = _DIRECTION[quantity]
        change = factor * (record["candidate"] - record["reference"])  # of -2 log-likelihood; negative is better
        judged["scaled"] = abs(change)
        if judged["verdict"] in (Verdict.AGREES, Verdict.DISAGREES) and math.isfinite(change):
            judged["verdict"], judged["reason"] = _one_sided(change, evidence.improvement)
        rows.append(judged)
    improvement = evidence.improvement
    summary = counts(rows)
    if any(r["verdict"] is Verdict.BETTER for r in rows) and improvement is not None:
        summary = f"a better optimum than the reference's: lower by {improvement:.3g}"
    return check_of("tier-3", rows, summary, tolerances.OPTIMUM.reason), rows


def _one_sided(change: float, improvement: float | None) -> tuple[Verdict, str]:
    if abs(change) <= tolerances.OPTIMUM.limit:
        return Verdict.AGREES, tolerances.OPTIMUM.reason
    if change > 0:
        return (
            Verdict.DISAGREES,
            f"above the reference by {change:.3g} in -2 log-likelihood. {tolerances.OPTIMUM.reason}",
        )
    if improvement is None:
        return (
            Verdict.INCONCLUSIVE,
            f"lower than the reference by {-change:.3g}, but no trusted objective to say whether the θ found is better",
        )
    if abs(-change - improvement) <= tolerances.OPTIMUM.limit:
        return Verdict.BETTER, f"a better optimum: the objective is lower by {improvement:.3g} at the candidate's θ"
    return (
        Verdict.DISAGREES,
        f"lower than the reference by {-change:.6g}, but at the candidate's θ the objective is lower by only "
        f"{improvement:.3g}: the reported number is not that of its θ (constants missing, another criterion?)",
    )


# ---------------------------------------------------------------------------------------------------- tier 4


def _limit(evidence: Evidence) -> float:
    return tolerances.optimum_limit(evidence.noise)


def _singular(evidence: Evidence) -> bool:
    """Whether either side is on the boundary; what they say of it decides only where θ is not known."""
    pieces = evidence.reference_pieces
    known = [theta.to_numpy() for side in ("reference",) if (theta := evidence.theta(side)) is not None]
    known += [theta for theta in (evidence.candidate_theta(),) if theta is not None]
    if pieces is None or len(known) < 2:
        return any(value == 1.0 for value in evidence.pair("singular"))
    return any(bool(pieces.on_boundary(theta).any()) for theta in known if theta.size == pieces.n_theta)


def _errors(evidence: Evidence) -> ComponentErrors | None:
    """Standard errors of the variance components, at the reference's optimum."""
    pieces, theta = evidence.reference_pieces, evidence.theta("reference")
    sigma = evidence.value("reference", "sigma")
    if pieces is None or theta is None or not (math.isfinite(sigma) and sigma > 0):
        return None
    # The candidate's objective is the quicker one, and tier 2 says whether it is the same function.
    devfun = evidence.devfun("candidate") if evidence.objective_agrees else None
    try:
        return component_errors(pieces, theta.to_numpy(), sigma, evidence.reml, devfun)
    except Exception:  # a candidate's function that fails beside its optimum
        return component_errors(pieces, theta.to_numpy(), sigma, evidence.reml, None)


def estimates(evidence: Evidence) -> tuple[Check, list[Row]]:
    """Tier 4: coefficients, SEs, vcov, θ, σ, variances, SDs, correlations, in units of their standard error."""
    limit = _limit(evidence)
    errors = _errors(evidence)
    singular = _singular(evidence)
    se = {r["term"]: r["reference"] for r in records(evidence.rows("se"))}
    for record in records(evidence.rows("fixef")):
        se.setdefault(record["term"], record["error_reference"])
    source = "no standard errors of variance components could be computed" if errors is None else errors.source
    rows: list[Row] = []

    def scale_of(r: dict[str, Any]) -> tuple[float, str]:
        quantity, reference = r["quantity"], r["reference"]
        key = (r["group"], r["term"], r["term2"] or r["term"])
        if quantity == "fixef":
            return se.get(r["term"], math.nan), "standard errors"
        if quantity == "se":
            return reference, "relative"
        if quantity == "t":
            return max(1.0, abs(reference)), "of max(1, |t|)"
        if quantity == "vcov":
            return se.get(r["term"], math.nan) * se.get(r["term2"], math.nan), "of the product of the standard errors"
        if errors is None:
            return math.nan, "standard errors"
        if quantity == "sigma" or (quantity == "sd" and r["term"] is None):
            return errors.sigma, "standard errors"
        if quantity == "variance" and r["term"] is None:
            return 2.0 * math.sqrt(reference) * errors.sigma if reference >= 0 else math.nan, "standard errors"
        if quantity == "theta":
            return errors.theta.get(r["term"], math.nan), "standard errors"
        if quantity in ("variance", "covariance"):
            reverse = (r["group"], r["term2"], r["term"])
            return errors.covariance.get(key, errors.covariance.get(reverse, math.nan)), "standard errors"
        if quantity == "sd":
            return errors.sd.get((r["group"], r["term"]), math.nan), "standard errors"
        reverse = (r["group"], r["term2"], r["term"])
        return errors.cor.get(key, errors.cor.get(reverse, math.nan)), "standard errors"

    on_boundary = singular or (errors is not None and errors.source == "closed form")
    required = ("sigma", "variance", "sd", "theta")
    present = set(evidence.joined["quantity"])
    rows.extend(
        missing_row("tier-4", quantity, False, False, why=evidence.problem(quantity))
        for quantity in required
        if quantity not in present
    )
    for record in records(
        evidence.rows("fixef", "se", "t", "vcov", "theta", "sigma", "variance", "covariance", "sd", "cor", "singular")
    ):
        quantity = record["quantity"]
        keys = {key: record[key] for key in ("group", "term", "term2", "level")}
        if not (record["has_reference"] and record["has_candidate"]):
            why = evidence.problem(quantity)
            rows.append(
                missing_row(
                    "tier-4",
                    quantity,
                    record["has_reference"],
                    record["has_candidate"],
                    record["reference"],
                    record["candidate"],
                    why,
                    **keys,
                )
            )
            continue
        if quantity == "singular":
            rows.append(
                judge_number("tier-4", quantity, record["reference"], record["candidate"], 1.0, tolerances.EXACT)
            )
            continue
        if quantity in ("theta", "cor") and on_boundary:
            # The covariance matrix and the objective say it all on the boundary (Σ does not determine θ's sign there,
            # and a correlation of a variance near 0 is noise): shown, judged by the variances and covariances.
            rows.append(_shown_only(quantity, record, keys))
            continue
        scale, unit = scale_of(record)
        rows.append(
            judge_number(
                "tier-4",
                quantity,
                record["reference"],
                record["candidate"],
                scale,
                tolerances.ESTIMATE,
                limit,
                unit,
                **keys,
            )
        )
    rows.extend(_tests(evidence))
    evidence.undetermined = _undetermined(evidence, rows)
    rows = _accept_implied(evidence, rows, limit)
    summary = counts(rows)
    if errors is not None:
        summary += f"; units of the variance components from their {source}"
    return check_of("tier-4", rows, summary, tolerances.ESTIMATE.reason), rows


def _tests(evidence: Evidence) -> list[Row]:
    """Degrees of freedom and p-values, where both sides give them."""
    rows: list[Row] = []
    for record in records(evidence.rows("df", "p")):
        quantity, left, right = record["quantity"], record["reference"], record["candidate"]
        if not (record["has_reference"] and record["has_candidate"]):
            missing = missing_row(
                "tier-4", quantity, record["has_reference"], record["has_candidate"], left, right, term=record["term"]
            )
            rows.append(missing)
        elif quantity == "df":
            rows.append(
                judge_number("tier-4", "df", left, right, left, tolerances.DEGREES_OF_FREEDOM, term=record["term"])
            )
        else:
            logs = [math.log(max(p, 1e-300)) if 0.0 <= p <= 1.0 else math.nan for p in (left, right)]
            scale = max(1.0, abs(logs[0]))
            judged = judge_number("tier-4", "p", logs[0], logs[1], scale, tolerances.P_VALUE, term=record["term"])
            shown = row("tier-4", "p", left, right, judged["verdict"])
            rows.append({**judged, **{key: shown[key] for key in ("reference", "candidate", "difference", "digits")}})
    return rows


def _shown_only(quantity: str, record: dict[str, Any], keys: dict[str, Any]) -> Row:
    left, right = record["reference"], record["candidate"]
    if quantity == "theta" and math.isnan(left) != math.isnan(right):
        return judge_number("tier-4", quantity, left, right, 1.0, tolerances.ESTIMATE, **keys)
    return row(
        "tier-4",
        quantity,
        left,
        right,
        Verdict.AGREES,
        unit="not judged",
        reason="on the boundary the fit is judged by Σ and the objective; this number is shown only",
        **keys,
    )


def _undetermined(evidence: Evidence, rows: list[Row]) -> bool:
    """Whether the criterion is flat between the two θ̂, though they are many standard errors apart.

    Between optima at −δ/2 and δ/2 standard errors it varies by δ²/4 at least, if the standard errors are what they
    seem. They are not where the model has more variance components than the data can tell apart.
    """
    apart = max((r["scaled"] for r in rows if r["quantity"] in _COMPONENTS and math.isfinite(r["scaled"])), default=0.0)
    expected = tolerances.FLAT_SHARE * apart**2 / 4.0
    if expected <= evidence.noise:  # too near each other to be told apart by an objective that is rounded
        return False
    variation = evidence.variation
    return variation is not None and variation <= min(tolerances.OPTIMUM.limit, expected)


_COMPONENTS = frozenset({"theta", "sigma", "variance", "covariance", "sd", "cor"})


def _implied(evidence: Evidence) -> tuple[Verdict, str, Any, Any] | None:
    """What numbers are that differ and yet follow from the candidate's θ̂, and the solutions that they follow from.

    BETTER where its objective is lower; INCONCLUSIVE where the data do not tell the two θ̂ apart, and the reference's
    number follows from its own θ̂ (the second solution) as well; otherwise None.
    """
    improvement, theta = evidence.improvement, evidence.candidate_theta()
    if improvement is None or theta is None:
        return None
    if improvement > 4.0 * evidence.noise:
        verdict, reason = (
            Verdict.BETTER,
            f"follows from a better optimum than the reference's (objective lower by {improvement:.3g}): the value "
            "that the candidate's θ implies",
        )
    elif evidence.undetermined:
        verdict, reason = (
            Verdict.INCONCLUSIVE,
            f"the data do not determine it: from one θ to the other the objective varies by {evidence.variation:.2g}, "
            "which is rounding. The value is that which the candidate's θ implies",
        )
    else:
        return None
    solution, own = evidence.solve(theta), None
    if verdict is Verdict.INCONCLUSIVE:
        reference = evidence.theta("reference")
        own = None if reference is None else evidence.solve(reference.to_numpy())
        if own is None:
            return None
    return None if solution is None else (verdict, reason, solution, own)


def _accept_implied(evidence: Evidence, rows: list[Row], limit: float) -> list[Row]:
    """Judge anew what failed and is no more than what another θ̂, as good or better, implies by the judge's algebra."""
    if not any(r["verdict"] is Verdict.DISAGREES for r in rows):
        return rows
    found = _implied(evidence)
    if found is None:
        return rows
    verdict, reason, solution, own = found
    expected, expected_reference = implied_numbers(solution), {} if own is None else implied_numbers(own)
    accepted = []
    for r in rows:
        key = tuple(r[key] for key in ("quantity", "group", "term", "term2", "level"))
        value, reference = expected.get(key), expected_reference.get(key, r["reference"])
        if r["quantity"] == "theta":
            value = r["candidate"]
        if r["verdict"] is Verdict.DISAGREES and value is not None and math.isfinite(r["difference"]):
            distance = max(abs(r["candidate"] - value), abs(r["reference"] - reference))
            scale = abs(r["difference"]) / r["scaled"] if r["scaled"] > 0 and math.isfinite(r["scaled"]) else math.nan
            if distance <= limit * scale:
                r = {**r, "verdict": verdict, "reason": reason}
        accepted.append(r)
    return accepted


def implied_numbers(solution: Any) -> dict[tuple[Any, ...], float]:
    """Every number that follows from θ by the judge's own algebra.

    Parameters
    ----------
    solution : Solution

    Returns
    -------
    dict
        (quantity, group, term, term2, level) -> number, as in the rows of a comparison.
    """
    values: dict[tuple[Any, ...], float] = {}
    names = solution.pieces.coef_names
    se = solution.se
    for i, name in enumerate(names):
        values["fixef", None, name, None, None] = float(solution.beta[i])
        values["se", None, name, None, None] = float(se[i])
        values["t", None, name, None, None] = float(solution.beta[i] / se[i])
        for j in range(i + 1):
            values["vcov", None, name, names[j], None] = float(solution.vcov[i, j])
    values["sigma", None, None, None, None] = solution.sigma
    values["sd", "Residual", None, None, None] = solution.sigma
    values["variance", "Residual", None, None, None] = solution.sigma**2
    covariances = solution.covariances()
    for (term, first, second), value in covariances.items():
        if first == second:
            values["variance", term, first, None, None] = value
            values["sd", term, first, None, None] = math.sqrt(value)
        else:
            product = covariances[term, first, first] * covariances[term, second, second]
            values["covariance", term, first, second, None] = value
            values["cor", term, first, second, None] = value / math.sqrt(product) if product > 0 else math.nan
    for (group, effect, level), value in solution.ranef().items():
        values["ranef", group, effect, None, level] = value
    for (group, effect, level), value in solution.conditional_sds().items():
        values["condsd", group, effect, None, level] = value
    return values


# ---------------------------------------------------------------------------------------------------- tier 5


def conditional_modes(evidence: Evidence) -> tuple[Check, list[Row]]:
    """Tier 5: BLUPs and conditional sds by level label; coef, fitted values and residuals, the worst of each shown."""
    limit = _limit(evidence)
    sigma = evidence.value("reference", "sigma")
    fallback = _level_errors(evidence, sigma)
    sds = {
        (r["group"], r["term"], r["level"]): r["reference"]
        for r in records(evidence.rows("condsd"))
        if r["has_reference"]
    }
    # θ is known to about (the standard error of a level's own estimate) / √levels, in units of σ.
    levels = Counter((group, effect) for group, effect, _ in fallback) if _singular(evidence) else Counter()
    undetermined = {key: own / math.sqrt(levels[key[:2]]) for key, own in fallback.items() if levels[key[:2]]}
    rows: list[Row] = []
    present = set(evidence.joined["quantity"])
    rows.extend(
        missing_row("tier-5", quantity, False, False, why=evidence.problem(quantity))
        for quantity in ("ranef", "condsd", "fitted", "residuals")
        if quantity not in present
    )
    for record in records(evidence.rows("ranef", "condsd")):
        quantity = record["quantity"]
        keys = {key: record[key] for key in ("group", "term", "term2", "level")}
        if not (record["has_reference"] and record["has_candidate"]):
            rows.append(
                missing_row(
                    "tier-5",
                    quantity,
                    record["has_reference"],
                    record["has_candidate"],
                    record["reference"],
                    record["candidate"],
                    evidence.problem(quantity),
                    **keys,
                )
            )
            continue
        key = (record["group"], record["term"], record["level"])
        scale = sds.get(key, math.nan)
        own = fallback.get(key, math.nan)
        tolerance = tolerances.CONDITIONAL_MODE if quantity == "ranef" else tolerances.CONDITIONAL_SD
        unit = tolerance.unit
        if math.isfinite(own) and scale < 1e-3 * own:
            # On the boundary the conditional sd goes to 0 with the variance; the level's own mean is the measure then.
            scale, unit = own, "standard errors of the level's own estimate"
        elif quantity == "ranef" and math.isfinite(undetermined.get(key, math.nan)):
            # Beside the boundary it is small, and θ's own error is what moves the BLUP.
            scale = math.hypot(scale, undetermined[key])
        rows.append(
            judge_number(
                "tier-5", quantity, record["reference"], record["candidate"], scale, tolerance, limit, unit, **keys
            )
        )
    rows = _accept_implied(evidence, rows, limit)
    units = {
        key: own
        if math.isfinite(own) and sds.get(key, 0.0) < 1e-3 * own
        else math.hypot(sds.get(key, math.nan), undetermined.get(key, 0.0))
        for key, own in {**dict.fromkeys(sds, math.nan), **fallback}.items()
    }
    rows.extend(_bulk(evidence, limit, sigma, units))
    return check_of("tier-5", rows, counts(rows), tolerances.CONDITIONAL_MODE.reason), rows


def _level_errors(evidence: Evidence, sigma: float) -> dict[tuple[str, str, str], float]:
    """σ/√Σz² by (group, effect, level): the standard error of a level's own, unpooled effect."""
    pieces = evidence.reference_pieces
    if pieces is None:
        return {}
    squares = pieces.squares
    errors: dict[tuple[str, str, str], float] = {}
    start = 0
    for term, effects in zip(pieces.terms, numbered_effects(pieces), strict=True):
        block = squares[start : start + term.J * term.p].reshape(term.J, term.p)
        start += term.J * term.p
        for i, level in enumerate(term.levels):
            for j, effect in enumerate(effects):
                # A level in which the effect's column is 0 throughout says nothing about it; σ is the measure then.
                errors[term.group, effect, level] = sigma / math.sqrt(block[i, j]) if block[i, j] > 0 else sigma
    return errors


def _bulk(evidence: Evidence, limit: float, sigma: float, sds: dict[tuple[str, str, str], float]) -> list[Row]:
    """One row for each of coef (by effect), fitted values and residuals: the worst of many, and how many failed."""
    rows: list[Row] = []
    se = {r["term"]: r["error_reference"] for r in records(evidence.rows("fixef"))}
    implied = _implied(evidence)
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
                tolerances.BULK,
                limit,
                unit,
                group=group,
                term=term,
                level=part["level"].iloc[worst],
            )
            failed = int(np.sum(~(scaled <= limit)))
            judged["reason"] = f"the largest difference of {len(part)}, {failed} beyond the limit. {judged['reason']}"
            if judged["verdict"] is Verdict.DISAGREES and implied is not None:
                verdict, reason, solution, own = implied
                rows_used = evidence.rows("fitted")["level"].tolist()
                sides = [(right, solution)] if own is None else [(right, solution), (left, own)]
                implied_values = [_expected_bulk(s, quantity, part, group, term, rows_used) for _, s in sides]
                if all(
                    expected is not None and np.all(np.abs(values - expected) <= limit * scale)
                    for (values, _), expected in zip(sides, implied_values, strict=True)
                ):
                    judged["verdict"], judged["reason"] = verdict, reason
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
