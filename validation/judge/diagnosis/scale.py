"""Row 2: numbers on another scale: a variance, an SD, θ or a relative covariance in another's place, BLUPs over σ."""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from validation.judge.diagnosis import all_close, assume, close, given
from validation.judge.evidence import Evidence
from validation.quantities import records
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Finding

#: Name, words, and what the rule makes of the reference's numbers, of σ and of the effect's own standard deviation.
_Rule: TypeAlias = tuple[str, str, Callable[[np.ndarray, float, float], np.ndarray]]

_COMPONENTS: tuple[_Rule, ...] = (
    ("squared", "the squares of the reference's", lambda x, s, sd: x * x),
    ("square-root", "the square roots of the reference's", lambda x, s, sd: np.sqrt(x)),
    ("relative", "the reference's divided by σ (θ's scale)", lambda x, s, sd: x / s),
    ("relative-variance", "the reference's divided by σ² (relative covariances)", lambda x, s, sd: x / s**2),
    ("times-sigma", "the reference's times σ", lambda x, s, sd: x * s),
    ("times-variance", "the reference's times σ²", lambda x, s, sd: x * s**2),
    ("sd-over-sigma", "the roots of the reference's, divided by σ", lambda x, s, sd: np.sqrt(x) / s),
)

_MODES: tuple[_Rule, ...] = (
    ("relative", "the reference's divided by σ", lambda x, s, sd: x / s),
    ("times-sigma", "the reference's times σ", lambda x, s, sd: x * s),
    ("standardised", "the reference's divided by their own standard deviation (√Σ)", lambda x, s, sd: x / sd),
    ("standardised", "the reference's divided by the spread that they have", lambda x, s, sd: x / np.std(x, ddof=1)),
    ("spherical", "the spherical random effects u, where b = Λu", lambda x, s, sd: x * s / sd),
)

_CONDSDS: tuple[_Rule, ...] = (
    ("squared", "conditional variances, the squares of the sds", lambda x, s, sd: x**2),
    ("square-root", "the roots of the reference's", lambda x, s, sd: np.sqrt(x)),
    ("relative-variance", "conditional variances divided by σ²", lambda x, s, sd: (x / s) ** 2),
    ("relative", "the reference's divided by σ", lambda x, s, sd: x / s),
    ("times-sigma", "the reference's times σ", lambda x, s, sd: x * s),
)


def scale_of_components(evidence: Evidence) -> Cause | None:
    """Row 2: variance, SD, θ or relative covariance in each other's place."""
    sigma = evidence.value("reference", "sigma")
    assume(0 < sigma < math.inf)
    for quantity, words, unit, rules in (
        ("sd", "SDs", sigma, _COMPONENTS),
        ("variance", "variances", sigma**2, _COMPONENTS),
        ("covariance", "covariances", sigma**2, _COMPONENTS),
        ("sigma", "residual SD", sigma, _COMPONENTS),
        ("theta", "θ", 1.0, _COMPONENTS),
        ("se", "standard errors", 0.0, _COMPONENTS[:1]),
    ):
        left, right = evidence.arrays(quantity)
        off = np.array([not close(c, r, Match.ROUGH) for r, c in zip(left, right, strict=True)], dtype=bool)
        # A 0 or a 1 is its own square; the residual's row is judged with the others.
        telling = off & (np.abs(left) > Match.CHAINED * unit) & (np.abs(np.abs(left) - 1) > Match.RULE)
        left, right = left[telling], right[telling]
        for name, description, rule in rules if len(left) else ():
            with np.errstate(invalid="ignore"):
                expected = rule(left, sigma, math.nan)
            if all_close(right, expected, Match.FOLLOWS):
                return Finding(2, f"scale-{name}", Strength.RULE).told(
                    f"The candidate's {words} are {description}",
                    f"{len(left)} of {len(left)} differing {words} match: reference {left[0]:.6g}, candidate "
                    f"{right[0]:.6g}, expected under this fault {expected[0]:.6g} (σ = {sigma:.6g})",
                    "Report variances as variances, SDs as their roots, and both on the scale of the response: "
                    "Σ = σ²TT', where T is made of θ.",
                )
    return _own_components(evidence)


