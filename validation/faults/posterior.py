"""Posteriors made wrong: in their draws, their density, what is reported of them, or the model that was sampled."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from validation.faults.bases import Base
from validation.faults.fault import Fault, Sized
from validation.faults.planted import PlantedPosterior, sample
from validation.quantities import records

__all__ = ["POSTERIOR_FAULTS"]


def _again(base: Base, data: pd.DataFrame | None = None, **options: Any) -> PlantedPosterior:
    draws = int(base.options["draws"])
    return sample(base.formula, base.data if data is None else data, base.seed + 1000, draws, **options)


def _right(base: Base) -> PlantedPosterior:
    return _again(base)


def _sds(base: Base, ddof: int = 1) -> tuple[float, float, np.ndarray]:
    """Mean and sd of the response, and sds of the predictors."""
    spec = base.fit.origin.spec
    y = base.fit.response
    return float(y.mean()), float(y.std(ddof=ddof)), np.asarray(spec.x.std(axis=0, ddof=ddof), dtype=float)


# ---------------------------------------------------------------------------------------------------- the model


def _prior(make: Callable[[Base, float], dict[str, Any]]) -> Callable[[Base, float], PlantedPosterior]:
    return lambda base, size: _again(base, **make(base, size))


def _intercept(base: Base, size: float) -> dict[str, Any]:
    from pyimpl import normal

    mean, sd, _ = _sds(base)
    return {"prior_intercept": normal(mean, 2.5 * sd * (1 + size))}


def _old_intercept(base: Base, size: float) -> dict[str, Any]:
    from pyimpl import normal

    return {"prior_intercept": normal(0, 10 * _sds(base)[1])}


def _t_intercept(base: Base, size: float) -> dict[str, Any]:
    from pyimpl import student_t

    mean, sd, _ = _sds(base)
    return {"prior_intercept": student_t(3, mean, 2.5 * sd)}


def _no_autoscale(base: Base, size: float) -> dict[str, Any]:
    from pyimpl import normal

    return {"prior": normal(0, 2.5)}


def _coefficients(base: Base, size: float) -> dict[str, Any]:
    from pyimpl import normal

    return {"prior": normal(0, 2.5 * (1 + size), autoscale=True)}


def _ddof(base: Base, size: float) -> dict[str, Any]:
    from pyimpl import exponential, normal

    mean, sd, _ = _sds(base, ddof=0)
    return {
        "prior": normal(0, 2.5 * sd / _sds(base)[2]),
        "prior_intercept": normal(mean, 2.5 * sd),
        "prior_aux": exponential(1 / sd),
    }


def _rate_as_scale(base: Base, size: float) -> dict[str, Any]:
    from pyimpl import exponential

    return {"prior_aux": exponential(_sds(base)[1])}


def _sigma_scale(base: Base, size: float) -> dict[str, Any]:
    from pyimpl import exponential

    return {"prior_aux": exponential((1 + size) / _sds(base)[1])}


def _half_normal(base: Base, size: float) -> dict[str, Any]:
    from pyimpl import normal

    return {"prior_aux": normal(0, _sds(base)[1])}


def _decov(**changed: float) -> Callable[[Base, float], dict[str, Any]]:
    def make(base: Base, size: float) -> dict[str, Any]:
        from pyimpl import decov

        return {"prior_covariance": decov(**changed)}

    return make


def _decov_sized(name: str) -> Callable[[Base, float], dict[str, Any]]:
    def make(base: Base, size: float) -> dict[str, Any]:
        from pyimpl import decov

        return {"prior_covariance": decov(**{name: 1.0 + size})}

    return make


def dropped_rows(base: Base, size: float) -> PlantedPosterior:
    """Some rows are dropped."""
    used = base.data.dropna(subset=["score", "ses", "school"]).index
    return _again(base, base.data.drop(used[:: max(2, round(len(used) / size))][: max(1, round(size))]))


def missing_as_level(base: Base) -> PlantedPosterior:
    """A missing school is a school called ``nan``."""
    school = base.data["school"].astype(object).fillna("nan").astype("category")
    return _again(base, base.data.assign(school=school))


def relevelled(base: Base) -> PlantedPosterior:
    """The other level of a factor is its reference."""
    return _again(base, base.data.assign(stage=base.data["stage"].cat.reorder_categories(["late", "early"])))


def correlation_lost(base: Base) -> PlantedPosterior:
    """Random intercept and slope without their correlation."""
    formula = base.formula.replace("(ses |", "(ses ||")
    return sample(formula, base.data, base.seed + 1000, int(base.options["draws"]))


# ---------------------------------------------------------------------------------------------------- the density


def _slices(fit: PlantedPosterior) -> dict[str, slice]:
    """Positions in the unconstrained vector (STAN_LMER_MODEL.md, section 1)."""
    slices: dict[str, slice] = fit.origin._full.slices
    return slices


def _plus(extra: Callable[[PlantedPosterior, np.ndarray], np.ndarray]) -> Callable[[Base, float], PlantedPosterior]:
    """A term added to the log density; the draws stay right, as no number of them would show it."""

    def plant(base: Base, size: float) -> PlantedPosterior:
        right = _right(base)

        def log_prob(points: np.ndarray) -> Any:
            u = np.atleast_2d(np.asarray(points, dtype=float))
            values = np.asarray(right.log_prob(u)) + extra(right, u)
            return float(values[0]) if np.ndim(points) == 1 else values

        return replace(right, log_prob=log_prob)

    return plant


def _log_a(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
    values: np.ndarray = u[:, _slices(fit)["aux"]][:, 0]
    return values


def _not_centred(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
    spec, at = fit.origin.spec, _slices(fit)
    gamma = u[:, at["gamma"]][:, 0]
    shift = (u[:, at["z_beta"]] * spec.coef.scale) @ spec.xbar
    mean, scale = float(spec.intercept.mean[0]), float(spec.intercept.scale[0])
    moved: np.ndarray = -0.5 * (((gamma - shift - mean) / scale) ** 2 - ((gamma - mean) / scale) ** 2)
    return moved


def _variance_prior(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
    # Exponential(1) on a² in place of a: −a² + log(2a) for −a.
    a = np.exp(_log_a(fit, u))
    return np.asarray(a - a**2 + np.log(2 * a))


def _no_jacobian(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
    return -_log_a(fit, u)


def _scaled_by_sigma(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
    # β ~ N(0, s a) in place of N(0, s).
    z, log_a = u[:, _slices(fit)["z_beta"]], _log_a(fit, u)
    return np.asarray(-0.5 * np.sum(z**2, axis=1) * (np.exp(-2 * log_a) - 1) - z.shape[1] * log_a)


def _t_coefficients(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
    from scipy.stats import norm
    from scipy.stats import t as student_t

    z = u[:, _slices(fit)["z_beta"]]
    return np.asarray(np.sum(student_t.logpdf(z, 3) - norm.logpdf(z), axis=1))


def tau_without_sigma(base: Base) -> PlantedPosterior:
    """The random effects' sd is τ in place of τσ."""
    right = _right(base)
    tau = _slices(right)["tau"]
    scale = float(right.origin.spec.aux.scale[0])

    def log_prob(points: np.ndarray) -> Any:
        u = np.atleast_2d(np.asarray(points, dtype=float))
        log_sigma = (_log_a(right, u) + math.log(scale))[:, None]
        moved = u.copy()
        moved[:, tau] = u[:, tau] - log_sigma
        own = np.sum(-np.exp(u[:, tau]) + u[:, tau] + np.exp(moved[:, tau]) - moved[:, tau], axis=1)
        values = np.asarray(right.log_prob(moved)) + own
        return float(values[0]) if np.ndim(points) == 1 else values

    def at(n: int, seed: int) -> np.ndarray:
        u = right.at(n, seed).copy()
        u[:, tau] += (_log_a(right, u) + math.log(scale))[:, None]
        return u

    return replace(right, log_prob=log_prob, at=at)


