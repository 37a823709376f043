"""Row 2: a variance, an SD, θ or a relative covariance in another's place."""

import math
from collections.abc import Callable

from validation.judge.diagnosis import close
from validation.judge.evidence import Evidence
from validation.quantities import records
from validation.tolerances import Match, Strength
from validation.verdict import Cause

__all__ = ["scale_of_components"]


_TRANSFORMS: tuple[tuple[str, str, Callable[[float, float], float]], ...] = (
    ("squared", "the squares of the reference's", lambda r, s: r * r),
    ("square-root", "the square roots of the reference's", lambda r, s: math.sqrt(r) if r >= 0 else math.nan),
    ("relative", "the reference's divided by σ (θ's scale)", lambda r, s: r / s),
    ("relative-variance", "the reference's divided by σ² (relative covariances)", lambda r, s: r / s**2),
    ("times-sigma", "the reference's times σ", lambda r, s: r * s),
    ("times-variance", "the reference's times σ²", lambda r, s: r * s**2),
    (
        "sd-over-sigma",
        "the roots of the reference's, divided by σ",
        lambda r, s: math.sqrt(r) / s if r >= 0 else math.nan,
    ),
)


def scale_of_components(evidence: Evidence) -> Cause | None:
    """Row 2: variance, SD, θ or relative covariance in each other's place."""
    sigma = evidence.value("reference", "sigma")
    if not math.isfinite(sigma) or sigma <= 0:
        return None
    for quantity, words in (
        ("sd", "SDs"),
        ("variance", "variances"),
        ("covariance", "covariances"),
        ("sigma", "residual SD"),
        ("theta", "θ"),
    ):
        rows = evidence.compared(quantity)
        failed = [
            (float(r["reference"]), float(r["candidate"]))
            for r in records(rows)
            if not close(r["candidate"], r["reference"], Match.ROUGH)
        ]
        # A 0 or a 1 is its own square; the residual's row is judged with the others.
        unit = {"sd": sigma, "sigma": sigma, "theta": 1.0}.get(quantity, sigma**2)
        telling = [(r, c) for r, c in failed if abs(r) > Match.CHAINED * unit and abs(abs(r) - 1) > Match.RULE]
        if not telling:
            continue
        for name, description, transform in _TRANSFORMS:
            if all(close(c, transform(r, sigma), Match.FOLLOWS) for r, c in telling):
                r, c = telling[0]
                return Cause(
                    2,
                    f"scale-{name}",
                    f"The candidate's {words} are {description}",
                    f"{len(telling)} of {len(telling)} differing {words} match: reference {r:.6g}, candidate {c:.6g}, "
                    f"expected under this fault {transform(r, sigma):.6g} (σ = {sigma:.6g})",
                    "Report variances as variances, SDs as their roots, and both on the scale of the response: "
                    "Σ = σ²TT', where T is made of θ.",
                    strength=Strength.RULE,
                )
    return _own_components(evidence)


def _own_components(evidence: Evidence) -> Cause | None:
    """SDs that are the candidate's own variances (or the other way round), whatever the reference has."""
    rows = {
        quantity: {(r["group"], r["term"]): float(r["candidate"]) for r in records(evidence.compared(quantity))}
        for quantity in ("sd", "variance")
    }
    keys = [key for key in rows["sd"] if key in rows["variance"] and abs(rows["sd"][key] - 1) > Match.RULE]
    unit = evidence.value("reference", "sigma")
    keys = [key for key in keys if rows["sd"][key] > Match.CHAINED * unit and math.isfinite(rows["variance"][key])]
    if len(keys) < 2 or not all(close(rows["sd"][key], rows["variance"][key], Match.COMPUTED) for key in keys):
        return None
    reference = {
        (r["group"], r["term"]): (float(r["reference"]), float(v["reference"]))
        for r, v in zip(records(evidence.compared("sd")), records(evidence.compared("variance")), strict=True)
    }
    key = keys[0]
    sd, variance = reference[key]
    value = rows["sd"][key]
    squared = abs(math.log(value / variance)) < abs(math.log(value / sd)) if sd > 0 and variance > 0 else True
    return Cause(
        2,
        "scale-squared" if squared else "scale-square-root",
        "The candidate's SDs are its own variances" if squared else "The candidate's variances are its own SDs",
        f"for all {len(keys)} components both are the same number, e.g. {value:.6g} (reference: SD {sd:.6g}, variance "
        f"{variance:.6g})",
        "An SD is the root of the variance: report both on the scale of the response.",
        strength=Strength.OWN_RULE,
    )
