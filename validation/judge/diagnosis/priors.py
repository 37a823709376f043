"""Row 9: another prior, told from the log densities."""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from validation import tolerances
from validation.contract import BayesianFit
from validation.judge.diagnosis import assume, is_single
from validation.judge.diagnosis.density import Block, Explanation, explain, layout_of
from validation.judge.diagnosis.prior_summaries import has_scales
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.quantities import quietly
from validation.tolerances import Match, Share, Strength
from validation.verdict import Cause, Finding

_PRIOR_REMEDY = {
    "intercept": (
        "rstanarm 2.21 puts Normal(mean(y), 2.5 sd(y)) on the intercept at centred predictors; before July 2020 it was "
        "Normal(0, 10 sd(y))."
    ),
    "coefficients": (
        "rstanarm's default for coefficient k is Normal(0, 2.5 sd(y)/sd(x_k)) with ddof = 1 for every column, 0/1 "
        "columns too; it does not scale with σ."
    ),
    "sigma": "rstanarm's default for σ is Exponential with rate 1/sd(y) (ddof = 1): rate, not scale.",
    "scale": "decov: τ ~ Gamma(shape, 1) and sd = scale · τ · σ; the random effects' prior scales with σ.",
    "correlations": (
        "decov's regularization η is an LKJ shape: ρ ~ Beta(η + (p − 2)/2, η + (p − 2)/2) for two effects."
    ),
    "simplex": "decov's concentration δ: shares of variance ~ Dirichlet(δ).",
    "random-effects": ("The standardised random effects are Normal(0, 1), one padded level for each term among them."),
    "directions": (
        "For three or more effects the directions are normal vectors, and the previous row's sd multiplies them."
    ),
}


def priors(evidence: PosteriorEvidence) -> Cause | None:
    """Row 9: which coordinates the densities disagree about, and with them which prior or scale."""
    assume(len(evidence.densities) >= 3 and len(evidence.points))
    left, right = (evidence.densities[side].to_numpy() for side in ("reference", "candidate"))
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(right - left)
        assume(finite.any())
        origin = int(np.argmax(finite))
        gap = (right - left) - (right - left)[origin]
        size = np.maximum(1.0, np.abs(left - left[origin]))
        assume((finite & (np.abs(gap) > tolerances.DENSITY.limit * size)).any())
    assume(not has_single_density(evidence.densities))  # otherwise it is rounding: single_precision names it
    ours, theirs = ((values - values[origin])[finite] for values in (left, right))
    factor = float(ours @ theirs / (ours @ ours))
    if (np.abs(theirs - factor * ours) <= tolerances.DENSITY.limit * size[finite]).all():
        return Finding(9, "density-scaled", Strength.LISTED).told(
            f"The candidate's log density is {factor:.6g} times the reference's",
            f"so are its differences at all {len(ours)} points, to rounding (1/log 10 is {1 / math.log(10):.6g})",
            "Return the natural logarithm of the density, with its sign, and the likelihood to the power of 1.",
        )
    names = list(evidence.summaries.get("reference", evidence.summaries.get("candidate", pd.DataFrame())).index)
    layout = layout_of(names, evidence.points.shape[1], has_scales(evidence.reference))
    if layout is not None:
        explained = explain(layout, evidence.points, left, right, lambda points: _at(evidence.candidate, points))
        if explained is not None:
            return _explained_cause(explained, evidence)
    moved: dict[int, float] = {}  # the largest gap when a coordinate alone is moved
    for i, label in enumerate(evidence.point_labels):
        match = re.fullmatch(r"coordinate (\d+) (up|down)", label)
        if match and finite[i]:
            k = int(match[1]) - 1
            moved[k] = max(moved.get(k, 0.0), abs(float(gap[i])))
    return _unexplained(layout.blocks if layout is not None and moved else None, moved, gap[finite])


def _at(fit: BayesianFit, points: np.ndarray) -> np.ndarray:
    """A candidate's log density; not a number where it cannot be had."""
    # a recorded density knows its recorded points only
    values = quietly(lambda: np.asarray(fit.log_prob(points), dtype=float), np.empty(0))
    return values if values.shape == (len(points),) else np.full(len(points), np.nan)


def has_single_density(densities: pd.DataFrame) -> bool:
    """Whether the candidate's log densities, and not the reference's, are 32-bit numbers."""
    finite = densities[np.isfinite(densities).all(axis=1)]
    ours, theirs = (is_single(finite[side].to_numpy()) for side in ("reference", "candidate"))
    return len(finite) >= 3 and float(theirs.mean()) > Share.NEARLY_ALL and float(ours.mean()) < Share.HALF


