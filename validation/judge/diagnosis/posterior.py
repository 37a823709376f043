"""The detectors for two posteriors: rows 2, 3, 4, 7, 8, 9 and 12, told from the draws; priors are in `priors`."""

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from validation.judge.diagnosis import Detector, assume, first_of, given, is_long, is_single
from validation.judge.diagnosis.priors import families, has_single_density, printed_priors, priors
from validation.judge.posterior_evidence import PosteriorEvidence, main_parameters, z_limit
from validation.judge.scores import RULES, by_rules, reported
from validation.judge.validity import repeated_draws
from validation.owndata import some
from validation.quantities import posterior_summary, quietly, split_parameter
from validation.tolerances import VALIDITY, Match, Share, Strength
from validation.verdict import Cause, Finding


def _sides(evidence: PosteriorEvidence) -> tuple[pd.DataFrame, pd.DataFrame]:
    return given(evidence.summaries.get("reference")), given(evidence.summaries.get("candidate"))


def _joined(evidence: PosteriorEvidence) -> pd.DataFrame:
    left, right = _sides(evidence)
    return left.add_suffix("_r").join(right.add_suffix("_c"), how="inner")


def _apart(both: pd.DataFrame, limit: float, *statistics: str) -> np.ndarray:
    """Which parameters' means or sds (or the statistics that are named) differ beyond Monte Carlo error."""
    found = np.zeros(len(both), dtype=bool)
    for one in statistics or ("mean", "sd"):
        left, right, *errors = both[[f"{one}_r", f"{one}_c", f"mcse_{one}_r", f"mcse_{one}_c"]].to_numpy(float).T
        found |= np.abs(right - left) > limit * np.hypot(*errors)
    return found


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


_QUANTILES = ("q2.5", "q50", "q97.5")


def scale_of_draws(evidence: PosteriorEvidence) -> Cause | None:
    """Row 2: SDs where variances are expected, or the other way round, or relative to σ."""
    both = _joined(evidence)
    limit = z_limit(len(both) * 3)
    for name, row in both.iterrows():
        label, centre = str(name), row["q50_r"]
        _, term, term2, _ = split_parameter(label, evidence.groups)
        if (term != term2 and label != "sigma") or centre <= 0 or not _apart(row.to_frame().T, limit, "q50")[0]:
            continue
        for kind, words, expected in _mapped_quantiles(evidence, label, row):
            if all(value > 0 and _within(row, q, value, error, limit) for q, (value, error) in expected.items()):
                return Finding(2, f"scale-{kind}", Strength.ANOTHER_MODEL).told(
                    f"The candidate's draws of {label} are the {words.removeprefix('the ')}",
                    f"medians {centre:.5g} and {row['q50_c']:.5g}, where {expected['q50'][0]:.5g} is expected if they "
                    "are; so are the 2.5% and 97.5% quantiles within Monte Carlo error",
                    "rstanarm's Sigma[...] are variances and covariances on the response's scale, its sigma is an sd; "
                    "the root of a posterior mean is not the mean of the roots.",
                )
    return None


def _mapped_quantiles(
    evidence: PosteriorEvidence, label: str, row: pd.Series
) -> Iterator[tuple[str, str, dict[str, tuple[float, float]]]]:
    """Quantiles, with their Monte Carlo errors, that each fault would give."""
    draws = evidence.draws.get("reference", {})
    together = (draws[label], draws["sigma"]) if {label, "sigma"} <= draws.keys() else None
    if together is not None and not (together[0] > 0).all():
        return
    own, errors = (np.array([row[f"{what}{q}_r"] for q in _QUANTILES], float) for what in ("", "mcse_"))
    own, one = np.maximum(own, Match.ZERO), np.array(1.0)
    for kind, words, change in _DRAW_MAPS if together is not None and label != "sigma" else _DRAW_MAPS[:2]:
        if together is not None:
            summary = posterior_summary([label], change(*together)[None]).iloc[0]
            mapped = {q: (summary[q], summary[f"mcse_{q}"]) for q in _QUANTILES}
        else:  # quantiles follow a monotone map exactly, summaries are enough
            values = change(own, one)
            moved = np.abs(change(own + errors, one) - values)
            mapped = dict(zip(_QUANTILES, zip(values, moved, strict=True), strict=True))
        yield kind, words, mapped


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


