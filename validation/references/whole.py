"""Whether a recorded reference is whole: every part there, of the size that the others say, and of finite numbers.

A reference that lacks a part would have nothing compared in its place; so it is refused when it is read. So is one
that contradicts itself: many of its numbers follow from others (t from estimate and error, counts from the design, the
bounds of θ from the terms), and where no candidate is compared with them nobody else would see that they were changed.
"""

import math
import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from validation.covariances import FREE
from validation.references.recorded import RecordedLmerFit, RecordedStanFit, ReportedFit

__all__ = ["DEFAULT_OPTIMUM", "TIGHT_OPTIMUM", "check_recorded_default", "check_recorded_lmer", "check_recorded_stan"]

#: Name of the point at which default lme4 ended.
DEFAULT_OPTIMUM = "default optimum"
#: Name of the point at which lme4 with a tight optimizer ended.
TIGHT_OPTIMUM = "tight optimum"

#: Of a term's name: R calls a factor's second term g.1.
_WITHOUT_NUMBER = re.compile(r"\.\d+$")

#: Elements of θ, each of which is 0 at one of the points.
_MOST_BOUNDARIES = 6

#: Relative difference of two ways of computing one number; R's squares and quotients differ in the last digits.
_COMPUTED = 1e-8
#: Standard errors of a mean that the draws may be away from the summary, which has more of them.
_FAR = 8.0
#: Posterior sd that a Monte Carlo error may have: a quantile of a long tail, of few effective draws, has more than one.
_LARGEST_ERROR = 4.0

_SCALARS = ("sigma", "logLik", "deviance", "AIC", "BIC", "npar", "nobs", "df_residual", "singular")


def _demand(holds: bool, text: str) -> None:
    if not holds:
        raise ValueError(text)


def _finite(values: object, what: str) -> None:
    _demand(bool(np.isfinite(np.asarray(values, dtype=float)).all()), f"{what} has missing or infinite values")


def _same(left: Iterable[object], right: Iterable[object], what: str) -> None:
    _demand(sorted(map(str, left)) == sorted(map(str, right)), f"{what} do not fit each other")


def _equal(found: object, expected: object, what: str) -> None:
    """Two arrays that are one number computed twice; both missing is equal."""
    left, right = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    close = left.shape == right.shape and bool(np.isclose(left, right, rtol=_COMPUTED, atol=0.0, equal_nan=True).all())
    _demand(close, f"{what} contradict each other")


def _count(value: float, what: str) -> int:
    _demand(math.isfinite(value) and float(value).is_integer(), f"{what} is no count")
    return int(value)


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
    _finite(fit.sigma(), "sigma")
    rows, npar, df = (_count(fit.scalars[name], name) for name in ("nobs", "npar", "df_residual"))
    _demand(rows > 0, "no observations")
    _demand(df == rows - npar, "nobs, npar and df_residual contradict each other")
    _demand(fit.scalars["singular"] == float(fit.isSingular()), "singular is not what theta and its bounds say")
    _demand(npar == len(fit.coefficients) + len(fit.lower) + 1, "npar is not the number of parameters")
    sizes = {"X": len(fit.X), "y": len(fit.y), "fitted": len(fit.fits), "factors": len(fit.factors)}
    for name, size in {**sizes, "Z": fit.Z.shape[0]}.items():
        _demand(size == rows, f"{name} has {size} rows, nobs is {rows}")
    for values, what in ((fit.X, "X"), (fit.y, "y"), (fit.fits, "fitted"), (fit.theta, "theta")):
        _finite(values, what)
    names = list(fit.coefficients.index)
    _same(names, fit.X.columns, "coefficients and X")
    _same(names, fit.covariance.index, "coefficients and covariance")
    _same(names, fit.covariance.columns, "coefficients and covariance")
    _check_reported(fit)
    _finite(fit.covariance, "covariance")
    _demand(np.allclose(fit.covariance, fit.covariance.T, rtol=_COMPUTED, atol=0.0), "covariance is not symmetric")
    _equal(fit.coefficients["Std. Error"] ** 2, np.diag(fit.covariance), "standard errors and covariance")
    _check_random(fit)
    _check_points(fit)
    _demand(isinstance(fit.optimizer, Mapping), "the optimizer's account is no mapping")
    if fit.par is None and "theta" in fit.optimizer:
        _equal(fit.optimizer["theta"], fit.theta, "theta and the optimizer's")


def check_recorded_default(default: ReportedFit, tight: RecordedLmerFit) -> None:
    """Check what default lme4 reports, which is shown beside the fit that candidates are judged by.

    Raises
    ------
    ValueError
        It is of another model, or contradicts itself.
    """
    _demand(list(default.coefficients.index) == list(tight.coefficients.index), "default lme4 has other coefficients")
    _check_reported(default)
    labels = [
        [tuple(None if pd.isna(label) else label for label in row) for row in rows.itertuples(index=False)]
        for rows in (fit.components[["grp", "var1", "var2"]] for fit in (default, tight))
    ]
    _demand(labels[0] == labels[1], "default lme4 has other variance components")
    _finite(default.logLik(), "default lme4's logLik")
    ended = [value for name, _, value in tight.points if name == DEFAULT_OPTIMUM]
    _demand(len(ended) == 1, "no objective where default lme4 ended")
    _equal(default.logLik(), -ended[0] / 2.0, "default lme4's logLik and the objective at its optimum")


