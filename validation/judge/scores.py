"""Gates 3 to 6, and quadrature: z-scores of all summaries, sizes in posterior sds, distributions, what is reported.

z-scores of quantiles go by proportions instead of densities. The Monte Carlo standard error of a quantile needs the
density there, which a few thousand autocorrelated draws give to 10% or 20% (in the tails worse): z-scores made with it
have heavier tails than a normal, and with some hundred of them a right sampler is soon beyond Bonferroni's limit. The
share of draws below one common point needs no density: under the null hypothesis it is p on both sides, with variance
p(1 − p)/ESS (Vehtari et al. 2021, section 4: the ESS of a quantile is that of the indicator).

Dependence is what no comparison of margins can see: draws that were put together wrongly (each parameter's own draws
right, in an order of their own) have right means, sds, quantiles and distributions, and wrong predictions, contrasts
and R².

What a fit reports of its draws (coefficients, σ, VarCorr) is judged against these draws by rstanarm's rules: ``fixef``
and ``ranef`` are medians, ``se`` is the MAD_SD (1.4826 times the median absolute deviation), ``sigma`` the median;
``VarCorr`` has posterior *means* of the covariance matrix, its ``sdcor`` are their roots and the correlations of the
mean matrix, and its residual row is the mean of sigma and its square. There is no Monte Carlo error in this: a number
is R's or it is not.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtr

from validation import tolerances
from validation.contract import BayesianFit
from validation.judge.ecdf import ecdf_difference
from validation.judge.posterior_evidence import PosteriorEvidence, error_and_limit, main_parameters, z_limit
from validation.judge.rows import Found, Row, counts, judge_number, judge_record, row
from validation.quantities import (
    MAIN_EXCLUDED,
    QUANTILES,
    Key,
    join,
    key_of,
    named,
    records,
    reported_quantities,
    split_parameter,
    summary_quantities,
)
from validation.tolerances import Match, Tolerance
from validation.verdict import Verdict


def z_scores(evidence: PosteriorEvidence) -> Found:
    """Gate 3: z of every posterior mean, sd and quantile, with Bonferroni's limit."""
    unit, why = "Monte Carlo standard errors of the difference", "; ".join(evidence.problems.values())
    rows = _scored(evidence, evidence.joined, ("reference", "candidate"), unit, why)
    scored = [r for r in rows if math.isfinite(r.scaled)]
    if not scored:
        return rows, counts(rows)
    tests = sum(r.verdict is not Verdict.MISSING for r in rows)
    worst, failed = max(scored, key=lambda r: r.scaled), sum(r.verdict.failed for r in rows)
    root_mean_square = math.hypot(*(r.scaled for r in scored)) / math.sqrt(len(scored))  # squares may overflow
    return rows, (
        f"{f'{failed} failed: ' if failed else ''}{tests} z-scores, root mean square "
        f"{root_mean_square:.2f}, largest {worst.scaled:.2f} ({worst.name}); "
        f"limit {z_limit(tests):.2f} for a false-alarm rate of {tolerances.FALSE_ALARM_RATE:g} over all {tests}"
    )


def _scored(
    evidence: PosteriorEvidence, joined: pd.DataFrame, sides: tuple[str, str], unit: str, why: str
) -> list[Row]:
    """Rows by the Monte Carlo error of a difference, and the limit for its z; of a quantile by the unit of its z."""
    tests = int((joined["has_reference"] & joined["has_candidate"]).sum())
    freedoms = [evidence.freedom(side) for side in sides]
    scores = _quantile_scores(evidence, sides)
    rows = []
    for record in records(joined):
        error, limit = error_and_limit(record, z_limit(tests), tests, freedoms)
        z = scores.get(key_of(record))
        if z is not None:
            error = abs(record["candidate"] - record["reference"]) / max(abs(z), Match.COMPUTED) or error
        rows.append(judge_record(record, error, tolerances.Z_SCORE.at(limit, unit), why))
    return rows


def _quantile_scores(evidence: PosteriorEvidence, sides: tuple[str, str]) -> dict[Key, float]:
    """Z of every quantile that draws can judge."""
    known = evidence.summaries if evidence.truth is None else {**evidence.summaries, "truth": evidence.truth}
    scored: dict[Key, float] = {}
    for column, probability in QUANTILES.items() if set(sides) <= set(known) else ():
        left, right = (quantile_side(known[side], probability, evidence.draws.get(side)) for side in sides)
        for name in left.keys() & right.keys():
            z = quantile_z(probability, left[name], right[name])
            if z is not None:
                scored[f"post-{column}", *split_parameter(name, evidence.groups)] = z
    return scored


