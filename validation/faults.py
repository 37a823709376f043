"""Planted faults: right fits made wrong the way people really get them wrong, to prove that each is caught and named.

A fault takes a right fit frozen as plain data (:class:`~validation.references.recorded.RecordedLmerFit`), or draws, and
returns a wrong one. ``expected`` names the cause that the diagnosis must put first.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation.judge.algebra import pieces_of, solve
from validation.quantities import records
from validation.references.recorded import RecordedLmerFit

__all__ = ["LIKELIHOOD_FAULTS", "Fault", "at_theta"]


@dataclass(frozen=True)
class Fault:
    """A planted fault.

    Attributes
    ----------
    number : int
        Row of AGREEMENT.md's table.
    name : str
    expected : str
        ``Cause.name`` that must come first.
    plant : callable
        Right fit -> wrong fit.
    """

    number: int
    name: str
    expected: str
    plant: Callable[[RecordedLmerFit], RecordedLmerFit]


def at_theta(fit: RecordedLmerFit, theta: np.ndarray, reml: bool | None = None) -> RecordedLmerFit:
    """The fit that another θ (or the other criterion) implies, everything consistent with it."""
    reml = fit.reml if reml is None else reml
    pieces = pieces_of(fit)
    solution = solve(pieces, theta, reml)
    logLik = -solution.objective / 2
    npar, N = fit.npar, fit.nobs()
    scalars = {
        **fit.scalars,
        "sigma": solution.sigma,
        "logLik": logLik,
        "deviance": solution.objective,
        "AIC": -2 * logLik + 2 * npar,
        "BIC": -2 * logLik + math.log(N) * npar,
    }
    if "REMLcrit" in fit.scalars or reml:
        scalars["REMLcrit"] = solution.objective
    covariances = solution.covariances()
    components = fit.components.copy()
    values, roots = [], []
    for row in records(components):
        group, first, second = row["grp"], row["var1"], row["var2"]
        if not isinstance(first, str):
            values.append(solution.sigma**2)
            roots.append(solution.sigma)
        elif not isinstance(second, str):
            variance = covariances[group, first, first]
            values.append(variance)
            roots.append(math.sqrt(variance))
        else:
            covariance = covariances[group, first, second]
            product = covariances[group, first, first] * covariances[group, second, second]
            values.append(covariance)
            roots.append(covariance / math.sqrt(product) if product > 0 else math.nan)
    components["vcov"], components["sdcor"] = values, roots
    names = list(pieces.coef_names)
    ranef = solution.ranef()
    sds = solution.conditional_sds()
    modes = {
        group: pd.DataFrame(
            {effect: [ranef[group, effect, str(level)] for level in frame.index] for effect in frame.columns},
            index=frame.index,
        )
        for group, frame in fit.modes.items()
    }
    variances = {}
    for group, frame in fit.modes.items():
        array = np.array(fit.mode_variances[group], dtype=float)
        for i, level in enumerate(frame.index):
            for j, effect in enumerate(frame.columns):
                array[i, j, j] = sds[group, effect, str(level)] ** 2
        variances[group] = array
    return replace(
        fit,
        reml=reml,
        scalars=scalars,
        coefficients=pd.DataFrame(
            {"Estimate": solution.beta, "Std. Error": solution.se, "t value": solution.beta / solution.se}, index=names
        ),
        covariance=pd.DataFrame(solution.vcov, index=names, columns=names),
        components=components,
        theta=pd.Series(np.asarray(theta, dtype=float), index=fit.theta.index),
        modes=modes,
        mode_variances=variances,
        fits=pd.Series(solution.fitted, index=fit.y.index),
        objective=lambda point: solve(pieces, np.asarray(point, dtype=float), reml).objective,
    )


def _scalars(fit: RecordedLmerFit, **changed: float) -> RecordedLmerFit:
    return replace(fit, scalars={**fit.scalars, **changed})


def _optimum(fit: RecordedLmerFit, reml: bool) -> RecordedLmerFit:
    import scipy.optimize

    pieces = pieces_of(fit)
    bounds = [(0.0, None) if diagonal else (None, None) for diagonal in pieces.diagonal]
    found = scipy.optimize.minimize(
        lambda theta: solve(pieces, theta, reml).objective,
        fit.theta.to_numpy(),
        method="L-BFGS-B",
        bounds=bounds,
        options={"ftol": 1e-15, "gtol": 1e-8},
    )
    return at_theta(fit, found.x, reml)


def other_criterion(fit: RecordedLmerFit) -> RecordedLmerFit:
    """ML in place of REML or the other way round, and says so."""
    return _optimum(fit, not fit.reml)


def other_criterion_silently(fit: RecordedLmerFit) -> RecordedLmerFit:
    """The other criterion, while ``isREML()`` claims the one asked for (``REML=False`` ignored)."""
    wrong = _optimum(fit, not fit.reml)
    return replace(wrong, reml=fit.reml)


def _varcorr(fit: RecordedLmerFit, column: str, transform: Callable[[float], float]) -> RecordedLmerFit:
    components = fit.components.copy()
    single = [not isinstance(second, str) for second in components["var2"]]
    components[column] = [
        transform(value) if alone else value for value, alone in zip(components[column], single, strict=True)
    ]
    return replace(fit, components=components)


def variances_as_sds(fit: RecordedLmerFit) -> RecordedLmerFit:
    """SDs hold variances."""
    return _varcorr(fit, "sdcor", lambda value: value**2)


def sds_as_variances(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Variances hold SDs."""
    return _varcorr(fit, "vcov", math.sqrt)