def _check_reported(fit: ReportedFit) -> None:
    """What ``summary()`` says: t = estimate / error, sd² = variance, correlation = covariance / (sd sd)."""
    table, components = fit.coefficients, fit.components
    _demand({"Estimate", "Std. Error", "t value"} <= set(table.columns), "coefficients lack a column of R's")
    _finite(table[["Estimate", "Std. Error", "t value"]], "coefficients")
    _demand(bool((table["Std. Error"] > 0).all()), "a standard error is not positive")
    _equal(table["Estimate"] / table["Std. Error"], table["t value"], "estimates, standard errors and t values")
    _finite(components["vcov"], "components")
    single = components["var2"].isna()
    ones = components[single]
    _demand(bool((ones["sdcor"] >= 0).all()), "a standard deviation is negative or missing")
    _equal(ones["sdcor"] ** 2, ones["vcov"], "variances and standard deviations")
    sds = {(grp, var1): sd for grp, var1, sd in zip(ones["grp"], ones["var1"], ones["sdcor"], strict=True)}
    for row in components[~single].itertuples(index=False):
        _demand({(row.grp, row.var1), (row.grp, row.var2)} <= set(sds), "a covariance of effects without variances")
        product = sds[row.grp, row.var1] * sds[row.grp, row.var2]
        if product > 0:
            _equal(row.sdcor * product, row.vcov, "correlations and covariances")


def _check_points(fit: RecordedLmerFit) -> None:
    """The points of :func:`validation.judge.objective.theta_points`, each once: nobody compares at one that is gone."""
    _demand(bool(fit.points), "no points at which the objective is known")
    names = {name for name, _, _ in fit.points}
    zeros = [i for i, low in enumerate(fit.lower) if low == 0.0][:_MOST_BOUNDARIES]
    drawn = sum(name.startswith("random ") for name in names)
    usual = {
        *(TIGHT_OPTIMUM, "start", "boundary, all 0"),
        *(f"boundary, element {i + 1}" for i in zeros),
        *(f"random {i + 1}" for i in range(max(drawn, 1))),
    }
    _demand(names - {DEFAULT_OPTIMUM} == usual, "the points of the objective are not those that are recorded")
    _demand(len({name for name, _, _ in fit.points}) == len(fit.points), "a point of the objective stands twice")
    known: dict[tuple[float, ...], float] = {}
    for name, theta, value in fit.points:
        _demand(len(theta) == len(fit.lower), f"the point {name!r} has {len(theta)} elements of theta")
        _finite([*theta, value], f"the point {name!r}")
        _equal(known.setdefault(theta, value), value, f"two values of the objective at the point {name!r}")
        if name == TIGHT_OPTIMUM:
            _equal(theta, fit.theta if fit.par is None else fit.par, "the optimum and the point that is called so")


