"""Satterthwaite's degrees of freedom by the judge's own algebra, for tests that follow from another optimum.

As Kuznetsova, Brockhoff & Christensen (2017, J. Stat. Softw. 82(13), section 2.1): df = 2V² / g'Ag, with V the variance
of a coefficient, g its gradient in the variance parameters (θ, σ), and A = 2H⁻¹ their covariance, H the Hessian of the
deviance. Derivatives are central differences; those in σ are known.
"""

import math

import numpy as np

from validation import tolerances
from validation.algebra import Solution, solve
from validation.judge.evidence import Evidence
from validation.judge.rows import Row, judge_p
from validation.verdict import Verdict

#: Step of the differences, in units in which θ moves the response by about σ: its square is what a second difference
#: is off by, and the rounding error of the deviance over its square is small beside the deviance's curvature.
_STEP = 2e-3


def degrees_of_freedom(at: Solution, reml: bool) -> np.ndarray:
    """Satterthwaite's degrees of freedom of the coefficients, at the optimum of a criterion."""
    pieces, n = at.pieces, at.theta.size
    nu = len(pieces.y) - (len(at.beta) if reml else 0)
    steps = _STEP * np.maximum(np.abs(at.theta), pieces.theta_scale)
    sigma2 = at.sigma**2

    def moved(*moves: tuple[int, float]) -> tuple[float, np.ndarray, float]:
        """With θ moved by some steps: the deviance and the coefficients' variances at σ̂, and σ² profiled."""
        theta = at.theta.copy()
        for i, step in moves:
            theta[i] += step * steps[i]
        there = solve(pieces, theta, reml)
        ratio = there.sigma**2 / sigma2
        deviance = there.objective + nu * (ratio - 1.0 - math.log(ratio))
        return deviance, np.diag(there.vcov) / ratio, there.sigma**2

    hessian = np.empty((n + 1, n + 1))
    gradient = np.empty((n + 1, len(at.beta)))
    here = at.objective
    for i in range(n):
        up, down = moved((i, 1.0)), moved((i, -1.0))
        hessian[i, i] = (up[0] - 2.0 * here + down[0]) / steps[i] ** 2
        gradient[i] = (up[1] - down[1]) / (2.0 * steps[i])
        hessian[i, n] = hessian[n, i] = -2.0 * nu / at.sigma**3 * (up[2] - down[2]) / (2.0 * steps[i])
        for j in range(i):
            corners = [moved((i, a), (j, b))[0] * a * b for a in (1.0, -1.0) for b in (1.0, -1.0)]
            hessian[i, j] = hessian[j, i] = sum(corners) / (4.0 * steps[i] * steps[j])
    hessian[n, n] = 4.0 * nu / sigma2
    variances = np.diag(at.vcov)
    gradient[n] = 2.0 * variances / at.sigma
    # lmerTest leaves out directions in which the deviance does not rise
    rates, directions = np.linalg.eigh(hessian)
    rising = rates > np.sqrt(np.finfo(float).eps)
    along = directions[:, rising].T @ gradient
    return variances**2 / np.sum(along**2 / rates[rising, None], axis=0)


def accept_tests(evidence: Evidence, rows: list[Row], verdict: Verdict, reason: str, solution: Solution) -> list[Row]:
    """Judge anew the df and p of tier 4 that differ, where they follow from the candidate's θ̂: ``verdict`` then.

    Inconclusive where the reference's own df are not Satterthwaite's: the judge knows no other.
    """
    if not any(r.quantity in ("df", "p") and r.verdict is Verdict.DISAGREES for r in rows):
        return rows
    names = solution.pieces.coef_names
    own = evidence.at_reference
    if own is None:
        return rows
    implied = dict(zip(names, degrees_of_freedom(solution, evidence.reml), strict=True))
    known = dict(zip(names, degrees_of_freedom(own, evidence.reml), strict=True))
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
            from scipy.stats import t as student_t  # half a second to import, and few comparisons come here

            p = 2.0 * float(student_t.sf(abs(ts[term]), implied[term]))
            follows = judge_p("tier-4", "p", p, r.candidate, tolerances.P_VALUE).verdict is Verdict.AGREES
        return r._replace(verdict=verdict, reason=reason) if follows else r

    return [judged(r) for r in rows]
