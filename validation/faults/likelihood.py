"""Likelihood fits made wrong: by changing a right fit's numbers, or by fitting another model, or other data."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scipy.optimize
from scipy import stats

from validation.algebra import optimum_of, pieces_of, solve
from validation.faults.bases import BaseFit
from validation.faults.fault import FaultSize, fault
from validation.references.recorded import RecordedLmerFit
from validation.references.whole import at_theta, criteria_of


def _optimum(fit: RecordedLmerFit, reml: bool) -> RecordedLmerFit:
    pieces = pieces_of(fit)
    found = optimum_of(pieces, reml, fit.theta.to_numpy())
    if found is None:
        raise ValueError("the criterion cannot be computed at any θ")
    return at_theta(fit, found.theta, reml)


# ---------------------------------------------------------------------------------------------------- what is changed


def _with(fit: RecordedLmerFit, scalars: Mapping[str, float] | None = None, **parts: Any) -> RecordedLmerFit:
    """A fit of which some scalars, and some whole parts, are others."""
    return replace(fit, scalars={**fit.scalars, **(scalars or {})}, **parts)


#: A fault whose function gives what is other of the right fit: its parts, by name, or some scalars.
changed = partial(fault, how=lambda parts, base, *size: _with(base.fit, **parts(base.fit, *size)))


def _with_errors(fit: RecordedLmerFit, factor: float | np.ndarray) -> pd.DataFrame:
    """The table of coefficients with standard errors times a factor, and the t values that they give."""
    table = fit.coefficients
    return table.assign(**{"Std. Error": table["Std. Error"] * factor, "t value": table["t value"] / factor})


def _components(fit: RecordedLmerFit, rows: str, change: Callable[..., Mapping[str, Any]]) -> pd.DataFrame:
    """VarCorr's table, in which the rows of variances, of covariances, or of the residual alone have other columns."""
    table = fit.components.copy()
    covariances = table["var2"].notna()
    chosen = {"variances": ~covariances, "covariances": covariances, "residual": table["grp"] == "Residual"}[rows]
    for column, values in change(table[chosen], fit).items():
        table.loc[chosen, column] = values
    return table


def _of_components(rows: str) -> Callable[..., Any]:
    return partial(fault, how=lambda change, base: _with(base.fit, components=_components(base.fit, rows, change)))


of_variances, of_covariances = _of_components("variances"), _of_components("covariances")


def _with_modes(change: Callable[..., Any], base: BaseFit, *size: float) -> RecordedLmerFit:
    """The BLUPs of each grouping factor changed, level x effect, under the labels that they had."""
    fit: RecordedLmerFit = base.fit
    modes = {
        group: pd.DataFrame(np.asarray(change(frame.copy(), fit, *size)), frame.index, frame.columns)
        for group, frame in fit.modes.items()
    }
    return _with(fit, modes=modes)


of_modes = partial(fault, how=_with_modes)


# ---------------------------------------------------------------------------------------------------- numbers changed

fault(1, "other criterion", "reml-vs-ml", without="singular")(lambda base: _optimum(base.fit, not base.fit.reml))
# isREML() claims the criterion that was asked for: REML=False ignored
fault(1, "other criterion, silently", "reml-vs-ml", without="singular")(
    lambda base: _with(_optimum(base.fit, not base.fit.reml), reml=base.fit.reml)
)
of_variances(2, "variances as SDs", "scale-squared")(lambda t, fit: {"sdcor": t["sdcor"] ** 2})
of_variances(2, "SDs as variances", "scale-square-root")(lambda t, fit: {"vcov": t["vcov"] ** 0.5})
of_variances(2, "SDs relative to sigma", "scale-relative")(lambda t, fit: {"sdcor": t["sdcor"] / fit.sigma()})
of_variances(2, "variances relative to sigma squared", "scale-relative-variance")(  # statsmodels' unscaled covariances
    lambda t, fit: {"vcov": t["vcov"] / fit.sigma() ** 2}
)
changed(2, "sigma squared", "scale-squared")(lambda fit: {"scalars": {"sigma": fit.sigma() ** 2}})
fault(5, "optimizer stopped early", "stopped-early", without="singular", sized=FaultSize(0.02, 1e-8, "share of theta"))(
    lambda base, size: at_theta(base.fit, base.fit.theta.to_numpy() * (1 + size))
)
fault(6, "a variance put to 0", "boundary", without="singular")(
    lambda base: _with(at_theta(base.fit, np.append(base.fit.theta.to_numpy()[:-1], 0.0)), scalars={"singular": 1.0})
)
of_modes(8, "BLUPs reversed", "permuted-levels", without="singular")(lambda frame, fit: frame[::-1])
of_modes(2, "BLUPs over sigma", "modes-relative", without="singular")(lambda frame, fit: frame / fit.sigma())
of_modes(8, "all BLUPs' signs", "sign-flipped", without="singular")(lambda frame, fit: -frame)
of_modes(8, "one BLUP's sign", "sign-flipped", without="singular")(
    lambda frame, fit: frame.mul(np.where(frame.iloc[:, 0].abs() == frame.iloc[:, 0].abs().max(), -1.0, 1.0), axis=0)
)
of_modes(8, "BLUPs shifted by one", "permuted-levels", without="singular")(lambda frame, fit: np.roll(frame, 1, axis=0))
of_modes(8, "effects swapped", "permuted-effects", needs="two effects")(lambda frame, fit: frame.iloc[:, ::-1])


