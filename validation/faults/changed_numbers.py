"""Likelihood fits made wrong by changing a right fit's numbers."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import pandas as pd
import scipy.optimize
from scipy import stats

from validation.algebra import pieces_of, solve
from validation.faults.fault import FaultSize, fault
from validation.judge.diagnosis.model import least_objective
from validation.quantities import numbered, records
from validation.references.recorded import RecordedLmerFit

_Table = TypeVar("_Table", pd.DataFrame, pd.Series, np.ndarray)

#: A fault that is made of the right fit alone.
changed = partial(fault, of=lambda base: base.fit)


def at_theta(fit: RecordedLmerFit, theta: np.ndarray, reml: bool | None = None) -> RecordedLmerFit:
    """The fit that another θ (or the other criterion) implies, everything consistent with it."""
    reml = fit.reml if reml is None else reml
    pieces = pieces_of(fit)
    solution = solve(pieces, theta, reml)
    scalars = {
        **fit.scalars,
        "sigma": solution.sigma,
        **_criteria(replace(fit, reml=reml), solution.objective, fit.npar),
    }
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


def _criteria(fit: RecordedLmerFit, value: float, npar: float) -> dict[str, float]:
    """The log-likelihood and the information criteria that belong to a value of the objective."""
    of_reml = {"REMLcrit": value} if "REMLcrit" in fit.scalars or fit.reml else {}
    penalised = {"AIC": value + 2 * npar, "BIC": value + math.log(fit.nobs()) * npar}
    return {"logLik": -value / 2, "deviance": value, **penalised, **of_reml}


def _with_errors(fit: RecordedLmerFit, factor: float | np.ndarray) -> pd.DataFrame:
    """The table of coefficients with standard errors times a factor, and the t values that they give."""
    table = fit.coefficients
    return table.assign(**{"Std. Error": table["Std. Error"] * factor, "t value": table["t value"] / factor})


def _optimum(fit: RecordedLmerFit, reml: bool) -> RecordedLmerFit:
    pieces = pieces_of(fit)
    found = least_objective(lambda theta: solve(pieces, theta, reml), fit.theta.to_numpy(), pieces)
    if found is None:
        raise ValueError("the criterion cannot be computed at any θ")
    return at_theta(fit, found.theta, reml)


@changed(1, "other criterion", "reml-vs-ml", without="singular")
def other_criterion(fit: RecordedLmerFit) -> RecordedLmerFit:
    """ML in place of REML or the other way round, and says so."""
    return _optimum(fit, not fit.reml)


@changed(1, "other criterion, silently", "reml-vs-ml", without="singular")
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


@changed(2, "variances as SDs", "scale-squared")
def variances_as_sds(fit: RecordedLmerFit) -> RecordedLmerFit:
    """SDs hold variances."""
    return _varcorr(fit, "sdcor", lambda value: value**2)


changed(2, "SDs as variances", "scale-square-root")(lambda fit: _varcorr(fit, "vcov", math.sqrt))
changed(2, "SDs relative to sigma", "scale-relative")(
    lambda fit: _varcorr(fit, "sdcor", lambda value: value / fit.sigma())
)
changed(2, "variances relative to sigma squared", "scale-relative-variance")(  # statsmodels' unscaled covariances
    lambda fit: _varcorr(fit, "vcov", lambda value: value / fit.sigma() ** 2)
)
changed(2, "sigma squared", "scale-squared")(lambda fit: _scalars(fit, sigma=fit.sigma() ** 2))
changed(
    5, "optimizer stopped early", "stopped-early", without="singular", sized=FaultSize(0.02, 1e-8, "share of theta")
)(lambda fit, size: at_theta(fit, fit.theta.to_numpy() * (1 + size)))


@changed(6, "a variance put to 0", "boundary", without="singular")
def _on_boundary(fit: RecordedLmerFit) -> RecordedLmerFit:
    theta = fit.theta.to_numpy().copy()
    theta[-1] = 0.0
    return _scalars(at_theta(fit, theta), singular=1.0)


def _modes(fit: RecordedLmerFit, change: Callable[[np.ndarray], np.ndarray]) -> RecordedLmerFit:
    """The BLUPs of each grouping factor changed, level x effect, under the labels that they had."""
    changed_modes = {
        group: pd.DataFrame(change(frame.to_numpy().copy()), frame.index, frame.columns)
        for group, frame in fit.modes.items()
    }
    return replace(fit, modes=changed_modes)


def _one_flipped(values: np.ndarray) -> np.ndarray:
    values[np.argmax(np.abs(values[:, 0]))] *= -1
    return values


@changed(8, "BLUPs reversed", "permuted-levels", without="singular")
def reversed_modes(fit: RecordedLmerFit) -> RecordedLmerFit:
    """BLUPs in reverse order of their levels."""
    return _modes(fit, lambda values: values[::-1])


changed(2, "BLUPs over sigma", "modes-relative", without="singular")(
    lambda fit: _modes(fit, lambda values: values / fit.sigma())
)
changed(8, "all BLUPs' signs", "sign-flipped", without="singular")(lambda fit: _modes(fit, np.negative))
changed(8, "one BLUP's sign", "sign-flipped", without="singular")(lambda fit: _modes(fit, _one_flipped))
changed(8, "BLUPs shifted by one", "permuted-levels", without="singular")(
    lambda fit: _modes(fit, lambda values: np.roll(values, 1, axis=0))
)
changed(8, "effects swapped", "permuted-effects", needs="two effects")(
    lambda fit: _modes(fit, lambda values: values[:, ::-1])
)


@changed(
    8, "two levels swapped", "permuted-levels", without="singular", sized=FaultSize(1.0, 1e-4, "sds of the BLUPs apart")
)
def swapped_pair(fit: RecordedLmerFit, size: float) -> RecordedLmerFit:
    """Two levels' BLUPs in each other's place: the pair whose first effects are about ``size`` sds apart."""

    def swap(values: np.ndarray) -> np.ndarray:
        column = values[:, 0]
        apart = np.abs(np.abs(column[:, None] - column) - size * (float(np.std(column)) or 1.0))
        np.fill_diagonal(apart, np.inf)
        i, j = np.unravel_index(int(np.argmin(apart)), apart.shape)
        values[[i, j]] = values[[j, i]]
        return values

    return _modes(fit, swap)


@changed(10, "N log(2 pi) lost", "constant-offset")
def _constant_lost(fit: RecordedLmerFit) -> RecordedLmerFit:
    offset = fit.nobs() * math.log(2 * math.pi)
    objective = fit.objective
    wrong = _scalars(fit, **_criteria(fit, fit.deviance() - offset, fit.npar))
    return replace(wrong, objective=None if objective is None else lambda theta: objective(theta) - offset)


@changed(10, "log|X'X| lost in logLik", "constant-offset", without="weighted")
def _constant_lost_in_loglik(fit: RecordedLmerFit) -> RecordedLmerFit:
    offset = float(np.linalg.slogdet(fit.X.to_numpy().T @ fit.X.to_numpy())[1])
    return _scalars(fit, **_criteria(fit, fit.deviance() - offset, fit.npar))


@changed(10, "sigma not counted", "parameter-count")
def _sigma_not_counted(fit: RecordedLmerFit) -> RecordedLmerFit:
    npar = fit.npar - 1
    return _scalars(fit, npar=npar, df_residual=fit.nobs() - npar, **_criteria(fit, fit.deviance(), npar))


@changed(10, "BIC with groups", "bic-sample-size")
def bic_with_groups(fit: RecordedLmerFit) -> RecordedLmerFit:
    """BIC with the number of groups as sample size."""
    return _scalars(fit, BIC=-2 * fit.logLik() + math.log(float(fit.groups.iloc[0])) * fit.npar)


@changed(10, "residual df in SEs", "standard-error-scale")
def residual_df_in_se(fit: RecordedLmerFit) -> RecordedLmerFit:
    """SEs with N − p where σ̂² has N."""
    factor = fit.nobs() / (fit.nobs() - len(fit.coefficients))
    return replace(fit, coefficients=_with_errors(fit, math.sqrt(factor)), covariance=fit.covariance * factor)


@changed(10, "loose standard errors", "standard-errors-loose", sized=FaultSize(2.7e-4, 1e-8, "relative"))
def loose_standard_errors(fit: RecordedLmerFit, size: float = 2.7e-4) -> RecordedLmerFit:
    """SEs from a numerical Hessian: off by parts in 10 000, each by its own."""
    return replace(fit, coefficients=_with_errors(fit, 1 + size * (1 + np.arange(len(fit.coefficients)))))


@changed(11, "unshrunken BLUPs", "unshrunken", without="singular, shared effect")
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


@changed(11, "coef for ranef", "coef-for-ranef")
def _coef_for_ranef(fit: RecordedLmerFit) -> RecordedLmerFit:
    fixed = fit.coefficients["Estimate"]
    modes = {group: frame + [float(fixed.get(effect, 0.0)) for effect in frame] for group, frame in fit.modes.items()}
    return replace(fit, modes=modes)


@changed(11, "marginal fitted values", "marginal-fitted", without="singular")
def _marginal_fitted(fit: RecordedLmerFit) -> RecordedLmerFit:
    solution = solve(pieces_of(fit), fit.theta.to_numpy(), fit.reml)
    return replace(fit, fits=pd.Series(solution.marginal, index=fit.y.index))


@changed(12, "single precision", "single-precision")
def _single_precision(fit: RecordedLmerFit) -> RecordedLmerFit:

    def rounded(frame: _Table) -> _Table:
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


@changed(12, "response not centred", "cancellation", needs="far")
def by_crossproducts(fit: RecordedLmerFit) -> RecordedLmerFit:
    """The residual sum of squares as y'y less what is explained, of a response that was not centred."""
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
    return replace(
        _scalars(wrong, sigma=sigma, **_criteria(wrong, objective(found.x), wrong.npar)),
        components=components,
        coefficients=_with_errors(wrong, ratio),
        covariance=wrong.covariance * ratio**2,
        objective=objective,
    )


