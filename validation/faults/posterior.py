"""Posteriors made wrong: in their draws, their density, what is reported of them, or the model that was sampled."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy import stats

from pyimpl import decov, exponential, normal, student_t
from validation.faults.bases import BaseFit, PlantedPosterior
from validation.faults.fault import FaultSize, fault

planted = partial(fault, kind="posterior")


def _with(parts: Callable[[PlantedPosterior], Mapping[str, Any]], base: BaseFit) -> PlantedPosterior:
    """The right model sampled again, with other parts."""
    right = base.again()
    return replace(right, **parts(right))


changed = partial(planted, how=_with)


# ---------------------------------------------------------------------------------------------------- the model


#: What makes a prior of the response's values, and of 1 and the fault's size.
_Prior: TypeAlias = Callable[[pd.Series, float], object]


def _priors(argument: str, cause: str) -> Callable[..., Callable[[_Prior], _Prior]]:
    """Register other priors of an argument of ``stan_lmer`` as faults."""

    def sampled(prior: _Prior, base: BaseFit, size: float = 0.0) -> PlantedPosterior:
        return base.again(None, **{argument: prior(pd.Series(base.fit.response), 1 + size)})

    return partial(planted, 9, expected=cause, how=sampled)


def _share(planted_at: float) -> FaultSize:
    return FaultSize(planted_at, 1e-9, "share of the prior's scale")


_OVER_1 = FaultSize(1.0, 1e-9, "over 1")

of_intercept = _priors("prior_intercept", "prior-intercept")
of_intercept("intercept prior scale", sized=_share(3.0))(lambda y, k: normal(y.mean(), 2.5 * y.std() * k))
of_intercept("intercept prior of rstanarm before 2020")(lambda y, k: normal(0, 10 * y.std()))
of_intercept("student_t for normal, intercept")(lambda y, k: student_t(3, y.mean(), 2.5 * y.std()))
of_coefficients = _priors("prior", "prior-coefficients")
of_coefficients("autoscale off")(lambda y, k: normal(0, 2.5))
of_coefficients("coefficients' prior scale", sized=_share(1.0))(lambda y, k: normal(0, 2.5 * k, autoscale=True))


@planted(9, "sd with ddof 0", "prior-ddof")
def _ddof(base: BaseFit) -> PlantedPosterior:
    y, x = base.fit.response, base.fit.origin.spec.x  # arrays, whose std() has ddof 0
    return base.again(
        prior=normal(0, 2.5 * y.std() / x.std(axis=0, ddof=1)),
        prior_intercept=normal(y.mean(), 2.5 * y.std()),
        prior_aux=exponential(1 / y.std()),
    )


of_sigma = _priors("prior_aux", "prior-sigma")
of_sigma("rate taken for a scale (sigma)")(lambda y, k: exponential(y.std()))
of_sigma("sigma's prior scale", sized=_share(0.5))(lambda y, k: exponential(k / y.std()))
of_sigma("half-normal for exponential (sigma)")(lambda y, k: normal(0, y.std()))
of_covariance = _priors("prior_covariance", "prior-covariance")
of_covariance("decov scale", sized=_OVER_1)(lambda y, k: decov(scale=k))
of_covariance("decov shape", sized=_OVER_1)(lambda y, k: decov(shape=k))
of_covariance("LKJ shape (decov regularization)", needs="slopes", sized=_OVER_1)(lambda y, k: decov(regularization=k))
of_covariance("decov concentration", needs="slopes")(lambda y, k: decov(concentration=2.0))


@planted(4, "rows dropped before sampling", "rows", sized=FaultSize(8.0, 1.0, "rows"))
def _dropped_rows(base: BaseFit, size: float) -> PlantedPosterior:
    used = base.data.dropna(subset=["score", "ses", "school"]).index
    return base.again(base.data.drop(used[:: max(2, round(len(used) / size))][: max(1, round(size))]))


planted(4, "missing value as a level, sampled", "missing-as-level")(
    lambda base: base.again(
        base.data.assign(school=base.data["school"].astype(object).fillna("nan").astype("category"))
    )
)
planted(3, "another reference level, sampled", "coding-reference-level", needs="categorical")(
    lambda base: base.again(base.data.assign(stage=base.data["stage"].cat.reorder_categories(["late", "early"])))
)
planted(7, "correlation lost, sampled", "correlation-lost", needs="slopes")(
    lambda base: replace(base, formula=base.formula.replace("(ses |", "(ses ||")).again()
)


# ---------------------------------------------------------------------------------------------------- the density


#: The parts of unconstrained vectors by name: an array's last axis (STAN_LMER_MODEL.md, section 1).
_Parts: TypeAlias = dict[str, np.ndarray]


def _parts(fit: PlantedPosterior, u: np.ndarray) -> _Parts:
    return {name: u[..., at] for name, at in fit.origin._full.slices.items()}


def _with_term(extra: Callable[[Any, _Parts], np.ndarray], base: BaseFit) -> PlantedPosterior:
    """A term is added to the log density; the draws stay right, as no number of them would show it."""
    return _with(lambda fit: {"log_prob": lambda u: fit.log_prob(u) + extra(fit.origin.spec, _parts(fit, u))}, base)


of_density = partial(planted, 9, how=_with_term)


def _shift(spec: Any, u: _Parts) -> np.ndarray:
    """From the intercept at 0 to that at the predictors' means."""
    return np.asarray((u["z_beta"] * spec.coef.scale) @ spec.xbar)