@of_modes(
    8, "two levels swapped", "permuted-levels", without="singular", sized=FaultSize(1.0, 1e-4, "sds of the BLUPs apart")
)
def _swapped_pair(frame: pd.DataFrame, fit: RecordedLmerFit, size: float) -> pd.DataFrame:
    """Two levels' BLUPs in each other's place: the pair whose first effects are about ``size`` sds apart."""
    column, order = frame.to_numpy()[:, 0], np.arange(len(frame))
    apart = np.abs(np.abs(column[:, None] - column) - size * (float(np.std(column)) or 1.0))
    np.fill_diagonal(apart, np.inf)
    i, j = np.unravel_index(int(np.argmin(apart)), apart.shape)
    order[[i, j]] = j, i
    return frame.iloc[order]


@changed(10, "N log(2 pi) lost", "constant-offset")
def _constant_lost(fit: RecordedLmerFit) -> dict[str, Any]:
    offset = fit.nobs() * math.log(2 * math.pi)
    return {"scalars": criteria_of(fit, fit.deviance() - offset), "objective": lambda theta: fit.devfun(theta) - offset}


@changed(10, "log|X'X| lost in logLik", "constant-offset", without="weighted")
def _constant_lost_in_loglik(fit: RecordedLmerFit) -> dict[str, Any]:
    offset = float(np.linalg.slogdet(fit.X.to_numpy().T @ fit.X.to_numpy())[1])
    return {"scalars": criteria_of(fit, fit.deviance() - offset)}


@changed(10, "sigma not counted", "parameter-count")
def _sigma_not_counted(fit: RecordedLmerFit) -> dict[str, Any]:
    npar = fit.npar - 1
    criteria = criteria_of(fit, fit.deviance(), npar)
    return {"scalars": {"npar": npar, "df_residual": fit.nobs() - npar, **criteria}}


changed(10, "BIC with groups", "bic-sample-size")(
    lambda fit: {"scalars": {"BIC": -2 * fit.logLik() + math.log(float(fit.groups.iloc[0])) * fit.npar}}
)


@changed(10, "residual df in SEs", "standard-error-scale")
def _residual_df_in_se(fit: RecordedLmerFit) -> dict[str, Any]:
    """SEs with N − p where σ̂² has N."""
    factor = fit.nobs() / (fit.nobs() - len(fit.coefficients))
    return {"coefficients": _with_errors(fit, math.sqrt(factor)), "covariance": fit.covariance * factor}


# of a numerical Hessian: off by parts in 10 000, each by its own
changed(10, "loose standard errors", "standard-errors-loose", sized=FaultSize(2.7e-4, 1e-8, "relative"))(
    lambda fit, size: {"coefficients": _with_errors(fit, 1 + size * (1 + np.arange(len(fit.coefficients))))}
)


@changed(11, "unshrunken BLUPs", "unshrunken", without="singular, shared effect")
def _unshrunken(fit: RecordedLmerFit) -> dict[str, Any]:
    """Each level's own least-squares estimate (the other terms' BLUPs taken off) in place of its BLUP."""
    pieces = pieces_of(fit)
    solution = solve(pieces, fit.theta.to_numpy(), fit.reml)
    root = 1.0 if pieces.weights is None else np.sqrt(pieces.weights)
    # What is left of the response is explained by the level's own columns besides what its BLUP explains already.
    residual = root * (pieces.y - solution.fitted)
    places = pieces.by_level(np.arange(pieces.Z.shape[1]))
    modes = {group: frame.copy() for group, frame in fit.modes.items()}
    for term, columns in zip(pieces.terms, places, strict=True):
        for level, of_level in zip(term.levels, columns, strict=True):
            block = np.reshape(root, (-1, 1)) * pieces.Z[:, of_level].toarray()
            more = np.linalg.lstsq(block, residual, rcond=None)[0]
            modes[term.group].loc[level, list(term.effects)] += more
    return {"modes": modes}


