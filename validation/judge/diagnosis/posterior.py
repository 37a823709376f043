"""Detectors for two posteriors: rows 2, 3, 4, 7, 8, 9 and 12 of AGREEMENT.md's table of faults."""

import itertools
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from validation import tolerances
from validation.judge.diagnosis import Finding, density
from validation.judge.diagnosis.density import Block, Explanation
from validation.judge.diagnosis.prior_summaries import has_scales, improper_hs_plus, printed_priors
from validation.judge.posteriors import PosteriorEvidence, main_parameters, repeated_draws, z_limit
from validation.judge.summaries import RULES, Draws, by_rules, reported
from validation.quantities import MAIN_EXCLUDED, groups_of, posterior_summary, split_parameter
from validation.verdict import Cause

__all__ = [
    "DETECTORS",
    "VALIDITY_DETECTORS",
    "Block",
    "blocks_of",
    "copied_draws",
    "correlation_lost",
    "lost_parameters",
    "other_reference_level",
    "permuted_draws",
    "priors",
    "reported_numbers",
    "rows_used",
    "scale_of_draws",
    "shifted_intercept",
    "single_precision",
    "torn_apart",
]


def blocks_of(names: list[str], size: int, scales: bool = False) -> list[Block] | None:
    """The parts of rstanarm's unconstrained vector, from its column names; None where they do not account for it."""
    found = density.blocks_of(names, size, MAIN_EXCLUDED, scales)
    return None if found is None else found[0]


# ---------------------------------------------------------------------------------------------------- row 9

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


def priors(evidence: PosteriorEvidence) -> Finding | None:
    """Row 9: which coordinates the densities disagree about, and with them which prior or scale."""
    densities = evidence.densities
    if len(densities) < 3 or not len(evidence.points):
        return None
    with np.errstate(invalid="ignore"):
        gap = (densities["candidate"] - densities["reference"]).to_numpy()
    finite = np.isfinite(gap)
    if not finite.any():
        return None
    origin = int(np.argmax(finite))
    gap = gap - gap[origin]
    size = np.maximum(1.0, np.abs(densities["reference"].to_numpy() - densities["reference"].to_numpy()[origin]))
    with np.errstate(invalid="ignore"):
        if not (finite & (np.abs(gap) > tolerances.DENSITY.limit * size)).any():
            return None
    if _single_density(densities):
        return None  # the difference is rounding: single_precision names it
    names = list(evidence.summaries.get("reference", evidence.summaries.get("candidate", pd.DataFrame())).index)
    found = density.blocks_of(names, evidence.points.shape[1], MAIN_EXCLUDED, has_scales(evidence.reference))
    blocks = None if found is None else found[0]
    if found is not None:
        explained = density.explain(
            *found,
            evidence.points,
            densities["reference"].to_numpy(),
            densities["candidate"].to_numpy(),
            lambda points: _at(evidence.candidate, points),
        )
        if explained is not None:
            return Finding(_explained_cause(explained, evidence), 0.98)
    moved: dict[int, list[tuple[float, float]]] = {}
    for i, label in enumerate(evidence.point_labels):
        match = re.fullmatch(r"coordinate (\d+) (up|down)", label)
        if match and finite[i]:
            k = int(match.group(1)) - 1
            moved.setdefault(k, []).append((evidence.points[i, k] - evidence.points[origin, k], gap[i]))
    if not moved or blocks is None:
        return _regressed(evidence, gap, finite, blocks)
    sensitive = {k: values for k, values in moved.items() if max(abs(g) for _, g in values) > 1e-7}
    involved = [b for b in blocks if any(b.start <= k < b.stop for k in sensitive)]
    largest = float(np.max(np.abs(gap[finite])))
    if "coefficient-scales" in [b.name for b in involved]:
        # a coefficient that is scaled otherwise moves the likelihood, and with it the gap along every coordinate
        return Finding(_scales_cause(largest), 0.85)
    if len(involved) > 1:
        # Nothing that is known explains it: where it shows is all that is known.
        return Finding(_where_only(involved, largest), 0.55)
    if not involved:
        return Finding(
            Cause(
                9,
                "density",
                "The log densities differ, though not along any single coordinate",
                f"the largest difference is {largest:.3g}",
                "The parts of the model interact otherwise than in rstanarm: look at what multiplies what.",
                {"largest": largest},
            ),
            0.6,
        )
    return Finding(_prior_cause(involved, sensitive, largest), 0.9)


