"""Likelihood fits made wrong by changing a right fit's numbers."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from validation.algebra import pieces_of, solve
from validation.judge.diagnosis.model import least_objective
from validation.quantities import numbered, records
from validation.references.recorded import RecordedLmerFit

__all__ = [
    "alphabetical_modes",
    "at_theta",
    "bic_with_groups",
    "by_crossproducts",
    "coef_for_ranef",
    "conditional_for_marginal",
    "conditional_variances",
    "constant_lost",
    "constant_lost_in_loglik",
    "first_level_for_new",
    "loose_standard_errors",
    "lost_covariances",
    "lost_level",
    "marginal_fitted",
    "modes",
    "not_a_number",
    "of_correlations",
    "on_boundary",
    "one_mode_flipped",
    "one_sided_tests",
    "other_criterion",
    "other_criterion_silently",
    "permuted_coefficients",
    "polished",
    "relative_sds",
    "relative_variances",
    "residual_df_in_se",
    "residual_tests",
    "reversed_modes",
    "sds_as_variances",
    "shifted_modes",
    "sigma_divisor",
    "sigma_not_counted",
    "sigma_squared",
    "single_precision",
    "standard_errors_of_other_criterion",
    "stopped_early",
    "swapped_effects",
    "swapped_pair",
    "swapped_terms",
    "theta_reversed",
    "unshrunken",
    "variances_as_sds",
    "wrong_statistic",
    "z_tests",
]


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
    pairs = []
    for row in records(components):
        group, first, second = row["grp"], row["var1"], row["var2"]
        if not isinstance(first, str):
            pairs.append((solution.sigma**2, solution.sigma))
        elif not isinstance(second, str):
            variance = covariances[group, first, first]
            pairs.append((variance, math.sqrt(variance)))
        else:
            covariance = covariances[group, first, second]
            product = covariances[group, first, first] * covariances[group, second, second]
            pairs.append((covariance, covariance / math.sqrt(product) if product > 0 else math.nan))
    components["vcov"], components["sdcor"] = zip(*pairs, strict=True)
    names = list(pieces.coef_names)
    ranef = solution.ranef()
    sds = solution.conditional_sds()
    # An effect that two terms of a group have is two columns of one name.
    effects = {group: numbered(map(str, frame.columns)) for group, frame in fit.modes.items()}
    modes = {
        group: pd.DataFrame(
            [[ranef[group, effect, str(level)] for effect in effects[group]] for level in frame.index],
            index=frame.index,
            columns=frame.columns,
        )
        for group, frame in fit.modes.items()
    }
    variances = {}
    for group, frame in fit.modes.items():
        array = np.array(fit.mode_variances[group], dtype=float)
        for i, level in enumerate(frame.index):
            for j, effect in enumerate(effects[group]):
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
        theta=pd.Series(pieces.elements(theta), index=fit.theta.index),
        par=None if fit.par is None else pd.Series(np.asarray(theta, dtype=float), index=fit.par.index),
        modes=modes,
        mode_variances=variances,
        fits=pd.Series(solution.fitted, index=fit.y.index),
        objective=lambda point: solve(pieces, np.asarray(point, dtype=float), reml).objective,
    )


def _scalars(fit: RecordedLmerFit, **changed: float) -> RecordedLmerFit:
    return replace(fit, scalars={**fit.scalars, **changed})


def _optimum(fit: RecordedLmerFit, reml: bool) -> RecordedLmerFit:
    pieces = pieces_of(fit)
    found = least_objective(lambda theta: solve(pieces, theta, reml), fit.theta.to_numpy(), pieces)
    if found is None:
        raise ValueError("the criterion cannot be computed at any θ")
    return at_theta(fit, found.theta, reml)


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


def stopped_early(fit: RecordedLmerFit, size: float = 0.02) -> RecordedLmerFit:
    """θ off the optimum by a share of itself, everything else consistent."""
    return at_theta(fit, fit.theta.to_numpy() * (1 + size))


def on_boundary(fit: RecordedLmerFit) -> RecordedLmerFit:
    """The last variance is reported as 0."""
    theta = fit.theta.to_numpy().copy()
    theta[-1] = 0.0
    return _scalars(at_theta(fit, theta), singular=1.0)


def modes(fit: RecordedLmerFit, change: Callable[[pd.DataFrame], pd.DataFrame]) -> RecordedLmerFit:
    """The BLUPs of each grouping factor changed."""
    return replace(fit, modes={group: change(frame) for group, frame in fit.modes.items()})


def reversed_modes(fit: RecordedLmerFit) -> RecordedLmerFit:
    """BLUPs in reverse order of their levels."""
    return modes(fit, lambda f: pd.DataFrame(f.to_numpy()[::-1], index=f.index, columns=f.columns))


def shifted_modes(fit: RecordedLmerFit) -> RecordedLmerFit:
    """BLUPs one level further on."""
    return modes(fit, lambda f: pd.DataFrame(np.roll(f.to_numpy(), 1, axis=0), index=f.index, columns=f.columns))


def swapped_pair(fit: RecordedLmerFit, size: float = 1.0) -> RecordedLmerFit:
    """Two levels' BLUPs in each other's place: the pair whose first effects are about ``size`` sds apart."""

    def swap(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame.to_numpy().copy()
        column = values[:, 0]
        apart = np.abs(np.abs(column[:, None] - column) - size * (float(np.std(column)) or 1.0))
        np.fill_diagonal(apart, np.inf)
        i, j = np.unravel_index(int(np.argmin(apart)), apart.shape)
        values[[i, j]] = values[[j, i]]
        return pd.DataFrame(values, index=frame.index, columns=frame.columns)

    return modes(fit, swap)


def swapped_effects(fit: RecordedLmerFit) -> RecordedLmerFit:
    """BLUPs of one effect under another's name."""
    return modes(fit, lambda f: pd.DataFrame(f.to_numpy()[:, ::-1], index=f.index, columns=f.columns))


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


