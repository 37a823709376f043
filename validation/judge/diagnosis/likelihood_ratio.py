"""Detectors for two tables of likelihood-ratio tests: what of row 10 of AGREEMENT.md's table only a test shows."""

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2
from scipy.stats import f as f_distribution

from validation import tolerances
from validation.contract import LinearMixedFit
from validation.judge.diagnosis import Detector, assume, diagnose, first_of, same_p
from validation.judge.diagnosis.likelihood import DETECTORS as FIT_DETECTORS
from validation.judge.diagnosis.reported import penalty
from validation.judge.evidence import Evidence
from validation.judge.likelihood_ratio import AnovaEvidence
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Finding


def _same(value: float, target: float, limit: float = Match.RULE) -> bool:
    return math.isfinite(value) and math.isfinite(target) and abs(value - target) <= limit * max(1.0, abs(target))


class _Counts(NamedTuple):
    """What of a model can be counted."""

    npar: float
    fixed: int
    diagonal: int
    terms: int
    levels: int
    nobs: float

    @classmethod
    def of(cls, fit: LinearMixedFit) -> "_Counts":
        diagonal = int(np.sum(np.asarray(fit.getME("lower"), dtype=float) == 0.0))
        levels = int(sum(frame.size for frame in fit.ranef().values()))
        return cls(float(fit.npar), len(fit.fixef()), diagonal, len(fit.getME("cnms")), levels, float(fit.nobs()))


class _Test(NamedTuple):
    """A row of the table that is a test: its models, and what the reference and the candidate have."""

    i: int
    models: str
    chisq: tuple[float, float]
    df: tuple[float, float]
    p: tuple[float, float]


def _tests(evidence: AnovaEvidence) -> list[_Test]:
    columns = [np.transpose(evidence.both(name)).tolist() for name in ("Chisq", "Df", "Pr(>Chisq)")]
    rows = list(zip(*columns, strict=True))
    return [_Test(i, " against ".join(evidence.names[i - 1 : i + 1]), *rows[i]) for i in range(1, len(rows))]


def rows_of_models(evidence: AnovaEvidence) -> Cause | None:
    """Row 4: models of different rows are compared, which R refuses."""
    assume("reference" in evidence.refusals and evidence.candidate is not None)
    used = [int(fit.nobs()) for fit in evidence.reference_fits]
    assume(len(set(used)) > 1)
    return Finding(4, "lrt-rows", Strength.SAME_NUMBERS).told(
        "The candidate compares models that were fitted to different rows",
        "; ".join(f"{name} uses {rows} rows" for name, rows in zip(evidence.names, used, strict=True))
        + f"; R says: {evidence.refusals['reference']}",
        "Log-likelihoods of different data cannot be compared: a variable with missing values in one of the models "
        "drops rows from that one only. Drop them beforehand, from all models alike.",
    )


def not_refitted(evidence: AnovaEvidence) -> Cause | None:
    """Row 10: REML log-likelihoods are compared where ML ones should be, or the other way round."""
    wanted, reported = {bool(fit.isREML()) for fit in evidence.compared_fits}, evidence.column("candidate", "logLik")
    right = [float(fit.logLik()) for fit in evidence.compared_fits]
    assume(len(wanted) == 1 and not all(_same(*pair) for pair in zip(reported, right, strict=True)))
    (reml,), other = wanted, [_other_criterion(evidence, i) for i in range(len(right))]
    assume(all(map(math.isfinite, other)))
    statistics = [test.chisq[1] for test in _tests(evidence)]
    expected, own = 2.0 * np.abs(np.diff([other, right]))
    by_loglik = _are(reported, other, right, Match.ESTIMATED, Match.RULE)
    assume(by_loglik or (statistics and _are(np.abs(statistics), expected, own, Match.FOLLOWS, Match.ROUGH)))
    there, here = ("ML", "REML") if reml else ("REML", "ML")
    return Finding(10, "lrt-refitted" if reml else "lrt-reml", Strength.RECOMPUTED).told(
        f"The candidate compares {there} fits, where R compares fits by {here}"
        + (" (refit=False was asked for)" if reml else ""),
        f"its log-likelihoods are the {there} ones: " * by_loglik
        + "; ".join(
            f"{name}: {here} {ours:.6f}, {there} {theirs:.6f}"
            for name, ours, theirs in zip(evidence.names, right, other, strict=True)
        )
        + f"; chi-square {', '.join(f'{value:.6g}' for value in statistics)}, of the {there} fits "
        f"{', '.join(f'{2.0 * max(0.0, step):.6g}' for step in np.diff(other))}",
        "Compare the REML fits as they are where refit=False is asked for, or drop refit=False on both sides."
        if reml
        else "Restricted likelihoods of models with different fixed effects are likelihoods of different data: refit "
        "by maximum likelihood before the test (R's anova does so unless refit = FALSE). For a test of variances alone "
        "either criterion serves; say which one was used.",
    )