def _at(fit: Any, points: np.ndarray) -> np.ndarray:
    """A candidate's log density; not a number where it cannot be had."""
    try:
        values = np.asarray(fit.log_prob(points), dtype=float)
        return values if values.shape == (len(points),) else np.full(len(points), np.nan)
    except Exception:  # a recorded density knows its recorded points only
        return np.full(len(points), np.nan)


def _single_density(densities: pd.DataFrame) -> bool:
    """Whether the candidate's log densities, and not the reference's, are 32-bit numbers."""
    finite = densities[np.isfinite(densities).all(axis=1)]
    if len(finite) < 3:
        return False
    share = [
        float(np.mean(finite[side].to_numpy() == finite[side].to_numpy().astype(np.float32)))
        for side in ("reference", "candidate")
    ]
    return share[1] > 0.99 and share[0] < 0.5


def _explained_cause(found: Explanation, evidence: PosteriorEvidence) -> Cause:
    """Name a difference of log densities that was taken apart."""
    parts, maps = set(found.columns), found.maps
    figures = dict(maps)
    nobs = float(evidence.candidate.nobs()) if callable(getattr(evidence.candidate, "nobs", None)) else math.nan
    ddof = math.sqrt((nobs - 1) / nobs) if nobs > 1 else math.nan
    factors = {name: value for name, value in maps.items() if name.startswith(("coefficient", "sigma", "scale"))}
    coefficients = [value for name, value in factors.items() if name.startswith("coefficient")]
    sigma = factors.get("sigma")
    taus = [value for name, value in factors.items() if name.startswith("scale")]
    shown = [f"{name} is {value:.8g} times the reference's" for name, value in _scale_words(factors)]
    shown += [_sum_words(terms) for terms in found.columns.values()]
    text = "the log densities differ by exactly this, to rounding, at all points: " + "; ".join(filter(None, shown))
    # A prior that scales with σ has −K log σ in its normalising constant: no prior of σ.
    normaliser = "coefficients-sigma" in parts and _largest_term(found.columns.get("sigma", {})) == "log a"
    remedies = []
    involved = []
    for key, present in (
        ("intercept", "intercept" in parts and not any(name.startswith("centre") for name in maps)),
        ("coefficients", bool(coefficients) or bool({"coefficients", "coefficients-sigma"} & parts)),
        ("sigma", sigma is not None or ("sigma" in parts and not normaliser)),
        ("scale", bool(taus) or "scale" in parts),
        ("correlations", "correlations" in parts),
        ("simplex", "simplex" in parts),
        ("random-effects", bool({"random-effects", "random-effects-sigma"} & parts)),
        ("directions", "directions" in parts),
    ):
        if present:
            involved.append(key)
            remedies.append(_PRIOR_REMEDY[key])
    scaled = [*coefficients, *([sigma] if sigma is not None else [])]
    if "tau-sigma" in maps:
        name, title = (
            "prior-random-effects",
            "The random effects' prior does not scale with σ: τ stands in place of τ times σ",
        )
        remedies = [_PRIOR_REMEDY["scale"]]
        text += "; the candidate's random effects have the sd τ where the reference's have τ σ"
    elif any(key.startswith("centre") for key in maps) or "centring" in parts:
        name, title = "prior-not-centred", "The intercept's prior stands at uncentred predictors"
        remedies = [
            "rstanarm centres the predictors: its intercept prior is for the expected response at average predictors, "
            "and the reported intercept is computed back."
        ]
    elif scaled and not taus and all(abs(value - ddof) < 1e-7 for value in scaled):
        name, title = "prior-ddof", "The default scales use sd with ddof = 0 (divided by N in place of N − 1)"
        remedies = ["R's sd() divides by N − 1: take ddof = 1 (numpy's and scipy's default is 0)."]
    elif involved == ["intercept"]:
        name, title = "prior-intercept", "Another prior on the intercept"
        square = found.columns["intercept"].get("γ²", 0.0)
        linear = found.columns["intercept"].get("γ", 0.0)
        figures |= {"precision_difference": -2 * square}
        text += (
            f"; the candidate's prior precision is the reference's {-2 * square:+.6g}, precision times mean "
            f"{linear:+.6g}"
        )
    elif involved == ["sigma"]:
        name, title = "prior-sigma", "Another prior on σ" + _sigma_words(found, sigma, evidence)
    elif involved == ["coefficients"]:
        depends = "coefficients-sigma" in parts
        name = "prior-coefficients"
        title = (
            "The coefficients' prior depends on σ" if depends else "Another prior (or autoscale) on the coefficients"
        )
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
    return Cause(9, name, title, text, " ".join(remedies) or "Compare prior_summary() of both sides.", figures)