def sizes(evidence: PosteriorEvidence) -> Found:
    """Gate 4: differences of means and sds in posterior sds, and the smallest shift that could have been detected."""
    joined = evidence.joined
    both = joined[joined["has_reference"] & joined["has_candidate"]]
    limit = z_limit(len(both))
    sd_of = {key_of(record)[1:]: record["reference"] for record in records(both[both["quantity"] == "post-sd"])}
    rows: list[Row] = []
    shifts: dict[str, float] = {}
    power = float(ndtri(tolerances.POWER))
    for record in records(both[both["quantity"].isin(["post-mean", "post-sd"])]):
        sd = sd_of.get(key_of(record)[1:], math.nan)
        judged = judge_record(record, sd, tolerances.SIZE)
        error = math.hypot(record["error_reference"], record["error_candidate"])
        z = abs(record["candidate"] - record["reference"]) / error if error > 0 else math.inf
        d = judged.scaled
        if d >= tolerances.SHIFT_FAILS and z <= limit:
            why = f"{d:.2g} posterior sds apart, but the draws are too few to tell that from chance (z = {z:.1f})"
            judged = judged._replace(verdict=Verdict.INCONCLUSIVE, reason=why)
        elif d >= tolerances.SHIFT_FAILS:
            judged = judged._replace(verdict=Verdict.DISAGREES)
        elif d > tolerances.SHIFT_FINE:
            why = f"between {tolerances.SHIFT_FINE} and {tolerances.SHIFT_FAILS} posterior sds (z = {z:.1f})"
            judged = judged._replace(reason=why)
        rows.append(judged)
        if record["quantity"] == "post-mean" and record["level"] is None and sd > 0 and math.isfinite(error):
            name = record["term"] if record["group"] is None else judged._replace(quantity="Sigma").name
            if name not in MAIN_EXCLUDED:
                shifts[name] = (limit + power) * error / sd
    summary = counts(rows)
    if shifts:
        hardest = max(shifts, key=lambda name: shifts[name])
        evidence.detectable = shifts[hardest]
        summary += (
            "; smallest shift of a main parameter's mean that gate 3 would have detected (power "
            f"{tolerances.POWER:.0%}): {evidence.detectable:.2f} posterior sds ({hardest})"
        )
        if evidence.detectable > tolerances.SHIFT_FINE:
            summary += ": a weak comparison, more draws would sharpen it"
    return rows, summary


def against_truth(evidence: PosteriorEvidence, side: str) -> Found | None:
    """One side against quadrature: no Monte Carlo error on the other side, so it tells which side is off."""
    if evidence.truth is None:
        return None
    if side not in evidence.summaries:
        return [], ""
    truth, own = (summary_quantities(known, evidence.groups) for known in (evidence.truth, evidence.summaries[side]))
    joined = join(truth[truth["value"].notna()], own)
    joined = joined[joined["has_reference"]]  # quadrature gives what it gives; the rest is judged by gates 3 to 5
    rows = _scored(evidence, joined, ("truth", side), "Monte Carlo standard errors", "quadrature has it")
    return rows, counts(rows)


class Quantile(NamedTuple):
    """One side's knowledge of a quantile of a parameter."""

    value: float = math.nan
    ess: float = math.nan  # effective draws behind it; infinite for quadrature
    draws: np.ndarray | None = None  # where a side has more than summaries


def quantile_side(
    summary: pd.DataFrame, probability: float, draws: Mapping[str, np.ndarray] | None = None
) -> dict[str, Quantile]:
    """One side's quantile of each parameter, from its summary (``quantities.posterior_summary``) and its draws."""
    column, missing = f"q{100 * probability:g}", pd.Series(np.nan, index=summary.index)
    values, given = summary.get(column, missing), [None] * len(summary) if draws is None else list(draws.values())
    if draws is not None:
        from arviz_stats.base import array_stats

        with np.errstate(all="ignore"):
            sizes = np.atleast_1d(array_stats.ess(np.array(given), method="quantile", prob=probability)).astype(float)
    else:
        exact = summary.get(f"mcse_{column}", missing).to_numpy(dtype=float) == 0.0
        kind = "ess_bulk" if column == "q50" else "ess_tail"
        sizes = np.where(exact, math.inf, summary.get(kind, missing).to_numpy(dtype=float))
    known = map(Quantile, values.to_numpy(dtype=float).tolist(), sizes.tolist(), given)
    return dict(zip(map(str, summary.index), known, strict=True))