def _are(values: Iterable[float], expected: Iterable[float], own: Iterable[float], near: float, away: float) -> bool:
    """Whether all numbers are those expected, and none is the reference's own."""
    return all(_same(x, e, near) and not _same(x, o, away) for x, e, o in zip(values, expected, own, strict=True))


def _other_criterion(evidence: AnovaEvidence, i: int) -> float:
    """A model's log-likelihood by the criterion that should not be compared."""
    original, compared = evidence.reference_fits[i], evidence.compared_fits[i]
    if bool(original.isREML()) != bool(compared.isREML()):
        return float(original.logLik())
    refit_by_ml = getattr(compared, "refitML", None)
    if compared.isREML() and callable(refit_by_ml):
        return float(refit_by_ml().logLik())
    found = Evidence(compared, compared, bool(compared.isREML())).other_optimum
    return math.nan if found is None else -found.objective / 2.0


#: What a candidate may take for the degrees of freedom, of the smaller model a and the larger model b.
_DF: tuple[tuple[str, Callable[[_Counts, _Counts], float]], ...] = (
    ("only the fixed effects are counted, a variance or covariance of random effects as no parameter",
     lambda a, b: b.fixed - a.fixed),
    ("covariances (correlations) of random effects are not counted",
     lambda a, b: b.fixed + b.diagonal - a.fixed - a.diagonal),
    ("a random-effects term counts as one parameter, however many variances and covariances it has",
     lambda a, b: b.fixed + b.terms - a.fixed - a.terms),
    ("every level's random effect is counted as a parameter", lambda a, b: b.fixed + b.levels - a.fixed - a.levels),
    ("it is the number of parameters of the larger model, not the difference of both", lambda a, b: b.npar),
    ("it is the number of fixed effects of the larger model", lambda a, b: b.fixed),
    ("it is the residual degrees of freedom of the larger model", lambda a, b: b.nobs - b.npar),
    ("it is N less the fixed effects of the larger model", lambda a, b: b.nobs - b.fixed),
    ("the smaller model was subtracted from in the wrong order", lambda a, b: a.npar - b.npar),
)  # fmt: skip


def degrees_of_freedom(evidence: AnovaEvidence) -> Cause | None:
    """Row 10: another number of degrees of freedom."""
    wrong, (_, told) = [test for test in _tests(evidence) if _off(*test.df)], evidence.both("npar")
    # not where the df follow from numbers of parameters, or the models, that are others
    assume(not _other_pairs(evidence) and any(test.df[1] != told[test.i] - told[test.i - 1] for test in wrong))
    first, counts = first_of(wrong), [_Counts.of(fit) for fit in evidence.compared_fits]
    pairs = [(test.df[1], counts[test.i - 1], counts[test.i]) for test in wrong]
    # one small whole number meets a rule by chance: where there is one test alone, its p-value is to follow, too
    follows = all(same_p(test.p[1], _upper(test.chisq[0], test.df[1])) for test in wrong)
    rules = _DF if follows or len({df for df, _, _ in pairs}) > 1 else ()
    words = next((f": {text}" for text, rule in rules if all(_same(df, rule(a, b)) for df, a, b in pairs)), "")
    (ours, theirs), (_, a, b) = first.df, pairs[0]
    covariances = [int(c.npar) - c.fixed - c.diagonal - 1 for c in (a, b)]
    return Finding(10, "lrt-df", Strength.ANOTHER_MODEL if words else Strength.CERTAIN).told(
        f"The likelihood-ratio test has {theirs:g} degrees of freedom where R has {ours:g}{words}",
        f"{first.models}: the models have {a.npar:g} and {b.npar:g} parameters (fixed effects {a.fixed} and {b.fixed}, "
        f"variances {a.diagonal} and {b.diagonal}, covariances {covariances[0]} and {covariances[1]}, and σ each); the "
        f"candidate's p-value is {first.p[1]:.6g}, R's {first.p[0]:.6g}"
        + (f"; so in {len(wrong)} of {len(evidence.names) - 1} tests" if len(wrong) > 1 else ""),
        "The degrees of freedom are the difference of the numbers of parameters, where every fixed effect, every "
        "variance and every covariance of random effects is one: adding a random slope with its correlation adds 2.",
    )


def _other_pairs(evidence: AnovaEvidence) -> list[tuple[_Test, tuple[int, int]]]:
    """Tests that are of two other models than R's, and which; none unless every test is of two of the models."""
    fits = evidence.compared_fits
    npar, deviance = [float(fit.npar) for fit in fits], [-2.0 * float(fit.logLik()) for fit in fits]
    found = []
    for test in _tests(evidence):
        of = [
            (a, b)
            for a, b in itertools.combinations(range(len(fits)), 2)
            if _same(test.df[1], npar[b] - npar[a]) and _same(test.chisq[1], deviance[a] - deviance[b], Match.ESTIMATED)
        ]
        if not of:
            return []
        found += [] if (test.i - 1, test.i) in of else [(test, of[0])]
    return found


