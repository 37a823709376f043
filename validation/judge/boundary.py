"""On the boundary: θ and correlations are judged by the covariance matrix that they belong to.

Σ does not determine θ's sign there, and a correlation of a variance near 0 is noise, so neither has a unit of its own.
Σ is judged; of θ and of a correlation it is asked that they give the same Σ, in its standard errors.
"""

import math

from validation.judge.evidence import Evidence
from validation.judge.units import ComponentErrors

__all__ = ["correlation_apart", "theta_apart"]

Key = tuple[str, str, str]


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