def quantile_z(probability: float, left: Quantile, right: Quantile) -> float | None:
    """Score the difference of one parameter's quantile: z of the left side's share of draws against the right's.

    Both sides' shares of draws below a common point (their quantiles' mean, weighted by ESS) are compared; a side
    without draws has its quantile as the point, and the share ``probability``. None where neither side has draws, or an
    ESS is missing.
    """
    if any(map(math.isnan, (*left[:2], *right[:2]))) or min(left.ess, right.ess) <= 0:
        return None
    if left.draws is not None and right.draws is not None:
        point = (left.ess * left.value + right.ess * right.value) / (left.ess + right.ess)
    elif left.draws is None and right.draws is None:
        return None
    else:
        point = left.value if left.draws is None else right.value
    shares = [probability if side.draws is None else _share(side.draws, point) for side in (left, right)]
    variance = probability * (1.0 - probability) * (1.0 / left.ess + 1.0 / right.ess)
    return (shares[0] - shares[1]) / math.sqrt(variance)


def _share(draws: np.ndarray, point: float) -> float:
    """Fraction of draws below ``point``, those at it counted half."""
    return float((np.mean(draws < point) + np.mean(draws <= point)) / 2.0)


def distributions(evidence: PosteriorEvidence) -> Found:
    """Gate 5: two-sample ECDF-difference test of every parameter that has draws on both sides, and of dependences."""
    left, right = evidence.independent("reference"), evidence.independent("candidate")
    names = [name for name in left if name in right]
    known = [evidence.draws.get(side, {}) for side in ("reference", "candidate")]
    both = [name for name in known[0] if name in known[1]]  # whose draws both sides keep together
    together = pairs(main_parameters(both), both, evidence.groups)
    limit = tolerances.FALSE_ALARM_RATE / max(len(names) + len(together), 1)
    rows: list[Row] = []
    for position, name in enumerate(names):
        a, b = left[name], right[name]
        key: Key = ("ecdf", *split_parameter(name, evidence.groups))
        try:
            found = ecdf_difference(a, b, seed=position)
        except ValueError as error:
            rows.append(row(key, a.size, b.size, Verdict.INCONCLUSIVE, str(error)))
            continue
        distance = float(np.max(np.abs(found.difference), initial=0.0))
        reason = f"largest ECDF difference {distance:.3f} of {a.size} and {b.size} draws. {tolerances.ECDF.reason}"
        rows.append(_tested(key, 0.0, distance, found.p_value, tolerances.ECDF.at(limit), reason))
    tolerance = tolerances.DEPENDENCE.at(limit)
    for first, second in together:
        one, other = (correlation(draws[first], draws[second]) for draws in known)
        p = p_value(one, other, tolerances.MCSE_DEGREES_OF_FREEDOM)
        evidence.dependence.append((first, second, one[0], other[0], p >= limit))
        key = named("dependence", term=first, term2=second)
        rows.append(_tested(key, one[0], other[0], p, tolerance, tolerance.reason))
    smallest = min((r for r in rows if math.isfinite(r.scaled)), key=lambda r: r.scaled, default=None)
    if smallest is None:
        return rows, "no draws to compare"
    failed = sum(r.verdict.failed for r in rows)
    return rows, (
        f"{len(names)} parameters{f' and {len(together)} pairs' if together else ''}"
        f"{f', {failed} failed' if failed else ''}; smallest p-value "
        f"{smallest.scaled:.2g} ({smallest.name}), limit {limit:.2g} for a false-alarm rate of "
        f"{tolerances.FALSE_ALARM_RATE:g} over all"
    )


def _tested(key: Key, left: float, right: float, p: float, tolerance: Tolerance, reason: str) -> Row:
    """A row that is judged by a p-value; digits would say nothing of it."""
    verdict = Verdict.AGREES if p >= tolerance.limit else Verdict.DISAGREES
    return row(key, left, right, verdict, reason, p, tolerance)._replace(digits=math.nan)


