"""Whether a recorded reference is whole: every part there, of the size that the others say, and of finite numbers.

A reference that lacks a part would have nothing compared in its place; so it is refused when it is read. So is one
that contradicts itself. All numbers of a likelihood fit follow from y, X, Z and θ: it is held against the fit that they
imply (:func:`at_theta`). Few of a posterior's numbers follow, and those are held against the rest.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from validation.algebra import Pieces, pieces_of, solve
from validation.covariances import parameters_of
from validation.quantities import groups_of, records, split_parameter
from validation.references.as_json import components_from_json
from validation.references.recorded import RecordedLmerFit, RecordedStanFit, ReportedFit
from validation.tolerances import RECORDED
from validation.wellformed import whole

#: Name of the point at which default lme4 ended.
DEFAULT_OPTIMUM = "default optimum"
#: Name of the point at which lme4 with a tight optimizer ended.
TIGHT_OPTIMUM = "tight optimum"

#: Elements of θ, each of which is 0 at one of the points.
_MOST_BOUNDARIES = 6

#: Random effects of the largest model that is recorded: their covariance matrix is computed whole.
_MOST_EFFECTS = 3000

#: Points that are drawn, at most.
_MOST_DRAWN = 100


def _demand(holds: bool, text: str) -> None:
    if not holds:
        raise ValueError(text)


def _finite(values: object, what: str) -> None:
    _demand(bool(np.isfinite(np.asarray(values, dtype=float)).all()), f"{what} has missing or infinite values")


def _same(found: Iterable[object], expected: Iterable[object], what: str) -> None:
    _demand(list(found) == list(expected), f"{what} do not fit each other")


def _follows(found: object, own: object, scale: object, what: str) -> None:
    """Demand that recorded numbers are those that follow from others, but for rounding, under the same labels.

    Missing on both sides is equal.
    """
    for axis, own_axis in zip(getattr(found, "axes", ()), getattr(own, "axes", ()), strict=False):
        _same(axis, own_axis, what)
    left, right = np.asarray(found, dtype=float), np.asarray(own, dtype=float)
    with np.errstate(invalid="ignore"):
        close = np.abs(left - right) <= RECORDED.follows * np.asarray(scale, dtype=float)
    alike = left.shape == right.shape and bool((close | (np.isnan(left) & np.isnan(right))).all())
    _demand(alike, f"{what}: the numbers contradict those that y, X, Z and theta give")


def criteria_of(fit: RecordedLmerFit, value: float, npar: float | None = None) -> dict[str, float]:
    """The log-likelihood and the information criteria that belong to a value of the objective."""
    npar = fit.npar if npar is None else npar
    of_reml = {"REMLcrit": value} if "REMLcrit" in fit.scalars or fit.reml else {}
    penalised = {"AIC": value + 2 * npar, "BIC": value + math.log(fit.nobs()) * npar}
    return {"logLik": -value / 2, "deviance": value, **penalised, **of_reml}


def at_theta(fit: RecordedLmerFit, theta: np.ndarray, reml: bool | None = None) -> RecordedLmerFit:
    """The fit that another θ (or the other criterion) implies by the judge's own algebra, consistent throughout."""
    reml = fit.reml if reml is None else reml
    pieces = pieces_of(fit)
    own = solve(pieces, theta, reml)
    known, names = own.numbers(), list(pieces.coef_names)
    roots = {"variance": "sd", "covariance": "cor"}
    components = [(*key[1:4], value, known[roots[key[0]], *key[1:]]) for key, value in known.items() if key[0] in roots]
    blocks = list(zip(pieces.terms, pieces.by_level(np.arange(len(own.b))), strict=True))
    term_of = np.repeat(np.arange(len(blocks)), [block.size for _, block in blocks])
    # R has no covariances between two terms of one factor.
    covariances = np.where(term_of[:, None] == term_of, own.conditional_covariance(), np.nan)
    modes, variances = {}, {}
    for group in dict.fromkeys(term.group for term in pieces.terms):
        of_group = [(term, block) for term, block in blocks if term.group == group]
        columns = np.hstack([block for _, block in of_group])
        effects = [effect for term, _ in of_group for effect in term.effects]
        modes[group] = pd.DataFrame(own.b[columns], of_group[0][0].levels, effects)
        variances[group] = covariances[columns[:, :, None], columns[:, None, :]]
    return replace(
        fit,
        reml=reml,
        scalars={**fit.scalars, "sigma": own.sigma, **criteria_of(replace(fit, reml=reml), own.objective)},
        coefficients=pd.DataFrame({"Estimate": own.beta, "Std. Error": own.se, "t value": own.beta / own.se}, names),
        covariance=pd.DataFrame(own.vcov, names, names),
        components=components_from_json(components),
        theta=pd.Series(pieces.elements(theta), fit.theta.index),
        par=None if fit.par is None else pd.Series(np.asarray(theta, dtype=float), fit.par.index),
        modes=modes,
        mode_variances=variances,
        fits=pd.Series(own.fitted, fit.y.index),
        objective=lambda point: solve(pieces, np.asarray(point, dtype=float), reml).objective,
    )


