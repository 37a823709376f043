"""Likelihood-ratio tests made wrong: in their degrees of freedom, criterion, statistic, tail, or in one of the fits."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from validation.faults.bases import Base
from validation.faults.fault import Fault
from validation.judge.likelihood_ratio import table_of_fits, tidy_table

__all__ = ["ANOVA_FAULTS"]


def _refit(base: Base) -> list[Any]:
    return [fit.refitML() for fit in base.fit]


def _right(base: Base) -> pd.DataFrame:
    """R's table of the base's models."""
    return table_of_fits(_refit(base))


def _with_df(base: Base, df: Callable[[list[Any]], list[float]]) -> pd.DataFrame:
    table = _right(base)
    freedom = np.array([math.nan, *np.diff(df(_refit(base)))])
    # As pchisq() has it: with no degrees of freedom any statistic above 0 is impossible.
    chisq = table["Chisq"]
    p = [math.nan if math.isnan(k) else 0.0 if k <= 0 else chi2.sf(x, k) for x, k in zip(chisq, freedom, strict=True)]
    table["Df"], table["Pr(>Chisq)"] = freedom, p
    return table


def variances_not_counted(base: Base) -> pd.DataFrame:
    """Fixed effects alone are parameters."""
    return _with_df(base, lambda fits: [len(fit.fixef()) for fit in fits])


def covariances_not_counted(base: Base) -> pd.DataFrame:
    """Variances are parameters, covariances are not."""
    return _with_df(base, lambda fits: [len(fit.fixef()) + int(np.sum(fit.getME("lower") == 0)) for fit in fits])


def df_of_the_larger(base: Base) -> pd.DataFrame:
    """As many degrees of freedom as the larger model has parameters."""
    return _with_df(base, lambda fits: list(np.cumsum([fit.npar for fit in fits]) - fits[0].npar))


def without_refitting(base: Base) -> pd.DataFrame:
    """REML fits are compared as they are."""
    return table_of_fits(base.fit)


def by_reml(base: Base) -> pd.DataFrame:
    """REML fits are compared where ML was asked for (``REML=False`` ignored)."""
    return table_of_fits([base.refit(fit.formula, reml=True) for fit in base.fit])


def _change(**changes: Callable[[pd.DataFrame, Base], Any]) -> Callable[[Base, float], pd.DataFrame]:
    names = {"chisq": "Chisq", "df": "Df", "p": "Pr(>Chisq)"}

    def plant(base: Base, size: float) -> pd.DataFrame:
        table = _right(base)
        for name, change in changes.items():
            table[names.get(name, name)] = change(table, base)
        return table

    return plant


def _halved_statistic(table: pd.DataFrame, base: Base) -> Any:
    return table["Chisq"] / 2


def _tail(table: pd.DataFrame, base: Base) -> Any:
    return chi2.sf(table["Chisq"], table["Df"])


def _criterion(penalty: Callable[[Base], float], less: float = 0.0) -> Callable[[pd.DataFrame, Base], Any]:
    return lambda table, base: table["deviance"] + penalty(base) * (table["npar"] - less)


def _without_constant(table: pd.DataFrame, base: Base) -> Any:
    return table["deviance"] - base.fit[0].nobs() * math.log(2 * math.pi)


def _half_deviance(table: pd.DataFrame, base: Base) -> Any:
    return -table["deviance"] / 2


def unequal_rows(base: Base) -> dict[str, float]:
    """A test between models of which one lost rows to missing values."""
    logLik, npar = ([getattr(fit, name) for fit in _refit(base)] for name in ("logLik", "npar"))
    statistic = 2 * (logLik[1]() - logLik[0]())
    return {"chisq": abs(statistic), "df": npar[1] - npar[0], "p": chi2.sf(abs(statistic), npar[1] - npar[0])}


def correlation_lost(base: Base) -> list[Any]:
    """The larger model was fitted without its correlation."""
    return [base.fit[0], base.fit[1].update(base.fit[1].formula.replace("(ses |", "(ses ||"))]


def lost_columns(base: Base) -> pd.DataFrame:
    """Information criteria are not given."""
    return tidy_table(_right(base)).drop(columns=["AIC", "BIC"])


def _from(change: Callable[[Base], Any]) -> Callable[[Base, float], Any]:
    return lambda base, size: change(base)


def _fault(
    number: int,
    name: str,
    expected: str,
    plant: Callable[[Base, float], Any],
    needs: tuple[str, ...] = (),
    without: tuple[str, ...] = ("other rows",),
) -> Fault:
    return Fault(number, name, expected, plant, "anova", frozenset(needs), frozenset(without))


ANOVA_FAULTS: tuple[Fault, ...] = (
    _fault(10, "test: variances count as 0 parameters", "lrt-df", _from(variances_not_counted), ("variances",)),
    _fault(10, "test: covariances not counted", "lrt-df", _from(covariances_not_counted), ("slopes",)),
    _fault(10, "test: degrees of freedom of the larger model", "lrt-df", _from(df_of_the_larger)),
    _fault(10, "test: REML fits not refitted", "lrt-reml", _from(without_refitting), ("reml",)),
    _fault(10, "test: REML in place of ML", "lrt-reml", _from(by_reml), ("ml",)),
    _fault(10, "test: log-likelihoods not doubled", "lrt-statistic-half", _change(chisq=_halved_statistic, p=_tail)),
    _fault(
        10,
        "test: models in the wrong order",
        "lrt-statistic-sign",
        _change(chisq=lambda table, base: -table["Chisq"], p=lambda table, base: table["Df"] * 0 + 1.0),
    ),
    _fault(
        10,
        "test: p halved for the boundary",
        "lrt-p-boundary",
        _change(p=lambda table, base: table["Pr(>Chisq)"] / 2),
    ),
    _fault(10, "test: the lower tail", "lrt-p-lower-tail", _change(p=lambda table, base: 1 - table["Pr(>Chisq)"])),
    _fault(10, "test: sigma not counted in AIC", "parameter-count", _change(AIC=_criterion(lambda base: 2.0, 1.0))),
    _fault(
        10,
        "test: BIC with groups",
        "bic-sample-size",
        _change(BIC=_criterion(lambda base: math.log(float(base.fit[0].ngrps().iloc[0])))),
    ),
    _fault(
        10,
        "test: N log(2 pi) lost",
        "constant-offset",
        _change(
            deviance=_without_constant,
            logLik=_half_deviance,
            AIC=_criterion(lambda base: 2.0),
            BIC=_criterion(lambda base: math.log(base.fit[0].nobs())),
        ),
    ),
    _fault(4, "test: models of different rows", "lrt-rows", _from(unequal_rows), ("other rows",), ()),
    _fault(7, "test: correlation of one model lost", "correlation-lost", _from(correlation_lost), ("slopes",)),
    _fault(12, "test: AIC and BIC not given", "missing-numbers", _from(lost_columns)),
)
