"""Tiers 4 and 5: estimates in units of their standard errors, BLUPs, and what is computed from them.

On the boundary θ and correlations are judged by the covariance matrix that they belong to. Σ does not determine θ's
sign there, and a correlation of a variance near 0 is noise, so neither has a unit of its own. Σ is judged; of θ and of
a correlation it is asked that they give the same Σ, in its standard errors, and then what is found of Σ holds of them.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr

from validation import tolerances
from validation.algebra import Solution, by_label, solve
from validation.judge.evidence import Evidence
from validation.judge.rows import Found, Row, counts, judge_number, judge_p, judge_record, missing_row
from validation.judge.units import ComponentErrors, component_errors, curvature
from validation.quantities import Key, key_of, named, records
from validation.tolerances import Match, Tolerance
from validation.verdict import Verdict

_COMPONENTS = ("theta", "par", "sigma", "variance", "covariance", "sd", "cor")

#: The unit of what has none of its own here.
BY_COVARIANCE = "standard errors of Σ"
_WORST_FIRST = (Verdict.DISAGREES, Verdict.INCONCLUSIVE, Verdict.BETTER, Verdict.AGREES)


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
    own = evidence.devfun("candidate") if evidence.objective_agrees else None
    functions = own, evidence.devfun("reference"), evidence.own_objective
    return component_errors(pieces, theta, sigma, evidence.reml, *(one for one in functions if one is not None))


def estimates(evidence: Evidence) -> Found:
    """Tier 4: coefficients, SEs, vcov, θ, σ, variances, SDs, correlations, in units of their standard error."""
    limit = estimate_limit(evidence)
    errors = _errors(evidence)
    se = evidence.standard_errors

    def scale_of(quantity: str, reference: float, *place: str | None) -> tuple[float, str]:
        _, term, term2 = place
        own = {
            "fixef": (se.get(term, math.nan), "standard errors"),
            "se": (reference, "relative"),
            "t": (max(1.0, abs(reference)), "of max(1, |t|)"),
            "vcov": (se.get(term, math.nan) * se.get(term2, math.nan), "of the product of the standard errors"),
        }
        return own.get(quantity, (math.nan if errors is None else errors.of(quantity, *place), "standard errors"))

    on_boundary = either_on_boundary(evidence) or (errors is not None and errors.source == "closed form")
    of_theta = theta_apart(evidence, errors, limit) if on_boundary else ""
    pieces = evidence.reference_pieces
    diagonal = [term.name for term in pieces.terms if term.structure.name == "diag"] if pieces is not None else []
    fixed = {(name, quantity) for name in diagonal for quantity in ("covariance", "cor")}  # at 0, by the structure
    rows = evidence.absent("sigma", "variance", "sd", "theta")
    for record in records(evidence.rows("fixef", "se", "t", "vcov", *_COMPONENTS, "singular")):
        quantity, group, term, term2, _ = key_of(record)
        reference, both = record["reference"], record["has_reference"] and record["has_candidate"]
        problem = evidence.problem(quantity)
        if quantity == "singular" or ((group, quantity) in fixed and reference == 0.0):
            rows.append(judge_record(record, 1.0, tolerances.EXACT, problem))
        elif both and quantity in ("theta", "par", "cor") and on_boundary:
            place, value = (str(group), str(term), str(term2)), record["candidate"]
            apart = correlation_apart(evidence, errors, place, value, limit) if quantity == "cor" else of_theta
            rows.append(_by_covariance(record, apart))
        else:
            scale, unit = scale_of(quantity, reference, group, term, term2)
            rows.append(judge_record(record, scale, tolerances.ESTIMATE.at(limit, unit), problem))
    rows.extend(_tests(evidence))
    evidence.undetermined = _undetermined(evidence, rows)
    rows = judged_by_covariance(evidence, accept_implied(evidence, rows, limit))
    return rows, counts(rows) + (f"; units of the variance components from their {errors.source}" if errors else "")


def _tests(evidence: Evidence) -> list[Row]:
    """Degrees of freedom and p-values, where both sides give them."""
    rows: list[Row] = []
    for record in records(evidence.rows("df", "p")):
        left, right = record["reference"], record["candidate"]
        if record["quantity"] == "p" and record["has_reference"] and record["has_candidate"]:
            rows.append(judge_p(key_of(record), left, right, tolerances.P_VALUE))
        else:
            rows.append(judge_record(record, left, tolerances.DEGREES_OF_FREEDOM))
    return rows


def _by_covariance(record: dict[str, Any], apart: str) -> Row:
    """A number that has no unit on the boundary: whether it belongs to Σ, which is judged."""
    judged = judge_record(record, 1.0, tolerances.ESTIMATE)
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


def theta_apart(evidence: Evidence, errors: ComponentErrors | None, limit: float) -> str:
    """Say where the candidate's θ gives another Σ than the candidate does; nothing where it gives the same.

    Where it gives no Σ, or no σ, the reference's stands for it.
    """
    theta, pieces, own = evidence.candidate_theta, evidence.reference_pieces, evidence.reference_theta
    if theta is None or pieces is None or errors is None or theta.size != pieces.n_theta:
        return ""
    sigma, reference_sigma = evidence.value("candidate", "sigma"), evidence.value("reference", "sigma")
    known = {} if own is None else pieces.components(own, reference_sigma)
    implied = pieces.components(theta, sigma if math.isfinite(sigma) else reference_sigma)
    for key in [key for key in implied if key[0] in ("variance", "covariance")]:
        quantity, group, first, second, _ = key
        value = evidence.candidate_covariances.get((str(group), str(first), str(second or first)), math.nan)
        value = known.get(key, math.nan) if math.isnan(value) else value
        if abs(implied[key] - value) > limit * errors.of(quantity, group, first, second):
            place = ", ".join(filter(None, (first, second)))
            return f"with σ it gives {implied[key]:.6g} in Σ for {group} {place}, where {value:.6g} stands"
    return ""


def correlation_apart(
    evidence: Evidence, errors: ComponentErrors | None, key: tuple[str, str, str], value: float, limit: float
) -> str:
    """Say where a correlation of the candidate gives another covariance than the candidate does."""
    group, first, second = key
    given = evidence.candidate_covariances
    needed = [given.get((group, *pair), math.nan) for pair in ((first, first), (second, second), (first, second))]
    if errors is None or not all(map(math.isfinite, [*needed, value])):
        return ""
    implied = value * math.sqrt(max(needed[0], 0.0) * max(needed[1], 0.0))
    if not abs(implied - needed[2]) > limit * errors.of("covariance", *key):
        return ""
    return f"with its standard deviations it gives the covariance {implied:.6g}, where {needed[2]:.6g} stands"


def judged_by_covariance(evidence: Evidence, rows: Sequence[Row]) -> list[Row]:
    """Give θ and correlations that belong to the candidate's Σ the verdict on Σ of their term: that of its worst entry.

    Without an entry of Σ that both sides have nothing is known of them: inconclusive.
    """
    owners = _owners(evidence)
    entries = [
        r for r in rows
        if r.quantity in ("variance", "covariance") and r.term is not None and r.verdict in _WORST_FIRST
    ]  # fmt: skip
    made: list[Row] = []
    for r in rows:
        if r.unit != BY_COVARIANCE or r.verdict is not Verdict.AGREES:
            made.append(r)
            continue
        owner = r.group if r.quantity == "cor" else owners.get((r.quantity, str(r.term)))
        of_term = [e for e in entries if owner is None or e.group == owner]
        worst = min(of_term, key=lambda e: (_WORST_FIRST.index(e.verdict), -np.nan_to_num(e.scaled)), default=None)
        if worst is None:
            made.append(r._replace(verdict=Verdict.INCONCLUSIVE, reason="on the boundary it has no unit of its own"))
            continue
        reason = f"on the boundary it is judged by Σ, which it gives: by {worst.name}"
        made.append(r._replace(verdict=worst.verdict, scaled=worst.scaled, tolerance=worst.tolerance, reason=reason))
    return made


def _owners(evidence: Evidence) -> dict[tuple[str, str], str]:
    """The term of each θ and, where covariances are structured, of each ``par``, by its name."""
    pieces, theta = evidence.reference_pieces, evidence.reference_theta
    if pieces is None or theta is None or theta.size != pieces.n_theta:
        return {}
    terms, own = [term.name for term in pieces.terms], "par" if pieces.structured else "theta"
    owners = np.repeat(terms, [len(part) for part in pieces.by_term(theta)])
    found = {(own, name): str(term) for name, term in zip(pieces.theta_names, owners, strict=False)}
    if pieces.structured:
        owners = np.repeat(terms, [len(term.structure.places(term.p)) for term in pieces.terms])
        found |= {("theta", name): str(term) for name, term in zip(pieces.element_names, owners, strict=False)}
    return found


def conditional_modes(evidence: Evidence) -> Found:
    """Tier 5: BLUPs and conditional sds by level label; coef, fitted values and residuals, the worst of each shown."""
    limit = estimate_limit(evidence)
    sigma = evidence.value("reference", "sigma")
    fallback = _level_errors(evidence, sigma)
    given = [r for r in records(evidence.rows("condsd")) if r["has_reference"]]
    sds = {(r["group"], r["term"], r["level"]): r["reference"] for r in given}
    # θ is known to about (the standard error of a level's own estimate) / √levels, in units of σ.
    levels = Counter((group, effect) for group, effect, _ in fallback) if either_on_boundary(evidence) else Counter()
    undetermined = {key: own / math.sqrt(levels[key[:2]]) for key, own in fallback.items() if levels[key[:2]]}
    # On the boundary the conditional sd goes to 0 with the variance; the level's own mean is the measure then. Beside
    # it the conditional sd is small, and θ's own error is what moves the BLUP and its conditional sd.
    units = {
        key: own
        if math.isfinite(own) and sds.get(key, 0.0) < Match.ROUGH * own
        else math.hypot(sds.get(key, math.nan), undetermined.get(key, 0.0))
        for key, own in {**dict.fromkeys(sds, math.nan), **fallback}.items()
    }
    rows = evidence.absent("ranef", "condsd", "fitted", "residuals")
    for record in records(evidence.rows("ranef", "condsd")):
        quantity = record["quantity"]
        key = (record["group"], record["term"], record["level"])
        tolerance = (tolerances.CONDITIONAL_MODE if quantity == "ranef" else tolerances.CONDITIONAL_SD).at(limit)
        if sds.get(key, math.nan) < Match.ROUGH * fallback.get(key, math.nan):
            tolerance = tolerance.at(limit, "standard errors of the level's own estimate")
        scale = units[key] if key in sds else math.nan
        rows.append(judge_record(record, scale, tolerance, evidence.problem(quantity)))
    rows = accept_implied(evidence, rows, limit)
    rows.extend(_bulk(evidence, limit, sigma, units))
    return rows, counts(rows)


def _level_errors(evidence: Evidence, sigma: float) -> dict[tuple[str, str, str], float]:
    """σ/√Σz² by (group, effect, level): the standard error of a level's own, unpooled effect."""
    pieces = evidence.reference_pieces
    if pieces is None or not math.isfinite(sigma):
        return {}
    # A level in which the effect's column is 0 throughout says nothing about it; σ is the measure then.
    squares = by_label(pieces, pieces.squares).items()
    return {label: sigma / math.sqrt(square) if square > 0 else sigma for label, square in squares}