def _explained_cause(found: Explanation, evidence: PosteriorEvidence) -> Cause:
    """Name a difference of log densities that was taken apart."""
    parts, maps = set(found.columns), found.maps
    nobs = float(evidence.candidate.nobs()) if callable(getattr(evidence.candidate, "nobs", None)) else math.nan
    ddof = math.sqrt((nobs - 1) / nobs) if nobs > 1 else math.nan
    coefficients = {f"the prior scale of {key}": value for key, value in maps.items() if key.startswith("coef")}
    taus = {f"the τ {key}": value for key, value in maps.items() if key.startswith("scale")}
    sigma = maps.get("sigma")
    factors = coefficients | ({} if sigma is None else {"the scale of σ's prior": sigma}) | taus
    shown = [f"{words} is {value:.8g} times the reference's" for words, value in factors.items()]
    shown += [_sum_words(terms) for terms in found.columns.values()]
    text = "the log densities differ by exactly this, to rounding, at all points: " + "; ".join(filter(None, shown))
    # A prior that scales with σ has −K log σ in its normalising constant: no prior of σ.
    of_sigma = found.columns.get("sigma", {})
    largest = max(of_sigma, key=lambda term: abs(of_sigma[term]), default="")
    normaliser = "coefficients-sigma" in parts and largest == "log a"
    present = {
        "intercept": "intercept" in parts and not any(name.startswith("centre") for name in maps),
        "coefficients": bool(coefficients) or bool({"coefficients", "coefficients-sigma"} & parts),
        "sigma": sigma is not None or ("sigma" in parts and not normaliser),
        "scale": bool(taus) or "scale" in parts,
        "correlations": "correlations" in parts,
        "simplex": "simplex" in parts,
        "random-effects": bool({"random-effects", "random-effects-sigma"} & parts),
        "directions": "directions" in parts,
    }
    involved = [key for key, there in present.items() if there]
    remedies = [_PRIOR_REMEDY[key] for key in involved]
    scaled = [*coefficients.values(), *([sigma] if sigma is not None else [])]
    if "tau-sigma" in maps:
        name = "prior-random-effects"
        title = "The random effects' prior does not scale with σ: τ stands in place of τ times σ"
        remedies = [_PRIOR_REMEDY["scale"]]
        text += "; the candidate's random effects have the sd τ where the reference's have τ σ"
    elif any(key.startswith("centre") for key in maps) or "centring" in parts:
        name, title = "prior-not-centred", "The intercept's prior stands at uncentred predictors"
        remedies = [
            "rstanarm centres the predictors: its intercept prior is for the expected response at average predictors, "
            "and the reported intercept is computed back."
        ]
    elif scaled and not taus and all(abs(value - ddof) < Match.SUMMED for value in scaled):
        name, title = "prior-ddof", "The default scales use sd with ddof = 0 (divided by N in place of N − 1)"
        remedies = ["R's sd() divides by N − 1: take ddof = 1 (numpy's and scipy's default is 0)."]
    elif involved == ["intercept"]:
        name, title = "prior-intercept", "Another prior on the intercept"
        square, linear = (found.columns["intercept"].get(term, 0.0) for term in ("γ²", "γ"))
        text += (
            f"; the candidate's prior precision is the reference's {-2 * square:+.6g}, precision times mean "
            f"{linear:+.6g}"
        )
    elif involved == ["sigma"]:
        name, title = "prior-sigma", "Another prior on σ" + _sigma_words(found, sigma, evidence)
    elif involved == ["coefficients"]:
        name, title = "prior-coefficients", "Another prior (or autoscale) on the coefficients"
        if "coefficients-sigma" in parts:
            title = "The coefficients' prior depends on σ"
    elif set(involved) <= {"scale", "correlations", "simplex", "directions"}:
        name = "prior-covariance"
        words = {
            "scale": "decov's scale or shape",
            "correlations": "decov's regularization (the LKJ shape)",
            "simplex": "decov's concentration",
            "directions": "the directions of correlations",
        }
        title = "Another prior of the covariance matrix: " + ", ".join(words[key] for key in involved)
    elif set(involved) <= {"random-effects", "scale", "sigma"} and "random-effects" in involved:
        name, title = "prior-random-effects", "The random effects are on another scale: τ times σ?"
    else:
        name, title = "prior-several", "Several priors differ: " + ", ".join(involved)
    remedy = " ".join(remedies) or "Compare prior_summary() of both sides."
    return Finding(9, name, Strength.LISTED).told(title, text, remedy)


