"""Posteriors made wrong: in their draws, their density, what is reported of them, or the model that was sampled."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
import pandas as pd

import pyimpl
from validation.faults.bases import BaseFit
from validation.faults.fault import FaultSize, fault
from validation.faults.planted import PlantedPosterior, sample
from validation.quantities import records

planted = partial(fault, kind="posterior")

#: Of a posterior and an array of its own (points, or draws) another array.
_Change: TypeAlias = Callable[[PlantedPosterior, np.ndarray], np.ndarray]


def _again(base: BaseFit, data: pd.DataFrame | None = None, **options: object) -> PlantedPosterior:
    return sample(base.formula, base.data if data is None else data, base.seed + 1000, base.draws, **options)


def _sds(base: BaseFit, ddof: int = 1) -> tuple[float, float, np.ndarray]:
    """Mean and sd of the response, and sds of the predictors."""
    spec = base.fit.origin.spec
    y = base.fit.response
    return float(y.mean()), float(y.std(ddof=ddof)), np.asarray(spec.x.std(axis=0, ddof=ddof), dtype=float)


# ---------------------------------------------------------------------------------------------------- the model


def _share(planted_at: float) -> FaultSize:
    return FaultSize(planted_at, 1e-9, "share of the prior's scale")


def _prior(
    name: str, expected: str, make: Callable[..., dict[str, object]], needs: str = "", sized: FaultSize | None = None
) -> None:
    """Register another prior as a fault: ``make(base)``, or ``make(base, size)``, gives ``stan_lmer``'s arguments."""
    planted(9, name, expected, needs=needs, sized=sized)(lambda base, *size: _again(base, None, **make(base, *size)))


def _intercept(base: BaseFit, family: Callable[[float, float], object], factor: float = 1.0) -> dict[str, object]:
    mean, sd, _ = _sds(base)
    return {"prior_intercept": family(mean, 2.5 * sd * factor)}


def _ddof(base: BaseFit) -> dict[str, object]:
    mean, sd, _ = _sds(base, ddof=0)
    return {
        "prior": pyimpl.normal(0, 2.5 * sd / _sds(base)[2]),
        "prior_intercept": pyimpl.normal(mean, 2.5 * sd),
        "prior_aux": pyimpl.exponential(1 / sd),
    }


_prior(
    "intercept prior scale", "prior-intercept",
    lambda base, size: _intercept(base, pyimpl.normal, 1 + size), sized=_share(3.0),
)  # fmt: skip
_prior(
    "intercept prior of rstanarm before 2020", "prior-intercept",
    lambda base: {"prior_intercept": pyimpl.normal(0, 10 * _sds(base)[1])},
)  # fmt: skip
_prior(
    "student_t for normal, intercept", "prior-intercept",
    lambda base: _intercept(base, lambda mean, scale: pyimpl.student_t(3, mean, scale)),
)  # fmt: skip
_prior("autoscale off", "prior-coefficients", lambda base: {"prior": pyimpl.normal(0, 2.5)})
_prior(
    "coefficients' prior scale", "prior-coefficients",
    lambda base, size: {"prior": pyimpl.normal(0, 2.5 * (1 + size), autoscale=True)}, sized=_share(1.0),
)  # fmt: skip
_prior("sd with ddof 0", "prior-ddof", _ddof)
_prior("rate taken for a scale (sigma)", "prior-sigma", lambda base: {"prior_aux": pyimpl.exponential(_sds(base)[1])})
_prior(
    "sigma's prior scale", "prior-sigma",
    lambda base, size: {"prior_aux": pyimpl.exponential((1 + size) / _sds(base)[1])}, sized=_share(0.5),
)  # fmt: skip
_prior(
    "half-normal for exponential (sigma)", "prior-sigma", lambda base: {"prior_aux": pyimpl.normal(0, _sds(base)[1])}
)
for _name, _argument, _needs in (
    ("decov scale", "scale", ""),
    ("decov shape", "shape", ""),
    ("LKJ shape (decov regularization)", "regularization", "slopes"),
):
    _prior(
        _name, "prior-covariance",
        lambda base, size, of=_argument: {"prior_covariance": pyimpl.decov(**{of: 1.0 + size})},
        _needs, FaultSize(1.0, 1e-9, "over 1"),
    )  # fmt: skip