def pairs(main: Sequence[str], names: Sequence[str], groups: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Pairs of parameters whose dependence is compared: of main ones (no random effects) each with every other.

    And each random effect among all names, with the coefficient that it adds to.
    """
    coefficients = {split_parameter(name)[1]: name for name in main if split_parameter(name)[0] is None}
    own = []
    for name in names:
        group, effect, _, level = split_parameter(name, groups)
        if group is not None and level is not None and name.startswith("b[") and effect in coefficients:
            own.append((coefficients[effect], name))
    return [*combinations(main, 2), *own]


def correlation(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Correlation of the normal scores of two parameters' ranks (van der Waerden), and its Monte Carlo error.

    The error is that of the mean of the scores' products, by the effective sample size of those products: a little too
    large where the correlation is strong, since the scores' own spread is known. Draws are chains by draws; both
    numbers are none where a parameter does not vary.
    """
    from arviz_stats.base import array_stats
    from scipy.stats import rankdata

    scores = []
    for draws in (first, second):
        if not np.isfinite(draws).all() or np.ptp(draws) == 0.0:
            return math.nan, math.nan
        score = ndtri(rankdata(draws).reshape(draws.shape) / (draws.size + 1.0))
        scores.append(score / score.std())
    products = scores[0] * scores[1]
    ess = float(array_stats.ess(products, method="mean"))
    return float(products.mean()), float(products.std()) / math.sqrt(min(max(ess, 2.0), products.size))


def p_value(left: tuple[float, float], right: tuple[float, float], freedom: float) -> float:
    """Two-sided p-value of two correlations with their errors; 1 where both sides' are not to be had."""
    difference, error = left[0] - right[0], math.hypot(left[1], right[1])
    if math.isnan(difference) or error == 0.0:
        return 1.0 if math.isnan(left[0]) and math.isnan(right[0]) else float(difference == 0.0)
    return float(2.0 * stdtr(freedom, -abs(difference) / error))


# ---------------------------------------------------------------------------------------------------- what is reported

#: R's ``mad(constant = 1.4826)``.
_MAD_FACTOR = 1.4826


def _mad_sd(x: np.ndarray) -> float:
    return _MAD_FACTOR * float(np.median(np.abs(x - np.median(x))))


def _correlation(c: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    return float(c.mean() / np.sqrt(a.mean() * b.mean()))


_Rule: TypeAlias = tuple[str, Callable[..., float]]
_COEFFICIENTS: dict[str, _Rule] = {"R": ("posterior medians", np.median), "mean": ("posterior means", np.mean)}

#: Each reported quantity: R's rule first (by the name "R"), then what other programs do, with words for it. A rule of
#: one vector takes the draws of the parameter; of an sd the draws of the variance; of a correlation those of the
#: covariance and of both variances.
RULES: dict[str, dict[str, _Rule]] = {
    "fixef": _COEFFICIENTS,
    "se": {
        "R": ("MAD_SD, 1.4826 times the median absolute deviation", _mad_sd),
        "sd": ("posterior sds", lambda x: x.std(ddof=1)),
        "sd-ddof0": ("posterior sds with ddof = 0", np.std),
        "mad": ("median absolute deviations without the factor 1.4826", lambda x: _mad_sd(x) / _MAD_FACTOR),
        "variance": ("posterior variances", lambda x: x.var(ddof=1)),
    },
    "sigma": {
        "R": ("the posterior median of sigma", np.median),
        "mean": ("the posterior mean of sigma", np.mean),
        "variance": ("a residual variance", lambda x: np.median(x) ** 2),
        "mean-variance": ("the posterior mean of the residual variance", lambda x: np.mean(x**2)),
    },
    "ranef": _COEFFICIENTS,
    "reported-sd": {
        "R": ("roots of the posterior mean variances", lambda v: np.sqrt(np.mean(v))),
        "median-sd": ("posterior medians of the sds", lambda v: np.median(np.sqrt(v))),
        "mean-sd": ("posterior means of the sds", lambda v: np.mean(np.sqrt(v))),
        "squared": ("variances: their roots are R's", np.mean),
        "median-variance": ("posterior medians of the variances", np.median),
    },
    "reported-variance": {
        "R": ("posterior means of the variances", np.mean),
        "median": ("posterior medians of the variances", np.median),
        "median-sd": ("squares of the posterior medians of the sds", lambda v: np.median(np.sqrt(v)) ** 2),
        "mean-sd": ("squares of the posterior means of the sds", lambda v: np.mean(np.sqrt(v)) ** 2),
        "square-root": ("sds, the roots of the mean variances", lambda v: np.sqrt(np.mean(v))),
    },
    "reported-correlation": {
        "R": ("correlations of the posterior mean covariance matrix", _correlation),
        "mean": ("posterior means of the correlations", lambda c, a, b: np.mean(c / np.sqrt(a * b))),
        "median": ("posterior medians of the correlations", lambda c, a, b: np.median(c / np.sqrt(a * b))),
        "covariance": ("covariances", lambda c, a, b: np.mean(c)),
    },
    "reported-covariance": {
        "R": ("posterior means of the covariances", lambda c, a, b: np.mean(c)),
        "median": ("posterior medians of the covariances", lambda c, a, b: np.median(c)),
        "correlation": ("correlations of the mean covariance matrix", _correlation),
    },
    "residual-sd": {
        "R": ("the posterior mean of sigma", np.mean),
        "median": ("the posterior median of sigma", np.median),
        "root-mean": ("the root of the posterior mean of sigma²", lambda s: np.sqrt(np.mean(s**2))),
        "squared": ("the square of the posterior mean of sigma", lambda s: np.mean(s) ** 2),
    },
    "residual-variance": {
        "R": ("the square of the posterior mean of sigma", lambda s: np.mean(s) ** 2),
        "median": ("the square of the posterior median of sigma", lambda s: np.median(s) ** 2),
        "mean-variance": ("the posterior mean of sigma²", lambda s: np.mean(s**2)),
        "square-root": ("an sd: the posterior mean of sigma", np.mean),
    },
}


#: What a number is a summary of, draw by draw and in its own unit, where that is not the first of its vectors.
_DRAW_BY_DRAW: dict[str, Callable[..., np.ndarray]] = {
    "reported-sd": np.sqrt,
    "reported-correlation": lambda c, a, b: c / np.sqrt(a * b),
    "residual-variance": np.square,
}


def _posterior_sd(quantity: str, vectors: tuple[np.ndarray, ...]) -> float:
    """Spread of what is summarised, in the unit of the number; 0 where its draws are not all numbers."""
    with np.errstate(all="ignore"):  # a fault's draws may have negative variances
        own = _DRAW_BY_DRAW[quantity](*vectors) if quantity in _DRAW_BY_DRAW else vectors[0]
        spread = float(own.std())
    return spread if math.isfinite(spread) else 0.0


def covariance_of(draws: Mapping[str, np.ndarray], group: str, first: str, second: str) -> np.ndarray | None:
    """Draws of an element of Sigma; None where there are none."""
    return draws.get(f"Sigma[{group}:{first},{second}]", draws.get(f"Sigma[{group}:{second},{first}]"))


def reported(fit: BayesianFit, draws: Mapping[str, np.ndarray]) -> dict[Key, tuple[float, tuple[np.ndarray, ...]]]:
    """What a fit reports, and for each number the draws that R's rule takes it from.

    A verb that the fit does not have, and a number of which there are no draws, are left out: gates 3 to 5 say what is
    missing.
    """
    found: dict[Key, tuple[float, tuple[np.ndarray, ...]]] = {}
    for record in records(reported_quantities(fit)):
        quantity, group, first, second, level = key_of(record)
        if quantity in ("fixef", "se", "sigma"):
            vectors = [draws.get(first or "sigma")]
        elif quantity == "ranef":
            vectors = [draws.get(f"b[{first} {group}:{str(level).replace(' ', '_')}]")]
        elif first is None:
            quantity, vectors = f"residual-{quantity}", [draws.get("sigma")]
        else:
            pairs = [(first, second), (first, first), (second, second)] if second else [(first, first)]
            vectors = [covariance_of(draws, str(group), *pair) for pair in pairs]
            quantity = "reported-correlation" if quantity == "cor" else f"reported-{quantity}"
        known = tuple(vector for vector in vectors if vector is not None)
        if len(known) == len(vectors):
            found[quantity, group, first, second, level] = record["value"], known
    return found


def by_rules(key: Key, vectors: tuple[np.ndarray, ...], rule: str = "R") -> float:
    """A number by one of :data:`RULES`; NaN where it has none."""
    with np.errstate(all="ignore"):  # a variance of 0, or a negative one among a fault's draws
        value = float(RULES[key[0]][rule][1](*vectors))
    return value if math.isfinite(value) else math.nan


def summaries(evidence: PosteriorEvidence) -> Found | None:
    """Gate 6: what each side reports, against its own draws by R's rules; None where neither side reports anything.

    In the rows the reference's column is R's rule of that side's draws; ``level`` is the side, where a row has none.
    """
    rows: list[Row] = []
    for side, fit in (("reference", evidence.reference), ("candidate", evidence.candidate)):
        draws, of_side = evidence.draws.get(side), side if side == "reference" else None
        for key, (value, vectors) in reported(fit, draws).items() if draws else ():
            quantity, group, term, term2, level = key
            right = by_rules(key, vectors)
            scale = max(abs(right), _posterior_sd(quantity, vectors), abs(value) if not right else 0.0)
            shown = f"reported-{quantity.removeprefix('reported-')}", group, term, term2, level or of_side
            judged = judge_number(shown, right, value, scale if scale > 0 else 1.0, tolerances.REPORTED)
            words = RULES[quantity]["R"][0]
            told = f"the {side}'s own draws by R's rule ({words}), and what it reports. {judged.reason}"
            rows.append(judged._replace(reason=told))
    return (rows, counts(rows)) if rows else None