def relative_sds(fit: RecordedLmerFit) -> RecordedLmerFit:
    """SDs relative to σ (θ's scale)."""
    return _varcorr(fit, "sdcor", lambda value: value / fit.sigma())


def relative_variances(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Variances relative to σ² (statsmodels' unscaled covariances)."""
    return _varcorr(fit, "vcov", lambda value: value / fit.sigma() ** 2)


def sigma_squared(fit: RecordedLmerFit) -> RecordedLmerFit:
    """``sigma()`` returns the residual variance."""
    return _scalars(fit, sigma=fit.sigma() ** 2)


def relevelled(fit: RecordedLmerFit) -> RecordedLmerFit:
    """The last coefficient's factor has its other level as reference (a 0/1 column turned round)."""
    names = list(fit.X.columns)
    k = len(names) - 1
    A = np.eye(len(names))  # X_new = X A: the last column becomes 1 − x
    A[0, k], A[k, k] = 1.0, -1.0
    new_names = [*names[:-1], f"{names[-1]}.other"]
    inverse = np.linalg.inv(A)
    beta = inverse @ fit.coefficients["Estimate"].to_numpy()
    vcov = inverse @ fit.covariance.to_numpy() @ inverse.T
    se = np.sqrt(np.diag(vcov))
    return replace(
        fit,
        X=pd.DataFrame(fit.X.to_numpy() @ A, index=fit.X.index, columns=new_names),
        coefficients=pd.DataFrame({"Estimate": beta, "Std. Error": se, "t value": beta / se}, index=new_names),
        covariance=pd.DataFrame(vcov, index=new_names, columns=new_names),
    )


def _subset(fit: RecordedLmerFit, keep: np.ndarray) -> RecordedLmerFit:
    """The fit of some of the rows."""
    wrong = replace(
        fit,
        X=fit.X.iloc[keep],
        y=fit.y.iloc[keep],
        fits=fit.fits.iloc[keep],
        factors=fit.factors.iloc[keep],
        Z=sp.csc_array(fit.Z.tocsr()[keep]),
        scalars={**fit.scalars, "nobs": float(len(keep)), "df_residual": float(len(keep) - fit.npar)},
    )
    return _optimum(wrong, fit.reml)


def lost_row(fit: RecordedLmerFit) -> RecordedLmerFit:
    """One row too few."""
    return _subset(fit, np.arange(len(fit.y) - 1))


def dropped_rows(fit: RecordedLmerFit) -> RecordedLmerFit:
    """A tenth of the rows dropped."""
    return _subset(fit, np.flatnonzero(np.arange(len(fit.y)) % 10 != 0))


def missing_as_level(fit: RecordedLmerFit) -> RecordedLmerFit:
    """The last level of the first grouping factor is called ``nan``."""
    group = str(fit.factors.columns[0])
    factors = fit.factors.copy()
    last = factors[group].cat.categories[-1]
    factors[group] = factors[group].cat.rename_categories({last: "nan"})
    modes = {**fit.modes}
    modes[group] = fit.modes[group].rename(index={last: "nan"})
    return replace(fit, factors=factors, modes=modes)


def stopped_early(fit: RecordedLmerFit) -> RecordedLmerFit:
    """θ two hundredths off the optimum, everything else consistent."""
    return at_theta(fit, fit.theta.to_numpy() * 1.02)


def on_boundary(fit: RecordedLmerFit) -> RecordedLmerFit:
    """The last variance is reported as 0."""
    theta = fit.theta.to_numpy().copy()
    theta[-1] = 0.0
    return _scalars(at_theta(fit, theta), singular=1.0)


def correlation_lost(fit: RecordedLmerFit) -> RecordedLmerFit:
    """``(x || g)`` in place of ``(x | g)``."""
    group = next(iter(fit.effects))
    effects = list(fit.effects[group])
    p = len(effects)
    order = [k + j * p for k in range(p) for j in range(fit.Z.shape[1] // p)]
    diagonal = fit.lower.to_numpy() == 0
    wrong = replace(
        fit,
        Z=sp.csc_array(fit.Z[:, order]),
        effects={group if k == 0 else f"{group}.{k}": [effect] for k, effect in enumerate(effects)},
        theta=pd.Series(fit.theta.to_numpy()[diagonal], index=[f"{group}.{effect}" for effect in effects]),
        lower=pd.Series(np.zeros(p), index=[f"{group}.{effect}" for effect in effects]),
        components=pd.DataFrame(
            [
                *((group if k == 0 else f"{group}.{k}", effect, None, 1.0, 1.0) for k, effect in enumerate(effects)),
                ("Residual", None, None, 1.0, 1.0),
            ],
            columns=["grp", "var1", "var2", "vcov", "sdcor"],
        ),
        scalars={**fit.scalars, "npar": fit.npar - p * (p - 1) / 2},
    )
    return _optimum(wrong, fit.reml)


def random_intercept_lost(fit: RecordedLmerFit) -> RecordedLmerFit:
    """``(0 + x | g)`` in place of ``(x | g)``."""
    group = next(iter(fit.effects))
    effects = list(fit.effects[group])
    p, q = len(effects), fit.Z.shape[1]
    kept = [effect for effect in effects if effect != "(Intercept)"]
    columns = [j for j in range(q) if j % p != effects.index("(Intercept)")]
    names = [f"{group}.{effect}" for effect in kept]
    wrong = replace(
        fit,
        Z=sp.csc_array(fit.Z[:, columns]),
        effects={group: kept},
        theta=pd.Series([fit.theta.iloc[-1]], index=names),
        lower=pd.Series([0.0], index=names),
        components=pd.DataFrame(
            [*((group, effect, None, 1.0, 1.0) for effect in kept), ("Residual", None, None, 1.0, 1.0)],
            columns=["grp", "var1", "var2", "vcov", "sdcor"],
        ),
        modes={group: fit.modes[group][kept]},
        mode_variances={group: np.asarray(fit.mode_variances[group])[:, 1:, 1:]},
        scalars={**fit.scalars, "npar": fit.npar - p * (p + 1) / 2 + 1},
    )
    return _optimum(wrong, fit.reml)


def _modes(fit: RecordedLmerFit, change: Callable[[pd.DataFrame], pd.DataFrame]) -> RecordedLmerFit:
    return replace(fit, modes={group: change(frame) for group, frame in fit.modes.items()})


def reversed_modes(fit: RecordedLmerFit) -> RecordedLmerFit:
    """BLUPs in reverse order of their levels."""
    return _modes(fit, lambda f: pd.DataFrame(f.to_numpy()[::-1], index=f.index, columns=f.columns))


def shifted_modes(fit: RecordedLmerFit) -> RecordedLmerFit:
    """BLUPs one level further on."""
    return _modes(fit, lambda f: pd.DataFrame(np.roll(f.to_numpy(), 1, axis=0), index=f.index, columns=f.columns))


def swapped_pair(fit: RecordedLmerFit) -> RecordedLmerFit:
    """The first two levels' BLUPs in each other's place."""

    def swap(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame.to_numpy().copy()
        values[[0, 1]] = values[[1, 0]]
        return pd.DataFrame(values, index=frame.index, columns=frame.columns)

    return _modes(fit, swap)


def swapped_effects(fit: RecordedLmerFit) -> RecordedLmerFit:
    """BLUPs of one effect under another's name."""
    return _modes(fit, lambda f: pd.DataFrame(f.to_numpy()[:, ::-1], index=f.index, columns=f.columns))


def constant_lost(fit: RecordedLmerFit) -> RecordedLmerFit:
    """N log(2π) missing from the likelihood and from the objective."""
    offset = fit.nobs() * math.log(2 * math.pi)
    objective = fit.objective
    shifted = {
        name: value + (offset / 2 if name == "logLik" else -offset)
        for name, value in fit.scalars.items()
        if name in ("logLik", "deviance", "REMLcrit", "AIC", "BIC")
    }
    wrong = _scalars(fit, **shifted)
    return replace(wrong, objective=None if objective is None else lambda theta: objective(theta) - offset)


def constant_lost_in_loglik(fit: RecordedLmerFit) -> RecordedLmerFit:
    """log|X'X| missing from the reported REML log-likelihood only."""
    offset = float(np.linalg.slogdet(fit.X.to_numpy().T @ fit.X.to_numpy())[1])
    return _scalars(
        fit,
        logLik=fit.logLik() + offset / 2,
        AIC=fit.AIC() - offset,
        BIC=fit.BIC() - offset,
        deviance=fit.deviance() - offset,
        **({"REMLcrit": fit.REMLcrit() - offset} if fit.reml else {}),
    )


def sigma_not_counted(fit: RecordedLmerFit) -> RecordedLmerFit:
    """σ is not among the parameters."""
    npar = fit.npar - 1
    return _scalars(
        fit,
        npar=npar,
        df_residual=fit.nobs() - npar,
        AIC=-2 * fit.logLik() + 2 * npar,
        BIC=-2 * fit.logLik() + math.log(fit.nobs()) * npar,
    )


def bic_with_groups(fit: RecordedLmerFit) -> RecordedLmerFit:
    """BIC with the number of groups as sample size."""
    return _scalars(fit, BIC=-2 * fit.logLik() + math.log(float(fit.groups.iloc[0])) * fit.npar)


def residual_df_in_se(fit: RecordedLmerFit) -> RecordedLmerFit:
    """SEs with N − p where σ̂² has N."""
    factor = fit.nobs() / (fit.nobs() - len(fit.coefficients))
    coefficients = fit.coefficients.copy()
    coefficients["Std. Error"] *= math.sqrt(factor)
    coefficients["t value"] /= math.sqrt(factor)
    return replace(fit, coefficients=coefficients, covariance=fit.covariance * factor)


def loose_standard_errors(fit: RecordedLmerFit) -> RecordedLmerFit:
    """SEs from a numerical Hessian: off by 3 parts in 10 000, each by its own."""
    coefficients = fit.coefficients.copy()
    factor = 1 + 2.7e-4 * (1 + np.arange(len(coefficients)))
    coefficients["Std. Error"] *= factor
    coefficients["t value"] /= factor
    return replace(fit, coefficients=coefficients)


def unshrunken(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Each level's own least-squares estimate (the other terms' BLUPs taken off) in place of its BLUP."""
    pieces = pieces_of(fit)
    solution = solve(pieces, fit.theta.to_numpy(), fit.reml)
    marginal = pieces.y - solution.marginal
    modes = {group: frame.copy() for group, frame in fit.modes.items()}
    start = 0
    for term in pieces.terms:
        columns = slice(start, start + term.J * term.p)
        start += term.J * term.p
        others = solution.b.copy()
        others[columns] = 0.0
        residual = marginal - pieces.Z @ others
        for j, level in enumerate(term.levels):
            block = pieces.Z[:, columns.start + j * term.p : columns.start + (j + 1) * term.p].toarray()
            used = np.flatnonzero(np.abs(block).sum(axis=1))
            modes[term.group].loc[level, list(term.effects)] = np.linalg.lstsq(block[used], residual[used], rcond=None)[
                0
            ]
    return replace(fit, modes=modes)


def coef_for_ranef(fit: RecordedLmerFit) -> RecordedLmerFit:
    """``ranef()`` returns what ``coef()`` should."""
    fixed = fit.coefficients["Estimate"]
    return _modes(fit, lambda f: f + np.array([float(fixed.get(effect, 0.0)) for effect in f.columns]))


def marginal_fitted(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Fitted values without the random effects."""
    return replace(fit, fits=pd.Series(fit.X.to_numpy() @ fit.coefficients["Estimate"].to_numpy(), index=fit.y.index))


def single_precision(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Every number rounded to 32 bits."""

    def rounded(frame: Any) -> Any:
        return frame.astype(np.float32).astype(float)

    components = fit.components.copy()
    components[["vcov", "sdcor"]] = rounded(components[["vcov", "sdcor"]])
    return replace(
        fit,
        scalars={name: float(np.float32(value)) for name, value in fit.scalars.items()},
        coefficients=rounded(fit.coefficients),
        covariance=rounded(fit.covariance),
        components=components,
        theta=rounded(fit.theta),
        modes={group: rounded(frame) for group, frame in fit.modes.items()},
        mode_variances={group: rounded(np.asarray(array)) for group, array in fit.mode_variances.items()},
        fits=rounded(fit.fits),
    )


def lost_column(fit: RecordedLmerFit) -> RecordedLmerFit:
    """The last column of X is gone."""
    wrong = replace(
        fit, X=fit.X.iloc[:, :-1], scalars={**fit.scalars, "npar": fit.npar - 1, "df_residual": fit.df_residual() + 1}
    )
    return _optimum(wrong, fit.reml)


def lost_level(fit: RecordedLmerFit) -> RecordedLmerFit:
    """One level's BLUP is not given."""
    variances: Mapping[str, np.ndarray] = {g: np.asarray(a)[:-1] for g, a in fit.mode_variances.items()}
    return replace(_modes(fit, lambda frame: frame.iloc[:-1]), mode_variances=variances)


LIKELIHOOD_FAULTS: tuple[Fault, ...] = (
    Fault(1, "other criterion", "reml-vs-ml", other_criterion),
    Fault(1, "other criterion, silently", "reml-vs-ml", other_criterion_silently),
    Fault(2, "variances as SDs", "scale-squared", variances_as_sds),
    Fault(2, "SDs as variances", "scale-square-root", sds_as_variances),
    Fault(2, "SDs relative to sigma", "scale-relative", relative_sds),
    Fault(2, "variances relative to sigma squared", "scale-relative-variance", relative_variances),
    Fault(2, "sigma squared", "scale-squared", sigma_squared),
    Fault(3, "relevelled factor", "coding-reference-level", relevelled),
    Fault(4, "a lost row", "rows", lost_row),
    Fault(4, "dropped rows", "rows", dropped_rows),
    Fault(4, "missing value as a level", "missing-as-level", missing_as_level),
    Fault(5, "stopped early", "stopped-early", stopped_early),
    Fault(6, "variance on the boundary", "boundary", on_boundary),
    Fault(7, "correlation lost", "correlation-lost", correlation_lost),
    Fault(7, "random intercept lost", "random-intercept-lost", random_intercept_lost),
    Fault(8, "BLUPs reversed", "permuted-levels", reversed_modes),
    Fault(8, "BLUPs shifted by one", "permuted-levels", shifted_modes),
    Fault(8, "two levels swapped", "permuted-levels", swapped_pair),
    Fault(8, "effects swapped", "permuted-effects", swapped_effects),
    Fault(10, "N log(2 pi) lost", "constant-offset", constant_lost),
    Fault(10, "log|X'X| lost in logLik", "constant-offset", constant_lost_in_loglik),
    Fault(10, "sigma not counted", "parameter-count", sigma_not_counted),
    Fault(10, "BIC with groups", "bic-sample-size", bic_with_groups),
    Fault(10, "residual df in SEs", "standard-error-scale", residual_df_in_se),
    Fault(11, "unshrunken BLUPs", "unshrunken", unshrunken),
    Fault(11, "coef for ranef", "coef-for-ranef", coef_for_ranef),
    Fault(11, "marginal fitted values", "marginal-fitted", marginal_fitted),
    Fault(12, "single precision", "single-precision", single_precision),
    Fault(12, "a lost column", "lost-column", lost_column),
    Fault(12, "a lost level", "missing-numbers", lost_level),
)