def reported_numbers(evidence: PosteriorEvidence) -> Cause | None:
    """Row 2: the draws are right, but what is reported of them is another summary than R's (median sd, mean, ...)."""
    found = reported(evidence.candidate, given(evidence.draws.get("candidate")))

    def same(value: float, target: float) -> bool:
        return abs(value - target) <= Match.SUMMED * max(abs(target), Match.ENTRY)

    explained: list[tuple[str, str, str, str]] = []
    for quantity, rules in RULES.items():
        own = {key: pair for key, pair in found.items() if key[0] == quantity}
        off = {key: pair for key, pair in own.items() if not same(pair[0], by_rules(key, pair[1]))}
        for rule, (words, _) in rules.items() if off else ():
            if all(same(value, by_rules(key, vectors, rule)) for key, (value, vectors) in off.items()):
                key, (value, vectors) = next(iter(off.items()))
                where = " ".join(part for part in key[1:] if part) or quantity
                text = (
                    f"for all {len(off)} {_REPORTED_WORDS[quantity]} that differ; e.g. {where}: {value:.6g}, where R's "
                    f"rule ({rules['R'][0]}) gives {by_rules(key, vectors):.6g} of the same draws"
                )
                explained.append((quantity, rule, words, text))
                break
    quantity, rule, words, _ = first_of(explained)
    return Finding(2, f"summary-{quantity.removeprefix('reported-')}-{rule}", Strength.OWN_RULE).told(
        f"The {_REPORTED_WORDS[quantity]} that the candidate reports are {words}",
        "; ".join(text for *_, text in explained[:3]),
        "rstanarm's VarCorr has the posterior mean of the covariance matrix: its SDs are roots of mean variances, "
        "neither means nor medians of SDs, and its correlations are those of the mean matrix. fixef, ranef and sigma "
        "are posterior medians, se is the MAD_SD. Draws agree: only the summary is another one.",
    )


def other_reference_level(evidence: PosteriorEvidence) -> Cause | None:
    """Row 3: coefficients of other levels of a factor, because another level is its reference."""
    left, right = (side["mean"].to_dict() for side in _sides(evidence))
    mine, others = (
        [name for name in main_parameters([*map(str, side)]) if not name.startswith("Sigma[")] for side in (left, right)
    )
    lost, extra = [name for name in mine if name not in others], [name for name in others if name not in mine]
    # of a factor both sides have all levels but one; interactions have more, and are not told here
    assume(len(lost) == 1 == len(extra))
    theirs, ours = lost[0], extra[0]  # the level that the candidate's coefficients start from, and R's
    stem = "".join(a for a, b in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(theirs, ours, strict=False)))
    assume(stem and stem not in (theirs, ours) and {"(Intercept)", "sigma"}.isdisjoint((theirs, ours)))
    step, errors = left[theirs], [side["mcse_mean"] for side in _sides(evidence)]
    checks = [(ours, -step, 0.0)]
    checks += [("(Intercept)", left[n] + step, errors[0][n]) for n in ("(Intercept)",) if n in left and n in right]
    checks += [(n, left[n] - step, errors[0][n]) for n in mine if n in right and n.startswith(stem)]
    limit = z_limit(len(checks))
    # each within its Monte Carlo error, and the step far beyond it
    for name, value, own in checks:
        assume(abs(right[name] - value) <= limit * math.hypot(own, errors[0][theirs], errors[1][name]))
    assume(abs(step) > limit * errors[0][theirs])
    return Finding(3, "coding-reference-level", Strength.ANOTHER_INPUT).told(
        f"The candidate's coefficients start from another level of the factor {stem}: {ours} in place of {theirs}",
        "; ".join(
            f"{name} has the posterior mean {right[name]:.5g}, where {value:.5g} is expected if "
            f"{theirs.removeprefix(stem)!r} is its reference level"
            for name, value, _ in checks
        )
        + f" (within Monte Carlo error; R's {theirs} is {step:.5g})",
        "R takes the first level of a factor as reference, in the order of its levels (in pandas: of the categories), "
        "not in the order of the alphabet. Set the order on both sides; the model is the same, its coefficients are "
        "differences from another group.",
    )


