"""Tables of marginal means, contrasts and predictions made wrong, in their errors, quantiles, adjustment or sign."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from validation.faults.bases import BaseFit
from validation.faults.fault import FaultSize, fault

_ESTIMATES = ("emmean", "estimate", "predicted")
_ERRORS = ("SE", "std.error")
_ENDS = (("lower.CL", "upper.CL"), ("conf.low", "conf.high"))


def _names(table: pd.DataFrame) -> tuple[str, str, tuple[str, str]]:
    """What the estimates, their errors and the intervals' ends are called."""
    estimate = next(name for name in table.columns if name in _ESTIMATES or name.endswith(".trend"))
    error = next(name for name in _ERRORS if name in table)
    return estimate, error, next((pair for pair in _ENDS if pair[0] in table), _ENDS[0])


def _with_errors(change: Callable[[pd.Series, BaseFit], pd.Series], base: BaseFit) -> pd.DataFrame:
    """Other standard errors, and the intervals that they make."""
    estimate, error, ends = _names(base.fit)
    se = base.fit[error].astype(float)
    wrong = change(se, base)
    out = base.fit.assign(**{error: wrong})
    for end in ends if ends[0] in base.fit else ():
        out[end] = base.fit[estimate] + (base.fit[end] - base.fit[estimate]) * wrong / se
    return out


def _with_p(change: Callable[[np.ndarray], np.ndarray], base: BaseFit) -> pd.DataFrame:
    """Other p values, of the unadjusted ones."""
    return base.fit.assign(**{"p.value": change(2 * stats.t.sf(base.fit["t.ratio"].abs(), base.fit["df"]))})


planted = partial(fault, kind="results")
errors, p_values = partial(planted, 10, how=_with_errors), partial(planted, 10, how=_with_p, needs="tests")


def _with_quantiles(base: BaseFit, level: float, df: float | None = None) -> pd.DataFrame:
    """Intervals of another level, or by other degrees of freedom than the table's own."""
    estimate, error, (low, high) = _names(base.fit)
    own = base.fit["df"].to_numpy(float) if "df" in base.fit else np.inf
    half = stats.t.ppf(0.5 + level / 2, own if df is None else df) * base.fit[error]
    return base.fit.assign(**{low: base.fit[estimate] - half, high: base.fit[estimate] + half})


planted(10, "differences the other way round", "reversed", needs="tests")(
    lambda base: base.fit.assign(**{"estimate": -base.fit["estimate"], "t.ratio": -base.fit["t.ratio"]})
)


@planted(10, "numbers under other levels", "levels-swapped")
def _levels_swapped(base: BaseFit) -> pd.DataFrame:
    estimate = _names(base.fit)[0]
    numbers = [name for name in base.fit.columns if pd.api.types.is_float_dtype(base.fit[name]) and name != "ses"]
    out = base.fit.copy()
    first, last = base.fit[estimate].to_numpy().argmin(), base.fit[estimate].to_numpy().argmax()
    out.loc[[first, last], numbers] = base.fit.loc[[last, first], numbers].to_numpy()
    return out


@planted(10, "one number off", "one-row", needs="three rows", sized=FaultSize(0.05, 1e-4, "standard errors"))
def _one_row_off(base: BaseFit, size: float) -> pd.DataFrame:
    estimate, error, _ = _names(base.fit)
    out = base.fit.copy()
    out.loc[1, estimate] += size * out.loc[1, error]
    return out


errors("variances given as standard errors", "variance-for-se")(lambda se, base: se**2)
errors("residual variance in the errors of means", "variance-added", needs="means")(
    lambda se, base: np.sqrt(se**2 + base.sigma**2)
)
planted(10, "normal quantiles for t's", "normal-quantiles", needs="df, intervals")(
    lambda base: _with_quantiles(base, 0.95, df=np.inf)
)
planted(10, "intervals of another level", "other-level", needs="intervals")(lambda base: _with_quantiles(base, 0.9))
p_values("p values not adjusted", "not-adjusted")(lambda p: p)
p_values("p values of one tail", "one-sided")(lambda p: p / 2)
p_values("Bonferroni's for Tukey's adjustment", "bonferroni")(lambda p: np.minimum(1, len(p) * p))
