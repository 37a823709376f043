"""Row 9 of AGREEMENT.md's table: what the two sides print of their priors."""

from validation import tolerances
from validation.contract import BayesianFit
from validation.judge.diagnosis import assume, given
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.quantities import quietly
from validation.tolerances import Strength
from validation.verdict import Cause, Finding


def read_prior_summary(text: str) -> dict[str, str]:
    """What each block of ``print(prior_summary(m))`` says, the adjusted prior where there is one.

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
    left, right = _printed(evidence.reference), _printed(evidence.candidate)
    titles = [title for title in left if title in right and left[title] != right[title]]
    # R's "(in Q-space)" is part of the title: another title of the same block is QR on one side only
    plain = {title.removesuffix(" (in Q-space)") for title in right}
    moved = [title for title in left if title not in right and title.removesuffix(" (in Q-space)") in plain]
    assume(titles or moved)
    families = any(_family(left[title]) != _family(right[title]) for title in titles)
    differing = [f"{title}: {left[title]} in the reference, {right[title]} in the candidate" for title in titles]
    differing += [f"{title} in the reference, not so in the candidate" for title in moved]
    return Finding(9, "prior-printed", Strength.ANOTHER_MODEL).told(
        "Another family of priors" if families else "Another QR setting" if moved else "The priors have other figures",
        "; ".join(differing),
        "Give both sides the same prior functions with the same arguments; autoscale=True must be asked for.",
    )


def improper_hs_plus(evidence: PosteriorEvidence) -> Cause | None:
    """Row 9: rstanarm's own chains under ``hs_plus`` do not converge, as two parameters have no distribution."""
    assume(any(_family(prior) == "hs_plus" for prior in _printed(evidence.reference).values()))
    largest = float(given(evidence.summaries.get("reference"))["rhat"].max())
    assume(largest >= tolerances.VALIDITY.rhat)
    return Finding(9, "hs-plus-improper", Strength.RULE).told(
        "rstanarm's hs_plus has no proper posterior to sample",
        "the model declares four global scales and gives two of them neither prior nor use: their logarithms drift "
        f"off, and log-posterior with them (largest R-hat of the reference: {largest:.3f})",
        "Compare the log densities (gate 1), which is exact; draws of R's hs_plus say nothing. hs() is proper.",
    )