def other_pairs(evidence: AnovaEvidence) -> Cause | None:
    """Row 10: tests between other models than those that follow each other."""
    moved = _other_pairs(evidence)
    assume(moved)
    return Finding(10, "lrt-pairs", Strength.ANOTHER_INPUT).told(
        "The tests compare other pairs of models than R's",
        "; ".join(
            f"in place of {test.models} stands the test of {evidence.names[a]} against {evidence.names[b]}: chi-square "
            f"{test.chisq[1]:.6g} with {test.df[1]:g} degrees of freedom"
            for test, (a, b) in moved
        ),
        "R's anova sorts the models by their number of parameters and compares each with the one before it.",
    )


def _off(ours: float, theirs: float) -> bool:
    """Whether a number that the candidate gives is not the reference's."""
    return math.isfinite(theirs) and math.isfinite(ours) and abs(theirs - ours) > Match.COMPUTED


def statistic(evidence: AnovaEvidence) -> Cause | None:
    """Row 10: the statistic is not twice the difference of the log-likelihoods."""
    off = [test for test in _tests(evidence) if not _same(test.chisq[1], test.chisq[0], Match.ESTIMATED)]
    wrong = [test for test in off if math.isfinite(test.chisq[1]) and abs(test.chisq[0]) > Match.FOLLOWS]
    assume(not _other_pairs(evidence))
    first = first_of(wrong)
    k = np.array([test.df[0] for test in wrong])
    ours, theirs = np.transpose([test.chisq for test in wrong])
    fitting = [
        (name, words)
        for name, words, factor in (
            ("half", "the difference of the log-likelihoods without its factor 2", 0.5),
            ("f", "that of an F test, chi-square over its degrees of freedom", 1.0 / k),
            ("sign", "negative: the models were subtracted in the wrong order", -1.0),
            ("sign", "negative, and without its factor 2", -0.5),
            ("twice", "twice R's: the deviance is −2 log-likelihood already", 2.0),
        )
        if all(map(_same, theirs, factor * ours, itertools.repeat(Match.ESTIMATED)))
    ]
    name, words = first_of(fitting)[0], " or ".join(words for _, words in fitting)
    return Finding(10, f"lrt-statistic-{name}", Strength.LISTED).told(
        f"The likelihood-ratio statistic is {words}",
        f"{first.models}: chi-square {first.chisq[0]:.6g} in R, {first.chisq[1]:.6g} in the candidate",
        "The statistic is twice the difference of the log-likelihoods, larger model less smaller one; R sorts the "
        "models by their number of parameters first.",
    )


def _upper(x: float, k: float) -> float:
    return float(chi2.sf(x, k))


#: What a p-value may be of a statistic x with k degrees of freedom, in a larger model with m parameters of N rows.
_TAILS: tuple[tuple[str, str, Callable[[float, float, float, float], float]], ...] = (
    ("boundary", "of a mixture of chi-squares with k and k − 1 degrees of freedom (for a variance that may be 0)",
     lambda x, k, m, N: 0.5 * _upper(x, k) + (0.5 * _upper(x, k - 1) if k > 1 else 0.0)),
    ("boundary", "halved", lambda x, k, m, N: 0.5 * _upper(x, k)),
    ("lower-tail", "the lower tail (1 − p)", lambda x, k, m, N: float(chi2.cdf(x, k))),
    ("statistic", "of half the statistic", lambda x, k, m, N: _upper(x / 2, k)),
    ("other-df", "of one degree of freedom", lambda x, k, m, N: _upper(x, 1)),
    ("other-df", "of one degree of freedom too few", lambda x, k, m, N: _upper(x, k - 1)),
    ("other-df", "of one degree of freedom too many", lambda x, k, m, N: _upper(x, k + 1)),
    ("other-df", "of as many degrees of freedom as the larger model has parameters", lambda x, k, m, N: _upper(x, m)),
    ("f", "of an F distribution with residual degrees of freedom",
     lambda x, k, m, N: float(f_distribution.sf(x / k, k, N - m))),
)  # fmt: skip