_prior(
    "decov concentration", "prior-covariance", lambda base: {"prior_covariance": pyimpl.decov(concentration=2.0)},
    "slopes",
)  # fmt: skip


@planted(4, "rows dropped before sampling", "rows", sized=FaultSize(8.0, 1.0, "rows"))
def _dropped_rows(base: BaseFit, size: float) -> PlantedPosterior:
    used = base.data.dropna(subset=["score", "ses", "school"]).index
    return _again(base, base.data.drop(used[:: max(2, round(len(used) / size))][: max(1, round(size))]))


@planted(4, "missing value as a level, sampled", "missing-as-level")
def _missing_as_level(base: BaseFit) -> PlantedPosterior:
    school = base.data["school"].astype(object).fillna("nan").astype("category")
    return _again(base, base.data.assign(school=school))


planted(3, "another reference level, sampled", "coding-reference-level", needs="categorical")(
    lambda base: _again(base, base.data.assign(stage=base.data["stage"].cat.reorder_categories(["late", "early"])))
)


@planted(7, "correlation lost, sampled", "correlation-lost", needs="slopes")
def _correlation_lost(base: BaseFit) -> PlantedPosterior:
    formula = base.formula.replace("(ses |", "(ses ||")
    return sample(formula, base.data, base.seed + 1000, base.draws)


# ---------------------------------------------------------------------------------------------------- the density


def _slices(fit: PlantedPosterior) -> dict[str, slice]:
    """Positions in the unconstrained vector (STAN_LMER_MODEL.md, section 1)."""
    slices: dict[str, slice] = fit.origin._full.slices
    return slices


def _of_density(name: str, expected: str) -> Callable[[_Change], _Change]:
    """Register a term that is added to the log density; the draws stay right, as no number of them would show it."""

    def register(extra: _Change) -> _Change:
        @planted(9, name, expected)
        def plant(base: BaseFit) -> PlantedPosterior:
            right = _again(base)
            return replace(right, log_prob=_at_points(lambda u: np.asarray(right.log_prob(u)) + extra(right, u)))

        return extra

    return register


def _at_points(values: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], float | np.ndarray]:
    """A log density of one point or several, of what takes several."""

    def log_prob(points: np.ndarray) -> float | np.ndarray:
        found = values(np.atleast_2d(np.asarray(points, dtype=float)))
        return float(found[0]) if np.ndim(points) == 1 else found

    return log_prob