def _bulk(evidence: Evidence, limit: float, sigma: float, sds: dict[tuple[str, str, str], float]) -> list[Row]:
    """One row for each of coef (by effect), fitted values and residuals: the worst of many, and how many failed."""
    rows: list[Row] = []
    for quantity in ("coef", "fitted", "residuals", "scaled_residuals", "predict-marginal", "predict-new"):
        why = evidence.problem(quantity)
        for labels, part in evidence.rows(quantity).groupby(["group", "term"], dropna=False, sort=False):
            # pandas makes NaN of None
            group, term = (label if isinstance(label, str) else None for label in labels)
            lost = part[~(part["has_reference"] & part["has_candidate"])]
            if len(lost):
                first = lost.iloc[0]
                there = bool(lost["has_reference"].all()), bool(lost["has_candidate"].all())
                told = f"{len(lost)} of {len(part)}, e.g. {first['level']!r}" + (f"; {why}" if why else "")
                key = named(quantity, group, term, level=first["level"])
                rows.append(missing_row(key, *there, (first["reference"], first["candidate"]), told))
                continue
            unit = tolerances.BULK.unit
            scale = np.full(len(part), sigma)
            if quantity == "coef":
                fixed = evidence.standard_errors.get(term, math.nan)
                random = np.array([sds.get((group, term, level), math.nan) for level in part["level"]])  # type: ignore[arg-type]
                scale = np.sqrt(np.nan_to_num(fixed) ** 2 + np.nan_to_num(random) ** 2)
                # An effect of another factor's, without a fixed part, is 0 at every level here: no error of its own.
                scale = np.where(scale > 0.0, scale, sigma)
                unit = "standard errors of coefficient and BLUP together"
            elif quantity == "scaled_residuals":
                scale, unit = np.ones(len(part)), "scaled residuals"
            judged = _worst(named(quantity, group, term), part, scale, tolerances.BULK.at(limit, unit))
            rows.append(_accepted(evidence, judged, part, limit * scale))
    return rows


