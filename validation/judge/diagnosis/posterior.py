"""Detectors for two posteriors: rows 2, 4, 8, 9 and 12 of AGREEMENT.md's table of faults."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from validation.judge import tolerances
from validation.judge.diagnosis import Finding
from validation.judge.diagnosis.prior_summaries import has_scales, improper_hs_plus, printed_priors
from validation.judge.posteriors import PosteriorEvidence, z_limit
from validation.quantities import MAIN_EXCLUDED
from validation.verdict import Cause

__all__ = [
    "DETECTORS",
    "Block",
    "blocks_of",
    "lost_parameters",
    "permuted_draws",
    "priors",
    "rows_used",
    "scale_of_draws",
    "shifted_intercept",
    "single_precision",
]


@dataclass(frozen=True)
class Block:
    """Coordinates of the unconstrained vector that belong to one part of the model (STAN_LMER_MODEL.md, section 1)."""

    name: str
    words: str
    start: int
    stop: int


def blocks_of(names: list[str], size: int, scales: bool = False) -> list[Block] | None:
    """The parts of rstanarm's unconstrained vector, from its column names.

    Parameters
    ----------
    names : list of str
    size : int
        Length of the vector.
    scales : bool
        Whether the coefficients' prior has scales (or factors) of its own: they are what the names do not account for.

    Returns
    -------
    list of Block or None
        None where the names do not account for all ``size`` coordinates.
    """
    others = ("sigma", *MAIN_EXCLUDED)
    fixed = [name for name in names if not name.startswith(("b[", "Sigma[")) and name not in others]
    groups: dict[str, int] = {}
    for name in names:
        if name.startswith("Sigma["):
            group = name[6:].partition(":")[0]
            groups[group] = groups.get(group, 0) + 1
    effects = [round((math.sqrt(8 * count + 1) - 1) / 2) for count in groups.values()]
    random = sum(name.startswith("b[") for name in names)
    intercept = "(Intercept)" in fixed
    lengths = [
        ("intercept", "the intercept (at centred predictors)", int(intercept)),
        ("coefficients", "the coefficients", len(fixed) - int(intercept)),
        ("random-effects", "the standardised random effects", random),
        (
            "directions",
            "the directions of correlations (three or more effects)",
            sum((p - 1) * max(p - 2, 0) for p in effects),
        ),
        ("correlations", "the correlations (decov's regularization)", sum(effects) - len(effects)),
        ("simplex", "the shares of variance (decov's concentration)", sum(p for p in effects if p > 1)),
        ("scale", "the scale of the random effects (decov's shape and scale)", len(effects)),
        ("sigma", "the residual sd", 1),
    ]
    over = size - sum(length for _, _, length in lengths)
    if scales and over > 0:
        lengths.insert(2, ("coefficient-scales", "the scales of the coefficients' prior", over))
    blocks, start = [], 0
    for name, words, length in lengths:
        if length:
            blocks.append(Block(name, words, start, start + length))
        start += length
    return blocks if start == size else None


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
    "coefficient-scales": (
        "laplace, lasso, hs, hs_plus and product_normal have scales (or factors) of their own after z_beta; their "
        "hyperparameters must be the same on both sides (df, global_df, global_scale, slab_df, slab_scale)."
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
    names = list(evidence.summaries.get("reference", evidence.summaries.get("candidate", pd.DataFrame())).index)
    blocks = blocks_of(names, evidence.points.shape[1], has_scales(evidence.reference))
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
    return Finding(_prior_cause(involved, sensitive, largest, evidence), 0.95 if len(involved) == 1 else 0.85)


def _prior_cause(
    involved: list[Block], sensitive: dict[int, list[tuple[float, float]]], largest: float, evidence: PosteriorEvidence
) -> Cause:
    names = [b.name for b in involved]
    figures = {"largest": largest, "coordinates": float(len(sensitive))}
    detail = "; ".join(
        f"{b.words}: up to "
        f"{max(abs(g) for k, values in sensitive.items() if b.start <= k < b.stop for _, g in values):.3g}"
        for b in involved
    )
    remedy = " ".join(_PRIOR_REMEDY[name] for name in names if name in _PRIOR_REMEDY)
    if names == ["intercept"]:
        (step_a, gap_a), (step_b, gap_b) = (sensitive[involved[0].start] * 2)[:2]
        # The gap of two normal priors is a parabola: its curvature is the difference of their precisions.
        curvature = 2 * (gap_a / step_a - gap_b / step_b) / (step_a - step_b) if step_a != step_b else math.nan
        figures["precision_difference"] = -curvature
        detail += f" (reference's prior precision minus the candidate's: {curvature:.3g})"
        title, name = "Another prior on the intercept", "prior-intercept"
    elif names == ["sigma"]:
        title, name = "Another prior on σ", "prior-sigma"
    elif set(names) == {"intercept", "coefficients"}:
        title, name = (
            "The intercept's prior stands at uncentred predictors (or both priors differ)",
            "prior-not-centred",
        )
    elif "coefficient-scales" in names:
        # a coefficient that is scaled otherwise moves the likelihood, and with it the gap along every coordinate
        title, name = "Another prior of the coefficients' scales", "prior-coefficients"
    elif names == ["coefficients"]:
        title, name = "Another prior (or autoscale) on the coefficients", "prior-coefficients"
    elif set(names) <= {"scale", "correlations", "simplex", "directions"}:
        title, name = (
            f"Another prior of the covariance matrix: {', '.join(b.words for b in involved)}",
            "prior-covariance",
        )
    elif {"random-effects", "scale"} & set(names) and "sigma" in names:
        title, name = "The random effects are on another scale: τ times σ?", "prior-random-effects"
    elif {"coefficients", "sigma"} == set(names):
        title, name = "The coefficients' prior depends on σ, or is scaled otherwise", "prior-coefficients"
    else:
        title, name = f"The densities differ in {', '.join(b.words for b in involved)}", "prior-several"
    return Cause(
        9,
        name,
        title,
        f"moving one coordinate at a time changes the log-density difference only for: {detail}",
        remedy or "Compare prior_summary() of both sides.",
        figures,
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


def scale_of_draws(evidence: PosteriorEvidence) -> Finding | None:
    """Row 2: SDs where variances are expected, or the other way round (quantiles follow a monotone map exactly)."""
    both = _quantiles(evidence)
    if both is None:
        return None
    limit = z_limit(len(both) * 3)
    for name, row in both.iterrows():
        label = str(name)
        diagonal = label.startswith("Sigma[") and len(set(label[6:-1].partition(":")[2].split(","))) == 1
        if not (label == "sigma" or diagonal):
            continue
        centre = row["q50_r"]
        if centre <= 0 or _within(row, "q50", centre, row["mcse_q50_r"], limit):
            continue
        for kind, words, value, slope in (
            ("square-root", "square root", math.sqrt, lambda x: 0.5 / math.sqrt(x)),
            ("squared", "square", lambda x: x * x, lambda x: 2 * x),
        ):
            fits = all(
                row[f"{q}_r"] > 0
                and _within(row, q, value(row[f"{q}_r"]), slope(row[f"{q}_r"]) * row[f"mcse_{q}_r"], limit)
                for q in ("q2.5", "q50", "q97.5")
            )
            if fits:
                cause = Cause(
                    2,
                    f"scale-{kind}",
                    f"The candidate's draws of {label} are the {words} of the reference's",
                    f"medians {centre:.5g} and {row['q50_c']:.5g}, and the {words} of the first is "
                    f"{value(centre):.5g}; so "
                    "are the 2.5% and 97.5% quantiles within Monte Carlo error",
                    "rstanarm's Sigma[...] are variances and covariances on the response's scale, its sigma is an sd; "
                    "the root of a posterior mean is not the mean of the roots.",
                    {"reference": float(centre), "candidate": float(row["q50_c"])},
                )
                return Finding(cause, 0.97)
    return None


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


def single_precision(evidence: PosteriorEvidence) -> Finding | None:
    """Row 12: draws that went through 32-bit floats."""
    if "candidate" not in evidence.draws:
        return None

    def share(draws: np.ndarray) -> float:
        with np.errstate(over="ignore"):
            return float(np.mean(draws == draws.astype(np.float32)))

    own = share(evidence.draws["candidate"])
    other = share(evidence.draws["reference"]) if "reference" in evidence.draws else 0.0
    if own < 0.99 or other > 0.5:
        return None
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
    rows_used,
    permuted_draws,
    priors,
    printed_priors,
    improper_hs_plus,
    shifted_intercept,
    single_precision,
    lost_parameters,
)