# R's coef() is the fixed effects plus the BLUPs, of effects that are in either
of_modes(11, "coef for ranef", "coef-for-ranef")(
    lambda frame, fit: frame + fit.fixef().reindex(frame.columns, fill_value=0.0).to_numpy()
)
changed(11, "marginal fitted values", "marginal-fitted", without="singular")(
    lambda fit: {"fits": pd.Series(solve(pieces_of(fit), fit.theta.to_numpy(), fit.reml).marginal, fit.y.index)}
)


def _rounded(values: Any) -> Any:
    return values.astype(np.float32).astype(float)


@changed(12, "single precision", "single-precision")
def _single_precision(fit: RecordedLmerFit) -> dict[str, Any]:
    components = fit.components.copy()
    components[["vcov", "sdcor"]] = _rounded(components[["vcov", "sdcor"]])
    return {
        "scalars": {name: float(np.float32(value)) for name, value in fit.scalars.items()},
        "components": components,
        "modes": {group: _rounded(frame) for group, frame in fit.modes.items()},
        "mode_variances": {group: _rounded(array) for group, array in fit.mode_variances.items()},
        **{name: _rounded(getattr(fit, name)) for name in ("coefficients", "covariance", "theta", "fits")},
    }


@fault(12, "response not centred", "cancellation", needs="far")
def _by_crossproducts(base: BaseFit) -> RecordedLmerFit:
    """The residual sum of squares as y'y less what is explained, of a response that was not centred."""
    fit: RecordedLmerFit = base.fit
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
    ratio = sigma / wrong.sigma()
    sds = _components(wrong, "variances", lambda t, fit: {"sdcor": t["sdcor"] * ratio})
    return _with(
        wrong,
        {"sigma": sigma, **criteria_of(wrong, objective(found.x))},
        components=sds.assign(vcov=sds["vcov"] * ratio**2),
        coefficients=_with_errors(wrong, ratio),
        covariance=wrong.covariance * ratio**2,
        objective=objective,
    )


@changed(1, "standard errors of the other criterion", "standard-errors-other-criterion", without="singular")
def _standard_errors_of_other_criterion(fit: RecordedLmerFit) -> dict[str, Any]:
    other = _optimum(fit, not fit.reml)
    errors = other.coefficients["Std. Error"]
    table = fit.coefficients.assign(**{"Std. Error": errors, "t value": fit.fixef() / errors})
    return {"coefficients": table, "covariance": other.covariance}


@changed(10, "sigma with another divisor", "sigma-divisor")
def _sigma_divisor(fit: RecordedLmerFit) -> dict[str, Any]:
    """σ² over N where it should be over N − p, or the other way round."""
    N, p = fit.nobs(), len(fit.coefficients)
    factor = math.sqrt((N - p) / N) if fit.reml else math.sqrt(N / (N - p))
    components = _components(
        fit, "residual", lambda t, fit: {"sdcor": t["sdcor"] * factor, "vcov": t["vcov"] * factor**2}
    )
    return {"scalars": {"sigma": fit.sigma() * factor}, "components": components}


changed(2, "conditional variances for sds", "condsd-squared", without="singular, two effects")(
    lambda fit: {"mode_variances": {name: np.asarray(array) ** 2 for name, array in fit.mode_variances.items()}}
)
changed(8, "theta in another order", "permuted-terms", needs="several terms")(
    lambda fit: {"theta": fit.theta[::-1].set_axis(fit.theta.index)}
)
of_covariances(2, "covariances for correlations", "scale-covariance", needs="two effects")(
    lambda t, fit: {"sdcor": t["vcov"]}
)
of_covariances(7, "correlation reported as 0", "correlation-not-reported", needs="two effects")(
    lambda t, fit: {"sdcor": 0.0}
)
changed(12, "a lost level", "missing-numbers")(
    lambda fit: {
        "modes": {group: frame.iloc[:-1] for group, frame in fit.modes.items()},
        "mode_variances": {group: array[:-1] for group, array in fit.mode_variances.items()},
    }
)
of_modes(8, "BLUPs in alphabetical order", "permuted-levels", without="singular")(
    lambda frame, fit: frame.iloc[np.argsort(frame.index.astype(str))]
)