def _scale_words(factors: dict[str, float]) -> list[tuple[str, float]]:
    words = {"sigma": "the scale of σ's prior"}
    return [
        (words.get(name, f"the prior scale of {name}" if name.startswith("coef") else f"the τ {name}"), value)
        for name, value in factors.items()
    ]


def _largest_term(terms: dict[str, float]) -> str:
    return max(terms, key=lambda name: abs(terms[name]), default="")


def _sum_words(terms: dict[str, float]) -> str:
    size = max((abs(value) for value in terms.values()), default=0.0)
    return " ".join(f"{value:+.6g} {name}" for name, value in terms.items() if abs(value) > 1e-7 * size)


def _sigma_words(found: Explanation, factor: float | None, evidence: PosteriorEvidence) -> str:
    terms = found.columns.get("sigma", {})
    if factor is None:
        if abs(terms.get("a²", 0.0)) > 1e-7:
            return ": of another family (on the variance in place of the sd?)"
        if abs(abs(terms.get("log a", 0.0)) - 1) < 1e-6 and abs(terms.get("a", 0.0)) < 1e-6:
            return ": the Jacobian of log σ is counted otherwise"
        return ""
    sd = _response_sd(evidence)
    if sd is not None and abs(math.log(factor) + 2 * math.log(sd)) < 1e-6:
        return ": a rate was taken for a scale"
    return ": on another scale"


def _response_sd(evidence: PosteriorEvidence) -> float | None:
    for fit in (evidence.reference, evidence.candidate):
        try:
            observed = fit.posterior["observed_data"].dataset
            values = np.asarray(next(iter(observed.data_vars.values())), dtype=float)
            return float(values.std(ddof=1))
        except Exception:  # draws alone have no response
            continue
    return None


def _scales_cause(largest: float) -> Cause:
    return Cause(
        9,
        "prior-coefficients",
        "Another prior of the coefficients' scales",
        f"the log densities differ (largest {largest:.3g}) where the scales of the coefficients' prior move",
        "laplace, lasso, hs, hs_plus and product_normal have scales (or factors) of their own after z_beta; their "
        "hyperparameters must be the same on both sides (df, global_df, global_scale, slab_df, slab_scale).",
        {"largest": largest},
    )


def _where_only(involved: list[Block], largest: float) -> Cause:
    return Cause(
        9,
        "density",
        "The log densities differ in " + ", ".join(b.words for b in involved),
        f"moving one coordinate at a time changes the log-density difference (largest {largest:.3g}) for these parts; "
        "no other scale or prior of a known kind explains it",
        "Compare prior_summary() of both sides, then the likelihood: with prior_PD = TRUE the priors can be compared "
        "alone.",
        {"largest": largest},
    )


def _prior_cause(involved: list[Block], sensitive: dict[int, list[tuple[float, float]]], largest: float) -> Cause:
    """One part of the model alone: a prior of another family."""
    block = involved[0]
    moved = max(abs(g) for k, values in sensitive.items() if block.start <= k < block.stop for _, g in values)
    names = {
        "intercept": ("prior-intercept", "Another prior on the intercept, of another family"),
        "sigma": ("prior-sigma", "Another prior on σ, of another family"),
        "coefficients": ("prior-coefficients", "Another prior on the coefficients, of another family"),
        "random-effects": ("prior-random-effects", "The standardised random effects are not normal"),
    }
    name, title = names.get(block.name, ("prior-covariance", f"Another prior of the covariance matrix: {block.words}"))
    return Cause(
        9,
        name,
        title,
        f"moving one coordinate at a time changes the log-density difference only for {block.words}, by up to "
        f"{moved:.3g}; not as a normal, exponential, gamma or beta prior with other parameters would",
        _PRIOR_REMEDY.get(block.name, "Compare prior_summary() of both sides."),
        {"largest": largest, "coordinates": float(len(sensitive))},
    )