def _worst(key: Key, part: pd.DataFrame, scale: np.ndarray, tolerance: Tolerance) -> Row:
    """The row of the largest difference among many."""
    left, right = part["reference"].to_numpy(), part["candidate"].to_numpy()
    with np.errstate(all="ignore"):
        scaled = np.abs(right - left) / scale
    scaled = np.where(np.isnan(left) & np.isnan(right), 0.0, np.where(np.isfinite(scaled), scaled, np.inf))
    worst = int(np.argmax(scaled))
    numbers = float(left[worst]), float(right[worst]), float(scale[worst])
    judged = judge_number((*key[:4], part["level"].iloc[worst]), *numbers, tolerance)
    failed = int(np.sum(~(scaled <= tolerance.limit)))
    told = f"the largest difference of {len(part)}, {failed} beyond the limit. {judged.reason}"
    return judged._replace(reason=told)


def _accepted(evidence: Evidence, judged: Row, part: pd.DataFrame, limits: np.ndarray) -> Row:
    """The worst of many numbers judged anew, where all follow from another θ̂ as good or better."""
    found = implied_by(evidence) if judged.verdict is Verdict.DISAGREES else None
    if found is None:
        return judged
    verdict, reason, solution, own = found
    rows_used = evidence.rows("fitted")["level"].tolist()
    for side, implied in (("candidate", solution), ("reference", own)):
        if implied is not None:
            expected = _expected_bulk(implied, judged, part["level"], rows_used)
            if expected is None or not np.all(np.abs(part[side].to_numpy() - expected) <= limits):
                return judged
    return judged._replace(verdict=verdict, reason=reason)