def _of_intercept(spec: Any, intercept: np.ndarray) -> np.ndarray:
    """Log density of its prior, less a constant."""
    return np.asarray(-0.5 * ((intercept - float(spec.intercept.mean[0])) / float(spec.intercept.scale[0])) ** 2)


of_density("intercept prior not centred", "prior-not-centred")(
    lambda spec, u: _of_intercept(spec, u["gamma"][..., 0] - _shift(spec, u)) - _of_intercept(spec, u["gamma"][..., 0])
)


# Exponential(1) on a² in place of a: −a² + log(2a) for −a
@of_density("prior on the variance for the sd", "prior-sigma")
def _variance_prior(spec: Any, u: _Parts) -> np.ndarray:
    a = np.exp(u["aux"][..., 0])
    return np.asarray(a - a**2 + np.log(2 * a))


of_density("Jacobian of log sigma lost", "prior-sigma")(lambda spec, u: -u["aux"][..., 0])


# β ~ N(0, s a) in place of N(0, s)
@of_density("coefficients' prior times sigma", "prior-coefficients")
def _scaled_by_sigma(spec: Any, u: _Parts) -> np.ndarray:
    z, log_a = u["z_beta"], u["aux"][..., 0]
    return np.asarray(-0.5 * np.sum(z**2, axis=-1) * (np.exp(-2 * log_a) - 1) - z.shape[-1] * log_a)


of_density("student_t for normal, coefficients", "prior-coefficients")(
    lambda spec, u: np.sum(stats.t.logpdf(u["z_beta"], 3) - stats.norm.logpdf(u["z_beta"]), axis=-1)
)


def _moved(
    fit: PlantedPosterior,
    at: str,
    move: Callable[[Any, _Parts], np.ndarray],
    own: Callable[[Any, np.ndarray], np.ndarray],
) -> dict[str, Any]:
    """The right density at points of which a part is moved, that part's own term where it was and not where it is."""
    spec, place = fit.origin.spec, fit.origin._full.slices[at]

    def moved(u: np.ndarray, sign: float) -> np.ndarray:
        to = u.copy()
        to[..., place] += sign * move(spec, _parts(fit, u))[..., None]
        return to

    def log_prob(u: np.ndarray) -> np.ndarray:
        to = moved(u, 1.0)
        return np.asarray(fit.log_prob(to)) + own(spec, u[..., place]) - own(spec, to[..., place])

    draws = fit.unconstrained_draws
    return {"log_prob": log_prob, "unconstrained_draws": lambda n, seed: moved(draws(n, seed), -1.0)}


# the random effects' sd is τ in place of τσ
changed(9, "tau without sigma", "prior-random-effects")(
    lambda fit: _moved(
        fit,
        "tau",
        lambda spec, u: -(u["aux"][..., 0] + math.log(float(spec.aux.scale[0]))),
        lambda spec, log_tau: np.sum(log_tau - np.exp(log_tau), axis=-1),
    )
)
# the intercept that is sampled is the one at 0
changed(9, "predictors not centred", "prior-not-centred")(
    lambda fit: _moved(fit, "gamma", _shift, lambda spec, gamma: _of_intercept(spec, gamma).sum(axis=-1))
)
changed(12, "density in single precision", "single-precision")(
    lambda fit: {"log_prob": lambda u: np.asarray(fit.log_prob(u), dtype=np.float32).astype(float)}
)


# ---------------------------------------------------------------------------------------------------- the draws


def _with_draws(change: Callable[[PlantedPosterior], Mapping[str, np.ndarray]], base: BaseFit) -> PlantedPosterior:
    """Other draws of some parameters, chains x draws."""
    right = base.again()
    draws = right.draws.copy()
    for name, values in change(right).items():
        draws.loc[name] = values
    return replace(right, draws=draws)


of_draws = partial(planted, how=_with_draws)


def _variances(fit: PlantedPosterior) -> list[str]:
    pairs = {name: name[:-1].partition(":")[2].split(",") for name in fit.names if name.startswith("Sigma[")}
    return [name for name, (first, second) in pairs.items() if first == second]


def _reordered(order: Callable[[list[str]], list[str]]) -> Callable[[PlantedPosterior], Mapping[str, np.ndarray]]:
    """The levels' draws of each effect in another order, under the names that the levels had."""

    def change(fit: PlantedPosterior) -> Mapping[str, np.ndarray]:
        effects: dict[str, list[str]] = {}
        for name in fit.names:
            if name.startswith("b[") and "_NEW_" not in name:
                effects.setdefault(name.partition(" ")[0], []).append(name)
        levels = [pair for names in effects.values() for pair in zip(names, order(names), strict=True)]
        return {name: fit.of(other) for name, other in levels}

    return change