def check_recorded_lmer(fit: RecordedLmerFit) -> None:
    """Check a likelihood fit as it was read."""
    _demand(0 < fit.Z.shape[1] <= _MOST_EFFECTS, f"Z has {fit.Z.shape[1]} columns")
    _demand(bool(fit.points), "no points at which the objective is known")
    _finite([*fit.y, *fit.X.to_numpy().ravel(), *parameters_of(fit)], "y, X or theta")
    pieces, theta = pieces_of(fit), parameters_of(fit).to_numpy(dtype=float)
    rows, npar = len(pieces.y), len(pieces.coef_names) + len(theta) + 1
    criteria = ["logLik", "deviance", *(["REMLcrit"] if fit.reml else [])]
    counts = {"npar": npar, "nobs": rows, "df_residual": rows - npar, "singular": float(fit.isSingular())}
    for name in ("sigma", *criteria, *counts, "AIC", "BIC"):
        _demand(not np.isnan(fit.scalars.get(name, np.nan)), f"no {name}")
    for name, value in counts.items():
        _follows(fit.scalars[name], value, 0.0, name)
    own = at_theta(fit, theta)
    _follows(fit.sigma(), own.sigma(), own.sigma(), "sigma")
    for name in criteria:
        _follows(fit.scalars[name], own.scalars[name], rows, name)
    _same(fit.effects.items(), [(term.name, list(term.effects)) for term in pieces.terms], "terms and components")
    levels = {group: len(factor.cat.categories) for group, factor in fit.factors.items()}
    _same(fit.groups.items(), levels.items(), "factors and groups")
    _same(
        fit.lower.items(), zip(pieces.theta_names, (low for low, _ in pieces.bounds), strict=True), "theta and bounds"
    )
    _follows(fit.theta, own.theta, np.abs(fit.theta), "theta")
    if not isinstance(fit.optimizer, Mapping):
        raise ValueError("the optimizer's account is no mapping")
    if fit.par is None and "theta" in fit.optimizer:
        _follows(fit.optimizer["theta"], theta, np.abs(theta), "the optimizer's theta")
    _check_reported(fit, own)
    errors = own.coefficients["Std. Error"]
    _follows(fit.covariance, own.covariance, np.outer(errors, errors), "coefficients and covariance")
    _follows(fit.fits, own.fits, own.sigma() + np.abs(own.fits), "fitted")
    for what, parts in (("modes", fit.modes), ("mode_variances", fit.mode_variances)):
        _same(sorted(parts), sorted(map(str, fit.factors)), f"factors and {what}")
    for group, frame in own.modes.items():
        variances = own.mode_variances[group]
        squares = frame.to_numpy() ** 2 + np.einsum("jee->je", variances)
        sds = np.sqrt(squares.mean(axis=0))  # each effect's, as a step of EM has it
        _follows(fit.modes[group], frame, sds, f"modes of {group}")
        _follows(fit.mode_variances[group], variances, np.outer(sds, sds), f"mode_variances of {group}")
    _check_points(fit, pieces)


def check_recorded_default(default: ReportedFit, tight: RecordedLmerFit) -> None:
    """Check what default lme4 reports, which is shown beside the fit that candidates are judged by."""
    ended = [theta for name, theta, _ in tight.points if name == DEFAULT_OPTIMUM]
    _demand(len(ended) == 1, "no objective where default lme4 ended")
    own = at_theta(tight, np.array(ended[0]))
    _follows(default.logLik(), own.logLik(), len(tight.y), "default lme4's logLik")
    _check_reported(default, own)


