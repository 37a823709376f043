"""Confidence intervals by Wald's method and by the profile (``confint.merMod``), and what they need of a fit."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pyimpl.errors import DataError
from pyimpl.inference.at_optimum import AtOptimum, find_optimum
from pyimpl.inference.control import LmerControl
from pyimpl.inference.estimates import Estimates
from pyimpl.inference.profile import STEPS, Profiler, percent_labels, variance_parameters
from pyimpl.likelihood.parameters import ParameterChoice, Parameters, asked_names
from pyimpl.likelihood.threads import threads_for
from pyimpl.linalg.forecast import Forecast
from pyimpl.progress import with_bar
from r_scripts.dialect import Dialect

__all__ = ["chosen_statistics", "parameter_values", "profile_intervals", "profiler_of", "wald_intervals"]


def wald_intervals(estimates: Estimates, parameters: Parameters, level: float) -> pd.DataFrame:
    """``confint(m, method = "Wald")``: estimates plus and minus normal quantiles of their standard errors.

    Returns
    -------
    DataFrame
        Parameter x ``2.5 %``, ``97.5 %``; missing for standard deviations and correlations, as in R.
    """
    from scipy.special import ndtri

    tails = ((1 - level) / 2, 1 - (1 - level) / 2)
    beta, se = estimates.beta, np.sqrt(np.diag(estimates.vcov))
    missing = np.full(estimates.theta.size + 1, np.nan)
    bounds = {
        head: np.concatenate([missing, beta + se * float(ndtri(tail))])
        for head, tail in zip(percent_labels(tails), tails, strict=True)
    }
    return pd.DataFrame(bounds, index=list(parameters.names()))


def profile_intervals(profiler: Profiler, names: Sequence[str], level: float, progress: bool) -> pd.DataFrame:
    """``confint(m, method = "profile")``: where the signed root deviance is the normal quantile.

    Returns
    -------
    DataFrame
        Parameter x ``2.5 %``, ``97.5 %``.
    """
    with threads_for(profiler.design):
        forecast = Forecast("confint", STEPS * len(names), "steps", 'Name fewer parameters, or take method="Wald"')
        tracked = with_bar("confint", names, [1] * len(names), shown=progress)
        ends = [profiler.interval(name, level, forecast) for name in tracked]
    return pd.DataFrame(ends, index=list(names), columns=percent_labels((0.5 * (1 - level), 0.5 * (1 + level))))


def profiler_of(model: AtOptimum, start: np.ndarray, control: LmerControl, dialect: Dialect) -> Profiler:
    """Profiles of a model, fitted by maximum likelihood first if it is a REML fit.

    Parameters
    ----------
    model : AtOptimum
    start : ndarray, shape (n_theta,)
        θ that the maximum likelihood fit starts from.
    control : LmerControl
    dialect : Dialect
    """
    ml = find_optimum(model.design, model.reduced, False, control, start) if model.REML else model
    return Profiler(ml.design, ml.reduced, ml.estimates, ml.value, dialect)


def parameter_values(estimates: Estimates, parameters: Parameters) -> dict[str, float]:
    """Standard deviations, correlations, σ̂ and coefficients: what ``confint(m, method = "boot")`` bootstraps."""
    variances = variance_parameters(estimates, parameters.covariances)
    values = np.concatenate([variances, [estimates.sigma], estimates.beta])[list(parameters.order)]
    return dict(zip(parameters.names(), values.tolist(), strict=True))


def rows_of(chosen: Sequence[str], wanted: ParameterChoice, names: Sequence[str]) -> list[str]:
    """Return the rows of a table of Wald or bootstrap intervals: by number each as it is asked for, as ``ci[parm, ]``.

    Parameters
    ----------
    chosen : sequence of str
        The parameters that are meant, each once, in the version's order: R's rows where names are asked for.
    wanted : str, int, sequence of them, or None
    names : sequence of str
        What numbers count.
    """
    if wanted is None or isinstance(wanted, str):
        return list(chosen)
    if not isinstance(wanted, int) and any(isinstance(one, str) for one in wanted):
        return list(chosen)
    return asked_names(wanted, names)


def chosen_statistics(names: Sequence[str], wanted: ParameterChoice) -> list[str]:
    """Return the statistics of a bootstrap that are meant, as they are asked for.

    Raises
    ------
    DataError
        One is not there.
    """
    if wanted is None:
        return list(names)
    asked = asked_names(wanted, names)
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise DataError(f"there is no parameter {unknown[0]!r}; FUN gives {', '.join(names)}")
    return asked