def loose_standard_errors(fit: RecordedLmerFit, size: float = 2.7e-4) -> RecordedLmerFit:
    """SEs from a numerical Hessian: off by parts in 10 000, each by its own."""
    coefficients = fit.coefficients.copy()
    factor = 1 + size * (1 + np.arange(len(coefficients)))
    coefficients["Std. Error"] *= factor
    coefficients["t value"] /= factor
    return replace(fit, coefficients=coefficients)


def unshrunken(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Each level's own least-squares estimate (the other terms' BLUPs taken off) in place of its BLUP."""
    pieces = pieces_of(fit)
    solution = solve(pieces, fit.theta.to_numpy(), fit.reml)
    marginal = pieces.y - solution.marginal
    root = np.ones(marginal.size) if pieces.weights is None else np.sqrt(pieces.weights)
    modes = {group: frame.copy() for group, frame in fit.modes.items()}
    start = 0
    for term in pieces.terms:
        columns = slice(start, start + term.J * term.p)
        start += term.J * term.p
        others = solution.b.copy()
        others[columns] = 0.0
        residual = root * (marginal - pieces.Z @ others)
        for j, level in enumerate(term.levels):
            block = pieces.Z[:, columns.start + j * term.p : columns.start + (j + 1) * term.p].toarray()
            used = np.flatnonzero(np.abs(block).sum(axis=1))
            own = np.linalg.lstsq(root[used, None] * block[used], residual[used], rcond=None)[0]
            modes[term.group].loc[level, list(term.effects)] = own
    return replace(fit, modes=modes)


def coef_for_ranef(fit: RecordedLmerFit) -> RecordedLmerFit:
    """``ranef()`` returns what ``coef()`` should."""
    fixed = fit.coefficients["Estimate"]
    return modes(fit, lambda f: f + np.array([float(fixed.get(effect, 0.0)) for effect in f.columns]))


def marginal_fitted(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Fitted values without the random effects."""
    solution = solve(pieces_of(fit), fit.theta.to_numpy(), fit.reml)
    return replace(fit, fits=pd.Series(solution.marginal, index=fit.y.index))


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