@changed(1, "standard errors of the other criterion", "standard-errors-other-criterion", without="singular")
def _standard_errors_of_other_criterion(fit: RecordedLmerFit) -> RecordedLmerFit:
    other = _optimum(fit, not fit.reml)
    table = fit.coefficients.copy()
    table["Std. Error"] = other.coefficients["Std. Error"]
    table["t value"] = table["Estimate"] / table["Std. Error"]
    return replace(fit, coefficients=table, covariance=other.covariance)


@changed(10, "sigma with another divisor", "sigma-divisor")
def sigma_divisor(fit: RecordedLmerFit) -> RecordedLmerFit:
    """σ² over N where it should be over N − p, or the other way round."""
    N, p = fit.nobs(), len(fit.coefficients)
    factor = math.sqrt((N - p) / N) if fit.reml else math.sqrt(N / (N - p))
    components = fit.components.copy()
    residual = components["grp"] == "Residual"
    components.loc[residual, "sdcor"] *= factor
    components.loc[residual, "vcov"] *= factor**2
    return replace(_scalars(fit, sigma=fit.sigma() * factor), components=components)


changed(2, "conditional variances for sds", "condsd-squared", without="singular, two effects")(
    lambda fit: replace(
        fit, mode_variances={name: np.asarray(array) ** 2 for name, array in fit.mode_variances.items()}
    )
)
changed(8, "theta in another order", "permuted-terms", needs="several terms")(
    lambda fit: replace(fit, theta=pd.Series(fit.theta.to_numpy()[::-1].copy(), index=fit.theta.index))
)


