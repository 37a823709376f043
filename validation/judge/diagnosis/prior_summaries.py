"""Detectors that read both sides' printed priors: another family or figure, and the horseshoe-plus that cannot mix."""

import re

from validation import tolerances
from validation.contract import BayesianFit
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.quantities import quietly
from validation.tolerances import Strength
from validation.verdict import Cause

__all__ = ["has_scales", "improper_hs_plus", "printed_priors", "read_prior_summary"]


def read_prior_summary(text: str) -> dict[str, str]:
    """What each block of ``print(prior_summary(m))`` says, the adjusted prior where there is one.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict
        ``"Coefficients"`` -> ``"normal(location = 0, scale = 83)"``, ...
    """
    priors: dict[str, str] = {}
    title = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("~"):
            priors[title] = stripped[1:].strip()  # the adjusted one comes last
        elif stripped and not stripped.endswith(":") and not stripped.startswith("---"):
            title = stripped
    return priors


def _family(prior: str) -> str:
    return prior.partition("(")[0]


def _printed(fit: BayesianFit) -> dict[str, str]:
    """The priors that a fit prints; empty where it prints none, as a third party's need not."""
    return quietly(lambda: read_prior_summary(str(fit.prior_summary())), {})


def has_scales(fit: BayesianFit) -> bool:
    """Whether a fit prints a coefficient prior that has scales (or factors) of its own in the unconstrained vector."""
    priors = _printed(fit)
    return bool({_family(prior) for prior in priors.values()} & {"laplace", "lasso", "hs", "hs_plus", "product_normal"})


def printed_priors(evidence: PosteriorEvidence) -> Cause | None:
    """Row 9: the priors that the two sides print are not the same."""
    left = _printed(evidence.reference)
    right = _printed(evidence.candidate)
    titles = [title for title in left if title in right and left[title] != right[title]]
    # R's "(in Q-space)" is part of the title: another title of the same block is QR on one side only
    plain = {re.sub(r" \(in Q-space\)$", "", title): title for title in right}
    moved = [title for title in left if title not in right and re.sub(r" \(in Q-space\)$", "", title) in plain]
    if not titles and not moved:
        return None
    families = any(_family(left[title]) != _family(right[title]) for title in titles)
    differing = [f"{title}: {left[title]} in the reference, {right[title]} in the candidate" for title in titles]
    differing += [f"{title} in the reference, not so in the candidate" for title in moved]
    return Cause(
        9,
        "prior-printed",
        "Another family of priors" if families else "Another QR setting" if moved else "The priors have other figures",
        "; ".join(differing),
        "Give both sides the same prior functions with the same arguments; autoscale=True must be asked for.",
        strength=Strength.ANOTHER_MODEL,
    )


def improper_hs_plus(evidence: PosteriorEvidence) -> Cause | None:
    """Row 9: rstanarm's own chains under ``hs_plus`` do not converge, as two parameters have no distribution."""
    prior = _printed(evidence.reference)
    if not any(_family(value) == "hs_plus" for value in prior.values()):
        return None
    summary = evidence.summaries.get("reference")
    if summary is None or not (largest := float(summary["rhat"].max())) >= tolerances.VALIDITY.rhat:
        return None
    return Cause(
        9,
        "hs-plus-improper",
        "rstanarm's hs_plus has no proper posterior to sample",
        "the model declares four global scales and gives two of them neither prior nor use: their logarithms drift "
        f"off, and log-posterior with them (largest R-hat of the reference: {largest:.3f})",
        "Compare the log densities (gate 1), which is exact; draws of R's hs_plus say nothing. hs() is proper.",
        strength=Strength.RULE,
    )