def by_crossproducts(fit: RecordedLmerFit) -> RecordedLmerFit:
    """The residual sum of squares as y'y less what is explained, of a response that was not centred."""
    import scipy.optimize

    pieces = pieces_of(fit)
    N = pieces.y.size - (len(pieces.coef_names) if fit.reml else 0)

    def sigma_of(theta: np.ndarray) -> float:
        columns = np.column_stack([(pieces.Z @ pieces.Lambda(theta)).toarray(), pieces.X])
        system = columns.T @ columns
        q = pieces.Z.shape[1]
        system[:q, :q] += np.eye(q)
        right = columns.T @ pieces.y
        squares = float(pieces.y @ pieces.y - right @ np.linalg.solve(system, right))
        return math.sqrt(max(squares, 1e-300) / N)

    def objective(theta: np.ndarray) -> float:
        exact = solve(pieces, theta, fit.reml)
        return exact.objective + 2 * N * math.log(sigma_of(theta) / exact.sigma)

    found = scipy.optimize.minimize(objective, fit.theta.to_numpy(), method="Nelder-Mead")
    wrong, sigma = at_theta(fit, found.x), sigma_of(found.x)
    components = wrong.components.copy()
    residual = components["var1"].isna() | (components["grp"] == "Residual")
    ratio = sigma / wrong.sigma()
    components["vcov"] *= ratio**2
    components.loc[residual | components["var2"].isna(), "sdcor"] *= ratio
    value = objective(found.x)
    shift = value - wrong.deviance()
    coefficients = wrong.coefficients.copy()
    coefficients["Std. Error"] *= ratio
    coefficients["t value"] /= ratio
    return replace(
        _scalars(
            wrong, sigma=sigma, logLik=-value / 2, deviance=value, AIC=wrong.AIC() + shift, BIC=wrong.BIC() + shift
        ),
        components=components,
        coefficients=coefficients,
        covariance=wrong.covariance * ratio**2,
        objective=objective,
    )