def _regressed(evidence: PosteriorEvidence, gap: np.ndarray, finite: np.ndarray, blocks: list[Block] | None) -> Finding:
    """Without single-coordinate probes: the densities differ, that much is certain."""
    largest = float(np.max(np.abs(gap[finite])))
    return Finding(
        Cause(
            9,
            "density",
            "The log densities differ: another prior, scale or parametrisation",
            f"the largest difference of log-density differences is {largest:.3g} at {int(finite.sum())} points",
            "Compare prior_summary() of both sides, prior by prior; against live R the coordinates "
            "that matter are named.",
            {"largest": largest},
        ),
        0.7,
    )


# ---------------------------------------------------------------------------------------------------- draws alone


def _quantiles(evidence: PosteriorEvidence) -> pd.DataFrame | None:
    if len(evidence.summaries) < 2:
        return None
    left, right = evidence.summaries["reference"], evidence.summaries["candidate"]
    return left.add_suffix("_r").join(right.add_suffix("_c"), how="inner")


def _within(row: pd.Series, statistic: str, value: float, error: float, limit: float) -> bool:
    return abs(row[f"{statistic}_c"] - value) <= limit * math.hypot(error, row[f"mcse_{statistic}_c"])


#: Cause, words, and the draws of a variance (or σ) as a function of the reference's draws x and σ.
_DRAW_MAPS: tuple[tuple[str, str, Callable[[np.ndarray, np.ndarray], np.ndarray]], ...] = (
    ("square-root", "square roots of the reference's", lambda x, s: np.sqrt(x)),
    ("squared", "squares of the reference's", lambda x, s: x**2),
    ("relative-variance", "the reference's divided by σ²", lambda x, s: x / s**2),
    ("sd-over-sigma", "the roots of the reference's divided by σ", lambda x, s: np.sqrt(x) / s),
    ("times-variance", "the reference's times σ²", lambda x, s: x * s**2),
)


def scale_of_draws(evidence: PosteriorEvidence) -> Finding | None:
    """Row 2: SDs where variances are expected, or the other way round, or relative to σ."""
    both = _quantiles(evidence)
    if both is None:
        return None
    limit = z_limit(len(both) * 3)
    for name, row in both.iterrows():
        label = str(name)
        diagonal = label.startswith("Sigma[") and len(set(label[6:-1].partition(":")[2].split(","))) == 1
        centre = row["q50_r"]
        if not (label == "sigma" or diagonal) or centre <= 0 or _within(row, "q50", centre, row["mcse_q50_r"], limit):
            continue
        for kind, words, expected in _mapped_quantiles(evidence, label, row):
            if all(value > 0 and _within(row, q, value, error, limit) for q, (value, error) in expected.items()):
                cause = Cause(
                    2,
                    f"scale-{kind}",
                    f"The candidate's draws of {label} are the {words.removeprefix('the ')}",
                    f"medians {centre:.5g} and {row['q50_c']:.5g}, where {expected['q50'][0]:.5g} is expected if they "
                    "are; so are the 2.5% and 97.5% quantiles within Monte Carlo error",
                    "rstanarm's Sigma[...] are variances and covariances on the response's scale, its sigma is an sd; "
                    "the root of a posterior mean is not the mean of the roots.",
                    {"reference": float(centre), "candidate": float(row["q50_c"])},
                )
                return Finding(cause, 0.97)
    return None