def _correlations(fit: RecordedLmerFit, value: Callable[[dict[str, float]], float]) -> RecordedLmerFit:
    values = [value(r) if isinstance(r["var2"], str) else r["sdcor"] for r in records(fit.components)]
    return replace(fit, components=fit.components.assign(sdcor=values))


changed(2, "covariances for correlations", "scale-covariance", needs="two effects")(
    lambda fit: _correlations(fit, lambda row: row["vcov"])
)
changed(7, "correlation reported as 0", "correlation-not-reported", needs="two effects")(
    lambda fit: _correlations(fit, lambda row: 0.0)
)


@changed(12, "a lost level", "missing-numbers")
def _lost_level(fit: RecordedLmerFit) -> RecordedLmerFit:
    variances = {group: np.asarray(array)[:-1] for group, array in fit.mode_variances.items()}
    modes = {group: frame.iloc[:-1] for group, frame in fit.modes.items()}
    return replace(fit, modes=modes, mode_variances=variances)


@changed(8, "BLUPs in alphabetical order", "permuted-levels", without="singular")
def _alphabetical_modes(fit: RecordedLmerFit) -> RecordedLmerFit:
    modes = {
        group: frame.iloc[np.argsort(frame.index.astype(str))].set_axis(frame.index, axis=0)
        for group, frame in fit.modes.items()
    }
    return replace(fit, modes=modes)