@changed(8, "variances of two terms swapped", "permuted-terms", needs="several terms")
def _swapped_terms(fit: RecordedLmerFit) -> dict[str, Any]:
    components, columns = fit.components.copy(), ["vcov", "sdcor"]
    components.loc[[0, 1], columns] = components.loc[[1, 0], columns].to_numpy()
    return {"components": components}


@changed(8, "coefficients permuted", "permuted-terms", needs="categorical")
def _permuted_coefficients(fit: RecordedLmerFit) -> dict[str, Any]:
    """Coefficients (with their standard errors) one name further on; the intercept stands."""
    order = [0, *np.roll(np.arange(1, len(fit.coefficients)), 1)]
    return {"coefficients": fit.coefficients.iloc[order].set_axis(fit.coefficients.index, axis=0)}


def _p_values(fit: RecordedLmerFit, df: float | None = None, tails: float = 2.0) -> dict[str, Any]:
    """Tests with other degrees of freedom, where some are given, and p values of one tail or of two."""
    tests = fit.satterthwaite()
    if df is not None:
        tests["df"] = float(df)
    return {"tests": tests.assign(**{"Pr(>|t|)": tails * stats.t.sf(np.abs(tests["t value"]), tests["df"])})}


changed(10, "residual df for Satterthwaite's", "p-values-residual-df", without="singular")(
    lambda fit: _p_values(fit, fit.nobs() - len(fit.coefficients))
)
changed(10, "z tests for Satterthwaite's", "p-values-z", without="singular")(lambda fit: _p_values(fit, 1e12))
changed(10, "one-sided p-values", "p-values-one-sided")(lambda fit: _p_values(fit, tails=1.0))
changed(11, "conditional for marginal predictions", "conditional-for-marginal", without="singular")(
    lambda fit: {"predictor": lambda new=None, **how: fit.fitted() if new is None else fit.predict(new, **how)}
)


@changed(11, "an unseen level gets the first one's effect", "new-levels", without="singular, nested")
def _first_level_for_new(fit: RecordedLmerFit) -> dict[str, Any]:
    extra = float(np.sum([frame.to_numpy()[0, 0] for frame in fit.modes.values()]))
    return {"predictor": lambda new=None, **how: fit.predict(new, **how) + (0.0 if new is None else extra)}


changed(12, "covariances not given", "missing-numbers")(lambda fit: {"covariance": fit.covariance.iloc[:-1, :-1]})


@changed(12, "a standard error of NaN", "missing-numbers", without="no fixed effects")
def _not_a_number(fit: RecordedLmerFit) -> dict[str, Any]:
    table = fit.coefficients.copy()
    table.iloc[-1, 1:] = math.nan
    return {"coefficients": table}


changed(10, "t over the residual sd", "test-statistic")(
    lambda fit: {"coefficients": fit.coefficients.assign(**{"t value": fit.fixef() / fit.sigma()})}
)


# ---------------------------------------------------------------------------------------------------- other fits


def _of_column(name: str) -> Callable[..., Any]:
    """Faults of a column of the data, made anew of all its values, and of those that the right fit uses."""

    def refit(change: Callable[..., pd.Series], base: BaseFit, *size: float) -> RecordedLmerFit:
        own = base.column(name)
        return base.refit(data=base.data.assign(**{own: change(base.data[own], base.used[own], *size)}))

    return partial(fault, how=refit)


of_arm, of_ses, of_school, of_score = map(_of_column, ("arm", "ses", "school", "score"))


@fault(12, "a lost column", "lost-column", without="no fixed effects, aliased")
def _lost_column(base: BaseFit) -> RecordedLmerFit:
    fixed, bar, random = base.formula.partition("(")
    variable = next(f"{name} + " for name in ("ses", "arm", "people", "`home status`") if f"{name} + " in fixed)
    if "offset" in base.formula:
        return base.refit(base.formula.replace(variable, ""), data=base.used)
    return base.refit(fixed.replace(variable, "1 + ") + bar + random, data=base.used)


of_arm(3, "another reference level", "coding-reference-level", needs="categorical")(
    lambda arm, used: arm.cat.reorder_categories(["tutor", "control", "books", "both"])
)
of_arm(3, "factor taken as ordered", "coding-polynomial", needs="categorical")(lambda arm, used: arm.cat.as_ordered())
of_ses(3, "predictor centred", "coding-centred", needs="predictor", without="singular")(
    lambda ses, used: ses - used.mean()
)
of_ses(3, "predictor standardised", "coding-scaled", needs="predictor")(
    lambda ses, used: (ses - used.mean()) / used.std(ddof=0)
)
_SHARE = FaultSize(9.0, 1e-12, "share of the predictor")
of_ses(3, "predictor in another unit", "coding-scaled", needs="predictor", sized=_SHARE)(
    lambda ses, used, size: ses * (1 + size)
)


