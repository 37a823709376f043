"""What follows from a θ: every number by the judge's own algebra, and what is accepted for it.

Satterthwaite's degrees of freedom as Kuznetsova, Brockhoff & Christensen (2017, J. Stat. Softw. 82(13), section 2.1):
df = 2V² / g'Ag, with V the variance of a coefficient, g its gradient in the variance parameters (θ, σ), and A = 2H⁻¹
their covariance, H the Hessian of the deviance. Derivatives are central differences; those in σ are known.
"""

import math

import numpy as np
from scipy.special import stdtr

from validation import tolerances
from validation.algebra import Solution, solve
from validation.judge.evidence import Evidence
from validation.judge.rows import Row, judge_p
from validation.judge.units import components, curvature
from validation.quantities import Key, named
from validation.verdict import Verdict

#: Step of the differences, in units in which θ moves the response by about σ: its square is what a second difference
#: is off by, and the rounding error of the deviance over its square is small beside the deviance's curvature.
_STEP = 2e-3


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


def accept_implied(evidence: Evidence, rows: list[Row], limit: float) -> list[Row]:
    """Judge anew what failed and is no more than what another θ̂, as good or better, implies by the judge's algebra.

    That algebra also judges what the reference has no value of, at an optimum as good as the reference's: lme4 2.1-0
    gives NaN for variances of ``cs()`` and ``ar1()`` where a standard deviation is 0.
    """
    if not any(r.verdict is Verdict.DISAGREES for r in rows):
        return rows
    improvement, solution = evidence.improvement, evidence.solve(evidence.candidate_theta)
    if improvement is None or solution is None:
        return rows
    expected, found = implied_numbers(solution), implied_by(evidence)
    expected_reference = {} if found is None or found[3] is None else implied_numbers(found[3])

    def judged(r: Row) -> Row:
        value = expected.get(r.key, math.nan)
        if r.verdict is not Verdict.DISAGREES:
            return r
        if math.isnan(r.reference):
            if improvement < -tolerances.OPTIMUM.limit or not abs(r.candidate - value) <= limit * abs(value):
                return r
            own = f"the judge's own algebra gives {value:.8g} at the candidate's θ"
            return r._replace(verdict=Verdict.INCONCLUSIVE, reason=f"the reference has no value (NaN); {own}")
        if r.quantity in ("theta", "par"):
            value = r.candidate
        distance = max(abs(r.candidate - value), abs(r.reference - expected_reference.get(r.key, r.reference)))
        scale = abs(r.difference) / r.scaled if 0.0 < r.scaled < math.inf else math.nan
        if found is None or not distance <= limit * scale:
            return r
        return r._replace(verdict=found[0], reason=found[1])

    accepted = [judged(r) for r in rows]
    return accepted if found is None else _accept_tests(evidence, accepted, *found[:3])


def implied_numbers(solution: Solution) -> dict[Key, float]:
    """Every number that follows from θ by the judge's own algebra, by the keys of a comparison's rows."""
    values: dict[Key, float] = {}
    names, se = solution.pieces.coef_names, solution.se
    for i, name in enumerate(names):
        for quantity, value in (("fixef", solution.beta[i]), ("se", se[i]), ("t", solution.beta[i] / se[i])):
            values[named(quantity, term=name)] = float(value)
        for j in range(i + 1):
            values[named("vcov", None, name, names[j])] = float(solution.vcov[i, j])
    values[named("sigma")] = solution.sigma
    values[named("sd", "Residual")] = solution.sigma
    values[named("variance", "Residual")] = solution.sigma**2
    values |= components(solution.pieces, solution.theta, solution.sigma)
    # R's isSingular() looks at the parameters as they are, in the predictors' own units.
    low, high = np.array(solution.pieces.bounds).reshape(-1, 2).T
    distance = np.minimum(np.abs(solution.theta - low), np.abs(high - solution.theta))
    values[named("singular")] = float((distance < tolerances.SINGULAR).any())
    for quantity, by_level in (("ranef", solution.ranef()), ("condsd", solution.conditional_sds())):
        for (group, effect, level), value in by_level.items():
            values[named(quantity, group, effect, level=level)] = value
    return values


