"""Tables made wrong: likelihood-ratio tests between fits; marginal means, contrasts and predictions after a fit.

Tests are wrong in their degrees of freedom, criterion, statistic or tail, or in one of the fits; what is reported after
a fit in its errors, quantiles, adjustment or sign.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from validation.faults.bases import BaseFit
from validation.faults.fault import FaultSize, fault
from validation.judge.likelihood_ratio import table_of_fits, tidy_table

if TYPE_CHECKING:
    from pyimpl.models.lmer import LmerFit

# ---------------------------------------------------------------------------------------------------- between fits

#: What a column is, of the table in which those before it are changed already.
_Columns = Mapping[str, Callable[[pd.DataFrame], Any]]

_P = "Pr(>Chisq)"


def _refit(base: BaseFit) -> "list[LmerFit]":
    return [fit.refitML() for fit in base.fit]


def _with_columns(columns: Callable[[BaseFit], _Columns], base: BaseFit) -> pd.DataFrame:
    """R's table of the base's models, with other columns."""
    return table_of_fits(_refit(base)).assign(**columns(base))


of_tests = partial(fault, kind="anova", without="other rows")
tests = partial(of_tests, 10, how=_with_columns)


def _with_df(df: Sequence[float]) -> _Columns:
    """Other degrees of freedom; with none any statistic above 0 is impossible, as pchisq() has it."""
    return {
        "Df": lambda table: [math.nan, *df],
        _P: lambda table: np.where(table["Df"] <= 0, 0.0, stats.chi2.sf(table["Chisq"], table["Df"])),
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
of_tests(10, "test: REML fits not refitted", "lrt-reml", needs="reml")(lambda base: table_of_fits(base.fit))
of_tests(10, "test: REML in place of ML", "lrt-reml", needs="ml")(  # ``REML=False`` ignored
    lambda base: table_of_fits([base.refit(fit.formula, reml=True) for fit in base.fit])
)
tests("test: log-likelihoods not doubled", "lrt-statistic-half")(
    lambda base: {"Chisq": lambda t: t["Chisq"] / 2, _P: lambda t: stats.chi2.sf(t["Chisq"], t["Df"])}
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


@of_tests(4, "test: models of different rows", "lrt-rows", needs="other rows", without="")
def _unequal_rows(base: BaseFit) -> dict[str, float]:
    first, second = _refit(base)
    statistic, df = abs(2 * (second.logLik() - first.logLik())), second.npar - first.npar
    return {"chisq": statistic, "df": df, "p": stats.chi2.sf(statistic, df)}


of_tests(7, "test: correlation of one model lost", "correlation-lost", needs="slopes")(
    lambda base: [base.fit[0], base.fit[1].update(base.fit[1].formula.replace("(ses |", "(ses ||"))]
)
of_tests(12, "test: AIC and BIC not given", "missing-numbers")(
    lambda base: tidy_table(table_of_fits(_refit(base))).drop(columns=["AIC", "BIC"])
)


# ---------------------------------------------------------------------------------------------------- after a fit


def _with_errors(change: Callable[[pd.Series, BaseFit], pd.Series], base: BaseFit) -> pd.DataFrame:
    """Other standard errors, and the intervals that they make."""
    out, estimate = base.fit.assign(SE=change(base.fit["SE"], base)), base.fit["estimate"]
    for end in base.fit.columns.intersection(["lower.CL", "upper.CL"]):
        out[end] = estimate + (base.fit[end] - estimate) * out["SE"] / base.fit["SE"]
    return out


def _with_p(change: Callable[[np.ndarray], np.ndarray], base: BaseFit) -> pd.DataFrame:
    """Other p values, of the unadjusted ones."""
    return base.fit.assign(**{"p.value": change(2 * stats.t.sf(base.fit["t.ratio"].abs(), base.fit["df"]))})


of_results = partial(fault, kind="results")
errors, p_values = partial(of_results, 10, how=_with_errors), partial(of_results, 10, how=_with_p, needs="tests")


def _with_quantiles(base: BaseFit, level: float, df: float | None = None) -> pd.DataFrame:
    """Intervals of another level, or by other degrees of freedom than the table's own."""
    own = base.fit["df"].to_numpy(float) if "df" in base.fit else np.inf
    half = stats.t.ppf(0.5 + level / 2, own if df is None else df) * base.fit["SE"]
    return base.fit.assign(**{"lower.CL": base.fit["estimate"] - half, "upper.CL": base.fit["estimate"] + half})


of_results(10, "differences the other way round", "reversed", needs="tests")(
    lambda base: base.fit.assign(**{"estimate": -base.fit["estimate"], "t.ratio": -base.fit["t.ratio"]})
)


@of_results(10, "numbers under other levels", "levels-swapped")
def _levels_swapped(base: BaseFit) -> pd.DataFrame:
    numbers = [name for name in base.fit.columns if pd.api.types.is_float_dtype(base.fit[name]) and name != "ses"]
    out, estimates = base.fit.copy(), base.fit["estimate"].to_numpy()
    first, last = estimates.argmin(), estimates.argmax()
    out.loc[[first, last], numbers] = base.fit.loc[[last, first], numbers].to_numpy()
    return out


@of_results(10, "one number off", "one-row", needs="three rows", sized=FaultSize(0.05, 1e-4, "standard errors"))
def _one_row_off(base: BaseFit, size: float) -> pd.DataFrame:
    out = base.fit.copy()
    out.loc[1, "estimate"] += size * out.loc[1, "SE"]
    return out


errors("variances given as standard errors", "variance-for-se")(lambda se, base: se**2)
errors("residual variance in the errors of means", "variance-added", needs="means")(
    lambda se, base: np.sqrt(se**2 + base.sigma**2)
)
of_results(10, "normal quantiles for t's", "normal-quantiles", needs="df, intervals")(
    lambda base: _with_quantiles(base, 0.95, df=np.inf)
)
of_results(10, "intervals of another level", "other-level", needs="intervals")(lambda base: _with_quantiles(base, 0.9))
p_values("p values not adjusted", "not-adjusted")(lambda p: p)
p_values("p values of one tail", "one-sided")(lambda p: p / 2)
p_values("Bonferroni's for Tukey's adjustment", "bonferroni")(lambda p: np.minimum(1, len(p) * p))