def _mapped_quantiles(
    evidence: PosteriorEvidence, label: str, row: pd.Series
) -> list[tuple[str, str, dict[str, tuple[float, float]]]]:
    """Quantiles, with their Monte Carlo errors, that each fault would give."""
    found = []
    names = evidence.names.get("reference", [])
    if "reference" in evidence.draws and label in names and "sigma" in names:
        draws = evidence.draws["reference"]
        x, sigma = draws[names.index(label)], draws[names.index("sigma")]
        if (x > 0).all():
            for kind, words, change in _DRAW_MAPS:
                if label == "sigma" and kind not in ("squared", "square-root"):
                    continue
                mapped = posterior_summary([label], change(x, sigma)[None]).iloc[0]
                found.append((kind, words, {q: (mapped[q], mapped[f"mcse_{q}"]) for q in ("q2.5", "q50", "q97.5")}))
        return found
    slopes: dict[str, Callable[[float], float]] = {
        "square-root": lambda x: 0.5 / math.sqrt(x),
        "squared": lambda x: 2 * x,
    }
    for kind, words, change in _DRAW_MAPS[:2]:  # quantiles follow a monotone map exactly, summaries are enough
        expected = {}
        for q in ("q2.5", "q50", "q97.5"):
            value = max(float(row[f"{q}_r"]), 1e-300)
            expected[q] = (float(change(np.array(value), np.array(1.0))), slopes[kind](value) * row[f"mcse_{q}_r"])
        found.append((kind, words, expected))
    return found


_REPORTED_WORDS = {
    "fixef": "coefficients",
    "se": "standard errors",
    "sigma": "sigma()",
    "ranef": "random effects",
    "reported-variance": "variances of VarCorr",
    "reported-sd": "standard deviations of VarCorr",
    "reported-covariance": "covariances of VarCorr",
    "reported-correlation": "correlations of VarCorr",
    "residual-sd": "residual standard deviation of VarCorr",
    "residual-variance": "residual variance of VarCorr",
}


def reported_numbers(evidence: PosteriorEvidence) -> Finding | None:
    """Row 2: the draws are right, but what is reported of them is another summary than R's (median sd, mean, ...)."""
    if "candidate" not in evidence.draws:
        return None
    draws = Draws(evidence.names["candidate"], evidence.draws["candidate"])
    found = reported(evidence.candidate, draws)

    def same(value: float, target: float) -> bool:
        return abs(value - target) <= 1e-7 * max(abs(target), 1e-12)

    explained: list[tuple[str, str, str, str]] = []
    for quantity in RULES:
        own = {key: pair for key, pair in found.items() if key[0] == quantity}
        off = {key: pair for key, pair in own.items() if not same(pair[0], by_rules(key, pair[1]))}
        if not off:
            continue
        for rule, (words, _) in RULES[quantity].items():
            if all(same(value, by_rules(key, vectors, rule)) for key, (value, vectors) in off.items()):
                key, (value, vectors) = next(iter(off.items()))
                where = " ".join(part for part in key[1:] if part)
                text = (
                    f"for all {len(off)} {_REPORTED_WORDS[quantity]} that differ; e.g. {where or quantity}: "
                    f"{value:.6g}, where R's rule ({RULES[quantity]['R'][0]}) gives {by_rules(key, vectors):.6g} "
                    "of the same draws"
                )
                explained.append((quantity, rule, words, text))
                break
    if not explained:
        return None
    quantity, rule, words, _ = explained[0]
    cause = Cause(
        2,
        f"summary-{quantity.removeprefix('reported-')}-{rule}",
        f"The {_REPORTED_WORDS[quantity]} that the candidate reports are {words}",
        "; ".join(text for *_, text in explained[:3]),
        "rstanarm's VarCorr has the posterior mean of the covariance matrix: its SDs are roots of mean variances, "
        "neither means nor medians of SDs, and its correlations are those of the mean matrix. fixef, ranef and sigma "
        "are posterior medians, se is the MAD_SD. Draws agree: only the summary is another one.",
        {"reported": float(len(explained))},
    )
    return Finding(cause, 0.94)


