"""Detectors for numbers that are computed wrongly from a right fit: signs, scales, and the other criterion's parts."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from validation.judge.diagnosis import close
from validation.judge.evidence import Evidence
from validation.quantities import records
from validation.tolerances import Match, Strength
from validation.verdict import Cause

__all__ = ["correlations", "residual_variance", "scale_of_modes", "signs"]


def _words(record: dict[str, Any]) -> str:
    return " ".join(str(record[key]) for key in ("group", "term", "term2", "level") if record[key] is not None)


def residual_variance(evidence: Evidence) -> Cause | None:
    """Row 10: σ with another divisor than the criterion's, N for REML's N − p or the other way round."""
    left, right = evidence.pair("sigma")
    N, p = evidence.value("reference", "nobs"), float(len(evidence.compared("fixef")))
    if not (left > 0 and right > 0 and N > p > 0):
        return None
    factor = right / left
    for words, target in (
        ("N in place of N − p", math.sqrt((N - p) / N)),
        ("N − p in place of N", math.sqrt(N / (N - p))),
    ):
        if not close(factor, target, Match.SUMMED):
            continue
        same = all(close(r["candidate"], r["reference"], Match.FOLLOWS) for r in records(evidence.compared("theta")))
        if not same:
            return None  # another θ, and σ with it
        se = evidence.compared("se")
        follows = not se.empty and all(close(r["candidate"] / r["reference"], target) for r in records(se))
        return Cause(
            10,
            "sigma-divisor",
            f"The residual variance is divided by {words}" + (", and the standard errors with it" if follows else ""),
            f"σ is {right:.8g} in the candidate and {left:.8g} in the reference: a ratio of {factor:.8g}, which is "
            f"{'√((N − p)/N)' if target < 1 else '√(N/(N − p))'} with N = {N:.0f} and p = {p:.0f}",
            "σ̂² is r²/N by maximum likelihood and r²/(N − p) by REML, with r² the penalised residual sum of squares.",
            strength=Strength.RULE,
        )
    return None


def signs(evidence: Evidence) -> Cause | None:
    """Row 8: numbers that are right but for their sign."""
    for quantity, words, remedy in (
        ("fixef", "coefficients", "Look at the order of differences: which group is subtracted from which."),
        ("ranef", "random effects", "A conditional mode is what the level has more than the fixed effects say."),
        ("cor", "correlations of random effects", "A correlation has the sign of its covariance, T_1'T_2 of θ's rows."),
        ("residuals", "residuals", "A residual is the response less the fitted value."),
    ):
        rows = evidence.compared(quantity)
        left, right = rows["reference"].to_numpy(dtype=float), rows["candidate"].to_numpy(dtype=float)
        if not len(left) or not np.isfinite(right).all():
            continue
        size = float(np.std(left)) or float(np.max(np.abs(left)))
        if not size > 0:
            continue
        off = np.abs(left - right) > Match.FOLLOWS * size
        if not off.any() or (np.abs(np.abs(left) - np.abs(right)) > Match.FOLLOWS * size).any():
            continue
        first = records(rows[off])[0]
        return Cause(
            8,
            "sign-flipped",
            f"The sign of {'all' if off.all() else f'{int(off.sum())} of {len(left)}'} {words} is wrong",
            f"all {len(left)} agree in size, and {int(off.sum())} differ in sign, e.g. {_words(first)}: "
            f"{first['reference']:.6g} in the reference, {first['candidate']:.6g} in the candidate",
            remedy,
            strength=Strength.SIGNS,
        )
    return None


_Rule: TypeAlias = tuple[str, str, Callable[[np.ndarray], np.ndarray]]


def _mode_rules(sigma: float, sd: float) -> list[_Rule]:
    return [
        ("relative", "the reference's divided by σ", lambda x: x / sigma),
        ("times-sigma", "the reference's times σ", lambda x: x * sigma),
        ("standardised", "the reference's divided by their own standard deviation (√Σ)", lambda x: x / sd),
        ("spherical", "the spherical random effects u, where b = Λu", lambda x: x * sigma / sd),
    ]


def _condsd_rules(sigma: float) -> list[_Rule]:
    return [
        ("squared", "conditional variances, the squares of the sds", lambda x: x**2),
        ("square-root", "the roots of the reference's", np.sqrt),
        ("relative-variance", "conditional variances divided by σ²", lambda x: (x / sigma) ** 2),
        ("relative", "the reference's divided by σ", lambda x: x / sigma),
        ("times-sigma", "the reference's times σ", lambda x: x * sigma),
    ]


def scale_of_modes(evidence: Evidence) -> Cause | None:
    """Row 2: BLUPs or their conditional sds on another scale: over σ, standardised, squared."""
    sigma = evidence.value("reference", "sigma")
    if not sigma > 0:
        return None
    sds = {(r["group"], r["term"]): float(r["reference"]) for r in records(evidence.compared("sd"))}
    for quantity, words in (("ranef", "random effects"), ("condsd", "conditional sds")):
        found: list[tuple[str, str, str, float, float]] = []
        for (group, term), part in evidence.compared(quantity).groupby(["group", "term"], sort=False):
            left, right = part["reference"].to_numpy(dtype=float), part["candidate"].to_numpy(dtype=float)
            size = float(np.max(np.abs(left), initial=0.0))
            if len(left) < 3 or not size > 0 or not np.isfinite(right).all():
                continue
            if (np.abs(left - right) <= Match.FOLLOWS * size).all():
                continue
            rules = (
                _condsd_rules(sigma) if quantity == "condsd" else _mode_rules(sigma, sds.get((group, term), math.nan))
            )
            for name, text, rule in rules:
                expected = rule(left)
                if (np.abs(right - expected) <= Match.FOLLOWS * float(np.max(np.abs(expected)))).all():
                    i = int(np.argmax(np.abs(left)))
                    where = f"{group} {part['level'].iloc[i]} {term}"
                    found.append((name, text, where, float(left[i]), float(right[i])))
                    break
            else:
                return None
        if found:
            name, text, where, ours, theirs = found[0]
            return Cause(
                2,
                f"{'modes' if quantity == 'ranef' else 'condsd'}-{name}",
                f"The candidate's {words} are {text}",
                f"at all levels; e.g. {where}: {ours:.6g} in the reference, {theirs:.6g} in the candidate (σ = "
                f"{sigma:.6g})",
                "ranef() is on the scale of the response (for a slope: of the response per unit of the predictor), and "
                "so are the conditional sds.",
                strength=Strength.COUNTS,
            )
    return None


def correlations(evidence: Evidence) -> Cause | None:
    """Rows 2 and 7: covariances reported as correlations, or correlations reported as 0 though they were estimated."""
    rows = records(evidence.compared("cor"))
    off = [r for r in rows if not close(r["candidate"], r["reference"], Match.ROUGH)]
    if not off:
        return None
    covariance = {
        (r["group"], r["term"], r["term2"]): float(r["reference"]) for r in records(evidence.compared("covariance"))
    }
    first = off[0]
    where = f"{first['group']}: {first['term']}, {first['term2']}"
    if all(close(r["candidate"], covariance.get((r["group"], r["term"], r["term2"]), math.nan)) for r in off):
        return Cause(
            2,
            "scale-covariance",
            "The candidate's correlations are covariances",
            f"{where}: {first['candidate']:.6g} is the reference's covariance, its correlation is "
            f"{first['reference']:.6g}",
            "A correlation is the covariance over the product of both SDs, and lies between −1 and 1.",
            strength=Strength.RULE,
        )
    theta = records(evidence.compared("theta"))
    if (
        all(r["candidate"] == 0.0 for r in off)
        and theta
        and all(close(r["candidate"], r["reference"], Match.ROUGH) for r in theta)
    ):
        return Cause(
            7,
            "correlation-not-reported",
            "The candidate estimated the correlation of random effects, and reports 0",
            f"{where}: {first['reference']:.6g} in the reference; the candidate's θ, from which it follows, is the "
            "reference's",
            "Compute Σ = σ²TT' from θ, its elements off the diagonal included.",
            strength=Strength.RULE,
        )
    return None