def _own_components(evidence: Evidence) -> Cause:
    """SDs that are the candidate's own variances (or the other way round), whatever the reference has."""
    variances, unit = evidence.compared("variance"), evidence.value("reference", "sigma")
    both = evidence.compared("sd").merge(variances, on=["group", "term"], suffixes=("", "_variance"))
    sds = both["candidate"]
    both = both[(np.abs(sds - 1) > Match.RULE) & (sds > Match.CHAINED * unit) & np.isfinite(both["candidate_variance"])]
    assume(len(both) > 1 and all_close(both["candidate"], both["candidate_variance"], Match.COMPUTED))
    value, sd, variance = (float(both[name].iloc[0]) for name in ("candidate", "reference", "reference_variance"))
    squared = abs(math.log(value / variance)) < abs(math.log(value / sd)) if sd > 0 and variance > 0 else True
    return Finding(2, "scale-squared" if squared else "scale-square-root", Strength.OWN_RULE).told(
        "The candidate's SDs are its own variances" if squared else "The candidate's variances are its own SDs",
        f"for all {len(both)} components both are the same number, e.g. {value:.6g} (reference: SD {sd:.6g}, variance "
        f"{variance:.6g})",
        "An SD is the root of the variance: report both on the scale of the response.",
    )


def scale_of_modes(evidence: Evidence) -> Cause | None:
    """Row 2: BLUPs or their conditional sds on another scale: over σ, standardised, squared."""
    sigma = evidence.value("reference", "sigma")
    assume(sigma > 0)
    sds: dict[object, float] = {(r["group"], r["term"]): r["reference"] for r in records(evidence.compared("sd"))}
    for quantity, kind, words, rules in (
        ("ranef", "modes", "random effects", _MODES),
        ("condsd", "condsd", "conditional sds", _CONDSDS),
    ):
        found: list[tuple[str, str, str]] = []
        for place, part in evidence.compared(quantity).groupby(["group", "term"], sort=False):
            left, right = part["reference"].to_numpy(dtype=float), part["candidate"].to_numpy(dtype=float)
            if len(left) < 3 or not np.isfinite(right).all() or _near(right, left):
                continue
            rule = given(next((r for r in rules if _near(right, r[2](left, sigma, sds.get(place, math.nan)))), None))
            i = int(np.argmax(np.abs(left)))
            shown = f"{left[i]:.6g} in the reference, {right[i]:.6g} in the candidate"
            found.append((rule[0], rule[1], f"{place[0]} {part['level'].iloc[i]} {place[1]}: {shown}"))
        if found:
            name, text, where = found[0]
            return Finding(2, f"{kind}-{name}", Strength.COUNTS).told(
                f"The candidate's {words} are {text}",
                f"at all levels; e.g. {where} (σ = {sigma:.6g})",
                "ranef() is on the scale of the response (for a slope: of the response per unit of the predictor), and "
                "so are the conditional sds.",
            )
    return None


def _near(values: np.ndarray, expected: np.ndarray) -> bool:
    """Whether numbers are those expected, in units of the largest; where all of these are 0 nothing tells."""
    size = float(np.max(np.abs(expected), initial=0.0))
    return bool((np.abs(values - expected) <= Match.FOLLOWS * size).all()) or size == 0.0


def correlations(evidence: Evidence) -> Cause | None:
    """Rows 2 and 7: covariances reported as correlations, or correlations reported as 0 though they were estimated."""
    rows, place = evidence.compared("covariance"), ["group", "term", "term2"]
    rows = evidence.compared("cor").merge(rows, "left", place, suffixes=("", "_covariance"))
    off = rows[[not close(r["candidate"], r["reference"], Match.ROUGH) for r in records(rows)]]
    assume(len(off))
    first = off.iloc[0]
    where = f"{first['group']}: {first['term']}, {first['term2']}"
    if all_close(off["candidate"], off["reference_covariance"]):
        return Finding(2, "scale-covariance", Strength.RULE).told(
            "The candidate's correlations are covariances",
            f"{where}: {first['candidate']:.6g} is the reference's covariance, its correlation is "
            f"{first['reference']:.6g}",
            "A correlation is the covariance over the product of both SDs, and lies between −1 and 1.",
        )
    theta = evidence.arrays("theta")
    assume((off["candidate"] == 0.0).all() and len(theta[0]) and all_close(theta[1], theta[0], Match.ROUGH))
    return Finding(7, "correlation-not-reported", Strength.RULE).told(
        "The candidate estimated the correlation of random effects, and reports 0",
        f"{where}: {first['reference']:.6g} in the reference; the candidate's θ, from which it follows, is the "
        "reference's",
        "Compute Σ = σ²TT' from θ, its elements off the diagonal included.",
    )