def standard_errors_of_other_criterion(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Standard errors of the other criterion's fit beside the right estimates."""
    other = _optimum(fit, not fit.reml)
    table = fit.coefficients.copy()
    table["Std. Error"] = other.coefficients["Std. Error"]
    table["t value"] = table["Estimate"] / table["Std. Error"]
    return replace(fit, coefficients=table, covariance=other.covariance)


def sigma_divisor(fit: RecordedLmerFit) -> RecordedLmerFit:
    """σ² over N where it should be over N − p, or the other way round."""
    N, p = fit.nobs(), len(fit.coefficients)
    factor = math.sqrt((N - p) / N) if fit.reml else math.sqrt(N / (N - p))
    components = fit.components.copy()
    residual = components["grp"] == "Residual"
    components.loc[residual, "sdcor"] *= factor
    components.loc[residual, "vcov"] *= factor**2
    return replace(_scalars(fit, sigma=fit.sigma() * factor), components=components)


def one_mode_flipped(fit: RecordedLmerFit) -> RecordedLmerFit:
    """The sign of one level's BLUP is wrong."""

    def flip(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame.to_numpy().copy()
        values[np.argmax(np.abs(values[:, 0]))] *= -1
        return pd.DataFrame(values, index=frame.index, columns=frame.columns)

    return modes(fit, flip)


def conditional_variances(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Conditional variances where sds are expected."""
    return replace(fit, mode_variances={group: np.asarray(array) ** 2 for group, array in fit.mode_variances.items()})


def theta_reversed(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Elements of θ under each other's names."""
    return replace(fit, theta=pd.Series(fit.theta.to_numpy()[::-1].copy(), index=fit.theta.index))


def of_correlations(value: Callable[[dict[str, Any]], float]) -> Callable[[RecordedLmerFit], RecordedLmerFit]:
    """A change of what stands where a correlation stands."""

    def change(fit: RecordedLmerFit) -> RecordedLmerFit:
        components = fit.components
        values = [value(r) if isinstance(r["var2"], str) else r["sdcor"] for r in records(components)]
        return replace(fit, components=components.assign(sdcor=values))

    return change


def lost_level(fit: RecordedLmerFit) -> RecordedLmerFit:
    """One level's BLUP is not given."""
    variances: Mapping[str, np.ndarray] = {g: np.asarray(a)[:-1] for g, a in fit.mode_variances.items()}
    return replace(modes(fit, lambda frame: frame.iloc[:-1]), mode_variances=variances)


def alphabetical_modes(fit: RecordedLmerFit) -> RecordedLmerFit:
    """BLUPs in the alphabet's order under labels in the factor's."""
    return modes(
        fit,
        lambda f: pd.DataFrame(f.to_numpy()[np.argsort(f.index.astype(str))], index=f.index, columns=f.columns),
    )


def swapped_terms(fit: RecordedLmerFit) -> RecordedLmerFit:
    """The variances of two terms under each other's names."""
    components = fit.components.copy()
    values = components[["vcov", "sdcor"]].to_numpy().copy()
    values[[0, 1]] = values[[1, 0]]
    components[["vcov", "sdcor"]] = values
    return replace(fit, components=components)


def permuted_coefficients(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Coefficients (with their standard errors) one name further on; the intercept stands."""
    order = [0, *np.roll(np.arange(1, len(fit.coefficients)), 1)]
    table = fit.coefficients.iloc[order].set_axis(fit.coefficients.index, axis=0)
    return replace(fit, coefficients=table)


def _p_values(fit: RecordedLmerFit, freedom: Callable[[pd.DataFrame], Any], tails: float = 2.0) -> RecordedLmerFit:
    from scipy.stats import t as student_t

    tests = fit.satterthwaite()
    df = np.broadcast_to(np.asarray(freedom(tests), dtype=float), (len(tests),))
    p = tails * student_t.sf(np.abs(tests["t value"].to_numpy()), df)
    return replace(fit, tests=tests.assign(**{"df": df, "Pr(>|t|)": p}))


def z_tests(fit: RecordedLmerFit) -> RecordedLmerFit:
    """p-values of the normal distribution."""
    return _p_values(fit, lambda tests: 1e12)


def residual_tests(fit: RecordedLmerFit) -> RecordedLmerFit:
    """p-values of t with N − p degrees of freedom."""
    return _p_values(fit, lambda tests: fit.nobs() - len(tests))


def one_sided_tests(fit: RecordedLmerFit) -> RecordedLmerFit:
    """One tail only."""
    return _p_values(fit, lambda tests: tests["df"].to_numpy(), tails=1.0)


def conditional_for_marginal(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Predictions of the fixed effects alone contain the random effects."""

    def predict(newdata: pd.DataFrame | None = None, **options: Any) -> pd.Series:
        if newdata is None:
            return fit.fitted()
        return fit.predict(newdata, **options)

    return replace(fit, predictor=predict)


def first_level_for_new(fit: RecordedLmerFit) -> RecordedLmerFit:
    """An unseen level gets the first level's random effects."""
    extra = float(np.sum([frame.to_numpy()[0, 0] for frame in fit.modes.values()]))

    def predict(newdata: pd.DataFrame | None = None, **options: Any) -> pd.Series:
        values = fit.predict(newdata, **options)
        return values if newdata is None else values + extra

    return replace(fit, predictor=predict)


def lost_covariances(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Rows of the covariance matrix of the coefficients are not given."""
    return replace(fit, covariance=fit.covariance.iloc[:-1, :-1])


def not_a_number(fit: RecordedLmerFit) -> RecordedLmerFit:
    """A standard error is NaN."""
    table = fit.coefficients.copy()
    table.iloc[-1, 1:] = math.nan
    return replace(fit, coefficients=table)


def wrong_statistic(fit: RecordedLmerFit) -> RecordedLmerFit:
    """T is the estimate over the residual sd."""
    table = fit.coefficients.copy()
    table["t value"] = table["Estimate"] / fit.sigma()
    return replace(fit, coefficients=table)


def polished(fit: RecordedLmerFit) -> RecordedLmerFit:
    """The same fit by another program: scipy's optimizer on the judge's algebra, then Newton steps (a right fit)."""
    import scipy.optimize

    pieces = pieces_of(fit)

    def objective(point: np.ndarray) -> float:
        return solve(pieces, point, fit.reml).objective

    bounds = [(0.0, None) if diagonal else (None, None) for diagonal in pieces.diagonal]
    # From one start alone a program may end at a boundary that is no optimum: then it would not be a right one.
    found = [
        scipy.optimize.minimize(objective, np.where(pieces.diagonal, size, 0.0), method="L-BFGS-B", bounds=bounds)
        for size in (0.8, 0.2)
    ]
    theta = min(found, key=lambda result: float(result.fun)).x
    k, h = theta.size, 1e-3
    for _ in range(4):
        free = np.flatnonzero(~(pieces.diagonal & (theta < 2 * h)))
        if free.size < k:
            theta[pieces.diagonal & (theta < 2 * h)] = 0.0
        if not free.size:
            break
        steps = np.eye(k)[free] * h
        gradient = [
            (8 * (objective(theta + e) - objective(theta - e)) - objective(theta + 2 * e) + objective(theta - 2 * e))
            / (12 * h)
            for e in steps
        ]
        hessian = [
            [
                (
                    objective(theta + a + b)
                    - objective(theta + a - b)
                    - objective(theta - a + b)
                    + objective(theta - a - b)
                )
                / (4 * h * h)
                for b in steps
            ]
            for a in steps
        ]
        step = np.zeros(k)
        step[free] = np.linalg.solve(np.array(hessian), np.array(gradient))
        if objective(theta - step) > objective(theta) + 1e-9:
            break
        theta = theta - step
    return at_theta(fit, theta)
