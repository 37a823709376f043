"""Tier 4: estimates in units of their standard errors."""

import contextlib
import math
from typing import Any

from validation import tolerances
from validation.checks import Check
from validation.judge.boundary import BY_COVARIANCE, correlation_apart, judged_by_covariance, theta_apart
from validation.judge.evidence import Evidence
from validation.judge.implied import accept_implied
from validation.judge.rows import Row, check_of, counts, judge_p, judge_record
from validation.judge.units import ComponentErrors, component_errors
from validation.quantities import records
from validation.verdict import Verdict


def estimate_limit(evidence: Evidence) -> float:
    """Tier 4's and 5's limit in standard errors, by the rounding error of the reference's objective."""
    return tolerances.optimum_limit(evidence.noise)


def either_on_boundary(evidence: Evidence) -> bool:
    """Whether either side is on the boundary; what they say of it decides only where θ is not known."""
    pieces = evidence.reference_pieces
    known = [theta for theta in (evidence.reference_theta, evidence.candidate_theta) if theta is not None]
    if pieces is None or len(known) < 2:
        return any(value == 1.0 for value in evidence.pair("singular"))
    return any(bool(pieces.on_boundary(theta).any()) for theta in known if len(theta) == pieces.n_theta)


def _errors(evidence: Evidence) -> ComponentErrors | None:
    """Standard errors of the variance components, at the reference's optimum."""
    pieces, theta, sigma = evidence.reference_pieces, evidence.reference_theta, evidence.value("reference", "sigma")
    if pieces is None or theta is None or not (math.isfinite(sigma) and sigma > 0):
        return None
    # The candidate's objective is the quickest, and tier 2 says whether it is the same function; a recorded reference's
    # is known at recorded points only, and the judge's own is the slowest.
    functions = (
        evidence.devfun("candidate") if evidence.objective_agrees else None,
        evidence.devfun("reference"),
        evidence.own_objective,
    )
    inside = not pieces.on_boundary(theta).any()
    for devfun in functions if inside else ():
        with contextlib.suppress(Exception):  # a function that fails beside its optimum: the next one
            if devfun is not None:
                found = component_errors(pieces, theta, sigma, evidence.reml, devfun)
                if found.source == "curvature":
                    return found
    return component_errors(pieces, theta, sigma, evidence.reml, None)


def estimates(evidence: Evidence) -> tuple[Check, list[Row]]:
    """Tier 4: coefficients, SEs, vcov, θ, σ, variances, SDs, correlations, in units of their standard error."""
    limit = estimate_limit(evidence)
    errors = _errors(evidence)
    singular = either_on_boundary(evidence)
    se = {r["term"]: r["reference"] for r in records(evidence.rows("se"))}
    for record in records(evidence.rows("fixef")):
        se.setdefault(record["term"], record["error_reference"])
    source = "no standard errors of variance components could be computed" if errors is None else errors.source
    rows: list[Row] = []

    def scale_of(r: dict[str, Any]) -> tuple[float, str]:
        quantity, reference = r["quantity"], r["reference"]
        if quantity == "fixef":
            return se.get(r["term"], math.nan), "standard errors"
        if quantity == "se":
            return reference, "relative"
        if quantity == "t":
            return max(1.0, abs(reference)), "of max(1, |t|)"
        if quantity == "vcov":
            return se.get(r["term"], math.nan) * se.get(r["term2"], math.nan), "of the product of the standard errors"
        known = math.nan if errors is None else errors.of(quantity, r["group"], r["term"], r["term2"])
        return known, "standard errors"

    on_boundary = singular or (errors is not None and errors.source == "closed form")
    of_theta = theta_apart(evidence, errors, limit) if on_boundary else ""
    pieces = evidence.reference_pieces
    diagonal = [term.name for term in pieces.terms if term.structure.name == "diag"] if pieces is not None else []
    fixed = {(name, quantity) for name in diagonal for quantity in ("covariance", "cor")}  # at 0, by the structure
    rows += evidence.absent("tier-4", "sigma", "variance", "sd", "theta")
    for record in records(
        evidence.rows(
            "fixef", "se", "t", "vcov", "theta", "par", "sigma", "variance", "covariance", "sd", "cor", "singular"
        )
    ):
        quantity, both = record["quantity"], record["has_reference"] and record["has_candidate"]
        exact = (record["group"], quantity) in fixed and record["reference"] == 0.0
        scale, tolerance = 1.0, tolerances.EXACT
        if both and quantity in ("theta", "par", "cor") and on_boundary and not exact:
            place = (record["group"], record["term"], record["term2"])
            correlation = quantity == "cor"
            apart = correlation_apart(evidence, errors, place, record["candidate"], limit) if correlation else of_theta
            rows.append(_by_covariance(record, apart))
            continue
        if not (exact or quantity == "singular"):
            scale, unit = scale_of(record)
            tolerance = tolerances.ESTIMATE.at(limit, unit)
        rows.append(judge_record("tier-4", record, scale, tolerance, evidence.problem(quantity)))
    rows.extend(_tests(evidence))
    evidence.undetermined = _undetermined(evidence, rows)
    rows = judged_by_covariance(evidence, accept_implied(evidence, rows, limit))
    summary = counts(rows)
    if errors is not None:
        summary += f"; units of the variance components from their {source}"
    return check_of("tier-4", rows, summary, tolerances.ESTIMATE.reason), rows


def _tests(evidence: Evidence) -> list[Row]:
    """Degrees of freedom and p-values, where both sides give them."""
    rows: list[Row] = []
    for record in records(evidence.rows("df", "p")):
        left, right = record["reference"], record["candidate"]
        if record["quantity"] == "p" and record["has_reference"] and record["has_candidate"]:
            rows.append(judge_p("tier-4", "p", left, right, tolerances.P_VALUE, term=record["term"]))
        else:
            rows.append(judge_record("tier-4", record, left, tolerances.DEGREES_OF_FREEDOM))
    return rows


def _by_covariance(record: dict[str, Any], apart: str) -> Row:
    """A number that has no unit on the boundary: whether it belongs to Σ, which is judged."""
    judged = judge_record("tier-4", record, 1.0, tolerances.ESTIMATE)
    if record["quantity"] == "theta" and math.isnan(judged.reference) != math.isnan(judged.candidate):
        return judged
    verdict = Verdict.DISAGREES if apart else Verdict.AGREES  # what Σ itself is found to be comes in the end
    return judged._replace(verdict=verdict, reason=apart, scaled=math.nan, unit=BY_COVARIANCE, tolerance=math.nan)


def _undetermined(evidence: Evidence, rows: list[Row]) -> bool:
    """Whether the criterion is flat between the two θ̂, though they are many standard errors apart.

    Between optima at −δ/2 and δ/2 standard errors it varies by δ²/4 at least, if the standard errors are what they
    seem. They are not where the model has more variance components than the data can tell apart.
    """
    apart = max((r.scaled for r in rows if r.quantity in _COMPONENTS and math.isfinite(r.scaled)), default=0.0)
    expected = tolerances.FLAT_SHARE * (apart * apart) / 4.0
    if expected <= evidence.noise:  # too near each other to be told apart by an objective that is rounded
        return False
    variation = evidence.variation
    return variation is not None and variation <= min(tolerances.OPTIMUM.limit, expected)


_COMPONENTS = frozenset({"theta", "par", "sigma", "variance", "covariance", "sd", "cor"})
