"""The terms of the report, each explained in a sentence or two: what a reader finds one click away."""

#: Anchor, term, explanation; the order of the page.
GLOSSARY: tuple[tuple[str, str, str], ...] = (
    (
        "agrees",
        "agrees, disagrees, inconclusive",
        "Both sides' numbers are within their tolerances; some number is outside; or the comparison cannot tell "
        "(too few draws, chains that have not converged, parameters that the data do not determine).",
    ),
    (
        "tier",
        "tier",
        "One of five steps in which likelihood fits are compared, each of which needs the one before: the same design "
        "(rows, columns, levels), the same criterion at the same θ, the same optimum, the same estimates, the same "
        "conditional modes (BLUPs).",
    ),
    (
        "gate",
        "gate",
        "One of six steps in which posteriors are compared: the same log density, valid chains, means and quantiles "
        "within what chance allows, differences that would matter, whole distributions, and what is reported of them.",
    ),
    (
        "tight",
        "tight lme4",
        "lme4 with an optimizer that was told not to stop early. With its defaults lme4 stops where the criterion is "
        "flat enough for it, and its estimates then have fewer right digits than the comparison can see.",
    ),
    ("digits", "digits", "How many leading digits of two numbers are the same: −log10 of their relative difference."),
    (
        "scaled",
        "scaled",
        "The difference in the unit in which it matters, which stands with the tolerance: a coefficient's in its "
        "standard error (SE), a BLUP's in its conditional standard deviation (csd), a posterior mean's in Monte Carlo "
        "standard errors (MCSE).",
    ),
    (
        "tolerance",
        "tolerance",
        "The largest scaled difference that still agrees. Each has its reason, which stands below the numbers.",
    ),
    ("theta", "θ", "The parameters of the random effects' covariance, relative to the residual's: lme4's theta."),
    ("blup", "BLUP", "A level's predicted effect: lme4 calls it the conditional mode, what ranef() returns."),
    (
        "mcse",
        "Monte Carlo standard error (MCSE)",
        "How far a posterior's mean or quantile would vary between runs of the sampler with other random numbers.",
    ),
    (
        "recorded",
        "live, recorded, certified",
        "R fitted the model just now; R fitted it before, and its numbers were kept with their versions; or the "
        "numbers were proved to 20 digits.",
    ),
)


def term_of(check: str) -> str:
    """The anchor of the term that the name of a check begins with; empty where there is none."""
    word = check.partition("-")[0]
    return word if any(word == anchor for anchor, _, _ in GLOSSARY) else ""
