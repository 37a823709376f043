"""Whether a recorded reference is whole: every part there, of the size that the others say, and of finite numbers.

A reference that lacks a part would have nothing compared in its place; so it is refused when it is read.
"""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from validation.references.recorded import RecordedLmerFit, RecordedStanFit

__all__ = ["check_recorded_lmer", "check_recorded_stan"]

_SCALARS = ("sigma", "logLik", "deviance", "AIC", "BIC", "npar", "nobs", "df_residual", "singular")


def _demand(holds: bool, text: str) -> None:
    if not holds:
        raise ValueError(text)


def _finite(values: object, what: str) -> None:
    _demand(bool(np.isfinite(np.asarray(values, dtype=float)).all()), f"{what} has missing or infinite values")


def _same(left: Iterable[object], right: Iterable[object], what: str) -> None:
    _demand(sorted(map(str, left)) == sorted(map(str, right)), f"{what} do not fit each other")


def check_recorded_lmer(fit: RecordedLmerFit) -> None:
    """Check a likelihood fit as it was read.

    Raises
    ------
    ValueError
        A part is empty, missing, or of another size than the others say.
    """
    scalars = {name: fit.scalars.get(name) for name in (*_SCALARS, *(("REMLcrit",) * fit.reml))}
    absent = [name for name, value in scalars.items() if value is None or np.isnan(value)]
    _demand(not absent, f"no {', '.join(absent)}")
    _demand(float(fit.scalars["nobs"]).is_integer() and fit.scalars["nobs"] > 0, "nobs is no count")
    rows = int(fit.scalars["nobs"])
    sizes = {"X": len(fit.X), "y": len(fit.y), "fitted": len(fit.fits), "factors": len(fit.factors)}
    for name, size in {**sizes, "Z": fit.Z.shape[0]}.items():
        _demand(size == rows, f"{name} has {size} rows, nobs is {rows}")
    for values, what in ((fit.X, "X"), (fit.y, "y"), (fit.fits, "fitted"), (fit.theta, "theta")):
        _finite(values, what)
    names = list(fit.coefficients.index)
    _same(names, fit.X.columns, "coefficients and X")
    _same(names, fit.covariance.index, "coefficients and covariance")
    _same(names, fit.covariance.columns, "coefficients and covariance")
    _demand({"Estimate", "Std. Error", "t value"} <= set(fit.coefficients.columns), "coefficients lack a column of R's")
    _check_random(fit)
    _demand(bool(fit.points), "no points at which the objective is known")
    for name, theta, value in fit.points:
        _demand(len(theta) == len(fit.lower), f"the point {name!r} has {len(theta)} elements of theta")
        _finite([*theta, value], f"the point {name!r}")


def _check_random(fit: RecordedLmerFit) -> None:
    effects = [len(names) for names in fit.effects.values()]
    _demand(bool(effects) and min(effects) > 0, "no random terms")
    if fit.structures is None or fit.par is None:
        _demand(sum(p * (p + 1) // 2 for p in effects) == len(fit.theta), "theta does not have the terms' length")
        _same(fit.theta.index, fit.lower.index, "theta and its bounds")
    else:
        _demand(list(fit.structures["nc"]) == effects, "covariance structures do not fit the terms")
        _finite(fit.par, "par")
        _same(fit.par.index, fit.lower.index, "par and its bounds")
    _demand(fit.Z.shape[1] > 0, "Z is empty")
    parts = {"groups": fit.groups.index, "modes": fit.modes, "mode_variances": fit.mode_variances}
    for what, groups in parts.items():
        _same(groups, fit.factors.columns, f"factors and {what}")
    for group, frame in fit.modes.items():
        levels = fit.factors[group].cat.categories
        _same(frame.index, levels, f"modes and levels of {group}")
        _demand(int(fit.groups[group]) == len(levels), f"groups and levels of {group} do not fit each other")
        _finite(frame, f"modes of {group}")
        shape = np.shape(fit.mode_variances[group])
        _demand(shape == (len(frame), frame.shape[1], frame.shape[1]), f"mode_variances of {group} have shape {shape}")
    components = fit.components
    _demand(len(components) > 1, "no variance components")
    single = components["var2"].isna()
    of_terms = components[single & (components["grp"] != "Residual")].groupby("grp", sort=False)["var1"]
    given = {str(name): list(names) for name, names in of_terms}
    _demand(list(given.items()) == list(fit.effects.items()), "terms and components have other names or effects")
    for name in fit.effects:  # R calls a factor's second term g.1
        known = {name, re.sub(r"\.\d+$", "", name)} & set(map(str, fit.factors.columns))
        _demand(bool(known), f"the term {name!r} has no grouping factor")
    _finite(components["vcov"], "components")
    _demand(int(single.sum()) == sum(effects) + 1, "components do not fit the terms")
    _demand(bool((components["grp"] == "Residual").any()), "components lack the residual")


def check_recorded_stan(fit: RecordedStanFit) -> None:
    """Check a posterior as it was read.

    Raises
    ------
    ValueError
        A part is empty, missing, or of another size than the others say.
    """
    statistics = ["mean", "sd", "q2.5", "q50", "q97.5"]
    wanted = {*statistics, *(f"mcse_{name}" for name in statistics), "ess_bulk", "ess_tail", "rhat"}
    _demand(len(fit.table) > 0, "no parameters")
    _demand(wanted <= set(fit.table.columns), "the summary lacks a column")
    _demand(bool(fit.table.index.is_unique), "a parameter stands twice")
    _finite(fit.table[statistics], "the summary")
    _demand(len(fit.draws) > 0 and fit.draws.shape[1] > 0, "no draws")
    _demand(bool(pd.Index(fit.draws.columns).isin(fit.table.index).all()), "draws of parameters without a summary")
    _demand(fit.points.ndim == 2 and fit.points.size > 0, "no points at which the density is known")
    _demand(fit.log_density.shape == (len(fit.points),), "points and densities do not fit each other")
    _finite(fit.points, "points")
    _demand(fit.observations > 0, "no observations")
