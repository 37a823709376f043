"""On the boundary: θ and correlations are judged by the covariance matrix that they belong to.

Σ does not determine θ's sign there, and a correlation of a variance near 0 is noise, so neither has a unit of its own.
Σ is judged; of θ and of a correlation it is asked that they give the same Σ, in its standard errors, and then what is
found of Σ holds of them.
"""

import math
from collections.abc import Sequence

import numpy as np

from validation.judge.evidence import Evidence
from validation.judge.rows import Row
from validation.judge.units import ComponentErrors, components
from validation.verdict import Verdict

#: The unit of what has none of its own here.
BY_COVARIANCE = "standard errors of Σ"
_WORST_FIRST = (Verdict.DISAGREES, Verdict.INCONCLUSIVE, Verdict.BETTER, Verdict.AGREES)


def theta_apart(evidence: Evidence, errors: ComponentErrors | None, limit: float) -> str:
    """Say where the candidate's θ gives another Σ than the candidate does; nothing where it gives the same.

    Where it gives no Σ, or no σ, the reference's stands for it.
    """
    theta, pieces, own = evidence.candidate_theta, evidence.reference_pieces, evidence.reference_theta
    if theta is None or pieces is None or errors is None or theta.size != pieces.n_theta:
        return ""
    sigma, reference_sigma = evidence.value("candidate", "sigma"), evidence.value("reference", "sigma")
    known = {} if own is None else components(pieces, own, reference_sigma)
    implied = components(pieces, theta, sigma if math.isfinite(sigma) else reference_sigma)
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
    found: dict[tuple[str, str], str] = {}
    parts = list(zip(pieces.terms, pieces.by_term(theta), strict=True))
    named = {"par" if pieces.structured else "theta": (pieces.theta_names, [len(part) for _, part in parts])}
    if pieces.structured:
        lengths = [len(term.structure.theta(part, term.p)) for term, part in parts]
        named["theta"] = (pieces.element_names, lengths)
    for quantity, (names, lengths) in named.items():
        terms = [term.name for (term, _), length in zip(parts, lengths, strict=True) for _ in range(length)]
        found |= {(quantity, name): term for name, term in zip(names, terms, strict=False)}
    return found
