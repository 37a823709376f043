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
from validation.judge.units import ComponentErrors
from validation.verdict import Verdict

__all__ = ["BY_COVARIANCE", "correlation_apart", "judged_by_covariance", "theta_apart"]

Key = tuple[str, str, str]

#: The unit of what has none of its own here.
BY_COVARIANCE = "standard errors of Σ"
_WORST_FIRST = (Verdict.DISAGREES, Verdict.INCONCLUSIVE, Verdict.BETTER, Verdict.AGREES)


def _given(evidence: Evidence) -> dict[Key, float]:
    """Σ as the candidate gives it, by (term, effect, effect2), both ways round."""
    found: dict[Key, float] = {}
    rows = evidence.compared("variance", "covariance")
    for group, term, term2, value in rows[["group", "term", "term2", "candidate"]].itertuples(index=False):
        if isinstance(term, str):
            second = term2 if isinstance(term2, str) else term
            found[group, term, second] = found[group, second, term] = float(value)
    return found


def theta_apart(evidence: Evidence, errors: ComponentErrors | None, limit: float) -> str:
    """Say where the candidate's θ gives another Σ than the candidate does; nothing where it gives the same.

    Where it gives no Σ, or no σ, the reference's stands for it.
    """
    theta, pieces = evidence.candidate_theta(), evidence.reference_pieces
    if theta is None or pieces is None or errors is None or theta.size != pieces.n_theta:
        return ""
    sigma, given = evidence.value("candidate", "sigma"), _given(evidence)
    own = evidence.theta("reference")
    known = None if own is None else pieces.templates(own.to_numpy())
    reference_sigma = evidence.value("reference", "sigma")
    sigma = sigma if math.isfinite(sigma) else reference_sigma
    for number, (term, T) in enumerate(zip(pieces.terms, pieces.templates(theta), strict=True)):
        implied = sigma**2 * T @ T.T
        for i, first in enumerate(term.effects):
            for j, second in enumerate(term.effects[: i + 1]):
                key = (term.name, first, second)
                value = given.get(key, math.nan)
                if math.isnan(value) and known is not None:
                    value = float(reference_sigma**2 * (known[number] @ known[number].T)[i, j])
                unit = errors.covariance.get(key, errors.covariance.get((term.name, second, first), math.nan))
                if abs(implied[i, j] - value) > limit * unit:
                    place = first if i == j else f"{first}, {second}"
                    return f"with σ it gives {implied[i, j]:.6g} in Σ for {term.name} {place}, where {value:.6g} stands"
    return ""


def correlation_apart(evidence: Evidence, errors: ComponentErrors | None, key: Key, value: float, limit: float) -> str:
    """Say where a correlation of the candidate gives another covariance than the candidate does."""
    given = _given(evidence)
    group, first, second = key
    needed = [given.get((group, *pair), math.nan) for pair in ((first, first), (second, second), (first, second))]
    if errors is None or not (all(map(math.isfinite, needed)) and math.isfinite(value)):
        return ""
    unit = errors.covariance.get(key, errors.covariance.get((group, second, first), math.nan))
    implied = value * math.sqrt(max(needed[0], 0.0) * max(needed[1], 0.0))
    if abs(implied - needed[2]) <= limit * unit or math.isnan(unit):
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
    pieces, theta = evidence.reference_pieces, evidence.theta("reference")
    if pieces is None or theta is None or theta.size != pieces.n_theta:
        return {}
    found: dict[tuple[str, str], str] = {}
    parts = list(zip(pieces.terms, pieces.by_term(theta.to_numpy()), strict=True))
    named = {"par" if pieces.structured else "theta": (pieces.theta_names, [len(part) for _, part in parts])}
    if pieces.structured:
        lengths = [len(term.structure.theta(part, term.p)) for term, part in parts]
        named["theta"] = (pieces.element_names, lengths)
    for quantity, (names, lengths) in named.items():
        terms = [term.name for (term, _), length in zip(parts, lengths, strict=True) for _ in range(length)]
        found |= {(quantity, name): term for name, term in zip(names, terms, strict=False)}
    return found