def correlation_lost(evidence: PosteriorEvidence) -> Cause | None:
    """Row 7: random effects of one group without their correlations."""
    assume(len(evidence.summaries) == 2)
    means = evidence.joined[evidence.joined["quantity"] == "post-mean"]
    for group, part in means[means["term2"].notna()].groupby("group", sort=False):
        variance = part["term"] == part["term2"]
        counts = {
            side: [int((part[f"has_{side}"] & which).sum()) for which in (variance, ~variance)]
            for side in ("reference", "candidate")
        }
        (_, ours), (_, theirs) = counts.values()
        lacking, other = ("candidate", "reference") if ours else ("reference", "candidate")
        if bool(ours) == bool(theirs) or counts[lacking][0] < 2:
            continue
        # covariances that are not handed over are missing numbers: what else is another model's must show it
        assume(_other_modes(evidence, str(group)))
        p, more, fewer = counts[other][0], sum(counts[other]), sum(counts[lacking])
        return Finding(7, "correlation-lost", Strength.ANOTHER_MODEL).told(
            f"The {lacking} fits the random effects of {group} as independent: their correlation is missing",
            f"(... | {group}) has {p} random effects for each level, so {more} variances and covariances in "
            f"the {other}; the {lacking} has {fewer}: the variances, and no covariance",
            f"In R (1 + x | {group}) lets levels that start higher also rise faster (or slower), and estimates that "
            f"correlation; (1 + x || {group}) says that there is none. Without it slopes and intercepts are shrunken "
            "otherwise, and predictions and standard errors differ. Ask the program for correlated random effects; "
            "where it has none, compare with ||.",
        )
    return None


def _other_modes(evidence: PosteriorEvidence, group: str) -> bool:
    """Whether a shared parameter differs, or how a group's effects hang together over its levels, draw by draw."""
    both, found = _joined(evidence), []
    limit = z_limit(2 * len(both) + 1)
    if _apart(both, limit).any():
        return True
    for draws in evidence.draws.values():
        at: dict[str, list[np.ndarray]] = {}
        for name, own in draws.items():
            factor, effect, _, level = split_parameter(name, evidence.groups)
            if factor == group and level is not None and "_NEW_" not in level:
                at.setdefault(effect, []).append(own)
        products = [np.array(of) - np.mean(of, axis=0) for of in at.values()]
        if len(products) > 1 and len({part.shape for part in products}) == 1:
            found.append(posterior_summary(["product"], (products[0] * products[1]).mean(axis=0)[None]).iloc[0])
    if len(found) < 2:
        return False
    away = [float(np.ptp([one["mean"] for one in found])), math.hypot(*(one["mcse_mean"] for one in found))]
    return away[0] > limit * away[1]


def rows_used(evidence: PosteriorEvidence) -> Cause | None:
    """Row 4: another number of rows or levels; a missing value that became a level."""
    # draws alone have no rows
    counts = [quietly(lambda: float(fit.nobs()), math.nan) for fit in (evidence.reference, evidence.candidate)]  # noqa: B023
    names = {side: set(map(str, summary.index)) for side, summary in evidence.summaries.items()}
    extra = [n for n in names.get("candidate", set()) - names.get("reference", set()) if n.startswith("b[")]
    odd = [n for n in extra if re.search(r":(nan|NaN|NA|None|<NA>|-2147483648)\]$", n)]
    assume(odd or (counts[0] != counts[1] and all(map(math.isfinite, counts))))
    return Finding(4, "missing-as-level" if odd else "rows", Strength.LISTED).told(
        "A missing value became a level" if odd else "The two sides do not use the same rows",
        f"rows used: reference {counts[0]:.0f}, candidate {counts[1]:.0f}"
        + (f"; the candidate has {', '.join(sorted(odd)[:3])}" if odd else ""),
        "Drop exactly the rows with a missing value in a variable of the formula (R's na.omit).",
    )


