"""Likelihood-ratio tests of two or more models (``anova(m1, m2, ...)``): the models, their fits, the tests.

They are judged, and where they differ its detectors say why: what of row 10 of AGREEMENT.md's table only a test shows.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2
from scipy.stats import f as f_distribution

from validation import tolerances
from validation.comparison import Check
from validation.contract import AnovaTable, LinearMixedFit
from validation.judge.diagnosis import Detector, assume, diagnose, first_of, same_p, unknown_cause
from validation.judge.diagnosis.likelihood import DETECTORS as FIT_DETECTORS
from validation.judge.diagnosis.reported import penalty
from validation.judge.evidence import Evidence
from validation.judge.objective import DIRECTION
from validation.judge.rows import Row, conclude, counts, judge_number, judge_p, row
from validation.quantities import named
from validation.tolerances import Match, Strength
from validation.verdict import Cause, Finding, Verdict

#: Columns of R's table (lme4 calls ``deviance`` ``-2*log(L)`` since 1.1-37), and their names: first the quantity that
#: each becomes, then what other programs call it, in small letters and without blanks, underlines and dots.
COLUMNS: dict[str, tuple[str, ...]] = {
    "npar": ("npar", "nparams", "parameters", "k"),
    "AIC": ("AIC",),
    "BIC": ("BIC",),
    "logLik": ("logLik", "loglikelihood", "llf", "ll"),
    "deviance": ("deviance", "-2*log(l)", "-2*loglik", "-2log(l)", "-2loglik"),
    "Chisq": ("chisq", "chi2", "chi2stat", "x2", "lr", "lrt", "lrstat", "statistic", "stat"),
    "Df": ("df", "chidf", "chisqdf", "dfdiff", "ddf", "dof"),
    "Pr(>Chisq)": ("p", "pr(>chisq)", "pvalue", "p-value", "pr(>chi)"),
}


def tidy_table(table: AnovaTable) -> pd.DataFrame:
    """A table of likelihood-ratio tests under R's column names (:data:`COLUMNS`), whatever the program calls them.

    A row for each model; a mapping of numbers is one test between two models. A ValueError where there is no statistic
    in it, or two columns mean the same.
    """
    if isinstance(table, Mapping) and all(np.isscalar(value) for value in table.values()):
        table = {name: [math.nan, value] for name, value in table.items()}
    frame = pd.DataFrame(table)
    found: dict[str, Any] = {}
    for name in frame.columns:
        key = str(name).casefold().replace(" ", "").replace("_", "").replace(".", "")
        column = next((ours for ours, theirs in COLUMNS.items() if key in map(str.casefold, theirs)), None)
        if column is None:
            continue
        if column in found:
            raise ValueError(f"the columns {found[column]!r} and {name!r} of the table both mean {column}")
        found[column] = name
    if "Chisq" not in found:
        raise ValueError(
            f"the table of tests has the columns {', '.join(map(str, frame.columns))} and no statistic; expected R's: "
            f"{', '.join(COLUMNS)}"
        )
    columns = [column for column in COLUMNS if column in found]
    # An object of R's class may be a subclass that prints itself: plain numbers from here on.
    return pd.DataFrame({c: pd.to_numeric(frame[found[c]]).to_numpy(dtype=float) for c in columns})


def refitted(fits: Sequence[LinearMixedFit], refit: bool) -> list[LinearMixedFit]:
    """The fits that ``anova(refit=)`` compares, in the order given: by ML where they were by REML and ``refit``.

    A ValueError where a REML fit has no ``refitML()``.
    """
    found = []
    for fit in fits:
        by_ml = getattr(fit, "refitML", None) if refit and fit.isREML() else lambda fit=fit: fit
        if not callable(by_ml):
            raise ValueError(
                f"{fit.formula} was fitted by REML and cannot be refitted by maximum likelihood; give a fit by maximum "
                "likelihood (REML=False)"
            )
        found.append(by_ml())
    return found


def table_of_fits(fits: Sequence[LinearMixedFit]) -> pd.DataFrame:
    """The likelihood-ratio tests of fits that have no ``anova`` of their own, by its definition (lme4's ``anovaLmer``).

    Fits as :func:`refitted` gives them; a ValueError where they do not use the same number of rows.
    """
    fits = sorted(fits, key=lambda fit: fit.npar)  # a stable sort, like R's order()
    if len({int(fit.nobs()) for fit in fits}) > 1:
        raise ValueError("models were not all fitted to the same size of dataset")
    loglik = np.array([float(fit.logLik()) for fit in fits])
    npar = np.array([float(fit.npar) for fit in fits])
    criteria = {"AIC": 2.0, "BIC": math.log(float(fits[0].nobs()))}
    chisq, df = 2.0 * np.maximum(0.0, np.diff(loglik)), np.diff(npar)
    columns = {"npar": npar} | {name: -2.0 * loglik + each * npar for name, each in criteria.items()}
    columns |= {"logLik": loglik, "deviance": -2.0 * loglik}
    tests = {"Chisq": chisq, "Df": df, "Pr(>Chisq)": chi2.sf(chisq, df)}
    return pd.DataFrame(columns | {name: [math.nan, *values] for name, values in tests.items()})


class LikelihoodRatioTest(NamedTuple):
    """A row of the table that is a test: its models, and what the reference and the candidate have."""

    i: int
    models: str
    chisq: tuple[float, float]
    df: tuple[float, float]
    p: tuple[float, float]


@dataclass
class AnovaEvidence:
    """Two tables of likelihood-ratio tests and the fits behind them, by side.

    Tables are as :func:`tidy_table` gives them; a side that refused has none, and ``refusals`` has what it said.
    """

    tables: Mapping[str, pd.DataFrame]
    refusals: Mapping[str, str]
    reference_fits: tuple[LinearMixedFit, ...]  # as the reference fitted them, fewest parameters first
    candidate_fits: tuple[LinearMixedFit, ...] = ()  # of the same models; empty where only the table is at hand
    refit: bool = True  # whether REML fits were to be refitted by maximum likelihood
    columns: tuple[str, ...] = tuple(COLUMNS)  # that are compared
    data: pd.DataFrame | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The models' formulas."""
        return tuple(str(fit.formula) for fit in self.reference_fits)

    @cached_property
    def compared_fits(self) -> tuple[LinearMixedFit, ...]:
        """The reference's fits whose log-likelihoods are compared: refitted by ML where that was asked for."""
        return tuple(refitted(self.reference_fits, self.refit))

    @cached_property
    def pairs(self) -> tuple[Evidence, ...]:
        """Evidence on each model's pair of fits; empty where the candidate's fits are not at hand."""
        # in the reference's order: the candidate may count parameters otherwise
        ours = self.compared_fits if self.candidate_fits else ()
        both = zip(ours, refitted(self.candidate_fits, self.refit), strict=True)
        return tuple(Evidence(one, other, bool(one.isREML()), self.data) for one, other in both)

    @cached_property
    def gains(self) -> list[float]:
        """By how much the candidate's optimum of each model is better; 0 where it is not, or nobody can say."""
        found = [pair.improvement or 0.0 for pair in self.pairs] or [0.0] * len(self.names)
        return [gain if gain > tolerances.OPTIMUM.limit else 0.0 for gain in found]

    @cached_property
    def tests(self) -> list[LikelihoodRatioTest]:
        """The rows that are tests, of each model against the one before it."""
        columns = [list(zip(*self.both(name), strict=True)) for name in ("Chisq", "Df", "Pr(>Chisq)")]
        return [
            LikelihoodRatioTest(i, " against ".join(self.names[i - 1 : i + 1]), *(column[i] for column in columns))
            for i in range(1, len(columns[0]))
        ]

    def column(self, side: str, name: str) -> np.ndarray:
        """One column of a side's table; NaN where it is not there."""
        found = self.tables.get(side, pd.DataFrame()).get(name)
        return np.full(len(self.names), math.nan) if found is None else found.to_numpy(dtype=float)

    def both(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """One column of both sides' tables."""
        return self.column("reference", name), self.column("candidate", name)


def judge_anova(evidence: AnovaEvidence) -> tuple[list[Check], list[Row], tuple[Cause, ...]]:
    """Judge two tables of likelihood-ratio tests, and why they differ; ``term`` of a row is the model's formula.

    ``anova-models`` (the same models, rows used and parameters), ``anova-fits`` (log-likelihoods and information
    criteria) and ``anova-tests`` (chi-square, degrees of freedom, p-values).
    """
    rows = _models(evidence)
    parts = [("anova-models", (rows, rows[0].reason if evidence.refusals else counts(rows)), tolerances.EXACT.reason)]
    if not evidence.refusals and not rows[0].verdict.failed:
        fits, tests = _fits(evidence), _tests(evidence)
        if fits:
            parts.append(("anova-fits", (fits, counts(fits)), tolerances.OPTIMUM.reason))
        parts.append(("anova-tests", (tests, counts(tests)), tolerances.CHI_SQUARE.reason))
    checks, judged = conclude(parts)
    failed = any(check.verdict.failed for check in checks)
    return checks, judged, diagnose(evidence, DETECTORS, lambda: unknown_cause(checks, judged)) if failed else ()


def _models(evidence: AnovaEvidence) -> list[Row]:
    """Whether both sides compare, and the same number of models with the same parameters and rows."""
    if evidence.refusals:
        said = "; ".join(f"the {side} refuses: {text}" for side, text in evidence.refusals.items())
        one, other = (float(side in evidence.tables) for side in ("reference", "candidate"))
        verdict = Verdict.AGREES if one == other else Verdict.DISAGREES
        return [row(named("comparable"), one, other, verdict, said, tolerance=tolerances.EXACT)]
    left, right = (len(evidence.tables[side]) for side in ("reference", "candidate"))
    rows = [judge_number(named("models"), left, right, 1.0, tolerances.EXACT)]
    for i, name in enumerate(evidence.names if left == right else ()):
        if "npar" in evidence.columns:
            rows.append(_number(evidence, "npar", i, tolerances.EXACT))
        if evidence.candidate_fits:
            ours, theirs = (float(fits[i].nobs()) for fits in (evidence.reference_fits, evidence.candidate_fits))
            rows.append(judge_number(named("nobs", term=name), ours, theirs, 1.0, tolerances.EXACT))
    return rows


def _number(evidence: AnovaEvidence, column: str, i: int, tolerance: tolerances.Tolerance, scale: float = 1.0) -> Row:
    left, right = (float(values[i]) for values in evidence.both(column))
    why = "a column that R's table has; name those that are to be compared (columns=) where it cannot be had"
    given = right if column in evidence.tables["candidate"] else None
    return judge_number(named(COLUMNS[column][0], term=evidence.names[i]), left, given, scale, tolerance, why)


def _fits(evidence: AnovaEvidence) -> list[Row]:
    rows = []
    factors = {column: factor for column, factor in DIRECTION.items() if column in evidence.columns}
    for i in range(len(evidence.names)):
        for column, factor in factors.items():
            judged = _number(evidence, column, i, tolerances.OPTIMUM, 1.0 / abs(factor))
            gained = -factor * judged.difference
            if judged.verdict is Verdict.DISAGREES and _meets(gained, evidence.gains[i], tolerances.OPTIMUM.limit):
                told = f"a better optimum than the reference's: lower by {gained:.3g}"
                judged = judged._replace(verdict=Verdict.BETTER, reason=told)
            rows.append(judged)
    return rows


def _meets(gained: float, gain: float, limit: float) -> bool:
    """Whether a number is better by as much as the candidate's optima are, which are better."""
    return gain != 0.0 and abs(gained - gain) <= limit


def _tests(evidence: AnovaEvidence) -> list[Row]:
    rows = []
    judges = {"Chisq": tolerances.CHI_SQUARE, "Df": tolerances.EXACT, "Pr(>Chisq)": tolerances.LIKELIHOOD_RATIO_P}
    for test, (column, tolerance) in itertools.product(evidence.tests, judges.items()):
        if column not in evidence.columns:
            continue
        judged = _number(evidence, column, test.i, tolerance)
        if column == "Pr(>Chisq)" and all(0.0 <= p <= 1.0 for p in (judged.reference, judged.candidate)):
            judged = _p_value(test, judged)
        if judged.verdict is Verdict.DISAGREES and _follows(evidence, column, test, judged):
            judged = judged._replace(verdict=Verdict.BETTER, reason="follows from a better optimum")
        rows.append(judged)
    return rows


def _p_value(test: LikelihoodRatioTest, judged: Row) -> Row:
    # Beside 0 a chi-square of one degree of freedom has no bounded density: what chi-square's own limit leaves open.
    ends = np.maximum(0.0, test.chisq[0] + tolerances.CHI_SQUARE.limit * np.array([-1.0, 1.0]))
    slack = float(np.nan_to_num(np.ptp(chi2.logsf(ends, test.df[0])), posinf=0.0))
    return judge_p(judged.key, judged.reference, judged.candidate, tolerances.LIKELIHOOD_RATIO_P, slack)


def _follows(evidence: AnovaEvidence, column: str, test: LikelihoodRatioTest, judged: Row) -> bool:
    """Whether a number of a test is what the candidate's better optima make of it."""
    before, after = evidence.gains[test.i - 1 : test.i + 1]
    if column != "Pr(>Chisq)":
        return column == "Chisq" and _meets(judged.difference, after - before, tolerances.CHI_SQUARE.limit)
    p = float(chi2.sf(test.chisq[1], test.df[1]))
    follows = judge_p(judged.key, p, judged.candidate, tolerances.LIKELIHOOD_RATIO_P).verdict is Verdict.AGREES
    return follows and (before > 0 or after > 0) and test.df[1] == test.df[0]


# ---------------------------------------------------------------------------------------------------- why they differ


def _same(value: float, target: float, limit: float = Match.RULE) -> bool:
    return math.isfinite(value) and math.isfinite(target) and abs(value - target) <= limit * max(1.0, abs(target))


def rows_of_models(evidence: AnovaEvidence) -> Cause | None:
    """Row 4: models of different rows are compared, which R refuses."""
    assume("reference" in evidence.refusals and "candidate" in evidence.tables)
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
    statistics = [test.chisq[1] for test in evidence.tests]
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


def degrees_of_freedom(evidence: AnovaEvidence) -> Cause | None:
    """Row 10: another number of degrees of freedom."""
    wrong, (_, told) = [test for test in evidence.tests if _off(*test.df)], evidence.both("npar")
    # not where the df follow from numbers of parameters, or the models, that are others
    assume(not _other_pairs(evidence) and any(test.df[1] != told[test.i] - told[test.i - 1] for test in wrong))
    npar, fixed, diagonal, terms, levels, nobs = np.transpose([_counted(fit) for fit in evidence.compared_fits])
    rules = (
        ("only the fixed effects are counted, a variance or covariance of random effects as no parameter",
         np.diff(fixed)),
        ("covariances (correlations) of random effects are not counted", np.diff(fixed + diagonal)),
        ("a random-effects term counts as one parameter, however many variances and covariances it has",
         np.diff(fixed + terms)),
        ("every level's random effect is counted as a parameter", np.diff(fixed + levels)),
        ("it is the number of parameters of the larger model, not the difference of both", npar[1:]),
        ("it is the number of fixed effects of the larger model", fixed[1:]),
        ("it is the residual degrees of freedom of the larger model", (nobs - npar)[1:]),
        ("it is N less the fixed effects of the larger model", (nobs - fixed)[1:]),
        ("the smaller model was subtracted from in the wrong order", -np.diff(npar)),
    )  # fmt: skip
    # one small whole number meets a rule by chance: where there is one test alone, its p-value is to follow, too
    follows = all(same_p(test.p[1], float(chi2.sf(test.chisq[0], test.df[1]))) for test in wrong)
    tell = follows or len({test.df[1] for test in wrong}) > 1
    met = [text for text, df in rules if tell and all(_same(test.df[1], df[test.i - 1]) for test in wrong)]
    first, i, covariances = wrong[0], wrong[0].i, npar - fixed - diagonal - 1
    words = f": {met[0]}" if met else ""
    return Finding(10, "lrt-df", Strength.ANOTHER_MODEL if met else Strength.CERTAIN).told(
        f"The likelihood-ratio test has {first.df[1]:g} degrees of freedom where R has {first.df[0]:g}{words}",
        f"{first.models}: the models have {npar[i - 1]:g} and {npar[i]:g} parameters (fixed effects {fixed[i - 1]:g} "
        f"and {fixed[i]:g}, variances {diagonal[i - 1]:g} and {diagonal[i]:g}, covariances {covariances[i - 1]:g} and "
        f"{covariances[i]:g}, and σ each); the candidate's p-value is {first.p[1]:.6g}, R's {first.p[0]:.6g}"
        + (f"; so in {len(wrong)} of {len(evidence.names) - 1} tests" if len(wrong) > 1 else ""),
        "The degrees of freedom are the difference of the numbers of parameters, where every fixed effect, every "
        "variance and every covariance of random effects is one: adding a random slope with its correlation adds 2.",
    )


def _counted(fit: LinearMixedFit) -> list[float]:
    """Parameters, fixed effects, variances, random-effects terms, levels' effects, and rows of a model."""
    diagonal = np.sum(np.asarray(fit.getME("lower"), dtype=float) == 0.0)
    levels = sum(frame.size for frame in fit.ranef().values())
    return [*map(float, (fit.npar, len(fit.fixef()), diagonal, len(fit.getME("cnms")), levels, fit.nobs()))]


def _other_pairs(evidence: AnovaEvidence) -> list[tuple[LikelihoodRatioTest, tuple[int, int]]]:
    """Tests that are of two other models than R's, and which; none unless every test is of two of the models."""
    fits = evidence.compared_fits
    npar, deviance = [float(fit.npar) for fit in fits], [-2.0 * float(fit.logLik()) for fit in fits]
    found = []
    for test in evidence.tests:
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
    off = [test for test in evidence.tests if not _same(test.chisq[1], test.chisq[0], Match.ESTIMATED)]
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


def tail(evidence: AnovaEvidence) -> Cause | None:
    """Row 10: statistic and degrees of freedom agree, the p-value is of another distribution."""
    agree = [test for test in evidence.tests if _same(test.chisq[1], test.chisq[0], Match.ESTIMATED)]
    known = [test for test in agree if not _off(*test.df) and math.isfinite(test.p[1])]
    wrong = [test for test in known if not same_p(test.p[1], test.p[0])]
    first, fits = first_of(wrong), evidence.compared_fits
    x, k = (np.array([numbers[0] for numbers in both]) for both in zip(*((t.chisq, t.df) for t in wrong), strict=True))
    m, N = np.array([float(fits[test.i].npar) for test in wrong]), float(fits[-1].nobs())
    below = np.where(k > 1, chi2.sf(x, k - 1), 0.0)
    distributions = (
        ("boundary", "of a mixture of chi-squares with k and k − 1 degrees of freedom (for a variance that may be 0)",
         0.5 * (chi2.sf(x, k) + below)),
        ("boundary", "halved", 0.5 * chi2.sf(x, k)),
        ("lower-tail", "the lower tail (1 − p)", chi2.cdf(x, k)),
        ("statistic", "of half the statistic", chi2.sf(x / 2, k)),
        ("other-df", "of one degree of freedom", chi2.sf(x, 1)),
        ("other-df", "of one degree of freedom too few", chi2.sf(x, k - 1)),
        ("other-df", "of one degree of freedom too many", chi2.sf(x, k + 1)),
        ("other-df", "of as many degrees of freedom as the larger model has parameters", chi2.sf(x, m)),
        ("f", "of an F distribution with residual degrees of freedom", f_distribution.sf(x / k, k, N - m)),
    )  # fmt: skip
    name, words = first_of(
        (name, words)
        for name, words, expected in distributions
        if all(same_p(test.p[1], float(p)) for test, p in zip(wrong, expected, strict=True))
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
    fit, fixed = evidence.compared_fits[0], float(len(evidence.compared_fits[-1].fixef()))
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
    assume(len(evidence.tables) == 2)
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