of_draws(2, "SDs among the draws of Sigma", "scale-square-root")(
    lambda fit: {name: np.sqrt(fit.of(name)) for name in _variances(fit)}
)
of_draws(2, "Sigma relative to sigma squared", "scale-relative-variance")(
    lambda fit: {name: fit.of(name) / fit.of("sigma") ** 2 for name in fit.names if name.startswith("Sigma[")}
)
of_draws(12, "a chain copied", "copied-draws")(
    lambda fit: {name: fit.of(name)[[0, 0, *range(2, fit.draws.shape[1])]] for name in fit.names}
)
of_draws(12, "halves of chains copied", "copied-draws")(
    lambda fit: {name: np.tile(fit.of(name)[:, : fit.draws.shape[2] // 2], 2) for name in fit.names}
)


@of_draws(8, "intercept and sigma in an order of their own", "torn-apart")
def _coefficients_shuffled(fit: PlantedPosterior) -> Mapping[str, np.ndarray]:
    order = np.random.default_rng(1).permutation(fit.draws[0].size)
    return {name: fit.of(name).ravel()[order].reshape(fit.draws[0].shape) for name in ("(Intercept)", "sigma")}


of_draws(2, "sigma squared among the draws", "scale-squared")(lambda fit: {"sigma": fit.of("sigma") ** 2})
of_draws(8, "draws of levels reversed", "permuted-levels")(_reordered(lambda names: names[::-1]))
of_draws(8, "draws of levels in alphabetical order", "permuted-levels")(_reordered(sorted))


@of_draws(9, "intercept reported at centred predictors", "intercept-shifted")
def _centred_intercept(fit: PlantedPosterior) -> Mapping[str, np.ndarray]:
    spec = fit.origin.spec
    slopes = np.array([fit.of(str(name)) for name in spec.design.coef_names[1:]])
    return {"(Intercept)": fit.of("(Intercept)") + np.einsum("k,kcd->cd", spec.xbar, slopes)}


# right draws are reported otherwise
reported = partial(
    planted, 2, how=lambda change, base: _with(lambda fit: {"reports": {**fit.reports, **change(fit)}}, base)
)
_Statistic: TypeAlias = Callable[[np.ndarray], float]


def _varcorr(
    fit: PlantedPosterior, sd: _Statistic | None = None, correlation: _Statistic | None = None
) -> dict[str, object]:
    """VarCorr's sds, or correlations, as a statistic of their draws, in place of those of the mean covariances."""
    table = fit.VarCorr()
    for i, (group, *effects) in enumerate(table[["grp", "var1", "var2"]].itertuples(index=False)):
        named = [effect for effect in effects if isinstance(effect, str)]  # none of the residual's
        variances = [fit.of(f"Sigma[{group}:{effect},{effect}]") for effect in named]
        if len(named) == 2 and correlation is not None:
            covariance = fit.of(f"Sigma[{group}:{named[1]},{named[0]}]")
            table.loc[i, "sdcor"] = correlation(covariance / np.sqrt(variances[0] * variances[1]))
        elif len(named) == 1 and sd is not None:
            table.loc[i, "sdcor"] = sd(np.sqrt(variances[0]))
            table.loc[i, "vcov"] = table.loc[i, "sdcor"] ** 2
    return {"VarCorr": table}


def _sds_for_variances(fit: PlantedPosterior) -> dict[str, object]:
    table = fit.VarCorr()
    return {"VarCorr": table.assign(vcov=table["vcov"].where(table["var2"].notna(), table["sdcor"]))}


def _of_coefficients(fit: PlantedPosterior, statistic: _Statistic) -> pd.Series:
    return pd.Series({name: statistic(fit.of(str(name)).ravel()) for name in fit.fixef().index})


reported("VarCorr: medians of the sds", "summary-sd-median-sd")(lambda fit: _varcorr(fit, sd=np.median))
reported("VarCorr: means of the sds", "summary-sd-mean-sd")(lambda fit: _varcorr(fit, sd=np.mean))
reported("VarCorr: sds in place of variances", "summary-variance-square-root")(_sds_for_variances)
reported("VarCorr: means of the correlations", "summary-correlation-mean", needs="slopes")(
    lambda fit: _varcorr(fit, correlation=np.mean)
)
reported("means for medians", "summary-fixef-mean")(lambda fit: {"fixef": _of_coefficients(fit, np.mean)})
reported("sds for MAD_SD", "summary-se-sd-ddof0")(lambda fit: {"se": _of_coefficients(fit, np.std)})
changed(12, "unseen level's effects lost", "missing-parameters")(
    lambda fit: {"draws": fit.draws.sel(parameter=[name for name in fit.names if "_NEW_" not in name])}
)
changed(12, "a coefficient lost", "missing-parameters")(lambda fit: {"draws": fit.draws.drop_sel(parameter="ses")})