def _log_a(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
    values: np.ndarray = u[:, _slices(fit)["aux"]][:, 0]
    return values


@_of_density("intercept prior not centred", "prior-not-centred")
def _not_centred(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
    spec, at = fit.origin.spec, _slices(fit)
    gamma = u[:, at["gamma"]][:, 0]
    shift = (u[:, at["z_beta"]] * spec.coef.scale) @ spec.xbar
    mean, scale = float(spec.intercept.mean[0]), float(spec.intercept.scale[0])
    moved: np.ndarray = -0.5 * (((gamma - shift - mean) / scale) ** 2 - ((gamma - mean) / scale) ** 2)
    return moved


@_of_density("prior on the variance for the sd", "prior-sigma")
def _variance_prior(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
    # Exponential(1) on a² in place of a: −a² + log(2a) for −a.
    a = np.exp(_log_a(fit, u))
    return np.asarray(a - a**2 + np.log(2 * a))


@_of_density("Jacobian of log sigma lost", "prior-sigma")
def _no_jacobian(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
    return -_log_a(fit, u)


@_of_density("coefficients' prior times sigma", "prior-coefficients")
def _scaled_by_sigma(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
    # β ~ N(0, s a) in place of N(0, s).
    z, log_a = u[:, _slices(fit)["z_beta"]], _log_a(fit, u)
    return np.asarray(-0.5 * np.sum(z**2, axis=1) * (np.exp(-2 * log_a) - 1) - z.shape[1] * log_a)


@_of_density("student_t for normal, coefficients", "prior-coefficients")
def _t_coefficients(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
    from scipy.stats import norm
    from scipy.stats import t as student_t

    z = u[:, _slices(fit)["z_beta"]]
    return np.asarray(np.sum(student_t.logpdf(z, 3) - norm.logpdf(z), axis=1))


def _moved(
    base: BaseFit, at: str, move: _Change, own: Callable[[PlantedPosterior, np.ndarray, np.ndarray], np.ndarray]
) -> PlantedPosterior:
    """The right density at points of which some coordinates are moved, and a term of the old and the new points."""
    right = _again(base)
    place = _slices(right)[at]

    def log_prob(u: np.ndarray) -> np.ndarray:
        moved = u.copy()
        moved[:, place] += move(right, u)
        return np.asarray(right.log_prob(moved)) + own(right, u[:, place], moved[:, place])

    def points(n: int, seed: int) -> np.ndarray:
        u = right.at(n, seed).copy()
        u[:, place] -= move(right, u)
        return u

    return replace(right, log_prob=_at_points(log_prob), at=points)


@planted(9, "tau without sigma", "prior-random-effects")
def tau_without_sigma(base: BaseFit) -> PlantedPosterior:
    """The random effects' sd is τ in place of τσ."""
    return _moved(
        base,
        "tau",
        lambda fit, u: -(_log_a(fit, u) + math.log(float(fit.origin.spec.aux.scale[0])))[:, None],
        lambda fit, old, new: np.sum(-np.exp(old) + old + np.exp(new) - new, axis=1),
    )


@planted(9, "predictors not centred", "prior-not-centred")
def uncentred(base: BaseFit) -> PlantedPosterior:
    """The predictors are not centred: the intercept that is sampled is the one at 0."""

    def shift(fit: PlantedPosterior, u: np.ndarray) -> np.ndarray:
        spec = fit.origin.spec
        return np.asarray((u[:, _slices(fit)["z_beta"]] * spec.coef.scale) @ spec.xbar)[:, None]

    def own(fit: PlantedPosterior, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        prior = fit.origin.spec.intercept
        z = [(gamma - float(prior.mean[0])) / float(prior.scale[0]) for gamma in (old, new)]
        return np.asarray(-0.5 * (z[0] ** 2 - z[1] ** 2).sum(axis=1))

    return _moved(base, "gamma", shift, own)


@planted(12, "density in single precision", "single-precision")
def _single_density(base: BaseFit) -> PlantedPosterior:
    right = _again(base)
    single = _at_points(lambda u: np.asarray(right.log_prob(u), dtype=np.float32).astype(float))
    return replace(right, log_prob=single)


# ---------------------------------------------------------------------------------------------------- the draws


def _of_draws(number: int, name: str, expected: str) -> Callable[[_Change], _Change]:
    """Register a change of the draws, parameters x chains x draws."""

    def register(change: _Change) -> _Change:
        @planted(number, name, expected)
        def plant(base: BaseFit) -> PlantedPosterior:
            right = _again(base)
            return replace(right, draws=change(right, right.draws.copy()))

        return change

    return register


def _sigma_rows(fit: PlantedPosterior) -> list[int]:
    """Rows of the variances."""
    found = []
    for i, name in enumerate(fit.names):
        if name.startswith("Sigma["):
            first, _, second = name[6:-1].partition(":")[2].partition(",")
            if first == second:
                found.append(i)
    return found


@_of_draws(2, "SDs among the draws of Sigma", "scale-square-root")
def _variances_as_sds(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    rows = _sigma_rows(fit)
    draws[rows] = np.sqrt(draws[rows])
    return draws


@_of_draws(2, "Sigma relative to sigma squared", "scale-relative-variance")
def _relative_variances(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    rows = [i for i, name in enumerate(fit.names) if name.startswith("Sigma[")]
    draws[rows] /= draws[fit.names.index("sigma")] ** 2
    return draws


@_of_draws(12, "a chain copied", "copied-draws")
def _chain_copied(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    draws[:, 1] = draws[:, 0]
    return draws


@_of_draws(12, "halves of chains copied", "copied-draws")
def _half_copied(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    half = draws.shape[2] // 2
    draws[:, :, half : 2 * half] = draws[:, :, :half]
    return draws


@_of_draws(8, "intercept and sigma in an order of their own", "torn-apart")
def _coefficients_shuffled(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    order = np.random.default_rng(1).permutation(draws[0].size)
    for name in ("(Intercept)", "sigma"):
        row = fit.names.index(name)
        draws[row] = draws[row].ravel()[order].reshape(draws[row].shape)
    return draws


@_of_draws(2, "sigma squared among the draws", "scale-squared")
def _sigma_squared(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    draws[fit.names.index("sigma")] **= 2
    return draws


def _levels(fit: PlantedPosterior) -> list[list[int]]:
    """Rows of the random effects of each effect, level by level."""
    rows: dict[str, list[int]] = {}
    for i, name in enumerate(fit.names):
        if name.startswith("b[") and "_NEW_" not in name:
            rows.setdefault(name.partition(" ")[0], []).append(i)
    return list(rows.values())


@_of_draws(8, "draws of levels reversed", "permuted-levels")
def _reversed_levels(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    for rows in _levels(fit):
        draws[rows] = draws[rows[::-1]]
    return draws


@_of_draws(8, "draws of levels in alphabetical order", "permuted-levels")
def _alphabetical_levels(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    for rows in _levels(fit):
        draws[rows] = draws[sorted(rows, key=lambda i: fit.names[i])]
    return draws


@_of_draws(9, "intercept reported at centred predictors", "intercept-shifted")
def _centred_intercept(fit: PlantedPosterior, draws: np.ndarray) -> np.ndarray:
    spec = fit.origin.spec
    names = list(spec.design.coef_names)[1:]
    slopes = draws[[fit.names.index(str(name)) for name in names]]
    draws[fit.names.index("(Intercept)")] += np.einsum("k,kcd->cd", spec.xbar, slopes)
    return draws


def _reported(
    name: str, expected: str, change: Callable[[PlantedPosterior], dict[str, object]], needs: str = ""
) -> None:
    """Register what is reported otherwise of right draws."""

    @planted(2, name, expected, needs=needs)
    def plant(base: BaseFit) -> PlantedPosterior:
        right = _again(base)
        return replace(right, reports={**right.reports, **change(right)})


def _component_sds(statistic: Callable[[np.ndarray], float]) -> Callable[[PlantedPosterior], dict[str, object]]:
    """SDs of VarCorr as a statistic of the draws of the SDs, in place of the root of the mean variance."""

    def change(fit: PlantedPosterior) -> dict[str, object]:
        table = fit.VarCorr()
        sds, variances = table["sdcor"].to_numpy(copy=True), table["vcov"].to_numpy(copy=True)
        for i, row in enumerate(records(table)):
            name = f"Sigma[{row['grp']}:{row['var1']},{row['var1']}]"
            if not isinstance(row["var2"], str) and name in fit.names:
                sds[i] = statistic(np.sqrt(fit.draws[fit.names.index(name)]))
                variances[i] = sds[i] ** 2
        return {"VarCorr": table.assign(sdcor=sds, vcov=variances)}

    return change


def _sds_for_variances(fit: PlantedPosterior) -> dict[str, object]:
    table = fit.VarCorr()
    single = [not isinstance(second, str) for second in table["var2"]]
    table.loc[single, "vcov"] = table.loc[single, "sdcor"]
    return {"VarCorr": table}


def _mean_correlations(fit: PlantedPosterior) -> dict[str, object]:
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


def _of_coefficients(fit: PlantedPosterior, statistic: Callable[[np.ndarray], float]) -> pd.Series:
    return pd.Series({name: statistic(fit.draws[fit.names.index(str(name))].ravel()) for name in fit.fixef().index})


_reported("VarCorr: medians of the sds", "summary-sd-median-sd", _component_sds(np.median))
_reported("VarCorr: means of the sds", "summary-sd-mean-sd", _component_sds(np.mean))
_reported("VarCorr: sds in place of variances", "summary-variance-square-root", _sds_for_variances)
_reported("VarCorr: means of the correlations", "summary-correlation-mean", _mean_correlations, "slopes")
_reported("means for medians", "summary-fixef-mean", lambda fit: {"fixef": _of_coefficients(fit, np.mean)})
_reported("sds for MAD_SD", "summary-se-sd-ddof0", lambda fit: {"se": _of_coefficients(fit, np.std)})


def _without(base: BaseFit, lost: Callable[[str], bool]) -> PlantedPosterior:
    right = _again(base)
    rows = [i for i, name in enumerate(right.names) if not lost(name)]
    return replace(right, names=tuple(right.names[i] for i in rows), draws=right.draws[rows])


planted(12, "unseen level's effects lost", "missing-parameters")(lambda base: _without(base, lambda n: "_NEW_" in n))
planted(12, "a coefficient lost", "missing-parameters")(lambda base: _without(base, lambda name: name == "ses"))