def tail(evidence: AnovaEvidence) -> Cause | None:
    """Row 10: statistic and degrees of freedom agree, the p-value is of another distribution."""
    agree = [test for test in _tests(evidence) if _same(test.chisq[1], test.chisq[0], Match.ESTIMATED)]
    known = [test for test in agree if not _off(*test.df) and math.isfinite(test.p[1])]
    wrong = [test for test in known if not same_p(test.p[1], test.p[0])]
    first, fits = first_of(wrong), evidence.compared_fits
    N, npar = float(fits[-1].nobs()), [float(fit.npar) for fit in fits]
    name, words, _ = first_of(
        known
        for known in _TAILS
        if all(same_p(test.p[1], known[2](test.chisq[0], test.df[0], npar[test.i], N)) for test in wrong)
    )
    boundary = (
        " Where a variance is tested, 0 is the edge of what it can be and R's p-value is too large, at worst about "
        "twice: the mixture is a fair choice there (Self & Liang 1987), but it is not what R prints. Say which."
    )
    return Finding(10, f"lrt-p-{name}", Strength.ANOTHER_INPUT).told(
        f"The p-value of the likelihood-ratio test is {words}",
        f"{first.models}: chi-square {first.chisq[0]:.6g} with {first.df[0]:g} degrees of freedom on "
        f"both sides, p = {first.p[0]:.6g} in R, {first.p[1]:.6g} in the candidate",
        "R's anova takes the upper tail of a chi-square with as many degrees of freedom as the models differ in "
        "parameters." + (boundary if name == "boundary" else ""),
    )


def information_criteria(evidence: AnovaEvidence) -> Cause | None:
    """Row 10: parameters counted otherwise in AIC, or another penalty in BIC."""
    (own, loglik), (npar, told) = evidence.both("logLik"), evidence.both("npar")
    # Without the log-likelihoods the reference's serve: where they differ, nothing below fits.
    loglik = np.where(np.isfinite(loglik), loglik, own)
    criteria = {name: evidence.column("candidate", name) for name in ("AIC", "BIC")}
    fit = evidence.compared_fits[0]
    fixed = float(len(evidence.compared_fits[-1].fixef()))
    return penalty(npar, told, criteria, loglik, float(fit.nobs()), fixed, fit.ngrps())


def constant(evidence: AnovaEvidence) -> Cause | None:
    """Row 10: all log-likelihoods are off by one constant, which no test sees."""
    left, right = evidence.both("logLik")
    shift = right - left
    assume(np.ptp(shift) <= Match.RULE and abs(shift[0]) > tolerances.OPTIMUM.limit)
    N, offset = float(evidence.compared_fits[0].nobs()), -2.0 * float(shift[0])
    known = {"N log(2π)": N * math.log(2 * math.pi), "N": N, "N (1 + log(2π))": N * (1 + math.log(2 * math.pi))}
    named = next((f": {name}" for name, value in known.items() if _same(abs(offset), value, Match.RULE)), "")
    return Finding(10, "constant-offset", Strength.SIGNS).told(
        f"The log-likelihoods lack (or have besides) a constant{named}",
        f"-2 log-likelihood differs by {offset:.6f} in all {shift.size} models, so the tests agree",
        "Keep every constant of the normal density, as R does, so that logLik, AIC and BIC can be compared across "
        "programs.",
    )


def one_fit(evidence: AnovaEvidence) -> Cause | None:
    """One of the models was fitted otherwise: what the comparison of its two fits finds."""
    for name, pair in zip(evidence.names, evidence.pairs, strict=False):
        left, right = pair.pair("logLik")
        if _same(right, left, Match.COMPUTED) or abs(right - left) <= tolerances.OPTIMUM.limit:
            continue
        causes = diagnose(pair, FIT_DETECTORS)
        if causes:
            # The tests follow from the fits: what is wrong with a fit comes before what is wrong with a test.
            return replace(causes[0], title=f"{name}: {causes[0].title}", strength=Strength.OF_ONE_FIT)
        return Finding(5, "lrt-fit", Strength.PARTIAL).told(
            f"The fits of {name} differ, and with them the test",
            f"its log-likelihood is {left:.6f} in R and {right:.6f} in the candidate",
            "Compare the fits of that model first (validation.compare).",
        )
    return None


def missing_columns(evidence: AnovaEvidence) -> Cause | None:
    """Row 12: columns of the table, or numbers in it, that the candidate does not give."""
    assume(evidence.candidate is not None and evidence.reference is not None)
    missing = {name: np.isnan(evidence.both(name)) for name in evidence.columns}
    lost = [name for name, (left, right) in missing.items() if (right & ~left).any()]
    assume(lost)
    return Finding(12, "missing-numbers", Strength.SEEN).told(
        "The candidate does not give all numbers of the table",
        f"missing: {', '.join(lost)} (R's table has {len(evidence.columns)} columns that are compared)",
        "Give every column of R's table; where a program has no such number, name the columns that are to be compared "
        "(columns=).",
    )


#: In the order in which findings of one strength are named.
DETECTORS: tuple[Detector[AnovaEvidence], ...] = (
    rows_of_models,
    not_refitted,
    other_pairs,
    degrees_of_freedom,
    statistic,
    tail,
    information_criteria,
    constant,
    one_fit,
    missing_columns,
)