def uncentred(base: Base) -> PlantedPosterior:
    """The predictors are not centred: the intercept that is sampled is the one at 0."""
    right = _right(base)
    spec, at_ = right.origin.spec, _slices(right)

    def shift(u: np.ndarray) -> np.ndarray:
        return np.asarray((u[:, at_["z_beta"]] * spec.coef.scale) @ spec.xbar)[:, None]

    def log_prob(points: np.ndarray) -> Any:
        u = np.atleast_2d(np.asarray(points, dtype=float))
        moved = u.copy()
        moved[:, at_["gamma"]] = u[:, at_["gamma"]] + shift(u)
        mean, scale = float(spec.intercept.mean[0]), float(spec.intercept.scale[0])
        own = -0.5 * (((u - mean) / scale) ** 2 - ((moved - mean) / scale) ** 2)[:, at_["gamma"]].sum(axis=1)
        values = np.asarray(right.log_prob(moved)) + own
        return float(values[0]) if np.ndim(points) == 1 else values

    def at(n: int, seed: int) -> np.ndarray:
        u = right.at(n, seed).copy()
        u[:, at_["gamma"]] -= shift(u)
        return u

    return replace(right, log_prob=log_prob, at=at)


def single_density(base: Base) -> PlantedPosterior:
    """The log density is computed in 32 bits."""
    right = _right(base)

    def log_prob(points: np.ndarray) -> Any:
        values = np.asarray(right.log_prob(points), dtype=np.float32).astype(float)
        return float(values) if np.ndim(points) == 1 else values

    return replace(right, log_prob=log_prob)