def permuted_draws(evidence: PosteriorEvidence) -> Cause | None:
    """Row 8: draws that stand under other levels, or other parameters' names: right as a set, not by label."""
    both = _joined(evidence)
    names = [str(name) for name in both.index]
    random = both.loc[[name for name in names if name.startswith("b[") and "_NEW_" not in name]]
    if len(random) >= 4 and (moved := _elsewhere(random, "mean")):
        return Finding(8, "permuted-levels", Strength.ANOTHER_INPUT).told(
            "The random effects are right but stand at the wrong levels",
            f"{moved} of {len(random)} posterior means differ by label; sorted, they agree within Monte Carlo error",
            "Label each random effect with its own level and effect; in rstanarm's columns the effects of a level are "
            "adjacent and levels have the factor's order.",
        )
    main = both.loc[main_parameters(names)]
    moved = _elsewhere(main, "mean", "sd")
    assume(moved)
    return Finding(8, "permuted-terms", Strength.ANOTHER_INPUT).told(
        "The parameters are right but stand under the wrong names",
        f"{moved} of {len(main)} posterior means differ by name; sorted, means and sds agree within Monte Carlo error",
        "Take each parameter's name from the same place as its draws.",
    )


def _elsewhere(rows: pd.DataFrame, *statistics: str) -> int:
    """How many means differ where, sorted by them, nearly all agree; 0 where these do not."""
    orders = np.argsort(rows["mean_r"].to_numpy()), np.argsort(rows["mean_c"].to_numpy())

    def agree(statistic: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        difference = rows[f"{statistic}_r"].to_numpy()[left] - rows[f"{statistic}_c"].to_numpy()[right]
        # as much leeway by label as where neighbours in the order may stand for each other
        error = np.hypot(rows[f"mcse_{statistic}_r"].to_numpy(), rows[f"mcse_{statistic}_c"].to_numpy())
        return np.abs(difference) <= z_limit(len(rows)) * np.hypot(error[left], error[right])

    by_label = agree("mean", np.arange(len(rows)), np.arange(len(rows)))
    sorted_agree = all(agree(statistic, *orders).mean() >= Share.NEARLY_ALL for statistic in statistics)
    return int(np.sum(~by_label)) if sorted_agree and np.mean(by_label) <= Share.IN_PLACE else 0


def shifted_intercept(evidence: PosteriorEvidence) -> Cause | None:
    """Row 9: only the intercept differs, as far as it does at other values of the predictors.

    α' = α + c'β has slopes on β's draws that are larger by c. So c says how far the mean is moved, by means alone.
    """
    both = _joined(evidence)
    assume(len(evidence.draws) == 2 and "(Intercept)" in both.index)
    main = both.loc[main_parameters([str(name) for name in both.index])]
    others = [name for name in main.index if name not in ("(Intercept)", "sigma") and not name.startswith("Sigma[")]
    limit, own = z_limit(len(main)), main.loc[["(Intercept)"]].iloc[0]
    assume(others and list(main.index[_apart(main, limit, "mean")]) == ["(Intercept)"])
    (left, of_left), (right, of_right) = (_slopes(evidence, side, others) for side in ("reference", "candidate"))
    c, means, shift = right - left, main.loc[others, "mean_r"].to_numpy(), float(own["mean_c"] - own["mean_r"])
    expected, error = float(c @ means), math.sqrt(means @ (of_left + of_right) @ means)
    known = math.hypot(error, own["mcse_mean_r"], own["mcse_mean_c"])
    # an error that is not known proves nothing
    assume(abs(expected) > limit * error and abs(shift - expected) <= limit * known)
    at = ", ".join(f"{name} {value:.3g}" for name, value in zip(others, c, strict=True))
    return Finding(9, "intercept-shifted", Strength.PARTIAL).told(
        "The intercept is reported at other values of the predictors: at their means?",
        f"its draws hang together with the coefficients' as they do at {at}; that moves its mean by {expected:+.4g}, "
        f"with a Monte Carlo error of {error:.2g}, and it is {shift:+.4g} from the reference's. Every other main "
        "parameter agrees",
        "rstanarm samples the intercept γ at centred predictors and reports α = γ − x̄'β.",
    )


def _slopes(evidence: PosteriorEvidence, side: str, others: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares slopes of the intercept's draws on other parameters', and their covariance by the smallest ESS."""
    chosen = ["(Intercept)", *others]
    covariance = np.cov([evidence.draws[side][name].ravel() for name in chosen])
    inverse = np.linalg.pinv(covariance[1:, 1:])
    slopes = inverse @ covariance[1:, 0]
    left = max(covariance[0, 0] - slopes @ covariance[1:, 0], 0.0)
    return slopes, left / evidence.summaries[side].loc[chosen, "ess_bulk"].min() * inverse


def copied_draws(evidence: PosteriorEvidence) -> Cause | None:
    """Row 12: chains, or parts of them, that stand in the draws more than once."""
    draws = np.array([*given(evidence.draws.get("candidate")).values()])
    share = repeated_draws(draws)
    assume(share)
    chains = range(draws.shape[1])
    same = [(a + 1, b + 1) for a in chains for b in chains if a < b and np.array_equal(draws[:, a], draws[:, b])]
    return Finding(12, "copied-draws", Strength.ANOTHER_MODEL).told(
        "The candidate's draws hold copies: "
        + (f"chain {same[0][1]} is chain {same[0][0]}" if same else "parts of the chains come more than once"),
        f"{share:.1%} of its draws stand elsewhere once more, with the draw that follows them"
        + (f"; equal throughout are the chains {', '.join(f'{a} and {b}' for a, b in same[:6])}" if same else ""),
        "Chains need seeds of their own, and each is to be read once: copies make R-hat, ESS and Monte Carlo errors "
        "look better than they are.",
    )


def torn_apart(evidence: PosteriorEvidence) -> Cause | None:
    """Row 8: every parameter's own draws are right, and they do not belong together."""
    both = _joined(evidence)
    # a parameter that is another one (the intercept at other values of the predictors, or with the mean of the random
    # effects in it), or whose spread is too small, has other correlations, too
    others = set(map(str, both.index[_apart(both, z_limit(len(both)))]))
    wrong = [found for found in evidence.dependence if not found[-1] and not {found[0], found[1]} & others]
    # Parameters that hang together in the reference and are independent in the candidate.
    lost = [found for found in wrong if abs(found[3]) < Share.LOST * abs(found[2])]
    assume(lost and len(lost) >= len(wrong) // 2)
    first, second, left, right, _ = max(lost, key=lambda found: abs(found[2]))
    return Finding(8, "torn-apart", Strength.EQUAL_OPTIMA).told(
        "The candidate's draws of different parameters do not belong together",
        f"{len(wrong)} of {len(evidence.dependence)} rank correlations differ, {len(lost)} of them (nearly) lost: of "
        f"{first} and {second} it is {left:.2f} in the reference and {right:.2f} in the candidate",
        "Keep the draws of all parameters in one order, iteration by iteration and chain by chain: parameters sorted, "
        "shuffled or thinned each by itself keep their own distributions, and give wrong predictions and differences.",
    )


def single_precision(evidence: PosteriorEvidence) -> Cause | None:
    """Row 12: draws that went through 32-bit floats."""
    assume("candidate" in evidence.draws)
    draws = [np.array([*evidence.draws.get(side, {}).values()]) for side in ("reference", "candidate")]
    other, own = (float(np.mean(is_single(long))) if long.size else 0.0 for long in (d[is_long(d)] for d in draws))
    in_density = len(evidence.densities) > 2 and has_single_density(evidence.densities)
    assume(in_density or (own >= Share.NEARLY_ALL and other <= Share.HALF))
    what, strength = "stores its draws", Strength.LOOSE_MATCH
    text = f"{own:.0%} of them are exactly representable in 32 bits (the reference's: {other:.0%})"
    if in_density:
        also = f"so are {own:.0%} of its draws" if own > Share.NEARLY_ALL else "its draws are not"
        what, strength = "computes its log density", Strength.ANOTHER_MODEL
        text = f"all its log densities are exactly representable in 32 bits; {also}"
    return Finding(12, "single-precision", strength).told(
        f"The candidate {what} in single precision",
        text,
        "Use 64-bit floats (in JAX: jax_enable_x64): log densities of several thousand keep three digits after the "
        "point otherwise.",
    )


def lost_parameters(evidence: PosteriorEvidence) -> Cause | None:
    """Rows 8 and 12: parameters that the candidate does not give, gives besides, or gives under other names."""
    left, right = _sides(evidence)
    lost, extra = left.drop(right.index, errors="ignore"), right.drop(left.index, errors="ignore")
    if len(extra) and not len(lost):
        return Finding(12, "extra-parameters", Strength.EQUAL_OPTIMA).told(
            f"The candidate has {len(extra)} parameter{'s' if len(extra) > 1 else ''} that the reference has not",
            f"besides: {some([*map(str, extra.index)], 6)}",
            "Return the parameters under rstanarm's names alone: what the sampler adds (lp__) is none of them.",
        )
    assume(len(lost))
    both, limit = _joined(evidence), z_limit(len(lost) * len(extra) + len(left))
    columns = ["mean", "mcse_mean", "sd", "mcse_sd"]
    means, of_means, sds, of_sds = extra[columns].to_numpy(dtype=float).T
    same = [
        np.flatnonzero(
            (abs(m - means) <= limit * np.hypot(e, of_means)) & (abs(s - sds) <= limit * np.hypot(f, of_sds))
        )
        for m, e, s, f in lost[columns].to_numpy(dtype=float)
    ]
    places = {int(found[0]) for found in same if len(found) == 1}
    if len(places) == len(lost) and not _apart(both, limit).any():
        pairs = [f"{name} is {extra.index[found[0]]}" for name, found in zip(lost.index, same, strict=True)]
        return Finding(8, "other-names", Strength.LISTED).told(
            f"{len(pairs)} parameter{'s are' if len(pairs) > 1 else ' is'} there under another name",
            f"{some(pairs, 6)}: mean and sd agree within Monte Carlo error, of these alone; so do all others",
            "Give each parameter rstanarm's name.",
        )
    return Finding(12, "missing-parameters", Strength.EQUAL_OPTIMA).told(
        f"The candidate lacks {len(lost)} parameter{'s' if len(lost) > 1 else ''}",
        f"missing: {some([*map(str, lost.index)], 6)}",
        "Give every column of rstanarm's draws under its name, the padded _NEW_ levels, mean_PPD and log-posterior "
        "included.",
    )


def improper_hs_plus(evidence: PosteriorEvidence) -> Cause | None:
    """Row 9: rstanarm's own chains under ``hs_plus`` do not converge, as two parameters have no distribution."""
    assume("hs_plus" in families(evidence.reference))
    largest = float(given(evidence.summaries.get("reference"))["rhat"].max())
    assume(largest >= VALIDITY.rhat)
    return Finding(9, "hs-plus-improper", Strength.RULE).told(
        "rstanarm's hs_plus has no proper posterior to sample",
        "the model declares four global scales and gives two of them neither prior nor use: their logarithms drift "
        f"off, and log-posterior with them (largest R-hat of the reference: {largest:.3f})",
        "Compare the log densities (gate 1), which is exact; draws of R's hs_plus say nothing. hs() is proper.",
    )


#: In the order of AGREEMENT.md's table, which decides between findings of one strength.
DETECTORS: tuple[Detector[PosteriorEvidence], ...] = (
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
OF_INCONCLUSIVE: tuple[Detector[PosteriorEvidence], ...] = (improper_hs_plus,)