def _check_random(fit: RecordedLmerFit) -> None:
    effects = [len(names) for names in fit.effects.values()]
    _demand(bool(effects) and min(effects) > 0, "no random terms")
    if fit.structures is None or fit.par is None:
        _demand(sum(p * (p + 1) // 2 for p in effects) == len(fit.theta), "theta does not have the terms' length")
        least = [low for p in effects for low, _ in FREE.bounds(p)]
        _demand(fit.lower.to_list() == least, "the bounds of theta are not those of its terms")
        _demand(list(fit.theta.index) == list(fit.lower.index), "theta and its bounds have other labels")
    else:
        _demand(list(fit.structures["nc"]) == effects, "covariance structures do not fit the terms")
        _finite(fit.par, "par")
        _demand(list(fit.par.index) == list(fit.lower.index), "par and its bounds have other labels")
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
        terms = sum(group in (name, _WITHOUT_NUMBER.sub("", name)) for name in fit.effects)
        _check_covariances(fit.mode_variances[group], terms > 1, f"mode_variances of {group}")
    components = fit.components
    _demand(len(components) > 1, "no variance components")
    single = components["var2"].isna()
    of_terms = components[single & (components["grp"] != "Residual")].groupby("grp", sort=False)["var1"]
    given = {str(name): list(names) for name, names in of_terms}
    _demand(list(given.items()) == list(fit.effects.items()), "terms and components have other names or effects")
    for name in fit.effects:
        known = {name, _WITHOUT_NUMBER.sub("", name)} & set(map(str, fit.factors.columns))
        _demand(bool(known), f"the term {name!r} has no grouping factor")
    _demand(int(single.sum()) == sum(effects) + 1, "components do not fit the terms")
    residual = components.loc[components["grp"] == "Residual", "sdcor"]
    _demand(len(residual) == 1, "components lack the residual")
    _equal(residual.iloc[0], fit.sigma(), "sigma and the residual's component")


def _check_covariances(matrices: np.ndarray, across: bool, what: str) -> None:
    """Symmetric, no correlation above 1; ``across`` terms there is no covariance, in R either.

    The digits that are gone where a variance is almost 0 are allowed for.
    """
    variances = np.einsum("lee->le", matrices)
    _finite(variances if across else matrices, what)
    missing = np.isnan(matrices)
    _demand(bool((missing == missing.transpose(0, 2, 1)).all()), f"{what} are not symmetric")
    matrices = np.where(missing, 0.0, matrices)
    _demand(bool((variances >= 0.0).all()), f"{what} are negative")
    most = np.sqrt(variances[:, :, None] * variances[:, None, :])
    scale = float(variances.max(initial=0.0)) * _COMPUTED
    _demand(bool((np.abs(matrices - matrices.transpose(0, 2, 1)) <= scale).all()), f"{what} are not symmetric")
    _demand(bool((np.abs(matrices) <= most + scale).all()), f"{what} have correlations above 1")


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
    _check_summary(fit.table)
    _demand(len(fit.draws) > 0 and fit.draws.shape[1] > 0, "no draws")
    _demand(bool(pd.Index(fit.draws.columns).isin(fit.table.index).all()), "draws of parameters without a summary")
    _finite(fit.draws, "draws")
    _check_account(fit)
    for name, values in fit.draws.items():
        _demand(not _is_variance(str(name)) or bool((values > 0.0).all()), f"{name} has draws that are not positive")
        mean, error, sd = fit.table.loc[str(name), ["mean", "mcse_mean", "sd"]].to_numpy(dtype=float)
        away = abs(float(values.mean()) - mean)
        _demand(away <= _FAR * (error + sd / math.sqrt(len(values))), f"draws and summary of {name} do not fit")
    _demand(fit.points.ndim == 2 and fit.points.size > 0, "no points at which the density is known")
    _demand(fit.log_density.shape == (len(fit.points),), "points and densities do not fit each other")
    _finite(fit.points, "points")
    _demand(fit.observations > 0, "no observations")


def _is_variance(name: str) -> bool:
    """Whether rstanarm's parameter is a standard deviation or a variance: ``sigma``, ``Sigma[g:x,x]``."""
    inside = name.removeprefix("Sigma[").removesuffix("]")
    commas = [i for i, character in enumerate(inside) if character == ","]
    return name == "sigma" or (inside != name and any(inside[:i].endswith(":" + inside[i + 1 :]) for i in commas))


def _check_account(fit: RecordedStanFit) -> None:
    """How it was sampled, where that is told: chains, draws, the smallest effective sample size."""
    told = fit.provenance
    if not {"arguments", "chains", "chunks", "draws", "smallest_bulk_ess"} <= told.keys():
        return
    given = told["arguments"]
    if not isinstance(given, Mapping):
        raise ValueError("the arguments of the sampler are no mapping")
    chains, chunks, draws, told_least = (_whole(told, n) for n in ("chains", "chunks", "draws", "smallest_bulk_ess"))
    each = _whole(given, "iter")
    warmup = _whole(given, "warmup") if "warmup" in given else each // 2
    _demand(chains == chunks * _whole(given, "chains"), "chains and chunks contradict each other")
    _demand(draws == chains * (each - warmup), "draws, chains and iterations contradict each other")
    least = float(fit.table.loc[list(fit.draws.columns), "ess_bulk"].min())
    _demand(told_least == round(least), "the smallest bulk ESS is not that of the summary")


def _whole(account: Mapping[str, object], name: str) -> int:
    value = account.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is no whole number")
    return value


def _check_summary(table: pd.DataFrame) -> None:
    """Every number finite, quantiles in order, errors that the draws can have: an error of 1e300 excuses anything."""
    statistics = ["mean", "sd", "q2.5", "q50", "q97.5"]
    _finite(table[statistics], "the summary")
    _demand(bool((table["sd"] >= 0).all()), "a standard deviation is negative")
    _demand(bool((np.diff(table[["q2.5", "q50", "q97.5"]], axis=1) >= 0).all()), "quantiles are not in order")
    sampled = table[table["sd"] > 0]
    errors = sampled[[f"mcse_{name}" for name in statistics]]
    _finite(errors, "Monte Carlo errors")
    _finite(sampled[["ess_bulk", "ess_tail", "rhat"]], "diagnostics")
    _demand(bool((sampled[["ess_bulk", "ess_tail", "rhat"]] > 0).all(axis=None)), "a diagnostic is not positive")
    within = (errors >= 0) & errors.le(_LARGEST_ERROR * sampled["sd"], axis=0)
    _demand(bool(within.all(axis=None)), f"a Monte Carlo error is negative, or above {_LARGEST_ERROR:g} posterior sd")