def other_reference_level(evidence: PosteriorEvidence) -> Finding | None:
    """Row 3: coefficients of other levels of a factor, because another level is its reference."""
    if len(evidence.summaries) < 2:
        return None
    left, right = (
        {str(name): float(value) for name, value in evidence.summaries[side]["mean"].items()}
        for side in ("reference", "candidate")
    )
    lost = [name for name in main_parameters(list(left)) if name not in right and not name.startswith("Sigma[")]
    extra = [name for name in main_parameters(list(right)) if name not in left and not name.startswith("Sigma[")]
    if len(lost) != 1 or len(extra) != 1:
        return None  # of a factor both sides have all levels but one; interactions have more, and are not told here
    theirs, ours = lost[0], extra[0]  # the level that the candidate's coefficients start from, and R's
    stem = "".join(a for a, b in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(theirs, ours, strict=False)))
    if not stem or "(Intercept)" in (theirs, ours) or "(Intercept)" not in left:
        return None
    step = left[theirs]
    spread = float(evidence.summaries["reference"]["sd"].loc[theirs])
    checks = [(ours, -step)] if "(Intercept)" not in right else [
        (ours, -step), ("(Intercept)", left["(Intercept)"] + step)
    ]  # fmt: skip
    near = all(abs(right[name] - value) <= spread for name, value in checks)
    cause = Cause(
        3,
        "coding-reference-level",
        f"The candidate's coefficients start from another level of the factor {stem}: {ours} in place of {theirs}",
        "; ".join(
            f"{name} has the posterior mean {right[name]:.5g}, where {value:.5g} is expected if "
            f"{theirs.removeprefix(stem)!r} is its reference level"
            for name, value in checks
        )
        + f" (posterior sd {spread:.3g}; R's {theirs} is {step:.5g})",
        "R takes the first level of a factor as reference, in the order of its levels (in pandas: of the categories), "
        "not in the order of the alphabet. Set the order on both sides; the model is the same, its coefficients are "
        "differences from another group.",
        {"expected": -step, "candidate": right[ours]},
    )
    return Finding(cause, 0.96 if near else 0.6)


def correlation_lost(evidence: PosteriorEvidence) -> Finding | None:
    """Row 7: random effects of one group without their correlations."""
    if len(evidence.summaries) < 2:
        return None
    pairs = {side: _covariance_names(summary.index) for side, summary in evidence.summaries.items()}
    for group, (single, double) in pairs["reference"].items():
        theirs_single, theirs_double = pairs["candidate"].get(group, (0, 0))
        if double and not theirs_double and theirs_single >= 2:
            lacking, other = "candidate", "reference"
        elif not double and theirs_double and single >= 2:
            lacking, other = "reference", "candidate"
        else:
            continue
        count = {side: sum(pairs[side].get(group, (0, 0))) for side in pairs}
        p = pairs[other][group][0]
        cause = Cause(
            7,
            "correlation-lost",
            f"The {lacking} fits the random effects of {group} as independent: their correlation is missing",
            f"(... | {group}) has {p} random effects for each level, so {count[other]} variances and covariances in "
            f"the {other}; the {lacking} has {count[lacking]}: the variances, and no covariance",
            f"In R (1 + x | {group}) lets levels that start higher also rise faster (or slower), and estimates that "
            f"correlation; (1 + x || {group}) says that there is none. Without it slopes and intercepts are shrunken "
            "otherwise, and predictions and standard errors differ. Ask the program for correlated random effects; "
            "where it has none, compare with ||.",
            {f"{side}_components": float(count[side]) for side in count},
        )
        return Finding(cause, 0.97)
    return None


def _covariance_names(names: Iterable[Any]) -> dict[str, tuple[int, int]]:
    """Variances and covariances among the parameters, by grouping factor."""
    found: dict[str, list[int]] = {}
    names = [str(name) for name in names]
    groups = groups_of(names)
    for name in names:
        group, first, second, _ = split_parameter(name, groups)
        if name.startswith("Sigma[") and group is not None:
            found.setdefault(group, [0, 0])[first != second] += 1
    return {group: (single, double) for group, (single, double) in found.items()}


def rows_used(evidence: PosteriorEvidence) -> Finding | None:
    """Row 4: another number of rows or levels; a missing value that became a level."""
    try:
        counts = (float(evidence.reference.nobs()), float(evidence.candidate.nobs()))
    except Exception:  # draws alone have no rows
        counts = (math.nan, math.nan)
    names = {side: set(map(str, summary.index)) for side, summary in evidence.summaries.items()}
    extra = [n for n in names.get("candidate", set()) - names.get("reference", set()) if n.startswith("b[")]
    odd = [n for n in extra if re.search(r":(nan|NaN|NA|None|<NA>|-2147483648)\]$", n)]
    if (counts[0] == counts[1] and not odd) or (not odd and not all(map(math.isfinite, counts))):
        return None
    cause = Cause(
        4,
        "missing-as-level" if odd else "rows",
        "A missing value became a level" if odd else "The two sides do not use the same rows",
        f"rows used: reference {counts[0]:.0f}, candidate {counts[1]:.0f}"
        + (f"; the candidate has {', '.join(sorted(odd)[:3])}" if odd else ""),
        "Drop exactly the rows with a missing value in a variable of the formula (R's na.omit).",
        {"reference_rows": counts[0], "candidate_rows": counts[1]},
    )
    return Finding(cause, 0.98)