def degrees_of_freedom(at: Solution, reml: bool) -> np.ndarray:
    """Satterthwaite's degrees of freedom of the coefficients, at the optimum of a criterion."""
    pieces, n = at.pieces, at.theta.size
    nu = len(pieces.y) - (len(at.beta) if reml else 0)
    steps = _STEP * np.maximum(np.abs(at.theta), pieces.theta_scale)
    sigma2 = at.sigma**2

    def there(theta: np.ndarray) -> tuple[float, np.ndarray, float]:
        """At another θ: the deviance and the coefficients' variances at σ̂, and σ² profiled."""
        solution = solve(pieces, theta, reml)
        ratio = solution.sigma**2 / sigma2
        deviance = solution.objective + nu * (ratio - 1.0 - math.log(ratio))
        return deviance, np.diag(solution.vcov) / ratio, solution.sigma**2

    hessian = np.empty((n + 1, n + 1))
    gradient = np.empty((n + 1, len(at.beta)))
    hessian[:n, :n] = curvature(lambda theta: there(theta)[0], at.theta, steps)
    for i, step in enumerate(np.diag(steps)):
        up, down = there(at.theta + step), there(at.theta - step)
        gradient[i] = (up[1] - down[1]) / (2.0 * steps[i])
        hessian[i, n] = hessian[n, i] = -2.0 * nu / at.sigma**3 * (up[2] - down[2]) / (2.0 * steps[i])
    hessian[n, n] = 4.0 * nu / sigma2
    variances = np.diag(at.vcov)
    gradient[n] = 2.0 * variances / at.sigma
    # lmerTest leaves out directions in which the deviance does not rise
    rates, directions = np.linalg.eigh(hessian)
    rising = rates > np.sqrt(np.finfo(float).eps)
    along = directions[:, rising].T @ gradient
    return variances**2 / np.sum(along**2 / rates[rising, None], axis=0)


def _accept_tests(evidence: Evidence, rows: list[Row], verdict: Verdict, reason: str, solution: Solution) -> list[Row]:
    """Judge anew the df and p of tier 4 that differ, where they follow from the candidate's θ̂: ``verdict`` then.

    Inconclusive where the reference's own df are not Satterthwaite's: the judge knows no other.
    """
    if not any(r.quantity in ("df", "p") and r.verdict is Verdict.DISAGREES for r in rows):
        return rows
    names = solution.pieces.coef_names
    own = evidence.at_reference
    if own is None:
        return rows
    implied, known = (dict(zip(names, degrees_of_freedom(at, evidence.reml), strict=True)) for at in (solution, own))
    ts = dict(zip(names, solution.beta / solution.se, strict=True))
    given = {r.term: r.reference for r in rows if r.quantity == "df"}
    satterthwaite = all(
        math.isclose(df, known.get(str(term), math.nan), rel_tol=tolerances.Match.ROUGH) for term, df in given.items()
    )
    unknown = "the reference's optimum is another, and its degrees of freedom are not Satterthwaite's: none to judge by"

    def judged(r: Row) -> Row:
        term, quantity = r.term, r.quantity
        if quantity not in ("df", "p") or r.verdict is not Verdict.DISAGREES or term not in implied:
            return r
        if not satterthwaite or not given:
            return r._replace(verdict=Verdict.INCONCLUSIVE, reason=unknown)
        if quantity == "df":
            follows = math.isclose(r.candidate, implied[term], rel_tol=tolerances.DEGREES_OF_FREEDOM.limit)
        else:
            p = 2.0 * float(stdtr(implied[term], -abs(ts[term])))
            follows = judge_p(named("p"), p, r.candidate, tolerances.P_VALUE).verdict is Verdict.AGREES
        return r._replace(verdict=verdict, reason=reason) if follows else r

    return [judged(r) for r in rows]