def _expected_bulk(solution: Solution, judged: Row, levels: pd.Series, rows_used: list[str]) -> np.ndarray | None:
    quantity, group, term = judged.quantity, judged.group, judged.term
    if quantity == "coef":
        fixed = dict(zip(solution.pieces.coef_names, solution.beta, strict=True)).get(str(term), 0.0)
        random = solution.ranef()
        # R's coef() adds the first of several effects of one name, once for each of them.
        times = sum(t.effects.count(str(term)) for t in solution.pieces.terms if t.group == group)
        return np.array([fixed + times * random.get((str(group), str(term), level), 0.0) for level in levels])
    if quantity.startswith("predict-"):
        # At unseen levels the random effects are 0: the marginal prediction of the same row.
        marginal = dict(zip(rows_used, solution.marginal, strict=True))
        return np.array([marginal.get(level, math.nan) for level in levels])
    if len(levels) != solution.fitted.size:
        return None
    if quantity == "fitted":
        return solution.fitted
    residuals = solution.pieces.y - solution.fitted
    return residuals if quantity == "residuals" else residuals / solution.sigma


# ---------------------------------------------------------------------------------------------------- what follows


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
    expected, found = solution.numbers(), implied_by(evidence)
    expected_reference = {} if found is None or found[3] is None else found[3].numbers()

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


def degrees_of_freedom(at: Solution, reml: bool) -> np.ndarray:
    """Satterthwaite's degrees of freedom of the coefficients, at the optimum of a criterion.

    As Kuznetsova, Brockhoff & Christensen (2017, J. Stat. Softw. 82(13), section 2.1): df = 2V² / g'Ag, with V the
    variance of a coefficient, g its gradient in the variance parameters (θ, σ), and A = 2H⁻¹ their covariance, H the
    Hessian of the deviance. Derivatives are central differences; those in σ are known.
    """
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
        math.isclose(df, known.get(str(term), math.nan), rel_tol=Match.ROUGH) for term, df in given.items()
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