# ---------------------------------------------------------------------------------------------------- the draws


def _draws(change: Callable[[PlantedPosterior, np.ndarray], np.ndarray]) -> Callable[[Base, float], PlantedPosterior]:
    def plant(base: Base, size: float) -> PlantedPosterior:
        right = _right(base)
        return replace(right, draws=change(right, right.draws.copy()))

    return plant


def _sigma_rows(fit: PlantedPosterior) -> list[int]:
    """Rows of the variances."""
    found = []
    for i, name in enumerate(fit.names):
        if name.startswith("Sigma["):
            first, _, second = name[6:-1].partition(":")[2].partition(",")
            if first == second:
                found.append(i)
    return found


def _variances_as_sds(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    rows = _sigma_rows(fit)
    draws[rows] = np.sqrt(draws[rows])
    return draws


def _relative_variances(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    rows = [i for i, name in enumerate(fit.names) if name.startswith("Sigma[")]
    draws[rows] /= draws[fit.names.index("sigma")] ** 2
    return draws


def _chain_copied(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    draws[:, 1] = draws[:, 0]
    return draws


def _half_copied(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    half = draws.shape[2] // 2
    draws[:, :, half : 2 * half] = draws[:, :, :half]
    return draws


def _coefficients_shuffled(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    order = np.random.default_rng(1).permutation(draws[0].size)
    for name in ("(Intercept)", "sigma"):
        row = fit.names.index(name)
        draws[row] = draws[row].ravel()[order].reshape(draws[row].shape)
    return draws


def _sigma_squared(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    draws[fit.names.index("sigma")] **= 2
    return draws


def _levels(fit: PlantedPosterior) -> list[int]:
    return [i for i, name in enumerate(fit.names) if name.startswith("b[") and "_NEW_" not in name]


def _reversed_levels(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    for effect in dict.fromkeys(fit.names[i].partition(" ")[0] for i in _levels(fit)):
        rows = [i for i in _levels(fit) if fit.names[i].startswith(effect + " ")]
        draws[rows] = draws[rows[::-1]]
    return draws


def _alphabetical_levels(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    for effect in dict.fromkeys(fit.names[i].partition(" ")[0] for i in _levels(fit)):
        rows = [i for i in _levels(fit) if fit.names[i].startswith(effect + " ")]
        draws[rows] = draws[sorted(rows, key=lambda i: fit.names[i])]
    return draws


def _centred_intercept(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    spec = fit.origin.spec
    names = list(spec.design.coef_names)[1:]
    slopes = draws[[fit.names.index(str(name)) for name in names]]
    draws[fit.names.index("(Intercept)")] += np.einsum("k,kcd->cd", spec.xbar, slopes)
    return draws


def _reports(change: Callable[[PlantedPosterior], dict[str, Any]]) -> Callable[[Base, float], PlantedPosterior]:
    def plant(base: Base, size: float) -> PlantedPosterior:
        right = _right(base)
        return replace(right, reports={**right.reports, **change(right)})

    return plant


def _component_sds(statistic: Callable[[np.ndarray], Any]) -> Callable[[PlantedPosterior], dict[str, Any]]:
    """SDs of VarCorr as a statistic of the draws of the SDs, in place of the root of the mean variance."""

    def change(fit: PlantedPosterior) -> dict[str, Any]:
        table = fit.VarCorr()
        sds, variances = table["sdcor"].to_numpy(copy=True), table["vcov"].to_numpy(copy=True)
        for i, row in enumerate(records(table)):
            name = f"Sigma[{row['grp']}:{row['var1']},{row['var1']}]"
            if not isinstance(row["var2"], str) and name in fit.names:
                sds[i] = statistic(np.sqrt(fit.draws[fit.names.index(name)]))
                variances[i] = sds[i] ** 2
        return {"VarCorr": table.assign(sdcor=sds, vcov=variances)}

    return change


def _sds_for_variances(fit: PlantedPosterior) -> dict[str, Any]:
    table = fit.VarCorr()
    single = [not isinstance(second, str) for second in table["var2"]]
    table.loc[single, "vcov"] = table.loc[single, "sdcor"]
    return {"VarCorr": table}


def _mean_correlations(fit: PlantedPosterior) -> dict[str, Any]:
    table = fit.VarCorr()
    values = table["sdcor"].to_numpy(copy=True)
    for i, row in enumerate(records(table)):
        group, first, second = row["grp"], row["var1"], row["var2"]
        if isinstance(second, str):
            cross, one, other = (
                fit.draws[fit.names.index(f"Sigma[{group}:{a},{b}]")]
                for a, b in ((second, first), (first, first), (second, second))
            )
            values[i] = float(np.mean(cross / np.sqrt(one * other)))
    return {"VarCorr": table.assign(sdcor=values)}


def _of_coefficients(statistic: Callable[[np.ndarray], Any]) -> Callable[[PlantedPosterior], pd.Series]:
    return lambda fit: pd.Series(
        {name: statistic(fit.draws[fit.names.index(str(name))].ravel()) for name in fit.fixef().index}
    )


def _lost(keep: Callable[[str], bool]) -> Callable[[Base, float], PlantedPosterior]:
    def plant(base: Base, size: float) -> PlantedPosterior:
        right = _right(base)
        rows = [i for i, name in enumerate(right.names) if keep(name)]
        return replace(right, names=tuple(right.names[i] for i in rows), draws=right.draws[rows])

    return plant


def _fault(
    number: int,
    name: str,
    expected: str,
    plant: Callable[[Base, float], Any],
    needs: frozenset[str] = frozenset(),
    sized: Sized | None = None,
) -> Fault:
    return Fault(number, name, expected, plant, "posterior", needs, frozenset(), sized)


_SLOPES = frozenset({"slopes"})

POSTERIOR_FAULTS: tuple[Fault, ...] = (
    _fault(2, "SDs among the draws of Sigma", "scale-square-root", _draws(_variances_as_sds)),
    _fault(2, "Sigma relative to sigma squared", "scale-relative-variance", _draws(_relative_variances)),
    _fault(2, "sigma squared among the draws", "scale-squared", _draws(_sigma_squared)),
    _fault(2, "VarCorr: medians of the sds", "summary-sd-median-sd", _reports(_component_sds(np.median))),
    _fault(2, "VarCorr: means of the sds", "summary-sd-mean-sd", _reports(_component_sds(np.mean))),
    _fault(2, "VarCorr: sds in place of variances", "summary-variance-square-root", _reports(_sds_for_variances)),
    _fault(
        2,
        "VarCorr: means of the correlations",
        "summary-correlation-mean",
        _reports(_mean_correlations),
        needs=frozenset({"slopes"}),
    ),
    _fault(
        2, "means for medians", "summary-fixef-mean", _reports(lambda fit: {"fixef": _of_coefficients(np.mean)(fit)})
    ),
    _fault(2, "sds for MAD_SD", "summary-se-sd-ddof0", _reports(lambda fit: {"se": _of_coefficients(np.std)(fit)})),
    _fault(
        3,
        "another reference level, sampled",
        "coding-reference-level",
        lambda base, size: relevelled(base),
        needs=frozenset({"categorical"}),
    ),
    _fault(4, "rows dropped before sampling", "rows", dropped_rows, sized=Sized(8.0, 1.0, "rows")),
    _fault(4, "missing value as a level, sampled", "missing-as-level", lambda base, size: missing_as_level(base)),
    _fault(
        7, "correlation lost, sampled", "correlation-lost", lambda base, size: correlation_lost(base), needs=_SLOPES
    ),
    _fault(8, "draws of levels reversed", "permuted-levels", _draws(_reversed_levels)),
    _fault(8, "draws of levels in alphabetical order", "permuted-levels", _draws(_alphabetical_levels)),
    _fault(
        9,
        "intercept prior scale",
        "prior-intercept",
        _prior(_intercept),
        sized=Sized(3.0, 1e-9, "share of the prior's scale"),
    ),
    _fault(9, "intercept prior of rstanarm before 2020", "prior-intercept", _prior(_old_intercept)),
    _fault(9, "student_t for normal, intercept", "prior-intercept", _prior(_t_intercept)),
    _fault(9, "intercept prior not centred", "prior-not-centred", _plus(_not_centred)),
    _fault(9, "predictors not centred", "prior-not-centred", lambda base, size: uncentred(base)),
    _fault(9, "intercept reported at centred predictors", "intercept-shifted", _draws(_centred_intercept)),
    _fault(9, "autoscale off", "prior-coefficients", _prior(_no_autoscale)),
    _fault(
        9,
        "coefficients' prior scale",
        "prior-coefficients",
        _prior(_coefficients),
        sized=Sized(1.0, 1e-9, "share of the prior's scale"),
    ),
    _fault(9, "student_t for normal, coefficients", "prior-coefficients", _plus(_t_coefficients)),
    _fault(9, "coefficients' prior times sigma", "prior-coefficients", _plus(_scaled_by_sigma)),
    _fault(9, "sd with ddof 0", "prior-ddof", _prior(_ddof)),
    _fault(9, "rate taken for a scale (sigma)", "prior-sigma", _prior(_rate_as_scale)),
    _fault(
        9,
        "sigma's prior scale",
        "prior-sigma",
        _prior(_sigma_scale),
        sized=Sized(0.5, 1e-9, "share of the prior's scale"),
    ),
    _fault(9, "half-normal for exponential (sigma)", "prior-sigma", _prior(_half_normal)),
    _fault(9, "prior on the variance for the sd", "prior-sigma", _plus(_variance_prior)),
    _fault(9, "Jacobian of log sigma lost", "prior-sigma", _plus(_no_jacobian)),
    _fault(9, "tau without sigma", "prior-random-effects", lambda base, size: tau_without_sigma(base)),
    _fault(9, "decov scale", "prior-covariance", _prior(_decov_sized("scale")), sized=Sized(1.0, 1e-9, "over 1")),
    _fault(9, "decov shape", "prior-covariance", _prior(_decov_sized("shape")), sized=Sized(1.0, 1e-9, "over 1")),
    _fault(
        9,
        "LKJ shape (decov regularization)",
        "prior-covariance",
        _prior(_decov_sized("regularization")),
        needs=_SLOPES,
        sized=Sized(1.0, 1e-9, "over 1"),
    ),
    _fault(9, "decov concentration", "prior-covariance", _prior(_decov(concentration=2.0)), needs=_SLOPES),
    _fault(8, "intercept and sigma in an order of their own", "torn-apart", _draws(_coefficients_shuffled)),
    _fault(12, "a chain copied", "copied-draws", _draws(_chain_copied)),
    _fault(12, "halves of chains copied", "copied-draws", _draws(_half_copied)),
    _fault(12, "density in single precision", "single-precision", lambda base, size: single_density(base)),
    _fault(12, "unseen level's effects lost", "missing-parameters", _lost(lambda name: "_NEW_" not in name)),
    _fault(12, "a coefficient lost", "missing-parameters", _lost(lambda name: name != "ses")),
)
