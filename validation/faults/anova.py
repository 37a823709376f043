"""Likelihood-ratio tests made wrong: in their degrees of freedom, criterion, statistic, tail, or in one of the fits."""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import chi2

from validation.faults.bases import BaseFit
from validation.faults.fault import fault
from validation.judge.likelihood_ratio import table_of_fits, tidy_table

if TYPE_CHECKING:
    from pyimpl.models.lmer import LmerFit

planted = partial(fault, kind="anova", without="other rows")


def _refit(base: BaseFit) -> "list[LmerFit]":
    return [fit.refitML() for fit in base.fit]


def _right(base: BaseFit) -> pd.DataFrame:
    """R's table of the base's models."""
    return table_of_fits(_refit(base))


def _with_df(base: BaseFit, df: "Callable[[list[LmerFit]], list[float]]") -> pd.DataFrame:
    table = _right(base)
    freedom = np.array([math.nan, *np.diff(df(_refit(base)))])
    # As pchisq() has it: with no degrees of freedom any statistic above 0 is impossible.
    chisq = table["Chisq"]
    p = [math.nan if math.isnan(k) else 0.0 if k <= 0 else chi2.sf(x, k) for x, k in zip(chisq, freedom, strict=True)]
    table["Df"], table["Pr(>Chisq)"] = freedom, p
    return table


planted(10, "test: variances count as 0 parameters", "lrt-df", needs="variances")(
    lambda base: _with_df(base, lambda fits: [len(fit.fixef()) for fit in fits])
)


planted(10, "test: covariances not counted", "lrt-df", needs="slopes")(
    lambda base: _with_df(base, lambda fits: [len(fit.fixef()) + int(np.sum(fit.getME("lower") == 0)) for fit in fits])
)


planted(10, "test: degrees of freedom of the larger model", "lrt-df")(
    lambda base: _with_df(base, lambda fits: list(np.cumsum([fit.npar for fit in fits]) - fits[0].npar))
)


planted(10, "test: REML fits not refitted", "lrt-reml", needs="reml")(lambda base: table_of_fits(base.fit))


@planted(10, "test: REML in place of ML", "lrt-reml", needs="ml")
def by_reml(base: BaseFit) -> pd.DataFrame:
    """REML fits are compared where ML was asked for (``REML=False`` ignored)."""
    return table_of_fits([base.refit(fit.formula, reml=True) for fit in base.fit])


@planted(10, "test: log-likelihoods not doubled", "lrt-statistic-half")
def _halved_statistic(base: BaseFit) -> pd.DataFrame:
    table = _right(base)
    return table.assign(**{"Chisq": table["Chisq"] / 2, "Pr(>Chisq)": chi2.sf(table["Chisq"] / 2, table["Df"])})


@planted(10, "test: models in the wrong order", "lrt-statistic-sign")
def _wrong_order(base: BaseFit) -> pd.DataFrame:
    table = _right(base)
    return table.assign(**{"Chisq": -table["Chisq"], "Pr(>Chisq)": table["Df"] * 0 + 1.0})


def _with_p(base: BaseFit, change: Callable[[pd.Series], pd.Series]) -> pd.DataFrame:
    table = _right(base)
    return table.assign(**{"Pr(>Chisq)": change(table["Pr(>Chisq)"])})


planted(10, "test: p halved for the boundary", "lrt-p-boundary")(lambda base: _with_p(base, lambda p: p / 2))
planted(10, "test: the lower tail", "lrt-p-lower-tail")(lambda base: _with_p(base, lambda p: 1 - p))


@planted(10, "test: sigma not counted in AIC", "parameter-count")
def _sigma_not_counted(base: BaseFit) -> pd.DataFrame:
    table = _right(base)
    return table.assign(AIC=table["deviance"] + 2.0 * (table["npar"] - 1.0))


@planted(10, "test: BIC with groups", "bic-sample-size")
def _bic_with_groups(base: BaseFit) -> pd.DataFrame:
    table = _right(base)
    return table.assign(BIC=table["deviance"] + math.log(float(base.fit[0].ngrps().iloc[0])) * table["npar"])


@planted(10, "test: N log(2 pi) lost", "constant-offset")
def _constant_lost(base: BaseFit) -> pd.DataFrame:
    table, N = _right(base), base.fit[0].nobs()
    deviance = table["deviance"] - N * math.log(2 * math.pi)
    penalties = {"AIC": deviance + 2.0 * table["npar"], "BIC": deviance + math.log(N) * table["npar"]}
    return table.assign(deviance=deviance, logLik=-deviance / 2, **penalties)


@planted(4, "test: models of different rows", "lrt-rows", needs="other rows", without="")
def _unequal_rows(base: BaseFit) -> dict[str, float]:
    logLik, npar = ([getattr(fit, name) for fit in _refit(base)] for name in ("logLik", "npar"))
    statistic = 2 * (logLik[1]() - logLik[0]())
    return {"chisq": abs(statistic), "df": npar[1] - npar[0], "p": chi2.sf(abs(statistic), npar[1] - npar[0])}


planted(7, "test: correlation of one model lost", "correlation-lost", needs="slopes")(
    lambda base: [base.fit[0], base.fit[1].update(base.fit[1].formula.replace("(ses |", "(ses ||"))]
)


planted(12, "test: AIC and BIC not given", "missing-numbers")(
    lambda base: tidy_table(_right(base)).drop(columns=["AIC", "BIC"])
)