@changed(3, "coefficients renamed", "coding-names")
def _renamed(fit: RecordedLmerFit) -> dict[str, Any]:
    names = [str(name).replace("(Intercept)", "Intercept").replace("arm", "arm[T.") for name in fit.X.columns]
    return {
        "X": fit.X.set_axis(names, axis=1),
        "coefficients": fit.coefficients.set_axis(names, axis=0),
        "covariance": fit.covariance.set_axis(names, axis=0).set_axis(names, axis=1),
    }


@fault(4, "rows dropped", "rows", sized=FaultSize(20.0, 1.0, "rows"))
def _dropped_rows(base: BaseFit, size: float) -> RecordedLmerFit:
    lost = base.used.index[:: max(1, round(len(base.fit.y) / size))][: max(1, round(size))]
    return base.refit(data=base.data.drop(lost))


@fault(4, "missing values filled in", "rows", without="singular, nested")
def _filled_in(base: BaseFit) -> RecordedLmerFit:
    data = base.data.copy()
    for name in map(base.column, ("score", "ses")):
        data[name] = data[name].fillna(data[name].mean())
    return base.refit(data=data)


of_school(4, "missing value as a level", "missing-as-level", without="singular, nested")(
    lambda school, used: school.astype(object).fillna("nan").astype("category")
)
# R's missing integer, −2147483648, is read as a number
of_ses(
    4, "missing integer as a number", "missing-as-integer", needs="predictor", without="singular, slope of predictor"
)(lambda ses, used: ses.fillna(-2147483648.0))


@of_school(4, "a pupil in another school", "data-values", without="nested")
def _moved_pupil(school: pd.Series, used: pd.Series) -> pd.Series:
    row = used.index[3]
    return school.where(school.index != row, next(level for level in school.cat.categories if level != school[row]))


of_score(4, "one value recoded", "data-values", without="singular", sized=FaultSize(10.0, 1e-9, "units of y"))(
    lambda score, used, size: score.where(score.index != used.index[10], score + size)
)
of_score(4, "response standardised", "response-scaled", without="weighted")(
    lambda score, used: (score - used.mean()) / used.std()
)
fault(6, "a variance kept off 0", "boundary", needs="singular", sized=FaultSize(0.1, 1e-9, "theta in place of 0"))(
    lambda base, size: at_theta(base.fit, base.fit.theta.to_numpy() + size)
)


def _formula(base: BaseFit, old: str, new: str) -> RecordedLmerFit:
    """Another formula; one that the change leaves as it is plants nothing, and is an error."""
    changed = base.formula.replace(old, new)
    if changed == base.formula:
        raise ValueError(f"the fault does not change {base.formula!r}")
    return base.refit(changed)


#: Name of a fault, what it is called, tags that it needs and that it must not meet, and the change of the formula.
_FORMULAS = (
    ("correlation lost (||)", "correlation-lost", "slopes", "", "(ses | school)", "(ses || school)"),
    ("random intercept lost", "random-intercept-lost", "slopes", "", "(ses | school)", "(0 + ses | school)"),
    ("random slope lost", "random-terms", "slopes", "", "(ses | school)", "(1 | school)"),
    ("fixed intercept lost", "intercept-lost", "", "categorical, singular, no fixed effects", "~ ", "~ 0 + "),
    ("nested taken as crossed", "crossed-vs-nested", "nested", "", "school/room", "school) + (1 | room"),
    ("crossed taken as nested", "crossed-vs-nested", "crossed", "", "(1 | school) + (1 | rater)", "(1 | school/rater)"),
    ("a term lost", "crossed-vs-nested", "crossed", "", " + (1 | rater)", ""),
    ("offset ignored", "lost-offset", "weighted", "", "offset(handicap) + ", ""),
)
for _name, _cause, _needs, _without, _old, _new in _FORMULAS:
    fault(12 if "offset" in _name else 7, _name, _cause, needs=_needs, without=_without)(
        partial(_formula, old=_old, new=_new)
    )
fault(12, "weights ignored", "lost-weights", needs="weighted")(lambda base: base.refit(weights=None))
for _name, _contrasts in (("sum", "contr.sum"), ("Helmert", "contr.helmert")):
    fault(3, f"{_name} contrasts", f"coding-{_name.casefold()}", needs="categorical")(
        lambda base, contrasts=_contrasts: base.refit(contrasts={"arm": contrasts})
    )
