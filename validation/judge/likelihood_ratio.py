"""Likelihood-ratio tests of two or more models (``anova(m1, m2, ...)``), judged: the models, their fits, the tests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from validation import tolerances
from validation.comparison import Check
from validation.contract import AnovaTable, LinearMixedFit
from validation.judge.evidence import Evidence
from validation.judge.objective import DIRECTION
from validation.judge.rows import Row, conclude, counts, judge_number, judge_p, row
from validation.quantities import named
from validation.verdict import Verdict

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
    chisq, df = 2.0 * np.maximum(0.0, np.diff(loglik)), np.diff(npar)
    with np.errstate(invalid="ignore"):
        p = np.where(df > 0, chdtrc(df, chisq), math.nan)
    return pd.DataFrame(
        {
            "npar": npar,
            "AIC": -2.0 * loglik + 2.0 * npar,
            "BIC": -2.0 * loglik + np.log([float(fit.nobs()) for fit in fits]) * npar,
            "logLik": loglik,
            "deviance": -2.0 * loglik,
            "Chisq": [math.nan, *chisq],
            "Df": [math.nan, *df],
            "Pr(>Chisq)": [math.nan, *p],
        }
    )


@dataclass
class AnovaEvidence:
    """Two tables of likelihood-ratio tests and the fits behind them.

    Tables are as :func:`tidy_table` gives them; None where a side refused, and ``refusals`` has what it said.
    """

    reference: pd.DataFrame | None
    candidate: pd.DataFrame | None
    refusals: Mapping[str, str]  # by side
    reference_fits: tuple[LinearMixedFit, ...]  # as the reference fitted them, fewest parameters first
    candidate_fits: tuple[LinearMixedFit, ...] = ()  # of the same models; empty where only the table is at hand
    refit: bool = True  # whether REML fits were to be refitted by maximum likelihood
    columns: tuple[str, ...] = tuple(COLUMNS)  # that are compared
    data: pd.DataFrame | None = None
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.names = tuple(str(fit.formula) for fit in self.reference_fits)

    @cached_property
    def compared_fits(self) -> tuple[LinearMixedFit, ...]:
        """The reference's fits whose log-likelihoods are compared: refitted by ML where that was asked for."""
        return tuple(refitted(self.reference_fits, self.refit))

    @cached_property
    def pairs(self) -> tuple[Evidence, ...]:
        """Evidence on each model's pair of fits; empty where the candidate's fits are not at hand."""
        if len(self.candidate_fits) != len(self.reference_fits):
            return ()
        # in the reference's order: the candidate may count parameters otherwise
        return tuple(
            Evidence(ours, their, bool(ours.isREML()), self.data)
            for ours, their in zip(self.compared_fits, refitted(self.candidate_fits, self.refit), strict=True)
        )

    def column(self, side: str, name: str) -> np.ndarray:
        """One column of a side's table; NaN where it is not there."""
        table = self.reference if side == "reference" else self.candidate
        if table is None or name not in table:
            return np.full(len(self.reference_fits), math.nan)
        return table[name].to_numpy(dtype=float)

    def both(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """One column of both sides' tables."""
        return self.column("reference", name), self.column("candidate", name)


def judge_anova(evidence: AnovaEvidence) -> tuple[list[Check], list[Row]]:
    """Judge two tables of likelihood-ratio tests; ``term`` of a row is the model's formula.

    ``anova-models`` (the same models, rows used and parameters), ``anova-fits`` (log-likelihoods and information
    criteria) and ``anova-tests`` (chi-square, degrees of freedom, p-values).
    """
    rows = _models(evidence)
    said = "; ".join(f"the {side} refuses: {text}" for side, text in evidence.refusals.items())
    parts = [("anova-models", (rows, said or counts(rows)), tolerances.EXACT.reason)]
    left, right = evidence.reference, evidence.candidate
    if left is not None and right is not None and len(left) == len(right):
        fits, tests = _fits(evidence), _tests(evidence)
        if fits:
            parts.append(("anova-fits", (fits, counts(fits)), tolerances.OPTIMUM.reason))
        parts.append(("anova-tests", (tests, counts(tests)), tolerances.CHI_SQUARE.reason))
    return conclude(parts)


def _models(evidence: AnovaEvidence) -> list[Row]:
    """Whether both sides compare, and the same number of models with the same parameters and rows."""
    if evidence.refusals:
        both = len(evidence.refusals) == 2
        reason = "; ".join(f"the {side}: {text}" for side, text in evidence.refusals.items())
        reason = f"both sides refuse to compare the models. {reason}" if both else f"one side refuses: {reason}"
        verdict = Verdict.AGREES if both else Verdict.DISAGREES
        one, other = (float(side not in evidence.refusals) for side in ("reference", "candidate"))
        return [row(named("comparable"), one, other, verdict, reason, tolerance=tolerances.EXACT)]
    left, right = evidence.reference, evidence.candidate
    if left is None or right is None:
        raise ValueError("a side that gives no table has refused, and says so in refusals")
    rows = [judge_number(named("models"), len(left), len(right), 1.0, tolerances.EXACT)]
    for i, name in enumerate(evidence.names if len(left) == len(right) else ()):
        if "npar" in evidence.columns:
            rows.append(_number(evidence, "npar", i, tolerances.EXACT))
        if evidence.candidate_fits:
            ours, theirs = (float(fits[i].nobs()) for fits in (evidence.reference_fits, evidence.candidate_fits))
            rows.append(judge_number(named("nobs", term=name), ours, theirs, 1.0, tolerances.EXACT))
    return rows


def _number(evidence: AnovaEvidence, column: str, i: int, tolerance: tolerances.Tolerance, scale: float = 1.0) -> Row:
    table = evidence.candidate
    left, right = (float(values[i]) for values in evidence.both(column))
    why = "a column that R's table has; name those that are to be compared (columns=) where it cannot be had"
    given = None if table is None or column not in table else right
    return judge_number(named(COLUMNS[column][0], term=evidence.names[i]), left, given, scale, tolerance, why)


def _fits(evidence: AnovaEvidence) -> list[Row]:
    rows = []
    factors = {column: factor for column, factor in DIRECTION.items() if column in evidence.columns}
    for i in range(len(evidence.names)):
        for column, factor in factors.items():
            judged = _number(evidence, column, i, tolerances.OPTIMUM, 1.0 / abs(factor))
            change = factor * judged.difference
            if judged.verdict is Verdict.DISAGREES and _better(evidence, i, change):
                told = f"a better optimum than the reference's: lower by {-change:.3g}"
                judged = judged._replace(verdict=Verdict.BETTER, reason=told)
            rows.append(judged)
    return rows


def _better(evidence: AnovaEvidence, i: int, change: float) -> bool:
    """Whether −2 log-likelihood is lower because the candidate's θ̂ is better, as a trusted objective says."""
    if not change < 0 or not evidence.pairs:
        return False
    improvement = evidence.pairs[i].improvement
    return improvement is not None and abs(-change - improvement) <= tolerances.OPTIMUM.limit


def _tests(evidence: AnovaEvidence) -> list[Row]:
    rows = []
    for i in range(1, len(evidence.names)):
        better = [_gain(evidence, k) for k in (i - 1, i)]
        if "Chisq" in evidence.columns:
            judged = _number(evidence, "Chisq", i, tolerances.CHI_SQUARE)
            expected = judged.reference + better[1] - better[0]
            follows = any(better) and abs(judged.candidate - expected) <= tolerances.CHI_SQUARE.limit
            if judged.verdict is Verdict.DISAGREES and follows:
                judged = judged._replace(verdict=Verdict.BETTER, reason="follows from a better optimum")
            rows.append(judged)
        if "Df" in evidence.columns:
            rows.append(_number(evidence, "Df", i, tolerances.EXACT))
        if "Pr(>Chisq)" in evidence.columns:
            rows.append(_p_value(evidence, i, any(better)))
    return rows


def _gain(evidence: AnovaEvidence, i: int) -> float:
    """By how much the candidate's optimum of a model is better; 0 where it is not, or nobody can say."""
    change = 2.0 * float(evidence.column("candidate", "logLik")[i] - evidence.column("reference", "logLik")[i])
    return change if change > tolerances.OPTIMUM.limit and _better(evidence, i, -change) else 0.0


def _p_value(evidence: AnovaEvidence, i: int, better: bool) -> Row:
    judged = _number(evidence, "Pr(>Chisq)", i, tolerances.LIKELIHOOD_RATIO_P)
    left, right = judged.reference, judged.candidate
    if not (0.0 <= left <= 1.0 and 0.0 <= right <= 1.0):
        return judged  # missing on one side or both, or no probability
    chisq, df = (float(evidence.column("reference", name)[i]) for name in ("Chisq", "Df"))
    from scipy.stats import chi2  # seconds to import, and only p-values need its logarithms

    # Beside 0 a chi-square of one degree of freedom has no bounded density: what chi-square's own limit leaves open.
    with np.errstate(all="ignore"):
        edge = [float(chi2.logsf(max(0.0, chisq + sign * tolerances.CHI_SQUARE.limit), df)) for sign in (-1, 1)]
    slack = abs(edge[0] - edge[1]) if all(map(math.isfinite, edge)) else 0.0
    tolerance = tolerances.LIKELIHOOD_RATIO_P
    judged = judge_p(judged.key, left, right, tolerance, slack)
    if better and judged.verdict is Verdict.DISAGREES:
        own = [float(evidence.column("candidate", name)[i]) for name in ("Chisq", "Df")]
        follows = judge_p(judged.key, math.exp(float(chi2.logsf(*own))), right, tolerance)
        if follows.verdict is Verdict.AGREES and own[1] == df:
            judged = judged._replace(verdict=Verdict.BETTER, reason="follows from a better optimum")
    return judged