@changed(8, "variances of two terms swapped", "permuted-terms", needs="several terms")
def _swapped_terms(fit: RecordedLmerFit) -> RecordedLmerFit:
    components = fit.components.copy()
    values = components[["vcov", "sdcor"]].to_numpy().copy()
    values[[0, 1]] = values[[1, 0]]
    components[["vcov", "sdcor"]] = values
    return replace(fit, components=components)


@changed(8, "coefficients permuted", "permuted-terms", needs="categorical")
def permuted_coefficients(fit: RecordedLmerFit) -> RecordedLmerFit:
    """Coefficients (with their standard errors) one name further on; the intercept stands."""
    order = [0, *np.roll(np.arange(1, len(fit.coefficients)), 1)]
    table = fit.coefficients.iloc[order].set_axis(fit.coefficients.index, axis=0)
    return replace(fit, coefficients=table)


def _p_values(
    fit: RecordedLmerFit, freedom: Callable[[pd.DataFrame], float | np.ndarray], tails: float = 2.0
) -> RecordedLmerFit:
    tests = fit.satterthwaite()
    df = np.broadcast_to(np.asarray(freedom(tests), dtype=float), (len(tests),))
    p = tails * stats.t.sf(np.abs(tests["t value"].to_numpy()), df)
    return replace(fit, tests=tests.assign(**{"df": df, "Pr(>|t|)": p}))


@changed(10, "residual df for Satterthwaite's", "p-values-residual-df", without="singular")
def residual_tests(fit: RecordedLmerFit) -> RecordedLmerFit:
    """p-values of t with N − p degrees of freedom."""
    return _p_values(fit, lambda tests: fit.nobs() - len(tests))


changed(10, "z tests for Satterthwaite's", "p-values-z", without="singular")(
    lambda fit: _p_values(fit, lambda tests: 1e12)
)
changed(10, "one-sided p-values", "p-values-one-sided")(
    lambda fit: _p_values(fit, lambda tests: tests["df"].to_numpy(), tails=1.0)
)


@changed(11, "conditional for marginal predictions", "conditional-for-marginal", without="singular")
def _conditional_for_marginal(fit: RecordedLmerFit) -> RecordedLmerFit:

    def predict(newdata: pd.DataFrame | None = None, **options: object) -> pd.Series:
        return fit.fitted() if newdata is None else fit.predict(newdata, **options)

    return replace(fit, predictor=predict)


@changed(11, "an unseen level gets the first one's effect", "new-levels", without="singular, nested")
def _first_level_for_new(fit: RecordedLmerFit) -> RecordedLmerFit:
    extra = float(np.sum([frame.to_numpy()[0, 0] for frame in fit.modes.values()]))

    def predict(newdata: pd.DataFrame | None = None, **options: object) -> pd.Series:
        values = fit.predict(newdata, **options)
        return values if newdata is None else values + extra

    return replace(fit, predictor=predict)


changed(12, "covariances not given", "missing-numbers")(
    lambda fit: replace(fit, covariance=fit.covariance.iloc[:-1, :-1])
)


@changed(12, "a standard error of NaN", "missing-numbers", without="no fixed effects")
def _not_a_number(fit: RecordedLmerFit) -> RecordedLmerFit:
    table = fit.coefficients.copy()
    table.iloc[-1, 1:] = math.nan
    return replace(fit, coefficients=table)


changed(10, "t over the residual sd", "test-statistic")(
    lambda fit: replace(fit, coefficients=fit.coefficients.assign(**{"t value": fit.fixef() / fit.sigma()}))
)