def permuted_draws(evidence: PosteriorEvidence) -> Finding | None:
    """Row 8: draws of the random effects at the wrong levels: the means agree as a set, not by label."""
    both = _quantiles(evidence)
    if both is None:
        return None
    rows = both[[str(name).startswith("b[") and "_NEW_" not in str(name) for name in both.index]]
    if len(rows) < 4:
        return None
    left, right = rows["mean_r"].to_numpy(), rows["mean_c"].to_numpy()
    error = np.hypot(rows["mcse_mean_r"].to_numpy(), rows["mcse_mean_c"].to_numpy())
    limit = z_limit(len(rows))
    off = np.abs(right - left) > limit * error
    if off.sum() < 2:
        return None
    order_left, order_right = np.argsort(left), np.argsort(right)
    sorted_error = np.hypot(error[order_left], error[order_right])
    matched = np.abs(left[order_left] - right[order_right]) <= limit * sorted_error
    if matched.mean() < 0.99 or np.mean(~off) > 0.95:
        return None
    cause = Cause(
        8,
        "permuted-levels",
        "The random effects are right but stand at the wrong levels",
        f"{int(off.sum())} of {len(rows)} posterior means differ by label; sorted, "
        f"{matched.mean():.0%} agree within Monte "
        "Carlo error",
        "Label each random effect with its own level and effect; in rstanarm's columns the effects of a level are "
        "adjacent and levels have the factor's order.",
        {"misplaced": float(off.sum())},
    )
    return Finding(cause, 0.96)


def shifted_intercept(evidence: PosteriorEvidence) -> Finding | None:
    """Row 9: only the intercept differs: reported at centred predictors."""
    both = _quantiles(evidence)
    if both is None or "(Intercept)" not in both.index:
        return None
    main = both[[not str(n).startswith("b[") and str(n) not in MAIN_EXCLUDED for n in both.index]]
    if len(main) < 3:
        return None
    difference = (main["mean_c"] - main["mean_r"]).to_numpy(dtype=float)
    error = np.hypot(main["mcse_mean_r"].to_numpy(dtype=float), main["mcse_mean_c"].to_numpy(dtype=float))
    z = np.abs(difference) / error
    place = [str(name) for name in main.index].index("(Intercept)")
    if list(np.flatnonzero(z > z_limit(len(main)))) != [place]:
        return None
    shift = float(difference[place])
    cause = Cause(
        9,
        "intercept-shifted",
        "Only the intercept differs: reported at centred predictors?",
        f"its posterior mean is {shift:+.4g} from the reference's (z = {z[place]:.1f}); every "
        "other main parameter "
        "agrees",
        "rstanarm samples the intercept γ at centred predictors and reports α = γ − x̄'β.",
        {"shift": shift},
    )
    return Finding(cause, 0.6)


def copied_draws(evidence: PosteriorEvidence) -> Finding | None:
    """Row 12: chains, or parts of them, that stand in the draws more than once."""
    draws = evidence.draws.get("candidate")
    if draws is None:
        return None
    share = repeated_draws(draws)
    if share == 0.0:
        return None
    chains = range(draws.shape[1])
    same = [(a + 1, b + 1) for a in chains for b in chains if a < b and np.array_equal(draws[:, a], draws[:, b])]
    cause = Cause(
        12,
        "copied-draws",
        "The candidate's draws hold copies: "
        + (f"chain {same[0][1]} is chain {same[0][0]}" if same else "parts of the chains come more than once"),
        f"{share:.1%} of its draws stand elsewhere once more, with the draw that follows them"
        + (f"; equal throughout are the chains {', '.join(f'{a} and {b}' for a, b in same[:6])}" if same else ""),
        "Chains need seeds of their own, and each is to be read once: copies make R-hat, ESS and Monte Carlo errors "
        "look better than they are.",
        {"share": share},
    )
    return Finding(cause, 0.97)