def _sum_words(terms: dict[str, float]) -> str:
    size = max((abs(value) for value in terms.values()), default=0.0)
    return " ".join(f"{value:+.6g} {name}" for name, value in terms.items() if abs(value) > Match.SUMMED * size)


def _sigma_words(found: Explanation, factor: float | None, evidence: PosteriorEvidence) -> str:
    terms = found.columns.get("sigma", {})
    if factor is None:
        if abs(terms.get("a²", 0.0)) > Match.SUMMED:
            return ": of another family (on the variance in place of the sd?)"
        if abs(abs(terms.get("log a", 0.0)) - 1) < Match.RULE and abs(terms.get("a", 0.0)) < Match.RULE:
            return ": the Jacobian of log σ is counted otherwise"
        return ""
    # draws alone have no response
    sd = quietly(lambda: _response_sd(evidence.reference), quietly(lambda: _response_sd(evidence.candidate), math.nan))
    rate_for_scale = abs(math.log(factor) + 2 * math.log(sd)) < Match.RULE
    return ": a rate was taken for a scale" if rate_for_scale else ": on another scale"


def _response_sd(fit: BayesianFit) -> float:
    observed = fit.posterior["observed_data"].dataset
    return float(np.asarray(next(iter(observed.data_vars.values())), dtype=float).std(ddof=1))


#: Cause and title of a part whose prior is of another family.
_OTHER_FAMILY = {
    "intercept": ("prior-intercept", "Another prior on the intercept, of another family"),
    "sigma": ("prior-sigma", "Another prior on σ, of another family"),
    "coefficients": ("prior-coefficients", "Another prior on the coefficients, of another family"),
    "random-effects": ("prior-random-effects", "The standardised random effects are not normal"),
}


def _unexplained(blocks: Sequence[Block] | None, moved: Mapping[int, float], gap: np.ndarray) -> Cause:
    """A difference that nothing known explains: where it shows, one coordinate at a time, is all that is known.

    ``blocks`` is None where the points do not tell.
    """
    largest = float(np.max(np.abs(gap)))
    if blocks is None:
        return Finding(9, "density", Strength.LOOSE_MATCH).told(
            "The log densities differ: another prior, scale or parametrisation",
            f"the largest difference of log-density differences is {largest:.3g} at {len(gap)} points",
            "Compare prior_summary() of both sides, prior by prior; against live R the coordinates that matter are "
            "named.",
        )
    sensitive = {k: size for k, size in moved.items() if size > Match.SUMMED}
    involved = [b for b in blocks if any(b.start <= k < b.stop for k in sensitive)]
    if not involved:
        return Finding(9, "density", Strength.PARTIAL).told(
            "The log densities differ, though not along any single coordinate",
            f"the largest difference is {largest:.3g}",
            "The parts of the model interact otherwise than in rstanarm: look at what multiplies what.",
        )
    if any(b.name == "coefficient-scales" for b in involved):
        # a coefficient that is scaled otherwise moves the likelihood, and with it the gap along every coordinate
        return Finding(9, "prior-coefficients", Strength.SAID_OF_COUNTS).told(
            "Another prior of the coefficients' scales",
            f"the log densities differ (largest {largest:.3g}) where the scales of the coefficients' prior move",
            "laplace, lasso, hs, hs_plus and product_normal have scales (or factors) of their own after z_beta; their "
            "hyperparameters must be the same on both sides (df, global_df, global_scale, slab_df, slab_scale).",
        )
    if len(involved) > 1:
        return Finding(9, "density", Strength.PLACE).told(
            "The log densities differ in " + ", ".join(b.words for b in involved),
            f"moving one coordinate at a time changes the log-density difference (largest {largest:.3g}) for these "
            "parts; no other scale or prior of a known kind explains it",
            "Compare prior_summary() of both sides, then the likelihood: with prior_PD = TRUE the priors can be "
            "compared alone.",
        )
    block = involved[0]
    of_covariance = "prior-covariance", f"Another prior of the covariance matrix: {block.words}"
    name, title = _OTHER_FAMILY.get(block.name, of_covariance)
    return Finding(9, name, Strength.CERTAIN).told(
        title,
        f"moving one coordinate at a time changes the log-density difference only for {block.words}, by up to "
        f"{max(sensitive.values()):.3g}; not as a normal, exponential, gamma or beta prior with other parameters would",
        _PRIOR_REMEDY.get(block.name, "Compare prior_summary() of both sides."),
    )