def _check_reported(fit: ReportedFit, own: ReportedFit) -> None:
    """What ``summary()`` says: coefficients, and variance components in R's order."""
    table = own.coefficients
    units = pd.DataFrame({"Estimate": table["Std. Error"], "Std. Error": 0.0, "t value": 1.0})
    _follows(fit.coefficients[list(table)], table, units + table.abs(), "coefficients")
    found, parts = fit.components, own.components
    labels, own_labels = (zip(frame["grp"], frame["var1"], frame["var2"], strict=True) for frame in (found, parts))
    _same(labels, own_labels, "terms and components")
    rows = records(parts)
    sds = {(row["grp"], row["var1"]): row["sdcor"] for row in rows if row["var2"] is None}
    products = [sds[row["grp"], row["var1"]] * sds[row["grp"], row["var2"] or row["var1"]] for row in rows]
    _follows(found["vcov"], parts["vcov"], products, "variances and covariances")
    alone = parts["var2"].isna()
    _follows(found["sdcor"], parts["sdcor"], parts["sdcor"].where(alone, 1.0), "standard deviations and correlations")


def _check_points(fit: RecordedLmerFit, pieces: Pieces) -> None:
    """The points of :func:`validation.judge.objective.theta_points`, each once: nobody compares at one that is gone."""
    names = [name for name, _, _ in fit.points]
    zeros = [i for i, low in enumerate(fit.lower) if low == 0.0][:_MOST_BOUNDARIES]
    drawn = sum(name.startswith("random ") for name in names)
    usual = {
        *(TIGHT_OPTIMUM, "start", "boundary, all 0"),
        *(f"boundary, element {i + 1}" for i in zeros),
        *(f"random {i + 1}" for i in range(min(max(drawn, 1), _MOST_DRAWN))),
    }
    _demand(set(names) - {DEFAULT_OPTIMUM} == usual, "the points of the objective are not those that are recorded")
    _demand(len(set(names)) == len(names), "a point of the objective stands twice")
    for name, theta, value in fit.points:
        _demand(len(theta) == len(fit.lower), f"the point {name!r} has {len(theta)} elements of theta")
        _finite([*theta, value], f"the point {name!r}")
        own = solve(pieces, np.array(theta), fit.reml).objective
        _follows(value, own, len(pieces.y), f"the objective at the point {name!r}")
        if name == TIGHT_OPTIMUM:
            _same(theta, parameters_of(fit), "the optimum and the point that is called so")


def check_recorded_stan(fit: RecordedStanFit) -> None:
    """Check a posterior as it was read."""
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
    known = groups_of(map(str, fit.table.index))
    for name, values in fit.draws.items():
        _, first, second, _ = split_parameter(str(name), known)
        variance = name == "sigma" or first == second
        _demand(not variance or bool((values > 0.0).all()), f"{name} has draws that are not positive")
        mean, error, sd = fit.table.loc[str(name), ["mean", "mcse_mean", "sd"]].to_numpy(dtype=float)
        away = abs(float(values.mean()) - mean)
        _demand(away <= RECORDED.far * (error + sd / math.sqrt(len(values))), f"draws and summary of {name} do not fit")
    _demand(fit.points.ndim == 2 and fit.points.size > 0, "no points at which the density is known")
    _demand(fit.log_density.shape == (len(fit.points),), "points and densities do not fit each other")
    _finite(fit.points, "points")
    _demand(fit.observations > 0, "no observations")


def _check_account(fit: RecordedStanFit) -> None:
    """How it was sampled, where that is told: chains, draws, the smallest effective sample size."""
    told = fit.provenance
    if not {"arguments", "chains", "chunks", "draws", "smallest_bulk_ess"} <= told.keys():
        return
    given = told["arguments"]
    if not isinstance(given, Mapping):
        raise ValueError("the arguments of the sampler are no mapping")
    chains, chunks, draws, told_least = (
        whole(told[name], name) for name in ("chains", "chunks", "draws", "smallest_bulk_ess")
    )
    each = whole(given.get("iter"), "iter")
    warmup = whole(given["warmup"], "warmup") if "warmup" in given else each // 2
    _demand(chains == chunks * whole(given.get("chains"), "chains"), "chains and chunks contradict each other")
    _demand(draws == chains * (each - warmup), "draws, chains and iterations contradict each other")
    least = float(fit.table.loc[list(fit.draws.columns), "ess_bulk"].min())
    _demand(told_least == round(least), "the smallest bulk ESS is not that of the summary")


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
    within = (errors >= 0) & errors.le(RECORDED.largest_error * sampled["sd"], axis=0)
    _demand(
        bool(within.all(axis=None)),
        f"a Monte Carlo error is negative, or above {RECORDED.largest_error:g} posterior sd",
    )