def torn_apart(evidence: PosteriorEvidence) -> Finding | None:
    """Row 8: every parameter's own draws are right, and they do not belong together."""
    wrong = [found for found in evidence.dependence if not found[-1]]
    if not wrong:
        return None
    # Parameters that hang together in the reference and are independent in the candidate.
    lost = [found for found in wrong if abs(found[3]) < 0.25 * abs(found[2])]
    if len(lost) < max(1, len(wrong) // 2):
        return None
    first, second, left, right, _ = max(lost, key=lambda found: abs(found[2]))
    cause = Cause(
        8,
        "torn-apart",
        "The candidate's draws of different parameters do not belong together",
        f"{len(wrong)} of {len(evidence.dependence)} rank correlations differ, {len(lost)} of them (nearly) lost: of "
        f"{first} and {second} it is {left:.2f} in the reference and {right:.2f} in the candidate",
        "Keep the draws of all parameters in one order, iteration by iteration and chain by chain: parameters sorted, "
        "shuffled or thinned each by itself keep their own distributions, and give wrong predictions and differences.",
        {"differing": float(len(wrong)), "lost": float(len(lost))},
    )
    return Finding(cause, 0.8)


def single_precision(evidence: PosteriorEvidence) -> Finding | None:
    """Row 12: draws that went through 32-bit floats."""
    if "candidate" not in evidence.draws:
        return None

    def share(draws: np.ndarray) -> float:
        with np.errstate(over="ignore"):
            return float(np.mean(draws == draws.astype(np.float32)))

    own = share(evidence.draws["candidate"])
    other = share(evidence.draws["reference"]) if "reference" in evidence.draws else 0.0
    in_density = len(evidence.densities) > 2 and _single_density(evidence.densities)
    if (own < 0.99 or other > 0.5) and not in_density:
        return None
    if in_density:
        cause = Cause(
            12,
            "single-precision",
            "The candidate computes its log density in single precision",
            "all its log densities are exactly representable in 32 bits; "
            + (f"so are {own:.0%} of its draws" if own > 0.99 else "its draws are not"),
            "Use 64-bit floats (in JAX: jax_enable_x64): log densities of several thousand keep three digits after the "
            "point otherwise.",
            {"share_float32": own},
        )
        return Finding(cause, 0.97)
    cause = Cause(
        12,
        "single-precision",
        "The candidate's draws are stored in single precision",
        f"{own:.0%} of them are exactly representable in 32 bits (the reference's: {other:.0%})",
        "Use 64-bit floats: log densities of several thousand keep three digits after the point otherwise.",
        {"share_float32": own},
    )
    return Finding(cause, 0.7)


def lost_parameters(evidence: PosteriorEvidence) -> Finding | None:
    """Row 12: parameters that the candidate does not give."""
    if len(evidence.summaries) < 2:
        return None
    lost = [
        str(name) for name in evidence.summaries["reference"].index if name not in evidence.summaries["candidate"].index
    ]
    if not lost:
        return None
    cause = Cause(
        12,
        "missing-parameters",
        f"The candidate lacks {len(lost)} parameter{'s' if len(lost) > 1 else ''}",
        "missing: " + ", ".join(lost[:6]) + (f" and {len(lost) - 6} more" if len(lost) > 6 else ""),
        "Give every column of rstanarm's draws under its name, the padded _NEW_ levels, mean_PPD and log-posterior "
        "included.",
        {"missing": float(len(lost))},
    )
    return Finding(cause, 0.8)


#: In the order of AGREEMENT.md's table, which decides between findings of one strength.
DETECTORS: tuple[Callable[[PosteriorEvidence], Finding | None], ...] = (
    scale_of_draws,
    reported_numbers,
    other_reference_level,
    rows_used,
    correlation_lost,
    permuted_draws,
    priors,
    printed_priors,
    shifted_intercept,
    copied_draws,
    torn_apart,
    single_precision,
    lost_parameters,
)

#: Detectors that say why draws are not valid, for a comparison that is inconclusive.
VALIDITY_DETECTORS: tuple[Callable[[PosteriorEvidence], Finding | None], ...] = (improper_hs_plus,)
