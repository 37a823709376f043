"""Likelihood-ratio tests made wrong: in their degrees of freedom, criterion, statistic, tail, or in one of the fits."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from validation.faults.bases import BaseFit
from validation.faults.fault import fault
from validation.judge.likelihood_ratio import table_of_fits, tidy_table

if TYPE_CHECKING:
    from pyimpl.models.lmer import LmerFit

#: What a column is, of the table in which those before it are changed already.
_Columns = Mapping[str, Callable[[pd.DataFrame], Any]]

_P = "Pr(>Chisq)"


def _refit(base: BaseFit) -> "list[LmerFit]":
    return [fit.refitML() for fit in base.fit]


def _with_columns(columns: Callable[[BaseFit], _Columns], base: BaseFit) -> pd.DataFrame:
    """R's table of the base's models, with other columns."""
    return table_of_fits(_refit(base)).assign(**columns(base))


planted = partial(fault, kind="anova", without="other rows")
tests = partial(planted, 10, how=_with_columns)


def _with_df(df: Sequence[float]) -> _Columns:
    """Other degrees of freedom; with none any statistic above 0 is impossible, as pchisq() has it."""
    return {
        "Df": lambda table: [math.nan, *df],
        _P: lambda table: np.where(table["Df"] <= 0, 0.0, chi2.sf(table["Chisq"], table["Df"])),
    }


def _gained(base: BaseFit, count: "Callable[[LmerFit], float]") -> Sequence[float]:
    """What each model has more of than the one before it."""
    return list(np.diff([float(count(fit)) for fit in _refit(base)]))


tests("test: variances count as 0 parameters", "lrt-df", needs="variances")(
    lambda base: _with_df(_gained(base, lambda fit: len(fit.fixef())))
)
tests("test: covariances not counted", "lrt-df", needs="slopes")(
    lambda base: _with_df(_gained(base, lambda fit: len(fit.fixef()) + np.sum(fit.getME("lower") == 0)))
)
tests("test: degrees of freedom of the larger model", "lrt-df")(
    lambda base: _with_df([float(fit.npar) for fit in base.fit[1:]])
)
planted(10, "test: REML fits not refitted", "lrt-reml", needs="reml")(lambda base: table_of_fits(base.fit))
planted(10, "test: REML in place of ML", "lrt-reml", needs="ml")(  # ``REML=False`` ignored
    lambda base: table_of_fits([base.refit(fit.formula, reml=True) for fit in base.fit])
)
tests("test: log-likelihoods not doubled", "lrt-statistic-half")(
    lambda base: {"Chisq": lambda t: t["Chisq"] / 2, _P: lambda t: chi2.sf(t["Chisq"], t["Df"])}
)
tests("test: models in the wrong order", "lrt-statistic-sign")(
    lambda base: {"Chisq": lambda t: -t["Chisq"], _P: lambda t: t["Df"] * 0 + 1.0}
)
tests("test: p halved for the boundary", "lrt-p-boundary")(lambda base: {_P: lambda t: t[_P] / 2})
tests("test: the lower tail", "lrt-p-lower-tail")(lambda base: {_P: lambda t: 1 - t[_P]})
tests("test: sigma not counted in AIC", "parameter-count")(
    lambda base: {"AIC": lambda t: t["deviance"] + 2.0 * (t["npar"] - 1.0)}
)
tests("test: BIC with groups", "bic-sample-size")(
    lambda base: {"BIC": lambda t: t["deviance"] + math.log(float(base.fit[0].ngrps().iloc[0])) * t["npar"]}
)


@tests("test: N log(2 pi) lost", "constant-offset")
def _constant_lost(base: BaseFit) -> _Columns:
    N = base.fit[0].nobs()
    return {
        "deviance": lambda t: t["deviance"] - N * math.log(2 * math.pi),
        "logLik": lambda t: -t["deviance"] / 2,
        "AIC": lambda t: t["deviance"] + 2.0 * t["npar"],
        "BIC": lambda t: t["deviance"] + math.log(N) * t["npar"],
    }


@planted(4, "test: models of different rows", "lrt-rows", needs="other rows", without="")
def _unequal_rows(base: BaseFit) -> dict[str, float]:
    first, second = _refit(base)
    statistic, df = abs(2 * (second.logLik() - first.logLik())), second.npar - first.npar
    return {"chisq": statistic, "df": df, "p": chi2.sf(statistic, df)}


planted(7, "test: correlation of one model lost", "correlation-lost", needs="slopes")(
    lambda base: [base.fit[0], base.fit[1].update(base.fit[1].formula.replace("(ses |", "(ses ||"))]
)
planted(12, "test: AIC and BIC not given", "missing-numbers")(
    lambda base: tidy_table(table_of_fits(_refit(base))).drop(columns=["AIC", "BIC"])
)
