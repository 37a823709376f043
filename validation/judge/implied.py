"""What follows from a θ: every number by the judge's own algebra, and what is accepted for it."""

import math

import numpy as np

from validation import tolerances
from validation.algebra import Solution
from validation.judge.evidence import Evidence
from validation.judge.rows import Row
from validation.judge.satterthwaite import accept_tests
from validation.judge.units import components
from validation.quantities import Key
from validation.verdict import Verdict


def implied_by(evidence: Evidence) -> tuple[Verdict, str, Solution, Solution | None] | None:
    """What numbers are that differ and yet follow from the candidate's θ̂, and the solutions that they follow from.

    BETTER where its objective is lower; INCONCLUSIVE where the data do not tell the two θ̂ apart, and the reference's
    number follows from its own θ̂ (the second solution) as well; otherwise None.
    """
    improvement, solution = evidence.improvement, evidence.solve(evidence.candidate_theta)
    if improvement is None or solution is None:
        return None
    if improvement > tolerances.ROUNDINGS * evidence.noise:
        reason = (
            f"follows from a better optimum than the reference's (objective lower by {improvement:.3g}): the value "
            "that the candidate's θ implies"
        )
        return Verdict.BETTER, reason, solution, None
    if not evidence.undetermined or evidence.at_reference is None:
        return None
    reason = (
        f"the data do not determine it: from one θ to the other the objective varies by {evidence.variation:.2g}, "
        "which is rounding. The value is that which the candidate's θ implies"
    )
    return Verdict.INCONCLUSIVE, reason, solution, evidence.at_reference


def _without_reference(evidence: Evidence, rows: list[Row], limit: float) -> list[Row]:
    """Judge by the judge's own algebra what the reference has no value of, at an optimum as good as the reference's.

    lme4 2.1-0 gives NaN for variances of ``cs()`` and ``ar1()`` where a standard deviation is 0.
    """
    if not any(r.verdict is Verdict.DISAGREES and math.isnan(r.reference) for r in rows):
        return rows
    improvement, solution = evidence.improvement, evidence.solve(evidence.candidate_theta)
    if improvement is None or improvement < -tolerances.OPTIMUM.limit or solution is None:
        return rows
    expected = implied_numbers(solution)
    judged = []
    for r in rows:
        value = expected.get(r.key, math.nan)
        lacks = r.verdict is Verdict.DISAGREES and math.isnan(r.reference) and math.isfinite(value)
        if lacks and abs(r.candidate - value) <= limit * abs(value):
            own = f"the judge's own algebra gives {value:.8g} at the candidate's θ"
            r = r._replace(verdict=Verdict.INCONCLUSIVE, reason=f"the reference has no value (NaN); {own}")
        judged.append(r)
    return judged


def accept_implied(evidence: Evidence, rows: list[Row], limit: float) -> list[Row]:
    """Judge anew what failed and is no more than what another θ̂, as good or better, implies by the judge's algebra."""
    if not any(r.verdict is Verdict.DISAGREES for r in rows):
        return rows
    rows = _without_reference(evidence, rows, limit)
    found = implied_by(evidence)
    if found is None:
        return rows
    verdict, reason, solution, own = found
    expected, expected_reference = implied_numbers(solution), {} if own is None else implied_numbers(own)
    accepted = []
    for r in rows:
        key = r.key
        value, reference = expected.get(key), expected_reference.get(key, r.reference)
        if r.quantity in ("theta", "par"):
            value = r.candidate
        if r.verdict is Verdict.DISAGREES and value is not None and math.isfinite(r.difference):
            distance = max(abs(r.candidate - value), abs(r.reference - reference))
            scale = abs(r.difference) / r.scaled if r.scaled > 0 and math.isfinite(r.scaled) else math.nan
            if distance <= limit * scale:
                r = r._replace(verdict=verdict, reason=reason)
        accepted.append(r)
    return accept_tests(evidence, accepted, verdict, reason, solution)


def implied_numbers(solution: Solution) -> dict[Key, float]:
    """Every number that follows from θ by the judge's own algebra, by the keys of a comparison's rows."""
    values: dict[Key, float] = {}
    names, se = solution.pieces.coef_names, solution.se
    for i, name in enumerate(names):
        values["fixef", None, name, None, None] = float(solution.beta[i])
        values["se", None, name, None, None] = float(se[i])
        values["t", None, name, None, None] = float(solution.beta[i] / se[i])
        for j in range(i + 1):
            values["vcov", None, name, names[j], None] = float(solution.vcov[i, j])
    values["sigma", None, None, None, None] = solution.sigma
    values["sd", "Residual", None, None, None] = solution.sigma
    values["variance", "Residual", None, None, None] = solution.sigma**2
    values |= components(solution.pieces, solution.theta, solution.sigma)
    # R's isSingular() looks at the parameters as they are, in the predictors' own units.
    low, high = np.array(solution.pieces.bounds).reshape(-1, 2).T
    distance = np.minimum(np.abs(solution.theta - low), np.abs(high - solution.theta))
    singular = bool((distance < tolerances.SINGULAR).any())
    values["singular", None, None, None, None] = float(singular)
    for (group, effect, level), value in solution.ranef().items():
        values["ranef", group, effect, None, level] = value
    for (group, effect, level), value in solution.conditional_sds().items():
        values["condsd", group, effect, None, level] = value
    return values
